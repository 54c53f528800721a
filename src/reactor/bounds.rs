//! What bounds a connection: the time that each part of its life may take, and how much output may wait
//! ([`super::buffering`]).
//!
//! A connection with bounds has one timer, for whichever limit comes next. It is lazy, as the idle timer is: what a limit
//! waits for only changes state, and the timer looks when it expires. Only what lets a time begin, or begin anew, marks the
//! connection; the event loop then reads the clock and has the timer armed ([`Reactor::arm_bounds`]), at the latest before it
//! sleeps.
//!
//! This module touches the timers. Invariants: a connection without bounds has nothing of this and is never marked; a timer
//! of an open or connecting one is armed for its earliest limit or earlier; a destroyed one has none.

use crate::reactor::buffering::MaxBuffered;
use crate::reactor::connection::{Connection, CurrentState, Link};
use crate::reactor::timeouts::{Bound, Timeouts};
use crate::reactor::timers::TimerKey;
use crate::reactor::{Handle, Reactor, TimerKind};
use crate::sys::Time;

/// What can be asked for: part of the options of sockets and servers.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_buffered: Option<MaxBuffered>,
    pub(crate) timeouts: Timeouts,
}

impl Bounds {
    pub(crate) const NONE: Bounds = Bounds { max_buffered: None, timeouts: Timeouts::NONE };
}

/// The bounds of one connection, and how far its times have run.
pub(crate) struct Bounded {
    pub(super) bounds: Bounds,
    timer: Option<TimerKey>,
    /// When that expires.
    expiry: Time,
    /// Since when each time runs.
    since: [Option<Time>; Bound::ALL.len()],
    /// It is marked: in the list of those that are to be looked at.
    changed: bool,
}

impl Reactor {
    /// `setTimeouts`, which Node does not have: times that were limited go on, with the new limits; the others begin.
    pub(crate) fn set_timeouts(&mut self, socket: Handle, timeouts: Timeouts) {
        let Some(connection) = self.live(socket) else { return };
        let before = connection.bounds();
        if let Some(bounded) = connection.bounded_mut() {
            for bound in Bound::ALL {
                if before.timeouts.limit(bound).is_none() {
                    bounded.since[bound as usize] = None;
                }
            }
        }
        self.set_bounds(socket, Bounds { timeouts, ..before });
    }

    pub(super) fn set_bounds(&mut self, socket: Handle, bounds: Bounds) {
        let Some(connection) = self.live(socket) else { return };
        if connection.destroyed() && bounds == Bounds::NONE {
            return;
        }
        connection.bound_by(bounds);
        if bounds == Bounds::NONE {
            self.end_bounds(socket);
            let connection = &mut self.connections[socket.index()];
            connection.rare_mut().bounded = None;
            connection.release_rare();
        } else {
            self.bounds_changed(socket);
        }
    }

    /// Something began or ended that a limit may be for.
    pub(super) fn bounds_changed(&mut self, socket: Handle) {
        let Some(bounded) = self.live(socket).and_then(Connection::bounded_mut) else { return };
        if !std::mem::replace(&mut bounded.changed, true) {
            self.changed_bounds.push(socket);
        }
    }

    /// The kernel took output, or refused some: both let the times begin anew that wait for it.
    pub(super) fn output_moved(&mut self, socket: Handle) {
        let Some(bounded) = self.live(socket).and_then(Connection::bounded_mut) else { return };
        bounded.since[Bound::WriteStall as usize] = None;
        bounded.since[Bound::Idle as usize] = None;
        self.bounds_changed(socket);
    }

    #[inline]
    pub(crate) fn has_bounds_to_arm(&self) -> bool {
        !self.changed_bounds.is_empty()
    }

    /// Looks at the connections that were marked.
    pub(crate) fn arm_bounds(&mut self, now: Time) {
        let mut changed = std::mem::take(&mut self.changed_bounds);
        // Bounded by the connections: each is marked once.
        for &socket in &changed {
            self.arm_bound(socket, now);
        }
        // Nothing is marked by looking. The memory is kept for the next ones.
        changed.clear();
        self.changed_bounds = changed;
    }

    fn arm_bound(&mut self, socket: Handle, now: Time) {
        let Reactor { connections, timers, generations, .. } = self;
        let Some(connection) = connections.get_mut(socket.index()).filter(|found| found.handle == socket) else {
            return;
        };
        let next = connection.next_limit(now);
        let Some(bounded) = connection.bounded_mut() else { return };
        bounded.changed = false;
        let Some((bound, since)) = next else {
            if let Some(timer) = bounded.timer.take() {
                timers.remove(timer);
            }
            return;
        };
        let Some(limit) = bounded.bounds.timeouts.limit(bound) else { return };
        let expiry = since.saturating_add(limit);
        if let Some(timer) = bounded.timer {
            if bounded.expiry <= expiry {
                return;
            }
            timers.remove(timer);
        }
        let timer = timers.insert(generations.next().get(), limit, TimerKind::Bound(socket.index()), false, since);
        // The time may have begun before that of others which are armed already.
        timers.arm_at(timer, since);
        bounded.timer = Some(timer);
        bounded.expiry = expiry;
    }

    /// The timer expired. True when the socket was destroyed.
    pub(super) fn bound_expired(&mut self, slot: usize, timer: TimerKey) -> bool {
        self.timers.remove(timer);
        let now = self.now;
        let Some(connection) = self.connections.get_mut(slot) else { return false };
        let socket = connection.handle;
        match connection.bounded_mut() {
            Some(bounded) if bounded.timer == Some(timer) => bounded.timer = None,
            Some(_) | None => return false,
        }
        let reached = connection.next_limit(now).filter(|&(bound, since)| {
            let limit = connection.bounds().timeouts.limit(bound);
            limit.is_some_and(|limit| since.saturating_add(limit) <= now)
        });
        let Some((bound, _)) = reached else {
            self.arm_bound(socket, now);
            return false;
        };
        if bound.resets() {
            connection.set_reset(true);
        }
        self.destroy(socket, Some(bound.error()));
        true
    }

    /// The connection is over.
    pub(super) fn end_bounds(&mut self, socket: Handle) {
        let Reactor { connections, timers, .. } = self;
        let Some(bounded) = connections[socket.index()].bounded_mut() else { return };
        bounded.since = Default::default();
        if let Some(timer) = bounded.timer.take() {
            timers.remove(timer);
        }
    }
}

impl Connection {
    pub(crate) fn bounds(&self) -> Bounds {
        self.rare().bounded.as_ref().map_or(Bounds::NONE, |bounded| bounded.bounds)
    }

    #[inline]
    pub(crate) fn max_buffered(&self) -> Option<MaxBuffered> {
        self.rare.as_ref()?.bounded.as_ref()?.bounds.max_buffered
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.bounds().timeouts
    }

    #[inline]
    pub(super) fn is_bounded(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.bounded.is_some())
    }

    fn bounded_mut(&mut self) -> Option<&mut Bounded> {
        self.rare.as_mut()?.bounded.as_deref_mut()
    }

    /// Gives it these bounds. The caller looks after their timer.
    pub(super) fn bound_by(&mut self, bounds: Bounds) {
        match self.bounded_mut() {
            Some(bounded) => bounded.bounds = bounds,
            None if bounds == Bounds::NONE => {}
            None => {
                let since = Default::default();
                let bounded = Bounded { bounds, timer: None, expiry: Time::ZERO, since, changed: false };
                self.rare_mut().bounded = Some(Box::new(bounded));
            }
        }
    }

    /// Whether the time of `bound` runs now.
    fn is_in(&self, bound: Bound) -> bool {
        let open = matches!(self.link, Link::Open { .. });
        match bound {
            Bound::Connect => self.link.is_connecting(),
            Bound::FirstByte => open && self.bytes_read == 0 && !self.read.ended(),
            Bound::Idle | Bound::Lifetime => open,
            Bound::WriteStall => open && self.waits_for_kernel(),
            Bound::HalfClosed => open && self.is_half_closed() && !self.waits_for_kernel(),
        }
    }

    fn waits_for_kernel(&self) -> bool {
        let current = self.queue().and_then(|queue| queue.current.as_ref());
        current.is_some_and(|current| current.state == CurrentState::InFlight)
    }

    /// Whether just one of two sides has ended. A socket that was made with one side only is never half-closed.
    fn is_half_closed(&self) -> bool {
        !self.read.disabled() && !self.write.disabled() && self.read.ended() != self.write.finished()
    }

    /// The limit that comes next, and since when its time runs. Times that begin are noted as beginning now.
    fn next_limit(&mut self, now: Time) -> Option<(Bound, Time)> {
        let last_activity = self.last_activity;
        let mut next: Option<(Bound, Time, Time)> = None;
        for bound in Bound::ALL {
            let runs = self.is_in(bound);
            let bounded = self.bounded_mut()?;
            let place = &mut bounded.since[bound as usize];
            if !runs {
                *place = None;
                continue;
            }
            let mut since = *place.get_or_insert(now);
            if bound == Bound::Idle {
                since = since.max(last_activity);
            }
            let Some(limit) = bounded.bounds.timeouts.limit(bound) else { continue };
            let expiry = since.saturating_add(limit);
            if next.is_none_or(|(_, _, earliest)| expiry < earliest) {
                next = Some((bound, since, expiry));
            }
        }
        next.map(|(bound, since, _)| (bound, since))
    }
}
