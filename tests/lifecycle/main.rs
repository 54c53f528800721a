//! The life of sockets and servers over TCP: one test or more for every rule of connecting, orderly shutdown, `destroy`,
//! errors on a live connection and the server's own life cycle. Each asserts the complete sequence of an endpoint.
//!
//! Every expectation is what Node 26 does. Where one end waits for the other it waits for the event; a time is only
//! waited for where the rule is that nothing happens.

#[path = "../support/mod.rs"]
mod support;

mod connecting;
mod destroying;
mod destroying_in_listeners;
mod failing;
mod serving;
mod shutting_down;

use std::time::Duration;

use halfclose::net::{ConnectOptions, ServerOptions, Socket};
use support::Stage;

/// How long "nothing happens" is watched.
const A_WHILE: Duration = Duration::from_millis(50);

/// More than the kernel's buffers of both ends hold together, so that a write of it stays under way.
const TOO_MUCH: usize = 20_000_000;

/// More than one read of 64 KiB takes, and less than the kernel's buffers hold.
const MORE_THAN_ONE_READ: usize = 300_000;

fn plain_server() -> ServerOptions {
    ServerOptions::new()
}

fn half_open_server() -> ServerOptions {
    ServerOptions::new().allow_half_open(true)
}

/// A server whose sockets read nothing before `resume`.
fn pausing_server() -> ServerOptions {
    ServerOptions::new().pause_on_connect(true)
}

fn plain_client() -> ConnectOptions {
    ConnectOptions::new()
}

fn half_open_client() -> ConnectOptions {
    ConnectOptions::new().allow_half_open(true)
}

/// The accepted socket's part when the test is about the client: it takes what comes, and ends when the client does.
fn consume(stage: Stage, socket: Socket) {
    support::watch_data(&stage.log, "S", socket);
}

/// The client's part when the test is about the accepted socket.
fn consume_as_client(stage: Stage, socket: Socket) {
    support::watch_data(&stage.log, "C", socket);
}

/// A port of 127.0.0.1 on which nobody listens, nor will: its socket is held to the end of the process.
fn refusing_port() -> u16 {
    let (holder, port) = support::refusing_port();
    std::mem::forget(holder);
    port
}

/// Runs `then` as soon as `socket` has read `length` bytes in all. A turn of the loop per look: what is waited for is a
/// read of the same loop.
fn wait_for_bytes(socket: Socket, length: u64, then: impl FnOnce() + 'static) {
    halfclose::set_immediate(move || {
        if socket.bytes_read() < length {
            wait_for_bytes(socket, length, then);
        } else {
            then();
        }
    });
}
