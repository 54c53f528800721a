//! The rules of a `BlockList`: kept for being listed and removed, and arranged for being asked.
//!
//! It may touch `rule` and `cover`. Invariants: every rule is in its list and, as an interval, in one cover, once for
//! each time that it was added; single addresses are in neither, a hash set answers for them. The hash is std's keyed
//! one, because those who connect choose the addresses that are looked up.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use crate::addresses::block_list::cover::Cover;
use crate::addresses::block_list::rule::{Range, Rule, Subnet, key};

#[derive(Clone)]
pub(super) struct RuleSet {
    addresses: HashMap<u128, Address>,
    subnets: Log<Subnet>,
    ranges: Log<Range>,
    /// The subnets, and the ranges of IPv4 addresses: they match an address in either spelling.
    both_spellings: Cover<u128>,
    /// The other ranges: they match what is written as IPv6 only.
    ipv6_spelling: Cover<u128>,
    /// How many rules were ever added: the order in which they are listed. 64 bits do not run out.
    added: u64,
}

#[derive(Clone, Copy)]
struct Address {
    /// As it was added last, IPv4 or IPv6.
    written: IpAddr,
    added: u64,
}

impl RuleSet {
    pub(super) fn new() -> Self {
        Self {
            addresses: HashMap::new(),
            subnets: Log::new(),
            ranges: Log::new(),
            both_spellings: Cover::new(),
            ipv6_spelling: Cover::new(),
            added: 0,
        }
    }

    pub(super) fn blocks(&self, address: IpAddr) -> bool {
        let key = key(address);
        self.addresses.contains_key(&key)
            || self.both_spellings.contains(key)
            || (address.is_ipv6() && self.ipv6_spelling.contains(key))
    }

    pub(super) fn add(&mut self, rule: Rule) {
        self.added += 1;
        let added = self.added;
        match rule {
            Rule::Address(written) => {
                self.addresses.entry(key(written)).or_insert(Address { written, added }).written = written;
            }
            Rule::Subnet(subnet) => {
                self.subnets.add(subnet, added);
                let (first, last) = subnet.bounds();
                self.both_spellings.insert(first, last);
            }
            Rule::Range(range) => {
                self.ranges.add(range, added);
                let (first, last) = range.bounds();
                self.cover_of(range).insert(first, last);
            }
        }
    }

    /// Takes the rule away that is written like this, the newest of several; nothing happens when there is none.
    /// Addresses are found in either spelling.
    pub(super) fn remove(&mut self, rule: Rule) {
        match rule {
            Rule::Address(address) => {
                self.addresses.remove(&key(address));
            }
            Rule::Subnet(subnet) => {
                if self.subnets.remove_newest(subnet) {
                    let (first, last) = subnet.bounds();
                    self.both_spellings.remove(first, last);
                }
            }
            Rule::Range(range) => {
                if self.ranges.remove_newest(range) {
                    let (first, last) = range.bounds();
                    self.cover_of(range).remove(first, last);
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.addresses.len() + self.subnets.len() + self.ranges.len()
    }

    /// Node's order: addresses, then subnets, then ranges. Node leaves the order of addresses open; here the oldest
    /// comes first. Of the others the newest does.
    pub(super) fn listed(&self) -> Vec<Rule> {
        let mut addresses: Vec<Address> = self.addresses.values().copied().collect();
        addresses.sort_unstable_by_key(|address| address.added);
        let mut listed: Vec<Rule> = addresses.into_iter().map(|address| Rule::Address(address.written)).collect();
        listed.extend(self.subnets.newest_first());
        listed.extend(self.ranges.newest_first());
        listed
    }

    fn cover_of(&mut self, range: Range) -> &mut Cover<u128> {
        if range.is_of_ipv4() { &mut self.both_spellings } else { &mut self.ipv6_spelling }
    }
}

/// Rules of one kind with the moments at which they were added.
#[derive(Clone)]
struct Log<Kind>(BTreeSet<(Kind, u64)>);

impl<Kind: Copy + Ord + Into<Rule>> Log<Kind> {
    const fn new() -> Self {
        Self(BTreeSet::new())
    }

    fn add(&mut self, rule: Kind, added: u64) {
        self.0.insert((rule, added));
    }

    /// Whether there was one.
    fn remove_newest(&mut self, rule: Kind) -> bool {
        let newest = self.0.range((rule, 0)..=(rule, u64::MAX)).next_back().copied();
        newest.is_some_and(|newest| self.0.remove(&newest))
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn newest_first(&self) -> impl Iterator<Item = Rule> {
        let mut rules: Vec<(Kind, u64)> = self.0.iter().copied().collect();
        rules.sort_unstable_by_key(|(_, added)| std::cmp::Reverse(*added));
        rules.into_iter().map(|(rule, _)| rule.into())
    }
}
