//! A recording of what the system answered, and a system that answers from one. Only with the feature `simulation`.
//!
//! | file | subject |
//! |---|---|
//! | this one | the types of `sys`, each with the tape of its loop, if there is one |
//! | `tape` | what an entry is, how one is made and how one is found again |
//! | `blocks` | the file |
//! | `stream`, `acceptor`, `poller` | the calls |
//!
//! The layer lies over `simulated::switch`, so a simulated loop can be recorded, too. It may touch that, and a file of the
//! user's. Invariants: what is recorded happens as without the recording; a loop that replays makes no system call but
//! those of its own poller, which wakes it for posts; whatever is in the file is an answer or an error, never a panic.

mod acceptor;
mod blocks;
mod poller;
mod stream;
mod tape;

pub(crate) use acceptor::{Acceptor, Adoptable, Adopted, Reserve};
pub(crate) use poller::{Clock, Poller};
pub(crate) use stream::Stream;
pub(crate) use tape::{Failure, Field, Tape, put_address, put_number};

pub(crate) use super::simulated::switch::{BoundName, Waker};

use std::io;

/// What can be registered with a [`Poller`].
pub(crate) trait AsSource {
    /// The thing itself, unless it is on tape only, and its number on tape.
    type Live: super::simulated::switch::AsSource;

    fn live(&self) -> Option<&Self::Live>;

    fn number(&self) -> u64;
}

/// What has no place on a tape: descriptors from outside, names of files.
fn not_supported() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOTSUP)
}

/// The call is answered by the tape or by the thing itself; that there is neither cannot be.
fn of_live<T, R>(live: Option<&T>, call: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
    live.map_or_else(|| Err(not_supported()), call)
}
