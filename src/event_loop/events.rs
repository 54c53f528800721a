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

/// One attempt to connect: the arguments `ip`, `port` and `family` of [`'connectionAttempt'`],
/// [`'connectionAttemptFailed'`] and [`'connectionAttemptTimeout'`].
///
/// ```
/// use halfclose::{EventLoop, net, net::Family};
///
/// let mut event_loop = EventLoop::new()?;
/// let socket = net::connect(("127.0.0.1", 1))?;
/// socket.on_connection_attempt(|socket, attempt| {
///     assert_eq!((attempt.address(), attempt.port(), attempt.family()), ("127.0.0.1", Some(1), Some(Family::IPv4)));
///     socket.destroy();
/// });
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`'connectionAttempt'`]: https://nodejs.org/api/net.html#event-connectionattempt
/// [`'connectionAttemptFailed'`]: https://nodejs.org/api/net.html#event-connectionattemptfailed
/// [`'connectionAttemptTimeout'`]: https://nodejs.org/api/net.html#event-connectionattempttimeout
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

    /// The address that is tried, as text; of a unix socket the path. Mirrors `ip` of [`'connectionAttempt'`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// socket.on_connection_attempt(|_, attempt| assert_eq!(attempt.address(), "127.0.0.1"));
    /// # socket.on_error(|_, _| {});
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'connectionAttempt'`]: https://nodejs.org/api/net.html#event-connectionattempt
    pub fn address(&self) -> &str {
        match &self.goal {
            Goal::Internet(target) => &target.text,
            Goal::Path(target) => &target.text,
        }
    }

    /// The port that is tried; `None` for a unix socket. Mirrors `port` of [`'connectionAttempt'`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// socket.on_connection_attempt_failed(|_, attempt, _| assert_eq!(attempt.port(), Some(1)));
    /// # socket.on_error(|_, _| {});
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'connectionAttempt'`]: https://nodejs.org/api/net.html#event-connectionattempt
    pub fn port(&self) -> Option<u16> {
        match &self.goal {
            Goal::Internet(target) => Some(target.address.port()),
            Goal::Path(_) => None,
        }
    }

    /// The family of the address; `None` for a unix socket. Mirrors `family` of [`'connectionAttempt'`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::Family};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// socket.on_connection_attempt(|_, attempt| assert_eq!(attempt.family(), Some(Family::IPv4)));
    /// # socket.on_error(|_, _| {});
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'connectionAttempt'`]: https://nodejs.org/api/net.html#event-connectionattempt
    pub fn family(&self) -> Option<Family> {
        match &self.goal {
            Goal::Internet(target) => Some(target.family()),
            Goal::Path(_) => None,
        }
    }
}

/// What a lookup found, or why it failed: the arguments `err`, `address`, `family` and `host` of [`'lookup'`]. One for
/// each address that is found.
///
/// ```
/// use halfclose::{EventLoop, net, net::ConnectOptions};
///
/// let mut event_loop = EventLoop::new()?;
/// let socket = net::Socket::new();
/// socket.on_lookup(|_, lookup| assert_eq!((lookup.host(), lookup.address()), ("db.example", None)));
/// socket.on_error(|_, error| assert_eq!(error.message(), "no such name"));
/// let options = ConnectOptions::new().host("db.example").port(1);
/// socket.connect(options.lookup(|_, callback| callback.reject("no such name")))?;
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`'lookup'`]: https://nodejs.org/api/net.html#event-lookup
#[derive(Clone, Debug)]
pub struct Lookup {
    host: Arc<str>,
    answer: Result<(String, Family), Error>,
}

impl Lookup {
    pub(crate) fn new(host: Arc<str>, answer: Result<SocketAddr, Error>) -> Lookup {
        Lookup { host, answer: answer.map(|address| (address_text(&address), Family::of(&address))) }
    }

    /// The name that was looked up. Mirrors `host` of [`'lookup'`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::Socket::new();
    /// socket.on_lookup(|_, lookup| assert_eq!(lookup.host(), "db.example"));
    /// # socket.on_error(|_, _| {});
    /// let options = ConnectOptions::new().host("db.example").port(1);
    /// socket.connect(options.lookup(|_, callback| callback.reject("no such name")))?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'lookup'`]: https://nodejs.org/api/net.html#event-lookup
    pub fn host(&self) -> &str {
        &self.host
    }

    /// One of its addresses, as text; `None` when the lookup failed. Mirrors `address` of [`'lookup'`].
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::Socket::new();
    /// socket.on_lookup(|_, lookup| assert_eq!(lookup.address(), Some("127.0.0.1")));
    /// # socket.on_error(|_, _| {});
    /// let options = ConnectOptions::new().host("db.example").port(1);
    /// socket.connect(options.lookup(|_, callback| callback.resolve([Ipv4Addr::LOCALHOST])))?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'lookup'`]: https://nodejs.org/api/net.html#event-lookup
    pub fn address(&self) -> Option<&str> {
        self.answer.as_ref().ok().map(|(address, _)| address.as_str())
    }

    /// The family of the address; `None` when the lookup failed. Mirrors `family` of [`'lookup'`].
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use halfclose::{EventLoop, net, net::ConnectOptions, net::Family};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::Socket::new();
    /// socket.on_lookup(|_, lookup| assert_eq!(lookup.family(), Some(Family::IPv4)));
    /// # socket.on_error(|_, _| {});
    /// let options = ConnectOptions::new().host("db.example").port(1);
    /// socket.connect(options.lookup(|_, callback| callback.resolve([Ipv4Addr::LOCALHOST])))?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'lookup'`]: https://nodejs.org/api/net.html#event-lookup
    pub fn family(&self) -> Option<Family> {
        self.answer.as_ref().ok().map(|(_, family)| *family)
    }

    /// Why it failed; `None` when it did not. Mirrors `err` of [`'lookup'`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::Socket::new();
    /// socket.on_lookup(|_, lookup| assert_eq!(lookup.error().unwrap().message(), "no such name"));
    /// # socket.on_error(|_, _| {});
    /// let options = ConnectOptions::new().host("db.example").port(1);
    /// socket.connect(options.lookup(|_, callback| callback.reject("no such name")))?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'lookup'`]: https://nodejs.org/api/net.html#event-lookup
    pub fn error(&self) -> Option<&Error> {
        self.answer.as_ref().err()
    }
}

/// A connection that a server turned away: the argument `data` of [`'drop'`]. All of it is `None` where Node passes
/// nothing (a unix socket), and what a peer that is gone already makes unknown.
///
/// ```
/// use halfclose::{EventLoop, net};
///
/// let mut event_loop = EventLoop::new()?;
/// let server = net::create_server(|_| {}).set_max_connections(Some(0));
/// server.on_drop(|server, dropped| {
///     assert_eq!(dropped.local_address(), Some(server.address().unwrap().ip()));
///     server.close();
/// });
/// server.listen_with(("127.0.0.1", 0), |server| {
///     net::connect(server.address().unwrap()).unwrap().resume();
/// })?;
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`'drop'`]: https://nodejs.org/api/net.html#event-drop
#[derive(Clone, Debug)]
pub struct DroppedConnection {
    ends: Box<Ends>,
}

impl DroppedConnection {
    pub(crate) fn new(ends: Box<Ends>) -> DroppedConnection {
        DroppedConnection { ends }
    }

    /// The address of this end. Mirrors `data.localAddress` of [`'drop'`].
    ///
    /// ```
    /// # use halfclose::{EventLoop, net};
    /// # let mut event_loop = EventLoop::new()?;
    /// # let server = net::create_server(|_| {}).set_max_connections(Some(0));
    /// server.on_drop(|server, dropped| {
    ///     assert!(dropped.local_address().unwrap().is_loopback());
    ///     server.close();
    /// });
    /// # server.listen_with(("127.0.0.1", 0), |server| {
    /// #     net::connect(server.address().unwrap()).unwrap().resume();
    /// # })?;
    /// # event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'drop'`]: https://nodejs.org/api/net.html#event-drop
    pub fn local_address(&self) -> Option<IpAddr> {
        self.ends.local.map(|address| address.ip())
    }

    /// The port of this end. Mirrors `data.localPort` of [`'drop'`].
    ///
    /// ```
    /// # use halfclose::{EventLoop, net};
    /// # let mut event_loop = EventLoop::new()?;
    /// # let server = net::create_server(|_| {}).set_max_connections(Some(0));
    /// server.on_drop(|server, dropped| {
    ///     assert_eq!(dropped.local_port(), Some(server.address().unwrap().port()));
    ///     server.close();
    /// });
    /// # server.listen_with(("127.0.0.1", 0), |server| {
    /// #     net::connect(server.address().unwrap()).unwrap().resume();
    /// # })?;
    /// # event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'drop'`]: https://nodejs.org/api/net.html#event-drop
    pub fn local_port(&self) -> Option<u16> {
        self.ends.local.map(|address| address.port())
    }

    /// The family of this end's address. Mirrors `data.localFamily` of [`'drop'`].
    ///
    /// ```
    /// # use halfclose::{EventLoop, net, net::Family};
    /// # let mut event_loop = EventLoop::new()?;
    /// # let server = net::create_server(|_| {}).set_max_connections(Some(0));
    /// server.on_drop(|server, dropped| {
    ///     assert_eq!(dropped.local_family(), Some(Family::IPv4));
    ///     server.close();
    /// });
    /// # server.listen_with(("127.0.0.1", 0), |server| {
    /// #     net::connect(server.address().unwrap()).unwrap().resume();
    /// # })?;
    /// # event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'drop'`]: https://nodejs.org/api/net.html#event-drop
    pub fn local_family(&self) -> Option<Family> {
        self.ends.local.as_ref().map(Family::of)
    }

    /// The peer's address. Mirrors `data.remoteAddress` of [`'drop'`].
    ///
    /// ```
    /// # use halfclose::{EventLoop, net};
    /// # let mut event_loop = EventLoop::new()?;
    /// # let server = net::create_server(|_| {}).set_max_connections(Some(0));
    /// server.on_drop(|server, dropped| {
    ///     assert!(dropped.remote_address().unwrap().is_loopback());
    ///     server.close();
    /// });
    /// # server.listen_with(("127.0.0.1", 0), |server| {
    /// #     net::connect(server.address().unwrap()).unwrap().resume();
    /// # })?;
    /// # event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'drop'`]: https://nodejs.org/api/net.html#event-drop
    pub fn remote_address(&self) -> Option<IpAddr> {
        self.ends.remote.map(|address| address.ip())
    }

    /// The peer's port. Mirrors `data.remotePort` of [`'drop'`].
    ///
    /// ```
    /// # use halfclose::{EventLoop, net};
    /// # let mut event_loop = EventLoop::new()?;
    /// # let server = net::create_server(|_| {}).set_max_connections(Some(0));
    /// server.on_drop(|server, dropped| {
    ///     assert_ne!(dropped.remote_port(), dropped.local_port());
    ///     server.close();
    /// });
    /// # server.listen_with(("127.0.0.1", 0), |server| {
    /// #     net::connect(server.address().unwrap()).unwrap().resume();
    /// # })?;
    /// # event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'drop'`]: https://nodejs.org/api/net.html#event-drop
    pub fn remote_port(&self) -> Option<u16> {
        self.ends.remote.map(|address| address.port())
    }

    /// The family of the peer's address. Mirrors `data.remoteFamily` of [`'drop'`].
    ///
    /// ```
    /// # use halfclose::{EventLoop, net, net::Family};
    /// # let mut event_loop = EventLoop::new()?;
    /// # let server = net::create_server(|_| {}).set_max_connections(Some(0));
    /// server.on_drop(|server, dropped| {
    ///     assert_eq!(dropped.remote_family(), Some(Family::IPv4));
    ///     server.close();
    /// });
    /// # server.listen_with(("127.0.0.1", 0), |server| {
    /// #     net::connect(server.address().unwrap()).unwrap().resume();
    /// # })?;
    /// # event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'drop'`]: https://nodejs.org/api/net.html#event-drop
    pub fn remote_family(&self) -> Option<Family> {
        self.ends.remote.as_ref().map(Family::of)
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
