//! Unix sockets: listening at a path and connecting to one (rules L3, L47, S10, S16-S20, C3).
//!
//! Only how they begin differs from TCP; once there is a connection it is one like any other. This module touches
//! `sys::Stream` and `sys::Acceptor`. Invariant: the kernel decides a connect within the call, so an attempt that has a
//! descriptor is connected or has its failure; either is told later.

use std::path::PathBuf;

use crate::error::Error;
use crate::reactor::connection::{Link, PathAttempt};
use crate::reactor::handle::Token;
use crate::reactor::ready::Announced;
use crate::reactor::servers::ListenRequest;
use crate::reactor::target::PathTarget;
use crate::reactor::ticks::{Emission, Step};
use crate::reactor::{Handle, Pending, Reactor};
use crate::sys::errno::Errno;
use crate::sys::{Acceptor, Permissions, Stream, UnixAddress};

/// Listening.
impl Reactor {
    /// `listen(path)`: bound within the call (rule S16). What Node throws is the `Err`; what it emits comes in a tick.
    pub(crate) fn listen_at_path(
        &mut self,
        server: Handle,
        path: PathBuf,
        permissions: Permissions,
        request: ListenRequest,
    ) -> Result<(), Error> {
        let backlog = request.backlog();
        let text = path.to_string_lossy().into_owned();
        self.can_listen(server)?;
        let bound = UnixAddress::new(&path).and_then(|address| Acceptor::unix(&address, permissions));
        // Before anybody can connect, so that nobody does whom the permissions keep out; and before anything else changes,
        // since Node throws this.
        if let Some(acceptor) = bound.as_ref().ok().filter(|_| permissions.any()) {
            let changed = acceptor.set_permissions(permissions);
            changed.map_err(|error| Error::exception(Errno::from_io(&error), "uv_pipe_chmod"))?;
        }
        self.begin_listen(server, request)?;
        if let Some(found) = self.server_mut(server) {
            found.path = Some(path);
        }
        let acceptor = match bound {
            Ok(acceptor) => acceptor,
            Err(error) => {
                self.listen_at_path_failed(server, Errno::from_io(&error), &text);
                return Ok(());
            }
        };
        let listening = acceptor.listen(backlog).and_then(|()| self.take_acceptor(server, acceptor));
        if let Err(error) = listening {
            self.listen_at_path_failed(server, Errno::from_io(&error), &text);
        }
        Ok(())
    }

    fn listen_at_path_failed(&mut self, server: Handle, errno: Errno, path: &str) {
        // A path has no port, and Node says so with this number.
        self.listen_failed(server, errno, Some(path), -1);
    }
}

/// Connecting.
impl Reactor {
    /// `connect(path)`, after [`Reactor::begin_connect`]: `connectionAttempt` and `connect(2)` belong to the call itself
    /// (rule L3), so the event loop performs these steps before it returns.
    pub(crate) fn connect_path(&mut self, socket: Handle, epoch: u32, target: PathTarget) {
        let Some(connection) = self.current(socket, epoch) else { return };
        match connection.link {
            Link::Detached | Link::Open { .. } => return,
            // An internet attempt that has not begun gives way.
            Link::Connecting if connection.rare().attempt.is_none() => connection.link = Link::ConnectingPath,
            Link::Connecting | Link::ConnectingPath => {}
        }
        let target = Box::new(target);
        self.ticks.then(Step::StartConnectPath { socket, epoch, target: target.clone() });
        self.ticks.then_emit(Emission::PathAttempt { socket, target });
    }

    /// The rest of `connect(path)`, after the `connectionAttempt` listeners. One that destroyed the socket ends it here
    /// (N1 is not copied).
    pub(super) fn start_connect_path(&mut self, socket: Handle, epoch: u32, target: Box<PathTarget>) {
        let Some(connection) = self.current(socket, epoch) else { return };
        match connection.link {
            Link::Detached | Link::Open { .. } => return,
            Link::Connecting if connection.rare().attempt.is_none() => return,
            Link::Connecting => {
                let error = Error::with_host_port(Errno::ALREADY, "connect", &target.text, 0, None);
                return self.destroy(socket, Some(error));
            }
            Link::ConnectingPath => {
                if let Some(attempt) = connection.rare.as_mut().and_then(|rare| rare.path_attempt.as_mut()) {
                    // A second connect. The first one is decided already, so either its failure is what there is to tell,
                    // or the kernel has this to say.
                    if attempt.failure.is_none() {
                        attempt.failure = Some(Errno::IS_CONNECTED);
                        attempt.target = target;
                        self.pending.push_back(Pending::Refused { socket, epoch });
                    }
                    return;
                }
            }
        }
        let address = match UnixAddress::new(&target.path) {
            Ok(address) => address,
            // Refused without asking the kernel, and so without `connectionAttemptFailed`. Node looks for a local address
            // and port to show, and a unix socket has no port, and an address only if it was bound.
            Err(error) => {
                let path = connection.local_path().map_or("undefined".into(), |path| path.to_string_lossy());
                let local = format!("{path}:undefined");
                let errno = Errno::from_io(&error);
                let error = Error::with_host_port(errno, "connect", &target.text, 0, Some(local));
                return self.destroy(socket, Some(error));
            }
        };
        let stream = match connection.take_bound().map_or_else(Stream::unix, Ok) {
            Ok(stream) => stream,
            Err(error) => {
                let error = Error::with_host_port(Errno::from_io(&error), "connect", &target.text, 0, None);
                return self.destroy(socket, Some(error));
            }
        };
        let descriptor = self.new_descriptor(socket);
        let token = Token::Connection { index: socket.index(), descriptor }.pack();
        let connected = stream.connect_unix(&address).and_then(|()| self.poller.register(&stream, token));
        let failure = connected.err().map(|error| Errno::from_io(&error));
        if failure.is_some() {
            self.pending.push_back(Pending::Refused { socket, epoch });
        }
        let connection = &mut self.connections[socket.index()];
        connection.announced = Announced::default();
        let attempt = PathAttempt { stream, descriptor, target, failure };
        connection.rare_mut().path_attempt = Some(Box::new(attempt));
        self.requests += 1;
    }

    /// The outcome is due: readiness told of a connection, or the pending phase has come to a failure.
    pub(super) fn connect_path_decided(&mut self, socket: Handle) {
        let Some(connection) = self.live(socket) else { return };
        let Some(attempt) = connection.take_path_attempt() else { return };
        let PathAttempt { stream, descriptor, target, failure } = *attempt;
        let failure = failure.or_else(|| match stream.take_error() {
            Ok(None) => None,
            Ok(Some(error)) | Err(error) => Some(Errno::from_io(&error)),
        });
        connection.open(stream, descriptor);
        let epoch = connection.epoch();
        self.requests -= 1;
        match failure {
            None => self.connected(socket, epoch),
            Some(errno) => {
                let error = Error::with_host_port(errno, "connect", &target.text, 0, None);
                self.ticks.then(Step::Destroy { socket, epoch, error: error.clone() });
                self.ticks.then_emit(Emission::PathAttemptFailed { socket, target, error });
            }
        }
    }
}
