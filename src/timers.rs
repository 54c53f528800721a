//! Timers, immediates and `next_tick`: Node's globals of the same names.
//!
//! Floor 4. It may touch the event loop's commands. All of it belongs to the [`EventLoop`](crate::EventLoop) of the thread
//! that calls; the functions that create something panic without one.
//!
//! The order among timers, immediates, ticks and the events of sockets is Node's:
//!
//! ```
//! use std::{cell::RefCell, rc::Rc, time::Duration};
//! use halfclose::{EventLoop, next_tick, set_immediate, set_timeout};
//!
//! let mut event_loop = EventLoop::new()?;
//! let order = Rc::new(RefCell::new(Vec::new()));
//! let log = |name| {
//!     let order = order.clone();
//!     move || order.borrow_mut().push(name)
//! };
//! set_timeout(Duration::from_millis(1), log("timeout"));
//! set_immediate(log("immediate"));
//! next_tick(log("tick"));
//! event_loop.run()?;
//! assert_eq!(order.borrow()[0], "tick");
//! # Ok::<(), halfclose::Error>(())
//! ```

use std::time::Duration;

use crate::event_loop::current;
pub use crate::event_loop::handles::{Immediate, Timer};

/// Calls `callback` once, `delay` from now. Mirrors Node's `setTimeout`.
///
/// A delay below one millisecond counts as one. The timer is due `delay` after this call, not after the start of the
/// turn; timers of equal delay run in the order in which they were armed. It keeps the loop alive until it ran, unless
/// [`unref`](Timer::unref) is called. The closure may be called again only if it calls [`Timer::refresh`] on its own
/// timer.
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread.
///
/// ```
/// use std::time::{Duration, Instant};
/// use halfclose::{EventLoop, set_timeout};
///
/// let mut event_loop = EventLoop::new()?;
/// let start = Instant::now();
/// set_timeout(Duration::from_millis(5), move || assert!(start.elapsed() >= Duration::from_millis(5)));
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
#[track_caller]
pub fn set_timeout(delay: Duration, callback: impl FnMut() + 'static) -> Timer {
    let callback = Box::new(callback);
    Timer::from_key(current::expect(|core| core.set_timer(delay, false, callback)))
}

/// Calls `callback` again and again, `period` after the start of its previous call. Mirrors Node's `setInterval`.
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread.
///
/// ```
/// use std::{cell::Cell, rc::Rc, time::Duration};
/// use halfclose::{EventLoop, Timer, set_interval};
///
/// let mut event_loop = EventLoop::new()?;
/// let timer: Rc<Cell<Option<Timer>>> = Rc::default();
/// let mut left = 3;
/// let own = timer.clone();
/// timer.set(Some(set_interval(Duration::from_millis(1), move || {
///     left -= 1;
///     if left == 0 {
///         own.get().unwrap().clear();
///     }
/// })));
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
#[track_caller]
pub fn set_interval(period: Duration, callback: impl FnMut() + 'static) -> Timer {
    let callback = Box::new(callback);
    Timer::from_key(current::expect(|core| core.set_timer(period, true, callback)))
}

/// Calls `callback` in the next check phase: after this turn's input and output, before timers. Mirrors Node's
/// `setImmediate`. An immediate queued by an immediate waits for the next turn.
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread.
///
/// ```
/// use halfclose::{EventLoop, set_immediate};
///
/// let mut event_loop = EventLoop::new()?;
/// set_immediate(|| println!("in the check phase"));
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
#[track_caller]
pub fn set_immediate(callback: impl FnOnce() + 'static) -> Immediate {
    let callback = Box::new(callback);
    Immediate::from_handle(current::expect(|core| core.set_immediate(callback)))
}

/// Calls `callback` once the running listener has returned, before any other input or output. Mirrors
/// `process.nextTick`. The queue is drained completely, including what is queued meanwhile: a callback that always queues
/// itself again starves everything else.
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread.
///
/// ```
/// use halfclose::{EventLoop, next_tick};
///
/// let mut event_loop = EventLoop::new()?;
/// next_tick(|| println!("soon"));
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
#[track_caller]
pub fn next_tick(callback: impl FnOnce() + 'static) {
    let callback = Box::new(callback);
    current::expect(|core| core.next_tick(callback));
}

/// Cancels a timer. Mirrors `clearTimeout`; the same as [`Timer::clear`].
///
/// ```
/// use std::time::Duration;
/// use halfclose::{EventLoop, clear_timeout, set_timeout};
///
/// let mut event_loop = EventLoop::new()?;
/// clear_timeout(set_timeout(Duration::from_secs(3600), || unreachable!()));
/// event_loop.run()?; // returns at once
/// # Ok::<(), halfclose::Error>(())
/// ```
pub fn clear_timeout(timer: Timer) {
    timer.clear();
}

/// Cancels an interval. Mirrors `clearInterval`; the same as [`Timer::clear`].
///
/// ```
/// use std::time::Duration;
/// use halfclose::{EventLoop, clear_interval, set_interval};
///
/// let mut event_loop = EventLoop::new()?;
/// clear_interval(set_interval(Duration::from_secs(3600), || unreachable!()));
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
pub fn clear_interval(timer: Timer) {
    timer.clear();
}

/// Cancels an immediate. Mirrors `clearImmediate`; the same as [`Immediate::clear`].
///
/// ```
/// use halfclose::{EventLoop, clear_immediate, set_immediate};
///
/// let mut event_loop = EventLoop::new()?;
/// clear_immediate(set_immediate(|| unreachable!()));
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
pub fn clear_immediate(immediate: Immediate) {
    immediate.clear();
}

impl Timer {
    /// Cancels it: its callback never runs again, also when an earlier timer of the same moment cancels it. Mirrors
    /// `timeout.close()`. Does nothing to a timer that is over.
    pub fn clear(self) {
        current::with(|core| core.clear_timer(self.key));
        current::bury_if_idle();
    }

    /// Arms it again, its full duration from now. Mirrors `timeout.refresh()`. Works within its own callback too; does
    /// nothing to a timer that is over.
    pub fn refresh(self) -> Timer {
        current::with(|core| core.refresh_timer(self.key));
        self
    }

    /// Lets it keep the loop alive again, as it does when it is made. Mirrors `timeout.ref()`.
    pub fn ref_(self) -> Timer {
        current::with(|core| core.reactor.timers.set_referenced(self.key, true));
        self
    }

    /// Lets the loop end although it is armed. Mirrors `timeout.unref()`.
    pub fn unref(self) -> Timer {
        current::with(|core| core.reactor.timers.set_referenced(self.key, false));
        self
    }

    /// Whether it keeps the loop alive while it is armed. Mirrors `timeout.hasRef()`; false for a timer that is over.
    pub fn has_ref(self) -> bool {
        current::with(|core| core.reactor.timers.referenced(self.key)).unwrap_or(false)
    }
}

impl Immediate {
    /// Cancels it. Mirrors `clearImmediate`. Does nothing to one that ran.
    pub fn clear(self) {
        current::with(|core| core.clear_immediate(self.handle));
        current::bury_if_idle();
    }

    /// Lets it keep the loop alive again, as it does when it is made. Mirrors `immediate.ref()`.
    pub fn ref_(self) -> Immediate {
        current::with(|core| core.immediates.set_referenced(self.handle, true));
        self
    }

    /// Lets the loop end, or wait, although it is queued. Mirrors `immediate.unref()`.
    pub fn unref(self) -> Immediate {
        current::with(|core| core.immediates.set_referenced(self.handle, false));
        self
    }

    /// Whether it keeps the loop alive. Mirrors `immediate.hasRef()`; false for one that ran.
    pub fn has_ref(self) -> bool {
        current::with(|core| core.immediates.is_referenced(self.handle)).unwrap_or(false)
    }
}
