//! 1.3: the `readable` and `writable` options. `false` ends that side for good, with or without a descriptor.
//!
//! May touch: the public API. Invariant: the expected sequences are those of Node 26.

mod support;

use halfclose::net::{self, ConnectOptions, ReadyState, ServerOptions, Socket, SocketOptions};
use support::{Log, Stage, callback, in_a_loop, port_of, watch_data_bytes, watch_socket};

/// Nothing is read, no `data` and no `end` come, and the socket is over at its own `finish`.
#[test]
fn a_socket_that_is_not_readable_is_over_at_finish() {
    let log = Stage::play(
        ServerOptions::new(),
        ConnectOptions::new().readable(false),
        |stage, accepted| {
            watch_data_bytes(&stage.log, "S", accepted);
            accepted.write("nobody reads this");
            // The client's bytes show that it is connected; what it does not read is in the kernel by then.
            accepted.once_data(move |_, _| {
                let client = stage.client();
                assert_eq!((client.bytes_read(), client.ready_state()), (0, ReadyState::WriteOnly));
                assert!(client.readable_ended() && !client.readable());
                client.end();
            });
            accepted.on_error(|_, _| {});
        },
        |stage, client| {
            watch_data_bytes(&stage.log, "C", client);
            client.write("x");
        },
    );
    log.assert_of("C", "connectionAttempt | connect, ready | ~ finish |x close(false)");
}

/// It is over when the peer ended, and its FIN is sent only then, by the close. `allow_half_open` means nothing to it.
#[test]
fn a_socket_that_is_not_writable_is_over_at_end() {
    for half_open in [false, true] {
        let log = Stage::play(
            ServerOptions::new(),
            ConnectOptions::new().writable(false).allow_half_open(half_open),
            |_, accepted| {
                accepted.resume();
                accepted.end_data("bye");
            },
            |stage, client| {
                watch_data_bytes(&stage.log, "C", client);
                assert!(client.writable_ended() && client.writable_finished() && !client.writable());
            },
        );
        log.assert_of("C", "connectionAttempt | connect, ready | data(bye) | ~ end |x close(false)");
        log.assert_of("S", "connection | ~ finish | ~ end |x close(false)");
    }
}

/// A write fails as one after `end()`, and an `end` as one after `finish`.
#[test]
fn a_socket_that_is_not_writable_refuses_writes() {
    let log = Stage::play(
        ServerOptions::new(),
        ConnectOptions::new().writable(false),
        |_, accepted| {
            accepted.resume();
        },
        |stage, client| {
            let log = stage.log;
            client.once_connect(move |client| {
                assert!(!client.write_with("z", callback(&log, "C", "write")));
                client.end_with(callback(&log, "C", "end"));
            });
        },
    );
    log.assert_of(
        "C",
        "connectionAttempt | connect, ready ~ write(ERR_STREAM_WRITE_AFTER_END) ~ error(ERR_STREAM_WRITE_AFTER_END) ~ \
         end(ERR_STREAM_ALREADY_FINISHED) |x close(true)",
    );
}

/// Without a connection: the states, and what a write and an `end` come to.
#[test]
fn one_side_can_be_left_out_without_a_connection() {
    let log = in_a_loop(|log| {
        let bare = SocketOptions::new();
        let writer = Socket::with_options(bare.clone().readable(false));
        let reader = Socket::with_options(bare.clone().writable(false));
        let neither = Socket::with_options(bare.clone().readable(false).writable(false));
        assert_eq!(writer.ready_state(), ReadyState::WriteOnly);
        assert_eq!(reader.ready_state(), ReadyState::ReadOnly);
        assert_eq!(neither.ready_state(), ReadyState::Closed);
        neither.release();
        watch_socket(&log, "writer", writer);
        watch_socket(&log, "reader", reader);
        writer.end_with(callback(&log, "writer", "end"));
        reader.end_with(callback(&log, "reader", "end"));
        let other = Socket::with_options(bare.writable(false));
        watch_socket(&log, "other", other);
        assert!(!other.write_with("x", callback(&log, "other", "write")));
        reader.release();
    });
    log.assert_of("writer", "end, finish ~ close(false)");
    log.assert_of("reader", "end(ERR_STREAM_ALREADY_FINISHED)");
    let refused = "write(ERR_STREAM_WRITE_AFTER_END) ~ error(ERR_STREAM_WRITE_AFTER_END) ~ close(false)";
    log.assert_of("other", refused);
}

/// C41: the side stays left out when the socket connects again.
#[test]
fn a_side_that_is_left_out_stays_so_in_the_next_connection() {
    let log = in_a_loop(|log| {
        let client = Socket::with_options(SocketOptions::new().writable(false));
        watch_socket(&log, "C", client);
        watch_data_bytes(&log, "C", client);
        let server = net::create_server(|socket| {
            socket.resume();
            socket.end_data("bye");
        });
        server.once_listening(move |server| {
            let port = port_of(server);
            client.once_close(move |client, _| {
                client.connect(("127.0.0.1", port)).expect("connect");
                client.once_close(move |_, _| {
                    server.close();
                });
            });
            client.connect(("127.0.0.1", port)).expect("connect");
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    let once = "connectionAttempt | connect, ready | data(bye) | ~ end |x close(false)";
    log.assert_of("C", &format!("{once} ~ {once}"));
}

/// L21, R1: a socket with neither side is connected until it is destroyed, and does not keep the loop alive by itself.
#[test]
fn a_socket_with_neither_side_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(|socket| {
            socket.server().expect("the server").close();
            socket.unref();
        });
        server.once_listening(move |server| {
            let options = ConnectOptions::new().host("127.0.0.1").port(port_of(server));
            let client = net::connect(options.readable(false).writable(false)).expect("connect");
            watch_socket(&log, "C", client);
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connectionAttempt | connect, ready");
    });
}
