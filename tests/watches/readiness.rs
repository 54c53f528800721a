//! When the callback comes, what it is told, and where in the turn it runs.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use halfclose::{Interest, Phase, Watch, next_tick, position, set_immediate, set_interval, set_timeout, watch};

use crate::support::{self, Log};
use crate::{add, eventfd, pipe, take};

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);

/// The callback comes when there is something to read, and not before.
#[test]
fn an_eventfd_is_announced() {
    support::test(|event_loop| {
        let log = Log::new();
        let counter = Rc::new(eventfd());
        let watch = watch(counter.clone(), Interest::READABLE, move |watch, counter, ready| {
            assert!(ready.readable() && !ready.writable() && !ready.closed());
            log.add("W", take(counter));
            watch.close();
        })
        .expect("an eventfd can be watched");
        for _ in 0..3 {
            assert!(event_loop.turn(AT_ONCE).expect("a turn"), "it keeps the loop alive");
        }
        assert_eq!(log.len(), 0);
        set_timeout(Duration::from_millis(2), move || add(&counter, 7));
        event_loop.run().expect("run");
        log.assert_of("W", "7");
        assert!(watch.closed());
    });
}

/// Level-triggered: what the callback leaves is announced again, once per turn.
#[test]
fn what_is_left_is_announced_again() {
    support::test(|event_loop| {
        let log = Log::new();
        let counter = Rc::new(eventfd());
        add(&counter, 1);
        let turns = Rc::new(Cell::new(Vec::new()));
        let seen = turns.clone();
        watch(counter.clone(), Interest::READABLE, move |watch, counter, _| {
            let mut turns = seen.take();
            turns.push(position().expect("a loop").turn);
            log.add("W", turns.len());
            if turns.len() == 3 {
                take(counter);
            }
            if turns.len() == 5 {
                watch.close();
            }
            seen.set(turns);
        })
        .expect("watch");
        for _ in 0..6 {
            event_loop.turn(AT_ONCE).expect("a turn");
        }
        log.assert_of("W", "1 | 2 | 3");
        let turns = turns.take();
        assert!(turns.windows(2).all(|pair| pair[1] == pair[0] + 1), "once in each turn: {turns:?}");
        // And again when there is something again.
        add(&counter, 1);
        event_loop.turn(AT_ONCE).expect("a turn");
        log.assert_of("W", "1 | 2 | 3 | 1");
    });
}

/// A pipe: bytes, then the end.
#[test]
fn a_pipe_is_read_to_its_end() {
    support::test(|event_loop| {
        let log = Log::new();
        let (reader, mut writer) = pipe();
        watch(reader, Interest::READABLE, move |watch, mut reader, ready| {
            let mut buffer = [0; 4];
            let count = reader.read(&mut buffer).expect("ready");
            log.add(
                "W",
                format!("{}{}", String::from_utf8_lossy(&buffer[..count]), if ready.closed() { "!" } else { "" }),
            );
            if count == 0 {
                watch.close();
            }
        })
        .expect("watch");
        writer.write_all(b"hello").expect("room");
        event_loop.turn(AT_ONCE).expect("a turn");
        drop(writer);
        event_loop.run().expect("run");
        log.assert_of("W", "hell | o! | !");
    });
}

/// Room in a pipe that was full.
#[test]
fn room_is_announced() {
    support::test(|event_loop| {
        let log = Log::new();
        let (near, far) = UnixStream::pair().expect("a pair");
        near.set_nonblocking(true).expect("a flag");
        let fill = |mut near: &UnixStream| while near.write(&[1; 4096]).is_ok() {};
        fill(&near);
        watch(near, Interest::WRITABLE, move |watch, _, ready| {
            assert!(ready.writable() && !ready.readable());
            log.add("W", "room");
            watch.close();
        })
        .expect("watch");
        event_loop.turn(AT_ONCE).expect("a turn");
        assert_eq!(log.len(), 0, "full");
        far.set_nonblocking(true).expect("a flag");
        while (&far).read(&mut [0; 4096]).is_ok() {}
        event_loop.run().expect("run");
        log.assert_of("W", "room");
    });
}

/// Both directions in one callback; an end makes ready whatever is watched.
#[test]
fn both_directions_come_together() {
    support::test(|event_loop| {
        let log = Log::new();
        let (near, mut far) = UnixStream::pair().expect("a pair");
        far.write_all(b"a").expect("room");
        let both = Interest::READABLE | Interest::WRITABLE;
        let first = watch(near, both, move |_, mut near, ready| {
            log.add("W", format!("{} {} {}", ready.readable(), ready.writable(), ready.closed()));
            if ready.readable() {
                let _ = near.read(&mut [0; 8]).expect("ready");
            }
        })
        .expect("watch");
        event_loop.turn(AT_ONCE).expect("a turn");
        event_loop.turn(AT_ONCE).expect("a turn");
        drop(far);
        event_loop.turn(AT_ONCE).expect("a turn");
        log.assert_of("W", "true true false | false true false | true true true");
        first.close();
        // Nobody asked whether it is readable.
        let (reader, writer) = pipe();
        drop(reader);
        watch(writer, Interest::WRITABLE, move |watch, mut writer, ready| {
            assert!(ready.writable() && !ready.readable() && ready.closed());
            log.add("P", writer.write(b"a").expect_err("nobody reads").kind());
            watch.close();
        })
        .expect("watch");
        event_loop.run().expect("run");
        log.assert_of("P", "broken pipe");
    });
}

/// Another interest holds at once, also for what was found in this turn.
#[test]
fn the_interest_can_be_changed() {
    support::test(|event_loop| {
        let log = Log::new();
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let flips = Cell::new(0);
        let changing = watch(near, Interest::WRITABLE, move |watch, mut near, ready| {
            log.add("W", if ready.readable() { "readable" } else { "writable" });
            if ready.readable() {
                let _ = near.read(&mut [0; 8]).expect("ready");
            }
            flips.set(flips.get() + 1);
            let interest = if ready.readable() { Interest::WRITABLE } else { Interest::READABLE };
            watch.set_interest(interest).expect("it is open");
            if flips.get() == 4 {
                watch.close();
            }
        })
        .expect("watch");
        event_loop.turn(AT_ONCE).expect("a turn");
        event_loop.turn(AT_ONCE).expect("a turn");
        log.assert_of("W", "writable");
        far.write_all(b"a").expect("room");
        event_loop.turn(AT_ONCE).expect("a turn");
        event_loop.turn(AT_ONCE).expect("a turn");
        log.assert_of("W", "writable | readable | writable");

        // A watch that is served before it takes the interest away.
        let before = eventfd();
        add(&before, 1);
        far.write_all(b"a").expect("room");
        changing.pause();
        watch(before, Interest::READABLE, move |watch, before, _| {
            take(before);
            log.add("W", "before");
            changing.set_interest(Interest::WRITABLE).expect("it is open");
            watch.close();
        })
        .expect("watch");
        // Resumed behind it, so that it is reported behind it.
        changing.resume().expect("it is open");
        event_loop.run().expect("run");
        log.assert_of("W", "writable | readable | writable | before | writable");
    });
}

/// The poll phase, with ticks after each callback.
#[test]
fn callbacks_run_in_the_poll_phase_with_their_ticks() {
    support::test(|event_loop| {
        let log = Log::new();
        set_immediate(move || log.add("L", "immediate"));
        for name in ["a", "b"] {
            let counter = eventfd();
            add(&counter, 1);
            watch(counter, Interest::READABLE, move |watch, _, _| {
                assert_eq!(position().map(|here| (here.phase, here.tick)), Some((Phase::Poll, 0)));
                log.add("L", name);
                next_tick(move || {
                    log.add("L", "tick");
                    next_tick(move || log.add("L", "second tick"));
                });
                watch.close();
            })
            .expect("watch");
        }
        event_loop.run().expect("run");
        log.assert_of("L", "a ~ tick ~ second tick | b ~ tick ~ second tick | immediate");
    });
}

/// What is ready all the time leaves all others their turn.
#[test]
fn a_watch_that_is_always_ready_starves_nobody() {
    support::test(|event_loop| {
        let log = Log::new();
        let calls = Rc::new(Cell::new(0_u32));
        let counted = calls.clone();
        let (near, _far) = UnixStream::pair().expect("a pair");
        let always = watch(near, Interest::WRITABLE, move |_, _, _| counted.set(counted.get() + 1)).expect("watch");
        let ticks = Cell::new(0);
        let interval: Rc<Cell<Option<halfclose::Timer>>> = Rc::default();
        let own = interval.clone();
        interval.set(Some(set_interval(Duration::from_millis(1), move || {
            ticks.set(ticks.get() + 1);
            set_immediate(move || log.add("L", "immediate"));
            if ticks.get() == 3 {
                own.get().expect("an interval").clear();
                always.close();
            }
        })));
        event_loop.run().expect("run");
        log.assert_of("L", "immediate | immediate | immediate");
        assert!(calls.get() >= 3, "{} calls", calls.get());
    });
}

/// One callback at a time: `stop` in the first leaves the second to the next run.
#[test]
fn a_stop_leaves_the_others_to_the_next_run() {
    support::test(|event_loop| {
        let log = Log::new();
        for name in ["a", "b"] {
            let counter = eventfd();
            add(&counter, 1);
            watch(counter, Interest::READABLE, move |watch, _, _| {
                log.add("L", name);
                watch.close();
                halfclose::stop();
            })
            .expect("watch");
        }
        event_loop.run().expect("run");
        log.assert_of("L", "a");
        assert!(event_loop.has_pending());
        event_loop.run().expect("run");
        log.assert_of("L", "a | b");
    });
}

/// Another loop around is told of what is watched in this one.
#[test]
fn a_loop_around_sees_what_is_watched() {
    support::test(|event_loop| {
        let log = Log::new();
        let counter = Rc::new(eventfd());
        let mut poll = mio::Poll::new().expect("a poll");
        let number = std::os::fd::AsRawFd::as_raw_fd(event_loop);
        let mut source = mio::unix::SourceFd(&number);
        poll.registry().register(&mut source, mio::Token(0), mio::Interest::READABLE).expect("register");
        let mut events = mio::Events::with_capacity(1);
        watch(counter.clone(), Interest::READABLE, move |watch, counter, _| {
            log.add("W", "called");
            if log.len() == 3 {
                take(counter);
                watch.close();
            }
        })
        .expect("watch");
        poll.poll(&mut events, AT_ONCE).expect("poll");
        assert!(events.is_empty());
        add(&counter, 1);
        let mut alive = true;
        while alive {
            if !event_loop.has_pending() {
                poll.poll(&mut events, Some(support::DEADLINE)).expect("poll");
                assert!(!events.is_empty(), "an edge for what is left");
            }
            alive = event_loop.turn(AT_ONCE).expect("a turn");
        }
        log.assert_of("W", "called | called | called");
    });
}

/// Hundreds of them, served in one turn as far as they are ready.
#[test]
fn many_can_be_watched() {
    const COUNT: usize = 300;
    support::test(|event_loop| {
        support::raise_descriptor_limit(COUNT + 200);
        let total = Rc::new(Cell::new(0));
        let watches: Vec<(Watch, Rc<std::fs::File>)> = (0..COUNT)
            .map(|_| {
                let (counter, total) = (Rc::new(eventfd()), total.clone());
                let watch = watch(counter.clone(), Interest::READABLE, move |_, counter, _| {
                    total.set(total.get() + take(counter));
                });
                (watch.expect("watch"), counter)
            })
            .collect();
        for round in 1..=3 {
            watches.iter().step_by(round).for_each(|(_, counter)| add(counter, 1));
            let expected = total.get() + COUNT.div_ceil(round) as u64;
            while total.get() < expected {
                event_loop.turn(Some(support::DEADLINE)).expect("a turn");
            }
            assert_eq!(total.get(), expected);
        }
        watches.iter().for_each(|(watch, _)| watch.close());
        assert!(watches.iter().all(|(_, counter)| Rc::strong_count(counter) == 1), "what was lent is dropped");
        event_loop.run().expect("run");
    });
}
