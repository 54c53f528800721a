//! The handles that users hold: eight bytes each, copied freely, checked by generation at every use.
//!
//! They are defined here because listeners receive them; what they can do is written on floor 4, in `net` and `timers`.
//! This module touches nothing. Invariant: a handle never leaves its thread (`!Send`); a [`SocketId`] may.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use crate::reactor::Handle;
use crate::reactor::timers::TimerKey;

/// Makes a type neither `Send` nor `Sync`: a handle means something on its own loop's thread only.
type NotSend = PhantomData<*const ()>;

/// A TCP connection or a unix socket's, or the place for one. Mirrors [`net.Socket`].
///
/// A handle of eight bytes: copy it, compare it, keep it in a map, move it into closures. The event loop owns what it
/// names, from `connect`, accept or [`Socket::new`] until `close` was delivered (see the table of lifetimes in the
/// crate documentation). After that the handle is *stale* and inert: [`destroyed`](Socket::destroyed) is true, counters
/// are 0, addresses are `None`, commands do nothing, and it never reaches another connection that took over its place.
///
/// ```
/// use std::collections::HashSet;
/// use halfclose::{EventLoop, net::Socket};
///
/// let mut event_loop = EventLoop::new()?;
/// let socket = Socket::new();
/// let mut members = HashSet::from([socket]);
/// socket.on_close(move |socket, _| assert!(members.remove(&socket)));
/// socket.destroy();
/// event_loop.run()?;
/// assert_eq!(socket.bytes_read(), 0); // stale: does nothing, says nothing
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`net.Socket`]: https://nodejs.org/api/net.html#class-netsocket
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Socket {
    pub(crate) handle: Handle,
    not_send: NotSend,
}

/// A listening server, or one that may listen. Mirrors [`net.Server`].
///
/// A handle of eight bytes, like [`Socket`]. The event loop owns what it names until [`Server::release`] or the end of
/// the loop: a server may close, listen again and close again.
///
/// ```
/// use halfclose::{EventLoop, net::Server};
///
/// let mut event_loop = EventLoop::new()?;
/// let server = Server::new();
/// let same = server; // a copy of the handle, not of the server
/// server.listen(0)?;
/// assert!(same == server && same.listening());
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`net.Server`]: https://nodejs.org/api/net.html#class-netserver
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub(crate) handle: Handle,
    not_send: NotSend,
}

/// What [`set_timeout`](crate::set_timeout) and [`set_interval`](crate::set_interval) return. Mirrors
/// [`class Timeout`].
///
/// A handle of eight bytes. It is inert once the timer is cleared, and, for a one-shot timer, once its callback
/// returned without a [`refresh`](Timer::refresh). Dropping it does nothing.
///
/// ```
/// use std::time::Duration;
/// use halfclose::{EventLoop, Timer, set_timeout};
///
/// let event_loop = EventLoop::new()?;
/// let timer: Timer = set_timeout(Duration::from_secs(3600), || {});
/// assert!(timer.has_ref());
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`class Timeout`]: https://nodejs.org/api/timers.html#class-timeout
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Timer {
    pub(crate) key: TimerKey,
    not_send: NotSend,
}

/// What [`set_immediate`](crate::set_immediate) returns. Mirrors [`class Immediate`]. A handle of eight bytes, inert
/// once it ran or was cleared. Dropping it does nothing.
///
/// ```
/// use halfclose::{EventLoop, Immediate, set_immediate};
///
/// let mut event_loop = EventLoop::new()?;
/// let immediate: Immediate = set_immediate(|| {});
/// event_loop.run()?;
/// assert!(!immediate.has_ref());
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`class Immediate`]: https://nodejs.org/api/timers.html#class-immediate
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Immediate {
    pub(crate) handle: Handle,
    not_send: NotSend,
}

/// A name for a socket that may cross threads; only its own loop can turn it back into a [`Socket`]. Not in Node, which
/// has no threads to cross.
///
/// Send it to a worker, and let the worker post a closure back:
///
/// ```
/// use halfclose::{EventLoop, net};
///
/// let mut event_loop = EventLoop::new()?;
/// let guard = event_loop.keep_alive();
/// let handle = event_loop.handle();
/// let id = net::Socket::new().id();
/// let worker = std::thread::spawn(move || {
///     // Slow work, then back to the loop's thread:
///     let posted = handle.post(move || {
///         id.get().expect("it was not destroyed").destroy();
///         halfclose::stop();
///     });
///     assert!(posted.is_ok());
/// });
/// event_loop.run()?;
/// worker.join().unwrap();
/// drop(guard);
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct SocketId {
    /// Which loop, of all that this process ever had.
    pub(crate) loop_number: u64,
    pub(crate) handle: Handle,
}

impl Socket {
    pub(crate) fn from_handle(handle: Handle) -> Socket {
        Socket { handle, not_send: PhantomData }
    }
}

impl Server {
    pub(crate) fn from_handle(handle: Handle) -> Server {
        Server { handle, not_send: PhantomData }
    }
}

impl Timer {
    pub(crate) fn from_key(key: TimerKey) -> Timer {
        Timer { key, not_send: PhantomData }
    }
}

impl Immediate {
    pub(crate) fn from_handle(handle: Handle) -> Immediate {
        Immediate { handle, not_send: PhantomData }
    }
}

fn show(formatter: &mut fmt::Formatter<'_>, name: &str, handle: Handle) -> fmt::Result {
    write!(formatter, "{name}({}.{})", handle.index(), handle.generation().get())
}

impl fmt::Debug for Socket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(formatter, "Socket", self.handle)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(formatter, "Server", self.handle)
    }
}

impl fmt::Debug for Immediate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(formatter, "Immediate", self.handle)
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(formatter, "SocketId", self.handle)
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Timer").field(&self.key).finish()
    }
}
