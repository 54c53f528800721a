//! From the answer of a lookup to the address that gets connected: the `lookup` events, and Node's selection among
//! several addresses (rules L2, L9, L34, C11-C14, C20-C28).
//!
//! The addresses are tried one after the other. Only one attempt is alive at a time: the next one begins when the one
//! before it failed, or was given up because its time was over. With racing (which Node does not have) it is not given
//! up then, and the first that succeeds wins.
//!
//! This module touches the timers. Invariant: a selection belongs to one `connect()`; it is gone once that one
//! succeeded, failed or was destroyed, and its timer with it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::reactor::connecting::{any_address, attempt_error, bind, connect_error, local_details};
use crate::reactor::connection::{Attempt, Connection};
use crate::reactor::handle::Token;
use crate::reactor::rare::Rare;
use crate::reactor::ready::Announced;
use crate::reactor::target::{Local, Target};
use crate::reactor::ticks::{ConnectionTick, Emission, Step};
use crate::reactor::timers::TimerKey;
use crate::reactor::{Handle, Reactor, TimerKind};
use crate::sys::errno::Errno;
use crate::sys::{Readiness, Time};

/// Names a lookup for as long as its loop lives: no number is used twice.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct LookupId(pub(crate) u64);

/// What `connect()` to a name asked for, kept until the name is looked up.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    pub(crate) local: Local,
    /// How long each address but the last is tried, if all of them are to be (rule C20); else the first is.
    pub(crate) attempt_timeout: Option<Duration>,
    /// An address whose time is over goes on beside the next one.
    pub(crate) race: bool,
}

/// What only sockets that connect have: kept apart, so that a connection without it owns one word.
#[derive(Default)]
pub(super) struct Outbound {
    /// Lookups under way; more than one when `connect()` was called again meanwhile.
    pub(super) lookups: Vec<LookupId>,
    pub(super) selection: Option<Selection>,
    /// `autoSelectFamilyAttemptedAddresses`: those of the latest connect with several addresses.
    pub(super) attempted: Option<Vec<String>>,
}

/// A connect with several addresses.
pub(super) struct Selection {
    port: u16,
    local_port: Option<u16>,
    attempt_timeout: Duration,
    waiting: VecDeque<SocketAddr>,
    /// Ends the attempt under way; the last one has none (rule C25).
    timer: Option<TimerKey>,
    errors: Vec<Error>,
    race: bool,
    /// Attempts whose time is over, and which may win all the same.
    racing: Vec<Racing>,
}

/// An attempt beside the one that the link holds.
struct Racing {
    attempt: Box<Attempt>,
    announced: Announced,
}

/// The lookups.
impl Reactor {
    /// A lookup for `connect()` is under way; it keeps the loop alive until it is answered or nobody waits for it.
    pub(crate) fn connect_lookup_started(&mut self, socket: Handle, lookup: LookupId) {
        if let Some(connection) = self.live(socket) {
            connection.rare_mut().outbound.get_or_insert_default().lookups.push(lookup);
            self.requests += 1;
        }
    }

    /// The answer for a connecting socket. One that nobody waits for any more calls nothing (rule C13).
    pub(crate) fn lookup_finished(
        &mut self,
        socket: Handle,
        epoch: u32,
        lookup: LookupId,
        route: Box<Route>,
        answer: Result<Vec<SocketAddr>, Error>,
    ) {
        let Some(connection) = self.live(socket) else { return };
        let Some(outbound) = connection.outbound_mut() else { return };
        let Some(position) = outbound.lookups.iter().position(|&found| found == lookup) else { return };
        outbound.lookups.swap_remove(position);
        self.requests -= 1;
        match answer {
            Ok(mut addresses) => {
                if route.attempt_timeout.is_none() {
                    addresses.truncate(1);
                }
                self.looked_up(socket, epoch, route, addresses, 0);
            }
            Err(error) => {
                if self.is_connecting(socket, epoch) {
                    self.ticks.then(Step::LookupFailed { socket, epoch, error: error.clone() });
                    self.ticks.then_emit(Emission::Lookup { socket, host: route.host, answer: Err(error) });
                }
            }
        }
    }

    /// After the `lookup` event of the address before `next`: the event of that one, or the connecting begins.
    pub(super) fn looked_up(
        &mut self,
        socket: Handle,
        epoch: u32,
        route: Box<Route>,
        addresses: Vec<SocketAddr>,
        next: usize,
    ) {
        if !self.is_connecting(socket, epoch) {
            return;
        }
        let Some(&address) = addresses.get(next) else { return self.select(socket, epoch, *route, &addresses) };
        let host = route.host.clone();
        self.ticks.then(Step::LookedUp { socket, epoch, route, addresses, next: next + 1 });
        self.ticks.then_emit(Emission::Lookup { socket, host, answer: Ok(address) });
    }

    /// After `lookup` was emitted with an error: `connectErrorNT` follows in a tick.
    pub(super) fn lookup_failed(&mut self, socket: Handle, epoch: u32, error: Error) {
        if self.is_connecting(socket, epoch) {
            self.defer(socket, ConnectionTick::LookupFailed(error));
        }
    }

    /// The lookups of a socket that was destroyed: nobody waits for them.
    pub(super) fn abandon_lookups(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let Some(outbound) = connection.outbound_mut() else { return };
        let lookups = std::mem::take(&mut outbound.lookups);
        self.requests -= lookups.len();
        self.abandoned_lookups.extend(lookups);
    }

    fn is_connecting(&mut self, socket: Handle, epoch: u32) -> bool {
        self.current(socket, epoch).is_some_and(|connection| connection.link.is_connecting())
    }
}

/// The selection.
impl Reactor {
    /// One address is connected to as if it had been given; several are tried in turn (rules C21, C22).
    fn select(&mut self, socket: Handle, epoch: u32, route: Route, addresses: &[SocketAddr]) {
        let Route { host: _, port, local, attempt_timeout, race } = route;
        let mut waiting = alternating(addresses);
        self.touch(socket);
        match (attempt_timeout, waiting.len()) {
            (_, 0) => {}
            (None, _) | (Some(_), 1) => {
                if let Some(address) = waiting.pop_front() {
                    self.attempt(socket, epoch, Box::new(Target::found(address, port, local)));
                }
            }
            (Some(attempt_timeout), _) => {
                let Some(connection) = self.current(socket, epoch) else { return };
                let selecting = connection.is_selecting();
                if let Some(&address) = waiting.front().filter(|_| selecting || connection.stream().is_some()) {
                    // An earlier `connect()` of the same socket is under way.
                    let local = connection.stream().map(local_details).unwrap_or_default();
                    let error = connect_error(Errno::ALREADY, &Target::found(address, port, Local::default()), local);
                    return self.destroy(socket, Some(error));
                }
                let outbound = connection.rare_mut().outbound.get_or_insert_default();
                outbound.attempted = Some(Vec::new());
                outbound.selection = Some(Selection {
                    port,
                    local_port: local.port,
                    attempt_timeout,
                    waiting,
                    timer: None,
                    errors: Vec::new(),
                    race,
                    racing: Vec::new(),
                });
                self.attempt_next(socket, epoch);
            }
        }
    }

    /// `internalConnectMultiple`, up to the `connectionAttempt` event: the next address, or the end of all.
    pub(super) fn attempt_next(&mut self, socket: Handle, epoch: u32) {
        // Bounded by the number of addresses: each round takes one.
        while let Some(selection) = self.selection(socket, epoch) {
            let Some(address) = selection.waiting.pop_front() else {
                if !selection.racing.is_empty() {
                    return;
                }
                let errors = std::mem::take(&mut selection.errors);
                return self.destroy(socket, Some(Error::aggregate(errors)));
            };
            let (port, local_port) = (selection.port, selection.local_port);
            let local = Local { address: local_port.map(|_| any_address(&address)), port: local_port };
            let target = Box::new(Target::found(address, port, local));
            let mut bound = None;
            if local_port.is_some() {
                match bind(&target) {
                    Ok(stream) => bound = Some(stream),
                    Err(error) => {
                        if let Some(selection) = self.selection(socket, epoch) {
                            selection.errors.push(error);
                        }
                        continue;
                    }
                }
            }
            if self.is_blocked(socket, &target) {
                let error = Error::ip_blocked(&target.text);
                return self.attempt_failed(socket, epoch, target, error, true);
            }
            // Kept where the listeners can see the local end.
            if bound.is_some() {
                self.connections[socket.index()].rare_mut().bound = bound;
            }
            self.ticks.then(Step::StartConnect { socket, epoch, target: target.clone() });
            self.ticks.then_emit(Emission::Attempt { socket, target });
            return;
        }
    }

    /// An attempt that ended in vain: `connectionAttemptFailed`, then the next address or `destroy(error)`.
    /// `announced` is false where Node has no event for a single address.
    pub(super) fn attempt_failed(
        &mut self,
        socket: Handle,
        epoch: u32,
        target: Box<Target>,
        error: Error,
        announced: bool,
    ) {
        if let Some(selection) = self.selection(socket, epoch) {
            selection.errors.push(error.clone());
            self.ticks.then(Step::AttemptNext { socket, epoch });
        } else {
            self.ticks.then(Step::Destroy { socket, epoch, error: error.clone() });
            if !announced {
                return;
            }
        }
        self.ticks.then_emit(Emission::AttemptFailed { socket, target, error });
    }

    /// An attempt is about to begin: it is noted, as Node does, before the kernel is asked.
    pub(super) fn note_attempt(&mut self, socket: Handle, epoch: u32, target: &Target) {
        if self.selection(socket, epoch).is_none() {
            return;
        }
        let outbound = self.live(socket).and_then(|connection| connection.outbound_mut());
        if let Some(attempted) = outbound.and_then(|outbound| outbound.attempted.as_mut()) {
            attempted.push(format!("{}:{}", target.text, target.address.port()));
        }
    }

    /// The kernel took the attempt: the time it has begins now, unless it is the last one (rule C23).
    pub(super) fn limit_attempt(&mut self, socket: Handle, epoch: u32) {
        let now = self.attempt_began.max(self.now);
        let Some(selection) = self.selection(socket, epoch) else { return };
        if selection.waiting.is_empty() {
            return;
        }
        let timeout = selection.attempt_timeout;
        let generation = self.generations.next().get();
        let timer = self.timers.insert(generation, timeout, TimerKind::Attempt(socket.index()), true, now);
        if let Some(selection) = self.selection(socket, epoch) {
            selection.timer = Some(timer);
        }
    }

    /// The attempt under way is decided, or over for another reason: its time does not matter any more.
    pub(super) fn forget_attempt_timer(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let selection = connection.outbound_mut().and_then(|outbound| outbound.selection.as_mut());
        if let Some(timer) = selection.and_then(|selection| selection.timer.take()) {
            self.timers.remove(timer);
        }
    }

    /// The whole connect is over, in whatever way.
    pub(super) fn end_selection(&mut self, socket: Handle) {
        self.forget_attempt_timer(socket);
        if let Some(outbound) = self.live(socket).and_then(|connection| connection.outbound_mut()) {
            let racing = outbound.selection.take().map_or(0, |selection| selection.racing.len());
            self.requests -= racing;
        }
    }

    /// The time of an attempt is over: it is given up, and the next address follows (rule C24). Node closes the
    /// descriptor after the listeners; here it is closed before, so that nothing of it can be met in them.
    pub(super) fn attempt_expired(&mut self, slot: usize, timer: TimerKey) -> bool {
        self.timers.remove(timer);
        let Some(connection) = self.connections.get_mut(slot) else { return false };
        let socket = connection.handle;
        let epoch = connection.epoch();
        let Some(Rare { outbound, attempt, .. }) = connection.rare.as_deref_mut() else { return false };
        let Some(selection) = outbound.as_mut().and_then(|outbound| outbound.selection.as_mut()) else { return false };
        if selection.timer != Some(timer) {
            return false;
        }
        selection.timer = None;
        let Some(attempt) = attempt.take() else { return false };
        let target = attempt.target.clone();
        if selection.race {
            let announced = std::mem::take(&mut connection.announced);
            selection.racing.push(Racing { attempt, announced });
        } else {
            drop(attempt);
            selection.errors.push(attempt_error(Errno::TIMED_OUT, &target));
            self.requests -= 1;
        }
        self.ticks.then(Step::AttemptNext { socket, epoch });
        self.ticks.then_emit(Emission::AttemptTimedOut { socket, target });
        true
    }

    /// The selection of a connect that is still going on.
    pub(super) fn selection(&mut self, socket: Handle, epoch: u32) -> Option<&mut Selection> {
        let connection = self.current(socket, epoch)?;
        if !connection.link.is_connecting() {
            return None;
        }
        connection.outbound_mut()?.selection.as_mut()
    }

    /// The event loop read the clock before the attempt that begins now.
    pub(crate) fn set_attempt_began(&mut self, now: Time) {
        self.attempt_began = now;
    }

    /// `autoSelectFamilyAttemptedAddresses`
    pub(crate) fn attempted_addresses(&mut self, socket: Handle) -> Option<Vec<String>> {
        self.live(socket)?.rare().outbound.as_ref()?.attempted.clone()
    }

    /// The kernel said something about an attempt beside the one that the link holds. True when it is decided.
    pub(super) fn serve_racing(&mut self, token: u64) -> bool {
        let index = Token::index(token);
        let Some(connection) = self.connections.get_mut(index) else { return false };
        let (socket, epoch) = (connection.handle, connection.epoch());
        let Some(Rare { outbound, attempt: latest, .. }) = connection.rare.as_deref_mut() else { return false };
        let Some(selection) = outbound.as_mut().and_then(|outbound| outbound.selection.as_mut()) else { return false };
        let Some(position) = selection.racing.iter().position(|racing| racing.is(token)) else { return false };
        let announced = &mut selection.racing[position].announced;
        announced.queued = false;
        if !announced.has(Readiness::WRITABLE.and(Readiness::HANG_UP)) {
            return false;
        }
        let Racing { attempt, mut announced } = selection.racing.remove(position);
        let Attempt { stream, descriptor, target, refused: _ } = *attempt;
        self.requests -= 1;
        match stream.take_error() {
            Ok(None) => {
                if latest.take().is_some() {
                    self.requests -= 1;
                }
                announced.remove(Readiness::WRITABLE);
                connection.announced = announced;
                connection.set_peer(Some(target.address));
                connection.open(stream, descriptor);
                self.connected(socket, epoch);
            }
            Ok(Some(error)) | Err(error) => {
                let error = attempt_error(Errno::from_io(&error), &target);
                selection.errors.push(error.clone());
                if latest.is_none() {
                    self.ticks.then(Step::AttemptNext { socket, epoch });
                }
                self.ticks.then_emit(Emission::AttemptFailed { socket, target, error });
            }
        }
        true
    }

    /// What libuv reports of attempts that `destroy()` cut short: an event of its own for each, but only where there were
    /// several addresses (rule L34). The last one comes first.
    pub(super) fn canceled_attempts(&mut self, socket: Handle) -> Vec<Target> {
        let Some(connection) = self.live(socket) else { return Vec::new() };
        let Rare { outbound, attempt, .. } = connection.rare();
        let Some(selection) = outbound.as_ref().and_then(|outbound| outbound.selection.as_ref()) else {
            return Vec::new();
        };
        let racing = selection.racing.iter().map(|racing| &racing.attempt);
        racing.chain(attempt).rev().map(|attempt| Target::clone(&attempt.target)).collect()
    }

    pub(super) fn emit_canceled_attempt(&mut self, socket: Handle, target: Target) {
        let error = attempt_error(Errno::CANCELED, &target);
        self.ticks.then_emit(Emission::AttemptFailed { socket, target: Box::new(target), error });
    }

    /// Lookups that the resolver need not make any more.
    pub(crate) fn take_abandoned_lookups(&mut self) -> Vec<LookupId> {
        std::mem::take(&mut self.abandoned_lookups)
    }
}

impl Connection {
    /// What is known of the descriptor that `token` names, if it is one of this connection's.
    pub(super) fn announced_of(&mut self, token: u64) -> Option<&mut Announced> {
        if self.descriptor().is_some_and(|descriptor| Token::matches(token, descriptor)) {
            return Some(&mut self.announced);
        }
        let racing = &mut self.outbound_mut()?.selection.as_mut()?.racing;
        racing.iter_mut().find(|racing| racing.is(token)).map(|racing| &mut racing.announced)
    }
}

impl Racing {
    fn is(&self, token: u64) -> bool {
        Token::matches(token, self.attempt.descriptor)
    }
}

impl Target {
    /// An address that a lookup gave.
    fn found(mut address: SocketAddr, port: u16, local: Local) -> Target {
        let text = address_text(&address);
        address.set_port(port);
        Target { address, text, local }
    }
}

/// An address as a host, with the zone of a link-local one.
pub(crate) fn address_text(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(address) if address.scope_id() != 0 => format!("{}%{}", address.ip(), address.scope_id()),
        SocketAddr::V4(_) | SocketAddr::V6(_) => address.ip().to_string(),
    }
}

/// The order of the attempts: no address twice; the families in turn, that of the first address first (rule C21).
fn alternating(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let Some(first) = addresses.first() else { return VecDeque::new() };
    let mut leading = VecDeque::new();
    let mut others = VecDeque::new();
    for address in addresses {
        let group = if address.is_ipv4() == first.is_ipv4() { &mut leading } else { &mut others };
        if !group.contains(address) {
            group.push_back(*address);
        }
    }
    let mut order = VecDeque::with_capacity(leading.len() + others.len());
    while !leading.is_empty() || !others.is_empty() {
        order.extend(leading.pop_front());
        order.extend(others.pop_front());
    }
    order
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn order(texts: &[&str]) -> Vec<String> {
        let addresses: Vec<SocketAddr> =
            texts.iter().map(|text| SocketAddr::new(text.parse::<IpAddr>().unwrap(), 0)).collect();
        alternating(&addresses).iter().map(address_text).collect()
    }

    #[test]
    fn the_family_of_the_first_address_leads_and_the_other_one_alternates() {
        assert_eq!(
            order(&["127.0.0.1", "::1", "127.0.0.2", "127.0.0.3"]),
            ["127.0.0.1", "::1", "127.0.0.2", "127.0.0.3"]
        );
        assert_eq!(order(&["::1", "::2", "127.0.0.1", "::3"]), ["::1", "127.0.0.1", "::2", "::3"]);
        assert_eq!(order(&["::1", "::2"]), ["::1", "::2"]);
        assert!(order(&[]).is_empty());
    }

    #[test]
    fn no_address_comes_twice() {
        assert_eq!(order(&["127.0.0.1", "127.0.0.1", "::1", "127.0.0.1"]), ["127.0.0.1", "::1"]);
    }
}
