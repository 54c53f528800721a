//! The decoder beside Node's: every answer that `tests/corpus/record_decoder.js` recorded, and what must hold without it.

use super::*;

const CORPUS: &str = include_str!("../../../tests/corpus/string_decoder.txt");

#[test]
fn names_are_nodes() {
    let lines = check_lines("name", |question| {
        Some(match Encoding::from_name(question) {
            Some(encoding) => encoding.as_str().to_owned(),
            None if NEEDS_A_FEATURE.contains(&question.to_ascii_lowercase().as_str()) => return None,
            None => String::new(),
        })
    });
    assert!(lines > 20);
}

#[test]
fn every_encoding_is_found_by_its_own_name() {
    for &(_, encoding) in NAMES {
        assert_eq!(Encoding::from_name(encoding.as_str()), Some(encoding));
    }
}

#[test]
fn tricky_sequences_however_they_are_cut() {
    let lines = check_lines("case", |question| {
        let (name, chunks) = question.split_once(' ').expect("an encoding and chunks");
        let chunks: Vec<_> = chunks.split('|').map(bytes_of_hex).collect();
        let texts = texts(&mut TextDecoder::new(Encoding::from_name(name)?), &chunks);
        Some(texts.iter().map(|text| code_points(text)).collect::<Vec<_>>().join("|"))
    });
    assert!(lines > 500);
}

#[test]
fn every_short_string_over_tricky_bytes_however_it_is_cut() {
    let lines = check_lines("every", |question| {
        let [name, alphabet, length] = question.split(' ').collect::<Vec<_>>().try_into().expect("three words");
        let (encoding, alphabet) = (Encoding::from_name(name)?, bytes_of_hex(alphabet));
        let mut digest = Digest::new();
        let mut input = vec![0; length.parse().expect("a length")];
        for number in 0..alphabet.len().pow(input.len() as u32) {
            let mut rest = number;
            for byte in &mut input {
                *byte = alphabet[rest % alphabet.len()];
                rest /= alphabet.len();
            }
            for chunks in cuts(&input) {
                digest.add(&texts(&mut TextDecoder::new(encoding), &chunks));
            }
        }
        Some(digest.to_hex())
    });
    assert!(lines > 10);
}

/// One decoder for all streams of a line: what `end` left behind would show in the next one.
#[test]
fn random_streams() {
    let lines = check_lines("random", |question| {
        let [name, alphabet, seed, cases] = question.split(' ').collect::<Vec<_>>().try_into().expect("four words");
        let (alphabet, cases) = (bytes_of_hex(alphabet), cases.parse().expect("a number"));
        let mut decoder = TextDecoder::new(Encoding::from_name(name)?);
        let mut random = Xorshift(seed.parse().expect("a seed"));
        let mut digest = Digest::new();
        for _ in 0_u32..cases {
            digest.add(&texts(&mut decoder, &random.chunks(&alphabet)));
        }
        Some(digest.to_hex())
    });
    assert!(lines > 30);
}

/// The same streams without Node: all texts together are those of one chunk, and no more than three bytes ever wait.
#[test]
fn cuts_change_nothing() {
    for &(_, encoding) in NAMES {
        let mut random = Xorshift(1_000_003);
        for _ in 0..2_000 {
            let chunks = random.chunks(&bytes_of_hex("00414180bfc2d8d8dcdce0e2edf0f4ff"));
            let whole = chunks.concat();
            let text = texts(&mut TextDecoder::new(encoding), &chunks).concat();
            assert_eq!(
                text,
                texts(&mut TextDecoder::new(encoding), &[whole.as_slice()]).concat(),
                "{encoding:?} {chunks:x?}"
            );
            if encoding == Encoding::Utf8 {
                assert_eq!(text, String::from_utf8_lossy(&whole), "{chunks:x?}");
            }
            let mut decoder = TextDecoder::new(encoding);
            for chunk in &chunks {
                decoder.decode(chunk, &mut String::new());
                assert!(decoder.held.as_slice().len() <= 3, "{encoding:?} {chunks:x?}");
            }
        }
    }
}

#[test]
fn text_is_appended() {
    let mut out = String::from("before ");
    let mut decoder = TextDecoder::new(Encoding::Utf8);
    decoder.decode(b"\xE2\x82", &mut out);
    assert_eq!(out, "before ");
    decoder.decode(b"\xAC and \xE2\x82", &mut out);
    assert_eq!(out, "before € and ");
    decoder.end(&mut out);
    assert_eq!(out, "before € and \u{FFFD}");
    decoder.end(&mut out);
    assert_eq!(out, "before € and \u{FFFD}");
}

/// It may stand in a connection's state as it is, without a box.
#[test]
fn a_decoder_is_small() {
    assert!(size_of::<Option<TextDecoder>>() <= 8);
}

const NEEDS_A_FEATURE: &[&str] = if cfg!(feature = "encodings") { &[] } else { &["hex", "base64", "base64url"] };

/// Holds every line of a kind against the answer to its question, `None` for an encoding that this build does not have.
/// Returns how many lines were held.
fn check_lines(kind: &str, answer: impl Fn(&str) -> Option<String>) -> usize {
    let mut held = 0;
    for line in CORPUS.lines().filter(|line| line.split(' ').next() == Some(kind)) {
        let (question, expected) = line[kind.len() + 1..].split_once(" = ").expect("a question and its answer");
        if let Some(given) = answer(question) {
            assert_eq!(given, expected, "{line}");
            held += 1;
        }
    }
    held
}

/// What the decoder makes of each chunk, and of the end.
fn texts<Chunk: AsRef<[u8]>>(decoder: &mut TextDecoder, chunks: &[Chunk]) -> Vec<String> {
    let mut texts = Vec::new();
    for chunk in chunks {
        let mut text = String::new();
        decoder.decode(chunk.as_ref(), &mut text);
        texts.push(text);
    }
    let mut text = String::new();
    decoder.end(&mut text);
    texts.push(text);
    texts
}

/// All ways to cut: bit i of the mask cuts behind byte i.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    (0..1_u32 << (bytes.len() - 1)).map(move |mask| {
        let (mut chunks, mut start) = (Vec::new(), 0);
        for end in 1..=bytes.len() {
            if end == bytes.len() || mask & (1 << (end - 1)) != 0 {
                chunks.push(&bytes[start..end]);
                start = end;
            }
        }
        chunks
    })
}

fn bytes_of_hex(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits")).collect()
}

fn code_points(text: &str) -> String {
    text.chars().map(|character| format!("{:x}", u32::from(character))).collect::<Vec<_>>().join(" ")
}

/// FNV-1a over the texts, each followed by a byte that UTF-8 does not have.
struct Digest(u32);

impl Digest {
    fn new() -> Digest {
        Digest(0x811C_9DC5)
    }

    fn add(&mut self, texts: &[String]) {
        for byte in texts.iter().flat_map(|text| text.bytes().chain([0xFF])) {
            self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
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

    /// Empty chunks, short ones, and now and then a long one.
    fn chunks(&mut self, alphabet: &[u8]) -> Vec<Vec<u8>> {
        let count = self.below(8);
        (0..count).map(|_| self.chunk(alphabet)).collect()
    }

    fn chunk(&mut self, alphabet: &[u8]) -> Vec<u8> {
        let length = if self.below(16) == 0 { self.below(300) } else { self.below(8) };
        let tricky = self.below(4) != 0;
        let byte = |random: &mut Self| {
            let byte = random.below(256);
            if tricky { alphabet[byte as usize % alphabet.len()] } else { byte as u8 }
        };
        (0..length).map(|_| byte(self)).collect()
    }
}
