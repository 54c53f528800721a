//! Values as Node's error messages show them behind "Received": `util.inspect`, as far as a `BlockList` needs it.
//!
//! It may touch `ip` and the address types. Invariant: what is shown of a text is of bounded length, whatever the text.

use std::net::SocketAddr;

use crate::addresses::ip;
use crate::addresses::socket_address::{family_name, flowlabel};

/// Node cuts what it shows behind this many letters.
const MOST_LETTERS: usize = 128;

/// Node prints an object in one line when its members, with the spaces and brackets that it reckons for them, fit.
const WIDEST_LINE: usize = 80;

/// What Node reckons for the brackets and separators of four members.
const RECKONED: usize = 19;

pub(super) fn socket_address(address: &SocketAddr) -> String {
    let members = [
        format!("address: '{}'", ip::canonical(address.ip())),
        format!("port: {}", address.port()),
        format!("family: '{}'", family_name(address)),
        format!("flowlabel: {}", flowlabel(address)),
    ];
    if RECKONED + members.iter().map(String::len).sum::<usize>() <= WIDEST_LINE {
        format!("SocketAddress {{ {} }}", members.join(", "))
    } else {
        format!("SocketAddress {{\n  {}\n}}", members.join(",\n  "))
    }
}

/// A whole number; those beyond 32 bits with underscores between the thousands.
pub(super) fn number(number: f64) -> String {
    let plain = number.to_string();
    if number.abs() <= 4_294_967_296.0 {
        return plain;
    }
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain.as_str()), |digits| ("-", digits));
    let mut separated = sign.to_owned();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            separated.push('_');
        }
        separated.push(digit);
    }
    separated
}

/// A text in quotes of a kind that it does not hold, if there is one. Not copied: that Node breaks a text of several
/// lines into one quoted text for each.
pub(super) fn text(text: &str) -> String {
    let quote = if !text.contains('\'') {
        '\''
    } else if !text.contains('"') {
        '"'
    } else if !text.contains('`') && !text.contains("${") {
        '`'
    } else {
        '\''
    };
    let mut shown = String::from(quote);
    for letter in text.chars().take(MOST_LETTERS) {
        escape(letter, quote, &mut shown);
    }
    shown.push(quote);
    match shown.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => format!("{}...", &shown[..end]),
        None => shown,
    }
}

fn escape(letter: char, quote: char, output: &mut String) {
    match letter {
        '\u{8}' => output.push_str("\\b"),
        '\t' => output.push_str("\\t"),
        '\n' => output.push_str("\\n"),
        '\u{c}' => output.push_str("\\f"),
        '\r' => output.push_str("\\r"),
        '\\' => output.push_str("\\\\"),
        '\'' if quote == '\'' => output.push_str("\\'"),
        letter if letter.is_control() => output.push_str(&format!("\\x{:02X}", u32::from(letter))),
        letter => output.push(letter),
    }
}
