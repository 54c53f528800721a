//! The poller among strangers: a descriptor for loops around ours, and descriptors of others in ours.
//!
//! May touch `mio`, and the system's call that duplicates a descriptor. Invariants: a poller and its duplicates are the same
//! selector; a foreign descriptor is reported for the directions that were asked for, and once until it is asked for again.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use mio::Interest;
use mio::unix::SourceFd;

use super::{Poller, to_mio};

/// What is asked for, or found, at a foreign descriptor.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Directions {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

impl Directions {
    /// What mio calls it; `None` for no direction at all, which it does not know.
    fn interest(self) -> Option<Interest> {
        match (self.readable, self.writable) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        }
    }
}

impl Poller {
    /// The selector once more, under a descriptor of its own, for whoever must lend it for longer than the poller can be
    /// borrowed. It is readable while there are events that [`Poller::poll`] would bring.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        // SAFETY: the poller owns this descriptor and closes it when it is dropped, which this borrow of it prevents.
        let descriptor = unsafe { BorrowedFd::borrow_raw(self.poll.as_raw_fd()) };
        descriptor.try_clone_to_owned()
    }

    /// Reports a foreign descriptor under `token`, in these directions, as soon as one is ready and then not before
    /// [`Poller::watch_again`]. Its number will do: whether it is open is the caller's concern, and the result's.
    pub(crate) fn watch(&self, descriptor: RawFd, token: u64, directions: Directions) -> io::Result<()> {
        let interest = directions.interest().ok_or(io::ErrorKind::InvalidInput)?;
        self.poll.registry().register(&mut SourceFd(&descriptor), to_mio(token), interest)
    }

    /// The same once more, perhaps in other directions: what is ready by now is reported again.
    pub(crate) fn watch_again(&self, descriptor: RawFd, token: u64, directions: Directions) -> io::Result<()> {
        let interest = directions.interest().ok_or(io::ErrorKind::InvalidInput)?;
        self.poll.registry().reregister(&mut SourceFd(&descriptor), to_mio(token), interest)
    }

    /// Ends the reports of a foreign descriptor.
    pub(crate) fn unwatch(&self, descriptor: RawFd) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&descriptor))
    }

    /// Whether the latest wait filled the room for events, so that there may be more which only another wait brings.
    pub(crate) fn may_hold_more(&self) -> bool {
        self.events.count() >= self.events.capacity()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::sys::poller::Readiness;
    use crate::sys::test_support::wait_for;

    #[test]
    fn a_duplicate_is_readable_while_an_event_waits() {
        let mut poller = Poller::new().unwrap();
        let mut outer = Poller::new().unwrap();
        let duplicate = poller.duplicate().unwrap();
        assert_ne!(duplicate.as_raw_fd(), poller.poll.as_raw_fd());
        outer.register(duplicate.as_fd(), 1).unwrap();
        outer.poll(Some(Duration::ZERO)).unwrap();
        assert_eq!(outer.events().filter(|event| event.readiness.has(Readiness::READABLE)).count(), 0);

        let (near, _far) = UnixStream::pair().unwrap();
        poller.register(near.as_fd(), 2).unwrap();
        wait_for(&mut outer, |event| event.token == 1 && event.readiness.has(Readiness::READABLE));
        wait_for(&mut poller, |event| event.token == 2 && event.readiness.has(Readiness::WRITABLE));
    }

    #[test]
    fn a_foreign_descriptor_is_reported_again_on_demand_only() {
        const READ: Directions = Directions { readable: true, writable: false };
        let mut poller = Poller::new().unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        poller.watch(near.as_raw_fd(), 3, READ).unwrap();
        poller.poll(Some(Duration::ZERO)).unwrap();
        assert_eq!(poller.events().count(), 0, "writable, which nobody asked for");
        io::Write::write_all(&mut &far, b"a").unwrap();
        wait_for(&mut poller, |event| {
            event.token == 3 && event.readiness.has(Readiness::READABLE) && !event.readiness.has(Readiness::WRITABLE)
        });
        poller.poll(Some(Duration::ZERO)).unwrap();
        assert_eq!(poller.events().count(), 0);
        poller.watch_again(near.as_raw_fd(), 3, READ).unwrap();
        wait_for(&mut poller, |event| event.token == 3 && event.readiness.has(Readiness::READABLE));
        poller.watch_again(near.as_raw_fd(), 3, Directions { readable: false, writable: true }).unwrap();
        wait_for(&mut poller, |event| {
            event.token == 3 && event.readiness.has(Readiness::WRITABLE) && !event.readiness.has(Readiness::READABLE)
        });
        poller.unwatch(near.as_raw_fd()).unwrap();
        assert!(poller.watch_again(near.as_raw_fd(), 3, READ).is_err());
        assert!(poller.watch(near.as_raw_fd(), 3, Directions { readable: false, writable: false }).is_err());
    }

    #[test]
    fn a_full_wait_may_leave_more() {
        let mut poller = Poller::with_capacity(2).unwrap();
        assert!(!poller.may_hold_more());
        let pairs: Vec<_> = (0..2).map(|_| UnixStream::pair().unwrap()).collect();
        for (token, (near, _)) in (0..).zip(&pairs) {
            poller.register(near.as_fd(), token).unwrap();
        }
        poller.poll(Some(Duration::ZERO)).unwrap();
        assert!(poller.may_hold_more());
        poller.poll(Some(Duration::ZERO)).unwrap();
        assert!(!poller.may_hold_more());
    }
}
