//! Sockets that somebody else opened, and giving them back.
//!
//! It may touch the event loop's commands. Invariant: what was given is owned from then on, and closed or given back.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;

use crate::error::Error;
use crate::event_loop::current;
use crate::event_loop::descriptors::{BoundBy, GivenDescriptor, Kind};
use crate::net::{BoundSocket, ListenOptions, Socket, SocketOptions};

impl SocketOptions {
    /// A connection that exists already: a [`TcpStream`], a [`UnixStream`](std::os::unix::net::UnixStream), or the
    /// descriptor of one. Mirrors `fd` of [`new net.Socket()`].
    ///
    /// The socket made of it is connected and reads from the start; `connect` and `ready` are not emitted. The
    /// descriptor is owned from now on, becomes non-blocking (for all who have a copy of it) and closed on exec. It
    /// makes one socket: a second one made with a clone of these options fails with `ERR_SOCKET_HANDLE_ADOPTED`, as
    /// `error` event. The options [`no_delay`](SocketOptions::no_delay) and [`keep_alive`](SocketOptions::keep_alive)
    /// are set, which Node leaves to a `connect` that never comes.
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_FD_TYPE` when it is no TCP or unix stream socket; it is closed then. Node takes a fifo, too.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket, net::SocketOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// let socket = Socket::with_options(SocketOptions::new().fd(stream)?.allow_half_open(true));
    /// assert!(!socket.pending());
    /// socket.destroy();
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`new net.Socket()`]: https://nodejs.org/api/net.html#new-netsocketoptions
    pub fn fd(mut self, descriptor: impl Into<OwnedFd>) -> Result<SocketOptions, Error> {
        let descriptor = descriptor.into();
        let kind = Kind::of(descriptor.as_fd());
        if kind.transport().is_none() {
            return Err(Error::invalid_fd_type(kind.name()));
        }
        self.given = Some(GivenDescriptor::new(descriptor, BoundBy::Stranger));
        Ok(self)
    }

    /// A bound socket to connect from; it is adopted by these options. Mirrors `handle` of [`new net.Socket()`] with a
    /// `net.BoundSocket`.
    ///
    /// The socket made of it waits for its [`connect`](Socket::connect). To an address that is issued within the call,
    /// so that [`local_address`](Socket::local_address) is known on return; of a name only one address is tried. Before
    /// it, a write fails with `ERR_SOCKET_CLOSED`, where Node tries and fails with `EPIPE`.
    ///
    /// What it is bound to decides how the socket connects: with a path, to a path only; else to a port, whatever path is
    /// given to `connect`.
    ///
    /// # Errors
    ///
    /// `ERR_SOCKET_HANDLE_ADOPTED` when it was adopted or closed before.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use halfclose::{EventLoop, net::BoundSocket, net::BoundSocketOptions, net::Socket, net::SocketOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let bound = BoundSocket::new(BoundSocketOptions::new().host("127.0.0.1"))?;
    /// let address = bound.address()?;
    /// let socket = Socket::with_options(SocketOptions::new().handle(&bound)?);
    /// socket.connect_with(listener.local_addr()?, |socket| {
    ///     socket.destroy();
    /// })?;
    /// event_loop.run()?;
    /// assert_eq!(Some(listener.accept()?.1), address);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`new net.Socket()`]: https://nodejs.org/api/net.html#new-netsocketoptions
    pub fn handle(mut self, bound: &BoundSocket) -> Result<SocketOptions, Error> {
        self.given = Some(GivenDescriptor::new(bound.given().take()?, BoundBy::BoundSocket));
        Ok(self)
    }
}

impl ListenOptions {
    /// A socket that is bound already, and may be listening: a [`TcpListener`], a
    /// [`UnixListener`](std::os::unix::net::UnixListener), or its descriptor, for instance one that this process
    /// inherited. Mirrors `fd` of [`server.listen(handle)`].
    ///
    /// It wins over port and host. The server listens when `listen` returns, and `listening` follows in a tick. The
    /// file of a unix socket stays when the server closes. What cannot listen makes an `error`:
    /// `listen EINVAL: invalid argument`. The descriptor becomes non-blocking (for all who have a copy of it) and
    /// closed on exec. It serves one `listen`: a second one with a clone of these options is
    /// `ERR_SOCKET_HANDLE_ADOPTED`.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ListenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// let server = net::create_server(|_| {});
    /// server.listen(ListenOptions::new().fd(listener).backlog(64))?;
    /// assert_eq!(server.address(), Some(address));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`server.listen(handle)`]: https://nodejs.org/api/net.html#serverlistenhandle-backlog-callback
    #[must_use]
    pub fn fd(mut self, descriptor: impl Into<OwnedFd>) -> ListenOptions {
        self.given = Some(GivenDescriptor::new(descriptor.into(), BoundBy::Stranger));
        self
    }

    /// A bound socket; the `listen` that succeeds with it adopts it. Mirrors `handle` of [`server.listen(handle)`] with
    /// a `net.BoundSocket`.
    ///
    /// It wins over port, host and path, and `readable_all`, `writable_all` and `mode` mean nothing for it. One that was
    /// adopted or closed before makes `listen` an `Err`, `ERR_SOCKET_HANDLE_ADOPTED`.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::BoundSocket, net::BoundSocketOptions, net::ListenOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let bound = BoundSocket::new(BoundSocketOptions::new().host("127.0.0.1"))?;
    /// let address = bound.address()?;
    /// let server = net::create_server(|_| {});
    /// server.listen(ListenOptions::new().handle(&bound))?;
    /// assert_eq!(server.address(), address);
    /// assert!(bound.address().is_err(), "adopted");
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listen(handle)`]: https://nodejs.org/api/net.html#serverlistenhandle-backlog-callback
    #[must_use]
    pub fn handle(mut self, bound: &BoundSocket) -> ListenOptions {
        self.given = Some(bound.given().clone());
        self
    }
}

/// As [`ListenOptions::fd`].
impl From<TcpListener> for ListenOptions {
    fn from(listener: TcpListener) -> ListenOptions {
        ListenOptions::new().fd(listener)
    }
}

/// As [`ListenOptions::fd`].
impl From<UnixListener> for ListenOptions {
    fn from(listener: UnixListener) -> ListenOptions {
        ListenOptions::new().fd(listener)
    }
}

/// As [`ListenOptions::handle`].
impl From<&BoundSocket> for ListenOptions {
    fn from(bound: &BoundSocket) -> ListenOptions {
        ListenOptions::new().handle(bound)
    }
}

/// In and out. On a freed handle there is nothing to take: `ERR_WORKER_HANDLE_NOT_TRANSFERABLE`.
impl Socket {
    /// A socket of a connection that exists already. Mirrors `fd` of [`new net.Socket()`]; with other options, see
    /// [`SocketOptions::fd`].
    ///
    /// It is connected and reads from the start; `connect` and `ready` are not emitted. A system that cannot watch it
    /// makes an `error` (`open ENOSPC`, …).
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_FD_TYPE` when it is no TCP socket, whatever its type says.
    ///
    /// # Panics
    ///
    /// Without an [`EventLoop`](crate::EventLoop) on this thread.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::net::{TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let mut peer = TcpStream::connect(listener.local_addr()?)?;
    /// let socket = Socket::from_std(listener.accept()?.0)?;
    /// let (sender, receiver) = mpsc::channel();
    /// socket.on_data(move |_, bytes| sender.send(bytes.to_vec()).unwrap());
    /// peer.write_all(b"hello")?;
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>().concat(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`new net.Socket()`]: https://nodejs.org/api/net.html#new-netsocketoptions
    #[track_caller]
    pub fn from_std(stream: TcpStream) -> Result<Socket, Error> {
        Ok(Socket::with_options(SocketOptions::new().fd(stream)?))
    }

    /// Takes the connection away from the loop: its stream, and the bytes that were read ahead and not consumed. Not in
    /// Node; its nearest is the transfer of a socket to another thread, before anything was read.
    ///
    /// The connection goes on; the peer notices nothing. The stream is non-blocking still. This socket is destroyed,
    /// and `close` follows in a tick. Bytes that a `data` listener is being given when it calls this are delivered:
    /// they are not among those returned.
    ///
    /// # Errors
    ///
    /// `ERR_WORKER_HANDLE_NOT_TRANSFERABLE`, and nothing changes, when there is no connection, output waits to be sent,
    /// an [`end`](Socket::end) is under way, or an encoding is set. `ERR_INVALID_FD_TYPE` for a unix socket: see
    /// [`into_fd`](Socket::into_fd).
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (stream, read_ahead) = socket.into_std()?;
    /// stream.set_nonblocking(false)?;
    /// assert!(read_ahead.is_empty());
    /// assert!(socket.destroyed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_std(self) -> Result<(TcpStream, Vec<u8>), Error> {
        let (descriptor, read_ahead) = self.detach(true)?;
        Ok((TcpStream::from(descriptor), read_ahead))
    }

    /// [`into_std`](Socket::into_std) as a bare descriptor, of unix sockets too. A file that it was bound to stays. Not in
    /// Node.
    ///
    /// # Errors
    ///
    /// `ERR_WORKER_HANDLE_NOT_TRANSFERABLE`, as [`into_std`](Socket::into_std).
    ///
    /// ```
    /// use std::io::Write;
    /// use std::os::unix::net::UnixStream;
    /// use halfclose::{EventLoop, net::Socket, net::SocketOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (mut one, other) = UnixStream::pair()?;
    /// let socket = Socket::with_options(SocketOptions::new().fd(other)?);
    /// let (descriptor, read_ahead) = socket.into_fd()?;
    /// assert!(read_ahead.is_empty());
    /// // Still the other end.
    /// one.write_all(b"hello")?;
    /// drop(UnixStream::from(descriptor));
    /// assert!(one.write_all(b"nobody there").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_fd(self) -> Result<(OwnedFd, Vec<u8>), Error> {
        self.detach(false)
    }

    fn detach(self, only_tcp: bool) -> Result<(OwnedFd, Vec<u8>), Error> {
        current::with(|core| core.detach(self.handle, only_tcp)).unwrap_or_else(|| Err(Error::not_transferable()))
    }
}
