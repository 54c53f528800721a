//! Names of unix sockets, and descriptors that are to be adopted, real or simulated.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use super::acceptor::Simulated;
use super::{Acceptor, Stream, not_supported};
use crate::sys::acceptor::Acceptor as RealAcceptor;
use crate::sys::descriptor::{Adoptable as RealAdoptable, Adopted as RealAdopted};
use crate::sys::simulated::shared::SharedKernel;
use crate::sys::stream::Stream as RealStream;
use crate::sys::unix::{BoundName as RealName, Permissions, UnixAddress};

/// The name that a unix socket was bound to here.
#[derive(Debug)]
pub(crate) enum BoundName {
    Real(Box<RealName>),
    Simulated(SimulatedName),
}

/// Its file, if it has one, goes when this is dropped.
#[derive(Debug)]
pub(crate) struct SimulatedName {
    kernel: SharedKernel,
    path: PathBuf,
    name: Vec<u8>,
}

impl BoundName {
    pub(super) fn simulated(kernel: SharedKernel, address: &UnixAddress) -> BoundName {
        BoundName::Simulated(SimulatedName { kernel, path: address.path().to_owned(), name: address.name().to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Real(name) => name.path(),
            Self::Simulated(name) => &name.path,
        }
    }

    pub(super) fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        match self {
            Self::Real(name) => name.set_permissions(permissions),
            Self::Simulated(_) => Ok(()),
        }
    }

    /// The file stays: the socket goes on without this crate.
    pub(crate) fn leave(self) {
        match self {
            Self::Real(name) => name.leave(),
            // No simulated socket leaves its kernel.
            Self::Simulated(_) => {}
        }
    }
}

impl Drop for SimulatedName {
    fn drop(&mut self) {
        self.kernel.lock().unlink(&self.name);
    }
}

/// A descriptor that waits to be adopted.
#[derive(Debug)]
pub(crate) enum Adoptable {
    Real { name: Option<Box<BoundName>>, given: RealAdoptable },
    Simulated(Simulated),
}

impl Adoptable {
    pub(crate) fn name(&self) -> Option<&BoundName> {
        match self {
            Self::Real { name, .. } => name.as_deref(),
            Self::Simulated(given) => given.name.as_deref(),
        }
    }

    pub(crate) fn number(&self) -> RawFd {
        match self {
            Self::Real { given, .. } => given.as_fd().as_raw_fd(),
            Self::Simulated(given) => given.descriptor.number,
        }
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Real { given, .. } => given.local_address(),
            Self::Simulated(given) => given.descriptor.call(|kernel, number| kernel.local_address(number)).ok(),
        }
    }
}

impl From<OwnedFd> for Adoptable {
    fn from(descriptor: OwnedFd) -> Adoptable {
        Adoptable::Real { name: None, given: descriptor.into() }
    }
}

impl From<Acceptor> for Adoptable {
    fn from(acceptor: Acceptor) -> Adoptable {
        match acceptor {
            Acceptor::Real { name, acceptor } => Adoptable::Real { name, given: acceptor.into() },
            Acceptor::Simulated(acceptor) => Adoptable::Simulated(acceptor),
        }
    }
}

/// A stream socket that was adopted.
#[derive(Debug)]
pub(crate) struct Adopted {
    /// First, because it goes first: while there is a name there is somebody behind it.
    pub(crate) name: Option<Box<BoundName>>,
    pub(crate) stream: Stream,
}

impl Stream {
    pub(crate) fn adopt(given: Adoptable) -> io::Result<Adopted> {
        match (given, SharedKernel::current()) {
            (Adoptable::Real { name, given }, None) => {
                let RealAdopted { stream, .. } = RealStream::adopt(given)?;
                Ok(Adopted { name, stream: Stream::Real(stream) })
            }
            (Adoptable::Simulated(given), Some(kernel)) if given.descriptor.kernel.is(&kernel) => {
                let Simulated { name, descriptor, transport, .. } = given;
                Ok(Adopted { name, stream: Stream::Simulated { descriptor, transport } })
            }
            _ => Err(not_supported()),
        }
    }
}

impl Acceptor {
    pub(crate) fn adopt(given: Adoptable) -> io::Result<Acceptor> {
        match (given, SharedKernel::current()) {
            (Adoptable::Real { name, given }, None) => {
                let acceptor = RealAcceptor::adopt(given)?;
                Ok(Acceptor::Real { name, acceptor })
            }
            (Adoptable::Simulated(given), Some(kernel)) if given.descriptor.kernel.is(&kernel) => {
                let Simulated { name, descriptor, transport, .. } = given;
                Ok(Acceptor::Simulated(Simulated::new(name, descriptor, transport)))
            }
            _ => Err(not_supported()),
        }
    }
}
