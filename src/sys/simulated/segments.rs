//! What a TCP socket does when something arrives: the receiving half of Linux's `tcp_input.c`, as far as a program can tell.
//!
//! May touch the kernel's sockets. Invariant: each function is one arrival, and says with `wake` where Linux would.

use std::net::{IpAddr, SocketAddr};

use super::kernel::Kernel;
use super::network::{Destination, Happening, Segment, nanoseconds};
use super::socket::{Socket, SocketId, State};
use crate::sys::stream::Transport;

/// How long a socket that nobody holds waits for the end of its peer (`tcp_fin_timeout`).
pub(super) const ORPHAN_LIFETIME: u64 = 60_000_000_000;

/// How long an acknowledgement waits for something to go with it (`TCP_DELACK_MIN`).
const DELAYED_ACKNOWLEDGEMENT: u64 = 40_000_000;

impl Kernel {
    pub(super) fn arrive(
        &mut self,
        from: SocketId,
        path: (IpAddr, IpAddr),
        to: Destination,
        number: u64,
        segment: Segment,
    ) {
        if !self.gets_through(from, path) {
            return self.lose(from, to, number, segment);
        }
        let id = match to {
            Destination::Address(address) => return self.arrived_syn(from, path, address),
            Destination::Socket(id) => id,
        };
        let now = self.now;
        let open = self.sockets.get_mut(&id).filter(|socket| socket.state != State::Closed && !socket.forgotten);
        let Some(socket) = open else { return self.arrived_nowhere(id, from, path, &segment) };
        socket.heard_at = now;
        if number == 0 {
            return self.take_segment(id, from, segment);
        }
        socket.behind_a_gap.insert(number, (from, segment));
        // Bounded by what waits: what comes behind a gap waits until that is closed.
        while let Some(socket) = self.sockets.get_mut(&id) {
            let next = socket.received + 1;
            let Some((from, segment)) = socket.behind_a_gap.remove(&next) else { break };
            socket.received = next;
            self.take_segment(id, from, segment);
        }
    }

    fn take_segment(&mut self, id: SocketId, from: SocketId, segment: Segment) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.state == State::Closed {
            return;
        }
        match segment {
            Segment::Syn => {}
            Segment::SynAck => self.arrived_syn_ack(id, from),
            Segment::Ack => self.complete_handshake(id),
            Segment::Data(bytes) => self.arrived_data(id, from, bytes),
            Segment::Acknowledged(count) => self.arrived_acknowledgement(id, count),
            Segment::Window(count) => {
                socket.output.window += count;
                self.answered(id);
                self.transmit(id);
            }
            Segment::Fin => self.arrived_fin(id, from),
            Segment::FinAcknowledged => self.arrived_fin_acknowledgement(id),
            Segment::Reset => self.arrived_reset(id),
        }
    }

    /// There is no such connection: whatever carries something is answered with a reset.
    fn arrived_nowhere(&mut self, id: SocketId, from: SocketId, path: (IpAddr, IpAddr), segment: &Segment) {
        match segment {
            Segment::Data(_) | Segment::Fin | Segment::Syn | Segment::SynAck => {
                self.send_along(id, (path.1, path.0), Destination::Socket(from), 0, Segment::Reset);
            }
            Segment::Ack
            | Segment::Acknowledged(_)
            | Segment::Window(_)
            | Segment::FinAcknowledged
            | Segment::Reset => {}
        }
    }

    fn arrived_syn(&mut self, from: SocketId, path: (IpAddr, IpAddr), address: SocketAddr) {
        let Some(client) = self.sockets.get(&from).filter(|client| client.state == State::SynSent) else { return };
        let Some(remote) = client.local else { return };
        let Some(listening) = self.listener_at(address).filter(|_| !self.refuses()) else {
            return self.send_along(0, (path.1, path.0), Destination::Socket(from), 0, Segment::Reset);
        };
        let Some(listener) = self.sockets.get(&listening) else { return };
        if listener.listener.as_ref().is_none_or(|listener| listener.is_full()) {
            // Dropped, so that the client asks again.
            return self.lose(from, Destination::Address(address), 0, Segment::Syn);
        }
        let mut child = Socket::new(Transport::Tcp, listener.family);
        let mapped = listener.family == crate::sys::stream::Family::IPv6;
        child.local = Some(if mapped { map(address) } else { address });
        child.remote = Some(if mapped { map(remote) } else { remote });
        child.peer = Some(from);
        child.parent = Some(listening);
        child.state = State::SynReceived;
        child.options = listener.options;
        child.heard_at = self.now;
        self.size_buffers(&mut child);
        let id = self.new_socket_id();
        self.ports.insert(address.port(), id);
        self.sockets.insert(id, child);
        self.send(id, Destination::Socket(from), Segment::SynAck);
    }

    fn arrived_syn_ack(&mut self, id: SocketId, from: SocketId) {
        let room = self.sockets.get(&from).map_or(0, |child| child.input.capacity);
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.state != State::SynSent {
            // The answer was on its way already, or got lost.
            return self.send(id, Destination::Socket(from), Segment::Ack);
        }
        socket.state = State::Established;
        socket.peer = Some(from);
        socket.output.window = room;
        self.answered(id);
        self.taint_connect(id);
        self.wake(id);
        self.send(id, Destination::Socket(from), Segment::Ack);
        self.watch_keep_alive(id);
    }

    /// The handshake is over: the connection may be accepted, if there is room in the queue. It is asked again with each
    /// retransmission else.
    pub(super) fn complete_handshake(&mut self, id: SocketId) {
        let Some(child) = self.sockets.get(&id).filter(|child| child.state == State::SynReceived) else { return };
        let (parent, peer) = (child.parent, child.peer);
        let window = peer.and_then(|peer| self.sockets.get(&peer)).map_or(0, |peer| peer.input.capacity);
        let listening = parent.and_then(|parent| self.sockets.get(&parent)).and_then(|parent| parent.listener.as_ref());
        let (full, deferring) = match listening {
            Some(listener) => (listener.is_full(), listener.deferring),
            None => {
                self.reset_peer(id);
                return self.forget(id);
            }
        };
        let waits_for_data = deferring.is_some() && self.sockets.get(&id).is_some_and(|child| child.early.is_empty());
        if let Some(limit) = deferring.filter(|_| waits_for_data) {
            let socket = self.sockets.get_mut(&id);
            // The second time it was silent for as long as it may be.
            if socket.is_some_and(|socket| !std::mem::replace(&mut socket.deferred, true)) {
                let at = self.now.saturating_add(nanoseconds(limit));
                self.network.note(at, Happening::Deferred { socket: id });
                return;
            }
        }
        if full {
            if let Some(peer) = peer {
                // The client believes to be connected; the answer to it is sent again until there is room.
                let number = self.next_number(id);
                self.lose(id, Destination::Socket(peer), number, Segment::SynAck);
            }
            return;
        }
        let Some(child) = self.sockets.get_mut(&id) else { return };
        child.state = State::Established;
        child.output.window = window;
        let early = std::mem::take(&mut child.early);
        self.answered(id);
        if let Some(parent) = parent {
            if let Some(listener) = self.sockets.get_mut(&parent).and_then(|parent| parent.listener.as_mut()) {
                listener.queue.push_back(id);
            }
            self.wake(parent);
        }
        self.watch_keep_alive(id);
        for segment in early {
            match (segment, peer) {
                (Segment::Data(bytes), Some(peer)) => self.arrived_data(id, peer, bytes),
                (Segment::Fin, Some(peer)) => self.arrived_fin(id, peer),
                _ => {}
            }
        }
        self.abort_before_accept(id);
    }

    fn arrived_data(&mut self, id: SocketId, from: SocketId, bytes: Vec<u8>) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.state == State::SynReceived {
            socket.early.push(Segment::Data(bytes));
            return self.complete_handshake(id);
        }
        if socket.is_orphan() {
            // Nobody will ever read it (RFC 1122, 4.2.2.13).
            self.send(id, Destination::Socket(from), Segment::Reset);
            return self.forget(id);
        }
        let count = bytes.len();
        if count > 0 {
            socket.input.bytes.extend(bytes);
            self.wake(id);
        }
        self.send(id, Destination::Socket(from), Segment::Acknowledged(count));
    }

    fn arrived_acknowledgement(&mut self, id: SocketId, count: usize) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let output = &mut socket.output;
        output.in_flight = output.in_flight.saturating_sub(count);
        let announces = output.wanted && output.is_writable() && output.used() <= output.capacity / 3 * 2;
        if announces {
            output.wanted = false;
        }
        self.answered(id);
        if announces {
            self.wake(id);
        }
    }

    /// `tcp_fin`
    fn arrived_fin(&mut self, id: SocketId, from: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.state == State::SynReceived {
            socket.early.push(Segment::Fin);
            return;
        }
        socket.receive_shut = true;
        socket.ended = true;
        let mut over = false;
        // Where the own end is on its way the acknowledgement follows at once (`tcp_fin`).
        let at_once = matches!(socket.state, State::FinWait1 | State::FinWait2);
        match socket.state {
            State::Established | State::SynReceived => socket.state = State::CloseWait,
            State::FinWait1 => socket.state = State::Closing,
            State::FinWait2 => over = true,
            State::CloseWait | State::Closing | State::LastAck | State::Closed | State::Listen | State::SynSent => {}
        }
        if at_once {
            self.send(id, Destination::Socket(from), Segment::FinAcknowledged);
        } else {
            self.owe_acknowledgement(id);
        }
        if over { self.done(id) } else { self.wake(id) }
    }

    /// The end of the peer is acknowledged with whatever is sent next, or in a while.
    fn owe_acknowledgement(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.owes_acknowledgement = true;
        let at = self.now.saturating_add(DELAYED_ACKNOWLEDGEMENT);
        self.network.note(at, Happening::Acknowledgement { socket: id });
    }

    pub(super) fn acknowledge(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let Some(peer) = socket.peer else { return };
        if std::mem::take(&mut socket.owes_acknowledgement) {
            self.send(id, Destination::Socket(peer), Segment::FinAcknowledged);
        }
    }

    fn arrived_fin_acknowledgement(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        match socket.state {
            State::FinWait1 => {
                socket.state = State::FinWait2;
                let orphan = socket.is_orphan();
                self.answered(id);
                if orphan {
                    let at = self.now.saturating_add(ORPHAN_LIFETIME);
                    self.network.note(at, Happening::Abandon { socket: id });
                } else {
                    self.wake(id);
                }
            }
            State::Closing | State::LastAck => self.done(id),
            State::Established
            | State::CloseWait
            | State::FinWait2
            | State::Closed
            | State::Listen
            | State::SynSent
            | State::SynReceived => {}
        }
    }

    /// `tcp_reset`
    pub(super) fn arrived_reset(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let error = match socket.state {
            State::Closed | State::Listen => return,
            State::SynReceived => return self.forget(id),
            State::SynSent => libc::ECONNREFUSED,
            State::CloseWait => libc::EPIPE,
            State::Established | State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck => {
                libc::ECONNRESET
            }
        };
        self.give_up(id, error);
    }

    /// The connection is over with an error.
    pub(super) fn give_up(&mut self, id: SocketId, error: i32) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.error = Some(error);
        }
        self.done(id);
    }

    /// `tcp_done`: nothing goes on any more. What was received can still be read.
    pub(super) fn done(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if socket.is_orphan() {
            return self.forget(id);
        }
        socket.state = State::Closed;
        socket.receive_shut = true;
        socket.send_shut = true;
        socket.output.bytes.clear();
        socket.output.in_flight = 0;
        socket.output.ending = false;
        socket.lost.clear();
        socket.retransmission = None;
        self.wake(id);
    }

    /// The peer of an orphan said nothing for too long.
    pub(super) fn abandon(&mut self, id: SocketId) {
        if self.sockets.get(&id).is_some_and(|socket| socket.is_orphan() && socket.state == State::FinWait2) {
            self.forget(id);
        }
    }

    /// The socket is gone.
    pub(super) fn forget(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.remove(&id) else { return };
        if let Some(local) = socket.local {
            self.ports.remove(local.port(), id);
        }
    }

    pub(super) fn reset_peer(&mut self, id: SocketId) {
        let peer = self.sockets.get(&id).and_then(|socket| socket.peer);
        if let Some(peer) = peer {
            self.send(id, Destination::Socket(peer), Segment::Reset);
        }
    }
}

/// How an IPv4 address looks to a socket of the other family.
fn map(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), address.port()),
        IpAddr::V6(_) => address,
    }
}
