//! `compare`: this crate beside a tuned epoll loop, mio, tokio, libuv and Node, in one run, with what can be said about
//! the differences.
//!
//! ```sh
//! cargo bench
//! ```
//!
//! The method is in PERF.md. The files:
//!
//! | file | subject |
//! |---|---|
//! | `options`, `toolbox` | what is asked for, and what the machine can run |
//! | [`peers`] | the servers |
//! | [`load`] | the clients |
//! | `process`, `servers`, `sockets` | child processes, servers and clients as seen from here, bare sockets |
//! | `clock` | CPU time as the scheduler accounts for it |
//! | [`statistics`] | medians, intervals, verdicts |
//! | `cases`, `measure` | the comparisons at full speed |
//! | `report` | what was found |
//!
//! May touch: child processes, loopback sockets, the build folder; the package's own files only with `--update`.
//! Invariant: this program is also every server and every client, by its first argument.

mod cases;
mod clock;
mod counts;
mod load;
mod measure;
mod options;
mod peers;
mod process;
mod report;
mod servers;
mod sockets;
#[allow(dead_code)] // what the tests of the statistics ask for, too
mod statistics;
mod toolbox;

use std::env;
use std::fs;
use std::process::ExitCode;

use options::Options;
use process::Core;
use report::Report;
use toolbox::Toolbox;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((role, rest)) if role == "--server" => {
            process::raise_descriptor_limit();
            peers::serve(rest)
        }
        Some((role, rest)) if role == "--client" => load::obey(rest),
        _ => compare(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let limit = process::raise_descriptor_limit();
    let mut report = Report::default();
    let toolbox = Toolbox::look_around()?;
    report.machine = toolbox::machine(&toolbox);
    process::pin_this(Core::Client).map_err(|error| error.to_string())?;
    for case in cases::all() {
        if !options.wants(case.name) {
            continue;
        }
        measure::run(&case, &toolbox, &options, &mut report);
    }
    let _ = limit;
    let wanted = ["instructions", "allocations", "cache_lines", "system_calls"];
    if wanted.iter().any(|name| options.wants(name)) {
        let counts = counts::run(&toolbox, &options, &mut report);
        if options.check_counts {
            counts::kept::check(&counts)?;
        }
        if options.update {
            counts::kept::keep(&counts)?;
        }
    }
    let results = toolbox.folder.join("results.json");
    fs::write(&results, report.to_json().to_string()).map_err(|error| format!("{}: {error}", results.display()))?;
    Ok(())
}
