//! Who waits for which lookup, and what its answer leads to.
//!
//! It may touch the reactor and the resolver's vocabulary. Invariant: a lookup has one owner from its start to its answer,
//! its deadline, or the end of who asked.

use std::net::SocketAddr;

use crate::error::Error;
use crate::event_loop::core::{Core, LookupOwner, PendingLookup};
use crate::event_loop::current;
use crate::event_loop::mailbox::{Addresses, Answer};
use crate::reactor::TimerKind;
use crate::reactor::selecting::LookupId;
use crate::reactor::timers::TimerKey;
use crate::sys::resolver::{LookupFailure, Query};

/// In bytes: what libuv has room for. A longer name is refused within the call, and Node tells it in a tick.
const LONGEST_NAME: usize = 255;

impl Core {
    pub(super) fn look_up(&mut self, host: &str, owner: LookupOwner) {
        let id = self.new_lookup(owner);
        self.reactor.listen_lookup_started();
        self.ask_resolver(id, Query::of(host));
    }

    pub(super) fn new_lookup(&mut self, owner: LookupOwner) -> LookupId {
        self.last_lookup += 1;
        let id = LookupId(self.last_lookup);
        self.lookup_owners.insert(id, PendingLookup { owner, deadline: None });
        id
    }

    /// Asks the system's resolver, which has its time for it.
    pub(super) fn ask_resolver(&mut self, id: LookupId, query: Query) {
        if query.host.len() > LONGEST_NAME {
            self.next_tick(Box::new(move || {
                current::with(|core| core.lookup_finished(Answer { id, result: Err(LookupFailure::INVALID) }));
            }));
            return;
        }
        let generation = self.reactor.next_generation().get();
        let now = self.clock.now();
        // The request keeps the loop alive, the timer need not.
        let deadline = self.reactor.timers.insert(generation, self.lookup_timeout, TimerKind::Lookup, false, now);
        if let Some(pending) = self.lookup_owners.get_mut(&id) {
            pending.deadline = Some(deadline);
        }
        #[cfg(feature = "simulation")]
        if let Some(simulated) = &mut self.simulated {
            return simulated.look_up(id, &query);
        }
        #[cfg(feature = "simulation")]
        if self.is_replaying() {
            return;
        }
        self.lookups.start(id, query);
    }

    /// The resolver answered.
    pub(crate) fn lookup_finished(&mut self, answer: Answer) {
        let Some(owner) = self.take_lookup(answer.id) else { return };
        let host = match &owner {
            LookupOwner::Connect { route, .. } => route.host.clone(),
            LookupOwner::Listen { host, .. } => host.clone(),
        };
        let found = addresses(answer.result, &host);
        self.deliver(answer.id, owner, found);
    }

    /// A lookup of the user's was answered.
    pub(crate) fn custom_lookup_finished(&mut self, id: LookupId, answer: Result<Vec<SocketAddr>, Error>) {
        if let Err(error) = &answer {
            self.keep_foreign(error);
        }
        if let Some(owner) = self.take_lookup(id) {
            self.deliver(id, owner, answer);
        }
    }

    /// The resolver did not answer in time. It may still do so, to nobody.
    pub(crate) fn lookup_expired(&mut self, timer: TimerKey) {
        let found = self.lookup_owners.iter().find(|(_, pending)| pending.deadline == Some(timer));
        let Some((&id, _)) = found else { return };
        self.lookup_finished(Answer { id, result: Err(LookupFailure::AGAIN) });
    }

    pub(super) fn take_lookup(&mut self, id: LookupId) -> Option<LookupOwner> {
        let PendingLookup { owner, deadline } = self.lookup_owners.remove(&id)?;
        if let Some(deadline) = deadline {
            self.reactor.timers.remove(deadline);
        }
        #[cfg(feature = "simulation")]
        if let Some(simulated) = &mut self.simulated {
            simulated.forget(id);
        }
        self.lookups.forget(id);
        Some(owner)
    }

    fn deliver(&mut self, id: LookupId, owner: LookupOwner, answer: Result<Vec<SocketAddr>, Error>) {
        match owner {
            LookupOwner::Connect { socket, epoch, route } => {
                let found =
                    answer.and_then(|found| if found.is_empty() { Err(not_found(&route.host)) } else { Ok(found) });
                self.reactor.lookup_finished(socket, epoch, id, route, found);
            }
            LookupOwner::Listen { server, listening_id, host } => {
                // The first that is not link-local, else the first (rule S5).
                let result = answer.and_then(|found| {
                    let preferred = found.iter().find(|address| !is_link_local(address)).or(found.first());
                    preferred.copied().ok_or_else(|| not_found(&host))
                });
                self.reactor.listen_lookup_finished(server, listening_id, result);
            }
        }
    }
}

/// The resolver's answer with Node's error.
fn addresses(result: Addresses, host: &str) -> Result<Vec<SocketAddr>, Error> {
    result.map_err(|failure| lookup_error(failure, host))
}

fn not_found(host: &str) -> Error {
    lookup_error(LookupFailure::NOT_FOUND, host)
}

fn lookup_error(failure: LookupFailure, host: &str) -> Error {
    Error::lookup(failure.code, failure.errno, host)
}

/// Addresses of fe80::/10, which mean something on one link only.
fn is_link_local(address: &SocketAddr) -> bool {
    match address {
        SocketAddr::V4(_) => false,
        SocketAddr::V6(address) => address.ip().is_unicast_link_local(),
    }
}
