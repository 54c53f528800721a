//! Bursts that stay in the server, because the client does not read them yet.
//!
//! May touch: the sockets of its process. Invariant: after draining, every byte of every burst was received.

use std::io;
use std::os::fd::AsRawFd;

use super::{Clients, invalid};
use crate::peers::{ASKS_FOR_BURST, BURST};
use crate::sockets;

/// Asks on every connection, and waits until the server has done what it can.
pub fn ask_for_bursts(clients: &mut Clients) -> io::Result<()> {
    for socket in &clients.sockets {
        sockets::send(socket.as_raw_fd(), &[ASKS_FOR_BURST], 0)?;
    }
    clients.rest()
}

/// What a client has room for while it drains. With the little that it had before, every other kilobyte would wait for the
/// server, for minutes in all.
const ROOM: libc::c_int = 256 * 1024;

/// Reads all bursts to their last byte.
pub fn drain(clients: &mut Clients) -> io::Result<()> {
    for socket in &clients.sockets {
        sockets::set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, ROOM);
        let mut left = BURST;
        while left > 0 {
            let most = left.min(clients.buffer.len());
            match sockets::receive(socket.as_raw_fd(), &mut clients.buffer[..most], 0)? {
                0 => return Err(invalid("the burst ended early")),
                count => left -= count,
            }
        }
    }
    clients.rest()
}
