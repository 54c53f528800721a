//! `on_read`: reading into a buffer of the user's own (rules F50 to F55).
//!
//! May touch: the public API and the shared test support. Invariant: the peer of std sends everything before the client
//! reads, so that every read finds its buffer's worth.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, Socket};
use halfclose::set_timeout;
use support::{Log, RawListener};

/// A client, watched as `C`, of a peer that sends `bytes` and ends. `prepare` gets the client before it connects.
fn client_of(log: &Log, bytes: &'static [u8], prepare: impl FnOnce(Socket)) {
    let raw = RawListener::bind();
    let client = net::connect(("127.0.0.1", raw.port())).expect("connect");
    support::watch_socket(log, "C", client);
    prepare(client);
    client.once_connect(move |client| {
        let mut peer = raw.accept();
        peer.write(bytes);
        peer.half_close();
        client.set_data(peer);
    });
}

/// F51, F55: every read is at most the buffer, the callback runs in the read callback, there is no `data`, and `end` needs
/// no consumer.
#[test]
fn f51_reads_are_as_large_as_the_buffer() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of(&log, b"0123456789", move |client| {
            client.on_read(vec![0; 4], move |socket, bytes| {
                log.add("C", format!("{} {}", String::from_utf8_lossy(bytes), socket.bytes_read()));
                true
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| 0123 4 | 4567 8 | 89 10 | ~ end | ~ finish |x close(false)");
    });
}

/// F52: a new buffer for the first read and after each callback.
#[test]
fn f52_a_generator_of_buffers() {
    support::test(|event_loop| {
        let log = Log::new();
        let made = Rc::new(Cell::new(0));
        let count = made.clone();
        client_of(&log, b"0123456789a", move |client| {
            client.on_read_with(
                move || {
                    count.set(count.get() + 1);
                    vec![0; 4]
                },
                move |_, bytes| {
                    log.add("C", String::from_utf8_lossy(&bytes));
                    true
                },
            );
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| 0123 | 4567 | 89a | ~ end | ~ finish |x close(false)");
        assert_eq!(made.get(), 4);
    });
}

/// F53: false stops the reading until `resume`; whether it flows is not changed by that.
#[test]
fn f53_false_stops_the_reading() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of(&log, b"01234567", move |client| {
            let mut first = true;
            client.on_read(vec![0; 4], move |socket, bytes| {
                log.add("C", format!("{} {:?}", String::from_utf8_lossy(bytes), socket.readable_flowing()));
                if std::mem::take(&mut first) {
                    set_timeout(Duration::from_millis(20), move || {
                        log.add("C", format!("resume {}", socket.bytes_read()));
                        socket.resume();
                    });
                    return false;
                }
                true
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| 0123 None | resume 4 | 4567 Some(true) | ~ end | ~ finish |x close(false)");
    });
}

/// F54: `pause` stops kernel reads at once, there is no read-ahead.
#[test]
fn f54_pause_stops_at_once() {
    support::test(|event_loop| {
        let log = Log::new();
        client_of(&log, b"01234567", move |client| {
            let mut first = true;
            client.on_read(vec![0; 4], move |socket, bytes| {
                log.add("C", String::from_utf8_lossy(bytes));
                if std::mem::take(&mut first) {
                    socket.pause();
                    set_timeout(Duration::from_millis(20), move || {
                        log.add("C", format!("paused {} {}", socket.bytes_read(), socket.readable_length()));
                        socket.resume();
                    });
                }
                true
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| 0123 | paused 4 0 | 4567 | ~ end | ~ finish |x close(false)");
    });
}

/// An accepted socket may have one too, given in the `connection` listener; an empty buffer changes nothing.
#[test]
fn an_accepted_socket_with_its_own_buffer() {
    support::test(|event_loop| {
        let log = Log::new();
        support::pair(
            event_loop,
            &log,
            net::ServerOptions::new(),
            net::ConnectOptions::new(),
            move |accepted| {
                accepted.on_read(Vec::new(), |_, _| unreachable!("an empty buffer is ignored"));
                accepted.on_read(vec![0; 16], move |socket, bytes| {
                    log.add("S", format!("{} bytes", bytes.len()));
                    socket.end();
                    true
                });
            },
            |client| {
                client.write("five!");
            },
        );
        log.assert_of("S", "connection | 5 bytes | ~ finish | ~ end |x close(false)");
    });
}
