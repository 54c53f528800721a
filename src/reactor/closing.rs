//! Destroying a connection, and the closing phase in which `close` is delivered (rules L30-L46, M5, M6, M9).
//!
//! The descriptor is closed within `destroy()`, its registration with it; what it still owes (`close`, whether there was
//! an error, callbacks of an earlier connection) lives in an entry of the closing list, so that its slot may already be
//! connecting again.
//!
//! This module touches `sys::Stream`. Invariant: every entry of the list is taken exactly once, last one first.

use crate::error::Error;
use crate::reactor::connection::{CurrentState, Link};
use crate::reactor::target::Target;
use crate::reactor::ticks::{ConnectionTick, Emission, Step};
use crate::reactor::{CallbackId, Handle, Reactor};
use crate::sys::errno::Errno;

/// One descriptor that was closed and owes its last events.
pub(crate) struct Closing {
    owner: Owner,
    /// What an abandoned connection owed to callbacks (its socket connected again before `close`).
    pub(super) owed: Vec<(CallbackId, Error)>,
    /// Attempts among several that were cut short (rule L34), last one first.
    canceled: Vec<Target>,
}

#[derive(Copy, Clone)]
enum Owner {
    Connection {
        socket: Handle,
        epoch: u32,
        had_error: bool,
    },
    /// An acceptor: libuv keeps the loop turning once more for it, nothing is emitted from here.
    Server,
}

impl Reactor {
    /// `destroy(error)`: everything is over at once, only the events come later (rules L30-L32).
    pub(crate) fn destroy(&mut self, socket: Handle, error: Option<Error>) {
        let Some(connection) = self.live(socket) else { return };
        if connection.destroyed() {
            return;
        }
        let owes_callbacks =
            connection.queue().is_some_and(|queue| !queue.buffered.is_empty() || !queue.end_callbacks.is_empty());
        if owes_callbacks {
            self.defer(socket, ConnectionTick::ErrorBuffer);
        }
        let connection = &mut self.connections[socket.index()];
        let epoch = connection.epoch();
        let had_error = error.is_some();
        connection.set_destroyed(true);
        connection.set_abortable(false);
        if let Some(error) = &error {
            connection.set_errored(error);
        }
        // While there is a name there is somebody behind it.
        drop(connection.take_name());
        let bound = connection.take_bound();
        let had_handle = !connection.link.is_detached() || bound.is_some();
        drop(bound);
        let canceled = self.canceled_attempts(socket);
        self.count_close(socket, error.as_ref());
        self.close_link(socket);
        let tick = match error {
            Some(error) => ConnectionTick::ErrorThenClosed(error),
            None => ConnectionTick::Closed,
        };
        self.defer(socket, tick);
        self.connections[socket.index()].owe_close();
        if had_handle {
            let owner = Owner::Connection { socket, epoch, had_error };
            self.closing.push(Closing { owner, owed: Vec::new(), canceled });
        } else {
            self.defer(socket, ConnectionTick::EmitClose);
        }
        self.leave_server(socket);
    }

    /// The same without an `error` event; `close` says that there was one.
    pub(crate) fn destroy_silently(&mut self, socket: Handle, error: Error) {
        let Some(connection) = self.live(socket) else { return };
        if !connection.destroyed() {
            connection.set_error_emitted(true);
            self.destroy(socket, Some(error));
        }
    }

    /// Closes the descriptor and settles what counted for keeping the loop alive.
    fn close_link(&mut self, socket: Handle) {
        let connection = &mut self.connections[socket.index()];
        connection.read.set_receiving(false);
        if connection.write.shutting_down() {
            connection.write.set_shutting_down(false);
            self.requests -= 1;
        }
        let in_flight = connection.queue().and_then(|queue| queue.current.as_ref());
        if in_flight.is_some_and(|current| current.state == CurrentState::InFlight) {
            self.requests -= 1;
        }
        match std::mem::replace(&mut connection.link, Link::Detached) {
            Link::Detached => {}
            Link::Connecting => {
                if connection.take_attempt().is_some() {
                    self.requests -= 1;
                }
            }
            Link::Open { stream } => {
                if connection.reset() {
                    // Fails only on a descriptor that is dead already, and then there is nobody to reset.
                    let _ = stream.reset_on_close();
                }
            }
            Link::ConnectingPath => {
                if connection.take_path_attempt().is_some() {
                    self.requests -= 1;
                }
            }
        }
        self.end_selection(socket);
        self.abandon_lookups(socket);
        self.count(socket);
        self.end_idle_timer(socket);
        self.end_bounds(socket);
    }

    /// `destroySoon()`: returns true when `finish` must come first (rule L43).
    pub(crate) fn destroy_soon(&mut self, socket: Handle) -> bool {
        let Some(connection) = self.live(socket) else { return false };
        if connection.is_writable() {
            self.end::<crate::reactor::bytes::QueuedBytes>(socket, None, None);
        }
        let Some(connection) = self.live(socket) else { return false };
        if connection.write.finished() {
            self.destroy(socket, None);
            return false;
        }
        true
    }

    /// `resetAndDestroy()` (rules L44-L46): returns true when the connection must be established first.
    pub(crate) fn reset_and_destroy(&mut self, socket: Handle) -> bool {
        let Some(connection) = self.live(socket) else { return false };
        match connection.link {
            Link::Detached => {
                self.destroy(socket, Some(Error::socket_closed()));
                false
            }
            Link::Connecting | Link::ConnectingPath => true,
            Link::Open { .. } => {
                self.reset(socket);
                false
            }
        }
    }

    /// `_reset()`. The platforms do not agree on a reset while a shutdown is under way, so libuv refuses it, and Node
    /// emits that error within the call. Node then forgets the descriptor; here it is closed in the ordinary way.
    pub(super) fn reset(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.destroyed() {
            return;
        }
        if connection.write.shutting_down() {
            let error = Error::exception(Errno::INVALID, "reset");
            self.destroy(socket, None);
            self.ticks.then_emit(Emission::Error { socket, error });
        } else {
            connection.set_reset(true);
            // `finish` has been told, so the end goes first.
            self.pay_end(socket);
            self.destroy(socket, None);
        }
    }

    /// `emitErrorCloseNT`
    pub(super) fn error_then_closed(&mut self, socket: Handle, epoch: u32, error: Error) {
        let mut emit = true;
        if let Some(connection) = self.current(socket, epoch) {
            emit = !connection.error_emitted();
            connection.set_error_emitted(true);
        }
        self.ticks.then(Step::MarkClosed { socket, epoch });
        if emit {
            self.ticks.then_emit(Emission::Error { socket, error });
        }
    }

    /// The stream's `emitCloseNT`
    pub(super) fn mark_closed(&mut self, socket: Handle, epoch: u32) {
        if let Some(connection) = self.current(socket, epoch) {
            connection.set_close_marked(true);
        }
    }

    /// `close` of a socket that never had a handle (rule M6).
    pub(super) fn emit_detached_close(&mut self, socket: Handle, epoch: u32) {
        self.ticks.then(Step::CloseEmitted { socket });
        self.ticks.then_emit(Emission::Close { socket, epoch, had_error: false });
    }

    pub(super) fn acceptor_closed(&mut self) {
        self.closing.push(Closing { owner: Owner::Server, owed: Vec::new(), canceled: Vec::new() });
    }

    /// Begins the closing phase: what is destroyed from now on closes in the next turn (rule M9).
    pub(crate) fn begin_closing(&mut self) {
        if self.closing_now.is_empty() {
            std::mem::swap(&mut self.closing, &mut self.closing_now);
        }
    }

    /// The next callback of the closing phase, in reverse order of destruction (rule M5). False when there is none.
    ///
    /// A write that was in flight is answered first, in a callback of its own (rule L35); its entry stays.
    pub(crate) fn next_closing(&mut self) -> bool {
        let Some(entry) = self.closing_now.last_mut() else { return false };
        let Owner::Connection { socket, epoch, had_error } = entry.owner else {
            self.closing_now.pop();
            return true;
        };
        if let Some(target) = entry.canceled.pop() {
            self.emit_canceled_attempt(socket, target);
            return true;
        }
        if self.cancel_write(socket, epoch) {
            return true;
        }
        let Some(entry) = self.closing_now.pop() else { return false };
        self.ticks.then(Step::CloseEmitted { socket });
        self.ticks.then_emit(Emission::Close { socket, epoch, had_error });
        for (callback, error) in entry.owed.into_iter().rev() {
            self.complete(socket, callback, Some(error));
        }
        true
    }

    fn cancel_write(&mut self, socket: Handle, epoch: u32) -> bool {
        let Some(connection) = self.current(socket, epoch) else { return false };
        let Some(queue) = connection.queue_mut() else { return false };
        let Some(current) = queue.current.take_if(|current| current.state == CurrentState::InFlight) else {
            return false;
        };
        self.write_canceled(socket, current);
        true
    }

    pub(super) fn closing_entry(&mut self, socket: Handle, epoch: u32) -> Option<&mut Closing> {
        let mut entries = self.closing.iter_mut().chain(self.closing_now.iter_mut());
        entries.find(|entry| match entry.owner {
            Owner::Connection { socket: owner, epoch: of, .. } => owner == socket && of == epoch,
            Owner::Server => false,
        })
    }

    /// After the `close` listeners: the slot is free, unless one of them connected it again or the user retained it.
    pub(super) fn close_emitted(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        connection.pay_close();
        self.free_if_over(socket);
    }

    fn free_if_over(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.destroyed() && !connection.close_owed() && !connection.retained() {
            self.free(socket);
        }
    }

    pub(crate) fn retain(&mut self, socket: Handle) {
        if let Some(connection) = self.live(socket) {
            connection.set_retained(true);
        }
    }

    /// Gives up what `retain()` or `Socket::new()` held.
    pub(crate) fn release(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        connection.set_retained(false);
        if connection.link.is_detached() && !connection.destroyed() {
            // Never connected: nobody is owed a `close`, and the timer must not outlive the slot.
            self.end_idle_timer(socket);
            self.free(socket);
        } else {
            self.free_if_over(socket);
        }
    }

    fn free(&mut self, socket: Handle) {
        let mut connection = self.connections.remove(socket.index());
        if let Some(queue) = connection.queue_mut().map(std::mem::take) {
            self.buffered.less(queue.length);
            self.graveyard.extend(queue.current.into_iter().flat_map(|current| current.chunks.into_each()));
            for request in queue.buffered {
                self.graveyard.push(request.bytes);
                let error = Some(Error::stream_destroyed("write"));
                self.complete_later(socket, request.callback, error);
            }
            for callback in queue.end_callbacks {
                self.complete_later(socket, Some(callback), Some(Error::stream_destroyed("end")));
            }
        }
        self.spare_boxes(connection);
        self.freed.push(socket);
        self.review_buffered();
    }
}
