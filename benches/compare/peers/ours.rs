//! This crate as the `echo` example has it, and what else the cases ask for.
//!
//! May touch: the public API. Invariant: the echo is the example's own code, with its error listener, its backpressure
//! and its idle timeout; nothing here is leaner than what a service would have.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ListenOptions, ServerOptions, Socket};
use halfclose::{Error, EventLoop, EventLoopOptions};

use super::{ASKS_FOR_BURST, BURST, Mode, Settings, Style, Wait, announce};
use crate::sockets::{Address, BACKLOG};

/// The example, whose `main` is of no use here.
#[allow(dead_code)]
#[path = "../../../examples/echo.rs"]
mod example;

/// How long an idle connection may be silent, as in the example.
const IDLE: Duration = Duration::from_secs(60);

/// A limit that is never reached: the loop does not sleep.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// What an adaptive loop may spin through: twice the gap of 5,000 messages a second is 400 microseconds, and that is not
/// worth a core; twice the gap of 20,000 is.
const ADAPTIVE: Duration = Duration::from_micros(100);

/// What a burst writes. Borrowed for each write, so that what the kernel refuses is copied, as from a buffer that is
/// used again.
static BURST_BYTES: [u8; BURST] = [b'b'; BURST];

pub fn serve(settings: &Settings) -> Result<(), String> {
    run(settings).map_err(|error| error.to_string())
}

fn run(settings: &Settings) -> Result<(), Error> {
    let options = EventLoopOptions::new();
    let mut event_loop = EventLoop::with_options(match settings.wait {
        Wait::Sleep => options,
        Wait::Spin => options.spin_before_wait(FOR_EVER),
        Wait::Adaptive => options.spin_adaptively(ADAPTIVE),
    })?;
    let batch = matches!(settings.mode, Mode::Pieces { style: Style::Batched, .. });
    let options = ServerOptions::new().no_delay(true).batch_writes(batch);
    let server = net::create_server_with(options, listeners(settings.mode));
    server.on_error(|_, error| {
        eprintln!("halfclose: {error}");
        std::process::exit(1);
    });
    server.on_listening(|server| {
        let unix = server.path().map(|path| Address::Unix(path.display().to_string()));
        if let Some(address) = unix.or_else(|| server.address().map(Address::Tcp)) {
            // Nobody reads it: then nobody connects either.
            let _ = announce(&address);
        }
    });
    let options = ListenOptions::new().backlog(BACKLOG.unsigned_abs());
    server.listen(match &settings.unix {
        Some(path) => options.path(path),
        None => options.host("127.0.0.1").port(0),
    })?;
    event_loop.run()
}

/// The listener for new connections that makes the server what `mode` says.
fn listeners(mode: Mode) -> Box<dyn FnMut(Socket)> {
    match mode {
        Mode::Echo => Box::new(example::echo),
        Mode::Sink => Box::new(|socket| {
            socket.on_data(|_, _| {});
            robust(socket);
        }),
        Mode::Pieces { size, style: Style::Joined } => Box::new(move |socket| joined_pieces(socket, size)),
        Mode::Pieces { size, style } => Box::new(move |socket| pieces(socket, size, style)),
        Mode::FanOut => {
            let members: Rc<RefCell<Vec<Socket>>> = Rc::default();
            Box::new(move |socket| {
                members.borrow_mut().push(socket);
                let members = members.clone();
                socket.on_data(move |_, bytes| {
                    for member in members.borrow().iter() {
                        member.write(bytes);
                    }
                });
                robust(socket);
            })
        }
        Mode::Idle { capturing: false } => Box::new(|socket| {
            socket.on_data(give);
            robust(socket);
        }),
        Mode::Idle { capturing: true } => Box::new(capturing),
    }
}

/// What every service has beside its `data` listener: backpressure, an idle timeout, and an error listener.
fn robust(socket: Socket) {
    socket.on_drain(|socket| {
        socket.resume();
    });
    socket.set_timeout(IDLE);
    socket.on_timeout(|socket| {
        socket.destroy();
    });
    socket.on_error(|_, _| {});
}

/// Answers each piece on its own.
fn pieces(socket: Socket, size: usize, style: Style) {
    socket.on_data(move |socket, bytes| {
        match style {
            Style::Gathered => {
                socket.cork();
            }
            Style::Each | Style::Joined | Style::Batched => {}
        }
        let mut room = true;
        for piece in bytes.chunks(size) {
            room = socket.write(piece);
        }
        match style {
            Style::Gathered => {
                socket.uncork();
            }
            Style::Each | Style::Joined | Style::Batched => {}
        }
        if !room {
            socket.pause();
        }
    });
    robust(socket);
}

/// The same in a buffer of the program's own, as one write.
fn joined_pieces(socket: Socket, size: usize) {
    let mut gathered = Vec::new();
    socket.on_data(move |socket, bytes| {
        gathered.clear();
        for piece in bytes.chunks(size) {
            gathered.extend_from_slice(piece);
        }
        if !socket.write(&gathered) {
            socket.pause();
        }
    });
    robust(socket);
}

/// The idle server's answer.
fn give(socket: Socket, bytes: &[u8]) {
    let room = match bytes.first() {
        Some(&ASKS_FOR_BURST) => socket.write(&BURST_BYTES[..]),
        _ => socket.write(bytes),
    };
    if !room {
        socket.pause();
    }
}

/// Three listeners that capture something of their connection: what costs memory of its own.
fn capturing(socket: Socket) {
    let id = socket.id();
    socket.on_data(move |socket, bytes| {
        std::hint::black_box(id);
        give(socket, bytes);
    });
    socket.on_drain(move |socket| {
        std::hint::black_box(id);
        socket.resume();
    });
    socket.on_error(move |_, _| {
        std::hint::black_box(id);
    });
    socket.set_timeout(IDLE);
    socket.on_timeout(|socket| {
        socket.destroy();
    });
}
