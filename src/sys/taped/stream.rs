//! One connecting or connected socket, taped or not.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::tape::{Answer, Call, Field, Tape, put_duration};
use super::{AsSource, not_supported, of_live};
use crate::sys::credentials::PeerCredentials;
use crate::sys::simulated::current_tape;
use crate::sys::simulated::switch::Stream as Live;
use crate::sys::stream::{ConnectStart, Family, KeepAliveTimes, Transport};
use crate::sys::timestamps::StampedRead;
use crate::sys::unix::UnixAddress;

#[derive(Debug)]
pub(crate) struct Stream {
    /// Not there where it is on tape only.
    live: Option<Live>,
    transport: Transport,
    tape: Option<(Tape, u64)>,
}

impl Stream {
    pub(crate) fn tcp(family: Family) -> io::Result<Self> {
        let Some(tape) = current_tape() else { return Live::tcp(family).map(Self::untaped) };
        let number = tape.number();
        match tape.call(Call::Socket, number, || Live::tcp(family), |_, _| {})? {
            Answer::Live(live) => Ok(Self::taped(Some(live), Transport::Tcp, tape, number)),
            Answer::Taped(_) => Ok(Self::taped(None, Transport::Tcp, tape, number)),
        }
    }

    /// Names of files have no place on a tape.
    pub(crate) fn unix() -> io::Result<Self> {
        if current_tape().is_some() { Err(not_supported()) } else { Live::unix().map(Self::untaped) }
    }

    pub(super) fn untaped(live: Live) -> Self {
        let transport = live.transport();
        Self { live: Some(live), transport, tape: None }
    }

    pub(super) fn taped(live: Option<Live>, transport: Transport, tape: Tape, number: u64) -> Self {
        Self { live, transport, tape: Some((tape, number)) }
    }

    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }

    fn unit(&self, call: Call, made: impl FnOnce(&Live) -> io::Result<()>) -> io::Result<()> {
        let live = || of_live(self.live.as_ref(), made);
        match &self.tape {
            None => live(),
            Some((tape, number)) => tape.unit(call, *number, live),
        }
    }

    fn count(&self, call: Call, made: impl FnOnce(&Live) -> io::Result<u64>) -> io::Result<u64> {
        let live = || of_live(self.live.as_ref(), made);
        match &self.tape {
            None => live(),
            Some((tape, number)) => tape.count(call, *number, live),
        }
    }

    fn address(&self, call: Call, made: impl FnOnce(&Live) -> io::Result<SocketAddr>) -> io::Result<SocketAddr> {
        let live = || of_live(self.live.as_ref(), made);
        match &self.tape {
            None => live(),
            Some((tape, number)) => tape.address(call, *number, live),
        }
    }

    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.unit(Call::Bind, |live| live.bind(address))
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<ConnectStart> {
        let started = self.count(Call::Connect, |live| {
            live.connect(address).map(|start| match start {
                ConnectStart::InProgress => 0,
                ConnectStart::Refused => 1,
            })
        })?;
        Ok(if started == 0 { ConnectStart::InProgress } else { ConnectStart::Refused })
    }

    pub(crate) fn connect_unix(&self, address: &UnixAddress) -> io::Result<()> {
        self.unit(Call::Connect, |live| live.connect_unix(address))
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        let Some((tape, number)) = &self.tape else { return of_live(self.live.as_ref(), Live::take_error) };
        let made = || {
            let error = of_live(self.live.as_ref(), Live::take_error)?;
            Ok(error.and_then(|error| error.raw_os_error()).map_or(0, |errno| u64::from(errno.unsigned_abs())))
        };
        let errno = tape.count(Call::TakeError, *number, made)?;
        Ok(i32::try_from(errno).ok().filter(|errno| *errno != 0).map(io::Error::from_raw_os_error))
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tape {
            None => of_live(self.live.as_ref(), |live| live.read(buffer)),
            Some(_) => self
                .read_taped(buffer, |live, buffer| Ok(StampedRead { count: live.read(buffer)?, waited: None }))
                .map(|read| read.count),
        }
    }

    pub(crate) fn read_stamped(&self, buffer: &mut [u8]) -> io::Result<StampedRead> {
        match &self.tape {
            None => of_live(self.live.as_ref(), |live| live.read_stamped(buffer)),
            Some(_) => self.read_taped(buffer, Live::read_stamped),
        }
    }

    fn read_taped(
        &self,
        buffer: &mut [u8],
        made: impl FnOnce(&Live, &mut [u8]) -> io::Result<StampedRead>,
    ) -> io::Result<StampedRead> {
        let Some((tape, number)) = &self.tape else { return Err(not_supported()) };
        let mut bytes = Vec::new();
        let read = {
            let made = || {
                let read = of_live(self.live.as_ref(), |live| made(live, buffer))?;
                bytes.extend_from_slice(&buffer[..read.count]);
                Ok((read, bytes))
            };
            tape.call(Call::Read, *number, made, |(read, bytes), entry| {
                put_duration(entry, read.waited);
                entry.extend_from_slice(bytes);
            })?
        };
        match read {
            Answer::Live((read, _)) => Ok(read),
            Answer::Taped(entry) => {
                let mut field = Field(&entry);
                let waited = tape.decoded(field.duration())?;
                let count = field.0.len();
                let place = tape.decoded(buffer.get_mut(..count))?;
                place.copy_from_slice(field.0);
                Ok(StampedRead { count, waited })
            }
        }
    }

    pub(crate) fn stamp(&self) -> io::Result<()> {
        self.unit(Call::Option, Live::stamp)
    }

    pub(crate) fn read_short(&self, buffer: &mut [u8]) -> Result<usize, io::Result<usize>> {
        match (&self.live, &self.tape) {
            (Some(live), None) => live.read_short(buffer),
            _ => match self.read(buffer) {
                Ok(count) if count > 0 && count < buffer.len() => Ok(count),
                other => Err(other),
            },
        }
    }

    pub(crate) fn tells_when_emptied(&self) -> bool {
        self.live.as_ref().is_none_or(Live::tells_when_emptied)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored_or(&[IoSlice::new(bytes)], |live| live.write(bytes))
    }

    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored_or(slices, |live| live.write_vectored(slices))
    }

    /// What is written is compared by its checksum.
    fn write_vectored_or(
        &self,
        slices: &[IoSlice<'_>],
        made: impl FnOnce(&Live) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Some((tape, number)) = &self.tape else { return of_live(self.live.as_ref(), made) };
        let offered = slices.iter().fold(0, |sum: u64, slice| sum.rotate_left(1) ^ tape.offered(slice));
        // It stands before the answer, so that a call that fails is compared, too.
        tape.same(*number, offered)?;
        let room: usize = slices.iter().map(|slice| slice.len()).sum();
        let made = || of_live(self.live.as_ref(), made).map(|count| count as u64);
        let taken = tape.count(Call::Write, *number, made)?;
        // Nobody takes more than there is, whatever a file says.
        tape.decoded(usize::try_from(taken).ok().filter(|taken| *taken <= room))
    }

    pub(crate) fn write_whole(&self, bytes: &[u8]) -> Result<(), io::Result<usize>> {
        match (&self.live, &self.tape) {
            (Some(live), None) => live.write_whole(bytes),
            _ => match self.write(bytes) {
                Ok(count) if count == bytes.len() => Ok(()),
                other => Err(other),
            },
        }
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.unit(Call::Shutdown, Live::shutdown_write)
    }

    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        self.unit(Call::Option, Live::reset_on_close)
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        self.address(Call::LocalAddress, Live::local_address)
    }

    pub(crate) fn peer_address(&self) -> io::Result<SocketAddr> {
        self.address(Call::PeerAddress, Live::peer_address)
    }

    /// No unix socket is on a tape.
    pub(crate) fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        match &self.tape {
            None => of_live(self.live.as_ref(), Live::peer_credentials),
            Some(_) => Err(not_supported()),
        }
    }

    pub(crate) fn set_no_delay(&self, on: bool) -> io::Result<()> {
        self.unit(Call::Option, |live| live.set_no_delay(on))
    }

    pub(crate) fn set_keep_alive(&self, on: bool, times: Option<KeepAliveTimes>) -> io::Result<()> {
        self.unit(Call::Option, |live| live.set_keep_alive(on, times))
    }

    pub(crate) fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.unit(Call::Option, |live| live.set_user_timeout(timeout))
    }

    pub(crate) fn set_type_of_service(&self, value: u8) -> io::Result<()> {
        self.unit(Call::Option, |live| live.set_type_of_service(value))
    }

    pub(crate) fn type_of_service(&self) -> io::Result<u8> {
        self.count(Call::Option, |live| live.type_of_service().map(u64::from)).map(|value| value as u8)
    }

    /// Whether a program can have its descriptor.
    pub(crate) fn can_leave(&self) -> bool {
        self.tape.is_none() && self.live.as_ref().is_some_and(Live::can_leave)
    }

    pub(crate) fn into_descriptor(self) -> io::Result<OwnedFd> {
        match (self.live, self.tape) {
            (Some(live), None) => live.into_descriptor(),
            _ => Err(not_supported()),
        }
    }
}

impl Tape {
    /// The replay must write what was written.
    fn same(&self, number: u64, offered: u64) -> io::Result<()> {
        let recorded = self.count(Call::Write, number, || Ok(offered))?;
        if recorded == offered {
            return Ok(());
        }
        self.diverged(format!("a write of other bytes to {number}"), "these".to_owned())
    }
}

impl AsSource for Stream {
    type Live = Live;

    fn live(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    fn number(&self) -> u64 {
        self.tape.as_ref().map_or(0, |(_, number)| *number)
    }
}
