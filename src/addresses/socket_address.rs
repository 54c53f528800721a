//! `SocketAddress`: an IP address and a port as a value, with Node's defaults, names and canonical text.
//!
//! It may touch the vocabulary of the floors below and `ip`. Invariants: a [`SocketAddress`] never changes; its text is
//! the canonical one of its address; its flow label is 0 for IPv4, and it never carries a scope id.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

use crate::addresses::ip;
use crate::error::Error;
use crate::sys::Family;

/// An IP address, a port and, for IPv6, a flow label. Mirrors [`net.SocketAddress`].
///
/// [`BlockList`](crate::net::BlockList) takes it, as it takes text and std's address types. It converts from and into
/// [`std::net::SocketAddr`]. `Display` writes what [`SocketAddress::parse`] reads: `127.0.0.1:80`, `[::1]:80`.
///
/// Differences from Node: the family is taken from the address when it is not given, where Node takes it to be `ipv4`.
/// Flow labels of more than 20 bits, which abort Node, are kept as they are. See [`SocketAddressOptions::address`] and
/// [`SocketAddress::parse`] for texts that Node reads and this does not.
///
/// ```
/// use halfclose::net::{Family, SocketAddress};
///
/// let address = SocketAddress::new(("2001:DB8:0:0::1", 443))?;
/// assert_eq!(address.address(), "2001:db8::1");
/// assert_eq!(address.port(), 443);
/// assert_eq!(address.family(), Family::IPv6);
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`net.SocketAddress`]: https://nodejs.org/api/net.html#class-netsocketaddress
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SocketAddress {
    text: String,
    endpoint: SocketAddr,
}

impl SocketAddress {
    /// Makes an address from [`SocketAddressOptions`], or from an address as text and a port. Mirrors
    /// [`new net.SocketAddress(options)`]; `new net.SocketAddress()` is `SocketAddress::default()`.
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_ADDRESS` when the text is no IP address, or none of the family that is asked for.
    ///
    /// ```
    /// use halfclose::net::{Family, SocketAddress, SocketAddressOptions};
    ///
    /// let address = SocketAddress::new(("127.0.0.1", 80))?;
    /// assert_eq!(address.to_string(), "127.0.0.1:80");
    ///
    /// let any = SocketAddress::new(SocketAddressOptions::new().family(Family::IPv6).port(80))?;
    /// assert_eq!(any.to_string(), "[::]:80");
    ///
    /// let error = SocketAddress::new(("localhost", 80)).unwrap_err();
    /// assert_eq!(error.code(), Some("ERR_INVALID_ADDRESS"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.SocketAddress(options)`]: https://nodejs.org/api/net.html#new-netsocketaddressoptions
    pub fn new(options: impl Into<SocketAddressOptions>) -> Result<SocketAddress, Error> {
        let options = options.into();
        let address = match (&options.address, options.family) {
            (Some(text), _) => ip::parse(text).ok_or_else(invalid_address)?,
            (None, Some(Family::IPv6)) => Ipv6Addr::UNSPECIFIED.into(),
            (None, Some(Family::IPv4) | None) => Ipv4Addr::LOCALHOST.into(),
        };
        let endpoint = with_flowlabel(SocketAddr::new(address, options.port), options.flowlabel);
        if options.family.is_some_and(|family| family != Family::of(&endpoint)) {
            return Err(invalid_address());
        }
        Ok(SocketAddress::from(endpoint))
    }

    /// Reads `address` or `address:port`, with brackets around an IPv6 address; without a port it is 0. `None` for any
    /// other text. Mirrors [`net.SocketAddress.parse(text)`].
    ///
    /// Node reads the text as the host of a URL. What follows from that is not copied:
    ///
    /// - Port 80, the default port of URLs, is reported as 80. Node reports it as 0.
    /// - An IPv4 address is four decimal numbers without leading zeros. Node takes `256` for 0.0.1.0, `010.0.0.1` for
    ///   8.0.0.1, `1.2.3` for 1.2.0.3, `0x7f.1` for 127.0.0.1, `1.2.3.4.` for 1.2.3.4, and full-width digits for
    ///   digits.
    /// - Nothing may stand before or behind: Node ignores `user@`, spaces at the end, tabs and line ends anywhere, and
    ///   everything from `/`, `\`, `?` or `#` on.
    /// - A colon is followed by a port. Node takes `1.2.3.4:` for port 0.
    ///
    /// ```
    /// use halfclose::net::SocketAddress;
    ///
    /// let address = SocketAddress::parse("[::1]:80").unwrap();
    /// assert_eq!((address.address(), address.port()), ("::1", 80));
    ///
    /// assert_eq!(SocketAddress::parse("127.0.0.1").unwrap().port(), 0);
    /// assert_eq!(SocketAddress::parse("::1"), None);
    /// assert_eq!(SocketAddress::parse("localhost:80"), None);
    /// assert_eq!(SocketAddress::parse("127.0.0.1:65536"), None);
    /// ```
    ///
    /// [`net.SocketAddress.parse(text)`]: https://nodejs.org/api/net.html#socketaddressparseinput
    #[must_use]
    pub fn parse(text: &str) -> Option<SocketAddress> {
        let (address, rest) = match text.strip_prefix('[') {
            Some(text) => {
                let (address, rest) = text.split_once(']')?;
                (IpAddr::V6(address.parse().ok()?), rest)
            }
            None => {
                let (address, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
                (IpAddr::V4(address.parse().ok()?), rest)
            }
        };
        let port = match rest.strip_prefix(':') {
            // std's numbers may have a sign.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            None if rest.is_empty() => 0,
            Some(_) | None => return None,
        };
        Some(SocketAddress::from(SocketAddr::new(address, port)))
    }

    /// The address as text, in its one canonical form: IPv6 in lower case, its first longest run of zeros as `::`, and
    /// the last 32 bits of `::a.b.c.d` and `::ffff:a.b.c.d` in decimal. Mirrors [`socketAddress.address`].
    ///
    /// ```
    /// use halfclose::net::SocketAddress;
    ///
    /// assert_eq!(SocketAddress::new(("1:0:0:2:0:0:3:4", 0))?.address(), "1::2:0:0:3:4");
    /// assert_eq!(SocketAddress::new(("::ffff:7f00:1", 0))?.address(), "::ffff:127.0.0.1");
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socketAddress.address`]: https://nodejs.org/api/net.html#socketaddressaddress
    #[must_use]
    pub fn address(&self) -> &str {
        &self.text
    }

    /// The port, 0 to 65,535; default 0. Mirrors [`socketAddress.port`].
    ///
    /// ```
    /// use halfclose::net::SocketAddress;
    ///
    /// assert_eq!(SocketAddress::new(("127.0.0.1", 443))?.port(), 443);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socketAddress.port`]: https://nodejs.org/api/net.html#socketaddressport
    #[must_use]
    pub fn port(&self) -> u16 {
        self.endpoint.port()
    }

    /// The family of the address. Mirrors [`socketAddress.family`], whose text is [`SocketAddress::family_name`].
    ///
    /// ```
    /// use halfclose::net::{Family, SocketAddress};
    ///
    /// assert_eq!(SocketAddress::default().family(), Family::IPv4);
    /// ```
    ///
    /// [`socketAddress.family`]: https://nodejs.org/api/net.html#socketaddressfamily
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(&self.endpoint)
    }

    /// The family as Node writes it: `"ipv4"` or `"ipv6"`. In lower case, other than everywhere else in `net`, where
    /// [`Family`] is shown as `IPv4` and `IPv6`. Mirrors [`socketaddress.family`].
    ///
    /// ```
    /// use halfclose::net::SocketAddress;
    ///
    /// let address = SocketAddress::default();
    /// assert_eq!(address.family_name(), "ipv4");
    /// assert_eq!(address.family().to_string(), "IPv4");
    /// ```
    ///
    /// [`socketaddress.family`]: https://nodejs.org/api/net.html#socketaddressfamily
    #[must_use]
    pub fn family_name(&self) -> &'static str {
        family_name(&self.endpoint)
    }

    /// The flow label of an IPv6 address, default 0; always 0 for IPv4. Mirrors [`socketAddress.flowlabel`].
    ///
    /// ```
    /// use halfclose::net::{SocketAddress, SocketAddressOptions};
    ///
    /// let address = SocketAddress::new(SocketAddressOptions::new().address("::1").flowlabel(7))?;
    /// assert_eq!(address.flowlabel(), 7);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socketAddress.flowlabel`]: https://nodejs.org/api/net.html#socketaddressflowlabel
    #[must_use]
    pub fn flowlabel(&self) -> u32 {
        flowlabel(&self.endpoint)
    }

    /// The members as JSON text, in Node's order. Mirrors `JSON.stringify()` of a [`net.SocketAddress`].
    ///
    /// ```
    /// use halfclose::net::SocketAddress;
    ///
    /// let address = SocketAddress::new(("::1", 80))?;
    /// assert_eq!(address.to_json(), r#"{"address":"::1","port":80,"family":"ipv6","flowlabel":0}"#);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.SocketAddress`]: https://nodejs.org/api/net.html#class-netsocketaddress
    #[must_use]
    pub fn to_json(&self) -> String {
        // An address holds no letter that JSON would escape.
        format!(
            r#"{{"address":"{}","port":{},"family":"{}","flowlabel":{}}}"#,
            self.text,
            self.port(),
            self.family_name(),
            self.flowlabel()
        )
    }
}

/// Node's `new net.SocketAddress()`: 127.0.0.1 and port 0.
impl Default for SocketAddress {
    fn default() -> Self {
        Self::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }
}

/// What [`SocketAddress::parse`] reads; for every other text an `ERR_INVALID_ADDRESS`.
impl FromStr for SocketAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text).ok_or_else(invalid_address)
    }
}

/// The flow label is std's `flowinfo`. A scope id is dropped, as Node drops the zone of an address.
impl From<SocketAddr> for SocketAddress {
    fn from(address: SocketAddr) -> Self {
        let endpoint = with_flowlabel(SocketAddr::new(address.ip(), address.port()), flowlabel(&address));
        Self { text: ip::canonical(endpoint.ip()), endpoint }
    }
}

impl From<SocketAddress> for SocketAddr {
    fn from(address: SocketAddress) -> Self {
        address.endpoint
    }
}

impl From<&SocketAddress> for SocketAddr {
    fn from(address: &SocketAddress) -> Self {
        address.endpoint
    }
}

/// `127.0.0.1:80`, `[::1]:80`. The flow label is not shown.
impl fmt::Display for SocketAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family() {
            Family::IPv4 => formatter.pad(&format!("{}:{}", self.text, self.port())),
            Family::IPv6 => formatter.pad(&format!("[{}]:{}", self.text, self.port())),
        }
    }
}

/// The four members, as Node prints them.
impl fmt::Debug for SocketAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SocketAddress")
            .field("address", &self.text)
            .field("port", &self.port())
            .field("family", &self.family_name())
            .field("flowlabel", &self.flowlabel())
            .finish()
    }
}

/// What a [`SocketAddress`] is made from. Mirrors the options of [`new net.SocketAddress(options)`].
///
/// Made with `into()` from an address as text and a port, or built:
///
/// ```
/// use halfclose::net::{Family, SocketAddress, SocketAddressOptions};
///
/// let options = SocketAddressOptions::new().address("::1").port(80).family(Family::IPv6).flowlabel(7);
/// assert_eq!(SocketAddress::new(options)?.to_string(), "[::1]:80");
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`new net.SocketAddress(options)`]: https://nodejs.org/api/net.html#new-netsocketaddressoptions
#[derive(Clone, Debug, Default)]
pub struct SocketAddressOptions {
    address: Option<String>,
    port: u16,
    family: Option<Family>,
    flowlabel: u32,
}

impl SocketAddressOptions {
    /// Node's defaults: each is said at its option. Mirrors leaving the options of [`new net.SocketAddress(options)`]
    /// out.
    ///
    /// ```
    /// use halfclose::net::{SocketAddress, SocketAddressOptions};
    ///
    /// assert_eq!(SocketAddress::new(SocketAddressOptions::new())?, SocketAddress::default());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.SocketAddress(options)`]: https://nodejs.org/api/net.html#new-netsocketaddressoptions
    #[must_use]
    pub fn new() -> SocketAddressOptions {
        SocketAddressOptions::default()
    }

    /// The IP address; default 127.0.0.1, for [`Family::IPv6`] `::`. A zone (`%eth0`) is dropped. Mirrors `address` of
    /// [`new net.SocketAddress(options)`].
    ///
    /// Differences from Node: it reads a text up to its first null character, and cuts an IPv6 address that a zone
    /// follows after 39 characters, which makes another address of some. Here the first is an error, the second is
    /// right.
    ///
    /// ```
    /// use halfclose::net::{SocketAddress, SocketAddressOptions};
    ///
    /// let address = SocketAddress::new(SocketAddressOptions::new().address("fe80::1%eth0"))?;
    /// assert_eq!(address.address(), "fe80::1");
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.SocketAddress(options)`]: https://nodejs.org/api/net.html#new-netsocketaddressoptions
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// The port; default 0. Mirrors `port` of [`new net.SocketAddress(options)`].
    ///
    /// ```
    /// use halfclose::net::{SocketAddress, SocketAddressOptions};
    ///
    /// assert_eq!(SocketAddress::new(SocketAddressOptions::new().port(80))?.to_string(), "127.0.0.1:80");
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.SocketAddress(options)`]: https://nodejs.org/api/net.html#new-netsocketaddressoptions
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The family that the address has to be of; default: that of the address, and IPv4 without one. Node takes it to
    /// be IPv4 in either case. Mirrors `family` of [`new net.SocketAddress(options)`].
    ///
    /// ```
    /// use halfclose::net::{Family, SocketAddress, SocketAddressOptions};
    ///
    /// let options = SocketAddressOptions::new().family(Family::IPv6);
    /// assert_eq!(SocketAddress::new(options.clone())?.address(), "::");
    /// let error = SocketAddress::new(options.address("127.0.0.1")).unwrap_err();
    /// assert_eq!(error.code(), Some("ERR_INVALID_ADDRESS"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.SocketAddress(options)`]: https://nodejs.org/api/net.html#new-netsocketaddressoptions
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// The flow label; default 0; ignored for IPv4. Mirrors `flowlabel` of [`new net.SocketAddress(options)`].
    ///
    /// ```
    /// use halfclose::net::{SocketAddress, SocketAddressOptions};
    ///
    /// let options = SocketAddressOptions::new().flowlabel(7);
    /// assert_eq!(SocketAddress::new(options.clone().address("::1"))?.flowlabel(), 7);
    /// assert_eq!(SocketAddress::new(options)?.flowlabel(), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.SocketAddress(options)`]: https://nodejs.org/api/net.html#new-netsocketaddressoptions
    #[must_use]
    pub fn flowlabel(mut self, flowlabel: u32) -> Self {
        self.flowlabel = flowlabel;
        self
    }
}

/// An address, as text, and a port.
impl From<(&str, u16)> for SocketAddressOptions {
    fn from((address, port): (&str, u16)) -> Self {
        Self::new().address(address).port(port)
    }
}

/// An address, as text, and a port.
impl From<(String, u16)> for SocketAddressOptions {
    fn from((address, port): (String, u16)) -> Self {
        Self::new().address(address).port(port)
    }
}

/// Node's complaint about a text that is no address, or none of the family at hand.
pub(super) fn invalid_address() -> Error {
    Error::coded("ERR_INVALID_ADDRESS", "Invalid socket address")
}

pub(super) fn family_name(address: &SocketAddr) -> &'static str {
    match Family::of(address) {
        Family::IPv4 => "ipv4",
        Family::IPv6 => "ipv6",
    }
}

pub(super) fn flowlabel(address: &SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.flowinfo(),
    }
}

fn with_flowlabel(address: SocketAddr, flowlabel: u32) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(address) => SocketAddrV6::new(*address.ip(), address.port(), flowlabel, 0).into(),
    }
}
