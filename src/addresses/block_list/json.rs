//! JSON, as far as rules need it: an array of strings.
//!
//! It may touch the errors. Invariants: what is read is exactly JSON's grammar, escapes, white space and all; nothing
//! recurses, so no text is too deep; half of a surrogate pair, which a Rust text cannot hold, is read as U+FFFD.

use std::str::Chars;

use crate::error::Error;

/// The JSON text of an array of strings, each of which needs no escapes: the text of a rule has none to make.
pub(super) fn write(rules: &[String]) -> String {
    let quoted: Vec<String> = rules.iter().map(|rule| format!("\"{rule}\"")).collect();
    format!("[{}]", quoted.join(","))
}

/// The strings of a JSON array.
///
/// # Errors
///
/// `ERR_INVALID_ARG_TYPE` where something else than the array, or than a string in it, begins; the rest of the text is
/// not looked at then. `ERR_INVALID_JSON` when the text is not JSON before that.
pub(super) fn read(text: &str) -> Result<Vec<String>, Error> {
    let mut reader = Reader { text, rest: text.chars() };
    let mut strings = Vec::new();
    reader.value('[')?;
    if !reader.skips(']') {
        // The bound: each round takes at least a letter.
        loop {
            reader.value('"')?;
            strings.push(reader.string()?);
            if reader.skips(']') {
                break;
            }
            if !reader.skips(',') {
                return Err(reader.unexpected());
            }
        }
    }
    reader.skip_white_space();
    if reader.rest.as_str().is_empty() { Ok(strings) } else { Err(reader.unexpected()) }
}

struct Reader<'a> {
    text: &'a str,
    rest: Chars<'a>,
}

impl Reader<'_> {
    /// Takes the letter that a wanted value begins with.
    fn value(&mut self, start: char) -> Result<(), Error> {
        if self.skips(start) {
            return Ok(());
        }
        match self.rest.clone().next() {
            Some('{' | '[' | '"' | '-' | '0'..='9' | 't' | 'f' | 'n') => {
                Err(Error::coded("ERR_INVALID_ARG_TYPE", "The \"data\" argument must be of type string or string[]."))
            }
            Some(_) | None => Err(self.unexpected()),
        }
    }

    /// Takes white space, and `letter` if it is next.
    fn skips(&mut self, letter: char) -> bool {
        self.skip_white_space();
        let is_next = self.rest.clone().next() == Some(letter);
        if is_next {
            self.rest.next();
        }
        is_next
    }

    fn skip_white_space(&mut self) {
        self.rest = self.rest.as_str().trim_start_matches([' ', '\t', '\n', '\r']).chars();
    }

    /// The string whose opening quote was taken.
    fn string(&mut self) -> Result<String, Error> {
        let mut string = String::new();
        loop {
            match self.letter()? {
                '"' => return Ok(string),
                '\\' => string.push(self.escaped()?),
                '\0'..='\u{1f}' => return Err(self.unexpected()),
                letter => string.push(letter),
            }
        }
    }

    /// The letter that an escape stands for, its backslash taken.
    fn escaped(&mut self) -> Result<char, Error> {
        Ok(match self.letter()? {
            letter @ ('"' | '\\' | '/') => letter,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.code_unit()?;
                let behind = self.rest.clone();
                match self.low_surrogate(unit) {
                    Some(letter) => letter,
                    None => {
                        self.rest = behind;
                        char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
                    }
                }
            }
            _ => return Err(self.unexpected()),
        })
    }

    /// The letter that `high` makes with the escape behind it, if they are the halves of a pair.
    fn low_surrogate(&mut self, high: u32) -> Option<char> {
        if !(0xd800..0xdc00).contains(&high) {
            return None;
        }
        self.rest = self.rest.as_str().strip_prefix("\\u")?.chars();
        let low = self.code_unit().ok().filter(|low| (0xdc00..0xe000).contains(low))?;
        char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
    }

    fn code_unit(&mut self) -> Result<u32, Error> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.letter()?.to_digit(16).ok_or_else(|| self.unexpected())?;
            unit = unit << 4 | digit;
        }
        Ok(unit)
    }

    fn letter(&mut self) -> Result<char, Error> {
        self.rest.next().ok_or_else(|| self.unexpected())
    }

    /// The error at the letter that was taken last or is next.
    fn unexpected(&self) -> Error {
        let position = self.text.len() - self.rest.as_str().len();
        Error::coded("ERR_INVALID_JSON", format!("The rules are not JSON: unexpected text or end near byte {position}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    #[track_caller]
    fn assert_read(text: &str, expected: &[&str]) {
        assert_eq!(read(text).expect("an array of strings"), expected, "{text}");
    }

    #[test]
    fn reads_every_escape() {
        assert_read(r#"["\"\\\/\b\f\n\r\t\u0041\u00e9\uFFFD"]"#, &["\"\\/\u{8}\u{c}\n\r\tA\u{e9}\u{fffd}"]);
        assert_read(r#"["\ud83d\ude00\uD800\uDC00\udbff\udfff"]"#, &["\u{1f600}\u{10000}\u{10ffff}"]);
    }

    /// Halves without the other half are one letter each, and what follows them is read for itself.
    #[test]
    fn reads_halves_of_pairs() {
        assert_read(r#"["\ud83d"]"#, &["\u{fffd}"]);
        assert_read(r#"["\ude00\ud83d"]"#, &["\u{fffd}\u{fffd}"]);
        assert_read(r#"["\ud83d\n\ud83d\u0041\ud83d\ud83d\ude00"]"#, &["\u{fffd}\n\u{fffd}A\u{fffd}\u{1f600}"]);
        assert!(read(r#"["\ud83d\u00"]"#).is_err());
        assert!(read(r#"["\ud83d\x"]"#).is_err());
    }

    #[test]
    fn reads_what_it_wrote() {
        let rules = ["Address: IPv6 ::1".to_owned(), "Range: IPv4 1.1.1.1-1.1.1.9".to_owned()];
        assert_eq!(read(&write(&rules)).expect("its own text"), rules);
        assert_eq!(read(&write(&[])).expect("its own text"), Vec::<String>::new());
    }
}
