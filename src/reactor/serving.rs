//! The poll and the pending phase: which descriptor is served next, and for how long.
//!
//! One call does the work of one callback: one read, one write completion, one accepted connection. What one wake-up
//! may do is bounded by budgets, so that a busy socket or a flood of connections cannot starve the others; what is left
//! goes to the back of the ready list and needs no new kernel event.
//!
//! This module touches the poller. Invariant: the token being served stays at the front of the list until its work is
//! done, so a phase that user code interrupted continues where it was.

use std::io;

use slab::Slab;

use crate::reactor::connection::Link;
use crate::reactor::connections::Connections;
use crate::reactor::handle::Token;
use crate::reactor::reading::Received;
use crate::reactor::ready::Announced;
use crate::reactor::servers::Server;
use crate::reactor::watching::Watches;
use crate::reactor::{Due, Handle, Pending, Reactor, TimerKind};
use crate::sys::{Event, Readiness, Wait};

/// How much one descriptor may do in one turn.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Budgets {
    /// Connections taken off one backlog.
    pub(crate) accepts: usize,
    /// Reads of one connection.
    pub(crate) reads: usize,
    /// Bytes of one connection, looked at after each read.
    pub(crate) bytes: usize,
}

/// The state of the descriptor that is being served.
pub(crate) struct Serving {
    budgets: Budgets,
    /// What remains of its budget; `None` before its first step.
    left: Option<usize>,
    /// The bytes that it was read.
    bytes: usize,
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
        Serving { budgets, left: None, bytes: 0, progress: Progress::Reading }
    }

    /// Whether the descriptor had its first step.
    #[inline]
    pub(super) fn has_begun(&self) -> bool {
        self.left.is_some()
    }

    /// The first read of a descriptor was made.
    pub(super) fn spend_first_read(&mut self) {
        self.left = Some(self.budgets.reads.max(1) - 1);
    }

    /// The descriptor had its only step.
    pub(super) fn spend_all(&mut self) {
        self.left = Some(0);
    }

    /// A read that may be followed by another one brought this many bytes.
    fn spend_bytes(&mut self, count: usize) {
        self.bytes += count;
        if self.bytes >= self.budgets.bytes {
            self.left = Some(0);
        }
    }

    fn next_token(&mut self) {
        self.left = None;
        self.bytes = 0;
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
    /// There was nothing to do.
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
    pub(crate) fn poll(&mut self, wait: Wait) -> io::Result<()> {
        if self.ready.is_empty() { self.poller.poll(wait) } else { self.poll_behind_what_waits() }
    }

    /// The same when nothing is ready already.
    #[inline]
    pub(crate) fn poll_again(&mut self, wait: Wait) -> io::Result<()> {
        debug_assert!(self.ready.is_empty());
        self.poller.poll(wait)
    }

    fn poll_behind_what_waits(&mut self) -> io::Result<()> {
        self.ready.begin();
        let polled = self.poller.poll(Wait::NONE);
        self.queue_events();
        polled
    }

    /// Something waits to be served: what the kernel said is noted at once, since it may be about the same descriptors.
    fn queue_events(&mut self) {
        for event in self.poller.events() {
            let found = announced_of(&mut self.servers, &mut self.connections, &mut self.watches, event.token);
            let Some(announced) = found else { continue };
            announced.add(event.readiness);
            if !std::mem::replace(&mut announced.queued, true) {
                self.ready.push_now(event.token);
            }
        }
        self.poller.advance_to_end();
    }

    /// Puts a token behind all that this phase serves. What the kernel said is noted then: it stands before it.
    pub(super) fn serve_in_this_phase(&mut self, token: u64) {
        if self.ready.has_nothing_now() {
            self.queue_events();
        }
        self.ready.push_now(token);
    }

    /// What is served now: first what waited, then the fresh events.
    #[inline]
    pub(super) fn current_event(&self) -> Option<Event> {
        match self.ready.current() {
            Some(token) => Some(Event { token, readiness: Readiness::NONE }),
            None => self.poller.current(),
        }
    }

    /// Whether what is served now waited for this phase.
    #[inline]
    pub(crate) fn has_waiting(&self) -> bool {
        !self.ready.has_nothing_now()
    }

    pub(crate) fn has_current_event(&self) -> bool {
        self.current_event().is_some()
    }

    /// It is done with for this phase.
    #[inline]
    pub(super) fn advance(&mut self) {
        if self.has_waiting() {
            self.advance_where::<true>();
        } else {
            self.advance_where::<false>();
        }
    }

    /// The same for who knows whether it waited for this phase.
    #[inline]
    pub(super) fn advance_where<const WAITED: bool>(&mut self) {
        if WAITED {
            self.ready.advance();
        } else {
            self.poller.advance();
        }
    }

    /// Serves the current descriptor, one callback at a time. Nothing: it is done with, and the next one is current.
    pub(crate) fn serve(&mut self, buffer: &mut [u8]) -> Served {
        let Some(event) = self.current_event() else { return Served::Nothing };
        let served = self.serve_one(event, buffer);
        if served == Served::Nothing {
            self.advance();
            self.serving.next_token();
        }
        served
    }

    fn serve_one(&mut self, event: Event, buffer: &mut [u8]) -> Served {
        // Nobody has the waker's token: that event was there to end the wait.
        if !self.serving.has_begun() && event.readiness != Readiness::NONE {
            let found = announced_of(&mut self.servers, &mut self.connections, &mut self.watches, event.token);
            if let Some(announced) = found {
                announced.add(event.readiness);
            }
        }
        if Token::is_server(event.token) {
            self.serve_server(event.token)
        } else {
            self.serve_connection(event, buffer)
        }
    }

    fn serve_server(&mut self, token: u64) -> Served {
        if Token::is_watch(token) {
            return self.serve_watch(token);
        }
        let index = Token::index(token);
        let budget = self.serving.budgets.accepts.max(1);
        // Bounded by the budget: each round spends one.
        loop {
            let Some(server) = self.servers.get_mut(index) else { return Served::Nothing };
            let Some(listener) = &server.listener else { return Served::Nothing };
            if !Token::matches(token, listener.descriptor) {
                return Served::Nothing;
            }
            server.announced.queued = false;
            // Whoever comes while it is paused stays announced until that is over.
            if server.paused.is_some() || !server.announced.has(Readiness::READABLE) {
                return Served::Nothing;
            }
            let left = self.serving.left.get_or_insert(budget);
            if *left == 0 {
                server.announced.queued = true;
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

    fn serve_connection(&mut self, event: Event, buffer: &mut [u8]) -> Served {
        let token = event.token;
        let index = Token::index(token);
        let Some(connection) = self.connections.get_mut(index) else { return Served::Nothing };
        if !connection.descriptor().is_some_and(|descriptor| Token::matches(token, descriptor)) {
            if !self.serve_racing(token) {
                return Served::Nothing;
            }
            // If it won it is connected now, and as below its input waits for the next turn.
            self.serving.spend_all();
            self.serving.progress = Progress::Done;
            return Served::Callback;
        }
        let socket = connection.handle;
        if !self.serving.has_begun() {
            // From here on it may be queued again, for the next turn; with a fresh event, it may have been before.
            connection.announced.queued &= event.readiness != Readiness::NONE;
            self.serving.left = Some(self.serving.budgets.reads.max(1));
        }
        if connection.link.is_connecting() {
            if !connection.announced.has(Readiness::WRITABLE.and(Readiness::HANG_UP)) {
                return Served::Nothing;
            }
            connection.announced.remove(Readiness::WRITABLE);
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
            Link::ConnectingPath => self.connect_path_decided(socket),
            Link::Detached | Link::Connecting | Link::Open { .. } => self.connect_decided(socket),
        }
    }

    /// One read, if the connection reads and has budget left.
    fn serve_read(&mut self, token: u64, socket: Handle, buffer: &mut [u8]) -> Served {
        let connection = &mut self.connections[socket.index()];
        if !connection.read.receiving() || !connection.announced.has(Readiness::READABLE) {
            return Served::Nothing;
        }
        let left = self.serving.left.unwrap_or(0);
        if left == 0 {
            if !std::mem::replace(&mut connection.announced.queued, true) {
                self.ready.push(token);
            }
            return Served::Nothing;
        }
        self.serving.left = Some(left - 1);
        if connection.read.own_buffer() {
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
                let more = connection.announced.has(Readiness::READ_CLOSED.and(Readiness::HANG_UP));
                if more || connection.is_unix() {
                    connection.announced.add(Readiness::READABLE);
                } else {
                    connection.announced.remove(Readiness::READABLE);
                }
                self.queue_if_readable(socket);
            }
            Received::Queued => self.serving.progress = Progress::Writing,
            Received::Lent(count) | Received::Kept(count) => self.serving.spend_bytes(count),
            Received::Nothing => {}
        }
    }

    /// One attempt to continue the write in flight.
    fn serve_write(&mut self, socket: Handle) -> Served {
        self.serving.progress = Progress::Done;
        let Some(connection) = self.live(socket) else { return Served::Nothing };
        if connection.announced.has(Readiness::WRITABLE.and(Readiness::HANG_UP)) && self.writable(socket) {
            Served::Callback
        } else {
            Served::Nothing
        }
    }

    /// Input that the kernel announced while nobody read: it is served without a new event.
    pub(super) fn queue_if_readable(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let Some(descriptor) = connection.descriptor() else { return };
        let announced = &mut connection.announced;
        if announced.has(Readiness::READABLE) && !std::mem::replace(&mut announced.queued, true) {
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
                    Link::Connecting => connection.rare().attempt.as_ref().is_some_and(|attempt| attempt.refused),
                    Link::ConnectingPath => {
                        connection.rare().path_attempt.as_ref().is_some_and(|attempt| attempt.failure.is_some())
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

    /// Whether the latest poll brought any events.
    pub(crate) fn found_events(&self) -> bool {
        self.poller.events().next().is_some()
    }

    /// Whether the kernel may have events that it announced already.
    pub(crate) fn may_have_missed_events(&self) -> bool {
        self.poller.may_hold_more()
    }

    /// The next timer that is due, in Node's order (rule TM3).
    pub(crate) fn next_due(&mut self) -> Option<Due> {
        // Bounded by the timers that were armed when the phase began: none is due twice in it.
        while let Some((timer, kind)) = self.timers.pop_due() {
            match kind {
                TimerKind::Once(callback) | TimerKind::Every(callback) => {
                    self.counters.timers += 1;
                    return Some(Due::User { timer, callback });
                }
                TimerKind::Idle(slot) => {
                    if self.idle_expired(slot, timer) {
                        self.counters.idle_timeouts += 1;
                        return Some(Due::Idle);
                    }
                }
                TimerKind::Attempt(slot) => {
                    if self.attempt_expired(slot, timer) {
                        return Some(Due::Attempt);
                    }
                }
                TimerKind::Lookup => return Some(Due::Lookup(timer)),
                TimerKind::Retry => self.retry(timer),
                TimerKind::Drain(slot) => {
                    if self.drain_expired(slot, timer) {
                        return Some(Due::Drain);
                    }
                }
                TimerKind::Bound(slot) => {
                    if self.bound_expired(slot, timer) {
                        return Some(Due::Bound);
                    }
                }
            }
        }
        None
    }
}

/// What is known of the descriptor that `token` names.
fn announced_of<'a>(
    servers: &'a mut Slab<Server>,
    connections: &'a mut Connections,
    watches: &'a mut Watches,
    token: u64,
) -> Option<&'a mut Announced> {
    if !Token::is_server(token) {
        return connections.announced_of(token);
    }
    if Token::is_watch(token) {
        return watches.announced_of(token);
    }
    let server = servers.get_mut(Token::index(token))?;
    let descriptor = server.listener.as_ref()?.descriptor;
    if Token::matches(token, descriptor) { Some(&mut server.announced) } else { None }
}
