// Random scenarios, played on this Node and on this crate: `node tests/conformance/differ.js --seed 1 --count 1000`.
// `README.md` describes it.
'use strict';
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { checkVersion } = require('./node/runner.js');
const { scenarios } = require('./record.js');
const { Coverage } = require('./differ/coverage.js');
const { Generator } = require('./differ/generate.js');
const { Players } = require('./differ/players.js');
const { asAWhole, differences, explanation, firstDifference, isNonsense, variantsOf } = require('./differ/judge.js');
const { Shrinker, keep } = require('./differ/shrink.js');

const USAGE = `usage: node differ.js [options]
  --seed N       which scenarios (1)
  --count N      how many (1000)
  --only N,N     play these of them only
  --from N       begin with the N-th (1): those before are made, but not played
  --keep DIR     write what differs there, shrunk, as scenarios with recordings
  --scenarios DIR  those of a folder, instead of generated ones
  --no-shrink    keep differences as they are
  --player FILE  the binary of the conformance test, instead of building it
  --print        print the scenarios and play nothing
  --uncovered    list the pairs of actions that were not executed`;

/** As many scenarios at a time as keep all processes busy. */
const BATCH = 200;
/** How often a scenario that differs is run on Node again, half of the runs disturbed; and once more if it still does. */
const LOOKS = [30, 200];
/** How many differences are shrunk: what goes wrong everywhere is shown by a few. */
const SHRUNK = 12;

function options(words) {
  const chosen = { seed: 1, count: 1000, from: 1, only: null, keep: null, scenarios: null, player: null, shrink: true, print: false, uncovered: false };
  for (let i = 0; i < words.length; i++) {
    const name = words[i].slice(2);
    if (['--seed', '--count', '--from'].includes(words[i])) chosen[name] = Number(words[++i]);
    else if (['--keep', '--player', '--scenarios'].includes(words[i])) chosen[name] = words[++i];
    else if (['--print', '--uncovered'].includes(words[i])) chosen[name] = true;
    else if (words[i] === '--only') chosen.only = new Set(words[++i].split(',').map(Number));
    else if (words[i] === '--no-shrink') chosen.shrink = false;
    else fail(USAGE);
  }
  if (!['seed', 'count', 'from'].every((name) => Number.isInteger(chosen[name]) && chosen[name] >= 1)) fail(USAGE);
  return chosen;
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

/**
 * What is the case with scenarios, and with what: `same`, `explained`, `nonsense`, `unstable`, `problem` or `differs`.
 * The `runs` of Node and our `own` traces are those that it was decided on. Those that differ are played again, here too,
 * and on Node in `looks` more rounds of so many runs each, in which sockets become ready in other orders: which of them is
 * served first is not specified (section 0 of the semantics). What Node never shows then differs.
 */
async function judge(players, scenarios, { runs, looks = LOOKS } = {}) {
  const [node, crate] = await Promise.all([players.onNode(scenarios, runs), players.onCrate(scenarios)]);
  const verdicts = scenarios.map((scenario, index) => first(scenario, node[index], crate[index]));
  for (const more of looks) {
    const again = verdicts.flatMap(({ kind }, index) => (['differs', 'unstable'].includes(kind) ? [index] : []));
    if (again.length === 0) break;
    const chosen = again.map((index) => scenarios[index]);
    const [wider, own] = await Promise.all([players.onNode(chosen, more, true), players.onCrate(chosen)]);
    again.forEach((index, at) => (verdicts[index] = further(verdicts[index], wider[at], own[at])));
  }
  return verdicts;
}

function first(scenario, node, crate) {
  const executed = node.executed ?? [];
  const verdict = { scenario, executed, runs: node.runs ?? [], own: crate.traces };
  if (isNonsense(node) || isNonsense(crate)) return { ...verdict, kind: 'nonsense', problem: node.problem ?? crate.problem ?? 'uncaught' };
  if (node.problem !== undefined && crate.problem !== undefined) return { ...verdict, kind: 'problem', problem: `both: ${node.problem}` };
  if (node.problem !== undefined) return { ...verdict, kind: 'problem', problem: `Node: ${node.problem}` };
  if (crate.problem !== undefined) return { ...verdict, kind: 'differs', differences: [], problem: crate.problem };
  return decided(verdict);
}

/** By its runs and our traces. */
function decided(verdict) {
  const found = differences(verdict.runs, verdict.own);
  const whole = asAWhole(verdict.scenario, found, verdict.runs, verdict.own);
  const reasons = found.map((difference) => whole ?? explanation(difference, verdict.runs, verdict.own));
  const kind = found.length === 0 ? 'same' : reasons.includes(null) ? 'differs' : 'explained';
  return { ...verdict, kind, differences: found.filter((_, index) => reasons[index] === null), reasons: reasons.filter((reason) => reason !== null) };
}

/** After more runs. */
function further(verdict, wider, own) {
  if (wider.problem !== undefined) return { ...verdict, kind: 'problem', problem: `Node: ${wider.problem}` };
  if (own.problem !== undefined) return { ...verdict, own: undefined, differences: [], problem: own.problem };
  const runs = [...verdict.runs, ...wider.runs];
  const decision = decided({ ...verdict, runs, own: own.traces, problem: undefined });
  if (decision.kind === 'differs' && stillGrows(verdict.runs, wider.runs)) return { ...decision, kind: 'unstable' };
  if (decision.kind !== 'differs') return decision;
  // Here, too, it may depend on timing: as Node's once is as Node's.
  if (verdict.own !== undefined && decided({ ...verdict, runs }).kind !== 'differs') return { ...decision, kind: 'unstable' };
  return decision;
}

/** Whether the later half of the runs showed what the earlier did not: more runs would show more. */
function stillGrows(before, wider) {
  const half = wider.reduce((sum, { count }) => sum + count, 0) / 2;
  const early = variantsOf([...before, ...wider.filter(({ first }) => first < half)], wider);
  const all = variantsOf([...before, ...wider]);
  return [...all].some(([endpoint, variants]) => variants.size > early.get(endpoint).size + 1);
}

async function main() {
  checkVersion();
  const chosen = options(process.argv.slice(2));
  const generator = new Generator(chosen.seed);
  for (let skipped = 1; skipped < chosen.from; skipped++) generator.next();
  if (chosen.print) {
    for (let i = 0; i < chosen.count; i++) console.log(JSON.stringify(generator.next()));
    return;
  }
  const given = chosen.scenarios === null ? null : scenarios(chosen.scenarios).map((file) => JSON.parse(fs.readFileSync(file, 'utf8')));
  if (given !== null) chosen.count = given.length;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'halfclose-differ-'));
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  const players = new Players(folder, chosen.player);
  const executed = new Coverage();
  const counts = { same: 0, explained: 0, unstable: 0, nonsense: 0, problem: 0, differs: 0 };
  const explained = new Map();
  const differing = [];
  const started = Date.now();
  for (let played = 0; played < chosen.count; played += BATCH) {
    const made = Array.from({ length: Math.min(BATCH, chosen.count - played) }, (_, index) => given?.[played + index] ?? generator.next());
    const batch = made.filter((_, index) => chosen.only?.has(played + index + 1) ?? true);
    if (batch.length === 0) continue;
    for (const verdict of await judge(players, batch)) {
      counts[verdict.kind]++;
      for (const pair of verdict.executed) executed.add(...split(pair));
      for (const reason of new Set(verdict.reasons ?? [])) explained.set(reason, (explained.get(reason) ?? 0) + 1);
      if (['nonsense', 'problem', 'unstable'].includes(verdict.kind)) console.log(`${verdict.kind}: ${verdict.scenario.description} ${verdict.problem ?? ''}`);
      if (verdict.kind === 'differs') {
        differing.push(verdict);
        console.log(`differs: ${verdict.scenario.description}${said(verdict)}`);
      }
    }
    const seconds = Math.round((Date.now() - started) / 1000);
    console.error(`${played + batch.length} played in ${seconds} s, ${counts.differs} differ`);
  }
  summary(chosen, counts, explained, generator.coverage, executed);
  if (chosen.keep !== null) {
    const shrinker = new Shrinker(players, judge);
    // Side by side: they wait most of the time.
    await Promise.all(differing.slice(0, SHRUNK).map(async (verdict) => {
      const smallest = chosen.shrink ? await shrinker.shrink(verdict) : verdict;
      console.log(`kept: ${keep(chosen.keep, smallest)}${said(smallest)}`);
    }));
  }
  process.exitCode = counts.differs > 0 ? 1 : 0;
}

function split(pair) {
  const [previous, verb] = pair.split(' ');
  return [previous === '' ? null : previous, verb];
}

function said(verdict) {
  if (verdict.problem !== undefined) return `\n    here: ${verdict.problem.slice(0, 500)}`;
  return verdict.differences.map((difference) => {
    const { at, node, own } = firstDifference(difference);
    return `\n    ${difference.endpoint}[${at}]\n        Node: ${node}\n        here: ${own}`;
  }).join('');
}

function summary(chosen, counts, explained, generated, executed) {
  console.log(`\nseed ${chosen.seed}, ${chosen.count} scenarios${chosen.from > 1 ? ` from ${chosen.from}` : ''}, Node ${process.version}`);
  console.log(Object.entries(counts).map(([kind, count]) => `${kind} ${count}`).join(', '));
  for (const [scenario, count] of explained) console.log(`explained by ${scenario}: ${count}`);
  for (const [name, coverage] of [['generated', generated], ['executed', executed]]) {
    const report = coverage.report(name);
    console.log(report.line);
    if (name === 'executed') for (const line of report.excluded) console.log(`  ${line}`);
    if (report.verbs.length > 0) console.log(`  no ${report.verbs.join(', ')}`);
    if (chosen.uncovered && name === 'executed') for (const pair of report.pairs) console.log(`  not executed: ${pair}`);
  }
}

main().catch((error) => fail(error.stack));
