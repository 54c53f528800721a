//! The time limits that can be set for a socket: [`Timeouts`], and the kinds of them.
//!
//! This module touches nothing. Invariant: a limit that is not set is no limit; [`Bound::ALL`] is in the order of the
//! declaration, which is the order in which limits that are reached at the same moment count.

use std::time::Duration;

use crate::error::Error;

/// What a time limit bounds.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Bound {
    /// From `connect()` to `connect`: the lookup and all attempts.
    Connect,
    /// From the connection to the first byte of the peer.
    FirstByte,
    /// Between two bytes, in whichever direction.
    Idle,
    /// Output waits, and the kernel takes none of it.
    WriteStall,
    /// One side has ended, the other has not.
    HalfClosed,
    /// From the connection to its close.
    Lifetime,
}

impl Bound {
    pub(super) const ALL: [Bound; 6] =
        [Bound::Connect, Bound::FirstByte, Bound::Idle, Bound::WriteStall, Bound::HalfClosed, Bound::Lifetime];

    /// What a socket is destroyed with.
    pub(super) fn error(self) -> Error {
        match self {
            // Node has this code, for an attempt among several.
            Bound::Connect => Error::coded("ERR_SOCKET_CONNECTION_TIMEOUT", "Socket connection timeout"),
            Bound::FirstByte => {
                Error::coded("ERR_SOCKET_FIRST_BYTE_TIMEOUT", "The peer did not send anything in the time it had")
            }
            Bound::Idle => Error::coded("ERR_SOCKET_IDLE_TIMEOUT", "The socket was idle for too long"),
            Bound::WriteStall => {
                Error::coded("ERR_SOCKET_WRITE_STALL_TIMEOUT", "The peer did not take any output in the time it had")
            }
            Bound::HalfClosed => {
                Error::coded("ERR_SOCKET_HALF_CLOSED_TIMEOUT", "Only one side of the connection ended in time")
            }
            Bound::Lifetime => Error::coded("ERR_SOCKET_LIFETIME_TIMEOUT", "The connection lasted for too long"),
        }
    }

    /// Whether the peer is reset: it does not take what it was sent, and the kernel would keep that for minutes.
    pub(super) fn resets(self) -> bool {
        match self {
            Bound::WriteStall => true,
            Bound::Connect | Bound::FirstByte | Bound::Idle | Bound::HalfClosed | Bound::Lifetime => false,
        }
    }
}

/// Time limits of a socket: how long each part of its life may take. Not in Node, whose one timeout notifies and closes
/// nothing.
///
/// All are off by default. A socket that reaches one is destroyed: `error` follows in a tick, with a code that says which
/// limit it was and the kind [`TimedOut`](std::io::ErrorKind::TimedOut), then `close` in the closing phase.
///
/// | limit | from | to | code |
/// |---|---|---|---|
/// | [`connect_timeout`](Timeouts::connect_timeout) | `connect()` | `connect` | `ERR_SOCKET_CONNECTION_TIMEOUT` |
/// | [`first_byte_timeout`](Timeouts::first_byte_timeout) | the connection | the first byte read | `ERR_SOCKET_FIRST_BYTE_TIMEOUT` |
/// | [`max_idle`](Timeouts::max_idle) | the latest activity | the next one | `ERR_SOCKET_IDLE_TIMEOUT` |
/// | [`write_stall_timeout`](Timeouts::write_stall_timeout) | the kernel's refusal | the next byte it takes | `ERR_SOCKET_WRITE_STALL_TIMEOUT` |
/// | [`half_closed_timeout`](Timeouts::half_closed_timeout) | the end of one side | the end of the other | `ERR_SOCKET_HALF_CLOSED_TIMEOUT` |
/// | [`max_lifetime`](Timeouts::max_lifetime) | the connection | its close | `ERR_SOCKET_LIFETIME_TIMEOUT` |
///
/// They are given to servers and sockets alike, and hold for each connection that a socket makes. Of several the one
/// reached first counts. They do not keep the loop alive. A limit below a millisecond counts as one. A time begins when
/// the callback in which it was caused has returned: a callback that takes long is not held against the socket.
///
/// ```
/// use std::time::Duration;
/// use halfclose::{EventLoop, net, net::ServerOptions, net::Timeouts};
///
/// let event_loop = EventLoop::new()?;
/// let timeouts = Timeouts::server().max_lifetime(Duration::from_secs(3600));
/// let server = net::create_server_with(ServerOptions::new().timeouts(timeouts), |socket| {
///     socket.on_error(|_, error| eprintln!("{error}")); // "The peer did not send anything in the time it had"
/// });
/// # drop(server);
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Timeouts {
    limits: [Option<Duration>; Bound::ALL.len()],
}

impl Timeouts {
    pub(crate) const NONE: Timeouts = Timeouts { limits: [None; Bound::ALL.len()] };

    /// No limit at all. Not in Node.
    ///
    /// ```
    /// use halfclose::net::Timeouts;
    ///
    /// assert_eq!(Timeouts::new(), Timeouts::default());
    /// assert_ne!(Timeouts::new(), Timeouts::server());
    /// ```
    pub fn new() -> Timeouts {
        Timeouts::NONE
    }

    /// Limits for a server that faces strangers, to begin with and to change one by one: 10 seconds for the first byte,
    /// 2 minutes of idleness, 30 seconds for output that nobody takes, and a minute between the ends of the two sides.
    /// No limit for the lifetime. Not in Node.
    ///
    /// A client that connects and says nothing costs a descriptor for 10 seconds; one that sends a byte now and then is
    /// not caught by these, but by [`max_lifetime`](Timeouts::max_lifetime).
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::net::Timeouts;
    ///
    /// let timeouts = Timeouts::new()
    ///     .first_byte_timeout(Duration::from_secs(10))
    ///     .max_idle(Duration::from_secs(120))
    ///     .write_stall_timeout(Duration::from_secs(30))
    ///     .half_closed_timeout(Duration::from_secs(60));
    /// assert_eq!(Timeouts::server(), timeouts);
    /// ```
    pub fn server() -> Timeouts {
        Timeouts::new()
            // Longer than two retransmissions of a lost first segment take.
            .first_byte_timeout(Duration::from_secs(10))
            // Longer than the usual keep-alive of clients, which is a minute.
            .max_idle(Duration::from_secs(120))
            // Longer than any interruption that a peer recovers from by itself.
            .write_stall_timeout(Duration::from_secs(30))
            // As long as Linux keeps a socket in FIN_WAIT2.
            .half_closed_timeout(Duration::from_secs(60))
    }

    /// How long connecting may take, from `connect()` on: the lookup, all attempts, and the paths of unix sockets. Not in
    /// Node, where a socket tries for as long as the system does.
    ///
    /// The error is `ERR_SOCKET_CONNECTION_TIMEOUT`. An attempt under way ends as with
    /// [`destroy`](crate::net::Socket::destroy): of several the last one emits `connectionAttemptFailed` with `ECANCELED`. A
    /// lookup is not waited for any more. Writes that waited fail with `ERR_SOCKET_CLOSED_BEFORE_CONNECTION`.
    ///
    /// ```
    /// use std::{cell::RefCell, rc::Rc, time::Duration};
    /// use halfclose::{EventLoop, net, net::ConnectOptions, net::Timeouts};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let timeouts = Timeouts::new().connect_timeout(Duration::from_millis(20));
    /// let question = Rc::new(RefCell::new(None)); // never answered
    /// let asked = question.clone();
    /// let unanswered = ConnectOptions::new().host("db.example").port(1).lookup(move |_, callback| {
    ///     *asked.borrow_mut() = Some(callback);
    /// });
    /// let socket = net::connect(unanswered.timeouts(timeouts))?;
    /// socket.on_error(|_, error| assert_eq!(error.code(), Some("ERR_SOCKET_CONNECTION_TIMEOUT")));
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn connect_timeout(self, limit: Duration) -> Timeouts {
        self.with(Bound::Connect, limit)
    }

    /// How long a peer may be connected before its first byte is read. Not in Node.
    ///
    /// The error is `ERR_SOCKET_FIRST_BYTE_TIMEOUT`. Bytes that came and are not read, because the socket is paused, do not
    /// count. A peer that ended without a byte is none that is waited for.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket, net::Timeouts};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// socket.set_timeouts(Timeouts::new().first_byte_timeout(Duration::from_millis(5)));
    /// socket.on_error(|_, error| assert_eq!(error.code(), Some("ERR_SOCKET_FIRST_BYTE_TIMEOUT")));
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn first_byte_timeout(self, limit: Duration) -> Timeouts {
        self.with(Bound::FirstByte, limit)
    }

    /// How long a connection may be idle. Activity is what it is for
    /// [`Socket::set_timeout`](crate::net::Socket::set_timeout), and every byte that the kernel takes. Not in Node, whose
    /// timeout is that notification.
    ///
    /// The error is `ERR_SOCKET_IDLE_TIMEOUT`.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket, net::Timeouts};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// socket.set_timeouts(Timeouts::new().max_idle(Duration::from_millis(5)));
    /// socket.on_error(|_, error| assert_eq!(error.code(), Some("ERR_SOCKET_IDLE_TIMEOUT")));
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn max_idle(self, limit: Duration) -> Timeouts {
        self.with(Bound::Idle, limit)
    }

    /// How long output may wait for the kernel without a byte of it being taken: a peer that reads nothing, or is gone. Not
    /// in Node.
    ///
    /// The error is `ERR_SOCKET_WRITE_STALL_TIMEOUT`, and the peer is reset, since the kernel would keep what it has for
    /// minutes. The time begins anew with every byte taken. Output that is corked, or waits for the connection, was not
    /// offered to the kernel and does not count.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket, net::Timeouts};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?; // it never reads
    /// socket.set_timeouts(Timeouts::new().write_stall_timeout(Duration::from_millis(20)));
    /// socket.on_error(|_, error| assert_eq!(error.code(), Some("ERR_SOCKET_WRITE_STALL_TIMEOUT")));
    /// socket.write(vec![0; 64 << 20]);
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn write_stall_timeout(self, limit: Duration) -> Timeouts {
        self.with(Bound::WriteStall, limit)
    }

    /// How long one side may have ended while the other has not: the peer's end was read and `end()` was not called, or
    /// `finish` came and the peer's end did not. Not in Node.
    ///
    /// The error is `ERR_SOCKET_HALF_CLOSED_TIMEOUT`. While output waits for the kernel the time does not run, and it
    /// begins anew behind it: an answer may be long, and [`write_stall_timeout`](Timeouts::write_stall_timeout) is the
    /// limit for a peer that does not take it. Input does not stop it. An end that is not read, because the socket is
    /// paused, is not known.
    ///
    /// ```
    /// use std::net::{Shutdown, TcpListener, TcpStream};
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket, net::Timeouts};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?; // it never ends
    /// socket.set_timeouts(Timeouts::new().half_closed_timeout(Duration::from_millis(5)));
    /// socket.on_error(|_, error| assert_eq!(error.code(), Some("ERR_SOCKET_HALF_CLOSED_TIMEOUT")));
    /// socket.end();
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn half_closed_timeout(self, limit: Duration) -> Timeouts {
        self.with(Bound::HalfClosed, limit)
    }

    /// How long a connection may last, whatever happens on it. Not in Node.
    ///
    /// The error is `ERR_SOCKET_LIFETIME_TIMEOUT`. It is what ends a peer that sends a byte now and then for ever.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket, net::Timeouts};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// socket.set_timeouts(Timeouts::new().max_lifetime(Duration::from_millis(5)));
    /// socket.on_error(|_, error| assert_eq!(error.code(), Some("ERR_SOCKET_LIFETIME_TIMEOUT")));
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn max_lifetime(self, limit: Duration) -> Timeouts {
        self.with(Bound::Lifetime, limit)
    }

    fn with(mut self, bound: Bound, limit: Duration) -> Timeouts {
        self.limits[bound as usize] = Some(limit);
        self
    }

    pub(super) fn limit(&self, bound: Bound) -> Option<Duration> {
        self.limits[bound as usize]
    }
}
