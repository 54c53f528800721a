//! `defer_accept`: a connection is accepted with its first bytes. Not in Node; tcp(7), `TCP_DEFER_ACCEPT`.

use std::time::Duration;

use halfclose::net::{ListenOptions, ServerOptions, Socket};
use halfclose::{net, set_immediate, set_timeout};

use crate::support::{self, Log, RawPeer, loopback, port_of, watch_data_bytes, watch_server, watch_socket};

/// Longer than a connection on the loopback interface ever took.
const PAUSE: Duration = Duration::from_millis(30);

/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(60);

/// Lets a raw peer connect to a server that listens with `options`. After a pause `act` is done with it, and what it
/// returns is kept until the server closed.
fn play<T: 'static>(options: ListenOptions, act: impl FnOnce(RawPeer) -> T + 'static) -> Log {
    let log = Log::new();
    support::test(|event_loop| {
        let server = net::create_server_with(ServerOptions::new(), move |socket: Socket| {
            watch_socket(&log, "S", socket);
            watch_data_bytes(&log, "S", socket);
            let server = socket.server().expect("its server");
            // A peer that stays silent is not waited for.
            socket.set_timeout_with(PAUSE, |socket| {
                socket.destroy();
            });
            server.close();
        });
        watch_server(&log, "srv", server);
        server.once_listening(move |server| {
            let peer = RawPeer::connect(loopback(port_of(server)));
            let mut act = Some((act, peer));
            set_timeout(PAUSE, move || {
                log.add("srv", "paused");
                if let Some((act, peer)) = act.take() {
                    let kept = act(peer);
                    server.once_close(move |_| drop(kept));
                }
            });
        });
        server.listen(options.host("127.0.0.1").port(0)).expect("listen");
        event_loop.run().expect("no unhandled error");
    });
    log
}

fn send(mut peer: RawPeer) -> RawPeer {
    peer.write(b"hello");
    peer.half_close();
    peer
}

/// `connection` waits for the first bytes, which follow at once; without the option, or with zero, it does not.
#[test]
fn a_connection_comes_with_its_first_bytes() {
    let log = play(ListenOptions::new().defer_accept(LONG), send);
    log.assert_of("srv", "listening | paused | connection | ~ close");
    log.assert_of("S", "data(hello) | ~ end | ~ finish |x close(false)");
    for options in [ListenOptions::new(), ListenOptions::new().defer_accept(Duration::ZERO)] {
        let log = play(options, send);
        let srv = log.of("srv");
        assert!(srv.starts_with("listening | connection | paused"), "{srv}");
    }
}

/// A peer that ends without a word is told of, too.
#[test]
fn an_end_is_something_to_tell() {
    let log = play(ListenOptions::new().defer_accept(LONG), |mut peer| {
        peer.half_close();
        peer
    });
    log.assert_of("srv", "listening | paused | connection | ~ close");
    log.assert_of("S", "end | ~ finish |x close(false)");
}

/// A peer that says nothing is accepted when the limit is over, here within two retransmissions.
#[test]
fn a_silent_peer_is_accepted_after_the_limit() {
    let log = play(ListenOptions::new().defer_accept(Duration::from_millis(1)), |peer| peer);
    log.assert_of("srv", "listening | paused | connection | ~ close");
    log.assert_of("S", "timeout |x close(false)");
}

/// A listening socket that was given is told as well; a unix socket has no such option and listens without it.
#[test]
fn it_is_set_on_a_given_socket_and_ignored_for_a_path() {
    let log = Log::new();
    support::test(|event_loop| {
        let listener = std::net::TcpListener::bind(loopback(0)).expect("bind");
        let same = listener.try_clone().expect("a second descriptor");
        let server = net::create_server(|_| {});
        server.once_listening(move |server| {
            assert_ne!(crate::kernel::defer_accept(std::os::fd::AsFd::as_fd(&same)), 0);
            server.close();
        });
        server.listen(ListenOptions::new().fd(listener).defer_accept(LONG)).expect("listen");
        event_loop.run().expect("no unhandled error");

        let path = std::env::temp_dir().join(format!("halfclose-deferring-{}.sock", std::process::id()));
        let server = net::create_server(|_| {});
        watch_server(&log, "srv", server);
        server.once_listening(|server| {
            server.close();
        });
        server.listen(ListenOptions::new().path(&path).defer_accept(LONG)).expect("listen");
        event_loop.run().expect("no unhandled error");
    });
    log.assert_of("srv", "listening ~ close");
}

/// What the peer said is read in the turn in which it is accepted, before the immediates of the `connection` listener.
/// A paused connection is not read.
#[test]
fn the_first_bytes_are_read_in_the_turn_of_the_connection() {
    for (deferred, paused, sequence) in [
        (LONG, false, "connection | data(hello) | immediate"),
        (Duration::ZERO, false, "connection | immediate | data(hello)"),
        (LONG, true, "connection | immediate"),
    ] {
        let log = Log::new();
        support::test(|event_loop| {
            let options = ServerOptions::new().pause_on_connect(paused);
            let server = net::create_server_with(options, move |socket| {
                log.add("S", "connection");
                watch_data_bytes(&log, "S", socket);
                set_immediate(move || log.add("S", "immediate"));
                socket.server().expect("its server").close();
                set_timeout(PAUSE, move || {
                    socket.destroy();
                });
            });
            server.once_listening(|server| {
                let mut peer = RawPeer::connect(loopback(port_of(server)));
                // It is all here before the server looks.
                peer.write(b"hello");
                server.once_close(move |_| peer.close());
            });
            server.listen(ListenOptions::new().host("127.0.0.1").defer_accept(deferred)).expect("listen");
            event_loop.run().expect("no unhandled error");
        });
        log.assert_of("S", sequence);
    }
}

/// They are read behind what was ready in the same turn: a newcomer does not overtake.
#[test]
fn the_first_bytes_stand_behind_what_was_ready_already() {
    let log = Log::new();
    support::test(|event_loop| {
        let mut names = vec!["second", "first"];
        let server = net::create_server(move |socket| {
            let name = names.pop().expect("two connections");
            log.add("S", name);
            socket.on_data(move |_, bytes| log.add("S", format_args!("{name}: {}", String::from_utf8_lossy(bytes))));
        });
        server.listen(ListenOptions::new().host("127.0.0.1").port(0).defer_accept(LONG)).expect("listen");
        event_loop.turn(Some(Duration::ZERO)).expect("no unhandled error");
        let connect = || {
            let mut peer = RawPeer::connect(loopback(port_of(server)));
            peer.write(b"hello");
            peer
        };
        let mut first = connect();
        for _ in 0..2 {
            // The second turn takes what the kernel says of a connection that is new to it.
            event_loop.turn(Some(Duration::ZERO)).expect("no unhandled error");
        }
        // So now it tells of the server before it tells of that connection.
        let second = connect();
        first.write(b"again");
        event_loop.turn(Some(Duration::ZERO)).expect("no unhandled error");
        first.close();
        second.close();
        server.close();
        event_loop.run().expect("no unhandled error");
    });
    log.assert_of("S", "first | first: hello | second | first: again | second: hello");
}
