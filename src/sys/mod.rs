//! Floor 1: the seam to the operating system. Every system call of this crate is made in this folder.
//!
//! | file | subject |
//! |---|---|
//! | [`clock`] | monotonic time |
//! | [`events`] | the wait of the poller |
//! | [`poller`] | readiness (epoll, kqueue) and the wake-up from other threads |
//! | [`stream`] | one connecting or connected socket |
//! | [`acceptor`] | one listening socket |
//! | [`descriptor`] | descriptors that are to be adopted |
//! | [`reserve`] | the descriptor kept back for the day when there are none left |
//! | [`resolver`] | host names and address literals |
//! | [`unix`] | names of unix sockets, and the files they make |
//! | [`credentials`] | who is at the other end of a unix socket |
//! | [`interface`] | network interfaces, which IPv6 zones name |
//! | [`timestamps`] | when the kernel received what is read |
//! | [`errno`] | names and texts of the system's error numbers |
//! | `simulated` | a kernel in memory, with the feature `simulation` |
//! | `taped` | recording and replaying, with the feature `simulation` |
//!
//! What it may touch: `std`, `libc`, `socket2`, `mio` and `dns-lookup`. It knows nothing of connections, events or
//! listeners, and imports no other file of the crate.
//!
//! Invariants:
//!
//! - `unsafe`, `libc` and `cfg(target…)` occur in this folder only, and each `unsafe` block says why it is sound.
//! - Nothing here calls back, keeps a state machine or decides what an error means: a call goes in, its result comes
//!   out. A simulated kernel can therefore stand in for this folder.
//! - No call blocks, with two exceptions that say so in their name: `Poller::poll`, and `resolver::resolve`, which
//!   belongs on a thread of its own.
//! - An interrupted call (`EINTR`) is never a result; it is made again.

#[cfg(not(unix))]
compile_error!(
    "halfclose supports Linux, macOS and the BSDs. Its half-close, reset and readiness semantics are those of POSIX \
     sockets over epoll or kqueue; Windows has no equivalent of them that this crate could keep its promises with."
);

#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "halfclose needs a 64-bit target: a readiness token is a 64-bit word (index and generation), and the poller hands \
     it to the kernel as a pointer-sized value."
);

mod acceptor;
pub(crate) mod clock;
mod credentials;
pub(crate) mod descriptor;
pub(crate) mod errno;
mod events;
mod inheritance;
mod interface;
mod poller;
mod reserve;
pub(crate) mod resolver;
mod stream;
pub(crate) mod timestamps;
mod unix;

#[cfg(feature = "simulation")]
pub(crate) mod simulated;

/// With the feature `simulation` each of these is the real one or a simulated one; without it there is nothing between.
#[cfg(not(feature = "simulation"))]
mod switched {
    pub(crate) use super::acceptor::Acceptor;
    pub(crate) use super::clock::Clock;
    pub(crate) use super::descriptor::{Adoptable, Adopted};
    pub(crate) use super::poller::{Poller, Waker};
    pub(crate) use super::reserve::Reserve;
    pub(crate) use super::stream::Stream;
    pub(crate) use super::unix::BoundName;
}
#[cfg(feature = "simulation")]
pub(crate) mod taped;
#[cfg(feature = "simulation")]
use taped as switched;

pub(crate) use acceptor::AcceptorOptions;
pub(crate) use clock::{Time, Wait};
pub use credentials::PeerCredentials;
pub(crate) use inheritance::CopiedOptions;
pub(crate) use poller::{Directions, Event, Readiness};
pub use stream::Family;
pub(crate) use stream::{ConnectStart, KeepAliveTimes, Transport};
pub(crate) use switched::{Acceptor, Adoptable, Adopted, BoundName, Clock, Poller, Reserve, Stream, Waker};
pub(crate) use unix::{Permissions, UnixAddress, is_abstract};

#[cfg(test)]
mod test_support;
