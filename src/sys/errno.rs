//! The system's error numbers, with the names and texts that Node users know.
//!
//! May touch `libc` (for the numbers) and nothing else of the crate; the root's `error` file builds on it.
//!
//! Invariants: names and texts are libuv's, because Node prints those (`listen EADDRINUSE: address already in use`),
//! not the C library's. A number that libuv has no name for is `UNKNOWN`.

use std::fmt;
use std::io;

/// An error number of the operating system, positive as the C library's `errno` has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    /// For errors that carry no number of the operating system. The value is libuv's, which keeps clear of every
    /// real one.
    pub(crate) const UNKNOWN: Self = Self(4094);

    /// A unix or TCP address that somebody else is bound to.
    pub(crate) const ADDRESS_IN_USE: Self = Self(libc::EADDRINUSE);
    /// A connect on a socket that is connecting.
    pub(crate) const ALREADY: Self = Self(libc::EALREADY);
    /// Given to what was queued when a socket is destroyed, by libuv and not by the kernel.
    pub(crate) const CANCELED: Self = Self(libc::ECANCELED);
    /// The peer was gone before its connection was accepted.
    pub(crate) const CONNECTION_ABORTED: Self = Self(libc::ECONNABORTED);
    /// The peer reset the connection.
    pub(crate) const CONNECTION_RESET: Self = Self(libc::ECONNRESET);
    /// A call that makes no sense for this socket.
    pub(crate) const INVALID: Self = Self(libc::EINVAL);
    /// A connect on a socket that is connected.
    pub(crate) const IS_CONNECTED: Self = Self(libc::EISCONN);
    /// The kernel has no room for another socket.
    pub(crate) const NO_BUFFER_SPACE: Self = Self(libc::ENOBUFS);
    /// The kernel has no memory.
    pub(crate) const NO_MEMORY: Self = Self(libc::ENOMEM);
    /// Nobody listens there.
    pub(crate) const REFUSED: Self = Self(libc::ECONNREFUSED);
    /// Nobody answered in time.
    pub(crate) const TIMED_OUT: Self = Self(libc::ETIMEDOUT);
    /// The process has no descriptors left.
    pub(crate) const TOO_MANY_FILES: Self = Self(libc::EMFILE);
    /// The whole system has none left.
    pub(crate) const TOO_MANY_FILES_IN_SYSTEM: Self = Self(libc::ENFILE);

    /// The number inside `error`, or [`Errno::UNKNOWN`].
    pub(crate) fn from_io(error: &io::Error) -> Self {
        error.raw_os_error().map_or(Self::UNKNOWN, Self)
    }

    /// The number as Node reports it in `error.errno`: negated.
    pub(crate) fn negated(self) -> i32 {
        self.0.wrapping_neg()
    }

    /// Whether accept(2) reports with this what became of the connection that it took off the queue. The next one may do
    /// better. The list is that of Linux's manual, which has the errors of the network that are pending on the new socket
    /// among those of accept(2), with `ETIMEDOUT` and `ECONNRESET`, which are as pending there.
    pub(crate) fn is_of_an_incoming_connection(self) -> bool {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.0 == libc::ENONET {
            return true;
        }
        matches!(
            self.0,
            libc::ECONNABORTED
                | libc::ECONNRESET
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
                | libc::EPROTO
                | libc::ETIMEDOUT
        )
    }

    /// Whether send(2) had no memory for buffers: to libuv that is like a socket that takes no more now.
    pub(crate) fn is_want_of_buffers(self) -> bool {
        self.0 == libc::ENOBUFS
    }

    /// What std takes this number for.
    pub(crate) fn kind(self) -> io::ErrorKind {
        io::Error::from_raw_os_error(self.0).kind()
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.name(), self.0)
    }
}

/// Makes `name` and `description` from one table, so that no number has only one of them.
macro_rules! errno_table {
    ($($(#[$condition:meta])? $name:ident $description:literal)*) => {
        impl Errno {
            /// The symbolic name: Node's `error.code`.
            pub(crate) fn name(self) -> &'static str {
                match self.0 {
                    $($(#[$condition])? libc::$name => stringify!($name),)*
                    _ => "UNKNOWN",
                }
            }

            /// The text that Node puts behind the name in the errors of `listen`.
            pub(crate) fn description(self) -> &'static str {
                match self.0 {
                    $($(#[$condition])? libc::$name => $description,)*
                    _ => "unknown error",
                }
            }
        }
    };
}

errno_table! {
    E2BIG "argument list too long"
    EACCES "permission denied"
    EADDRINUSE "address already in use"
    EADDRNOTAVAIL "address not available"
    EAFNOSUPPORT "address family not supported"
    EAGAIN "resource temporarily unavailable"
    EALREADY "connection already in progress"
    EBADF "bad file descriptor"
    EBUSY "resource busy or locked"
    ECANCELED "operation canceled"
    ECONNABORTED "software caused connection abort"
    ECONNREFUSED "connection refused"
    ECONNRESET "connection reset by peer"
    EDESTADDRREQ "destination address required"
    EEXIST "file already exists"
    EFAULT "bad address in system call argument"
    EFBIG "file too large"
    EHOSTDOWN "host is down"
    EHOSTUNREACH "host is unreachable"
    EILSEQ "illegal byte sequence"
    EINTR "interrupted system call"
    EINVAL "invalid argument"
    EIO "i/o error"
    EISCONN "socket is already connected"
    EISDIR "illegal operation on a directory"
    ELOOP "too many symbolic links encountered"
    EMFILE "too many open files"
    EMLINK "too many links"
    EMSGSIZE "message too long"
    ENAMETOOLONG "name too long"
    ENETDOWN "network is down"
    ENETUNREACH "network is unreachable"
    ENFILE "file table overflow"
    ENOBUFS "no buffer space available"
    ENODEV "no such device"
    ENOENT "no such file or directory"
    ENOEXEC "exec format error"
    ENOMEM "not enough memory"
    ENOPROTOOPT "protocol not available"
    ENOSPC "no space left on device"
    ENOSYS "function not implemented"
    ENOTCONN "socket is not connected"
    ENOTDIR "not a directory"
    ENOTEMPTY "directory not empty"
    ENOTSOCK "socket operation on non-socket"
    ENOTSUP "operation not supported on socket"
    ENOTTY "inappropriate ioctl for device"
    ENXIO "no such device or address"
    EOVERFLOW "value too large for defined data type"
    EPERM "operation not permitted"
    EPIPE "broken pipe"
    EPROTO "protocol error"
    EPROTONOSUPPORT "protocol not supported"
    EPROTOTYPE "protocol wrong type for socket"
    ERANGE "result too large"
    EROFS "read-only file system"
    ESHUTDOWN "cannot send after transport endpoint shutdown"
    ESOCKTNOSUPPORT "socket type not supported"
    ESPIPE "invalid seek"
    ESRCH "no such process"
    ETIMEDOUT "connection timed out"
    ETXTBSY "text file is busy"
    EXDEV "cross-device link not permitted"
    #[cfg(any(target_os = "linux", target_os = "android"))]
    ENODATA "no data available"
    #[cfg(any(target_os = "linux", target_os = "android"))]
    ENONET "machine is not on the network"
    #[cfg(any(target_os = "linux", target_os = "android"))]
    EREMOTEIO "remote I/O error"
    #[cfg(any(target_os = "linux", target_os = "android"))]
    EUNATCH "protocol driver not attached"
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    EFTYPE "inappropriate file type or format"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_those_of_libuv() {
        assert_eq!(Errno(libc::ECONNRESET).name(), "ECONNRESET");
        assert_eq!(Errno::ADDRESS_IN_USE.description(), "address already in use");
        assert_eq!(Errno(libc::EAGAIN).name(), "EAGAIN");
    }

    #[test]
    fn a_number_without_a_name_is_unknown() {
        assert_eq!(Errno(99_999).name(), "UNKNOWN");
        assert_eq!(Errno(0).description(), "unknown error");
        assert_eq!(Errno::UNKNOWN.name(), "UNKNOWN");
    }

    #[test]
    fn the_number_of_an_io_error_is_taken_over() {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        assert_eq!(Errno::from_io(&refused), Errno::REFUSED);
        assert_eq!(Errno::from_io(&refused).negated(), -libc::ECONNREFUSED);
        assert_eq!(Errno::REFUSED.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(Errno::from_io(&io::Error::other("foreign")), Errno::UNKNOWN);
    }

    #[test]
    fn debug_shows_name_and_number() {
        let number = libc::EPIPE;
        assert_eq!(format!("{:?}", Errno(libc::EPIPE)), format!("EPIPE ({number})"));
    }

    #[test]
    fn the_most_negative_number_does_not_overflow() {
        assert_eq!(Errno(i32::MIN).negated(), i32::MIN);
    }
}
