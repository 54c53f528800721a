//! Rule F29: `read` and `read_exactly`, and what is known of the reading.

use halfclose::net::{ConnectOptions, Socket, SocketOptions};
use halfclose::next_tick;

use crate::{
    add_read, destroy_later, feed, feed_then, later, play, play_from_start, play_with, state, watch_each_data,
    watch_flow,
};

/// F29: `read` takes one chunk, or nothing. (Node 26; before it took all of them.)
#[test]
fn f29_read_takes_a_chunk() {
    let log = play(|log, client, peer| {
        feed_then(client, &peer, &["abc", "def", "g"], move || {
            log.add("C", state(client));
            for _ in 0..4 {
                add_read(log, client, None);
            }
            log.add("C", state(client));
            client.destroy();
        });
    });
    log.assert_after("C", "ready", "| 7 undecided, read=abc, read=def, read=g, read=None, 0 undecided |x close(false)");
}

/// F29: `read_exactly` takes as many bytes as asked for, across chunks, or nothing.
#[test]
fn f29_read_exactly() {
    let log = play(|log, client, peer| {
        feed_then(client, &peer, &["abc", "def", "g"], move || {
            add_read(log, client, Some(2));
            add_read(log, client, Some(4));
            add_read(log, client, Some(2));
            log.add("C", state(client));
            add_read(log, client, Some(1));
            add_read(log, client, Some(1));
            log.add("C", state(client));
            client.destroy();
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| read(2)=ab, read(4)=cdef, read(2)=None, 1 undecided, read(1)=g, read(1)=None, 0 undecided \
         |x close(false)",
    );
}

/// F29: at the end of the stream it takes what is left.
#[test]
fn f29_read_exactly_at_the_end_of_the_stream() {
    let log = play(|log, client, peer| {
        feed(client, &peer, &["abcdef"]);
        later(move || {
            later(move || {
                add_read(log, client, Some(4));
                add_read(log, client, Some(4));
                add_read(log, client, Some(4));
                log.add("C", "-");
                next_tick(move || log.add("C", "tick"));
            });
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| read(4)=abcd, read(4)=ef, read(4)=None, - ~ end ~ tick | ~ finish |x close(false)",
    );
}

/// F29: `end` follows the read that took the last byte, unless it asked for exactly as many as there were: then it
/// follows the next.
#[test]
fn f29_end_follows_the_last_read() {
    let log = play(|log, client, peer| {
        feed(client, &peer, &["abc"]);
        later(move || {
            later(move || {
                add_read(log, client, None);
                log.add("C", state(client));
                next_tick(move || log.add("C", "tick"));
            });
        });
    });
    log.assert_after("C", "ready", "| read=abc, 0 undecided ~ end ~ tick | ~ finish |x close(false)");
    let log = play(|log, client, peer| {
        feed(client, &peer, &["abc"]);
        later(move || {
            later(move || {
                add_read(log, client, Some(3));
                log.add("C", state(client));
                later(move || {
                    log.add("C", "still");
                    add_read(log, client, Some(1));
                });
            });
        });
    });
    log.assert_after("C", "ready", "| read(3)=abc, 0 undecided | still, read(1)=None ~ end | ~ finish |x close(false)");
}

/// F29: after `end` there is nothing.
#[test]
fn f29_read_after_end() {
    let log = play_with(ConnectOptions::new().allow_half_open(true), |log, client, peer| {
        peer.end();
        later(move || {
            add_read(log, client, None);
            add_read(log, client, Some(5));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| ~ end | read=None, read(5)=None |x close(false)");
}

/// F29: a size of zero takes nothing, and calls nobody.
#[test]
fn f29_read_nothing() {
    let log = play(|log, client, peer| {
        feed_then(client, &peer, &["abc"], move || {
            add_read(log, client, Some(0));
            log.add("C", state(client));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| read(0)=None, 3 undecided |x close(false)");
    let log = play_with(ConnectOptions::new().high_water_mark(2), |log, client, peer| {
        feed_then(client, &peer, &["abc"], move || {
            log.add("C", state(client));
            add_read(log, client, Some(0));
            log.add("C", state(client));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| 3 undecided, read(0)=None, 3 undecided |x close(false)");
}

/// F29: a size beyond the mark raises it to the next power of two, and more is read ahead.
#[test]
fn f29_a_size_beyond_the_mark_raises_it() {
    let log = play_with(ConnectOptions::new().readable_high_water_mark(10), |log, client, peer| {
        feed_then(client, &peer.clone(), &["0123456789"], move || {
            peer.write("more");
            later(move || {
                log.add("C", state(client));
                add_read(log, client, Some(100));
                log.add("C", format!("hwm {}", client.readable_high_water_mark()));
                later(move || {
                    log.add("C", state(client));
                    add_read(log, client, Some(14));
                    add_read(log, client, Some(11));
                    log.add("C", format!("hwm {}", client.readable_high_water_mark()));
                    client.destroy();
                });
            });
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| 10 undecided, read(100)=None, hwm 128 \
         | 14 undecided, read(14)=0123456789more, read(11)=None, hwm 128 |x close(false)",
    );
}

/// F29: never beyond a gigabyte, where Node throws.
#[test]
fn f29_how_far_the_mark_is_raised() {
    crate::support::test(|_| {
        let socket = Socket::with_options(SocketOptions::new().readable_high_water_mark(10));
        let gigabyte = 1 << 30;
        for (size, mark) in [
            (10, 10),
            (11, 16),
            (16, 16),
            (17, 32),
            (64, 64),
            (65, 128),
            (100_000, 131_072),
            (gigabyte, gigabyte),
            (gigabyte + 1, gigabyte),
            (usize::MAX, gigabyte),
        ] {
            assert!(socket.read_exactly(size).is_none());
            assert_eq!(socket.readable_high_water_mark(), mark, "after {size}");
        }
    });
}

/// F29: each successful read emits `data` within the call.
#[test]
fn f29_reads_emit_data() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        watch_each_data(log, client);
        client.pause();
        feed_then(client, &peer, &["abc", "def"], move || {
            add_read(log, client, None);
            add_read(log, client, Some(2));
            add_read(log, client, Some(5));
            add_read(log, client, Some(1));
            client.destroy();
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| pause ~ resume | data abc, read=abc, data de, read(2)=de, read(5)=None, data f, read(1)=f \
         |x close(false)",
    );
}

/// F29: a read in a `data` listener emits to it, too: after it has returned (in Node within the call).
#[test]
fn f29_read_in_data() {
    let log = play(|log, client, peer| {
        client.pause();
        client.on_data(move |client, bytes| {
            log.add("C", format!("data {}", String::from_utf8_lossy(bytes)));
            if bytes == b"a" {
                add_read(log, client, None);
            }
        });
        feed_then(client, &peer, &["a", "b", "c"], move || {
            client.resume();
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| ~ data a, read=b, data b, data c |x close(false)");
}

/// F22, F29: paused before it was connected, a socket reads when it is asked to.
#[test]
fn f29_read_starts_a_paused_socket() {
    let log = play_from_start(
        ConnectOptions::new(),
        |_, client| {
            client.pause();
        },
        |log, client, peer| {
            peer.write("abc");
            later(move || {
                log.add("C", state(client));
                add_read(log, client, None);
                log.add("C", state(client));
                later(move || {
                    log.add("C", state(client));
                    add_read(log, client, None);
                    client.destroy();
                });
            });
        },
    );
    log.assert_after(
        "C",
        "ready",
        "| 0 stopped paused, read=None, 0 stopped paused | 3 stopped paused, read=abc |x close(false)",
    );
    let log = play_from_start(
        ConnectOptions::new(),
        |_, client| {
            client.pause();
            assert!(client.read().is_none());
        },
        |log, client, peer| {
            peer.write("abc");
            later(move || {
                log.add("C", state(client));
                client.destroy();
            });
        },
    );
    log.assert_after("C", "ready", "| 3 stopped paused |x close(false)");
}

/// F29: what was buffered can be read after `destroy`; it emits `data` until `error` or `close` was emitted.
#[test]
fn f29_read_after_destroy() {
    let log = play(|log, client, peer| {
        feed_then(client, &peer, &["abc"], move || {
            client.destroy();
            add_read(log, client, Some(1));
            log.add("C", state(client));
            watch_each_data(log, client);
            add_read(log, client, Some(1));
            client.on_close(move |client, _| add_read(log, client, Some(1)));
        });
    });
    log.assert_after("C", "ready", "| read(1)=a, 2 undecided, data b, read(1)=b |x close(false), read(1)=c");
    let log = play(|log, client, peer| {
        feed_then(client, &peer, &["abc"], move || {
            watch_each_data(log, client);
            client.pause();
            client.destroy_with("no");
            add_read(log, client, Some(1));
            client.on_error(move |client, _| add_read(log, client, Some(1)));
        });
    });
    log.assert_after("C", "ready", "| data a, read(1)=a ~ error(no), read(1)=b |x close(true)");
}

/// `readable_did_read`: from the first `data` or successful read on; bytes thrown away count.
#[test]
fn readable_did_read() {
    let log = play(|log, client, peer| {
        log.add("C", client.readable_did_read());
        feed(client, &peer, &["abc"]);
        client.on_close(move |client, _| log.add("C", client.readable_aborted()));
        later(move || {
            later(move || {
                log.add("C", format!("{} {}", client.readable_did_read(), client.readable_aborted()));
                add_read(log, client, Some(9));
                log.add("C", client.readable_did_read());
            });
        });
    });
    log.assert_after("C", "ready", "| false | false false, read(9)=abc, true ~ end | ~ finish |x close(false), false");
    let log = play(|log, client, peer| {
        client.on_data(move |client, _| log.add("C", format!("data {}", client.readable_did_read())));
        feed(client, &peer, &["abc"]);
        client.on_close(move |client, _| log.add("C", client.readable_aborted()));
    });
    log.assert_after("C", "ready", "| data true | ~ end | ~ finish |x close(false), false");
    let log = play(|log, client, peer| {
        client.resume();
        feed(client, &peer, &["abc"]);
        client.on_end(move |client| log.add("C", client.readable_did_read()));
    });
    log.assert_after("C", "ready", "| ~ end, true | ~ finish |x close(false)");
    let log = play(|log, client, peer| {
        client.resume();
        peer.end();
        client.on_end(move |client| {
            log.add("C", format!("{} {}", client.readable_did_read(), client.readable_aborted()));
        });
    });
    log.assert_after("C", "ready", "| ~ end, false false | ~ finish |x close(false)");
}

/// `readable_aborted`: destroyed before `end`.
#[test]
fn readable_aborted() {
    let log = play(|log, client, _| {
        assert!(!Socket::new().readable_aborted());
        log.add("C", client.readable_aborted());
        client.destroy();
        log.add("C", client.readable_aborted());
        client.on_close(move |client, _| log.add("C", client.readable_aborted()));
    });
    log.assert_after("C", "ready", "| false, true |x close(false), true");
    let log = play(|log, client, peer| {
        feed(client, &peer, &["abc"]);
        later(move || {
            later(move || {
                log.add("C", client.readable_aborted());
                client.destroy();
                log.add("C", client.readable_aborted());
            });
        });
    });
    log.assert_after("C", "ready", "| false, true |x close(false)");
    let log = play_with(ConnectOptions::new().allow_half_open(true), |log, client, peer| {
        client.resume();
        peer.end();
        later(move || {
            client.destroy_with("no");
            log.add("C", client.readable_aborted());
            client.on_close(move |client, _| log.add("C", client.readable_aborted()));
        });
    });
    log.assert_after("C", "ready", "| ~ end | false ~ error(no) |x close(true), false");
}
