//! A reset in each state of a connection (FM16, FM21): one error, unless the connection was over for us already, and
//! one close.
//!
//! Resets of an idle connection, of one with unread input, of one with queued output, while paused and after our end are in
//! `lifecycle/failing.rs` and `foreign_peers/resets.rs`; here are the states that are left.
//!
//! May touch: the public API and peers on std sockets. Invariant: the peer's part happens within a listener of ours, so that
//! the loop finds it as a whole.

use halfclose::net::{self, ServerOptions};

use crate::accepting::with_peer;
use crate::support::{self, Log, RawPeer, callback, refusing_port, watch_data_bytes, watch_socket};

/// FM16, SYN_SENT: the answer to the first segment is a reset.
#[test]
fn fm16_while_connecting() {
    support::test(|event_loop| {
        let log = Log::new();
        let (_holder, port) = refusing_port();
        let client = net::connect(("127.0.0.1", port)).expect("no error yet");
        watch_socket(&log, "C", client);
        client.write_with("never", callback(&log, "C", "written"));
        event_loop.run().expect("no unhandled error");
        let expected = "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) |x \
                        close(true), written(ERR_SOCKET_CLOSED_BEFORE_CONNECTION)";
        log.assert_of("C", expected);
        assert_eq!(event_loop.connections(), 0);
    });
}

/// FM16, FM21, CLOSE_WAIT: the peer has ended its side, and resets while ours is open.
#[test]
fn fm16_after_the_peer_ended() {
    let ended = |peer: &mut RawPeer| {
        peer.write(b"last");
        peer.half_close();
    };
    let log = with_peer(ServerOptions::new().allow_half_open(true), ended, |log, socket, peer| {
        watch_data_bytes(&log, "S", socket);
        socket.on_end(move |socket| {
            if let Some(peer) = peer.take() {
                peer.reset();
            }
            // Some turns, in which the kernel's word of it comes and changes nothing: nobody reads any more.
            halfclose::set_timeout(std::time::Duration::from_millis(20), move || {
                log.add("S", "write");
                socket.write_with("x", callback(&log, "S", "written"));
            });
        });
    });
    let texts = ["data(last)", "end", "write", "written(write EPIPE)", "error(write EPIPE)", "close(true)"];
    assert_eq!(log.texts_of("S"), texts);
}

/// FM21: the same with output that the peer does not take: the write in flight is cut off, once, and nothing spins.
#[test]
fn fm21_while_the_rest_is_flushed() {
    let log = with_peer(ServerOptions::new().allow_half_open(true), RawPeer::half_close, |log, socket, peer| {
        socket.resume();
        socket.write_with(vec![7; 20_000_000], callback(&log, "S", "written"));
        socket.on_end(move |socket| {
            assert!(socket.writable_length() > 0, "the kernel cannot hold all of it");
            if let Some(peer) = peer.take() {
                peer.reset();
            }
        });
    });
    assert_eq!(log.texts_of("S"), ["end", "written(write EPIPE)", "error(write EPIPE)", "close(true)"]);
}

/// FM16, FIN_WAIT: we have ended our side, and the peer resets instead of ending its own.
#[test]
fn fm16_after_we_ended() {
    let log = with_peer(
        ServerOptions::new(),
        |_| {},
        |_, socket, peer| {
            socket.resume();
            socket.on_finish(move |_| {
                if let Some(peer) = peer.take() {
                    peer.reset();
                }
            });
            socket.end();
        },
    );
    log.assert_of("S", "finish | ~ error(read ECONNRESET) |x close(true)");
}

/// FM16, LAST_ACK: both sides have ended, and what we sent is not acknowledged: the connection is over, whatever comes.
#[test]
fn fm16_after_both_ended() {
    let log = with_peer(ServerOptions::new(), RawPeer::half_close, |log, socket, peer| {
        socket.resume();
        // More than the peer's window, less than both kernels' buffers together: our end is stuck behind it.
        socket.write_with(vec![7; 100_000], callback(&log, "S", "written"));
        socket.on_finish(move |_| {
            if let Some(peer) = peer.take() {
                peer.reset();
            }
        });
    });
    assert_eq!(log.texts_of("S"), ["written", "end", "finish", "close(false)"]);
}

/// SP16: no error shows what a peer has sent, in any of its forms.
#[test]
fn sp16_errors_hold_nothing_of_the_peers() {
    const SECRET: &str = "c3VwZXItc2VjcmV0";
    let speak = |peer: &mut RawPeer| peer.write(SECRET.as_bytes());
    let log = with_peer(ServerOptions::new(), speak, |log, socket, peer| {
        socket.on_error(move |_, error| {
            let forms = [error.to_string(), format!("{error:?}"), format!("{error:#?}"), error.message().to_string()];
            assert!(forms.iter().all(|form| !form.contains(SECRET)), "{forms:?}");
            let as_io = std::io::Error::from(error.clone());
            assert!(!format!("{as_io} {as_io:?}").contains(SECRET));
        });
        socket.on_data(move |_, bytes| {
            log.add_data_bytes("S", bytes);
            if let Some(peer) = peer.take() {
                peer.reset();
            }
        });
    });
    assert_eq!(log.texts_of("S"), [&format!("data({SECRET})"), "error(read ECONNRESET)", "close(true)"]);
}
