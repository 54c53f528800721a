// Plays many scenarios on Node and on this crate, in processes of their own: what crashes takes nothing else with it.
'use strict';
const { execFileSync, spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');

/** Most scenarios wait most of the time, for timers. */
const NODES = 6;
/** How many times a scenario is run at first: half of them are disturbed. */
const RUNS = 6;

class Players {
  constructor(folder, player) {
    this.folder = folder;
    this.player = player ?? buildPlayer();
    this.batches = 0;
  }

  /** Plays them all; the answers are in the order of the scenarios: {runs} or {problem}. */
  async onNode(scenarios, runs = RUNS) {
    const answers = scenarios.map(() => null);
    const jobs = scenarios.map((scenario, index) => ({ index, scenario, runs }));
    const piles = Array.from({ length: Math.min(NODES, jobs.length) }, (_, pile) => jobs.filter((_, index) => index % NODES === pile));
    await Promise.all(piles.map((pile) => this.playPile(pile, answers)));
    return answers;
  }

  /** A process that dies has died of the scenario that it did not answer for; another one plays what is left. */
  async playPile(pile, answers) {
    let rest = pile;
    while (rest.length > 0) {
      const file = path.join(this.folder, `jobs-${++this.batches}.json`);
      fs.writeFileSync(file, JSON.stringify(rest));
      const child = spawn(process.execPath, [path.join(__dirname, 'node_player.js'), file], { stdio: ['ignore', 'pipe', 'pipe'] });
      let complaint = '';
      child.stderr.on('data', (text) => (complaint += text));
      const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code)));
      for await (const line of readline.createInterface({ input: child.stdout })) {
        const answer = JSON.parse(line);
        answers[answer.index] = answer;
      }
      const how = await ended;
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
    const lines = fs.existsSync(traces) ? fs.readFileSync(traces, 'utf8').split('\n') : [];
    for (const line of lines.filter((line) => line !== '')) {
      const answer = JSON.parse(line);
      answers[Number(path.basename(answer.file, '.json'))] = answer;
    }
    fs.rmSync(folder, { recursive: true });
    fs.rmSync(traces, { force: true });
    return answers;
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
