//! The conversation of every tutorial, on a simulated network.

use std::time::Duration;

use halfclose::{EventLoop, net};

use crate::support::{DEADLINE, Log, within};

/// An echo server and a client that sends `text` and ends.
fn echo(event_loop: &mut EventLoop, text: &'static str) -> Log {
    let log = Log::new();
    let server = net::create_server(move |socket| {
        log.add("S", "connection");
        socket.on_data(move |socket, bytes| {
            log.add_data_bytes("S", bytes);
            socket.write(bytes);
        });
        socket.on_end(move |_| log.add("S", "end"));
        socket.on_close(move |_, _| log.add("S", "close"));
    });
    server.on_close(move |_| log.add("server", "close"));
    server.listen(("127.0.0.1", 8888)).expect("a free port");
    let client = net::connect(("127.0.0.1", 8888)).expect("a valid address");
    client.on_connect(move |client| {
        log.add("C", "connect");
        client.end_data(text);
    });
    client.on_data(move |_, bytes| log.add_data_bytes("C", bytes));
    client.on_end(move |_| log.add("C", "end"));
    client.on_close(move |_, _| {
        log.add("C", "close");
        server.close();
    });
    event_loop.run().expect("no unhandled error");
    log
}

#[test]
fn an_echo_is_the_same_on_both_kernels() {
    within(DEADLINE, || {
        let mut simulated = EventLoop::simulated(1).expect("a loop");
        let simulation = simulated.simulation().expect("simulated");
        let log = echo(&mut simulated, "hello");
        assert_eq!(simulation.accounts().open_descriptors, 0);
        assert_eq!(simulation.accounts().sockets, 0);
        drop(simulated);
        let mut real = EventLoop::new().expect("a loop");
        let expected = echo(&mut real, "hello");
        assert_eq!(log.list(), expected.list());
        log.assert_of("C", &expected.of("C"));
        log.assert_of("S", &expected.of("S"));
    });
}

#[test]
fn a_loop_that_waits_for_nothing_says_so() {
    within(DEADLINE, || {
        let mut event_loop = EventLoop::simulated(1).expect("a loop");
        let server = net::create_server(|_| {});
        server.listen(("127.0.0.1", 8888)).expect("a free port");
        let error = event_loop.run().expect_err("nobody ever connects");
        assert_eq!(error.code(), Some("ERR_SIMULATION_STUCK"));
        server.close();
        event_loop.run().expect("it goes on");
        assert!(event_loop.simulation().expect("simulated").now() < Duration::from_secs(1));
    });
}
