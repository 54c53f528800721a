//! Rules about words: what may be written where.
//!
//! May touch: the sources. Each rule looks at code, never at comments or literals, except where its subject is a comment.

use crate::source::{Source, closing, places_of};

/// A place at which a rule makes an exception, and why.
pub(crate) struct Exception {
    pub(crate) path: &'static str,
    pub(crate) word: &'static str,
    pub(crate) why: &'static str,
}

/// Law 7: `unsafe`, `libc` and conditions on the target stand below `sys` only.
pub(crate) fn the_system_is_reached_through_sys(source: &Source) -> Vec<String> {
    if source.top() == "sys" {
        return Vec::new();
    }
    let mut findings = words(source, &source.code, &["unsafe", "libc"]);
    for attribute in ["cfg", "cfg_attr"] {
        for at in places_of(&source.code, attribute) {
            let rest = source.code[at + attribute.len()..].trim_start_matches('!');
            let open = source.code.len() - rest.len();
            if rest.starts_with('(') && names_a_target(&source.text[open..closing(&source.code, open)]) {
                findings.push(format!("{}: {attribute} of the target", source.place(at)));
            }
        }
    }
    findings
}

fn names_a_target(condition: &str) -> bool {
    condition.contains("target_") || ["unix", "windows"].iter().any(|word| places_of(condition, word).next().is_some())
}

/// Law 7: every `unsafe` block and implementation follows a comment that says why it is sound, directly above its
/// statement. An `unsafe fn` says in its documentation what it asks for, unless the trait says it.
pub(crate) fn unsafe_code_says_why(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for at in places_of(&source.code, "unsafe") {
        let follows = source.code[at + "unsafe".len()..].trim_start();
        let is_function = follows.starts_with("fn") || follows.starts_with("extern");
        if is_function && head_of_block(source, at).contains("unsafe impl") {
            continue;
        }
        let wanted = if is_function { "# Safety" } else { "SAFETY:" };
        if !comment_above(source, at).contains(wanted) {
            findings.push(format!("{}: unsafe without `{wanted}` above it", source.place(at)));
        }
    }
    findings
}

/// The comment above the statement or item that holds `at`, with what stands between.
fn comment_above(source: &Source, at: usize) -> &str {
    let statement = source.code[..at].rfind([';', '{', '}']).map_or(0, |end| end + 1);
    &source.text[statement..at]
}

/// What stands before the block that holds `at`: `unsafe impl X for Y`.
fn head_of_block(source: &Source, at: usize) -> &str {
    let mut depth = 0_usize;
    for (place, byte) in source.code[..at].bytes().enumerate().rev() {
        match byte {
            b'}' => depth += 1,
            b'{' if depth == 0 => {
                let start = source.code[..place].rfind([';', '{', '}']).map_or(0, |end| end + 1);
                return &source.code[start..place];
            }
            b'{' => depth -= 1,
            _ => {}
        }
    }
    ""
}

/// Law 2: the loop of a thread is found through one thread-local, in one file. It has no destructor of its own there.
pub(crate) fn thread_locals_are_in_one_file(source: &Source) -> Vec<String> {
    if source.path == "event_loop/current.rs" {
        return Vec::new();
    }
    words(source, &source.code, &["thread_local!", "thread_local"])
}

/// The reactor and the floor below own their state: nothing is shared, nothing is borrowed at run time. A `OnceCell` may
/// be there: it is written once and has no borrow that could fail.
pub(crate) fn state_is_owned(source: &Source) -> Vec<String> {
    if !matches!(source.top(), "reactor" | "sys") {
        return Vec::new();
    }
    let forbidden = ["Rc", "RefCell", "Cell", "UnsafeCell", "std::rc", "std::cell::*"];
    words(source, &source.product, &forbidden)
}

/// The reactor knows callbacks by their numbers: it stores no closure and calls none of the user's.
pub(crate) fn the_reactor_stores_no_closures(source: &Source) -> Vec<String> {
    if source.top() != "reactor" {
        return Vec::new();
    }
    words(source, &source.product, &["dyn Fn", "dyn FnMut", "dyn FnOnce", "fn(", "fn ("])
}

/// An arm for all the rest would swallow the next variant of an enum of ours.
pub(crate) fn the_reactor_matches_exhaustively(source: &Source) -> Vec<String> {
    if source.top() != "reactor" {
        return Vec::new();
    }
    let arms = places_of(&source.product, "_").filter(|&at| {
        let rest = source.product[at + 1..].trim_start();
        rest.starts_with("=>") || rest.starts_with("if ")
    });
    arms.map(|at| format!("{}: _ =>", source.place(at))).collect()
}

/// Nothing that was only there while the code was written.
pub(crate) fn nothing_is_left_over(source: &Source) -> Vec<String> {
    words(source, &source.code, &["todo!", "unimplemented!", "dbg!", "print!", "println!", "eprint!", "eprintln!"])
}

/// What panics by its name. Indexing and arithmetic panic as well; no word tells where.
pub(crate) fn what_panics(source: &Source) -> Vec<String> {
    let panicking = [
        "panic!",
        "unreachable!",
        "assert!",
        "assert_eq!",
        "assert_ne!",
        "debug_assert!",
        "debug_assert_eq!",
        "debug_assert_ne!",
        "unwrap()",
        ".unwrap_err()",
        ".expect(",
        ".expect_err(",
    ];
    words(source, &source.product, &panicking)
}

/// Tests wait for what they want to see, never for a while.
pub(crate) fn tests_do_not_sleep(source: &Source) -> Vec<String> {
    words(source, &source.code, &["sleep(", "sleep_ms(", "sleep_until("])
}

/// Every file says first what it is, what it may touch, and what holds in it.
pub(crate) fn files_introduce_themselves(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    let silent = !first.starts_with("//! ") || first.trim().len() < "//! A word.".len();
    silent.then(|| format!("{}:1: does not begin with //!", source.path)).into_iter().collect()
}

/// Nobody reads further than this in one sitting: a file has one subject and rarely needs 500 lines.
pub(crate) const MOST_LINES: usize = 700;

pub(crate) fn files_are_short(source: &Source) -> Vec<String> {
    let unit_tests = source.code.lines().zip(source.product.lines()).filter(|(code, product)| code != product).count();
    let lines = source.text.lines().count() - unit_tests;
    (lines > MOST_LINES).then(|| format!("{}: {lines} lines", source.path)).into_iter().collect()
}

/// Every dependency says in a comment above it what it is needed for.
pub(crate) fn dependencies_say_what_for(manifest: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let (mut in_dependencies, mut previous) = (false, "");
    for line in manifest.lines().map(str::trim_end) {
        if line.starts_with('[') {
            in_dependencies = line.trim_end_matches(']').ends_with("dependencies");
            let table_of_one = !in_dependencies && line.contains("dependencies.");
            if table_of_one && !previous.starts_with('#') {
                findings.push(format!("{line} without a comment above it"));
            }
        } else if in_dependencies && begins_a_dependency(line) && !previous.starts_with('#') {
            findings.push(format!("{line} without a comment above it"));
        }
        previous = line;
    }
    findings
}

/// The lines of a value that goes on are indented, or begin with its closing bracket.
fn begins_a_dependency(line: &str) -> bool {
    line.starts_with(|letter: char| letter.is_ascii_alphabetic()) && line.contains('=')
}

fn words(source: &Source, code: &str, forbidden: &[&str]) -> Vec<String> {
    let places = forbidden.iter().flat_map(|word| places_of(code, word).map(|at| (at, *word)).collect::<Vec<_>>());
    places.map(|(at, word)| format!("{}: {word}", source.place(at))).collect()
}

/// Takes the findings at places with an exception away, and reports exceptions that nothing needs any more.
pub(crate) fn without(exceptions: &[Exception], findings: Vec<String>) -> Vec<String> {
    let mut used = vec![false; exceptions.len()];
    let mut left: Vec<String> = Vec::new();
    for finding in findings {
        let excused = exceptions.iter().position(|exception| {
            let place = finding.split_once(':').is_some_and(|(path, _)| path == exception.path);
            place && finding.ends_with(&format!(": {}", exception.word))
        });
        match excused {
            Some(exception) => used[exception] = true,
            None => left.push(finding),
        }
    }
    let unused = exceptions.iter().zip(used).filter(|(_, used)| !used);
    left.extend(unused.map(|(exception, _)| {
        format!("{}: no {} any more: take the exception away ({})", exception.path, exception.word, exception.why)
    }));
    left
}
