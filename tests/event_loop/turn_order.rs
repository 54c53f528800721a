//! Rules M1 to M3 and M5 to M10: what runs after what within a turn.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, Server, ServerEvent, Socket};
use halfclose::{next_tick, set_immediate, set_timeout};

use crate::support::{self, Log, RawListener};
use crate::{MILLISECOND, SharedPeer, busy, client_of_peer, clients, here};

/// M1: registration order, a snapshot per emission, and a one-shot listener that is gone before it runs. L74 makes two
/// emissions of it without a network.
#[test]
fn m1_listeners_run_in_registration_order_from_a_snapshot() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        let second = Rc::new(Cell::new(None));
        let removed = second.clone();
        server.on_close(move |server| {
            log.add("srv", "one");
            server.on_close(move |_| log.add("srv", "added"));
            if let Some(id) = removed.take() {
                log.add("srv", format!("off {} {}", server.off(id), server.off(id)));
            }
        });
        second.set(Some(server.on_close(move |_| log.add("srv", "two"))));
        server.once_close(move |server| {
            log.add("srv", format!("once({})", server.listener_count(ServerEvent::Close)));
        });
        server.close();
        server.close();
        event_loop.run().expect("run");
        log.assert_of("srv", "one, off true false, two, once(2) ~ one, added");
    });
}

/// M1: a listener that removes all others does not take them out of the running emission.
#[test]
fn m1_removing_all_listeners_spares_the_running_emission() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        server.on_close(move |server| {
            log.add("srv", "one");
            server.remove_all_listeners(Some(ServerEvent::Close));
            log.add("srv", server.listener_count(ServerEvent::Close));
        });
        server.on_close(move |_| log.add("srv", "two"));
        server.close();
        server.close();
        event_loop.run().expect("run");
        log.assert_of("srv", "one, 0, two");
    });
}

/// M2: the deferred queue is served in order, with what is queued meanwhile, before anything else.
#[test]
fn m2_ticks_of_ticks_precede_the_next_callback() {
    support::test(|event_loop| {
        let log = Log::new();
        set_timeout(MILLISECOND, move || {
            log.add("L", "timer");
            next_tick(move || {
                log.add("L", "a");
                next_tick(move || {
                    log.add("L", "c");
                    next_tick(move || log.add("L", "d"));
                });
            });
            next_tick(move || log.add("L", "b"));
            set_immediate(move || log.add("L", "immediate"));
        });
        set_timeout(MILLISECOND, move || log.add("L", "second timer"));
        busy(5 * MILLISECOND);
        event_loop.run().expect("run");
        log.assert_of("L", "timer ~ a ~ b ~ c ~ d | second timer | immediate");
    });
}

/// M2: the queue has no bound; a thousand generations of ticks still come first.
#[test]
fn m2_a_long_chain_of_ticks_precedes_the_next_callback() {
    fn chain(log: Log, left: u32) {
        match left {
            0 => log.add("L", "last tick"),
            _ => next_tick(move || chain(log, left - 1)),
        };
    }
    support::test(|event_loop| {
        let log = Log::new();
        set_immediate(move || {
            log.add("L", "first");
            chain(log, 1000);
        });
        set_immediate(move || log.add("L", "second"));
        event_loop.run().expect("run");
        log.assert_of("L", "first ~ last tick | second");
    });
}

/// M2, M3: what a `data` callback queues runs as ticks, immediates, closing, timers.
#[test]
fn m3_after_poll_come_immediates_then_closing_then_timers() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |_, peer| peer.borrow_mut().write(b"x"));
        client.on_data(move |client, _| {
            log.add("C", "data");
            set_timeout(Duration::ZERO, move || log.add("C", "timer"));
            set_immediate(move || log.add("C", "immediate"));
            next_tick(move || log.add("C", "tick"));
            client.destroy();
            busy(5 * MILLISECOND);
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| data ~ tick | immediate |x close(false) | timer");
    });
}

/// Calls `end()` wherever `schedule` has it called, with an immediate queued just before, and expects the completion of
/// the shutdown among the pending results: before that immediate, whatever the phase it was called in.
fn expect_finish_from_pending(
    expected: &'static str,
    schedule: impl FnOnce(Socket, SharedPeer, Box<dyn FnMut()>) + 'static,
) {
    support::test(move |event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, peer| {
            let end = move || {
                log.add("C", "end()");
                set_immediate(move || log.add("C", "immediate"));
                client.once_finish(move |client| {
                    log.add("C", format!("{:?}", here().phase));
                    next_tick(move || log.add("C", "tick"));
                    set_immediate(move || {
                        client.destroy();
                    });
                });
                client.end();
            };
            schedule(client, peer, Box::new(end));
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", expected);
    });
}

/// M3: a shutdown begun by a timer completes in the next turn's pending phase, before the timer's immediate.
#[test]
fn m3_shutdown_begun_in_a_timer_completes_before_immediates() {
    expect_finish_from_pending("| end() | ~ finish, Pending ~ tick | immediate |x close(false)", |_, _, end| {
        set_timeout(MILLISECOND, end);
    });
}

/// M3: the pending results are looked at again after poll, so that a shutdown begun there completes in the same turn.
#[test]
fn m3_shutdown_begun_in_poll_completes_before_immediates() {
    expect_finish_from_pending(
        "| end() | ~ finish, Pending ~ tick | immediate |x close(false)",
        |client, peer, mut end| {
            client.on_data(move |_, _| end());
            peer.borrow_mut().write(b"x");
        },
    );
}

/// M3: a shutdown begun by an immediate completes before the immediate that it queued.
#[test]
fn m3_shutdown_begun_in_an_immediate_completes_before_the_next_immediate() {
    expect_finish_from_pending("| end() | ~ finish, Pending ~ tick | immediate |x close(false)", |_, _, end| {
        set_immediate(end);
    });
}

/// M3: a shutdown begun in the closing phase completes in the next turn's pending phase.
#[test]
fn m3_shutdown_begun_while_closing_completes_before_immediates() {
    expect_finish_from_pending("|x end() | ~ finish, Pending ~ tick | immediate |x close(false)", |_, _, mut end| {
        let raw = RawListener::bind();
        let other = net::connect(raw.address()).expect("connect");
        other.on_connect(|other| {
            other.destroy();
        });
        other.once_close(move |_, _| {
            drop(raw);
            end();
        });
    });
}

/// M3, L7: a refused connection is reported before the immediates queued beside `connect()`, its `close` after them.
#[test]
fn m3_a_refusal_precedes_immediates() {
    support::test(|event_loop| {
        let log = Log::new();
        let address = RawListener::bind().address();
        set_timeout(MILLISECOND, move || {
            let client = net::connect(address).expect("connect");
            support::watch_socket(&log, "C", client);
            log.add("C", "connect()");
            set_immediate(move || log.add("C", "immediate"));
        });
        event_loop.run().expect("run");
        log.assert_of(
            "C",
            "connect() ~ connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) \
             | immediate |x close(true)",
        );
    });
}

/// M5: sockets destroyed in one turn close after its immediates, the last destroyed first.
#[test]
fn m5_closes_are_delivered_in_reverse_order_after_immediates() {
    support::test(|event_loop| {
        let log = Log::new();
        clients(&log, &["A", "B", "D", "E"], move |sockets| {
            set_timeout(MILLISECOND, move || {
                log.add("L", "destroy");
                for socket in &sockets {
                    socket.destroy();
                }
                set_immediate(move || log.add("L", "immediate"));
                next_tick(move || log.add("L", "tick"));
                set_timeout(Duration::ZERO, move || log.add("L", "timer"));
                busy(5 * MILLISECOND);
            });
        });
        event_loop.run().expect("run");
        log.assert_of("L", "destroy ~ tick | immediate |x close E |x close D |x close B |x close A | timer");
    });
}

/// M6: a socket that never had a handle closes from the deferred queue; `false` stands for Node's missing argument.
#[test]
fn m6_sockets_without_a_handle_close_in_a_tick() {
    support::test(|event_loop| {
        let log = Log::new();
        set_immediate(move || {
            let socket = Socket::new();
            support::watch_socket(&log, "plain", socket);
            log.add("plain", "destroy()");
            socket.destroy();
        });
        set_immediate(move || {
            let socket = Socket::new();
            support::watch_socket(&log, "error", socket);
            log.add("error", "destroy()");
            socket.destroy_with("why");
        });
        event_loop.run().expect("run");
        log.assert_of("plain", "destroy() ~ close(false)");
        log.assert_of("error", "destroy() ~ error(why) ~ close(false)");
    });
}

/// M7: data and EOF that arrive together are seen in different callbacks.
#[test]
fn m7_data_and_end_come_in_different_callbacks() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |_, peer| {
            peer.borrow_mut().write(b"x");
            peer.borrow_mut().half_close();
        });
        client.on_data(move |_, bytes| {
            log.add_data_bytes("C", bytes);
            next_tick(move || log.add("C", "tick"));
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| data(x) ~ tick | ~ end | ~ finish |x close(false)");
    });
}

/// M8: when a wake-up makes a socket readable and writable, input comes first, and the deferred queue is served between
/// the two.
#[test]
fn m8_input_precedes_output() {
    support::test(|event_loop| {
        let log = Log::new();
        let raw = RawListener::bind();
        let client = net::connect(raw.address()).expect("connect");
        support::watch_socket(&log, "C", client);
        let turn_of_data = Rc::new(Cell::new(0));
        let expected_turn = turn_of_data.clone();
        client.on_data(move |_, _| {
            log.add("C", "data");
            turn_of_data.set(here().turn);
            next_tick(move || log.add("C", "tick"));
        });
        client.on_drain(move |client| {
            assert_eq!(here().turn, expected_turn.get(), "data and drain were to come from one wake-up");
            client.end();
        });
        client.once_ready(move |client| {
            // Small chunks, so that what waits at last fits into the kernel in one go.
            let chunk = [0; 65_536];
            while client.writable_length() == 0 {
                client.write(&chunk);
            }
            let accepted = client.bytes_written() - chunk.len() as u64;
            let mut peer = raw.accept();
            let (done, both_ready) = mpsc::channel();
            support::in_thread(move || {
                peer.read_exact(usize::try_from(accepted).expect("a length"));
                peer.write(b"x");
                done.send(()).expect("a test that waits");
                peer.drain();
            });
            both_ready.recv_timeout(support::PEER_DEADLINE).expect("the peer's answer");
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| data ~ tick | drain | ~ finish | ~ end |x close(false)");
    });
}

/// M9: the deferred queue is served between two callbacks of the closing phase, and what is destroyed there closes in
/// the next turn, after its immediates.
#[test]
fn m9_ticks_between_closes_and_a_close_begun_there() {
    support::test(|event_loop| {
        let log = Log::new();
        clients(&log, &["A", "B", "C", "D"], move |sockets| {
            let [a, b, c, d] = sockets[..] else { panic!("four sockets") };
            for (name, socket) in [("A", a), ("B", b), ("C", c), ("D", d)] {
                socket.on_close(move |_, _| next_tick(move || log.add("L", format!("tick {name}"))));
            }
            b.on_close(move |_, _| {
                log.add("L", "destroy D");
                d.destroy();
                set_immediate(move || log.add("L", "immediate"));
            });
            set_timeout(MILLISECOND, move || {
                for socket in [a, b, c] {
                    socket.destroy();
                }
            });
        });
        event_loop.run().expect("run");
        log.assert_of(
            "L",
            "close C ~ tick C |x close B, destroy D ~ tick B |x close A ~ tick A | immediate |x close D ~ tick D",
        );
    });
}

/// M9: the deferred queue is served between two pending results.
#[test]
fn m9_ticks_between_pending_results() {
    support::test(|event_loop| {
        let log = Log::new();
        clients(&log, &["A", "B"], move |sockets| {
            set_timeout(MILLISECOND, move || {
                for (name, socket) in ["A", "B"].into_iter().zip(&sockets) {
                    socket.end();
                    socket.on_finish(move |socket| {
                        log.add("L", format!("finish {name}"));
                        next_tick(move || log.add("L", format!("tick {name}")));
                        socket.destroy();
                    });
                }
            });
        });
        event_loop.run().expect("run");
        log.assert_of("L", "finish A ~ tick A | ~ finish B ~ tick B |x close B |x close A");
    });
}

/// M9, M10: before the first phase of a fresh loop come the deferred queue and the timers that are due.
#[test]
fn m10_a_fresh_loop_begins_with_ticks_and_due_timers() {
    support::test(|event_loop| {
        let log = Log::new();
        set_immediate(move || log.add("L", "immediate"));
        set_timeout(MILLISECOND, move || log.add("L", "timer"));
        busy(5 * MILLISECOND);
        next_tick(move || log.add("L", "tick"));
        event_loop.run().expect("run");
        log.assert_of("L", "tick | timer | immediate");
    });
}
