//! Descriptors that come in from outside, and go out again (rules C47, S14, 1.7).
//!
//! This module touches `sys::Stream`, `sys::Acceptor` and the poller's registration. Invariant: a descriptor that was
//! given is closed by the reactor or handed out, never both; while it is here it is registered like any other.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use crate::error::Error;
use crate::reactor::connection::{Link, WritePhase};
use crate::reactor::handle::Token;
use crate::reactor::ready::Announced;
use crate::reactor::servers::begin_to_listen;
use crate::reactor::{Handle, Reactor};
use crate::sys::errno::Errno;
use crate::sys::{Acceptor, Adopted, Stream, Transport};

/// How Node's errors show that there was no address to bind.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum BoundBy {
    /// `listen({ fd })`: no port at all.
    Stranger,
    /// `listen(boundSocket)`: port -1.
    BoundSocket,
}

impl Reactor {
    /// `new Socket({ fd })`: connected and reading from the start, without `connect` and `ready`.
    ///
    /// Node remembers `noDelay` and `keepAlive` for a connect that never comes; here they are set now.
    pub(crate) fn adopt_stream(&mut self, socket: Handle, adopted: io::Result<Adopted>) {
        let descriptor = self.new_descriptor(socket);
        let now = self.now;
        let token = Token::Connection { index: socket.index(), descriptor }.pack();
        let registered = adopted.and_then(|adopted| self.poller.register(&adopted.stream, token).map(|()| adopted));
        let Some(connection) = self.live(socket) else { return };
        let Adopted { name, stream } = match registered {
            Ok(adopted) => adopted,
            Err(error) => return self.destroy(socket, Some(Error::exception(Errno::from_io(&error), "open"))),
        };
        connection.set_options_of(&stream);
        // Asked rather than waited for: a socket without a connection is reported as hung up, and never as readable.
        connection.announced = Announced::readable();
        connection.last_activity = now;
        connection.set_peer(stream.peer_address().ok());
        connection.open(stream, descriptor);
        connection.set_name(name);
        self.read_zero(socket);
    }

    /// `new Socket({ handle: boundSocket })`: the first `connect()` uses it.
    pub(crate) fn adopt_bound(&mut self, socket: Handle, adopted: io::Result<Adopted>) {
        match adopted {
            Ok(Adopted { name, stream }) => {
                if let Some(connection) = self.live(socket) {
                    connection.rare_mut().bound = Some(stream);
                    connection.set_name(name);
                }
            }
            Err(error) => self.destroy(socket, Some(Error::exception(Errno::from_io(&error), "open"))),
        }
    }

    /// What a socket that is bound and has not connected yet can connect over.
    pub(crate) fn bound_transport(&mut self, socket: Handle) -> Option<Transport> {
        let connection = self.live(socket)?;
        // While it connects, what is bound is the attempt that is being announced.
        connection.bound().filter(|_| connection.link.is_detached()).map(Stream::transport)
    }

    /// `setupListenHandle` with a handle: bound already, listening perhaps. The caller has begun the `listen`.
    pub(crate) fn listen_adopted(&mut self, server: Handle, acceptor: io::Result<Acceptor>, by: BoundBy) {
        let Some(found) = self.server_mut(server) else { return };
        let backlog = found.request.backlog();
        if let Some(name) = acceptor.as_ref().ok().and_then(Acceptor::name) {
            found.path = Some(name.path().to_owned());
        }
        let options = found.request.options;
        match acceptor.and_then(|mut acceptor| begin_to_listen(&mut acceptor, backlog, options).map(|()| acceptor)) {
            Ok(acceptor) => {
                let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
                let address = acceptor.local_address().unwrap_or(unknown);
                self.listening(server, acceptor, address);
            }
            Err(error) => {
                let port = match by {
                    BoundBy::Stranger => 0,
                    BoundBy::BoundSocket => -1,
                };
                self.listen_failed(server, Errno::from_io(&error), None, port);
            }
        }
    }

    /// Gives the descriptor of a connection up, with what was read ahead, and destroys the socket. As in Node's transfer
    /// to another thread, `close` comes from a tick then: the socket has no handle any more.
    ///
    /// What waits to be written cannot go along, and a shutdown that is due or under way has callbacks waiting for it.
    /// The caller may want a TCP connection only.
    pub(crate) fn detach(&mut self, socket: Handle, only_tcp: bool) -> Result<(Stream, Vec<u8>), Error> {
        self.send_batch(socket);
        let Some(connection) = self.live(socket) else { return Err(Error::not_transferable()) };
        let unix = connection.stream().is_some_and(|stream| stream.transport() == Transport::Unix);
        if connection.stream().is_some_and(|stream| !stream.can_leave()) {
            return Err(Error::not_transferable());
        }
        if only_tcp && unix {
            return Err(Error::invalid_fd_type("PIPE"));
        }
        let ending = match connection.write.phase {
            WritePhase::Open | WritePhase::Finished => false,
            WritePhase::Ending | WritePhase::Final | WritePhase::Prefinished => true,
        };
        let writing = connection.writable_length() > 0 || connection.is_writing() || connection.has_buffered();
        // Part of a character may lie in the decoder, and what is buffered is text.
        let decoding = connection.encoding().is_some();
        if ending || writing || decoding || !matches!(connection.link, Link::Open { .. }) {
            return Err(Error::not_transferable());
        }
        self.pay_end(socket);
        self.count_hand_over(socket);
        let connection = &mut self.connections[socket.index()];
        let Link::Open { stream } = std::mem::replace(&mut connection.link, Link::Detached) else {
            return Err(Error::not_transferable());
        };
        if let Some(name) = connection.take_name() {
            // The file belongs to whoever goes on with the socket.
            name.leave();
        }
        let buffered = connection.clear_incoming().into_iter().flatten().collect();
        // It can only fail on a descriptor that is not registered, and then there is nothing to end.
        let _ = self.poller.deregister(&stream);
        self.destroy(socket, None);
        Ok((stream, buffered))
    }
}
