//! Unix stream sockets in memory, as Linux's `af_unix.c`: names without files, and no network between the two ends.
//!
//! May touch the kernel's sockets. Invariants: everything happens within the call; a path is in use until it is unlinked,
//! whether or not anybody listens there any more.

use super::faults::Call;
use super::kernel::{Answer, Kernel};
use super::socket::{Socket, SocketId, State};
use crate::sys::credentials::PeerCredentials;
use crate::sys::stream::{Family, Transport};

/// All programs of a simulation are one process of one user, with numbers of no real one: what a run shows must not depend
/// on who runs it.
const EVERYBODY: PeerCredentials = PeerCredentials { pid: Some(1000), uid: 1000, gid: 1000 };

impl Kernel {
    pub(super) fn bind_path(&mut self, number: i32, name: &[u8]) -> Answer<()> {
        self.enter(Call::Bind)?;
        let id = self.id_of(number)?;
        if self.paths.contains_key(name) {
            return Err(libc::EADDRINUSE);
        }
        self.paths.insert(name.to_vec(), id);
        self.socket_of_mut(number)?.name = Some(name.to_vec());
        Ok(())
    }

    /// The file of a name is removed. An abstract name goes with its socket.
    pub(super) fn unlink(&mut self, name: &[u8]) {
        self.paths.remove(name);
    }

    pub(super) fn connect_path(&mut self, number: i32, name: &[u8]) -> Answer<()> {
        self.enter(Call::Connect)?;
        let id = self.id_of(number)?;
        if self.socket_of(number)?.peer.is_some() {
            return Err(libc::EISCONN);
        }
        let is_abstract = name.first() == Some(&0);
        let missing = if is_abstract { libc::ECONNREFUSED } else { libc::ENOENT };
        let listening = *self.paths.get(name).ok_or(missing)?;
        let listening_socket = self.sockets.get(&listening).ok_or(libc::ECONNREFUSED)?;
        let listener = listening_socket.listener.as_ref().ok_or(libc::ECONNREFUSED)?;
        if listener.is_full() {
            return Err(libc::EAGAIN);
        }
        if self.refuses() {
            return Err(libc::ECONNREFUSED);
        }
        let child_id = self.new_socket_id();
        let mut child = Socket::new(Transport::Unix, Family::IPv4);
        child.state = State::Established;
        child.peer = Some(id);
        child.parent = Some(listening);
        child.name = Some(name.to_vec());
        self.sockets.insert(child_id, child);
        let socket = self.socket_of_mut(number)?;
        socket.state = State::Established;
        socket.peer = Some(child_id);
        if let Some(listener) = self.sockets.get_mut(&listening).and_then(|socket| socket.listener.as_mut()) {
            listener.queue.push_back(child_id);
        }
        self.taint_connect(id);
        self.wake(listening);
        Ok(())
    }

    /// `SO_PEERCRED`, of a socket that has been connected.
    pub(super) fn peer_credentials(&self, number: i32) -> Answer<PeerCredentials> {
        self.socket_of(number)?.peer.map(|_| EVERYBODY).ok_or(libc::ENOTCONN)
    }

    /// What `poll` says of a socket's room: `unix_writable` is a quarter of the buffer.
    pub(super) fn is_writable(&self, socket: &Socket) -> bool {
        if socket.send_shut || socket.transport == Transport::Tcp {
            return socket.send_shut || socket.state == State::Closed || socket.output.is_writable();
        }
        self.unread_by_peer(socket) * 4 <= socket.output.capacity
    }

    fn unread_by_peer(&self, socket: &Socket) -> usize {
        let peer = socket.peer.and_then(|peer| self.sockets.get(&peer));
        peer.map_or(0, |peer| peer.input.bytes.len())
    }

    pub(super) fn write_unix(&mut self, id: SocketId, pieces: &[&[u8]]) -> Answer<usize> {
        let Some(socket) = self.sockets.get_mut(&id) else { return Err(libc::EBADF) };
        if socket.send_shut {
            return Err(libc::EPIPE);
        }
        let Some(peer) = socket.peer else { return Err(libc::ENOTCONN) };
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if length == 0 {
            return Ok(0);
        }
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        if self.sockets.get(&peer).is_none_or(|peer| peer.receive_shut) {
            return Err(libc::EPIPE);
        }
        if self.holds_back(id) {
            return Err(libc::EAGAIN);
        }
        let wanted = self.shorten_write(id, length);
        let Some(socket) = self.sockets.get(&id) else { return Err(libc::EBADF) };
        let room = socket.output.capacity.saturating_sub(self.unread_by_peer(socket)).min(wanted);
        if room < length {
            if let Some(socket) = self.sockets.get_mut(&id) {
                socket.output.wanted = true;
            }
        }
        if room == 0 {
            return Err(libc::EAGAIN);
        }
        if let Some(peer) = self.sockets.get_mut(&peer) {
            peer.input.bytes.extend(pieces.iter().flat_map(|piece| piece.iter()).take(room));
            peer.input.pieces.push_back(room);
        }
        self.wake(peer);
        Ok(room)
    }

    /// A write that was read whole gives its room back, which the writer is told of whenever a quarter is free.
    pub(super) fn was_read_unix(&mut self, id: SocketId, count: usize) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let mut left = count;
        let mut freed = false;
        // Bounded by the writes that wait.
        while let Some(piece) = socket.input.pieces.front_mut() {
            if *piece > left {
                *piece -= left;
                break;
            }
            left -= *piece;
            freed = true;
            socket.input.pieces.pop_front();
        }
        let Some(peer) = socket.peer.filter(|_| freed) else { return };
        let Some(writer) = self.sockets.get(&peer) else { return };
        if self.is_writable(writer) {
            if let Some(writer) = self.sockets.get_mut(&peer) {
                writer.output.wanted = false;
            }
            self.wake(peer);
        }
    }

    pub(super) fn shutdown_unix(&mut self, id: SocketId) -> Answer<()> {
        let Some(socket) = self.sockets.get_mut(&id) else { return Err(libc::EBADF) };
        socket.send_shut = true;
        let peer = socket.peer;
        self.wake(id);
        let Some(peer) = peer else { return Ok(()) };
        if let Some(peer) = self.sockets.get_mut(&peer) {
            peer.receive_shut = true;
        }
        self.wake(peer);
        Ok(())
    }

    /// `unix_release_sock`
    pub(super) fn close_unix(&mut self, id: SocketId) {
        let Some(mut socket) = self.sockets.remove(&id) else { return };
        if let Some(name) = socket.name.take().filter(|name| name.first() == Some(&0)) {
            // Only the one who was bound to it gives the name back, not those it accepted.
            if self.paths.get(&name) == Some(&id) {
                self.paths.remove(&name);
            }
        }
        for child in socket.listener.take().into_iter().flat_map(|listener| listener.queue) {
            // Those who were not accepted learn it as a reset.
            self.leave_peer(child, true);
            self.sockets.remove(&child);
        }
        let unread = !socket.input.bytes.is_empty();
        if let Some(peer) = socket.peer {
            self.close_peer(peer, unread);
        }
    }

    fn leave_peer(&mut self, id: SocketId, reset: bool) {
        if let Some(peer) = self.sockets.get(&id).and_then(|socket| socket.peer) {
            self.close_peer(peer, reset);
        }
    }

    fn close_peer(&mut self, peer: SocketId, reset: bool) {
        let Some(socket) = self.sockets.get_mut(&peer) else { return };
        socket.receive_shut = true;
        socket.send_shut = true;
        if reset {
            socket.error = Some(libc::ECONNRESET);
        }
        self.wake(peer);
    }
}
