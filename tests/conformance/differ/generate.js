// Random scenarios. The same seed gives the same scenarios on every machine.
//
// They are made so that their traces do not depend on timing: little data, reactions instead of delays, timers that are
// far apart and long after everything else. What is left out is in `excluded.js`.
'use strict';
const { Random } = require('./random.js');
const { Coverage } = require('./coverage.js');
const { ActionWriter } = require('./actions.js');

const SOCKET_EVENTS = {
  data: 8, end: 6, finish: 3, close: 4, drain: 2, error: 3, pause: 1, resume: 1, timeout: 1, pipe: 1, unpipe: 1, readable: 1.5,
};
const CLIENT_EVENTS = { ...SOCKET_EVENTS, connect: 6, ready: 3 };
const SERVER_EVENTS = { listening: 3, connection: 4, close: 3, error: 1, drop: 0.5 };

/** Where the parts of a scenario come from, and how often. */
const KINDS = { tcp: 60, unix: 14, direct: 10, refused: 4, names: 5, peerConnects: 5, peerListens: 5, handle: 3, alone: 4 };

class Generator {
  constructor(seed) {
    this.seed = seed;
    this.index = 0;
    this.coverage = new Coverage();
  }

  next() {
    const random = new Random(Math.imul(this.seed, 0x9e3779b1) ^ Math.imul(++this.index, 0x85ebca6b));
    const scenario = new ScenarioWriter(random, this.coverage).write();
    return { rules: [], description: `Generated: seed ${this.seed}, scenario ${this.index}.`, ...scenario };
  }
}

class ScenarioWriter {
  constructor(random, coverage) {
    this.random = random;
    this.coverage = coverage;
    this.kind = random.weighted(KINDS);
    this.netConnect = ['tcp', 'unix', 'names'].includes(this.kind) && random.chance(0.08);
    this.hasServer = !['refused', 'peerListens'].includes(this.kind);
    this.hasClient = this.kind !== 'peerConnects';
    this.hasPeer = this.kind === 'peerConnects' || this.kind === 'peerListens';
    this.hasBound = this.kind === 'handle' || random.chance(0.1);
    this.clients = ['tcp', 'unix'].includes(this.kind) && !this.netConnect && random.chance(0.12) ? ['C', 'C2'] : this.hasClient ? ['C'] : [];
    /** A client that connects when somebody says so. */
    this.late = ['tcp', 'unix', 'handle', 'peerListens'].includes(this.kind) && !this.netConnect && this.clients.length === 1 && random.chance(0.2);
    this.accepted = !this.hasServer || this.kind === 'alone' ? [] : this.clients.length === 2 || this.late ? ['S', 'S2'] : ['S'];
    this.signal = this.hasClient && !this.netConnect && random.chance(0.08);
    /** Whether a socket of the loop sends back what it gets: one may, two would never end. */
    this.echoes = false;
    this.reconnects = false;
    this.timed = false;
    this.actions = new ActionWriter(this);
  }

  write() {
    const { random } = this;
    const scenario = {};
    // The order of events of different sockets is not specified.
    const whole = this.kind === 'alone' && random.chance(0.8);
    if (whole) scenario.compare = 'whole';
    if (random.chance(0.08)) scenario.chunks = 'exact';
    // Which of two connections is accepted when is about timing.
    if (this.clients.length > 1 || this.late) scenario.omit = ['connections'];
    if (this.hasBound) scenario.boundSockets = [{ name: 'B' }];
    if (this.hasServer) scenario.servers = [this.server()];
    if (this.hasClient) scenario.clients = this.clients.map((name) => this.client(name));
    if (this.late) scenario.clients.push({ name: 'L', ...this.client('L'), connect: false });
    if (this.hasPeer) scenario.peers = [this.peer()];
    const start = random.chance(0.25) || this.kind === 'alone' ? this.list({ owner: null, sockets: this.made(), direct: this.kind === 'direct', early: this.hasServer }) : [];
    if (this.kind === 'direct' && !this.connected) start.push({ 'C.connect': 'srv' });
    if ((this.reconnects || this.lateConnects) && scenario.servers !== undefined) scenario.servers[0].closeAfter = 2;
    scenario.start = [...this.ending(), ...start];
    return scenario;
  }

  /** The clients that exist in the first callback. */
  made() {
    return this.netConnect ? [] : this.clients;
  }

  /** What has not ended long after everything should have happened is ended: first gently. */
  ending() {
    const [gently, at] = this.timed ? [140, 180] : [40, 70];
    const gentle = [...[...this.made(), ...(this.late ? ['L'] : [])].map((name) => `${name}.destroy`), ...(this.hasServer ? ['srv.close'] : [])];
    const peer = this.hasPeer ? ['P.go', 'P.go'] : [];
    return [
      { 'timers.setTimeout': gently, as: 'gentleEnd', do: [...peer, ...gentle] },
      { 'timers.unref': 'gentleEnd' },
      { 'timers.setTimeout': at, as: 'lastEnd', do: ['exit'] },
      { 'timers.unref': 'lastEnd' },
    ];
  }

  list(context, most = 4) {
    return this.actions.list({ depth: 0, event: null, data: false, tame: false, known: {}, ...context }, most);
  }

  server() {
    const { random } = this;
    const server = {};
    const options = this.some({
      allowHalfOpen: [0.3, () => true],
      pauseOnConnect: [0.1, () => true],
      noDelay: [0.04, () => true],
      keepAlive: [0.04, () => true],
      keepAliveInitialDelay: [0.03, () => 1000],
      highWaterMark: [0.1, () => random.pick([1, 3, 16, 1000])],
      blockList: [0.02, () => ['127.0.0.0/8']],
    });
    if (options !== null) server.options = options;
    if (this.kind === 'unix') server.listen = { path: 'p' };
    else if (this.kind === 'direct') server.listen = {};
    else if (this.kind === 'handle') server.listen = { handle: 'B' };
    else if (random.chance(0.03)) server.listen = { host: '127.0.0.1', backlog: 5 };
    if (random.chance(0.25) || this.kind === 'alone') server.do = this.list({ owner: 'srv', early: true, sockets: this.made() });
    if (random.chance(0.3) || this.kind === 'alone') server.on = this.reactions('srv', SERVER_EVENTS, this.made());
    if (this.accepted.length > 0) server.accepted = this.accepted.map((name) => this.socket(name, SOCKET_EVENTS));
    if (random.chance(0.02)) server.onError = false;
    return server;
  }

  client(name) {
    const { random } = this;
    const client = {};
    const options = this.some({
      allowHalfOpen: [0.3, () => true],
      highWaterMark: [0.08, () => random.pick([1, 3, 16, 1000])],
      readableHighWaterMark: [0.04, () => random.pick([1, 4, 100])],
      writableHighWaterMark: [0.06, () => random.pick([1, 4, 100])],
      noDelay: [0.03, () => true],
      keepAlive: [0.03, () => true],
      keepAliveInitialDelay: [0.02, () => 2000],
      typeOfService: [this.kind === 'unix' ? 0 : 0.03, () => 16],
      blockList: [0.02, () => ['127.0.0.1']],
      signal: [this.signal ? 1 : 0, () => 'signal'],
      // Here `on_read` is called on a socket that was made, so not within `net.connect`.
      onread: [this.netConnect ? 0 : 0.04, () => ({ size: random.pick([1, 4, 64]), return: random.pick([[], [true, false], [false]]) })],
    });
    if (options !== null) client.options = options;
    if (this.kind === 'alone' || this.kind === 'direct') client.connect = false;
    if (this.kind === 'refused') client.connect = { port: 'refused', host: '127.0.0.1' };
    if (this.kind === 'peerListens') client.connect = 'P';
    if (this.kind === 'names') {
      const addresses = random.pick([['127.0.0.1'], ['::1', '127.0.0.1'], ['127.0.0.1', '::1']]);
      client.connect = { to: 'srv', host: 'some.test', lookup: { addresses, when: random.pick(['now', 'tick', 'immediate']) } };
      if (random.chance(0.15)) client.connect.lookup = { error: 'no such name', when: random.pick(['now', 'tick', 'immediate']) };
      if (random.chance(0.3)) client.connect.autoSelectFamily = random.chance(0.5);
      if (random.chance(0.15)) client.connect.family = random.pick([4, 6]);
    }
    if (this.netConnect) client.netConnect = true;
    if (client.connect !== false && !this.netConnect && name !== 'L' && random.chance(0.1)) client.callback = this.actions.name('called');
    return Object.assign(client, this.socket(name, this.kind === 'names' ? { ...CLIENT_EVENTS, lookup: 3, connectionAttempt: 2, connectionAttemptFailed: 3 } : CLIENT_EVENTS));
  }

  /** What clients and accepted sockets have in common. */
  socket(name, events) {
    const { random } = this;
    const socket = {};
    const isClient = this.clients.includes(name) || name === 'L';
    if (random.chance(0.15)) socket.onData = false;
    if (random.chance(0.08)) socket.onReadable = true;
    if (random.chance(0.03)) socket.onError = false;
    const sockets = isClient ? [name, ...this.made().filter((other) => other !== name)] : [name, ...this.clients];
    if (random.chance(0.65) && name !== 'L' && !(isClient && ['alone', 'direct'].includes(this.kind))) {
      // A client after this one has not begun to connect, see `notYetConnecting`.
      const begun = sockets.filter((other) => !isClient || this.clients.indexOf(other) <= this.clients.indexOf(name));
      socket.do = this.list({ owner: name, sockets: begun });
    }
    if (random.chance(0.85)) socket.on = this.reactions(name, events, sockets);
    return socket;
  }

  reactions(owner, events, sockets) {
    const { random } = this;
    const on = {};
    const isSocket = owner !== 'srv';
    for (let i = 1 + random.below(3); i > 0; i--) {
      const event = random.weighted(events);
      const form = random.weighted({ first: 5, once: 3, second: 1, each: 2 });
      const key = { first: `${event} 1`, second: `${event} 2`, once: `once ${event}`, each: event }[form];
      // What happens again and again must not cause itself.
      const tame = form === 'each' && !['connect', 'ready', 'end', 'finish'].includes(event);
      const accepted = isSocket && this.accepted.includes(owner);
      const known = isSocket && !accepted && event === 'data' && this.accepted.length === 1 && this.hasServer ? [...sockets, 'S'] : sockets;
      const there = owner === 'srv' && this.netConnect ? [] : known;
      on[key] = this.list({ owner, sockets: there, event, tame, data: event === 'data' });
    }
    return on;
  }

  peer() {
    const { random } = this;
    const step = () => random.weighted({ go: 4, write: 6, read: 2, readEnd: 1, end: 3, reset: 2, close: 2 });
    const script = [];
    for (let i = random.below(5); i > 0; i--) {
      const verb = step();
      if (verb === 'write') script.push({ write: random.pick(['peer', 'x', 300]) }, 'go');
      else if (verb === 'read') script.push({ read: random.pick([1, 3]) });
      else script.push(verb);
      if (['end', 'reset', 'close'].includes(verb)) break;
    }
    return this.kind === 'peerListens' ? { name: 'P', listen: true, scripts: [script] } : { name: 'P', connect: 'srv', script };
  }

  /** Each with its probability; null when there is none. */
  some(fields) {
    const chosen = Object.entries(fields).filter(([, [probability]]) => this.random.chance(probability));
    return chosen.length === 0 ? null : Object.fromEntries(chosen.map(([name, [, value]]) => [name, value()]));
  }
}

module.exports = { Generator };
