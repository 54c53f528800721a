//! Peers that reset, and resets of ours: L38, L44, L56, L58, L63, FM16, FM17.

use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;

use halfclose::net::{self, ConnectOptions, ServerOptions};

use crate::support::{self, Log, RawPeer, callback, loopback, port_of, watch_data_bytes, watch_server, watch_socket};
use crate::{call, serve};

/// L56, L63, FM16: a reset of an idle connection, on either side of it.
#[test]
fn a_reset_is_a_read_error() {
    support::test(|event_loop| {
        let log = Log::new();
        serve(event_loop, &log, ServerOptions::new(), RawPeer::reset, |_| {});
        log.assert_of("S", "error(read ECONNRESET) |x close(true)");
        log.assert_of("srv", "listening | connection | ~ close");

        // The peer waits for a byte, so that the reset cannot fall into the connect (L48).
        let reset_after_a_byte = |mut peer: RawPeer| {
            peer.read_exact(1);
            peer.reset();
        };
        call(event_loop, &log, ConnectOptions::new(), reset_after_a_byte, |client| {
            client.write("x");
        });
        log.assert_of("C", "connectionAttempt | connect, ready | ~ error(read ECONNRESET) |x close(true)");
    });
}

/// FM16, FM17: bytes that came before the reset are delivered before it.
#[test]
fn bytes_before_a_reset_are_delivered() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::Server::new();
        watch_server(&log, "srv", server);
        server.on_connection(move |server, socket| {
            watch_socket(&log, "S", socket);
            watch_data_bytes(&log, "S", socket);
            server.close();
        });
        server.once_listening(|server| {
            // All of this happens before the server accepts.
            let mut peer = RawPeer::connect(loopback(port_of(server)));
            peer.write(b"hello");
            peer.reset();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("S", "data(hello) | ~ error(read ECONNRESET) |x close(true)");
        log.assert_of("srv", "listening | connection | ~ close");
    });
}

/// L63, C44: a peer that reset before it was accepted is still a connection, without an address.
#[test]
fn a_peer_that_reset_before_the_accept_is_a_connection_without_address() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::Server::new();
        watch_server(&log, "srv", server);
        server.on_connection(move |server, socket| {
            watch_socket(&log, "S", socket);
            assert_eq!((socket.remote_address(), socket.remote_port(), socket.remote_family()), (None, None, None));
            server.close();
        });
        server.once_listening(|server| RawPeer::connect(loopback(port_of(server))).reset());
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("S", "error(read ECONNRESET) |x close(true)");
        log.assert_of("srv", "listening | connection | ~ close");
    });
}

/// L58, FM21: a reset while a write is in flight.
#[test]
fn a_reset_cuts_off_a_write_in_flight() {
    support::test(|event_loop| {
        let log = Log::new();
        let peer = |mut peer: RawPeer| {
            // Proof that the write is under way; the rest stays unread.
            peer.read_exact(1);
            peer.reset();
        };
        serve(event_loop, &log, ServerOptions::new(), peer, move |accepted| {
            assert!(!accepted.write_with(vec![0; 20_000_000], callback(&log, "S", "first")));
            accepted.write_with("x", callback(&log, "S", "second"));
            accepted.end_with(callback(&log, "S", "ended"));
        });
        log.assert_of(
            "S",
            "error(read ECONNRESET) |x first(write ECANCELED), second(read ECONNRESET), ended(read ECONNRESET) \
             |x close(true)",
        );
    });
}

/// L44: our reset is one for the peer.
#[test]
fn reset_and_destroy_is_a_reset_for_the_peer() {
    support::test(|event_loop| {
        let log = Log::new();
        let peer = |mut peer: RawPeer| {
            // Proof that it is connected: an earlier reset could fall into its connect (L48).
            peer.write(b"x");
            peer.drain()
        };
        let seen = serve(event_loop, &log, ServerOptions::new(), peer, |accepted| {
            accepted.on_data(|accepted, _| {
                accepted.reset_and_destroy().expect("a TCP socket");
            });
        });
        assert_eq!(seen, (0, Some(ErrorKind::ConnectionReset)));
        log.assert_of("S", "close(false)");
        log.assert_of("srv", "listening | connection | ~ close");
    });
}

/// L38: `destroy` with unread bytes is a reset for the peer, without any it is an end.
#[test]
fn destroy_is_an_end_or_a_reset_for_the_peer() {
    support::test(|event_loop| {
        for (unread, expected) in [(false, None), (true, Some(ErrorKind::ConnectionReset))] {
            let log = Log::new();
            let options = ServerOptions::new().pause_on_connect(true);
            let server = net::create_server_with(options, move |socket| {
                watch_socket(&log, "S", socket);
                socket.server().expect("the accepting server").close();
                socket.write("x");
                socket.destroy();
            });
            let running = Rc::new(Cell::new(None));
            let started = running.clone();
            server.once_listening(move |server| {
                let mut peer = RawPeer::connect(loopback(port_of(server)));
                if unread {
                    peer.write(b"never read");
                }
                started.set(Some(support::in_thread(move || peer.drain())));
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
            event_loop.run().expect("no unhandled error");
            let (_, reset) = running.take().expect("the server listened").join();
            assert_eq!(reset, expected, "unread: {unread}");
            log.assert_of("S", "close(false)");
        }
    });
}
