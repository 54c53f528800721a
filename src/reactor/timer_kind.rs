//! What a timer is for, and the 32 bits in which the timer lists keep it.
//!
//! This module touches nothing. Invariant: a kind comes back from its bits as it went in. What it names may be gone by then:
//! whoever is told compares the timer's key with the one it holds.

use crate::reactor::CallbackId;
use crate::reactor::timers::Compact;

/// What a timer is for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum TimerKind {
    /// The user's, once or again and again.
    Once(CallbackId),
    Every(CallbackId),
    /// The idle timeout of the socket in this slot.
    Idle(usize),
    /// The time that one of several addresses has which the socket in this slot tries.
    Attempt(usize),
    /// The time that the resolver has.
    Lookup,
    /// The pause before what failed for want of something is tried again.
    Retry,
    /// The next of the time limits of the socket in this slot.
    Bound(usize),
    /// The time that the server in this slot has to drain.
    Drain(usize),
}

/// The lower bits say which, the upper three what.
const WHICH: u32 = (1 << 29) - 1;

const EVERY: u32 = 1;
const IDLE: u32 = 2;
const ATTEMPT: u32 = 3;
const LOOKUP: u32 = 4;
const RETRY: u32 = 5;
const BOUND: u32 = 6;
const DRAIN: u32 = 7;

impl Compact for TimerKind {
    /// # Panics
    ///
    /// With 2^29 callbacks waiting at a time, which are many gigabytes. A slot has 24 bits.
    fn compact(self) -> u32 {
        let (what, which) = match self {
            TimerKind::Once(CallbackId(callback)) => (0, callback),
            TimerKind::Every(CallbackId(callback)) => (EVERY, callback),
            TimerKind::Idle(slot) => (IDLE, slot as u32),
            TimerKind::Attempt(slot) => (ATTEMPT, slot as u32),
            TimerKind::Lookup => (LOOKUP, 0),
            TimerKind::Retry => (RETRY, 0),
            TimerKind::Bound(slot) => (BOUND, slot as u32),
            TimerKind::Drain(slot) => (DRAIN, slot as u32),
        };
        assert!(which <= WHICH, "more than 2^29 callbacks");
        (what << WHICH.count_ones()) | which
    }

    fn expand(compact: u32) -> TimerKind {
        let which = compact & WHICH;
        match compact >> WHICH.count_ones() {
            EVERY => TimerKind::Every(CallbackId(which)),
            IDLE => TimerKind::Idle(which as usize),
            ATTEMPT => TimerKind::Attempt(which as usize),
            LOOKUP => TimerKind::Lookup,
            RETRY => TimerKind::Retry,
            BOUND => TimerKind::Bound(which as usize),
            DRAIN => TimerKind::Drain(which as usize),
            _none_of_these => TimerKind::Once(CallbackId(which)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_comes_back_from_its_bits() {
        const LAST_SLOT: usize = (1 << 24) - 1;
        for kind in [
            TimerKind::Once(CallbackId(0)),
            TimerKind::Once(CallbackId(WHICH)),
            TimerKind::Every(CallbackId(7)),
            TimerKind::Every(CallbackId(WHICH)),
            TimerKind::Idle(0),
            TimerKind::Idle(LAST_SLOT),
            TimerKind::Attempt(LAST_SLOT),
            TimerKind::Lookup,
            TimerKind::Retry,
            TimerKind::Bound(LAST_SLOT),
            TimerKind::Drain(LAST_SLOT),
        ] {
            assert_eq!(TimerKind::expand(kind.compact()), kind);
        }
    }
}
