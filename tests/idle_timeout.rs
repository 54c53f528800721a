//! The idle timeout: what counts as activity and what does not, and when `timeout` is emitted (rules T1 to T11).
//!
//! May touch: the public API and the shared test support. Invariants: a test asserts the order of `timeout` and of a plain
//! timer that was armed to fall between the right and the wrong moment. The loop serves both by their expiry, so that a
//! machine that sleeps over both changes nothing.

mod support;

use std::cell::RefCell;
use std::io::Read;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use halfclose::net::{self, ConnectOptions, ServerOptions, Socket, SocketEvent, SocketOptions};
use halfclose::{EventLoop, set_immediate, set_timeout};
use socket2::{Domain, Protocol, Type};
use support::{Log, RawListener, RawPeer};

/// More than the kernel takes from a writer while nobody reads: its largest send and receive buffers together hold less.
const MORE_THAN_THE_KERNEL_TAKES: usize = 20_000_000;

const fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// A peer of std that several listeners of the loop's thread share.
type SharedPeer = Rc<RefCell<RawPeer>>;

/// A client, watched as `C`, of a peer of std. `connected` runs in its `connect` listener; the peer lives as long as the
/// client.
fn client_of_peer(log: &Log, options: ConnectOptions, connected: impl FnOnce(Socket, SharedPeer) + 'static) -> Socket {
    let raw = RawListener::bind();
    let client = net::connect(options.host("127.0.0.1").port(raw.port())).expect("connect");
    support::watch_socket(log, "C", client);
    client.once_connect(move |client| {
        let peer = Rc::new(RefCell::new(raw.accept()));
        client.set_data(peer.clone());
        connected(client, peer);
    });
    client
}

/// Calls `body` after `delay`.
fn after(delay: u64, body: impl FnOnce() + 'static) {
    let mut body = Some(body);
    set_timeout(milliseconds(delay), move || {
        if let Some(body) = body.take() {
            body();
        }
    });
}

/// Records `text` after `delay`: the moment that a `timeout` is compared with.
fn mark(log: &Log, delay: u64, text: &'static str) {
    let log = *log;
    after(delay, move || log.add("C", text));
}

/// Destroys the socket once it has emitted `timeout`, and a grace that would show another one has passed.
fn destroy_after_timeout(socket: Socket, grace: u64) {
    socket.once_timeout(move |socket| {
        after(grace, move || {
            socket.destroy();
        });
    });
}

/// Runs the loop until the socket has closed, also when nothing else keeps it alive.
fn run_until_closed(event_loop: &mut EventLoop, socket: Socket) {
    let _guard = event_loop.keep_alive();
    socket.once_close(|_, _| halfclose::stop());
    event_loop.run().expect("run");
}

/// An address at which a connection attempt neither succeeds nor fails: a listening socket whose accept queue is full, so
/// that the kernel drops what asks for a connection.
struct BlackHole {
    listener: socket2::Socket,
    queued: Vec<socket2::Socket>,
}

impl BlackHole {
    fn new() -> BlackHole {
        let tcp = || socket2::Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
        let listener = tcp();
        listener.bind(&support::loopback(0).into()).expect("bind");
        // A backlog of zero still holds one connection; the second of the queued ones is for kernels that round it up.
        listener.listen(0).expect("listen");
        let mut hole = BlackHole { listener, queued: Vec::new() };
        for _ in 0..2 {
            let client = tcp();
            client.set_nonblocking(true).expect("a non-blocking socket");
            let _in_progress = client.connect(&hole.address().into());
            hole.queued.push(client);
        }
        hole
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound socket").as_socket().expect("an IP address")
    }

    /// Makes room in the accept queue: the next attempt of a waiting client, about a second after its first, succeeds.
    fn open(&mut self) {
        self.queued.clear();
        self.listener.set_nonblocking(true).expect("a non-blocking socket");
        while self.listener.accept().is_ok() {}
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// T1, T11: what is activity

/// T1, T3: the call itself arms the timer; `timeout` comes once, and the socket stays open.
#[test]
fn t3_timeout_is_emitted_once_and_leaves_the_socket_open() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, _| {
            let armed = Instant::now();
            client.set_timeout(milliseconds(50));
            assert_eq!(client.timeout(), Some(milliseconds(50)));
            client.on_timeout(move |client| {
                assert!(armed.elapsed() >= milliseconds(50), "{:?}", armed.elapsed());
                log.add("C", client.ready_state());
            });
            destroy_after_timeout(client, 200);
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| timeout, open |x close(false)");
    });
}

/// T1: each call of `set_timeout` begins anew.
#[test]
fn t1_set_timeout_begins_anew() {
    support::test(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        support::watch_socket(&log, "C", socket);
        socket.set_timeout(milliseconds(100));
        after(60, move || {
            log.add("C", "again");
            socket.set_timeout(milliseconds(100));
        });
        mark(&log, 130, "mark");
        destroy_after_timeout(socket, 0);
        run_until_closed(event_loop, socket);
        log.assert_of("C", "again | mark | timeout | ~ close(false)");
    });
}

/// T1: the start of `connect()` is activity, also when the connection does not come about.
#[test]
fn t1_connecting_is_activity() {
    support::test(|event_loop| {
        let log = Log::new();
        let hole = BlackHole::new();
        let socket = Socket::new();
        support::watch_socket(&log, "C", socket);
        socket.set_timeout(milliseconds(200));
        let address = hole.address();
        after(100, move || {
            socket.connect(address).expect("connect");
        });
        mark(&log, 250, "mark");
        destroy_after_timeout(socket, 0);
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttempt | mark | timeout |x close(false)");
    });
}

/// T1: so is its success. The kernel repeats the attempt after a second; the mark, armed by the success, then falls
/// between the time counted from the start of the attempt and that counted from its success.
#[test]
fn t1_connect_success_is_activity() {
    support::test(|event_loop| {
        let log = Log::new();
        let hole = BlackHole::new();
        let client = net::connect(hole.address()).expect("connect");
        support::watch_socket(&log, "C", client);
        client.set_timeout(milliseconds(1500));
        let held = Rc::new(RefCell::new(hole));
        let opened = held.clone();
        after(100, move || opened.borrow_mut().open());
        client.on_ready(move |_| mark(&log, 900, "mark"));
        destroy_after_timeout(client, 0);
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttempt | connect, ready | mark | timeout |x close(false)");
    });
}

/// Lets the peer act 500 ms after the client's timeout of 800 ms was set, and expects the timeout to be put off by it: to
/// 1,300 ms, behind a mark at 1,000 ms. The loop would have to be late by 300 ms to confuse the two.
fn expect_read_as_activity(
    expected: &'static str,
    options: ConnectOptions,
    prepare: fn(Log, Socket),
    act: fn(&mut RawPeer),
) {
    support::test(move |event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, options, move |client, peer| {
            prepare(log, client);
            client.set_timeout(milliseconds(800));
            after(500, move || act(&mut peer.borrow_mut()));
            mark(&log, 1000, "mark");
            destroy_after_timeout(client, 0);
        });
        // A socket that has seen the end of its input keeps no loop alive.
        run_until_closed(event_loop, client);
        log.assert_after("C", "ready", expected);
    });
}

/// T1: received data is activity.
#[test]
fn t1_data_is_activity() {
    expect_read_as_activity(
        "| data | mark | timeout |x close(false)",
        ConnectOptions::new(),
        |log, client| support::watch_data(&log, "C", client),
        |peer| peer.write(b"x"),
    );
}

/// T11: also when it only goes to the buffer.
#[test]
fn t11_buffered_data_is_activity() {
    expect_read_as_activity(
        "| mark | timeout, 1 buffered |x close(false)",
        ConnectOptions::new(),
        |log, client| {
            client.on_timeout(move |client| log.add("C", format!("{} buffered", client.readable_length())));
        },
        |peer| peer.write(b"x"),
    );
}

/// T1: the peer's FIN is activity.
#[test]
fn t1_eof_is_activity() {
    expect_read_as_activity(
        "| ~ end | mark | timeout |x close(false)",
        ConnectOptions::new().allow_half_open(true),
        |_, _| {},
        RawPeer::half_close,
    );
}

/// T1: a write is activity when it starts.
#[test]
fn t1_a_write_is_activity() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, _| {
            client.set_timeout(milliseconds(200));
            after(100, move || {
                client.write_with("x", support::callback(&log, "C", "written"));
            });
            mark(&log, 250, "mark");
            destroy_after_timeout(client, 0);
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| ~ written | mark | timeout |x close(false)");
    });
}

/// T1: an asynchronous write is activity again when it completes: the mark is armed there, for longer than what remains
/// of the time since its start.
#[test]
fn t1_the_completion_of_a_write_is_activity() {
    support::test(|event_loop| {
        let log = Log::new();
        let raw = RawListener::bind();
        let client = net::connect(raw.address()).expect("connect");
        support::watch_socket(&log, "C", client);
        client.once_ready(move |client| {
            let mut peer = raw.accept();
            client.set_timeout(milliseconds(400));
            client.write_with(vec![0; MORE_THAN_THE_KERNEL_TAKES], move |_, _| {
                log.add("C", "written");
                mark(&log, 350, "mark");
            });
            after(200, move || {
                support::in_thread(move || peer.drain());
            });
            destroy_after_timeout(client, 0);
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| drain, written | mark | timeout |x close(false)");
    });
}

// ---------------------------------------------------------------------------------------------------------------------
// T2: what is not

/// T2: `end()` and the shutdown are no activity.
#[test]
fn t2_end_is_no_activity() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, _| {
            client.set_timeout(milliseconds(300));
            after(100, move || {
                client.end();
            });
            mark(&log, 350, "mark");
            after(500, move || {
                client.destroy();
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| ~ finish | timeout | mark |x close(false)");
    });
}

/// T2: nor is a write while connecting, which starts nothing.
#[test]
fn t2_a_write_while_connecting_is_no_activity() {
    support::test(|event_loop| {
        let log = Log::new();
        let hole = BlackHole::new();
        let client = net::connect(hole.address()).expect("connect");
        support::watch_socket(&log, "C", client);
        client.set_timeout(milliseconds(300));
        after(100, move || {
            client.write("x");
        });
        mark(&log, 350, "mark");
        after(500, move || {
            client.destroy();
        });
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttempt | timeout | mark |x close(false)");
    });
}

/// T2: nor are bytes that arrive while the socket does not read.
#[test]
fn t2_data_for_a_socket_that_does_not_read_is_no_activity() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), move |client, peer| {
            client.set_timeout(milliseconds(300));
            after(100, move || peer.borrow_mut().write(b"x"));
            mark(&log, 350, "mark");
            after(500, move || {
                client.destroy();
            });
        });
        client.pause();
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| timeout | mark |x close(false)");
    });
}

/// T2: nor is a write that is only queued behind another. T4 lets the timeout come after twice the time; if the queued
/// write counted, it would take half of it longer.
#[test]
fn t2_a_queued_write_is_no_activity() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, _| {
            client.set_timeout(milliseconds(500));
            client.write(vec![0; MORE_THAN_THE_KERNEL_TAKES]);
            after(250, move || {
                client.write("queued");
            });
            mark(&log, 1125, "mark");
            after(1300, move || {
                client.destroy();
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| timeout | mark |x close(false)");
    });
}

// ---------------------------------------------------------------------------------------------------------------------
// T3, T4: firing

/// T3: activity in the handler arms the timer again, each time once.
#[test]
fn t3_activity_after_a_timeout_arms_it_again() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, _| {
            client.set_timeout(milliseconds(50));
            let mut times = 0;
            client.on_timeout(move |client| {
                times += 1;
                if times < 3 {
                    client.write("x");
                } else {
                    after(200, move || {
                        client.destroy();
                    });
                }
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| timeout | timeout | timeout |x close(false)");
    });
}

/// T3: so does another `set_timeout`; its time counts from the call.
#[test]
fn t3_set_timeout_after_a_timeout_arms_it_again() {
    support::test(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        support::watch_socket(&log, "C", socket);
        let mut times = 0;
        let mut armed = Instant::now();
        socket.set_timeout(milliseconds(20));
        socket.on_timeout(move |socket| {
            times += 1;
            assert!(armed.elapsed() >= milliseconds(20), "{:?}", armed.elapsed());
            if times < 3 {
                armed = Instant::now();
                socket.set_timeout(milliseconds(20));
            } else {
                after(100, move || {
                    socket.destroy();
                });
            }
        });
        run_until_closed(event_loop, socket);
        log.assert_of("C", "timeout | timeout | timeout | ~ close(false)");
    });
}

/// T3: and after a pause of its own: activity long after the `timeout`.
#[test]
fn t3_activity_long_after_a_timeout_arms_it_again() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, _| {
            client.set_timeout(milliseconds(50));
            client.once_timeout(move |client| {
                after(150, move || {
                    log.add("C", "write");
                    client.write("x");
                    destroy_after_timeout(client, 100);
                });
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| timeout | write | timeout |x close(false)");
    });
}

/// T3: received bytes do that as well as sent ones.
#[test]
fn t3_data_after_a_timeout_arms_it_again() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, peer| {
            support::watch_data(&log, "C", client);
            client.set_timeout(milliseconds(50));
            client.once_timeout(move |client| {
                peer.borrow_mut().write(b"x");
                destroy_after_timeout(client, 100);
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| timeout | data | timeout |x close(false)");
    });
}

/// T4: the first expiry after a partly sent write is suppressed, so that a stalled one takes twice the time.
#[test]
fn t4_a_stalled_write_times_out_after_twice_the_time() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, _| {
            let set = Instant::now();
            client.set_timeout(milliseconds(300));
            client.write_with(vec![0; MORE_THAN_THE_KERNEL_TAKES], support::callback(&log, "C", "written"));
            client.on_timeout(move |client| {
                assert!(set.elapsed() >= milliseconds(600), "{:?}", set.elapsed());
                log.add("C", client.writable_length());
            });
            mark(&log, 350, "mark");
            destroy_after_timeout(client, 250);
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| mark | timeout, 20000000 |x written(write ECANCELED) |x close(false)");
    });
}

/// T4: steady progress suppresses it for as long as the write takes.
#[test]
fn t4_steady_progress_suppresses_the_timeout() {
    const TIMEOUT: Duration = milliseconds(500);
    /// Bytes per second: half of the bytes have to be read before the kernel holds the rest, which takes longer than two
    /// timeouts. The kernel announces room several times within one.
    const RATE: f64 = 8e6;
    support::test(|event_loop| {
        let log = Log::new();
        let raw = RawListener::bind();
        let client = net::connect(raw.address()).expect("connect");
        support::watch_socket(&log, "C", client);
        client.once_ready(move |client| {
            let peer = raw.accept();
            client.set_timeout(TIMEOUT);
            let start = Instant::now();
            client.write_with(vec![0; MORE_THAN_THE_KERNEL_TAKES], move |client, result| {
                assert!(start.elapsed() > 2 * TIMEOUT, "the write took only {:?}", start.elapsed());
                log.add("C", support::outcome("written", result));
                client.destroy();
            });
            support::in_thread(move || {
                // A slow reader that catches up with its own pace when it was held up.
                let (start, mut total) = (Instant::now(), 0.0);
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = peer.stream().read(&mut buffer) {
                    total += length as f64;
                    support::busy(Duration::from_secs_f64(total / RATE).saturating_sub(start.elapsed()));
                }
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| drain, written |x close(false)");
    });
}

/// T1, TM3: activity leaves the timer's list where it stands in the queue, as in Node. A loop that is so late that the true
/// deadline has passed too serves it at that place, before a timer that was due in between.
#[test]
fn t1_a_late_loop_serves_the_timeout_at_its_old_place() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), move |client, _| {
            client.set_timeout(milliseconds(50));
            mark(&log, 70, "mark");
            after(30, move || {
                client.write("activity");
                support::busy(milliseconds(100));
            });
            client.on_timeout(move |client| {
                after(30, move || {
                    client.destroy();
                })
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| timeout | mark |x close(false)");
    });
}

// ---------------------------------------------------------------------------------------------------------------------
// T5 to T7: the call

/// T5: zero cancels; a callback that was given stays, and runs at a later timeout.
#[test]
fn t5_zero_cancels() {
    support::test(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        support::watch_socket(&log, "C", socket);
        assert_eq!((socket.timeout(), socket.listener_count(SocketEvent::Timeout)), (None, 1));
        let guard = event_loop.keep_alive();
        socket.set_timeout_with(milliseconds(30), move |socket| {
            log.add("C", "callback");
            set_immediate(move || log.add("C", socket.listener_count(SocketEvent::Timeout)));
            drop(guard);
        });
        assert_eq!(socket.listener_count(SocketEvent::Timeout), 2);
        socket.set_timeout(Duration::ZERO);
        assert_eq!(socket.timeout(), Some(Duration::ZERO));
        assert_eq!(socket.listener_count(SocketEvent::Timeout), 2);
        after(100, move || {
            log.add("C", "again");
            socket.set_timeout(milliseconds(30));
        });
        event_loop.run().expect("run");
        log.assert_of("C", "again | timeout, callback | 1");
    });
}

/// T6: the callback is a one-shot listener in its place among the others.
#[test]
fn t6_the_callback_is_a_one_shot_listener() {
    support::test(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        socket.on_timeout(move |_| log.add("C", "first"));
        socket.set_timeout_with(milliseconds(20), move |same| {
            assert_eq!(same, socket);
            log.add("C", "callback");
        });
        let mut times = 0;
        socket.on_timeout(move |socket| {
            log.add("C", "last");
            times += 1;
            if times == 1 {
                socket.set_timeout(milliseconds(20));
            } else {
                halfclose::stop();
            }
        });
        let _guard = event_loop.keep_alive();
        event_loop.run().expect("run");
        log.assert_of("C", "first, callback, last | first, last");
    });
}

/// T7: it works without a handle.
#[test]
fn t7_a_socket_without_a_handle_times_out() {
    support::test(|event_loop| {
        let log = Log::new();
        let socket = Socket::new();
        support::watch_socket(&log, "C", socket);
        socket.set_timeout(milliseconds(20));
        socket.on_timeout(move |socket| log.add("C", format!("{} {}", socket.ready_state(), socket.pending())));
        after(60, || ());
        event_loop.run().expect("run");
        log.assert_of("C", "timeout, open true");
    });
}

/// T7: while connecting, also by the option of `connect`; the attempt goes on.
#[test]
fn t7_a_connecting_socket_times_out() {
    support::test(|event_loop| {
        let log = Log::new();
        let hole = BlackHole::new();
        let address = hole.address();
        let options = ConnectOptions::new().host("127.0.0.1").port(address.port()).timeout(milliseconds(50));
        let client = net::connect(options).expect("connect");
        assert_eq!(client.timeout(), Some(milliseconds(50)));
        support::watch_socket(&log, "C", client);
        client.on_timeout(move |client| {
            log.add("C", client.ready_state());
            assert!(client.connecting());
        });
        destroy_after_timeout(client, 100);
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttempt | timeout, opening |x close(false)");
    });
}

/// T8: it never keeps the loop alive, connected or not.
#[test]
fn t8_an_idle_timer_does_not_keep_the_loop_alive() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of_peer(&log, ConnectOptions::new(), |client, _| {
            client.set_timeout(milliseconds(50));
            client.unref();
        });
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttempt | connect, ready");
    });
}

/// An accepted socket times out like any other.
#[test]
fn accepted_sockets_time_out() {
    support::test(|event_loop| {
        let log = Log::new();
        support::pair(
            event_loop,
            &log,
            ServerOptions::new(),
            ConnectOptions::new(),
            |accepted| {
                accepted.set_timeout(milliseconds(30));
                accepted.on_timeout(|accepted| {
                    accepted.end();
                });
            },
            |_| {},
        );
        log.assert_of("S", "connection | timeout | ~ finish | ~ end |x close(false)");
    });
}

// ---------------------------------------------------------------------------------------------------------------------
// T9, T10: the end of it, and its range

/// T9: `destroy()` cancels it, and a later `set_timeout` does nothing, not even to the property.
#[test]
fn t9_destroy_cancels() {
    support::test(|event_loop| {
        let log = Log::new();
        let other = Socket::new();
        support::watch_socket(&log, "other", other);
        other.set_timeout(milliseconds(20));
        other.destroy();
        client_of_peer(&log, ConnectOptions::new(), move |client, _| {
            client.set_timeout(milliseconds(20));
            client.retain();
            client.destroy();
            client.set_timeout(milliseconds(10));
            assert_eq!(client.timeout(), Some(milliseconds(20)));
            client.set_timeout_with(Duration::ZERO, |_| panic!("destroyed"));
            assert_eq!(client.timeout(), Some(milliseconds(20)));
            after(100, move || {
                assert_eq!(client.timeout(), Some(milliseconds(20)));
                client.release();
            });
        });
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttempt | connect, ready |x close(false)");
        log.assert_of("other", "close(false)");
        assert_eq!(event_loop.timers(), 0);
    });
}

/// T9: a reconnect does not arm it again, although the property still has the old value.
#[test]
fn t9_a_reconnect_does_not_arm_it() {
    support::test(|event_loop| {
        let log = Log::new();
        let raw = RawListener::bind();
        let address = raw.address();
        let client = net::connect(address).expect("connect");
        support::watch_socket(&log, "C", client);
        client.set_timeout(milliseconds(300));
        let peers = RefCell::new(Vec::new());
        client.on_connect(move |client| {
            let mut peer = raw.accept();
            if peers.borrow().is_empty() {
                peer.half_close();
            } else {
                assert_eq!(client.timeout(), Some(milliseconds(300)));
                after(500, move || {
                    client.destroy();
                });
            }
            peers.borrow_mut().push(peer);
        });
        client.once_close(move |client, _| {
            client.connect(address).expect("connect");
        });
        event_loop.run().expect("run");
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false) ~ connectionAttempt | connect, ready \
             |x close(false)",
        );
    });
}

/// T9: nor does activity on the new connection; a new call does.
#[test]
fn t9_a_call_after_a_reconnect_arms_it() {
    support::test(|event_loop| {
        let log = Log::new();
        let raw = RawListener::bind();
        let address = raw.address();
        let client = net::connect(address).expect("connect");
        support::watch_socket(&log, "C", client);
        client.set_timeout(milliseconds(300));
        let peers = RefCell::new(Vec::new());
        client.on_connect(move |client| {
            let mut peer = raw.accept();
            if peers.borrow().is_empty() {
                peer.half_close();
            } else {
                client.write("x");
                after(450, move || {
                    log.add("C", "set_timeout()");
                    client.set_timeout(milliseconds(50));
                });
                destroy_after_timeout(client, 0);
            }
            peers.borrow_mut().push(peer);
        });
        client.once_close(move |client, _| {
            client.connect(address).expect("connect");
        });
        event_loop.run().expect("run");
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false) ~ connectionAttempt | connect, ready \
             | set_timeout() | timeout |x close(false)",
        );
    });
}

/// `socket.timeout` is what was last asked for, in every state: also after `destroy()`, which `setTimeout()` no longer
/// changes, after `close`, and when the socket connects again.
#[test]
fn the_timeout_is_told_as_long_as_there_is_a_socket() {
    support::test(|event_loop| {
        let raw = RawListener::bind();
        for timeout in [milliseconds(50), Duration::from_nanos(1), Duration::from_nanos(1_500_001), Duration::MAX] {
            let socket = Socket::new().retain();
            assert_eq!(socket.timeout(), None);
            socket.set_timeout(Duration::ZERO);
            assert_eq!(socket.timeout(), Some(Duration::ZERO));
            socket.set_timeout(timeout);
            assert_eq!(socket.timeout(), Some(timeout));
            socket.destroy();
            assert_eq!(socket.timeout(), Some(timeout));
            socket.set_timeout(milliseconds(70));
            assert_eq!(socket.timeout(), Some(timeout), "destroyed");
            assert_eq!(event_loop.timers(), 0, "nothing is armed any more");
            event_loop.run().expect("run");
            assert_eq!((socket.closed(), socket.timeout()), (true, Some(timeout)));

            socket.connect(("127.0.0.1", raw.port())).expect("connect");
            assert_eq!(socket.timeout(), Some(timeout), "connecting");
            socket.once_connect(move |socket| {
                assert_eq!(socket.timeout(), Some(timeout), "connected");
                socket.set_timeout(Duration::ZERO);
                socket.destroy();
            });
            event_loop.run().expect("run");
            assert_eq!((socket.closed(), socket.timeout()), (true, Some(Duration::ZERO)));
            socket.release();
        }
    });
}

/// T10: fractions of a millisecond are allowed, and times beyond Node's 2^31 - 1 ms are taken for what they are.
#[test]
fn t10_range() {
    support::test(|event_loop| {
        let log = Log::new();
        for (name, timeout) in
            [("fraction", Duration::from_micros(500)), ("long", milliseconds(1 << 31)), ("endless", Duration::MAX)]
        {
            let socket = Socket::with_options(SocketOptions::new());
            support::watch_socket(&log, name, socket);
            socket.set_timeout(timeout);
            assert_eq!(socket.timeout(), Some(timeout));
        }
        after(50, || ());
        event_loop.run().expect("run");
        log.assert_of("fraction", "timeout");
        log.assert_of("long", "");
        log.assert_of("endless", "");
    });
}
