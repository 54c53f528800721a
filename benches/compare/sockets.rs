//! Addresses, listening sockets and the bare calls that the floor and the clients are made of.
//!
//! May touch: std's sockets and libc. Invariant: every listening socket has the same backlog, every TCP connection has
//! no delay; `recv` and `send` are one system call each.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::str::FromStr;

/// As the `echo` example has it: a burst of a few thousand clients, lowered by the kernel to its own limit.
pub const BACKLOG: i32 = 4096;

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    /// A path, relative to the folder that all processes run in.
    Unix(String),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(formatter, "{address}"),
            Address::Unix(path) => write!(formatter, "unix:{path}"),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        match text.strip_prefix("unix:") {
            Some(path) => Ok(Address::Unix(path.to_owned())),
            None => text.parse().map(Address::Tcp).map_err(|error| format!("{text}: {error}")),
        }
    }
}

/// A socket that listens, before a server made it its own.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens on a free port of the loopback interface, or on a path, with [`BACKLOG`]; non-blocking.
    pub fn bind(unix: Option<&str>) -> io::Result<(Listener, Address)> {
        let (listener, address) = match unix {
            None => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                listener.set_nonblocking(true)?;
                let address = Address::Tcp(listener.local_addr()?);
                (Listener::Tcp(listener), address)
            }
            Some(path) => {
                let listener = UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                (Listener::Unix(listener), Address::Unix(path.to_owned()))
            }
        };
        // SAFETY: the descriptor is open. Listening again only changes the backlog (listen(2)), which std chooses.
        check(unsafe { libc::listen(listener.as_raw_fd(), BACKLOG) })?;
        Ok((listener, address))
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Listener::Tcp(listener) => listener.as_raw_fd(),
            Listener::Unix(listener) => listener.as_raw_fd(),
        }
    }
}

/// Accepts one connection, non-blocking.
pub fn accept(listener: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no address is asked for; what comes back is a new descriptor that nobody else owns.
    unsafe {
        let descriptor = libc::accept4(
            listener,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        );
        check(descriptor).map(|descriptor| OwnedFd::from_raw_fd(descriptor))
    }
}

/// Sends small messages at once. Not an option of unix sockets, where it fails and nothing has to be done.
pub fn set_no_delay(descriptor: RawFd) {
    set_option(descriptor, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
}

/// Sets an option of a socket, where the socket has it.
pub fn set_option(descriptor: RawFd, level: i32, name: i32, value: libc::c_int) {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value and its length belong together and outlive the call.
    unsafe { libc::setsockopt(descriptor, level, name, (&raw const value).cast(), length) };
}

/// Reads what is there, as one system call; 0 is the end.
pub fn receive(descriptor: RawFd, buffer: &mut [u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the buffer is as long as said.
    let count = unsafe { libc::recv(descriptor, buffer.as_mut_ptr().cast(), buffer.len(), flags) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Writes what fits, as one system call.
pub fn send(descriptor: RawFd, bytes: &[u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the bytes are as many as said.
    let count = unsafe { libc::send(descriptor, bytes.as_ptr().cast(), bytes.len(), flags | libc::MSG_NOSIGNAL) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Connects, blocking. `number` spreads many clients over the addresses of 127.0.0.0/8: each has ports of its own. A
/// `narrow` connection takes so little at a time, in both directions, that what a server writes stays in the server.
pub fn connect(address: &Address, number: usize, narrow: bool) -> io::Result<OwnedFd> {
    let family = match address {
        Address::Tcp(_) => libc::AF_INET,
        Address::Unix(_) => libc::AF_UNIX,
    };
    // SAFETY: the call has no memory of ours to touch, and the descriptor is new.
    let socket = unsafe {
        let descriptor = check(libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0))?;
        OwnedFd::from_raw_fd(descriptor)
    };
    let descriptor = socket.as_raw_fd();
    match address {
        Address::Tcp(address) => {
            if narrow {
                // The kernel lets a sender queue some segments of the size that the peer asked for (tcp(7),
                // TCP_MAXSEG), and no more than the peer's window once that is known: it is decided before connecting.
                set_option(descriptor, libc::IPPROTO_TCP, libc::TCP_MAXSEG, 536);
                set_option(descriptor, libc::SOL_SOCKET, libc::SO_RCVBUF, 4096);
            }
            // The ports of one source address, per address of the server, are fewer than 30,000 by default.
            const PER_ADDRESS: usize = 20_000;
            if number >= PER_ADDRESS {
                let last = (number / PER_ADDRESS) as u32 % 250 + 2;
                let source = SocketAddrV4::new(Ipv4Addr::from(0x7f00_0000 | last), 0);
                set_option(descriptor, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
                call_with_address(source, |pointer, length| {
                    // SAFETY: the address is as long as said and outlives the call.
                    unsafe { libc::bind(descriptor, pointer, length) }
                })?;
            }
            let SocketAddr::V4(address) = address else {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "servers listen on IPv4"));
            };
            call_with_address(*address, |pointer, length| {
                // SAFETY: the address is as long as said and outlives the call.
                unsafe { libc::connect(descriptor, pointer, length) }
            })?;
            set_no_delay(descriptor);
        }
        Address::Unix(path) => connect_unix(descriptor, path)?,
    }
    Ok(socket)
}

fn call_with_address(
    address: SocketAddrV4,
    call: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> libc::c_int,
) -> io::Result<()> {
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    };
    check(call((&raw const address).cast(), size_of::<libc::sockaddr_in>() as libc::socklen_t)).map(drop)
}

fn connect_unix(descriptor: RawFd, path: &str) -> io::Result<()> {
    // SAFETY: all zeros is a valid address.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    if path.len() >= address.sun_path.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a path that is too long"));
    }
    for (place, byte) in address.sun_path.iter_mut().zip(path.bytes()) {
        *place = byte as libc::c_char;
    }
    let length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: the address is as long as said and outlives the call.
    check(unsafe { libc::connect(descriptor, (&raw const address).cast(), length) }).map(drop)
}

/// Turns -1 into the error that it announces.
pub fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
