//! `position`, and that a thread has one loop at a time.

use std::cell::RefCell;
use std::rc::Rc;

use halfclose::net::{self, ConnectOptions, Server, ServerOptions, Socket, SocketOptions};
use halfclose::{EventLoop, Phase, Position, next_tick, set_immediate, set_interval, set_timeout};

use crate::support::{self, Log};
use crate::{MILLISECOND, busy, client_of_peer, here, panic_of};

/// Every phase is named, callbacks are counted upwards, ticks from one.
#[test]
fn position_names_phase_callback_and_tick() {
    support::test(|event_loop| {
        assert_eq!(here().phase, Phase::Idle);
        let places: Rc<RefCell<Vec<(&str, Position)>>> = Rc::default();
        let recorder = |name: &'static str| {
            let places = places.clone();
            move || places.borrow_mut().push((name, here()))
        };
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |_, peer| peer.borrow_mut().write(b"x"));
        let (timer, immediate, first_tick, second_tick) =
            (recorder("timer"), recorder("immediate"), recorder("first tick"), recorder("second tick"));
        let (data, finish, close) = (recorder("data"), recorder("finish"), recorder("close"));
        let mut once = Some((first_tick, second_tick, immediate, timer));
        client.on_data(move |client, _| {
            data();
            let (first_tick, second_tick, immediate, timer) = once.take().expect("one byte");
            next_tick(first_tick);
            next_tick(second_tick);
            set_immediate(immediate);
            set_timeout(5 * MILLISECOND, move || {
                timer();
                client.end();
            });
        });
        client.on_finish(move |client| {
            finish();
            client.destroy();
        });
        client.on_close(move |_, _| close());
        event_loop.run().expect("run");
        assert_eq!(here().phase, Phase::Idle);
        let places = places.take();
        let named: Vec<(&str, Phase, u64)> =
            places.iter().map(|(name, position)| (*name, position.phase, position.tick)).collect();
        assert_eq!(
            named,
            [
                ("data", Phase::Poll, 0),
                ("first tick", Phase::Poll, 1),
                ("second tick", Phase::Poll, 2),
                ("immediate", Phase::Immediates, 0),
                ("timer", Phase::Timers, 0),
                ("finish", Phase::Pending, 1),
                ("close", Phase::Closing, 0),
            ]
        );
        let callbacks: Vec<u64> = places.iter().map(|(_, position)| position.callback).collect();
        assert_eq!(callbacks[0], callbacks[1]);
        assert_eq!(callbacks[1], callbacks[2]);
        assert!(callbacks[2..].is_sorted_by(|one, other| one < other), "{callbacks:?}");
        let turns: Vec<u64> = places.iter().map(|(_, position)| position.turn).collect();
        assert!(turns.is_sorted(), "{turns:?}");
    });
}

/// The counters of a loop: a connection's slot is free after its `close`, a server's after `release()`.
#[test]
fn a_loop_counts_what_it_owns() {
    support::test(|event_loop| {
        let log = Log::new();
        let counts = |event_loop: &EventLoop| (event_loop.connections(), event_loop.servers(), event_loop.timers());
        assert_eq!(counts(event_loop), (0, 0, 0));
        let (socket, server) = (Socket::new(), Server::new());
        let timer = set_timeout(MILLISECOND, || ());
        assert_eq!(counts(event_loop), (1, 1, 1));
        timer.clear();
        socket.release();
        server.release();
        event_loop.run().expect("run");
        assert_eq!(counts(event_loop), (0, 0, 0));
        support::pair(
            event_loop,
            &log,
            ServerOptions::new(),
            ConnectOptions::new(),
            |accepted| {
                accepted.set_timeout(support::DEADLINE);
                accepted.end();
            },
            |client| {
                client.set_timeout(support::DEADLINE);
            },
        );
        log.assert_of("S", "connection | ~ finish | ~ end |x close(false)");
        assert_eq!(counts(event_loop), (0, 1, 0), "the server may listen again");
    });
}

/// Without a loop there is no position, and what would create something in a loop names the constructor.
#[test]
fn creators_without_a_loop_name_the_constructor() {
    assert_eq!(halfclose::position(), None);
    let panics = [
        panic_of(Socket::new),
        panic_of(|| Socket::with_options(SocketOptions::new())),
        panic_of(|| net::connect(("127.0.0.1", 1))),
        panic_of(|| net::create_server(|_| {})),
        panic_of(Server::new),
        panic_of(|| set_timeout(MILLISECOND, || ())),
        panic_of(|| set_interval(MILLISECOND, || ())),
        panic_of(|| set_immediate(|| ())),
        panic_of(|| next_tick(|| ())),
    ];
    for panic in panics {
        let text = panic.expect("a panic");
        assert!(text.contains("EventLoop::new"), "{text}");
    }
}

/// A second loop on a thread panics and harms neither the first nor a later one.
#[test]
fn a_thread_has_one_loop_at_a_time() {
    support::test(|event_loop| {
        let log = Log::new();
        assert!(panic_of(EventLoop::new).is_some());
        set_immediate(move || log.add("L", "immediate"));
        event_loop.run().expect("run");
        log.assert_of("L", "immediate");
    });
    support::test(|event_loop| event_loop.run().expect("run"));
}

/// Handles of a loop that is gone never reach the things of the next one.
#[test]
fn handles_of_an_earlier_loop_are_inert() {
    support::within(support::DEADLINE, || {
        let first = EventLoop::new().expect("a loop");
        let (old_socket, old_server) = (Socket::new(), Server::new());
        let old_timer = set_timeout(MILLISECOND, || panic!("of a loop that is gone"));
        let old_immediate = set_immediate(|| panic!("of a loop that is gone"));
        drop(first);
        assert!(old_socket.destroyed() && old_socket.closed() && !old_server.listening());

        let mut second = EventLoop::new().expect("a loop");
        let log = Log::new();
        let (socket, server) = (Socket::new(), Server::new());
        support::watch_socket(&log, "C", socket);
        server.listen(("127.0.0.1", 0)).expect("listen");
        server.on_listening(move |server| {
            log.add("L", "listening");
            server.close();
        });
        set_timeout(MILLISECOND, move || log.add("L", "timer"));
        set_immediate(move || log.add("L", "immediate"));
        assert_ne!(old_socket, socket);
        assert_ne!(old_server, server);
        old_timer.clear();
        old_immediate.clear();
        old_socket.destroy();
        old_server.close();
        busy(5 * MILLISECOND);
        second.run().expect("run");
        assert_eq!(log.list(), ["L listening", "L timer", "L immediate"]);
        assert!(!socket.destroyed());
    });
}
