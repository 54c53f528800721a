//! Connections that come and go: a short run of `benches/churn`, and that it would see a leak.
//!
//! May touch: `benches/churn`, child processes, `/proc`, the process's allocator. Invariants: a run has the process to
//! itself, so runs come one after the other; no test depends on how fast anything is.

#![cfg(target_os = "linux")]

#[path = "../benches/churn/addresses.rs"]
mod addresses;
#[path = "../benches/churn/callers.rs"]
mod callers;
#[path = "../benches/churn/clients.rs"]
mod clients;
#[path = "../benches/churn/foreign_servers.rs"]
mod foreign_servers;
#[path = "support/heap.rs"]
mod heap;
#[path = "../benches/churn/run.rs"]
mod run;
#[path = "../benches/churn/samples.rs"]
mod samples;
#[path = "../benches/churn/servers.rs"]
mod servers;
mod support;

use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use run::Plan;
use samples::{Run, Sample};
use servers::{LIFETIME, Leak};
// The files of the program name it so.
use support::random;

/// Connections of a run: some seconds in the debug build.
const CONNECTIONS: u64 = 3_000;

/// Enough for thirds of three samples.
const ROUNDS: u64 = 10;

/// What a run may take on a slow machine. It has no part in what is judged.
const LIMIT: Duration = Duration::from_secs(120);

/// What is wrong after a run, with resident memory left out: thousands of connections are too few to tell what an
/// allocator keeps from what leaks.
fn complaints_of(plan: &Plan) -> Vec<String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let binary = std::env::current_exe().expect("this binary");
    let mut clients = Command::new(binary);
    clients.args(["--ignored", "--exact", "--nocapture", "--test-threads=1", "the_clients"]);
    let run = support::within(LIMIT, || run::run(plan, clients, || heap::held() as i64, |_| {}).expect("a run"));
    let tally = run.tally;
    assert_eq!(run.samples.len() as u64, plan.rounds + 2);
    assert!(tally.connections >= plan.connections / plan.rounds * plan.rounds, "{tally:?}");
    // So it was no run in which everybody was turned away.
    assert!(tally.answered > tally.connections / 4, "{tally:?}");
    assert!(run.samples.last().is_some_and(|last| last.called > 0), "{:?}", run.samples);
    run.complaints().into_iter().filter(|complaint| !complaint.starts_with("resident")).collect()
}

fn plan() -> Plan {
    Plan { connections: CONNECTIONS, rounds: ROUNDS, seed: 7, leak: None, limit: LIMIT, rest: LIFETIME }
}

/// Not a test: the process of the clients.
#[test]
#[ignore = "run by the others, in a process of its own"]
fn the_clients() {
    run::obey(std::io::stdin().lock(), std::io::stdout()).expect("commands");
}

#[test]
fn nothing_is_left_behind() {
    assert_eq!(complaints_of(&plan()), Vec::<String>::new());
}

#[test]
fn leaked_bytes_are_seen() {
    let complaints = complaints_of(&Plan { leak: Some(Leak::Bytes), ..plan() });
    assert!(matches!(&complaints[..], [only] if only.starts_with("heap: grew from ")), "{complaints:?}");
}

#[test]
fn leaked_descriptors_are_seen() {
    let complaints = complaints_of(&Plan { leak: Some(Leak::Descriptor), ..plan() });
    let both = |[first, second]: &[String; 2]| {
        first.starts_with("descriptors: ")
            && second.starts_with("descriptors: ")
            && second.contains("the loop was gone")
    };
    assert!(<&[String; 2]>::try_from(&complaints[..]).is_ok_and(both), "{complaints:?}");
}

#[test]
fn leaked_slots_are_seen() {
    let few = Plan { leak: Some(Leak::Slot), rounds: 3, rest: Duration::from_millis(100), ..plan() };
    let complaints = complaints_of(&few);
    assert!(complaints.first().is_some_and(|first| first.starts_with("sockets: ")), "{complaints:?}");
}

/// A run whose heap was this after its rounds, and everything else as it should be.
fn run_of(heap: &[i64]) -> Run {
    let first = Sample { descriptors: 9, timers: 1, ..Sample::default() };
    let samples = heap.iter().map(|&heap| Sample { heap, ..first });
    Run { samples: std::iter::once(first).chain(samples).collect(), descriptors: (3, 3), ..Run::default() }
}

/// What goes up and down is flat, and so is what grew once, whenever that was; what grows from third to third is not.
#[test]
fn growth_is_told_from_noise() {
    assert_eq!(run_of(&[10_000, 50_000, 99_000, 50_000, 99_000, 70_000]).complaints(), Vec::<String>::new());
    for step in 0..12 {
        let heap: Vec<i64> = (0..12).map(|round| if round < step { 10_000 } else { 90_000 }).collect();
        assert_eq!(run_of(&heap).complaints(), Vec::<String>::new(), "grown after {step} rounds");
    }
    let steadily: Vec<i64> = (0..12).map(|round| 10_000 + 3_000 * round).collect();
    assert_eq!(run_of(&steadily).complaints().len(), 1);
    // 8,000 a round among 20,000 up and down: half of a third is 24,000, which is a page more.
    let noisily: Vec<i64> = (0..20).map(|round| 10_000 + 8_000 * round + 19_000 * (round % 2)).collect();
    assert_eq!(run_of(&noisily).complaints().len(), 1);
    // Less than a page from third to third.
    let hardly: Vec<i64> = (0..12).map(|round| 10_000 + 900 * round).collect();
    assert_eq!(run_of(&hardly).complaints(), Vec::<String>::new());
    assert_eq!(run_of(&[1, 2]).complaints(), ["heap: too few samples", "resident: too few samples"]);
}

/// Counts are exact.
#[test]
fn one_too_many_is_one_too_many() {
    let good = run_of(&[1; 9]).samples[9];
    let spoilt = [
        (Sample { descriptors: 10, ..good }, "descriptors: 10 "),
        (Sample { open: 1, ..good }, "sockets: 1 "),
        (Sample { unfinished: 1, ..good }, "connections that are not over: 1 "),
        (Sample { timers: 2, ..good }, "timers: 2 "),
    ];
    for (sample, expected) in spoilt {
        let mut run = run_of(&[1; 9]);
        run.samples[9] = sample;
        let complaints = run.complaints();
        assert!(matches!(&complaints[..], [only] if only.starts_with(expected)), "{complaints:?}");
        assert!(run.conclusion().contains("NOT FLAT"));
    }
    let mut run = run_of(&[1; 9]);
    assert!(run.conclusion().ends_with("flat"));
    run.descriptors.1 = 4;
    assert_eq!(run.complaints().len(), 1);
    run.descriptors.1 = 3;
    run.tally.wronged = 1;
    assert_eq!(run.complaints().len(), 1);
    assert_eq!(Run::default().complaints(), ["there are no samples"]);
}
