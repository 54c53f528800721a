//! Sockets that somebody else opened, sockets that are given back, and sockets that are bound before they are anything:
//! C47, S14, 1.3 (`fd`, `handle`), 1.7.
//!
//! May touch: the public API and sockets of std. Invariant: every test compares whole event sequences, and learns every
//! port from the kernel.

#[path = "../support/mod.rs"]
mod support;

mod adopting;
mod bound_socket;
mod giving_back;
mod handing_over;

use std::net::{TcpListener, TcpStream};

use halfclose::net::Socket;

use support::{Log, loopback, watch_data_bytes, watch_socket};

/// Both ends of a connection that the library knows nothing of.
fn raw_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(loopback(0)).expect("bind");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    (client, listener.accept().expect("accept").0)
}

/// Logs everything, `data` with its bytes.
fn watch(log: &Log, name: &str, socket: Socket) {
    watch_socket(log, name, socket);
    watch_data_bytes(log, name, socket);
}

/// Runs `then` in an immediate of a later turn, as soon as `condition` holds.
fn when(condition: impl Fn() -> bool + 'static, then: impl FnOnce() + 'static) {
    halfclose::set_immediate(move || if condition() { then() } else { when(condition, then) });
}
