//! Rules L48 to L64 as far as TCP goes: errors on a live connection, and what users do to a socket too late.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use halfclose::net::{self, Socket, SocketEvent};

use crate::support::{
    self, Log, RawPeer, Stage, callback, in_a_loop, loopback, panic_text, port_of, watch_data, watch_data_bytes,
    watch_socket,
};
use crate::{
    A_WHILE, TOO_MUCH, consume, consume_as_client, half_open_client, half_open_server, pausing_server, plain_client,
    plain_server, wait_for_bytes,
};

/// L48: reset inside `connection`: a client on the same host sees a failed attempt, or an error right after `ready`,
/// depending on which of the two events the kernel reported first.
#[test]
fn l48_reset_in_connection() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |_, socket| {
            socket.reset_and_destroy();
        },
        consume_as_client,
    );
    log.assert_of("S", "connection |x close(false)");
    let failed = "connectionAttempt | connectionAttemptFailed(ECONNRESET) ~ error(connect ECONNRESET) |x close(true)";
    let connected = "connectionAttempt | connect, ready | ~ error(read ECONNRESET) |x close(true)";
    assert!([failed, connected].contains(&log.of("C").as_str()), "C: {}", log.of("C"));
}

/// L50 and L55: a write after the own `end()` destroys the socket; its callback comes one tick before `error`.
#[test]
fn l50_write_after_end() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(move |socket| {
            socket.end();
            write(stage, socket, "C", "writecb");
        });
    });
    log.assert_after(
        "C",
        "ready",
        ", write=false destroyed=true ~ writecb(ERR_STREAM_WRITE_AFTER_END) ~ error(ERR_STREAM_WRITE_AFTER_END) \
         |x close(true)",
    );
    log.assert_of("S", "connection | ~ end | ~ finish |x close(false)");
}

/// L50: also inside `finish`.
#[test]
fn l50_write_in_finish() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        consume_as_client(stage, socket);
        socket.on_ready(|socket| {
            socket.end();
        });
        socket.on_finish(move |socket| write(stage, socket, "C", "writecb"));
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ finish, write=false destroyed=true ~ writecb(ERR_STREAM_WRITE_AFTER_END) \
         ~ error(ERR_STREAM_WRITE_AFTER_END) |x close(true)",
    );
}

/// L51: a write after `destroy()` only fails its callback, and so does `end(data)`.
#[test]
fn l51_write_after_destroy() {
    let log = Stage::play(plain_server(), plain_client(), consume, |stage, socket| {
        socket.on_ready(move |socket| {
            socket.destroy();
            write(stage, socket, "C", "writecb");
            socket.end_data_with("y", callback(&stage.log, "C", "endcb"));
        });
    });
    log.assert_after(
        "C",
        "ready",
        ", write=false destroyed=true ~ writecb(ERR_STREAM_DESTROYED) ~ endcb(ERR_STREAM_DESTROYED) |x close(false)",
    );
}

/// L52: once `end` has come, a write to an ended write side says that the other party has ended the socket. Here the
/// write side was ended by the user.
#[test]
fn l52_write_in_end_after_the_own_end() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.end();
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_end(move |socket| {
                socket.end();
                write(stage, socket, "C", "writecb");
            });
            socket.on_error(|_, error| {
                assert_eq!(error.to_string(), "This socket has been ended by the other party");
                assert_eq!((error.errno(), error.syscall()), (None, None));
            });
        },
    );
    log.assert_after(
        "C",
        "ready",
        "| ~ end, write=false destroyed=true ~ writecb(EPIPE) ~ error(EPIPE) |x close(true)",
    );
}

/// L52: … here by the automatic `end()`, which waits for a write that is under way.
#[test]
fn l52_write_after_the_automatic_end() {
    let log = Stage::play(
        pausing_server(),
        plain_client(),
        |_, socket| {
            socket.end();
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_ready(move |socket| {
                socket.write_with(vec![0; TOO_MUCH], callback(&stage.log, "C", "cb1"));
            });
            socket.on_end(move |socket| {
                halfclose::set_immediate(move || write(stage, socket, "C", "cb2"));
            });
            socket.on_close(move |_, _| {
                stage.accepted().destroy();
            });
        },
    );
    log.assert_after(
        "C",
        "ready",
        "| ~ end | write=false destroyed=true ~ cb2(EPIPE) ~ error(EPIPE) |x cb1(write ECANCELED) |x close(true)",
    );
    log.assert_of("S", "connection | ~ finish |x close(false)");
}

/// L52: no `error` when the socket is destroyed already.
#[test]
fn l52_write_after_the_automatic_destroy() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            socket.end();
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_finish(move |socket| {
                halfclose::next_tick(move || write(stage, socket, "C", "writecb"));
            });
        },
    );
    log.assert_after("C", "ready", "| ~ end | ~ finish ~ write=false destroyed=true ~ writecb(EPIPE) |x close(false)");
}

/// L53 and L55: a write on a socket that never connected.
#[test]
fn l53_write_on_a_new_socket() {
    let log = in_a_loop(|log| {
        let socket = Socket::new();
        watch_socket(&log, "C", socket);
        let below = socket.write_with("x", callback(&log, "C", "writecb"));
        log.add("C", format!("write={below} destroyed={}", socket.destroyed()));
    });
    log.assert_of(
        "C",
        "write=false destroyed=false ~ writecb(ERR_SOCKET_CLOSED) ~ error(ERR_SOCKET_CLOSED) ~ close(false)",
    );
}

/// L54 and L55: the peer is destroyed, the writer half-open: the first write succeeds, the next one fails.
#[test]
fn l54_writes_to_a_peer_that_is_gone() {
    let log = Stage::play(
        plain_server(),
        half_open_client(),
        |_, socket| {
            socket.destroy();
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_end(move |socket| {
                halfclose::set_immediate(move || {
                    write(stage, socket, "C", "cb1");
                    halfclose::set_immediate(move || write(stage, socket, "C", "cb2"));
                });
            });
        },
    );
    log.assert_after(
        "C",
        "ready",
        "| ~ end | write=true destroyed=false ~ cb1 | write=false destroyed=false ~ cb2(write EPIPE) \
         ~ error(write EPIPE) |x close(true)",
    );
}

/// L56: a reset while idle and reading, with a `data` listener and without.
#[test]
fn l56_reset_while_idle() {
    for listening in [true, false] {
        let log = reset_by_the_server(move |stage, socket| {
            if listening {
                consume_as_client(stage, socket);
            }
        });
        log.assert_after("C", "ready", "| ~ error(read ECONNRESET) |x close(true)");
        log.assert_of("S", "connection |x close(false)");
    }
}

/// L57: a reset while paused since before the connection goes unnoticed until the socket is resumed.
#[test]
fn l57_reset_while_paused() {
    let log = reset_by_the_server(|stage, socket| {
        socket.pause();
        after_the_reset(stage, move || {
            stage.log.add("C", format!("[resume, destroyed={}]", socket.destroyed()));
            socket.resume();
        });
    });
    log.assert_after("C", "ready", "| [resume, destroyed=false] | ~ error(read ECONNRESET) |x close(true)");
}

/// L57: … or until it writes.
#[test]
fn l57_write_after_a_reset_while_paused() {
    let log = reset_by_the_server(|stage, socket| {
        socket.pause();
        after_the_reset(stage, move || {
            stage.log.add("C", format!("[write, destroyed={}]", socket.destroyed()));
            write(stage, socket, "C", "writecb");
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| [write, destroyed=false], write=false destroyed=false ~ writecb(write ECONNRESET) \
         ~ error(write ECONNRESET) |x close(true)",
    );
}

/// L57: the same for a socket whose buffer has reached the high-water mark.
#[test]
fn l57_reset_with_a_full_buffer() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |_, socket| {
            socket.write(vec![0; 65_536]);
        },
        |stage, socket| {
            wait_for_bytes(socket, 65_536, move || {
                stage.accepted().reset_and_destroy();
                after_the_reset(stage, move || {
                    let state = format!("[resume, {} destroyed={}]", socket.readable_length(), socket.destroyed());
                    stage.log.add("C", state);
                    watch_data(&stage.log, "C", socket);
                    socket.resume();
                });
            });
        },
    );
    log.assert_after(
        "C",
        "ready",
        "| [resume, 65536 destroyed=false] ~ data | ~ error(read ECONNRESET) |x close(true)",
    );
}

/// L58: a reset with a write under way.
#[test]
fn l58_reset_with_a_write_under_way() {
    let log = Stage::play(
        pausing_server(),
        plain_client(),
        |_, _| {},
        |stage, socket| {
            socket.on_ready(move |socket| {
                socket.write_with(vec![0; TOO_MUCH], callback(&stage.log, "C", "cb1"));
                socket.write_with("y", callback(&stage.log, "C", "cb2"));
                socket.end_data_with("z", callback(&stage.log, "C", "endcb"));
                stage.meet(1, move || {
                    stage.accepted().reset_and_destroy();
                });
            });
        },
    );
    log.assert_after(
        "C",
        "ready",
        "| ~ error(read ECONNRESET) |x cb1(write ECANCELED), cb2(read ECONNRESET), endcb(read ECONNRESET) \
         |x close(true)",
    );
    log.assert_of("S", "connection |x close(false)");
}

/// L59: a reset after the own `finish`.
#[test]
fn l59_reset_after_finish() {
    let reset = |stage: Stage| {
        move || {
            stage.accepted().reset_and_destroy();
        }
    };
    let log = Stage::play(
        half_open_server(),
        plain_client(),
        move |stage, socket| {
            consume(stage, socket);
            socket.on_end(move |_| stage.meet(2, reset(stage)));
        },
        move |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_ready(|socket| {
                socket.end();
            });
            socket.on_finish(move |_| stage.meet(2, reset(stage)));
        },
    );
    log.assert_after("C", "ready", "| ~ finish | ~ error(read ECONNRESET) |x close(true)");
    log.assert_of("S", "connection | ~ end |x close(false)");
}

/// L60: `end()` on a socket whose peer has reset it, unnoticed: counts as success.
#[test]
fn l60_end_after_an_unnoticed_reset() {
    let log = reset_by_the_server(|stage, socket| {
        socket.pause();
        after_the_reset(stage, move || {
            stage.log.add("C", "[end]");
            socket.end_with(callback(&stage.log, "C", "endcb"));
        });
        socket.on_finish(move |socket| {
            halfclose::set_immediate(move || {
                stage.log.add("C", "[resume]");
                socket.resume();
            });
        });
    });
    log.assert_after("C", "ready", "| [end] | ~ endcb, finish | [resume] | ~ error(read ECONNRESET) |x close(true)");
}

/// L61: `had_error` is true if and only if an error was the cause. (L31, L50, L56 and L7 have the other causes.)
#[test]
fn l61_had_error() {
    let with_error = Stage::play(plain_server(), plain_client(), consume, |_, socket| {
        socket.on_ready(|socket| {
            socket.destroy_with(std::io::Error::other("disk full"));
        });
    });
    with_error.assert_after("C", "ready", "~ error(disk full) |x close(true)");

    let without = Stage::play(plain_server(), plain_client(), consume, |_, socket| {
        socket.on_ready(|socket| {
            socket.reset_and_destroy();
        });
    });
    without.assert_after("C", "ready", "|x close(false)");
}

/// L62: an `error` without a listener ends `run()` with that error; `close` follows in the next `run()`.
#[test]
fn l62_unhandled_error() {
    let log = Log::new();
    support::test(|event_loop| {
        let server = net::create_server(move |socket| {
            watch_socket(&log, "S", socket);
            watch_data(&log, "S", socket);
            let server = socket.server().expect("an accepted socket");
            socket.on_close(move |_, _| {
                server.close();
            });
        });
        server.once_listening(move |server| {
            let socket = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            watch_socket(&log, "C", socket);
            socket.remove_all_listeners(Some(SocketEvent::Error));
            socket.on_ready(move |socket| {
                socket.write_with("x", callback(&log, "C", "writecb"));
                socket.destroy_with("boom");
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let error = event_loop.run().expect_err("nobody listens to the error");
        assert_eq!(error.to_string(), "boom");
        log.assert_of("C", "connectionAttempt | connect, ready ~ writecb");
        event_loop.run().expect("nothing else fails");
    });
    log.assert_of("C", "connectionAttempt | connect, ready ~ writecb |x close(true)");
    log.assert_of("S", "data | ~ end | ~ finish |x close(false)");
}

/// L63: a client that resets before it is accepted is a `connection` with an unknown address, and then an error.
#[test]
fn l63_reset_before_accept() {
    let log = in_a_loop(|log| {
        let server = net::create_server(move |socket| {
            log.add("S", format!("connection from {:?}", socket.remote_address()));
            watch_socket(&log, "S", socket);
            watch_data(&log, "S", socket);
            socket.server().expect("an accepted socket").close();
        });
        server.on_listening(|server| {
            // The kernel completes the connection without the server's help.
            RawPeer::connect(loopback(port_of(server))).reset();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of("S", "connection from None | ~ error(read ECONNRESET) |x close(true)");
}

/// L64: a panic in a listener leaves the socket's other events alone, and the listener registered.
#[test]
fn l64_panic_in_a_listener() {
    let log = Log::new();
    support::test(|event_loop| {
        let server = net::create_server(move |socket| {
            watch_socket(&log, "S", socket);
            socket.resume();
            socket.write("x");
            let server = socket.server().expect("an accepted socket");
            socket.on_close(move |_, _| {
                server.close();
            });
        });
        let panics = Rc::new(Cell::new(0));
        let counted = panics.clone();
        server.on_connection(move |_, accepted| {
            let panics = counted.clone();
            // The second chunk is written when the first has brought the panic.
            fn end_after_the_panic(panics: Rc<Cell<u32>>, accepted: Socket) {
                halfclose::set_immediate(move || {
                    if panics.get() == 0 {
                        end_after_the_panic(panics, accepted);
                    } else {
                        accepted.end_data("y");
                    }
                });
            }
            end_after_the_panic(panics, accepted);
        });
        let to_raise = panics.clone();
        server.once_listening(move |server| {
            let socket = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            watch_socket(&log, "C", socket);
            socket.on_data(move |_, bytes| {
                log.add_data_bytes("C", bytes);
                if bytes == b"x" {
                    to_raise.set(1);
                    panic!("user bug");
                }
            });
            watch_data_bytes(&log, "C after", socket);
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let panic = catch_unwind(AssertUnwindSafe(|| event_loop.run())).expect_err("the panic comes out of run()");
        assert_eq!(panic_text(&*panic), "user bug");
        event_loop.run().expect("no unhandled error");
    });
    log.assert_after("C", "ready", "| data(xy) | ~ end | ~ finish |x close(false)");
    // The rest of the emission that panicked was skipped.
    log.assert_of("C after", "data(y)");
    log.assert_of("S", "finish | ~ end |x close(false)");
}

/// Writes one byte with a callback, and records what the call returned.
fn write(stage: Stage, socket: Socket, endpoint: &str, name: &str) {
    let below = socket.write_with("q", callback(&stage.log, endpoint, name));
    stage.log.add(endpoint, format!("write={below} destroyed={}", socket.destroyed()));
}

/// A scenario in which the server resets the connection when both ends have it.
fn reset_by_the_server(client: impl Fn(Stage, Socket) + 'static) -> Log {
    Stage::play(
        plain_server(),
        plain_client(),
        |stage, _| {
            stage.meet(2, move || {
                stage.accepted().reset_and_destroy();
            });
        },
        move |stage, socket| {
            client(stage, socket);
            socket.on_ready(move |_| {
                stage.meet(2, move || {
                    stage.accepted().reset_and_destroy();
                });
            });
        },
    )
}

/// Runs `then` a while after the accepted socket was reset: long enough for the client to notice, if it did notice.
fn after_the_reset(stage: Stage, then: impl FnOnce() + 'static) {
    halfclose::set_immediate(move || {
        if stage.accepted_is_destroyed() {
            let mut then = Some(then);
            halfclose::set_timeout(A_WHILE, move || {
                if let Some(then) = then.take() {
                    then();
                }
            });
        } else {
            after_the_reset(stage, then);
        }
    });
}
