//! The README's table of Node's members, held against the sources: what it names is there and has a test, and what is
//! there is named.
//!
//! May touch: std, and the files of this package as text. Invariant: each rule shows on bad rows that it would notice.

use std::collections::BTreeSet;

use crate::source::{Source, is_name_letter, places_of, sources};

/// One row: Node's member, what is here, and the state.
struct Row {
    line: String,
    here: String,
    state: String,
}

/// The rows of every table between the heading of the members and the next heading of its level.
fn rows(readme: &str) -> Vec<Row> {
    let part = readme.split("\n## ").find(|part| part.starts_with("Every member of Node's `net`")).expect("the part");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    part.lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|---") && !line.starts_with("| Node | here |"))
        .map(|line| match <[String; 3]>::try_from(cells(line)) {
            Ok([_, here, state]) => Row { line: line.to_owned(), here, state },
            Err(cells) => panic!("three cells: {line}: {cells:?}"),
        })
        .collect()
}

/// What a cell names in backticks: `Socket::write`, `create_server`, `Chunk`.
fn names(cell: &str) -> Vec<&str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    // `on_…`, `(host, port)` and the names of other crates are words, not members.
    quoted.filter(|name| name.chars().all(|letter| is_name_letter(letter) || letter == ':')).collect()
}

/// What the public interface offers, as far as a text shows it: the names of functions, constants and types.
fn offered(code: impl IntoIterator<Item = Source>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in code {
        for word in ["fn", "const", "struct", "enum", "mod"] {
            let declaration = format!("pub {word} ");
            for (at, _) in source.product.match_indices(&declaration) {
                found.insert(name_from(&source.product[at + declaration.len()..]));
            }
        }
        // `plain_event!(Connect, on_connect, once_connect, …)` declares two methods.
        for (at, start) in source.product.match_indices("plain_event!(") {
            found.extend(
                source.product[at + start.len()..].split(',').skip(1).take(2).map(|name| name_from(name.trim())),
            );
        }
    }
    found
}

fn name_from(text: &str) -> String {
    text.chars().take_while(|letter| is_name_letter(*letter)).collect()
}

/// What is wrong with a row. Types need no mention in a test: most are made by conversions and inferred.
fn complaints(row: &Row, offered: &BTreeSet<String>, tested: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut complain = |what: String| found.push(format!("{what}: {}", row.line));
    let here = names(&row.here);
    if row.state.starts_with("not applicable: ") {
        if !row.here.is_empty() {
            complain("not applicable, and yet here".into());
        }
    } else if !row.state.starts_with("have") && !row.state.starts_with("differs: ") {
        complain("a state of its own".into());
    } else if row.here.is_empty() {
        complain("nothing named".into());
    }
    // What the standard library brings is not ours to declare.
    let foreign = ["TcpListener", "UnixListener", "SocketAddr", "Path", "source"];
    for name in here.into_iter().filter(|name| !foreign.contains(name) && !name.starts_with("std::")) {
        for part in name.trim_start_matches("halfclose::").split("::").filter(|part| *part != "io" && *part != "Write")
        {
            if !offered.contains(part) {
                complain(format!("no {part} in the sources"));
            } else if part.starts_with(char::is_lowercase) && !tested.contains(part) {
                complain(format!("no test of {part}"));
            }
        }
    }
    found
}

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README")
}

/// Every name that the tests' code mentions.
fn tested() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources("tests") {
        found.extend(source.code.split(|letter| !is_name_letter(letter)).map(str::to_owned));
    }
    found
}

#[test]
fn rows_name_what_is_there_and_tested() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let row = |here: &str, state: &str| Row { line: here.into(), here: here.into(), state: state.into() };
    let there = set(&["Socket", "write", "cork"]);
    let used = set(&["Socket", "write"]);
    for (here, state, word) in [
        ("`Socket::scribble`", "have", "no scribble"),
        ("`Socket::cork`", "have", "no test of cork"),
        ("", "have", "nothing named"),
        ("`Socket::write`", "perhaps", "a state"),
        ("`Socket::write`", "not applicable: no", "and yet here"),
    ] {
        let found = complaints(&row(here, state), &there, &used);
        assert!(found.iter().any(|complaint| complaint.contains(word)), "not noticed: {here} {state} {found:?}");
    }
    assert!(complaints(&row("`Socket::write`, with a `Path`", "have"), &there, &used).is_empty());

    let (offered, tested) = (offered(sources("src")), tested());
    let rows = rows(&readme());
    assert!(rows.len() > 100, "{} rows", rows.len());
    let found: Vec<String> = rows.iter().flat_map(|row| complaints(row, &offered, &tested)).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Nothing public on floor 4 is left out of the README: it is in the table, or under "Not in Node".
#[test]
fn what_is_there_is_named() {
    let readme = readme();
    let users_call = sources("src").into_iter().filter(|source| ["net", "addresses"].contains(&source.top()));
    let missing = |offered: BTreeSet<String>, readme: &str| {
        offered.into_iter().filter(|name| places_of(readme, name).next().is_none()).collect::<Vec<_>>()
    };
    assert_eq!(missing(BTreeSet::from(["no_such_name".to_owned()]), &readme), ["no_such_name"]);
    let unnamed = missing(offered(users_call), &readme);
    assert!(unnamed.is_empty(), "not in the README: {unnamed:?}");
}
