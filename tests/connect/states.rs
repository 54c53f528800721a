//! Addresses and states of a connection: C44 and the properties of 1.3.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, Family, ReadyState, ServerOptions, Socket};

use crate::support::{self, Log, RawListener, RawPeer, describe, loopback, watch_socket};
use crate::{ending_server, state, with_server};

/// C44: the remote address is read on first use and then kept; local addresses are gone with the descriptor.
#[test]
fn c44_remote_addresses_are_kept_from_their_first_use() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, ending_server(), false, move |server, port| {
            let asked = net::connect(("127.0.0.1", port)).expect("connect");
            let never_asked = net::connect(("127.0.0.1", port)).expect("connect");
            let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
            assert_eq!((asked.remote_address(), asked.local_address(), asked.address()), (None, None, None));
            asked.on_connect(move |asked| {
                assert_eq!((asked.remote_address(), asked.remote_port()), (Some(here), Some(port)));
                assert_eq!((asked.remote_family(), asked.local_family()), (Some(Family::IPv4), Some(Family::IPv4)));
                let local_port = asked.local_port().expect("a local port");
                assert_eq!(asked.address(), Some(SocketAddr::new(here, local_port)));
                assert_eq!(asked.local_address(), Some(here));
                assert_eq!(asked.peer_addr(), Some(loopback(port)));
                log.add("C", "asked");
            });
            asked.on_close(move |asked, _| {
                assert_eq!((asked.remote_address(), asked.remote_port()), (Some(here), Some(port)));
                assert_eq!(asked.remote_family(), Some(Family::IPv4));
                assert_eq!((asked.local_address(), asked.local_port(), asked.local_family()), (None, None, None));
                assert_eq!(asked.address(), None);
                log.add("C", "kept");
            });
            never_asked.on_close(move |never_asked, _| {
                let remote = (never_asked.remote_address(), never_asked.remote_port(), never_asked.remote_family());
                assert_eq!(remote, (None, None, None));
                assert_eq!(never_asked.peer_addr(), Some(loopback(port)), "this one always knows");
                assert_eq!((never_asked.local_address(), never_asked.address()), (None, None));
                log.add("C", "unknown");
                server.close();
            });
        });
        let mut entries = log.texts_of("C");
        entries.sort();
        assert_eq!(entries, ["asked", "kept", "unknown"]);
    });
}

/// C44: what was kept is of one connection; a reconnect forgets it.
#[test]
fn c44_a_reconnect_forgets_the_remote_address() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, ending_server(), true, move |server, port| {
            let client = net::connect(("127.0.0.1", port)).expect("connect");
            client.on_connect(move |client| log.add("C", client.remote_address().expect("an address")));
            client.once_close(move |client, _| {
                client.connect(("127.0.0.2", port)).expect("reconnect");
                assert_eq!(client.remote_address(), None);
                client.once_close(move |client, _| {
                    log.add("C", client.remote_address().expect("an address"));
                    server.close();
                });
            });
        });
        log.assert_of("C", "127.0.0.1 | 127.0.0.2 |x 127.0.0.2");
    });
}

/// 1.3: the properties of a socket that was never connected.
#[test]
fn a_new_socket_is_open_and_pending() {
    support::test(|event_loop| {
        let socket = Socket::new();
        assert_eq!(state(socket), "open pending");
        assert_eq!(socket.ready_state(), ReadyState::Open);
        assert!(socket.readable() && socket.writable());
        assert!(!socket.readable_ended() && !socket.writable_ended() && !socket.writable_finished());
        assert!(!socket.writable_need_drain() && !socket.is_paused() && !socket.allow_half_open());
        assert_eq!((socket.bytes_read(), socket.bytes_written()), (0, 0));
        assert_eq!((socket.buffer_size(), socket.readable_length(), socket.writable_length()), (None, 0, 0));
        assert_eq!((socket.readable_high_water_mark(), socket.writable_high_water_mark()), (65536, 65536));
        assert_eq!((socket.readable_flowing(), socket.timeout()), (None, None));
        assert_eq!((socket.address(), socket.remote_address(), socket.peer_addr()), (None, None, None));
        assert!(socket.errored().is_none() && socket.server().is_none());
        assert_eq!(size_of::<Option<Socket>>(), 8);
        assert!(!event_loop.turn(None).expect("no error"), "a new socket keeps no loop alive");
        socket.release();
        assert_eq!(event_loop.connections(), 0);
    });
}

/// 1.3: `ready_state` through the life of a connection whose ends close one after the other.
#[test]
fn the_states_of_a_connection() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ServerOptions::new().allow_half_open(true);
        let server = net::create_server_with(options, move |socket| {
            socket.on_end(move |socket| {
                log.add("S", format!("end: {}", state(socket)));
                halfclose::set_timeout(Duration::from_millis(5), move || {
                    socket.end();
                    log.add("S", format!("end(): {}", state(socket)));
                });
            });
            socket.on_close(move |socket, _| log.add("S", format!("close: {}", state(socket))));
        });
        with_server(event_loop, server, false, move |server, port| {
            let client = Socket::new();
            log.add("C", state(client));
            client.connect(("127.0.0.1", port)).expect("connect");
            log.add("C", format!("connect(): {}", state(client)));
            client.on_connect(move |client| {
                log.add("C", format!("connect: {}", state(client)));
                client.end();
                log.add("C", format!("end(): {}", state(client)));
            });
            client.on_finish(move |client| log.add("C", format!("finish: {}", state(client))));
            client.on_end(move |client| log.add("C", format!("end: {}", state(client))));
            client.on_close(move |client, _| {
                log.add("C", format!("close: {}", state(client)));
                server.close();
            });
        });
        log.assert_of(
            "C",
            "open pending, connect(): opening connecting pending | connect: open, end(): readOnly | ~ finish: readOnly \
             | ~ end: closed |x close: closed pending destroyed closed",
        );
        log.assert_of("S", "end: writeOnly | end(): closed |x close: closed pending destroyed closed");
    });
}

/// C1, R8: commands are taken before the loop runs, and everything comes when it does.
#[test]
fn commands_before_run_are_carried_out_by_it() {
    let listener = RawListener::bind();
    let port = listener.port();
    let peer = support::in_thread(move || {
        let mut peer: RawPeer = listener.accept();
        peer.read_to_end().expect("the client's bytes")
    });
    support::test(|event_loop| {
        let log = Log::new();
        let client = net::connect(("127.0.0.1", port)).expect("connect");
        watch_socket(&log, "C", client);
        client.write("before ");
        client.end_data_with("the loop", support::callback(&log, "C", "endcb"));
        log.assert_of("C", "");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connectionAttempt | connect, ready | ~ endcb, finish | ~ end |x close(false)");
    });
    assert_eq!(peer.join(), b"before the loop");
}

/// L8, C41: the callback of a write that belonged to the failed attempt is told so, once, and not by the next attempt.
#[test]
fn l8_writes_belong_to_the_attempt_they_were_made_for() {
    let (holder, closed_port) = support::refusing_port();
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(move |socket| {
            support::watch_data_bytes(&log, "S", socket);
        });
        with_server(event_loop, server, false, move |server, port| {
            let client = net::connect(("127.0.0.1", closed_port)).expect("connect");
            client.on_error(move |_, error| log.add("C", format!("error({})", describe(error))));
            client.write_with("lost", support::callback(&log, "C", "lost"));
            let rounds = Rc::new(Cell::new(0));
            client.on_close(move |client, had_error| {
                log.add("C", format!("close({had_error})"));
                rounds.set(rounds.get() + 1);
                if rounds.get() == 1 {
                    client.connect(("127.0.0.1", port)).expect("reconnect");
                    client.end_data("kept");
                } else {
                    server.close();
                }
            });
        });
        log.assert_of(
            "C",
            "error(connect ECONNREFUSED) |x lost(ERR_SOCKET_CLOSED_BEFORE_CONNECTION), close(true) |x close(false)",
        );
        log.assert_of("S", "data(kept)");
    });
    drop(holder);
}
