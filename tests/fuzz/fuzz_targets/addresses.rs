//! The fuzzer's entry to `tests/fuzzed/checks/addresses.rs`, which says what is checked.
//!
//! May touch: that check. Invariant: what fails here fails in `cargo test --test fuzzed` as well, with the same bytes.

#![no_main]

#[path = "../../fuzzed/checks/addresses.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
