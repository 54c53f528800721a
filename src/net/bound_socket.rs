//! [`BoundSocket`]: a socket that has its local address, and is not yet a server's or a client's.
//!
//! It may touch the event loop's commands. Invariant: until it is adopted or closed it owns its descriptor, and drops it
//! with the last of its clones.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::event_loop::current;
use crate::event_loop::descriptors::{self, Adoptable, BoundBy, GivenDescriptor};
use crate::event_loop::{AcceptorOptions, is_abstract};
use crate::net::{ConnectOptions, Socket};

/// A TCP or unix socket that is bound to its local address, and neither listens nor connects until one server or one
/// socket adopts it. Mirrors [`net.BoundSocket`].
///
/// [`Server::listen`](crate::net::Server::listen) adopts it as it is,
/// [`SocketOptions::handle`](crate::net::SocketOptions::handle) makes a socket of it that connects from its address. It
/// needs no event loop, and may go to another thread. Clones are the same socket.
///
/// The file of a path is there from the start. It belongs to whoever has the socket: it is removed when the bound
/// socket is closed or the last of its clones is dropped, when the server that adopted it closes, when the socket that
/// adopted it is destroyed, and never when another file has taken its name meanwhile.
///
/// ```
/// use halfclose::{EventLoop, net, net::BoundSocket};
///
/// let event_loop = EventLoop::new()?;
/// let bound = BoundSocket::new(("127.0.0.1", 0))?;
/// let address = bound.address()?;
/// let server = net::create_server(|_| {});
/// server.listen(&bound)?;
/// assert_eq!(server.address(), address);
/// assert_eq!(bound.address().unwrap_err().code(), Some("ERR_SOCKET_HANDLE_ADOPTED"));
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`net.BoundSocket`]: https://nodejs.org/api/net.html#class-netboundsocket
#[derive(Clone, Debug)]
pub struct BoundSocket {
    given: GivenDescriptor,
    is_pipe: bool,
}

impl BoundSocket {
    /// Binds, within the call. Mirrors [`new net.BoundSocket()`].
    ///
    /// `to` is a port of every IPv4 address, a `(host, port)` pair, a [`SocketAddr`], the [`Path`] of a unix socket, an
    /// [`abstract_name`](crate::net::abstract_name), or [`BoundSocketOptions`]. Nothing listens at it yet, so several
    /// of them may have the same port; but only one has a path.
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_ARG_VALUE` when the host is no address (names are not looked up), when there is a path beside a
    /// port, a host, `ipv6_only` or `reuse_port`, and for an abstract name where the system has none; what the system
    /// says: `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, … (`bind`). At a path, what exists there already is `EADDRINUSE`,
    /// a directory that is missing `EACCES`, a path that is empty or too long (108 bytes on Linux, 104 elsewhere) or
    /// has a zero byte `EINVAL`.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::BoundSocket, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("halfclose-doc-bound-{}.sock", std::process::id()));
    /// let bound = BoundSocket::new(&path)?;
    /// assert!(bound.is_pipe() && path.exists());
    /// let server = Server::new();
    /// server.listen(&bound)?;
    /// assert_eq!(server.path(), Some(path.clone()));
    /// server.close();
    /// assert!(!path.exists());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
    pub fn new(to: impl Into<BoundSocketOptions>) -> Result<BoundSocket, Error> {
        let options = to.into();
        let descriptor = match &options.path {
            Some(path) => options.bind_path(path)?,
            None => options.bind_address()?,
        };
        let given = GivenDescriptor::new(descriptor, BoundBy::BoundSocket);
        Ok(BoundSocket { given, is_pipe: options.path.is_some() })
    }

    /// Where it is bound, with the port that the system chose; `None` for a unix socket, of which
    /// [`path`](BoundSocket::path) tells. Mirrors [`boundSocket.address()`].
    ///
    /// # Errors
    ///
    /// `ERR_SOCKET_HANDLE_ADOPTED` when it was adopted or closed.
    ///
    /// ```
    /// use halfclose::net::BoundSocket;
    ///
    /// let bound = BoundSocket::new(("127.0.0.1", 0))?;
    /// assert_ne!(bound.address()?.unwrap().port(), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`boundSocket.address()`]: https://nodejs.org/api/net.html#boundsocketaddress
    pub fn address(&self) -> Result<Option<SocketAddr>, Error> {
        self.given.look(Adoptable::local_address)
    }

    /// The path, or the [`abstract_name`](crate::net::abstract_name), as it was given; `None` for a TCP socket. Mirrors
    /// [`boundSocket.address()`] of a socket with a path.
    ///
    /// # Errors
    ///
    /// `ERR_SOCKET_HANDLE_ADOPTED` when it was adopted or closed.
    ///
    /// ```
    /// use halfclose::net::BoundSocket;
    ///
    /// let path = std::env::temp_dir().join(format!("halfclose-doc-bound-path-{}.sock", std::process::id()));
    /// let bound = BoundSocket::new(&path)?;
    /// assert_eq!((bound.path()?, bound.address()?), (Some(path), None));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`boundSocket.address()`]: https://nodejs.org/api/net.html#boundsocketaddress
    pub fn path(&self) -> Result<Option<PathBuf>, Error> {
        self.given.look(|descriptor| descriptor.name().map(|name| name.path().to_owned()))
    }

    /// Whether it is a unix socket, also after it was adopted or closed. Mirrors `isPipe` of [`net.BoundSocket`].
    ///
    /// ```
    /// use halfclose::net::BoundSocket;
    ///
    /// assert!(!BoundSocket::new(("127.0.0.1", 0))?.is_pipe());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.BoundSocket`]: https://nodejs.org/api/net.html#class-netboundsocket
    pub fn is_pipe(&self) -> bool {
        self.is_pipe
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
        self.given.look(Adoptable::number)
    }

    /// Gives the address up, if nobody adopted it, and removes the file of a path. Dropping the last clone does it too.
    /// Mirrors [`boundSocket.close()`].
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
/// assert!(bound.address()?.unwrap().ip().is_loopback());
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
#[derive(Clone, Debug, Default)]
pub struct BoundSocketOptions {
    host: Option<String>,
    port: Option<u16>,
    ipv6_only: Option<bool>,
    reuse_port: Option<bool>,
    path: Option<PathBuf>,
}

impl BoundSocketOptions {
    /// Every IPv4 address, a port that the system chooses. Mirrors the defaults of [`new net.BoundSocket()`].
    ///
    /// ```
    /// use halfclose::net::{BoundSocket, BoundSocketOptions};
    ///
    /// let bound = BoundSocket::new(BoundSocketOptions::new())?;
    /// assert_eq!(bound.address()?.unwrap().ip().to_string(), "0.0.0.0");
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
    pub fn new() -> BoundSocketOptions {
        BoundSocketOptions::default()
    }

    /// The unix socket to bind: a path, or an [`abstract_name`](crate::net::abstract_name). Nothing else may be set
    /// beside it. Mirrors `path` of [`new net.BoundSocket()`].
    ///
    /// ```
    /// use halfclose::net::{BoundSocket, BoundSocketOptions};
    ///
    /// let path = std::env::temp_dir().join(format!("halfclose-doc-bound-option-{}.sock", std::process::id()));
    /// let options = BoundSocketOptions::new().path(&path);
    /// assert_eq!(BoundSocket::new(options.clone().port(80)).unwrap_err().code(), Some("ERR_INVALID_ARG_VALUE"));
    /// let bound = BoundSocket::new(options)?;
    /// assert!(path.exists());
    /// bound.close()?;
    /// assert!(!path.exists());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
    #[must_use]
    pub fn path(mut self, path: impl Into<PathBuf>) -> BoundSocketOptions {
        self.path = Some(path.into());
        self
    }

    /// The address to bind; default `0.0.0.0`, or `::` with [`ipv6_only`](BoundSocketOptions::ipv6_only). Names are not
    /// looked up. Mirrors `host` of [`new net.BoundSocket()`].
    ///
    /// ```
    /// use halfclose::net::{BoundSocket, BoundSocketOptions};
    ///
    /// let bound = BoundSocket::new(BoundSocketOptions::new().host("127.0.0.1"))?;
    /// assert_eq!(bound.address()?.unwrap().ip().to_string(), "127.0.0.1");
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
    /// let port = first.address()?.unwrap().port();
    /// let second = BoundSocket::new(BoundSocketOptions::new().host("127.0.0.1").port(port))?;
    /// assert_eq!(second.address()?, first.address()?); // nothing listens there yet
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
    #[must_use]
    pub fn port(mut self, port: u16) -> BoundSocketOptions {
        self.port = Some(port);
        self
    }

    /// On an IPv6 address: leave IPv4 alone; default false. Mirrors `ipv6Only` of [`new net.BoundSocket()`].
    ///
    /// ```
    /// use halfclose::net::{BoundSocket, BoundSocketOptions};
    ///
    /// match BoundSocket::new(BoundSocketOptions::new().ipv6_only(true)) {
    ///     Ok(bound) => assert_eq!(bound.address()?.unwrap().ip().to_string(), "::"),
    ///     Err(error) => println!("no IPv6 here: {error}"),
    /// }
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
    #[must_use]
    pub fn ipv6_only(mut self, on: bool) -> BoundSocketOptions {
        self.ipv6_only = Some(on);
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
    /// let second = BoundSocket::new(options.port(first.address()?.unwrap().port()))?;
    /// net::create_server(|_| {}).listen(&first)?;
    /// let server = net::create_server(|_| {}).listen(&second)?;
    /// assert!(server.listening());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.BoundSocket()`]: https://nodejs.org/api/net.html#class-netboundsocket
    #[must_use]
    pub fn reuse_port(mut self, on: bool) -> BoundSocketOptions {
        self.reuse_port = Some(on);
        self
    }

    fn bind_address(&self) -> Result<Adoptable, Error> {
        let ipv6_only = self.ipv6_only.unwrap_or(false);
        let host = match &self.host {
            Some(host) => host,
            None if ipv6_only => "::",
            None => "0.0.0.0",
        };
        let port = self.port.unwrap_or(0);
        let mut address = descriptors::parse_address(host).ok_or_else(|| Error::not_numeric(host))?;
        address.set_port(port);
        let options = AcceptorOptions { ipv6_only, reuse_port: self.reuse_port.unwrap_or(false), defer_accept: None };
        let failed = |errno| Error::with_host_port(errno, "bind", host, port, None);
        descriptors::bind(address, options).map_err(failed)
    }

    fn bind_path(&self, path: &Path) -> Result<Adoptable, Error> {
        let text = path.to_string_lossy();
        let others =
            self.host.is_some() || self.port.is_some() || self.ipv6_only.is_some() || self.reuse_port.is_some();
        if others {
            return Err(Error::path_is_exclusive(&self.inspected(&text)));
        }
        if text.starts_with('\0') && !is_abstract(path) {
            return Err(Error::abstract_names_are_linux_only(&text));
        }
        descriptors::bind_path(path).map_err(|errno| Error::exception(errno, "bind"))
    }

    /// These options as Node shows an object.
    fn inspected(&self, path: &str) -> String {
        let others = [
            ("host", self.host.as_ref().map(|host| format!("'{host}'"))),
            ("port", self.port.map(|port| port.to_string())),
            ("ipv6Only", self.ipv6_only.map(|on| on.to_string())),
            ("reusePort", self.reuse_port.map(|on| on.to_string())),
        ];
        let mut text = format!("{{ path: '{}'", path.replace('\0', "\\x00"));
        for (name, value) in others {
            if let Some(value) = value {
                text.push_str(&format!(", {name}: {value}"));
            }
        }
        text + " }"
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

impl From<&Path> for BoundSocketOptions {
    fn from(path: &Path) -> BoundSocketOptions {
        BoundSocketOptions::new().path(path)
    }
}

impl From<&PathBuf> for BoundSocketOptions {
    fn from(path: &PathBuf) -> BoundSocketOptions {
        BoundSocketOptions::new().path(path)
    }
}

impl From<PathBuf> for BoundSocketOptions {
    fn from(path: PathBuf) -> BoundSocketOptions {
        BoundSocketOptions::new().path(path)
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
