//! The cover against a plain list of intervals, and its costs, counted in comparisons.
//!
//! It may touch the cover's insides. Invariant: random numbers come from a seed that a failure prints.

use std::cell::Cell;
use std::cmp::Ordering;

use super::Cover;

/// A point that counts how often it is compared.
#[derive(Clone, Copy)]
struct Counted<'a> {
    value: u64,
    comparisons: &'a Cell<u64>,
}

impl Ord for Counted<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.comparisons.set(self.comparisons.get() + 1);
        self.value.cmp(&other.value)
    }
}

impl PartialOrd for Counted<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Counted<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Counted<'_> {}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Every record lies within no other interval, and every interval within a record.
#[track_caller]
fn assert_records(cover: &Cover<u64>, seed: u64) {
    let records: Vec<(u64, u64)> = cover.records.iter().map(|(&first, &last)| (first, last)).collect();
    assert!(records.windows(2).all(|pair| pair[0].1 < pair[1].1), "seed {seed}: {records:?}");
    for &(first, last) in cover.intervals.keys() {
        assert!(records.iter().any(|record| record.0 <= first && last <= record.1), "seed {seed}: {first}-{last}");
    }
    assert!(records.iter().all(|record| cover.intervals.contains_key(record)), "seed {seed}: {records:?}");
}

/// Intervals that overlap, nest and repeat, inserted and removed at random.
#[test]
fn answers_as_a_list_does() {
    for seed in 1..=200_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (mut cover, mut list) = (Cover::new(), Vec::new());
        for _ in 0..200 {
            let (one, other) = (random(&mut state) % 24, random(&mut state) % 24);
            let interval = (one.min(other), one.max(other));
            if random(&mut state) % 5 < 3 {
                cover.insert(interval.0, interval.1);
                list.push(interval);
            } else {
                // Often one that is there, and sometimes one that is not.
                let known = list.get(random(&mut state) as usize % (list.len() + 1)).copied();
                let (first, last) = known.unwrap_or(interval);
                cover.remove(first, last);
                if let Some(place) = list.iter().position(|known| *known == (first, last)) {
                    list.remove(place);
                }
            }
            assert_records(&cover, seed);
            for point in 0..24 {
                let expected = list.iter().any(|&(first, last)| first <= point && point <= last);
                assert_eq!(cover.contains(point), expected, "seed {seed}, point {point}, list {list:?}");
            }
        }
    }
}

/// An interval from its number and the number of all.
type Shape = fn(u64, u64) -> (u64, u64);

/// How many comparisons the most expensive of a thousand questions takes, with `count` intervals of a shape.
fn most_comparisons(count: u64, interval: Shape) -> u64 {
    let comparisons = Cell::new(0);
    let point = |value| Counted { value, comparisons: &comparisons };
    let mut cover = Cover::new();
    for index in 0..count {
        let (first, last) = interval(index, count);
        cover.insert(point(first), point(last));
    }
    let mut most = 0;
    for question in 0..1_000 {
        comparisons.set(0);
        cover.contains(point(question * 4 * count / 1_000));
        most = most.max(comparisons.get());
    }
    most
}

/// A question costs the depth of an ordered map, not the number of intervals, whatever these look like.
#[test]
fn a_question_takes_logarithmically_many_comparisons() {
    let shapes: [(&str, Shape); 4] = [
        ("side by side", |index, _| (4 * index, 4 * index + 2)),
        ("nested", |index, count| (index, 4 * count - index)),
        ("overlapping", |index, count| (index, index + count)),
        ("the widest last", |index, count| (2 * count - index, 2 * count + index)),
    ];
    for (name, interval) in shapes {
        for count in [1_000_u64, 10_000, 100_000] {
            // A node of std's map holds 5 to 11 keys: at most 11 comparisons at each of log6(n) levels, and some to
            // make the range and to compare the end.
            let levels = count.ilog(6) + 1;
            let limit = u64::from(levels) * 11 + 8;
            let most = most_comparisons(count, interval);
            assert!(most <= limit, "{name}, {count} intervals: {most} comparisons, more than {limit}");
        }
    }
}

/// Inserting does not look at every interval either: the records that it takes away were paid for when they came.
#[test]
fn inserting_takes_logarithmically_many_comparisons_each() {
    let comparisons = Cell::new(0);
    let point = |value| Counted { value, comparisons: &comparisons };
    let mut cover = Cover::new();
    let count = 100_000;
    for index in 0..count {
        cover.insert(point(2 * index), point(2 * index + 1));
    }
    cover.insert(point(0), point(2 * count));
    assert_eq!(cover.records.len(), 1);
    let each = comparisons.get() / count;
    // Two maps and three look-ups of up to 75 comparisons, and one removal.
    assert!(each <= 400, "{each} comparisons for each interval");
}

/// What a wide interval hid is back when it goes, and only then.
#[test]
fn a_removed_interval_uncovers_what_lay_within() {
    let mut cover = Cover::new();
    for (first, last) in [(10, 20), (12, 14), (13, 15), (18, 30), (10, 20)] {
        cover.insert(first, last);
    }
    cover.remove(10, 20);
    assert!(cover.contains(11), "one of the two is left");
    cover.remove(10, 20);
    let inside: Vec<u64> = (0..40).filter(|&point| cover.contains(point)).collect();
    assert_eq!(inside, [vec![12, 13, 14, 15], (18..=30).collect()].concat());
    cover.remove(12, 15);
    assert!(cover.contains(12), "an interval that was never inserted takes nothing away");
}
