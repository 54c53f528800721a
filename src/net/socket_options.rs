//! A socket's options, as Node's option objects: builders whose every setter has Node's name and default.
//!
//! It may touch the vocabulary of the floors below. Invariant: a value that the type cannot hold (a negative high-water
//! mark) cannot be said; what remains to be checked is checked where Node throws.

use std::time::Duration;

use crate::event_loop::ConnectionOptions;
use crate::event_loop::abort::AbortSignal;
use crate::event_loop::descriptors::GivenDescriptor;

/// How a [`Socket`](crate::net::Socket) is made. Mirrors the options of `new net.Socket()`.
///
/// ```
/// use halfclose::{EventLoop, net::Socket, net::SocketOptions};
///
/// let event_loop = EventLoop::new()?;
/// let socket = Socket::with_options(SocketOptions::new().allow_half_open(true).high_water_mark(16 * 1024));
/// assert_eq!(socket.writable_high_water_mark(), 16_384);
/// # Ok::<(), halfclose::Error>(())
/// ```
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

/// The setters that sockets have in common, whether they are made bare or to be connected.
macro_rules! socket_setters {
    ($options:ident, $($field:ident).*) => {
        impl $options {
            /// Whether the socket may write on after its peer ended (default false: it then ends by itself, after the
            /// `end` listeners). Mirrors `allowHalfOpen`.
            #[must_use]
            pub fn allow_half_open(mut self, allow: bool) -> Self {
                self.$($field.)*connection.allow_half_open = allow;
                self
            }

            /// Both high-water marks, in bytes (default 65,536): beyond it `write` returns false and reading pauses.
            /// Wins over the two single ones. Mirrors `highWaterMark`.
            #[must_use]
            pub fn high_water_mark(mut self, bytes: usize) -> Self {
                self.$($field.)*high_water_mark = Some(bytes);
                self
            }

            /// How many bytes are read ahead before reading pauses (default 65,536). Mirrors `readableHighWaterMark`.
            #[must_use]
            pub fn readable_high_water_mark(mut self, bytes: usize) -> Self {
                self.$($field.)*connection.readable_high_water_mark = bytes;
                self
            }

            /// How many bytes may wait before `write` returns false (default 65,536). Mirrors
            /// `writableHighWaterMark`.
            #[must_use]
            pub fn writable_high_water_mark(mut self, bytes: usize) -> Self {
                self.$($field.)*connection.writable_high_water_mark = bytes;
                self
            }

            /// Send small writes at once (`TCP_NODELAY`), set when the connection is established; default false.
            /// Mirrors `noDelay`.
            #[must_use]
            pub fn no_delay(mut self, on: bool) -> Self {
                self.$($field.)*connection.no_delay = on;
                self
            }

            /// Probe an idle connection (`SO_KEEPALIVE`), set when it is established; default false. Mirrors
            /// `keepAlive`.
            #[must_use]
            pub fn keep_alive(mut self, on: bool) -> Self {
                self.$($field.)*connection.keep_alive = on;
                self
            }

            /// How long a connection must be idle before it is probed: whole seconds, the rest is cut off; 0 (the
            /// default) leaves it to the system. Mirrors `keepAliveInitialDelay`.
            #[must_use]
            pub fn keep_alive_initial_delay(mut self, delay: Duration) -> Self {
                self.$($field.)*connection.keep_alive_initial_delay = delay;
                self
            }

            /// The type of service of every packet, set when the connection is established; default: the system's. See
            /// [`Socket::set_type_of_service`](crate::net::Socket::set_type_of_service). Mirrors `typeOfService`.
            #[must_use]
            pub fn type_of_service(mut self, value: u8) -> Self {
                self.$($field.)*connection.type_of_service = Some(value);
                self
            }

            /// Destroys the socket with `ABORT_ERR` when the signal is aborted, until it closes for the first time; when
            /// that was before, the socket is destroyed when it is made, and not connected. Mirrors `signal`.
            #[must_use]
            pub fn signal(mut self, signal: &crate::net::AbortSignal) -> Self {
                self.$($field.)*signal = Some(signal.clone());
                self
            }

            /// Addresses that must not be connected to: `ERR_IP_BLOCKED`; default none. A copy: later changes of the list
            /// do not count, as they would in Node. Mirrors `blockList`.
            #[must_use]
            pub fn block_list(mut self, list: &crate::net::BlockList) -> Self {
                self.$($field.)*connection.block_list = Some(list.clone());
                self
            }

            /// Whether this side reads at all; default true. With false, `data` and `end` never come, nothing is read
            /// from the system, and the socket is over at `finish`, in every connection it makes. Mirrors `readable`.
            #[must_use]
            pub fn readable(mut self, readable: bool) -> Self {
                self.$($field.)*connection.readable = readable;
                self
            }

            /// Whether this side writes at all; default true. With false, a write fails with
            /// `ERR_STREAM_WRITE_AFTER_END`, and the socket is over when the peer ended, in every connection it makes; the
            /// FIN is only sent then. Mirrors `writable`.
            #[must_use]
            pub fn writable(mut self, writable: bool) -> Self {
                self.$($field.)*connection.writable = writable;
                self
            }
        }
    };
}

pub(super) use socket_setters;

socket_setters!(SocketOptions,);

impl SocketOptions {
    /// Node's defaults.
    pub fn new() -> SocketOptions {
        SocketOptions::default()
    }
}

/// How an idle connection is probed. Mirrors the options of `socket.setKeepAlive()`.
///
/// With a delay below one second, or an interval or a count that amounts to none, the connection is probed at the
/// system's own times.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct KeepAliveOptions {
    pub(super) enable: bool,
    pub(super) initial_delay: Duration,
    pub(super) interval: Option<Duration>,
    pub(super) count: Option<u32>,
}

impl KeepAliveOptions {
    /// Node's defaults: do not probe.
    pub fn new() -> KeepAliveOptions {
        KeepAliveOptions::default()
    }

    /// Whether to probe; default false. Mirrors `enable`.
    #[must_use]
    pub fn enable(mut self, on: bool) -> KeepAliveOptions {
        self.enable = on;
        self
    }

    /// How long the connection must be idle before the first probe: whole seconds, the rest is cut off; zero, the
    /// default, leaves all times to the system. Mirrors `initialDelay`.
    #[must_use]
    pub fn initial_delay(mut self, delay: Duration) -> KeepAliveOptions {
        self.initial_delay = delay;
        self
    }

    /// The time between two probes: whole seconds; default one. Mirrors `interval`.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> KeepAliveOptions {
        self.interval = Some(interval);
        self
    }

    /// How many probes may go unanswered; default ten. Mirrors `count`.
    #[must_use]
    pub fn count(mut self, probes: u32) -> KeepAliveOptions {
        self.count = Some(probes);
        self
    }
}
