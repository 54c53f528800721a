//! The forms in which an address is given to a `BlockList`.
//!
//! It may touch `ip` and the address types. Invariant: a text is read once, when it is converted; what could not be
//! read is carried as such, because only the method that it is given to knows whether that is an error.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::addresses::ip;
use crate::addresses::socket_address::{SocketAddress, invalid_address};
use crate::error::Error;

/// An address as it is given to [`BlockList`](crate::net::BlockList): made with `into()` from text, from std's address
/// types, or from a [`SocketAddress`], whose port and flow label do not matter.
///
/// The family of a text is that of the address in it; where Node takes a text and a family, this takes the text. A zone
/// (`%eth0`) is dropped. There is no error yet when a text holds no address: the methods that add and remove give it,
/// and [`check`](crate::net::BlockList::check) says that such a text is not blocked.
///
/// ```
/// use std::net::Ipv4Addr;
/// use halfclose::net::{BlockList, SocketAddress};
///
/// let mut list = BlockList::new();
/// list.add_address("10.0.0.1")?;
/// list.add_address(Ipv4Addr::new(10, 0, 0, 2))?;
/// list.add_address(SocketAddress::new(("10.0.0.3", 80))?)?;
/// assert_eq!(list.size(), 3);
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BlockListAddress(Option<SocketAddr>);

impl BlockListAddress {
    /// The address; `None` when it was a text that is none.
    pub(super) fn ip(self) -> Option<IpAddr> {
        self.0.map(|address| address.ip())
    }

    /// The address with what else was given: error messages show it.
    pub(super) fn required(self) -> Result<SocketAddr, Error> {
        self.0.ok_or_else(invalid_address)
    }
}

impl From<&str> for BlockListAddress {
    fn from(text: &str) -> Self {
        Self(ip::parse(text).map(|address| SocketAddr::new(address, 0)))
    }
}

impl From<&String> for BlockListAddress {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for BlockListAddress {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<IpAddr> for BlockListAddress {
    fn from(address: IpAddr) -> Self {
        Self(Some(SocketAddr::new(address, 0)))
    }
}

impl From<Ipv4Addr> for BlockListAddress {
    fn from(address: Ipv4Addr) -> Self {
        Self::from(IpAddr::V4(address))
    }
}

impl From<Ipv6Addr> for BlockListAddress {
    fn from(address: Ipv6Addr) -> Self {
        Self::from(IpAddr::V6(address))
    }
}

impl From<SocketAddr> for BlockListAddress {
    fn from(address: SocketAddr) -> Self {
        Self(Some(address))
    }
}

impl From<SocketAddress> for BlockListAddress {
    fn from(address: SocketAddress) -> Self {
        Self::from(&address)
    }
}

impl From<&SocketAddress> for BlockListAddress {
    fn from(address: &SocketAddress) -> Self {
        Self(Some(address.into()))
    }
}
