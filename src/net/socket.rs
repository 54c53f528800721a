//! What a [`Socket`] can do: connect, write, end, be destroyed. Its settings, its listeners and its readable side are in
//! the neighbouring files.
//!
//! It may touch the event loop's commands. Commands return the socket where Node returns `this`, so that they can be
//! chained; on a stale handle they do nothing.

use crate::error::Error;
use crate::event_loop::callbacks::Callback;
use crate::event_loop::current;
use crate::event_loop::emit::call_lookup;
use crate::event_loop::{Outgoing, Plainly, QueuedBytes};
use crate::net::{Chunk, ConnectOptions, Encoding, Socket, SocketOptions};

/// Making and connecting.
impl Socket {
    /// Makes a socket that is not connected yet: [`connect`](Socket::connect) connects it, more than once if need be.
    /// Mirrors [`new net.Socket()`].
    ///
    /// It has the defaults of [`SocketOptions`], emits nothing by itself and does not keep the loop alive. Its slot is
    /// held until it is [destroyed](Socket::destroy), [released](Socket::release), or closed after a connection; in
    /// Node an object nobody refers to is collected.
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
    /// assert_eq!(event_loop.connections(), 1);
    /// socket.release();
    /// assert_eq!(event_loop.connections(), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.Socket()`]: https://nodejs.org/api/net.html#new-netsocketoptions
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it needs an event loop; a default must not panic")]
    pub fn new() -> Socket {
        Socket::with_options(SocketOptions::new())
    }

    /// Makes a socket with options: high-water marks, half-open, a descriptor that is connected already, and so on.
    /// Mirrors [`new net.Socket(options)`].
    ///
    /// With a [`signal`](SocketOptions::signal) that is aborted already the socket is destroyed at once: `error`
    /// (`ABORT_ERR`) and `close` follow in ticks. With a descriptor that was used before, `error` is
    /// `ERR_SOCKET_HANDLE_ADOPTED`.
    ///
    /// # Panics
    ///
    /// Without an [`EventLoop`](crate::EventLoop) on this thread.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket, net::SocketOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::with_options(SocketOptions::new().allow_half_open(true).high_water_mark(1024));
    /// assert!(socket.allow_half_open());
    /// assert_eq!(socket.readable_high_water_mark(), 1024);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
    #[track_caller]
    pub fn with_options(options: SocketOptions) -> Socket {
        let connection = options.connection_options();
        let handle = current::expect(|core| core.new_socket_on(&connection, options.given.as_ref()));
        if let Some(signal) = options.signal_option() {
            signal.attach_socket(handle);
        }
        Socket::from_handle(handle)
    }

    /// Connects. Mirrors [`socket.connect()`].
    ///
    /// `to` is what [`net::connect`](crate::net::connect) takes; those of its options that make a socket are ignored
    /// here. From now on [`connecting`](Socket::connecting) is true, and what is written waits.
    ///
    /// | to | emitted first |
    /// |---|---|
    /// | an address | `connectionAttempt`, in a tick |
    /// | a name | `lookup` for each address and `connectionAttempt`, in the poll phase, when the answer is there |
    /// | a path | `connectionAttempt`, within this call |
    ///
    /// Then, in a later callback of the loop, `connect` and `ready` come back to back; or `connectionAttemptFailed`, a
    /// tick later `error`, and `close` in the closing phase. An error that prevents the attempt itself (a lookup that
    /// failed, `bind EADDRINUSE`) comes without `connectionAttemptFailed`.
    ///
    /// A socket that closed may connect again, also inside its `close` or `error` listener: listeners, flow and options
    /// are kept, counters and the state of the stream begin anew; the idle timeout must be set again, and an
    /// [`unref`](Socket::unref) is forgotten. After `close` the slot is freed, unless [`retain`](Socket::retain) holds
    /// it.
    ///
    /// # Errors
    ///
    /// `ERR_MISSING_ARGS` without a port or a path, `ERR_INVALID_IP_ADDRESS` for a local address that is none,
    /// `ERR_OUT_OF_RANGE` for an attempt timeout below a millisecond, `EISCONN` when connected (in Node the outcome is
    /// undefined), `ERR_SOCKET_CLOSED` on a stale handle: nothing is changed then. On a socket that is connecting it
    /// returns `Ok`, and the socket fails with `EALREADY`, as in Node. On a socket made of a
    /// [`BoundSocket`](crate::net::BoundSocket): `ERR_INVALID_ARG_VALUE` for another local end, and, when it is bound to a
    /// path, `ERR_INVALID_ARG_TYPE` without one.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::TcpListener;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::new();
    /// socket.on_connect(|socket| {
    ///     socket.write("hello");
    ///     socket.destroy_soon();
    /// });
    /// socket.connect(listener.local_addr()?)?;
    /// assert!(socket.connecting());
    /// event_loop.run()?;
    ///
    /// let mut received = String::new();
    /// listener.accept()?.0.read_to_string(&mut received)?;
    /// assert_eq!(received, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.connect()`]: https://nodejs.org/api/net.html#socketconnect
    pub fn connect(self, to: impl Into<ConnectOptions>) -> Result<Socket, Error> {
        let options = to.into();
        self.start_connect(&options)
    }

    /// [`connect`](Socket::connect) with a one-shot `connect` listener. Mirrors [`socket.connect(options, listener)`].
    ///
    /// The listener takes its place behind those that are there. When the attempt fails it stays, and is called when a
    /// later one succeeds.
    ///
    /// # Errors
    ///
    /// As [`connect`](Socket::connect); the listener is not registered then.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let (sender, receiver) = mpsc::channel();
    /// Socket::new().connect_with(listener.local_addr()?, move |socket| {
    ///     sender.send(socket.remote_port()).unwrap();
    ///     socket.destroy();
    /// })?;
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(Some(listener.local_addr()?.port())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.connect(options, listener)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
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
///
/// On a freed handle nothing is written and nothing emitted; callbacks are called in a tick, with
/// `ERR_STREAM_DESTROYED`.
impl Socket {
    /// Writes bytes or text; text in an encoding of its own is [`Chunk::encoded`]. Mirrors [`socket.write()`].
    ///
    /// The kernel is tried at once, within the call; what it does not take is queued, in order, without limit unless there is
    /// [one](Socket::set_max_buffered). While
    /// [connecting](Socket::connecting), [corked](Socket::cork), or behind a write that waits, everything is queued.
    /// Zero bytes are a write too.
    ///
    /// Returns whether to go on: false once [`writable_length`](Socket::writable_length), after the attempt, has
    /// reached [`writable_high_water_mark`](Socket::writable_high_water_mark). Stop then and go on at
    /// [`drain`](Socket::on_drain), which follows when everything queued is with the kernel. What was given to a write
    /// that returned false is queued all the same. Lengths are bytes; Node counts UTF-16 code units of strings.
    ///
    /// A write that cannot be made returns false and its error is told in ticks, to the callback of
    /// [`write_with`](Socket::write_with) first:
    ///
    /// | when | error | events |
    /// |---|---|---|
    /// | after [`end`](Socket::end) | `ERR_STREAM_WRITE_AFTER_END` | `error`, `close` |
    /// | the same once `end` was emitted, without [`allow_half_open`](Socket::allow_half_open) | `EPIPE` | `error`, `close` |
    /// | without a connection | `ERR_SOCKET_CLOSED` | `error`, `close` |
    /// | after [`destroy`](Socket::destroy) | `ERR_STREAM_DESTROYED` | none |
    /// | more would wait than [`max_buffered`](Socket::max_buffered) allows | `ERR_SOCKET_MAX_BUFFERED` | `write_refused`, or `error`, `close` |
    /// | the same for [all sockets](crate::EventLoopOptions::max_buffered_total) | `ERR_LOOP_MAX_BUFFERED` | `write_refused` |
    /// | the connection broke | `EPIPE`, `ECONNRESET`, … | `error`, `close` |
    /// | what the kernel does not take at once is to be copied, and there is no memory for it | `ENOMEM` | `error`, `close` |
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// assert!(socket.write("hello"));
    /// assert_eq!(socket.writable_length(), 0, "the kernel has everything");
    /// socket.destroy_soon();
    /// event_loop.run()?;
    ///
    /// let mut received = String::new();
    /// peer.read_to_string(&mut received)?;
    /// assert_eq!(received, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.write()`]: https://nodejs.org/api/net.html#socketwritedata-encoding-callback
    #[inline]
    pub fn write<'a>(self, chunk: impl Into<Chunk<'a>>) -> bool {
        match chunk.into().into_lent() {
            Ok(bytes) => match current::write_plainly(self.handle, bytes) {
                Plainly::Whole => true,
                otherwise => self.write_otherwise(Chunk::from(bytes), otherwise),
            },
            Err(chunk) => match current::write_plainly(self.handle, chunk.as_slice()) {
                Plainly::Whole => true,
                otherwise => self.write_otherwise(chunk, otherwise),
            },
        }
    }

    /// [`write`](Socket::write) with a callback. Mirrors [`socket.write(data, callback)`].
    ///
    /// It is called exactly once: with `Ok` when the kernel has everything (which is not when the peer has it), or with
    /// the error, one tick before the `error` event. A write that the kernel took at once is told in the next tick, one
    /// that had to wait in the poll phase, after `drain`. Callbacks come in the order of the writes. What a
    /// [`destroy`](Socket::destroy) cuts off gets `ECANCELED`, `ERR_STREAM_DESTROYED` or, while connecting,
    /// `ERR_SOCKET_CLOSED_BEFORE_CONNECTION`.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// socket.write_with("hello", move |socket, result| {
    ///     sender.send(result.is_ok()).unwrap();
    ///     socket.destroy();
    /// });
    /// assert!(receiver.try_recv().is_err(), "not within the call");
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.write(data, callback)`]: https://nodejs.org/api/net.html#socketwritedata-encoding-callback
    pub fn write_with<'a>(
        self,
        chunk: impl Into<Chunk<'a>>,
        callback: impl FnOnce(Socket, Result<(), &Error>) + 'static,
    ) -> bool {
        self.write_the_long_way(chunk.into(), Some(Callback::Complete(Box::new(callback))))
    }

    /// What the short way did not bring to an end. What is left of the chunk is dropped here, with nothing borrowed.
    #[cold]
    fn write_otherwise(self, chunk: Chunk<'_>, how_far: Plainly) -> bool {
        match how_far {
            Plainly::Whole => true,
            Plainly::Otherwise(outcome) => {
                let mut chunk = Some(chunk);
                current::with(|core| core.written_otherwise(self.handle, &mut chunk, outcome)).unwrap_or(false)
            }
            Plainly::Not => self.write_the_long_way(chunk, None),
        }
    }

    fn write_the_long_way(self, chunk: Chunk<'_>, callback: Option<Callback>) -> bool {
        let mut chunk = Some(chunk);
        current::with(|core| core.write(self.handle, &mut chunk, callback)).unwrap_or(false)
    }

    /// Sets the encoding of text that is written from now on: `&str`, `&String`, `String`, and what is
    /// [piped](Socket::pipe) from a socket that has a [`set_encoding`](Socket::set_encoding). Mirrors
    /// [`socket.setDefaultEncoding()`].
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
    ///
    /// [`socket.setDefaultEncoding()`]: https://nodejs.org/api/stream.html#writablesetdefaultencodingencoding
    pub fn set_default_encoding(self, encoding: Encoding) -> Socket {
        current::with(|core| core.reactor.set_default_encoding(self.handle, encoding));
        self
    }

    /// Holds writes back until [`uncork`](Socket::uncork): they are queued, and go out as one. Mirrors
    /// [`socket.cork()`].
    ///
    /// Counted: as many calls of `uncork` are needed. What [`write`](Socket::write) returns counts the queued bytes as
    /// ever. [`end`](Socket::end) takes all corks out.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.cork();
    /// socket.write("head, ");
    /// socket.write("body");
    /// assert_eq!(socket.writable_corked(), 1);
    /// assert_eq!(socket.writable_length(), 10);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.cork()`]: https://nodejs.org/api/stream.html#writablecork
    pub fn cork(self) -> Socket {
        current::with(|core| core.reactor.cork(self.handle));
        self
    }

    /// Takes one [`cork`](Socket::cork) out; the last one sends what was queued, within the call and in one system
    /// call. Mirrors [`socket.uncork()`].
    ///
    /// Callbacks of those writes follow in the next tick, and before them `drain`, when a write had returned false.
    /// Without a cork it does nothing.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// socket.cork();
    /// socket.write("head, ");
    /// socket.write("body");
    /// socket.uncork();
    /// assert_eq!(socket.writable_length(), 0);
    /// socket.destroy_soon();
    /// event_loop.run()?;
    ///
    /// let mut received = String::new();
    /// peer.read_to_string(&mut received)?;
    /// assert_eq!(received, "head, body");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.uncork()`]: https://nodejs.org/api/stream.html#writableuncork
    pub fn uncork(self) -> Socket {
        current::with(|core| core.command(|reactor| reactor.uncork(self.handle)));
        self
    }

    /// Ends this side: half-close. Mirrors [`socket.end()`].
    ///
    /// [`writable`](Socket::writable) is false from now on. Everything queued is sent, then the FIN; `finish` follows
    /// in a tick of the callback in which that is done. The other direction stays open until the peer ends it: when
    /// both `finish` and `end` were emitted, the socket is destroyed and `close` follows. While connecting it waits for
    /// the connection. A second call does nothing. A socket that was never connected emits `finish` and no `close`.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?;
    /// socket.end();
    /// assert!(!socket.writable() && socket.readable());
    /// // The peer ends too, and the connection is over.
    /// drop(peer);
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.end()`]: https://nodejs.org/api/net.html#socketenddata-encoding-callback
    pub fn end(self) -> Socket {
        current::with(|core| core.end::<QueuedBytes>(self.handle, None, None));
        self
    }

    /// [Writes](Socket::write), then [ends](Socket::end) this side. Mirrors [`socket.end(data)`].
    ///
    /// Errors and events are those of the two. After an `end` it destroys the socket with `ERR_STREAM_WRITE_AFTER_END`;
    /// without a connection with `ERR_SOCKET_CLOSED`, also when there are no bytes.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::{Shutdown, TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// socket.end_data("goodbye");
    /// peer.shutdown(Shutdown::Write)?;
    /// event_loop.run()?;
    ///
    /// let mut received = String::new();
    /// peer.read_to_string(&mut received)?;
    /// assert_eq!(received, "goodbye");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.end(data)`]: https://nodejs.org/api/net.html#socketenddata-encoding-callback
    pub fn end_data<'a>(self, chunk: impl Into<Chunk<'a>>) -> Socket {
        let mut chunk = Some(chunk.into());
        current::with(|core| core.end(self.handle, Some(&mut chunk), None));
        self
    }

    /// [`end`](Socket::end) with a callback. Mirrors [`socket.end(callback)`].
    ///
    /// It is called exactly once, in the order of the calls: with `Ok` just before the `finish` listeners, or with the
    /// error that prevented it: `ERR_STREAM_ALREADY_FINISHED` after `finish`, `ERR_STREAM_DESTROYED` after `destroy`,
    /// or what broke the connection. Node forgets the first such callback after a `destroy`.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// socket.end_with(move |socket, result| {
    ///     sender.send((result.is_ok(), socket.writable_finished())).unwrap();
    /// });
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok((true, true)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.end(callback)`]: https://nodejs.org/api/net.html#socketenddata-encoding-callback
    pub fn end_with(self, callback: impl FnOnce(Socket, Result<(), &Error>) + 'static) -> Socket {
        let callback = Callback::Complete(Box::new(callback));
        current::with(|core| core.end::<QueuedBytes>(self.handle, None, Some(callback)));
        self
    }

    /// [`end_data`](Socket::end_data) with a callback. Mirrors [`socket.end(data, callback)`].
    ///
    /// It is called as the one of [`end_with`](Socket::end_with), or with the error of the write.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// let (sender, receiver) = mpsc::channel();
    /// socket.end_data_with("to nobody", move |_, result| {
    ///     sender.send(result.unwrap_err().code().map(String::from)).unwrap();
    /// });
    /// socket.on_error(|_, error| assert_eq!(error.message(), "Socket is closed"));
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(Some("ERR_SOCKET_CLOSED".into())));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.end(data, callback)`]: https://nodejs.org/api/net.html#socketenddata-encoding-callback
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

/// Destroying. On a freed handle none of it does anything.
impl Socket {
    /// Ends the connection at once, in both directions. Mirrors [`socket.destroy()`].
    ///
    /// The descriptor is closed, queued output and unread input are lost, [`destroyed`](Socket::destroyed) is true on
    /// return. Of all events only `close` follows, without error: in the closing phase of this turn, or in a tick when
    /// there never was a connection. The callbacks that `write` and `end` owe are called before it or among its
    /// listeners. Repeated calls do nothing. A socket that was never connected may be destroyed too: it closes, and its
    /// slot is freed.
    ///
    /// The peer sees an end, or a reset when it had sent something that was not read.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// socket.on_close(move |_, had_error| sender.send(had_error).unwrap());
    /// socket.destroy();
    /// assert!(socket.destroyed() && !socket.writable());
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.destroy()`]: https://nodejs.org/api/net.html#socketdestroyerror
    pub fn destroy(self) -> Socket {
        current::with(|core| core.destroy(self.handle));
        self
    }

    /// [`destroy`](Socket::destroy) because of an error. Mirrors [`socket.destroy(error)`].
    ///
    /// `error` is emitted in a tick, then `close` with `had_error`. On a socket that is destroyed already nothing
    /// happens: the first error is the only one. Any error type or text will do, see [`Error`].
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// let (sender, receiver) = mpsc::channel();
    /// socket.on_error(move |_, error| sender.send(error.message().to_string()).unwrap());
    /// socket.destroy_with("not today");
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok("not today".into()));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.destroy(error)`]: https://nodejs.org/api/net.html#socketdestroyerror
    pub fn destroy_with(self, error: impl Into<Error>) -> Socket {
        let error = error.into();
        current::with(|core| core.destroy_with(self.handle, error));
        current::bury_if_idle();
        self
    }

    /// [Ends](Socket::end) this side and destroys the socket at `finish`, without waiting for the peer. Mirrors
    /// [`socket.destroySoon()`].
    ///
    /// Everything queued is sent first. `finish` and `close` follow, `end` does not. After `finish` it destroys at
    /// once. Returns the socket, where Node returns nothing.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// socket.write("last words");
    /// socket.destroy_soon();
    /// assert!(!socket.destroyed(), "not before it is sent");
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    ///
    /// let mut received = String::new();
    /// peer.read_to_string(&mut received)?;
    /// assert_eq!(received, "last words");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.destroySoon()`]: https://nodejs.org/api/net.html#socketdestroysoon
    pub fn destroy_soon(self) -> Socket {
        current::with(|core| core.destroy_soon(self.handle));
        self
    }

    /// Destroys the connection with a reset (RST). Mirrors [`socket.resetAndDestroy()`].
    ///
    /// Here it is a [`destroy`](Socket::destroy): `close` without error. The peer gets `ECONNRESET`. While connecting
    /// it waits for the connection: `connect`, `ready`, then `close`. Without a connection the socket is destroyed with
    /// `ERR_SOCKET_CLOSED`. Right after [`end`](Socket::end), until the FIN is sent, it cannot be reset: `error`
    /// (`EINVAL`) is emitted within the call, and the connection is closed in the ordinary way, where Node forgets the
    /// descriptor.
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_HANDLE_TYPE` for a unix socket, which knows no resets, connected or connecting: it goes on as it
    /// was.
    ///
    /// ```
    /// use std::io::{ErrorKind, Read};
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// socket.reset_and_destroy()?;
    /// event_loop.run()?;
    /// let error = peer.read(&mut [0; 16]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.resetAndDestroy()`]: https://nodejs.org/api/net.html#socketresetanddestroy
    pub fn reset_and_destroy(self) -> Result<Socket, Error> {
        let outcome = current::command(|core| core.reset_and_destroy(self.handle));
        outcome.unwrap_or(Ok(())).map(|()| self)
    }
}
