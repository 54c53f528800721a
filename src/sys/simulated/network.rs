//! The wires between simulated hosts: what is on its way, how long it takes, and what gets lost.
//!
//! May touch the kernel's sockets. Invariants: what one host sends to another arrives in order, or not at all; what is due
//! at the same time happens in the order in which it was sent; a segment that is lost is kept by its sender until it is
//! sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::kernel::Kernel;
use super::socket::{Retransmission, SocketId, State};

/// One direction of the link between two simulated hosts, for
/// [`Simulation::set_link`](crate::simulation::Simulation::set_link). The default is half a millisecond without a limit of
/// bandwidth.
///
/// ```
/// use std::time::Duration;
/// use halfclose::simulation::Link;
///
/// let slow = Link { latency: Duration::from_millis(80), bandwidth: Some(10_000), ..Link::default() };
/// assert_eq!(slow.send_buffer, None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// How long a segment is under way.
    pub latency: Duration,
    /// How many bytes a second are sent, headers included; `None` is without limit.
    pub bandwidth: Option<u64>,
    /// How many bytes a connection holds at the end of this direction until its program reads them; `None`: 128 KiB.
    pub receive_buffer: Option<usize>,
    /// How many bytes a connection takes at the beginning of this direction before a write would block; `None`: 2.5 MB.
    pub send_buffer: Option<usize>,
}

impl Default for Link {
    fn default() -> Link {
        Link::BETWEEN_HOSTS
    }
}

impl Link {
    /// Between two hosts of which nothing else was said: about what a switched network needs.
    const BETWEEN_HOSTS: Link =
        Link { latency: Duration::from_micros(500), bandwidth: None, receive_buffer: None, send_buffer: None };
    /// Within one host everything arrives within the call that sent it, as on Linux.
    const WITHIN_A_HOST: Link =
        Link { latency: Duration::ZERO, bandwidth: None, receive_buffer: None, send_buffer: None };
}

/// The first retransmission, and the longest time between two (`TCP_RTO_MIN` and `TCP_RTO_MAX` of Linux).
const FIRST_RETRANSMISSION: Duration = Duration::from_millis(200);
const LAST_RETRANSMISSION: Duration = Duration::from_secs(120);
/// The first retransmission of a handshake (`TCP_TIMEOUT_INIT`).
const FIRST_OF_HANDSHAKE: Duration = Duration::from_secs(1);
/// How often data is sent again (`tcp_retries2`), and the two halves of a handshake (`tcp_syn_retries`,
/// `tcp_synack_retries`).
const DATA_ATTEMPTS: u32 = 15;
const CONNECT_ATTEMPTS: u32 = 6;
const ANSWER_ATTEMPTS: u32 = 5;

/// How much of a stream travels in one piece: what segmentation offload hands over at once.
pub(super) const LARGEST_SEGMENT: usize = 16 * 1024;

/// What the headers of a segment take on the wire.
const HEADERS: u64 = 66;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// A connect, from this address.
    Syn,
    SynAck,
    /// The last part of the handshake.
    Ack,
    Data(Vec<u8>),
    /// So much arrived.
    Acknowledged(usize),
    /// So much more may be sent.
    Window(usize),
    Fin,
    FinAcknowledged,
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Socket(SocketId),
    /// Whoever listens there.
    Address(SocketAddr),
}

/// What will happen.
#[derive(Debug)]
pub(super) enum Happening {
    Arrival {
        from: SocketId,
        path: (IpAddr, IpAddr),
        to: Destination,
        segment: Segment,
    },
    Retransmission {
        socket: SocketId,
    },
    /// A silent peer was probed in vain.
    KeepAlive {
        socket: SocketId,
        since: u64,
    },
    /// A connection that said nothing is told of all the same.
    Deferred {
        socket: SocketId,
    },
    /// A descriptor becomes ready (again), by a fault.
    Wake {
        socket: SocketId,
    },
    /// The peer of an orphan never ended its side.
    Abandon {
        socket: SocketId,
    },
    Alarm {
        number: u64,
    },
}

#[derive(Debug, Default)]
pub(super) struct Network {
    /// By time, and then in the order in which they were noted.
    pub(super) queue: BTreeMap<(u64, u64), Happening>,
    serial: u64,
    links: BTreeMap<(IpAddr, IpAddr), Link>,
    /// When a link is free again, and when the last arrival over it is.
    traffic: BTreeMap<(IpAddr, IpAddr), (u64, u64)>,
    silent: BTreeSet<IpAddr>,
}

impl Network {
    pub(super) fn note(&mut self, at: u64, happening: Happening) -> u64 {
        self.serial += 1;
        self.queue.insert((at, self.serial), happening);
        self.serial
    }

    pub(super) fn set_link(&mut self, from: IpAddr, to: IpAddr, link: Link) {
        self.links.insert((from.to_canonical(), to.to_canonical()), link);
    }

    pub(super) fn link(&self, from: IpAddr, to: IpAddr) -> Link {
        let key = (from.to_canonical(), to.to_canonical());
        let default = if key.0 == key.1 || (key.0.is_loopback() && key.1.is_loopback()) {
            Link::WITHIN_A_HOST
        } else {
            Link::BETWEEN_HOSTS
        };
        self.links.get(&key).copied().unwrap_or(default)
    }

    pub(super) fn set_silent(&mut self, address: IpAddr, silent: bool) {
        let address = address.to_canonical();
        if silent {
            self.silent.insert(address);
        } else {
            self.silent.remove(&address);
        }
    }

    pub(super) fn carries(&self, path: (IpAddr, IpAddr)) -> bool {
        !self.silent.contains(&path.0.to_canonical()) && !self.silent.contains(&path.1.to_canonical())
    }

    /// When something of `length` bytes that is sent `now` arrives.
    fn arrival(&mut self, now: u64, path: (IpAddr, IpAddr), length: u64) -> u64 {
        let link = self.link(path.0, path.1);
        let (free, last) = self.traffic.entry((path.0.to_canonical(), path.1.to_canonical())).or_default();
        let sending = link.bandwidth.map_or(0, |bandwidth| length.saturating_mul(1_000_000_000) / bandwidth.max(1));
        let sent = now.max(*free).saturating_add(sending);
        *free = sent;
        // A link that was made faster does not overtake itself.
        *last = sent.saturating_add(nanoseconds(link.latency)).max(*last);
        *last
    }

    /// Bytes of streams that are on their way.
    pub(super) fn bytes_in_flight(&self) -> usize {
        let lengths = self.queue.values().map(|happening| match happening {
            Happening::Arrival { segment: Segment::Data(bytes), .. } => bytes.len(),
            _ => 0,
        });
        lengths.sum()
    }
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Kernel {
    /// Puts a segment on the wire, behind what is lost already.
    pub(super) fn send(&mut self, from: SocketId, to: Destination, segment: Segment) {
        let Some(path) = self.path_of(from, to) else { return };
        let passes = self.gets_through(from, path);
        let Some(sender) = self.sockets.get(&from) else { return };
        if sender.forgotten && passes {
            // Its machine knows nothing of it any more.
            return self.arrived_reset(from);
        }
        if !sender.lost.is_empty() || !passes {
            return self.lose(from, to, segment);
        }
        self.send_along(from, path, to, segment);
    }

    /// The same for whoever has no socket: an answer to what came to nobody.
    pub(super) fn send_along(&mut self, from: SocketId, path: (IpAddr, IpAddr), to: Destination, segment: Segment) {
        let length = match &segment {
            Segment::Data(bytes) => bytes.len() as u64,
            _ => 0,
        };
        let at = self.network.arrival(self.now, path, length + HEADERS);
        self.network.note(at, Happening::Arrival { from, path, to, segment });
    }

    pub(super) fn gets_through(&self, from: SocketId, path: (IpAddr, IpAddr)) -> bool {
        self.network.carries(path) && self.sockets.get(&from).is_none_or(|socket| !socket.cut_off)
    }

    fn path_of(&self, from: SocketId, to: Destination) -> Option<(IpAddr, IpAddr)> {
        let socket = self.sockets.get(&from)?;
        let remote = match to {
            Destination::Address(address) => address,
            Destination::Socket(_) => socket.remote?,
        };
        Some((socket.local?.ip(), remote.ip()))
    }

    /// Nobody received it: the sender keeps it, and whoever waits for an acknowledgement begins to count.
    pub(super) fn lose(&mut self, from: SocketId, to: Destination, segment: Segment) {
        let Some(sender) = self.sockets.get_mut(&from) else { return };
        if segment == Segment::Reset {
            // It is not sent again; the peer learns of it by its own next segment.
            return;
        }
        sender.lost.push_back((to, segment));
        let peer = sender.peer;
        self.expect_answer(from);
        if let Some(peer) = peer {
            self.expect_answer(peer);
        }
    }

    /// Starts the timer of a socket that waits for an acknowledgement, if none runs.
    fn expect_answer(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let is_cut_off = !socket.lost.is_empty()
            || socket.peer.and_then(|peer| self.sockets.get(&peer)).is_some_and(|peer| !peer.lost.is_empty());
        if socket.retransmission.is_none() && is_cut_off && (socket.awaits_acknowledgement() || !socket.lost.is_empty())
        {
            self.arm_retransmission(id, 0);
        }
    }

    fn arm_retransmission(&mut self, id: SocketId, attempts: u32) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let first = match socket.state {
            State::SynSent | State::SynReceived => FIRST_OF_HANDSHAKE,
            _ => FIRST_RETRANSMISSION,
        };
        let delay = first.saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(LAST_RETRANSMISSION);
        let at = self.now.saturating_add(nanoseconds(delay));
        let serial = self.network.note(at, Happening::Retransmission { socket: id });
        socket.retransmission = Some(Retransmission { attempts, serial });
    }

    /// Progress was made: what is still missing is waited for anew.
    pub(super) fn answered(&mut self, id: SocketId) {
        let now = self.now;
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.heard_at = now;
        if socket.lost.is_empty() {
            // What is lost from now on starts it again.
            socket.retransmission = None;
        }
    }

    /// The timer has run out: sends again what was lost, in both directions, if anything gets through by now.
    pub(super) fn retransmit(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let Some(retransmission) = socket.retransmission.take() else { return };
        let (state, peer) = (socket.state, socket.peer);
        let destination = socket.lost.front().map(|(to, _)| *to).or(peer.map(Destination::Socket));
        let path = destination.and_then(|to| self.path_of(id, to));
        if path.is_some_and(|path| self.gets_through(id, path)) {
            self.resend(id);
            if let Some(peer) = peer {
                self.resend(peer);
            }
        }
        let attempts = retransmission.attempts + 1;
        let most = match state {
            State::SynSent => CONNECT_ATTEMPTS,
            State::SynReceived => ANSWER_ATTEMPTS,
            _ => DATA_ATTEMPTS,
        };
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let awaits = socket.awaits_acknowledgement();
        if !awaits && socket.lost.is_empty() {
            socket.retransmission = None;
        } else if attempts <= most {
            self.arm_retransmission(id, attempts);
        } else if awaits {
            self.give_up(id, libc::ETIMEDOUT);
        }
    }

    fn resend(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        for (to, segment) in std::mem::take(&mut socket.lost) {
            self.send(id, to, segment);
        }
    }

    /// Whether a noted event has become meaningless.
    pub(super) fn is_stale(&self, serial: u64, happening: &Happening) -> bool {
        match happening {
            Happening::Retransmission { socket } => {
                let running = self.sockets.get(socket).and_then(|socket| socket.retransmission);
                running.is_none_or(|running| running.serial != serial)
            }
            Happening::KeepAlive { socket, since } => {
                self.sockets.get(socket).is_none_or(|socket| socket.heard_at != *since)
                    || self.keep_alive_end(*socket).is_none()
            }
            Happening::Deferred { socket } => {
                self.sockets.get(socket).is_none_or(|socket| socket.state != State::SynReceived)
            }
            Happening::Wake { socket } | Happening::Abandon { socket } => !self.sockets.contains_key(socket),
            Happening::Alarm { number } => !self.alarms.contains(number),
            Happening::Arrival { .. } => false,
        }
    }

    /// When probes to a peer that does not answer, or that has forgotten the connection, come to their end.
    fn keep_alive_end(&self, id: SocketId) -> Option<u64> {
        let socket = self.sockets.get(&id)?;
        let times = socket.options.keep_alive?;
        if !matches!(socket.state, State::Established | State::CloseWait | State::FinWait2) {
            return None;
        }
        let path = (socket.local?.ip(), socket.remote?.ip());
        let idle = socket.heard_at.saturating_add(nanoseconds(times.delay));
        if !self.gets_through(id, path) {
            return Some(idle.saturating_add(nanoseconds(times.interval).saturating_mul(u64::from(times.count))));
        }
        let forgotten = socket.peer.and_then(|peer| self.sockets.get(&peer)).is_none_or(|peer| peer.forgotten);
        forgotten.then_some(idle)
    }

    /// Notes the end of a connection whose peer does not answer probes. Where it does, they change nothing.
    pub(super) fn watch_keep_alive(&mut self, id: SocketId) {
        let Some(end) = self.keep_alive_end(id) else { return };
        let Some(since) = self.sockets.get(&id).map(|socket| socket.heard_at) else { return };
        self.network.note(end.max(self.now), Happening::KeepAlive { socket: id, since });
    }

    pub(super) fn keep_alive_expired(&mut self, id: SocketId) {
        let Some(end) = self.keep_alive_end(id) else { return };
        if end > self.now {
            return self.watch_keep_alive(id);
        }
        let Some(socket) = self.sockets.get(&id) else { return };
        let (Some(local), Some(remote)) = (socket.local, socket.remote) else { return };
        if self.gets_through(id, (local.ip(), remote.ip())) {
            self.arrived_reset(id);
        } else {
            self.give_up(id, libc::ETIMEDOUT);
        }
    }

    /// The network changed: who probes a silent peer learns of it in its time.
    fn watch_all_keep_alive(&mut self) {
        let ids: Vec<SocketId> = self.sockets.keys().copied().collect();
        for id in ids {
            self.watch_keep_alive(id);
        }
    }

    /// Nothing gets to `address` or away from it, or everything does again.
    pub(super) fn set_silent(&mut self, address: IpAddr, silent: bool) {
        self.network.set_silent(address, silent);
        self.watch_all_keep_alive();
        let ids: Vec<SocketId> = self.sockets.keys().copied().collect();
        for id in ids {
            self.expect_answer(id);
        }
    }

    /// The machine at `address` was switched off: it forgets its connections.
    pub(super) fn vanish(&mut self, address: IpAddr) {
        self.network.set_silent(address, true);
        let address = address.to_canonical();
        for socket in self.sockets.values_mut() {
            if socket.local.is_some_and(|local| local.ip().to_canonical() == address) && socket.peer.is_some() {
                socket.forgotten = true;
            }
        }
        self.watch_all_keep_alive();
    }
}
