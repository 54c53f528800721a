//! Servers that are no part of the crate, for its clients to connect to: on threads of the clients' process.
//!
//! May touch: sockets and threads. Invariant: a server holds at most [`HELD`] connections beside the one that it serves.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::thread;
use std::time::Duration;

use socket2::Socket;

use crate::addresses::{Address, limit_waits};
use crate::random::Random;

/// Connections that nobody answers: fewer than the crate's clients are, so that some are held until the client gives up,
/// and others end meanwhile.
const HELD: usize = 4;

/// What a server does with a connection, and how many of a hundred.
#[derive(Clone, Copy)]
enum Manner {
    /// Sends one message back and ends with the client.
    Answer,
    /// Sends something, ends, and reads what comes.
    EndFirst,
    Close,
    Reset,
    /// Does nothing until it has to.
    Hold,
}

const MANNERS: [(usize, Manner); 5] =
    [(55, Manner::Answer), (15, Manner::EndFirst), (12, Manner::Close), (12, Manner::Reset), (6, Manner::Hold)];

/// Starts the servers: two of TCP, and one at a unix socket's name. They end with the process.
pub fn start(seed: u64) -> io::Result<Vec<Address>> {
    let mut addresses = Vec::new();
    for server in 0..3 {
        let wanted = match server {
            2 => Address::Abstract(format!("halfclose-churn-foreign-{}", std::process::id())),
            _ => Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        };
        let listener = wanted.listen()?;
        addresses.push(match listener.local_addr()?.as_socket() {
            Some(address) => Address::Tcp(address),
            None => wanted,
        });
        let random = Random::spread(seed.wrapping_add(server));
        thread::spawn(move || serve(&listener, random));
    }
    Ok(addresses)
}

fn serve(listener: &Socket, mut random: Random) {
    let mut held = VecDeque::with_capacity(HELD);
    loop {
        // Whoever was gone before he was accepted is nobody's loss.
        let Ok((socket, _)) = listener.accept() else { continue };
        // How a client goes is the client's business.
        let _ = treat(socket, &mut held, &mut random);
    }
}

fn treat(mut socket: Socket, held: &mut VecDeque<Socket>, random: &mut Random) -> io::Result<()> {
    limit_waits(&socket)?;
    let mut buffer = [0; 4096];
    match random.weighted(&MANNERS) {
        Manner::Answer => {
            let read = socket.read(&mut buffer)?;
            socket.write_all(&buffer[..read])?;
            socket.shutdown(Shutdown::Write)?;
            while socket.read(&mut buffer)? > 0 {}
        }
        Manner::EndFirst => {
            socket.write_all(b"that is all")?;
            socket.shutdown(Shutdown::Write)?;
            while socket.read(&mut buffer)? > 0 {}
        }
        Manner::Close => {}
        Manner::Reset => socket.set_linger(Some(Duration::ZERO))?,
        Manner::Hold => {
            if held.len() == HELD {
                held.pop_front();
            }
            held.push_back(socket);
        }
    }
    Ok(())
}
