//! The forms of `listen`, and when a server listens after it: S1-S3, S5, S10, S11.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};

use halfclose::Error;
use halfclose::net::{self, ListenOptions, Server, ServerEvent};

use crate::support::{self, Log, RawPeer, loopback, port_of, watch_server};
use crate::{UNRESOLVABLE, run_from_callback, short_lived_server, state};

/// One way to call `listen`.
type Listen = fn(Server) -> Result<Server, Error>;

/// S1, S3: each form of address reaches the same place, and a `SocketAddr` is an IP and a port.
#[test]
fn s1_every_form_of_address_listens() {
    let forms: [(&str, Listen, IpAddr); 7] = [
        ("(&str, port)", |server| server.listen(("127.0.0.1", 0)), Ipv4Addr::LOCALHOST.into()),
        ("(String, port)", |server| server.listen(("127.0.0.1".to_owned(), 0)), Ipv4Addr::LOCALHOST.into()),
        ("(IpAddr, port)", |server| server.listen((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)), Ipv4Addr::LOCALHOST.into()),
        ("SocketAddr", |server| server.listen(loopback(0)), Ipv4Addr::LOCALHOST.into()),
        ("IPv6", |server| server.listen(("::1", 0)), Ipv6Addr::LOCALHOST.into()),
        (
            "options",
            |server| server.listen(ListenOptions::new().host("127.0.0.1").port(0).backlog(16)),
            Ipv4Addr::LOCALHOST.into(),
        ),
        (
            "another address of the loopback network",
            |server| server.listen(("127.0.0.9", 0)),
            Ipv4Addr::new(127, 0, 0, 9).into(),
        ),
    ];
    support::test(|event_loop| {
        for (form, listen, ip) in forms {
            let log = Log::new();
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.on_listening(move |server| {
                let address = server.address().expect("an address");
                assert_eq!(address.ip(), ip, "{form}");
                assert_ne!(address.port(), 0, "{form}");
                log.add("srv", state(server));
                drop(RawPeer::connect(address));
            });
            server.on_connection(|server, socket| {
                socket.destroy();
                server.close();
            });
            run_from_callback(event_loop, move || {
                let returned = listen(server).unwrap_or_else(|error| panic!("{form}: {error}"));
                assert_eq!(returned, server, "{form}");
                log.add("srv", "listen()");
            });
            log.assert_of("srv", &format!("listen() ~ listening, listening, {ip} | connection ~ close"));
            server.release();
        }
        assert_eq!(event_loop.servers(), 0);
    });
}

/// S1: the callback of `listen_with` is a one-shot `listening` listener, in its place among the others.
#[test]
fn s1_the_callback_is_a_one_shot_listening_listener() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = Server::new();
            server.on_listening(move |_| log.add("srv", "before"));
            server.listen_with(0, move |_| log.add("srv", "callback")).expect("listen");
            assert_eq!(server.listener_count(ServerEvent::Listening), 2);
            let rounds = Cell::new(0);
            server.on_listening(move |server| {
                log.add("srv", "after");
                server.close();
                rounds.set(rounds.get() + 1);
                if rounds.get() == 1 {
                    server.listen(0).expect("listen again");
                }
            });
            server.on_close(move |_| log.add("srv", "close"));
        });
        log.assert_of("srv", "before, callback, after ~ close ~ before, after ~ close");
    });
}

/// S2: port 0 is an ephemeral port; the port that the kernel chose is in the address.
#[test]
fn s2_port_zero_is_an_ephemeral_port() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let (first, second) = (short_lived_server(&log), short_lived_server(&log));
            first.listen(0).expect("listen");
            second.listen(0).expect("listen");
            assert_ne!(port_of(first), 0);
            assert_ne!(port_of(second), 0);
            assert_ne!(port_of(first), port_of(second));
        });
        log.assert_of("srv", "listening ~ listening ~ close ~ close");
    });
}

/// S3: without a host everything but the event happens inside the call.
#[test]
fn s3_without_a_host_the_call_itself_binds() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = short_lived_server(&log);
            log.add("srv", state(server));
            server.listen(0).expect("listen");
            assert!(server.listening());
            let address = server.address().expect("an address on return");
            assert!(address.ip().is_unspecified());
            log.add("srv", "listen()");
            // The kernel completes connections from here on, before any event.
            drop(TcpStream::connect_timeout(&loopback(address.port()), support::PEER_DEADLINE).expect("a connection"));
        });
        log.assert_of("srv", "not listening, no address, listen() ~ listening ~ close");
    });
}

/// S3, L70: with a host, even an IP literal, binding waits for a tick, and the event for one more.
#[test]
fn s3_with_a_host_binding_is_deferred() {
    let forms: [Listen; 3] = [
        |server| server.listen(("127.0.0.1", 0)),
        |server| server.listen(loopback(0)),
        |server| server.listen(ListenOptions::new().port(0).host("127.0.0.1")),
    ];
    for listen in forms {
        support::test(|event_loop| {
            let log = Log::new();
            run_from_callback(event_loop, move || {
                let server = short_lived_server(&log);
                listen(server).expect("listen");
                log.add("srv", state(server));
            });
            log.assert_of("srv", "not listening, no address ~ listening ~ close");
        });
    }
}

/// S5, L70: a name is looked up, so the event comes in a tick of a later callback.
#[test]
fn s5_a_name_is_looked_up() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.on_listening(move |server| {
                assert!(server.address().expect("an address").ip().is_loopback());
                server.close();
            });
            server.listen(("localhost", 0)).expect("listen");
            log.add("srv", state(server));
        });
        log.assert_of("srv", "not listening, no address | ~ listening ~ close");
    });
}

/// S5, table 1.8: a failed lookup is an `error` from the lookup callback itself, not from a tick, and no `close`.
#[test]
fn s5_a_failed_lookup_is_an_error_of_the_lookup_callback() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.on_error(move |server, error| {
                assert_eq!(error.to_string(), format!("getaddrinfo ENOTFOUND {UNRESOLVABLE}"));
                log.add("srv", state(server));
            });
            server.listen((UNRESOLVABLE, 0)).expect("no error yet");
            log.add("srv", "listen()");
        });
        log.assert_of("srv", "listen() | error(getaddrinfo ENOTFOUND), not listening, no address");
    });
}

/// S34 from the other side: a server on an IPv4 address sees IPv4 addresses, also of a peer that used a mapped one.
#[test]
fn s34_an_ipv4_server_sees_ipv4_addresses() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(move |socket| {
            let (remote, family) = (socket.remote_address(), socket.remote_family());
            log.add("S", format!("{} {}", remote.expect("an address"), family.expect("a family")));
            socket.destroy();
            socket.server().expect("the accepting server").close();
        });
        server.once_listening(|server| {
            net::connect(("127.0.0.1", port_of(server))).expect("connect");
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.of("S"), "127.0.0.1 IPv4");
    });
}

/// S10: the address exists exactly while the server listens.
#[test]
fn s10_the_address_exists_while_the_server_listens() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            log.add("srv", state(server));
            server.on_listening(move |server| {
                log.add("srv", state(server));
                let port = port_of(server);
                server.close();
                log.add("srv", state(server));
                let busy = Server::new();
                server.once_close(move |server| {
                    log.add("srv", state(server));
                    busy.listen(port).expect("listen");
                    server.listen(port).expect("no error yet");
                    log.add("srv", state(server));
                });
                server.on_error(move |server, _| {
                    log.add("srv", state(server));
                    busy.close();
                });
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
        });
        log.assert_of(
            "srv",
            "not listening, no address ~ listening, listening, 127.0.0.1, not listening, no address \
             ~ close, not listening, no address, not listening, no address \
             ~ error(listen EADDRINUSE), not listening, no address",
        );
    });
}

/// S11, L76: a second `listen` is refused while a descriptor listens, and its callback is not registered.
#[test]
fn s11_listen_on_a_listening_server_is_refused() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = short_lived_server(&log);
            server.listen_with(0, move |_| log.add("srv", "first callback")).expect("listen");
            for again in [ListenOptions::new().port(0), ListenOptions::new().port(0).host("127.0.0.1")] {
                let refused = server.listen_with(again, move |_| log.add("srv", "second callback"));
                let error = refused.expect_err("already listening");
                assert_eq!(error.code(), Some("ERR_SERVER_ALREADY_LISTEN"));
                assert_eq!(error.to_string(), "Listen method has been called more than once without closing.");
            }
            assert_eq!(server.listener_count(ServerEvent::Listening), 3);
            assert!(server.listening());
        });
        log.assert_of("srv", "listening, first callback ~ close");
    });
}

/// S11: two calls with a host in one turn are one bind of the second, one `listening`, and both callbacks.
#[test]
fn s11_the_second_listen_with_a_host_supersedes_the_first() {
    for (host, distance) in [("127.0.0.1", "~"), ("localhost", "| ~")] {
        support::test(|event_loop| {
            let log = Log::new();
            run_from_callback(event_loop, move || {
                let server = Server::new();
                watch_server(&log, "srv", server);
                server.listen_with((host, 0), move |_| log.add("srv", "first callback")).expect("listen");
                server
                    .listen_with((host, 0), move |server| {
                        log.add("srv", "second callback");
                        server.close();
                    })
                    .expect("listen");
                log.add("srv", "listen()");
            });
            log.assert_of("srv", &format!("listen() {distance} listening, first callback, second callback ~ close"));
        });
    }
}

/// S11: a call without a host supersedes a pending one, at once.
#[test]
fn s11_listen_without_a_host_supersedes_a_pending_one() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.listen_with(("127.0.0.1", 0), move |_| log.add("srv", "first callback")).expect("listen");
            server
                .listen_with(0, move |server| {
                    assert!(server.address().expect("an address").ip().is_unspecified());
                    log.add("srv", "second callback");
                    server.close();
                })
                .expect("listen");
            assert!(server.listening());
            log.add("srv", "listen()");
        });
        log.assert_of("srv", "listen() ~ listening, first callback, second callback ~ close");
    });
}
