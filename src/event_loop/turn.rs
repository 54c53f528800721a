//! The phases of a turn: what the loop does, in which order.
//!
//! It may touch the core, between two entries into user code, and the mailbox. Invariant: wherever user code returns early
//! (a panic, an unhandled error, `stop()`), the stage and the queues say what remains, and the next `run()` or `turn()`
//! continues there.

use std::time::Duration;

use crate::error::Error;
use crate::event_loop::core::Core;
use crate::event_loop::handles::Socket;
use crate::event_loop::panics::PanicSource;
use crate::event_loop::{EventLoop, Inner, Phase, READ_BUFFER};
use crate::reactor::plain::ReadPlainly;
use crate::reactor::serving::Served;
use crate::reactor::{Due, Handle};
use crate::sys::Wait;

/// How often the pending phase after the poll is repeated while it makes new work for itself: as often as libuv does.
const PENDING_ROUNDS: u32 = 8;

/// How many items of other threads one turn takes. Enough that a flood of posts is not dominated by turns, few enough
/// that it cannot hold the sockets up for more than about a millisecond.
const ITEMS_PER_TURN: u32 = 1024;

/// Where a turn continues.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Start,
    Pending,
    Poll,
    Serve,
    PendingAgain { round: u32 },
    Immediates,
    Closing,
    Timers,
}

/// How many turns are asked for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Turns {
    One,
    All,
}

/// How far a turn came.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    Done,
    Stopped,
}

/// What the usual deliveries ended with.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Unusual {
    /// This was served.
    Served(Served),
    /// The current descriptor is to be served the long way.
    NotServed,
    /// What is next did wait for this phase, and the one before did not, or the other way about.
    Elsewhere,
    NothingReady,
}

impl EventLoop {
    /// Does the work of a turn, or of all of them. Where a panic does not end it, the rest of the callback with the panic
    /// comes first, and then what was to follow.
    pub(super) fn work(&mut self, timeout: Option<Duration>, turns: Turns) -> Result<Progress, Error> {
        let mut resumed = false;
        self.surviving(|event_loop| {
            if std::mem::replace(&mut resumed, true) {
                event_loop.finish_callback()?;
                if event_loop.must_stop() {
                    return Ok(Progress::Stopped);
                }
            }
            event_loop.go_round(timeout, turns)
        })
    }

    /// The phases of a turn, from where it stands to its end. This is the whole loop, as libuv has it:
    ///
    /// pending → poll → pending again → immediates → closing → timers.
    fn go_round(&mut self, timeout: Option<Duration>, turns: Turns) -> Result<Progress, Error> {
        let inner = self.inner.clone();
        let _idle_again = Entered::new(&inner);
        // Bounded by the stages: each round begins the next, and the last returns unless all turns are asked for; then by
        // what keeps the loop alive, which is what it is for. Each stage is bounded by what its queue held when it began.
        loop {
            match self.stage {
                Stage::Start => {
                    let any = inner.core.borrow_mut().reactor.begin_pending();
                    self.stage = if any { Stage::Pending } else { Stage::Poll };
                }
                Stage::Pending => {
                    self.enter(Phase::Pending);
                    while self.begin(|core| core.reactor.next_pending()) {
                        self.finish_callback()?;
                        if self.must_stop() {
                            return Ok(Progress::Stopped);
                        }
                    }
                    self.stage = Stage::Poll;
                }
                Stage::Poll => {
                    self.poll(timeout)?;
                    self.stage = Stage::Serve;
                }
                Stage::Serve => {
                    self.enter(Phase::Poll);
                    if self.serve(turns)? == Progress::Stopped {
                        return Ok(Progress::Stopped);
                    }
                    inner.core.borrow_mut().reactor.begin_pending();
                    self.stage = Stage::PendingAgain { round: 0 };
                }
                Stage::PendingAgain { round } => {
                    self.enter(Phase::Pending);
                    while self.begin(|core| core.reactor.next_pending()) {
                        self.finish_callback()?;
                        if self.must_stop() {
                            return Ok(Progress::Stopped);
                        }
                    }
                    let more = round + 1 < PENDING_ROUNDS && inner.core.borrow_mut().reactor.begin_pending();
                    if more {
                        self.stage = Stage::PendingAgain { round: round + 1 };
                    } else {
                        self.stage = Stage::Immediates;
                        inner.core.borrow_mut().immediates.begin();
                    }
                }
                Stage::Immediates => {
                    self.enter(Phase::Immediates);
                    while inner.call_next_immediate() {
                        self.finish_callback()?;
                        if self.must_stop() {
                            return Ok(Progress::Stopped);
                        }
                    }
                    self.stage = Stage::Closing;
                    inner.core.borrow_mut().reactor.begin_closing();
                }
                Stage::Closing => {
                    self.enter(Phase::Closing);
                    while self.begin(|core| core.reactor.next_closing()) {
                        self.finish_callback()?;
                        if self.must_stop() {
                            return Ok(Progress::Stopped);
                        }
                    }
                    self.stage = Stage::Timers;
                    inner.core.borrow_mut().begin_timers();
                }
                Stage::Timers => {
                    let any = inner.core.borrow().reactor.timers.any_due();
                    if any {
                        self.enter(Phase::Timers);
                        if self.serve_timers()? == Progress::Stopped {
                            return Ok(Progress::Stopped);
                        }
                    }
                    self.stage = Stage::Start;
                    if turns == Turns::One || !self.is_alive() {
                        return Ok(Progress::Done);
                    }
                }
            }
        }
    }

    fn enter(&self, phase: Phase) {
        self.inner.core.borrow_mut().phase = phase;
    }

    /// Takes the next callback of a phase.
    fn begin(&self, next: impl FnOnce(&mut Core) -> bool) -> bool {
        let mut core = self.inner.core.borrow_mut();
        core.begin_callback();
        let any = next(&mut core);
        core.settle_requests();
        core.measuring.counts.idle_rounds += u64::from(!any);
        any
    }

    /// The rest of a callback, then its ticks.
    pub(super) fn finish_callback(&self) -> Result<(), Error> {
        let drained = self.inner.drain();
        #[cfg(feature = "simulation")]
        if let Some(failure) = self.inner.core.borrow().tape_failure() {
            return Err(failure);
        }
        if !self.measures {
            return drained;
        }
        self.inner.callback_measured();
        drained.and_then(|()| self.inner.drain())
    }

    /// `stop()` was called, here or by another thread. Asking takes it back.
    pub(super) fn must_stop(&self) -> bool {
        let stopping = std::mem::take(&mut self.inner.core.borrow_mut().stopping);
        stopping || self.inner.mailbox.take_stop()
    }

    /// Waits, and reads the clock.
    fn poll(&mut self, limit: Option<Duration>) -> Result<(), Error> {
        let inner = &self.inner;
        let alive = self.is_alive();
        let mut core = inner.core.borrow_mut();
        core.arm_bounds();
        let mut wait = core.longest_wait(alive).min(Wait::from(limit));
        if inner.mailbox.is_occupied() {
            wait = Wait::NONE;
        }
        #[cfg(feature = "simulation")]
        if core.has_due() {
            wait = Wait::NONE;
        }
        core.phase = Phase::Poll;
        core.poll(wait)?;
        core.callbacks_begin();
        Ok(())
    }

    /// The poll phase, one callback after the other: ready descriptors first, then what other threads handed over.
    ///
    /// Most turns have nothing else. Where all of them are asked for, the next ones begin here, as if this had gone through
    /// the other phases and found them empty.
    fn serve(&mut self, turns: Turns) -> Result<Progress, Error> {
        let inner = &*self.inner;
        // Whether all but the poll phase was found empty, and nothing but the usual deliveries happened since.
        let mut quiet = false;
        // Bounded by the ready list of this phase, times the budgets; then by what keeps the loop alive.
        loop {
            let unusual = if !self.plainly {
                inner.serve_thoroughly()
            } else if inner.core.borrow().reactor.has_waiting() {
                inner.serve_plainly::<true>(&mut self.buffer.0, quiet)?
            } else {
                inner.serve_plainly::<false>(&mut self.buffer.0, quiet)?
            };
            let served = match unusual {
                Unusual::Served(served) => served,
                Unusual::NotServed => {
                    let mut core = inner.core.borrow_mut();
                    match core.reactor.serve(&mut self.buffer.0) {
                        Served::Nothing => {
                            core.settle_requests();
                            core.measuring.counts.idle_rounds += 1;
                            quiet = false;
                            continue;
                        }
                        served => served,
                    }
                }
                Unusual::Elsewhere => continue,
                Unusual::NothingReady => {
                    inner.core.borrow_mut().measuring.counts.idle_rounds += 1;
                    Served::Nothing
                }
            };
            let mut core = inner.core.borrow_mut();
            core.settle_requests();
            match served {
                Served::Data { socket, count } => {
                    core.touched = false;
                    drop(inner.deliver(core, socket, &self.buffer.0[..count]));
                    inner.core.borrow_mut().reactor.lent(socket);
                }
                Served::OwnBuffer { socket } => {
                    drop(core);
                    inner.read_into_own_buffer(socket);
                }
                Served::Callback => drop(core),
                Served::Nothing => {
                    quiet = turns == Turns::All && inner.is_quiet(&mut core);
                    if !quiet {
                        break;
                    }
                    let wait = core.longest_wait(true);
                    core.poll(wait)?;
                    core.callbacks_begin();
                    continue;
                }
            }
            quiet = false;
            self.finish_callback()?;
            if self.must_stop() {
                return Ok(Progress::Stopped);
            }
        }
        #[cfg(feature = "simulation")]
        if self.serve_scheduled()? == Progress::Stopped {
            return Ok(Progress::Stopped);
        }
        for _ in 0..ITEMS_PER_TURN {
            if !self.inner.mailbox.is_occupied() {
                break;
            }
            let Some(item) = self.inner.mailbox.take() else { break };
            self.inner.core.borrow_mut().begin_to_receive(&item);
            self.inner.receive(item);
            self.finish_callback()?;
            if self.must_stop() {
                return Ok(Progress::Stopped);
            }
        }
        Ok(if self.must_stop() { Progress::Stopped } else { Progress::Done })
    }

    fn serve_timers(&mut self) -> Result<Progress, Error> {
        // Bounded by the timers that were due when the phase began: what is armed in it is due later.
        loop {
            let due = {
                let mut core = self.inner.core.borrow_mut();
                core.begin_callback();
                core.next_due()
            };
            match due {
                None => {
                    self.inner.core.borrow_mut().measuring.counts.idle_rounds += 1;
                    return Ok(Progress::Done);
                }
                Some(Due::Idle | Due::Attempt | Due::Bound | Due::Drain) => {}
                Some(Due::Lookup(timer)) => self.inner.core.borrow_mut().lookup_expired(timer),
                Some(Due::User { timer, callback }) => self.inner.call_timer(timer, callback),
            }
            self.finish_callback()?;
            if self.must_stop() {
                return Ok(Progress::Stopped);
            }
        }
    }
}

impl Inner {
    /// The usual deliveries, one after the other, and the turns that have nothing else if that is known of them. It
    /// returns what is not usual: what was served of it, or whose listener gave commands, which may leave something to do.
    // Never inlined: on its own it is small enough for all that it works with to stay in registers.
    #[inline(never)]
    fn serve_plainly<const WAITED: bool>(&self, buffer: &mut [u8; READ_BUFFER], quiet: bool) -> Result<Unusual, Error> {
        let mut core = self.core.borrow_mut();
        core.touched = false;
        let mut callbacks_before_wait = core.callback;
        // Bounded as `serve`.
        loop {
            match core.reactor.serve_plainly::<WAITED>(buffer) {
                ReadPlainly::Bytes { socket, count } => {
                    core.begin_callback();
                    let Some(untouched) = self.deliver(core, socket, &buffer[..count]) else {
                        return Ok(self.delivered(socket));
                    };
                    if self.mailbox.wants_stop() {
                        drop(untouched);
                        return Ok(self.delivered(socket));
                    }
                    core = untouched;
                }
                ReadPlainly::Nothing if quiet && !self.mailbox.wants_attention() => {
                    let any_served = core.callback != callbacks_before_wait;
                    callbacks_before_wait = core.callback;
                    if !core.poll_after_usual(any_served)? {
                        core.begin_callback();
                        return Ok(Unusual::NothingReady);
                    }
                }
                ReadPlainly::Done => {}
                ReadPlainly::Elsewhere => return Ok(Unusual::Elsewhere),
                ReadPlainly::Nothing => {
                    core.begin_callback();
                    return Ok(Unusual::NothingReady);
                }
                ReadPlainly::Not | ReadPlainly::Otherwise(Served::Nothing) => {
                    core.begin_callback();
                    return Ok(Unusual::NotServed);
                }
                ReadPlainly::Otherwise(served) => {
                    core.begin_callback();
                    return Ok(Unusual::Served(served));
                }
            }
        }
    }

    /// Something is to be looked at behind a usual delivery.
    #[cold]
    fn delivered(&self, socket: Handle) -> Unusual {
        self.core.borrow_mut().reactor.lent(socket);
        Unusual::Served(Served::Callback)
    }

    /// Whether all that remains of this turn is to find nothing to do, and the next one is wanted. A loop that spins goes
    /// the long way, where that is done.
    fn is_quiet(&self, core: &mut Core) -> bool {
        #[cfg(feature = "simulation")]
        if core.has_due() {
            return false;
        }
        if core.stopping || core.spins() || self.mailbox.wants_attention() || core.has_work_before_timers() {
            return false;
        }
        core.begin_timers();
        !core.reactor.timers.any_due() && (self.guards.get() > 0 || core.is_alive())
    }
}

/// Marks the loop idle again, however `run` is left.
struct Entered<'a> {
    inner: &'a Inner,
}

impl<'a> Entered<'a> {
    fn new(inner: &'a Inner) -> Entered<'a> {
        Entered { inner }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut core = self.inner.core.borrow_mut();
        core.phase = Phase::Idle;
        // A panic left it there.
        if let Some((socket, _)) = core.running.sole.take() {
            core.panic_passes(PanicSource::Socket(Socket::from_handle(socket)));
        }
    }
}
