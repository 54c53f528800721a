//! The events: their names, and what their listeners are given.
//!
//! This module touches nothing. Node's names, one for one.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::error::Error;
use crate::event_loop::handles::{Server, Socket};
use crate::reactor::selecting::address_text;
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
    /// Node's `'lookup'`.
    Lookup,
    /// Node's `'connectionAttemptTimeout'`.
    ConnectionAttemptTimeout,
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
    Lookup(Socket, &'a Lookup),
}

/// One attempt to connect: what Node passes to `'connectionAttempt'`, `'connectionAttemptFailed'` and
/// `'connectionAttemptTimeout'` as `ip`, `port` and `family`.
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

/// What a lookup found, or why it failed: what Node passes to `'lookup'` as `err`, `address`, `family` and `host`.
#[derive(Clone, Debug)]
pub struct Lookup {
    host: Arc<str>,
    answer: Result<(String, Family), Error>,
}

impl Lookup {
    pub(crate) fn new(host: Arc<str>, answer: Result<SocketAddr, Error>) -> Lookup {
        Lookup { host, answer: answer.map(|address| (address_text(&address), Family::of(&address))) }
    }

    /// The name that was looked up.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// One of its addresses, as text; `None` when the lookup failed.
    pub fn address(&self) -> Option<&str> {
        self.answer.as_ref().ok().map(|(address, _)| address.as_str())
    }

    /// The family of the address; `None` when the lookup failed.
    pub fn family(&self) -> Option<Family> {
        self.answer.as_ref().ok().map(|(_, family)| *family)
    }

    /// Why it failed.
    pub fn error(&self) -> Option<&Error> {
        self.answer.as_ref().err()
    }
}

/// Whose `error` nobody listens for: see [`EventLoop::on_unhandled_error`](crate::EventLoop::on_unhandled_error).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorSource {
    /// A socket; its `close` follows.
    Socket(Socket),
    /// A server, which did not get to listen, or failed to accept.
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
