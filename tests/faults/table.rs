//! The table of faults and promises, held against the tree: every row is there once, and every test that a row names exists.
//!
//! May touch: std, and the files of this package as text. Invariant: each rule shows on bad rows that it would notice.

use std::collections::BTreeMap;
use std::path::Path;

/// How many faults and promises there are.
const FAULTS: usize = 46;
const PROMISES: usize = 17;

/// One row: its number, what is expected, what shows it, the result.
struct Row {
    number: String,
    shown_by: String,
    result: String,
}

fn rows(table: &str) -> Vec<Row> {
    let lines = table.lines().filter(|line| line.starts_with("| FM") || line.starts_with("| SP"));
    lines
        .map(|line| {
            let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            match <[String; 4]>::try_from(cells) {
                Ok([number, _, shown_by, result]) => Row { number, shown_by, result },
                Err(cells) => panic!("four cells: {line}: {cells:?}"),
            }
        })
        .collect()
}

/// What a cell names in backticks, as `path::test`; more tests of the same file follow as `::test`.
fn names(cell: &str) -> Vec<(String, String)> {
    let mut file = String::new();
    let quoted = cell.split('`').skip(1).step_by(2);
    let tests = quoted.filter_map(|name| {
        let (path, test) = name.rsplit_once("::")?;
        if !path.is_empty() {
            file = path.to_owned();
        }
        Some((file.clone(), test.to_owned()))
    });
    tests.collect()
}

/// What is wrong with the rows, where `has` tells whether a file has a test.
fn complaints(rows: &[Row], has: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows {
        let named = names(&row.shown_by);
        for (path, test) in &named {
            if !has(path, test) {
                found.push(format!("{}: no test {test} in {path}", row.number));
            }
        }
        let known = ["holds", "open: ", "not tested: ", "partly: "].iter().find(|word| row.result.starts_with(**word));
        match known {
            None => found.push(format!("{}: a result of its own: {}", row.number, row.result)),
            Some(&"holds" | &"partly: ") if named.is_empty() => found.push(format!("{}: nothing shows it", row.number)),
            Some(_) => {}
        }
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (kind, last) in [("FM", FAULTS), ("SP", PROMISES)] {
        counts.extend((1..=last).map(|number| {
            let number = if kind == "FM" { format!("FM{number:02}") } else { format!("SP{number}") };
            (number, 0)
        }));
    }
    for row in rows {
        *counts.entry(row.number.clone()).or_default() += 1;
    }
    found.extend(
        counts.iter().filter(|(_, count)| **count != 1).map(|(number, count)| format!("{number}: {count} rows")),
    );
    if rows.len() != FAULTS + PROMISES {
        found.push(format!("{} rows", rows.len()));
    }
    found
}

/// Whether the file at `path`, within the package, has the test `name`.
fn in_the_tree(path: &str, name: &str) -> bool {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default();
    let declaration = format!("fn {name}(");
    text.lines()
        .zip(text.lines().skip(1))
        .any(|(first, second)| first.trim_start().starts_with("#[") && second.trim_start().starts_with(&declaration))
}

#[test]
fn every_row_names_tests_that_exist() {
    let row = |number: &str, shown_by: &str, result: &str| Row {
        number: number.into(),
        shown_by: shown_by.into(),
        result: result.into(),
    };
    let there = |path: &str, test: &str| path == "tests/a.rs" && ["b", "c"].contains(&test);
    for (bad, word) in [
        (row("FM01", "`tests/a.rs::b`, `::d`", "holds"), "no test d"),
        (row("FM01", "`tests/x.rs::b`", "holds"), "no test b"),
        (row("FM01", "", "holds"), "nothing shows it"),
        (row("FM01", "`tests/a.rs::b`", "perhaps"), "a result of its own"),
        (row("FM99", "`tests/a.rs::b`", "holds"), "FM01: 0 rows"),
    ] {
        let found = complaints(&[bad], there);
        assert!(found.iter().any(|complaint| complaint.contains(word)), "{word}: {found:?}");
    }
    let good = [row("FM01", "`tests/a.rs::b`, `::c`", "holds"), row("FM02", "", "not tested: no such machine")];
    assert!(
        !complaints(&good, there)
            .iter()
            .any(|complaint| complaint.starts_with("FM01:") || complaint.starts_with("FM02:"))
    );

    assert!(in_the_tree("tests/faults/table.rs", "every_row_names_tests_that_exist"));
    assert!(!in_the_tree("tests/faults/table.rs", "in_the_tree"), "no test");
    let found = complaints(&rows(include_str!("README.md")), in_the_tree);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// The page on security has every promise once, and what it names exists.
#[test]
fn the_page_on_security_names_tests_that_exist() {
    let page = include_str!("../../SECURITY.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| SP")).collect();
    assert_eq!(rows.len(), PROMISES);
    for (number, row) in (1..).zip(rows) {
        assert!(row.starts_with(&format!("| SP{number} | ")), "{row}");
        let named: Vec<_> = names(row).into_iter().filter(|(path, _)| path.ends_with(".rs")).collect();
        assert!(named.len() == 1 || row.contains("open, see the table"), "{row}");
        for (path, test) in named {
            assert!(in_the_tree(&path, &test), "no test {test} in {path}");
        }
    }
}
