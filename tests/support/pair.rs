//! A server and its client in one loop.
//!
//! May touch: the public API, the log, and raw peers where it is a stranger that connects. Invariant: the server closes when both ends have closed, so that the loop ends
//! by itself.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use halfclose::EventLoop;
use halfclose::net::{self, ConnectOptions, Server, ServerOptions, Socket};

use super::deadline::test;
use super::kept::kept;
use super::log::Log;
use super::raw::{RawPeer, in_thread};
use super::watch::{watch_server, watch_socket};

/// An address on the loopback interface.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The port of a server that listens.
#[track_caller]
pub fn port_of(server: Server) -> u16 {
    server.address().expect("a listening server").port()
}

/// Runs a server on 127.0.0.1 and one client of it to the end of the loop, and closes the server when both ends have
/// closed, if the test has not closed it by then. The server is watched as `srv`, the client as `C`, the accepted socket as `S`, whose first entry is
/// `connection`. `accepted` and `client` get their sockets after the watching listeners were attached; `client` gets its
/// socket right after `connect()`, in the server's `listening` listener.
pub fn pair(
    event_loop: &mut EventLoop,
    log: &Log,
    server_options: ServerOptions,
    client_options: ConnectOptions,
    mut accepted: impl FnMut(Socket) + 'static,
    client: impl FnOnce(Socket) + 'static,
) {
    let log = *log;
    let open_ends = Rc::new(Cell::new(2));
    let close_after_both = move |server: Server, socket: Socket| {
        let open_ends = open_ends.clone();
        socket.on_close(move |_, _| {
            open_ends.set(open_ends.get() - 1);
            if open_ends.get() == 0 && server.listening() {
                server.close();
            }
        });
    };
    let server = Server::with_options(server_options);
    watch_server(&log, "srv", server);
    let close_after_accepted = close_after_both.clone();
    server.on_connection(move |server, socket| {
        log.add("S", "connection");
        watch_socket(&log, "S", socket);
        close_after_accepted(server, socket);
        accepted(socket);
    });
    server.once_listening(move |server| {
        let socket = net::connect(client_options.port(port_of(server)).host("127.0.0.1")).expect("connect");
        watch_socket(&log, "C", socket);
        close_after_both(server, socket);
        client(socket);
    });
    server.listen(("127.0.0.1", 0)).expect("listen");
    event_loop.run().expect("no unhandled error");
}

/// Both ends of one connection, for scenarios in which something at one end waits for something at the other.
/// `Copy`, so that any number of listeners can capture it; its few bytes are never freed.
#[derive(Clone, Copy)]
pub struct Stage {
    pub log: Log,
    state: &'static StageState,
}

impl Stage {
    /// Plays a scenario with [`pair`], in a loop of its own and within [`DEADLINE`], and returns what happened. Nothing
    /// may be left behind in the loop.
    pub fn play(
        server_options: ServerOptions,
        client_options: ConnectOptions,
        mut accepted: impl FnMut(Stage, Socket) + 'static,
        client: impl FnOnce(Stage, Socket) + 'static,
    ) -> Log {
        let stage = Stage { log: Log::new(), state: kept(StageState::default()) };
        test(|event_loop| {
            pair(
                event_loop,
                &stage.log,
                server_options,
                client_options,
                move |socket| {
                    stage.state.accepted.set(Some(socket));
                    accepted(stage, socket);
                },
                move |socket| {
                    stage.state.client.set(Some(socket));
                    client(stage, socket);
                },
            );
            assert_eq!(event_loop.connections(), 0, "both sockets have closed and their slots are free");
            assert_eq!(event_loop.timers(), 0, "no timer is left");
        });
        stage.log
    }

    /// The client's socket.
    #[track_caller]
    pub fn client(&self) -> Socket {
        self.state.client.get().expect("connect was called")
    }

    /// The accepted socket.
    #[track_caller]
    pub fn accepted(&self) -> Socket {
        self.state.accepted.get().expect("a connection was accepted")
    }

    /// Whether a connection was accepted and its socket destroyed.
    pub fn accepted_is_destroyed(&self) -> bool {
        self.state.accepted.get().is_some_and(|socket| socket.destroyed())
    }

    /// Runs `then` in a callback of its own as soon as this was called `count` times: "when both ends are so far".
    pub fn meet(&self, count: u32, then: impl FnOnce() + 'static) {
        self.state.arrivals.set(self.state.arrivals.get() + 1);
        if self.state.arrivals.get() == count {
            halfclose::set_immediate(then);
        }
    }
}

#[derive(Default)]
struct StageState {
    client: Cell<Option<Socket>>,
    accepted: Cell<Option<Socket>>,
    arrivals: Cell<u32>,
}

/// Runs `body` in a callback of a loop of its own, the loop to its end, all within [`DEADLINE`], and returns what
/// happened.
pub fn in_a_loop(body: impl FnOnce(Log) + 'static) -> Log {
    let log = Log::new();
    test(|event_loop| {
        halfclose::set_immediate(move || body(log));
        event_loop.run().expect("no unhandled error");
    });
    log
}

/// Somebody connects to a server that had no room, is let in, and sees the end; then the server closes.
#[track_caller]
pub fn assert_one_more_is_let_in(event_loop: &mut EventLoop, server: Server) {
    let address = loopback(port_of(server));
    server.once_connection(|server, socket| {
        socket.end();
        server.close();
    });
    let late = in_thread(move || RawPeer::connect(address).read_to_end().expect("a clean end"));
    event_loop.run().expect("no unhandled error");
    assert!(late.join().is_empty());
}
