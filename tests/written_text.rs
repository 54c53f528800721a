//! Text that is written in other encodings than UTF-8: `Chunk::encoded` and `set_default_encoding`, over TCP and over a
//! unix socket (rules F3, F6, F12, F13, L5, L10, L33, L50, C41).
//!
//! May touch: the public API, the shared test support and a socket's file in the directory for temporary files. Invariant:
//! every sequence was observed in Node first, where `write(text, encoding)` and `setDefaultEncoding` differ by transport in
//! nothing; only the numbers in brackets, which count bytes here and code units there, are this crate's own.

mod support;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use halfclose::net::{Chunk, Encoding, Server, Socket, SocketOptions};
use support::{Log, callback, port_of, watch_socket};

/// More than the kernel takes from a writer while nobody reads: its largest send and receive buffers together hold
/// less.
const MORE_THAN_THE_KERNEL_TAKES: usize = 20_000_000;

#[derive(Clone, Copy, Debug)]
enum Transport {
    Tcp,
    Unix,
}

const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Unix];

/// Where a server listens: at a port that the system chooses, or at a path of its own.
struct Place {
    transport: Transport,
    path: PathBuf,
}

impl Place {
    fn new(transport: Transport) -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("halfclose-text-{}-{number}", std::process::id());
        Place { transport, path: std::env::temp_dir().join(name) }
    }

    fn listen(&self, server: Server) {
        match self.transport {
            Transport::Tcp => server.listen(("127.0.0.1", 0)),
            Transport::Unix => server.listen(&self.path),
        }
        .expect("listen");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A server that still listens leaves its file behind.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn connect(client: Socket, server: Server) {
    match server.path() {
        Some(path) => client.connect(path),
        None => client.connect(("127.0.0.1", port_of(server))),
    }
    .expect("connect");
}

/// Runs a server and one client of it until both ends have closed. Both flow and are watched, as `S` and `C`; `S` logs what
/// it got, in hex, after its `end`. `accepted` and `client` get their sockets then, the client's right after `connect()`.
fn play(
    transport: Transport,
    options: SocketOptions,
    accepted: impl Fn(Log, Socket) + 'static,
    client: impl FnOnce(Log, Server, Socket) + 'static,
) -> Log {
    let log = Log::new();
    let place = Place::new(transport);
    support::test(|event_loop| {
        let server = Server::new();
        server.unref();
        server.on_connection(move |_, socket| {
            log.add("S", "connection");
            watch_socket(&log, "S", socket);
            log_all_at_the_end(log, "S", socket);
            accepted(log, socket);
        });
        let socket = Socket::with_options(options);
        watch_socket(&log, "C", socket);
        log_all_at_the_end(log, "C", socket);
        place.listen(server);
        halfclose::set_immediate(move || {
            connect(socket, server);
            client(log, server, socket);
        });
        event_loop.run().expect("no unhandled error");
        server.release();
        assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0));
    });
    log
}

/// The same with default options and a server that only reads.
fn client(transport: Transport, client: impl FnOnce(Log, Socket) + 'static) -> Log {
    play(transport, SocketOptions::new(), |_, _| {}, move |log, _, socket| client(log, socket))
}

/// The same, with everything to do in a `ready` listener.
fn client_when_ready(transport: Transport, body: impl FnOnce(Log, Socket) + 'static) -> Log {
    client(transport, move |log, socket| {
        socket.once_ready(move |socket| body(log, socket));
    })
}

fn log_all_at_the_end(log: Log, name: &'static str, socket: Socket) {
    let received = Rc::new(RefCell::new(Vec::new()));
    let more = received.clone();
    socket.on_data(move |_, bytes| more.borrow_mut().extend_from_slice(bytes));
    socket.on_end(move |_| log.add(name, format!("got({})", hex(&received.borrow()))));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes with a callback, and records what `write` answered and how much waits then.
fn write<'a>(log: Log, socket: Socket, chunk: impl Into<Chunk<'a>>, name: &str) {
    let answer = socket.write_with(chunk, callback(&log, "C", name));
    log.add("C", format!("{answer}({})", socket.writable_length()));
}

fn latin1(text: &str) -> Chunk<'_> {
    Chunk::encoded(text, Encoding::Latin1)
}

fn utf16le(text: &str) -> Chunk<'_> {
    Chunk::encoded(text, Encoding::Utf16le)
}

/// Compares the client's entries. `connectionAttempt` comes a tick after `connect()` over TCP, and within it at a path.
#[track_caller]
fn assert_client(transport: Transport, log: Log, after_connect: &str, later: &str) {
    let expected = match transport {
        Transport::Tcp => format!("{after_connect} ~ connectionAttempt {later}"),
        Transport::Unix => format!("connectionAttempt, {after_connect} {later}"),
    };
    log.assert_of("C", &expected);
}

/// Compares the entries of an accepted socket whose client ends first.
#[track_caller]
fn assert_received(log: Log, bytes: &str) {
    log.assert_of("S", &format!("connection | ~ end, got({bytes}) | ~ finish |x close(false)"));
}

/// L5, L10, F12: what is written while connecting has its encoding from then on, and goes out in the order of the writes.
#[test]
fn l5_encoded_while_connecting() {
    for transport in TRANSPORTS {
        let log = client(transport, |log, client| {
            write(log, client, latin1("é"), "cb 1");
            write(log, client, utf16le("€"), "cb 2");
            write(log, client, "é", "cb 3");
            log.add("C", client.bytes_written());
            client.end_data_with(Chunk::encoded("\u{141}", Encoding::Ascii), callback(&log, "C", "end cb"));
        });
        assert_client(
            transport,
            log,
            "true(1), true(3), true(5), 5",
            "| connect, cb 1, ready ~ cb 2, cb 3 | ~ end cb, finish | ~ end, got() |x close(false)",
        );
        assert_received(log, "e9ac20c3a941");
    }
}

/// F15: at once, corked into one write, and with `end`: the same bytes every way.
#[test]
fn f15_encoded_and_corked() {
    for transport in TRANSPORTS {
        let log = client_when_ready(transport, |log, client| {
            write(log, client, latin1("é"), "cb 1");
            client.cork();
            write(log, client, utf16le("😀"), "cb 2");
            write(log, client, latin1(&String::from("ascii")), "cb 3");
            write(log, client, Chunk::encoded(String::from("ÿ"), Encoding::Utf8), "cb 4");
            client.uncork();
            client.end_data_with(latin1("é"), callback(&log, "C", "end cb"));
        });
        log.assert_after(
            "C",
            "ready",
            ", true(0), true(4), true(9), true(11) ~ cb 1 ~ cb 2, cb 3, cb 4 | ~ end cb, finish | ~ end, got() \
             |x close(false)",
        );
        assert_received(log, "e93dd800de6173636969c3bfe9");
    }
}

/// Hex and base64 are sent as the bytes that they stand for, as far as they stand for any.
#[cfg(feature = "encodings")]
#[test]
fn hex_and_base64() {
    for transport in TRANSPORTS {
        let log = client_when_ready(transport, |log, client| {
            write(log, client, Chunk::encoded("6162xx63", Encoding::Hex), "cb 1");
            client.cork();
            write(log, client, Chunk::encoded("AbC", Encoding::Hex), "cb 2");
            write(log, client, Chunk::encoded("-_ +/=QUJD", Encoding::Base64), "cb 3");
            client.uncork();
            client.end_data_with(Chunk::encoded("Q\nQ*==", Encoding::Base64url), callback(&log, "C", "end cb"));
        });
        log.assert_after(
            "C",
            "ready",
            ", true(0), true(1), true(4) ~ cb 1 ~ cb 2, cb 3 | ~ end cb, finish | ~ end, got() |x close(false)",
        );
        assert_received(log, "6162abfbffbf41");
    }
}

/// F13: text that gives no bytes is a write of zero bytes, also while connecting and with `end`.
#[cfg(feature = "encodings")]
#[test]
fn f13_text_that_gives_no_bytes() {
    for transport in TRANSPORTS {
        let log = client_when_ready(transport, |log, client| {
            write(log, client, Chunk::encoded("x", Encoding::Hex), "cb");
            client.end_data_with(Chunk::encoded("", Encoding::Base64), callback(&log, "C", "end cb"));
        });
        log.assert_after("C", "ready", ", true(0) ~ cb | ~ end cb, finish | ~ end, got() |x close(false)");
        assert_received(log, "");

        let log = client(transport, |log, client| {
            client.set_default_encoding(Encoding::Base64);
            write(log, client, "=", "cb");
            client.once_ready(move |client| {
                client.end_data_with("*", callback(&log, "C", "end cb"));
            });
        });
        assert_client(
            transport,
            log,
            "true(0)",
            "| connect, cb, ready | ~ end cb, finish | ~ end, got() |x close(false)",
        );
        assert_received(log, "");
    }
}

/// The default is for text that follows: not for bytes, nor for text with an encoding of its own, nor for what waits.
#[test]
fn a_default_is_for_text_that_follows() {
    for transport in TRANSPORTS {
        let log = client(transport, |log, client| {
            client.set_default_encoding(Encoding::Latin1);
            write(log, client, "é", "cb 1");
            client.set_default_encoding(Encoding::Utf16le);
            write(log, client, String::from("é"), "cb 2");
            write(log, client, "é".as_bytes(), "cb 3");
            write(log, client, Chunk::encoded("é", Encoding::Utf8), "cb 4");
            client.once_ready(move |client| {
                client.cork();
                let owned = String::from("é");
                write(log, client, &owned, "cb 5");
                client.set_default_encoding(Encoding::Ascii);
                write(log, client, "é", "cb 6");
                client.uncork();
                client.end_data_with("\u{142}", callback(&log, "C", "end cb"));
            });
        });
        assert_client(
            transport,
            log,
            "true(1), true(3), true(5), true(7)",
            "| connect, cb 1, ready, true(2), true(3) ~ cb 2, cb 3, cb 4 ~ cb 5, cb 6 | ~ end cb, finish \
             | ~ end, got() |x close(false)",
        );
        assert_received(log, "e9e900c3a9c3a9e900e942");
    }
}

/// An accepted socket has a default of its own, which does not outlive it.
#[test]
fn an_accepted_socket_has_a_default_of_its_own() {
    for transport in TRANSPORTS {
        let log = play(
            transport,
            SocketOptions::new(),
            |log, socket| {
                socket.set_default_encoding(Encoding::Utf16le);
                socket.write_with("é", callback(&log, "S", "cb"));
                socket.end_data("é");
                socket.once_close(move |socket, _| {
                    halfclose::set_immediate(move || {
                        socket.set_default_encoding(Encoding::Utf16le);
                        let newcomer = Socket::new();
                        newcomer.cork();
                        newcomer.write("é");
                        log.add("newcomer", newcomer.writable_length());
                        newcomer.destroy();
                    });
                });
            },
            |_, _, client| {
                client.once_ready(|client| {
                    client.write("é");
                });
            },
        );
        log.assert_after("C", "ready", "| ~ end, got(e900e900) | ~ finish |x close(false)");
        log.assert_of("S", "connection ~ cb | ~ finish | ~ end, got(c3a9) |x close(false)");
        log.assert_of("newcomer", "2");
    }
}

/// C41: the default is kept when the socket connects again, and can be set while it is closed.
#[test]
fn c41_a_default_is_kept_over_a_reconnect() {
    for transport in TRANSPORTS {
        let log = play(
            transport,
            SocketOptions::new(),
            |_, _| {},
            |log, server, client| {
                client.set_default_encoding(Encoding::Latin1);
                client.end_data_with("é", callback(&log, "C", "end cb"));
                client.once_close(move |client, _| {
                    connect(client, server);
                    client.end_data_with("é", callback(&log, "C", "end cb"));
                    client.once_close(move |client, _| {
                        client.set_default_encoding(Encoding::Utf16le);
                        connect(client, server);
                        client.end_data_with("é", callback(&log, "C", "end cb"));
                    });
                });
            },
        );
        let got: Vec<String> = log.texts_of("S").into_iter().filter(|text| text.starts_with("got")).collect();
        assert_eq!(got, ["got(e9)", "got(e9)", "got(e900)"]);
        let again = match transport {
            Transport::Tcp => "close(false) ~ connectionAttempt",
            Transport::Unix => "close(false), connectionAttempt",
        };
        let one = "| connect, ready | ~ end cb, finish | ~ end, got() |x";
        // What the one listener collected is empty in all three connections.
        log.assert_after("C", "connectionAttempt", &format!("{one} {again} {one} {again} {one} close(false)"));
    }
}

/// L50: after `end` a write is refused as any other.
#[test]
fn l50_encoded_after_end() {
    for transport in TRANSPORTS {
        let log = client_when_ready(transport, |log, client| {
            client.set_default_encoding(Encoding::Utf16le);
            client.end();
            write(log, client, latin1("é"), "cb");
            client.end_data_with("é", callback(&log, "C", "end cb"));
        });
        log.assert_after(
            "C",
            "ready",
            ", false(0) ~ cb(ERR_STREAM_WRITE_AFTER_END) ~ error(ERR_STREAM_WRITE_AFTER_END) \
             ~ end cb(ERR_STREAM_WRITE_AFTER_END) |x close(true)",
        );
        assert_received(log, "");
    }
}

/// L51: so it is after `destroy`.
#[test]
fn l51_encoded_after_destroy() {
    for transport in TRANSPORTS {
        let log = client_when_ready(transport, |log, client| {
            client.destroy();
            client.set_default_encoding(Encoding::Utf16le);
            write(log, client, "é", "cb");
            client.end_data_with(latin1("é"), callback(&log, "C", "end cb"));
        });
        log.assert_after(
            "C",
            "ready",
            ", false(0) ~ cb(ERR_STREAM_DESTROYED) ~ end cb(ERR_STREAM_DESTROYED) |x close(false)",
        );
    }
}

/// L33, F12: destroyed while connecting, the encoded bytes were written all the same.
#[test]
fn l33_encoded_and_destroyed_while_connecting() {
    for transport in TRANSPORTS {
        let log = client(transport, |log, client| {
            write(log, client, utf16le("ab"), "cb 1");
            write(log, client, latin1("é"), "cb 2");
            client.destroy();
            log.add("C", client.bytes_written());
        });
        let connecting = match transport {
            Transport::Tcp => "",
            Transport::Unix => "connectionAttempt, ",
        };
        let closed = "ERR_SOCKET_CLOSED_BEFORE_CONNECTION";
        log.assert_of("C", &format!("{connecting}true(4), true(5), 5 |x close(false), cb 1({closed}), cb 2({closed})"));
    }
}

/// F3, F6, F8: the high-water mark counts the encoded bytes.
#[test]
fn f6_the_mark_counts_encoded_bytes() {
    for transport in TRANSPORTS {
        let log = play(
            transport,
            SocketOptions::new().high_water_mark(5),
            |_, _| {},
            |log, _, client| {
                write(log, client, latin1("éé"), "cb 1");
                write(log, client, utf16le("a"), "cb 2");
                client.set_default_encoding(Encoding::Latin1);
                write(log, client, "é", "cb 3");
                client.once_drain(|client| {
                    client.end();
                });
            },
        );
        assert_client(
            transport,
            log,
            "true(2), true(4), false(5)",
            "| connect, drain, cb 1, ready ~ cb 2, cb 3 | ~ finish | ~ end, got() |x close(false)",
        );
        assert_received(log, "e9e96100e9");
    }
}

/// F8, F9: what the kernel does not take waits in its encoding, and text as long as that is sent to the last byte.
#[test]
fn f9_more_than_the_kernel_takes() {
    for transport in TRANSPORTS {
        let log = Log::new();
        let place = Place::new(transport);
        support::test(|event_loop| {
            let server = Server::new();
            server.unref();
            server.on_connection(move |_, socket| {
                let length = Rc::new(Cell::new(0));
                let more = length.clone();
                socket.on_data(move |_, bytes| {
                    assert!(bytes.iter().all(|&byte| byte == 0xe9));
                    more.set(more.get() + bytes.len());
                });
                socket.on_end(move |_| log.add("S", length.get()));
            });
            place.listen(server);
            let client = Socket::new();
            watch_socket(&log, "C", client);
            client.resume();
            let text = "é".repeat(MORE_THAN_THE_KERNEL_TAKES);
            client.once_ready(move |client| {
                client.set_default_encoding(Encoding::Latin1);
                write(log, client, &text, "cb 1");
                write(log, client, "é", "cb 2");
                client.set_default_encoding(Encoding::Utf16le);
                client.end_with(callback(&log, "C", "end cb"));
            });
            halfclose::set_immediate(move || connect(client, server));
            event_loop.run().expect("no unhandled error");
        });
        log.assert_of("S", &(MORE_THAN_THE_KERNEL_TAKES + 1).to_string());
        log.assert_after(
            "C",
            "ready",
            ", false(20000000), false(20000001) | cb 1 ~ cb 2 | ~ end cb, finish | ~ end |x close(false)",
        );
    }
}

/// F60: a pipe from a socket with an encoding writes text, in the destination's default; without one it writes bytes.
#[test]
fn f60_a_pipe_writes_text_in_the_default_of_its_destination() {
    for transport in TRANSPORTS {
        for (source, bytes) in [(None, "c3a9"), (Some(Encoding::Utf8), "e900"), (Some(Encoding::Latin1), "c300a900")] {
            let log = play(
                transport,
                SocketOptions::new(),
                move |_, socket| {
                    if let Some(encoding) = source {
                        socket.set_encoding(encoding);
                    }
                    socket.set_default_encoding(Encoding::Utf16le).pipe(socket);
                },
                |_, _, client| {
                    client.end_data("é");
                },
            );
            log.assert_after("C", "ready", &format!("| ~ finish | ~ end, got({bytes}) |x close(false)"));
            let seen = if source == Some(Encoding::Latin1) { "c383c2a9" } else { "c3a9" };
            assert_received(log, seen);
        }
    }
}
