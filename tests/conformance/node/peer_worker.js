// Raw peers: sockets that follow a script and know nothing of the scenario. Runs in a worker.
'use strict';
const net = require('node:net');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { chunk, showBytes } = require('./bytes.js');

if (workerData?.neverAccept) neverAccept();
else if (!isMainThread) {
  let cast = null;
  parentPort.on('message', async (message) => {
    switch (message.do) {
      case 'setUp':
        cast = new Cast(message.definitions);
        return parentPort.postMessage(await cast.setUp());
      case 'listening':
        return cast?.listening(message.name, message.address);
      case 'go':
        return cast?.go(message.name);
      case 'tearDown':
        return parentPort.postMessage(await cast.tearDown());
      default:
        throw new Error(message.do);
    }
  });
}

/** Listens, and blocks its thread, so that the connections stay in the kernel's queue. */
function neverAccept() {
  const server = net.createServer();
  server.listen({ host: '127.0.0.1', port: 0, backlog: workerData.backlog }, () => {
    parentPort.postMessage(server.address().port);
    // Long enough for the message to be on its way.
    setImmediate(() => Atomics.wait(new Int32Array(workerData.gate), 0, 0));
  });
}

class Signal {
  constructor() {
    this.count = 0;
    this.waiting = [];
  }

  raise() {
    const resolve = this.waiting.shift();
    if (resolve === undefined) this.count++;
    else resolve();
  }

  wait() {
    if (this.count > 0) {
      this.count--;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}

class Cast {
  constructor(definitions) {
    this.definitions = definitions;
    this.players = [];
    this.servers = [];
    this.blocked = [];
    this.fillers = [];
    this.signals = new Map();
    this.addresses = new Map();
    this.summaries = {};
  }

  async setUp() {
    const ports = {};
    for (const definition of this.definitions) {
      this.signals.set(definition.name, new Signal());
      if (definition.listen === undefined) this.expect(definition);
      else if (definition.scripts === undefined) ports[definition.name] = await this.listenInVain(definition);
      else ports[definition.name] = await this.listen(definition);
    }
    return ports;
  }

  listen(definition) {
    let accepted = 0;
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      const index = accepted++;
      const script = definition.scripts[Math.min(index, definition.scripts.length - 1)];
      this.play(definition, index === 0 ? definition.name : `${definition.name}${index + 1}`, socket, script);
    });
    this.servers.push(server);
    return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
  }

  async listenInVain(definition) {
    const backlog = definition.listen.backlog ?? 511;
    const gate = new SharedArrayBuffer(4);
    const worker = new Worker(__filename, { workerData: { neverAccept: true, backlog, gate } });
    this.blocked.push({ worker, gate });
    const port = await new Promise((resolve) => worker.once('message', resolve));
    // Linux completes one connection more than the backlog says; all others are left unanswered.
    for (let i = 0; definition.listen.fill && i <= backlog; i++) {
      const filler = net.connect(port, '127.0.0.1').on('error', () => {});
      this.fillers.push(filler);
      await new Promise((resolve) => filler.once('connect', resolve));
    }
    return port;
  }

  expect(definition) {
    if (this.addresses.has(definition.connect)) this.connect(definition);
  }

  listening(name, address) {
    this.addresses.set(name, address);
    for (const definition of this.definitions) if (definition.connect === name) this.connect(definition);
  }

  connect(definition) {
    const address = this.addresses.get(definition.connect);
    const socket = new net.Socket({ allowHalfOpen: true });
    socket.pause();
    const wildcard = address.address === '::' || address.address === '0.0.0.0';
    if (typeof address === 'string') socket.connect({ path: address });
    else socket.connect({ port: address.port, host: wildcard ? '127.0.0.1' : address.address });
    socket.once('connect', () => this.play(definition, definition.name, socket, definition.script ?? []));
    socket.on('error', () => {});
  }

  go(name) {
    this.signals.get(name)?.raise();
  }

  play(definition, name, socket, script) {
    const player = new Player(name, socket, this.signals.get(definition.name));
    player.done = player.play(script);
    this.players.push(player);
  }

  async tearDown() {
    for (const player of this.players) {
      let timer;
      const late = new Promise((resolve) => (timer = setTimeout(resolve, 1000)));
      if (!player.holds) await Promise.race([player.done, late]);
      clearTimeout(timer);
      this.summaries[player.name] = player.summary();
      player.socket.destroy();
    }
    for (const server of this.servers) server.close();
    for (const filler of this.fillers) filler.destroy();
    for (const { worker, gate } of this.blocked) {
      Atomics.store(new Int32Array(gate), 0, 1);
      Atomics.notify(new Int32Array(gate), 0);
      await worker.terminate();
    }
    return this.summaries;
  }
}

class Player {
  constructor(name, socket, signal) {
    this.name = name;
    this.socket = socket;
    this.signal = signal;
    this.received = [];
    this.length = 0;
    this.wanted = 0;
    this.end = null;
    this.holds = false;
    this.notify = () => {};
    socket.setNoDelay(true);
    socket.on('data', (bytes) => {
      this.received.push(bytes);
      this.length += bytes.length;
      this.notify();
    });
    socket.on('end', () => {
      this.end ??= 'ended';
      this.notify();
    });
    socket.on('error', () => {
      this.end ??= 'reset';
      this.notify();
    });
    socket.on('close', () => {
      this.end ??= 'closed';
      this.notify();
    });
  }

  /** Reads until `enough`, or until nothing more can come, and then stops reading. */
  readUntil(enough) {
    return new Promise((resolve) => {
      this.notify = () => {
        if (this.end === null && !enough()) return;
        this.notify = () => {};
        this.socket.pause();
        this.stopReading();
        resolve();
      };
      this.socket.resume();
      this.startReading();
      this.notify();
    });
  }

  /** A socket that is paused reads on until its buffer is full: a peer must not, as `close` with unread bytes is a reset. */
  stopReading() {
    if (!this.socket._handle?.reading) return;
    this.socket._handle.reading = false;
    this.socket._handle.readStop();
  }

  startReading() {
    if (!this.socket._handle || this.socket._handle.reading) return;
    this.socket._handle.reading = true;
    this.socket._handle.readStart();
  }

  async play(script) {
    for (const step of script) {
      const [verb, value] = typeof step === 'string' ? [step, null] : Object.entries(step)[0];
      if (verb === 'hold') {
        this.holds = true;
        return;
      }
      await this.step(verb, value);
    }
    await this.readUntil(() => false);
    this.socket.destroy();
  }

  step(verb, value) {
    const { socket } = this;
    switch (verb) {
      case 'go':
        return this.signal.wait();
      case 'write': {
        return new Promise((resolve) => socket.write(chunk(value), () => resolve()));
      }
      case 'writeHex':
        return new Promise((resolve) => socket.write(Buffer.from(value.replaceAll(' ', ''), 'hex'), () => resolve()));
      case 'read':
        this.wanted += value;
        return this.readUntil(() => this.length >= this.wanted);
      case 'readEnd':
        return this.readUntil(() => false);
      case 'end':
        return new Promise((resolve) => socket.end(() => resolve()));
      case 'reset':
        // A unix socket has no reset.
        try {
          socket.resetAndDestroy();
        } catch {
          socket.destroy();
        }
        return undefined;
      case 'close':
        socket.destroy();
        return undefined;
      default:
        throw new Error(`no step of peers: ${verb}`);
    }
  }

  summary() {
    const end = this.holds ? 'held' : this.end ?? 'open';
    return `received ${showBytes(Buffer.concat(this.received))}, ${end}`;
  }
}
