//! The server's half of the semantics: `listen` in all its forms, addresses, binding conflicts, `close`, what accepted
//! sockets inherit. The rule numbers in the names and comments are those of the behaviour reference.
//!
//! May touch: the public API and peers on std sockets. Invariant: every test compares whole event sequences, and learns
//! every port from the kernel.

#[cfg(target_os = "linux")]
#[path = "../support/kernel.rs"]
mod kernel;
#[path = "../support/mod.rs"]
mod support;

mod accepting;
mod admission;
mod binding;
mod closing;
#[cfg(target_os = "linux")]
mod deferring;
mod listening;
#[cfg(target_os = "linux")]
mod without_ipv6;

use halfclose::EventLoop;
use halfclose::net::Server;

use support::{Log, watch_server};

/// A name that no resolver has to be asked for: its label is longer than the 63 octets that a label can have.
const UNRESOLVABLE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Runs `body` as a callback of the loop, so that the log shows how far behind it everything else comes.
fn run_from_callback(event_loop: &mut EventLoop, body: impl FnOnce() + 'static) {
    halfclose::set_immediate(body);
    event_loop.run().expect("no unhandled error");
}

/// A server that is watched as `srv`, and closes as soon as it listens.
fn short_lived_server(log: &Log) -> Server {
    let server = Server::new();
    watch_server(log, "srv", server);
    server.on_listening(|server| {
        server.close();
    });
    server
}

/// What a program can see of a server's state.
fn state(server: Server) -> String {
    let address = match server.address() {
        Some(address) => address.ip().to_string(),
        None => "no address".to_owned(),
    };
    format!("{}, {address}", if server.listening() { "listening" } else { "not listening" })
}
