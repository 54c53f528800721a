//! Connecting to a path: L3, L7, L8, L47, C3, C45, and the socket's properties on the way.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, ReadyState, Server, Socket, SocketEvent, SocketOptions};

use crate::support::{self, Log, callback, describe, watch_socket};
use crate::{Directory, run_from_callback};

/// A server at `path` that ends what it accepts, and closes after the first.
fn ending_server(path: &std::path::Path) -> Server {
    let server = net::create_server(|socket| {
        socket.resume();
        socket.end();
        socket.server().expect("its server").close();
    });
    server.listen(path).expect("listen");
    server
}

/// L3: `connectionAttempt` belongs to the call, with the path and neither port nor family.
#[test]
fn l3_the_attempt_is_told_within_the_call() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        ending_server(&path);
        run_from_callback(event_loop, move || {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            let expected = path.clone();
            socket.on_connection_attempt(move |socket, attempt| {
                assert_eq!(attempt.address(), expected.to_str().expect("text"));
                assert_eq!((attempt.port(), attempt.family()), (None, None));
                assert_eq!(socket.ready_state(), ReadyState::Opening);
                // A callback given to the call is registered by then.
                assert_eq!(socket.listener_count(SocketEvent::Connect), 2);
            });
            let returned = socket.connect_with(&path, move |_| log.add("C", "callback")).expect("connect");
            assert_eq!(returned, socket);
            log.add("C", "connect()");
            assert!(socket.connecting() && socket.pending());
            socket.resume();
            socket.end();
        });
        log.assert_of(
            "C",
            "connectionAttempt, connect() | connect, callback, ready | ~ finish | ~ end |x close(false)",
        );
    });
}

/// L3: so nobody can listen to it on what `net::connect` returns.
#[test]
fn l3_the_attempt_of_a_new_socket_is_missed() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        ending_server(&path);
        run_from_callback(event_loop, move || {
            let socket = net::connect_with(&path, move |_| log.add("C", "callback")).expect("connect");
            watch_socket(&log, "C", socket);
            socket.resume();
        });
        log.assert_of("C", "callback, connect, ready | ~ end | ~ finish |x close(false)");
    });
}

/// L3 with N1: a listener that destroys the socket ends the attempt. Node's `connect` throws a `TypeError`.
#[test]
fn l3_destroyed_in_connection_attempt() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        let server = Server::new();
        server.on_connection(move |_, _| log.add("S", "connection"));
        server.listen(&path).expect("listen");
        run_from_callback(event_loop, move || {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            socket.on_connection_attempt(move |socket, _| {
                socket.destroy();
                log.add("C", "destroyed");
            });
            socket.connect(path).expect("connect");
            log.add("C", format!("connect() {}", socket.ready_state()));
            server.close();
        });
        log.assert_of("C", "connectionAttempt, destroyed, connect() closed |x close(false)");
        log.assert_of("S", "");
    });
}

/// L3, law 8: a panic of a listener passes through `connect`; the attempt goes on in the next run.
#[test]
fn l3_a_panic_in_connection_attempt_passes_through_the_call() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        ending_server(&path);
        let socket = Socket::new();
        socket.resume();
        socket.once_connection_attempt(|_, _| panic!("on purpose"));
        watch_socket(&log, "C", socket);
        let call = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = socket.connect(&path);
        }));
        assert!(call.is_err());
        assert!(socket.connecting());
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connect, ready | ~ end | ~ finish |x close(false)");
    });
}

/// L33: destroyed right after the call, when the kernel has connected already.
#[test]
fn l33_destroyed_while_connecting() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        let server = ending_server(&path);
        server.on_connection(move |_, socket| watch_socket(&log, "S", socket));
        run_from_callback(event_loop, move || {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            socket.connect(path).expect("connect");
            socket.destroy();
            log.add("C", "destroyed");
        });
        log.assert_of("C", "connectionAttempt, destroyed |x close(false)");
        log.assert_of("S", "finish | ~ end |x close(false)");
    });
}

/// L7: nobody there is told from the pending phase, whatever the kernel's reason.
#[test]
fn l7_failures_of_the_kernel() {
    let directory = Directory::new();
    std::fs::write(directory.path("file"), "").expect("a file");
    std::os::unix::net::UnixListener::bind(directory.path("stale")).expect("a socket that nobody holds");
    let cases = [("missing", "ENOENT"), ("file", "ECONNREFUSED"), ("stale", "ECONNREFUSED"), ("file/below", "ENOTDIR")];
    for (name, code) in cases {
        support::test(|event_loop| {
            let log = Log::new();
            let path = directory.path(name);
            let message = format!("connect {code} {}", path.display());
            run_from_callback(event_loop, move || {
                let socket = Socket::new();
                watch_socket(&log, "C", socket);
                socket.on_connection_attempt_failed(move |socket, attempt, error| {
                    assert_eq!((attempt.port(), attempt.family()), (None, None));
                    assert_eq!(error.message(), message);
                    assert_eq!((error.syscall(), error.port()), (Some("connect"), None));
                    assert_eq!(error.address(), Some(attempt.address()));
                    assert!(!socket.connecting() && !socket.destroyed());
                });
                socket.on_error(|socket, _| assert!(!socket.connecting() && socket.destroyed()));
                socket.connect(path).expect("connect");
                log.add("C", format!("connect() {}", socket.ready_state()));
                halfclose::next_tick(move || log.add("C", format!("tick {}", socket.ready_state())));
            });
            log.assert_of(
                "C",
                &format!(
                    "connectionAttempt, connect() opening ~ tick opening | connectionAttemptFailed({code}) \
                     ~ error(connect {code}) |x close(true)"
                ),
            );
        });
    }
}

/// L8: what was queued is told within `close`, at the place of the first write among its listeners.
#[test]
fn l8_refused_with_queued_output() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("missing");
        run_from_callback(event_loop, move || {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            socket.connect(path).expect("connect");
            socket.write_with("a", callback(&log, "C", "cba"));
            socket.write_with("b", callback(&log, "C", "cbb"));
            socket.end_with(callback(&log, "C", "endcb"));
        });
        log.assert_of(
            "C",
            "connectionAttempt | connectionAttemptFailed(ENOENT) ~ error(connect ENOENT) |x close(true), \
             cba(ERR_SOCKET_CLOSED_BEFORE_CONNECTION), cbb(connect ENOENT), endcb(connect ENOENT)",
        );
    });
}

/// S18: what the kernel cannot even be asked fails within the call, and is told in a tick; it is no `Err`.
#[test]
fn s18_invalid_paths() {
    let directory = Directory::new();
    let too_long = directory.path_of_length(if cfg!(target_os = "linux") { 109 } else { 105 });
    for path in [too_long, directory.path("a\0b")] {
        support::test(|event_loop| {
            let log = Log::new();
            let message = format!("connect EINVAL {} - Local (undefined:undefined)", path.display());
            run_from_callback(event_loop, move || {
                let socket = Socket::new();
                watch_socket(&log, "C", socket);
                socket.on_error(move |_, error| {
                    assert_eq!(error.message(), message);
                    assert_eq!(error.port(), None);
                });
                socket.connect(path).expect("connect");
                log.add("C", format!("connect() {}", socket.ready_state()));
            });
            log.assert_of("C", "connectionAttempt, connect() closed ~ error(connect EINVAL) |x close(true)");
        });
    }
}

/// C40: a second connect while the first is under way is attempted, and is what fails the socket.
#[test]
fn c40_a_second_connect_fails_the_socket() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        ending_server(&path);
        run_from_callback(event_loop, move || {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            socket.resume();
            socket.connect(&path).expect("connect");
            socket.connect(&path).expect("connect");
            log.add("C", "connect() twice");
        });
        log.assert_of(
            "C",
            "connectionAttempt, connectionAttempt, connect() twice | connectionAttemptFailed(EISCONN) \
             ~ error(connect EISCONN) |x close(true)",
        );
    });
}

/// A connected socket cannot connect; that is this crate's `Err`, and changes nothing.
#[test]
fn a_connected_socket_cannot_connect_to_a_path() {
    support::test(|event_loop| {
        let directory = Directory::new();
        let path = directory.path("s");
        ending_server(&path);
        let socket = net::connect(&path).expect("connect");
        socket.on_connection_attempt(|_, _| panic!("nothing is attempted"));
        socket.on_connect(move |socket| {
            let refused = socket.connect(&path).map(|_| ()).expect_err("EISCONN");
            assert_eq!(describe(&refused), "connect EISCONN");
            socket.resume();
        });
        event_loop.run().expect("no unhandled error");
    });
}

/// C41: after a failure the same socket connects again, here in its `close` listener, once somebody listens.
#[test]
fn c41_a_socket_reconnects() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        run_from_callback(event_loop, move || {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            socket.resume();
            let first = Rc::new(Cell::new(true));
            let again = path.clone();
            socket.on_close(move |socket, _| {
                if first.replace(false) {
                    ending_server(&again);
                    socket.connect(&again).expect("connect again");
                }
            });
            socket.connect(path).expect("connect");
        });
        log.assert_of(
            "C",
            "connectionAttempt | connectionAttemptFailed(ENOENT) ~ error(connect ENOENT) |x close(true), \
             connectionAttempt | connect, ready | ~ end | ~ finish |x close(false)",
        );
    });
}

/// A socket goes from one transport to the other: first TCP, then a path.
#[test]
fn a_tcp_socket_connects_again_over_a_unix_socket() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        ending_server(&path);
        run_from_callback(event_loop, move || {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            socket.resume();
            socket.once_close(move |socket, _| {
                socket.connect(path).expect("connect");
            });
            // Nobody listens at the port where nothing may.
            socket.connect(("127.0.0.1", 1)).expect("connect");
        });
        log.assert_of(
            "C",
            "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) \
             |x close(true), connectionAttempt | connect, ready | ~ end | ~ finish |x close(false)",
        );
    });
}

/// L47: there are no resets here, and asking for one changes nothing, at whatever moment.
#[test]
fn l47_resets_are_refused() {
    fn refused(socket: Socket) {
        let before = socket.ready_state();
        let error = socket.reset_and_destroy().map(|_| ()).expect_err("a unix socket");
        assert_eq!(error.code(), Some("ERR_INVALID_HANDLE_TYPE"));
        assert_eq!(error.message(), "This handle type cannot be sent");
        assert_eq!(socket.ready_state(), before);
    }
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        let server = ending_server(&path);
        server.on_connection(|_, socket| refused(socket));
        run_from_callback(event_loop, move || {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            socket.resume();
            socket.on_connection_attempt(|socket, _| refused(socket));
            socket.on_connect(refused);
            socket.connect(path).expect("connect");
            refused(socket);
        });
        log.assert_of("C", "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false)");
    });
}

/// L46: without a connection it is the same as ever, whatever the socket was to become.
#[test]
fn l46_a_reset_without_a_connection() {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            assert_eq!(socket.reset_and_destroy().expect("not a unix socket"), socket);
        });
        log.assert_of("C", "error(ERR_SOCKET_CLOSED) ~ close(false)");
    });
}

/// C3: a path wins over port and host; what only means something for the internet is not even looked at.
#[test]
fn c3_a_path_wins_over_a_port() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        ending_server(&path);
        let options =
            ConnectOptions::new().path(&path).host("no\0host").port(1).local_address("no address").local_port(1);
        run_from_callback(event_loop, move || {
            let socket = net::connect(options).expect("connect");
            watch_socket(&log, "C", socket);
            socket.resume();
        });
        log.assert_of("C", "connect, ready | ~ end | ~ finish |x close(false)");
    });
}

/// C3: an empty path is none. With it a port may be missing, and is 0.
#[test]
fn c3_an_empty_path_is_none() {
    for (options, message) in [
        (ConnectOptions::new().host("127.0.0.1").path("").port(1), "connect ECONNREFUSED 127.0.0.1:1"),
        (ConnectOptions::new().host("127.0.0.1").path(""), "connect ECONNREFUSED 127.0.0.1"),
    ] {
        support::test(|event_loop| {
            let log = Log::new();
            let socket = net::connect(options).expect("connect");
            socket.on_error(move |_, error| log.add("C", error.message()));
            event_loop.run().expect("no unhandled error");
            log.assert_of("C", message);
        });
    }
    support::test(|_| {
        let error = Socket::new().connect(ConnectOptions::new()).map(|_| ()).expect_err("no destination");
        assert_eq!(error.code(), Some("ERR_MISSING_ARGS"));
    });
}

/// S10, C44, C45: no addresses, and the options of TCP mean nothing, before, at and after connecting.
#[test]
fn c45_the_options_of_tcp_mean_nothing() {
    fn check(socket: Socket) {
        assert_eq!((socket.remote_address(), socket.remote_port(), socket.remote_family()), (None, None, None));
        assert_eq!((socket.local_address(), socket.local_port(), socket.local_family()), (None, None, None));
        assert_eq!((socket.address(), socket.peer_addr()), (None, None));
        socket.set_no_delay(true).set_no_delay(false);
        socket.set_keep_alive(true, Duration::from_secs(5)).set_keep_alive(false, Duration::ZERO);
    }
    support::test(|event_loop| {
        let directory = Directory::new();
        let path = directory.path("s");
        let options = net::ServerOptions::new().no_delay(true).keep_alive(true);
        let server = net::create_server_with(options, |socket| {
            check(socket);
            socket.resume();
            socket.server().expect("its server").close();
        });
        server.listen(&path).expect("listen");
        let socket = Socket::with_options(SocketOptions::new().no_delay(true).keep_alive(true));
        check(socket);
        socket.connect(&path).expect("connect");
        check(socket);
        socket.on_connect(|socket| {
            check(socket);
            socket.resume();
            socket.end();
        });
        socket.on_close(|socket, had_error| {
            assert!(!had_error);
            check(socket);
        });
        event_loop.run().expect("no unhandled error");
    });
}

/// R1: a connect to a path keeps the loop alive until it is told, also one that failed within the call.
#[test]
fn r1_a_failing_connect_keeps_the_loop_alive() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let socket = net::connect(directory.path("missing")).expect("connect");
        socket.unref();
        socket.on_error(move |_, error| log.add("C", error.code().unwrap_or("none")));
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "ENOENT");
        assert_eq!(event_loop.connections(), 0);
    });
}

/// C40, mixed: a path while an internet attempt is under way fails the socket; one that has not begun gives way.
#[test]
fn c40_a_path_after_an_internet_address() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        ending_server(&path);
        run_from_callback(event_loop, move || {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            socket.resume();
            socket.connect(("127.0.0.1", 1)).expect("connect");
            socket.connect(&path).expect("connect");
            log.add("C", "connect() twice");
        });
        log.assert_of("C", "connectionAttempt, connect() twice | connect, ready | ~ end | ~ finish |x close(false)");
    });
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("never connected");
        run_from_callback(event_loop, move || {
            let socket = Socket::new();
            watch_socket(&log, "C", socket);
            let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("bind");
            socket.connect(listener.local_addr().expect("bound")).expect("connect");
            // Behind the tick in which the first attempt begins.
            halfclose::next_tick(move || {
                socket.connect(&path).expect("connect");
                log.add("C", "connect()");
                drop(listener);
            });
        });
        log.assert_of("C", "connectionAttempt ~ connectionAttempt, connect() ~ error(connect EALREADY) |x close(true)");
    });
}

/// L3, law 8: `connectionAttempt` may do anything, here: connect another socket, whose event is told within as well.
#[test]
fn l3_attempts_within_attempts() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        let server = net::create_server(|socket| {
            socket.resume();
            socket.end();
        });
        server.listen(&path).expect("listen");
        run_from_callback(event_loop, move || {
            let (outer, inner) = (Socket::new(), Socket::new());
            for (name, socket) in [("outer", outer), ("inner", inner)] {
                watch_socket(&log, name, socket);
                socket.resume();
            }
            let goal = path.clone();
            outer.once_connection_attempt(move |_, _| {
                inner.connect(&goal).expect("connect");
                log.add("outer", "inner.connect()");
            });
            outer.connect(&path).expect("connect");
            log.add("outer", "connect()");
            let open = Rc::new(Cell::new(2));
            for socket in [outer, inner] {
                let open = open.clone();
                socket.on_close(move |_, _| {
                    open.set(open.get() - 1);
                    if open.get() == 0 {
                        server.close();
                    }
                });
            }
        });
        assert_eq!(
            log.list()[..4],
            ["outer connectionAttempt", "inner connectionAttempt", "outer inner.connect()", "outer connect()"]
        );
        log.assert_of("inner", "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false)");
        log.assert_of(
            "outer",
            "connectionAttempt, inner.connect(), connect() | connect, ready | ~ end | ~ finish |x close(false)",
        );
    });
}
