//! The options that reach the kernel: those of listening sockets (S6, S7), of accepted ones (S35) and of clients (C45,
//! C48), read back from the kernel. The rule numbers are those of the behaviour reference.
//!
//! May touch: the public API and, through `support/kernel.rs`, this process's own descriptors. Linux only, because the
//! descriptors are found in `/proc`.

#![cfg(target_os = "linux")]

#[path = "support/kernel.rs"]
mod kernel;
mod support;

use std::net::{Ipv6Addr, TcpListener};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use halfclose::EventLoop;
use halfclose::net::{self, ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
use socket2::SockRef;
use support::{Log, port_of};

/// Lets a server with `options` listen, and looks at its socket.
fn look_at_listener<R: 'static>(
    event_loop: &mut EventLoop,
    options: ListenOptions,
    look: impl FnOnce(BorrowedFd<'_>) -> R + 'static,
) -> R {
    let found = std::rc::Rc::new(std::cell::Cell::new(None));
    let result = found.clone();
    let server = Server::new();
    server
        .listen_with(options, move |server| {
            found.set(Some(kernel::listening(port_of(server), look)));
            server.close();
        })
        .expect("listen");
    event_loop.run().expect("no unhandled error");
    server.release();
    result.take().expect("the server listened")
}

/// What the kernel has for the options of a connection: no delay, keep-alive and its three numbers.
#[derive(Debug, PartialEq, Eq)]
struct ConnectionOptions {
    no_delay: bool,
    keep_alive: bool,
    idle: Duration,
    interval: Duration,
    count: u32,
}

impl ConnectionOptions {
    fn of(descriptor: BorrowedFd<'_>) -> ConnectionOptions {
        let socket = SockRef::from(&descriptor);
        ConnectionOptions {
            no_delay: socket.tcp_nodelay().expect("TCP_NODELAY"),
            keep_alive: socket.keepalive().expect("SO_KEEPALIVE"),
            idle: socket.tcp_keepalive_time().expect("TCP_KEEPIDLE"),
            interval: socket.tcp_keepalive_interval().expect("TCP_KEEPINTVL"),
            count: socket.tcp_keepalive_retries().expect("TCP_KEEPCNT"),
        }
    }

    fn of_socket(socket: Socket) -> ConnectionOptions {
        let (local, peer) = (socket.local_port().expect("a port"), socket.peer_addr().expect("an address"));
        kernel::connected(local, peer.port(), ConnectionOptions::of)
    }

    /// What the kernel gives to a socket of which nothing was asked.
    fn untouched() -> ConnectionOptions {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        ConnectionOptions::of(std::os::fd::AsFd::as_fd(&socket))
    }

    /// Keep-alive with a delay: the interval and the count are Node's, not the kernel's.
    fn kept_alive_after(seconds: u64) -> ConnectionOptions {
        ConnectionOptions {
            keep_alive: true,
            idle: Duration::from_secs(seconds),
            interval: Duration::from_secs(1),
            count: 10,
            ..ConnectionOptions::untouched()
        }
    }
}

/// S6, SP12: what every listening socket has.
#[test]
fn s6_listening_sockets_reuse_addresses_and_are_private() {
    support::test(|event_loop| {
        let options = ListenOptions::new().port(0).host("127.0.0.1");
        look_at_listener(event_loop, options, |descriptor| {
            let socket = SockRef::from(&descriptor);
            assert!(socket.reuse_address().expect("SO_REUSEADDR"));
            assert!(!socket.reuse_port().expect("SO_REUSEPORT"));
            assert!(socket.nonblocking().expect("O_NONBLOCK"));
            assert!(kernel::closes_on_exec(descriptor));
        });
        let options = ListenOptions::new().port(0).host("127.0.0.1").reuse_port(true);
        look_at_listener(event_loop, options, |descriptor| {
            let socket = SockRef::from(&descriptor);
            assert!(socket.reuse_address().expect("SO_REUSEADDR"));
            assert!(socket.reuse_port().expect("SO_REUSEPORT"));
        });
    });
}

/// S4, S6: IPV6_V6ONLY is `ipv6_only`, whatever the machine's default is.
#[test]
fn s6_ipv6_only_is_set_either_way() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: no IPv6 on this machine");
        return;
    }
    support::test(|event_loop| {
        let rows = [
            (ListenOptions::new().port(0), false),
            (ListenOptions::new().port(0).host("::"), false),
            (ListenOptions::new().port(0).host("::").ipv6_only(true), true),
            (ListenOptions::new().port(0).ipv6_only(true), true),
        ];
        for (row, (options, expected)) in rows.into_iter().enumerate() {
            let only = look_at_listener(event_loop, options, |descriptor| {
                SockRef::from(&descriptor).only_v6().expect("IPV6_V6ONLY")
            });
            assert_eq!(only, expected, "row {row}");
        }
    });
}

/// S7: the backlog is 511 unless said otherwise, and passed on unchanged.
#[test]
fn s7_the_backlog_reaches_the_kernel() {
    support::test(|event_loop| {
        let largest = kernel::largest_backlog();
        let rows = [
            (ListenOptions::new().port(0).host("127.0.0.1"), 511),
            (ListenOptions::new().port(0).host("127.0.0.1").backlog(0), 511),
            (ListenOptions::new().port(0).host("127.0.0.1").backlog(7), 7),
            (ListenOptions::new().port(0).host("127.0.0.1").backlog(u32::MAX), largest),
        ];
        for (row, (options, expected)) in rows.into_iter().enumerate() {
            let backlog = look_at_listener(event_loop, options, kernel::backlog);
            assert_eq!(backlog, expected.min(largest), "row {row}");
        }
    });
}

/// S35, SP12: the server's options are on the accepted socket before `connection`; the delay is cut to whole seconds.
#[test]
fn s35_accepted_sockets_get_the_options_of_the_server() {
    support::test(|event_loop| {
        let untouched = ConnectionOptions::untouched;
        let rows = [
            (ServerOptions::new(), untouched()),
            (ServerOptions::new().no_delay(true), ConnectionOptions { no_delay: true, ..untouched() }),
            (ServerOptions::new().keep_alive(true), ConnectionOptions { keep_alive: true, ..untouched() }),
            (
                ServerOptions::new()
                    .no_delay(true)
                    .keep_alive(true)
                    .keep_alive_initial_delay(Duration::from_millis(5999)),
                ConnectionOptions { no_delay: true, ..ConnectionOptions::kept_alive_after(5) },
            ),
            // Less than a second is no delay: the kernel's idle time is left alone.
            (
                ServerOptions::new().keep_alive(true).keep_alive_initial_delay(Duration::from_millis(999)),
                ConnectionOptions { keep_alive: true, ..untouched() },
            ),
            // A delay alone turns nothing on.
            (ServerOptions::new().keep_alive_initial_delay(Duration::from_secs(5)), untouched()),
        ];
        for (row, (options, expected)) in rows.into_iter().enumerate() {
            let log = Log::new();
            support::pair(
                event_loop,
                &log,
                options,
                ConnectOptions::new(),
                move |accepted| {
                    assert_eq!(ConnectionOptions::of_socket(accepted), expected, "row {row}");
                    let (local, peer) = (accepted.local_port(), accepted.remote_port());
                    kernel::connected(local.expect("a port"), peer.expect("a port"), |descriptor| {
                        assert!(SockRef::from(&descriptor).nonblocking().expect("O_NONBLOCK"), "row {row}");
                        assert!(kernel::closes_on_exec(descriptor), "row {row}");
                    });
                    log.add("S", "looked");
                    accepted.destroy();
                },
                |_| {},
            );
            log.assert_of("S", "connection, looked |x close(false)");
        }
    });
}

/// S35: what is set on a server that listens holds for the next connection, whatever the listening socket hands down.
#[test]
fn s35_options_that_change_while_listening() {
    fn everything(server: Server) {
        server.set_no_delay(true).set_keep_alive(true).set_keep_alive_initial_delay(Duration::from_secs(5));
    }
    fn nothing(server: Server) {
        server.set_no_delay(false).set_keep_alive(false);
    }
    fn another_delay(server: Server) {
        server.set_keep_alive_initial_delay(Duration::from_secs(9));
    }
    fn no_delay_of_its_own(server: Server) {
        server.set_keep_alive_initial_delay(Duration::ZERO);
    }
    let untouched = ConnectionOptions::untouched;
    let all = |seconds| ConnectionOptions { no_delay: true, ..ConnectionOptions::kept_alive_after(seconds) };
    let five = Duration::from_secs(5);
    let full = || ServerOptions::new().no_delay(true).keep_alive(true).keep_alive_initial_delay(five);
    let rows = [
        (ServerOptions::new(), everything as fn(Server), all(5)),
        (full(), everything, all(5)),
        (full(), nothing, untouched()),
        (full(), another_delay, all(9)),
        // The times are the system's then, not those that were handed down.
        (full(), no_delay_of_its_own, ConnectionOptions { no_delay: true, keep_alive: true, ..untouched() }),
        (ServerOptions::new().keep_alive(true), nothing, untouched()),
        (ServerOptions::new().no_delay(true), nothing, untouched()),
    ];
    for (row, (options, change, expected)) in rows.into_iter().enumerate() {
        support::test(|event_loop| {
            let server = net::create_server_with(options, move |socket| {
                assert_eq!(ConnectionOptions::of_socket(socket), expected, "row {row}");
                socket.destroy().server().expect("its server").close();
            });
            server.once_listening(move |server| {
                change(server);
                net::connect(server.address().expect("it listens")).expect("valid").resume();
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
            event_loop.run().expect("no unhandled error");
        });
    }
}

/// S35: a listening socket that somebody else made is left as it is; what it accepts gets the options all the same.
#[test]
fn s35_an_adopted_listening_socket_is_left_as_it_is() {
    support::test(|event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let same = listener.try_clone().expect("a second descriptor");
        let options =
            ServerOptions::new().no_delay(true).keep_alive(true).keep_alive_initial_delay(Duration::from_secs(5));
        let server = net::create_server_with(options, move |socket| {
            let expected = ConnectionOptions { no_delay: true, ..ConnectionOptions::kept_alive_after(5) };
            assert_eq!(ConnectionOptions::of_socket(socket), expected);
            socket.destroy().server().expect("its server").close();
        });
        server.once_listening(move |server| {
            let shared = ConnectionOptions::of(std::os::fd::AsFd::as_fd(&same));
            assert_eq!(shared, ConnectionOptions::untouched());
            net::connect(server.address().expect("it listens")).expect("valid").resume();
        });
        server.listen(ListenOptions::new().fd(listener)).expect("listen");
        event_loop.run().expect("no unhandled error");
    });
}

/// One way to make a socket that keeps its connection alive after a delay.
type Make = fn(Duration) -> Socket;

/// C45, C48: options given with the address, to the constructor or before `connect` are on the socket at `connect`.
#[test]
fn c48_options_are_applied_before_connect_is_emitted() {
    let wanted = || ConnectionOptions { no_delay: true, ..ConnectionOptions::kept_alive_after(3) };
    let delay = Duration::from_millis(3999);
    support::test(|event_loop| {
        let make: [(&str, Make); 3] = [
            ("constructor", |delay| {
                let options = net::SocketOptions::new();
                Socket::with_options(options.no_delay(true).keep_alive(true).keep_alive_initial_delay(delay))
            }),
            ("methods before connect", |delay| {
                let socket = Socket::new();
                socket.set_no_delay(true);
                socket.set_keep_alive(true, delay);
                socket
            }),
            ("methods after connect", |delay| {
                let socket = Socket::new();
                // Runs in the tick after connect(): the attempt is under way then.
                socket.once_connection_attempt(move |socket, _| {
                    socket.set_no_delay(true);
                    socket.set_keep_alive(true, delay);
                });
                socket
            }),
        ];
        for (how, make) in make {
            let log = Log::new();
            let server = net::create_server(|socket| {
                socket.end();
            });
            server.once_listening(move |server| {
                let socket = make(delay);
                socket.on_connect(move |socket| {
                    log.add("C", "connect");
                    assert_eq!(ConnectionOptions::of_socket(socket), wanted(), "{how}");
                });
                socket.on_close(move |_, had_error| {
                    log.add("C", format!("close({had_error})"));
                    server.close();
                });
                socket.connect(("127.0.0.1", port_of(server))).expect("connect");
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
            event_loop.run().expect("no unhandled error");
            log.assert_of("C", "connect |x close(false)");
        }
        let log = Log::new();
        support::pair(
            event_loop,
            &log,
            ServerOptions::new(),
            ConnectOptions::new().no_delay(true).keep_alive(true).keep_alive_initial_delay(delay),
            |accepted| {
                accepted.end();
            },
            move |client| {
                client.on_connect(move |client| {
                    assert_eq!(ConnectionOptions::of_socket(client), wanted(), "connect options");
                    log.add("C", "looked");
                });
            },
        );
        log.assert_of("C", "connectionAttempt | connect, looked, ready | ~ end | ~ finish |x close(false)");
    });
}

/// C45: both settings can be changed and taken back while the connection lives.
#[test]
fn c45_options_can_be_changed_on_a_live_socket() {
    support::test(|event_loop| {
        let log = Log::new();
        support::pair(
            event_loop,
            &log,
            ServerOptions::new(),
            ConnectOptions::new(),
            |accepted| {
                accepted.end();
            },
            move |client| {
                client.on_connect(move |client| {
                    let now = || ConnectionOptions::of_socket(client);
                    assert_eq!(now(), ConnectionOptions::untouched());
                    client.set_no_delay(true);
                    assert_eq!(now(), ConnectionOptions { no_delay: true, ..ConnectionOptions::untouched() });
                    client.set_no_delay(false);
                    client.set_keep_alive(true, Duration::ZERO);
                    assert_eq!(now(), ConnectionOptions { keep_alive: true, ..ConnectionOptions::untouched() });
                    client.set_keep_alive(true, Duration::from_millis(2500));
                    assert_eq!(now(), ConnectionOptions::kept_alive_after(2));
                    client.set_keep_alive(false, Duration::ZERO);
                    assert!(!now().keep_alive);
                    log.add("C", "looked");
                });
            },
        );
        log.assert_of("C", "connectionAttempt | connect, looked, ready | ~ end | ~ finish |x close(false)");
    });
}

/// C41, C45: a reconnect keeps both settings.
#[test]
fn c41_a_reconnect_keeps_the_options() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(|socket| {
            socket.end();
        });
        server.once_listening(move |server| {
            let address = ("127.0.0.1", port_of(server));
            let client = net::connect(address).expect("connect");
            client.set_no_delay(true);
            client.set_keep_alive(true, Duration::from_secs(4));
            client.on_connect(move |client| {
                let options = ConnectionOptions::of_socket(client);
                let expected = ConnectionOptions { no_delay: true, ..ConnectionOptions::kept_alive_after(4) };
                assert_eq!(options, expected);
                log.add("C", "connect");
            });
            client.once_close(move |client, _| {
                log.add("C", "close");
                client.connect(address).expect("reconnect");
                client.once_close(move |_, _| {
                    log.add("C", "close");
                    server.close();
                });
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connect |x close | connect |x close");
    });
}

/// C5: a local address or port brings SO_REUSEADDR; a client without one does not have it.
#[test]
fn c5_clients_with_a_local_address_reuse_it() {
    support::test(|event_loop| {
        for (options, expected) in
            [(ConnectOptions::new(), false), (ConnectOptions::new().local_address("127.0.0.1"), true)]
        {
            let log = Log::new();
            support::pair(
                event_loop,
                &log,
                ServerOptions::new(),
                options,
                |accepted| {
                    accepted.end();
                },
                move |client| {
                    client.on_connect(move |client| {
                        let (local, peer) = (client.local_port().expect("a port"), client.peer_addr().expect("a peer"));
                        kernel::connected(local, peer.port(), |descriptor| {
                            let socket = SockRef::from(&descriptor);
                            assert_eq!(socket.reuse_address().expect("SO_REUSEADDR"), expected);
                            assert!(socket.nonblocking().expect("O_NONBLOCK"));
                            assert!(kernel::closes_on_exec(descriptor));
                        });
                        log.add("C", "looked");
                    });
                },
            );
            log.assert_of("C", "connectionAttempt | connect, looked, ready | ~ end | ~ finish |x close(false)");
        }
    });
}
