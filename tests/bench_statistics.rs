//! The statistics that the benchmarks' claims rest on, held against samples whose answers are known.
//!
//! May touch: `benches/compare/statistics.rs`, and nothing else of the benchmarks; random numbers. Invariant: no test depends
//! on how fast anything is.

#[path = "support/random.rs"]
mod random;
#[path = "../benches/compare/statistics.rs"]
mod statistics;

use random::Random;
use statistics::{Interval, Verdict, judge, keeps, median, quantile};

#[test]
fn medians_are_the_middle() {
    assert_eq!(median(&mut []), None);
    assert_eq!(median(&mut [7.0]), Some(7.0));
    assert_eq!(median(&mut [9.0, 1.0, 5.0]), Some(5.0));
    assert_eq!(median(&mut [4.0, 1.0, 3.0, 100.0]), Some(3.5));
}

#[test]
fn quantiles_are_samples() {
    let sorted: Vec<f64> = (0..=100).map(f64::from).collect();
    assert_eq!(quantile(&[], 0.5), None);
    assert_eq!(quantile(&sorted, 0.0), Some(0.0));
    assert_eq!(quantile(&sorted, 0.99), Some(99.0));
    assert_eq!(quantile(&sorted, 1.0), Some(100.0));
}

/// Samples that are all alike leave no doubt.
#[test]
fn equal_samples_have_a_point_for_an_interval() {
    let interval = Interval::of(&[1.25; 9]).expect("samples");
    assert_eq!(interval, Interval { median: 1.25, low: 1.25, high: 1.25 });
    assert_eq!(Interval::of(&[]), None);
}

/// For 25 samples the order statistics that bound the median with at least 95 % are the 8th and the 18th (binomial
/// distribution: 0.957); the bootstrap comes out at them or next to them.
#[test]
fn the_interval_agrees_with_the_binomial_distribution() {
    let samples: Vec<f64> = (1..=25).map(f64::from).collect();
    let interval = Interval::of(&samples).expect("samples");
    assert_eq!(interval.median, 13.0);
    assert!((7.0..=9.0).contains(&interval.low), "{interval:?}");
    assert!((17.0..=19.0).contains(&interval.high), "{interval:?}");
}

/// The order of the samples means nothing, and the same samples give the same answer.
#[test]
fn intervals_do_not_depend_on_chance() {
    let samples: Vec<f64> = (0..31).map(|number| f64::from(number * 7 % 31)).collect();
    assert_eq!(Interval::of(&samples), Interval::of(&samples));
    assert_eq!(Interval::of(&samples).map(|interval| interval.median), Some(15.0));
}

/// A 95 % interval holds the true median in about 95 of 100 experiments: here of uniform samples around 1.
#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let mut random = Random::new(1);
    let experiments = 400;
    let held = (0..experiments).filter(|_| {
        let samples: Vec<f64> = (0..25).map(|_| 0.9 + random.below(200_001) as f64 / 1e6).collect();
        let interval = Interval::of(&samples).expect("samples");
        interval.low <= 1.0 && 1.0 <= interval.high
    });
    let share = held.count() as f64 / f64::from(experiments);
    assert!((0.90..=0.99).contains(&share), "{share}");
}

#[test]
fn differences_are_claimed_only_when_they_are_resolved() {
    let five_more = Interval { median: 1.05, low: 1.04, high: 1.06 };
    assert_eq!(judge(five_more, 0.01), Verdict::Differs(1.05 - 1.0));
    // The same program twice differs by more than that: no claim.
    assert_eq!(judge(five_more, 0.08), Verdict::Refused { resolution: 0.08 });
    let ten_less = Interval { median: 0.90, low: 0.88, high: 0.93 };
    assert_eq!(judge(ten_less, 0.01), Verdict::Differs(0.90 - 1.0));
}

#[test]
fn equality_is_claimed_within_what_could_hide() {
    let ratio = Interval { median: 1.0, low: 0.99, high: 1.03 };
    let Verdict::Same { within } = judge(ratio, 0.01) else { panic!("the interval holds 1") };
    assert!((within - 0.03).abs() < 1e-9, "as wide as the interval: {within}");
    assert_eq!(judge(ratio, 0.2), Verdict::Same { within: 0.2 });
}

#[test]
fn limits_are_judged_only_when_they_are_resolved() {
    let ratio = Interval { median: 1.01, low: 1.0, high: 1.015 };
    assert_eq!(keeps(1.02, ratio, 0.005), Some(true));
    assert_eq!(keeps(1.01, ratio, 0.005), Some(false));
    assert_eq!(keeps(1.02, ratio, 0.03), None, "the same program twice differs by more than the limit allows");
}

/// Shuffling keeps every item, and puts each at each place about equally often.
#[test]
fn shuffles_are_fair() {
    let mut random = Random::new(42);
    let mut firsts = [0_u32; 5];
    for _ in 0..5_000 {
        let mut items = [0_usize, 1, 2, 3, 4];
        random.shuffle(&mut items);
        firsts[items[0]] += 1;
        items.sort_unstable();
        assert_eq!(items, [0, 1, 2, 3, 4]);
    }
    // 1,000 each, with a standard deviation of 28.
    assert!(firsts.iter().all(|count| (850..=1150).contains(count)), "{firsts:?}");
}
