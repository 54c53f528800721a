//! What the reactor counts: what was accepted and what was not, how connections ended, what the kernel took and refused.
//!
//! Nothing here is counted on the usual way of a byte: what a connection counts itself is added up when it is over, and
//! when somebody asks. This module touches nothing. Invariant: a connection is among the closed exactly when it has been
//! open and is not any more.

use crate::error::Error;
use crate::reactor::connection::{Connection, CurrentState, Link, ReadPhase};
use crate::reactor::{Handle, Reactor};
use crate::sys::errno::Errno;

/// Connections that could not be accepted, by what accept(2) said. Not in Node, which says nothing of them.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AcceptErrors {
    /// `EMFILE`, `ENFILE`: the process, or the system, has no descriptors left. Those who wait are shed.
    pub descriptors_exhausted: u64,
    /// `ECONNABORTED`: the peer was gone before its turn came.
    pub aborted: u64,
    /// `ENOBUFS`, `ENOMEM`: the kernel has no memory for it.
    pub out_of_memory: u64,
    /// All others.
    pub other: u64,
}

/// How connections ended. Not in Node.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closes {
    /// Both sides ended, as it should be.
    pub ended: u64,
    /// By this program, before both sides had ended: `destroy`, `destroy_with`, an abort signal.
    pub destroyed: u64,
    /// By this program, with a reset: `reset_and_destroy`.
    pub reset: u64,
    /// By the peer: `ECONNRESET`, or `EPIPE` for who wrote on.
    pub reset_by_peer: u64,
    /// `ETIMEDOUT`: the peer did not answer the kernel any more.
    pub timed_out: u64,
    /// Because a listener panicked, where that is the policy.
    pub panicked: u64,
    /// With any other error.
    pub failed: u64,
    /// The connection goes on elsewhere: `into_std`, and the like.
    pub handed_over: u64,
}

impl Closes {
    /// All of them: [`opened`](crate::Stats::opened) less this is how many are open. Not in Node.
    pub fn total(&self) -> u64 {
        let Closes { ended, destroyed, reset, reset_by_peer, timed_out, panicked, failed, handed_over } = *self;
        ended + destroyed + reset + reset_by_peer + timed_out + panicked + failed + handed_over
    }
}

/// The sums of a loop's life.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepts: u64,
    pub(crate) accept_errors: AcceptErrors,
    pub(crate) shed: u64,
    pub(crate) dropped: u64,
    pub(crate) blocked: u64,
    pub(crate) closes: Closes,
    pub(crate) failed_connects: u64,
    pub(crate) short_writes: u64,
    pub(crate) blocked_reads: u64,
    pub(crate) blocked_writes: u64,
    pub(crate) timers: u64,
    pub(crate) idle_timeouts: u64,
    /// Of the connections that are over.
    traffic: Traffic,
    /// What was offered to the kernel, and counted as given, and then failed.
    unsent: u64,
}

/// What went through connections, and how many they were.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) connections: u64,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
}

impl Traffic {
    fn add(&mut self, connection: &Connection) {
        self.connections += 1;
        self.bytes_read += connection.bytes_read;
        self.bytes_written += connection.bytes_dispatched.saturating_sub(connection.in_flight());
    }
}

impl Counters {
    pub(super) fn accept_failed(&mut self, errno: Errno) {
        let errors = &mut self.accept_errors;
        let count = if errno == Errno::TOO_MANY_FILES || errno == Errno::TOO_MANY_FILES_IN_SYSTEM {
            &mut errors.descriptors_exhausted
        } else if errno == Errno::CONNECTION_ABORTED {
            &mut errors.aborted
        } else if errno == Errno::NO_BUFFER_SPACE || errno == Errno::NO_MEMORY {
            &mut errors.out_of_memory
        } else {
            &mut errors.other
        };
        *count += 1;
    }

    /// A write that did not go out whole: `sent` of it did.
    pub(super) fn written_in_part(&mut self, sent: usize) {
        if sent == 0 {
            self.blocked_writes += 1;
        } else {
            self.short_writes += 1;
        }
    }

    /// A write failed: `length` of what counts as given to the kernel was not taken.
    pub(super) fn failed_to_send(&mut self, length: usize) {
        self.unsent += length as u64;
    }

    /// A write failed, and what of it was sent counts as not given to the kernel.
    pub(super) fn sent_and_not_counted(&mut self, length: usize) {
        self.traffic.bytes_written += length as u64;
    }

    /// A connection is over that has been open.
    fn closed(&mut self, connection: &Connection, error: Option<&Error>) {
        self.traffic.add(connection);
        let closes = &mut self.closes;
        let count = match error {
            None if connection.reset() => &mut closes.reset,
            None if connection.has_ended() => &mut closes.ended,
            None => &mut closes.destroyed,
            // Those of ours have a code.
            Some(error) if error.is_foreign() || error.code().is_none() => &mut closes.destroyed,
            Some(error) => match error.code() {
                Some("ECONNRESET" | "EPIPE") => &mut closes.reset_by_peer,
                Some("ETIMEDOUT") => &mut closes.timed_out,
                Some("ABORT_ERR") => &mut closes.destroyed,
                Some("ERR_LISTENER_PANICKED") => &mut closes.panicked,
                Some(_) | None => &mut closes.failed,
            },
        };
        *count += 1;
    }
}

impl Reactor {
    /// What was counted, with the traffic of all connections that have been open: `connections` is how many they were.
    /// It looks at every slot.
    pub(crate) fn counters(&self) -> (Counters, Traffic) {
        let counters = self.counters;
        let mut traffic = counters.traffic;
        for connection in self.connections.iter().filter(|connection| connection.open_stream().is_some()) {
            traffic.add(connection);
        }
        traffic.bytes_written = traffic.bytes_written.saturating_sub(counters.unsent);
        (counters, traffic)
    }

    /// A socket is about to be destroyed: if it is connected, that ends a connection.
    pub(super) fn count_close(&mut self, socket: Handle, error: Option<&Error>) {
        let connection = &self.connections[socket.index()];
        // A connection that was refused is open for a moment.
        let refused = error.is_some_and(|error| error.syscall() == Some("connect"));
        match &connection.link {
            Link::Open { .. } if !refused => self.counters.closed(connection, error),
            Link::Open { .. } => self.counters.failed_connects += 1,
            Link::Connecting | Link::ConnectingPath if error.is_some() => self.counters.failed_connects += 1,
            Link::Detached | Link::Connecting | Link::ConnectingPath => {}
        }
    }

    /// A connection goes on elsewhere.
    pub(super) fn count_hand_over(&mut self, socket: Handle) {
        self.counters.traffic.add(&self.connections[socket.index()]);
        self.counters.closes.handed_over += 1;
    }
}

impl Connection {
    /// What was given to the kernel according to the count, and waits.
    fn in_flight(&self) -> u64 {
        let current = self.queue().and_then(|queue| queue.current.as_ref());
        let in_flight = current.filter(|current| current.state == CurrentState::InFlight);
        in_flight.map_or(0, |current| current.remaining as u64)
    }

    /// Both sides are over.
    fn has_ended(&self) -> bool {
        let read = match self.read.phase {
            ReadPhase::Open => false,
            ReadPhase::Ended | ReadPhase::EndEmitted => true,
        };
        read && self.write.finished()
    }
}
