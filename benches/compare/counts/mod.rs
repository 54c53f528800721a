//! Counts that no noise moves: instructions, allocations, system calls and cache lines per operation.
//!
//! | file | subject |
//! |---|---|
//! | `callgrind` | instructions and allocations, by valgrind |
//! | `kernel` | system calls at full speed, by a tracepoint of perf; instructions where there is a counter for them |
//! | `cache_lines` | cache lines touched, by valgrind |
//! | `kept` | the counts of the last release of this file, and the check against them |
//!
//! May touch: servers and clients of its own, cargo for the examples. Invariant: a count per operation is the difference
//! of two runs that differ only in their length, or of one window in the steady state.

mod cache_lines;
pub mod callgrind;
pub mod kept;
mod kernel;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command};

use crate::options::Options;
use crate::report::{Report, Table};
use crate::servers::{Client, Contestant, Pair, Server};
use crate::toolbox::{self, Toolbox};

/// Counts that depend on how fast the client is, because turns are shared: shown and kept, not checked.
pub const AT_FULL_SPEED: [&str; 2] = ["k = 50 at full speed", "connection at full speed"];

/// Connections in steps: each costs the same, and stopping and continuing the server costs a call or two in all.
pub const ARRIVALS: usize = 500;

/// What can be asked for by name.
pub const NAMES: [&str; 4] = ["instructions", "allocations", "cache_lines", "system_calls"];

/// Counts by what was counted: `halfclose, LTO, instructions, k = 50`.
pub type Counts = BTreeMap<String, f64>;

/// The program that a count is of.
pub struct Subject {
    pub label: String,
    /// The program and its arguments.
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

/// The connections that operations are counted with: alone, where every echo is a turn of its own, and enough for a turn
/// to be shared.
const CONNECTIONS: [usize; 2] = [1, 50];

/// Counts everything that the machine can count, and adds the tables to the report.
pub fn run(toolbox: &Toolbox, options: &Options, report: &mut Report) -> Counts {
    let mut counts = Counts::new();
    let mut subjects = Vec::new();
    for (label, profile) in [("halfclose, LTO", "lto"), ("halfclose, release", "release")] {
        match example(toolbox, profile) {
            Ok(program) => subjects.push(Subject {
                label: label.to_owned(),
                program,
                arguments: vec!["--port".to_owned(), "0".to_owned()],
            }),
            Err(error) => report.skip(&format!("counts of {label}"), &error),
        }
    }
    if !options.check_counts {
        peers(toolbox, report, &mut subjects);
    }
    user_space(toolbox, options, &subjects, report, &mut counts);
    if options.wants("system_calls") {
        system_calls(toolbox, options, report, &mut counts);
    }
    counts
}

/// The peers of Rust, with LTO and as this program is built, and libuv as the system has it.
fn peers(toolbox: &Toolbox, report: &mut Report, subjects: &mut Vec<Subject>) {
    let with_lto = this_program_with_lto(toolbox);
    for server in ["floor", "mio", "tokio", "libuv"] {
        let command = match Contestant::new(server, server, "echo").command(toolbox, None) {
            Ok(command) => command,
            Err(error) => {
                report.skip(&format!("counts of {server}"), &error);
                continue;
            }
        };
        let program = PathBuf::from(command.get_program());
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        if program != toolbox.own {
            subjects.push(Subject { label: server.to_owned(), program, arguments });
            continue;
        }
        match &with_lto {
            Ok(program) => subjects.push(Subject {
                label: format!("{server}, LTO"),
                program: program.clone(),
                arguments: arguments.clone(),
            }),
            Err(error) => report.skip(&format!("counts of {server} with LTO"), error),
        }
        subjects.push(Subject { label: format!("{server}, release"), program, arguments });
    }
}

/// This program, built with the profile `lto`. Its name holds a hash that only cargo knows.
fn this_program_with_lto(toolbox: &Toolbox) -> Result<PathBuf, String> {
    println!("building the peers with the profile lto");
    let mut command = cargo(toolbox, "lto");
    command.args(["--bench", "compare", "--message-format", "json"]);
    let messages = toolbox::output(&mut command)?;
    let executable = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.ok_or_else(|| "cargo names no program".to_owned())
}

/// `cargo build` for a profile, into the same build folder.
fn cargo(toolbox: &Toolbox, profile: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--locked", "--quiet", "--profile", profile]);
    command.arg("--target-dir").arg(&toolbox.target).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// The `echo` example, built with a profile.
fn example(toolbox: &Toolbox, profile: &str) -> Result<PathBuf, String> {
    let mut command = cargo(toolbox, profile);
    command.args(["--example", "echo"]);
    println!("building the echo example with the profile {profile}");
    toolbox::output(&mut command)?;
    Ok(toolbox.target.join(profile).join("examples").join("echo"))
}

fn user_space(toolbox: &Toolbox, options: &Options, subjects: &[Subject], report: &mut Report, counts: &mut Counts) {
    let mut instructions =
        Table::new("instructions", "User-space instructions per echo of 64 B", &["server", "k = 1", "k = 50"]);
    let mut allocations = Table::new("allocations", "Allocations per echo of 64 B", &["server", "k = 1", "k = 50"]);
    let mut lines = Table::new(
        "cache_lines",
        "Cache lines that one echo of 64 B touches in user space",
        &["server", "instructions, k = 1", "data, k = 1", "instructions, k = 50", "data, k = 50"],
    );
    for subject in subjects {
        let mut row = [vec![subject.label.clone()], vec![subject.label.clone()], vec![subject.label.clone()]];
        for connections in CONNECTIONS {
            if options.wants("instructions") || options.wants("allocations") {
                match callgrind::count(toolbox, subject, connections) {
                    Ok(found) => {
                        row[0].push(format!("{:.0}", found.instructions));
                        row[1].push(format!("{:.2}", found.allocations));
                        let key = |what: &str| format!("{}, {what}, k = {connections}", subject.label);
                        counts.insert(key("instructions"), found.instructions);
                        counts.insert(key("allocations"), found.allocations);
                    }
                    Err(error) => report.skip(&format!("instructions of {}", subject.label), &error),
                }
            }
            if options.wants("cache_lines") && !options.check_counts {
                match cache_lines::count(toolbox, subject, connections) {
                    Ok(found) => {
                        row[2].extend([format!("{:.1}", found.instructions), format!("{:.1}", found.data)]);
                        let key = |what: &str| format!("{}, cache lines of {what}, k = {connections}", subject.label);
                        counts.insert(key("instructions"), found.instructions);
                        counts.insert(key("data"), found.data);
                    }
                    Err(error) => report.skip(&format!("cache lines of {}", subject.label), &error),
                }
            }
        }
        for (table, row) in [&mut instructions, &mut allocations, &mut lines].into_iter().zip(row) {
            if row.len() == table.columns.len() {
                table.rows.push(row);
            }
        }
    }
    instructions.notes.push(
        "k connections in lock-step; libc included; the difference of two runs. This crate is its `echo` example with \
         its full semantics."
            .to_owned(),
    );
    lines.notes.push(
        "Distinct lines of 64 B in the window of one round, divided by k. What several echoes share, like code, counts \
         once in a round."
            .to_owned(),
    );
    for table in [instructions, allocations, lines] {
        if !table.rows.is_empty() {
            report.add(table);
        }
    }
}

/// System calls per operation while servers run as fast as they can.
fn system_calls(toolbox: &Toolbox, options: &Options, report: &mut Report, counts: &mut Counts) {
    let columns =
        ["server", "per echo, k = 1", "per echo, k = 50", "per connection, in steps", "per connection, at full speed"];
    let mut table = Table::new("system_calls", "System calls", &columns);
    let milliseconds = options.slice.as_millis();
    let loads = [
        ("k = 1", format!("run ping:64 {milliseconds}"), 1),
        (AT_FULL_SPEED[0], format!("run ping:64 {milliseconds}"), 50),
        ("connection in steps", format!("rounds accept {ARRIVALS}"), 1),
        (AT_FULL_SPEED[1], format!("run accept {milliseconds}"), 1),
    ];
    for (label, server) in [
        ("halfclose", "halfclose"),
        ("floor", "floor"),
        ("mio", "mio"),
        ("tokio", "tokio"),
        ("libuv", "libuv"),
        ("Node", "node"),
    ] {
        if options.check_counts && server != "halfclose" {
            continue;
        }
        let contestant = Contestant::new(label, server, "echo");
        let mut row = vec![label.to_owned()];
        for (what, load, connections) in &loads {
            let pair = Pair::start(toolbox, &contestant, None, *connections);
            match pair.and_then(|mut pair| calls_per_operation(&mut pair, load)) {
                Ok(calls) => {
                    row.push(format!("{calls:.2}"));
                    counts.insert(format!("{label}, system calls, {what}"), calls);
                }
                Err(error) => {
                    report.skip(&format!("system calls of {label}"), &error);
                    row.push("–".to_owned());
                }
            }
        }
        table.rows.push(row);
    }
    table.notes.push(
        "Counted by the tracepoint `raw_syscalls:sys_enter` in the kernel, at full speed, not by a tracer that slows the \
         server. A connection is connecting, one echo, and the end of both sides. In steps, the server sleeps between \
         any two of them, so nothing coincides; at full speed an `epoll_wait` is shared."
            .to_owned(),
    );
    if !table.rows.is_empty() {
        report.add(table);
    }
}

/// The server's system calls per operation of a load, which is played once before.
pub fn calls_per_operation(pair: &mut Pair, load: &str) -> Result<f64, String> {
    pair.tell(load)?;
    let counter = kernel::SystemCalls::of(pair.server.process.id())?;
    let answer = pair.tell(load)?;
    // The warm-up of a slice is counted as well, so the operations are those of both.
    let operations = answer.get("all_operations").unwrap_or(&answer["operations"]);
    let operations = operations.as_f64().ok_or("no operations")?;
    Ok(counter.read()? as f64 / operations)
}

/// A server under a tool, and its client, for counting in lock-step. `follow` sees the child before it listens.
fn under_tool(
    toolbox: &Toolbox,
    mut command: Command,
    connections: usize,
    follow: impl FnOnce(&mut Child),
) -> Result<(Server, Client), String> {
    let server = Server::start_and_follow(&mut command, toolbox, follow)?;
    let mut client = Client::start(toolbox, server.process.id(), "sleep")?;
    client.tell(&format!("open {connections} usual {}", server.address))?;
    Ok((server, client))
}
