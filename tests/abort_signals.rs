//! Abort signals on sockets and servers: C50-C52, S15. The rule numbers are those of the behaviour reference.
//!
//! May touch: the public API. Invariant: every test compares whole event sequences.

mod support;

use std::error::Error as _;

use halfclose::net::{self, AbortController, BoundSocket, ConnectOptions, ListenOptions, Socket, SocketOptions};

use support::{Log, port_of, watch_server, watch_socket};

/// Records the events of a socket, and checks the error of its abortion.
fn watch(log: &Log, socket: Socket, cause: &'static str) {
    watch_socket(log, "C", socket);
    socket.on_error(move |_, error| {
        assert_eq!(error.message(), "The operation was aborted");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some(cause));
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    });
}

const NO_REASON: &str = "This operation was aborted";

/// C50: aborted while connecting, before the attempt began and in its event.
#[test]
fn c50_aborted_while_connecting() {
    support::test(|event_loop| {
        let log = Log::new();
        let controller = AbortController::new();
        let options = ConnectOptions::new().host("127.0.0.1").port(1).signal(&controller.signal());
        let client = net::connect(options.clone()).expect("connect");
        watch(&log, client, NO_REASON);
        controller.abort();
        log.add("C", format!("aborted, destroyed={}", client.destroyed()));
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "aborted, destroyed=true ~ error(ABORT_ERR) |x close(true)");

        let log = Log::new();
        let controller = AbortController::new();
        let client = net::connect(options.signal(&controller.signal())).expect("connect");
        watch(&log, client, "why");
        client.on_connection_attempt(move |_, _| {
            controller.abort_with("why");
            log.add("C", "aborted");
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connectionAttempt, aborted ~ error(ABORT_ERR) |x close(true)");
    });
}

/// C50: aborted while its name is looked up.
#[test]
fn c50_aborted_during_the_lookup() {
    support::test(|event_loop| {
        let log = Log::new();
        let controller = AbortController::new();
        let options = ConnectOptions::new().host("h").port(1).signal(&controller.signal()).lookup(|_, callback| {
            let mut callback = Some(callback);
            halfclose::set_timeout(std::time::Duration::from_millis(5), move || {
                if let Some(callback) = callback.take() {
                    callback.resolve([std::net::Ipv4Addr::LOCALHOST]);
                }
            });
        });
        let client = net::connect(options).expect("connect");
        client.on_lookup(|_, _| panic!("nobody waits for it"));
        watch(&log, client, NO_REASON);
        halfclose::set_immediate(move || {
            log.add("C", "abort");
            controller.abort();
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "abort ~ error(ABORT_ERR) |x close(true)");
    });
}

/// C50: aborted while connected. The peer sees an ordinary end.
#[test]
fn c50_aborted_while_connected() {
    support::test(|event_loop| {
        let log = Log::new();
        let controller = AbortController::new();
        let server = net::create_server(move |socket| {
            watch_socket(&log, "S", socket);
            socket.resume();
            socket.server().expect("a server").close();
        });
        server.on_listening(move |server| {
            let controller = controller.clone();
            let options = ConnectOptions::new().host("127.0.0.1").port(port_of(server)).signal(&controller.signal());
            let client = net::connect(options).expect("connect");
            watch(&log, client, NO_REASON);
            client.on_connect(move |_| {
                let controller = controller.clone();
                halfclose::set_immediate(move || {
                    log.add("C", "abort");
                    controller.abort();
                });
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connectionAttempt | connect, ready | abort ~ error(ABORT_ERR) |x close(true)");
        log.assert_of("S", "end | ~ finish |x close(false)");
    });
}

/// C50: the signal is over with the first `close`: a connection made again does not have it.
#[test]
fn c50_a_reconnect_is_not_aborted() {
    support::test(|event_loop| {
        let log = Log::new();
        let controller = AbortController::new();
        let server = net::create_server(|socket| {
            socket.end();
        });
        server.on_listening(move |server| {
            let port = port_of(server);
            let options = ConnectOptions::new().host("127.0.0.1").port(port).signal(&controller.signal());
            let client = net::connect(options).expect("connect");
            watch(&log, client, NO_REASON);
            client.resume();
            let controller = controller.clone();
            client.once_close(move |client, _| {
                client.connect(("127.0.0.1", port)).expect("connect");
                client.once_connect(move |client| {
                    controller.abort();
                    log.add("C", format!("abort, destroyed={}", client.destroyed()));
                });
                client.once_close(move |_, _| {
                    server.close();
                });
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false) ~ connectionAttempt | connect, \
             abort, destroyed=false, ready | ~ end | ~ finish |x close(false)",
        );
    });
}

/// C51: a bare socket, aborted later and before. (In Node the latter reads `destroyed == false`, N2.)
#[test]
fn c51_a_bare_socket() {
    support::test(|event_loop| {
        let log = Log::new();
        let controller = AbortController::new();
        let socket = Socket::with_options(SocketOptions::new().signal(&controller.signal()));
        watch(&log, socket, "why");
        let signal = controller.signal();
        assert!(!signal.aborted() && signal.reason().is_none());
        controller.abort_with("why");
        controller.abort_with("too late");
        assert!(signal.aborted() && socket.destroyed());
        assert_eq!(signal.reason().expect("aborted").message(), "why");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "error(ABORT_ERR) ~ close(false)");

        let log = Log::new();
        let socket = Socket::with_options(SocketOptions::new().signal(&signal));
        assert!(socket.destroyed());
        watch(&log, socket, "why");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "error(ABORT_ERR) ~ close(false)");
        assert_eq!(event_loop.connections(), 0);
    });
}

/// C52: an aborted signal and `connect`: the socket is not connected. (In Node it is, N2.)
#[test]
fn c52_aborted_before_connect() {
    support::test(|event_loop| {
        let controller = AbortController::new();
        controller.abort();
        let options = ConnectOptions::new().host("127.0.0.1").port(1).signal(&controller.signal());
        let log = Log::new();
        let first = net::connect(options.clone()).expect("the arguments are good");
        watch(&log, first, NO_REASON);
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "error(ABORT_ERR) ~ close(false)");

        let log = Log::new();
        let second = net::connect_with(options, |_| panic!("it does not connect")).expect("the arguments are good");
        watch(&log, second, NO_REASON);
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "error(ABORT_ERR) ~ close(false)");
        assert_eq!(event_loop.connections(), 0);
    });
}

/// One signal for many sockets: all are destroyed, in the order in which they got it; those that are over do not count.
#[test]
fn one_signal_for_many_sockets() {
    support::test(|event_loop| {
        let log = Log::new();
        let controller = AbortController::new();
        let bare = || Socket::with_options(SocketOptions::new().signal(&controller.signal()));
        for _ in 0..100 {
            bare().destroy();
        }
        event_loop.run().expect("no unhandled error");
        for name in ["a", "b", "c"] {
            bare().on_error(move |_, _| log.add("C", name));
        }
        controller.abort();
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "a ~ b ~ c");
    });
}

/// A controller may outlive its loop; what it named is inert.
#[test]
fn a_controller_outlives_its_loop() {
    let controller = AbortController::new();
    support::test(|_event_loop| {
        Socket::with_options(SocketOptions::new().signal(&controller.signal()));
    });
    support::test(|event_loop| {
        let socket = Socket::new();
        controller.abort();
        assert!(!socket.destroyed());
        socket.release();
        event_loop.run().expect("nothing happens");
    });
}

/// S15: abort closes the server.
#[test]
fn s15_a_server_is_closed() {
    support::test(|event_loop| {
        let log = Log::new();
        let controller = AbortController::new();
        let server = net::create_server(|_| {});
        watch_server(&log, "srv", server);
        server.listen(ListenOptions::new().signal(&controller.signal())).expect("listen");
        server.on_listening(move |server| {
            controller.abort();
            log.add("srv", format!("abort, listening={}", server.listening()));
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listening, abort, listening=false ~ close");
    });
}

/// S15: aborted before: it listens for a moment, but does not say so; with a host it never does.
#[test]
fn s15_aborted_before_listen() {
    for host in [None, Some("127.0.0.1")] {
        support::test(|event_loop| {
            let log = Log::new();
            let controller = AbortController::new();
            controller.abort();
            let server = net::create_server(|_| {});
            watch_server(&log, "srv", server);
            let mut options = ListenOptions::new().signal(&controller.signal());
            if let Some(host) = host {
                options = options.host(host);
            }
            server.listen(options).expect("listen");
            assert_eq!(server.listening(), host.is_none());
            event_loop.run().expect("no unhandled error");
            log.assert_of("srv", "close");
            assert!(!server.listening());
        });
    }
}

/// S15: a server at a path, on a descriptor or of a bound socket hears of its signal as well.
#[test]
fn s15_servers_of_every_kind() {
    let given = |kind: &str| match kind {
        "name" => ListenOptions::new().path(net::abstract_name(format!("halfclose-abort-{}", std::process::id()))),
        "descriptor" => ListenOptions::new().fd(std::net::TcpListener::bind(support::loopback(0)).expect("a listener")),
        "bound" => ListenOptions::new().handle(&BoundSocket::new(("127.0.0.1", 0)).expect("a bound socket")),
        other => panic!("no such kind: {other}"),
    };
    // Abstract names are Linux's.
    let kinds: &[&str] =
        if cfg!(target_os = "linux") { &["name", "descriptor", "bound"] } else { &["descriptor", "bound"] };
    for &kind in kinds {
        support::test(|event_loop| {
            let log = Log::new();
            let controller = AbortController::new();
            let server = net::create_server(|_| {});
            watch_server(&log, "srv", server);
            server.listen(given(kind).signal(&controller.signal())).expect("listen");
            server.on_listening(move |server| {
                controller.abort();
                log.add("srv", format!("abort, listening={}", server.listening()));
            });
            event_loop.run().expect("no unhandled error");
            log.assert_of("srv", "listening, abort, listening=false ~ close");
        });
        support::test(|event_loop| {
            let log = Log::new();
            let controller = AbortController::new();
            controller.abort();
            let server = net::create_server(|_| {});
            watch_server(&log, "srv", server);
            server.listen(given(kind).signal(&controller.signal())).expect("listen");
            log.add("srv", format!("listen(), listening={}", server.listening()));
            event_loop.run().expect("no unhandled error");
            log.assert_of("srv", "listen(), listening=true ~ close");
        });
    }
}

/// S15: aborted while its host is looked up, it does not listen.
#[test]
fn s15_aborted_before_it_is_bound() {
    support::test(|event_loop| {
        let log = Log::new();
        let controller = AbortController::new();
        let server = net::create_server(|_| {});
        watch_server(&log, "srv", server);
        let options = ListenOptions::new().host("127.0.0.1").signal(&controller.signal());
        server.listen(options).expect("listen");
        controller.abort();
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "close");
    });
}

/// S15: the signal is over with `close`.
#[test]
fn s15_a_server_that_listens_again_is_not_closed() {
    support::test(|event_loop| {
        let log = Log::new();
        let controller = AbortController::new();
        let server = net::create_server(|_| {});
        watch_server(&log, "srv", server);
        let options = ListenOptions::new().signal(&controller.signal());
        server
            .listen_with(options, move |server| {
                server.close_with(move |server, _| {
                    let listening = server.listen_with(0, move |server| {
                        controller.abort();
                        log.add("srv", format!("abort, listening={}", server.listening()));
                        server.close();
                    });
                    listening.expect("listen");
                });
            })
            .expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listening ~ close ~ listening, abort, listening=true ~ close");
    });
}

/// S15: its connections live on.
#[test]
fn s15_connections_live_on() {
    support::test(|event_loop| {
        let log = Log::new();
        let controller = AbortController::new();
        let aborting = controller.clone();
        let server = net::create_server(move |socket| {
            aborting.abort();
            watch_socket(&log, "S", socket);
            socket.on_data(move |socket, bytes| {
                log.add_data_bytes("S", bytes);
                socket.end();
            });
        });
        server.on_listening(move |server| {
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            client.write("still here");
            client.resume();
        });
        server.listen(ListenOptions::new().host("127.0.0.1").signal(&controller.signal())).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("S"), ["data(still here)", "finish", "end", "close(false)"]);
    });
}
