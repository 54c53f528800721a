//! Who is at the other end of a unix socket, as the kernel noted it.
//!
//! May touch `libc` for the question. Invariant: an answer is about a peer that was connected; where there was none, or the
//! system does not say, it is an error.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The process at the other end of a unix socket: the answer of
/// [`Socket::peer_credentials`](crate::net::Socket::peer_credentials). Not in Node.
///
/// They are those of the moment at which the peer called connect(2), or listen(2) if it is a server, or socketpair(2): what
/// becomes of that process later, and whom it hands its end to, does not change them. They are the kernel's word, which a
/// peer cannot forge. In another user namespace, an id that has no equivalent here is shown as the overflow id (65534).
///
/// ```
/// use halfclose::net::PeerCredentials;
///
/// /// Whether a peer is one of root's processes.
/// fn is_root(peer: Option<PeerCredentials>) -> bool {
///     peer.is_some_and(|peer| peer.uid == 0)
/// }
///
/// assert!(!is_root(None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// Its process. `None` where the system does not tell (it is not asked outside of Linux), and when the process is in a
    /// namespace that is not seen from here. It may have ended, and its number may be another one's by now: good for a log,
    /// no good for a decision.
    pub pid: Option<u32>,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// `SO_PEERCRED` of unix(7).
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn credentials_of_peer(socket: BorrowedFd<'_>) -> io::Result<PeerCredentials> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the pointers are to a structure that outlives the call, and to its size.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut length,
        )
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    // What the kernel says of a socket without a peer. Nobody has that user id (chown(2) takes it for "unchanged").
    if found.uid == libc::uid_t::MAX {
        return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
    }
    let pid = u32::try_from(found.pid).ok().filter(|pid| *pid > 0);
    Ok(PeerCredentials { pid, uid: found.uid, gid: found.gid })
}

/// getpeereid(3), which the other systems have in common.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn credentials_of_peer(socket: BorrowedFd<'_>) -> io::Result<PeerCredentials> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: both pointers are to integers that outlive the call.
    let outcome = unsafe { libc::getpeereid(socket.as_raw_fd(), &raw mut uid, &raw mut gid) };
    if outcome == 0 { Ok(PeerCredentials { pid: None, uid, gid }) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What the kernel has of this process (proc(5), `status`).
    #[cfg(target_os = "linux")]
    fn effective(name: &str) -> u32 {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_pair_is_this_process_at_both_ends() {
        let (near, far) = UnixStream::pair().unwrap();
        let expected =
            PeerCredentials { pid: Some(std::process::id()), uid: effective("Uid:"), gid: effective("Gid:") };
        assert_eq!(credentials_of_peer(near.as_fd()).unwrap(), expected);
        assert_eq!(credentials_of_peer(far.as_fd()).unwrap(), expected);
    }

    /// They were noted when the two were connected.
    #[test]
    fn a_peer_that_has_gone_is_still_known() {
        let (near, far) = UnixStream::pair().unwrap();
        let before = credentials_of_peer(near.as_fd()).unwrap();
        drop(far);
        assert_eq!(credentials_of_peer(near.as_fd()).unwrap(), before);
    }

    #[test]
    fn without_a_peer_there_are_none() {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        assert!(credentials_of_peer(socket.as_fd()).is_err());
    }

    #[test]
    fn tcp_knows_no_credentials() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(credentials_of_peer(stream.as_fd()).is_err());
    }
}
