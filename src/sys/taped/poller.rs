//! Readiness and time, taped or not.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::time::Instant;

use super::tape::{Answer, Call, Field, Tape, put_number};
use super::{AsSource, Waker, not_supported, of_live};
use crate::sys::clock::{Time, Wait};
use crate::sys::poller::{Directions, Event, Readiness, WAKE_TOKEN};
use crate::sys::simulated::current_tape;
use crate::sys::simulated::switch::{Clock as LiveClock, Poller as LivePoller};

/// The selector of a loop. One that replays has a live one, too: it has the loop's descriptor, and its waker.
pub(crate) struct Poller {
    live: LivePoller,
    tape: Option<Taped>,
}

/// What the latest wait found, as the tape has it.
struct Taped {
    tape: Tape,
    events: Vec<Event>,
    served: usize,
    may_hold_more: bool,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let tape = current_tape().map(|tape| Taped { tape, events: Vec::new(), served: 0, may_hold_more: false });
        Ok(Self { live: LivePoller::new()?, tape })
    }

    pub(crate) fn register(&self, source: &impl AsSource, token: u64) -> io::Result<()> {
        let live = || of_live(source.live(), |source| self.live.register(source, token));
        match &self.tape {
            None => live(),
            Some(taped) => taped.tape.unit(Call::Register, source.number(), live),
        }
    }

    pub(crate) fn deregister(&self, source: &impl AsSource) -> io::Result<()> {
        let live = || of_live(source.live(), |source| self.live.deregister(source));
        match &self.tape {
            None => live(),
            Some(taped) => taped.tape.unit(Call::Deregister, source.number(), live),
        }
    }

    #[inline(always)]
    pub(crate) fn poll(&mut self, wait: impl Into<Wait>) -> io::Result<()> {
        match &mut self.tape {
            None => self.live.poll(wait),
            Some(taped) => taped.poll(&mut self.live, wait.into()),
        }
    }

    #[inline]
    pub(crate) fn events(&self) -> impl Iterator<Item = Event> {
        let live = if self.tape.is_none() { Some(self.live.events()) } else { None };
        let taped = self.tape.as_ref().map(|taped| taped.events.iter().skip(taped.served).copied());
        live.into_iter().flatten().chain(taped.into_iter().flatten())
    }

    #[inline]
    pub(crate) fn current(&self) -> Option<Event> {
        match &self.tape {
            None => self.live.current(),
            Some(taped) => taped.events.get(taped.served).copied(),
        }
    }

    #[inline]
    pub(crate) fn advance(&mut self) {
        match &mut self.tape {
            None => self.live.advance(),
            Some(taped) => taped.served += 1,
        }
    }

    pub(crate) fn advance_to_end(&mut self) {
        match &mut self.tape {
            None => self.live.advance_to_end(),
            Some(taped) => taped.served = taped.events.len(),
        }
    }

    pub(crate) fn waker(&self) -> io::Result<Waker> {
        self.live.waker()
    }

    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.live.duplicate()
    }

    /// What foreign descriptors say is for those who read them, and that is not on tape.
    pub(crate) fn watch(&self, descriptor: RawFd, token: u64, directions: Directions) -> io::Result<()> {
        if self.tape.is_some() { Err(not_supported()) } else { self.live.watch(descriptor, token, directions) }
    }

    pub(crate) fn watch_again(&self, descriptor: RawFd, token: u64, directions: Directions) -> io::Result<()> {
        if self.tape.is_some() { Err(not_supported()) } else { self.live.watch_again(descriptor, token, directions) }
    }

    pub(crate) fn unwatch(&self, descriptor: RawFd) -> io::Result<()> {
        if self.tape.is_some() { Err(not_supported()) } else { self.live.unwatch(descriptor) }
    }

    pub(crate) fn may_hold_more(&self) -> bool {
        self.tape.as_ref().map_or_else(|| self.live.may_hold_more(), |taped| taped.may_hold_more)
    }
}

impl Taped {
    fn poll(&mut self, live: &mut LivePoller, wait: Wait) -> io::Result<()> {
        self.events.clear();
        self.served = 0;
        let offset = self.tape.offset();
        let made = || {
            live.poll(wait)?;
            let events: Vec<Event> = live.events().collect();
            Ok((events, live.may_hold_more()))
        };
        let answer = self.tape.call(Call::Wait, 0, made, |(events, more), entry| {
            entry.push(u8::from(*more));
            for event in events {
                // Nobody has the waker's token, so zero is free.
                let token = if event.token == WAKE_TOKEN { 0 } else { event.token.wrapping_sub(offset) };
                put_number(entry, token);
                entry.push(event.readiness.bits());
            }
        })?;
        (self.events, self.may_hold_more) = match answer {
            Answer::Live(found) => found,
            Answer::Taped(entry) => self.tape.decoded(events_in(&entry, offset))?,
        };
        Ok(())
    }
}

fn events_in(entry: &[u8], offset: u64) -> Option<(Vec<Event>, bool)> {
    let mut field = Field(entry);
    let more = field.byte()? != 0;
    let mut events = Vec::new();
    // Bounded by the entry: each round takes some of it.
    while !field.0.is_empty() {
        let token = field.number()?;
        let token = if token == 0 { WAKE_TOKEN } else { token.wrapping_add(offset) };
        events.push(Event { token, readiness: Readiness::from_bits(field.byte()?) });
    }
    Some((events, more))
}

#[derive(Debug)]
pub(crate) struct Clock {
    live: LiveClock,
    tape: Option<Tape>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { live: LiveClock::new(), tape: current_tape() }
    }

    #[inline]
    pub(crate) fn now(&self) -> Time {
        match &self.tape {
            None => self.live.now(),
            Some(tape) => Time::from_nanoseconds(tape.time(|| Time::ZERO.until(self.live.now()))),
        }
    }

    /// By the clock of whoever asks: an `Instant` has no place on a tape.
    pub(crate) fn instant_of(&self, time: Time) -> Option<Instant> {
        self.live.instant_of(time)
    }
}
