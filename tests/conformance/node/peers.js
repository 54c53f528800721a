// Raw peers, as the scenarios' programs see them: they live in a worker, so that the loop of the scenario does nothing
// for them. This is the side of the scenario.
'use strict';
const path = require('node:path');
const { Worker } = require('node:worker_threads');

class Peers {
  constructor() {
    this.worker = new Worker(path.join(__dirname, 'peer_worker.js'));
    this.waiting = null;
    this.worker.on('message', (answer) => {
      this.worker.unref();
      const resolve = this.waiting;
      this.waiting = null;
      resolve(answer);
    });
    // Last: a listener makes it count again.
    this.worker.unref();
  }

  /** Asks the worker; keeps the loop alive until it answers. */
  ask(message) {
    this.worker.ref();
    return new Promise((resolve) => {
      this.waiting = resolve;
      this.worker.postMessage(message);
    });
  }

  /** Makes those that listen, and gives their ports by name. */
  async setUp(definitions) {
    this.any = definitions.length > 0;
    return this.any ? this.ask({ do: 'setUp', definitions }) : {};
  }

  listening(name, address) {
    if (this.any) this.worker.postMessage({ do: 'listening', name, address });
  }

  go(name) {
    this.worker.postMessage({ do: 'go', name });
  }

  /** Ends them all, and gives what each has seen. */
  async tearDown() {
    return this.any ? this.ask({ do: 'tearDown' }) : {};
  }
}

module.exports = { Peers };
