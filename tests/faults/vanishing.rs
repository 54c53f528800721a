//! Peers that vanish without a word (FM22): keep-alive notices where nothing is sent, `user_timeout` where something is, and
//! the idle timeout is another matter.
//!
//! A peer vanishes by a filter of its own socket that throws all its segments away before TCP looks at them
//! (`SO_ATTACH_FILTER`, socket(7)): nothing is acknowledged and nothing refused any more, as with a cable that was cut.
//!
//! May touch: the public API, std sockets, socket2 and libc. Invariant: a filtered socket is kept until the test is over.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, KeepAliveOptions, ServerOptions};
use socket2::SockRef;

use crate::accepting::with_peer;
use crate::kernel;
use crate::support::{self, Log, callback, loopback, port_of, watch_socket};

/// Nothing that arrives at `socket` is seen from now on.
fn deafen(socket: &impl AsRawFd) {
    let drop_all = libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 };
    let program = libc::sock_fprog { len: 1, filter: (&raw const drop_all).cast_mut() };
    let length = libc::socklen_t::try_from(size_of_val(&program)).expect("a small structure");
    // SAFETY: the pointers are to a structure and an instruction that live longer than the call, and the kernel copies both.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            length,
        )
    };
    assert_eq!(outcome, 0, "SO_ATTACH_FILTER: {}", io::Error::last_os_error());
}

/// FM22: nothing was sent. The probes go unanswered, which is told once; the idle timeout came before, and closed nothing.
#[test]
fn fm22_keep_alive_notices_an_idle_peer() {
    let second = Duration::from_secs(1);
    let log = with_peer(
        ServerOptions::new(),
        |peer| deafen(peer.stream()),
        move |_, socket, _| {
            let probes = KeepAliveOptions::new().enable(true).initial_delay(second).interval(second).count(1);
            socket.set_keep_alive_with(probes).set_timeout(second / 4);
            socket.resume();
        },
    );
    log.assert_of("S", "timeout | ~ error(read ETIMEDOUT) |x close(true)");
}

/// FM22: something was sent, and is never acknowledged.
#[test]
fn fm22_the_user_timeout_notices_what_is_not_acknowledged() {
    let options = ServerOptions::new().user_timeout(Duration::from_millis(300));
    let log = with_peer(
        options,
        |peer| deafen(peer.stream()),
        |log, socket, _| {
            socket.write_with("x", callback(&log, "S", "written"));
            socket.resume();
        },
    );
    // For us it was written: the kernel had taken it.
    log.assert_of("S", "written | ~ error(read ETIMEDOUT) |x close(true)");
}

/// FM22: the same with more than the kernel takes: the write in flight fails with the connection.
#[test]
fn fm22_the_user_timeout_cuts_off_a_write_in_flight() {
    let options = ServerOptions::new().user_timeout(Duration::from_millis(300));
    let log = with_peer(
        options,
        |peer| deafen(peer.stream()),
        |log, socket, _| {
            socket.write_with(vec![7; 20_000_000], callback(&log, "S", "written"));
            socket.resume();
        },
    );
    log.assert_of("S", "error(read ETIMEDOUT) |x written(write ECANCELED) |x close(true)");
}

/// FM23: a peer that is there and never reads: the time that output waits behind its closed window counts too (tcp(7)).
#[test]
fn fm23_the_user_timeout_counts_behind_a_closed_window() {
    let options = ServerOptions::new().user_timeout(Duration::from_millis(300));
    let log = with_peer(
        options,
        |_| {},
        |log, socket, _| {
            socket.write_with(vec![7; 20_000_000], callback(&log, "S", "written"));
            socket.resume();
        },
    );
    log.assert_of("S", "error(read ETIMEDOUT) |x written(write ECANCELED) |x close(true)");
}

/// FM22: without any of these a peer that vanished is no event: the idle timeout is what tells of it.
#[test]
fn fm22_the_idle_timeout_is_independent() {
    let log = with_peer(
        ServerOptions::new(),
        |peer| deafen(peer.stream()),
        |log, socket, _| {
            socket.write_with("x", callback(&log, "S", "written"));
            socket.resume();
            socket.set_timeout_with(Duration::from_millis(100), |socket| {
                socket.destroy();
            });
        },
    );
    log.assert_of("S", "written | timeout |x close(false)");
}

/// FM13, FM22: a connect that nobody answers ends when its user ends it; the kernel goes on asking for two minutes.
#[test]
fn fm22_a_connect_that_nobody_answers() {
    support::test(|event_loop| {
        let log = Log::new();
        let listener = TcpListener::bind(loopback(0)).expect("bind");
        deafen(&listener);
        let port = listener.local_addr().expect("a bound socket").port();
        let client = net::connect(("127.0.0.1", port)).expect("no error yet");
        watch_socket(&log, "C", client);
        client.write_with("never", callback(&log, "C", "written"));
        client.set_timeout_with(Duration::from_millis(100), |client| {
            assert!(client.connecting());
            client.destroy();
        });
        event_loop.run().expect("no unhandled error");
        let expected = "connectionAttempt | timeout |x close(false), written(ERR_SOCKET_CLOSED_BEFORE_CONNECTION)";
        log.assert_of("C", expected);
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}

/// The option reaches the kernel from wherever it is given, and zero takes it back.
#[test]
fn the_user_timeout_is_the_kernels() {
    let (first, second) = (Duration::from_millis(30_000), Duration::from_millis(1_500));
    support::test(|event_loop| {
        let seen = |local: u16, peer: u16| {
            kernel::connected(local, peer, |descriptor| {
                SockRef::from(&descriptor).tcp_user_timeout().expect("TCP_USER_TIMEOUT")
            })
        };
        let server = net::Server::with_options(ServerOptions::new().user_timeout(first));
        server.on_connection(move |server, socket| {
            let (local, peer) = (port_of(server), socket.remote_port().expect("a peer"));
            assert_eq!(seen(local, peer), Some(first));
            socket.set_user_timeout(second);
            assert_eq!(seen(local, peer), Some(second));
            // Less than the kernel can count is the least that it can.
            socket.set_user_timeout(Duration::from_nanos(1));
            assert_eq!(seen(local, peer), Some(Duration::from_millis(1)));
            socket.set_user_timeout(Duration::ZERO);
            assert_eq!(seen(local, peer), None);
            socket.end();
            if server.connections() == 2 {
                server.close();
            }
        });
        server.once_listening(move |server| {
            let port = port_of(server);
            let with_option = ConnectOptions::new().host("127.0.0.1").port(port).user_timeout(first);
            let remembered = net::Socket::new().set_user_timeout(first);
            net::connect(with_option).expect("connect").on_connect(move |client| {
                assert_eq!(seen(client.local_port().expect("a port"), port), Some(first));
                client.resume();
            });
            remembered.connect(("127.0.0.1", port)).expect("connect");
            remembered.on_connect(move |client| {
                assert_eq!(seen(client.local_port().expect("a port"), port), Some(first));
                client.resume();
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(event_loop.connections(), 0);
    });
}
