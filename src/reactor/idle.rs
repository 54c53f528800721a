//! The idle timeout (rules T1-T11): a notification when a socket was quiet for as long as asked.
//!
//! Activity stores a time stamp and nothing else; the timer looks at the stamp when it expires, and goes back to sleep
//! for what is missing. Only the first activity after an expiry touches the timer itself. The timer also is where the
//! timeout is kept, as long as there is one.
//!
//! This module touches nothing outside the reactor. Invariant: the idle timer is armed unless `idle_expired`; its generation
//! is that of the socket's handle, which no other timer has.

use std::time::Duration;

use crate::reactor::connection::Connection;
use crate::reactor::ticks::{Emission, PlainEvent};
use crate::reactor::timers::{TimerKey, Timers};
use crate::reactor::{Handle, Reactor, TimerKind};
use crate::sys::Time;

/// The longest timeout, as in Node: what fits 31 bits of milliseconds (rule T10).
const MAX_TIMEOUT: Duration = Duration::from_millis((1 << 31) - 1);

impl Reactor {
    /// `setTimeout()`. Zero cancels.
    pub(crate) fn set_idle_timeout(&mut self, socket: Handle, timeout: Duration, now: Time) {
        let Reactor { connections, timers, .. } = self;
        let Some(connection) = connections.get_mut(socket.index()).filter(|found| found.handle == socket) else {
            return;
        };
        if connection.destroyed() {
            return;
        }
        if let Some(old) = connection.idle_timer() {
            timers.remove(old);
        }
        connection.idle_timer = None;
        connection.set_idle_expired(false);
        connection.last_activity = now;
        connection.set_timeout_is_zero(timeout.is_zero());
        let mut apart = None;
        if !timeout.is_zero() {
            let kind = TimerKind::Idle(socket.index());
            let timer = timers.insert(socket.generation().get(), timeout.min(MAX_TIMEOUT), kind, false, now);
            connection.idle_timer = Some(timer.place());
            apart = Some(timeout).filter(|&timeout| timers.duration(timer) != Some(timeout));
        }
        connection.set_timeout_apart(apart);
    }

    /// `socket.timeout`: what `setTimeout()` was last given.
    pub(crate) fn idle_timeout(&mut self, socket: Handle) -> Option<Duration> {
        let Reactor { connections, timers, .. } = self;
        let connection = connections.get_mut(socket.index()).filter(|found| found.handle == socket)?;
        connection.timeout(timers)
    }

    /// Activity, by rule T1.
    pub(super) fn touch(&mut self, socket: Handle) {
        let now = self.now;
        let Some(connection) = self.live(socket) else { return };
        if connection.destroyed() {
            return;
        }
        connection.last_activity = now;
        let expired = connection.idle_expired();
        connection.set_idle_expired(false);
        if let Some(timer) = connection.idle_timer().filter(|_| expired) {
            self.timers.arm(timer, now);
        }
    }

    /// The timer expired. True when `timeout` is to be emitted.
    pub(super) fn idle_expired(&mut self, slot: usize, timer: TimerKey) -> bool {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(slot).filter(|found| found.idle_timer() == Some(timer)) else {
            return false;
        };
        let socket = connection.handle;
        let last_activity = connection.last_activity;
        let timeout = self.timers.duration(timer).unwrap_or_default();
        if last_activity.saturating_add(timeout) > now {
            self.timers.arm_at(timer, last_activity);
            return false;
        }
        // A write in flight whose queue shrank since the last look counts as activity (rule T4).
        if connection.queue_mut().is_some_and(|queue| queue.has_progressed()) {
            connection.last_activity = now;
            self.timers.arm(timer, now);
            return false;
        }
        connection.set_idle_expired(true);
        self.ticks.then_emit(Emission::Plain { socket, event: PlainEvent::Timeout });
        true
    }

    /// The connection is destroyed, or given up: only what the timeout was is still of interest.
    pub(super) fn end_idle_timer(&mut self, socket: Handle) {
        let Reactor { connections, timers, .. } = self;
        let connection = &mut connections[socket.index()];
        connection.set_idle_expired(false);
        let Some(timer) = connection.idle_timer() else { return };
        if let Some(timeout) = connection.timeout(timers) {
            connection.last_activity = Time::ZERO.saturating_add(timeout);
            connection.set_timeout_kept(true);
        }
        connection.idle_timer = None;
        timers.remove(timer);
    }
}

impl Connection {
    fn idle_timer(&self) -> Option<TimerKey> {
        self.idle_timer.map(|place| TimerKey::at(place, self.handle.generation().get()))
    }

    fn timeout(&self, timers: &Timers<TimerKind>) -> Option<Duration> {
        if self.timeout_is_zero() {
            return Some(Duration::ZERO);
        }
        let kept = self.timeout_kept().then(|| self.last_activity.saturating_duration_since(Time::ZERO));
        let armed = || self.idle_timer().and_then(|timer| timers.duration(timer));
        self.rare().timeout.or(kept).or_else(armed)
    }

    /// Remembers a timeout that no timer tells of.
    fn set_timeout_apart(&mut self, timeout: Option<Duration>) {
        if self.rare().timeout != timeout {
            self.rare_mut().timeout = timeout;
            self.release_rare();
        }
    }

    /// The socket connects again, and will be active: its timeout needs another place. Its timer is not armed again.
    pub(super) fn keep_timeout_apart(&mut self) {
        if self.timeout_kept() {
            if self.rare().timeout.is_none() {
                self.set_timeout_apart(Some(self.last_activity.saturating_duration_since(Time::ZERO)));
            }
            self.set_timeout_kept(false);
        }
    }
}
