//! An echo server: every byte goes back to where it came from.
//!
//! ```sh
//! cargo run --release --example echo -- --port 7000
//! ```
//!
//! It prints `listening on ADDRESS` and serves until a signal ends the process: signals keep their default action.
//! A port of 0 lets the system choose a free one, and the line shows which.
//!
//! It is complete rather than short. It bounds what a peer can make it remember (a peer that sends and never reads is
//! read no further), and how long (an idle connection is destroyed). No listener captures anything: whatever one needs, it
//! is given.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::time::Duration;

use halfclose::net::{self, ListenOptions, Server, ServerOptions, Socket};
use halfclose::{Error, EventLoop};

const USAGE: &str = "usage: echo --port PORT [--host HOST]";

/// How many connections may wait to be accepted. A burst of a few thousand is common when clients start together; the
/// kernel lowers it to its own limit.
const BACKLOG: u32 = 4096;

/// How long a connection may be silent: long enough for a person who types, short enough that peers that vanished
/// without a word do not pile up.
const IDLE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("echo: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: Arguments) -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;
    let server = net::create_server_with(ServerOptions::new().no_delay(true), echo);
    server.on_listening(announce);
    server.on_error(|_, error| {
        eprintln!("echo: {error}");
        process::exit(1);
    });
    server.listen(ListenOptions::new().host(arguments.host).port(arguments.port).backlog(BACKLOG))?;
    event_loop.run()
}

/// The whole service, given to each connection.
pub fn echo(socket: Socket) {
    socket.on_data(|socket, bytes| {
        if !socket.write(bytes) {
            socket.pause();
        }
    });
    socket.on_drain(|socket| {
        socket.resume();
    });
    socket.set_timeout(IDLE);
    socket.on_timeout(|socket| {
        socket.destroy();
    });
    // A peer that resets is everyday business, and the socket is destroyed already. Without a listener the error would
    // end the loop.
    socket.on_error(|_, _| {});
}

fn announce(server: Server) {
    let Some(address) = server.address() else { return };
    let mut output = io::stdout().lock();
    // Flushed, because whoever started this may wait for the line. That nobody reads it is no reason not to serve.
    let _ = writeln!(output, "listening on {address}").and_then(|()| output.flush());
}

/// What the command line says.
struct Arguments {
    host: String,
    port: u16,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Arguments, String> {
        let mut host = String::from("127.0.0.1");
        let mut port = None;
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy();
            let mut value = || {
                let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
                value.into_string().map_err(|value| format!("{name}: {value:?} is not text"))
            };
            match &*name {
                "--host" => host = value()?,
                "--port" => {
                    let value = value()?;
                    port = Some(value.parse().map_err(|_| format!("--port: {value:?} is not between 0 and 65535"))?);
                }
                _ => return Err(format!("unknown argument {name:?}")),
            }
        }
        Ok(Arguments { host, port: port.ok_or("--port is missing")? })
    }
}
