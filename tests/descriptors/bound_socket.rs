//! 1.7: `BoundSocket`.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use halfclose::net::{self, BoundSocket, BoundSocketOptions, ListenOptions, ReadyState, Server, Socket, SocketOptions};

use crate::support::{self, in_a_loop, port_of, watch_server, watch_socket};

const ADOPTED: Option<&str> = Some("ERR_SOCKET_HANDLE_ADOPTED");

fn bound() -> BoundSocket {
    BoundSocket::new(("127.0.0.1", 0)).expect("an address")
}

fn address_of(bound: &BoundSocket) -> SocketAddr {
    bound.address().expect("bound").expect("an internet address")
}

/// A socket that connects from where `bound` is.
fn socket_at(bound: &BoundSocket) -> Socket {
    Socket::with_options(SocketOptions::new().handle(bound).expect("not adopted yet"))
}

/// 1.7: what is bound, and to what by default.
#[test]
fn a_bound_socket_knows_its_address() {
    let bound = BoundSocket::new(("127.0.0.1", 0)).expect("an address");
    let address = address_of(&bound);
    assert!(address.ip().is_loopback() && address.port() != 0);
    assert!(bound.fd().expect("bound") >= 0);
    let any = address_of(&BoundSocket::new(0).expect("an address"));
    assert_eq!(any.ip().to_string(), "0.0.0.0");
    // Not every machine has IPv6.
    if let Ok(any) = BoundSocket::new(BoundSocketOptions::new().ipv6_only(true)) {
        assert_eq!(address_of(&any).ip().to_string(), "::");
    }
    // Nothing listens yet, so somebody else may have the same port.
    BoundSocket::new(address).expect("the same address");
    // It goes to another thread, and clones are the same socket.
    let there = bound.clone();
    std::thread::spawn(move || there.close().expect("bound")).join().expect("no panic");
    assert_eq!(bound.close().expect_err("closed").code(), ADOPTED);
    assert_eq!(bound.fd().expect_err("closed").code(), ADOPTED);
    let error = bound.address().expect_err("closed");
    assert_eq!(error.message(), "The bound socket has already been adopted by a server or socket");
}

/// 1.7, 1.8: what cannot be bound.
#[test]
fn a_bound_socket_says_at_once_what_is_wrong() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("bind");
    let address = listener.local_addr().expect("an address");
    let error = BoundSocket::new(address).expect_err("in use");
    assert_eq!(error.message(), format!("bind EADDRINUSE {address}"));
    assert_eq!((error.syscall(), error.port()), (Some("bind"), Some(i32::from(address.port()))));
    let error = BoundSocket::new(("192.0.2.1", 0)).expect_err("not ours");
    assert_eq!(error.message(), "bind EADDRNOTAVAIL 192.0.2.1");
    let error = BoundSocket::new(("localhost", 0)).expect_err("a name");
    assert_eq!(error.code(), Some("ERR_INVALID_ARG_VALUE"));
    assert_eq!(
        error.message(),
        "The property 'options.host' must be a numeric IP address; net.BoundSocket does not perform DNS resolution. \
         Received 'localhost'"
    );
}

/// 1.7: a server adopts it within `listen`, and only when it may listen.
#[test]
fn a_server_listens_where_a_bound_socket_is() {
    let log = in_a_loop(|log| {
        let bound = bound();
        let address = address_of(&bound);
        let busy = Server::new();
        busy.listen(0).expect("listen");
        assert_eq!(busy.listen(&bound).expect_err("it listens").code(), Some("ERR_SERVER_ALREADY_LISTEN"));
        busy.close();
        let server = Server::new();
        watch_server(&log, "srv", server);
        server.listen(ListenOptions::new().handle(&bound).backlog(7)).expect("listen");
        assert!(server.listening());
        assert_eq!(server.address(), Some(address));
        assert_eq!(bound.address().expect_err("adopted").code(), ADOPTED);
        assert_eq!(Server::new().listen(&bound).expect_err("adopted").code(), ADOPTED);
        assert_eq!(SocketOptions::new().handle(&bound).expect_err("adopted").code(), ADOPTED);
        server.on_listening(|server| {
            net::connect(server.address().expect("an address")).expect("connect").resume();
        });
        server.on_connection(|server, socket| {
            socket.destroy();
            server.close();
        });
    });
    log.assert_of("srv", "listening | connection ~ close");
}

/// 1.7, 1.8: two may have one address, but only one of them can listen there. The error has no address, and port -1.
#[test]
fn a_second_listener_at_one_address_fails() {
    let log = in_a_loop(|log| {
        let first = bound();
        let second = BoundSocket::new(address_of(&first)).expect("the same address");
        let server = Server::new();
        server.listen(&first).expect("listen");
        let other = Server::new();
        watch_server(&log, "srv", other);
        other.on_error(move |_, error| {
            assert_eq!(error.message(), "listen EADDRINUSE: address already in use");
            assert_eq!((error.address(), error.port()), (None, Some(-1)));
            server.close();
        });
        other.listen(&second).expect("nothing is thrown");
        log.add("srv", if other.listening() { "listens" } else { "does not listen" });
    });
    log.assert_of("srv", "does not listen ~ error(listen EADDRINUSE)");
}

/// 1.7: a client connects from it, within the call: `connectionAttempt` is emitted there, and the local end is known.
#[test]
fn a_socket_connects_from_where_a_bound_socket_is() {
    let log = in_a_loop(|log| {
        let bound = bound();
        let address = address_of(&bound);
        let server = Server::new();
        let client = socket_at(&bound);
        assert_eq!(client.ready_state(), ReadyState::Open);
        assert_eq!(client.address(), Some(address));
        server.on_connection(move |server, socket| {
            assert_eq!(socket.remote_port(), Some(address.port()));
            socket.resume();
            server.close();
        });
        server.on_listening(move |server| {
            watch_socket(&log, "C", client);
            client.resume();
            log.add("C", "connect()");
            client.connect(("127.0.0.1", port_of(server))).expect("connect");
            log.add("C", format!("connecting {}", client.connecting()));
            assert_eq!(client.address(), Some(address));
            client.end();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of(
        "C",
        "connect(), connectionAttempt, connecting true | connect, ready | ~ finish | ~ end |x close(false)",
    );
}

/// 1.7: a name is looked up first.
#[test]
fn a_bound_socket_connects_to_a_name_after_the_lookup() {
    let log = in_a_loop(|log| {
        let client = socket_at(&bound());
        let server = Server::new();
        let port = client.local_port();
        server.on_connection(move |server, socket| {
            assert_eq!(socket.remote_port(), port);
            socket.resume();
            server.close();
        });
        server.on_listening(move |server| {
            watch_socket(&log, "C", client);
            client.resume();
            let options = net::ConnectOptions::new().host("localhost").port(port_of(server));
            client.connect(options.family(net::Family::IPv4)).expect("connect");
            log.add("C", "connect()");
            client.end();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    let expected = "connect() | connectionAttempt | connect, ready | ~ finish | ~ end |x close(false)";
    log.assert_of("C", expected);
}

/// 1.7, L7: failures are events all the same, deferred.
#[test]
fn a_bound_socket_fails_to_connect_with_events() {
    let log = in_a_loop(|log| {
        let closed_port = bound();
        let port = address_of(&closed_port).port();
        let client = socket_at(&bound());
        watch_socket(&log, "refused", client);
        client.connect(("127.0.0.1", port)).expect("connect");
        client.on_close(move |_, _| drop(closed_port.clone()));

        let client = socket_at(&bound());
        let local = client.address().expect("bound");
        watch_socket(&log, "family", client);
        client.on_error(move |_, error| {
            assert_eq!(error.message(), format!("connect EAFNOSUPPORT ::1:{port} - Local ({local})"));
        });
        client.connect(("::1", port)).expect("connect");
        assert!(client.destroyed());
    });
    let refused =
        "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) |x close(true)";
    log.assert_of("refused", refused);
    log.assert_of("family", "connectionAttempt ~ error(connect EAFNOSUPPORT) |x close(true)");
}

/// 1.7, N4: another local end is refused, and nothing changes.
#[test]
fn a_bound_socket_has_its_local_end_already() {
    support::test(|event_loop| {
        let client = socket_at(&bound());
        let options = net::ConnectOptions::new().host("127.0.0.1").port(1);
        for options in [options.clone().local_port(5), options.local_address("127.0.0.1")] {
            let error = client.connect(options).expect_err("a second local end");
            assert_eq!(error.code(), Some("ERR_INVALID_ARG_VALUE"));
        }
        assert!(!client.connecting());
        client.destroy();
        event_loop.run().expect("no unhandled error");
    });
}

/// M5, M6: one that is destroyed before it connects had a handle; released, it emits nothing. Neither keeps the loop alive.
#[test]
fn a_bound_socket_that_never_connects_is_closed() {
    let open = Rc::new(Cell::new(None));
    let place = open.clone();
    let log = in_a_loop(move |log| {
        let client = socket_at(&bound());
        watch_socket(&log, "destroyed", client);
        client.destroy();
        log.add("destroyed", "destroy()");
        assert_eq!(client.address(), None);
        let client = socket_at(&bound());
        watch_socket(&log, "released", client);
        client.release();
        let waiting = socket_at(&bound());
        place.set(waiting.address());
    });
    log.assert_of("destroyed", "destroy() |x close(false)");
    log.assert_of("released", "");
    let address = open.get().expect("an address");
    std::net::TcpListener::bind(address).expect("free again with the loop");
}

/// Not in Node, which fails with EPIPE and ENOTCONN: before `connect` there is nobody to write to, and nothing to read.
#[test]
fn a_bound_socket_is_not_connected() {
    let log = in_a_loop(|log| {
        let client = socket_at(&bound());
        watch_socket(&log, "C", client);
        client.resume();
        assert!(client.pending());
        halfclose::set_immediate(move || {
            assert!(!client.destroyed());
            assert!(!client.write_with("x", support::callback(&log, "C", "write")));
        });
    });
    log.assert_of("C", "write(ERR_SOCKET_CLOSED) ~ error(ERR_SOCKET_CLOSED) |x close(true)");
}

/// C41: a reconnect is an ordinary one, from another port.
#[test]
fn a_bound_socket_connects_again_as_any_other() {
    let log = in_a_loop(|log| {
        let client = socket_at(&bound());
        let server = Server::new();
        let ports = Rc::new(Cell::new(Vec::new()));
        let seen = ports.clone();
        server.on_connection(move |server, socket| {
            socket.resume();
            let mut all = seen.take();
            all.extend(socket.remote_port());
            if all.len() == 2 {
                assert_ne!(all[0], all[1]);
                server.close();
            }
            seen.set(all);
        });
        server.on_listening(move |server| {
            let port = port_of(server);
            watch_socket(&log, "C", client);
            client.resume();
            client.on_connect(|client| {
                client.end();
            });
            client.once_close(move |client, _| {
                client.connect(("127.0.0.1", port)).expect("connect");
            });
            client.connect(("127.0.0.1", port)).expect("connect");
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    let once = "connect, ready | ~ finish | ~ end |x close(false)";
    log.assert_of("C", &format!("connectionAttempt | {once} ~ connectionAttempt | {once}"));
}
