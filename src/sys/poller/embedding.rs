//! What a loop around ours needs of the poller: a descriptor to watch it by.
//!
//! May touch the system's call that duplicates a descriptor. Invariant: a poller and its duplicates are the same selector.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::Poller;

impl Poller {
    /// The selector once more, under a descriptor of its own, for whoever must lend it for longer than the poller can be
    /// borrowed. It is readable while there are events that [`Poller::poll`] would bring.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        // SAFETY: the poller owns this descriptor and closes it when it is dropped, which this borrow of it prevents.
        let descriptor = unsafe { BorrowedFd::borrow_raw(self.poll.as_raw_fd()) };
        descriptor.try_clone_to_owned()
    }

    /// Whether the latest wait filled the room for events, so that there may be more which only another wait brings.
    pub(crate) fn may_hold_more(&self) -> bool {
        self.events.iter().count() >= self.events.capacity()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::sys::test_support::wait_for;

    #[test]
    fn a_duplicate_is_readable_while_an_event_waits() {
        let mut poller = Poller::new().unwrap();
        let mut outer = Poller::new().unwrap();
        let duplicate = poller.duplicate().unwrap();
        assert_ne!(duplicate.as_raw_fd(), poller.poll.as_raw_fd());
        outer.register(duplicate.as_fd(), 1).unwrap();
        outer.poll(Some(Duration::ZERO)).unwrap();
        assert_eq!(outer.events().filter(|event| event.readable).count(), 0);

        let (near, _far) = UnixStream::pair().unwrap();
        poller.register(near.as_fd(), 2).unwrap();
        wait_for(&mut outer, |event| event.token == 1 && event.readable);
        wait_for(&mut poller, |event| event.token == 2 && event.writable);
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
