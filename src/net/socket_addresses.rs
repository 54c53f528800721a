//! The addresses of a [`Socket`]: the peer's, its own, and those that were tried; and who the peer is.
//!
//! It may touch the event loop's commands. A stale handle has none.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::event_loop::{Connection, current};
use crate::net::{Family, PeerCredentials, Socket};

/// Addresses.
///
/// A unix socket has none but a path, and a freed handle has none at all: `None` then.
impl Socket {
    /// The peer's address. Mirrors [`socket.remoteAddress`].
    ///
    /// Read from the system when it is first asked for while connected, and remembered until the next connection, so a
    /// socket that is first asked after `close` knows nothing; [`peer_addr`](Socket::peer_addr) does. On a dual-stack
    /// server IPv4 peers have mapped addresses (`::ffff:127.0.0.1`). A zone (`%eth0`) is not shown.
    ///
    /// ```
    /// use std::net::{Ipv4Addr, TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// assert_eq!(socket.remote_address(), Some(Ipv4Addr::LOCALHOST.into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.remoteAddress`]: https://nodejs.org/api/net.html#socketremoteaddress
    pub fn remote_address(self) -> Option<IpAddr> {
        self.read_remote_address().map(|address| address.ip())
    }

    /// The peer's port; read and remembered as [`remote_address`](Socket::remote_address) is. Mirrors
    /// [`socket.remotePort`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// assert_eq!(socket.remote_port(), Some(listener.local_addr()?.port()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.remotePort`]: https://nodejs.org/api/net.html#socketremoteport
    pub fn remote_port(self) -> Option<u16> {
        self.read_remote_address().map(|address| address.port())
    }

    /// The family of the peer's address; read and remembered as [`remote_address`](Socket::remote_address) is. Mirrors
    /// [`socket.remoteFamily`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Family, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// assert_eq!(socket.remote_family(), Some(Family::IPv4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.remoteFamily`]: https://nodejs.org/api/net.html#socketremotefamily
    pub fn remote_family(self) -> Option<Family> {
        self.read_remote_address().map(|address| Family::of(&address))
    }

    /// The peer's address and port, from the moment of connecting until the slot is freed or connects again, whether or
    /// not they were asked for before. Not in Node, which has [`remote_address`](Socket::remote_address) only.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// socket.destroy();
    /// assert_eq!(socket.peer_addr(), Some(listener.local_addr()?));
    /// assert_eq!(socket.remote_address(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peer_addr(self) -> Option<SocketAddr> {
        self.ask(None, |connection| connection.peer())
    }

    /// Who is at the other end of a unix socket: process, user and group, as the kernel noted them when the connection
    /// came about (`SO_PEERCRED`, see unix(7); getpeereid(3) outside of Linux). Not in Node; other libraries call it
    /// `peer_cred`.
    ///
    /// From `connect` on, and on an accepted socket from the start; also when the peer has gone. `None` without a
    /// connection, when it is over, and for TCP, whose kernel knows no such thing: so who lets in whom they are sure of
    /// turns everybody else away. In a [simulation](crate::EventLoop::simulated) everybody is process 1000 of user and
    /// group 1000.
    ///
    /// ```
    /// # // Not on other systems.
    /// # #[cfg(target_os = "linux")] {
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("halfclose-doc-credentials-{}.sock", std::process::id()));
    /// let server = net::create_server(|socket| {
    ///     match socket.peer_credentials() {
    ///         Some(peer) if peer.pid == Some(std::process::id()) => socket.end_data("welcome"),
    ///         _ => socket.destroy(),
    ///     };
    ///     socket.server().unwrap().close();
    /// });
    /// server.listen(&path)?;
    /// let client = net::connect(&path)?;
    /// client.on_text(|_, text| assert_eq!(text, "welcome"));
    /// event_loop.run()?;
    /// assert_eq!(client.peer_credentials(), None); // it is over
    /// # }
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn peer_credentials(self) -> Option<PeerCredentials> {
        self.ask(None, |connection| connection.peer_credentials())
    }

    fn read_remote_address(self) -> Option<SocketAddr> {
        self.ask(None, Connection::remote_address)
    }

    /// This end's address; `None` without a connection. Mirrors [`socket.localAddress`].
    ///
    /// A zone (`%eth0`) is not shown; [`address`](Socket::address) carries it as scope id.
    ///
    /// ```
    /// use std::net::{Ipv4Addr, TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// assert_eq!(socket.local_address(), Some(Ipv4Addr::LOCALHOST.into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.localAddress`]: https://nodejs.org/api/net.html#socketlocaladdress
    pub fn local_address(self) -> Option<IpAddr> {
        self.address().map(|address| address.ip())
    }

    /// This end's port; `None` without a connection. Mirrors [`socket.localPort`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, address) = listener.accept()?;
    /// assert_eq!(socket.local_port(), Some(address.port()));
    /// socket.destroy();
    /// assert_eq!(socket.local_port(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.localPort`]: https://nodejs.org/api/net.html#socketlocalport
    pub fn local_port(self) -> Option<u16> {
        self.address().map(|address| address.port())
    }

    /// The family of this end's address; `None` without a connection. Mirrors [`socket.localFamily`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Family, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// assert_eq!(socket.local_family(), Some(Family::IPv4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.localFamily`]: https://nodejs.org/api/net.html#socketlocalfamily
    pub fn local_family(self) -> Option<Family> {
        self.address().map(|address| Family::of(&address))
    }

    /// This end's address and port together; `None` without a connection, where Node gives an empty object. Mirrors
    /// [`socket.address()`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, address) = listener.accept()?;
    /// assert_eq!(socket.address(), Some(address));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.address()`]: https://nodejs.org/api/net.html#socketaddress
    pub fn address(self) -> Option<SocketAddr> {
        self.ask(None, |connection| connection.local_address())
    }

    /// The addresses that the latest connect with several of them tried, as `address:port` and in their order. Mirrors
    /// [`socket.autoSelectFamilyAttemptedAddresses`].
    ///
    /// `None` before such a connect: only a name with two addresses or more makes one.
    ///
    /// ```
    /// use std::net::{IpAddr, TcpListener};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::ConnectOptions, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let port = listener.local_addr()?.port();
    /// let addresses = ["127.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap());
    /// let (sender, receiver) = mpsc::channel();
    /// let socket = Socket::new();
    /// assert_eq!(socket.auto_select_family_attempted_addresses(), None);
    /// socket.on_connect(move |socket| {
    ///     sender.send(socket.auto_select_family_attempted_addresses().unwrap()).unwrap();
    ///     socket.destroy();
    /// });
    /// socket.connect(ConnectOptions::new().host("both.example").port(port).lookup(move |_, callback| callback.resolve(addresses)))?;
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(vec![format!("127.0.0.1:{port}")]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.autoSelectFamilyAttemptedAddresses`]: https://nodejs.org/api/net.html#socketautoselectfamilyattemptedaddresses
    pub fn auto_select_family_attempted_addresses(self) -> Option<Vec<String>> {
        current::with(|core| core.reactor.attempted_addresses(self.handle)).flatten()
    }

    /// The path, or the [`abstract_name`](crate::net::abstract_name), that its [`BoundSocket`](crate::net::BoundSocket) was
    /// bound to: as it was given, while there is a connection, or before the first one. `None` for every other socket. The
    /// other half of [`socket.localAddress`] and `socket.address()`.
    ///
    /// ```
    /// use halfclose::EventLoop;
    /// use halfclose::net::{BoundSocket, BoundSocketOptions, Socket, SocketOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("halfclose-local-path-{}", std::process::id()));
    /// let bound = BoundSocket::new(BoundSocketOptions::new().path(&path))?;
    /// let socket = Socket::with_options(SocketOptions::new().handle(&bound)?);
    /// assert_eq!(socket.local_path(), Some(path));
    /// assert_eq!(Socket::new().local_path(), None);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.localAddress`]: https://nodejs.org/api/net.html#socketlocaladdress
    pub fn local_path(self) -> Option<PathBuf> {
        self.ask(None, |connection| connection.local_path().map(Path::to_owned))
    }
}
