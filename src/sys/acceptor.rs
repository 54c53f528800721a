//! One listening socket: bind, listen, accept.
//!
//! May touch `libc` for `accept` and `socket2` for the rest.
//!
//! Invariants: bind and listen are separate steps, because Node reports where each fails. Accepted sockets are
//! non-blocking and closed on exec, and never raise `SIGPIPE`. What an error of `accept` means for the server is
//! decided above.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef};

use super::inheritance::{CopiedOptions, Inheritance};
use super::stream::{Family, Stream, Transport, bind_reporting_family, internet_address, new_socket};
use super::unix::{BoundName, Permissions, UnixAddress};

/// A socket that is bound, and listens once told to.
#[derive(Debug)]
pub(crate) struct Acceptor {
    /// A unix socket's name, if it was bound here. It stands first because it goes first: while there is a name there is
    /// somebody behind it.
    name: Option<Box<BoundName>>,
    descriptor: OwnedFd,
    transport: Transport,
    inheritance: Inheritance,
    deferring: bool,
}

impl Acceptor {
    /// A TCP socket bound to `address`. A port that only waits out its last connections is free.
    pub(crate) fn tcp(address: SocketAddr, options: AcceptorOptions) -> io::Result<Self> {
        let family = Family::of(&address);
        let acceptor = Self {
            name: None,
            descriptor: new_socket(family.domain())?,
            transport: Transport::Tcp,
            inheritance: Inheritance::default(),
            deferring: false,
        };
        let socket = acceptor.socket();
        socket.set_reuse_address(true)?;
        if options.reuse_port {
            share_port(&socket)?;
        }
        match family {
            Family::IPv4 => {}
            // Set in both cases, since the default is a matter of the system's settings. OpenBSD has no dual stack
            // and refuses the very question.
            Family::IPv6 if cfg!(target_os = "openbsd") => {}
            Family::IPv6 => socket.set_only_v6(options.ipv6_only)?,
        }
        bind_reporting_family(&socket, address)?;
        Ok(acceptor)
    }

    /// A unix socket bound to `address`. A file of that name is made, and removed when the acceptor is dropped; one that
    /// is there already is left alone.
    ///
    /// The file never has more than an exact mode that `permissions` ask for, and less where the process's mask takes some
    /// of it; [`Acceptor::set_permissions`] does the rest.
    pub(crate) fn unix(address: &UnixAddress, permissions: Permissions) -> io::Result<Self> {
        let descriptor = new_socket(Domain::UNIX)?;
        if let Some(mode) = permissions.mode {
            restrict(descriptor.as_fd(), mode);
        }
        SockRef::from(&descriptor).bind(address.as_raw()).map_err(|error| match error.raw_os_error() {
            // A directory that is missing: libuv says so on every system, and Node's users know it.
            Some(libc::ENOENT) => io::Error::from_raw_os_error(libc::EACCES),
            _ => error,
        })?;
        Ok(Self {
            name: Some(BoundName::new(address)),
            descriptor,
            transport: Transport::Unix,
            inheritance: Inheritance::default(),
            deferring: false,
        })
    }

    /// Sets who may connect, by the permissions of the socket's file. An abstract name has none, and needs none.
    #[cfg_attr(
        feature = "simulation",
        allow(dead_code, reason = "names are kept outside then, where they may be simulated")
    )]
    pub(crate) fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.name.as_ref().map_or(Ok(()), |name| name.set_permissions(permissions))
    }

    /// Takes over a socket that is bound, non-blocking and closed on exec already. Without a name the file of a unix socket
    /// is somebody else's.
    pub(super) fn from_bound(descriptor: OwnedFd, name: Option<Box<BoundName>>, transport: Transport) -> Self {
        Self { name, descriptor, transport, inheritance: Inheritance::default(), deferring: false }
    }

    /// The name that it was bound to here.
    #[cfg_attr(
        feature = "simulation",
        allow(dead_code, reason = "names are kept outside then, where they may be simulated")
    )]
    pub(crate) fn name(&self) -> Option<&BoundName> {
        self.name.as_deref()
    }

    pub(super) fn into_parts(self) -> (OwnedFd, Option<Box<BoundName>>) {
        (self.descriptor, self.name)
    }

    /// Has the kernel give these options to every connection, where it does that. For a TCP socket of our own that does not
    /// listen yet: one that somebody else made may be shared with other programs.
    pub(crate) fn hand_down(&mut self, options: CopiedOptions) {
        self.inheritance = Inheritance::begin(&self.socket(), options);
    }

    /// Leaves a connection to the kernel until its first bytes are there, or it was silent for about `limit`: whole
    /// seconds, rounded up. Linux can do that for TCP; elsewhere nothing happens.
    pub(crate) fn defer_accept(&mut self, limit: Duration) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.transport == Transport::Tcp {
            let seconds = limit.as_secs().saturating_add(u64::from(limit.subsec_nanos() > 0));
            // The kernel turns it into a number of its retransmissions, at most 255: no larger number means more.
            let seconds = libc::c_int::try_from(seconds).unwrap_or(libc::c_int::MAX);
            let length = size_of::<libc::c_int>() as libc::socklen_t;
            // SAFETY: the pointer is to an integer that outlives the call, and the length is its size.
            let outcome = unsafe {
                libc::setsockopt(
                    self.descriptor.as_raw_fd(),
                    libc::IPPROTO_TCP,
                    libc::TCP_DEFER_ACCEPT,
                    (&raw const seconds).cast(),
                    length,
                )
            };
            if outcome != 0 {
                return Err(io::Error::last_os_error());
            }
            self.deferring = true;
        }
        let _ = limit;
        Ok(())
    }

    /// Whether the connections that it accepts have something to read, as a rule.
    pub(crate) fn is_deferring(&self) -> bool {
        self.deferring
    }

    /// Its name, which somebody else takes care of from now on.
    #[cfg(feature = "simulation")]
    pub(super) fn take_name(&mut self) -> Option<Box<BoundName>> {
        self.name.take()
    }

    /// What the sockets that it accepts have already.
    pub(crate) fn inheritance(&self) -> Inheritance {
        self.inheritance
    }

    /// Starts to listen. The kernel completes up to about `backlog` connections before anyone accepts them.
    pub(crate) fn listen(&self, backlog: i32) -> io::Result<()> {
        self.socket().listen(backlog)
    }

    /// Takes the next connection and its peer's address, or gives `WouldBlock`.
    pub(crate) fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        // The bound is the number of signals that arrive; a non-blocking call is hardly ever interrupted.
        loop {
            match accept_one(self.descriptor.as_fd()) {
                Ok((descriptor, peer)) => {
                    return Ok((Stream::from_prepared(descriptor, self.transport), peer.as_socket()));
                }
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        internet_address(self.socket().local_addr()?)
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.descriptor)
    }
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// How an [`Acceptor`] is bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AcceptorOptions {
    /// An IPv6 address takes no IPv4 connections. Means nothing for an IPv4 address.
    pub(crate) ipv6_only: bool,
    /// Other sockets that ask for this too may listen on the same port, and the kernel deals connections out to them.
    pub(crate) reuse_port: bool,
    /// A connection is told of once its first bytes are there, or when it was silent for about this long.
    pub(crate) defer_accept: Option<Duration>,
}

/// Lets a socket that is not bound yet make its file with no more than `mode`. Linux does (`unix_bind_bsd` of
/// net/unix/af_unix.c takes the mode of the socket itself); other systems refuse the call, and have the mode set before the
/// socket listens.
fn restrict(socket: BorrowedFd<'_>, mode: u32) {
    // Nine bits, which every type of a mode has.
    let mode = mode as libc::mode_t;
    // SAFETY: the call has no memory of ours to touch. Whether it worked shows in the file.
    unsafe { libc::fchmod(socket.as_raw_fd(), mode) };
}

/// Shares the port where the kernel balances connections between the sharers; elsewhere `SO_REUSEPORT` exists but
/// gives all of them to one socket, so that asking for it is an error, as in libuv.
fn share_port(socket: &SockRef<'_>) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "dragonfly"))]
    return socket.set_reuse_port(true);
    #[cfg(target_os = "freebsd")]
    return socket.set_reuse_port_lb(true);
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "dragonfly", target_os = "freebsd")))]
    {
        let _ = socket;
        Err(io::Error::from_raw_os_error(libc::ENOTSUP))
    }
}

/// One `accept`, with both flags set in the same call.
#[cfg(not(target_vendor = "apple"))]
fn accept_one(acceptor: BorrowedFd<'_>) -> io::Result<(OwnedFd, SockAddr)> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the storage is zeroed, as large as its length says, and accept4 writes an address and its length into it.
    unsafe {
        SockAddr::try_init(|storage, length| {
            let descriptor = libc::accept4(acceptor.as_raw_fd(), storage.cast(), length, flags);
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            // The kernel just opened this descriptor for us, and nobody else knows it.
            Ok(OwnedFd::from_raw_fd(descriptor))
        })
    }
}

/// One `accept`, with what Apple's systems cannot set in the same call.
#[cfg(target_vendor = "apple")]
fn accept_one(acceptor: BorrowedFd<'_>) -> io::Result<(OwnedFd, SockAddr)> {
    // SAFETY: the storage is zeroed, as large as its length says, and accept writes an address and its length into it.
    let (descriptor, peer) = unsafe {
        SockAddr::try_init(|storage, length| {
            let descriptor = libc::accept(acceptor.as_raw_fd(), storage.cast(), length);
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            // The kernel just opened this descriptor for us, and nobody else knows it.
            Ok(OwnedFd::from_raw_fd(descriptor))
        })
    }?;
    let socket = SockRef::from(&descriptor);
    socket.set_cloexec(true)?;
    socket.set_nonblocking(true)?;
    // A connection that is reset already refuses every option. It is the first read that reports it.
    let _ = socket.set_nosigpipe(true);
    Ok((descriptor, peer))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::sys::poller::{Poller, Readiness};
    use crate::sys::test_support::{connecting_to, listening, loopback, until_ready, wait_for};

    const IPV6_ONLY: AcceptorOptions = AcceptorOptions { ipv6_only: true, reuse_port: false, defer_accept: None };

    fn bound(address: SocketAddr) -> io::Result<Acceptor> {
        Acceptor::tcp(address, AcceptorOptions::default())
    }

    #[test]
    fn a_bound_acceptor_knows_its_port_before_it_listens() {
        let acceptor = bound(loopback()).unwrap();
        assert_ne!(acceptor.local_address().unwrap().port(), 0);
        assert_eq!(acceptor.accept().unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn with_nobody_waiting_an_accept_would_block() {
        assert_eq!(listening().accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn waiting_connections_are_accepted_one_by_one() {
        let acceptor = listening();
        let mut poller = Poller::new().unwrap();
        poller.register(acceptor.as_fd(), 9).unwrap();
        let address = acceptor.local_address().unwrap();
        let clients = [connecting_to(address), connecting_to(address)];
        wait_for(&mut poller, |event| event.token == 9 && event.readiness.has(Readiness::READABLE));
        let mut peers = [(); 2].map(|()| until_ready(&acceptor, || acceptor.accept()).unwrap().1.unwrap());
        let mut locals = clients.each_ref().map(|client| client.local_address().unwrap());
        peers.sort();
        locals.sort();
        assert_eq!(peers, locals);
    }

    #[test]
    fn a_port_that_listens_is_in_use() {
        let first = listening();
        let second = bound(first.local_address().unwrap());
        assert_eq!(second.unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
    }

    #[test]
    fn a_port_is_free_again_after_the_close() {
        let first = listening();
        let address = first.local_address().unwrap();
        let _client = connecting_to(address);
        let served = until_ready(&first, || first.accept()).unwrap().0;
        // The side that closes first keeps the port waiting for stray segments.
        drop(served);
        drop(first);
        bound(address).unwrap().listen(1).unwrap();
    }

    #[test]
    fn an_address_of_another_machine_is_not_available() {
        let foreign = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 0));
        assert_eq!(bound(foreign).unwrap_err().raw_os_error(), Some(libc::EADDRNOTAVAIL));
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "dragonfly", target_os = "freebsd"))]
    fn a_port_is_shared_by_those_who_all_ask_for_it() {
        let shared = AcceptorOptions { ipv6_only: false, reuse_port: true, defer_accept: None };
        let first = Acceptor::tcp(loopback(), shared).unwrap();
        let address = first.local_address().unwrap();
        first.listen(1).unwrap();
        Acceptor::tcp(address, shared).unwrap().listen(1).unwrap();
        assert_eq!(bound(address).unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
    }

    #[test]
    #[cfg(not(target_os = "openbsd"))]
    fn ipv6_only_leaves_the_ipv4_port_free() {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        // Not every machine has IPv6.
        let Ok(dual) = bound(any) else { return };
        dual.listen(1).unwrap();
        let same_port =
            |acceptor: &Acceptor| SocketAddr::from((Ipv4Addr::UNSPECIFIED, acceptor.local_address().unwrap().port()));
        assert_eq!(bound(same_port(&dual)).unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));

        let single = Acceptor::tcp(any, IPV6_ONLY).unwrap();
        single.listen(1).unwrap();
        assert!(single.socket().only_v6().unwrap());
        bound(same_port(&single)).unwrap();
    }

    #[test]
    fn ipv6_only_means_nothing_to_ipv4() {
        Acceptor::tcp(loopback(), IPV6_ONLY).unwrap();
    }
}
