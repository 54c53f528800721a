//! The fuzzer's entry to `checks/text.rs`, which says what is checked.
//!
//! May touch: that check. Invariant: what fails here fails in `tests/fuzzed.rs` as well, with the same bytes.

#![no_main]

#[path = "../checks/text.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
