//! Rules L1 and L4 to L8: from `connect()` to `ready`, or to the failure.

use std::cell::Cell;

use halfclose::net::{self, ConnectOptions, Server, Socket, SocketEvent};

use crate::support::{Stage, callback, in_a_loop, port_of, watch_data, watch_data_bytes, watch_socket};
use crate::{A_WHILE, consume, consume_as_client, plain_client, plain_server, refusing_port};

/// L1: `connect() ~ connectionAttempt | connect, ready` for an IP address as host.
#[test]
fn l1_connect_to_an_address() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        stage.log.add("C", format!("[returned, connecting={}]", socket.connecting()));
        socket.on_connect(move |socket| {
            stage.log.add("C", format!("connecting={}", socket.connecting()));
            socket.destroy();
        });
    });
    log.assert_of(
        "C",
        "[returned, connecting=true] ~ connectionAttempt | connect, connecting=false, ready |x close(false)",
    );
    log.assert_of("S", "connection | ~ end | ~ finish |x close(false)");
}

/// L4: the callback given to `connect` is a one-shot `connect` listener in its place among the others.
#[test]
fn l4_connect_callback_is_a_listener() {
    let log = in_a_loop(|log| {
        let server = net::create_server(|socket| {
            socket.destroy();
        });
        server.once_listening(move |server| {
            let socket = Socket::new();
            socket.on_ready(move |_| log.add("C", "ready"));
            socket.on_connect(move |_| log.add("C", "before"));
            let to = ("127.0.0.1", port_of(server));
            socket.connect_with(to, move |_| log.add("C", "callback")).expect("connect");
            socket.on_connect(move |socket| {
                log.add("C", format!("after, {} listeners left", socket.listener_count(SocketEvent::Connect)));
            });
            socket.on_data(|_, _| {});
            socket.on_close(move |_, had_error| {
                log.add("C", format!("close({had_error})"));
                server.close();
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of("C", "before, callback, after, 2 listeners left, ready |x close(false)");
}

/// L4: the callback of a failed attempt stays registered and is called when a later attempt succeeds.
#[test]
fn l4_connect_callback_outlives_a_failed_attempt() {
    let log = in_a_loop(|log| {
        let server = net::create_server(|socket| {
            socket.destroy();
        });
        server.once_listening(move |server| {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            watch_data(&log, "C", socket);
            let refusing = ("127.0.0.1", refusing_port());
            socket.connect_with(refusing, move |_| log.add("C", "first callback")).expect("connect");
            let mut closes = 0;
            socket.on_close(move |socket, _| {
                closes += 1;
                if closes == 1 {
                    let to = ("127.0.0.1", port_of(server));
                    socket.connect_with(to, move |_| log.add("C", "second callback")).expect("connect again");
                } else {
                    server.close();
                }
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of(
        "C",
        "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) |x close(true) \
         ~ connectionAttempt | connect, first callback, second callback, ready | ~ end | ~ finish |x close(false)",
    );
}

/// L5: what was written while connecting is sent during `connect`, at the place of the first write among its listeners;
/// the first write's callback runs there, the others in the next tick.
#[test]
fn l5_queued_writes_are_flushed_in_connect() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| watch_data_bytes(&stage.log, "S", socket),
        |stage, socket| {
            socket.write_with("a", callback(&stage.log, "C", "cb(a)"));
            socket.write_with("b", callback(&stage.log, "C", "cb(b)"));
            socket.on_connect(move |socket| {
                stage.log.add("C", "listener after the write");
                socket.end();
            });
            consume_as_client(stage, socket);
        },
    );
    log.assert_of(
        "C",
        "connectionAttempt | connect, cb(a), listener after the write, ready ~ cb(b) \
         | ~ finish | ~ end |x close(false)",
    );
    log.assert_of("S", "connection | data(ab) | ~ end | ~ finish |x close(false)");
}

/// L5: a `drain` that is due comes inside `connect`, too, before the first write's callback.
#[test]
fn l5_drain_of_queued_writes_comes_in_connect() {
    let options = ConnectOptions::new().writable_high_water_mark(2);
    let log = Stage::play(plain_server(), options, consume, |stage, socket| {
        let first = socket.write_with("a", callback(&stage.log, "C", "cb(a)"));
        let second = socket.write_with("b", callback(&stage.log, "C", "cb(b)"));
        stage.log.add("C", format!("[{first}, {second}]"));
        socket.on_connect(|socket| {
            socket.end();
        });
        consume_as_client(stage, socket);
    });
    log.assert_of(
        "C",
        "[true, false] ~ connectionAttempt | connect, drain, cb(a), ready ~ cb(b) | ~ finish | ~ end |x close(false)",
    );
}

/// L5, where Node is not to be copied: the flush is no listener. It is not counted, and removing all listeners of
/// `connect` does not remove it.
#[test]
fn l5_flush_is_no_listener() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| watch_data_bytes(&stage.log, "S", socket),
        |stage, socket| {
            let before = socket.listener_count(SocketEvent::Connect);
            socket.write_with("a", callback(&stage.log, "C", "cb(a)"));
            assert_eq!(socket.listener_count(SocketEvent::Connect), before);
            socket.remove_all_listeners(Some(SocketEvent::Connect));
            assert_eq!(socket.listener_count(SocketEvent::Connect), 0);
            socket.on_ready(|socket| {
                socket.end();
            });
            consume_as_client(stage, socket);
        },
    );
    log.assert_of("C", "connectionAttempt | cb(a), ready | ~ finish | ~ end |x close(false)");
    log.assert_of("S", "connection | data(a) | ~ end | ~ finish |x close(false)");
}

/// L6: reading starts after `ready`, also when the bytes are there already.
#[test]
fn l6_reading_starts_after_ready() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.end_data("x");
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_connect(move |socket| stage.log.add("C", format!("read={}", socket.bytes_read())));
            socket.on_ready(move |socket| stage.log.add("C", format!("read={}", socket.bytes_read())));
        },
    );
    log.assert_of("C", "connectionAttempt | connect, read=0, ready, read=0 | data | ~ end | ~ finish |x close(false)");
    log.assert_of("S", "connection | ~ finish | ~ end |x close(false)");
}

/// L6: a socket that was paused before it connected reads nothing until it is resumed.
#[test]
fn l6_paused_socket_does_not_read() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.end_data("x");
        },
        |stage, socket| {
            socket.pause();
            consume_as_client(stage, socket);
            socket.on_ready(move |socket| {
                halfclose::set_timeout(A_WHILE, move || {
                    stage.log.add("C", format!("[resume, read={}]", socket.bytes_read()));
                    socket.resume();
                });
            });
        },
    );
    log.assert_of(
        "C",
        "connectionAttempt | connect, ready | [resume, read=0] | data | ~ end | ~ finish |x close(false)",
    );
}

/// L7: a refused connection; inside `error` the socket is neither connecting nor alive.
#[test]
fn l7_refused() {
    let log = in_a_loop(|log| {
        let port = refusing_port();
        let socket = Socket::new();
        watch_socket(&log, "C", socket);
        socket.on_error(move |socket, error| {
            log.add("C", format!("connecting={} destroyed={}", socket.connecting(), socket.destroyed()));
            assert_eq!(error.to_string(), format!("connect ECONNREFUSED 127.0.0.1:{port}"));
        });
        socket.connect(("127.0.0.1", port)).expect("connect");
    });
    log.assert_of(
        "C",
        "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) \
         ~ error(connect ECONNREFUSED), connecting=false destroyed=true |x close(true)",
    );
}

/// L8: the callbacks of what was queued run inside `close`, after the listeners that were there before the first write.
#[test]
fn l8_refused_with_queued_output() {
    let log = in_a_loop(|log| {
        let socket = Socket::new();
        watch_socket(&log, "C", socket);
        socket.connect(("127.0.0.1", refusing_port())).expect("connect");
        socket.write_with("a", callback(&log, "C", "cb1"));
        socket.write_with("b", callback(&log, "C", "cb2"));
        socket.end_with(callback(&log, "C", "endcb"));
    });
    log.assert_of(
        "C",
        "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) \
         |x close(true), cb1(ERR_SOCKET_CLOSED_BEFORE_CONNECTION), cb2(connect ECONNREFUSED), \
         endcb(connect ECONNREFUSED)",
    );
}

/// L8: … and before the listeners that were added after it.
#[test]
fn l8_refused_with_output_queued_before_the_close_listener() {
    let log = in_a_loop(|log| {
        let socket = Socket::new();
        socket.on_error(move |_, _| log.add("C", "error"));
        socket.connect(("127.0.0.1", refusing_port())).expect("connect");
        socket.write_with("a", callback(&log, "C", "cb1"));
        socket.write_with("b", callback(&log, "C", "cb2"));
        socket.end_with(callback(&log, "C", "endcb"));
        socket.on_close(move |_, had_error| log.add("C", format!("close({had_error})")));
    });
    log.assert_of(
        "C",
        "error |x cb1(ERR_SOCKET_CLOSED_BEFORE_CONNECTION), cb2(connect ECONNREFUSED), \
         endcb(connect ECONNREFUSED), close(true)",
    );
}

/// L8: without a write the callback of `end` comes one tick before `error`.
#[test]
fn l8_refused_with_only_an_end() {
    let log = in_a_loop(|log| {
        let socket = Socket::new();
        watch_socket(&log, "C", socket);
        socket.connect(("127.0.0.1", refusing_port())).expect("connect");
        socket.end_with(callback(&log, "C", "endcb"));
    });
    log.assert_of(
        "C",
        "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ endcb(connect ECONNREFUSED) \
         ~ error(connect ECONNREFUSED) |x close(true)",
    );
}

/// L7 and L22: the socket of a failed attempt can be used again, and each attempt closes once.
#[test]
fn l7_every_failed_attempt_closes_once() {
    let log = in_a_loop(|log| {
        let port = refusing_port();
        let socket = Socket::new();
        watch_socket(&log, "C", socket);
        let attempts = Cell::new(1);
        socket.on_close(move |socket, _| {
            if attempts.get() < 3 {
                attempts.set(attempts.get() + 1);
                socket.connect(("127.0.0.1", port)).expect("connect again");
            }
        });
        socket.connect(("127.0.0.1", port)).expect("connect");
    });
    let attempt = "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) \
                   |x close(true)";
    log.assert_of("C", &format!("{attempt} ~ {attempt} ~ {attempt}"));
}

/// L4 with a server that is `Server::new()` and gets its listener later: the order of both ends' listeners is theirs.
#[test]
fn l4_listeners_run_in_the_order_of_their_registration() {
    let log = in_a_loop(|log| {
        let server = Server::new();
        server.on_connection(move |_, _| log.add("srv", "first"));
        server.on_connection(move |server, socket| {
            log.add("srv", "second");
            socket.destroy();
            server.close();
        });
        server.once_listening(move |server| {
            let to = ("127.0.0.1", port_of(server));
            let socket = net::connect_with(to, move |_| log.add("C", "callback")).expect("connect");
            socket.on_connect(move |_| log.add("C", "listener"));
            socket.on_ready(move |_| log.add("C", "ready"));
            socket.resume();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of("srv", "first, second");
    log.assert_of("C", "callback, listener, ready");
}
