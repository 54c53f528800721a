//! Immediates: the check phase (rule TM6).
//!
//! This module touches nothing and calls nobody. Invariants: an immediate queued while the phase runs waits for the next
//! turn; a cleared one is never found.

use std::collections::VecDeque;

use slab::Slab;

use crate::reactor::{Generation, Handle};

pub(crate) struct Immediates {
    slots: Slab<Slot>,
    queue: VecDeque<Handle>,
    /// What the running phase still has to serve.
    now: VecDeque<Handle>,
    /// Those that keep the loop alive.
    referenced: usize,
}

struct Slot {
    generation: Generation,
    referenced: bool,
    callback: Box<dyn FnOnce()>,
}

impl Immediates {
    pub(crate) fn new() -> Immediates {
        Immediates { slots: Slab::new(), queue: VecDeque::new(), now: VecDeque::new(), referenced: 0 }
    }

    pub(crate) fn insert(&mut self, generation: Generation, callback: Box<dyn FnOnce()>) -> Handle {
        let index = self.slots.insert(Slot { generation, referenced: true, callback });
        let handle = Handle::new(index, generation);
        self.queue.push_back(handle);
        self.referenced += 1;
        handle
    }

    /// Takes one out, to be called or (when it was cleared) dropped.
    pub(crate) fn remove(&mut self, handle: Handle) -> Option<Box<dyn FnOnce()>> {
        let slot = self.slots.get(handle.index()).filter(|slot| slot.generation == handle.generation())?;
        if slot.referenced {
            self.referenced -= 1;
        }
        Some(self.slots.remove(handle.index()).callback)
    }

    pub(crate) fn set_referenced(&mut self, handle: Handle, referenced: bool) {
        let slot = self.slots.get_mut(handle.index()).filter(|slot| slot.generation == handle.generation());
        let Some(slot) = slot else { return };
        if std::mem::replace(&mut slot.referenced, referenced) != referenced {
            if referenced {
                self.referenced += 1;
            } else {
                self.referenced -= 1;
            }
        }
    }

    pub(crate) fn is_referenced(&self, handle: Handle) -> bool {
        let slot = self.slots.get(handle.index()).filter(|slot| slot.generation == handle.generation());
        slot.is_some_and(|slot| slot.referenced)
    }

    pub(crate) fn begin(&mut self) {
        if !self.queue.is_empty() {
            self.now.append(&mut self.queue);
        }
    }

    /// The next one of the running phase.
    pub(crate) fn next(&mut self) -> Option<Box<dyn FnOnce()>> {
        // Bounded by the queue: cleared ones are skipped.
        while let Some(handle) = self.now.pop_front() {
            if let Some(callback) = self.remove(handle) {
                return Some(callback);
            }
        }
        None
    }

    /// Whether the check phase has nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.now.is_empty()
    }

    /// Whether any keeps the loop alive, and from waiting.
    pub(crate) fn any_referenced(&self) -> bool {
        self.referenced > 0
    }
}
