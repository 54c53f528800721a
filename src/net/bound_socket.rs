//! [`BoundSocket`]: a socket that has its local address, and is not yet a server's or a client's.
//!
//! It may touch the event loop's commands. Invariant: until it is adopted or closed it owns its descriptor, and drops it
//! with the last of its clones.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};

use crate::error::Error;
use crate::event_loop::AcceptorOptions;
use crate::event_loop::current;
use crate::event_loop::descriptors::{self, BoundBy, GivenDescriptor};
use crate::net::{ConnectOptions, Socket};

/// A TCP socket that is bound to its local address, and neither listens nor connects until one server or one socket
/// adopts it. Mirrors [`net.BoundSocket`].
///
/// [`Server::listen`](crate::net::Server::listen) adopts it as it is,
/// [`SocketOptions::handle`](crate::net::SocketOptions::handle) makes a socket of it that connects from its address. It
/// needs no event loop, and may go to another thread. Clones are the same socket.
///
/// ```
/// use halfclose::{EventLoop, net, net::BoundSocket};
///
/// let event_loop = EventLoop::new()?;
/// let bound = BoundSocket::new(("127.0.0.1", 0))?;
/// let address = bound.address()?;
/// let server = net::create_server(|_| {});
/// server.listen(&bound)?;
/// assert_eq!(server.address(), Some(address));
/// assert_eq!(bound.address().unwrap_err().code(), Some("ERR_SOCKET_HANDLE_ADOPTED"));
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`net.BoundSocket`]: https://nodejs.org/api/net.html#class-netboundsocket
#[derive(Clone, Debug)]
pub struct BoundSocket {
    given: GivenDescriptor,
}

impl BoundSocket {
    /// Binds, within the call. Mirrors [`new net.BoundSocket()`].
    ///
    /// `to` is a port of every IPv4 address, a `(host, port)` pair, a [`SocketAddr`], or [`BoundSocketOptions`].
    /// Nothing listens at it yet, so several of them may have the same port.
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_ARG_VALUE` when the host is no address (names are not looked up); what the system says:
    /// `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, … (`bind`).
    ///
    /// ```
    /// use halfclose::net::BoundSocket;
    ///
    /// let bound = BoundSocket::new(("127.0.0.1", 0))?;
    /// assert_ne!(bound.address()?.port(), 0);
    /// assert_eq!(BoundSocket::new(("localhost", 0)).unwrap_err().code(), Some("ERR_INVALID_ARG_VALUE"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
    pub fn new(to: impl Into<BoundSocketOptions>) -> Result<BoundSocket, Error> {
        let options = to.into();
        let host = options.host_or_default();
        let mut address = descriptors::parse_address(host).ok_or_else(|| Error::not_numeric(host))?;
        address.set_port(options.port);
        let failed = |errno| Error::with_host_port(errno, "bind", host, options.port, None);
        let descriptor = descriptors::bind(address, options.acceptor).map_err(failed)?;
        Ok(BoundSocket { given: GivenDescriptor::new(descriptor, BoundBy::BoundSocket) })
    }

    /// Where it is bound, with the port that the system chose. Mirrors [`boundSocket.address()`].
    ///
    /// # Errors
    ///
    /// `ERR_SOCKET_HANDLE_ADOPTED` when it was adopted or closed.
    ///
    /// ```
    /// use halfclose::net::BoundSocket;
    ///
    /// let bound = BoundSocket::new(("127.0.0.1", 0))?;
    /// assert!(bound.address()?.ip().is_loopback());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`boundSocket.address()`]: https://nodejs.org/api/net.html#boundsocketaddress
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.given.look(descriptors::local_address)?.ok_or_else(Error::socket_handle_adopted)
    }

    /// The number of its descriptor, to look at: it stays this socket's. Mirrors [`boundSocket.fd()`].
    ///
    /// # Errors
    ///
    /// `ERR_SOCKET_HANDLE_ADOPTED` when it was adopted or closed.
    ///
    /// ```
    /// use halfclose::net::BoundSocket;
    ///
    /// assert!(BoundSocket::new(("127.0.0.1", 0))?.fd()? >= 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`boundSocket.fd()`]: https://nodejs.org/api/net.html#boundsocketfd
    pub fn fd(&self) -> Result<RawFd, Error> {
        self.given.look(|descriptor| descriptor.as_raw_fd())
    }

    /// Gives the address up, if nobody adopted it. Dropping the last clone does it too. Mirrors
    /// [`boundSocket.close()`].
    ///
    /// # Errors
    ///
    /// `ERR_SOCKET_HANDLE_ADOPTED` when it was adopted or closed.
    ///
    /// ```
    /// use halfclose::net::BoundSocket;
    ///
    /// let bound = BoundSocket::new(("127.0.0.1", 0))?;
    /// bound.close()?;
    /// assert_eq!(bound.close().unwrap_err().code(), Some("ERR_SOCKET_HANDLE_ADOPTED"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`boundSocket.close()`]: https://nodejs.org/api/net.html#boundsocketclose
    pub fn close(&self) -> Result<(), Error> {
        self.given.take().map(drop)
    }

    pub(super) fn given(&self) -> &GivenDescriptor {
        &self.given
    }
}

/// Where a [`BoundSocket`] is bound. Mirrors the options of [`new net.BoundSocket()`].
///
/// ```
/// use halfclose::net::{BoundSocket, BoundSocketOptions};
///
/// let bound = BoundSocket::new(BoundSocketOptions::new().host("127.0.0.1").reuse_port(true))?;
/// assert!(bound.address()?.ip().is_loopback());
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
#[derive(Clone, Debug, Default)]
pub struct BoundSocketOptions {
    host: Option<String>,
    port: u16,
    acceptor: AcceptorOptions,
}

impl BoundSocketOptions {
    /// Every IPv4 address, a port that the system chooses. Mirrors the defaults of [`new net.BoundSocket()`].
    ///
    /// ```
    /// use halfclose::net::{BoundSocket, BoundSocketOptions};
    ///
    /// let bound = BoundSocket::new(BoundSocketOptions::new())?;
    /// assert_eq!(bound.address()?.ip().to_string(), "0.0.0.0");
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
    pub fn new() -> BoundSocketOptions {
        BoundSocketOptions::default()
    }

    /// The address to bind; default `0.0.0.0`, or `::` with [`ipv6_only`](BoundSocketOptions::ipv6_only). Names are not
    /// looked up. Mirrors `host` of [`new net.BoundSocket()`].
    ///
    /// ```
    /// use halfclose::net::{BoundSocket, BoundSocketOptions};
    ///
    /// let bound = BoundSocket::new(BoundSocketOptions::new().host("127.0.0.1"))?;
    /// assert_eq!(bound.address()?.ip().to_string(), "127.0.0.1");
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> BoundSocketOptions {
        self.host = Some(host.into());
        self
    }

    /// The port; 0, the default, lets the system choose a free one. Mirrors `port` of [`new net.BoundSocket()`].
    ///
    /// ```
    /// use halfclose::net::{BoundSocket, BoundSocketOptions};
    ///
    /// let first = BoundSocket::new(("127.0.0.1", 0))?;
    /// let port = first.address()?.port();
    /// let second = BoundSocket::new(BoundSocketOptions::new().host("127.0.0.1").port(port))?;
    /// assert_eq!(second.address()?.port(), port); // nothing listens there yet
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
    #[must_use]
    pub fn port(mut self, port: u16) -> BoundSocketOptions {
        self.port = port;
        self
    }

    /// On an IPv6 address: leave IPv4 alone; default false. Mirrors `ipv6Only` of [`new net.BoundSocket()`].
    ///
    /// ```
    /// use halfclose::net::{BoundSocket, BoundSocketOptions};
    ///
    /// match BoundSocket::new(BoundSocketOptions::new().ipv6_only(true)) {
    ///     Ok(bound) => assert_eq!(bound.address()?.ip().to_string(), "::"),
    ///     Err(error) => println!("no IPv6 here: {error}"),
    /// }
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
    #[must_use]
    pub fn ipv6_only(mut self, on: bool) -> BoundSocketOptions {
        self.acceptor = AcceptorOptions { ipv6_only: on, ..self.acceptor };
        self
    }

    /// Let several sockets that all say so listen on one port (`SO_REUSEPORT`); default false. Mirrors `reusePort` of
    /// [`new net.BoundSocket()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::BoundSocket, net::BoundSocketOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let options = BoundSocketOptions::new().host("127.0.0.1").reuse_port(true);
    /// let first = BoundSocket::new(options.clone())?;
    /// let second = BoundSocket::new(options.port(first.address()?.port()))?;
    /// net::create_server(|_| {}).listen(&first)?;
    /// let server = net::create_server(|_| {}).listen(&second)?;
    /// assert!(server.listening());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
    #[must_use]
    pub fn reuse_port(mut self, on: bool) -> BoundSocketOptions {
        self.acceptor = AcceptorOptions { reuse_port: on, ..self.acceptor };
        self
    }

    fn host_or_default(&self) -> &str {
        match &self.host {
            Some(host) => host,
            None if self.acceptor.ipv6_only => "::",
            None => "0.0.0.0",
        }
    }
}

impl From<u16> for BoundSocketOptions {
    fn from(port: u16) -> BoundSocketOptions {
        BoundSocketOptions::new().port(port)
    }
}

impl From<(&str, u16)> for BoundSocketOptions {
    fn from((host, port): (&str, u16)) -> BoundSocketOptions {
        BoundSocketOptions::new().host(host).port(port)
    }
}

impl From<(IpAddr, u16)> for BoundSocketOptions {
    fn from((host, port): (IpAddr, u16)) -> BoundSocketOptions {
        BoundSocketOptions::new().host(host.to_string()).port(port)
    }
}

impl From<SocketAddr> for BoundSocketOptions {
    fn from(address: SocketAddr) -> BoundSocketOptions {
        BoundSocketOptions::new().host(crate::event_loop::address_text(&address)).port(address.port())
    }
}

impl Socket {
    /// `connect()` from the address that is bound: true when the host is an address, which is tried within the call, as in
    /// Node, `connectionAttempt` included.
    pub(super) fn connect_bound(self, options: &ConnectOptions, port: u16) -> Result<bool, Error> {
        let local = options.local()?;
        if local.address.is_some() || local.port.is_some() {
            return Err(Error::bound_already());
        }
        let started = current::command(|core| core.connect_bound(self.handle, options.host_or_default(), port));
        started.unwrap_or_else(|| Err(Error::socket_closed()))
    }
}
