//! What a loop says of itself: `stats`, how long turns and callbacks take, and who takes too long.
//!
//! May touch: the public API, and peers of std. Invariant: what is counted is compared with what the test itself did, to
//! the last byte and callback.

mod support;

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, BlockList, ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
use halfclose::{
    Closes, EventLoop, EventLoopOptions, Histogram, Phase, Stats, Timer, next_tick, position, set_immediate,
    set_interval, set_timeout, stats,
};
use support::{DEADLINE, Log, RawListener, RawPeer, busy, loopback, pair, port_of, watch_socket, within};

const MILLISECOND: Duration = Duration::from_millis(1);

/// A loop that measures callbacks.
fn measured(body: impl FnOnce(&mut EventLoop)) {
    within(DEADLINE, || {
        let options = EventLoopOptions::new().measure_callbacks(true);
        let mut event_loop = EventLoop::with_options(options).expect("a loop");
        body(&mut event_loop);
    });
}

/// How connections ended in a loop with one server, of which `accepted` does what is asked with each socket, and one
/// client for which `client` does. Errors are listened for.
fn closes_of(accepted: impl FnMut(Socket) + 'static, client: impl FnOnce(Socket) + 'static) -> Closes {
    let mut closes = Closes::default();
    support::test(|event_loop| {
        let log = Log::new();
        pair(event_loop, &log, ServerOptions::new(), ConnectOptions::new(), accepted, client);
        let stats = event_loop.stats();
        assert_eq!((stats.accepts, stats.opened), (1, 2), "{}", log.whole());
        assert_eq!(stats.closes.total(), 2, "{}", log.whole());
        closes = stats.closes;
    });
    closes
}

/// A loop that did nothing has nothing to tell; outside of a loop there is nobody to tell.
#[test]
fn nothing_was_done_yet() {
    assert_eq!(stats(), None);
    support::test(|event_loop| {
        assert_eq!(event_loop.stats(), Stats::default());
        assert_eq!(stats(), Some(Stats::default()));
        assert_eq!(event_loop.stats().turn_lengths, Histogram::default());
    });
}

/// Bytes are counted of connections that live and of those that are over, on both ends, also when one socket connects
/// again.
#[test]
fn bytes_of_the_living_and_of_the_dead() {
    support::test(|event_loop| {
        let seen: Rc<RefCell<Vec<(u64, u64, u64)>>> = Rc::default();
        let server = net::create_server(|socket| {
            socket.on_data(|socket, bytes| {
                socket.write(bytes);
            });
        });
        let turns = Rc::new(Cell::new(0));
        let log = seen.clone();
        server
            .listen_with(("127.0.0.1", 0), move |server| {
                let address = server.address().expect("listening");
                let client = net::connect(address).expect("connect");
                client.on_connect(|client| {
                    client.write(&[1; 100]);
                });
                let seen = log.clone();
                client.on_data(move |client, _| {
                    let now = stats().expect("a loop");
                    seen.borrow_mut().push((now.opened - now.closes.total(), now.bytes_read, now.bytes_written));
                    client.end();
                });
                client.on_close(move |client, _| {
                    turns.set(turns.get() + 1);
                    if turns.get() < 3 {
                        client.connect(address).expect("connect again");
                    } else {
                        server.close();
                    }
                });
            })
            .expect("listen");
        event_loop.run().expect("run");
        assert_eq!(*seen.borrow(), [(2, 200, 200), (2, 400, 400), (2, 600, 600)]);
        let stats = event_loop.stats();
        assert_eq!((stats.bytes_read, stats.bytes_written), (600, 600));
        assert_eq!((stats.accepts, stats.opened), (3, 6));
        assert_eq!((stats.closes.ended, stats.closes.total()), (6, 6));
    });
}

/// What the kernel does not take is no byte written: a write of which a part was taken, its next attempts, and what is
/// left when the connection ends.
#[test]
fn bytes_that_the_kernel_did_not_take() {
    const LENGTH: usize = 20_000_000;
    support::test(|event_loop| {
        let raw = RawListener::bind();
        let client = net::connect(raw.address()).expect("connect");
        client.once_connect(move |client| {
            let mut peer = raw.accept();
            assert!(!client.write(vec![7; LENGTH]));
            let stats = stats().expect("a loop");
            assert_eq!((stats.short_writes, stats.blocked_writes), (1, 0));
            let taken = stats.bytes_written;
            assert!(0 < taken && taken < LENGTH as u64, "{taken}");
            assert_eq!(client.bytes_written(), LENGTH as u64, "what waits counts for Node");
            client.destroy();
            let (read, _) = peer.drain();
            assert_eq!(read, taken);
            assert_eq!(halfclose::stats().expect("a loop").bytes_written, taken);
        });
        event_loop.run().expect("run");
        assert_eq!(event_loop.stats().closes.destroyed, 1);
    });
}

/// A write that goes out in pieces counts each piece once, and each attempt that the kernel refused.
#[test]
fn a_long_write_is_counted_once() {
    const LENGTH: usize = 20_000_000;
    support::test(|event_loop| {
        let raw = RawListener::bind();
        let client = net::connect(raw.address()).expect("connect");
        client.once_connect(move |client| {
            let mut peer = raw.accept();
            client.write(vec![7; LENGTH]);
            client.end();
            let thread = support::in_thread(move || peer.drain());
            client.once_close(move |_, _| {
                assert_eq!(thread.join().0, LENGTH as u64);
            });
            client.resume();
        });
        event_loop.run().expect("run");
        let stats = event_loop.stats();
        assert_eq!(stats.bytes_written, LENGTH as u64);
        assert!(stats.short_writes >= 1, "{stats:?}");
    });
}

/// A failed write was not written.
#[test]
fn a_failed_write_is_not_counted() {
    support::test(|event_loop| {
        let raw = RawListener::bind();
        let client = net::connect(raw.address()).expect("connect");
        let log = Log::new();
        watch_socket(&log, "C", client);
        client.pause();
        client.once_connect(move |client| {
            // The reset is there when the second write is made, and nobody reads it.
            raw.accept().reset();
            client.write(&[1; 10]);
            client.write(&[2; 10]);
        });
        event_loop.run().expect("run");
        let stats = event_loop.stats();
        assert_eq!(stats.bytes_written, 0, "{}", log.whole());
        assert_eq!(stats.closes.reset_by_peer, 1, "{}", log.whole());
    });
}

#[test]
fn both_sides_end() {
    let closes = closes_of(
        |_| {},
        |client| {
            client.end();
        },
    );
    assert_eq!((closes.ended, closes.total()), (2, 2));
}

#[test]
fn one_side_is_destroyed() {
    let closes = closes_of(
        |accepted| {
            accepted.destroy();
        },
        |_| {},
    );
    assert_eq!((closes.destroyed, closes.ended), (1, 1));
}

#[test]
fn one_side_is_destroyed_with_an_error_of_the_user() {
    let closes = closes_of(
        |accepted| {
            accepted.destroy_with("enough");
        },
        |_| {},
    );
    assert_eq!((closes.destroyed, closes.ended), (1, 1));
}

#[test]
fn one_side_resets() {
    let closes = closes_of(
        |accepted| {
            accepted.on_data(|accepted, _| {
                accepted.reset_and_destroy().expect("TCP");
            });
        },
        |client| {
            client.write("reset me");
        },
    );
    assert_eq!((closes.reset, closes.reset_by_peer), (1, 1));
}

#[test]
fn one_side_fails() {
    let closes = closes_of(
        |accepted| {
            accepted.end();
            accepted.write("too late");
        },
        |_| {},
    );
    assert_eq!((closes.failed, closes.total()), (1, 2));
}

/// A connection that goes on elsewhere is over here, with its bytes.
#[test]
fn one_side_is_handed_over() {
    support::test(|event_loop| {
        let raw = RawListener::bind();
        let client = net::connect(raw.address()).expect("connect");
        client.once_connect(move |client| {
            client.write("here");
            let (mut stream, _) = client.into_std().expect("nothing waits");
            stream.set_nonblocking(false).expect("fcntl");
            let mut peer = raw.accept();
            peer.write(b"there");
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).expect("five bytes");
        });
        event_loop.run().expect("run");
        let stats = event_loop.stats();
        assert_eq!((stats.closes.handed_over, stats.closes.total(), stats.opened), (1, 1, 1));
        assert_eq!((stats.bytes_read, stats.bytes_written), (0, 4));
    });
}

/// Who was refused had no connection.
#[test]
fn a_connect_that_fails() {
    support::test(|event_loop| {
        let (_held, port) = support::refusing_port();
        let client = net::connect(loopback(port)).expect("an attempt");
        client.on_error(|_, error| assert_eq!(error.code(), Some("ECONNREFUSED")));
        event_loop.run().expect("run");
        let stats = event_loop.stats();
        assert_eq!((stats.failed_connects, stats.opened, stats.closes.total()), (1, 0, 0));
    });
}

/// Who is turned away was accepted, and never opened.
#[test]
fn connections_that_are_turned_away() {
    support::test(|event_loop| {
        let server = Server::new();
        server.on_connection(|server, socket| {
            server.set_max_connections(Some(1));
            socket.on_data(|_, _| {});
        });
        let dropped = Rc::new(Cell::new(0));
        let peers = Rc::new(RefCell::new(Vec::new()));
        let (count, connected) = (dropped.clone(), peers.clone());
        server.on_drop(move |server, _| {
            count.set(count.get() + 1);
            let mut list = BlockList::new();
            list.add_address("127.0.0.1").expect("an address");
            server.set_max_connections(None).set_block_list(Some(&list));
            // All three were accepted in this phase.
            let peers = connected.clone();
            set_immediate(move || {
                server.close();
                peers.borrow_mut().clear();
            });
        });
        server
            .listen_with(("127.0.0.1", 0), move |server| {
                let address = loopback(port_of(server));
                peers.borrow_mut().extend((0..3).map(|_| RawPeer::connect(address)));
            })
            .expect("listen");
        event_loop.run().expect("run");
        let stats = event_loop.stats();
        assert_eq!((stats.accepts, stats.dropped, stats.blocked, stats.opened), (3, 1, 1, 1));
        assert_eq!(dropped.get(), 1);
    });
}

/// Timers of the user, idle timeouts, posts and callbacks, each once.
#[test]
fn callbacks_are_counted() {
    support::test(|event_loop| {
        let server = Server::new();
        server.on_connection(|server, socket| {
            server.close();
            socket.set_timeout(MILLISECOND);
            socket.on_timeout(|socket| {
                socket.end();
            });
        });
        let client = Socket::new();
        server
            .listen_with(("127.0.0.1", 0), move |server| {
                client.connect(loopback(port_of(server))).expect("connect");
            })
            .expect("listen");
        let rounds = Cell::new(0);
        let interval: Rc<Cell<Option<Timer>>> = Rc::default();
        let handle = interval.clone();
        interval.set(Some(set_interval(MILLISECOND, move || {
            rounds.set(rounds.get() + 1);
            if rounds.get() == 3 {
                handle.take().expect("the interval").clear();
            }
        })));
        let posted = event_loop.handle();
        support::in_thread(move || {
            assert!(posted.post(|| {}).is_ok());
            assert!(posted.post(|| {}).is_ok());
        })
        .join();
        event_loop.run().expect("run");
        let stats = event_loop.stats();
        assert_eq!((stats.timers, stats.idle_timeouts, stats.posts), (3, 1, 2));
        assert!(stats.turns > 0);
    });
}

/// The number of callbacks is that of the entries into the loop, not of its looks: these are all immediates.
#[test]
fn rounds_that_find_nothing_are_no_callbacks() {
    support::test(|event_loop| {
        fn again(left: u32) {
            if left > 0 {
                next_tick(|| {});
                set_immediate(move || again(left - 1));
            }
        }
        set_immediate(|| again(9));
        event_loop.run().expect("run");
        let stats = event_loop.stats();
        assert_eq!((stats.callbacks, stats.turns), (10, 10));
    });
}

/// A turn with a timer behind it is measured, and one that no sleep follows; not the time that the loop sleeps, and not
/// the time in which nobody runs it.
#[test]
fn turns_are_measured_without_a_look_at_the_clock() {
    support::test(|event_loop| {
        // Nothing follows but the end of the loop.
        set_immediate(|| busy(20 * MILLISECOND));
        event_loop.run().expect("run");
        busy(20 * MILLISECOND);
        assert_eq!(event_loop.stats().turn_lengths.count(), 0);

        // A turn that is followed by another one at once: a slow callback, and one that is not.
        set_immediate(|| {
            busy(20 * MILLISECOND);
            set_immediate(|| {});
        });
        event_loop.run().expect("run");
        let lengths = event_loop.stats().turn_lengths;
        assert_eq!(lengths.count(), 1);
        assert!(lengths.longest >= 20 * MILLISECOND, "{lengths:?}");
        assert_eq!(lengths.buckets[..15].iter().sum::<u64>(), 0, "16384 microseconds and less: {lengths:?}");

        // A turn that sleeps until a timer is due.
        set_timeout(60 * MILLISECOND, || {});
        set_immediate(|| busy(20 * MILLISECOND));
        event_loop.run().expect("run");
        let lengths = event_loop.stats().turn_lengths;
        assert!(lengths.count() >= 2, "{lengths:?}");
        assert!(lengths.longest < 60 * MILLISECOND, "the sleep is no part of it: {lengths:?}");
    });
}

/// Each callback has its length, the ticks behind it in it; a sleep is in none, and neither is what waits for its turn.
#[test]
fn callbacks_are_measured_on_request() {
    measured(|event_loop| {
        set_timeout(100 * MILLISECOND, || {});
        set_immediate(|| {
            busy(10 * MILLISECOND);
            next_tick(|| busy(10 * MILLISECOND));
        });
        event_loop.run().expect("run");
        let stats = event_loop.stats();
        let lengths = stats.callback_lengths;
        assert_eq!((lengths.count(), stats.callbacks), (2, 2));
        assert!(lengths.longest >= 20 * MILLISECOND, "{lengths:?}");
        assert!(lengths.longest < 100 * MILLISECOND, "{lengths:?}");
    });
}

/// Where callbacks are measured the deliveries go another way: the same events, and as many callbacks.
#[test]
fn measuring_changes_nothing() {
    let conversation = |event_loop: &mut EventLoop| {
        let log = Log::new();
        pair(
            event_loop,
            &log,
            ServerOptions::new(),
            ConnectOptions::new(),
            |accepted| {
                accepted.on_data(|accepted, bytes| {
                    accepted.write(bytes);
                });
            },
            |client| {
                client.write(&[1; 9]);
                let rounds = Cell::new(0);
                client.on_data(move |client, bytes| {
                    rounds.set(rounds.get() + 1);
                    if rounds.get() < 20 {
                        client.write(bytes);
                    } else {
                        client.end();
                    }
                });
            },
        );
        (log.texts_of("C"), log.texts_of("S"), event_loop.stats())
    };
    let mut plain = None;
    support::test(|event_loop| plain = Some(conversation(event_loop)));
    measured(|event_loop| {
        let (client, accepted, stats) = conversation(event_loop);
        let plain = plain.take().expect("the other run");
        assert_eq!((client, accepted), (plain.0, plain.1));
        assert_eq!((stats.bytes_read, stats.callbacks), (plain.2.bytes_read, plain.2.callbacks));
        assert_eq!(stats.callback_lengths.count(), stats.callbacks);
        assert_eq!(plain.2.callback_lengths.count(), 0);
    });
}

/// FM "a handler that blocks stalls everyone": the hook is told which callbacks took long, where they were and how long
/// they took; what it does itself happens, and is not measured.
#[test]
fn slow_callbacks_are_told_of() {
    support::test(|event_loop| {
        let log = Log::new();
        let place = Rc::new(Cell::new(0));
        let slow_place = place.clone();
        event_loop.on_slow_callback(20 * MILLISECOND, move |slow| {
            assert_eq!((slow.position.phase, slow.position.callback), (Phase::Immediates, slow_place.get()));
            assert!(slow.length >= 20 * MILLISECOND, "{slow:?}");
            log.add("L", "slow");
            busy(20 * MILLISECOND);
            next_tick(move || log.add("L", "tick of the hook"));
        });
        set_immediate(move || log.add("L", "quick"));
        set_immediate(move || {
            log.add("L", "takes long");
            place.set(position().expect("a loop").callback);
            busy(20 * MILLISECOND);
        });
        set_immediate(move || log.add("L", "quick"));
        event_loop.run().expect("run");
        log.assert_of("L", "quick | takes long, slow ~ tick of the hook | quick");
        assert_eq!(event_loop.stats().callback_lengths.count(), 3);
    });
}

/// The latest hook holds; a loop that is stopped in a hook stops.
#[test]
fn a_hook_replaces_the_one_before() {
    support::test(|event_loop| {
        let log = Log::new();
        event_loop.on_slow_callback(Duration::ZERO, move |_| log.add("L", "first"));
        event_loop.on_slow_callback(Duration::ZERO, move |_| {
            log.add("L", "second");
            halfclose::stop();
        });
        set_immediate(move || log.add("L", "one"));
        set_immediate(move || log.add("L", "two"));
        event_loop.run().expect("run");
        log.assert_of("L", "one, second");
        event_loop.run().expect("run");
        log.assert_of("L", "one, second | two, second");
    });
}

/// An option of a listening socket that fails is no connection, and a server that nobody asked counts nothing.
#[test]
fn a_server_alone_counts_nothing() {
    support::test(|event_loop| {
        let server = Server::new();
        server.listen(ListenOptions::new().host("127.0.0.1").port(0)).expect("listen");
        server.on_listening(|server| {
            server.close();
        });
        event_loop.run().expect("run");
        let stats = event_loop.stats();
        assert_eq!((stats.accepts, stats.opened, stats.closes.total()), (0, 0, 0));
    });
}
