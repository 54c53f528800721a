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

/// What a lookup function is asked: the arguments `hostname` and `options` of [`dns.lookup()`]. See
/// [`ConnectOptions::lookup`](crate::net::ConnectOptions::lookup).
///
/// ```
/// use halfclose::{EventLoop, net, net::ConnectOptions, net::LookupRequest};
///
/// let mut event_loop = EventLoop::new()?;
/// let options = ConnectOptions::new().host("db.example").port(1).lookup(|request: &LookupRequest, callback| {
///     callback.reject(format!("{} is unknown here", request.host()));
/// });
/// let socket = net::Socket::new();
/// socket.on_error(|_, error| assert_eq!(error.message(), "db.example is unknown here"));
/// socket.connect(options)?;
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`dns.lookup()`]: https://nodejs.org/api/dns.html#dnslookuphostname-options-callback
#[derive(Clone, Debug)]
pub struct LookupRequest {
    query: Query,
    all: bool,
}

impl LookupRequest {
    pub(crate) fn new(query: Query, all: bool) -> LookupRequest {
        LookupRequest { query, all }
    }

    /// The name to look up. Mirrors `hostname` of [`dns.lookup()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// net::connect(ConnectOptions::new().host("db.example").port(1).lookup(|request, callback| {
    ///     assert_eq!(request.host(), "db.example");
    /// #     drop(callback);
    /// }))?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`dns.lookup()`]: https://nodejs.org/api/dns.html#dnslookuphostname-options-callback
    pub fn host(&self) -> &str {
        &self.query.host
    }

    /// The one family whose addresses are wanted; `None` for both. Mirrors `options.family` of [`dns.lookup()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions, net::Family};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let options = ConnectOptions::new().host("db.example").port(1).family(Family::IPv6);
    /// net::connect(options.lookup(|request, callback| {
    ///     assert_eq!(request.family(), Some(Family::IPv6));
    /// #     drop(callback);
    /// }))?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`dns.lookup()`]: https://nodejs.org/api/dns.html#dnslookuphostname-options-callback
    pub fn family(&self) -> Option<Family> {
        self.query.family
    }

    /// What may be added or left out, see [`ConnectOptions::hints`](crate::net::ConnectOptions::hints). Mirrors
    /// `options.hints` of [`dns.lookup()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions, net::LookupHints};
    ///
    /// let event_loop = EventLoop::new()?;
    /// net::connect(ConnectOptions::new().host("db.example").port(1).lookup(|request, callback| {
    ///     assert_eq!(request.hints(), LookupHints::ADDRCONFIG); // no family, no hints: the default
    /// #     drop(callback);
    /// }))?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`dns.lookup()`]: https://nodejs.org/api/dns.html#dnslookuphostname-options-callback
    pub fn hints(&self) -> LookupHints {
        self.query.hints
    }

    /// Whether all addresses are of use: several are tried one after the other. If not, the first is taken and the
    /// others are ignored. Mirrors `options.all` of [`dns.lookup()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let options = ConnectOptions::new().host("db.example").port(1).auto_select_family(false);
    /// net::connect(options.lookup(|request, callback| {
    ///     assert!(!request.all());
    /// #     drop(callback);
    /// }))?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`dns.lookup()`]: https://nodejs.org/api/dns.html#dnslookuphostname-options-callback
    pub fn all(&self) -> bool {
        self.all
    }
}

/// An address that a lookup found; made with `into()` from the standard library's types. The port of a `SocketAddr`
/// means nothing, its scope id is kept: that is the zone of a link-local address. Mirrors `address` and `family` of
/// [`dns.lookup()`]; that the type holds an address is why `ERR_INVALID_IP_ADDRESS` and `ERR_INVALID_ADDRESS_FAMILY`
/// cannot happen.
///
/// ```
/// use std::net::{IpAddr, Ipv4Addr, SocketAddr};
/// use halfclose::net::LookupAddress;
///
/// let address = LookupAddress::from(Ipv4Addr::LOCALHOST);
/// assert_eq!(address, LookupAddress::from(IpAddr::from([127, 0, 0, 1])));
/// assert_eq!(address, LookupAddress::from(SocketAddr::from(([127, 0, 0, 1], 80))));
/// ```
///
/// [`dns.lookup()`]: https://nodejs.org/api/dns.html#dnslookuphostname-options-callback
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

/// Answers one lookup: the `callback` of [`dns.lookup()`]. See
/// [`ConnectOptions::lookup`](crate::net::ConnectOptions::lookup).
///
/// It may be called within the lookup function, later on the loop's thread, or on another thread: it is `Send`. On the
/// loop's thread the `lookup` events, and the beginning of the first attempt, happen within the call, as in Node; from
/// another thread, in the poll phase. Until then the lookup keeps the loop alive, which in Node it does not. When its
/// socket was destroyed meanwhile the answer calls nothing.
///
/// Dropped without an answer, the lookup fails with `ECANCELLED`.
///
/// ```
/// use std::net::Ipv4Addr;
/// use halfclose::{EventLoop, net, net::ConnectOptions};
///
/// let mut event_loop = EventLoop::new()?;
/// let options = ConnectOptions::new().host("db.example").port(1).lookup(|_, callback| {
///     std::thread::spawn(move || callback.resolve([Ipv4Addr::LOCALHOST])); // after a slow search
/// });
/// let socket = net::connect(options)?;
/// socket.on_lookup(|_, lookup| assert_eq!(lookup.address(), Some("127.0.0.1")));
/// socket.on_error(|_, error| assert_eq!(error.code(), Some("ECONNREFUSED")));
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`dns.lookup()`]: https://nodejs.org/api/dns.html#dnslookuphostname-options-callback
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

    /// The addresses, in the order of preference: each is told with a `lookup` event, then they are tried. None at all
    /// is `ENOTFOUND`, where Node fails with an internal `TypeError`. Mirrors `callback(null, addresses)` of
    /// [`dns.lookup()`].
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(ConnectOptions::new().host("db.example").port(1).lookup(|_, callback| {
    ///     callback.resolve([Ipv4Addr::LOCALHOST]);
    /// }))?;
    /// socket.on_error(|_, error| assert_eq!(error.message(), "connect ECONNREFUSED 127.0.0.1:1"));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`dns.lookup()`]: https://nodejs.org/api/dns.html#dnslookuphostname-options-callback
    pub fn resolve<A: Into<LookupAddress>>(self, addresses: impl IntoIterator<Item = A>) {
        let addresses: Vec<SocketAddr> = addresses.into_iter().map(|address| address.into().0).collect();
        self.answer(Ok(addresses));
    }

    /// It failed: the socket emits `lookup` with this error, in a tick `error`, and `close`. Mirrors `callback(error)`
    /// of [`dns.lookup()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(ConnectOptions::new().host("db.example").port(1).lookup(|_, callback| {
    ///     callback.reject("the registry is closed");
    /// }))?;
    /// socket.on_error(|_, error| assert_eq!(error.message(), "the registry is closed"));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`dns.lookup()`]: https://nodejs.org/api/dns.html#dnslookuphostname-options-callback
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
