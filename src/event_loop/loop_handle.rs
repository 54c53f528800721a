//! What other threads may do with a loop, and what keeps it waiting for them.
//!
//! It may touch the mailbox. Invariant: nothing of the loop itself is reachable from another thread.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::event_loop::mailbox::{Mailbox, Posted};

/// A loop, seen from other threads: `Send`, and cheap to clone.
///
/// It does not keep [`EventLoop::run`](crate::EventLoop::run) going, nor the loop alive; for that there is
/// [`EventLoop::keep_alive`](crate::EventLoop::keep_alive).
///
/// ```
/// use halfclose::EventLoop;
///
/// let mut event_loop = EventLoop::new()?;
/// let guard = event_loop.keep_alive();
/// let handle = event_loop.handle();
/// let worker = std::thread::spawn(move || {
///     let result = 6 * 7; // slow work
///     let posted = handle.post(move || {
///         println!("on the loop's thread: {result}");
///         halfclose::stop();
///     });
///     assert!(posted.is_ok());
/// });
/// event_loop.run()?;
/// worker.join().unwrap();
/// drop(guard);
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Clone)]
pub struct LoopHandle {
    mailbox: Arc<Mailbox>,
}

impl LoopHandle {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> LoopHandle {
        LoopHandle { mailbox }
    }

    /// Runs `call` on the loop's thread, in the poll phase: first posted, first run, a bounded number per turn.
    ///
    /// A closure that is still waiting when the loop is dropped is dropped with it, on the loop's thread.
    ///
    /// # Errors
    ///
    /// The closure itself, when the loop is gone.
    pub fn post(&self, call: impl FnOnce() + Send + 'static) -> Result<(), Posted> {
        self.mailbox.post(Box::new(call))
    }

    /// Makes a waiting [`EventLoop::turn`](crate::EventLoop::turn) return, and [`EventLoop::run`](crate::EventLoop::run)
    /// look around once.
    pub fn wake(&self) {
        // It fails only when the loop's descriptors are gone, and then there is nobody to wake.
        let _ = self.mailbox.wake();
    }

    /// Makes [`EventLoop::run`](crate::EventLoop::run) return after the callback that is running: as
    /// [`stop`](crate::stop), from any thread.
    pub fn stop(&self) {
        self.mailbox.stop();
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LoopHandle").finish_non_exhaustive()
    }
}

/// Keeps [`EventLoop::run`](crate::EventLoop::run) going while it lives: what a referenced handle does in Node.
#[derive(Debug)]
pub struct KeepAlive {
    guards: Rc<Cell<usize>>,
}

impl KeepAlive {
    pub(crate) fn new(guards: Rc<Cell<usize>>) -> KeepAlive {
        guards.set(guards.get() + 1);
        KeepAlive { guards }
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.guards.set(self.guards.get().saturating_sub(1));
    }
}
