//! The poll and the pending phase: which descriptor is served next, and for how long.
//!
//! One call does the work of one callback: one read, one write completion, one accepted connection. What one wake-up
//! may do is bounded by budgets, so that a busy socket or a flood of connections cannot starve the others; what is left
//! goes to the back of the ready list and needs no new kernel event.
//!
//! This module touches the poller. Invariant: the token being served stays at the front of the list until its work is
//! done, so a phase that user code interrupted continues where it was.

use std::io;
use std::time::Duration;

use crate::reactor::connection::Link;
use crate::reactor::handle::Token;
use crate::reactor::reading::Received;
use crate::reactor::{Due, Handle, Pending, Reactor, TimerKind};
use crate::sys::WAKE_TOKEN;

/// How much one descriptor may do in one turn.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Budgets {
    /// Connections taken off one backlog.
    pub(crate) accepts: usize,
    /// Reads of one connection.
    pub(crate) reads: usize,
}

/// The state of the descriptor that is being served.
pub(crate) struct Serving {
    budgets: Budgets,
    /// What remains of its budget; `None` before its first step.
    left: Option<usize>,
    progress: Progress,
}

/// How far one wake-up of a connection has come: input first, then output (rule M8).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Progress {
    Reading,
    Writing,
    Done,
}

impl Serving {
    pub(crate) fn new(budgets: Budgets) -> Serving {
        Serving { budgets, left: None, progress: Progress::Reading }
    }

    /// The first read of a descriptor was made.
    pub(super) fn spend_first_read(&mut self) {
        self.left = Some(self.budgets.reads.max(1) - 1);
    }

    fn next_token(&mut self) {
        self.left = None;
        self.progress = Progress::Reading;
    }
}

/// One callback's worth of work.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Served {
    /// Bytes for `socket` lie in the loop's buffer.
    Data { socket: Handle, count: usize },
    /// `socket` is to be read into the buffer that its user gave: [`Reactor::read_ready`].
    OwnBuffer { socket: Handle },
    /// Something happened; what it leads to is in the tick queue.
    Callback,
    /// Nothing is ready any more.
    Nothing,
}

impl Served {
    /// What one read of `socket` comes to.
    pub(super) fn by_read(socket: Handle, received: Received) -> Served {
        match received {
            Received::Lent(count) => Served::Data { socket, count },
            Received::Kept(_) | Received::Queued => Served::Callback,
            Received::Nothing => Served::Nothing,
        }
    }
}

impl Reactor {
    /// Waits for events, or only looks at them when something is ready already.
    pub(crate) fn poll(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.ready.is_empty() { timeout } else { Some(Duration::ZERO) };
        self.ready.begin();
        self.poller.poll(timeout)?;
        for event in self.poller.events() {
            if event.token == WAKE_TOKEN {
                // It was there to end the wait.
                continue;
            }
            let readiness = if Token::is_server(event.token) {
                let server = self.servers.get_mut(Token::index(event.token));
                server.and_then(|server| {
                    let descriptor = server.listener.as_ref()?.descriptor;
                    Token::matches(event.token, descriptor).then_some(&mut server.readiness)
                })
            } else {
                self.connections.readiness_of(event.token)
            };
            let Some(readiness) = readiness else { continue };
            readiness.readable |= event.readable;
            readiness.writable |= event.writable;
            readiness.read_closed |= event.read_closed;
            readiness.hang_up |= event.hang_up;
            if !std::mem::replace(&mut readiness.queued, true) {
                self.ready.push_now(event.token);
            }
        }
        Ok(())
    }

    /// Serves the next ready descriptor, one callback at a time.
    pub(crate) fn serve(&mut self, buffer: &mut [u8]) -> Served {
        // Bounded by the length of the list: each round either returns or takes a token off it.
        while let Some(token) = self.ready.current() {
            if self.serving.left.is_none() {
                match self.serve_plainly(token, buffer) {
                    Served::Nothing => {}
                    served => return served,
                }
            }
            let served =
                if Token::is_server(token) { self.serve_server(token) } else { self.serve_connection(token, buffer) };
            if served != Served::Nothing {
                return served;
            }
            self.ready.advance();
            self.serving.next_token();
        }
        Served::Nothing
    }

    fn serve_server(&mut self, token: u64) -> Served {
        let index = Token::index(token);
        let budget = self.serving.budgets.accepts.max(1);
        // Bounded by the budget: each round spends one.
        loop {
            let Some(server) = self.servers.get_mut(index) else { return Served::Nothing };
            let Some(listener) = &server.listener else { return Served::Nothing };
            if !Token::matches(token, listener.descriptor) {
                return Served::Nothing;
            }
            server.readiness.queued = false;
            if !server.readiness.readable {
                return Served::Nothing;
            }
            let left = self.serving.left.get_or_insert(budget);
            if *left == 0 {
                server.readiness.queued = true;
                self.ready.push(token);
                return Served::Nothing;
            }
            *left -= 1;
            let server = Handle::new(index, server.generation);
            if self.accept(server) {
                return Served::Callback;
            }
        }
    }

    fn serve_connection(&mut self, token: u64, buffer: &mut [u8]) -> Served {
        let index = Token::index(token);
        let Some(connection) = self.connections.get_mut(index) else { return Served::Nothing };
        if !connection.link.descriptor().is_some_and(|descriptor| Token::matches(token, descriptor)) {
            if !self.serve_racing(token) {
                return Served::Nothing;
            }
            // If it won it is connected now, and as below its input waits for the next turn.
            self.serving.left = Some(0);
            self.serving.progress = Progress::Done;
            return Served::Callback;
        }
        let socket = Handle::new(index, connection.generation);
        if self.serving.left.is_none() {
            // From here on it may be queued again, for the next turn.
            connection.readiness.queued = false;
            self.serving.left = Some(self.serving.budgets.reads.max(1));
        }
        if connection.link.is_connecting() {
            if !connection.readiness.writable && !connection.readiness.hang_up {
                return Served::Nothing;
            }
            connection.readiness.writable = false;
            // Input that came with the event waits until reading starts, and then for the next turn, as in libuv.
            self.serving.progress = Progress::Done;
            self.conclude_connect(socket);
            return Served::Callback;
        }
        match self.serving.progress {
            Progress::Reading => match self.serve_read(token, socket, buffer) {
                Served::Nothing => self.serve_write(socket),
                served => served,
            },
            Progress::Writing => self.serve_write(socket),
            Progress::Done => Served::Nothing,
        }
    }

    fn conclude_connect(&mut self, socket: Handle) {
        match self.connections[socket.index()].link {
            Link::ConnectingPath { .. } => self.connect_path_decided(socket),
            Link::Detached | Link::Connecting { .. } | Link::Open { .. } => self.connect_decided(socket),
        }
    }

    /// One read, if the connection reads and has budget left.
    fn serve_read(&mut self, token: u64, socket: Handle, buffer: &mut [u8]) -> Served {
        let connection = &mut self.connections[socket.index()];
        if !connection.read.receiving || !connection.readiness.readable {
            return Served::Nothing;
        }
        let left = self.serving.left.unwrap_or(0);
        if left == 0 {
            connection.readiness.queued = true;
            self.ready.push(token);
            return Served::Nothing;
        }
        self.serving.left = Some(left - 1);
        if connection.read.own_buffer {
            return Served::OwnBuffer { socket };
        }
        Served::by_read(socket, self.read_ready(socket, buffer))
    }

    /// One read of the connection that is being served, and what it says about its readiness.
    pub(crate) fn read_ready(&mut self, socket: Handle, buffer: &mut [u8]) -> Received {
        let received = self.receive(socket, buffer);
        self.note(socket, received, buffer.len());
        received
    }

    /// What a read says about the readiness of the connection that is being served.
    pub(super) fn note(&mut self, socket: Handle, received: Received, room: usize) {
        match received {
            Received::Lent(count) | Received::Kept(count) if count < room => {
                self.serving.progress = Progress::Writing;
                // A short read emptied the socket, and what comes later makes a new edge. Only with the peer's end or an
                // error behind it the next read must be made without one, in the next turn (rule M7).
                // So it must on a unix socket, whose reads also stop behind bytes that came with descriptors.
                let connection = &mut self.connections[socket.index()];
                let more = connection.readiness.read_closed || connection.readiness.hang_up;
                connection.readiness.readable = more || connection.link.is_unix();
                self.queue_if_readable(socket);
            }
            Received::Queued => self.serving.progress = Progress::Writing,
            Received::Lent(_) | Received::Kept(_) | Received::Nothing => {}
        }
    }

    /// One attempt to continue the write in flight.
    fn serve_write(&mut self, socket: Handle) -> Served {
        self.serving.progress = Progress::Done;
        let Some(connection) = self.live(socket) else { return Served::Nothing };
        let readiness = connection.readiness;
        if (readiness.writable || readiness.hang_up) && self.writable(socket) {
            Served::Callback
        } else {
            Served::Nothing
        }
    }

    /// Input that the kernel announced while nobody read: it is served without a new event.
    pub(super) fn queue_if_readable(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let Some(descriptor) = connection.link.descriptor() else { return };
        let readiness = &mut connection.readiness;
        if readiness.readable && !std::mem::replace(&mut readiness.queued, true) {
            self.ready.push(Token::Connection { index: socket.index(), descriptor }.pack());
        }
    }

    /// Begins a round of the pending phase: what is added while it runs belongs to the next round.
    pub(crate) fn begin_pending(&mut self) -> bool {
        if !self.pending.is_empty() {
            self.pending_now.append(&mut self.pending);
        }
        !self.pending_now.is_empty()
    }

    /// The next callback of the pending phase. False when there is none.
    pub(crate) fn next_pending(&mut self) -> bool {
        let Some(pending) = self.pending_now.pop_front() else { return false };
        match pending {
            Pending::ShutDown { socket, epoch } => self.shut_down_now(socket, epoch),
            Pending::Refused { socket, epoch } => {
                let refused = self.current(socket, epoch).is_some_and(|connection| match &connection.link {
                    Link::Connecting { attempt } => attempt.as_ref().is_some_and(|attempt| attempt.refused),
                    Link::ConnectingPath { attempt } => {
                        attempt.as_ref().is_some_and(|attempt| attempt.failure.is_some())
                    }
                    Link::Detached | Link::Open { .. } => false,
                });
                if refused {
                    self.conclude_connect(socket);
                }
            }
        }
        true
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty() || !self.pending_now.is_empty()
    }

    pub(crate) fn has_closing(&self) -> bool {
        !self.closing.is_empty() || !self.closing_now.is_empty()
    }

    /// How long the poll phase may wait for the sake of what is already known.
    pub(crate) fn must_not_wait(&self) -> bool {
        self.has_pending() || self.has_closing() || !self.ready.is_empty()
    }

    /// The next timer that is due, in Node's order (rule TM3).
    pub(crate) fn next_due(&mut self) -> Option<Due> {
        // Bounded by the timers that were armed when the phase began: none is due twice in it.
        while let Some((timer, kind)) = self.timers.pop_due() {
            match kind {
                TimerKind::Once(callback) | TimerKind::Every(callback) => return Some(Due::User { timer, callback }),
                TimerKind::Idle(slot) => {
                    if self.idle_expired(slot, timer) {
                        return Some(Due::Idle);
                    }
                }
                TimerKind::Attempt(slot) => {
                    if self.attempt_expired(slot, timer) {
                        return Some(Due::Attempt);
                    }
                }
                TimerKind::Lookup => return Some(Due::Lookup(timer)),
            }
        }
        None
    }
}
