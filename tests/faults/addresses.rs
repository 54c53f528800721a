//! Addresses that run out or meet themselves (FM13, FM14, FM44).
//!
//! May touch: the public API, and the ports of a network namespace of its own (namespaces(7)). Invariant: only loopback
//! addresses.

use halfclose::net::{self, ConnectOptions};

use crate::children;
use crate::support::{self, Log, describe, local_port, watch_data_bytes, watch_socket};

/// FM14: a socket that connects to its own address is connected to itself, as TCP has it for two that connect to each other
/// (RFC 9293, 3.5), and in Node: what it writes it reads, and its end is its own peer's.
#[test]
fn fm14_connected_to_itself() {
    support::test(|event_loop| {
        let log = Log::new();
        let (_holder, port) = local_port();
        let own = ConnectOptions::new().host("127.0.0.1").port(port).local_address("127.0.0.1").local_port(port);
        let client = net::connect(own).expect("no error yet");
        watch_socket(&log, "C", client);
        watch_data_bytes(&log, "C", client);
        client.on_ready(move |client| {
            assert_eq!((client.local_port(), client.remote_port()), (Some(port), Some(port)));
            client.end_data("to myself");
        });
        event_loop.run().expect("no unhandled error");
        assert_eq!(
            log.texts_of("C"),
            ["connectionAttempt", "connect", "ready", "finish", "data(to myself)", "end", "close(false)"]
        );
        assert_eq!(event_loop.connections(), 0);
    });
}

/// FM13, FM44: more connections to one address than there are ports: each one too many fails with a typed error and a close,
/// and the others live. With a port back there is another connection.
#[test]
fn fm44_ports_run_out() {
    let in_namespace = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c"];
    // Four ports for whoever does not choose.
    let script = "ip link set lo up && echo 40000 40003 >/proc/sys/net/ipv4/ip_local_port_range && exec \"$@\"";
    let (program, options) = in_namespace.split_first().expect("words");
    let trial: Vec<&str> = options.iter().copied().chain([script, "sh", "true"]).collect();
    if !children::can(program, &trial) {
        return;
    }
    let wrapper: Vec<&str> = in_namespace.into_iter().chain([script, "sh"]).collect();
    for line in children::behind(&wrapper, "addresses::ports_run_out") {
        println!("{line}");
    }
}

#[test]
#[ignore = "needs a network of its own: run by the test above"]
fn ports_run_out() {
    const PORTS: usize = 4;
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(|socket| {
            socket.on_error(|_, _| {});
            socket.resume();
        });
        // Its own port is none of those.
        server.listen(("127.0.0.1", 20_000)).expect("listen");
        server.once_listening(move |server| {
            let connect = move |name: String| {
                let client = net::connect(("127.0.0.1", 20_000)).expect("no error yet");
                watch_socket(&log, &name, client);
                client.on_error(move |_, error| {
                    assert_eq!((error.code(), error.syscall()), (Some("EADDRNOTAVAIL"), Some("connect")));
                    children::tell(describe(error));
                });
                client
            };
            let clients: Vec<net::Socket> = (0..PORTS + 2).map(|number| connect(format!("C{number}"))).collect();
            halfclose::set_timeout(std::time::Duration::from_millis(20), move || {
                // A reset leaves no TIME_WAIT behind, so its port is free at once.
                clients[0].reset_and_destroy().expect("a TCP socket");
                let clients = clients.clone();
                clients[0].on_close(move |_, _| {
                    let last = connect("last".into());
                    let clients = clients.clone();
                    last.on_ready(move |last| {
                        for client in clients.iter().chain([&last]) {
                            client.destroy();
                        }
                        server.close();
                    });
                });
            });
        });
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("C0"), ["connectionAttempt", "connect", "ready", "close(false)"]);
        for number in 1..PORTS {
            assert_eq!(log.texts_of(&format!("C{number}")), ["connectionAttempt", "connect", "ready", "close(false)"]);
        }
        for number in PORTS..PORTS + 2 {
            log.assert_of(&format!("C{number}"), "connectionAttempt ~ error(connect EADDRNOTAVAIL) |x close(true)");
        }
        assert_eq!(log.texts_of("last"), ["connectionAttempt", "connect", "ready", "close(false)"]);
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}
