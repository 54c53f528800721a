//! Readiness, real or simulated.

use std::fs::File;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;

use super::{AsSource, Source, not_supported};
use crate::sys::clock::Wait;
use crate::sys::poller::{Directions, Event, Poller as RealPoller, Waker as RealWaker};
use crate::sys::simulated::kernel::{MOST_EVENTS, What};
use crate::sys::simulated::shared::{Descriptor, SharedKernel, answered};

pub(crate) enum Poller {
    Real(RealPoller),
    Simulated(Simulated),
}

/// The selector of a simulated loop, with the events of its latest wait.
pub(crate) struct Simulated {
    descriptor: Descriptor,
    waker: Waker,
    events: Vec<Event>,
    served: usize,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let Some(kernel) = SharedKernel::current() else { return RealPoller::new().map(Self::Real) };
        let descriptor = kernel.open(What::Poller)?;
        let waker = Waker::Simulated(Arc::new(kernel.open(What::Waker)?));
        Ok(Self::Simulated(Simulated { descriptor, waker, events: Vec::new(), served: 0 }))
    }

    pub(crate) fn register(&self, source: &impl AsSource, token: u64) -> io::Result<()> {
        match (self, source.as_source()) {
            (Self::Real(poller), Source::Real(descriptor)) => poller.register(descriptor, token),
            (Self::Simulated(_), Source::Simulated(descriptor)) => {
                descriptor.call(|kernel, number| kernel.register(number, token))
            }
            _ => Err(not_supported()),
        }
    }

    pub(crate) fn deregister(&self, source: &impl AsSource) -> io::Result<()> {
        match (self, source.as_source()) {
            (Self::Real(poller), Source::Real(descriptor)) => poller.deregister(descriptor),
            (Self::Simulated(_), Source::Simulated(descriptor)) => {
                descriptor.call(|kernel, number| kernel.deregister(number))
            }
            _ => Err(not_supported()),
        }
    }

    #[inline(always)]
    pub(crate) fn poll(&mut self, wait: impl Into<Wait>) -> io::Result<()> {
        match self {
            Self::Real(poller) => poller.poll(wait),
            Self::Simulated(poller) => poller.poll(wait.into()),
        }
    }

    #[inline]
    pub(crate) fn events(&self) -> impl Iterator<Item = Event> {
        let real = match self {
            Self::Real(poller) => Some(poller.events()),
            Self::Simulated(_) => None,
        };
        let simulated = match self {
            Self::Real(_) => None,
            Self::Simulated(poller) => Some(poller.events.iter().skip(poller.served).copied()),
        };
        real.into_iter().flatten().chain(simulated.into_iter().flatten())
    }

    #[inline]
    pub(crate) fn current(&self) -> Option<Event> {
        match self {
            Self::Real(poller) => poller.current(),
            Self::Simulated(poller) => poller.events.get(poller.served).copied(),
        }
    }

    #[inline]
    pub(crate) fn advance(&mut self) {
        match self {
            Self::Real(poller) => poller.advance(),
            Self::Simulated(poller) => poller.served += 1,
        }
    }

    pub(crate) fn advance_to_end(&mut self) {
        match self {
            Self::Real(poller) => poller.advance_to_end(),
            Self::Simulated(poller) => poller.served = poller.events.len(),
        }
    }

    pub(crate) fn waker(&self) -> io::Result<Waker> {
        match self {
            Self::Real(poller) => poller.waker().map(Waker::Real),
            Self::Simulated(poller) => Ok(poller.waker.clone()),
        }
    }

    /// A simulated selector has no descriptor that another loop could wait for. What is given in its place is refused by
    /// epoll (`EPERM`), so that nobody waits in vain.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Real(poller) => poller.duplicate(),
            Self::Simulated(_) => Ok(File::open("/dev/null")?.into()),
        }
    }

    pub(crate) fn watch(&self, descriptor: RawFd, token: u64, directions: Directions) -> io::Result<()> {
        match self {
            Self::Real(poller) => poller.watch(descriptor, token, directions),
            Self::Simulated(_) => Err(not_supported()),
        }
    }

    pub(crate) fn watch_again(&self, descriptor: RawFd, token: u64, directions: Directions) -> io::Result<()> {
        match self {
            Self::Real(poller) => poller.watch_again(descriptor, token, directions),
            Self::Simulated(_) => Err(not_supported()),
        }
    }

    pub(crate) fn unwatch(&self, descriptor: RawFd) -> io::Result<()> {
        match self {
            Self::Real(poller) => poller.unwatch(descriptor),
            Self::Simulated(_) => Err(not_supported()),
        }
    }

    pub(crate) fn may_hold_more(&self) -> bool {
        match self {
            Self::Real(poller) => poller.may_hold_more(),
            Self::Simulated(poller) => poller.events.len() >= MOST_EVENTS,
        }
    }
}

impl Simulated {
    fn poll(&mut self, wait: Wait) -> io::Result<()> {
        self.events.clear();
        self.served = 0;
        let answer = self.descriptor.kernel.lock().wait(wait);
        match answer {
            // As the real one: a wait with a limit may end early.
            Err(libc::EINTR) if wait != Wait::FOREVER => Ok(()),
            Err(libc::EINTR) => self.poll(wait),
            other => {
                self.events = answered(other)?;
                Ok(())
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Waker {
    Real(RealWaker),
    Simulated(Arc<Descriptor>),
}

impl Waker {
    pub(crate) fn wake(&self) -> io::Result<()> {
        match self {
            Self::Real(waker) => waker.wake(),
            Self::Simulated(descriptor) => {
                descriptor.kernel.lock().ring(descriptor.number);
                Ok(())
            }
        }
    }
}
