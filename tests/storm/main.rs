//! A storm: random programs, checked against the laws in every turn and at the end. See `README.md` beside this file.
//!
//! May touch: the public API. Invariant: a seed is a whole run, and a seed that failed once is run for ever after
//! (`seeds.txt`).

mod commands;
mod content;
mod generator;
#[path = "../support/heap.rs"]
mod heap;
mod model;
mod report;
mod run;
mod servers;
#[path = "../fuzzed/stored.rs"]
mod stored;
mod storm;
mod weather;
mod witness;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use generator::Origin;

/// As many as take a few seconds without optimisation.
const USUAL: Range<u64> = 0..1_000;

/// After so many failures the rest says nothing new.
const MOST_FAILURES: usize = 10;

/// Runs seeds on as many threads as there are processors: a thread has one loop.
fn season(seeds: Range<u64>) {
    run::silence_planned_panics();
    let start = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if let Err(report) = report::judge(Origin::Seed(seed)) {
                        println!("{report}");
                        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                        failures.push(seed);
                        if failures.len() >= MOST_FAILURES {
                            return;
                        }
                    }
                }
            });
        }
    });
    let ran = next.into_inner().min(seeds.end) - seeds.start;
    println!("{ran} seeds ({seeds:?}) in {:.1?}", start.elapsed());
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failures.is_empty(), "these seeds failed: {failures:?}");
}

/// `STORM_SEEDS=from..to` says which seeds; without it, the usual ones.
#[test]
fn storms() {
    let seeds = match std::env::var("STORM_SEEDS") {
        Ok(text) => range(&text).unwrap_or_else(|| panic!("STORM_SEEDS is from..to, and not {text:?}")),
        Err(_) => USUAL,
    };
    season(seeds);
}

fn range(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.split_once("..")?;
    Some(from.trim().parse().ok()?..to.trim().parse().ok()?)
}

/// What failed once.
#[test]
fn seeds_that_failed() {
    run::silence_planned_panics();
    for line in include_str!("seeds.txt").lines() {
        let seed = line.split('#').next().unwrap_or_default().trim();
        if !seed.is_empty() {
            if let Err(report) = report::judge(Origin::Seed(seed.parse().expect("a number"))) {
                panic!("\n{report}");
            }
        }
    }
}

/// What a fuzzer found worth keeping: `tests/fuzz/README.md`.
#[test]
fn inputs_of_the_fuzzer() {
    run::silence_planned_panics();
    let inputs = stored::stored("storm");
    assert!(inputs.len() >= 50, "{} inputs", inputs.len());
    for input in inputs {
        if let Err(report) = report::judge(Origin::Bytes(&input)) {
            panic!("\n{report}");
        }
    }
}
