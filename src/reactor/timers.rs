//! Node's timer lists, as a pure data structure: it decides which timer is due next, and nothing else.
//!
//! It may touch `slab`, the collections of `std` and the type [`Time`]. It reads no clock, makes no system call and
//! calls no user code; every moment comes in as an argument.
//!
//! Timers of equal duration form one list in arming order, and a queue orders the lists by (expiry, list id). A list
//! whose turn has come is served whole, as far as its timers are due, before the next one (TM3). Refreshing a timer
//! therefore moves it within its list and leaves the queue alone: the list is looked at again when its old expiry
//! comes, and is then queued for the first timer that it really holds.
//!
//! Invariants, true after every call and so also when a callback between two [`Timers::pop_due`] panics:
//! - A list's expiry is never later than the moment its first timer is due, unless [`Timers::arm`] put that timer
//!   behind later starts, which then went away. It may be earlier, after a cancel or a refresh; then the list is queued
//!   again when its turn comes.
//! - Every list is in the queue exactly once, and `next` is the queue's first place.
//! - At most one list of a duration is shared (found through `by_duration`); an unshared list holds one timer.
//! - A list is empty only between the pop of its last timer and the next `pop_due`, or the removal of that timer.
//!   It waits there because a callback that arms its own duration again must find it, as in Node.
//! - No position is remembered between two calls: callbacks may insert, remove or refresh anything.
//! - A key of a removed timer matches no entry, and every call with it does nothing.
//!
//! One difference from Node: there, cancelling the last timer of a list leaves the empty list queued if that timer was
//! unreferenced. Here no cancel leaves an empty list behind, so unused durations cost neither memory nor wakeups.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::Duration;

use slab::Slab;

use crate::sys::Time;

/// A shorter duration counts as this one (TM1).
const MINIMUM_DURATION: Duration = Duration::from_millis(1);

/// How far [`Timers::arm_at`] walks before it gives the timer a list of its own. A walk of this length costs about as
/// much as the queue operation that replaces it, so peers cannot make re-arming linear in the number of connections.
const WALK_LIMIT: usize = 32;

/// The end of a list, and the list of a timer that is in none. No index reaches it: keys have 24 bits for theirs.
const NONE: u32 = u32::MAX;

/// All timers of one loop. `K` says what a timer is for; it is handed back when the timer is due.
pub(crate) struct Timers<K: Copy> {
    entries: Slab<Entry<K>>,
    lists: Slab<List>,
    /// The shared lists. A tree, because durations may come from outside and a keyed hash would need random numbers.
    by_duration: BTreeMap<Duration, u32>,
    queue: BTreeSet<Place>,
    /// The first place of the queue: asked for in every turn, changed only together with the queue.
    next: Option<Place>,
    next_list_id: u64,
    referenced_count: usize,
    /// The moment of the current or latest timer phase.
    now: Time,
}

impl<K: Copy> Timers<K> {
    pub(crate) fn new() -> Self {
        Timers {
            entries: Slab::new(),
            lists: Slab::new(),
            by_duration: BTreeMap::new(),
            queue: BTreeSet::new(),
            next: None,
            next_list_id: 0,
            referenced_count: 0,
            now: Time::ZERO,
        }
    }

    /// Creates a timer, armed at `now`. `generation` must grow from call to call; its low 40 bits count.
    ///
    /// # Panics
    ///
    /// With 2^24 - 1 timers alive, before anything is changed. Peers cannot cause it: a connection has a few
    /// timers and needs a descriptor, of which a process has far fewer.
    pub(crate) fn insert(
        &mut self,
        generation: u64,
        duration: Duration,
        kind: K,
        referenced: bool,
        now: Time,
    ) -> TimerKey {
        let vacant = self.entries.vacant_entry();
        let index = u32::try_from(vacant.key()).unwrap_or(NONE);
        assert!(index < TimerKey::INDEX_LIMIT, "more than 2^24 - 1 timers");
        let key = TimerKey::new(index, generation);
        vacant.insert(Entry {
            key,
            kind,
            duration: duration.max(MINIMUM_DURATION),
            start: now,
            previous: NONE,
            next: NONE,
            list: NONE,
            referenced,
        });
        self.arm(key, now);
        key
    }

    /// Cancels a timer and forgets it.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<K> {
        let entry = self.entry(key)?;
        let (kind, duration, list) = (entry.kind, entry.duration, entry.list);
        if list != NONE {
            self.unlink(key.index());
            self.free_if_empty(list);
        } else if let Some(&served) = self.by_duration.get(&duration) {
            // The timer may be the last one that its list served. Nobody will refresh it any more.
            self.free_if_empty(served);
        }
        self.entries.remove(key.index() as usize);
        Some(kind)
    }

    /// How many timers there are, armed or not.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What the timer is for; `None` once it was removed.
    pub(crate) fn kind(&self, key: TimerKey) -> Option<K> {
        self.entry(key).map(|entry| entry.kind)
    }

    fn contains(&self, key: TimerKey) -> bool {
        self.entry(key).is_some()
    }

    /// Takes the timer out of its list and keeps it for a later `arm`.
    pub(crate) fn disarm(&mut self, key: TimerKey) {
        if let Some(list) = self.entry(key).map(|entry| entry.list).filter(|&list| list != NONE) {
            self.unlink(key.index());
            self.free_if_empty(list);
        }
    }

    /// Arms the timer at the tail of its list, from wherever it is: Node's `refresh()` with `start` the time now (TM5),
    /// and the repeat of an interval with `start` the moment its callback began (TM4).
    ///
    /// Timers ahead in the list that started later than `start` delay this one, as they do in Node. For a start that
    /// lies well in the past there is [`Timers::arm_at`].
    pub(crate) fn arm(&mut self, key: TimerKey, start: Time) {
        if self.contains(key) {
            let list = self.leave_for_shared_list(key.index(), start);
            self.link_after(key.index(), list, self.list(list).tail, start);
        }
    }

    /// Arms the timer at its place in the order of starts.
    ///
    /// This is for idle deadlines. Activity only stores a time stamp; the timer expires, finds a newer stamp and starts
    /// again from it, a moment in the past. At the tail it would wait behind timers that started after it, and
    /// fire late by up to its whole duration.
    pub(crate) fn arm_at(&mut self, key: TimerKey, start: Time) {
        let Some(duration) = self.duration(key) else {
            return;
        };
        let list = self.leave_for_shared_list(key.index(), start);
        let mut after = self.list(list).tail;
        let mut steps = 0;
        while after != NONE && self.at(after).start > start {
            if steps == WALK_LIMIT {
                let own = self.new_list(duration, start.saturating_add(duration), false);
                self.link_after(key.index(), own, NONE, start);
                return;
            }
            after = self.at(after).previous;
            steps += 1;
        }
        self.link_after(key.index(), list, after, start);
    }

    /// Counts from the next `arm` on; a timer that is armed keeps its due time.
    pub(crate) fn set_duration(&mut self, key: TimerKey, duration: Duration) {
        if let Some(entry) = self.entry_mut(key) {
            entry.duration = duration.max(MINIMUM_DURATION);
        }
    }

    pub(crate) fn duration(&self, key: TimerKey) -> Option<Duration> {
        self.entry(key).map(|entry| entry.duration)
    }

    /// Whether the timer keeps the loop alive while it is armed.
    pub(crate) fn set_referenced(&mut self, key: TimerKey, referenced: bool) {
        let Some(entry) = self.entry_mut(key) else {
            return;
        };
        let counted = entry.counted();
        entry.referenced = referenced;
        match (counted, entry.counted()) {
            (false, true) => self.referenced_count += 1,
            (true, false) => self.referenced_count -= 1,
            (false, false) | (true, true) => {}
        }
    }

    pub(crate) fn referenced(&self, key: TimerKey) -> bool {
        self.entry(key).is_some_and(|entry| entry.referenced)
    }

    pub(crate) fn armed(&self, key: TimerKey) -> bool {
        self.entry(key).is_some_and(|entry| entry.list != NONE)
    }

    /// The moment the timer was last armed for.
    pub(crate) fn start(&self, key: TimerKey) -> Option<Time> {
        self.entry(key).map(|entry| entry.start)
    }

    /// The number of timers that are armed and referenced: while there is one, the loop is alive.
    pub(crate) fn referenced_count(&self) -> usize {
        self.referenced_count
    }

    /// When to begin the next timer phase. No timer is due earlier; perhaps none is due even then, because a cancel
    /// or a refresh leaves its list queued for the old moment.
    pub(crate) fn next_expiry(&self) -> Option<Time> {
        self.next.map(|place| place.expiry)
    }

    /// Begins a timer phase, or continues one that a panic interrupted or whose clock advanced.
    pub(crate) fn begin(&mut self, now: Time) {
        self.now = now;
    }

    /// The next timer that is due at the `now` of this phase. It is disarmed, and stays until `remove`.
    ///
    /// A timer armed with a start of `now` or later has at least a millisecond to wait, so it never joins the phase
    /// that armed it, and a phase ends. Every round of the loop frees a list or queues it beyond `now`: there are at
    /// most as many rounds as lists.
    pub(crate) fn pop_due(&mut self) -> Option<(TimerKey, K)> {
        while let Some(place) = self.next {
            if place.expiry > self.now {
                return None;
            }
            let list = self.list(place.list);
            let (head, duration, shared) = (list.head, list.duration, list.shared);
            if head == NONE {
                self.free_if_empty(place.list);
                continue;
            }
            let Entry { key, kind, start, .. } = *self.at(head);
            let due = start.saturating_add(duration);
            if due > self.now {
                self.requeue(place.list, due);
                continue;
            }
            self.unlink(head);
            if !shared {
                self.free_if_empty(place.list);
            }
            return Some((key, kind));
        }
        None
    }

    fn entry(&self, key: TimerKey) -> Option<&Entry<K>> {
        self.entries.get(key.index() as usize).filter(|entry| entry.key == key)
    }

    fn entry_mut(&mut self, key: TimerKey) -> Option<&mut Entry<K>> {
        self.entries.get_mut(key.index() as usize).filter(|entry| entry.key == key)
    }

    fn at(&self, index: u32) -> &Entry<K> {
        &self.entries[index as usize]
    }

    fn at_mut(&mut self, index: u32) -> &mut Entry<K> {
        &mut self.entries[index as usize]
    }

    fn list(&self, list: u32) -> &List {
        &self.lists[list as usize]
    }

    fn list_mut(&mut self, list: u32) -> &mut List {
        &mut self.lists[list as usize]
    }

    /// Finds or makes the shared list of the timer's duration, and takes the timer out of the list it is in. In this
    /// order: a timer alone in its list that is refreshed must find the same list, still queued.
    fn leave_for_shared_list(&mut self, index: u32, start: Time) -> u32 {
        let Entry { duration, list: current, .. } = *self.at(index);
        if current != NONE && self.list(current).shared && self.list(current).duration == duration {
            self.unlink(index);
            return current;
        }
        let target = match self.by_duration.get(&duration) {
            Some(&list) => list,
            None => self.new_list(duration, start.saturating_add(duration), true),
        };
        if current != NONE {
            self.unlink(index);
            self.free_if_empty(current);
        }
        target
    }

    fn link_after(&mut self, index: u32, list: u32, after: u32, start: Time) {
        let before = if after == NONE { self.list(list).head } else { self.at(after).next };
        let entry = self.at_mut(index);
        entry.start = start;
        entry.list = list;
        entry.previous = after;
        entry.next = before;
        let counted = entry.counted();
        self.referenced_count += usize::from(counted);
        self.set_next(list, after, index);
        self.set_previous(list, before, index);

        let due = start.saturating_add(self.list(list).duration);
        if after == NONE && due < self.list(list).expiry {
            self.requeue(list, due);
        }
    }

    /// Takes an armed timer out of its list, and leaves the list alone even if it is empty now.
    fn unlink(&mut self, index: u32) {
        let entry = self.at_mut(index);
        let counted = entry.counted();
        let (list, previous, next) = (entry.list, entry.previous, entry.next);
        entry.list = NONE;
        entry.previous = NONE;
        entry.next = NONE;
        self.referenced_count -= usize::from(counted);
        self.set_next(list, previous, next);
        self.set_previous(list, next, previous);
    }

    fn set_next(&mut self, list: u32, of: u32, next: u32) {
        if of == NONE {
            self.list_mut(list).head = next;
        } else {
            self.at_mut(of).next = next;
        }
    }

    fn set_previous(&mut self, list: u32, of: u32, previous: u32) {
        if of == NONE {
            self.list_mut(list).tail = previous;
        } else {
            self.at_mut(of).previous = previous;
        }
    }

    fn new_list(&mut self, duration: Duration, expiry: Time, shared: bool) -> u32 {
        let id = self.take_list_id();
        let list = self.lists.insert(List { duration, expiry, id, head: NONE, tail: NONE, shared });
        // A list has a timer, or just had one: there are fewer than twice 2^24 of them.
        let list = list as u32;
        if shared {
            self.by_duration.insert(duration, list);
        }
        self.queue.insert(Place { expiry, id, list });
        self.next = self.queue.first().copied();
        list
    }

    fn free_if_empty(&mut self, list: u32) {
        if self.list(list).head != NONE {
            return;
        }
        let List { duration, expiry, id, shared, .. } = self.lists.remove(list as usize);
        if shared {
            self.by_duration.remove(&duration);
        }
        self.queue.remove(&Place { expiry, id, list });
        self.next = self.queue.first().copied();
    }

    /// Node takes the later of `expiry` and the moment after now; a timer that is not due yet satisfies that by itself.
    fn requeue(&mut self, list: u32, expiry: Time) {
        let id = self.take_list_id();
        let moved = self.list_mut(list);
        let old = Place { expiry: moved.expiry, id: moved.id, list };
        moved.expiry = expiry;
        moved.id = id;
        self.queue.remove(&old);
        self.queue.insert(Place { expiry, id, list });
        self.next = self.queue.first().copied();
    }

    fn take_list_id(&mut self) -> u64 {
        let id = self.next_list_id;
        // 64 bits last for centuries at one list per nanosecond.
        self.next_list_id += 1;
        id
    }
}

/// Names one timer for ever: 40 bits of generation, then 24 bits of index plus one, so that no key is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TimerKey(NonZeroU64);

impl TimerKey {
    const INDEX_BITS: u32 = 24;
    const INDEX_LIMIT: u32 = (1 << Self::INDEX_BITS) - 1;

    fn new(index: u32, generation: u64) -> Self {
        TimerKey(NonZeroU64::MIN.saturating_add(u64::from(index)) | (generation << Self::INDEX_BITS))
    }

    fn index(self) -> u32 {
        (self.0.get() as u32 & Self::INDEX_LIMIT) - 1
    }
}

/// One timer. Links are 32-bit indices instead of options to keep an armed timer within a cache line.
struct Entry<K> {
    key: TimerKey,
    kind: K,
    duration: Duration,
    start: Time,
    previous: u32,
    next: u32,
    /// The list it is armed in, or `NONE`.
    list: u32,
    referenced: bool,
}

impl<K> Entry<K> {
    fn counted(&self) -> bool {
        self.referenced && self.list != NONE
    }
}

/// Armed timers of one duration.
struct List {
    duration: Duration,
    expiry: Time,
    id: u64,
    head: u32,
    tail: u32,
    shared: bool,
}

/// Where a list stands in the queue: by expiry, and of equal ones the list queued first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    expiry: Time,
    id: u64,
    list: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn at(milliseconds: u64) -> Time {
        Time::ZERO.saturating_add(ms(milliseconds))
    }

    /// Timers with generations of their own, and names as kinds.
    struct Bench {
        timers: Timers<u64>,
        generation: u64,
    }

    impl Bench {
        fn new() -> Self {
            Bench { timers: Timers::new(), generation: 0 }
        }

        fn insert(&mut self, name: char, duration: Duration, now: Time) -> TimerKey {
            self.generation += 1;
            self.timers.insert(self.generation, duration, u64::from(name), true, now)
        }

        fn pop(&mut self) -> Option<char> {
            let popped = self.timers.pop_due().and_then(|(_, kind)| char::from_u32(kind as u32));
            self.timers.check();
            self.timers.check_expiries();
            popped
        }

        /// A whole phase in which callbacks do nothing.
        fn phase(&mut self, now: Time) -> String {
            self.timers.begin(now);
            std::iter::from_fn(|| self.pop()).collect()
        }

        fn is_empty(&self) -> bool {
            let Timers { entries, lists, by_duration, queue, next, referenced_count, .. } = &self.timers;
            let nothing_queued = lists.is_empty() && by_duration.is_empty() && queue.is_empty() && next.is_none();
            entries.is_empty() && nothing_queued && *referenced_count == 0
        }
    }

    impl<K: Copy> Timers<K> {
        /// The invariants that hold between any two calls.
        fn check(&self) {
            let mut linked = 0;
            let mut counted = 0;
            for (list, head) in &self.lists {
                let (mut previous, mut index, mut length) = (NONE, head.head, 0);
                while index != NONE {
                    let entry = self.at(index);
                    assert_eq!((entry.list as usize, entry.previous), (list, previous));
                    counted += usize::from(entry.referenced);
                    (previous, index, length) = (index, entry.next, length + 1);
                }
                assert_eq!(head.tail, previous);
                linked += length;
                assert!(self.queue.contains(&Place { expiry: head.expiry, id: head.id, list: list as u32 }));
                assert!(head.shared || length == 1);
                assert!(!head.shared || self.by_duration.get(&head.duration) == Some(&(list as u32)));
            }
            assert_eq!(linked, self.entries.iter().filter(|(_, entry)| entry.list != NONE).count());
            assert_eq!(counted, self.referenced_count);
            assert_eq!(self.queue.len(), self.lists.len());
            assert_eq!(self.by_duration.len(), self.lists.iter().filter(|(_, list)| list.shared).count());
            assert!(self.next == self.queue.first().copied());
        }

        /// Holds while nobody arms a timer behind later starts.
        fn check_expiries(&self) {
            for (_, list) in self.lists.iter().filter(|(_, list)| list.head != NONE) {
                assert!(list.expiry <= self.at(list.head).start.saturating_add(list.duration));
            }
        }
    }

    #[test]
    fn an_expired_list_is_served_whole_before_the_next() {
        let mut bench = Bench::new();
        bench.insert('A', ms(1), at(0));
        bench.insert('B', ms(2), at(0));
        bench.insert('C', ms(1), at(5));
        assert_eq!(bench.phase(at(10)), "ACB");
    }

    #[test]
    fn lists_of_equal_expiry_are_served_in_the_order_of_their_queueing() {
        let mut bench = Bench::new();
        bench.insert('a', ms(3), at(0));
        bench.insert('b', ms(2), at(1));
        bench.insert('c', ms(1), at(2));
        assert_eq!(bench.phase(at(3)), "abc");

        // The 5 ms list is queued again for 8 ms, behind the 2 ms list that was queued for the same moment earlier.
        let mut bench = Bench::new();
        bench.insert('a', ms(5), at(0));
        bench.insert('b', ms(5), at(3));
        bench.insert('c', ms(4), at(4));
        assert_eq!(bench.phase(at(5)), "a");
        assert_eq!(bench.timers.next_expiry(), Some(at(8)));
        assert_eq!(bench.phase(at(8)), "cb");
    }

    #[test]
    fn nothing_is_due_early_and_the_next_expiry_is_known() {
        let mut bench = Bench::new();
        assert_eq!(bench.timers.next_expiry(), None);
        bench.insert('a', Duration::from_micros(1500), at(10));
        let due = at(10).saturating_add(Duration::from_micros(1500));
        assert_eq!(bench.timers.next_expiry(), Some(due));
        assert_eq!(bench.phase(at(11)), "");
        assert_eq!(bench.phase(due), "a");
    }

    #[test]
    fn short_durations_count_as_one_millisecond_and_absurd_ones_saturate() {
        let mut bench = Bench::new();
        let short = bench.insert('s', Duration::ZERO, at(0));
        assert_eq!(bench.timers.duration(short), Some(ms(1)));
        bench.timers.set_duration(short, Duration::from_nanos(1));
        assert_eq!(bench.timers.duration(short), Some(ms(1)));
        let absurd = bench.insert('l', Duration::MAX, at(7));
        assert_eq!(bench.phase(at(0).saturating_add(100_000 * HOUR)), "s");
        assert!(bench.timers.armed(absurd));
        // At the end of time the phase still ends.
        let end = Time::ZERO.saturating_add(Duration::MAX);
        assert_eq!(bench.phase(end), "l");
        bench.timers.arm(absurd, end);
        assert_eq!(bench.pop(), Some('l'));
        assert_eq!(bench.pop(), None);
    }

    #[test]
    fn a_later_timer_of_the_same_list_can_be_cancelled_by_an_earlier_callback() {
        let mut bench = Bench::new();
        bench.insert('a', ms(1), at(0));
        let cancelled = bench.insert('b', ms(1), at(0));
        let disarmed = bench.insert('c', ms(1), at(0));
        bench.insert('d', ms(1), at(0));
        bench.timers.begin(at(1));
        assert_eq!(bench.pop(), Some('a'));
        assert_eq!(bench.timers.remove(cancelled), Some(u64::from('b')));
        bench.timers.disarm(disarmed);
        assert_eq!(bench.pop(), Some('d'));
        assert_eq!(bench.pop(), None);
        assert!(bench.timers.contains(disarmed) && !bench.timers.contains(cancelled));
    }

    #[test]
    fn a_timer_refreshed_in_its_own_callback_waits_its_whole_duration() {
        let mut bench = Bench::new();
        let key = bench.insert('a', ms(5), at(0));
        bench.timers.begin(at(6));
        assert_eq!(bench.pop(), Some('a'));
        assert!(!bench.timers.armed(key) && bench.timers.contains(key));
        bench.timers.arm(key, at(7));
        assert_eq!(bench.pop(), None);
        assert_eq!(bench.timers.next_expiry(), Some(at(12)));
        assert_eq!(bench.phase(at(11)), "");
        assert_eq!(bench.phase(at(12)), "a");
        bench.timers.remove(key);
        assert!(bench.is_empty());
    }

    #[test]
    fn an_interval_repeats_from_the_start_of_its_callback() {
        let mut bench = Bench::new();
        let key = bench.insert('i', ms(20), at(0));
        for fires in [20, 40, 60, 80] {
            assert_eq!(bench.phase(at(fires - 1)), "");
            bench.timers.begin(at(fires));
            assert_eq!(bench.pop(), Some('i'));
            bench.timers.arm(key, at(fires));
            // The callback took 15 ms.
            bench.timers.begin(at(fires + 15));
            assert_eq!(bench.pop(), None);
        }
    }

    #[test]
    fn refreshing_keeps_the_place_in_the_queue_until_the_list_is_looked_at() {
        let mut bench = Bench::new();
        let key = bench.insert('a', ms(10), at(0));
        bench.timers.arm(key, at(4));
        assert_eq!(bench.timers.next_expiry(), Some(at(10)));
        assert_eq!(bench.phase(at(10)), "");
        assert_eq!(bench.timers.next_expiry(), Some(at(14)));
        assert_eq!(bench.phase(at(14)), "a");
    }

    #[test]
    fn an_interrupted_phase_continues_where_it_stopped() {
        let mut bench = Bench::new();
        bench.insert('a', ms(1), at(0));
        bench.insert('b', ms(1), at(0));
        bench.insert('c', ms(2), at(0));
        bench.timers.begin(at(1));
        assert_eq!(bench.pop(), Some('a'));
        assert_eq!(bench.timers.next_expiry(), Some(at(1)));
        assert_eq!(bench.phase(at(2)), "bc");
    }

    #[test]
    fn arm_at_keeps_the_order_of_starts() {
        let mut bench = Bench::new();
        bench.insert('a', ms(10), at(0));
        bench.insert('b', ms(10), at(4));
        bench.insert('c', ms(10), at(8));
        let between = bench.insert('m', ms(10), at(9));
        bench.timers.arm_at(between, at(4));
        let first = bench.insert('f', ms(10), at(9));
        bench.timers.arm_at(first, at(0));
        let mut order = String::new();
        for now in 0..=20 {
            order += &bench.phase(at(now));
        }
        assert_eq!(order, "afbmc");

        // Before the head of a list that is queued for later: the list moves forward.
        let mut bench = Bench::new();
        bench.insert('z', ms(10), at(5));
        let early = bench.insert('e', ms(10), at(6));
        bench.timers.arm_at(early, at(1));
        assert_eq!(bench.timers.next_expiry(), Some(at(11)));
        assert_eq!(bench.phase(at(11)), "e");
    }

    #[test]
    fn arm_at_fires_on_time_behind_many_later_starts() {
        let mut bench = Bench::new();
        let later = 4 * WALK_LIMIT as u64;
        let keys: Vec<_> = (0..later).map(|start| bench.insert('l', HOUR, at(1000 + start))).collect();
        let early = bench.insert('e', HOUR, at(2000));
        bench.timers.arm_at(early, at(5));
        bench.timers.check();
        assert_eq!(bench.phase(at(5).saturating_add(HOUR)), "e");
        // A timer with a list of its own goes back to the shared one with a plain refresh.
        bench.timers.arm_at(early, at(6));
        assert_eq!(bench.timers.lists.len(), 2);
        bench.timers.arm(early, at(2000));
        assert_eq!(bench.timers.lists.len(), 1);
        bench.timers.remove(early);
        for key in keys {
            bench.timers.remove(key);
        }
        assert!(bench.is_empty());
    }

    #[test]
    fn references_count_only_while_armed() {
        let mut bench = Bench::new();
        let key = bench.insert('a', ms(1), at(0));
        assert_eq!(bench.timers.referenced_count(), 1);
        bench.timers.set_referenced(key, false);
        bench.timers.set_referenced(key, false);
        assert_eq!((bench.timers.referenced_count(), bench.timers.referenced(key)), (0, false));
        bench.timers.set_referenced(key, true);
        assert_eq!(bench.phase(at(1)), "a");
        assert_eq!((bench.timers.referenced_count(), bench.timers.referenced(key)), (0, true));
        bench.timers.arm(key, at(2));
        bench.timers.arm(key, at(3));
        assert_eq!(bench.timers.referenced_count(), 1);
        bench.timers.disarm(key);
        bench.timers.disarm(key);
        assert_eq!(bench.timers.referenced_count(), 0);
    }

    #[test]
    fn a_stale_key_is_inert() {
        let mut bench = Bench::new();
        let stale = bench.insert('a', ms(1), at(0));
        bench.timers.remove(stale);
        for round in 0..2 {
            bench.timers.arm(stale, at(9));
            bench.timers.arm_at(stale, at(9));
            bench.timers.disarm(stale);
            bench.timers.set_duration(stale, ms(9));
            bench.timers.set_referenced(stale, false);
            assert_eq!(bench.timers.remove(stale), None);
            assert_eq!((bench.timers.duration(stale), bench.timers.start(stale)), (None, None));
            assert!(!bench.timers.contains(stale) && !bench.timers.armed(stale) && !bench.timers.referenced(stale));
            bench.timers.check();
            if round == 0 {
                // The second round meets a newcomer in the same slot.
                let newcomer = bench.insert('b', ms(1), at(0));
                assert_eq!(newcomer.index(), stale.index());
            }
        }
        assert_eq!((bench.timers.referenced_count(), bench.phase(at(1)).as_str()), (1, "b"));
    }

    #[test]
    fn cancelling_a_hundred_thousand_timers_leaves_nothing() {
        let mut bench = Bench::new();
        let keys: Vec<_> = (0..100_000).map(|n| bench.insert('x', ms(1 + n % 1000), at(n / 100))).collect();
        assert_eq!((bench.timers.lists.len(), bench.timers.referenced_count()), (1000, 100_000));
        // 7919 has no factor in common with 100,000, so this visits every key, out of order.
        for n in 0..keys.len() {
            bench.timers.remove(keys[n * 7919 % keys.len()]);
        }
        assert!(bench.is_empty());
    }

    #[test]
    fn keys_and_entries_are_small() {
        assert_eq!(size_of::<Option<TimerKey>>(), 8);
        // The slab wraps an entry as an option does: the spare values of a field mark the vacant slot.
        assert!(size_of::<Option<Entry<u64>>>() <= 64);
        let last = TimerKey::new(TimerKey::INDEX_LIMIT - 1, u64::MAX);
        assert_eq!(last.index(), TimerKey::INDEX_LIMIT - 1);
        assert_eq!(TimerKey::new(0, 0).index(), 0);
    }

    /// The same rules, written down as naively as possible: vectors, searched from end to end.
    #[derive(Default)]
    struct Model {
        lists: Vec<ModelList>,
        next_id: u64,
    }

    struct ModelList {
        duration: Duration,
        expiry: Time,
        id: u64,
        shared: bool,
        timers: Vec<(TimerKey, Time)>,
    }

    impl Model {
        fn id(&mut self) -> u64 {
            self.next_id += 1;
            self.next_id
        }

        fn list_of(&self, key: TimerKey) -> Option<usize> {
            self.lists.iter().position(|list| list.timers.iter().any(|&(member, _)| member == key))
        }

        fn arm(&mut self, key: TimerKey, duration: Duration, start: Time, ordered: bool) {
            let expiry = start.saturating_add(duration);
            let shared = |list: &ModelList| list.shared && list.duration == duration;
            if !self.lists.iter().any(shared) {
                let id = self.id();
                self.lists.push(ModelList { duration, expiry, id, shared: true, timers: Vec::new() });
            }
            if let Some(old) = self.list_of(key) {
                self.lists[old].timers.retain(|&(member, _)| member != key);
                if self.lists[old].timers.is_empty() && !shared(&self.lists[old]) {
                    self.lists.remove(old);
                }
            }
            let id = self.id();
            let list = self.lists.iter_mut().find(|list| shared(list)).expect("it was just made");
            let later = list.timers.iter().rev().take_while(|&&(_, other)| ordered && other > start).count();
            if later > WALK_LIMIT {
                self.lists.push(ModelList { duration, expiry, id, shared: false, timers: vec![(key, start)] });
                return;
            }
            let position = list.timers.len() - later;
            list.timers.insert(position, (key, start));
            if position == 0 && expiry < list.expiry {
                (list.expiry, list.id) = (expiry, id);
            }
        }

        fn disarm(&mut self, key: TimerKey) {
            if let Some(list) = self.list_of(key) {
                self.lists[list].timers.retain(|&(member, _)| member != key);
                if self.lists[list].timers.is_empty() {
                    self.lists.remove(list);
                }
            }
        }

        fn first(&self) -> Option<usize> {
            (0..self.lists.len()).min_by_key(|&list| (self.lists[list].expiry, self.lists[list].id))
        }

        fn pop_due(&mut self, now: Time) -> Option<TimerKey> {
            while let Some(first) = self.first().filter(|&first| self.lists[first].expiry <= now) {
                let id = self.id();
                let list = &mut self.lists[first];
                let Some(&(key, start)) = list.timers.first() else {
                    self.lists.remove(first);
                    continue;
                };
                let due = start.saturating_add(list.duration);
                if due > now {
                    (list.expiry, list.id) = (due, id);
                    continue;
                }
                list.timers.remove(0);
                if !list.shared {
                    self.lists.remove(first);
                }
                return Some(key);
            }
            None
        }
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }
    }

    fn micros(time: Time) -> u64 {
        time.saturating_duration_since(Time::ZERO).as_micros() as u64
    }

    /// One command of user code, given to both; the caller compares the two afterwards. Plain arming uses a start
    /// before `now` only with `disorder`, since timers may be late then.
    fn command(
        random: &mut Random,
        bench: &mut Bench,
        model: &mut Model,
        keys: &mut Vec<TimerKey>,
        now: Time,
        disorder: bool,
    ) {
        let choice = random.below(16);
        if choice < 4 || keys.is_empty() {
            let key = bench.insert('r', ms(random.below(6)), now);
            model.arm(key, bench.timers.duration(key).expect("new"), now, false);
            keys.push(key);
            return;
        }
        // Removed keys stay among the candidates: they must be inert.
        let key = keys[random.below(keys.len() as u64) as usize];
        let duration = bench.timers.duration(key);
        let past = micros(now).saturating_sub(random.below(6000));
        let past = Time::ZERO.saturating_add(Duration::from_micros(past));
        match (choice, duration) {
            (4..=6, Some(duration)) => {
                let start = if disorder { past } else { now };
                bench.timers.arm(key, start);
                model.arm(key, duration, start, false);
            }
            (7..=9, Some(duration)) => {
                bench.timers.arm_at(key, past);
                model.arm(key, duration, past, true);
            }
            (10, _) => bench.timers.set_duration(key, ms(random.below(6))),
            (11, _) => bench.timers.set_referenced(key, random.below(2) == 0),
            (12..=13, Some(_)) => {
                bench.timers.disarm(key);
                model.disarm(key);
            }
            (_, Some(duration)) => {
                if model.list_of(key).is_none() {
                    model.lists.retain(|list| !list.timers.is_empty() || list.duration != duration);
                }
                bench.timers.remove(key);
                model.disarm(key);
            }
            (_, None) => {
                bench.timers.arm(key, now);
                bench.timers.disarm(key);
            }
        }
    }

    #[test]
    fn behaves_like_a_naive_model() {
        for seed in 1..=24 {
            let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
            let mut bench = Bench::new();
            let mut model = Model::default();
            let mut keys = Vec::new();
            let mut now = Time::ZERO;
            // Some runs are crowded, so that lists grow beyond the walk limit.
            let crowded = seed % 3 == 0;
            let disorder = seed % 2 == 0;
            let (rounds, commands, pause) = if crowded { (8, 800, 8) } else { (60, 12, 40) };
            for _ in 0..rounds {
                for _ in 0..random.below(commands) {
                    now = now.saturating_add(Duration::from_micros(random.below(pause)));
                    command(&mut random, &mut bench, &mut model, &mut keys, now, disorder);
                    bench.timers.check();
                }
                // Phases at whole milliseconds make equal expiries likely.
                now = at(micros(now) / 1000 + 1 + random.below(4));
                bench.timers.begin(now);
                let mut clock = now;
                let mut interrupted = false;
                loop {
                    let popped = bench.timers.pop_due().map(|(key, _)| key);
                    bench.timers.check();
                    if !disorder {
                        bench.timers.check_expiries();
                    }
                    assert_eq!(popped, model.pop_due(now), "seed {seed}");
                    assert_eq!(bench.timers.next_expiry(), model.first().map(|first| model.lists[first].expiry));
                    let Some(key) = popped else {
                        break;
                    };
                    assert!(!bench.timers.armed(key));
                    for _ in 0..random.below(4) {
                        clock = clock.saturating_add(Duration::from_micros(random.below(300)));
                        command(&mut random, &mut bench, &mut model, &mut keys, clock, disorder);
                        bench.timers.check();
                    }
                    if random.below(40) == 0 {
                        interrupted = true;
                        break;
                    }
                }
                for &key in &keys {
                    let place = model.list_of(key).map(|list| &model.lists[list]);
                    assert_eq!(bench.timers.armed(key), place.is_some());
                    let timer = place.and_then(|list| list.timers.iter().find(|&&(member, _)| member == key));
                    let start = timer.map(|&(_, start)| start);
                    assert_eq!(start, bench.timers.start(key).filter(|_| bench.timers.armed(key)));
                    // After a whole phase nothing that is due is left over.
                    let due = place.zip(start).map(|(list, start)| start.saturating_add(list.duration));
                    assert!(disorder || interrupted || due.is_none_or(|due| due > now), "seed {seed}");
                }
                now = now.max(clock);
                keys.retain(|&key| bench.timers.contains(key) || random.below(4) > 0);
            }
            for key in keys {
                bench.timers.remove(key);
            }
            bench.timers.begin(Time::ZERO.saturating_add(HOUR));
            assert_eq!(bench.timers.pop_due(), None);
            assert!(bench.is_empty(), "seed {seed}");
        }
    }
}
