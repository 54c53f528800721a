//! Which addresses are tried, in which order, and what is said of each: C20-C28.

use std::time::Duration;

use halfclose::net::{ConnectOptions, Family};

use crate::support::{self, Log};
use crate::{connect_to, refusing_port, watch, with_server};

/// C24, C25, C27: the next address follows in the same stack; what failed before is forgotten.
#[test]
fn c27_the_second_address_connects() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, move |server, port| {
            let client = connect_to(&["::1", "127.0.0.1"], ConnectOptions::new().port(port));
            watch(&log, client);
            client.on_ready(move |client| {
                let attempted = client.auto_select_family_attempted_addresses().expect("several were there");
                assert_eq!(attempted, [format!("::1:{port}"), format!("127.0.0.1:{port}")]);
                assert_eq!(client.remote_address().map(|address| address.to_string()).as_deref(), Some("127.0.0.1"));
                assert!(client.errored().is_none());
            });
            client.on_close(move |_, _| {
                server.close();
            });
        });
        log.assert_of(
            "C",
            "lookup(::1), lookup(127.0.0.1), attempt(::1) | failed(::1 ECONNREFUSED), attempt(127.0.0.1) | connect, \
             ready |x close(false)",
        );
    });
}

/// C22, L2: a single address is connected to as if it had been given.
#[test]
fn c22_one_address_is_no_choice() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, move |server, port| {
            let client = connect_to(&["127.0.0.1"], ConnectOptions::new().port(port));
            watch(&log, client);
            client.on_close(move |client, _| {
                assert_eq!(client.auto_select_family_attempted_addresses(), None);
                server.close();
            });
        });
        log.assert_of("C", "lookup(127.0.0.1), attempt(127.0.0.1) | connect, ready |x close(false)");
    });
}

/// C22: neither are several that are equal; the error is the plain one.
#[test]
fn c22_equal_addresses_are_one() {
    support::test(|event_loop| {
        let (_holder, port) = refusing_port();
        let log = Log::new();
        let client = connect_to(&["127.0.0.1", "127.0.0.1", "127.0.0.1"], ConnectOptions::new().port(port));
        watch(&log, client);
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "lookup(127.0.0.1), lookup(127.0.0.1), lookup(127.0.0.1), attempt(127.0.0.1) | failed(127.0.0.1 \
             ECONNREFUSED) ~ error(connect ECONNREFUSED) |x close(true)",
        );
    });
}

/// C21, C26: the families in turn, that of the first address first; all of them fail.
#[test]
fn c26_all_addresses_fail() {
    support::test(|event_loop| {
        let log = Log::new();
        // Nobody listens at port 1, as everywhere in these tests.
        let client = connect_to(&["127.0.0.1", "127.0.0.2", "::1", "127.0.0.3"], ConnectOptions::new().port(1));
        watch(&log, client);
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "lookup(127.0.0.1), lookup(127.0.0.2), lookup(::1), lookup(127.0.0.3), attempt(127.0.0.1) | \
             failed(127.0.0.1 ECONNREFUSED), attempt(::1) | failed(::1 ECONNREFUSED), attempt(127.0.0.2) | \
             failed(127.0.0.2 ECONNREFUSED), attempt(127.0.0.3) | failed(127.0.0.3 ECONNREFUSED) ~ \
             error([ECONNREFUSED 127.0.0.1, ECONNREFUSED ::1, ECONNREFUSED 127.0.0.2, ECONNREFUSED 127.0.0.3]) |x \
             close(true)",
        );
    });
}

/// M1: listeners that are added for one time are called for the first of several equal events, before those that were
/// added after them.
#[test]
fn m1_once_is_for_the_first_address() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = connect_to(&["127.0.0.1", "127.0.0.2"], ConnectOptions::new().port(1));
        client.once_lookup(move |_, lookup| log.add("C", format!("once {}", lookup.address().unwrap_or("none"))));
        client.once_connection_attempt(move |_, attempt| log.add("C", format!("once {}", attempt.address())));
        client.once_connection_attempt_failed(move |_, attempt, error| {
            log.add("C", format!("once {} {}", attempt.address(), error.code().unwrap_or("no code")));
        });
        watch(&log, client);
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "once 127.0.0.1, lookup(127.0.0.1), lookup(127.0.0.2), once 127.0.0.1, attempt(127.0.0.1) | once 127.0.0.1 \
             ECONNREFUSED, failed(127.0.0.1 ECONNREFUSED), attempt(127.0.0.2) | failed(127.0.0.2 ECONNREFUSED) ~ \
             error([ECONNREFUSED 127.0.0.1, ECONNREFUSED 127.0.0.2]) |x close(true)",
        );
    });
}

/// C20: a family, a local address or the option itself leave only the first address.
#[test]
fn c20_what_leaves_only_the_first_address() {
    for options in [
        ConnectOptions::new().family(Family::IPv4),
        ConnectOptions::new().local_address("127.0.0.1"),
        ConnectOptions::new().auto_select_family(false),
    ] {
        support::test(|event_loop| {
            let log = Log::new();
            let client = connect_to(&["127.0.0.1", "::1"], options.port(1));
            watch(&log, client);
            event_loop.run().expect("no unhandled error");
            log.assert_of(
                "C",
                "lookup(127.0.0.1), attempt(127.0.0.1) | failed(127.0.0.1 ECONNREFUSED) ~ error(connect ECONNREFUSED) \
                 |x close(true)",
            );
        });
    }
}

/// C20, C23: a local port alone does not; every attempt is bound to it, on its family's any-address.
#[test]
fn c23_a_local_port_is_bound_for_every_attempt() {
    support::test(|event_loop| {
        let log = Log::new();
        let (holder, local_port) = refusing_port();
        drop(holder);
        let client = connect_to(&["127.0.0.1", "::1"], ConnectOptions::new().port(1).local_port(local_port));
        watch(&log, client);
        client.on_error(move |_, error| {
            let messages: Vec<&str> = error.errors().iter().map(halfclose::Error::message).collect();
            let expected = [
                format!("connect ECONNREFUSED 127.0.0.1:1 - Local (0.0.0.0:{local_port})"),
                format!("connect ECONNREFUSED ::1:1 - Local (:::{local_port})"),
            ];
            assert_eq!(messages, expected);
            assert_eq!(error.errors()[1].local_address(), Some("::"));
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "lookup(127.0.0.1), lookup(::1), attempt(127.0.0.1) | failed(127.0.0.1 ECONNREFUSED), attempt(::1) | \
             failed(::1 ECONNREFUSED) ~ error([ECONNREFUSED 127.0.0.1, ECONNREFUSED ::1]) |x close(true)",
        );
    });
}

/// C23: an attempt that cannot be bound is no attempt: no event, only its error.
#[test]
fn c23_a_local_port_in_use_fails_without_an_attempt() {
    support::test(|event_loop| {
        let log = Log::new();
        let taken = std::net::TcpListener::bind(("0.0.0.0", 0)).expect("bind");
        let local_port = taken.local_addr().expect("an address").port();
        let client = connect_to(&["127.0.0.1", "127.0.0.2"], ConnectOptions::new().port(1).local_port(local_port));
        watch(&log, client);
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "lookup(127.0.0.1), lookup(127.0.0.2) ~ error([EADDRINUSE 0.0.0.0, EADDRINUSE 0.0.0.0]) |x close(true)",
        );
    });
}

/// C28: destroying ends the sequence at that event.
#[test]
fn c28_destroyed_in_the_events_of_an_attempt() {
    for (event, expected) in [
        ("lookup", "lookup(127.0.0.2), destroyed |x close(false)"),
        ("attempt", "lookup(127.0.0.2), lookup(127.0.0.1), attempt(127.0.0.2), destroyed |x close(false)"),
        (
            "failed",
            "lookup(127.0.0.2), lookup(127.0.0.1), attempt(127.0.0.2) | failed(127.0.0.2 ECONNREFUSED), destroyed |x \
             close(false)",
        ),
    ] {
        support::test(|event_loop| {
            let log = Log::new();
            let client = connect_to(&["127.0.0.2", "127.0.0.1"], ConnectOptions::new().port(1));
            watch(&log, client);
            let destroy = move |client: halfclose::net::Socket| {
                client.destroy();
                log.add("C", "destroyed");
            };
            match event {
                "lookup" => client.on_lookup(move |client, _| destroy(client)),
                "attempt" => client.on_connection_attempt(move |client, _| destroy(client)),
                _ => client.on_connection_attempt_failed(move |client, _, _| destroy(client)),
            };
            event_loop.run().expect("no unhandled error");
            log.assert_of("C", expected);
            assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
        });
    }
}

/// L41: a socket that failed may connect again, and chooses anew.
#[test]
fn a_reconnect_chooses_anew() {
    support::test(|event_loop| {
        let log = Log::new();
        with_server(event_loop, move |server, port| {
            let client = connect_to(&["127.0.0.2", "127.0.0.3"], ConnectOptions::new().port(1));
            watch(&log, client);
            client.once_close(move |client, _| {
                client.connect(("127.0.0.1", port)).expect("connect");
                client.once_close(move |_, _| {
                    server.close();
                });
            });
        });
        log.assert_of(
            "C",
            "lookup(127.0.0.2), lookup(127.0.0.3), attempt(127.0.0.2) | failed(127.0.0.2 ECONNREFUSED), \
             attempt(127.0.0.3) | failed(127.0.0.3 ECONNREFUSED) ~ error([ECONNREFUSED 127.0.0.2, ECONNREFUSED \
             127.0.0.3]) |x close(true) ~ attempt(127.0.0.1) | connect, ready |x close(false)",
        );
    });
}

/// C23: an attempt timeout that Node refuses.
#[test]
fn c23_attempt_timeouts_out_of_range() {
    support::test(|event_loop| {
        for (timeout, received) in
            [(Duration::ZERO, "0"), (Duration::from_micros(500), "0.5"), (Duration::from_millis(1 << 31), "2147483648")]
        {
            let options = ConnectOptions::new().host("h").port(1).auto_select_family_attempt_timeout(timeout);
            let error = halfclose::net::connect(options).expect_err("out of range");
            assert_eq!(error.code(), Some("ERR_OUT_OF_RANGE"));
            let expected = format!(
                "The value of \"options.autoSelectFamilyAttemptTimeout\" is out of range. It must be >= 1 && <= \
                 2147483647. Received {received}"
            );
            assert_eq!(error.message(), expected);
        }
        assert_eq!(event_loop.connections(), 0);
    });
}
