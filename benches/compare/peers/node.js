// The servers of the comparison on Node: node.js MODE WAIT [PATH]. Modes and what they mean: mod.rs beside this file.
// The modes "timers" and "dispatch" are no servers: they print what they cost.
'use strict';
const net = require('node:net');

const [name, , path] = process.argv.slice(2);
const [mode, size, style] = name.split(':');

const BACKLOG = 4096;
const IDLE_MILLISECONDS = 60_000;
const BURST = Buffer.alloc(128 * 1024, 'b');
const TIMERS = 1_000_000;
const CALLBACKS = 1_000_000;

const members = [];

const answers = {
  echo: (socket) => {
    socket.on('data', (bytes) => {
      if (!socket.write(bytes)) socket.pause();
    });
  },
  sink: (socket) => {
    socket.on('data', () => {});
  },
  pieces: (socket) => {
    const step = Number(size);
    const gathered = style === 'gathered';
    socket.on('data', (bytes) => {
      if (gathered) socket.cork();
      let room = true;
      for (let at = 0; at < bytes.length; at += step) room = socket.write(bytes.subarray(at, at + step));
      if (gathered) socket.uncork();
      if (!room) socket.pause();
    });
  },
  fan_out: (socket) => {
    members.push(socket);
    socket.on('data', (bytes) => {
      for (const member of members) member.write(bytes);
    });
  },
  idle: (socket) => {
    socket.setTimeout(IDLE_MILLISECONDS, () => socket.destroy());
    socket.on('data', (bytes) => {
      if (!socket.write(bytes[0] === 0x42 ? BURST : bytes)) socket.pause();
    });
  },
};

function serve() {
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on('drain', () => socket.resume());
    socket.on('error', () => {});
    answers[mode](socket);
  });
  server.listen(path ? { path, backlog: BACKLOG } : { host: '127.0.0.1', port: 0, backlog: BACKLOG }, () => {
    console.log(`listening on ${path ? `unix:${path}` : `127.0.0.1:${server.address().port}`}`);
  });
}

function cpu() {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

function timers() {
  const delay = (number) => 1000 + ((number * 7919) % 59000);
  const all = new Array(TIMERS);
  const start = cpu();
  for (let i = 0; i < TIMERS; i++) all[i] = setTimeout(() => {}, delay(i));
  const armed = cpu();
  for (let i = 0; i < TIMERS; i++) all[i].refresh();
  const refreshed = cpu();
  for (let i = 0; i < TIMERS; i++) clearTimeout(all[i]);
  const cleared = cpu();
  let fired = 0;
  for (let i = 0; i < TIMERS; i++) setTimeout(() => fired++, 1 + (i % 20));
  const again = cpu();
  process.on('exit', () => {
    if (fired !== TIMERS) process.exitCode = 1;
    const per = (from, to) => (to - from) / TIMERS;
    console.log(JSON.stringify({
      arm: per(start, armed), rearm: per(armed, refreshed), cancel: per(refreshed, cleared), fire: per(again, cpu()),
    }));
  });
}

function chain(queue, done) {
  let left = CALLBACKS;
  const start = cpu();
  const step = () => {
    if (--left > 0) queue(step);
    else done((cpu() - start) / CALLBACKS);
  };
  queue(step);
}

// Bytes that are put back are delivered within the call where the socket flows.
function deliver(done) {
  const socket = new net.Socket();
  const bytes = Buffer.from('x');
  let delivered = 0;
  socket.on('data', (chunk) => (delivered += chunk.length));
  setImmediate(() => {
    const start = cpu();
    for (let i = 0; i < CALLBACKS; i++) socket.unshift(bytes);
    if (delivered !== CALLBACKS) throw new Error(`${delivered} of ${CALLBACKS} were delivered`);
    done((cpu() - start) / CALLBACKS);
  });
}

function dispatch() {
  chain(process.nextTick, (tick) => chain(setImmediate, (immediate) => deliver((data) => {
    console.log(JSON.stringify({ tick, immediate, data }));
  })));
}

({ timers, dispatch }[mode] ?? serve)();
