//! `spin_before_wait` and `spin_adaptively`: what a loop that spins does not do otherwise, and that it does spin. When it
//! spins and for how long is played with a simulated clock in the unit tests of `event_loop/spinning.rs`.
//!
//! May touch: the public API, libc for the kernel's count of sleeps, and the shared test support. Invariant: counts and
//! orders are asserted, never how long something took.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use halfclose::net::{ConnectOptions, ServerOptions};
use halfclose::{EventLoop, EventLoopOptions, next_tick, set_immediate, set_interval, set_timeout};
use support::Log;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Every way to spin, and none.
fn every_way() -> [EventLoopOptions; 5] {
    [
        EventLoopOptions::new(),
        EventLoopOptions::new().spin_before_wait(Duration::from_micros(50)),
        EventLoopOptions::new().spin_before_wait(HOUR),
        EventLoopOptions::new().spin_adaptively(Duration::from_micros(100)),
        EventLoopOptions::new().spin_adaptively(HOUR),
    ]
}

/// Runs `body` once for each way to spin, with a loop of its own.
fn in_every_way(body: impl Fn(&mut EventLoop)) {
    for options in every_way() {
        support::within(support::DEADLINE, || {
            let mut event_loop = EventLoop::with_options(options).expect("a loop");
            body(&mut event_loop);
        });
    }
}

/// The order of events, ticks and phases is the same.
#[test]
fn a_conversation_is_the_same() {
    in_every_way(|event_loop| {
        let log = Log::new();
        support::pair(
            event_loop,
            &log,
            ServerOptions::new(),
            ConnectOptions::new(),
            move |socket| {
                socket.on_data(move |socket, bytes| {
                    log.add_data("S");
                    socket.write(bytes);
                });
            },
            move |client| {
                client.on_connect(move |client| {
                    next_tick(move || log.add("C", "tick"));
                    set_immediate(move || log.add("C", "immediate"));
                    client.write("hello");
                });
                client.on_data(move |client, _| {
                    log.add_data("C");
                    set_timeout(2 * MILLISECOND, move || {
                        log.add("C", "timer");
                        client.end();
                    });
                });
            },
        );
        log.assert_of("S", "connection | data | ~ end | ~ finish |x close(false)");
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready ~ tick | immediate | data | timer | ~ finish | ~ end |x close(false)",
        );
    });
}

/// Timers are as many as they should be, never early, and end a wait without other events.
#[test]
fn timers_end_the_spinning() {
    in_every_way(|event_loop| {
        let log = Log::new();
        let start = Instant::now();
        set_timeout(3 * MILLISECOND, move || log.add("L", format!("early {}", start.elapsed() < 3 * MILLISECOND)));
        let interval = set_interval(MILLISECOND, || {});
        set_timeout(10 * MILLISECOND, move || {
            interval.clear();
            log.add("L", "last");
        });
        event_loop.run().expect("run");
        log.assert_of("L", "early false | last");
    });
}

/// A turn waits no longer than it may, and one that may not wait does not.
#[test]
fn the_timeout_of_a_turn_ends_the_spinning() {
    in_every_way(|event_loop| {
        let _guard = event_loop.keep_alive();
        for timeout in [Duration::ZERO, MILLISECOND / 10, 2 * MILLISECOND] {
            assert!(event_loop.turn(Some(timeout)).expect("a turn"));
        }
    });
}

/// Other threads reach a loop that spins: a wake, a post, a stop.
#[test]
fn other_threads_end_the_spinning() {
    in_every_way(|event_loop| {
        let _guard = event_loop.keep_alive();
        let handle = event_loop.handle();
        let waker = thread::spawn(move || handle.wake());
        assert!(event_loop.turn(None).expect("a turn"));
        waker.join().expect("a thread");
        let handle = event_loop.handle();
        let poster = thread::spawn(move || {
            let again = handle.clone();
            assert!(handle.post(move || drop(thread::spawn(move || again.stop()))).is_ok());
        });
        event_loop.run().expect("run");
        poster.join().expect("a thread");
    });
}

/// A loop without anything to wait for does not begin to.
#[test]
fn nothing_to_wait_for_is_no_spinning() {
    in_every_way(|event_loop| {
        event_loop.run().expect("run");
        assert!(!event_loop.turn(None).expect("a turn"));
    });
}

/// By the kernel's count of sleeps, which only Linux keeps for each thread.
#[cfg(target_os = "linux")]
mod sleeping {
    use std::sync::mpsc;

    use super::*;

    /// How often this thread gave up its core to wait for something, by the kernel's count.
    fn sleeps() -> i64 {
        // SAFETY: all zeros are a valid value of this structure of numbers.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: `usage` is a valid place for the result.
        assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) }, 0, "getrusage");
        usage.ru_nvcsw
    }

    /// How often a loop sleeps while another thread posts to it, each post only after the one before was answered.
    fn sleeps_in_conversation(options: EventLoopOptions, posts: usize) -> i64 {
        support::within(support::DEADLINE, || {
            let mut event_loop = EventLoop::with_options(options).expect("a loop");
            let guard = event_loop.keep_alive();
            let handle = event_loop.handle();
            let poster = thread::spawn(move || {
                for _ in 0..posts {
                    // Long enough for the loop to fall asleep, if it is one that does.
                    support::busy(MILLISECOND / 5);
                    let (answer, answered) = mpsc::channel();
                    assert!(handle.post(move || answer.send(()).expect("somebody waits")).is_ok());
                    answered.recv().expect("an answer");
                }
                handle.stop();
            });
            let before = sleeps();
            event_loop.run().expect("run");
            let slept = sleeps() - before;
            poster.join().expect("a thread");
            drop(guard);
            slept
        })
    }

    /// A loop that spins is awake when a post comes. One that does not sleeps before each, and an adaptive one soon stops to.
    #[test]
    fn a_loop_that_spins_does_not_sleep() {
        const POSTS: i64 = 200;
        let slept = sleeps_in_conversation(EventLoopOptions::new(), 200);
        assert!(slept > POSTS / 2, "without spinning: {slept} sleeps for {POSTS} posts");
        for options in [EventLoopOptions::new().spin_before_wait(HOUR), EventLoopOptions::new().spin_adaptively(HOUR)] {
            let slept = sleeps_in_conversation(options.clone(), 200);
            assert!(slept < POSTS / 4, "{options:?}: {slept} sleeps for {POSTS} posts");
        }
    }

    /// Of two ways the last one given holds, and zero is none.
    #[test]
    fn the_last_way_given_holds() {
        const POSTS: i64 = 200;
        let off = [
            EventLoopOptions::new().spin_before_wait(HOUR).spin_adaptively(Duration::ZERO),
            EventLoopOptions::new().spin_adaptively(HOUR).spin_before_wait(Duration::ZERO),
        ];
        for options in off {
            let slept = sleeps_in_conversation(options, 200);
            assert!(slept > POSTS / 2, "{slept} sleeps for {POSTS} posts");
        }
    }
}
