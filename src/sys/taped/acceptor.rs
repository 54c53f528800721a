//! One listening socket, what is adopted, and the descriptor that is kept back, taped or not.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::time::Duration;

use super::tape::{Answer, Call, Field, Tape, put_address};
use super::{AsSource, BoundName, Stream, not_supported, of_live};
use crate::sys::acceptor::AcceptorOptions;
use crate::sys::inheritance::{CopiedOptions, Inheritance};
use crate::sys::simulated::current_tape;
use crate::sys::simulated::switch::{
    Acceptor as Live, Adoptable as LiveAdoptable, Adopted as LiveAdopted, Reserve as LiveReserve, Stream as LiveStream,
};
use crate::sys::stream::Transport;
use crate::sys::unix::{Permissions, UnixAddress};

#[derive(Debug)]
pub(crate) struct Acceptor {
    /// Not there where it is on tape only.
    live: Option<Live>,
    tape: Option<(Tape, u64)>,
    /// Connections are accepted with their first bytes, as the tape has it.
    deferring: bool,
}

impl Acceptor {
    pub(crate) fn tcp(address: SocketAddr, options: AcceptorOptions) -> io::Result<Self> {
        let Some(tape) = current_tape() else { return Live::tcp(address, options).map(Self::untaped) };
        let number = tape.number();
        let live = match tape.call(Call::Socket, number, || Live::tcp(address, options), |_, _| {})? {
            Answer::Live(live) => Some(live),
            Answer::Taped(_) => None,
        };
        Ok(Self { live, tape: Some((tape, number)), deferring: false })
    }

    /// Names of files have no place on a tape.
    pub(crate) fn unix(address: &UnixAddress, permissions: Permissions) -> io::Result<Self> {
        if current_tape().is_some() {
            Err(not_supported())
        } else {
            Live::unix(address, permissions).map(Self::untaped)
        }
    }

    fn untaped(live: Live) -> Self {
        Self { live: Some(live), tape: None, deferring: false }
    }

    fn unit(&self, call: Call, made: impl FnOnce(&Live) -> io::Result<()>) -> io::Result<()> {
        let live = || of_live(self.live.as_ref(), made);
        match &self.tape {
            None => live(),
            Some((tape, number)) => tape.unit(call, *number, live),
        }
    }

    pub(crate) fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.live.as_ref().map_or(Ok(()), |live| live.set_permissions(permissions))
    }

    pub(crate) fn name(&self) -> Option<&BoundName> {
        self.live.as_ref().and_then(Live::name)
    }

    /// On tape each connection is told its options itself: what the kernel copied would have to be known otherwise.
    pub(crate) fn hand_down(&mut self, options: CopiedOptions) {
        if let (Some(live), None) = (&mut self.live, &self.tape) {
            live.hand_down(options);
        }
    }

    pub(crate) fn inheritance(&self) -> Inheritance {
        match (&self.live, &self.tape) {
            (Some(live), None) => live.inheritance(),
            _ => Inheritance::default(),
        }
    }

    pub(crate) fn defer_accept(&mut self, limit: Duration) -> io::Result<()> {
        let Some((tape, number)) = &self.tape else {
            return self.live.as_mut().map_or_else(|| Err(not_supported()), |live| live.defer_accept(limit));
        };
        let live = &mut self.live;
        let deferring = tape.count(Call::Option, *number, || {
            let live = live.as_mut().ok_or_else(not_supported)?;
            live.defer_accept(limit)?;
            Ok(u64::from(live.is_deferring()))
        })?;
        self.deferring = deferring != 0;
        Ok(())
    }

    pub(crate) fn is_deferring(&self) -> bool {
        match (&self.live, &self.tape) {
            (Some(live), None) => live.is_deferring(),
            _ => self.deferring,
        }
    }

    pub(crate) fn stamp(&self) -> io::Result<()> {
        self.unit(Call::Option, Live::stamp)
    }

    pub(crate) fn listen(&self, backlog: i32) -> io::Result<()> {
        self.unit(Call::Listen, |live| live.listen(backlog))
    }

    pub(crate) fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        let made = || of_live(self.live.as_ref(), Live::accept);
        let Some((tape, number)) = &self.tape else {
            return made().map(|(stream, peer)| (Stream::untaped(stream), peer));
        };
        let answer = tape.call(Call::Accept, *number, made, |(_, peer), entry| put_address(entry, *peer))?;
        let (live, peer) = match answer {
            Answer::Live((live, peer)) => (Some(live), peer),
            Answer::Taped(entry) => (None, tape.decoded(Field(&entry).address())?),
        };
        let transport = live.as_ref().map_or(Transport::Tcp, LiveStream::transport);
        Ok((Stream::taped(live, transport, tape.clone(), tape.number()), peer))
    }

    pub(crate) fn local_address(&self) -> io::Result<SocketAddr> {
        let made = || of_live(self.live.as_ref(), Live::local_address);
        match &self.tape {
            None => made(),
            Some((tape, number)) => tape.address(Call::LocalAddress, *number, made),
        }
    }
}

impl AsSource for Acceptor {
    type Live = Live;

    fn live(&self) -> Option<&Live> {
        self.live.as_ref()
    }

    fn number(&self) -> u64 {
        self.tape.as_ref().map_or(0, |(_, number)| *number)
    }
}

/// A descriptor that waits to be adopted.
#[derive(Debug)]
pub(crate) enum Adoptable {
    Untaped(LiveAdoptable),
    /// Bound by a loop with a tape, to listen in it.
    Taped(Acceptor),
}

impl Adoptable {
    pub(crate) fn name(&self) -> Option<&BoundName> {
        match self {
            Self::Untaped(given) => given.name(),
            Self::Taped(acceptor) => acceptor.name(),
        }
    }

    /// On tape there are no numbers.
    pub(crate) fn number(&self) -> RawFd {
        match self {
            Self::Untaped(given) => given.number(),
            Self::Taped(_) => -1,
        }
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Untaped(given) => given.local_address(),
            Self::Taped(acceptor) => acceptor.local_address().ok(),
        }
    }
}

impl From<OwnedFd> for Adoptable {
    fn from(descriptor: OwnedFd) -> Adoptable {
        Adoptable::Untaped(descriptor.into())
    }
}

impl From<Acceptor> for Adoptable {
    fn from(acceptor: Acceptor) -> Adoptable {
        match acceptor {
            Acceptor { live: Some(live), tape: None, .. } => Adoptable::Untaped(live.into()),
            taped => Adoptable::Taped(taped),
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
        match given {
            Adoptable::Untaped(given) if current_tape().is_none() => {
                let LiveAdopted { name, stream } = LiveStream::adopt(given)?;
                Ok(Adopted { name, stream: Stream::untaped(stream) })
            }
            Adoptable::Untaped(_) | Adoptable::Taped(_) => Err(not_supported()),
        }
    }
}

impl Acceptor {
    pub(crate) fn adopt(given: Adoptable) -> io::Result<Acceptor> {
        match given {
            Adoptable::Untaped(given) if current_tape().is_none() => Live::adopt(given).map(Self::untaped),
            Adoptable::Untaped(_) => Err(not_supported()),
            Adoptable::Taped(acceptor) => Ok(acceptor),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Reserve {
    live: LiveReserve,
    tape: Option<Tape>,
}

impl Reserve {
    pub(crate) fn new() -> Self {
        Self { live: LiveReserve::new(), tape: current_tape() }
    }

    /// Not on the tape: what it comes to is told by the next shedding, which is.
    pub(crate) fn restore(&mut self) {
        self.live.restore();
    }

    pub(crate) fn shed(&mut self, acceptor: &Acceptor) -> io::Result<usize> {
        let reserve = &mut self.live;
        let mut made = || of_live(acceptor.live.as_ref(), |live| reserve.shed(live));
        match &self.tape {
            None => made(),
            Some(tape) => {
                let shed = tape.count(Call::Shed, acceptor.number(), || made().map(|count| count as u64));
                shed.map(|count| count as usize)
            }
        }
    }
}
