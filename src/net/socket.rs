//! What a [`Socket`] can do: connect, write, end, be destroyed. Its settings, its listeners and its readable side are in
//! the neighbouring files.
//!
//! It may touch the event loop's commands. Commands return the socket where Node returns `this`, so that they can be
//! chained; on a stale handle they do nothing.

use crate::error::Error;
use crate::event_loop::QueuedBytes;
use crate::event_loop::callbacks::Callback;
use crate::event_loop::current;
use crate::event_loop::emit::call_lookup;
use crate::net::{Chunk, ConnectOptions, Socket, SocketOptions};

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
    /// returns `Ok`, and the socket fails with `EALREADY`, as in Node.
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
        if let Some(path) = options.path_option() {
            let started = current::command(|core| core.connect_path(self.handle, path));
            started.unwrap_or_else(|| Err(Error::socket_closed()))?;
            return Ok(self);
        }
        let port = options.check()?;
        let bound = current::with(|core| core.reactor.is_bound(self.handle)).unwrap_or(false);
        if bound && self.connect_bound(options, port)? {
            return Ok(self);
        }
        let host = options.host_or_default();
        let mut plan = options.plan()?;
        if bound {
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
    /// Writes. Mirrors `socket.write()`.
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

    /// Writes, then ends this side. Mirrors `socket.end(data)`.
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
