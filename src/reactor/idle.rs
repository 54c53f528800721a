//! The idle timeout (rules T1-T11): a notification when a socket was quiet for as long as asked.
//!
//! Activity stores a time stamp and nothing else; the timer looks at the stamp when it expires, and goes back to sleep
//! for what is missing. Only the first activity after an expiry touches the timer itself.
//!
//! This module touches nothing outside the reactor. Invariant: `idle.timer` is armed unless `idle.expired`.

use std::time::Duration;

use crate::reactor::ticks::{Emission, PlainEvent};
use crate::reactor::timers::TimerKey;
use crate::reactor::{Handle, Reactor, TimerKind};
use crate::sys::Time;

/// The longest timeout, as in Node: what fits 31 bits of milliseconds (rule T10).
const MAX_TIMEOUT: Duration = Duration::from_millis((1 << 31) - 1);

impl Reactor {
    /// `setTimeout()`. Zero cancels.
    pub(crate) fn set_idle_timeout(&mut self, socket: Handle, timeout: Duration, now: Time) {
        let Some(connection) = self.live(socket) else { return };
        if connection.destroyed {
            return;
        }
        connection.timeout = Some(timeout);
        connection.idle.expired = false;
        connection.idle.last_activity = now;
        let old = connection.idle.timer.take();
        if let Some(old) = old {
            self.timers.remove(old);
        }
        if timeout.is_zero() {
            return;
        }
        let generation = self.generations.next().get();
        let kind = TimerKind::Idle(socket.index());
        let key = self.timers.insert(generation, timeout.min(MAX_TIMEOUT), kind, false, now);
        self.connections[socket.index()].idle.timer = Some(key);
    }

    /// Activity, by rule T1.
    pub(super) fn touch(&mut self, socket: Handle) {
        let now = self.now;
        let Some(connection) = self.live(socket) else { return };
        connection.idle.last_activity = now;
        let expired = std::mem::take(&mut connection.idle.expired);
        if let Some(timer) = connection.idle.timer.filter(|_| expired) {
            self.timers.arm(timer, now);
        }
    }

    /// The timer expired. True when `timeout` is to be emitted.
    pub(super) fn idle_expired(&mut self, slot: usize, timer: TimerKey) -> bool {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(slot).filter(|found| found.idle.timer == Some(timer)) else {
            return false;
        };
        let socket = Handle::new(slot, connection.generation);
        let last_activity = connection.idle.last_activity;
        let timeout = self.timers.duration(timer).unwrap_or_default();
        if last_activity.saturating_add(timeout) > now {
            self.timers.arm_at(timer, last_activity);
            return false;
        }
        // A write in flight whose queue shrank since the last look counts as activity (rule T4).
        if connection.write.queue.as_mut().is_some_and(|queue| queue.has_progressed()) {
            connection.idle.last_activity = now;
            self.timers.arm(timer, now);
            return false;
        }
        connection.idle.expired = true;
        self.ticks.then_emit(Emission::Plain { socket, event: PlainEvent::Timeout });
        true
    }
}
