//! What accepted sockets inherit and know, and the listeners of a server: 1.2, 1.4, S34, L21.

use std::time::Duration;

use halfclose::net::{self, Server, ServerEvent, ServerOptions};

use crate::run_from_callback;
use crate::support::{self, Log, port_of};

/// 1.2: `allow_half_open` and `high_water_mark` are copied to each accepted socket; both directions get the mark.
#[test]
fn accepted_sockets_inherit_the_options_of_their_server() {
    support::test(|event_loop| {
        let log = Log::new();
        let rows = [
            (ServerOptions::new(), "false 65536 65536"),
            (ServerOptions::new().allow_half_open(true).high_water_mark(10), "true 10 10"),
        ];
        for (row, (options, expected)) in rows.into_iter().enumerate() {
            let name = format!("row {row}");
            let shown = name.clone();
            let server = net::create_server_with(options, move |socket| {
                let (readable, writable) = (socket.readable_high_water_mark(), socket.writable_high_water_mark());
                log.add(&shown, format!("{} {readable} {writable}", socket.allow_half_open()));
                socket.destroy();
                socket.server().expect("the accepting server").close();
            });
            server.once_listening(|server| {
                net::connect(("127.0.0.1", port_of(server))).expect("connect");
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
            event_loop.run().expect("no unhandled error");
            log.assert_of(&name, expected);
        }
    });
}

/// 1.2, F22: with `pause_on_connect` nothing is read before `resume`.
#[test]
fn pause_on_connect_reads_nothing_before_resume() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ServerOptions::new().pause_on_connect(true);
        support::pair(
            event_loop,
            &log,
            options,
            net::ConnectOptions::new(),
            move |accepted| {
                support::watch_data_bytes(&log, "S", accepted);
                assert!(accepted.is_paused());
                assert_eq!(accepted.readable_flowing(), Some(false));
                // The client's bytes are in the kernel long before this.
                halfclose::set_timeout(Duration::from_millis(20), move || {
                    log.add("S", format!("{} bytes read, resume()", accepted.bytes_read()));
                    accepted.resume();
                });
            },
            |client| {
                client.end_data("hello");
            },
        );
        log.assert_of("S", "connection | 0 bytes read, resume() | data(hello) | ~ end | ~ finish |x close(false)");
    });
}

/// 1.4, M1: listeners run in the order of their registration, a one-shot once, a removed one not at all.
#[test]
fn listeners_of_a_server_can_be_added_and_removed() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = Server::new();
            server.on_close(move |_| log.add("srv", "1"));
            let removed = server.on_close(move |_| log.add("srv", "2"));
            server.once_close(move |_| log.add("srv", "3"));
            server.on_close(move |_| log.add("srv", "4"));
            assert_eq!(server.listener_count(ServerEvent::Close), 4);
            assert!(server.off(removed));
            assert!(!server.off(removed), "a listener is removed once");
            server.close();
            halfclose::set_immediate(move || {
                assert_eq!(server.listener_count(ServerEvent::Close), 2);
                server.close();
                halfclose::set_immediate(move || {
                    server.on_listening(|_| {});
                    server.remove_all_listeners(Some(ServerEvent::Close));
                    assert_eq!(server.listener_count(ServerEvent::Close), 0);
                    assert_eq!(server.listener_count(ServerEvent::Listening), 1);
                    server.remove_all_listeners(None);
                    assert_eq!(server.listener_count(ServerEvent::Listening), 0);
                    server.close();
                });
            });
        });
        log.assert_of("srv", "1, 3, 4 | ~ 1, 4");
    });
}

/// L21: without a `connection` listener connections are accepted all the same.
#[test]
fn l21_a_server_without_a_connection_listener_accepts() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        server.on_close(move |_| log.add("srv", "close"));
        server.once_listening(move |server| {
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            support::watch_socket(&log, "C", client);
            client.on_ready(|client| {
                client.end();
            });
            client.on_end(move |_| {
                server.close();
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connectionAttempt | connect, ready | ~ finish | ~ end |x close(false)");
        log.assert_of("srv", "close");
    });
}
