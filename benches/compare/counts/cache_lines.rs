//! Cache lines that a server touches, from valgrind's trace of its memory accesses.
//!
//! May touch: valgrind's `lackey`, whose trace is read as it comes. Invariant: a window begins and ends while the server
//! sleeps, so it holds exactly the rounds that were played in it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::{Subject, under_tool};
use crate::statistics::median;
use crate::toolbox::Toolbox;

/// What a line of a cache holds, in bytes, on all machines that this is likely to run on.
const LINE: u64 = 64;

/// Rounds before the windows: what happens once has happened.
const WARM_UP: usize = 20;

/// Windows of one round each; their median counts.
const WINDOWS: usize = 5;

/// The tracer has written everything when nothing came for so long: it writes thousands of lines in that time.
const SILENCE: Duration = Duration::from_millis(100);

pub struct Found {
    pub instructions: f64,
    pub data: f64,
}

/// Counts the distinct lines of one round of `connections` connections, per echo.
pub fn count(toolbox: &Toolbox, subject: &Subject, connections: usize) -> Result<Found, String> {
    let mut command = Command::new(toolbox.valgrind.as_ref()?);
    command.args(["--quiet", "--tool=lackey", "--trace-mem=yes", "--basic-counts=no"]);
    command.arg(&subject.program).args(&subject.arguments).stderr(Stdio::piped());
    let (accesses, trace) = mpsc::channel();
    // A thread of its own reads: the tracer must never wait for whoever counts.
    let follow = |child: &mut Child| {
        let Some(trace) = child.stderr.take() else { return };
        thread::spawn(move || {
            for line in BufReader::new(trace).lines().map_while(Result::ok) {
                // Nobody listens any more: the count is done.
                if parse(&line).is_some_and(|access| accesses.send(access).is_err()) {
                    return;
                }
            }
        });
    };
    let (_server, mut client) = under_tool(toolbox, command, connections, follow)?;
    let (mut instructions, mut data) = (Vec::new(), Vec::new());
    client.tell(&format!("rounds ping:64 {WARM_UP}"))?;
    for _ in 0..WINDOWS {
        while trace.recv_timeout(SILENCE).is_ok() {}
        client.tell("rounds ping:64 1")?;
        let (mut fetched, mut touched) = (BTreeSet::new(), BTreeSet::new());
        while let Ok(access) = trace.recv_timeout(SILENCE) {
            let lines = access.address / LINE..=(access.address + access.size.max(1) - 1) / LINE;
            if access.fetch { &mut fetched } else { &mut touched }.extend(lines);
        }
        instructions.push(fetched.len() as f64 / connections as f64);
        data.push(touched.len() as f64 / connections as f64);
    }
    let found = median(&mut instructions).zip(median(&mut data)).ok_or("no window")?;
    Ok(Found { instructions: found.0, data: found.1 })
}

struct Access {
    fetch: bool,
    address: u64,
    size: u64,
}

/// One line of the trace: `I  04001000,3`, ` L 1ffeffe7e,8`, ` S …`, ` M …`, in hexadecimal, with the size.
fn parse(line: &str) -> Option<Access> {
    let fetch = line.starts_with('I');
    if !fetch && ![" L", " S", " M"].iter().any(|kind| line.starts_with(kind)) {
        return None;
    }
    let (address, size) = line.get(2..)?.trim().split_once(',')?;
    Some(Access { fetch, address: u64::from_str_radix(address, 16).ok()?, size: size.parse().ok()? })
}
