//! What the loop owns, behind one borrow: the reactor, and everything of the users' that it must not know.
//!
//! Every command of a handle is one method here (or one of the reactor's, reached through [`Core::command`]). This module
//! may touch the reactor and the clock. Invariant: nothing here calls or drops what users gave us; what is no longer
//! needed goes to the graves, and `emit` empties them.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::event_loop::attachments::{Attachments, LeftBehind, OwnBuffer};
use crate::event_loop::callbacks::{Callback, Callbacks};
use crate::event_loop::custom_lookup::LookupRequest;
use crate::event_loop::events::{Event, ServerEvent, SocketEvent};
use crate::event_loop::filters::Filter;
use crate::event_loop::immediates::Immediates;
use crate::event_loop::listeners::{Action, Entry, ListenerKind};
use crate::event_loop::lookup::Lookups;
use crate::event_loop::measuring::Measuring;
use crate::event_loop::panics::Panics;
use crate::event_loop::running::{Missed, Running};
use crate::event_loop::spinning::Spinning;
use crate::event_loop::watches::{Closures, OnReady};
use crate::event_loop::{EventLoopOptions, Phase, Position};
use crate::reactor::bytes::{Outgoing, QueuedBytes};
use crate::reactor::connection::ConnectionOptions;
use crate::reactor::selecting::{LookupId, Route};
use crate::reactor::servers::{ListenRequest, ServerSettings};
use crate::reactor::serving::Budgets;
use crate::reactor::target::{Local, PathTarget, Target};
use crate::reactor::ticks::Tick;
use crate::reactor::timers::TimerKey;
use crate::reactor::{CallbackId, Due, Handle, Internal, Reactor, TimerKind};
use crate::sys::resolver::{self, LookupHints, Query};
use crate::sys::{Clock, Family, Poller, Time};

pub(crate) struct Core {
    pub(crate) reactor: Reactor,
    pub(crate) clock: Clock,
    pub(crate) sockets: Attachments,
    pub(crate) servers: Attachments,
    /// Which listeners run, and what they missed meanwhile.
    pub(super) running: Running,
    pub(crate) callbacks: Callbacks,
    pub(crate) immediates: Immediates,
    pub(super) watches: Closures,
    /// Whom a server lets in, where its user decides; `None` while that is asked.
    pub(super) filters: BTreeMap<u64, Option<Filter>>,
    pub(crate) lookups: Lookups,
    /// Who waits for which lookup.
    pub(super) lookup_owners: BTreeMap<LookupId, PendingLookup>,
    pub(super) last_lookup: u64,
    /// How long the resolver may take.
    pub(crate) lookup_timeout: Duration,
    pub(super) spinning: Spinning,
    pub(super) measuring: Measuring,
    pub(super) panics: Panics,
    pub(super) graves: Vec<Grave>,
    /// Room for the next graves while these are emptied.
    spare_graves: Vec<Grave>,
    /// Errors that wrap what users gave, for as long as anything of ours holds one: the last to let go runs their
    /// destructor, and that must be a grave.
    foreign_errors: Vec<Error>,
    /// An unhandled error that was emitted within a command, which cannot return it.
    pub(crate) unreported: Option<Error>,
    /// `stop()` was called: `run` returns after this callback and its ticks.
    pub(crate) stopping: bool,
    /// A command was given since the running delivery began; a write that left nothing to be done is none.
    pub(crate) touched: bool,
    pub(crate) phase: Phase,
    /// The clock was read when the timer phase began, and nothing ran since: the next wait may count from there.
    pub(super) clock_is_fresh: bool,
    pub(crate) turn: u64,
    pub(crate) callback: u64,
    #[cfg(feature = "simulation")]
    pub(super) tape: Option<crate::event_loop::recording::Tape>,
    #[cfg(feature = "simulation")]
    pub(super) simulated: Option<crate::event_loop::simulation::Scheduled>,
}

/// For how many graves there is always room, in both of the vectors that take turns: one callback has few. It is made
/// before the first connection, because small pieces that were allocated in a burst, and stay, lie above what the burst
/// allocated, and keep an allocator that returns its memory from above from returning that.
const KEPT_GRAVES: usize = 16;

/// What waits to be dropped with nothing borrowed. The fields are there for their destructors.
pub(crate) enum Grave {
    Attachment { _left: LeftBehind },
    Entry { _entry: Entry },
    Callback { _callback: Callback },
    Immediate { _callback: Box<dyn FnOnce()> },
    Bytes { _bytes: QueuedBytes },
    Data { _data: Box<dyn Any> },
    Error { _error: Error },
    OwnBuffer { _own: Box<OwnBuffer> },
    Missed { _missed: Missed },
    Watch { _on_ready: OnReady },
    Filter { _filter: Filter },
}

/// A lookup that is not answered yet.
pub(super) struct PendingLookup {
    pub(super) owner: LookupOwner,
    /// The timer that ends it; users' own lookups take as long as they take.
    pub(super) deadline: Option<TimerKey>,
}

/// What a lookup is for.
pub(super) enum LookupOwner {
    Connect { socket: Handle, epoch: u32, route: Box<Route> },
    Listen { server: Handle, listening_id: u64, host: Arc<str> },
}

/// What `connect()` was asked besides the host and the port.
pub(crate) struct ConnectPlan {
    pub(crate) family: Option<Family>,
    pub(crate) hints: LookupHints,
    pub(crate) local: Local,
    /// How long each of several addresses is tried; `None`: only the first one is.
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) race: bool,
    /// The user looks the name up.
    pub(crate) custom_lookup: bool,
}

impl Core {
    pub(crate) fn new(options: EventLoopOptions, last_generation: u64, poller: Poller, lookups: Lookups) -> Core {
        let budgets =
            Budgets { accepts: options.accepts_per_turn, reads: options.reads_per_turn, bytes: options.bytes_per_turn };
        let mut reactor = Reactor::new(last_generation, budgets, options.max_buffered_total, poller);
        if options.receive_timestamps {
            reactor.stamp_what_is_received();
        }
        Core {
            reactor,
            clock: Clock::new(),
            sockets: Attachments::default(),
            servers: Attachments::default(),
            running: Running::default(),
            callbacks: Callbacks::default(),
            immediates: Immediates::new(),
            watches: Closures::default(),
            filters: BTreeMap::new(),
            lookups,
            lookup_owners: BTreeMap::new(),
            last_lookup: 0,
            lookup_timeout: options.lookup_timeout,
            spinning: Spinning::new(options.spin),
            measuring: Measuring::new(options.measure_callbacks),
            panics: Panics::new(options.panic_policy),
            graves: Vec::with_capacity(KEPT_GRAVES),
            spare_graves: Vec::with_capacity(KEPT_GRAVES),
            foreign_errors: Vec::new(),
            unreported: None,
            stopping: false,
            touched: false,
            phase: Phase::Idle,
            clock_is_fresh: false,
            turn: 0,
            callback: 0,
            #[cfg(feature = "simulation")]
            tape: None,
            #[cfg(feature = "simulation")]
            simulated: None,
        }
    }

    pub(crate) fn position(&self) -> Position {
        Position { turn: self.turn, phase: self.phase, callback: self.callback, tick: self.reactor.ticks.served() }
    }

    /// A callback of the loop begins.
    #[inline]
    pub(crate) fn begin_callback(&mut self) {
        self.callback += 1;
        self.reactor.ticks.begin_callback();
    }

    /// One command to the reactor, and the internal listeners it asks for.
    pub(crate) fn command<R>(&mut self, command: impl FnOnce(&mut Reactor) -> R) -> R {
        let result = command(&mut self.reactor);
        self.settle_requests();
        result
    }

    /// Puts the internal listeners that a transition asked for among the socket's listeners.
    pub(crate) fn settle_requests(&mut self) {
        if self.reactor.has_internal_requests() {
            self.add_internal_listeners();
        }
    }

    #[cold]
    fn add_internal_listeners(&mut self) {
        for (socket, epoch, internal) in self.reactor.take_internal_requests() {
            let event = match internal {
                Internal::FlushWrites
                | Internal::ShutDown
                | Internal::Reset
                | Internal::Reference
                | Internal::Unreference => SocketEvent::Connect,
                Internal::FailWrites => SocketEvent::Close,
                Internal::Destroy => SocketEvent::Finish,
            };
            let action = Action::Internal { epoch, internal };
            // Refused, it has nothing to drop.
            let _ = self.sockets.add(socket, Entry::new(Event::Socket(event), ListenerKind::Once, action));
        }
    }

    // Sockets.

    pub(crate) fn new_socket(&mut self, options: &ConnectionOptions) -> Handle {
        let socket = self.reactor.new_connection(options);
        self.attach(socket);
        socket
    }

    /// A socket has its slot: listeners of the slot's previous owner are gone by now.
    pub(crate) fn attach(&mut self, socket: Handle) {
        if let Some(left) = self.sockets.open(socket) {
            self.graves.push(Grave::Attachment { _left: left });
        }
    }

    pub(crate) fn write<C: Outgoing>(
        &mut self,
        socket: Handle,
        chunk: &mut Option<C>,
        callback: Option<Callback>,
    ) -> bool {
        let callback = callback.map(|callback| self.callbacks.insert(callback));
        self.command(|reactor| reactor.write(socket, chunk, callback))
    }

    /// A write that went the short way, and did not end there.
    pub(crate) fn written_otherwise<C: Outgoing>(
        &mut self,
        socket: Handle,
        chunk: &mut Option<C>,
        outcome: io::Result<usize>,
    ) -> bool {
        self.command(|reactor| reactor.written_otherwise(socket, chunk, outcome))
    }

    pub(crate) fn end<C: Outgoing>(
        &mut self,
        socket: Handle,
        chunk: Option<&mut Option<C>>,
        callback: Option<Callback>,
    ) {
        let callback = callback.map(|callback| self.callbacks.insert(callback));
        self.command(|reactor| reactor.end(socket, chunk, callback));
    }

    pub(crate) fn destroy(&mut self, socket: Handle) {
        self.command(|reactor| reactor.send_batch(socket));
        self.reactor.destroy(socket, None);
    }

    pub(crate) fn destroy_with(&mut self, socket: Handle, error: Error) {
        self.keep_foreign(&error);
        self.command(|reactor| reactor.send_batch(socket));
        self.reactor.destroy(socket, Some(error));
    }

    pub(super) fn keep_foreign(&mut self, error: &Error) {
        if error.is_foreign() {
            self.foreign_errors.push(error.clone());
        }
    }

    /// The signal of a socket was aborted: `destroy(AbortError)` (rules C50, C51).
    pub(crate) fn abort_socket(&mut self, socket: Handle, error: Error) {
        if self.reactor.is_abortable(socket) {
            self.destroy_with(socket, error);
        }
    }

    pub(crate) fn destroy_soon(&mut self, socket: Handle) {
        if self.command(|reactor| reactor.destroy_soon(socket)) {
            self.command(|reactor| reactor.request(socket, Internal::Destroy));
        }
    }

    pub(crate) fn reset_and_destroy(&mut self, socket: Handle) -> Result<(), Error> {
        if self.reactor.live(socket).is_some_and(|connection| connection.is_unix()) {
            return Err(Error::invalid_handle_type());
        }
        self.command(|reactor| reactor.send_batch(socket));
        if self.command(|reactor| reactor.reset_and_destroy(socket)) {
            self.command(|reactor| reactor.request(socket, Internal::Reset));
        }
        Ok(())
    }

    /// `ref()` and `unref()`: before there is a handle, they wait for `connect` (rule R5).
    pub(crate) fn set_socket_referenced(&mut self, socket: Handle, referenced: bool) {
        let has_handle = self.reactor.live(socket).is_some_and(|connection| connection.has_handle());
        if has_handle {
            self.reactor.set_referenced(socket, referenced);
        } else {
            let internal = if referenced { Internal::Reference } else { Internal::Unreference };
            self.command(|reactor| reactor.request(socket, internal));
        }
    }

    pub(crate) fn set_idle_timeout(&mut self, socket: Handle, timeout: Duration) {
        let now = self.clock.now();
        self.reactor.set_idle_timeout(socket, timeout, now);
    }

    /// `connect()` to an address or a name. `Some` when a lookup of the user's is to be called now.
    pub(crate) fn connect(
        &mut self,
        socket: Handle,
        host: &str,
        port: u16,
        plan: ConnectPlan,
    ) -> Result<Option<(LookupId, LookupRequest)>, Error> {
        let epoch = self.reactor.begin_connect(socket)?;
        let ConnectPlan { family, hints, local, attempt_timeout, race, custom_lookup } = plan;
        if let Some(mut address) = resolver::parse_address(host) {
            address.set_port(port);
            self.reactor.attempt_later(socket, Target { address, text: host.into(), local });
            return Ok(None);
        }
        // Several addresses are tried only where nothing decides for one of them (rule C20).
        let all = family.is_none() && local.address.is_none();
        let attempt_timeout = attempt_timeout.filter(|_| all);
        let hints = if family.is_none() && hints == LookupHints::NONE { LookupHints::ADDRCONFIG } else { hints };
        let query = Query { host: host.into(), family, hints };
        let route = Box::new(Route { host: host.into(), port, local, attempt_timeout, race });
        let id = self.new_lookup(LookupOwner::Connect { socket, epoch, route });
        self.reactor.connect_lookup_started(socket, id);
        if custom_lookup {
            return Ok(Some((id, LookupRequest::new(query, attempt_timeout.is_some()))));
        }
        self.ask_resolver(id, query);
        Ok(None)
    }

    /// `connect()` to a unix socket, which emits within the call.
    pub(crate) fn connect_path(&mut self, socket: Handle, path: &Path) -> Result<(), Error> {
        let epoch = self.reactor.begin_connect(socket)?;
        self.reactor.connect_path(socket, epoch, PathTarget::new(path.into()));
        Ok(())
    }

    // Servers.

    pub(crate) fn new_server(&mut self, settings: ServerSettings) -> Handle {
        let server = self.reactor.new_server(settings);
        if let Some(left) = self.servers.open(server) {
            self.graves.push(Grave::Attachment { _left: left });
        }
        server
    }

    /// `listen()`, after its callback was registered. The caller has checked [`Reactor::can_listen`].
    pub(crate) fn listen(&mut self, server: Handle, host: Option<&str>, request: ListenRequest) -> Result<(), Error> {
        let listening_id = self.reactor.begin_listen(server, request)?;
        match host {
            None => self.reactor.listen_anywhere(server),
            Some(host) => match resolver::parse_address(host) {
                Some(address) => self.reactor.listen_later(server, listening_id, address),
                None => self.look_up(host, LookupOwner::Listen { server, listening_id, host: host.into() }),
            },
        }
        Ok(())
    }

    pub(crate) fn drain_server(&mut self, server: Handle, timeout: Duration, callback: Callback) {
        let callback = self.callbacks.insert(callback);
        let now = self.clock.now();
        self.command(|reactor| reactor.drain_server(server, timeout, callback, now));
    }

    // Data of the user's.

    /// Puts data into the socket's slot; what was there, or what finds no slot, is buried.
    pub(crate) fn set_data(&mut self, socket: Handle, data: Box<dyn Any>) {
        let refused = match self.sockets.extras_mut(socket) {
            Some(extras) => extras.data.replace(data),
            None => Some(data),
        };
        self.graves.extend(refused.map(|data| Grave::Data { _data: data }));
    }

    /// Puts data back after `with_data`, unless the closure set new data meanwhile.
    pub(crate) fn return_data(&mut self, socket: Handle, data: Box<dyn Any>) {
        let place = self.sockets.extras_mut(socket).map(|extras| &mut extras.data);
        match place {
            Some(place) if place.is_none() => *place = Some(data),
            Some(_) | None => self.graves.push(Grave::Data { _data: data }),
        }
    }

    // The user's own read buffer.

    pub(crate) fn use_own_buffer(&mut self, socket: Handle, own: OwnBuffer) {
        let own = Box::new(own);
        let refused = match self.sockets.extras_mut(socket) {
            Some(extras) => extras.own_buffer.replace(own),
            None => Some(own),
        };
        self.reactor.use_own_buffer(socket);
        self.graves.extend(refused.map(|own| Grave::OwnBuffer { _own: own }));
    }

    pub(crate) fn own_buffer_served(&mut self, socket: Handle, own: Box<OwnBuffer>, go_on: bool) {
        if !go_on {
            self.reactor.stop_receiving(socket);
        }
        let place = self.sockets.extras_mut(socket).map(|extras| &mut extras.own_buffer);
        match place {
            Some(place) if place.is_none() => *place = Some(own),
            Some(_) | None => self.graves.push(Grave::OwnBuffer { _own: own }),
        }
    }

    // Text.

    /// Somebody listens to text: UTF-8, unless `set_encoding` says otherwise.
    pub(crate) fn listen_to_text(&mut self, socket: Handle) {
        self.sockets.want_text(socket);
    }

    /// The text of these bytes, if anybody listens to text. With an encoding set they are its UTF-8 already.
    pub(crate) fn text_for_listeners(&mut self, socket: Handle, bytes: &[u8]) -> Option<String> {
        let decoder = self.sockets.extras_if_any(socket)?.text.as_mut()?;
        let decoded = self.reactor.live(socket).is_some_and(|connection| connection.encoding().is_some());
        if decoded {
            return Some(String::from_utf8_lossy(bytes).into_owned());
        }
        let mut text = String::new();
        decoder.decode(bytes, &mut text);
        Some(text)
    }

    pub(crate) fn held_text(&mut self, socket: Handle) -> Option<String> {
        let decoder = self.sockets.extras_if_any(socket)?.text.as_mut()?;
        let mut text = String::new();
        decoder.end(&mut text);
        Some(text)
    }

    // Timers and ticks.

    pub(crate) fn next_tick(&mut self, callback: Box<dyn FnOnce()>) {
        let id = self.callbacks.insert(Callback::Call(callback));
        self.reactor.ticks.push(Tick::Call(id));
    }

    pub(crate) fn set_timer(&mut self, delay: Duration, repeat: bool, closure: Box<dyn FnMut()>) -> TimerKey {
        let id = self.callbacks.insert(Callback::Timer(Some(closure)));
        let kind = if repeat { TimerKind::Every(id) } else { TimerKind::Once(id) };
        let generation = self.reactor.next_generation().get();
        let now = self.clock.now();
        self.reactor.timers.insert(generation, delay, kind, true, now)
    }

    pub(crate) fn clear_timer(&mut self, timer: TimerKey) {
        let Some(kind) = self.reactor.timers.remove(timer) else { return };
        match kind {
            TimerKind::Once(id) | TimerKind::Every(id) => self.bury_callback(id),
            TimerKind::Idle(_)
            | TimerKind::Attempt(_)
            | TimerKind::Lookup
            | TimerKind::Retry
            | TimerKind::Bound(_)
            | TimerKind::Drain(_) => {}
        }
    }

    pub(crate) fn refresh_timer(&mut self, timer: TimerKey) {
        let now = self.clock.now();
        self.reactor.timers.arm(timer, now);
    }

    /// Begins the timer phase: the clock is read, if there is a timer that it could matter to.
    pub(crate) fn begin_timers(&mut self) {
        self.arm_bounds();
        self.clock_is_fresh = self.reactor.timers.next_expiry().is_some();
        if self.clock_is_fresh {
            let now = self.clock.now();
            self.measuring.time_moves_on(self.reactor.now());
            self.reactor.set_now(now);
            self.reactor.timers.begin(now);
        }
    }

    /// Arms the timers of bounds whose time began since the last look at them: counted from now, so that a callback that
    /// took long is not held against the socket.
    pub(crate) fn arm_bounds(&mut self) {
        if self.reactor.has_bounds_to_arm() {
            let now = self.clock.now();
            self.reactor.arm_bounds(now);
        }
    }

    pub(crate) fn next_due(&mut self) -> Option<Due> {
        let due = self.reactor.next_due();
        if due.is_some() {
            self.time_passed();
        }
        due
    }

    /// The loop is entered by who runs it.
    pub(crate) fn entered(&mut self) {
        self.time_passed();
        self.measuring.entered();
        if self.measuring.callbacks {
            self.callbacks_begin_now();
        }
    }

    /// The one turn that was asked for is over. Only who measures callbacks looks at the clock for that.
    pub(crate) fn turn_ended(&mut self) {
        if self.clock_is_fresh {
            self.measuring.turn_ends(self.reactor.now(), self.reactor.now());
        } else if self.measuring.callbacks {
            self.measuring.turn_ends(self.reactor.now(), self.clock.now());
        }
    }

    /// Code of the user's runs, or the loop is left: what the clock said is old.
    pub(crate) fn time_passed(&mut self) {
        self.clock_is_fresh = false;
    }

    /// Whether a phase between the poll and the timers has anything to do.
    pub(crate) fn has_work_before_timers(&self) -> bool {
        self.reactor.has_pending() || self.reactor.has_closing() || !self.immediates.is_empty()
    }

    /// A timer's callback returned or panicked: an interval is armed from the start of its callback (rule TM4); a
    /// one-shot timer that was not refreshed is over.
    pub(crate) fn timer_served(
        &mut self,
        timer: TimerKey,
        callback: CallbackId,
        closure: Box<dyn FnMut()>,
        started: Time,
    ) {
        let Some(kind) = self.reactor.timers.kind(timer) else {
            // Cleared by its own callback.
            self.graves.push(Grave::Callback { _callback: Callback::Timer(Some(closure)) });
            return;
        };
        self.callbacks.return_timer(callback, closure);
        match kind {
            TimerKind::Every(_) => self.reactor.timers.arm(timer, started),
            TimerKind::Once(_) if !self.reactor.timers.armed(timer) => self.clear_timer(timer),
            TimerKind::Once(_)
            | TimerKind::Idle(_)
            | TimerKind::Attempt(_)
            | TimerKind::Lookup
            | TimerKind::Retry
            | TimerKind::Bound(_)
            | TimerKind::Drain(_) => {}
        }
    }

    fn bury_callback(&mut self, id: CallbackId) {
        if let Some(callback) = self.callbacks.take(id) {
            self.graves.push(Grave::Callback { _callback: callback });
        }
    }

    pub(crate) fn set_immediate(&mut self, callback: Box<dyn FnOnce()>) -> Handle {
        let generation = self.reactor.next_generation();
        self.immediates.insert(generation, callback)
    }

    pub(crate) fn clear_immediate(&mut self, immediate: Handle) {
        if let Some(callback) = self.immediates.remove(immediate) {
            self.graves.push(Grave::Immediate { _callback: callback });
        }
    }

    pub(super) fn bury_entries(&mut self, entries: impl IntoIterator<Item = Entry>) {
        self.graves.extend(entries.into_iter().map(|entry| Grave::Entry { _entry: entry }));
    }

    /// Whether a callback leaves nothing behind: no ticks, nothing to drop, no error to return.
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        self.reactor.ticks.is_empty()
            && self.graves.is_empty()
            && !self.reactor.has_graves()
            && self.foreign_errors.is_empty()
            && self.unreported.is_none()
    }

    pub(crate) fn has_graves(&self) -> bool {
        !self.graves.is_empty() || self.reactor.has_graves() || self.foreign_errors.iter().any(Error::is_sole_owner)
    }

    /// Everything that nothing needs any more, for `emit` to drop.
    pub(crate) fn take_graves(&mut self) -> Vec<Grave> {
        if self.reactor.has_graves() {
            self.collect_graves();
        }
        if !self.foreign_errors.is_empty() {
            self.collect_errors();
        }
        std::mem::replace(&mut self.graves, std::mem::take(&mut self.spare_graves))
    }

    /// The room of what was taken, for the next time.
    pub(crate) fn return_empty_graves(&mut self, graves: Vec<Grave>) {
        if graves.is_empty() && graves.capacity() <= KEPT_GRAVES {
            self.spare_graves = graves;
        }
    }

    #[cold]
    fn collect_errors(&mut self) {
        let (dead, alive) = std::mem::take(&mut self.foreign_errors).into_iter().partition(Error::is_sole_owner);
        self.foreign_errors = alive;
        let dead: Vec<Error> = dead;
        self.graves.extend(dead.into_iter().map(|error| Grave::Error { _error: error }));
    }

    #[cold]
    fn collect_graves(&mut self) {
        let bytes = self.reactor.drain_graveyard();
        self.graves.extend(bytes.map(|bytes| Grave::Bytes { _bytes: bytes }));
        self.reactor.shrink_graveyard();
        for lookup in self.reactor.take_abandoned_lookups() {
            let _ = self.take_lookup(lookup);
        }
        let (sockets, servers) = self.reactor.take_freed();
        for &socket in &sockets {
            self.forget_missed(socket);
            let left = self.sockets.close(socket);
            self.graves.extend(left.map(|left| Grave::Attachment { _left: left }));
        }
        self.reactor.return_freed(sockets);
        for server in servers {
            self.remove_filter(server);
            self.forget_missed(server);
            let left = self.servers.close(server);
            self.graves.extend(left.map(|left| Grave::Attachment { _left: left }));
        }
        self.sockets.shrink();
        self.servers.shrink();
        self.callbacks.shrink();
    }

    /// What listeners missed reaches nobody any more, or has reached them.
    pub(super) fn bury_missed(&mut self, missed: impl IntoIterator<Item = Missed>) {
        self.graves.extend(missed.into_iter().map(|missed| Grave::Missed { _missed: missed }));
    }

    pub(super) fn forget_missed(&mut self, owner: Handle) {
        let missed = self.running.forget(owner);
        self.bury_missed(missed);
    }

    /// Whether anything keeps `run()` going, apart from guards and posts.
    pub(crate) fn is_alive(&self) -> bool {
        #[cfg(feature = "simulation")]
        if self.has_scheduled_calls() {
            return true;
        }
        self.reactor.is_alive() || self.immediates.any_referenced()
    }
}

/// Which tables a server's events are in: any of its events will do.
pub(crate) const SERVER_EVENTS: Event = Event::Server(ServerEvent::Close);
/// The same for sockets.
pub(crate) const SOCKET_EVENTS: Event = Event::Socket(SocketEvent::Close);
