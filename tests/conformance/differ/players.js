// Plays many scenarios on Node and on this crate, in processes of their own: what crashes takes nothing else with it.
'use strict';
const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** Most scenarios wait most of the time, for timers. */
const NODES = 12;
/** How many times a scenario is run at first: half of them are disturbed. */
const RUNS = 6;

class Players {
  constructor(folder, player) {
    this.folder = folder;
    this.player = player ?? buildPlayer();
    this.batches = 0;
    /** The library that changes the order of readiness, when it has been needed; null where it cannot be built. */
    this.readiness = undefined;
  }

  /** Plays them all; the answers are in the order of the scenarios: {runs} or {problem}. `reordered`: see `readiness.rs`. */
  async onNode(scenarios, runs = RUNS, reordered = false) {
    if (reordered && this.readiness === undefined) this.readiness = buildReadiness(this.folder);
    const answers = scenarios.map(() => null);
    const jobs = scenarios.map((scenario, index) => ({ index, scenario, runs }));
    const many = Math.min(NODES, Math.ceil(jobs.length / 4));
    const piles = Array.from({ length: many }, (_, pile) => jobs.filter((_, index) => index % many === pile));
    await Promise.all(piles.map((pile) => this.playPile(pile, answers, reordered)));
    return answers;
  }

  /** A process that dies has died of the scenario that it did not answer for; another one plays what is left. */
  async playPile(pile, answers, reordered) {
    const env = reordered && this.readiness ? { ...process.env, LD_PRELOAD: this.readiness } : process.env;
    let rest = pile;
    while (rest.length > 0) {
      const file = path.join(this.folder, `jobs-${++this.batches}.json`);
      const said = `${file}.answers`;
      fs.writeFileSync(file, JSON.stringify(rest));
      const child = spawn(process.execPath, [path.join(__dirname, 'node_player.js'), file, said], { env, stdio: ['ignore', 'ignore', 'pipe'] });
      let complaint = '';
      child.stderr.on('data', (text) => (complaint += text));
      const how = await new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)));
      for (const answer of linesOf(said)) answers[answer.index] = answer;
      fs.unlinkSync(file);
      rest = rest.filter(({ index }) => answers[index] === null);
      if (rest.length > 0) {
        answers[rest[0].index] = { problem: `Node ended (${how}): ${complaint.slice(0, 2000)}` };
        rest = rest.slice(1);
      }
    }
  }

  /** Plays them all; the answers are in the order of the scenarios: {traces} or {problem}. */
  async onCrate(scenarios) {
    const folder = path.join(this.folder, `batch-${++this.batches}`);
    const traces = path.join(this.folder, `traces-${this.batches}`);
    fs.mkdirSync(folder);
    scenarios.forEach((scenario, index) => fs.writeFileSync(path.join(folder, `${index}.json`), JSON.stringify(scenario)));
    const env = { ...process.env, HALFCLOSE_SCENARIOS: folder, HALFCLOSE_OWN_TRACES: traces };
    delete env.HALFCLOSE_SCENARIO_FILTER;
    const words = ['--ignored', '--exact', 'own_traces_for_the_differential_run'];
    const child = spawn(this.player, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.on('data', (text) => (said = (said + text).slice(-5000)));
    child.stderr.on('data', (text) => (said = (said + text).slice(-5000)));
    const how = await new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)));
    const answers = scenarios.map(() => ({ problem: `the process of this crate ended (${how}): ${said}` }));
    for (const answer of linesOf(traces)) answers[Number(path.basename(answer.file, '.json'))] = answer;
    fs.rmSync(folder, { recursive: true });
    return answers;
  }
}

/** Each line's JSON, of a file that is removed. One that was cut off says nothing. */
function linesOf(file) {
  if (!fs.existsSync(file)) return [];
  const lines = fs.readFileSync(file, 'utf8').split('\n').slice(0, -1);
  fs.unlinkSync(file);
  return lines.map((line) => JSON.parse(line));
}

/** `readiness.rs`, built with the `rustc` that is there; only Linux has what it changes. */
function buildReadiness(folder) {
  if (process.platform !== 'linux') return null;
  const library = path.join(folder, 'readiness.so');
  const words = ['--edition', '2024', '--crate-type', 'cdylib', '-C', 'panic=abort', '-O', '-o', library, path.join(__dirname, 'readiness.rs')];
  try {
    execFileSync(process.env.RUSTC ?? 'rustc', words, { stdio: ['ignore', 'ignore', 'inherit'] });
    return library;
  } catch (error) {
    console.error(`Other orders of readiness are not tried, and may differ: ${error.message}`);
    return null;
  }
}

/** The binary of `cargo test --test conformance`. */
function buildPlayer() {
  const words = ['test', '--locked', '--test', 'conformance', '--no-run', '--message-format=json'];
  const output = execFileSync('cargo', words, { cwd: path.join(__dirname, '../../..'), encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 });
  const built = output.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const found = built.find((message) => message.reason === 'compiler-artifact' && message.target.name === 'conformance' && message.executable);
  if (found === undefined) throw new Error('cargo built no conformance test');
  return found.executable;
}

module.exports = { Players, RUNS };
