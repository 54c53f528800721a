//! A client for services that speak lines: what is typed is sent, what comes is printed.
//!
//! ```sh
//! cargo run --example client -- 127.0.0.1 7000
//! ```
//!
//! Ctrl-D, or the end of a piped input, ends this side only: the answer is still printed, and the program ends when the
//! connection closes. An error is printed and makes the exit code 1.
//!
//! Reading a terminal blocks, so a thread does it. The socket belongs to the event loop's thread; the reader knows it by
//! its `SocketId`, and posts closures to the loop that resolve it there.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use halfclose::net::{self, Socket, SocketId};
use halfclose::{Error, EventLoop, LoopHandle};

const USAGE: &str = "usage: client HOST PORT";

/// How much of a piped input is sent at once: what a pipe holds. A terminal gives one line at a time, whatever fits.
const PIECE: usize = 65_536;

fn main() -> ExitCode {
    let (host, port) = match parse(std::env::args_os().skip(1)) {
        Ok(address) => address,
        Err(message) => {
            eprintln!("client: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match converse(host, port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("client: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns when the connection has closed. The reader does not hold that up: a `LoopHandle` keeps no loop running, and
/// the end of `main` ends a thread that still waits for input.
///
/// Nobody listens for `error`, which makes `run` return it: here that is all there is to do.
fn converse(host: String, port: u16) -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;
    let event_loop_handle = event_loop.handle();
    let socket = net::connect_with((host, port), |socket| start_reader(socket, event_loop_handle))?;
    socket.on_data(|socket, bytes| {
        let mut output = io::stdout().lock();
        if let Err(error) = output.write_all(bytes).and_then(|()| output.flush()) {
            socket.destroy_with(error);
        }
    });
    event_loop.run()
}

fn start_reader(socket: Socket, event_loop: LoopHandle) {
    let id = socket.id();
    let reader = thread::Builder::new().name("reader".into());
    if let Err(error) = reader.spawn(move || read_input(id, &event_loop)) {
        socket.destroy_with(error);
    }
}

/// The reader's thread: sends the input piece by piece, then ends this side.
fn read_input(socket: SocketId, event_loop: &LoopHandle) {
    let mut input = io::stdin().lock();
    let mut piece = vec![0; PIECE];
    loop {
        match input.read(&mut piece) {
            Ok(0) => return on_loop(event_loop, socket, Socket::end),
            Ok(count) => {
                if !send(event_loop, socket, piece[..count].to_vec()) {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return on_loop(event_loop, socket, |socket| socket.destroy_with(error)),
        }
    }
}

/// Sends one piece, and waits until the kernel has it: a service that takes its time holds the reader up, and the rest
/// of a large input stays where it is. False when the connection is over.
fn send(event_loop: &LoopHandle, socket: SocketId, piece: Vec<u8>) -> bool {
    let (written, answer) = mpsc::channel();
    on_loop(event_loop, socket, move |socket| {
        socket.write_with(piece, move |_, outcome| {
            // It fails only when the reader is gone, and then nobody waits for it.
            let _ = written.send(outcome.is_ok());
        })
    });
    // Without a socket, or without a loop, the closure is dropped, and the sender with it.
    answer.recv().unwrap_or(false)
}

/// Gives the socket a command on the loop's thread, if it is still there.
fn on_loop<R>(event_loop: &LoopHandle, socket: SocketId, command: impl FnOnce(Socket) -> R + Send + 'static) {
    // The loop gives the closure back when it is gone; then there is nothing left to command.
    let _ = event_loop.post(move || {
        if let Some(socket) = socket.get() {
            command(socket);
        }
    });
}

fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<(String, u16), String> {
    let (Some(host), Some(port), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("a host and a port are needed".into());
    };
    let host = host.into_string().map_err(|host| format!("the host {host:?} is not text"))?;
    let port = port.to_string_lossy();
    let port = port.parse().map_err(|_| format!("the port {port:?} is not between 0 and 65535"))?;
    Ok((host, port))
}
