//! One connecting or connected socket, real or simulated.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::{AsSource, Source, not_supported};
use crate::sys::credentials::PeerCredentials;
use crate::sys::simulated::kernel::Kernel;
use crate::sys::simulated::shared::{Descriptor, SharedKernel, answered};
use crate::sys::simulated::socket::{KeepAlive, Socket};
use crate::sys::stream::{ConnectStart, Family, KeepAliveTimes, Stream as RealStream, Transport};
use crate::sys::timestamps::StampedRead;
use crate::sys::unix::UnixAddress;

/// What libuv asks for where nothing was said, as in the real stream.
const PROBE_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);
const PROBE_COUNT: u32 = 10;

#[derive(Debug)]
pub(crate) enum Stream {
    Real(RealStream),
    Simulated { descriptor: Descriptor, transport: Transport },
}

impl Stream {
    pub(crate) fn tcp(family: Family) -> io::Result<Self> {
        match SharedKernel::current() {
            None => RealStream::tcp(family).map(Self::Real),
            Some(kernel) => Self::open(kernel, Socket::new(Transport::Tcp, family)),
        }
    }

    pub(crate) fn unix() -> io::Result<Self> {
        match SharedKernel::current() {
            None => RealStream::unix().map(Self::Real),
            Some(kernel) => Self::open(kernel, Socket::new(Transport::Unix, Family::IPv4)),
        }
    }

    fn open(kernel: SharedKernel, socket: Socket) -> io::Result<Self> {
        let transport = socket.transport;
        let number = answered(kernel.lock().open_socket(socket))?;
        Ok(Self::Simulated { descriptor: Descriptor { kernel, number }, transport })
    }

    pub(crate) fn transport(&self) -> Transport {
        match self {
            Self::Real(stream) => stream.transport(),
            Self::Simulated { transport, .. } => *transport,
        }
    }

    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.bind(address),
            Self::Simulated { descriptor, .. } => descriptor.call(|kernel, number| kernel.bind_socket(number, address)),
        }
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<ConnectStart> {
        let descriptor = match self {
            Self::Real(stream) => return stream.connect(address),
            Self::Simulated { descriptor, .. } => descriptor,
        };
        match descriptor.call(|kernel, number| kernel.connect(number, address)) {
            Ok(()) => Ok(ConnectStart::InProgress),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINPROGRESS) => Ok(ConnectStart::InProgress),
                Some(libc::ECONNREFUSED) => Ok(ConnectStart::Refused),
                _ => Err(error),
            },
        }
    }

    pub(crate) fn connect_unix(&self, address: &UnixAddress) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.connect_unix(address),
            Self::Simulated { descriptor, .. } => {
                descriptor.call(|kernel, number| kernel.connect_path(number, address.name()))
            }
        }
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Real(stream) => stream.take_error(),
            Self::Simulated { descriptor, .. } => {
                let error = descriptor.call(|kernel, number| kernel.take_error(number))?;
                Ok(error.map(io::Error::from_raw_os_error))
            }
        }
    }

    #[inline]
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Real(stream) => stream.read(buffer),
            Self::Simulated { descriptor, .. } => descriptor.call(|kernel, number| kernel.read(number, buffer)),
        }
    }

    /// A simulated kernel has no stamps.
    pub(crate) fn stamp(&self) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.stamp(),
            Self::Simulated { .. } => Err(not_supported()),
        }
    }

    pub(crate) fn read_stamped(&self, buffer: &mut [u8]) -> io::Result<StampedRead> {
        match self {
            Self::Real(stream) => stream.read_stamped(buffer),
            Self::Simulated { .. } => Ok(StampedRead { count: self.read(buffer)?, waited: None }),
        }
    }

    #[inline]
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Real(stream) => stream.write(bytes),
            Self::Simulated { descriptor, .. } => descriptor.call(|kernel, number| kernel.write(number, &[bytes])),
        }
    }

    #[inline]
    pub(crate) fn read_short(&self, buffer: &mut [u8]) -> Result<usize, io::Result<usize>> {
        match self {
            Self::Real(stream) => stream.read_short(buffer),
            Self::Simulated { .. } => match self.read(buffer) {
                Ok(count) if count > 0 && count < buffer.len() => Ok(count),
                other => Err(other),
            },
        }
    }

    #[inline]
    pub(crate) fn tells_when_emptied(&self) -> bool {
        match self {
            Self::Real(stream) => stream.tells_when_emptied(),
            Self::Simulated { .. } => true,
        }
    }

    #[inline]
    pub(crate) fn write_whole(&self, bytes: &[u8]) -> Result<(), io::Result<usize>> {
        match self {
            Self::Real(stream) => stream.write_whole(bytes),
            Self::Simulated { .. } => match self.write(bytes) {
                Ok(count) if count == bytes.len() => Ok(()),
                other => Err(other),
            },
        }
    }

    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Real(stream) => stream.write_vectored(slices),
            Self::Simulated { descriptor, .. } => {
                // As writev(2), which does not ask the socket when there is nothing to write.
                let pieces: Vec<&[u8]> =
                    slices.iter().map(|slice| &**slice).filter(|slice| !slice.is_empty()).collect();
                if pieces.is_empty() {
                    return Ok(0);
                }
                descriptor.call(|kernel, number| kernel.write(number, &pieces))
            }
        }
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.shutdown_write(),
            Self::Simulated { descriptor, .. } => descriptor.call(Kernel::shutdown_write),
        }
    }

    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.reset_on_close(),
            Self::Simulated { descriptor, .. } => descriptor.call(|kernel, number| {
                kernel.socket_of_mut(number)?.options.reset_on_close = true;
                Ok(())
            }),
        }
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Real(stream) => stream.local_address(),
            Self::Simulated { descriptor, .. } => descriptor.call(|kernel, number| kernel.local_address(number)),
        }
    }

    pub(crate) fn peer_address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Real(stream) => stream.peer_address(),
            Self::Simulated { descriptor, .. } => descriptor.call(|kernel, number| kernel.peer_address(number)),
        }
    }

    pub(crate) fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        match self {
            Self::Real(stream) => stream.peer_credentials(),
            Self::Simulated { descriptor, .. } => descriptor.call(|kernel, number| kernel.peer_credentials(number)),
        }
    }

    pub(crate) fn set_no_delay(&self, on: bool) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.set_no_delay(on),
            Self::Simulated { descriptor, .. } => descriptor.call(|kernel, number| {
                kernel.socket_of_mut(number)?.options.no_delay = on;
                Ok(())
            }),
        }
    }

    pub(crate) fn set_keep_alive(&self, on: bool, times: Option<KeepAliveTimes>) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.set_keep_alive(on, times),
            Self::Simulated { transport: Transport::Unix, .. } => Ok(()),
            Self::Simulated { descriptor, .. } => {
                descriptor.call(|kernel, number| kernel.set_keep_alive(number, on.then(|| probes(times))))
            }
        }
    }

    pub(crate) fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.set_user_timeout(timeout),
            Self::Simulated { transport: Transport::Unix, .. } => Ok(()),
            Self::Simulated { descriptor, .. } => descriptor.call(|kernel, number| {
                kernel.socket_of_mut(number)?.options.user_timeout =
                    (!timeout.is_zero()).then(|| timeout.max(Duration::from_millis(1)));
                Ok(())
            }),
        }
    }

    pub(crate) fn set_type_of_service(&self, value: u8) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.set_type_of_service(value),
            Self::Simulated { descriptor, .. } => descriptor.call(|kernel, number| {
                // The two lowest bits belong to the kernel (ECN).
                kernel.socket_of_mut(number)?.options.type_of_service = value & !3;
                Ok(())
            }),
        }
    }

    pub(crate) fn type_of_service(&self) -> io::Result<u8> {
        match self {
            Self::Real(stream) => stream.type_of_service(),
            Self::Simulated { descriptor, .. } => {
                descriptor.call(|kernel, number| Ok(kernel.socket_of(number)?.options.type_of_service))
            }
        }
    }

    /// Whether a program can have its descriptor.
    pub(crate) fn can_leave(&self) -> bool {
        match self {
            Self::Real(_) => true,
            Self::Simulated { .. } => false,
        }
    }

    /// The descriptor for a program, where there is a real one.
    pub(crate) fn into_descriptor(self) -> io::Result<OwnedFd> {
        match self {
            Self::Real(stream) => Ok(OwnedFd::from(stream)),
            Self::Simulated { .. } => Err(not_supported()),
        }
    }
}

impl AsSource for Stream {
    fn as_source(&self) -> Source<'_> {
        match self {
            Self::Real(stream) => Source::Real(stream.as_fd()),
            Self::Simulated { descriptor, .. } => Source::Simulated(descriptor),
        }
    }
}

/// Without usable times the kernel's own stay.
pub(super) fn probes(times: Option<KeepAliveTimes>) -> Option<KeepAlive> {
    let times = times.filter(|times| times.are_usable())?;
    Some(KeepAlive {
        delay: times.delay,
        interval: times.interval.unwrap_or(PROBE_INTERVAL),
        count: times.count.unwrap_or(PROBE_COUNT),
    })
}
