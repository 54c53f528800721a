//! `batch_writes`: Node's idiom `socket.cork(); process.nextTick(() => socket.uncork())`, done by the library. Not in
//! Node, so the sequences here are those of the idiom (F15, F16), or of no batch at all where the documentation says that
//! a batch changes nothing.

#[cfg(target_os = "linux")]
use std::cell::Cell;
use std::rc::Rc;

use halfclose::net::{ConnectOptions, ServerOptions, Socket, SocketOptions};
use halfclose::{next_tick, set_immediate};

#[cfg(target_os = "linux")]
use crate::kernel;
use crate::support::{self, Log, callback};
use crate::{MORE_THAN_THE_KERNEL_TAKES, Peer, destroy_later, later, play, play_from_start, play_with};

fn batching() -> ConnectOptions {
    ConnectOptions::new().batch_writes(true)
}

fn add_state(log: Log, client: Socket) {
    let drain = if client.writable_need_drain() { " needs drain" } else { "" };
    log.add("C", format!("{}/{}{drain}", client.writable_length(), client.bytes_written()));
}

fn write(log: Log, client: Socket, chunk: &'static str, name: &str) {
    let answer = client.write_with(chunk, callback(&log, "C", name));
    assert!(answer, "{chunk} is below the high-water mark");
}

/// Plays `body` with a batching client, and with the idiom around it in a client that does not batch.
fn play_both(body: impl Fn(Log, Socket, Peer) + Clone + 'static) -> [Log; 2] {
    let plain = body.clone();
    let idiom = move |log: Log, client: Socket, peer: Peer| {
        client.cork();
        next_tick(move || {
            client.uncork();
        });
        plain(log, client, peer);
    };
    [play_with(batching(), body), play(idiom)]
}

/// What is written in a callback waits for the tick that the first write queued, and goes out together: callbacks follow in
/// one tick, as with the idiom.
#[test]
fn the_writes_of_a_callback_go_out_in_a_tick() {
    let logs = play_both(|log, client, peer| {
        let before = peer.clone();
        write(log, client, "a", "cb a");
        client.write("b");
        write(log, client, "c", "cb c");
        add_state(log, client);
        next_tick(move || {
            add_state(log, client);
            assert_eq!(peer.arrived(), "abc");
        });
        assert_eq!(before.arrived(), "", "nothing is sent within the call");
        destroy_later(client);
    });
    for log in logs {
        log.assert_after("C", "ready", "| 3/3 ~ 0/3 ~ cb a, cb c |x close(false)");
    }
}

/// A tick that was queued before the first write adds to the batch; what is written after the batch was sent begins the
/// next one.
#[test]
fn ticks_before_it_add_to_a_batch_and_later_ones_begin_the_next() {
    let log = play_with(batching(), |log, client, peer| {
        next_tick(move || write(log, client, "b", "cb b"));
        write(log, client, "a", "cb a");
        let first = peer.clone();
        next_tick(move || {
            assert_eq!(first.arrived(), "ab");
            write(log, client, "c", "cb c");
            write(log, client, "d", "cb d");
            add_state(log, client);
            next_tick(move || {
                add_state(log, client);
                assert_eq!(peer.arrived(), "cd");
            });
        });
        destroy_later(client);
    });
    log.assert_after("C", "ready", "| ~ 2/4 ~ cb a, cb b ~ 0/4 ~ cb c, cb d |x close(false)");
}

/// Each callback of the loop has a batch of its own, write callbacks and immediates included.
#[test]
fn every_callback_has_its_own_batch() {
    let log = play_with(batching(), |log, client, peer| {
        write(log, client, "a", "cb a");
        set_immediate(move || {
            assert_eq!(peer.arrived(), "a");
            write(log, client, "b", "cb b");
            add_state(log, client);
            set_immediate(move || {
                assert_eq!(peer.arrived(), "b");
                add_state(log, client);
                destroy_later(client);
            });
        });
    });
    log.assert_after("C", "ready", "| ~ cb a | 1/2 ~ cb b | 0/2 |x close(false)");
}

/// How many segments leave a client that does `message`, and what arrives.
#[cfg(target_os = "linux")]
fn segments_of(options: ConnectOptions, message: fn(Socket)) -> u32 {
    let count = Rc::new(Cell::new(0));
    let seen = count.clone();
    play_with(options.no_delay(true), move |_, client, peer| {
        let ports = (client.local_port().expect("connected"), client.remote_port().expect("connected"));
        let sent = move || kernel::connected(ports.0, ports.1, kernel::segments_sent);
        let before = sent();
        message(client);
        set_immediate(move || {
            seen.set(sent() - before);
            assert_eq!(peer.arrived(), "12345678".repeat(8));
            client.destroy();
        });
    });
    count.get()
}

/// Eight small writes are one system call, with `cork` and with a batch, and eight without.
#[cfg(target_os = "linux")]
#[test]
fn eight_small_writes_are_one_call() {
    fn eight(client: Socket) {
        for _ in 0..8 {
            client.write("12345678");
        }
    }
    fn eight_owned_with_callbacks(client: Socket) {
        for _ in 0..8 {
            client.write_with(b"12345678".to_vec(), |_, result| assert!(result.is_ok()));
        }
    }
    fn eight_corked(client: Socket) {
        client.cork();
        eight(client);
        client.uncork();
    }
    for (options, message, segments) in [
        (ConnectOptions::new(), eight as fn(Socket), 8),
        (ConnectOptions::new(), eight_corked, 1),
        (batching(), eight, 1),
        (batching(), eight_owned_with_callbacks, 1),
        (batching(), eight_corked, 1),
    ] {
        assert_eq!(segments_of(options, message), segments);
    }
}

/// The server's option holds for the sockets it accepts; that of `net.Socket` when it connects.
#[test]
fn servers_give_the_option_to_their_sockets() {
    support::test(|event_loop| {
        let log = Log::new();
        support::pair(
            event_loop,
            &log,
            ServerOptions::new().batch_writes(true),
            ConnectOptions::new(),
            move |accepted| {
                log.add("S", accepted.batch_writes());
                accepted.server().expect("its server").set_batch_writes(false);
                accepted.write_with("a", callback(&log, "S", "cb a"));
                log.add("S", accepted.writable_length());
                accepted.end();
            },
            |client| assert!(!client.resume().batch_writes()),
        );
        log.assert_of("S", "connection, true, 1 ~ cb a | ~ finish | ~ end |x close(false)");
    });
}

/// Without a callback nothing but the bytes follows.
#[test]
fn a_batch_without_callbacks_is_silent() {
    let log = play_with(batching(), |log, client, peer| {
        for _ in 0..8 {
            assert!(client.write("12345678"));
        }
        add_state(log, client);
        next_tick(move || {
            add_state(log, client);
            assert_eq!(peer.arrived(), "12345678".repeat(8));
        });
        destroy_later(client);
    });
    log.assert_after("C", "ready", "| 64/64 ~ 0/64 |x close(false)");
}

/// F3, F8: at the high-water mark the kernel is tried within the call, so `write` answers as without a batch and no
/// `drain` is owed.
#[test]
fn a_full_batch_is_sent_at_once() {
    let log = play_with(batching().writable_high_water_mark(4), |log, client, peer| {
        write(log, client, "abc", "cb 1");
        assert_eq!(peer.arrived(), "");
        write(log, client, "d", "cb 2");
        assert_eq!(peer.arrived(), "abcd");
        add_state(log, client);
        write(log, client, "e", "cb 3");
        // Alone it is full by itself.
        next_tick(move || {
            write(log, client, "fghi", "cb 4");
            assert_eq!(peer.arrived(), "efghi");
            add_state(log, client);
        });
        destroy_later(client);
    });
    log.assert_after("C", "ready", "| 0/4 ~ cb 1, cb 2 ~ 0/9 ~ cb 3 ~ cb 4 |x close(false)");
}

/// F3: a mark of zero collects nothing.
#[test]
fn a_mark_of_zero_collects_nothing() {
    let log = play_with(batching().writable_high_water_mark(0), |log, client, peer| {
        write(log, client, "a", "cb a");
        assert_eq!(peer.arrived(), "a");
        destroy_later(client);
    });
    log.assert_after("C", "ready", "| ~ cb a |x close(false)");
}

/// F8, F11: what the kernel refuses of a batch is in flight, `write` answers false and `drain` follows, before the
/// callbacks.
#[test]
fn a_batch_that_the_kernel_refuses_drains() {
    let log = play_with(batching(), |log, client, peer| {
        write(log, client, "a", "cb 1");
        let large = vec![0; MORE_THAN_THE_KERNEL_TAKES];
        log.add("C", client.write_with(large, callback(&log, "C", "cb 2")));
        log.add("C", client.write_with("b", callback(&log, "C", "cb 3")));
        add_state(log, client);
        client.on_drain(destroy_later);
        later(move || peer.flow());
    });
    log.assert_after(
        "C",
        "ready",
        "| false, false, 20000002/20000002 needs drain | drain, cb 1, cb 2 ~ cb 3 |x close(false)",
    );
}

/// L10: `end` sends what was collected first, within the call; callbacks, `finish` and `close` follow as ever.
#[test]
fn end_sends_the_batch() {
    let play_end = |options| {
        play_with(options, |log, client, peer| {
            client.resume();
            write(log, client, "a", "cb a");
            client.end_data_with("z", callback(&log, "C", "end cb"));
            assert_eq!(peer.arrived(), "az");
            add_state(log, client);
            peer.end();
        })
    };
    for options in [batching(), ConnectOptions::new()] {
        play_end(options).assert_after("C", "ready", "| 0/2 ~ cb a | ~ end cb, finish | ~ end |x close(false)");
    }
    let log = play_with(batching(), |log, client, _| {
        write(log, client, "a", "cb a");
        client.destroy_soon();
        add_state(log, client);
    });
    log.assert_after("C", "ready", "| 0/1 ~ cb a | ~ finish |x close(false)");
}

/// L15, L16: what an `end` listener writes is sent before the automatic end.
#[test]
fn the_automatic_end_comes_behind_the_batch() {
    let log = play_with(batching(), |log, client, peer| {
        client.resume();
        client.on_end(move |client| {
            write(log, client, "last ", "cb");
            client.write("words");
        });
        peer.end();
        let mut rest = peer.stream.borrow().stream().try_clone().expect("a second descriptor");
        let reader = support::in_thread(move || std::io::read_to_string(&mut rest).expect("text"));
        client.once_close(move |_, _| assert_eq!(reader.join(), "last words"));
    });
    log.assert_after("C", "ready", "| ~ end ~ cb | ~ finish |x close(false)");
}

/// L36, F15: `destroy` sends what was collected before it closes, so nothing is lost that would have been with the kernel.
/// Corked bytes are lost as ever.
#[test]
fn destroy_sends_the_batch() {
    for options in [batching(), ConnectOptions::new()] {
        let log = play_with(options, |log, client, peer| {
            write(log, client, "a", "cb a");
            client.write("b");
            client.destroy();
            assert_eq!(peer.arrived(), "ab");
            add_state(log, client);
        });
        log.assert_after("C", "ready", "| 0/2 ~ cb a |x close(false)");
    }
    let log = play_with(batching(), |log, client, peer| {
        write(log, client, "a", "cb a");
        client.destroy_with("no");
        assert_eq!(peer.arrived(), "a");
    });
    log.assert_after("C", "ready", "| ~ cb a ~ error(no) |x close(true)");
    let log = play_with(batching(), |log, client, peer| {
        client.cork();
        write(log, client, "a", "cb a");
        client.destroy();
        assert_eq!(peer.arrived(), "");
    });
    log.assert_after("C", "ready", "| ~ cb a(ERR_STREAM_DESTROYED) |x close(false)");
}

/// L44: so does `reset_and_destroy`; what the peer has read by then it keeps.
#[test]
fn reset_and_destroy_sends_the_batch() {
    for options in [batching(), ConnectOptions::new()] {
        let log = play_with(options, |log, client, _| {
            write(log, client, "a", "cb a");
            client.reset_and_destroy().expect("a TCP socket");
            add_state(log, client);
        });
        log.assert_after("C", "ready", "| 0/1 ~ cb a |x close(false)");
    }
}

/// F15: a cork holds a batch back beyond its tick; `uncork` sends all of it within the call.
#[test]
fn a_cork_holds_a_batch_back() {
    let log = play_with(batching(), |log, client, peer| {
        write(log, client, "a", "cb a");
        client.cork();
        write(log, client, "b", "cb b");
        set_immediate(move || {
            assert_eq!(peer.arrived(), "");
            add_state(log, client);
            client.uncork();
            assert_eq!(peer.arrived(), "ab");
            add_state(log, client);
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| 2/2, 0/2 ~ cb a, cb b |x close(false)");
}

/// F15: `uncork` in the callback of the batch sends what came before the cork too; what is written behind it is collected
/// again.
#[test]
fn uncork_sends_a_batch_early() {
    let log = play_with(batching(), |log, client, peer| {
        write(log, client, "a", "cb a");
        client.cork();
        write(log, client, "b", "cb b");
        client.uncork();
        assert_eq!(peer.arrived(), "ab");
        write(log, client, "c", "cb c");
        assert_eq!(peer.arrived(), "");
        add_state(log, client);
        destroy_later(client);
        set_immediate(move || assert_eq!(peer.arrived(), "c"));
    });
    log.assert_after("C", "ready", "| 1/3 ~ cb a, cb b ~ cb c |x close(false)");
}

/// F9: behind a write in flight everything is queued as ever, and goes out with its completion.
#[test]
fn a_write_in_flight_comes_before_the_batch() {
    let log = play_with(batching(), |log, client, peer| {
        let large = vec![0; MORE_THAN_THE_KERNEL_TAKES];
        client.write_with(large, callback(&log, "C", "cb 1"));
        client.write_with("x", callback(&log, "C", "cb 2"));
        client.write_with("y", callback(&log, "C", "cb 3"));
        add_state(log, client);
        client.on_drain(destroy_later);
        later(move || peer.flow());
    });
    log.assert_after("C", "ready", "| 20000002/20000002 needs drain | drain, cb 1 ~ cb 2, cb 3 |x close(false)");
}

/// L5: what one callback writes while connecting goes out together with `connect`, as with the idiom.
#[test]
fn writes_while_connecting_go_out_together() {
    let body = |log, client: Socket, peer: Peer| {
        assert_eq!(peer.arrived(), "ab");
        add_state(log, client);
        destroy_later(client);
    };
    let batched = play_from_start(
        batching(),
        |log, client| {
            write(log, client, "a", "cb a");
            write(log, client, "b", "cb b");
            client.on_connect(move |client| add_state(log, client));
        },
        body,
    );
    let idiom = play_from_start(
        ConnectOptions::new(),
        |log, client| {
            client.cork();
            next_tick(move || {
                client.uncork();
            });
            write(log, client, "a", "cb a");
            write(log, client, "b", "cb b");
            client.on_connect(move |client| add_state(log, client));
        },
        body,
    );
    for log in [batched, idiom] {
        log.assert_after("C", "connect", ", 2/2, cb a, cb b, ready | 0/2 |x close(false)");
    }
}

/// L8, L33: a connection that is destroyed or refused before it is made fails what was collected, as any write that waits.
#[test]
fn what_was_collected_while_connecting_fails_with_the_connection() {
    for options in [SocketOptions::new().batch_writes(true), SocketOptions::new()] {
        let log = Log::new();
        support::test(|event_loop| {
            let (_holder, port) = support::refusing_port();
            let client = Socket::with_options(options);
            support::watch_socket(&log, "C", client);
            client.connect(("127.0.0.1", port)).expect("valid");
            write(log, client, "a", "cb a");
            event_loop.run().expect("no unhandled error");
        });
        log.assert_of(
            "C",
            "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) |x \
             close(true), cb a(ERR_SOCKET_CLOSED_BEFORE_CONNECTION)",
        );
    }
    for options in [batching(), ConnectOptions::new()] {
        let log = Log::new();
        support::test(|event_loop| {
            let raw = support::RawListener::bind();
            let client = halfclose::net::connect(options.host("127.0.0.1").port(raw.port())).expect("valid");
            support::watch_socket(&log, "C", client);
            write(log, client, "a", "cb a");
            client.destroy();
            event_loop.run().expect("no unhandled error");
        });
        log.assert_of("C", "close(false), cb a(ERR_SOCKET_CLOSED_BEFORE_CONNECTION)");
    }
}

/// L55: that the connection broke is learned when the batch is sent: the write answered true, and everything that follows
/// comes one tick later than without a batch.
#[test]
fn a_broken_connection_is_told_after_the_tick() {
    let play_broken = |options: ConnectOptions| {
        play_with(options, |log, client, peer| {
            // Lets go of the peer, so that the next hold on it is the last.
            client.set_data(());
            set_immediate(move || {
                let Ok(stream) = Rc::try_unwrap(peer.stream) else { panic!("somebody holds the peer") };
                stream.into_inner().reset();
                // The reset is here, and no read has found it.
                log.add("C", client.write_with("a", callback(&log, "C", "cb a")));
                next_tick(move || log.add("C", "tick"));
            });
        })
    };
    play_broken(batching()).assert_after(
        "C",
        "ready",
        "| true ~ tick ~ cb a(write ECONNRESET) ~ error(write ECONNRESET) |x close(true)",
    );
    play_broken(ConnectOptions::new()).assert_after(
        "C",
        "ready",
        "| false ~ cb a(write ECONNRESET) ~ tick ~ error(write ECONNRESET) |x close(true)",
    );
}

/// L51, L57: a write that cannot be made fails as ever, and what was collected before it is sent.
#[test]
fn a_write_after_end_fails_as_ever() {
    for options in [batching(), ConnectOptions::new()] {
        let log = play_with(options, |log, client, peer| {
            write(log, client, "a", "cb a");
            client.end();
            log.add("C", client.write_with("b", callback(&log, "C", "cb b")));
            assert_eq!(peer.arrived(), "a");
        });
        log.assert_after(
            "C",
            "ready",
            "| false ~ cb a ~ cb b(ERR_STREAM_WRITE_AFTER_END) ~ error(ERR_STREAM_WRITE_AFTER_END) |x close(true)",
        );
    }
    let log = Log::new();
    support::test(|event_loop| {
        let socket = Socket::with_options(SocketOptions::new().batch_writes(true));
        support::watch_socket(&log, "C", socket);
        log.add("C", socket.write_with("a", callback(&log, "C", "cb a")));
        event_loop.run().expect("no unhandled error");
    });
    log.assert_of("C", "false ~ cb a(ERR_SOCKET_CLOSED) ~ error(ERR_SOCKET_CLOSED) ~ close(false)");
}

/// It can be turned on and off; turning it off sends what was collected.
#[test]
fn it_can_be_turned_off_and_on() {
    let log = play(|log, client, peer| {
        assert!(!client.batch_writes());
        client.write("a");
        assert_eq!(peer.arrived(), "a");
        client.set_batch_writes(true);
        assert!(client.batch_writes());
        write(log, client, "b", "cb b");
        assert_eq!(peer.arrived(), "");
        client.set_batch_writes(false);
        assert_eq!(peer.arrived(), "b");
        client.write("c");
        assert_eq!(peer.arrived(), "c");
        destroy_later(client);
    });
    log.assert_after("C", "ready", "| ~ cb b |x close(false)");
}

/// The descriptor goes without anything left behind.
#[test]
fn into_std_sends_the_batch() {
    let log = play_with(batching(), |log, client, peer| {
        write(log, client, "a", "cb a");
        let (_stream, unread) = client.into_std().expect("nothing waits");
        assert!(unread.is_empty());
        assert_eq!(peer.arrived(), "a");
    });
    log.assert_after("C", "ready", "| ~ cb a ~ close(false)");
}

/// F15: many more writes than fit one buffer, of every length, with and without callbacks, arrive in order.
#[test]
fn the_order_of_bytes_is_kept_whatever_their_length() {
    let log = play_with(batching().writable_high_water_mark(1 << 30), |log, client, peer| {
        let mut sent = Vec::new();
        for round in 0..400_u32 {
            // Short ones that are joined, long ones that are not, and some that nobody else may join.
            let length = [1, 100, 4096, 4097, 0, 9000][round as usize % 6];
            let bytes: Vec<u8> = (0..length).map(|position| (position as u32 * 31 + round) as u8).collect();
            sent.extend_from_slice(&bytes);
            match round % 5 {
                0 => client.write(&bytes),
                1 => client.write(bytes),
                2 => client.write_with(bytes, |_, result| assert!(result.is_ok())),
                3 => client.write(Rc::<[u8]>::from(bytes)),
                _ => client.write_with(&bytes, |_, result| assert!(result.is_ok())),
            };
        }
        assert_eq!(client.writable_length(), sent.len());
        let mut stream = peer.stream.borrow().stream().try_clone().expect("a second descriptor");
        let length = sent.len();
        let reader = support::in_thread(move || {
            let mut received = vec![0; length];
            std::io::Read::read_exact(&mut stream, &mut received).expect("all of it");
            received
        });
        client.write_with("", move |client, _| {
            assert!(reader.join() == sent, "other bytes");
            log.add("C", "all");
            client.destroy();
        });
    });
    assert_eq!(log.texts_of("C").last().map(String::as_str), Some("close(false)"));
    assert!(log.contains("C", "all"));
}
