//! The simulated kernel: its clock, its descriptors, and the wait.
//!
//! May touch everything in this folder. Invariants: virtual time moves in waits only; a descriptor's number is the lowest
//! that is free; whatever is due has happened when a call returns; nothing depends on anything but the seed and the calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::faults::{Call, Misfortune};
use super::names::Names;
use super::network::{Happening, Network};
use super::ports::Ports;
use super::random::Random;
use super::socket::{Socket, SocketId, State};
use crate::sys::clock::Wait;
use crate::sys::poller::{Event, Readiness, WAKE_TOKEN};

/// What a kernel answers: a value, or an error number.
pub(super) type Answer<T> = Result<T, i32>;

/// How long a wait takes that does not wait: about what the call and a turn of the loop cost. Without it a program that
/// always has something to do would keep the network waiting for ever.
const COST_OF_A_WAIT: u64 = 1_000;

/// Numbers 0 to 2 are the standard streams'.
const FIRST_DESCRIPTOR: usize = 3;

/// How many descriptors there may be, unless told otherwise: Linux's soft limit.
const DESCRIPTOR_LIMIT: usize = 1024;

/// How many events one wait brings at most, as the real poller's largest buffer.
pub(super) const MOST_EVENTS: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Kernel {
    pub(super) now: u64,
    pub(super) random: Random,
    files: Vec<Option<File>>,
    pub(super) descriptor_limit: usize,
    pub(super) sockets: BTreeMap<SocketId, Socket>,
    last_socket: SocketId,
    /// Descriptors in the order in which they became ready.
    ready: VecDeque<i32>,
    pub(super) network: Network,
    pub(super) ports: Ports,
    /// Who is bound to which name of the unix sockets.
    pub(super) paths: BTreeMap<Vec<u8>, SocketId>,
    pub(super) names: Names,
    pub(super) faults: Misfortune,
    pub(super) alarms: BTreeSet<u64>,
    last_alarm: u64,
    rung: VecDeque<u64>,
    /// The machine that sockets belong to which were not bound to an address.
    pub(super) host: (Ipv4Addr, Ipv6Addr),
}

/// What a descriptor stands for.
#[derive(Debug)]
struct File {
    what: What,
    /// Under which token it is reported.
    token: Option<u64>,
    /// It is in the list of what is ready.
    queued: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Poller,
    Waker,
    Reserve,
    Socket(SocketId),
}

impl Kernel {
    pub(super) fn new(seed: u64) -> Kernel {
        let mut random = Random::new(seed);
        let ports = Ports::new(&mut random);
        Kernel {
            now: 0,
            random,
            files: Vec::new(),
            descriptor_limit: DESCRIPTOR_LIMIT,
            sockets: BTreeMap::new(),
            last_socket: 0,
            ready: VecDeque::new(),
            network: Network::default(),
            ports,
            paths: BTreeMap::new(),
            names: Names::default(),
            faults: Misfortune::default(),
            alarms: BTreeSet::new(),
            last_alarm: 0,
            rung: VecDeque::new(),
            // Addresses that are reserved for examples (RFC 5737, RFC 3849), so nobody's.
            host: (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        }
    }

    // Descriptors.

    pub(super) fn open(&mut self, what: What) -> Answer<i32> {
        let free = (FIRST_DESCRIPTOR..).find(|&number| !matches!(self.files.get(number), Some(Some(_))));
        let number = free.filter(|&number| number < self.descriptor_limit).ok_or(libc::EMFILE)?;
        if self.files.len() <= number {
            self.files.resize_with(number + 1, || None);
        }
        self.files[number] = Some(File { what, token: None, queued: false });
        i32::try_from(number).map_err(|_| libc::EMFILE)
    }

    pub(super) fn close(&mut self, number: i32) {
        let Some(file) = self.file_mut(number) else { return };
        let what = file.what;
        self.forget_readiness(number);
        if let Some(place) = usize::try_from(number).ok().and_then(|number| self.files.get_mut(number)) {
            *place = None;
        }
        if let What::Socket(id) = what {
            self.close_socket(id);
            self.settle();
        }
    }

    fn file(&self, number: i32) -> Option<&File> {
        self.files.get(usize::try_from(number).ok()?)?.as_ref()
    }

    fn file_mut(&mut self, number: i32) -> Option<&mut File> {
        self.files.get_mut(usize::try_from(number).ok()?)?.as_mut()
    }

    /// The socket behind a descriptor.
    pub(super) fn id_of(&self, number: i32) -> Answer<SocketId> {
        match self.file(number).ok_or(libc::EBADF)?.what {
            What::Socket(id) => Ok(id),
            What::Poller | What::Waker | What::Reserve => Err(libc::ENOTSOCK),
        }
    }

    pub(super) fn socket_of(&self, number: i32) -> Answer<&Socket> {
        self.sockets.get(&self.id_of(number)?).ok_or(libc::EBADF)
    }

    pub(super) fn socket_of_mut(&mut self, number: i32) -> Answer<&mut Socket> {
        let id = self.id_of(number)?;
        self.sockets.get_mut(&id).ok_or(libc::EBADF)
    }

    pub(super) fn new_socket_id(&mut self) -> SocketId {
        self.last_socket += 1;
        self.last_socket
    }

    /// A new socket with a descriptor.
    pub(super) fn open_socket(&mut self, mut socket: Socket) -> Answer<i32> {
        self.enter(Call::Socket)?;
        let id = self.new_socket_id();
        let number = self.open(What::Socket(id))?;
        socket.descriptor = Some(number);
        self.sockets.insert(id, socket);
        Ok(number)
    }

    /// How many sockets have a descriptor, and how many of them are registered.
    pub(super) fn count_descriptors(&self) -> (usize, usize) {
        let sockets = self.files.iter().flatten().filter(|file| matches!(file.what, What::Socket(_)));
        sockets.fold((0, 0), |(open, registered), file| (open + 1, registered + usize::from(file.token.is_some())))
    }

    // Readiness.

    pub(super) fn register(&mut self, number: i32, token: u64) -> Answer<()> {
        self.enter(Call::Register)?;
        let file = self.file_mut(number).ok_or(libc::EBADF)?;
        if file.token.is_some() {
            return Err(libc::EEXIST);
        }
        file.token = Some(token);
        if self.mask_of(number) != 0 {
            self.queue(number);
        }
        Ok(())
    }

    pub(super) fn deregister(&mut self, number: i32) -> Answer<()> {
        let file = self.file_mut(number).ok_or(libc::EBADF)?;
        file.token.take().ok_or(libc::ENOENT)?;
        self.forget_readiness(number);
        Ok(())
    }

    fn forget_readiness(&mut self, number: i32) {
        if let Some(file) = self.file_mut(number) {
            if std::mem::take(&mut file.queued) {
                self.ready.retain(|&queued| queued != number);
            }
        }
    }

    fn queue(&mut self, number: i32) {
        let Some(file) = self.file_mut(number) else { return };
        if file.token.is_some() && !std::mem::replace(&mut file.queued, true) {
            self.ready.push_back(number);
        }
    }

    /// Something changed at a socket: whoever waits for it looks again. As with epoll, what is reported is how the socket is
    /// when the wait looks, not what changed.
    pub(super) fn wake(&mut self, id: SocketId) {
        let Some(number) = self.sockets.get(&id).and_then(|socket| socket.descriptor) else { return };
        if self.delays_event(id) {
            return;
        }
        self.queue(number);
        self.disturb_events();
    }

    /// The same without any fault.
    pub(super) fn wake_now(&mut self, id: SocketId) {
        if let Some(number) = self.sockets.get(&id).and_then(|socket| socket.descriptor) {
            self.queue(number);
        }
    }

    pub(super) fn token_of(&self, number: i32) -> Option<u64> {
        self.file(number)?.token
    }

    pub(super) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn swap_ready(&mut self, one: usize, other: usize) {
        self.ready.swap(one, other);
    }

    /// A registered socket by chance, for events that nothing led to.
    pub(super) fn any_registered(&mut self) -> Option<SocketId> {
        let registered = self.files.iter().flatten().filter(|file| file.token.is_some());
        let sockets: Vec<SocketId> = registered
            .filter_map(|file| match file.what {
                What::Socket(id) => Some(id),
                What::Poller | What::Waker | What::Reserve => None,
            })
            .collect();
        let chosen = self.random.below(sockets.len() as u64) as usize;
        sockets.get(chosen).copied()
    }

    /// A socket as far as it decides what happens next: amounts are told as none, some and full.
    #[cfg(test)]
    pub(super) fn describe(&self, socket: &Socket) -> String {
        let file = socket.descriptor.and_then(|number| self.file(number));
        format!(
            "{:?} {}{}{}{}{} in {} out {}{} {:?}{} {}; ",
            socket.state,
            if socket.receive_shut { "r" } else { "" },
            if socket.send_shut { "s" } else { "" },
            if socket.ended { "e" } else { "" },
            if socket.output.ending { "f" } else { "" },
            if socket.options.reset_on_close { "x" } else { "" },
            socket.input.bytes.len().min(3),
            if socket.output.used() > 0 { "some" } else { "none" },
            if socket.output.wanted { " wanted" } else { "" },
            socket.error,
            if file.is_some_and(|file| file.queued) { " ready" } else { "" },
            if file.is_some_and(|file| file.token.is_some()) { "registered" } else { "" },
        )
    }

    /// epoll's bits for a descriptor, as they are now.
    fn mask_of(&self, number: i32) -> u8 {
        let Some(file) = self.file(number) else { return 0 };
        match file.what {
            What::Socket(id) => self.sockets.get(&id).map_or(0, |socket| self.mask(socket)),
            What::Waker => READABLE,
            What::Poller | What::Reserve => 0,
        }
    }

    /// Another thread, or this one, wants the wait to end.
    pub(super) fn ring(&mut self, waker: i32) {
        if let Some(file) = self.file_mut(waker) {
            file.token = Some(WAKE_TOKEN);
        }
        self.queue(waker);
    }

    // Time.

    /// Waits for events and returns them. Where nothing will ever come, `EDEADLK`.
    pub(super) fn wait(&mut self, wait: Wait) -> Answer<Vec<Event>> {
        self.now = self.now.saturating_add(COST_OF_A_WAIT);
        // Without a limit the poller would make the call again.
        let interrupted = self.interrupts_wait() && wait != Wait::FOREVER;
        self.enter(Call::Wait)?;
        let limit = u64::try_from(wait.milliseconds()).ok();
        let deadline = limit.map(|limit| self.now.saturating_add(limit.saturating_mul(1_000_000)));
        self.settle();
        // Bounded by what is on its way: each round takes at least one event off the queue, or ends.
        loop {
            let mut events = self.collect();
            if events.is_empty() && !self.rung.is_empty() {
                // An alarm ends the wait as a waker would, also one that rang while the call began.
                events.push(Event { token: WAKE_TOKEN, readiness: Readiness::from_bits(READABLE) });
            }
            if !events.is_empty() || interrupted || deadline.is_some_and(|deadline| deadline <= self.now) {
                return Ok(events);
            }
            self.drop_stale();
            let next = self.network.queue.keys().next().map(|(at, _)| *at);
            match (next, deadline) {
                (Some(next), deadline) if deadline.is_none_or(|deadline| next <= deadline) => {
                    self.now = self.now.max(next);
                }
                (_, Some(deadline)) => self.now = deadline,
                (_, None) => return Err(libc::EDEADLK),
            }
            self.settle();
        }
    }

    fn collect(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < MOST_EVENTS {
            let Some(number) = self.ready.pop_front() else { break };
            let mask = self.mask_of(number) | self.false_mask(number);
            let Some(file) = self.file_mut(number) else { continue };
            file.queued = false;
            if let Some(token) = file.token.filter(|_| mask != 0) {
                events.push(Event { token, readiness: Readiness::from_bits(mask) });
            }
        }
        self.repeat_events(&mut events);
        events
    }

    /// Everything that is due happens.
    pub(super) fn settle(&mut self) {
        // Bounded by what is due: an answer that takes no time is due as well, and a conversation without time is a finite
        // one, since programs take part in it between the calls only.
        while let Some((&(at, serial), _)) = self.network.queue.first_key_value() {
            if at > self.now {
                break;
            }
            let Some(happening) = self.network.queue.remove(&(at, serial)) else { break };
            if self.is_stale(serial, &happening) {
                continue;
            }
            match happening {
                Happening::Arrival { from, path, to, number, segment } => self.arrive(from, path, to, number, segment),
                Happening::Retransmission { socket } => self.retransmit(socket),
                Happening::KeepAlive { socket, .. } => self.keep_alive_expired(socket),
                Happening::Deferred { socket } => self.complete_handshake(socket),
                Happening::Wake { socket } => self.wake_now(socket),
                Happening::Acknowledgement { socket } => self.acknowledge(socket),
                Happening::Abandon { socket } => self.abandon(socket),
                Happening::Alarm { number } => {
                    self.alarms.remove(&number);
                    self.rung.push_back(number);
                }
            }
        }
    }

    /// What has become meaningless must not move the clock.
    fn drop_stale(&mut self) {
        while let Some((&key, happening)) = self.network.queue.first_key_value() {
            if !self.is_stale(key.1, happening) {
                break;
            }
            self.network.queue.remove(&key);
        }
    }

    /// A wait will end at `at`, at the latest. Returns the number that tells then.
    pub(super) fn set_alarm(&mut self, at: u64) -> u64 {
        self.last_alarm += 1;
        self.alarms.insert(self.last_alarm);
        self.network.note(at.max(self.now), Happening::Alarm { number: self.last_alarm });
        self.last_alarm
    }

    pub(super) fn take_rung(&mut self) -> Option<u64> {
        self.rung.pop_front()
    }

    pub(super) fn has_rung(&self) -> bool {
        !self.rung.is_empty()
    }

    /// The address that a socket has which was not bound, towards `remote`.
    pub(super) fn own_address(&self, remote: IpAddr) -> IpAddr {
        match remote {
            IpAddr::V4(address) if address.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V4(_) => IpAddr::V4(self.host.0),
            IpAddr::V6(address) if address.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(self.host.1),
        }
    }
}

/// epoll's bits as [`Readiness`] has them: `EPOLLRDHUP`, which is at 13 there, is at 5 here.
pub(super) const READABLE: u8 = 1;
pub(super) const WRITABLE: u8 = 1 << 2;
pub(super) const ERROR: u8 = 1 << 3;
pub(super) const HUNG_UP: u8 = 1 << 4;
pub(super) const READ_HUNG_UP: u8 = 1 << 5;

impl Kernel {
    /// `tcp_poll` and `unix_poll`.
    fn mask(&self, socket: &Socket) -> u8 {
        if let Some(listener) = &socket.listener {
            return if listener.queue.is_empty() { 0 } else { READABLE };
        }
        let mut mask = 0;
        if (socket.receive_shut && socket.send_shut) || socket.state == State::Closed {
            mask |= HUNG_UP;
        }
        if socket.receive_shut {
            mask |= READABLE | READ_HUNG_UP;
        }
        if socket.state != State::SynSent {
            if !socket.input.bytes.is_empty() {
                mask |= READABLE;
            }
            if self.is_writable(socket) {
                mask |= WRITABLE;
            }
        }
        if socket.error.is_some() {
            mask |= ERROR;
        }
        mask
    }
}
