//! The ready list: connections and servers that have work which no new kernel event will announce.
//!
//! Registration is edge-triggered, so readiness that was not used up must be remembered here: a socket that spent its
//! budget, was resumed with input waiting, or has an end of stream behind a short read. It is served again in the next
//! poll phase, before that phase's fresh events, which is the place a level-triggered poll would give it.
//!
//! This module touches nothing. Invariant: a token stands at most once in the two queues together; its owner holds the
//! `queued` bit.

/// What is known about a descriptor's readiness, kept until a system call says otherwise.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Readiness {
    /// The kernel said readable and no read has come back empty or short since.
    pub(crate) readable: bool,
    /// The kernel said writable; used up by one attempt to write.
    pub(crate) writable: bool,
    /// The peer has ended its side: a short read does not mean that nothing more is to be read.
    pub(crate) read_closed: bool,
    /// Both directions are over, or an error waits.
    pub(crate) hang_up: bool,
    /// Stands in the ready list.
    pub(crate) queued: bool,
}

/// Tokens to serve now, and tokens for the next poll phase.
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
        self.served == self.now.len() && self.next.is_empty()
    }
}
