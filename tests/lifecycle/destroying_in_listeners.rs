//! Rule L39, row by row: `destroy()` inside each listener and callback.

use std::time::Duration;

use halfclose::net::{ConnectOptions, Socket};

use crate::support::{Stage, callback, in_a_loop, watch_data_length, watch_socket};
use crate::{
    MORE_THAN_ONE_READ, TOO_MUCH, consume, consume_as_client, plain_client, plain_server, refusing_port, wait_for_bytes,
};

/// Row `connectionAttempt`, where Node throws: the sane behaviour is to stop.
#[test]
fn l39_in_connection_attempt() {
    let log = in_a_loop(|log| {
        let socket = Socket::new();
        watch_socket(&log, "C", socket);
        socket.on_connection_attempt(|socket, _| {
            socket.destroy();
        });
        socket.connect(("127.0.0.1", refusing_port())).expect("connect");
    });
    log.assert_of("C", "connectionAttempt |x close(false)");
}

/// Row `connectionAttemptFailed`, a single address: the connect error is swallowed.
#[test]
fn l39_in_connection_attempt_failed() {
    let log = in_a_loop(|log| {
        let socket = Socket::new();
        watch_socket(&log, "C", socket);
        socket.on_connection_attempt_failed(|socket, _, _| {
            socket.destroy();
        });
        socket.connect(("127.0.0.1", refusing_port())).expect("connect");
    });
    log.assert_of("C", "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) |x close(false)");
}

/// Row `connect`: `ready` still comes.
#[test]
fn l39_in_connect() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_connect(move |socket| {
            socket.destroy();
            stage.log.add("C", format!("destroyed={}", socket.destroyed()));
        });
    });
    log.assert_of("C", "connectionAttempt | connect, destroyed=true, ready |x close(false)");
    log.assert_of("S", "connection | ~ end | ~ finish |x close(false)");
}

/// Row `ready`: plain destroy.
#[test]
fn l39_in_ready() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(|socket| {
            socket.destroy();
        });
    });
    log.assert_of("C", "connectionAttempt | connect, ready |x close(false)");
    log.assert_of("S", "connection | ~ end | ~ finish |x close(false)");
}

/// Row `data`: no further `data`, also for what the kernel has already.
#[test]
fn l39_in_data() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.write(vec![0; MORE_THAN_ONE_READ]);
        },
        |stage, socket| {
            let mut chunks = 0;
            socket.on_data(move |socket, _| {
                chunks += 1;
                stage.log.add("C", format!("chunk {chunks}"));
                socket.destroy();
            });
        },
    );
    log.assert_after("C", "ready", "| chunk 1 |x close(false)");
    log.assert_of("S", "connection | ~ error(read ECONNRESET) |x close(true)");
}

/// Row `data`, a limit of it that Node has: chunks that were read while paused are delivered in one go, and a destroy in
/// the first of them does not take back the others.
#[test]
fn l39_in_data_with_chunks_buffered() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.write("one");
        },
        |stage, socket| {
            socket.on_data(move |socket, bytes| {
                stage.log.add("C", String::from_utf8_lossy(bytes));
                if bytes == b"one" {
                    // Each of the next two is written when the one before was read, and so is a chunk of its own.
                    socket.pause();
                    stage.accepted().write("two");
                    wait_for_bytes(socket, 6, move || {
                        stage.accepted().write("three");
                        wait_for_bytes(socket, 11, move || {
                            stage.log.add("C", format!("[resume, buffered={}]", socket.readable_length()));
                            socket.resume();
                        });
                    });
                } else {
                    socket.destroy();
                }
            });
        },
    );
    log.assert_after("C", "ready", "| one | [resume, buffered=8] ~ two, three |x close(false)");
}

/// Row `end`: neither an automatic `end()` nor `finish`, but the peer sees a FIN.
#[test]
fn l39_in_end() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.end_data("x");
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_end(|socket| {
                socket.destroy();
            });
        },
    );
    log.assert_after("C", "ready", "| data | ~ end |x close(false)");
    log.assert_of("S", "connection | ~ finish | ~ end |x close(false)");
}

/// Row `finish`: no `end`.
#[test]
fn l39_in_finish() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(|socket| {
            socket.end_data("x");
        });
        socket.on_finish(|socket| {
            socket.destroy();
        });
    });
    log.assert_after("C", "ready", "| ~ finish |x close(false)");
    log.assert_of("S", "connection | data | ~ end | ~ finish |x close(false)");
}

/// Row "write callback": later write callbacks get null, because the kernel has the data; the callback of `end` an error.
#[test]
fn l39_in_a_write_callback() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(move |socket| {
            socket.write_with("x", move |socket, _| {
                stage.log.add("C", "cb1");
                socket.destroy();
            });
            socket.write_with("y", callback(&stage.log, "C", "cb2"));
            socket.end_with(callback(&stage.log, "C", "endcb"));
        });
    });
    log.assert_after("C", "ready", "~ cb1, endcb(ERR_STREAM_DESTROYED) ~ cb2 |x close(false)");
    log.assert_of("S", "connection | data | ~ end | ~ finish |x close(false)");
}

/// Row `timeout`: plain destroy.
#[test]
fn l39_in_timeout() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(|socket| {
            socket.set_timeout(Duration::from_millis(10));
        });
        socket.on_timeout(|socket| {
            socket.destroy();
        });
    });
    log.assert_after("C", "ready", "| timeout |x close(false)");
    log.assert_of("S", "connection | ~ end | ~ finish |x close(false)");
}

/// Row `drain`, of a write that the kernel took bit by bit: plain destroy; its callback follows.
#[test]
fn l39_in_drain() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| watch_data_length(&stage.log, "S", socket),
        |stage, socket| {
            socket.on_ready(move |socket| {
                let below = socket.write_with(vec![0; TOO_MUCH], callback(&stage.log, "C", "writecb"));
                stage.log.add("C", format!("write={below}"));
            });
            socket.on_drain(|socket| {
                socket.destroy();
            });
        },
    );
    log.assert_after("C", "ready", ", write=false | drain, writecb |x close(false)");
    log.assert_of("S", "connection | data(20000000) | ~ end | ~ finish |x close(false)");
}

/// Row `drain`, of writes queued while connecting: their callbacks follow.
#[test]
fn l39_in_drain_of_queued_writes() {
    let options = ConnectOptions::new().writable_high_water_mark(2);
    let log = Stage::play(plain_server(), options, consume, |stage, socket| {
        socket.write_with("abc", callback(&stage.log, "C", "cb1"));
        socket.write_with("d", callback(&stage.log, "C", "cb2"));
        socket.on_drain(|socket| {
            socket.destroy();
        });
    });
    log.assert_of("C", "connectionAttempt | connect, drain, cb1, ready ~ cb2 |x close(false)");
    log.assert_of("S", "connection | data | ~ end | ~ finish |x close(false)");
}

/// Row `error`: nothing.
#[test]
fn l39_in_error() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(|socket| {
            socket.destroy_with("boom");
        });
        socket.on_error(|socket, _| {
            socket.destroy_with("two");
        });
    });
    log.assert_after("C", "ready", "~ error(boom) |x close(true)");
}

/// Row `close`: nothing, and no second event.
#[test]
fn l39_in_close() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(|socket| {
            socket.destroy();
        });
        socket.on_close(|socket, _| {
            socket.destroy_with("too late");
        });
    });
    log.assert_after("C", "ready", "|x close(false)");
}

/// Row "server `connection`": the count falls at once, and the server's `close` may come in the next tick.
#[test]
fn l39_in_connection() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            let server = socket.server().expect("an accepted socket");
            server.on_close(move |_| stage.log.add("S", "srv close"));
            server.close();
            let before = server.connections();
            socket.destroy();
            stage.log.add("S", format!("{before} -> {}", server.connections()));
        },
        consume_as_client,
    );
    log.assert_of("S", "connection, 1 -> 0 ~ srv close |x close(false)");
    log.assert_after("C", "ready", "| ~ end | ~ finish |x close(false)");
}
