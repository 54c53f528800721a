//! The wait of a turn: how long it may be, and the reading of the clock behind it.
//!
//! It may touch the core, the reactor's poller and the clock. Invariant: the clock is read after every wait (law 9), and no
//! timer is late because of how long a wait was allowed to be, but for what [`FAR`] says.

use std::io;
use std::time::Duration;

use crate::error::{Errno, Error};
use crate::event_loop::core::Core;
use crate::sys::{Time, Wait};

/// A timer that is this far away is not late after a [`SHORT_WAIT`], unless the listeners in between take nine seconds.
const FAR: Duration = Duration::from_secs(10);
const SHORT_WAIT: Wait = Wait::of(Duration::from_secs(1));

impl Core {
    /// The next turn begins with its poll phase: waits, and reads the clock.
    pub(crate) fn poll(&mut self, wait: Wait) -> Result<(), Error> {
        let polled = if self.spinning.is_off() { self.reactor.poll(wait) } else { self.spin_and_poll(wait) };
        if wait == Wait::NONE {
            // Nobody slept, so this is where the turn before ended.
            let before = self.reactor.now();
            let polled = self.polled(polled);
            self.measuring.turn_ends(before, self.reactor.now());
            self.measuring.turn_begins();
            return polled;
        }
        self.measuring.turn_begins();
        self.polled(polled)
    }

    /// The same at the end of a turn that was found quiet: nothing waits to be served, and there is no spinning.
    #[inline]
    pub(crate) fn poll_again(&mut self, wait: Wait) -> Result<(), Error> {
        let polled = self.reactor.poll_again(wait);
        self.polled(polled)
    }

    #[inline]
    fn polled(&mut self, polled: io::Result<()>) -> Result<(), Error> {
        self.turn += 1;
        let now = self.clock.now();
        self.reactor.set_now(now);
        #[cfg(feature = "simulation")]
        if let Some(failure) = self.tape_failure() {
            return Err(failure);
        }
        match polled {
            Ok(()) => Ok(()),
            #[cfg(feature = "simulation")]
            Err(error) if self.is_stuck(&error) => Err(Error::simulation_stuck()),
            Err(error) => Err(Error::exception(Errno::from_io(&error), "poll")),
        }
    }

    /// How long the poll phase may wait (libuv's `uv_backend_timeout`). Where the clock is read for it, the turn was that long.
    pub(crate) fn longest_wait(&mut self, alive: bool) -> Wait {
        if self.stopping || !alive || self.reactor.must_not_wait() || self.immediates.any_referenced() {
            return Wait::NONE;
        }
        let Some(next) = self.reactor.timers.next_expiry() else {
            if self.measuring.callbacks {
                self.measuring.turn_ends(self.reactor.now(), self.clock.now());
            }
            return Wait::FOREVER;
        };
        let now = if self.clock_is_fresh { self.reactor.now() } else { self.clock.now() };
        self.measuring.turn_ends(self.reactor.now(), now);
        next.wait_from(now)
    }

    /// Waits at the end of a turn that left everything as it was at the end of the one before it, and begins the next one.
    /// False, without a wait, when a timer is due.
    ///
    /// While the next timer is far away the clock need not be asked how far: it was read after the last wait, and a short
    /// one is not too long. Only a wait that brought nothing is followed by one of the right length, so a loop that becomes
    /// idle wakes up once for it.
    // Always: the loop over the usual deliveries is its one caller.
    #[inline(always)]
    pub(crate) fn poll_after_usual(&mut self, any_served: bool) -> Result<bool, Error> {
        match self.reactor.timers.next_expiry() {
            None => self.poll_again(Wait::FOREVER)?,
            Some(next) if any_served && next.is_beyond(self.reactor.now(), FAR) => self.poll_again(SHORT_WAIT)?,
            Some(next) => return self.poll_until(next),
        }
        Ok(true)
    }

    #[cold]
    fn poll_until(&mut self, next: Time) -> Result<bool, Error> {
        let now = self.clock.now();
        let wait = next.wait_from(now);
        if wait == Wait::NONE {
            return Ok(false);
        }
        self.measuring.quiet_turn_ends(self.reactor.now(), now);
        self.poll_again(wait)?;
        Ok(true)
    }
}
