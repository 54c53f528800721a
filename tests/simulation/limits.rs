//! What is not simulated says so.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use halfclose::net::{self, BoundSocket, ListenOptions, Socket, SocketOptions};
use halfclose::{EventLoop, EventLoopOptions, Interest, watch};

use crate::support::{DEADLINE, Log, within};

#[test]
fn descriptors_from_outside_are_refused() {
    within(DEADLINE, || {
        let mut event_loop = EventLoop::simulated(1).expect("a loop");
        let log = Log::new();
        let (near, far) = UnixStream::pair().expect("a pair");
        let error = watch(near, Interest::READABLE, |_, _, _| {}).expect_err("not simulated");
        assert_eq!(error.code(), Some("ENOTSUP"));
        let socket = Socket::with_options(SocketOptions::new().fd(far).expect("a stream socket"));
        socket.on_error(move |_, error| log.add("C", error));
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let server = net::create_server(|_| {});
        server.on_error(move |_, error| log.add("srv", error));
        server.listen(ListenOptions::from(listener)).expect("told later");
        event_loop.run().expect("it ends");
        log.assert_of("C", "open ENOTSUP");
        log.assert_of("srv", "listen ENOTSUP: operation not supported on socket");
    });
}

#[test]
fn simulated_descriptors_stay() {
    within(DEADLINE, || {
        let mut event_loop = EventLoop::simulated(1).expect("a loop");
        let log = Log::new();
        let server = net::create_server(|socket| {
            socket.resume();
        });
        server.listen(("127.0.0.1", 80)).expect("a free port");
        let client = net::connect(("127.0.0.1", 80)).expect("valid");
        client.on_ready(move |client| {
            let error = client.into_fd().expect_err("not simulated");
            log.add("C", error.code().unwrap_or_default());
            client.end();
        });
        client.resume();
        client.on_close(move |_, had_error| {
            log.add("C", had_error);
            server.close();
        });
        event_loop.run().expect("it ends");
        assert_eq!(log.texts_of("C"), ["ERR_WORKER_HANDLE_NOT_TRANSFERABLE", "false"]);
    });
}

#[test]
fn a_bound_socket_of_another_kernel_is_refused() {
    within(DEADLINE, || {
        let simulated = EventLoop::simulated(1).expect("a loop");
        let bound = BoundSocket::new(("127.0.0.1", 80)).expect("a free port");
        assert!(bound.fd().expect("not adopted") >= 3);
        drop(simulated);
        let mut real = EventLoop::new().expect("a loop");
        let log = Log::new();
        let server = net::create_server(|_| {});
        server.on_error(move |_, error| log.add("srv", error));
        server.listen(&bound).expect("told later");
        real.run().expect("it ends");
        log.assert_of("srv", "listen ENOTSUP: operation not supported on socket");
    });
}

#[test]
fn spinning_ends_in_virtual_time_too() {
    within(DEADLINE, || {
        let options = EventLoopOptions::new().spin_before_wait(Duration::from_millis(1));
        let mut event_loop = EventLoop::simulated_with(1, options).expect("a loop");
        let client = net::connect(("198.51.100.7", 80)).expect("valid");
        client.on_error(|_, error| assert_eq!(error.code(), Some("ECONNREFUSED")));
        event_loop.run().expect("it ends");
    });
}
