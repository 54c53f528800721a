//! The loop as a guest in a program that has a `mio` loop of its own.
//!
//! ```sh
//! cargo run --example embedded_mio
//! ```
//!
//! The program answers pings over UDP with `mio`, and serves line counts over TCP with the event loop, all on one thread.
//! The loop's descriptor is registered like any other source, which in `mio` means edge-triggered; that is enough, because
//! the loop is asked for what is pending before each wait. A thread plays the clients. It ends by itself.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use halfclose::net::{self, ServerOptions};
use halfclose::{Error, EventLoop};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

/// What the sources are known by.
const PINGS: Token = Token(0);
const EVENT_LOOP: Token = Token(1);

/// How long the clients wait for an answer, which takes no time at all: only so that they never wait for ever.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embedded_mio: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut event_loop = EventLoop::new()?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let lines = listener.local_addr()?;
    serve_line_counts(listener)?;
    let pings = UdpSocket::bind(("127.0.0.1", 0))?;
    pings.set_nonblocking(true)?;

    let mut poll = Poll::new()?;
    poll.registry().register(&mut SourceFd(&pings.as_raw_fd()), PINGS, Interest::READABLE)?;
    poll.registry().register(&mut SourceFd(&event_loop.as_raw_fd()), EVENT_LOOP, Interest::READABLE)?;
    let clients = start_clients(pings.local_addr()?, lines);

    let mut events = Events::with_capacity(16);
    // The server closes after its one client, and then nothing keeps the loop alive.
    let mut alive = true;
    while alive {
        let wait = if event_loop.has_pending() {
            Some(Duration::ZERO)
        } else {
            event_loop.next_deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
        };
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        if events.iter().any(|event| event.token() == PINGS) {
            answer(&pings)?;
        }
        alive = event_loop.turn(Some(Duration::ZERO))?;
    }
    clients.join().map_err(|_| "the clients panicked")??;
    println!("host: nothing is left");
    Ok(())
}

/// The guest: counts the lines of a connection, and answers when its peer has ended.
fn serve_line_counts(listener: TcpListener) -> Result<(), Error> {
    let server = net::create_server_with(ServerOptions::new().allow_half_open(true), |socket| {
        // One connection is enough.
        if let Some(server) = socket.server() {
            server.close();
        }
        socket.set_data(0_usize);
        socket.on_data(|socket, bytes| {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            // The data is there, and nobody else uses it now.
            let _ = socket.with_data(|count: &mut usize| *count += lines);
        });
        socket.on_end(|socket| {
            let count = socket.with_data(|count: &mut usize| *count).unwrap_or_default();
            println!("guest: {count} lines");
            socket.end_data(format!("{count}\n"));
        });
        socket.on_error(|_, error| eprintln!("guest: {error}"));
    });
    server.listen(listener)?;
    Ok(())
}

/// Edge-triggered: everything that is there.
fn answer(pings: &UdpSocket) -> io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        match pings.recv_from(&mut buffer) {
            Ok((count, from)) => {
                println!("host: {}", String::from_utf8_lossy(&buffer[..count]));
                pings.send_to(b"pong", from)?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// One ping, a conversation over TCP, and one ping more while that is open.
fn start_clients(pings: SocketAddr, lines: SocketAddr) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        let udp = UdpSocket::bind(("127.0.0.1", 0))?;
        udp.set_read_timeout(PATIENCE)?;
        let ping = |name: &str| {
            udp.send_to(name.as_bytes(), pings)?;
            udp.recv(&mut [0; 64])
        };
        ping("ping 1")?;
        let mut tcp = TcpStream::connect(lines)?;
        tcp.set_read_timeout(PATIENCE)?;
        tcp.write_all(b"one\ntwo\n")?;
        ping("ping 2")?;
        tcp.write_all(b"three\n")?;
        tcp.shutdown(Shutdown::Write)?;
        let mut count = String::new();
        tcp.read_to_string(&mut count)?;
        println!("client: {} lines were counted", count.trim_end());
        Ok(())
    })
}
