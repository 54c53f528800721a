//! The type of service: C46, C48. The rule numbers are those of the behaviour reference.
//!
//! May touch: the public API, and the kernel's own view of accepted sockets.

mod support;

use halfclose::net::{self, ConnectOptions, Socket};

use support::{Log, port_of};

/// C46: cached before there is a connection and after it, the kernel's in between.
#[test]
fn c46_the_life_of_a_type_of_service() {
    for host in ["127.0.0.1", "::1"] {
        support::test(|event_loop| {
            let log = Log::new();
            let server = net::create_server(move |socket| {
                log.add("S", socket.type_of_service().expect("the kernel knows"));
                socket.end();
                socket.resume();
            });
            server.on_listening(move |server| {
                let client = Socket::new();
                log.add("C", client.type_of_service().expect("nothing was set"));
                client.set_type_of_service(0x10).expect("cached");
                log.add("C", client.type_of_service().expect("cached"));
                client.connect((host, port_of(server))).expect("connect");
                client.on_connect(move |client| {
                    log.add("C", client.type_of_service().expect("the kernel's"));
                    client.set_type_of_service(0xFF).expect("the kernel takes it");
                    log.add("C", client.type_of_service().expect("the kernel's"));
                });
                client.resume();
                client.on_close(move |client, _| {
                    log.add("C", client.type_of_service().expect("cached"));
                    server.close();
                });
            });
            server.listen((host, 0)).expect("listen");
            event_loop.run().expect("no unhandled error");
            // Linux keeps the two ECN bits to itself.
            assert_eq!(log.texts_of("C"), ["0", "16", "16", "252", "255"]);
            assert_eq!(log.texts_of("S"), ["0"]);
        });
    }
}

/// C48: as an option it is set before `connect` is emitted.
#[test]
fn c48_an_option_of_connect() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = net::create_server(|socket| {
            socket.end();
        });
        server.on_listening(move |server| {
            let options = ConnectOptions::new().host("127.0.0.1").port(port_of(server)).type_of_service(0x20);
            let client = net::connect(options).expect("connect");
            client.on_connect(move |client| log.add("C", client.type_of_service().expect("the kernel's")));
            client.resume();
            client.on_close(move |_, _| {
                server.close();
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "32");
    });
}

/// A freed handle has none.
#[test]
fn a_freed_handle_has_none() {
    support::test(|_event_loop| {
        let socket = Socket::new();
        socket.release();
        assert_eq!(socket.set_type_of_service(1).and_then(Socket::type_of_service).expect("inert"), 0);
    });
}
