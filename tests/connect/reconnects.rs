//! `connect` on sockets that had a connection before, or have one still: C40-C43.

use std::time::Duration;

use halfclose::net::{self, Socket};

use crate::support::{self, Log, RawListener, watch_data, watch_socket};
use crate::{ENDED_BY_THE_SERVER, ending_server, state, with_server};

/// C40: a second `connect` while the first is under way fails the socket with EALREADY.
#[test]
fn c40_connect_while_connecting_is_ealready() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, ending_server(), false, move |server, port| {
            let client = net::connect(("127.0.0.1", port)).expect("connect");
            watch_socket(&log, "C", client);
            client.connect(("127.0.0.1", port)).expect("no error yet");
            log.add("C", "connect() twice");
            client.on_error(move |_, error| {
                let text = error.to_string();
                let start = format!("connect EALREADY 127.0.0.1:{port} - Local (127.0.0.1:");
                assert!(text.starts_with(&start) && text.ends_with(')'), "{text}");
                assert_eq!((error.address(), error.port()), (Some("127.0.0.1"), Some(i32::from(port))));
                assert_eq!((error.local_address(), error.local_port()), (None, None));
            });
            client.on_close(move |_, _| {
                server.close();
            });
        });
        log.assert_of(
            "C",
            "connect() twice ~ connectionAttempt ~ connectionAttempt ~ error(connect EALREADY) |x close(true)",
        );
    });
}

/// C40, decided differently from Node, where it is undefined: on a connected socket the call fails and changes nothing.
#[test]
fn c40_connect_on_a_connected_socket_is_eisconn() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(|socket| {
            // Echoes, and ends with its client.
            socket.on_data(|socket, bytes| {
                socket.write(bytes);
            });
        });
        with_server(event_loop, server, false, move |server, port| {
            let client = net::connect(("127.0.0.1", port)).expect("connect");
            watch_socket(&log, "C", client);
            watch_data(&log, "C", client);
            client.once_ready(move |client| {
                client.write("x");
            });
            let mut tries = 0;
            let mut try_again = move |client: Socket| {
                let error = client.connect(("127.0.0.1", port)).expect_err("connected");
                assert_eq!(error.code(), Some("EISCONN"));
                tries += 1;
                log.add("C", format!("refused {tries}, {}", state(client)));
            };
            client.on_data(move |client, _| {
                try_again(client);
                client.end();
            });
            client.on_end(move |client| {
                assert_eq!(client.connect(("127.0.0.1", port)).expect_err("connected").code(), Some("EISCONN"));
            });
            client.on_close(move |_, _| {
                server.close();
            });
        });
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | data, refused 1, open | ~ finish | ~ end |x close(false)",
        );
    });
}

/// C41: inside `close`. State starts afresh; listeners, flow and half-open setting stay.
#[test]
fn c41_reconnect_inside_close() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(|socket| {
            socket.end_data("x");
        });
        with_server(event_loop, server, false, move |server, port| {
            let client = net::connect(("127.0.0.1", port)).expect("connect");
            client.set_allow_half_open(false);
            watch_socket(&log, "C", client);
            watch_data(&log, "C", client);
            client.once_connect(|client| {
                client.write("abc");
            });
            client.once_close(move |client, _| {
                assert_eq!((client.bytes_read(), client.bytes_written()), (1, 3));
                assert!(client.readable_ended() && client.writable_finished() && !client.readable());
                client.connect(("127.0.0.1", port)).expect("reconnect");
                log.add("C", format!("reconnect: {}", state(client)));
                assert_eq!((client.bytes_read(), client.bytes_written()), (0, 0));
                assert!(!client.readable_ended() && !client.writable_ended() && !client.writable_finished());
                assert!(client.readable() && client.writable());
                assert_eq!(client.readable_flowing(), Some(true));
                client.once_close(move |client, _| {
                    assert_eq!((client.bytes_read(), client.bytes_written()), (1, 0));
                    server.close();
                });
            });
        });
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | data | ~ end | ~ finish |x close(false), reconnect: opening connecting \
             pending ~ connectionAttempt | connect, ready | data | ~ end | ~ finish |x close(false)",
        );
    });
}

/// C41: inside `close` after a refusal, as programs that wait for a server do.
#[test]
fn c41_reconnect_inside_close_after_a_refusal() {
    let (holder, port) = support::refusing_port();
    support::test(|event_loop| {
        let log = Log::new();
        halfclose::set_immediate(move || {
            let client = net::connect(("127.0.0.1", port)).expect("connect");
            watch_socket(&log, "C", client);
            client.once_close(move |client, _| {
                assert_eq!(client.errored().expect("the error").code(), Some("ECONNREFUSED"));
                client.connect(("127.0.0.1", port)).expect("reconnect");
                assert!(client.errored().is_none());
                log.add("C", "reconnect");
            });
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) |x close(true), \
             reconnect ~ connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) \
             |x close(true)",
        );
        assert_eq!(event_loop.connections(), 0);
    });
    drop(holder);
}

/// C41, D14, N10: inside `error`. The old `close(true)` comes after the new attempt began, and what was written to the
/// new connection belongs to it: Node's old `close` would fail that write.
#[test]
fn c41_reconnect_inside_error() {
    let (holder, closed_port) = support::refusing_port();
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(move |socket| {
            support::watch_data_bytes(&log, "S", socket);
        });
        with_server(event_loop, server, false, move |server, port| {
            let client = net::connect(("127.0.0.1", closed_port)).expect("connect");
            watch_socket(&log, "C", client);
            client.once_error(move |client, _| {
                log.add("C", state(client));
                client.connect(("127.0.0.1", port)).expect("reconnect");
                log.add("C", state(client));
                assert!(client.write_with("hello", support::callback(&log, "C", "written")));
            });
            client.once_close(move |client, _| {
                assert!(client.connecting() && !client.destroyed());
                client.once_close(move |_, _| {
                    server.close();
                });
            });
            client.on_ready(|client| {
                client.end();
            });
        });
        log.assert_of(
            "C",
            "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED), \
             closed pending destroyed closed, opening connecting pending ~ connectionAttempt |x close(true) \
             | connect, written, ready | ~ finish | ~ end |x close(false)",
        );
        log.assert_of("S", "data(hello)");
    });
    drop(holder);
}

/// C41 and the table of lifetimes: from a timer after `close`, a socket that was retained; one that was not is gone.
#[test]
fn c41_reconnect_after_close() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, ending_server(), false, move |server, port| {
            let kept = net::connect(("127.0.0.1", port)).expect("connect");
            let gone = net::connect(("127.0.0.1", port)).expect("connect");
            kept.retain();
            watch_socket(&log, "C", kept);
            kept.once_close(move |_, _| {
                halfclose::set_timeout(Duration::from_millis(5), move || {
                    assert!(gone.connect(("127.0.0.1", port)).is_err(), "a freed handle cannot connect");
                    kept.connect(("127.0.0.1", port)).expect("reconnect");
                    log.add("C", "reconnect");
                    kept.once_close(move |kept, _| {
                        kept.release();
                        server.close();
                    });
                });
            });
        });
        log.assert_of(
            "C",
            &format!(
                "connectionAttempt | {ENDED_BY_THE_SERVER} | reconnect ~ connectionAttempt | {ENDED_BY_THE_SERVER}"
            ),
        );
        assert_eq!(event_loop.connections(), 0);
    });
}

/// Destroys and reconnects a socket somewhere else than where this is called.
type Elsewhere = fn(Log, Socket, u16);

/// C42: destroyed and reconnected in one turn. From a poll callback, a tick or an immediate the old `close` comes before
/// the new `connect`; from a timer after it.
#[test]
fn c42_destroy_and_reconnect_in_one_turn() {
    fn again(log: Log, client: Socket, port: u16) {
        client.destroy();
        client.connect(("127.0.0.1", port)).expect("reconnect");
        log.add("C", format!("again: {}", state(client)));
    }
    let close_first = "~ connectionAttempt |x close(false) | connect, ready | data";
    let connect_first = "~ connectionAttempt | connect, ready |x close(false) | data";
    let rows: [(&str, Elsewhere, &str, &str); 4] = [
        ("poll", again, ",", close_first),
        ("tick", |log, client, port| halfclose::next_tick(move || again(log, client, port)), " ~", close_first),
        (
            "immediate",
            |log, client, port| {
                halfclose::set_immediate(move || again(log, client, port));
            },
            " |",
            close_first,
        ),
        (
            "timer",
            |log, client, port| {
                halfclose::set_timeout(Duration::from_millis(1), move || again(log, client, port));
            },
            " |",
            connect_first,
        ),
    ];
    support::test(|event_loop| {
        for (place, go, distance, sequence) in rows {
            println!("{place}");
            let log = Log::new();
            let server = net::create_server(|socket| {
                socket.on_error(|_, _| {});
                socket.write("x");
            });
            with_server(event_loop, server, false, move |server, port| {
                let client = net::connect(("127.0.0.1", port)).expect("connect");
                watch_socket(&log, "C", client);
                watch_data(&log, "C", client);
                let mut round = 0;
                client.on_data(move |client, _| {
                    round += 1;
                    if round == 1 {
                        go(log, client, port);
                        return;
                    }
                    client.remove_all_listeners(None);
                    client.destroy();
                    server.close();
                });
            });
            log.assert_of(
                "C",
                &format!(
                    "connectionAttempt | connect, ready | data{distance} again: opening connecting pending {sequence}"
                ),
            );
        }
        assert_eq!(event_loop.connections(), 0);
    });
}

/// C42, L31: the same with an error: `error` comes first, then the attempt, then the old `close(true)`.
#[test]
fn c42_destroy_with_an_error_and_reconnect_in_one_turn() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(|socket| {
            socket.on_error(|_, _| {});
        });
        with_server(event_loop, server, false, move |server, port| {
            let client = net::connect(("127.0.0.1", port)).expect("connect");
            watch_socket(&log, "C", client);
            client.once_ready(move |client| {
                halfclose::set_immediate(move || {
                    client.destroy_with("why");
                    client.connect(("127.0.0.1", port)).expect("reconnect");
                    log.add("C", format!("again: {}", state(client)));
                    assert!(client.errored().is_none());
                    client.once_ready(move |client| {
                        client.destroy();
                        server.close();
                    });
                });
            });
        });
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | again: opening connecting pending ~ error(why) ~ connectionAttempt \
             |x close(true) | connect, ready |x close(false)",
        );
    });
}

/// C43, T9: a reconnect shows the old idle timeout and does not arm it.
#[test]
fn c43_a_reconnect_does_not_arm_the_idle_timer() {
    support::test(|event_loop| {
        let log = Log::new();
        let idle = Duration::from_millis(20);
        let server = net::create_server(|socket| {
            socket.on_error(|_, _| {});
        });
        with_server(event_loop, server, false, move |server, port| {
            let client = net::connect(("127.0.0.1", port)).expect("connect");
            watch_socket(&log, "C", client);
            client.set_timeout(idle);
            client.once_timeout(|client| {
                client.destroy();
            });
            client.once_close(move |client, _| {
                client.connect(("127.0.0.1", port)).expect("reconnect");
                assert_eq!(client.timeout(), Some(idle));
                // Long enough for an armed timer to fire.
                halfclose::set_timeout(idle * 5, move || {
                    log.add("C", "still idle");
                    client.destroy();
                    server.close();
                });
            });
        });
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | timeout |x close(false) ~ connectionAttempt | connect, ready \
             | still idle |x close(false)",
        );
    });
}

/// C43, R6: a reconnected socket keeps the loop alive, although it was unref'd in its first life.
#[test]
fn c43_a_reconnected_socket_is_referenced() {
    let listener = RawListener::bind();
    let port = listener.port();
    let peer = support::in_thread(move || {
        listener.accept().close();
        let mut second = listener.accept();
        // Lets the loop reach the point where only the client could keep it running.
        support::busy(Duration::from_millis(50));
        second.half_close();
        second.read_to_end().expect("the client's end")
    });
    support::test(|event_loop| {
        let log = Log::new();
        let client = net::connect(("127.0.0.1", port)).expect("connect");
        watch_socket(&log, "C", client);
        client.once_end(|client| {
            client.unref();
        });
        client.once_close(move |client, _| {
            client.connect(("127.0.0.1", port)).expect("reconnect");
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            &format!("connectionAttempt | {ENDED_BY_THE_SERVER} ~ connectionAttempt | {ENDED_BY_THE_SERVER}"),
        );
    });
    assert!(peer.join().is_empty());
}
