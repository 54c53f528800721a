//! The crate's one error type, with the members and messages of Node's errors.
//!
//! Root vocabulary, below every floor: it may use `std` and the system's error numbers (`sys::errno`), and every floor
//! may use it.
//!
//! Invariants: an [`Error`] never changes once others can see it, so clones share it; messages are Node's, to the
//! letter; `errno` is negative, as in Node.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

pub(crate) use crate::sys::errno::Errno;

/// What went wrong, as Node would tell it: a code, a message, and where they apply the system's error number, the
/// system call and the addresses involved. Mirrors Node's `Error` with the members of its [`class SystemError`].
///
/// It comes as an `Err` where Node throws, as the argument of an `error` listener where Node emits, and to the
/// callbacks of `write` and `end`. Cloning is cheap. What the user gave to `destroy_with` or `abort_with` is the
/// `source()`.
///
/// | code | when |
/// |---|---|
/// | `ECONNREFUSED`, `ENETUNREACH`, `EADDRNOTAVAIL`, … | connecting failed |
/// | `ETIMEDOUT` | connecting failed, or an address had its time and was given up, or keep-alive probes were not answered |
/// | `ENOTFOUND`, `EAI_AGAIN`, … | a name could not be looked up |
/// | `ECONNRESET`, `EPIPE` | the peer reset the connection, or writes to one that is gone |
/// | `EADDRINUSE`, `EACCES` | an address is taken, or forbidden |
/// | `ENOENT`, `EINVAL`, `EAGAIN` | a unix socket: no such path, an impossible one, a full backlog |
/// | `ECANCELED` | a write that `destroy` cut short |
/// | `EISCONN`, `EALREADY` | `connect` on a connected socket, or on a connecting one |
/// | `ERR_SOCKET_CLOSED`, `ERR_SOCKET_CLOSED_BEFORE_CONNECTION` | a write without a connection, or one that never came |
/// | `ERR_STREAM_WRITE_AFTER_END`, `ERR_STREAM_DESTROYED`, `ERR_STREAM_ALREADY_FINISHED`, `ERR_STREAM_UNSHIFT_AFTER_END_EVENT` | a call that comes too late |
/// | `ERR_SERVER_ALREADY_LISTEN`, `ERR_SERVER_NOT_RUNNING` | a server's `listen` or `close` at the wrong time |
/// | `ERR_IP_BLOCKED` | a block list |
/// | `ERR_SOCKET_CONNECTION_TIMEOUT`, `ERR_SOCKET_FIRST_BYTE_TIMEOUT`, `ERR_SOCKET_IDLE_TIMEOUT`, `ERR_SOCKET_WRITE_STALL_TIMEOUT`, `ERR_SOCKET_HALF_CLOSED_TIMEOUT`, `ERR_SOCKET_LIFETIME_TIMEOUT` | one of the [`Timeouts`](crate::net::Timeouts) |
/// | `ERR_SOCKET_MAX_BUFFERED`, `ERR_LOOP_MAX_BUFFERED` | more output would wait than the socket, or the loop, may hold |
/// | `ABORT_ERR` | an abort signal |
/// | `ERR_MISSING_ARGS`, `ERR_OUT_OF_RANGE`, `ERR_INVALID_…` | an `Err` for arguments that mean nothing |
/// | `ERR_SOCKET_HANDLE_ADOPTED`, `ERR_WORKER_HANDLE_NOT_TRANSFERABLE` | a descriptor that was used before, or cannot be given away now |
/// | `ERR_RECORDING_CORRUPT`, `ERR_RECORDING_TRUNCATED`, `ERR_RECORDING_FAILED`, `ERR_REPLAY_DIVERGED` | this crate's own, with the feature `simulation`: a recording that is of no use, or of another program |
/// | `ERR_SOCKET_DATA`, `ERR_INVALID_JSON`, `ERR_LISTENER_PANICKED` | this crate's own: `with_data`, `BlockList::from_json`, [`PanicPolicy`](crate::PanicPolicy) |
///
/// ```
/// use halfclose::{EventLoop, net};
///
/// let mut event_loop = EventLoop::new()?;
/// net::connect(("127.0.0.1", 1))?.on_error(|_, error| {
///     assert_eq!(error.code(), Some("ECONNREFUSED"));
///     assert_eq!(error.to_string(), "connect ECONNREFUSED 127.0.0.1:1");
/// });
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`class SystemError`]: https://nodejs.org/api/errors.html#class-systemerror
#[derive(Clone)]
pub struct Error(Arc<Inner>);

impl Error {
    /// The stable name of what happened: `"ECONNREFUSED"`, `"ERR_STREAM_DESTROYED"`, `"ENOTFOUND"`, …; `None` for an
    /// error of the user's own that has none. This is the member to compare with; messages are for people. Mirrors
    /// [`error.code`].
    ///
    /// ```
    /// use halfclose::{Error, EventLoop, net, net::ConnectOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert_eq!(net::connect(ConnectOptions::new()).unwrap_err().code(), Some("ERR_MISSING_ARGS"));
    /// assert_eq!(Error::from("the cache is cold").code(), None);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`error.code`]: https://nodejs.org/api/errors.html#errorcode_1
    pub fn code(&self) -> Option<&str> {
        self.0.code
    }

    /// The system's error number, negated; for a failed name lookup libuv's number (-3008 for `ENOTFOUND`). `None`
    /// where no system call failed. Mirrors [`error.errno`].
    ///
    /// ```
    /// use halfclose::Error;
    ///
    /// let refused = std::net::TcpStream::connect("127.0.0.1:1").unwrap_err();
    /// let number = refused.raw_os_error().unwrap();
    /// assert_eq!(Error::from(refused).errno(), Some(-number));
    /// ```
    ///
    /// [`error.errno`]: https://nodejs.org/api/errors.html#errorerrno
    pub fn errno(&self) -> Option<i32> {
        self.0.errno
    }

    /// The system call that failed: `"connect"`, `"listen"`, `"read"`, `"getaddrinfo"`, …; `None` where none did.
    /// Mirrors [`error.syscall`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// net::connect(("127.0.0.1", 1))?.on_error(|_, error| assert_eq!(error.syscall(), Some("connect")));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`error.syscall`]: https://nodejs.org/api/errors.html#errorsyscall
    pub fn syscall(&self) -> Option<&str> {
        self.0.syscall
    }

    /// The address, or the path of the unix socket, that was to be connected or listened to; `None` for errors of other
    /// calls. Mirrors [`error.address`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// net::connect(("127.0.0.1", 1))?.on_error(|_, error| assert_eq!(error.address(), Some("127.0.0.1")));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`error.address`]: https://nodejs.org/api/errors.html#erroraddress
    pub fn address(&self) -> Option<&str> {
        self.0.address.as_deref()
    }

    /// The port that belongs to [`Error::address`]. `None` when it is 0; -1 when listening to a unix socket failed.
    /// Mirrors [`error.port`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// net::connect(("127.0.0.1", 1))?.on_error(|_, error| assert_eq!(error.port(), Some(1)));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`error.port`]: https://nodejs.org/api/errors.html#errorport
    pub fn port(&self) -> Option<i32> {
        self.0.port
    }

    /// The local address of a failed connect for which both a local address and a local port were asked. Mirrors
    /// `error.localAddress` of a [`socket.connect(options)`] that failed.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// # let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    /// let options = ConnectOptions::new().host("127.0.0.1").port(1).local_address("127.0.0.1").local_port(free);
    /// net::connect(options)?.on_error(|_, error| assert_eq!(error.local_address(), Some("127.0.0.1")));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    pub fn local_address(&self) -> Option<&str> {
        self.0.local_address.as_deref()
    }

    /// The local port of a failed connect for which both a local address and a local port were asked. Mirrors
    /// `error.localPort` of a [`socket.connect(options)`] that failed.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// net::connect(("127.0.0.1", 1))?.on_error(|_, error| assert_eq!(error.local_port(), None)); // none was asked for
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    pub fn local_port(&self) -> Option<i32> {
        self.0.local_port
    }

    /// The host name whose lookup failed. Mirrors `error.hostname` of [`dns.lookup()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let options = ConnectOptions::new().host("db.example").port(1).lookup(|_, unanswered| drop(unanswered));
    /// net::connect(options)?.on_error(|_, error| assert_eq!(error.hostname(), Some("db.example")));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`dns.lookup()`]: https://nodejs.org/api/dns.html#dnslookuphostname-options-callback
    pub fn hostname(&self) -> Option<&str> {
        self.0.hostname.as_deref()
    }

    /// The errors of all attempts, in their order, when several addresses were tried and none could be connected to:
    /// then this error has no text of its own, and the code of the first. Else empty. Mirrors `errors` of
    /// the [`AggregateError`] that `autoSelectFamily` of [`socket.connect(options)`] ends with.
    ///
    /// ```
    /// use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(ConnectOptions::new().host("db.example").port(1).lookup(|_, callback| {
    ///     callback.resolve([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    /// }))?;
    /// socket.on_error(|_, error| {
    ///     let causes: Vec<&str> = error.errors().iter().map(|error| error.message()).collect();
    ///     assert_eq!(causes[0], "connect ECONNREFUSED 127.0.0.1:1");
    ///     assert_eq!(causes.len(), 2);
    /// });
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    /// [`AggregateError`]: https://developer.mozilla.org/en-US/docs/Web/JavaScript/Reference/Global_Objects/AggregateError
    pub fn errors(&self) -> &[Error] {
        &self.0.errors
    }

    /// The text for people, also given by `Display`: `"connect ECONNREFUSED 127.0.0.1:1"`. Mirrors [`error.message`].
    ///
    /// ```
    /// use halfclose::Error;
    ///
    /// let error = Error::from("the cache is cold");
    /// assert_eq!(error.message(), "the cache is cold");
    /// assert_eq!(error.to_string(), error.message());
    /// ```
    ///
    /// [`error.message`]: https://nodejs.org/api/errors.html#errormessage
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The kind that the standard library would give this error: from the system's number where there is one, else from
    /// the code; [`io::ErrorKind::Other`] for a plain text. Not in Node.
    ///
    /// ```
    /// use std::io;
    /// use halfclose::Error;
    ///
    /// let error = Error::from(io::Error::from(io::ErrorKind::TimedOut));
    /// assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    /// assert_eq!(Error::from("the cache is cold").kind(), io::ErrorKind::Other);
    /// ```
    pub fn kind(&self) -> io::ErrorKind {
        self.0.kind
    }
}

/// Failed system calls.
impl Error {
    /// A failed call that concerns no address: `read ECONNRESET`. Node's `ErrnoException`.
    pub(crate) fn exception(errno: Errno, syscall: &'static str) -> Self {
        Inner::of_system(errno, syscall, format!("{syscall} {}", errno.name())).into()
    }

    /// A failed call with its address: `connect ECONNREFUSED 127.0.0.1:1 - Local (…)`. For a unix socket the address
    /// is the path and the port 0. Node's `ExceptionWithHostPort`.
    pub(crate) fn with_host_port(
        errno: Errno,
        syscall: &'static str,
        address: &str,
        port: u16,
        additional: Option<String>,
    ) -> Self {
        let port = i32::from(port);
        let details = details(Some(address), port);
        let local = additional.map_or_else(String::new, |additional| format!(" - Local ({additional})"));
        let message = format!("{syscall} {}{details}{local}", errno.name());
        Inner { address: Some(address.into()), port: non_zero(port), ..Inner::of_system(errno, syscall, message) }
            .into()
    }

    /// This error with the local address and port that were asked for.
    pub(crate) fn with_local(mut self, address: &str, port: u16) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        inner.local_address = Some(address.into());
        inner.local_port = Some(i32::from(port));
        self
    }

    /// A failed call with libuv's description: `listen EADDRINUSE: address already in use 127.0.0.1:44379`. For a
    /// unix socket the address is the path and the port -1. Node's `UVExceptionWithHostPort`.
    pub(crate) fn uv_with_host_port(
        errno: Errno,
        syscall: &'static str,
        address: Option<&str>,
        port: impl Into<i32>,
    ) -> Self {
        let port = port.into();
        let details = details(address, port);
        let message = format!("{syscall} {}: {}{details}", errno.name(), errno.description());
        Inner { address: address.map(Into::into), port: non_zero(port), ..Inner::of_system(errno, syscall, message) }
            .into()
    }

    /// A failed name lookup: `getaddrinfo ENOTFOUND host`. Node's `DNSException`.
    pub(crate) fn lookup(code: &'static str, errno: i32, hostname: &str) -> Self {
        Inner {
            code: Some(code),
            errno: Some(errno),
            syscall: Some("getaddrinfo"),
            hostname: Some(hostname.into()),
            ..Inner::new(format!("getaddrinfo {code} {hostname}"), kind_of_code(code))
        }
        .into()
    }

    /// A connect on a socket that is connected: `connect EISCONN`.
    pub(crate) fn is_connected() -> Self {
        Self::exception(Errno::IS_CONNECTED, "connect")
    }
}

/// Errors that no system call gave: Node's `ERR_*` family and its few relatives.
impl Error {
    /// An error of the given code and message.
    pub(crate) fn coded(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Inner { code: Some(code), ..Inner::new(message, kind_of_code(code)) }.into()
    }

    /// Whether dropping the last clone runs code of the user's.
    pub(crate) fn is_foreign(&self) -> bool {
        self.0.source.is_some()
    }

    /// Whether this is the last clone.
    pub(crate) fn is_sole_owner(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub(crate) fn stream_write_after_end() -> Self {
        Self::coded("ERR_STREAM_WRITE_AFTER_END", "write after end")
    }

    /// `call` is `"write"` or `"end"`.
    pub(crate) fn stream_destroyed(call: &str) -> Self {
        Self::coded("ERR_STREAM_DESTROYED", format!("Cannot call {call} after a stream was destroyed"))
    }

    pub(crate) fn stream_already_finished(call: &str) -> Self {
        Self::coded("ERR_STREAM_ALREADY_FINISHED", format!("Cannot call {call} after a stream was finished"))
    }

    pub(crate) fn stream_unshift_after_end_event() -> Self {
        Self::coded("ERR_STREAM_UNSHIFT_AFTER_END_EVENT", "stream.unshift() after end event")
    }

    /// A write that would have made more output wait than this socket may have waiting.
    pub(crate) fn socket_max_buffered() -> Self {
        Self::coded("ERR_SOCKET_MAX_BUFFERED", "Too much output is waiting to be sent on this socket")
    }

    /// The same for all sockets of the loop.
    pub(crate) fn loop_max_buffered() -> Self {
        Self::coded("ERR_LOOP_MAX_BUFFERED", "Too much output is waiting to be sent on the sockets of this loop")
    }

    pub(crate) fn socket_closed() -> Self {
        Self::coded("ERR_SOCKET_CLOSED", "Socket is closed")
    }

    pub(crate) fn socket_closed_before_connection() -> Self {
        Self::coded("ERR_SOCKET_CLOSED_BEFORE_CONNECTION", "Socket closed before the connection was established")
    }

    /// A write after the socket ended itself because the peer had. No system call failed, hence no `errno`.
    pub(crate) fn ended_by_other_party() -> Self {
        Self::coded("EPIPE", "This socket has been ended by the other party")
    }

    pub(crate) fn server_already_listen() -> Self {
        Self::coded("ERR_SERVER_ALREADY_LISTEN", "Listen method has been called more than once without closing.")
    }

    pub(crate) fn server_not_running() -> Self {
        Self::coded("ERR_SERVER_NOT_RUNNING", "Server is not running.")
    }

    /// `what` is "property 'options.host'" for a connect and "argument 'hostname'" for a listen.
    pub(crate) fn null_bytes(what: &str, received: &str) -> Self {
        let received = received.replace('\0', "\\x00");
        let message = format!("The {what} must be a string without null bytes. Received '{received}'");
        Self::coded("ERR_INVALID_ARG_VALUE", message)
    }

    /// Of this crate's own: what a socket is destroyed with whose listener panicked, where that is the policy.
    pub(crate) fn listener_panicked() -> Self {
        Self::coded("ERR_LISTENER_PANICKED", "A listener of this socket panicked")
    }

    /// Of this crate's own: Node's sockets carry any property.
    pub(crate) fn socket_data(reason: &str) -> Self {
        Self::coded("ERR_SOCKET_DATA", format!("The socket's data cannot be given: {reason}"))
    }

    /// A reset of a unix socket. Node's text is about something else, but it is what Node says.
    pub(crate) fn invalid_handle_type() -> Self {
        Self::coded("ERR_INVALID_HANDLE_TYPE", "This handle type cannot be sent")
    }

    /// A listen at an empty path.
    pub(crate) fn empty_path() -> Self {
        Self::coded("ERR_INVALID_ARG_VALUE", "The argument 'options' is invalid. Received { path: '' }")
    }

    /// Permissions for a name that has no file. `received` shows the options as Node shows an object. The misspelt word
    /// is Node's.
    pub(crate) fn permissions_of_abstract_name(received: &str) -> Self {
        let reason = "can not set readableAll or writableAllt to true when path is abstract unix socket";
        Self::coded("ERR_INVALID_ARG_VALUE", format!("The argument 'options' {reason}. Received {received}"))
    }

    pub(crate) fn missing_args() -> Self {
        Self::coded("ERR_MISSING_ARGS", "The \"options\" or \"port\" or \"path\" argument must be specified")
    }

    pub(crate) fn ip_blocked(address: &str) -> Self {
        Self::coded("ERR_IP_BLOCKED", format!("IP({address}) is blocked by net.BlockList"))
    }

    /// Node's `AggregateError` of a connect.
    pub(crate) fn aggregate(errors: Vec<Error>) -> Self {
        let kind = errors.first().map_or(io::ErrorKind::Other, Error::kind);
        let code = errors.first().and_then(|first| first.0.code);
        Inner { code, errors, ..Inner::new("", kind) }.into()
    }

    /// Node's `AbortError`; its `cause` is the `source()`.
    pub(crate) fn aborted(reason: Error) -> Self {
        let plain = Self::coded("ABORT_ERR", "The operation was aborted");
        Inner { source: Some(Arc::new(reason)), ..Inner::clone(&plain.0) }.into()
    }

    /// What `abort()` without a reason gives as reason.
    pub(crate) fn abort_reason() -> Self {
        Self::coded("ABORT_ERR", "This operation was aborted")
    }

    pub(crate) fn mode_out_of_range(received: u32) -> Self {
        let message =
            format!("The value of \"mode\" is out of range. It must be >= 0 && <= 0o777. Received {received:#o}");
        Self::coded("ERR_OUT_OF_RANGE", message)
    }

    /// A number of milliseconds that is none, or none that a timer of Node can have.
    pub(crate) fn milliseconds_out_of_range(name: &str, received: std::time::Duration) -> Self {
        let received = received.as_secs_f64() * 1000.0;
        let message =
            format!("The value of \"{name}\" is out of range. It must be >= 1 && <= 2147483647. Received {received}");
        Self::coded("ERR_OUT_OF_RANGE", message)
    }

    pub(crate) fn socket_handle_adopted() -> Self {
        let message = "The bound socket has already been adopted by a server or socket";
        Self::coded("ERR_SOCKET_HANDLE_ADOPTED", message)
    }

    /// `kind` is what the descriptor is: `"FILE"`, `"UDP"`, …
    pub(crate) fn invalid_fd_type(kind: &str) -> Self {
        Self::coded("ERR_INVALID_FD_TYPE", format!("Unsupported fd type: {kind}"))
    }

    /// A bound socket for a path and for an address. `received` shows the options as Node shows an object.
    pub(crate) fn path_is_exclusive(received: &str) -> Self {
        let reason = "path is mutually exclusive with host, port, ipv6Only, and reusePort";
        Self::coded("ERR_INVALID_ARG_VALUE", format!("The argument 'options' {reason}. Received {received}"))
    }

    /// A name without a file where the system knows none.
    pub(crate) fn abstract_names_are_linux_only(path: &str) -> Self {
        let message = "The property 'options.path' abstract socket paths are only supported on Linux.";
        Self::coded("ERR_INVALID_ARG_VALUE", format!("{message} Received '{}'", path.replace('\0', "\\x00")))
    }

    /// A connect without a path on a socket that is bound to one.
    pub(crate) fn path_is_missing() -> Self {
        let message = "The \"options.path\" property must be of type string. Received undefined";
        Self::coded("ERR_INVALID_ARG_TYPE", message)
    }

    /// A local end for a socket that has one already.
    pub(crate) fn bound_already() -> Self {
        let message = "The argument 'options' localAddress and localPort cannot be used with an adopted bound socket.";
        Self::coded("ERR_INVALID_ARG_VALUE", message)
    }

    /// A host for a bound socket that is no address.
    pub(crate) fn not_numeric(host: &str) -> Self {
        let message = format!(
            "The property 'options.host' must be a numeric IP address; net.BoundSocket does not perform DNS resolution. \
             Received '{host}'"
        );
        Self::coded("ERR_INVALID_ARG_VALUE", message)
    }

    /// Node's code for a socket that cannot go to another thread; here it is one that cannot leave its loop.
    pub(crate) fn not_transferable() -> Self {
        let message = "net.Socket cannot be transferred in its current state; it must be connected and have no pending \
                       writes";
        Self::coded("ERR_WORKER_HANDLE_NOT_TRANSFERABLE", message)
    }

    /// Not in Node: of a loop that is recorded or replayed.
    #[cfg(feature = "simulation")]
    pub(crate) fn recording(code: &'static str, message: String) -> Self {
        Self::coded(code, message)
    }

    /// Not in Node: where the real loop would wait for ever.
    #[cfg(feature = "simulation")]
    pub(crate) fn simulation_stuck() -> Self {
        let message = "The simulated loop waits for ever: nothing is on its way to it, and no timer is armed";
        Self::coded("ERR_SIMULATION_STUCK", message)
    }

    pub(crate) fn invalid_ip_address(text: &str) -> Self {
        Self::coded("ERR_INVALID_IP_ADDRESS", format!("Invalid IP address: {text}"))
    }
}

/// Node prints the members behind the message; so does this, leaving out those that do not apply.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let mut output = formatter.debug_struct("Error");
        output.field("message", &inner.message);
        let texts = [("code", inner.code), ("syscall", inner.syscall), ("address", self.address())];
        for (name, text) in texts.into_iter().chain([("hostname", self.hostname())]) {
            if let Some(text) = text {
                output.field(name, &text);
            }
        }
        for (name, number) in [("port", inner.port), ("errno", inner.errno)] {
            if let Some(number) = number {
                output.field(name, &number);
            }
        }
        if let (Some(address), Some(port)) = (&inner.local_address, inner.local_port) {
            output.field("local_address", address).field("local_port", &port);
        }
        if let Some(source) = &inner.source {
            output.field("source", source);
        }
        if !inner.errors.is_empty() {
            output.field("errors", &inner.errors);
        }
        output.finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}

/// What the clones of one error share.
#[derive(Clone)]
struct Inner {
    message: Cow<'static, str>,
    kind: io::ErrorKind,
    code: Option<&'static str>,
    errno: Option<i32>,
    syscall: Option<&'static str>,
    address: Option<String>,
    port: Option<i32>,
    local_address: Option<String>,
    local_port: Option<i32>,
    hostname: Option<String>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    /// Those of the attempts, for a connect with several addresses.
    errors: Vec<Error>,
}

impl Inner {
    fn new(message: impl Into<Cow<'static, str>>, kind: io::ErrorKind) -> Self {
        Self {
            message: message.into(),
            kind,
            code: None,
            errno: None,
            syscall: None,
            address: None,
            port: None,
            local_address: None,
            local_port: None,
            hostname: None,
            source: None,
            errors: Vec::new(),
        }
    }

    fn of_system(errno: Errno, syscall: &'static str, message: String) -> Self {
        Self {
            code: Some(errno.name()),
            errno: Some(errno.negated()),
            syscall: Some(syscall),
            ..Self::new(message, errno.kind())
        }
    }

    fn foreign(message: String, kind: io::ErrorKind, source: Arc<dyn StdError + Send + Sync>) -> Self {
        Self { source: Some(source), ..Self::new(message, kind) }
    }
}

impl From<Inner> for Error {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

/// The end of a message: ` 127.0.0.1:80`, ` /path`, or nothing. IPv6 addresses get no brackets, as in Node.
fn details(address: Option<&str>, port: i32) -> String {
    match address {
        Some(address) if port > 0 => format!(" {address}:{port}"),
        Some(address) if !address.is_empty() => format!(" {address}"),
        Some(_) | None => String::new(),
    }
}

fn non_zero(port: i32) -> Option<i32> {
    (port != 0).then_some(port)
}

/// The nearest kind of the standard library. Never `Interrupted` or `WouldBlock`: those would make callers try again.
fn kind_of_code(code: &str) -> io::ErrorKind {
    match code {
        "EPIPE" | "ERR_STREAM_DESTROYED" | "ERR_STREAM_WRITE_AFTER_END" | "ERR_STREAM_ALREADY_FINISHED" => {
            io::ErrorKind::BrokenPipe
        }
        "ERR_SOCKET_CLOSED" | "ERR_SOCKET_CLOSED_BEFORE_CONNECTION" | "ERR_SERVER_NOT_RUNNING" => {
            io::ErrorKind::NotConnected
        }
        "ERR_SERVER_ALREADY_LISTEN" => io::ErrorKind::AlreadyExists,
        "ERR_SOCKET_HANDLE_ADOPTED" => io::ErrorKind::NotFound,
        "ENOTFOUND" => io::ErrorKind::NotFound,
        "EAI_AGAIN" => io::ErrorKind::TimedOut,
        "ERR_SOCKET_MAX_BUFFERED" | "ERR_LOOP_MAX_BUFFERED" => io::ErrorKind::OutOfMemory,
        code if code.starts_with("ERR_SOCKET_") && code.ends_with("_TIMEOUT") => io::ErrorKind::TimedOut,
        "ABORT_ERR" => io::ErrorKind::ConnectionAborted,
        "ERR_OUT_OF_RANGE" => io::ErrorKind::InvalidInput,
        "EAI_MEMORY" => io::ErrorKind::OutOfMemory,
        "ERR_MISSING_ARGS" => io::ErrorKind::InvalidInput,
        code if code.starts_with("ERR_INVALID_") => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    }
}

mod conversions;
#[cfg(test)]
mod tests;
