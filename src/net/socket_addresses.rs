//! The addresses of a [`Socket`]: the peer's, its own, and those that were tried.
//!
//! It may touch the event loop's commands. A stale handle has none.

use std::net::{IpAddr, SocketAddr};

use crate::event_loop::{Connection, current};
use crate::net::{Family, Socket};

/// Addresses. A unix socket has none, and neither has a freed one: all of them are `None` then.
impl Socket {
    /// The peer's address. Mirrors `socket.remoteAddress`: read from the system when it is first asked for while
    /// connected, and remembered until the next connection, so a socket that is first asked after `close` knows nothing.
    /// On a dual-stack server IPv4 peers have mapped addresses (`::ffff:127.0.0.1`).
    pub fn remote_address(self) -> Option<IpAddr> {
        self.read_remote_address().map(|address| address.ip())
    }

    /// The peer's port; remembered as [`remote_address`](Socket::remote_address) is. Mirrors `socket.remotePort`.
    pub fn remote_port(self) -> Option<u16> {
        self.read_remote_address().map(|address| address.port())
    }

    /// The family of the peer's address; remembered likewise. Mirrors `socket.remoteFamily`.
    pub fn remote_family(self) -> Option<Family> {
        self.read_remote_address().map(|address| Family::of(&address))
    }

    /// The peer's address and port, from the moment of connecting until the slot is freed or connects again, whether or
    /// not they were asked for before. Node has no such property; see [`remote_address`](Socket::remote_address).
    pub fn peer_addr(self) -> Option<SocketAddr> {
        self.ask(None, |connection| connection.peer())
    }

    fn read_remote_address(self) -> Option<SocketAddr> {
        self.ask(None, Connection::remote_address)
    }

    /// This end's address; `None` without a connection. Mirrors `socket.localAddress`.
    pub fn local_address(self) -> Option<IpAddr> {
        self.address().map(|address| address.ip())
    }

    /// This end's port; `None` without a connection. Mirrors `socket.localPort`.
    pub fn local_port(self) -> Option<u16> {
        self.address().map(|address| address.port())
    }

    /// The family of this end's address; `None` without a connection. Mirrors `socket.localFamily`.
    pub fn local_family(self) -> Option<Family> {
        self.address().map(|address| Family::of(&address))
    }

    /// This end's address and port together; `None` without a connection. Mirrors `socket.address()`.
    pub fn address(self) -> Option<SocketAddr> {
        self.ask(None, |connection| connection.local_address())
    }

    /// The addresses that the latest connect with several of them tried, as `address:port` and in their order; `None`
    /// before such a connect. Mirrors `socket.autoSelectFamilyAttemptedAddresses`.
    pub fn auto_select_family_attempted_addresses(self) -> Option<Vec<String>> {
        current::with(|core| core.reactor.attempted_addresses(self.handle)).flatten()
    }
}
