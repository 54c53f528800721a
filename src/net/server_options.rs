//! A server's options: what it makes of its connections, and where it listens.
//!
//! It may touch the vocabulary of the floors below. Invariant: as in the neighbouring `socket_options`, what the type cannot hold
//! cannot be said.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::event_loop::abort::AbortSignal;
use crate::event_loop::descriptors::GivenDescriptor;
use crate::event_loop::{AcceptorOptions, ListenRequest, Permissions, ServerSettings, address_text, is_abstract};

/// How a [`Server`](crate::net::Server) treats the connections it accepts. Mirrors the options of
/// [`net.createServer(options)`].
///
/// Each can be changed later on the server, for the connections to come.
///
/// ```
/// use halfclose::{EventLoop, net, net::ServerOptions};
///
/// let event_loop = EventLoop::new()?;
/// let server = net::create_server_with(ServerOptions::new().pause_on_connect(true), |socket| {
///     assert!(socket.is_paused());
/// });
/// assert!(server.pause_on_connect());
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    pub(crate) settings: ServerSettings,
}

impl ServerOptions {
    /// Node's defaults: each is said at its option. Mirrors leaving the options of [`net.createServer(options)`] out.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server, net::ServerOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::with_options(ServerOptions::new());
    /// assert_eq!((server.allow_half_open(), server.high_water_mark()), (false, 65_536));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn new() -> ServerOptions {
        ServerOptions::default()
    }

    /// Whether accepted sockets may write on after their peer ended; default false: they then end by themselves, after
    /// the `end` listeners. Mirrors `allowHalfOpen` of [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server, net::ServerOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::with_options(ServerOptions::new().allow_half_open(true));
    /// assert!(server.allow_half_open());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    #[must_use]
    pub fn allow_half_open(mut self, allow: bool) -> ServerOptions {
        self.settings.connection.allow_half_open = allow;
        self
    }

    /// Whether nothing is read from accepted sockets until `resume()`, not even from the kernel; default false. Such a
    /// socket does not keep the loop alive. Mirrors `pauseOnConnect` of [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ServerOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server_with(ServerOptions::new().pause_on_connect(true), |socket| {
    ///     socket.on_data(|_, bytes| assert_eq!(bytes, b"hello"));
    ///     assert!(socket.is_paused()); // in spite of the listener
    ///     socket.resume().server().unwrap().close();
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     net::connect(server.address().unwrap()).unwrap().resume().end_data("hello");
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    #[must_use]
    pub fn pause_on_connect(mut self, pause: bool) -> ServerOptions {
        self.settings.pause_on_connect = pause;
        self
    }

    /// Whether accepted sockets send small writes at once (`TCP_NODELAY`) instead of collecting them; default false.
    /// Mirrors `noDelay` of [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ServerOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server_with(ServerOptions::new().no_delay(true), |socket| {
    ///     socket.server().unwrap().close();
    ///     let (stream, _) = socket.into_std().unwrap();
    ///     assert!(stream.nodelay().unwrap());
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     net::connect(server.address().unwrap()).unwrap().resume();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    #[must_use]
    pub fn no_delay(mut self, on: bool) -> ServerOptions {
        self.settings.connection.no_delay = on;
        self
    }

    /// Whether accepted sockets send the writes of one callback together, in one system call; default false. Not in
    /// Node. What that changes is listed at [`Socket::set_batch_writes`](crate::net::Socket::set_batch_writes).
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ServerOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server_with(ServerOptions::new().batch_writes(true), |socket| {
    ///     socket.write("head, ");
    ///     socket.end_data("body"); // together
    ///     socket.server().unwrap().close();
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     net::connect(server.address().unwrap()).unwrap().resume();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn batch_writes(mut self, on: bool) -> ServerOptions {
        self.settings.connection.batch_writes = on;
        self
    }

    /// Peers that are not let in: their connections are closed without an event; default none. Mirrors `blockList` of
    /// [`net.createServer(options)`]. The list is copied, other than in Node; see
    /// [`Server::set_block_list`](crate::net::Server::set_block_list).
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::BlockList, net::ServerOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let mut list = BlockList::new();
    /// list.add_subnet("127.0.0.0", 8)?;
    /// let server = net::create_server_with(ServerOptions::new().block_list(&list), |_| unreachable!("it is blocked"));
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     let client = net::connect(server.address().unwrap()).unwrap().resume();
    ///     client.on_close(move |_, _| drop(server.close()));
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    #[must_use]
    pub fn block_list(mut self, list: &crate::net::BlockList) -> ServerOptions {
        self.settings.block_list = Some(list.clone());
        self
    }

    /// Whether accepted sockets are probed when they are idle (`SO_KEEPALIVE`); default false. Mirrors `keepAlive` of
    /// [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server, net::ServerOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::with_options(ServerOptions::new().keep_alive(true));
    /// assert!(server.keep_alive());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    #[must_use]
    pub fn keep_alive(mut self, on: bool) -> ServerOptions {
        self.settings.connection.keep_alive = on;
        self
    }

    /// How long an accepted socket must be idle before it is probed: whole seconds, the rest is cut off; zero, the
    /// default, leaves it to the system. Means nothing without [`keep_alive`](ServerOptions::keep_alive). Mirrors
    /// `keepAliveInitialDelay` of [`net.createServer(options)`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Server, net::ServerOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let options = ServerOptions::new().keep_alive(true).keep_alive_initial_delay(Duration::from_secs(60));
    /// assert_eq!(Server::with_options(options).keep_alive_initial_delay(), Duration::from_secs(60));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    #[must_use]
    pub fn keep_alive_initial_delay(mut self, delay: Duration) -> ServerOptions {
        self.settings.connection.keep_alive_initial_delay = delay;
        self
    }

    /// How long what an accepted socket sent may go without an acknowledgement before the kernel gives the connection up;
    /// default zero, which leaves it to the system. Not in Node; see
    /// [`Socket::set_user_timeout`](crate::net::Socket::set_user_timeout).
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Server, net::ServerOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::with_options(ServerOptions::new().user_timeout(Duration::from_secs(30)));
    /// # assert!(!server.listening());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn user_timeout(mut self, timeout: Duration) -> ServerOptions {
        self.settings.connection.user_timeout = timeout;
        self
    }

    /// Both high-water marks of accepted sockets, in bytes; default 65,536: beyond it `write` returns false, and
    /// reading pauses. Mirrors `highWaterMark` of [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server, net::ServerOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::with_options(ServerOptions::new().high_water_mark(16 * 1024));
    /// assert_eq!(server.high_water_mark(), 16_384);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    #[must_use]
    pub fn high_water_mark(mut self, bytes: usize) -> ServerOptions {
        self.settings.connection.readable_high_water_mark = bytes;
        self.settings.connection.writable_high_water_mark = bytes;
        self
    }
}

/// Where to listen. Mirrors the options of [`server.listen(options)`].
///
/// Made with `into()` from a port (of every address), `(host, port)`, a [`SocketAddr`], the path of a unix socket or a
/// socket that is bound already, or built:
///
/// ```
/// use halfclose::{EventLoop, net, net::ListenOptions};
///
/// let event_loop = EventLoop::new()?;
/// let server = net::create_server(|_| {});
/// server.listen(ListenOptions::new().port(0).backlog(4096))?;
/// assert!(server.listening());
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
#[derive(Clone, Debug, Default)]
pub struct ListenOptions {
    host: Option<String>,
    request: ListenRequest,
    signal: Option<AbortSignal>,
    path: Option<PathBuf>,
    permissions: Permissions,
    /// The port was set, which makes the path mean nothing (rule S2).
    has_port: bool,
    pub(super) given: Option<GivenDescriptor>,
}

impl ListenOptions {
    /// Every address, a port that the system chooses, a backlog of 511. Mirrors the defaults of
    /// [`server.listen(options)`], which throws when neither `port` nor `path` is given.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {}).listen(ListenOptions::new())?;
    /// assert!(server.address().unwrap().ip().is_unspecified());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
    pub fn new() -> ListenOptions {
        ListenOptions::default()
    }

    /// The port; 0, the default, lets the system choose a free one. Wins over [`path`](ListenOptions::path). Mirrors
    /// `port` of [`server.listen(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {}).listen(ListenOptions::new().port(0))?;
    /// assert_ne!(server.address().unwrap().port(), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
    #[must_use]
    pub fn port(mut self, port: u16) -> ListenOptions {
        self.request.port = port;
        self.has_port = true;
        self
    }

    /// The address to bind, or a name to look up first. Mirrors `host` of [`server.listen(options)`].
    ///
    /// Without a host (or with an empty text) the server binds within the call, to `::` for IPv6 and IPv4 together, or
    /// to `0.0.0.0` where IPv6 cannot be had. With an address it binds in the next tick, with a name once that was
    /// looked up.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.listen_with(ListenOptions::new().host("127.0.0.1"), |server| {
    ///     assert!(server.address().unwrap().ip().is_loopback());
    ///     server.close();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> ListenOptions {
        self.host = Some(host.into());
        self
    }

    /// How many established connections may wait to be accepted; default (and for 0) 511. The kernel lowers it to its
    /// own limit. Mirrors `backlog` of [`server.listen(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {}).listen(ListenOptions::new().backlog(4096))?;
    /// assert!(server.listening());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> ListenOptions {
        self.request.backlog = Some(connections);
        self
    }

    /// On an IPv6 address: leave IPv4 alone; default false: `::` serves both. Mirrors `ipv6Only` of
    /// [`server.listen(options)`].
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {}).listen(ListenOptions::new().ipv6_only(true))?;
    /// let address = server.address().unwrap();
    /// if address.is_ipv6() {
    ///     // The same port is free for IPv4.
    ///     assert!(TcpListener::bind(("0.0.0.0", address.port())).is_ok());
    /// }
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
    #[must_use]
    pub fn ipv6_only(mut self, on: bool) -> ListenOptions {
        self.request.options = AcceptorOptions { ipv6_only: on, ..self.request.options };
        self
    }

    /// Let several sockets listen on one port, all of which must say so (`SO_REUSEPORT`); default false. The kernel
    /// spreads the connections over them: a loop per thread, or per process. Mirrors `reusePort` of
    /// [`server.listen(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let options = ListenOptions::new().reuse_port(true);
    /// let first = net::create_server(|_| {}).listen(options.clone())?;
    /// let second = net::create_server(|_| {}).listen(options.port(first.address().unwrap().port()))?;
    /// assert_eq!(first.address(), second.address());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
    #[must_use]
    pub fn reuse_port(mut self, on: bool) -> ListenOptions {
        self.request.options = AcceptorOptions { reuse_port: on, ..self.request.options };
        self
    }

    /// Leaves a connection to the kernel until the peer has sent something (`TCP_DEFER_ACCEPT`); default and zero: off.
    /// Not in Node.
    ///
    /// It saves a wake-up per connection where the client speaks first: what it said is read in the turn in which it is
    /// accepted. `limit` is how long a connection may be silent:
    /// whole seconds, rounded up, which the kernel rounds up further to the time of one of its retransmissions (1, 3, 7,
    /// 15 seconds and so on). Then the connection is accepted all the same.
    ///
    /// What it changes: `connection` comes with the peer's first bytes or its end, not when the connection is established,
    /// and `data` in the next callback, before the immediates that a `connection` listener sets.
    /// Until then nothing here knows of it: the idle timeout does not run, [`max_connections`] does not count it, and it is
    /// none of the [`backlog`](ListenOptions::backlog). A client that waits for the server to speak first waits for the
    /// limit. The client itself sees no difference: it is connected at once.
    ///
    /// Linux only; it does nothing elsewhere, and for a path.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|socket| {
    ///     socket.on_data(|_, bytes| assert_eq!(bytes, b"hello"));
    ///     socket.server().unwrap().close();
    /// });
    /// let options = ListenOptions::new().host("127.0.0.1").defer_accept(Duration::from_secs(5));
    /// server.listen_with(options, |server| {
    ///     let client = net::connect(server.address().unwrap()).unwrap().resume();
    ///     client.on_connect(|client| drop(client.end_data("hello")));
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`max_connections`]: crate::net::Server::set_max_connections
    #[must_use]
    pub fn defer_accept(mut self, limit: Duration) -> ListenOptions {
        let defer_accept = Some(limit).filter(|limit| !limit.is_zero());
        self.request.options = AcceptorOptions { defer_accept, ..self.request.options };
        self
    }

    /// Does nothing: there are no cluster workers here, which share a listening socket unless they say so. As in a
    /// process of Node's that is no such worker, a port that is in use is `EADDRINUSE` with it and without it. To share
    /// one, see [`reuse_port`](ListenOptions::reuse_port) and [`fd`](ListenOptions::fd). Mirrors `exclusive` of
    /// [`server.listen(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {}).listen(ListenOptions::new().exclusive(true))?;
    /// assert!(server.listening());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
    #[must_use]
    pub fn exclusive(self, _on: bool) -> ListenOptions {
        self
    }

    /// Closes the server when the signal is aborted, as [`Server::close`](crate::net::Server::close) does: connections
    /// live on, `close` follows. When it was aborted before, the server closes in the next tick. Mirrors `signal` of
    /// [`server.listen(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::AbortController, net::ListenOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let controller = AbortController::new();
    /// let server = net::create_server(|_| {}).listen(ListenOptions::new().signal(&controller.signal()))?;
    /// assert!(server.listening());
    /// controller.abort();
    /// assert!(!server.listening());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
    #[must_use]
    pub fn signal(mut self, signal: &AbortSignal) -> ListenOptions {
        self.signal = Some(signal.clone());
        self
    }

    pub(crate) fn signal_option(&self) -> Option<AbortSignal> {
        self.signal.clone()
    }

    /// The unix socket to listen at: a path, or an [`abstract_name`](crate::net::abstract_name). A port, if one is set,
    /// wins over it, and host, `ipv6_only` and `reuse_port` mean nothing for it. Mirrors `path` of
    /// [`server.listen(options)`].
    ///
    /// The file must not be there yet: a stale one is `EADDRINUSE`, and left as it is. It is made within the call, with
    /// the mode that the process's mask leaves of 0777, and removed by [`close`](crate::net::Server::close).
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("halfclose-doc-{}.sock", std::process::id()));
    /// let server = net::create_server(|_| {});
    /// server.listen(ListenOptions::new().path(&path))?;
    /// assert_eq!(server.path(), Some(path.clone()));
    /// assert!(path.exists());
    /// server.close();
    /// assert!(!path.exists());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
    #[must_use]
    pub fn path(mut self, path: impl Into<PathBuf>) -> ListenOptions {
        self.path = Some(path.into());
        self
    }

    /// Sets the mode of the socket's file to 0444, or to 0666 together with `writable_all`: that replaces the mode
    /// which the process's mask gave it, the owner's part included. Default false. With an abstract name, which has no
    /// file, `listen` is an `Err`. Mirrors `readableAll` of [`server.listen(options)`], which sets the mode after the
    /// server listens; here it is set before.
    ///
    /// ```
    /// use std::os::unix::fs::PermissionsExt;
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("halfclose-doc-readable-{}.sock", std::process::id()));
    /// let options = ListenOptions::new().path(&path).readable_all(true).writable_all(true);
    /// let server = net::create_server(|_| {}).listen(options)?;
    /// assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o666);
    /// server.close();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
    #[must_use]
    pub fn readable_all(mut self, on: bool) -> ListenOptions {
        self.permissions.readable_all = on;
        self
    }

    /// Sets the mode of the socket's file to 0222, or to 0666 together with `readable_all`; default false. To connect
    /// one must be allowed to write. Otherwise as [`readable_all`](ListenOptions::readable_all). Mirrors `writableAll`
    /// of [`server.listen(options)`].
    ///
    /// ```
    /// use std::os::unix::fs::PermissionsExt;
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("halfclose-doc-writable-{}.sock", std::process::id()));
    /// let server = net::create_server(|_| {}).listen(ListenOptions::new().path(&path).writable_all(true))?;
    /// assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o222);
    /// server.close();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
    #[must_use]
    pub fn writable_all(mut self, on: bool) -> ListenOptions {
        self.permissions.writable_all = on;
        self
    }

    /// Sets the mode of the socket's file to exactly this, whatever the process's mask, and whatever `readable_all` and
    /// `writable_all` say; default: what the mask leaves of 0777. Not in Node.
    ///
    /// `0o600` lets nobody in but the user of this process (and root), `0o660` the group as well: to connect one must be
    /// allowed to write, on Linux; other systems may look at the folder only, whose mode counts everywhere. It is set before
    /// the server listens, and on Linux from the moment at which there is a file: nobody gets in before. Who did is told by
    /// [`peer_credentials`](crate::net::Socket::peer_credentials).
    ///
    /// `listen` is an `Err` for a mode above `0o777` (`ERR_OUT_OF_RANGE`), and with an abstract name, which has no file
    /// (`ERR_INVALID_ARG_VALUE`).
    ///
    /// ```
    /// use std::os::unix::fs::PermissionsExt;
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("halfclose-doc-mode-{}.sock", std::process::id()));
    /// let server = net::create_server(|_| {}).listen(ListenOptions::new().path(&path).mode(0o600))?;
    /// assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
    /// server.close();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn mode(mut self, mode: u32) -> ListenOptions {
        self.permissions.mode = Some(mode);
        self
    }

    /// The path to listen at, if these options have one that counts, or what Node throws for it.
    pub(crate) fn path_option(&self) -> Result<Option<(PathBuf, Permissions)>, Error> {
        let Some(path) = self.path.as_ref().filter(|_| !self.has_port) else { return Ok(None) };
        if path.as_os_str().is_empty() {
            return Err(Error::empty_path());
        }
        if let Some(mode) = self.permissions.mode.filter(|mode| *mode > Permissions::MOST) {
            return Err(Error::mode_out_of_range(mode));
        }
        if self.permissions.any() && is_abstract(path) {
            return Err(Error::permissions_of_abstract_name(&self.inspected(path)));
        }
        Ok(Some((path.clone(), self.permissions)))
    }

    /// The options of a path as Node shows an object.
    fn inspected(&self, path: &Path) -> String {
        let path = path.to_string_lossy().replace('\0', "\\x00");
        let readable = if self.permissions.readable_all { ", readableAll: true" } else { "" };
        let writable = if self.permissions.writable_all { ", writableAll: true" } else { "" };
        let mode = self.permissions.mode.map_or(String::new(), |mode| format!(", mode: {mode:#o}"));
        format!("{{ path: '{path}'{readable}{writable}{mode} }}")
    }

    /// A socket that is bound already wins over every address.
    pub(crate) fn take_given(&mut self) -> Option<GivenDescriptor> {
        self.given.take()
    }

    pub(crate) fn into_parts(self) -> (Option<String>, ListenRequest) {
        (self.host.filter(|host| !host.is_empty()), self.request)
    }
}

impl From<u16> for ListenOptions {
    fn from(port: u16) -> ListenOptions {
        ListenOptions::new().port(port)
    }
}

impl From<(&str, u16)> for ListenOptions {
    fn from((host, port): (&str, u16)) -> ListenOptions {
        ListenOptions::new().host(host).port(port)
    }
}

impl From<(String, u16)> for ListenOptions {
    fn from((host, port): (String, u16)) -> ListenOptions {
        ListenOptions::new().host(host).port(port)
    }
}

impl From<(IpAddr, u16)> for ListenOptions {
    fn from((host, port): (IpAddr, u16)) -> ListenOptions {
        ListenOptions::new().host(host.to_string()).port(port)
    }
}

impl From<(Ipv4Addr, u16)> for ListenOptions {
    fn from((host, port): (Ipv4Addr, u16)) -> ListenOptions {
        ListenOptions::from((IpAddr::from(host), port))
    }
}

impl From<(Ipv6Addr, u16)> for ListenOptions {
    fn from((host, port): (Ipv6Addr, u16)) -> ListenOptions {
        ListenOptions::from((IpAddr::from(host), port))
    }
}

impl From<SocketAddr> for ListenOptions {
    fn from(address: SocketAddr) -> ListenOptions {
        ListenOptions::new().host(address_text(&address)).port(address.port())
    }
}

impl From<&Path> for ListenOptions {
    fn from(path: &Path) -> ListenOptions {
        ListenOptions::new().path(path)
    }
}

impl From<&PathBuf> for ListenOptions {
    fn from(path: &PathBuf) -> ListenOptions {
        ListenOptions::new().path(path)
    }
}

impl From<PathBuf> for ListenOptions {
    fn from(path: PathBuf) -> ListenOptions {
        ListenOptions::new().path(path)
    }
}
