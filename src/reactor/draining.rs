//! Draining a server: it stops listening, its connections are ended, and those that are left when the time is over are reset.
//!
//! This module touches the timers. Invariants: a server that drains has an armed timer, which keeps the loop alive, and is
//! done with it when it has no connections, at the deadline at the latest; whoever waits for that is told exactly once.

use std::time::Duration;

use crate::reactor::bytes::QueuedBytes;
use crate::reactor::connection::{Flow, Link};
use crate::reactor::ticks::{ServerTick, Tick};
use crate::reactor::timers::TimerKey;
use crate::reactor::{CallbackId, Handle, Reactor, TimerKind};
use crate::sys::Time;

/// What became of the connections of a server that was drained: see [`Server::drain`](crate::net::Server::drain). Not in
/// Node.
///
/// ```
/// use std::time::Duration;
/// use halfclose::{EventLoop, net};
///
/// let mut event_loop = EventLoop::new()?;
/// let server = net::create_server(|_| {}).listen(0)?;
/// server.drain(Duration::from_secs(5), |_, report| assert_eq!((report.ended, report.reset), (0, 0)));
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct DrainReport {
    /// How many ended by themselves in time, well or with an error.
    pub ended: usize,
    /// How many were reset at the deadline.
    pub reset: usize,
}

/// A drain under way.
pub(super) struct Draining {
    /// The connections there were at its beginning, or at the latest call.
    sockets: Vec<Handle>,
    /// How many of an earlier call had ended by then.
    ended: usize,
    timer: TimerKey,
    callbacks: Vec<CallbackId>,
}

impl Reactor {
    /// `drain()`, which Node does not have. Another call while it drains sets a new deadline.
    pub(crate) fn drain_server(&mut self, server: Handle, timeout: Duration, callback: CallbackId, now: Time) {
        if self.server(server).is_none() {
            let tick = ServerTick::Drained { callbacks: vec![callback], report: DrainReport::default() };
            self.ticks.push(Tick::Server { server, tick });
            return;
        }
        let mut sockets = Vec::new();
        // Bounded by the connections of the loop, as are the rounds below by those of the server.
        for connection in self.connections.iter() {
            if connection.server == Some(server) && connection.counted_by_server() {
                sockets.push(connection.handle);
            }
        }
        let generation = self.generations.next().get();
        let timer = self.timers.insert(generation, timeout, TimerKind::Drain(server.index()), true, now);
        let mut draining = Draining { sockets: sockets.clone(), ended: 0, timer, callbacks: Vec::new() };
        if let Some(earlier) = self.server_mut(server).and_then(|found| found.draining.take()) {
            self.timers.remove(earlier.timer);
            draining.ended = self.ended_of(&earlier);
            draining.callbacks = earlier.callbacks;
        }
        draining.callbacks.push(callback);
        self.close_server(server);
        if let Some(found) = self.server_mut(server) {
            found.draining = Some(Box::new(draining));
        }
        for socket in sockets {
            self.end_politely(socket);
        }
        self.left_while_draining(server);
    }

    /// Everything that waits is sent, then the end. To see that of the peer, what nobody asked to read is read and dropped.
    fn end_politely(&mut self, socket: Handle) {
        self.end::<QueuedBytes>(socket, None, None);
        let undecided = self.live(socket).is_some_and(|connection| {
            matches!(connection.link, Link::Open { .. }) && connection.read.flow == Flow::Undecided
        });
        if undecided {
            self.resume(socket);
        }
    }

    /// A connection was destroyed: it may have been the last one.
    pub(super) fn left_while_draining(&mut self, server: Handle) {
        let over = self.server(server).is_some_and(|found| found.draining.is_some() && found.connections == 0);
        if over {
            self.end_draining(server);
        }
    }

    /// Whoever waits is told in a tick, behind the server's `close`. A server that is released leaves its connections alone.
    pub(super) fn end_draining(&mut self, server: Handle) {
        let Some(draining) = self.server_mut(server).and_then(|found| found.draining.take()) else { return };
        self.timers.remove(draining.timer);
        let report = DrainReport { ended: self.ended_of(&draining), reset: 0 };
        self.ticks.push(Tick::Server { server, tick: ServerTick::Drained { callbacks: draining.callbacks, report } });
    }

    fn ended_of(&mut self, draining: &Draining) -> usize {
        let ended = |&&socket: &&Handle| self.live(socket).is_none_or(|connection| connection.destroyed());
        draining.ended + draining.sockets.iter().filter(ended).count()
    }

    /// The time is over. True when something is to be told.
    pub(super) fn drain_expired(&mut self, slot: usize, timer: TimerKey) -> bool {
        let Some(found) = self.servers.get_mut(slot) else { return false };
        let server = Handle::new(slot, found.generation);
        let Some(draining) = found.draining.take_if(|draining| draining.timer == timer) else { return false };
        self.timers.remove(timer);
        let mut report = DrainReport { ended: self.ended_of(&draining), reset: 0 };
        let Draining { sockets, callbacks, .. } = *draining;
        for socket in sockets {
            let Some(connection) = self.live(socket).filter(|connection| !connection.destroyed()) else { continue };
            connection.set_reset(true);
            // As with `resetAndDestroy`: where `finish` has been told, the end goes first.
            connection.pay_end();
            self.destroy(socket, None);
            report.reset += 1;
        }
        self.ticks.push(Tick::Server { server, tick: ServerTick::Drained { callbacks, report } });
        true
    }
}
