//! Lookups that users make themselves: what they are asked, and how they answer.
//!
//! It may touch the loop through `current`, and its mailbox from other threads. Invariant: a lookup is answered at most
//! once, and one that is dropped is answered too, so no socket waits for ever.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::rc::Rc;
use std::sync::Arc;

use crate::error::Error;
use crate::event_loop::current;
use crate::event_loop::mailbox::Mailbox;
use crate::reactor::selecting::LookupId;
use crate::sys::Family;
pub use crate::sys::resolver::LookupHints;
use crate::sys::resolver::Query;

/// A lookup function of the user's.
#[derive(Clone)]
pub(crate) struct CustomLookup(pub(crate) Rc<LookupFunction>);

type LookupFunction = dyn Fn(&LookupRequest, LookupCallback);

impl fmt::Debug for CustomLookup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CustomLookup")
    }
}

/// What a lookup function is asked: Node's arguments `hostname` and `options`. See
/// [`ConnectOptions::lookup`](crate::net::ConnectOptions::lookup).
#[derive(Clone, Debug)]
pub struct LookupRequest {
    query: Query,
    all: bool,
}

impl LookupRequest {
    pub(crate) fn new(query: Query, all: bool) -> LookupRequest {
        LookupRequest { query, all }
    }

    /// The name to look up.
    pub fn host(&self) -> &str {
        &self.query.host
    }

    /// The one family whose addresses are wanted; `None` for both. Mirrors `options.family`.
    pub fn family(&self) -> Option<Family> {
        self.query.family
    }

    /// Mirrors `options.hints`.
    pub fn hints(&self) -> LookupHints {
        self.query.hints
    }

    /// Whether all addresses are of use: several are tried one after the other. If not, the first is taken and the
    /// others are ignored. Mirrors `options.all`.
    pub fn all(&self) -> bool {
        self.all
    }
}

/// An address that a lookup found; made from the standard library's types. The port of a `SocketAddr` means nothing, its
/// scope id is kept: that is the zone of a link-local address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LookupAddress(SocketAddr);

impl From<IpAddr> for LookupAddress {
    fn from(address: IpAddr) -> LookupAddress {
        LookupAddress(SocketAddr::new(address, 0))
    }
}

impl From<Ipv4Addr> for LookupAddress {
    fn from(address: Ipv4Addr) -> LookupAddress {
        LookupAddress::from(IpAddr::V4(address))
    }
}

impl From<Ipv6Addr> for LookupAddress {
    fn from(address: Ipv6Addr) -> LookupAddress {
        LookupAddress::from(IpAddr::V6(address))
    }
}

impl From<SocketAddr> for LookupAddress {
    fn from(address: SocketAddr) -> LookupAddress {
        LookupAddress(match address {
            SocketAddr::V4(address) => SocketAddrV4::new(*address.ip(), 0).into(),
            SocketAddr::V6(address) => SocketAddrV6::new(*address.ip(), 0, 0, address.scope_id()).into(),
        })
    }
}

/// Answers one lookup: Node's `callback` of a lookup function. See
/// [`ConnectOptions::lookup`](crate::net::ConnectOptions::lookup).
///
/// It may be called within the lookup function, later on the loop's thread, or on another thread: it is `Send`. On the
/// loop's thread the `lookup` events, and the beginning of the first attempt, happen within the call, as in Node; from
/// another thread, in the poll phase. Until then the lookup keeps the loop alive. When its socket was destroyed meanwhile
/// the answer calls nothing.
///
/// Dropped without an answer, the lookup fails with `ECANCELLED`.
#[must_use = "a lookup that is dropped fails"]
pub struct LookupCallback {
    id: LookupId,
    loop_number: u64,
    mailbox: Arc<Mailbox>,
    answered: bool,
    host: String,
}

impl LookupCallback {
    pub(crate) fn new(id: LookupId, loop_number: u64, mailbox: Arc<Mailbox>, host: String) -> LookupCallback {
        LookupCallback { id, loop_number, mailbox, answered: false, host }
    }

    /// The addresses, in the order of preference; none is `ENOTFOUND`. Node's `callback(null, addresses)`.
    pub fn resolve<A: Into<LookupAddress>>(self, addresses: impl IntoIterator<Item = A>) {
        let addresses: Vec<SocketAddr> = addresses.into_iter().map(|address| address.into().0).collect();
        self.answer(Ok(addresses));
    }

    /// It failed: the socket emits `lookup` and `error` with this error, and `close`. Node's `callback(error)`.
    pub fn reject(self, error: impl Into<Error>) {
        let error = error.into();
        self.answer(Err(error));
    }

    fn answer(mut self, answer: Result<Vec<SocketAddr>, Error>) {
        self.answered = true;
        if current::loop_number() != Some(self.loop_number) {
            self.mailbox.answer_custom(self.id, answer);
            return;
        }
        let id = self.id;
        current::command(|core| core.custom_lookup_finished(id, answer));
    }
}

impl Drop for LookupCallback {
    fn drop(&mut self) {
        if !self.answered {
            // Perhaps in the middle of a panic, or of the user's other destructors: nothing is emitted from here.
            let error = Error::lookup("ECANCELLED", crate::error::Errno::CANCELED.negated(), &self.host);
            self.mailbox.answer_custom(self.id, Err(error));
        }
    }
}

impl fmt::Debug for LookupCallback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LookupCallback").field("host", &self.host).finish_non_exhaustive()
    }
}
