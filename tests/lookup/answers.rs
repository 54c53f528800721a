//! Lookups and their answers: L2, L9, C10-C14.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::rc::Rc;

use halfclose::net::{self, ConnectOptions, Family, LookupCallback, LookupHints, Socket, SocketEvent};

use crate::support::{self, Log, in_thread};
use crate::{connect_to, watch, with_server};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// L2: the system's resolver answers in a callback of its own, and the attempt begins there.
#[test]
fn l2_a_name_of_the_system() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, move |server, port| {
            let options = ConnectOptions::new().host("localhost").port(port).family(Family::IPv4);
            let client = net::connect(options).expect("connect");
            watch(&log, client);
            log.add("C", "connect()");
            client.on_close(move |_, _| {
                server.close();
            });
        });
        log.assert_of("C", "connect() | lookup(127.0.0.1), attempt(127.0.0.1) | connect, ready |x close(false)");
    });
}

/// L9: the lookup fails; there is no attempt.
#[test]
fn l9_a_name_that_is_none() {
    support::test(|event_loop| {
        let log = Log::new();
        // Labels have at most 63 characters, so nobody has to be asked for this one.
        let client = net::connect(("*".repeat(64), 1)).expect("connect");
        watch(&log, client);
        log.add("C", "connect()");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connect() | lookup(getaddrinfo ENOTFOUND) ~ error(getaddrinfo ENOTFOUND) |x close(true)");
        assert_eq!(event_loop.timers(), 0, "the lookup's deadline is gone");
    });
}

/// C10: what a lookup function is asked, within `connect()`.
#[test]
fn c10_what_a_lookup_is_asked() {
    let cases: [(ConnectOptions, &str); 6] = [
        (ConnectOptions::new(), "h None LookupHints(ADDRCONFIG) all=true"),
        (ConnectOptions::new().family(Family::IPv6), "h Some(IPv6) LookupHints() all=false"),
        (ConnectOptions::new().auto_select_family(false), "h None LookupHints(ADDRCONFIG) all=false"),
        (ConnectOptions::new().local_address("127.0.0.1"), "h None LookupHints(ADDRCONFIG) all=false"),
        (ConnectOptions::new().local_port(4242), "h None LookupHints(ADDRCONFIG) all=true"),
        (
            ConnectOptions::new().hints(LookupHints::V4MAPPED | LookupHints::ALL),
            "h None LookupHints(V4MAPPED | ALL) all=true",
        ),
    ];
    support::test(|event_loop| {
        for (options, expected) in cases {
            let asked = Rc::new(RefCell::new(String::new()));
            let seen = asked.clone();
            let options = options.host("h").port(1).lookup(move |request, callback| {
                *seen.borrow_mut() =
                    format!("{} {:?} {:?} all={}", request.host(), request.family(), request.hints(), request.all());
                callback.reject("enough");
            });
            let client = net::connect(options).expect("connect");
            assert_eq!(*asked.borrow(), expected);
            client.on_error(|_, error| assert_eq!(error.message(), "enough"));
        }
        event_loop.run().expect("no unhandled error");
    });
}

/// C2, C4: addresses are not looked up.
#[test]
fn c4_an_address_is_not_looked_up() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().host("127.0.0.1").port(1).lookup(|_, _| panic!("nothing to look up"));
        let client = net::connect(options).expect("connect");
        watch(&log, client);
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "attempt(127.0.0.1) | failed(127.0.0.1 ECONNREFUSED) ~ error(connect ECONNREFUSED) |x close(true)",
        );
    });
}

/// C11, C12: an error, and an answer without addresses, which crashes Node.
#[test]
fn c12_errors_come_a_tick_after_the_lookup() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().host("h").port(1).lookup(|_, callback| {
            halfclose::next_tick(move || callback.reject("no"));
        });
        watch(&log, net::connect(options).expect("connect"));
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "lookup(no) ~ error(no) |x close(true)");

        let log = Log::new();
        watch(&log, connect_to(&[], ConnectOptions::new().port(1)));
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "lookup(getaddrinfo ENOTFOUND) ~ error(getaddrinfo ENOTFOUND) |x close(true)");
    });
}

/// C14: an answer at once: its events, and the beginning of the attempt, lie within `connect()`.
#[test]
fn c14_an_answer_within_connect() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, move |server, port| {
            let client = Socket::new();
            watch(&log, client);
            log.add("C", "before");
            let options = ConnectOptions::new().host("h").port(port).lookup(|_, callback| callback.resolve([HERE]));
            client.connect(options).expect("connect");
            log.add("C", "after");
            assert!(client.local_port().is_some(), "the kernel was asked already");
            client.on_close(move |_, _| {
                server.close();
            });
        });
        log.assert_of("C", "before, lookup(127.0.0.1), attempt(127.0.0.1), after | connect, ready |x close(false)");
    });
}

/// C14: a failure at once: `error` still comes in a tick. Also outside of `run()`.
#[test]
fn c14_a_failure_within_connect() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = Socket::new();
        watch(&log, client);
        let options = ConnectOptions::new().host("h").port(1).lookup(|_, callback| callback.reject("no"));
        client.connect(options).expect("connect");
        log.add("C", "after");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "lookup(no), after ~ error(no) |x close(true)");
    });
}

/// C13: an answer that nobody waits for any more calls nothing, and does not keep the loop alive.
#[test]
fn c13_destroyed_before_the_answer() {
    support::test(|event_loop| {
        let log = Log::new();
        let kept: Rc<RefCell<Option<LookupCallback>>> = Rc::default();
        for family in [None, Some(Family::IPv4)] {
            let keep = kept.clone();
            let mut options = ConnectOptions::new().host("h").port(1).lookup(move |_, callback| {
                *keep.borrow_mut() = Some(callback);
            });
            if let Some(family) = family {
                options = options.family(family);
            }
            let client = net::connect(options).expect("connect");
            client.retain();
            watch(&log, client);
            client.destroy();
            log.add("C", "destroyed");
            event_loop.run().expect("no unhandled error");
            log.assert_of("C", "destroyed |x close(false)");
            let callback = kept.borrow_mut().take().expect("it was asked");
            callback.resolve([HERE]);
            event_loop.run().expect("no unhandled error");
            log.assert_of("C", "destroyed |x close(false)");
            log.clear();
            client.release();
        }
    });
}

/// C13: nor does it reach a later connect of the same socket.
#[test]
fn c13_a_late_answer_does_not_reach_the_next_connect() {
    support::test(|event_loop| {
        let log = Log::new();
        let kept: Rc<RefCell<Vec<LookupCallback>>> = Rc::default();
        let keep = kept.clone();
        let options = ConnectOptions::new().host("h").port(1).lookup(move |_, callback| {
            keep.borrow_mut().push(callback);
        });
        let client = net::connect(options.clone()).expect("connect");
        watch(&log, client);
        client.destroy();
        client.once_close(move |client, _| {
            client.connect(options).expect("connect");
            let mut kept = kept.borrow_mut();
            let second = kept.pop().expect("asked again");
            let first = kept.pop().expect("asked");
            drop(kept);
            halfclose::set_immediate(move || {
                first.resolve([Ipv4Addr::new(127, 0, 0, 9)]);
                log.add("C", "first");
                second.resolve([HERE]);
            });
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "close(false) | first, lookup(127.0.0.1), attempt(127.0.0.1) | failed(127.0.0.1 ECONNREFUSED) ~ \
             error(connect ECONNREFUSED) |x close(true)",
        );
    });
}

/// A lookup may be answered on another thread; it keeps the loop alive until then.
#[test]
fn an_answer_from_another_thread() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, move |server, port| {
            let options = ConnectOptions::new().host("h").port(port).lookup(|_, callback| {
                drop(in_thread(move || callback.resolve([HERE])));
            });
            let client = net::connect(options).expect("connect");
            watch(&log, client);
            client.on_close(move |_, _| {
                server.close();
            });
        });
        log.assert_of("C", "lookup(127.0.0.1), attempt(127.0.0.1) | connect, ready |x close(false)");

        let log = Log::new();
        let options = ConnectOptions::new().host("h").port(1).lookup(|_, callback| {
            // Nothing else keeps the loop alive: without the request it would end before the thread was started.
            drop(in_thread(move || callback.reject("no")));
        });
        watch(&log, net::connect(options).expect("connect"));
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "lookup(no) ~ error(no) |x close(true)");
    });
}

/// A lookup that is dropped fails, so that no socket waits for ever.
#[test]
fn a_lookup_that_is_dropped_fails() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().host("h").port(1).lookup(|_, callback| drop(callback));
        watch(&log, net::connect(options).expect("connect"));
        log.add("C", "connect()");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connect() | lookup(getaddrinfo ECANCELLED) ~ error(getaddrinfo ECANCELLED) |x close(true)");
    });
}

/// Law 8: so does one whose function panics.
#[test]
fn a_lookup_that_panics_fails() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = Socket::new();
        watch(&log, client);
        let options = ConnectOptions::new().host("h").port(1).lookup(|_, _| panic!("on purpose"));
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.connect(options)));
        assert!(caught.is_err() && client.connecting());
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "lookup(getaddrinfo ECANCELLED) ~ error(getaddrinfo ECANCELLED) |x close(true)");
    });
}

/// A callback that outlives its loop is inert.
#[test]
fn a_callback_outlives_its_loop() {
    let kept: Rc<RefCell<Vec<LookupCallback>>> = Rc::default();
    support::test(|_event_loop| {
        for _ in 0..2 {
            let keep = kept.clone();
            let options =
                ConnectOptions::new().host("h").port(1).lookup(move |_, callback| keep.borrow_mut().push(callback));
            net::connect(options).expect("connect");
        }
    });
    support::test(|event_loop| {
        let kept = std::mem::take(&mut *kept.borrow_mut());
        let mut kept = kept.into_iter();
        kept.next().expect("two").resolve([HERE]);
        drop(kept);
        event_loop.run().expect("nothing happens");
    });
}

/// The zone of a link-local address is kept, and a port means nothing.
#[test]
fn addresses_with_zone_and_port() {
    support::test(|event_loop| {
        let log = Log::new();
        let zoned = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().expect("an address"), 99, 0, 1));
        let options = ConnectOptions::new().host("h").port(1).lookup(move |_, callback| {
            halfclose::next_tick(move || callback.resolve([zoned]));
        });
        let client = net::connect(options).expect("connect");
        assert_eq!(client.listener_count(SocketEvent::Lookup), 0);
        client.on_lookup(move |_, lookup| {
            log.add("C", format!("{} {:?} {}", lookup.address().expect("one"), lookup.family(), lookup.host()));
        });
        client.on_connection_attempt(move |client, attempt| {
            assert_eq!(attempt.port(), Some(1));
            client.destroy();
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "fe80::1%1 Some(IPv6) h");
    });
}
