//! What a fuzzer found worth keeping, without the fuzzer: each input of `corpora`, through the same check.
//!
//! May touch: those files, and what the checks touch. Invariant: every corpus is there, and is what its fuzzer left of it.
//!
//! `tests/fuzz/README.md` says how they come to be: two tests here, which are ignored, write them to files for the fuzzer and
//! read what it leaves. Those of the storm go through `tests/storm`, which needs a feature.

#[path = "checks/addresses.rs"]
mod addresses;
#[path = "checks/block_list.rs"]
mod block_list;
mod stored;
#[path = "../support/mod.rs"]
mod support;
#[path = "checks/text.rs"]
mod text;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stored::{place_of, stored};

/// The fuzzer's targets, by the names of their folders.
const TARGETS: [&str; 4] = ["addresses", "block_list", "storm", "text"];

/// For some thousand inputs on a machine that is busy.
const LONG: Duration = Duration::from_secs(120);

/// Where the fuzzer has them.
fn files_of(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target)
}

#[track_caller]
fn replay(target: &str, check: impl Fn(&[u8])) {
    support::within(LONG, || {
        let inputs = stored(target);
        assert!(inputs.len() >= 50, "{target}: {} inputs", inputs.len());
        for input in inputs {
            check(&input);
        }
    });
}

#[test]
fn texts_of_addresses() {
    replay("addresses", addresses::check);
}

#[test]
fn block_lists() {
    replay("block_list", block_list::check);
}

#[test]
fn text_in_pieces() {
    replay("text", text::check);
}

#[test]
#[ignore = "writes files for the fuzzer"]
fn write_files() {
    for target in TARGETS {
        let corpus = files_of(target);
        fs::create_dir_all(&corpus).expect("a folder");
        for (number, input) in stored(target).iter().enumerate() {
            fs::write(corpus.join(format!("stored-{number}")), input).expect("a file");
        }
    }
}

#[test]
#[ignore = "reads what the fuzzer left"]
fn read_files() {
    for target in TARGETS {
        let files = fs::read_dir(files_of(target)).expect("a corpus");
        let mut inputs: Vec<Vec<u8>> =
            files.map(|file| fs::read(file.expect("a file").path()).expect("its bytes")).collect();
        inputs.sort_by_key(|input| (input.len(), input.clone()));
        inputs.dedup();
        let line = |input: &Vec<u8>| input.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
        let text: String = inputs.iter().map(line).collect();
        fs::write(place_of(target), text).expect("a stored corpus");
    }
}
