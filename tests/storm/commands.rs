//! The random program: what listeners, callbacks and timers do, on their own socket or on any other, live or stale.
//!
//! May touch: the public API. Invariant: each command tells the model what it did, by what the call returned and by what
//! was so before it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{AbortController, Encoding, PipeOptions, Socket, SocketEvent};
use halfclose::{Error, next_tick, set_immediate, set_interval, set_timeout};

use crate::model::{COMMANDED, Idle, PipeModel, handle_is_gone};
use crate::servers;
use crate::storm::{ImmediateModel, Planned, Shared, TimerModel};
use crate::witness;

/// More are not made: what is to be shown needs few, and a seed must be quick.
pub const MOST_SOCKETS: usize = 24;
const MOST_TIMERS: usize = 24;

/// A listener was called: it may do something, or not.
pub fn react(storm: &Shared, index: Option<usize>) {
    if storm.over.get() {
        return;
    }
    if storm.calm.get() {
        return;
    }
    while storm.budget.get() > 0 && storm.once_in(2) {
        storm.budget.set(storm.budget.get() - 1);
        act(storm, index);
    }
}

/// One random command of any kind.
pub fn act(storm: &Shared, index: Option<usize>) {
    match storm.below(20) {
        0..15 => {
            let sockets = storm.model.borrow().sockets.len();
            let own = index.filter(|_| !storm.once_in(3));
            match own {
                Some(own) => on_socket(storm, own),
                None if sockets > 0 => {
                    // The youngest are mostly alive, the oldest mostly stale.
                    let back = storm.below(sockets).min(storm.below(sockets));
                    on_socket(storm, sockets - 1 - back);
                }
                None => servers::connect_somewhere(storm, None),
            }
        }
        15 => servers::connect_somewhere(storm, None),
        16 | 17 => servers::on_server(storm),
        _ => on_loop(storm, index),
    }
}

/// One random command to this socket.
pub fn on_socket(storm: &Shared, index: usize) {
    {
        let mut model = storm.model.borrow_mut();
        model.sockets[index].activity += 1;
        model.notice_failure(index);
    }
    let socket = storm.handle(index);
    match storm.below(40) {
        0..7 => write(storm, index),
        7 => {
            storm.trace(|| format!("socket {index}.cork()"));
            storm.silently("cork", || socket.cork());
        }
        8 | 9 => {
            storm.trace(|| format!("socket {index}.uncork()"));
            storm.silently("uncork", || socket.uncork());
        }
        10 | 11 => end(storm, index),
        12 => destroy(storm, index),
        13 => {
            storm.trace(|| format!("socket {index}.destroy_soon()"));
            storm.silently("destroy_soon", || socket.destroy_soon());
        }
        14 => reset(storm, index),
        15 | 16 => pause(storm, index),
        17..20 => resume(storm, index),
        // Within an emission of `data` these emit it anew, and the pipes write in an order that the model cannot tell.
        20..23 if storm.model.borrow().sockets[index].is_intricate() => {}
        20 | 21 => read(storm, index),
        22 => unshift(storm, index),
        23 => encode(storm, index),
        24 | 25 => pipe(storm, index),
        26 => unpipe(storm, index),
        27 => {
            let timeout = Duration::from_millis(storm.pick(&[0, 1, 5, 20, 1_000]));
            storm.trace(|| format!("socket {index}.set_timeout({timeout:?})"));
            let on_timeout = storm.once_in(2);
            storm.silently("set_timeout", || {
                if on_timeout {
                    let shared = storm.clone();
                    socket.set_timeout_with(timeout, move |_| react(&shared, Some(index)))
                } else {
                    socket.set_timeout(timeout)
                }
            });
            let now = storm.now();
            let mut model = storm.model.borrow_mut();
            let own = &mut model.sockets[index];
            if !socket.destroyed() {
                let idle = Idle { timeout, set: now, seen: own.seen(), since: now, told: None };
                own.idle = (!timeout.is_zero()).then_some(idle);
            }
        }
        28 => {
            let keep = storm.once_in(2);
            storm.trace(|| format!("socket {index}.ref_() or unref()"));
            storm.silently("ref", || if keep { socket.ref_() } else { socket.unref() });
        }
        29 => settings(storm, index),
        30 | 31 => servers::connect_somewhere(storm, Some(index)),
        32 | 33 => extra_listener(storm, index),
        34 => {
            let extra = storm.model.borrow_mut().sockets[index].extras.pop();
            if let Some(extra) = extra {
                storm.trace(|| format!("socket {index}.off(an extra listener)"));
                storm.silently("off", || socket.off(extra));
            }
        }
        35 => readable(storm, index),
        36 => consumer(storm, index),
        37 => {
            if storm.once_in(2) {
                storm.trace(|| format!("socket {index}.retain()"));
                socket.retain();
                if !handle_is_gone(socket) {
                    storm.model.borrow_mut().sockets[index].retained = true;
                }
            } else {
                release(storm, index);
            }
        }
        38 => error_listener(storm, index),
        _ => questions(storm, index),
    }
    storm.model.borrow_mut().look(index);
}

/// Questions change nothing, and freed handles have their answers.
fn questions(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    storm.silently("a question", || {
        let _ = (socket.connecting(), socket.pending(), socket.readable(), socket.writable(), socket.ready_state());
        let _ = (socket.errored(), socket.address(), socket.peer_addr(), socket.server(), socket.readable_flowing());
        let _ = (socket.listener_count(SocketEvent::Data), socket.buffer_size(), socket.writable_corked());
        if handle_is_gone(socket) {
            storm.require(socket.destroyed() && socket.closed(), || format!("stale socket {index} is not destroyed"));
            storm.require(socket.bytes_read() == 0 && socket.bytes_written() == 0, || {
                format!("stale socket {index} counts bytes")
            });
            storm.require(socket.readable_length() == 0 && socket.writable_length() == 0, || {
                format!("stale socket {index} has bytes")
            });
            storm.require(socket.listener_count(SocketEvent::Close) == 0, || {
                format!("stale socket {index} has listeners")
            });
            storm.require(socket.address().is_none() && socket.peer_addr().is_none(), || {
                format!("stale socket {index} has addresses")
            });
        }
    });
}

fn length(storm: &Shared) -> usize {
    match storm.below(24) {
        0 => 0,
        1..12 => 1 + storm.below(20),
        12..20 => 1 + storm.below(2_000),
        20..22 => 16_384 + storm.below(100),
        22 => 20_000,
        _ => 66_000,
    }
}

/// A write with or without callback, in every form that a chunk has.
pub fn write(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    let length = length(storm);
    let number = {
        let mut model = storm.model.borrow_mut();
        let settled = model.settle(index);
        storm.check(settled);
        model.sockets[index].current
    };
    let position = storm.model.borrow().connections[number].written.len();
    let piece = storm.content.piece(number, position, length);
    let before = socket.bytes_written();
    let may = socket.writable() && (socket.connecting() || !socket.pending());
    let told = storm.once_in(2).then(|| callback(storm, index, number, "write"));
    storm.trace(|| {
        format!("socket {index}.write({length}), connection {number}, callback {:?}", told.as_ref().map(|told| told.0))
    });
    let called_back = told.is_some();
    let form = storm.below(4);
    let text = String::from_utf8(piece.clone()).unwrap_or_default();
    let more = storm.silently("write", || match (told, form) {
        (Some((_, told)), 0) => socket.write_with(&piece[..], told),
        (Some((_, told)), 1) => socket.write_with(&text[..], told),
        (Some((_, told)), 2) => socket.write_with(Rc::<[u8]>::from(&piece[..]), told),
        (Some((_, told)), _) => socket.write_with(piece.clone(), told),
        (None, 0) => socket.write(&piece[..]),
        (None, 1) => socket.write(text),
        (None, 2) => socket.write(Rc::<[u8]>::from(&piece[..])),
        (None, _) => socket.write(piece.clone()),
    });
    accepted(storm, index, number, &piece, before, may);
    let left = socket.writable_length();
    let mut model = storm.model.borrow_mut();
    let connection = &mut model.connections[number];
    if !more && may {
        connection.drain_owed = true;
    }
    model.sockets[index].completes_unseen |= may && length == 0 && !called_back;
    drop(model);
    let room = left < socket.writable_high_water_mark() || left == 0;
    if may && socket.writable() {
        storm.require(more == room, || format!("socket {index}: write({length}) gave {more} with {left} queued (F3)"));
    }
    if socket.destroyed() {
        storm.require(!more, || format!("socket {index}: write({length}) gave true, and it is destroyed (L51)"));
    }
}

/// Notes what a call accepted for writing, by the counter.
fn accepted(storm: &Shared, index: usize, number: usize, piece: &[u8], before: u64, may: bool) {
    let socket = storm.handle(index);
    let more = socket.bytes_written().wrapping_sub(before);
    let all = more == piece.len() as u64;
    let less = socket.bytes_written() < before;
    storm.require(all || (more == 0 || less) && !(may && socket.writable()), || {
        format!("socket {index}: {} bytes written, and bytes_written rose by {more} from {before} (F12)", piece.len())
    });
    if all {
        storm.model.borrow_mut().connections[number].add(piece);
    }
}

type Told = Box<dyn FnOnce(Socket, Result<(), &Error>)>;

/// A callback that is owed once, and what is checked when it is called.
fn callback(storm: &Shared, index: usize, number: usize, what: &'static str) -> (usize, Told) {
    let owed = storm.owe(what, Some(number));
    let shared = storm.clone();
    let told = move |told: Socket, result: Result<(), &Error>| {
        shared.called("a callback");
        shared.trace(|| format!("socket {index}: callback {owed} of {what}: {result:?}"));
        shared.require(told == shared.handle(index), || format!("callback {owed} of socket {index} came with another"));
        shared.paid(owed);
        if what == "end" && result.is_ok() {
            shared.model.borrow_mut().connections[number].finishing = true;
        }
        if what == "write" {
            let mut model = shared.model.borrow_mut();
            if result.is_ok() {
                // That a write is completed is activity (T1), and of an empty one nothing else is to be seen.
                model.sockets[index].activity += 1;
            }
            let connection = &mut model.connections[number];
            if result.is_ok() {
                let in_order = connection.last_success.is_none_or(|last| last < owed);
                shared.require(in_order, || format!("callback {owed} came out of order (F9)"));
                // What was corked when a call failed still goes out if the failure's callback uncorks it, as in Node.
                let fair = shared.weather.borrow().fair;
                let failed = fair && connection.last_failure.is_some_and(|last| last < owed);
                shared.require(!failed, || format!("callback {owed} succeeded after an earlier one failed (F9)"));
                shared.require(connection.connected || connection.doubtful, || {
                    format!("callback {owed} succeeded without a connection")
                });
                connection.last_success = Some(owed);
            } else {
                connection.last_failure = Some(connection.last_failure.map_or(owed, |last| last.min(owed)));
            }
        }
        react(&shared, Some(index));
    };
    (owed, Box::new(told))
}

fn end(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    let number = {
        let mut model = storm.model.borrow_mut();
        let settled = model.settle(index);
        storm.check(settled);
        model.sockets[index].current
    };
    let form = storm.below(4);
    let told = (form % 2 == 1).then(|| callback(storm, index, number, "end"));
    let position = storm.model.borrow().connections[number].written.len();
    let length = if form < 2 { 0 } else { length(storm) };
    let piece = storm.content.piece(number, position, length);
    let before = socket.bytes_written();
    let may = socket.writable() && (socket.connecting() || !socket.pending());
    let fills = may && length > 0 && socket.writable_length() + length >= socket.writable_high_water_mark();
    storm.trace(|| {
        format!("socket {index}.end({length}), form {form}, callback {:?}", told.as_ref().map(|told| told.0))
    });
    storm.silently("end", || match (form, told) {
        (0, _) => socket.end(),
        (1, Some((_, told))) => socket.end_with(told),
        (3, Some((_, told))) => socket.end_data_with(&piece[..], told),
        _ => socket.end_data(&piece[..]),
    });
    accepted(storm, index, number, &piece, before, false);
    let mut model = storm.model.borrow_mut();
    let connection = &mut model.connections[number];
    connection.end_called = true;
    // A write that fails within the call leaves it not ended, and owing what the write owes.
    if socket.writable_ended() {
        connection.drain_owed = false;
    } else if fills {
        connection.drain_owed = true;
    }
}

fn destroy(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    let form = storm.below(3);
    storm.trace(|| format!("socket {index}.destroy(), form {form}"));
    note_destruction(storm, index, form > 0);
    storm.silently("destroy", || if form > 0 { socket.destroy_with(COMMANDED) } else { socket.destroy() });
    storm.require(socket.destroyed() && socket.closed(), || format!("socket {index} is not destroyed (L30)"));
}

/// To be said before a command that destroys.
fn note_destruction(storm: &Shared, index: usize, with_error: bool) {
    let mut model = storm.model.borrow_mut();
    let settled = model.settle(index);
    storm.check(settled);
    let (socket, number) = (model.sockets[index].handle, model.sockets[index].current);
    if !socket.destroyed() {
        model.connections[number].destroyed_with_error = Some(with_error);
    }
}

fn reset(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    storm.trace(|| format!("socket {index}.reset_and_destroy()"));
    let settled = storm.model.borrow_mut().settle(index);
    storm.check(settled);
    {
        let mut model = storm.model.borrow_mut();
        let current = model.sockets[index].current;
        model.connections[current].reset_called = true;
    }
    let result = storm.aloud(|| socket.reset_and_destroy());
    if let Err(error) = result {
        let unix = {
            let model = storm.model.borrow();
            model.connections[model.sockets[index].current].unix
        };
        storm.require(unix, || format!("socket {index}: reset_and_destroy: {error}"));
    }
}

fn pause(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    storm.trace(|| format!("socket {index}.pause()"));
    storm.aloud(|| socket.pause());
    let mut model = storm.model.borrow_mut();
    let own = &mut model.sockets[index];
    // With a buffer of its own, a `resume` of the same turn still begins to read in its tick, as in Node.
    own.paused = socket.is_paused() && !(own.own_buffer && own.resumed) && !own.resumes;
}

pub fn resume(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    storm.trace(|| format!("socket {index}.resume()"));
    {
        let mut model = storm.model.borrow_mut();
        model.sockets[index].paused = false;
        model.sockets[index].resumed = true;
        model.sockets[index].reads_on_connect |= socket.pending();
    }
    storm.silently("resume", || socket.resume());
}

/// Without a consumer that checks, the caller is the consumer.
fn read(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    let (unit, watched) = {
        let model = storm.model.borrow();
        (model.sockets[index].unit, model.sockets[index].witness.is_some())
    };
    if std::mem::replace(&mut storm.model.borrow_mut().sockets[index].reading, true) && !watched {
        // What this takes is returned before what the running call took.
        return;
    }
    let size = if storm.once_in(2) && unit == 1 { Some(storm.below(100)) } else { None };
    let ended = socket.readable_ended();
    storm.trace(|| format!("socket {index}.read({size:?})"));
    let was = storm.model.borrow().sockets[index].paused;
    // `data` comes within the call, paused or not (F29).
    storm.model.borrow_mut().sockets[index].paused = false;
    storm.model.borrow_mut().sockets[index].reads_on_connect |= socket.pending() && !socket.destroyed();
    let (current, delivered, waits_at) = {
        let model = storm.model.borrow();
        let current = model.sockets[index].current;
        (current, model.connections[current].position, model.waits_at(index))
    };
    let bytes = storm.aloud(|| match size {
        Some(size) => socket.read_exactly(size),
        None => socket.read(),
    });
    storm.model.borrow_mut().sockets[index].reading = false;
    let Some(bytes) = bytes else {
        restore_pause(storm, index, was);
        return;
    };
    storm.trace(|| format!("socket {index}: took {}", bytes.len()));
    storm.require(!bytes.is_empty(), || format!("socket {index}: read() gave nothing"));
    storm.require(!ended, || format!("socket {index}: read() gave {} bytes after end", bytes.len()));
    if let Some(size) = size {
        storm.require(bytes.len() <= size, || format!("socket {index}: read({size}) gave {}", bytes.len()));
    }
    restore_pause(storm, index, was);
    let mut model = storm.model.borrow_mut();
    if !watched && model.sockets[index].current == current && !handle_is_gone(socket) && !socket.destroyed() {
        let connection = &model.connections[current];
        let alone = connection.gap && connection.position == delivered;
        let received = if alone { model.received(index, &bytes) } else { model.returned(index, waits_at, &bytes) };
        drop(model);
        storm.check(received);
    }
}

/// A listener within `read` may have said otherwise meanwhile.
fn restore_pause(storm: &Shared, index: usize, was: bool) {
    let mut model = storm.model.borrow_mut();
    let socket = &mut model.sockets[index];
    // With a buffer of its own, `read` lets it read on.
    socket.paused = was && !socket.own_buffer && !socket.resumes && socket.handle.is_paused();
}

/// Puts the last bytes back that were taken: they come again, once.
fn unshift(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    let piece = {
        let model = storm.model.borrow();
        let own = &model.sockets[index];
        let connection = &model.connections[own.current];
        let whole = own.unit == 1
            && connection.missing == 0
            && !own.prepended
            && !connection.gap
            && !own.own_buffer
            && !socket.readable_ended();
        match connection.pair {
            Some(pair) if whole && connection.position > 0 && !socket.destroyed() && !handle_is_gone(socket) => {
                let most = connection.position.min(40);
                let length = 1 + storm.below(most);
                model.connections[pair]
                    .written
                    .get(connection.position - length..connection.position)
                    .map(<[u8]>::to_vec)
            }
            _ => None,
        }
    };
    // What is put back goes in front of what waits, so only the last bytes that were taken may be.
    let Some(piece) = piece else { return };
    storm.trace(|| format!("socket {index}.unshift({})", piece.len()));
    let mut model = storm.model.borrow_mut();
    let current = model.sockets[index].current;
    // One that has failed takes nothing back, as in Node, although what was read ahead still comes.
    if socket.errored().is_none() {
        model.connections[current].position -= piece.len();
    }
    drop(model);
    storm.aloud(|| socket.unshift(piece));
}

/// Once for each socket, because what was decoded cannot be decoded again.
fn encode(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    let (encoded, started) = {
        let model = storm.model.borrow();
        let own = &model.sockets[index];
        (own.encoded, own.own_buffer || socket.readable_length() > 0 || socket.bytes_read() > 0)
    };
    if encoded || handle_is_gone(socket) {
        return;
    }
    // What was delivered before is counted in bytes, so hexadecimal is for those that have had none.
    let encoding =
        if started { Encoding::Utf8 } else { storm.pick(&[Encoding::Utf8, Encoding::Latin1, Encoding::Hex]) };
    storm.trace(|| format!("socket {index}.set_encoding({encoding:?})"));
    storm.silently("set_encoding", || socket.set_encoding(encoding));
    let mut model = storm.model.borrow_mut();
    model.sockets[index].encoded = true;
    model.sockets[index].unit = if encoding == Encoding::Hex { 2 } else { 1 };
}

/// The consumer that checks comes first, so that it sees each chunk before the pipe writes it.
fn pipe(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    let other = storm.below(storm.model.borrow().sockets.len());
    let (used, own) = {
        let model = storm.model.borrow();
        (model.sockets[index].is_piped_to(other), model.sockets[index].own_buffer)
    };
    if used || own || handle_is_gone(socket) {
        return;
    }
    witness::consume(storm, index, socket);
    let destination = storm.handle(other);
    let ends = !storm.once_in(3);
    storm.trace(|| format!("socket {index}.pipe(socket {other}), end: {ends}"));
    let mut model = storm.model.borrow_mut();
    model.sockets[index].pipes.push(PipeModel { destination: other, ends });
    model.sockets[index].paused = false;
    let current = model.sockets[other].current;
    model.connections[current].piped_into = true;
    // A source that has ended ends the destination in a tick.
    model.sockets[other].activity += u64::from(ends && socket.readable_ended());
    drop(model);
    storm.aloud(|| socket.pipe_with(destination, PipeOptions::new().end(ends)));
    witness::watch_pipe(storm, destination);
}

fn unpipe(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    let destination = storm.model.borrow().sockets[index].pipes.first().map(|pipe| pipe.destination);
    storm.trace(|| format!("socket {index}.unpipe({destination:?})"));
    match destination {
        Some(destination) if storm.once_in(2) => {
            let destination = storm.handle(destination);
            storm.aloud(|| socket.unpipe(destination));
        }
        _ => {
            storm.aloud(|| socket.unpipe_all());
        }
    }
    if destination.is_some() {
        // What waited for the destination's `drain` flows again, whoever paused it meanwhile.
        storm.model.borrow_mut().sockets[index].paused = false;
    }
}

fn settings(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    let on = storm.once_in(2);
    let which = storm.below(7);
    storm.trace(|| format!("socket {index}: setting {which}, {on}"));
    storm.silently("a setting", || match which {
        0 => drop(socket.set_no_delay(on)),
        1 => drop(socket.set_keep_alive(on, Duration::from_secs(storm.below(3) as u64))),
        2 => drop(socket.set_type_of_service(8)),
        3 => drop(socket.set_allow_half_open(on)),
        4 => drop(socket.set_batch_writes(on)),
        5 => drop(socket.set_data(index)),
        _ => {
            let seen = socket.with_data(|data: &mut usize| *data);
            storm.require(seen.is_err() || seen.is_ok_and(|seen| seen == index), || {
                format!("socket {index} has the data of another")
            });
        }
    });
}

/// A listener that checks nothing and does anything: for ever or once, at the end or in front.
fn extra_listener(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    let event = storm.below(6);
    let once = storm.once_in(2);
    storm.trace(|| format!("socket {index}: another listener, {event}, once: {once}"));
    let shared = storm.clone();
    let probe = Probe { storm: storm.clone(), index };
    // A `data` listener begins the flow, and is a consumer: only where one is that checks.
    let data = event == 5 && storm.model.borrow().sockets[index].witness.is_some();
    let plain = match event {
        0 => Some(SocketEvent::Connect),
        1 => Some(SocketEvent::End),
        2 => None,
        3 => Some(SocketEvent::Drain),
        5 if data => None,
        _ => Some(SocketEvent::Finish),
    };
    let place = Rc::new(Cell::new(0));
    let own_place = place.clone();
    let action = move || {
        let _ = &probe;
        shared.called("a listener");
        if data {
            shared.model.borrow_mut().sockets[index].note_pipes(own_place.get());
        }
        if let Some(event) = plain.filter(|_| own_place.get() > 0) {
            shared.model.borrow_mut().tell_soon(index, event);
        }
        react(&shared, Some(index));
    };
    let listener = storm.silently("on", || match (event, once) {
        (0, false) => socket.on_connect(move |_| action()),
        (0, true) => socket.once_connect(move |_| action()),
        (1, false) => socket.on_end(move |_| action()),
        (1, true) => socket.once_end(move |_| action()),
        (2, false) => socket.on_close(move |_, _| action()),
        (2, true) => socket.once_close(move |_, _| action()),
        (3, false) => socket.on_drain(move |_| action()),
        (3, true) => socket.once_drain(move |_| action()),
        (5, false) if data => socket.on_data(move |_, _| action()),
        (5, true) if data => socket.once_data(move |_, _| action()),
        (_, false) => socket.on_finish(move |_| action()),
        (_, true) => socket.once_finish(move |_| action()),
    });
    if handle_is_gone(socket) {
        return;
    }
    storm.model.borrow_mut().sockets[index].extras.push(listener);
    if storm.once_in(6) {
        storm.trace(|| format!("socket {index}.prepend()"));
        storm.silently("prepend", || socket.prepend(listener));
        let mut model = storm.model.borrow_mut();
        model.sockets[index].prepended = true;
        place.set(model.sockets[index].next_place());
    }
}

/// A captured value whose drop gives a command: law 2 has the library drop it with nothing borrowed.
struct Probe {
    storm: Shared,
    index: usize,
}

impl Drop for Probe {
    fn drop(&mut self) {
        if !self.storm.over.get() {
            let socket = self.storm.handle(self.index);
            let _ = (socket.destroyed(), socket.bytes_read());
            socket.set_no_delay(true);
        }
    }
}

/// A `readable` listener, which takes the flow over; or the last one away.
fn readable(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    let (listener, own) = {
        let mut model = storm.model.borrow_mut();
        (model.sockets[index].readable.pop(), model.sockets[index].own_buffer)
    };
    if own || handle_is_gone(socket) {
        return;
    }
    if let Some(listener) = listener {
        storm.trace(|| format!("socket {index}.off(readable)"));
        {
            let mut model = storm.model.borrow_mut();
            model.sockets[index].paused = false;
            model.sockets[index].resumes = true;
        }
        storm.silently("off", || socket.off(listener));
        return;
    }
    storm.trace(|| format!("socket {index}.on_readable()"));
    let shared = storm.clone();
    let listener = storm.silently("on", || {
        socket.on_readable(move |_| {
            shared.called("a listener");
            shared.trace(|| format!("socket {index}: readable"));
            if shared.calm.get() || !shared.once_in(4) {
                read(&shared, index);
            }
            react(&shared, Some(index));
        })
    });
    storm.model.borrow_mut().sockets[index].readable.push(listener);
}

/// The consumer comes or goes. Without one, what flows is lost (F27).
fn consumer(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    let (witness, own, pipes) = {
        let model = storm.model.borrow();
        let own = &model.sockets[index];
        (own.witness, own.own_buffer, !own.pipes.is_empty())
    };
    if own || handle_is_gone(socket) {
        return;
    }
    match witness {
        Some(witness) if !pipes => {
            storm.trace(|| format!("socket {index}.off(data)"));
            storm.silently("off", || socket.off(witness));
            let mut model = storm.model.borrow_mut();
            model.sockets[index].witness = None;
            let current = model.sockets[index].current;
            model.connections[current].gap = true;
        }
        Some(_) => {}
        None => {
            storm.trace(|| format!("socket {index}.on_data()"));
            witness::consume(storm, index, socket);
        }
    }
}

/// Reads into a buffer of its own, from the start.
pub fn own_buffer(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    storm.trace(|| format!("socket {index}.on_read()"));
    let shared = storm.clone();
    let size = storm.pick(&[5, 100, 1_000, 100_000]);
    let take = move |told: Socket, bytes: &[u8]| {
        shared.called("a listener");
        shared.got(index, told, bytes);
        let again = shared.calm.get() || !shared.once_in(6);
        react(&shared, Some(index));
        again
    };
    if storm.once_in(2) {
        socket.on_read(vec![0; size], take);
    } else {
        socket.on_read_with(move || vec![0; size], move |told, bytes| take(told, &bytes));
    }
    let mut model = storm.model.borrow_mut();
    model.sockets[index].own_buffer = true;
    let current = model.sockets[index].current;
    model.connections[current].gap = false;
}

/// With or without: what is not listened for comes to the loop's hook.
fn error_listener(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    if handle_is_gone(socket) {
        return;
    }
    let witness = storm.model.borrow_mut().sockets[index].error_witness.take();
    match witness {
        Some(witness) => {
            storm.trace(|| format!("socket {index}.off(error)"));
            storm.silently("off", || socket.off(witness));
        }
        None => {
            storm.trace(|| format!("socket {index}.on_error()"));
            witness::listen_for_errors(storm, index, socket);
        }
    }
}

pub fn release(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    storm.trace(|| format!("socket {index}.release()"));
    let mut model = storm.model.borrow_mut();
    let own = &mut model.sockets[index];
    own.retained = false;
    let current = own.current;
    if !model.connections[current].attempted && !socket.destroyed() {
        model.sockets[index].released = true;
    }
    drop(model);
    storm.silently("release", || socket.release());
}

/// Timers, ticks, immediates, signals, and ends of callbacks.
fn on_loop(storm: &Shared, index: Option<usize>) {
    match storm.below(9) {
        0 | 1 => timer(storm),
        2 => change_timer(storm),
        3 => immediate(storm),
        4 => {
            let (queued, _) = storm.ticks.get();
            storm.ticks.set((queued + 1, storm.ticks.get().1));
            storm.trace(|| format!("next_tick({queued})"));
            let owed = storm.owe("next_tick", None);
            let shared = storm.clone();
            storm.silently("next_tick", || {
                next_tick(move || {
                    shared.called("a tick");
                    shared.paid(owed);
                    let (all, ran) = shared.ticks.get();
                    shared.require(ran == queued, || format!("tick {queued} ran as number {ran} (M2)"));
                    shared.ticks.set((all, ran + 1));
                    react(&shared, None);
                });
            });
        }
        5 => {
            storm.trace(|| "stop()".into());
            storm.interrupted.set(true);
            storm.silently("stop", halfclose::stop);
        }
        6 => {
            let fresh = storm.controllers.borrow().is_empty();
            if fresh || storm.once_in(2) {
                storm.controllers.borrow_mut().push(AbortController::new());
            } else {
                abort(storm);
            }
        }
        7 => {
            let clear = storm.immediates.borrow_mut().iter_mut().find(|one| !one.ran && !one.cleared).map(|one| {
                one.cleared = true;
                one.handle
            });
            if let Some(handle) = clear {
                storm.trace(|| "clear_immediate()".into());
                storm.silently("clear_immediate", || handle.clear());
            }
        }
        _ => {
            // What is thrown within `data` skips the pipes behind it, which is right, but not what the model awaits.
            if index.is_none() {
                storm.trace(|| "panic".into());
                storm.interrupted.set(true);
                std::panic::panic_any(Planned);
            }
        }
    }
}

/// Aborts what was made with one of the signals.
fn abort(storm: &Shared) {
    let last = storm.controllers.borrow_mut().pop();
    if let Some(controller) = last {
        storm.trace(|| "abort()".into());
        storm.silently("abort", || controller.abort());
    }
}

fn timer(storm: &Shared) {
    let number = storm.times.borrow().len();
    if number >= MOST_TIMERS {
        return;
    }
    let repeats = storm.once_in(3);
    let delay = Duration::from_millis(storm.pick(&[0, 1, 1, 2, 5, 10, 30]));
    storm.trace(|| format!("timer {number}: {delay:?}, repeats: {repeats}"));
    let shared = storm.clone();
    let call = move || {
        shared.called("a timer");
        shared.trace(|| format!("timer {number}"));
        shared.timer_fired(number);
        react(&shared, None);
    };
    let armed = storm.now();
    let handle =
        storm.silently("set_timeout", || if repeats { set_interval(delay, call) } else { set_timeout(delay, call) });
    // Shorter than a millisecond counts as one (TM1).
    let delay = delay.max(Duration::from_millis(1));
    storm.times.borrow_mut().push(TimerModel { handle, armed, delay, repeats, cleared: false, fired: 0 });
}

impl crate::storm::Storm {
    fn timer_fired(&self, number: usize) {
        let now = self.now();
        let mut times = self.times.borrow_mut();
        let timer = &mut times[number];
        self.require(!timer.cleared, || format!("timer {number} was cleared (TM7)"));
        self.require(timer.repeats || timer.fired == 0, || format!("timer {number} came twice"));
        self.require(now >= timer.armed + timer.delay, || {
            format!("timer {number} came {:?} early", timer.armed + timer.delay - now)
        });
        timer.fired += 1;
        timer.armed = now;
    }
}

fn change_timer(storm: &Shared) {
    let count = storm.times.borrow().len();
    if count == 0 {
        return;
    }
    let number = storm.below(count);
    let (handle, over) = {
        let times = storm.times.borrow();
        (times[number].handle, times[number].cleared || !times[number].repeats && times[number].fired > 0)
    };
    match storm.below(3) {
        0 => {
            storm.trace(|| format!("timer {number}.clear()"));
            storm.silently("clear", || handle.clear());
            storm.times.borrow_mut()[number].cleared = true;
        }
        1 if !over => {
            storm.trace(|| format!("timer {number}.refresh()"));
            let now = storm.now();
            storm.silently("refresh", || handle.refresh());
            storm.times.borrow_mut()[number].armed = now;
        }
        _ => {
            let _ = storm.silently("ref", || if storm.once_in(2) { handle.ref_() } else { handle.unref() });
        }
    }
}

fn immediate(storm: &Shared) {
    let number = storm.immediates.borrow().len();
    storm.trace(|| format!("immediate {number}"));
    let shared = storm.clone();
    let handle = storm.silently("set_immediate", || {
        set_immediate(move || {
            shared.called("an immediate");
            shared.trace(|| format!("immediate {number} runs"));
            {
                let mut immediates = shared.immediates.borrow_mut();
                let skipped = immediates.iter().take(number).any(|earlier| !earlier.ran && !earlier.cleared);
                shared.require(!skipped, || format!("immediate {number} ran before an earlier one"));
                let own = &mut immediates[number];
                shared.require(!own.ran && !own.cleared, || format!("immediate {number} ran twice, or was cleared"));
                own.ran = true;
            }
            react(&shared, None);
        })
    });
    storm.immediates.borrow_mut().push(ImmediateModel { handle, cleared: false, ran: false });
}

/// Ends this socket in good order, and consumes what still comes.
pub fn wind_down(storm: &Shared, index: usize) {
    let socket = storm.handle(index);
    if handle_is_gone(socket) {
        return;
    }
    storm.trace(|| format!("socket {index}: winds down"));
    let (readable, attempted) = {
        let mut model = storm.model.borrow_mut();
        let current = model.sockets[index].current;
        (std::mem::take(&mut model.sockets[index].readable), model.connections[current].attempted)
    };
    for listener in readable {
        storm.silently("off", || socket.off(listener));
    }
    storm.aloud(|| socket.unpipe_all());
    storm.model.borrow_mut().sockets[index].pipes.clear();
    if !attempted {
        storm.silently("release", || socket.release());
        let mut model = storm.model.borrow_mut();
        model.sockets[index].retained = false;
        model.sockets[index].released |= !socket.destroyed() || handle_is_gone(socket);
        return;
    }
    release(storm, index);
    storm.silently("ref", || socket.ref_());
    if !storm.model.borrow().sockets[index].own_buffer {
        witness::consume(storm, index, socket);
    }
    resume(storm, index);
    let current = {
        let mut model = storm.model.borrow_mut();
        let settled = model.settle(index);
        storm.check(settled);
        model.sockets[index].current
    };
    storm.trace(|| {
        format!("socket {index}: flowing {:?}, ahead {}", socket.readable_flowing(), socket.readable_length())
    });
    storm.silently("end", || socket.end());
    storm.model.borrow_mut().connections[current].end_called = true;
}
