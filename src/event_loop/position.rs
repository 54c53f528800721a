//! Where in its turns a loop is: what logs, and tests that assert an order, ask for.
//!
//! It may touch the loop through `current`, to look only.

use crate::event_loop::core::Core;
use crate::event_loop::current;

/// A phase of a turn, as [`position`] reports it. Not in Node.
///
/// A turn goes through pending, poll, pending once more, immediates, closing and timers, as libuv's loop does, which is
/// Node's.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// Outside [`EventLoop::run`](crate::EventLoop::run) and [`EventLoop::turn`](crate::EventLoop::turn).
    Idle,
    /// Timers that are due.
    Timers,
    /// Postponed results: shutdowns, connects that were refused at once.
    Pending,
    /// Input, output, accepted and established connections, watched descriptors, posted closures.
    Poll,
    /// Immediates: Node's check phase.
    Immediates,
    /// `close` events.
    Closing,
}

/// Where in its turns the loop is: what [`position`] gives. Not in Node.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Position {
    /// Counts the turns, from 1; 0 before the first.
    pub turn: u64,
    /// The phase of the turn.
    pub phase: Phase,
    /// Counts the loop's callbacks: each one event, timer or immediate that was taken.
    pub callback: u64,
    /// 0 in the callback itself, then 1, 2, … in the ticks that follow it.
    pub tick: u64,
}

/// Where in its turns this thread's loop is, for logs and for tests that assert an order; `None` without a loop. Not in
/// Node.
///
/// Two listeners that report the same `callback` and `tick` ran in the same stack; the same `callback` and different
/// ticks were separated by the tick queue only.
///
/// ```
/// use halfclose::{EventLoop, Phase, next_tick, position, set_immediate};
///
/// let mut event_loop = EventLoop::new()?;
/// set_immediate(|| {
///     let here = position().unwrap();
///     assert_eq!((here.phase, here.tick), (Phase::Immediates, 0));
///     next_tick(move || assert_eq!(position().unwrap().tick, 1));
/// });
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
pub fn position() -> Option<Position> {
    current::look_at(Core::position)
}
