//! Which rule of the semantics has which scenarios: the table between two markers of the README.
//!
//! May touch: the scenarios, and the README when `HALFCLOSE_WRITE_TABLE` is set. Invariant: the table is made of the
//! scenarios alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::objects::list;
use crate::scenario;

const BEGIN: &str = "<!-- The rest is written by HALFCLOSE_WRITE_TABLE=1 cargo test --test conformance table -->\n";

/// Compares the README's table with the scenarios, or writes it.
pub(crate) fn check_table() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/README.md");
    let text = std::fs::read_to_string(&readme).expect("the README");
    let begin = text.find(BEGIN).expect("the marker of the table") + BEGIN.len();
    let table = table();
    if std::env::var_os("HALFCLOSE_WRITE_TABLE").is_some() {
        std::fs::write(&readme, format!("{}{table}", &text[..begin])).expect("the README is written");
        return;
    }
    let up_to_date = text[begin..] == table;
    assert!(up_to_date, "the table is old: HALFCLOSE_WRITE_TABLE=1 cargo test --test conformance table");
}

fn table() -> String {
    let mut files = Vec::new();
    scenario::collect(&scenario::own_folder(), &mut files);
    let mut rules: BTreeMap<(String, u32, String), Vec<String>> = BTreeMap::new();
    let mut differences = Vec::new();
    for file in &files {
        let name = file.strip_prefix(scenario::own_folder()).unwrap_or(file).with_extension("").display().to_string();
        let scenario = scenario::read(file).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        for rule in list(&scenario["rules"]) {
            rules.entry(sort_key(rule.as_str().unwrap_or_default())).or_default().push(name.clone());
        }
        if let Some(why) = scenario["differs"].as_str() {
            differences.push((name, why.to_owned()));
        }
    }
    let mut text = format!("\n{} scenarios, {} rules.\n\n| rule | scenarios |\n|---|---|\n", files.len(), rules.len());
    for ((letters, number, rest), names) in rules {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let number = if number == 0 { String::new() } else { number.to_string() };
        let _ = writeln!(text, "| {letters}{number}{rest} | {} |", names.join(", "));
    }
    let _ = write!(text, "\n### Where this crate differs\n\n| scenario | why |\n|---|---|\n");
    for (name, why) in differences {
        let _ = writeln!(text, "| `{name}` | {why} |");
    }
    text
}

/// `L9` before `L16`.
fn sort_key(rule: &str) -> (String, u32, String) {
    let letters: String = rule.chars().take_while(|c| c.is_ascii_alphabetic()).collect();
    let digits: String = rule[letters.len()..].chars().take_while(char::is_ascii_digit).collect();
    let rest = rule[letters.len() + digits.len()..].to_owned();
    (letters, digits.parse().unwrap_or(0), rest)
}
