// Whether this crate's trace is among Node's, endpoint by endpoint, and whether a difference is explained.
'use strict';

/** The different traces of each endpoint; one that was not there in a run has an empty one. */
function variantsOf(runs, others = []) {
  const endpoints = new Set([...runs, ...others].flatMap(({ traces }) => Object.keys(traces)));
  const variants = new Map();
  for (const endpoint of endpoints) {
    variants.set(endpoint, new Set(runs.map(({ traces }) => JSON.stringify(traces[endpoint] ?? []))));
  }
  return variants;
}

/** The endpoints whose trace is not Node's: [{endpoint, own, node: [variant, …]}]. */
function differences(runs, own) {
  const found = [];
  // How far a raw peer came when it was stopped is a matter of time.
  const stopped = (lines) => lines.length === 1 && /^received .*, open$/.test(lines[0]);
  for (const [endpoint, variants] of variantsOf(runs, [{ traces: own }])) {
    const lines = own[endpoint] ?? [];
    if (variants.has(JSON.stringify(lines))) continue;
    const node = [...variants].map((text) => JSON.parse(text));
    if (!stopped(lines) && !node.some(stopped)) found.push({ endpoint, own: lines, node });
  }
  return found;
}

/** The Node's variant that goes as ours for the longest time, and the first line that differs. */
function firstDifference({ own, node }) {
  const common = (variant) => {
    let count = 0;
    while (count < own.length && own[count] === variant[count]) count++;
    return count;
  };
  const nearest = node.reduce((best, variant) => (common(variant) > common(best) ? variant : best));
  const at = common(nearest);
  return { at, node: nearest[at] ?? '(nothing)', own: own[at] ?? '(nothing)' };
}

/** What a scenario that makes no sense does: the interpreters say so. */
function isNonsense(answer) {
  if (answer.problem !== undefined) return /nobody is called|has no port|reading 'port'|of undefined|is called|is no |has not been made|cannot be set|no verb|not an event|no immediate|unknown; there are|should be /.test(answer.problem);
  return (answer.runs ?? []).some(({ traces }) => Object.values(traces).flat().some((line) => /uncaught\((nobody is called|TypeError|RangeError|ReferenceError|no verb|not )/.test(line)));
}

/** `sep`, text and properties of a line. */
function parts(line) {
  const [, separator, text, properties] = /^(, |~ |\|[xit]? (?:~ )?)?(.*?)(?: \{([^{}]*)\})?$/s.exec(line);
  return { separator: separator ?? '', text, properties: properties === undefined ? [] : properties.split(' ') };
}

/** The lines without those that `leave` says, as if their entries had never been made. */
function without(lines, leave) {
  const kept = [];
  let waiting = null;
  for (const line of lines) {
    const { separator, text, properties } = parts(line);
    const merged = waiting === null ? { separator, properties } : { separator: later(waiting.separator, separator), properties: merge(waiting.properties, properties) };
    if (leave(text)) waiting = merged;
    else {
      waiting = null;
      kept.push(merged.separator + text + (merged.properties.length > 0 ? ` {${merged.properties.join(' ')}}` : ''));
    }
  }
  return kept;
}

function later(first, second) {
  if (second.startsWith('|') || first === '') return first === '' ? '' : second;
  if (second === '~ ' && first.startsWith('|')) return first.includes('~') ? first : `${first}~ `;
  if (second === '~ ') return '~ ';
  return first;
}

function merge(first, second) {
  const values = new Map([...first, ...second].map((entry) => [entry.split('=')[0], entry]));
  return [...values.values()];
}

/** The lines without their places in the loop, and without properties. */
const texts = (lines) => lines.map((line) => parts(line).text);
const equal = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** The first line that differs. */
function firstOf(own, variant) {
  let at = 0;
  while (at < own.length && own[at] === variant[at]) at++;
  return at;
}

/** The properties after each line. */
function states(lines) {
  const state = {};
  return lines.map((line) => {
    for (const entry of parts(line).properties) state[entry.slice(0, entry.indexOf('='))] = entry.slice(entry.indexOf('=') + 1);
    return { ...state };
  });
}

/** The same bytes as text or as such: here one event has both (`data` in the README's table). */
const unmeasured = (lines) => lines.map((line) => line.replace(/ ?readableLength=\d+/, '').replace('{}', '').trimEnd());
const viewless = (lines) => lines.map((line) => line.replace(/^((?:, |~ |\|[xit]? (?:~ )?)?(?:[A-Z]\d* )?)data text /, '$1data '));

const EARLY_END = /^(?:\w+ )?(cb\d+)\(ERR_STREAM_DESTROYED: Cannot call end after a stream was destroyed\)$/;

/**
 * Differences that are explained, told from all others as exactly as their traces allow. Each names the scenario that
 * shows it. `at` is the first line that differs. One that `spreads` is seen by the other sockets, too, and explains theirs.
 */
const EXPLAINED = [
  {
    // One event, as bytes or as text: bytes that are put back behind a `setEncoding` are bytes in Node.
    scenario: 'reading/f40_length_of_text',
    same: (own, node) => equal(unmeasured(viewless(own)), unmeasured(viewless(node))),
  },
  {
    // The descriptor of an attempt that failed is gone when that is told.
    scenario: 'connecting/c24_no_local_end_after_a_failed_attempt',
    same: (own, node, at) => /\[(?:get "local\w+"|address) -> null\]/.test(own[at] ?? '') && /connectionAttempt(?:Failed|Timeout)\(/.test(own.slice(0, at).reverse().find((line) => !/\[/.test(line)) ?? ''),
  },
  {
    // A raw peer that writes after a reset takes the error off its socket, or is too late for that: about timing.
    scenario: 'the time of a raw peer',
    same: (own, node) => own.length === 1 && node.length === 1 && /^received .*, (?:reset|ended|closed)$/.test(own[0])
      && equal(own.map((line) => line.replace(/, \w+$/, '')), node.map((line) => line.replace(/, \w+$/, ''))),
  },
  {
    // N11: the callback of the first `end` after a `destroy` is called here, and never in Node; or by the next connection.
    scenario: 'shutdown/n11_end_callback_after_destroy',
    same(own, node) {
      const names = own.map((line) => EARLY_END.exec(parts(line).text)?.[1]).filter((name) => name !== undefined);
      const theirs = (text) => names.some((name) => text.split(' ').pop() === name || text.includes(`${name}(`));
      const rest = (lines) => unmeasured(viewless(without(lines, theirs)));
      return names.length > 0 && equal(rest(own), rest(node));
    },
  },
  {
    // Between `connect` and the attempt, Node's handle has no descriptor.
    scenario: 'connecting/c46_type_of_service_before_the_attempt',
    same(own, node) {
      const plain = (lines) => lines.map((line) => line.replace(/\[(setTypeOfService \d+|getTypeOfService)(?: -> \d+| throws EBADF[^\]]*)?\]/, '[$1]'));
      // What was put back may differ besides, see above.
      const rest = (lines) => unmeasured(viewless(plain(lines)));
      return node.some((line) => /TypeOfService.* throws EBADF/.test(line)) && equal(rest(own), rest(node));
    },
  },
  {
    // What was not read or written before is there again when Node's socket connects again.
    spreads: true,
    scenario: 'connecting/c41_unread_bytes_of_the_connection_before',
    same(own, node, at) {
      const closed = node.findIndex((line) => /close\((true|false)\)/.test(line));
      if (closed < 0 || at <= closed || at >= node.length) return false;
      const before = states(node)[at - 1];
      const left = Number(before.readableLength ?? 0) > 0 || Number(before.writableLength ?? 0) > 0 || before.writableNeedDrain === 'true';
      return left && /\[connect|connectionAttempt\(/.test(node[at]);
    },
  },
  {
    // A failure of what was written before the first `connect` ends the connection that began since, in Node.
    spreads: true,
    scenario: 'errors/l53_connect_in_the_same_turn',
    same(own, node, at) {
      const begun = node.findIndex((line) => /(?:\[connect\]|connectionAttempt\(.*\)) \{.*\berrored=null/.test(line));
      return begun >= 0 && at > begun && /\berrored=ERR_SOCKET_CLOSED\b/.test(node[at] ?? '') && states(node)[begun - 1]?.closed !== 'true';
    },
  },
  {
    // Who asked for the local end before the attempt is told that there is none until it is connected.
    scenario: 'connecting/c44_asked_again_while_connecting',
    same(own, node, at) {
      const asked = /\[(?:get "local\w+"|address) -> .*?\]/;
      const none = /\[(?:get "local\w+"|address) -> null\]/;
      const plain = (lines, state) => lines.map((line, index) => (state[index].connecting === 'true' ? line.replace(asked, '[local end]') : line));
      return none.test(node[at] ?? '') && asked.test(own[at] ?? '') && states(node)[at].connecting === 'true'
        && node.slice(0, at).some((line, index) => none.test(line) && states(node)[index].connecting === 'true')
        && equal(plain(own, states(own)), plain(node, states(node)));
    },
  },
  {
    // N12: in Node a listener of `close` fails what waits for the connection.
    spreads: true,
    scenario: 'connecting/l5_removed_close_listeners_and_a_refusal',
    same(own, node, at) {
      const state = states(node);
      const removed = node.findIndex((line, index) => /\[removeAllListeners "close"\]/.test(line) && Number(state[index].writableLength ?? 0) > 0);
      const connected = node.slice(0, removed + 1).some((line) => /^\S* ?(?:~ )?connect(?: |$)/.test(line));
      return removed >= 0 && !connected && at > removed && /ERR_SOCKET_CLOSED_BEFORE_CONNECTION|writableLength=0/.test(own[at] ?? '');
    },
  },
  {
    // N12: in Node a listener of `finish` destroys after `destroySoon`.
    spreads: true,
    scenario: 'destroy/l43_removed_finish_listeners',
    same(own, node, at) {
      const soon = node.findIndex((line) => line.includes('[destroySoon'));
      const removed = node.findIndex((line) => line.includes('[removeAllListeners "finish"]'));
      return soon >= 0 && removed > soon && at > removed && states(own).some((values) => values.destroyed === 'true');
    },
  },
  {
    // N12: an `end` that waits for the connection waits for the next one, in Node.
    spreads: true,
    scenario: 'connecting/c41_an_end_while_connecting_and_a_reconnect',
    same(own, node, at) {
      const state = states(node);
      const ended = state.findIndex((values) => values.connecting === 'true' && values.writableEnded === 'true');
      const again = node.findIndex((line, index) => index > ended && /\[connect\] \{.*\bwritableEnded=false/.test(line));
      return ended >= 0 && again >= 0 && state.slice(ended, again).every((values) => values.readyState !== 'open' && values.readyState !== 'readOnly') && at > again;
    },
  },
  {
    // The second of several addresses makes Node's socket writable again.
    spreads: true,
    scenario: 'connecting/c23_an_end_before_a_second_attempt',
    same: (own, node, at) => /connectionAttempt\(.* \{.*\bwritable=true writableEnded=false/.test(node[at] ?? ''),
  },
  {
    // The answer of a lookup for one address is still told when the socket has been destroyed; and there may be reactions.
    spreads: true,
    scenario: 'connecting/c13_destroyed_before_the_answer_of_one',
    same(own, node, at) {
      const text = parts(node[at] ?? '').text;
      return /^lookup\(/.test(text) && states(node)[at].destroyed === 'true' && equal(own, without(node, (found) => found === text));
    },
  },
];

/**
 * A reset while the FIN of an `end` is under way fails with EINVAL in Node, which then forgets the descriptor: the
 * connection is never closed, and so neither is the server. The traces are the same up to that error.
 */
function resetAfterEnd(found, silent) {
  // Node's socket is destroyed and not closed from then on, which shows in what is emitted before the error.
  const failed = (lines) => lines.findIndex((line) => line.includes('error(EINVAL: reset EINVAL') || line.includes('[resetAndDestroy'));
  const there = found.some(({ own, node }) => failed(own) >= 0 && node.some((variant) => {
    const at = failed(variant);
    return at === failed(own) && (silent || variant.some((line) => line.includes('EINVAL'))) && equal(texts(variant.slice(0, at)), texts(own.slice(0, at)));
  }));
  return there ? 'destroy/l44_in_the_turn_of_an_end' : null;
}

const thrown = (traces) => (traces.loop ?? []).some((line) => line.includes('uncaught('));

/**
 * An exception in `close`, and then, here, the callbacks of what was written while connecting, in the same callback of the
 * loop. In Node another listener of `close` calls them, and the exception skips it. The rest is the same.
 */
function failsAfterAnException(own, variant) {
  const at = firstOf(own, variant);
  const sameCallback = (line) => line !== undefined && line.startsWith(', ');
  let closed = at - 1;
  while (sameCallback(own[closed])) closed--;
  let rest = at;
  while (sameCallback(own[rest])) rest++;
  const connected = own.slice(0, at).some((line) => parts(line).text === 'connect');
  const called = own.slice(0, rest).map((line) => /^cb\d+(?=\()/.exec(parts(line).text)?.[0]).filter((name) => name !== undefined);
  return new Set(called).size === called.length && closed >= 0 && parts(own[closed]).text === 'close(true)' && !connected
    && /^, cb\d+\((?:E[A-Z_]+): /.test(own[at] ?? '') && equal(texts(own.slice(rest)), texts(variant.slice(at)));
}

/** The first line that differs is a tick of the same callback here, and one of a later callback in Node. */
function isLaterTick(own, variant) {
  const at = firstOf(own, variant);
  if (at >= own.length || at >= variant.length) return false;
  const [here, there] = [parts(own[at]), parts(variant[at])];
  return here.separator === '~ ' && /^\|[xit]? ~ $/.test(there.separator) && here.text === there.text && equal(here.properties, there.properties);
}

/** Whether an immediate has thrown: its line and that of the exception are of one callback. */
function thrownInAnImmediate({ loop = [] }) {
  return loop.some((line, index) => {
    let start = index;
    while (start > 0 && loop[start].startsWith(', ')) start--;
    return line.includes('uncaught(') && (start === 0 || parts(loop[start]).separator.startsWith('|i'));
  });
}

/** The first line that differs is of an immediate in Node, and of one that comes later here. */
function isLaterImmediate(own, variant) {
  const at = firstOf(own, variant);
  if (at >= own.length || at >= variant.length || own[at].startsWith('|i') || !/^\|t? /.test(own[at])) return false;
  const { separator, text } = parts(variant[at]);
  return separator.startsWith('|i') && own.slice(at).some((line) => parts(line).separator === separator && parts(line).text === text);
}

/**
 * Paused in `connect`, with a buffer of its own: in Node it reads all the same when that was asked for while connecting.
 */
function readsOnThoughPausedInConnect(own, variant) {
  const at = firstOf(own, variant);
  const connected = variant.findIndex((line) => parts(line).text === 'connect');
  if (connected < 0 || at <= connected || at >= variant.length) return false;
  let after = connected + 1;
  while (variant[after]?.startsWith(', ')) after++;
  const { separator, text } = parts(variant[at]);
  return texts(variant.slice(connected, after)).includes('[pause]') && at >= after && separator.startsWith('|')
    && !separator.startsWith('|x') && states(variant)[at - 1].isPaused === 'true' && /^(?:onread\(|onreadBuffer|end$|error\()/.test(text);
}

/** What one look at the scenario and all its traces explains as a whole; null when nothing does. `runs` and `all` as below. */
function asAWhole(scenario, found, runs, all) {
  const text = JSON.stringify(scenario);
  const uncaught = (lines) => lines.filter((line) => line.includes('uncaught(')).length;
  // What watches a signal in Node listens to `error`, and so swallows one that nobody else listens for.
  if (text.includes('"signal":"signal"') && found.some(({ own, node }) => node.every((variant) => uncaught(variant) < uncaught(own)))) {
    return 'errors/l62_an_error_of_a_socket_with_a_signal';
  }
  // As in `explanation`, seen by others: what a tick does before the next callback here, and in Node after it.
  const alone = found.every((difference) => explanation(difference, runs, all) !== null);
  if (!alone && thrown(all) && runs.every(({ traces }) => thrown(traces)) && found.some(({ own, node }) => node.some((variant) => isLaterTick(own, variant)))) {
    return 'errors/l64_thrown_before_the_next_callback';
  }
  // Node lets a forbidden peer in that has reset before it was accepted.
  const accepted = (lines) => /^accepted/.test(lines[0] ?? '');
  if ((scenario.servers ?? []).some(({ options }) => options?.blockList !== undefined)
    && found.some(({ own, node }) => !accepted(own) && node.some(accepted))) {
    return 'servers/s30_blocked_and_reset_before_it_was_accepted';
  }
  // Put back, with a buffer of one's own: Node reads on although it is paused.
  if (text.includes('"onread"') && text.includes('unshift') && text.includes('pause')
    && found.some(({ own, node }) => node.some((variant) => variant.some((line) => line.includes('onread(') && !own.includes(line))))) {
    return 'reading/f53_bytes_put_back_and_a_pause';
  }
  // The immediates that were set in a phase whose last one has thrown are in that phase, in Node.
  if (thrownInAnImmediate(all) && runs.every(({ traces }) => thrownInAnImmediate(traces))
    && found.some(({ own, node }) => node.some((variant) => isLaterImmediate(own, variant)))) {
    return 'errors/l64_thrown_in_the_last_immediate';
  }
  if (text.includes('"onread"') && found.some(({ own, node }) => node.some((variant) => readsOnThoughPausedInConnect(own, variant)))) {
    return 'reading/f54_paused_in_connect_after_a_read';
  }
  // A socket that connects before the `close` of what it was is told of, is mixed up with that in Node.
  const overlaps = (lines) => lines.some((line, index) => /close\((true|false)\)/.test(line) && states(lines)[index].destroyed !== 'true');
  if (found.some(({ own, node }) => overlaps(own) && node.some(overlaps))) return 'connecting/c42_an_end_after_an_overlapping_close';
  for (const { scenario: name, spreads, same } of EXPLAINED) {
    if (spreads && found.some(({ own, node }) => node.some((variant) => same(own, variant, firstOf(own, variant))))) return name;
  }
  return resetAfterEnd(found, text.includes('"onError":false'));
}

/** The explanation of a difference at one endpoint; null when there is none. All `runs` of Node and traces of our `own`. */
function explanation({ own, node }, runs, all) {
  // After an exception that nobody catches, the ticks that wait go on in the same callback; in Node in one of their own,
  // and what they do comes later.
  if (thrown(all) && runs.some(({ traces }) => thrown(traces)) && node.some((variant) => equal(texts(own).sort(), texts(variant).sort()))) {
    return 'errors/l64_thrown_in_a_write_callback';
  }
  if (thrown(all) && runs.some(({ traces }) => thrown(traces)) && node.some((variant) => failsAfterAnException(own, variant))) {
    return 'errors/l64_thrown_in_close_and_a_write_while_connecting';
  }
  for (const { scenario, same } of EXPLAINED) if (node.some((variant) => same(own, variant, firstOf(own, variant)))) return scenario;
  return null;
}

module.exports = { variantsOf, differences, firstDifference, isNonsense, explanation, asAWhole };
