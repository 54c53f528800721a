//! The readable side in motion: Node's `Readable` and the read half of `net.Socket`, transition by transition.
//!
//! A chunk that arrives while the socket flows, with a `data` listener and an empty buffer, is lent straight from the
//! loop's buffer; everything else goes through the buffer and the deferred functions, exactly as in Node, because their
//! places in the tick queue can be observed (rules F20-F27, L20).
//!
//! This module touches `sys::Stream` for the one read and nothing else outside the reactor.

use std::io;

use crate::error::Error;
use crate::reactor::connection::{Flow, Link, ReadPhase};
use crate::reactor::text_decoder::{Encoding, TextDecoder};
use crate::reactor::ticks::{ConnectionTick, Emission, PlainEvent, Step};
use crate::reactor::{Handle, Reactor};
use crate::sys::Readiness;
use crate::sys::errno::Errno;

/// How far `read(n)` may raise the high-water mark: Node's limit.
const MAX_HIGH_WATER_MARK: usize = 1 << 30;

/// What a read of a connection's descriptor came to.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Received {
    /// This many bytes lie in the loop's buffer: emit them, then call [`Reactor::lent`].
    Lent(usize),
    /// This many bytes were copied; what follows is in the tick queue.
    Kept(usize),
    /// The end or an error; what follows is in the tick queue.
    Queued,
    /// Nothing was read: no input, or the connection does not read now.
    Nothing,
}

impl Reactor {
    /// Reads once, into the loop's buffer.
    pub(crate) fn receive(&mut self, socket: Handle, buffer: &mut [u8]) -> Received {
        let Some(connection) = self.connections.get_mut(socket.index()) else { return Received::Nothing };
        if !connection.read.receiving() {
            return Received::Nothing;
        }
        let Link::Open { stream, .. } = &connection.link else { return Received::Nothing };
        let outcome = match &mut self.stamps {
            None => stream.read(buffer),
            Some(stamps) => stamps.read(socket, stream, buffer),
        };
        self.received(socket, outcome, buffer)
    }

    /// What one read of an open connection came to.
    pub(super) fn received(&mut self, socket: Handle, outcome: io::Result<usize>, buffer: &[u8]) -> Received {
        let now = self.now;
        let connection = &mut self.connections[socket.index()];
        match outcome {
            Ok(0) => {
                self.received_end_of_stream(socket);
                Received::Queued
            }
            Ok(count) => {
                connection.last_activity = now;
                if connection.idle_expired() {
                    self.touch(socket);
                }
                self.received_bytes(socket, &buffer[..count])
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.counters.blocked_reads += 1;
                connection.announced.remove(Readiness::READABLE);
                Received::Nothing
            }
            Err(error) => {
                connection.announced.remove(Readiness::READABLE);
                self.touch(socket);
                let error = self.spares.read_error(Errno::from_io(&error));
                self.destroy(socket, Some(error));
                Received::Queued
            }
        }
    }

    /// `push(chunk)`.
    fn received_bytes(&mut self, socket: Handle, bytes: &[u8]) -> Received {
        let connection = &mut self.connections[socket.index()];
        connection.bytes_read += bytes.len() as u64;
        if connection.read.own_buffer() {
            return Received::Lent(bytes.len());
        }
        if connection.encoding().is_some() {
            return self.received_text(socket, bytes);
        }
        let empty = connection.readable_length() == 0 && connection.readable_high_water_mark() > 0;
        let read = &mut connection.read;
        if empty && read.is_flowing() && read.data_listening() {
            // Node clears `reading` here and queues `maybeReadMore_`, which would find nothing to do but to set these two
            // again: with an empty buffer below the high-water mark nothing can tell the difference.
            read.set_reading(true);
            read.set_need_readable(true);
            read.set_did_read(true);
            return Received::Lent(bytes.len());
        }
        self.add_chunk(socket, bytes.into());
        Received::Kept(bytes.len())
    }

    /// `push(chunk)` with an encoding set: a chunk that completes no character emits nothing (rule F40).
    fn received_text(&mut self, socket: Handle, bytes: &[u8]) -> Received {
        let connection = &mut self.connections[socket.index()];
        let mut text = String::new();
        if let Some(decoder) = &mut connection.rare_mut().incoming.decoder {
            decoder.decode(bytes, &mut text);
        }
        if text.is_empty() {
            connection.read.set_reading(false);
            self.pushed(socket);
        } else {
            self.add_chunk(socket, text.into_bytes().into_boxed_slice());
        }
        Received::Kept(bytes.len())
    }

    /// `addChunk`, for a chunk of our own.
    fn add_chunk(&mut self, socket: Handle, bytes: Box<[u8]>) {
        let connection = &mut self.connections[socket.index()];
        connection.read.set_reading(false);
        if connection.emits_at_once() {
            connection.read.set_did_read(true);
            self.ticks.then(Step::Pushed { socket });
            self.ticks.then_emit(Emission::Data { socket, bytes });
        } else {
            connection.rare_mut().incoming.push_back(bytes);
            if connection.read.need_readable() {
                self.emit_readable(socket);
            }
            self.pushed(socket);
        }
    }

    /// `setEncoding()`: what was read ahead is decoded at once.
    pub(crate) fn set_encoding(&mut self, socket: Handle, encoding: Encoding) {
        let Some(connection) = self.live(socket) else { return };
        let ended = connection.read.ended();
        let incoming = &mut connection.rare_mut().incoming;
        let mut decoder = TextDecoder::new(encoding);
        if incoming.decoder.is_none() {
            let mut text = String::new();
            for chunk in incoming.take_all() {
                decoder.decode(&chunk, &mut text);
            }
            if ended {
                decoder.end(&mut text);
            }
            if !text.is_empty() {
                incoming.push_back(text.into_bytes().into_boxed_slice());
            }
        }
        incoming.decoder = Some(Box::new(decoder));
    }

    /// The rest of `push(chunk)`, after a lent chunk was emitted.
    #[inline]
    pub(crate) fn lent(&mut self, socket: Handle) {
        // What was read the usual way leaves nothing in the buffer, unless somebody put something there.
        if !self.connections.is_untouched(socket.index()) {
            self.lent_otherwise(socket);
        }
    }

    fn lent_otherwise(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if !connection.can_push_more() {
            // Node cleared `reading` when the bytes came. Left set, nobody would ask the transport again.
            connection.read.set_reading(false);
            self.stop_receiving(socket);
        }
    }

    /// The rest of `push(chunk)` and of `onStreamRead`.
    pub(super) fn pushed(&mut self, socket: Handle) {
        self.schedule_read_more(socket);
        self.lent(socket);
    }

    /// `maybeReadMore`
    pub(super) fn schedule_read_more(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if !connection.read.read_more_scheduled() && !connection.read.reading() {
            connection.read.set_read_more_scheduled(true);
            self.defer(socket, ConnectionTick::ReadMore);
        }
    }

    /// `push(null)` and `read(0)`: the peer ended its side.
    pub(super) fn received_end_of_stream(&mut self, socket: Handle) {
        self.touch(socket);
        self.stop_receiving(socket);
        let Some(connection) = self.live(socket) else { return };
        connection.announced.remove(Readiness::READABLE);
        let read = &mut connection.read;
        read.set_reading(false);
        match read.phase {
            ReadPhase::Open => {
                read.phase = ReadPhase::Ended;
                read.set_need_readable(false);
                read.set_emitted_readable(true);
                connection.push_held_text();
                self.bounds_changed(socket);
                self.ticks.then(Step::ReadZero { socket });
                self.emit_readable_now(socket);
            }
            ReadPhase::Ended => self.read_zero(socket),
            ReadPhase::EndEmitted => {}
        }
    }

    /// `read(0)`: asks the transport for more, emits nothing.
    pub(super) fn read_zero(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let blocked = connection.destroyed() || connection.errored().is_some();
        let (length, high_water_mark) = (connection.readable_length(), connection.readable_high_water_mark());
        let read = &mut connection.read;
        let enough = if high_water_mark == 0 { length > 0 } else { length >= high_water_mark };
        if read.need_readable() && (enough || read.ended()) {
            if length == 0 && read.ended() {
                self.end_readable(socket);
            } else {
                self.emit_readable(socket);
            }
            return;
        }
        if read.ended() {
            if length == 0 {
                self.end_readable(socket);
            }
            return;
        }
        let wanted = read.need_readable() || length == 0 || length < high_water_mark;
        let ask = wanted && !read.reading() && !blocked;
        if ask {
            read.set_reading(true);
        }
        if length <= high_water_mark || length == 0 {
            read.set_need_readable(true);
        }
        if ask {
            self.ask_transport(socket);
        }
    }

    /// `read(size)`; `None` asks for whatever there is, which is one chunk while flowing. The caller emits `data` with
    /// what it returns, if [`Reactor::may_emit_data`].
    pub(crate) fn read(&mut self, socket: Handle, size: Option<usize>) -> Option<Box<[u8]>> {
        let connection = self.live(socket)?;
        let blocked = connection.destroyed() || connection.errored().is_some();
        let mut high_water_mark = connection.readable_high_water_mark();
        if let Some(size) = size.filter(|&size| size > high_water_mark) {
            // Bounded as in Node, which throws beyond the limit; a mark that was set higher stays.
            let raised = size.checked_next_power_of_two().unwrap_or(size).min(MAX_HIGH_WATER_MARK);
            high_water_mark = raised.max(high_water_mark);
            connection.settings_mut().readable_high_water_mark = high_water_mark;
        }
        if size == Some(0) {
            self.read_zero(socket);
            return None;
        }
        connection.read.set_emitted_readable(false);
        let count = connection.how_much(size);
        let length = connection.readable_length();
        let chunk = connection.take_incoming(count);
        let read = &mut connection.read;
        let ended = read.ended();
        if count == 0 && ended {
            if length == 0 {
                self.end_readable(socket);
            }
            return None;
        }
        let wanted = read.need_readable() || length == 0 || length - count < high_water_mark;
        let ask = wanted && !read.reading() && !ended && !blocked;
        if ask {
            read.set_reading(true);
            if length == 0 {
                read.set_need_readable(true);
            }
        }
        if chunk.is_none() && length <= high_water_mark {
            read.set_need_readable(true);
        }
        let drained = length == count;
        if drained && !ended {
            read.set_need_readable(true);
        }
        if ask {
            self.ask_transport(socket);
        }
        // Node asks whether the size that was taken is the size that was asked for.
        if drained && ended && size != Some(count) {
            self.end_readable(socket);
        }
        chunk
    }

    /// Whether `read()` emits `data` with what it took.
    pub(crate) fn may_emit_data(&mut self, socket: Handle) -> bool {
        let Some(connection) = self.live(socket) else { return false };
        let may = !connection.error_emitted() && !connection.close_marked();
        if may {
            connection.read.set_did_read(true);
        }
        may
    }

    /// `unshift(chunk)` (rule F31). A socket that flows with nothing buffered emits it within the call, as in Node.
    pub(crate) fn unshift(&mut self, socket: Handle, chunk: Box<[u8]>) {
        let Some(connection) = self.live(socket) else { return };
        if chunk.is_empty() {
            return;
        }
        if connection.read.phase == ReadPhase::EndEmitted {
            self.destroy(socket, Some(Error::stream_unshift_after_end_event()));
            return;
        }
        if connection.destroyed() || connection.errored().is_some() {
            return;
        }
        if connection.emits_at_once() && connection.read.has_asked() {
            connection.read.set_did_read(true);
            self.ticks.then(Step::Unshifted { socket });
            self.ticks.then_emit(Emission::Data { socket, bytes: chunk });
        } else {
            connection.rare_mut().incoming.push_front(chunk);
            if connection.read.need_readable() {
                self.emit_readable(socket);
            }
            self.schedule_read_more(socket);
        }
    }

    /// One round of `flow()`.
    pub(super) fn flow(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if !connection.read.is_flowing() {
            return;
        }
        let Some(bytes) = self.read(socket, None) else { return };
        self.ticks.then(Step::Flow { socket });
        if self.may_emit_data(socket) {
            self.ticks.then_emit(Emission::Data { socket, bytes });
        }
    }

    /// `emitReadable`
    fn emit_readable(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        connection.read.set_need_readable(false);
        if !connection.read.emitted_readable() {
            connection.read.set_emitted_readable(true);
            self.defer(socket, ConnectionTick::EmitReadable);
        }
    }

    /// `emitReadable_`
    pub(super) fn emit_readable_now(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let alive = !connection.destroyed() && connection.errored().is_none();
        let emit = alive && (connection.readable_length() > 0 || connection.read.ended());
        self.ticks.then(Step::ReadableEmitted { socket, emitted: emit });
        if emit {
            self.ticks.then_emit(Emission::Plain { socket, event: PlainEvent::Readable });
        }
    }

    /// The end of `emitReadable_`.
    pub(super) fn readable_emitted(&mut self, socket: Handle, emitted: bool) {
        let Some(connection) = self.live(socket) else { return };
        let below = connection.readable_length() <= connection.readable_high_water_mark();
        let read = &mut connection.read;
        if emitted {
            read.set_emitted_readable(false);
        }
        if !read.is_flowing() && !read.ended() && below {
            read.set_need_readable(true);
        }
        self.flow(socket);
    }

    /// `maybeReadMore_`
    pub(super) fn read_more(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let length = connection.readable_length();
        let below = length < connection.readable_high_water_mark();
        let read = &mut connection.read;
        // Node loops while reads deliver at once; a transport never does, so the first round is the last.
        let room = below || (read.is_flowing() && length == 0);
        if !read.reading() && !read.ended() && room {
            self.read_zero(socket);
        }
        if let Some(connection) = self.live(socket) {
            connection.read.set_read_more_scheduled(false);
        }
    }

    /// `_read()`: lets the transport read, or remembers to.
    fn ask_transport(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        connection.read.set_has_asked(true);
        match connection.link {
            Link::Detached | Link::Connecting | Link::ConnectingPath => {
                connection.set_read_on_connect(true);
            }
            Link::Open { .. } => self.start_receiving(socket),
        }
    }

    pub(super) fn start_receiving(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.read.receiving() {
            return;
        }
        connection.read.set_receiving(true);
        self.count(socket);
        self.queue_if_readable(socket);
    }

    pub(crate) fn stop_receiving(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        connection.read.set_receiving(false);
        self.count(socket);
    }

    /// `endReadable`
    fn end_readable(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let read = &mut connection.read;
        if read.phase == ReadPhase::EndEmitted || read.end_scheduled() {
            return;
        }
        read.phase = ReadPhase::Ended;
        read.set_end_scheduled(true);
        self.defer(socket, ConnectionTick::End);
    }

    /// `endReadableNT`: emits `end` once the buffer is empty (rule L20).
    pub(super) fn end_reached(&mut self, socket: Handle, epoch: u32) {
        let Some(connection) = self.live(socket) else { return };
        connection.read.set_end_scheduled(false);
        let over = connection.errored().is_some() || connection.close_marked();
        if over || connection.read.phase == ReadPhase::EndEmitted || connection.readable_length() > 0 {
            return;
        }
        connection.read.phase = ReadPhase::EndEmitted;
        if !connection.allow_half_open() {
            connection.set_write_after_end_of_peer(true);
        }
        self.ticks.then(Step::EndEmitted { socket, epoch });
        self.ticks.then_emit(Emission::Plain { socket, event: PlainEvent::End });
    }

    /// After the `end` listeners: the automatic `end()` or the automatic `destroy()` (rules L15, L16).
    pub(super) fn end_emitted(&mut self, socket: Handle, epoch: u32) {
        let Some(connection) = self.current(socket, epoch) else { return };
        if connection.is_writable() && !connection.allow_half_open() {
            self.defer(socket, ConnectionTick::AutoEnd);
        } else if connection.write.finished() {
            self.destroy(socket, None);
        }
    }

    /// `onread`: bytes go into the user's own buffer, nothing is buffered here (rules F50-F55).
    pub(crate) fn use_own_buffer(&mut self, socket: Handle) {
        if let Some(connection) = self.live(socket) {
            connection.read.set_own_buffer(true);
        }
    }

    /// With an own buffer, `resume()` and `read()` start kernel reads at once (rules F53, F54).
    pub(crate) fn restart_own_buffer(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.read.own_buffer() && matches!(connection.link, Link::Open { .. }) {
            self.start_receiving(socket);
        }
    }

    /// `resume()`
    pub(crate) fn resume(&mut self, socket: Handle) {
        self.restart_own_buffer(socket);
        let Some(connection) = self.live(socket) else { return };
        if connection.destroyed() {
            return;
        }
        connection.read.set_paused(false);
        connection.read.set_has_paused(true);
        if connection.read.is_flowing() {
            return;
        }
        let read = &mut connection.read;
        read.flow = if read.readable_listening() { Flow::Stopped } else { Flow::Flowing };
        if !connection.read.resume_scheduled() {
            connection.read.set_resume_scheduled(true);
            self.defer(socket, ConnectionTick::Resume);
        }
    }

    /// `resume_`
    pub(super) fn resume_now(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if !connection.read.reading() {
            self.read_zero(socket);
        }
        let Some(connection) = self.live(socket) else { return };
        connection.read.set_resume_scheduled(false);
        self.ticks.then(Step::Resumed { socket });
        self.ticks.then(Step::Flow { socket });
        self.ticks.then_emit(Emission::Plain { socket, event: PlainEvent::Resume });
    }

    /// The end of `resume_`.
    pub(super) fn resumed(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.read.is_flowing() && !connection.read.reading() {
            self.read_zero(socket);
        }
    }

    /// `pause()`: its event is emitted within the call, before the rest of it.
    pub(crate) fn pause(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.read.own_buffer() {
            self.stop_receiving(socket);
        }
        let Some(connection) = self.live(socket) else { return };
        if connection.destroyed() {
            return;
        }
        let stopped = connection.read.flow == Flow::Stopped;
        connection.read.flow = Flow::Stopped;
        self.ticks.then(Step::Paused { socket });
        if !stopped {
            self.ticks.then_emit(Emission::Plain { socket, event: PlainEvent::Pause });
        }
    }

    /// The end of `pause()`, after the `pause` listeners.
    pub(super) fn paused(&mut self, socket: Handle) {
        if let Some(connection) = self.live(socket) {
            connection.read.set_has_paused(true);
            connection.read.set_paused(true);
        }
    }

    /// A `readable` listener stops the flow and asks for data (rules F26, F28).
    pub(crate) fn readable_listener_added(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let length = connection.readable_length();
        let read = &mut connection.read;
        if read.phase == ReadPhase::EndEmitted || read.readable_listening() {
            return;
        }
        read.set_readable_listening(true);
        read.set_need_readable(true);
        read.set_emitted_readable(false);
        read.flow = Flow::Stopped;
        if length > 0 {
            self.emit_readable(socket);
        } else if !read.reading() {
            self.defer(socket, ConnectionTick::ReadZero);
        }
    }

    /// A `readable` listener was removed: what that means is decided in a tick (rule F26).
    pub(crate) fn readable_listener_removed(&mut self, socket: Handle) {
        self.defer(socket, ConnectionTick::UpdateReadableListening);
    }

    /// `updateReadableListening`. `any` is whether there is a `readable` listener now.
    pub(crate) fn update_readable_listening(&mut self, socket: Handle, any: bool) {
        let Some(connection) = self.live(socket) else { return };
        let read = &mut connection.read;
        read.set_readable_listening(any);
        if read.has_paused() && read.resume_scheduled() && !read.paused() {
            read.flow = Flow::Flowing;
        } else if read.data_listening() {
            self.resume(socket);
        } else if !any {
            read.flow = Flow::Undecided;
        }
    }

    /// A first `data` listener starts the flow, unless the user paused explicitly or listens to `readable` (rule F26).
    pub(crate) fn data_listener_added(&mut self, socket: Handle, readable_listeners: bool) {
        let Some(connection) = self.live(socket) else { return };
        connection.read.set_data_listening(true);
        if readable_listeners {
            connection.read.set_readable_listening(true);
        }
        if connection.read.flow != Flow::Stopped {
            self.resume(socket);
        }
    }

    /// The flow goes on without them (rule F27).
    pub(crate) fn last_data_listener_removed(&mut self, socket: Handle) {
        if let Some(connection) = self.live(socket) {
            connection.read.set_data_listening(false);
        }
    }
}
