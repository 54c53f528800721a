// What a scenario did: entries with their place in the loop and the properties of their object, rendered as lines.
//
// The lines are the same as those of `trace.rs`; `README.md` describes them.
'use strict';
const path = require('node:path');
const { showBytes } = require('./bytes.js');
const { position } = require('./position.js');

/** The observable properties of a socket, in the order in which a line names them, with those of a fresh socket. */
const SOCKET = {
  readyState: 'open',
  connecting: 'false',
  pending: 'true',
  destroyed: 'false',
  closed: 'false',
  errored: 'null',
  readable: 'true',
  readableFlowing: 'null',
  isPaused: 'false',
  readableEnded: 'false',
  readableAborted: 'false',
  readableDidRead: 'false',
  readableEncoding: 'null',
  readableLength: '0',
  readableHighWaterMark: '65536',
  bytesRead: '0',
  writable: 'true',
  writableEnded: 'false',
  writableFinished: 'false',
  writableNeedDrain: 'false',
  writableCorked: '0',
  writableLength: '0',
  writableHighWaterMark: '65536',
  bytesWritten: '0',
  timeout: 'null',
  allowHalfOpen: 'false',
};

const SERVER = { listening: 'false', connections: '0', maxConnections: 'null' };

function socketProperties(socket) {
  const values = {};
  for (const name of Object.keys(SOCKET)) {
    let value = name === 'isPaused' ? socket.isPaused() : socket[name];
    if (name === 'errored' && value) value = value.code ?? value.message;
    // `timeout` is undefined before the first `setTimeout`.
    values[name] = String(value ?? null);
  }
  return values;
}

function serverProperties(server) {
  return {
    listening: String(server.listening),
    connections: String(server._connections),
    maxConnections: String(server.maxConnections ?? null),
  };
}

class Trace {
  constructor(scenario, directory) {
    this.scenario = scenario;
    this.directory = directory;
    this.entries = [];
    this.open = true;
    /** After `exit`: the callback in which it was called, whose ticks still count. */
    this.lastCallback = null;
  }

  get recording() {
    if (!this.open) return false;
    return this.lastCallback === null || position().callback === this.lastCallback;
  }

  /** Adds an entry. `object` is the socket or server whose properties go with it, `bytes` what a `data` event brought. */
  add(endpoint, event, text, object = null, bytes = null, place = position()) {
    if (!this.recording) return;
    const omit = this.scenario.omit ?? [];
    if (omit.includes(endpoint) || omit.includes(event)) return;
    let properties = null;
    let base = null;
    if (object !== null) {
      const isServer = typeof object.listen === 'function';
      properties = isServer ? serverProperties(object) : socketProperties(object);
      base = isServer ? SERVER : SOCKET;
      for (const name of omit) delete properties[name];
    }
    this.entries.push({ endpoint, event, text: this.normalise(text), properties, base, bytes, position: place });
  }

  /** Ports and places differ from run to run. */
  normalise(text) {
    return text
      .replaceAll(this.directory, 'DIR')
      // Names without a file begin with a name of the folder's.
      .replaceAll(path.basename(this.directory), 'DIR')
      .replace(/~~+/g, '~')
      .replace(/:(\d{4,5})(?=$|[\s)\],"])/g, ':PORT')
      .replace(/\b((?:local|remote)?[pP]ort)=\d{4,5}\b/g, '$1=PORT');
  }

  /** `{"C": [line, …], …}`, or `{"whole": [line, …]}`. */
  render() {
    const whole = this.scenario.compare === 'whole';
    const groups = new Map();
    for (const entry of this.entries) {
      const group = whole ? 'whole' : entry.endpoint;
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(entry);
    }
    const traces = {};
    for (const [group, entries] of groups) traces[group] = this.renderGroup(entries, whole);
    return traces;
  }

  renderGroup(entries, whole) {
    const lines = [];
    const seen = new Map();
    for (let i = 0; i < entries.length; i++) {
      const first = entries[i];
      const previous = entries[i - 1];
      let text = first.text;
      let last = first;
      if (first.bytes !== null) {
        const parts = [first.bytes];
        while (this.scenario.chunks !== 'exact' && entries[i + 1]?.bytes && entries[i + 1].endpoint === first.endpoint) {
          last = entries[++i];
          parts.push(last.bytes);
        }
        text = `${first.text} ${this.normalise(showBytes(Buffer.concat(parts)))}`;
      }
      const changes = [];
      if (last.properties !== null) {
        const before = seen.get(first.endpoint) ?? last.base;
        for (const [name, value] of Object.entries(last.properties)) {
          if (before[name] !== value) changes.push(`${name}=${value}`);
        }
        seen.set(first.endpoint, last.properties);
      }
      let line = separator(previous?.position, first.position);
      if (whole) line += `${first.endpoint} `;
      line += text;
      if (changes.length > 0) line += ` {${changes.join(' ')}}`;
      lines.push(line);
    }
    return lines;
  }
}

function separator(previous, next) {
  if (previous === undefined) return '';
  if (previous.callback !== next.callback) return `|${next.phase} ${next.tick > 0 ? '~ ' : ''}`;
  return previous.tick === next.tick ? ', ' : '~ ';
}

/** An error in one line: code, message, and the fields that tell where. */
function showError(error) {
  if (error === null || error === undefined) return '';
  if (!(error instanceof Error)) return String(error);
  // The reason of an abort is a DOMException, whose code is a number.
  const code = error.name === 'AbortError' ? 'ABORT_ERR' : error.code ?? (error.name === 'Error' ? null : error.name);
  let text = code === null ? error.message : `${code}: ${error.message}`;
  for (const field of ['syscall', 'address', 'port', 'localAddress', 'localPort', 'hostname']) {
    if (error[field] !== undefined && error[field] !== null) text += ` ${field}=${error[field]}`;
  }
  if (error.errors) text += ` [${error.errors.map(showError).join('; ')}]`;
  if (error.cause !== undefined) text += ` cause=(${showError(error.cause)})`;
  return text;
}

/** A value that a call returned or a property has. */
function showValue(value) {
  if (value === undefined || value === null) return 'null';
  if (Buffer.isBuffer(value)) return showBytes(value);
  if (typeof value === 'string') return showBytes(Buffer.from(value));
  if (Array.isArray(value)) return `[${value.map(showValue).join(', ')}]`;
  if (typeof value === 'object') {
    if (value.path !== undefined) return JSON.stringify(value.path);
    if (value.address === undefined) return 'null';
    return `${value.address} ${value.family} port=${value.port}`;
  }
  return String(value);
}

module.exports = { Trace, showError, showValue };
