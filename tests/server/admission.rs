//! Who is let in, and with which settings: S30-S33, S35, S37, X15, and the fields of 1.2 that are read at each accept.

use std::cell::Cell;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, BlockList, DroppedConnection, Family, Server, ServerOptions, Socket};

use crate::run_from_callback;
use crate::support::{self, Log, port_of, watch_server, watch_socket};

/// A watched server that logs `drop` too.
fn watched(log: &Log, options: ServerOptions) -> Server {
    let server = Server::with_options(options);
    watch_server(log, "srv", server);
    let log = *log;
    server.on_drop(move |_, _| {
        log.add("srv", "drop");
        halfclose::next_tick(move || log.add("srv", "tick"));
    });
    server
}

fn client_of(log: &Log, name: &str, server: Server) -> Socket {
    let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
    watch_socket(log, name, client);
    client.resume();
    client
}

/// S31, 1.2: the limit is compared at accept time with what lives then. `drop` comes instead of `connection`, in the same
/// place; the client sees a connection that ends.
#[test]
fn s31_one_connection_too_many_is_dropped() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = watched(&log, ServerOptions::new());
        assert_eq!(server.max_connections(), None);
        server.set_max_connections(Some(1));
        assert_eq!(server.max_connections(), Some(1));
        let accepted = Rc::new(Cell::new(None));
        let first = accepted.clone();
        server.once_connection(move |server, socket| {
            first.set(Some(socket));
            client_of(&log, "second", server);
        });
        server.once_drop(move |server, _| {
            assert_eq!(server.connections(), 1);
            // The place is free at once.
            accepted.get().expect("the first").destroy();
            client_of(&log, "third", server);
            server.on_connection(|server, socket| {
                socket.destroy();
                server.close();
            });
        });
        server.once_listening(move |server| {
            client_of(&log, "first", server);
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listening | connection | drop ~ tick | connection ~ close");
        log.assert_of("second", "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false)");
        log.assert_of("third", "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false)");
    });
}

/// S31: 0 drops all, and no limit lets everybody in again.
#[test]
fn s31_zero_lets_nobody_in() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = watched(&log, ServerOptions::new());
        server.set_max_connections(Some(0));
        server.once_drop(move |server, _| {
            server.set_max_connections(None);
            client_of(&log, "C", server);
        });
        server.once_connection(|server, socket| {
            socket.destroy();
            server.close();
        });
        server.once_listening(move |server| {
            client_of(&log, "C0", server);
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listening | drop ~ tick | connection ~ close");
    });
}

/// S31: lowering the limit does not touch the connections that are there.
#[test]
fn s31_lowering_the_limit_ends_nobody() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = watched(&log, ServerOptions::new());
        let accepted = Rc::new(Cell::new(Vec::new()));
        let all = accepted.clone();
        server.on_connection(move |server, socket| {
            let mut sockets = all.take();
            sockets.push(socket);
            if sockets.len() == 2 {
                server.set_max_connections(Some(1));
                client_of(&log, "C3", server);
            }
            all.set(sockets);
        });
        server.once_drop(move |server, _| {
            let sockets = accepted.take();
            assert!(sockets.iter().all(|socket| !socket.destroyed()));
            assert_eq!(server.connections(), 2);
            for socket in sockets {
                socket.destroy();
            }
            server.close();
        });
        server.once_listening(move |server| {
            client_of(&log, "C1", server);
            client_of(&log, "C2", server);
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listening | connection | connection | drop ~ tick ~ close");
    });
}

/// X15, S30: who is turned away is connected, and ended. The limit is looked at before the block list, which makes no event;
/// neither makes a socket, and so nothing is counted.
#[test]
fn x15_s30_who_is_turned_away_sees_an_end() {
    let mut list = BlockList::new();
    list.add_address("127.0.0.1").expect("an address");
    let (blocked, full) = ("listening ~ close", "listening | drop ~ tick ~ close");
    for (block_list, most, expected) in [(true, None, blocked), (false, Some(0), full), (true, Some(0), full)] {
        support::test(|event_loop| {
            let log = Log::new();
            let options = ServerOptions::new();
            let server = watched(&log, if block_list { options.block_list(&list) } else { options });
            server.set_max_connections(most);
            server.once_listening(move |server| {
                let client = client_of(&log, "C", server);
                client.on_close(move |_, _| {
                    assert_eq!(server.connections(), 0);
                    server.close();
                });
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
            event_loop.run().expect("no unhandled error");
            log.assert_of("C", "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false)");
            // The server is closed by the client's `close`, which is a callback of its own.
            log.assert_of("srv", &expected.replace(" ~ close", " |x ~ close"));
        });
    }
}

/// S32: on a dual-stack server the list is asked for `::ffff:127.0.0.1`, and finds the IPv4 rule. It is read at each accept,
/// and can be taken away.
#[test]
fn s32_a_dual_stack_server_blocks_ipv4_peers() {
    support::test(|event_loop| {
        let log = Log::new();
        let mut list = BlockList::new();
        list.add_subnet("127.0.0.0", 8).expect("a subnet");
        let server = watched(&log, ServerOptions::new().block_list(&list));
        server.on_connection(move |server, socket| {
            let address = socket.remote_address().expect("an address");
            assert_eq!(address.to_canonical(), IpAddr::V4(Ipv4Addr::LOCALHOST));
            let dual_stack = server.address().is_some_and(|address| address.is_ipv6());
            assert_eq!(address.is_ipv6(), dual_stack, "without IPv6 the server is no dual-stack one");
            socket.destroy();
            server.close();
        });
        server.once_listening(move |server| {
            client_of(&log, "blocked", server).on_close(move |_, _| {
                server.set_block_list(None);
                client_of(&log, "let in", server);
            });
        });
        server.listen(0).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listening | connection ~ close");
        for name in ["blocked", "let in"] {
            log.assert_of(name, "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false)");
        }
    });
}

/// 1.2: what `drop` is given; S34: on a dual-stack server IPv4 peers have mapped addresses.
#[test]
fn drop_names_both_ends() {
    support::test(|event_loop| {
        for host in [Some("127.0.0.1"), None] {
            let client_port = Rc::new(Cell::new(None));
            let seen = Rc::new(Cell::new(None));
            let server = Server::new();
            server.set_max_connections(Some(0));
            let dropped_by = seen.clone();
            server.once_drop(move |server, dropped: &DroppedConnection| {
                dropped_by.set(Some(dropped.clone()));
                assert_eq!(dropped.local_port(), server.address().map(|address| address.port()));
                server.close();
            });
            let port = client_port.clone();
            server.once_listening(move |server| {
                let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
                client.on_connect(move |client| port.set(client.local_port()));
                client.resume();
            });
            let options = net::ListenOptions::new();
            server.listen(host.map_or(options.clone(), |host| options.host(host))).expect("listen");
            event_loop.run().expect("no unhandled error");
            let dropped = seen.take().expect("a drop event");
            assert_eq!(dropped.remote_port(), client_port.get());
            let address = dropped.remote_address().expect("an address");
            assert_eq!(dropped.local_address(), Some(address), "both ends are on the loopback");
            assert_eq!(address.to_canonical(), IpAddr::V4(Ipv4Addr::LOCALHOST));
            let family = if address.is_ipv6() { Family::IPv6 } else { Family::IPv4 };
            assert_eq!((dropped.local_family(), dropped.remote_family()), (Some(family), Some(family)));
            assert!(host.is_none() || family == Family::IPv4);
        }
    });
}

/// S30, law 8: a `drop` listener that panics does not leave the connection open.
#[test]
fn a_panic_in_a_drop_listener_still_turns_the_connection_away() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        server.set_max_connections(Some(0));
        server.on_drop(|_, _| panic!("in a drop listener"));
        server.once_listening(move |server| {
            let client = client_of(&log, "C", server);
            client.on_close(move |_, _| {
                server.close();
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| event_loop.run()));
        assert_eq!(support::panic_text(&*panicked.expect_err("a panic")), "in a drop listener");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false)");
    });
}

/// S33: a deferred tick with the count of the moment of the call; before `listen` and after `close` too.
#[test]
fn s33_get_connections_answers_in_a_tick_with_the_count_of_the_call() {
    support::test(|event_loop| {
        let log = Log::new();
        let ask = move |server: Server, when: &'static str| {
            server.get_connections(move |count| log.add("srv", format!("{when} {count}")));
            log.add("srv", format!("{when} asked"));
        };
        run_from_callback(event_loop, move || {
            let server = Server::new();
            ask(server, "before");
            server.on_connection(move |server, socket| {
                ask(server, "connection");
                socket.destroy();
                ask(server, "destroyed");
                server.close();
            });
            server.on_close(move |server| ask(server, "closed"));
            server.once_listening(move |server| {
                client_of(&log, "C", server);
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
        });
        log.assert_of(
            "srv",
            "before asked ~ before 0 | connection asked, destroyed asked ~ connection 1 ~ destroyed 0 ~ closed asked \
             ~ closed 0",
        );
        let server = Server::new();
        server.release();
        server.get_connections(move |count| log.add("released", count));
        event_loop.run().expect("no unhandled error");
        log.assert_of("released", "0");
    });
}

/// 1.2: the fields of a server are read at each accept, and start with the options.
#[test]
fn the_fields_of_a_server_are_read_at_each_accept() {
    support::test(|event_loop| {
        let log = Log::new();
        let delay = Duration::from_secs(9);
        let options = ServerOptions::new().allow_half_open(true).no_delay(true).keep_alive(true);
        let server = Server::with_options(options.pause_on_connect(true).keep_alive_initial_delay(delay));
        assert!(server.allow_half_open() && server.pause_on_connect() && server.no_delay() && server.keep_alive());
        assert_eq!((server.keep_alive_initial_delay(), server.high_water_mark()), (delay, 65_536));
        let show = move |socket: Socket| {
            let (half_open, paused) = (socket.allow_half_open(), socket.is_paused());
            let marks = (socket.readable_high_water_mark(), socket.writable_high_water_mark());
            log.add("S", format!("{half_open} {paused} {marks:?}"));
        };
        server.once_connection(move |server, socket| {
            show(socket);
            server.set_allow_half_open(false).set_pause_on_connect(false).set_high_water_mark(10);
            show(socket);
            socket.destroy();
            server.once_connection(move |server, socket| {
                show(socket);
                socket.destroy();
                server.close();
            });
            client_of(&log, "C2", server);
        });
        server.once_listening(move |server| {
            client_of(&log, "C1", server);
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        let texts = ["true true (65536, 65536)", "true true (65536, 65536)", "false false (10, 10)"];
        assert_eq!(log.texts_of("S"), texts);
        assert_eq!(server.high_water_mark(), 10);
        server.release();
        assert_eq!(server.high_water_mark(), 65_536);
        assert!(!server.set_keep_alive(true).keep_alive(), "a released server has no fields");
    });
}

/// S35: the kernel's options follow the fields, too.
#[cfg(target_os = "linux")]
#[test]
fn s35_the_options_of_accepted_sockets_follow_the_fields() {
    use crate::kernel;
    use socket2::SockRef;

    support::test(|event_loop| {
        let server = Server::new();
        server.set_no_delay(true).set_keep_alive(true).set_keep_alive_initial_delay(Duration::from_millis(5999));
        assert!(server.no_delay() && server.keep_alive());
        server.once_connection(|server, socket| {
            let (local, peer) = (socket.local_port().expect("a port"), socket.remote_port().expect("a port"));
            kernel::connected(local, peer, |descriptor| {
                let socket = SockRef::from(&descriptor);
                assert!(socket.tcp_nodelay().expect("TCP_NODELAY"));
                assert!(socket.keepalive().expect("SO_KEEPALIVE"));
                assert_eq!(socket.tcp_keepalive_time().expect("TCP_KEEPIDLE"), Duration::from_secs(5));
            });
            socket.destroy();
            server.close();
        });
        server.once_listening(|server| {
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            client.resume();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
    });
}

/// S37: an accept that fails is no event, as in Node 26; the server stays open and goes on trying.
#[cfg(target_os = "linux")]
#[test]
fn s37_a_failing_accept_is_no_event() {
    // The filter holds for the rest of a thread's life, so it gets one of its own.
    let body = || {
        if !crate::kernel::forbid_accept() {
            return;
        }
        support::test(|event_loop| {
            let log = Log::new();
            let server = watched(&log, ServerOptions::new());
            server.once_listening(move |server| {
                let client = client_of(&log, "C", server);
                client.on_connect(move |client| {
                    // It lies in the backlog. Some turns pass, each of which tries to accept it.
                    halfclose::set_timeout(Duration::from_millis(20), move || {
                        log.add("srv", if server.listening() { "listens" } else { "does not listen" });
                        client.destroy();
                        server.close();
                    });
                });
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
            event_loop.run().expect("no unhandled error");
            log.assert_of("srv", "listening | listens ~ close");
        });
    };
    support::in_thread(body).join();
}

/// 1.4: a listener can be put in front of those that are there; a one-shot one stays one.
#[test]
fn listeners_can_be_put_in_front() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = Server::new();
            server.on_close(move |_| log.add("srv", "1"));
            let second = server.on_close(move |_| log.add("srv", "2"));
            assert!(server.prepend(second));
            let third = server.once_close(move |server| {
                log.add("srv", "3");
                // Too late for this emission.
                server.prepend(server.on_close(move |_| log.add("srv", "4")));
            });
            assert!(server.prepend(third));
            server.close();
            halfclose::set_immediate(move || {
                assert!(!server.prepend(third), "it was called");
                server.close();
            });
            let socket = Socket::new();
            socket.on_error(move |_, _| log.add("C", "error 1"));
            socket.on_close(move |_, _| log.add("C", "close 1"));
            assert!(socket.prepend(socket.on_close(move |_, _| log.add("C", "close 2"))));
            assert!(!socket.prepend(third), "it is another one's");
            socket.destroy_with("over");
        });
        log.assert_of("srv", "3, 2, 1 | ~ 4, 2, 1");
        log.assert_of("C", "error 1 ~ close 2, close 1");
    });
}
