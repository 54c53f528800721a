//! What an IP address is: `is_ip` and its halves, and how the rest of `net` reads and writes addresses.
//!
//! It may touch std's address types, nothing else. Two grammars of text live here, as in Node, and they differ in what
//! may follow an IPv6 address: [`is_ip`] asks for a well-formed zone (`%eth0`), while addresses that are *used*
//! ([`parse`]) have whatever follows a `%` cut off. Invariant: what stands before the zone means the same to both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which kind of IP address `text` is: 4, 6, or 0 for none. Mirrors [`net.isIP(text)`].
///
/// The text has to be the address and nothing else: no brackets, no port, no prefix length, no spaces. An IPv4 address
/// is four decimal numbers from 0 to 255 without leading zeros; an IPv6 address may end in an IPv4 address, and in a
/// zone: `%` and one or more letters, digits, `-`, `.` or `:`.
///
/// ```
/// use halfclose::net;
///
/// assert_eq!(net::is_ip("127.0.0.1"), 4);
/// assert_eq!(net::is_ip("fe80::1%eth0"), 6);
/// assert_eq!(net::is_ip("127.000.000.001"), 0);
/// assert_eq!(net::is_ip("localhost"), 0);
/// ```
///
/// [`net.isIP(text)`]: https://nodejs.org/api/net.html#netisipinput
#[must_use]
pub fn is_ip(text: &str) -> u8 {
    if is_ipv4(text) {
        4
    } else if is_ipv6(text) {
        6
    } else {
        0
    }
}

/// Whether `text` is an IPv4 address, see [`is_ip`]. Mirrors [`net.isIPv4(text)`].
///
/// ```
/// use halfclose::net;
///
/// assert!(net::is_ipv4("10.0.0.255"));
/// assert!(!net::is_ipv4("10.0.0.256"));
/// assert!(!net::is_ipv4("10.1"));
/// ```
///
/// [`net.isIPv4(text)`]: https://nodejs.org/api/net.html#netisipv4input
#[must_use]
pub fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

/// Whether `text` is an IPv6 address, see [`is_ip`]. Mirrors [`net.isIPv6(text)`].
///
/// ```
/// use halfclose::net;
///
/// assert!(net::is_ipv6("2001:db8::1"));
/// assert!(net::is_ipv6("::ffff:127.0.0.1"));
/// assert!(!net::is_ipv6("[::1]"));
/// assert!(!net::is_ipv6("fe80::1%"));
/// ```
///
/// [`net.isIPv6(text)`]: https://nodejs.org/api/net.html#netisipv6input
#[must_use]
pub fn is_ipv6(text: &str) -> bool {
    let (address, zone) = split_zone(text);
    zone.is_none_or(is_zone) && address.parse::<Ipv6Addr>().is_ok()
}

/// The address that `text` stands for where an address is used. A zone is cut off unread, as Node does: it says through
/// which interface an address is reached, not which address it is.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    match text.parse::<Ipv4Addr>() {
        Ok(address) => Some(IpAddr::V4(address)),
        Err(_) => split_zone(text).0.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
    }
}

/// The one text that Node writes for an address. It differs from std's for `::a.b.c.d`, the IPv4-compatible addresses
/// of old, which std writes in hexadecimal.
pub(super) fn canonical(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => match address.segments() {
            [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
                format!("::{}", Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
            }
            _ => address.to_string(),
        },
    }
}

fn split_zone(text: &str) -> (&str, Option<&str>) {
    match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    }
}

fn is_zone(zone: &str) -> bool {
    !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':'))
}
