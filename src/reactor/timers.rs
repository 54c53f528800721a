//! Node's timer lists, as a pure data structure: it decides which timer is due next, and nothing else.
//!
//! It may touch `slab`, the collections of `std` and the type [`Time`]. It reads no clock, makes no system call and
//! calls no user code; every moment comes in as an argument.
//!
//! Timers of equal duration form one list in arming order, and a queue orders the lists by (expiry, id). A list whose turn
//! has come is served whole, as far as its timers are due, before the next one (TM3). Refreshing a timer therefore moves it
//! within its list and leaves the queue alone: the list is looked at again when its old expiry comes, and is then queued
//! for the first timer that it really holds. A timer whose place in the list is far from the end has a place in the queue
//! instead, by itself ([`Timers::arm_at`]).
//!
//! Invariants, true after every call and so also when a callback between two [`Timers::pop_due`] panics:
//! - A list's expiry is never later than the moment its first timer is due, unless [`Timers::arm`] put that timer
//!   behind later starts, which then went away. It may be earlier, after a cancel or a refresh; then the list is queued
//!   again when its turn comes.
//! - Every list with a timer in it is in the queue, once, and so is every timer that is armed and in no list. `next` is the
//!   queue's first place.
//! - A duration has one list (found through `by_duration`), from its first timer to its last, armed or not: so a timer need
//!   not store its duration.
//! - A list without timers is queued only between the pop of its last timer and the next `pop_due`, or the removal of that
//!   timer. It waits there because a callback that arms its own duration again must find it, as in Node, where a list
//!   that is out of the queue is none.
//! - No position is remembered between two calls: callbacks may insert, remove or refresh anything.
//! - A key of a removed timer matches no entry, and every call with it does nothing.
//!
//! One difference from Node: there, cancelling the last timer of a list leaves the empty list queued if that timer was
//! unreferenced. Here no cancel leaves an empty list behind, so unused durations cost neither memory nor wakeups.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use slab::Slab;

use crate::sys::Time;

/// A shorter duration counts as this one (TM1).
const MINIMUM_DURATION: Duration = Duration::from_millis(1);

/// How far [`Timers::arm_at`] walks before it queues the timer by itself. A walk of this length costs about as
/// much as the queue operation that replaces it, so peers cannot make re-arming linear in the number of connections.
const WALK_LIMIT: usize = 32;

/// The end of a list, and the list of a timer that is in none. No index reaches it: keys have 24 bits for theirs.
const NONE: u32 = u32::MAX;

/// All timers of one loop. `K` says what a timer is for; it is handed back when the timer is due.
pub(crate) struct Timers<K: Compact> {
    entries: Slab<Entry<K>>,
    lists: Slab<List>,
    /// Where the lists are. A tree, because durations may come from outside and a keyed hash would need random numbers.
    by_duration: BTreeMap<Duration, u32>,
    queue: BTreeSet<Place>,
    /// The first place of the queue: asked for in every turn, changed only together with the queue.
    next: Option<Place>,
    next_id: u64,
    referenced_count: usize,
    /// The moment of the current or latest timer phase.
    now: Time,
}

impl<K: Compact> Timers<K> {
    pub(crate) fn new() -> Self {
        Timers {
            entries: Slab::new(),
            lists: Slab::new(),
            by_duration: BTreeMap::new(),
            queue: BTreeSet::new(),
            next: None,
            next_id: 0,
            referenced_count: 0,
            now: Time::ZERO,
        }
    }

    /// Creates a timer, armed at `now`. No two timers that somebody may still name have the same `generation`; its low 40
    /// bits count.
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
        let list = list_of(&mut self.lists, &mut self.by_duration, duration.max(MINIMUM_DURATION));
        vacant.insert(Entry {
            key,
            start: now,
            previous: NONE,
            next: NONE,
            kind: kind.compact(),
            place: ListPlace::new(list, referenced),
            of: PhantomData,
        });
        self.list_mut(list).timers += 1;
        self.arm(key, now);
        key
    }

    /// Cancels a timer and forgets it.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<K> {
        let entry = self.entry(key)?;
        let (kind, place) = (entry.kind(), entry.place);
        if place.armed() {
            self.unlink(key.index());
        }
        self.entries.remove(key.index() as usize);
        let list = self.list_mut(place.list());
        list.timers -= 1;
        let (last, duration) = (list.timers == 0, list.duration);
        // If the timer was not armed it may be the last one that its list served. Nobody will refresh it any more.
        if last || !place.alone() {
            self.leave_queue_if_empty(place.list());
        }
        if last {
            self.by_duration.remove(&duration);
            self.lists.remove(place.list() as usize);
        }
        Some(kind)
    }

    /// How many timers there are, armed or not.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What the timer is for; `None` once it was removed.
    pub(crate) fn kind(&self, key: TimerKey) -> Option<K> {
        self.entry(key).map(Entry::kind)
    }

    /// Arms the timer at the tail of its list, from wherever it is: Node's `refresh()` with `start` the time now (TM5),
    /// and the repeat of an interval with `start` the moment its callback began (TM4).
    ///
    /// Timers ahead in the list that started later than `start` delay this one, as they do in Node. For a start that
    /// lies well in the past there is [`Timers::arm_at`].
    pub(crate) fn arm(&mut self, key: TimerKey, start: Time) {
        if self.entry(key).is_some() {
            let list = self.leave_for_list(key.index(), start);
            self.link_after(key.index(), list, self.list(list).tail, start);
        }
    }

    /// Arms the timer at its place in the order of starts.
    ///
    /// This is for idle deadlines. Activity only stores a time stamp; the timer expires, finds a newer stamp and starts
    /// again from it, a moment in the past. At the tail it would wait behind timers that started after it, and
    /// fire late by up to its whole duration.
    pub(crate) fn arm_at(&mut self, key: TimerKey, start: Time) {
        if self.entry(key).is_none() {
            return;
        }
        let list = self.leave_for_list(key.index(), start);
        let mut after = self.list(list).tail;
        let mut steps = 0;
        // Bounded by `WALK_LIMIT`.
        while after != NONE && self.at(after).start > start {
            if steps == WALK_LIMIT {
                return self.queue_alone(key.index(), start);
            }
            after = self.at(after).previous;
            steps += 1;
        }
        self.link_after(key.index(), list, after, start);
    }

    pub(crate) fn duration(&self, key: TimerKey) -> Option<Duration> {
        self.entry(key).map(|entry| self.list(entry.place.list()).duration)
    }

    /// Whether the timer keeps the loop alive while it is armed.
    pub(crate) fn set_referenced(&mut self, key: TimerKey, referenced: bool) {
        let Some(entry) = self.entry_mut(key) else {
            return;
        };
        let counted = entry.place.counted();
        entry.place.set_referenced(referenced);
        match (counted, entry.place.counted()) {
            (false, true) => self.referenced_count += 1,
            (true, false) => self.referenced_count -= 1,
            (false, false) | (true, true) => {}
        }
    }

    pub(crate) fn referenced(&self, key: TimerKey) -> bool {
        self.entry(key).is_some_and(|entry| entry.place.referenced())
    }

    pub(crate) fn armed(&self, key: TimerKey) -> bool {
        self.entry(key).is_some_and(|entry| entry.place.armed())
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

    /// Whether the phase that began has anything to do.
    pub(crate) fn any_due(&self) -> bool {
        self.next.is_some_and(|place| place.expiry <= self.now)
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
        // Bounded by the lists: each round serves a timer, or queues or frees the first list.
        while let Some(place) = self.next {
            if place.expiry > self.now {
                return None;
            }
            let index = match place.of {
                Queued::Timer(index) => index,
                Queued::List(list) => {
                    let head = self.list(list).head;
                    if head == NONE {
                        self.leave_queue_if_empty(list);
                        continue;
                    }
                    let due = self.at(head).start.saturating_add(self.list(list).duration);
                    if due > self.now {
                        self.requeue(list, due);
                        continue;
                    }
                    head
                }
            };
            self.unlink(index);
            let entry = self.at(index);
            return Some((entry.key, entry.kind()));
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

    /// Takes the timer from where it is, and gives the list of its duration, which is queued then. If the timer was in it, it
    /// stays queued as it is, even when nothing is left in it for the moment.
    fn leave_for_list(&mut self, index: u32, start: Time) -> u32 {
        let place = self.at(index).place;
        if place.armed() {
            self.unlink(index);
        }
        let list = place.list();
        if !self.list(list).queued {
            let expiry = start.saturating_add(self.list(list).duration);
            self.enqueue(list, expiry);
        }
        list
    }

    fn link_after(&mut self, index: u32, list: u32, after: u32, start: Time) {
        let before = if after == NONE { self.list(list).head } else { self.at(after).next };
        let entry = self.at_mut(index);
        entry.start = start;
        entry.place.arm();
        entry.previous = after;
        entry.next = before;
        let counted = entry.place.counted();
        self.referenced_count += usize::from(counted);
        self.set_next(list, after, index);
        self.set_previous(list, before, index);

        let due = start.saturating_add(self.list(list).duration);
        if after == NONE && due < self.list(list).expiry {
            self.requeue(list, due);
        }
    }

    /// Arms a timer by itself.
    fn queue_alone(&mut self, index: u32, start: Time) {
        let id = self.take_id();
        let entry = self.at_mut(index);
        entry.start = start;
        entry.place.arm_alone();
        entry.set_id(id);
        let counted = entry.place.counted();
        self.referenced_count += usize::from(counted);
        self.put_in_queue(self.place_alone(index));
    }

    /// The place in the queue of a timer that has one by itself.
    fn place_alone(&self, index: u32) -> Place {
        let entry = self.at(index);
        let expiry = entry.start.saturating_add(self.list(entry.place.list()).duration);
        Place { expiry, id: entry.id(), of: Queued::Timer(index) }
    }

    /// Takes an armed timer from where it is. It leaves its list alone even if that is empty now.
    fn unlink(&mut self, index: u32) {
        let place = self.at(index).place;
        if place.alone() {
            self.take_out_of_queue(self.place_alone(index));
        } else {
            let Entry { previous, next, .. } = *self.at(index);
            self.set_next(place.list(), previous, next);
            self.set_previous(place.list(), next, previous);
        }
        self.referenced_count -= usize::from(place.counted());
        let entry = self.at_mut(index);
        entry.place.disarm();
        entry.previous = NONE;
        entry.next = NONE;
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

    fn enqueue(&mut self, list: u32, expiry: Time) {
        let id = self.take_id();
        let queued = self.list_mut(list);
        queued.expiry = expiry;
        queued.id = id;
        queued.queued = true;
        self.put_in_queue(self.place_of(list));
    }

    /// If the last timer has left, the list is out of the queue.
    fn leave_queue_if_empty(&mut self, list: u32) {
        let empty = self.list_mut(list);
        if empty.head != NONE || !empty.queued {
            return;
        }
        empty.queued = false;
        self.take_out_of_queue(self.place_of(list));
    }

    /// Node takes the later of `expiry` and the moment after now; a timer that is not due yet satisfies that by itself.
    fn requeue(&mut self, list: u32, expiry: Time) {
        let old = self.place_of(list);
        self.queue.remove(&old);
        self.enqueue(list, expiry);
    }

    /// The place in the queue of a list that has one.
    fn place_of(&self, list: u32) -> Place {
        let List { expiry, id, .. } = *self.list(list);
        Place { expiry, id, of: Queued::List(list) }
    }

    fn put_in_queue(&mut self, place: Place) {
        self.queue.insert(place);
        self.next = self.queue.first().copied();
    }

    fn take_out_of_queue(&mut self, place: Place) {
        self.queue.remove(&place);
        self.next = self.queue.first().copied();
    }

    fn take_id(&mut self) -> u64 {
        let id = self.next_id;
        // 64 bits last for centuries at one place per nanosecond.
        self.next_id += 1;
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

    /// The half of the key that does not come from its generation.
    pub(crate) fn place(self) -> TimerPlace {
        TimerPlace(NonZeroU32::MIN.saturating_add(self.index()))
    }

    /// The key of which this is the one half.
    pub(crate) fn at(place: TimerPlace, generation: u64) -> TimerKey {
        TimerKey::new(place.0.get() - 1, generation)
    }
}

/// Where a timer is, for owners that know its generation: half of its key, in half the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerPlace(NonZeroU32);

/// What a timer is for, in 32 bits.
pub(crate) trait Compact: Copy {
    fn compact(self) -> u32;
    fn expand(compact: u32) -> Self;
}

/// One timer, in half a cache line: a million of them are 32 megabytes. Links are 32-bit indices, and the duration is the
/// list's. A timer that is queued by itself has no links, but the number of its place.
struct Entry<K> {
    key: TimerKey,
    start: Time,
    previous: u32,
    next: u32,
    kind: u32,
    place: ListPlace,
    of: PhantomData<K>,
}

impl<K: Compact> Entry<K> {
    fn kind(&self) -> K {
        K::expand(self.kind)
    }

    fn id(&self) -> u64 {
        (u64::from(self.previous) << 32) | u64::from(self.next)
    }

    fn set_id(&mut self, id: u64) {
        self.previous = (id >> 32) as u32;
        self.next = id as u32;
    }
}

/// The list of a timer's duration, and where the timer is: if it is armed, in that list, or in the queue by itself.
#[derive(Clone, Copy)]
struct ListPlace(u32);

impl ListPlace {
    const ARMED: u32 = 1 << 31;
    const REFERENCED: u32 = 1 << 30;
    const ALONE: u32 = 1 << 29;
    /// There are no more lists than timers.
    const LIST: u32 = Self::ALONE - 1;

    fn new(list: u32, referenced: bool) -> ListPlace {
        let mut place = ListPlace(list);
        place.set_referenced(referenced);
        place
    }

    fn list(self) -> u32 {
        self.0 & Self::LIST
    }

    fn armed(self) -> bool {
        self.0 & Self::ARMED != 0
    }

    fn referenced(self) -> bool {
        self.0 & Self::REFERENCED != 0
    }

    fn alone(self) -> bool {
        self.0 & Self::ALONE != 0
    }

    fn counted(self) -> bool {
        self.armed() && self.referenced()
    }

    fn set_referenced(&mut self, referenced: bool) {
        self.0 = if referenced { self.0 | Self::REFERENCED } else { self.0 & !Self::REFERENCED };
    }

    fn arm(&mut self) {
        self.0 |= Self::ARMED;
    }

    fn arm_alone(&mut self) {
        self.0 |= Self::ARMED | Self::ALONE;
    }

    fn disarm(&mut self) {
        self.0 &= !(Self::ARMED | Self::ALONE);
    }
}

/// Timers of one duration.
struct List {
    duration: Duration,
    /// Where it stands in the queue, while it is queued.
    expiry: Time,
    id: u64,
    head: u32,
    tail: u32,
    /// How many timers have this duration, armed or not.
    timers: u32,
    queued: bool,
}

impl List {
    fn new(duration: Duration) -> List {
        List { duration, expiry: Time::ZERO, id: 0, head: NONE, tail: NONE, timers: 0, queued: false }
    }
}

/// A place in the queue: by expiry, and of equal ones by what was queued first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    expiry: Time,
    id: u64,
    of: Queued,
}

/// Who has a place in the queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Queued {
    List(u32),
    Timer(u32),
}

/// The list of a duration.
fn list_of(lists: &mut Slab<List>, by_duration: &mut BTreeMap<Duration, u32>, duration: Duration) -> u32 {
    *by_duration.entry(duration).or_insert_with(|| lists.insert(List::new(duration)) as u32)
}

#[cfg(test)]
mod tests;
