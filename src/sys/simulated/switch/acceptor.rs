//! One listening socket, and the descriptor that is kept back, real or simulated.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use super::{AsSource, BoundName, Source, Stream};
use crate::sys::acceptor::{Acceptor as RealAcceptor, AcceptorOptions};
use crate::sys::inheritance::{CopiedOptions, Inheritance};
use crate::sys::reserve::{Reserve as RealReserve, close_waiting};
use crate::sys::simulated::kernel::What;
use crate::sys::simulated::shared::{Descriptor, SharedKernel, answered};
use crate::sys::simulated::socket::{Options, Socket};
use crate::sys::stream::{Family, Transport};
use crate::sys::unix::{Permissions, UnixAddress};

#[derive(Debug)]
pub(crate) enum Acceptor {
    Real { name: Option<Box<BoundName>>, acceptor: RealAcceptor },
    Simulated(Simulated),
}

#[derive(Debug)]
pub(crate) struct Simulated {
    pub(super) name: Option<Box<BoundName>>,
    pub(super) descriptor: Descriptor,
    pub(super) transport: Transport,
    inheritance: Inheritance,
    deferring: bool,
}

impl Simulated {
    pub(super) fn new(name: Option<Box<BoundName>>, descriptor: Descriptor, transport: Transport) -> Simulated {
        Simulated { name, descriptor, transport, inheritance: Inheritance::default(), deferring: false }
    }
}

impl Acceptor {
    pub(crate) fn tcp(address: SocketAddr, options: AcceptorOptions) -> io::Result<Self> {
        let Some(kernel) = SharedKernel::current() else {
            return RealAcceptor::tcp(address, options).map(Self::from_real);
        };
        let mut socket = Socket::new(Transport::Tcp, Family::of(&address));
        let AcceptorOptions { ipv6_only, reuse_port, defer_accept: _ } = options;
        socket.options = Options { ipv6_only, reuse_port, ..Options::default() };
        let number = answered(kernel.lock().open_socket(socket))?;
        let descriptor = Descriptor { kernel, number };
        descriptor.call(|kernel, number| kernel.bind_socket(number, address))?;
        Ok(Self::Simulated(Simulated::new(None, descriptor, Transport::Tcp)))
    }

    pub(crate) fn unix(address: &UnixAddress, permissions: Permissions) -> io::Result<Self> {
        let Some(kernel) = SharedKernel::current() else {
            return RealAcceptor::unix(address, permissions).map(Self::from_real);
        };
        let number = answered(kernel.lock().open_socket(Socket::new(Transport::Unix, Family::IPv4)))?;
        let descriptor = Descriptor { kernel: kernel.clone(), number };
        descriptor.call(|kernel, number| kernel.bind_path(number, address.name()))?;
        let name = Some(Box::new(BoundName::simulated(kernel, address)));
        Ok(Self::Simulated(Simulated::new(name, descriptor, Transport::Unix)))
    }

    pub(super) fn from_real(mut acceptor: RealAcceptor) -> Self {
        let name = acceptor.take_name().map(|name| Box::new(BoundName::Real(name)));
        Self::Real { name, acceptor }
    }

    pub(crate) fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        match self {
            Self::Real { name, .. } => name.as_ref().map_or(Ok(()), |name| name.set_permissions(permissions)),
            // There is one user.
            Self::Simulated(_) => Ok(()),
        }
    }

    pub(crate) fn name(&self) -> Option<&BoundName> {
        match self {
            Self::Real { name, .. } => name.as_deref(),
            Self::Simulated(acceptor) => acceptor.name.as_deref(),
        }
    }

    pub(crate) fn hand_down(&mut self, options: CopiedOptions) {
        match self {
            Self::Real { acceptor, .. } => acceptor.hand_down(options),
            Self::Simulated(acceptor) => {
                let probes = options.keep_alive.then(|| super::stream::probes(options.times).unwrap_or_default());
                let set = acceptor.descriptor.call(|kernel, number| {
                    let socket = kernel.socket_of_mut(number)?;
                    socket.options.no_delay = options.no_delay;
                    socket.options.keep_alive = probes;
                    Ok(())
                });
                if set.is_ok() {
                    acceptor.inheritance = Inheritance::of(options);
                }
            }
        }
    }

    pub(crate) fn defer_accept(&mut self, limit: Duration) -> io::Result<()> {
        match self {
            Self::Real { acceptor, .. } => acceptor.defer_accept(limit),
            Self::Simulated(acceptor) if acceptor.transport == Transport::Tcp => {
                acceptor.deferring = true;
                // Whole seconds, rounded up, as the real kernel takes them.
                let limit = Duration::from_secs(limit.as_secs() + u64::from(limit.subsec_nanos() > 0));
                acceptor.descriptor.call(|kernel, number| kernel.set_deferring(number, limit))
            }
            Self::Simulated(_) => Ok(()),
        }
    }

    /// A simulated kernel has no stamps.
    pub(crate) fn stamp(&self) -> io::Result<()> {
        match self {
            Self::Real { acceptor, .. } => acceptor.stamp(),
            Self::Simulated(_) => Err(super::not_supported()),
        }
    }

    pub(crate) fn is_deferring(&self) -> bool {
        match self {
            Self::Real { acceptor, .. } => acceptor.is_deferring(),
            Self::Simulated(acceptor) => acceptor.deferring,
        }
    }

    pub(crate) fn inheritance(&self) -> Inheritance {
        match self {
            Self::Real { acceptor, .. } => acceptor.inheritance(),
            Self::Simulated(acceptor) => acceptor.inheritance,
        }
    }

    pub(crate) fn listen(&self, backlog: i32) -> io::Result<()> {
        match self {
            Self::Real { acceptor, .. } => acceptor.listen(backlog),
            Self::Simulated(acceptor) => acceptor.descriptor.call(|kernel, number| kernel.listen(number, backlog)),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Real { acceptor, .. } => acceptor.accept().map(|(stream, peer)| (Stream::Real(stream), peer)),
            Self::Simulated(acceptor) => {
                let (number, peer) = acceptor.descriptor.call(|kernel, number| kernel.accept(number))?;
                let descriptor = Descriptor { kernel: acceptor.descriptor.kernel.clone(), number };
                Ok((Stream::Simulated { descriptor, transport: acceptor.transport }, peer))
            }
        }
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Real { acceptor, .. } => acceptor.local_address(),
            Self::Simulated(acceptor) => acceptor.descriptor.call(|kernel, number| kernel.local_address(number)),
        }
    }
}

impl AsSource for Acceptor {
    fn as_source(&self) -> Source<'_> {
        match self {
            Self::Real { acceptor, .. } => Source::Real(acceptor.as_fd()),
            Self::Simulated(acceptor) => Source::Simulated(&acceptor.descriptor),
        }
    }
}

#[derive(Debug)]
pub(crate) enum Reserve {
    Real(RealReserve),
    Simulated { kernel: SharedKernel, descriptor: Option<Descriptor> },
}

impl Reserve {
    pub(crate) fn new() -> Self {
        match SharedKernel::current() {
            None => Self::Real(RealReserve::new()),
            Some(kernel) => {
                let descriptor = kernel.open(What::Reserve).ok();
                Self::Simulated { kernel, descriptor }
            }
        }
    }

    pub(crate) fn restore(&mut self) {
        match self {
            Self::Real(reserve) => reserve.restore(),
            Self::Simulated { kernel, descriptor } => {
                if descriptor.is_none() {
                    *descriptor = kernel.open(What::Reserve).ok();
                }
            }
        }
    }

    pub(crate) fn shed(&mut self, acceptor: &Acceptor) -> io::Result<usize> {
        match (self, acceptor) {
            (Self::Real(reserve), Acceptor::Real { acceptor, .. }) => reserve.shed(acceptor),
            (Self::Simulated { kernel, descriptor }, acceptor) => {
                *descriptor = None;
                let shed = close_waiting(std::iter::repeat_with(|| acceptor.accept()));
                *descriptor = kernel.open(What::Reserve).ok();
                shed
            }
            (Self::Real(_), Acceptor::Simulated(_)) => Err(super::not_supported()),
        }
    }
}
