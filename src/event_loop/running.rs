//! Which listeners are running, and what they missed.
//!
//! A listener that runs is never entered again (it is an `FnMut`). An emission that its own commands cause reaches it
//! right after it returns. A closure with captures knows by itself that it is borrowed; for one without, it is noted
//! here.
//!
//! This module touches nothing and calls nobody. Invariant: what is given back may have a destructor of the user's.

use std::collections::VecDeque;

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
    missed: VecDeque<(Registration, OwnedArguments)>,
}

impl Running {
    /// A listener without captures is about to be called. False when it runs already.
    pub(crate) fn begin(&mut self, owner: Handle, number: u64) -> bool {
        let registration = (owner, number);
        let runs = self.sole == Some(registration) || self.others.contains(&registration);
        if !runs {
            self.others.push(registration);
        }
        !runs
    }

    /// The innermost of them returned or panicked.
    pub(crate) fn end(&mut self) {
        self.others.pop();
    }

    /// It is running: it is called with these arguments later.
    pub(crate) fn miss(&mut self, owner: Handle, number: u64, arguments: OwnedArguments) {
        self.missed.push_back(((owner, number), arguments));
    }

    /// What this one missed first.
    pub(crate) fn next_missed(&mut self, owner: Handle, number: u64) -> Option<OwnedArguments> {
        let position = self.missed.iter().position(|(missed_by, _)| *missed_by == (owner, number))?;
        self.missed.remove(position).map(|(_, arguments)| arguments)
    }

    /// The owner's slot is free: what its listeners missed, after a panic, reaches nobody.
    pub(crate) fn forget(&mut self, owner: Handle) -> impl Iterator<Item = OwnedArguments> {
        let all = if self.missed.is_empty() { VecDeque::new() } else { std::mem::take(&mut self.missed) };
        let (gone, kept): (VecDeque<_>, VecDeque<_>) = all.into_iter().partition(|((whose, _), _)| *whose == owner);
        self.missed = kept;
        gone.into_iter().map(|(_, arguments)| arguments)
    }
}
