//! Polling without sleep before a wait: always for a while, or only where it pays.
//!
//! To sleep and to be woken costs tens of microseconds, on every event that finds the loop asleep. Whoever owns a core may
//! rather ask the kernel again and again. This module decides for how long; it may touch what [`Kernel`] offers: asking, and
//! the clock. Invariants: a wait never lasts longer than it may; what ends a sleep ends the spinning too, since both ask the
//! same poller; nothing here calls user code.

use std::io;
use std::time::Duration;

use crate::event_loop::core::Core;
use crate::sys::{Time, Wait};

/// Which waits begin with spinning, and for how long at most.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Spin {
    Never,
    Always(Duration),
    Adaptive(Duration),
}

/// How many of the latest waits decide: enough that one long pause in a busy stretch changes nothing, few enough that
/// a loop which falls silent wastes at most half as many spins.
const REMEMBERED: u32 = u16::BITS;

/// How many of them must have been short.
const ENOUGH: u32 = REMEMBERED / 2;

/// The loop's way to wait.
#[derive(Debug)]
pub(crate) struct Spinning {
    spin: Spin,
    /// One bit for each of the latest waits, the newest one lowest: set if an event ended it within the limit.
    short: u16,
}

impl Spinning {
    pub(crate) fn new(spin: Spin) -> Spinning {
        Spinning { spin, short: 0 }
    }

    #[inline]
    pub(crate) fn is_off(&self) -> bool {
        self.spin == Spin::Never
    }

    /// Waits until there is an event or `timeout` is over (`None`: without limit), and spins first if that is wanted.
    ///
    /// # Errors
    ///
    /// Those of the poller.
    fn wait(&mut self, kernel: &mut impl Kernel, timeout: Option<Duration>) -> io::Result<()> {
        let (limit, adaptive) = match self.spin {
            Spin::Never => (Duration::ZERO, false),
            Spin::Always(limit) => (limit, false),
            Spin::Adaptive(limit) => (limit, true),
        };
        if timeout == Some(Duration::ZERO) || limit.is_zero() {
            // No wait, and it tells nothing about waits.
            return kernel.ask(timeout).map(drop);
        }
        let start = kernel.now();
        let spins = !adaptive || self.pays();
        let mut found = false;
        if spins {
            let longest = timeout.map_or(limit, |timeout| timeout.min(limit));
            // Bounded by the clock, which the poller's own time moves on.
            while !found && kernel.now().saturating_duration_since(start) < longest {
                found = kernel.ask(Some(Duration::ZERO))?;
            }
        }
        if !found {
            let spun = if spins { kernel.now().saturating_duration_since(start) } else { Duration::ZERO };
            // What spinning used up to the last is no sleep any more, but one more look.
            found = kernel.ask(timeout.map(|timeout| timeout.saturating_sub(spun)))?;
        }
        if adaptive {
            let length = kernel.now().saturating_duration_since(start);
            self.remember(found, length, limit);
        }
        Ok(())
    }

    /// Whether spinning would have caught most of the latest waits' events.
    fn pays(&self) -> bool {
        self.short.count_ones() >= ENOUGH
    }

    /// A wait that a timer ended within the limit tells nothing: an event might have come right after it.
    fn remember(&mut self, found: bool, length: Duration, limit: Duration) {
        if length > limit {
            self.short <<= 1;
        } else if found {
            self.short = self.short << 1 | 1;
        }
    }
}

/// What waiting needs of the world: a simulated one does as well.
trait Kernel {
    /// Asks for events, and waits at most `timeout` for the first. Returns whether there are any.
    fn ask(&mut self, timeout: Option<Duration>) -> io::Result<bool>;

    fn now(&mut self) -> Time;
}

impl Kernel for Core {
    fn ask(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.reactor.poll(Wait::from(timeout))?;
        Ok(self.reactor.found_events())
    }

    fn now(&mut self) -> Time {
        self.clock.now()
    }
}

impl Core {
    pub(super) fn spins(&self) -> bool {
        !self.spinning.is_off()
    }

    /// The wait of the poll phase, of a loop that was told to spin.
    #[cold]
    pub(super) fn spin_and_poll(&mut self, wait: Wait) -> io::Result<()> {
        // Out of its place, because it asks the rest of the core.
        let mut spinning = std::mem::replace(&mut self.spinning, Spinning::new(Spin::Never));
        let polled = spinning.wait(self, wait.limit());
        self.spinning = spinning;
        polled
    }
}

#[cfg(test)]
mod tests;
