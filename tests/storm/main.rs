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
mod run;
mod servers;
mod storm;
mod weather;
mod witness;

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use content::Content;

/// As many as take a few seconds without optimisation.
const USUAL: Range<u64> = 0..1_000;

/// How much of a run's end is shown when it failed.
const SHOWN: usize = 400;

/// After so many failures the rest says nothing new.
const MOST_FAILURES: usize = 10;

fn content() -> &'static Content {
    static CONTENT: OnceLock<Content> = OnceLock::new();
    CONTENT.get_or_init(Content::new)
}

/// Runs a seed; a failure is run again, to be told.
fn weather(seed: u64) -> Result<(), String> {
    let Err(failure) = run::run(seed, content(), false) else { return Ok(()) };
    let (second, trace) = match run::run(seed, content(), true) {
        Err(again) => (again.violation, again.trace),
        Ok(()) => (String::from("nothing"), Vec::new()),
    };
    let mut report = String::new();
    for line in trace.iter().skip(trace.len().saturating_sub(SHOWN)) {
        let _ = writeln!(report, "  {line}");
    }
    let _ = writeln!(report, "STORM_SEEDS={seed}..{}: {}", seed + 1, failure.violation);
    if second != failure.violation {
        let _ = writeln!(report, "the second time: {second}");
    }
    Err(report)
}

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
                    if let Err(report) = weather(seed) {
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
            if let Err(report) = weather(seed.parse().expect("a number")) {
                panic!("\n{report}");
            }
        }
    }
}
