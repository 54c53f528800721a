//! Rules about the manual: what the documentation of a public function holds.
//!
//! May touch: the sources. A text does not show whether an explanation is a good one; that its example runs is what
//! `cargo test --doc` shows, and that it asserts something is for the reader to see.

use crate::source::{Source, name_at, places_of};

/// The files of `src` that the rules hold in; a name that ends with `/` is a folder with all that is in it.
pub(crate) const COVERED: [&str; 6] = ["addresses/", "error.rs", "event_loop/", "net/", "timers.rs", "watches.rs"];

/// What a function says when there is nothing to link to.
const NOT_IN_NODE: &str = "Not in Node";

/// Where Node's documentation is.
const NODE: &str = "https://nodejs.org/api/";

/// Whether the rules hold in a file.
pub(crate) fn covers(covered: &str, path: &str) -> bool {
    covered == path || (covered.ends_with('/') && path.starts_with(covered))
}

/// Every public function has an example that is run, and names what it mirrors with a link, or says that Node has no such
/// thing. Every link that is defined is used: the name in the text and the name of the definition are the same.
pub(crate) fn functions_are_explained(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    if !COVERED.iter().any(|covered| covers(covered, &source.path)) {
        return findings;
    }
    for (at, name) in public_functions(source) {
        let documentation = documentation_above(source, at);
        let place = source.place(at);
        if !has_example(&documentation) {
            findings.push(format!("{place}: {name} has no example that is run"));
        }
        let links: Vec<&str> = documentation.iter().filter_map(|line| linked_name(line)).collect();
        if links.is_empty() && !documentation.join(" ").contains(NOT_IN_NODE) {
            findings.push(format!("{place}: {name} names nothing of Node's"));
        }
        for link in links {
            let used = |line: &&&str| linked_name(line).is_none() && line.contains(link);
            if documentation.iter().find(used).is_none() {
                findings.push(format!("{place}: {name} does not use its link {link}"));
            }
        }
    }
    findings
}

/// Where they begin, and their names. In a macro the name may be a variable: then the call of the macro has the functions.
fn public_functions(source: &Source) -> Vec<(usize, &str)> {
    let mut functions = Vec::new();
    for word in ["pub fn", "pub const fn", "pub unsafe fn"] {
        for at in places_of(&source.product, word) {
            let name = name_at(&source.product, at + word.len() + 1);
            if !name.is_empty() {
                functions.push((at, name));
            }
        }
    }
    functions
}

/// The lines of the doc comment of the item at `at`, without their slashes.
fn documentation_above(source: &Source, at: usize) -> Vec<&str> {
    let start = source.code[..at].rfind([';', '{', '}']).map_or(0, |end| end + 1);
    source.text[start..at].lines().filter_map(|line| line.trim().strip_prefix("///")).map(str::trim_start).collect()
}

/// Whether there is a piece of code that rustdoc runs: one without a word behind its quotes.
fn has_example(documentation: &[&str]) -> bool {
    let mut inside = false;
    for line in documentation {
        if let Some(word) = line.strip_prefix("```") {
            if !inside && (word.is_empty() || word == "should_panic") {
                return true;
            }
            inside = !inside;
        }
    }
    false
}

/// The name, with its brackets, that a line defines as a place in Node's documentation: "[`a.b()`]" of
/// "[`a.b()`]: https://nodejs.org/api/a.html#ab".
fn linked_name(line: &str) -> Option<&str> {
    let (name, target) = line.split_once(": ")?;
    let (page, anchor) = target.strip_prefix(NODE)?.split_once(".html#")?;
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-".contains(letter);
    let known = !page.is_empty() && page.chars().all(plain) && !anchor.is_empty() && anchor.chars().all(plain);
    (known && name.starts_with('[') && name.ends_with(']')).then_some(name)
}
