// The verbs of the vocabulary, read from the page that checks scenarios, `../vocabulary.rs`: a verb that is added there
// shows in the coverage as not reached until the generator says it.
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const LISTS = {
  GENERAL_VERBS: '',
  SOCKET_VERBS: 'socket.',
  SERVER_VERBS: 'server.',
  TIMER_VERBS: 'timers.',
  FILE_VERBS: 'file.',
  BOUND_VERBS: 'bound.',
  PEER_VERBS: 'peer.',
};

/** `socket.write`, `server.close`, `nextTick`, …: what the coverage counts. */
function allVerbs() {
  const text = fs.readFileSync(path.join(__dirname, '../vocabulary.rs'), 'utf8');
  return Object.entries(LISTS).flatMap(([list, prefix]) => {
    const block = new RegExp(`const ${list}: &\\[Verb\\] =\\s*&\\[([^;]*)\\];`).exec(text);
    if (block === null) throw new Error(`vocabulary.rs has no ${list}`);
    return outermost(block[1]).map((verb) => prefix + verb);
  });
}

/** The first words of the outermost tuples: deeper ones are fields of options. */
function outermost(text) {
  const words = [];
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '(') {
      const word = /^\(\s*"(\w+)"/.exec(text.slice(i));
      if (depth === 0 && word !== null) words.push(word[1]);
      depth++;
    } else if (text[i] === ')') depth--;
  }
  return words;
}

module.exports = { allVerbs };
