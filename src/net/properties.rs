//! What can be asked of a [`Socket`]: Node's properties, but for the addresses.
//!
//! It may touch the event loop's commands. A stale handle answers like a closed socket.

use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::event_loop::{Connection, current};
use crate::net::{Server, Socket};

/// Node's `socket.readyState`.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum ReadyState {
    /// Connecting.
    Opening,
    /// Readable and writable; also a socket that was never connected.
    Open,
    /// This side is ended.
    ReadOnly,
    /// The peer's side is ended.
    WriteOnly,
    /// Both are, or the socket is destroyed.
    Closed,
}

impl ReadyState {
    /// Node's text: `opening`, `open`, `readOnly`, `writeOnly`, `closed`.
    pub fn as_str(self) -> &'static str {
        match self {
            ReadyState::Opening => "opening",
            ReadyState::Open => "open",
            ReadyState::ReadOnly => "readOnly",
            ReadyState::WriteOnly => "writeOnly",
            ReadyState::Closed => "closed",
        }
    }
}

impl fmt::Display for ReadyState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Properties.
impl Socket {
    /// From `connect()` until it succeeds, fails or is destroyed. Mirrors `socket.connecting`.
    pub fn connecting(self) -> bool {
        self.ask(false, |connection| connection.is_connecting())
    }

    /// Not connected: never, not yet, or no longer. Mirrors `socket.pending`.
    pub fn pending(self) -> bool {
        self.ask(true, |connection| connection.is_pending())
    }

    /// Destroyed, by whomever. Mirrors `socket.destroyed`. True on a stale handle.
    pub fn destroyed(self) -> bool {
        self.ask(true, |connection| connection.is_destroyed())
    }

    /// As in Node, the same as [`destroyed`](Socket::destroyed): true before the `close` event. Mirrors `socket.closed`.
    pub fn closed(self) -> bool {
        self.destroyed()
    }

    /// Whether `data` and `end` may still come. Mirrors `socket.readable`.
    pub fn readable(self) -> bool {
        self.ask(false, |connection| connection.is_readable())
    }

    /// Whether it may be written to: not ended, not destroyed, not failed; true while connecting. Mirrors
    /// `socket.writable`.
    pub fn writable(self) -> bool {
        self.ask(false, |connection| connection.is_writable())
    }

    /// Whether `end` was emitted. Mirrors `socket.readableEnded`.
    pub fn readable_ended(self) -> bool {
        self.ask(false, |connection| connection.readable_ended())
    }

    /// Whether this side was ended, by `end()` or because the peer ended. Mirrors `socket.writableEnded`.
    pub fn writable_ended(self) -> bool {
        self.ask(false, |connection| connection.writable_ended())
    }

    /// Whether `finish` was emitted. Mirrors `socket.writableFinished`.
    pub fn writable_finished(self) -> bool {
        self.ask(false, |connection| connection.writable_finished())
    }

    /// Whether a `write` returned false and `drain` will come. Mirrors `socket.writableNeedDrain`.
    pub fn writable_need_drain(self) -> bool {
        self.ask(false, |connection| connection.writable_need_drain())
    }

    /// How many corks are in. Mirrors `socket.writableCorked`.
    pub fn writable_corked(self) -> u32 {
        self.ask(0, |connection| connection.writable_corked())
    }

    /// Whether data was delivered or read. Mirrors `socket.readableDidRead`.
    pub fn readable_did_read(self) -> bool {
        self.ask(false, |connection| connection.readable_did_read())
    }

    /// Whether it was destroyed or failed before `end`. Mirrors `socket.readableAborted`.
    pub fn readable_aborted(self) -> bool {
        self.ask(true, |connection| connection.readable_aborted())
    }

    /// Whether `pause()` was the last word. Mirrors `socket.isPaused()`.
    pub fn is_paused(self) -> bool {
        self.ask(false, |connection| connection.is_paused())
    }

    /// `None` before anybody asked for data, then whether it flows. Mirrors `socket.readableFlowing`.
    pub fn readable_flowing(self) -> Option<bool> {
        self.ask(None, |connection| connection.flowing())
    }

    /// Whether it may write on after its peer ended. Mirrors `socket.allowHalfOpen`.
    pub fn allow_half_open(self) -> bool {
        self.ask(false, |connection| connection.allow_half_open())
    }

    /// Sets [`allow_half_open`](Socket::allow_half_open); looked at when `end` is emitted. Mirrors an assignment to
    /// `socket.allowHalfOpen`.
    pub fn set_allow_half_open(self, allow: bool) -> Socket {
        self.ask((), |connection| connection.set_allow_half_open(allow));
        self
    }

    /// Mirrors `socket.readyState`.
    pub fn ready_state(self) -> ReadyState {
        self.ask(ReadyState::Closed, |connection| {
            if connection.is_connecting() {
                return ReadyState::Opening;
            }
            match (connection.is_readable(), connection.is_writable()) {
                (true, true) => ReadyState::Open,
                (true, false) => ReadyState::ReadOnly,
                (false, true) => ReadyState::WriteOnly,
                (false, false) => ReadyState::Closed,
            }
        })
    }

    /// The error that destroyed it, or is about to. Mirrors `socket.errored`.
    pub fn errored(self) -> Option<Error> {
        self.ask(None, |connection| connection.errored().cloned())
    }

    /// Bytes taken from the kernel, delivered or not. Mirrors `socket.bytesRead`. Kept after `close` for as long as the
    /// slot lives; a new connection starts at 0.
    pub fn bytes_read(self) -> u64 {
        self.ask(0, |connection| connection.bytes_read())
    }

    /// Bytes given to `write`, sent or not. Mirrors `socket.bytesWritten`.
    pub fn bytes_written(self) -> u64 {
        self.ask(0, |connection| connection.bytes_written())
    }

    /// Bytes that wait to be sent; `None` without a connection. Mirrors the deprecated `socket.bufferSize`; use
    /// [`writable_length`](Socket::writable_length).
    pub fn buffer_size(self) -> Option<usize> {
        self.ask(None, |connection| connection.has_handle().then(|| connection.writable_length()))
    }

    /// Bytes that were read ahead and wait to be consumed. Mirrors `socket.readableLength`.
    pub fn readable_length(self) -> usize {
        self.ask(0, |connection| connection.readable_length())
    }

    /// Bytes that wait to be sent. A write that the kernel took in part counts in full until it is complete. Mirrors
    /// `socket.writableLength`.
    pub fn writable_length(self) -> usize {
        self.ask(0, |connection| connection.writable_length())
    }

    /// In bytes; default 65,536. Mirrors `socket.readableHighWaterMark`.
    pub fn readable_high_water_mark(self) -> usize {
        self.ask(0, |connection| connection.readable_high_water_mark())
    }

    /// In bytes; default 65,536. Mirrors `socket.writableHighWaterMark`.
    pub fn writable_high_water_mark(self) -> usize {
        self.ask(0, |connection| connection.writable_high_water_mark())
    }

    /// What [`set_timeout`](Socket::set_timeout) was last given; `None` before. Mirrors `socket.timeout`.
    pub fn timeout(self) -> Option<Duration> {
        self.ask(None, |connection| connection.timeout())
    }

    /// The server that accepted it; `None` for a client. Mirrors `socket.server`.
    pub fn server(self) -> Option<Server> {
        self.ask(None, |connection| connection.server()).map(Server::from_handle)
    }

    /// Node's own mark, which `removeAllListeners` leaves standing.
    pub(super) fn listens_to_data(self) -> bool {
        self.ask(false, |connection| connection.listens_to_data())
    }

    /// Asks the connection, or answers as a stale handle does.
    pub(super) fn ask<R>(self, stale: R, question: impl FnOnce(&mut Connection) -> R) -> R {
        current::with(|core| core.reactor.live(self.handle).map(question)).flatten().unwrap_or(stale)
    }
}
