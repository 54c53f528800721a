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

/// A TCP connection, or the place for one: Node's `net.Socket`.
///
/// A handle of eight bytes: copy it, compare it, keep it in a map, move it into closures. The event loop owns what it
/// names, from `connect`, accept or [`Socket::new`] until `close` was delivered (see the table of lifetimes in the crate
/// documentation). After that the handle is *stale* and inert: [`destroyed`](Socket::destroyed) is true, counters are 0,
/// addresses are `None`, commands do nothing, and it never reaches another connection that took over its place.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Socket {
    pub(crate) handle: Handle,
    not_send: NotSend,
}

/// A listening server, or one that may listen: Node's `net.Server`.
///
/// A handle of eight bytes, like [`Socket`]. The event loop owns what it names until [`Server::release`] or the end of
/// the loop: a server may close, listen again and close again.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub(crate) handle: Handle,
    not_send: NotSend,
}

/// What `set_timeout` and `set_interval` return: Node's `Timeout`.
///
/// A handle of eight bytes. It is inert once the timer is cleared, and, for a one-shot timer, once its callback returned
/// without a [`refresh`](Timer::refresh).
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Timer {
    pub(crate) key: TimerKey,
    not_send: NotSend,
}

/// What `set_immediate` returns: Node's `Immediate`. A handle of eight bytes, inert once it ran or was cleared.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Immediate {
    pub(crate) handle: Handle,
    not_send: NotSend,
}

/// A name for a socket that may cross threads; only its own loop can turn it back into a [`Socket`].
///
/// Mirrors nothing in Node, which has no threads to cross. Send it to a worker, and let the worker post a closure back:
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
