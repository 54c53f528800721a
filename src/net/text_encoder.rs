//! Bytes from text: what `socket.write(text, encoding)` sends, as Node's `Buffer.from` makes it.
//!
//! This module touches nothing but its arguments. Invariants: every text gives the bytes that Node gives, none is
//! refused; text that needs no change is handed on without a copy.

use std::borrow::Cow;

use crate::event_loop::Encoding;

/// The bytes of this text. Text lent stays lent where its bytes are the same in this encoding.
pub(crate) fn encode(text: Cow<'_, str>, encoding: Encoding) -> Cow<'_, [u8]> {
    match encoding {
        Encoding::Utf8 => into_bytes(text),
        Encoding::Utf16le => Cow::Owned(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        Encoding::Latin1 | Encoding::Ascii => lower_bytes(text),
        #[cfg(feature = "encodings")]
        Encoding::Hex => Cow::Owned(from_hex(&lower_bytes(text))),
        #[cfg(feature = "encodings")]
        Encoding::Base64 | Encoding::Base64url => Cow::Owned(from_base64(&lower_bytes(text))),
    }
}

fn into_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// The lower byte of each code unit of UTF-16. Node writes `ascii` like `latin1`, and looks at nothing else of a digit of
/// hex or base64 either: U+0141 counts as `A`.
fn lower_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        return into_bytes(text);
    }
    Cow::Owned(text.encode_utf16().map(|unit| unit.to_le_bytes()[0]).collect())
}

/// Up to the first pair that is not two digits; an odd digit at the end counts for nothing.
#[cfg(feature = "encodings")]
fn from_hex(digits: &[u8]) -> Vec<u8> {
    let count = digits.len() / 2;
    let mut bytes = vec![0; count];
    if let Err(partial) = data_encoding::HEXLOWER_PERMISSIVE.decode_mut(&digits[..2 * count], &mut bytes) {
        bytes.truncate(partial.written);
    }
    bytes
}

/// Up to the first `=`. The characters of both alphabets count, wherever they stand, and all others are skipped; the bits
/// that make no whole byte at the end are dropped.
#[cfg(feature = "encodings")]
fn from_base64(text: &[u8]) -> Vec<u8> {
    const GROUP: usize = 4;
    let padding = text.iter().position(|&byte| byte == b'=').unwrap_or(text.len());
    let mut symbols = Vec::with_capacity(padding.next_multiple_of(GROUP));
    symbols.extend(text[..padding].iter().filter_map(|&byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => Some(byte),
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        _ => None,
    }));
    let count = symbols.len() * 3 / GROUP;
    // Filled up with symbols, whichever, the last group is whole as well; the bytes they add to are cut off again.
    symbols.resize(symbols.len().next_multiple_of(GROUP), b'A');
    // Whole groups of nothing but symbols cannot fail.
    let mut bytes = data_encoding::BASE64.decode(&symbols).unwrap_or_default();
    bytes.truncate(count);
    bytes
}

#[cfg(test)]
mod tests;
