//! Monotonic time: a clock, and the point in time that it shows.
//!
//! May touch `libc` for the one call. When the clock is read is not decided here but by the event loop.
//!
//! Invariants: time starts at zero when the clock is made, never goes backwards, and its arithmetic saturates instead
//! of overflowing. A `u64` of nanoseconds lasts 584 years.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// The monotonic clock of one event loop.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { origin: monotonic() }
    }

    /// The time since the clock was made.
    #[inline]
    pub(crate) fn now(&self) -> Time {
        // It never goes backwards.
        Time(monotonic().wrapping_sub(self.origin))
    }

    /// `time` as an [`Instant`], never too early: up to the moment between two looks at the clock later, and now for what is
    /// past. `None` when no `Instant` is so late.
    pub(crate) fn instant_of(&self, time: Time) -> Option<Instant> {
        // In this order: what passes between the two makes the result later.
        let left = time.saturating_duration_since(self.now());
        Instant::now().checked_add(left)
    }
}

/// The system's monotonic clock in nanoseconds. `Instant` would read the same clock, and then convert twice: this is read
/// in every turn.
#[inline]
fn monotonic() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` is a place for one timespec for the length of the call, which fills it: with this clock, which all our
    // systems have, nothing can go wrong (clock_gettime(2)).
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr());
        time.assume_init()
    };
    // Lossless: neither is negative, and seconds since the start of the system fit.
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// A point in time of one [`Clock`], as nanoseconds since that was made. Half the size of an `Instant`, since every connection stores one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Time(u64);

impl Time {
    /// The moment the clock was made.
    pub(crate) const ZERO: Self = Self(0);

    /// For clocks that count by themselves.
    #[cfg(feature = "simulation")]
    pub(super) const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// This time and `duration` more, at most the end of time.
    pub(crate) fn saturating_add(self, duration: Duration) -> Self {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanoseconds))
    }

    /// How long to wait for this, if it is `now` that late. No time at all when it has come.
    #[inline]
    pub(crate) const fn wait_from(self, now: Self) -> Wait {
        Wait(self.0.saturating_sub(now.0))
    }

    /// The nanoseconds from this to `later`, which is not before it.
    #[inline]
    pub(crate) const fn until(self, later: Self) -> u64 {
        later.0.wrapping_sub(self.0)
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub(crate) const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// What fits the kernel's count of milliseconds.
const LONGEST_WAIT: u64 = i32::MAX as u64 * 1_000_000 - 999_999;

/// How long a wait may last, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wait(u64);

impl Wait {
    /// Only a look.
    pub(crate) const NONE: Self = Self(0);
    /// Without limit.
    pub(crate) const FOREVER: Self = Self(u64::MAX);

    /// The longest time of it, `None` without limit.
    pub(crate) fn limit(self) -> Option<Duration> {
        if self == Self::FOREVER { None } else { Some(Duration::from_nanos(self.0)) }
    }

    /// In whole milliseconds, as the kernel wants them; -1 is without limit. Rounded up: a wait that ended before its timer
    /// is due would be made again, without sleep. At most 24 days.
    #[inline]
    #[allow(clippy::manual_div_ceil, reason = "that one divides twice")]
    pub(super) fn milliseconds(self) -> i32 {
        if self == Self::FOREVER {
            return -1;
        }
        ((self.0.min(LONGEST_WAIT) + 999_999) / 1_000_000) as i32
    }
}

impl From<Option<Duration>> for Wait {
    fn from(timeout: Option<Duration>) -> Self {
        // Whatever does not fit is without limit to anybody who lives.
        timeout.map_or(Self::FOREVER, |timeout| Self(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_starts_near_zero_and_never_goes_backwards() {
        let clock = Clock::new();
        let first = clock.now();
        let second = clock.now();
        assert!(second >= first);
        assert!(second.saturating_duration_since(Time::ZERO) < Duration::from_secs(60));
    }

    #[test]
    fn an_instant_is_never_too_early() {
        let clock = Clock::new();
        let (before, now) = (Instant::now(), clock.now());
        let later = clock.instant_of(now.saturating_add(Duration::from_secs(5))).unwrap();
        assert!(later >= before + Duration::from_secs(5));
        assert!(later < Instant::now() + Duration::from_secs(60));
        assert!(clock.instant_of(Time::ZERO).unwrap() <= Instant::now());
        // What the system makes of the end of time is its own business.
        let _ = clock.instant_of(Time(u64::MAX));
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let late = Time(u64::MAX - 1);
        assert_eq!(late.saturating_add(Duration::MAX), Time(u64::MAX));
        assert_eq!(Time::ZERO.saturating_duration_since(late), Duration::ZERO);
    }

    #[test]
    fn adding_and_subtracting_agree() {
        let start = Time(5);
        let later = start.saturating_add(Duration::from_millis(3));
        assert_eq!(later.saturating_duration_since(start), Duration::from_millis(3));
        assert!(later > start);
    }

    #[test]
    fn a_wait_is_rounded_up_to_milliseconds_and_bounded() {
        let wait = |timeout: Duration| Wait::from(Some(timeout)).milliseconds();
        assert_eq!(Wait::from(None).milliseconds(), -1);
        assert_eq!(Wait::NONE.milliseconds(), 0);
        assert_eq!(wait(Duration::from_nanos(1)), 1);
        assert_eq!(wait(Duration::from_millis(1)), 1);
        assert_eq!(wait(Duration::from_nanos(1_000_001)), 2);
        assert_eq!(wait(Duration::from_secs(365 * 86_400)), i32::MAX);
        assert_eq!(Time(7).wait_from(Time(9)), Wait::NONE);
        assert_eq!(Time(9).wait_from(Time(7)), Wait(2));
    }
}
