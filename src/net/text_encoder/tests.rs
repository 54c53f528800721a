//! The encoder beside Node's: every answer that `tests/corpus/record_encoder.js` recorded, and what must hold without it.

use super::*;

const CORPUS: &str = include_str!("../../../tests/corpus/buffer_from.txt");

#[test]
fn tricky_texts() {
    let lines = check_lines("case", |encoding, arguments| {
        let [text] = arguments else { panic!("a text") };
        hex(&encode(text_of(text).into(), encoding))
    });
    assert!(lines >= 15);
}

#[test]
fn every_short_text_of_tricky_characters() {
    let lines = check_lines("every", |encoding, arguments| {
        let [alphabet, length] = arguments else { panic!("two words") };
        let (alphabet, length) = (characters(alphabet), length.parse().expect("a length"));
        let mut digest = Digest::new();
        for number in 0..alphabet.len().pow(length) {
            let mut rest = number;
            let mut text = String::new();
            for _ in 0..length {
                text.push(alphabet[rest % alphabet.len()]);
                rest /= alphabet.len();
            }
            digest.add(&encode(text.into(), encoding));
        }
        digest.to_hex()
    });
    assert!(lines >= 4);
}

#[test]
fn random_texts() {
    let lines = check_lines("random", |encoding, arguments| {
        let [good, tricky, seed, cases] = arguments else { panic!("four words") };
        let (good, tricky) = (characters(good), characters(tricky));
        let mut random = Xorshift(seed.parse().expect("a seed"));
        let mut digest = Digest::new();
        for _ in 0_u32..cases.parse().expect("a number") {
            digest.add(&encode(random.text(&good, &tricky).into(), encoding));
        }
        digest.to_hex()
    });
    assert!(lines >= 32);
}

/// What a receiver with `set_encoding` makes of it is the text again.
#[test]
fn what_was_encoded_is_decoded_again() {
    let mut random = Xorshift(1_000_003);
    let anything = characters("0,41,7f,80,e9,ff,141,20ac,feff,1f600,10ffff");
    for _ in 0..2_000 {
        let text = random.text(&anything, &anything);
        let bytes = encode(Cow::Borrowed(&text), Encoding::Utf16le);
        let units: Vec<u16> = bytes.chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        assert_eq!(String::from_utf16(&units).expect("whole pairs"), text);
        #[cfg(feature = "encodings")]
        for (encoding, digits) in [
            (Encoding::Hex, data_encoding::HEXLOWER.encode(text.as_bytes())),
            (Encoding::Base64, data_encoding::BASE64.encode(text.as_bytes())),
            (Encoding::Base64url, data_encoding::BASE64URL_NOPAD.encode(text.as_bytes())),
        ] {
            assert_eq!(encode(digits.into(), encoding), text.as_bytes());
        }
    }
}

/// Text that is the same in bytes is handed on as it is.
#[test]
fn what_needs_no_change_is_not_copied() {
    for encoding in [Encoding::Utf8, Encoding::Latin1, Encoding::Ascii] {
        let text = String::from("plain");
        let place = text.as_ptr();
        assert!(matches!(encode(Cow::Borrowed(&text), encoding), Cow::Borrowed(bytes) if bytes.as_ptr() == place));
        assert!(matches!(encode(Cow::Owned(text), encoding), Cow::Owned(bytes) if bytes.as_ptr() == place));
    }
    assert!(matches!(encode(Cow::Borrowed("é"), Encoding::Utf8), Cow::Borrowed(_)));
}

/// Holds every line of a kind against the answer to its question, except for encodings that this build does not have.
/// Returns how many lines were held.
fn check_lines(kind: &str, answer: impl Fn(Encoding, &[&str]) -> String) -> usize {
    let mut held = 0;
    for line in CORPUS.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let [first, name, arguments @ .., "=", expected] = words.as_slice() else { continue };
        if *first != kind {
            continue;
        }
        let Some(encoding) = Encoding::from_name(name) else {
            assert!(NEEDS_A_FEATURE.contains(name), "{line}");
            continue;
        };
        assert_eq!(answer(encoding, arguments), *expected, "{line}");
        held += 1;
    }
    held
}

const NEEDS_A_FEATURE: &[&str] = if cfg!(feature = "encodings") { &[] } else { &["hex", "base64", "base64url"] };

fn characters(points: &str) -> Vec<char> {
    let points = points.split(',').filter(|point| !point.is_empty());
    points
        .map(|point| char::from_u32(u32::from_str_radix(point, 16).expect("a number")).expect("a character"))
        .collect()
}

fn text_of(points: &str) -> String {
    characters(points).into_iter().collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// FNV-1a over the bytes of each text, and before them the lowest byte of their number.
struct Digest(u32);

impl Digest {
    fn new() -> Digest {
        Digest(0x811C_9DC5)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in [bytes.len().to_le_bytes()[0]].iter().chain(bytes) {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }

    fn to_hex(&self) -> String {
        format!("{:08x}", self.0)
    }
}

/// The generator of the recorder, number by number.
struct Xorshift(u32);

impl Xorshift {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % bound
    }

    /// Short texts, and now and then a long one: of any characters, of tricky ones, or of good ones with few tricky ones
    /// or none.
    fn text(&mut self, good: &[char], tricky: &[char]) -> String {
        let length = if self.below(8) == 0 { self.below(300) } else { self.below(12) };
        let kind = self.below(4);
        let character = |random: &mut Self| match kind {
            0 => char::from_u32(random.below(0x11_0000)).unwrap_or(char::REPLACEMENT_CHARACTER),
            1 => random.of(tricky),
            2 if random.below(32) == 0 => random.of(tricky),
            _ => random.of(good),
        };
        (0..length).map(|_| character(self)).collect()
    }

    fn of(&mut self, alphabet: &[char]) -> char {
        alphabet[self.below(alphabet.len() as u32) as usize]
    }
}
