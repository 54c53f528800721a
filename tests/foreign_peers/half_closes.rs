//! Peers that end before we do, after we do, and at the same time: L10, L16-L18, FM20.

use std::io::Read;
use std::net::Shutdown;
use std::time::Duration;

use halfclose::net::{ConnectOptions, ServerOptions};

use crate::support::{self, Log, RawPeer, callback, watch_data_bytes};
use crate::{call, pattern, serve};

/// L17, X4: a peer that half-closed is answered by a half-open server for as long as it likes.
#[test]
fn a_half_closed_peer_gets_its_answer() {
    support::test(|event_loop| {
        let log = Log::new();
        let peer = |mut peer: RawPeer| {
            peer.write(b"question");
            peer.half_close();
            peer.read_to_end().expect("a clean end")
        };
        let options = ServerOptions::new().allow_half_open(true);
        let answer = serve(event_loop, &log, options, peer, move |accepted| {
            watch_data_bytes(&log, "S", accepted);
            accepted.on_end(move |accepted| {
                accepted.write_with("first, ", callback(&log, "S", "written"));
                halfclose::set_timeout(Duration::from_millis(10), move || {
                    accepted.end_data_with("then the rest", callback(&log, "S", "ended"));
                });
            });
        });
        assert_eq!(answer, b"first, then the rest");
        log.assert_of("S", "data(question) | ~ end ~ written | ~ ended, finish |x close(false)");
    });
}

/// L11, L16: a server that is not half-open ends itself, after its `end` listeners, whose last words still arrive.
#[test]
fn a_server_that_is_not_half_open_ends_with_its_peer() {
    support::test(|event_loop| {
        let log = Log::new();
        let peer = |mut peer: RawPeer| {
            peer.half_close();
            peer.read_to_end().expect("a clean end")
        };
        let answer = serve(event_loop, &log, ServerOptions::new(), peer, |accepted| {
            accepted.on_end(|accepted| {
                accepted.write("last words");
            });
        });
        assert_eq!(answer, b"last words");
        log.assert_of("S", "end | ~ finish |x close(false)");
    });
}

/// L10, X1 against std: our half-close, then the peer's answer.
#[test]
fn a_client_that_ended_reads_the_answer() {
    support::test(|event_loop| {
        let log = Log::new();
        let peer = |mut peer: RawPeer| {
            let question = peer.read_to_end().expect("a clean end");
            peer.write(b"answer to ");
            peer.write(&question);
            question
        };
        let question = call(event_loop, &log, ConnectOptions::new(), peer, move |client| {
            watch_data_bytes(&log, "C", client);
            client.end_data_with("question", callback(&log, "C", "ended"));
        });
        assert_eq!(question, b"question");
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | ~ ended, finish | data(answer to question) | ~ end |x close(false)",
        );
    });
}

/// FM20, L18: a peer half-closes while our queue is full: everything is flushed, then comes our end.
#[test]
fn a_full_queue_is_flushed_after_the_peer_half_closed() {
    support::test(|event_loop| {
        let log = Log::new();
        let length = 20_000_000;
        let (half_closed, told) = std::sync::mpsc::channel();
        let peer = move |mut peer: RawPeer| {
            peer.half_close();
            told.recv_timeout(support::PEER_DEADLINE).expect("the server saw the end");
            peer.read_to_end().expect("a clean end")
        };
        let received = serve(event_loop, &log, ServerOptions::new(), peer, move |accepted| {
            assert!(!accepted.write_with(pattern(length), callback(&log, "S", "written")));
            let half_closed = half_closed.clone();
            accepted.on_end(move |_| half_closed.send(()).expect("the peer waits"));
        });
        assert!(received == pattern(length));
        log.assert_of("S", "end | written | ~ finish |x close(false)");
    });
}

/// L19, L60: ends of both sides that cross.
#[test]
fn ends_that_cross() {
    support::test(|event_loop| {
        let log = Log::new();
        let (ended, told) = std::sync::mpsc::channel();
        let peer = move |peer: RawPeer| {
            // Both directions at once: the peer's own end, and the certainty that ours is on its way.
            peer.stream().shutdown(Shutdown::Write).expect("shutdown");
            told.recv_timeout(support::PEER_DEADLINE).expect("the server ended");
            let mut rest = Vec::new();
            peer.stream().read_to_end(&mut rest).expect("a clean end");
            rest
        };
        let rest = serve(event_loop, &log, ServerOptions::new(), peer, move |accepted| {
            accepted.end();
            ended.send(()).expect("the peer waits");
        });
        assert!(rest.is_empty());
        log.assert_of("S", "finish | ~ end |x close(false)");
    });
}
