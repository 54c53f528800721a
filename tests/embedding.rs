//! The loop within another loop: its descriptor, `next_deadline`, `has_pending`, and `turn` as the way to serve it.
//!
//! May touch: the public API, mio and libc as the loops around, and the shared test support. Invariants: what is waited for
//! is waited for with a deadline; whole conversations are compared with those that `run` gives.

mod support;

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use halfclose::net::{self, ServerOptions, Socket, SocketOptions};
use halfclose::{EventLoop, next_tick, set_immediate, set_interval, set_timeout};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use support::Log;

const AT_ONCE: Option<Duration> = Some(Duration::ZERO);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Waits with poll(2), which is level-triggered, and tells whether the loop's descriptor is readable.
fn readable_within(event_loop: &EventLoop, limit: Duration) -> bool {
    let mut entry = libc::pollfd { fd: event_loop.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // Rounded up, as the documentation of `next_deadline` asks.
    let milliseconds = libc::c_int::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX);
    // SAFETY: one entry, valid for the length of the call.
    let count = unsafe { libc::poll(&mut entry, 1, milliseconds) };
    assert!(count >= 0, "poll: {}", std::io::Error::last_os_error());
    count == 1
}

fn is_readable(event_loop: &EventLoop) -> bool {
    readable_within(event_loop, Duration::ZERO)
}

/// How long a loop around may wait for this one.
fn wait_of(event_loop: &EventLoop) -> Duration {
    let longest = support::DEADLINE;
    event_loop.next_deadline().map_or(longest, |deadline| deadline.saturating_duration_since(Instant::now()))
}

/// A loop around, level-triggered: it serves `event_loop` until nothing is left to wait for there.
fn drive_by_level(event_loop: &mut EventLoop) {
    let mut alive = true;
    while alive {
        if !event_loop.has_pending() {
            readable_within(event_loop, wait_of(event_loop));
        }
        alive = event_loop.turn(AT_ONCE).expect("a turn");
    }
}

/// A loop around, edge-triggered: mio registers in no other way. It never looks at a loop that announced nothing.
struct Edges {
    poll: Poll,
    events: Events,
}

impl Edges {
    fn of(event_loop: &EventLoop) -> Edges {
        let poll = Poll::new().expect("a poll");
        let descriptor = event_loop.as_raw_fd();
        poll.registry().register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE).expect("register");
        Edges { poll, events: Events::with_capacity(8) }
    }

    /// Waits for an announcement and serves it. Returns whether the loop is alive.
    fn turn(&mut self, event_loop: &mut EventLoop) -> bool {
        if !event_loop.has_pending() {
            self.poll.poll(&mut self.events, Some(wait_of(event_loop))).expect("poll");
            let due = event_loop.next_deadline().is_some_and(|deadline| deadline <= Instant::now());
            if self.events.is_empty() && !due {
                return true;
            }
        }
        event_loop.turn(AT_ONCE).expect("a turn")
    }
}

fn drive_by_edge(event_loop: &mut EventLoop) {
    let mut edges = Edges::of(event_loop);
    while edges.turn(event_loop) {}
}

/// Everything at once: connections, input that needs several reads and writes, timers, immediates, ticks, half-close.
fn conversation(log: Log) {
    const LENGTH: usize = 3_000_000;
    let server = net::create_server_with(ServerOptions::new().allow_half_open(true), move |socket| {
        let received = Rc::new(Cell::new(0));
        let total = received.clone();
        socket.on_data(move |_, bytes| received.set(received.get() + bytes.len()));
        socket.on_end(move |socket| {
            log.add("S", format!("end after {}", total.get()));
            set_timeout(2 * MILLISECOND, move || {
                socket.end_data("late");
            });
        });
        socket.on_close(move |_, _| log.add("S", "close"));
    });
    server.on_close(move |_| log.add("srv", "close"));
    server.on_listening(move |server| {
        let client = net::connect(server.address().expect("it listens")).expect("connect");
        client.on_connect(move |client| {
            next_tick(move || log.add("C", "tick"));
            set_immediate(move || log.add("C", "immediate"));
            client.end_data(vec![1; LENGTH]);
        });
        client.on_data(move |_, bytes| log.add("C", String::from_utf8_lossy(bytes)));
        client.on_end(move |_| log.add("C", "end"));
        client.on_close(move |_, _| {
            log.add("C", "close");
            server.close();
        });
    });
    server.listen(("127.0.0.1", 0)).expect("listen");
}

/// What each end saw. The order of the two ends among each other is the kernel's.
fn ends(log: &Log) -> Vec<Vec<String>> {
    ["srv", "S", "C"].iter().map(|endpoint| log.texts_of(endpoint)).collect()
}

/// A foreign loop that waits on the descriptor, the deadline and nothing else sees what `run` gives.
#[test]
fn a_foreign_loop_gives_the_same_events() {
    let play = |drive: fn(&mut EventLoop)| {
        let log = Log::new();
        support::test(|event_loop| {
            conversation(log);
            drive(event_loop);
            assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
        });
        ends(&log)
    };
    let expected = play(|event_loop| event_loop.run().expect("run"));
    assert_eq!(expected[0], ["close"]);
    assert_eq!(expected[1], ["end after 3000000", "close"]);
    assert_eq!(expected[2], ["tick", "immediate", "late", "end", "close"]);
    assert_eq!(play(drive_by_level), expected);
    assert_eq!(play(drive_by_edge), expected);
}

/// The descriptor is readable from when the kernel has something until a turn took it.
#[test]
fn the_descriptor_announces_input() {
    support::test(|event_loop| {
        let log = Log::new();
        let (near, far) = UnixStream::pair().expect("a pair");
        let socket = Socket::with_options(SocketOptions::new().fd(near).expect("a stream socket"));
        socket.on_data(move |_, bytes| log.add_data_bytes("S", bytes));
        drive_until_quiet(event_loop);
        assert!(!is_readable(event_loop) && !event_loop.has_pending());

        std::io::Write::write_all(&mut &far, b"hello").expect("room");
        assert!(readable_within(event_loop, support::DEADLINE));
        assert!(is_readable(event_loop), "level-triggered: still there");
        assert!(event_loop.turn(AT_ONCE).expect("a turn"));
        drive_until_quiet(event_loop);
        assert!(!is_readable(event_loop));
        log.assert_of("S", "data(hello)");
    });
}

/// Turns as long as something is announced.
fn drive_until_quiet(event_loop: &mut EventLoop) {
    while event_loop.has_pending() || is_readable(event_loop) {
        event_loop.turn(AT_ONCE).expect("a turn");
    }
}

/// Other threads announce themselves by the descriptor: a wake, a post, a stop.
#[test]
fn the_descriptor_announces_other_threads() {
    support::test(|event_loop| {
        let log = Log::new();
        let _guard = event_loop.keep_alive();
        drive_until_quiet(event_loop);
        let calls: [fn(&halfclose::LoopHandle); 3] =
            [|handle| handle.wake(), |handle| assert!(handle.post(|| {}).is_ok()), |handle| handle.stop()];
        for call in calls {
            let handle = event_loop.handle();
            thread::spawn(move || call(&handle)).join().expect("a thread");
            assert!(is_readable(event_loop));
            drive_until_quiet(event_loop);
            assert!(!is_readable(event_loop) && !event_loop.has_pending());
        }
        assert_eq!(log.len(), 0);
    });
}

/// The descriptor is the same all the time, and both traits give the same.
#[test]
fn the_descriptor_stays() {
    support::test(|event_loop| {
        let descriptor = event_loop.as_raw_fd();
        assert_eq!(event_loop.as_fd().as_raw_fd(), descriptor);
        set_immediate(|| {});
        event_loop.run().expect("run");
        assert_eq!(event_loop.as_raw_fd(), descriptor);
    });
}

/// The deadline is that of the earliest timer, of whatever kind, and never before it.
#[test]
fn the_next_deadline_is_the_earliest_timers() {
    const HOUR: Duration = Duration::from_secs(3600);
    support::test(|event_loop| {
        assert_eq!(event_loop.next_deadline(), None);
        let start = Instant::now();
        let within = |event_loop: &EventLoop, delay: Duration| {
            let deadline = event_loop.next_deadline().expect("a timer is armed");
            deadline >= start + delay && deadline < start + delay + HOUR / 4
        };
        let first = set_timeout(4 * HOUR, || panic!("hours are long"));
        assert!(within(event_loop, 4 * HOUR));
        let second = set_interval(2 * HOUR, || panic!("hours are long"));
        assert!(within(event_loop, 2 * HOUR));
        second.unref();
        assert!(within(event_loop, 2 * HOUR), "it runs, whether or not it keeps the loop alive");
        second.clear();
        first.clear();

        // The idle timeout of a socket is a timer, too.
        let (near, _far) = UnixStream::pair().expect("a pair");
        let socket = Socket::with_options(SocketOptions::new().fd(near).expect("a stream socket"));
        socket.set_timeout(HOUR);
        drive_until_quiet(event_loop);
        assert!(within(event_loop, HOUR));
    });
}

/// When the deadline has come and nothing was pending, a turn that does not wait runs the timer.
#[test]
fn a_timer_runs_at_its_deadline() {
    support::test(|event_loop| {
        let log = Log::new();
        // The first turn runs timers before anything else.
        event_loop.turn(AT_ONCE).expect("a turn");
        let start = Instant::now();
        set_timeout(20 * MILLISECOND, move || log.add("L", format!("early: {}", start.elapsed() < 20 * MILLISECOND)));
        assert!(event_loop.turn(AT_ONCE).expect("a turn") && !event_loop.has_pending());
        assert_eq!(log.len(), 0);
        let deadline = event_loop.next_deadline().expect("a timer is armed");
        support::busy(deadline.saturating_duration_since(Instant::now()));
        assert!(event_loop.next_deadline().is_some_and(|deadline| deadline <= Instant::now()), "in the past");
        assert!(!event_loop.turn(AT_ONCE).expect("a turn"));
        log.assert_of("L", "early: false");
    });
}

/// Each kind of work that nobody announces is pending, until a turn has done it.
#[test]
fn what_is_pending() {
    let causes: [(&str, fn()); 5] = [
        ("a tick", || next_tick(|| {})),
        ("an immediate", || {
            set_immediate(|| {});
        }),
        ("a close event", || {
            let (near, _far) = UnixStream::pair().expect("a pair");
            Socket::with_options(SocketOptions::new().fd(near).expect("a stream socket")).destroy();
        }),
        ("a stop", halfclose::stop),
        ("a tick in an immediate in a tick", || {
            next_tick(|| {
                set_immediate(|| next_tick(|| {}));
            });
        }),
    ];
    for (name, cause) in causes {
        support::test(|event_loop| {
            assert!(!event_loop.has_pending(), "{name}: before");
            cause();
            assert!(event_loop.has_pending(), "{name}");
            while event_loop.has_pending() {
                event_loop.turn(AT_ONCE).expect("a turn");
            }
        });
    }
}

/// TM6: an immediate that keeps nothing alive does not keep a loop from waiting either.
#[test]
fn an_unreferenced_immediate_is_not_pending() {
    support::test(|event_loop| {
        let log = Log::new();
        let immediate = set_immediate(move || log.add("L", "immediate")).unref();
        assert!(!event_loop.has_pending());
        immediate.ref_();
        assert!(event_loop.has_pending());
        immediate.unref();
        // A turn that is made for another reason runs it.
        event_loop.turn(AT_ONCE).expect("a turn");
        log.assert_of("L", "immediate");
    });
}

/// What one turn leaves of a flood of posts is pending.
#[test]
fn posts_that_one_turn_does_not_take_are_pending() {
    support::test(|event_loop| {
        let count = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let handle = event_loop.handle();
        for _ in 0..2500 {
            let count = count.clone();
            let posted = handle.post(move || {
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            });
            assert!(posted.is_ok());
        }
        let mut turns = 0;
        while event_loop.has_pending() {
            event_loop.turn(AT_ONCE).expect("a turn");
            turns += 1;
        }
        assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 2500);
        assert!(turns >= 3, "1,024 a turn: {turns} turns");
    });
}

/// What the budget of a turn left of a socket's input is pending, though the kernel does not announce it again.
#[test]
fn a_socket_that_used_up_its_share_is_pending() {
    support::within(support::DEADLINE, || {
        let options = halfclose::EventLoopOptions::new().reads_per_turn(1);
        let mut event_loop = EventLoop::with_options(options).expect("a loop");
        let log = Log::new();
        let (near, far) = UnixStream::pair().expect("a pair");
        let socket = Socket::with_options(SocketOptions::new().fd(near).expect("a stream socket"));
        socket.on_data(move |_, bytes| log.add_data_length("S", bytes.len()));
        drive_until_quiet(&mut event_loop);
        // More than one read takes, and less than the kernel's buffer.
        std::io::Write::write_all(&mut &far, &[1; 100_000]).expect("room");
        assert!(is_readable(&event_loop));
        event_loop.turn(AT_ONCE).expect("a turn");
        assert!(event_loop.has_pending());
        while event_loop.has_pending() {
            event_loop.turn(AT_ONCE).expect("a turn");
        }
        let total: usize = log.texts_of("S").iter().map(|text| length_of(text)).sum();
        assert_eq!(total, 100_000, "{}", log.whole());
    });
}

fn length_of(entry: &str) -> usize {
    let digits = entry.trim_start_matches("data(").trim_end_matches(')');
    digits.parse().expect("a length")
}

/// More events than one wait brings: whoever waits for the descriptor's edge is told of the rest only in this way.
#[test]
fn events_that_did_not_fit_are_pending() {
    const PAIRS: usize = 600;
    support::test(|event_loop| {
        support::raise_descriptor_limit(2 * PAIRS + 100);
        let listener = support::RawListener::bind();
        let received = Rc::new(Cell::new(0));
        let mut far: Vec<support::RawPeer> = (0..PAIRS)
            .map(|_| {
                let near = std::net::TcpStream::connect(listener.address()).expect("connect");
                let received = received.clone();
                let socket = Socket::from_std(near).expect("a TCP socket");
                // Nothing follows from it that would be pending by itself.
                socket.on_data(move |_, bytes| received.set(received.get() + bytes.len()));
                listener.accept()
            })
            .collect();
        let mut edges = Edges::of(event_loop);
        drive_until_quiet(event_loop);
        far.iter_mut().for_each(|far| far.write(b"1"));
        while received.get() < PAIRS {
            edges.turn(event_loop);
        }
    });
}

/// A turn that user code interrupted goes on with the next one.
#[test]
fn the_rest_of_an_interrupted_turn_is_pending() {
    let interruptions: [(&str, fn()); 3] = [
        ("stop", halfclose::stop),
        ("a panic", || panic!("provoked")),
        ("an error", || {
            Socket::new().destroy_with(std::io::Error::other("nobody listens"));
        }),
    ];
    for (name, interrupt) in interruptions {
        support::test(|event_loop| {
            let log = Log::new();
            set_immediate(interrupt);
            set_immediate(move || log.add("L", "second"));
            // The result is what interrupted it.
            let _ = catch_unwind(AssertUnwindSafe(|| event_loop.turn(AT_ONCE)));
            assert_eq!(log.len(), 0, "{name}");
            assert!(event_loop.has_pending(), "{name}");
            while event_loop.has_pending() {
                event_loop.turn(AT_ONCE).expect("a turn");
            }
            log.assert_of("L", "second");
        });
    }
}
