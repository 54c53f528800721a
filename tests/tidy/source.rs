//! Source files as the rules see them: their text, and their code without comments and literals.
//!
//! May touch: std, and the files of this package for reading. Invariant: what is blanked is replaced by spaces byte for
//! byte, so a place in the code is the same place in the text.

use std::fs;
use std::path::{Path, PathBuf};

/// One file of Rust.
pub(crate) struct Source {
    /// Relative to the folder it was found in, with `/` between the parts: `reactor/ticks.rs`.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments, and what stands inside of quotes, blanked.
    pub(crate) code: String,
    /// The code with everything blanked that is compiled for unit tests only.
    pub(crate) product: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let code = blank_comments_and_literals(text);
        let product = blank_unit_tests(&code);
        Source { path: path.to_owned(), text: text.to_owned(), code, product }
    }

    /// How a finding names a place: `reactor/ticks.rs:12`.
    pub(crate) fn place(&self, offset: usize) -> String {
        format!("{}:{}", self.path, self.line(offset))
    }

    /// The number of the line that holds `offset`, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.code[..offset].matches('\n').count() + 1
    }

    /// The folder at the top of the path, or the file's own name where there is none: `reactor`, `timers.rs`.
    pub(crate) fn top(&self) -> &str {
        self.path.split('/').next().unwrap_or(&self.path)
    }
}

/// Every `.rs` file below a folder of this package, in the order of their paths.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(!found.is_empty(), "no file of Rust in {folder}");
    leave_out_test_modules(&mut found);
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path: PathBuf = entry.expect("a readable entry").path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let parts = path.strip_prefix(root).expect("a path below the folder").components();
            let parts: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
            let text = fs::read_to_string(&path).expect("a readable file");
            found.push(Source::new(&parts.join("/"), &text));
        }
    }
}

/// Files whose `mod name;` stands behind `#[cfg(test)]`, and the files below them, hold no product code.
fn leave_out_test_modules(found: &mut [Source]) {
    let mut test_modules = Vec::new();
    for source in found.iter() {
        let module = source.path.strip_suffix(".rs").unwrap_or(&source.path);
        let folder = match module.rsplit_once('/') {
            Some((folder, "mod")) => format!("{folder}/"),
            None if module == "lib" => String::new(),
            Some(_) | None => format!("{module}/"),
        };
        for range in unit_test_items(&source.code) {
            let name = source.code[range].split("mod ").nth(1).and_then(|rest| rest.strip_suffix(';'));
            test_modules.extend(name.map(|name| format!("{folder}{}", name.trim())));
        }
    }
    let is_test = |path: &str| {
        let rest = test_modules.iter().find_map(|module| path.strip_prefix(module.as_str()));
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    };
    for source in found.iter_mut().filter(|source| is_test(&source.path)) {
        source.product = blanked(&source.code, 0, source.code.len());
    }
}

/// Blanks what the compiler does not read as code. A doc comment's examples are comments, too.
fn blank_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (skipped, keep) = if rest.starts_with(b"//") {
            (rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()), 0)
        } else if rest.starts_with(b"/*") {
            (block_comment(rest), 0)
        } else if rest[0] == b'"' {
            (string(rest), 1)
        } else if let Some(length) = raw_string(bytes, at) {
            (length, 1)
        } else if let Some(length) = character(rest) {
            (length, 1)
        } else {
            at += 1;
            continue;
        };
        for byte in &mut code[at + keep..at + skipped.saturating_sub(keep).max(keep)] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += skipped;
    }
    String::from_utf8(code).expect("whole characters were blanked")
}

/// The length of a comment that may hold others.
fn block_comment(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The length of a string with its quotes.
fn string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The length of `r"…"` or `r#"…"#` that begins at `at`.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let inside_a_name = at > 0 && is_name_byte(bytes[at - 1]) && bytes[at - 1] != b'b';
    if bytes[at] != b'r' || inside_a_name {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|&&byte| byte == b'#').count();
    let start = at + 1 + hashes;
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let body = bytes[start + 1..].windows(end.len()).position(|window| window == end)?;
    Some(start + 1 + body + end.len() - at)
}

/// The length of a character in its quotes; `None` for a lifetime.
fn character(bytes: &[u8]) -> Option<usize> {
    if bytes[0] != b'\'' {
        return None;
    }
    if bytes.get(1) == Some(&b'\\') {
        let end = bytes[3..].iter().position(|&byte| byte == b'\'')?;
        return Some(3 + end + 1);
    }
    let text = std::str::from_utf8(&bytes[1..bytes.len().min(6)]);
    let length = match text {
        Ok(text) => text.chars().next()?.len_utf8(),
        // The window cut a later character in two; the first one is whole.
        Err(error) if error.valid_up_to() > 0 => {
            std::str::from_utf8(&bytes[1..=error.valid_up_to()]).ok()?.chars().next()?.len_utf8()
        }
        Err(_) => return None,
    };
    (bytes.get(1 + length) == Some(&b'\'')).then_some(length + 2)
}

fn blank_unit_tests(code: &str) -> String {
    let mut product = code.to_owned();
    for range in unit_test_items(code) {
        product = blanked(&product, range.start, range.end);
    }
    product
}

/// The items behind `#[cfg(test)]`, attribute included.
fn unit_test_items(code: &str) -> Vec<std::ops::Range<usize>> {
    let mut items = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(test)]") {
        let start = from + found;
        let Some(end) = code[start..].find([';', '{']) else { break };
        let end = start + end;
        let end = if code.as_bytes()[end] == b'{' { closing(code, end) } else { end };
        items.push(start..(end + 1).min(code.len()));
        from = end;
    }
    items
}

/// Where the bracket that opens at `open` is closed.
pub(crate) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    code.len()
}

fn blanked(code: &str, start: usize, end: usize) -> String {
    let blank: String = code[start..end].chars().map(|character| if character == '\n' { '\n' } else { ' ' }).collect();
    format!("{}{blank}{}", &code[..start], &code[end..])
}

/// Every place at which `word` stands, not as a part of a longer name where it begins or ends with a letter.
pub(crate) fn places_of<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = at.checked_sub(1).map(|before| code.as_bytes()[before]);
        let after = code.as_bytes().get(at + word.len()).copied();
        let begins = !word.starts_with(|letter: char| is_name_letter(letter)) || !before.is_some_and(is_name_byte);
        let ends = !word.ends_with(|letter: char| is_name_letter(letter)) || !after.is_some_and(is_name_byte);
        begins && ends
    })
}

/// The name that begins at `at`.
pub(crate) fn name_at(code: &str, at: usize) -> &str {
    let end = code[at..].find(|letter: char| !is_name_letter(letter)).map_or(code.len(), |end| at + end);
    &code[at..end]
}

/// The name that ends right before `at`.
pub(crate) fn name_before(code: &str, at: usize) -> &str {
    let start = code[..at].rfind(|letter: char| !is_name_letter(letter)).map_or(0, |start| start + 1);
    &code[start..at]
}

pub(crate) fn is_name_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        let source = Source::new(
            "x.rs",
            "a // panic!\nb /* c /* d */ e */ f\n\"g \\\" h\" r#\"i\"j\"# k 'l' '\\n' '\\'' '{' m<'n> 'é' br\"o\"",
        );
        assert!(!source.code.contains(['c', 'd', 'e', 'g', 'h', 'i', 'j', 'l', '{']));
        for kept in ["a ", "b ", " f\n", " k ", " m<'n> "] {
            assert!(source.code.contains(kept), "{kept:?} in {:?}", source.code);
        }
        assert_eq!(source.code.len(), source.text.len());
        assert_eq!(source.line(source.code.find('k').expect("code")), 3);
    }

    #[test]
    fn unit_tests_are_no_product_code() {
        let source = Source::new("x.rs", "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { {} } }\nfn c() {}\n");
        assert!(source.code.contains("fn b"));
        assert!(!source.product.contains("fn b") && !source.product.contains("mod tests"));
        assert!(source.product.contains("fn a") && source.product.contains("fn c"));
    }

    #[test]
    fn files_of_unit_tests_are_no_product_code() {
        let mut found = [
            Source::new("a/b.rs", "#[cfg(test)]\nmod tests;\nfn c() {}"),
            Source::new("a/b/tests.rs", "mod model;\nfn d() {}"),
            Source::new("a/b/tests/model.rs", "fn e() {}"),
            Source::new("a/mod.rs", "#[cfg(test)]\nmod support;\nmod tests;"),
            Source::new("a/support.rs", "fn f() {}"),
            Source::new("a/tests.rs", "fn g() {}"),
        ];
        leave_out_test_modules(&mut found);
        let product: String = found.iter().map(|source| source.product.as_str()).collect();
        assert!(["fn c", "fn g"].iter().all(|kept| product.contains(kept)), "{product}");
        assert!(!["fn d", "fn e", "fn f"].iter().any(|left_out| product.contains(left_out)), "{product}");
    }

    #[test]
    fn words_are_whole() {
        let code = "Rc Arc Rc::new src dyn Fn( dyn FnOnce(";
        assert_eq!(places_of(code, "Rc").count(), 2);
        assert_eq!(places_of(code, "dyn Fn(").count(), 1);
        assert_eq!(name_at("ab_1::c", 0), "ab_1");
        assert_eq!(name_before("x.ab_1(", 6), "ab_1");
    }
}
