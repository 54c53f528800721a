//! Pipes from one socket to another: rules F26 and F60 to F66, and `pipe_to`.
//!
//! May touch: the public API and the shared test support. Invariants: every expected sequence was observed in Node
//! first; the source is `I` and its peer `a`, the destination `O` and its peer `b`; peers of std do nothing before a
//! test lets them.

#[path = "../support/mod.rs"]
mod support;

mod backpressure;
mod destinations;
mod ends;
mod idioms;
mod sinks;
mod sources;
mod unpiping;

use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, Socket, SocketEvent};
use halfclose::{set_immediate, set_timeout};
use support::{Log, RawListener, RawPeer};

/// More than the kernel takes from a writer while nobody reads: its largest send and receive buffers together hold
/// less.
const MORE_THAN_THE_KERNEL_TAKES: usize = 20_000_000;

/// The default high-water mark (rule F1), and the most that one read of the kernel returns (rule F21).
const HIGH_WATER_MARK: usize = 65_536;

/// How long bytes on the loopback interface, or what they lead to, may take. Longer than they ever did, and still
/// short.
const PAUSE: Duration = Duration::from_millis(20);

/// The other end of a client: a socket of std. Any number of listeners may hold it; it is closed with the last of them,
/// and the client itself is one.
#[derive(Clone)]
struct Peer {
    stream: Rc<RefCell<RawPeer>>,
}

impl Peer {
    fn write(&self, bytes: &str) {
        self.stream.borrow_mut().write(bytes.as_bytes());
    }

    fn end(&self) {
        self.stream.borrow_mut().half_close();
    }

    fn end_with(&self, bytes: &str) {
        self.write(bytes);
        self.end();
    }

    /// Reads everything from now on, on a thread of its own.
    fn flow(&self) {
        let mut stream = self.stream.borrow().stream().try_clone().expect("a second descriptor");
        support::in_thread(move || std::io::copy(&mut stream, &mut std::io::sink()));
    }

    /// Writes `length` bytes on a thread of its own, as fast as they are taken.
    fn write_much(&self, length: usize) {
        let mut stream = self.stream.borrow().stream().try_clone().expect("a second descriptor");
        support::in_thread(move || std::io::Write::write_all(&mut stream, &vec![0; length]));
    }

    /// What has arrived, without waiting for more; `end` stands for a FIN.
    fn arrived(&self) -> String {
        let peer = self.stream.borrow();
        let mut stream = peer.stream();
        stream.set_nonblocking(true).expect("a mode");
        let mut text = String::new();
        let mut bytes = [0; 1024];
        // Bounded by what the other end wrote.
        loop {
            match stream.read(&mut bytes) {
                Ok(0) => {
                    text.push_str(" end");
                    break;
                }
                Ok(length) => text.push_str(&String::from_utf8_lossy(&bytes[..length])),
                Err(_) => break,
            }
        }
        stream.set_nonblocking(false).expect("a mode");
        text
    }
}

/// Two connected clients and their peers.
#[derive(Clone)]
struct Scene {
    log: Log,
    source: Socket,
    a: Peer,
    destination: Socket,
    b: Peer,
}

impl Scene {
    /// Records an entry of neither socket.
    fn add(&self, text: impl std::fmt::Display) {
        self.log.add("T", text);
    }

    /// Runs `then` when nothing is under way any more.
    fn later(&self, then: impl FnOnce(Scene) + 'static) {
        let mut scene = Some((self.clone(), then));
        set_timeout(PAUSE, move || {
            if let Some((scene, then)) = scene.take() {
                then(scene);
            }
        });
    }

    /// Records `bye` and destroys both when nothing is under way any more.
    fn bye(&self) {
        self.later(|scene| {
            scene.add("bye");
            scene.source.destroy();
            scene.destination.destroy();
        });
    }

    /// How many listeners each has, by event.
    fn counts(&self) -> String {
        format!("{} / {}", counts(self.source), counts(self.destination))
    }
}

/// Runs a loop with two connected clients, watched as `I` and `O`, to its end, and returns what happened.
fn play_with(source: ConnectOptions, destination: ConnectOptions, body: impl FnOnce(Scene) + 'static) -> Log {
    let log = Log::new();
    support::test(|event_loop| {
        connect_both(
            source,
            destination,
            move |scene| {
                watch(scene.log, "I", scene.source);
                watch(scene.log, "O", scene.destination);
                body(scene);
            },
            log,
        );
        event_loop.run().expect("no unhandled error");
    });
    log
}

fn play(body: impl FnOnce(Scene) + 'static) -> Log {
    play_with(ConnectOptions::new(), ConnectOptions::new(), body)
}

/// Connects both, and runs `body` in a callback of its own.
fn connect_both(source: ConnectOptions, destination: ConnectOptions, body: impl FnOnce(Scene) + 'static, log: Log) {
    let raw = RawListener::bind();
    let source = net::connect(source.host("127.0.0.1").port(raw.port())).expect("connect");
    source.once_connect(move |source| {
        let a = accept(source, &raw);
        let raw = RawListener::bind();
        let destination = net::connect(destination.host("127.0.0.1").port(raw.port())).expect("connect");
        destination.once_connect(move |destination| {
            let b = accept(destination, &raw);
            set_immediate(move || body(Scene { log, source, a, destination, b }));
        });
    });
}

fn accept(client: Socket, raw: &RawListener) -> Peer {
    let peer = Peer { stream: Rc::new(RefCell::new(raw.accept())) };
    client.set_data(peer.clone());
    peer
}

/// Records every event of a socket but `data` and `readable`.
fn watch(log: Log, endpoint: &'static str, socket: Socket) {
    support::watch_socket(&log, endpoint, socket);
    watch_flow(log, endpoint, socket);
}

fn watch_flow(log: Log, endpoint: &'static str, socket: Socket) {
    socket.on_pause(move |_| log.add(endpoint, "pause"));
    socket.on_resume(move |_| log.add(endpoint, "resume"));
    socket.on_pipe(move |_, _| log.add(endpoint, "pipe"));
    socket.on_unpipe(move |_, _| log.add(endpoint, "unpipe"));
}

/// Whether a socket flows: `stopped paused`.
fn state(socket: Socket) -> String {
    let flow = match socket.readable_flowing() {
        None => "undecided",
        Some(true) => "flowing",
        Some(false) => "stopped",
    };
    let paused = if socket.is_paused() { " paused" } else { "" };
    format!("{flow}{paused}")
}

/// How many listeners it has for `data`, `end`, `drain`, `error`, `close`, `finish` and `unpipe`, a digit each.
fn counts(socket: Socket) -> String {
    [
        SocketEvent::Data,
        SocketEvent::End,
        SocketEvent::Drain,
        SocketEvent::Error,
        SocketEvent::Close,
        SocketEvent::Finish,
        SocketEvent::Unpipe,
    ]
    .iter()
    .map(|&event| socket.listener_count(event).to_string())
    .collect()
}
