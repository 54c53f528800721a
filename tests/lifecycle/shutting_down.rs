//! Rules L10 to L22: `end()`, `finish`, `end`, and the automatic `end()` and `destroy()` that follow.

use halfclose::net::{self, Server, Socket};

use crate::support::{
    Stage, callback, in_a_loop, port_of, watch_data, watch_data_bytes, watch_data_length, watch_socket,
};
use crate::{
    A_WHILE, TOO_MUCH, consume, consume_as_client, half_open_server, pausing_server, plain_client, plain_server,
};

/// L10: not writable at once; write callbacks, then the callbacks of `end` in their order, then `finish`.
#[test]
fn l10_order_at_the_end_of_a_stream() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| watch_data_bytes(&stage.log, "S", socket),
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_connect(move |socket| {
                socket.write_with("a", callback(&stage.log, "C", "writecb"));
                socket.end_data_with("b", callback(&stage.log, "C", "endcb1"));
                stage.log.add("C", format!("writable={} ended={}", socket.writable(), socket.writable_ended()));
                socket.end_with(callback(&stage.log, "C", "endcb2"));
            });
        },
    );
    log.assert_of(
        "C",
        "connectionAttempt | connect, writable=false ended=true, ready ~ writecb | ~ endcb1, endcb2, finish \
         | ~ end |x close(false)",
    );
    log.assert_of("S", "connection | data(ab) | ~ end | ~ finish |x close(false)");
}

/// L11 and L14: the client ends first and sees `finish` before `end`, the passive side `end` before `finish`.
#[test]
fn l11_client_ends() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_connect(move |socket| {
            socket.end_data_with("hi", callback(&stage.log, "C", "endcb"));
        });
    });
    log.assert_of("C", "connectionAttempt | connect, ready | ~ endcb, finish | ~ end |x close(false)");
    log.assert_of("S", "connection | data | ~ end | ~ finish |x close(false)");
}

/// L12 and L14: the mirror image.
#[test]
fn l12_server_ends() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.end_data_with("bye", callback(&stage.log, "S", "endcb"));
        },
        consume_as_client,
    );
    log.assert_of("C", "connectionAttempt | connect, ready | data | ~ end | ~ finish |x close(false)");
    log.assert_of("S", "connection | ~ endcb, finish | ~ end |x close(false)");
}

/// L13: both end at once, without an extra round trip.
#[test]
fn l13_both_end() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.end();
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_connect(|socket| {
                socket.end();
            });
        },
    );
    log.assert_of("C", "connectionAttempt | connect, ready | ~ finish | ~ end |x close(false)");
    log.assert_of("S", "connection | ~ finish | ~ end |x close(false)");
}

/// L15: destroyed right after the listeners of whichever of `end` and `finish` comes last, and not before.
#[test]
fn l15_automatic_destroy() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.on_end(move |socket| stage.log.add("S", format!("destroyed={}", socket.destroyed())));
            socket.on_finish(move |socket| {
                stage.log.add("S", format!("destroyed={}", socket.destroyed()));
                halfclose::next_tick(move || stage.log.add("S", format!("destroyed={}", socket.destroyed())));
            });
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_connect(|socket| {
                socket.end();
            });
            socket.on_finish(move |socket| stage.log.add("C", format!("destroyed={}", socket.destroyed())));
            socket.on_end(move |socket| {
                stage.log.add("C", format!("destroyed={}", socket.destroyed()));
                halfclose::next_tick(move || stage.log.add("C", format!("destroyed={}", socket.destroyed())));
            });
        },
    );
    log.assert_after(
        "C",
        "ready",
        "| ~ finish, destroyed=false | ~ end, destroyed=false ~ destroyed=true |x close(false)",
    );
    log.assert_of(
        "S",
        "connection | ~ end, destroyed=false | ~ finish, destroyed=false ~ destroyed=true |x close(false)",
    );
}

/// L16: in the `end` listener and in ticks queued by it the socket is still writable, and what is written there goes out
/// before the FIN.
#[test]
fn l16_writing_in_end() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.on_end(move |socket| {
                stage.log.add("S", format!("writable={}", socket.writable()));
                socket.write_with("1", callback(&stage.log, "S", "cb1"));
                halfclose::next_tick(move || {
                    stage.log.add("S", format!("writable={}", socket.writable()));
                    socket.write_with("2", callback(&stage.log, "S", "cb2"));
                });
            });
        },
        |stage, socket| {
            watch_data_bytes(&stage.log, "C", socket);
            socket.on_connect(|socket| {
                socket.end();
            });
        },
    );
    log.assert_of("S", "connection | ~ end, writable=true ~ cb1 ~ writable=true ~ cb2 | ~ finish |x close(false)");
    log.assert_after("C", "ready", "| ~ finish | data(12) | ~ end |x close(false)");
}

/// L17: a half-open passive side only sees `end`, is `writeOnly`, and may write and end whenever it likes.
#[test]
fn l17_half_open() {
    let answer = |stage: Stage| {
        move || {
            let socket = stage.accepted();
            stage.log.add("S", format!("[{} {}]", socket.ready_state(), socket.writable()));
            socket.write_with("late", callback(&stage.log, "S", "writecb"));
            socket.end();
        }
    };
    let log = Stage::play(
        half_open_server(),
        plain_client(),
        move |stage, socket| {
            consume(stage, socket);
            socket.on_end(move |_| stage.meet(2, answer(stage)));
        },
        move |stage, socket| {
            watch_data_bytes(&stage.log, "C", socket);
            socket.on_connect(|socket| {
                socket.end_data("q");
            });
            socket.on_finish(move |_| stage.meet(2, answer(stage)));
        },
    );
    log.assert_of("S", "connection | data | ~ end | [writeOnly true] ~ writecb | ~ finish |x close(false)");
    log.assert_after("C", "ready", "| ~ finish | data(late) | ~ end |x close(false)");
}

/// L18: a FIN while own writes are under way: `end` at once, the automatic `end()` after the queue, `closed` in between.
#[test]
fn l18_fin_while_writing() {
    let log = Stage::play(
        pausing_server().allow_half_open(true),
        plain_client(),
        |_, socket| {
            socket.end();
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_connect(move |socket| {
                socket.write_with(vec![0; TOO_MUCH], callback(&stage.log, "C", "writecb"));
            });
            socket.on_end(move |socket| {
                stage.log.add("C", format!("under way={}", socket.writable_length() == TOO_MUCH));
                halfclose::set_immediate(move || {
                    let state = format!("[{} destroyed={}]", socket.ready_state(), socket.destroyed());
                    stage.log.add("C", state);
                    watch_data_length(&stage.log, "S", stage.accepted());
                    stage.accepted().resume();
                });
            });
        },
    );
    log.assert_after(
        "C",
        "ready",
        "| ~ end, under way=true | [closed destroyed=false] | writecb | ~ finish |x close(false)",
    );
    log.assert_of("S", "connection | ~ finish | data(20000000) | ~ end |x close(false)");
}

/// L19: `end()` while connecting waits for the connection.
#[test]
fn l19_end_while_connecting() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.end_with(callback(&stage.log, "C", "endcb"));
    });
    log.assert_of("C", "connectionAttempt | connect, ready | ~ endcb, finish | ~ end |x close(false)");
    log.assert_of("S", "connection | ~ end | ~ finish |x close(false)");
}

/// L19: `end(data)` while connecting: the data first.
#[test]
fn l19_end_with_data_while_connecting() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| watch_data_bytes(&stage.log, "S", socket),
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.end_data_with("abc", callback(&stage.log, "C", "endcb"));
        },
    );
    log.assert_of("C", "connectionAttempt | connect, ready | ~ endcb, finish | ~ end |x close(false)");
    log.assert_of("S", "connection | data(abc) | ~ end | ~ finish |x close(false)");
}

/// L19: `end()` on a socket that never connected: `finish`, and no `close`.
#[test]
fn l19_end_of_a_new_socket() {
    let log = in_a_loop(|log| {
        let socket = Socket::new();
        watch_socket(&log, "C", socket);
        socket.end_with(callback(&log, "C", "endcb"));
        log.add("C", "[returned]");
        halfclose::set_timeout(A_WHILE, move || {
            log.add("C", format!("[destroyed={} {}]", socket.destroyed(), socket.ready_state()));
        });
    });
    log.assert_of("C", "[returned] ~ endcb, finish | [destroyed=false readOnly]");
}

/// L19: … and a later `connect()` works and resets the write side.
#[test]
fn l19_connect_after_end() {
    let log = in_a_loop(|log| {
        let server = net::create_server(move |socket| {
            watch_socket(&log, "S", socket);
            watch_data_bytes(&log, "S", socket);
        });
        server.once_listening(move |server| {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            watch_data(&log, "C", socket);
            socket.end();
            socket.once_finish(move |socket| {
                socket.connect(("127.0.0.1", port_of(server))).expect("connect");
                socket.once_connect(move |socket| {
                    log.add("C", format!("writable={}", socket.writable()));
                    socket.end_data("x");
                });
            });
            socket.on_close(move |_, _| {
                server.close();
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of("C", "finish ~ connectionAttempt | connect, writable=true, ready | ~ finish | ~ end |x close(false)");
    log.assert_of("S", "data(x) | ~ end | ~ finish |x close(false)");
}

/// L19: `end(data)` and `end("")` on a socket that never connected.
#[test]
fn l19_end_with_data_of_a_new_socket() {
    for data in ["data", ""] {
        let log = in_a_loop(move |log| {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            socket.end_data_with(data, callback(&log, "C", "endcb"));
            log.add("C", "[returned]");
        });
        log.assert_of("C", "[returned] ~ endcb(ERR_SOCKET_CLOSED) ~ error(ERR_SOCKET_CLOSED) ~ close(false)");
    }
}

/// L19: a second `end(callback)` before `finish` joins the first.
#[test]
fn l19_second_end() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_connect(move |socket| {
            socket.end_with(callback(&stage.log, "C", "endcb1"));
            socket.end_with(callback(&stage.log, "C", "endcb2"));
        });
    });
    log.assert_after("C", "ready", "| ~ endcb1, endcb2, finish | ~ end |x close(false)");
}

/// L19: `end(callback)` after `finish`: an error for the callback, no event.
#[test]
fn l19_end_after_finish() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_connect(|socket| {
            socket.end();
        });
        socket.on_finish(move |socket| {
            socket.end_with(callback(&stage.log, "C", "endcb"));
        });
    });
    log.assert_after("C", "ready", "| ~ finish ~ endcb(ERR_STREAM_ALREADY_FINISHED) | ~ end |x close(false)");
}

/// L19: `end(data, callback)` after `end()` destroys the socket, and every callback of `end` gets the error.
#[test]
fn l19_end_with_data_after_end() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(move |socket| {
            socket.end_with(callback(&stage.log, "C", "endcb1"));
            socket.end_with(callback(&stage.log, "C", "endcb2"));
            socket.end_data_with("x", callback(&stage.log, "C", "endcb3"));
        });
    });
    log.assert_after(
        "C",
        "ready",
        "~ endcb1(ERR_STREAM_WRITE_AFTER_END), endcb2(ERR_STREAM_WRITE_AFTER_END) \
         ~ error(ERR_STREAM_WRITE_AFTER_END) ~ endcb3(ERR_STREAM_WRITE_AFTER_END) |x close(true)",
    );
}

/// L19: `end(callback)` after `destroy()`: the callback gets an error, also the first one, which Node forgets (N11).
#[test]
fn l19_end_after_destroy() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(move |socket| {
            socket.destroy();
            socket.end_with(callback(&stage.log, "C", "endcb1"));
            socket.end_with(callback(&stage.log, "C", "endcb2"));
        });
    });
    log.assert_after("C", "ready", "~ endcb1(ERR_STREAM_DESTROYED) ~ endcb2(ERR_STREAM_DESTROYED) |x close(false)");
}

/// L19: the same after `destroy(error)`, and with data.
#[test]
fn l19_end_after_destroy_with_an_error() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(move |socket| {
            socket.destroy_with("boom");
            socket.end_with(callback(&stage.log, "C", "endcb1"));
            socket.end_data_with("x", callback(&stage.log, "C", "endcb2"));
        });
    });
    log.assert_after(
        "C",
        "ready",
        "~ error(boom) ~ endcb1(ERR_STREAM_DESTROYED) ~ endcb2(ERR_STREAM_DESTROYED) |x close(true)",
    );
}

/// L20, F32: unread bytes and no consumer: no `end`, no automatic `end()`, and the server goes on counting the connection.
#[test]
fn l20_unread_bytes_hold_back_end() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |_, _| {},
        |stage, socket| {
            socket.on_connect(|socket| {
                socket.end_data("unread");
            });
            socket.on_finish(move |_| {
                halfclose::set_timeout(A_WHILE, move || {
                    let socket = stage.accepted();
                    let connections = socket.server().expect("an accepted socket").connections();
                    stage.log.add("S", format!("[unread={} {connections}]", socket.readable_length()));
                    socket.resume();
                });
            });
        },
    );
    log.assert_of("S", "connection | [unread=6 1] ~ end | ~ finish |x close(false)");
    log.assert_after("C", "ready", "| ~ finish | ~ end |x close(false)");
}

/// L20: the same for a consumer that is paused; `data` and `end` follow the `resume`.
#[test]
fn l20_paused_consumer_holds_back_end() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.pause();
        },
        |stage, socket| {
            socket.on_connect(|socket| {
                socket.end_data("z");
            });
            socket.on_finish(move |_| {
                halfclose::set_timeout(A_WHILE, move || {
                    let socket = stage.accepted();
                    stage.log.add("S", format!("[unread={} {}]", socket.readable_length(), socket.ready_state()));
                    socket.resume();
                });
            });
        },
    );
    log.assert_of("S", "connection | [unread=1 open] ~ data ~ end | ~ finish |x close(false)");
}

/// L20, F32: with no unread bytes `end` comes without any listener for data, and while paused.
#[test]
fn l20_end_needs_no_consumer_without_data() {
    let end_at_once = |_: Stage, socket: Socket| {
        socket.on_connect(|socket| {
            socket.end();
        });
    };
    let unheard = Stage::play(plain_server(), plain_client(), |_, _| {}, end_at_once);
    unheard.assert_of("S", "connection | ~ end | ~ finish |x close(false)");
    unheard.assert_after("C", "ready", "| ~ finish | ~ end |x close(false)");

    let paused = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.pause();
        },
        end_at_once,
    );
    paused.assert_of("S", "connection | ~ end | ~ finish |x close(false)");
    paused.assert_after("C", "ready", "| ~ finish | ~ end |x close(false)");
}

/// L21: a server without a `connection` listener accepts, and the socket closes by itself on a FIN without data.
#[test]
fn l21_server_without_a_listener() {
    let log = in_a_loop(|log| {
        let server = Server::new();
        server.once_listening(move |server| {
            let socket = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            watch_socket(&log, "C", socket);
            socket.on_connect(|socket| {
                socket.end();
            });
            socket.on_close(move |_, _| {
                log.add("srv", format!("{} connections", server.connections()));
                server.close();
            });
        });
        server.on_close(move |_| log.add("srv", "close"));
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of("C", "connectionAttempt | connect, ready | ~ finish | ~ end |x close(false)");
    log.assert_of("srv", "0 connections ~ close");
}

/// L22: `end` and `close` come once per connection, whatever is called after them; and again for the next connection.
#[test]
fn l22_end_and_close_once_per_connection() {
    let log = in_a_loop(|log| {
        let server = net::create_server(|socket| {
            socket.end_data("x");
            socket.resume();
        });
        server.once_listening(move |server| {
            let port = port_of(server);
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            watch_data(&log, "C", socket);
            socket.on_end(|socket| {
                socket.resume();
                socket.end();
            });
            let mut closes = 0;
            socket.on_close(move |socket, _| {
                closes += 1;
                socket.destroy();
                if closes == 1 {
                    socket.connect(("127.0.0.1", port)).expect("connect again");
                } else {
                    server.close();
                }
            });
            socket.connect(("127.0.0.1", port)).expect("connect");
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    let connection = "connectionAttempt | connect, ready | data | ~ end | ~ finish |x close(false)";
    log.assert_of("C", &format!("{connection} ~ {connection}"));
}
