//! Floor 4: Node's `net`. TCP and unix-socket servers and clients, with Node's names, options, events and order of events.
//!
//! | file | subject |
//! |---|---|
//! | this one | `create_server`, `connect` |
//! | `socket` | what a [`Socket`] can do: connect, write, end, be destroyed |
//! | `reading` | its readable side |
//! | `socket_settings`, `socket_state` | what can be set on it, and what it holds for its user |
//! | `properties`, `socket_addresses` | what can be asked of it |
//! | `socket_events`, `stream_events`, `connecting_events` | its listeners |
//! | `server` | what a [`Server`] can do |
//! | `server_events` | its listeners |
//! | `pipe` | `pipe` and `unpipe` |
//! | `server_settings` | whom a server lets in, and what it makes of them |
//! | `socket_options`, `connect_options`, `server_options` | option builders and address forms |
//! | `descriptors` | sockets that somebody else opened, and giving them back |
//! | `bound_socket` | [`BoundSocket`]: bound, and not yet anything |
//! | `bounds`, `server_bounds` | how much output may wait, how long things may take, who is let in, and draining |
//! | `chunk`, `text_encoder` | what can be written, and text in other encodings |
//! | `family_selection` | what is done with names that have several addresses |
//! | `abstract_name` | names of unix sockets without a file |
//!
//! When something happens is said in Node's terms: *within the call*; *in a tick*, which is after the running callback has
//! returned and before the loop takes the next event; or in a [`Phase`](crate::Phase) of the loop's turn: the *poll phase*
//! for input, output and connections, the *timer phase*, the *closing phase*.
//!
//! Thin: each method is one call into the event loop (floor 3). It may touch that floor and the vocabulary in `error`.
//!
//! ```
//! use halfclose::{EventLoop, net};
//!
//! let mut event_loop = EventLoop::new()?;
//! let server = net::create_server(|socket| {
//!     socket.on_data(|socket, bytes| {
//!         socket.write(bytes);
//!     });
//! });
//! server.on_listening(|server| {
//!     let client = net::connect(server.address().unwrap()).unwrap();
//!     client.end_data("echo");
//!     client.on_data(|_, bytes| assert_eq!(bytes, b"echo"));
//!     client.on_close(move |_, _| {
//!         server.close();
//!     });
//! });
//! server.listen(("127.0.0.1", 0))?;
//! event_loop.run()?;
//! # Ok::<(), halfclose::Error>(())
//! ```

mod abstract_name;
mod bound_socket;
mod bounds;
mod chunk;
mod connect_options;
mod connecting_events;
mod descriptors;
mod family_selection;
mod pipe;
mod properties;
mod reading;
mod server;
mod server_bounds;
mod server_events;
mod server_options;
mod server_settings;
mod socket;
mod socket_addresses;
mod socket_events;
mod socket_options;
mod socket_settings;
mod socket_state;
mod stream_events;
mod text_encoder;

pub use crate::addresses::{BlockList, BlockListAddress, SocketAddress, SocketAddressOptions, is_ip, is_ipv4, is_ipv6};
pub use crate::event_loop::abort::{AbortController, AbortSignal};
pub use crate::event_loop::custom_lookup::{LookupAddress, LookupCallback, LookupHints, LookupRequest};
pub use crate::event_loop::events::{
    ConnectionAttempt, DroppedConnection, ErrorSource, Lookup, ServerEvent, SocketEvent,
};
pub use crate::event_loop::handles::{Server, Socket, SocketId};
pub use crate::event_loop::listeners::ListenerId;
pub use crate::event_loop::{
    Admission, BufferOverflow, ConnectionOverflow, DrainReport, Encoding, PauseReason, PeerCredentials, Timeouts,
};
pub use crate::net::abstract_name::abstract_name;
pub use crate::net::bound_socket::{BoundSocket, BoundSocketOptions};
pub use crate::net::chunk::Chunk;
pub use crate::net::connect_options::ConnectOptions;
pub use crate::net::family_selection::{
    get_default_auto_select_family, get_default_auto_select_family_attempt_timeout, set_default_auto_select_family,
    set_default_auto_select_family_attempt_timeout,
};
pub use crate::net::pipe::PipeOptions;
pub use crate::net::properties::ReadyState;
pub use crate::net::server_options::{ListenOptions, ServerOptions};
pub use crate::net::socket_options::{KeepAliveOptions, SocketOptions};
pub use crate::sys::Family;

use crate::error::Error;

#[cfg(test)]
mod tests;

/// Makes a server whose `connection` listener is `on_connection`. Mirrors [`net.createServer(listener)`].
///
/// It does not listen yet: call [`Server::listen`]. The listener is called in the poll phase, once for each connection,
/// with a socket that is connected and begins to read afterwards. A socket whose peer ends is ended too, unless
/// [`ServerOptions::allow_half_open`] says otherwise; one that has no `error` listener makes
/// [`run`](crate::EventLoop::run) return its error. The server's slot is held until [`Server::release`] or the end of
/// the loop.
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread.
///
/// ```
/// use std::sync::mpsc;
/// use halfclose::{EventLoop, net};
///
/// let mut event_loop = EventLoop::new()?;
/// let (sender, receiver) = mpsc::channel();
/// let server = net::create_server(|socket| {
///     socket.end_data("goodbye");
///     socket.server().unwrap().close();
/// });
/// assert!(!server.listening());
/// server.listen_with(("127.0.0.1", 0), |server| {
///     let client = net::connect(server.address().unwrap()).unwrap();
///     client.on_text(move |_, text| sender.send(text.to_string()).unwrap());
/// })?;
/// event_loop.run()?;
/// assert_eq!(receiver.try_recv(), Ok("goodbye".into()));
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`net.createServer(listener)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
#[track_caller]
pub fn create_server(on_connection: impl FnMut(Socket) + 'static) -> Server {
    create_server_with(ServerOptions::new(), on_connection)
}

/// [`create_server`] with options. Mirrors [`net.createServer(options, listener)`].
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread.
///
/// ```
/// use std::sync::mpsc;
/// use halfclose::{EventLoop, net};
///
/// let mut event_loop = EventLoop::new()?;
/// let (sender, receiver) = mpsc::channel();
/// let options = net::ServerOptions::new().allow_half_open(true).no_delay(true);
/// let server = net::create_server_with(options, move |socket| {
///     sender.send(socket.allow_half_open()).unwrap();
///     socket.destroy();
///     socket.server().unwrap().close();
/// });
/// server.listen_with(("127.0.0.1", 0), |server| {
///     net::connect(server.address().unwrap()).unwrap();
/// })?;
/// event_loop.run()?;
/// assert_eq!(receiver.try_recv(), Ok(true));
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`net.createServer(options, listener)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
#[track_caller]
pub fn create_server_with(options: ServerOptions, mut on_connection: impl FnMut(Socket) + 'static) -> Server {
    let server = Server::with_options(options);
    server.on_connection(move |_, socket| on_connection(socket));
    server
}

/// Makes a socket and connects it. Mirrors [`net.connect()`].
///
/// `to` is a port of `localhost`, a `(host, port)` pair, a [`SocketAddr`](std::net::SocketAddr), the
/// [`Path`](std::path::Path) of a unix socket, an [`abstract_name`], or [`ConnectOptions`]. A text alone is no address,
/// other than in Node.
///
/// Nothing is emitted within this call (except by a [`lookup`](ConnectOptions::lookup) of your own that answers at
/// once); then `lookup` for each address of a name, `connectionAttempt`, and `connect` and `ready`, or
/// `connectionAttemptFailed`, `error` and `close`: when, is said at [`Socket::connect`]. For a unix socket
/// `connectionAttempt` does belong to the call, so nobody can listen to it; use [`Socket::connect`] to see it.
///
/// # Errors
///
/// `ERR_MISSING_ARGS` without a port or a path; `ERR_INVALID_IP_ADDRESS` when the local address is not an address;
/// `ERR_OUT_OF_RANGE` for an attempt timeout below a millisecond. What the network says comes as `error` event:
/// `ECONNREFUSED`, `ENOTFOUND`, `EADDRINUSE` (`bind`), …; for a path `ENOENT`, `EACCES`, `EINVAL` (too long, or with a
/// zero byte), `EAGAIN` (the server's backlog is full), …
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread.
///
/// ```
/// use std::io::Read;
/// use halfclose::{EventLoop, net};
///
/// let mut event_loop = EventLoop::new()?;
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let socket = net::connect(("127.0.0.1", listener.local_addr()?.port()))?;
/// socket.write("hello");
/// socket.destroy_soon();
/// event_loop.run()?;
///
/// let mut received = String::new();
/// listener.accept()?.0.read_to_string(&mut received)?;
/// assert_eq!(received, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`net.connect()`]: https://nodejs.org/api/net.html#netconnect
#[track_caller]
pub fn connect(to: impl Into<ConnectOptions>) -> Result<Socket, Error> {
    let options = to.into();
    options.check()?;
    let socket = Socket::with_options(options.socket_options());
    if let Some(timeout) = options.timeout_option() {
        socket.set_timeout(timeout);
    }
    if socket.destroyed() {
        // Its signal was aborted already.
        return Ok(socket);
    }
    socket.connect(options)
}

/// [`connect`] with a one-shot `connect` listener. Mirrors [`net.connect(options, listener)`].
///
/// # Errors
///
/// As [`connect`].
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread.
///
/// ```
/// use std::io::Read;
/// use halfclose::{EventLoop, net};
///
/// let mut event_loop = EventLoop::new()?;
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// net::connect_with(listener.local_addr()?, |socket| {
///     socket.write("hello");
///     socket.destroy_soon();
/// })?;
/// event_loop.run()?;
///
/// let mut received = String::new();
/// listener.accept()?.0.read_to_string(&mut received)?;
/// assert_eq!(received, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`net.connect(options, listener)`]: https://nodejs.org/api/net.html#netconnectoptions-connectlistener
#[track_caller]
pub fn connect_with(to: impl Into<ConnectOptions>, on_connect: impl FnOnce(Socket) + 'static) -> Result<Socket, Error> {
    let options = to.into();
    options.check()?;
    let socket = Socket::with_options(options.socket_options());
    if let Some(timeout) = options.timeout_option() {
        socket.set_timeout(timeout);
    }
    if socket.destroyed() {
        // Its signal was aborted already.
        return Ok(socket);
    }
    socket.connect_with(options, on_connect)
}

/// Another name of [`connect`]. Mirrors [`net.createConnection()`].
///
/// # Errors
///
/// As [`connect`].
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread.
///
/// ```
/// use halfclose::{EventLoop, net};
///
/// let mut event_loop = EventLoop::new()?;
/// let socket = net::create_connection(("127.0.0.1", 1))?;
/// assert!(socket.connecting());
/// socket.on_error(|_, error| assert_eq!(error.message(), "connect ECONNREFUSED 127.0.0.1:1"));
/// event_loop.run()?;
/// assert!(socket.destroyed());
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`net.createConnection()`]: https://nodejs.org/api/net.html#netcreateconnection
#[track_caller]
pub fn create_connection(to: impl Into<ConnectOptions>) -> Result<Socket, Error> {
    connect(to)
}

/// The example on the page on security: it is compiled with those of this module.
#[cfg(doctest)]
#[doc = include_str!("../../SECURITY.md")]
mod security {}
