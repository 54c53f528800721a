//! Rules F1 to F14: what `write` answers, `drain`, callbacks and counters.

use std::sync::mpsc;

use halfclose::net::{self, ConnectOptions, ServerOptions, Socket, SocketOptions};
use halfclose::{next_tick, set_immediate};

use crate::support::{self, Log, RawListener};
use crate::{
    HIGH_WATER_MARK, MORE_THAN_THE_KERNEL_TAKES, add_answer, client_of_peer, every_millisecond, large, read_to_the_end,
};

/// F1: 65536 in both directions, also for accepted sockets.
#[test]
fn f1_the_default_high_water_mark() {
    support::test(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        assert_eq!(socket.readable_high_water_mark(), HIGH_WATER_MARK);
        assert_eq!(socket.writable_high_water_mark(), HIGH_WATER_MARK);
        support::pair(
            event_loop,
            &log,
            ServerOptions::new(),
            ConnectOptions::new(),
            move |accepted| {
                log.add("S", accepted.readable_high_water_mark());
                log.add("S", accepted.writable_high_water_mark());
                accepted.end();
            },
            |_| {},
        );
        log.assert_of("S", "connection, 65536, 65536 | ~ finish | ~ end |x close(false)");
    });
}

/// F2: the common option wins over the two others; zero is legal; a server's holds for both directions.
#[test]
fn f2_high_water_mark_options() {
    support::test(|event_loop| {
        let marks = |options| {
            let socket = Socket::with_options(options);
            (socket.readable_high_water_mark(), socket.writable_high_water_mark())
        };
        let options = SocketOptions::new;
        assert_eq!(marks(options().high_water_mark(10)), (10, 10));
        assert_eq!(marks(options().readable_high_water_mark(1)), (1, HIGH_WATER_MARK));
        assert_eq!(marks(options().writable_high_water_mark(2)), (HIGH_WATER_MARK, 2));
        assert_eq!(marks(options().readable_high_water_mark(1).writable_high_water_mark(2)), (1, 2));
        assert_eq!(
            marks(options().readable_high_water_mark(1).writable_high_water_mark(2).high_water_mark(10)),
            (10, 10)
        );
        assert_eq!(
            marks(options().high_water_mark(10).readable_high_water_mark(1).writable_high_water_mark(2)),
            (10, 10)
        );
        assert_eq!(marks(options().high_water_mark(0)), (0, 0));
        let log = Log::new();
        support::pair(
            event_loop,
            &log,
            ServerOptions::new().high_water_mark(7),
            ConnectOptions::new().high_water_mark(9),
            move |accepted| {
                log.add("S", accepted.readable_high_water_mark());
                log.add("S", accepted.writable_high_water_mark());
                accepted.end();
            },
            move |client| assert_eq!((client.readable_high_water_mark(), client.writable_high_water_mark()), (9, 9)),
        );
        log.assert_of("S", "connection, 7, 7 | ~ finish | ~ end |x close(false)");
    });
}

/// F3, F4: the answer is computed after the kernel was tried: what it took whole does not count, whatever its size.
#[test]
fn f3_write_answers_after_trying_the_kernel() {
    for (mark, sizes) in [(HIGH_WATER_MARK, [65_536, 65_535, 100_000]), (10, [5, 10, 100]), (0, [1, 2, 1000])] {
        support::test(|event_loop| {
            let log = Log::new();
            let options = ConnectOptions::new().writable_high_water_mark(mark);
            client_of_peer(&log, options, move |client, peer| {
                read_to_the_end(peer);
                for size in sizes {
                    add_answer(&log, client, client.write(vec![0; size]));
                }
                assert!(!client.writable_need_drain());
                client.end();
            });
            event_loop.run().expect("run");
            log.assert_of(
                "C",
                "connectionAttempt | connect, true(0), true(0), true(0), ready | ~ finish | ~ end |x close(false)",
            );
        });
    }
}

/// F3, F7, F11: a write that the kernel does not take whole counts whole until it completes; behind it, every write is
/// queued, and the mark decides what they answer.
#[test]
fn f3_writes_behind_one_in_flight_are_queued() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, peer| {
            add_answer(&log, client, client.write(large()));
            assert!(client.writable_need_drain());
            add_answer(&log, client, client.write("small"));
            assert_eq!(client.bytes_written(), 20_000_005);
            assert_eq!(client.buffer_size(), Some(20_000_005));
            client.on_drain(move |client| {
                add_answer(&log, client, !client.writable_need_drain());
                client.end();
            });
            read_to_the_end(peer);
        });
        event_loop.run().expect("run");
        log.assert_of(
            "C",
            "connectionAttempt | connect, false(20000000), false(20000005), ready | drain, true(0) | ~ finish | ~ end \
             |x close(false)",
        );
    });
}

/// F3: below the mark, a queued write answers true.
#[test]
fn f3_a_queued_write_below_the_mark_answers_true() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().writable_high_water_mark(2 * MORE_THAN_THE_KERNEL_TAKES);
        client_of_peer(&log, options, move |client, peer| {
            add_answer(&log, client, client.write(large()));
            add_answer(&log, client, client.write("small"));
            client.end();
            read_to_the_end(peer);
        });
        event_loop.run().expect("run");
        log.assert_of(
            "C",
            "connectionAttempt | connect, true(20000000), true(20000005), ready | ~ finish | ~ end |x close(false)",
        );
    });
}

/// F5, F8, L5: while connecting nothing is subtracted; the flush on connect empties the queue and brings `drain` at the
/// place of the first write among the `connect` listeners.
#[test]
fn f5_writes_while_connecting_count_in_full() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().writable_high_water_mark(10);
        let client = client_of_peer(&log, options, move |_, peer| read_to_the_end(peer));
        for text in ["aaaaa", "bbbb", "c", "d"] {
            add_answer(&log, client, client.write(text));
        }
        assert!(client.writable_need_drain());
        client.on_connect(move |client| {
            add_answer(&log, client, !client.writable_need_drain());
            client.end();
        });
        event_loop.run().expect("run");
        assert_eq!(
            log.texts_of("C"),
            [
                "true(5)",
                "true(9)",
                "false(10)",
                "false(11)",
                "connectionAttempt",
                "connect",
                "drain",
                "true(0)",
                "ready",
                "finish",
                "end",
                "close(false)",
            ]
        );
        log.assert_after(
            "C",
            "connectionAttempt",
            "| connect, drain, true(0), ready | ~ finish | ~ end |x close(false)",
        );
    });
}

/// F5: the boundary at the default mark.
#[test]
fn f5_the_default_mark_while_connecting() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), move |client, peer| {
            read_to_the_end(peer);
            client.end();
        });
        assert!(client.write(vec![0; HIGH_WATER_MARK - 1]));
        assert!(!client.write([0; 1].as_slice()));
        assert_eq!((client.writable_length(), client.bytes_written()), (65_536, 65_536));
        client.on_ready(move |client| log.add("C", format!("{} {}", client.writable_length(), client.bytes_written())));
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttempt | connect, ready, 0 65536 | ~ finish | ~ end |x close(false)");
    });
}

/// F6, differing from Node on purpose: all lengths count bytes.
#[test]
fn f6_lengths_count_bytes() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), move |_, peer| read_to_the_end(peer));
        client.write("€€");
        assert_eq!((client.writable_length(), client.bytes_written(), client.buffer_size()), (6, 6, Some(6)));
        client.write([0xff, 0x00].as_slice());
        assert_eq!((client.writable_length(), client.bytes_written(), client.buffer_size()), (8, 8, Some(8)));
        client.end();
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttempt | connect, ready | ~ finish | ~ end |x close(false)");
    });
}

/// F7: without a false answer there is no `drain`.
#[test]
fn f7_no_drain_without_a_false_answer() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().writable_high_water_mark(MORE_THAN_THE_KERNEL_TAKES + 1);
        client_of_peer(&log, options, move |client, mut peer| {
            assert!(client.write_with(large(), support::callback(&log, "C", "written")));
            assert!(!client.writable_need_drain());
            client.on_data(move |client, _| {
                client.end();
            });
            support::in_thread(move || {
                peer.read_exact(MORE_THAN_THE_KERNEL_TAKES);
                peer.write(b"x");
                peer.drain();
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| written | ~ finish | ~ end |x close(false)");
    });
}

/// F7: `end()` cancels a `drain` that is owed.
#[test]
fn f7_end_cancels_drain() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, peer| {
            assert!(!client.write_with(large(), support::callback(&log, "C", "written")));
            assert!(client.writable_need_drain());
            client.end_data_with("x", support::callback(&log, "C", "ended"));
            assert!(!client.writable_need_drain());
            read_to_the_end(peer);
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| written | ~ ended, finish | ~ end |x close(false)");
    });
}

/// F7: so does `destroy()`.
#[test]
fn f7_destroy_cancels_drain() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, peer| {
            assert!(!client.write(large()));
            read_to_the_end(peer);
            set_immediate(move || {
                client.destroy();
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "|x close(false)");
    });
}

/// F7, F8: one `drain` for each period of false answers, however many there were; a handler may begin the next period.
#[test]
fn f8_one_drain_per_period() {
    const PERIODS: usize = 3;
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, mut peer| {
            let (go, next_period) = mpsc::channel();
            support::in_thread(move || {
                for _ in 0..PERIODS {
                    next_period.recv_timeout(support::PEER_DEADLINE).expect("the signal");
                    // No more than that: what the next period writes must not find a reader that keeps up with it.
                    peer.read_exact(2 * MORE_THAN_THE_KERNEL_TAKES);
                }
                peer.drain();
            });
            let period = move || {
                assert!(!client.write(large()));
                assert!(!client.write(large()));
                go.send(()).expect("a peer that waits");
            };
            period();
            let mut periods = 1;
            client.on_drain(move |client| {
                assert_eq!((client.writable_length(), client.writable_need_drain()), (0, false));
                if periods == PERIODS {
                    client.end();
                } else {
                    periods += 1;
                    period();
                }
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| drain | drain | drain | ~ finish | ~ end |x close(false)");
    });
}

/// F8, F9, F10: an asynchronous completion brings `drain` before its own callback; what was queued goes out as one and
/// calls back in the next tick; end callbacks precede `finish`.
#[test]
fn f9_order_of_completion_signals() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, peer| {
            client.write_with(large(), support::callback(&log, "C", "cb1"));
            client.write_with("small", support::callback(&log, "C", "cb2"));
            client.once_drain(move |client| {
                log.add("C", client.writable_length());
                client.write_with("tail", support::callback(&log, "C", "cb3"));
                client.end_data_with("e", support::callback(&log, "C", "end1"));
                client.end_with(support::callback(&log, "C", "end2"));
            });
            read_to_the_end(peer);
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| drain, 0, cb1 ~ cb2 ~ cb3 | ~ end1, end2, finish | ~ end |x close(false)");
    });
}

/// F9: the callbacks of one gathered write come in one tick.
#[test]
fn f9_queued_writes_complete_together() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, peer| {
            client.write_with(large(), support::callback(&log, "C", "cb1"));
            client.write("no callback");
            client.write_with("c", support::callback(&log, "C", "cb3"));
            client.write_with("d", support::callback(&log, "C", "cb4"));
            client.end_with(support::callback(&log, "C", "ended"));
            read_to_the_end(peer);
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| cb1 ~ cb3, cb4 | ~ ended, finish | ~ end |x close(false)");
    });
}

/// F9, F10: writes that the kernel took at once call back in ticks, in order, among the user's own ticks.
#[test]
fn f9_synchronous_writes_call_back_in_ticks() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |_, peer| read_to_the_end(peer)).once_ready(move |client| {
            client.write_with("a", support::callback(&log, "C", "cb1"));
            next_tick(move || log.add("C", "tick"));
            client.write_with("b", support::callback(&log, "C", "cb2"));
            client.write_with("c", support::callback(&log, "C", "cb3"));
            client.end_data_with("d", support::callback(&log, "C", "ended"));
            log.add("C", "written");
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", ", written ~ cb1 ~ tick ~ cb2 ~ cb3 | ~ ended, finish | ~ end |x close(false)");
    });
}

/// F8, L5: writes queued while connecting are flushed in the `connect` dispatch: `drain` and the first callback there,
/// the other callbacks in the next tick.
#[test]
fn f8_the_flush_on_connect_drains_within_connect() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().writable_high_water_mark(4);
        let client = client_of_peer(&log, options, move |client, peer| {
            read_to_the_end(peer);
            set_immediate(move || {
                client.end();
            });
        });
        assert!(!client.write_with("abcdef", support::callback(&log, "C", "cb1")));
        assert!(!client.write_with("gh", support::callback(&log, "C", "cb2")));
        client.on_connect(move |client| add_answer(&log, client, client.writable()));
        event_loop.run().expect("run");
        log.assert_of(
            "C",
            "connectionAttempt | connect, drain, cb1, true(0), ready ~ cb2 | ~ finish | ~ end |x close(false)",
        );
    });
}

/// F11: an asynchronous write shows no partial progress: with a third of it read by the peer, it still counts whole.
#[test]
fn f11_a_write_in_flight_counts_whole_until_it_completes() {
    const PART: usize = 6_000_000;
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, mut peer| {
            client.write_with(large(), support::callback(&log, "C", "written"));
            let (part_read, progress) = mpsc::channel();
            let (go, goes_on) = mpsc::channel();
            support::in_thread(move || {
                peer.read_exact(PART);
                part_read.send(()).expect("a test that waits");
                goes_on.recv_timeout(support::PEER_DEADLINE).expect("the signal");
                peer.drain();
            });
            every_millisecond(move || {
                assert_eq!(client.writable_length(), MORE_THAN_THE_KERNEL_TAKES);
                assert_eq!(client.bytes_written(), MORE_THAN_THE_KERNEL_TAKES as u64);
                let part_is_read = progress.try_recv().is_ok();
                if part_is_read {
                    log.add("C", "a part is read");
                    go.send(()).expect("a peer that waits");
                }
                part_is_read
            });
            client.on_drain(move |client| {
                log.add("C", client.writable_length());
                client.end();
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| a part is read | drain, 0, written | ~ finish | ~ end |x close(false)");
    });
}

/// L8, F3, F12: of writes that fail together each leaves `writable_length` before its callback, and all count among the
/// bytes written until the last callback was called.
#[test]
fn f12_failing_writes_are_counted_down_one_by_one() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = net::connect(RawListener::bind().address()).expect("connect");
        let told = move |name: &'static str| {
            log.add("C", format!("{name} {} {}", client.writable_length(), client.bytes_written()));
        };
        for (chunk, name) in [("one", "first"), ("four", "second"), ("seventh", "third")] {
            client.write_with(chunk, move |_, result| {
                assert!(result.is_err());
                told(name);
            });
        }
        client.end_with(move |_, _| told("end"));
        client.on_error(move |_, _| told("error"));
        client.on_close(move |_, _| told("close"));
        event_loop.run().expect("run");
        log.assert_of("C", "error 14 14 |x first 11 14, second 7 14, third 0 14, end 0 14, close 0 3");
    });
}

/// F12: `bytes_written` counts what was given to `write`: connecting, queued, in flight, also when it then fails. Only what
/// was still queued behind another write is taken back, in Node as well, when the connection is over.
#[test]
fn f12_bytes_written_counts_what_was_given() {
    // Connecting, then connected.
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), move |client, peer| {
            read_to_the_end(peer);
            client.end_data("de");
        });
        client.write("a");
        client.write("bc");
        assert_eq!(client.bytes_written(), 3);
        client.on_close(move |client, _| log.add("C", client.bytes_written()));
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttempt | connect, ready | ~ finish | ~ end |x close(false), 5");
    });
    // Never connected: still there in `close`.
    support::test(|event_loop| {
        let log = Log::new();
        let client = net::connect(RawListener::bind().address()).expect("connect");
        client.write("abc");
        support::watch_socket(&log, "C", client);
        client.on_close(move |client, _| log.add("C", client.bytes_written()));
        event_loop.run().expect("run");
        log.assert_of(
            "C",
            "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) |x close(true), 3",
        );
    });
    // In flight, then destroyed.
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, peer| {
            client.set_data(peer);
            client.write(large());
            client.write("abc");
            log.add("C", client.bytes_written());
            client.destroy();
            log.add("C", client.bytes_written());
            client.on_close(move |client, _| log.add("C", client.bytes_written()));
        });
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttempt | connect, 20000003, 20000003, ready |x close(false), 20000000");
    });
}

/// F13: an empty write answers true, calls back, and sends nothing.
#[test]
fn f13_empty_writes() {
    support::test(|event_loop| {
        let log = Log::new();
        let (sender, received) = mpsc::channel();
        let client = client_of_peer(&log, ConnectOptions::new(), move |_, mut peer| {
            support::in_thread(move || sender.send(peer.read_to_end().expect("a FIN")));
        });
        client.once_ready(move |client| {
            add_answer(&log, client, client.write_with("", support::callback(&log, "C", "first")));
            add_answer(&log, client, client.write_with(Vec::<u8>::new(), support::callback(&log, "C", "second")));
            assert_eq!(client.bytes_written(), 0);
            client.end();
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", ", true(0), true(0) ~ first ~ second | ~ finish | ~ end |x close(false)");
        assert_eq!(received.recv_timeout(support::PEER_DEADLINE).expect("the peer"), b"");
    });
}

/// F14: bytes have no boundaries: three writes of one callback arrive as one `data`.
#[test]
fn f14_no_message_boundaries() {
    support::test(|event_loop| {
        let log = Log::new();
        support::pair(
            event_loop,
            &log,
            ServerOptions::new(),
            ConnectOptions::new(),
            move |accepted| {
                accepted.on_data(move |_, bytes| log.add("S", String::from_utf8_lossy(bytes)));
            },
            |client| {
                client.on_ready(|client| {
                    client.write("a");
                    client.write("b");
                    client.write("c");
                    client.end();
                });
            },
        );
        log.assert_of("S", "connection | abc | ~ end | ~ finish |x close(false)");
    });
}
