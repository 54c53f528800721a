//! Servers: listening, accepting, closing (rules L70-L80, S1-S37).
//!
//! This module touches `sys::Acceptor` and the poller's registration. Invariant: `connections` counts the
//! accepted sockets that are not destroyed, and `close` is queued each time it reaches zero without an acceptor.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::addresses::BlockList;
use crate::error::Error;
use crate::reactor::admission::{ConnectionOverflow, Pause};
use crate::reactor::connection::{Connection, ConnectionOptions, Flow};
use crate::reactor::draining::Draining;
use crate::reactor::handle::{Generation, Token};
use crate::reactor::ready::Announced;
use crate::reactor::ticks::{Emission, ServerTick, Tick};
use crate::reactor::{Handle, Reactor};
use crate::sys::errno::Errno;
use crate::sys::{Acceptor, AcceptorOptions, Readiness, Stream, Time};

/// Node's default backlog (rule S7).
const DEFAULT_BACKLOG: u32 = 511;

pub(crate) struct Server {
    pub(super) generation: Generation,
    pub(super) listener: Option<Listener>,
    pub(super) announced: Announced,
    pub(super) options: ServerSettings,
    /// Accepted sockets that are not destroyed.
    pub(super) connections: usize,
    /// `unref()` is remembered across `close` and `listen` (rule R5).
    pub(super) referenced: bool,
    pub(super) counted: bool,
    /// Grows with every `listen` and `close`: an answer for an earlier call is ignored (rules S11, S24).
    listening_id: u64,
    /// What the pending `listen()` asked for, until its address is known.
    pub(super) request: ListenRequest,
    /// An abort signal may close it: until its next `close`.
    abortable: bool,
    /// The path that a `listen()` was last given (rule S10).
    pub(super) path: Option<PathBuf>,
    /// When accepting last failed for want of something.
    pub(super) last_failure: Option<Time>,
    /// It listens and accepts nobody, and why.
    pub(super) paused: Option<Pause>,
    pub(super) draining: Option<Box<Draining>>,
}

/// The acceptor and its registration.
pub(super) struct Listener {
    pub(super) acceptor: Acceptor,
    pub(super) descriptor: Generation,
}

/// What accepted sockets are made with.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerSettings {
    pub(crate) connection: ConnectionOptions,
    pub(crate) pause_on_connect: bool,
    /// `maxConnections`; `None` is no limit.
    pub(crate) max_connections: Option<usize>,
    /// Who is not let in (rule S30).
    pub(crate) block_list: Option<BlockList>,
    /// What becomes of those above `max_connections`.
    pub(crate) overflow: ConnectionOverflow,
    /// There is a filter, which the event loop keeps.
    pub(crate) filters: bool,
}

/// The part of `listen()`'s options that does not depend on the lookup.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListenRequest {
    pub(crate) port: u16,
    pub(crate) backlog: Option<u32>,
    pub(crate) options: AcceptorOptions,
}

impl ListenRequest {
    pub(super) fn backlog(&self) -> i32 {
        let backlog = self.backlog.filter(|&backlog| backlog > 0).unwrap_or(DEFAULT_BACKLOG);
        // listen(2) takes an int; the kernel lowers it to its own limit.
        i32::try_from(backlog).unwrap_or(i32::MAX)
    }
}

impl Reactor {
    pub(crate) fn new_server(&mut self, options: ServerSettings) -> Handle {
        let generation = self.generations.next();
        let index = self.servers.insert(Server {
            generation,
            listener: None,
            announced: Announced::default(),
            options,
            connections: 0,
            referenced: true,
            counted: false,
            listening_id: 0,
            request: ListenRequest::default(),
            abortable: false,
            path: None,
            last_failure: None,
            paused: None,
            draining: None,
        });
        Handle::new(index, generation)
    }

    pub(crate) fn server(&self, server: Handle) -> Option<&Server> {
        self.servers.get(server.index()).filter(|found| found.generation == server.generation())
    }

    pub(super) fn server_mut(&mut self, server: Handle) -> Option<&mut Server> {
        self.servers.get_mut(server.index()).filter(|found| found.generation == server.generation())
    }

    /// The synchronous part of `listen()`: what it throws, and the number of this call.
    pub(crate) fn begin_listen(&mut self, server: Handle, request: ListenRequest) -> Result<u64, Error> {
        self.can_listen(server)?;
        let Some(found) = self.server_mut(server) else { return Err(Error::server_not_running()) };
        found.listening_id += 1;
        found.request = request;
        Ok(found.listening_id)
    }

    /// What `listen()` throws.
    pub(crate) fn can_listen(&self, server: Handle) -> Result<(), Error> {
        match self.server(server) {
            None => Err(Error::server_not_running()),
            Some(server) if server.is_listening() => Err(Error::server_already_listen()),
            Some(_) => Ok(()),
        }
    }

    /// A host that is an address: Node's lookup answers in a tick (rule S3).
    pub(crate) fn listen_later(&mut self, server: Handle, listening_id: u64, address: SocketAddr) {
        self.ticks.push(Tick::Server { server, tick: ServerTick::Found { listening_id, address } });
    }

    /// The answer of the lookup for `listen()`.
    pub(crate) fn listen_lookup_finished(
        &mut self,
        server: Handle,
        listening_id: u64,
        result: Result<SocketAddr, Error>,
    ) {
        self.requests -= 1;
        match result {
            Ok(address) => self.listen_at(server, listening_id, address),
            Err(error) => {
                if self.server(server).is_some_and(|found| found.listening_id == listening_id) {
                    self.ticks.then_emit(Emission::ServerError { server, error });
                }
            }
        }
    }

    pub(super) fn listen_at(&mut self, server: Handle, listening_id: u64, address: SocketAddr) {
        let Some(found) = self.server_mut(server) else { return };
        if found.listening_id != listening_id || found.listener.is_some() {
            return;
        }
        let address = with_port(address, found.request.port);
        self.set_up_listener(server, &[address]);
    }

    /// No host: dual-stack `::`, or `0.0.0.0` where IPv6 cannot be had (rule S4). Bound within the call.
    pub(crate) fn listen_anywhere(&mut self, server: Handle) {
        let Some(found) = self.server_mut(server) else { return };
        let port = found.request.port;
        let any = [SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))];
        self.set_up_listener(server, &any);
    }

    /// `setupListenHandle`: the first candidate that can be bound. An address in use is an answer, not a reason to try
    /// the next.
    fn set_up_listener(&mut self, server: Handle, candidates: &[SocketAddr]) {
        let Some(found) = self.server_mut(server) else { return };
        let options = found.request.options;
        let backlog = found.request.backlog();
        let inherited = found.options.connection.copied_options();
        let mut failure = None;
        for &address in candidates {
            let bound = Acceptor::tcp(address, options).and_then(|mut acceptor| {
                acceptor.hand_down(inherited);
                begin_to_listen(&mut acceptor, backlog, options).map(|()| acceptor)
            });
            match bound {
                Ok(acceptor) => return self.listening(server, acceptor, address),
                Err(error) => {
                    let errno = Errno::from_io(&error);
                    failure = Some((errno, address));
                    if errno == Errno::ADDRESS_IN_USE {
                        break;
                    }
                }
            }
        }
        if let Some((errno, address)) = failure {
            self.listen_failed_at(server, errno, address);
        }
    }

    pub(super) fn listening(&mut self, server: Handle, acceptor: Acceptor, address: SocketAddr) {
        if let Err(error) = self.take_acceptor(server, acceptor) {
            self.listen_failed_at(server, Errno::from_io(&error), address);
        }
    }

    /// The server has an acceptor that listens.
    pub(super) fn take_acceptor(&mut self, server: Handle, acceptor: Acceptor) -> io::Result<()> {
        let descriptor = self.generations.next();
        let token = Token::Server { index: server.index(), descriptor }.pack();
        self.poller.register(&acceptor, token)?;
        self.ask_for_stamps(&acceptor);
        let Some(found) = self.server_mut(server) else { return Ok(()) };
        found.announced = Announced::default();
        found.listener = Some(Listener { acceptor, descriptor });
        self.count_server(server);
        self.ticks.push(Tick::Server { server, tick: ServerTick::Listening });
        Ok(())
    }

    fn listen_failed_at(&mut self, server: Handle, errno: Errno, address: SocketAddr) {
        self.listen_failed(server, errno, Some(&address.ip().to_string()), address.port());
    }

    /// `listen()` came to nothing: `error` is emitted in a tick.
    pub(super) fn listen_failed(&mut self, server: Handle, errno: Errno, address: Option<&str>, port: impl Into<i32>) {
        let error = Error::uv_with_host_port(errno, "listen", address, port);
        self.ticks.push(Tick::Server { server, tick: ServerTick::Error(error) });
    }

    pub(super) fn server_tick(&mut self, server: Handle, tick: ServerTick) -> Option<Emission> {
        if let ServerTick::Drained { callbacks, report } = tick {
            // Owed also when the server was released.
            for callback in callbacks.into_iter().rev() {
                self.ticks.then_emit(Emission::Drained { server, callback, report });
            }
            return None;
        }
        let found = self.server(server)?;
        match tick {
            ServerTick::Drained { .. } => None,
            ServerTick::Found { listening_id, address } => {
                self.listen_at(server, listening_id, address);
                None
            }
            ServerTick::Listening => found.listener.is_some().then_some(Emission::Listening { server }),
            ServerTick::Error(error) => Some(Emission::ServerError { server, error }),
            ServerTick::Close => {
                self.set_server_abortable(server, false);
                Some(Emission::ServerClose { server })
            }
            ServerTick::Resumed => {
                let accepts = found.is_listening() && !found.is_paused_by_a_bound();
                accepts.then_some(Emission::ServerResumed { server })
            }
            ServerTick::Abort => {
                self.close_server(server);
                None
            }
        }
    }

    /// An abort signal was given to `listen()`, or `close` ended what it was for (rule S15).
    pub(crate) fn set_server_abortable(&mut self, server: Handle, abortable: bool) {
        if let Some(found) = self.server_mut(server) {
            found.abortable = abortable;
        }
    }

    pub(crate) fn is_server_abortable(&self, server: Handle) -> bool {
        self.server(server).is_some_and(|found| found.abortable)
    }

    /// The signal was aborted.
    pub(crate) fn abort_server(&mut self, server: Handle) {
        if self.is_server_abortable(server) {
            self.set_server_abortable(server, false);
            self.close_server(server);
        }
    }

    /// The signal was aborted before `listen()`.
    pub(crate) fn abort_server_later(&mut self, server: Handle) {
        self.ticks.push(Tick::Server { server, tick: ServerTick::Abort });
    }

    /// `server.close()`: the acceptor is closed at once, `close` follows when the last connection is destroyed.
    pub(crate) fn close_server(&mut self, server: Handle) {
        let Some(found) = self.server_mut(server) else { return };
        found.listening_id += 1;
        found.paused = None;
        if found.listener.take().is_some() {
            self.count_server(server);
            self.acceptor_closed();
        }
        self.emit_close_if_drained(server);
    }

    /// `_emitCloseIfDrained`
    fn emit_close_if_drained(&mut self, server: Handle) {
        let Some(found) = self.server(server) else { return };
        if found.listener.is_none() && found.connections == 0 {
            self.ticks.push(Tick::Server { server, tick: ServerTick::Close });
        }
    }

    /// A destroyed socket leaves the server that accepted it (rule L72).
    pub(super) fn leave_server(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        if !connection.counted_by_server() {
            return;
        }
        connection.set_counted_by_server(false);
        let Some(server) = connection.server else { return };
        let Some(found) = self.server_mut(server) else { return };
        found.connections -= 1;
        self.emit_close_if_drained(server);
        self.left_while_draining(server);
        self.review_pause(server);
    }

    /// Gives the slot up: closes what listens, silently, and leaves the accepted sockets alone.
    pub(crate) fn release_server(&mut self, server: Handle) {
        if self.server(server).is_none() {
            return;
        }
        let found = &mut self.servers[server.index()];
        if found.listener.take().is_some() {
            self.count_server(server);
        }
        self.end_draining(server);
        self.servers.remove(server.index());
        self.freed_servers.push(server);
    }

    pub(crate) fn server_set_referenced(&mut self, server: Handle, referenced: bool) {
        if let Some(found) = self.server_mut(server) {
            found.referenced = referenced;
            self.count_server(server);
        }
    }

    fn count_server(&mut self, server: Handle) {
        let Some(found) = self.server_mut(server) else { return };
        let counts = found.listener.is_some() && found.referenced;
        if std::mem::replace(&mut found.counted, counts) != counts {
            if counts {
                self.handles += 1;
            } else {
                self.handles -= 1;
            }
        }
    }

    /// Takes one connection off the backlog. True when a `connection` or a `drop` is to be emitted, or an `accept_error`.
    pub(crate) fn accept(&mut self, server: Handle) -> bool {
        if let Some(reason) = self.reason_to_pause(server) {
            self.pause_accepting(server, reason);
            return true;
        }
        let found = self.servers.get_mut(server.index());
        let Some(found) = found.filter(|found| found.generation == server.generation()) else { return false };
        let Some(listener) = &found.listener else { return false };
        match listener.acceptor.accept() {
            Ok((stream, peer)) => {
                self.counters.accepts += 1;
                self.admit(server, stream, peer)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                found.announced.remove(Readiness::READABLE);
                false
            }
            Err(error) => self.accept_failed(server, Errno::from_io(&error)),
        }
    }

    /// `onconnection`
    pub(super) fn accepted(&mut self, server: Handle, stream: Stream, peer: Option<SocketAddr>) {
        let descriptor = self.generations.next();
        let socket = Handle::new(self.connections.next_index(), descriptor);
        let found = &mut self.servers[server.index()];
        let settings = &found.options;
        let mut connection = Connection::new(socket, &settings.connection);
        let inheritance = found.listener.as_ref().map(|listener| listener.acceptor.inheritance()).unwrap_or_default();
        inheritance.complete(&stream, settings.connection.copied_options());
        connection.set_user_timeout_of(&stream);
        let paused = settings.pause_on_connect;
        let deferred = found.listener.as_ref().is_some_and(|listener| listener.acceptor.is_deferring());
        connection.server = Some(server);
        connection.set_counted_by_server(true);
        connection.set_peer(peer);
        found.connections += 1;
        let token = Token::Connection { index: socket.index(), descriptor }.pack();
        let registered = self.poller.register(&stream, token);
        connection.open(stream, descriptor);
        connection.set_descriptor_used(true);
        connection.last_activity = self.now;
        let bounded = connection.is_bounded();
        if paused {
            connection.read.flow = Flow::Stopped;
        }
        if deferred && !paused {
            // Its first bytes are there: they are read in this turn, as the next callback of this phase.
            connection.announced = Announced { queued: true, ..Announced::readable() };
        }
        self.connections.insert(connection);
        if deferred && !paused {
            self.serve_in_this_phase(token);
        }
        if !paused {
            self.read_zero(socket);
        }
        if bounded {
            self.bounds_changed(socket);
        }
        if let Err(error) = registered {
            self.destroy(socket, Some(Error::exception(Errno::from_io(&error), "accept")));
        }
        self.ticks.then_emit(Emission::Connection { server, socket });
    }
}

impl Server {
    pub(crate) fn is_listening(&self) -> bool {
        self.listener.is_some()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().and_then(|listener| listener.acceptor.local_address().ok())
    }

    /// The path of the last `listen()` that was given one, unless it listens elsewhere now (rule S10).
    pub(crate) fn path(&self) -> Option<&Path> {
        if self.address().is_some() { None } else { self.path.as_deref() }
    }
}

/// The last step before connections come: only a socket of ours, or one that was given for this, may be told how.
pub(super) fn begin_to_listen(acceptor: &mut Acceptor, backlog: i32, options: AcceptorOptions) -> io::Result<()> {
    if let Some(limit) = options.defer_accept {
        acceptor.defer_accept(limit)?;
    }
    acceptor.listen(backlog)
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}
