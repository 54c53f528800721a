//! The options that accepted sockets get from the socket that accepted them.
//!
//! May touch `socket2`. On Linux a new connection is a copy of the listening socket, `TCP_NODELAY` and the keep-alive
//! options included (tcp(7), `tcp_create_openreq_child`): set once there, they cost no system call per connection. Other
//! systems do not promise it, so there nothing is handed down and every socket is told by itself.
//!
//! Invariant: what an acceptor hands down is fixed before it listens. A connection is copied when it is established, which
//! may be long before it is accepted, so a later change could not be told from what was there.

use socket2::SockRef;

use super::Stream;
use super::stream::KeepAliveTimes;
#[cfg(any(target_os = "linux", target_os = "android"))]
use super::stream::set_keep_alive;

/// The options of one connection that the kernel can copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CopiedOptions {
    pub(crate) no_delay: bool,
    pub(crate) keep_alive: bool,
    /// When to probe, if `keep_alive` is on and that was said.
    pub(crate) times: Option<KeepAliveTimes>,
}

/// What an acceptor hands down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inheritance {
    options: CopiedOptions,
    /// The times that a socket has which was told none.
    system: Option<KeepAliveTimes>,
}

impl Inheritance {
    /// Sets `options` on a socket that is to listen, as far as the kernel copies them and takes them.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn begin(acceptor: &SockRef<'_>, options: CopiedOptions) -> Self {
        let mut given = Self::default();
        if options.no_delay {
            given.options.no_delay = acceptor.set_tcp_nodelay(true).is_ok();
        }
        if options.keep_alive {
            given.system = system_times(acceptor);
            if given.system.is_some() && set_keep_alive(acceptor, true, options.times).is_ok() {
                given.options.keep_alive = true;
                given.options.times = options.times;
            }
        }
        given
    }

    /// Nothing is handed down here.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn begin(_: &SockRef<'_>, _: CopiedOptions) -> Self {
        Self::default()
    }

    /// What a kernel hands down that takes them all.
    #[cfg(feature = "simulation")]
    pub(super) fn of(options: CopiedOptions) -> Self {
        Self { options, system: None }
    }

    /// Sets on an accepted socket what it has not inherited, or has inherited and is not to have. As in Node, what the
    /// kernel refuses does not fail the connection.
    pub(crate) fn complete(&self, stream: &Stream, wanted: CopiedOptions) {
        let had = self.options;
        if wanted.no_delay != had.no_delay {
            let _ = stream.set_no_delay(wanted.no_delay);
        }
        if (wanted.keep_alive, wanted.times) != (had.keep_alive, had.times) {
            if had.times.is_some() {
                let _ = stream.set_keep_alive(true, self.system);
            }
            let _ = stream.set_keep_alive(wanted.keep_alive, wanted.times);
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn system_times(socket: &SockRef<'_>) -> Option<KeepAliveTimes> {
    let delay = socket.tcp_keepalive_time().ok()?;
    let interval = socket.tcp_keepalive_interval().ok()?;
    let count = socket.tcp_keepalive_retries().ok()?;
    Some(KeepAliveTimes { delay, interval: Some(interval), count: Some(count) })
}
