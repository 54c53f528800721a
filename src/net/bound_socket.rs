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

/// A TCP socket that is bound to its local address, and neither listens nor connects until one server or one socket adopts
/// it. Mirrors `net.BoundSocket`.
///
/// [`Server::listen`](crate::net::Server::listen) adopts it as it is, [`SocketOptions::handle`] makes a socket of it that
/// connects from its address. It needs no event loop, and may go to another thread. Clones are the same socket.
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
/// [`SocketOptions::handle`]: crate::net::SocketOptions::handle
#[derive(Clone, Debug)]
pub struct BoundSocket {
    given: GivenDescriptor,
}

impl BoundSocket {
    /// Binds. Mirrors `new net.BoundSocket(options)`.
    ///
    /// `to` is a port of every IPv4 address, a `(host, port)` pair, a [`SocketAddr`], or [`BoundSocketOptions`]. Nothing
    /// listens at it yet, so several of them may have the same port.
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_ARG_VALUE` when the host is no address (names are not looked up); what the system says: `EADDRINUSE`,
    /// `EADDRNOTAVAIL`, `EACCES`, … (`bind`).
    pub fn new(to: impl Into<BoundSocketOptions>) -> Result<BoundSocket, Error> {
        let options = to.into();
        let host = options.host_or_default();
        let mut address = descriptors::parse_address(host).ok_or_else(|| Error::not_numeric(host))?;
        address.set_port(options.port);
        let failed = |errno| Error::with_host_port(errno, "bind", host, options.port, None);
        let descriptor = descriptors::bind(address, options.acceptor).map_err(failed)?;
        Ok(BoundSocket { given: GivenDescriptor::new(descriptor, BoundBy::BoundSocket) })
    }

    /// Where it is bound, with the port that the system chose. Mirrors `boundSocket.address()`.
    ///
    /// # Errors
    ///
    /// `ERR_SOCKET_HANDLE_ADOPTED` when it was adopted or closed.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.given.look(descriptors::local_address)?.ok_or_else(Error::socket_handle_adopted)
    }

    /// The number of its descriptor, to look at: it stays this socket's. Mirrors `boundSocket.fd()`.
    ///
    /// # Errors
    ///
    /// `ERR_SOCKET_HANDLE_ADOPTED` when it was adopted or closed.
    pub fn fd(&self) -> Result<RawFd, Error> {
        self.given.look(|descriptor| descriptor.as_raw_fd())
    }

    /// Gives the address up, if nobody adopted it. Dropping the last clone does it too. Mirrors `boundSocket.close()`.
    ///
    /// # Errors
    ///
    /// `ERR_SOCKET_HANDLE_ADOPTED` when it was adopted or closed.
    pub fn close(&self) -> Result<(), Error> {
        self.given.take().map(drop)
    }

    pub(super) fn given(&self) -> &GivenDescriptor {
        &self.given
    }
}

/// Where a [`BoundSocket`] is bound. Mirrors the options of `new net.BoundSocket()`.
#[derive(Clone, Debug, Default)]
pub struct BoundSocketOptions {
    host: Option<String>,
    port: u16,
    acceptor: AcceptorOptions,
}

impl BoundSocketOptions {
    /// Every IPv4 address, a port that the system chooses.
    pub fn new() -> BoundSocketOptions {
        BoundSocketOptions::default()
    }

    /// The address to bind; default `0.0.0.0`, or `::` with [`ipv6_only`](BoundSocketOptions::ipv6_only). Names are not
    /// looked up. Mirrors `host`.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> BoundSocketOptions {
        self.host = Some(host.into());
        self
    }

    /// The port; 0, the default, lets the system choose a free one. Mirrors `port`.
    #[must_use]
    pub fn port(mut self, port: u16) -> BoundSocketOptions {
        self.port = port;
        self
    }

    /// On an IPv6 address: leave IPv4 alone; default false. Mirrors `ipv6Only`.
    #[must_use]
    pub fn ipv6_only(mut self, on: bool) -> BoundSocketOptions {
        self.acceptor = AcceptorOptions { ipv6_only: on, ..self.acceptor };
        self
    }

    /// Let several sockets that all say so listen on one port (`SO_REUSEPORT`); default false. Mirrors `reusePort`.
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
