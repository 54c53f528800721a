//! Tests that change what is the whole process's run in a process of their own: this binary again, told to run one test
//! that is ignored otherwise.
//!
//! May touch: std. Invariant: a child is waited for; it ends by its own deadline.

use std::ffi::OsString;
use std::process::{Command, Stdio};

/// What the lines begin with by which a child tells its parent something.
const MARK: &str = "told: ";

/// Tells the parent something.
pub(crate) fn tell(text: impl std::fmt::Display) {
    // The harness may have begun the line.
    println!("\n{MARK}{text}");
}

/// Runs the ignored test `name` (with its module) in a process of its own, and gives what it told.
#[track_caller]
pub(crate) fn alone(name: &str) -> Vec<String> {
    behind(&[], name)
}

/// The same behind a program that runs another one: `strace`, with its options.
#[track_caller]
pub(crate) fn behind(wrapper: &[&str], name: &str) -> Vec<String> {
    let binary = std::env::current_exe().expect("this binary").into_os_string();
    let arguments = ["--ignored", "--exact", "--nocapture", "--test-threads=1", name].map(OsString::from);
    let mut words = wrapper.iter().map(OsString::from).chain([binary]).chain(arguments);
    let mut command = Command::new(words.next().expect("a program"));
    if !wrapper.is_empty() {
        // Of a sanitizer, where the tests are built with one: it looks for leaks by tracing, and there is one tracer only.
        command.env("LSAN_OPTIONS", "detect_leaks=0");
    }
    let output = command.args(words).stdin(Stdio::null()).output().expect("a process of its own");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{wrapper:?} {name}: {}\n{text}\n{errors}", output.status);
    text.lines().filter_map(|line| line.strip_prefix(MARK)).map(str::to_owned).collect()
}

/// Whether a program runs here and does what it is needed for. What is missing is announced.
pub(crate) fn can(program: &str, arguments: &[&str]) -> bool {
    let outcome =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let can = outcome.is_ok_and(|status| status.success());
    if !can {
        println!("skipped: `{program} {}` does not work here", arguments.join(" "));
    }
    can
}
