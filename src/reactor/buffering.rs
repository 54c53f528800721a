//! How much output may wait: the cap of one socket and that of the loop, and what is done with a write beyond them.
//!
//! What waits is Node's `writableLength`, the whole length of every write that the kernel does not have whole; corked writes
//! and those that wait for a connection are among them. A write is looked at before the kernel is tried, because one that was
//! taken in part could not be refused any more: it fits if it may wait whole.
//!
//! This module touches nothing outside the reactor. Invariants: the loop's count is the sum of the queues' lengths; what
//! waits never exceeds a cap, unless the cap was lowered under it.

use crate::error::Error;
use crate::reactor::bounds::Bounds;
use crate::reactor::connection::Link;
use crate::reactor::ticks::{ConnectionTick, Emission};
use crate::reactor::{CallbackId, Handle, Reactor};

/// What becomes of a write that would let more output wait than a socket may have waiting: see
/// [`SocketOptions::max_buffered`](crate::net::SocketOptions::max_buffered). Not in Node, where any amount may wait.
///
/// ```
/// use halfclose::{EventLoop, net::BufferOverflow, net::Socket, net::SocketOptions};
///
/// let event_loop = EventLoop::new()?;
/// let socket = Socket::with_options(SocketOptions::new().max_buffered(1 << 20, BufferOverflow::Close));
/// assert_eq!(socket.max_buffered(), Some((1 << 20, BufferOverflow::Close)));
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum BufferOverflow {
    /// The write fails and the socket goes on: nothing of the write is sent, `write` returns false, its callback is given
    /// the error, and `write_refused` is emitted.
    Refuse,
    /// The socket is destroyed with the error: nothing more is sent.
    Close,
    /// The same, and the peer is reset.
    Reset,
}

/// The cap of one socket.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct MaxBuffered {
    pub(crate) bytes: usize,
    pub(crate) overflow: BufferOverflow,
}

/// The output that waits on all sockets of the loop.
pub(crate) struct Buffered {
    bytes: usize,
    most: Option<usize>,
    /// A write was refused, and what waits has not fallen to half of the cap since: nobody is accepted meanwhile.
    exceeded: bool,
    /// Why the latest write that returned false was refused: for a pipe, whose stream that breaks.
    latest_refusal: Option<Error>,
}

impl Buffered {
    pub(super) fn new(most: Option<usize>) -> Buffered {
        Buffered { bytes: 0, most, exceeded: false, latest_refusal: None }
    }

    #[inline]
    pub(super) fn more(&mut self, length: usize) {
        self.bytes += length;
    }

    #[inline]
    pub(super) fn less(&mut self, length: usize) {
        self.bytes -= length;
    }

    /// How much waits on all sockets.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A write was made, whatever it returned.
    pub(super) fn forget_refusal(&mut self) {
        self.latest_refusal = None;
    }

    /// How much more may wait on all sockets.
    #[inline]
    pub(super) fn room(&self) -> usize {
        self.most.map_or(usize::MAX, |most| most.saturating_sub(self.bytes))
    }

    #[inline]
    pub(super) fn is_capped(&self) -> bool {
        self.most.is_some()
    }

    /// Whether servers wait for it to fall.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded
    }
}

/// Why a write cannot be made, and what follows.
pub(super) struct Refusal {
    error: Error,
    overflow: BufferOverflow,
}

impl Reactor {
    /// `setMaxBuffered`, which Node does not have. What waits already is not touched.
    pub(crate) fn set_max_buffered(&mut self, socket: Handle, max_buffered: Option<MaxBuffered>) {
        let Some(connection) = self.live(socket) else { return };
        let bounds = Bounds { max_buffered, ..connection.bounds() };
        self.set_bounds(socket, bounds);
    }

    /// The bytes that wait on all sockets.
    pub(crate) fn buffered(&self) -> usize {
        self.buffered.bytes
    }

    /// Whether, and why, `length` bytes more may not wait on this socket.
    pub(super) fn refusal(&mut self, socket: Handle, length: usize) -> Option<Refusal> {
        let connection = &self.connections[socket.index()];
        if length == 0 {
            return None;
        }
        if let Some(MaxBuffered { bytes, overflow }) = connection.max_buffered() {
            if connection.writable_length().saturating_add(length) > bytes {
                return Some(Refusal { error: Error::socket_max_buffered(), overflow });
            }
        }
        let Buffered { bytes, most, .. } = self.buffered;
        if let Some(most) = most.filter(|&most| bytes.saturating_add(length) > most) {
            // A write that is too long by itself says nothing about what waits.
            self.buffered.exceeded |= bytes > most / 2;
            return Some(Refusal { error: Error::loop_max_buffered(), overflow: BufferOverflow::Refuse });
        }
        None
    }

    /// Refuses a write: its callback first, then the event. `drain` follows if anything waits, as behind any false.
    pub(super) fn refuse(&mut self, socket: Handle, refusal: Refusal, callback: Option<CallbackId>) -> Error {
        let Refusal { error, overflow } = refusal;
        self.complete_later(socket, callback, Some(error.clone()));
        let connection = &mut self.connections[socket.index()];
        match overflow {
            BufferOverflow::Refuse => {
                if connection.writable_length() > 0 {
                    connection.write.set_need_drain(true);
                }
                self.buffered.latest_refusal = Some(error.clone());
                self.defer(socket, ConnectionTick::WriteRefused(error.clone()));
            }
            BufferOverflow::Close => self.destroy(socket, Some(error.clone())),
            BufferOverflow::Reset => {
                if matches!(connection.link, Link::Open { .. }) {
                    connection.set_reset(true);
                }
                self.destroy(socket, Some(error.clone()));
            }
        }
        error
    }

    /// Why the latest write was refused, if it was; asked behind one that returned false.
    pub(crate) fn take_refusal(&mut self) -> Option<Error> {
        self.buffered.latest_refusal.take()
    }

    /// In its tick: that the write was refused is told, unless the socket is over meanwhile.
    pub(super) fn emit_write_refused(&mut self, socket: Handle, error: Error) {
        if self.live(socket).is_some_and(|connection| !connection.destroyed()) {
            self.ticks.then_emit(Emission::WriteRefused { socket, error });
        }
    }

    /// Bytes that waited to be written do not any more.
    pub(super) fn waits_less(&mut self, socket: Handle, length: usize) {
        self.connections[socket.index()].waits_less(length);
        self.buffered.less(length);
        self.review_buffered();
    }

    /// Once no more than half of the cap waits, servers accept again.
    #[inline]
    pub(super) fn review_buffered(&mut self) {
        let Buffered { bytes, most, exceeded, .. } = self.buffered;
        if exceeded && most.is_none_or(|most| bytes <= most / 2) {
            self.buffered.exceeded = false;
            self.review_pauses();
        }
    }
}
