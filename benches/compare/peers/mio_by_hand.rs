//! The program of the floor on mio: its poll, its events and its streams.
//!
//! May touch: mio. Invariant: registered once for both directions; mio's registrations are edge-triggered on epoll.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token};

use super::service::{Service, Stream};
use super::{Settings, Wait, announce};
use crate::sockets::Listener;

/// The number that the listening socket is registered with; connections count from 0.
const LISTENER: Token = Token(usize::MAX);

/// The events that one poll fetches: what mio's own examples ask for, and enough for every ready socket of the cases.
const EVENTS: usize = 1024;

/// A listening socket of mio's.
trait Acceptor: Source {
    type Stream: Source + Stream;
    fn take(&self) -> io::Result<Self::Stream>;
}

impl Acceptor for TcpListener {
    type Stream = TcpStream;

    fn take(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept()?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Acceptor for UnixListener {
    type Stream = UnixStream;

    fn take(&self) -> io::Result<UnixStream> {
        self.accept().map(|(stream, _)| stream)
    }
}

impl<S: Read + Write> Stream for S {
    #[inline]
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }

    #[inline]
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }
}

pub fn serve(settings: &Settings) -> io::Result<()> {
    let (listener, address) = Listener::bind(settings.unix.as_deref())?;
    announce(&address)?;
    match listener {
        Listener::Tcp(listener) => run(settings, TcpListener::from_std(listener)),
        Listener::Unix(listener) => run(settings, UnixListener::from_std(listener)),
    }
}

fn run<A: Acceptor>(settings: &Settings, mut listener: A) -> io::Result<()> {
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(EVENTS);
    let mut service = Service::new(settings.mode);
    let timeout = match settings.wait {
        Wait::Sleep => None,
        Wait::Spin | Wait::Adaptive => Some(Duration::ZERO),
    };
    loop {
        match poll.poll(&mut events, timeout) {
            Ok(()) => {}
            // The process was stopped and continued (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&poll, &listener, &mut service)?;
                continue;
            }
            let hung_up = event.is_read_closed() || event.is_error();
            service.ready(event.token().0, event.is_readable() || hung_up, event.is_writable(), hung_up);
        }
    }
}

/// Takes all connections that wait.
fn accept<A: Acceptor>(poll: &Poll, listener: &A, service: &mut Service<A::Stream>) -> io::Result<()> {
    loop {
        match listener.take() {
            Ok(mut stream) => {
                let number = service.vacant();
                poll.registry().register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)?;
                service.insert(number, stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            // It was reset while it waited; the others are there.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}
