//! The floor: a tuned epoll loop and nothing else. Edge-triggered, registered once for both directions, `recv` and `send`,
//! one buffer for all connections.
//!
//! May touch: epoll and sockets. Invariant: in the steady state one echo is a `recv` and a `send`, and its share of an
//! `epoll_wait`; it looks at no state of its connection, because there is none unless the kernel takes less than all.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::service::{Service, Stream};
use super::{Mode, SHARED_BUFFER, Settings, Wait, announce};
use crate::sockets::{self, Listener, check};

/// What the listening socket is registered with. Connections have their number in the upper half and their descriptor in
/// the lower.
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
    let mut buffer = vec![0; SHARED_BUFFER];
    let echo = settings.mode == Mode::Echo;
    loop {
        // SAFETY: there is room for as many events as said.
        let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), EVENTS as i32, timeout) };
        // -1 is an interruption: the process was stopped and continued (signal(7)).
        for event in &events[..usize::try_from(count).unwrap_or(0)] {
            let (registered, flags) = (event.u64, event.events as i32);
            if registered == LISTENER {
                accept(&epoll, &listener, &mut service)?;
                continue;
            }
            let hung_up = flags & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) != 0;
            let number = (registered >> 32) as usize;
            if echo && !hung_up && flags & libc::EPOLLIN != 0 && service.all_is_sent() {
                let (received, sent) = echo_once(registered as i32, &mut buffer);
                if received == sent && received < buffer.len() {
                    continue;
                }
                if received != sent {
                    service.keep(number, &buffer[sent..received]);
                    continue;
                }
            }
            let readable = flags & libc::EPOLLIN != 0 || hung_up;
            service.ready(number, readable, flags & libc::EPOLLOUT != 0, hung_up);
        }
    }
}

/// One `recv` and one `send`, and how many bytes each moved. That nothing moved may be an error or the end: both come
/// with an event of their own.
#[inline]
fn echo_once(descriptor: i32, buffer: &mut [u8]) -> (usize, usize) {
    // SAFETY: the buffer is as long as said.
    let received = unsafe { libc::recv(descriptor, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    if received <= 0 {
        return (0, 0);
    }
    // SAFETY: so many bytes of the buffer were just filled.
    let sent = unsafe { libc::send(descriptor, buffer.as_ptr().cast(), received as usize, libc::MSG_NOSIGNAL) };
    (received as usize, sent.max(0) as usize)
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
                let registered = (number as u64) << 32 | u64::from(descriptor.as_raw_fd().unsigned_abs());
                add(epoll, descriptor.as_raw_fd(), both as u32, registered)?;
                service.insert(number, RawStream(descriptor));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            // It was reset while it waited; the others are there.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}

fn add(epoll: &OwnedFd, descriptor: i32, flags: u32, registered: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events: flags, u64: registered };
    // SAFETY: the event outlives the call, which copies it.
    check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, descriptor, &raw mut event) }).map(drop)
}
