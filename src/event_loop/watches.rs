//! Watches of foreign descriptors: what users hold and are given, and the closures that are called.
//!
//! It may touch the reactor. Invariants: a closure owns the descriptor that is watched, so that stays open for as long as
//! it is registered: the watch ends first, and the closure goes to the graves; a closure that runs is out of its place, and
//! comes back to it or to the graves.

use std::fmt;
use std::marker::PhantomData;
use std::ops::BitOr;
use std::os::fd::RawFd;

use crate::error::Error;
use crate::event_loop::core::{Core, Grave};
use crate::reactor::Handle;
use crate::reactor::watching::Found;
use crate::sys::Directions;

/// What [`watch`](crate::watch()) returns: a foreign descriptor that this loop watches. Not in Node; it is libuv's
/// `uv_poll_t`.
///
/// A handle of eight bytes, like [`Timer`](crate::Timer). It is inert once it was closed. Dropping it does nothing.
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use halfclose::{EventLoop, Interest, Watch, watch};
///
/// let event_loop = EventLoop::new()?;
/// let (near, _far) = UnixStream::pair()?;
/// let watch: Watch = watch(near, Interest::READABLE, |_, _, _| {})?;
/// assert!(watch.has_ref());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Watch {
    pub(crate) handle: Handle,
    /// It means something on its own loop's thread only.
    not_send: PhantomData<*const ()>,
}

impl Watch {
    pub(crate) fn from_handle(handle: Handle) -> Watch {
        Watch { handle, not_send: PhantomData }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Watch({}.{})", self.handle.index(), self.handle.generation().get())
    }
}

/// In which directions a descriptor is watched; both are `Interest::READABLE | Interest::WRITABLE`. Not in Node.
///
/// ```
/// use halfclose::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert_ne!(both, Interest::READABLE);
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Interest(pub(crate) Directions);

impl Interest {
    /// A read will not block: there is something to read, or the end, or an error.
    pub const READABLE: Interest = Interest(Directions { readable: true, writable: false });

    /// A write will not block: there is room, or an error.
    pub const WRITABLE: Interest = Interest(Directions { readable: false, writable: true });
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        let (one, other) = (self.0, other.0);
        Interest(Directions { readable: one.readable || other.readable, writable: one.writable || other.writable })
    }
}

/// What a watched descriptor is ready for. Not in Node.
///
/// An end or an error makes it ready for everything that is watched: the read or the write says what it is.
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use halfclose::{EventLoop, Interest, Readiness, watch};
///
/// let mut event_loop = EventLoop::new()?;
/// let (near, far) = UnixStream::pair()?;
/// watch(near, Interest::READABLE, |watch, _, ready: Readiness| {
///     assert!(ready.readable() && !ready.writable() && ready.closed());
///     watch.close();
/// })?;
/// drop(far);
/// event_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Readiness(Found);

impl Readiness {
    pub(crate) fn new(found: Found) -> Readiness {
        Readiness(found)
    }

    /// A read will not block. False when nobody asked for that. Not in Node.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use halfclose::{EventLoop, Interest, watch};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (near, far) = UnixStream::pair()?;
    /// std::io::Write::write_all(&mut &far, b"a")?;
    /// watch(near, Interest::READABLE | Interest::WRITABLE, |watch, _, ready| {
    ///     assert!(ready.readable());
    ///     watch.close();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn readable(self) -> bool {
        self.0.ready.readable
    }

    /// A write will not block. False when nobody asked for that. Not in Node.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use halfclose::{EventLoop, Interest, watch};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (near, _far) = UnixStream::pair()?;
    /// watch(near, Interest::WRITABLE, |watch, _, ready| {
    ///     assert!(ready.writable());
    ///     watch.close();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn writable(self) -> bool {
        self.0.ready.writable
    }

    /// The other side has ended its output or closed, or there is an error. There may still be something to read before
    /// the end. Not in Node.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use halfclose::{EventLoop, Interest, watch};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (near, _far) = UnixStream::pair()?;
    /// watch(near, Interest::WRITABLE, |watch, _, ready| {
    ///     assert!(!ready.closed());
    ///     watch.close();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn closed(self) -> bool {
        self.0.closed
    }
}

/// What is called, and owns the descriptor.
pub(crate) type OnReady = Box<dyn FnMut(Watch, Readiness)>;

/// The closures, in the slots that the reactor gives.
#[derive(Default)]
pub(crate) struct Closures {
    slots: Vec<Option<Slot>>,
}

struct Slot {
    watch: Handle,
    /// `None` while it runs.
    on_ready: Option<OnReady>,
}

impl Closures {
    fn insert(&mut self, watch: Handle, on_ready: OnReady) {
        if self.slots.len() <= watch.index() {
            self.slots.resize_with(watch.index() + 1, || None);
        }
        self.slots[watch.index()] = Some(Slot { watch, on_ready: Some(on_ready) });
    }

    fn remove(&mut self, watch: Handle) -> Option<OnReady> {
        let slot = self.slots.get_mut(watch.index())?;
        slot.take_if(|slot| slot.watch == watch)?.on_ready
    }

    fn get_mut(&mut self, watch: Handle) -> Option<&mut Option<OnReady>> {
        let slot = self.slots.get_mut(watch.index())?.as_mut();
        slot.filter(|slot| slot.watch == watch).map(|slot| &mut slot.on_ready)
    }
}

impl Core {
    /// Watches a descriptor that `on_ready` owns. Refused, that comes back, to be dropped with nothing borrowed.
    pub(crate) fn watch(
        &mut self,
        descriptor: RawFd,
        interest: Interest,
        on_ready: OnReady,
    ) -> Result<Watch, (Error, OnReady)> {
        match self.reactor.watch(descriptor, interest.0) {
            Ok(watch) => {
                self.watches.insert(watch, on_ready);
                Ok(Watch::from_handle(watch))
            }
            Err(error) => Err((error, on_ready)),
        }
    }

    pub(crate) fn unwatch(&mut self, watch: Handle) {
        if self.reactor.unwatch(watch) {
            let on_ready = self.watches.remove(watch);
            self.graves.extend(on_ready.map(|on_ready| Grave::Watch { _on_ready: on_ready }));
        }
    }

    /// Takes the closure of a watch out of its place, to be called.
    pub(super) fn borrow_watch(&mut self, watch: Handle) -> Option<OnReady> {
        self.watches.get_mut(watch)?.take()
    }

    /// Puts it back, unless the watch was closed meanwhile.
    pub(super) fn return_watch(&mut self, watch: Handle, on_ready: OnReady) {
        match self.watches.get_mut(watch) {
            Some(place) => *place = Some(on_ready),
            None => self.graves.push(Grave::Watch { _on_ready: on_ready }),
        }
    }
}
