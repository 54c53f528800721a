//! What the floors above see where simulation is possible: each type is the real one or the simulated one.
//!
//! May touch both. Invariants: a loop has only one kind; what a real one does is done by the real type, unchanged; what a
//! simulated kernel cannot do is `ENOTSUP`.

mod acceptor;
mod clock;
mod names;
mod poller;
mod stream;

pub(crate) use acceptor::{Acceptor, Reserve};
pub(crate) use clock::Clock;
pub(crate) use names::{Adoptable, Adopted, BoundName};
pub(crate) use poller::{Poller, Waker};
pub(crate) use stream::Stream;

use std::io;
use std::os::fd::BorrowedFd;

use super::shared::Descriptor;

/// What can be registered.
pub(crate) enum Source<'a> {
    Real(BorrowedFd<'a>),
    Simulated(&'a Descriptor),
}

pub(crate) trait AsSource {
    fn as_source(&self) -> Source<'_>;
}

fn not_supported() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOTSUP)
}
