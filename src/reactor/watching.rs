//! Foreign descriptors: users' own pipes, timers and terminals, watched for readiness beside the sockets.
//!
//! The reactor neither reads nor writes them, nor does it own them: the closure that is called owns the descriptor, and
//! outlives the slot here. The poller reports readiness once; after each callback the descriptor is asked for again, so
//! what the callback left is announced in the next turn, as a level-triggered loop would.
//!
//! This module touches the poller's registration. Invariants: a watch that is not paused is registered; one that is paused
//! is not, and has no readiness; the ready list may hold tokens of watches that are gone, which name nobody.

use std::io;
use std::os::fd::RawFd;

use slab::Slab;

use crate::error::Error;
use crate::reactor::handle::Token;
use crate::reactor::ready::Announced;
use crate::reactor::serving::Served;
use crate::reactor::ticks::{Emission, Step};
use crate::reactor::{Generation, Handle, Reactor};
use crate::sys::errno::Errno;
use crate::sys::{Directions, Readiness};

/// All of them, by slot.
#[derive(Default)]
pub(crate) struct Watches {
    slots: Slab<Watched>,
}

struct Watched {
    generation: Generation,
    descriptor: RawFd,
    asked: Directions,
    announced: Announced,
    paused: bool,
    referenced: bool,
}

/// What a callback is told.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    /// Of what was asked for.
    pub(crate) ready: Directions,
    /// The other side has ended, or there is an error.
    pub(crate) closed: bool,
}

impl Watches {
    fn get(&self, watch: Handle) -> Option<&Watched> {
        self.slots.get(watch.index()).filter(|watched| watched.generation == watch.generation())
    }

    fn get_mut(&mut self, watch: Handle) -> Option<&mut Watched> {
        self.slots.get_mut(watch.index()).filter(|watched| watched.generation == watch.generation())
    }

    fn named(&mut self, token: u64) -> Option<&mut Watched> {
        let watched = self.slots.get_mut(Token::watch_index(token));
        watched.filter(|watched| Token::matches(token, watched.generation))
    }

    /// Where a fresh event is noted.
    pub(super) fn announced_of(&mut self, token: u64) -> Option<&mut Announced> {
        self.named(token).filter(|watched| !watched.paused).map(|watched| &mut watched.announced)
    }
}

impl Watched {
    /// Takes what was found since the last callback. An end or an error makes everything ready that was asked for: the
    /// read or the write says what it is.
    fn take_found(&mut self) -> Option<Found> {
        let found = std::mem::take(&mut self.announced);
        let over = Readiness::READ_CLOSED.and(Readiness::HANG_UP);
        let ready = Directions {
            readable: self.asked.readable && found.has(Readiness::READABLE.and(over)),
            writable: self.asked.writable && found.has(Readiness::WRITABLE.and(Readiness::HANG_UP)),
        };
        (ready.readable || ready.writable).then_some(Found { ready, closed: found.has(over) })
    }

    fn counts(&self) -> bool {
        self.referenced && !self.paused
    }
}

fn failed(error: &io::Error) -> Error {
    Error::exception(Errno::from_io(error), "watch")
}

impl Reactor {
    /// Begins to watch a descriptor that stays open until [`Reactor::unwatch`].
    pub(crate) fn watch(&mut self, descriptor: RawFd, asked: Directions) -> Result<Handle, Error> {
        let generation = self.generations.next();
        let vacant = self.watches.slots.vacant_entry();
        let watch = Handle::new(vacant.key(), generation);
        self.poller.watch(descriptor, token(watch), asked).map_err(|error| failed(&error))?;
        let announced = Announced::default();
        vacant.insert(Watched { generation, descriptor, asked, announced, paused: false, referenced: true });
        self.handles += 1;
        Ok(watch)
    }

    /// Ends it. False when it had ended.
    pub(crate) fn unwatch(&mut self, watch: Handle) -> bool {
        let paused = self.pause_watch(watch);
        if paused {
            self.watches.slots.remove(watch.index());
        }
        paused
    }

    /// Asks for other directions from now on. What was found so far counts no more: what is still so is found anew.
    pub(crate) fn watch_for(&mut self, watch: Handle, asked: Directions) -> Result<(), Error> {
        let Some(watched) = self.watches.get_mut(watch) else { return Ok(()) };
        if !watched.paused {
            let again = self.poller.watch_again(watched.descriptor, token(watch), asked);
            again.map_err(|error| failed(&error))?;
        }
        watched.asked = asked;
        Ok(())
    }

    /// False when there is nothing to pause.
    pub(crate) fn pause_watch(&mut self, watch: Handle) -> bool {
        let Some(watched) = self.watches.get_mut(watch) else { return false };
        if watched.counts() {
            self.handles -= 1;
        }
        if !std::mem::replace(&mut watched.paused, true) {
            // The place in the ready list stays taken until its turn.
            watched.announced.readiness = Readiness::NONE;
            // It fails only for a descriptor that was closed behind our back, and then there is nothing to end.
            let _ = self.poller.unwatch(watched.descriptor);
        }
        true
    }

    pub(crate) fn resume_watch(&mut self, watch: Handle) -> Result<(), Error> {
        let Some(watched) = self.watches.get_mut(watch).filter(|watched| watched.paused) else { return Ok(()) };
        let again = self.poller.watch(watched.descriptor, token(watch), watched.asked);
        again.map_err(|error| failed(&error))?;
        watched.paused = false;
        if watched.counts() {
            self.handles += 1;
        }
        Ok(())
    }

    pub(crate) fn set_watch_referenced(&mut self, watch: Handle, referenced: bool) {
        let Some(watched) = self.watches.get_mut(watch) else { return };
        let counted = watched.counts();
        watched.referenced = referenced;
        match (counted, watched.counts()) {
            (false, true) => self.handles += 1,
            (true, false) => self.handles -= 1,
            (false, false) | (true, true) => {}
        }
    }

    /// Whether it keeps the loop alive while it is not paused; `None` when it has ended.
    pub(crate) fn is_watch_referenced(&self, watch: Handle) -> Option<bool> {
        self.watches.get(watch).map(|watched| watched.referenced)
    }

    /// `None` when it has ended.
    pub(crate) fn is_watch_paused(&self, watch: Handle) -> Option<bool> {
        self.watches.get(watch).map(|watched| watched.paused)
    }

    /// One callback of a watch that is ready.
    pub(super) fn serve_watch(&mut self, token: u64) -> Served {
        let Some(watched) = self.watches.named(token) else { return Served::Nothing };
        let Some(found) = watched.take_found() else { return Served::Nothing };
        self.serving.spend_all();
        let watch = Handle::new(Token::watch_index(token), watched.generation);
        self.ticks.then(Step::Watched { watch });
        self.ticks.then_emit(Emission::Watch { watch, found });
        Served::Callback
    }

    /// After the callback: what it left is to be announced again.
    pub(super) fn watched(&mut self, watch: Handle) {
        let Some(watched) = self.watches.get_mut(watch).filter(|watched| !watched.paused) else { return };
        let again = self.poller.watch_again(watched.descriptor, token(watch), watched.asked);
        if let Err(error) = again {
            // The descriptor was closed behind our back. Nothing will ever be heard of it, so nobody is to wait for it.
            let error = failed(&error);
            self.pause_watch(watch);
            self.ticks.then_emit(Emission::WatchFailed { error });
        }
    }
}

fn token(watch: Handle) -> u64 {
    Token::Watch { index: watch.index(), generation: watch.generation() }.pack()
}
