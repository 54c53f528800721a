//! Readiness: which descriptors can make progress, and the wake-up from other threads.
//!
//! May touch `mio` only; the wait itself is next door, in `events`. It does not know what a token stands for.
//!
//! Invariants:
//!
//! - A descriptor is registered once, for both directions, with edge semantics: after `WouldBlock` the next readiness
//!   is reported, and nothing before it. It leaves the poller when it is closed.
//! - Readiness is a hint. Events of a descriptor that was closed earlier in the same batch are still in the batch, so
//!   tokens must not be reused while anything may still carry them.
//! - An interrupted wait loses nothing: what is ready stays ready.

mod embedding;

pub(crate) use embedding::Directions;

use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};

use super::clock::Wait;
use super::events::Events;

/// The token of the waker's own events. The number is one that no registration can have: an index and a generation
/// of all ones.
pub(crate) const WAKE_TOKEN: u64 = u64::MAX;

/// Room for events: 12 KiB, as many as libuv has room for. A wait costs less than serving one event, so more room would
/// save next to nothing. It is there from the beginning: room that grew in a burst would lie above what the burst
/// allocated, and keep an allocator that returns its memory from above from returning that.
const CAPACITY: usize = 1_024;

/// The selector of one event loop, with the events of its latest wait.
pub(crate) struct Poller {
    poll: Poll,
    events: Events,
    /// How many of them are done with.
    served: usize,
    waker: OnceCell<Waker>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Self::with_capacity(CAPACITY)
    }

    /// Reports `descriptor` under `token` from now on, in both directions, until the descriptor is closed.
    ///
    /// A socket that is neither connecting nor connected is reported as hung up, so call `connect` first.
    pub(crate) fn register(&self, descriptor: impl AsFd, token: u64) -> io::Result<()> {
        debug_assert_ne!(token, WAKE_TOKEN, "this token belongs to the waker");
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut SourceFd(&descriptor.as_fd().as_raw_fd()), to_mio(token), interest)
    }

    /// Ends the reports of a descriptor that stays open: its owner takes it elsewhere.
    pub(crate) fn deregister(&self, descriptor: impl AsFd) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&descriptor.as_fd().as_raw_fd()))
    }

    /// Waits until a descriptor is ready, the waker is used or the wait is over. What is ready is then in
    /// [`Poller::events`].
    ///
    /// A wait with a limit may end early and with no events; the caller looks at the clock anyway.
    #[inline(always)]
    pub(crate) fn poll(&mut self, wait: impl Into<Wait>) -> io::Result<()> {
        let wait = wait.into();
        self.served = 0;
        match self.events.wait(&mut self.poll, wait) {
            Ok(()) => Ok(()),
            Err(error) => self.failed(error, wait),
        }
    }

    #[cold]
    fn failed(&mut self, mut error: io::Error, wait: Wait) -> io::Result<()> {
        // One round for each signal that arrives while nothing is ready; no number of them is wrong.
        while error.kind() == io::ErrorKind::Interrupted {
            // Starting a limited wait again would add up: a signal every millisecond would keep it for ever.
            if wait != Wait::FOREVER {
                return Ok(());
            }
            match self.events.wait(&mut self.poll, wait) {
                Ok(()) => return Ok(()),
                Err(next) => error = next,
            }
        }
        Err(error)
    }

    /// What the latest [`Poller::poll`] found and [`Poller::advance`] has not put behind, in the kernel's order. One token
    /// may occur twice, once for each direction.
    #[inline]
    pub(crate) fn events(&self) -> impl Iterator<Item = Event> {
        (self.served..self.events.count()).filter_map(|index| self.events.get(index))
    }

    /// The first of them.
    #[inline]
    pub(crate) fn current(&self) -> Option<Event> {
        self.events.get(self.served)
    }

    /// The current event is done with.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.served += 1;
    }

    /// All of them are.
    pub(crate) fn advance_to_end(&mut self) {
        self.served = self.events.count();
    }

    /// A handle that ends a wait from any thread. All wakers of a poller are the same one.
    pub(crate) fn waker(&self) -> io::Result<Waker> {
        if let Some(waker) = self.waker.get() {
            return Ok(waker.clone());
        }
        let waker = Waker(Arc::new(mio::Waker::new(self.poll.registry(), to_mio(WAKE_TOKEN))?));
        Ok(self.waker.get_or_init(|| waker).clone())
    }

    fn with_capacity(capacity: usize) -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, events: Events::with_capacity(capacity), served: 0, waker: OnceCell::new() })
    }
}

/// Ends a [`Poller`]'s wait, now or the next one.
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Makes the poller report [`WAKE_TOKEN`]. Several calls before the wait ends may be reported as one.
    pub(crate) fn wake(&self) -> io::Result<()> {
        self.0.wake()
    }
}

/// What the kernel said about one registered descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The token given to [`Poller::register`], or [`WAKE_TOKEN`].
    pub(crate) token: u64,
    pub(crate) readiness: Readiness,
}

/// A set of what can be known about a descriptor, in one byte: there is one with every event and in every connection.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Readiness(u8);

/// Both directions are closed: the peer will send no more, either.
const HUNG_UP: u8 = 1 << 4;

impl Readiness {
    pub(crate) const NONE: Self = Self(0);
    /// A read (or an accept) will not block.
    pub(crate) const READABLE: Self = Self(1);
    /// A write will not block, or the connect is decided.
    pub(crate) const WRITABLE: Self = Self(1 << 2);
    /// The peer will send no more, so a read after the remaining bytes gives the end.
    pub(crate) const READ_CLOSED: Self = Self(1 << 5 | HUNG_UP);
    /// Both directions are closed, or an error is pending: read and write, they say which. Nothing must be concluded
    /// from it alone, since kqueue also reports the own end of a stream like this.
    pub(crate) const HANG_UP: Self = Self(1 << 3 | HUNG_UP);

    /// The bits once more.
    #[cfg(feature = "simulation")]
    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    /// The bits, which are epoll's; see `events`.
    #[inline]
    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Whether the two have anything in common.
    #[inline]
    pub(crate) const fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    /// What is in either.
    #[inline]
    pub(crate) const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// What is not in `taken`.
    #[inline]
    pub(crate) const fn without(self, taken: Self) -> Self {
        Self(self.0 & !taken.0)
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::READABLE, "readable"),
            (Self::WRITABLE, "writable"),
            (Self::READ_CLOSED, "read closed"),
            (Self::HANG_UP, "hang-up"),
        ];
        formatter.debug_set().entries(names.iter().filter(|(one, _)| self.has(*one)).map(|(_, name)| name)).finish()
    }
}

fn to_mio(token: u64) -> Token {
    // Lossless: `sys` asks for a 64-bit target.
    Token(token as usize)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::sys::test_support::{DEADLINE, wait_for};

    #[test]
    fn a_wait_of_no_time_returns_at_once_with_nothing() {
        let mut poller = Poller::new().unwrap();
        poller.poll(Some(Duration::ZERO)).unwrap();
        assert_eq!(poller.events().count(), 0);
    }

    #[test]
    fn an_absurd_timeout_is_accepted() {
        let mut poller = Poller::new().unwrap();
        poller.waker().unwrap().wake().unwrap();
        poller.poll(Some(Duration::MAX)).unwrap();
        assert_eq!(poller.events().count(), 1);
    }

    #[test]
    fn bytes_are_reported_once_until_more_arrive() {
        let mut poller = Poller::new().unwrap();
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        poller.register(near.as_fd(), 7).unwrap();
        far.write_all(b"a").unwrap();
        let both = |readiness: Readiness| readiness.has(Readiness::READABLE) && readiness.has(Readiness::WRITABLE);
        wait_for(&mut poller, |event| {
            event.token == 7 && both(event.readiness) && !event.readiness.has(Readiness::HANG_UP)
        });

        poller.poll(Some(Duration::ZERO)).unwrap();
        assert_eq!(poller.events().count(), 0, "edge semantics: nothing new, nothing reported");

        far.write_all(b"b").unwrap();
        wait_for(&mut poller, |event| event.token == 7 && event.readiness.has(Readiness::READABLE));
    }

    #[test]
    fn the_end_of_the_peer_is_reported() {
        let mut poller = Poller::new().unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        poller.register(near.as_fd(), 1).unwrap();
        far.shutdown(std::net::Shutdown::Write).unwrap();
        wait_for(&mut poller, |event| {
            event.token == 1 && event.readiness.has(Readiness::READ_CLOSED) && !event.readiness.has(Readiness::HANG_UP)
        });
        drop(far);
        wait_for(&mut poller, |event| event.token == 1 && event.readiness.has(Readiness::HANG_UP));
    }

    #[test]
    fn a_closed_descriptor_is_not_reported_any_more() {
        let mut poller = Poller::new().unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        poller.register(near.as_fd(), 1).unwrap();
        drop(near);
        drop(far);
        poller.poll(Some(Duration::ZERO)).unwrap();
        assert_eq!(poller.events().count(), 0);
    }

    #[test]
    fn the_whole_width_of_a_token_comes_back() {
        let mut poller = Poller::new().unwrap();
        let (near, _far) = UnixStream::pair().unwrap();
        let token = u64::MAX - 1;
        poller.register(near.as_fd(), token).unwrap();
        wait_for(&mut poller, |event| event.token == token && event.readiness.has(Readiness::WRITABLE));
    }

    #[test]
    fn another_thread_can_end_a_wait() {
        let mut poller = Poller::new().unwrap();
        let waker = poller.waker().unwrap();
        let thread = thread::spawn(move || waker.wake());
        poller.poll(Some(DEADLINE)).unwrap();
        let tokens: Vec<u64> = poller.events().map(|event| event.token).collect();
        assert_eq!(tokens, [WAKE_TOKEN]);
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn a_poller_gives_its_one_waker_as_often_as_asked() {
        let mut poller = Poller::new().unwrap();
        let first = poller.waker().unwrap();
        let second = poller.waker().unwrap();
        drop(first);
        second.wake().unwrap();
        wait_for(&mut poller, |event| event.token == WAKE_TOKEN);
    }

    #[test]
    fn a_waker_outlives_its_poller() {
        let waker = Poller::new().unwrap().waker().unwrap();
        waker.wake().unwrap();
    }

    #[test]
    fn events_that_did_not_fit_come_with_the_next_waits() {
        let mut poller = Poller::with_capacity(2).unwrap();
        let pairs: Vec<_> = (0..5).map(|_| UnixStream::pair().unwrap()).collect();
        for (token, (near, _)) in (0..).zip(&pairs) {
            poller.register(near.as_fd(), token).unwrap();
        }
        let mut seen = vec![];
        for expected in [2, 2, 1] {
            poller.poll(Some(Duration::ZERO)).unwrap();
            assert_eq!(poller.events().count(), expected);
            seen.extend(poller.events().map(|event| event.token));
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_waker_may_go_to_any_thread() {
        fn assert_send_and_sync<T: Send + Sync>() {}
        assert_send_and_sync::<Waker>();
    }
}
