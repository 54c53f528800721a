//! Rules F26, F28 and F30: `readable` listeners.

use halfclose::net::{ConnectOptions, Socket, SocketEvent};
use halfclose::{next_tick, set_immediate};

use crate::support::Log;
use crate::{
    add_read, destroy_later, feed, feed_then, later, play, play_from_start, play_with, state, watch_each_data,
    watch_flow,
};

/// Records `readable` and how much is buffered.
fn add_readable(log: Log, client: Socket) {
    log.add("C", format!("readable {}", client.readable_length()));
}

/// A `readable` listener that reads once.
fn read_once_each(log: Log, client: Socket) {
    client.on_readable(move |client| {
        add_readable(log, client);
        add_read(log, client, None);
    });
}

/// Records `bye` and destroys the client when nothing is under way any more.
fn bye_later(log: Log, client: Socket) {
    later(move || {
        log.add("C", "bye");
        client.destroy();
    });
}

/// F28: for each arrival after the buffer was drained, in a tick; at the end of the stream within the read callback,
/// with an empty buffer.
#[test]
fn f28_reading_everything() {
    let log = play(|log, client, peer| {
        client.on_readable(move |client| {
            add_readable(log, client);
            while let Some(bytes) = client.read() {
                log.add("C", format!("read={}", String::from_utf8_lossy(&bytes)));
            }
            log.add("C", "null");
        });
        feed(client, &peer, &["a", "b"]);
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ readable 1, read=a, null | ~ readable 1, read=b, null | readable 0, null ~ end | ~ finish \
         |x close(false)",
    );
    let log = play(|log, client, peer| {
        read_once_each(log, client);
        feed(client, &peer, &["a", "b"]);
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ readable 1, read=a | ~ readable 1, read=b | readable 0, read=None ~ end | ~ finish |x close(false)",
    );
}

/// F28: a listener that does not read is called again below the mark and at the end; `end` never comes.
#[test]
fn f28_reading_nothing() {
    let log = play(|log, client, peer| {
        client.on_readable(move |client| add_readable(log, client));
        feed_then(client, &peer.clone(), &["a", "b"], move || {
            peer.end();
            bye_later(log, client);
        });
    });
    log.assert_after("C", "ready", "| ~ readable 1 | ~ readable 2 | readable 2 | bye |x close(false)");
}

/// F21, F28: at the mark the socket stops reading, and with it the event.
#[test]
fn f28_reading_nothing_beyond_the_mark() {
    let log = play_with(ConnectOptions::new().high_water_mark(4), |log, client, peer| {
        client.on_readable(move |client| add_readable(log, client));
        feed_then(client, &peer.clone(), &["ab", "cd"], move || {
            peer.write("ef");
            bye_later(log, client);
        });
    });
    log.assert_after("C", "ready", "| ~ readable 2 | ~ readable 4 | bye |x close(false)");
}

/// F28, F29: a listener that takes a part of it each time.
#[test]
fn f28_reading_a_part() {
    let log = play(|log, client, peer| {
        client.on_readable(move |client| {
            add_readable(log, client);
            add_read(log, client, Some(2));
        });
        feed(client, &peer, &["abc", "def"]);
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ readable 3, read(2)=ab | ~ readable 4, read(2)=cd | readable 2, read(2)=ef ~ end | ~ finish \
         |x close(false)",
    );
}

/// F28: at the end of an empty stream, whether or not the listener reads.
#[test]
fn f28_an_empty_stream() {
    let log = play(|log, client, peer| {
        read_once_each(log, client);
        peer.end();
    });
    log.assert_after("C", "ready", "| readable 0, read=None ~ end | ~ finish |x close(false)");
    let log = play(|log, client, peer| {
        client.on_readable(move |client| add_readable(log, client));
        peer.end();
    });
    log.assert_after("C", "ready", "| readable 0 ~ end | ~ finish |x close(false)");
}

/// F28: added when bytes are buffered already, it is called in a tick.
#[test]
fn f28_added_late() {
    let log = play(|log, client, peer| {
        feed_then(client, &peer.clone(), &["a", "b"], move || {
            log.add("C", state(client));
            client.on_readable(move |client| {
                add_readable(log, client);
                add_read(log, client, None);
                add_read(log, client, None);
                add_read(log, client, None);
            });
            log.add("C", format!("added {}", state(client)));
            next_tick(move || log.add("C", "tick"));
            later(move || peer.end());
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| 2 undecided, added 2 stopped paused ~ readable 2, read=a, read=b, read=None ~ tick \
         | readable 0, read=None, read=None, read=None ~ end | ~ finish |x close(false)",
    );
}

/// F28: added after the end of the stream was read, with bytes left.
#[test]
fn f28_added_after_the_end_of_the_stream() {
    let log = play(|log, client, peer| {
        feed_then(client, &peer.clone(), &["a"], move || {
            peer.end();
            later(move || {
                log.add("C", state(client));
                client.on_readable(move |client| {
                    add_readable(log, client);
                    add_read(log, client, None);
                    add_read(log, client, None);
                });
                next_tick(move || log.add("C", "tick"));
            });
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| 1 undecided ~ readable 1, read=a, read=None ~ tick ~ end | ~ finish |x close(false)",
    );
}

/// F26, F28: after `end` it changes nothing.
#[test]
fn f28_added_after_end() {
    let log = play_with(ConnectOptions::new().allow_half_open(true), |log, client, peer| {
        client.resume();
        peer.end();
        later(move || {
            client.on_readable(move |_| log.add("C", "readable"));
            log.add("C", state(client));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| ~ end | 0 flowing |x close(false)");
}

/// F28: it reads from the start of the connection.
#[test]
fn f28_added_while_connecting() {
    let log = play_from_start(
        ConnectOptions::new(),
        |log, client| {
            read_once_each(log, client);
            assert_eq!(state(client), "0 stopped paused");
        },
        |_, client, peer| feed(client, &peer, &["a"]),
    );
    log.assert_after("C", "ready", "| ~ readable 1, read=a | readable 0, read=None ~ end | ~ finish |x close(false)");
}

/// F26: such a listener stops the flow; `resume` cannot change that, though its event comes; `pause` is not emitted.
#[test]
fn f26_readable_stops_the_flow() {
    let log = play(|log, client, _| {
        watch_flow(log, client);
        log.add("C", state(client));
        client.on_readable(|_| {});
        log.add("C", state(client));
        client.resume();
        log.add("C", state(client));
        client.pause();
        log.add("C", state(client));
        client.resume();
        log.add("C", state(client));
        later(move || {
            log.add("C", state(client));
            client.destroy();
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| 0 undecided, 0 stopped paused, 0 stopped paused, 0 stopped paused, 0 stopped paused ~ resume \
         | 0 stopped paused |x close(false)",
    );
    let log = play(|log, client, _| {
        watch_flow(log, client);
        client.resume();
        later(move || {
            client.on_readable(|_| {});
            log.add("C", state(client));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| ~ resume | 0 stopped paused |x close(false)");
}

/// F30: with both, `data` comes from `read` only, in whatever order they were added.
#[test]
fn f30_readable_wins() {
    let watch = |log: Log, client: Socket| {
        client.on_data(move |client, bytes| {
            let flowing = client.readable_flowing() == Some(true);
            log.add("C", format!("data {} {flowing}", String::from_utf8_lossy(bytes)));
        });
    };
    let log = play(move |log, client, peer| {
        watch_flow(log, client);
        watch(log, client);
        read_once_each(log, client);
        feed(client, &peer, &["abc", "def"]);
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ resume | ~ readable 3, data abc false, read=abc | ~ readable 3, data def false, read=def \
         | readable 0, read=None ~ end | ~ finish |x close(false)",
    );
    let log = play(move |log, client, peer| {
        watch_flow(log, client);
        read_once_each(log, client);
        watch(log, client);
        log.add("C", state(client));
        feed(client, &peer, &["abc", "def"]);
    });
    log.assert_after(
        "C",
        "ready",
        "| 0 stopped paused | ~ readable 3, data abc false, read=abc \
         | ~ readable 3, data def false, read=def | readable 0, read=None ~ end | ~ finish \
         |x close(false)",
    );
    let log = play(|log, client, peer| {
        watch_each_data(log, client);
        client.on_readable(move |client| add_readable(log, client));
        feed_then(client, &peer.clone(), &["abc", "def"], move || {
            peer.end();
            bye_later(log, client);
        });
    });
    log.assert_after("C", "ready", "| ~ readable 3 | ~ readable 6 | readable 6 | bye |x close(false)");
}

/// F30: added in a `data` listener.
#[test]
fn f30_added_in_data() {
    let log = play(|log, client, peer| {
        let mut first = true;
        client.on_data(move |client, bytes| {
            log.add("C", format!("data {}", String::from_utf8_lossy(bytes)));
            if std::mem::take(&mut first) {
                read_once_each(log, client);
            }
        });
        feed(client, &peer, &["a", "b"]);
    });
    log.assert_after(
        "C",
        "ready",
        "| data a | ~ readable 1, data b, read=b | readable 0, read=None ~ end | ~ finish |x close(false)",
    );
}

/// F26: when the last one is removed the socket flows again, in a tick, if somebody listens to `data`.
#[test]
fn f26_removing_the_last_readable_listener_resumes() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        let listener = client.on_readable(move |client| add_readable(log, client));
        watch_each_data(log, client);
        feed_then(client, &peer.clone(), &["abc"], move || {
            client.off(listener);
            log.add("C", state(client));
            next_tick(move || log.add("C", format!("tick {}", state(client))));
            later(move || peer.end());
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ readable 3 | 3 stopped paused ~ tick 3 flowing ~ resume, data abc | ~ end | ~ finish \
         |x close(false)",
    );
}

/// F26: it is undecided again if nobody does.
#[test]
fn f26_removing_the_last_readable_listener_without_data() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        let listener = client.on_readable(move |client| add_readable(log, client));
        feed_then(client, &peer, &["abc"], move || {
            client.off(listener);
            log.add("C", state(client));
            next_tick(move || log.add("C", format!("tick {}", state(client))));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| ~ readable 3 | 3 stopped paused ~ tick 3 undecided |x close(false)");
}

/// F26: `resume()` right after the removal takes effect in that tick; one before it does not.
#[test]
fn f26_resume_around_the_removal() {
    let log = play(|log, client, _| {
        watch_flow(log, client);
        let listener = client.on_readable(|_| {});
        later(move || {
            client.off(listener);
            client.resume();
            log.add("C", state(client));
            next_tick(move || log.add("C", format!("tick {}", state(client))));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| 0 stopped paused ~ resume ~ tick 0 flowing |x close(false)");
    let log = play(|log, client, _| {
        watch_flow(log, client);
        let listener = client.on_readable(|_| {});
        later(move || {
            client.resume();
            client.off(listener);
            log.add("C", state(client));
            next_tick(move || log.add("C", format!("tick {}", state(client))));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| 0 stopped paused ~ resume ~ tick 0 undecided |x close(false)");
}

/// F26: even a socket that was paused explicitly flows then, as in Node.
#[test]
fn f26_the_removal_overrides_a_pause() {
    let log = play(|log, client, _| {
        watch_flow(log, client);
        let listener = client.on_readable(|_| {});
        client.pause();
        watch_each_data(log, client);
        later(move || {
            client.off(listener);
            next_tick(move || log.add("C", format!("tick {}", state(client))));
            later(move || {
                log.add("C", state(client));
                client.destroy();
            });
        });
    });
    log.assert_after("C", "ready", "| ~ tick 0 flowing ~ resume | 0 flowing |x close(false)");
}

/// F26: one of two is not the last, yet the attempt to resume is announced.
#[test]
fn f26_removing_one_of_two() {
    let log = play(|log, client, _| {
        watch_flow(log, client);
        let listener = client.on_readable(|_| {});
        client.on_readable(move |_| log.add("C", "second"));
        watch_each_data(log, client);
        later(move || {
            client.off(listener);
            later(move || {
                log.add("C", state(client));
                client.destroy();
            });
        });
    });
    log.assert_after("C", "ready", "| ~ resume | 0 stopped paused |x close(false)");
}

/// F26: a one-shot listener is removed before it is called; what that means is decided in the tick after.
#[test]
fn f26_once_readable() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        client.once_readable(move |client| {
            log.add("C", format!("readable {}", state(client)));
            add_read(log, client, None);
            next_tick(move || log.add("C", format!("tick {}", state(client))));
        });
        feed_then(client, &peer, &["a", "b"], move || {
            log.add("C", state(client));
            client.destroy();
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ readable 1 stopped paused, read=a ~ tick 0 undecided | 1 undecided |x close(false)",
    );
}

/// F26: a one-shot listener may add itself again.
#[test]
fn f26_once_readable_again_and_again() {
    fn listen(log: Log, client: Socket) {
        client.once_readable(move |client| {
            add_readable(log, client);
            while let Some(bytes) = client.read() {
                log.add("C", format!("read={}", String::from_utf8_lossy(&bytes)));
            }
            listen(log, client);
        });
    }
    let log = play(|log, client, peer| {
        listen(log, client);
        feed(client, &peer, &["a", "b", "c"]);
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ readable 1, read=a | ~ readable 1, read=b | ~ readable 1, read=c | readable 0 ~ end \
         | ~ finish |x close(false)",
    );
}

/// F26, F30: after a one-shot listener the `data` listener gets what it left.
#[test]
fn f26_once_readable_before_data() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        watch_each_data(log, client);
        client.once_readable(move |client| add_readable(log, client));
        feed(client, &peer, &["a", "b"]);
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ resume | ~ readable 1 ~ resume, data a | data b | ~ end | ~ finish |x close(false)",
    );
}

/// F26: `remove_all_listeners` removes them, too.
#[test]
fn f26_remove_all_readable_listeners() {
    let log = play(|log, client, _| {
        watch_flow(log, client);
        client.on_readable(move |_| log.add("C", "readable"));
        later(move || {
            client.remove_all_listeners(Some(SocketEvent::Readable));
            log.add("C", state(client));
            next_tick(move || log.add("C", format!("tick {}", state(client))));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| 0 stopped paused ~ tick 0 undecided |x close(false)");
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        watch_each_data(log, client);
        client.on_readable(move |_| log.add("C", "readable"));
        later(move || {
            client.remove_all_listeners(Some(SocketEvent::Readable));
            log.add("C", state(client));
            next_tick(move || log.add("C", format!("tick {}", state(client))));
            set_immediate(move || feed(client, &peer, &["x"]));
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ resume | 0 stopped paused ~ tick 0 flowing ~ resume | data x | ~ end | ~ finish |x close(false)",
    );
}

/// F28: destroyed in a listener: the next one is still called, and what is buffered can still be read.
#[test]
fn f28_destroy_in_readable() {
    let log = play(|log, client, peer| {
        client.on_readable(move |client| {
            log.add("C", "readable");
            client.destroy();
            add_read(log, client, None);
            add_read(log, client, None);
        });
        client.on_readable(move |_| log.add("C", "second"));
        feed_then(client, &peer, &["a"], || {});
    });
    log.assert_after("C", "ready", "| ~ readable, read=a, read=None, second |x close(false)");
}

/// F28: `pause()` does not concern it.
#[test]
fn f28_pause_in_readable() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        client.on_readable(move |client| {
            log.add("C", "readable");
            client.pause();
            log.add("C", state(client));
            add_read(log, client, None);
        });
        feed(client, &peer, &["a", "b"]);
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ readable, 1 stopped paused, read=a | ~ readable, 1 stopped paused, read=b \
         | readable, 0 stopped paused, read=None ~ end | ~ finish |x close(false)",
    );
}
