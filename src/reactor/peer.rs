//! Where a connection is connected to, in one word: nearly all peers have IPv4 addresses, written as such or mapped into
//! IPv6, as a dual-stack server sees them.
//!
//! This module touches nothing. Invariant: [`Peer::of`] gives back exactly what [`Peer::address`] was made of, or says that
//! it does not fit.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    /// Nobody, or nobody knows.
    Unknown,
    IPv4 {
        address: Ipv4Addr,
        port: u16,
    },
    /// `::ffff:` and an IPv4 address.
    Mapped {
        address: Ipv4Addr,
        port: u16,
    },
    /// It does not fit: it lies in the rare box.
    Apart,
}

impl Peer {
    pub(crate) fn of(peer: Option<SocketAddr>) -> Peer {
        match peer {
            None => Peer::Unknown,
            Some(SocketAddr::V4(peer)) => Peer::IPv4 { address: *peer.ip(), port: peer.port() },
            Some(SocketAddr::V6(peer)) => match peer.ip().to_ipv4_mapped() {
                Some(address) if peer.flowinfo() == 0 && peer.scope_id() == 0 => {
                    Peer::Mapped { address, port: peer.port() }
                }
                Some(_) | None => Peer::Apart,
            },
        }
    }

    /// The address, if it fits.
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Peer::Unknown | Peer::Apart => None,
            Peer::IPv4 { address, port } => Some((address, port).into()),
            Peer::Mapped { address, port } => Some(SocketAddrV6::new(address.to_ipv6_mapped(), port, 0, 0).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_comes_back_as_it_was() {
        for text in ["127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::ffff:192.0.2.1]:443"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Peer::of(Some(address)).address(), Some(address), "{text}");
        }
        assert_eq!(Peer::of(None), Peer::Unknown);
        assert_eq!(Peer::Unknown.address(), None);
    }

    #[test]
    fn what_would_be_changed_does_not_fit() {
        // The last has the form of a mapped address, and a zone that would be lost.
        for text in ["[::1]:80", "[fe80::1%2]:80", "[::192.0.2.1]:80", "[::ffff:192.0.2.1%3]:80"] {
            assert_eq!(Peer::of(Some(text.parse().unwrap())), Peer::Apart, "{text}");
        }
    }

    #[test]
    fn it_is_one_word() {
        assert_eq!(size_of::<Peer>(), 8);
    }
}
