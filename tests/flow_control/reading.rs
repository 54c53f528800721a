//! Rules F20 to F27: when reading starts and stops, and how what was read is delivered.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use halfclose::net::{ConnectOptions, Server, ServerOptions, Socket};
use halfclose::{EventLoop, next_tick, set_timeout};

use crate::support::{self, Log, RawPeer};
use crate::{HIGH_WATER_MARK, MILLISECOND, client_of_peer, every_millisecond};

/// Has the peer write each chunk once the one before was read by the client, then a FIN. The peer lives as long as the
/// client.
fn feed(client: Socket, peer: RawPeer, chunks: &'static [&'static str]) {
    let peer = Rc::new(RefCell::new(peer));
    client.set_data(peer.clone());
    let mut chunks = chunks.iter();
    let mut sent = 0;
    every_millisecond(move || {
        if client.bytes_read() < sent {
            return false;
        }
        match chunks.next() {
            Some(chunk) => {
                peer.borrow_mut().write(chunk.as_bytes());
                sent += chunk.len() as u64;
                false
            }
            None => {
                peer.borrow_mut().half_close();
                true
            }
        }
    });
}

/// Has the peer write `bytes` and a FIN once the client has read `length` bytes. The peer lives as long as the client.
fn send_after(client: Socket, peer: RawPeer, length: u64, bytes: &'static [u8]) {
    let peer = Rc::new(RefCell::new(peer));
    client.set_data(peer.clone());
    every_millisecond(move || {
        let read = client.bytes_read() == length;
        if read {
            peer.borrow_mut().write(bytes);
            peer.borrow_mut().half_close();
        }
        read
    });
}

/// Records each `data` on its own, unlike the folding of the shared log.
fn add_each_data(log: &Log, client: Socket) {
    let log = *log;
    client.on_data(move |_, bytes| log.add("C", format!("data({})", String::from_utf8_lossy(bytes))));
}

/// Runs `body` in a timer's callback, and the loop to its end.
fn run_in_timer(event_loop: &mut EventLoop, body: impl FnMut() + 'static) {
    set_timeout(MILLISECOND, body);
    event_loop.run().expect("run");
}

/// F20: reading starts by itself, without any listener, and stops at the high-water mark: the loop ends by itself (R2).
#[test]
fn f20_reading_starts_without_listeners_and_stops_at_the_mark() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |client, mut peer| {
            peer.write(&[b'x'; 150_000]);
            client.set_data(peer);
        });
        event_loop.run().expect("run");
        assert_eq!((client.readable_length(), client.bytes_read()), (HIGH_WATER_MARK, HIGH_WATER_MARK as u64));
        assert_eq!(client.readable_flowing(), None);
        log.assert_of("C", "connectionAttempt | connect, ready");
    });
}

/// F20: the same for an accepted socket.
#[test]
fn f20_accepted_sockets_read_by_themselves() {
    support::test(|event_loop| {
        let server = Server::new();
        let accepted = Rc::new(Cell::new(None));
        let seen = accepted.clone();
        server.on_listening(|server| {
            let mut peer = RawPeer::connect(support::loopback(support::port_of(server)));
            peer.write(&[b'x'; 150_000]);
            server.on_connection(move |_, _| {
                let _held = &peer;
            });
        });
        server.on_connection(move |server, socket| {
            seen.set(Some(socket));
            server.unref();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("run");
        let accepted = accepted.get().expect("a connection");
        assert_eq!((accepted.readable_length(), accepted.bytes_read()), (HIGH_WATER_MARK, HIGH_WATER_MARK as u64));
    });
}

/// F21: a read of the kernel takes up to 65536 bytes, whatever the mark.
#[test]
fn f21_kernel_reads_do_not_depend_on_the_mark() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().readable_high_water_mark(10);
        let client = client_of_peer(&log, options, |client, mut peer| {
            peer.write(&[b'x'; 150_000]);
            client.set_data(peer);
        });
        event_loop.run().expect("run");
        assert_eq!((client.readable_length(), client.bytes_read()), (HIGH_WATER_MARK, HIGH_WATER_MARK as u64));
        log.assert_of("C", "connectionAttempt | connect, ready");
    });
}

/// F21: small packets are read until the mark is reached.
#[test]
fn f21_small_packets_fill_the_buffer_to_the_mark() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().readable_high_water_mark(10);
        let client = client_of_peer(&log, options, |client, mut peer| {
            let mut sent = 0;
            let mut waited = 0;
            every_millisecond(move || {
                if client.bytes_read() == sent {
                    peer.write(b"12345");
                    sent += 5;
                    waited = 0;
                } else {
                    waited += 1;
                }
                // Fifty turns of the loop are enough for a packet that is read at all.
                waited == 50
            });
        });
        event_loop.run().expect("run");
        assert_eq!((client.readable_length(), client.bytes_read()), (10, 10));
        log.assert_of("C", "connectionAttempt | connect, ready");
    });
}

/// F2, F21: with a mark of zero a socket that nobody reads holds one read.
#[test]
fn f21_a_mark_of_zero_holds_one_read() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new().high_water_mark(0), |client, mut peer| {
            peer.write(b"abc");
            send_after(client, peer, 3, b"def");
        });
        event_loop.run().expect("run");
        assert_eq!((client.readable_length(), client.bytes_read()), (3, 3));
        run_in_timer(event_loop, move || {
            log.add("C", "listen");
            add_each_data(&log, client);
        });
        log.assert_after("C", "ready", "| listen ~ data(abc) | data(def) | ~ end | ~ finish |x close(false)");
    });
}

/// F22: paused before it connected, a socket reads nothing until `resume()`; a `data` listener does not change that.
#[test]
fn f22_pause_before_connect_reads_nothing() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |client, mut peer| {
            peer.write(b"hello");
            peer.half_close();
            client.set_data(peer);
        });
        client.pause();
        event_loop.run().expect("run");
        assert_eq!((client.readable_length(), client.bytes_read()), (0, 0));
        assert_eq!((client.is_paused(), client.readable_flowing()), (true, Some(false)));
        run_in_timer(event_loop, move || add_each_data(&log, client));
        assert_eq!((client.readable_length(), client.bytes_read()), (0, 0));
        run_in_timer(event_loop, move || {
            client.resume();
            assert_eq!((client.is_paused(), client.readable_flowing()), (false, Some(true)));
            log.add("C", "resume()");
        });
        log.assert_after("C", "ready", "| resume() | data(hello) | ~ end | ~ finish |x close(false)");
    });
}

/// F22: so does a socket of a server with `pause_on_connect`.
#[test]
fn f22_pause_on_connect_reads_nothing() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::with_options(ServerOptions::new().pause_on_connect(true));
        let accepted = Rc::new(Cell::new(None));
        let seen = accepted.clone();
        server.on_listening(|server| {
            let mut peer = RawPeer::connect(support::loopback(support::port_of(server)));
            peer.write(b"hello");
            peer.half_close();
            server.on_connection(move |_, _| {
                let _held = &peer;
            });
        });
        server.on_connection(move |server, socket| {
            seen.set(Some(socket));
            log.add("S", "connection");
            support::watch_socket(&log, "S", socket);
            support::watch_data_bytes(&log, "S", socket);
            assert_eq!((socket.is_paused(), socket.readable_flowing()), (true, Some(false)));
            server.close();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("run");
        let accepted = accepted.get().expect("a connection");
        assert_eq!((accepted.readable_length(), accepted.bytes_read()), (0, 0));
        run_in_timer(event_loop, move || {
            log.add("S", "resume()");
            accepted.resume();
        });
        log.assert_of("S", "connection | resume() | data(hello) | ~ end | ~ finish |x close(false)");
    });
}

/// F23, F24: `pause()` stops `data` at once while the transport reads on up to the mark; `resume()` delivers later.
#[test]
fn f23_pause_reads_ahead_up_to_the_mark() {
    const LENGTH: usize = 500_000;
    support::test(|event_loop| {
        let log = Log::new();
        let received = Rc::new(Cell::new(0));
        let total = received.clone();
        let client = client_of_peer(&log, ConnectOptions::new(), |_, mut peer| {
            support::in_thread(move || {
                peer.write(&[b'x'; LENGTH]);
                peer.half_close();
                peer.drain();
            });
        });
        client.on_data(move |client, bytes| {
            if total.get() == 0 {
                client.pause();
                log.add("C", format!("paused {} {:?}", client.is_paused(), client.readable_flowing()));
            } else {
                log.add_data("C");
            }
            total.set(total.get() + bytes.len());
        });
        event_loop.run().expect("run");
        let first = received.get();
        let ahead = client.readable_length();
        // The last read that fits below the mark may overshoot it by almost a whole one.
        assert!((HIGH_WATER_MARK..2 * HIGH_WATER_MARK).contains(&ahead), "{ahead} bytes read ahead");
        assert_eq!(client.bytes_read(), (first + ahead) as u64);
        let unchanged = received.clone();
        run_in_timer(event_loop, move || {
            client.resume();
            assert_eq!(unchanged.get(), first, "resume() delivered within the call");
            log.add("C", "resume()");
        });
        assert_eq!(received.get(), LENGTH);
        log.assert_after(
            "C",
            "ready",
            "| paused true Some(false) | resume() ~ data | ~ end | ~ finish |x close(false)",
        );
    });
}

/// F23: `pause()` also stops chunks that are buffered already.
#[test]
fn f23_pause_stops_buffered_chunks() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |client, peer| {
            client.pause();
            feed(client, peer, &["a", "b", "c"]);
        });
        add_each_data(&log, client);
        client.on_data(|client, bytes| {
            if bytes == b"a" {
                client.pause();
            }
        });
        event_loop.run().expect("run");
        assert_eq!(client.readable_length(), 3);
        for _ in 0..2 {
            run_in_timer(event_loop, move || {
                log.add("C", "resume()");
                client.resume();
            });
        }
        log.assert_after(
            "C",
            "ready",
            "| resume() ~ data(a) | resume() ~ data(b), data(c) ~ end | ~ finish |x close(false)",
        );
    });
}

/// F24: buffered chunks come in one deferred tick, each on its own, before ticks queued after `resume()`; the `end` they
/// make possible was queued when the last of them left the buffer, before its listeners ran.
#[test]
fn f24_resume_delivers_chunks_in_a_tick() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |client, peer| {
            client.pause();
            feed(client, peer, &["a", "b", "c"]);
        });
        client.on_data(move |_, bytes| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            log.add("C", format!("data({text})"));
            next_tick(move || log.add("C", format!("tick({text})")));
        });
        event_loop.run().expect("run");
        assert_eq!((client.readable_length(), client.bytes_read()), (3, 3));
        run_in_timer(event_loop, move || {
            client.resume();
            next_tick(move || log.add("C", "tick"));
            log.add("C", "resume()");
        });
        log.assert_after(
            "C",
            "ready",
            "| resume() ~ data(a), data(b), data(c) ~ tick ~ tick(a) ~ tick(b) ~ end ~ tick(c) | ~ finish |x close(false)",
        );
    });
}

/// F24: after the buffered chunks reading goes on.
#[test]
fn f24_reading_goes_on_after_resume() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new().readable_high_water_mark(4), |client, mut peer| {
            client.pause();
            peer.write(b"1234");
            send_after(client, peer, 4, b"5678");
        });
        add_each_data(&log, client);
        event_loop.run().expect("run");
        assert_eq!((client.readable_length(), client.bytes_read()), (4, 4));
        run_in_timer(event_loop, move || {
            client.resume();
            log.add("C", "resume()");
        });
        log.assert_after("C", "ready", "| resume() ~ data(1234) | data(5678) | ~ end | ~ finish |x close(false)");
    });
}

/// F25: flowing, with a listener and an empty buffer, a chunk is delivered in the read callback itself.
#[test]
fn f25_a_fresh_chunk_is_delivered_at_once() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |client, peer| feed(client, peer, &["a", "b"]));
        add_each_data(&log, client);
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| data(a) | data(b) | ~ end | ~ finish |x close(false)");
    });
}

/// F25: what was buffered before there was a listener comes in a tick.
#[test]
fn f25_a_late_listener_gets_buffered_chunks_in_a_tick() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |client, peer| feed(client, peer, &["a", "b"]));
        event_loop.run().expect("run");
        assert_eq!((client.readable_length(), client.readable_flowing()), (2, None));
        run_in_timer(event_loop, move || {
            add_each_data(&log, client);
            log.add("C", "listen");
        });
        log.assert_after("C", "ready", "| listen ~ data(a), data(b) ~ end | ~ finish |x close(false)");
    });
}

/// F25: flowing without a `data` listener, data is discarded.
#[test]
fn f25_flowing_without_a_listener_discards() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), |client, mut peer| {
            client.resume();
            peer.write(b"0123456789");
            peer.half_close();
            client.set_data(peer);
        });
        client.on_end(move |client| log.add("C", format!("{} {}", client.bytes_read(), client.readable_length())));
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| ~ end, 10 0 | ~ finish |x close(false)");
    });
}

/// F26: what sets `readable_flowing`.
#[test]
fn f26_readable_flowing() {
    support::test(|_| {
        let socket = Socket::new();
        assert_eq!((socket.readable_flowing(), socket.is_paused()), (None, false));
        let listener = socket.on_data(|_, _| {});
        assert_eq!((socket.readable_flowing(), socket.is_paused()), (Some(true), false));
        assert!(socket.off(listener));
        assert_eq!((socket.readable_flowing(), socket.is_paused()), (Some(true), false));
        socket.pause();
        assert_eq!((socket.readable_flowing(), socket.is_paused()), (Some(false), true));
        socket.on_data(|_, _| {});
        assert_eq!((socket.readable_flowing(), socket.is_paused()), (Some(false), true));
        socket.resume();
        assert_eq!((socket.readable_flowing(), socket.is_paused()), (Some(true), false));

        let resumed = Socket::new();
        resumed.resume();
        assert_eq!((resumed.readable_flowing(), resumed.is_paused()), (Some(true), false));

        let once = Socket::new();
        once.once_data(|_, _| {});
        assert_eq!((once.readable_flowing(), once.is_paused()), (Some(true), false));
    });
}

/// F27: removing the last `data` listener does not pause; what arrives meanwhile is lost.
#[test]
fn f27_without_its_listener_data_is_lost() {
    support::test(|event_loop| {
        let log = Log::new();
        let client = client_of_peer(&log, ConnectOptions::new(), move |client, peer| {
            let peer = Rc::new(RefCell::new(peer));
            client.set_data(peer.clone());
            peer.borrow_mut().write(b"one");
            let mut second_sent = false;
            every_millisecond(move || match (client.bytes_read(), second_sent) {
                (3, false) => {
                    peer.borrow_mut().write(b"two");
                    second_sent = true;
                    false
                }
                (6, true) => {
                    client.on_data(move |_, bytes| {
                        log.add("C", format!("second listener {}", String::from_utf8_lossy(bytes)));
                    });
                    peer.borrow_mut().write(b"three");
                    peer.borrow_mut().half_close();
                    true
                }
                _ => false,
            });
        });
        // A one-shot listener removes itself.
        client.once_data(move |_, bytes| log.add("C", format!("first listener {}", String::from_utf8_lossy(bytes))));
        event_loop.run().expect("run");
        log.assert_after(
            "C",
            "ready",
            "| first listener one | second listener three | ~ end | ~ finish |x close(false)",
        );
    });
}
