//! Where and how a socket connects: the options of `connect`, and the address forms that stand for them.
//!
//! It may touch the vocabulary of the floors below. Invariant: as in the neighbouring `socket_options`, what the type
//! cannot hold cannot be said; what remains to be checked is checked where Node throws.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::error::Error;
use crate::event_loop::custom_lookup::{CustomLookup, LookupCallback, LookupRequest};
use crate::event_loop::descriptors::Transport;
use crate::event_loop::{ConnectPlan, Local, address_text};
use crate::net::socket_options::socket_setters;
use crate::net::{Family, LookupHints, SocketOptions, family_selection};

/// Where and how to connect. Mirrors the options of [`net.connect(options)`], which include those of the socket it
/// makes; [`Socket::connect`](crate::net::Socket::connect) ignores the latter, as Node does.
///
/// Made with `into()` from a port, `(host, port)`, a [`SocketAddr`] or the path of a unix socket, or built:
///
/// ```
/// use std::time::Duration;
/// use halfclose::{EventLoop, net, net::ConnectOptions};
///
/// let mut event_loop = EventLoop::new()?;
/// let options = ConnectOptions::new().host("127.0.0.1").port(1).no_delay(true).timeout(Duration::from_secs(5));
/// let socket = net::connect(options)?;
/// socket.on_error(|_, error| assert_eq!(error.code(), Some("ECONNREFUSED")));
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`net.connect(options)`]: https://nodejs.org/api/net.html#netconnectoptions-connectlistener
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    pub(super) socket: SocketOptions,
    port: Option<u16>,
    host: Option<String>,
    local_address: Option<String>,
    local_port: Option<u16>,
    family: Option<Family>,
    timeout: Option<Duration>,
    hints: LookupHints,
    lookup: Option<CustomLookup>,
    auto_select_family: Option<bool>,
    attempt_timeout: Option<Duration>,
    path: Option<PathBuf>,
    race: bool,
}

socket_setters!(
    ConnectOptions,
    "net::connect(options.port(1))?",
    r#"net::connect(options.host("127.0.0.1").port(port))?"#,
    socket
);

impl ConnectOptions {
    /// No port and no path yet: connecting without one is `ERR_MISSING_ARGS`. Mirrors an empty object for
    /// [`socket.connect(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert_eq!(net::connect(ConnectOptions::new()).unwrap_err().code(), Some("ERR_MISSING_ARGS"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    pub fn new() -> ConnectOptions {
        ConnectOptions::default()
    }

    /// The port; 0 is attempted, and refused. Mirrors `port` of [`socket.connect(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(ConnectOptions::new().host("127.0.0.1").port(1))?;
    /// socket.on_error(|_, error| assert_eq!(error.port(), Some(1)));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    #[must_use]
    pub fn port(mut self, port: u16) -> ConnectOptions {
        self.port = Some(port);
        self
    }

    /// An address, which is tried as it is in the next tick, or a name, which is looked up; default (and for an empty
    /// text) `localhost`. Mirrors `host` of [`socket.connect(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(ConnectOptions::new().host("127.0.0.1").port(1))?;
    /// socket.on_error(|_, error| assert_eq!(error.address(), Some("127.0.0.1")));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> ConnectOptions {
        self.host = Some(host.into());
        self
    }

    /// The address to connect from; default: the system chooses; an empty text is ignored. A text that is no address
    /// makes `connect` an `Err`, `ERR_INVALID_IP_ADDRESS`; one that this machine does not have is an `error` event,
    /// `EADDRNOTAVAIL` (`bind`). Of a name, only the first address is tried. Mirrors `localAddress` of
    /// [`socket.connect(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let options = ConnectOptions::new().host("127.0.0.1").port(1).local_address("127.0.0.1");
    /// net::connect(options.clone())?.on_error(|_, error| assert_eq!(error.code(), Some("ECONNREFUSED")));
    /// let error = net::connect(options.local_address("localhost")).unwrap_err();
    /// assert_eq!(error.code(), Some("ERR_INVALID_IP_ADDRESS"));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    #[must_use]
    pub fn local_address(mut self, address: impl Into<String>) -> ConnectOptions {
        self.local_address = Some(address.into());
        self
    }

    /// The port to connect from; 0, the default, lets the system choose. One that is taken is an `error` event,
    /// `EADDRINUSE` (`bind`), without a `connectionAttempt`. A socket that connects to the very address it connects
    /// from is connected to itself, as TCP has it (RFC 9293, 3.5). Mirrors `localPort` of [`socket.connect(options)`].
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let taken = listener.local_addr()?.port();
    /// let options = ConnectOptions::new().host("127.0.0.1").port(1);
    /// let socket = net::connect(options.local_address("127.0.0.1").local_port(taken))?;
    /// socket.on_error(|_, error| assert_eq!((error.syscall(), error.code()), (Some("bind"), Some("EADDRINUSE"))));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    #[must_use]
    pub fn local_port(mut self, port: u16) -> ConnectOptions {
        self.local_port = Some(port);
        self
    }

    /// Only look for addresses of this family, and try the first one only; default either. Means nothing for a host
    /// that is an address. Mirrors `family` of [`socket.connect(options)`].
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use halfclose::{EventLoop, net, net::ConnectOptions, net::Family};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let options = ConnectOptions::new().host("db.example").port(1).family(Family::IPv4);
    /// let socket = net::connect(options.lookup(|request, callback| {
    ///     assert_eq!(request.family(), Some(Family::IPv4));
    ///     callback.resolve([Ipv4Addr::LOCALHOST]);
    /// }))?;
    /// socket.on_error(|_, error| assert_eq!(error.address(), Some("127.0.0.1")));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    #[must_use]
    pub fn family(mut self, family: Family) -> ConnectOptions {
        self.family = Some(family);
        self
    }

    /// The idle timeout to set before connecting, so that it covers the connecting too; default (and for zero) none. At
    /// its end `timeout` is emitted, and nothing else happens. Honoured by [`net::connect`](crate::net::connect) only.
    /// Mirrors `timeout` of [`net.connect(options)`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = net::connect(ConnectOptions::new().port(1).timeout(Duration::from_secs(5)))?;
    /// assert_eq!(socket.timeout(), Some(Duration::from_secs(5)));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.connect(options)`]: https://nodejs.org/api/net.html#netconnectoptions-connectlistener
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> ConnectOptions {
        self.timeout = Some(timeout);
        self
    }

    /// What the lookup of a name may add or leave out; default (and for none) [`ADDRCONFIG`](LookupHints::ADDRCONFIG),
    /// but none with a [`family`](ConnectOptions::family). Mirrors `hints` of [`socket.connect(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions, net::LookupHints};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let options = ConnectOptions::new().host("db.example").port(1).hints(LookupHints::ALL | LookupHints::V4MAPPED);
    /// let socket = net::connect(options.lookup(|request, callback| {
    ///     assert!(request.hints().contains(LookupHints::V4MAPPED));
    ///     callback.reject("not found");
    /// }));
    /// # socket?.on_error(|_, error| assert_eq!(error.message(), "not found"));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    #[must_use]
    pub fn hints(mut self, hints: LookupHints) -> ConnectOptions {
        self.hints = hints;
        self
    }

    /// Looks the name up, in place of the system's resolver. Called within `connect()`, unless the host is an address.
    /// Mirrors `lookup` of [`socket.connect(options)`].
    ///
    /// It answers through the [`LookupCallback`], at once, later, or from another thread. When it answers at once, the
    /// events `lookup` and `connectionAttempt` are emitted within `connect()`, as in Node.
    ///
    /// ```
    /// use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let options = ConnectOptions::new().host("db.example").port(1).lookup(|request, callback| {
    ///     assert_eq!(request.host(), "db.example");
    ///     callback.resolve([IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    /// });
    /// let socket = net::connect(options)?;
    /// socket.on_error(|_, error| assert_eq!(error.errors().len(), 2));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    #[must_use]
    pub fn lookup(mut self, lookup: impl Fn(&LookupRequest, LookupCallback) + 'static) -> ConnectOptions {
        self.lookup = Some(CustomLookup(Rc::new(lookup)));
        self
    }

    /// Whether all addresses of a name are tried, one after the other, the families in turn; default
    /// [`get_default_auto_select_family`](crate::net::get_default_auto_select_family). If not, and with a
    /// [`family`](ConnectOptions::family) or a [`local_address`](ConnectOptions::local_address), only the first one is.
    /// Mirrors `autoSelectFamily` of [`socket.connect(options)`].
    ///
    /// Each address is announced by `connectionAttempt`, and given up with `connectionAttemptFailed` or
    /// `connectionAttemptTimeout`. When all fail, the `error` has the errors of all attempts ([`Error::errors`]) and
    /// the code of the first.
    ///
    /// ```
    /// use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let options = ConnectOptions::new().host("db.example").port(1).lookup(|_, callback| {
    ///     callback.resolve([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    /// });
    /// let socket = net::connect(options.auto_select_family(false))?;
    /// socket.on_error(|_, error| assert_eq!(error.message(), "connect ECONNREFUSED 127.0.0.1:1"));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    #[must_use]
    pub fn auto_select_family(mut self, select: bool) -> ConnectOptions {
        self.auto_select_family = Some(select);
        self
    }

    /// How long each address but the last is tried before the next one, from 1 to 2³¹-1 milliseconds: below 10 counts
    /// as 10, outside of the range connecting is an `Err`, `ERR_OUT_OF_RANGE`. Default
    /// [`get_default_auto_select_family_attempt_timeout`](crate::net::get_default_auto_select_family_attempt_timeout).
    /// Mirrors `autoSelectFamilyAttemptTimeout` of [`socket.connect(options)`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let options = ConnectOptions::new().host("localhost").port(1);
    /// let socket = net::connect(options.clone().auto_select_family_attempt_timeout(Duration::from_secs(1)))?;
    /// assert!(socket.connecting());
    /// let error = net::connect(options.auto_select_family_attempt_timeout(Duration::ZERO)).unwrap_err();
    /// assert_eq!(error.code(), Some("ERR_OUT_OF_RANGE"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    #[must_use]
    pub fn auto_select_family_attempt_timeout(mut self, timeout: Duration) -> ConnectOptions {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Whether an address goes on being tried when its time is over and the next one begins, and the first that answers
    /// is taken, as RFC 8305 ("happy eyeballs") has it; default false: it is given up, as in Node. Not in Node.
    ///
    /// The events are the same: `connectionAttemptTimeout` then says that the next address joins, and
    /// `connectionAttemptFailed` may follow for an address that is not the latest. The errors of an aggregate are in
    /// the order in which the attempts failed.
    ///
    /// ```
    /// use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let options = ConnectOptions::new().host("db.example").port(listener.local_addr()?.port());
    /// let socket = net::connect(options.race_addresses(true).lookup(|_, callback| {
    ///     callback.resolve([IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    /// }))?;
    /// socket.on_connect(|socket| {
    ///     assert_eq!(socket.remote_address(), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    ///     socket.destroy();
    /// });
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn race_addresses(mut self, race: bool) -> ConnectOptions {
        self.race = race;
        self
    }

    pub(crate) fn custom_lookup(&self) -> Option<&CustomLookup> {
        self.lookup.as_ref()
    }

    pub(crate) fn plan(&self) -> Result<ConnectPlan, Error> {
        let select = self.auto_select_family.unwrap_or_else(family_selection::get_default_auto_select_family);
        let attempt_timeout = self.attempt_timeout()?;
        Ok(ConnectPlan {
            family: self.family,
            hints: self.hints,
            local: self.local()?,
            attempt_timeout: select.then_some(attempt_timeout),
            race: self.race,
            custom_lookup: self.lookup.is_some(),
        })
    }

    fn attempt_timeout(&self) -> Result<Duration, Error> {
        match self.attempt_timeout {
            None => Ok(family_selection::get_default_auto_select_family_attempt_timeout()),
            Some(timeout) => family_selection::check_attempt_timeout("options.autoSelectFamilyAttemptTimeout", timeout),
        }
    }

    /// The unix socket to connect to: a path, or an [`abstract_name`](crate::net::abstract_name). It wins over port and
    /// host, and the local end, family and lookup mean nothing for it; an empty path is ignored, and counts as port 0
    /// where no port is set. Mirrors `path` of [`socket.connect(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(ConnectOptions::new().path("/no/such/socket").allow_half_open(true))?;
    /// socket.on_error(|_, error| assert_eq!(error.message(), "connect ENOENT /no/such/socket"));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connect(options)`]: https://nodejs.org/api/net.html#socketconnectoptions-connectlistener
    #[must_use]
    pub fn path(mut self, path: impl Into<PathBuf>) -> ConnectOptions {
        self.path = Some(path.into());
        self
    }

    /// The path, if that is where to connect to (rule C3).
    fn path_option(&self) -> Option<&Path> {
        self.path.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// The path to connect to. A socket that is `bound` connects over what it has: then a path means nothing to TCP, and
    /// nothing else, be it empty, to a unix socket.
    pub(crate) fn path_over(&self, bound: Option<Transport>) -> Result<Option<&Path>, Error> {
        match bound {
            None => Ok(self.path_option()),
            Some(Transport::Tcp) => Ok(None),
            Some(Transport::Unix) => match (&self.path, self.port) {
                (Some(path), _) => Ok(Some(path)),
                (None, Some(_)) => Err(Error::path_is_missing()),
                (None, None) => Err(Error::missing_args()),
            },
        }
    }

    pub(crate) fn socket_options(&self) -> SocketOptions {
        self.socket.clone()
    }

    /// A zero timeout sets none, as in Node.
    pub(crate) fn timeout_option(&self) -> Option<Duration> {
        self.timeout.filter(|timeout| !timeout.is_zero())
    }

    /// What `connect()` throws before it changes anything.
    pub(crate) fn check(&self) -> Result<u16, Error> {
        if self.path_option().is_some() {
            return Ok(0);
        }
        self.check_address()
    }

    /// The same, when the path means nothing.
    pub(crate) fn check_address(&self) -> Result<u16, Error> {
        // An empty path is no destination, but it is something that was said: then it is port 0 (rule C3).
        let port = self.port.or(self.path.as_ref().map(|_| 0)).ok_or_else(Error::missing_args)?;
        self.local()?;
        if self.host_or_default().contains('\0') {
            return Err(Error::null_bytes("property 'options.host'", self.host_or_default()));
        }
        self.attempt_timeout()?;
        Ok(port)
    }

    pub(crate) fn host_or_default(&self) -> &str {
        match self.host.as_deref() {
            None | Some("") => "localhost",
            Some(host) => host,
        }
    }

    pub(crate) fn local(&self) -> Result<Local, Error> {
        let address = match self.local_address.as_deref() {
            None | Some("") => None,
            Some(text) => Some(text.parse::<IpAddr>().map_err(|_| Error::invalid_ip_address(text))?),
        };
        Ok(Local { address, port: self.local_port.filter(|&port| port != 0) })
    }
}

impl From<u16> for ConnectOptions {
    fn from(port: u16) -> ConnectOptions {
        ConnectOptions::new().port(port)
    }
}

impl From<(&str, u16)> for ConnectOptions {
    fn from((host, port): (&str, u16)) -> ConnectOptions {
        ConnectOptions::new().host(host).port(port)
    }
}

impl From<(String, u16)> for ConnectOptions {
    fn from((host, port): (String, u16)) -> ConnectOptions {
        ConnectOptions::new().host(host).port(port)
    }
}

impl From<(IpAddr, u16)> for ConnectOptions {
    fn from((host, port): (IpAddr, u16)) -> ConnectOptions {
        ConnectOptions::new().host(host.to_string()).port(port)
    }
}

impl From<(Ipv4Addr, u16)> for ConnectOptions {
    fn from((host, port): (Ipv4Addr, u16)) -> ConnectOptions {
        ConnectOptions::from((IpAddr::from(host), port))
    }
}

impl From<(Ipv6Addr, u16)> for ConnectOptions {
    fn from((host, port): (Ipv6Addr, u16)) -> ConnectOptions {
        ConnectOptions::from((IpAddr::from(host), port))
    }
}

impl From<SocketAddr> for ConnectOptions {
    fn from(address: SocketAddr) -> ConnectOptions {
        ConnectOptions::new().host(address_text(&address)).port(address.port())
    }
}

impl From<&Path> for ConnectOptions {
    fn from(path: &Path) -> ConnectOptions {
        ConnectOptions::new().path(path)
    }
}

impl From<&PathBuf> for ConnectOptions {
    fn from(path: &PathBuf) -> ConnectOptions {
        ConnectOptions::new().path(path)
    }
}

impl From<PathBuf> for ConnectOptions {
    fn from(path: PathBuf) -> ConnectOptions {
        ConnectOptions::new().path(path)
    }
}
