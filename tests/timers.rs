//! Timers, intervals, immediates and `next_tick`: rules TM1 to TM7 and T8, and the handles' own methods.
//!
//! May touch: the public API and the shared test support. Invariants: what depends on time asserts an order that follows
//! from the times at which timers were armed, or a lower bound, so that a slow machine changes nothing; where an order is
//! to hold for timers that are all due, the thread is kept busy until they are.

mod support;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use halfclose::net::Socket;
use halfclose::{
    Immediate, Timer, clear_immediate, clear_interval, clear_timeout, next_tick, set_immediate, set_interval,
    set_timeout,
};
use support::{Log, busy};

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A callback that records `text`.
fn entry(log: &Log, text: &'static str) -> impl FnMut() + 'static + use<> {
    let log = *log;
    move || log.add("L", text)
}

// ---------------------------------------------------------------------------------------------------------------------
// TM: order and times

/// TM1: delays below a millisecond count as one, and so belong to the list of that duration, in arming order.
#[test]
fn tm1_short_delays_count_as_one_millisecond() {
    support::test(|event_loop| {
        let log = Log::new();
        set_timeout(MILLISECOND, entry(&log, "one"));
        set_timeout(Duration::ZERO, entry(&log, "zero"));
        set_timeout(MILLISECOND / 2, entry(&log, "half"));
        set_timeout(Duration::from_nanos(1), entry(&log, "nanosecond"));
        set_timeout(MILLISECOND, entry(&log, "one again"));
        busy(5 * MILLISECOND);
        event_loop.run().expect("run");
        log.assert_of("L", "one | zero | half | nanosecond | one again");
    });
}

/// TM1: and they do wait that millisecond: a zero delay is not due in the phase that armed it.
#[test]
fn tm1_a_zero_delay_waits_a_millisecond() {
    support::test(|event_loop| {
        let log = Log::new();
        let start = Instant::now();
        set_timeout(Duration::ZERO, move || {
            assert!(start.elapsed() >= MILLISECOND, "{:?}", start.elapsed());
            log.add("L", "timer");
        });
        event_loop.run().expect("run");
        log.assert_of("L", "timer");
    });
}

/// TM1, differing from Node on purpose: huge delays are huge, not a millisecond.
#[test]
fn tm1_huge_delays_saturate() {
    support::test(|event_loop| {
        let log = Log::new();
        let node_limit = Duration::from_millis(1 << 31);
        let huge = [node_limit, Duration::from_secs(u64::MAX), Duration::MAX]
            .map(|delay| set_timeout(delay, || panic!("a huge delay is over")));
        let interval = set_interval(Duration::MAX, || panic!("a huge delay is over"));
        set_timeout(20 * MILLISECOND, move || {
            log.add("L", "timer");
            huge.into_iter().chain([interval]).for_each(Timer::clear);
        });
        event_loop.run().expect("run");
        log.assert_of("L", "timer");
        assert_eq!(event_loop.timers(), 0);
    });
}

/// TM2: a delay counts from the call that armed the timer, however long the callback had been running.
#[test]
fn tm2_a_delay_counts_from_arming() {
    support::test(|event_loop| {
        let log = Log::new();
        set_timeout(MILLISECOND, move || {
            busy(60 * MILLISECOND);
            let armed = Instant::now();
            set_timeout(50 * MILLISECOND, move || {
                assert!(armed.elapsed() >= 50 * MILLISECOND, "{:?} after arming", armed.elapsed());
                log.add("L", "timer");
            });
        });
        event_loop.run().expect("run");
        log.assert_of("L", "timer");
    });
}

/// TM3: an expired list of one duration is served whole before the list that expires next.
#[test]
fn tm3_lists_of_equal_duration_are_served_whole() {
    support::test(|event_loop| {
        let log = Log::new();
        set_timeout(10 * MILLISECOND, move || {
            set_timeout(MILLISECOND, entry(&log, "A"));
            set_timeout(2 * MILLISECOND, entry(&log, "B"));
            busy(5 * MILLISECOND);
            set_timeout(MILLISECOND, entry(&log, "C"));
            busy(5 * MILLISECOND);
        });
        event_loop.run().expect("run");
        log.assert_of("L", "A | C | B");
    });
}

/// TM3: lists are served in the order of their expiry, not of their creation.
#[test]
fn tm3_lists_are_served_in_order_of_expiry() {
    support::test(|event_loop| {
        let log = Log::new();
        set_timeout(20 * MILLISECOND, entry(&log, "20"));
        set_timeout(5 * MILLISECOND, entry(&log, "5"));
        set_timeout(10 * MILLISECOND, entry(&log, "10"));
        set_timeout(5 * MILLISECOND, entry(&log, "5 again"));
        busy(30 * MILLISECOND);
        event_loop.run().expect("run");
        log.assert_of("L", "5 | 5 again | 10 | 20");
    });
}

/// TM3: many timers of many durations, armed at once, in the order of duration and, within one, of arming.
#[test]
fn tm3_a_thousand_timers() {
    /// So far apart that the time between the first five calls cannot change the order of the lists' expiries.
    fn delay_of(number: u32) -> Duration {
        30 * MILLISECOND * (number * 7 % 5)
    }
    support::test(|event_loop| {
        let fired = Rc::new(RefCell::new(Vec::new()));
        for number in 0..1000_u32 {
            let fired = fired.clone();
            set_timeout(delay_of(number), move || fired.borrow_mut().push(number));
        }
        busy(150 * MILLISECOND);
        event_loop.run().expect("run");
        let mut expected: Vec<u32> = (0..1000).collect();
        expected.sort_by_key(|number| delay_of(*number));
        assert_eq!(fired.take(), expected);
        assert_eq!(event_loop.timers(), 0);
    });
}

/// Timers armed in a callback are not due in that timer phase, however long it takes: immediates come first.
#[test]
fn timers_armed_by_a_timer_wait_for_the_next_turn() {
    support::test(|event_loop| {
        let log = Log::new();
        set_timeout(10 * MILLISECOND, move || {
            log.add("L", "A");
            set_timeout(MILLISECOND, entry(&log, "B"));
            set_immediate(entry(&log, "immediate"));
            next_tick(entry(&log, "tick"));
            busy(5 * MILLISECOND);
        });
        set_timeout(10 * MILLISECOND, entry(&log, "Z"));
        busy(15 * MILLISECOND);
        event_loop.run().expect("run");
        log.assert_of("L", "A ~ tick | Z | immediate | B");
    });
}

/// M2: the deferred queue is served between two timers of one list, and between two lists.
#[test]
fn ticks_run_between_timers() {
    support::test(|event_loop| {
        let log = Log::new();
        for (delay, name) in [(5, "A"), (5, "B"), (6, "C")] {
            set_timeout(MILLISECOND * delay, move || {
                log.add("L", name);
                next_tick(move || log.add("L", format!("tick {name}")));
            });
        }
        busy(10 * MILLISECOND);
        event_loop.run().expect("run");
        log.assert_of("L", "A ~ tick A | B ~ tick B | C ~ tick C");
    });
}

/// TM4: an interval counts from the start of its callback, so that a long callback does not shift it: it precedes a
/// timer that was armed at that start for a little longer.
#[test]
fn tm4_an_interval_counts_from_the_start_of_its_callback() {
    support::test(|event_loop| {
        let log = Log::new();
        let start = Instant::now();
        let mut calls = 0;
        let itself = Rc::new(Cell::new(None));
        let interval = itself.clone();
        itself.set(Some(set_interval(20 * MILLISECOND, move || {
            calls += 1;
            log.add("L", "interval");
            assert!(start.elapsed() >= 20 * MILLISECOND * calls, "call {calls} after {:?}", start.elapsed());
            if calls < 4 {
                // Each mark has a duration, and so a list, of its own: a late loop serves a list whole (TM3).
                set_timeout((27 + calls) * MILLISECOND, move || log.add("L", format!("mark {calls}")));
                busy(15 * MILLISECOND);
            } else if let Some(interval) = interval.take() {
                clear_interval(interval);
            }
        })));
        event_loop.run().expect("run");
        log.assert_of("L", "interval | interval | mark 1 | interval | mark 2 | interval | mark 3");
    });
}

/// TM5: `refresh` begins the delay anew, behind the others of its list.
#[test]
fn tm5_refresh_starts_anew() {
    support::test(|event_loop| {
        let log = Log::new();
        let first = set_timeout(10 * MILLISECOND, entry(&log, "A"));
        set_timeout(10 * MILLISECOND, entry(&log, "B"));
        first.refresh();
        let refreshed = set_timeout(10 * MILLISECOND, entry(&log, "C"));
        assert_eq!(refreshed.refresh(), refreshed);
        busy(15 * MILLISECOND);
        event_loop.run().expect("run");
        log.assert_of("L", "B | A | C");
    });
}

/// TM2, TM5: the new delay counts from the refresh.
#[test]
fn tm5_a_refreshed_delay_counts_from_the_refresh() {
    support::test(|event_loop| {
        let log = Log::new();
        let refreshed_at = Rc::new(Cell::new(Instant::now()));
        let at = refreshed_at.clone();
        let timer = set_timeout(60 * MILLISECOND, move || {
            assert!(at.get().elapsed() >= 60 * MILLISECOND, "{:?} after the refresh", at.get().elapsed());
            log.add("L", "timer");
        });
        set_timeout(30 * MILLISECOND, move || {
            refreshed_at.set(Instant::now());
            timer.refresh();
        });
        event_loop.run().expect("run");
        log.assert_of("L", "timer");
    });
}

/// TM5: a timer that refreshes itself in its own callback runs again, its delay counted from there.
#[test]
fn tm5_a_timer_refreshes_itself() {
    support::test(|event_loop| {
        let log = Log::new();
        let itself: Rc<Cell<Option<Timer>>> = Rc::default();
        let timer = itself.clone();
        let mut refreshed = Instant::now();
        let mut calls = 0;
        itself.set(Some(set_timeout(10 * MILLISECOND, move || {
            assert!(refreshed.elapsed() >= 10 * MILLISECOND, "{:?} after the refresh", refreshed.elapsed());
            calls += 1;
            log.add("L", format!("call {calls}"));
            if calls < 3 {
                refreshed = Instant::now();
                timer.get().expect("the timer").refresh();
            }
        })));
        event_loop.run().expect("run");
        log.assert_of("L", "call 1 | call 2 | call 3");
        assert_eq!(event_loop.timers(), 0);
    });
}

/// TM5: an interval can be refreshed, too.
#[test]
fn tm5_an_interval_is_refreshed() {
    support::test(|event_loop| {
        let log = Log::new();
        let itself: Rc<Cell<Option<Timer>>> = Rc::default();
        let interval = itself.clone();
        itself.set(Some(set_interval(20 * MILLISECOND, move || {
            log.add("L", "interval");
            if let Some(interval) = interval.take() {
                interval.clear();
            }
        })));
        set_timeout(20 * MILLISECOND, entry(&log, "timer"));
        itself.get().expect("the interval").refresh();
        event_loop.run().expect("run");
        log.assert_of("L", "timer | interval");
    });
}

/// TM6: immediates of immediates wait for the next turn; ticks come after each.
#[test]
fn tm6_immediates_of_immediates_wait_a_turn() {
    support::test(|event_loop| {
        let log = Log::new();
        let turn = || halfclose::position().expect("a loop").turn;
        let first_turn = Rc::new(Cell::new(0));
        let second_turn = first_turn.clone();
        set_immediate(move || {
            log.add("L", "i1");
            first_turn.set(turn());
            set_immediate(move || {
                log.add("L", "i3");
                assert_eq!(turn(), first_turn.get() + 1);
            });
            next_tick(move || {
                log.add("L", "t1");
                set_immediate(entry(&log, "i4"));
            });
        });
        set_immediate(move || {
            log.add("L", "i2");
            assert_eq!(turn(), second_turn.get());
        });
        event_loop.run().expect("run");
        log.assert_of("L", "i1 ~ t1 | i2 | i3 | i4");
    });
}

/// TM7: a timer cleared by an earlier one of its list never runs.
#[test]
fn tm7_a_cleared_timer_never_runs() {
    support::test(|event_loop| {
        let log = Log::new();
        let others: Rc<RefCell<Vec<Timer>>> = Rc::default();
        let cleared = others.clone();
        set_timeout(5 * MILLISECOND, move || {
            log.add("L", "A");
            cleared.take().into_iter().for_each(clear_timeout);
        });
        others.borrow_mut().push(set_timeout(5 * MILLISECOND, || panic!("same list")));
        set_timeout(5 * MILLISECOND, entry(&log, "B"));
        others.borrow_mut().push(set_timeout(5 * MILLISECOND, || panic!("tail of the list")));
        others.borrow_mut().push(set_timeout(6 * MILLISECOND, || panic!("another list")));
        others.borrow_mut().push(set_interval(7 * MILLISECOND, || panic!("an interval")));
        busy(10 * MILLISECOND);
        event_loop.run().expect("run");
        log.assert_of("L", "A | B");
        assert_eq!(event_loop.timers(), 0);
    });
}

/// TM7: the same by a tick between the two.
#[test]
fn tm7_a_timer_cleared_in_a_tick_never_runs() {
    support::test(|event_loop| {
        let log = Log::new();
        let other = Rc::new(Cell::new(None));
        let cleared = other.clone();
        set_timeout(5 * MILLISECOND, move || {
            log.add("L", "A");
            let cleared = cleared.clone();
            next_tick(move || clear_timeout(cleared.get().expect("the other timer")));
        });
        other.set(Some(set_timeout(5 * MILLISECOND, || panic!("cleared"))));
        busy(10 * MILLISECOND);
        event_loop.run().expect("run");
        log.assert_of("L", "A");
    });
}

/// TM7: an immediate cleared by an earlier one of its turn never runs.
#[test]
fn tm7_a_cleared_immediate_never_runs() {
    support::test(|event_loop| {
        let log = Log::new();
        let others: Rc<RefCell<Vec<Immediate>>> = Rc::default();
        let cleared = others.clone();
        set_immediate(move || {
            log.add("L", "A");
            cleared.take().into_iter().for_each(clear_immediate);
        });
        others.borrow_mut().push(set_immediate(|| panic!("the next one")));
        set_immediate(entry(&log, "B"));
        others.borrow_mut().push(set_immediate(|| panic!("the last one")));
        event_loop.run().expect("run");
        log.assert_of("L", "A | B");
    });
}

/// TM7: an interval cleared in its own callback was called for the last time.
#[test]
fn tm7_an_interval_clears_itself() {
    support::test(|event_loop| {
        let log = Log::new();
        let itself = Rc::new(Cell::new(None));
        let interval = itself.clone();
        let captured = Rc::new(());
        let held = captured.clone();
        itself.set(Some(set_interval(MILLISECOND, move || {
            let _held = &held;
            log.add("L", "interval");
            // As in Node, the two clearing functions are one.
            if let Some(interval) = interval.take() {
                clear_timeout(interval);
            }
        })));
        event_loop.run().expect("run");
        log.assert_of("L", "interval");
        assert_eq!(Rc::strong_count(&captured), 1, "the closure was dropped");
        assert_eq!(event_loop.timers(), 0);
    });
}

// ---------------------------------------------------------------------------------------------------------------------
// Handles

/// The handles are as small as promised, and compare.
#[test]
fn handles_are_small() {
    assert_eq!((size_of::<Timer>(), size_of::<Option<Timer>>()), (8, 8));
    assert_eq!((size_of::<Immediate>(), size_of::<Option<Immediate>>()), (8, 8));
}

/// A timer's handle is dead once its callback has returned: it does not reach the next user of its place.
#[test]
fn a_fired_timer_does_not_reach_a_newcomer() {
    support::test(|event_loop| {
        let log = Log::new();
        let old = set_timeout(MILLISECOND, entry(&log, "old"));
        let old_immediate = set_immediate(entry(&log, "old immediate"));
        event_loop.run().expect("run");
        assert_eq!(event_loop.timers(), 0);
        let newcomers = [set_timeout(MILLISECOND, entry(&log, "new")), set_interval(HOUR, || panic!("an hour"))];
        let new_immediate = set_immediate(entry(&log, "new immediate"));
        newcomers[1].unref();
        assert!(newcomers.iter().all(|newcomer| *newcomer != old));
        assert_ne!(new_immediate, old_immediate);
        old.clear();
        old.unref();
        old.refresh();
        clear_timeout(old);
        clear_interval(old);
        old_immediate.clear();
        old_immediate.unref();
        assert!(newcomers[0].has_ref() && new_immediate.has_ref());
        assert!(!old.has_ref() && !old_immediate.has_ref());
        log.clear();
        busy(5 * MILLISECOND);
        event_loop.run().expect("run");
        let mut list = log.list();
        list.sort();
        assert_eq!(list, ["L new", "L new immediate"]);
    });
}

/// Clearing drops the closure and what it captured, at the latest before the next callback.
#[test]
fn a_cleared_timer_drops_its_closure() {
    support::test(|event_loop| {
        let captured = Rc::new(());
        for _ in 0..1000 {
            let (timer, interval, immediate) = (captured.clone(), captured.clone(), captured.clone());
            set_timeout(HOUR, move || drop(timer.clone())).clear();
            set_interval(HOUR, move || drop(interval.clone())).clear();
            set_immediate(move || drop(immediate)).clear();
        }
        event_loop.run().expect("run");
        assert_eq!(Rc::strong_count(&captured), 1);
        assert_eq!(event_loop.timers(), 0);
    });
}

/// A destructor that uses the loop may run when a closure is dropped by `clear`.
#[test]
fn a_dropped_closure_may_use_the_loop() {
    struct ArmsAnother(Log);
    impl Drop for ArmsAnother {
        fn drop(&mut self) {
            self.0.add("L", "dropped");
            set_timeout(MILLISECOND, entry(&self.0, "armed by a destructor"));
        }
    }
    support::test(|event_loop| {
        let log = Log::new();
        let held = ArmsAnother(log);
        let timer = set_timeout(HOUR, move || {
            let _held = &held;
            panic!("an hour is long");
        });
        set_timeout(MILLISECOND, move || timer.clear());
        event_loop.run().expect("run");
        assert_eq!(log.list(), ["L dropped", "L armed by a destructor"]);
    });
}

/// `unref`: the timer does not keep the loop alive, but runs when something else does.
#[test]
fn an_unreferenced_timer_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let timer = set_timeout(20 * MILLISECOND, entry(&log, "timer"));
        assert!(timer.has_ref());
        assert_eq!(timer.unref().unref(), timer);
        assert!(!timer.has_ref());
        set_interval(MILLISECOND, || ()).unref();
        event_loop.run().expect("run");
        log.assert_of("L", "");
        set_timeout(40 * MILLISECOND, entry(&log, "other"));
        event_loop.run().expect("run");
        log.assert_of("L", "timer | other");
    });
}

/// `ref_` takes that back.
#[test]
fn a_referenced_again_timer_keeps_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let timer = set_timeout(20 * MILLISECOND, entry(&log, "timer"));
        assert_eq!(timer.unref().ref_().ref_(), timer);
        assert!(timer.has_ref());
        event_loop.run().expect("run");
        log.assert_of("L", "timer");
    });
}

/// A timer can be unref'd from another callback, while the loop already waits for it.
#[test]
fn unref_from_a_callback_ends_the_loop() {
    support::test(|event_loop| {
        let log = Log::new();
        let hour = set_timeout(HOUR, || panic!("an hour is long"));
        set_timeout(MILLISECOND, move || {
            log.add("L", "unref()");
            hour.unref();
        });
        event_loop.run().expect("run");
        log.assert_of("L", "unref()");
        assert_eq!(event_loop.timers(), 1);
        hour.clear();
        assert_eq!(event_loop.timers(), 0);
    });
}

/// An unref'd immediate does not keep the loop alive, but runs when something else does.
#[test]
fn an_unreferenced_immediate_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let immediate = set_immediate(entry(&log, "unref'd"));
        assert!(immediate.has_ref());
        assert_eq!(immediate.unref(), immediate);
        assert!(!immediate.has_ref());
        event_loop.run().expect("run");
        log.assert_of("L", "");
        set_immediate(entry(&log, "referenced"));
        event_loop.run().expect("run");
        log.assert_of("L", "unref'd | referenced");
    });
    support::test(|event_loop| {
        let log = Log::new();
        assert!(set_immediate(entry(&log, "immediate")).unref().ref_().has_ref());
        event_loop.run().expect("run");
        log.assert_of("L", "immediate");
    });
}

/// T8: the idle timer of a socket never keeps the loop alive, yet expires when something else does.
#[test]
fn t8_an_idle_timer_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        support::watch_socket(&log, "C", socket);
        socket.set_timeout(20 * MILLISECOND);
        event_loop.run().expect("run");
        log.assert_of("C", "");
        set_timeout(40 * MILLISECOND, move || log.add("C", "timer"));
        event_loop.run().expect("run");
        log.assert_of("C", "timeout | timer");
    });
}

// ---------------------------------------------------------------------------------------------------------------------
// next_tick

/// M2: the library's own deferred emissions and the user's ticks share one queue.
#[test]
fn ticks_and_deferred_emissions_share_one_queue() {
    support::test(|event_loop| {
        let log = Log::new();
        set_immediate(move || {
            let socket = Socket::new();
            support::watch_socket(&log, "L", socket);
            log.add("L", "destroy()");
            next_tick(entry(&log, "a"));
            socket.destroy_with("why");
            next_tick(entry(&log, "b"));
        });
        event_loop.run().expect("run");
        log.assert_of("L", "destroy() ~ a ~ error(why) ~ close(false) ~ b");
    });
}

/// M9: ticks queued before `run` are served before its first phase, also when nothing else is alive.
#[test]
fn ticks_queued_before_run_are_served() {
    support::test(|event_loop| {
        let log = Log::new();
        next_tick(move || {
            log.add("L", "first");
            next_tick(entry(&log, "second"));
        });
        event_loop.run().expect("run");
        log.assert_of("L", "first ~ second");
    });
}

/// A tick may arm what keeps the loop alive.
#[test]
fn a_tick_before_run_may_bring_the_loop_to_life() {
    support::test(|event_loop| {
        let log = Log::new();
        next_tick(move || {
            log.add("L", "tick");
            set_timeout(MILLISECOND, entry(&log, "timer"));
        });
        event_loop.run().expect("run");
        log.assert_of("L", "tick | timer");
    });
}

// ---------------------------------------------------------------------------------------------------------------------
// Panics

/// A panic in one callback costs no other its call, and an interval its next one neither.
#[test]
fn a_panic_in_a_timer_costs_the_others_nothing() {
    support::test(|event_loop| {
        let log = Log::new();
        set_timeout(5 * MILLISECOND, move || {
            log.add("L", "A");
            panic!("provoked");
        });
        set_timeout(5 * MILLISECOND, entry(&log, "B"));
        let itself = Rc::new(Cell::new(None));
        let interval = itself.clone();
        let mut calls = 0;
        itself.set(Some(set_interval(5 * MILLISECOND, move || {
            calls += 1;
            log.add("L", format!("interval {calls}"));
            if let (2, Some(interval)) = (calls, interval.get()) {
                clear_interval(interval);
            }
            panic!("provoked");
        })));
        busy(10 * MILLISECOND);
        let panics = (0..4).filter(|_| catch_unwind(AssertUnwindSafe(|| event_loop.run().expect("run"))).is_err());
        assert_eq!(panics.count(), 3);
        assert_eq!(log.list(), ["L A", "L B", "L interval 1", "L interval 2"]);
        assert_eq!(event_loop.timers(), 0);
    });
}
