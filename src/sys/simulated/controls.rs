//! What a test may do with a simulated kernel, and what it may ask.
//!
//! May touch the kernel, under its lock.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::faults::{Call, Faults};
use super::kernel::{Answer, Kernel};
use super::network::{Link, nanoseconds};
use super::shared::SharedKernel;
use super::socket::KeepAlive;
use crate::sys::clock::Time;
use crate::sys::resolver::{LookupFailure, Query};

/// What a simulated kernel holds, from [`Simulation::accounts`](crate::simulation::Simulation::accounts).
///
/// ```
/// use halfclose::EventLoop;
///
/// let event_loop = EventLoop::simulated(1)?;
/// let accounts = event_loop.simulation().expect("it is simulated").accounts();
/// assert_eq!((accounts.open_descriptors, accounts.sockets), (0, 0));
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Descriptors of sockets. The loop's own are not counted.
    pub open_descriptors: usize,
    /// Those of them that are registered with the selector.
    pub registered_descriptors: usize,
    /// Bytes of streams that were sent and have not arrived.
    pub bytes_in_flight: usize,
    /// Bytes that wait in the kernel: to be sent, or to be read.
    pub bytes_buffered: usize,
    /// Sockets, with those that have no descriptor: connections that wait to be accepted, or that end after their close.
    pub sockets: usize,
    /// Calls and waits that a signal interrupted.
    pub interruptions: u64,
    /// Faults that happened by chance.
    pub faults: u64,
}

impl SharedKernel {
    pub(crate) fn now(&self) -> Time {
        Time::from_nanoseconds(self.lock().now)
    }

    /// A number that a wait brings at `at`, or at once if that is past.
    pub(crate) fn set_alarm(&self, at: Duration) -> u64 {
        self.lock().set_alarm(nanoseconds(at))
    }

    pub(crate) fn cancel_alarm(&self, number: u64) {
        self.lock().alarms.remove(&number);
    }

    pub(crate) fn take_rung(&self) -> Option<u64> {
        self.lock().take_rung()
    }

    pub(crate) fn has_rung(&self) -> bool {
        self.lock().has_rung()
    }

    /// The answer to a lookup, and when it comes.
    pub(crate) fn look_up(&self, query: &Query) -> (Duration, Result<Vec<SocketAddr>, LookupFailure>) {
        let kernel = self.lock();
        (Duration::from_nanos(kernel.now) + kernel.names.latency, kernel.look_up(query))
    }

    pub(crate) fn set_name(&self, host: &str, answer: Result<Vec<IpAddr>, LookupFailure>) {
        self.lock().set_name(host, answer);
    }

    pub(crate) fn set_lookup_latency(&self, latency: Duration) {
        self.lock().names.latency = latency;
    }

    pub(crate) fn set_link(&self, from: IpAddr, to: IpAddr, link: Link) {
        self.lock().network.set_link(from, to, link);
    }

    pub(crate) fn set_silent(&self, address: IpAddr, silent: bool) {
        self.lock().set_silent(address, silent);
    }

    pub(crate) fn vanish(&self, address: IpAddr) {
        self.lock().vanish(address);
    }

    /// Both ends of every TCP connection with this end are told that it was reset.
    pub(crate) fn reset(&self, end: SocketAddr) {
        let mut kernel = self.lock();
        let found: Vec<u64> = kernel
            .sockets
            .iter()
            .filter(|(_, socket)| is_at(socket.local, end) || is_at(socket.remote, end))
            .map(|(id, _)| *id)
            .collect();
        for id in found {
            kernel.arrived_reset(id);
        }
    }

    pub(crate) fn set_host(&self, address: IpAddr) {
        let mut kernel = self.lock();
        match address {
            IpAddr::V4(address) => kernel.host.0 = address,
            IpAddr::V6(address) => kernel.host.1 = address,
        }
    }

    pub(crate) fn set_descriptor_limit(&self, limit: usize) {
        self.lock().descriptor_limit = limit;
    }

    pub(crate) fn fail(&self, call: Call, errno: i32, times: usize) {
        self.lock().faults.fail(call, errno, times);
    }

    pub(crate) fn hang_up_falsely(&self, times: usize) {
        self.lock().faults.scripted_hang_ups += times;
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.lock().faults.rates = faults;
    }

    pub(crate) fn random(&self) -> u64 {
        self.lock().random.next()
    }

    pub(crate) fn accounts(&self) -> Accounts {
        let kernel = self.lock();
        let (open_descriptors, registered_descriptors) = kernel.count_descriptors();
        let buffered = kernel.sockets.values().map(|socket| socket.input.bytes.len() + socket.output.bytes.len());
        Accounts {
            open_descriptors,
            registered_descriptors,
            bytes_in_flight: kernel.network.bytes_in_flight(),
            bytes_buffered: buffered.sum(),
            sockets: kernel.sockets.len(),
            interruptions: kernel.faults.interruptions,
            faults: kernel.faults.count,
        }
    }
}

/// What tests see that walk through all states of a connection.
#[cfg(test)]
impl SharedKernel {
    pub(crate) const BROKEN_PIPE: i32 = libc::EPIPE;
    pub(crate) const CONNECTION_RESET: i32 = libc::ECONNRESET;

    /// Every socket that somebody holds but the listening ones, as far as it decides what calls and arrivals do next.
    pub(crate) fn describe_sockets(&self) -> String {
        let kernel = self.lock();
        let sockets = kernel.sockets.values().filter(|socket| socket.listener.is_none() && socket.descriptor.is_some());
        let mut text = String::new();
        for socket in sockets {
            text.push_str(&kernel.describe(socket));
        }
        text
    }

    /// The bytes that wait for sockets of a loop to read them.
    pub(crate) fn unread_of_registered(&self) -> usize {
        let kernel = self.lock();
        let registered =
            |socket: &&super::socket::Socket| socket.descriptor.is_some_and(|number| kernel.token_of(number).is_some());
        kernel.sockets.values().filter(registered).map(|socket| socket.input.bytes.len()).sum()
    }

    /// What is left of a script of failures fails nobody.
    pub(crate) fn end_script(&self) {
        self.lock().faults.end_script();
    }
}

impl Kernel {
    pub(super) fn bind_socket(&mut self, number: i32, address: SocketAddr) -> Answer<()> {
        self.enter(Call::Bind)?;
        let id = self.id_of(number)?;
        self.bind(id, address)
    }

    /// `Some(None)` leaves the times as they are.
    pub(super) fn set_keep_alive(&mut self, number: i32, probes: Option<Option<KeepAlive>>) -> Answer<()> {
        let id = self.id_of(number)?;
        let options = &mut self.socket_of_mut(number)?.options;
        options.keep_alive = probes.map(|times| times.or(options.keep_alive).unwrap_or_default());
        self.watch_keep_alive(id);
        Ok(())
    }

    pub(super) fn set_deferring(&mut self, number: i32, limit: Duration) -> Answer<()> {
        let socket = self.socket_of_mut(number)?;
        socket.deferring = Some(limit);
        Ok(())
    }
}

fn is_at(address: Option<SocketAddr>, end: SocketAddr) -> bool {
    address.is_some_and(|address| address.ip().to_canonical() == end.ip() && address.port() == end.port())
}
