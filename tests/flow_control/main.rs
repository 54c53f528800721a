//! Flow control: what `write` answers and when `drain` and the callbacks come (rules F1 to F14), and how reading starts,
//! stops and is delivered (rules F20 to F27).
//!
//! May touch: the public API and the shared test support. Invariants: a peer of std reads nothing before a test lets it,
//! so that what the kernel refuses does not depend on a scheduler; a loop that is to come to rest ends by itself, because
//! a socket that does not read keeps no loop alive.

#[path = "../support/mod.rs"]
mod support;

mod reading;
mod writing;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, Socket};
use halfclose::{clear_interval, set_interval};
use support::{Log, RawListener, RawPeer};

const MILLISECOND: Duration = Duration::from_millis(1);

/// More than the kernel takes from a writer while nobody reads: its largest send and receive buffers together hold less.
const MORE_THAN_THE_KERNEL_TAKES: usize = 20_000_000;

/// The default high-water mark (rule F1), and the most that one read of the kernel returns (rule F21).
const HIGH_WATER_MARK: usize = 65_536;

fn large() -> Vec<u8> {
    vec![0; MORE_THAN_THE_KERNEL_TAKES]
}

/// A client, watched as `C`, of a peer of std. `connected` runs in its `connect` listener.
fn client_of_peer(log: &Log, options: ConnectOptions, connected: impl FnOnce(Socket, RawPeer) + 'static) -> Socket {
    let raw = RawListener::bind();
    let client = net::connect(options.host("127.0.0.1").port(raw.port())).expect("connect");
    support::watch_socket(log, "C", client);
    client.once_connect(move |client| connected(client, raw.accept()));
    client
}

/// Reads all that the other end sends, and closes once that has ended.
fn read_to_the_end(mut peer: RawPeer) {
    support::in_thread(move || {
        peer.drain();
        peer.close();
    });
}

/// Calls `step` every millisecond until it answers true.
fn every_millisecond(mut step: impl FnMut() -> bool + 'static) {
    let itself = Rc::new(Cell::new(None));
    let interval = itself.clone();
    itself.set(Some(set_interval(MILLISECOND, move || {
        if step() {
            clear_interval(interval.get().expect("the interval"));
        }
    })));
}

/// Records what a call answered, and how much waits to be written.
fn add_answer(log: &Log, client: Socket, answer: bool) {
    log.add("C", format!("{answer}({})", client.writable_length()));
}
