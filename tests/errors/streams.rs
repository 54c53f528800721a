//! Errors of reading and writing on a connection, and on one that never was: L33, L35, L46, L50-L57.

use halfclose::Error;
use halfclose::net::{self, ConnectOptions, Socket};

use crate::support::{self, Log, RawListener, callback, watch_socket};
use crate::{A_MOMENT, MORE_THAN_BUFFERED, all_of, record_errors, with_peer};

/// L56: a reset of an idle connection.
#[test]
fn read_reset() {
    support::test(|event_loop| {
        let log = Log::new();
        with_peer(
            event_loop,
            ConnectOptions::new(),
            |client| {
                watch_socket(&log, "C", client);
                record_errors(&log, "error", client);
            },
            |_, peer| peer.reset(),
        );
        log.assert_of("C", "connectionAttempt | connect, ready | ~ error(read ECONNRESET) |x close(true)");
        let errno = -libc::ECONNRESET;
        log.assert_of("error", &format!("read ECONNRESET {{code: ECONNRESET, errno: {errno}, syscall: read}}"));
    });
}

/// L57: a reset that nobody read is found by the next write.
#[test]
fn write_reset() {
    support::test(|event_loop| {
        let log = Log::new();
        with_peer(
            event_loop,
            ConnectOptions::new(),
            |client| {
                watch_socket(&log, "C", client);
                record_errors(&log, "error", client);
                client.pause();
            },
            move |client, peer| {
                peer.reset();
                halfclose::set_timeout(A_MOMENT, move || {
                    assert!(!client.destroyed(), "a paused socket does not notice");
                    let more = client.write_with("x", callback(&log, "C", "written"));
                    log.add("C", format!("write={more}"));
                });
            },
        );
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | write=false ~ written(write ECONNRESET) ~ error(write ECONNRESET) \
             |x close(true)",
        );
        let errno = -libc::ECONNRESET;
        log.assert_of("error", &format!("write ECONNRESET {{code: ECONNRESET, errno: {errno}, syscall: write}}"));
    });
}

/// L54: writing to a peer that is gone: the first write is answered with a reset, the next one fails.
#[test]
fn write_to_a_peer_that_is_gone() {
    support::test(|event_loop| {
        let log = Log::new();
        with_peer(
            event_loop,
            ConnectOptions::new().allow_half_open(true),
            |client| {
                watch_socket(&log, "C", client);
                record_errors(&log, "error", client);
                client.on_end(move |client| {
                    let more = client.write_with("a", callback(&log, "C", "first"));
                    log.add("C", format!("write={more}"));
                    halfclose::set_timeout(A_MOMENT, move || {
                        let more = client.write_with("b", callback(&log, "C", "second"));
                        log.add("C", format!("write={more}"));
                    });
                });
            },
            |_, peer| peer.close(),
        );
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | ~ end, write=true ~ first | write=false ~ second(write EPIPE) \
             ~ error(write EPIPE) |x close(true)",
        );
        let errno = -libc::EPIPE;
        log.assert_of("error", &format!("write EPIPE {{code: EPIPE, errno: {errno}, syscall: write}}"));
    });
}

/// L35: a write in flight that `destroy` cuts off is told to its callback only.
#[test]
fn write_cut_off_by_destroy() {
    support::test(|event_loop| {
        let log = Log::new();
        with_peer(
            event_loop,
            ConnectOptions::new(),
            |client| watch_socket(&log, "C", client),
            move |client, peer| {
                let tell = move |what: &str, result: Result<(), &Error>| {
                    log.add("C", format!("{what}: {}", all_of(result.expect_err("cut off"))));
                };
                assert!(!client.write_with(vec![0; MORE_THAN_BUFFERED], move |_, result| tell("first", result)));
                client.write_with("x", move |_, result| tell("second", result));
                client.end_with(move |_, result| tell("end", result));
                client.destroy();
                log.add("C", "destroy()");
                client.once_close(move |_, _| peer.close());
            },
        );
        let cancelled = format!("write ECANCELED {{code: ECANCELED, errno: {}, syscall: write}}", -libc::ECANCELED);
        log.assert_of(
            "C",
            &format!(
                "connectionAttempt | connect, ready | destroy() |x first: {cancelled}, second: {cancelled}, \
                 end: {cancelled} |x close(false)"
            ),
        );
    });
}

/// L52: a write after the socket ended itself because the peer had. No system call failed.
#[test]
fn write_after_the_peer_ended() {
    support::test(|event_loop| {
        let log = Log::new();
        with_peer(
            event_loop,
            ConnectOptions::new(),
            |client| {
                watch_socket(&log, "C", client);
                record_errors(&log, "error", client);
            },
            move |client, mut peer| {
                // Keeps the automatic end() from finishing, so that the socket is still there afterwards.
                client.write_with(vec![0; MORE_THAN_BUFFERED], callback(&log, "C", "first"));
                peer.half_close();
                client.on_end(move |client| {
                    halfclose::set_immediate(move || {
                        let more = client.write_with("x", callback(&log, "C", "second"));
                        log.add("C", format!("write={more}"));
                    });
                });
                client.once_close(move |_, _| peer.close());
            },
        );
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | ~ end | write=false ~ second(EPIPE) ~ error(EPIPE) \
             |x first(write ECANCELED) |x close(true)",
        );
        log.assert_of("error", "This socket has been ended by the other party {code: EPIPE}");
    });
}

/// L50: a write after the own `end()` destroys the socket.
#[test]
fn write_after_end() {
    support::test(|event_loop| {
        let log = Log::new();
        with_peer(
            event_loop,
            ConnectOptions::new(),
            |client| {
                watch_socket(&log, "C", client);
                record_errors(&log, "error", client);
            },
            move |client, peer| {
                client.end();
                let more = client.write_with("x", callback(&log, "C", "written"));
                log.add("C", format!("write={more}"));
                client.once_close(move |_, _| peer.close());
            },
        );
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | write=false ~ written(ERR_STREAM_WRITE_AFTER_END) \
             ~ error(ERR_STREAM_WRITE_AFTER_END) |x close(true)",
        );
        log.assert_of("error", "write after end {code: ERR_STREAM_WRITE_AFTER_END}");
    });
}

/// L19: `end` with data after `end()` is a write after end, also for the callbacks that wait.
#[test]
fn end_with_data_after_end() {
    support::test(|event_loop| {
        let log = Log::new();
        with_peer(
            event_loop,
            ConnectOptions::new(),
            |client| watch_socket(&log, "C", client),
            move |client, peer| {
                client.end_with(callback(&log, "C", "first"));
                client.end_data_with("x", callback(&log, "C", "second"));
                client.once_close(move |_, _| peer.close());
            },
        );
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | ~ first(ERR_STREAM_WRITE_AFTER_END) \
             ~ error(ERR_STREAM_WRITE_AFTER_END) ~ second(ERR_STREAM_WRITE_AFTER_END) |x close(true)",
        );
    });
}

/// L51, L19: after `destroy` there are callbacks only.
#[test]
fn write_and_end_after_destroy() {
    support::test(|event_loop| {
        let log = Log::new();
        with_peer(
            event_loop,
            ConnectOptions::new(),
            |client| watch_socket(&log, "C", client),
            move |client, peer| {
                let tell = move |what: &str, result: Result<(), &Error>| {
                    log.add("C", format!("{what}: {}", all_of(result.expect_err("destroyed"))));
                };
                client.destroy();
                assert!(!client.write_with("x", move |_, result| tell("write", result)));
                client.end_with(move |_, result| tell("end", result));
                client.once_close(move |_, _| peer.close());
            },
        );
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | ~ write: Cannot call write after a stream was destroyed \
             {code: ERR_STREAM_DESTROYED} ~ end: Cannot call end after a stream was destroyed \
             {code: ERR_STREAM_DESTROYED} |x close(false)",
        );
    });
}

/// L19: `end` after `finish`.
#[test]
fn end_after_finish() {
    support::test(|event_loop| {
        let log = Log::new();
        with_peer(
            event_loop,
            ConnectOptions::new(),
            |client| watch_socket(&log, "C", client),
            move |client, peer| {
                client.end();
                client.once_finish(move |client| {
                    halfclose::set_immediate(move || {
                        client.end_with(move |_, result| {
                            log.add("C", all_of(result.expect_err("finished")));
                            peer.close();
                        });
                    });
                });
            },
        );
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | ~ finish | ~ Cannot call end after a stream was finished \
             {code: ERR_STREAM_ALREADY_FINISHED} | ~ end |x close(false)",
        );
    });
}

/// One command, with the log for its callback.
type Command = fn(Socket, Log);

/// L53, L19, L46: a socket that was never connected.
#[test]
fn commands_on_a_socket_that_was_never_connected() {
    let rows: [(&str, Command, &str); 3] = [
        (
            "write",
            |socket, log| assert!(!socket.write_with("x", callback(&log, "C", "callback"))),
            "callback(ERR_SOCKET_CLOSED) ~ error(ERR_SOCKET_CLOSED) ~ close(false)",
        ),
        (
            "end with data",
            |socket, log| {
                socket.end_data_with("x", callback(&log, "C", "callback"));
            },
            "callback(ERR_SOCKET_CLOSED) ~ error(ERR_SOCKET_CLOSED) ~ close(false)",
        ),
        (
            "reset",
            |socket, _| {
                socket.reset_and_destroy().expect("a TCP socket");
            },
            "error(ERR_SOCKET_CLOSED) ~ close(false)",
        ),
    ];
    support::test(|event_loop| {
        for (row, command, expected) in rows {
            let log = Log::new();
            halfclose::set_immediate(move || {
                let socket = Socket::new();
                watch_socket(&log, "C", socket);
                record_errors(&log, "error", socket);
                command(socket, log);
            });
            event_loop.run().expect("no unhandled error");
            println!("{row}");
            log.assert_of("C", expected);
            log.assert_of("error", "Socket is closed {code: ERR_SOCKET_CLOSED}");
        }
        assert_eq!(event_loop.connections(), 0);
    });
}

/// L33: what was written to an attempt that `destroy` stopped.
#[test]
fn destroyed_before_the_connection_was_established() {
    let listener = RawListener::bind();
    support::test(|event_loop| {
        let log = Log::new();
        halfclose::set_immediate(move || {
            let client = net::connect(listener.address()).expect("connect");
            watch_socket(&log, "C", client);
            client.write_with("x", move |_, result| log.add("C", all_of(result.expect_err("never sent"))));
            client.destroy();
            log.add("C", "destroy()");
            drop(listener);
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "destroy() |x close(false), Socket closed before the connection was established \
             {code: ERR_SOCKET_CLOSED_BEFORE_CONNECTION}",
        );
    });
}

/// One way to destroy a socket.
type Destroy = fn(Socket) -> Socket;

/// L31, L61: an error of any make given to `destroy` is emitted with what it knows, and remembered.
#[test]
fn errors_given_to_destroy() {
    let rows: [(Destroy, String); 5] = [
        (|socket| socket.destroy_with("text"), "text {}".to_owned()),
        (|socket| socket.destroy_with("owned text".to_owned()), "owned text {}".to_owned()),
        (|socket| socket.destroy_with(std::io::Error::other("foreign")), "foreign {}".to_owned()),
        (
            |socket| socket.destroy_with(Box::<dyn std::error::Error + Send + Sync>::from("boxed")),
            "boxed {}".to_owned(),
        ),
        (
            |socket| {
                let refused = std::io::Error::from_raw_os_error(libc::ECONNREFUSED);
                socket.destroy_with(refused)
            },
            format!("{{code: ECONNREFUSED, errno: {}}}", -libc::ECONNREFUSED),
        ),
    ];
    support::test(|event_loop| {
        for (destroy, expected) in rows {
            let log = Log::new();
            with_peer(
                event_loop,
                ConnectOptions::new(),
                |client| {
                    client.on_error(move |client, error| {
                        log.add("C", all_of(error));
                        assert_eq!(client.errored().map(|error| all_of(&error)), Some(all_of(error)));
                    });
                    client.on_close(move |_, had_error| log.add("C", format!("close({had_error})")));
                },
                move |client, peer| {
                    destroy(client);
                    client.destroy_with("a second one is ignored");
                    log.add("C", "destroy()");
                    client.once_close(move |_, _| peer.close());
                },
            );
            let mut entries = log.texts_of("C");
            // The text of a system error is the system's own.
            assert!(entries[1].ends_with(&expected), "{}", entries[1]);
            entries[1] = "error".to_owned();
            assert_eq!(entries, ["destroy()", "error", "close(true)"]);
            assert!(log.of("C").starts_with("destroy() ~ ") && log.of("C").ends_with(" |x close(true)"));
        }
    });
}
