// What the generator does not say, and why. Each reason is a line under "Differences from Node" in the package's README
// or an N row of the semantics, and the hand-made scenario that shows it is named; or it is about timing.
'use strict';

/** Pairs of neighbours that are never said, whoever they are about. `null` is any verb. */
const PAIRS = [
  { one: 'socket.connect', other: 'socket.connect', reason: '`connect` on a connecting or connected socket is an error here, and undefined in Node (`connecting/c40_connect_when_connected`)' },
  { one: 'throw', other: null, reason: 'nothing in its list is done after a `throw`' },
];

/*
 * Left out altogether, in the lists of `generate.js` and `actions.js`:
 * - the option `handle` of a client: a socket of a bound one waits for its `connect` here, and Node reads and writes at
 *   once, with ENOTCONN and EPIPE;
 * - text that is not ASCII: lengths of it count bytes here, and UTF-16 code units in Node;
 * - `prependListener` of `data` and `readable`: in Node they do not change the flow;
 * - `listenerCount` of events that Node listens to itself;
 * - taking a `readable` listener away that is not there any more: in Node that looks at the listeners again;
 * - two sockets that send back what they get, timers that are close to each other: about timing.
 */

/** Why a pair is never said; null for one that may be. */
function whyNever(one, verb) {
  return PAIRS.find((pair) => pair.one === one && (pair.other ?? verb) === verb)?.reason ?? null;
}

/**
 * What fails or ends a socket that has not begun to connect. A `connect` before the `close` of that is mixed up with it in
 * Node (N10, C41).
 */
const ENDS = new Set(['socket.unshift', 'socket.write', 'socket.end', 'socket.destroy', 'socket.destroySoon', 'socket.resetAndDestroy', 'abort', 'exit']);

/** What may leave bytes, callbacks or an error behind. */
const LEAVES_SOMETHING = new Set([
  'socket.write', 'socket.end', 'socket.unshift', 'socket.cork', 'socket.destroy', 'socket.destroySoon', 'socket.resetAndDestroy', 'abort',
  'socket.setEncoding', 'socket.pipe', 'socket.setTimeout',
]);

/** Events of sockets that are connected, or were. */
const WITH_A_DESCRIPTOR = new Set(['connect', 'ready', 'data', 'readable', 'end', 'finish', 'drain']);

/** When the first client is connected for certain, and so is accepted before the late one. */
const BEHIND_THE_FIRST = new Set([...WITH_A_DESCRIPTOR, 'timeout', 'close', 'error']);

/** Events that are the last thing of their tick or callback. */
const NOTHING_FOLLOWS = new Set(['timeout', 'error', 'close']);

function notYetConnecting(ctx, scenario) {
  if (scenario.kind === 'direct') return !scenario.connected && ctx.sockets.includes('C');
  return ctx.early && scenario.kind !== 'alone';
}

/** Whether `verb` may not follow here. */
function excluded(verb, ctx, scenario) {
  if (whyNever(ctx.previous, verb) !== null) return true;
  if (ENDS.has(verb) && notYetConnecting(ctx, scenario)) return true;
  // These two come before `connect()` as well.
  if (ENDS.has(verb) && ['resume', 'pause'].includes(ctx.event ?? ctx.within) && ctx.owner !== 'S' && ctx.owner !== 'S2') return true;
  // What the connection before has not written, read or told stays with the socket in Node, and is mixed up with the next
  // one (`connecting/c41_unread_bytes_of_the_connection_before` and the others of C41 and C42).
  if (scenario.reconnects && LEAVES_SOMETHING.has(verb)) return true;
  // A name without a port cannot be connected to.
  if (['server.close', 'server.listen'].includes(verb) && ctx.early && scenario.kind === 'direct') return true;
  switch (verb) {
    case 'socket.connect':
      // Only one that is not connected: it was never, or it has closed. Not in `error` (N10, C41).
      if (scenario.late) return scenario.lateConnects || ctx.previous === null || !BEHIND_THE_FIRST.has(ctx.event ?? ctx.within) || ctx.owner === 'L' || ctx.owner === 'srv';
      if (ctx.owner === 'C' && ctx.event === 'close' && ctx.depth === 0) return scenario.reconnects || scenario.leaves || scenario.kind === 'peerListens';
      return !(ctx.direct && ctx.depth === 0 && !scenario.connected);
    case 'socket.pause':
    case 'socket.pipe':
    case 'socket.unpipe':
      // An event within its own listener comes when that has returned.
      return `socket.${ctx.event}` === verb;
    case 'socket.destroySoon':
      if (scenario.kind === 'names' && !WITH_A_DESCRIPTOR.has(ctx.event ?? ctx.within)) return true;
      return ctx.event === 'connectionAttempt';
    case 'socket.destroy':
    case 'socket.resetAndDestroy':
      // In `connectionAttempt` Node fails with an internal error (N1).
      return ctx.event === 'connectionAttempt';
    case 'socket.setTypeOfService':
    case 'socket.getTypeOfService':
      // Between `connect` and the attempt Node fails with EBADF (`connecting/c46_type_of_service_before_the_attempt`).
      return !WITH_A_DESCRIPTOR.has(ctx.event ?? ctx.within);
    case 'socket.end':
      // A second attempt makes the socket writable again in Node (`connecting/c23_an_end_before_a_second_attempt`).
      return scenario.kind === 'names' && !WITH_A_DESCRIPTOR.has(ctx.event ?? ctx.within);
    case 'exit':
      // How far other sockets are is about timing, except when everything has long happened.
      return !ctx.inTimer || ctx.ends;
    case 'throw':
      // What follows an emission in the same callback is skipped in Node (`errors/l64_thrown_in_connect` and its
      // neighbours); nothing follows these. What is emitted within a call is thrown out of that call.
      if (ctx.ends) return true;
      // Nor where ticks are likely to wait: they come later in Node (`errors/l64_thrown_in_a_write_callback`).
      if (['immediate', 'timer'].includes(ctx.place)) return false;
      return !(NOTHING_FOLLOWS.has(ctx.event) && (ctx.depth === 0 || ctx.place === 'event'));
    case 'timers.refresh':
      // A timer that is over is not revived.
      return !ctx.ends && (ctx.event === 'timeout' || ctx.within === 'timeout');
    default:
      return false;
  }
}

module.exports = { PAIRS, whyNever, LEAVES_SOMETHING, excluded };
