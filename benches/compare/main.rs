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
//! | [`statistics`], `random` | medians, intervals, verdicts, and what they are resampled by |
//! | `cases`, `measure` | the comparisons at full speed |
//! | [`latency`], [`memory`], [`in_process`] | what is not a comparison at full speed |
//! | [`counts`] | what no noise moves |
//! | [`prices`] | what each choice of a reactor costs |
//! | `report`, `charts`, `perf_md` | what was found, and how it is shown |
//!
//! May touch: child processes, loopback sockets, the build folder; the package's own files only with `--update`.
//! Invariant: this program is also every server and every client, by its first argument.

mod cases;
mod charts;
mod clock;
mod counts;
mod in_process;
mod latency;
mod load;
mod measure;
mod memory;
mod options;
mod peers;
mod perf_md;
mod prices;
mod process;
#[path = "../../tests/support/random.rs"]
mod random;
mod report;
mod servers;
mod sockets;
mod statistics;
mod toolbox;

use std::env;
use std::fs;
use std::path::Path;
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
        Some((role, rest)) if role == "--task" => in_process::work(rest),
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
    if options.list {
        names().iter().for_each(|name| println!("{name}: benchmark"));
        return Ok(());
    }
    if let Some(name) = options.names.iter().find(|part| !names().iter().any(|name| name.contains(part.as_str()))) {
        return Err(format!("no case is called {name}; --list prints their names"));
    }
    let limit = process::raise_descriptor_limit();
    let toolbox = Toolbox::look_around()?;
    let results = toolbox.folder.join("results.json");
    let (report, counts) = match &options.from {
        Some(file) => (read(file)?, None),
        None => {
            let mut report = Report { machine: toolbox::machine(&toolbox), ..Report::default() };
            process::pin_this(Core::Client).map_err(|error| error.to_string())?;
            let counts = measure_all(&toolbox, &options, limit, &mut report);
            report.tables.extend(perf_md::summary(&report));
            if !options.test {
                let text = report.to_json().to_string();
                fs::write(&results, text).map_err(|error| format!("{}: {error}", results.display()))?;
            }
            (report, counts)
        }
    };
    conclude(&report, &options);
    if let Some(counts) = counts.as_ref().filter(|_| options.check_counts) {
        counts::kept::check(counts)?;
    }
    if options.update {
        let charts = charts::draw(&report, Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/charts")))?;
        perf_md::update(&report, &charts)?;
        counts.as_ref().filter(|counts| !counts.is_empty()).map_or(Ok(()), counts::kept::keep)?;
    }
    Ok(())
}

/// The names of everything that can be asked for.
fn names() -> Vec<String> {
    let mut names: Vec<String> = cases::all().iter().map(cases::Case::full_name).collect();
    names.extend(["latency", "million_timers", "dispatch", "idle_memory", prices::NAME].map(str::to_owned));
    names.extend(counts::NAMES.iter().map(|&name| name.to_owned()));
    names
}

/// Runs what was asked for. The counts, when there were any.
fn measure_all(toolbox: &Toolbox, options: &Options, limit: u64, report: &mut Report) -> Option<counts::Counts> {
    if options.check_counts {
        return Some(counts::run(toolbox, options, report));
    }
    for case in cases::all().iter().filter(|case| options.wants(&case.full_name())) {
        // Connections, and what else a process has open.
        if limit < case.connections as u64 + 100 {
            report.skip(&format!("{}: {}", case.name, case.title), &format!("the limit of descriptors is {limit}"));
            continue;
        }
        measure::run(case, toolbox, options, report);
        if options.test {
            return None;
        }
    }
    if options.wants("latency") {
        latency::run(toolbox, options, report);
    }
    in_process::run(toolbox, options, report);
    if options.wants("idle_memory") {
        memory::run(toolbox, options.quick, limit, report);
    }
    if options.wants(prices::NAME) {
        prices::run(toolbox, options, report);
    }
    counts::NAMES.iter().any(|name| options.wants(name)).then(|| counts::run(toolbox, options, report))
}

/// What a reader wants to see last.
fn conclude(report: &Report, options: &Options) {
    if let Some(table) = report.tables.iter().find(|table| table.name == "summary") {
        println!("{}", table.to_text());
    }
    if options.quick || options.test {
        println!("Few short rounds: these figures show that everything works, and nothing else.");
    }
    for line in &report.skipped {
        println!("{line}");
    }
}

fn read(file: &Path) -> Result<Report, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    Report::from_json(&value).ok_or_else(|| format!("{}: not the results of a run", file.display()))
}
