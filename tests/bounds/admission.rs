//! SP3, SP4: connections that stay in the backlog, and the filter that is asked before anything is made of one.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use halfclose::net::{self, Admission, BlockList, ConnectionOverflow, PauseReason, Server, ServerOptions, Socket};
use halfclose::set_immediate;

use crate::support::{self, Log, RawPeer, in_thread, loopback, panic_text, port_of, watch_server, watch_socket};
use crate::{Directory, SHORT};

/// A watched server that logs `drop`, `pause` and `resume` too.
fn watched(log: &Log, options: ServerOptions) -> Server {
    let server = Server::with_options(options);
    watch_server(log, "srv", server);
    let log = *log;
    server.on_drop(move |_, _| log.add("srv", "drop"));
    server.on_pause(move |_, reason| log.add("srv", format!("pause({reason:?})")));
    server.on_resume(move |_| log.add("srv", "resume"));
    server
}

fn client_of(log: &Log, name: &str, server: Server) -> Socket {
    let client = match server.path() {
        Some(path) => net::connect(path),
        None => net::connect(("127.0.0.1", port_of(server))),
    };
    let client = client.expect("connect").resume();
    watch_socket(log, name, client);
    client
}

fn listen(server: Server, unix: Option<&Directory>) {
    match unix {
        Some(directory) => server.listen(directory.socket()),
        None => server.listen(("127.0.0.1", 0)),
    }
    .expect("listen");
}

/// One too many waits until there is a place, and is served then: nobody is dropped. TCP and unix.
#[test]
fn paused_while_full() {
    for unix in [false, true] {
        support::test(|event_loop| {
            let (log, directory) = (Log::new(), Directory::new());
            let options = ServerOptions::new().max_connections(1).connection_overflow(ConnectionOverflow::Pause);
            let server = watched(&log, options);
            let served = Rc::new(Cell::new(0));
            server.on_connection(move |server, socket| {
                served.set(served.get() + 1);
                assert_eq!(server.connections(), 1);
                if served.get() == 3 {
                    server.close();
                }
                socket.end_data("hello");
                socket.resume();
            });
            server.once_listening(move |server| {
                for name in ["A", "B", "C"] {
                    client_of(&log, name, server);
                }
            });
            listen(server, unix.then_some(&directory));
            event_loop.run().expect("no unhandled error");
            assert_eq!(
                log.texts_of("srv"),
                [
                    "listening",
                    "connection",
                    "pause(MaxConnections)",
                    "resume",
                    "connection",
                    "pause(MaxConnections)",
                    "resume",
                    "connection",
                    "close"
                ],
                "{}",
                log.whole()
            );
            for name in ["A", "B", "C"] {
                let texts = log.texts_of(name);
                // Of a unix socket the attempt is told within `connect`, before anybody listens.
                assert_eq!(
                    texts[usize::from(!unix)..],
                    ["connect", "ready", "end", "finish", "close(false)"],
                    "{name}"
                );
            }
        });
    }
}

/// A place becomes free in a listener, by a higher limit, by none, and by the other policy: each lets those in who wait.
#[test]
fn places_become_free() {
    for how in 0..4 {
        support::test(|event_loop| {
            let log = Log::new();
            let options = ServerOptions::new().max_connections(1).connection_overflow(ConnectionOverflow::Pause);
            let server = watched(&log, options);
            let sockets = Rc::new(RefCell::new(Vec::<Socket>::new()));
            let all = sockets.clone();
            server.on_connection(move |_, socket| all.borrow_mut().push(socket));
            server.on_pause(move |server, reason| {
                assert_eq!(reason, PauseReason::MaxConnections);
                let first = sockets.borrow()[0];
                set_immediate(move || {
                    match how {
                        0 => {
                            first.destroy();
                        }
                        1 => {
                            server.set_max_connections(Some(2));
                        }
                        2 => {
                            server.set_max_connections(None);
                        }
                        _ => {
                            server.set_connection_overflow(ConnectionOverflow::Drop);
                        }
                    }
                    log.add("srv", "changed");
                });
            });
            // The second one, or its `drop`, is what this is about: then everybody ends.
            let count = Rc::new(Cell::new(0));
            server.on_connection(move |server, _| {
                count.set(count.get() + 1);
                if count.get() == 2 {
                    server.close();
                }
            });
            server.once_drop(|server, _| {
                server.close();
            });
            server.once_listening(move |server| {
                for name in ["A", "B"] {
                    let client = client_of(&log, name, server);
                    // In the end they are destroyed, which ends the other side.
                    halfclose::set_timeout(2 * SHORT, move || {
                        client.destroy();
                    });
                }
            });
            listen(server, None);
            event_loop.run().expect("no unhandled error");
            let got = log.texts_of("srv");
            let told = if how == 3 { "drop" } else { "connection" };
            let expected = ["listening", "connection", "pause(MaxConnections)", "changed", "resume", told];
            assert_eq!(got[..6], expected, "{how}: {}", log.whole());
        });
    }
}

/// Closed while it is paused: those who wait are reset, and it does not go on; listening again begins anew.
#[test]
fn closed_while_paused() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ServerOptions::new().max_connections(0).connection_overflow(ConnectionOverflow::Pause);
        let server = watched(&log, options);
        server.once_pause(move |server, _| {
            server.close();
            server.set_max_connections(Some(1));
            server.once_close(move |server| {
                server.once_connection(|server, socket| {
                    socket.end();
                    socket.resume();
                    server.close();
                });
                server.once_listening(move |server| {
                    client_of(&log, "B", server);
                });
                listen(server, None);
            });
        });
        server.once_listening(move |server| {
            client_of(&log, "A", server);
        });
        listen(server, None);
        event_loop.run().expect("no unhandled error");
        assert_eq!(
            log.texts_of("srv"),
            ["listening", "pause(MaxConnections)", "close", "listening", "connection", "close"],
            "{}",
            log.whole()
        );
        // Whether it had heard of its connection by then is up to the kernel's order of the two descriptors.
        let waited = log.texts_of("A");
        assert!(waited[waited.len() - 2].ends_with("ECONNRESET)"), "{waited:?}");
        assert_eq!(waited[waited.len() - 1], "close(true)");
        assert_eq!(log.texts_of("B"), ["connectionAttempt", "connect", "ready", "end", "finish", "close(false)"]);
    });
}

/// The filter's three answers, and what the peer sees. Who is turned away makes no event and is not counted.
#[test]
fn filtered() {
    let answers = [
        (Admission::Accept, "listening | connection ~ close", Ok(b"hello".to_vec())),
        (Admission::Reject, "listening ~ close", Ok(Vec::new())),
        (Admission::Reset, "listening ~ close", Err(ErrorKind::ConnectionReset)),
    ];
    for (answer, events, seen) in answers {
        support::test(|event_loop| {
            let log = Log::new();
            let server = watched(&log, ServerOptions::new());
            server.set_pre_accept(move |server, peer| {
                assert_eq!(server.connections(), 0);
                assert!(peer.expect("an address").ip().is_loopback());
                if answer != Admission::Accept {
                    // For this test there is one connection.
                    set_immediate(move || {
                        server.close();
                    });
                }
                answer
            });
            server.on_connection(|server, socket| {
                socket.end_data("hello");
                socket.resume();
                server.close();
            });
            listen(server, None);
            event_loop.turn(Some(std::time::Duration::ZERO)).expect("it listens");
            // In the backlog it is connected.
            let mut peer = RawPeer::connect(loopback(port_of(server)));
            let reader = peer.stream().try_clone().expect("the same connection");
            let reading = in_thread(move || {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut &reader, &mut bytes).map(|_| bytes).map_err(|error| error.kind())
            });
            if answer == Admission::Accept {
                peer.half_close();
            }
            event_loop.run().expect("no unhandled error");
            assert_eq!(reading.join(), seen);
            let got = log.of("srv").replace(" | close", " ~ close").replace(" | ~ close", " ~ close");
            assert_eq!(got, events, "{}", log.whole());
        });
    }
}

/// It is asked about those only whom nothing else turns away, and of a unix socket it learns no address.
#[test]
fn filtered_last() {
    let mut list = BlockList::new();
    list.add_address("127.0.0.1").expect("an address");
    for (options, asked) in [
        (ServerOptions::new().block_list(&list), 0),
        (ServerOptions::new().max_connections(0), 0),
        (ServerOptions::new(), 1),
    ] {
        support::test(|event_loop| {
            let log = Log::new();
            let server = watched(&log, options);
            let count = Rc::new(Cell::new(0));
            let questions = count.clone();
            server.set_pre_accept(move |_, _| {
                questions.set(questions.get() + 1);
                Admission::Reject
            });
            server.once_listening(move |server| {
                client_of(&log, "C", server).on_close(move |_, _| {
                    server.close();
                });
            });
            listen(server, None);
            event_loop.run().expect("no unhandled error");
            assert_eq!(count.get(), asked);
            assert_eq!(log.texts_of("C"), ["connectionAttempt", "connect", "ready", "end", "finish", "close(false)"]);
        });
    }
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let server = watched(&log, ServerOptions::new());
        server.set_pre_accept(move |_, peer| {
            log.add("srv", format!("asked({peer:?})"));
            Admission::Accept
        });
        server.on_connection(|server, socket| {
            socket.destroy();
            server.close();
        });
        server.once_listening(move |server| {
            client_of(&log, "C", server);
        });
        listen(server, Some(&directory));
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listening | asked(None), connection ~ close");
    });
}

/// A filter that closes its server, takes itself away, sets another one, or panics: the loop and the server are usable, and
/// nobody is let in by a server that is closed.
#[test]
fn filters_that_meddle() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = watched(&log, ServerOptions::new());
        let round = Rc::new(Cell::new(0));
        server.set_pre_accept(move |server, _| {
            round.set(round.get() + 1);
            assert!(round.get() != 1, "the first one");
            server.set_pre_accept(|server, _| {
                server.clear_pre_accept();
                server.close();
                Admission::Accept
            });
            Admission::Accept
        });
        server.on_connection(|_, socket| {
            socket.destroy();
        });
        let next = move |name: &'static str| {
            move || {
                client_of(&log, name, server);
            }
        };
        server.once_listening(move |_| {
            client_of(&log, "panics", server).on_close(move |_, _| {
                client_of(&log, "let in", server).on_close(move |_, _| {
                    set_immediate(next("closed"));
                });
            });
        });
        listen(server, None);
        let panic = catch_unwind(AssertUnwindSafe(|| event_loop.run())).expect_err("the first one");
        assert!(panic_text(&*panic).contains("the first one"));
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("srv"), ["listening", "connection", "close"], "{}", log.whole());
        for name in ["panics", "let in", "closed"] {
            let texts = log.texts_of(name);
            assert_eq!(texts[..3], ["connectionAttempt", "connect", "ready"], "{name}");
            assert_eq!(texts[3], "end", "{name}");
        }
    });
}

/// Off by default: Node's way, and nothing is kept for it.
#[test]
fn settings() {
    support::test(|_| {
        let server = Server::new();
        assert_eq!(server.connection_overflow(), ConnectionOverflow::Drop);
        assert_eq!(
            server.set_connection_overflow(ConnectionOverflow::Pause).connection_overflow(),
            ConnectionOverflow::Pause
        );
        assert_eq!(Server::with_options(ServerOptions::new().max_connections(3)).max_connections(), Some(3));
        server.once_pause(|_, _| {});
        server.once_resume(|_| {});
        server.release();
        server.set_pre_accept(|_, _| Admission::Reset).clear_pre_accept();
        assert_eq!(server.connection_overflow(), ConnectionOverflow::Drop);
    });
}
