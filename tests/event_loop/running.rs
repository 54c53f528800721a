//! `run`, `turn`, `stop`, and what comes out of them: unhandled errors and panics.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use halfclose::net::{self, Server, Socket};
use halfclose::{Error, ErrorSource, Unhandled, next_tick, set_immediate, set_timeout};

use crate::support::{self, Log, RawListener};
use crate::{MILLISECOND, busy, clients, here, panic_of};

/// `run` returns at once when nothing is alive, and can be called again.
#[test]
fn run_ends_when_nothing_is_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        event_loop.run().expect("run");
        set_immediate(move || log.add("L", "first"));
        event_loop.run().expect("run");
        set_immediate(move || log.add("L", "second"));
        event_loop.run().expect("run");
        log.assert_of("L", "first | second");
    });
}

/// A turn is one pass of the phases: each immediate of a chain takes one.
#[test]
fn a_turn_is_one_pass() {
    support::test(|event_loop| {
        let turns = Rc::new(RefCell::new(Vec::new()));
        let (first, second, third) = (turns.clone(), turns.clone(), turns.clone());
        set_immediate(move || {
            first.borrow_mut().push(here().turn);
            set_immediate(move || {
                second.borrow_mut().push(here().turn);
                set_immediate(move || third.borrow_mut().push(here().turn));
            });
        });
        assert!(event_loop.turn(None).expect("a turn"));
        assert_eq!(turns.borrow().len(), 1);
        assert!(event_loop.turn(Some(Duration::ZERO)).expect("a turn"));
        assert_eq!(turns.borrow().len(), 2);
        assert!(!event_loop.turn(None).expect("a turn"));
        let turns = turns.take();
        assert_eq!(turns, [turns[0], turns[0] + 1, turns[0] + 2]);
    });
}

/// `turn` never blocks when nothing is alive: neither for ever nor for a timer that does not count.
#[test]
fn a_turn_does_not_block_when_nothing_is_alive() {
    support::test(|event_loop| {
        let start = Instant::now();
        assert!(!event_loop.turn(None).expect("a turn"));
        set_timeout(Duration::from_secs(3600), || panic!("an hour is long")).unref();
        assert!(!event_loop.turn(None).expect("a turn"));
        let server = Server::new();
        server.unref();
        server.listen(0).expect("listen");
        assert!(!event_loop.turn(None).expect("a turn"));
        assert!(start.elapsed() < support::DEADLINE / 2, "{:?}", start.elapsed());
    });
}

/// `Some(ZERO)` only looks; it says that the loop is still alive.
#[test]
fn a_turn_without_time_does_not_block() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        support::watch_server(&log, "srv", server);
        server.listen(0).expect("listen");
        set_timeout(Duration::from_secs(3600), || panic!("an hour is long"));
        let start = Instant::now();
        for _ in 0..100 {
            assert!(event_loop.turn(Some(Duration::ZERO)).expect("a turn"));
        }
        assert!(start.elapsed() < support::DEADLINE / 2, "{:?}", start.elapsed());
        log.assert_of("srv", "listening");
    });
}

/// A limited turn waits as long as it may when nothing happens, and no longer.
#[test]
fn a_turn_with_a_limit_waits_that_long() {
    support::test(|event_loop| {
        set_timeout(Duration::from_secs(3600), || panic!("an hour is long"));
        // The first turn may have something to set up.
        event_loop.turn(Some(Duration::ZERO)).expect("a turn");
        let start = Instant::now();
        assert!(event_loop.turn(Some(30 * MILLISECOND)).expect("a turn"));
        assert!(start.elapsed() >= 30 * MILLISECOND, "{:?}", start.elapsed());
        assert!(start.elapsed() < support::DEADLINE / 2, "{:?}", start.elapsed());
    });
}

/// An unlimited turn waits for the next timer, and driving a loop by turns is as good as `run`.
#[test]
fn turns_drive_a_program_like_run_does() {
    support::test(|event_loop| {
        let log = Log::new();
        let start = Instant::now();
        set_timeout(30 * MILLISECOND, move || {
            log.add("L", "timer");
            set_immediate(move || log.add("L", "immediate"));
        });
        let mut turns = 0;
        while event_loop.turn(None).expect("a turn") {
            turns += 1;
        }
        log.assert_of("L", "timer | immediate");
        assert!(start.elapsed() >= 30 * MILLISECOND, "{:?}", start.elapsed());
        assert!(turns < 100, "{turns} turns: the loop did not wait");
    });
}

/// `stop` finishes the callback and its ticks; what was due stays due.
#[test]
fn stop_ends_run_after_the_ticks_of_its_callback() {
    support::test(|event_loop| {
        let log = Log::new();
        set_timeout(MILLISECOND, move || {
            log.add("L", "A");
            halfclose::stop();
            next_tick(move || log.add("L", "tick"));
            set_immediate(move || log.add("L", "immediate"));
        });
        set_timeout(MILLISECOND, move || log.add("L", "B"));
        busy(5 * MILLISECOND);
        event_loop.run().expect("run");
        log.assert_of("L", "A ~ tick");
        event_loop.run().expect("run");
        log.assert_of("L", "A ~ tick | B | immediate");
    });
}

/// `stop` between immediates, between closing callbacks, and among ready sockets loses nothing.
#[test]
fn stop_loses_nothing() {
    support::test(|event_loop| {
        let log = Log::new();
        set_immediate(move || {
            log.add("L", "first");
            halfclose::stop();
        });
        set_immediate(move || log.add("L", "second"));
        event_loop.run().expect("run");
        log.assert_of("L", "first");
        event_loop.run().expect("run");
        log.assert_of("L", "first | second");
    });
    support::test(|event_loop| {
        let log = Log::new();
        clients(&log, &["A", "B"], move |sockets| {
            for socket in sockets {
                socket.destroy();
                socket.on_close(|_, _| halfclose::stop());
            }
        });
        event_loop.run().expect("run");
        log.assert_of("L", "close B");
        event_loop.run().expect("run");
        log.assert_of("L", "close B |x close A");
    });
    support::test(|event_loop| {
        let log = Log::new();
        let raw = Rc::new(RawListener::bind());
        let peers = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..2 {
            let client = net::connect(raw.address()).expect("connect");
            let (raw, peers) = (raw.clone(), peers.clone());
            client.on_connect(move |_| {
                peers.borrow_mut().push(raw.accept());
                if peers.borrow().len() == 2 {
                    peers.borrow_mut().iter_mut().for_each(|peer| peer.write(b"x"));
                }
            });
            client.on_data(move |client, _| {
                log.add("L", "data");
                client.destroy();
                halfclose::stop();
            });
        }
        event_loop.run().expect("run");
        log.assert_of("L", "data");
        event_loop.run().expect("run");
        assert_eq!(log.list(), ["L data", "L data"]);
    });
}

/// A panic in a listener comes out of `run`, and the loop goes on where it was.
#[test]
fn a_panic_leaves_the_loop_usable() {
    support::test(|event_loop| {
        let log = Log::new();
        set_immediate(move || {
            log.add("L", "A");
            next_tick(move || log.add("L", "tick"));
            panic!("provoked");
        });
        set_immediate(move || log.add("L", "B"));
        assert_eq!(panic_of(|| event_loop.run()).as_deref(), Some("provoked"));
        event_loop.run().expect("run");
        assert_eq!(log.list(), ["L A", "L tick", "L B"]);
    });
}

/// A client whose connection is refused, with a `close` listener but none for `error`.
fn refused_client(log: &Log) -> Socket {
    let log = *log;
    let client = net::connect(RawListener::bind().address()).expect("connect");
    client.on_connection_attempt_failed(move |_, _, _| {
        log.add("C", "connectionAttemptFailed");
        // Queued behind the error.
        next_tick(move || next_tick(move || log.add("C", "tick")));
    });
    client.on_close(move |_, had_error| log.add("C", format!("close({had_error})")));
    client
}

/// L62: an `error` without listener comes out of `run`; everything behind it stays queued for the next one.
#[test]
fn an_unhandled_error_comes_out_of_run_and_nothing_is_lost() {
    support::test(|event_loop| {
        let log = Log::new();
        refused_client(&log);
        let error = event_loop.run().expect_err("an unhandled error");
        assert_eq!((error.code(), error.syscall()), (Some("ECONNREFUSED"), Some("connect")));
        assert_eq!(log.list(), ["C connectionAttemptFailed"]);
        event_loop.run().expect("run");
        assert_eq!(log.list(), ["C connectionAttemptFailed", "C tick", "C close(true)"]);
    });
}

/// The same for `turn`.
#[test]
fn an_unhandled_error_comes_out_of_turn() {
    support::test(|event_loop| {
        let log = Log::new();
        refused_client(&log);
        let mut errors = Vec::new();
        loop {
            match event_loop.turn(None) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => errors.push(support::describe(&error)),
            }
        }
        assert_eq!(errors, ["connect ECONNREFUSED"]);
        assert_eq!(log.list(), ["C connectionAttemptFailed", "C tick", "C close(true)"]);
    });
}

/// The loop's own policy is asked instead; `Continue` goes on as if there had been a listener.
#[test]
fn a_policy_for_unhandled_errors_may_continue() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = refused_client(&log);
        event_loop.on_unhandled_error(move |source, error: &Error| {
            assert!(matches!(source, ErrorSource::Socket(socket) if socket == client), "{source:?}");
            log.add("C", support::describe(error));
            Unhandled::Continue
        });
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttemptFailed ~ connect ECONNREFUSED ~ tick |x close(true)");
    });
}

/// `Return` is the default's answer; a server's errors are asked about, too.
#[test]
fn a_policy_for_unhandled_errors_may_return() {
    support::test(|event_loop| {
        let log = Log::new();
        let taken = RawListener::bind();
        let server = Server::new();
        event_loop.on_unhandled_error(move |source, error: &Error| {
            assert!(matches!(source, ErrorSource::Server(failed) if failed == server), "{source:?}");
            log.add("srv", support::describe(error));
            Unhandled::Return
        });
        server.listen(taken.address()).expect("a well-formed address");
        let error = event_loop.run().expect_err("an unhandled error");
        assert_eq!((error.code(), error.syscall()), (Some("EADDRINUSE"), Some("listen")));
        log.assert_of("srv", "listen EADDRINUSE");
        event_loop.run().expect("run");
    });
}
