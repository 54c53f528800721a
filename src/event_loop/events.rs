//! The events: their names, and what their listeners are given.
//!
//! This module touches nothing. Node's names, one for one.

use crate::error::Error;
use crate::event_loop::handles::{Server, Socket};
use crate::reactor::target::{PathTarget, Target};
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
}

/// One attempt to connect: what Node passes to `'connectionAttempt'` and `'connectionAttemptFailed'` as `ip`, `port` and
/// `family`.
#[derive(Clone, Debug)]
pub struct ConnectionAttempt {
    goal: Goal,
}

/// Where an attempt goes.
#[derive(Clone, Debug)]
enum Goal {
    Internet(Box<Target>),
    Path(Box<PathTarget>),
}

impl ConnectionAttempt {
    pub(crate) fn new(target: Box<Target>) -> ConnectionAttempt {
        ConnectionAttempt { goal: Goal::Internet(target) }
    }

    pub(crate) fn at_path(target: Box<PathTarget>) -> ConnectionAttempt {
        ConnectionAttempt { goal: Goal::Path(target) }
    }

    /// The address that is tried, as text; of a unix socket the path.
    pub fn address(&self) -> &str {
        match &self.goal {
            Goal::Internet(target) => &target.text,
            Goal::Path(target) => &target.text,
        }
    }

    /// The port that is tried; `None` for a unix socket.
    pub fn port(&self) -> Option<u16> {
        match &self.goal {
            Goal::Internet(target) => Some(target.address.port()),
            Goal::Path(_) => None,
        }
    }

    /// The family of the address; `None` for a unix socket.
    pub fn family(&self) -> Option<Family> {
        match &self.goal {
            Goal::Internet(target) => Some(target.family()),
            Goal::Path(_) => None,
        }
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
