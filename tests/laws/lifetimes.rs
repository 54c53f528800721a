//! Law 3 and the table of lifetimes: slots live as the table says, descriptors are closed at Node's moment, and a handle
//! that outlived what it named never reaches a newcomer in the same slot, nor one of the thread's next loop.
//!
//! May touch: the public API, and `/proc/self/fd` on Linux. Invariant: where a test says that a slot was taken again, it
//! asserts so: a handle shows its slot when it is printed.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, Server, ServerOptions, Socket, SocketEvent, SocketId};
use halfclose::{EventLoop, Immediate, Timer, next_tick, set_immediate, set_interval, set_timeout};

use crate::conversation::Subject;
use crate::meddling::use_up;
use crate::support::{Log, RawListener, callback, port_of, server_callback};
use crate::{after_turns, law, law_without_loop, run_to_the_end};
#[cfg(target_os = "linux")]
use crate::{law_alone, support::open_descriptors};

const HOUR: Duration = Duration::from_secs(3600);

/// The slot in `Socket(3.17)`: everything before the generation.
fn slot(handle: impl Debug) -> String {
    let text = format!("{handle:?}");
    text.rsplit_once('.').unwrap_or_else(|| panic!("{text} shows no slot")).0.to_owned()
}

/// A server and a client that ends at once; `watch` is given the client.
fn short_connection(watch: impl FnOnce(Socket) + 'static) -> Server {
    let server = net::create_server(|accepted| {
        accepted.on_data(|_, _| ());
    });
    server.once_listening(move |server| {
        let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
        client.once_ready(|client| {
            client.end();
        });
        watch(client);
    });
    server.listen(("127.0.0.1", 0)).expect("listen")
}

/// Row "accepted or connected": until `close` was delivered.
#[test]
fn law_3_a_connection_lives_until_its_close_was_delivered() {
    law(|event_loop| {
        let log = Log::new();
        let server = short_connection(move |client| {
            client.on_close(move |client, _| {
                let id: SocketId = client.id();
                log.add("C", format!("close: {:?}, {} written", id.get() == Some(client), client.bytes_written()));
                next_tick(move || log.add("C", format!("tick: {:?}", id.get())));
                client.server();
            });
            client.write("12345");
        });
        server.on_connection(move |server, accepted| {
            accepted.on_close(move |accepted, _| {
                log.add("S", format!("close: {} read", accepted.bytes_read()));
                next_tick(move || log.add("S", format!("tick: {} read", accepted.bytes_read())));
                server.close();
            });
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "close: true, 5 written ~ tick: None");
        log.assert_of("S", "close: 5 read ~ tick: 0 read");
        assert_eq!((event_loop.connections(), event_loop.servers()), (0, 1));
        server.release();
        assert_eq!(event_loop.servers(), 0);
    });
}

/// The same row: a `close` listener that connects again keeps the slot, with its listeners.
#[test]
fn law_3_a_close_listener_may_connect_again() {
    law(|event_loop| {
        let log = Log::new();
        let server = short_connection(move |client| {
            client.on_ready(move |client| {
                log.add("C", "ready");
                client.end();
            });
            let mut closes = 0;
            client.on_close(move |client, _| {
                closes += 1;
                log.add("C", "close");
                let server = client.server();
                assert_eq!(server, None);
                if closes < 3 {
                    let again = client.connect(("127.0.0.1", PORT.get())).expect("connect again");
                    assert_eq!(again, client);
                    assert!(!client.destroyed() && client.connecting());
                } else {
                    // The last connection's slot is freed after this listener.
                    next_tick(move || log.add("C", format!("connected again: {:?}", client.connect(1).is_ok())));
                }
            });
        });
        thread_local! {
            static PORT: Cell<u16> = const { Cell::new(0) };
        }
        server.on_listening(|server| PORT.set(port_of(server)));
        let mut accepted = 0;
        server.on_connection(move |server, _| {
            accepted += 1;
            if accepted == 3 {
                server.close();
            }
        });
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("C"), ["ready", "close", "ready", "close", "ready", "close", "connected again: false"]);
        assert_eq!(event_loop.connections(), 0);
        server.release();
    });
}

/// The same row: `retain` keeps the slot after `close`, for a timer that connects again; `release` gives it up.
#[test]
fn law_3_a_retained_socket_may_connect_again_later() {
    law(|event_loop| {
        let log = Log::new();
        let server = short_connection(move |client| {
            client.retain();
            client.on_ready(move |_| log.add("C", "ready"));
            client.once_close(move |client, _| {
                set_timeout(Duration::from_millis(1), move || {
                    assert!(client.id().get().is_some() && client.destroyed());
                    let port = client.peer_addr().expect("it was connected").port();
                    client.once_ready(|client| {
                        client.end();
                    });
                    client.connect(("127.0.0.1", port)).expect("connect again");
                    client.once_close(move |client, _| {
                        set_immediate(move || {
                            log.add("C", format!("{} written", client.bytes_written()));
                            client.release();
                            log.add("C", format!("{:?}", client.id().get()));
                        });
                    });
                    client.write("123");
                });
            });
        });
        let mut accepted = 0;
        server.on_connection(move |server, _| {
            accepted += 1;
            if accepted == 2 {
                server.close();
            }
        });
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("C"), ["ready", "ready", "3 written", "None"]);
        assert_eq!(event_loop.connections(), 0);
        server.release();
    });
}

/// The same row: `retain` is no counter, and a `release` before `close` leaves the connection and its `close` alone.
#[test]
fn law_3_release_before_close_lets_the_connection_go_on() {
    law(|event_loop| {
        let log = Log::new();
        let server = short_connection(move |client| {
            client.retain().retain().release();
            client.on_ready(move |client| {
                client.release();
                log.add("C", format!("released: {}", client.id().get() == Some(client)));
            });
            client.on_end(move |_| log.add("C", "end"));
            client.on_close(move |_, had_error| log.add("C", format!("close({had_error})")));
        });
        server.on_connection(|server, _| {
            server.close();
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "released: true | ~ end |x close(false)");
        assert_eq!(event_loop.connections(), 0);
        server.release();
    });
}

/// Row "never connected": `destroy` emits `close` and frees, `release` frees silently, and both at any time.
#[test]
fn law_3_a_bare_socket_lives_until_it_is_destroyed_or_released() {
    law(|event_loop| {
        let log = Log::new();
        let bare = |name: &'static str| {
            let socket = Socket::new();
            socket.on_close(move |socket, _| log.add(name, format!("close, known: {}", socket.id().get().is_some())));
            socket.on_error(move |_, error| log.add(name, error));
            socket
        };
        let (destroyed, released, kept) = (bare("destroyed"), bare("released"), bare("kept"));
        let retained = bare("retained").retain();
        event_loop.run().expect("they keep nothing alive");
        assert_eq!(event_loop.connections(), 4);
        destroyed.destroy();
        assert_eq!(event_loop.connections(), 4);
        released.release();
        assert_eq!(event_loop.connections(), 3);
        retained.destroy();
        event_loop.run().expect("no unhandled error");
        log.assert_whole("destroyed close, known: true ~ retained close, known: true");
        assert_eq!(event_loop.connections(), 2);
        retained.release();
        assert_eq!(event_loop.connections(), 1);
        assert_eq!((destroyed.id().get(), released.id().get(), retained.id().get()), (None, None, None));
        assert!(kept.id().get().is_some());
    });
}

/// Row "server": it closes, listens and closes again, until it is released.
#[test]
fn law_3_a_server_lives_until_it_is_released() {
    law(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        server.on_listening(move |server| {
            log.add("srv", "listening");
            server.close();
        });
        let mut closes = 0;
        server.on_close(move |server| {
            log.add("srv", "close");
            closes += 1;
            match closes {
                1 => _ = server.listen(0).expect("listen again"),
                2 => _ = server.listen(("127.0.0.1", 0)).expect("listen again"),
                _ => {}
            }
        });
        server.listen(0).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("srv"), ["listening", "close", "listening", "close", "listening", "close"]);
        assert_eq!(event_loop.servers(), 1);
        server.listen(0).expect("listen once more");
        server.release();
        assert_eq!(event_loop.servers(), 0);
        assert!(server.listen(0).is_err() && !server.listening() && server.address().is_none());
        event_loop.run().expect("nothing keeps it alive");
        assert_eq!(log.len(), 6);
    });
}

/// Row "one-shot timer": until its callback returned without `refresh`; an interval until it is cleared.
#[test]
fn law_3_a_timer_lives_until_it_ran() {
    law(|event_loop| {
        let log = Log::new();
        let (own, mut runs) = (Rc::new(Cell::new(None::<Timer>)), 0);
        let timer = own.clone();
        own.set(Some(set_timeout(Duration::from_millis(1), move || {
            runs += 1;
            let timer = timer.get().expect("its own timer");
            if runs < 3 {
                timer.refresh();
            }
            log.add("T", format!("run {runs}, referenced: {}", timer.has_ref()));
            next_tick(move || log.add("T", format!("tick, referenced: {}", timer.has_ref())));
        })));
        event_loop.run().expect("no unhandled error");
        assert_eq!(
            log.texts_of("T"),
            [
                "run 1, referenced: true",
                "tick, referenced: true",
                "run 2, referenced: true",
                "tick, referenced: true",
                "run 3, referenced: true",
                "tick, referenced: false",
            ]
        );
        let over = own.get().expect("the timer");
        over.refresh().ref_();
        event_loop.run().expect("a timer that is over does not come back");
        assert_eq!(log.len(), 6);
        let interval = set_interval(HOUR, || ());
        assert_eq!(event_loop.timers(), 1);
        interval.clear();
        assert_eq!(event_loop.timers(), 0);
        let cleared = set_timeout(HOUR, || unreachable!("cleared"));
        cleared.clear();
        cleared.refresh().ref_();
        assert!(!cleared.has_ref());
        assert_eq!(event_loop.timers(), 0);
    });
}

/// Row "a freed handle": inert, but callbacks are called, in a tick, with Node's error.
#[test]
fn law_3_callbacks_of_freed_handles_are_called() {
    law(|event_loop| {
        let log = Log::new();
        let (socket, server) = (Socket::new(), Server::new());
        socket.release();
        server.release();
        set_immediate(move || {
            socket.write_with("bytes", callback(&log, "C", "write"));
            socket.end_with(callback(&log, "C", "end"));
            server.close_with(server_callback(&log, "C", "close"));
            log.add("C", "given");
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "given ~ write(ERR_STREAM_DESTROYED) ~ end(ERR_STREAM_DESTROYED) ~ close(ERR_SERVER_NOT_RUNNING)",
        );
    });
}

/// Law 8, FM06-FM08: what is said to a stale socket never reaches the newcomer in its slot, in any state of the newcomer.
#[test]
fn law_3_a_stale_socket_never_reaches_the_newcomer_in_its_slot() {
    law(|event_loop| {
        let stale = Socket::new();
        let stale_listener = stale.on_end(|_| unreachable!("stale"));
        stale.release();
        event_loop.run().expect("no unhandled error");
        let log = Log::new();
        let server = net::create_server(|accepted| {
            accepted.on_data(|accepted, bytes| {
                accepted.write(bytes);
            });
        });
        server.once_listening(move |server| {
            let newcomer = Socket::new();
            assert_eq!(slot(newcomer), slot(stale));
            assert_ne!(newcomer, stale);
            let attack = move || {
                use_up(Subject::Socket(stale));
                stale.release();
                stale.remove_all_listeners(None);
                assert!(!stale.off(stale_listener) && !newcomer.off(stale_listener));
                assert_eq!(stale.id().get(), None);
                assert_eq!(newcomer.id().get(), Some(newcomer));
            };
            newcomer.set_data("the newcomer's");
            attack();
            newcomer.on_data(move |newcomer, bytes| {
                attack();
                log.add_data_bytes("C", bytes);
                newcomer.end();
                attack();
            });
            newcomer.on_ready(move |_| attack());
            newcomer.on_end(move |_| log.add("C", "end"));
            newcomer.on_finish(move |_| {
                attack();
                log.add("C", "finish");
            });
            newcomer.on_close(move |newcomer, had_error| {
                attack();
                let data = newcomer.with_data(|data: &mut &str| *data).expect("its own data");
                log.add("C", format!("close({had_error}), data: {data}, timeout: {:?}", newcomer.timeout()));
                server.release();
            });
            newcomer.connect(("127.0.0.1", port_of(server))).expect("connect");
            attack();
            newcomer.write("mine");
            attack();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.on_unhandled_error(|source, error| unreachable!("{source:?}: {error}"));
        event_loop.run().expect("no unhandled error");
        assert_eq!(
            log.texts_of("C"),
            ["data(mine)", "finish", "end", "close(false), data: the newcomer's, timeout: None"]
        );
        assert_eq!(event_loop.connections(), 0);
    });
}

/// Law 8: the same for servers, timers and immediates.
#[test]
fn law_3_other_stale_handles_never_reach_newcomers() {
    law(|event_loop| {
        let log = Log::new();
        let stale_server = Server::new();
        stale_server.release();
        let stale_timer = set_timeout(HOUR, || unreachable!("cleared"));
        stale_timer.clear();
        let stale_immediate: Immediate = set_immediate(|| unreachable!("cleared"));
        stale_immediate.clear();
        event_loop.run().expect("no unhandled error");

        let server = Server::new();
        assert_eq!(slot(server), slot(stale_server));
        server.on_listening(move |server| {
            use_up(Subject::Server(stale_server));
            stale_server.release();
            log.add("srv", format!("listening: {}", server.listening()));
            assert_eq!(server.listener_count(halfclose::net::ServerEvent::Listening), 1);
            set_immediate(move || server.release());
        });
        server.listen(0).expect("listen");
        use_up(Subject::Server(stale_server));

        let timer = set_timeout(Duration::from_millis(1), move || log.add("timer", "ran"));
        let immediate = set_immediate(move || log.add("immediate", "ran"));
        assert_eq!(slot(immediate), slot(stale_immediate));
        assert_ne!(timer, stale_timer);
        stale_timer.clear();
        stale_timer.refresh().unref();
        stale_immediate.clear();
        stale_immediate.unref();
        assert!(timer.has_ref() && immediate.has_ref());
        assert!(!stale_timer.has_ref() && !stale_immediate.has_ref());
        event_loop.run().expect("no unhandled error");
        assert_eq!(
            (log.of("srv"), log.of("timer"), log.of("immediate")),
            ("listening: true".into(), "ran".into(), "ran".into())
        );
        assert_eq!((event_loop.servers(), event_loop.timers()), (0, 0));
    });
}

/// Generations go on where the thread's previous loop stopped: its handles reach nobody in the next one, in no slot.
#[test]
fn law_3_handles_of_the_previous_loop_reach_nobody_in_the_next() {
    law_without_loop(|| {
        const MANY: usize = 50;
        let (sockets, servers, timers, immediates, ids) = {
            let _event_loop = EventLoop::new().expect("a loop");
            let sockets: Vec<Socket> = (0..MANY).map(|_| Socket::new()).collect();
            let servers: Vec<Server> = (0..MANY).map(|_| Server::new()).collect();
            let timers: Vec<Timer> =
                (0..MANY).map(|_| set_timeout(HOUR, || unreachable!("the first loop's"))).collect();
            let immediates: Vec<Immediate> =
                (0..MANY).map(|_| set_immediate(|| unreachable!("the first loop's"))).collect();
            let ids: Vec<SocketId> = sockets.iter().map(|socket| socket.id()).collect();
            (sockets, servers, timers, immediates, ids)
        };
        let mut event_loop = EventLoop::new().expect("the thread's next loop");
        let new_sockets: Vec<Socket> = (0..MANY).map(|_| Socket::new()).collect();
        let new_servers: Vec<Server> = (0..MANY).map(|_| Server::new()).collect();
        let ran = Rc::new(Cell::new(0));
        for _ in 0..MANY {
            let count = ran.clone();
            set_timeout(Duration::from_millis(1), move || count.set(count.get() + 1));
            let count = ran.clone();
            set_immediate(move || count.set(count.get() + 1));
        }
        for (old, new) in sockets.iter().zip(&new_sockets) {
            assert_eq!(slot(old), slot(new));
            assert!(!new_sockets.contains(old));
            use_up(Subject::Socket(*old));
            old.release();
        }
        for old in &servers {
            assert!(!new_servers.contains(old));
            use_up(Subject::Server(*old));
            old.release();
        }
        timers.iter().for_each(|timer| timer.clear());
        immediates.iter().for_each(|immediate| immediate.clear());
        assert!(ids.iter().all(|id| id.get().is_none()));
        assert!(new_sockets.iter().all(|socket| !socket.destroyed()));
        assert_eq!((event_loop.connections(), event_loop.servers(), event_loop.timers()), (MANY, MANY, MANY));
        assert_eq!(run_to_the_end(&mut event_loop).errors, [""; 0]);
        assert_eq!(ran.get(), 2 * MANY);
    });
}

/// Law 3: a descriptor is closed within the call that ends it, not with the event that tells so.
#[cfg(target_os = "linux")]
#[test]
fn law_3_descriptors_are_closed_within_the_call() {
    type Way = (&'static str, fn(Socket));
    let ways: [Way; 5] = [
        ("destroy", |socket| {
            socket.destroy();
        }),
        ("destroy_with", |socket| {
            socket.destroy_with("an error");
        }),
        ("reset_and_destroy", |socket| {
            socket.reset_and_destroy().expect("a TCP socket");
        }),
        ("write after end", |socket| {
            socket.end().write("too late");
        }),
        ("reset while shutting down", |socket| {
            socket.end().reset_and_destroy().expect("a TCP socket");
        }),
    ];
    law_alone(|| {
        let mut event_loop = EventLoop::new().expect("a loop");
        for (name, end) in ways {
            let peer = RawListener::bind();
            let client = net::connect(peer.address()).expect("connect");
            client.on_error(|_, _| ());
            let seen = Rc::new(Cell::new(None));
            let difference = seen.clone();
            client.on_ready(move |client| {
                let before = open_descriptors();
                end(client);
                difference.set(Some(before - open_descriptors()));
            });
            event_loop.run().expect("no unhandled error");
            assert_eq!(seen.get(), Some(1), "{name}");
        }
    });
}

/// Law 3: the same while connecting, for servers, and for the end of both sides and of the loop.
#[cfg(target_os = "linux")]
#[test]
fn law_3_every_descriptor_has_its_moment() {
    law_alone(|| {
        let without_loop = open_descriptors();
        {
            let mut event_loop = EventLoop::new().expect("a loop");
            let with_loop = open_descriptors();
            let connecting = net::connect(RawListener::bind().address()).expect("connect");
            assert_eq!(open_descriptors(), with_loop, "no descriptor before the attempt");
            connecting.on_connection_attempt(move |connecting, _| {
                next_tick(move || {
                    let before = open_descriptors();
                    connecting.destroy();
                    assert_eq!(before - open_descriptors(), 1, "destroyed while connecting");
                });
            });
            connecting.on_error(|_, _| ());
            event_loop.run().expect("no unhandled error");
            assert_eq!(open_descriptors(), with_loop);

            let server = Server::new();
            server.listen(0).expect("listen");
            assert_eq!(open_descriptors(), with_loop + 1, "bound within the call");
            server.close();
            assert_eq!(open_descriptors(), with_loop, "closed within the call");
            server.listen(0).expect("listen again");
            server.release();
            assert_eq!(open_descriptors(), with_loop, "released");

            let log = Log::new();
            let server = short_connection(move |client| {
                client.on_end(move |client| {
                    let before = open_descriptors();
                    next_tick(move || log.add("C", format!("{} closed", before - open_descriptors())));
                    client.on_close(move |_, _| log.add("C", "close"));
                });
            });
            server.on_connection(|server, _| {
                server.close();
            });
            event_loop.run().expect("no unhandled error");
            // The automatic destroy comes right after the listeners of `end`, before their ticks (rule L15).
            assert_eq!(log.texts_of("C"), ["1 closed", "close"]);
            assert_eq!(open_descriptors(), with_loop);

            // Left open for the loop's end.
            let server = Server::with_options(ServerOptions::new());
            server.listen(("127.0.0.1", 0)).expect("listen");
            server.on_connection(|_, accepted| {
                accepted.on_error(|_, _| ());
                after_turns(1, halfclose::stop);
            });
            server.once_listening(|server| {
                let to = ConnectOptions::new().host("127.0.0.1").port(port_of(server));
                net::connect(to).expect("connect").on_error(|_, _| ());
            });
            event_loop.run().expect("stopped");
            assert_eq!(open_descriptors(), with_loop + 3, "a server, a client, an accepted socket");
        }
        assert_eq!(open_descriptors(), without_loop, "after the loop's end");
    });
}

/// Law 3: many connections one after the other take the same few slots, and leave none behind.
#[test]
fn law_3_slots_are_taken_again() {
    const CONNECTIONS: usize = 200;
    law(|event_loop| {
        let slots = Rc::new(RefCell::new(Vec::new()));
        let (seen, left) = (slots.clone(), Rc::new(Cell::new(CONNECTIONS)));
        let server = net::create_server(|accepted| {
            accepted.on_data(|_, _| ());
        });
        fn next(server: Server, seen: Rc<RefCell<Vec<String>>>, left: Rc<Cell<usize>>) {
            if left.get() == 0 {
                return server.release();
            }
            left.set(left.get() - 1);
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            seen.borrow_mut().push(slot(client));
            client.once_ready(|client| {
                client.end();
            });
            client.on_end(move |_| ());
            assert_eq!(client.listener_count(SocketEvent::End), 1, "no listener of the slot's previous owner");
            client.once_close(move |_, _| after_turns(3, move || next(server, seen, left)));
        }
        server.once_listening(move |server| next(server, seen, left));
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        let mut slots = slots.take();
        assert_eq!(slots.len(), CONNECTIONS);
        slots.sort();
        slots.dedup();
        assert!(slots.len() <= 3, "{slots:?}");
        assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0));
    });
}
