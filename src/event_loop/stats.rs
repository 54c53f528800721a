//! What a loop has done since it was made: [`Stats`].
//!
//! Most of it is counted where it happens seldom; bytes are added up when somebody asks, from what each connection counts
//! anyway. It may touch the loop's core, to look only.

use crate::event_loop::core::Core;
use crate::event_loop::measuring::Counts;
use crate::event_loop::{EventLoop, current};
pub use crate::reactor::counters::{AcceptErrors, Closes};
pub use crate::reactor::histogram::Histogram;

/// What a loop has done since it was made, in plain integers that only ever grow: the difference of two of them is what
/// happened in between. Not in Node.
///
/// [`EventLoop::stats`] gives it, and [`stats`] within the loop's callbacks.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that servers took from the kernel, those that were turned away at once included.
    pub accepts: u64,
    /// Connections that could not be accepted.
    pub accept_errors: AcceptErrors,
    /// Connections that were accepted and closed at once because no descriptor was left for them.
    pub shed: u64,
    /// Connections that were turned away for the sake of `max_connections`; each was a `drop` event.
    pub dropped: u64,
    /// Connections that were turned away by a block list.
    pub blocked: u64,
    /// Connections that came about: accepted and let in, connected, or adopted.
    pub opened: u64,
    /// How many of them are over, and how they ended.
    pub closes: Closes,
    /// Sockets that failed to connect.
    pub failed_connects: u64,
    /// Bytes that were read from connections.
    pub bytes_read: u64,
    /// Bytes that the kernel took from connections. What waits in this program is not among them.
    pub bytes_written: u64,
    /// Writes of which the kernel took a part only.
    pub short_writes: u64,
    /// Writes of which the kernel took nothing (`EAGAIN`): its buffer was full.
    pub blocked_writes: u64,
    /// Reads that found nothing (`EAGAIN`).
    pub blocked_reads: u64,
    /// Timeouts and intervals of the user that were due.
    pub timers: u64,
    /// Idle timeouts that were due; each was a `timeout` event.
    pub idle_timeouts: u64,
    /// Closures that other threads posted and that were called.
    pub posts: u64,
    /// Names that were looked up, with whatever result.
    pub lookups: u64,
    /// Turns of the loop, the running one included.
    pub turns: u64,
    /// Callbacks of the loop: events, timers, immediates and posts that were served, each with the ticks that followed it.
    pub callbacks: u64,
    /// Panics that the loop went on after, as [`PanicPolicy`](crate::PanicPolicy) has it.
    pub panics: u64,
    /// How long turns took: from the end of a wait to the beginning of the next.
    ///
    /// Only what the loop knows without looking at the clock for it: turns while a timer
    /// is armed, but not those of nothing but usual deliveries while it is ten seconds away; and turns that no sleep
    /// follows, those with the look at the kernel that comes instead. With
    /// [`measure_callbacks`](crate::EventLoopOptions::measure_callbacks) it is all of them.
    pub turn_lengths: Histogram,
    /// How long callbacks took, with the system calls that led to them and the ticks that followed. Empty without
    /// [`measure_callbacks`](crate::EventLoopOptions::measure_callbacks) or
    /// [`on_slow_callback`](EventLoop::on_slow_callback).
    pub callback_lengths: Histogram,
    /// How long what was read had been in the kernel. Empty without
    /// [`receive_timestamps`](crate::EventLoopOptions::receive_timestamps).
    pub receive_waits: Histogram,
}

impl Stats {
    fn of(core: &Core) -> Stats {
        let (counters, traffic) = core.reactor.counters();
        let measuring = &core.measuring;
        let Counts { posts, lookups, .. } = measuring.counts;
        Stats {
            accepts: counters.accepts,
            accept_errors: counters.accept_errors,
            shed: counters.shed,
            dropped: counters.dropped,
            blocked: counters.blocked,
            opened: traffic.connections,
            closes: counters.closes,
            failed_connects: counters.failed_connects,
            bytes_read: traffic.bytes_read,
            bytes_written: traffic.bytes_written,
            short_writes: counters.short_writes,
            blocked_writes: counters.blocked_writes,
            blocked_reads: counters.blocked_reads,
            timers: counters.timers,
            idle_timeouts: counters.idle_timeouts,
            posts,
            lookups,
            turns: core.turn,
            callbacks: core.callback - measuring.counts.idle_rounds,
            panics: core.panics.survived,
            turn_lengths: measuring.turn_lengths.histogram(),
            callback_lengths: measuring.callback_lengths.histogram(),
            receive_waits: core.reactor.stamps().map(|stamps| stamps.waits.histogram()).unwrap_or_default(),
        }
    }
}

impl EventLoop {
    /// What this loop has done so far. It looks at every connection, so that nothing has to be counted on the way of the
    /// bytes: some nanoseconds for each. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|socket| {
    ///     socket.on_data(|socket, bytes| {
    ///         socket.write(bytes);
    ///     });
    /// });
    /// server.listen(("127.0.0.1", 0))?;
    /// server.on_listening(|server| {
    ///     let client = net::connect(server.address().unwrap()).unwrap();
    ///     client.write("hello");
    ///     client.once_data(move |client, _| {
    ///         client.end();
    ///         server.close();
    ///     });
    /// });
    /// event_loop.run()?;
    /// let stats = event_loop.stats();
    /// assert_eq!((stats.accepts, stats.opened, stats.closes.ended), (1, 2, 2));
    /// assert_eq!((stats.bytes_read, stats.bytes_written), (10, 10));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn stats(&self) -> Stats {
        Stats::of(&self.inner.core.borrow())
    }
}

/// The same from within: what this thread's loop has done so far; `None` without a loop. Not in Node.
///
/// ```
/// use std::time::Duration;
/// use halfclose::{EventLoop, set_interval, stats};
///
/// let mut event_loop = EventLoop::new()?;
/// let report = set_interval(Duration::from_millis(1), || {
///     let stats = stats().unwrap();
///     println!("{} bytes in, {} bytes out", stats.bytes_read, stats.bytes_written);
///     # halfclose::stop();
/// });
/// event_loop.run()?;
/// report.clear();
/// # Ok::<(), halfclose::Error>(())
/// ```
pub fn stats() -> Option<Stats> {
    current::look_at(Stats::of)
}
