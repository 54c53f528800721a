//! A loop on a simulated network: how it is made, what a test may do with it, and what happens at a virtual time.
//!
//! It may touch the simulated kernel of `sys`. Invariants: what is scheduled is kept here and called from `emit`, in the
//! poll phase; the kernel knows it by a number.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::error::Error;
use crate::event_loop::core::Core;
use crate::event_loop::mailbox::{Addresses, Answer};
use crate::event_loop::turn::Progress;
use crate::event_loop::{EventLoop, EventLoopOptions, current};
use crate::reactor::selecting::LookupId;
use crate::sys::Time;
use crate::sys::resolver::{LookupFailure, Query};
pub(crate) use crate::sys::simulated::Entered;
use crate::sys::simulated::SharedKernel;
pub use crate::sys::simulated::{Accounts, Call, Faults, Link};

impl EventLoop {
    /// Makes this thread's event loop on a simulated machine: a network in memory, in virtual time. Programs run on it
    /// unchanged. Not in Node. Only with the feature `simulation`.
    ///
    /// Every address is a host of its own, and any of them can be listened at and connected to; whoever does not say
    /// which address is its own is `127.0.0.1` to loopback addresses and `192.0.2.1` (`2001:db8::1`) to all others. Within
    /// a host bytes arrive at once, between hosts after [`Link::latency`](crate::simulation::Link).
    ///
    /// Time stands still while callbacks run, and jumps in a wait to whatever comes next: hours of idle timeouts pass at
    /// once. Each wait costs a microsecond. The same program with the same seed runs the same, to the byte.
    ///
    /// Where the real loop would wait for ever, [`run`](EventLoop::run) returns an error with the code
    /// `ERR_SIMULATION_STUCK`: a server that still listens and that nobody connects to any more, for instance. The loop can
    /// be used again afterwards.
    ///
    /// What is not simulated: descriptors from outside (`ENOTSUP`, also from [`watch`](crate::watch())), giving descriptors
    /// away (`ERR_WORKER_HANDLE_NOT_TRANSFERABLE`), the loop's own descriptor, and other threads, whose posts arrive at no
    /// certain time; [`Simulation::post_at`] takes their place.
    ///
    /// # Errors
    ///
    /// None that is known.
    ///
    /// # Panics
    ///
    /// When this thread has an event loop already.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::simulated(42)?;
    /// let simulation = event_loop.simulation().expect("it is simulated");
    ///
    /// let server = net::create_server(|socket| {
    ///     socket.set_timeout(Duration::from_secs(6 * 3600));
    ///     socket.on_timeout(|socket| {
    ///         socket.destroy();
    ///     });
    /// });
    /// server.listen(("198.51.100.7", 80))?;
    /// let client = net::connect(("198.51.100.7", 80))?;
    /// client.on_close(move |_, _| {
    ///     server.close();
    /// });
    ///
    /// event_loop.run()?; // six hours, in no time
    /// assert!(simulation.now() > Duration::from_secs(6 * 3600));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[track_caller]
    pub fn simulated(seed: u64) -> Result<EventLoop, Error> {
        EventLoop::simulated_with(seed, EventLoopOptions::new())
    }

    /// The same, tuned. Not in Node. Only with the feature `simulation`.
    ///
    /// # Errors
    ///
    /// As [`EventLoop::simulated`].
    ///
    /// # Panics
    ///
    /// When this thread has an event loop already.
    ///
    /// ```
    /// use halfclose::{EventLoop, EventLoopOptions};
    ///
    /// let mut event_loop = EventLoop::simulated_with(7, EventLoopOptions::new().reads_per_turn(1))?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[track_caller]
    pub fn simulated_with(seed: u64, options: EventLoopOptions) -> Result<EventLoop, Error> {
        current::check_free();
        let entered = Entered::new(seed);
        let mut event_loop = EventLoop::with_options(options)?;
        event_loop.inner.core.borrow_mut().simulated = Some(Scheduled::new(entered.kernel.clone()));
        event_loop.simulation = Some(entered);
        Ok(event_loop)
    }

    /// What controls the simulated machine of this loop; `None` if it is a real one. Not in Node. Only with the feature
    /// `simulation`.
    ///
    /// ```
    /// use halfclose::EventLoop;
    ///
    /// assert!(EventLoop::new()?.simulation().is_none());
    /// assert!(EventLoop::simulated(1)?.simulation().is_some());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn simulation(&self) -> Option<Simulation> {
        let entered = self.simulation.as_ref()?;
        Some(Simulation { kernel: entered.kernel.clone(), not_send: PhantomData })
    }

    /// What is due by the virtual clock: a part of the poll phase.
    pub(super) fn serve_scheduled(&mut self) -> Result<Progress, Error> {
        // Bounded by what was due when the poll ended: time stands still, and what is scheduled for now is due after the
        // next one.
        loop {
            let due = self.inner.core.borrow_mut().take_due();
            match due {
                None => return Ok(Progress::Done),
                Some(Due::Call(callback)) => {
                    self.inner.core.borrow_mut().begin_callback();
                    self.inner.call_scheduled(callback);
                }
                Some(Due::Lookup(answer)) => {
                    let mut core = self.inner.core.borrow_mut();
                    core.begin_callback();
                    core.lookup_finished(answer);
                }
            }
            self.finish_callback()?;
            if self.must_stop() {
                return Ok(Progress::Stopped);
            }
        }
    }
}

/// The controls of a simulated machine, from [`EventLoop::simulation`]: cheap to clone, for the loop's thread only.
///
/// ```
/// use std::time::Duration;
/// use halfclose::{EventLoop, net};
///
/// let mut event_loop = EventLoop::simulated(1)?;
/// let simulation = event_loop.simulation().expect("it is simulated");
/// simulation.black_hole("203.0.113.9".parse()?);
/// let client = net::connect(("203.0.113.9", 80))?;
/// client.on_error(|_, error| assert_eq!(error.code(), Some("ETIMEDOUT")));
/// event_loop.run()?;
/// assert_eq!(simulation.now().as_secs(), 127); // as Linux: seven attempts
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Simulation {
    kernel: SharedKernel,
    not_send: PhantomData<*const ()>,
}

impl Simulation {
    /// The virtual time, since the loop was made. Not in Node.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, set_timeout};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// let simulation = event_loop.simulation().unwrap();
    /// assert_eq!(simulation.now(), Duration::ZERO);
    /// set_timeout(Duration::from_secs(86_400), || {});
    /// event_loop.run()?;
    /// assert_eq!(simulation.now().as_secs(), 86_400);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn now(&self) -> Duration {
        self.kernel.now().saturating_duration_since(Time::ZERO)
    }

    /// Calls `callback` at a virtual time since the loop was made, to the nanosecond, in the poll phase; what is past
    /// comes with the next turn. It keeps the loop alive until then. Dropped uncalled with the loop, or at once if that is
    /// gone. Not in Node.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::EventLoop;
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// let simulation = event_loop.simulation().unwrap();
    /// let same = simulation.clone();
    /// simulation.post_at(Duration::from_micros(1500), move || assert_eq!(same.now().as_micros(), 1500));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn post_at(&self, at: Duration, callback: impl FnOnce() + 'static) {
        let number = self.kernel.set_alarm(at);
        let callback: Box<dyn FnOnce()> = Box::new(callback);
        let refused = current::with(|core| match &mut core.simulated {
            Some(simulated) if simulated.kernel.is(&self.kernel) => {
                simulated.calls.insert(number, callback);
                None
            }
            // The thread has another loop by now.
            Some(_) | None => Some(callback),
        });
        drop(refused);
    }

    /// Sets one direction of the link between two hosts, for what is sent from now on; the sizes of buffers are those of
    /// connections that begin later. Not in Node.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net, simulation::Link};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// let simulation = event_loop.simulation().unwrap();
    /// let far = Link { latency: Duration::from_millis(100), ..Link::default() };
    /// simulation.set_link("192.0.2.1".parse()?, "198.51.100.7".parse()?, far);
    /// simulation.set_link("198.51.100.7".parse()?, "192.0.2.1".parse()?, far);
    /// let client = net::connect(("198.51.100.7", 80))?; // nobody listens there
    /// client.on_error(|_, error| assert_eq!(error.code(), Some("ECONNREFUSED")));
    /// event_loop.run()?;
    /// assert_eq!(simulation.now().as_millis(), 200); // there and back
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_link(&self, from: IpAddr, to: IpAddr, link: Link) {
        self.kernel.set_link(from, to, link);
    }

    /// Sets which address is this machine's own, where a socket connects that was not bound: one of each family. Not in
    /// Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// event_loop.simulation().unwrap().set_own_address("203.0.113.5".parse()?);
    /// let server = net::create_server(|socket| {
    ///     assert_eq!(socket.remote_address().unwrap().to_string(), "203.0.113.5");
    ///     socket.server().unwrap().close();
    /// });
    /// server.listen(("198.51.100.7", 80))?;
    /// net::connect(("198.51.100.7", 80))?.end();
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_own_address(&self, address: IpAddr) {
        self.kernel.set_host(address);
    }

    /// Sets what a host name resolves to. Names that were not set are not found, except `localhost`. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// event_loop.simulation().unwrap().set_name("db.example", &["198.51.100.7".parse()?]);
    /// let server = net::create_server(|_| {});
    /// server.listen(("198.51.100.7", 5432))?;
    /// let client = net::connect(("db.example", 5432))?;
    /// client.on_connect(move |client| {
    ///     assert_eq!(client.remote_address().unwrap().to_string(), "198.51.100.7");
    ///     client.destroy();
    ///     server.close();
    /// });
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_name(&self, host: &str, addresses: &[IpAddr]) {
        let answer = if addresses.is_empty() { Err(LookupFailure::NOT_FOUND) } else { Ok(addresses.to_vec()) };
        self.kernel.set_name(host, answer);
    }

    /// Makes the lookups of a host name fail for the time being (`EAI_AGAIN`), as when no name server answers. Not in
    /// Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// event_loop.simulation().unwrap().fail_name("db.example");
    /// net::connect(("db.example", 1))?.on_error(|_, error| assert_eq!(error.code(), Some("EAI_AGAIN")));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn fail_name(&self, host: &str) {
        self.kernel.set_name(host, Err(LookupFailure::AGAIN));
    }

    /// Sets how long lookups take, a millisecond unless told otherwise. Not in Node.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// let simulation = event_loop.simulation().unwrap();
    /// simulation.set_lookup_latency(Duration::from_secs(3600));
    /// // Longer than the loop lets a lookup take.
    /// net::connect(("localhost", 1))?.on_error(|_, error| assert_eq!(error.code(), Some("EAI_AGAIN")));
    /// event_loop.run()?;
    /// assert_eq!(simulation.now().as_secs(), 30);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_lookup_latency(&self, latency: Duration) {
        self.kernel.set_lookup_latency(latency);
    }

    /// Nothing gets to this address or away from it, and nobody is told, until [`Simulation::heal`]. What is sent
    /// meanwhile is sent again later, as TCP does. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// let simulation = event_loop.simulation().unwrap();
    /// simulation.black_hole("198.51.100.7".parse()?);
    /// net::connect(("198.51.100.7", 80))?.on_error(|_, error| assert_eq!(error.code(), Some("ETIMEDOUT")));
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn black_hole(&self, address: IpAddr) {
        self.kernel.set_silent(address, true);
    }

    /// Ends what [`black_hole`](Simulation::black_hole) or [`vanish`](Simulation::vanish) began. Not in Node.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// let simulation = event_loop.simulation().unwrap();
    /// simulation.black_hole("198.51.100.7".parse()?);
    /// let client = net::connect(("198.51.100.7", 80))?;
    /// client.on_error(|_, error| assert_eq!(error.code(), Some("ECONNREFUSED")));
    /// let same = simulation.clone();
    /// simulation.post_at(Duration::from_secs(2), move || same.heal("198.51.100.7".parse().unwrap()));
    /// event_loop.run()?;
    /// assert_eq!(simulation.now().as_secs(), 3); // the second attempt
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn heal(&self, address: IpAddr) {
        self.kernel.set_silent(address, false);
    }

    /// Switches the machine at this address off without a word: nothing gets through, as with
    /// [`black_hole`](Simulation::black_hole), and after [`heal`](Simulation::heal) it answers with a reset whatever belongs
    /// to connections from before. The program's own sockets at that address stay, since there is one program only. Not in
    /// Node.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// let simulation = event_loop.simulation().unwrap();
    /// let server = net::create_server(|socket| {
    ///     socket.on_error(|_, _| {});
    /// });
    /// server.listen(("198.51.100.7", 80))?;
    /// let client = net::connect(("198.51.100.7", 80))?;
    /// client.set_keep_alive(true, Duration::from_secs(60));
    /// client.on_error(|_, error| assert_eq!(error.code(), Some("ETIMEDOUT")));
    /// client.on_close(|_, _| halfclose::stop());
    /// let same = simulation.clone();
    /// simulation.post_at(Duration::from_secs(1), move || same.vanish("198.51.100.7".parse().unwrap()));
    /// event_loop.run()?; // a minute, and ten probes
    /// assert_eq!(simulation.now().as_secs(), 70);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn vanish(&self, address: IpAddr) {
        self.kernel.vanish(address);
    }

    /// Resets every TCP connection that has this end, or is about to: both ends are told, as by a firewall that has had
    /// enough. Not in Node.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// let simulation = event_loop.simulation().unwrap();
    /// let server = net::create_server(|socket| {
    ///     socket.on_error(|_, error| assert_eq!(error.code(), Some("ECONNRESET")));
    /// });
    /// server.listen(("198.51.100.7", 80))?;
    /// let client = net::connect(("198.51.100.7", 80))?;
    /// client.on_error(|_, error| assert_eq!(error.code(), Some("ECONNRESET")));
    /// client.on_close(move |_, had_error| {
    ///     assert!(had_error);
    ///     server.close();
    /// });
    /// let same = simulation.clone();
    /// simulation.post_at(Duration::from_secs(60), move || same.reset("198.51.100.7:80".parse().unwrap()));
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&self, end: SocketAddr) {
        self.kernel.reset(end);
    }

    /// Makes the next `times` calls of one kind fail with a number of the operating system, before they do anything. What
    /// was set before for the same call fails first. Not in Node.
    ///
    /// An interrupted call (`EINTR`) is made again, as on a real kernel.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, simulation::Call};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// let refused = std::io::Error::from_raw_os_error(13); // EACCES
    /// event_loop.simulation().unwrap().fail(Call::Bind, &refused, 1);
    /// let server = net::create_server(|_| {});
    /// server.on_error(|_, error| assert_eq!(error.code(), Some("EACCES")));
    /// server.listen(("127.0.0.1", 80))?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn fail(&self, call: Call, error: &io::Error, times: usize) {
        // An error that is none of the system's cannot come from a call.
        if let Some(errno) = error.raw_os_error() {
            self.kernel.fail(call, errno, times);
        }
    }

    /// Makes the events that tell of the next `times` successful connects say that the connection is hung up as well
    /// (`EPOLLHUP`, `EPOLLRDHUP`), which is not so. Nothing may come of it. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// event_loop.simulation().unwrap().hang_up_falsely(1);
    /// let server = net::create_server(|socket| {
    ///     socket.end_data("hello");
    ///     socket.server().unwrap().close();
    /// });
    /// server.listen(("127.0.0.1", 80))?;
    /// let client = net::connect(("127.0.0.1", 80))?;
    /// client.on_data(|_, bytes| assert_eq!(bytes, b"hello"));
    /// client.on_close(|client, had_error| assert_eq!((client.bytes_read(), had_error), (5, false)));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn hang_up_falsely(&self, times: usize) {
        self.kernel.hang_up_falsely(times);
    }

    /// Sets what goes wrong by chance from now on. The seed decides when. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, simulation::Faults};
    ///
    /// let mut event_loop = EventLoop::simulated(3)?;
    /// let simulation = event_loop.simulation().unwrap();
    /// simulation.set_faults(Faults { short_reads: 500_000, short_writes: 500_000, ..Faults::default() });
    /// let server = net::create_server(|socket| {
    ///     socket.end_data("a sentence of several words");
    /// });
    /// server.listen(("127.0.0.1", 80))?;
    /// let client = net::connect(("127.0.0.1", 80))?;
    /// client.on_close(move |client, _| {
    ///     assert_eq!(client.bytes_read(), 27); // in pieces
    ///     server.close();
    /// });
    /// client.resume();
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_faults(&self, faults: Faults) {
        self.kernel.set_faults(faults);
    }

    /// Sets how many descriptors there may be, 1024 unless told otherwise; then there is no new one (`EMFILE`). Numbers 0
    /// to 2 and the three of the loop count. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// event_loop.simulation().unwrap().set_descriptor_limit(6);
    /// net::connect(("127.0.0.1", 80))?.on_error(|_, error| assert_eq!(error.code(), Some("EMFILE")));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_descriptor_limit(&self, limit: usize) {
        self.kernel.set_descriptor_limit(limit);
    }

    /// The next number of the seed's generator, for programs that want chance of their own which the seed decides. Not in
    /// Node.
    ///
    /// ```
    /// use halfclose::EventLoop;
    ///
    /// let number = EventLoop::simulated(5)?.simulation().unwrap().random();
    /// assert_eq!(EventLoop::simulated(5)?.simulation().unwrap().random(), number);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn random(&self) -> u64 {
        self.kernel.random()
    }

    /// What is open, buffered and on its way. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::simulated(1)?;
    /// let simulation = event_loop.simulation().unwrap();
    /// let server = net::create_server(|_| {});
    /// server.listen(("127.0.0.1", 80))?;
    /// event_loop.turn(Some(std::time::Duration::ZERO))?;
    /// assert_eq!(simulation.accounts().registered_descriptors, 1);
    /// server.close();
    /// assert_eq!(simulation.accounts().open_descriptors, 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn accounts(&self) -> Accounts {
        self.kernel.accounts()
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Simulation").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// What is to happen at a virtual time, by the number of its alarm.
pub(crate) struct Scheduled {
    kernel: SharedKernel,
    calls: BTreeMap<u64, Box<dyn FnOnce()>>,
    lookups: BTreeMap<u64, (LookupId, Addresses)>,
}

/// What has come to its time.
enum Due {
    Call(Box<dyn FnOnce()>),
    Lookup(Answer),
}

impl Scheduled {
    fn new(kernel: SharedKernel) -> Scheduled {
        Scheduled { kernel, calls: BTreeMap::new(), lookups: BTreeMap::new() }
    }

    /// Asks the simulated resolver, which answers later.
    pub(super) fn look_up(&mut self, id: LookupId, query: &Query) {
        let (at, result): (Duration, Result<Vec<SocketAddr>, LookupFailure>) = self.kernel.look_up(query);
        self.lookups.insert(self.kernel.set_alarm(at), (id, result));
    }

    /// Nobody waits for it any more.
    pub(super) fn forget(&mut self, id: LookupId) {
        let found = self.lookups.iter().find(|(_, (asked, _))| *asked == id).map(|(number, _)| *number);
        if let Some(number) = found {
            self.lookups.remove(&number);
            self.kernel.cancel_alarm(number);
        }
    }

    fn take_due(&mut self) -> Option<Due> {
        // Bounded by the alarms that rang; those of which nothing is left are passed over.
        while let Some(number) = self.kernel.take_rung() {
            if let Some(callback) = self.calls.remove(&number) {
                return Some(Due::Call(callback));
            }
            if let Some((id, result)) = self.lookups.remove(&number) {
                return Some(Due::Lookup(Answer { id, result }));
            }
        }
        None
    }
}

impl Core {
    pub(super) fn has_scheduled_calls(&self) -> bool {
        self.simulated.as_ref().is_some_and(|simulated| !simulated.calls.is_empty())
    }

    pub(super) fn has_due(&self) -> bool {
        self.simulated.as_ref().is_some_and(|simulated| simulated.kernel.has_rung())
    }

    fn take_due(&mut self) -> Option<Due> {
        self.simulated.as_mut()?.take_due()
    }

    /// Whether a wait failed because nothing will ever end it.
    pub(super) fn is_stuck(&self, error: &io::Error) -> bool {
        self.simulated.is_some() && error.kind() == io::ErrorKind::Deadlock
    }
}
