//! The loop itself: the order of a turn (rules M1 to M10), what keeps `run` going (rules R1 to R9), and the loop's own
//! commands: `run`, `turn`, `stop`, `keep_alive`, `LoopHandle` and `position`.
//!
//! May touch: the public API and the shared test support. Invariants: the other end of a connection is a socket of std,
//! driven from the same thread where the kernel's buffers allow it, so that the order of events does not depend on a
//! scheduler.

#[path = "../support/mod.rs"]
mod support;

mod budgets;
mod keeping_alive;
mod one_loop;
mod other_threads;
mod running;
mod turn_order;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use halfclose::Position;
use halfclose::net::{self, ConnectOptions, Socket};
use support::{Log, RawListener, RawPeer, busy};

const MILLISECOND: Duration = Duration::from_millis(1);

/// More than the kernel takes from a writer while nobody reads: its largest send and receive buffers together hold less.
const MORE_THAN_THE_KERNEL_TAKES: usize = 20_000_000;

/// A peer of std that several listeners of the loop's thread share.
type SharedPeer = Rc<RefCell<RawPeer>>;

/// A client, watched as `C`, of a peer of std. `connected` runs in its `connect` listener; the peer lives as long as the
/// client.
fn client_of_peer(log: &Log, options: ConnectOptions, connected: impl FnOnce(Socket, SharedPeer) + 'static) -> Socket {
    let raw = RawListener::bind();
    let client = net::connect(options.host("127.0.0.1").port(raw.port())).expect("connect");
    support::watch_socket(log, "C", client);
    client.once_connect(move |client| {
        let peer = Rc::new(RefCell::new(raw.accept()));
        client.set_data(peer.clone());
        connected(client, peer);
    });
    client
}

/// The place of the running callback.
fn here() -> Position {
    halfclose::position().expect("a loop on this thread")
}

/// The text of a panic, or nothing when `body` returned.
fn panic_of<T>(body: impl FnOnce() -> T) -> Option<String> {
    catch_unwind(AssertUnwindSafe(body)).err().map(|panic| support::panic_text(&*panic))
}

/// Connects one client for each name, and calls `connected` when the last stands. Every `close` is recorded.
fn clients(log: &Log, names: &'static [&'static str], connected: impl FnOnce(Vec<Socket>) + 'static) {
    let log = *log;
    let raw = Rc::new(RawListener::bind());
    let left = Rc::new(Cell::new(names.len()));
    let sockets: Vec<Socket> = names.iter().map(|_| net::connect(raw.address()).expect("connect")).collect();
    let connected = Rc::new(Cell::new(Some(connected)));
    for (socket, name) in sockets.iter().zip(names) {
        // Each listener holds the raw listener, whose accept queue is the other end.
        let (left, raw, connected, sockets) = (left.clone(), raw.clone(), connected.clone(), sockets.clone());
        socket.on_connect(move |_| {
            let _held = &raw;
            left.set(left.get() - 1);
            if left.get() == 0 {
                connected.take().expect("one last connection")(sockets.clone());
            }
        });
        socket.on_close(move |_, _| log.add("L", format!("close {name}")));
    }
}
