//! Addresses as values: the grammar of IP addresses, [`SocketAddress`], and the [`BlockList`].
//!
//! | file | subject |
//! |---|---|
//! | [`ip`] | what an IP address is |
//! | [`socket_address`] | an IP address and a port as a value |
//! | [`block_list`] | addresses to be refused |
//!
//! Vocabulary, below all floors like `error`: the reactor asks a block list, and users hold one. It may touch `error`, and
//! the families of addresses in `sys`.

pub(crate) mod block_list;
pub(crate) mod ip;
pub(crate) mod socket_address;

pub use crate::addresses::block_list::{BlockList, BlockListAddress};
pub use crate::addresses::ip::{is_ip, is_ipv4, is_ipv6};
pub use crate::addresses::socket_address::{SocketAddress, SocketAddressOptions};
