//! Which listeners are running, and what they missed.
//!
//! A listener that runs is never entered again (it is an `FnMut`). An emission that its own commands cause reaches it
//! right after it returns; if it panics instead, as the first thing that is done next. A closure with captures knows by
//! itself that it is borrowed; for one without, it is noted here.
//!
//! This module touches nothing and calls nobody. Invariant: what is given back may have a destructor of the user's.

use std::collections::VecDeque;

use crate::event_loop::closures::{Captured, Stateless};
use crate::event_loop::events::OwnedArguments;
use crate::reactor::Handle;

/// One registration: whose, and which.
type Registration = (Handle, u64);

#[derive(Default)]
pub(crate) struct Running {
    /// The sole `data` listener that the poll phase called: never two at a time, so this is cheaper than a stack.
    pub(crate) sole: Option<Registration>,
    /// All other listeners without captures, innermost last.
    others: Vec<Registration>,
    /// What came for a listener while it ran.
    missed: VecDeque<Missed>,
}

/// What came for a listener while it ran.
pub(crate) struct Missed {
    pub(crate) owner: Handle,
    pub(crate) number: u64,
    pub(crate) listener: MissedBy,
    pub(crate) arguments: OwnedArguments,
}

/// Who missed it: it was there then, and is told whether somebody takes it away meanwhile or not.
pub(crate) enum MissedBy {
    Stateless(Stateless),
    Captured(Captured),
}

impl Running {
    /// A listener without captures is about to be called. False when it runs already.
    pub(crate) fn begin(&mut self, owner: Handle, number: u64) -> bool {
        let registration = (owner, number);
        let runs = self.runs(registration);
        if !runs {
            self.others.push(registration);
        }
        !runs
    }

    fn runs(&self, registration: Registration) -> bool {
        self.sole == Some(registration) || self.others.contains(&registration)
    }

    /// The innermost of them returned or panicked.
    pub(crate) fn end(&mut self) {
        self.others.pop();
    }

    /// It is running: it is called with these arguments later.
    pub(crate) fn miss(&mut self, owner: Handle, number: u64, listener: MissedBy, arguments: OwnedArguments) {
        self.missed.push_back(Missed { owner, number, listener, arguments });
    }

    pub(crate) fn anyone_missed(&self) -> bool {
        !self.missed.is_empty()
    }

    /// What this one missed first.
    pub(crate) fn next_missed(&mut self, owner: Handle, number: u64) -> Option<Missed> {
        let position = self.missed.iter().position(|missed| (missed.owner, missed.number) == (owner, number))?;
        self.missed.remove(position)
    }

    /// What was missed first by one that does not run any more: it panicked.
    pub(crate) fn next_missed_by_a_panic(&mut self) -> Option<Missed> {
        let position = self.missed.iter().position(|missed| match &missed.listener {
            MissedBy::Stateless(_) => !self.runs((missed.owner, missed.number)),
            MissedBy::Captured(listener) => !listener.runs(),
        })?;
        self.missed.remove(position)
    }

    /// The owner is over: what its listeners missed, after a panic, reaches nobody.
    pub(crate) fn forget(&mut self, owner: Handle) -> impl Iterator<Item = Missed> + use<> {
        let all = if self.missed.is_empty() { VecDeque::new() } else { std::mem::take(&mut self.missed) };
        let (gone, kept): (VecDeque<_>, VecDeque<_>) = all.into_iter().partition(|missed| missed.owner == owner);
        self.missed = kept;
        gone.into_iter()
    }
}
