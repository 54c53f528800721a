// Random lists of actions. What is allowed where is in `excluded.js`; here is what the vocabulary can say at all.
'use strict';
const { LEAVES_SOMETHING, excluded } = require('./excluded.js');

/** How often a verb is chosen, beside what the coverage wants. */
const WEIGHTS = {
  nextTick: 4, throw: 0.2, setImmediate: 4, clearImmediate: 0.5, meet: 0.7, busy: 0.2, log: 1, abort: 0.4, exit: 0.1,
  'socket.connect': 3, 'socket.write': 10, 'socket.end': 6, 'socket.destroy': 2, 'socket.destroySoon': 1.5, 'socket.resetAndDestroy': 1.5,
  'socket.pause': 3, 'socket.resume': 3, 'socket.cork': 2, 'socket.uncork': 2, 'socket.read': 3, 'socket.readAll': 1, 'socket.unshift': 2,
  'socket.setEncoding': 1, 'socket.setTimeout': 0.6, 'socket.pipe': 1.5, 'socket.unpipe': 1, 'socket.once': 2, 'socket.ref': 0.7, 'socket.unref': 0.7,
  'timers.setTimeout': 0.3, 'timers.setInterval': 0.15, 'timers.clear': 0.2, 'timers.refresh': 0.2, 'timers.ref': 0.1, 'timers.unref': 0.2,
  'peer.go': 12,
};
const DEFAULT_WEIGHT = 0.5;
/** Of verbs of servers in lists of servers, of those of others in others. */
const OWN_SERVER = 6;

/** Those that cause nothing: for reactions that are done each time. */
const TAME = new Set([
  'log', 'busy', 'socket.address', 'socket.get', 'socket.listenerCount', 'socket.setNoDelay', 'file.exists',
  'server.address', 'server.get', 'server.listenerCount', 'server.getConnections', 'bound.address',
]);

// ASCII only: lengths of other text count bytes here, and UTF-16 code units in Node (F5, `WRITTEN_TEXT` of `excluded.js`).
const TEXTS = ['a', 'hi', 'hello', ''];
const SIZES = [0, 1, 5, 100, 5000, 20_000];
const SOCKET_PROPERTIES = [
  'remoteAddress', 'remotePort', 'remoteFamily', 'localAddress', 'localPort', 'localFamily', 'bufferSize', 'bytesRead', 'bytesWritten',
  'autoSelectFamilyAttemptedAddresses',
];
const SERVER_PROPERTIES = ['allowHalfOpen', 'pauseOnConnect', 'noDelay', 'keepAlive', 'keepAliveInitialDelay', 'highWaterMark'];
const SOCKET_EVENTS = ['connect', 'ready', 'data', 'end', 'finish', 'drain', 'timeout', 'error', 'close', 'pause', 'resume', 'readable', 'pipe', 'unpipe'];
const COUNTED_IN_NODE = new Set(['connect', 'end', 'close', 'error', 'finish', 'drain', 'readable', 'unpipe']);
const SERVER_EVENTS = ['listening', 'connection', 'close', 'error', 'drop'];
/** Far from each other, and from everything that the kernel does. */
const TIMER_DELAYS = [20, 45];
const IDLE_TIMES = [30, 65];

/** What an inner list knows of its outer ones: names; not how far they were when it runs. */
function inherited(known) {
  return Object.fromEntries(Object.entries(known).filter(([key]) => key !== 'file').map(([key, value]) => [key, Array.isArray(value) ? [...value] : value]));
}

class ActionWriter {
  constructor(scenario) {
    this.scenario = scenario;
    this.random = scenario.random;
    this.coverage = scenario.coverage;
    this.count = 0;
  }

  name(kind) {
    return `${kind}${++this.count}`;
  }

  list(context, most) {
    const ctx = { ...context, list: [], previous: null, known: inherited(context.known) };
    for (let i = 1 + this.random.below(most); i > 0; i--) {
      const verb = this.choose(ctx);
      if (verb === null) break;
      const action = this.action(verb, ctx);
      if (action === null) continue;
      this.coverage.add(ctx.previous, verb);
      ctx.previous = verb;
      if (LEAVES_SOMETHING.has(verb)) this.scenario.leaves = true;
      ctx.list.push(action);
    }
    if (ctx.ends && ctx.place === 'timer') {
      this.coverage.add(ctx.previous, 'exit');
      ctx.list.push('exit');
    }
    return ctx.list;
  }

  choose(ctx) {
    const { random, coverage } = this;
    const allowed = coverage.verbs.filter((verb) => this.possible(verb, ctx) && !excluded(verb, ctx, this.scenario));
    if (allowed.length === 0) return null;
    if (random.chance(0.4)) {
      const counts = allowed.map((verb) => coverage.count(ctx.previous, verb));
      const least = Math.min(...counts);
      return random.pick(allowed.filter((_, index) => counts[index] === least));
    }
    return random.weighted(Object.fromEntries(allowed.map((verb) => [verb, this.weight(verb, ctx)])));
  }

  weight(verb, ctx) {
    const weight = WEIGHTS[verb] ?? DEFAULT_WEIGHT;
    if (verb.startsWith('server.') && ctx.owner === 'srv') return weight * OWN_SERVER;
    return verb.startsWith('socket.') && ctx.owner === 'srv' ? weight / 3 : weight;
  }

  /** Whether there is somebody to do it. */
  possible(verb, ctx) {
    const { scenario } = this;
    if (ctx.tame && !TAME.has(verb)) return false;
    const [kind, word] = verb.includes('.') ? verb.split('.') : ['', verb];
    switch (kind) {
      case 'socket':
        return ctx.sockets.length > 0 && (word !== 'pipe' || this.destinations(ctx).length > 0);
      case 'server':
        return scenario.hasServer;
      case 'timers':
        // In a timer that ends the scenario they come to nothing.
        return !ctx.inTimer || ctx.ends || ctx.previous === 'exit';
      case 'bound':
        return scenario.hasBound;
      case 'peer':
        return scenario.hasPeer;
      case 'file':
        return true;
      default:
        return ctx.depth < 3 || !['nextTick', 'setImmediate', 'meet'].includes(word);
    }
  }

  /** Pairs of sockets whose pipe makes no circle: an accepted socket sends back, or to another one. */
  destinations(ctx) {
    const here = ctx.sockets.filter((name) => this.scenario.accepted.includes(name));
    if (here.length === 0) return [];
    return here[0] === 'S' ? [['S', 'S']] : [['S2', 'S2'], ['S2', 'S']];
  }

  /** Who does it: mostly the one whose list it is. */
  target(ctx) {
    const own = ctx.sockets.includes(ctx.owner);
    return own && this.random.chance(0.85) ? ctx.owner : this.random.pick(ctx.sockets);
  }

  inner(ctx, changes, most = 2) {
    return this.list({ ...ctx, depth: ctx.depth + 1, event: null, within: ctx.within ?? ctx.event, ...changes }, most);
  }

  action(verb, ctx) {
    const [kind, word] = verb.includes('.') ? verb.split('.') : ['', verb];
    switch (kind) {
      case 'socket':
        return this.ofSocket(word, ctx);
      case 'server':
        return this.ofServer(word, ctx);
      case 'timers':
        return this.ofTimer(word, ctx);
      case 'bound':
        return `B.${word}`;
      case 'peer':
        return `P.${word}`;
      case 'file':
        return this.ofFile(word, ctx);
      default:
        return this.ofNobody(word, ctx);
    }
  }

  said(owner, word, value, ctx, more = {}) {
    const key = owner === ctx.owner ? word : `${owner}.${word}`;
    return value === null && Object.keys(more).length === 0 ? key : { [key]: value, ...more };
  }

  callback(ctx, owner, probability, then = true) {
    if (!this.random.chance(probability)) return {};
    const callback = { callback: this.name('cb') };
    if (then && ctx.depth < 2 && this.random.chance(0.3)) callback.then = this.inner(ctx, { owner, data: false, place: 'callback' });
    return callback;
  }

  ofSocket(word, ctx) {
    const { random } = this;
    let target = this.target(ctx);
    const say = (value = null, more = {}) => this.said(target, word, value, ctx, more);
    switch (word) {
      case 'connect':
        if (this.scenario.late) {
          this.scenario.lateConnects = true;
          return this.said('L', word, this.scenario.kind === 'peerListens' ? 'P' : 'srv', ctx, this.callback({ ...ctx, sockets: ['L'] }, 'L', 0.2));
        }
        target = 'C';
        this.scenario.connected = true;
        if (ctx.event === 'close') this.scenario.reconnects = true;
        return this.said('C', word, this.scenario.kind === 'direct' ? 'srv' : null, ctx, this.callback(ctx, 'C', 0.2));
      case 'write':
        return say(this.bytes(ctx, target), this.callback(ctx, target, 0.4));
      case 'end':
        // N11: a callback of an `end` after `destroy` may differ, and so would what it does.
        return say(random.chance(0.6) ? null : this.bytes(ctx, target), this.callback(ctx, target, 0.3, false));
      case 'destroy':
        return say(random.chance(0.3) ? 'why' : null);
      case 'read':
        return say(random.chance(0.5) ? null : random.pick([0, 1, 2, 5]));
      case 'unshift':
        // Bytes that are put back behind a `setEncoding` are bytes in Node, and both here.
        return say(random.pick(['u', 'back']));
      case 'setEncoding':
        return say(random.pick(['utf8', 'utf8', 'latin1', 'hex', 'base64', 'ascii']));
      case 'setDefaultEncoding':
        // Of other encodings the lengths count encoded bytes here, and characters in Node (`writing/f6_lengths_of_text`).
        return say(random.pick(['utf8', 'latin1', 'ascii']));
      case 'setTimeout': {
        this.scenario.timed = true;
        const milliseconds = random.chance(0.25) ? 0 : random.pick(IDLE_TIMES);
        return say(milliseconds, milliseconds === 0 ? {} : this.callback({ ...ctx, inTimer: true }, target, 0.4));
      }
      case 'setNoDelay':
        return say(random.pick([null, true, false]));
      case 'setKeepAlive':
        return this.said(target, word, random.pick([true, false, { enable: true, initialDelay: 1000 }]), ctx);
      case 'setTypeOfService':
        return say(random.pick([0, 16]));
      case 'pipe': {
        const [from, to] = random.pick(this.destinations(ctx));
        return this.said(from, word, random.chance(0.2) ? { to, end: false } : to, ctx);
      }
      case 'unpipe':
        return say(this.scenario.accepted.includes(target) && random.chance(0.4) ? target : null);
      case 'on':
      case 'once':
      case 'prependListener':
      case 'prependOnceListener':
        return this.listener(word, target, SOCKET_EVENTS, ctx);
      case 'off':
        return this.off(target, ctx, SOCKET_EVENTS);
      case 'removeAllListeners':
        return say(random.pick(['data', 'close', 'error', 'drain', 'readable', 'resume', 'finish']));
      case 'listenerCount':
        // Node counts listeners of its own: while it waits, for `end`, of signals and of pipes.
        return say(random.pick(SOCKET_EVENTS.filter((event) => !COUNTED_IN_NODE.has(event))));
      case 'get':
        return say(random.pick(SOCKET_PROPERTIES));
      case 'set':
        return this.said(target, word, { allowHalfOpen: random.chance(0.5) }, ctx);
      default:
        return say();
    }
  }

  bytes(ctx, target) {
    const { random, scenario } = this;
    if (ctx.data && random.chance(0.25) && (!scenario.echoes || scenario.echoes === target)) {
      scenario.echoes = target;
      return '$data';
    }
    if (random.chance(0.03)) return 70_000;
    return random.chance(0.6) ? random.pick(TEXTS) : random.pick(SIZES);
  }

  ofServer(word, ctx) {
    const { random } = this;
    const say = (value = null, more = {}) => this.said('srv', word, value, ctx, more);
    const sockets = this.scenario.netConnect && ctx.owner === 'srv' ? [] : ctx.sockets;
    switch (word) {
      case 'listen':
        return say(random.pick([{}, { host: '127.0.0.1' }, { path: 'q' }]), this.callback({ ...ctx, sockets }, 'srv', 0.4));
      case 'close':
        return say(null, this.callback({ ...ctx, sockets }, 'srv', 0.5));
      case 'getConnections': {
        const callback = this.callback({ ...ctx, sockets }, 'srv', 1, !ctx.tame);
        return say(null, callback);
      }
      case 'on':
      case 'once':
      case 'prependListener':
      case 'prependOnceListener':
        return this.listener(word, 'srv', SERVER_EVENTS, ctx);
      case 'off':
        return this.off('srv', ctx, SERVER_EVENTS);
      case 'removeAllListeners':
        return say(random.pick(['listening', 'close', 'error', 'drop']));
      case 'listenerCount':
        return say(random.pick(SERVER_EVENTS));
      case 'get':
        return say(random.pick(SERVER_PROPERTIES));
      case 'set':
        return say(random.pick([{ maxConnections: 1 }, { maxConnections: null }, { maxConnections: 0 }, { allowHalfOpen: true }, { noDelay: true }, { highWaterMark: 16 }, { pauseOnConnect: true }]));
      default:
        return say();
    }
  }

  listener(word, target, events, ctx) {
    const { random } = this;
    // In Node only `on` and `once` of these change the flow; here a listener is added before it is prepended.
    const event = random.pick(word.startsWith('prepend') ? events.filter((name) => name !== 'data' && name !== 'readable') : events);
    const as = random.chance(0.4) ? { as: this.name('listener') } : {};
    // Only `once` says how often.
    const tame = !word.toLowerCase().includes('once');
    const action = this.said(target, word, event, ctx, { do: this.inner(ctx, { owner: target, event, tame, data: event === 'data', within: event, place: 'event' }), ...as });
    // One of `readable` is not taken away twice, nor when it has been called (`reading/f26_off_twice`).
    if (as.as !== undefined && event !== 'readable') (ctx.known[`listener ${target}`] ??= []).push(as.as);
    return action;
  }

  off(target, ctx, events) {
    const key = `listener ${target}`;
    if (ctx.known[key] === undefined) {
      const as = this.name('listener');
      const event = this.random.pick(events);
      this.before(ctx, target === 'srv' ? 'server.once' : 'socket.once', this.said(target, 'once', event, ctx, { do: [], as }));
      if (event === 'readable') return this.said(target, 'off', as, ctx);
      ctx.known[key] = [as];
    }
    return this.said(target, 'off', this.random.pick(ctx.known[key]), ctx);
  }

  /** Something that an action needs stands at the beginning of its list. */
  before(ctx, verb, action) {
    ctx.list.unshift(action);
    if (ctx.previous === null) ctx.previous = verb;
    this.coverage.add(null, verb);
  }

  ofTimer(word, ctx) {
    const { random, scenario } = this;
    scenario.timed = true;
    const make = (kind, as) => {
      const clear = kind === 'setInterval' ? [{ 'timers.clear': as }] : [];
      return { [`timers.${kind}`]: random.pick(TIMER_DELAYS), as, do: [...clear, ...this.inner(ctx, { inTimer: true, data: false, place: 'timer', ends: ctx.ends || random.chance(0.08) })] };
    };
    const known = (ctx.known.timer ??= []);
    if (word === 'setTimeout' || word === 'setInterval') {
      const as = this.name('timer');
      const action = make(word, as);
      // What an outer list made may be over in an inner one.
      known.push(as);
      return action;
    }
    let usable = known.filter((name) => word !== 'refresh' || !ctx.known[`cleared ${name}`]);
    if (usable.length === 0 || ctx.depth > 0 || ctx.within) {
      const as = this.name('timer');
      this.before(ctx, 'timers.setTimeout', make('setTimeout', as));
      usable = [as];
      if (ctx.depth === 0) known.push(as);
    }
    const name = random.pick(usable);
    if (word === 'clear') ctx.known[`cleared ${name}`] = true;
    return { [`timers.${word}`]: name };
  }

  ofFile(word, ctx) {
    // Of a file that is not there, they fail with different words.
    if (['remove', 'mode'].includes(word) && !ctx.known.file) {
      const needed = { 'file.create': 'f' };
      if (ctx.list.length === 0) this.before(ctx, 'file.create', needed);
      else ctx.list.splice(ctx.list.length - 1, 0, needed);
    }
    ctx.known.file = word === 'create' || word === 'mode' || (ctx.known.file && word !== 'remove');
    return { [`file.${word}`]: word === 'exists' && this.scenario.kind === 'unix' ? 'p' : 'f' };
  }

  ofNobody(word, ctx) {
    const { random } = this;
    switch (word) {
      case 'nextTick':
        return { nextTick: this.inner(ctx, { place: 'tick' }), ...(random.chance(0.4) ? { as: this.name('tick') } : {}) };
      case 'setImmediate': {
        const as = this.name('immediate');
        const action = { setImmediate: this.inner(ctx, { place: 'immediate' }), as };
        (ctx.known.immediate ??= []).push(as);
        return action;
      }
      case 'clearImmediate': {
        if (ctx.known.immediate === undefined || ctx.depth > 0) {
          const as = this.name('immediate');
          this.before(ctx, 'setImmediate', { setImmediate: this.inner(ctx, { place: 'immediate' }), as });
          ctx.known.immediate = [as];
        }
        return { clearImmediate: random.pick(ctx.known.immediate) };
      }
      case 'meet':
        return { meet: random.pick(['here', 'there']), of: random.pick([1, 2]), do: this.inner(ctx, { place: 'immediate' }) };
      case 'busy':
        return { busy: 1 };
      case 'throw':
        return { throw: 'thrown' };
      case 'log':
        return { log: this.name('log') };
      case 'abort':
        return { abort: 'signal', ...(random.chance(0.3) ? { reason: 'enough' } : {}) };
      default:
        return word;
    }
  }
}

module.exports = { ActionWriter };
