//! Rule F31: `unshift`.

use halfclose::net::ConnectOptions;
use halfclose::next_tick;

use crate::{
    add_read, destroy_later, feed, feed_then, later, play, play_from_start, play_with, state, watch_each_data,
};

/// F31: what is put back in a `data` listener that pauses comes first when it is resumed.
#[test]
fn f31_unshift_in_data() {
    let log = play(|log, client, peer| {
        let mut first = true;
        client.on_data(move |client, bytes| {
            log.add("C", format!("data {}", String::from_utf8_lossy(bytes)));
            if std::mem::take(&mut first) {
                client.pause();
                client.unshift("hello");
                log.add("C", state(client));
                later(move || {
                    client.resume();
                });
            }
        });
        feed_then(client, &peer.clone(), &["world"], move || later(move || later(move || peer.end())));
    });
    log.assert_after("C", "ready", "| data world, 5 stopped paused | ~ data hello | ~ end | ~ finish |x close(false)");
}

/// F31, F21: what is put back may reach the high-water mark, which stops the reading; it goes on when that was consumed.
#[test]
fn f31_unshift_up_to_the_high_water_mark() {
    let log = play_with(ConnectOptions::new().high_water_mark(4), |log, client, peer| {
        let mut first = true;
        client.on_data(move |client, bytes| {
            log.add("C", format!("data {}", String::from_utf8_lossy(bytes)));
            if std::mem::take(&mut first) {
                client.pause();
                client.unshift("hello");
                log.add("C", state(client));
                later(move || {
                    client.resume();
                });
            }
        });
        let ending = peer.clone();
        feed_then(client, &peer, &["world"], move || later(move || later(move || feed(client, &ending, &["more"]))));
    });
    log.assert_after(
        "C",
        "ready",
        "| data world, 5 stopped paused | ~ data hello | data more | ~ end | ~ finish |x close(false)",
    );
}

/// F31: while it flows with nothing buffered, `unshift` emits: within the call, but to a `data` listener that is
/// running when it has returned (in Node within the call, too).
#[test]
fn f31_unshift_while_flowing() {
    let log = play(|log, client, peer| {
        watch_each_data(log, client);
        later(move || {
            client.unshift("x");
            log.add("C", "after");
            next_tick(move || log.add("C", "tick"));
            peer.end();
        });
    });
    log.assert_after("C", "ready", "| data x, after ~ tick | ~ end | ~ finish |x close(false)");
    let log = play(|log, client, peer| {
        let mut first = true;
        client.on_data(move |client, bytes| {
            log.add("C", format!("data {}", String::from_utf8_lossy(bytes)));
            if std::mem::take(&mut first) {
                client.unshift("again");
                log.add("C", state(client));
            }
            log.add("C", "out");
        });
        feed(client, &peer, &["world"]);
    });
    log.assert_after("C", "ready", "| data world, 0 flowing, out, data again, out | ~ end | ~ finish |x close(false)");
}

/// F31: in front of what is buffered, the last one first.
#[test]
fn f31_unshift_in_front() {
    let log = play(|log, client, peer| {
        feed_then(client, &peer, &["b"], move || {
            client.unshift("a");
            log.add("C", state(client));
            for _ in 0..3 {
                add_read(log, client, None);
            }
            client.destroy();
        });
    });
    log.assert_after("C", "ready", "| 2 undecided, read=a, read=b, read=None |x close(false)");
    let log = play(|log, client, _| {
        client.pause();
        client.unshift("a").unshift("b").unshift("c");
        log.add("C", state(client));
        watch_each_data(log, client);
        client.resume();
        destroy_later(client);
    });
    log.assert_after("C", "ready", "| 3 stopped paused ~ data c, data b, data a |x close(false)");
}

/// F31: a `readable` listener is told of it; one that puts something back is called once more for it.
#[test]
fn f31_unshift_and_readable() {
    let log = play(|log, client, _| {
        client.on_readable(move |client| {
            log.add("C", format!("readable {}", client.readable_length()));
            add_read(log, client, None);
        });
        later(move || {
            client.unshift("a");
            log.add("C", state(client));
            next_tick(move || log.add("C", "tick"));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| 1 stopped paused ~ readable 1, read=a ~ tick |x close(false)");
    let log = play(|log, client, peer| {
        let mut first = true;
        client.on_readable(move |client| {
            log.add("C", format!("readable {}", client.readable_length()));
            add_read(log, client, None);
            if std::mem::take(&mut first) {
                client.unshift("back");
            }
        });
        feed(client, &peer, &["go"]);
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ readable 2, read=go ~ readable 4, read=back | readable 0, read=None ~ end | ~ finish \
         |x close(false)",
    );
}

/// F31: between the end of the stream and `end` it is welcome, and keeps `end` back.
#[test]
fn f31_unshift_before_end() {
    let log = play(|log, client, peer| {
        feed(client, &peer, &["b"]);
        later(move || {
            later(move || {
                client.unshift("a");
                log.add("C", state(client));
                watch_each_data(log, client);
            });
        });
    });
    log.assert_after("C", "ready", "| 2 undecided ~ data a, data b ~ end | ~ finish |x close(false)");
    let log = play(|log, client, peer| {
        feed(client, &peer, &["b"]);
        later(move || {
            later(move || {
                add_read(log, client, None);
                client.unshift("a");
                log.add("C", state(client));
                later(move || {
                    log.add("C", state(client));
                    add_read(log, client, None);
                });
            });
        });
    });
    log.assert_after("C", "ready", "| read=b, 1 undecided | 1 undecided, read=a ~ end | ~ finish |x close(false)");
}

/// F31: after `end` it destroys the socket, unless it is empty.
#[test]
fn f31_unshift_after_end() {
    let log = play(|log, client, peer| {
        watch_each_data(log, client);
        client.on_end(move |client| {
            client.unshift("x");
            log.add("C", state(client));
        });
        feed(client, &peer, &["b"]);
    });
    log.assert_after(
        "C",
        "ready",
        "| data b | ~ end, 0 flowing ~ error(ERR_STREAM_UNSHIFT_AFTER_END_EVENT) |x close(true)",
    );
    let log = play(|log, client, peer| {
        watch_each_data(log, client);
        client.on_end(|client| {
            client.unshift("");
        });
        feed(client, &peer, &["b"]);
    });
    log.assert_after("C", "ready", "| data b | ~ end | ~ finish |x close(false)");
}

/// F31: a destroyed socket takes nothing back.
#[test]
fn f31_unshift_after_destroy() {
    let log = play(|log, client, _| {
        client.destroy();
        client.unshift("x");
        log.add("C", state(client));
    });
    log.assert_after("C", "ready", "| 0 undecided |x close(false)");
}

/// F31: it works before there is a connection.
#[test]
fn f31_unshift_while_connecting() {
    let log = play_from_start(
        ConnectOptions::new(),
        |_, client| {
            client.unshift("a");
            assert_eq!(state(client), "1 undecided");
        },
        |log, client, peer| {
            log.add("C", state(client));
            watch_each_data(log, client);
            feed(client, &peer, &["b"]);
        },
    );
    log.assert_after("C", "ready", "| 1 undecided ~ data a | data b | ~ end | ~ finish |x close(false)");
}
