//! A block list as one would write it first: a list of rules that is walked over, compared byte by byte as Node does.
//!
//! May touch: std, and the public API that it is the measure of. Invariant: it shares nothing with the crate, neither
//! the arithmetic on addresses nor the order.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use halfclose::net::BlockList;

use crate::support::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Address(IpAddr),
    Subnet(IpAddr, u8),
    Range(IpAddr, IpAddr),
}

#[derive(Debug, Default)]
struct Model(Vec<Rule>);

impl Model {
    fn add(&mut self, rule: Rule) {
        if let Rule::Address(address) = rule {
            if let Some(known) = self.0.iter_mut().find(|known| is_address(known, address)) {
                *known = rule;
                return;
            }
        }
        self.0.push(rule);
    }

    fn remove(&mut self, rule: Rule) {
        let place = match rule {
            Rule::Address(address) => self.0.iter().position(|known| is_address(known, address)),
            Rule::Subnet(..) | Rule::Range(..) => self.0.iter().rposition(|known| *known == rule),
        };
        if let Some(place) = place {
            self.0.remove(place);
        }
    }

    fn check(&self, address: IpAddr) -> bool {
        self.0.iter().any(|rule| match *rule {
            Rule::Address(_) => is_address(rule, address),
            Rule::Subnet(network, prefix) => is_in_subnet(address, network, prefix),
            Rule::Range(start, end) => {
                let behind_start = compare(address, start).is_some_and(Ordering::is_ge);
                behind_start && compare(address, end).is_some_and(Ordering::is_le)
            }
        })
    }

    fn rules(&self) -> Vec<String> {
        let mut rules = Vec::new();
        for rule in &self.0 {
            if let Rule::Address(address) = rule {
                rules.push(format!("Address: {} {address}", family(*address)));
            }
        }
        for rule in self.0.iter().rev() {
            if let Rule::Subnet(network, prefix) = rule {
                rules.push(format!("Subnet: {} {network}/{prefix}", family(*network)));
            }
        }
        for rule in self.0.iter().rev() {
            if let Rule::Range(start, end) = rule {
                rules.push(format!("Range: {} {start}-{end}", family(*start)));
            }
        }
        rules
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn is_address(rule: &Rule, address: IpAddr) -> bool {
    matches!(rule, Rule::Address(known) if known.to_canonical() == address.to_canonical())
}

fn is_in_subnet(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (address.to_canonical(), network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => agree(&address.octets(), &network.octets(), prefix),
        (IpAddr::V6(_), IpAddr::V4(_)) => false,
        (IpAddr::V4(address), IpAddr::V6(network)) => {
            agree(&address.to_ipv6_mapped().octets(), &network.octets(), prefix)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => agree(&address.octets(), &network.octets(), prefix),
    }
}

fn agree(one: &[u8], other: &[u8], bits: u8) -> bool {
    let bit = |bytes: &[u8], bit: usize| bytes[bit / 8] >> (7 - bit % 8) & 1;
    (0..usize::from(bits)).all(|place| bit(one, place) == bit(other, place))
}

/// `None` for an IPv4 address and an IPv6 address that does not stand for one.
fn compare(one: IpAddr, other: IpAddr) -> Option<Ordering> {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => Some(one.octets().cmp(&other.octets())),
        (IpAddr::V6(one), IpAddr::V6(other)) => Some(one.octets().cmp(&other.octets())),
        (IpAddr::V4(one), IpAddr::V6(other)) => Some(one.octets().cmp(&other.to_ipv4_mapped()?.octets())),
        (IpAddr::V6(one), IpAddr::V4(other)) => Some(one.to_ipv4_mapped()?.octets().cmp(&other.octets())),
    }
}

impl Random {
    /// From a few small neighbourhoods, so that rules overlap, nest and repeat. None is of the kind that std writes
    /// otherwise than Node.
    fn address(&mut self) -> IpAddr {
        let near = self.below(48) as u16;
        match self.below(6) {
            0 | 1 => Ipv4Addr::new(10, 0, (near / 24) as u8, (near % 24) as u8).into(),
            2 => Ipv4Addr::from(self.below(1 << 32) as u32).into(),
            3 => Ipv4Addr::new(10, 0, (near / 24) as u8, (near % 24) as u8).to_ipv6_mapped().into(),
            4 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, near / 24, near % 24).into(),
            _ => {
                let edges = [
                    "::",
                    "::1",
                    "::fffe:ffff:ffff",
                    "::ffff:0.0.0.0",
                    "::1:0:0:0",
                    "::ffff:255.255.255.255",
                    "ffff::",
                ];
                edges[self.below(7)].parse().expect("an address")
            }
        }
    }

    fn rule(&mut self) -> Rule {
        let address = self.address();
        match self.below(3) {
            0 => Rule::Address(address),
            1 => {
                let longest = if address.is_ipv4() { 32 } else { 128 };
                let prefix = match self.below(4) {
                    0 => self.below(longest + 1),
                    1 => longest - self.below(longest / 2),
                    _ => longest - self.below(6),
                };
                Rule::Subnet(address, prefix as u8)
            }
            _ => loop {
                let other = self.address();
                if other.is_ipv4() == address.is_ipv4() {
                    break Rule::Range(address.min(other), address.max(other));
                }
            },
        }
    }
}

fn add(list: &mut BlockList, rule: Rule) {
    match rule {
        Rule::Address(address) => list.add_address(address),
        Rule::Subnet(network, prefix) => list.add_subnet(network, prefix),
        Rule::Range(start, end) => list.add_range(start, end),
    }
    .expect("a rule");
}

fn remove(list: &mut BlockList, rule: Rule) {
    match rule {
        Rule::Address(address) => list.remove_address(address),
        Rule::Subnet(network, prefix) => list.remove_subnet(network, prefix),
        Rule::Range(start, end) => list.remove_range(start, end),
    }
    .expect("a rule");
}

/// B3 to B7 and B10: whatever is added and removed, and in whatever order, the list says what the model says.
#[test]
fn answers_as_the_model_does() {
    for seed in 1..=150_u64 {
        let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (mut list, mut model) = (BlockList::new(), Model::default());
        // Lists that shrink again and lists that grow.
        let adding = 45 + random.below(40);
        for step in 0..150 {
            let rule = if random.below(100) < adding || model.0.is_empty() {
                let rule = random.rule();
                add(&mut list, rule);
                model.add(rule);
                rule
            } else {
                let known = model.0[random.below(model.0.len())];
                let rule = if random.below(5) == 0 { random.rule() } else { known };
                remove(&mut list, rule);
                model.remove(rule);
                rule
            };
            assert_eq!(list.size(), model.0.len(), "seed {seed}, step {step}: {rule:?}");
            for _ in 0..12 {
                let address = random.address();
                let answer = list.check(address);
                assert_eq!(answer, model.check(address), "seed {seed}, step {step}: {address} with {model:?}");
            }
        }
        assert_eq!(list.rules(), model.rules(), "seed {seed}");
        let mut copy = BlockList::new();
        copy.from_json(&list.to_json()).expect("rules");
        assert_eq!(copy.size(), list.size(), "seed {seed}");
        for _ in 0..50 {
            let address = random.address();
            assert_eq!(copy.check(address), list.check(address), "seed {seed}: {address}");
        }
    }
}

/// A list as long as those that are published, in a part of IPv4 that is so small that about half of it is
/// blocked.
#[test]
fn a_hundred_thousand_rules_answer_as_the_model_does() {
    let mut random = Random::new(1);
    let (mut list, mut model) = (BlockList::new(), Model::default());
    for _ in 0..100_000 {
        let network = Ipv4Addr::from(random.below(1 << 27) as u32).into();
        let rule = match random.below(3) {
            0 => Rule::Address(network),
            1 => Rule::Subnet(network, 20 + random.below(13) as u8),
            _ => {
                let IpAddr::V4(start) = network else { continue };
                Rule::Range(network, Ipv4Addr::from(start.to_bits().saturating_add(random.below(4_096) as u32)).into())
            }
        };
        add(&mut list, rule);
        model.0.push(rule);
    }
    let mut blocked = 0;
    for _ in 0..100 {
        let address = Ipv4Addr::from(random.below(1 << 27) as u32);
        let answer = list.check(address);
        blocked += usize::from(answer);
        assert_eq!(answer, model.check(address.into()), "{address}");
        assert_eq!(list.check(address.to_ipv6_mapped()), answer, "{address}");
    }
    assert!((5..96).contains(&blocked), "{blocked} of 100: the question is too easy");
    for rule in model.0.drain(..) {
        remove(&mut list, rule);
    }
    assert_eq!(list.size(), 0);
    assert!(!list.check(Ipv4Addr::LOCALHOST));
}
