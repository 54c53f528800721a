// Plays scenarios on Node, many in one process: `node node_player.js JOBS.json ANSWERS`, a list of {index, scenario, runs}.
// Adds one line of JSON for each to the answers: 
// {index, runs: [{first, count, traces} of each different run], executed}, or {index, problem}.
'use strict';
const fs = require('node:fs');
const { checkVersion, runAll } = require('../node/runner.js');
const { Play } = require('../node/play.js');
const { MODIFIERS } = require('./walk.js');

/** Pairs of neighbouring actions that were executed, of the scenario that is played: "previous verb" or " verb". */
let executed = new Set();
/** The last verb of each list that is being performed. */
const lists = [];

const perform = Play.prototype.perform;
Play.prototype.perform = function (...words) {
  lists.push('');
  try {
    return perform.apply(this, words);
  } finally {
    lists.pop();
  }
};

const performOne = Play.prototype.performOne;
Play.prototype.performOne = function (self, action, data) {
  const verb = this.kindOf(self, action);
  executed.add(`${lists[lists.length - 1]} ${verb}`);
  lists[lists.length - 1] = verb;
  return performOne.call(this, self, action, data);
};

const GENERAL = new Set(['nextTick', 'setImmediate', 'clearImmediate', 'meet', 'busy', 'log', 'abort', 'exit', 'throw']);

/** The verb as the coverage names it. */
Play.prototype.kindOf = function (self, action) {
  const key = Object.keys(action).find((name) => !MODIFIERS.has(name));
  const dot = key.lastIndexOf('.');
  const verb = key.slice(dot + 1);
  const owner = dot < 0 ? self : key.slice(0, dot);
  if (dot > 0 && (owner === 'timers' || owner === 'file')) return key;
  if (dot < 0 && GENERAL.has(verb)) return verb;
  return `${this.objects.get(owner)?.kind ?? 'peer'}.${verb}`;
};

function main() {
  checkVersion();
  const jobs = [];
  for (const { index, scenario, runs } of JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))) {
    const record = { index, seen: new Map(), problem: null };
    for (let run = 0; run < runs; run++) jobs.push({ record, scenario, run, runs });
  }
  const done = ({ record, run, runs }, traces, problem) => {
    if (problem === null) {
      const text = JSON.stringify(Object.fromEntries(Object.entries(traces).sort(([a], [b]) => (a < b ? -1 : 1))));
      const known = record.seen.get(text);
      if (known === undefined) record.seen.set(text, { first: run, count: 1 });
      else known.count++;
    } else {
      record.problem ??= problem;
      // It would only take as long again.
      while (jobs.length > 0 && jobs[0].record === record) jobs.shift();
    }
    if (problem === null && run < runs - 1) return;
    const { index } = record;
    const line = record.problem === null
      ? { index, runs: [...record.seen].map(([text, { first, count }]) => ({ first, count, traces: JSON.parse(text) })), executed: [...executed] }
      : { index, problem: record.problem };
    fs.appendFileSync(process.argv[3], `${JSON.stringify(line)}\n`);
    executed = new Set();
  };
  runAll(jobs, done, () => process.exit());
}

main();
