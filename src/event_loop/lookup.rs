//! Name lookup off the loop's thread: the system's resolver blocks, so it runs on a few threads of its own.
//!
//! Threads are started when there is work and end when there is none. What it may touch: `sys::resolver` from those
//! threads, and the loop's mailbox to deliver the answers. Invariant: every request is answered exactly once, in the poll
//! phase, unless the loop is gone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::event_loop::mailbox::{Answer, Mailbox};
use crate::sys::resolver::{self, LookupFailure};

/// How many lookups run at once: as many as libuv's thread pool has.
const MAX_THREADS: usize = 4;

pub(crate) struct Request {
    pub(crate) id: usize,
    pub(crate) host: String,
}

/// The loop's side.
pub(crate) struct Lookups {
    queue: Arc<Mutex<Queue>>,
    mailbox: Arc<Mailbox>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Request>,
    threads: usize,
}

impl Lookups {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Lookups {
        Lookups { queue: Arc::default(), mailbox }
    }

    pub(crate) fn start(&self, request: Request) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.waiting.push_back(request);
        if queue.threads == MAX_THREADS {
            return;
        }
        queue.threads += 1;
        drop(queue);
        let (queue, mailbox) = (self.queue.clone(), self.mailbox.clone());
        let spawned = thread::Builder::new().name("halfclose-lookup".into()).spawn(move || work(&queue, &mailbox));
        if spawned.is_err() {
            // No thread to be had: if another one runs, it takes the request; else everybody who waits is told.
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.threads -= 1;
            if queue.threads == 0 {
                for request in queue.waiting.drain(..) {
                    self.mailbox.answer(Answer { id: request.id, result: Err(LookupFailure::NO_MEMORY) });
                }
            }
        }
    }
}

impl Drop for Lookups {
    fn drop(&mut self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).waiting.clear();
    }
}

/// One thread: takes requests until there are none.
fn work(queue: &Mutex<Queue>, mailbox: &Mailbox) {
    loop {
        let mut waiting = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(request) = waiting.waiting.pop_front() else {
            waiting.threads -= 1;
            return;
        };
        drop(waiting);
        mailbox.answer(Answer { id: request.id, result: resolver::resolve(&request.host) });
    }
}
