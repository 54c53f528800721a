//! What other threads may do with a loop, and what keeps it waiting for them.
//!
//! It may touch the mailbox. Invariant: nothing of the loop itself is reachable from another thread.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::event_loop::current;
use crate::event_loop::mailbox::{Mailbox, Posted};

/// A loop, seen from other threads: `Send`, and cheap to clone. Not in Node, whose threads have a loop each and send
/// messages.
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
///         assert_eq!(result, 42); // on the loop's thread
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

    /// Runs `call` on the loop's thread, in the poll phase: first posted, first run, up to 1,024 per turn. Not in Node.
    ///
    /// A closure that is still waiting when the loop is dropped is dropped with it, on the loop's thread.
    ///
    /// # Errors
    ///
    /// The closure itself, when the loop is gone.
    ///
    /// ```
    /// use halfclose::{EventLoop, Phase, position};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// assert!(handle.post(|| assert_eq!(position().unwrap().phase, Phase::Poll)).is_ok());
    /// event_loop.run()?;
    /// drop(event_loop);
    /// assert!(handle.post(|| unreachable!()).is_err());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn post(&self, call: impl FnOnce() + Send + 'static) -> Result<(), Posted> {
        self.mailbox.post(Box::new(call))
    }

    /// Makes a waiting [`EventLoop::turn`](crate::EventLoop::turn) return, and
    /// [`EventLoop::run`](crate::EventLoop::run) look around once. Not in Node.
    ///
    /// ```
    /// use halfclose::EventLoop;
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let guard = event_loop.keep_alive(); // or there would be nothing to wait for
    /// let handle = event_loop.handle();
    /// let worker = std::thread::spawn(move || handle.wake());
    /// event_loop.turn(None)?;
    /// worker.join().unwrap();
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn wake(&self) {
        // It fails only when the loop's descriptors are gone, and then there is nobody to wake.
        let _ = self.mailbox.wake();
    }

    /// Makes [`EventLoop::run`](crate::EventLoop::run) return after the callback that is running: as
    /// [`stop`](crate::stop), from any thread. Not in Node.
    ///
    /// ```
    /// use halfclose::EventLoop;
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let guard = event_loop.keep_alive();
    /// let handle = event_loop.handle();
    /// let worker = std::thread::spawn(move || handle.stop());
    /// event_loop.run()?; // would go on for ever
    /// worker.join().unwrap();
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn stop(&self) {
        self.mailbox.stop();
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LoopHandle").finish_non_exhaustive()
    }
}

/// Keeps [`EventLoop::run`](crate::EventLoop::run) going while it lives: what a referenced handle does in Node. Made by
/// [`EventLoop::keep_alive`](crate::EventLoop::keep_alive).
///
/// ```
/// use halfclose::{EventLoop, KeepAlive};
///
/// let mut event_loop = EventLoop::new()?;
/// let guard: KeepAlive = event_loop.keep_alive();
/// assert!(event_loop.turn(Some(std::time::Duration::ZERO))?);
/// drop(guard);
/// assert!(!event_loop.turn(None)?);
/// # Ok::<(), halfclose::Error>(())
/// ```
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
        // The loop may have no reason to go on; it looks again after any command.
        current::with(|_| {});
    }
}
