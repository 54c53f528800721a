//! Closing, pausing, what keeps the loop alive, panics, and the end of the loop.

use std::cell::Cell;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use halfclose::{EventLoop, Interest, Watch, next_tick, set_immediate, watch};

use crate::support::{self, Log};
use crate::{add, eventfd, panic_of, take};

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

/// A watch of an eventfd that is ready.
fn ready_watch(on_ready: impl FnMut(Watch) + 'static) -> Watch {
    let counter = eventfd();
    add(&counter, 1);
    let mut on_ready = on_ready;
    watch(counter, Interest::READABLE, move |watch, _, _| on_ready(watch)).expect("watch")
}

/// Records when it is dropped.
struct Witness(Log, &'static str);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.add("L", format!("{} dropped", self.1));
    }
}

/// Closed within its own callback, the closure lives until that returned, and not until the ticks behind it.
#[test]
fn closing_inside_the_callback() {
    support::test(|event_loop| {
        let log = Log::new();
        let witness = Witness(log, "closure");
        let counter = Rc::new(eventfd());
        add(&counter, 1);
        watch(counter.clone(), Interest::READABLE, move |watch, _, _| {
            next_tick(move || log.add("L", "tick"));
            watch.close();
            watch.close();
            assert!(watch.closed());
            let still = &witness;
            log.add("L", format!("still {}", still.1));
        })
        .expect("watch");
        event_loop.run().expect("run");
        assert_eq!(log.texts_of("L"), ["still closure", "closure dropped", "tick"]);
        assert_eq!(Rc::strong_count(&counter), 1, "the descriptor went with it");
    });
}

/// Its place may be another's before its callback has returned; the two do not meet.
#[test]
fn a_successor_in_its_place_is_another_watch() {
    support::test(|event_loop| {
        let log = Log::new();
        let first = ready_watch(move |first| {
            first.close();
            let second = ready_watch(move |second| {
                log.add("L", "second");
                second.close();
            });
            assert_ne!(first, second);
            // Stale: none of these reaches the successor.
            first.close();
            first.unref();
            first.pause();
            assert!(!second.closed() && second.has_ref() && !second.is_paused());
            log.add("L", "first");
        });
        event_loop.run().expect("run");
        log.assert_of("L", "first | second");
        assert!(first.closed());
    });
}

/// Closed by another callback of the same turn, it is not called any more, though it was found ready.
#[test]
fn a_ready_watch_that_is_closed_is_not_called() {
    let pause = |watch: Watch| {
        watch.pause();
    };
    for end in [Watch::close, pause] {
        support::test(|event_loop| {
            let log = Log::new();
            let other: Rc<Cell<Option<Watch>>> = Rc::default();
            for name in ["one", "other"] {
                let victim = other.clone();
                let watch = ready_watch(move |watch| {
                    log.add("L", name);
                    watch.close();
                    if let Some(victim) = victim.take() {
                        end(victim);
                    }
                });
                other.set(Some(watch));
            }
            event_loop.run().expect("run");
            log.assert_of("L", "one");
        });
    }
}

/// A watch of no loop, or of an earlier one, does nothing and says nothing.
#[test]
fn a_stale_watch_is_inert() {
    let check = |stale: Watch| {
        stale.close();
        assert!(stale.closed() && !stale.has_ref() && !stale.is_paused());
        assert_eq!((stale.ref_(), stale.unref(), stale.pause()), (stale, stale, stale));
        assert!(stale.resume().is_ok() && stale.set_interest(Interest::WRITABLE).is_ok());
    };
    support::within(support::DEADLINE, || {
        let first = EventLoop::new().expect("a loop");
        let stale = ready_watch(|_| panic!("the loop is never turned"));
        drop(first);
        check(stale);
        let mut second = EventLoop::new().expect("a loop");
        let called = Rc::new(Cell::new(false));
        let seen = called.clone();
        let fresh = ready_watch(move |watch| {
            seen.set(true);
            watch.close();
        });
        assert_ne!(stale, fresh);
        check(stale);
        second.run().expect("run");
        assert!(called.get());
    });
}

/// The loop's end drops closures and descriptors; their destructors find no loop any more.
#[test]
fn dropping_the_loop_drops_what_is_watched() {
    struct Meddling(Rc<Cell<Option<Watch>>>, Rc<Cell<u32>>);
    impl Drop for Meddling {
        fn drop(&mut self) {
            let watch = self.0.get().expect("it was set");
            watch.close();
            assert!(watch.closed());
            self.1.set(self.1.get() + 1);
        }
    }
    support::within(support::DEADLINE, || {
        let event_loop = EventLoop::new().expect("a loop");
        let (own, dropped) = (Rc::default(), Rc::new(Cell::new(0)));
        let counter = Rc::new(eventfd());
        let meddling = Meddling(Rc::clone(&own), dropped.clone());
        let watch = watch(counter.clone(), Interest::READABLE, move |_, _, _| {
            let _held = &meddling;
        });
        own.set(Some(watch.expect("watch")));
        drop(event_loop);
        assert_eq!((dropped.get(), Rc::strong_count(&counter)), (1, 1));
    });
}

/// Law 8: after a panic the watch is as it was, and comes again; what was queued goes on.
#[test]
fn a_panic_leaves_the_watch_in_its_place() {
    support::test(|event_loop| {
        let log = Log::new();
        let calls = Cell::new(0);
        ready_watch(move |watch| {
            calls.set(calls.get() + 1);
            log.add("L", format!("call {}", calls.get()));
            next_tick(move || log.add("L", "tick"));
            match calls.get() {
                1 => panic!("provoked"),
                2 => {}
                _ => watch.close(),
            }
        });
        ready_watch(move |watch| {
            log.add("L", "other");
            watch.close();
        });
        assert_eq!(panic_of(|| event_loop.run()).as_deref(), Some("provoked"));
        event_loop.run().expect("run");
        assert_eq!(log.texts_of("L"), ["call 1", "tick", "other", "call 2", "tick", "call 3", "tick"]);
    });
}

/// A panic right after it closed itself: the closure is dropped all the same.
#[test]
fn a_panic_after_closing_drops_the_closure() {
    support::test(|event_loop| {
        let counter = Rc::new(eventfd());
        add(&counter, 1);
        let ended = watch(counter.clone(), Interest::READABLE, |watch, _, _| {
            watch.close();
            panic!("provoked");
        })
        .expect("watch");
        assert_eq!(panic_of(|| event_loop.run()).as_deref(), Some("provoked"));
        event_loop.run().expect("run");
        assert!(ended.closed());
        assert_eq!(Rc::strong_count(&counter), 1);
    });
}

/// A destructor that panics leaves the loop usable, too.
#[test]
fn a_panic_in_the_destructor_leaves_the_loop_usable() {
    struct Panicking;
    impl Drop for Panicking {
        fn drop(&mut self) {
            panic!("provoked");
        }
    }
    support::test(|event_loop| {
        let log = Log::new();
        let panicking = Panicking;
        ready_watch(move |watch| {
            let _held = &panicking;
            watch.close();
        });
        set_immediate(move || log.add("L", "immediate"));
        assert_eq!(panic_of(|| event_loop.run()).as_deref(), Some("provoked"));
        event_loop.run().expect("run");
        log.assert_of("L", "immediate");
    });
}

/// It keeps the loop alive like any handle: while it is referenced and not paused.
#[test]
fn what_keeps_the_loop_alive() {
    support::test(|event_loop| {
        let (near, _far) = UnixStream::pair().expect("a pair");
        let mut alive = || event_loop.turn(AT_ONCE).expect("a turn");
        assert!(!alive());
        let watch = watch(near, Interest::READABLE, |_, _, _| panic!("nothing was sent")).expect("watch");
        assert!(alive() && watch.has_ref());
        watch.unref().unref();
        assert!(!alive() && !watch.has_ref());
        watch.pause().pause();
        watch.ref_().ref_();
        assert!(!alive() && watch.has_ref() && watch.is_paused());
        watch.resume().expect("it is open");
        watch.resume().expect("it is open");
        assert!(alive() && !watch.is_paused());
        watch.pause().unref();
        watch.resume().expect("it is open");
        assert!(!alive());
        watch.ref_();
        assert!(alive());
        watch.close();
        assert!(!alive());
    });
}

/// While it is paused nothing is told; what is there then is told when it is resumed.
#[test]
fn a_pause_keeps_what_is_there() {
    support::test(|event_loop| {
        let log = Log::new();
        let counter = Rc::new(eventfd());
        let watch = watch(counter.clone(), Interest::READABLE, move |watch, counter, _| {
            log.add("W", take(counter));
            watch.pause();
        })
        .expect("watch");
        for count in 1..=3 {
            add(&counter, count);
            watch.resume().expect("it is open");
            event_loop.run().expect("run");
        }
        add(&counter, 4);
        event_loop.turn(AT_ONCE).expect("a turn");
        log.assert_of("W", "1 | 2 | 3");
        // Another interest while it is paused begins nothing.
        watch.set_interest(Interest::READABLE | Interest::WRITABLE).expect("it is open");
        event_loop.turn(AT_ONCE).expect("a turn");
        log.assert_of("W", "1 | 2 | 3");
        watch.resume().expect("it is open");
        event_loop.run().expect("run");
        log.assert_of("W", "1 | 2 | 3 | 4");
    });
}

/// The descriptor's own flags stay as they are: a terminal is shared with others.
#[test]
fn the_flags_of_the_descriptor_are_left_alone() {
    support::test(|_| {
        let counter = Rc::new(eventfd());
        // SAFETY: no memory is passed.
        let flags = || unsafe { libc::fcntl(counter.as_raw_fd(), libc::F_GETFL) };
        let before = flags();
        assert_eq!(before & libc::O_NONBLOCK, 0);
        watch(counter.clone(), Interest::READABLE, |_, _, _| {}).expect("watch");
        assert_eq!(flags(), before);
    });
}

/// Handles are small.
#[test]
fn a_watch_is_eight_bytes() {
    assert_eq!((size_of::<Watch>(), size_of::<Option<Watch>>()), (8, 8));
}
