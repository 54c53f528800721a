//! What the events of addresses tell: the attempt, the answer, the connection that was turned away.
//!
//! This module touches nothing. Each stands for the arguments that Node passes one by one.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::error::Error;
use crate::reactor::admission::Ends;
use crate::reactor::selecting::address_text;
use crate::reactor::target::{PathTarget, Target};
use crate::sys::Family;

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
