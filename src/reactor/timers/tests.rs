//! The rules of the timer lists, each by an example. That they hold together is the subject of [`model`].

mod model;

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

impl Compact for u64 {
    fn compact(self) -> u32 {
        u32::try_from(self).expect("a small number")
    }

    fn expand(compact: u32) -> u64 {
        compact.into()
    }
}

impl<K: Compact> Timers<K> {
    /// The invariants that hold between any two calls.
    fn check(&self) {
        let mut armed = 0;
        let mut counted = 0;
        for (list, head) in &self.lists {
            let (mut previous, mut index, mut length) = (NONE, head.head, 0);
            while index != NONE {
                let entry = self.at(index);
                assert_eq!((entry.place.list() as usize, entry.previous), (list, previous));
                assert!(entry.place.armed() && !entry.place.alone());
                counted += usize::from(entry.place.referenced());
                (previous, index, length) = (index, entry.next, length + 1);
            }
            assert_eq!(head.tail, previous);
            armed += length;
            assert!(head.queued || length == 0);
            assert_eq!(self.queue.contains(&self.place_of(list as u32)), head.queued);
            assert_eq!(self.by_duration.get(&head.duration), Some(&(list as u32)));
            let timers = self.entries.iter().filter(|(_, entry)| entry.place.list() as usize == list).count();
            assert_eq!(timers, head.timers as usize);
            assert!(timers > 0);
        }
        let mut places = self.lists.iter().filter(|(_, list)| list.queued).count();
        for (index, entry) in self.entries.iter().filter(|(_, entry)| entry.place.alone()) {
            assert!(self.queue.contains(&self.place_alone(index as u32)));
            counted += usize::from(entry.place.referenced());
            armed += 1;
            places += 1;
        }
        assert_eq!(armed, self.entries.iter().filter(|(_, entry)| entry.place.armed()).count());
        assert_eq!(counted, self.referenced_count);
        assert_eq!((self.queue.len(), self.by_duration.len()), (places, self.lists.len()));
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
    let shorter = bench.insert('t', Duration::from_nanos(1), at(0));
    assert_eq!(bench.timers.duration(shorter), Some(ms(1)));
    let absurd = bench.insert('l', Duration::MAX, at(7));
    assert_eq!(bench.phase(at(0).saturating_add(100_000 * HOUR)), "st");
    assert!(bench.timers.armed(absurd));
    // At the end of time the phase still ends.
    let end = Time::ZERO.saturating_add(Duration::MAX);
    assert_eq!(bench.phase(end), "l");
    bench.timers.arm(absurd, end);
    assert_eq!(bench.pop(), Some('l'));
    assert_eq!(bench.pop(), None);
}

#[test]
fn a_duration_of_any_length_never_panics() {
    let end_of_time = Time::ZERO.saturating_add(Duration::MAX);
    let moments = [Time::ZERO, at(1), Time::ZERO.saturating_add(HOUR), end_of_time];
    let durations = [
        Duration::ZERO,
        Duration::from_nanos(1),
        ms(1),
        // Where 32 bits of milliseconds and 64 bits of nanoseconds end.
        ms((1 << 31) - 1),
        ms(1 << 31),
        Duration::from_nanos(u64::MAX),
        ms(u64::MAX),
        Duration::MAX,
    ];
    for now in moments {
        for duration in durations {
            let mut bench = Bench::new();
            let key = bench.insert('x', duration, now);
            let wait = bench.timers.next_expiry().map(|next| next.saturating_duration_since(now));
            let longest = end_of_time.saturating_duration_since(now);
            assert_eq!(wait, Some(duration.max(MINIMUM_DURATION).min(longest)), "{duration:?} at {now:?}");
            for start in moments {
                bench.timers.arm(key, now);
                bench.timers.arm_at(key, start);
                bench.timers.check();
            }
            assert_eq!(bench.phase(end_of_time), "x");
            bench.timers.arm(key, end_of_time);
            assert_eq!(bench.timers.remove(key), Some(u64::from('x')));
            assert!(bench.is_empty());
        }
    }
}

#[test]
fn a_later_timer_of_the_same_list_can_be_cancelled_by_an_earlier_callback() {
    let mut bench = Bench::new();
    bench.insert('a', ms(1), at(0));
    let cancelled = bench.insert('b', ms(1), at(0));
    bench.insert('c', ms(1), at(0));
    bench.timers.begin(at(1));
    assert_eq!(bench.pop(), Some('a'));
    assert_eq!(bench.timers.remove(cancelled), Some(u64::from('b')));
    assert_eq!(bench.pop(), Some('c'));
    assert_eq!(bench.pop(), None);
}

#[test]
fn a_timer_refreshed_in_its_own_callback_waits_its_whole_duration() {
    let mut bench = Bench::new();
    let key = bench.insert('a', ms(5), at(0));
    bench.timers.begin(at(6));
    assert_eq!(bench.pop(), Some('a'));
    assert_eq!((bench.timers.armed(key), bench.timers.kind(key)), (false, Some(u64::from('a'))));
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
    // A timer that is queued by itself goes back to the list with a plain refresh.
    bench.timers.arm_at(early, at(6));
    assert_eq!(bench.timers.queue.len(), 2);
    bench.timers.arm(early, at(2000));
    assert_eq!(bench.timers.queue.len(), 1);
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
    bench.timers.remove(key);
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
        bench.timers.set_referenced(stale, false);
        assert_eq!(bench.timers.remove(stale), None);
        assert_eq!((bench.timers.duration(stale), bench.timers.kind(stale)), (None, None));
        assert!(!bench.timers.armed(stale) && !bench.timers.referenced(stale));
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
    assert_eq!(size_of::<Option<Entry<u64>>>(), 32);
    // What a timer that is queued by itself takes besides.
    assert_eq!(size_of::<Place>(), 24);
    let last = TimerKey::new(TimerKey::INDEX_LIMIT - 1, u64::MAX);
    assert_eq!(last.index(), TimerKey::INDEX_LIMIT - 1);
    assert_eq!(TimerKey::new(0, 0).index(), 0);
}

/// The same rounds with and without a million other timers take the same steps: what a turn asks is remembered, and activity
/// does not come here at all. What a million cost is memory, and one look at each in the time of its duration.
#[test]
fn a_million_armed_timers_are_not_looked_at() {
    const MILLION: u64 = 1_000_000;
    let mut bench = Bench::new();
    for n in 0..MILLION {
        bench.insert('i', HOUR, at(n / 1000));
    }
    assert_eq!((bench.timers.queue.len(), bench.timers.lists.len()), (1, 1));
    // Everything of a turn in which none is due, and none is touched: one comparison with the first place of the queue.
    let first = bench.timers.next;
    for turn in 0..1000 {
        bench.timers.begin(at(1000 + turn));
        assert!(!bench.timers.any_due());
        assert_eq!(bench.timers.next_expiry(), Some(at(0).saturating_add(HOUR)));
        assert!(bench.timers.pop_due().is_none());
    }
    assert!(bench.timers.next == first);
    // Another timer comes, is due and goes without a step through their list.
    for turn in 2000..3000 {
        let key = bench.insert('t', ms(5), at(turn));
        bench.timers.begin(at(turn + 5));
        assert!(bench.timers.pop_due().is_some_and(|(due, _)| due == key));
        bench.timers.remove(key);
    }
    assert_eq!(bench.timers.len() as u64, MILLION);
    let slots = bench.timers.entries.capacity() * size_of::<Option<Entry<u64>>>();
    // A vector that grows by doubling is at most half empty.
    assert!(slots <= 64 * MILLION as usize, "{slots} bytes");
}
