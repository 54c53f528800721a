//! Where servers listen, as text for another process, and sockets that connect there.
//!
//! May touch: `socket2`. Invariant: no call on such a socket waits for longer than [`PATIENCE`].

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

/// Longer than every time limit of the servers, and than a busy machine's bad moment; a call that waits for so long means
/// that something hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Where somebody listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// A name of Linux's abstract namespace, without its first zero byte.
    Abstract(String),
}

impl Address {
    /// The path of a unix socket, or what stands for it.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Address::Tcp(_) => None,
            Address::Unix(path) => Some(path.clone()),
            Address::Abstract(name) => Some(PathBuf::from(OsString::from_vec([&[0], name.as_bytes()].concat()))),
        }
    }

    /// A socket that is bound there and listens.
    pub fn listen(&self) -> io::Result<Socket> {
        let address = self.to_raw()?;
        let socket = Socket::new(address.domain(), Type::STREAM, None)?;
        socket.bind(&address)?;
        socket.listen(4096)?;
        Ok(socket)
    }

    /// Connects, and waits until it is.
    pub fn connect(&self) -> io::Result<Socket> {
        let address = self.to_raw()?;
        let socket = Socket::new(address.domain(), Type::STREAM, None)?;
        limit_waits(&socket)?;
        if address.domain() != Domain::UNIX {
            socket.set_tcp_nodelay(true)?;
        }
        // Linux honours the limit of writes here, too.
        socket.connect(&address)?;
        Ok(socket)
    }

    fn to_raw(&self) -> io::Result<SockAddr> {
        match self {
            Address::Tcp(address) => Ok((*address).into()),
            Address::Unix(_) | Address::Abstract(_) => SockAddr::unix(self.path().unwrap_or_default()),
        }
    }
}

/// Reads, writes and connecting on `socket` fail after [`PATIENCE`].
pub fn limit_waits(socket: &Socket) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(formatter, "{address}"),
            Address::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Address::Abstract(name) => write!(formatter, "abstract:{name}"),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            Ok(Address::Unix(path.into()))
        } else if let Some(name) = text.strip_prefix("abstract:") {
            Ok(Address::Abstract(name.to_owned()))
        } else {
            text.parse().map(Address::Tcp).map_err(|error| format!("{text}: {error}"))
        }
    }
}
