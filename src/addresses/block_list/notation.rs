//! Reading the text of rules: what `rules` gives and `fromJSON` takes, `Subnet: IPv4 10.0.0.0/8`.
//!
//! It may touch `ip` and `rule`. Node looks for three patterns of each family anywhere in a line, and takes of a number
//! what the pattern takes. So does this, to the letter, because lists are exchanged with Node: each function says which
//! regular expression it is. Invariant: a line is walked over a bounded number of times.

use std::net::{IpAddr, SocketAddr};

use crate::addresses::block_list::rule::Rule;
use crate::addresses::ip;
use crate::addresses::socket_address::invalid_address;
use crate::error::Error;
use crate::sys::Family;

/// The longest text that Node takes for an IPv6 address: eight groups, the last two of them in decimal.
const LONGEST_IPV6: usize = 45;

/// The rule in a line: the first pattern that is found in it, subnets before addresses before ranges, IPv4 before IPv6.
/// `None` for a line without one, which Node passes over.
///
/// # Errors
///
/// Those of the methods that add, when the pattern is there and its values are no rule.
pub(super) fn rule(line: &str) -> Result<Option<Rule>, Error> {
    for family in [Family::IPv4, Family::IPv6] {
        // The patterns of IPv6 may be in any case, but not this word.
        if !line.contains(match family {
            Family::IPv4 => "IPv4",
            Family::IPv6 => "IPv6",
        }) {
            continue;
        }
        if let Some((network, prefix)) = places(line, "Subnet", family).find_map(|rest| subnet(rest, family)) {
            return Rule::subnet(endpoint(network, family)?, prefix).map(Some);
        }
        if let Some(text) = places(line, "Address", family).find_map(|rest| address(rest, family)) {
            return Ok(Some(Rule::Address(endpoint(text, family)?.ip())));
        }
        if let Some((start, end)) = places(line, "Range", family).find_map(|rest| range(rest, family)) {
            return Rule::range(endpoint(start, family)?, endpoint(end, family)?).map(Some);
        }
    }
    Ok(None)
}

/// What follows each `Kind: IPvN `. IPv6 may be written in any case.
fn places<'a>(line: &'a str, kind: &str, family: Family) -> impl Iterator<Item = &'a str> {
    let head = format!("{kind}: {family} ");
    line.char_indices().filter_map(move |(at, _)| {
        let (found, rest) = line[at..].split_at_checked(head.len())?;
        let matches = match family {
            Family::IPv4 => found == head,
            Family::IPv6 => found.eq_ignore_ascii_case(&head),
        };
        matches.then_some(rest)
    })
}

/// `ADDRESS\/(\d{1,2})`, with `\d{1,3}` for IPv6.
fn subnet(text: &str, family: Family) -> Option<(&str, u16)> {
    let (network, rest) = split_address(text, family)?;
    let most = match family {
        Family::IPv4 => 2,
        Family::IPv6 => 3,
    };
    let (prefix, _) = split_digits(rest.strip_prefix('/')?, most)?;
    Some((network, prefix.parse().ok()?))
}

/// `ADDRESS`, of which no more is taken than the pattern takes.
fn address(text: &str, family: Family) -> Option<&str> {
    split_address(text, family).map(|(address, _)| address)
}

/// `ADDRESS-ADDRESS`.
fn range(text: &str, family: Family) -> Option<(&str, &str)> {
    let (start, rest) = split_address(text, family)?;
    Some((start, address(rest.strip_prefix('-')?, family)?))
}

/// `\d{1,3}(?:\.\d{1,3}){3}` or `[0-9a-fA-F:.]{1,45}`, and what is behind it. Neither pattern can take less than this
/// and still be followed by a slash or a hyphen.
fn split_address(text: &str, family: Family) -> Option<(&str, &str)> {
    let length = match family {
        Family::IPv4 => {
            let mut rest = split_digits(text, 3)?.1;
            for _ in 0..3 {
                rest = split_digits(rest.strip_prefix('.')?, 3)?.1;
            }
            text.len() - rest.len()
        }
        Family::IPv6 => {
            let is_in_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            text.bytes().take(LONGEST_IPV6).take_while(is_in_address).count()
        }
    };
    (length > 0).then(|| text.split_at(length))
}

/// `\d{1,most}` and what is behind it.
fn split_digits(text: &str, most: usize) -> Option<(&str, &str)> {
    let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    (length > 0).then(|| text.split_at(length))
}

/// The address in a text that has to be of this family.
fn endpoint(text: &str, family: Family) -> Result<SocketAddr, Error> {
    match (ip::parse(text), family) {
        (Some(address @ IpAddr::V4(_)), Family::IPv4) | (Some(address @ IpAddr::V6(_)), Family::IPv6) => {
            Ok(SocketAddr::new(address, 0))
        }
        (Some(IpAddr::V4(_)), Family::IPv6) | (Some(IpAddr::V6(_)), Family::IPv4) | (None, _) => Err(invalid_address()),
    }
}
