//! `server.drain`: stop accepting, end everybody politely, reset those who are left.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::{Duration, Instant};

use halfclose::net::{self, Server, ServerOptions, Socket};
use halfclose::set_immediate;

use crate::support::{
    self, DEADLINE, Log, RawPeer, callback, loopback, port_of, watch_data_bytes, watch_server, watch_socket,
};
use crate::{Directory, MORE_THAN_THE_KERNEL_TAKES, NEVER, SHORT};

/// Drains, and records what came of it.
fn drain(log: &Log, server: Server, timeout: Duration) {
    let log = *log;
    server.drain(timeout, move |_, report| log.add("srv", format!("drained({}, {})", report.ended, report.reset)));
}

/// Serves `clients` connections, calls `ready` when all are there, and logs them as `S0`, `S1`, ….
fn serve(
    log: &Log,
    options: ServerOptions,
    clients: usize,
    ready: impl FnOnce(Server, Vec<Socket>) + 'static,
) -> Server {
    let log = *log;
    let server = Server::with_options(options);
    watch_server(&log, "srv", server);
    let sockets = RefCell::new(Vec::new());
    let ready = Cell::new(Some(ready));
    server.on_connection(move |server, socket| {
        let mut sockets = sockets.borrow_mut();
        watch_socket(&log, &format!("S{}", sockets.len()), socket);
        sockets.push(socket);
        if sockets.len() == clients {
            let (sockets, ready) = (sockets.clone(), ready.take().expect("once"));
            set_immediate(move || ready(server, sockets));
        }
    });
    server
}

/// Clients that end when they are ended, over TCP and unix: all have ended long before the deadline, and what waited to be
/// sent arrived.
#[test]
fn polite_clients() {
    for unix in [false, true] {
        support::test(|event_loop| {
            let (log, directory) = (Log::new(), Directory::new());
            let server = serve(&log, ServerOptions::new(), 2, move |server, sockets| {
                sockets[0].cork();
                sockets[0].write("goodbye");
                drain(&log, server, NEVER);
                assert!(!server.listening());
                assert!(sockets.iter().all(|socket| socket.writable_ended()));
            });
            server.once_listening(move |server| {
                for name in ["A", "B"] {
                    let client = match server.path() {
                        Some(path) => net::connect(path),
                        None => net::connect(("127.0.0.1", port_of(server))),
                    };
                    watch_data_bytes(&log, name, client.expect("connect"));
                }
            });
            if unix { server.listen(directory.socket()) } else { server.listen(("127.0.0.1", 0)) }.expect("listen");
            let start = Instant::now();
            event_loop.run().expect("no unhandled error");
            assert!(start.elapsed() < DEADLINE, "the timer does not keep the loop alive any more");
            assert_eq!(
                log.texts_of("srv"),
                ["listening", "connection", "connection", "close", "drained(2, 0)"],
                "{}",
                log.whole()
            );
            assert!(log.of("srv").ends_with("close ~ drained(2, 0)"), "{}", log.of("srv"));
            log.assert_after("S1", "finish", "| ~ end |x close(false)");
            let received = [log.texts_of("A"), log.texts_of("B")];
            assert!(received.contains(&vec!["data(goodbye)".to_owned()]), "{}", log.whole());
            assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
        });
    }
}

/// Bytes that nobody asked to read do not stand in the way of the peer's end.
#[test]
fn unread_bytes() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = serve(&log, ServerOptions::new(), 1, move |server, sockets| {
            assert_eq!(sockets[0].readable_flowing(), None);
            drain(&log, server, NEVER);
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.turn(Some(Duration::ZERO)).expect("it listens");
        let mut peer = RawPeer::connect(loopback(port_of(server)));
        peer.write(b"unread");
        peer.half_close();
        event_loop.run().expect("no unhandled error");
        assert_eq!(peer.drain(), (0, None));
        assert_eq!(log.texts_of("srv"), ["listening", "connection", "close", "drained(1, 0)"], "{}", log.whole());
        assert_eq!(log.texts_of("S0"), ["finish", "end", "close(false)"]);
    });
}

/// A client that stays, one that takes nothing, one that has ended already, one that is paused and one that ends: those that
/// are left are reset, without an error here, and all are counted.
#[test]
fn at_the_deadline() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = serve(&log, ServerOptions::new().allow_half_open(true), 4, move |server, sockets| {
            sockets[1].write_with(vec![0; MORE_THAN_THE_KERNEL_TAKES], callback(&log, "S1", "large"));
            sockets[2].pause();
            drain(&log, server, 2 * SHORT);
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.turn(Some(Duration::ZERO)).expect("it listens");
        // Each is known by its number on the other side.
        let mut peers: Vec<RawPeer> = (0..4).map(|_| RawPeer::connect(loopback(port_of(server)))).collect();
        peers[2].write(b"unread");
        peers[3].half_close();
        event_loop.run().expect("no unhandled error");
        assert_eq!(peers[0].drain(), (0, None), "the end that it was sent");
        assert_eq!(peers[1].drain().1, Some(ErrorKind::ConnectionReset));
        assert_eq!(peers[3].drain(), (0, None));
        assert_eq!(
            log.texts_of("srv"),
            ["listening", "connection", "connection", "connection", "connection", "close", "drained(1, 3)"],
            "{}",
            log.whole()
        );
        assert_eq!(log.texts_of("S0"), ["finish", "close(false)"]);
        assert_eq!(log.texts_of("S1"), ["large(write ECANCELED)", "close(false)"]);
        assert_eq!(log.texts_of("S2"), ["finish", "close(false)"]);
        assert_eq!(log.texts_of("S3"), ["finish", "end", "close(false)"]);
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}

/// Without a connection, twice, and without listening: everybody who waits is told, in a tick behind `close`.
#[test]
fn nobody_is_there() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        watch_server(&log, "srv", server);
        server.once_listening(move |server| {
            drain(&log, server, NEVER);
            drain(&log, server, NEVER);
            log.add("srv", "called");
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listening, called ~ close ~ drained(0, 0) ~ close ~ drained(0, 0)");
        server.release();
        log.clear();
        drain(&log, server, NEVER);
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "drained(0, 0)");
        assert_eq!(event_loop.timers(), 0);
    });
}

/// A second call sets a new deadline; both are told, of all connections that there were.
#[test]
fn called_again() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = serve(&log, ServerOptions::new(), 2, move |server, sockets| {
            drain(&log, server, NEVER);
            sockets[0].destroy();
            drain(&log, server, SHORT);
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.turn(Some(Duration::ZERO)).expect("it listens");
        let peers: Vec<RawPeer> = (0..2).map(|_| RawPeer::connect(loopback(port_of(server)))).collect();
        event_loop.run().expect("no unhandled error");
        drop(peers);
        assert_eq!(
            log.texts_of("srv"),
            ["listening", "connection", "connection", "close", "drained(1, 1)", "drained(1, 1)"],
            "{}",
            log.whole()
        );
        assert_eq!(event_loop.timers(), 0);
    });
}

/// Released while it drains: its connections live on, and whoever waits is told.
#[test]
fn released() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = serve(&log, ServerOptions::new(), 1, move |server, sockets| {
            drain(&log, server, NEVER);
            server.release();
            assert!(!sockets[0].destroyed());
            let socket = sockets[0];
            set_immediate(move || {
                socket.destroy();
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.turn(Some(Duration::ZERO)).expect("it listens");
        let peer = RawPeer::connect(loopback(port_of(server)));
        event_loop.run().expect("no unhandled error");
        drop(peer);
        assert_eq!(log.texts_of("srv"), ["listening", "connection", "drained(0, 0)"], "{}", log.whole());
        assert_eq!((event_loop.connections(), event_loop.timers(), event_loop.servers()), (0, 0, 0));
    });
}

/// The callback may do anything: listen again, for one.
#[test]
fn listening_again() {
    support::test(|event_loop| {
        let log = Log::new();
        let again = Rc::new(Cell::new(0));
        let server = serve(&log, ServerOptions::new(), 1, move |server, _| {
            server.drain(NEVER, move |server, report| {
                log.add("srv", format!("drained({}, {})", report.ended, report.reset));
                again.set(again.get() + 1);
                server.once_listening(|server| {
                    server.close();
                });
                server.listen(("127.0.0.1", 0)).expect("listen again");
            });
        });
        server.once_listening(|server| {
            net::connect(("127.0.0.1", port_of(server))).expect("connect").resume();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(
            log.texts_of("srv"),
            ["listening", "connection", "close", "drained(1, 0)", "listening", "close"],
            "{}",
            log.whole()
        );
    });
}
