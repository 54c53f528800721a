//! What the loop keeps of the memory for waiting writes: a buffer for short ones, and the boxes in which a queue lies.
//!
//! A connection that begins to wait needs two small boxes, beside bytes that may be many, and in a burst the boxes come to
//! lie between the bytes. An allocator that returns its memory from above can return nothing below a piece that it has not
//! taken back, and glibc's keeps the first seven of each size that a thread frees for that thread (`tcache_count`,
//! mallopt(3)): if those lay high, everything below them stayed, whatever was free there. So boxes are made in groups, freed
//! only once the burst is nearly over, and then from below: what glibc keeps lies in the lowest group, with nothing between.
//!
//! This module touches nothing. Invariant: what is spare is in its initial state, apart from the room that it has.

use std::ptr;

use crate::reactor::connection::{Connection, WriteQueue};
use crate::reactor::rare::Rare;

/// How many requests a queue may have room for and still be kept: 64 of 48 bytes.
const MOST_SPARE_REQUESTS: usize = 64;

/// How many boxes are made at once, and always kept: as many as glibc keeps of those that are freed, and one.
const GROUP: usize = 8;

/// How many spare boxes there is room for at least: pieces of more than 1032 bytes glibc does not keep for a thread.
const LEAST_ROOM: usize = 256;

/// What the two boxes of a waiting connection take.
const BYTES: usize = size_of::<Rare>() + size_of::<WriteQueue>();

/// What makes that holding writes back, and waiting with them, allocates nothing in the steady state.
#[derive(Default)]
pub(crate) struct Spares {
    /// For short writes: at most twice as long as what is collected in it ([`super::batching`]).
    pub(super) buffer: Vec<u8>,
    queues: Boxes<WriteQueue>,
    rares: Boxes<Rare>,
}

impl Spares {
    /// The connection's queue, to put something in.
    pub(super) fn queue_of<'a>(&mut self, connection: &'a mut Connection) -> &'a mut WriteQueue {
        if connection.rare.is_none() {
            connection.rare = Some(self.rares.take());
        }
        connection.rare_mut().queue.get_or_insert_with(|| self.queues.take())
    }

    /// Keeps what is left of an idle queue.
    pub(super) fn take_queue_of(&mut self, connection: &mut Connection) {
        let queue = connection.rare.as_mut().and_then(|rare| rare.queue.take_if(|queue| queue.is_idle()));
        let Some(mut queue) = queue else { return };
        if queue.buffered.capacity() > MOST_SPARE_REQUESTS {
            queue.buffered = Default::default();
        }
        queue.last_size = 0;
        self.queues.put(queue);
        if let Some(rare) = connection.take_empty_rare() {
            self.rares.put(rare);
        }
    }

    /// Gives all but a group of each back when they take more than what waits, which they are kept for: after a burst, then,
    /// and never because of a few who read slowly.
    #[inline]
    pub(super) fn shrink(&mut self, waiting: usize) {
        if self.queues.others.len().max(self.rares.others.len()) * BYTES > waiting {
            self.queues.shrink();
            self.rares.shrink();
        }
    }
}

/// Spare boxes of one kind.
struct Boxes<T> {
    /// Those that are always kept, in a place that is not allocated: it would lie above what a burst frees.
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

    fn put(&mut self, spare: Box<T>) {
        if let Some(place) = self.kept.iter_mut().find(|place| place.is_none()) {
            *place = Some(spare);
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
        let mut all = std::mem::take(&mut self.others);
        all.extend(self.kept.iter_mut().filter_map(Option::take));
        all.sort_unstable_by_key(|spare| ptr::from_ref::<T>(spare));
        let mut all = all.into_iter();
        self.kept.fill_with(|| all.next());
        // The rest goes now, in this order, and the room last.
        drop(all);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::{Boxes, GROUP};

    /// Where the boxes were, in the order in which they were freed.
    static FREED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

    #[derive(Default)]
    struct Piece {
        _words: [u64; 8],
    }

    impl Drop for Piece {
        fn drop(&mut self) {
            FREED.lock().expect("nobody panics with it").push(std::ptr::from_ref(self).addr());
        }
    }

    /// In whichever order they come back, they are freed from below, and the lowest group is kept.
    #[test]
    fn boxes_are_freed_from_below() {
        let mut boxes = Boxes::<Piece>::default();
        let mut taken: Vec<_> = (0..3 * GROUP).map(|_| boxes.take()).collect();
        assert!(boxes.kept.iter().all(Option::is_none), "whole groups were made");
        taken.rotate_left(5);
        for piece in taken.into_iter().rev() {
            boxes.put(piece);
        }
        boxes.shrink();
        let freed = FREED.lock().expect("nobody panics with it").clone();
        assert_eq!(freed.len(), 2 * GROUP);
        assert!(freed.is_sorted(), "{freed:x?}");
        assert!(boxes.kept.iter().all(Option::is_some) && boxes.others.capacity() == 0);
    }
}
