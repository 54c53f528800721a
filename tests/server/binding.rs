//! Which addresses and ports a server gets, and which conflicts it has with others: S4, S8, S9, S12, S13.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use halfclose::net::{self, Family, ListenOptions, Server};

use crate::support::{self, Log, RawPeer, loopback, port_of, watch_server};
use crate::{run_from_callback, state};

/// S4, S34: without a host the server is dual-stack; IPv4 peers appear as mapped addresses.
#[test]
fn s4_s34_a_dual_stack_server_sees_ipv4_peers_as_mapped_addresses() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: no IPv6 on this machine");
        return;
    }
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        let accepted = Cell::new(0);
        server.on_connection(move |server, socket| {
            let family = socket.remote_family().expect("a family");
            assert_eq!(family, Family::IPv6);
            let (remote, local) = (socket.remote_address(), socket.local_address());
            log.add("S", format!("{} {family} to {}", remote.expect("an address"), local.expect("an address")));
            assert_eq!(socket.local_family(), Some(Family::IPv6));
            assert_eq!(socket.server(), Some(server));
            socket.destroy();
            accepted.set(accepted.get() + 1);
            if accepted.get() == 2 {
                server.close();
            }
        });
        server.listen(0).expect("listen");
        let address = server.address().expect("an address");
        assert_eq!(address.ip(), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let over_ipv4 = RawPeer::connect(loopback(address.port()));
        let over_ipv6 = RawPeer::connect(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()));
        event_loop.run().expect("no unhandled error");
        drop((over_ipv4, over_ipv6));
        assert_eq!(
            log.texts_of("S"),
            ["::ffff:127.0.0.1 IPv6 to ::ffff:127.0.0.1".to_owned(), "::1 IPv6 to ::1".to_owned()]
        );
    });
}

/// S4: a busy port does not make the server fall back to `0.0.0.0`, where the port would be free.
#[test]
fn s4_a_port_in_use_does_not_trigger_the_fallback() {
    use socket2::{Domain, Socket, Type};
    let Ok(holder) = Socket::new(Domain::IPV6, Type::STREAM, None) else {
        println!("skipped: no IPv6 on this machine");
        return;
    };
    holder.set_only_v6(true).expect("IPV6_V6ONLY");
    holder.bind(&SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0).into()).expect("bind");
    holder.listen(1).expect("listen");
    let port = holder.local_addr().expect("an address").as_socket().expect("an IP address").port();
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.on_error(move |_, error| {
                assert_eq!(error.to_string(), format!("listen EADDRINUSE: address already in use :::{port}"));
            });
            server.listen(port).expect("no error yet");
            log.add("srv", state(server));
        });
        log.assert_of("srv", "not listening, no address ~ error(listen EADDRINUSE)");
    });
    drop(holder);
}

/// S8: with `ipv6_only` the IPv4 side of the port belongs to others.
#[test]
fn s8_ipv6_only_leaves_the_port_free_for_ipv4() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: no IPv6 on this machine");
        return;
    }
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let first = Server::new();
            watch_server(&log, "first", first);
            first.listen(ListenOptions::new().port(0).host("::").ipv6_only(true)).expect("listen");
            first.on_listening(move |first| {
                let port = port_of(first);
                let refused = TcpStream::connect_timeout(&loopback(port), support::PEER_DEADLINE);
                assert_eq!(refused.expect_err("refused").kind(), std::io::ErrorKind::ConnectionRefused);
                let second = Server::new();
                watch_server(&log, "second", second);
                second.on_listening(move |second| {
                    assert_eq!(second.address(), Some(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)));
                    second.close();
                    first.close();
                });
                second.listen(("0.0.0.0", port)).expect("listen");
            });
        });
        log.assert_of("first", "listening ~ close");
        log.assert_of("second", "listening ~ close");
    });
}

/// S8: without it, the port of a dual-stack server is taken for every IPv4 address, too.
#[test]
fn s8_a_dual_stack_server_owns_the_port_for_ipv4_too() {
    for host in ["0.0.0.0", "127.0.0.1"] {
        support::test(|event_loop| {
            let log = Log::new();
            run_from_callback(event_loop, move || {
                let first = Server::new();
                watch_server(&log, "first", first);
                first.listen(0).expect("listen");
                let port = port_of(first);
                let second = Server::new();
                watch_server(&log, "second", second);
                second.on_error(move |_, error| {
                    let expected = format!("listen EADDRINUSE: address already in use {host}:{port}");
                    assert_eq!(error.to_string(), expected);
                    first.close();
                });
                second.listen((host, port)).expect("no error yet");
                log.add("second", "listen()");
            });
            log.assert_of("first", "listening ~ close");
            log.assert_of("second", "listen() ~ error(listen EADDRINUSE)");
        });
    }
}

/// S9: `reuse_port` works when all sharers ask for it, and fails when one does not.
#[test]
fn s9_reuse_port_takes_every_sharer() {
    for (shared, sequence) in [(true, "listen() ~ listening ~ close"), (false, "listen() ~ error(listen EADDRINUSE)")] {
        support::test(|event_loop| {
            let log = Log::new();
            run_from_callback(event_loop, move || {
                let first = Server::new();
                watch_server(&log, "first", first);
                let options = ListenOptions::new().port(0).host("127.0.0.1");
                first.listen(options.reuse_port(shared)).expect("listen");
                first.on_listening(move |first| {
                    let second = Server::new();
                    watch_server(&log, "second", second);
                    second.on_listening(move |second| {
                        second.close();
                        first.close();
                    });
                    second.on_error(move |_, _| {
                        first.close();
                    });
                    let options = ListenOptions::new().port(port_of(first)).host("127.0.0.1");
                    second.listen(options.reuse_port(true)).expect("no error yet");
                    log.add("second", "listen()");
                });
            });
            log.assert_of("first", "listening ~ close");
            log.assert_of("second", sequence);
        });
    }
}

/// S12: after `close` the same port can be bound again at once, also when connections of it are in TIME_WAIT.
#[test]
fn s12_the_port_can_be_bound_again_right_after_close() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            // The end that sends the first FIN is the one that waits: the accepted socket, on the server's port.
            server.on_connection(|_, socket| {
                socket.end();
            });
            server.once_listening(move |server| {
                let port = port_of(server);
                let client = net::connect(("127.0.0.1", port)).expect("connect");
                client.on_close(move |_, _| {
                    server.close();
                });
                server.once_close(move |server| {
                    server
                        .listen_with(("127.0.0.1", port), move |server| {
                            assert_eq!(port_of(server), port);
                            server.close();
                        })
                        .expect("listen");
                });
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
        });
        assert_eq!(log.texts_of("srv"), ["listening", "connection", "close", "listening", "close"].map(str::to_owned));
    });
}

/// S13: without cluster workers `exclusive` changes nothing: a port has one listener.
#[test]
fn s13_exclusive_changes_nothing() {
    support::test(|event_loop| {
        for (first, second) in [(None, None), (None, Some(true)), (Some(true), Some(false)), (Some(false), Some(true))]
        {
            let log = Log::new();
            let options = |exclusive: Option<bool>, port| {
                let options = ListenOptions::new().port(port);
                exclusive.map_or(options.clone(), |on| options.exclusive(on))
            };
            run_from_callback(event_loop, move || {
                let busy = Server::new();
                watch_server(&log, "busy", busy);
                busy.listen(options(first, 0)).expect("listen");
                let server = Server::new();
                watch_server(&log, "srv", server);
                server.on_error(move |_, _| {
                    busy.close();
                });
                server.listen(options(second, port_of(busy))).expect("no error yet");
                log.add("srv", state(server));
            });
            log.assert_of("busy", "listening ~ close");
            log.assert_of("srv", "not listening, no address ~ error(listen EADDRINUSE)");
        }
    });
}

/// S12, L78: after an error the server may listen again, in the error listener and even before the error was emitted.
#[test]
fn s12_a_server_listens_again_after_an_error() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let busy = Server::new();
            busy.listen(0).expect("listen");
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.on_error(move |server, _| log.add("srv", server.listening()));
            server.on_listening(move |server| {
                server.close();
                busy.close();
            });
            server.listen(port_of(busy)).expect("no error yet");
            log.add("srv", state(server));
            server.listen(0).expect("the failed call left nothing behind");
            log.add("srv", server.listening());
        });
        log.assert_of("srv", "not listening, no address, true ~ error(listen EADDRINUSE), true ~ listening ~ close");
    });
}
