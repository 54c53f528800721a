//! What can be asked of a connection: Node's properties of `net.Socket`.
//!
//! This module touches `sys::Stream` for the two addresses and the peer's credentials, and the name of a bound one.
//! Invariant: asking changes nothing, except that a remote address that was read is remembered (rule C44).

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::error::Error;
use crate::reactor::connection::{Connection, ConnectionOptions, Flow, Link, ReadPhase, WriteQueue};
use crate::reactor::text_decoder::Encoding;
use crate::reactor::{Handle, Reactor};
use crate::sys::errno::Errno;
use crate::sys::{BoundName, CopiedOptions, KeepAliveTimes, PeerCredentials, Stream};

impl Connection {
    pub(crate) fn is_destroyed(&self) -> bool {
        self.destroyed()
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.link.is_connecting()
    }

    pub(crate) fn is_pending(&self) -> bool {
        match self.link {
            Link::Detached | Link::Connecting | Link::ConnectingPath => true,
            Link::Open { .. } => false,
        }
    }

    pub(crate) fn has_handle(&self) -> bool {
        !self.link.is_detached()
    }

    pub(crate) fn readable_ended(&self) -> bool {
        self.read.phase == ReadPhase::EndEmitted
    }

    pub(crate) fn writable_ended(&self) -> bool {
        self.write.ending()
    }

    pub(crate) fn writable_finished(&self) -> bool {
        self.write.finished()
    }

    pub(crate) fn writable_need_drain(&self) -> bool {
        self.write.need_drain() && !self.destroyed() && !self.write.ending()
    }

    pub(crate) fn listens_to_data(&self) -> bool {
        self.read.data_listening()
    }

    pub(crate) fn encoding(&self) -> Option<Encoding> {
        self.rare().incoming.decoder.as_ref().map(|decoder| decoder.encoding())
    }

    /// `size`, or up to three bytes less where a character of the buffered text would be cut.
    pub(crate) fn text_size(&self, size: usize) -> usize {
        let bytes = || self.rare().incoming.bytes();
        let continues = |position: &usize| bytes().nth(*position).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
        let cut = size.saturating_sub(3)..=size;
        cut.rev().find(|position| !continues(position)).unwrap_or(size)
    }

    pub(crate) fn writable_corked(&self) -> u32 {
        self.queue().map_or(0, |queue| queue.corked)
    }

    pub(crate) fn readable_did_read(&self) -> bool {
        self.read.did_read()
    }

    pub(crate) fn readable_aborted(&self) -> bool {
        (self.destroyed() || self.errored().is_some()) && self.read.phase != ReadPhase::EndEmitted
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.read.is_paused()
    }

    pub(crate) fn flowing(&self) -> Option<bool> {
        match self.read.flow {
            Flow::Undecided => None,
            Flow::Flowing => Some(true),
            Flow::Stopped => Some(false),
        }
    }

    pub(crate) fn errored(&self) -> Option<&Error> {
        self.rare().errored.as_ref()
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Everything given to `write()`, whether or not it left yet (rule F12).
    pub(crate) fn bytes_written(&self) -> u64 {
        let queued = self.queue().map_or(0, WriteQueue::undispatched);
        self.bytes_dispatched + queued as u64
    }

    pub(crate) fn readable_length(&self) -> usize {
        self.rare().incoming.length()
    }

    pub(crate) fn writable_length(&self) -> usize {
        self.queue().map_or(0, |queue| queue.length)
    }

    pub(crate) fn readable_high_water_mark(&self) -> usize {
        self.settings().readable_high_water_mark
    }

    pub(crate) fn writable_high_water_mark(&self) -> usize {
        self.settings().writable_high_water_mark
    }

    pub(crate) fn server(&self) -> Option<Handle> {
        self.server
    }

    /// `remoteAddress` and its kin: unknown until read while connected, then remembered (rule C44). The kernel is asked
    /// at that first time, because a peer that is gone already has no address any more (rule L63).
    pub(crate) fn remote_address(&mut self) -> Option<SocketAddr> {
        if !self.peer_was_read() {
            // The kernel is to say what it says after the end.
            self.pay_end();
            let Link::Open { stream, .. } = &self.link else { return None };
            let peer = stream.peer_address().ok()?;
            self.set_peer(Some(peer));
            self.set_peer_was_read(true);
        }
        self.peer()
    }

    /// Who is at the other end of a unix socket, while there is a connection.
    pub(crate) fn peer_credentials(&self) -> Option<PeerCredentials> {
        let Link::Open { stream, .. } = &self.link else { return None };
        // One that failed to connect has its descriptor until that is told, and the kernel says that it has no peer.
        if self.is_unix() { stream.peer_credentials().ok() } else { None }
    }

    /// The local end, while there is a descriptor.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.stream().or(self.bound()).and_then(|stream| stream.local_address().ok())
    }

    /// The name that a unix socket was bound to here, while there is a descriptor.
    pub(crate) fn local_path(&self) -> Option<&Path> {
        self.rare().name.as_deref().map(BoundName::path)
    }

    /// Sets what was asked for before there was a descriptor. As in Node, an option that the kernel refuses does not fail
    /// the connection.
    pub(super) fn set_options_of(&self, stream: &Stream) {
        if self.no_delay() {
            let _ = stream.set_no_delay(true);
        }
        if self.keep_alive() {
            let _ = stream.set_keep_alive(true, self.keep_alive_times());
        }
        self.set_user_timeout_of(stream);
    }

    /// Only where one was asked for: a new socket has the system's.
    pub(super) fn set_user_timeout_of(&self, stream: &Stream) {
        let timeout = self.settings().user_timeout;
        if !timeout.is_zero() {
            let _ = stream.set_user_timeout(timeout);
        }
    }

    pub(crate) fn keep_alive_times(&self) -> Option<KeepAliveTimes> {
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        let settings = self.settings();
        (settings.keep_alive_delay > 0).then(|| KeepAliveTimes {
            delay: Duration::from_secs(settings.keep_alive_delay),
            interval: settings.keep_alive_interval.map(seconds),
            count: settings.keep_alive_count,
        })
    }
}

impl ConnectionOptions {
    /// Those that an accepted socket can have from its acceptor.
    pub(super) fn copied_options(&self) -> CopiedOptions {
        let delay = Duration::from_secs(self.keep_alive_initial_delay.as_secs());
        let times =
            (self.keep_alive && !delay.is_zero()).then_some(KeepAliveTimes { delay, interval: None, count: None });
        CopiedOptions { no_delay: self.no_delay, keep_alive: self.keep_alive, times }
    }
}

impl Reactor {
    /// `setNoDelay()`: remembered before there is a handle, no system call when nothing changes.
    pub(crate) fn set_no_delay(&mut self, socket: Handle, on: bool) {
        let Some(connection) = self.live(socket) else { return };
        if connection.no_delay() == on {
            return;
        }
        connection.set_no_delay(on);
        if let Link::Open { stream, .. } = &connection.link {
            // Node ignores the kernel's answer too: the option is advice.
            let _ = stream.set_no_delay(on);
        }
    }

    /// `setKeepAlive()` (rule C45): whole seconds, no system call when nothing changes.
    pub(crate) fn set_keep_alive(
        &mut self,
        socket: Handle,
        on: bool,
        delay: Duration,
        interval: Option<Duration>,
        count: Option<u32>,
    ) {
        let Some(connection) = self.live(socket) else { return };
        let delay = delay.as_secs();
        // The kernel takes no more than 32,767 seconds; what does not fit is refused by it just the same.
        let interval = interval.map(|interval| u32::try_from(interval.as_secs()).unwrap_or(u32::MAX));
        let settings = connection.settings();
        let known = (settings.keep_alive_delay, settings.keep_alive_interval, settings.keep_alive_count);
        let changed = on != connection.keep_alive() || (on && known != (delay, interval, count));
        if matches!(connection.link, Link::Open { .. }) && !changed {
            return;
        }
        connection.set_keep_alive(on);
        if known != (delay, interval, count) {
            let settings = connection.settings_mut();
            settings.keep_alive_delay = delay;
            settings.keep_alive_interval = interval;
            settings.keep_alive_count = count;
        }
        if let Link::Open { stream, .. } = &connection.link {
            let _ = stream.set_keep_alive(on, connection.keep_alive_times());
        }
    }

    /// Remembered before there is a connection, no system call when nothing changes. Not in Node.
    pub(crate) fn set_user_timeout(&mut self, socket: Handle, timeout: Duration) {
        let Some(connection) = self.live(socket) else { return };
        if connection.settings().user_timeout == timeout {
            return;
        }
        connection.settings_mut().user_timeout = timeout;
        if let Link::Open { stream, .. } = &connection.link {
            // Advice, as keep-alive is.
            let _ = stream.set_user_timeout(timeout);
        }
    }

    /// `setTypeOfService()` (rule C46): remembered before there is a descriptor, no system call when nothing changes.
    pub(crate) fn set_type_of_service(&mut self, socket: Handle, value: u8) -> Result<(), Error> {
        let Some(connection) = self.live(socket) else { return Ok(()) };
        if connection.settings_mut().type_of_service.replace(value) == Some(value) {
            return Ok(());
        }
        // A unix socket has none, and Node only remembers it there (rule C46).
        let Some(stream) = connection.stream().filter(|_| !connection.is_unix()) else { return Ok(()) };
        stream.set_type_of_service(value).map_err(|error| Error::exception(Errno::from_io(&error), "setTypeOfService"))
    }

    /// `getTypeOfService()`: what the kernel says, else what was asked for.
    pub(crate) fn type_of_service(&mut self, socket: Handle) -> Result<u8, Error> {
        let Some(connection) = self.live(socket) else { return Ok(0) };
        match connection.stream().filter(|_| !connection.is_unix()) {
            None => Ok(connection.settings().type_of_service.unwrap_or(0)),
            Some(stream) => {
                stream.type_of_service().map_err(|error| Error::exception(Errno::from_io(&error), "getTypeOfService"))
            }
        }
    }

    /// An abort signal was given to this socket.
    pub(crate) fn set_abortable(&mut self, socket: Handle) {
        if let Some(connection) = self.live(socket) {
            connection.set_abortable(true);
        }
    }

    pub(crate) fn is_abortable(&mut self, socket: Handle) -> bool {
        // What watches the signal in Node is done with a socket when both its `end` and its `finish` are told.
        self.live(socket).is_some_and(|connection| {
            connection.abortable() && !(connection.readable_ended() && connection.write.finished())
        })
    }
}
