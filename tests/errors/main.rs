//! The errors of table 1.8 that a TCP program can provoke, each with its exact message and members and with the whole
//! event sequence around it, and what becomes of an error that nobody listens for.
//!
//! May touch: the public API and peers on std sockets. Invariant: messages are compared as whole strings; ports in them
//! are learned from the kernel.

#[cfg(target_os = "linux")]
#[path = "../support/kernel.rs"]
mod kernel;
#[path = "../support/mod.rs"]
mod support;

mod calls;
mod streams;
mod table;
mod unhandled;

use std::time::Duration;

use halfclose::net::{self, ConnectOptions, ListenOptions, Server, Socket};
use halfclose::{Error, EventLoop};

use support::{Log, RawListener, watch_server, watch_socket};

/// A name that no resolver has to be asked for: its label is longer than the 63 octets that a label can have.
const UNRESOLVABLE: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// An address of the documentation network, which no machine has: binding to it fails, nothing is sent.
const NOT_OURS: &str = "192.0.2.1";

/// More than a connection's kernel buffers hold, so that a write of it stays in flight.
const MORE_THAN_BUFFERED: usize = 20_000_000;

/// Long enough for the kernel to carry a reset over the loopback interface, which it does within the call or shortly
/// after it.
const A_MOMENT: Duration = Duration::from_millis(20);

/// The message of an error and all its members, as in `message {code: …, errno: …}`.
fn all_of(error: &Error) -> String {
    let mut members = Vec::new();
    let mut member = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            members.push(format!("{name}: {value}"));
        }
    };
    member("code", error.code().map(str::to_owned));
    member("errno", error.errno().map(|number| number.to_string()));
    member("syscall", error.syscall().map(str::to_owned));
    member("address", error.address().map(str::to_owned));
    member("port", error.port().map(|port| port.to_string()));
    member("localAddress", error.local_address().map(str::to_owned));
    member("localPort", error.local_port().map(|port| port.to_string()));
    member("hostname", error.hostname().map(str::to_owned));
    assert_eq!(error.to_string(), error.message());
    format!("{error} {{{}}}", members.join(", "))
}

/// Records an error of `endpoint` in full.
fn record_errors(log: &Log, endpoint: &'static str, socket: Socket) {
    let log = *log;
    socket.on_error(move |_, error| log.add(endpoint, all_of(error)));
}

/// Runs a client, made by `connect` in a callback of the loop, and returns its error in full. Its events are `C`.
fn client_error(
    event_loop: &mut EventLoop,
    log: Log,
    connect: impl FnOnce() -> Result<Socket, Error> + 'static,
) -> String {
    halfclose::set_immediate(move || {
        let client = connect().expect("no error yet");
        watch_socket(&log, "C", client);
        record_errors(&log, "error", client);
        log.add("C", "connect()");
    });
    event_loop.run().expect("no unhandled error");
    assert_eq!(event_loop.connections(), 0);
    log.of("error")
}

/// The same for a server.
fn server_error(event_loop: &mut EventLoop, log: Log, options: ListenOptions) -> String {
    halfclose::set_immediate(move || {
        let server = Server::new();
        watch_server(&log, "srv", server);
        server.on_error(move |server, error| {
            assert!(!server.listening() && server.address().is_none());
            log.add("error", all_of(error));
        });
        server.listen(options).expect("no error yet");
        log.add("srv", "listen()");
    });
    event_loop.run().expect("no unhandled error");
    log.of("error")
}

/// A socket that is connected to a raw peer: `body` gets both in a callback of the loop, after `ready`.
fn with_peer(
    event_loop: &mut EventLoop,
    options: ConnectOptions,
    prepare: impl FnOnce(Socket),
    body: impl FnOnce(Socket, support::RawPeer) + 'static,
) {
    let listener = RawListener::bind();
    let client = net::connect(options.port(listener.port()).host("127.0.0.1")).expect("connect");
    prepare(client);
    client.once_ready(move |client| {
        halfclose::set_immediate(move || body(client, listener.accept()));
    });
    event_loop.run().expect("no unhandled error");
    assert_eq!(event_loop.connections(), 0);
}
