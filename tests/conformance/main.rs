//! Scenarios that real Node played and that this crate plays again: our trace must be among Node's.
//!
//! May touch: the public API of the crate, std, socket2 and serde_json. `README.md` beside this file describes the
//! scenarios and how to run, record and read them. Invariants: nothing needs Node; every scenario has a deadline.
//!
//! | file | subject |
//! |---|---|
//! | `scenario` | finding and reading scenario files and recorded traces |
//! | `vocabulary` | what a scenario may say, and what it says wrong |
//! | `trace` | what happened, as lines |
//! | `play` | one scenario on one event loop |
//! | `objects` | servers and sockets of a scenario, and the listeners that watch them |
//! | `actions` | what a scenario does to them |
//! | `options` | options, ports, paths and lookups |
//! | `values` | errors, bytes and properties as text |
//! | `peers` | raw peers, on threads of their own |
//! | `compare` | two traces side by side |
//! | `rules` | which rule has which scenarios: the table of the README |

#[path = "../support/mod.rs"]
mod support;

mod actions;
mod compare;
mod objects;
mod options;
mod peers;
mod play;
mod rules;
mod scenario;
mod trace;
mod values;
mod vocabulary;

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use scenario::Case;

/// As many scenarios at a time as small machines have cores. More would only make them late.
const THREADS: usize = 2;

/// Every scenario of the folder, or of the one that `HALFCLOSE_SCENARIOS` names; only those whose path contains
/// `HALFCLOSE_SCENARIO_FILTER`, if that is set.
#[test]
fn every_scenario_goes_as_in_node() {
    let files = scenario::files();
    assert!(!files.is_empty(), "no scenario in {}", scenario::folder().display());
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = Case::read(file).and_then(|case| case.check());
                    println!("{} {}", if outcome.is_ok() { "ok    " } else { "FAILED" }, scenario::shown(file));
                    if let Err(problem) = outcome {
                        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                        failures.push(format!("{}: {problem}", scenario::shown(file)));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort();
    println!("{} scenarios, {} differences", files.len(), failures.len());
    assert!(
        failures.is_empty(),
        "\n\n{}\n{} of {} scenarios differ",
        failures.join("\n\n"),
        failures.len(),
        files.len()
    );
}

/// For `differ.js`: plays the scenarios that `HALFCLOSE_SCENARIOS` names, which need no recordings, and writes what each
/// did to the file that `HALFCLOSE_OWN_TRACES` names, as `record.js --print` prints it.
#[test]
#[ignore = "compares nothing; differ.js does"]
fn own_traces_for_the_differential_run() {
    let Some(place) = std::env::var_os("HALFCLOSE_OWN_TRACES") else {
        println!("HALFCLOSE_OWN_TRACES does not say where the traces go");
        return;
    };
    let files = scenario::files();
    let next = AtomicUsize::new(0);
    let out = Mutex::new(std::fs::File::create(place).expect("the file for the traces"));
    std::thread::scope(|scope| {
        // They wait most of the time, for timers.
        for _ in 0..THREADS * 3 {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let line = match scenario::own_traces(file) {
                        Ok(traces) => serde_json::json!({ "file": file, "traces": traces }),
                        Err(problem) => serde_json::json!({ "file": file, "problem": problem }),
                    };
                    let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                    writeln!(out, "{line}").expect("the file for the traces");
                }
            });
        }
    });
}

/// A few scenarios of `differ.js` go as in the Node that is found, so that it works when it is needed.
#[test]
fn generated_scenarios_go_as_in_node() {
    let Some(node) = support::node() else { return };
    let differ = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/differ.js");
    let player = std::env::current_exe().expect("the path of this test");
    let mut command = std::process::Command::new(node);
    command.arg(differ).args(["--seed", "1", "--count", "50", "--player"]).arg(player);
    let output = support::within(std::time::Duration::from_secs(60), || command.output()).expect("node runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(2) {
        println!("skipped: {complained}");
        return;
    }
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("50 scenarios"), "{said}{complained}");
}

/// The table in the README says what the scenarios say. `HALFCLOSE_WRITE_TABLE=1` writes it anew.
#[test]
fn the_table_of_rules_is_up_to_date() {
    rules::check_table();
}
