//! One-shot callbacks: completions, ticks, timers, immediates. The reactor and the tick queue know their numbers only.
//!
//! This module touches nothing and calls nobody. Invariant: a callback that is taken out is either called or dropped by
//! `emit`, with nothing borrowed.

use slab::Slab;

use crate::error::Error;
use crate::event_loop::handles::{Server, Socket};
use crate::reactor::CallbackId;
use crate::reactor::draining::DrainReport;

pub(crate) type Completion = Box<dyn FnOnce(Socket, Result<(), &Error>)>;

pub(crate) enum Callback {
    /// `next_tick`
    Call(Box<dyn FnOnce()>),
    /// A write or an end.
    Complete(Completion),
    /// A server's drain.
    Drained(Box<dyn FnOnce(Server, DrainReport)>),
    /// A timer's; `None` while it runs.
    Timer(Option<Box<dyn FnMut()>>),
}

#[derive(Default)]
pub(crate) struct Callbacks {
    slots: Slab<Callback>,
}

impl Callbacks {
    pub(crate) fn insert(&mut self, callback: Callback) -> CallbackId {
        // Four thousand million callbacks do not fit in memory.
        CallbackId(self.slots.insert(callback) as u32)
    }

    pub(crate) fn take(&mut self, id: CallbackId) -> Option<Callback> {
        self.slots.try_remove(id.0 as usize)
    }

    /// A timer's closure, out of its place while it runs.
    pub(crate) fn borrow_timer(&mut self, id: CallbackId) -> Option<Box<dyn FnMut()>> {
        match self.slots.get_mut(id.0 as usize)? {
            Callback::Timer(closure) => closure.take(),
            Callback::Call(_) | Callback::Complete(_) | Callback::Drained(_) => None,
        }
    }

    /// Puts it back, unless the timer was cleared meanwhile: then it is handed back to be dropped.
    pub(crate) fn return_timer(&mut self, id: CallbackId, closure: Box<dyn FnMut()>) {
        if let Some(Callback::Timer(slot)) = self.slots.get_mut(id.0 as usize) {
            *slot = Some(closure);
        }
    }

    #[cfg(test)]
    #[cfg(feature = "simulation")]
    pub(crate) fn are_gone(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn shrink(&mut self) {
        if self.slots.is_empty() {
            self.slots.shrink_to_fit();
        }
    }
}
