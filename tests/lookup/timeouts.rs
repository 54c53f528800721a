//! Addresses that do not answer: C23-C26, L34. The address that swallows connections is a full backlog, so Linux only.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use halfclose::net::{self, ConnectOptions, LookupCallback, LookupRequest, Socket};
use socket2::{Domain, Type};

use crate::support::{self, Log};
use crate::{connect_to, watch, with_server};

/// Node's smallest attempt timeout.
const SHORT: Duration = Duration::from_millis(10);

/// 127.0.0.2 (or .3) at a port: a listener that accepts nobody and whose backlog is full, so that further attempts hang.
struct Hole {
    listener: socket2::Socket,
    _fillers: Vec<socket2::Socket>,
    port: u16,
}

impl Hole {
    fn new(port: u16) -> Hole {
        Hole::at(2, port)
    }

    fn at(host: u8, port: u16) -> Hole {
        let listener = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&address(host, port).into()).expect("bind");
        listener.listen(0).expect("listen");
        listener.set_nonblocking(true).expect("non-blocking");
        let port = listener.local_addr().expect("an address").as_socket().expect("an IP address").port();
        let mut fillers = Vec::new();
        // The kernel takes one more than the backlog says; the second is there to be sure.
        for _ in 0..2 {
            let filler = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            filler.set_nonblocking(true).expect("non-blocking");
            let _ = filler.connect(&address(host, port).into());
            fillers.push(filler);
        }
        Hole { listener, _fillers: fillers, port }
    }

    /// Makes room: when the kernel sends its next SYN, the attempts that hang succeed.
    fn open(&self) {
        self.listener.listen(8).expect("a larger backlog");
        while self.listener.accept().is_ok() {}
    }
}

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), port)
}

fn options(port: u16) -> ConnectOptions {
    ConnectOptions::new().port(port).auto_select_family_attempt_timeout(SHORT)
}

/// C23, C24: the attempt whose time is over is given up, and the next one begins in the same stack.
#[test]
fn c24_an_address_that_does_not_answer_is_given_up() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, move |server, port| {
            let hole = Hole::new(port);
            let began = Instant::now();
            let client = connect_to(&["127.0.0.2", "127.0.0.1"], options(port));
            watch(&log, client);
            client.on_connection_attempt_timeout(move |_, attempt| {
                assert_eq!(attempt.port(), Some(port));
                assert!(began.elapsed() >= SHORT);
            });
            client.on_close(move |_, _| {
                let _kept = &hole;
                server.close();
            });
        });
        log.assert_of(
            "C",
            "lookup(127.0.0.2), lookup(127.0.0.1), attempt(127.0.0.2) | timeout(127.0.0.2), attempt(127.0.0.1) | \
             connect, ready |x close(false)",
        );
    });
}

/// C26: what timed out counts among the errors, and comes first.
#[test]
fn c26_a_timeout_then_a_refusal() {
    support::test(|event_loop| {
        let log = Log::new();
        let hole = Hole::new(0);
        let port = hole.port;
        let client = connect_to(&["127.0.0.2", "127.0.0.1"], options(port));
        watch(&log, client);
        client.on_error(move |_, error| {
            assert_eq!(error.errors()[0].message(), format!("connect ETIMEDOUT 127.0.0.2:{port}"));
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "lookup(127.0.0.2), lookup(127.0.0.1), attempt(127.0.0.2) | timeout(127.0.0.2), attempt(127.0.0.1) | \
             failed(127.0.0.1 ECONNREFUSED) ~ error([ETIMEDOUT 127.0.0.2, ECONNREFUSED 127.0.0.1]) |x close(true)",
        );
        assert_eq!(event_loop.timers(), 0);
    });
}

/// C24, M1: two addresses whose time is over; a listener that is added for one time hears of the first.
#[test]
fn c24_two_addresses_that_do_not_answer() {
    support::test(|event_loop| {
        let log = Log::new();
        let hole = Hole::new(0);
        let _other = Hole::at(3, hole.port);
        let client = connect_to(&["127.0.0.2", "127.0.0.3", "127.0.0.1"], options(hole.port));
        client.once_connection_attempt_timeout(move |_, attempt| log.add("C", format!("once {}", attempt.address())));
        watch(&log, client);
        client.on_connection_attempt_timeout(move |client, attempt| {
            if attempt.address() == "127.0.0.3" {
                client.destroy();
            }
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "lookup(127.0.0.2), lookup(127.0.0.3), lookup(127.0.0.1), attempt(127.0.0.2) | once 127.0.0.2, \
             timeout(127.0.0.2), attempt(127.0.0.3) | timeout(127.0.0.3) |x close(false)",
        );
    });
}

/// C25: the last address has no timer of its own; the idle timeout still counts.
#[test]
fn c25_the_last_address_takes_its_time() {
    support::test(|event_loop| {
        let log = Log::new();
        let hole = Hole::new(0);
        let client = connect_to(&["127.0.0.1", "127.0.0.2"], options(hole.port));
        watch(&log, client);
        client.set_timeout_with(SHORT * 5, move |client| {
            log.add("C", format!("idle, connecting={}", client.connecting()));
            client.destroy();
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "lookup(127.0.0.1), lookup(127.0.0.2), attempt(127.0.0.1) | failed(127.0.0.1 ECONNREFUSED), \
             attempt(127.0.0.2) | idle, connecting=true |x failed(127.0.0.2 ECANCELED) |x close(false)",
        );
    });
}

/// L34: destroyed during one of several attempts: the attempt is reported as canceled before `close`, in a callback of
/// its own.
#[test]
fn l34_destroyed_during_an_attempt() {
    for (error, expected) in [
        (None, "| destroyed |x failed(127.0.0.2 ECANCELED) |x close(false)"),
        (Some("why"), "| destroyed ~ error(why) |x failed(127.0.0.2 ECANCELED) |x close(true)"),
    ] {
        support::test(|event_loop| {
            let log = Log::new();
            let hole = Hole::new(0);
            let options = ConnectOptions::new().port(hole.port);
            let client = connect_to(&["127.0.0.2", "127.0.0.1"], options);
            watch(&log, client);
            destroy_soon(client, log, error);
            event_loop.run().expect("no unhandled error");
            log.assert_after("C", "attempt(127.0.0.2)", expected);
            assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
        });
    }
}

/// L33: with a single address nothing is reported of it.
#[test]
fn l33_destroyed_during_the_only_attempt() {
    support::test(|event_loop| {
        let log = Log::new();
        let hole = Hole::new(0);
        let client = connect_to(&["127.0.0.2"], ConnectOptions::new().port(hole.port));
        watch(&log, client);
        destroy_soon(client, log, None);
        event_loop.run().expect("no unhandled error");
        log.assert_after("C", "attempt(127.0.0.2)", "| destroyed |x close(false)");
    });
}

/// C28: destroyed when its time was over: the attempt is not reported again.
#[test]
fn c28_destroyed_in_the_timeout_of_an_attempt() {
    support::test(|event_loop| {
        let log = Log::new();
        let hole = Hole::new(0);
        let client = connect_to(&["127.0.0.2", "127.0.0.1"], options(hole.port));
        watch(&log, client);
        client.on_connection_attempt_timeout(move |client, _| {
            client.destroy();
            log.add("C", "destroyed");
        });
        event_loop.run().expect("no unhandled error");
        log.assert_after("C", "attempt(127.0.0.2)", "| timeout(127.0.0.2), destroyed |x close(false)");
    });
}

/// C40: a second `connect()` during a choice fails the socket.
#[test]
fn c40_a_second_connect_during_a_choice() {
    support::test(|event_loop| {
        let log = Log::new();
        let hole = Hole::new(0);
        let port = hole.port;
        let client = connect_to(&["127.0.0.2", "127.0.0.1"], ConnectOptions::new().port(port));
        watch(&log, client);
        halfclose::set_timeout(Duration::from_millis(1), move || {
            client.connect(("127.0.0.1", port)).expect("as in Node");
            log.add("C", "again");
        });
        event_loop.run().expect("no unhandled error");
        assert!(log.contains("C", "error(connect EALREADY)"), "{}", log.whole());
        assert!(log.contains("C", "close(true)"));
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}

/// T1: the answer of a lookup is activity: the idle timeout begins anew.
#[test]
fn t1_an_answer_restarts_the_idle_timer() {
    support::test(|event_loop| {
        let hole = Hole::new(0);
        let quiet = Duration::from_millis(40);
        let answered = Rc::new(Cell::new(None));
        let noted = answered.clone();
        let lookup = move |_: &LookupRequest, callback: LookupCallback| {
            let (noted, mut callback) = (noted.clone(), Some(callback));
            halfclose::set_timeout(quiet / 2, move || {
                noted.set(Some(Instant::now()));
                if let Some(callback) = callback.take() {
                    callback.resolve([Ipv4Addr::new(127, 0, 0, 2)]);
                }
            });
        };
        let options = ConnectOptions::new().host("h").port(hole.port).timeout(quiet).lookup(lookup);
        let client = net::connect(options).expect("connect");
        client.on_timeout(move |client| {
            let answered = answered.get().expect("the lookup came first");
            assert!(answered.elapsed() >= quiet, "{:?} after the answer", answered.elapsed());
            client.destroy();
        });
        event_loop.run().expect("no unhandled error");
    });
}

/// Racing: an address whose time was over goes on, and wins when it answers first. (Its answer comes when the kernel
/// asks for the second time, a second after the first.)
#[test]
fn racing_a_late_answer_wins() {
    support::test(|event_loop| {
        let log = Log::new();
        let late = Hole::at(2, 0);
        let port = late.port;
        let never = Hole::at(3, port);
        let client = connect_to(&["127.0.0.2", "127.0.0.3"], options(port).race_addresses(true));
        watch(&log, client);
        client.on_connection_attempt_timeout(move |_, _| late.open());
        client.on_ready(move |client| {
            let _kept = &never;
            assert_eq!(client.remote_address(), Some(address(2, port).ip()));
            assert_eq!(client.auto_select_family_attempted_addresses().map(|attempted| attempted.len()), Some(2));
            client.destroy();
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "lookup(127.0.0.2), lookup(127.0.0.3), attempt(127.0.0.2) | timeout(127.0.0.2), attempt(127.0.0.3) | \
             connect, ready |x close(false)",
        );
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}

/// Racing: when the last address fails, those before it are waited for; `destroy()` cancels them, each in a callback of
/// its own.
#[test]
fn racing_addresses_are_waited_for_and_canceled() {
    support::test(|event_loop| {
        let log = Log::new();
        let first = Hole::at(2, 0);
        let _second = Hole::at(3, first.port);
        let addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.1"];
        let client = connect_to(&addresses, options(first.port).race_addresses(true));
        watch(&log, client);
        client.on_connection_attempt_failed(move |client, attempt, _| {
            if attempt.address() == "127.0.0.1" {
                assert!(client.connecting());
                destroy_soon(client, log, None);
            }
        });
        event_loop.run().expect("no unhandled error");
        log.assert_after(
            "C",
            "attempt(127.0.0.2)",
            "| timeout(127.0.0.2), attempt(127.0.0.3) | timeout(127.0.0.3), attempt(127.0.0.1) | failed(127.0.0.1 \
             ECONNREFUSED) | destroyed |x failed(127.0.0.2 ECANCELED) |x failed(127.0.0.3 ECANCELED) |x close(false)",
        );
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}

/// Racing: what is late and fails is told too; only then have all failed.
#[test]
fn racing_all_fail() {
    support::test(|event_loop| {
        let log = Log::new();
        let hole = Hole::at(2, 0);
        let client = connect_to(&["127.0.0.2", "127.0.0.1"], options(hole.port).race_addresses(true));
        watch(&log, client);
        let mut hole = Some(hole);
        client.on_connection_attempt_failed(move |_, attempt, _| {
            if attempt.address() == "127.0.0.1" {
                // Nobody listens there any more: the kernel's next SYN is refused.
                drop(hole.take());
            }
        });
        event_loop.run().expect("no unhandled error");
        log.assert_after(
            "C",
            "attempt(127.0.0.2)",
            "| timeout(127.0.0.2), attempt(127.0.0.1) | failed(127.0.0.1 ECONNREFUSED) | failed(127.0.0.2 \
             ECONNREFUSED) ~ error([ECONNREFUSED 127.0.0.1, ECONNREFUSED 127.0.0.2]) |x close(true)",
        );
    });
}

/// C40: the same when both have several addresses, and one of them races.
#[test]
fn c40_a_second_choice_during_a_race() {
    support::test(|event_loop| {
        let log = Log::new();
        let hole = Hole::new(0);
        let options = options(hole.port).race_addresses(true).host("h").lookup(|_, callback| {
            callback.resolve([Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::LOCALHOST]);
        });
        let client = net::connect(options.clone()).expect("connect");
        watch(&log, client);
        let mut again = Some(options);
        client.on_connection_attempt_failed(move |client, _, _| {
            // The last address failed, and the first is waited for.
            if let Some(options) = again.take() {
                halfclose::set_immediate(move || {
                    client.connect(options).expect("as in Node");
                });
            }
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "timeout(127.0.0.2), attempt(127.0.0.1) | failed(127.0.0.1 ECONNREFUSED) | lookup(127.0.0.2), \
             lookup(127.0.0.1) ~ error(connect EALREADY) |x failed(127.0.0.2 ECANCELED) |x close(true)",
        );
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}

fn destroy_soon(client: Socket, log: Log, error: Option<&'static str>) {
    halfclose::set_timeout(Duration::from_millis(1), move || {
        match error {
            None => client.destroy(),
            Some(error) => client.destroy_with(error),
        };
        log.add("C", "destroyed");
    });
}
