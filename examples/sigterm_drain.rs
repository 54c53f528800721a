//! A service that ends well: on SIGTERM or SIGINT it accepts nothing more, ends every connection politely, and exits
//! when the last one has closed.
//!
//! ```sh
//! cargo run --example sigterm_drain -- --port 7000
//! ```
//!
//! It echoes what it is sent. Stop it with Ctrl-C or `kill`; connections that do not end within eight seconds are
//! reset, and a second signal resets them at once. Without arguments, or with `--self-test`, it demonstrates itself and
//! ends: it sends SIGTERM to its own process while one connection is polite and another one would talk for ever.
//!
//! A signal handler may do next to nothing. `signal-hook` notes the signal and wakes a thread, which posts a closure to
//! the event loop. What is posted must be `Send`, and sockets are not; so the closure finds the service in a variable
//! of the loop's thread.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use halfclose::net::{self, ListenOptions, Server, Socket};
use halfclose::{Error, EventLoop, LoopHandle, Timer, clear_timeout, set_timeout};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const USAGE: &str = "usage: sigterm_drain --port PORT\n       sigterm_drain [--self-test]";

/// How long peers have to end their side: less than the ten seconds after which the impatient among the supervisors
/// follow SIGTERM with SIGKILL.
const PATIENCE: Duration = Duration::from_secs(8);

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("sigterm_drain: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let outcome = match arguments {
        Arguments::Serve { port } => serve(port),
        Arguments::Demonstrate => demonstrate(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sigterm_drain: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: u16) -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;
    let service = Service::start(port, PATIENCE)?;
    let event_loop_handle = event_loop.handle();
    service.server.on_listening(move |server| match watch_signals(event_loop_handle.clone()) {
        Ok(()) => announce(server),
        Err(error) => {
            eprintln!("sigterm_drain: {error}");
            process::exit(1);
        }
    });
    service.server.on_error(|_, error| {
        eprintln!("sigterm_drain: {error}");
        process::exit(1);
    });
    event_loop.run()?;
    println!("drained");
    Ok(())
}

fn announce(server: Server) {
    let Some(address) = server.address() else { return };
    let mut output = io::stdout().lock();
    // Flushed, because whoever started this may wait for the line. That nobody reads it is no reason not to serve.
    let _ = writeln!(output, "listening on {address}").and_then(|()| output.flush());
}

/// Starts the thread that waits for signals. Until then they keep their default action, which is right for a service
/// that has nothing to drain. The thread holds nothing up: a `LoopHandle` keeps no loop running, and the end of `main`
/// ends the thread.
fn watch_signals(event_loop: LoopHandle) -> Result<(), Error> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            // The loop gives the closure back when it is gone; then the process is about to end anyway.
            if event_loop.post(on_signal).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// On the loop's thread.
fn on_signal() {
    if let Some(service) = SERVICE.with_borrow(Clone::clone) {
        service.stop();
    }
}

thread_local! {
    /// Where a posted closure finds the service.
    static SERVICE: RefCell<Option<Rc<Service>>> = const { RefCell::new(None) };
}

/// An echo server that knows its connections.
struct Service {
    server: Server,
    patience: Duration,
    sockets: RefCell<HashSet<Socket>>,
    /// Since the first signal: when the rest is reset.
    draining: RefCell<Option<Timer>>,
}

impl Service {
    fn start(port: u16, patience: Duration) -> Result<Rc<Service>, Error> {
        let server = Server::new();
        let service = Rc::new(Service { server, patience, sockets: RefCell::default(), draining: RefCell::default() });
        let own = service.clone();
        server.on_connection(move |_, socket| own.clone().accept(socket));
        server.listen(ListenOptions::new().host("127.0.0.1").port(port))?;
        SERVICE.set(Some(service.clone()));
        Ok(service)
    }

    fn accept(self: Rc<Service>, socket: Socket) {
        socket.on_data(|socket, bytes| {
            // After its own end it listens only for the peer's.
            if socket.writable() && !socket.write(bytes) {
                socket.pause();
            }
        });
        socket.on_drain(|socket| {
            socket.resume();
        });
        // A peer that resets is everyday business, and `close` follows. Without a listener the error would end the
        // loop.
        socket.on_error(|_, _| {});
        self.sockets.borrow_mut().insert(socket);
        socket.on_close(move |socket, _| {
            self.sockets.borrow_mut().remove(&socket);
            self.rest_if_done();
        });
    }

    /// A signal came: the first one is a request, the next one an order.
    fn stop(self: Rc<Service>) {
        if self.draining.borrow().is_some() {
            return self.reset_the_rest("another signal");
        }
        self.server.close();
        println!("draining: no new connections, {} to end", self.sockets.borrow().len());
        let own = self.clone();
        let deadline = set_timeout(self.patience, move || own.reset_the_rest("no more patience"));
        *self.draining.borrow_mut() = Some(deadline);
        for &socket in self.sockets.borrow().iter() {
            // What was written before goes out before. One that was paused, because its peer reads too slowly, gets no
            // `drain` after this, and must read on to see the peer's end.
            socket.end_data("goodbye\n").resume();
        }
        self.rest_if_done();
    }

    fn reset_the_rest(&self, reason: &str) {
        // Copied: a reset right after an end is the one command that may deliver an event (`error`) within the call.
        let rest: Vec<Socket> = self.sockets.borrow().iter().copied().collect();
        println!("draining: {reason}, {} reset", rest.len());
        for socket in rest {
            // An `Err` on unix sockets only, which know no resets.
            let _ = socket.reset_and_destroy();
        }
    }

    /// With the last connection gone, the deadline is all that still keeps the loop going.
    fn rest_if_done(&self) {
        if !self.sockets.borrow().is_empty() {
            return;
        }
        if let Some(deadline) = *self.draining.borrow() {
            clear_timeout(deadline);
        }
    }
}

/// The demonstration's patience: it is known that it will be exhausted.
const LITTLE_PATIENCE: Duration = Duration::from_millis(300);

/// How often its rude client says something.
const PACE: Duration = Duration::from_millis(20);

/// The service and two clients in one process, which signals itself when both have been served.
fn demonstrate() -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;
    watch_signals(event_loop.handle())?;
    let service = Service::start(0, LITTLE_PATIENCE)?;
    service.server.on_listening(|server| {
        if let Err(error) = start_clients(server) {
            eprintln!("sigterm_drain: {error}");
            server.close();
        }
    });
    event_loop.run()?;
    println!("drained");
    Ok(())
}

fn start_clients(server: Server) -> Result<(), Error> {
    let Some(address) = server.address() else { return Ok(()) };
    let polite = net::connect(address)?;
    polite.write("hello\n");
    polite.on_data(|_, bytes| print!("polite: {}", String::from_utf8_lossy(bytes)));
    polite.on_end(|_| println!("polite: end"));
    polite.on_error(|_, error| println!("polite: {error}"));
    polite.on_close(move |_, had_error| {
        println!("polite: close({had_error})");
        if let Err(error) = start_latecomer(address.port()) {
            eprintln!("sigterm_drain: {error}");
        }
    });
    polite.once_data(move |_, _| {
        if let Err(error) = start_rude(address.port()) {
            eprintln!("sigterm_drain: {error}");
        }
    });
    Ok(())
}

/// Does not end when the service does, and talks on. It begins when the polite client was served, and the signal comes
/// when it was served itself.
fn start_rude(port: u16) -> Result<(), Error> {
    let options = net::ConnectOptions::new().host("127.0.0.1").port(port).allow_half_open(true);
    let rude = net::connect(options)?;
    rude.write("hello\n");
    rude.once_data(|_, _| {
        println!("rude: served, too; SIGTERM");
        if let Err(error) = signal_hook::low_level::raise(SIGTERM) {
            eprintln!("sigterm_drain: {error}");
            process::exit(1);
        }
    });
    rude.on_end(|rude| {
        println!("rude: end, and talks on");
        talk(rude);
    });
    rude.on_error(|_, error| println!("rude: {}", error.code().unwrap_or("error without a code")));
    rude.on_close(|_, had_error| println!("rude: close({had_error})"));
    rude.resume();
    Ok(())
}

fn talk(socket: Socket) {
    if socket.writable() {
        socket.write("and another thing\n");
        set_timeout(PACE, move || talk(socket));
    }
}

/// Comes while the service drains.
fn start_latecomer(port: u16) -> Result<(), Error> {
    let latecomer = net::connect(("127.0.0.1", port))?;
    latecomer.on_error(|_, error| println!("latecomer: {}", error.code().unwrap_or("error without a code")));
    Ok(())
}

/// What the command line says.
enum Arguments {
    Serve { port: u16 },
    Demonstrate,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Arguments, String> {
        let first = arguments.next().map(|name| name.to_string_lossy().into_owned());
        let parsed = match first.as_deref() {
            None | Some("--self-test") => Arguments::Demonstrate,
            Some("--port") => {
                let port = arguments.next().ok_or("--port needs a value")?.to_string_lossy().into_owned();
                Arguments::Serve {
                    port: port.parse().map_err(|_| format!("--port: {port:?} is not between 0 and 65535"))?,
                }
            }
            Some(name) => return Err(format!("unknown argument {name:?}")),
        };
        match arguments.next() {
            None => Ok(parsed),
            Some(name) => Err(format!("{name:?} is too much")),
        }
    }
}
