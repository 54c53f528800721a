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

/// The table in the README says what the scenarios say. `HALFCLOSE_WRITE_TABLE=1` writes it anew.
#[test]
fn the_table_of_rules_is_up_to_date() {
    rules::check_table();
}
