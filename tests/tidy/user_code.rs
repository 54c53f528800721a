//! Law 2: user code is entered from one file.
//!
//! May touch: the sources. What a text can show, and what it cannot, is said with each rule.

use crate::source::{Source, closing, is_name_letter, name_at, name_before, places_of};

/// The one file.
const ENTRANCE: &str = "event_loop/emit.rs";

/// Closures of users are boxed, and a boxed closure is an `dyn Fn…`. Such types stand on floor 3 only, because that is
/// where listeners and callbacks are kept; floor 4 has generic parameters and floors 1 and 2 have none of them.
pub(crate) fn boxed_closures_are_kept_on_floor_3(source: &Source) -> Vec<String> {
    if source.top() == "event_loop" {
        return Vec::new();
    }
    let words = ["dyn Fn", "dyn FnMut", "dyn FnOnce"];
    let places = words.into_iter().flat_map(|word| places_of(&source.product, word));
    places.map(|at| format!("{}: a boxed closure", source.place(at))).collect()
}

/// The enums that carry boxed closures are taken apart, with a name for the closure, in the one file only. Elsewhere
/// they are made, moved, or matched with `_` in the place of the closure.
pub(crate) fn closures_are_taken_out_in_one_file(source: &Source) -> Vec<String> {
    if source.path == ENTRANCE {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for carrier in ["Callback::Call", "Callback::Complete", "Item::Call", "Action::User"] {
        for at in places_of(&source.product, carrier) {
            let open = at + carrier.len();
            if !source.product[open..].starts_with('(') {
                continue;
            }
            let end = closing(&source.product, open);
            let binding = source.product[open + 1..end].trim();
            let ignores = binding.starts_with('_') || binding == "..";
            if !ignores && is_a_pattern(&source.product, end + 1) {
                findings.push(format!("{}: {carrier}({binding}) is taken apart", source.place(at)));
            }
        }
    }
    findings
}

/// Whether what ends before `at` is matched: `=`, `=>`, `|` or a guard follows its closing brackets.
fn is_a_pattern(code: &str, at: usize) -> bool {
    let rest = code[at..].trim_start_matches([')', ' ', '\n']);
    rest.starts_with("=>") || rest.starts_with("| ") || rest.starts_with("if ") || {
        rest.starts_with("= ") && !rest.starts_with("==")
    }
}

/// A call of a variable is a call of a closure. This finds `name(…)` where `name` is no function of the file and not
/// imported into it, and calls of what an expression gives, as in `(self.callback)(…)`. Those of the crate's own closures
/// are listed as exceptions by file and name; everywhere else only the one file makes such calls.
///
/// A text does not show a closure that is given to somebody who calls it (`option.map(callback)`), and not who made the
/// closure in a variable of the same name. It does show every file in which the possibility exists.
pub(crate) fn closures_are_called_in_one_file(source: &Source) -> Vec<String> {
    if source.path == ENTRANCE {
        return Vec::new();
    }
    let code = without_attributes(&source.product);
    let known = known_functions(&code);
    let mut findings = Vec::new();
    for (open, _) in code.match_indices('(') {
        let before = &code[..open];
        if before.ends_with([')', ']', '?']) {
            findings.push(format!("{}: (…)", source.place(open)));
            continue;
        }
        let name = name_before(&code, open);
        let start = open - name.len();
        let is_variable = name.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '_')
            && !code[..start].ends_with(['.', ':', '!', '$', '\'', '#'])
            && !KEYWORDS.contains(&name)
            && !known.contains(&name)
            && name_before(&code, code[..start].trim_end().len()) != "fn";
        if is_variable {
            findings.push(format!("{}: {name}", source.place(start)));
        }
    }
    findings
}

/// Words that stand before a bracket and call nothing, and the functions that every file has from the start.
const KEYWORDS: [&str; 25] = [
    "if",
    "else",
    "while",
    "for",
    "in",
    "match",
    "return",
    "loop",
    "move",
    "let",
    "mut",
    "ref",
    "as",
    "where",
    "pub",
    "use",
    "impl",
    "dyn",
    "fn",
    "break",
    "crate",
    "drop",
    "size_of",
    "size_of_val",
    "unsafe",
];

/// Functions that the file defines, and names that it imports.
fn known_functions(code: &str) -> Vec<&str> {
    let mut known: Vec<&str> = Vec::new();
    for at in places_of(code, "fn ") {
        known.push(name_at(code, at + "fn ".len()));
    }
    for at in places_of(code, "use ") {
        let end = code[at..].find(';').map_or(code.len(), |end| at + end);
        known.extend(code[at..end].split(|letter: char| !is_name_letter(letter)).filter(|name| !name.is_empty()));
    }
    known
}

fn without_attributes(code: &str) -> String {
    let mut code = code.to_owned();
    let mut from = 0;
    while let Some(found) = ["#[", "#!["].iter().filter_map(|word| code[from..].find(word)).min() {
        let start = from + found;
        let open = start + code[start..].find('[').unwrap_or_default();
        let end = closing(&code, open).min(code.len() - 1);
        let blank: String = code[start..=end].chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }).collect();
        code.replace_range(start..=end, &blank);
        from = end;
    }
    code
}
