//! `close` and the accepted sockets it waits for: S21, S22, S24.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, Server};

use crate::support::{self, Log, RawPeer, loopback, port_of, server_callback, watch_server};
use crate::{UNRESOLVABLE, run_from_callback};

/// S21, L72: `close` takes effect inside the call, returns the server, leaves connections alone, and refuses new ones.
#[test]
fn s21_close_is_synchronous_and_leaves_connections_alone() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        watch_server(&log, "srv", server);
        server.on_connection(move |server, accepted| {
            support::watch_socket(&log, "S", accepted);
            let address = server.address().expect("an address");
            accepted.on_data(move |accepted, bytes| {
                log.add_data_bytes("S", bytes);
                let returned = server.close_with(server_callback(&log, "srv", "callback"));
                assert_eq!(returned, server);
                assert_eq!((server.listening(), server.address(), server.connections()), (false, None, 1));
                let late = net::connect(address).expect("connect");
                support::watch_socket(&log, "late", late);
                late.on_close(move |_, _| {
                    log.add("S", "end()");
                    accepted.end();
                });
            });
        });
        server.once_listening(move |server| {
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            client.write("x");
            client.resume();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "late",
            "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) |x close(true)",
        );
        log.assert_of("S", "data(x) |x end() | ~ finish | ~ end |x close(false)");
        log.assert_of("srv", "listening | connection | ~ close, callback");
        assert_eq!(server.connections(), 0);
    });
}

/// S22, L72: `close` waits for the last accepted socket to be destroyed, not for its `close`.
#[test]
fn s22_close_comes_when_the_last_accepted_socket_is_destroyed() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        let peers = 3;
        let accepted = Rc::new(std::cell::RefCell::new(Vec::new()));
        server.on_connection(move |server, socket| {
            accepted.borrow_mut().push(socket);
            assert_eq!(server.connections(), accepted.borrow().len());
            socket.on_close(move |_, had_error| log.add("all", format!("S close({had_error})")));
            if accepted.borrow().len() < peers {
                return;
            }
            server.close();
            server.on_close(move |server| {
                assert_eq!(server.connections(), 0);
                log.add("all", "srv close");
            });
            let accepted = accepted.take();
            halfclose::set_immediate(move || {
                for (index, socket) in accepted.into_iter().enumerate() {
                    socket.destroy();
                    log.add("all", format!("{} left", server.connections()));
                    assert_eq!(server.connections(), peers - 1 - index);
                }
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let raw: Rc<Cell<Vec<RawPeer>>> = Rc::default();
        let held = raw.clone();
        server.once_listening(move |server| {
            held.set((0..peers).map(|_| RawPeer::connect(loopback(port_of(server)))).collect());
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "all",
            "2 left, 1 left, 0 left ~ srv close |x S close(false) |x S close(false) |x S close(false)",
        );
        drop(raw.take());
    });
}

/// S24, L73: `close` cancels a `listen` that waits for its lookup; what the lookup says later is ignored.
#[test]
fn s24_close_cancels_a_lookup() {
    for host in ["localhost", UNRESOLVABLE] {
        support::test(|event_loop| {
            let log = Log::new();
            run_from_callback(event_loop, move || {
                let server = Server::new();
                watch_server(&log, "srv", server);
                server.listen_with((host, 0), move |_| log.add("srv", "listen callback")).expect("listen");
                server.close_with(server_callback(&log, "srv", "callback"));
                log.add("srv", "close()");
                // Longer than the lookup takes: its result arrives while the loop still runs.
                halfclose::set_timeout(Duration::from_millis(50), || {});
            });
            log.assert_of("srv", "close() ~ close, callback(ERR_SERVER_NOT_RUNNING)");
        });
    }
}

/// S24: a `listen` after that `close` is on its own, whatever the cancelled lookup says.
#[test]
fn s24_a_cancelled_lookup_does_not_disturb_the_next_listen() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.listen((UNRESOLVABLE, 0)).expect("listen");
            server.close();
            server.listen(0).expect("listen");
            log.add("srv", "listen()");
            halfclose::set_timeout(Duration::from_millis(50), move || {
                log.add("srv", server.listening());
                server.close();
            });
        });
        log.assert_of("srv", "listen() ~ close ~ listening | true ~ close");
    });
}
