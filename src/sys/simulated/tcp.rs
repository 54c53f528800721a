//! The calls on TCP sockets, as Linux answers them: the calling half of its `tcp.c` and `af_inet.c`.
//!
//! May touch the kernel's sockets. Invariant: what a call sends has arrived, where the link takes no time, when it returns.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::faults::Call;
use super::kernel::{Answer, Kernel};
use super::network::{Destination, LARGEST_SEGMENT, Segment};
use super::socket::{Listener, Socket, SocketId, State};
use crate::sys::stream::Transport;

impl Kernel {
    pub(super) fn listen(&mut self, number: i32, backlog: i32) -> Answer<()> {
        self.enter(Call::Listen)?;
        let id = self.id_of(number)?;
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        let backlog = usize::try_from(backlog).unwrap_or(0);
        match socket.state {
            State::Closed => {}
            State::Listen => {
                if let Some(listener) = self.sockets.get_mut(&id).and_then(|socket| socket.listener.as_mut()) {
                    listener.backlog = backlog;
                }
                return Ok(());
            }
            _ => return Err(libc::EINVAL),
        }
        let deferring = socket.deferring;
        match (socket.transport, socket.local) {
            (Transport::Tcp, Some(local)) if self.is_taken(id, local) => return Err(libc::EADDRINUSE),
            (Transport::Tcp, None) | (Transport::Unix, _) if socket.name.is_none() => return Err(libc::EINVAL),
            _ => {}
        }
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.state = State::Listen;
            socket.listener = Some(Listener { backlog, queue: Default::default(), deferring });
        }
        Ok(())
    }

    /// The next connection of the queue: its descriptor and its peer's address.
    pub(super) fn accept(&mut self, number: i32) -> Answer<(i32, Option<SocketAddr>)> {
        self.enter(Call::Accept)?;
        let id = self.id_of(number)?;
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        let listener = socket.listener.as_ref().filter(|_| socket.state == State::Listen).ok_or(libc::EINVAL)?;
        let &child = listener.queue.front().ok_or(libc::EAGAIN)?;
        if self.holds_back(id) {
            return Err(libc::EAGAIN);
        }
        if !self.sockets.contains_key(&child) {
            return Err(libc::ECONNABORTED);
        }
        let opened = self.open(super::kernel::What::Socket(child))?;
        let listener = self.sockets.get_mut(&id).and_then(|socket| socket.listener.as_mut());
        if let Some(listener) = listener {
            listener.queue.pop_front();
        }
        let child = self.sockets.get_mut(&child).ok_or(libc::ECONNABORTED)?;
        child.parent = None;
        child.descriptor = Some(opened);
        Ok((opened, child.remote))
    }

    /// `EINPROGRESS` is the answer of a connect that began.
    pub(super) fn connect(&mut self, number: i32, address: SocketAddr) -> Answer<()> {
        self.enter(Call::Connect)?;
        let id = self.id_of(number)?;
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        match socket.state {
            State::SynSent => return Err(libc::EALREADY),
            _ if socket.connecting => return self.ask_connect(id),
            State::Closed if socket.peer.is_none() => {}
            _ => return Err(libc::EISCONN),
        }
        let address = destination(address);
        if socket.local.is_some_and(|local| local.is_ipv4() != address.is_ipv4()) {
            return Err(libc::EINVAL);
        }
        self.choose_local(id, address)?;
        if self.is_connected(id, address) {
            return Err(libc::EADDRNOTAVAIL);
        }
        let Some(mut socket) = self.sockets.remove(&id) else { return Err(libc::EBADF) };
        socket.state = State::SynSent;
        socket.connecting = true;
        socket.remote = Some(address);
        socket.heard_at = self.now;
        self.size_buffers(&mut socket);
        self.sockets.insert(id, socket);
        if self.loses_connect() {
            self.lose(id, Destination::Address(address), 0, Segment::Syn);
        } else {
            self.send(id, Destination::Address(address), Segment::Syn);
        }
        self.settle();
        Err(libc::EINPROGRESS)
    }

    /// The first connect on a socket whose connect is decided tells how it went.
    fn ask_connect(&mut self, id: SocketId) -> Answer<()> {
        let Some(socket) = self.sockets.get_mut(&id) else { return Err(libc::EBADF) };
        socket.connecting = false;
        if socket.state == State::Closed { Err(socket.error_or(libc::ECONNABORTED)) } else { Ok(()) }
    }

    /// The buffers of a connection, which its link may size.
    pub(super) fn size_buffers(&self, socket: &mut Socket) {
        let (Some(local), Some(remote)) = (socket.local, socket.remote) else { return };
        if let Some(bytes) = self.network.link(remote.ip(), local.ip()).receive_buffer {
            socket.input.capacity = bytes.max(1);
        }
        if let Some(bytes) = self.network.link(local.ip(), remote.ip()).send_buffer {
            socket.output.capacity = bytes.max(1);
        }
    }

    pub(super) fn read(&mut self, number: i32, buffer: &mut [u8]) -> Answer<usize> {
        self.enter(Call::Read)?;
        let id = self.id_of(number)?;
        self.resets_by_chance(id);
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        if socket.state == State::Listen {
            return Err(libc::ENOTCONN);
        }
        if socket.input.bytes.is_empty() {
            return self.read_nothing(id);
        }
        if self.holds_back(id) {
            return Err(libc::EAGAIN);
        }
        let room = self.shorten_read(id, buffer.len());
        let Some(socket) = self.sockets.get_mut(&id) else { return Err(libc::EBADF) };
        let mut count = 0;
        for (place, byte) in buffer.iter_mut().zip(socket.input.bytes.drain(..room.min(socket.input.bytes.len()))) {
            *place = byte;
            count += 1;
        }
        match socket.transport {
            Transport::Tcp => self.was_read(id, count),
            Transport::Unix => self.was_read_unix(id, count),
        }
        self.settle();
        Ok(count)
    }

    /// What a read says when there are no bytes (`tcp_recvmsg_locked`, `unix_stream_read_generic`).
    fn read_nothing(&mut self, id: SocketId) -> Answer<usize> {
        let Some(socket) = self.sockets.get_mut(&id) else { return Err(libc::EBADF) };
        if socket.ended && socket.transport == Transport::Tcp {
            return Ok(0);
        }
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        if socket.receive_shut {
            return Ok(0);
        }
        match (socket.state, socket.transport) {
            (State::Closed, Transport::Tcp) => Err(libc::ENOTCONN),
            (State::Closed, Transport::Unix) => Err(libc::EINVAL),
            _ => Err(libc::EAGAIN),
        }
    }

    /// Room that came free is told to the sender, half a buffer at a time: small windows would make small segments
    /// (RFC 1122, 4.2.3.3).
    fn was_read(&mut self, id: SocketId, count: usize) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let input = &mut socket.input;
        input.unreported += count;
        if input.unreported * 2 >= input.capacity {
            let room = std::mem::take(&mut input.unreported);
            let (state, peer) = (socket.state, socket.peer);
            if let Some(peer) = peer.filter(|_| state != State::Closed) {
                self.send(id, Destination::Socket(peer), Segment::Window(room));
            }
        }
    }

    /// Writes as much of `pieces` as there is room for.
    pub(super) fn write(&mut self, number: i32, pieces: &[&[u8]]) -> Answer<usize> {
        self.enter(Call::Write)?;
        let id = self.id_of(number)?;
        self.resets_by_chance(id);
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        if socket.transport == Transport::Unix {
            return self.write_unix(id, pieces);
        }
        match socket.state {
            State::Established | State::CloseWait => {}
            State::SynSent => return Err(socket.error_or(libc::EAGAIN)),
            State::Closed
            | State::Listen
            | State::SynReceived
            | State::FinWait1
            | State::FinWait2
            | State::Closing
            | State::LastAck => return Err(socket.error_or(libc::EPIPE)),
        }
        if socket.error.is_some() || socket.send_shut {
            return Err(socket.error_or(libc::EPIPE));
        }
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if length == 0 {
            return Ok(0);
        }
        if self.holds_back(id) {
            // `SOCK_NOSPACE` goes with every `EAGAIN`: there may be no room when the fault is over.
            if let Some(socket) = self.sockets.get_mut(&id) {
                socket.output.wanted = true;
            }
            return Err(libc::EAGAIN);
        }
        let wanted = self.shorten_write(id, length);
        let mut rest =
            pieces.iter().flat_map(|piece| piece.chunks(LARGEST_SEGMENT)).collect::<std::collections::VecDeque<_>>();
        let mut written = 0;
        // Bounded by the bytes: each round writes some, or is the last.
        while written < wanted {
            let Some(socket) = self.sockets.get_mut(&id) else { break };
            let room = socket.output.room().min(wanted - written);
            if room == 0 || socket.send_shut {
                break;
            }
            let Some(piece) = rest.front_mut() else { break };
            let (now, later) = piece.split_at(room.min(piece.len()));
            socket.output.bytes.extend(now);
            written += now.len();
            if later.is_empty() {
                rest.pop_front();
            } else {
                *piece = later;
            }
            self.transmit(id);
            self.settle();
        }
        let Some(socket) = self.sockets.get_mut(&id) else { return Ok(written) };
        if written < length && !socket.send_shut {
            socket.output.wanted = true;
        }
        if written == 0 { Err(socket.error_or(libc::EAGAIN)) } else { Ok(written) }
    }

    /// Sends what the receiver has room for, and the end behind it.
    pub(super) fn transmit(&mut self, id: SocketId) {
        // Bounded by the bytes that wait.
        loop {
            let Some(socket) = self.sockets.get_mut(&id) else { return };
            let Some(peer) = socket.peer else { return };
            let output = &mut socket.output;
            let count = output.bytes.len().min(output.window).min(LARGEST_SEGMENT);
            if count > 0 {
                let bytes: Vec<u8> = output.bytes.drain(..count).collect();
                output.window -= count;
                output.in_flight += count;
                self.send(id, Destination::Socket(peer), Segment::Data(bytes));
                continue;
            }
            if output.ending && output.bytes.is_empty() && !output.end_sent {
                output.end_sent = true;
                self.send(id, Destination::Socket(peer), Segment::Fin);
            }
            return;
        }
    }

    pub(super) fn shutdown_write(&mut self, number: i32) -> Answer<()> {
        self.enter(Call::Shutdown)?;
        let id = self.id_of(number)?;
        let socket = self.sockets.get_mut(&id).ok_or(libc::EBADF)?;
        if socket.transport == Transport::Unix {
            return self.shutdown_unix(id);
        }
        let answer = match socket.state {
            State::Closed => Err(libc::ENOTCONN),
            State::SynSent => {
                socket.state = State::Closed;
                socket.error = Some(libc::ECONNRESET);
                Ok(())
            }
            _ => Ok(()),
        };
        socket.send_shut = true;
        self.finish(id);
        self.settle();
        // Whatever came of it (`inet_shutdown`).
        self.wake(id);
        answer
    }

    /// `tcp_close_state`: the end follows what is queued.
    fn finish(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        match socket.state {
            State::Established | State::SynReceived => socket.state = State::FinWait1,
            State::CloseWait => socket.state = State::LastAck,
            State::Closed
            | State::Listen
            | State::SynSent
            | State::FinWait1
            | State::FinWait2
            | State::Closing
            | State::LastAck => return,
        }
        socket.output.ending = true;
        self.transmit(id);
    }

    /// The descriptor is closed (`tcp_close`).
    pub(super) fn close_socket(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.descriptor = None;
        if socket.transport == Transport::Unix {
            return self.close_unix(id);
        }
        match socket.state {
            State::Closed | State::SynSent | State::SynReceived => return self.forget(id),
            State::Listen => return self.close_listener(id),
            State::Established
            | State::CloseWait
            | State::FinWait1
            | State::FinWait2
            | State::Closing
            | State::LastAck => {}
        }
        let unread = !socket.input.bytes.is_empty();
        let aborts = match socket.state {
            State::Closing | State::LastAck => !socket.output.bytes.is_empty(),
            _ => true,
        };
        if unread || (socket.options.reset_on_close && aborts) {
            self.reset_peer(id);
            return self.forget(id);
        }
        if socket.options.reset_on_close {
            return self.forget(id);
        }
        socket.receive_shut = true;
        socket.send_shut = true;
        let waits_for_end = socket.state == State::FinWait2;
        self.finish(id);
        if waits_for_end {
            let at = self.now.saturating_add(super::segments::ORPHAN_LIFETIME);
            self.network.note(at, super::network::Happening::Abandon { socket: id });
        }
    }

    /// Whoever was not accepted is reset.
    fn close_listener(&mut self, id: SocketId) {
        let queue = self.sockets.get_mut(&id).and_then(|socket| socket.listener.take());
        for child in queue.into_iter().flat_map(|listener| listener.queue) {
            self.reset_peer(child);
            self.forget(child);
        }
        self.forget(id);
    }

    pub(super) fn take_error(&mut self, number: i32) -> Answer<Option<i32>> {
        Ok(self.socket_of_mut(number)?.error.take())
    }

    pub(super) fn local_address(&self, number: i32) -> Answer<SocketAddr> {
        let socket = self.socket_of(number)?;
        if socket.transport == Transport::Unix {
            return Err(libc::EAFNOSUPPORT);
        }
        let any: IpAddr = match socket.family {
            crate::sys::stream::Family::IPv4 => Ipv4Addr::UNSPECIFIED.into(),
            crate::sys::stream::Family::IPv6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        Ok(socket.local.unwrap_or(SocketAddr::new(any, 0)))
    }

    pub(super) fn peer_address(&self, number: i32) -> Answer<SocketAddr> {
        let socket = self.socket_of(number)?;
        if socket.transport == Transport::Unix {
            return Err(if socket.peer.is_some() { libc::EAFNOSUPPORT } else { libc::ENOTCONN });
        }
        match socket.state {
            State::Closed | State::SynSent | State::Listen => Err(libc::ENOTCONN),
            _ => socket.remote.ok_or(libc::ENOTCONN),
        }
    }
}

/// The unspecified address means this machine, as on Linux.
fn destination(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    SocketAddr::new(ip, address.port())
}
