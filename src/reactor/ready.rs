//! The ready list: connections and servers that have work which no new kernel event will announce.
//!
//! Registration is edge-triggered, so readiness that was not used up must be remembered here: a socket that spent its
//! budget, was resumed with input waiting, or has an end of stream behind a short read. It is served again in the next
//! poll phase, before that phase's fresh events, which is the place a level-triggered poll would give it.
//!
//! Fresh events are usually served straight from the poller, behind this list, and noted in their connection or server only
//! then: that saves looking it up twice. Where something waited already they are all noted and queued here first, because
//! the two may be about one descriptor.
//!
//! This module touches nothing. Invariant: a token that was queued from here stands at most once in the two queues together;
//! its owner holds the `queued` bit.

use crate::sys::Readiness;

/// What is known about a descriptor, kept until a system call says otherwise: readable until a read comes back empty or
/// short, writable until one attempt to write; that the peer has ended its side, and hang-ups, stay true.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Announced {
    pub(crate) readiness: Readiness,
    /// Stands in the ready list, and what the kernel said is noted here.
    pub(crate) queued: bool,
}

impl Announced {
    /// What the kernel says of a descriptor at which there may be input already.
    pub(crate) fn readable() -> Announced {
        Announced { readiness: Readiness::READABLE, queued: false }
    }

    #[inline]
    pub(crate) fn has(&self, any: Readiness) -> bool {
        self.readiness.has(any)
    }

    #[inline]
    pub(crate) fn add(&mut self, more: Readiness) {
        self.readiness = self.readiness.and(more);
    }

    #[inline]
    pub(crate) fn remove(&mut self, taken: Readiness) {
        self.readiness = self.readiness.without(taken);
    }
}

/// What is to be served now, and the tokens for the next poll phase.
#[derive(Default)]
pub(crate) struct ReadyList {
    now: Vec<u64>,
    /// How many of them are done with.
    served: usize,
    next: Vec<u64>,
}

impl ReadyList {
    /// Queues a token for the next poll phase.
    pub(crate) fn push(&mut self, token: u64) {
        self.next.push(token);
    }

    /// Begins a poll phase: what waited is served now.
    pub(crate) fn begin(&mut self) {
        if self.served == self.now.len() {
            self.now.clear();
        } else {
            // What an interrupted phase left comes first.
            self.now.drain(..self.served);
        }
        self.served = 0;
        if !self.next.is_empty() {
            self.now.append(&mut self.next);
        }
    }

    /// Whether the running phase has only fresh events to serve.
    #[inline]
    pub(crate) fn has_nothing_now(&self) -> bool {
        self.served == self.now.len()
    }

    /// Adds a fresh event behind what waited.
    pub(crate) fn push_now(&mut self, token: u64) {
        self.now.push(token);
    }

    /// The token being served; it stays at the front while user code runs, so that an interrupted phase can continue.
    #[inline]
    pub(crate) fn current(&self) -> Option<u64> {
        self.now.get(self.served).copied()
    }

    /// The current token is done with for this phase.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.served += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.has_nothing_now() && self.next.is_empty()
    }
}
