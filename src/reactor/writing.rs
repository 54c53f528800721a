//! The writable side in motion: Node's `Writable` and the write half of `net.Socket`, transition by transition.
//!
//! Every write tries the kernel at once (rule F3); only what it refuses is queued, and nothing is armed: registration
//! is edge-triggered for both directions, so the kernel announces by itself that it takes more. When an asynchronous
//! write completes, everything queued behind it goes out as one gathered write (rule F9).
//!
//! Node also counts `pendingcb` and sometimes defers `finish` by one more tick for it. A socket always has a `_final`
//! that counts itself, so that branch is never taken and is not copied.
//!
//! This module touches `sys::Stream` for its writes and nothing else outside the reactor.

use std::io;

use crate::error::Error;
use crate::reactor::bytes::{Chunks, Completion, Outgoing, QueuedBytes};
use crate::reactor::connection::{Connection, CurrentState, CurrentWrite, Link, ReadPhase, WritePhase};
use crate::reactor::text_decoder::Encoding;
use crate::reactor::ticks::{ConnectionTick, Emission, PlainEvent, Step, Tick};
use crate::reactor::transmitting::{Transmitted, transmit};
use crate::reactor::{CallbackId, Handle, Internal, Pending, Reactor};
use crate::sys::Readiness;
use crate::sys::errno::Errno;

/// When a write's outcome became known: within the call that made it, or in a later callback.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Moment {
    Synchronous,
    Later,
}

impl Reactor {
    /// `socket.write()`. Takes the chunk out of `chunk` only if it must be kept; the caller drops what is left, with
    /// nothing borrowed.
    pub(crate) fn write<C: Outgoing>(
        &mut self,
        socket: Handle,
        chunk: &mut Option<C>,
        callback: Option<CallbackId>,
    ) -> bool {
        let Some(connection) = self.live(socket) else {
            self.complete_later(socket, callback, Some(Error::stream_destroyed("write")));
            return false;
        };
        if connection.write_after_end_of_peer() && connection.write.ending() {
            let error = Error::ended_by_other_party();
            self.complete_later(socket, callback, Some(error.clone()));
            self.destroy(socket, Some(error));
            return false;
        }
        self.write_chunk(socket, chunk, callback).unwrap_or(false)
    }

    /// The stream's `_write()`, which `end(data)` enters directly.
    fn write_chunk<C: Outgoing>(
        &mut self,
        socket: Handle,
        chunk: &mut Option<C>,
        callback: Option<CallbackId>,
    ) -> Result<bool, Error> {
        let connection = &mut self.connections[socket.index()];
        let refusal = if connection.write.ending() {
            Some(Error::stream_write_after_end())
        } else if connection.destroyed() {
            Some(Error::stream_destroyed("write"))
        } else {
            None
        };
        if let Some(error) = refusal {
            self.complete_later(socket, callback, Some(error.clone()));
            self.destroy(socket, Some(error.clone()));
            return Err(error);
        }
        let encoding = connection.settings().default_encoding;
        let is_text = encoding.stays_text() && chunk.as_ref().is_some_and(Outgoing::is_text);
        if encoding != Encoding::Utf8 {
            if let Some(chunk) = chunk {
                chunk.encode(encoding);
            }
        }
        let length = chunk.as_ref().map_or(0, |chunk| chunk.as_slice().len());
        if let Some(refusal) = self.refusal(socket, length) {
            return Err(self.refuse(socket, refusal, callback));
        }
        let connection = &self.connections[socket.index()];
        if connection.is_writing() || connection.writable_corked() > 0 || connection.errored().is_some() {
            self.hold_back(socket, chunk, length, callback, is_text);
        } else if connection.collects() {
            self.batch(socket, chunk, length, callback, is_text);
        } else {
            self.dispatch_chunk(socket, chunk, length, callback, is_text);
        }
        Ok(self.wants_more(socket))
    }

    /// What `write()` returns, after the kernel was tried (rule F3).
    pub(super) fn wants_more(&mut self, socket: Handle) -> bool {
        let connection = &mut self.connections[socket.index()];
        let length = connection.writable_length();
        let below = length < connection.writable_high_water_mark() || length == 0;
        if !below {
            connection.write.set_need_drain(true);
            self.buffered.forget_refusal();
        }
        let connection = &self.connections[socket.index()];
        below && !connection.destroyed() && connection.errored().is_none()
    }

    /// Hands one chunk to the transport, within the call of `write()`. It is counted when it has to wait.
    pub(super) fn dispatch_chunk<C: Outgoing>(
        &mut self,
        socket: Handle,
        chunk: &mut Option<C>,
        length: usize,
        callback: Option<CallbackId>,
        is_text: bool,
    ) {
        let now = self.now;
        let connection = &mut self.connections[socket.index()];
        let stream = match &connection.link {
            Link::Open { stream, .. } => stream,
            Link::Connecting | Link::ConnectingPath => {
                let Some(bytes) = self.keep(socket, chunk, 0) else { return self.written_nowhere(socket, callback) };
                let current = CurrentWrite {
                    state: CurrentState::AwaitsConnect,
                    is_text,
                    chunks: Chunks::one(bytes),
                    first: 0,
                    offset: 0,
                    remaining: length,
                    length,
                    completion: Completion::one(callback),
                };
                self.queue_or_spare(socket).length += length;
                self.buffered.more(length);
                return self.await_connect(socket, current);
            }
            Link::Detached => {
                let completion = Completion::one(callback);
                self.written(socket, 0, completion, Some(Error::socket_closed()), Moment::Synchronous);
                return;
            }
        };
        connection.bytes_dispatched += length as u64;
        connection.last_activity = now;
        let outcome = stream.write(chunk.as_ref().map_or(&[], |chunk| chunk.as_slice()));
        self.sent(socket, chunk, length, callback, is_text, outcome);
    }

    /// What the kernel made of one chunk.
    pub(super) fn sent<C: Outgoing>(
        &mut self,
        socket: Handle,
        chunk: &mut Option<C>,
        length: usize,
        callback: Option<CallbackId>,
        is_text: bool,
        outcome: io::Result<usize>,
    ) {
        if self.connections[socket.index()].idle_expired() {
            self.touch(socket);
        }
        // How much the kernel took, and whether it will say when it takes more.
        let (count, announces) = match outcome {
            Ok(count) if count == length => {
                return self.written(socket, 0, Completion::one(callback), None, Moment::Synchronous);
            }
            Ok(count) => (count, true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (0, true),
            Err(error) if Errno::from_io(&error).is_want_of_buffers() => (0, false),
            Err(error) => {
                self.not_sent(socket, length, is_text);
                let error = Error::exception(Errno::from_io(&error), "write");
                return self.written(socket, 0, Completion::one(callback), Some(error), Moment::Synchronous);
            }
        };
        if announces {
            self.counters.written_in_part(count);
        }
        let Some(bytes) = self.keep(socket, chunk, count) else {
            self.not_sent(socket, length - count, is_text);
            return self.written_nowhere(socket, callback);
        };
        self.put_in_flight(socket, bytes, length - count, length, callback);
        if !announces {
            self.write_again_later(socket);
        }
    }

    /// A write failed of which this much was counted as given to the kernel, and was not. Node counts text later (rule F12).
    fn not_sent(&mut self, socket: Handle, length: usize, is_text: bool) {
        if is_text {
            self.connections[socket.index()].bytes_dispatched -= length as u64;
        } else {
            self.counters.failed_to_send(length);
        }
    }

    /// There is no memory to keep what the kernel does not take at once: a write that failed, as libuv's does where it has
    /// none (`UV_ENOMEM`). The connection is whole otherwise, so it ends at once: nothing may be sent any more, as bytes would
    /// be missing in front.
    #[cold]
    pub(super) fn written_nowhere(&mut self, socket: Handle, callback: Option<CallbackId>) {
        let error = Error::exception(Errno::NO_MEMORY, "write");
        self.complete_later(socket, callback, Some(error.clone()));
        self.destroy(socket, Some(error));
    }

    /// Keeps a write for the `connect` dispatch, or for the `close` that comes instead (rules L5, L8).
    fn await_connect(&mut self, socket: Handle, current: CurrentWrite) {
        self.queue_or_spare(socket).current = Some(current);
        self.request(socket, Internal::FlushWrites);
        self.request(socket, Internal::FailWrites);
    }

    fn put_in_flight(
        &mut self,
        socket: Handle,
        bytes: QueuedBytes,
        remaining: usize,
        length: usize,
        callback: Option<CallbackId>,
    ) {
        let current = CurrentWrite {
            state: CurrentState::InFlight,
            is_text: false,
            first: 0,
            // What the kernel has is perhaps not in there any more.
            offset: bytes.len() - remaining,
            chunks: Chunks::one(bytes),
            remaining,
            length,
            completion: Completion::one(callback),
        };
        self.queue_or_spare(socket).length += length;
        self.buffered.more(length);
        self.fly(socket, current);
    }

    /// The kernel did not take everything: the rest waits for its edge.
    fn fly(&mut self, socket: Handle, current: CurrentWrite) {
        self.connections[socket.index()].announced.remove(Readiness::WRITABLE);
        let queue = self.queue_or_spare(socket);
        queue.last_size = current.length;
        queue.current = Some(current);
        self.requests += 1;
        self.output_moved(socket);
    }

    /// Gives a waiting write to the transport: queued chunks that follow a completed one, or what waited for the
    /// connection.
    pub(super) fn dispatch_current(&mut self, socket: Handle, mut current: CurrentWrite, moment: Moment) {
        let now = self.now;
        let connection = &mut self.connections[socket.index()];
        let stream = match &connection.link {
            Link::Open { stream, .. } => stream,
            Link::Connecting | Link::ConnectingPath => {
                current.state = CurrentState::AwaitsConnect;
                return self.await_connect(socket, current);
            }
            Link::Detached => {
                let (length, completion) = self.discard(current);
                self.written(socket, length, completion, Some(Error::socket_closed()), moment);
                return;
            }
        };
        connection.bytes_dispatched += current.length as u64;
        connection.last_activity = now;
        let outcome = transmit(stream, &mut current);
        if connection.idle_expired() {
            self.touch(socket);
        }
        match outcome {
            Ok(_) if current.remaining == 0 => {
                let (length, completion) = self.discard(current);
                self.written(socket, length, completion, None, moment);
            }
            Ok(transmitted) => {
                self.counters.written_in_part(current.length - current.remaining);
                current.state = CurrentState::InFlight;
                self.fly(socket, current);
                if transmitted == Transmitted::UntilWantOfBuffers {
                    self.write_again_later(socket);
                }
            }
            Err(error) => {
                if current.is_text {
                    self.connections[socket.index()].bytes_dispatched -= current.length as u64;
                    self.counters.sent_and_not_counted(current.length - current.remaining);
                } else {
                    self.counters.failed_to_send(current.remaining);
                }
                let (length, completion) = self.discard(current);
                self.written(socket, length, completion, Some(error), moment);
            }
        }
    }

    /// What is left of a write when its bytes are no longer needed.
    fn discard(&mut self, current: CurrentWrite) -> (usize, Completion) {
        for bytes in current.chunks.into_each() {
            self.reclaim(bytes);
        }
        (current.length, current.completion)
    }

    /// The kernel takes more: continues the write in flight, if there is one. True when it is over.
    pub(super) fn writable(&mut self, socket: Handle) -> bool {
        let Some(connection) = self.live(socket) else { return false };
        connection.announced.remove(Readiness::WRITABLE);
        let Link::Open { stream, .. } = &connection.link else { return false };
        let queue = connection.rare.as_mut().and_then(|rare| rare.queue.as_mut());
        let Some(queue) = queue else { return false };
        let Some(current) = queue.current.as_mut() else { return false };
        let before = current.remaining;
        let outcome = transmit(stream, current);
        if current.remaining > 0 {
            let sent = before - current.remaining;
            if let Ok(how) = outcome {
                self.counters.written_in_part(sent);
                if sent > 0 {
                    self.output_moved(socket);
                }
                if how == Transmitted::UntilWantOfBuffers {
                    self.write_again_later(socket);
                }
                return false;
            }
        }
        let Some(current) = queue.current.take() else { return false };
        self.requests -= 1;
        let unsent = current.remaining;
        self.output_moved(socket);
        let (length, completion) = self.discard(current);
        match outcome {
            Ok(_) => {
                self.touch(socket);
                if let Some(queue) = self.connections[socket.index()].queue_mut() {
                    queue.last_size = 0;
                }
                self.written(socket, length, completion, None, Moment::Later);
            }
            Err(error) => {
                self.counters.failed_to_send(unsent);
                self.written(socket, length, completion, Some(error), Moment::Later);
            }
        }
        true
    }

    /// `onwrite`: a write is over, well or badly. `waited` is how much of it was counted as waiting.
    fn written(&mut self, socket: Handle, waited: usize, completion: Completion, error: Option<Error>, moment: Moment) {
        if waited > 0 {
            self.waits_less(socket, waited);
        }
        let connection = &mut self.connections[socket.index()];
        if let Some(error) = error {
            connection.set_errored(&error);
            match moment {
                Moment::Synchronous => self.defer(socket, ConnectionTick::WriteFailed(completion, error)),
                Moment::Later => self.write_failed(socket, completion, error),
            }
            return;
        }
        if connection.has_buffered() {
            self.clear_buffer(socket);
        }
        if moment == Moment::Later {
            self.spare_queue(socket);
            self.after_write(socket, completion);
            return;
        }
        let connection = &mut self.connections[socket.index()];
        let empty = connection.writable_length() == 0;
        let write = &mut connection.write;
        let drain_owed = write.need_drain() && empty;
        let tick = if completion.is_nobody() { drain_owed && !write.after_write_pending() } else { true };
        if tick {
            write.set_after_write_pending(true);
            self.defer(socket, ConnectionTick::AfterWrite(completion));
        } else if write.ending() {
            self.finish_maybe(socket);
        }
    }

    /// `afterWrite`: `drain` before the callbacks (rule F8), then perhaps the end of the stream.
    pub(super) fn after_write(&mut self, socket: Handle, completion: Completion) {
        let connection = &mut self.connections[socket.index()];
        let epoch = connection.epoch();
        let destroyed = connection.destroyed();
        let empty = connection.writable_length() == 0;
        let write = &mut connection.write;
        write.set_after_write_pending(false);
        let drain = write.need_drain() && !write.ending() && !destroyed && empty;
        if drain {
            write.set_need_drain(false);
        }
        // A listener or a callback may be what ends or destroys the socket: Node asks after them.
        if destroyed || write.ending() || drain || !completion.is_nobody() {
            self.ticks.then(Step::WriteCompleted { socket, epoch });
        }
        self.complete_now(socket, completion, None);
        if drain {
            self.ticks.then_emit(Emission::Plain { socket, event: PlainEvent::Drain });
        }
    }

    /// The end of `afterWrite`. A callback may have called `end()` itself; asking again then changes nothing.
    pub(super) fn write_completed(&mut self, socket: Handle, epoch: u32) {
        let Some(connection) = self.current(socket, epoch) else { return };
        if connection.destroyed() {
            self.error_buffer(socket);
            return;
        }
        if connection.write.ending() {
            self.finish_maybe(socket);
        }
    }

    /// `onwriteError`: the callback first, then everything queued behind, then the socket (rule L55).
    pub(super) fn write_failed(&mut self, socket: Handle, completion: Completion, error: Error) {
        let epoch = self.connections[socket.index()].epoch();
        self.ticks.then(Step::Destroy { socket, epoch, error: error.clone() });
        self.ticks.then(Step::ErrorBuffer { socket, epoch });
        self.complete_now(socket, completion, Some(&error));
    }

    /// `errorBuffer`: nobody who waits is forgotten.
    pub(super) fn error_buffer(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.is_writing() {
            return;
        }
        let (epoch, errored) = (connection.epoch(), connection.errored().cloned());
        let Some(queue) = connection.queue_mut() else { return };
        let buffered = std::mem::take(&mut queue.buffered);
        queue.failing += buffered.iter().map(|request| request.bytes.len()).sum::<usize>();
        self.ticks.then(Step::BufferErrored { socket, epoch });
        let error = errored.unwrap_or_else(|| Error::stream_destroyed("write"));
        for request in buffered.into_iter().rev() {
            if let Some(callback) = request.callback {
                self.complete(socket, callback, Some(error.clone()));
            }
            self.ticks.then(Step::WriteErrored { socket, epoch, length: request.bytes.len() });
            self.graveyard.push(request.bytes);
        }
    }

    /// One of the writes that fail in [`Reactor::error_buffer`], before its callback: it is no longer to be written.
    pub(super) fn write_errored(&mut self, socket: Handle, epoch: u32, length: usize) {
        if self.current(socket, epoch).is_some() {
            self.waits_less(socket, length);
        }
    }

    /// After the callbacks of [`Reactor::error_buffer`]: writes that they made fail likewise, then the callbacks of `end()`. Until
    /// all were told, what failed counts among the bytes written.
    pub(super) fn buffer_errored(&mut self, socket: Handle, epoch: u32) {
        let Some(connection) = self.current(socket, epoch) else { return };
        let errored = connection.errored().cloned();
        let Some(queue) = connection.queue_mut() else { return };
        if !queue.buffered.is_empty() {
            self.error_buffer(socket);
        } else if queue.end_callbacks.is_empty() {
            queue.failing = 0;
            self.spare_queue(socket);
        } else {
            let callbacks = std::mem::take(&mut queue.end_callbacks);
            self.ticks.then(Step::BufferErrored { socket, epoch });
            let error = errored.unwrap_or_else(|| Error::stream_destroyed("end"));
            for callback in callbacks.into_iter().rev() {
                self.complete(socket, callback, Some(error.clone()));
            }
        }
    }

    /// `setDefaultEncoding()`: for the writes that follow. Kept when the socket connects again.
    pub(crate) fn set_default_encoding(&mut self, socket: Handle, encoding: Encoding) {
        if let Some(connection) = self.live(socket) {
            // The boxes stay when it is the default again: who changes it once may do so for each write.
            if connection.settings().default_encoding != encoding {
                connection.settings_mut().default_encoding = encoding;
            }
        }
    }

    /// The first write that waited for the connection goes out, in the middle of the `connect` dispatch (rule L5).
    pub(super) fn flush_awaiting(&mut self, socket: Handle) {
        if let Some(current) = self.take_awaiting(socket) {
            self.dispatch_current(socket, current, Moment::Later);
        }
    }

    /// The connection closed before the first write could go out (rules L8, L33).
    pub(super) fn fail_awaiting(&mut self, socket: Handle) {
        if let Some(current) = self.take_awaiting(socket) {
            let (length, completion) = self.discard(current);
            // It still counts among the bytes written (rule F12).
            self.connections[socket.index()].bytes_dispatched += length as u64;
            let error = Error::socket_closed_before_connection();
            self.written(socket, length, completion, Some(error), Moment::Later);
        }
    }

    fn take_awaiting(&mut self, socket: Handle) -> Option<CurrentWrite> {
        let queue = self.live(socket)?.queue_mut()?;
        queue.current.take_if(|current| current.state == CurrentState::AwaitsConnect)
    }

    /// `socket.end()`
    pub(crate) fn end<C: Outgoing>(
        &mut self,
        socket: Handle,
        chunk: Option<&mut Option<C>>,
        callback: Option<CallbackId>,
    ) {
        if self.live(socket).is_none() {
            self.complete_later(socket, callback, Some(Error::stream_destroyed("end")));
            return;
        }
        let refused = chunk.and_then(|chunk| self.write_chunk(socket, chunk, None).err());
        let connection = &mut self.connections[socket.index()];
        if let Some(queue) = connection.queue_mut().filter(|queue| queue.corked > 0) {
            // `end()` takes all corks out.
            queue.corked = 1;
            self.uncork(socket);
        }
        self.send_batch(socket);
        let connection = &mut self.connections[socket.index()];
        let mut error = refused;
        if error.is_none() {
            if !connection.write.ending() && connection.errored().is_none() {
                connection.write.phase = WritePhase::Ending;
                connection.write.set_need_drain(false);
                self.finish_maybe(socket);
            } else if connection.write.finished() {
                error = Some(Error::stream_already_finished("end"));
            } else if connection.destroyed() {
                error = Some(Error::stream_destroyed("end"));
            }
        }
        let Some(callback) = callback else { return };
        let connection = &mut self.connections[socket.index()];
        let error = error.or_else(|| connection.errored().cloned());
        if error.is_some() || connection.write.finished() {
            self.complete_later(socket, Some(callback), error);
        } else if connection.destroyed() {
            // Node forgets this one callback (N11); it is always called here.
            self.complete_later(socket, Some(callback), Some(Error::stream_destroyed("end")));
        } else {
            self.queue_or_spare(socket).end_callbacks.push(callback);
        }
    }

    /// `endWritableNT`
    pub(super) fn auto_end(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.is_writable() {
            self.end::<QueuedBytes>(socket, None, None);
        }
    }

    /// `finishMaybe`: once all is written, the write side is shut down.
    fn finish_maybe(&mut self, socket: Handle) {
        let connection = &mut self.connections[socket.index()];
        if connection.write.phase != WritePhase::Ending || !connection.needs_finish() {
            return;
        }
        connection.write.phase = WritePhase::Final;
        self.shut_down(socket);
    }

    /// `_final`
    pub(super) fn shut_down(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        match &connection.link {
            Link::Detached => self.shut_down_done(socket),
            Link::Connecting | Link::ConnectingPath => self.request(socket, Internal::ShutDown),
            Link::Open { .. } => {
                connection.write.set_shutting_down(true);
                let epoch = connection.epoch();
                self.requests += 1;
                self.pending.push_back(Pending::ShutDown { socket, epoch });
            }
        }
    }

    /// The pending phase reached a shutdown: shutdown(2) is made here, as libuv makes it.
    pub(super) fn shut_down_now(&mut self, socket: Handle, epoch: u32) {
        let Some(connection) = self.current(socket, epoch) else { return };
        if !connection.write.shutting_down() {
            return;
        }
        connection.write.set_shutting_down(false);
        if connection.ends_with_its_close() {
            connection.write.set_end_owed(true);
        } else if let Link::Open { stream, .. } = &connection.link {
            // Node does not look at the result: a peer that is gone already counts as success (rule L60).
            let _ = stream.shutdown_write();
        }
        self.requests -= 1;
        self.shut_down_done(socket);
    }

    /// The descriptor goes elsewhere instead of being closed: now its peer is to see the end that it is owed.
    pub(super) fn pay_end(&mut self, socket: Handle) {
        if let Some(connection) = self.live(socket) {
            connection.pay_end();
        }
    }

    /// `onFinish`
    fn shut_down_done(&mut self, socket: Handle) {
        let connection = &mut self.connections[socket.index()];
        if connection.needs_finish() {
            connection.write.phase = WritePhase::Prefinished;
            self.defer(socket, ConnectionTick::Finish);
        }
    }

    /// `finish`: the callbacks of `end()`, then the event (rule L10).
    pub(super) fn finish(&mut self, socket: Handle, epoch: u32) {
        let Some(connection) = self.current(socket, epoch) else { return };
        connection.write.phase = WritePhase::Finished;
        if connection.is_bounded() {
            self.bounds_changed(socket);
        }
        let connection = &mut self.connections[socket.index()];
        let callbacks =
            connection.queue_mut().map(|queue| std::mem::take(&mut queue.end_callbacks)).unwrap_or_default();
        self.spare_queue(socket);
        self.ticks.then(Step::FinishEmitted { socket, epoch });
        self.ticks.then_emit(Emission::Plain { socket, event: PlainEvent::Finish });
        for callback in callbacks.into_iter().rev() {
            self.complete(socket, callback, None);
        }
    }

    /// After the `finish` listeners: the automatic `destroy()` when the readable side is over too (rule L15).
    pub(super) fn finish_emitted(&mut self, socket: Handle, epoch: u32) {
        let Some(connection) = self.current(socket, epoch) else { return };
        if connection.read.phase == ReadPhase::EndEmitted {
            self.destroy(socket, None);
        }
    }

    /// The closing phase cuts a write that was in flight (rule L35).
    pub(super) fn write_canceled(&mut self, socket: Handle, current: CurrentWrite) {
        let (length, completion) = self.discard(current);
        let error = self.spares.canceled_write();
        self.written(socket, length, completion, Some(error), Moment::Later);
    }

    /// Answers a callback within the running callback: in front of all that remains.
    pub(super) fn complete(&mut self, owner: Handle, callback: CallbackId, error: Option<Error>) {
        self.ticks.then_emit(Emission::Complete { owner, callback, error });
    }

    pub(super) fn complete_now(&mut self, owner: Handle, completion: Completion, error: Option<&Error>) {
        match completion {
            Completion::Nobody => {}
            Completion::One(callback) => self.complete(owner, callback, error.cloned()),
            Completion::Group(callbacks) => {
                for callback in callbacks.into_iter().rev() {
                    self.complete(owner, callback, error.cloned());
                }
            }
        }
    }

    /// Answers a callback in a tick.
    pub(super) fn complete_later(&mut self, owner: Handle, callback: Option<CallbackId>, error: Option<Error>) {
        if let Some(callback) = callback {
            self.ticks.push(Tick::Complete { owner, callback, error });
        }
    }
}

impl Connection {
    /// Makes the shutdown that was left to the close, if there is one.
    pub(super) fn pay_end(&mut self) {
        if let (true, Link::Open { stream }) = (self.write.end_owed(), &self.link) {
            let _ = stream.shutdown_write();
            self.write.set_end_owed(false);
        }
    }

    /// Whether the connection is closed right after `finish`, in the same callback, so that shutdown(2) would only send a
    /// little earlier what close(2) sends: the peer's end was read, which leaves nothing that could make the close a reset.
    /// Only for descriptors that were accepted here: of others somebody may have a second one, which keeps a connection
    /// open that is only closed.
    fn ends_with_its_close(&self) -> bool {
        self.read.phase == ReadPhase::EndEmitted && self.server.is_some() && !self.read.disabled()
    }
}
