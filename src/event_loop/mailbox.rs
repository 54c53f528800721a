//! What other threads hand to the loop: posted closures, lookup answers, the wish that it stop.
//!
//! What it may touch: the poller's waker. Invariants: first in, first out; the waker is used once for any number of
//! items that arrive before the loop looks; nothing is accepted once the loop is gone.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::reactor::selecting::LookupId;
use crate::sys::Waker;
use crate::sys::resolver::LookupFailure;

pub(crate) type Posted = Box<dyn FnOnce() + Send>;

pub(crate) enum Item {
    Call(Posted),
    Lookup(Answer),
    /// A lookup of the user's that was answered on another thread, or dropped.
    CustomLookup(LookupId, Result<Vec<SocketAddr>, Error>),
}

/// What the resolver says about one name.
pub(crate) type Addresses = Result<Vec<SocketAddr>, LookupFailure>;

/// The answer to one lookup.
pub(crate) struct Answer {
    pub(crate) id: LookupId,
    pub(crate) result: Addresses,
}

/// Room that is kept for items while there are none, so that posts which come one at a time allocate no queue each; that
/// of a flood is given back.
const MOST_KEPT: usize = 64;

/// Items may wait.
const OCCUPIED: u8 = 1;
/// Somebody wants the loop to stop.
const STOP: u8 = 1 << 1;

pub(crate) struct Mailbox {
    state: Mutex<State>,
    /// [`OCCUPIED`] and [`STOP`]: looked at without the lock in every turn.
    attention: AtomicU8,
    waker: Waker,
    /// Where a replay waits for what is to be handed over again.
    #[cfg(feature = "simulation")]
    arrived: std::sync::Condvar,
    #[cfg(feature = "simulation")]
    tape: std::sync::OnceLock<crate::event_loop::recording::Tape>,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    closed: bool,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker) -> Mailbox {
        Mailbox {
            state: Mutex::default(),
            attention: AtomicU8::new(0),
            waker,
            #[cfg(feature = "simulation")]
            arrived: std::sync::Condvar::new(),
            #[cfg(feature = "simulation")]
            tape: std::sync::OnceLock::new(),
        }
    }

    /// Puts a closure in, or gives it back when the loop is gone.
    pub(crate) fn post(&self, call: Posted) -> Result<(), Posted> {
        let mut state = self.lock();
        if state.closed {
            return Err(call);
        }
        state.items.push_back(Item::Call(call));
        drop(state);
        self.announce();
        Ok(())
    }

    pub(crate) fn answer(&self, answer: Answer) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.items.push_back(Item::Lookup(answer));
        drop(state);
        self.announce();
    }

    pub(crate) fn answer_custom(&self, id: LookupId, answer: Result<Vec<SocketAddr>, Error>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.items.push_back(Item::CustomLookup(id, answer));
        drop(state);
        self.announce();
    }

    /// Wakes the loop unless somebody did already and it has not looked since.
    fn announce(&self) {
        #[cfg(feature = "simulation")]
        self.arrived.notify_all();
        if self.attention.fetch_or(OCCUPIED, Ordering::AcqRel) & OCCUPIED == 0 {
            // A waker fails only when its descriptor is gone, and then so is the loop.
            let _ = self.waker.wake();
        }
    }

    pub(crate) fn wake(&self) -> io::Result<()> {
        self.waker.wake()
    }

    pub(crate) fn stop(&self) {
        self.attention.fetch_or(STOP, Ordering::AcqRel);
        let _ = self.waker.wake();
    }

    pub(crate) fn wants_stop(&self) -> bool {
        self.seen(self.attention.load(Ordering::Acquire) & STOP != 0)
    }

    /// Whether there is anything of other threads to look at.
    pub(crate) fn wants_attention(&self) -> bool {
        self.seen(self.attention.load(Ordering::Acquire) != 0)
    }

    pub(crate) fn take_stop(&self) -> bool {
        // Taken back also where only the tape knows of it.
        self.wants_stop() && (self.attention.fetch_and(!STOP, Ordering::AcqRel) & STOP != 0 || self.is_taped())
    }

    pub(crate) fn is_occupied(&self) -> bool {
        self.seen(self.attention.load(Ordering::Acquire) & OCCUPIED != 0)
    }

    /// What the loop sees of it. Only the loop asks.
    #[cfg(not(feature = "simulation"))]
    #[inline]
    fn seen(&self, now: bool) -> bool {
        now
    }

    #[cfg(feature = "simulation")]
    fn seen(&self, now: bool) -> bool {
        self.tape.get().map_or(now, |tape| tape.ask(now))
    }

    #[cfg(not(feature = "simulation"))]
    #[inline]
    fn is_taped(&self) -> bool {
        false
    }

    #[cfg(feature = "simulation")]
    fn is_taped(&self) -> bool {
        self.tape.get().is_some()
    }

    /// From now on all that other threads want goes through the tape.
    #[cfg(feature = "simulation")]
    pub(crate) fn set_tape(&self, tape: crate::event_loop::recording::Tape) {
        let _ = self.tape.set(tape);
    }

    /// The first item that is `wanted`, however many others there are; `None` when it does not come in time.
    #[cfg(feature = "simulation")]
    pub(crate) fn wait_for(&self, limit: std::time::Duration, wanted: impl Fn(&Item) -> bool) -> Option<Item> {
        let missing = |state: &mut State| !state.items.iter().any(&wanted);
        let waited = self.arrived.wait_timeout_while(self.lock(), limit, missing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let position = state.items.iter().position(wanted)?;
        state.items.remove(position)
    }

    /// The next item. When there is none, the next arrival wakes the loop again.
    pub(crate) fn take(&self) -> Option<Item> {
        #[cfg(feature = "simulation")]
        if let Some(tape) = self.tape.get() {
            return self.take_taped(tape, || self.take_live());
        }
        self.take_live()
    }

    fn take_live(&self) -> Option<Item> {
        let mut state = self.lock();
        let item = state.items.pop_front();
        if item.is_none() {
            if state.items.capacity() > MOST_KEPT {
                state.items = VecDeque::new();
            }
            // Under the lock: an arrival comes before, and would have been found, or after, and sees false.
            self.attention.fetch_and(!OCCUPIED, Ordering::AcqRel);
        }
        item
    }

    /// The loop goes. What is left is returned, to be dropped with nothing borrowed.
    pub(crate) fn close(&self) -> VecDeque<Item> {
        let mut state = self.lock();
        state.closed = true;
        std::mem::take(&mut state.items)
    }

    /// A closure that panics runs outside the lock, so a poisoned lock still guards a sound queue.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
