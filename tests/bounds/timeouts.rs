//! `Timeouts`: SP5, FM23, FM24. Each limit reached, not reached, and put off; all of them in each state of a connection.

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::{Duration, Instant};

use halfclose::net::{self, ConnectOptions, LookupCallback, Server, ServerOptions, Socket, SocketOptions, Timeouts};
use halfclose::set_timeout;

use crate::support::{
    self, Log, RawListener, Stage, busy, callback, in_thread, loopback, watch_data_bytes, watch_data_length,
    watch_socket,
};
use crate::{Directory, MORE_THAN_THE_KERNEL_TAKES, NEVER, SHORT};

/// All limits, none of which a test reaches.
fn all(limit: Duration) -> Timeouts {
    Timeouts::new()
        .connect_timeout(limit)
        .first_byte_timeout(limit)
        .max_idle(limit)
        .write_stall_timeout(limit)
        .half_closed_timeout(limit)
        .max_lifetime(limit)
}

/// Off by default; options and settings of sockets and servers are the same.
#[test]
fn settings() {
    support::test(|_| {
        let none = Timeouts::new();
        assert_eq!((Socket::new().timeouts(), Server::new().timeouts()), (none, none));
        assert_eq!(
            Server::with_options(ServerOptions::new().timeouts(Timeouts::server())).timeouts(),
            Timeouts::server()
        );
        assert_eq!(Server::new().set_timeouts(all(SHORT)).timeouts(), all(SHORT));
        assert_eq!(Socket::new().set_timeouts(all(SHORT)).timeouts(), all(SHORT));
        assert_eq!(Socket::new().set_timeouts(all(SHORT)).set_timeouts(none).timeouts(), none);
        let options = SocketOptions::new().connect_timeout(SHORT).write_stall_timeout(SHORT).half_closed_timeout(SHORT);
        let some = none.connect_timeout(SHORT).write_stall_timeout(SHORT).half_closed_timeout(SHORT);
        assert_eq!(Socket::with_options(options).timeouts(), some);
        let options = ServerOptions::new().write_stall_timeout(SHORT).half_closed_timeout(SHORT);
        assert_eq!(
            Server::with_options(options).timeouts(),
            none.write_stall_timeout(SHORT).half_closed_timeout(SHORT)
        );
    });
}

/// None is reached: the events are those without limits, and no timer is left.
#[test]
fn not_reached() {
    let conversation = |timeouts: Timeouts| {
        Stage::play(
            ServerOptions::new().timeouts(timeouts),
            ConnectOptions::new().timeouts(timeouts),
            |stage, accepted| {
                watch_data_bytes(&stage.log, "S", accepted);
                accepted.end_data("hello client");
            },
            |stage, client| {
                watch_data_bytes(&stage.log, "C", client);
                client.end_data("hello server");
            },
        )
        .whole()
    };
    assert_eq!(conversation(all(NEVER)), conversation(Timeouts::new()));
}

/// A connect whose lookup is not answered, as long as the second is held.
fn unanswered() -> (ConnectOptions, Rc<RefCell<Option<LookupCallback>>>) {
    let question = Rc::new(RefCell::new(None));
    let asked = question.clone();
    let options = ConnectOptions::new().host("db.example").port(1);
    (options.lookup(move |_, callback| *asked.borrow_mut() = Some(callback)), question)
}

/// A lookup that is not answered: what waited is told, and the socket closes. The answer that comes later does nothing.
#[test]
fn connect_lookup() {
    support::test(|event_loop| {
        let log = Log::new();
        let (unanswered, _question) = unanswered();
        let client = net::connect(unanswered.connect_timeout(SHORT)).expect("connect");
        watch_socket(&log, "C", client);
        client.write_with("hello", callback(&log, "C", "hello"));
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "error(ERR_SOCKET_CONNECTION_TIMEOUT) |x close(true), hello(ERR_SOCKET_CLOSED_BEFORE_CONNECTION)",
        );
        assert_eq!(event_loop.connections(), 0);
    });
}

/// A listener whose backlog is full, and who fills it: the next attempt is not answered.
fn unanswering() -> (socket2::Socket, Vec<socket2::Socket>, u16) {
    let stream = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let listener = stream();
    listener.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into()).expect("bind");
    listener.listen(0).expect("listen");
    let port = listener.local_addr().expect("an address").as_socket().expect("an IP address").port();
    // A backlog of 0 has room for one; more of them make sure, whatever the system adds.
    let fillers = (0..4).map(|_| {
        let filler = stream();
        filler.set_nonblocking(true).expect("not blocking");
        let _ = filler.connect(&loopback(port).into());
        filler
    });
    let fillers = fillers.collect();
    (listener, fillers, port)
}

/// An attempt that is not answered, alone and as the last of several: one limit for all of them.
#[test]
fn connect_attempts() {
    for several in [false, true] {
        support::test(|event_loop| {
            let log = Log::new();
            let (_listener, _fillers, port) = unanswering();
            let client = Socket::with_options(SocketOptions::new().connect_timeout(3 * SHORT));
            watch_socket(&log, "C", client);
            let options = ConnectOptions::new().port(port).auto_select_family_attempt_timeout(SHORT);
            let options = if several {
                let addresses = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
                options.host("db.example").lookup(move |_, callback| callback.resolve(addresses))
            } else {
                options.host("127.0.0.1")
            };
            client.connect(options).expect("connect");
            event_loop.run().expect("no unhandled error");
            // Of several attempts the one under way is told to have been given up (rule L34).
            log.assert_of(
                "C",
                if several {
                    "connectionAttempt | connectionAttempt | ~ error(ERR_SOCKET_CONNECTION_TIMEOUT) \
                     |x connectionAttemptFailed(ECANCELED) |x close(true)"
                } else {
                    "connectionAttempt | ~ error(ERR_SOCKET_CONNECTION_TIMEOUT) |x close(true)"
                },
            );
            assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
        });
    }
}

/// The limit is for each connection: a socket that connects again has it anew, and what the first connection used is not
/// counted.
#[test]
fn connect_again() {
    support::test(|event_loop| {
        let log = Log::new();
        let raw = RawListener::bind();
        let address = raw.address();
        let (unanswered, _question) = unanswered();
        let client = net::connect(unanswered.connect_timeout(SHORT)).expect("connect");
        watch_socket(&log, "C", client);
        client.once_close(move |client, _| {
            assert_eq!(client.timeouts(), Timeouts::new().connect_timeout(SHORT));
            client.connect(address).expect("again").resume();
        });
        let peer = in_thread(move || {
            let mut peer = raw.accept();
            assert!(peer.read_to_end().expect("an end").is_empty());
        });
        client.on_ready(|client| {
            // Connected: the limit is over.
            set_timeout(2 * SHORT, move || {
                client.end();
            });
        });
        event_loop.run().expect("no unhandled error");
        peer.join();
        assert_eq!(
            log.texts_of("C"),
            [
                "error(ERR_SOCKET_CONNECTION_TIMEOUT)",
                "close(true)",
                "connectionAttempt",
                "connect",
                "ready",
                "finish",
                "end",
                "close(false)"
            ]
        );
    });
}

/// A silent peer (FM24), over TCP and a unix socket; one that sends a byte, and one that has ended, are none.
#[test]
fn first_byte() {
    for unix in [false, true] {
        support::test(|event_loop| {
            let (log, directory) = (Log::new(), Directory::new());
            let timeouts = Timeouts::new().first_byte_timeout(SHORT);
            let server = Server::with_options(ServerOptions::new().timeouts(timeouts).allow_half_open(true));
            let names = Cell::new(["silent", "ended", "speaks"].iter());
            server.on_connection(move |server, socket| {
                let mut left = names.take();
                let name = *left.next().expect("three clients");
                names.set(left.clone());
                watch_socket(&log, name, socket);
                watch_data_bytes(&log, name, socket);
                if name == "speaks" {
                    server.close();
                }
            });
            server.on_listening(move |server| {
                let connect = move || match server.path() {
                    Some(path) => net::connect(path),
                    None => net::connect(server.address().expect("it listens")),
                };
                let silent = connect().expect("connect").resume();
                let ended = connect().expect("connect").resume();
                let speaks = connect().expect("connect").resume();
                ended.end();
                speaks.write("b");
                silent.on_close(move |_, _| {
                    // The limit of all of them is over.
                    set_timeout(SHORT, move || {
                        ended.destroy();
                        speaks.destroy();
                    });
                });
            });
            if unix { server.listen(directory.socket()) } else { server.listen(("127.0.0.1", 0)) }.expect("listen");
            // The ended one's server side goes on: it is half-open, and has no limit for that.
            server.on_close(|_| {});
            server.on_connection(|_, socket| {
                socket.on_end(|socket| {
                    set_timeout(3 * SHORT, move || {
                        socket.end();
                    });
                });
            });
            event_loop.run().expect("no unhandled error");
            log.assert_of("silent", "error(ERR_SOCKET_FIRST_BYTE_TIMEOUT) |x close(true)");
            assert_eq!(log.texts_of("ended"), ["end", "finish", "close(false)"]);
            assert_eq!(log.texts_of("speaks"), ["data(b)", "end", "finish", "close(false)"]);
        });
    }
}

/// Bytes that are not read, because the socket is paused, do not count.
#[test]
fn first_byte_paused() {
    let log = Stage::play(
        ServerOptions::new().timeouts(Timeouts::new().first_byte_timeout(SHORT)).pause_on_connect(true),
        ConnectOptions::new(),
        |_, _| {},
        |stage, client| {
            watch_data_bytes(&stage.log, "C", client);
            client.write("hello");
            client.on_error(|_, _| {});
        },
    );
    log.assert_of("S", "connection | ~ error(ERR_SOCKET_FIRST_BYTE_TIMEOUT) |x close(true)");
}

/// Activity in either direction puts it off; then it is reached, and Node's own timeout is told beside it.
#[test]
fn idle() {
    const LIMIT: Duration = Duration::from_millis(300);
    /// One is a fifth of the limit, all of them are longer than it.
    const ROUNDS: u32 = 7;
    let log = Stage::play(
        ServerOptions::new().timeouts(Timeouts::new().max_idle(LIMIT)),
        ConnectOptions::new(),
        |stage, accepted| {
            let log = stage.log;
            accepted.set_timeout(LIMIT - LIMIT / 3);
            accepted.on_data(move |accepted, _| {
                log.add("S", "data");
                accepted.write("pong");
            });
        },
        |stage, client| {
            let rounds = Rc::new(Cell::new(0));
            client.write("ping");
            client.on_data(move |client, _| {
                rounds.set(rounds.get() + 1);
                if rounds.get() < ROUNDS {
                    set_timeout(LIMIT / 5, move || {
                        client.write("ping");
                    });
                } else {
                    stage.log.add("S", "silence");
                }
            });
        },
    );
    let mut expected = vec!["connection"];
    expected.extend(vec!["data"; ROUNDS as usize]);
    expected.extend(["silence", "timeout", "error(ERR_SOCKET_IDLE_TIMEOUT)", "close(true)"]);
    assert_eq!(log.texts_of("S"), expected, "{}", log.whole());
}

/// A peer that reads nothing (FM23): it is reset, its callbacks are told, and nothing stays behind.
#[test]
fn write_stall() {
    support::test(|event_loop| {
        let log = Log::new();
        let raw = RawListener::bind();
        let client = net::connect(ConnectOptions::from(raw.address()).write_stall_timeout(SHORT)).expect("connect");
        watch_socket(&log, "C", client);
        client.on_ready(move |client| {
            client.write_with(vec![0; MORE_THAN_THE_KERNEL_TAKES], callback(&log, "C", "large"));
            client.write_with("more", callback(&log, "C", "more"));
        });
        // In the backlog it is connected, and reads nothing.
        event_loop.run().expect("no unhandled error");
        let (length, reset) = raw.accept().drain();
        assert_eq!(reset, Some(std::io::ErrorKind::ConnectionReset), "{length}");
        log.assert_after(
            "C",
            "ready",
            "| ~ error(ERR_SOCKET_WRITE_STALL_TIMEOUT) \
             |x large(write ECANCELED), more(ERR_SOCKET_WRITE_STALL_TIMEOUT) |x close(true)",
        );
        assert_eq!((event_loop.connections(), event_loop.timers(), event_loop.buffered()), (0, 0, 0));
    });
}

/// The same over a unix socket, which has no reset: what the kernel had taken can be read, then comes the end.
#[test]
fn write_stall_unix() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let listener = UnixListener::bind(directory.socket()).expect("bind");
        let options = ConnectOptions::new().path(directory.socket()).write_stall_timeout(SHORT);
        let client = net::connect(options).expect("connect");
        watch_socket(&log, "C", client);
        client.on_ready(move |client| {
            client.write_with(vec![0; MORE_THAN_THE_KERNEL_TAKES], callback(&log, "C", "large"));
            client.end();
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "connect, ready | ~ error(ERR_SOCKET_WRITE_STALL_TIMEOUT) |x large(write ECANCELED) |x close(true)",
        );
        let (mut peer, _) = listener.accept().expect("a connection that was");
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).expect("an end");
        assert!(!bytes.is_empty() && bytes.len() < MORE_THAN_THE_KERNEL_TAKES, "{}", bytes.len());
    });
}

/// Output that is corked, or waits for the connection, was not offered to the kernel.
#[test]
fn write_stall_is_of_the_kernel() {
    let log = Stage::play(
        ServerOptions::new(),
        ConnectOptions::new().write_stall_timeout(SHORT),
        |stage, accepted| watch_data_bytes(&stage.log, "S", accepted),
        |_, client| {
            client.on_ready(|client| {
                client.cork();
                client.write("late");
                set_timeout(3 * SHORT, move || {
                    client.end();
                });
            });
        },
    );
    log.assert_of("S", "connection | data(late) | ~ end | ~ finish |x close(false)");
}

/// A slow peer that takes something within each limit is never cut off, however long it takes in all. Over a unix socket,
/// because that announces room as soon as a quarter of what it holds is left (unix_writable in the kernel's af_unix.c).
#[test]
fn write_stall_is_put_off() {
    const LIMIT: Duration = Duration::from_millis(600);
    /// One for each piece that is read, of at most 64 KiB: longer than the limit in all.
    const PAUSE: Duration = Duration::from_millis(20);
    const LENGTH: usize = 4 << 20;
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let server = Server::with_options(ServerOptions::new().write_stall_timeout(LIMIT));
        let start = Instant::now();
        server.on_connection(move |server, socket| {
            watch_socket(&log, "S", socket);
            socket.write_with(vec![0; LENGTH], callback(&log, "S", "large"));
            socket.end();
            socket.resume();
            server.close();
        });
        server.on_listening(move |server| {
            let client = net::connect(server.path().expect("a path")).expect("connect");
            watch_data_length(&log, "C", client);
            client.on_data(|client, _| {
                client.pause();
                set_timeout(PAUSE, move || {
                    client.resume();
                });
            });
        });
        server.listen(directory.socket()).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert!(start.elapsed() > LIMIT, "or it shows nothing");
        assert_eq!(log.texts_of("S"), ["large", "finish", "end", "close(false)"]);
        assert_eq!(log.texts_of("C"), [format!("data({LENGTH})")]);
    });
}

/// What the error says, for programs and for people.
#[test]
fn errors() {
    support::test(|event_loop| {
        let (unanswered, _question) = unanswered();
        let error = Rc::new(RefCell::new(None));
        let seen = error.clone();
        let client = net::connect(unanswered.connect_timeout(SHORT)).expect("connect");
        client.on_error(move |_, error| *seen.borrow_mut() = Some(error.clone()));
        event_loop.run().expect("no unhandled error");
        let error = error.take().expect("the limit was reached");
        assert_eq!(error.code(), Some("ERR_SOCKET_CONNECTION_TIMEOUT"));
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(error.message(), "Socket connection timeout");
        assert_eq!((error.errno(), error.syscall()), (None, None));
    });
}

/// A peer that ends and then waits for ever, and one that never ends: both sides of a half-closed connection have a limit.
#[test]
fn half_closed() {
    for server_ends in [true, false] {
        let options = ServerOptions::new().allow_half_open(true).half_closed_timeout(SHORT);
        let log = Stage::play(
            options,
            ConnectOptions::new().allow_half_open(true),
            move |_, accepted| {
                accepted.resume();
                if server_ends {
                    accepted.end();
                }
            },
            move |stage, client| {
                watch_data_bytes(&stage.log, "C", client);
                if !server_ends {
                    client.end();
                }
                // Long after the limit: what ended the server's side was not this.
                set_timeout(5 * SHORT, move || {
                    client.destroy();
                });
            },
        );
        let before = if server_ends { "finish" } else { "end" };
        assert_eq!(
            log.texts_of("S"),
            ["connection", before, "error(ERR_SOCKET_HALF_CLOSED_TIMEOUT)", "close(true)"],
            "{}",
            log.whole()
        );
    }
}

/// The same over a unix socket, from the side that connects.
#[test]
fn half_closed_unix() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let listener = UnixListener::bind(directory.socket()).expect("bind");
        let options = ConnectOptions::new().path(directory.socket()).half_closed_timeout(SHORT);
        let client = net::connect(options).expect("connect");
        watch_socket(&log, "C", client);
        client.end_data("hello");
        client.resume();
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connect, ready | ~ finish | ~ error(ERR_SOCKET_HALF_CLOSED_TIMEOUT) |x close(true)");
        let (mut peer, _) = listener.accept().expect("a connection that was");
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).expect("an end");
        assert_eq!(bytes, b"hello");
    });
}

/// Both sides end in time, and with a long answer: while output waits for the kernel the time does not run.
#[test]
fn half_closed_in_time() {
    let options = ServerOptions::new().allow_half_open(true).half_closed_timeout(2 * SHORT);
    let log = Stage::play(
        options,
        ConnectOptions::new(),
        |stage, accepted| {
            accepted.resume();
            accepted.on_end(move |accepted| {
                accepted.write_with(vec![0; MORE_THAN_THE_KERNEL_TAKES], callback(&stage.log, "S", "answer"));
                // The client begins to read long after the limit.
                set_timeout(5 * SHORT, move || {
                    stage.client().resume();
                });
                accepted.end();
            });
        },
        |_, client| {
            client.end();
        },
    );
    assert_eq!(log.texts_of("S"), ["connection", "end", "answer", "finish", "close(false)"], "{}", log.whole());
}

/// Whatever happens on it, a connection ends with its lifetime (FM24: a byte now and then).
#[test]
fn lifetime() {
    let log = Stage::play(
        ServerOptions::new().timeouts(Timeouts::server().max_lifetime(4 * SHORT)),
        ConnectOptions::new(),
        |_, accepted| {
            accepted.on_data(|accepted, bytes| {
                accepted.write(bytes);
            });
        },
        |_, client| {
            client.write("ping");
            client.on_data(|client, _| {
                set_timeout(SHORT / 4, move || {
                    client.write("ping");
                });
            });
            client.on_error(|_, _| {});
        },
    );
    log.assert_of("S", "connection | ~ error(ERR_SOCKET_LIFETIME_TIMEOUT) |x close(true)");
}

/// Of several the first counts; set in a listener, they hold from then on, and taken away they hold no longer.
#[test]
fn several() {
    let log = Stage::play(
        ServerOptions::new().timeouts(all(NEVER)),
        ConnectOptions::new().timeouts(Timeouts::new().max_lifetime(2 * SHORT)),
        |_, accepted| {
            accepted.on_data(|accepted, _| {
                accepted.set_timeouts(accepted.timeouts().max_idle(SHORT).max_lifetime(NEVER));
            });
        },
        |stage, client| {
            watch_data_bytes(&stage.log, "C", client);
            client.set_timeouts(Timeouts::new());
            client.write("now");
        },
    );
    log.assert_of("S", "connection | ~ error(ERR_SOCKET_IDLE_TIMEOUT) |x close(true)");
    log.assert_of("C", "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false)");
}

/// A callback that holds the loop up is not held against a socket whose time began in it: connecting, and output that waits.
#[test]
fn a_busy_loop() {
    const LIMIT: Duration = Duration::from_millis(300);
    let log = Stage::play(
        ServerOptions::new(),
        ConnectOptions::new().timeouts(Timeouts::new().connect_timeout(LIMIT).write_stall_timeout(LIMIT)),
        |stage, accepted| watch_data_length(&stage.log, "S", accepted),
        |stage, client| {
            busy(LIMIT + SHORT);
            client.on_ready(move |client| {
                busy(LIMIT + SHORT);
                client.write_with(vec![0; MORE_THAN_THE_KERNEL_TAKES], callback(&stage.log, "C", "large"));
                client.end();
                busy(LIMIT + SHORT);
            });
        },
    );
    log.assert_after("C", "ready", "| large | ~ finish | ~ end |x close(false)");
    assert!(log.contains("S", &format!("data({MORE_THAN_THE_KERNEL_TAKES})")), "{}", log.whole());
}

/// What is waited for does not keep the loop alive, as with Node's timeout.
#[test]
fn the_loop_ends() {
    support::test(|event_loop| {
        let raw = RawListener::bind();
        let client = net::connect(ConnectOptions::from(raw.address()).timeouts(Timeouts::new().max_idle(NEVER)))
            .expect("connect");
        client.on_ready(|client| {
            client.unref();
        });
        event_loop.run().expect("no unhandled error");
        assert!(!client.destroyed());
        assert_eq!(event_loop.timers(), 1);
        assert!(event_loop.next_deadline().is_some());
        client.destroy();
        assert_eq!(event_loop.timers(), 0);
    });
}

/// In a loop that is turned by another one: the deadline is known before anything is waited for.
#[test]
fn embedded() {
    support::test(|event_loop| {
        let raw = RawListener::bind();
        let options = ConnectOptions::from(raw.address()).timeouts(Timeouts::new().connect_timeout(NEVER));
        let client = net::connect(options).expect("connect");
        let deadline = event_loop.next_deadline().expect("of the connect");
        assert!(deadline > Instant::now() + NEVER / 2);
        client.destroy();
        assert_eq!(event_loop.next_deadline(), None);
    });
}

/// The same without asking for it: a turn that waits for whatever comes is ended by a limit whose time began outside.
#[test]
fn embedded_turns() {
    support::test(|event_loop| {
        let raw = RawListener::bind();
        let stream = std::net::TcpStream::connect(raw.address()).expect("a connection");
        let client = Socket::from_std(stream).expect("a socket");
        client.on_error(|_, error| assert_eq!(error.code(), Some("ERR_SOCKET_WRITE_STALL_TIMEOUT")));
        // The loop has been turned before, so that nothing is done for a first time.
        event_loop.turn(Some(Duration::ZERO)).expect("no unhandled error");
        client.set_timeouts(Timeouts::new().write_stall_timeout(SHORT));
        client.write(vec![0; MORE_THAN_THE_KERNEL_TAKES]);
        while !client.destroyed() {
            event_loop.turn(None).expect("no unhandled error");
        }
        event_loop.run().expect("no unhandled error");
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}
