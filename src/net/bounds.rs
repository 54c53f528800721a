//! How much output of a [`Socket`] may wait, and how long each part of its life may take: as options, as settings, and the
//! event of a write that was refused. The bounds of servers are in `server_bounds`.
//!
//! It may touch the event loop's commands. Everything here is off by default; nothing of it is in Node.

use std::time::Duration;

use crate::error::Error;
use crate::event_loop::events::Arguments;
use crate::event_loop::listeners::ListenerId;
use crate::event_loop::{BufferOverflow, MaxBuffered, Timeouts, current};
use crate::net::{ConnectOptions, ServerOptions, Socket, SocketEvent, SocketOptions};

/// The setters that the options of sockets and servers have in common: what makes one of `options` for the examples, and
/// where the bounds are kept.
macro_rules! bound_setters {
    ($options:ident, $make:literal, $($field:ident).*) => {
        impl $options {
            /// How many bytes of output may wait to be sent, and what becomes of a write that would let more wait;
            /// default: any number may. Not in Node.
            ///
            /// What waits is [`writable_length`](Socket::writable_length): the whole length of every write that the
            /// kernel does not have whole. Writes that are corked, collected, or wait for the connection count. A write
            /// is made if it may wait whole, and is looked at before the kernel is tried: one that is longer than `bytes`
            /// is never made. Text counts with the bytes of its encoding; writes of zero bytes are always made.
            ///
            /// The error is `ERR_SOCKET_MAX_BUFFERED`. The callback of the write is given it in a tick, and `write`
            /// returns false.
            ///
            /// | overflow | then |
            /// |---|---|
            /// | [`Refuse`](BufferOverflow::Refuse) | [`write_refused`](Socket::on_write_refused) is emitted, and `drain` when something waits. `end_data` whose chunk is refused does not end the socket |
            /// | [`Close`](BufferOverflow::Close) | the socket is destroyed within the call: `error`, then `close`. Nothing of what waits is sent |
            /// | [`Reset`](BufferOverflow::Reset) | the same, and the peer sees a reset |
            ///
            /// What a [`pipe`](Socket::pipe) cannot write would be missing in the stream: its destination is destroyed
            /// with the error then. A destination with a cap of its high-water mark and 64 KiB more never gets there.
            ///
            /// A socket with a cap looks at the length of each write, which costs some hundred instructions of its own.
            ///
            /// ```
            /// use halfclose::{EventLoop, net, net::BufferOverflow};
            ///
            /// let event_loop = EventLoop::new()?;
            #[doc = concat!("let options = net::", stringify!($options), "::new().max_buffered(1 << 20, BufferOverflow::Reset);")]
            #[doc = concat!("let bounded = ", $make, ";")]
            /// assert_eq!(bounded.max_buffered(), Some((1 << 20, BufferOverflow::Reset)));
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            #[must_use]
            pub fn max_buffered(mut self, bytes: usize, overflow: BufferOverflow) -> Self {
                self.$($field).*.bounds.max_buffered = Some(MaxBuffered { bytes, overflow });
                self
            }

            /// All time limits at once; default: none. Those that were set before are replaced. Not in Node.
            ///
            /// ```
            /// use halfclose::{EventLoop, net, net::Timeouts};
            ///
            /// let event_loop = EventLoop::new()?;
            #[doc = concat!("let options = net::", stringify!($options), "::new().timeouts(Timeouts::server());")]
            #[doc = concat!("let bounded = ", $make, ";")]
            /// assert_eq!(bounded.timeouts(), Timeouts::server());
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            #[must_use]
            pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
                self.$($field).*.bounds.timeouts = timeouts;
                self
            }

            /// How long output may wait without a byte of it being taken: [`Timeouts::write_stall_timeout`]; default: for
            /// ever. Not in Node.
            ///
            /// ```
            /// use std::time::Duration;
            /// use halfclose::{EventLoop, net, net::Timeouts};
            ///
            /// let event_loop = EventLoop::new()?;
            /// let limit = Duration::from_secs(30);
            #[doc = concat!("let options = net::", stringify!($options), "::new().write_stall_timeout(limit);")]
            #[doc = concat!("let bounded = ", $make, ";")]
            /// assert_eq!(bounded.timeouts(), Timeouts::new().write_stall_timeout(limit));
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            #[must_use]
            pub fn write_stall_timeout(mut self, limit: Duration) -> Self {
                let timeouts = &mut self.$($field).*.bounds.timeouts;
                *timeouts = timeouts.write_stall_timeout(limit);
                self
            }

            /// How long one side may have ended while the other has not: [`Timeouts::half_closed_timeout`]; default: for
            /// ever. Not in Node.
            ///
            /// ```
            /// use std::time::Duration;
            /// use halfclose::{EventLoop, net, net::Timeouts};
            ///
            /// let event_loop = EventLoop::new()?;
            /// let limit = Duration::from_secs(60);
            #[doc = concat!("let options = net::", stringify!($options), "::new().half_closed_timeout(limit);")]
            #[doc = concat!("let bounded = ", $make, ";")]
            /// assert_eq!(bounded.timeouts(), Timeouts::new().half_closed_timeout(limit));
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            #[must_use]
            pub fn half_closed_timeout(mut self, limit: Duration) -> Self {
                let timeouts = &mut self.$($field).*.bounds.timeouts;
                *timeouts = timeouts.half_closed_timeout(limit);
                self
            }
        }
    };
}

/// The limit that only sockets have which connect themselves.
macro_rules! connect_timeout_setter {
    ($options:ident, $make:literal, $($field:ident).*) => {
        impl $options {
            /// How long connecting may take, the lookup and all attempts: [`Timeouts::connect_timeout`]; default: for as
            /// long as the system tries. Not in Node.
            ///
            /// ```
            /// use std::time::Duration;
            /// use halfclose::{EventLoop, net, net::Timeouts};
            ///
            /// let event_loop = EventLoop::new()?;
            /// let limit = Duration::from_secs(5);
            #[doc = concat!("let options = net::", stringify!($options), "::new().connect_timeout(limit);")]
            #[doc = concat!("let bounded = ", $make, ";")]
            /// assert_eq!(bounded.timeouts(), Timeouts::new().connect_timeout(limit));
            /// # Ok::<(), halfclose::Error>(())
            /// ```
            #[must_use]
            pub fn connect_timeout(mut self, limit: Duration) -> Self {
                let timeouts = &mut self.$($field).*.bounds.timeouts;
                *timeouts = timeouts.connect_timeout(limit);
                self
            }
        }
    };
}

bound_setters!(SocketOptions, "net::Socket::with_options(options)", connection);
bound_setters!(ConnectOptions, "net::connect(options.port(1))?", socket.connection);
bound_setters!(ServerOptions, "net::Server::with_options(options)", settings.connection);
connect_timeout_setter!(SocketOptions, "net::Socket::with_options(options)", connection);
connect_timeout_setter!(ConnectOptions, "net::connect(options.port(1))?", socket.connection);

/// Bounds. On a freed handle setting them does nothing, and there are none.
impl Socket {
    /// Sets, or with `None` takes away, the cap for output that waits, as
    /// [`SocketOptions::max_buffered`] does. Not in Node.
    ///
    /// It holds from the next write on: what waits already stays, however much it is. It is kept when the socket connects
    /// again.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::BufferOverflow};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// # socket.on_error(|_, _| {});
    /// socket.set_max_buffered(Some((8, BufferOverflow::Refuse)));
    /// assert!(socket.write("hello")); // waits for the connection
    /// assert!(!socket.write("world"));
    /// assert_eq!(socket.writable_length(), 5);
    /// socket.on_write_refused(|_, error| assert_eq!(error.code(), Some("ERR_SOCKET_MAX_BUFFERED")));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_max_buffered(self, cap: Option<(usize, BufferOverflow)>) -> Socket {
        let cap = cap.map(|(bytes, overflow)| MaxBuffered { bytes, overflow });
        current::with(|core| core.reactor.set_max_buffered(self.handle, cap));
        self
    }

    /// How many bytes of output may wait, and what becomes of a write beyond that; `None`, the default, is no cap. Not in
    /// Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert_eq!(Socket::new().max_buffered(), None);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn max_buffered(self) -> Option<(usize, BufferOverflow)> {
        let cap = current::with(|core| core.reactor.live(self.handle)?.max_buffered()).flatten()?;
        Some((cap.bytes, cap.overflow))
    }

    /// Sets all time limits, as [`SocketOptions::timeouts`] does; those that are not among `timeouts` hold no longer. Not in
    /// Node.
    ///
    /// A time that had a limit before goes on with its new one; one that had none begins with this call. They are kept when
    /// the socket connects again.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket, net::Timeouts};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// socket.set_timeouts(Timeouts::new().max_lifetime(Duration::from_millis(5)));
    /// socket.on_error(|_, error| assert_eq!(error.code(), Some("ERR_SOCKET_LIFETIME_TIMEOUT")));
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_timeouts(self, timeouts: Timeouts) -> Socket {
        current::with(|core| core.reactor.set_timeouts(self.handle, timeouts));
        self
    }

    /// The time limits; none by default. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket, net::Timeouts};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert_eq!(Socket::new().timeouts(), Timeouts::new());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn timeouts(self) -> Timeouts {
        let timeouts = current::with(|core| Some(core.reactor.live(self.handle)?.timeouts()));
        timeouts.flatten().unwrap_or_default()
    }

    /// Listens to `write_refused`: a write was not made because too much waits already, on this socket
    /// (`ERR_SOCKET_MAX_BUFFERED`, with [`BufferOverflow::Refuse`]) or on all of the loop
    /// (`ERR_LOOP_MAX_BUFFERED`). Not in Node.
    ///
    /// Emitted in a tick, behind the write's callback, once for each write that was refused. The socket goes on.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::BufferOverflow, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let options = ConnectOptions::new().port(1).max_buffered(4, BufferOverflow::Refuse);
    /// let socket = net::connect(options)?;
    /// # socket.on_error(|_, _| {});
    /// socket.on_write_refused(|socket, error| {
    ///     assert_eq!(error.code(), Some("ERR_SOCKET_MAX_BUFFERED"));
    ///     assert_eq!(socket.writable_length(), 0);
    /// });
    /// assert!(!socket.write("hello"));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn on_write_refused(self, mut listener: impl FnMut(Socket, &Error) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::WriteRefused, move |arguments| {
            if let Arguments::Error(socket, error) = *arguments {
                listener(socket, error);
            }
        })
    }

    /// [`on_write_refused`](Socket::on_write_refused), once. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket, net::SocketEvent};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.once_write_refused(|socket, _| drop(socket.destroy()));
    /// assert_eq!(socket.listener_count(SocketEvent::WriteRefused), 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn once_write_refused(self, listener: impl FnOnce(Socket, &Error) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::WriteRefused, move |arguments| {
            if let Arguments::Error(socket, error) = *arguments {
                listener(socket, error);
            }
        })
    }
}
