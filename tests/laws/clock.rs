//! Law 9: the clock is read after every wait, when a timer is armed, and when the timer phase begins; activity stamps use
//! the turn's time.
//!
//! May touch: the public API and std's clock. Invariants: a moment is compared with a lower limit only, which no slow
//! machine can break; that something is not late is shown by the order of two things that differ by more than a phase.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use halfclose::net::{self, Socket};
use halfclose::{next_tick, set_immediate, set_interval, set_timeout};

use crate::law;
use crate::support::{Log, RawListener, RawThread, busy, in_thread};

const fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// TM2: a timer that is armed late in a callback is due its whole delay after that moment, wherever it was armed and
/// however.
#[test]
fn law_9_a_timer_is_due_its_delay_after_it_was_armed() {
    const WORK: Duration = milliseconds(30);
    const DELAY: Duration = milliseconds(20);
    /// Works for longer than the delay, then calls what arms the timer.
    type Place = fn(Box<dyn FnOnce()>);
    /// Arms a timer that calls its argument.
    type Kind = fn(Box<dyn Fn()>);
    let places: [(&str, Place); 3] = [
        ("an immediate", |arm| {
            set_immediate(move || {
                busy(WORK);
                arm();
            });
        }),
        ("a tick", |arm| {
            set_immediate(move || {
                next_tick(move || {
                    busy(WORK);
                    arm();
                });
            });
        }),
        ("a timer", |arm| {
            let arm = Cell::new(Some(arm));
            set_timeout(milliseconds(1), move || {
                busy(WORK);
                arm.take().expect("one call")();
            });
        }),
    ];
    let kinds: [(&str, Kind); 3] = [
        ("a timer", |ran| {
            set_timeout(DELAY, ran);
        }),
        ("an interval", |ran| {
            let own: Rc<Cell<Option<halfclose::Timer>>> = Rc::default();
            let timer = own.clone();
            own.set(Some(set_interval(DELAY, move || {
                timer.take().expect("its own timer").clear();
                ran();
            })));
        }),
        ("a refreshed timer", |ran| {
            set_timeout(DELAY, ran).refresh();
        }),
    ];
    law(|event_loop| {
        for (place_name, place) in places {
            for (kind_name, kind) in kinds {
                let wait: Rc<Cell<Option<Duration>>> = Rc::default();
                let told = wait.clone();
                place(Box::new(move || {
                    let armed = Instant::now();
                    kind(Box::new(move || told.set(Some(armed.elapsed()))));
                }));
                event_loop.run().expect("no unhandled error");
                let wait = wait.get().expect("the timer ran");
                assert!(wait >= DELAY, "{kind_name} in {place_name}: after {wait:?}");
            }
        }
    });
}

/// TM2 from a listener: the callback of a read that came after a long wait and was busy itself.
#[test]
fn law_9_a_timer_of_a_busy_listener_is_due_its_delay_after_it_was_armed() {
    law(|event_loop| {
        let raw = RawListener::bind();
        let socket = net::connect(raw.address()).expect("connect");
        let (now, peer) = later_writer(raw);
        socket.on_ready(move |_| now());
        let wait = Rc::new(Cell::new(None));
        let told = wait.clone();
        socket.on_data(move |socket, _| {
            busy(milliseconds(30));
            let (armed, told) = (Instant::now(), told.clone());
            set_timeout(milliseconds(20), move || {
                told.set(Some(armed.elapsed()));
                socket.destroy();
            });
        });
        event_loop.run().expect("no unhandled error");
        peer.join();
        let wait = wait.get().expect("the timer ran");
        assert!(wait >= milliseconds(20), "after {wait:?}");
    });
}

/// A peer that writes a byte, forty milliseconds after what is returned was called. Its thread tells when that was.
fn later_writer(raw: RawListener) -> (impl Fn(), RawThread<Instant>) {
    let (start, started) = mpsc::channel::<()>();
    let thread = in_thread(move || {
        let mut peer = raw.accept();
        started.recv().expect("a start");
        // Nobody sends anything: this is a wait of that length.
        let _ = started.recv_timeout(milliseconds(40));
        let moment = Instant::now();
        peer.write(b"x");
        let _ = peer.read_to_end();
        moment
    });
    (move || _ = start.send(()), thread)
}

/// The clock is read after a wait: activity is stamped with the moment the wait ended, not with the one it began at. With
/// the latter, the idle timeout would come forty milliseconds too early.
#[test]
fn law_9_activity_is_stamped_after_the_wait() {
    law(|event_loop| {
        let raw = RawListener::bind();
        let socket = net::connect(raw.address()).expect("connect");
        let (now, peer) = later_writer(raw);
        let idle = milliseconds(70);
        socket.on_ready(move |socket| {
            socket.set_timeout(idle);
            now();
        });
        socket.on_data(|_, _| ());
        let ended = Rc::new(Cell::new(None));
        let end = ended.clone();
        socket.on_timeout(move |socket| {
            // A peer that was kept waiting for a processor has not written yet.
            if socket.bytes_read() > 0 {
                end.set(Some(Instant::now()));
                socket.destroy();
            }
        });
        event_loop.run().expect("no unhandled error");
        let quiet = ended.get().expect("the timeout came").duration_since(peer.join());
        assert!(quiet >= idle, "after {quiet:?}");
    });
}

/// Activity stamps use the turn's time: a listener that is busy after its data does not push its idle timeout back. So it
/// is due before a timer of the same length that this listener armed when it had been busy.
#[test]
fn law_9_activity_is_stamped_with_the_turns_time() {
    law(|event_loop| {
        let (log, raw) = (Log::new(), RawListener::bind());
        let socket = net::connect(raw.address()).expect("connect");
        let (now, peer) = later_writer(raw);
        let idle = milliseconds(60);
        socket.on_ready(move |socket| {
            socket.set_timeout(idle);
            now();
        });
        socket.on_data(move |_, _| {
            busy(milliseconds(40));
            set_timeout(idle, move || {
                log.add("T", "timer");
                socket.destroy();
            });
        });
        socket.on_timeout(move |socket| {
            if socket.bytes_read() > 0 {
                log.add("T", "idle");
            }
        });
        event_loop.run().expect("no unhandled error");
        peer.join();
        assert_eq!(log.texts_of("T"), ["idle", "timer"]);
    });
}

/// The idle timeout itself counts from the call of `set_timeout`, as a timer does.
#[test]
fn law_9_an_idle_timeout_is_due_its_delay_after_it_was_set() {
    law(|event_loop| {
        let socket = Socket::new();
        let quiet = Rc::new(Cell::new(None));
        let told = quiet.clone();
        let awake = set_timeout(Duration::from_secs(3600), || unreachable!("cleared"));
        set_immediate(move || {
            busy(milliseconds(30));
            let set = Instant::now();
            socket.set_timeout_with(milliseconds(20), move |socket| {
                told.set(Some(set.elapsed()));
                awake.clear();
                socket.release();
            });
        });
        event_loop.run().expect("no unhandled error");
        let quiet = quiet.get().expect("the timeout came");
        assert!(quiet >= milliseconds(20), "after {quiet:?}");
    });
}

/// TM4: an interval counts from the start of its callback. A callback of 30 ms in an interval of 40 ms leaves 10 ms, which
/// is before a timer of 25 ms that the end of the callback arms.
#[test]
fn law_9_an_interval_counts_from_the_start_of_its_callback() {
    law(|event_loop| {
        let log = Log::new();
        let own: Rc<Cell<Option<halfclose::Timer>>> = Rc::default();
        let (timer, mut rounds) = (own.clone(), 0);
        own.set(Some(set_interval(milliseconds(40), move || {
            rounds += 1;
            log.add("T", format!("interval {rounds}"));
            if rounds == 1 {
                busy(milliseconds(30));
                set_timeout(milliseconds(25), move || log.add("T", "timer"));
            } else {
                timer.take().expect("its own timer").clear();
            }
        })));
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("T"), ["interval 1", "interval 2", "timer"]);
    });
}

/// The timer phase begins with a look at the clock: what became due during the turn runs in the same turn, before the next
/// poll; what becomes due during the phase itself waits for the next one, as in Node.
#[test]
fn law_9_the_timer_phase_begins_with_the_clock() {
    law(|event_loop| {
        let log = Log::new();
        set_timeout(milliseconds(1), move || {
            log.add("T", "first");
            // Due while this is busy, and while the immediate is.
            set_timeout(milliseconds(20), move || log.add("T", "second"));
            set_timeout(milliseconds(50), move || log.add("T", "third"));
            busy(milliseconds(30));
            set_immediate(move || {
                log.add("T", "immediate");
                busy(milliseconds(30));
                set_immediate(move || log.add("T", "immediate of the next turn"));
            });
        });
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("T"), ["first", "immediate", "second", "third", "immediate of the next turn"]);
    });
}
