//! The events: their names, and what their listeners are given.
//!
//! This module touches nothing. Node's names, one for one.

use std::net::IpAddr;

use crate::error::Error;
use crate::event_loop::handles::{Server, Socket};
use crate::reactor::admission::Ends;
use crate::reactor::target::Target;
use crate::reactor::ticks::PlainEvent;
use crate::sys::Family;

/// The events of a [`Socket`], for [`Socket::listener_count`] and [`Socket::remove_all_listeners`].
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum SocketEvent {
    /// Node's `'connectionAttempt'`.
    ConnectionAttempt,
    /// Node's `'connectionAttemptFailed'`.
    ConnectionAttemptFailed,
    /// Node's `'connect'`.
    Connect,
    /// Node's `'ready'`.
    Ready,
    /// Node's `'data'`.
    Data,
    /// Node's `'end'`.
    End,
    /// Node's `'finish'`.
    Finish,
    /// Node's `'drain'`.
    Drain,
    /// Node's `'timeout'`.
    Timeout,
    /// Node's `'error'`.
    Error,
    /// Node's `'close'`.
    Close,
}

/// The events of a [`Server`], for [`Server::listener_count`] and [`Server::remove_all_listeners`].
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ServerEvent {
    /// Node's `'listening'`.
    Listening,
    /// Node's `'connection'`.
    Connection,
    /// Node's `'error'`.
    Error,
    /// Node's `'close'`.
    Close,
    /// Node's `'drop'`.
    Drop,
}

/// Either of them, as the listener tables know them.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Socket(SocketEvent),
    Server(ServerEvent),
}

impl From<PlainEvent> for SocketEvent {
    fn from(event: PlainEvent) -> SocketEvent {
        match event {
            PlainEvent::Connect => SocketEvent::Connect,
            PlainEvent::Ready => SocketEvent::Ready,
            PlainEvent::End => SocketEvent::End,
            PlainEvent::Finish => SocketEvent::Finish,
            PlainEvent::Drain => SocketEvent::Drain,
            PlainEvent::Timeout => SocketEvent::Timeout,
        }
    }
}

/// What the listeners of one emission are given.
#[derive(Copy, Clone)]
pub(crate) enum Arguments<'a> {
    Socket(Socket),
    Data(Socket, &'a [u8]),
    Error(Socket, &'a Error),
    Close(Socket, bool),
    Attempt(Socket, &'a ConnectionAttempt),
    AttemptFailed(Socket, &'a ConnectionAttempt, &'a Error),
    Server(Server),
    Connection(Server, Socket),
    ServerError(Server, &'a Error),
    Dropped(Server, &'a DroppedConnection),
}

/// One attempt to connect: what Node passes to `'connectionAttempt'` and `'connectionAttemptFailed'` as `ip`, `port` and
/// `family`.
#[derive(Clone, Debug)]
pub struct ConnectionAttempt {
    target: Box<Target>,
}

impl ConnectionAttempt {
    pub(crate) fn new(target: Box<Target>) -> ConnectionAttempt {
        ConnectionAttempt { target }
    }

    /// The address that is tried, as text.
    pub fn address(&self) -> &str {
        &self.target.text
    }

    /// The port that is tried.
    pub fn port(&self) -> Option<u16> {
        Some(self.target.address.port())
    }

    /// The family of the address.
    pub fn family(&self) -> Option<Family> {
        Some(self.target.family())
    }
}

/// A connection that a server turned away: what Node passes to `'drop'`. All of it is `None` where Node passes nothing (a
/// unix socket), and what a peer that is gone already makes unknown.
#[derive(Clone, Debug)]
pub struct DroppedConnection {
    ends: Box<Ends>,
}

impl DroppedConnection {
    pub(crate) fn new(ends: Box<Ends>) -> DroppedConnection {
        DroppedConnection { ends }
    }

    /// The address of this end. Mirrors `data.localAddress`.
    pub fn local_address(&self) -> Option<IpAddr> {
        self.ends.local.map(|address| address.ip())
    }

    /// The port of this end. Mirrors `data.localPort`.
    pub fn local_port(&self) -> Option<u16> {
        self.ends.local.map(|address| address.port())
    }

    /// The family of this end's address. Mirrors `data.localFamily`.
    pub fn local_family(&self) -> Option<Family> {
        self.ends.local.as_ref().map(Family::of)
    }

    /// The peer's address. Mirrors `data.remoteAddress`.
    pub fn remote_address(&self) -> Option<IpAddr> {
        self.ends.remote.map(|address| address.ip())
    }

    /// The peer's port. Mirrors `data.remotePort`.
    pub fn remote_port(&self) -> Option<u16> {
        self.ends.remote.map(|address| address.port())
    }

    /// The family of the peer's address. Mirrors `data.remoteFamily`.
    pub fn remote_family(&self) -> Option<Family> {
        self.ends.remote.as_ref().map(Family::of)
    }
}

/// Whose `error` nobody listens for: see [`EventLoop::on_unhandled_error`](crate::EventLoop::on_unhandled_error).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorSource {
    /// A socket; its `close` follows.
    Socket(Socket),
    /// A server, which did not get to listen.
    Server(Server),
}

/// What to do about an `error` that nobody listens for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Unhandled {
    /// Go on as if there had been a listener.
    Continue,
    /// Make [`EventLoop::run`](crate::EventLoop::run) return it: the default.
    Return,
}
