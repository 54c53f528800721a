//! Texts of addresses: every reader of them gives an answer, and all answers agree, with each other and with the standard
//! library's.
//!
//! May touch: the public API. Invariant: the input is lines of text; each is looked at for itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use halfclose::net::{self, Family, SocketAddress, SocketAddressOptions};

pub(crate) fn check(input: &[u8]) {
    for line in String::from_utf8_lossy(input).lines() {
        check_ip(line);
        check_socket_address(line);
    }
}

fn check_ip(text: &str) {
    let version = net::is_ip(text);
    assert!([0, 4, 6].contains(&version));
    assert_eq!(net::is_ipv4(text), version == 4);
    assert_eq!(net::is_ipv6(text), version == 6);
    assert_eq!(text.parse::<Ipv4Addr>().is_ok(), version == 4, "{text:?}");
    if !text.contains('%') {
        assert_eq!(text.parse::<Ipv6Addr>().is_ok(), version == 6, "{text:?}");
    } else if version == 6 {
        let (address, _zone) = text.split_once('%').expect("it has one");
        assert!(address.parse::<Ipv6Addr>().is_ok(), "{text:?}");
    }
}

fn check_socket_address(text: &str) {
    let parsed = SocketAddress::parse(text);
    if let Some(parsed) = &parsed {
        assert_eq!(net::is_ip(parsed.address()), if parsed.family() == Family::IPv4 { 4 } else { 6 });
        // What it shows itself as is read as the same.
        let shown = match parsed.family() {
            Family::IPv4 => format!("{}:{}", parsed.address(), parsed.port()),
            Family::IPv6 => format!("[{}]:{}", parsed.address(), parsed.port()),
        };
        assert_eq!(SocketAddress::parse(&shown).as_ref(), Some(parsed), "{text:?}");
        assert_eq!(SocketAddr::from(parsed), shown.parse().expect("std reads it too"), "{text:?}");
        assert!(parsed.to_json().contains(parsed.address()));
    }
    // Whatever std reads is read the same, but for zones, which no text has here.
    if let Ok(address) = text.parse::<SocketAddr>() {
        let zoned = matches!(address, SocketAddr::V6(address) if address.scope_id() != 0);
        assert!(zoned || text.contains('%') || parsed == Some(SocketAddress::from(address)), "{text:?}");
    }
    for family in [Family::IPv4, Family::IPv6] {
        let made = SocketAddress::new(SocketAddressOptions::new().address(text).family(family));
        if let Ok(made) = made {
            assert_eq!(made.family(), family, "{text:?}");
            let canonical: IpAddr = made.address().parse().expect("std reads it too");
            assert_eq!(canonical.is_ipv4(), family == Family::IPv4, "{text:?}");
        }
    }
}
