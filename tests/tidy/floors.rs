//! Which floor may import which.
//!
//! May touch: the sources. The rule sees paths (`crate::…`, `super::…`), in `use` items and in expressions. It does not
//! see what is reached through a field of a value, such as `core.reactor`: there the compiler's `pub(super)` and the eye
//! of a reviewer stand guard.

use crate::source::{Source, closing, name_at, name_before, places_of};

/// Floors import downwards only. `error` and `addresses` are vocabulary below all of them and know the system's error
/// numbers and address families, nothing else. Floor 4 knows the floors below 3 only through what `event_loop` hands up; the one exception is the public type
/// `Family`. What `lib.rs` exports is for users: inside of the crate nobody takes the way through the map.
pub(crate) fn imports_go_down(source: &Source) -> Vec<String> {
    if source.path == "lib.rs" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (at, path) in imported_paths(source) {
        if let Err(why) = may_import(source, &path) {
            findings.push(format!("{}: {}: {why}", source.place(at), path.join("::")));
        }
    }
    findings
}

fn may_import(source: &Source, path: &[String]) -> Result<(), &'static str> {
    let from = floor_of(source.top());
    let Some(first) = path.first() else { return Err("the whole crate") };
    let to = floor_of(first);
    match (from, to) {
        (_, Floor::Unknown) => Err("no module of the crate: import it where it is defined"),
        (Floor::Unknown, _) => Err("a file that stands on no floor"),
        (Floor::Vocabulary, Floor::Vocabulary) => Ok(()),
        (Floor::Vocabulary, _) if path.iter().map(String::as_str).take(2).eq(["sys", "errno"]) => Ok(()),
        (Floor::Vocabulary, _) if path.iter().map(String::as_str).eq(["sys", "Family"]) => Ok(()),
        (Floor::Vocabulary, _) => Err("the vocabulary knows `sys::errno` and `sys::Family` only"),
        (_, Floor::Vocabulary) => Ok(()),
        (Floor::Number(4), Floor::Number(1)) if path.iter().map(String::as_str).eq(["sys", "Family"]) => Ok(()),
        (Floor::Number(4), Floor::Number(1 | 2)) => Err("floor 4 knows this only through `event_loop`"),
        (Floor::Number(from), Floor::Number(to)) if to <= from => Ok(()),
        (Floor::Number(_), Floor::Number(_)) => Err("upwards"),
    }
}

#[derive(Clone, Copy)]
enum Floor {
    Number(u8),
    Vocabulary,
    Unknown,
}

/// `module` is the first part of a path, of a module or of its file.
fn floor_of(module: &str) -> Floor {
    match module.strip_suffix(".rs").unwrap_or(module) {
        "net" | "timers" | "watches" | "simulation" => Floor::Number(4),
        "event_loop" => Floor::Number(3),
        "reactor" => Floor::Number(2),
        "sys" => Floor::Number(1),
        "error" | "addresses" => Floor::Vocabulary,
        _ => Floor::Unknown,
    }
}

/// Every path that is given from the root of the crate or from a parent module, from the root on: `["sys", "Time"]`. A
/// group gives a path for each of its members; what follows a closing bracket or a type's argument is not looked at.
fn imported_paths(source: &Source) -> Vec<(usize, Vec<String>)> {
    let code = &source.code;
    let mut paths = Vec::new();
    for at in places_of(code, "crate::") {
        // `pub(in crate::…)` is no import, and `$crate` is another crate's concern.
        if name_before(code, code[..at].trim_end().len()) != "in" {
            read_path(code, at + "crate::".len(), &[], &mut |path| paths.push((at, path)));
        }
    }
    for at in places_of(code, "super::") {
        if code[..at].ends_with("super::") {
            continue;
        }
        let mut base = module_at(source, at);
        let mut rest = at;
        while code[rest..].starts_with("super::") {
            base.pop();
            rest += "super::".len();
        }
        read_path(code, rest, &base, &mut |path| paths.push((at, path)));
    }
    paths
}

/// Reads one path, or each path of a group, that begins at `at` below the module `base`.
fn read_path(code: &str, at: usize, base: &[String], found: &mut impl FnMut(Vec<String>)) {
    let at = at + code[at..].len() - code[at..].trim_start().len();
    if code[at..].starts_with('{') {
        let end = closing(code, at);
        let mut member = at + 1;
        while member < end {
            read_path(code, member, base, found);
            member = next_member(code, member, end);
        }
        return;
    }
    let name = name_at(code, at);
    let mut path = base.to_vec();
    if !name.is_empty() && name != "self" {
        path.push(name.to_owned());
    }
    let after = at + name.len();
    if code[after..].starts_with("::") && !code[after..].starts_with("::<") {
        read_path(code, after + 2, &path, found);
    } else if !(path.is_empty() && code[after..].starts_with('}')) {
        found(path);
    }
}

/// Where the member of a group behind the one at `at` begins.
fn next_member(code: &str, mut at: usize, end: usize) -> usize {
    while at < end {
        match code.as_bytes()[at] {
            b'{' => at = closing(code, at),
            b',' => {
                let rest = &code[at + 1..end];
                // A comma behind the last member announces nobody.
                return if rest.trim().is_empty() { end } else { at + 1 };
            }
            _ => at += 1,
        }
    }
    end
}

/// The module that the code at `at` belongs to: that of the file, and those that are written inside of it.
fn module_at(source: &Source, at: usize) -> Vec<String> {
    let path = source.path.strip_suffix(".rs").unwrap_or(&source.path);
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    for word in places_of(&source.code[..at], "mod") {
        let name = name_at(&source.code, word + "mod ".len());
        let open = word + "mod ".len() + name.len();
        let inside =
            source.code[open..].trim_start().starts_with('{') && closing(&source.code, open_brace(source, open)) > at;
        if inside {
            module.push(name.to_owned());
        }
    }
    module
}

fn open_brace(source: &Source, from: usize) -> usize {
    source.code[from..].find('{').map_or(source.code.len(), |open| from + open)
}
