//! A set of intervals that answers one question fast: is this point in any of them?
//!
//! It may touch std's collections, nothing else; it knows nothing of addresses, only of an order.
//!
//! Subnets and ranges are both intervals of addresses, so one structure serves both, and needs neither a trie for the
//! first nor a tree with augmented nodes for the second. The thought: a point lies in some interval if and only if it
//! does not lie behind the *furthest end* of all intervals that begin at or before it. That furthest end changes only
//! with an interval that reaches beyond all those before it, a *record*; what is no record lies within one. So the
//! records alone, in an ordered map, answer the question with one look-up, however the intervals overlap.
//!
//! | operation | cost, with n intervals |
//! |---|---|
//! | `contains` | one look-up in an ordered map: O(log n) |
//! | `insert` | O(log n), and each record that it outdoes is taken away once |
//! | `remove` | O(log n), and for a record a walk over the intervals within it, which may become records again |
//!
//! Invariants: `intervals` holds every interval with the number of times it was inserted, at least 1; `records` holds,
//! by their first points, exactly those that lie within no other, so that last points rise with first points.

use std::collections::BTreeMap;

/// A multiset of closed intervals.
#[derive(Clone)]
pub(super) struct Cover<Point> {
    intervals: BTreeMap<(Point, Point), usize>,
    records: BTreeMap<Point, Point>,
}

impl<Point: Copy + Ord> Cover<Point> {
    pub(super) const fn new() -> Self {
        Self { intervals: BTreeMap::new(), records: BTreeMap::new() }
    }

    pub(super) fn contains(&self, point: Point) -> bool {
        self.furthest_before_or_at(point).is_some_and(|furthest| furthest >= point)
    }

    /// Adds the interval from `first` to `last`, both of them in it. `first` is not greater than `last`.
    pub(super) fn insert(&mut self, first: Point, last: Point) {
        let count = self.intervals.entry((first, last)).or_insert(0);
        *count += 1;
        if *count > 1 || self.furthest_before_or_at(first).is_some_and(|furthest| furthest >= last) {
            return;
        }
        // The bound: each record is taken away once for each time that it was inserted.
        while let Some((&outdone, _)) = self.records.range(first..).next().filter(|(_, end)| **end <= last) {
            self.records.remove(&outdone);
        }
        self.records.insert(first, last);
    }

    /// Takes one instance of exactly this interval away; nothing happens when there is none.
    pub(super) fn remove(&mut self, first: Point, last: Point) {
        let Some(count) = self.intervals.get_mut(&(first, last)) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.intervals.remove(&(first, last));
        if self.records.get(&first) != Some(&last) {
            return;
        }
        self.records.remove(&first);
        self.find_records_from(first);
    }

    /// Finds the records among the intervals that begin at or behind `first` and before the next record. Those behind
    /// it are settled by that one: it reaches further than anything that was taken away before it.
    fn find_records_from(&mut self, first: Point) {
        let next = self.records.range(first..).next().map(|(&next, _)| next);
        let mut furthest = self.furthest_before_or_at(first);
        // No interval sorts before the one that ends where it begins, so this is the least of those that begin here.
        // The bound: the number of intervals.
        for (&(start, end), _) in self.intervals.range((first, first)..) {
            if next.is_some_and(|next| start >= next) {
                break;
            }
            if furthest.is_none_or(|furthest| end > furthest) {
                furthest = Some(end);
                // One that begins at the same point and ends earlier is replaced by this.
                self.records.insert(start, end);
            }
        }
    }

    /// The furthest end of the intervals that begin at or before `point`.
    fn furthest_before_or_at(&self, point: Point) -> Option<Point> {
        self.records.range(..=point).next_back().map(|(_, &end)| end)
    }
}

#[cfg(test)]
mod tests;
