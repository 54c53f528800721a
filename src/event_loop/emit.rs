//! The one file from which user code is entered (law 2): listeners, callbacks, timers, watches, posts, the unhandled-error
//! hook, and every drop of what users gave us.
//!
//! What it may touch: the loop's [`Core`](crate::event_loop::core::Core), in short borrows between two entries. Invariant: nothing is borrowed while
//! user code runs, except the one listener that is running, so every command may be given from anywhere.

use std::any::Any;
use std::cell::{Cell, RefMut};
use std::net::SocketAddr;
use std::rc::Rc;

use crate::error::Error;
use crate::event_loop::Inner;
use crate::event_loop::attachments::{OwnBuffer, SoleListener};
use crate::event_loop::callbacks::Callback;
use crate::event_loop::closures::{Captured, DataListener, Stateless};
use crate::event_loop::core::Core;
use crate::event_loop::custom_lookup::{CustomLookup, LookupCallback, LookupRequest};
use crate::event_loop::events::{
    Arguments, ConnectionAttempt, DroppedConnection, ErrorSource, Event, Lookup, ServerEvent, SocketEvent, Unhandled,
};
use crate::event_loop::filters::Filter;
use crate::event_loop::handles::{Server, Socket};
use crate::event_loop::listeners::{Action, Entry, Table};
use crate::event_loop::mailbox::Item;
use crate::event_loop::panics::{Blame, PanicSource};
use crate::event_loop::running::{Missed, MissedBy};
use crate::event_loop::watches::{OnReady, Readiness, Watch};
use crate::reactor::admission::Admission;
use crate::reactor::draining::DrainReport;
use crate::reactor::reading::Received;
use crate::reactor::ticks::{Emission, PlainEvent, Step};
use crate::reactor::timers::TimerKey;
use crate::reactor::watching::Found;
use crate::reactor::{CallbackId, Handle};
use crate::sys::{Stream, Time};

impl Inner {
    /// Finishes the running callback, then its ticks (rule M2). An error that nobody listens for ends it; what remains
    /// is served by the next call.
    #[inline]
    pub(crate) fn drain(&self) -> Result<(), Error> {
        if self.core.borrow().is_settled() {
            return Ok(());
        }
        self.drain_everything()
    }

    fn drain_everything(&self) -> Result<(), Error> {
        // Bounded only by the users' ticks: rule M2 drains the queue completely. A destructor may queue ticks too.
        loop {
            let emission = {
                let mut core = self.core.borrow_mut();
                if let Some(error) = core.unreported.take() {
                    return Err(error);
                }
                let emission = core.reactor.next_emission();
                if core.has_graves() {
                    // Destructors come first, and may panic: what was next waits on the stack for its turn.
                    core.reactor.ticks.then_all(emission.map(Step::Emit));
                    drop(core);
                    self.bury();
                    continue;
                }
                emission
            };
            match emission {
                Some(emission) => self.perform(emission)?,
                None => return Ok(()),
            }
        }
    }

    fn perform(&self, emission: Emission) -> Result<(), Error> {
        match emission {
            Emission::Call(callback) => self.call(callback),
            Emission::Missed => self.deliver_missed_by_panics(),
            Emission::CountReadable { socket } => self.core.borrow_mut().update_readable_listening(socket),
            Emission::Complete { owner, callback, error } => self.complete(owner, callback, error.as_ref()),
            Emission::Attempt { socket, target } => {
                let attempt = ConnectionAttempt::new(target);
                let arguments = Arguments::Attempt(Socket::from_handle(socket), &attempt);
                self.emit_to_socket(socket, SocketEvent::ConnectionAttempt, &arguments);
                // The attempt begins now, and so does its time.
                let mut core = self.core.borrow_mut();
                let now = core.clock.now();
                core.reactor.set_attempt_began(now);
            }
            Emission::AttemptFailed { socket, target, error } => {
                let attempt = ConnectionAttempt::new(target);
                let arguments = Arguments::AttemptFailed(Socket::from_handle(socket), &attempt, &error);
                self.emit_to_socket(socket, SocketEvent::ConnectionAttemptFailed, &arguments);
            }
            Emission::PathAttempt { socket, target } => {
                let attempt = ConnectionAttempt::at_path(target);
                let arguments = Arguments::Attempt(Socket::from_handle(socket), &attempt);
                self.emit_to_socket(socket, SocketEvent::ConnectionAttempt, &arguments);
            }
            Emission::PathAttemptFailed { socket, target, error } => {
                let attempt = ConnectionAttempt::at_path(target);
                let arguments = Arguments::AttemptFailed(Socket::from_handle(socket), &attempt, &error);
                self.emit_to_socket(socket, SocketEvent::ConnectionAttemptFailed, &arguments);
            }
            Emission::Plain { socket, event } => {
                if event == PlainEvent::End {
                    self.emit_held_text(socket);
                }
                self.emit_to_socket(socket, event.into(), &Arguments::Socket(Socket::from_handle(socket)));
            }
            Emission::Data { socket, bytes } => self.emit_data(socket, &bytes),
            Emission::Close { socket, epoch, had_error } => {
                let arguments = Arguments::Close(Socket::from_handle(socket), had_error);
                self.emit(socket, Event::Socket(SocketEvent::Close), Some(epoch), &arguments);
            }
            Emission::Error { socket, error } => {
                let socket = Socket::from_handle(socket);
                let arguments = Arguments::Error(socket, &error);
                if !self.emit_to_socket(socket.handle, SocketEvent::Error, &arguments) {
                    return self.unhandled(ErrorSource::Socket(socket), error);
                }
            }
            Emission::WriteRefused { socket, error } => {
                let arguments = Arguments::Error(Socket::from_handle(socket), &error);
                self.emit_to_socket(socket, SocketEvent::WriteRefused, &arguments);
            }
            Emission::Listening { server } => {
                self.emit_to_server(server, ServerEvent::Listening, &Arguments::Server(Server::from_handle(server)));
            }
            Emission::Connection { server, socket } => {
                self.core.borrow_mut().attach(socket);
                let arguments = Arguments::Connection(Server::from_handle(server), Socket::from_handle(socket));
                self.emit_to_server(server, ServerEvent::Connection, &arguments);
            }
            Emission::ServerClose { server } => {
                self.emit_to_server(server, ServerEvent::Close, &Arguments::Server(Server::from_handle(server)));
            }
            Emission::Lookup { socket, host, answer } => {
                let lookup = Lookup::new(host, answer);
                let arguments = Arguments::Lookup(Socket::from_handle(socket), &lookup);
                self.emit_to_socket(socket, SocketEvent::Lookup, &arguments);
            }
            Emission::AttemptTimedOut { socket, target } => {
                let attempt = ConnectionAttempt::new(target);
                let arguments = Arguments::Attempt(Socket::from_handle(socket), &attempt);
                self.emit_to_socket(socket, SocketEvent::ConnectionAttemptTimeout, &arguments);
            }
            Emission::ServerError { server, error } => {
                let server = Server::from_handle(server);
                let arguments = Arguments::ServerError(server, &error);
                if !self.emit_to_server(server.handle, ServerEvent::Error, &arguments) {
                    return self.unhandled(ErrorSource::Server(server), error);
                }
            }
            Emission::AcceptFailed { server, error } => {
                let arguments = Arguments::ServerError(Server::from_handle(server), &error);
                self.emit_to_server(server, ServerEvent::AcceptError, &arguments);
            }
            Emission::Dropped { server, ends } => {
                let dropped = DroppedConnection::new(ends);
                let arguments = Arguments::Dropped(Server::from_handle(server), &dropped);
                self.emit_to_server(server, ServerEvent::Drop, &arguments);
            }
            Emission::Filter { server, stream, peer } => self.filter(server, stream, peer),
            Emission::ServerPaused { server, reason } => {
                let arguments = Arguments::Paused(Server::from_handle(server), reason);
                self.emit_to_server(server, ServerEvent::Pause, &arguments);
            }
            Emission::ServerResumed { server } => {
                self.emit_to_server(server, ServerEvent::Resume, &Arguments::Server(Server::from_handle(server)));
            }
            Emission::Drained { server, callback, report } => self.drained(server, callback, report),
            Emission::Watch { watch, found } => self.call_watch(watch, found),
            Emission::WatchFailed { error } => return Err(error),
        }
        Ok(())
    }

    /// `data` in the poll phase, lent from the loop's buffer: by far the most frequent emission. The core again if no commands
    /// were given since its `touched` was false, other than writes that left nothing to be done.
    // Always: it has few callers, and a call of its own would cost as much as a tenth of the delivery.
    #[inline(always)]
    pub(crate) fn deliver<'a>(
        &'a self,
        core: RefMut<'a, Core>,
        socket: Handle,
        bytes: &[u8],
    ) -> Option<RefMut<'a, Core>> {
        match core.sockets.sole_stateless(socket) {
            Some((listener, number)) => self.deliver_to(core, listener, number, socket, bytes),
            None if self.deliver_otherwise(core, socket, bytes) => None,
            None => Some(self.core.borrow_mut()),
        }
    }

    /// The same to the only listener, which has no captures.
    #[inline(always)]
    fn deliver_to<'a>(
        &'a self,
        mut core: RefMut<'a, Core>,
        listener: DataListener,
        number: u64,
        socket: Handle,
        bytes: &[u8],
    ) -> Option<RefMut<'a, Core>> {
        core.running.sole = Some((socket, number));
        drop(core);
        listener(Socket::from_handle(socket), bytes);
        let mut core = self.core.borrow_mut();
        if core.touched {
            drop(core);
            self.deliver_missed_bytes(listener, socket, number);
            return None;
        }
        core.running.sole = None;
        Some(core)
    }

    /// The same for what the listener's own commands emitted while it ran.
    #[cold]
    fn deliver_missed_bytes(&self, listener: DataListener, socket: Handle, number: u64) {
        self.deliver_missed(socket, number, |arguments| {
            if let Arguments::Data(socket, bytes, _) = *arguments {
                listener(socket, bytes);
            }
        });
        self.core.borrow_mut().running.sole = None;
    }

    /// The same where it is not one listener without captures in a table that sockets share. True when commands were given.
    #[inline(never)]
    fn deliver_otherwise(&self, core: RefMut<'_, Core>, socket: Handle, bytes: &[u8]) -> bool {
        match core.sockets.sole_data(socket) {
            Some(SoleListener::Stateless(listener, number)) => {
                return self.deliver_to(core, listener, number, socket, bytes).is_none();
            }
            Some(SoleListener::Captured(listener, number)) => {
                drop(core);
                let arguments = Arguments::Data(Socket::from_handle(socket), bytes, None);
                self.enter_captured(&listener, socket, number, &arguments);
            }
            None => {
                drop(core);
                self.emit_data(socket, bytes);
            }
        }
        self.core.borrow().touched
    }

    /// What a listener missed while it ran, which is what its own commands emitted.
    fn deliver_missed(&self, owner: Handle, number: u64, mut call: impl FnMut(&Arguments<'_>)) {
        // Bounded by the emissions that the listener itself causes.
        loop {
            let missed = self.core.borrow_mut().running.next_missed(owner, number);
            let Some(missed) = missed else { return };
            call(&missed.arguments.lend());
        }
    }

    /// `data`, lent from the loop's buffer or from a chunk that had been buffered.
    pub(crate) fn emit_data(&self, socket: Handle, bytes: &[u8]) {
        let text = self.core.borrow_mut().text_for_listeners(socket, bytes);
        let text = text.as_deref().filter(|text| !text.is_empty());
        let arguments = Arguments::Data(Socket::from_handle(socket), bytes, text);
        self.emit_to_socket(socket, SocketEvent::Data, &arguments);
    }

    /// Reads into the buffer that the user gave, and tells its callback (rule F51).
    pub(crate) fn read_into_own_buffer(&self, socket: Handle) {
        let taken = self.core.borrow_mut().sockets.extras_if_any(socket).and_then(|extras| extras.own_buffer.take());
        let Some(own) = taken else { return };
        let mut reading = OwnReading { inner: self, socket, own: Some(own), go_on: true };
        let Some(own) = &mut reading.own else { return };
        if own.buffer.is_empty() {
            // A read into nothing would look like the end of the stream: reading waits for `resume`.
            reading.go_on = false;
            return;
        }
        let received = self.core.borrow_mut().reactor.read_ready(socket, &mut own.buffer);
        if let Received::Lent(count) = received {
            let blame = Blame::on(self, PanicSource::Socket(Socket::from_handle(socket)));
            reading.go_on = (own.call)(Socket::from_handle(socket), &mut own.buffer, count);
            blame.lift();
        }
    }

    /// Before `end`: the text listeners are given what their decoder held back.
    fn emit_held_text(&self, socket: Handle) {
        let text = self.core.borrow_mut().held_text(socket);
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            let arguments = Arguments::Data(Socket::from_handle(socket), &[], Some(&text));
            self.emit_to_socket(socket, SocketEvent::Data, &arguments);
        }
    }

    pub(crate) fn emit_to_socket(&self, socket: Handle, event: SocketEvent, arguments: &Arguments<'_>) -> bool {
        self.emit(socket, Event::Socket(event), None, arguments)
    }

    fn emit_to_server(&self, server: Handle, event: ServerEvent, arguments: &Arguments<'_>) -> bool {
        self.emit(server, Event::Server(event), None, arguments)
    }

    /// Calls the listeners of one event in their order, as they were when the emission began (rule M1). True when there
    /// was one. Internal listeners that wait for the `close` of a later connection than `closing` stay where they are.
    fn emit(&self, owner: Handle, event: Event, closing: Option<u32>, arguments: &Arguments<'_>) -> bool {
        let Some((table, shared)) = self.core.borrow_mut().snapshot(owner, event) else { return false };
        let walk = Walk { inner: self, owner, event, closing, table: &table, next: Cell::new(0) };
        let mut any = false;
        for (position, entry) in table.entries.iter().enumerate() {
            walk.next.set(position + 1);
            if !walk.takes_in(entry) {
                continue;
            }
            if entry.once {
                // Before it runs; the table that is being walked keeps it alive.
                let removed = self.core.borrow_mut().remove_listener(owner, event, entry.number);
                drop(removed);
            }
            match &entry.action {
                Action::Internal { epoch, internal } => self.run_internal(owner, *epoch, *internal),
                Action::Stateless(stateless) => {
                    any |= !entry.bystander;
                    self.enter_stateless(*stateless, owner, entry.number, arguments);
                }
                Action::Captured(listener) => {
                    any |= !entry.bystander;
                    self.enter_captured(listener, owner, entry.number, arguments);
                }
                Action::Shared { .. } => {
                    any |= !entry.bystander;
                    if let Some(listener) = &shared {
                        self.enter_captured(listener, owner, entry.number, arguments);
                    }
                }
            }
        }
        any
    }

    /// Calls one listener. One that is running is not entered again: it is called once more right after it returns.
    fn enter_stateless(&self, stateless: Stateless, owner: Handle, number: u64, arguments: &Arguments<'_>) {
        if !self.core.borrow_mut().running.begin(owner, number) {
            self.core.borrow_mut().running.miss(owner, number, MissedBy::Stateless(stateless), arguments.keep());
            return;
        }
        let _running = RunningStateless { inner: self };
        let blame = Blame::on_listener(self, owner, arguments);
        stateless.call(arguments);
        self.deliver_missed(owner, number, |arguments| stateless.call(arguments));
        blame.lift();
    }

    /// The same for one with captures.
    fn enter_captured(&self, listener: &Captured, owner: Handle, number: u64, arguments: &Arguments<'_>) {
        let Some(mut running) = listener.begin() else {
            let listener = MissedBy::Captured(listener.clone());
            self.core.borrow_mut().running.miss(owner, number, listener, arguments.keep());
            return;
        };
        let blame = Blame::on_listener(self, owner, arguments);
        running.call(arguments);
        self.deliver_missed(owner, number, |arguments| running.call(arguments));
        blame.lift();
    }

    /// What listeners missed while they ran, and then panicked. It comes first, as it would have come within the command.
    #[cold]
    fn deliver_missed_by_panics(&self) {
        // Bounded by what was missed; what they cause while they are called now they are told as usual.
        loop {
            let missed = self.core.borrow_mut().running.next_missed_by_a_panic();
            let Some(missed) = missed else { return };
            // Its owner may be gone, and a destructor is the user's: it waits, also if the listener panics again.
            let missed = Burying { inner: self, missed: Some(missed) };
            let Some(Missed { owner, number, listener, arguments }) = &missed.missed else { return };
            match listener {
                MissedBy::Stateless(stateless) => self.enter_stateless(*stateless, *owner, *number, &arguments.lend()),
                MissedBy::Captured(listener) => self.enter_captured(listener, *owner, *number, &arguments.lend()),
            }
        }
    }

    /// An internal listener, and what it leads to at its place in the order.
    fn run_internal(&self, socket: Handle, epoch: u32, internal: crate::reactor::Internal) {
        let depth = {
            let mut core = self.core.borrow_mut();
            let depth = core.reactor.ticks.depth();
            core.command(|reactor| reactor.run_internal(socket, epoch, internal));
            depth
        };
        self.emit_now(depth);
    }

    /// Performs what lies above `depth` on the stack of steps, at once: what an internal listener led to, or the one
    /// command that emits within its call (law 1).
    pub(crate) fn emit_now(&self, depth: usize) {
        // Bounded by what the one transition pushed, and by what the listeners' own commands push within.
        loop {
            let Some(emission) = self.core.borrow_mut().reactor.next_emission_above(depth) else { return };
            if let Err(error) = self.perform(emission) {
                // Nobody listens, and there is nobody to return it to here: `run` does.
                self.core.borrow_mut().unreported = Some(error);
            }
        }
    }

    fn call(&self, callback: CallbackId) {
        let callback = self.core.borrow_mut().callbacks.take(callback);
        if let Some(Callback::Call(call)) = callback {
            let blame = Blame::on(self, PanicSource::Tick);
            call();
            blame.lift();
        }
    }

    fn complete(&self, owner: Handle, callback: CallbackId, error: Option<&Error>) {
        let callback = self.core.borrow_mut().callbacks.take(callback);
        if let Some(Callback::Complete(complete)) = callback {
            let blame = Blame::on(self, PanicSource::Socket(Socket::from_handle(owner)));
            complete(Socket::from_handle(owner), error.map_or(Ok(()), Err));
            blame.lift();
        }
    }

    fn drained(&self, server: Handle, callback: CallbackId, report: DrainReport) {
        let callback = self.core.borrow_mut().callbacks.take(callback);
        if let Some(Callback::Drained(drained)) = callback {
            drained(Server::from_handle(server), report);
        }
    }

    /// A connection that is not let in yet: the server's filter says whether it is. If that panics, it is closed.
    fn filter(&self, server: Handle, stream: Stream, peer: Option<SocketAddr>) {
        let Some(filter) = self.core.borrow_mut().borrow_filter(server) else {
            return self.core.borrow_mut().reactor.filtered(server, stream, peer, Admission::Accept);
        };
        let mut running = RunningFilter { inner: self, server, filter: Some(filter) };
        if let Some(filter) = &mut running.filter {
            let admission = filter(Server::from_handle(server), peer);
            self.core.borrow_mut().reactor.filtered(server, stream, peer, admission);
        }
    }

    /// A timer that is due.
    pub(crate) fn call_timer(&self, timer: TimerKey, callback: CallbackId) {
        let (closure, started) = {
            let mut core = self.core.borrow_mut();
            (core.callbacks.borrow_timer(callback), core.clock.now())
        };
        let Some(closure) = closure else { return };
        let mut running = RunningTimer { inner: self, timer, callback, started, closure: Some(closure) };
        let blame = Blame::on(self, PanicSource::Timer);
        if let Some(closure) = &mut running.closure {
            closure();
        }
        blame.lift();
    }

    /// A foreign descriptor that is ready.
    fn call_watch(&self, watch: Handle, found: Found) {
        let Some(on_ready) = self.core.borrow_mut().borrow_watch(watch) else { return };
        let mut running = RunningWatch { inner: self, watch, on_ready: Some(on_ready) };
        let blame = Blame::on(self, PanicSource::Watch(Watch::from_handle(watch)));
        if let Some(on_ready) = &mut running.on_ready {
            on_ready(Watch::from_handle(watch), Readiness::new(found));
        }
        blame.lift();
    }

    /// The next immediate of the phase. False when there is none.
    pub(crate) fn call_next_immediate(&self) -> bool {
        let Some(callback) = self.core.borrow_mut().immediates.next() else { return false };
        self.core.borrow_mut().begin_callback();
        let blame = Blame::on(self, PanicSource::Immediate);
        callback();
        blame.lift();
        true
    }

    /// What a simulation was to call at this time.
    #[cfg(feature = "simulation")]
    pub(crate) fn call_scheduled(&self, callback: Box<dyn FnOnce()>) {
        let blame = Blame::on(self, PanicSource::Post);
        callback();
        blame.lift();
    }

    /// Something that another thread handed over.
    pub(crate) fn receive(&self, item: Item) {
        match item {
            Item::Call(call) => {
                let blame = Blame::on(self, PanicSource::Post);
                call();
                blame.lift();
            }
            Item::Lookup(answer) => {
                let mut core = self.core.borrow_mut();
                core.lookup_finished(answer);
            }
            Item::CustomLookup(id, answer) => {
                let mut core = self.core.borrow_mut();
                core.custom_lookup_finished(id, answer);
            }
        }
    }

    fn unhandled(&self, source: ErrorSource, error: Error) -> Result<(), Error> {
        let blame = Blame::on(self, PanicSource::Other);
        let decision = match self.unhandled.try_borrow_mut() {
            Ok(mut hook) => hook.as_mut().map_or(Unhandled::Return, |hook| hook(source, &error)),
            // An error within the hook itself.
            Err(_) => Unhandled::Return,
        };
        blame.lift();
        match decision {
            Unhandled::Continue => Ok(()),
            Unhandled::Return => Err(error),
        }
    }

    /// A callback and its ticks are over: how long that took is noted, and who wants to know of slow ones is told.
    pub(super) fn callback_measured(&self) {
        let Some(slow) = self.core.borrow_mut().measure_callback() else { return };
        if let Ok(mut hook) = self.slow.try_borrow_mut() {
            if let Some(hook) = hook.as_mut() {
                let blame = Blame::on(self, PanicSource::Other);
                hook(slow);
                blame.lift();
            }
        }
        // What the hook took is nobody's.
        self.core.borrow_mut().callbacks_begin_now();
    }

    /// A panic did not end the loop: who wants to know is told, and has its payload.
    pub(super) fn tell_panic(&self, source: PanicSource, payload: Box<dyn Any + Send>) {
        if let Ok(mut hook) = self.panicked.try_borrow_mut() {
            if let Some(hook) = hook.as_mut() {
                hook(source, payload);
            }
        }
    }

    /// Drops what nothing needs any more.
    pub(crate) fn bury(&self) {
        let mut graves = self.core.borrow_mut().take_graves();
        let blame = Blame::on(self, PanicSource::Other);
        graves.clear();
        blame.lift();
        self.core.borrow_mut().return_empty_graves(graves);
    }
}

/// Notes that a listener without captures has returned or panicked.
struct RunningStateless<'a> {
    inner: &'a Inner,
}

impl Drop for RunningStateless<'_> {
    fn drop(&mut self) {
        self.inner.core.borrow_mut().running.end();
    }
}

/// Gives what was missed to the graves when it was told, or when that panicked.
struct Burying<'a> {
    inner: &'a Inner,
    missed: Option<Missed>,
}

impl Drop for Burying<'_> {
    fn drop(&mut self) {
        self.inner.core.borrow_mut().bury_missed(self.missed.take());
    }
}

/// A walk through the listeners of one emission.
///
/// When one of them panics the rest of the emission is skipped (law 8), but not the library's own: they are left to the
/// next drain as steps.
struct Walk<'a> {
    inner: &'a Inner,
    owner: Handle,
    event: Event,
    closing: Option<u32>,
    table: &'a Table,
    /// The entry behind the one that runs.
    next: Cell<usize>,
}

impl Walk<'_> {
    fn takes_in(&self, entry: &Entry) -> bool {
        entry.event == self.event && !entry.waits_for_later_close(self.closing)
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        let rest = self.table.entries.get(self.next.get()..).unwrap_or_default();
        for entry in rest.iter().rev().filter(|entry| self.takes_in(entry)) {
            if let Action::Internal { epoch, internal } = entry.action {
                let mut core = self.inner.core.borrow_mut();
                core.reactor.ticks.then(Step::Internal { socket: self.owner, epoch, internal });
                drop(core.remove_listener(self.owner, self.event, entry.number));
            }
        }
    }
}

/// Gives the user's buffer back when its callback returned or panicked.
struct OwnReading<'a> {
    inner: &'a Inner,
    socket: Handle,
    own: Option<Box<OwnBuffer>>,
    go_on: bool,
}

impl Drop for OwnReading<'_> {
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            self.inner.core.borrow_mut().own_buffer_served(self.socket, own, self.go_on);
        }
    }
}

/// Gives a timer's closure back when it returned or panicked.
struct RunningTimer<'a> {
    inner: &'a Inner,
    timer: TimerKey,
    callback: CallbackId,
    started: Time,
    closure: Option<Box<dyn FnMut()>>,
}

impl Drop for RunningTimer<'_> {
    fn drop(&mut self) {
        if let Some(closure) = self.closure.take() {
            self.inner.core.borrow_mut().timer_served(self.timer, self.callback, closure, self.started);
        }
    }
}

/// Gives a watch's closure back when it returned or panicked.
struct RunningWatch<'a> {
    inner: &'a Inner,
    watch: Handle,
    on_ready: Option<OnReady>,
}

impl Drop for RunningWatch<'_> {
    fn drop(&mut self) {
        if let Some(on_ready) = self.on_ready.take() {
            self.inner.core.borrow_mut().return_watch(self.watch, on_ready);
        }
    }
}

/// Gives a server's filter back when it returned or panicked.
struct RunningFilter<'a> {
    inner: &'a Inner,
    server: Handle,
    filter: Option<Filter>,
}

impl Drop for RunningFilter<'_> {
    fn drop(&mut self) {
        if let Some(filter) = self.filter.take() {
            self.inner.core.borrow_mut().return_filter(self.server, filter);
        }
    }
}

/// A lookup of the user's, within `connect()` (rule C10). It may answer at once (rule C14).
pub(crate) fn call_lookup(lookup: &CustomLookup, request: &LookupRequest, callback: LookupCallback) {
    (lookup.0)(request, callback);
}

/// The loop is over: drops everything that users gave it. Handles are inert by now, so destructors may use them.
pub(crate) fn drop_everything(inner: Rc<Inner>, items: impl IntoIterator<Item = Item>) {
    drop(items.into_iter().collect::<Vec<_>>());
    drop(inner.unhandled.take());
    drop(inner.slow.take());
    drop(inner.panicked.take());
    drop(inner);
}
