//! `keep_alive` and `LoopHandle`: a loop that other threads talk to.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use halfclose::net::{Server, Socket};
use halfclose::{EventLoop, LoopHandle, Phase, next_tick, set_immediate, set_interval, set_timeout};

use crate::support::{self, Log};
use crate::{MILLISECOND, here, panic_of};

/// The guard keeps `run` going until it is dropped, also from within the loop.
#[test]
fn keep_alive_lasts_until_its_guard_is_dropped() {
    support::test(|event_loop| {
        let log = Log::new();
        let (mut first, mut second) = (Some(event_loop.keep_alive()), Some(event_loop.keep_alive()));
        set_timeout(MILLISECOND, move || {
            log.add("L", "first");
            drop(first.take());
        })
        .unref();
        set_timeout(20 * MILLISECOND, move || {
            log.add("L", "second");
            drop(second.take());
        })
        .unref();
        set_timeout(Duration::from_secs(3600), || panic!("an hour is long")).unref();
        event_loop.run().expect("run");
        log.assert_of("L", "first | second");
        assert!(!event_loop.turn(None).expect("a turn"));
    });
}

/// A guard that outlives its loop does not reach the next one.
#[test]
fn a_guard_of_an_earlier_loop_is_inert() {
    support::within(support::DEADLINE, || {
        let first = EventLoop::new().expect("a loop");
        let (dropped_late, dropped_later) = (first.keep_alive(), first.keep_alive());
        drop(first);
        drop(dropped_late);
        let mut second = EventLoop::new().expect("a loop");
        let _guard = second.keep_alive();
        drop(dropped_later);
        assert!(second.turn(Some(Duration::ZERO)).expect("a turn"));
    });
}

/// What posted closures record; they are `Send`, the log is for one thread.
type Record = Arc<Mutex<Vec<(String, Phase)>>>;

fn record(entries: &Record, text: impl Into<String>) {
    entries.lock().expect("a record").push((text.into(), here().phase));
}

/// Posts of one thread run in its order, on the loop's thread, in the poll phase, each with its own ticks.
#[test]
fn posts_run_in_order_in_the_poll_phase() {
    const THREADS: usize = 4;
    const POSTS: usize = 500;
    support::test(|event_loop| {
        let entries = Record::default();
        let loop_thread = thread::current().id();
        let guard = event_loop.keep_alive();
        let left = Arc::new(Mutex::new(THREADS));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread_number| {
                let (handle, entries, left) = (event_loop.handle(), entries.clone(), left.clone());
                thread::spawn(move || {
                    for post in 0..POSTS {
                        let entries = entries.clone();
                        let posted = handle.post(move || {
                            assert_eq!(thread::current().id(), loop_thread);
                            record(&entries, format!("{thread_number} {post}"));
                            next_tick(move || record(&entries, "tick"));
                        });
                        assert!(posted.is_ok());
                    }
                    let last = handle.post(move || {
                        let mut left = left.lock().expect("a count");
                        *left -= 1;
                        if *left == 0 {
                            halfclose::stop();
                        }
                    });
                    assert!(last.is_ok());
                })
            })
            .collect();
        event_loop.run().expect("run");
        drop(guard);
        for thread in threads {
            thread.join().expect("a thread that posts");
        }
        let entries = entries.lock().expect("a record");
        assert_eq!(entries.len(), 2 * THREADS * POSTS);
        assert!(entries.iter().all(|(_, phase)| *phase == Phase::Poll), "posts run in the poll phase");
        assert!(entries.chunks(2).all(|pair| pair[0].0 != "tick" && pair[1].0 == "tick"), "one post, then its ticks");
        for thread_number in 0..THREADS {
            let prefix = format!("{thread_number} ");
            let own: Vec<&str> = entries.iter().filter_map(|(text, _)| text.strip_prefix(&prefix)).collect();
            let expected: Vec<String> = (0..POSTS).map(|post| post.to_string()).collect();
            assert_eq!(own, expected, "the order of thread {thread_number}");
        }
    });
}

/// A panic in a posted closure comes out of `run`; the posts behind it run next.
#[test]
fn a_panic_in_a_post_costs_the_others_nothing() {
    support::test(|event_loop| {
        let entries = Record::default();
        let _guard = event_loop.keep_alive();
        let handle = event_loop.handle();
        let (first, second) = (entries.clone(), entries.clone());
        let posted = [
            handle.post(move || record(&first, "first")).is_ok(),
            handle.post(|| panic!("provoked")).is_ok(),
            handle.post(move || record(&second, "second")).is_ok(),
            handle.post(halfclose::stop).is_ok(),
        ];
        assert_eq!(posted, [true; 4]);
        assert_eq!(panic_of(|| event_loop.run()).as_deref(), Some("provoked"));
        event_loop.run().expect("run");
        let entries = entries.lock().expect("a record");
        assert_eq!(*entries, [("first".to_owned(), Phase::Poll), ("second".to_owned(), Phase::Poll)]);
    });
}

/// Posts that never end leave the other phases their turn.
#[test]
fn posts_do_not_starve_the_loop() {
    fn post_again(handle: LoopHandle) {
        let again = handle.clone();
        assert!(handle.post(move || post_again(again)).is_ok());
    }
    support::test(|event_loop| {
        let log = Log::new();
        post_again(event_loop.handle());
        set_timeout(5 * MILLISECOND, move || {
            log.add("L", "timer");
            set_immediate(move || {
                log.add("L", "immediate");
                halfclose::stop();
            });
        });
        event_loop.run().expect("run");
        log.assert_of("L", "timer | immediate");
    });
}

/// A handle does not keep the loop alive, and outlives it harmlessly: the closure comes back.
#[test]
fn a_handle_outlives_its_loop() {
    let ran = Arc::new(Mutex::new(0));
    let handle = support::within(support::DEADLINE, || {
        let mut event_loop = EventLoop::new().expect("a loop");
        let handle = event_loop.handle();
        event_loop.run().expect("run");
        handle
    });
    let counted = ran.clone();
    let Err(returned) = handle.post(move || *counted.lock().expect("a count") += 1) else {
        panic!("a post to a loop that is gone was accepted");
    };
    assert_eq!(*ran.lock().expect("a count"), 0);
    returned();
    assert_eq!(*ran.lock().expect("a count"), 1);
    handle.wake();
    handle.stop();
}

/// A post that the loop never ran is dropped with the loop, and so is all else that users gave it.
#[test]
fn a_loop_drops_what_it_was_given() {
    support::within(support::DEADLINE, || {
        let shared = Arc::new(());
        let local = Rc::new(());
        let event_loop = EventLoop::new().expect("a loop");
        let captured = shared.clone();
        assert!(event_loop.handle().post(move || drop(captured)).is_ok());
        let (timer, interval, immediate, tick) = (local.clone(), local.clone(), local.clone(), local.clone());
        set_timeout(MILLISECOND, move || drop(timer.clone()));
        set_interval(MILLISECOND, move || drop(interval.clone()));
        set_immediate(move || drop(immediate));
        next_tick(move || drop(tick));
        let (listener, once, data, server_listener) = (local.clone(), local.clone(), local.clone(), local.clone());
        let socket = Socket::new();
        socket.on_data(move |_, _| drop(listener.clone()));
        socket.once_close(move |_, _| drop(once));
        socket.set_data(data);
        Server::new().on_close(move |_| drop(server_listener.clone()));
        assert_eq!((Arc::strong_count(&shared), Rc::strong_count(&local)), (2, 9));
        drop(event_loop);
        assert_eq!((Arc::strong_count(&shared), Rc::strong_count(&local)), (1, 1));
    });
}

/// `wake` ends a wait, also one that had not begun, and does nothing else.
#[test]
fn wake_ends_a_blocking_turn() {
    support::test(|event_loop| {
        let log = Log::new();
        let _guard = event_loop.keep_alive();
        set_timeout(Duration::from_secs(3600), || panic!("an hour is long"));
        let handle = event_loop.handle();
        handle.wake();
        assert!(event_loop.turn(None).expect("a turn"));
        for _ in 0..10 {
            let waker = handle.clone();
            let thread = thread::spawn(move || waker.wake());
            assert!(event_loop.turn(None).expect("a turn"));
            thread.join().expect("a thread that wakes");
        }
        assert_eq!(log.len(), 0);
    });
}

/// `stop` from another thread ends a `run` that waits.
#[test]
fn a_handle_stops_a_waiting_loop() {
    support::test(|event_loop| {
        let log = Log::new();
        let _guard = event_loop.keep_alive();
        let handle = event_loop.handle();
        set_timeout(MILLISECOND, move || {
            log.add("L", "timer");
            let handle = handle.clone();
            thread::spawn(move || handle.stop());
        });
        event_loop.run().expect("run");
        log.assert_of("L", "timer");
        // The request was for that run only.
        set_timeout(MILLISECOND, move || {
            log.add("L", "second timer");
            halfclose::stop();
        });
        event_loop.run().expect("run");
        log.assert_of("L", "timer | second timer");
    });
}
