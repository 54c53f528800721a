//! Watching foreign descriptors: [`watch`], and what can be done with a [`Watch`].
//!
//! Floor 4. It may touch the event loop's commands. Invariant: the descriptor is asked for once, when the watch begins and
//! nothing is borrowed, since a type of the user's answers.

use std::os::fd::{AsFd, AsRawFd};

use crate::error::Error;
use crate::event_loop::current;
use crate::event_loop::watches::OnReady;
pub use crate::event_loop::watches::{Interest, Readiness, Watch};

/// Calls `on_ready` whenever `descriptor` is ready for what `interest` says: a pipe, a terminal, an eventfd, a socket of
/// another library. Not in Node; it is libuv's `uv_poll_start`.
///
/// The callback comes in the poll phase, at most once per turn, followed by its ticks like any other. It is
/// *level-triggered*: while the descriptor stays ready it comes again in the next turn, so it may read once, or half of what
/// there is, and lose nothing. Whoever cannot do anything about the readiness has to [`pause`](Watch::pause), or to
/// change the [interest](Watch::set_interest), or the loop never sleeps. Each callback costs one system call more than an
/// edge-triggered one would.
///
/// The watch owns the descriptor and lends it to each callback; so it is open for as long as it is watched, and is dropped
/// when the watch is closed. Whatever can be shared may be shared, an `Rc<File>` for instance. Its flags are left alone: a
/// blocking descriptor may be watched, and the first read or write after a callback does not block. The watch keeps the
/// loop alive, unless [`unref`](Watch::unref) is called.
///
/// # Errors
///
/// What the system says, with [`syscall`](Error::syscall) `watch`: `EPERM` for what is always ready, a regular file or
/// `/dev/null` (and standard input, if it is one); `EEXIST` for a descriptor that this loop watches already (a duplicate is
/// another one); `EBADF` for one that is not open; `ENOSPC` and `ENOMEM` where the system has no room for more. The
/// descriptor is dropped then.
///
/// A descriptor that is closed while it is watched, behind the back of its owner, makes `run` return `EBADF` or `ENOENT`
/// after its next callback, if there is one, and is paused.
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread.
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use halfclose::{EventLoop, Interest, watch};
///
/// let mut event_loop = EventLoop::new()?;
/// let (near, mut far) = UnixStream::pair()?;
/// watch(near, Interest::READABLE, |watch, mut near, _| {
///     let mut buffer = [0; 64];
///     match near.read(&mut buffer) {
///         Ok(count @ 1..) => assert_eq!(&buffer[..count], b"hello"),
///         Ok(0) | Err(_) => watch.close(),
///     }
/// })?;
/// far.write_all(b"hello")?;
/// drop(far);
/// event_loop.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn watch<D: AsFd + 'static>(
    descriptor: D,
    interest: Interest,
    mut on_ready: impl FnMut(Watch, &D, Readiness) + 'static,
) -> Result<Watch, Error> {
    let number = descriptor.as_fd().as_raw_fd();
    let on_ready: OnReady = Box::new(move |watch, readiness| on_ready(watch, &descriptor, readiness));
    let refused = match current::expect(|core| core.watch(number, interest, on_ready)) {
        Ok(watch) => return Ok(watch),
        Err(refused) => refused,
    };
    // Here nothing is borrowed.
    let (error, on_ready) = refused;
    drop(on_ready);
    Err(error)
}

/// On a watch that was closed, or whose loop is gone, all of these do nothing and succeed; [`has_ref`](Watch::has_ref) and
/// [`is_paused`](Watch::is_paused) are false.
impl Watch {
    /// Ends it: its callback never comes again, also when the descriptor was found ready in this turn. The closure and the
    /// descriptor are dropped, from within the callback as soon as that returned. Not in Node; libuv's `uv_close`.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use halfclose::{EventLoop, Interest, watch};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (near, _far) = UnixStream::pair()?;
    /// watch(near, Interest::WRITABLE, |_, _, _| unreachable!())?.close();
    /// event_loop.run()?; // nothing is left to wait for
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(self) {
        current::with(|core| core.unwatch(self.handle));
        current::bury_if_idle();
    }

    /// Whether it was closed, or its loop is gone. Not in Node.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use halfclose::{EventLoop, Interest, watch};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (near, _far) = UnixStream::pair()?;
    /// let watch = watch(near, Interest::READABLE, |_, _, _| {})?;
    /// assert!(!watch.closed());
    /// watch.close();
    /// assert!(watch.closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn closed(self) -> bool {
        current::with(|core| core.reactor.is_watch_paused(self.handle)).flatten().is_none()
    }

    /// Watches for something else from now on. What was found in this turn and not told yet is looked at anew. Not in Node;
    /// libuv's second `uv_poll_start`.
    ///
    /// # Errors
    ///
    /// What the system says; the interest is as it was then.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use halfclose::{EventLoop, Interest, watch};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (near, _far) = UnixStream::pair()?;
    /// let watch = watch(near, Interest::READABLE, |watch, _, ready| {
    ///     assert!(ready.writable());
    ///     watch.close();
    /// })?;
    /// watch.set_interest(Interest::WRITABLE)?;
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_interest(self, interest: Interest) -> Result<(), Error> {
        current::with(|core| core.reactor.watch_for(self.handle, interest.0)).unwrap_or(Ok(()))
    }

    /// Watches no more until [`resume`](Watch::resume), for instance while what was read has nowhere to go. It does not keep
    /// the loop alive meanwhile. Not in Node; libuv's `uv_poll_stop`.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use halfclose::{EventLoop, Interest, watch};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (near, _far) = UnixStream::pair()?;
    /// let watch = watch(near, Interest::WRITABLE, |_, _, _| unreachable!())?.pause();
    /// assert!(watch.is_paused());
    /// event_loop.run()?; // nothing else is left to wait for
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pause(self) -> Watch {
        current::with(|core| core.reactor.pause_watch(self.handle));
        self
    }

    /// Watches again. Not in Node.
    ///
    /// # Errors
    ///
    /// As [`watch`]; it stays paused then.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use halfclose::{EventLoop, Interest, watch};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (near, _far) = UnixStream::pair()?;
    /// let watch = watch(near, Interest::WRITABLE, |watch, _, _| watch.close())?.pause();
    /// watch.resume()?;
    /// assert!(!watch.is_paused());
    /// event_loop.run()?;
    /// assert!(watch.closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resume(self) -> Result<(), Error> {
        current::with(|core| core.reactor.resume_watch(self.handle)).unwrap_or(Ok(()))
    }

    /// Whether it is paused. Not in Node.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use halfclose::{EventLoop, Interest, watch};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (near, _far) = UnixStream::pair()?;
    /// assert!(!watch(near, Interest::READABLE, |_, _, _| {})?.is_paused());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_paused(self) -> bool {
        current::with(|core| core.reactor.is_watch_paused(self.handle)).flatten().unwrap_or(false)
    }

    /// Lets it keep the loop alive again, as it does when it is made. Not in Node; libuv's `uv_ref`.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use halfclose::{EventLoop, Interest, watch};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (near, _far) = UnixStream::pair()?;
    /// let watch = watch(near, Interest::READABLE, |_, _, _| {})?.unref();
    /// assert!(watch.ref_().has_ref());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ref_(self) -> Watch {
        current::with(|core| core.reactor.set_watch_referenced(self.handle, true));
        self
    }

    /// Lets the loop end although it is watched. Not in Node; libuv's `uv_unref`.
    ///
    /// ```
    /// use halfclose::{EventLoop, Interest, watch};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (near, _far) = std::os::unix::net::UnixStream::pair()?;
    /// watch(near, Interest::READABLE, |_, _, _| unreachable!())?.unref();
    /// event_loop.run()?; // returns at once: nothing else is left to wait for
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unref(self) -> Watch {
        current::with(|core| core.reactor.set_watch_referenced(self.handle, false));
        self
    }

    /// Whether it keeps the loop alive while it is not paused. Not in Node; libuv's `uv_has_ref`.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use halfclose::{EventLoop, Interest, watch};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (near, _far) = UnixStream::pair()?;
    /// let watch = watch(near, Interest::READABLE, |_, _, _| {})?;
    /// assert!(watch.has_ref());
    /// watch.close();
    /// assert!(!watch.has_ref());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn has_ref(self) -> bool {
        current::with(|core| core.reactor.is_watch_referenced(self.handle)).flatten().unwrap_or(false)
    }
}
