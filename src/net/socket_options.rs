//! A socket's options, as Node's option objects: builders whose every setter has Node's name and default.
//!
//! It may touch the vocabulary of the floors below. Invariant: a value that the type cannot hold (a negative high-water
//! mark) cannot be said; what remains to be checked is checked where Node throws.

use std::time::Duration;

use crate::event_loop::ConnectionOptions;
use crate::event_loop::abort::AbortSignal;
use crate::event_loop::descriptors::GivenDescriptor;

/// How a [`Socket`](crate::net::Socket) is made. Mirrors the options of [`new net.Socket(options)`].
///
/// ```
/// use halfclose::{EventLoop, net::Socket, net::SocketOptions};
///
/// let event_loop = EventLoop::new()?;
/// let socket = Socket::with_options(SocketOptions::new().allow_half_open(true).high_water_mark(16 * 1024));
/// assert_eq!(socket.writable_high_water_mark(), 16_384);
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
#[derive(Clone, Debug, Default)]
pub struct SocketOptions {
    pub(super) connection: ConnectionOptions,
    /// `highWaterMark` wins over the other two, whichever is set first (rule F2).
    pub(super) high_water_mark: Option<usize>,
    pub(super) signal: Option<AbortSignal>,
    pub(super) given: Option<GivenDescriptor>,
}

impl SocketOptions {
    pub(crate) fn connection_options(&self) -> ConnectionOptions {
        let mut options = self.connection.clone();
        if let Some(high_water_mark) = self.high_water_mark {
            options.readable_high_water_mark = high_water_mark;
            options.writable_high_water_mark = high_water_mark;
        }
        options
    }

    pub(crate) fn signal_option(&self) -> Option<&AbortSignal> {
        self.signal.as_ref()
    }
}

/// The setters that sockets have in common, whether they are made bare or to be connected. For the examples: what makes a
/// socket of `options`, and what connects one to `port`.
macro_rules! socket_setters {
    ($options:ident, $make:literal, $connecting:literal, $($field:ident).*) => {
        impl $options {
            /// Whether the socket may write on after its peer ended; default false: it then ends by itself, after the
            /// `end` listeners. Mirrors `allowHalfOpen` of [`new net.Socket(options)`].
            ///
            /// ```
            /// use halfclose::{EventLoop, net};
            ///
            /// let event_loop = EventLoop::new()?;
            #[doc = concat!("let options = net::", stringify!($options), "::new().allow_half_open(true);")]
            #[doc = concat!("let socket = ", $make, ";")]
            /// assert!(socket.allow_half_open());
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            ///
            /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
            #[must_use]
            pub fn allow_half_open(mut self, allow: bool) -> Self {
                self.$($field.)*connection.allow_half_open = allow;
                self
            }

            /// Both high-water marks, in bytes; default 65,536: beyond it `write` returns false, and reading pauses.
            /// Wins over the two single ones, in whatever order they are set. Mirrors `highWaterMark` of
            /// [`new net.Socket(options)`].
            ///
            /// ```
            /// use halfclose::{EventLoop, net};
            ///
            /// let event_loop = EventLoop::new()?;
            #[doc = concat!("let options = net::", stringify!($options), "::new().high_water_mark(16 * 1024);")]
            #[doc = concat!("let socket = ", $make, ";")]
            /// assert_eq!(socket.readable_high_water_mark(), 16_384);
            /// assert_eq!(socket.writable_high_water_mark(), 16_384);
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            ///
            /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
            #[must_use]
            pub fn high_water_mark(mut self, bytes: usize) -> Self {
                self.$($field.)*high_water_mark = Some(bytes);
                self
            }

            /// How many bytes are read ahead before reading pauses; default 65,536. Mirrors `readableHighWaterMark` of
            /// [`new net.Socket(options)`].
            ///
            /// ```
            /// use halfclose::{EventLoop, net};
            ///
            /// let event_loop = EventLoop::new()?;
            #[doc = concat!("let options = net::", stringify!($options), "::new().readable_high_water_mark(1024);")]
            #[doc = concat!("let socket = ", $make, ";")]
            /// assert_eq!(socket.readable_high_water_mark(), 1024);
            /// assert_eq!(socket.writable_high_water_mark(), 65_536);
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            ///
            /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
            #[must_use]
            pub fn readable_high_water_mark(mut self, bytes: usize) -> Self {
                self.$($field.)*connection.readable_high_water_mark = bytes;
                self
            }

            /// From how many waiting bytes on `write` returns false; default 65,536. Mirrors `writableHighWaterMark` of
            /// [`new net.Socket(options)`].
            ///
            /// ```
            /// use halfclose::{EventLoop, net};
            ///
            /// let event_loop = EventLoop::new()?;
            #[doc = concat!("let options = net::", stringify!($options), "::new().writable_high_water_mark(4);")]
            /// # let port = 1;
            #[doc = concat!("let socket = ", $connecting, ";")]
            /// assert!(!socket.write("hello")); // waits for the connection
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            ///
            /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
            #[must_use]
            pub fn writable_high_water_mark(mut self, bytes: usize) -> Self {
                self.$($field.)*connection.writable_high_water_mark = bytes;
                self
            }

            /// Send small writes at once (`TCP_NODELAY`) instead of collecting them; set when the connection is
            /// established; default false. Mirrors `noDelay` of [`new net.Socket(options)`].
            ///
            /// ```
            /// use std::net::TcpListener;
            /// use halfclose::{EventLoop, net};
            ///
            /// let mut event_loop = EventLoop::new()?;
            /// let listener = TcpListener::bind("127.0.0.1:0")?;
            /// let port = listener.local_addr()?.port();
            #[doc = concat!("let options = net::", stringify!($options), "::new().no_delay(true);")]
            #[doc = concat!("let socket = ", $connecting, ";")]
            /// socket.on_connect(|socket| {
            ///     let (stream, _) = socket.into_std().unwrap();
            ///     assert!(stream.nodelay().unwrap());
            /// });
            /// event_loop.run()?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
            #[must_use]
            pub fn no_delay(mut self, on: bool) -> Self {
                self.$($field.)*connection.no_delay = on;
                self
            }

            /// Send the writes of one callback together, in one system call; default false. Not in Node. What that
            /// changes is listed at [`Socket::set_batch_writes`](crate::net::Socket::set_batch_writes).
            ///
            /// ```
            /// use halfclose::{EventLoop, net};
            ///
            /// let event_loop = EventLoop::new()?;
            #[doc = concat!("let options = net::", stringify!($options), "::new().batch_writes(true);")]
            #[doc = concat!("let socket = ", $make, ";")]
            /// assert!(socket.batch_writes());
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            #[must_use]
            pub fn batch_writes(mut self, on: bool) -> Self {
                self.$($field.)*connection.batch_writes = on;
                self
            }

            /// Probe the connection when it is idle (`SO_KEEPALIVE`); set when it is established; default false.
            /// Mirrors `keepAlive` of [`new net.Socket(options)`].
            ///
            /// ```
            /// use std::net::TcpListener;
            /// use halfclose::{EventLoop, net};
            ///
            /// let mut event_loop = EventLoop::new()?;
            /// let listener = TcpListener::bind("127.0.0.1:0")?;
            /// let port = listener.local_addr()?.port();
            #[doc = concat!("let options = net::", stringify!($options), "::new().keep_alive(true);")]
            #[doc = concat!("let socket = ", $connecting, ";")]
            /// socket.on_connect(|socket| {
            ///     let (stream, _) = socket.into_std().unwrap();
            ///     assert!(socket2::SockRef::from(&stream).keepalive().unwrap());
            /// });
            /// event_loop.run()?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
            #[must_use]
            pub fn keep_alive(mut self, on: bool) -> Self {
                self.$($field.)*connection.keep_alive = on;
                self
            }

            /// How long the connection must be idle before it is probed: whole seconds, the rest is cut off; zero, the
            /// default, leaves it to the system. Means nothing without `keep_alive`. Mirrors `keepAliveInitialDelay` of
            /// [`new net.Socket(options)`].
            ///
            /// ```
            /// use std::{net::TcpListener, time::Duration};
            /// use halfclose::{EventLoop, net};
            ///
            /// let mut event_loop = EventLoop::new()?;
            /// let listener = TcpListener::bind("127.0.0.1:0")?;
            /// let port = listener.local_addr()?.port();
            /// let delay = Duration::from_secs(60);
            #[doc = concat!("let options = net::", stringify!($options), "::new().keep_alive(true).keep_alive_initial_delay(delay);")]
            #[doc = concat!("let socket = ", $connecting, ";")]
            /// socket.on_connect(move |socket| {
            ///     let (stream, _) = socket.into_std().unwrap();
            ///     assert_eq!(socket2::SockRef::from(&stream).tcp_keepalive_time().unwrap(), delay);
            /// });
            /// event_loop.run()?;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            ///
            /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
            #[must_use]
            pub fn keep_alive_initial_delay(mut self, delay: Duration) -> Self {
                self.$($field.)*connection.keep_alive_initial_delay = delay;
                self
            }

            /// How long what was sent may go without an acknowledgement before the kernel gives the connection up; set
            /// when it is established; default zero, which leaves it to the system. Not in Node; see
            /// [`Socket::set_user_timeout`](crate::net::Socket::set_user_timeout).
            ///
            /// ```
            /// use std::time::Duration;
            /// use halfclose::{EventLoop, net};
            ///
            /// let event_loop = EventLoop::new()?;
            #[doc = concat!("let options = net::", stringify!($options), "::new().user_timeout(Duration::from_secs(30));")]
            #[doc = concat!("let socket = ", $make, ";")]
            /// # assert!(!socket.destroyed());
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            #[must_use]
            pub fn user_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.$($field.)*connection.user_timeout = timeout;
                self
            }

            /// The type of service of every packet, 0 to 255; set when the connection is established; default: the
            /// system's. See [`Socket::set_type_of_service`](crate::net::Socket::set_type_of_service). Mirrors
            /// `typeOfService` of [`new net.Socket(options)`].
            ///
            /// ```
            /// use halfclose::{EventLoop, net};
            ///
            /// let event_loop = EventLoop::new()?;
            #[doc = concat!("let options = net::", stringify!($options), "::new().type_of_service(0x10);")]
            #[doc = concat!("let socket = ", $make, ";")]
            /// assert_eq!(socket.type_of_service()?, 0x10);
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            ///
            /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
            #[must_use]
            pub fn type_of_service(mut self, value: u8) -> Self {
                self.$($field.)*connection.type_of_service = Some(value);
                self
            }

            /// Destroys the socket with `ABORT_ERR` when the signal is aborted, until it closes for the first time:
            /// `error` follows in a tick, then `close`. When it was aborted before, the socket is destroyed when it is
            /// made, and not connected; Node connects it all the same. Mirrors `signal` of
            /// [`new net.Socket(options)`].
            ///
            /// ```
            /// use halfclose::{EventLoop, net, net::AbortController};
            ///
            /// let mut event_loop = EventLoop::new()?;
            /// let controller = AbortController::new();
            #[doc = concat!("let options = net::", stringify!($options), "::new().signal(&controller.signal());")]
            #[doc = concat!("let socket = ", $make, ";")]
            /// socket.on_error(|_, error| assert_eq!(error.code(), Some("ABORT_ERR")));
            /// controller.abort();
            /// assert!(socket.destroyed());
            /// event_loop.run()?;
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            ///
            /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
            #[must_use]
            pub fn signal(mut self, signal: &crate::net::AbortSignal) -> Self {
                self.$($field.)*signal = Some(signal.clone());
                self
            }

            /// Addresses that must not be connected to: the attempt fails with `ERR_IP_BLOCKED`; default none. Mirrors
            /// `blockList` of [`new net.Socket(options)`]. The list is copied: later changes do not count, as they
            /// would in Node.
            ///
            /// ```
            /// use halfclose::{EventLoop, net, net::BlockList};
            ///
            /// let mut event_loop = EventLoop::new()?;
            /// let mut list = BlockList::new();
            /// list.add_address("127.0.0.1")?;
            #[doc = concat!("let options = net::", stringify!($options), "::new().block_list(&list);")]
            /// # let port = 1;
            #[doc = concat!("let socket = ", $connecting, ";")]
            /// socket.on_error(|_, error| assert_eq!(error.code(), Some("ERR_IP_BLOCKED")));
            /// event_loop.run()?;
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            ///
            /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
            #[must_use]
            pub fn block_list(mut self, list: &crate::net::BlockList) -> Self {
                self.$($field.)*connection.block_list = Some(list.clone());
                self
            }

            /// Whether this side reads at all; default true. With false, `data` and `end` never come, nothing is read
            /// from the system, and the socket is over at `finish`, in every connection it makes. Mirrors `readable` of
            /// [`new net.Socket(options)`], which Node's documentation ties to `fd`; its code does not.
            ///
            /// ```
            /// use halfclose::{EventLoop, net};
            ///
            /// let event_loop = EventLoop::new()?;
            #[doc = concat!("let options = net::", stringify!($options), "::new().readable(false);")]
            #[doc = concat!("let socket = ", $make, ";")]
            /// assert!(!socket.readable());
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            ///
            /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
            #[must_use]
            pub fn readable(mut self, readable: bool) -> Self {
                self.$($field.)*connection.readable = readable;
                self
            }

            /// Whether this side writes at all; default true. With false, a write fails with
            /// `ERR_STREAM_WRITE_AFTER_END`, and the socket is over when the peer ended, in every connection it makes;
            /// the FIN is only sent then. Mirrors `writable` of [`new net.Socket(options)`], which Node's
            /// documentation ties to `fd`; its code does not.
            ///
            /// ```
            /// use halfclose::{EventLoop, net};
            ///
            /// let event_loop = EventLoop::new()?;
            #[doc = concat!("let options = net::", stringify!($options), "::new().writable(false);")]
            #[doc = concat!("let socket = ", $make, ";")]
            /// assert!(!socket.writable());
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            ///
            /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
            #[must_use]
            pub fn writable(mut self, writable: bool) -> Self {
                self.$($field.)*connection.writable = writable;
                self
            }
        }
    };
}

pub(super) use socket_setters;

socket_setters!(
    SocketOptions,
    "net::Socket::with_options(options)",
    r#"net::Socket::with_options(options).connect(("127.0.0.1", port))?"#,
);

impl SocketOptions {
    /// Node's defaults: each is said at its option. Mirrors leaving the options of [`new net.Socket(options)`] out.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket, net::SocketOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::with_options(SocketOptions::new());
    /// assert_eq!((socket.allow_half_open(), socket.readable_high_water_mark()), (false, 65_536));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.Socket(options)`]: https://nodejs.org/api/net.html#new-netsocketoptions
    pub fn new() -> SocketOptions {
        SocketOptions::default()
    }
}

/// How an idle connection is probed, for [`Socket::set_keep_alive_with`](crate::net::Socket::set_keep_alive_with).
/// Mirrors the options of [`socket.setKeepAlive()`].
///
/// With a delay below one second, or an interval or a count that amounts to none, the connection is probed at the
/// system's own times.
///
/// ```
/// use std::time::Duration;
/// use halfclose::{EventLoop, net::KeepAliveOptions, net::Socket};
///
/// let event_loop = EventLoop::new()?;
/// let minute = Duration::from_secs(60);
/// let options = KeepAliveOptions::new().enable(true).initial_delay(minute).interval(minute / 6).count(3);
/// let socket = Socket::new().set_keep_alive_with(options); // remembered until it is connected
/// # assert!(socket.pending());
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`socket.setKeepAlive()`]: https://nodejs.org/api/net.html#socketsetkeepaliveenable-initialdelay
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct KeepAliveOptions {
    pub(super) enable: bool,
    pub(super) initial_delay: Duration,
    pub(super) interval: Option<Duration>,
    pub(super) count: Option<u32>,
}

impl KeepAliveOptions {
    /// Node's defaults: do not probe. Mirrors [`socket.setKeepAlive()`] without arguments.
    ///
    /// ```
    /// use halfclose::net::KeepAliveOptions;
    ///
    /// assert_eq!(KeepAliveOptions::new(), KeepAliveOptions::new().enable(false));
    /// ```
    ///
    /// [`socket.setKeepAlive()`]: https://nodejs.org/api/net.html#socketsetkeepaliveenable-initialdelay
    pub fn new() -> KeepAliveOptions {
        KeepAliveOptions::default()
    }

    /// Whether to probe; default false. Mirrors `enable` of [`socket.setKeepAlive()`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::KeepAliveOptions, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// # let copy = stream.try_clone()?;
    /// let socket = Socket::from_std(stream)?;
    /// socket.set_keep_alive_with(KeepAliveOptions::new().enable(true));
    /// assert!(socket2::SockRef::from(&copy).keepalive()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.setKeepAlive()`]: https://nodejs.org/api/net.html#socketsetkeepaliveenable-initialdelay
    #[must_use]
    pub fn enable(mut self, on: bool) -> KeepAliveOptions {
        self.enable = on;
        self
    }

    /// How long the connection must be idle before the first probe: whole seconds, the rest is cut off; zero, the
    /// default, leaves all times to the system. Mirrors `initialDelay` of [`socket.setKeepAlive()`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::KeepAliveOptions, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// # let copy = stream.try_clone()?;
    /// let socket = Socket::from_std(stream)?;
    /// socket.set_keep_alive_with(KeepAliveOptions::new().enable(true).initial_delay(Duration::from_millis(5_999)));
    /// assert_eq!(socket2::SockRef::from(&copy).tcp_keepalive_time()?, Duration::from_secs(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.setKeepAlive()`]: https://nodejs.org/api/net.html#socketsetkeepaliveenable-initialdelay
    #[must_use]
    pub fn initial_delay(mut self, delay: Duration) -> KeepAliveOptions {
        self.initial_delay = delay;
        self
    }

    /// The time between two probes: whole seconds; default one. Means nothing without an
    /// [`initial_delay`](KeepAliveOptions::initial_delay). Mirrors `interval` of [`socket.setKeepAlive()`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::KeepAliveOptions, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// # let copy = stream.try_clone()?;
    /// let socket = Socket::from_std(stream)?;
    /// let (delay, interval) = (Duration::from_secs(60), Duration::from_secs(10));
    /// socket.set_keep_alive_with(KeepAliveOptions::new().enable(true).initial_delay(delay).interval(interval));
    /// assert_eq!(socket2::SockRef::from(&copy).tcp_keepalive_interval()?, interval);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.setKeepAlive()`]: https://nodejs.org/api/net.html#socketsetkeepaliveenable-initialdelay
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> KeepAliveOptions {
        self.interval = Some(interval);
        self
    }

    /// How many probes may go unanswered before the connection fails with `ETIMEDOUT`; default ten. Means nothing
    /// without an [`initial_delay`](KeepAliveOptions::initial_delay). Mirrors `count` of [`socket.setKeepAlive()`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::KeepAliveOptions, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// # let copy = stream.try_clone()?;
    /// let socket = Socket::from_std(stream)?;
    /// let delay = Duration::from_secs(60);
    /// socket.set_keep_alive_with(KeepAliveOptions::new().enable(true).initial_delay(delay).count(3));
    /// assert_eq!(socket2::SockRef::from(&copy).tcp_keepalive_retries()?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.setKeepAlive()`]: https://nodejs.org/api/net.html#socketsetkeepaliveenable-initialdelay
    #[must_use]
    pub fn count(mut self, probes: u32) -> KeepAliveOptions {
        self.count = Some(probes);
        self
    }
}
