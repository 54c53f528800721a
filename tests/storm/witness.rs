//! The listeners that check: one for each event of each socket and server, added before any other. Each checks the laws
//! for its event, notes the event, and then does something random.
//!
//! May touch: the public API. Invariant: the `data` listener that checks does nothing else, so it is never running when a
//! command emits `data`, and sees the bytes in their order.

use halfclose::net::{Server, Socket, SocketEvent};
use halfclose::{Error, ErrorSource};

use crate::commands;
use crate::model::handle_is_gone;
use crate::storm::{Shared, Storm};

/// Adds the listeners that check, except that for `data`.
pub fn watch(storm: &Shared, index: usize, socket: Socket) {
    let plain = [
        SocketEvent::Connect,
        SocketEvent::Ready,
        SocketEvent::End,
        SocketEvent::Finish,
        SocketEvent::Drain,
        SocketEvent::Timeout,
    ];
    for event in plain {
        let shared = storm.clone();
        let listener = move |told: Socket| {
            shared.called("a listener");
            shared.told(index, event, told);
            if event == SocketEvent::Ready && shared.calm.get() {
                // An `unref` from before there was a connection has come into force with it (R5).
                told.ref_();
            }
            commands::react(&shared, Some(index));
        };
        match event {
            SocketEvent::Connect => socket.on_connect(listener),
            SocketEvent::Ready => socket.on_ready(listener),
            SocketEvent::End => socket.on_end(listener),
            SocketEvent::Finish => socket.on_finish(listener),
            SocketEvent::Drain => socket.on_drain(listener),
            _ => socket.on_timeout(listener),
        };
    }
    let shared = storm.clone();
    socket.on_close(move |told, had_error| {
        shared.called("a listener");
        shared.closed(index, told, had_error);
        commands::react(&shared, Some(index));
    });
    let shared = storm.clone();
    socket.on_unpipe(move |_, source| {
        shared.called("a listener");
        let mut model = shared.model.borrow_mut();
        if let Some(source) = model.sockets.iter_mut().find(|socket| socket.handle == source) {
            // A source that waited for this one's `drain` flows again, whoever paused it meanwhile.
            source.paused = false;
            source.resumes = true;
        }
        drop(model);
        commands::react(&shared, Some(index));
    });
    let shared = storm.clone();
    socket.on_connection_attempt(move |_, _| {
        shared.called("a listener");
        shared.trace(|| format!("socket {index}: connectionAttempt"));
        commands::react(&shared, Some(index));
    });
    let shared = storm.clone();
    socket.on_connection_attempt_failed(move |_, _, error| {
        shared.called("a listener");
        shared.trace(|| format!("socket {index}: connectionAttemptFailed {error}"));
        {
            let mut model = shared.model.borrow_mut();
            let current = model.sockets[index].current;
            model.connections[current].doubtful = true;
        }
        commands::react(&shared, Some(index));
    });
    let shared = storm.clone();
    socket.on_lookup(move |_, _| {
        shared.called("a listener");
        shared.trace(|| format!("socket {index}: lookup"));
        commands::react(&shared, Some(index));
    });
    let shared = storm.clone();
    socket.on_connection_attempt_timeout(move |_, _| {
        shared.called("a listener");
        shared.trace(|| format!("socket {index}: connectionAttemptTimeout"));
        commands::react(&shared, Some(index));
    });
    listen_for_errors(storm, index, socket);
}

/// A pipe was just made: it writes what comes until its own `unpipe` listener was told, and this one stands behind that.
pub fn watch_pipe(storm: &Shared, destination: Socket) {
    let shared = storm.clone();
    destination.on_unpipe(move |told, source| {
        shared.called("a listener");
        let mut model = shared.model.borrow_mut();
        let destination = model.sockets.iter().position(|socket| socket.handle == told);
        let source = model.sockets.iter_mut().find(|socket| socket.handle == source);
        if let (Some(source), Some(destination)) = (source, destination) {
            source.let_go(destination);
        }
    });
}

/// Adds the `error` listener that checks; without it the loop's hook does.
pub fn listen_for_errors(storm: &Shared, index: usize, socket: Socket) {
    let shared = storm.clone();
    let listener = socket.on_error(move |told, error| {
        shared.called("a listener");
        shared.require(told == shared.handle(index), || format!("an error of socket {index} came for another"));
        shared.failed(index, error);
        commands::react(&shared, Some(index));
    });
    storm.model.borrow_mut().sockets[index].error_witness = Some(listener);
}

/// Adds the consumer that checks every byte.
pub fn consume(storm: &Shared, index: usize, socket: Socket) {
    if storm.model.borrow().sockets[index].witness.is_some() {
        return;
    }
    let shared = storm.clone();
    let text = storm.once_in(4);
    let others = socket.listener_count(SocketEvent::Data) > 0;
    let take = move |told: Socket, bytes: &[u8]| {
        shared.called("a listener");
        shared.got(index, told, bytes);
    };
    let listener =
        if text { socket.on_text(move |told, text| take(told, text.as_bytes())) } else { socket.on_data(take) };
    if others {
        // Those that act come after it.
        socket.prepend(listener);
    }
    let shared = storm.clone();
    let actor = socket.on_data(move |_, _| {
        shared.called("a listener");
        commands::react(&shared, Some(index));
    });
    let mut model = storm.model.borrow_mut();
    model.sockets[index].witness = Some(listener);
    model.sockets[index].witness_place = if others { model.sockets[index].next_place() } else { 0 };
    model.sockets[index].extras.push(actor);
}

/// Adds what checks a server.
pub fn watch_server(storm: &Shared, index: usize, server: Server) {
    let shared = storm.clone();
    server.on_connection(move |told, socket| {
        shared.called("a listener");
        let unix = shared.model.borrow().servers[index].path.is_some();
        shared.require(told == shared.model.borrow().servers[index].handle, || "another server's connection".into());
        let accepted = shared.model.borrow_mut().accept(index, socket, unix, shared.now());
        match accepted {
            Ok(accepted) => {
                shared.trace(|| format!("server {index}: connection: socket {accepted}"));
                shared.accepted(accepted, socket);
                watch(&shared, accepted, socket);
                if shared.calm.get() || !shared.once_in(5) {
                    consume(&shared, accepted, socket);
                    let mut model = shared.model.borrow_mut();
                    let current = model.sockets[accepted].current;
                    model.connections[current].gap = false;
                } else if shared.once_in(3) {
                    commands::own_buffer(&shared, accepted);
                }
                if shared.calm.get() {
                    commands::wind_down(&shared, accepted);
                }
                commands::react(&shared, Some(accepted));
            }
            Err(violation) => shared.violated(violation),
        }
    });
    let shared = storm.clone();
    server.on_listening(move |told| {
        shared.called("a listener");
        shared.trace(|| format!("server {index}: listening"));
        shared.require(told.listening(), || format!("server {index} tells that it listens, and does not"));
        commands::react(&shared, None);
    });
    let shared = storm.clone();
    server.on_error(move |_, error| {
        shared.called("a listener");
        shared.trace(|| format!("server {index}: error {error}"));
        commands::react(&shared, None);
    });
    let shared = storm.clone();
    server.on_drop(move |told, _| {
        shared.called("a listener");
        shared.trace(|| format!("server {index}: drop"));
        let most = told.max_connections();
        let live = told.connections();
        shared.require(most.is_some_and(|most| live >= most), || {
            format!("server {index} dropped one: {live} of {most:?}")
        });
        commands::react(&shared, None);
    });
    let shared = storm.clone();
    server.on_close(move |_| {
        shared.called("a listener");
        shared.trace(|| format!("server {index}: close"));
        let live = shared.model.borrow().connections_of(index);
        shared.require(live == 0, || format!("server {index} closed, with {live} connections"));
        commands::react(&shared, None);
    });
}

/// What nobody listened for: an error of a socket is as good as one that was listened for.
pub fn unhandled(storm: &Shared, source: ErrorSource, error: &Error) {
    storm.called("the hook");
    if let ErrorSource::Socket(told) = source {
        let index = storm.model.borrow().sockets.iter().position(|socket| socket.handle == told);
        match index {
            Some(index) => {
                let (witness, piped) = {
                    let model = storm.model.borrow();
                    let socket = &model.sockets[index];
                    (socket.error_witness, model.connections.iter().any(|own| own.socket == index && own.piped_into))
                };
                // A pipe lets go first, and what listens to that may begin to listen for errors: too late for this one.
                storm.require(witness.is_none() || piped, || format!("an error of socket {index} was listened for"));
                storm.failed(index, error);
            }
            None => storm.violated("an error of a socket that nobody knows".into()),
        }
    }
}

impl Storm {
    /// A plain event, checked and noted.
    fn told(&self, index: usize, event: SocketEvent, told: Socket) {
        self.trace(|| format!("socket {index}: {event:?}"));
        let mut model = self.model.borrow_mut();
        let model = &mut *model;
        model.look(index);
        if event == SocketEvent::Drain {
            // The pipes that waited for it let their sources flow again, whoever paused them meanwhile.
            for source in &mut model.sockets {
                if source.is_piped_to(index) || source.lingering.contains(&index) {
                    source.paused = false;
                    source.resumes = true;
                }
            }
        }
        if event == SocketEvent::End {
            model.source_ends(index);
        }
        let (number, failed) = model.telling(index, event);
        let socket = &mut model.sockets[index];
        socket.activity += 1;
        let handle = socket.handle;
        let lenient = socket.prepended || number != socket.current;
        let connection = &mut model.connections[number];
        let accepted = connection.accepted_by.is_some();
        let peer_ends = model.peer_is_over(number);
        let (socket, connection) = (&mut model.sockets[index], &mut model.connections[number]);
        let mut violations: Vec<&str> = Vec::new();
        let mut must = |holds: bool, law: &'static str| {
            if !holds {
                violations.push(law);
            }
        };
        must(told == handle, "the handle is another socket's");
        must(!connection.closed, "after close");
        let destroyed = handle.destroyed();
        match event {
            SocketEvent::Connect => {
                must(connection.attempted && !accepted, "without an attempt");
                must(!connection.connected, "a second time");
                must(!destroyed || lenient, "although destroyed (L33)");
                must(!failed, "after error");
                connection.connected = true;
                connection.without_peer = number == socket.current && !connection.unix && handle.peer_addr().is_none();
                if std::mem::take(&mut socket.reads_on_connect) && socket.own_buffer {
                    socket.paused = false;
                }
                model.client_connected(number);
            }
            SocketEvent::Ready => {
                must(connection.connected && !connection.ready, "without connect, or twice");
                connection.ready = true;
            }
            SocketEvent::End => {
                must(connection.connected, "before connect");
                must(!connection.ended, "a second time (L22)");
                must(!failed || connection.reset_refused, "after error");
                must(handle.readable_length() == 0 || lenient, "before what was read ahead (L20)");
                connection.ended = true;
                if !connection.gap && !lenient && handle.bytes_read() as usize != connection.position {
                    must(false, "before the last bytes that were read");
                }
                // Who has connected anew meanwhile counts for the new connection.
                let (pair, read) = (connection.pair.filter(|_| number == socket.current), handle.bytes_read() as usize);
                if let Some(pair) = pair {
                    let pair = &model.connections[pair];
                    if pair.finished && read != pair.written.len() {
                        must(false, "before the last bytes that the peer has sent (law 4)");
                    }
                }
            }
            SocketEvent::Finish => {
                must(!connection.finished, "a second time");
                must(!failed, "after error");
                must(handle.writable_length() == 0 || lenient, "before everything was sent");
                must(handle.writable_ended() || lenient, "without an end");
                connection.finished = true;
                connection.drain_owed = false;
            }
            SocketEvent::Drain => {
                must(connection.connected, "before connect");
                must(connection.drain_owed || connection.piped_into || lenient, "that nobody is owed (F7)");
                must(!destroyed || lenient, "although destroyed (L30)");
                must(handle.writable_length() == 0 || lenient, "before the queue is empty (F7)");
                must(!handle.writable_ended() || lenient, "after end (F7)");
                connection.drain_owed = false;
            }
            SocketEvent::Timeout => {
                must(!destroyed || lenient, "although destroyed (T9)");
                let now = self.now();
                must(socket.idle.is_some(), "although none is set");
                let seen = socket.seen();
                if let Some(idle) = &mut socket.idle {
                    must(now >= idle.set + idle.timeout, "before its time (T1)");
                    // This very event counts as one.
                    let before = (seen.0 - 1, seen.1, seen.2, seen.3);
                    // That the peer has ended is activity, even while nobody consumes what came before it.
                    let again = idle.told == Some(before) && !peer_ends;
                    must(
                        !again || std::mem::take(&mut socket.completes_unseen),
                        "again, and nothing happened since (T3)",
                    );
                    idle.told = Some(seen);
                    idle.seen = seen;
                    idle.since = now;
                }
            }
            _ => {}
        }
        let report = violations.first().map(|law| format!("socket {index} (connection {number}): {event:?} {law}"));
        if let Some(violation) = report {
            self.violated(violation);
        }
    }

    /// Bytes came to the consumer that checks.
    pub fn got(&self, index: usize, told: Socket, bytes: &[u8]) {
        self.trace(|| format!("socket {index}: data {}", bytes.len()));
        let mut model = self.model.borrow_mut();
        model.sockets[index].note_pipes(usize::MAX);
        let destinations = std::mem::take(&mut model.sockets[index].piping);
        let sure = model.sockets[index].piping_surely.take().unwrap_or_default();
        model.sockets[index].given.extend(&destinations);
        // What earlier chunks brought to the destinations of its pipes is decided by now.
        for &destination in &destinations {
            self.check(model.settle(destination));
        }
        for destination in sure {
            model.sockets[destination].owed_by_pipes += bytes.len();
        }
        model.sockets[index].activity += 1;
        let socket = &model.sockets[index];
        let (handle, lenient, paused) = (socket.handle, socket.prepended, socket.paused);
        let connection = &model.connections[socket.current];
        self.require(told == handle, || format!("data of socket {index} came for another"));
        if lenient && !connection.connected {
            // Of the connection before: whoever stands in front has connected the socket anew.
            model.give_to(&destinations, bytes);
            return;
        }
        self.require(!connection.closed, || format!("data of socket {index} after close"));
        self.require(connection.connected, || format!("data of socket {index} before connect"));
        self.require(!connection.ended, || format!("data of socket {index} after end"));
        let failed = connection.failed && !connection.reset_refused;
        self.require(!failed, || format!("data of socket {index} after error"));
        // What had been read and was to flow in the next tick still does, as in Node; nothing is read any more (L30).
        let more = connection.read_when_destroyed.is_some_and(|then| handle.bytes_read() > then);
        self.require(!handle.destroyed() || lenient || !more, || format!("data of socket {index}, which is destroyed"));
        self.require(!paused || lenient, || format!("data of socket {index}, which is paused (F23)"));
        self.require(!bytes.is_empty(), || format!("data of socket {index} without any"));
        self.check(model.received(index, bytes));
        model.give_to(&destinations, bytes);
    }

    /// An `error`, with or without a listener.
    fn failed(&self, index: usize, error: &Error) {
        self.trace(|| format!("socket {index}: error {error}"));
        let mut model = self.model.borrow_mut();
        self.check(model.settle(index));
        let number = model.failing(index, error);
        model.sockets[index].activity += 1;
        let handle = model.sockets[index].handle;
        let is_current = model.sockets[index].current == number;
        let connection = &mut model.connections[number];
        self.require(!connection.failed, || format!("socket {index}: a second error: {error}"));
        self.require(!connection.closed, || format!("socket {index}: an error after close: {error}"));
        self.require(connection.destroyed_with_error != Some(false), || {
            format!("socket {index}: an error after a destroy without one: {error}")
        });
        let refused = error.code() == Some("ECONNREFUSED") && matches!(error.syscall(), Some("read" | "write"));
        self.require(!refused, || format!("socket {index} was told that it is connected, and is refused: {error}"));
        // A reset that cannot be made tells its error within the call, before it destroys.
        let reset = error.syscall() == Some("reset");
        self.require(!is_current || handle.destroyed() || reset, || format!("socket {index} lives on after {error}"));
        connection.failed = true;
        connection.reset_refused = reset;
    }

    fn closed(&self, index: usize, told: Socket, had_error: bool) {
        self.trace(|| format!("socket {index}: close {had_error}"));
        let mut model = self.model.borrow_mut();
        self.check(model.settle(index));
        let number = model.closing(index, had_error);
        let socket = &mut model.sockets[index];
        socket.activity += 1;
        socket.superseded.retain(|superseded| *superseded != number);
        let (handle, is_current) = (socket.handle, socket.current == number);
        let connection = &mut model.connections[number];
        self.require(told == handle, || format!("close of socket {index} came for another"));
        self.require(!connection.closed, || format!("socket {index}: a second close"));
        // Node passes nothing when there was no connection (M6), which is `false` here.
        let with_error = connection.failed && connection.attempted;
        self.require(had_error == with_error || connection.reset_refused, || {
            format!("socket {index}: close({had_error}), but the error was {}", connection.failed)
        });
        self.require(!is_current || handle.destroyed(), || format!("socket {index} closed, and is not destroyed"));
        connection.closed = true;
    }

    /// A connection was accepted under this handle: nobody else may have it.
    fn accepted(&self, index: usize, socket: Socket) {
        let strangers = {
            let model = self.model.borrow();
            let others = model.sockets.iter().take(index);
            others.filter(|other| other.handle == socket).count()
        };
        self.require(strangers == 0, || format!("socket {index} has a stale handle's value"));
        self.require(!handle_is_gone(socket), || format!("socket {index} is accepted and freed"));
    }
}
