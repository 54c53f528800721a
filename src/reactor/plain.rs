//! The usual way of a read and of a write, each in one piece.
//!
//! Nearly all input goes straight to one `data` listener and is all that one read finds; nearly all output is taken whole by
//! the kernel. These are the state machines of `reading`, `serving` and `writing` with everything left out that such a read
//! or write does not need; what turns out not to be usual goes on there. Which connections are in the state for it,
//! [`super::connections`] remembers.
//!
//! This module touches `sys::Stream` for the two calls. Invariant: a connection that was read or written this way is as the
//! long way would have left it.

use std::io;

use crate::reactor::bytes::Outgoing;
use crate::reactor::connection::{Connection, Flow, Link, WritePhase};
use crate::reactor::handle::Token;
use crate::reactor::serving::Served;
use crate::reactor::text_decoder::Encoding;
use crate::reactor::{Handle, Reactor};
use crate::sys::{Readiness, Time};

/// How far the short way of a read led.
pub(crate) enum ReadPlainly {
    /// These bytes lie in the loop's buffer, and nothing else is to be done if nobody has hold of the connection meanwhile.
    Bytes { socket: Handle, count: usize },
    /// It was tried, and came to this.
    Otherwise(Served),
    /// It was not tried.
    Not,
    /// There is nothing to read, and nothing else to be done.
    Done,
    /// What is next is not where it was looked for.
    Elsewhere,
    /// Nothing is ready any more.
    Nothing,
}

/// How far the short way of a write led.
pub(crate) enum Plainly {
    /// The kernel has everything, or the write was joined to the one before it, and nothing else is to be done.
    Whole,
    /// It was tried, and what it said is to be looked at.
    Otherwise(io::Result<usize>),
    /// It was not tried.
    Not,
}

/// Reading.
impl Reactor {
    /// The usual case, in one piece: input for a connection that flows, which one read empties, while nothing waits to be
    /// written. Then nothing else is to be done for this token, whatever its listener does. It is looked for in what waited
    /// for this phase, or in what the kernel said just now.
    // Always: it has one caller, and a call of its own would cost as much as a tenth of the delivery.
    #[inline(always)]
    pub(crate) fn serve_plainly<const WAITED: bool>(&mut self, buffer: &mut [u8]) -> ReadPlainly {
        const OVER: Readiness = Readiness::READ_CLOSED.and(Readiness::HANG_UP);
        if self.has_waiting() != WAITED {
            return ReadPlainly::Elsewhere;
        }
        let Some(event) = self.current_event() else { return ReadPlainly::Nothing };
        if self.serving.has_begun() {
            return ReadPlainly::Not;
        }
        let Some(connection) = self.connections.plain_reader(event.token) else { return ReadPlainly::Not };
        let readiness = connection.announced.readiness.and(event.readiness);
        if WAITED {
            connection.announced.queued = false;
        }
        if !readiness.has(Readiness::READABLE) || readiness.has(OVER) {
            if readiness.has(Readiness::READABLE.and(OVER)) {
                return ReadPlainly::Not;
            }
            // It may be written to, and nothing waits for that. A unix socket says so whenever its peer reads.
            connection.announced.readiness = readiness;
            self.advance_where::<WAITED>();
            return ReadPlainly::Done;
        }
        let Some(stream) = connection.open_stream() else { return ReadPlainly::Not };
        let socket = connection.handle;
        match stream.read_short(buffer) {
            Ok(count) => {
                connection.announced.readiness = readiness.without(Readiness::READABLE);
                connection.last_activity = self.now;
                connection.bytes_read += count as u64;
                connection.read.set_reading(true);
                connection.read.set_need_readable(true);
                connection.read.set_did_read(true);
                self.advance_where::<WAITED>();
                ReadPlainly::Bytes { socket, count }
            }
            Err(outcome) => {
                connection.announced.readiness = readiness;
                ReadPlainly::Otherwise(self.served_otherwise(socket, outcome, buffer))
            }
        }
    }

    /// What the first read came to where it is not the usual case.
    #[cold]
    fn served_otherwise(&mut self, socket: Handle, outcome: io::Result<usize>, buffer: &[u8]) -> Served {
        self.serving.spend_first_read();
        let received = self.received(socket, outcome, buffer);
        self.note(socket, received, buffer.len());
        Served::by_read(socket, received)
    }
}

/// Writing.
impl Reactor {
    /// The usual case, in one piece: nothing waits, and the kernel takes it all.
    #[inline]
    pub(crate) fn write_plainly(&mut self, socket: Handle, bytes: &[u8]) -> Plainly {
        let Some(connection) = self.connections.plain_writer(socket) else {
            return self.write_less_plainly(socket, bytes);
        };
        connection.write_whole(bytes, self.now)
    }

    /// The same where there is a cap for what waits, and the write is within it; or it joins one that waits.
    // Never inlined: the usual write would pay for it.
    #[inline(never)]
    fn write_less_plainly(&mut self, socket: Handle, bytes: &[u8]) -> Plainly {
        let room = self.buffered.room();
        let Some(connection) = self.connections.capped_writer(socket) else { return self.join_plainly(socket, bytes) };
        // Nothing waits on this socket.
        let own_room = connection.max_buffered().map_or(usize::MAX, |cap| cap.bytes);
        if bytes.len() > room.min(own_room) {
            return Plainly::Not;
        }
        connection.write_whole(bytes, self.now)
    }

    /// The kernel did not take it all, or said no.
    #[cold]
    pub(crate) fn written_otherwise<C: Outgoing>(
        &mut self,
        socket: Handle,
        chunk: &mut Option<C>,
        outcome: io::Result<usize>,
    ) -> bool {
        let length = chunk.as_ref().map_or(0, |chunk| chunk.as_slice().len());
        let is_text = chunk.as_ref().is_some_and(Outgoing::is_text);
        self.sent(socket, chunk, length, None, is_text, outcome);
        self.wants_more(socket)
    }
}

impl Connection {
    /// Whether input that `token` announces goes straight to one place: a `data` listener of a socket that flows, with
    /// nothing buffered, nothing decoded, no idle timeout that expired and nothing waiting to be written; and a short read must
    /// be known to empty it.
    pub(super) fn reads_plainly(&self, token: u64) -> bool {
        let read = &self.read;
        let plain = read.receiving()
            && read.flow == Flow::Flowing
            && read.data_listening()
            && !read.own_buffer()
            && !self.idle_expired()
            && self.readable_length() == 0
            && self.readable_high_water_mark() > 0
            && self.encoding().is_none()
            && self.queue().is_none();
        match &self.link {
            Link::Open { stream } => {
                plain
                    && stream.tells_when_emptied()
                    && self.descriptor().is_some_and(|descriptor| Token::matches(token, descriptor))
            }
            Link::Detached | Link::Connecting | Link::ConnectingPath => false,
        }
    }

    /// Whether a write goes to the kernel without a look at its length.
    pub(super) fn writes_plainly(&self) -> bool {
        self.is_ready_to_write() && self.max_buffered().is_none()
    }

    /// One attempt to give the kernel all of it.
    #[inline(always)]
    fn write_whole(&mut self, bytes: &[u8], now: Time) -> Plainly {
        let Link::Open { stream } = &self.link else { return Plainly::Not };
        // Before the call, so that it need not be kept through it.
        self.last_activity = now;
        let outcome = stream.write_whole(bytes);
        self.bytes_dispatched += bytes.len() as u64;
        match outcome {
            Ok(()) => Plainly::Whole,
            Err(outcome) => Plainly::Otherwise(outcome),
        }
    }

    /// Whether a write may go to the kernel at once and nothing follows from its success: it is open, nothing waits or is
    /// held back, no `drain` is owed, no idle timeout expired, and text is sent as it is.
    pub(super) fn is_ready_to_write(&self) -> bool {
        let write = &self.write;
        matches!(self.link, Link::Open { .. })
            && write.phase == WritePhase::Open
            && self.queue().is_none()
            && !write.batches()
            && !write.need_drain()
            && self.settings().default_encoding == Encoding::Utf8
            && !self.idle_expired()
            && !self.destroyed()
            && self.errored().is_none()
    }
}
