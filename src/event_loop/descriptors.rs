//! Commands that take descriptors from outside, or give them back.
//!
//! This module may touch the reactor, and `sys` for what a descriptor is. Invariant: a descriptor is adopted once; one
//! that cannot be used is closed.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Errno, Error};
use crate::event_loop::core::Core;
use crate::reactor::Handle;
pub(crate) use crate::reactor::adopting::BoundBy;
use crate::reactor::connection::ConnectionOptions;
use crate::reactor::servers::ListenRequest;
use crate::reactor::target::{Local, Target};
pub(crate) use crate::sys::Adoptable;
pub(crate) use crate::sys::Transport;
pub(crate) use crate::sys::descriptor::Kind;
pub(crate) use crate::sys::resolver::parse_address;
use crate::sys::{Acceptor, AcceptorOptions, Permissions, Stream, UnixAddress};

/// A descriptor that waits to be adopted. Its clones are the same one, and the first of them to be used has it.
///
/// Behind a lock because a bound socket may go to another thread before it is adopted, as in Node.
#[derive(Clone, Debug)]
pub(crate) struct GivenDescriptor {
    place: Arc<Mutex<Option<Adoptable>>>,
    by: BoundBy,
}

impl GivenDescriptor {
    pub(crate) fn new(descriptor: impl Into<Adoptable>, by: BoundBy) -> GivenDescriptor {
        GivenDescriptor { place: Arc::new(Mutex::new(Some(descriptor.into()))), by }
    }

    /// # Errors
    ///
    /// `ERR_SOCKET_HANDLE_ADOPTED` when it was taken before.
    pub(crate) fn take(&self) -> Result<Adoptable, Error> {
        self.lock().take().ok_or_else(Error::socket_handle_adopted)
    }

    /// # Errors
    ///
    /// `ERR_SOCKET_HANDLE_ADOPTED` when it was taken before.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Adoptable) -> R) -> Result<R, Error> {
        let place = self.lock();
        Ok(look(place.as_ref().ok_or_else(Error::socket_handle_adopted)?))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Adoptable>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binds a TCP socket that is nothing yet.
pub(crate) fn bind(address: SocketAddr, options: AcceptorOptions) -> Result<Adoptable, Errno> {
    let acceptor = Acceptor::tcp(address, options).map_err(|error| Errno::from_io(&error))?;
    Ok(acceptor.into())
}

/// Binds a unix socket that is nothing yet.
pub(crate) fn bind_path(path: &Path) -> Result<Adoptable, Errno> {
    let bound = UnixAddress::new(path).and_then(|address| Acceptor::unix(&address, Permissions::default()));
    Ok(bound.map_err(|error| Errno::from_io(&error))?.into())
}

impl Core {
    /// `new Socket(options)`, with a descriptor perhaps. A descriptor that cannot be used makes an `error`.
    pub(crate) fn new_socket_on(&mut self, options: &ConnectionOptions, given: Option<&GivenDescriptor>) -> Handle {
        let socket = self.new_socket(options);
        if let Some(given) = given {
            match given.take() {
                Ok(descriptor) => self.adopt(socket, descriptor, given.by),
                Err(error) => self.reactor.destroy(socket, Some(error)),
            }
        }
        socket
    }

    fn adopt(&mut self, socket: Handle, descriptor: Adoptable, by: BoundBy) {
        let stream = Stream::adopt(descriptor);
        match by {
            BoundBy::Stranger => self.reactor.adopt_stream(socket, stream),
            BoundBy::BoundSocket => self.reactor.adopt_bound(socket, stream),
        }
    }

    /// `listen({ fd })` and `listen(boundSocket)`. What cannot listen makes an `error`.
    pub(crate) fn listen_on(
        &mut self,
        server: Handle,
        given: &GivenDescriptor,
        request: ListenRequest,
    ) -> Result<(), Error> {
        self.reactor.can_listen(server)?;
        let descriptor = given.take()?;
        self.reactor.begin_listen(server, request)?;
        self.reactor.listen_adopted(server, Acceptor::adopt(descriptor), given.by);
        Ok(())
    }

    /// `connect()` of a socket that is bound already. An address is tried within the call, so that the local end is
    /// known when it returns; false for a name, which is looked up as always.
    pub(crate) fn connect_bound(&mut self, socket: Handle, host: &str, port: u16) -> Result<bool, Error> {
        let Some(mut address) = parse_address(host) else { return Ok(false) };
        address.set_port(port);
        let epoch = self.reactor.begin_connect(socket)?;
        let target = Target { address, text: host.into(), local: Local::default() };
        self.reactor.attempt(socket, epoch, Box::new(target));
        Ok(true)
    }

    /// Gives a connection's descriptor up; only that of a TCP connection if the caller wants no other.
    pub(crate) fn detach(&mut self, socket: Handle, only_tcp: bool) -> Result<(OwnedFd, Vec<u8>), Error> {
        let (stream, buffered) = self.reactor.detach(socket, only_tcp)?;
        let descriptor = stream.into_descriptor().map_err(|error| Error::exception(Errno::from_io(&error), "fcntl"))?;
        Ok((descriptor, buffered))
    }
}
