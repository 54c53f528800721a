//! Peers that are no part of the library: blocking sockets of std that reset, half-close, dribble or never read, and real
//! Node in both directions where there is one.
//!
//! May touch: the public API, std sockets and a child process of Node. Invariant: peers run on threads or in processes
//! with deadlines of their own; no test waits for a fixed time to let something happen.

#[path = "../support/mod.rs"]
mod support;

mod half_closes;
mod node;
mod resets;
mod slow_peers;

use std::cell::Cell;
use std::rc::Rc;

use halfclose::EventLoop;
use halfclose::net::{self, ConnectOptions, ServerOptions, Socket};

use support::{Log, RawListener, RawPeer, loopback, port_of, watch_server, watch_socket};

/// Bytes whose order can be checked.
fn pattern(length: usize) -> Vec<u8> {
    // A prime below 256, so that no power of two (a buffer's length) is a multiple of the period.
    let period: Vec<u8> = (0..251).collect();
    let mut bytes = period.repeat(length.div_ceil(period.len()));
    bytes.truncate(length);
    bytes
}

/// Runs a server whose only connection comes from `peer`, which runs on a thread of its own. Events are `srv` and `S`.
fn serve<T: Send + 'static>(
    event_loop: &mut EventLoop,
    log: &Log,
    options: ServerOptions,
    peer: impl FnOnce(RawPeer) -> T + Send + 'static,
    mut accepted: impl FnMut(Socket) + 'static,
) -> T {
    let log = *log;
    let server = net::Server::with_options(options);
    watch_server(&log, "srv", server);
    server.on_connection(move |server, socket| {
        watch_socket(&log, "S", socket);
        server.close();
        accepted(socket);
    });
    let running = Rc::new(Cell::new(None));
    let started = running.clone();
    server.once_listening(move |server| {
        let address = loopback(port_of(server));
        started.set(Some(support::in_thread(move || peer(RawPeer::connect(address)))));
    });
    server.listen(("127.0.0.1", 0)).expect("listen");
    event_loop.run().expect("no unhandled error");
    server.release();
    assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0));
    running.take().expect("the server listened").join()
}

/// Runs a client of `peer`, which accepts on a thread of its own. The client's events are `C`.
fn call<T: Send + 'static>(
    event_loop: &mut EventLoop,
    log: &Log,
    options: ConnectOptions,
    peer: impl FnOnce(RawPeer) -> T + Send + 'static,
    client: impl FnOnce(Socket) + 'static,
) -> T {
    let listener = RawListener::bind();
    let socket = net::connect(options.host("127.0.0.1").port(listener.port())).expect("connect");
    let running = support::in_thread(move || peer(listener.accept()));
    watch_socket(log, "C", socket);
    client(socket);
    event_loop.run().expect("no unhandled error");
    assert_eq!(event_loop.connections(), 0);
    running.join()
}
