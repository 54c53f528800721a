//! Rules L30 to L33, L35, L37, L38, L40 to L46: `destroy()`, `destroy_soon()` and `reset_and_destroy()`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, Socket};

use crate::support::{
    Log, Stage, callback, in_a_loop, port_of, watch_data, watch_data_bytes, watch_data_length, watch_socket,
};
use crate::{
    A_WHILE, MORE_THAN_ONE_READ, TOO_MUCH, consume, consume_as_client, pausing_server, plain_client, plain_server,
    refusing_port,
};

/// L30: `destroy()` is synchronous for the state and cancels the timeout; nothing but callbacks and `close` follow.
#[test]
fn l30_state_and_silence_after_destroy() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.set_timeout(Duration::from_millis(10));
        socket.on_ready(move |socket| {
            socket.write_with("x", callback(&stage.log, "C", "writecb"));
            socket.end_with(callback(&stage.log, "C", "endcb"));
            socket.destroy();
            stage.log.add("C", state(socket));
            halfclose::set_timeout(A_WHILE, move || stage.log.add("C", "[later]"));
        });
    });
    log.assert_of(
        "C",
        "connectionAttempt | connect, ready, destroyed closed pending closed \
         ~ writecb, endcb(ERR_STREAM_DESTROYED) |x close(false) | [later]",
    );
}

/// L30: the server's connection count falls inside `destroy()`.
#[test]
fn l30_server_forgets_the_connection_at_once() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.on_end(move |socket| {
                let server = socket.server().expect("an accepted socket");
                let before = server.connections();
                socket.destroy();
                stage.log.add("S", format!("{before} -> {}", server.connections()));
            });
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_ready(|socket| {
                socket.end();
            });
        },
    );
    log.assert_of("S", "connection | ~ end, 1 -> 0 |x close(false)");
}

/// L31 and L61: `error` in a tick if and only if an error was given, then `close` that says so.
#[test]
fn l31_destroy_with_an_error() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        socket.on_ready(move |socket| {
            socket.destroy_with("boom");
            stage.log.add("C", format!("[destroyed, errored={}]", socket.errored().is_some()));
        });
    });
    log.assert_after("C", "ready", ", [destroyed, errored=true] ~ error(boom) |x close(true)");

    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        socket.on_ready(move |socket| {
            socket.destroy();
            stage.log.add("C", format!("[destroyed, errored={}]", socket.errored().is_some()));
        });
    });
    log.assert_after("C", "ready", ", [destroyed, errored=false] |x close(false)");
}

/// L32: a repeated `destroy` is ignored, also with another error, in the same callback and in `error`.
#[test]
fn l32_first_destroy_counts() {
    let log = Stage::play(plain_server(), plain_client(), consume, |_, socket| {
        socket.on_ready(|socket| {
            socket.destroy_with("boom");
            socket.destroy_with("second");
            socket.destroy();
            socket.on_error(|socket, _| {
                socket.destroy_with("third");
            });
        });
    });
    log.assert_after("C", "ready", "~ error(boom) |x close(true)");

    let log = Stage::play(plain_server(), plain_client(), consume, |_, socket| {
        socket.on_ready(|socket| {
            socket.destroy();
            socket.destroy_with("too late");
        });
    });
    log.assert_after("C", "ready", "|x close(false)");
}

/// L33: destroyed in the turn of `connect()`: no `connectionAttempt`; the queued callbacks run inside `close`.
#[test]
fn l33_destroy_right_after_connect() {
    let log = connecting(|log, socket| {
        watch_socket(&log, "C", socket);
        queue_output(log, socket);
        socket.destroy();
        log.add("C", "[destroyed]");
    });
    log.assert_of(
        "C",
        "[destroyed] |x close(false), cb1(ERR_SOCKET_CLOSED_BEFORE_CONNECTION), \
         cb2(ERR_SOCKET_CLOSED_BEFORE_CONNECTION), endcb(ERR_SOCKET_CLOSED_BEFORE_CONNECTION)",
    );
}

/// L33: the queued callbacks run at the place of the first write among the `close` listeners.
#[test]
fn l33_place_of_the_queued_callbacks() {
    let log = connecting(|log, socket| {
        socket.on_close(move |_, _| log.add("C", "before"));
        socket.write_with("a", callback(&log, "C", "cb1"));
        socket.on_close(move |_, _| log.add("C", "after"));
        socket.write_with("b", callback(&log, "C", "cb2"));
        socket.end_with(callback(&log, "C", "endcb"));
        socket.destroy();
    });
    log.assert_of(
        "C",
        "before, cb1(ERR_SOCKET_CLOSED_BEFORE_CONNECTION), cb2(ERR_SOCKET_CLOSED_BEFORE_CONNECTION), \
         endcb(ERR_SOCKET_CLOSED_BEFORE_CONNECTION), after",
    );
}

/// L33 with an error: the first write's callback still gets the code of its own, the others the error.
#[test]
fn l33_destroy_with_an_error_while_connecting() {
    let log = connecting(|log, socket| {
        watch_socket(&log, "C", socket);
        queue_output(log, socket);
        socket.destroy_with("boom");
        log.add("C", "[destroyed]");
    });
    log.assert_of(
        "C",
        "[destroyed] ~ error(boom) |x close(true), cb1(ERR_SOCKET_CLOSED_BEFORE_CONNECTION), cb2(boom), endcb(boom)",
    );
}

/// L33: destroyed after `connectionAttempt`, before the outcome: neither `connect` nor a failed attempt.
#[test]
fn l33_destroy_while_the_connection_is_under_way() {
    let log = connecting(|log, socket| {
        watch_socket(&log, "C", socket);
        socket.once_connection_attempt(move |socket, _| {
            halfclose::next_tick(move || {
                log.add("C", "[destroy]");
                socket.destroy();
            });
        });
    });
    log.assert_of("C", "connectionAttempt ~ [destroy] |x close(false)");
}

/// L35: a write that is under way, and what is queued behind it, is cancelled in the closing phase, before `close`.
#[test]
fn l35_destroy_with_a_write_under_way() {
    let log = destroy_with_a_write_under_way(|socket| {
        socket.destroy();
    });
    log.assert_after(
        "C",
        "ready",
        "| [destroy] |x cb1(write ECANCELED), cb2(write ECANCELED), endcb(write ECANCELED) |x close(false)",
    );
}

/// L35: with an error given, the callbacks behind the first get that error.
#[test]
fn l35_destroy_with_an_error_and_a_write_under_way() {
    let log = destroy_with_a_write_under_way(|socket| {
        socket.destroy_with("boom");
    });
    log.assert_after(
        "C",
        "ready",
        "| [destroy] ~ error(boom) |x cb1(write ECANCELED), cb2(boom), endcb(boom) |x close(true)",
    );
}

/// L37 and L40: what the kernel has taken counts as written, although `destroy()` follows at once, and arrives.
#[test]
fn l37_written_before_destroy() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| watch_data_bytes(&stage.log, "S", socket),
        |stage, socket| {
            socket.on_ready(move |socket| {
                socket.write_with("x", callback(&stage.log, "C", "cb1"));
                socket.write_with("y", callback(&stage.log, "C", "cb2"));
                socket.destroy();
            });
        },
    );
    log.assert_after("C", "ready", "~ cb1 ~ cb2 |x close(false)");
    log.assert_of("S", "connection | data(xy) | ~ end | ~ finish |x close(false)");
}

/// L38: without unread input the peer of a `destroy()` gets what the kernel had taken, and then a clean `end`; what was
/// still queued is lost without a sign.
#[test]
fn l38_peer_sees_an_end() {
    let log = Stage::play(
        pausing_server(),
        plain_client(),
        |stage, socket| {
            let mut length = 0;
            socket.on_data(move |socket, bytes| {
                length += bytes.len();
                socket.with_data(|total: &mut usize| *total = length).expect("the slot");
            });
            socket.set_data(0_usize);
            socket.on_end(move |socket| {
                let total = socket.with_data(|total: &mut usize| *total).expect("the slot");
                stage.log.add("S", format!("a part: {}", 0 < total && total < TOO_MUCH));
            });
        },
        |stage, socket| {
            socket.on_ready(move |socket| {
                socket.write(vec![0; TOO_MUCH]);
                stage.meet(1, move || {
                    socket.destroy();
                });
            });
            socket.on_close(move |_, _| {
                stage.accepted().resume();
            });
        },
    );
    log.assert_after("C", "ready", "|x close(false)");
    log.assert_of("S", "connection | ~ end, a part: true | ~ finish |x close(false)");
}

/// L38: with unread input the peer gets a reset.
#[test]
fn l38_peer_sees_a_reset() {
    let log = Stage::play(
        pausing_server(),
        plain_client(),
        |stage, _| {
            stage.meet(2, move || {
                stage.accepted().destroy();
            });
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_ready(move |socket| {
                socket.write_with(vec![0; MORE_THAN_ONE_READ], move |_, _| {
                    stage.meet(2, move || {
                        stage.accepted().destroy();
                    });
                });
            });
        },
    );
    log.assert_after("C", "ready", "| ~ error(read ECONNRESET) |x close(true)");
    log.assert_of("S", "connection |x close(false)");
}

/// L40: `write(); destroy()`: the data arrives.
#[test]
fn l40_write_then_destroy() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            socket.write_with("abc", callback(&stage.log, "S", "writecb"));
            socket.destroy();
        },
        |stage, socket| watch_data_bytes(&stage.log, "C", socket),
    );
    log.assert_of("S", "connection ~ writecb |x close(false)");
    log.assert_after("C", "ready", "| data(abc) | ~ end | ~ finish |x close(false)");
}

/// L40: `end(data); destroy()`: the data arrives, the callback of `end` says that the socket was destroyed.
#[test]
fn l40_end_with_data_then_destroy() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            socket.end_data_with(vec![0; 100_000], callback(&stage.log, "S", "endcb"));
            socket.destroy();
        },
        |stage, socket| watch_data_length(&stage.log, "C", socket),
    );
    log.assert_of("S", "connection ~ endcb(ERR_STREAM_DESTROYED) |x close(false)");
    log.assert_after("C", "ready", "| data(100000) | ~ end | ~ finish |x close(false)");
}

/// L41: input that was read but not delivered is discarded.
#[test]
fn l41_unread_input_is_discarded() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.pause();
        },
        |stage, socket| {
            socket.on_ready(|socket| {
                socket.end_data("unread");
            });
            socket.on_finish(move |_| {
                halfclose::set_timeout(A_WHILE, move || {
                    let socket = stage.accepted();
                    stage.log.add("S", format!("[destroy, unread={}]", socket.readable_length()));
                    socket.destroy();
                });
            });
        },
    );
    log.assert_of("S", "connection | [destroy, unread=6] |x close(false)");
}

/// L42: `close` is the last event of a connection: what is called in it and after it emits nothing.
#[test]
fn l42_close_is_last() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.set_timeout(Duration::from_millis(10));
        socket.on_ready(|socket| {
            socket.end();
        });
        socket.on_close(move |socket, _| {
            use_in_vain(socket);
            halfclose::set_timeout(A_WHILE, move || {
                use_in_vain(socket);
                stage.log.add("C", "[later]");
            });
        });
    });
    log.assert_after("C", "ready", "| ~ finish | ~ end |x close(false) | [later]");
}

/// L43: `destroy_soon()` flushes everything, ends, and destroys in `finish`, without waiting for the peer.
#[test]
fn l43_destroy_soon_flushes() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| watch_data_length(&stage.log, "S", socket),
        |stage, socket| {
            socket.on_ready(move |socket| {
                socket.write_with(vec![0; TOO_MUCH], callback(&stage.log, "C", "writecb"));
                socket.destroy_soon();
                let state = format!("destroyed={} writable={}", socket.destroyed(), socket.writable());
                stage.log.add("C", state);
            });
        },
    );
    log.assert_after("C", "ready", ", destroyed=false writable=false | writecb | ~ finish |x close(false)");
    log.assert_of("S", "connection | data(20000000) | ~ end | ~ finish |x close(false)");
}

/// L43: `destroy_soon()` after `finish` destroys at once.
#[test]
fn l43_destroy_soon_after_finish() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(|socket| {
            socket.end();
        });
        socket.on_finish(move |socket| {
            socket.destroy_soon();
            stage.log.add("C", format!("destroyed={}", socket.destroyed()));
        });
    });
    log.assert_after("C", "ready", "| ~ finish, destroyed=true |x close(false)");
}

/// L43: `destroy_soon()` on a socket that never connected.
#[test]
fn l43_destroy_soon_of_a_new_socket() {
    let log = in_a_loop(|log| {
        let socket = Socket::new();
        watch_socket(&log, "C", socket);
        socket.destroy_soon();
        log.add("C", format!("destroyed={}", socket.destroyed()));
    });
    log.assert_of("C", "destroyed=false ~ finish ~ close(false)");
}

/// L44: a reset is silent at its own end, and an error at the other.
#[test]
fn l44_reset() {
    let reset = |stage: Stage| {
        move || {
            stage.client().reset_and_destroy();
            stage.log.add("C", format!("[reset, {}]", state(stage.client())));
        }
    };
    let log = Stage::play(
        plain_server(),
        plain_client(),
        move |stage, socket| {
            consume(stage, socket);
            stage.meet(2, reset(stage));
        },
        move |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_ready(move |_| stage.meet(2, reset(stage)));
        },
    );
    log.assert_after("C", "ready", "| [reset, destroyed closed pending closed] |x close(false)");
    log.assert_of("S", "connection | ~ error(read ECONNRESET) |x close(true)");
}

/// L45: a reset while connecting waits for the connection.
#[test]
fn l45_reset_while_connecting() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.reset_and_destroy();
        stage.log.add("C", format!("destroyed={}", socket.destroyed()));
    });
    log.assert_of("C", "destroyed=false ~ connectionAttempt | connect, ready |x close(false)");
    log.assert_of("S", "connection | ~ error(read ECONNRESET) |x close(true)");
}

/// L45: a connection that fails does so as without the reset.
#[test]
fn l45_reset_while_connecting_in_vain() {
    let log = in_a_loop(|log| {
        let socket = net::connect(("127.0.0.1", refusing_port())).expect("connect");
        watch_socket(&log, "C", socket);
        socket.reset_and_destroy();
    });
    log.assert_of(
        "C",
        "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) |x close(true)",
    );
}

/// L46: a reset of a socket that never connected is an error.
#[test]
fn l46_reset_of_a_new_socket() {
    let log = in_a_loop(|log| {
        let socket = Socket::new();
        watch_socket(&log, "C", socket);
        socket.reset_and_destroy();
        log.add("C", format!("destroyed={}", socket.destroyed()));
    });
    log.assert_of("C", "destroyed=true ~ error(ERR_SOCKET_CLOSED) ~ close(false)");
}

/// L46: … and of a destroyed one nothing; its peer sees the FIN of the `destroy()`.
#[test]
fn l46_reset_after_destroy() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(|socket| {
            socket.destroy();
            socket.reset_and_destroy();
        });
    });
    log.assert_after("C", "ready", "|x close(false)");
    log.assert_of("S", "connection | ~ end | ~ finish |x close(false)");
}

/// M5, for L42: sockets destroyed in one turn close in the reverse order, each in a callback of its own.
#[test]
fn l42_closing_order_of_several_sockets() {
    let log = in_a_loop(|log| {
        let server = net::create_server(|socket| {
            socket.resume();
        });
        server.once_listening(move |server| {
            let ready = Rc::new(Cell::new(0));
            let sockets = ["first", "second", "third"].map(|name| {
                let socket = net::connect(("127.0.0.1", port_of(server))).expect("connect");
                socket.on_close(move |_, _| log.add("C", name));
                socket
            });
            for socket in sockets {
                let ready = ready.clone();
                socket.on_ready(move |_| {
                    ready.set(ready.get() + 1);
                    if ready.get() == 3 {
                        server.close();
                        for socket in sockets {
                            socket.destroy();
                        }
                    }
                });
            }
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of("C", "third |x second |x first");
}

/// What a destroyed socket says about itself.
fn state(socket: Socket) -> String {
    let destroyed = if socket.destroyed() { "destroyed" } else { "alive" };
    let closed = if socket.closed() { "closed" } else { "open" };
    let pending = if socket.pending() { "pending" } else { "established" };
    format!("{destroyed} {closed} {pending} {}", socket.ready_state())
}

/// Every command that could wake a socket up, but `connect`.
fn use_in_vain(socket: Socket) {
    socket.resume();
    socket.end();
    socket.destroy();
    socket.destroy_with("too late");
    socket.destroy_soon();
    socket.reset_and_destroy();
    socket.set_timeout(Duration::from_millis(1));
}

/// Two writes and an `end`, with callbacks `cb1`, `cb2` and `endcb`.
fn queue_output(log: Log, socket: Socket) {
    socket.write_with("a", callback(&log, "C", "cb1"));
    socket.write_with("b", callback(&log, "C", "cb2"));
    socket.end_with(callback(&log, "C", "endcb"));
}

/// `body` with a socket right after its `connect()` to a server that accepts; the server closes with it.
fn connecting(body: impl FnOnce(Log, Socket) + 'static) -> Log {
    in_a_loop(|log| {
        let server = net::create_server(move |socket| watch_data(&log, "S", socket));
        server.once_listening(move |server| {
            let socket = Socket::new();
            socket.connect(("127.0.0.1", port_of(server))).expect("connect");
            body(log, socket);
            socket.on_close(move |_, _| {
                server.close();
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    })
}

/// A client with one write that the kernel took a part of, another one and an `end`, and then `destroy`.
fn destroy_with_a_write_under_way(destroy: fn(Socket)) -> Log {
    Stage::play(
        pausing_server(),
        plain_client(),
        |_, _| {},
        move |stage, socket| {
            socket.on_ready(move |socket| {
                socket.write_with(vec![0; TOO_MUCH], callback(&stage.log, "C", "cb1"));
                socket.write_with("y", callback(&stage.log, "C", "cb2"));
                socket.end_data_with("z", callback(&stage.log, "C", "endcb"));
                stage.meet(1, move || {
                    stage.log.add("C", "[destroy]");
                    destroy(socket);
                });
            });
            socket.on_close(move |_, _| {
                stage.accepted().destroy();
            });
        },
    )
}
