//! Medians, bootstrap confidence intervals, and what may be claimed from them.
//!
//! May touch: nothing. Invariant: the same samples give the same interval, because the resampling has a fixed seed; no
//! claim is finer than what two processes of the same program differ by.

use crate::random::Random;

/// How often the samples are drawn again. Enough for the ends of a 95 % interval to stand still in their third digit.
const RESAMPLES: usize = 2_000;

/// The share of the resampled medians that lies outside of the interval, on each side.
const TAIL: f64 = 0.025;

/// Where the resampling starts: any number but zero, the same on every run.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A median and the 95 % interval it lies in.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Interval {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// The percentile bootstrap of the median; `None` without samples.
    pub fn of(samples: &[f64]) -> Option<Interval> {
        let median = median(&mut samples.to_vec())?;
        let mut random = Random::new(SEED);
        let mut medians = Vec::with_capacity(RESAMPLES);
        let mut drawn = vec![0.0; samples.len()];
        for _ in 0..RESAMPLES {
            drawn.fill_with(|| samples[random.below(samples.len())]);
            medians.extend(self::median(&mut drawn));
        }
        medians.sort_by(f64::total_cmp);
        Some(Interval { median, low: quantile(&medians, TAIL)?, high: quantile(&medians, 1.0 - TAIL)? })
    }

    /// How far from 1 the interval of a ratio reaches.
    pub fn reach(self) -> f64 {
        (self.low - 1.0).abs().max((self.high - 1.0).abs())
    }
}

/// What may be said about a ratio to the reference.
#[derive(Copy, Clone, PartialEq, Debug)]
pub enum Verdict {
    /// The interval and the resolution both leave 1 out: this much more (positive) or less.
    Differs(f64),
    /// The interval holds 1, or the difference is below what the A/A pairs resolve; and no larger difference than this
    /// share hides in it.
    Same { within: f64 },
    /// The A/A pairs differ by more than the claim would: nothing is said.
    Refused { resolution: f64 },
}

/// Judges the ratio of a server to the reference. `resolution` is how far from 1 the intervals of the A/A pairs reach.
///
/// A difference is claimed when the interval leaves 1 out and the median is further from 1 than the resolution.
/// Equality is claimed within the wider of the two. Where the interval leaves 1 out but the resolution is coarser than
/// the median, there would be a claim that the A/A pairs do not support: it is refused.
pub fn judge(ratio: Interval, resolution: f64) -> Verdict {
    let leaves_one_out = ratio.low > 1.0 || ratio.high < 1.0;
    let claim = (ratio.median - 1.0).abs();
    if leaves_one_out && claim > resolution {
        Verdict::Differs(ratio.median - 1.0)
    } else if leaves_one_out {
        Verdict::Refused { resolution }
    } else {
        Verdict::Same { within: ratio.reach().max(resolution) }
    }
}

/// Whether a ratio stays below a limit: `None` when the A/A pairs do not resolve the distance that the limit is from 1.
pub fn keeps(limit: f64, ratio: Interval, resolution: f64) -> Option<bool> {
    (resolution <= limit - 1.0).then_some(ratio.high <= limit)
}

/// The middle of the samples, which are sorted by it; `None` without samples.
pub fn median(samples: &mut [f64]) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    let upper = *samples.get(middle)?;
    Some(if samples.len() % 2 == 1 { upper } else { (samples[middle - 1] + upper) / 2.0 })
}

/// The value below which `part` of the sorted samples lie; `None` without samples.
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = (last as f64 * part.clamp(0.0, 1.0)).round() as usize;
    Some(sorted[place])
}
