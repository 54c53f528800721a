//! Floor 2: the reactor. Servers, connections and timers as state machines, and everything they owe.
//!
//! | file | subject |
//! |---|---|
//! | [`handle`] | handles, tokens, generations |
//! | [`connection`] | what a connection is: `ReadSide` × `WriteSide` + `Link` |
//! | [`flags`] | booleans as bits with names |
//! | [`rare`] | what a connection seldom has, in a box of its own |
//! | [`peer`] | where it is connected to, in one word |
//! | [`connections`] | all of them, and which do the usual thing next |
//! | [`connecting`], [`target`] | from `connect()` to `connect` |
//! | [`selecting`] | from a lookup's addresses to the one that gets connected |
//! | [`reading`] | the readable side in motion |
//! | [`writing`] | the writable side in motion |
//! | [`transmitting`] | what remains of a write, offered to the kernel |
//! | [`retrying`] | what failed for want of memory or descriptors, and is tried again |
//! | [`buffering`] | how much output may wait |
//! | [`batching`] | writes that are held back to go out together |
//! | `spares` | memory that is kept for writes that wait |
//! | [`plain`] | the usual way of a read and of a write |
//! | [`closing`] | `destroy()` and the closing phase |
//! | [`servers`] | listening and accepting |
//! | [`draining`] | ending a server's connections, within a time |
//! | [`unix`] | listening at and connecting to paths |
//! | [`admission`] | who is let in |
//! | [`adopting`] | descriptors that come in from outside, and go out again |
//! | [`idle`] | the idle timeout |
//! | [`bounds`], [`timeouts`] | time limits |
//! | [`timers`], [`timer_kind`] | Node's timer lists, and what is in them |
//! | [`ticks`] | the deferred queue, and what a callback still owes |
//! | [`ready`] | readiness that no new kernel event will announce |
//! | [`serving`] | the poll and pending phases, one callback at a time |
//! | [`watching`] | foreign descriptors |
//! | [`stamping`] | reads with the kernel's time stamps |
//! | [`counters`], [`histogram`] | what is counted, for who asks |
//! | [`properties`] | what can be asked of a connection |
//! | `snapshot` | what decides its next step, for a test |
//! | [`text_decoder`] | the encodings of `setEncoding` |
//! | [`bytes`] | outgoing bytes, and who waits for them |
//!
//! Facts go in (a token is ready, a command was given), decisions come out: an [`Emission`] names the user code to enter
//! next. The reactor never enters it, holds no closure and reads no clock; callbacks are numbers to it
//! ([`CallbackId`]). It may touch `sys` (floor 1) and the vocabulary in `error`.
//!
//! Invariants: every transition runs to its end within one call; what has to follow user code lies on the stack of
//! [`ticks::Step`]s before that code runs; a stale handle finds nothing ([`Reactor::live`]).

pub(crate) mod admission;
pub(crate) mod adopting;
pub(crate) mod batching;
pub(crate) mod bounds;
pub(crate) mod buffering;
pub(crate) mod bytes;
pub(crate) mod closing;
pub(crate) mod connecting;
pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod counters;
pub(crate) mod draining;
pub(crate) mod flags;
pub(crate) mod handle;
pub(crate) mod histogram;
pub(crate) mod idle;
pub(crate) mod peer;
pub(crate) mod plain;
pub(crate) mod properties;
pub(crate) mod rare;
pub(crate) mod reading;
pub(crate) mod ready;
pub(crate) mod retrying;
pub(crate) mod selecting;
pub(crate) mod servers;
pub(crate) mod serving;
#[cfg(test)]
#[cfg(feature = "simulation")]
pub(crate) mod snapshot;
mod spares;
pub(crate) mod stamping;
pub(crate) mod target;
pub(crate) mod text_decoder;
pub(crate) mod ticks;
pub(crate) mod timeouts;
pub(crate) mod timer_kind;
pub(crate) mod timers;
pub(crate) mod transmitting;
pub(crate) mod unix;
pub(crate) mod watching;
pub(crate) mod writing;

use std::collections::VecDeque;

use slab::Slab;

use crate::reactor::buffering::Buffered;
use crate::reactor::bytes::QueuedBytes;
use crate::reactor::closing::Closing;
use crate::reactor::connection::{Connection, ConnectionOptions, Link};
use crate::reactor::connections::Connections;
use crate::reactor::counters::Counters;
use crate::reactor::handle::Generations;
pub(crate) use crate::reactor::handle::{Generation, Handle};
use crate::reactor::ready::ReadyList;
use crate::reactor::retrying::Retries;
use crate::reactor::selecting::LookupId;
use crate::reactor::servers::Server;
use crate::reactor::serving::Serving;
use crate::reactor::spares::Spares;
use crate::reactor::stamping::Stamps;
use crate::reactor::ticks::{ConnectionTick, Emission, Step, Tick, Ticks};
pub(crate) use crate::reactor::timer_kind::TimerKind;
use crate::reactor::timers::{TimerKey, Timers};
use crate::reactor::watching::Watches;
use crate::sys::Poller;
use crate::sys::Reserve;
use crate::sys::Time;

/// A one-shot callback that the event loop keeps: the reactor knows only its number.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct CallbackId(pub(crate) u32);

/// A timer that is due.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    User {
        timer: TimerKey,
        callback: CallbackId,
    },
    /// Its `timeout` event lies on the stack of steps.
    Idle,
    /// Its `connectionAttemptTimeout` event lies there.
    Attempt,
    /// The resolver did not answer.
    Lookup(TimerKey),
    /// A socket was destroyed because one of its time limits was reached.
    Bound,
    /// What a server still had was reset.
    Drain,
}

/// What Node registers as a listener of its own, because its place among the user's listeners shows (rules L5, L8,
/// L43, L45, R5). The event loop keeps them in the listener tables and calls [`Reactor::run_internal`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Internal {
    /// On `connect`: the first write that waited goes out.
    FlushWrites,
    /// On `close`: it never will.
    FailWrites,
    /// On `connect`: `end()` was called while connecting.
    ShutDown,
    /// On `connect`: `resetAndDestroy()` was called while connecting.
    Reset,
    /// On `finish`: `destroySoon()`.
    Destroy,
    /// On `connect`: `ref()` or `unref()` before there was a handle.
    Reference,
    Unreference,
}

/// What libuv postpones to the pending phase.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Pending {
    ShutDown {
        socket: Handle,
        epoch: u32,
    },
    /// connect(2) was refused within the call.
    Refused {
        socket: Handle,
        epoch: u32,
    },
}

/// For how many graves and freed sockets there is always room, made before the first connection for the reason that the
/// event loop's graves have.
const KEPT_GRAVES: usize = 16;

pub(crate) struct Reactor {
    connections: Connections,
    servers: Slab<Server>,
    watches: Watches,
    pub(crate) timers: Timers<TimerKind>,
    generations: Generations,
    poller: Poller,
    reserve: Reserve,
    retries: Retries,
    pub(crate) ticks: Ticks,
    pending: VecDeque<Pending>,
    /// What the running round of the pending phase still has to serve.
    pending_now: VecDeque<Pending>,
    ready: ReadyList,
    serving: Serving,
    closing: Vec<Closing>,
    closing_now: Vec<Closing>,
    /// The time of this turn: read after every wait and when the timer phase advances.
    now: Time,
    /// Active handles that are referenced, and requests in flight (rule R1).
    handles: usize,
    requests: usize,
    /// Internal listeners that a command asked for; the event loop collects them when the command returns.
    internal_requests: Vec<(Handle, u32, Internal)>,
    /// What users gave us to own and nothing needs any more. Dropping may run user code, so the event loop does it.
    graveyard: Vec<QueuedBytes>,
    spares: Spares,
    /// Slots that were freed: their listeners and data go to the graveyard too.
    freed: Vec<Handle>,
    freed_servers: Vec<Handle>,
    /// Lookups that nobody waits for any more; the event loop takes them out of the resolver's queue.
    abandoned_lookups: Vec<LookupId>,
    /// When the attempt that is about to start was announced.
    attempt_began: Time,
    /// Sockets whose bounds are to be looked at, because what they bound began or ended.
    changed_bounds: Vec<Handle>,
    buffered: Buffered,
    counters: Counters,
    /// There where the kernel's receive time stamps are wanted.
    stamps: Option<Box<Stamps>>,
}

impl Reactor {
    pub(crate) fn new(
        last_generation: u64,
        budgets: serving::Budgets,
        most_buffered: Option<usize>,
        poller: Poller,
    ) -> Reactor {
        let mut connections = Connections::default();
        if most_buffered.is_some() {
            connections.look_at_writes();
        }
        Reactor {
            connections,
            servers: Slab::new(),
            watches: Watches::default(),
            timers: Timers::new(),
            generations: Generations::after(last_generation),
            poller,
            reserve: Reserve::new(),
            retries: Retries::default(),
            ticks: Ticks::default(),
            pending: VecDeque::new(),
            pending_now: VecDeque::new(),
            ready: ReadyList::default(),
            serving: Serving::new(budgets),
            closing: Vec::new(),
            closing_now: Vec::new(),
            now: Time::ZERO,
            handles: 0,
            requests: 0,
            internal_requests: Vec::new(),
            graveyard: Vec::with_capacity(KEPT_GRAVES),
            spares: Spares::new(),
            freed: Vec::with_capacity(KEPT_GRAVES),
            freed_servers: Vec::new(),
            abandoned_lookups: Vec::new(),
            attempt_began: Time::ZERO,
            changed_bounds: Vec::new(),
            buffered: Buffered::new(most_buffered),
            counters: Counters::default(),
            stamps: None,
        }
    }

    pub(crate) fn last_generation(&self) -> u64 {
        self.generations.last()
    }

    pub(crate) fn next_generation(&mut self) -> Generation {
        self.generations.next()
    }

    /// The time of this turn.
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// The event loop read the clock.
    pub(crate) fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    pub(crate) fn new_connection(&mut self, options: &ConnectionOptions) -> Handle {
        let socket = Handle::new(self.connections.next_index(), self.generations.next());
        self.connections.insert(Connection::new(socket, options));
        socket
    }

    /// The generation of a new descriptor of this socket: the first has that of the handle.
    fn new_descriptor(&mut self, socket: Handle) -> Generation {
        match self.live(socket) {
            Some(connection) if !connection.descriptor_used() => {
                connection.set_descriptor_used(true);
                socket.generation()
            }
            Some(_) | None => self.generations.next(),
        }
    }

    /// Whether anything keeps `run()` going: active handles, requests, timers and closings (rules R1-R9).
    pub(crate) fn is_alive(&self) -> bool {
        self.handles > 0
            || self.requests > 0
            || !self.closing.is_empty()
            || !self.closing_now.is_empty()
            || self.timers.referenced_count() > 0
            || !self.ticks.is_empty()
    }

    pub(crate) fn connection_count(&self) -> usize {
        self.connections.len()
    }

    pub(crate) fn server_count(&self) -> usize {
        self.servers.len()
    }

    /// The next entry into user code that the running callback and its ticks lead to.
    pub(crate) fn next_emission(&mut self) -> Option<Emission> {
        // Bounded by the tick queue, which is drained completely (rule M2).
        loop {
            if let Some(emission) = self.next_emission_above(0) {
                return Some(emission);
            }
            let tick = self.ticks.pop_tick()?;
            if let Some(emission) = self.run_tick(tick) {
                return Some(emission);
            }
        }
    }

    /// The same, for the steps above `depth` only: what an internal listener led to, in the middle of an emission.
    pub(crate) fn next_emission_above(&mut self, depth: usize) -> Option<Emission> {
        // Bounded by the steps of one callback: each round takes one off.
        while self.ticks.depth() > depth {
            match self.ticks.pop_step()? {
                Step::Emit(emission) => return Some(emission),
                Step::Internal { socket, epoch, internal } => self.run_internal(socket, epoch, internal),
                Step::Unshifted { socket } => self.schedule_read_more(socket),
                Step::ReadableEmitted { socket, emitted } => self.readable_emitted(socket, emitted),
                Step::Paused { socket } => self.paused(socket),
                Step::Pushed { socket } => self.pushed(socket),
                Step::Flow { socket } => self.flow(socket),
                Step::ReadZero { socket } => self.read_zero(socket),
                Step::Resumed { socket } => self.resumed(socket),
                Step::EndEmitted { socket, epoch } => self.end_emitted(socket, epoch),
                Step::FinishEmitted { socket, epoch } => self.finish_emitted(socket, epoch),
                Step::WriteCompleted { socket, epoch } => self.write_completed(socket, epoch),
                Step::WriteErrored { socket, epoch, length } => self.write_errored(socket, epoch, length),
                Step::BufferErrored { socket, epoch } => self.buffer_errored(socket, epoch),
                Step::ErrorBuffer { socket, epoch } => {
                    if self.current(socket, epoch).is_some() {
                        self.error_buffer(socket);
                    }
                }
                Step::Destroy { socket, epoch, error } => {
                    if self.current(socket, epoch).is_some() {
                        self.destroy(socket, Some(error));
                    }
                }
                Step::StartConnect { socket, epoch, target } => self.start_connect(socket, epoch, target),
                Step::Connected { socket, epoch } => self.connect_emitted(socket, epoch),
                Step::MarkClosed { socket, epoch } => self.mark_closed(socket, epoch),
                Step::CloseEmitted { socket } => self.close_emitted(socket),
                Step::LookedUp { socket, epoch, route, addresses, next } => {
                    self.looked_up(socket, epoch, route, addresses, next);
                }
                Step::LookupFailed { socket, epoch, error } => self.lookup_failed(socket, epoch, error),
                Step::AttemptNext { socket, epoch } => self.attempt_next(socket, epoch),
                Step::StartConnectPath { socket, epoch, target } => self.start_connect_path(socket, epoch, target),
                Step::TurnAway { stream } => drop(stream),
                Step::Watched { watch } => self.watched(watch),
            }
        }
        None
    }

    fn run_tick(&mut self, tick: Tick) -> Option<Emission> {
        match tick {
            Tick::Call(callback) => Some(Emission::Call(callback)),
            Tick::Complete { owner, callback, error } => Some(Emission::Complete { owner, callback, error }),
            Tick::Server { server, tick } => self.server_tick(server, tick),
            Tick::Connection { socket, epoch, tick } => {
                self.run_connection_tick(socket, epoch, tick);
                None
            }
        }
    }

    /// The first group belongs to the socket, whichever connection it has by now; the second is owed in any case; the
    /// third belongs to one connection.
    fn run_connection_tick(&mut self, socket: Handle, epoch: u32, tick: ConnectionTick) {
        let current = self.current(socket, epoch).is_some();
        match tick {
            ConnectionTick::ReadMore => self.read_more(socket),
            ConnectionTick::EmitReadable => self.emit_readable_now(socket),
            ConnectionTick::Resume => self.resume_now(socket),
            ConnectionTick::ReadZero => self.read_zero(socket),
            ConnectionTick::UpdateReadableListening => {
                self.ticks.then_emit(Emission::CountReadable { socket });
            }

            ConnectionTick::ErrorThenClosed(error) => self.error_then_closed(socket, epoch, error),
            ConnectionTick::EmitClose => self.emit_detached_close(socket, epoch),
            ConnectionTick::Closed => self.mark_closed(socket, epoch),
            ConnectionTick::AfterWrite(completion) if !current => self.complete_now(socket, completion, None),
            ConnectionTick::SendBatch | ConnectionTick::WriteRefused(_) if !current => {}
            ConnectionTick::WriteFailed(completion, error) if !current => {
                self.complete_now(socket, completion, Some(&error));
            }

            ConnectionTick::AfterWrite(completion) => self.after_write(socket, completion),
            ConnectionTick::WriteFailed(completion, error) => self.write_failed(socket, completion, error),
            ConnectionTick::WriteRefused(error) => self.emit_write_refused(socket, error),
            ConnectionTick::SendBatch => self.batch_is_over(socket),
            ConnectionTick::Attempt(target) => self.attempt(socket, epoch, target),
            ConnectionTick::Finish => self.finish(socket, epoch),
            ConnectionTick::LookupFailed(error) if current => self.destroy(socket, Some(error)),
            ConnectionTick::End if current => self.end_reached(socket, epoch),
            ConnectionTick::AutoEnd if current => self.auto_end(socket),
            ConnectionTick::ErrorBuffer if current => self.error_buffer(socket),
            ConnectionTick::LookupFailed(_)
            | ConnectionTick::End
            | ConnectionTick::AutoEnd
            | ConnectionTick::ErrorBuffer => {}
        }
    }

    /// Runs an internal listener at its place in an emission. One that belongs to an earlier connection does nothing.
    pub(crate) fn run_internal(&mut self, socket: Handle, epoch: u32, internal: Internal) {
        let Some(connection) = self.live(socket) else { return };
        let current = connection.epoch() == epoch;
        match internal {
            Internal::FlushWrites if current => self.flush_awaiting(socket),
            Internal::FailWrites if current => self.fail_awaiting(socket),
            Internal::ShutDown if current => self.shut_down(socket),
            Internal::Destroy if current => self.destroy(socket, None),
            Internal::Reset if current => self.reset(socket),
            // Asked for before the handle that a later connection has: they hold for whichever comes first (rule R5).
            Internal::Reference => self.set_referenced(socket, true),
            Internal::Unreference => self.set_referenced(socket, false),
            Internal::FlushWrites | Internal::FailWrites | Internal::ShutDown | Internal::Destroy | Internal::Reset => {
            }
        }
    }

    /// Asks the event loop to put an internal listener among the socket's listeners.
    pub(crate) fn request(&mut self, socket: Handle, internal: Internal) {
        if let Some(connection) = self.live(socket) {
            let epoch = connection.epoch();
            self.internal_requests.push((socket, epoch, internal));
        }
    }

    pub(crate) fn has_internal_requests(&self) -> bool {
        !self.internal_requests.is_empty()
    }

    pub(crate) fn take_internal_requests(&mut self) -> Vec<(Handle, u32, Internal)> {
        std::mem::take(&mut self.internal_requests)
    }

    pub(crate) fn has_graves(&self) -> bool {
        !self.graveyard.is_empty()
            || !self.freed.is_empty()
            || !self.freed_servers.is_empty()
            || !self.abandoned_lookups.is_empty()
    }

    pub(crate) fn drain_graveyard(&mut self) -> impl Iterator<Item = QueuedBytes> + '_ {
        self.graveyard.drain(..)
    }

    /// Gives back what room a burst needed.
    pub(crate) fn shrink_graveyard(&mut self) {
        if self.graveyard.capacity() > KEPT_GRAVES {
            self.graveyard.shrink_to(KEPT_GRAVES);
        }
    }

    pub(crate) fn take_freed(&mut self) -> (Vec<Handle>, Vec<Handle>) {
        (std::mem::take(&mut self.freed), std::mem::take(&mut self.freed_servers))
    }

    /// The room of the freed sockets that were taken, for the next ones.
    pub(crate) fn return_freed(&mut self, mut freed: Vec<Handle>) {
        if freed.capacity() <= KEPT_GRAVES {
            freed.clear();
            self.freed = freed;
        }
    }

    /// `ref()` and `unref()` of a socket with a handle.
    pub(crate) fn set_referenced(&mut self, socket: Handle, referenced: bool) {
        if let Some(connection) = self.live(socket) {
            connection.set_referenced(referenced);
            self.count(socket);
        }
    }

    /// The connection that `socket` names, if it still lives there.
    pub(crate) fn live(&mut self, socket: Handle) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(socket.index())?;
        if connection.handle == socket { Some(connection) } else { None }
    }

    /// The same, if the socket has not connected again since.
    fn current(&mut self, socket: Handle, epoch: u32) -> Option<&mut Connection> {
        self.live(socket).filter(|connection| connection.epoch() == epoch)
    }

    fn defer(&mut self, socket: Handle, tick: ConnectionTick) {
        if let Some(connection) = self.live(socket) {
            let epoch = connection.epoch();
            self.ticks.push(Tick::Connection { socket, epoch, tick });
        }
    }

    /// Keeps the count of active handles: a connection counts while it reads and is referenced (rules R1-R4).
    fn count(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let open = matches!(connection.link, Link::Open { .. });
        let counts = open && connection.read.receiving() && connection.referenced();
        if connection.counted() != counts {
            connection.set_counted(counts);
            if counts {
                self.handles += 1;
            } else {
                self.handles -= 1;
            }
        }
    }
}
