//! When the kernel received what is read: `SO_TIMESTAMPNS` of a TCP socket.
//!
//! Linux has stamped what recvmsg(2) gives of a stream since 4.15: with the time at which the last of these bytes came in
//! from the network card or from loopback, by `CLOCK_REALTIME` (Documentation/networking/timestamping.rst, 1.4). So the
//! youngest byte waited that long, and all others waited longer. Other systems stamp datagrams only, and no system unix
//! sockets: there is never a stamp then.
//!
//! May touch `libc`. Invariant: no control message but the stamp is asked for, so that nothing comes that would have to be
//! closed.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use super::acceptor::Acceptor;
use super::stream::{Stream, Transport};

/// What a stamped read came to.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct StampedRead {
    pub(crate) count: usize,
    /// How long the youngest of these bytes had been in the kernel. It is the difference of two readings of the wall clock,
    /// and no time at all if that was set back in between.
    pub(crate) waited: Option<Duration>,
}

/// Whether this system stamps what streams receive.
pub(crate) const SUPPORTED: bool = cfg!(target_os = "linux") || cfg!(target_os = "android");

impl Stream {
    /// Asks for stamps. What came before it was first asked of any socket of the system may have none.
    pub(crate) fn stamp(&self) -> io::Result<()> {
        stamp(self.as_fd())
    }

    /// As [`Stream::read`], with the stamp. Only of a TCP socket: room for it is room for descriptors, too.
    pub(crate) fn read_stamped(&self, buffer: &mut [u8]) -> io::Result<StampedRead> {
        match self.transport() {
            Transport::Tcp => read_stamped(self, buffer),
            Transport::Unix => Ok(StampedRead { count: self.read(buffer)?, waited: None }),
        }
    }
}

impl Acceptor {
    /// Asks for stamps of all connections that it will accept.
    pub(crate) fn stamp(&self) -> io::Result<()> {
        stamp(self.as_fd())
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn stamp(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the pointer and length describe `on`, which lives for the whole call.
    let result = unsafe {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS);
        libc::setsockopt(descriptor.as_raw_fd(), level, name, (&raw const on).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn stamp(_descriptor: BorrowedFd<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn read_stamped(stream: &Stream, buffer: &mut [u8]) -> io::Result<StampedRead> {
    /// Room for one stamp: a header and a `timespec`, which is 32 bytes on every 64-bit system.
    #[repr(C, align(8))]
    struct Control([u8; 64]);

    let mut control = Control([0; 64]);
    let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: a `msghdr` is plain numbers and pointers, for which all zeros mean "none".
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut slice;
    message.msg_iovlen = 1;
    let count = loop {
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len() as _;
        // SAFETY: `message` describes `slice` and `control`, and `slice` describes `buffer`; all are borrowed mutably for the
        // whole call.
        let result = unsafe { libc::recvmsg(stream.as_fd().as_raw_fd(), &mut message, 0) };
        match usize::try_from(result) {
            Ok(count) => break count,
            Err(_) => {
                let error = io::Error::last_os_error();
                // One round for each signal; no number of them is wrong.
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    };
    // SAFETY: the kernel has filled `message` and what it describes, which is all still there.
    let received = unsafe { stamp_in(&message) };
    let waited = received.map(|received| wall_clock().saturating_sub(received));
    Ok(StampedRead { count, waited })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn read_stamped(stream: &Stream, buffer: &mut [u8]) -> io::Result<StampedRead> {
    Ok(StampedRead { count: stream.read(buffer)?, waited: None })
}

/// The stamp among the control messages, as the time since 1970.
///
/// # Safety
///
/// `message` is as recvmsg(2) left it, and its control buffer is alive.
#[cfg(any(target_os = "linux", target_os = "android"))]
unsafe fn stamp_in(message: &libc::msghdr) -> Option<Duration> {
    // SAFETY: the caller's.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    // Bounded by the control buffer, which has room for one or two.
    while !header.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give headers that lie within the control buffer, which is aligned for them.
        let found = unsafe { &*header };
        if found.cmsg_level == libc::SOL_SOCKET && found.cmsg_type == libc::SCM_TIMESTAMPNS {
            // SAFETY: the data of this message is one timespec, which need not be aligned for one.
            let time = unsafe { libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned() };
            return Some(since_1970(time));
        }
        // SAFETY: as above.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn wall_clock() -> Duration {
    let mut time = std::mem::MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` is a place for one timespec for the length of the call, which fills it: this clock is always there.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, time.as_mut_ptr());
        time.assume_init()
    };
    since_1970(time)
}

/// A time before 1970 is no time at all.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn since_1970(time: libc::timespec) -> Duration {
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    u64::try_from(time.tv_sec).map_or(Duration::ZERO, |seconds| Duration::new(seconds, nanoseconds))
}
