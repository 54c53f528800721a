// One scenario, played on Node: objects, listeners and actions. The vocabulary is described in `../README.md`; its
// twin for the crate is `../interpreter`.
'use strict';
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { chunk, showBytes } = require('./bytes.js');
const { Trace, showError, showValue } = require('./trace.js');
const { position } = require('./position.js');

/** What an action may carry beside its verb. */
const MODIFIERS = new Set(['callback', 'then', 'as', 'do', 'reason', 'of', 'encoding']);

/** Events that every socket of a scenario is watched for: their listeners change nothing. */
const SOCKET_EVENTS = {
  lookup: (error, address, family, host) =>
    error ? `lookup(${showError(error)} ${host})` : `lookup(${address} ${family} ${host})`,
  connectionAttempt: (address, port, family) => `connectionAttempt(${target(address, port, family)})`,
  connectionAttemptFailed: (address, port, family, error) =>
    `connectionAttemptFailed(${target(address, port, family)} ${showError(error)})`,
  connectionAttemptTimeout: (address, port, family) => `connectionAttemptTimeout(${target(address, port, family)})`,
  connect: () => 'connect',
  ready: () => 'ready',
  end: () => 'end',
  finish: () => 'finish',
  drain: () => 'drain',
  timeout: () => 'timeout',
  pause: () => 'pause',
  resume: () => 'resume',
  // No argument at all where there never was a handle; see "What is made equal" in the README.
  close: (hadError) => `close(${hadError ?? false})`,
};

function target(address, port, family) {
  if (port === undefined) return address;
  return `${address} port=${port} ${family}`;
}

class Play {
  constructor(scenario, peers) {
    this.scenario = scenario;
    this.peers = peers;
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'halfclose-'));
    this.trace = new Trace(scenario, this.directory);
    this.objects = new Map();
    this.named = new Map();
    this.meetings = new Map();
    this.ports = new Map();
    this.peerPorts = {};
    this.descriptors = [];
    this.over = false;
  }

  /** Peers listen before anything else happens. */
  async setUp() {
    this.peerPorts = await this.peers.setUp(this.scenario.peers ?? []);
  }

  start() {
    const scenario = this.scenario;
    for (const name of scenario.aborted ?? []) this.controller(name).abort();
    for (const definition of scenario.boundSockets ?? []) this.makeBound(definition);
    const servers = scenario.servers ?? [];
    servers.forEach((definition, index) => this.makeServer(definition, definition.name ?? (index === 0 ? 'srv' : `srv${index + 1}`)));
    const clients = scenario.clients ?? [];
    clients.forEach((definition, index) => this.makeClient(definition, definition.name ?? (index === 0 ? 'C' : `C${index + 1}`)));
    for (const name of this.objects.keys()) {
      const record = this.objects.get(name);
      if (record.kind !== 'server' || record.definition.listen === false) continue;
      this.listen(record, record.definition.listen ?? { host: '127.0.0.1' }, {});
      this.perform(record.name, record.definition.do);
    }
    for (const record of this.objects.values()) {
      if (record.kind === 'socket' && record.definition.connect !== false && !this.awaitsListening(record)) {
        this.connectClient(record);
      }
    }
    this.perform(null, scenario.start);
  }

  // ---- objects

  makeBound(definition) {
    const record = { kind: 'bound', name: definition.name, definition, object: null };
    this.objects.set(definition.name, record);
    this.act(definition.name, null, 'bind', undefined, () => {
      const options = definition.path === undefined ? { host: '127.0.0.1', ...definition } : { ...definition, path: this.path(definition.path) };
      delete options.name;
      if (options.port !== undefined) options.port = this.port(options.port);
      record.object = new net.BoundSocket(options);
      // Asked for now: an adopted one does not tell.
      record.port = record.object.address().port;
      return null;
    });
  }

  makeServer(definition, name) {
    const server = new net.Server(this.serverOptions(definition.options ?? {}));
    const record = { kind: 'server', name, definition, object: server, accepted: 0, closed: 0, clients: [], lastPort: null };
    this.objects.set(name, record);
    this.watch(record, 'listening', () => 'listening', () => {
      if (record.announced) return;
      record.announced = true;
      record.lastPort = server.address()?.port ?? null;
      this.peers.listening(name, server.address());
      for (const client of this.objects.values()) {
        if (client.kind === 'socket' && this.awaitsListening(client) && this.serverOf(client) === record) this.connectClient(client);
      }
    });
    server.on('connection', (socket) => {
      const accepted = this.acceptedName(record);
      this.log(record, 'connection', `connection ${accepted.name}`);
      this.makeAccepted(record, socket, accepted);
    });
    this.watch(record, 'drop', (info) => (info ? `drop(${info.localAddress} ${info.localFamily} ${info.remoteAddress} ${info.remoteFamily})` : 'drop()'));
    if (definition.onError !== false) this.watch(record, 'error', (error) => `error(${showError(error)})`);
    this.watch(record, 'close', () => 'close');
    this.react(record, definition.on);
  }

  acceptedName(record) {
    const definitions = record.definition.accepted ?? [{}];
    const index = record.accepted++;
    const definition = definitions[Math.min(index, definitions.length - 1)] ?? {};
    const extra = index - Math.min(index, definitions.length - 1);
    const base = definition.name ?? (index - extra === 0 ? 'S' : `S${index - extra + 1}`);
    return { definition, name: extra === 0 ? base : definition.name === undefined ? `S${index + 1}` : `${base}${extra + 1}` };
  }

  makeAccepted(server, socket, { definition, name }) {
    const record = { kind: 'socket', name, definition, object: socket, server };
    this.objects.set(name, record);
    this.log(record, null, 'accepted');
    this.watchSocket(record);
    this.perform(name, definition.do);
  }

  makeClient(definition, name) {
    const record = { kind: 'socket', name, definition, object: null, server: null };
    this.objects.set(name, record);
    const server = definition.connect === false ? null : this.serverOf(record);
    if (server !== null) server.clients.push(record);
    if (definition.netConnect) return;
    this.act(name, null, 'new', undefined, () => {
      record.object = new net.Socket(this.socketOptions(definition.options ?? {}, record));
      return null;
    });
    if (record.object !== null) this.watchSocket(record);
  }

  serverOf(record) {
    const to = this.connectOptionsOf(record).to;
    const server = this.objects.get(to);
    return server?.kind === 'server' ? server : null;
  }

  connectOptionsOf(record) {
    const connect = record.definition.connect ?? {};
    if (typeof connect === 'string') return { to: connect };
    if (connect.to !== undefined || connect.port !== undefined || connect.path !== undefined) return connect;
    const first = (this.scenario.servers ?? [])[0];
    return first === undefined ? connect : { ...connect, to: first.name ?? 'srv' };
  }

  awaitsListening(record) {
    return record.server === null && record.definition.connect !== false && this.serverOf(record) !== null;
  }

  connectClient(record) {
    const options = this.connectOptionsOf(record);
    if (record.definition.netConnect) {
      this.act(record.name, null, 'net.connect', undefined, () => {
        record.object = net.connect({ ...this.socketOptions(record.definition.options ?? {}, record), ...this.connectOptions(options, record) });
        this.watchSocket(record);
        return null;
      });
    } else {
      this.connect(record, options, { callback: record.definition.callback });
    }
    this.perform(record.name, record.definition.do);
  }

  watchSocket(record) {
    const { definition } = record;
    for (const [event, show] of Object.entries(SOCKET_EVENTS)) {
      this.watch(record, event, show, () => {
        if (event === 'close') this.socketClosed(record);
      });
    }
    for (const event of ['pipe', 'unpipe']) this.watch(record, event, (source) => `${event}(${this.nameOf(source)})`);
    if (definition.onError !== false) this.watch(record, 'error', (error) => `error(${showError(error)})`);
    if (definition.onReadable === true) this.watch(record, 'readable', () => 'readable');
    if (definition.onData !== false) this.watchData(record);
    this.react(record, definition.on);
  }

  watchData(record) {
    record.object.on('data', (data) => {
      const bytes = typeof data === 'string' ? Buffer.from(data) : Buffer.from(data);
      const text = typeof data === 'string' ? 'data text' : 'data';
      if (!this.over) this.trace.add(record.name, 'data', text, record.object, bytes);
    });
  }

  nameOf(object) {
    for (const record of this.objects.values()) if (record.object === object) return record.name;
    return '?';
  }

  /** The server of a scenario closes when everybody who is expected has come and gone. */
  socketClosed(record) {
    if (record.server) record.server.closed++;
    record.closes = (record.closes ?? 0) + 1;
    for (const server of this.objects.values()) {
      if (server.kind !== 'server' || server.definition.closeAfter === false || !server.object.listening) continue;
      const peers = (this.scenario.peers ?? []).filter((peer) => peer.connect === server.name).length;
      const expected = server.definition.closeAfter ?? server.clients.length + peers;
      if (expected > 0 && server.closed >= expected && server.clients.every((client) => client.closes > 0)) server.object.close();
    }
  }

  // ---- the trace

  log(record, event, text) {
    if (!this.over) this.trace.add(record.name, event, text, record.kind === 'bound' ? null : record.object);
  }

  watch(record, event, show, then = () => {}) {
    record.object.on(event, (...values) => {
      if (this.over) return;
      this.log(record, event, show(...values));
      then();
    });
  }

  /** Does one action, and records what it returned or threw. */
  act(name, record, verb, value, call) {
    const shown = value === undefined || value === null || typeof value === 'object' ? '' : ` ${JSON.stringify(value)}`;
    let result = '';
    try {
      const returned = call();
      if (returned !== undefined) result = ` -> ${showValue(returned)}`;
      if (returned === null && (verb === 'bind' || verb === 'new' || verb === 'net.connect')) result = '';
    } catch (error) {
      result = ` throws ${showError(error)}`;
    }
    const object = record?.object ?? this.objects.get(name)?.object ?? null;
    const isObject = object !== null && (object instanceof net.Socket || object instanceof net.Server);
    if (!this.over) this.trace.add(name, verb, `[${verb}${shown}${result}]`, isObject ? object : null);
  }

  // ---- reactions and actions

  /** Listeners for the keys of `on`, in the order of the keys. */
  react(record, on) {
    for (const key of Object.keys(on ?? {}).sort()) this.addReaction(record, key, on[key], 'on', undefined);
  }

  addReaction(record, key, actions, method, as) {
    const match = /^(once )?([a-zA-Z]+)(?: (\d+))?$/.exec(key);
    if (match === null) throw new Error(`not an event: ${key}`);
    const [, once, event, nth] = match;
    let count = 0;
    const listener = (...values) => {
      if (this.over) return;
      count++;
      if (nth !== undefined && count !== Number(nth)) return;
      if (as !== undefined) this.log(record, null, as);
      this.perform(record.name, actions, event === 'data' ? values[0] : undefined);
    };
    record.object[once ? 'once' : method](event, listener);
    if (as !== undefined) this.named.set(as, { record, event, listener });
  }

  perform(self, actions, data) {
    for (const action of actions ?? []) {
      if (this.over) return;
      this.performOne(self, typeof action === 'string' ? { [action]: null } : action, data);
    }
  }

  performOne(self, action, data) {
    const keys = Object.keys(action).filter((key) => !MODIFIERS.has(key));
    if (keys.length !== 1) throw new Error(`one verb, please: ${JSON.stringify(action)}`);
    const value = action[keys[0]];
    const dot = keys[0].lastIndexOf('.');
    const verb = keys[0].slice(dot + 1);
    const owner = dot < 0 ? self : keys[0].slice(0, dot);
    if (owner === 'timers' && dot > 0) return this.timer(verb, value, action, self, data);
    if (owner === 'file' && dot > 0) return this.file(verb, value);
    if (dot < 0 && this.general(verb, value, action, self, data)) return undefined;
    const record = this.objects.get(owner);
    if (record === undefined && verb === 'go') return this.peers.go(owner);
    if (record === undefined) throw new Error(`nobody is called ${owner}: ${JSON.stringify(action)}`);
    if (record.kind === 'bound') return this.bound(record, verb);
    if (this.common(record, verb, value, action)) return undefined;
    if (record.kind === 'server') return this.server(record, verb, value, action);
    return this.socket(record, verb, value, action, data);
  }

  /** A callback that says its name, what it was given, and does what follows. */
  callback(record, action, show = (error) => (error ? `(${showError(error)})` : '')) {
    if (action.callback === undefined) return undefined;
    return (...values) => {
      if (this.over) return;
      this.log(record, 'callback', `${action.callback}${show(...values)}`);
      this.perform(record.name, action.then);
    };
  }

  general(verb, value, action, self, data) {
    const later = (actions) => () => {
      if (this.over) return;
      if (action.as !== undefined) this.trace.add('loop', null, action.as);
      this.perform(self, actions, data);
    };
    switch (verb) {
      case 'nextTick':
        process.nextTick(later(value));
        return true;
      case 'setImmediate':
        this.named.set(action.as, setImmediate(later(value)));
        return true;
      case 'clearImmediate':
        clearImmediate(this.named.get(value));
        return true;
      case 'meet': {
        const arrived = (this.meetings.get(value) ?? 0) + 1;
        this.meetings.set(value, arrived);
        if (arrived === action.of) setImmediate(later(action.do));
        return true;
      }
      case 'busy': {
        const until = process.hrtime.bigint() + BigInt(value) * 1000000n;
        while (process.hrtime.bigint() < until);
        return true;
      }
      case 'log':
        this.trace.add('loop', null, value);
        return true;
      case 'abort':
        this.act('loop', null, 'abort', value, () => {
          const reason = action.reason === undefined ? undefined : new Error(action.reason);
          this.controller(value).abort(reason);
        });
        return true;
      case 'exit':
        this.trace.lastCallback ??= position().callback;
        this.exited?.();
        return true;
      case 'throw':
        throw new Error(value);
      default:
        return false;
    }
  }

  timer(verb, value, action, self, data) {
    const run = () => {
      if (this.over) return;
      if (action.as !== undefined) this.trace.add('loop', null, action.as);
      this.perform(self, action.do, data);
    };
    switch (verb) {
      case 'setTimeout':
        this.named.set(action.as, this.remember(setTimeout(run, value)));
        return;
      case 'setInterval':
        this.named.set(action.as, this.remember(setInterval(run, value)));
        return;
      case 'clear':
        clearTimeout(this.named.get(value));
        return;
      case 'refresh':
      case 'ref':
      case 'unref':
        this.named.get(value)[verb]();
        return;
      default:
        throw new Error(`no verb of timers: ${verb}`);
    }
  }

  remember(timer) {
    (this.timers ??= []).push(timer);
    return timer;
  }

  file(verb, value) {
    const place = path.join(this.directory, value);
    this.act('file', null, verb, value, () => {
      switch (verb) {
        case 'create':
          fs.writeFileSync(place, '');
          return undefined;
        case 'remove':
          fs.unlinkSync(place);
          return undefined;
        case 'exists':
          return fs.existsSync(place);
        case 'mode':
          return (fs.statSync(place).mode & 0o777).toString(8);
        default:
          throw new Error(`no verb of files: ${verb}`);
      }
    });
  }

  bound(record, verb) {
    this.act(record.name, null, verb, undefined, () => {
      if (verb === 'close') return record.object.close() ?? undefined;
      if (verb === 'address') {
        const address = record.object.address();
        return typeof address === 'string' ? { path: address } : address;
      }
      throw new Error(`no verb of bound sockets: ${verb}`);
    });
  }

  /** What sockets and servers have in common. */
  common(record, verb, value, action) {
    const { object, name } = record;
    const chained = (call) => this.act(name, record, verb, value, () => void call());
    switch (verb) {
      case 'ref':
      case 'unref':
        chained(() => object[verb]());
        return true;
      case 'address':
        // A path is shown as it is: an abstract one begins with a null character.
        this.act(name, record, verb, value, () => {
          const address = object.address();
          return typeof address === 'string' ? { path: address } : address;
        });
        return true;
      case 'on':
      case 'once':
      case 'prependListener':
      case 'prependOnceListener':
        if (value === 'data' && action.do === undefined) this.watchData(record);
        else if (value === 'readable' && action.do === undefined) this.watch(record, 'readable', () => 'readable');
        else this.addReaction(record, value, action.do, verb, action.as);
        return true;
      case 'off': {
        const { event, listener } = this.named.get(value);
        chained(() => object.off(event, listener));
        return true;
      }
      case 'removeAllListeners':
        chained(() => (value === null ? object.removeAllListeners() : object.removeAllListeners(value)));
        return true;
      case 'listenerCount':
        this.act(name, record, verb, value, () => object.listenerCount(value));
        return true;
      case 'get':
        for (const property of [value].flat()) {
          this.act(name, record, 'get', property, () => {
            const got = object[property];
            return /[pP]ort$/.test(property) && got >= 1024 ? 'PORT' : got ?? null;
          });
        }
        return true;
      case 'set':
        for (const property of Object.keys(value).sort()) {
          this.act(name, record, `set ${property}`, value[property], () => {
            object[property] = value[property] ?? undefined;
          });
        }
        return true;
      default:
        return false;
    }
  }

  server(record, verb, value, action) {
    const server = record.object;
    switch (verb) {
      case 'listen':
        return this.listen(record, value ?? {}, action);
      case 'close':
        return this.act(record.name, record, verb, null, () => void server.close(this.callback(record, action)));
      case 'getConnections': {
        const show = (error, count) => `(${error ? showError(error) : count})`;
        return this.act(record.name, record, verb, null, () => void server.getConnections(this.callback(record, action, show)));
      }
      default:
        throw new Error(`no verb of servers: ${verb}`);
    }
  }

  listen(record, value, action) {
    this.act(record.name, record, 'listen', undefined, () => {
      record.announced = record.announced ?? false;
      const callback = this.callback(record, action, () => '');
      if (value.handle !== undefined) {
        record.object.listen(this.objects.get(value.handle).object, callback);
        return;
      }
      const options = { ...value };
      if (value.path !== undefined) options.path = this.path(value.path);
      else options.port = this.port(value.port ?? 0);
      if (value.signal !== undefined) options.signal = this.controller(value.signal).signal;
      if (value.fd !== undefined) this.descriptors.push((options.fd = fs.openSync(path.join(this.directory, value.fd), 'r')));
      if (callback === undefined) record.object.listen(options);
      else record.object.listen(options, callback);
    });
  }

  socket(record, verb, value, action, data) {
    const socket = record.object;
    const name = record.name;
    const result = (call) => this.act(name, record, verb, value, call);
    const chained = (call) => this.act(name, record, verb, value, () => void call());
    const callback = this.callback(record, action);
    switch (verb) {
      case 'write': {
        const bytes = value === '$data' ? data : chunk(value);
        return result(() => socket.write(bytes, action.encoding, callback));
      }
      case 'end': {
        if (value === null) return chained(() => (callback ? socket.end(callback) : socket.end()));
        const bytes = value === '$data' ? data : chunk(value);
        return chained(() => socket.end(bytes, action.encoding, callback));
      }
      case 'destroy':
        return chained(() => (value === null ? socket.destroy() : socket.destroy(new Error(value))));
      case 'destroySoon':
      case 'resetAndDestroy':
      case 'pause':
      case 'resume':
      case 'cork':
      case 'uncork':
        return chained(() => socket[verb]());
      case 'read':
        return result(() => (value === null ? socket.read() : socket.read(value)));
      case 'readAll': {
        let more = true;
        while (more && !this.over) {
          this.act(name, record, 'read', null, () => {
            const got = socket.read();
            more = got !== null;
            return got;
          });
        }
        return undefined;
      }
      case 'unshift':
        return chained(() => socket.unshift(value === '$data' ? data : Buffer.from(chunk(value))));
      case 'setEncoding':
      case 'setDefaultEncoding':
        return chained(() => socket[verb](value));
      case 'setTimeout': {
        const onTimeout = this.callback(record, action, () => '');
        return chained(() => (onTimeout ? socket.setTimeout(value, onTimeout) : socket.setTimeout(value)));
      }
      case 'setNoDelay':
        return chained(() => (value === null ? socket.setNoDelay() : socket.setNoDelay(value)));
      case 'setKeepAlive':
        return chained(() => {
          if (typeof value === 'object' && value !== null) socket.setKeepAlive(value);
          else socket.setKeepAlive(value ?? false);
        });
      case 'setTypeOfService':
        return chained(() => socket.setTypeOfService(value));
      case 'getTypeOfService':
        return result(() => socket.getTypeOfService());
      case 'pipe': {
        const { to, ...options } = typeof value === 'string' ? { to: value } : value;
        return this.act(name, record, verb, to, () => void socket.pipe(this.objects.get(to).object, options));
      }
      case 'unpipe':
        return chained(() => (value === null ? socket.unpipe() : socket.unpipe(this.objects.get(value).object)));
      case 'connect':
        return this.connect(record, typeof value === 'string' ? { to: value } : value ?? this.connectOptionsOf(record), action);
      default:
        throw new Error(`no verb of sockets: ${verb}`);
    }
  }

  connect(record, value, action) {
    const callback = this.callback(record, action, () => '');
    this.act(record.name, record, 'connect', undefined, () => {
      const options = this.connectOptions(value, record);
      if (callback === undefined) record.object.connect(options);
      else record.object.connect(options, callback);
    });
  }

  // ---- options

  controller(name) {
    const key = `signal ${name}`;
    if (!this.named.has(key)) this.named.set(key, new AbortController());
    return this.named.get(key);
  }

  path(name) {
    if (name === '') return '';
    const place = name.startsWith('@') ? `\0${path.basename(this.directory)}-${name.slice(1)}` : path.join(this.directory, name);
    // `name#108` is filled up to 108 bytes.
    const length = /#(\d+)$/.exec(name);
    return length === null ? place : place.padEnd(Number(length[1]), '~');
  }

  blockList(rules) {
    const list = new net.BlockList();
    for (const rule of rules) {
      const family = rule.includes(':') ? 'ipv6' : 'ipv4';
      if (rule.includes('/')) list.addSubnet(rule.split('/')[0], Number(rule.split('/')[1]), family);
      else if (rule.includes('-')) list.addRange(...rule.split('-'), family);
      else list.addAddress(rule, family);
    }
    return list;
  }

  serverOptions(value) {
    const options = { ...value };
    if (options.blockList !== undefined) options.blockList = this.blockList(options.blockList);
    return options;
  }

  socketOptions(value, record) {
    const options = { ...value };
    if (options.blockList !== undefined) options.blockList = this.blockList(options.blockList);
    if (options.signal !== undefined) options.signal = this.controller(options.signal).signal;
    if (options.handle !== undefined) options.handle = this.objects.get(options.handle).object;
    if (options.onread !== undefined) {
      const answers = options.onread.return ?? [];
      let calls = 0;
      const { size, do: actions } = options.onread;
      let made = 0;
      const generate = () => {
        this.log(record, 'onreadBuffer', `onreadBuffer(${++made})`);
        return Buffer.alloc(size);
      };
      options.onread = {
        buffer: options.onread.generate ? generate : Buffer.alloc(options.onread.size),
        callback: (length, buffer) => {
          this.log(record, 'onread', `onread(${showBytes(buffer.subarray(0, length))})`);
          this.perform(record.name, actions);
          return answers[calls++] ?? true;
        },
      };
    }
    return options;
  }

  /** A number, the port of somebody in the scenario, `refused` (a port that nobody listens at), or a name for a free one. */
  port(value) {
    if (typeof value === 'number') return value;
    const record = this.objects.get(value);
    if (record?.kind === 'server') return record.object.address()?.port ?? record.lastPort;
    if (record?.kind === 'bound') return record.port;
    if (this.peerPorts[value] !== undefined) return this.peerPorts[value];
    if (!this.ports.has(value)) {
      // Bound, and not listening: it refuses connections.
      const holder = new net.BoundSocket({ host: '127.0.0.1' });
      this.ports.set(value, { port: holder.address().port, holder });
      if (value !== 'refused') holder.close();
    }
    return this.ports.get(value).port;
  }

  connectOptions(value, record) {
    const { to, lookup, ...options } = value;
    if (to !== undefined) {
      const server = this.objects.get(to);
      const address = server?.kind === 'server' ? server.object.address() : null;
      if (typeof address === 'string') options.path = address;
      else {
        options.port ??= this.port(to);
        const host = address?.address;
        options.host ??= host === undefined || host === '::' || host === '0.0.0.0' ? '127.0.0.1' : host;
      }
    } else if (options.path !== undefined) options.path = this.path(options.path);
    if (options.port !== undefined) options.port = this.port(options.port);
    if (options.localPort !== undefined) options.localPort = this.port(options.localPort);
    if (lookup !== undefined) options.lookup = (host, asked, answer) => this.lookup(record, lookup, host, asked, answer);
    return options;
  }

  lookup(record, script, host, asked, answer) {
    const hints = asked.hints ? ` hints=${asked.hints}` : '';
    this.log(record, 'lookupCall', `lookupCall(${host} family=${asked.family || 0}${hints}${asked.all ? ' all' : ''})`);
    const reply = () => {
      if (this.over) return;
      if (script.error !== undefined) answer(new Error(script.error));
      else {
        const found = script.addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
        if (asked.all) answer(null, found);
        else answer(null, found[0].address, found[0].family);
      }
    };
    switch (script.when ?? 'now') {
      case 'now':
        return reply();
      case 'tick':
        return process.nextTick(reply);
      case 'immediate':
        return setImmediate(reply);
      case 'never':
        return undefined;
      default:
        throw new Error(`not a time of answer: ${script.when}`);
    }
  }

  // ---- the end

  /** Nothing keeps the loop alive any more, or somebody said `exit`. */
  async finish(complete) {
    if (complete && this.trace.lastCallback === null) {
      const last = position();
      for (const record of this.objects.values()) {
        if (record.kind === 'bound' || record.object === null) continue;
        this.trace.add(record.name, 'over', 'over', record.object, null, { callback: last.callback + 1, tick: 0, phase: '' });
      }
    }
    this.over = true;
    this.trace.open = false;
    for (const timer of this.timers ?? []) clearTimeout(timer);
    for (const record of this.objects.values()) {
      if (record.object === null) continue;
      if (record.kind === 'socket') record.object.on('error', () => {}).destroy();
      if (record.kind === 'server') record.object.close();
      if (record.kind === 'bound') try { record.object.close(); } catch { /* adopted */ }
    }
    for (const { holder } of this.ports.values()) try { holder.close(); } catch { /* closed */ }
    for (const descriptor of this.descriptors) fs.closeSync(descriptor);
    const traces = this.trace.render();
    const omit = this.scenario.omit ?? [];
    for (const [name, line] of Object.entries(await this.peers.tearDown())) {
      if (!omit.includes(name)) traces[name] = [line];
    }
    fs.rmSync(this.directory, { recursive: true, force: true });
    return traces;
  }
}

module.exports = { Play };
