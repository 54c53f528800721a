//! `churn`: connections come and go by the million, of random clients that do all that clients do, and nothing may be left
//! behind: no memory, no descriptor, no slot.
//!
//! ```sh
//! cargo bench --bench churn                                # a hundred thousand connections
//! cargo bench --bench churn -- --connections 10000000      # those of PERF.md
//! cargo bench --bench churn -- --leak bytes                # shows that a leak would be seen
//! ```
//!
//! | file | subject |
//! |---|---|
//! | [`servers`], [`callers`] | this crate's side, all in one loop |
//! | [`clients`], [`foreign_servers`] | the others, in a process of their own |
//! | [`run`] | rounds |
//! | [`samples`] | what is looked at, and when it is flat |
//! | `options`, [`addresses`], [`random`] | what these need |
//!
//! `tests/churn.rs` is a short run of the same. May touch: a child process, loopback and unix sockets, `/proc`, so Linux
//! only. Invariant: the seed decides what every client does; how fast it goes it does not.

#[cfg(target_os = "linux")]
mod addresses;
#[cfg(target_os = "linux")]
mod callers;
#[cfg(target_os = "linux")]
mod clients;
#[cfg(target_os = "linux")]
mod foreign_servers;
#[cfg(target_os = "linux")]
#[path = "../../tests/support/heap.rs"]
mod heap;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
#[path = "../../tests/support/random.rs"]
mod random;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod samples;
#[cfg(target_os = "linux")]
mod servers;

use std::process::ExitCode;

/// The column names of the rows that samples print.
#[cfg(target_os = "linux")]
const COLUMNS: &str = "\
| connections | of the crate's | seconds | most at once | left open | timers | descriptors | heap, bytes | resident, KiB |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|";

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("--clients") => run::obey(std::io::stdin().lock(), std::io::stdout()).map(|()| true),
        _ => churn(&arguments),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("churn: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("skipped: churn looks at /proc");
    ExitCode::SUCCESS
}

/// Whether it was flat.
#[cfg(target_os = "linux")]
fn churn(arguments: &[String]) -> Result<bool, String> {
    let options = options::Options::parse(arguments)?;
    if options.list {
        println!("churn: benchmark");
        return Ok(true);
    }
    let plan = options.plan;
    let binary = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut clients = std::process::Command::new(binary);
    clients.arg("--clients");
    println!("seed {}\n\n{}", plan.seed, COLUMNS);
    let run = run::run(&plan, clients, || heap::held() as i64, |sample| println!("{sample}"))?;
    println!("\n{}", run.conclusion());
    Ok(run.complaints().is_empty())
}
