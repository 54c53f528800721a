//! How an event loop is tuned: [`EventLoopOptions`].
//!
//! This module touches nothing but the default of the lookups' deadline. Invariant: the defaults are the crate's choices,
//! and what Node's are is said at each.

use std::time::Duration;

use crate::event_loop::lookup;

/// How [`EventLoop::with_options`](crate::EventLoop::with_options) makes a loop. Not in Node, whose numbers are
/// libuv's.
///
/// The order of the phases is promised, and that the tick queue is drained after each callback; these numbers are not.
///
/// ```
/// use std::time::Duration;
/// use halfclose::{EventLoop, EventLoopOptions};
///
/// let mut event_loop = EventLoop::with_options(EventLoopOptions::new().lookup_timeout(Duration::from_secs(5)))?;
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EventLoopOptions {
    pub(crate) accepts_per_turn: usize,
    pub(crate) reads_per_turn: usize,
    pub(crate) lookup_timeout: Duration,
}

impl EventLoopOptions {
    /// The defaults: 8 accepts and 16 reads per turn, 30 seconds for a lookup. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, EventLoopOptions};
    ///
    /// let event_loop = EventLoop::with_options(EventLoopOptions::new())?; // as `EventLoop::new()`
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn new() -> EventLoopOptions {
        EventLoopOptions {
            // A small batch saves turns in a burst of connections and keeps the established ones waiting for less
            // than one such batch.
            accepts_per_turn: 8,
            // A megabyte at most before the next socket has its turn.
            reads_per_turn: 16,
            lookup_timeout: lookup::DEFAULT_TIMEOUT,
        }
    }

    /// How long the system's resolver may take for a name; default 30 seconds, at least a millisecond. Then the lookup
    /// fails with `EAI_AGAIN`, as it does when the resolver's servers do not answer. Not in Node, which waits for ever.
    ///
    /// Four names are looked up at a time. One that takes long is not interrupted by this, it only keeps nobody
    /// waiting; the others wait for it to end when all four do so.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, EventLoopOptions, net};
    ///
    /// let options = EventLoopOptions::new().lookup_timeout(Duration::from_secs(5));
    /// let event_loop = EventLoop::with_options(options)?;
    /// let socket = net::connect(("localhost", 1))?; // connects, or fails, at most five seconds later
    /// assert!(socket.connecting());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn lookup_timeout(mut self, timeout: Duration) -> EventLoopOptions {
        self.lookup_timeout = timeout;
        self
    }

    /// How many connections one server accepts per turn; default 8, at least 1. Node's number is 1. Not in Node as an
    /// option.
    ///
    /// ```
    /// use halfclose::{EventLoop, EventLoopOptions};
    ///
    /// let event_loop = EventLoop::with_options(EventLoopOptions::new().accepts_per_turn(1))?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn accepts_per_turn(mut self, accepts: usize) -> EventLoopOptions {
        self.accepts_per_turn = accepts;
        self
    }

    /// How many times one socket is read per turn, up to 64 KiB each; default 16, at least 1. Node's number is 32. Not
    /// in Node as an option.
    ///
    /// ```
    /// use halfclose::{EventLoop, EventLoopOptions};
    ///
    /// let event_loop = EventLoop::with_options(EventLoopOptions::new().reads_per_turn(32))?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn reads_per_turn(mut self, reads: usize) -> EventLoopOptions {
        self.reads_per_turn = reads;
        self
    }
}

impl Default for EventLoopOptions {
    fn default() -> EventLoopOptions {
        EventLoopOptions::new()
    }
}
