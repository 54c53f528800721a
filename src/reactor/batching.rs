//! Writes that are held back to go out together: corked ones, the batches of `batch_writes`, and what queues up behind a
//! write in flight.
//!
//! A batch is Node's idiom `socket.cork(); process.nextTick(() => socket.uncork())`, done by the library before the first
//! write of a callback. Two things are kinder than the idiom: what is collected is sent at once when it reaches the
//! high-water mark, so that `write()` answers what it would answer without a batch; and `destroy()` sends it before it
//! closes, so that nothing is lost that would have been with the kernel.
//!
//! Short writes are copied, one behind the other, into a buffer that the loop keeps for this: one slice for the kernel, and
//! no allocation in the steady state. Long ones keep the memory they came in.
//!
//! This module touches nothing outside the reactor. Invariant: `batch_open` is true exactly while the tick that sends the
//! batch is queued; an open batch is never corked or in flight by itself, it is only what `buffered` holds.

use std::mem;

use crate::reactor::bytes::{Chunks, Completion, Outgoing, QueuedBytes, WriteRequest, take_queued};
use crate::reactor::connection::{Connection, CurrentState, CurrentWrite, WritePhase, WriteQueue};
use crate::reactor::plain::Plainly;
use crate::reactor::text_decoder::Encoding;
use crate::reactor::ticks::ConnectionTick;
use crate::reactor::writing::Moment;
use crate::reactor::{CallbackId, Handle, Reactor};

/// Up to this length a write is copied behind the one before it. Copying a page costs about what an allocation and one
/// more slice for the kernel do.
const SHORT: usize = 4096;

/// How much is collected in one buffer: as much as the default high-water mark lets wait.
const MOST_COLLECTED: usize = 65_536;

impl Reactor {
    /// `setBatchWrites`, which Node does not have. What was collected is sent when it is turned off.
    pub(crate) fn set_batch_writes(&mut self, socket: Handle, on: bool) {
        if let Some(connection) = self.live(socket) {
            connection.write.set_batches(on);
            if !on {
                self.send_batch(socket);
            }
        }
    }

    /// A write of a socket that collects them, with nothing in its way.
    pub(super) fn batch<C: Outgoing>(
        &mut self,
        socket: Handle,
        chunk: &mut Option<C>,
        length: usize,
        callback: Option<CallbackId>,
        is_text: bool,
    ) {
        let connection = &self.connections[socket.index()];
        let full = connection.writable_length() + length >= connection.writable_high_water_mark();
        if full && !connection.has_buffered() {
            return self.dispatch_chunk(socket, chunk, length, callback, is_text);
        }
        self.hold_back(socket, chunk, length, callback, is_text);
        if full {
            return self.clear_buffer(socket);
        }
        let write = &mut self.connections[socket.index()].write;
        if !write.batch_open() {
            write.set_batch_open(true);
            self.defer(socket, ConnectionTick::SendBatch);
        }
    }

    /// The tick that the first write of a batch queued.
    pub(super) fn batch_is_over(&mut self, socket: Handle) {
        self.send_batch(socket);
        if let Some(connection) = self.live(socket) {
            connection.write.set_batch_open(false);
        }
    }

    /// Sends what was collected, if that is anything and nothing holds it back. Behind a write that failed nothing is sent any
    /// more: its bytes would be missing in front.
    pub(crate) fn send_batch(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.write.batch_open() && !connection.is_writing() && connection.errored().is_none() {
            self.clear_buffer(socket);
        }
    }

    /// `cork()`: writes are queued until the last `uncork()` (rule F15).
    pub(crate) fn cork(&mut self, socket: Handle) {
        if self.live(socket).is_some() {
            let queue = self.queue_or_spare(socket);
            queue.corked = queue.corked.saturating_add(1);
        }
    }

    /// `uncork()`: the last one sends what was queued as one gathered write.
    pub(crate) fn uncork(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let Some(queue) = connection.queue_mut().filter(|queue| queue.corked > 0) else { return };
        queue.corked -= 1;
        if !connection.is_writing() {
            self.clear_buffer(socket);
        }
        self.spare_queue(socket);
    }

    /// Queues one write behind all that waits. A short one joins the one before it, unless that has a callback: between
    /// two callbacks it shows how much is left ([`Reactor::error_buffer`]).
    pub(super) fn hold_back<C: Outgoing>(
        &mut self,
        socket: Handle,
        chunk: &mut Option<C>,
        length: usize,
        callback: Option<CallbackId>,
        is_text: bool,
    ) {
        let long = if length > SHORT {
            let Some(bytes) = self.keep(socket, chunk, 0) else { return self.written_nowhere(socket, callback) };
            Some(bytes)
        } else {
            None
        };
        let Reactor { connections, spares, buffered, .. } = self;
        let queue = spares.queue_of(&mut connections[socket.index()]);
        queue.length += length;
        buffered.more(length);
        if let Some(bytes) = long {
            return queue.buffered.push_back(WriteRequest { bytes, callback, is_text });
        }
        let bytes = chunk.as_ref().map_or(&[][..], |chunk| chunk.as_slice());
        if let Some(WriteRequest { bytes: QueuedBytes::Collected(buffer), callback: last @ None, is_text }) =
            queue.buffered.back_mut()
        {
            if buffer.len() + bytes.len() <= MOST_COLLECTED {
                buffer.extend_from_slice(bytes);
                *last = callback;
                // As with any two writes that go out together, the queue has counted them.
                *is_text = false;
                return;
            }
        }
        let mut buffer = mem::take(&mut spares.buffer);
        buffer.extend_from_slice(bytes);
        queue.buffered.push_back(WriteRequest { bytes: QueuedBytes::Collected(buffer), callback, is_text });
    }

    /// The short way of [`Reactor::hold_back`]: a write that joins the one before it and leaves the rest as it is.
    // Never inlined: the usual write, which nothing holds back, would pay for it.
    #[inline(never)]
    pub(super) fn join_plainly(&mut self, socket: Handle, bytes: &[u8]) -> Plainly {
        if self.buffered.is_capped() {
            return Plainly::Not;
        }
        let Some(connection) = self.live(socket) else { return Plainly::Not };
        let high_water_mark = connection.writable_high_water_mark();
        let batch_open = connection.write.batch_open();
        let plain = connection.write.phase == WritePhase::Open
            && connection.settings().default_encoding == Encoding::Utf8
            && bytes.len() <= SHORT
            && !connection.destroyed()
            && connection.errored().is_none()
            && connection.max_buffered().is_none();
        let Some(queue) = connection.queue_mut().filter(|_| plain) else { return Plainly::Not };
        let held_back = queue.corked > 0 || batch_open;
        if !held_back || queue.length + bytes.len() >= high_water_mark {
            return Plainly::Not;
        }
        let last = queue.buffered.back_mut();
        let Some(WriteRequest { bytes: QueuedBytes::Collected(buffer), callback: None, is_text }) = last else {
            return Plainly::Not;
        };
        if buffer.len() + bytes.len() > MOST_COLLECTED {
            return Plainly::Not;
        }
        buffer.extend_from_slice(bytes);
        *is_text = false;
        queue.length += bytes.len();
        self.buffered.more(bytes.len());
        Plainly::Whole
    }

    /// `clearBuffer`: everything that waits goes out as one gathered write.
    pub(super) fn clear_buffer(&mut self, socket: Handle) {
        let connection = &mut self.connections[socket.index()];
        if connection.destroyed() || connection.writable_corked() > 0 {
            return;
        }
        let Some(queue) = connection.queue_mut() else { return };
        let Some(first) = queue.buffered.pop_front() else { return };
        if queue.buffered.is_empty() {
            self.send_one(socket, first);
        } else {
            let rest = mem::take(&mut queue.buffered);
            let all = CurrentWrite::gathered(std::iter::once(first).chain(rest));
            self.dispatch_current(socket, all, Moment::Synchronous);
        }
        self.spare_queue(socket);
    }

    /// The only write that waits, or several that were joined.
    fn send_one(&mut self, socket: Handle, request: WriteRequest) {
        let length = request.bytes.len();
        self.connections[socket.index()].waits_less(length);
        // It may wait again in a moment: only then the loop's count is looked at.
        self.buffered.less(length);
        let mut bytes = Some(request.bytes);
        self.dispatch_chunk(socket, &mut bytes, length, request.callback, request.is_text);
        if let Some(bytes) = bytes {
            self.reclaim(bytes);
        }
        self.review_buffered();
    }

    /// Bytes that nothing needs any more: ours are used again, the users' go where a drop may run their code.
    pub(super) fn reclaim(&mut self, bytes: QueuedBytes) {
        match bytes {
            QueuedBytes::Collected(mut buffer) => {
                let spare = &mut self.spares.buffer;
                if buffer.capacity() > spare.capacity() && buffer.capacity() <= 2 * MOST_COLLECTED {
                    buffer.clear();
                    *spare = buffer;
                }
            }
            QueuedBytes::Static(_) => {}
            QueuedBytes::Owned(_) | QueuedBytes::Shared(_) => self.graveyard.push(bytes),
        }
    }

    /// Takes what the kernel has not taken of a chunk, to wait. `None` where there is no memory for it.
    // Never inlined: the usual write, which the kernel takes whole, would pay for it.
    #[inline(never)]
    pub(super) fn keep<C: Outgoing>(
        &mut self,
        socket: Handle,
        chunk: &mut Option<C>,
        taken: usize,
    ) -> Option<QueuedBytes> {
        // The queue before the bytes: see `spares`.
        self.queue_or_spare(socket);
        let bytes = take_queued(chunk, taken);
        if bytes.is_none() {
            self.spare_queue(socket);
        }
        bytes
    }

    /// A queue in which nothing waits is kept for the next one who needs it.
    pub(super) fn spare_queue(&mut self, socket: Handle) {
        let Reactor { connections, spares, buffered, .. } = self;
        spares.take_queue_of(&mut connections[socket.index()], buffered.bytes());
    }

    /// The same for what is left of a connection that is over.
    pub(super) fn spare_boxes(&mut self, connection: Connection) {
        self.spares.take_boxes_of(connection, self.buffered.bytes());
    }

    /// The queue of a socket, to put something in.
    pub(super) fn queue_or_spare(&mut self, socket: Handle) -> &mut WriteQueue {
        let Reactor { connections, spares, .. } = self;
        spares.queue_of(&mut connections[socket.index()])
    }
}

impl Connection {
    /// Whether a write that nothing holds back is collected. Without a connection it fails, and does so at once.
    pub(super) fn collects(&self) -> bool {
        self.write.batches() && !self.link.is_detached()
    }

    pub(crate) fn batches_writes(&self) -> bool {
        self.write.batches()
    }
}

impl CurrentWrite {
    /// Several requests as one write, whose callbacks are called together.
    fn gathered(requests: impl IntoIterator<Item = WriteRequest>) -> CurrentWrite {
        let mut callbacks = Vec::new();
        let mut chunks = Vec::new();
        for request in requests {
            callbacks.extend(request.callback);
            chunks.push(request.bytes);
        }
        let length = chunks.iter().map(QueuedBytes::len).sum();
        CurrentWrite {
            state: CurrentState::InFlight,
            // Several go out in one call, which counts them first.
            is_text: false,
            chunks: Chunks::Several(chunks),
            first: 0,
            offset: 0,
            remaining: length,
            length,
            completion: if callbacks.is_empty() { Completion::Nobody } else { Completion::Group(callbacks) },
        }
    }
}
