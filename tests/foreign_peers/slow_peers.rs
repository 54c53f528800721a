//! Peers that dribble, pause or never read: FM01, FM23, FM41, F7, F8, F11.

use std::cell::Cell;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use halfclose::net::{self, ServerOptions};

use crate::support::{self, Log, RawPeer, callback, loopback, port_of, watch_socket};
use crate::{pattern, serve};

/// FM01, F14: single bytes arrive complete and in order, both ways.
#[test]
fn one_byte_at_a_time() {
    support::test(|event_loop| {
        let log = Log::new();
        let sent = pattern(3_000);
        let expected = sent.clone();
        let peer = move |mut peer: RawPeer| {
            let mut answer = Vec::new();
            for byte in &sent {
                peer.write(std::slice::from_ref(byte));
                answer.extend(peer.read_exact(1));
            }
            peer.half_close();
            answer.extend(peer.read_to_end().expect("a clean end"));
            answer
        };
        let echoed = serve(event_loop, &log, ServerOptions::new(), peer, move |accepted| {
            accepted.on_data(move |accepted, bytes| {
                assert_eq!(bytes.len(), 1);
                log.add_data_length("S", bytes.len());
                accepted.write(bytes);
            });
        });
        assert!(echoed == expected);
        log.assert_of("S", "data(3000) | ~ end | ~ finish |x close(false)");

        // Without waiting for the answers, so that several may come in one read.
        let log = Log::new();
        let sent = expected.clone();
        let peer = move |mut peer: RawPeer| {
            peer.write_bytewise(&sent);
            peer.half_close();
            peer.read_to_end().expect("a clean end")
        };
        let echoed = serve(event_loop, &log, ServerOptions::new(), peer, move |accepted| {
            accepted.on_data(move |accepted, bytes| {
                log.add_data_length("S", bytes.len());
                accepted.write(bytes);
            });
        });
        assert!(echoed == expected);
        log.assert_of("S", "data(3000) | ~ end | ~ finish |x close(false)");
    });
}

/// FM23, F3, F11: a peer that never reads holds its own connection up and nobody else's, without any event.
#[test]
fn a_peer_that_never_reads_holds_up_nobody_else() {
    support::test(|event_loop| {
        let log = Log::new();
        let length = 20_000_000;
        let server = net::Server::new();
        let mut stubborn = None;
        server.on_connection(move |server, accepted| {
            let Some(first) = stubborn else {
                stubborn = Some(accepted);
                watch_socket(&log, "stubborn", accepted);
                assert!(!accepted.write_with(vec![0; length], callback(&log, "stubborn", "written")));
                assert!(accepted.writable_need_drain());
                return;
            };
            watch_socket(&log, "other", accepted);
            accepted.on_data(|accepted, bytes| {
                accepted.write(bytes);
            });
            accepted.on_close(move |_, _| {
                // All the while nothing happened to the first one; its write keeps its full length (F11).
                assert_eq!((first.writable_length(), first.bytes_written()), (length, length as u64));
                log.add("stubborn", "destroy()");
                first.destroy();
                server.close();
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let peers = Rc::new(Cell::new(None));
        let started = peers.clone();
        server.once_listening(move |server| {
            let address = loopback(port_of(server));
            let stubborn = RawPeer::connect(address);
            let other = support::in_thread(move || {
                let mut other = RawPeer::connect(address);
                for round in 0..100_u8 {
                    other.write(&[round; 100]);
                    assert_eq!(other.read_exact(100), [round; 100]);
                }
                other.half_close();
                other.read_to_end().expect("a clean end").len()
            });
            started.set(Some((stubborn, other)));
        });
        event_loop.run().expect("no unhandled error");
        let (mut stubborn_peer, other) = peers.take().expect("the server listened");
        assert_eq!(other.join(), 0);
        log.assert_of("other", "end | ~ finish |x close(false)");
        log.assert_of("stubborn", "destroy() |x written(write ECANCELED) |x close(false)");
        // What the kernel had taken still arrives, and then an end.
        let (received, reset) = stubborn_peer.drain();
        assert!(received > 0 && received < length as u64, "{received} bytes");
        assert_eq!(reset, None);
    });
}

/// F7, F8: a peer that begins to read late gets everything, and `drain` comes once.
#[test]
fn a_peer_that_reads_late_gets_everything() {
    support::test(|event_loop| {
        let log = Log::new();
        let length = 20_000_000;
        let (written, told) = std::sync::mpsc::channel();
        let peer = move |mut peer: RawPeer| {
            told.recv_timeout(support::PEER_DEADLINE).expect("the server wrote");
            peer.read_to_end().expect("a clean end")
        };
        let received = serve(event_loop, &log, ServerOptions::new(), peer, move |accepted| {
            let more = accepted.write_with(pattern(length), callback(&log, "S", "written"));
            log.add("S", format!("write={more}"));
            written.send(()).expect("the peer waits");
            accepted.on_drain(|accepted| {
                accepted.end();
            });
        });
        assert!(received == pattern(length));
        log.assert_of("S", "write=false | drain, written | ~ finish | ~ end |x close(false)");
    });
}

/// FM41: an urgent byte is no part of the stream, and does not stall it.
#[test]
fn an_urgent_byte_does_not_stall_the_stream() {
    support::test(|event_loop| {
        let log = Log::new();
        let peer = |mut peer: RawPeer| {
            peer.write(b"ab");
            assert_eq!(peer.read_exact(2), b"ab");
            // SAFETY: the pointer is to one byte that outlives the call, and the length is one.
            let sent = unsafe { libc::send(peer.stream().as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) };
            assert_eq!(sent, 1);
            peer.write(b"cd");
            peer.half_close();
            peer.read_to_end().expect("a clean end")
        };
        let echoed = serve(event_loop, &log, ServerOptions::new(), peer, |accepted| {
            accepted.on_data(|accepted, bytes| {
                accepted.write(bytes);
            });
        });
        assert_eq!(echoed, b"cd");
        log.assert_of("S", "end | ~ finish |x close(false)");
    });
}

/// F24, F21: a large transfer to us, with pauses in between, arrives complete and in order.
#[test]
fn a_large_transfer_survives_pauses() {
    support::test(|event_loop| {
        let log = Log::new();
        let length = 5_000_000;
        let peer = move |mut peer: RawPeer| {
            peer.write(&pattern(length));
            peer.half_close();
            peer.read_to_end().expect("a clean end")
        };
        let answer = serve(event_loop, &log, ServerOptions::new(), peer, move |accepted| {
            let mut received = Vec::new();
            accepted.on_data(move |accepted, bytes| {
                received.extend_from_slice(bytes);
                accepted.pause();
                halfclose::set_immediate(move || {
                    accepted.resume();
                });
                if received.len() == length {
                    assert!(received == pattern(length));
                    log.add("S", "everything");
                }
            });
        });
        assert!(answer.is_empty());
        // Whether the end was read together with the last bytes is up to the peer's thread.
        assert_eq!(log.texts_of("S"), ["everything", "end", "finish", "close(false)"]);
    });
}
