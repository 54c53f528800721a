//! Errors that nobody listens for (L62): they end `run`, unless the policy of the loop says otherwise.

use std::rc::Rc;

use halfclose::net::{self, Server, Socket};
use halfclose::{ErrorSource, Unhandled};

use crate::NOT_OURS;
use crate::support::{self, Log, RawListener, loopback, port_of, watch_server};

/// L62: `run` returns the error of a socket without an `error` listener; the next `run` continues with what is owed.
#[test]
fn run_returns_an_unhandled_error_of_a_socket() {
    let (holder, port) = support::refusing_port();
    support::test(|event_loop| {
        let log = Log::new();
        halfclose::set_immediate(move || {
            let client = net::connect(("127.0.0.1", port)).expect("connect");
            client.on_connection_attempt_failed(move |_, _, _| {
                halfclose::next_tick(move || log.add("C", "tick"));
            });
            client.on_close(move |_, had_error| log.add("C", format!("close({had_error})")));
        });
        let error = event_loop.run().expect_err("unhandled");
        assert_eq!(error.to_string(), format!("connect ECONNREFUSED 127.0.0.1:{port}"));
        assert!(!log.contains("C", "close(true)"));
        event_loop.run().expect("the error was returned once");
        assert_eq!(log.texts_of("C"), ["tick", "close(true)"]);
        assert_eq!(event_loop.connections(), 0);
    });
    drop(holder);
}

/// L62: the same for `turn`, for an error given to `destroy`, with other work queued behind it.
#[test]
fn turn_returns_an_unhandled_error_and_keeps_what_is_queued() {
    support::test(|event_loop| {
        let log = Log::new();
        halfclose::set_immediate(move || {
            let socket = Socket::new();
            socket.on_close(move |_, had_error| log.add("C", format!("close({had_error})")));
            socket.destroy_with("mine");
            halfclose::next_tick(move || log.add("C", "tick"));
            halfclose::set_immediate(move || log.add("C", "immediate"));
        });
        let error = loop {
            match event_loop.turn(None) {
                Ok(alive) => assert!(alive, "the error was lost"),
                Err(error) => break error,
            }
        };
        assert_eq!((error.message(), error.code()), ("mine", None));
        assert_eq!(log.len(), 0);
        while event_loop.turn(None).expect("the error was returned once") {}
        assert_eq!(log.texts_of("C"), ["close(false)", "tick", "immediate"]);
    });
}

/// L62: an unhandled error of a server.
#[test]
fn run_returns_an_unhandled_error_of_a_server() {
    let holder = RawListener::bind();
    let port = holder.port();
    support::test(|event_loop| {
        let server = Server::new();
        server.listen(("127.0.0.1", port)).expect("no error yet");
        let error = event_loop.run().expect_err("unhandled");
        assert_eq!(error.to_string(), format!("listen EADDRINUSE: address already in use 127.0.0.1:{port}"));
        // The server can be used again all the same.
        let log = Log::new();
        watch_server(&log, "srv", server);
        server.on_listening(|server| {
            server.close();
        });
        server.listen(0).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("srv"), ["listening", "close"]);
    });
}

/// The policy of a loop: it is asked with the source of the error, and says whether `run` goes on.
#[test]
fn a_policy_decides_about_unhandled_errors() {
    support::test(|event_loop| {
        let log = Log::new();
        let sockets = Rc::new([Socket::new(), Socket::new(), Socket::new()]);
        let known = sockets.clone();
        event_loop.on_unhandled_error(move |source, error| {
            let position = |socket| known.iter().position(|known| *known == socket);
            let name = if let ErrorSource::Socket(socket) = source {
                format!("socket {}", position(socket).expect("a known socket"))
            } else {
                "server".to_owned()
            };
            log.add("policy", format!("{name} {error}"));
            if error.message() == "serious" { Unhandled::Return } else { Unhandled::Continue }
        });
        sockets[1].on_error(move |_, error| log.add("listener", error));
        for socket in sockets.iter() {
            socket.on_close(move |_, _| log.add("close", "close"));
        }
        sockets[0].destroy_with("harmless");
        sockets[1].destroy_with("handled");
        sockets[2].destroy_with("serious");
        let server = Server::new();
        server.listen((NOT_OURS, 0)).expect("no error yet");
        assert_eq!(event_loop.run().expect_err("a serious one").message(), "serious");
        event_loop.run().expect("everything else was handled");
        let not_available = format!("server listen EADDRNOTAVAIL: address not available {NOT_OURS}");
        assert_eq!(log.texts_of("policy"), ["socket 0 harmless", "socket 2 serious", not_available.as_str()]);
        assert_eq!(log.texts_of("listener"), ["handled"]);
        assert_eq!(log.texts_of("close").len(), 3);
        assert_eq!(event_loop.connections(), 0);
    });
}

/// L63: an accepted socket's error that nobody listens for is one of `run`, and the server goes on.
#[test]
fn an_unhandled_error_of_an_accepted_socket_leaves_the_server_running() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        watch_server(&log, "srv", server);
        server.once_listening(|server| {
            support::RawPeer::connect(loopback(port_of(server))).reset();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        assert_eq!(event_loop.run().expect_err("unhandled").to_string(), "read ECONNRESET");
        assert!(server.listening());
        server.once_connection(|server, socket| {
            server.close();
            socket.end();
        });
        let peer = support::RawPeer::connect(loopback(port_of(server)));
        let peer = support::in_thread(move || {
            let mut peer = peer;
            peer.read_to_end().expect("a clean end")
        });
        event_loop.run().expect("no unhandled error");
        assert!(peer.join().is_empty());
        assert_eq!(log.texts_of("srv"), ["listening", "connection", "connection", "close"]);
    });
}
