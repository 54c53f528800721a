//! One connecting or connected socket: the calls of the data path, and the options of a connection.
//!
//! May touch `libc` for the calls that move bytes, and `socket2` for everything that is not on the data path.
//!
//! Invariants:
//!
//! - The descriptor is non-blocking, closed on exec, and closed with the `Stream`, which also ends its registration.
//! - No write raises `SIGPIPE`.
//! - Errors are plain numbers of the operating system, made without an allocation.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::credentials::{PeerCredentials, credentials_of_peer};
use super::interface;
use super::unix::UnixAddress;

/// How many slices one `sendmsg` takes. Linux, macOS and the BSDs all have this limit (`IOV_MAX`) and answer
/// `EMSGSIZE` above it.
const MOST_SLICES: usize = 1024;

/// The time between two keep-alive probes, as libuv sets it.
#[cfg(not(target_os = "openbsd"))]
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// How many keep-alive probes may go unanswered, as libuv sets it.
#[cfg(not(target_os = "openbsd"))]
const PROBE_COUNT: u32 = 10;

/// Asks for no `SIGPIPE` with each write. Apple has no such flag that all its systems honour; there the socket itself
/// is told (`SO_NOSIGPIPE`), by `socket2` for new sockets and by the acceptor for accepted ones.
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: libc::c_int = libc::MSG_NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: libc::c_int = 0;

/// A socket that is new, connecting or connected.
#[derive(Debug)]
pub(crate) struct Stream {
    descriptor: OwnedFd,
    transport: Transport,
}

impl Stream {
    /// A new TCP socket, not connected.
    pub(crate) fn tcp(family: Family) -> io::Result<Self> {
        Ok(Self { descriptor: new_socket(family.domain())?, transport: Transport::Tcp })
    }

    /// A new unix socket, not connected.
    pub(crate) fn unix() -> io::Result<Self> {
        Ok(Self { descriptor: new_socket(Domain::UNIX)?, transport: Transport::Unix })
    }

    /// Takes over a socket that is non-blocking and closed on exec already.
    pub(super) fn from_prepared(descriptor: OwnedFd, transport: Transport) -> Self {
        Self { descriptor, transport }
    }

    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    /// Chooses the local address, before `connect`. A port that is only waiting out its last connection is free.
    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<()> {
        let socket = self.socket();
        socket.set_reuse_address(true)?;
        bind_reporting_family(&socket, address)
    }

    /// Begins to connect. How it went is known when the socket becomes writable: then ask [`Stream::take_error`].
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<ConnectStart> {
        let Err(error) = self.socket().connect(&SockAddr::from(with_zone(address))) else {
            // Loopback may connect at once. The readiness comes all the same, so there is one way to learn of it.
            return Ok(ConnectStart::InProgress);
        };
        match error.raw_os_error() {
            // An interrupted connect goes on by itself; a second call would say EALREADY.
            Some(libc::EINPROGRESS | libc::EINTR) => Ok(ConnectStart::InProgress),
            Some(libc::ECONNREFUSED) => Ok(ConnectStart::Refused),
            // OpenBSD's word for a connect to a port of this machine where nobody listens.
            Some(libc::EINVAL) if cfg!(target_os = "openbsd") => Ok(ConnectStart::Refused),
            _ => Err(error),
        }
    }

    /// Connects a unix socket. The kernel decides within the call; that it succeeded is announced by readiness all the
    /// same, and anything else is the answer.
    pub(crate) fn connect_unix(&self, address: &UnixAddress) -> io::Result<()> {
        let Err(error) = self.socket().connect(address.as_raw()) else { return Ok(()) };
        match error.raw_os_error() {
            // POSIX allows it, and readiness tells then, too.
            Some(libc::EINPROGRESS | libc::EINTR) => Ok(()),
            _ => Err(error),
        }
    }

    /// Takes the error that the kernel keeps for this socket (`SO_ERROR`): after a connect, why it failed.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket().take_error()
    }

    /// Reads what is there into `buffer`, which must not be empty: then 0 means the end of the stream.
    #[inline]
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let descriptor = self.descriptor.as_raw_fd();
        repeat_interrupted(|| {
            // SAFETY: the pointer and length describe `buffer`, which is borrowed mutably for the whole call.
            unsafe { libc::recv(descriptor, buffer.as_mut_ptr().cast(), buffer.len(), 0) }
        })
    }

    /// Writes as much of `bytes` as the kernel takes now. An empty slice makes the call too: it reports a pending
    /// error.
    #[inline]
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let descriptor = self.descriptor.as_raw_fd();
        repeat_interrupted(|| {
            // SAFETY: the pointer and length describe `bytes`, which is borrowed for the whole call.
            unsafe { libc::send(descriptor, bytes.as_ptr().cast(), bytes.len(), SEND_FLAGS) }
        })
    }

    /// One read that usually brings something and empties the socket: then that is all there is to it. Otherwise what
    /// [`Stream::read`] says.
    #[inline]
    pub(crate) fn read_short(&self, buffer: &mut [u8]) -> Result<usize, io::Result<usize>> {
        if self.transport == Transport::Unix {
            return self.read_short_unix(buffer);
        }
        // SAFETY: the pointer and length describe `buffer`, which is borrowed mutably for the whole call.
        let result = unsafe { libc::recv(self.descriptor.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        // One comparison for more than nothing and less than everything.
        let count = result as usize;
        if count.wrapping_sub(1) < buffer.len().wrapping_sub(1) {
            Ok(count)
        } else {
            Err(self.read_so_far(result, buffer))
        }
    }

    /// The same for a unix socket. There a read also stops behind bytes that came with descriptors, so it must be one that
    /// tells of them.
    fn read_short_unix(&self, buffer: &mut [u8]) -> Result<usize, io::Result<usize>> {
        let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: a `msghdr` is plain numbers and pointers, for which all zeros mean "none".
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &mut slice;
        message.msg_iovlen = 1;
        // SAFETY: `message` describes `slice`, which describes `buffer`; both are borrowed mutably for the whole call.
        let result = unsafe { libc::recvmsg(self.descriptor.as_raw_fd(), &mut message, 0) };
        let count = result as usize;
        // With no room given for descriptors, their coming is told by MSG_CTRUNC (recvmsg(2)).
        let with_descriptors = message.msg_flags & libc::MSG_CTRUNC != 0;
        if count.wrapping_sub(1) < buffer.len().wrapping_sub(1) && !with_descriptors {
            Ok(count)
        } else {
            Err(self.read_so_far(result, buffer))
        }
    }

    /// Whether [`Stream::read_short`] knows when it has emptied the socket. What other systems do with descriptors that
    /// nobody made room for was not looked into.
    #[inline]
    pub(crate) fn tells_when_emptied(&self) -> bool {
        match self.transport {
            Transport::Tcp => true,
            Transport::Unix => cfg!(target_os = "linux") || cfg!(target_os = "android"),
        }
    }

    #[cold]
    fn read_so_far(&self, result: libc::ssize_t, buffer: &mut [u8]) -> io::Result<usize> {
        match usize::try_from(result) {
            Ok(count) => Ok(count),
            Err(_) => self.after_failure(|stream| stream.read(buffer)),
        }
    }

    /// One write that the kernel usually takes whole. Otherwise what [`Stream::write`] says.
    #[inline]
    pub(crate) fn write_whole(&self, bytes: &[u8]) -> Result<(), io::Result<usize>> {
        // SAFETY: the pointer and length describe `bytes`, which is borrowed for the whole call.
        let result = unsafe { libc::send(self.descriptor.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), SEND_FLAGS) };
        // Lossless: no slice is longer than half of all addresses.
        if result == bytes.len() as libc::ssize_t { Ok(()) } else { Err(self.written_so_far(result, bytes)) }
    }

    #[cold]
    fn written_so_far(&self, result: libc::ssize_t, bytes: &[u8]) -> io::Result<usize> {
        match usize::try_from(result) {
            Ok(count) => Ok(count),
            Err(_) => self.after_failure(|stream| stream.write(bytes)),
        }
    }

    /// The latest call failed: says why, unless a signal interrupted it, and then makes it `again`.
    fn after_failure(&self, again: impl FnOnce(&Self) -> io::Result<usize>) -> io::Result<usize> {
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::Interrupted { again(self) } else { Err(error) }
    }

    /// Writes as much of `slices` as the kernel takes now, in one call and thus at most the first 1024 slices.
    /// Nothing but empty slices is written without a call.
    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let slices = &slices[..slices.len().min(MOST_SLICES)];
        // As writev(2), which does not ask the socket when there is nothing to write; sendmsg(2) would report its error.
        if slices.iter().all(|slice| slice.is_empty()) {
            return Ok(0);
        }
        // SAFETY: a `msghdr` is plain numbers and pointers, for which all zeros mean "none". Its fields are set one
        // by one because some C libraries have padding fields between them.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = slices.as_ptr().cast::<libc::iovec>().cast_mut();
        message.msg_iovlen = slices.len() as _;
        let descriptor = self.descriptor.as_raw_fd();
        repeat_interrupted(|| {
            // SAFETY: `IoSlice` has the layout of `iovec` on Unix, the slices are borrowed for the whole call, and
            // sendmsg only reads them.
            unsafe { libc::sendmsg(descriptor, &message, SEND_FLAGS) }
        })
    }

    /// Ends the own direction: the peer sees the end after the last byte.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.socket().shutdown(Shutdown::Write)
    }

    /// Makes the coming close an abortive one: unsent bytes are dropped and the peer sees a reset.
    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        self.socket().set_linger(Some(Duration::ZERO))
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        internet_address(self.socket().local_addr()?)
    }

    /// The peer's address; an error while there is no peer yet, or no more.
    pub(crate) fn peer_address(&self) -> io::Result<SocketAddr> {
        internet_address(self.socket().peer_addr()?)
    }

    /// Who is at the other end of a unix socket.
    pub(crate) fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        credentials_of_peer(self.as_fd())
    }

    /// Sends small segments at once (`TCP_NODELAY`). A unix socket always does.
    pub(crate) fn set_no_delay(&self, on: bool) -> io::Result<()> {
        match self.transport {
            Transport::Tcp => self.socket().set_tcp_nodelay(on),
            Transport::Unix => Ok(()),
        }
    }

    /// Turns keep-alive probes on or off. Without times, or with one that means nothing to the kernel (less than a
    /// second, no probe at all), its own stay as they are. The peer of a unix socket cannot vanish without a word, so there
    /// it does nothing.
    pub(crate) fn set_keep_alive(&self, on: bool, times: Option<KeepAliveTimes>) -> io::Result<()> {
        match self.transport {
            Transport::Tcp => {}
            Transport::Unix => return Ok(()),
        }
        set_keep_alive(&self.socket(), on, times)
    }

    /// How long what was sent may go without an acknowledgement before the kernel gives the connection up
    /// (`TCP_USER_TIMEOUT`): whole milliseconds, at least one; zero leaves it to the system. Linux has that for TCP; elsewhere
    /// nothing happens.
    pub(crate) fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self.transport {
            Transport::Tcp => {}
            Transport::Unix => return Ok(()),
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return self.socket().set_tcp_user_timeout((!timeout.is_zero()).then(|| timeout.max(Duration::from_millis(1))));
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            let _ = timeout;
            Ok(())
        }
    }

    /// Sets the type of service (`IP_TOS`, or `IPV6_TCLASS` for IPv6).
    pub(crate) fn set_type_of_service(&self, value: u8) -> io::Result<()> {
        match Family::of(&self.local_address()?) {
            Family::IPv4 => self.socket().set_tos_v4(u32::from(value)),
            Family::IPv6 => self.socket().set_tclass_v6(u32::from(value)),
        }
    }

    /// The type of service that the kernel uses, which may leave bits of the one that was set to itself.
    pub(crate) fn type_of_service(&self) -> io::Result<u8> {
        let value = match Family::of(&self.local_address()?) {
            Family::IPv4 => self.socket().tos_v4()?,
            Family::IPv6 => self.socket().tclass_v6()?,
        };
        // One byte of the packet's header.
        Ok(u8::try_from(value).unwrap_or(u8::MAX))
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.descriptor)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(not(feature = "simulation"))]
impl Stream {
    /// Whether a program can have its descriptor.
    pub(crate) fn can_leave(&self) -> bool {
        true
    }

    /// The descriptor for a program.
    pub(crate) fn into_descriptor(self) -> io::Result<OwnedFd> {
        Ok(self.into())
    }
}

/// The descriptor goes on without this type's promises; it is non-blocking still.
impl From<Stream> for OwnedFd {
    fn from(stream: Stream) -> OwnedFd {
        stream.descriptor
    }
}

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    /// A unix socket: it has no addresses of its own to tell, no socket options, and no resets.
    Unix,
}

/// The two families of internet addresses. Shown as Node shows them in `server.address().family` and elsewhere: `IPv4`,
/// `IPv6`. Unix sockets have none.
///
/// ```
/// use halfclose::net::Family;
///
/// assert_eq!(Family::IPv6.to_string(), "IPv6");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Addresses of four bytes.
    IPv4,
    /// Addresses of sixteen bytes.
    IPv6,
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::IPv4 => "IPv4",
            Self::IPv6 => "IPv6",
        })
    }
}

impl Family {
    pub(crate) fn of(address: &SocketAddr) -> Self {
        match address {
            SocketAddr::V4(_) => Self::IPv4,
            SocketAddr::V6(_) => Self::IPv6,
        }
    }

    pub(super) fn domain(self) -> Domain {
        match self {
            Self::IPv4 => Domain::IPV4,
            Self::IPv6 => Domain::IPV6,
        }
    }
}

/// When a silent peer is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeepAliveTimes {
    /// The idle time before the first probe, in whole seconds.
    pub(crate) delay: Duration,
    /// The time between two probes, in whole seconds; `None` is libuv's choice.
    pub(crate) interval: Option<Duration>,
    /// How many probes may go unanswered; `None` is libuv's choice.
    pub(crate) count: Option<u32>,
}

impl KeepAliveTimes {
    pub(super) fn are_usable(self) -> bool {
        self.delay.as_secs() > 0
            && self.interval.is_none_or(|interval| interval.as_secs() > 0)
            && self.count.is_none_or(|count| count > 0)
    }
}

/// How a connect began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectStart {
    /// Readiness will tell that it is decided.
    InProgress,
    /// The kernel refused it at once, and there will be no readiness. To users this is no different from a refusal
    /// that came over the network.
    Refused,
}

/// A stream socket that is non-blocking and closed on exec from its first moment, where the kernel can do that in one
/// call.
pub(super) fn new_socket(domain: Domain) -> io::Result<OwnedFd> {
    // Unix sockets know no protocols.
    let protocol = (domain != Domain::UNIX).then_some(Protocol::TCP);
    #[cfg(not(target_vendor = "apple"))]
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), protocol)?;
    #[cfg(target_vendor = "apple")]
    let socket = {
        let socket = Socket::new(domain, Type::STREAM, protocol)?;
        socket.set_nonblocking(true)?;
        socket
    };
    Ok(socket.into())
}

/// Binds, and calls an address of the other family an invalid argument, as libuv does. Kernels disagree on it.
pub(super) fn bind_reporting_family(socket: &SockRef<'_>, address: SocketAddr) -> io::Result<()> {
    socket.bind(&SockAddr::from(address)).map_err(|error| match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT) => io::Error::from_raw_os_error(libc::EINVAL),
        _ => error,
    })
}

/// The internet address inside `address`.
pub(super) fn internet_address(address: SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
}

/// A link-local address means nothing without its zone. Where none is given (or none is known by the given name) this
/// machine's first link-local interface is meant, as in libuv.
fn with_zone(mut address: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(address) = &mut address {
        if address.ip().is_unicast_link_local() && address.scope_id() == 0 {
            address.set_scope_id(interface::first_link_local().unwrap_or(0));
        }
    }
    address
}

/// [`Stream::set_keep_alive`], for any TCP socket.
pub(super) fn set_keep_alive(socket: &SockRef<'_>, on: bool, times: Option<KeepAliveTimes>) -> io::Result<()> {
    match times {
        Some(times) if on && times.are_usable() => socket.set_tcp_keepalive(&keep_alive_times(times)),
        Some(_) | None => socket.set_keepalive(on),
    }
}

/// What the system can set of the three numbers; OpenBSD has system-wide ones only.
fn keep_alive_times(times: KeepAliveTimes) -> TcpKeepalive {
    let parameters = TcpKeepalive::new().with_time(times.delay);
    #[cfg(not(target_os = "openbsd"))]
    let parameters = parameters
        .with_interval(times.interval.unwrap_or(PROBE_INTERVAL))
        .with_retries(times.count.unwrap_or(PROBE_COUNT));
    parameters
}

/// Makes a call until a signal does not interrupt it. A non-blocking call hardly ever is interrupted; the bound is the
/// number of signals that arrive.
fn repeat_interrupted(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        let result = call();
        if result >= 0 {
            // Lossless: not negative, and as wide as `usize`.
            return Ok(result as usize);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::sys::poller::{Poller, Readiness};
    use crate::sys::test_support::{connected_pair, connecting_to, listening, loopback, until_ready, wait_for};

    fn read_all(stream: &Stream, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while bytes.len() < length {
            match until_ready(stream, || stream.read(&mut buffer)).unwrap() {
                0 => break,
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
        bytes
    }

    fn code(result: io::Result<impl std::fmt::Debug>) -> Option<i32> {
        result.unwrap_err().raw_os_error()
    }

    /// A port that was free a moment ago, so that connecting to it is refused.
    fn closed_port() -> SocketAddr {
        listening().local_address().unwrap()
    }

    #[test]
    fn bytes_arrive_and_then_the_end() {
        let (client, server) = connected_pair();
        assert_eq!(client.write(b"hello").unwrap(), 5);
        client.shutdown_write().unwrap();
        assert_eq!(read_all(&server, usize::MAX), b"hello");
        // The other direction is open still.
        assert_eq!(server.write(b"world").unwrap(), 5);
        assert_eq!(read_all(&client, 5), b"world");
    }

    #[test]
    fn reading_nothing_yet_would_block() {
        let (client, _server) = connected_pair();
        let error = client.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn an_empty_write_makes_the_call() {
        let (client, server) = connected_pair();
        assert_eq!(client.write(b"").unwrap(), 0);
        assert_eq!(client.write_vectored(&[]).unwrap(), 0);
        client.shutdown_write().unwrap();
        assert!(read_all(&server, usize::MAX).is_empty());
    }

    #[test]
    fn a_full_kernel_takes_part_of_a_write_and_then_nothing() {
        let (client, _server) = connected_pair();
        let bytes = vec![7; 1 << 20];
        // Send and receive buffers together are far smaller than the 256 MiB offered here.
        let refused = (0..256).find_map(|_| client.write(&bytes).err()).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn slices_are_written_in_order_with_at_most_1024_in_one_call() {
        let (client, server) = connected_pair();
        let texts: Vec<String> = (0..1500).map(|number| format!("{number},")).collect();
        let slices: Vec<IoSlice<'_>> = texts.iter().map(|text| IoSlice::new(text.as_bytes())).collect();
        let first = texts[..MOST_SLICES].concat();
        assert_eq!(client.write_vectored(&slices).unwrap(), first.len());
        assert_eq!(read_all(&server, first.len()), first.as_bytes());
    }

    #[test]
    fn a_connect_succeeds_with_readiness_and_no_pending_error() {
        let acceptor = listening();
        let mut poller = Poller::new().unwrap();
        let client = connecting_to(acceptor.local_address().unwrap());
        poller.register(client.as_fd(), 1).unwrap();
        wait_for(&mut poller, |event| {
            event.readiness.has(Readiness::WRITABLE) && !event.readiness.has(Readiness::HANG_UP)
        });
        assert!(client.take_error().unwrap().is_none());
        assert_eq!(client.peer_address().unwrap(), acceptor.local_address().unwrap());
    }

    #[test]
    fn a_refused_connect_is_told_by_the_pending_error() {
        let mut poller = Poller::new().unwrap();
        let client = Stream::tcp(Family::IPv4).unwrap();
        match client.connect(closed_port()).unwrap() {
            ConnectStart::InProgress => {
                poller.register(client.as_fd(), 1).unwrap();
                wait_for(&mut poller, |event| event.readiness.has(Readiness::HANG_UP));
                let error = client.take_error().unwrap().unwrap();
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
                assert!(client.take_error().unwrap().is_none(), "it is taken");
            }
            // How some kernels do it on loopback.
            ConnectStart::Refused => {}
        }
    }

    #[test]
    fn a_second_connect_is_an_error() {
        let acceptor = listening();
        let address = acceptor.local_address().unwrap();
        let client = connecting_to(address);
        until_ready(&client, || client.peer_address().map_err(|_| io::ErrorKind::WouldBlock.into())).unwrap();
        // Linux takes the first call after completion for the answer to the first connect.
        let _ = client.connect(address);
        assert_eq!(code(client.connect(address)), Some(libc::EISCONN));
    }

    #[test]
    fn a_link_local_destination_gets_a_zone() {
        let address = SocketAddr::from((Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 1));
        let SocketAddr::V6(zoned) = with_zone(address) else { panic!("the family changed") };
        assert_eq!(zoned.scope_id(), interface::first_link_local().unwrap_or(0));
        let plain = SocketAddr::from((Ipv6Addr::LOCALHOST, 1));
        assert_eq!(with_zone(plain), plain);
    }

    #[test]
    fn the_local_address_can_be_chosen() {
        let acceptor = listening();
        let client = Stream::tcp(Family::IPv4).unwrap();
        client.bind(loopback()).unwrap();
        let bound = client.local_address().unwrap();
        assert_ne!(bound.port(), 0);
        client.connect(acceptor.local_address().unwrap()).unwrap();
        let server = until_ready(&acceptor, || acceptor.accept()).unwrap().0;
        assert_eq!(server.peer_address().unwrap(), bound);
    }

    #[test]
    fn binding_to_a_port_that_listens_fails() {
        let acceptor = listening();
        let client = Stream::tcp(Family::IPv4).unwrap();
        assert_eq!(code(client.bind(acceptor.local_address().unwrap())), Some(libc::EADDRINUSE));
    }

    #[test]
    fn binding_to_the_other_family_is_an_invalid_argument() {
        let client = Stream::tcp(Family::IPv4).unwrap();
        assert_eq!(code(client.bind((Ipv6Addr::LOCALHOST, 0).into())), Some(libc::EINVAL));
        if let Ok(client) = Stream::tcp(Family::IPv6) {
            assert_eq!(code(client.bind((Ipv4Addr::LOCALHOST, 0).into())), Some(libc::EINVAL));
        }
    }

    #[test]
    fn there_is_no_peer_before_the_connect() {
        let client = Stream::tcp(Family::IPv4).unwrap();
        assert_eq!(code(client.peer_address()), Some(libc::ENOTCONN));
        assert_eq!(code(client.shutdown_write()), Some(libc::ENOTCONN));
    }

    #[test]
    fn a_reset_is_seen_by_the_peer() {
        let (client, server) = connected_pair();
        client.reset_on_close().unwrap();
        drop(client);
        assert_eq!(code(until_ready(&server, || server.read(&mut [0; 8]))), Some(libc::ECONNRESET));
        // SIGPIPE would end the test here.
        assert_eq!(code(server.write(b"x")), Some(libc::EPIPE));
        assert_eq!(code(server.write_vectored(&[IoSlice::new(b"x")])), Some(libc::EPIPE));
    }

    #[test]
    fn no_delay_can_be_switched() {
        let (client, _server) = connected_pair();
        client.set_no_delay(true).unwrap();
        assert!(client.socket().tcp_nodelay().unwrap());
        client.set_no_delay(false).unwrap();
        assert!(!client.socket().tcp_nodelay().unwrap());
    }

    #[test]
    #[cfg(not(target_os = "openbsd"))]
    fn keep_alive_with_a_delay_sets_all_three_times() {
        let (client, _server) = connected_pair();
        client.set_keep_alive(true, Some(after(Duration::from_secs(5)))).unwrap();
        let socket = client.socket();
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(5));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBE_COUNT);
        let own = KeepAliveTimes { interval: Some(Duration::from_secs(7)), count: Some(4), ..after(PROBE_INTERVAL) };
        client.set_keep_alive(true, Some(own)).unwrap();
        assert_eq!(socket.tcp_keepalive_time().unwrap(), PROBE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(7));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
    }

    fn after(delay: Duration) -> KeepAliveTimes {
        KeepAliveTimes { delay, interval: None, count: None }
    }

    #[test]
    #[cfg(not(target_os = "openbsd"))]
    fn keep_alive_without_a_delay_leaves_the_times_alone() {
        let (client, _server) = connected_pair();
        let socket = client.socket();
        let before = socket.tcp_keepalive_time().unwrap();
        let no_interval = KeepAliveTimes { interval: Some(Duration::ZERO), ..after(Duration::from_secs(5)) };
        let no_count = KeepAliveTimes { count: Some(0), ..after(Duration::from_secs(5)) };
        let no_delay = [Duration::ZERO, Duration::from_millis(999)].map(|delay| Some(after(delay)));
        for times in no_delay.into_iter().chain([None, Some(no_interval), Some(no_count)]) {
            client.set_keep_alive(true, times).unwrap();
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), before);
        }
        client.set_keep_alive(false, Some(after(Duration::from_secs(5)))).unwrap();
        assert!(!socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), before);
    }

    #[test]
    fn sockets_do_not_block_and_are_closed_on_exec() {
        let (client, server) = connected_pair();
        for stream in [&client, &server] {
            assert!(stream.socket().nonblocking().unwrap());
            // SAFETY: the descriptor is open, and this command only reads its flags.
            let flags = unsafe { libc::fcntl(stream.descriptor.as_raw_fd(), libc::F_GETFD) };
            assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        }
    }
}
