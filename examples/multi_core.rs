//! All cores: a loop on each of several threads, and one port that they all listen on.
//!
//! ```sh
//! cargo run --release --example multi_core                             # a demonstration, which ends by itself
//! cargo run --release --example multi_core -- --port 7000 --threads 8  # an echo service until a signal ends it
//! ```
//!
//! Every thread has an event loop of its own and a listening socket of its own. With `reuse_port` these share an address,
//! and the kernel deals the connections out. Nothing is shared between the threads, so nothing is locked; a connection
//! stays with the loop that accepted it. There are as many threads as cores, unless `--threads` says otherwise.
//!
//! The kernel deals by a hash of the addresses, not by load: few long connections may meet on one thread. Where that
//! matters, one loop accepts and hands over: see `hand_over`.

use std::cell::Cell;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use halfclose::net::{self, ListenOptions, ServerOptions, Socket};
use halfclose::{Error, EventLoop, LoopHandle};

const USAGE: &str = "usage: multi_core [--port PORT] [--threads THREADS]";

/// How many clients the demonstration has: enough that no thread of a few goes without.
const CLIENTS: usize = 64;

/// How long they wait for an echo, which takes no time at all: only so that they never wait for ever.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("multi_core: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("multi_core: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut address = SocketAddr::from(([127, 0, 0, 1], arguments.port.unwrap_or(0)));
    let mut workers = Vec::new();
    for _ in 0..arguments.threads {
        let worker = Worker::start(address)?;
        // The first may have chosen the port; the others take the same one.
        address = worker.address;
        workers.push(worker);
    }
    // Only now, so that the kernel deals to all of them.
    println!("listening on {address}");
    if arguments.port.is_none() {
        let clients = (0..CLIENTS).map(|_| visit(address)).collect::<io::Result<Vec<_>>>()?;
        drop(clients);
        workers.iter().for_each(|worker| worker.handle.stop());
    }
    let mut total = 0;
    for (number, worker) in workers.into_iter().enumerate() {
        let served = worker.thread.join().map_err(|_| "a thread panicked")??;
        println!("loop {number}: {served} connections");
        total += served;
    }
    println!("together: {total} connections");
    Ok(())
}

/// A thread with a loop.
struct Worker {
    address: SocketAddr,
    handle: LoopHandle,
    thread: JoinHandle<Result<usize, Error>>,
}

impl Worker {
    /// Returns when it listens.
    fn start(address: SocketAddr) -> Result<Worker, Box<dyn std::error::Error>> {
        let (listening, listens) = mpsc::channel();
        let thread = thread::spawn(move || serve(address, &listening));
        match listens.recv() {
            Ok((address, handle)) => Ok(Worker { address, handle, thread }),
            // It gave up before it listened.
            Err(_) => match thread.join() {
                Ok(Err(error)) => Err(error.into()),
                Ok(Ok(_)) | Err(_) => Err("a thread ended early".into()),
            },
        }
    }
}

/// One thread's whole life. Returns how many connections it accepted.
fn serve(address: SocketAddr, listening: &Sender<(SocketAddr, LoopHandle)>) -> Result<usize, Error> {
    let mut event_loop = EventLoop::new()?;
    let handle = event_loop.handle();
    let accepted = Rc::new(Cell::new(0));
    let count = accepted.clone();
    let server = net::create_server_with(ServerOptions::new().no_delay(true), move |socket| {
        count.set(count.get() + 1);
        echo(socket);
    });
    let listening = listening.clone();
    server.on_listening(move |server| {
        if let Some(address) = server.address() {
            // Only fails when the main thread is gone, and then so is the program.
            let _ = listening.send((address, handle.clone()));
        }
    });
    // Without an `error` listener: a port that cannot be had makes `run` return the reason.
    server.listen(ListenOptions::new().host(address.ip().to_string()).port(address.port()).reuse_port(true))?;
    event_loop.run()?;
    Ok(accepted.get())
}

fn echo(socket: Socket) {
    socket.on_data(|socket, bytes| {
        if !socket.write(bytes) {
            socket.pause();
        }
    });
    socket.on_drain(|socket| {
        socket.resume();
    });
    socket.on_error(|_, error| eprintln!("multi_core: {error}"));
}

/// A client of the demonstration: says something and waits for the echo.
fn visit(address: SocketAddr) -> io::Result<TcpStream> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(PATIENCE)?;
    client.write_all(b"hello")?;
    client.read_exact(&mut [0; 5])?;
    Ok(client)
}

/// What the command line says.
struct Arguments {
    port: Option<u16>,
    threads: usize,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Arguments, String> {
        let mut port = None;
        let mut threads = thread::available_parallelism().map_or(1, usize::from);
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
