//! User-space instructions and allocations, counted by callgrind.
//!
//! May touch: valgrind, and its files in the build folder. Invariant: starting, connecting and ending fall out, because
//! both runs do them alike; how fast the tool is does not matter, because clients wait.

use std::fs;
use std::process::Command;

use super::{Subject, under_tool};
use crate::toolbox::Toolbox;

/// The rounds of the two runs. The first is long enough for what happens once to have happened; the difference is long
/// enough that a stray turn is below a tenth of a per cent.
const ROUNDS: [usize; 2] = [200, 1_200];

/// What allocates: libc's functions, as every program here calls them in the end.
const ALLOCATORS: [&str; 6] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"];

pub struct Found {
    pub instructions: f64,
    pub allocations: f64,
}

/// Counts the echoes of `connections` connections in lock-step.
pub fn count(toolbox: &Toolbox, subject: &Subject, connections: usize) -> Result<Found, String> {
    let short = run(toolbox, subject, connections, ROUNDS[0])?;
    let long = run(toolbox, subject, connections, ROUNDS[1])?;
    let echoes = ((ROUNDS[1] - ROUNDS[0]) * connections) as f64;
    Ok(Found {
        instructions: (long.instructions - short.instructions) / echoes,
        allocations: (long.allocations - short.allocations) / echoes,
    })
}

fn run(toolbox: &Toolbox, subject: &Subject, connections: usize, rounds: usize) -> Result<Found, String> {
    let file = toolbox.folder.join(format!("{}-callgrind", std::process::id()));
    let mut command = Command::new(toolbox.valgrind.as_ref()?);
    command.args(["--quiet", "--tool=callgrind"]);
    command.arg(format!("--callgrind-out-file={}", file.display()));
    command.arg(&subject.program).args(&subject.arguments);
    let (server, mut client) = under_tool(toolbox, command, connections, |_| ())?;
    client.tell(&format!("rounds ping:64 {rounds}"))?;
    server.process.terminate().map_err(|error| error.to_string())?;
    let text = fs::read_to_string(&file).map_err(|error| format!("callgrind wrote nothing: {error}"))?;
    // The file's name is used again by the next run.
    let _ = fs::remove_file(&file);
    parse(&text).ok_or_else(|| "callgrind's file holds no total".to_owned())
}

/// Reads callgrind's format: the total of all costs, and the calls of the allocating functions. A name stands behind its
/// number where it is used first, and only the number later; `calls=` belongs to the `cfn=` before it.
fn parse(text: &str) -> Option<Found> {
    let mut instructions = None;
    let mut allocators = Vec::new();
    let mut allocations = 0.0;
    let mut callee_allocates = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
            let (number, name) = name.split_once(' ').unwrap_or((name, ""));
            if ALLOCATORS.contains(&name) {
                allocators.push(number);
            }
            callee_allocates = line.starts_with("cfn=") && allocators.contains(&number);
        } else if let Some(calls) = line.strip_prefix("calls=") {
            if callee_allocates {
                allocations += calls.split(' ').next()?.parse::<f64>().ok()?;
            }
        } else if let Some(total) = line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")) {
            instructions = total.split(' ').next()?.parse::<f64>().ok();
        }
    }
    Some(Found { instructions: instructions?, allocations })
}
