//! The wait itself, and what it brought.
//!
//! On Linux the loop makes `epoll_wait` its own call: mio's copies nothing either, but it takes a timeout apart and puts it
//! together again, and its events can only be walked, so that each would have to be copied before listeners run. In the
//! smallest turn that was a fifth of all instructions. Registering and waking are mio's on every system, and where there
//! is kqueue, so is the wait.
//!
//! May touch `libc` for the one call, and `mio`. Invariant: events stay until the next wait begins.

use std::io;

use super::poller::Event;

pub(super) use system::Events;

/// What mio's registrations mean to epoll.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::os::fd::AsRawFd;

    use mio::Poll;

    use super::{Event, io};
    use crate::sys::clock::Wait;
    use crate::sys::poller::Readiness;

    pub(crate) struct Events {
        /// Its capacity is the room for events.
        found: Vec<libc::epoll_event>,
    }

    impl Events {
        pub(crate) fn with_capacity(capacity: usize) -> Events {
            Events { found: Vec::with_capacity(capacity) }
        }

        pub(crate) fn capacity(&self) -> usize {
            self.found.capacity()
        }

        pub(crate) fn count(&self) -> usize {
            self.found.len()
        }

        #[inline]
        pub(crate) fn get(&self, index: usize) -> Option<Event> {
            let found = self.found.get(index)?;
            Some(Event { token: found.u64, readiness: readiness(found.events) })
        }

        #[inline]
        pub(crate) fn wait(&mut self, poll: &mut Poll, wait: Wait) -> io::Result<()> {
            self.found.clear();
            let room = self.found.spare_capacity_mut();
            let count = room.len() as libc::c_int;
            // SAFETY: the pointer and length describe `room`, which is borrowed mutably for the whole call, and the poller's
            // descriptor lives as long as the poller.
            let count =
                unsafe { libc::epoll_wait(poll.as_raw_fd(), room.as_mut_ptr().cast(), count, wait.milliseconds()) };
            let Ok(count) = usize::try_from(count) else { return Err(io::Error::last_os_error()) };
            // SAFETY: the kernel has written so many events into the room (epoll_wait(2)).
            unsafe { self.found.set_len(count) };
            Ok(())
        }
    }

    /// The bits of [`Readiness`] are epoll's own, but for the last one, which is at 13 there.
    #[inline]
    fn readiness(events: u32) -> Readiness {
        const SAME: u32 = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP) as u32;
        Readiness::from_bits((events & SAME | events >> 8 & 1 << 5) as u8)
    }

    const _: () = assert!(libc::EPOLLIN == 1 && libc::EPOLLOUT == 1 << 2 && libc::EPOLLERR == 1 << 3);
    const _: () = assert!(libc::EPOLLHUP == 1 << 4 && libc::EPOLLRDHUP == 1 << 13);
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::time::Duration;

    use mio::Poll;

    use super::{Event, io};
    use crate::sys::clock::Wait;
    use crate::sys::poller::Readiness;

    pub(crate) struct Events {
        room: mio::Events,
        found: Vec<Event>,
    }

    impl Events {
        pub(crate) fn with_capacity(capacity: usize) -> Events {
            Events { room: mio::Events::with_capacity(capacity), found: Vec::new() }
        }

        pub(crate) fn capacity(&self) -> usize {
            self.room.capacity()
        }

        pub(crate) fn count(&self) -> usize {
            self.found.len()
        }

        pub(crate) fn get(&self, index: usize) -> Option<Event> {
            self.found.get(index).copied()
        }

        pub(crate) fn wait(&mut self, poll: &mut Poll, wait: Wait) -> io::Result<()> {
            self.found.clear();
            // Not negative where there is a limit.
            let timeout = u64::try_from(wait.milliseconds()).ok().map(Duration::from_millis);
            poll.poll(&mut self.room, timeout)?;
            self.found.extend(self.room.iter().map(event));
            Ok(())
        }
    }

    fn event(event: &mio::event::Event) -> Event {
        // Each a bit of its own, at epoll's place: the constants of `Readiness` have more, because an epoll hang-up is both.
        let bits = u8::from(event.is_readable())
            | u8::from(event.is_writable()) << 2
            | u8::from(event.is_error() || event.is_write_closed()) << 3
            | u8::from(event.is_read_closed()) << 5;
        let readiness = Readiness::from_bits(bits);
        // Lossless: `sys` asks for a 64-bit target.
        Event { token: event.token().0 as u64, readiness }
    }
}
