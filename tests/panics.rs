//! Panics in user code (law 8, FM29): in every kind of callback a panic leaves the loop usable. The rest of that one
//! emission is skipped, the listener stays registered, a one-shot is consumed, and everything else happens as if nothing
//! had been.
//!
//! May touch: the public API. Invariant: the same scenario is run without and with a panic, and the two must differ in
//! nothing but the panic.

mod support;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use halfclose::EventLoop;
use halfclose::net::{self, ConnectOptions, Server, ServerEvent, Socket, SocketEvent, SocketOptions};
use support::{Log, callback, loopback, panic_text, port_of, server_callback, watch_server, watch_socket};

/// The text of every panic that the tests provoke.
const PROVOKED: &str = "provoked";

/// Runs the loop to its end, over as many panics as there are, and says how many there were.
fn run_through_panics(event_loop: &mut EventLoop) -> usize {
    let mut panics = 0;
    loop {
        match catch_unwind(AssertUnwindSafe(|| event_loop.run())) {
            Ok(outcome) => {
                outcome.expect("no unhandled error");
                return panics;
            }
            Err(panic) => {
                assert_eq!(panic_text(&*panic), PROVOKED);
                panics += 1;
            }
        }
    }
}

/// Where in the scenario the panic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    Listening,
    ListenCallback,
    Connection,
    ConnectionAttempt,
    Connect,
    ConnectCallback,
    Ready,
    FlushedWriteCallback,
    WriteCallback,
    AcceptedData,
    ClientData,
    Drain,
    Timeout,
    AcceptedEnd,
    ClientEnd,
    AcceptedFinish,
    ClientFinish,
    EndCallback,
    AcceptedClose,
    ClientClose,
    ServerClose,
    CloseCallback,
    Tick,
    Immediate,
    Timer,
    Post,
}

/// Panics when the scenario reaches the place of the test, the first time.
#[derive(Clone)]
struct Trap {
    place: Place,
    sprung: Rc<Cell<bool>>,
}

impl Trap {
    fn pass(&self, place: Place) {
        if place == self.place && !self.sprung.replace(true) {
            panic!("{PROVOKED}");
        }
    }

    fn socket(&self, place: Place) -> impl FnMut(Socket) + 'static + use<> {
        let trap = self.clone();
        move |_| trap.pass(place)
    }

    fn server(&self, place: Place) -> impl FnMut(Server) + 'static + use<> {
        let trap = self.clone();
        move |_| trap.pass(place)
    }
}

/// A request and an answer that is longer than the kernel takes at once, with an idle timeout before the request, and
/// with every kind of callback. Every entry is made before the trap that belongs to it.
fn scenario(event_loop: &mut EventLoop, place: Place) -> (Vec<String>, usize) {
    let log = Log::new();
    let trap = Trap { place, sprung: Rc::default() };
    let server = Server::new();
    watch_server(&log, "srv", server);
    let traps = trap.clone();
    server.on_connection(move |server, accepted| {
        watch_socket(&log, "S", accepted);
        let trap = traps.clone();
        accepted.on_data(move |accepted, bytes| {
            log.add_data_bytes("S", bytes);
            // Longer than loopback buffers: most of it waits, and drain follows.
            assert!(!accepted.write_with(vec![7; 8_000_000], callback(&log, "S", "written")));
            trap.pass(Place::AcceptedData);
        });
        accepted.on_drain(|accepted| {
            accepted.end();
        });
        accepted.on_drain(traps.socket(Place::Drain));
        accepted.on_end(traps.socket(Place::AcceptedEnd));
        accepted.on_finish(traps.socket(Place::AcceptedFinish));
        let trap = traps.clone();
        accepted.on_close(move |_, _| {
            let (tell, passed) = (server_callback(&log, "srv", "closed"), trap.clone());
            server.close_with(move |server, result| {
                tell(server, result);
                passed.pass(Place::CloseCallback);
            });
            // Behind the callback, which this trap's panic would skip.
            server.on_close(trap.server(Place::ServerClose));
            trap.pass(Place::AcceptedClose);
        });
        traps.pass(Place::Connection);
    });

    let traps = trap.clone();
    let handle = event_loop.handle();
    server
        .listen_with(("127.0.0.1", 0), move |server| {
            let client = Socket::with_options(SocketOptions::new().allow_half_open(true));
            watch_socket(&log, "C", client);
            let trap = traps.clone();
            client.on_connection_attempt(move |_, _| trap.pass(Place::ConnectionAttempt));
            client.on_connect(traps.socket(Place::Connect));
            client.on_ready(|client| {
                client.set_timeout(Duration::from_millis(5));
            });
            client.on_ready(traps.socket(Place::Ready));
            let trap = traps.clone();
            client.once_timeout(move |client| {
                client.set_timeout(Duration::ZERO);
                let (tell, passed) = (callback(&log, "C", "written"), trap.clone());
                client.write_with("request", move |client, result| {
                    tell(client, result);
                    passed.pass(Place::WriteCallback);
                });
                trap.pass(Place::Timeout);
            });
            let (mut received, trap) = (0, traps.clone());
            client.on_data(move |_, bytes| {
                received += bytes.len();
                if received == 8_000_000 {
                    log.add("C", "answer");
                }
                trap.pass(Place::ClientData);
            });
            let trap = traps.clone();
            client.on_end(move |client| {
                let (tell, passed) = (callback(&log, "C", "ended"), trap.clone());
                client.end_with(move |client, result| {
                    tell(client, result);
                    passed.pass(Place::EndCallback);
                });
                trap.pass(Place::ClientEnd);
            });
            client.on_finish(traps.socket(Place::ClientFinish));
            let trap = traps.clone();
            client.on_close(move |_, _| trap.pass(Place::ClientClose));
            let callback_trap = traps.clone();
            client
                .connect_with(("127.0.0.1", port_of(server)), move |_| callback_trap.pass(Place::ConnectCallback))
                .expect("connect");
            let (tell, passed) = (callback(&log, "C", "flushed"), traps.clone());
            client.write_with("", move |client, result| {
                tell(client, result);
                passed.pass(Place::FlushedWriteCallback);
            });
            let passed = traps.clone();
            halfclose::next_tick(move || {
                log.add("loop", "tick");
                passed.pass(Place::Tick);
            });
            let passed = traps.clone();
            halfclose::set_immediate(move || {
                log.add("loop", "immediate");
                passed.pass(Place::Immediate);
            });
            let passed = traps.clone();
            halfclose::set_timeout(Duration::from_millis(1), move || {
                log.add("loop", "timer");
                passed.pass(Place::Timer);
            });
            // The closure of a post may go to another thread, so it cannot share the trap: it panics by itself.
            let panics = traps.place == Place::Post;
            let posted = handle.post(move || {
                if panics {
                    panic!("{PROVOKED}");
                }
            });
            assert!(posted.is_ok());
            traps.pass(Place::ListenCallback);
        })
        .expect("listen");
    server.on_listening(trap.server(Place::Listening));
    let panics = run_through_panics(event_loop);
    server.release();
    // Events of the two ends and of the loop may interleave differently when a panic ends a turn early.
    let mut entries = Vec::new();
    for endpoint in ["srv", "S", "C"] {
        entries.push(format!("{endpoint}: {}", log.texts_of(endpoint).join(", ")));
    }
    let mut others = log.texts_of("loop");
    others.sort();
    entries.push(format!("loop: {}", others.join(", ")));
    (entries, panics)
}

/// The scenario without any panic, which the tests below compare with.
#[test]
fn the_scenario_without_a_panic() {
    support::test(|event_loop| {
        let (entries, panics) = scenario(event_loop, Place::Nowhere);
        assert_eq!(panics, 0);
        assert_eq!(
            entries,
            [
                "srv: listening, connection, close, closed",
                "S: data(request), drain, written, finish, end, close(false)",
                "C: connectionAttempt, connect, flushed, ready, timeout, written, answer, end, ended, finish, close(false)",
                "loop: immediate, tick, timer",
            ]
        );
    });
}

/// Law 8, FM29: the scenario with a panic at `place` is the scenario without, and so is the next one of the same loop.
fn a_panic_changes_nothing_else(place: Place) {
    support::test(|event_loop| {
        let (expected, panics) = scenario(event_loop, Place::Nowhere);
        assert_eq!(panics, 0);
        for (place, panics_expected) in [(place, 1), (Place::Nowhere, 0)] {
            let (entries, panics) = scenario(event_loop, place);
            assert_eq!(panics, panics_expected);
            assert_eq!(entries, expected);
            assert_eq!((event_loop.connections(), event_loop.servers(), event_loop.timers()), (0, 0, 0));
        }
    });
}

macro_rules! a_panic_in_each_place {
    ($($name:ident => $place:ident,)+) => {
        $(
            #[test]
            fn $name() {
                a_panic_changes_nothing_else(Place::$place);
            }
        )+
    };
}

a_panic_in_each_place! {
    a_panic_in_listening => Listening,
    a_panic_in_listen_callback => ListenCallback,
    a_panic_in_connection => Connection,
    a_panic_in_connection_attempt => ConnectionAttempt,
    a_panic_in_connect => Connect,
    a_panic_in_connect_callback => ConnectCallback,
    a_panic_in_ready => Ready,
    a_panic_in_flushed_write_callback => FlushedWriteCallback,
    a_panic_in_write_callback => WriteCallback,
    a_panic_in_accepted_data => AcceptedData,
    a_panic_in_client_data => ClientData,
    a_panic_in_drain => Drain,
    a_panic_in_timeout => Timeout,
    a_panic_in_accepted_end => AcceptedEnd,
    a_panic_in_client_end => ClientEnd,
    a_panic_in_accepted_finish => AcceptedFinish,
    a_panic_in_client_finish => ClientFinish,
    a_panic_in_end_callback => EndCallback,
    a_panic_in_accepted_close => AcceptedClose,
    a_panic_in_client_close => ClientClose,
    a_panic_in_server_close => ServerClose,
    a_panic_in_close_callback => CloseCallback,
    a_panic_in_tick => Tick,
    a_panic_in_immediate => Immediate,
    a_panic_in_timer => Timer,
    a_panic_in_post => Post,
}

/// Law 8: of the emission with the panic the later listeners are skipped, this once; everybody stays registered.
#[test]
fn the_rest_of_the_emission_is_skipped_and_the_listeners_stay() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(|accepted| {
            accepted.on_data(|accepted, bytes| {
                accepted.write(bytes);
            });
        });
        server.once_listening(move |server| {
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            client.once_ready(|client| {
                client.write("1");
            });
            client.on_data(move |client, bytes| {
                log.add_data_bytes("C", bytes);
                log.add("C", format!("first of {}", client.listener_count(SocketEvent::Data)));
                let next = bytes[0] + 1;
                halfclose::set_immediate(move || {
                    if next <= b'3' {
                        client.write(&[next]);
                    } else {
                        client.end();
                    }
                });
            });
            client.once_data(move |client, _| {
                log.add("C", "one-shot");
                assert_eq!(client.listener_count(SocketEvent::Data), 3);
                panic!("{PROVOKED}");
            });
            let mut panics_left = 1;
            client.on_data(move |_, _| {
                log.add("C", "second");
                if panics_left > 0 {
                    panics_left -= 1;
                    panic!("{PROVOKED}");
                }
            });
            client.on_data(move |_, _| log.add("C", "last"));
            client.on_close(move |_, _| {
                server.close();
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let panics = run_through_panics(event_loop);
        assert_eq!(panics, 2);
        assert_eq!(
            log.texts_of("C"),
            [
                "data(1)",
                "first of 4",
                "one-shot",
                "data(2)",
                "first of 3",
                "second",
                "data(3)",
                "first of 3",
                "second",
                "last",
            ],
        );
    });
}

/// Law 8: a listener that panics every time is called every time, and the connection is served to its end.
#[test]
fn a_listener_that_always_panics_is_always_called() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().host("127.0.0.1");
        let server = net::create_server(move |accepted| {
            watch_socket(&log, "S", accepted);
            accepted.on_data(move |accepted, bytes| {
                log.add_data_bytes("S", bytes);
                accepted.write(bytes);
                panic!("{PROVOKED}");
            });
            accepted.on_close(|accepted, _| {
                accepted.server().expect("the accepting server").close();
                panic!("{PROVOKED}");
            });
            panic!("{PROVOKED}");
        });
        server.once_listening(move |server| {
            let client = net::connect(options.port(port_of(server))).expect("connect");
            let mut rounds = 0;
            client.write("x");
            client.on_data(move |client, _| {
                rounds += 1;
                if rounds == 10 {
                    client.end();
                } else {
                    client.write("x");
                }
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        // One for the connection, one for each of the ten messages, one for the close.
        assert_eq!(run_through_panics(event_loop), 12);
        log.assert_of("S", "data(xxxxxxxxxx) | ~ end | ~ finish |x close(false)");
        assert_eq!(event_loop.connections(), 0);
    });
}

/// Law 8: a panic in a server's listener, with a connection waiting behind it.
#[test]
fn connections_behind_a_panic_are_accepted() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        let mut accepted = 0;
        server.on_connection(move |server, socket| {
            accepted += 1;
            log.add("srv", format!("connection {accepted}"));
            socket.destroy();
            if accepted == 3 {
                server.close();
            }
            panic!("{PROVOKED}");
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let peers = Rc::new(Cell::new(Vec::new()));
        let held = peers.clone();
        server.once_listening(move |server| {
            held.set((0..3).map(|_| support::RawPeer::connect(loopback(port_of(server)))).collect());
        });
        assert_eq!(run_through_panics(event_loop), 3);
        assert_eq!(log.texts_of("srv"), ["connection 1", "connection 2", "connection 3"]);
        assert_eq!(server.listener_count(ServerEvent::Connection), 1);
        assert_eq!(event_loop.connections(), 0);
        drop(peers.take());
    });
}

/// Plays an accepted socket `S` that gets "A" and, when it has answered, `rest`, each as a chunk of its own; then the end.
/// `listen` gives it its `data` listeners, of which one panics.
fn play_a_panic_in_data(listen: fn(Socket), rest: &'static [&'static str]) -> Log {
    let log = Log::new();
    support::test(|event_loop| {
        let server = net::create_server(move |accepted| {
            accepted.set_data(log);
            listen(accepted);
            watch_socket(&log, "S", accepted);
            accepted.on_close(|accepted, _| {
                accepted.server().expect("the accepting server").close();
            });
        });
        server.once_listening(move |server| {
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            client.write("A");
            let mut rest = rest.iter();
            client.on_data(move |client, _| {
                if let Some(chunk) = rest.next() {
                    client.write(*chunk);
                } else {
                    client.end();
                }
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        assert_eq!(run_through_panics(event_loop), 1);
        assert_eq!(event_loop.connections(), 0);
    });
    log
}

/// Answers what the peer sent, and tells it; for listeners with and without captures.
fn answer(socket: Socket, who: &str, bytes: &[u8]) {
    let log = socket.with_data(|log: &mut Log| *log).expect("the log");
    log.add("S", format!("{who} {}", String::from_utf8_lossy(bytes)));
    if who == "data" && bytes != b"u" {
        socket.write("answer");
    }
}

/// Within "A" puts "u" back, which is emitted within the call, and panics.
fn put_back_and_panic(socket: Socket, bytes: &[u8]) {
    answer(socket, "data", bytes);
    if bytes == b"A" {
        socket.unshift("u");
        panic!("{PROVOKED}");
    }
}

/// F31, law 4, law 8: what a `data` listener has put back before it panicked comes before what the peer sends next, to it as
/// to the others, and whether the peer sends anything or not. In Node it comes within `unshift`.
#[test]
fn what_a_listener_missed_before_it_panicked_comes_first() {
    let without_captures = |socket: Socket| {
        socket.on_data(put_back_and_panic);
    };
    let with_captures = |socket: Socket| {
        let mut chunks = 0;
        socket.on_data(move |socket, bytes| {
            chunks += 1;
            answer(socket, &format!("{chunks}."), bytes);
            put_back_and_panic(socket, bytes);
        });
    };
    let in_front_of_another = |socket: Socket| {
        socket.on_data(put_back_and_panic);
        socket.on_data(|socket, bytes| answer(socket, "another", bytes));
    };
    let once_only = |socket: Socket| {
        let id = Rc::new(Cell::new(None));
        let own = id.clone();
        id.set(Some(socket.on_data(move |socket, bytes| {
            // It takes itself away, and what was put back is still emitted to it: it was there then.
            answer(socket, "data", bytes);
            if bytes == b"A" {
                socket.unshift("u");
                socket.off(own.get().expect("its id"));
                panic!("{PROVOKED}");
            }
        })));
        socket.on_data(|socket, bytes| answer(socket, "another", bytes));
    };
    let over = "~ end | ~ finish |x close(false)";
    for (listen, chunks, expected) in [
        (without_captures as fn(Socket), &["B"][..], "data A | data u | data B"),
        (without_captures, &[], "data A | data u"),
        (with_captures, &["B"], "1. A, data A | 2. u, data u | 3. B, data B"),
        (with_captures, &[], "1. A, data A | 2. u, data u"),
        (in_front_of_another, &["B"], "data A, another u | data u | data B, another B"),
        (once_only, &[], "data A, another u | data u"),
    ] {
        let log = play_a_panic_in_data(listen, chunks);
        log.assert_of("S", &format!("{expected} | {over}"));
    }
}

/// Law 8, law 2: a panic in an `error` listener; `close` is still owed.
#[test]
fn a_panic_in_an_error_listener_does_not_cost_the_close() {
    support::test(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        socket.on_error(move |_, error| {
            log.add("C", format!("error({error})"));
            panic!("{PROVOKED}");
        });
        socket.on_close(move |_, had_error| log.add("C", format!("close({had_error})")));
        socket.destroy_with("mine");
        assert_eq!(run_through_panics(event_loop), 1);
        assert_eq!(log.texts_of("C"), ["error(mine)", "close(false)"]);
        assert_eq!(event_loop.connections(), 0);
    });
}

/// Law 8: `with_data` puts the value back when its closure panics.
#[test]
fn a_panic_in_with_data_leaves_the_value() {
    support::test(|event_loop| {
        let socket = Socket::new();
        socket.set_data(vec![1]);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            socket.with_data(|value: &mut Vec<i32>| {
                value.push(2);
                panic!("{PROVOKED}");
            })
        }));
        assert_eq!(panic_text(&*panic.expect_err("provoked")), PROVOKED);
        assert_eq!(socket.with_data(|value: &mut Vec<i32>| value.clone()).expect("the value"), [1, 2]);
        socket.release();
        event_loop.run().expect("no unhandled error");
    });
}

/// Law 8: a repeating timer survives its panic.
#[test]
fn an_interval_survives_a_panic() {
    support::test(|event_loop| {
        let log = Log::new();
        let timer = Rc::new(Cell::new(None));
        let own = timer.clone();
        let mut rounds = 0;
        timer.set(Some(halfclose::set_interval(Duration::from_millis(1), move || {
            rounds += 1;
            log.add("timer", rounds);
            if rounds == 3 {
                halfclose::clear_interval(own.get().expect("itself"));
            }
            panic!("{PROVOKED}");
        })));
        assert_eq!(run_through_panics(event_loop), 3);
        assert_eq!(log.texts_of("timer"), ["1", "2", "3"]);
        assert_eq!(event_loop.timers(), 0);
    });
}

/// Law 8: a panic through `turn`, which returns to the caller in the middle of a turn; the next call goes on.
#[test]
fn turn_goes_on_after_a_panic() {
    support::test(|event_loop| {
        let log = Log::new();
        halfclose::set_immediate(move || {
            log.add("loop", "first");
            halfclose::next_tick(move || log.add("loop", "tick"));
            panic!("{PROVOKED}");
        });
        halfclose::set_immediate(move || log.add("loop", "second"));
        assert!(catch_unwind(AssertUnwindSafe(|| event_loop.turn(None))).is_err());
        while event_loop.turn(None).expect("no error") {}
        assert_eq!(log.texts_of("loop"), ["first", "tick", "second"]);
    });
}
