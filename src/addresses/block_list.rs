//! `BlockList`: addresses, ranges and subnets that are to be refused.
//!
//! | file | subject |
//! |---|---|
//! | this one | what a [`BlockList`] can do |
//! | `address` | the forms in which an address is given |
//! | `rule` | one rule: its conditions, its text, what it blocks |
//! | `rule_set` | all rules: listed, removed, asked |
//! | `cover` | the intervals of the rules, and the one question |
//! | `notation` | reading the text of rules |
//! | `json` | arrays of such texts |
//! | `received` | values in error messages |
//!
//! It may touch the vocabulary of the floors below, `ip` and `socket_address`. Invariants: a call that returns an `Err`
//! has changed nothing; asking is O(log n), in the number of rules, and never an error.

mod address;
mod cover;
mod json;
mod notation;
mod received;
mod rule;
mod rule_set;

use std::fmt;
use std::sync::Arc;

pub use crate::addresses::block_list::address::BlockListAddress;

use crate::addresses::block_list::rule::{Cidr, Range, Rule};
use crate::addresses::block_list::rule_set::RuleSet;
use crate::error::Error;

/// Rules for addresses that are to be refused: single addresses, ranges, subnets. Mirrors [`net.BlockList`].
///
/// Addresses are given as text, as std's types, or as a [`SocketAddress`](crate::net::SocketAddress), see
/// [`BlockListAddress`]. An IPv4 address and the IPv6 address that stands for it (`::ffff:10.0.0.1`) are the same to
/// rules, with one exception that is Node's: a range that begins or ends outside of the addresses that stand for IPv4
/// does not match plain IPv4. (A subnet such as `::/0` does.)
///
/// # Costs
///
/// [`check`](BlockList::check) is a look-up in a hash set and in one or two ordered maps: O(log n), however the rules
/// overlap. Adding is O(log n) on average. Removing is O(log n), except for a subnet or range that other rules lie
/// within: it walks over those. A clone shares the rules with its original until one of the two changes, and then copies
/// them once, so that neither sees a change of the other: hand clones to servers and connections freely.
///
/// # Differences from Node
///
/// - The family of a text is that of the address in it, there is no `family` argument.
/// - A call that returns an `Err` has changed nothing; Node's `addCIDRs` and `fromJSON` keep what came before the
///   error.
/// - Both ends of a range are of one family. Node takes ends of two families when they are `SocketAddress` objects.
/// - Ports, flow labels and zones never matter. In Node a subnet or range that was added as a `SocketAddress` with a
///   port cannot be removed by the text of its address.
/// - Addresses are listed in the order in which they were added. Node's order is that of a hash table.
/// - A text with a null character is no address. Node reads it up to there. Node also cuts an IPv6 address that a zone
///   follows after 39 characters, and then blocks another address; this does not.
///
/// ```
/// use halfclose::net::BlockList;
///
/// let mut list = BlockList::new();
/// list.add_address("123.123.123.123")?;
/// list.add_range("10.0.0.1", "10.0.0.10")?;
/// list.add_subnet("8592:757c:efae:4e45::", 64)?;
///
/// assert!(list.check("123.123.123.123"));
/// assert!(list.check("10.0.0.3"));
/// assert!(!list.check("222.111.111.222"));
/// assert!(list.check("::ffff:7b7b:7b7b"));
/// assert!(list.check("::ffff:123.123.123.123"));
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`net.BlockList`]: https://nodejs.org/api/net.html#class-netblocklist
#[derive(Clone)]
pub struct BlockList(Arc<RuleSet>);

impl BlockList {
    /// Subnets that are no part of the public internet, for [`add_cidrs`](BlockList::add_cidrs): private IPv4,
    /// loopback, link-local and unique local addresses. Mirrors [`BlockList.PRIVATE_RANGES`].
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_cidrs(BlockList::PRIVATE_RANGES)?;
    /// assert!(list.check("192.168.1.1") && list.check("::1"));
    /// assert!(!list.check("1.1.1.1"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`BlockList.PRIVATE_RANGES`]: https://nodejs.org/api/net.html#class-netblocklist
    pub const PRIVATE_RANGES: [&'static str; 8] = [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "::1/128",
        "169.254.0.0/16",
        "fe80::/10",
        "fc00::/7",
    ];

    /// A list without rules. Mirrors [`new net.BlockList()`].
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// assert_eq!(BlockList::new().size(), 0);
    /// ```
    ///
    /// [`new net.BlockList()`]: https://nodejs.org/api/net.html#class-netblocklist
    #[must_use]
    pub fn new() -> BlockList {
        BlockList(Arc::new(RuleSet::new()))
    }

    /// Blocks an address. One that is blocked already, in either spelling, stays in its place of the order and is
    /// listed as it was given last. Mirrors [`blockList.addAddress(address)`].
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_ADDRESS` for a text that is no IP address.
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_address("2001:db8::1")?;
    /// assert!(list.check("2001:DB8:0:0:0:0:0:1"));
    /// assert_eq!(list.add_address("localhost").unwrap_err().code(), Some("ERR_INVALID_ADDRESS"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.addAddress(address)`]: https://nodejs.org/api/net.html#blocklistaddaddressaddress-type
    pub fn add_address(&mut self, address: impl Into<BlockListAddress>) -> Result<(), Error> {
        self.add(Rule::Address(address.into().required()?.ip()));
        Ok(())
    }

    /// Blocks all of these addresses, or with an error none. Mirrors [`blockList.addAddresses(addresses)`].
    ///
    /// # Errors
    ///
    /// As [`add_address`](BlockList::add_address).
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_addresses(["10.0.0.1", "::1"])?;
    /// assert!(list.add_addresses(["10.0.0.2", "localhost"]).is_err());
    /// assert_eq!(list.size(), 2);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.addAddresses(addresses)`]: https://nodejs.org/api/net.html#class-netblocklist
    pub fn add_addresses<A: Into<BlockListAddress>>(
        &mut self,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<(), Error> {
        let mut rules = Vec::new();
        for address in addresses {
            rules.push(Rule::Address(address.into().required()?.ip()));
        }
        self.add_all(rules);
        Ok(())
    }

    /// Blocks the addresses from `start` to `end`, both of them included. Mirrors [`blockList.addRange(start, end)`].
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_ADDRESS` for a text that is no IP address, and when the two are not of one family;
    /// `ERR_INVALID_ARG_VALUE` when `start` comes after `end`.
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_range("10.0.0.1", "10.0.0.10")?;
    /// assert!(list.check("10.0.0.10"));
    ///
    /// let error = list.add_range("10.0.0.10", "10.0.0.1").unwrap_err();
    /// assert_eq!(error.code(), Some("ERR_INVALID_ARG_VALUE"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.addRange(start, end)`]: https://nodejs.org/api/net.html#blocklistaddrangestart-end-type
    pub fn add_range(
        &mut self,
        start: impl Into<BlockListAddress>,
        end: impl Into<BlockListAddress>,
    ) -> Result<(), Error> {
        self.add(Rule::range(start.into().required()?, end.into().required()?)?);
        Ok(())
    }

    /// Blocks the addresses that agree with `network` in their first `prefix` bits. The other bits of `network` are
    /// listed and otherwise ignored. Mirrors [`blockList.addSubnet(network, prefix)`].
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_ADDRESS` for a text that is no IP address; `ERR_OUT_OF_RANGE` when the prefix is above 32, for IPv6
    /// above 128.
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_subnet("192.168.1.77", 24)?;
    /// assert!(list.check("192.168.1.1"));
    /// assert_eq!(list.rules(), ["Subnet: IPv4 192.168.1.77/24"]);
    /// assert_eq!(list.add_subnet("10.0.0.0", 33).unwrap_err().code(), Some("ERR_OUT_OF_RANGE"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.addSubnet(network, prefix)`]: https://nodejs.org/api/net.html#blocklistaddsubnetnet-prefix-type
    pub fn add_subnet(&mut self, network: impl Into<BlockListAddress>, prefix: u8) -> Result<(), Error> {
        self.add(Rule::subnet(network.into().required()?, prefix)?);
        Ok(())
    }

    /// Blocks a subnet that is written as `network/prefix`. Mirrors [`blockList.addCIDR(cidr)`].
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_ARG_VALUE` when there is no slash, or no decimal number without leading zeros behind the last one;
    /// otherwise as [`add_subnet`](BlockList::add_subnet).
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_cidr("10.0.0.0/8")?;
    /// list.add_cidr("2001:db8::/32")?;
    /// assert!(list.check("10.255.255.255") && list.check("2001:db8:1::1"));
    /// assert_eq!(list.add_cidr("10.0.0.0").unwrap_err().code(), Some("ERR_INVALID_ARG_VALUE"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.addCIDR(cidr)`]: https://nodejs.org/api/net.html#class-netblocklist
    pub fn add_cidr(&mut self, cidr: &str) -> Result<(), Error> {
        self.add(Cidr::read(cidr)?.rule()?);
        Ok(())
    }

    /// Blocks all of these subnets, or with an error none. Mirrors [`blockList.addCIDRs(cidrs)`].
    ///
    /// # Errors
    ///
    /// As [`add_cidr`](BlockList::add_cidr).
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_cidrs(["10.0.0.0/8", "fc00::/7"])?;
    /// assert!(list.add_cidrs(["11.0.0.0/8", "11.0.0.0/33"]).is_err());
    /// assert_eq!(list.size(), 2);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.addCIDRs(cidrs)`]: https://nodejs.org/api/net.html#class-netblocklist
    pub fn add_cidrs<C: AsRef<str>>(&mut self, cidrs: impl IntoIterator<Item = C>) -> Result<(), Error> {
        // Two passes, as in Node: which error is given depends on it.
        let mut read = Vec::new();
        for cidr in cidrs {
            read.push(Cidr::read(cidr.as_ref())?);
        }
        let rules: Result<Vec<Rule>, Error> = read.iter().map(Cidr::rule).collect();
        self.add_all(rules?);
        Ok(())
    }

    /// Takes the rule for this one address away, in whichever spelling it was added. Nothing happens when there is
    /// none; ranges and subnets stay. Mirrors [`blockList.removeAddress(address)`].
    ///
    /// # Errors
    ///
    /// As [`add_address`](BlockList::add_address).
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_address("10.0.0.1")?;
    /// list.remove_address("::ffff:10.0.0.1")?;
    /// assert!(!list.check("10.0.0.1"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.removeAddress(address)`]: https://nodejs.org/api/net.html#class-netblocklist
    pub fn remove_address(&mut self, address: impl Into<BlockListAddress>) -> Result<(), Error> {
        self.remove(Rule::Address(address.into().required()?.ip()));
        Ok(())
    }

    /// Takes the range away that was added with exactly these ends, the newest if there are several. Nothing happens
    /// when there is none. Mirrors [`blockList.removeRange(start, end)`].
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_ADDRESS` for a text that is no IP address, and when the two are not of one family.
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_range("10.0.0.1", "10.0.0.10")?;
    /// list.remove_range("10.0.0.1", "10.0.0.9")?;
    /// assert!(list.check("10.0.0.5"));
    /// list.remove_range("10.0.0.1", "10.0.0.10")?;
    /// assert!(!list.check("10.0.0.5"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.removeRange(start, end)`]: https://nodejs.org/api/net.html#class-netblocklist
    pub fn remove_range(
        &mut self,
        start: impl Into<BlockListAddress>,
        end: impl Into<BlockListAddress>,
    ) -> Result<(), Error> {
        self.remove(Rule::Range(Range::written(start.into().required()?, end.into().required()?)?));
        Ok(())
    }

    /// Takes the subnet away that was added with exactly this network, its ignored bits included, and prefix; the
    /// newest if there are several. Nothing happens when there is none. Mirrors
    /// [`blockList.removeSubnet(network, prefix)`].
    ///
    /// # Errors
    ///
    /// As [`add_subnet`](BlockList::add_subnet).
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_subnet("10.0.0.0", 8)?;
    /// list.remove_subnet("10.1.0.0", 8)?;
    /// assert_eq!(list.size(), 1);
    /// list.remove_subnet("10.0.0.0", 8)?;
    /// assert_eq!(list.size(), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.removeSubnet(network, prefix)`]: https://nodejs.org/api/net.html#class-netblocklist
    pub fn remove_subnet(&mut self, network: impl Into<BlockListAddress>, prefix: u8) -> Result<(), Error> {
        self.remove(Rule::subnet(network.into().required()?, prefix)?);
        Ok(())
    }

    /// [`remove_subnet`](BlockList::remove_subnet) of a subnet that is written as `network/prefix`. Mirrors
    /// [`blockList.removeCIDR(cidr)`].
    ///
    /// # Errors
    ///
    /// As [`add_cidr`](BlockList::add_cidr).
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_cidr("10.0.0.0/8")?;
    /// list.remove_cidr("10.0.0.0/8")?;
    /// assert!(!list.check("10.0.0.1"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.removeCIDR(cidr)`]: https://nodejs.org/api/net.html#class-netblocklist
    pub fn remove_cidr(&mut self, cidr: &str) -> Result<(), Error> {
        self.remove(Cidr::read(cidr)?.rule()?);
        Ok(())
    }

    /// Takes all rules away. Mirrors [`blockList.clear()`].
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_cidr("10.0.0.0/8")?;
    /// list.clear();
    /// assert!(!list.check("10.0.0.1"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.clear()`]: https://nodejs.org/api/net.html#class-netblocklist
    pub fn clear(&mut self) {
        *self = BlockList::new();
    }

    /// The number of rules. Mirrors [`blockList.size`].
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_subnet("10.0.0.0", 8)?;
    /// list.add_subnet("10.0.0.0", 8)?;
    /// list.add_address("10.0.0.1")?;
    /// list.add_address("10.0.0.1")?;
    /// assert_eq!(list.size(), 3);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.size`]: https://nodejs.org/api/net.html#class-netblocklist
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Whether a rule blocks this address. A text that is no address is not blocked. Mirrors
    /// [`blockList.check(address)`].
    ///
    /// ```
    /// use std::net::{Ipv6Addr, TcpListener};
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_cidr("127.0.0.0/8")?;
    /// assert!(list.check("127.0.0.1"));
    /// assert!(list.check("::ffff:127.0.0.1"));
    /// assert!(list.check(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()));
    /// assert!(!list.check(Ipv6Addr::LOCALHOST));
    /// assert!(!list.check("localhost"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.check(address)`]: https://nodejs.org/api/net.html#blocklistcheckaddress-type
    #[must_use]
    pub fn check(&self, address: impl Into<BlockListAddress>) -> bool {
        address.into().ip().is_some_and(|address| self.0.blocks(address))
    }

    /// The rules as text: the addresses, then the subnets, the newest first, then the ranges, the newest first.
    /// Addresses come in the order in which they were added, which Node leaves open. Mirrors [`blockList.rules`].
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_range("10.0.0.1", "10.0.0.10")?;
    /// list.add_cidr("192.168.0.0/16")?;
    /// list.add_cidr("2001:DB8::/32")?;
    /// list.add_address("::ffff:102:304")?;
    /// let expected = [
    ///     "Address: IPv6 ::ffff:1.2.3.4",
    ///     "Subnet: IPv6 2001:db8::/32",
    ///     "Subnet: IPv4 192.168.0.0/16",
    ///     "Range: IPv4 10.0.0.1-10.0.0.10",
    /// ];
    /// assert_eq!(list.rules(), expected);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.rules`]: https://nodejs.org/api/net.html#blocklistrules
    #[must_use]
    pub fn rules(&self) -> Vec<String> {
        self.0.listed().iter().map(Rule::to_string).collect()
    }

    /// [`rules`](BlockList::rules) as the JSON text of an array. Mirrors [`JSON.stringify(blockList)`].
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_address("10.0.0.1")?;
    /// assert_eq!(list.to_json(), r#"["Address: IPv4 10.0.0.1"]"#);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`JSON.stringify(blockList)`]: https://nodejs.org/api/net.html#blocklisttojson
    #[must_use]
    pub fn to_json(&self) -> String {
        json::write(&self.rules())
    }

    /// Adds the rules in the JSON text of an array of strings, or with an error none: see
    /// [`add_rules`](BlockList::add_rules). Mirrors [`blockList.fromJSON(text)`]; as there, rules that are in the list
    /// stay.
    ///
    /// # Errors
    ///
    /// `ERR_INVALID_ARG_TYPE` for JSON that is no array of strings; `ERR_INVALID_JSON`, a code of this crate's own,
    /// where Node throws a `SyntaxError` without one; otherwise as [`add_rules`](BlockList::add_rules). A text that is
    /// both is called what it is first, from left to right.
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.from_json(r#"["Subnet: IPv4 192.168.1.0/24", "Address: IPv4 10.0.0.5"]"#)?;
    /// assert!(list.check("192.168.1.1") && list.check("10.0.0.5"));
    /// assert_eq!(list.from_json("{}").unwrap_err().code(), Some("ERR_INVALID_ARG_TYPE"));
    /// assert_eq!(list.from_json("[").unwrap_err().code(), Some("ERR_INVALID_JSON"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.fromJSON(text)`]: https://nodejs.org/api/net.html#blocklistfromjsonvalue
    pub fn from_json(&mut self, text: &str) -> Result<(), Error> {
        self.add_rules(json::read(text)?)
    }

    /// Adds the rules in texts as [`rules`](BlockList::rules) gives them, or with an error none. Mirrors
    /// [`blockList.fromJSON(array)`].
    ///
    /// As in Node, a rule may stand anywhere in its text, and a text without one is passed over. Subnets and ranges are
    /// listed in the opposite order afterwards, because `rules` gives the newest first.
    ///
    /// # Errors
    ///
    /// When a text has the form of a rule and its values are none: as [`add_address`](BlockList::add_address),
    /// [`add_range`](BlockList::add_range) and [`add_subnet`](BlockList::add_subnet).
    ///
    /// ```
    /// use halfclose::net::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_cidrs(BlockList::PRIVATE_RANGES)?;
    /// let mut copy = BlockList::new();
    /// copy.add_rules(list.rules())?;
    /// copy.add_rules(["# a remark", "Address: IPv6 2001:db8::1"])?;
    /// assert_eq!(copy.size(), list.size() + 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`blockList.fromJSON(array)`]: https://nodejs.org/api/net.html#blocklistfromjsonvalue
    pub fn add_rules<R: AsRef<str>>(&mut self, rules: impl IntoIterator<Item = R>) -> Result<(), Error> {
        let mut read = Vec::new();
        for line in rules {
            read.extend(notation::rule(line.as_ref())?);
        }
        self.add_all(read);
        Ok(())
    }

    fn add(&mut self, rule: Rule) {
        Arc::make_mut(&mut self.0).add(rule);
    }

    fn add_all(&mut self, rules: Vec<Rule>) {
        let set = Arc::make_mut(&mut self.0);
        for rule in rules {
            set.add(rule);
        }
    }

    fn remove(&mut self, rule: Rule) {
        Arc::make_mut(&mut self.0).remove(rule);
    }
}

impl Default for BlockList {
    fn default() -> Self {
        Self::new()
    }
}

/// The rules, as Node prints them.
impl fmt::Debug for BlockList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BlockList").field("rules", &self.rules()).finish()
    }
}
