//! A [`Socket`]'s listeners for what happens while it connects.
//!
//! It may touch the event loop's vocabulary of events, and what `socket_events` has.

use crate::error::Error;
use crate::event_loop::events::Arguments;
use crate::event_loop::listeners::ListenerId;
use crate::net::socket_events::plain_event;
use crate::net::{ConnectionAttempt, Lookup, Socket, SocketEvent};

plain_event! {
    /// Listens to `connect`: the connection is established. Mirrors [`'connect'`].
    ///
    /// Emitted in the poll phase; `ready` follows in the same callback. Writes that waited are sent in the middle of
    /// this emission, at the place of the first of them among the listeners. Reading starts after `ready`. Sockets of a
    /// server, and those made of a descriptor, are connected from the start and do not emit it.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let (sender, receiver) = mpsc::channel();
    /// let socket = net::connect(listener.local_addr()?)?;
    /// socket.on_connect(move |socket| {
    ///     sender.send(socket.remote_port()).unwrap();
    ///     socket.destroy();
    /// });
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(Some(listener.local_addr()?.port())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`'connect'`]: https://nodejs.org/api/net.html#event-connect
    pub fn on_connect;
    /// [`on_connect`](Socket::on_connect), once. Mirrors [`socket.once('connect')`].
    ///
    /// It stays through attempts that fail, and makes a difference for a socket that connects again only.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use halfclose::{EventLoop, net, net::SocketEvent};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = net::connect(listener.local_addr()?)?;
    /// socket.once_connect(|socket| {
    ///     assert_eq!(socket.listener_count(SocketEvent::Connect), 0);
    ///     socket.destroy();
    /// });
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.once('connect')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_connect;
    Connect
}

plain_event! {
    /// Listens to `ready`: the socket can be used. Mirrors [`'ready'`].
    ///
    /// Emitted directly after `connect`, also when a `connect` listener destroyed the socket.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let (sender, receiver) = mpsc::channel();
    /// let socket = net::connect(listener.local_addr()?)?;
    /// socket.on_connect(|socket| {
    ///     socket.destroy();
    /// });
    /// socket.on_ready(move |socket| sender.send(socket.destroyed()).unwrap());
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`'ready'`]: https://nodejs.org/api/net.html#event-ready
    pub fn on_ready;
    /// [`on_ready`](Socket::on_ready), once. Mirrors [`socket.once('ready')`].
    ///
    /// It makes a difference for a socket that connects again only.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = net::connect(listener.local_addr()?)?;
    /// socket.once_ready(|socket| {
    ///     socket.destroy();
    /// });
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.once('ready')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_ready;
    Ready
}

/// Listeners of attempts to connect.
impl Socket {
    /// Listens to `lookup`: the name given to `connect` was looked up. Mirrors [`'lookup'`].
    ///
    /// Once for each address (only for the first one where no other is tried), or once with an error, after which
    /// `error` and `close` follow. Emitted in the poll phase, when the answer is there; within `connect` when a
    /// [`lookup`](crate::net::ConnectOptions::lookup) of your own answers at once. Not emitted for a host that is an
    /// address, nor, other than in Node, when the socket was destroyed meanwhile.
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::ConnectOptions, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (sender, receiver) = mpsc::channel();
    /// let socket = Socket::new();
    /// socket.on_lookup(move |socket, lookup| {
    ///     sender.send((lookup.host().to_string(), lookup.address().map(String::from))).unwrap();
    ///     socket.destroy();
    /// });
    /// let options = ConnectOptions::new().host("db.example").port(5432);
    /// socket.connect(options.lookup(|_, callback| callback.resolve([Ipv4Addr::LOCALHOST])))?;
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(("db.example".into(), Some("127.0.0.1".into()))));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'lookup'`]: https://nodejs.org/api/net.html#event-lookup
    pub fn on_lookup(self, mut listener: impl FnMut(Socket, &Lookup) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::Lookup, move |arguments| {
            if let Arguments::Lookup(socket, lookup) = *arguments {
                listener(socket, lookup);
            }
        })
    }

    /// [`on_lookup`](Socket::on_lookup), once: for the first address. Mirrors [`socket.once('lookup')`].
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::ConnectOptions, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (sender, receiver) = mpsc::channel();
    /// let socket = Socket::new();
    /// socket.once_lookup(move |_, lookup| sender.send(lookup.address().map(String::from)).unwrap());
    /// socket.on_error(|_, error| println!("{error}"));
    /// let options = ConnectOptions::new().host("db.example").port(1);
    /// let addresses = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];
    /// socket.connect(options.lookup(move |_, callback| callback.resolve(addresses)))?;
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [Some("127.0.0.1".into())]);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.once('lookup')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_lookup(self, listener: impl FnOnce(Socket, &Lookup) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::Lookup, move |arguments| {
            if let Arguments::Lookup(socket, lookup) = *arguments {
                listener(socket, lookup);
            }
        })
    }

    /// Listens to `connectionAttempt`: an address is about to be tried. Mirrors [`'connectionAttempt'`].
    ///
    /// Emitted in a tick after `connect` to an address, in the poll phase for a name, within `connect` for the path of
    /// a unix socket. Where a name has several addresses, again for each one that is tried. A listener that destroys
    /// the socket ends it: `close` follows, where Node fails with an internal `TypeError`.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (sender, receiver) = mpsc::channel();
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// socket.on_connection_attempt(move |socket, attempt| {
    ///     sender.send((attempt.address().to_string(), attempt.port())).unwrap();
    ///     socket.destroy();
    /// });
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(("127.0.0.1".into(), Some(1))));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'connectionAttempt'`]: https://nodejs.org/api/net.html#event-connectionattempt
    pub fn on_connection_attempt(self, mut listener: impl FnMut(Socket, &ConnectionAttempt) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::ConnectionAttempt, move |arguments| {
            if let Arguments::Attempt(socket, attempt) = *arguments {
                listener(socket, attempt);
            }
        })
    }

    /// [`on_connection_attempt`](Socket::on_connection_attempt), once. Mirrors [`socket.once('connectionAttempt')`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// socket.once_connection_attempt(|socket, _| {
    ///     socket.destroy();
    /// });
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.once('connectionAttempt')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_connection_attempt(self, listener: impl FnOnce(Socket, &ConnectionAttempt) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::ConnectionAttempt, move |arguments| {
            if let Arguments::Attempt(socket, attempt) = *arguments {
                listener(socket, attempt);
            }
        })
    }

    /// Listens to `connectionAttemptFailed`: an address was tried in vain. Mirrors [`'connectionAttemptFailed'`].
    ///
    /// Emitted in the callback that tells of it. Where other addresses are left the next one is tried at once; after
    /// the last one `error` follows in a tick. A listener that destroys the socket ends it, and swallows the `error`.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (sender, receiver) = mpsc::channel();
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// socket.on_connection_attempt_failed(move |socket, attempt, error| {
    ///     sender.send((attempt.port(), error.code().map(String::from))).unwrap();
    ///     socket.destroy();
    /// });
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok((Some(1), Some("ECONNREFUSED".into()))));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'connectionAttemptFailed'`]: https://nodejs.org/api/net.html#event-connectionattemptfailed
    pub fn on_connection_attempt_failed(
        self,
        mut listener: impl FnMut(Socket, &ConnectionAttempt, &Error) + 'static,
    ) -> ListenerId {
        self.listen_to(SocketEvent::ConnectionAttemptFailed, move |arguments| {
            if let Arguments::AttemptFailed(socket, attempt, error) = *arguments {
                listener(socket, attempt, error);
            }
        })
    }

    /// [`on_connection_attempt_failed`](Socket::on_connection_attempt_failed), once. Mirrors
    /// [`socket.once('connectionAttemptFailed')`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// socket.once_connection_attempt_failed(|socket, _, _| {
    ///     // No `error` then.
    ///     socket.destroy();
    /// });
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.once('connectionAttemptFailed')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_connection_attempt_failed(
        self,
        listener: impl FnOnce(Socket, &ConnectionAttempt, &Error) + 'static,
    ) -> ListenerId {
        self.listen_once(SocketEvent::ConnectionAttemptFailed, move |arguments| {
            if let Arguments::AttemptFailed(socket, attempt, error) = *arguments {
                listener(socket, attempt, error);
            }
        })
    }

    /// Listens to `connectionAttemptTimeout`: one of several addresses did not answer in its time. Mirrors
    /// [`'connectionAttemptTimeout'`].
    ///
    /// Emitted in the timer phase. The attempt is given up, and the next address is tried at once; see
    /// [`ConnectOptions::auto_select_family`](crate::net::ConnectOptions::auto_select_family). Never for the last
    /// address, which is left to the kernel.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::net::Ipv4Addr;
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::ConnectOptions, net::Socket};
    ///
    /// # // How a kernel treats a full backlog is its own business.
    /// # if !cfg!(target_os = "linux") {
    /// #     return Ok(());
    /// # }
    /// # // 127.0.0.1 at this port does not answer.
    /// # let new = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    /// # let silent = new()?;
    /// # silent.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    /// # silent.listen(0)?;
    /// # let address = silent.local_addr()?;
    /// # let (one, other) = (new()?, new()?);
    /// # for filler in [&one, &other] {
    /// #     filler.set_nonblocking(true)?;
    /// #     let _ = filler.connect(&address);
    /// # }
    /// # let port = address.as_socket().unwrap().port();
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// let addresses = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];
    /// let options = ConnectOptions::new()
    ///     .host("db.example")
    ///     .port(port)
    ///     .auto_select_family_attempt_timeout(Duration::from_millis(10))
    ///     .lookup(move |_, callback| callback.resolve(addresses));
    /// let (sender, receiver) = mpsc::channel();
    /// socket.on_connection_attempt_timeout(move |socket, attempt| {
    ///     sender.send(attempt.address().to_string()).unwrap();
    ///     socket.destroy();
    /// });
    /// socket.connect(options)?;
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok("127.0.0.1".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`'connectionAttemptTimeout'`]: https://nodejs.org/api/net.html#event-connectionattempttimeout
    pub fn on_connection_attempt_timeout(
        self,
        mut listener: impl FnMut(Socket, &ConnectionAttempt) + 'static,
    ) -> ListenerId {
        self.listen_to(SocketEvent::ConnectionAttemptTimeout, move |arguments| {
            if let Arguments::Attempt(socket, attempt) = *arguments {
                listener(socket, attempt);
            }
        })
    }

    /// [`on_connection_attempt_timeout`](Socket::on_connection_attempt_timeout), once. Mirrors
    /// [`socket.once('connectionAttemptTimeout')`].
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::ConnectOptions, net::Socket};
    ///
    /// # // How a kernel treats a full backlog is its own business.
    /// # if !cfg!(target_os = "linux") {
    /// #     return Ok(());
    /// # }
    /// # // 127.0.0.1 at this port does not answer.
    /// # let new = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    /// # let silent = new()?;
    /// # silent.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    /// # silent.listen(0)?;
    /// # let address = silent.local_addr()?;
    /// # let (one, other) = (new()?, new()?);
    /// # for filler in [&one, &other] {
    /// #     filler.set_nonblocking(true)?;
    /// #     let _ = filler.connect(&address);
    /// # }
    /// # let port = address.as_socket().unwrap().port();
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// let addresses = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];
    /// let options = ConnectOptions::new()
    ///     .host("db.example")
    ///     .port(port)
    ///     .auto_select_family_attempt_timeout(Duration::from_millis(10))
    ///     .lookup(move |_, callback| callback.resolve(addresses));
    /// socket.once_connection_attempt_timeout(|socket, _| {
    ///     socket.destroy();
    /// });
    /// socket.connect(options)?;
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.once('connectionAttemptTimeout')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_connection_attempt_timeout(
        self,
        listener: impl FnOnce(Socket, &ConnectionAttempt) + 'static,
    ) -> ListenerId {
        self.listen_once(SocketEvent::ConnectionAttemptTimeout, move |arguments| {
            if let Arguments::Attempt(socket, attempt) = *arguments {
                listener(socket, attempt);
            }
        })
    }
}
