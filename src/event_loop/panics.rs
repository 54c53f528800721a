//! What a panic of the user's comes to: it leaves the loop, or it costs one socket.
//!
//! A panic always leaves the loop usable (law 8), so a loop that goes on after one only has to catch it where `run` is
//! entered, and nothing is paid for that on the way of the bytes. What has to be known is whose callback it was: each entry
//! into user code leaves a note behind when it is unwound through, the innermost first. This module touches the core.
//! Invariant: what did not come out of user code is not kept back.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::error::Error;
use crate::event_loop::core::Core;
use crate::event_loop::events::Arguments;
use crate::event_loop::handles::{Server, Socket};
use crate::event_loop::watches::Watch;
use crate::event_loop::{EventLoop, Inner};
use crate::reactor::Handle;
use crate::reactor::ticks::Emission;

/// What happens when user code panics that the loop called: [`EventLoopOptions::panic_policy`]. Not in Node, where an
/// exception that nobody catches ends the process.
///
/// [`EventLoopOptions::panic_policy`]: crate::EventLoopOptions::panic_policy
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// It comes out of [`EventLoop::run`] or [`EventLoop::turn`]. The loop stays usable: the next `run` goes on.
    #[default]
    Propagate,
    /// The loop goes on. The socket whose listener or callback it was is destroyed, with an error whose code is
    /// `ERR_LISTENER_PANICKED`; nobody else is.
    CloseSocket,
}

/// Whose code panicked, as [`EventLoop::on_panic`] is told. Not in Node.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PanicSource {
    /// A listener or callback of a socket, or the `connection` listener of a server: then it is the new connection. The
    /// socket has been destroyed.
    Socket(Socket),
    /// Any other listener of a server, which is as it was.
    Server(Server),
    /// A timeout, which is over, or an interval, which goes on.
    Timer,
    /// An immediate.
    Immediate,
    /// A tick.
    Tick,
    /// A closure that was posted.
    Post,
    /// The callback of a watch, which goes on.
    Watch(Watch),
    /// A hook of the loop's, or the destructor of something that was given to the loop.
    Other,
}

pub(super) type PanicHook = Box<dyn FnMut(PanicSource, Box<dyn Any + Send>)>;

/// What is known of panics.
#[derive(Debug)]
pub(super) struct Panics {
    policy: PanicPolicy,
    /// Through whose callbacks a panic went that was not caught yet, innermost first, and the number of the loop's
    /// callback in which that was.
    passed: Vec<(PanicSource, u64)>,
    pub(super) survived: u64,
}

impl Panics {
    pub(super) fn new(policy: PanicPolicy) -> Panics {
        Panics { policy, passed: Vec::new(), survived: 0 }
    }
}

/// Stands beside a piece of user code that runs, and says whose it was if that panics.
pub(super) struct Blame<'a> {
    inner: &'a Inner,
    source: PanicSource,
}

impl<'a> Blame<'a> {
    pub(super) fn on(inner: &'a Inner, source: PanicSource) -> Blame<'a> {
        Blame { inner, source }
    }

    /// The same for a listener.
    pub(super) fn on_listener(inner: &'a Inner, owner: Handle, arguments: &Arguments<'_>) -> Blame<'a> {
        let source = match *arguments {
            Arguments::Connection(_, socket) => PanicSource::Socket(socket),
            Arguments::Server(server)
            | Arguments::ServerError(server, _)
            | Arguments::Dropped(server, _)
            | Arguments::Paused(server, _) => PanicSource::Server(server),
            Arguments::Socket(_)
            | Arguments::Data(..)
            | Arguments::Error(..)
            | Arguments::Close(..)
            | Arguments::Attempt(..)
            | Arguments::AttemptFailed(..)
            | Arguments::Pipe(..)
            | Arguments::Lookup(..) => PanicSource::Socket(Socket::from_handle(owner)),
        };
        Blame::on(inner, source)
    }

    /// It returned.
    #[inline]
    pub(super) fn lift(self) {
        mem::forget(self);
    }
}

impl Drop for Blame<'_> {
    #[cold]
    fn drop(&mut self) {
        self.inner.core.borrow_mut().panic_passes(self.source);
    }
}

impl Core {
    /// A panic goes through a callback. What that missed while it ran, nobody else tells it.
    pub(super) fn panic_passes(&mut self, source: PanicSource) {
        if self.running.anyone_missed() {
            self.reactor.ticks.then_emit(Emission::Missed);
        }
        if self.panics.policy == PanicPolicy::CloseSocket {
            self.panics.passed.push((source, self.callback));
        }
    }

    /// A panic came as far as the loop: the sockets that it passed are destroyed. `None` when it passed nobody, so that it
    /// is the loop's own.
    fn settle_panic(&mut self) -> Option<PanicSource> {
        let mut innermost = None;
        // What was caught by the user within an earlier callback is no concern of this one.
        for (source, callback) in mem::take(&mut self.panics.passed) {
            if callback != self.callback {
                continue;
            }
            innermost = innermost.or(Some(source));
            if let PanicSource::Socket(socket) = source {
                self.command(|reactor| reactor.send_batch(socket.handle));
                self.reactor.destroy_silently(socket.handle, Error::listener_panicked());
                self.forget_missed(socket.handle);
            }
        }
        self.panics.survived += u64::from(innermost.is_some());
        innermost
    }

    fn forget_panics(&mut self) {
        self.panics.passed.clear();
    }
}

impl EventLoop {
    /// Runs a part of the loop's work. Where panics do not end it, it is begun again after each: all of it goes on where it
    /// stopped (law 8).
    pub(super) fn surviving<R>(
        &mut self,
        mut part: impl FnMut(&mut EventLoop) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if self.panic_policy == PanicPolicy::Propagate {
            let outcome = part(self);
            return self.explained(outcome);
        }
        self.inner.core.borrow_mut().forget_panics();
        // Bounded by the panics: each round but the last had one, and the callback that panicked is not called again.
        loop {
            match catch_unwind(AssertUnwindSafe(|| part(self))) {
                Ok(outcome) => return self.explained(outcome),
                Err(payload) => self.survive(payload),
            }
        }
    }

    /// What a tape that is of no more use makes of the program is only what follows from that.
    #[cfg(feature = "simulation")]
    fn explained<R>(&self, outcome: Result<R, Error>) -> Result<R, Error> {
        outcome.map_err(|error| self.inner.core.borrow().tape_failure().unwrap_or(error))
    }

    #[cfg(not(feature = "simulation"))]
    fn explained<R>(&self, outcome: Result<R, Error>) -> Result<R, Error> {
        outcome
    }

    /// Does what the policy asks for, and tells the hook.
    fn survive(&mut self, payload: Box<dyn Any + Send>) {
        let source = self.inner.core.borrow_mut().settle_panic();
        match source {
            Some(source) => self.inner.tell_panic(source, payload),
            None => resume_unwind(payload),
        }
    }

    /// Sets who is told of panics that the loop goes on after, in place of an earlier hook: whose code it was, and what
    /// the panic carries. Only with [`PanicPolicy::CloseSocket`]. Not in Node; the nearest is
    /// [`'uncaughtException'`].
    ///
    /// It is called after the socket has been destroyed and before its `close` comes, outside of all callbacks. Without a
    /// hook the payload is dropped; std's own panic hook has printed its message in any case. A panic within the hook
    /// comes out of [`EventLoop::run`].
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// use halfclose::{EventLoop, EventLoopOptions, PanicPolicy, PanicSource, set_immediate};
    ///
    /// let options = EventLoopOptions::new().panic_policy(PanicPolicy::CloseSocket);
    /// let mut event_loop = EventLoop::with_options(options)?;
    /// let told = Rc::new(Cell::new(None));
    /// let tell = told.clone();
    /// event_loop.on_panic(move |source, payload| {
    ///     assert_eq!(payload.downcast_ref(), Some(&"out of luck"));
    ///     tell.set(Some(source));
    /// });
    /// set_immediate(|| panic!("out of luck"));
    /// event_loop.run()?;
    /// assert_eq!(told.get(), Some(PanicSource::Immediate));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'uncaughtException'`]: https://nodejs.org/api/process.html#event-uncaughtexception
    pub fn on_panic(&mut self, hook: impl FnMut(PanicSource, Box<dyn Any + Send>) + 'static) {
        let old = self.inner.panicked.replace(Some(Box::new(hook)));
        drop(old);
    }
}
