//! What a [`Socket`] can do, and its properties. Its listeners are in the neighbouring file.
//!
//! It may touch the event loop's commands. Commands return the socket where Node returns `this`, so that they can be
//! chained; on a stale handle they do nothing.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::error::Error;
use crate::event_loop::callbacks::Callback;
use crate::event_loop::current;
use crate::event_loop::{Connection, QueuedBytes};
use crate::net::{Chunk, ConnectOptions, Family, KeepAliveOptions, Server, Socket, SocketId, SocketOptions};

/// Node's `socket.readyState`.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum ReadyState {
    /// Connecting.
    Opening,
    /// Readable and writable; also a socket that was never connected.
    Open,
    /// This side is ended.
    ReadOnly,
    /// The peer's side is ended.
    WriteOnly,
    /// Both are, or the socket is destroyed.
    Closed,
}

impl ReadyState {
    /// Node's text: `opening`, `open`, `readOnly`, `writeOnly`, `closed`.
    pub fn as_str(self) -> &'static str {
        match self {
            ReadyState::Opening => "opening",
            ReadyState::Open => "open",
            ReadyState::ReadOnly => "readOnly",
            ReadyState::WriteOnly => "writeOnly",
            ReadyState::Closed => "closed",
        }
    }
}

impl fmt::Display for ReadyState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

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
        Socket::from_handle(current::expect(|core| core.new_socket_on(&connection, options.given.as_ref())))
    }

    /// Connects. Mirrors `socket.connect()`.
    ///
    /// A socket that closed may connect again, also inside its `close` or `error` listener: listeners, flow and options
    /// are kept, the state of the stream begins anew; the idle timeout must be set again. (After `close` the slot is
    /// freed, unless [`retain`](Socket::retain) holds it.)
    ///
    /// # Errors
    ///
    /// `ERR_MISSING_ARGS` without a port, `ERR_INVALID_IP_ADDRESS` for a local address that is none, `EISCONN` when
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
        let port = options.check()?;
        let local = options.local()?;
        let family = options.family_option();
        if current::with(|core| core.reactor.is_bound(self.handle)).unwrap_or(false) {
            return self.connect_bound(options, port);
        }
        let started = current::with(|core| core.connect(self.handle, options.host_or_default(), port, family, local));
        started.unwrap_or_else(|| Err(Error::socket_closed()))?;
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
    pub fn reset_and_destroy(self) -> Socket {
        if let Some(depth) = current::with(|core| core.reset_and_destroy(self.handle)).flatten() {
            current::emit_now(depth);
        }
        self
    }
}

/// Reading.
impl Socket {
    /// Stops `data`, at once. Mirrors `socket.pause()`. The connection is still read ahead up to the high-water mark,
    /// unless it was paused before it was established.
    pub fn pause(self) -> Socket {
        current::with(|core| core.reactor.pause(self.handle));
        self
    }

    /// Lets `data` flow again, from the next tick on: first what was buffered, chunk by chunk. Mirrors `socket.resume()`.
    /// Without a `data` listener the bytes are thrown away.
    pub fn resume(self) -> Socket {
        current::with(|core| core.reactor.resume(self.handle));
        self
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
    /// connection; no system call when nothing changes.
    pub fn set_no_delay(self, on: bool) -> Socket {
        current::with(|core| core.reactor.set_no_delay(self.handle, on));
        self
    }

    /// Probe the connection after it was idle for `initial_delay` (`SO_KEEPALIVE`). Mirrors `socket.setKeepAlive()`.
    /// Whole seconds, the rest is cut off; zero leaves the time to the system. With a delay, ten probes a second apart
    /// are made before the connection is given up. Remembered before there is a connection.
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

/// Properties.
impl Socket {
    /// From `connect()` until it succeeds, fails or is destroyed. Mirrors `socket.connecting`.
    pub fn connecting(self) -> bool {
        self.ask(false, |connection| connection.is_connecting())
    }

    /// Not connected: never, not yet, or no longer. Mirrors `socket.pending`.
    pub fn pending(self) -> bool {
        self.ask(true, |connection| connection.is_pending())
    }

    /// Destroyed, by whomever. Mirrors `socket.destroyed`. True on a stale handle.
    pub fn destroyed(self) -> bool {
        self.ask(true, |connection| connection.is_destroyed())
    }

    /// As in Node, the same as [`destroyed`](Socket::destroyed): true before the `close` event. Mirrors `socket.closed`.
    pub fn closed(self) -> bool {
        self.destroyed()
    }

    /// Whether `data` and `end` may still come. Mirrors `socket.readable`.
    pub fn readable(self) -> bool {
        self.ask(false, |connection| connection.is_readable())
    }

    /// Whether it may be written to: not ended, not destroyed, not failed; true while connecting. Mirrors
    /// `socket.writable`.
    pub fn writable(self) -> bool {
        self.ask(false, |connection| connection.is_writable())
    }

    /// Whether `end` was emitted. Mirrors `socket.readableEnded`.
    pub fn readable_ended(self) -> bool {
        self.ask(false, |connection| connection.readable_ended())
    }

    /// Whether this side was ended, by `end()` or because the peer ended. Mirrors `socket.writableEnded`.
    pub fn writable_ended(self) -> bool {
        self.ask(false, |connection| connection.writable_ended())
    }

    /// Whether `finish` was emitted. Mirrors `socket.writableFinished`.
    pub fn writable_finished(self) -> bool {
        self.ask(false, |connection| connection.writable_finished())
    }

    /// Whether a `write` returned false and `drain` will come. Mirrors `socket.writableNeedDrain`.
    pub fn writable_need_drain(self) -> bool {
        self.ask(false, |connection| connection.writable_need_drain())
    }

    /// Whether `pause()` was the last word. Mirrors `socket.isPaused()`.
    pub fn is_paused(self) -> bool {
        self.ask(false, |connection| connection.is_paused())
    }

    /// `None` before anybody asked for data, then whether it flows. Mirrors `socket.readableFlowing`.
    pub fn readable_flowing(self) -> Option<bool> {
        self.ask(None, |connection| connection.flowing())
    }

    /// Whether it may write on after its peer ended. Mirrors `socket.allowHalfOpen`.
    pub fn allow_half_open(self) -> bool {
        self.ask(false, |connection| connection.allow_half_open())
    }

    /// Sets [`allow_half_open`](Socket::allow_half_open); looked at when `end` is emitted. Mirrors an assignment to
    /// `socket.allowHalfOpen`.
    pub fn set_allow_half_open(self, allow: bool) -> Socket {
        self.ask((), |connection| connection.set_allow_half_open(allow));
        self
    }

    /// Mirrors `socket.readyState`.
    pub fn ready_state(self) -> ReadyState {
        self.ask(ReadyState::Closed, |connection| {
            if connection.is_connecting() {
                return ReadyState::Opening;
            }
            match (connection.is_readable(), connection.is_writable()) {
                (true, true) => ReadyState::Open,
                (true, false) => ReadyState::ReadOnly,
                (false, true) => ReadyState::WriteOnly,
                (false, false) => ReadyState::Closed,
            }
        })
    }

    /// The error that destroyed it, or is about to. Mirrors `socket.errored`.
    pub fn errored(self) -> Option<Error> {
        self.ask(None, |connection| connection.errored().cloned())
    }

    /// Bytes taken from the kernel, delivered or not. Mirrors `socket.bytesRead`. Kept after `close` for as long as the
    /// slot lives; a new connection starts at 0.
    pub fn bytes_read(self) -> u64 {
        self.ask(0, |connection| connection.bytes_read())
    }

    /// Bytes given to `write`, sent or not. Mirrors `socket.bytesWritten`.
    pub fn bytes_written(self) -> u64 {
        self.ask(0, |connection| connection.bytes_written())
    }

    /// Bytes that wait to be sent; `None` without a connection. Mirrors the deprecated `socket.bufferSize`; use
    /// [`writable_length`](Socket::writable_length).
    pub fn buffer_size(self) -> Option<usize> {
        self.ask(None, |connection| connection.has_handle().then(|| connection.writable_length()))
    }

    /// Bytes that were read ahead and wait to be consumed. Mirrors `socket.readableLength`.
    pub fn readable_length(self) -> usize {
        self.ask(0, |connection| connection.readable_length())
    }

    /// Bytes that wait to be sent. A write that the kernel took in part counts in full until it is complete. Mirrors
    /// `socket.writableLength`.
    pub fn writable_length(self) -> usize {
        self.ask(0, |connection| connection.writable_length())
    }

    /// In bytes; default 65,536. Mirrors `socket.readableHighWaterMark`.
    pub fn readable_high_water_mark(self) -> usize {
        self.ask(0, |connection| connection.readable_high_water_mark())
    }

    /// In bytes; default 65,536. Mirrors `socket.writableHighWaterMark`.
    pub fn writable_high_water_mark(self) -> usize {
        self.ask(0, |connection| connection.writable_high_water_mark())
    }

    /// What [`set_timeout`](Socket::set_timeout) was last given; `None` before. Mirrors `socket.timeout`.
    pub fn timeout(self) -> Option<Duration> {
        self.ask(None, |connection| connection.timeout())
    }

    /// The server that accepted it; `None` for a client. Mirrors `socket.server`.
    pub fn server(self) -> Option<Server> {
        self.ask(None, |connection| connection.server()).map(Server::from_handle)
    }

    /// The peer's address. Mirrors `socket.remoteAddress`: read from the system when it is first asked for while
    /// connected, and remembered until the next connection, so a socket that is first asked after `close` knows nothing.
    /// On a dual-stack server IPv4 peers have mapped addresses (`::ffff:127.0.0.1`).
    pub fn remote_address(self) -> Option<IpAddr> {
        self.read_remote_address().map(|address| address.ip())
    }

    /// The peer's port; remembered as [`remote_address`](Socket::remote_address) is. Mirrors `socket.remotePort`.
    pub fn remote_port(self) -> Option<u16> {
        self.read_remote_address().map(|address| address.port())
    }

    /// The family of the peer's address; remembered likewise. Mirrors `socket.remoteFamily`.
    pub fn remote_family(self) -> Option<Family> {
        self.read_remote_address().map(|address| Family::of(&address))
    }

    /// The peer's address and port, from the moment of connecting until the slot is freed or connects again, whether or
    /// not they were asked for before. Node has no such property; see [`remote_address`](Socket::remote_address).
    pub fn peer_addr(self) -> Option<SocketAddr> {
        self.ask(None, |connection| connection.peer())
    }

    fn read_remote_address(self) -> Option<SocketAddr> {
        self.ask(None, Connection::remote_address)
    }

    /// This end's address; `None` without a connection. Mirrors `socket.localAddress`.
    pub fn local_address(self) -> Option<IpAddr> {
        self.address().map(|address| address.ip())
    }

    /// This end's port; `None` without a connection. Mirrors `socket.localPort`.
    pub fn local_port(self) -> Option<u16> {
        self.address().map(|address| address.port())
    }

    /// The family of this end's address; `None` without a connection. Mirrors `socket.localFamily`.
    pub fn local_family(self) -> Option<Family> {
        self.address().map(|address| Family::of(&address))
    }

    /// This end's address and port together; `None` without a connection. Mirrors `socket.address()`.
    pub fn address(self) -> Option<SocketAddr> {
        self.ask(None, |connection| connection.local_address())
    }

    /// Asks the connection, or answers as a stale handle does.
    fn ask<R>(self, stale: R, question: impl FnOnce(&mut Connection) -> R) -> R {
        current::with(|core| core.reactor.live(self.handle).map(question)).flatten().unwrap_or(stale)
    }
}
