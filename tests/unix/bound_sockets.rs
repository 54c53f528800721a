//! 1.7: `BoundSocket` for a path or an abstract name. Every sequence was taken from Node 26.10.

use std::os::unix::net::UnixListener;
use std::path::Path;

use halfclose::Error;
use halfclose::net::{
    self, BoundSocket, BoundSocketOptions, ConnectOptions, ListenOptions, ReadyState, Server, Socket, SocketOptions,
};

use crate::support::{self, Log, callback, in_a_loop, watch_data_bytes, watch_server, watch_socket};
use crate::{Directory, mode_of};

const ADOPTED: Option<&str> = Some("ERR_SOCKET_HANDLE_ADOPTED");

fn bound_at(path: &Path) -> BoundSocket {
    BoundSocket::new(path).expect("a path that is free")
}

/// A watched socket that connects from `path`.
fn client_at(log: &Log, name: &str, path: &Path) -> Socket {
    let client = Socket::with_options(SocketOptions::new().handle(&bound_at(path)).expect("not adopted yet"));
    watch_socket(log, name, client);
    client
}

/// Code, number, system call and message of a bind that failed; Node shows no address.
fn refusal(to: impl Into<BoundSocketOptions>) -> (Option<String>, Option<i32>, Option<String>, String) {
    let error = BoundSocket::new(to).expect_err("it cannot be bound");
    assert_eq!((error.address(), error.port()), (None, None));
    let owned = |text: Option<&str>| text.map(str::to_owned);
    (owned(error.code()), error.errno(), owned(error.syscall()), error.message().to_owned())
}

/// 1.7: what it tells, and that the file comes with the bind and goes with `close`, or with the last clone.
#[test]
fn a_bound_path_is_known_until_it_is_closed() {
    let directory = Directory::new();
    let path = directory.path("s");
    let bound = BoundSocket::new(&path).expect("a path that is free");
    assert!(bound.is_pipe() && path.exists());
    assert_eq!(bound.path().expect("bound"), Some(path.clone()));
    assert_eq!(bound.address().expect("bound"), None);
    assert!(bound.fd().expect("bound") >= 0);
    // It may go to another thread, and clones are the same socket.
    let there = bound.clone();
    std::thread::spawn(move || there.close().expect("bound")).join().expect("no panic");
    assert!(!path.exists());
    assert!(bound.is_pipe(), "still, as in Node");
    for error in [bound.address().err(), bound.path().err(), bound.fd().err(), bound.close().err()] {
        let error = error.expect("closed");
        assert_eq!(error.code(), ADOPTED);
        assert_eq!(error.message(), "The bound socket has already been adopted by a server or socket");
    }
    let bound = BoundSocket::new(path.clone()).expect("free again");
    let clone = bound.clone();
    drop(bound);
    assert!(path.exists());
    drop(clone);
    assert!(!path.exists());
    let tcp = BoundSocket::new(("127.0.0.1", 0)).expect("an address");
    assert!(!tcp.is_pipe());
    assert_eq!(tcp.path().expect("bound"), None);
}

/// 1.7, S18: what the system refuses is an `Err` without an address. An empty path is refused too, where Node binds to a
/// name of 108 zero bytes.
#[test]
fn a_path_that_cannot_be_bound_is_an_error_at_once() {
    let directory = Directory::new();
    let path = directory.path("s");
    let _bound = bound_at(&path);
    let expected = |code: &str, number: i32| {
        (Some(code.to_owned()), Some(-number), Some("bind".to_owned()), format!("bind {code}"))
    };
    assert_eq!(refusal(&path), expected("EADDRINUSE", libc::EADDRINUSE));
    assert!(path.exists(), "the other one's file is left alone");
    assert_eq!(refusal(directory.path("missing/s")), expected("EACCES", libc::EACCES));
    assert_eq!(refusal(directory.path_of_length(109)), expected("EINVAL", libc::EINVAL));
    assert_eq!(refusal(directory.path("a\0b")), expected("EINVAL", libc::EINVAL));
    assert_eq!(refusal(Path::new("")), expected("EINVAL", libc::EINVAL));
}

/// 1.7: a path and anything else, be it a default.
#[test]
fn a_path_stands_alone() {
    let path = || BoundSocketOptions::new().path("/nowhere/s");
    for (options, shown) in [
        (path().port(0), "port: 0"),
        (path().host("127.0.0.1"), "host: '127.0.0.1'"),
        (path().ipv6_only(false), "ipv6Only: false"),
        (path().reuse_port(true), "reusePort: true"),
    ] {
        let error = BoundSocket::new(options).expect_err("both");
        assert_eq!(error.code(), Some("ERR_INVALID_ARG_VALUE"));
        assert_eq!(
            error.message(),
            format!(
                "The argument 'options' path is mutually exclusive with host, port, ipv6Only, and reusePort. \
                 Received {{ path: '/nowhere/s', {shown} }}"
            )
        );
    }
}

/// 1.7, S20: an abstract name has no file, and is free again with the socket.
#[test]
#[cfg(target_os = "linux")]
fn an_abstract_name_can_be_bound() {
    let name = net::abstract_name(format!("halfclose-bound-{}", std::process::id()));
    let log = in_a_loop(move |log| {
        let bound = bound_at(&name);
        assert!(bound.is_pipe());
        assert_eq!(bound.path().expect("bound"), Some(name.clone()));
        assert_eq!(refusal(&name).3, "bind EADDRINUSE");
        let server = Server::new();
        watch_server(&log, "srv", server);
        // With a path these would be an `Err`; of a bound socket Node does not ask them.
        server.listen(ListenOptions::new().handle(&bound).readable_all(true)).expect("listen");
        assert_eq!(server.path(), Some(name.clone()));
        server.on_connection(|server, socket| {
            socket.resume();
            server.close();
        });
        let client = Socket::new();
        watch_socket(&log, "C", client);
        client.resume();
        client.connect(&name).expect("connect");
        client.end();
        server.on_close(move |_| drop(bound_at(&name)));
    });
    log.assert_of("srv", "listening | connection | ~ close");
    log.assert_of("C", "connectionAttempt | connect, ready | ~ finish | ~ end |x close(false)");
}

/// 1.7, S10, S16, S19: a server adopts it within `listen`, with its file, which goes when the server closes.
/// `readable_all` and `writable_all` mean nothing to it.
#[test]
fn a_server_listens_at_a_bound_path() {
    let directory = Directory::new();
    let path = directory.path("s");
    let goal = path.clone();
    let log = in_a_loop(move |log| {
        let bound = bound_at(&goal);
        let mode = mode_of(&goal);
        let busy = Server::new();
        busy.listen(0).expect("listen");
        assert_eq!(busy.listen(&bound).expect_err("it listens").code(), Some("ERR_SERVER_ALREADY_LISTEN"));
        busy.close();
        assert_eq!(bound.path().expect("not adopted"), Some(goal.clone()));
        let server = Server::new();
        watch_server(&log, "srv", server);
        let options = ListenOptions::new().handle(&bound).path("/ignored").readable_all(true).writable_all(true);
        server.listen(options).expect("listen");
        log.add("srv", "listen()");
        assert!(server.listening());
        assert_eq!((server.path(), server.address()), (Some(goal.clone()), None));
        assert_eq!(mode_of(&goal), mode);
        assert!(bound.is_pipe());
        assert_eq!(bound.path().expect_err("adopted").code(), ADOPTED);
        assert_eq!(Server::new().listen(&bound).expect_err("adopted").code(), ADOPTED);
        assert_eq!(SocketOptions::new().handle(&bound).expect_err("adopted").code(), ADOPTED);
        drop(bound);
        let client = Socket::new();
        watch_socket(&log, "C", client);
        watch_data_bytes(&log, "C", client);
        client.connect(&goal).expect("connect");
        server.on_connection(move |server, socket| {
            assert_eq!((socket.address(), socket.local_path(), socket.remote_address()), (None, None, None));
            socket.resume();
            socket.end_data("hi");
            server.close();
            assert!(!goal.exists());
            assert_eq!(server.path(), Some(goal.clone()));
        });
    });
    log.assert_of("srv", "listen() ~ listening | connection | ~ close");
    log.assert_of("C", "connectionAttempt | connect, ready | data(hi) | ~ end | ~ finish |x close(false)");
}

/// N13 is not copied: whoever has the socket removes its own file only.
#[test]
fn a_file_that_took_the_name_stays() {
    let directory = Directory::new();
    support::test(|event_loop| {
        let replace = |path: &Path| {
            std::fs::remove_file(path).expect("the socket's file");
            std::fs::write(path, "somebody else's").expect("another file");
        };
        let path = directory.path("bound");
        let bound = bound_at(&path);
        replace(&path);
        bound.close().expect("not adopted");
        assert!(path.exists());

        let path = directory.path("server");
        let server = Server::new();
        server.listen(&bound_at(&path)).expect("listen");
        replace(&path);
        server.close();
        assert!(path.exists());

        let path = directory.path("client");
        let client = Socket::with_options(SocketOptions::new().handle(&bound_at(&path)).expect("not adopted yet"));
        replace(&path);
        client.destroy();
        assert!(path.exists());
        event_loop.run().expect("no unhandled error");
    });
}

/// 1.7, L3: a client connects from its path, which the peer sees; the file goes when the client is destroyed.
#[test]
fn a_client_connects_from_a_bound_path() {
    let directory = Directory::new();
    let (path, goal) = (directory.path("client"), directory.path("server"));
    let peer = UnixListener::bind(&goal).expect("bind");
    let log = in_a_loop(move |log| {
        let client = client_at(&log, "C", &path);
        assert_eq!((client.ready_state(), client.connecting()), (ReadyState::Open, false));
        assert_eq!((client.local_path(), client.address()), (Some(path.clone()), None));
        client.resume();
        client.connect(&goal).expect("connect");
        log.add("C", format!("connect(), connecting {}", client.connecting()));
        assert_eq!(client.local_path(), Some(path.clone()));
        client.on_ready(move |client| {
            let (accepted, address) = peer.accept().expect("a connection");
            assert_eq!(address.as_pathname(), Some(path.as_path()));
            assert_eq!(client.local_path(), Some(path.clone()));
            drop(accepted);
            let path = path.clone();
            client.on_close(move |client, _| {
                assert!(!path.exists());
                // Node remembers it.
                assert_eq!(client.local_path(), None);
            });
        });
    });
    log.assert_of(
        "C",
        "connectionAttempt, connect(), connecting true | connect, ready | ~ end | ~ finish |x close(false)",
    );
}

/// L7, S18: failures are events, as without a bound path; the one that asks no kernel tells the local end.
#[test]
fn a_client_at_a_bound_path_fails_with_events() {
    let directory = Directory::new();
    let missing = directory.path("missing");
    let long = directory.path_of_length(109);
    let paths = ["a", "b", "c"].map(|name| directory.path(name));
    let files = paths.clone();
    let log = in_a_loop(move |log| {
        let rows = [missing, long, "".into()];
        for ((name, path), to) in ["missing", "long", "empty"].into_iter().zip(paths).zip(rows) {
            let client = client_at(&log, name, &path);
            client.on_error(move |_, error: &Error| {
                assert_eq!((error.syscall(), error.port(), error.local_address()), (Some("connect"), None, None));
                log.add(&format!("{name} says"), error.message());
            });
            client.connect(ConnectOptions::new().path(to)).expect("connect");
            log.add(name, "connect()");
        }
    });
    let [_, second, third] = files.each_ref().map(|path| path.display());
    log.assert_of(
        "missing",
        "connectionAttempt, connect() | connectionAttemptFailed(ENOENT) ~ error(connect ENOENT) |x close(true)",
    );
    log.assert_of("missing says", &format!("connect ENOENT {}", directory.path("missing").display()));
    for name in ["long", "empty"] {
        log.assert_of(name, "connectionAttempt, connect() ~ error(connect EINVAL) |x close(true)");
    }
    let long = directory.path_of_length(109);
    log.assert_of("long says", &format!("connect EINVAL {} - Local ({second}:undefined)", long.display()));
    log.assert_of("empty says", &format!("connect EINVAL - Local ({third}:undefined)"));
    assert!(files.iter().all(|path| !path.exists()));
}

/// 1.7: what a socket is bound to decides how it connects. Without a path Node throws, too, but stays connecting.
#[test]
fn a_bound_socket_connects_over_what_it_has() {
    let directory = Directory::new();
    let (path, goal) = (directory.path("client"), directory.path("server"));
    let (holder, port) = support::refusing_port();
    let _peer = UnixListener::bind(&goal).expect("bind");
    let log = in_a_loop(move |log| {
        let client = client_at(&log, "unix", &path);
        let error = client.connect(port).expect_err("no path");
        assert_eq!(error.code(), Some("ERR_INVALID_ARG_TYPE"));
        assert_eq!(error.message(), "The \"options.path\" property must be of type string. Received undefined");
        let error = client.connect(ConnectOptions::new()).expect_err("nothing");
        assert_eq!(error.code(), Some("ERR_MISSING_ARGS"));
        assert_eq!(client.reset_and_destroy().expect_err("a unix socket").code(), Some("ERR_INVALID_HANDLE_TYPE"));
        assert!(!client.connecting() && !client.destroyed());
        // A local end is not looked at, as for any path.
        let options = ConnectOptions::new().port(port).local_address("127.0.0.1").local_port(5);
        client.connect(options.path(&goal)).expect("connect");
        client.on_connect(|client| {
            client.destroy();
        });

        let options = || SocketOptions::new().handle(&BoundSocket::new(("127.0.0.1", 0)).expect("an address"));
        for (name, to, message) in [
            ("tcp, path", ConnectOptions::new().path(&goal), "connect ECONNREFUSED 127.0.0.1".to_owned()),
            (
                "tcp, both",
                ConnectOptions::new().path(&goal).port(port),
                format!("connect ECONNREFUSED 127.0.0.1:{port}"),
            ),
        ] {
            let client = Socket::with_options(options().expect("not adopted yet"));
            watch_socket(&log, name, client);
            client.on_error(move |_, error| assert_eq!(error.message(), message));
            client.connect(to.host("127.0.0.1")).expect("connect");
        }
    });
    log.assert_of("unix", "connectionAttempt | connect, ready |x close(false)");
    let refused =
        "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) |x close(true)";
    log.assert_of("tcp, path", refused);
    log.assert_of("tcp, both", refused);
    drop(holder);
}

/// M5, M6: one that is destroyed before it connects had a handle; released, it emits nothing. The file goes in either
/// case, and with the loop.
#[test]
fn a_client_at_a_bound_path_that_never_connects_is_closed() {
    let directory = Directory::new();
    let waiting = directory.path("waiting");
    let path = waiting.clone();
    let [first, second, third] = ["destroyed", "released", "stopped"].map(|name| directory.path(name));
    let log = in_a_loop(move |log| {
        let client = client_at(&log, "destroyed", &first);
        client.destroy();
        log.add("destroyed", "destroy()");
        assert!(!first.exists());
        let client = client_at(&log, "released", &second);
        client.release();
        assert!(!second.exists());
        let client = client_at(&log, "stopped", &third);
        client.on_connection_attempt(|client, _| {
            client.destroy();
        });
        client.connect(Path::new("/nowhere/s")).expect("connect");
        assert!(!third.exists());
        let client = client_at(&log, "waiting", &path);
        assert!(!client.write_with("x", callback(&log, "waiting", "write")));
        client_at(&log, "left", &path.with_extension("left"));
    });
    log.assert_of("destroyed", "destroy() |x close(false)");
    log.assert_of("released", "");
    log.assert_of("stopped", "connectionAttempt |x close(false)");
    // Not as in Node, which tries the kernel and fails with ENOTCONN.
    log.assert_of("waiting", "write(ERR_SOCKET_CLOSED) ~ error(ERR_SOCKET_CLOSED) |x close(true)");
    log.assert_of("left", "");
    assert!(!waiting.exists() && !waiting.with_extension("left").exists());
}

/// C41: a reconnect is an ordinary one, without a name.
#[test]
fn a_client_at_a_bound_path_connects_again_without_a_name() {
    let directory = Directory::new();
    let (path, goal) = (directory.path("client"), directory.path("server"));
    let server_path = goal.clone();
    let log = in_a_loop(move |log| {
        let server = Server::new();
        server.on_connection(|_, socket| {
            socket.resume();
            socket.end();
        });
        server.listen(&server_path).expect("listen");
        let client = client_at(&log, "C", &path);
        client.resume();
        client.once_close(move |client, _| {
            client.connect(&server_path).expect("connect");
            log.add("C", format!("{:?} {}", client.local_path(), path.exists()));
            client.on_close(move |_, _| {
                server.close();
            });
        });
        client.connect(&goal).expect("connect");
    });
    let once = "| connect, ready | ~ end | ~ finish |x close(false)";
    log.assert_of("C", &format!("connectionAttempt {once}, connectionAttempt, None false {once}"));
}

/// Not in Node: a connection that is given back keeps its name, and the file is its new owner's.
#[test]
fn a_connection_that_is_given_back_keeps_its_file() {
    let directory = Directory::new();
    let (path, goal) = (directory.path("client"), directory.path("server"));
    let peer = UnixListener::bind(&goal).expect("bind");
    let file = path.clone();
    let log = in_a_loop(move |log| {
        let client = client_at(&log, "C", &path);
        client.connect(&goal).expect("connect");
        client.on_ready(move |client| {
            let _accepted = peer.accept().expect("a connection");
            let (descriptor, _) = client.into_fd().expect("nothing waits");
            let stream = std::os::unix::net::UnixStream::from(descriptor);
            assert_eq!(stream.local_addr().expect("a name").as_pathname(), Some(path.as_path()));
        });
    });
    log.assert_of("C", "connectionAttempt | connect, ready ~ close(false)");
    assert!(file.exists());
}
