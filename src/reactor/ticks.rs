//! The tick queue: the one FIFO of everything deferred (rule M2), and the steps that a callback still owes.
//!
//! Two structures with different jobs. The *queue* is Node's deferred queue: the library's ticks and the user's
//! `next_tick` share it. The *steps* are a stack: what remains of the callback or tick that is running. Every piece of
//! user code is entered by one step, and what must follow it lies on the stack before it runs; so a listener that
//! panics, or an unhandled error that makes `run()` return, loses nothing.
//!
//! This module touches nothing. Invariant: the queue is looked at only when the stack is empty.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::error::Error;
use crate::reactor::admission::{Ends, PauseReason};
use crate::reactor::bytes::Completion;
use crate::reactor::draining::DrainReport;
use crate::reactor::selecting::Route;
use crate::reactor::target::{PathTarget, Target};
use crate::reactor::watching::Found;
use crate::reactor::{CallbackId, Handle, Internal};
use crate::sys::Stream;

/// An entry of the deferred queue.
pub(crate) enum Tick {
    /// The user's `next_tick`.
    Call(CallbackId),
    /// A callback that is owed an answer.
    Complete {
        owner: Handle,
        callback: CallbackId,
        error: Option<Error>,
    },
    /// A connection's own business. `epoch` is that of the connection the tick belongs to.
    Connection {
        socket: Handle,
        epoch: u32,
        tick: ConnectionTick,
    },
    Server {
        server: Handle,
        tick: ServerTick,
    },
}

/// Node's deferred functions of a stream and of `net.Socket`; each names the one it stands for.
pub(crate) enum ConnectionTick {
    /// `lookupAndConnect`'s tick for an address that needs no lookup.
    Attempt(Box<Target>),
    /// `connectErrorNT`.
    LookupFailed(Error),
    /// `maybeReadMore_`
    ReadMore,
    /// `emitReadable_`
    EmitReadable,
    /// `resume_`
    Resume,
    /// `nReadingNextTick`
    ReadZero,
    /// `updateReadableListening`
    UpdateReadableListening,
    /// `endReadableNT`
    End,
    /// `endWritableNT`: the automatic `end()` (rule L16).
    AutoEnd,
    /// `afterWriteTick`
    AfterWrite(Completion),
    /// No function of Node's: the end of a batch, where `process.nextTick(() => socket.uncork())` would be.
    SendBatch,
    /// No function of Node's: a write was refused, and the socket goes on.
    WriteRefused(Error),
    /// `onwriteError`
    WriteFailed(Completion, Error),
    /// `errorBuffer`
    ErrorBuffer,
    /// `finish`
    Finish,
    /// `emitErrorCloseNT`
    ErrorThenClosed(Error),
    /// The stream's `emitCloseNT`: sockets emit `close` themselves, this only marks it.
    Closed,
    /// `net`'s `emitCloseNT`, for a socket without a handle (rule M6).
    EmitClose,
}

pub(crate) enum ServerTick {
    /// The lookup of an address that needs none (rule S3). `listening_id` is that of the `listen()` call.
    Found {
        listening_id: u64,
        address: SocketAddr,
    },
    Listening,
    Error(Error),
    Close,
    /// It accepts connections again.
    Resumed,
    /// The connections that it drained are gone, or their time is over.
    Drained {
        callbacks: Vec<CallbackId>,
        report: DrainReport,
    },
    /// `close()`, because the abort signal was aborted before `listen()`.
    Abort,
}

/// What remains to be done within the running callback or tick.
pub(crate) enum Step {
    /// Enters user code.
    Emit(Emission),
    /// `flow()`: one buffered chunk after the other.
    Flow { socket: Handle },
    /// An internal listener whose emission was cut short by a panic.
    Internal { socket: Handle, epoch: u32, internal: Internal },
    /// The end of `push(chunk)`, after its `data` listeners.
    Pushed { socket: Handle },
    /// The end of `unshift(chunk)`, after its `data` listeners.
    Unshifted { socket: Handle },
    /// The end of `emitReadable_`, after the `readable` listeners.
    ReadableEmitted { socket: Handle, emitted: bool },
    /// The end of `pause()`, after the `pause` listeners.
    Paused { socket: Handle },
    /// `read(0)`, after what had to flow first.
    ReadZero { socket: Handle },
    /// The end of `resume_`.
    Resumed { socket: Handle },
    /// The end of `endReadableNT`, after the `end` listeners.
    EndEmitted { socket: Handle, epoch: u32 },
    /// The end of `finish`, after its listeners.
    FinishEmitted { socket: Handle, epoch: u32 },
    /// The end of `afterWrite`, after the callbacks.
    WriteCompleted { socket: Handle, epoch: u32 },
    /// One write of `errorBuffer`, before its callback.
    WriteErrored { socket: Handle, epoch: u32, length: usize },
    /// The end of `errorBuffer`, after the callbacks.
    BufferErrored { socket: Handle, epoch: u32 },
    /// `errorBuffer`, after the callback of the write that failed.
    ErrorBuffer { socket: Handle, epoch: u32 },
    /// `destroy(error)`, after all callbacks of a failed write or the `connectionAttemptFailed` listeners.
    Destroy { socket: Handle, epoch: u32, error: Error },
    /// `connect(2)`, after the `connectionAttempt` listeners.
    StartConnect { socket: Handle, epoch: u32, target: Box<Target> },
    /// After the `ready` listeners.
    Connected { socket: Handle, epoch: u32 },
    /// The stream's `emitCloseNT`, after the `error` listeners.
    MarkClosed { socket: Handle, epoch: u32 },
    /// After the `close` listeners: the slot may be free now.
    CloseEmitted { socket: Handle },
    /// After the `lookup` listeners for one address: the event of the next, or the connecting.
    LookedUp { socket: Handle, epoch: u32, route: Box<Route>, addresses: Vec<SocketAddr>, next: usize },
    /// After the `lookup` listeners for an error.
    LookupFailed { socket: Handle, epoch: u32, error: Error },
    /// `internalConnectMultiple`, after the listeners that were told about the attempt before.
    AttemptNext { socket: Handle, epoch: u32 },
    /// `connect(2)` to a unix socket, after the `connectionAttempt` listeners.
    StartConnectPath { socket: Handle, epoch: u32, target: Box<PathTarget> },
    /// After the `drop` listeners: the connection that was not let in is closed.
    TurnAway { stream: Stream },
    /// After the callback of a watch: its descriptor is asked for again.
    Watched { watch: Handle },
}

/// One entry into user code, or a question that only the listener tables can answer.
pub(crate) enum Emission {
    Call(CallbackId),
    /// What listeners missed that panicked, which is known on the floor above.
    Missed,
    /// No emission: whether `socket` has `readable` listeners, for [`super::Reactor::update_readable_listening`].
    CountReadable {
        socket: Handle,
    },
    Complete {
        owner: Handle,
        callback: CallbackId,
        error: Option<Error>,
    },
    Attempt {
        socket: Handle,
        target: Box<Target>,
    },
    AttemptFailed {
        socket: Handle,
        target: Box<Target>,
        error: Error,
    },
    /// An event without arguments.
    Plain {
        socket: Handle,
        event: PlainEvent,
    },
    /// A chunk that had been buffered.
    Data {
        socket: Handle,
        bytes: Box<[u8]>,
    },
    Error {
        socket: Handle,
        error: Error,
    },
    WriteRefused {
        socket: Handle,
        error: Error,
    },
    /// `epoch` is that of the connection that closed, which need not be the socket's latest.
    Close {
        socket: Handle,
        epoch: u32,
        had_error: bool,
    },
    Listening {
        server: Handle,
    },
    Connection {
        server: Handle,
        socket: Handle,
    },
    ServerError {
        server: Handle,
        error: Error,
    },
    /// Accepting fails for want of something, for the first time in a while.
    AcceptFailed {
        server: Handle,
        error: Error,
    },
    ServerClose {
        server: Handle,
    },
    /// One address, or the error of a lookup.
    Lookup {
        socket: Handle,
        host: Arc<str>,
        answer: Result<SocketAddr, Error>,
    },
    AttemptTimedOut {
        socket: Handle,
        target: Box<Target>,
    },
    PathAttempt {
        socket: Handle,
        target: Box<PathTarget>,
    },
    PathAttemptFailed {
        socket: Handle,
        target: Box<PathTarget>,
        error: Error,
    },
    Dropped {
        server: Handle,
        ends: Box<Ends>,
    },
    /// A connection was accepted, and the user's filter is to say what becomes of it.
    Filter {
        server: Handle,
        stream: Stream,
        peer: Option<SocketAddr>,
    },
    ServerPaused {
        server: Handle,
        reason: PauseReason,
    },
    ServerResumed {
        server: Handle,
    },
    Drained {
        server: Handle,
        callback: CallbackId,
        report: DrainReport,
    },
    /// A foreign descriptor is ready.
    Watch {
        watch: Handle,
        found: Found,
    },
    /// A foreign descriptor cannot be watched any longer: `run` returns the error.
    WatchFailed {
        error: Error,
    },
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum PlainEvent {
    Connect,
    Ready,
    End,
    Finish,
    Drain,
    Timeout,
    Readable,
    Pause,
    Resume,
}

/// The deferred queue and the stack of steps.
#[derive(Default)]
pub(crate) struct Ticks {
    queue: VecDeque<Tick>,
    steps: Vec<Step>,
    /// How many entries of the queue the running callback has been followed by; 0 in the callback itself.
    served: u64,
}

impl Ticks {
    /// `process.nextTick`.
    pub(crate) fn push(&mut self, tick: Tick) {
        self.queue.push_back(tick);
    }

    /// Puts `step` in front of all that remains. Several steps are pushed last one first.
    pub(crate) fn then(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub(crate) fn then_all(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.steps.extend(steps);
    }

    pub(crate) fn then_emit(&mut self, emission: Emission) {
        self.steps.push(Step::Emit(emission));
    }

    pub(crate) fn pop_step(&mut self) -> Option<Step> {
        self.steps.pop()
    }

    pub(crate) fn depth(&self) -> usize {
        self.steps.len()
    }

    pub(crate) fn pop_tick(&mut self) -> Option<Tick> {
        let tick = self.queue.pop_front()?;
        self.served += 1;
        Some(tick)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.steps.is_empty()
    }

    /// A new callback of the loop begins.
    pub(crate) fn begin_callback(&mut self) {
        self.served = 0;
    }

    pub(crate) fn served(&self) -> u64 {
        self.served
    }
}
