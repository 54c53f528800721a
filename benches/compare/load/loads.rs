//! What clients do at full speed.
//!
//! May touch: the sockets of its process. Invariant: every load ends with all answers received, so that nothing of one
//! slice is left to the next; and costs the client as little as a client can cost, because it must not be the slower
//! side: no readiness calls, one `send` and one `recv` per message, no copy of what is only sent.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::{Clients, invalid};
use crate::clock;
use crate::process::signal;
use crate::sockets;

/// The connections of `multi_accept` that are in flight together: enough to keep a server busy, fewer than any batch of
/// accepts that would hide what a single one costs.
const ARRIVALS: usize = 16;

/// The bytes of one write of the pump.
const PUMPED: usize = 64 * 1024;

/// What the pump sends before the server reads, unless a write on each connection is more: it is to be in the caches still,
/// because from memory it costs three times as much, and what differs is the luck of its places.
const AT_ONCE: usize = 1024 * 1024;

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Load {
    /// Messages of so many bytes go back and forth on every connection. An operation is one message.
    Ping(usize),
    /// The same in lock-step: the server finds the messages of all connections at once. For thousands of connections,
    /// where a client would be the slower side: it touches as many cold sockets as the server, with one call more.
    Step(usize),
    /// Writes of 64 KiB on every connection, a mebibyte or more in all, while the server is stopped. An operation is one
    /// KiB. Sending costs several times what reading does: in step with the server, the client would be what is measured.
    Pump,
    /// Connect, one echo of 64 bytes, close. An operation is one connection.
    Accept,
    /// A message of so many bytes on the first connection, received on all. An operation is one delivery.
    FanOut(usize),
}

impl FromStr for Load {
    type Err = String;

    fn from_str(text: &str) -> Result<Load, String> {
        let size = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
        match text.split_once(':').unwrap_or((text, "")) {
            ("ping", bytes) => Ok(Load::Ping(size(bytes)?)),
            ("step", bytes) => Ok(Load::Step(size(bytes)?)),
            ("pump", "") => Ok(Load::Pump),
            ("accept", "") => Ok(Load::Accept),
            ("fan_out", bytes) => Ok(Load::FanOut(size(bytes)?)),
            _ => Err(format!("{text}: no such load")),
        }
    }
}

/// Plays for a while and gives the operations.
pub fn play(clients: &mut Clients, load: Load, length: Duration) -> io::Result<u64> {
    let end = Instant::now() + length;
    match load {
        Load::Ping(size) => ping(clients, size, end),
        Load::Step(_) | Load::Pump => {
            let mut operations = 0;
            while Instant::now() < end {
                operations += lock_step(clients, load, 1)?;
            }
            Ok(operations)
        }
        Load::Accept => accept(clients, end),
        Load::FanOut(size) => fan_out(clients, size, end),
    }
}

/// Two halves of the connections take turns, so that the server has the messages of one while the answers of the other
/// are read. A single connection goes back and forth.
fn ping(clients: &mut Clients, size: usize, end: Instant) -> io::Result<u64> {
    let (one, other) = clients.sockets.split_at(clients.sockets.len().div_ceil(2));
    let buffer = &mut clients.buffer[..size];
    let mut operations = 0;
    send_all(one, buffer)?;
    loop {
        send_all(other, buffer)?;
        receive_all(one, buffer)?;
        operations += one.len() as u64;
        if Instant::now() >= end {
            receive_all(other, buffer)?;
            return Ok(operations + other.len() as u64);
        }
        send_all(one, buffer)?;
        receive_all(other, buffer)?;
        operations += other.len() as u64;
    }
}

fn send_all(sockets: &[OwnedFd], bytes: &[u8]) -> io::Result<()> {
    sockets.iter().try_for_each(|socket| send(socket.as_raw_fd(), bytes))
}

fn receive_all(sockets: &[OwnedFd], buffer: &mut [u8]) -> io::Result<()> {
    sockets.iter().try_for_each(|socket| receive(socket.as_raw_fd(), buffer))
}

fn accept(clients: &mut Clients, end: Instant) -> io::Result<u64> {
    let address = clients.address.clone().ok_or_else(|| invalid("not opened"))?;
    let mut operations = 0;
    let mut sources = 0_usize;
    while Instant::now() < end {
        operations += arrivals(&address, &mut sources, &mut clients.buffer[..64])?;
    }
    Ok(operations)
}

/// Some connections at once, from connecting to the end.
fn arrivals(address: &sockets::Address, sources: &mut usize, message: &mut [u8]) -> io::Result<u64> {
    let mut arrived = Vec::with_capacity(ARRIVALS);
    for _ in 0..ARRIVALS {
        // The ports of closed connections wait for a minute; each source address has some of its own.
        *sources += 20_000;
        arrived.push(sockets::connect(address, *sources, false)?);
    }
    send_all(&arrived, message)?;
    receive_all(&arrived, message)?;
    for socket in &arrived {
        // SAFETY: the call has no memory of ours to touch.
        sockets::check(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) })?;
    }
    for socket in &arrived {
        if sockets::receive(socket.as_raw_fd(), message, 0)? != 0 {
            return Err(invalid("more than the echo"));
        }
    }
    Ok(ARRIVALS as u64)
}

/// Two messages are on their way at any time, so that the server has the next one when it is done with the last.
fn fan_out(clients: &mut Clients, size: usize, end: Instant) -> io::Result<u64> {
    let first = clients.sockets.first().ok_or_else(|| invalid("not opened"))?.as_raw_fd();
    let buffer = &mut clients.buffer[..size];
    let mut operations = 0;
    send(first, buffer)?;
    loop {
        let over = Instant::now() >= end;
        if !over {
            send(first, buffer)?;
        }
        receive_all(&clients.sockets, buffer)?;
        operations += clients.sockets.len() as u64;
        if over {
            return Ok(operations);
        }
    }
}

/// Rounds in which the server finds the messages of all connections at once: it is stopped while they are sent. With a
/// single connection there is nothing to collect, and it is left alone. Arrivals come one after the other, in steps.
pub fn lock_step(clients: &mut Clients, load: Load, rounds: usize) -> io::Result<u64> {
    let mut operations = 0;
    match load {
        Load::Ping(size) | Load::Step(size) => {
            for _ in 0..rounds {
                let together = clients.sockets.len() > 1;
                if together {
                    stop(clients)?;
                }
                let buffer = &mut clients.buffer[..size];
                let sent = send_all(&clients.sockets, buffer);
                if together {
                    signal(clients.server, libc::SIGCONT);
                }
                sent.and_then(|()| receive_all(&clients.sockets, buffer))?;
                operations += clients.sockets.len() as u64;
            }
        }
        Load::Accept => {
            for _ in 0..rounds {
                in_steps(clients)?;
                operations += 1;
            }
        }
        Load::Pump => {
            for _ in 0..rounds {
                stop(clients)?;
                let taken = fill_all(&clients.sockets, &clients.buffer[..PUMPED]);
                signal(clients.server, libc::SIGCONT);
                operations += taken? / 1024;
                clients.rest()?;
            }
        }
        Load::FanOut(_) => return Err(invalid("not a load for lock-step")),
    }
    clients.rest()?;
    Ok(operations)
}

/// Takes the server off its core once it has nothing left to do.
fn stop(clients: &Clients) -> io::Result<()> {
    clock::wait_for_rest(clients.server)?;
    signal(clients.server, libc::SIGSTOP);
    clock::wait_for_stop(clients.server)
}

/// Writes on every connection until the kernel takes no more or it is enough, and gives how many bytes it took.
fn fill_all(sockets: &[OwnedFd], bytes: &[u8]) -> io::Result<u64> {
    let writes = (AT_ONCE / bytes.len() / sockets.len()).max(1);
    let mut taken = 0;
    for socket in sockets {
        for _ in 0..writes {
            match sockets::send(socket.as_raw_fd(), bytes, libc::MSG_DONTWAIT) {
                Ok(count) => taken += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(taken)
}

/// One connection, and the server rests between any two steps: nothing of one coincides with another, and what it costs
/// does not depend on who is faster.
fn in_steps(clients: &mut Clients) -> io::Result<()> {
    let address = clients.address.clone().ok_or_else(|| invalid("not opened"))?;
    let socket = sockets::connect(&address, 0, false)?;
    clients.rest()?;
    send(socket.as_raw_fd(), &clients.buffer[..64])?;
    receive(socket.as_raw_fd(), &mut clients.buffer[..64])?;
    clients.rest()?;
    // SAFETY: the call has no memory of ours to touch.
    sockets::check(unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) })?;
    match sockets::receive(socket.as_raw_fd(), &mut clients.buffer, 0)? {
        0 => clients.rest(),
        _ => Err(invalid("more than the echo")),
    }
}

fn send(socket: RawFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = sockets::send(socket, bytes, 0)?;
        bytes = &bytes[count..];
    }
    Ok(())
}

fn receive(socket: RawFd, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match sockets::receive(socket, &mut buffer[filled..], libc::MSG_WAITALL)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}
