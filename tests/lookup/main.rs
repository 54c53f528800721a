//! Names: lookups of the system's resolver and of users' own, their events, and the choice among several addresses (L2, L9,
//! L34, C10-C14, C20-C30). The rule numbers are those of the behaviour reference.
//!
//! May touch: the public API, peers on std sockets, and addresses of 127.0.0.0/8 and ::1. Invariant: every test compares
//! whole event sequences, and learns every port from the kernel.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod blocked;
mod selection;
mod timeouts;

use std::net::IpAddr;

use halfclose::net::{self, ConnectOptions, Server, Socket};
use halfclose::{Error, EventLoop};

use support::{Log, describe, port_of};

/// Records every event of a connecting socket, with the addresses of its attempts. Consumes what it receives.
fn watch(log: &Log, socket: Socket) {
    let log = *log;
    socket.on_lookup(move |_, lookup| {
        let text = match (lookup.address(), lookup.error()) {
            (Some(address), None) => {
                assert_eq!(lookup.family().map(|family| family.to_string().contains('6')), Some(address.contains(':')));
                address.to_owned()
            }
            (None, Some(error)) => describe(error),
            (_, _) => panic!("either an address or an error"),
        };
        log.add("C", format!("lookup({text})"));
    });
    socket.on_connection_attempt(move |_, attempt| log.add("C", format!("attempt({})", attempt.address())));
    socket.on_connection_attempt_failed(move |_, attempt, error| {
        log.add("C", format!("failed({} {})", attempt.address(), error.code().unwrap_or("no code")));
    });
    socket.on_connection_attempt_timeout(move |_, attempt| log.add("C", format!("timeout({})", attempt.address())));
    socket.on_connect(move |_| log.add("C", "connect"));
    socket.on_ready(move |_| log.add("C", "ready"));
    socket.on_error(move |_, error| log.add("C", format!("error({})", errors(error))));
    socket.on_close(move |_, had_error| log.add("C", format!("close({had_error})")));
    socket.resume();
}

/// An error, and those of the attempts.
fn errors(error: &Error) -> String {
    if error.errors().is_empty() {
        return describe(error);
    }
    assert_eq!(error.message(), "");
    assert_eq!(error.code(), error.errors()[0].code());
    let errors: Vec<String> = error
        .errors()
        .iter()
        .map(|error| format!("{} {}", error.code().unwrap_or("no code"), error.address().unwrap_or("no address")))
        .collect();
    format!("[{}]", errors.join(", "))
}

/// Connects to the name `h`, whose addresses are these, in the tick after `connect()`.
fn connect_to(addresses: &[&str], options: ConnectOptions) -> Socket {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().expect("an address")).collect();
    let options = options.host("h").lookup(move |_, callback| {
        let addresses = addresses.clone();
        halfclose::next_tick(move || callback.resolve(addresses));
    });
    net::connect(options).expect("connect")
}

/// A server on 127.0.0.1 that ends every connection, and the callback with its port.
fn with_server(event_loop: &mut EventLoop, body: impl FnOnce(Server, u16) + 'static) {
    let server = net::create_server(|socket| {
        socket.end();
    });
    server.once_listening(move |server| body(server, port_of(server)));
    server.listen(("127.0.0.1", 0)).expect("listen");
    event_loop.run().expect("no unhandled error");
    server.release();
}

/// A port of 127.0.0.1, and with luck of the other loopback addresses, where nobody listens for as long as the socket is
/// held.
fn refusing_port() -> (socket2::Socket, u16) {
    let holder = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    holder.bind(&support::loopback(0).into()).expect("bind");
    let port = holder.local_addr().expect("an address").as_socket().expect("an IP address").port();
    (holder, port)
}
