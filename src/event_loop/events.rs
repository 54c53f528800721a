//! The events: their names, and what their listeners are given.
//!
//! This module touches nothing. Node's names, one for one.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::error::Error;
use crate::event_loop::handles::{Server, Socket};
use crate::reactor::admission::Ends;
use crate::reactor::selecting::address_text;
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
    /// Node's `'readable'`.
    Readable,
    /// Node's `'pause'`.
    Pause,
    /// Node's `'resume'`.
    Resume,
    /// Node's `'pipe'`.
    Pipe,
    /// Node's `'unpipe'`.
    Unpipe,
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
            PlainEvent::Readable => SocketEvent::Readable,
            PlainEvent::Pause => SocketEvent::Pause,
            PlainEvent::Resume => SocketEvent::Resume,
        }
    }
}

/// What the listeners of one emission are given.
#[derive(Copy, Clone)]
pub(crate) enum Arguments<'a> {
    Socket(Socket),
    /// The text is there when some listener wants it and these bytes complete any.
    Data(Socket, &'a [u8], Option<&'a str>),
    Error(Socket, &'a Error),
    Close(Socket, bool),
    Attempt(Socket, &'a ConnectionAttempt),
    AttemptFailed(Socket, &'a ConnectionAttempt, &'a Error),
    Server(Server),
    Connection(Server, Socket),
    ServerError(Server, &'a Error),
    /// The destination, then the source.
    Pipe(Socket, Socket),
    Lookup(Socket, &'a Lookup),
    Dropped(Server, &'a DroppedConnection),
}

/// The same, kept for a listener that is running: it is called again as soon as it returns.
pub(crate) enum OwnedArguments {
    Socket(Socket),
    Data(Socket, Box<[u8]>, Option<Box<str>>),
    Error(Socket, Error),
    Close(Socket, bool),
    Attempt(Socket, ConnectionAttempt),
    AttemptFailed(Socket, ConnectionAttempt, Error),
    Server(Server),
    Connection(Server, Socket),
    ServerError(Server, Error),
    Pipe(Socket, Socket),
    Lookup(Socket, Lookup),
    Dropped(Server, DroppedConnection),
}

impl Arguments<'_> {
    pub(crate) fn keep(self) -> OwnedArguments {
        match self {
            Arguments::Socket(socket) => OwnedArguments::Socket(socket),
            Arguments::Data(socket, bytes, text) => OwnedArguments::Data(socket, bytes.into(), text.map(Box::from)),
            Arguments::Error(socket, error) => OwnedArguments::Error(socket, error.clone()),
            Arguments::Close(socket, had_error) => OwnedArguments::Close(socket, had_error),
            Arguments::Attempt(socket, attempt) => OwnedArguments::Attempt(socket, attempt.clone()),
            Arguments::AttemptFailed(socket, attempt, error) => {
                OwnedArguments::AttemptFailed(socket, attempt.clone(), error.clone())
            }
            Arguments::Server(server) => OwnedArguments::Server(server),
            Arguments::Connection(server, socket) => OwnedArguments::Connection(server, socket),
            Arguments::ServerError(server, error) => OwnedArguments::ServerError(server, error.clone()),
            Arguments::Pipe(destination, source) => OwnedArguments::Pipe(destination, source),
            Arguments::Lookup(socket, lookup) => OwnedArguments::Lookup(socket, lookup.clone()),
            Arguments::Dropped(server, dropped) => OwnedArguments::Dropped(server, dropped.clone()),
        }
    }
}

impl OwnedArguments {
    pub(crate) fn lend(&self) -> Arguments<'_> {
        match self {
            OwnedArguments::Socket(socket) => Arguments::Socket(*socket),
            OwnedArguments::Data(socket, bytes, text) => Arguments::Data(*socket, bytes, text.as_deref()),
            OwnedArguments::Error(socket, error) => Arguments::Error(*socket, error),
            OwnedArguments::Close(socket, had_error) => Arguments::Close(*socket, *had_error),
            OwnedArguments::Attempt(socket, attempt) => Arguments::Attempt(*socket, attempt),
            OwnedArguments::AttemptFailed(socket, attempt, error) => Arguments::AttemptFailed(*socket, attempt, error),
            OwnedArguments::Server(server) => Arguments::Server(*server),
            OwnedArguments::Connection(server, socket) => Arguments::Connection(*server, *socket),
            OwnedArguments::ServerError(server, error) => Arguments::ServerError(*server, error),
            OwnedArguments::Pipe(destination, source) => Arguments::Pipe(*destination, *source),
            OwnedArguments::Lookup(socket, lookup) => Arguments::Lookup(*socket, lookup),
            OwnedArguments::Dropped(server, dropped) => Arguments::Dropped(*server, dropped),
        }
    }
}

/// One attempt to connect: what Node passes to `'connectionAttempt'`, `'connectionAttemptFailed'` and
/// `'connectionAttemptTimeout'` as `ip`, `port` and `family`.
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
