//! How long things took: counts by powers of two.
//!
//! This module touches nothing. Invariants: adding one length costs a few instructions and no allocation; every length has
//! its bucket, and what is too long for the others has the last one.

use std::time::Duration;

/// The end of the first bucket: 2 to the power of this, in nanoseconds.
const UNIT: usize = 10;

/// Lengths, counted in buckets that double: bucket 0 has what took less than a microsecond, bucket 1 what took one, bucket
/// 2 what took two or three, bucket `n` what took 2ⁿ⁻¹ microseconds and less than twice that. The microsecond of these
/// bounds is the computer's, of 1024 nanoseconds. The last bucket, 31, also has all that took longer (it begins at 18
/// minutes). Not in Node; the nearest is `perf_hooks`' [`Histogram`].
///
/// ```
/// use std::time::Duration;
/// use halfclose::{EventLoop, EventLoopOptions, set_timeout};
///
/// let mut event_loop = EventLoop::with_options(EventLoopOptions::new().measure_callbacks(true))?;
/// set_timeout(Duration::from_millis(1), || {});
/// event_loop.run()?;
/// let lengths = event_loop.stats().callback_lengths;
/// assert_eq!(lengths.count(), 1);
/// assert!(lengths.longest > Duration::ZERO);
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`Histogram`]: https://nodejs.org/api/perf_hooks.html#class-histogram
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Histogram {
    /// How many lengths each bucket has.
    pub buckets: [u64; Histogram::BUCKETS],
    /// The longest of all, to the nanosecond.
    pub longest: Duration,
}

impl Histogram {
    /// How many buckets there are: 32 reach from a microsecond to the better part of an hour, which is as good as for ever
    /// for a loop that serves anybody.
    pub const BUCKETS: usize = 32;

    /// How many lengths were counted. Not in Node.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Where bucket `index` ends: all that it has took less than this. The last one has no end, [`Duration::MAX`]; so has
    /// an index that is no bucket's. Not in Node.
    pub fn end_of(index: usize) -> Duration {
        if index < Self::BUCKETS - 1 { Duration::from_nanos(1 << (UNIT + index)) } else { Duration::MAX }
    }
}

/// What a [`Histogram`] is made of, in the form in which one more length costs the least: powers of two of nanoseconds.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Lengths {
    buckets: [u64; u64::BITS as usize],
    longest: u64,
}

impl Default for Lengths {
    fn default() -> Lengths {
        Lengths { buckets: [0; u64::BITS as usize], longest: 0 }
    }
}

impl Lengths {
    /// Counts one length, in nanoseconds.
    #[inline(always)]
    pub(crate) fn add(&mut self, nanoseconds: u64) {
        self.buckets[(nanoseconds | 1).ilog2() as usize] += 1;
        if nanoseconds > self.longest {
            self.longest = nanoseconds;
        }
    }

    pub(crate) fn histogram(&self) -> Histogram {
        let mut buckets = [0; Histogram::BUCKETS];
        for (power, count) in self.buckets.iter().enumerate() {
            buckets[power.saturating_sub(UNIT - 1).min(Histogram::BUCKETS - 1)] += count;
        }
        Histogram { buckets, longest: Duration::from_nanos(self.longest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_in_the_bucket_that_ends_behind_it() {
        for length in [0, 1, 2, 1_023, 1_024, 2_047, 2_048, 4_095, 4_096, 1_000_000, 1 << 40, u64::MAX / 2, u64::MAX] {
            let mut lengths = Lengths::default();
            lengths.add(length);
            let (histogram, length) = (lengths.histogram(), Duration::from_nanos(length));
            let bucket = histogram.buckets.iter().position(|&count| count == 1).unwrap();
            assert!(length < Histogram::end_of(bucket), "{length:?} in {bucket}");
            assert!(bucket == 0 || length >= Histogram::end_of(bucket - 1), "{length:?} in {bucket}");
            assert_eq!((histogram.count(), histogram.longest), (1, length));
        }
    }

    #[test]
    fn the_longest_is_kept() {
        let mut lengths = Lengths::default();
        for nanoseconds in [3_000, 9_000, 5_000] {
            lengths.add(nanoseconds);
        }
        let histogram = lengths.histogram();
        assert_eq!(histogram.longest, Duration::from_micros(9));
        assert_eq!(histogram.buckets[2..5], [1, 1, 1]);
        assert_eq!(histogram.count(), 3);
    }
}
