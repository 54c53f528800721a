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

impl Segment {
    /// What also a connection in `TIME_WAIT` sends, each time it is asked.
    fn is_acknowledgement(&self) -> bool {
        match self {
            Segment::Acknowledged(_) | Segment::Window(_) | Segment::FinAcknowledged => true,
            Segment::Syn | Segment::SynAck | Segment::Ack | Segment::Data(_) | Segment::Fin | Segment::Reset => false,
        }
    }
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
    /// Its number is its place in the stream of its sender; 0 for what has none.
    Arrival {
        from: SocketId,
        path: (IpAddr, IpAddr),
        to: Destination,
        number: u64,
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
    /// The acknowledgement of an end goes out by itself.
    Acknowledgement {
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
    /// Puts a segment on the wire, with the acknowledgement that is owed.
    pub(super) fn send(&mut self, from: SocketId, to: Destination, segment: Segment) {
        if segment != Segment::Reset {
            self.acknowledge(from);
        }
        let number = match (&segment, to) {
            (Segment::Reset, _) | (_, Destination::Address(_)) => 0,
            (_, Destination::Socket(_)) => self.next_number(from),
        };
        self.send_numbered(from, to, number, segment);
    }

    /// The number of the next segment of a socket.
    pub(super) fn next_number(&mut self, id: SocketId) -> u64 {
        self.sockets.get_mut(&id).map_or(0, |sender| {
            sender.sent += 1;
            sender.sent
        })
    }

    fn send_numbered(&mut self, from: SocketId, to: Destination, number: u64, segment: Segment) {
        let Some(path) = self.path_of(from, to) else { return };
        let passes = self.gets_through(from, path);
        let forgotten = self.sockets.get(&from).is_some_and(|sender| sender.forgotten);
        if forgotten && passes {
            // Its machine knows nothing of it any more.
            return self.arrived_reset(from);
        }
        if passes {
            self.send_along(from, path, to, number, segment);
        } else {
            self.lose(from, to, number, segment);
        }
    }

    /// The same for whoever has no socket: an answer to what came to nobody.
    pub(super) fn send_along(
        &mut self,
        from: SocketId,
        path: (IpAddr, IpAddr),
        to: Destination,
        number: u64,
        segment: Segment,
    ) {
        let length = match &segment {
            Segment::Data(bytes) => bytes.len() as u64,
            _ => 0,
        };
        let at = self.network.arrival(self.now, path, length + HEADERS);
        self.network.note(at, Happening::Arrival { from, path, to, number, segment });
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

    /// Nobody received it: the sender keeps it, and whoever waits for an answer begins to count.
    pub(super) fn lose(&mut self, from: SocketId, to: Destination, number: u64, segment: Segment) {
        let receiver = match to {
            Destination::Socket(receiver) => Some(receiver),
            Destination::Address(_) => None,
        };
        // A reset is not sent again; the peer learns of it by its own next segment.
        if segment != Segment::Reset {
            if let Some(sender) = self.sockets.get_mut(&from) {
                sender.lost.push_back((to, number, segment));
            } else if segment.is_acknowledgement() {
                // Whoever ended in good order goes on to acknowledge; only a reset leaves anything else behind.
                if let Some(receiver) = receiver.and_then(|receiver| self.sockets.get_mut(&receiver)) {
                    receiver.owed.push((number, segment));
                }
            }
        }
        self.expect_answer(from);
        if let Some(receiver) = receiver {
            self.expect_answer(receiver);
        }
    }

    /// Starts the timer of a socket that waits for its peer, or that has something to send again, if none runs.
    fn expect_answer(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let waits = socket.waits_for_peer() || !socket.lost.is_empty() || !socket.owed.is_empty();
        if socket.retransmission.is_none() && waits {
            self.arm_retransmission(id, 0, self.now);
        }
    }

    fn arm_retransmission(&mut self, id: SocketId, attempts: u32, since: u64) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let first = match socket.state {
            State::SynSent | State::SynReceived => FIRST_OF_HANDSHAKE,
            _ => FIRST_RETRANSMISSION,
        };
        let delay = first.saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(LAST_RETRANSMISSION);
        let next = self.now.saturating_add(nanoseconds(delay));
        // tcp(7): the timeout cuts the last wait short.
        let end = socket.options.user_timeout.map_or(u64::MAX, |timeout| since.saturating_add(nanoseconds(timeout)));
        let serial = self.network.note(next.min(end), Happening::Retransmission { socket: id });
        socket.retransmission = Some(Retransmission { attempts, since, serial });
    }

    /// Progress was made: what is lost from now on is waited for anew.
    pub(super) fn answered(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.lost.is_empty() && socket.owed.is_empty() {
            socket.retransmission = None;
        }
    }

    /// The timer has run out: sends again what was lost, in both directions, if anything gets through by now.
    pub(super) fn retransmit(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let Some(retransmission) = socket.retransmission.take() else { return };
        let state = socket.state;
        let path = socket.local.zip(socket.remote).map(|(local, remote)| (local.ip(), remote.ip()));
        if let Some(path) = path.filter(|&path| self.gets_through(id, path)) {
            self.ask_again(id, path);
        }
        let attempts = retransmission.attempts + 1;
        let most = match state {
            State::SynSent => CONNECT_ATTEMPTS,
            State::SynReceived => ANSWER_ATTEMPTS,
            _ => DATA_ATTEMPTS,
        };
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let waits = socket.waits_for_peer();
        let goes_on = match socket.options.user_timeout {
            Some(timeout) => self.now < retransmission.since.saturating_add(nanoseconds(timeout)),
            None => attempts <= most,
        };
        if !waits && socket.lost.is_empty() && socket.owed.is_empty() {
            socket.retransmission = None;
        } else if goes_on {
            self.arm_retransmission(id, attempts, retransmission.since);
        } else if waits {
            self.give_up(id, libc::ETIMEDOUT);
        }
    }

    /// Sends again what was lost on the way to the peer, has the peer send again what was lost on the way from it, or, where
    /// nothing of that is known, only asks.
    fn ask_again(&mut self, id: SocketId, path: (IpAddr, IpAddr)) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let owed = std::mem::take(&mut socket.owed);
        let (state, remote, peer) = (socket.state, socket.remote, socket.peer);
        let mut asked = !owed.is_empty() || !socket.lost.is_empty();
        for (number, segment) in owed {
            self.send_along(0, (path.1, path.0), Destination::Socket(id), number, segment);
        }
        self.resend(id);
        // A client learns who its peer is with the answer to its connect.
        let peer = peer.or_else(|| {
            let mut others = self.sockets.iter();
            others.find(|(_, other)| other.peer == Some(id) && other.state == State::SynReceived).map(|(peer, _)| *peer)
        });
        if let Some(peer) = peer {
            asked |= self.sockets.get(&peer).is_some_and(|peer| !peer.lost.is_empty());
            self.resend(peer);
        }
        match (state, remote, peer) {
            _ if asked => {}
            (State::SynSent, Some(remote), None) => self.send(id, Destination::Address(remote), Segment::Syn),
            (State::SynSent, ..) => {}
            (_, _, Some(peer)) => self.send_along(id, path, Destination::Socket(peer), 0, Segment::Data(Vec::new())),
            (_, _, None) => {}
        }
    }

    fn resend(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        for (to, number, segment) in std::mem::take(&mut socket.lost) {
            self.send_numbered(id, to, number, segment);
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
            Happening::Acknowledgement { socket } => {
                self.sockets.get(socket).is_none_or(|socket| !socket.owes_acknowledgement)
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
        if socket.awaits_acknowledgement() {
            // Then it is retransmissions that find out, as in `tcp_keepalive_timer`.
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
            if self.sockets.get(&id).is_some_and(|socket| !socket.lost.is_empty() || !socket.owed.is_empty()) {
                self.expect_answer(id);
            }
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
