'use strict';
// Records what Node's Buffer.from makes of texts: `node record_encoder.js > buffer_from.txt`.
//
// A line is one of
//   case ENCODING TEXT = BYTES                        a text as code points, bytes in hex
//   every ENCODING ALPHABET LENGTH = DIGEST           all texts of LENGTH characters of ALPHABET
//   random ENCODING GOOD TRICKY SEED CASES = DIGEST   CASES random texts of these alphabets and of any characters
//
// `socket.write(text, encoding)` gives the same bytes, whether they go at once, wait for the connection or are corked.
// Strings of Rust cannot hold half of a surrogate pair, so no text has one.

// FNV-1a over the bytes of each text, and before them the lowest byte of their number.
class Digest {
  state = 0x811c9dc5;

  add(bytes) {
    this.byte(bytes.length & 0xff);
    for (const byte of bytes) this.byte(byte);
  }

  byte(byte) {
    this.state = Math.imul(this.state ^ byte, 0x01000193) >>> 0;
  }

  toString() {
    return this.state.toString(16).padStart(8, '0');
  }
}

class Xorshift {
  constructor(seed) {
    this.state = seed;
  }

  below(bound) {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    this.state >>>= 0;
    return this.state % bound;
  }

  // Short texts, and now and then a long one. Some consist of any characters, some of tricky ones, and most of good ones
  // with a tricky one here and there, or none at all.
  text(good, tricky) {
    const length = this.below(8) === 0 ? this.below(300) : this.below(12);
    const kind = this.below(4);
    let text = '';
    for (let i = 0; i < length; i++) {
      if (kind === 0) {
        const number = this.below(0x110000);
        text += String.fromCodePoint(number >= 0xd800 && number < 0xe000 ? 0xfffd : number);
      } else if (kind === 1 || (kind === 2 && this.below(32) === 0)) {
        text += tricky[this.below(tricky.length)];
      } else {
        text += good[this.below(good.length)];
      }
    }
    return text;
  }
}

function codePoints(text) {
  return Array.from(text, (character) => character.codePointAt(0).toString(16)).join(',');
}

function recordCase(encoding, text) {
  console.log(`case ${encoding} ${codePoints(text)} = ${Buffer.from(text, encoding).toString('hex')}`);
}

function recordEvery(encoding, alphabet, length) {
  const characters = Array.from(alphabet);
  const digest = new Digest();
  for (let number = 0; number < characters.length ** length; number++) {
    let text = '';
    for (let i = 0, rest = number; i < length; i++, rest = Math.floor(rest / characters.length)) {
      text += characters[rest % characters.length];
    }
    digest.add(Buffer.from(text, encoding));
  }
  console.log(`every ${encoding} ${codePoints(alphabet)} ${length} = ${digest}`);
}

function recordRandom(encoding, good, tricky, seed, cases) {
  const random = new Xorshift(seed);
  const digest = new Digest();
  const alphabets = [Array.from(good), Array.from(tricky)];
  for (let i = 0; i < cases; i++) digest.add(Buffer.from(random.text(...alphabets), encoding));
  console.log(`random ${encoding} ${codePoints(good)} ${codePoints(tricky)} ${seed} ${cases} = ${digest}`);
}

// Both sides of every boundary: of ASCII, of one byte, of the surrogates, of one code unit.
const BOUNDARIES = '\0Aa\x7f\x80\x9f\xa0\xe9\xff\u0100\u0141\u07ff\u0800\u20ac\ud7ff\ue000\ufeff\uffff\u{10000}\u{1f600}\u{10ffff}';
const LETTERS = 'abcdefgh \n';
// Digits, their neighbours in ASCII, and characters whose code unit, or one half of it, has a digit as its lower byte.
const DIGITS = '0123456789abcdefABCDEF';
const HEX = '09afAF/:@G`g x\0\n=\xe9\u0130\u0141\u0166\u20ac\u{1f600}\u{10331}';
// Characters of both alphabets, their neighbours, padding, white space, and characters whose code unit, or one half of it,
// has one of them as its lower byte.
const BASE64 = 'AQRZaz09+/-_=,.@[`{ \t\r\n\v\f\0*\x7f\xa0\xe9\xff\u0141\u0152\u013d\u2041\u20ac\u3000\ufeff\u{1f600}\u{10441}';
const SYMBOLS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const URL_SYMBOLS = SYMBOLS.replace('+/', '-_');

const BASE64_CASES = [
  '', 'Q', 'QQ', 'QR', 'QQ=', 'QQ==', 'QQ===', 'QUI', 'QUJ', 'QUI=', 'QUJD', 'QUJDR', 'QUJDRA', 'QUJDRA==', // padding, or none
  'QQ==QQ==', 'QUI=QUJD', 'QUJD=QUJD', 'Q=Q=', '=', '====', '=QUJD', 'QUJDQQ==\n', 'QQ=Q', 'QQ = =', 'QQ=*=', // and more behind it
  '+/+/', '-_-_', '+_-/', // either alphabet, or both
  ' Q U\tJ\nD\r', 'Q\0U\vJ\fD', 'Q*U*J*D', 'Q.U,J;D', 'QUJD QUJD\r\nQUJD\r\n', // what is skipped
  'QUJ\xe9', 'QU\u20acJD', 'QUJ\u0141', '\u0151\u0155\u014a\u0144', 'QUJD\u{1f600}QUJD', 'QUJDQQ\u013d\u013d', 'Q\u{10441}UJD', '\ufeffQUJD',
  SYMBOLS, URL_SYMBOLS, SYMBOLS + URL_SYMBOLS, 'A'.repeat(99), `${SYMBOLS}\n`.repeat(5), `${SYMBOLS}===${SYMBOLS}`,
];
const CASES = {
  utf8: ['', BOUNDARIES, 'é€\u{1f600}'],
  utf16le: ['', BOUNDARIES, 'a', '\u{1f600}'],
  latin1: ['', BOUNDARIES, 'abc', 'é'],
  ascii: ['', BOUNDARIES, 'abc', 'é'],
  hex: [
    '', '0', 'x', '61', '616', '6162', 'aBCd', 'xx', '6162xx63', '61x', '616x', '6x61', '0x61', '61 62', ' 61', '61\n', // the first bad pair
    '\xe961', '6\xe961', '61\xe9', '61\u20ac62', '\u0136\u0131', '6\u0131', '61\u{1f600}62', '61\u{10331}\u{10331}', '\ufeff61',
    DIGITS, DIGITS.repeat(20), `${DIGITS.repeat(5)}g${DIGITS}`, `${DIGITS.repeat(5)}0g${DIGITS}`,
  ],
  base64: BASE64_CASES,
  base64url: BASE64_CASES,
};
const EVERY = {
  utf8: [[BOUNDARIES, 2]],
  utf16le: [[BOUNDARIES, 2]],
  latin1: [[BOUNDARIES, 2]],
  ascii: [[BOUNDARIES, 2]],
  hex: [[HEX, 1], [HEX, 2], [HEX, 3], ['6fFg\xe9\u0131\u{1f600}', 4], ['6g\u0131', 7]],
  base64: [[BASE64, 1], [BASE64, 2], [BASE64, 3], ['Qz-/= *\u0141\u{1f600}', 5], ['QR= ', 8], ['Q=', 13]],
  base64url: [[BASE64, 1], [BASE64, 2], [BASE64, 3], ['Qz-/= *\u0141\u{1f600}', 5], ['QR= ', 8], ['Q=', 13]],
};
const RANDOM = {
  utf8: [LETTERS, BOUNDARIES],
  utf16le: [LETTERS, BOUNDARIES],
  latin1: [LETTERS, BOUNDARIES],
  ascii: [LETTERS, BOUNDARIES],
  hex: [DIGITS, HEX],
  base64: [SYMBOLS, BASE64],
  base64url: [URL_SYMBOLS, BASE64],
};

console.log(`# Recorded by record_encoder.js from Node ${process.version}.`);
for (const encoding of Object.keys(CASES)) {
  for (const text of CASES[encoding]) recordCase(encoding, text);
  for (const [alphabet, length] of EVERY[encoding]) recordEvery(encoding, alphabet, length);
  // Several seeds, so that a difference shows near its beginning.
  for (let seed = 1; seed <= 8; seed++) recordRandom(encoding, ...RANDOM[encoding], seed, 500);
}
