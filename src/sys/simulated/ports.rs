//! Who has which port.
//!
//! May touch the kernel's sockets. Invariants: a port is in here exactly as long as a socket is bound to it; sockets all ask
//! for `SO_REUSEADDR`, as this crate's do, so that a port is in use only where somebody listens (socket(7)).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::kernel::{Answer, Kernel};
use super::random::Random;
use super::socket::{Socket, SocketId, State};
use crate::sys::stream::Family;

/// The ports that are given to who asks for none (`ip_local_port_range`).
const FIRST: u16 = 32_768;
const LAST: u16 = 60_999;

#[derive(Debug)]
pub(super) struct Ports {
    bound: BTreeMap<u16, Vec<SocketId>>,
    next: u16,
}

impl Ports {
    /// The first port differs from seed to seed, as it does from machine to machine.
    pub(super) fn new(random: &mut Random) -> Ports {
        let offset = random.below(u64::from(LAST - FIRST));
        // Lossless: below the number of ports.
        Ports { bound: BTreeMap::new(), next: FIRST + offset as u16 }
    }

    pub(super) fn insert(&mut self, port: u16, socket: SocketId) {
        let sockets = self.bound.entry(port).or_default();
        if !sockets.contains(&socket) {
            sockets.push(socket);
        }
    }

    pub(super) fn remove(&mut self, port: u16, socket: SocketId) {
        if let Some(sockets) = self.bound.get_mut(&port) {
            sockets.retain(|&bound| bound != socket);
            if sockets.is_empty() {
                self.bound.remove(&port);
            }
        }
    }

    fn at(&self, port: u16) -> &[SocketId] {
        self.bound.get(&port).map_or(&[], Vec::as_slice)
    }

    /// A port that nobody has.
    fn free(&mut self) -> Option<u16> {
        // Bounded by the ports there are.
        for _ in FIRST..=LAST {
            let port = self.next;
            self.next = if port == LAST { FIRST } else { port + 1 };
            if !self.bound.contains_key(&port) {
                return Some(port);
            }
        }
        None
    }
}

impl Kernel {
    pub(super) fn bind(&mut self, id: SocketId, address: SocketAddr) -> Answer<()> {
        let socket = self.sockets.get(&id).ok_or(libc::EBADF)?;
        if socket.local.is_some() {
            return Err(libc::EINVAL);
        }
        if socket.family != Family::of(&address) {
            return Err(libc::EINVAL);
        }
        let mut address = address;
        if address.port() == 0 {
            address.set_port(self.ports.free().ok_or(libc::EADDRINUSE)?);
        } else if self.is_taken(id, address) {
            return Err(libc::EADDRINUSE);
        }
        self.set_local(id, address);
        Ok(())
    }

    pub(super) fn set_local(&mut self, id: SocketId, address: SocketAddr) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.local = Some(address);
            self.ports.insert(address.port(), id);
        }
    }

    /// The local end of a connect that chose none.
    pub(super) fn choose_local(&mut self, id: SocketId, remote: SocketAddr) -> Answer<()> {
        let local = self.sockets.get(&id).and_then(|socket| socket.local);
        match local {
            Some(mut local) if local.ip().is_unspecified() => {
                local.set_ip(self.own_address(remote.ip()));
                self.set_local(id, local);
            }
            Some(_) => {}
            None => {
                let port = self.ports.free().ok_or(libc::EADDRNOTAVAIL)?;
                self.set_local(id, SocketAddr::new(self.own_address(remote.ip()), port));
            }
        }
        Ok(())
    }

    /// Whether the same two ends are connected already.
    pub(super) fn is_connected(&self, id: SocketId, remote: SocketAddr) -> bool {
        let Some(local) = self.sockets.get(&id).and_then(|socket| socket.local) else { return false };
        self.ports.at(local.port()).iter().any(|&other| {
            other != id
                && self.sockets.get(&other).is_some_and(|other| {
                    other.local == Some(local) && other.remote == Some(remote) && other.state != State::Closed
                })
        })
    }

    /// Whether somebody listens where this socket wants to.
    pub(super) fn is_taken(&self, id: SocketId, address: SocketAddr) -> bool {
        let Some(own) = self.sockets.get(&id) else { return true };
        self.ports.at(address.port()).iter().any(|&other| {
            let Some(other) = self.sockets.get(&other).filter(|_| other != id) else { return false };
            let Some(local) = other.local.filter(|_| other.state == State::Listen) else { return false };
            overlap(own, address.ip(), other, local.ip()) && !(own.options.reuse_port && other.options.reuse_port)
        })
    }

    /// Whoever listens at `address`: the most exact one. Among equals, who share the port, chance decides.
    pub(super) fn listener_at(&mut self, address: SocketAddr) -> Option<SocketId> {
        let mut best: Vec<SocketId> = Vec::new();
        let mut rank = 0;
        for &id in self.ports.at(address.port()) {
            let Some(socket) = self.sockets.get(&id).filter(|socket| socket.state == State::Listen) else { continue };
            let Some(local) = socket.local else { continue };
            let found = match (local.ip(), address.ip()) {
                (local, wanted) if local == wanted => 3,
                (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(_)) => 2,
                (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(_)) => 2,
                (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(_)) if !socket.options.ipv6_only => 1,
                _ => 0,
            };
            if found > rank {
                rank = found;
                best.clear();
            }
            if found == rank && found > 0 {
                best.push(id);
            }
        }
        match best.as_slice() {
            [] => None,
            [only] => Some(*only),
            several => {
                let chosen = self.random.below(several.len() as u64) as usize;
                several.get(chosen).copied()
            }
        }
    }
}

/// Whether two addresses, of sockets that both want the same port, have one in common.
fn overlap(one: &Socket, first: IpAddr, other: &Socket, second: IpAddr) -> bool {
    first == second || reaches(one, first, second) || reaches(other, second, first)
}

/// Whether a socket that is bound to `own` is reached at `wanted`, too.
fn reaches(socket: &Socket, own: IpAddr, wanted: IpAddr) -> bool {
    match (own, wanted) {
        (IpAddr::V4(own), IpAddr::V4(_)) => own.is_unspecified(),
        (IpAddr::V6(own), IpAddr::V6(_)) => own.is_unspecified(),
        (IpAddr::V6(own), IpAddr::V4(_)) => own.is_unspecified() && !socket.options.ipv6_only,
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    }
}
