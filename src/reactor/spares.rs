//! What the loop keeps of the memory for waiting writes: a buffer for short ones, the boxes in which a queue lies, and the
//! errors of those that are cut short.
//!
//! A connection that begins to wait needs two small boxes, beside bytes that may be many, and in a burst the boxes come to
//! lie between the bytes. An allocator that returns its memory from above can return nothing below a piece that it has not
//! taken back, and glibc's keeps the first seven of each size that a thread frees for that thread (`tcache_count`,
//! mallopt(3)): if those lay high, everything below them stayed, whatever was free there. So boxes are made in groups, freed
//! only once the burst is nearly over, and then from below: what glibc keeps lies in the lowest group, with nothing between.
//! For the same reason the errors with which many connections may end at once are there from the beginning.
//!
//! This module touches nothing but the vocabulary in `error`. Invariant: what is spare is in its initial state, apart from
//! the room that it has.

use std::{mem, ptr};

use crate::error::Error;
use crate::reactor::connection::{Connection, WriteQueue};
use crate::reactor::rare::Rare;
use crate::sys::errno::Errno;

/// How many requests a queue may have room for and still be kept: 64 of 48 bytes.
const MOST_SPARE_REQUESTS: usize = 64;

/// How many boxes are made at once, and always kept: as many as glibc keeps of those that are freed, and one.
const GROUP: usize = 8;

/// How many spare boxes there is room for at least: pieces of more than 1032 bytes glibc does not keep for a thread.
const LEAST_ROOM: usize = 256;

/// What the two boxes of a waiting connection take.
const BYTES: usize = size_of::<Rare>() + size_of::<WriteQueue>();

/// What makes that holding writes back, and waiting with them, allocates nothing in the steady state.
pub(crate) struct Spares {
    /// For short writes: at most twice as long as what is collected in it ([`super::batching`]).
    pub(super) buffer: Vec<u8>,
    queues: Boxes<WriteQueue>,
    rares: Boxes<Rare>,
    reset: Error,
    canceled: Error,
}

impl Spares {
    pub(super) fn new() -> Spares {
        Spares {
            buffer: Vec::new(),
            queues: Boxes::default(),
            rares: Boxes::default(),
            reset: Error::exception(Errno::CONNECTION_RESET, "read"),
            canceled: Error::exception(Errno::CANCELED, "write"),
        }
    }

    /// Of a read that failed: `read ECONNRESET`, mostly.
    pub(super) fn read_error(&self, errno: Errno) -> Error {
        if errno == Errno::CONNECTION_RESET { self.reset.clone() } else { Error::exception(errno, "read") }
    }

    /// Of a write that was in flight when its connection ended: `write ECANCELED`.
    pub(super) fn canceled_write(&self) -> Error {
        self.canceled.clone()
    }

    /// The connection's queue, to put something in.
    pub(super) fn queue_of<'a>(&mut self, connection: &'a mut Connection) -> &'a mut WriteQueue {
        if connection.rare.is_none() {
            connection.rare = Some(self.rares.take());
        }
        connection.rare_mut().queue.get_or_insert_with(|| self.queues.take())
    }

    /// Keeps what is left of an idle queue. In the whole loop `waiting` bytes wait.
    pub(super) fn take_queue_of(&mut self, connection: &mut Connection, waiting: usize) {
        let queue = connection.rare.as_mut().and_then(|rare| rare.queue.take_if(|queue| queue.is_idle()));
        let Some(mut queue) = queue else { return };
        if queue.buffered.capacity() > MOST_SPARE_REQUESTS {
            queue.buffered = Default::default();
        }
        queue.last_size = 0;
        self.queues.put(queue, waiting);
        if let Some(rare) = connection.take_empty_rare() {
            self.rares.put(rare, waiting);
        }
        self.shrink(waiting);
    }

    /// The same of a connection that is over, in whose queue nothing waits any more.
    pub(super) fn take_boxes_of(&mut self, mut connection: Connection, waiting: usize) {
        self.take_queue_of(&mut connection, waiting);
        if let Some(mut rare) = connection.rare {
            *rare = Rare::default();
            self.rares.put(rare, waiting);
            self.shrink(waiting);
        }
    }

    /// Gives all but a group of each back when they take more than what waits, which they are kept for: after a burst, then,
    /// and never because of a few who read slowly.
    #[inline]
    fn shrink(&mut self, waiting: usize) {
        if self.queues.others.len().max(self.rares.others.len()) * BYTES > waiting {
            self.queues.shrink();
            self.rares.shrink();
        }
    }
}

/// Spare boxes of one kind.
struct Boxes<T> {
    /// Those that are always kept, the lowest there are, in a place that is not allocated: it would lie above what a burst
    /// frees.
    kept: [Option<Box<T>>; GROUP],
    others: Vec<Box<T>>,
}

impl<T> Default for Boxes<T> {
    fn default() -> Self {
        Boxes { kept: [const { None }; GROUP], others: Vec::new() }
    }
}

impl<T: Default> Boxes<T> {
    fn take(&mut self) -> Box<T> {
        if let Some(spare) = self.others.pop().or_else(|| self.kept.iter_mut().find_map(Option::take)) {
            return spare;
        }
        for place in &mut self.kept[1..] {
            *place = Some(Box::default());
        }
        Box::default()
    }

    fn put(&mut self, mut spare: Box<T>, waiting: usize) {
        if let Some(place) = self.kept.iter_mut().find(|place| place.is_none()) {
            *place = Some(spare);
            return;
        }
        if let Some(highest) = self.kept.iter_mut().flatten().max_by_key(|kept| address::<T>(kept)) {
            if address::<T>(highest) > address::<T>(&spare) {
                mem::swap(highest, &mut spare);
            }
        }
        if waiting == 0 && self.others.is_empty() {
            return;
        }
        if self.others.capacity() == 0 {
            self.others.reserve(LEAST_ROOM);
        }
        self.others.push(spare);
    }

    /// Frees all but the lowest, from below.
    #[cold]
    fn shrink(&mut self) {
        let mut all = mem::take(&mut self.others);
        all.extend(self.kept.iter_mut().filter_map(Option::take));
        all.sort_unstable_by_key(|spare| address::<T>(spare));
        let mut all = all.into_iter();
        self.kept.fill_with(|| all.next());
        // The rest goes now, in this order, and the room last.
        drop(all);
    }
}

fn address<T>(of: &T) -> usize {
    ptr::from_ref(of).addr()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::{Boxes, GROUP, address};

    /// Where the boxes were, in the order in which they were freed, by each test.
    static FREED: [Mutex<Vec<usize>>; 2] = [const { Mutex::new(Vec::new()) }; 2];

    #[derive(Default)]
    struct Piece<const TEST: usize> {
        _words: [u64; 8],
    }

    impl<const TEST: usize> Drop for Piece<TEST> {
        fn drop(&mut self) {
            FREED[TEST].lock().expect("nobody panics with it").push(address(self));
        }
    }

    /// In whichever order they come back, they are freed from below, and the lowest group is kept.
    #[test]
    fn boxes_are_freed_from_below() {
        let mut boxes = Boxes::<Piece<0>>::default();
        let mut taken: Vec<_> = (0..3 * GROUP).map(|_| boxes.take()).collect();
        assert!(boxes.kept.iter().all(Option::is_none), "whole groups were made");
        taken.rotate_left(5);
        for piece in taken.into_iter().rev() {
            boxes.put(piece, 1);
        }
        boxes.shrink();
        let freed = FREED[0].lock().expect("nobody panics with it").clone();
        assert_eq!(freed.len(), 2 * GROUP);
        assert!(freed.is_sorted(), "{freed:x?}");
        assert!(boxes.kept.iter().all(Option::is_some) && boxes.others.capacity() == 0);
    }

    /// Where nothing waits, one that is too many goes at once, without any room for it: the highest there is.
    #[test]
    fn the_lowest_boxes_are_kept() {
        let mut boxes = Boxes::<Piece<1>>::default();
        let mut taken: Vec<_> = (0..2 * GROUP).map(|_| boxes.take()).collect();
        assert!(boxes.kept.iter().all(Option::is_none), "whole groups were made");
        taken.sort_by_key(|piece| address::<Piece<1>>(piece));
        let highest: Vec<_> = taken[GROUP..].iter().rev().map(|piece| address::<Piece<1>>(piece)).collect();
        taken.rotate_left(5);
        for piece in taken.into_iter().rev() {
            boxes.put(piece, 0);
        }
        let mut freed = FREED[1].lock().expect("nobody panics with it").clone();
        freed.sort_by_key(|address| std::cmp::Reverse(*address));
        assert_eq!(freed, highest);
        assert_eq!(boxes.others.capacity(), 0);
    }
}
