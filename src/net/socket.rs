//! What a [`Socket`] can do, and its properties. Its listeners are in the neighbouring file.
//!
//! It may touch the event loop's commands. Commands return the socket where Node returns `this`, so that they can be
//! chained; on a stale handle they do nothing.

use std::any::Any;
use std::time::Duration;

use crate::error::Error;
use crate::event_loop::QueuedBytes;
use crate::event_loop::callbacks::Callback;
use crate::event_loop::current;
use crate::event_loop::emit::call_lookup;
use crate::net::{Chunk, ConnectOptions, Encoding, KeepAliveOptions, Socket, SocketId, SocketOptions};

/// Making and connecting.
impl Socket {
    /// A socket that is not connected. Mirrors `new net.Socket()`.
    ///
    /// Its slot is held until it is destroyed, released, or closed after a connection.
    ///
    /// # Panics
    ///
    /// Without an [`EventLoop`](crate::EventLoop) on this thread.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert!(socket.pending());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it needs an event loop; a default must not panic")]
    pub fn new() -> Socket {
        Socket::with_options(SocketOptions::new())
    }

    /// A socket with options. Mirrors `new net.Socket(options)`.
    ///
    /// # Panics
    ///
    /// Without an [`EventLoop`](crate::EventLoop) on this thread.
    #[track_caller]
    pub fn with_options(options: SocketOptions) -> Socket {
        let connection = options.connection_options();
        let handle = current::expect(|core| core.new_socket_on(&connection, options.given.as_ref()));
        if let Some(signal) = options.signal_option() {
            signal.attach_socket(handle);
        }
        Socket::from_handle(handle)
    }

    /// Connects. Mirrors `socket.connect()`.
    ///
    /// A socket that closed may connect again, also inside its `close` or `error` listener: listeners, flow and options
    /// are kept, the state of the stream begins anew; the idle timeout must be set again. (After `close` the slot is
    /// freed, unless [`retain`](Socket::retain) holds it.)
    ///
    /// To the path of a unix socket, `connectionAttempt` is emitted within this call, as in Node; everything else comes
    /// later, an invalid path (`EINVAL`) included.
    ///
    /// # Errors
    ///
    /// `ERR_MISSING_ARGS` without a port or a path, `ERR_INVALID_IP_ADDRESS` for a local address that is none, `EISCONN` when
    /// connected, `ERR_SOCKET_CLOSED` on a stale handle: nothing is changed then. On a socket that is connecting it
    /// returns `Ok`, and the socket fails with `EALREADY`, as in Node. On a socket made of a
    /// [`BoundSocket`](crate::net::BoundSocket): `ERR_INVALID_ARG_VALUE` for another local end, and, when it is bound to a
    /// path, `ERR_INVALID_ARG_TYPE` without one.
    pub fn connect(self, to: impl Into<ConnectOptions>) -> Result<Socket, Error> {
        let options = to.into();
        self.start_connect(&options)
    }

    /// [`connect`](Socket::connect) with a one-shot `connect` listener. Mirrors `socket.connect(options, listener)`. When
    /// the attempt fails the listener stays, and is called when a later one succeeds.
    ///
    /// # Errors
    ///
    /// As [`connect`](Socket::connect); the listener is not registered then.
    pub fn connect_with(
        self,
        to: impl Into<ConnectOptions>,
        on_connect: impl FnOnce(Socket) + 'static,
    ) -> Result<Socket, Error> {
        let options = to.into();
        let listener = self.once_connect(on_connect);
        self.start_connect(&options).inspect_err(|_| {
            self.off(listener);
        })
    }

    fn start_connect(self, options: &ConnectOptions) -> Result<Socket, Error> {
        let bound = current::with(|core| core.reactor.bound_transport(self.handle)).flatten();
        if let Some(path) = options.path_over(bound)? {
            let started = current::command(|core| core.connect_path(self.handle, path));
            started.unwrap_or_else(|| Err(Error::socket_closed()))?;
            return Ok(self);
        }
        let port = options.check_address()?;
        if bound.is_some() && self.connect_bound(options, port)? {
            return Ok(self);
        }
        let host = options.host_or_default();
        let mut plan = options.plan()?;
        if bound.is_some() {
            // One descriptor is bound, so only one address can be tried.
            plan.attempt_timeout = None;
        }
        let started = current::with(|core| core.connect(self.handle, host, port, plan));
        let custom_lookup = started.unwrap_or_else(|| Err(Error::socket_closed()))?;
        if let (Some((id, request)), Some(lookup)) = (custom_lookup, options.custom_lookup()) {
            if let Some(callback) = current::lookup_callback(id, host) {
                call_lookup(lookup, &request, callback);
            }
        }
        Ok(self)
    }
}

/// Writing and ending.
impl Socket {
    /// Writes. Mirrors `socket.write()`; `socket.write(text, encoding)` is a write of [`Chunk::encoded`].
    ///
    /// The kernel is tried at once; what it does not take is queued, in order, without limit. Returns false when
    /// [`writable_length`](Socket::writable_length) has reached the high-water mark: stop then, and go on at `drain`.
    /// While connecting everything is queued. Zero bytes are a write too.
    ///
    /// A write after `end()` destroys the socket with `ERR_STREAM_WRITE_AFTER_END` (`EPIPE` when it was ended because the
    /// peer ended); one on a socket without a connection with `ERR_SOCKET_CLOSED`; one after `destroy()` is refused
    /// without an event. What the connection itself says (`EPIPE`, `ECONNRESET`) comes as `error`.
    pub fn write<'a>(self, chunk: impl Into<Chunk<'a>>) -> bool {
        let mut chunk = Some(chunk.into());
        current::with(|core| core.write(self.handle, &mut chunk, None)).unwrap_or(false)
    }

    /// [`write`](Socket::write) with a callback. Mirrors `socket.write(data, callback)`.
    ///
    /// It is called exactly once: with `Ok` when the kernel has everything, or with the error, one tick before the
    /// `error` event. Callbacks come in the order of the writes.
    pub fn write_with<'a>(
        self,
        chunk: impl Into<Chunk<'a>>,
        callback: impl FnOnce(Socket, Result<(), &Error>) + 'static,
    ) -> bool {
        let mut chunk = Some(chunk.into());
        let callback = Callback::Complete(Box::new(callback));
        current::with(|core| core.write(self.handle, &mut chunk, Some(callback))).unwrap_or(false)
    }

    /// Sets the encoding of text that is written from now on: `&str`, `&String`, `String`, and what is
    /// [piped](Socket::pipe) from a socket that has a [`set_encoding`](Socket::set_encoding). Mirrors
    /// `socket.setDefaultEncoding()`.
    ///
    /// The default is [`Encoding::Utf8`]. Bytes are not touched, nor is text with an encoding of its own
    /// ([`Chunk::encoded`], which says what the bytes of each encoding are), nor what was written before, even if it still
    /// waits. It can be set at any time, and is kept when the socket connects again. No event follows.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Encoding, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new().set_default_encoding(Encoding::Latin1);
    /// socket.cork();
    /// socket.write("é");
    /// assert_eq!(socket.writable_length(), 1);
    /// socket.write("é".as_bytes());
    /// assert_eq!(socket.writable_length(), 3);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_default_encoding(self, encoding: Encoding) -> Socket {
        current::with(|core| core.reactor.set_default_encoding(self.handle, encoding));
        self
    }

    /// Holds writes back until [`uncork`](Socket::uncork): they are queued, and go out as one. Mirrors `socket.cork()`.
    /// Counted: as many calls of `uncork` are needed. [`end`](Socket::end) takes all corks out.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.cork();
    /// socket.write("head, ");
    /// socket.write("body");
    /// assert_eq!(socket.writable_length(), 10);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn cork(self) -> Socket {
        current::with(|core| core.reactor.cork(self.handle));
        self
    }

    /// Takes one [`cork`](Socket::cork) out; the last one sends what was queued in one system call. Mirrors
    /// `socket.uncork()`. Without a cork it does nothing.
    pub fn uncork(self) -> Socket {
        current::with(|core| core.command(|reactor| reactor.uncork(self.handle)));
        self
    }

    /// Ends this side. Mirrors `socket.end()`.
    ///
    /// Everything queued is sent, then the FIN; `finish` follows. The other direction stays open until the peer ends it.
    /// While connecting it waits for the connection. A second call does nothing.
    pub fn end(self) -> Socket {
        current::with(|core| core.end::<QueuedBytes>(self.handle, None, None));
        self
    }

    /// Writes, then ends this side. Mirrors `socket.end(data)`, with [`Chunk::encoded`] `socket.end(text, encoding)`.
    pub fn end_data<'a>(self, chunk: impl Into<Chunk<'a>>) -> Socket {
        let mut chunk = Some(chunk.into());
        current::with(|core| core.end(self.handle, Some(&mut chunk), None));
        self
    }

    /// [`end`](Socket::end) with a callback. Mirrors `socket.end(callback)`.
    ///
    /// It is called exactly once: with `Ok` just before `finish`, or with the error that prevented it:
    /// `ERR_STREAM_ALREADY_FINISHED` after `finish`, `ERR_STREAM_DESTROYED` after `destroy`, or what broke the connection.
    pub fn end_with(self, callback: impl FnOnce(Socket, Result<(), &Error>) + 'static) -> Socket {
        let callback = Callback::Complete(Box::new(callback));
        current::with(|core| core.end::<QueuedBytes>(self.handle, None, Some(callback)));
        self
    }

    /// [`end_data`](Socket::end_data) with a callback. Mirrors `socket.end(data, callback)`.
    pub fn end_data_with<'a>(
        self,
        chunk: impl Into<Chunk<'a>>,
        callback: impl FnOnce(Socket, Result<(), &Error>) + 'static,
    ) -> Socket {
        let mut chunk = Some(chunk.into());
        let callback = Callback::Complete(Box::new(callback));
        current::with(|core| core.end(self.handle, Some(&mut chunk), Some(callback)));
        self
    }
}

/// Destroying.
impl Socket {
    /// Ends the connection at once: the descriptor is closed, queued output and unread input are lost. Mirrors
    /// `socket.destroy()`. `close` follows. Repeated calls do nothing.
    ///
    /// The peer sees an end, or a reset when it sent something that was not read.
    pub fn destroy(self) -> Socket {
        current::with(|core| core.reactor.destroy(self.handle, None));
        self
    }

    /// [`destroy`](Socket::destroy) because of an error: `error` is emitted before `close`. Mirrors
    /// `socket.destroy(error)`.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.on_error(|_, error| assert_eq!(error.message(), "not today"));
    /// socket.destroy_with("not today");
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn destroy_with(self, error: impl Into<Error>) -> Socket {
        let error = error.into();
        current::with(|core| core.destroy_with(self.handle, error));
        current::bury_if_idle();
        self
    }

    /// Ends this side, and destroys the socket at `finish`, without waiting for the peer. Mirrors `socket.destroySoon()`.
    /// Everything queued is sent first.
    pub fn destroy_soon(self) -> Socket {
        current::with(|core| core.destroy_soon(self.handle));
        self
    }

    /// Destroys the connection with a reset (RST). Mirrors `socket.resetAndDestroy()`. The peer gets `ECONNRESET`.
    ///
    /// While connecting it waits for the connection. Without one the socket is destroyed with `ERR_SOCKET_CLOSED`. Right
    /// after `end()`, until the FIN is sent, it cannot be reset: `error` (`EINVAL`) is emitted within the call and it is
    /// destroyed in the ordinary way.
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_HANDLE_TYPE` for a unix socket, which knows no resets, connected or connecting: it goes on as it was.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|socket| {
    ///     socket.reset_and_destroy().expect("a TCP socket");
    ///     socket.server().unwrap().close();
    /// });
    /// server.on_listening(|server| {
    ///     let client = net::connect(("127.0.0.1", server.address().unwrap().port())).unwrap();
    ///     client.on_error(|_, error| assert_eq!(error.code(), Some("ECONNRESET")));
    /// });
    /// server.listen(("127.0.0.1", 0))?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn reset_and_destroy(self) -> Result<Socket, Error> {
        let outcome = current::command(|core| core.reset_and_destroy(self.handle));
        outcome.unwrap_or(Ok(())).map(|()| self)
    }
}

/// Options.
impl Socket {
    /// Asks for `timeout` events when nothing happens for this long; zero cancels. Mirrors `socket.setTimeout()`.
    ///
    /// Activity is input, the start and the end of a write, and connecting; see `timeout`'s
    /// [listener](Socket::on_timeout). It never keeps the loop alive. Above 2³¹-1 milliseconds it counts as that. Does
    /// nothing on a destroyed socket; a connection made again needs it anew.
    pub fn set_timeout(self, timeout: Duration) -> Socket {
        current::with(|core| core.set_idle_timeout(self.handle, timeout));
        self
    }

    /// [`set_timeout`](Socket::set_timeout) with a one-shot `timeout` listener. Mirrors
    /// `socket.setTimeout(timeout, listener)`. With a zero timeout the listener is not added.
    pub fn set_timeout_with(self, timeout: Duration, on_timeout: impl FnOnce(Socket) + 'static) -> Socket {
        if self.destroyed() {
            return self;
        }
        self.set_timeout(timeout);
        if !timeout.is_zero() {
            self.once_timeout(on_timeout);
        }
        self
    }

    /// Send small writes at once (`TCP_NODELAY`). Mirrors `socket.setNoDelay()`. Remembered before there is a
    /// connection; no system call when nothing changes. Means nothing for a unix socket.
    pub fn set_no_delay(self, on: bool) -> Socket {
        current::with(|core| core.reactor.set_no_delay(self.handle, on));
        self
    }

    /// Probe the connection after it was idle for `initial_delay` (`SO_KEEPALIVE`). Mirrors `socket.setKeepAlive()`.
    /// Whole seconds, the rest is cut off; zero leaves the time to the system. With a delay, ten probes a second apart
    /// are made before the connection is given up. Remembered before there is a connection. Means nothing for a unix
    /// socket.
    pub fn set_keep_alive(self, on: bool, initial_delay: Duration) -> Socket {
        current::with(|core| core.reactor.set_keep_alive(self.handle, on, initial_delay, None, None));
        self
    }

    /// [`set_keep_alive`](Socket::set_keep_alive) with all that can be said. Mirrors `socket.setKeepAlive(options)`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::KeepAliveOptions, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let minute = Duration::from_secs(60);
    /// let options = KeepAliveOptions::new().enable(true).initial_delay(minute).interval(minute / 6).count(3);
    /// Socket::new().set_keep_alive_with(options);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_keep_alive_with(self, options: KeepAliveOptions) -> Socket {
        let KeepAliveOptions { enable, initial_delay, interval, count } = options;
        current::with(|core| core.reactor.set_keep_alive(self.handle, enable, initial_delay, interval, count));
        self
    }

    /// Sets the type of service of its packets: the byte of the IP header that holds DSCP and ECN (`IP_TOS`,
    /// `IPV6_TCLASS`). Mirrors `socket.setTypeOfService()`. Remembered before there is a connection; no system call when
    /// nothing changes.
    ///
    /// # Errors
    ///
    /// What the kernel says, with the syscall `setTypeOfService`.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert_eq!(socket.type_of_service()?, 0);
    /// socket.set_type_of_service(0x10)?;
    /// assert_eq!(socket.type_of_service()?, 0x10);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_type_of_service(self, value: u8) -> Result<Socket, Error> {
        current::with(|core| core.reactor.set_type_of_service(self.handle, value)).unwrap_or(Ok(()))?;
        Ok(self)
    }

    /// The type of service: what the kernel uses while connected (on Linux without the ECN bits), else what was set;
    /// 0 when nothing was. Mirrors `socket.getTypeOfService()`.
    ///
    /// # Errors
    ///
    /// What the kernel says, with the syscall `getTypeOfService`.
    pub fn type_of_service(self) -> Result<u8, Error> {
        current::with(|core| core.reactor.type_of_service(self.handle)).unwrap_or(Ok(0))
    }

    /// Lets it keep the loop alive while it reads, as it does from the start. Mirrors `socket.ref()`.
    pub fn ref_(self) -> Socket {
        current::with(|core| core.set_socket_referenced(self.handle, true));
        self
    }

    /// Lets the loop end although it reads. Mirrors `socket.unref()`. A connect, a write or a shutdown in flight keeps
    /// the loop alive all the same. Not kept when the socket connects again.
    pub fn unref(self) -> Socket {
        current::with(|core| core.set_socket_referenced(self.handle, false));
        self
    }
}

/// State of the user's, and the life of the slot.
impl Socket {
    /// A name for this socket that may be sent to other threads.
    pub fn id(self) -> SocketId {
        SocketId { loop_number: current::loop_number().unwrap_or(0), handle: self.handle }
    }

    /// Attaches a value: one per socket, of any type, dropped with the slot or when another replaces it.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// struct Session {
    ///     lines: u64,
    /// }
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.set_data(Session { lines: 0 });
    /// let lines = socket.with_data(|session: &mut Session| {
    ///     session.lines += 1;
    ///     session.lines
    /// })?;
    /// assert_eq!(lines, 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_data<T: 'static>(self, data: T) -> Socket {
        let data: Box<dyn Any> = Box::new(data);
        current::with(|core| core.set_data(self.handle, data));
        current::bury_if_idle();
        self
    }

    /// Gives `f` the value that [`set_data`](Socket::set_data) attached.
    ///
    /// The value is out of its place while `f` runs; `f` may give any command, and may even set new data, which then
    /// stays.
    ///
    /// # Errors
    ///
    /// `ERR_SOCKET_DATA` when there is no value, it has another type, or it is in use already (a nested call).
    pub fn with_data<T: 'static, R>(self, f: impl FnOnce(&mut T) -> R) -> Result<R, Error> {
        let taken = current::with(|core| core.sockets.get_mut(self.handle)?.data.take()).flatten();
        let Some(data) = taken else { return Err(Error::socket_data("there is none, or it is in use")) };
        let mut borrowed = BorrowedData { socket: self, data: Some(data) };
        match borrowed.data.as_mut().and_then(|data| data.downcast_mut::<T>()) {
            Some(data) => Ok(f(data)),
            None => Err(Error::socket_data("it has another type")),
        }
    }

    /// Keeps the slot after `close`, so that the socket can be connected again later, from a timer for instance.
    /// [`release`](Socket::release) gives it up.
    pub fn retain(self) -> Socket {
        current::with(|core| core.reactor.retain(self.handle));
        self
    }

    /// Gives up what [`retain`](Socket::retain) held, or a socket that was never connected: its slot is freed, at once or
    /// after `close`. An open connection goes on.
    pub fn release(self) {
        current::with(|core| core.reactor.release(self.handle));
        current::bury_if_idle();
    }
}

impl SocketId {
    /// The socket, if this is its loop's thread, the loop still lives and the socket was not freed; else `None`.
    pub fn get(self) -> Option<Socket> {
        if current::loop_number() != Some(self.loop_number) {
            return None;
        }
        let live = current::with(|core| core.reactor.live(self.handle).is_some())?;
        live.then(|| Socket::from_handle(self.handle))
    }
}

/// Puts the data back, also when the closure panics.
struct BorrowedData {
    socket: Socket,
    data: Option<Box<dyn Any>>,
}

impl Drop for BorrowedData {
    fn drop(&mut self) {
        if let Some(data) = self.data.take() {
            current::with(|core| core.return_data(self.socket.handle, data));
        }
    }
}
