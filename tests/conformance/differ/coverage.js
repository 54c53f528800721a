// Which verbs, and which ordered pairs of neighbouring verbs of one list of actions, were generated and executed.
'use strict';
const { allVerbs } = require('./vocabulary.js');
const { PAIRS, whyNever } = require('./excluded.js');

class Coverage {
  constructor() {
    this.verbs = allVerbs();
    this.pairs = new Map();
    this.single = new Map();
  }

  /** A list began or went on: `previous` is null at its beginning. */
  add(previous, verb, count = 1) {
    this.single.set(verb, (this.single.get(verb) ?? 0) + count);
    if (previous === null) return;
    const pair = `${previous} ${verb}`;
    this.pairs.set(pair, (this.pairs.get(pair) ?? 0) + count);
  }

  count(previous, verb) {
    return (previous === null ? this.single.get(verb) : this.pairs.get(`${previous} ${verb}`)) ?? 0;
  }

  /** Two lines for the summary, and what is missing. */
  report(name) {
    const verbs = this.verbs.filter((verb) => !this.single.has(verb));
    const all = this.verbs.flatMap((one) => this.verbs.map((other) => `${one} ${other}`));
    const never = all.map((pair) => whyNever(...pair.split(' ')));
    const expected = all.filter((_, index) => never[index] === null);
    const pairs = expected.filter((pair) => !this.pairs.has(pair));
    return {
      line: `${name}: ${this.verbs.length - verbs.length} of ${this.verbs.length} actions, ${expected.length - pairs.length} of ${expected.length} pairs of neighbours`,
      verbs,
      pairs,
      excluded: PAIRS.map(({ reason }) => `${never.filter((found) => found === reason).length} more are never said: ${reason}`),
    };
  }
}

module.exports = { Coverage };
