//! The inputs in `corpora`: a line each, in hexadecimal digits; lines that begin with `#` are remarks.
//!
//! May touch: those files. Invariant: what is read is what was written, byte for byte.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the inputs of a target are stored.
pub(crate) fn place_of(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzzed/corpora").join(target).with_extension("txt")
}

pub(crate) fn stored(target: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(place_of(target)).expect("a stored corpus");
    text.lines().filter(|line| !line.starts_with('#')).map(from_hexadecimal).collect()
}

fn from_hexadecimal(line: &str) -> Vec<u8> {
    let pairs = line.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("two digits")).collect()
}

#[test]
fn inputs_are_read_as_they_were_written() {
    assert_eq!(from_hexadecimal("00ff10"), [0, 255, 16]);
    assert!(from_hexadecimal("").is_empty());
}
