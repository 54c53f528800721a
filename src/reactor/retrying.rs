//! What failed for want of memory or descriptors, and is tried again a moment later.
//!
//! Readiness is edge-triggered and the descriptor stays ready all the while, so no event of the kernel's would ever bring
//! such a call back; and asking in every turn would be a busy loop for as long as the want lasts. So the tokens wait here
//! for one timer, and are then served as if the kernel had announced them.
//!
//! Who waits: servers whose accept failed, where what waits in the backlog could not be turned away either (libuv asks again
//! in every turn), and writes that the kernel had no buffers for (libuv takes `ENOBUFS` for `EAGAIN`).
//!
//! This module touches nothing outside the reactor. Invariant: while a token waits, the timer is armed; a token whose
//! descriptor is gone does nothing.

use std::time::Duration;

use crate::error::Error;
use crate::reactor::admission::Pause;
use crate::reactor::handle::Token;
use crate::reactor::servers::Server;
use crate::reactor::ticks::Emission;
use crate::reactor::timers::TimerKey;
use crate::reactor::{Handle, Reactor, TimerKind};
use crate::sys::errno::Errno;
use crate::sys::{Readiness, Time};

/// How long a call that failed for want of something is left alone: ten attempts a second cost nothing that could be
/// measured, and who waits in a backlog is served soon after there is room again.
const PAUSE: Duration = Duration::from_millis(100);

/// An episode of failures is over when this long went by without one: ten attempts in a row that succeeded, or that
/// nobody made.
const EPISODE: Duration = Duration::from_secs(1);

/// Who waits for the next attempt.
#[derive(Default)]
pub(crate) struct Retries {
    tokens: Vec<u64>,
    timer: Option<TimerKey>,
}

impl Reactor {
    /// accept(2) failed. True when `accept_error` is to be emitted.
    ///
    /// An error that took a connection with it costs nothing but that connection: the next one is accepted at once. When
    /// descriptors run out the reserve is spent to turn the waiting peers away (rule S36). Where that is not possible, or
    /// the kernel wants for anything else, those who wait stay in the backlog and the server takes a pause.
    #[cold]
    pub(super) fn accept_failed(&mut self, server: Handle, errno: Errno) -> bool {
        self.counters.accept_failed(errno);
        if errno.is_of_an_incoming_connection() {
            return false;
        }
        let now = self.now;
        let Some(found) = self.servers.get_mut(server.index()) else { return false };
        let Some(listener) = &mut found.listener else { return false };
        let out_of_descriptors = errno == Errno::TOO_MANY_FILES || errno == Errno::TOO_MANY_FILES_IN_SYSTEM;
        // Shedding is bounded: what may be left is looked at again.
        let shed = out_of_descriptors.then(|| self.reserve.shed(&listener.acceptor).ok()).flatten();
        self.counters.shed += shed.unwrap_or(0) as u64;
        let begins = match shed {
            // Linux looks for a descriptor before it looks for a connection: nobody waits.
            Some(0) => {
                found.announced.remove(Readiness::READABLE);
                return false;
            }
            Some(_) => found.failure_begins_an_episode(now),
            None => {
                // Those who wait stay announced: no event of the kernel's would tell of them again.
                found.paused = Some(Pause::Want);
                let token = Token::Server { index: server.index(), descriptor: listener.descriptor }.pack();
                let begins = found.failure_begins_an_episode(now);
                self.try_again_later(token);
                begins
            }
        };
        if begins {
            self.ticks.then_emit(Emission::AcceptFailed { server, error: Error::exception(errno, "accept") });
        }
        begins
    }

    /// The kernel had no buffers for a write in flight.
    #[cold]
    pub(super) fn write_again_later(&mut self, socket: Handle) {
        let Some(descriptor) = self.live(socket).and_then(|connection| connection.descriptor()) else { return };
        self.try_again_later(Token::Connection { index: socket.index(), descriptor }.pack());
    }

    fn try_again_later(&mut self, token: u64) {
        self.retries.tokens.push(token);
        if self.retries.timer.is_none() {
            let generation = self.generations.next().get();
            // Who waits keeps the loop alive, if he is to.
            self.retries.timer = Some(self.timers.insert(generation, PAUSE, TimerKind::Retry, false, self.now));
        }
    }

    /// The pause is over: all who waited are served in the next poll phase.
    pub(super) fn retry(&mut self, timer: TimerKey) {
        self.timers.remove(timer);
        self.retries.timer = None;
        self.reserve.restore();
        // Bounded by those who failed within one pause.
        for token in std::mem::take(&mut self.retries.tokens) {
            if Token::is_server(token) {
                self.end_want(token);
                continue;
            }
            let Some(announced) = self.connections.announced_of(token) else { continue };
            announced.add(Readiness::WRITABLE);
            if !std::mem::replace(&mut announced.queued, true) {
                self.ready.push(token);
            }
        }
    }

    /// Accepts again at the acceptor that `token` names, not at another one that the server has by now.
    fn end_want(&mut self, token: u64) {
        let index = Token::index(token);
        let Some(found) = self.servers.get(index) else { return };
        let same = found.listener.as_ref().is_some_and(|listener| Token::matches(token, listener.descriptor));
        if same && found.paused == Some(Pause::Want) {
            self.accept_again(index);
        }
    }

    /// How many timers there are, but for the one of this module: that is no one's in particular.
    pub(crate) fn timer_count(&self) -> usize {
        self.timers.len() - usize::from(self.retries.timer.is_some())
    }
}

impl Server {
    /// Whether a failure at `now` is the first one in a while.
    fn failure_begins_an_episode(&mut self, now: Time) -> bool {
        let last = self.last_failure.replace(now);
        last.is_none_or(|last| last.saturating_add(EPISODE) <= now)
    }
}
