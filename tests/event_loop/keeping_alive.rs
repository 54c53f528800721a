//! Rules R1 to R9: what keeps `run` going, and what does not.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, Server, ServerOptions, Socket};
use halfclose::{EventLoop, next_tick, set_timeout};

use crate::support::{self, Log, RawListener, RawPeer};
use crate::{MILLISECOND, MORE_THAN_THE_KERNEL_TAKES, busy, client_of_peer};

/// How long a loop that must stay alive is observed. A timer that does not itself keep the loop alive fires after it.
const OBSERVED: Duration = Duration::from_millis(150);

#[track_caller]
fn assert_stays_alive(event_loop: &mut EventLoop, log: &Log) {
    let fired = Rc::new(Cell::new(false));
    let seen = fired.clone();
    set_timeout(OBSERVED, move || {
        seen.set(true);
        halfclose::stop();
    })
    .unref();
    event_loop.run().expect("run");
    assert!(fired.get(), "the loop ended by itself: {}", log.whole());
}

/// The guard is longer than any bad moment of the machine and shorter than the deadline of a test.
#[track_caller]
fn assert_ends(event_loop: &mut EventLoop, log: &Log) {
    let fired = Rc::new(Cell::new(false));
    let seen = fired.clone();
    let guard = set_timeout(support::DEADLINE / 2, move || {
        seen.set(true);
        halfclose::stop();
    })
    .unref();
    event_loop.run().expect("run");
    guard.clear();
    assert!(!fired.get(), "the loop is still alive: {}", log.whole());
}

/// A server, watched as `srv`, to which a peer of std connects as soon as it listens. The peer lives as long as the
/// server's slot.
fn server_with_peer(log: &Log, options: ServerOptions, mut accepted: impl FnMut(Server, Socket) + 'static) -> Server {
    let server = Server::with_options(options);
    support::watch_server(log, "srv", server);
    let peer = Rc::new(RefCell::new(None));
    let held = peer.clone();
    server.on_listening(move |server| {
        *peer.borrow_mut() = Some(RawPeer::connect(support::loopback(support::port_of(server))));
    });
    server.on_connection(move |server, socket| {
        let _held = &held;
        accepted(server, socket);
    });
    server.listen(("127.0.0.1", 0)).expect("listen");
    server
}

/// R1: a listening server is active.
#[test]
fn r1_a_listening_server_keeps_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        support::watch_server(&log, "srv", server);
        server.listen(("127.0.0.1", 0)).expect("listen");
        assert_stays_alive(event_loop, &log);
        log.assert_of("srv", "listening");
    });
}

/// R1: a closed server is not.
#[test]
fn r1_a_closed_server_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        support::watch_server(&log, "srv", server);
        server.on_listening(|server| {
            server.close();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        assert_ends(event_loop, &log);
        log.assert_of("srv", "listening ~ close");
    });
}

/// R1: a connected socket that reads is active, its closed server is not needed for that.
#[test]
fn r1_an_accepted_socket_keeps_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        server_with_peer(&log, ServerOptions::new(), |server, _| {
            server.close();
        });
        assert_stays_alive(event_loop, &log);
        log.assert_of("srv", "listening | connection");
    });
}

/// R1: having ended its own side, a socket goes on reading.
#[test]
fn r1_a_half_closed_socket_that_waits_keeps_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), |client, _| {
            client.end();
        });
        assert_stays_alive(event_loop, &log);
        log.assert_after("C", "ready", "| ~ finish");
    });
}

/// R1: a shutdown in flight keeps the loop alive by itself.
#[test]
fn r1_a_shutdown_in_flight_keeps_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, _| {
            client.unref();
            client.end_with(support::callback(&log, "C", "ended"));
        });
        assert_ends(event_loop, &log);
        log.assert_after("C", "ready", "| ~ ended, finish");
    });
}

/// R2: a socket that never connected.
#[test]
fn r2_a_socket_that_never_connected_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        support::watch_socket(&log, "C", socket);
        socket.on_data(|_, _| {});
        assert_ends(event_loop, &log);
        log.assert_of("C", "");
    });
}

/// R1, R2: a client paused before it connected lives until then, by its request.
#[test]
fn r2_a_client_paused_before_connecting_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), |_, _| {}).pause();
        assert_ends(event_loop, &log);
        log.assert_of("C", "connectionAttempt | connect, ready");
    });
}

/// R2: a socket whose buffer reached the high-water mark.
#[test]
fn r2_a_socket_with_a_full_buffer_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |_, peer| peer.borrow_mut().write(&[0; 100_000]));
        assert_ends(event_loop, &log);
        log.assert_of("C", "connectionAttempt | connect, ready");
        assert_eq!(client.readable_length(), 65_536);
    });
}

/// R2: a socket with unread bytes and an unread EOF.
#[test]
fn r2_a_socket_with_an_unread_end_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |_, peer| {
            peer.borrow_mut().write(b"xx");
            peer.borrow_mut().half_close();
        });
        assert_ends(event_loop, &log);
        log.assert_of("C", "connectionAttempt | connect, ready");
        assert_eq!(client.readable_length(), 2);
    });
}

/// R2: an accepted socket that starts paused.
#[test]
fn r2_a_paused_accepted_socket_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        server_with_peer(&log, ServerOptions::new().pause_on_connect(true), |server, _| {
            server.unref();
        });
        assert_ends(event_loop, &log);
        log.assert_of("srv", "listening | connection");
    });
}

/// R2, T8: an idle timer.
#[test]
fn r2_an_idle_timer_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        support::watch_socket(&log, "C", socket);
        socket.set_timeout(MILLISECOND);
        busy(5 * MILLISECOND);
        next_tick(|| ());
        event_loop.run().expect("run");
        assert!(!event_loop.turn(None).expect("a turn"));
        assert_eq!(socket.timeout(), Some(MILLISECOND));
    });
}

/// R3: paused after flowing, with room in its buffer, a socket still reads.
#[test]
fn r3_a_socket_paused_later_keeps_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |_, peer| peer.borrow_mut().write(b"x"));
        client.on_data(move |client, _| {
            log.add("C", "paused");
            client.pause();
        });
        assert_stays_alive(event_loop, &log);
        log.assert_after("C", "ready", "| paused");
    });
}

/// R4: an unref'd server.
#[test]
fn r4_an_unreferenced_server_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        support::watch_server(&log, "srv", server);
        server.listen(("127.0.0.1", 0)).expect("listen");
        server.on_listening(|server| {
            server.unref();
        });
        assert_ends(event_loop, &log);
        log.assert_of("srv", "listening");
    });
}

/// R4: an unref'd socket.
#[test]
fn r4_an_unreferenced_socket_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        server_with_peer(&log, ServerOptions::new(), |server, socket| {
            server.unref();
            socket.unref();
        });
        assert_ends(event_loop, &log);
        log.assert_of("srv", "listening | connection");
    });
}

/// R4, R5: an unref'd socket that connects lives until it has.
#[test]
fn r4_an_unreferenced_connecting_socket_lives_until_connected() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), |_, _| {}).unref();
        assert_ends(event_loop, &log);
        log.assert_of("C", "connectionAttempt | connect, ready");
    });
}

/// R4: an unref'd socket lives while a write is in flight.
#[test]
fn r4_a_write_in_flight_keeps_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), |client, _| {
            client.unref();
            assert!(!client.write(vec![0; MORE_THAN_THE_KERNEL_TAKES]));
        });
        assert_stays_alive(event_loop, &log);
        log.assert_of("C", "connectionAttempt | connect, ready");
    });
}

/// R5: a server remembers `unref()` from before it listened.
#[test]
fn r5_a_server_unreferenced_before_it_listens_stays_so() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        support::watch_server(&log, "srv", server);
        server.unref();
        server.listen(0).expect("listen");
        assert_ends(event_loop, &log);
        log.assert_of("srv", "listening");
    });
}

/// R5: it remembers across close and listen.
#[test]
fn r5_a_server_stays_unreferenced_when_it_listens_again() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        support::watch_server(&log, "srv", server);
        server.listen(0).expect("listen");
        server.once_listening(|server| {
            server.unref();
            server.close_with(|server, _| {
                server.listen(0).expect("listen");
            });
        });
        assert_ends(event_loop, &log);
        log.assert_of("srv", "listening ~ close ~ listening");
    });
}

/// R5: a socket remembers what was asked before it has a handle; the last word counts.
#[test]
fn r5_a_socket_remembers_ref_and_unref_until_it_connects() {
    support::test(|event_loop| {
        let log = Log::new();
        let raw = RawListener::bind();
        let socket = Socket::new();
        support::watch_socket(&log, "C", socket);
        socket.unref();
        socket.connect(raw.address()).expect("connect");
        assert_ends(event_loop, &log);
        log.assert_of("C", "connectionAttempt | connect, ready");
    });
    support::test(|event_loop| {
        let log = Log::new();
        let raw = RawListener::bind();
        let socket = Socket::new();
        support::watch_socket(&log, "C", socket);
        socket.unref();
        socket.ref_();
        socket.connect(raw.address()).expect("connect");
        assert_stays_alive(event_loop, &log);
        log.assert_of("C", "connectionAttempt | connect, ready");
    });
}

/// R6: a reconnected socket is referenced again.
#[test]
fn r6_unref_does_not_survive_a_reconnect() {
    support::test(|event_loop| {
        let log = Log::new();
        let raw = RawListener::bind();
        let address = raw.address();
        let client = net::connect(address).expect("connect");
        support::watch_socket(&log, "C", client);
        // An unref'd client alone would not see its peer's FIN.
        let guard = Cell::new(Some(event_loop.keep_alive()));
        let second_peer = Cell::new(None);
        client.on_connect(move |client| {
            let mut peer = raw.accept();
            match second_peer.take() {
                None => {
                    client.unref();
                    peer.half_close();
                    second_peer.set(Some(peer));
                }
                Some(_first) => {
                    drop(guard.take());
                    second_peer.set(Some(peer));
                }
            }
        });
        client.once_close(move |client, _| {
            client.connect(address).expect("connect");
        });
        assert_stays_alive(event_loop, &log);
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false) ~ connectionAttempt | connect, ready",
        );
    });
}

/// R7: a server's `unref()` is its own.
#[test]
fn r7_an_unreferenced_server_leaves_its_sockets_alone() {
    support::test(|event_loop| {
        let log = Log::new();
        server_with_peer(&log, ServerOptions::new(), |server, _| {
            server.unref();
        });
        assert_stays_alive(event_loop, &log);
        log.assert_of("srv", "listening | connection");
    });
}

/// R8: the `close` of a destroyed socket is still delivered.
#[test]
fn r8_a_close_that_is_owed_keeps_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), |client, _| {
            client.destroy();
            client.unref();
        });
        assert_ends(event_loop, &log);
        log.assert_of("C", "connectionAttempt | connect, ready |x close(false)");
    });
}

/// R9: both are idempotent, and return the object.
#[test]
fn r9_ref_and_unref_are_idempotent() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        support::watch_server(&log, "srv", server);
        server.listen(0).expect("listen");
        assert_eq!(server.unref().unref().ref_(), server);
        let socket = Socket::new();
        assert_eq!(socket.unref().unref().ref_(), socket);
        assert_stays_alive(event_loop, &log);
        server.ref_().ref_().unref();
        assert_ends(event_loop, &log);
        log.assert_of("srv", "listening");
    });
}
