//! Law 8: a panic in user code leaves the loop usable. The rest of that emission is skipped, listeners stay registered
//! (a one-shot is consumed), the socket is consistent, nothing leaks. And its sibling, an `error` that nobody listens for:
//! `run()` returns it, and the next `run()` goes on with everything that was queued.
//!
//! May touch: the public API. Invariant: the same program runs without and with a panic, and nothing but the panic may
//! differ.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, Server, Socket, SocketEvent};
use halfclose::{EventLoop, next_tick, set_immediate};

use crate::conversation::{PLACES, Place, UNDISTURBED, Visit, begin, experiences};
use crate::support::{Log, RawListener, callback, open_descriptors, port_of};
use crate::{Interruptions, PROVOKED, after_turns, law, law_alone, run_to_the_end};

/// Law 8: in every kind of user code.
#[test]
fn law_8_a_panic_in_any_user_code_changes_nothing_else() {
    law(|event_loop| {
        for place in [Place::Nowhere].into_iter().chain(PLACES) {
            let visit = Visit::new(place, |_, _| panic!("{PROVOKED}"));
            let log = begin(event_loop, &visit);
            let interruptions = run_to_the_end(event_loop);
            let panics = usize::from(place != Place::Nowhere);
            assert_eq!(interruptions, Interruptions { panics, errors: Vec::new() }, "{place:?}\n{}", log.whole());
            assert_eq!(experiences(&log), UNDISTURBED, "{place:?}");
            assert_eq!(visit.count() > 0, place != Place::Nowhere, "{place:?}");
            assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0), "{place:?}: slots");
            assert_eq!(event_loop.timers(), 0, "{place:?}: timers");
        }
    });
}

/// Law 8: no descriptor stays open because of a panic.
#[test]
fn law_8_a_panic_leaks_no_descriptor() {
    law_alone(|| {
        let before = open_descriptors();
        {
            let mut event_loop = EventLoop::new().expect("a loop");
            let of_the_loop = open_descriptors();
            for place in PLACES {
                begin(&mut event_loop, &Visit::new(place, |_, _| panic!("{PROVOKED}")));
                assert_eq!(run_to_the_end(&mut event_loop).panics, 1);
                assert_eq!(open_descriptors(), of_the_loop, "{place:?}");
            }
        }
        assert_eq!(open_descriptors(), before);
    });
}

/// Law 8: listeners that panicked are called by the socket's next connection, too.
#[test]
fn law_8_listeners_survive_their_panics() {
    law(|event_loop| {
        let server = net::create_server(|accepted| {
            accepted.on_data(|accepted, bytes| {
                accepted.write(bytes);
            });
            accepted.on_error(|_, _| ());
        });
        let log = Log::new();
        server.once_listening(move |server| {
            let client = Socket::new().retain();
            client.on_ready(|client| {
                client.write("x");
            });
            client.on_data(|client, _| {
                client.end();
            });
            let mut connections = 0;
            client.on_close(move |client, _| {
                connections += 1;
                if connections == 3 {
                    client.release();
                    server.release();
                } else {
                    client.connect(("127.0.0.1", port_of(server))).expect("connect again");
                }
            });
            let trap = move |name: &'static str| {
                log.add("C", name);
                panic!("{PROVOKED}");
            };
            client.on_connection_attempt(move |_, _| trap("attempt"));
            client.on_connect(move |_| trap("connect"));
            client.on_ready(move |_| trap("ready"));
            client.on_data(move |_, _| trap("data"));
            client.on_end(move |_| trap("end"));
            client.on_finish(move |_| trap("finish"));
            client.on_close(move |_, _| trap("close"));
            client.connect(("127.0.0.1", port_of(server))).expect("connect");
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let interruptions = run_to_the_end(event_loop);
        let life = ["attempt", "connect", "ready", "data", "finish", "end", "close"];
        assert_eq!(log.texts_of("C"), [life, life, life].concat());
        assert_eq!(interruptions.panics, 3 * life.len());
        assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0));
    });
}

/// Law 8: a one-shot listener that panicked is gone, the others of its event are there still; those behind it are skipped
/// this once.
#[test]
fn law_8_a_one_shot_is_consumed_by_its_panic() {
    law(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        // An idle timeout does not keep the loop alive.
        let guard = Rc::new(Cell::new(Some(event_loop.keep_alive())));
        socket.set_timeout(Duration::from_millis(1));
        socket.on_timeout(move |socket| {
            log.add("T", format!("first of {}", socket.listener_count(SocketEvent::Timeout)));
            socket.set_timeout(Duration::from_millis(1));
        });
        socket.once_timeout(move |_| {
            log.add("T", "one-shot");
            panic!("{PROVOKED}");
        });
        socket.on_timeout(move |socket| {
            log.add("T", "behind");
            socket.release();
            drop(guard.take());
        });
        assert_eq!(run_to_the_end(event_loop).panics, 1);
        assert_eq!(log.texts_of("T"), ["first of 3", "one-shot", "first of 2", "behind"]);
        assert_eq!(event_loop.connections(), 0);
    });
}

/// Law 8: what the library itself does at a place among the listeners is no listener, and is not skipped with those behind
/// a panic: writes that waited for the connection, their failure, and `end`, `destroy_soon` and `reset_and_destroy` that
/// wait for an event.
#[test]
fn law_8_a_panic_does_not_skip_what_the_library_does_itself() {
    type Step = fn(Log, Socket);
    let steps: [(&str, Step, &str, usize); 6] = [
        (
            "a write that waits",
            |log, client| {
                client.write_with("bytes", callback(&log, "C", "written"));
                client.on_ready(|client| {
                    client.end();
                });
            },
            "connect, written, ready, finish, end, close(false)",
            3,
        ),
        (
            "two writes and an end that wait",
            |log, client| {
                client.write_with("bytes", callback(&log, "C", "written"));
                client.write_with("more", callback(&log, "C", "written too"));
                client.end_with(callback(&log, "C", "ended"));
            },
            "connect, written, ready, written too, ended, finish, end, close(false)",
            3,
        ),
        (
            "an end that waits",
            |log, client| {
                client.end_with(callback(&log, "C", "ended"));
            },
            "connect, ready, ended, finish, end, close(false)",
            3,
        ),
        (
            "destroy_soon",
            |_, client| {
                client.destroy_soon();
            },
            "connect, ready, finish, close(false)",
            3,
        ),
        (
            "reset_and_destroy",
            |_, client| {
                client.reset_and_destroy().expect("a TCP socket");
            },
            "connect, ready, close(false)",
            2,
        ),
        (
            "a write that fails",
            |log, client| {
                client.write_with("never sent", callback(&log, "C", "written"));
                client.destroy();
            },
            "close(false), written(ERR_SOCKET_CLOSED_BEFORE_CONNECTION)",
            1,
        ),
    ];
    law(|event_loop| {
        for (name, step, expected, panics) in steps {
            let log = Log::new();
            let server = net::create_server(move |accepted| {
                accepted.on_data(|_, _| ());
                accepted.on_error(|_, _| ());
            });
            server.once_listening(move |server| {
                let client = Socket::new();
                // In front of everything that the library adds.
                client.on_connect(move |_| {
                    log.add("C", "connect");
                    panic!("{PROVOKED}");
                });
                client.on_finish(move |_| {
                    log.add("C", "finish");
                    panic!("{PROVOKED}");
                });
                client.on_close(move |_, had_error| {
                    log.add("C", format!("close({had_error})"));
                    server.release();
                    panic!("{PROVOKED}");
                });
                client.on_ready(move |_| log.add("C", "ready"));
                client.on_end(move |_| log.add("C", "end"));
                client.connect(("127.0.0.1", port_of(server))).expect("connect");
                step(log, client);
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
            let interruptions = run_to_the_end(event_loop);
            assert_eq!(log.texts_of("C").join(", "), expected, "{name}");
            assert_eq!(interruptions.panics, panics, "{name}");
            assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0), "{name}: slots");
        }
    });
}

/// Law 8: the same for `unref`, which waits for a connection (rule R5) and would keep the loop alive if it were skipped.
#[test]
fn law_8_a_panic_does_not_skip_an_unref_that_waits() {
    law(|event_loop| {
        let peer = RawListener::bind();
        let client = Socket::new();
        client.on_connect(|_| panic!("{PROVOKED}"));
        client.unref();
        client.connect(peer.address()).expect("connect");
        assert_eq!(run_to_the_end(event_loop).panics, 1);
        client.destroy();
        event_loop.run().expect("no unhandled error");
    });
}

/// Law 8: destructors are user code, too.
#[test]
fn law_8_a_panic_in_a_destructor_leaves_the_rest() {
    struct Panics(Log);
    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.add("D", "dropped");
            if !std::thread::panicking() {
                panic!("{PROVOKED}");
            }
        }
    }
    law(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        for _ in 0..3 {
            let captured = Panics(log);
            socket.on_end(move |_| {
                let _ = &captured;
            });
        }
        socket.on_close(move |_, _| log.add("D", "close"));
        set_immediate(move || {
            log.add("D", "removed");
            socket.remove_all_listeners(Some(SocketEvent::End));
            next_tick(move || {
                log.add("D", "tick");
                socket.destroy();
            });
        });
        // All three are dropped; one panic is one interruption, however many destructors it unwinds through.
        assert_eq!(run_to_the_end(event_loop).panics, 1);
        assert_eq!(log.texts_of("D"), ["removed", "dropped", "dropped", "dropped", "tick", "close"]);
        assert_eq!(event_loop.connections(), 0);
    });
}

/// Law 8: the next `run()` goes on in the phase that was interrupted. What is ready for a poll meanwhile comes after the rest
/// of the turn, not before it.
#[test]
fn law_8_the_turn_goes_on_where_it_was() {
    law(|event_loop| {
        let (log, raw) = (Log::new(), RawListener::bind());
        let client = net::connect(raw.address()).expect("connect");
        let interrupt = move |what: &'static str| {
            log.add("L", what);
            panic!("{PROVOKED}");
        };
        client.on_data(move |client, _| {
            log.add("L", "data");
            client.destroy();
        });
        client.on_ready(move |_| {
            let closing = [Socket::new(), Socket::new()].map(|socket| {
                socket.on_close(move |_, _| interrupt("close"));
                socket.connect(raw.address()).expect("connect")
            });
            let mut peer = raw.accept();
            after_turns(3, move || {
                closing.into_iter().for_each(|socket| _ = socket.destroy());
                peer.write(b"x");
                interrupt("immediate");
            });
            // In the same phase, behind it.
            after_turns(3, move || interrupt("second immediate"));
            after_turns(3, move || interrupt("third immediate"));
        });
        let interruptions = run_to_the_end(event_loop);
        assert_eq!(
            log.texts_of("L"),
            ["immediate", "second immediate", "third immediate", "close", "close", "data"],
            "{}",
            log.whole()
        );
        assert_eq!(interruptions.panics, 5);
    });
}

/// An `error` that nobody listens for is returned by `run()` right after the emission; what was queued comes in the next
/// `run()`, in its order.
#[test]
fn law_8_an_unhandled_error_is_returned_and_nothing_is_lost() {
    law(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        socket.on_close(move |_, had_error| log.add("L", format!("close({had_error})")));
        set_immediate(move || {
            next_tick(move || log.add("L", "tick before"));
            socket.destroy_with("mine");
            next_tick(move || log.add("L", "tick behind"));
        });
        set_immediate(move || log.add("L", "immediate"));
        let error = event_loop.run().expect_err("nobody listens");
        assert_eq!(error.message(), "mine");
        log.assert_of("L", "tick before");
        event_loop.run().expect("no other error");
        // A socket that never had a connection closes in a tick of its own (rule M6), queued by `destroy_with`.
        assert_eq!(log.texts_of("L"), ["tick before", "close(false)", "tick behind", "immediate"]);
        assert_eq!(event_loop.connections(), 0);
    });
}

/// The same for connections that are ready in the same turn, for the peer's reset as the error, and for `turn()`.
#[test]
fn law_8_an_unhandled_reset_is_returned_and_ready_sockets_stay_ready() {
    law(|event_loop| {
        let log = Log::new();
        let peers = Rc::new(RefCell::new(Vec::new()));
        let raw = RawListener::bind();
        let accepted = peers.clone();
        let sockets = ["A", "B", "C"].map(|name| {
            let socket = net::connect(ConnectOptions::from(raw.address())).expect("connect");
            socket.on_data(move |_, bytes| log.add_data_bytes(name, bytes));
            socket.on_close(move |_, had_error| log.add(name, format!("close({had_error})")));
            socket
        });
        let [_, b, _] = sockets;
        let raw = Rc::new(raw);
        after_turns(3, move || {
            accepted.borrow_mut().extend((0..3).map(|_| raw.accept()));
            let mut peers = accepted.borrow_mut();
            let index_of_b = peers.iter().position(|peer| peer.stream().peer_addr().ok() == b.address());
            let reset = peers.remove(index_of_b.expect("it is connected"));
            for peer in peers.iter_mut() {
                peer.write(b"bytes");
            }
            reset.reset();
        });
        let mut errors = Vec::new();
        // Bounded by the deadline of the test.
        while !(log.contains("A", "data(bytes)")
            && log.contains("C", "data(bytes)")
            && log.contains("B", "close(true)"))
        {
            if let Err(error) = event_loop.turn(None) {
                errors.push(error.message().to_owned());
            }
        }
        assert_eq!(errors, ["read ECONNRESET"]);
        drop(peers.take());
        event_loop.run().expect("no other error");
        log.assert_of("A", "data(bytes) |x close(false)");
        assert_eq!(event_loop.connections(), 0);
    });
}

/// A reset that fails emits its error within the call (law 1). When nobody listens, a command cannot return it: `run()`
/// returns it right after the callback that gave the command, and `close` is still owed.
#[test]
fn law_8_an_error_within_a_command_is_returned_by_the_running_loop() {
    law(|event_loop| {
        let log = Log::new();
        let server = connected_pair(log, |client| {
            client.on_ready(|client| {
                client.end();
                client.reset_and_destroy().expect("a TCP socket");
            });
        });
        let error = event_loop.run().expect_err("nobody listens");
        assert_eq!((error.code(), error.syscall()), (Some("EINVAL"), Some("reset")));
        assert_eq!(log.texts_of("C"), ["connect"]);
        event_loop.run().expect("no other error");
        assert_eq!(log.texts_of("C"), ["connect", "close(false)"]);
        server.release();
    });
}

/// The same when the command waited for the connection: the error comes from the middle of the `connect` emission.
#[test]
fn law_8_an_error_of_a_command_that_waited_is_returned_by_the_running_loop() {
    law(|event_loop| {
        let log = Log::new();
        let server = connected_pair(log, |client| {
            client.end();
            client.reset_and_destroy().expect("a TCP socket");
        });
        let error = event_loop.run().expect_err("nobody listens");
        assert_eq!((error.code(), error.syscall()), (Some("EINVAL"), Some("reset")));
        event_loop.run().expect("no other error");
        assert_eq!(log.texts_of("C"), ["connect", "close(false)"]);
        server.release();
    });
}

/// A client without an `error` listener, and a server that ends with it.
fn connected_pair(log: Log, prepare: fn(Socket)) -> Server {
    let server = net::create_server(|accepted| {
        accepted.on_data(|_, _| ());
        accepted.on_error(|_, _| ());
    });
    server.once_listening(move |server| {
        let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
        client.on_connect(move |_| log.add("C", "connect"));
        client.on_close(move |_, had_error| {
            log.add("C", format!("close({had_error})"));
            server.close();
        });
        prepare(client);
    });
    server.listen(("127.0.0.1", 0)).expect("listen")
}
