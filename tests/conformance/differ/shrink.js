// Reduces a scenario that differs as long as it differs.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { add, fingerprint, sorted } = require('../record.js');

/** No more rounds than this: each makes it smaller. */
const ROUNDS = 40;
/** What is cheap finds the way: one run on Node, and one that is disturbed. What has been found is run more often. */
const CHEAP = { runs: 2, looks: [] };

class Shrinker {
  constructor(players, judge) {
    this.players = players;
    this.judge = judge;
  }

  async shrink(verdict) {
    const cheap = await this.reduce(verdict, CHEAP);
    const [checked] = await this.judge(this.players, [cheap.scenario]);
    if (this.still(checked, verdict)) return checked;
    // It was timing that differed on the way.
    const careful = await this.reduce(verdict, { runs: 8, looks: [24] });
    const [again] = await this.judge(this.players, [careful.scenario]);
    return this.still(again, verdict) ? again : verdict;
  }

  /** A crash stays a crash, and a difference a difference. */
  still(found, verdict) {
    return found.kind === 'differs' && (found.problem === undefined) === (verdict.problem === undefined);
  }

  async reduce(verdict, effort) {
    let best = verdict;
    for (let round = 0; round < ROUNDS; round++) {
      const candidates = smaller(best.scenario);
      const scenarios = candidates.map((edit) => edit(clone(best.scenario)));
      const verdicts = await this.judge(this.players, scenarios, effort);
      const good = verdicts.flatMap((found, index) => (this.still(found, verdict) && size(scenarios[index]) < size(best.scenario) ? [index] : []));
      if (good.length === 0) break;
      good.sort((a, b) => size(scenarios[a]) - size(scenarios[b]));
      // All that can go may go together: all of it, half of it, a quarter of it, …
      const amounts = [];
      for (let many = good.length; many > 1; many = Math.floor(many / 2)) amounts.push(many);
      const together = amounts.map((many) => {
        const copy = clone(best.scenario);
        // From the back, so that places in lists stay what they are.
        for (const index of good.slice(0, many).sort((a, b) => b - a)) candidates[index](copy);
        return copy;
      });
      const bigger = (await this.judge(this.players, together, effort)).filter((found) => this.still(found, verdict));
      best = [...bigger, verdicts[good[0]]].reduce((one, other) => (size(other.scenario) < size(one.scenario) ? other : one));
    }
    return best;
  }
}

function clone(scenario) {
  return JSON.parse(JSON.stringify(scenario));
}

function size(scenario) {
  return JSON.stringify(scenario).length;
}

/** Every way to make it smaller by one step: functions that do it, in the order of their places. */
function smaller(scenario) {
  const edits = [];
  visit(scenario, [], edits);
  return edits.map((change) => (copy) => {
    try {
      change(copy);
    } catch {
      // Something that was taken away before had it.
    }
    return copy;
  });
}

const KEPT = new Set(['rules', 'description']);
/** Fields without which what has them makes no sense. */
const NEEDED = new Set(['name', 'addresses', 'size', 'to', 'of', 'host', 'as']);

function visit(value, place, edits) {
  const at = (copy, depth = place.length) => place.slice(0, depth).reduce((inner, key) => inner[key], copy);
  const key = place[place.length - 1];
  const parent = (copy) => at(copy, place.length - 1);
  if (place.length > 0 && !(place.length === 1 && KEPT.has(key))) {
    const inList = typeof key === 'number';
    const last = place[place.length - 2];
    // The last accepted definition is that of all, and a script may be empty.
    if (inList) edits.push((copy) => { const list = parent(copy); if (list[key] !== undefined && !(last === 'accepted' && list.length === 1)) list.splice(key, 1); });
    else if (!NEEDED.has(key) && !(last === 'script')) edits.push((copy) => void delete parent(copy)[key]);
    if (inList && isAction(place) && typeof value === 'object' && value !== null) {
      // What it would do later, done now.
      for (const inner of ['nextTick', 'setImmediate', 'do', 'then']) {
        if (Array.isArray(value[inner])) edits.push((copy) => void parent(copy).splice(key, 1, ...at(copy)[inner]));
      }
    }
    if (typeof value === 'number' && value > 1 && !inTimer(place)) edits.push((copy) => void (parent(copy)[key] = 1));
    if (typeof value === 'string' && ['write', 'end', 'unshift', 'destroy'].includes(String(key).split('.').pop()) && value !== 'a' && value.length > 1) edits.push((copy) => void (parent(copy)[key] = 'a'));
  }
  if (typeof value !== 'object' || value === null) return;
  for (const inner of Array.isArray(value) ? value.keys() : Object.keys(value)) visit(value[inner], [...place, inner], edits);
}

function isAction(place) {
  const list = place[place.length - 2];
  return list !== 'script' && list !== 'scripts' && !['servers', 'clients', 'accepted', 'peers', 'boundSockets'].includes(list);
}

/** Times stay far from each other. */
function inTimer(place) {
  return String(place[place.length - 1]).endsWith('setTimeout') || String(place[place.length - 1]).endsWith('setInterval');
}

/** Writes a scenario and what Node did with it; says where. */
function keep(folder, verdict) {
  fs.mkdirSync(folder, { recursive: true });
  const [, seed, index] = /seed (\d+), scenario (\d+)/.exec(verdict.scenario.description) ?? [null, 0, 0];
  const file = path.join(folder, `seed_${seed}_${index}.json`);
  fs.writeFileSync(file, `${JSON.stringify(verdict.scenario, null, 2)}\n`);
  if (verdict.runs !== undefined) {
    const variants = verdict.runs.reduce((all, { traces }) => add(all, traces), {});
    const content = { node: process.version, scenario: fingerprint(verdict.scenario), traces: sorted(variants) };
    fs.writeFileSync(file.replace(/\.json$/, '.trace.json'), `${JSON.stringify(content, null, 1)}\n`);
  }
  return file;
}

module.exports = { Shrinker, keep };
