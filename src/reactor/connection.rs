//! A connection: the kernel-side object behind a `Socket`, as plain state.
//!
//! It is the *product* of two small machines, [`ReadSide`] × [`WriteSide`], plus a [`Link`]. Half-close is that product:
//! either side may be over while the other goes on, and only together do they end the connection. The transitions are in
//! the neighbouring files, one subject each.
//!
//! This module touches only `sys::Stream`, which it owns. Invariants: an idle connection owns no buffer (`write.queue`
//! and `read.buffer` are empty and unallocated); `counted` is true exactly while the connection keeps the loop alive by
//! reading.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::addresses::BlockList;
use crate::error::Error;
use crate::reactor::bytes::{Completion, QueuedBytes, WriteRequest};
use crate::reactor::ready::Readiness;
use crate::reactor::selecting::Outbound;
use crate::reactor::target::{PathTarget, Target};
use crate::reactor::text_decoder::{Encoding, TextDecoder};
use crate::reactor::timers::TimerKey;
use crate::reactor::{CallbackId, Generation, Handle};
use crate::sys::Stream;
use crate::sys::Time;
use crate::sys::Transport;
use crate::sys::errno::Errno;

pub(crate) struct Connection {
    pub(super) generation: Generation,
    /// Counts the connections of one socket: a tick of an earlier one does nothing to a later one.
    pub(super) epoch: u32,
    pub(super) link: Link,
    pub(super) read: ReadSide,
    pub(super) write: WriteSide,
    pub(super) readiness: Readiness,

    pub(super) destroyed: bool,
    pub(super) error_emitted: bool,
    /// Node's `closeEmitted`, which a tick sets before the `close` event itself comes.
    pub(super) close_marked: bool,
    /// The slot outlives `close`: `retain()`.
    pub(super) retained: bool,
    /// `close` listeners may still come: a closing entry or a tick names this slot.
    pub(super) close_owed: u32,
    pub(super) referenced: bool,
    /// Counts among the handles that keep the loop alive.
    pub(super) counted: bool,

    pub(super) allow_half_open: bool,
    /// Node replaces `write` when `end` is emitted (rule L52).
    pub(super) write_after_end_of_peer: bool,
    /// A read was asked for before there was anything to read from.
    pub(super) read_on_connect: bool,
    /// `resetAndDestroy()` came: closing sends RST.
    pub(super) reset: bool,
    pub(super) no_delay: bool,
    pub(super) keep_alive: bool,
    /// Whole seconds, as the kernel wants them.
    pub(super) keep_alive_delay: u64,
    /// Asked for, and set when the connection is established.
    pub(super) type_of_service: Option<u8>,
    /// An abort signal may destroy it: until it is destroyed for the first time.
    pub(super) abortable: bool,
    /// Whole seconds too; `None` and no count are libuv's own.
    pub(super) keep_alive_interval: Option<u32>,
    pub(super) keep_alive_count: Option<u32>,

    pub(super) errored: Option<Error>,
    /// The server that accepted it.
    pub(super) server: Option<Handle>,
    /// Among that server's live connections.
    pub(super) counted_by_server: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) idle: Idle,
    pub(super) bytes_read: u64,
    /// Bytes handed to the kernel or waiting in flight; what is only queued is added by the property (rule F12).
    pub(super) bytes_dispatched: u64,
    /// Where it is connected to; kept after it closed.
    pub(super) peer: Option<SocketAddr>,
    /// `remoteAddress` was read while connected (rule C44).
    pub(super) peer_was_read: bool,
    /// Where it must not connect to (rule C30).
    pub(super) block_list: Option<BlockList>,
    /// Lookups and the choice among several addresses.
    pub(super) outbound: Option<Box<Outbound>>,
    /// Bound already, for the first `connect()`: an adopted `BoundSocket`.
    pub(super) bound: Option<Stream>,
}

/// Whether there is a handle, in Node's sense, and what it is doing.
pub(crate) enum Link {
    /// No handle: never connected, or destroyed.
    Detached,
    /// From `connect()` to its success, failure or destruction. There is a descriptor once an attempt has begun.
    Connecting {
        attempt: Option<Attempt>,
    },
    Open {
        stream: Stream,
        descriptor: Generation,
    },
    /// The same as `Connecting`, to a unix socket: there is a descriptor after the `connectionAttempt` listeners.
    ConnectingPath {
        attempt: Option<Box<PathAttempt>>,
    },
}

/// A `connect(2)` on its way.
pub(crate) struct Attempt {
    pub(super) stream: Stream,
    pub(super) descriptor: Generation,
    pub(super) target: Box<Target>,
    /// The kernel refused within the call; reported from the pending phase, as libuv does.
    pub(super) refused: bool,
}

/// A `connect(2)` to a unix socket, which the kernel has decided and nobody was told yet.
pub(crate) struct PathAttempt {
    pub(super) stream: Stream,
    pub(super) descriptor: Generation,
    pub(super) target: Box<PathTarget>,
    /// Why it failed; reported from the pending phase, as libuv does.
    pub(super) failure: Option<Errno>,
}

impl Link {
    pub(crate) fn stream(&self) -> Option<&Stream> {
        match self {
            Link::Detached => None,
            Link::Connecting { attempt } => attempt.as_ref().map(|attempt| &attempt.stream),
            Link::Open { stream, .. } => Some(stream),
            Link::ConnectingPath { attempt } => attempt.as_ref().map(|attempt| &attempt.stream),
        }
    }

    pub(crate) fn descriptor(&self) -> Option<Generation> {
        match self {
            Link::Detached => None,
            Link::Connecting { attempt } => attempt.as_ref().map(|attempt| attempt.descriptor),
            Link::Open { descriptor, .. } => Some(*descriptor),
            Link::ConnectingPath { attempt } => attempt.as_ref().map(|attempt| attempt.descriptor),
        }
    }

    pub(crate) fn is_detached(&self) -> bool {
        matches!(self, Link::Detached)
    }

    pub(crate) fn is_connecting(&self) -> bool {
        matches!(self, Link::Connecting { .. } | Link::ConnectingPath { .. })
    }

    /// Whether it is a unix socket, or is to become one.
    pub(crate) fn is_unix(&self) -> bool {
        match self {
            Link::Detached | Link::Connecting { .. } => false,
            Link::Open { stream, .. } => stream.transport() == Transport::Unix,
            Link::ConnectingPath { .. } => true,
        }
    }
}

/// The readable side: Node's `Readable` over a transport.
pub(crate) struct ReadSide {
    pub(super) phase: ReadPhase,
    pub(super) flow: Flow,
    /// `pause()` was the last word of the user.
    pub(super) paused: bool,
    /// `pause()` or `resume()` was called at all.
    pub(super) has_paused: bool,
    /// There is a `data` listener.
    pub(super) data_listening: bool,
    /// There is a `readable` listener, which rules out flowing (rule F26).
    pub(super) readable_listening: bool,
    /// Data was delivered or read.
    pub(super) did_read: bool,
    /// A read was asked of the transport at least once: until then Node's `sync` keeps `unshift` from emitting.
    pub(super) has_asked: bool,
    /// A read was asked of the transport and has not been answered.
    pub(super) reading: bool,
    /// `readable` is owed at the next chunk.
    pub(super) need_readable: bool,
    pub(super) emitted_readable: bool,
    /// The three deferred functions that are queued at most once.
    pub(super) read_more_scheduled: bool,
    pub(super) resume_scheduled: bool,
    pub(super) end_scheduled: bool,
    /// The kernel is being read: Node's `handle.reading`, and an active handle for rule R1.
    pub(super) receiving: bool,
    pub(super) high_water_mark: usize,
    pub(super) length: usize,
    /// `onread`: the user brought a buffer.
    pub(super) own_buffer: bool,
    /// `setEncoding()`: what is buffered and emitted is the UTF-8 of the decoded text.
    pub(super) decoder: Option<Box<TextDecoder>>,
    pub(super) buffer: VecDeque<Box<[u8]>>,
    /// The `readable: false` option: this side is over from the start, in every connection.
    pub(super) disabled: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum ReadPhase {
    Open,
    /// The end of the stream was read; buffered chunks may remain.
    Ended,
    EndEmitted,
}

/// Node's `readableFlowing`: null, true, false.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    Undecided,
    Flowing,
    Stopped,
}

impl ReadSide {
    fn new(high_water_mark: usize) -> ReadSide {
        ReadSide {
            phase: ReadPhase::Open,
            flow: Flow::Undecided,
            paused: false,
            has_paused: false,
            data_listening: false,
            readable_listening: false,
            did_read: false,
            has_asked: false,
            reading: false,
            need_readable: false,
            emitted_readable: false,
            read_more_scheduled: false,
            resume_scheduled: false,
            end_scheduled: false,
            receiving: false,
            high_water_mark,
            length: 0,
            own_buffer: false,
            decoder: None,
            buffer: VecDeque::new(),
            disabled: false,
        }
    }

    /// How a connection of this socket begins.
    pub(super) fn first_phase(&self) -> ReadPhase {
        if self.disabled { ReadPhase::EndEmitted } else { ReadPhase::Open }
    }

    pub(super) fn ended(&self) -> bool {
        match self.phase {
            ReadPhase::Open => false,
            ReadPhase::Ended | ReadPhase::EndEmitted => true,
        }
    }

    /// At the end of the stream, what the decoder held back becomes a last chunk.
    pub(super) fn push_held_text(&mut self) {
        let Some(decoder) = &mut self.decoder else { return };
        let mut text = String::new();
        decoder.end(&mut text);
        if !text.is_empty() {
            self.length += text.len();
            self.buffer.push_back(text.into_bytes().into_boxed_slice());
        }
    }

    /// `howMuchToRead`
    pub(super) fn how_much(&self, size: Option<usize>) -> usize {
        match size {
            None if self.is_flowing() || self.decoder.is_none() => self.buffer.front().map_or(0, |chunk| chunk.len()),
            None => self.length,
            Some(size) if size <= self.length => size,
            Some(_) if self.ended() => self.length,
            Some(_) => 0,
        }
    }

    /// Takes exactly `count` bytes off the buffer, which has them; `None` for none.
    pub(super) fn take(&mut self, count: usize) -> Option<Box<[u8]>> {
        if count == 0 {
            return None;
        }
        self.length -= count;
        let chunk = match self.buffer.front_mut() {
            Some(first) if first.len() == count => self.buffer.pop_front(),
            Some(_) | None => {
                let mut taken = Vec::with_capacity(count);
                // Bounded by the buffer: each round takes a chunk off it, or is the last.
                while let Some(first) = self.buffer.pop_front() {
                    let missing = count - taken.len();
                    if first.len() > missing {
                        taken.extend_from_slice(&first[..missing]);
                        self.buffer.push_front(first[missing..].into());
                        break;
                    }
                    taken.extend_from_slice(&first);
                    if taken.len() == count {
                        break;
                    }
                }
                Some(taken.into_boxed_slice())
            }
        };
        if self.buffer.is_empty() {
            // An idle connection owns no buffer.
            self.buffer = VecDeque::new();
        }
        chunk
    }

    pub(super) fn is_flowing(&self) -> bool {
        self.flow == Flow::Flowing
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused || self.flow == Flow::Stopped
    }

    /// What `push()` answers: whether the transport may go on.
    pub(super) fn can_push_more(&self) -> bool {
        !self.ended() && (self.length < self.high_water_mark || self.length == 0)
    }
}

/// The writable side: Node's `Writable` over a transport.
pub(crate) struct WriteSide {
    pub(super) phase: WritePhase,
    /// A `write` returned false and `drain` has not come.
    pub(super) need_drain: bool,
    /// An `AfterWrite` tick is queued.
    pub(super) after_write_pending: bool,
    /// A shutdown is on its way through the pending phase.
    pub(super) shutting_down: bool,
    /// `setDefaultEncoding()`: what text becomes that does not say its encoding itself.
    pub(super) default_encoding: Encoding,
    /// How many `cork()` calls have no `uncork()` yet.
    pub(super) corked: u32,
    pub(super) high_water_mark: usize,
    pub(super) length: usize,
    /// Allocated by the first write that the kernel does not take, and released when nothing waits.
    pub(super) queue: Option<Box<WriteQueue>>,
    /// The `writable: false` option: this side is over from the start, in every connection.
    pub(super) disabled: bool,
    /// `batch_writes`: the writes of one callback go out together.
    pub(super) batches: bool,
    /// The tick that sends what was collected is queued.
    pub(super) batch_open: bool,
    /// The close that is about to come ends this side for the peer.
    pub(super) end_owed: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum WritePhase {
    Open,
    /// `end()` was called; writes may still be queued.
    Ending,
    /// Everything was written; the shutdown is on its way.
    Final,
    /// The shutdown is done; `finish` is queued.
    Prefinished,
    Finished,
}

impl WriteSide {
    fn new(high_water_mark: usize) -> WriteSide {
        WriteSide {
            phase: WritePhase::Open,
            need_drain: false,
            after_write_pending: false,
            shutting_down: false,
            default_encoding: Encoding::Utf8,
            corked: 0,
            high_water_mark,
            length: 0,
            queue: None,
            disabled: false,
            batches: false,
            batch_open: false,
            end_owed: false,
        }
    }

    /// How a connection of this socket begins.
    pub(super) fn first_phase(&self) -> WritePhase {
        if self.disabled { WritePhase::Finished } else { WritePhase::Open }
    }

    /// `end()` was called.
    pub(super) fn ending(&self) -> bool {
        match self.phase {
            WritePhase::Open => false,
            WritePhase::Ending | WritePhase::Final | WritePhase::Prefinished | WritePhase::Finished => true,
        }
    }

    pub(super) fn finished(&self) -> bool {
        self.phase == WritePhase::Finished
    }

    pub(super) fn queue_mut(&mut self) -> &mut WriteQueue {
        self.queue.get_or_insert_default()
    }

    /// Gives the queue's memory back once nothing waits in it.
    pub(super) fn release_queue(&mut self) {
        if self.queue.as_ref().is_some_and(|queue| queue.is_idle()) {
            self.queue = None;
        }
    }

    pub(super) fn is_writing(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.current.is_some())
    }

    pub(super) fn has_buffered(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| !queue.buffered.is_empty())
    }
}

/// What waits to be written, and who waits for it.
#[derive(Default)]
pub(crate) struct WriteQueue {
    /// The write that Node calls "writing".
    pub(super) current: Option<CurrentWrite>,
    pub(super) buffered: VecDeque<WriteRequest>,
    pub(super) end_callbacks: Vec<CallbackId>,
    /// Bytes of buffered writes that failed, while their callbacks are called.
    pub(super) failing: usize,
    /// What rule T4 compares: the size of the asynchronous write at its start, then what was left at each expiry.
    pub(super) last_size: usize,
}

impl WriteQueue {
    /// Whether the write in flight is smaller than at the last look, and looks (rule T4).
    pub(super) fn has_progressed(&mut self) -> bool {
        let Some(current) = &self.current else { return false };
        let last_size = std::mem::replace(&mut self.last_size, current.remaining);
        last_size > 0 && last_size != current.remaining
    }

    /// Bytes that were written but not given to the transport.
    pub(super) fn undispatched(&self) -> usize {
        let current = self.current.as_ref().filter(|current| current.state == CurrentState::AwaitsConnect);
        let buffered: usize = self.buffered.iter().map(|request| request.bytes.len()).sum();
        current.map_or(0, |current| current.length) + buffered + self.failing
    }

    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.buffered.is_empty() && self.end_callbacks.is_empty() && self.failing == 0
    }
}

pub(crate) struct CurrentWrite {
    pub(super) state: CurrentState,
    /// Text that waits for the connection: Node does not count it if the kernel then refuses it.
    pub(super) is_text: bool,
    pub(super) chunks: Vec<QueuedBytes>,
    /// The first chunk that the kernel does not have whole. Those before it stay until the write is over.
    pub(super) first: usize,
    /// Bytes of that chunk that the kernel has.
    pub(super) offset: usize,
    /// Bytes that the kernel does not have yet.
    pub(super) remaining: usize,
    /// Counted in `length` until the write is complete (rule F11).
    pub(super) length: usize,
    pub(super) completion: Completion,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum CurrentState {
    /// Waits for the connection (rule L5).
    AwaitsConnect,
    /// Waits for the kernel to take more.
    InFlight,
}

/// The idle timer of rule T1, lazy: activity stores a time stamp, the timer looks at it when it expires.
pub(crate) struct Idle {
    pub(super) timer: Option<TimerKey>,
    pub(super) last_activity: Time,
    /// It expired; the next activity arms it again (rule T3).
    pub(super) expired: bool,
}

/// Node's `highWaterMark` default (rule F1).
pub(crate) const DEFAULT_HIGH_WATER_MARK: usize = 65_536;

/// What a socket is made with; the same for accepted, connecting and bare sockets.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionOptions {
    pub(crate) allow_half_open: bool,
    pub(crate) readable_high_water_mark: usize,
    pub(crate) writable_high_water_mark: usize,
    pub(crate) no_delay: bool,
    pub(crate) keep_alive: bool,
    pub(crate) keep_alive_initial_delay: Duration,
    pub(crate) type_of_service: Option<u8>,
    pub(crate) block_list: Option<BlockList>,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) batch_writes: bool,
}

impl Default for ConnectionOptions {
    fn default() -> ConnectionOptions {
        ConnectionOptions {
            allow_half_open: false,
            readable_high_water_mark: DEFAULT_HIGH_WATER_MARK,
            writable_high_water_mark: DEFAULT_HIGH_WATER_MARK,
            no_delay: false,
            keep_alive: false,
            keep_alive_initial_delay: Duration::ZERO,
            type_of_service: None,
            block_list: None,
            readable: true,
            writable: true,
            batch_writes: false,
        }
    }
}

impl Connection {
    pub(crate) fn new(generation: Generation, options: &ConnectionOptions) -> Connection {
        let mut connection = Connection::open(generation, options);
        connection.read.disabled = !options.readable;
        connection.write.disabled = !options.writable;
        connection.write.batches = options.batch_writes;
        connection.read.phase = connection.read.first_phase();
        connection.write.phase = connection.write.first_phase();
        connection
    }

    fn open(generation: Generation, options: &ConnectionOptions) -> Connection {
        Connection {
            generation,
            epoch: 0,
            link: Link::Detached,
            read: ReadSide::new(options.readable_high_water_mark),
            write: WriteSide::new(options.writable_high_water_mark),
            readiness: Readiness::default(),
            destroyed: false,
            error_emitted: false,
            close_marked: false,
            retained: false,
            close_owed: 0,
            referenced: true,
            counted: false,
            allow_half_open: options.allow_half_open,
            write_after_end_of_peer: false,
            read_on_connect: false,
            reset: false,
            no_delay: options.no_delay,
            keep_alive: options.keep_alive,
            keep_alive_delay: options.keep_alive_initial_delay.as_secs(),
            type_of_service: options.type_of_service,
            abortable: false,
            keep_alive_interval: None,
            keep_alive_count: None,
            errored: None,
            server: None,
            counted_by_server: false,
            timeout: None,
            idle: Idle { timer: None, last_activity: Time::ZERO, expired: false },
            bytes_read: 0,
            bytes_dispatched: 0,
            peer: None,
            peer_was_read: false,
            block_list: options.block_list.clone(),
            outbound: None,
            bound: None,
        }
    }

    pub(crate) fn is_readable(&self) -> bool {
        !self.destroyed && !self.error_emitted && self.read.phase != ReadPhase::EndEmitted
    }

    pub(crate) fn is_writable(&self) -> bool {
        !self.destroyed && self.errored.is_none() && !self.write.ending()
    }

    /// The stream of an open connection.
    #[inline]
    pub(super) fn open_stream(&self) -> Option<&Stream> {
        match &self.link {
            Link::Open { stream, .. } => Some(stream),
            Link::Detached | Link::Connecting { .. } | Link::ConnectingPath { .. } => None,
        }
    }

    /// Node's `needFinish`: the user ended, nothing waits, nothing went wrong.
    pub(super) fn needs_finish(&self) -> bool {
        self.write.ending()
            && !self.write.finished()
            && !self.destroyed
            && !self.error_emitted
            && !self.close_marked
            && self.errored.is_none()
            && !self.write.is_writing()
            && !self.write.has_buffered()
            && self.write.length == 0
    }
}
