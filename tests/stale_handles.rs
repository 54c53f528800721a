//! Handles that outlived what they named (law 8, the table of lifetimes): every method of a freed `Socket` and `Server`
//! is harmless, tells Node's error to the callbacks it was given, and never reaches the newcomer in the same slot. The
//! same for handles without their loop.
//!
//! May touch: the public API. Invariant: the slot is known to be reused where a test says so, because the loop has no
//! other one.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use halfclose::EventLoop;
use halfclose::net::{self, ConnectOptions, ReadyState, Server, ServerEvent, Socket, SocketEvent, SocketId};
use support::{Log, RawListener, callback, loopback, port_of, server_callback, watch_server, watch_socket};

/// A socket whose slot was freed, because it was destroyed and its `close` was delivered.
fn freed_socket(event_loop: &mut EventLoop) -> Socket {
    let socket = Socket::new();
    socket.destroy();
    event_loop.run().expect("no unhandled error");
    assert_eq!(event_loop.connections(), 0);
    socket
}

/// A server whose slot was freed.
fn freed_server(event_loop: &mut EventLoop) -> Server {
    let server = Server::new();
    server.release();
    event_loop.run().expect("no unhandled error");
    assert_eq!(event_loop.servers(), 0);
    server
}

/// Every property of a freed socket, and of one without a loop.
fn assert_nothing_is_known(socket: Socket) {
    assert!(socket.destroyed() && socket.closed() && socket.pending());
    assert!(!socket.connecting() && !socket.readable() && !socket.writable() && !socket.writable_need_drain());
    assert_eq!(socket.ready_state(), ReadyState::Closed);
    assert_eq!((socket.bytes_read(), socket.bytes_written()), (0, 0));
    assert_eq!((socket.readable_length(), socket.writable_length(), socket.buffer_size()), (0, 0, None));
    assert_eq!((socket.remote_address(), socket.remote_port(), socket.remote_family()), (None, None, None));
    assert_eq!((socket.local_address(), socket.local_port(), socket.local_family()), (None, None, None));
    assert_eq!((socket.address(), socket.peer_addr(), socket.server()), (None, None, None));
    assert!(socket.errored().is_none());
    assert_eq!(socket.timeout(), None);
    // These have no value of their own any more; what matters is that asking is harmless.
    let _ = (socket.readable_flowing(), socket.is_paused(), socket.allow_half_open());
    let _ = (socket.readable_ended(), socket.writable_ended(), socket.writable_finished());
    let _ = (socket.readable_high_water_mark(), socket.writable_high_water_mark());
    for event in [
        SocketEvent::ConnectionAttempt,
        SocketEvent::ConnectionAttemptFailed,
        SocketEvent::Connect,
        SocketEvent::Ready,
        SocketEvent::Data,
        SocketEvent::End,
        SocketEvent::Finish,
        SocketEvent::Drain,
        SocketEvent::Timeout,
        SocketEvent::Error,
        SocketEvent::Close,
    ] {
        assert_eq!(socket.listener_count(event), 0);
    }
}

/// Every command that takes no callback. Those with an answer give the one of a closed socket.
fn give_every_command(socket: Socket) {
    assert!(!socket.write("x"));
    assert!(!socket.write(vec![1, 2, 3]));
    assert_eq!(socket.end(), socket);
    socket.end_data("x");
    socket.pause();
    socket.resume();
    socket.set_timeout(Duration::from_millis(1));
    socket.set_no_delay(true);
    socket.set_keep_alive(true, Duration::from_secs(1));
    socket.set_allow_half_open(true);
    socket.ref_();
    socket.unref();
    socket.set_data(5_u8);
    assert!(socket.with_data::<u8, u8>(|value| *value).is_err());
    socket.destroy_soon();
    socket.destroy_with("an error");
    socket.reset_and_destroy().expect("a TCP socket");
    socket.destroy();
    socket.retain();
    socket.release();
    socket.release();
    assert!(socket.connect(("127.0.0.1", 1)).is_err());
    assert!(socket.connect_with(("127.0.0.1", 1), |_| unreachable!("no connect")).is_err());
    socket.remove_all_listeners(Some(SocketEvent::Data));
    socket.remove_all_listeners(None);
}

/// Listeners of a freed socket are never called.
fn listen_to_everything(socket: Socket) {
    socket.on_connection_attempt(|_, _| unreachable!("stale"));
    socket.on_connection_attempt_failed(|_, _, _| unreachable!("stale"));
    socket.on_connect(|_| unreachable!("stale"));
    socket.on_ready(|_| unreachable!("stale"));
    socket.on_data(|_, _| unreachable!("stale"));
    socket.on_end(|_| unreachable!("stale"));
    socket.on_finish(|_| unreachable!("stale"));
    socket.on_drain(|_| unreachable!("stale"));
    socket.on_timeout(|_| unreachable!("stale"));
    socket.on_error(|_, _| unreachable!("stale"));
    let registered = socket.on_close(|_, _| unreachable!("stale"));
    socket.set_timeout_with(Duration::from_millis(1), |_| unreachable!("stale"));
    assert!(!socket.off(registered));
}

/// Law 8: a freed handle is closed, knows nothing, and takes every command without any effect or event.
#[test]
fn every_method_of_a_freed_socket_is_harmless() {
    support::test(|event_loop| {
        let socket = freed_socket(event_loop);
        assert_nothing_is_known(socket);
        listen_to_everything(socket);
        give_every_command(socket);
        event_loop.run().expect("nobody's error");
        assert_nothing_is_known(socket);
        assert_eq!(event_loop.connections(), 0);
    });
}

/// The lifetime table: a slot that is given up within a callback is gone at once, listeners included, although they are
/// dropped only when the callback is over.
#[test]
fn a_socket_that_is_released_in_a_callback_has_no_listeners() {
    support::test(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        socket.on_close(|_, _| {});
        halfclose::set_immediate(move || {
            assert_eq!(socket.listener_count(SocketEvent::Close), 1);
            socket.release();
            assert_eq!(socket.listener_count(SocketEvent::Close), 0);
            log.add("C", "released");
        });
        event_loop.run().expect("nobody's error");
        log.assert_whole("C released");
    });
}

/// The table of lifetimes: callbacks given to a freed socket are called, in a tick, with Node's error.
#[test]
fn callbacks_given_to_a_freed_socket_are_called() {
    support::test(|event_loop| {
        let log = Log::new();
        let socket = freed_socket(event_loop);
        halfclose::set_immediate(move || {
            log.add("C", "commands");
            assert!(!socket.write_with("x", callback(&log, "C", "write")));
            socket.end_with(callback(&log, "C", "end"));
            socket.end_data_with("x", callback(&log, "C", "end with data"));
        });
        event_loop.run().expect("nobody's error");
        log.assert_of(
            "C",
            "commands ~ write(ERR_STREAM_DESTROYED) ~ end(ERR_STREAM_DESTROYED) \
             ~ end with data(ERR_STREAM_DESTROYED)",
        );
    });
}

/// FM06-FM08: what is said to a freed handle never reaches the connection that took its slot.
#[test]
fn a_freed_socket_never_reaches_the_newcomer_in_its_slot() {
    let listener = RawListener::bind();
    let address = listener.address();
    let peer = support::in_thread(move || listener.accept().read_to_end().expect("a clean end"));
    support::test(|event_loop| {
        let stale = freed_socket(event_loop);
        let log = Log::new();
        let newcomer = net::connect(address).expect("connect");
        assert_ne!(stale, newcomer);
        watch_socket(&log, "C", newcomer);
        newcomer.set_data("its own".to_owned());
        let limit = Duration::from_secs(60);
        newcomer.set_timeout(limit);
        give_every_command(stale);
        listen_to_everything(stale);
        newcomer.once_ready(move |newcomer| {
            give_every_command(stale);
            listen_to_everything(stale);
            assert_nothing_is_known(stale);
            assert_eq!(newcomer.listener_count(SocketEvent::Data), 0);
            assert_eq!(newcomer.timeout(), Some(limit));
            assert_eq!((newcomer.ready_state(), newcomer.bytes_written()), (ReadyState::Open, 0));
            assert_eq!(newcomer.with_data(|text: &mut String| text.clone()).expect("its own data"), "its own");
            halfclose::set_immediate(move || {
                give_every_command(stale);
                newcomer.end_data("mine");
            });
        });
        event_loop.run().expect("nobody's error");
        log.assert_of("C", "connectionAttempt | connect, ready | ~ finish | ~ end |x close(false)");
        assert_eq!(event_loop.connections(), 0);
    });
    assert_eq!(peer.join(), b"mine");
}

/// The table of lifetimes: an accepted socket is freed when its `close` was delivered, not before.
#[test]
fn a_socket_is_known_until_its_close_was_delivered() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(move |socket| {
            socket.on_data(|socket, _| {
                socket.end();
            });
            socket.on_close(move |socket, _| {
                log.add(
                    "S",
                    format!(
                        "close: {} read, {} listeners",
                        socket.bytes_read(),
                        socket.listener_count(SocketEvent::Close)
                    ),
                );
                halfclose::next_tick(move || {
                    assert_nothing_is_known(socket);
                    log.add("S", "freed");
                });
                socket.server().expect("the accepting server").close();
            });
        });
        server.once_listening(|server| {
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            client.write("12345");
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("S", "close: 5 read, 1 listeners ~ freed");
        assert_eq!((event_loop.connections(), event_loop.servers()), (0, 1));
        server.release();
        assert_eq!(event_loop.servers(), 0);
    });
}

/// The table of lifetimes: the slot's captures and data are dropped with it, and with nothing borrowed.
#[test]
fn what_a_socket_owned_is_dropped_with_its_slot() {
    /// Uses the crate from its `drop`, which a borrow of the loop would turn into a panic.
    struct Witness(Rc<Cell<usize>>, Socket);
    impl Drop for Witness {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            self.1.write("nobody hears this");
            self.1.pause();
        }
    }
    support::test(|event_loop| {
        let dropped = Rc::new(Cell::new(0));
        let socket = Socket::new();
        let witness = || Witness(dropped.clone(), socket);
        let (listener, once, never_called) = (witness(), witness(), witness());
        socket.on_data(move |_, _| drop(listener.0.clone()));
        socket.once_close(move |_, _| drop(once));
        let removed = socket.on_end(move |_| drop(never_called.0.clone()));
        socket.set_data(witness());
        assert!(socket.off(removed));
        socket.destroy();
        assert!(dropped.get() <= 1, "only what was removed may be gone");
        event_loop.run().expect("no unhandled error");
        assert_eq!(dropped.get(), 4);
        assert_eq!(event_loop.connections(), 0);
    });
}

/// Law 8: the same for servers.
#[test]
fn every_method_of_a_freed_server_is_harmless() {
    support::test(|event_loop| {
        let log = Log::new();
        let stale = freed_server(event_loop);
        let newcomer = Server::new();
        assert_ne!(stale, newcomer);
        watch_server(&log, "srv", newcomer);
        halfclose::set_immediate(move || {
            assert!(!stale.listening());
            assert_eq!((stale.address(), stale.connections()), (None, 0));
            assert!(stale.listen(0).is_err());
            assert!(stale.listen_with(("127.0.0.1", 0), |_| unreachable!("stale")).is_err());
            stale.on_listening(|_| unreachable!("stale"));
            stale.on_connection(|_, _| unreachable!("stale"));
            stale.on_error(|_, _| unreachable!("stale"));
            let registered = stale.on_close(|_| unreachable!("stale"));
            assert!(!stale.off(registered));
            for event in [ServerEvent::Listening, ServerEvent::Connection, ServerEvent::Error, ServerEvent::Close] {
                assert_eq!(stale.listener_count(event), 0);
            }
            stale.remove_all_listeners(None);
            stale.ref_();
            stale.unref();
            assert_eq!(stale.close(), stale);
            stale.release();
            log.add("stale", "close()");
            stale.close_with(server_callback(&log, "stale", "callback"));
            newcomer.listen(0).expect("listen");
            newcomer.once_listening(move |newcomer| {
                stale.close();
                stale.release();
                assert!(newcomer.listening());
                newcomer.close();
            });
        });
        event_loop.run().expect("nobody's error");
        log.assert_of("stale", "close() ~ callback(ERR_SERVER_NOT_RUNNING)");
        log.assert_of("srv", "listening ~ close");
    });
}

/// The table of lifetimes: a released server stops listening, and its sockets live on.
#[test]
fn releasing_a_server_leaves_its_sockets_alone() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(move |socket| {
            support::watch_data_bytes(&log, "S", socket);
            watch_socket(&log, "S", socket);
            let server = socket.server().expect("the accepting server");
            let port = port_of(server);
            server.release();
            assert!(!server.listening());
            let refused = std::net::TcpStream::connect_timeout(&loopback(port), support::PEER_DEADLINE);
            assert_eq!(refused.expect_err("refused").kind(), std::io::ErrorKind::ConnectionRefused);
        });
        server.once_listening(|server| {
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            client.end_data("hello");
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("S", "data(hello) | ~ end | ~ finish |x close(false)");
        assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0));
    });
}

/// Handles without their loop are inert, and the thread's next loop does not take them for its own.
#[test]
fn handles_do_not_outlive_their_loop() {
    support::within(support::DEADLINE, || {
        let (socket, server) = {
            let mut event_loop = EventLoop::new().expect("a loop");
            let server = Server::new();
            server.listen(0).expect("listen");
            let socket = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            socket.on_close(|_, _| unreachable!("a dropped loop calls nobody"));
            server.on_close(|_| unreachable!("a dropped loop calls nobody"));
            event_loop.turn(Some(Duration::ZERO)).expect("no unhandled error");
            (socket, server)
        };
        assert_nothing_is_known(socket);
        give_every_command(socket);
        // Without a loop there is nobody to call this, as there is nobody to call the listeners.
        socket.write_with("x", |_, _| unreachable!("no loop"));
        assert!(!server.listening() && server.address().is_none() && server.listen(0).is_err());
        server.close();
        server.release();

        let mut event_loop = EventLoop::new().expect("a loop");
        let newcomer = Socket::new();
        let next_server = Server::new();
        assert_ne!(newcomer, socket);
        assert_ne!(next_server, server);
        assert_nothing_is_known(socket);
        give_every_command(socket);
        server.release();
        assert!(!newcomer.destroyed());
        assert_eq!((event_loop.connections(), event_loop.servers()), (1, 1));
        newcomer.release();
        next_server.release();
        event_loop.run().expect("no unhandled error");
    });
}

/// A dropped loop closes what it had open; the peers notice.
#[test]
fn a_dropped_loop_closes_its_descriptors() {
    let listener = RawListener::bind();
    let address = listener.address();
    let peer = support::in_thread(move || listener.accept().read_to_end());
    support::within(support::DEADLINE, || {
        let mut event_loop = EventLoop::new().expect("a loop");
        let server = Server::new();
        server.listen(("127.0.0.1", 0)).expect("listen");
        let client = net::connect(ConnectOptions::from(address)).expect("connect");
        let (connected, held) = (Rc::new(Cell::new(false)), Rc::new(()));
        let (seen, capture) = (connected.clone(), held.clone());
        client.on_connect(move |client| {
            seen.set(true);
            client.write("bye");
            let _ = &capture;
        });
        while !connected.get() || !server.listening() {
            event_loop.turn(None).expect("no unhandled error");
        }
        let port = port_of(server);
        drop(event_loop);
        assert_eq!(Rc::strong_count(&held), 1, "captures are dropped with the loop");
        let refused = std::net::TcpStream::connect_timeout(&loopback(port), support::PEER_DEADLINE);
        assert_eq!(refused.expect_err("refused").kind(), std::io::ErrorKind::ConnectionRefused);
    });
    assert_eq!(peer.join().expect("a clean end"), b"bye");
}

/// `SocketId`: resolves on its own loop while the socket lives, and nowhere else.
#[test]
fn socket_ids_resolve_on_their_own_loop_only() {
    support::test(|event_loop| {
        let socket = Socket::new();
        let id: SocketId = socket.id();
        assert_eq!(id.get(), Some(socket));
        let elsewhere = std::thread::spawn(move || {
            let without_loop = id.get().is_none();
            let _other = EventLoop::new().expect("a loop");
            // The same slot of another loop.
            let _same_slot = Socket::new();
            (without_loop, id.get().is_none())
        });
        assert_eq!(elsewhere.join().expect("no panic"), (true, true));
        socket.destroy();
        assert_eq!(id.get(), Some(socket), "its close is still owed");
        event_loop.run().expect("no unhandled error");
        assert_eq!(id.get(), None);
        let _newcomer = Socket::new();
        assert_eq!(id.get(), None);
    });
}
