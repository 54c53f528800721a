//! Connecting: from `connect()` to `connect`, or to the error that came instead (rules L1-L9, C1-C5, C40-C45).
//!
//! This module touches `sys::Stream` and the poller's registration. Invariant: a socket has at most one attempt with a
//! descriptor; what an earlier connection of the same socket still owes stays with its closing entry.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::error::Error;
use crate::reactor::bytes::Completion;
use crate::reactor::connection::{Attempt, CurrentState, Link, WriteQueue};
use crate::reactor::handle::Token;
use crate::reactor::ready::Announced;
use crate::reactor::target::Target;
use crate::reactor::ticks::{ConnectionTick, Emission, PlainEvent, Step, Tick};
use crate::reactor::{Handle, Pending, Reactor, stamping};
use crate::sys::errno::Errno;
use crate::sys::{ConnectStart, Family, Stream};

impl Reactor {
    /// The synchronous part of `connect()`. The caller then calls [`Reactor::attempt_later`] or starts a lookup.
    pub(crate) fn begin_connect(&mut self, socket: Handle) -> Result<u32, Error> {
        let Some(connection) = self.live(socket) else { return Err(Error::socket_closed()) };
        match connection.link {
            Link::Open { .. } => return Err(Error::is_connected()),
            Link::Connecting | Link::ConnectingPath => {}
            Link::Detached => {
                self.abandon(socket);
                let connection = &mut self.connections[socket.index()];
                connection.undestroy();
                connection.link = Link::Connecting;
            }
        }
        let connection = &mut self.connections[socket.index()];
        connection.set_write_after_end_of_peer(false);
        let epoch = connection.epoch();
        self.touch(socket);
        self.bounds_changed(socket);
        Ok(epoch)
    }

    /// What the previous connection of this socket still owes to callbacks goes to its closing entry, or to a tick:
    /// the new connection does not answer for it (N10).
    fn abandon(&mut self, socket: Handle) {
        let connection = &mut self.connections[socket.index()];
        let epoch = connection.epoch();
        let errored = connection.errored().cloned();
        let Some(queue) = connection.queue_mut() else { return };
        // Corks are of the socket, not of its connection.
        let rest = WriteQueue { corked: queue.corked, ..WriteQueue::default() };
        let queue = std::mem::replace(queue, rest);
        self.buffered.less(queue.length);
        self.spare_queue(socket);
        self.review_buffered();
        let mut owed = Vec::new();
        if let Some(current) = queue.current {
            let error = match current.state {
                CurrentState::AwaitsConnect => Error::socket_closed_before_connection(),
                CurrentState::InFlight => self.spares.canceled_write(),
            };
            self.graveyard.extend(current.chunks.into_each());
            match current.completion {
                Completion::Nobody => {}
                Completion::One(callback) => owed.push((callback, error)),
                Completion::Group(callbacks) => {
                    owed.extend(callbacks.into_iter().map(|callback| (callback, error.clone())));
                }
            }
        }
        for request in queue.buffered {
            self.graveyard.push(request.bytes);
            let error = errored.clone().unwrap_or_else(|| Error::stream_destroyed("write"));
            owed.extend(request.callback.map(|callback| (callback, error)));
        }
        for callback in queue.end_callbacks {
            let error = errored.clone().unwrap_or_else(|| Error::stream_destroyed("end"));
            owed.push((callback, error));
        }
        match self.closing_entry(socket, epoch) {
            Some(entry) => entry.owed.extend(owed),
            None => {
                for (callback, error) in owed {
                    self.ticks.push(Tick::Complete { owner: socket, callback, error: Some(error) });
                }
            }
        }
    }

    /// An address that needs no lookup is tried in the next tick (rule C4).
    pub(crate) fn attempt_later(&mut self, socket: Handle, target: Target) {
        self.defer(socket, ConnectionTick::Attempt(Box::new(target)));
    }

    /// A lookup for `listen()` is under way; it keeps the loop alive until it is answered.
    pub(crate) fn listen_lookup_started(&mut self) {
        self.requests += 1;
    }

    /// `internalConnect`, up to the `connectionAttempt` event.
    pub(crate) fn attempt(&mut self, socket: Handle, epoch: u32, target: Box<Target>) {
        let Some(connection) = self.current(socket, epoch) else { return };
        if !connection.connects_to_internet() {
            return;
        }
        if connection.rare().attempt.is_none() && (target.local.address.is_some() || target.local.port.is_some()) {
            match bind(&target) {
                // Kept where the listeners can see the local end.
                Ok(stream) => connection.rare_mut().bound = Some(stream),
                Err(error) => return self.destroy(socket, Some(error)),
            }
        }
        self.ticks.then(Step::StartConnect { socket, epoch, target: target.clone() });
        self.ticks.then_emit(Emission::Attempt { socket, target });
    }

    /// `internalConnect`, after the `connectionAttempt` listeners. A listener that destroyed the socket ends it here
    /// (N1 is not copied).
    pub(super) fn start_connect(&mut self, socket: Handle, epoch: u32, target: Box<Target>) {
        let Some(connection) = self.current(socket, epoch) else { return };
        if !connection.connects_to_internet() {
            return;
        }
        if let Some(attempt) = &connection.rare().attempt {
            let local = local_details(&attempt.stream);
            let error = connect_error(Errno::ALREADY, &target, local);
            return self.destroy(socket, Some(error));
        }
        if self.selection(socket, epoch).is_none() && self.is_blocked(socket, &target) {
            // With several addresses a blocked one is passed over before it is announced; a single one only here (C30).
            return self.destroy(socket, Some(Error::ip_blocked(&target.text)));
        }
        self.note_attempt(socket, epoch, &target);
        let bound = self.connections[socket.index()].take_bound();
        let stream = match bound.map_or_else(|| Stream::tcp(target.family()), Ok) {
            Ok(stream) => stream,
            Err(error) => {
                let error = connect_error(Errno::from_io(&error), &target, "undefined:undefined".into());
                return self.attempt_failed(socket, epoch, target, error, false);
            }
        };
        let descriptor = self.new_descriptor(socket);
        let token = Token::Connection { index: socket.index(), descriptor }.pack();
        let started = stream.connect(target.address).and_then(|start| {
            self.poller.register(&stream, token)?;
            Ok(start)
        });
        let refused = match started {
            Ok(ConnectStart::InProgress) => false,
            Ok(ConnectStart::Refused) => true,
            Err(error) => {
                let error = connect_error(Errno::from_io(&error), &target, local_details(&stream));
                return self.attempt_failed(socket, epoch, target, error, false);
            }
        };
        let connection = &mut self.connections[socket.index()];
        connection.announced = Announced::default();
        connection.rare_mut().attempt = Some(Box::new(Attempt { stream, descriptor, target, refused }));
        self.requests += 1;
        self.limit_attempt(socket, epoch);
        if refused {
            self.pending.push_back(Pending::Refused { socket, epoch });
        }
    }

    /// Whether the socket's own block list forbids to connect there.
    pub(super) fn is_blocked(&mut self, socket: Handle, target: &Target) -> bool {
        let connection = self.live(socket);
        let list = connection.and_then(|connection| connection.settings().block_list.as_ref());
        list.is_some_and(|list| list.check(target.address.ip()))
    }

    /// The kernel said that the attempt is decided, or (in the pending phase) that it was refused at once.
    pub(crate) fn connect_decided(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let Some(attempt) = connection.take_attempt() else { return };
        let Attempt { stream, descriptor, target, refused } = *attempt;
        let failure = match stream.take_error() {
            Ok(None) if refused => Some(Errno::REFUSED),
            Ok(None) => None,
            Ok(Some(error)) | Err(error) => Some(Errno::from_io(&error)),
        };
        let selecting = connection.is_selecting();
        if failure.is_none() || !selecting {
            connection.open(stream, descriptor);
        }
        if failure.is_none() {
            connection.set_peer(Some(target.address));
        }
        let epoch = connection.epoch();
        self.requests -= 1;
        self.forget_attempt_timer(socket);
        match failure {
            None => self.connected(socket, epoch),
            Some(errno) => {
                let error = attempt_error(errno, &target);
                self.attempt_failed(socket, epoch, target, error, true);
            }
        }
    }

    /// `afterConnect`
    pub(super) fn connected(&mut self, socket: Handle, epoch: u32) {
        self.touch(socket);
        self.bounds_changed(socket);
        self.end_selection(socket);
        let connection = &mut self.connections[socket.index()];
        if let Some(stream) = connection.open_stream() {
            connection.set_options_of(stream);
            if let Some(value) = connection.settings().type_of_service {
                let _ = stream.set_type_of_service(value);
            }
        }
        if let (Some(_), Some(stream)) = (&self.stamps, connection.open_stream()) {
            stamping::ask(stream);
        }
        if connection.read_on_connect() {
            connection.set_read_on_connect(false);
            self.start_receiving(socket);
        }
        self.ticks.then(Step::Connected { socket, epoch });
        self.ticks.then_emit(Emission::Plain { socket, event: PlainEvent::Ready });
        self.ticks.then_emit(Emission::Plain { socket, event: PlainEvent::Connect });
    }

    /// After the `ready` listeners: reading starts, unless the user paused (rule L6).
    pub(super) fn connect_emitted(&mut self, socket: Handle, epoch: u32) {
        let Some(connection) = self.current(socket, epoch) else { return };
        if !connection.read.is_paused() {
            self.read_zero(socket);
        }
    }
}

impl super::connection::Connection {
    /// Node's `_undestroy`: the stream begins anew. Listeners, flow and the deferred functions already queued for the
    /// reader are kept (rule C41).
    fn undestroy(&mut self) {
        self.next_epoch();
        if self.destroyed() {
            // What the connection before has not delivered is not the next one's to deliver. What was `unshift`ed into a
            // socket that never connected is.
            self.clear_incoming();
        }
        self.keep_timeout_apart();
        self.set_destroyed(false);
        self.set_error_emitted(false);
        self.set_close_marked(false);
        self.forget_errored();
        self.set_referenced(true);
        self.set_reset(false);
        self.announced = Announced::default();
        self.bytes_read = 0;
        self.bytes_dispatched = 0;
        self.set_peer(None);
        self.set_peer_was_read(false);
        self.read.phase = self.read.first_phase();
        self.read.set_reading(false);
        self.read.set_end_scheduled(false);
        self.read.set_receiving(false);
        self.write.phase = self.write.first_phase();
        self.write.set_need_drain(false);
        self.write.set_after_write_pending(false);
        self.write.set_shutting_down(false);
        self.write.set_batch_open(false);
        self.write.set_end_owed(false);
    }
}

/// Binds a new stream to the local end that was asked for; what is missing is the any-address or port 0 (rule C5).
pub(super) fn bind(target: &Target) -> Result<Stream, Error> {
    let port = target.local.port.unwrap_or(0);
    let any = any_address(&target.address);
    let address = target.local.address.unwrap_or(any);
    let failed = |errno| Error::with_host_port(errno, "bind", &address.to_string(), port, None);
    if address.is_ipv4() != any.is_ipv4() {
        return Err(failed(Errno::INVALID));
    }
    let stream = Stream::tcp(target.family()).map_err(|error| failed(Errno::from_io(&error)))?;
    stream.bind(SocketAddr::new(address, port)).map_err(|error| failed(Errno::from_io(&error)))?;
    Ok(stream)
}

/// The any-address of the family of `address`.
pub(super) fn any_address(address: &SocketAddr) -> IpAddr {
    match Family::of(address) {
        Family::IPv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::IPv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// The error of an attempt that the kernel refused within the call.
pub(super) fn connect_error(errno: Errno, target: &Target, local: String) -> Error {
    Error::with_host_port(errno, "connect", &target.text, target.address.port(), Some(local))
}

/// The error of an attempt that failed later.
pub(super) fn attempt_error(errno: Errno, target: &Target) -> Error {
    let port = target.address.port();
    let Some((address, local_port)) = target.local.address.zip(target.local.port) else {
        return Error::with_host_port(errno, "connect", &target.text, port, None);
    };
    let details = format!("{address}:{local_port}");
    Error::with_host_port(errno, "connect", &target.text, port, Some(details))
        .with_local(&address.to_string(), local_port)
}

/// How Node shows the local end in an immediate failure: address and port without brackets.
pub(super) fn local_details(stream: &Stream) -> String {
    match stream.local_address() {
        Ok(address) => format!("{}:{}", address.ip(), address.port()),
        Err(_) => "undefined:undefined".into(),
    }
}
