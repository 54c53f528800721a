//! Text from bytes: the encodings of `setEncoding`, and what each chunk gives, as Node's `string_decoder` does it.
//!
//! This module touches nothing but its arguments. Invariants: every chunk gives the text that Node's decoder gives, with
//! as many U+FFFD at the same places; the text of all chunks together does not depend on where the bytes were cut; at most
//! three bytes are held back from one chunk to the next.
//!
//! One difference, because a string of Rust cannot hold half of a surrogate pair: with [`Encoding::Utf16le`], a high
//! surrogate at the end of a chunk always waits for its other half (Node hands it out when an odd byte follows it, or when
//! it was cut itself), and a surrogate without its other half becomes U+FFFD.

use std::str;

/// An encoding of text, as [`set_encoding`](crate::net::Socket::set_encoding) takes it for what is read,
/// [`set_default_encoding`](crate::net::Socket::set_default_encoding) and
/// [`Chunk::encoded`](crate::net::Chunk::encoded) for what is written. What follows is the text that is read;
/// [`Chunk::encoded`](crate::net::Chunk::encoded) says what is written. Mirrors the argument of
/// [`readable.setEncoding()`].
///
/// The last three come with the feature `encodings`, which is on by default. Which ones there are depends on what a
/// whole program asks for, so matches outside of this crate need an arm for the rest.
///
/// ```
/// use halfclose::{EventLoop, net::Encoding, net::Socket};
///
/// let event_loop = EventLoop::new()?;
/// let socket = Socket::new().set_encoding(Encoding::Latin1);
/// assert_eq!(socket.readable_encoding(), Some(Encoding::Latin1));
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`readable.setEncoding()`]: https://nodejs.org/api/stream.html#readablesetencodingencoding
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Encoding {
    /// UTF-8. Invalid sequences become U+FFFD; a byte order mark is kept.
    Utf8,
    /// UTF-16 with the lower byte first. A surrogate without its other half becomes U+FFFD; an odd byte at the end of the
    /// stream is dropped, as in Node.
    Utf16le,
    /// Each byte is the character of its number, U+0000 to U+00FF. Node calls it `binary` as well.
    Latin1,
    /// As [`Latin1`](Encoding::Latin1), with the highest bit of each byte cleared.
    Ascii,
    /// Each byte becomes two digits, in lower case.
    #[cfg(feature = "encodings")]
    Hex,
    /// Each three bytes become four characters; the last group of the stream is padded with `=`.
    #[cfg(feature = "encodings")]
    Base64,
    /// As [`Base64`](Encoding::Base64), with `-` and `_` for `+` and `/`, and no padding.
    #[cfg(feature = "encodings")]
    Base64url,
}

impl Encoding {
    /// Whether Node hands text of this encoding on as text; of the others it makes a `Buffer` first.
    pub(crate) fn stays_text(self) -> bool {
        match self {
            Encoding::Utf8 | Encoding::Utf16le | Encoding::Latin1 | Encoding::Ascii => true,
            #[cfg(feature = "encodings")]
            Encoding::Hex | Encoding::Base64 | Encoding::Base64url => false,
        }
    }

    /// The encoding of a name, in upper or lower case; `None` for others. Mirrors [`Buffer.isEncoding()`], which knows
    /// the same names.
    ///
    /// | encoding | names |
    /// |---|---|
    /// | [`Utf8`](Encoding::Utf8) | `utf8`, `utf-8` |
    /// | [`Utf16le`](Encoding::Utf16le) | `utf16le`, `utf-16le`, `ucs2`, `ucs-2` |
    /// | [`Latin1`](Encoding::Latin1) | `latin1`, `binary` |
    /// | [`Ascii`](Encoding::Ascii) | `ascii` |
    /// | `Hex`, `Base64`, `Base64url` | `hex`, `base64`, `base64url`, with the feature `encodings` |
    ///
    /// ```
    /// use halfclose::net::Encoding;
    ///
    /// assert_eq!(Encoding::from_name("UCS-2"), Some(Encoding::Utf16le));
    /// assert_eq!(Encoding::from_name("ebcdic"), None);
    /// ```
    ///
    /// [`Buffer.isEncoding()`]: https://nodejs.org/api/buffer.html#static-method-bufferisencodingencoding
    #[must_use]
    pub fn from_name(name: &str) -> Option<Encoding> {
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, encoding)| encoding)
    }

    /// The one name that [`readable.readableEncoding`] shows for it.
    ///
    /// ```
    /// use halfclose::net::Encoding;
    ///
    /// assert_eq!(Encoding::Utf8.as_str(), "utf8");
    /// assert_eq!(Encoding::from_name("binary").unwrap().as_str(), "latin1");
    /// ```
    ///
    /// [`readable.readableEncoding`]: https://nodejs.org/api/stream.html#readablereadableencoding
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf8",
            Encoding::Utf16le => "utf16le",
            Encoding::Latin1 => "latin1",
            Encoding::Ascii => "ascii",
            #[cfg(feature = "encodings")]
            Encoding::Hex => "hex",
            #[cfg(feature = "encodings")]
            Encoding::Base64 => "base64",
            #[cfg(feature = "encodings")]
            Encoding::Base64url => "base64url",
        }
    }
}

const NAMES: &[(&str, Encoding)] = &[
    ("utf8", Encoding::Utf8),
    ("utf-8", Encoding::Utf8),
    ("utf16le", Encoding::Utf16le),
    ("utf-16le", Encoding::Utf16le),
    ("ucs2", Encoding::Utf16le),
    ("ucs-2", Encoding::Utf16le),
    ("latin1", Encoding::Latin1),
    ("binary", Encoding::Latin1),
    ("ascii", Encoding::Ascii),
    #[cfg(feature = "encodings")]
    ("hex", Encoding::Hex),
    #[cfg(feature = "encodings")]
    ("base64", Encoding::Base64),
    #[cfg(feature = "encodings")]
    ("base64url", Encoding::Base64url),
];

/// Decodes one stream of bytes, chunk by chunk. After [`end`](TextDecoder::end) it is as new.
#[derive(Clone, Debug)]
pub(crate) struct TextDecoder {
    encoding: Encoding,
    held: Held,
}

impl TextDecoder {
    pub(crate) fn new(encoding: Encoding) -> TextDecoder {
        TextDecoder { encoding, held: Held::default() }
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Appends the text that these bytes complete. A sequence that the next chunk may complete is held back.
    pub(crate) fn decode(&mut self, bytes: &[u8], out: &mut String) {
        match self.encoding {
            Encoding::Utf8 => self.decode_utf8(bytes, out),
            Encoding::Utf16le => self.decode_utf16le(bytes, out),
            Encoding::Latin1 => out.extend(bytes.iter().map(|&byte| char::from(byte))),
            Encoding::Ascii => out.extend(bytes.iter().map(|&byte| char::from(byte & 0x7F))),
            #[cfg(feature = "encodings")]
            Encoding::Hex => data_encoding::HEXLOWER.encode_append(bytes, out),
            #[cfg(feature = "encodings")]
            Encoding::Base64 => self.decode_in_groups(&data_encoding::BASE64, bytes, out),
            #[cfg(feature = "encodings")]
            Encoding::Base64url => self.decode_in_groups(&data_encoding::BASE64URL_NOPAD, bytes, out),
        }
    }

    /// Appends what is to be made of the bytes held back, now that no more follow.
    pub(crate) fn end(&mut self, out: &mut String) {
        let held = self.held.take();
        match self.encoding {
            Encoding::Utf8 => push_utf8(held.as_slice(), out),
            // Two bytes of it are a high surrogate. An odd one behind them, or alone, is dropped, as in Node.
            Encoding::Utf16le => push_utf16le(held.as_slice().iter().copied(), out),
            // These three hold nothing back.
            Encoding::Latin1 | Encoding::Ascii => {}
            #[cfg(feature = "encodings")]
            Encoding::Hex => {}
            #[cfg(feature = "encodings")]
            Encoding::Base64 => data_encoding::BASE64.encode_append(held.as_slice(), out),
            #[cfg(feature = "encodings")]
            Encoding::Base64url => data_encoding::BASE64URL_NOPAD.encode_append(held.as_slice(), out),
        }
    }

    /// What is held back is the first byte of a character, and continuation bytes: fewer than that first byte announces.
    /// They go on as soon as the announced number is there or another byte interrupts them, even when they cannot become
    /// a character any more: so does Node.
    fn decode_utf8(&mut self, bytes: &[u8], out: &mut String) {
        let missing = match self.held.as_slice() {
            [] => 0,
            [first, continued @ ..] => continuation_bytes(*first).saturating_sub(continued.len()),
        };
        let found = bytes.iter().take(missing).take_while(|byte| is_continuation(**byte)).count();
        let (found, rest) = bytes.split_at(found);
        self.held.extend(found.iter().copied());
        if found.len() < missing && rest.is_empty() {
            return;
        }
        push_utf8(self.held.take().as_slice(), out);
        let (whole, begun) = rest.split_at(rest.len() - begun_utf8(rest));
        push_utf8(whole, out);
        self.held.extend(begun.iter().copied());
    }

    /// What is held back is a high surrogate, an odd byte, or both.
    fn decode_utf16le(&mut self, bytes: &[u8], out: &mut String) {
        let held = self.held.take();
        let held = held.as_slice();
        let odd = (held.len() + bytes.len()) % 2;
        let whole = held.len() + bytes.len() - odd;
        // The higher byte of the last unit that is whole.
        let last = bytes.iter().rev().chain(held.iter().rev()).nth(odd);
        let begun = if last.is_some_and(|&byte| is_high_surrogate(byte)) { 2 } else { 0 };

        let mut input = held.iter().chain(bytes).copied();
        push_utf16le(input.by_ref().take(whole - begun), out);
        self.held.extend(input);
    }

    /// What is held back is a part of a group of three.
    #[cfg(feature = "encodings")]
    fn decode_in_groups(&mut self, alphabet: &data_encoding::Encoding, bytes: &[u8], out: &mut String) {
        const GROUP: usize = 3;
        let missing = GROUP.saturating_sub(self.held.as_slice().len());
        let (found, rest) = bytes.split_at(missing.min(bytes.len()));
        self.held.extend(found.iter().copied());
        if found.len() < missing {
            return;
        }
        alphabet.encode_append(self.held.take().as_slice(), out);
        let (whole, begun) = rest.split_at(rest.len() - rest.len() % GROUP);
        alphabet.encode_append(whole, out);
        self.held.extend(begun.iter().copied());
    }
}

/// Bytes that wait for the rest of their sequence. Four is the longest sequence: a character of UTF-8, while its last byte
/// is added.
#[derive(Clone, Default, Debug)]
struct Held {
    bytes: [u8; 4],
    length: u8,
}

impl Held {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn take(&mut self) -> Held {
        std::mem::take(self)
    }

    fn extend(&mut self, bytes: impl Iterator<Item = u8>) {
        for (place, byte) in self.bytes.iter_mut().skip(usize::from(self.length)).zip(bytes) {
            *place = byte;
            self.length += 1;
        }
    }
}

/// Each maximal part of an invalid sequence becomes one U+FFFD: std does it as V8 and WHATWG do.
fn push_utf8(bytes: &[u8], out: &mut String) {
    // Valid text is the rule, and checked faster as a whole.
    if let Ok(text) = str::from_utf8(bytes) {
        out.push_str(text);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// How many bytes at the end belong to a character that has not all of its bytes yet.
fn begun_utf8(bytes: &[u8]) -> usize {
    let continued = bytes.iter().rev().take_while(|byte| is_continuation(**byte)).take(MOST_CONTINUATION_BYTES).count();
    match bytes.iter().rev().nth(continued) {
        Some(&first) if continued < continuation_bytes(first) => continued + 1,
        Some(_) | None => 0,
    }
}

const MOST_CONTINUATION_BYTES: usize = 3;

/// How many continuation bytes the first byte of a character announces, whether or not it can be valid: Node waits for
/// those of `C0` and of `F5`, too.
fn continuation_bytes(first: u8) -> usize {
    match first {
        0xC0..=0xDF => 1,
        0xE0..=0xEF => 2,
        0xF0..=0xF7 => MOST_CONTINUATION_BYTES,
        0x00..=0xBF | 0xF8..=0xFF => 0,
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// Leaves an odd byte at the end out.
fn push_utf16le(mut bytes: impl Iterator<Item = u8>, out: &mut String) {
    let units = std::iter::from_fn(|| Some(u16::from_le_bytes([bytes.next()?, bytes.next()?])));
    out.extend(char::decode_utf16(units).map(|decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

/// Whether this is the higher byte of the first half of a surrogate pair.
fn is_high_surrogate(byte: u8) -> bool {
    byte & 0xFC == 0xD8
}

#[cfg(test)]
mod tests;
