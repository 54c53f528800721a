//! Floor 3: the event loop. It owns the reactor, turns it, and is the only place that enters user code.
//!
//! | file | subject |
//! |---|---|
//! | this one | [`EventLoop`] |
//! | `turn` | the phases of a turn |
//! | [`options`] | how a loop is tuned |
//! | [`position`] | where in its turns a loop is |
//! | [`panics`] | whether a panic ends it |
//! | [`stats`], `measuring` | what a loop has done, and how long it took |
//! | [`emit`] | the one file that enters user code |
//! | [`core`] | what the loop owns, behind one borrow |
//! | [`current`] | the thread's current loop: the one thread-local |
//! | [`listeners`], `registry` | the listener registry |
//! | `attachments`, `closures`, `running` | what is kept of them for each socket, as small as can be, and which listeners run |
//! | [`callbacks`], [`immediates`] | one-shot callbacks |
//! | [`pipes`] | what is known of the pipes that leave a socket |
//! | [`handles`], [`events`], [`event_details`] | what users hold and what listeners are given |
//! | [`mailbox`], [`loop_handle`] | what other threads hand over |
//! | [`lookup`], [`custom_lookup`], `lookup_owners` | name lookup on threads of its own, or by the user |
//! | [`abort`] | abort signals |
//! | [`descriptors`] | sockets that somebody else opened |
//! | `embedding` | the loop within another loop |
//! | `waiting` | how long a turn may wait |
//! | `spinning` | polling without sleep before a wait |
//! | [`watches`] | foreign descriptors in this loop |
//! | `recording` | a loop that is recorded or replayed, with the same feature |
//! | `simulation` | a loop on a simulated network, with the feature of that name |
//! | [`filters`] | users' filters of connections |
//! | `states` | a test: every state of a connection × every input |
//!
//! It may touch the reactor, `sys` for the clock, the waker and the resolver, and the vocabulary in `error`. Invariant:
//! nothing is borrowed while user code runs.

pub(crate) mod abort;
pub(crate) mod attachments;
pub(crate) mod callbacks;
mod closures;
pub(crate) mod core;
pub(crate) mod current;
pub(crate) mod custom_lookup;
pub(crate) mod descriptors;
mod embedding;
pub(crate) mod emit;
pub(crate) mod event_details;
pub(crate) mod events;
pub(crate) mod filters;
pub(crate) mod handles;
pub(crate) mod immediates;
pub(crate) mod listeners;
pub(crate) mod lookup;
mod lookup_owners;
pub(crate) mod loop_handle;
pub(crate) mod mailbox;
mod measuring;
pub(crate) mod options;
pub(crate) mod panics;
pub(crate) mod pipes;
pub(crate) mod position;
#[cfg(feature = "simulation")]
pub(crate) mod recording;
mod registry;
mod running;
#[cfg(feature = "simulation")]
pub(crate) mod simulation;
mod spinning;
#[cfg(test)]
#[cfg(feature = "simulation")]
mod states;
pub(crate) mod stats;
mod turn;
mod waiting;
pub(crate) mod watches;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::event_loop::core::Core;
pub(crate) use crate::event_loop::core::{ConnectPlan, SERVER_EVENTS, SOCKET_EVENTS};
use crate::event_loop::events::{ErrorSource, Unhandled};
use crate::event_loop::lookup::Lookups;
use crate::event_loop::loop_handle::{KeepAlive, LoopHandle};
use crate::event_loop::mailbox::Mailbox;
pub use crate::event_loop::measuring::SlowCallback;
pub use crate::event_loop::options::EventLoopOptions;
use crate::event_loop::panics::{PanicHook, PanicPolicy};
pub use crate::event_loop::position::{Phase, Position};
use crate::event_loop::turn::{Progress, Stage, Turns};
/// What floor 4 needs to know of floor 2, handed up so that it need not reach past this one.
pub use crate::reactor::admission::{Admission, ConnectionOverflow, PauseReason};
pub use crate::reactor::buffering::BufferOverflow;
pub(crate) use crate::reactor::buffering::MaxBuffered;
pub(crate) use crate::reactor::bytes::{Outgoing, QueuedBytes};
pub(crate) use crate::reactor::connection::{Connection, ConnectionOptions};
pub use crate::reactor::draining::DrainReport;
pub(crate) use crate::reactor::plain::Plainly;
pub(crate) use crate::reactor::selecting::address_text;
pub(crate) use crate::reactor::servers::{ListenRequest, ServerSettings};
pub(crate) use crate::reactor::target::Local;
pub use crate::reactor::text_decoder::Encoding;
pub use crate::reactor::timeouts::Timeouts;
pub(crate) use crate::sys::AcceptorOptions;
pub use crate::sys::PeerCredentials;
use crate::sys::Poller;
pub(crate) use crate::sys::{Permissions, is_abstract};

/// The size of the loop's read buffer, in bytes: what libuv reads at once (rule F21).
const READ_BUFFER: usize = 65_536;

/// The loop's read buffer. At the start of a cache line, where the kernel's copy costs 3 % less than 16 bytes behind one,
/// which is where an allocator puts a block of this size.
#[repr(align(64))]
struct ReadBuffer([u8; READ_BUFFER]);

/// The event loop: owns every socket, server and timer of its thread, and calls their listeners. Node has one, and
/// never shows it.
///
/// One thread has one loop at a time. While it lives, the functions of [`net`](crate::net) and
/// [`timers`](crate::timers) use it without naming it, as they do in Node. Its turns have Node's phases: pending
/// results, poll, immediates, closing, timers; the tick queue is drained after every single callback.
///
/// When it is dropped every descriptor is closed and every closure dropped; nothing is emitted any more, and all
/// handles are inert.
///
/// ```
/// use halfclose::{EventLoop, net};
///
/// fn main() -> Result<(), halfclose::Error> {
///     let mut event_loop = EventLoop::new()?;
///     let server = net::create_server(|socket| {
///         socket.end_data("hello client");
///     });
///     server.on_listening(|server| {
///         let client = net::connect(server.address().expect("it listens")).expect("the address is valid");
///         client.on_data(|_, bytes| assert_eq!(bytes, b"hello client"));
///         client.on_close(move |_, _| {
///             server.close();
///         });
///     });
///     server.listen(("127.0.0.1", 0))?;
///     event_loop.run() // returns when nothing is left to wait for
/// }
/// ```
pub struct EventLoop {
    inner: Rc<Inner>,
    /// One read buffer per loop: lent to `data` listeners, out of reach of everything they can call.
    buffer: Box<ReadBuffer>,
    stage: Stage,
    /// Rule M10: due timers run once before the first poll.
    fresh: bool,
    /// Callbacks are measured.
    measures: bool,
    /// The usual deliveries go the short way.
    plainly: bool,
    panic_policy: PanicPolicy,
    /// The poller's descriptor once more, which can be lent while nothing is borrowed.
    descriptor: OwnedFd,
    /// Last, because sockets are closed in it.
    #[cfg(feature = "simulation")]
    simulation: Option<simulation::Entered>,
    #[cfg(feature = "simulation")]
    taping: Option<recording::Taping>,
}

/// What the handles reach, and the loop itself.
pub(crate) struct Inner {
    pub(crate) core: RefCell<Core>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// Guards that keep the loop alive.
    pub(crate) guards: Rc<Cell<usize>>,
    pub(crate) loop_number: u64,
    /// The hook of [`EventLoop::on_unhandled_error`].
    pub(crate) unhandled: RefCell<Option<Hook>>,
    /// The hook of [`EventLoop::on_slow_callback`].
    slow: RefCell<Option<SlowHook>>,
    /// The hook of [`EventLoop::on_panic`].
    panicked: RefCell<Option<PanicHook>>,
}

type Hook = Box<dyn FnMut(ErrorSource, &Error) -> Unhandled>;
type SlowHook = Box<dyn FnMut(SlowCallback)>;

impl EventLoop {
    /// Makes this thread's event loop. Not in Node, where it is there from the start.
    ///
    /// # Errors
    ///
    /// What the system says when it has no descriptor left for the selector (`EMFILE`, `ENFILE`) or no memory
    /// (`ENOMEM`).
    ///
    /// # Panics
    ///
    /// When this thread has an event loop already.
    ///
    /// ```
    /// use halfclose::EventLoop;
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// event_loop.run()?; // nothing to wait for
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[track_caller]
    pub fn new() -> Result<EventLoop, Error> {
        EventLoop::with_options(EventLoopOptions::new())
    }

    /// Makes this thread's event loop, tuned. Not in Node.
    ///
    /// # Errors
    ///
    /// As [`EventLoop::new`].
    ///
    /// # Panics
    ///
    /// When this thread has an event loop already.
    ///
    /// ```
    /// use halfclose::{EventLoop, EventLoopOptions};
    ///
    /// // Exactly Node's budgets.
    /// let mut event_loop = EventLoop::with_options(EventLoopOptions::new().accepts_per_turn(1).reads_per_turn(32))?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[track_caller]
    pub fn with_options(options: EventLoopOptions) -> Result<EventLoop, Error> {
        static LOOPS: AtomicU64 = AtomicU64::new(0);
        current::check_free();
        let poller = Poller::new()?;
        let descriptor = poller.duplicate()?;
        let mailbox = Arc::new(Mailbox::new(poller.waker()?));
        let lookups = Lookups::new(mailbox.clone());
        let (measures, panic_policy) = (options.measure_callbacks, options.panic_policy);
        let plainly = !measures && !options.receive_timestamps;
        let core = Core::new(options, current::last_generation(), poller, lookups);
        let inner = Rc::new(Inner {
            core: RefCell::new(core),
            mailbox,
            guards: Rc::default(),
            loop_number: LOOPS.fetch_add(1, Ordering::Relaxed) + 1,
            unhandled: RefCell::new(None),
            slow: RefCell::new(None),
            panicked: RefCell::new(None),
        });
        current::set(inner.clone());
        let buffer = Box::new(ReadBuffer([0; READ_BUFFER]));
        Ok(EventLoop {
            inner,
            buffer,
            stage: Stage::Start,
            fresh: true,
            measures,
            plainly,
            panic_policy,
            descriptor,
            #[cfg(feature = "simulation")]
            simulation: None,
            #[cfg(feature = "simulation")]
            taping: None,
        })
    }

    /// Turns until nothing is left to wait for, `stop()` is called, or an `error` nobody listens for is emitted. Not in
    /// Node, whose loop runs when the main script is over.
    ///
    /// What keeps it running are Node's rules: listening servers, sockets that read, requests in flight (a connect, a
    /// lookup, a write, a shutdown), referenced timers, immediates and watches, `close` events that are owed, and what
    /// [`keep_alive`](EventLoop::keep_alive) guards. It may be called again, and continues where it was.
    ///
    /// # Errors
    ///
    /// An `error` event that nobody listens for, right after it would have been emitted; queued ticks, ready events and
    /// the `close` that is owed stay queued. Or what the system's selector reports.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(("127.0.0.1", 1))?; // without an `error` listener
    /// assert_eq!(event_loop.run().unwrap_err().code(), Some("ECONNREFUSED"));
    /// assert!(socket.destroyed());
    /// event_loop.run()?; // goes on: `close` was still owed
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn run(&mut self) -> Result<(), Error> {
        self.settle()?;
        self.inner.core.borrow_mut().entered();
        self.fresh = true;
        if self.stage != Stage::Start || self.is_alive() {
            self.begin_with_timers();
            self.work(None, Turns::All)?;
        }
        Ok(())
    }

    /// Turns once: waits for events at most `timeout` (`None`: until there is one), and serves what is ready. For
    /// programs that have a loop of their own. Not in Node.
    ///
    /// Returns whether anything is left to wait for. It never waits when nothing is, nor longer than the next timer
    /// allows.
    ///
    /// # Errors
    ///
    /// As [`EventLoop::run`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, set_timeout};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// set_timeout(Duration::from_millis(5), || println!("later"));
    /// while event_loop.turn(Some(Duration::from_millis(1)))? {
    ///     // the other work of this thread
    /// }
    /// assert_eq!(event_loop.timers(), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn turn(&mut self, timeout: Option<Duration>) -> Result<bool, Error> {
        self.settle()?;
        self.inner.core.borrow_mut().entered();
        if self.begin_with_timers() && self.work(timeout, Turns::One)? == Progress::Stopped {
            return Ok(self.is_alive());
        }
        self.work(timeout, Turns::One)?;
        self.inner.core.borrow_mut().turn_ended();
        Ok(self.is_alive())
    }

    /// A handle for other threads: they can post closures to this loop, wake it, or stop it. Not in Node.
    ///
    /// ```
    /// use halfclose::EventLoop;
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// assert!(std::thread::spawn(move || handle.post(|| println!("from afar")).is_ok()).join().unwrap());
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn handle(&self) -> LoopHandle {
        LoopHandle::new(self.inner.mailbox.clone())
    }

    /// A guard that keeps [`run`](EventLoop::run) going while it lives, for work that comes from other threads. Not in
    /// Node, where a referenced handle does it.
    ///
    /// ```
    /// use halfclose::{EventLoop, set_immediate};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let guard = event_loop.keep_alive();
    /// set_immediate(move || drop(guard));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn keep_alive(&self) -> KeepAlive {
        KeepAlive::new(self.inner.guards.clone())
    }

    /// Sets what happens when an `error` is emitted that nobody listens for, in place of an earlier hook. Without one,
    /// [`run`](EventLoop::run) returns the error; with one, it does unless the hook says [`Unhandled::Continue`].
    /// Mirrors [`'uncaughtException'`]; Node ends the process.
    ///
    /// ```
    /// use halfclose::{EventLoop, Unhandled, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// event_loop.on_unhandled_error(|source, error| {
    ///     eprintln!("{source:?}: {error}");
    ///     Unhandled::Continue
    /// });
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// event_loop.run()?; // the refusal is on the terminal
    /// assert!(socket.destroyed());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'uncaughtException'`]: https://nodejs.org/api/process.html#event-uncaughtexception
    pub fn on_unhandled_error(&mut self, hook: impl FnMut(ErrorSource, &Error) -> Unhandled + 'static) {
        let old = self.inner.unhandled.replace(Some(Box::new(hook)));
        drop(old);
    }

    /// How many sockets have a slot: connected, connecting, retained, or never connected and not released. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert_eq!(event_loop.connections(), 1);
    /// socket.release();
    /// assert_eq!(event_loop.connections(), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn connections(&self) -> usize {
        self.inner.core.borrow().reactor.connection_count()
    }

    /// How many servers have a slot: all that were not released. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// Server::new();
    /// assert_eq!(event_loop.servers(), 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn servers(&self) -> usize {
        self.inner.core.borrow().reactor.server_count()
    }

    /// How many timers there are: the users', armed idle timeouts of sockets, and the time limits of lookups, of attempts
    /// to connect, of sockets that have [`Timeouts`](crate::net::Timeouts) and of servers that drain. Not in Node.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, set_timeout};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let timer = set_timeout(Duration::from_secs(3600), || {});
    /// assert_eq!(event_loop.timers(), 1);
    /// timer.clear();
    /// assert_eq!(event_loop.timers(), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn timers(&self) -> usize {
        self.inner.core.borrow().reactor.timer_count()
    }

    /// How many bytes of output wait on all sockets: the sum of
    /// [`Socket::writable_length`](crate::net::Socket::writable_length). Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// socket.write("hello"); // waits for the connection
    /// assert_eq!(event_loop.buffered(), 5);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn buffered(&self) -> usize {
        self.inner.core.borrow().reactor.buffered()
    }

    fn is_alive(&self) -> bool {
        self.inner.guards.get() > 0 || self.inner.mailbox.is_occupied() || self.inner.core.borrow().is_alive()
    }

    /// Before the first turn, timers that are due run once (rule M10). True when that is to be done now.
    fn begin_with_timers(&mut self) -> bool {
        let first = std::mem::take(&mut self.fresh) && self.stage == Stage::Start;
        if first {
            self.stage = Stage::Timers;
            self.inner.core.borrow_mut().begin_timers();
        }
        first
    }

    /// Finishes what an interruption left, and the ticks that were queued outside the loop.
    fn settle(&mut self) -> Result<(), Error> {
        self.surviving(|event_loop| event_loop.inner.drain())
    }
}

impl Drop for EventLoop {
    /// Closes every descriptor and drops every closure; nothing is emitted any more, and all handles are inert.
    fn drop(&mut self) {
        let items = self.inner.mailbox.close();
        let last_generation = self.inner.core.borrow().reactor.last_generation();
        if let Some(inner) = current::clear(last_generation) {
            emit::drop_everything(inner, items);
        }
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EventLoop")
            .field("connections", &self.connections())
            .field("servers", &self.servers())
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

/// Makes [`EventLoop::run`] return once the running callback and its ticks are done. What is queued stays queued, and
/// the next `run` continues with it. Without an event loop on this thread it does nothing. Outside of `run` it holds
/// for the next one, which takes one callback, or polls once without waiting, and returns.
///
/// Not in Node; it is libuv's `uv_stop`. Node's programs call [`process.exit()`].
///
/// ```
/// use halfclose::{EventLoop, set_interval};
/// use std::time::Duration;
///
/// let mut event_loop = EventLoop::new()?;
/// let interval = set_interval(Duration::from_millis(1), || halfclose::stop());
/// event_loop.run()?; // returns although the interval is still there
/// assert!(interval.has_ref());
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`process.exit()`]: https://nodejs.org/api/process.html#processexitcode
pub fn stop() {
    current::with(|core| core.stopping = true);
}
