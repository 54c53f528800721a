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
use crate::sys::Transport;

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
    /// written. Then nothing else is to be done for this token, whatever its listener does.
    #[inline]
    pub(super) fn serve_plainly(&mut self, token: u64, buffer: &mut [u8]) -> Served {
        let now = self.now;
        let Some(connection) = self.connections.plain_reader(token) else { return Served::Nothing };
        let readiness = &mut connection.readiness;
        if !readiness.readable || readiness.read_closed || readiness.hang_up {
            return Served::Nothing;
        }
        readiness.queued = false;
        let Some(stream) = connection.open_stream() else { return Served::Nothing };
        let socket = Handle::new(Token::index(token), connection.generation);
        match stream.read(buffer) {
            Ok(count) if count > 0 && count < buffer.len() => {
                connection.readiness.readable = false;
                connection.idle.last_activity = now;
                connection.bytes_read += count as u64;
                connection.read.reading = true;
                connection.read.need_readable = true;
                connection.read.did_read = true;
                self.ready.advance();
                Served::Data { socket, count }
            }
            outcome => self.served_otherwise(socket, outcome, buffer),
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
        let now = self.now;
        let Some(connection) = self.connections.plain_writer(socket) else { return self.join_plainly(socket, bytes) };
        let Some(stream) = connection.open_stream() else { return Plainly::Not };
        let outcome = stream.write(bytes);
        connection.bytes_dispatched += bytes.len() as u64;
        connection.idle.last_activity = now;
        match outcome {
            Ok(count) if count == bytes.len() => Plainly::Whole,
            outcome => Plainly::Otherwise(outcome),
        }
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
        self.connections[socket.index()].write.length += length;
        let is_text = chunk.as_ref().is_some_and(Outgoing::is_text);
        self.sent(socket, chunk, length, None, is_text, outcome);
        self.wants_more(socket)
    }
}

impl Connection {
    /// Whether input that `token` announces goes straight to one place: a `data` listener of a socket that flows, with
    /// nothing buffered, nothing decoded, no idle timeout that expired and nothing waiting to be written. TCP only, because
    /// a short read of a unix socket may have stopped behind bytes that came with descriptors.
    pub(super) fn reads_plainly(&self, token: u64) -> bool {
        let read = &self.read;
        let plain = read.receiving
            && read.flow == Flow::Flowing
            && read.data_listening
            && read.length == 0
            && read.high_water_mark > 0
            && !read.own_buffer
            && read.decoder.is_none()
            && !self.idle.expired
            && self.write.queue.is_none();
        match &self.link {
            Link::Open { stream, descriptor } => {
                plain && Token::matches(token, *descriptor) && stream.transport() == Transport::Tcp
            }
            Link::Detached | Link::Connecting { .. } | Link::ConnectingPath { .. } => false,
        }
    }

    /// Whether a write may go to the kernel at once and nothing follows from its success: it is open, nothing waits or is
    /// held back, no `drain` is owed, no idle timeout expired, and text is sent as it is.
    pub(super) fn writes_plainly(&self) -> bool {
        let write = &self.write;
        matches!(self.link, Link::Open { .. })
            && write.phase == WritePhase::Open
            && write.queue.is_none()
            && write.corked == 0
            && !write.batches
            && !write.need_drain
            && write.default_encoding == Encoding::Utf8
            && !self.idle.expired
            && !self.destroyed
            && self.errored.is_none()
    }
}
