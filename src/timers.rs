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

/// Calls `callback` once, `delay` from now. Mirrors [`setTimeout()`].
///
/// A delay below one millisecond counts as one; fractions of a millisecond above that count, which Node cuts off, and
/// there is no upper limit, which in Node is 2³¹-1 milliseconds. The timer is due `delay` after this call, not after
/// the start of the turn, and never runs earlier. It runs in the timer phase; timers of equal delay run in the order in
/// which they were armed. It keeps the loop alive until it ran, unless [`unref`](Timer::unref) is called. The closure
/// may be called again only if it calls [`Timer::refresh`] on its own timer.
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread, and with sixteen million timers.
///
/// ```
/// use std::time::{Duration, Instant};
/// use halfclose::{EventLoop, set_timeout};
///
/// let mut event_loop = EventLoop::new()?;
/// let start = Instant::now();
/// set_timeout(Duration::from_millis(5), || println!("later"));
/// event_loop.run()?;
/// assert!(start.elapsed() >= Duration::from_millis(5));
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`setTimeout()`]: https://nodejs.org/api/timers.html#settimeoutcallback-delay-args
#[track_caller]
pub fn set_timeout(delay: Duration, callback: impl FnMut() + 'static) -> Timer {
    let callback = Box::new(callback);
    Timer::from_key(current::expect(|core| core.set_timer(delay, false, callback)))
}

/// Calls `callback` again and again, `period` after the start of its previous call, until it is cleared. Mirrors
/// [`setInterval()`]. For the rest it is like [`set_timeout`].
///
/// # Panics
///
/// As [`set_timeout`].
///
/// ```
/// use std::{cell::Cell, rc::Rc, time::Duration};
/// use halfclose::{EventLoop, Timer, set_interval};
///
/// let mut event_loop = EventLoop::new()?;
/// let timer: Rc<Cell<Option<Timer>>> = Rc::default();
/// let own = timer.clone();
/// let mut left = 3;
/// timer.set(Some(set_interval(Duration::from_millis(1), move || {
///     left -= 1;
///     if left == 0 {
///         own.get().unwrap().clear();
///     }
/// })));
/// event_loop.run()?;
/// assert_eq!(event_loop.timers(), 0);
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`setInterval()`]: https://nodejs.org/api/timers.html#setintervalcallback-delay-args
#[track_caller]
pub fn set_interval(period: Duration, callback: impl FnMut() + 'static) -> Timer {
    let callback = Box::new(callback);
    Timer::from_key(current::expect(|core| core.set_timer(period, true, callback)))
}

/// Calls `callback` in the next check phase: after this turn's input and output, before its `close` events and timers.
/// Mirrors [`setImmediate()`]. An immediate queued by an immediate waits for the next turn. It keeps the loop alive
/// until it ran, unless [`unref`](Immediate::unref) is called.
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread.
///
/// ```
/// use halfclose::{EventLoop, Phase, position, set_immediate};
///
/// let mut event_loop = EventLoop::new()?;
/// set_immediate(|| assert_eq!(position().unwrap().phase, Phase::Immediates));
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`setImmediate()`]: https://nodejs.org/api/timers.html#setimmediatecallback-args
#[track_caller]
pub fn set_immediate(callback: impl FnOnce() + 'static) -> Immediate {
    let callback = Box::new(callback);
    Immediate::from_handle(current::expect(|core| core.set_immediate(callback)))
}

/// Calls `callback` once the running listener has returned, before anything else of the loop. Mirrors
/// [`process.nextTick()`]. The library's own deferred events are in the same queue, first in, first out. It is drained
/// completely, including what is queued meanwhile: a callback that always queues itself again starves everything else.
///
/// # Panics
///
/// Without an [`EventLoop`](crate::EventLoop) on this thread.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use halfclose::{EventLoop, next_tick, set_immediate};
///
/// let mut event_loop = EventLoop::new()?;
/// let ticked = Rc::new(Cell::new(false));
/// let seen = ticked.clone();
/// set_immediate(move || assert!(seen.get()));
/// next_tick(move || ticked.set(true));
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`process.nextTick()`]: https://nodejs.org/api/process.html#processnexttickcallback-args
#[track_caller]
pub fn next_tick(callback: impl FnOnce() + 'static) {
    let callback = Box::new(callback);
    current::expect(|core| core.next_tick(callback));
}

/// Cancels a timer; does nothing to one that is over. Mirrors [`clearTimeout()`]; the same as [`Timer::clear`].
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
///
/// [`clearTimeout()`]: https://nodejs.org/api/timers.html#cleartimeouttimeout
pub fn clear_timeout(timer: Timer) {
    timer.clear();
}

/// Cancels an interval; does nothing to one that is over. Mirrors [`clearInterval()`]; the same as [`Timer::clear`].
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
///
/// [`clearInterval()`]: https://nodejs.org/api/timers.html#clearintervaltimeout
pub fn clear_interval(timer: Timer) {
    timer.clear();
}

/// Cancels an immediate; does nothing to one that ran. Mirrors [`clearImmediate()`]; the same as [`Immediate::clear`].
///
/// ```
/// use halfclose::{EventLoop, clear_immediate, set_immediate};
///
/// let mut event_loop = EventLoop::new()?;
/// clear_immediate(set_immediate(|| unreachable!()));
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`clearImmediate()`]: https://nodejs.org/api/timers.html#clearimmediateimmediate
pub fn clear_immediate(immediate: Immediate) {
    immediate.clear();
}

/// On a timer that is over (cleared, run without `refresh`, its loop gone) all of these do nothing, and
/// [`has_ref`](Timer::has_ref) is false.
impl Timer {
    /// Cancels it: its callback never runs again, also when an earlier timer of the same moment cancels it. The closure
    /// is dropped. Mirrors [`timeout.close()`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, set_timeout};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// set_timeout(Duration::from_secs(3600), || unreachable!()).clear();
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`timeout.close()`]: https://nodejs.org/api/timers.html#timeoutclose
    pub fn clear(self) {
        current::with(|core| core.clear_timer(self.key));
        current::bury_if_idle();
    }

    /// Arms it again, its full duration from now. Works within its own callback too; Node's also revives a timer that
    /// ran earlier. Mirrors [`timeout.refresh()`].
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    /// use halfclose::{EventLoop, Timer, set_timeout};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let timer: Rc<Cell<Option<Timer>>> = Rc::default();
    /// let own = timer.clone();
    /// let calls = Rc::new(Cell::new(0));
    /// let count = calls.clone();
    /// timer.set(Some(set_timeout(Duration::from_millis(1), move || {
    ///     count.set(count.get() + 1);
    ///     if count.get() < 3 {
    ///         own.get().unwrap().refresh();
    ///     }
    /// })));
    /// event_loop.run()?;
    /// assert_eq!(calls.get(), 3);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`timeout.refresh()`]: https://nodejs.org/api/timers.html#timeoutrefresh
    pub fn refresh(self) -> Timer {
        current::with(|core| core.refresh_timer(self.key));
        self
    }

    /// Lets it keep the loop alive again, as it does when it is made. Mirrors [`timeout.ref()`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, set_timeout};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let timer = set_timeout(Duration::from_secs(3600), || {}).unref();
    /// assert!(timer.ref_().has_ref());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`timeout.ref()`]: https://nodejs.org/api/timers.html#timeoutref
    pub fn ref_(self) -> Timer {
        current::with(|core| core.reactor.timers.set_referenced(self.key, true));
        self
    }

    /// Lets the loop end although it is armed. Mirrors [`timeout.unref()`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, set_interval};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// set_interval(Duration::from_secs(3600), || println!("still here")).unref();
    /// event_loop.run()?; // returns at once: nothing else is left to wait for
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`timeout.unref()`]: https://nodejs.org/api/timers.html#timeoutunref
    pub fn unref(self) -> Timer {
        current::with(|core| core.reactor.timers.set_referenced(self.key, false));
        self
    }

    /// Whether it keeps the loop alive while it is armed. Mirrors [`timeout.hasRef()`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, set_timeout};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let timer = set_timeout(Duration::from_secs(3600), || {});
    /// assert!(timer.has_ref());
    /// timer.clear();
    /// assert!(!timer.has_ref());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`timeout.hasRef()`]: https://nodejs.org/api/timers.html#timeouthasref
    pub fn has_ref(self) -> bool {
        current::with(|core| core.reactor.timers.referenced(self.key)).unwrap_or(false)
    }
}

/// On an immediate that is over (cleared, run, its loop gone) all of these do nothing, and
/// [`has_ref`](Immediate::has_ref) is false.
impl Immediate {
    /// Cancels it, also from an earlier immediate of the same phase. The closure is dropped. Mirrors
    /// [`clearImmediate()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, set_immediate};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// set_immediate(|| unreachable!()).clear();
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`clearImmediate()`]: https://nodejs.org/api/timers.html#clearimmediateimmediate
    pub fn clear(self) {
        current::with(|core| core.clear_immediate(self.handle));
        current::bury_if_idle();
    }

    /// Lets it keep the loop alive again, as it does when it is made. Mirrors [`immediate.ref()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, set_immediate};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert!(set_immediate(|| {}).unref().ref_().has_ref());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`immediate.ref()`]: https://nodejs.org/api/timers.html#immediateref
    pub fn ref_(self) -> Immediate {
        current::with(|core| core.immediates.set_referenced(self.handle, true));
        self
    }

    /// Lets the loop end, or wait, although it is queued. Mirrors [`immediate.unref()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, set_immediate};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// set_immediate(|| unreachable!("nothing else keeps the loop turning")).unref();
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`immediate.unref()`]: https://nodejs.org/api/timers.html#immediateunref
    pub fn unref(self) -> Immediate {
        current::with(|core| core.immediates.set_referenced(self.handle, false));
        self
    }

    /// Whether it keeps the loop alive. Mirrors [`immediate.hasRef()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, set_immediate};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert!(set_immediate(|| {}).has_ref());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`immediate.hasRef()`]: https://nodejs.org/api/timers.html#immediatehasref
    pub fn has_ref(self) -> bool {
        current::with(|core| core.immediates.is_referenced(self.handle)).unwrap_or(false)
    }
}
