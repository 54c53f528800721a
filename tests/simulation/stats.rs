//! What a loop counts of things that a real network seldom does.

use std::io;
use std::time::Duration;

use halfclose::net::{self, Socket};
use halfclose::simulation::Call;
use halfclose::{EventLoop, EventLoopOptions, PanicPolicy, PanicSource};

use crate::support::{DEADLINE, Log, within};

/// Accept errors by class, and who is shed: the first client, because the descriptors are exhausted when its turn comes.
#[test]
fn accept_errors_by_class() {
    within(DEADLINE, || {
        let mut event_loop = EventLoop::simulated(1).expect("a loop");
        let simulation = event_loop.simulation().expect("simulated");
        for errno in [libc::ECONNABORTED, libc::ENOBUFS, libc::ENOMEM, libc::EPROTO, libc::EMFILE] {
            simulation.fail(Call::Accept, &io::Error::from_raw_os_error(errno), 1);
        }
        let server = net::create_server(|accepted| {
            accepted.end();
        });
        server.listen(("127.0.0.1", 80)).expect("a free port");
        let shed = net::connect(("127.0.0.1", 80)).expect("connect");
        shed.resume();
        shed.on_error(|_, _| {});
        shed.on_close(move |_, _| {
            let served = net::connect(("127.0.0.1", 80)).expect("connect");
            served.resume();
            served.on_close(move |_, _| {
                server.close();
            });
        });
        event_loop.run().expect("no unhandled error");
        let stats = event_loop.stats();
        let errors = stats.accept_errors;
        assert_eq!((errors.aborted, errors.out_of_memory, errors.other, errors.descriptors_exhausted), (1, 2, 1, 1));
        assert_eq!((stats.shed, stats.accepts), (1, 1));
        assert_eq!((stats.opened, stats.closes.total()), (3, 3), "the one that was shed was connected");
    });
}

/// A peer that vanished: keep-alive ends the connection.
#[test]
fn a_peer_that_vanished_timed_out() {
    within(DEADLINE, || {
        let mut event_loop = EventLoop::simulated(1).expect("a loop");
        let simulation = event_loop.simulation().expect("simulated");
        let server = net::create_server(|accepted: Socket| {
            accepted.on_error(|_, _| {});
        });
        server.listen(("198.51.100.7", 80)).expect("a free port");
        let client = net::connect(("198.51.100.7", 80)).expect("connect");
        client.set_keep_alive(true, Duration::from_secs(60));
        client.on_error(|_, error| assert_eq!(error.code(), Some("ETIMEDOUT")));
        client.on_close(|_, _| halfclose::stop());
        let same = simulation.clone();
        simulation.post_at(Duration::from_secs(1), move || same.vanish("198.51.100.7".parse().expect("an address")));
        event_loop.run().expect("no unhandled error");
        let stats = event_loop.stats();
        assert_eq!((stats.closes.timed_out, stats.closes.total(), stats.opened), (1, 1, 2));
    });
}

/// Bytes are what the kernel took and gave, however small the pieces.
#[test]
fn bytes_in_pieces() {
    const LENGTH: usize = 100_000;
    within(DEADLINE, || {
        let mut event_loop = EventLoop::simulated(5).expect("a loop");
        let simulation = event_loop.simulation().expect("simulated");
        simulation.set_faults(halfclose::simulation::Faults {
            short_reads: 300_000,
            short_writes: 300_000,
            ..Default::default()
        });
        let server = net::create_server(|accepted| {
            accepted.end_data(vec![1; LENGTH]);
        });
        server.listen(("127.0.0.1", 80)).expect("a free port");
        let client = net::connect(("127.0.0.1", 80)).expect("connect");
        client.resume();
        client.on_close(move |_, _| {
            server.close();
        });
        event_loop.run().expect("no unhandled error");
        let stats = event_loop.stats();
        assert_eq!((stats.bytes_read, stats.bytes_written), (LENGTH as u64, LENGTH as u64));
        assert_eq!(stats.closes.ended, 2);
    });
}

/// A panic at a virtual time is that of a post, and time goes on.
#[test]
fn a_panic_in_what_was_scheduled() {
    within(DEADLINE, || {
        let options = EventLoopOptions::new().panic_policy(PanicPolicy::CloseSocket);
        let mut event_loop = EventLoop::simulated_with(1, options).expect("a loop");
        let log = Log::new();
        event_loop.on_panic(move |source, _| {
            assert_eq!(source, PanicSource::Post);
            log.add("L", "panic");
        });
        let simulation = event_loop.simulation().expect("simulated");
        simulation.post_at(Duration::from_secs(1), || panic!("provoked"));
        simulation.post_at(Duration::from_secs(2), move || log.add("L", "later"));
        event_loop.run().expect("no panic comes out");
        assert_eq!(log.list(), ["L panic", "L later"]);
    });
}
