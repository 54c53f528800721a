//! One rule of a `BlockList`: what it blocks, its conditions, and the text that shows it.
//!
//! It may touch `ip`, the address types and the errors. Invariants: a [`Rule`] that exists is valid: the prefix of a
//! subnet fits its family, a range does not end before it starts, and both its ends are written in one family. A rule
//! keeps the address as it was written (IPv4, or IPv6 with an IPv4 address in it, and host bits), because that is shown
//! and is what removing compares.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::addresses::block_list::{BlockListAddress, received};
use crate::addresses::ip;
use crate::addresses::socket_address::invalid_address;
use crate::error::Error;
use crate::sys::Family;

/// The IPv6 addresses that stand for the IPv4 addresses (`::ffff:0:0/96`).
const MAPPED: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Address(IpAddr),
    Subnet(Subnet),
    Range(Range),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subnet {
    network: IpAddr,
    prefix: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    start: IpAddr,
    end: IpAddr,
}

impl Rule {
    /// Mirrors the checks of `addSubnet`. A prefix that comes from text may be any number.
    pub(super) fn subnet(network: SocketAddr, prefix: impl Into<f64>) -> Result<Self, Error> {
        let longest = longest_prefix(network.ip());
        let prefix = prefix.into();
        if !(0.0..=f64::from(longest)).contains(&prefix) {
            return Err(prefix_out_of_range(longest, prefix));
        }
        // Within 0 to 128 as was just checked, and whole: it is a `u8` or was read as an integer.
        Ok(Self::Subnet(Subnet { network: network.ip(), prefix: prefix as u8 }))
    }

    /// Mirrors the checks of `addRange`.
    pub(super) fn range(start: SocketAddr, end: SocketAddr) -> Result<Self, Error> {
        let range = Range::written(start, end)?;
        if key(range.start) > key(range.end) {
            let received = received::socket_address(&start);
            return Err(invalid_value(&format!("The argument 'start' must come before end. Received {received}")));
        }
        Ok(Self::Range(range))
    }
}

/// `network/prefix`, read as far as Node's `parseCIDR` does: it is asked later whether these are an address and a
/// prefix that fits it.
pub(super) struct Cidr {
    network: BlockListAddress,
    prefix: f64,
}

impl Cidr {
    /// What is behind the last slash is the prefix.
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        let Some((network, prefix)) = text.rsplit_once('/') else {
            return Err(invalid_cidr("must contain a prefix length (e.g. \"10.0.0.0/8\")", text));
        };
        match integer(prefix) {
            Some(prefix) => Ok(Self { network: network.into(), prefix }),
            None => Err(invalid_cidr("prefix length must be a valid integer", text)),
        }
    }

    pub(super) fn rule(&self) -> Result<Rule, Error> {
        Rule::subnet(self.network.required()?, self.prefix)
    }
}

impl Subnet {
    /// The first and the last address in it.
    pub(super) fn bounds(self) -> (u128, u128) {
        let network = key(self.network);
        let host_bits = longest_prefix(self.network) - self.prefix;
        // Without a prefix there is nothing to shift the bit to: every bit is one of the host.
        let host_bits = 1_u128.checked_shl(host_bits.into()).map_or(u128::MAX, |bit| bit - 1);
        (network & !host_bits, network | host_bits)
    }
}

impl Range {
    /// A range that is to be found, not added: it may end before it starts, and then there is none like it. Where Node
    /// takes two texts and one family, a text of the other family is no address.
    pub(super) fn written(start: SocketAddr, end: SocketAddr) -> Result<Self, Error> {
        if Family::of(&start) != Family::of(&end) {
            return Err(invalid_address());
        }
        Ok(Self { start: start.ip(), end: end.ip() })
    }

    pub(super) fn bounds(self) -> (u128, u128) {
        (key(self.start), key(self.end))
    }

    /// Whether plain IPv4 addresses can be in it: both ends are IPv4 addresses, in either spelling. Node cannot compare
    /// a plain IPv4 address with an end that is none, and then it is not in the range, however wide that is.
    pub(super) fn is_of_ipv4(self) -> bool {
        let (first, last) = self.bounds();
        MAPPED.0 <= first && last <= MAPPED.1
    }
}

/// Node's text of a rule, as in `blockList.rules`.
impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(formatter, "Address: {} {}", family(*address), ip::canonical(*address)),
            Self::Subnet(Subnet { network, prefix }) => {
                write!(formatter, "Subnet: {} {}/{prefix}", family(*network), ip::canonical(*network))
            }
            Self::Range(Range { start, end }) => {
                write!(formatter, "Range: {} {}-{}", family(*start), ip::canonical(*start), ip::canonical(*end))
            }
        }
    }
}

impl From<Subnet> for Rule {
    fn from(subnet: Subnet) -> Self {
        Self::Subnet(subnet)
    }
}

impl From<Range> for Rule {
    fn from(range: Range) -> Self {
        Self::Range(range)
    }
}

/// The place of an address among all addresses: IPv4 addresses have the places of the IPv6 addresses that stand for
/// them, so that a rule in one spelling matches the other.
pub(super) fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => MAPPED.0 | u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The number of bits of an address.
fn longest_prefix(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn family(address: IpAddr) -> Family {
    Family::of(&SocketAddr::new(address, 0))
}

/// The integer that JavaScript would write as exactly this text. Numbers of any size are read, because Node tells a
/// number that is too great from a text that is none.
fn integer(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || text == "-0" {
        return None;
    }
    let number = text.parse::<f64>().ok()?;
    // From 1e21 on JavaScript writes an exponent.
    (number.abs() < 1e21 && number.to_string() == text).then_some(number)
}

fn prefix_out_of_range(longest: u8, prefix: f64) -> Error {
    let received = received::number(prefix);
    let message =
        format!("The value of \"prefix\" is out of range. It must be >= 0 && <= {longest}. Received {received}");
    Error::coded("ERR_OUT_OF_RANGE", message)
}

fn invalid_cidr(reason: &str, text: &str) -> Error {
    invalid_value(&format!("The argument 'cidr' {reason}. Received {}", received::text(text)))
}

fn invalid_value(message: &str) -> Error {
    Error::coded("ERR_INVALID_ARG_VALUE", message.to_owned())
}
