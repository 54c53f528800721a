//! From text to addresses: IP literals, and host names through the system's resolver.
//!
//! May touch `dns-lookup` (which makes the call), `libc` for its numbers, [`Family`], and the interface list for zones.
//!
//! Invariants: [`resolve`] blocks and belongs on a thread of its own; nothing of the crate's state is near it. The
//! order of addresses is the resolver's. Failures carry Node's codes.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use dns_lookup::{AddrInfoHints, LookupError, getaddrinfo};

use super::errno::Errno;
use super::interface;
use super::stream::Family;

/// One question to the system's resolver. Two that are equal have the same answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Query {
    pub(crate) host: String,
    /// Only addresses of this family.
    pub(crate) family: Option<Family>,
    pub(crate) hints: LookupHints,
}

impl Query {
    /// Both families, as far as this machine speaks them: others would only cost failing connects.
    pub(crate) fn of(host: &str) -> Query {
        Query { host: host.into(), family: None, hints: LookupHints::ADDRCONFIG }
    }
}

/// What a lookup may add to the addresses of a name, or leave out: the `hints` of [`dns.lookup()`], for
/// [`ConnectOptions::hints`](crate::net::ConnectOptions::hints). Combined with `|`.
///
/// ```
/// use halfclose::net::LookupHints;
///
/// let hints = LookupHints::V4MAPPED | LookupHints::ALL;
/// assert!(hints.contains(LookupHints::ALL));
/// assert!(!hints.contains(LookupHints::ADDRCONFIG));
/// ```
///
/// [`dns.lookup()`]: https://nodejs.org/api/dns.html#dnslookuphostname-options-callback
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupHints(u8);

impl LookupHints {
    /// None of them: 0 in Node.
    pub const NONE: LookupHints = LookupHints(0);
    /// Only addresses of families that this machine has an address of itself. Mirrors [`dns.ADDRCONFIG`].
    ///
    /// [`dns.ADDRCONFIG`]: https://nodejs.org/api/dns.html#supported-getaddrinfo-flags
    pub const ADDRCONFIG: LookupHints = LookupHints(1);
    /// Asked for IPv6 and none found: IPv4 addresses, mapped (`::ffff:192.0.2.1`). Some systems do not know it. Mirrors
    /// [`dns.V4MAPPED`].
    ///
    /// [`dns.V4MAPPED`]: https://nodejs.org/api/dns.html#supported-getaddrinfo-flags
    pub const V4MAPPED: LookupHints = LookupHints(2);
    /// With [`V4MAPPED`](LookupHints::V4MAPPED): both the IPv6 addresses and the mapped ones. Mirrors [`dns.ALL`].
    ///
    /// [`dns.ALL`]: https://nodejs.org/api/dns.html#supported-getaddrinfo-flags
    pub const ALL: LookupHints = LookupHints(4);

    /// Whether all of `hints` are among these. Not in Node, where `&` of two numbers says it.
    ///
    /// ```
    /// use halfclose::net::LookupHints;
    ///
    /// assert!(LookupHints::ALL.contains(LookupHints::NONE));
    /// assert!(!LookupHints::NONE.contains(LookupHints::ALL));
    /// ```
    pub fn contains(self, hints: LookupHints) -> bool {
        self.0 & hints.0 == hints.0
    }

    /// The C library's flags.
    fn flags(self) -> i32 {
        let known = [
            (Self::ADDRCONFIG, libc::AI_ADDRCONFIG),
            // The C libraries of these two have no mapped addresses to give.
            #[cfg(not(any(target_os = "netbsd", target_os = "openbsd")))]
            (Self::V4MAPPED, libc::AI_V4MAPPED),
            #[cfg(not(any(target_os = "netbsd", target_os = "openbsd")))]
            (Self::ALL, libc::AI_ALL),
        ];
        known.into_iter().filter(|(hint, _)| self.contains(*hint)).fold(0, |flags, (_, flag)| flags | flag)
    }
}

impl std::ops::BitOr for LookupHints {
    type Output = LookupHints;

    fn bitor(self, other: LookupHints) -> LookupHints {
        LookupHints(self.0 | other.0)
    }
}

impl fmt::Debug for LookupHints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [(Self::ADDRCONFIG, "ADDRCONFIG"), (Self::V4MAPPED, "V4MAPPED"), (Self::ALL, "ALL")];
        let names = all.into_iter().filter(|(hint, _)| self.contains(*hint)).map(|(_, name)| name);
        write!(formatter, "LookupHints({})", names.collect::<Vec<_>>().join(" | "))
    }
}

/// Asks the system's resolver for the addresses of a name: port 0, in the resolver's order, no address twice.
///
/// Blocks for as long as the resolver takes, which may be many seconds.
pub(crate) fn resolve(query: &Query) -> Result<Vec<SocketAddr>, LookupFailure> {
    let host = query.host.as_str();
    if host.contains('\0') {
        // The C library cannot even be asked: it would look up the part before the zero byte.
        return Err(LookupFailure::NOT_FOUND);
    }
    let hints = AddrInfoHints {
        flags: query.hints.flags(),
        address: match query.family {
            None => libc::AF_UNSPEC,
            Some(Family::IPv4) => libc::AF_INET,
            Some(Family::IPv6) => libc::AF_INET6,
        },
        // Without a socket type every address comes once per type.
        socktype: libc::SOCK_STREAM,
        ..AddrInfoHints::default()
    };
    let found = getaddrinfo(Some(host), None, Some(hints)).map_err(LookupFailure::from)?;
    let mut addresses = Vec::new();
    // As many rounds as the resolver's answer is long: the list is a finished copy. Entries of other families than
    // IPv4 and IPv6 are errors here, and nothing that could be connected to.
    for entry in found.flatten() {
        if !addresses.contains(&entry.sockaddr) {
            addresses.push(entry.sockaddr);
        }
    }
    if addresses.is_empty() { Err(LookupFailure::NOT_FOUND) } else { Ok(addresses) }
}

/// Reads an IP literal as `net.isIP` does: strict IPv4, or IPv6 with an optional zone (`fe80::1%eth0`). The port is 0.
///
/// A zone is the name of an interface, else its number; a zone that is neither is ignored, as in libuv.
pub(crate) fn parse_address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(SocketAddr::new(IpAddr::V4(address), 0));
    }
    let (address, scope) = match text.split_once('%') {
        Some((address, zone)) => (address, zone_index(zone)?),
        None => (text, 0),
    };
    let address = address.parse::<Ipv6Addr>().ok()?;
    Some(SocketAddr::V6(SocketAddrV6::new(address, 0, 0, scope)))
}

/// Why a lookup failed, in Node's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LookupFailure {
    /// Node's `error.code`: `"ENOTFOUND"`, `"EAI_AGAIN"`, …
    pub(crate) code: &'static str,
    /// Node's `error.errno`: libuv's number, which is the same on every system.
    pub(crate) errno: i32,
}

impl LookupFailure {
    /// There is no thread, or no memory, to ask with.
    pub(crate) const NO_MEMORY: Self = Self { code: "EAI_MEMORY", errno: -3006 };

    /// The name is too long to ask for.
    pub(crate) const INVALID: Self = Self { code: "EINVAL", errno: -libc::EINVAL };

    /// The resolver did not answer in time: what it says itself when its servers do not.
    pub(crate) const AGAIN: Self = Self { code: "EAI_AGAIN", errno: -3001 };

    /// There is no such host.
    pub(crate) const NOT_FOUND: Self = Self { code: "ENOTFOUND", errno: -3008 };

    /// From a recording. The codes are those below and the system's; one that is neither is told as what it is not.
    #[cfg(feature = "simulation")]
    pub(crate) fn taped(errno: i32, code: &str) -> Self {
        const CODES: [&str; 11] = [
            "ENOTFOUND",
            "EAI_AGAIN",
            "EAI_BADFLAGS",
            "EAI_FAIL",
            "EAI_FAMILY",
            "EAI_MEMORY",
            "EAI_OVERFLOW",
            "EAI_SERVICE",
            "EAI_SOCKTYPE",
            "EAI_ADDRFAMILY",
            "EINVAL",
        ];
        let known = CODES.iter().find(|known| **known == code);
        Self { code: known.copied().unwrap_or_else(|| Errno(-errno).name()), errno }
    }

    /// Translates a number of `getaddrinfo`, which differ from system to system, into libuv's.
    fn from_number(number: i32) -> Option<Self> {
        let (code, errno) = match number {
            libc::EAI_NONAME => return Some(Self::NOT_FOUND),
            // To Node this is not found either, but its number is another one.
            #[cfg(not(any(target_os = "freebsd", target_os = "dragonfly")))]
            libc::EAI_NODATA => ("ENOTFOUND", -3007),
            libc::EAI_AGAIN => ("EAI_AGAIN", -3001),
            libc::EAI_BADFLAGS => ("EAI_BADFLAGS", -3002),
            libc::EAI_FAIL => ("EAI_FAIL", -3004),
            libc::EAI_FAMILY => ("EAI_FAMILY", -3005),
            libc::EAI_MEMORY => ("EAI_MEMORY", -3006),
            libc::EAI_OVERFLOW => ("EAI_OVERFLOW", -3009),
            libc::EAI_SERVICE => ("EAI_SERVICE", -3010),
            libc::EAI_SOCKTYPE => ("EAI_SOCKTYPE", -3011),
            // glibc's own: the host has addresses, but none of a family that can be used here.
            #[cfg(all(target_os = "linux", target_env = "gnu"))]
            GLIBC_EAI_ADDRFAMILY => ("EAI_ADDRFAMILY", -3000),
            _ => return None,
        };
        Some(Self { code, errno })
    }
}

/// The `libc` crate does not name this number of glibc's `netdb.h`.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const GLIBC_EAI_ADDRFAMILY: i32 = -9;

impl From<LookupError> for LookupFailure {
    fn from(error: LookupError) -> Self {
        Self::from_number(error.error_num()).unwrap_or_else(|| {
            // The resolver failed with a number of the operating system (EAI_SYSTEM), or with one nobody knows.
            let errno = Errno::from_io(&io::Error::from(error));
            Self { code: errno.name(), errno: errno.negated() }
        })
    }
}

/// The interface that a zone names, 0 if there is none; `None` if the text cannot be a zone at all.
fn zone_index(zone: &str) -> Option<u32> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':');
    if zone.is_empty() || !zone.bytes().all(allowed) {
        return None;
    }
    Some(interface::index_of(zone).or_else(|| zone.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        parse_address(text).map(|address| address.to_string())
    }

    #[test]
    fn ipv4_is_strict() {
        assert_eq!(parsed("127.0.0.1").unwrap(), "127.0.0.1:0");
        for text in ["127.1", "01.1.1.1", "1.1.1.256", "1.1.1.1 ", "1.1.1.1%lo", "1.1.1.1/8", "0x7f.0.0.1", ""] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    #[test]
    fn ipv6_follows_the_grammar_of_is_ip() {
        assert_eq!(parsed("::1").unwrap(), "[::1]:0");
        assert_eq!(parsed("1:2:3:4:5:6:7::").unwrap(), "[1:2:3:4:5:6:7:0]:0");
        assert_eq!(parsed("::ffff:1.2.3.4").unwrap(), "[::ffff:1.2.3.4]:0");
        for text in ["1:2:3:4:5:6:7:8::", "1::2:3:4:5:6:7:8", "[::1]", "::1/64", " ::1", "::ffff:01.2.3.4", "1::2::3"] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_zone_is_a_name_or_a_number_and_otherwise_ignored() {
        let scope = |text: &str| match parse_address(text) {
            Some(SocketAddr::V6(address)) => Some(address.scope_id()),
            Some(SocketAddr::V4(_)) | None => None,
        };
        let name = if cfg!(target_os = "linux") { "lo" } else { "lo0" };
        assert_eq!(scope(&format!("fe80::1%{name}")), interface::index_of(name));
        assert_eq!(scope("fe80::1%4242"), Some(4242));
        assert_eq!(scope("fe80::1%no-such-zone"), Some(0));
        assert_eq!(scope("fe80::1%99999999999"), Some(0));
        for text in ["::%", "::%eth_0", "::%eth0@1", "::%a%b", "::%e\0"] {
            assert_eq!(scope(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_literal_resolves_to_itself_once() {
        assert_eq!(resolve(&Query::of("127.0.0.1")).unwrap(), [SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]);
    }

    #[test]
    fn localhost_resolves_to_loopback_without_repetition() {
        let addresses = resolve(&Query::of("localhost")).unwrap();
        assert!(!addresses.is_empty());
        for (index, address) in addresses.iter().enumerate() {
            assert!(address.ip().is_loopback());
            assert_eq!(address.port(), 0);
            assert!(!addresses[..index].contains(address));
        }
    }

    #[test]
    fn a_family_leaves_the_other_one_out() {
        let of = |family| Query { family: Some(family), hints: LookupHints::NONE, ..Query::of("localhost") };
        assert!(resolve(&of(Family::IPv4)).unwrap().iter().all(SocketAddr::is_ipv4));
        // Where `localhost` has no IPv6 address there is none to be found.
        if let Ok(found) = resolve(&of(Family::IPv6)) {
            assert!(found.iter().all(SocketAddr::is_ipv6));
        }
    }

    #[test]
    fn hints_combine_and_name_themselves() {
        let hints = LookupHints::V4MAPPED | LookupHints::ADDRCONFIG;
        assert_eq!(hints.flags(), libc::AI_V4MAPPED | libc::AI_ADDRCONFIG);
        assert_eq!(format!("{hints:?}"), "LookupHints(ADDRCONFIG | V4MAPPED)");
        assert_eq!(LookupHints::default(), LookupHints::NONE);
    }

    #[test]
    fn names_that_cannot_be_asked_for_are_not_found() {
        assert_eq!(resolve(&Query::of("local\0host")), Err(LookupFailure::NOT_FOUND));
        assert_eq!(resolve(&Query::of("")), Err(LookupFailure::NOT_FOUND));
    }

    #[test]
    fn failures_have_the_codes_and_numbers_of_node() {
        let failure = |number| LookupFailure::from(LookupError::new(number));
        assert_eq!(failure(libc::EAI_NONAME), LookupFailure { code: "ENOTFOUND", errno: -3008 });
        assert_eq!(failure(libc::EAI_AGAIN), LookupFailure { code: "EAI_AGAIN", errno: -3001 });
        assert_eq!(failure(libc::EAI_MEMORY), LookupFailure { code: "EAI_MEMORY", errno: -3006 });
        assert_eq!(failure(98_765), LookupFailure { code: "UNKNOWN", errno: -4094 });
    }

    #[test]
    fn a_failure_of_the_system_keeps_its_own_name() {
        let failure = LookupFailure::from(LookupError::from(io::Error::from_raw_os_error(libc::EMFILE)));
        assert_eq!(failure, LookupFailure { code: "EMFILE", errno: -libc::EMFILE });
    }
}
