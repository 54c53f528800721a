// Records what Node does: `node tests/conformance/record.js [options] FILE-or-FOLDER…`. `README.md` describes it.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { fnv1a } = require('./node/bytes.js');
const { checkVersion, runAll } = require('./node/runner.js');

const USAGE = `usage: node record.js [--runs N] [--fresh] [--new] [--print] FILE-or-FOLDER…
  --runs N   how often each scenario is run (20)
  --fresh    forget what was recorded before, instead of adding to it
  --new      only scenarios without an up-to-date recording
  --print    write nothing; print one line of JSON for each scenario: {"file", "traces"} or {"file", "problem"}`;

function options(words) {
  const chosen = { runs: 20, fresh: false, new: false, print: false, places: [] };
  for (let i = 0; i < words.length; i++) {
    if (words[i] === '--runs') chosen.runs = Number(words[++i]);
    else if (['--fresh', '--new', '--print'].includes(words[i])) chosen[words[i].slice(2)] = true;
    else if (words[i].startsWith('-')) throw new Error(USAGE);
    else chosen.places.push(words[i]);
  }
  if (chosen.places.length === 0 || !(chosen.runs >= 1)) throw new Error(USAGE);
  return chosen;
}

/** The scenarios of a file or a folder, in the order of their names. */
function scenarios(place) {
  if (!fs.statSync(place).isDirectory()) return [place];
  return fs.readdirSync(place).sort().flatMap((name) => {
    const inside = path.join(place, name);
    if (fs.statSync(inside).isDirectory()) return scenarios(inside);
    return name.endsWith('.json') && !/\.(trace|own)\.json$/.test(name) ? [inside] : [];
  });
}

/** Keys in order, and without what does not change the program. */
function canonical(value, outermost = false) {
  if (Array.isArray(value)) return value.map((item) => canonical(item));
  if (typeof value !== 'object' || value === null) return value;
  const sorted = {};
  for (const key of Object.keys(value).sort()) {
    if (outermost && ['description', 'rules', 'differs'].includes(key)) continue;
    sorted[key] = canonical(value[key]);
  }
  return sorted;
}

function fingerprint(scenario) {
  return fnv1a(Buffer.from(JSON.stringify(canonical(scenario, true))));
}

function traceFile(file) {
  return file.replace(/\.json$/, '.trace.json');
}

function recorded(file) {
  const place = traceFile(file);
  return fs.existsSync(place) ? JSON.parse(fs.readFileSync(place, 'utf8')) : null;
}

/** Adds a run to the variants of each endpoint. */
function add(variants, traces) {
  for (const [endpoint, lines] of Object.entries(traces)) {
    variants[endpoint] ??= [];
    const text = JSON.stringify(lines);
    if (!variants[endpoint].some((variant) => JSON.stringify(variant) === text)) variants[endpoint].push(lines);
  }
  return variants;
}

function sorted(variants) {
  const result = {};
  for (const endpoint of Object.keys(variants).sort()) {
    result[endpoint] = variants[endpoint].map((variant) => [JSON.stringify(variant), variant]).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, variant]) => variant);
  }
  return result;
}

/** What does not end may have gone round in circles. */
function firstLines(text) {
  const lines = text.split('\n');
  return lines.length > 100 ? [...lines.slice(0, 100), `… and ${lines.length - 100} more lines`].join('\n') : text;
}

function main() {
  checkVersion();
  const chosen = options(process.argv.slice(2));
  const jobs = [];
  const seen = new Map();
  const problems = [];
  for (const file of chosen.places.flatMap(scenarios)) {
    let scenario;
    try {
      scenario = JSON.parse(fs.readFileSync(file, 'utf8'));
    } catch (error) {
      problems.push(`${file}: ${error.message}`);
      continue;
    }
    const before = recorded(file);
    const current = before !== null && before.scenario === fingerprint(scenario) && before.node === process.version;
    if (chosen.new && current) continue;
    const known = current && !chosen.fresh && !chosen.print ? before.traces : {};
    seen.set(file, { scenario, variants: known, problem: null });
    for (let run = 0; run < chosen.runs; run++) jobs.push({ file, scenario, run, runs: chosen.runs });
  }

  const done = ({ file, run, runs }, traces, problem, soFar) => {
    const record = seen.get(file);
    if (problem === null) add(record.variants, traces);
    else record.problem ??= `${problem}; so far:\n${firstLines(JSON.stringify(soFar, null, 1))}`;
    if (run < runs - 1 && problem === null) return;
    if (chosen.print) {
      const line = record.problem === null ? { file, traces: sorted(record.variants) } : { file, problem: record.problem };
      console.log(JSON.stringify(line));
    } else if (record.problem === null) {
      const content = { node: process.version, scenario: fingerprint(record.scenario), traces: sorted(record.variants) };
      fs.writeFileSync(traceFile(file), `${JSON.stringify(content, null, 1)}\n`);
      const counts = Object.entries(content.traces).map(([endpoint, variants]) => `${endpoint} ${variants.length}`);
      console.log(`${file}: ${counts.join(', ')}`);
    } else {
      problems.push(`${file}: ${record.problem}`);
    }
  };
  runAll(jobs, done, () => {
    for (const problem of problems) console.error(problem);
    process.exitCode = problems.length > 0 ? 1 : 0;
    process.exit();
  });
}

if (require.main === module) main();

module.exports = { add, fingerprint, scenarios, sorted };
