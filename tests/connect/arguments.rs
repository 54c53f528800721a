//! The forms of address and the options of a connect: C1-C6, L4, F2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use halfclose::Error;
use halfclose::net::{self, ConnectOptions, Family, ServerOptions, Socket, SocketEvent, SocketOptions};

use crate::support::{self, Log, RawListener, loopback, watch_socket};
use crate::{ENDED_BY_THE_SERVER, ending_server, state, with_server};

/// One way to call `connect`.
type Connect = fn(u16) -> Result<Socket, Error>;

/// C1, C2, C4, L1, L2: every form reaches the server; an IP starts in the tick of the call, a name in a later callback.
#[test]
fn c1_every_form_of_address_connects() {
    let forms: [(&str, &str, Connect); 9] = [
        ("port", "|", |port| net::connect(port)),
        ("(name, port)", "|", |port| net::connect(("localhost", port))),
        ("(empty, port)", "|", |port| net::connect(("", port))),
        ("(&str, port)", "~", |port| net::connect(("127.0.0.1", port))),
        ("(String, port)", "~", |port| net::connect(("127.0.0.1".to_owned(), port))),
        ("(IpAddr, port)", "~", |port| net::connect((IpAddr::V4(Ipv4Addr::LOCALHOST), port))),
        ("SocketAddr", "~", |port| net::create_connection(loopback(port))),
        ("options", "~", |port| net::connect(ConnectOptions::new().port(port).host("127.0.0.1"))),
        ("options without host", "|", |port| net::connect(ConnectOptions::new().port(port))),
    ];
    support::test(|event_loop| {
        for (form, distance, connect) in forms {
            let log = Log::new();
            with_server(event_loop, ending_server(), true, move |server, port| {
                let client = connect(port).unwrap_or_else(|error| panic!("{form}: {error}"));
                watch_socket(&log, "C", client);
                client.on_close(move |_, _| {
                    server.close();
                });
                log.add("C", format!("{form}: {}", state(client)));
            });
            log.assert_of(
                "C",
                &format!("{form}: opening connecting pending {distance} connectionAttempt | {ENDED_BY_THE_SERVER}"),
            );
        }
        assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0));
    });
}

/// C6, not as in Node, where the address of an options object means nothing: what a server says of itself reaches it, on
/// one address and on all of them.
#[test]
fn c6_the_address_of_a_server_reaches_it() {
    support::test(|event_loop| {
        for everywhere in [false, true] {
            let log = Log::new();
            with_server(event_loop, ending_server(), everywhere, move |server, port| {
                let address = server.address().expect("it listens");
                assert_eq!((address.ip().is_unspecified(), address.port()), (everywhere, port));
                let client = net::connect(address).expect("connect");
                watch_socket(&log, "C", client);
                client.on_connect(move |client| {
                    assert_eq!(client.remote_port(), Some(port));
                    let reached = client.remote_address().expect("an address");
                    assert!(reached == address.ip() || reached.to_canonical().is_loopback());
                });
                client.on_close(move |_, _| {
                    server.close();
                });
                log.add("C", "connect()");
            });
            log.assert_of("C", &format!("connect() ~ connectionAttempt | {ENDED_BY_THE_SERVER}"));
        }
    });
}

/// C4: an IPv6 literal, also with a zone, needs no lookup and is shown as it was given.
#[test]
fn c4_ipv6_literals_need_no_lookup() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: no IPv6 on this machine");
        return;
    }
    support::test(|event_loop| {
        for host in ["::1", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1"] {
            let log = Log::new();
            with_server(event_loop, ending_server(), true, move |server, port| {
                let client = net::connect((host, port)).expect("connect");
                watch_socket(&log, "C", client);
                client.on_connection_attempt(move |_, attempt| {
                    assert_eq!(attempt.address(), host);
                    assert_eq!((attempt.port(), attempt.family()), (Some(port), Some(Family::IPv6)));
                });
                client.on_close(move |_, _| {
                    server.close();
                });
                log.add("C", "connect()");
            });
            log.assert_of("C", &format!("connect() ~ connectionAttempt | {ENDED_BY_THE_SERVER}"));
        }
    });
}

/// L4, C1: the callback of `connect_with` is a one-shot `connect` listener, in its place among the others.
#[test]
fn l4_the_callback_is_a_one_shot_connect_listener() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, ending_server(), false, move |server, port| {
            let client = Socket::new();
            client.on_connect(move |_| log.add("C", "before"));
            let returned = client.connect_with(("127.0.0.1", port), move |_| log.add("C", "callback"));
            assert_eq!(returned.expect("connect"), client);
            assert_eq!(client.listener_count(SocketEvent::Connect), 2);
            client.on_connect(move |client| {
                log.add("C", "after");
                assert_eq!(client.listener_count(SocketEvent::Connect), 2);
            });
            client.on_ready(move |_| log.add("C", "ready"));
            client.once_close(move |client, _| {
                client.connect(("127.0.0.1", port)).expect("reconnect");
                client.once_close(move |_, _| {
                    server.close();
                });
            });
            net::connect_with(("127.0.0.1", port), move |_| log.add("D", "callback")).expect("connect");
        });
        log.assert_of("C", "before, callback, after, ready | before, after, ready");
        log.assert_of("D", "callback");
    });
}

/// C1: port 0 is attempted, and refused.
#[test]
fn c1_port_zero_is_attempted_and_refused() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = net::connect(("127.0.0.1", 0)).expect("connect");
        watch_socket(&log, "C", client);
        client.on_connection_attempt(|_, attempt| assert_eq!(attempt.address(), "127.0.0.1"));
        client.on_error(|_, error| {
            assert_eq!(error.to_string(), "connect ECONNREFUSED 127.0.0.1");
            assert_eq!((error.address(), error.port()), (Some("127.0.0.1"), None));
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) |x close(true)",
        );
    });
}

/// C1, table 1.8: no port is an error of the call, which leaves the socket as it was.
#[test]
fn c1_a_missing_port_is_refused_by_the_call() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = Socket::new();
        watch_socket(&log, "C", client);
        let error = client.connect(ConnectOptions::new().host("127.0.0.1")).expect_err("no port");
        assert_eq!(error.code(), Some("ERR_MISSING_ARGS"));
        assert_eq!(error.to_string(), r#"The "options" or "port" or "path" argument must be specified"#);
        assert_eq!(state(client), "open pending");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "");
        client.release();
        assert!(net::connect(ConnectOptions::new()).is_err());
        assert_eq!(event_loop.connections(), 0, "the socket of a refused net::connect is not kept");
    });
}

/// C2: an empty host is `localhost`, and the first of its addresses is tried first.
#[test]
fn c2_an_empty_host_is_localhost() {
    let first = ("localhost", 0).to_socket_addrs().expect("localhost").next().expect("an address").ip();
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, ending_server(), true, move |server, port| {
            let client = net::connect(ConnectOptions::new().host("").port(port)).expect("connect");
            client.once_connection_attempt(move |_, attempt| log.add("C", attempt.address()));
            client.on_close(move |_, _| {
                server.close();
            });
        });
        log.assert_of("C", &first.to_string());
    });
}

/// C2: `family` chooses among the addresses of a name, and is not looked at for an IP.
#[test]
fn c2_family_chooses_among_the_addresses_of_a_name() {
    support::test(|event_loop| {
        for (host, family, address) in
            [("localhost", Family::IPv4, "127.0.0.1"), ("127.0.0.1", Family::IPv6, "127.0.0.1")]
        {
            let log = Log::new();
            with_server(event_loop, ending_server(), false, move |server, port| {
                let options = ConnectOptions::new().host(host).port(port).family(family);
                let client = net::connect(options).expect("connect");
                client.on_connection_attempt(move |_, attempt| {
                    log.add("C", format!("{} {}", attempt.address(), attempt.family().expect("a family")));
                });
                client.on_close(move |_, had_error| {
                    log.add("C", format!("close({had_error})"));
                    server.close();
                });
            });
            log.assert_of("C", &format!("{address} IPv4 |x close(false)"));
        }
    });
}

/// C5: a local address and a local port are what the peer sees.
#[test]
fn c5_local_address_and_port_are_what_the_peer_sees() {
    let (holder, free_port) = support::local_port();
    support::test(|event_loop| {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let there = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
        let rows = [
            (ConnectOptions::new().local_address("127.0.0.9"), there, None),
            (ConnectOptions::new().local_port(free_port), here, Some(free_port)),
            (ConnectOptions::new().local_address("127.0.0.1").local_port(free_port), here, Some(free_port)),
            (ConnectOptions::new().local_address("").local_port(0), here, None),
        ];
        for (row, (options, address, port)) in rows.into_iter().enumerate() {
            let log = Log::new();
            // The client closes first, and with a reset: nothing of its port is left in TIME_WAIT for the next row.
            support::pair(
                event_loop,
                &log,
                ServerOptions::new(),
                options,
                move |accepted| {
                    assert_eq!(accepted.remote_address(), Some(address), "row {row}");
                    assert!(port.is_none_or(|port| accepted.remote_port() == Some(port)), "row {row}");
                    log.add("S", "seen");
                },
                move |client| {
                    client.on_connect(move |client| {
                        assert_eq!(client.local_address(), Some(address), "row {row}");
                        assert!(port.is_none_or(|port| client.local_port() == Some(port)), "row {row}");
                        log.add("C", "seen");
                        // After the accept, which may come later in this turn.
                        halfclose::set_timeout(Duration::from_millis(1), move || {
                            client.reset_and_destroy().expect("a TCP socket");
                        });
                    });
                },
            );
            log.assert_of("C", "connectionAttempt | connect, seen, ready |x close(false)");
            log.assert_of("S", "connection, seen | ~ error(read ECONNRESET) |x close(true)");
        }
    });
    drop(holder);
}

/// C5: a failed bind is reported without any attempt, with the local address in the error.
#[test]
fn c5_a_failed_bind_is_no_attempt() {
    let busy = RawListener::bind();
    let busy_port = busy.port();
    let rows = [
        // An address of the documentation network, which no machine has: binding to it fails, nothing is sent.
        (ConnectOptions::new().local_address("192.0.2.1"), "EADDRNOTAVAIL", "192.0.2.1".to_owned(), None),
        (
            ConnectOptions::new().local_address("192.0.2.1").local_port(4567),
            "EADDRNOTAVAIL",
            "192.0.2.1:4567".to_owned(),
            Some(4567),
        ),
        (ConnectOptions::new().local_address("::1"), "EINVAL", "::1".to_owned(), None),
        (
            ConnectOptions::new().local_address("127.0.0.1").local_port(busy_port),
            "EADDRINUSE",
            format!("127.0.0.1:{busy_port}"),
            Some(i32::from(busy_port)),
        ),
        (
            ConnectOptions::new().local_port(busy_port),
            "EADDRINUSE",
            format!("0.0.0.0:{busy_port}"),
            Some(i32::from(busy_port)),
        ),
    ];
    support::test(|event_loop| {
        for (options, code, shown, port) in rows {
            let log = Log::new();
            let expected = format!("bind {code} {shown}");
            halfclose::set_immediate(move || {
                let client = net::connect(options.host("127.0.0.1").port(busy_port)).expect("connect");
                watch_socket(&log, "C", client);
                client.on_error(move |_, error| {
                    assert_eq!(error.to_string(), expected);
                    assert_eq!((error.syscall(), error.code()), (Some("bind"), Some(code)));
                    assert_eq!(error.port(), port, "{expected}");
                    assert!(shown.starts_with(error.address().expect("an address")), "{expected}");
                });
                log.add("C", "connect()");
            });
            event_loop.run().expect("no unhandled error");
            log.assert_of("C", &format!("connect() ~ error(bind {code}) |x close(true)"));
        }
        assert_eq!(event_loop.connections(), 0);
    });
}

/// C5, N4: a local address that is none is refused by the call, and the socket stays usable.
#[test]
fn c5_an_invalid_local_address_is_refused_by_the_call() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, ending_server(), false, move |server, port| {
            let client = Socket::new();
            watch_socket(&log, "C", client);
            let options = ConnectOptions::new().host("127.0.0.1").port(port);
            let error = client.connect(options.clone().local_address("foo")).expect_err("not an IP address");
            assert_eq!(error.code(), Some("ERR_INVALID_IP_ADDRESS"));
            assert_eq!(error.to_string(), "Invalid IP address: foo");
            log.add("C", state(client));
            client.connect(options).expect("connect");
            client.on_close(move |_, _| {
                server.close();
            });
        });
        log.assert_of("C", &format!("open pending ~ connectionAttempt | {ENDED_BY_THE_SERVER}"));
    });
}

/// 1.3, T7: `timeout` is honoured by `net::connect` only.
#[test]
fn the_timeout_option_belongs_to_net_connect() {
    support::test(|event_loop| {
        with_server(event_loop, ending_server(), false, |server, port| {
            let limit = Duration::from_secs(60);
            let options = ConnectOptions::new().host("127.0.0.1").port(port).timeout(limit);
            let with_option = net::connect(options.clone()).expect("connect");
            assert_eq!(with_option.timeout(), Some(limit));
            let without = Socket::new();
            without.connect(options).expect("connect");
            assert_eq!(without.timeout(), None);
            without.on_close(move |_, _| {
                server.close();
            });
        });
    });
}

/// F2, 1.3: the marks are options of the constructor, `high_water_mark` wins, and `net::connect` passes them on.
#[test]
fn f2_constructor_options_arrive() {
    support::test(|event_loop| {
        let rows = [
            (SocketOptions::new(), (65536, 65536, false)),
            (SocketOptions::new().readable_high_water_mark(1).writable_high_water_mark(2), (1, 2, false)),
            (SocketOptions::new().high_water_mark(0).readable_high_water_mark(1), (0, 0, false)),
            (SocketOptions::new().allow_half_open(true), (65536, 65536, true)),
        ];
        let seen = |socket: Socket| {
            (socket.readable_high_water_mark(), socket.writable_high_water_mark(), socket.allow_half_open())
        };
        for (options, expected) in rows {
            let socket = Socket::with_options(options);
            assert_eq!(seen(socket), expected);
            socket.release();
        }
        let options = ConnectOptions::new().port(0).host("127.0.0.1");
        let socket = net::connect(options.allow_half_open(true).high_water_mark(7)).expect("connect");
        assert_eq!(seen(socket), (7, 7, true));
        socket.destroy();
        event_loop.run().expect("no unhandled error");
        assert_eq!(event_loop.connections(), 0);
    });
}
