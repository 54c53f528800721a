//! Name lookup off the loop's thread: the system's resolver blocks, so it runs on a few threads of its own.
//!
//! Threads are started when there is work and end when there is none. Those who ask for the same name at the same time
//! share one question; who gives up waiting leaves the queue, and a question that nobody waits for is not asked.
//!
//! What it may touch: `sys::resolver` from those threads, and the loop's mailbox to deliver the answers. Invariant: every
//! request that is not canceled is answered exactly once, in the poll phase, unless the loop is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub(crate) use crate::event_loop::mailbox::Addresses;
use crate::event_loop::mailbox::{Answer, Mailbox};
use crate::reactor::selecting::LookupId;
pub(crate) use crate::sys::resolver::Query;
use crate::sys::resolver::{self, LookupFailure};

/// How many lookups run at once: as many as libuv's thread pool has.
pub(crate) const MAX_THREADS: usize = 4;

/// How long a lookup may take unless the loop's options say otherwise: what `resolv.conf` allows by default with the most
/// servers it can name, that is 5 seconds, two attempts, three servers. Then the system itself has given up.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// What the threads ask: the system, except in tests.
pub(crate) trait Resolver: Send + Sync {
    /// May block.
    fn resolve(&self, query: &Query) -> Addresses;
}

struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, query: &Query) -> Addresses {
        resolver::resolve(query)
    }
}

/// The loop's side.
pub(crate) struct Lookups {
    queue: Arc<Mutex<Queue>>,
    mailbox: Arc<Mailbox>,
    resolver: Arc<dyn Resolver>,
    /// What each request that is not answered asked for.
    queries: BTreeMap<LookupId, Query>,
}

#[derive(Default)]
struct Queue {
    /// Questions that no thread has taken yet, first come, first served.
    waiting: BTreeMap<u64, Query>,
    asked: BTreeMap<Query, Asked>,
    next_place: u64,
    threads: usize,
}

/// One question, and who waits for its answer.
struct Asked {
    ids: BTreeSet<LookupId>,
    /// Its place among those that wait; `None` once a thread has taken it.
    place: Option<u64>,
}

impl Lookups {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Lookups {
        Lookups { queue: Arc::default(), mailbox, resolver: Arc::new(SystemResolver), queries: BTreeMap::new() }
    }

    pub(crate) fn start(&mut self, id: LookupId, query: Query) {
        self.queries.insert(id, query.clone());
        let mut queue = lock(&self.queue);
        if !queue.ask(id, query) || queue.threads == MAX_THREADS {
            return;
        }
        queue.threads += 1;
        drop(queue);
        let (queue, mailbox, resolver) = (self.queue.clone(), self.mailbox.clone(), self.resolver.clone());
        let work = move || work(&queue, &mailbox, &*resolver);
        if thread::Builder::new().name("halfclose-lookup".into()).spawn(work).is_err() {
            // No thread to be had: if another one runs, it takes the question; else everybody who waits is told.
            let mut queue = lock(&self.queue);
            queue.threads -= 1;
            if queue.threads == 0 {
                queue.waiting.clear();
                for id in std::mem::take(&mut queue.asked).into_values().flat_map(|asked| asked.ids) {
                    self.mailbox.answer(Answer { id, result: Err(LookupFailure::NO_MEMORY) });
                }
            }
        }
    }

    /// Another resolver, for tests.
    #[cfg(test)]
    pub(crate) fn set_resolver(&mut self, resolver: Arc<dyn Resolver>) {
        self.resolver = resolver;
    }

    /// How many requests are not answered, how many questions they are, and how many of these no thread has taken.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let queue = lock(&self.queue);
        (self.queries.len(), queue.asked.len(), queue.waiting.len())
    }

    /// Nobody waits for this one any more, or it was answered.
    pub(crate) fn forget(&mut self, id: LookupId) {
        let Some(query) = self.queries.remove(&id) else { return };
        let mut queue = lock(&self.queue);
        let Some(asked) = queue.asked.get_mut(&query) else { return };
        asked.ids.remove(&id);
        if asked.ids.is_empty() {
            // A thread that asks already cannot be stopped; its answer then goes to nobody, or to who asks meanwhile.
            if let Some(place) = asked.place {
                queue.waiting.remove(&place);
                queue.asked.remove(&query);
            }
        }
    }
}

impl Drop for Lookups {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        queue.waiting.clear();
        queue.asked.clear();
    }
}

impl Queue {
    /// True when this is a new question.
    fn ask(&mut self, id: LookupId, query: Query) -> bool {
        if let Some(asked) = self.asked.get_mut(&query) {
            asked.ids.insert(id);
            return false;
        }
        let place = self.next_place;
        self.next_place += 1;
        self.waiting.insert(place, query.clone());
        self.asked.insert(query, Asked { ids: BTreeSet::from([id]), place: Some(place) });
        true
    }

    fn take(&mut self) -> Option<Query> {
        let (_, query) = self.waiting.pop_first()?;
        if let Some(asked) = self.asked.get_mut(&query) {
            asked.place = None;
        }
        Some(query)
    }
}

/// One thread: takes questions until there are none.
fn work(queue: &Mutex<Queue>, mailbox: &Mailbox, resolver: &dyn Resolver) {
    // Bounded by the requests that wait: without one the thread ends.
    loop {
        let mut waiting = lock(queue);
        let Some(query) = waiting.take() else {
            waiting.threads -= 1;
            return;
        };
        drop(waiting);
        let result = resolver.resolve(&query);
        let asked = lock(queue).asked.remove(&query);
        for id in asked.into_iter().flat_map(|asked| asked.ids) {
            mailbox.answer(Answer { id, result: result.clone() });
        }
    }
}

/// Nothing that is called under the lock can panic halfway, so a poisoned lock still guards a sound queue.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
