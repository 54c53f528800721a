//! The events: their names, and what their listeners are given.
//!
//! This module touches nothing. Node's names, one for one.

use crate::error::Error;
pub use crate::event_loop::event_details::{ConnectionAttempt, DroppedConnection, Lookup};
use crate::event_loop::handles::{Server, Socket};
use crate::reactor::admission::PauseReason;
use crate::reactor::ticks::PlainEvent;

/// The events of a [`Socket`], for [`Socket::listener_count`] and [`Socket::remove_all_listeners`]. Node names them by
/// text.
///
/// ```
/// use halfclose::{EventLoop, net::Socket, net::SocketEvent};
///
/// let event_loop = EventLoop::new()?;
/// let socket = Socket::new();
/// socket.on_end(|_| {});
/// assert_eq!(socket.listener_count(SocketEvent::End), 1);
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum SocketEvent {
    /// An address is about to be tried. Mirrors [`'connectionAttempt'`].
    ///
    /// [`'connectionAttempt'`]: https://nodejs.org/api/net.html#event-connectionattempt
    ConnectionAttempt,
    /// An address was tried in vain. Mirrors [`'connectionAttemptFailed'`].
    ///
    /// [`'connectionAttemptFailed'`]: https://nodejs.org/api/net.html#event-connectionattemptfailed
    ConnectionAttemptFailed,
    /// The connection is established. Mirrors [`'connect'`].
    ///
    /// [`'connect'`]: https://nodejs.org/api/net.html#event-connect
    Connect,
    /// Right after `connect`. Mirrors [`'ready'`].
    ///
    /// [`'ready'`]: https://nodejs.org/api/net.html#event-ready
    Ready,
    /// Bytes, or text, have come. Mirrors [`'data'`].
    ///
    /// [`'data'`]: https://nodejs.org/api/net.html#event-data
    Data,
    /// The peer has ended its side, and everything was consumed. Mirrors [`'end'`].
    ///
    /// [`'end'`]: https://nodejs.org/api/net.html#event-end
    End,
    /// Everything was sent, the FIN included. Mirrors [`'finish'`].
    ///
    /// [`'finish'`]: https://nodejs.org/api/stream.html#event-finish
    Finish,
    /// The write queue is empty again. Mirrors [`'drain'`].
    ///
    /// [`'drain'`]: https://nodejs.org/api/net.html#event-drain
    Drain,
    /// The connection was idle for the time that was set. Mirrors [`'timeout'`].
    ///
    /// [`'timeout'`]: https://nodejs.org/api/net.html#event-timeout
    Timeout,
    /// The connection failed. Mirrors [`'error'`].
    ///
    /// [`'error'`]: https://nodejs.org/api/net.html#event-error_1
    Error,
    /// The connection is over: the last event. Mirrors [`'close'`].
    ///
    /// [`'close'`]: https://nodejs.org/api/net.html#event-close_1
    Close,
    /// There is something to read, or the end. Mirrors [`'readable'`].
    ///
    /// [`'readable'`]: https://nodejs.org/api/stream.html#event-readable
    Readable,
    /// The flow stops. Mirrors [`'pause'`].
    ///
    /// [`'pause'`]: https://nodejs.org/api/stream.html#event-pause
    Pause,
    /// The flow begins. Mirrors [`'resume'`].
    ///
    /// [`'resume'`]: https://nodejs.org/api/stream.html#event-resume
    Resume,
    /// A socket is piped into this one. Mirrors [`'pipe'`].
    ///
    /// [`'pipe'`]: https://nodejs.org/api/stream.html#event-pipe
    Pipe,
    /// A socket is no longer piped into this one. Mirrors [`'unpipe'`].
    ///
    /// [`'unpipe'`]: https://nodejs.org/api/stream.html#event-unpipe
    Unpipe,
    /// A name was looked up, or could not be. Mirrors [`'lookup'`].
    ///
    /// [`'lookup'`]: https://nodejs.org/api/net.html#event-lookup
    Lookup,
    /// The time of an address is over, and the next one is tried. Mirrors [`'connectionAttemptTimeout'`].
    ///
    /// [`'connectionAttemptTimeout'`]: https://nodejs.org/api/net.html#event-connectionattempttimeout
    ConnectionAttemptTimeout,
    /// A write was refused because too much waits already. Not in Node.
    WriteRefused,
}

/// The events of a [`Server`], for [`Server::listener_count`] and [`Server::remove_all_listeners`]. Node names them by
/// text.
///
/// ```
/// use halfclose::{EventLoop, net, net::ServerEvent};
///
/// let event_loop = EventLoop::new()?;
/// let server = net::create_server(|_| {});
/// assert_eq!(server.listener_count(ServerEvent::Connection), 1);
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ServerEvent {
    /// It is bound, and accepts connections. Mirrors [`'listening'`].
    ///
    /// [`'listening'`]: https://nodejs.org/api/net.html#event-listening
    Listening,
    /// A connection was accepted. Mirrors [`'connection'`].
    ///
    /// [`'connection'`]: https://nodejs.org/api/net.html#event-connection
    Connection,
    /// It could not listen. Mirrors [`'error'`].
    ///
    /// [`'error'`]: https://nodejs.org/api/net.html#event-error
    Error,
    /// It does not listen and has no connections. Mirrors [`'close'`].
    ///
    /// [`'close'`]: https://nodejs.org/api/net.html#event-close
    Close,
    /// A connection was turned away. Mirrors [`'drop'`].
    ///
    /// [`'drop'`]: https://nodejs.org/api/net.html#event-drop
    Drop,
    /// Connections cannot be accepted for want of descriptors or memory. Not in Node.
    AcceptError,
    /// It leaves new connections in the backlog from now on. Not in Node.
    Pause,
    /// It accepts connections again. Not in Node.
    Resume,
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
    Paused(Server, PauseReason),
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
    Paused(Server, PauseReason),
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
            Arguments::Paused(server, reason) => OwnedArguments::Paused(server, reason),
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
            OwnedArguments::Paused(server, reason) => Arguments::Paused(*server, *reason),
        }
    }
}

/// Whose `error` nobody listens for: see [`EventLoop::on_unhandled_error`](crate::EventLoop::on_unhandled_error). Not
/// in Node.
///
/// ```
/// use halfclose::{EventLoop, Unhandled, net, net::ErrorSource};
///
/// let mut event_loop = EventLoop::new()?;
/// let socket = net::connect(("127.0.0.1", 1))?;
/// event_loop.on_unhandled_error(move |source, _| {
///     assert_eq!(source, ErrorSource::Socket(socket));
///     Unhandled::Continue
/// });
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ErrorSource {
    /// A socket; its `close` follows.
    Socket(Socket),
    /// A server, which did not get to listen.
    Server(Server),
}

/// What to do about an `error` that nobody listens for: what the hook of
/// [`EventLoop::on_unhandled_error`](crate::EventLoop::on_unhandled_error) returns. Not in Node.
///
/// ```
/// use halfclose::{EventLoop, Unhandled, net};
///
/// let mut event_loop = EventLoop::new()?;
/// event_loop.on_unhandled_error(|_, error| match error.code() {
///     Some("ECONNREFUSED") => Unhandled::Continue,
///     Some(_) | None => Unhandled::Return,
/// });
/// net::connect(("127.0.0.1", 1))?;
/// assert!(event_loop.run().is_ok());
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Unhandled {
    /// Go on as if there had been a listener.
    Continue,
    /// Make [`EventLoop::run`](crate::EventLoop::run) return it: the default.
    Return,
}
