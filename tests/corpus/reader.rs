//! What Node answered: stored beside this file, and asked of a Node that is at hand.
//!
//! May touch: std, the files of this folder, and a `node` process that runs `record.js`. Invariant: what is not asked
//! is announced, never silently left out.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support;

/// Half of the block list came with it.
const OLDEST_NODE: u32 = 26;

/// One question and its answer: the fields of a line.
pub struct Case {
    /// Where it is from: the name of the corpus, its seed if it is not stored, and the line.
    pub place: String,
    pub fields: Vec<String>,
}

impl Case {
    /// The fields, from the outside: what is asked, its arguments, and the answer.
    #[track_caller]
    pub fn parts(&self) -> (&str, &[String], &str) {
        match self.fields.as_slice() {
            [question, arguments @ .., answer] => (question, arguments, answer),
            [] | [_] => panic!("{}: too few fields", self.place),
        }
    }
}

/// The answers that are stored in `name.txt`.
pub fn stored(name: &str) -> Vec<Case> {
    let path = folder().join(format!("{name}.txt"));
    read(name, &std::fs::read_to_string(path).expect("a stored corpus"))
}

/// The answers of the Node at hand to the questions that `seed` gives. `None`, and announced, without a Node that is
/// new enough.
pub fn live(name: &str, seed: u32, cases: usize) -> Option<Vec<Case>> {
    let node = support::node()?;
    let version = output(Command::new(&node).arg("--version"));
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST_NODE) {
        println!("skipped: {} is {}, older than {OLDEST_NODE}", node.display(), version.trim());
        return None;
    }
    let numbers = ["--seed".to_owned(), seed.to_string(), "--cases".to_owned(), cases.to_string()];
    let text = output(Command::new(node).arg(folder().join("record.js")).args(["--print", name]).args(numbers));
    Some(read(&format!("{name}, seed {seed}"), &text))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("node starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn read(name: &str, text: &str) -> Vec<Case> {
    let case = |(number, line): (usize, &str)| Case {
        place: format!("{name}, line {}", number + 1),
        fields: line.split('\t').map(unescape).collect(),
    };
    text.lines().enumerate().map(case).collect()
}

/// `\\` and `\xHH`, as `record.js` writes them.
fn unescape(field: &str) -> String {
    let mut text = String::new();
    let mut rest = field;
    while let Some((before, escape)) = rest.split_once('\\') {
        text.push_str(before);
        rest = match escape.strip_prefix('x') {
            Some(digits) => {
                text.push(char::from(u8::from_str_radix(&digits[..2], 16).expect("two digits")));
                &digits[2..]
            }
            None => {
                text.push('\\');
                &escape[1..]
            }
        };
    }
    text.push_str(rest);
    text
}
