// Runs scenarios on Node, one after the other in this process.
//
// A scenario is over when nothing keeps the loop alive any more: `beforeExit` says so, and the next one begins. What a
// scenario leaves behind is destroyed in between.
'use strict';
const { Play } = require('./play.js');
const { Peers } = require('./peers.js');
const { setDelay } = require('./position.js');
const { showError } = require('./trace.js');

/** How long a scenario may take. Most take milliseconds. */
const DEADLINE = 10_000;

/** Refuses a Node that is older than the reference. */
function checkVersion() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 26) {
    console.error(`This is Node ${process.versions.node}. The reference is Node 26: name one with HALFCLOSE_NODE, or install the npm package "node".`);
    process.exit(2);
  }
}

/** A small generator of numbers, so that delays do not depend on anything but the run. */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * How the `run`-th run is disturbed: the first half not at all; in the others the callbacks of the loop are late now and
 * then, so that events of the kernel meet in one poll that otherwise come one by one.
 */
function disturb(run, runs) {
  if (run < runs / 2) {
    setDelay(() => {});
    return;
  }
  const next = random(run);
  setDelay(() => {
    if (next() > 0.3) return;
    const until = process.hrtime.bigint() + BigInt(Math.floor(next() * 2e6));
    while (process.hrtime.bigint() < until);
  });
}

/**
 * Runs `jobs` (`{scenario, run, runs}`) in turn and calls `done(job, traces, problem)` for each: `problem` is null, or
 * says why there are no traces.
 */
function runAll(jobs, done, finished) {
  const peers = new Peers();
  let current = null;
  const failed = new Set();

  process.on('uncaughtException', (error) => {
    if (current?.play && !current.play.over) current.play.trace.add('loop', 'uncaught', `uncaught(${showError(error)})`);
    else throw error;
  });

  async function begin() {
    let job = jobs.shift();
    // What failed once is not tried again.
    while (job !== undefined && failed.has(job.scenario)) job = jobs.shift();
    if (job === undefined) {
      finished?.();
      return;
    }
    disturb(job.run, job.runs);
    const play = new Play(job.scenario, peers);
    // Tells those that wait without end: it does not keep the loop alive itself.
    const deadline = setTimeout(() => end('it did not end'), DEADLINE).unref();
    current = { job, play, deadline, ending: false };
    play.exited = () => setImmediate(() => end(null));
    await play.setUp();
    current.playing = true;
    setImmediate(() => {
      try {
        play.start();
      } catch (error) {
        end(error.message);
      }
    });
  }

  async function end(problem) {
    if (current === null || current.ending) return;
    current.ending = true;
    const { job, play, deadline } = current;
    clearTimeout(deadline);
    const traces = await play.finish(problem === null);
    if (problem !== null) failed.add(job.scenario);
    done(job, problem === null ? traces : null, problem, play.trace.render());
    current = null;
    setDelay(() => {});
    setImmediate(() => {});
  }

  process.on('beforeExit', () => {
   if (current === null) begin();
    else if (current.playing) end(null);
  });
}

module.exports = { checkVersion, runAll };
