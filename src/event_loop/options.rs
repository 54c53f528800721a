//! How an event loop is tuned: [`EventLoopOptions`].
//!
//! This module touches nothing but the default of the lookups' deadline. Invariant: the defaults are the crate's choices,
//! and what Node's are is said at each.

use std::time::Duration;

use crate::event_loop::lookup;
use crate::event_loop::panics::PanicPolicy;
use crate::event_loop::spinning::Spin;

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
    pub(crate) bytes_per_turn: usize,
    pub(crate) max_buffered_total: Option<usize>,
    pub(crate) lookup_timeout: Duration,
    pub(crate) spin: Spin,
    pub(crate) measure_callbacks: bool,
    pub(crate) panic_policy: PanicPolicy,
    pub(crate) receive_timestamps: bool,
}

impl EventLoopOptions {
    /// The defaults: 8 accepts and 16 reads per turn, 30 seconds for a lookup, no spinning, no cap for output that waits, no
    /// measuring; panics come out of `run`. Not in Node.
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
            bytes_per_turn: usize::MAX,
            max_buffered_total: None,
            lookup_timeout: lookup::DEFAULT_TIMEOUT,
            spin: Spin::Never,
            measure_callbacks: false,
            panic_policy: PanicPolicy::Propagate,
            receive_timestamps: false,
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

    /// How many bytes one socket is read per turn, beside [`reads_per_turn`](EventLoopOptions::reads_per_turn): once it was
    /// given that many, the others come first. Default: any number, which is a megabyte with the default of that. Not in
    /// Node.
    ///
    /// It is looked at after each read of up to 64 KiB, so a socket gets up to one read more than this, and at least one.
    ///
    /// ```
    /// use halfclose::{EventLoop, EventLoopOptions};
    ///
    /// // One read of 64 KiB, and the next socket's turn.
    /// let event_loop = EventLoop::with_options(EventLoopOptions::new().bytes_per_turn(64 << 10))?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn bytes_per_turn(mut self, bytes: usize) -> EventLoopOptions {
        self.bytes_per_turn = bytes;
        self
    }

    /// How many bytes of output may wait on all sockets of the loop together; default: any number. Not in Node.
    ///
    /// A write that would let more wait is refused, whatever its socket may have waiting: nothing of it is sent, `write`
    /// returns false, its callback is given `ERR_LOOP_MAX_BUFFERED`, and
    /// [`write_refused`](crate::net::Socket::on_write_refused) is emitted. What counts is said at
    /// [`SocketOptions::max_buffered`](crate::net::SocketOptions::max_buffered): a write fits if it may wait whole.
    ///
    /// From then on servers leave new connections in the backlog, and emit [`pause`](crate::net::Server::on_pause) when
    /// they would accept one, until no more than half of this waits. Then they emit
    /// [`resume`](crate::net::Server::on_resume). A loop with this option looks at every write
    /// before the kernel is tried, which costs some tens of instructions each.
    ///
    /// ```
    /// use halfclose::{EventLoop, EventLoopOptions, net};
    ///
    /// let mut event_loop = EventLoop::with_options(EventLoopOptions::new().max_buffered_total(1024))?;
    /// let socket = net::connect(("127.0.0.1", 1))?; // what is written waits for the connection
    /// # socket.on_error(|_, _| {});
    /// socket.write_with(vec![0; 1000], |_, _| {});
    /// assert_eq!(event_loop.buffered(), 1000);
    /// socket.write_with(vec![0; 25], |_, result| assert_eq!(result.unwrap_err().code(), Some("ERR_LOOP_MAX_BUFFERED")));
    /// assert_eq!(event_loop.buffered(), 1000);
    /// event_loop.run()?;
    /// assert_eq!(event_loop.buffered(), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn max_buffered_total(mut self, bytes: usize) -> EventLoopOptions {
        self.max_buffered_total = Some(bytes);
        self
    }

    /// Before the loop sleeps, it asks the kernel again and again for as long as `limit`: default zero, which is not at
    /// all. Not in Node.
    ///
    /// To sleep and to be woken takes tens of microseconds, and every event that finds the loop asleep pays for it. A loop
    /// that spins serves an event that comes within `limit` at once, and burns its core meanwhile, also when nothing ever
    /// comes: up to `limit` before each sleep. With a limit of hours it never sleeps. It pays only where the thread has a
    /// core to itself; [`spin_adaptively`](EventLoopOptions::spin_adaptively) is the modest way. Of the two the one given
    /// last holds.
    ///
    /// Nothing else changes. The order of events is the same; timers, other threads and the timeout of
    /// [`EventLoop::turn`](crate::EventLoop::turn) end the spinning as they end a sleep; a turn with a timeout of zero
    /// does not spin.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, EventLoopOptions, set_timeout};
    ///
    /// let options = EventLoopOptions::new().spin_before_wait(Duration::from_micros(100));
    /// let mut event_loop = EventLoop::with_options(options)?;
    /// set_timeout(Duration::from_millis(1), || {}); // a tenth of the wait for it is spun through
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn spin_before_wait(mut self, limit: Duration) -> EventLoopOptions {
        self.spin = if limit.is_zero() { Spin::Never } else { Spin::Always(limit) };
        self
    }

    /// As [`spin_before_wait`](EventLoopOptions::spin_before_wait), and only while it pays: while at least 8 of the latest
    /// 16 waits were ended by an event within `limit`. Default zero: no spinning. Not in Node.
    ///
    /// A wait begins when the loop has nothing left to do, and its length is measured whether the loop spins or sleeps.
    /// Waits that a timer or the timeout of a turn ends before `limit` do not count. So a new loop sleeps; a stretch of
    /// frequent events makes it spin from the ninth on; a single pause changes nothing; and a loop that falls silent spins
    /// nine times in vain, then sleeps. Where events are rarer than `limit` it costs two looks at the clock for each.
    ///
    /// The time that it takes to be woken is part of a wait that was slept. A `limit` should therefore be about twice the
    /// gap that is to be caught, and more than what a wake-up takes: 50 to 200 microseconds are usual.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, EventLoopOptions};
    ///
    /// let options = EventLoopOptions::new().spin_adaptively(Duration::from_micros(100));
    /// let mut event_loop = EventLoop::with_options(options)?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn spin_adaptively(mut self, limit: Duration) -> EventLoopOptions {
        self.spin = if limit.is_zero() { Spin::Never } else { Spin::Adaptive(limit) };
        self
    }

    /// Whether callbacks are measured, and every turn: [`Stats::callback_lengths`](crate::Stats::callback_lengths) and
    /// [`Stats::turn_lengths`](crate::Stats::turn_lengths). Default false, because the clock is then read once for each
    /// callback, and the usual deliveries do not go the short way. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, EventLoopOptions, set_immediate};
    ///
    /// let mut event_loop = EventLoop::with_options(EventLoopOptions::new().measure_callbacks(true))?;
    /// set_immediate(|| println!("this takes a while"));
    /// event_loop.run()?;
    /// println!("the longest callback took {:?}", event_loop.stats().callback_lengths.longest);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn measure_callbacks(mut self, measure: bool) -> EventLoopOptions {
        self.measure_callbacks = measure;
        self
    }

    /// Whether reads ask the kernel when it received what they give: [`Stats::receive_waits`](crate::Stats::receive_waits)
    /// and [`Socket::receive_wait`](crate::net::Socket::receive_wait) then say how long bytes waited until the loop came to
    /// read them. Default false, because each read is a larger system call, and does not go the short way: about a tenth
    /// more for an echo. Not in Node.
    ///
    /// Linux does this for TCP (`SO_TIMESTAMPNS`); elsewhere, and for unix sockets, there are no such times. A read has the
    /// time of its last byte, so those before it waited longer. It is told by the wall clock, which may be set meanwhile.
    /// The first bytes of a connection may have none, and a connection that was adopted has none until its second read.
    ///
    /// ```
    /// use halfclose::{EventLoop, EventLoopOptions};
    ///
    /// let mut event_loop = EventLoop::with_options(EventLoopOptions::new().receive_timestamps(true))?;
    /// event_loop.run()?;
    /// println!("the longest wait was {:?}", event_loop.stats().receive_waits.longest);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn receive_timestamps(mut self, stamp: bool) -> EventLoopOptions {
        self.receive_timestamps = stamp;
        self
    }

    /// What happens when user code panics that the loop called; default [`PanicPolicy::Propagate`]: it comes out of
    /// [`EventLoop::run`](crate::EventLoop::run), and the next `run` goes on. Not in Node, where an exception that nobody
    /// catches ends the process.
    ///
    /// With [`PanicPolicy::CloseSocket`] the loop goes on, and who made it panic pays:
    ///
    /// - A listener of a socket, or a callback given to its `write` or `end`: the socket is destroyed, as by
    ///   `destroy_with` an error whose code is `ERR_LISTENER_PANICKED`, except that no `error` is emitted: the program
    ///   could do nothing about it that its own listeners have not failed to do. The rest of that emission is skipped;
    ///   an event that was to follow it in the same callback comes (`ready` after `connect`), as after any `destroy` there;
    ///   callbacks that wait are given the error; and `close` follows, with `had_error` true. So the peer sees its
    ///   connection end, or a reset if bytes of its were not read. A socket that was destroyed already stays as it was.
    /// - A `connection` listener of a server: the same for the new connection. The server goes on.
    /// - Any other listener of a server, a timer, an immediate, a tick, a post, a watch, a hook, a destructor: nobody is
    ///   destroyed. The rest of an emission is skipped; an interval goes on, and so does a watch.
    ///
    /// [`EventLoop::on_panic`](crate::EventLoop::on_panic) is told of each. When a command within one listener emitted
    /// within the call (`pause`, say), and a listener of that panicked, the panic went through both: all sockets that it
    /// went through are destroyed. A panic that is no callback's, of code outside of `run`, or of this crate itself, comes
    /// out as ever; so does every panic where the program is built to abort.
    ///
    /// ```
    /// use halfclose::{EventLoop, EventLoopOptions, PanicPolicy, net};
    ///
    /// let options = EventLoopOptions::new().panic_policy(PanicPolicy::CloseSocket);
    /// let mut event_loop = EventLoop::with_options(options)?;
    /// let server = net::create_server(|socket| {
    ///     socket.on_data(|_, bytes| assert!(bytes.is_ascii(), "not a protocol of ours"));
    /// });
    /// server.listen(("127.0.0.1", 0))?;
    /// server.once_listening(|server| {
    ///     let client = net::connect(server.address().unwrap()).unwrap();
    ///     client.write(&[0xff]);
    ///     client.resume();
    ///     client.on_close(move |_, _| {
    ///         server.close();
    ///     });
    /// });
    /// event_loop.run()?; // the client was disconnected, and nothing else happened
    /// assert_eq!(event_loop.stats().panics, 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn panic_policy(mut self, policy: PanicPolicy) -> EventLoopOptions {
        self.panic_policy = policy;
        self
    }
}

impl Default for EventLoopOptions {
    fn default() -> EventLoopOptions {
        EventLoopOptions::new()
    }
}
