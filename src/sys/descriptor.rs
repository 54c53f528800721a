//! Descriptors that are to be adopted: what they are, and what makes them fit for this crate.
//!
//! May touch `socket2`, `std`, and `libc` for an error number.
//!
//! Invariant: a [`Stream`] or an [`Acceptor`] made here is non-blocking and closed on exec, as every other. Both flags
//! are set on what was given: the first belongs to the open socket, and therefore to everybody who has a copy of the
//! descriptor; the second to this descriptor alone.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
#[cfg(not(feature = "simulation"))]
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileTypeExt;

use socket2::{Domain, SockRef, Type};

use super::acceptor::Acceptor;
use super::stream::{Stream, Transport};
use super::unix::BoundName;

/// What a descriptor is, by the names that Node's `ERR_INVALID_FD_TYPE` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Udp,
    /// A unix stream socket.
    Unix,
    Fifo,
    Terminal,
    File,
    Unknown,
}

impl Kind {
    pub(crate) fn of(descriptor: BorrowedFd<'_>) -> Kind {
        if let Ok(kind) = SockRef::from(&descriptor).r#type() {
            return Kind::of_socket(descriptor, kind);
        }
        if descriptor.is_terminal() {
            return Kind::Terminal;
        }
        // std asks for the type of a file through a `File`, which owns its descriptor: hence the copy.
        let metadata = descriptor.try_clone_to_owned().and_then(|copy| File::from(copy).metadata());
        let Ok(kind) = metadata.map(|metadata| metadata.file_type()) else { return Kind::Unknown };
        if kind.is_file() || kind.is_char_device() {
            Kind::File
        } else if kind.is_fifo() {
            Kind::Fifo
        } else {
            Kind::Unknown
        }
    }

    fn of_socket(descriptor: BorrowedFd<'_>, kind: Type) -> Kind {
        let Ok(address) = SockRef::from(&descriptor).local_addr() else { return Kind::Unknown };
        let domain = address.domain();
        let internet = domain == Domain::IPV4 || domain == Domain::IPV6;
        match kind {
            Type::STREAM if internet => Kind::Tcp,
            Type::STREAM if domain == Domain::UNIX => Kind::Unix,
            Type::DGRAM if internet => Kind::Udp,
            _ => Kind::Unknown,
        }
    }

    /// Of what a [`Stream`] or an [`Acceptor`] can be made. A fifo is no socket, and goes one way only.
    pub(crate) fn transport(self) -> Option<Transport> {
        match self {
            Kind::Tcp => Some(Transport::Tcp),
            Kind::Unix => Some(Transport::Unix),
            Kind::Udp | Kind::Fifo | Kind::Terminal | Kind::File | Kind::Unknown => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Tcp => "TCP",
            Kind::Udp => "UDP",
            Kind::Unix | Kind::Fifo => "PIPE",
            Kind::Terminal => "TTY",
            Kind::File => "FILE",
            Kind::Unknown => "UNKNOWN",
        }
    }
}

/// A descriptor that waits to be adopted, with the name that it was bound to here. Dropped, it is closed, and the file of
/// its name removed.
#[derive(Debug)]
pub(crate) struct Adoptable {
    /// First, because it goes first: see [`Acceptor`].
    name: Option<Box<BoundName>>,
    descriptor: OwnedFd,
}

impl Adoptable {
    #[cfg_attr(
        feature = "simulation",
        allow(dead_code, reason = "names are kept outside then, where they may be simulated")
    )]
    pub(crate) fn name(&self) -> Option<&BoundName> {
        self.name.as_deref()
    }

    /// The number of the descriptor.
    #[cfg(not(feature = "simulation"))]
    pub(crate) fn number(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// The internet address that the socket is bound to.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        SockRef::from(&self.descriptor).local_addr().ok()?.as_socket()
    }

    /// What can be adopted has a transport; anything else is an invalid argument, as in Node.
    fn transport(&self) -> io::Result<Transport> {
        let transport = Kind::of(self.as_fd()).transport();
        transport.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
    }
}

/// A descriptor of somebody else's, and so is its file, if it has one.
impl From<OwnedFd> for Adoptable {
    fn from(descriptor: OwnedFd) -> Adoptable {
        Adoptable { name: None, descriptor }
    }
}

impl From<Acceptor> for Adoptable {
    fn from(acceptor: Acceptor) -> Adoptable {
        let (descriptor, name) = acceptor.into_parts();
        Adoptable { name, descriptor }
    }
}

impl AsFd for Adoptable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// A stream socket that was adopted.
#[derive(Debug)]
pub(crate) struct Adopted {
    /// The name that it was bound to here. First, because it goes first: see [`Acceptor`].
    #[cfg_attr(
        feature = "simulation",
        allow(dead_code, reason = "names are kept outside then, where they may be simulated")
    )]
    pub(crate) name: Option<Box<BoundName>>,
    pub(crate) stream: Stream,
}

impl Stream {
    /// Takes over a stream socket in whatever state it is.
    pub(crate) fn adopt(given: Adoptable) -> io::Result<Adopted> {
        let transport = given.transport()?;
        prepare(&given.descriptor)?;
        let Adoptable { name, descriptor } = given;
        Ok(Adopted { name, stream: Stream::from_prepared(descriptor, transport) })
    }
}

impl Acceptor {
    /// Takes over a stream socket that is bound, and perhaps listens.
    pub(crate) fn adopt(given: Adoptable) -> io::Result<Acceptor> {
        let transport = given.transport()?;
        prepare(&given.descriptor)?;
        Ok(Acceptor::from_bound(given.descriptor, given.name, transport))
    }
}

fn prepare(descriptor: &OwnedFd) -> io::Result<()> {
    let socket = SockRef::from(descriptor);
    socket.set_nonblocking(true)?;
    socket.set_cloexec(true)?;
    // Apple's way to have no SIGPIPE. A connection that is reset already refuses every option; its first read says so.
    #[cfg(target_vendor = "apple")]
    let _ = socket.set_nosigpipe(true);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    #[test]
    fn kinds_have_the_names_that_node_gives_them() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        assert_eq!(Kind::of(listener.as_fd()).name(), "TCP");
        let udp = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        assert_eq!(Kind::of(udp.as_fd()).name(), "UDP");
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(Kind::of(one.as_fd()).name(), "PIPE");
        let (one, _other) = UnixDatagram::pair().unwrap();
        assert_eq!(Kind::of(one.as_fd()).name(), "UNKNOWN");
        let device = File::open("/dev/null").unwrap();
        assert_eq!(Kind::of(device.as_fd()).name(), "FILE");
        let folder = File::open("/").unwrap();
        assert_eq!(Kind::of(folder.as_fd()).name(), "UNKNOWN");
    }

    #[test]
    fn what_is_adopted_is_non_blocking() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let Adopted { stream, .. } = Stream::adopt(OwnedFd::from(client).into()).unwrap();
        assert!(SockRef::from(&stream.as_fd()).nonblocking().unwrap());
        assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let acceptor = Acceptor::adopt(OwnedFd::from(listener).into()).unwrap();
        acceptor.accept().unwrap();
        assert_eq!(acceptor.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
