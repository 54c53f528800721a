//! What can be set on a [`Socket`]: the idle timeout, the options of its descriptor, and whether it keeps the loop alive.
//!
//! It may touch the event loop's commands. Invariant: what is set before there is a connection is remembered for it.

use std::time::Duration;

use crate::error::Error;
use crate::event_loop::current;
use crate::net::{KeepAliveOptions, Socket};

/// Settings. On a freed handle none of them does anything.
impl Socket {
    /// Asks for a `timeout` event when nothing happens for this long; zero cancels. Mirrors [`socket.setTimeout()`].
    ///
    /// Off by default. Less than a millisecond counts as one, more than 2³¹-1 milliseconds as that. The event is only a
    /// [notification](Socket::on_timeout): the socket stays open.
    ///
    /// Activity is input that is read (or its end), the start of a write and the end of one that had to wait, and the
    /// steps of connecting. No activity are writes that are queued or corked, `end`, and input that is not read because
    /// the socket is paused. It works before and while connecting, never keeps the loop alive, and ends with `destroy`;
    /// on a destroyed socket it does nothing, and a connection made again needs it anew.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// socket.set_timeout(Duration::from_millis(5));
    /// socket.on_timeout(move |socket| {
    ///     sender.send("nothing happened").unwrap();
    ///     socket.destroy();
    /// });
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok("nothing happened"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.setTimeout()`]: https://nodejs.org/api/net.html#socketsettimeouttimeout-callback
    pub fn set_timeout(self, timeout: Duration) -> Socket {
        current::with(|core| core.set_idle_timeout(self.handle, timeout));
        self
    }

    /// [`set_timeout`](Socket::set_timeout) with a one-shot `timeout` listener. Mirrors
    /// [`socket.setTimeout(timeout, callback)`].
    ///
    /// With a zero timeout, or on a destroyed socket, the listener is not added. Node then removes an equal one;
    /// closures cannot be compared, so use [`off`](Socket::off).
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket, net::SocketEvent};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.set_timeout_with(Duration::from_secs(30), |socket| {
    ///     socket.destroy();
    /// });
    /// assert_eq!(socket.timeout(), Some(Duration::from_secs(30)));
    /// assert_eq!(socket.listener_count(SocketEvent::Timeout), 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.setTimeout(timeout, callback)`]: https://nodejs.org/api/net.html#socketsettimeouttimeout-callback
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

    /// Sends small writes at once (`TCP_NODELAY`) instead of waiting for the acknowledgement of earlier ones. Mirrors
    /// [`socket.setNoDelay()`].
    ///
    /// Off by default. Remembered before there is a connection; no system call when nothing changes. Means nothing for
    /// a unix socket.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// socket.set_no_delay(true);
    /// let (stream, _) = socket.into_std()?;
    /// assert!(stream.nodelay()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.setNoDelay()`]: https://nodejs.org/api/net.html#socketsetnodelaynodelay
    pub fn set_no_delay(self, on: bool) -> Socket {
        current::with(|core| core.reactor.set_no_delay(self.handle, on));
        self
    }

    /// Sends the writes of one callback together, in one system call, instead of each at once. Not in Node, whose idiom
    /// for it is `socket.cork(); process.nextTick(() => socket.uncork())`: this does that before the first write of a
    /// callback.
    ///
    /// Off by default. It can be turned on and off at any time, and is kept when the socket connects again. It pays for
    /// programs that make a message of several small writes; one large write per callback is only delayed by it.
    ///
    /// What it changes:
    ///
    /// - A write is queued, and sent with the others in a tick that the first of them queues. Ticks that were queued
    ///   before it can add to the batch; what is written later belongs to the next one. Writes from outside of
    ///   [`run`](crate::EventLoop::run) and [`turn`](crate::EventLoop::turn) go out when that is next called.
    /// - Until then [`writable_length`](Socket::writable_length) counts what was written. [`Socket::bytes_written`] does
    ///   in any case.
    /// - Callbacks of [`write_with`](Socket::write_with) follow one tick later than without it, those of one batch
    ///   together.
    /// - That the connection broke is learned when the batch is sent, and told one tick later: the write itself returned
    ///   true.
    /// - What is written while connecting takes its place among the `connect` listeners in that tick: a listener that is
    ///   added after the write, in the same callback, is called before the bytes go out.
    ///
    /// What it does not change:
    ///
    /// - What [`write`](Socket::write) returns, and when `drain` comes: what was collected is sent at once when it
    ///   reaches [`writable_high_water_mark`](Socket::writable_high_water_mark), so no write is refused that the kernel
    ///   would have taken.
    /// - [`end`](Socket::end), [`destroy_soon`](Socket::destroy_soon), [`destroy`](Socket::destroy),
    ///   [`reset_and_destroy`](Socket::reset_and_destroy), [`into_std`](Socket::into_std) and the last
    ///   [`uncork`](Socket::uncork) send what was collected first, within the call; so does turning it off. `finish` and
    ///   `close` come when they would have come.
    /// - A [`cork`](Socket::cork) holds until its [`uncork`](Socket::uncork), also beyond the tick.
    /// - The order of bytes, callbacks and events.
    /// - What a write after `end`, after `destroy` or without a connection leads to.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket, next_tick};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// socket.set_batch_writes(true);
    /// for part in ["a ", "message ", "in ", "parts"] {
    ///     assert!(socket.write(part));
    /// }
    /// assert_eq!(socket.writable_length(), 18);
    /// next_tick(move || {
    ///     assert_eq!(socket.writable_length(), 0, "the kernel has everything");
    ///     socket.destroy();
    /// });
    /// event_loop.run()?;
    ///
    /// let mut received = String::new();
    /// peer.read_to_string(&mut received)?;
    /// assert_eq!(received, "a message in parts");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_batch_writes(self, on: bool) -> Socket {
        current::with(|core| core.command(|reactor| reactor.set_batch_writes(self.handle, on)));
        self
    }

    /// Whether the writes of one callback are sent together; false on a freed handle. Not in Node, see
    /// [`set_batch_writes`](Socket::set_batch_writes).
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert!(!socket.batch_writes());
    /// assert!(socket.set_batch_writes(true).batch_writes());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn batch_writes(self) -> bool {
        self.ask(false, |connection| connection.batches_writes())
    }

    /// Probes the connection after it was idle for `initial_delay` (`SO_KEEPALIVE`). Mirrors [`socket.setKeepAlive()`].
    ///
    /// Off by default. Whole seconds count, the rest is cut off; zero leaves the times to the system. With a delay, ten
    /// probes a second apart are made before the connection is given up. Remembered before there is a connection; no
    /// system call when nothing changes. What the kernel refuses is ignored, as in Node. Means nothing for a unix
    /// socket.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// socket.set_keep_alive(true, Duration::from_secs(60));
    /// # let (stream, _) = socket.into_std()?;
    /// # assert!(socket2::SockRef::from(&stream).keepalive()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.setKeepAlive()`]: https://nodejs.org/api/net.html#socketsetkeepalive
    pub fn set_keep_alive(self, on: bool, initial_delay: Duration) -> Socket {
        current::with(|core| core.reactor.set_keep_alive(self.handle, on, initial_delay, None, None));
        self
    }

    /// [`set_keep_alive`](Socket::set_keep_alive) with all that can be said: also the time between probes and their
    /// number. Mirrors [`socket.setKeepAlive(options)`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::KeepAliveOptions, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let minute = Duration::from_secs(60);
    /// let options = KeepAliveOptions::new().enable(true).initial_delay(minute).interval(minute / 6).count(3);
    /// socket.set_keep_alive_with(options);
    /// # let (stream, _) = socket.into_std()?;
    /// # assert!(socket2::SockRef::from(&stream).keepalive()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.setKeepAlive(options)`]: https://nodejs.org/api/net.html#socketsetkeepaliveoptions
    pub fn set_keep_alive_with(self, options: KeepAliveOptions) -> Socket {
        let KeepAliveOptions { enable, initial_delay, interval, count } = options;
        current::with(|core| core.reactor.set_keep_alive(self.handle, enable, initial_delay, interval, count));
        self
    }

    /// How long what was sent may go without an acknowledgement, or wait behind the peer's closed window, before the kernel
    /// gives the connection up (`TCP_USER_TIMEOUT`, RFC 5482, tcp(7)): whole milliseconds. Then `error` (`ETIMEDOUT`, of
    /// `read` or `write`) and `close` follow. Not in Node.
    ///
    /// Zero, the default, leaves it to the system: on Linux about a quarter of an hour. A peer that has vanished is noticed by
    /// this where something was sent; where nothing was, [keep-alive](Socket::set_keep_alive) notices, whose probes this
    /// limits too. Remembered before there is a connection; no system call when nothing changes. What the kernel refuses is
    /// ignored. Linux only; means nothing elsewhere and for a unix socket.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new().set_user_timeout(Duration::from_secs(30)); // remembered until it is connected
    /// # assert!(socket.pending());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_user_timeout(self, timeout: Duration) -> Socket {
        current::with(|core| core.reactor.set_user_timeout(self.handle, timeout));
        self
    }

    /// Sets the type of service of its packets: the byte of the IP header that holds DSCP and ECN (`IP_TOS`,
    /// `IPV6_TCLASS`). Mirrors [`socket.setTypeOfService()`].
    ///
    /// Default: the system's, 0 in general. Remembered before there is a connection; no system call when nothing
    /// changes. A unix socket remembers it and no more.
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
    /// socket.set_type_of_service(0x10)?;
    /// assert_eq!(socket.type_of_service()?, 0x10);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.setTypeOfService()`]: https://nodejs.org/api/net.html#socketsettypeofservicetos
    pub fn set_type_of_service(self, value: u8) -> Result<Socket, Error> {
        current::with(|core| core.reactor.set_type_of_service(self.handle, value)).unwrap_or(Ok(()))?;
        Ok(self)
    }

    /// The type of service: what the kernel uses while connected (on Linux without the ECN bits), else what was set; 0
    /// when nothing was, and on a freed handle. Mirrors [`socket.getTypeOfService()`].
    ///
    /// # Errors
    ///
    /// What the kernel says, with the syscall `getTypeOfService`.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert_eq!(socket.type_of_service()?, 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.getTypeOfService()`]: https://nodejs.org/api/net.html#socketgettypeofservice
    pub fn type_of_service(self) -> Result<u8, Error> {
        current::with(|core| core.reactor.type_of_service(self.handle)).unwrap_or(Ok(0))
    }

    /// Lets the socket keep the loop alive while it reads, as it does from the start. Mirrors [`socket.ref()`]; `ref`
    /// is a keyword of Rust.
    ///
    /// Takes an [`unref`](Socket::unref) back, however many there were. Before there is a connection it waits for
    /// `connect`.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?;
    /// socket.unref();
    /// socket.ref_();
    /// drop(peer);
    /// event_loop.run()?;
    /// assert!(socket.destroyed(), "the loop waited for it");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.ref()`]: https://nodejs.org/api/net.html#socketref
    pub fn ref_(self) -> Socket {
        current::with(|core| core.set_socket_referenced(self.handle, true));
        self
    }

    /// Lets the loop end although the socket reads. Mirrors [`socket.unref()`].
    ///
    /// A connect, a write or a shutdown in flight keeps the loop alive all the same. Before there is a connection it
    /// waits for `connect`. Forgotten when the socket connects again.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?;
    /// socket.unref();
    /// event_loop.run()?;
    /// assert!(!socket.destroyed(), "the loop did not wait for its end");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.unref()`]: https://nodejs.org/api/net.html#socketunref
    pub fn unref(self) -> Socket {
        current::with(|core| core.set_socket_referenced(self.handle, false));
        self
    }
}
