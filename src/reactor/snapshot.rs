//! What decides a connection's next step, as a value that can be compared: for the tests that walk through all states
//! (`event_loop/states`).
//!
//! This module touches nothing. Invariant: counts and amounts are told as far as they make a difference, never further;
//! names and numbers that only say which connection of which loop it is (epochs, generations, times) are left out.

use crate::reactor::connection::{Connection, CurrentState, Flow, Link, ReadPhase, WritePhase, WriteQueue};
use crate::reactor::{Handle, Reactor};
use crate::sys::Readiness;

/// The kinds of [`Link`].
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum LinkKind {
    Detached,
    Connecting,
    ConnectingPath,
    Open,
}

/// The product that a connection is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Product {
    pub(crate) link: LinkKind,
    pub(crate) read: ReadPhase,
    pub(crate) write: WritePhase,
    pub(crate) destroyed: bool,
}

/// The product, and everything else that decides what the next input leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Snapshot {
    pub(crate) product: Product,
    pub(crate) flow: Flow,
    pub(crate) data_listening: bool,
    /// Chunks that were read and not taken.
    pub(crate) incoming: usize,
    /// There is a write that the kernel, or the connection, does not take yet.
    pub(crate) writing: Option<bool>,
    /// Writes behind it.
    pub(crate) buffered: usize,
    pub(crate) corked: u32,
    pub(crate) end_callbacks: usize,
    /// The idle timer waits; `None`: there is none.
    pub(crate) idle_timer: Option<bool>,
    pub(crate) close_owed: bool,
    pub(crate) descriptors: usize,
    /// How many of them the poller knows.
    pub(crate) registered: usize,
    /// The flags that make a difference, by name.
    flags: Vec<&'static str>,
}

impl Snapshot {
    pub(crate) fn of(connection: &Connection) -> Snapshot {
        let read = &connection.read;
        let write = &connection.write;
        let link = match connection.link {
            Link::Detached => LinkKind::Detached,
            Link::Connecting => LinkKind::Connecting,
            Link::Open { .. } => LinkKind::Open,
            Link::ConnectingPath => LinkKind::ConnectingPath,
        };
        let queue = connection.queue();
        // What was refused already is told of in the pending phase and needs no event.
        let refused = connection.rare().path_attempt.as_ref().is_some_and(|attempt| attempt.failure.is_some());
        let announced = connection.announced.readiness;
        let announces = |all: Readiness| announced.and(all) == announced;
        let has = |is: bool, name: &'static str| is.then_some(name);
        let flags = [
            has(connection.error_emitted(), "error_emitted"),
            has(connection.errored().is_some(), "errored"),
            has(connection.close_marked(), "close_marked"),
            has(connection.counted(), "counted"),
            has(connection.allow_half_open(), "allow_half_open"),
            has(connection.write_after_end_of_peer(), "write_after_end_of_peer"),
            has(connection.read_on_connect(), "read_on_connect"),
            has(connection.reset(), "reset"),
            has(connection.server.is_some(), "accepted"),
            has(connection.rare().attempt.is_some(), "attempt"),
            has(connection.rare().path_attempt.is_some(), "path_attempt"),
            has(connection.rare().outbound.is_some(), "outbound"),
            has(connection.rare().more_closes_owed > 0, "more_closes_owed"),
            has(read.paused(), "paused"),
            has(read.has_paused(), "has_paused"),
            has(read.readable_listening(), "readable_listening"),
            has(read.has_asked(), "has_asked"),
            has(read.reading(), "reading"),
            has(read.need_readable(), "need_readable"),
            has(read.emitted_readable(), "emitted_readable"),
            has(read.read_more_scheduled(), "read_more_scheduled"),
            has(read.resume_scheduled(), "resume_scheduled"),
            has(read.end_scheduled(), "end_scheduled"),
            has(read.receiving(), "receiving"),
            has(write.need_drain(), "need_drain"),
            has(write.after_write_pending(), "after_write_pending"),
            has(write.shutting_down(), "shutting_down"),
            has(write.end_owed(), "end_owed"),
            has(announces(Readiness::READABLE), "announced_readable"),
            has(announces(Readiness::READ_CLOSED), "announced_read_closed"),
            has(announces(Readiness::HANG_UP), "announced_hang_up"),
            has(connection.announced.queued, "queued"),
        ];
        Snapshot {
            product: Product { link, read: read.phase, write: write.phase, destroyed: connection.destroyed() },
            flow: read.flow,
            data_listening: read.data_listening(),
            incoming: connection.readable_length(),
            writing: queue
                .and_then(|queue| queue.current.as_ref())
                .map(|current| current.state == CurrentState::InFlight),
            buffered: queue.map_or(0, |queue| queue.buffered.len()),
            corked: connection.writable_corked(),
            end_callbacks: queue.map_or(0, |queue| queue.end_callbacks.len()),
            idle_timer: connection.idle_timer.map(|_| !connection.idle_expired()),
            close_owed: connection.close_owed(),
            descriptors: usize::from(connection.stream().is_some()) + usize::from(connection.bound().is_some()),
            registered: usize::from(connection.stream().is_some() && !refused),
            flags: flags.into_iter().flatten().collect(),
        }
    }
}

/// What the reactor as a whole still owes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Owed {
    pub(crate) ticks: bool,
    pub(crate) steps: usize,
    pub(crate) pending: usize,
    pub(crate) closing: usize,
    pub(crate) ready: bool,
    pub(crate) handles: usize,
    pub(crate) requests: usize,
    pub(crate) timers: usize,
    pub(crate) connections: usize,
}

impl Reactor {
    pub(crate) fn snapshot(&mut self, socket: Handle) -> Option<Snapshot> {
        self.live(socket).map(|connection| Snapshot::of(connection))
    }

    pub(crate) fn owed(&self) -> Owed {
        Owed {
            ticks: !self.ticks.is_empty(),
            steps: self.ticks.depth(),
            pending: self.pending.len() + self.pending_now.len(),
            closing: self.closing.len() + self.closing_now.len(),
            ready: !self.ready.is_empty(),
            handles: self.handles,
            requests: self.requests,
            timers: self.timers.len(),
            connections: self.connections.len(),
        }
    }

    /// Whether `epoch` is that of the socket's latest connection.
    pub(crate) fn is_latest(&mut self, socket: Handle, epoch: u32) -> bool {
        self.current(socket, epoch).is_some()
    }

    /// Nothing of a write waits, as the bookkeeping has it: what is counted is what is there.
    pub(crate) fn write_queue_is_consistent(&mut self, socket: Handle) -> bool {
        let Some(queue) = self.live(socket).and_then(|connection| connection.queue()) else { return true };
        let WriteQueue { current, buffered, length, .. } = queue;
        let counted = current.as_ref().map_or(0, |current| current.length)
            + buffered.iter().map(|request| request.bytes.len()).sum::<usize>();
        *length == counted
    }
}
