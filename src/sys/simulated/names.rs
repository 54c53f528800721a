//! What the simulated resolver knows.
//!
//! May touch the resolver's vocabulary. Invariants: it asks nobody; a name that it was not told is not found.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::kernel::Kernel;
use crate::sys::resolver::{LookupFailure, LookupHints, Query, parse_address};
use crate::sys::stream::Family;

/// How long a lookup takes, unless told otherwise: about what a resolver within the same network needs.
const LATENCY: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Names {
    known: BTreeMap<String, Result<Vec<IpAddr>, LookupFailure>>,
    pub(super) latency: Duration,
}

impl Default for Names {
    fn default() -> Names {
        let localhost = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        Names { known: BTreeMap::from([("localhost".into(), Ok(localhost))]), latency: LATENCY }
    }
}

impl Kernel {
    pub(super) fn set_name(&mut self, host: &str, answer: Result<Vec<IpAddr>, LookupFailure>) {
        // Names know no case (RFC 4343).
        self.names.known.insert(host.to_ascii_lowercase(), answer);
    }

    /// The answer to a lookup. The simulated machine has addresses of both families, so `ADDRCONFIG` leaves none out.
    pub(super) fn look_up(&self, query: &Query) -> Result<Vec<SocketAddr>, LookupFailure> {
        let literal = parse_address(&query.host).map(|address| Ok(vec![address.ip()]));
        let known = literal.or_else(|| self.names.known.get(&query.host.to_ascii_lowercase()).cloned());
        let found = known.unwrap_or(Err(LookupFailure::NOT_FOUND))?;
        let chosen = match query.family {
            None => found.clone(),
            Some(Family::IPv4) => of_family(&found, Family::IPv4),
            Some(Family::IPv6) => {
                let mut chosen = of_family(&found, Family::IPv6);
                let all = query.hints.contains(LookupHints::ALL);
                if query.hints.contains(LookupHints::V4MAPPED) && (all || chosen.is_empty()) {
                    chosen.extend(mapped(&found));
                }
                chosen
            }
        };
        if chosen.is_empty() {
            return Err(LookupFailure::NOT_FOUND);
        }
        Ok(chosen.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect())
    }
}

fn of_family(found: &[IpAddr], family: Family) -> Vec<IpAddr> {
    found.iter().filter(|ip| Family::of(&SocketAddr::new(**ip, 0)) == family).copied().collect()
}

/// The IPv4 addresses as IPv6 ones.
fn mapped(found: &[IpAddr]) -> Vec<IpAddr> {
    let mapped = found.iter().filter_map(|ip| match ip {
        IpAddr::V4(ip) => Some(IpAddr::V6(ip.to_ipv6_mapped())),
        IpAddr::V6(_) => None,
    });
    mapped.collect()
}
