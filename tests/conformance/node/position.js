// Where in the event loop the running JavaScript is: which callback of the loop, which tick after it, which phase.
//
// Node says it through async_hooks: every callback that the loop makes, and every entry of the tick queue, is announced
// before it runs. Nothing is scheduled for this, so what is observed is not changed by it.
'use strict';
const asyncHooks = require('node:async_hooks');

// What runs from the queues that are drained after a callback. Everything else at the outermost level is a callback of
// the loop itself.
const TICKS = new Set(['TickObject', 'PROMISE', 'Microtask']);

/** Types by async id, and the handles that requests belong to. */
const types = new Map();
const handles = new Map();

const state = { callback: 0, tick: 0, phase: '' };
let depth = 0;
/** Called before every callback of the loop: the recorder's way to be slow now and then. */
let delay = () => {};

function isClosed(resource) {
  // A handle whose descriptor is gone has been closed: what it still calls comes from the closing phase, be it its own
  // close callback or a request that is given up.
  return typeof resource === 'object' && resource !== null && 'fd' in resource && resource.fd < 0;
}

function phaseOf(id, type) {
  switch (type) {
    case 'Timeout':
      return 't';
    case 'Immediate':
      return 'i';
    case 'TCPWRAP':
    case 'PIPEWRAP':
    case 'TCPSERVERWRAP':
    case 'PIPESERVERWRAP':
      return isClosed(asyncHooks.executionAsyncResource()) ? 'x' : '';
    case 'TCPCONNECTWRAP':
    case 'PIPECONNECTWRAP':
      return isClosed(handles.get(id)) ? 'x' : '';
    case 'WRITEWRAP':
    case 'SHUTDOWNWRAP':
      return isClosed(asyncHooks.executionAsyncResource().handle) ? 'x' : '';
    default:
      return '';
  }
}

asyncHooks.createHook({
  init(id, type, trigger, resource) {
    types.set(id, type);
    if (type === 'TCPWRAP' || type === 'PIPEWRAP') handles.set(id, resource);
    // A connect request is made by its handle.
    if (type === 'TCPCONNECTWRAP' || type === 'PIPECONNECTWRAP') handles.set(id, handles.get(trigger));
  },
  before(id) {
    if (depth++ > 0) return;
    const type = types.get(id);
    if (TICKS.has(type)) {
      state.tick++;
      return;
    }
    delay();
    state.callback++;
    state.tick = 0;
    state.phase = phaseOf(id, type);
  },
  after() {
    depth--;
  },
  destroy(id) {
    types.delete(id);
    handles.delete(id);
  },
}).enable();

/** The place of what is running now. */
function position() {
  return { callback: state.callback, tick: state.tick, phase: state.phase };
}

function setDelay(callback) {
  delay = callback;
}

module.exports = { position, setDelay };
