//! How long turns and callbacks take, and how many callbacks there are.
//!
//! A turn is measured with the times that the loop reads anyway. Callbacks are measured only where that was asked for:
//! the loop then reads the clock once for each, and leaves the short way of the usual deliveries. This module may touch the
//! core. Invariant: a turn is measured once at most, and never with time in it that the loop slept or was left.

use std::time::Duration;

use crate::event_loop::core::Core;
use crate::event_loop::mailbox::Item;
use crate::event_loop::turn::Unusual;
use crate::event_loop::{EventLoop, Inner, Position};
use crate::reactor::histogram::Lengths;
use crate::sys::Time;

/// What the loop counts itself.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) posts: u64,
    pub(super) lookups: u64,
    /// Rounds of the long way that were numbered as callbacks and found nothing to do.
    pub(super) idle_rounds: u64,
}

/// What is measured.
#[derive(Debug)]
pub(super) struct Measuring {
    pub(super) counts: Counts,
    /// When the running turn began.
    turn_began: TurnBegan,
    pub(super) turn_lengths: Lengths,
    /// Whether callbacks are measured.
    pub(super) callbacks: bool,
    callback_began: Time,
    pub(super) callback_lengths: Lengths,
    /// Callbacks that take as long as this are told of.
    slow: Option<Duration>,
}

/// When a turn began.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum TurnBegan {
    /// That is the time of the turn still.
    AtTheTimeOfTheTurn,
    /// The time of the turn has moved on since.
    At(Time),
    /// There is none that was not measured.
    OutOfTurn,
}

/// A callback that took long, as [`EventLoop::on_slow_callback`] is told of it. Not in Node.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowCallback {
    /// How long it took, with the system call that led to it and the ticks that followed it.
    pub length: Duration,
    /// Where it was: the turn, the phase, the number of the callback and how many ticks followed it. Listeners that note
    /// [`position`](crate::position()) can be told by it.
    pub position: Position,
}

impl Measuring {
    pub(super) fn new(callbacks: bool) -> Measuring {
        Measuring {
            counts: Counts::default(),
            turn_began: TurnBegan::OutOfTurn,
            turn_lengths: Lengths::default(),
            callbacks,
            callback_began: Time::ZERO,
            callback_lengths: Lengths::default(),
            slow: None,
        }
    }

    /// A wait of the long way is over, or about to be.
    #[inline]
    pub(super) fn turn_begins(&mut self) {
        self.turn_began = TurnBegan::AtTheTimeOfTheTurn;
    }

    /// The time of the turn, which is this, is about to move on.
    pub(super) fn time_moves_on(&mut self, from: Time) {
        if self.turn_began == TurnBegan::AtTheTimeOfTheTurn {
            self.turn_began = TurnBegan::At(from);
        }
    }

    /// A wait is about to begin, or took no time.
    pub(super) fn turn_ends(&mut self, time_of_turn: Time, now: Time) {
        let began = match self.turn_began {
            TurnBegan::AtTheTimeOfTheTurn => time_of_turn,
            TurnBegan::At(began) => began,
            TurnBegan::OutOfTurn => return,
        };
        self.turn_began = TurnBegan::OutOfTurn;
        self.turn_lengths.add(began.until(now));
    }

    /// The same in the short way, in which nothing moves the time on, and which always goes on.
    #[inline]
    pub(super) fn quiet_turn_ends(&mut self, began: Time, now: Time) {
        self.turn_lengths.add(began.until(now));
    }

    /// The loop is entered: what passed since it was left belongs to nobody.
    pub(super) fn entered(&mut self) {
        self.turn_began = TurnBegan::OutOfTurn;
    }
}

impl Core {
    /// A callback and its ticks are over, and the next begins. `Some` if it took long.
    pub(super) fn measure_callback(&mut self) -> Option<SlowCallback> {
        let now = self.clock.now();
        let measuring = &mut self.measuring;
        let nanoseconds = measuring.callback_began.until(now);
        let length = Duration::from_nanos(nanoseconds);
        measuring.callback_began = now;
        measuring.callback_lengths.add(nanoseconds);
        let slow = measuring.slow.is_some_and(|slow| length >= slow);
        slow.then(|| SlowCallback { length, position: self.position() })
    }

    /// The wait is over: callbacks begin, one right after the other.
    pub(super) fn callbacks_begin(&mut self) {
        self.measuring.callback_began = self.reactor.now();
    }

    /// The same in the middle of a turn.
    pub(super) fn callbacks_begin_now(&mut self) {
        self.measuring.callback_began = self.clock.now();
    }

    /// Something that another thread handed over is the next callback.
    pub(super) fn begin_to_receive(&mut self, item: &Item) {
        self.begin_callback();
        match item {
            Item::Call(_) => self.measuring.counts.posts += 1,
            Item::Lookup(_) | Item::CustomLookup(..) => self.measuring.counts.lookups += 1,
        }
    }
}

impl Inner {
    /// What the short way of the usual deliveries begins with, where it is not taken.
    pub(super) fn serve_thoroughly(&self) -> Unusual {
        let mut core = self.core.borrow_mut();
        core.begin_callback();
        if core.reactor.has_current_event() { Unusual::NotServed } else { Unusual::NothingReady }
    }
}

impl EventLoop {
    /// Calls `hook` after each callback that took `limit` or longer, the ticks that followed it included, in place of an
    /// earlier hook. While one callback runs everybody else waits; this tells which ones are to be looked at. Not in
    /// Node; its [`perf_hooks.monitorEventLoopDelay()`] tells that there are such callbacks.
    ///
    /// The hook is called outside of all callbacks, and what it does itself is not measured. From then on callbacks are
    /// measured as with [`measure_callbacks`](crate::EventLoopOptions::measure_callbacks), which costs a look at the clock
    /// for each and the short way of the usual deliveries: some ten nanoseconds.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// use std::time::{Duration, Instant};
    /// use halfclose::{EventLoop, set_immediate};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let slow = Rc::new(Cell::new(0));
    /// let count = slow.clone();
    /// event_loop.on_slow_callback(Duration::from_millis(5), move |callback| {
    ///     eprintln!("{:?} in {:?}", callback.length, callback.position);
    ///     count.set(count.get() + 1);
    /// });
    /// set_immediate(|| {
    ///     let start = Instant::now();
    ///     while start.elapsed() < Duration::from_millis(5) {}
    /// });
    /// event_loop.run()?;
    /// assert_eq!(slow.get(), 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`perf_hooks.monitorEventLoopDelay()`]: https://nodejs.org/api/perf_hooks.html#perf_hooksmonitoreventloopdelayoptions
    pub fn on_slow_callback(&mut self, limit: Duration, hook: impl FnMut(SlowCallback) + 'static) {
        let old = self.inner.slow.replace(Some(Box::new(hook)));
        self.measures = true;
        self.plainly = false;
        let mut core = self.inner.core.borrow_mut();
        core.measuring.callbacks = true;
        core.measuring.slow = Some(limit);
        drop(core);
        drop(old);
    }
}
