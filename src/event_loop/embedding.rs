//! A loop within another program's loop: what that one must know in order to wait in our place.
//!
//! It may touch the reactor, to look only. Invariant: what is said here is what [`EventLoop::turn`] acts upon. Whoever
//! waits until the descriptor is readable or the deadline has come, and does not wait while something is pending, misses
//! nothing.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

use crate::event_loop::core::Core;
use crate::event_loop::{EventLoop, Stage};

/// For a thread that another loop owns, for instance one of epoll or of `mio`, or a game's. Three questions tell it when
/// this loop wants a turn, and `turn(Some(Duration::ZERO))` is the turn:
///
/// - its descriptor ([`AsFd`], [`AsRawFd`]) is readable: the kernel has something for it, or another thread woke it;
/// - [`next_deadline`](EventLoop::next_deadline) has come;
/// - [`has_pending`](EventLoop::has_pending) is true: then it is not to be waited for at all.
///
/// All three change with each turn, and whenever this thread uses the loop outside of its turns (a `write`, a
/// `set_timeout`): they are to be asked right before each wait. The examples `embedded_epoll`, `embedded_mio` and
/// `frame_loop` are whole programs.
impl EventLoop {
    /// When the next timer is due, whatever it is for: a [`Timer`](crate::Timer), a socket's idle timeout, the time limit
    /// of a lookup. `None` when no timer is armed. Not in Node; libuv's `uv_backend_timeout` gives the same as a number of
    /// milliseconds.
    ///
    /// A moment in the past means that a turn is due now. No timer is due before it; perhaps none is due even then, since
    /// timers that are put off or cleared leave their old moment behind. What waits in whole milliseconds, such as
    /// `epoll_wait`, has to round up, or it turns in vain until the moment has come.
    ///
    /// Timers count that do not keep the loop alive ([`unref`](crate::Timer::unref)), too: they run if the loop is turned.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use halfclose::{EventLoop, set_timeout};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// assert_eq!(event_loop.next_deadline(), None);
    /// let before = Instant::now();
    /// let timer = set_timeout(Duration::from_secs(5), || {});
    /// let deadline = event_loop.next_deadline().expect("a timer is armed");
    /// assert!(deadline >= before + Duration::from_secs(5));
    /// timer.clear();
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn next_deadline(&self) -> Option<Instant> {
        let mut core = self.inner.core.borrow_mut();
        core.arm_bounds();
        core.clock.instant_of(core.reactor.timers.next_expiry()?)
    }

    /// Whether a turn would find something to do at once that neither the descriptor nor the next deadline announces: a
    /// socket that used up its share of a turn, queued ticks, immediates, results and `close` events that are owed,
    /// posted closures that are more than one turn takes, the rest of a turn that an error or `stop()` interrupted. Not in
    /// Node.
    ///
    /// While it is true, `turn(None)` would not wait either. It is false when all there is are immediates that were
    /// [`unref`](crate::Immediate::unref)ed: they wait for a turn that is made for another reason.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, set_immediate};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// assert!(!event_loop.has_pending());
    /// set_immediate(|| {});
    /// assert!(event_loop.has_pending());
    /// event_loop.turn(Some(Duration::ZERO))?;
    /// assert!(!event_loop.has_pending());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn has_pending(&self) -> bool {
        let mailbox = &self.inner.mailbox;
        self.stage != Stage::Start
            || mailbox.is_occupied()
            || mailbox.wants_stop()
            || self.inner.core.borrow().has_unannounced_work()
    }
}

impl Core {
    /// Whether there is work that neither the poller nor a timer announces.
    fn has_unannounced_work(&self) -> bool {
        self.stopping
            || !self.reactor.ticks.is_empty()
            || self.has_graves()
            || self.unreported.is_some()
            || self.reactor.must_not_wait()
            || self.reactor.may_have_missed_events()
            || self.immediates.any_referenced()
    }
}

/// The descriptor of the loop's selector (epoll or kqueue), for another loop to wait for: readable means that a turn has
/// something to do. Level-triggered and edge-triggered waiting both work, as long as
/// [`has_pending`](EventLoop::has_pending) is asked before each wait. Nothing else is to be done with it.
///
/// ```
/// use std::os::fd::{AsFd, AsRawFd};
/// use halfclose::EventLoop;
///
/// let event_loop = EventLoop::new()?;
/// assert!(event_loop.as_fd().as_raw_fd() >= 0);
/// # Ok::<(), halfclose::Error>(())
/// ```
impl AsFd for EventLoop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The same as a number, valid for as long as the loop lives.
impl AsRawFd for EventLoop {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}
