//! `max_buffered`: SP1, FM23. What counts, when, and the three policies.

use halfclose::net::{self, BufferOverflow, ConnectOptions, Server, ServerOptions, Socket, SocketOptions};
use halfclose::{EventLoop, next_tick};

use crate::support::{self, Log, Stage, callback, watch_data_bytes, watch_data_length, watch_socket};
use crate::{Directory, MORE_THAN_THE_KERNEL_TAKES, watch_refusals};

const POLICIES: [BufferOverflow; 3] = [BufferOverflow::Refuse, BufferOverflow::Close, BufferOverflow::Reset];

/// Off by default, read and set on sockets and servers alike.
#[test]
fn settings() {
    support::test(|_| {
        assert_eq!(Socket::new().max_buffered(), None);
        assert_eq!(Server::new().max_buffered(), None);
        for overflow in POLICIES {
            let cap = Some((7, overflow));
            assert_eq!(Socket::with_options(SocketOptions::new().max_buffered(7, overflow)).max_buffered(), cap);
            assert_eq!(Socket::new().set_max_buffered(cap).max_buffered(), cap);
            assert_eq!(Socket::new().set_max_buffered(cap).set_max_buffered(None).max_buffered(), None);
            let server = Server::with_options(ServerOptions::new().max_buffered(7, overflow));
            assert_eq!(server.max_buffered(), cap);
            assert_eq!(server.set_max_buffered(None).max_buffered(), None);
        }
        let freed = Socket::new();
        freed.release();
        assert_eq!(freed.set_max_buffered(Some((7, BufferOverflow::Close))).max_buffered(), None);
    });
}

/// Writes that wait for the connection count. One that fits to the byte is made, one byte more is not; a write of nothing
/// always is; and what was refused leaves no hole: what is written later follows what was written before.
#[test]
fn connecting_refused() {
    let log = Stage::play(
        ServerOptions::new(),
        ConnectOptions::new().max_buffered(8, BufferOverflow::Refuse),
        |stage, accepted| watch_data_bytes(&stage.log, "S", accepted),
        |stage, client| {
            let log = stage.log;
            watch_refusals(&log, "C", client);
            assert!(client.write_with("hello", callback(&log, "C", "hello")));
            assert!(!client.write_with("four", callback(&log, "C", "four")));
            assert_eq!(client.writable_length(), 5);
            assert_eq!(client.bytes_written(), 5);
            assert!(client.write_with("abc", callback(&log, "C", "abc")));
            assert!(client.write_with("", callback(&log, "C", "nothing")));
            assert!(!client.write("x"));
            client.on_connect(|client| {
                client.end();
            });
        },
    );
    log.assert_of(
        "C",
        "connectionAttempt ~ four(ERR_SOCKET_MAX_BUFFERED) ~ refused(ERR_SOCKET_MAX_BUFFERED) \
         ~ refused(ERR_SOCKET_MAX_BUFFERED) | connect, drain, hello, ready ~ abc, nothing | ~ finish | ~ end |x close(false)",
    );
    log.assert_of("S", "connection | data(helloabc) | ~ end | ~ finish |x close(false)");
}

/// The same with the two policies that destroy: the attempt is given up, and what waited fails.
#[test]
fn connecting_closed() {
    for overflow in [BufferOverflow::Close, BufferOverflow::Reset] {
        support::test(|event_loop| {
            let log = Log::new();
            let raw = support::RawListener::bind();
            let client = net::connect(ConnectOptions::from(raw.address()).max_buffered(8, overflow)).expect("connect");
            watch_socket(&log, "C", client);
            watch_refusals(&log, "C", client);
            client.write_with("hello", callback(&log, "C", "hello"));
            assert!(!client.write_with("four", callback(&log, "C", "four")));
            assert!(client.destroyed());
            event_loop.run().expect("no unhandled error");
            log.assert_of(
                "C",
                "four(ERR_SOCKET_MAX_BUFFERED) ~ error(ERR_SOCKET_MAX_BUFFERED) \
                 |x close(true), hello(ERR_SOCKET_CLOSED_BEFORE_CONNECTION)",
            );
            assert_eq!(event_loop.buffered(), 0);
        });
    }
}

/// Corked writes count, on an open connection; `end(chunk)` whose chunk is refused does not end.
#[test]
fn corked() {
    let log = Stage::play(
        ServerOptions::new(),
        ConnectOptions::new().max_buffered(4, BufferOverflow::Refuse),
        |stage, accepted| watch_data_bytes(&stage.log, "S", accepted),
        |stage, client| {
            let log = stage.log;
            watch_refusals(&log, "C", client);
            client.on_ready(move |client| {
                client.cork();
                assert!(client.write("ab"));
                assert!(client.write("cd"));
                assert!(!client.write("e"));
                client.end_data_with("f", callback(&log, "C", "end"));
                assert!(!client.writable_ended());
                assert_eq!(client.writable_length(), 0, "`end` takes all corks out");
                assert!(client.write("gh"));
                client.end();
            });
        },
    );
    log.assert_after(
        "C",
        "ready",
        "~ refused(ERR_SOCKET_MAX_BUFFERED) ~ refused(ERR_SOCKET_MAX_BUFFERED) ~ end(ERR_SOCKET_MAX_BUFFERED) \
         | ~ finish | ~ end |x close(false)",
    );
    log.assert_of("S", "connection | data(abcdgh) | ~ end | ~ finish |x close(false)");
}

/// Collected writes count too.
#[test]
fn batched() {
    let log = Stage::play(
        ServerOptions::new(),
        ConnectOptions::new().max_buffered(4, BufferOverflow::Refuse).batch_writes(true),
        |stage, accepted| watch_data_bytes(&stage.log, "S", accepted),
        |stage, client| {
            watch_refusals(&stage.log, "C", client);
            client.on_ready(|client| {
                assert!(client.write("ab"));
                assert!(!client.write("cde"));
                assert!(client.write("cd"));
                next_tick(move || {
                    assert!(client.write("efgh"), "the batch is with the kernel");
                    client.end();
                });
            });
        },
    );
    log.assert_of("S", "connection | data(abcdefgh) | ~ end | ~ finish |x close(false)");
    assert!(log.contains("C", "refused(ERR_SOCKET_MAX_BUFFERED)"), "{}", log.whole());
}

/// With nothing waiting: a write of the cap's length is made, a longer one is not, although the kernel would take it.
#[test]
fn idle() {
    let log = Stage::play(
        ServerOptions::new().max_buffered(5, BufferOverflow::Refuse),
        ConnectOptions::new(),
        |stage, accepted| {
            watch_refusals(&stage.log, "S", accepted);
            assert_eq!(accepted.max_buffered(), Some((5, BufferOverflow::Refuse)));
            assert!(!accepted.write("longer"));
            assert!(!accepted.writable_need_drain(), "nothing waits, so no `drain` would come");
            assert!(accepted.write("short"));
            assert!(accepted.write("short"));
            accepted.end();
        },
        |stage, client| watch_data_bytes(&stage.log, "C", client),
    );
    log.assert_of("S", "connection ~ refused(ERR_SOCKET_MAX_BUFFERED) | ~ finish | ~ end |x close(false)");
    log.assert_of("C", "connectionAttempt | connect, ready | data(shortshort) | ~ end | ~ finish |x close(false)");
}

/// Plays a peer that does not read until the output of the client was refused, over TCP or a unix socket.
fn stalled(event_loop: &mut EventLoop, log: &Log, overflow: BufferOverflow, unix: Option<&Directory>) {
    let log = *log;
    let server = Server::with_options(ServerOptions::new().pause_on_connect(true));
    server.on_connection(move |server, socket| {
        log.add("S", "connection");
        watch_socket(&log, "S", socket);
        socket.on_data(|_, _| {});
        server.close();
        // The client is told first, in ticks of its own callback.
        halfclose::set_immediate(move || {
            halfclose::set_immediate(move || {
                socket.resume();
            });
        });
    });
    server.on_listening(move |server| {
        let options = match server.path() {
            Some(path) => ConnectOptions::new().path(path),
            None => ConnectOptions::from(server.address().expect("it listens")),
        };
        let cap = MORE_THAN_THE_KERNEL_TAKES + 10;
        let client = net::connect(options.max_buffered(cap, overflow)).expect("connect");
        watch_socket(&log, "C", client);
        watch_refusals(&log, "C", client);
        client.on_ready(move |client| {
            client.write_with(vec![0; MORE_THAN_THE_KERNEL_TAKES], callback(&log, "C", "large"));
            assert_eq!(
                client.writable_length(),
                MORE_THAN_THE_KERNEL_TAKES,
                "counted whole, although in part with the kernel"
            );
            client.write_with("0123456789", callback(&log, "C", "last"));
            assert!(!client.write_with("x", callback(&log, "C", "more")));
            client.end();
        });
        client.resume();
    });
    match unix {
        Some(directory) => server.listen(directory.socket()),
        None => server.listen(("127.0.0.1", 0)),
    }
    .expect("listen");
    event_loop.run().expect("no unhandled error");
    assert_eq!(event_loop.buffered(), 0);
    assert_eq!(event_loop.connections(), 0);
}

/// Refused behind a write in flight: everything else arrives, `drain` included.
#[test]
fn in_flight_refused() {
    for unix in [false, true] {
        support::test(|event_loop| {
            let (log, directory) = (Log::new(), Directory::new());
            stalled(event_loop, &log, BufferOverflow::Refuse, unix.then_some(&directory));
            log.assert_after(
                "C",
                "ready",
                "~ more(ERR_SOCKET_MAX_BUFFERED) ~ refused(ERR_SOCKET_MAX_BUFFERED) | large ~ last | ~ finish | ~ end \
                 |x close(false)",
            );
            log.assert_of("S", "connection | ~ end | ~ finish |x close(false)");
        });
    }
}

/// Closed behind a write in flight: nothing more is sent, and the callbacks are told. A unix socket has no reset.
#[test]
fn in_flight_closed() {
    let ended = "connection | ~ end | ~ finish |x close(false)";
    for (overflow, unix, server) in [
        (BufferOverflow::Close, false, ended),
        (BufferOverflow::Close, true, ended),
        (BufferOverflow::Reset, true, ended),
        (BufferOverflow::Reset, false, "connection | ~ error(read ECONNRESET) |x close(true)"),
    ] {
        support::test(|event_loop| {
            let (log, directory) = (Log::new(), Directory::new());
            stalled(event_loop, &log, overflow, unix.then_some(&directory));
            log.assert_after(
                "C",
                "ready",
                "~ more(ERR_SOCKET_MAX_BUFFERED) ~ error(ERR_SOCKET_MAX_BUFFERED) \
                 |x large(write ECANCELED), last(ERR_SOCKET_MAX_BUFFERED) |x close(true)",
            );
            log.assert_of("S", server);
        });
    }
}

/// The peer has ended, this side goes on: the bound holds as before.
#[test]
fn half_closed() {
    let log = Stage::play(
        ServerOptions::new().allow_half_open(true).max_buffered(4, BufferOverflow::Close),
        ConnectOptions::new(),
        |_, accepted| {
            accepted.resume();
            accepted.on_end(|accepted| {
                assert!(accepted.write("four"));
                assert!(!accepted.write("fives"));
                assert!(accepted.destroyed());
            });
        },
        |stage, client| {
            watch_data_bytes(&stage.log, "C", client);
            client.end();
        },
    );
    log.assert_of("S", "connection | ~ end ~ error(ERR_SOCKET_MAX_BUFFERED) |x close(true)");
    log.assert_of("C", "connectionAttempt | connect, ready | ~ finish | data(four) | ~ end |x close(false)");
}

/// Lowered under what waits, it ends nobody, and refuses everything until there is room.
#[test]
fn lowered() {
    let log = Stage::play(
        ServerOptions::new(),
        ConnectOptions::new(),
        |stage, accepted| watch_data_bytes(&stage.log, "S", accepted),
        |stage, client| {
            watch_refusals(&stage.log, "C", client);
            assert!(client.write("hello"));
            client.set_max_buffered(Some((2, BufferOverflow::Refuse)));
            assert!(!client.write("a"));
            client.on_drain(|client| {
                assert!(client.write("ab"));
                client.set_max_buffered(None);
                assert!(client.write("cdef"));
                client.end();
            });
        },
    );
    log.assert_of(
        "C",
        "connectionAttempt ~ refused(ERR_SOCKET_MAX_BUFFERED) | connect, drain, ready | ~ finish | ~ end |x close(false)",
    );
    log.assert_of("S", "connection | data(helloabcdef) | ~ end | ~ finish |x close(false)");
}

/// A pipe whose write is refused would leave a hole in the stream: its destination is destroyed. One with room is not.
#[test]
fn piped() {
    const LENGTH: usize = 1 << 20;
    for (cap, whole) in [(1000, false), (2 * 65_536, true)] {
        let log = Stage::play(
            ServerOptions::new().max_buffered(cap, BufferOverflow::Refuse),
            ConnectOptions::new(),
            |stage, accepted| {
                watch_refusals(&stage.log, "S", accepted);
                accepted.pipe(accepted);
            },
            |stage, client| {
                watch_data_length(&stage.log, "C", client);
                client.end_data(vec![0; LENGTH]);
            },
        );
        if whole {
            assert!(log.contains("C", &format!("data({LENGTH})")), "{}", log.whole());
            assert!(log.contains("S", "close(false)"), "{}", log.whole());
        } else {
            let server = log.of("S");
            assert!(server.contains("~ error(ERR_SOCKET_MAX_BUFFERED)"), "{server}");
            assert!(server.ends_with("close(true)") && !server.contains("refused"), "{server}");
        }
    }
}
