//! The fuzzer's entry to the storm (`tests/storm/README.md`): its bytes decide the program and the weather.
//!
//! May touch: the storm's modules. Invariant: what fails here fails in `cargo test --test storm` as well, with the same bytes.

#![no_main]

#[path = "../../storm/commands.rs"]
mod commands;
#[path = "../../storm/content.rs"]
mod content;
#[path = "../../storm/generator.rs"]
mod generator;
#[path = "../../support/heap.rs"]
mod heap;
#[path = "../../storm/model.rs"]
mod model;
#[path = "../../storm/report.rs"]
mod report;
#[path = "../../storm/run.rs"]
mod run;
#[path = "../../storm/servers.rs"]
mod servers;
#[path = "../../storm/storm.rs"]
mod storm;
#[path = "../../storm/weather.rs"]
mod weather;
#[path = "../../storm/witness.rs"]
mod witness;

libfuzzer_sys::fuzz_target!(
    // The fuzzer ends the process with every panic; those that a storm plans are none of its findings.
    init: run::silence_planned_panics(),
    |bytes: &[u8]| if let Err(report) = report::judge(generator::Origin::Bytes(bytes)) {
        panic!("\n{report}");
    }
);
