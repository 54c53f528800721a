//! One loop accepts, others serve: an accepted socket goes to another thread's loop.
//!
//! ```sh
//! cargo run --release --example hand_over                           # a demonstration, which ends by itself
//! cargo run --release --example hand_over -- --port 7000 --threads 4  # until a signal ends it
//! ```
//!
//! A handle means something on its own loop only, so it is the connection that travels: `into_std` takes it out of the loop
//! that accepted it, `LoopHandle::post` carries it over, and `Socket::from_std` makes it a socket of the loop there. Because
//! of `pause_on_connect` nothing was read before, and nothing can be lost on the way. The accepting thread decides who is
//! next: here each in turn; the least busy would be as easy. Where any dealing will do, `reuse_port` needs no hand-over: see
//! `multi_core`.

use std::cell::Cell;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use halfclose::net::{self, ServerOptions, Socket};
use halfclose::{Error, EventLoop, LoopHandle};

const USAGE: &str = "usage: hand_over [--port PORT] [--threads THREADS]";

/// How many clients the demonstration has.
const CLIENTS: usize = 6;

/// How long a name may be, in bytes, so that nobody makes a worker remember more.
const LONGEST_LINE: usize = 256;

/// How long they wait for an answer, which takes no time at all: only so that they never wait for ever.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("hand_over: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hand_over: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let workers = (0..arguments.threads).map(Worker::start).collect::<Result<Vec<_>, _>>()?;
    let handles: Vec<LoopHandle> = workers.iter().map(|worker| worker.handle.clone()).collect();

    let mut event_loop = EventLoop::new()?;
    let (address, listens) = mpsc::channel();
    let accepted = Cell::new(0);
    let server = net::create_server_with(ServerOptions::new().pause_on_connect(true), move |socket| {
        let number = accepted.get();
        accepted.set(number + 1);
        hand_over(socket, &handles[number % handles.len()]);
    });
    server.on_listening(move |server| {
        if let Some(listening) = server.address() {
            println!("listening on {listening}");
            // It fails when there are no clients to tell, which is when this is no demonstration.
            let _ = address.send(listening);
        }
    });
    server.listen(("127.0.0.1", arguments.port.unwrap_or(0)))?;
    let handle = event_loop.handle();
    let clients = arguments.port.is_none().then(|| {
        thread::spawn(move || {
            let result = listens.recv().map_err(io::Error::other).and_then(visit_all);
            // However it went, the demonstration is over.
            handle.stop();
            result
        })
    });

    event_loop.run()?;
    if let Some(clients) = clients {
        clients.join().map_err(|_| "the clients panicked")??;
    }
    for (number, worker) in workers.into_iter().enumerate() {
        worker.handle.stop();
        worker.thread.join().map_err(|_| "a worker panicked")??;
        println!("worker {number}: stopped");
    }
    Ok(())
}

/// Gives an accepted connection to another loop.
fn hand_over(socket: Socket, to: &LoopHandle) {
    // It is new and paused, so there is nothing that could hold it here.
    let (stream, read_ahead) = match socket.into_std() {
        Ok(taken) => taken,
        Err(error) => {
            eprintln!("hand_over: {error}");
            socket.destroy();
            return;
        }
    };
    if to.post(move || adopt(stream, &read_ahead)).is_err() {
        // The closure comes back, and the connection in it is closed.
        eprintln!("hand_over: this worker is gone");
    }
}

thread_local! {
    /// Which worker this thread is, for its answers.
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

/// On the worker's thread: the connection becomes a socket of its loop.
fn adopt(stream: TcpStream, read_ahead: &[u8]) {
    let socket = match Socket::from_std(stream) {
        Ok(socket) => socket,
        Err(error) => return eprintln!("hand_over: {error}"),
    };
    socket.set_data(Vec::<u8>::new());
    socket.on_data(|socket, bytes| {
        if socket.writable_ended() {
            // It was answered; one line is enough.
            return;
        }
        // A line may come in pieces.
        let line = socket.with_data(|line: &mut Vec<u8>| {
            line.extend_from_slice(bytes);
            line.clone()
        });
        // The data is there, and nobody else uses it now.
        let Ok(line) = line else { return };
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let name = String::from_utf8_lossy(&line[..end]);
            socket.end_data(format!("hello {name}, this is worker {}", NUMBER.get()));
        } else if line.len() > LONGEST_LINE {
            socket.destroy();
        }
    });
    socket.on_error(|_, error| eprintln!("hand_over: {error}"));
    if !read_ahead.is_empty() {
        // Not with `pause_on_connect`. Whoever hands a connection over in the middle of it must not lose this.
        socket.unshift(read_ahead);
    }
}

/// A thread with a loop, which serves what it is handed.
struct Worker {
    handle: LoopHandle,
    thread: JoinHandle<Result<(), Error>>,
}

impl Worker {
    fn start(number: usize) -> Result<Worker, Box<dyn std::error::Error>> {
        let (ready, is_ready) = mpsc::channel();
        let thread = thread::spawn(move || {
            NUMBER.set(number);
            let mut event_loop = EventLoop::new()?;
            // There are times without a connection.
            let _guard = event_loop.keep_alive();
            // Only fails when the main thread is gone, and then so is the program.
            let _ = ready.send(event_loop.handle());
            event_loop.run()
        });
        match is_ready.recv() {
            Ok(handle) => Ok(Worker { handle, thread }),
            // It gave up before it had a loop.
            Err(_) => match thread.join() {
                Ok(Err(error)) => Err(error.into()),
                Ok(Ok(())) | Err(_) => Err("a worker ended early".into()),
            },
        }
    }
}

/// The clients of the demonstration, one after the other.
fn visit_all(address: SocketAddr) -> io::Result<()> {
    for number in 1..=CLIENTS {
        let mut client = TcpStream::connect(address)?;
        client.set_read_timeout(PATIENCE)?;
        writeln!(client, "client {number}")?;
        let mut answer = String::new();
        client.read_to_string(&mut answer)?;
        println!("client {number}: {answer}");
    }
    Ok(())
}

/// What the command line says.
struct Arguments {
    port: Option<u16>,
    threads: usize,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Arguments, String> {
        let (mut port, mut threads) = (None, 2);
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy();
            let mut value = || {
                let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
                value.into_string().map_err(|value| format!("{name}: {value:?} is not text"))
            };
            match &*name {
                "--port" => {
                    let value = value()?;
                    port = Some(value.parse().map_err(|_| format!("--port: {value:?} is not between 0 and 65535"))?);
                }
                "--threads" => {
                    let value = value()?;
                    let wanted = value.parse().ok().filter(|wanted| (1..=1024).contains(wanted));
                    threads = wanted.ok_or_else(|| format!("--threads: {value:?} is not between 1 and 1024"))?;
                }
                _ => return Err(format!("unknown argument {name:?}")),
            }
        }
        Ok(Arguments { port, threads })
    }
}
