'use strict';
// Records what Node's string_decoder answers: `node record_decoder.js > string_decoder.txt`.
//
// A line is one of
//   name NAME = ENCODING                            nothing behind the sign: not a name of an encoding
//   case ENCODING CHUNK|CHUNK|… = TEXT|TEXT|…      a text for each chunk and one for the end; chunks in hex, texts as code points
//   every ENCODING ALPHABET LENGTH = DIGEST         all strings of LENGTH bytes of ALPHABET, each cut in all ways
//   random ENCODING ALPHABET SEED CASES = DIGEST    CASES streams of random chunks, all with one decoder
//
// Strings of Rust cannot hold half of a surrogate pair. A high surrogate at the end of a text is therefore moved to the
// next text, unless the unit behind it has come already; and what stays alone is written as U+FFFD. Nothing else is
// changed.

const { StringDecoder } = require('string_decoder');

class Decoder {
  constructor(encoding) {
    this.decoder = new StringDecoder(encoding);
    this.half = '';
    // Bytes that came and gave no text yet, if the encoding is utf16le.
    this.waiting = 0;
  }

  write(chunk) {
    const given = this.decoder.write(chunk);
    this.waiting += chunk.length - 2 * given.length;
    const text = this.half + given;
    this.half = /[\uD800-\uDBFF]$/.test(text) && this.waiting < 2 ? text.slice(-1) : '';
    return text.slice(0, text.length - this.half.length).toWellFormed();
  }

  end() {
    const text = this.half + this.decoder.end();
    this.half = '';
    this.waiting = 0;
    return text.toWellFormed();
  }

  texts(chunks) {
    return [...chunks.map((chunk) => this.write(chunk)), this.end()];
  }
}

// All ways to cut: bit i of the mask cuts behind byte i.
function* cuts(bytes) {
  for (let mask = 0; mask < 1 << Math.max(bytes.length - 1, 0); mask++) {
    const chunks = [];
    let start = 0;
    for (let i = 1; i <= bytes.length; i++) {
      if (i === bytes.length || mask & (1 << (i - 1))) {
        chunks.push(bytes.subarray(start, i));
        start = i;
      }
    }
    yield chunks;
  }
}

// FNV-1a over the UTF-8 of the texts, each followed by a byte that UTF-8 does not have.
class Digest {
  state = 0x811c9dc5;

  add(texts) {
    for (const text of texts) {
      for (const byte of Buffer.from(text, 'utf8')) this.byte(byte);
      this.byte(0xff);
    }
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
}

function codePoints(text) {
  return Array.from(text, (character) => character.codePointAt(0).toString(16)).join(' ');
}

function recordCases(encoding, input) {
  for (const chunks of cuts(Buffer.from(input, 'hex'))) {
    const texts = new Decoder(encoding).texts(chunks);
    const shown = chunks.map((chunk) => chunk.toString('hex')).join('|');
    console.log(`case ${encoding} ${shown} = ${texts.map(codePoints).join('|')}`);
  }
}

function recordEvery(encoding, alphabet, length) {
  const bytes = Buffer.from(alphabet, 'hex');
  const digest = new Digest();
  for (let number = 0; number < bytes.length ** length; number++) {
    const input = Buffer.alloc(length);
    for (let i = 0, rest = number; i < length; i++, rest = Math.floor(rest / bytes.length)) {
      input[i] = bytes[rest % bytes.length];
    }
    for (const chunks of cuts(input)) digest.add(new Decoder(encoding).texts(chunks));
  }
  console.log(`every ${encoding} ${alphabet} ${length} = ${digest}`);
}

function recordRandom(encoding, alphabet, seed, cases) {
  const bytes = Buffer.from(alphabet, 'hex');
  const random = new Xorshift(seed);
  const digest = new Digest();
  const decoder = new Decoder(encoding);
  for (let i = 0; i < cases; i++) {
    const chunks = [];
    for (let left = random.below(8); left > 0; left--) {
      // Empty chunks, short ones, and now and then a long one.
      const length = random.below(16) === 0 ? random.below(300) : random.below(8);
      const tricky = random.below(4) !== 0;
      chunks.push(Buffer.from(Array.from({ length }, () => {
        const byte = random.below(256);
        return tricky ? bytes[byte % bytes.length] : byte;
      })));
    }
    digest.add(decoder.texts(chunks));
  }
  console.log(`random ${encoding} ${alphabet} ${seed} ${cases} = ${digest}`);
}

// Both sides of every boundary in the table of well-formed UTF-8, and what stands in no such table.
const UTF8 = '00417f808f909fa0bfc0c1c2dfe0e1ecedeef0f1f3f4f5f7f8ff';
const UTF8_FEW = '418090a0bfc2e0edf0f4';
// The bytes of a letter, of both halves of surrogate pairs and their neighbours, and of both byte order marks.
const UTF16 = '00413dd7d8dbdcdfe0feff';
const UTF16_FEW = '0041d8dc';
const ANY = '007f80c3ff';

const CASES = {
  utf8: [
    '41', '61e282ac62', 'c3a9c3a9', 'efbbbf41', 'f09f9880', '41f09f988042', // valid
    '80', 'bf80', '8080808080', '4180', 'c3a980', 'e282ac80', // continuation bytes of nothing
    'c080', 'c1bf', 'e08080', 'e09fbf', 'f0808080', 'f08fbfbf', // overlong
    'eda080', 'edbfbf', 'eda0bdedb880', // surrogates
    'f4908080', 'f5808080', 'f7bfbfbf', 'f880808080', 'fe', 'ffff', // beyond U+10FFFF
    'c3', 'e2', 'e282', 'f0', 'f09f', 'f09f98', 'e080', 'ed', 'eda0', 'f4', 'f490', 'f5', // truncated
    'c341', 'e241', 'e28241', 'f041', 'f09f41', 'f09f9841', 'e0e0', 'c3c3a9', 'e2c3a9', 'e282e282ac', 'f09ff09f9880',
    'e2e2e2', 'f0e2c341', 'e1a0c0f1a080c2', 'f1a080c2808080', 'f8c3a9',
  ],
  utf16le: [
    '41', '4100', '410042', 'ac204100', 'fffe4100', 'feff0041', // and an odd byte
    '3dd800de', '41003dd800de4200', '3dd8', '3d', '3dd800', '3dd841', '3dd84100', // pairs, whole and cut
    '00de', '00de3dd8', '3dd83dd8', '3dd83dd800de', '3dd83dd83dd841', '00de00de', 'ffdbffdf', 'ffd700e0',
  ],
  latin1: ['00417f80', '9fa0ff', 'c3a9'],
  ascii: ['00417f80', '9fa0ff', 'c3a9'],
  hex: ['00', '0aff', 'abcdef'],
  base64: ['00', 'fbff', 'fbffbf', 'fbffbf01', '6162636465', '616263646566', '00ff00ff00ff00'],
  base64url: ['00', 'fbff', 'fbffbf', 'fbffbf01', '6162636465', '616263646566', '00ff00ff00ff00'],
};
const EVERY = {
  utf8: [[UTF8, 1], [UTF8, 2], [UTF8, 3], [UTF8_FEW, 4]],
  utf16le: [[UTF16, 1], [UTF16, 2], [UTF16, 3], [UTF16, 4], [UTF16_FEW, 5], [UTF16_FEW, 6]],
  latin1: [[ANY, 2]],
  ascii: [[ANY, 2]],
  hex: [[ANY, 2]],
  base64: [[ANY, 3], [ANY, 4], [ANY, 5]],
  base64url: [[ANY, 3], [ANY, 4], [ANY, 5]],
};
const TRICKY = { utf8: UTF8, utf16le: UTF16 };
const NAMES = [
  'utf8', 'utf-8', 'UTF8', 'Utf-8', 'utf16le', 'utf-16le', 'UTF-16LE', 'ucs2', 'ucs-2', 'UCS2', 'latin1', 'binary',
  'Latin1', 'BINARY', 'ascii', 'ASCII', 'hex', 'HEX', 'base64', 'Base64', 'base64url', 'BASE64URL', '', 'utf', 'utf_8',
  'utf16', 'utf-16', 'utf16be', 'utf32', 'ucs', 'latin-1', 'iso-8859-1', 'us-ascii', 'base64-url', 'base32', 'buffer', 'raw',
];

console.log(`# Recorded by record_decoder.js from Node ${process.version}.`);
for (const name of NAMES) {
  const encoding = Buffer.isEncoding(name) ? new StringDecoder(name).encoding : '';
  console.log(`name ${name} = ${encoding}`);
}

for (const encoding of Object.keys(CASES)) {
  for (const input of CASES[encoding]) recordCases(encoding, input);
  for (const [alphabet, length] of EVERY[encoding]) recordEvery(encoding, alphabet, length);
  // Several seeds, so that a difference shows near its beginning.
  for (let seed = 1; seed <= 8; seed++) recordRandom(encoding, TRICKY[encoding] ?? ANY, seed, 500);
}
