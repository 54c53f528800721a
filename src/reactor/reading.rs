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
use crate::reactor::ticks::{ConnectionTick, Emission, PlainEvent, Step};
use crate::reactor::{Handle, Reactor};
use crate::sys::errno::Errno;

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
        let now = self.now;
        let Some(connection) = self.connections.get_mut(socket.index()) else { return Received::Nothing };
        if !connection.read.receiving {
            return Received::Nothing;
        }
        let Link::Open { stream, .. } = &connection.link else { return Received::Nothing };
        match stream.read(buffer) {
            Ok(0) => {
                self.received_end_of_stream(socket);
                Received::Queued
            }
            Ok(count) => {
                connection.idle.last_activity = now;
                if connection.idle.expired {
                    self.touch(socket);
                }
                self.received_bytes(socket, &buffer[..count])
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.readiness.readable = false;
                Received::Nothing
            }
            Err(error) => {
                connection.readiness.readable = false;
                self.touch(socket);
                self.destroy(socket, Some(Error::exception(Errno::from_io(&error), "read")));
                Received::Queued
            }
        }
    }

    /// `push(chunk)`.
    fn received_bytes(&mut self, socket: Handle, bytes: &[u8]) -> Received {
        let connection = &mut self.connections[socket.index()];
        connection.bytes_read += bytes.len() as u64;
        let read = &mut connection.read;
        if read.is_flowing() && read.data_listening && read.length == 0 && read.high_water_mark > 0 {
            // Node clears `reading` here and queues `maybeReadMore_`, which would find nothing to do but to set these two
            // again: with an empty buffer below the high-water mark nothing can tell the difference.
            read.reading = true;
            read.need_readable = true;
            return Received::Lent(bytes.len());
        }
        read.reading = false;
        if read.is_flowing() && read.data_listening && read.length == 0 {
            self.ticks.then(Step::Pushed { socket });
            self.ticks.then_emit(Emission::Data { socket, bytes: bytes.into() });
        } else {
            read.length += bytes.len();
            read.buffer.push_back(bytes.into());
            if read.need_readable {
                self.emit_readable(socket);
            }
            self.pushed(socket);
        }
        Received::Kept(bytes.len())
    }

    /// The rest of `push(chunk)`, after a lent chunk was emitted.
    pub(crate) fn lent(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if !connection.read.can_push_more() {
            self.stop_receiving(socket);
        }
    }

    /// The rest of `push(chunk)` and of `onStreamRead`.
    pub(super) fn pushed(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if !connection.read.read_more_scheduled && !connection.read.reading {
            connection.read.read_more_scheduled = true;
            self.defer(socket, ConnectionTick::ReadMore);
        }
        self.lent(socket);
    }

    /// `push(null)` and `read(0)`: the peer ended its side.
    pub(super) fn received_end_of_stream(&mut self, socket: Handle) {
        self.touch(socket);
        self.stop_receiving(socket);
        let Some(connection) = self.live(socket) else { return };
        connection.readiness.readable = false;
        let Some(connection) = self.live(socket) else { return };
        let read = &mut connection.read;
        read.reading = false;
        match read.phase {
            ReadPhase::Open => {
                read.phase = ReadPhase::Ended;
                read.need_readable = false;
                read.emitted_readable = false;
                self.ticks.then(Step::ReadZero { socket });
                self.ticks.then(Step::Flow { socket });
            }
            ReadPhase::Ended => self.read_zero(socket),
            ReadPhase::EndEmitted => {}
        }
    }

    /// `read(0)`: asks the transport for more, emits nothing.
    pub(super) fn read_zero(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let blocked = connection.destroyed || connection.errored.is_some();
        let read = &mut connection.read;
        let enough = if read.high_water_mark == 0 { read.length > 0 } else { read.length >= read.high_water_mark };
        if read.need_readable && (enough || read.ended()) {
            if read.length == 0 && read.ended() {
                self.end_readable(socket);
            } else {
                self.emit_readable(socket);
            }
            return;
        }
        if read.ended() {
            if read.length == 0 {
                self.end_readable(socket);
            }
            return;
        }
        let wanted = read.need_readable || read.length == 0 || read.length < read.high_water_mark;
        let ask = wanted && !read.reading && !blocked;
        if ask {
            read.reading = true;
        }
        if read.length <= read.high_water_mark || read.length == 0 {
            read.need_readable = true;
        }
        if ask {
            self.ask_transport(socket);
        }
    }

    /// `read()` within `flow()`: takes one chunk off the buffer.
    fn read_chunk(&mut self, socket: Handle) -> Option<Box<[u8]>> {
        let connection = self.live(socket)?;
        let blocked = connection.destroyed || connection.errored.is_some();
        let read = &mut connection.read;
        read.emitted_readable = false;
        let size = read.buffer.front().map_or(0, |chunk| chunk.len());
        if size == 0 && read.ended() {
            if read.length == 0 {
                self.end_readable(socket);
            }
            return None;
        }
        let wanted = read.need_readable || read.length == 0 || read.length - size < read.high_water_mark;
        let ask = wanted && !read.reading && !read.ended() && !blocked;
        if ask {
            read.reading = true;
            if read.length == 0 {
                read.need_readable = true;
            }
        }
        let chunk = read.buffer.pop_front();
        match &chunk {
            Some(chunk) => {
                read.length -= chunk.len();
                if read.buffer.is_empty() {
                    read.buffer.shrink_to_fit();
                }
            }
            None if read.length <= read.high_water_mark => read.need_readable = true,
            None => {}
        }
        let drained = read.length == 0;
        let ended = read.ended();
        if drained && !ended {
            read.need_readable = true;
        }
        if ask {
            self.ask_transport(socket);
        }
        if drained && ended {
            self.end_readable(socket);
        }
        chunk
    }

    /// One round of `flow()`.
    pub(super) fn flow(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if !connection.read.is_flowing() {
            return;
        }
        let Some(bytes) = self.read_chunk(socket) else { return };
        self.ticks.then(Step::Flow { socket });
        let Some(connection) = self.live(socket) else { return };
        if !connection.error_emitted && !connection.close_marked {
            self.ticks.then_emit(Emission::Data { socket, bytes });
        }
    }

    /// `emitReadable`
    fn emit_readable(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        connection.read.need_readable = false;
        if !connection.read.emitted_readable {
            connection.read.emitted_readable = true;
            self.defer(socket, ConnectionTick::EmitReadable);
        }
    }

    /// `emitReadable_`
    pub(super) fn emit_readable_now(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let alive = !connection.destroyed && connection.errored.is_none();
        let read = &mut connection.read;
        if alive && (read.length > 0 || read.ended()) {
            read.emitted_readable = false;
        }
        if !read.is_flowing() && !read.ended() && read.length <= read.high_water_mark {
            read.need_readable = true;
        }
        self.flow(socket);
    }

    /// `maybeReadMore_`
    pub(super) fn read_more(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let read = &mut connection.read;
        // Node loops while reads deliver at once; a transport never does, so the first round is the last.
        let room = read.length < read.high_water_mark || (read.is_flowing() && read.length == 0);
        if !read.reading && !read.ended() && room {
            self.read_zero(socket);
        }
        if let Some(connection) = self.live(socket) {
            connection.read.read_more_scheduled = false;
        }
    }

    /// `_read()`: lets the transport read, or remembers to.
    fn ask_transport(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        match connection.link {
            Link::Detached | Link::Connecting { .. } | Link::ConnectingPath { .. } => connection.read_on_connect = true,
            Link::Open { .. } => self.start_receiving(socket),
        }
    }

    pub(super) fn start_receiving(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.read.receiving {
            return;
        }
        connection.read.receiving = true;
        self.count(socket);
        self.queue_if_readable(socket);
    }

    pub(super) fn stop_receiving(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        connection.read.receiving = false;
        self.count(socket);
    }

    /// `endReadable`
    fn end_readable(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let read = &mut connection.read;
        if read.phase == ReadPhase::EndEmitted || read.end_scheduled {
            return;
        }
        read.phase = ReadPhase::Ended;
        read.end_scheduled = true;
        self.defer(socket, ConnectionTick::End);
    }

    /// `endReadableNT`: emits `end` once the buffer is empty (rule L20).
    pub(super) fn end_reached(&mut self, socket: Handle, epoch: u32) {
        let Some(connection) = self.live(socket) else { return };
        connection.read.end_scheduled = false;
        let over = connection.errored.is_some() || connection.close_marked;
        if over || connection.read.phase == ReadPhase::EndEmitted || connection.read.length > 0 {
            return;
        }
        connection.read.phase = ReadPhase::EndEmitted;
        if !connection.allow_half_open {
            connection.write_after_end_of_peer = true;
        }
        self.ticks.then(Step::EndEmitted { socket, epoch });
        self.ticks.then_emit(Emission::Plain { socket, event: PlainEvent::End });
    }

    /// After the `end` listeners: the automatic `end()` or the automatic `destroy()` (rules L15, L16).
    pub(super) fn end_emitted(&mut self, socket: Handle, epoch: u32) {
        let Some(connection) = self.current(socket, epoch) else { return };
        if connection.is_writable() && !connection.allow_half_open {
            self.defer(socket, ConnectionTick::AutoEnd);
        } else if connection.write.finished() {
            self.destroy(socket, None);
        }
    }

    /// `resume()`
    pub(crate) fn resume(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.destroyed {
            return;
        }
        connection.read.paused = false;
        if connection.read.is_flowing() {
            return;
        }
        connection.read.flow = Flow::Flowing;
        if !connection.read.resume_scheduled {
            connection.read.resume_scheduled = true;
            self.defer(socket, ConnectionTick::Resume);
        }
    }

    /// `resume_`
    pub(super) fn resume_now(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if !connection.read.reading {
            self.read_zero(socket);
        }
        let Some(connection) = self.live(socket) else { return };
        connection.read.resume_scheduled = false;
        self.ticks.then(Step::Resumed { socket });
        self.ticks.then(Step::Flow { socket });
    }

    /// The end of `resume_`.
    pub(super) fn resumed(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.read.is_flowing() && !connection.read.reading {
            self.read_zero(socket);
        }
    }

    /// `pause()`
    pub(crate) fn pause(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if connection.destroyed {
            return;
        }
        connection.read.flow = Flow::Stopped;
        connection.read.paused = true;
    }

    /// A first `data` listener starts the flow, unless the user paused explicitly (rule F26); the last one gone does
    /// not stop it (rule F27).
    pub(crate) fn data_listeners_changed(&mut self, socket: Handle, any: bool, added: bool) {
        let Some(connection) = self.live(socket) else { return };
        connection.read.data_listening = any;
        if added && connection.read.flow != Flow::Stopped {
            self.resume(socket);
        }
    }
}
