//! The stream surface of a socket: corks (rules F8, F15, F16, L36), `readable` listeners (F26, F28, F30), reading by
//! hand and `unshift` (F29, F31), `pause` and `resume` as events.
//!
//! May touch: the public API and the shared test support. Invariants: every expected sequence was observed in Node
//! first; a peer of std sends the next chunk only when the one before was read, so that what is buffered does not
//! depend on a scheduler.

#[cfg(target_os = "linux")]
#[path = "../support/kernel.rs"]
mod kernel;
#[path = "../support/mod.rs"]
mod support;

mod batching;
mod corking;
mod events;
mod readable;
mod reading;
mod unshifting;

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, Socket};
use halfclose::{clear_interval, set_immediate, set_interval, set_timeout};
use support::{Log, RawListener, RawPeer};

/// More than the kernel takes from a writer while nobody reads: its largest send and receive buffers together hold
/// less.
const MORE_THAN_THE_KERNEL_TAKES: usize = 20_000_000;

/// How long a FIN on the loopback interface, or what it leads to, may take. Longer than it ever did, and still short.
const PAUSE: Duration = Duration::from_millis(20);

/// The other end of the client: a socket of std. Any number of listeners may hold it; it is closed with the last of
/// them, and the client itself is one.
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

    /// Reads everything from now on, on a thread of its own.
    fn flow(&self) {
        let mut stream = self.stream.borrow().stream().try_clone().expect("a second descriptor");
        support::in_thread(move || std::io::copy(&mut stream, &mut std::io::sink()));
    }

    /// What has arrived, without waiting for more.
    fn arrived(&self) -> String {
        let peer = self.stream.borrow();
        let mut stream = peer.stream();
        stream.set_nonblocking(true).expect("a mode");
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes).unwrap_or(0);
        stream.set_nonblocking(false).expect("a mode");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}

/// Runs a loop with a client of a peer, watched as `C`: `start` right after `connect()`, `body` in a callback of its
/// own once it is connected. Returns what happened when everything is closed.
fn play_from_start(
    options: ConnectOptions,
    start: impl FnOnce(Log, Socket),
    body: impl FnOnce(Log, Socket, Peer) + 'static,
) -> Log {
    let log = Log::new();
    support::test(|event_loop| {
        let raw = RawListener::bind();
        let client = net::connect(options.host("127.0.0.1").port(raw.port())).expect("connect");
        support::watch_socket(&log, "C", client);
        start(log, client);
        client.once_connect(move |client| {
            let peer = Peer { stream: Rc::new(RefCell::new(raw.accept())) };
            client.set_data(peer.clone());
            set_immediate(move || body(log, client, peer));
        });
        event_loop.run().expect("no unhandled error");
    });
    log
}

/// The same, with nothing to do before the client is connected.
fn play_with(options: ConnectOptions, body: impl FnOnce(Log, Socket, Peer) + 'static) -> Log {
    play_from_start(options, |_, _| {}, body)
}

/// The same with default options.
fn play(body: impl FnOnce(Log, Socket, Peer) + 'static) -> Log {
    play_with(ConnectOptions::new(), body)
}

/// Records `pause` and `resume`.
fn watch_flow(log: Log, client: Socket) {
    client.on_pause(move |_| log.add("C", "pause"));
    client.on_resume(move |_| log.add("C", "resume"));
}

/// Records each `data` on its own, unlike the folding of the shared log.
fn watch_each_data(log: Log, client: Socket) {
    client.on_data(move |_, bytes| log.add("C", format!("data {}", String::from_utf8_lossy(bytes))));
}

/// Records what `read`, or `read_exactly` with a size, returned.
fn add_read(log: Log, client: Socket, size: Option<usize>) {
    let (name, taken) = match size {
        None => ("read".to_owned(), client.read()),
        Some(size) => (format!("read({size})"), client.read_exactly(size)),
    };
    let text = taken.map_or("None".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    log.add("C", format!("{name}={text}"));
}

/// How much is buffered, and whether it flows: `3 stopped paused`.
fn state(client: Socket) -> String {
    let flow = match client.readable_flowing() {
        None => "undecided",
        Some(true) => "flowing",
        Some(false) => "stopped",
    };
    let paused = if client.is_paused() { " paused" } else { "" };
    format!("{} {flow}{paused}", client.readable_length())
}

/// Has the peer write each chunk once the one before was read, and runs `then` when the last one was.
fn feed_then(client: Socket, peer: &Peer, chunks: &'static [&'static str], then: impl FnOnce() + 'static) {
    let peer = peer.clone();
    let start = client.bytes_read();
    let mut chunks = chunks.iter();
    let mut sent = 0;
    let mut then = Some(then);
    let itself = Rc::new(Cell::new(None));
    let interval = itself.clone();
    itself.set(Some(set_interval(Duration::from_millis(2), move || {
        let interval = interval.get().expect("the interval");
        if client.destroyed() && client.bytes_read() < start + sent {
            clear_interval(interval);
        }
        if client.bytes_read() < start + sent {
            return;
        }
        if let Some(chunk) = chunks.next() {
            peer.write(chunk);
            sent += chunk.len() as u64;
            return;
        }
        clear_interval(interval);
        if let Some(then) = then.take() {
            then();
        }
    })));
}

/// Has the peer write each chunk once the one before was read, and a FIN when the last one was.
fn feed(client: Socket, peer: &Peer, chunks: &'static [&'static str]) {
    let ending = peer.clone();
    feed_then(client, peer, chunks, move || ending.end());
}

/// Runs `then` when nothing is under way any more.
fn later(then: impl FnOnce() + 'static) {
    let mut then = Some(then);
    set_timeout(PAUSE, move || {
        if let Some(then) = then.take() {
            then();
        }
    });
}

/// Destroys the client when nothing is under way any more.
fn destroy_later(client: Socket) {
    later(move || {
        client.destroy();
    });
}
