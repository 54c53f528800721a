//! The floor: a tuned epoll loop and nothing else. Edge-triggered, registered once for both directions, `recv` and `send`,
//! one buffer for all connections.
//!
//! May touch: epoll and sockets. Invariant: in the steady state one echo is a `recv` and a `send`, and its share of an
//! `epoll_wait`.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::service::{Service, Stream};
use super::{Settings, Wait, announce};
use crate::sockets::{self, Listener, check};

/// The number that the listening socket is registered with; connections count from 0.
const LISTENER: u64 = u64::MAX;

/// The events that one call fetches: as many as mio's users ask for.
const EVENTS: usize = 1024;

struct RawStream(OwnedFd);

impl Stream for RawStream {
    #[inline]
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        sockets::receive(self.0.as_raw_fd(), buffer, 0)
    }

    #[inline]
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sockets::send(self.0.as_raw_fd(), bytes, 0)
    }
}

pub fn serve(settings: &Settings) -> io::Result<()> {
    let (listener, address) = Listener::bind(settings.unix.as_deref())?;
    // SAFETY: the call has no memory of ours to touch, and the descriptor is new.
    let epoll = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
    add(&epoll, listener.as_raw_fd(), libc::EPOLLIN as u32, LISTENER)?;
    let mut service = Service::new(settings.mode);
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    let timeout = match settings.wait {
        Wait::Sleep => -1,
        Wait::Spin | Wait::Adaptive => 0,
    };
    announce(&address)?;
    loop {
        // SAFETY: there is room for as many events as said.
        let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, timeout) };
        // -1 is an interruption: the process was stopped and continued (signal(7)).
        for event in &events[..usize::try_from(count).unwrap_or(0)] {
            let (number, flags) = (event.u64, event.events as i32);
            if number == LISTENER {
                accept(&epoll, &listener, &mut service)?;
                continue;
            }
            let hung_up = flags & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) != 0;
            let readable = flags & libc::EPOLLIN != 0 || hung_up;
            service.ready(number as usize, readable, flags & libc::EPOLLOUT != 0, hung_up);
        }
    }
}

/// Takes all connections that wait.
fn accept(epoll: &OwnedFd, listener: &Listener, service: &mut Service<RawStream>) -> io::Result<()> {
    loop {
        match sockets::accept(listener.as_raw_fd()) {
            Ok(descriptor) => {
                if matches!(listener, Listener::Tcp(_)) {
                    sockets::set_no_delay(descriptor.as_raw_fd());
                }
                let both = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
                let number = service.vacant();
                add(epoll, descriptor.as_raw_fd(), both as u32, number as u64)?;
                service.insert(number, RawStream(descriptor));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            // It was reset while it waited; the others are there.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}

fn add(epoll: &OwnedFd, descriptor: i32, flags: u32, number: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events: flags, u64: number };
    // SAFETY: the event outlives the call, which copies it.
    check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor, &raw mut event) }).map(drop)
}
