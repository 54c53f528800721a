//! The clock, real or simulated.

use std::time::{Duration, Instant};

use crate::sys::clock::{Clock as RealClock, Time};
use crate::sys::simulated::shared::SharedKernel;

#[derive(Debug)]
pub(crate) enum Clock {
    Real(RealClock),
    Simulated {
        kernel: SharedKernel,
        /// When the simulation began, for those who ask for an `Instant`.
        began: Instant,
    },
}

impl Clock {
    pub(crate) fn new() -> Self {
        match SharedKernel::current() {
            None => Self::Real(RealClock::new()),
            Some(kernel) => Self::Simulated { kernel, began: Instant::now() },
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Time {
        match self {
            Self::Real(clock) => clock.now(),
            Self::Simulated { kernel, .. } => Time::from_nanoseconds(kernel.lock().now),
        }
    }

    /// As far from the moment when the simulation began as `time` is from virtual zero.
    pub(crate) fn instant_of(&self, time: Time) -> Option<Instant> {
        match self {
            Self::Real(clock) => clock.instant_of(time),
            Self::Simulated { began, .. } => {
                let since: Duration = time.saturating_duration_since(Time::ZERO);
                began.checked_add(since)
            }
        }
    }
}
