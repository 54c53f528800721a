//! Addresses that a block list forbids to connect to: C30. Every sequence was taken from Node 26.10.

use halfclose::net::{self, BlockList, ConnectOptions};

use crate::support::{self, Log};
use crate::{connect_to, refusing_port, watch, with_server};

fn blocking(addresses: &[&str]) -> BlockList {
    let mut list = BlockList::new();
    list.add_addresses(addresses.iter().copied()).expect("addresses");
    list
}

/// C30: a single address is announced before it is found to be blocked, and did not fail: it was not tried. A mapped
/// address is the IPv4 address.
#[test]
fn c30_a_single_address_is_blocked() {
    for (host, name) in [("127.0.0.1", false), ("::ffff:127.0.0.1", false), ("127.0.0.1", true)] {
        support::test(|event_loop| {
            let log = Log::new();
            halfclose::set_immediate(move || {
                // Port 1 would be refused.
                let options = ConnectOptions::new().port(1).block_list(&blocking(&["127.0.0.1"]));
                let client = if name {
                    connect_to(&[host], options)
                } else {
                    net::connect(options.host(host)).expect("connect")
                };
                watch(&log, client);
                client.on_error(move |_, error| {
                    assert_eq!(error.message(), format!("IP({host}) is blocked by net.BlockList"));
                    assert_eq!(
                        (error.errno(), error.syscall(), error.address(), error.port()),
                        (None, None, None, None)
                    );
                });
                client.on_close(|client, _| assert_eq!(client.auto_select_family_attempted_addresses(), None));
            });
            event_loop.run().expect("no unhandled error");
            let lookup = if name { format!("lookup({host}), ") } else { String::new() };
            log.assert_of("C", &format!("{lookup}attempt({host}) ~ error(ERR_IP_BLOCKED) |x close(true)"));
        });
    }
}

/// C30: among several, a blocked one fails without having been tried, and the next one follows in the same stack.
#[test]
fn c30_a_blocked_address_is_passed_over() {
    for (addresses, expected) in [
        (
            ["127.0.0.2", "127.0.0.1"],
            "lookup(127.0.0.2), lookup(127.0.0.1), failed(127.0.0.2 ERR_IP_BLOCKED), attempt(127.0.0.1) | connect, \
             ready |x close(false)",
        ),
        (
            ["127.0.0.1", "127.0.0.2"],
            "lookup(127.0.0.1), lookup(127.0.0.2), attempt(127.0.0.1) | connect, ready |x close(false)",
        ),
    ] {
        support::test(|event_loop| {
            let log = Log::new();
            with_server(event_loop, move |server, port| {
                let options = ConnectOptions::new().port(port).block_list(&blocking(&["127.0.0.2"]));
                let client = connect_to(&addresses, options);
                watch(&log, client);
                client.on_close(move |client, _| {
                    let attempted = client.auto_select_family_attempted_addresses().expect("several were there");
                    assert_eq!(attempted, [format!("127.0.0.1:{port}")]);
                    server.close();
                });
            });
            log.assert_of("C", expected);
        });
    }
}

/// C30, C26: a blocked address counts among the failures, and not among the addresses that were tried.
#[test]
fn c30_a_refused_and_a_blocked_address() {
    support::test(|event_loop| {
        let (holder, port) = refusing_port();
        let log = Log::new();
        let options = ConnectOptions::new().port(port).block_list(&blocking(&["127.0.0.2"]));
        let client = connect_to(&["127.0.0.1", "127.0.0.2"], options);
        watch(&log, client);
        client.on_close(move |client, _| {
            let attempted = client.auto_select_family_attempted_addresses().expect("several were there");
            assert_eq!(attempted, [format!("127.0.0.1:{port}")]);
        });
        event_loop.run().expect("no unhandled error");
        drop(holder);
        log.assert_of(
            "C",
            "lookup(127.0.0.1), lookup(127.0.0.2), attempt(127.0.0.1) | failed(127.0.0.1 ECONNREFUSED), \
             failed(127.0.0.2 ERR_IP_BLOCKED) ~ error([ECONNREFUSED 127.0.0.1, ERR_IP_BLOCKED no address]) \
             |x close(true)",
        );
    });
}

/// C30: all of them blocked.
#[test]
fn c30_all_addresses_are_blocked() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().port(1).block_list(&blocking(&["127.0.0.1", "::1"]));
        let client = connect_to(&["127.0.0.1", "::1"], options);
        watch(&log, client);
        client.on_error(|_, error| {
            assert_eq!((error.message(), error.code()), ("", Some("ERR_IP_BLOCKED")));
            let messages: Vec<&str> = error.errors().iter().map(|error| error.message()).collect();
            assert_eq!(messages, ["127.0.0.1", "::1"].map(|host| format!("IP({host}) is blocked by net.BlockList")));
        });
        client.on_close(|client, _| {
            assert_eq!(client.auto_select_family_attempted_addresses().expect("several"), [] as [String; 0]);
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "C",
            "lookup(127.0.0.1), lookup(::1), failed(127.0.0.1 ERR_IP_BLOCKED), failed(::1 ERR_IP_BLOCKED) ~ \
             error([ERR_IP_BLOCKED no address, ERR_IP_BLOCKED no address]) |x close(true)",
        );
    });
}
