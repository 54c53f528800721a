//! A connection: the kernel-side object behind a `Socket`, as plain state.
//!
//! It is the *product* of two small machines, [`ReadSide`] × [`WriteSide`], plus a [`Link`]. Half-close is that product:
//! either side may be over while the other goes on, and only together do they end the connection. The transitions are in
//! the neighbouring files, one subject each.
//!
//! This module touches only `sys::Stream`, which it owns. Invariants: an idle connection owns no buffer (what it
//! seldom has lies in [`super::rare`]); `counted` is true exactly while the connection keeps the loop alive by
//! reading.

use std::collections::VecDeque;
use std::time::Duration;

use crate::addresses::BlockList;
use crate::reactor::bounds::Bounds;
use crate::reactor::bytes::{Chunks, Completion, WriteRequest};
use crate::reactor::flags::flags;
use crate::reactor::peer::Peer;
use crate::reactor::rare::{Rare, Settings};
use crate::reactor::ready::Announced;
use crate::reactor::target::{PathTarget, Target};
use crate::reactor::timers::TimerPlace;
use crate::reactor::{CallbackId, Generation, Handle};
use crate::sys::Stream;
use crate::sys::Time;
use crate::sys::Transport;
use crate::sys::errno::Errno;

/// What a read or a write of the usual kind touches stands first, and is less than a cache line; `repr(C)` keeps the order.
#[repr(C)]
pub(crate) struct Connection {
    /// Its own name: the slot and the generation that lives in it.
    pub(super) handle: Handle,
    flags: ConnectionFlags,
    pub(super) read: ReadSide,
    /// What it seldom has: there only while something is in it. It stands before the link because the name of a bound socket
    /// may be in it, which goes before the socket.
    pub(super) rare: Option<Box<Rare>>,
    pub(super) link: Link,
    /// When it was last active, for the idle timeout. Once it is destroyed nothing is active any more: then this is the
    /// timeout that it had, counted from zero ([`timeout_kept`](Connection::timeout_kept)).
    pub(super) last_activity: Time,
    pub(super) bytes_read: u64,
    /// Bytes handed to the kernel or waiting in flight; what is only queued is added by the property (rule F12).
    pub(super) bytes_dispatched: u64,
    pub(super) write: WriteSide,
    pub(super) announced: Announced,

    /// The idle timer, lazy: activity stores a time stamp, the timer looks at it when it expires (rule T1). Half of its key;
    /// the other half is the generation of the handle.
    pub(super) idle_timer: Option<TimerPlace>,
    /// Where it is connected to; kept after it closed.
    pub(super) peer: Peer,
    /// The server that accepted it.
    pub(super) server: Option<Handle>,
}

flags! {
    /// What is true of the connection as a whole.
    ConnectionFlags(u32) of Connection {
        destroyed set_destroyed,
        error_emitted set_error_emitted,
        /// Node's `closeEmitted`, which a tick sets before the `close` event itself comes.
        close_marked set_close_marked,
        /// The slot outlives `close`: `retain()`.
        retained set_retained,
        referenced set_referenced,
        /// Counts among the handles that keep the loop alive.
        counted set_counted,
        allow_half_open set_allow_half_open,
        /// Node replaces `write` when `end` is emitted (rule L52).
        write_after_end_of_peer set_write_after_end_of_peer,
        /// A read was asked for before there was anything to read from.
        read_on_connect set_read_on_connect,
        /// `resetAndDestroy()` came: closing sends RST.
        reset set_reset,
        no_delay set_no_delay,
        keep_alive set_keep_alive,
        /// An abort signal may destroy it: until it is destroyed for the first time.
        abortable set_abortable,
        /// Among that server's live connections.
        counted_by_server set_counted_by_server,
        /// `remoteAddress` was read while connected (rule C44).
        peer_was_read set_peer_was_read,
        /// The idle timer expired; the next activity arms it again (rule T3).
        idle_expired set_idle_expired,
        /// `setTimeout(0)` was the last one.
        timeout_is_zero set_timeout_is_zero,
        /// Destroyed with an idle timeout, which `last_activity` holds since.
        timeout_kept set_timeout_kept,
        /// One `close` is to come: a closing entry or a tick names this slot.
        close_owed set_close_owed,
        /// `connect()` was called at least once.
        has_connected set_has_connected,
        /// A descriptor had the generation of the handle: later ones need another.
        descriptor_used set_descriptor_used,
        /// Input goes the usual way, as was found out since anybody had hold of this connection.
        known_to_read_plainly set_known_to_read_plainly,
        /// So does output.
        known_to_write_plainly set_known_to_write_plainly,
    }
}

/// Whether there is a handle, in Node's sense, and what it is doing. Attempts under way lie in the rare box, because they
/// are short and every slot has a link.
pub(crate) enum Link {
    /// No handle: never connected, or destroyed.
    Detached,
    /// From `connect()` to its success, failure or destruction. There is an [`Attempt`] once one has begun.
    Connecting,
    Open {
        stream: Stream,
    },
    /// The same as `Connecting`, to a unix socket: there is a [`PathAttempt`] after the `connectionAttempt` listeners.
    ConnectingPath,
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
    pub(crate) fn is_detached(&self) -> bool {
        matches!(self, Link::Detached)
    }

    pub(crate) fn is_connecting(&self) -> bool {
        matches!(self, Link::Connecting | Link::ConnectingPath)
    }
}

/// The link and what belongs to it.
impl Connection {
    /// The stream that is open or being connected.
    pub(super) fn stream(&self) -> Option<&Stream> {
        match &self.link {
            Link::Detached => None,
            Link::Connecting => self.rare().attempt.as_ref().map(|attempt| &attempt.stream),
            Link::Open { stream } => Some(stream),
            Link::ConnectingPath => self.rare().path_attempt.as_ref().map(|attempt| &attempt.stream),
        }
    }

    /// The stream of an open connection.
    #[inline]
    pub(super) fn open_stream(&self) -> Option<&Stream> {
        match &self.link {
            Link::Open { stream } => Some(stream),
            Link::Detached | Link::Connecting | Link::ConnectingPath => None,
        }
    }

    /// The generation of the descriptor that is open or being connected.
    pub(super) fn descriptor(&self) -> Option<Generation> {
        match &self.link {
            Link::Detached => None,
            Link::Connecting => self.rare().attempt.as_ref().map(|attempt| attempt.descriptor),
            Link::Open { .. } => Some(self.rare().descriptor.unwrap_or(self.handle.generation())),
            Link::ConnectingPath => self.rare().path_attempt.as_ref().map(|attempt| attempt.descriptor),
        }
    }

    /// There is a connection.
    pub(super) fn open(&mut self, stream: Stream, descriptor: Generation) {
        self.link = Link::Open { stream };
        let other = (descriptor != self.handle.generation()).then_some(descriptor);
        if self.rare().descriptor != other {
            self.rare_mut().descriptor = other;
        }
        self.release_rare();
    }

    /// Whether it is a unix socket, or is to become one.
    pub(crate) fn is_unix(&self) -> bool {
        let linked = match &self.link {
            Link::Detached | Link::Connecting => false,
            Link::Open { stream } => stream.transport() == Transport::Unix,
            Link::ConnectingPath => true,
        };
        linked || self.bound().is_some_and(|stream| stream.transport() == Transport::Unix)
    }
}

/// The readable side: Node's `Readable` over a transport.
#[derive(Debug)]
pub(crate) struct ReadSide {
    pub(super) phase: ReadPhase,
    pub(super) flow: Flow,
    flags: ReadFlags,
}

flags! {
    /// What is true of the readable side.
    ReadFlags(u16) of ReadSide {
        /// `pause()` was the last word of the user.
        paused set_paused,
        /// `pause()` or `resume()` was called at all.
        has_paused set_has_paused,
        /// There is a `data` listener.
        data_listening set_data_listening,
        /// There is a `readable` listener, which rules out flowing (rule F26).
        readable_listening set_readable_listening,
        /// Data was delivered or read.
        did_read set_did_read,
        /// A read was asked of the transport at least once: until then Node's `sync` keeps `unshift` from emitting.
        has_asked set_has_asked,
        /// A read was asked of the transport and has not been answered.
        reading set_reading,
        /// `readable` is owed at the next chunk.
        need_readable set_need_readable,
        emitted_readable set_emitted_readable,
        /// The three deferred functions that are queued at most once.
        read_more_scheduled set_read_more_scheduled,
        resume_scheduled set_resume_scheduled,
        end_scheduled set_end_scheduled,
        /// The kernel is being read: Node's `handle.reading`, and an active handle for rule R1.
        receiving set_receiving,
        /// `onread`: the user brought a buffer.
        own_buffer set_own_buffer,
        /// The `readable: false` option: this side is over from the start, in every connection.
        disabled set_disabled,
    }
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
    fn new() -> ReadSide {
        ReadSide { phase: ReadPhase::Open, flow: Flow::Undecided, flags: ReadFlags::default() }
    }

    /// How a connection of this socket begins.
    pub(super) fn first_phase(&self) -> ReadPhase {
        if self.disabled() { ReadPhase::EndEmitted } else { ReadPhase::Open }
    }

    pub(super) fn ended(&self) -> bool {
        match self.phase {
            ReadPhase::Open => false,
            ReadPhase::Ended | ReadPhase::EndEmitted => true,
        }
    }

    pub(super) fn is_flowing(&self) -> bool {
        self.flow == Flow::Flowing
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused() || self.flow == Flow::Stopped
    }
}

/// The writable side: Node's `Writable` over a transport.
#[derive(Debug)]
pub(crate) struct WriteSide {
    pub(super) phase: WritePhase,
    flags: WriteFlags,
}

flags! {
    /// What is true of the writable side.
    WriteFlags(u8) of WriteSide {
        /// A `write` returned false and `drain` has not come.
        need_drain set_need_drain,
        /// An `AfterWrite` tick is queued.
        after_write_pending set_after_write_pending,
        /// A shutdown is on its way through the pending phase.
        shutting_down set_shutting_down,
        /// The `writable: false` option: this side is over from the start, in every connection.
        disabled set_disabled,
        /// `batch_writes`: the writes of one callback go out together.
        batches set_batches,
        /// The tick that sends what was collected is queued.
        batch_open set_batch_open,
        /// The close that is about to come ends this side for the peer.
        end_owed set_end_owed,
    }
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
    fn new() -> WriteSide {
        WriteSide { phase: WritePhase::Open, flags: WriteFlags::default() }
    }

    /// How a connection of this socket begins.
    pub(super) fn first_phase(&self) -> WritePhase {
        if self.disabled() { WritePhase::Finished } else { WritePhase::Open }
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
}

/// What waits to be written, and who waits for it.
#[derive(Default)]
pub(crate) struct WriteQueue {
    /// The write that Node calls "writing".
    pub(super) current: Option<CurrentWrite>,
    pub(super) buffered: VecDeque<WriteRequest>,
    pub(super) end_callbacks: Vec<CallbackId>,
    /// How many `cork()` calls have no `uncork()` yet.
    pub(super) corked: u32,
    /// Node's `writableLength`: the bytes of all writes that wait.
    pub(super) length: usize,
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
        self.current.is_none()
            && self.buffered.is_empty()
            && self.end_callbacks.is_empty()
            && self.corked == 0
            && self.length == 0
            && self.failing == 0
    }
}

pub(crate) struct CurrentWrite {
    pub(super) state: CurrentState,
    /// Text that waits for the connection: Node does not count it if the kernel then refuses it.
    pub(super) is_text: bool,
    pub(super) chunks: Chunks,
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
    pub(crate) user_timeout: Duration,
    pub(crate) block_list: Option<BlockList>,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) batch_writes: bool,
    pub(crate) bounds: Bounds,
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
            user_timeout: Duration::ZERO,
            block_list: None,
            readable: true,
            writable: true,
            batch_writes: false,
            bounds: Bounds::NONE,
        }
    }
}

impl Connection {
    pub(crate) fn new(handle: Handle, options: &ConnectionOptions) -> Connection {
        let mut connection = Connection {
            handle,
            flags: ConnectionFlags::default(),
            read: ReadSide::new(),
            rare: None,
            link: Link::Detached,
            last_activity: Time::ZERO,
            bytes_read: 0,
            bytes_dispatched: 0,
            write: WriteSide::new(),
            announced: Announced::default(),
            idle_timer: None,
            peer: Peer::Unknown,
            server: None,
        };
        connection.set_referenced(true);
        connection.set_allow_half_open(options.allow_half_open);
        connection.set_no_delay(options.no_delay);
        connection.set_keep_alive(options.keep_alive);
        connection.read.set_disabled(!options.readable);
        connection.write.set_disabled(!options.writable);
        connection.write.set_batches(options.batch_writes);
        connection.read.phase = connection.read.first_phase();
        connection.write.phase = connection.write.first_phase();
        let settings = Settings::of(options);
        if !settings.are_default() {
            *connection.settings_mut() = settings;
        }
        connection.bound_by(options.bounds);
        connection
    }

    pub(crate) fn is_readable(&self) -> bool {
        !self.destroyed() && !self.error_emitted() && self.read.phase != ReadPhase::EndEmitted
    }

    pub(crate) fn is_writable(&self) -> bool {
        !self.destroyed() && self.errored().is_none() && !self.write.ending()
    }

    /// Node's `needFinish`: the user ended, nothing waits, nothing went wrong.
    pub(super) fn needs_finish(&self) -> bool {
        self.write.ending()
            && !self.write.finished()
            && !self.destroyed()
            && !self.error_emitted()
            && !self.close_marked()
            && self.errored().is_none()
            && !self.is_writing()
            && !self.has_buffered()
            && self.writable_length() == 0
    }
}
