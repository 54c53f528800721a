//! Rules F8, F15, F16 and L36: `cork` and `uncork`.

use halfclose::net::{ConnectOptions, Socket};
use halfclose::next_tick;

use crate::support::{Log, callback};
use crate::{MORE_THAN_THE_KERNEL_TAKES, destroy_later, later, play, play_from_start, play_with};

/// How much waits to be written, and why: `2 corked 1 needs drain`.
fn add_state(log: Log, client: Socket) {
    let drain = if client.writable_need_drain() { " needs drain" } else { "" };
    log.add("C", format!("{} corked {}{drain}", client.writable_length(), client.writable_corked()));
}

/// Writes with a callback named `cb` and the chunk, and records what `write` answered.
fn add_write(log: Log, client: Socket, chunk: &'static str, name: &str) {
    log.add("C", client.write_with(chunk, callback(&log, "C", name)));
}

fn write(log: Log, client: Socket, chunk: &'static str, name: &str) {
    client.write_with(chunk, callback(&log, "C", name));
}

/// F15: corked writes wait; `uncork` sends them within the call, and their callbacks come in one tick.
#[test]
fn f15_cork_holds_back_and_uncork_sends() {
    let log = play(|log, client, peer| {
        client.cork();
        add_write(log, client, "a", "cb a");
        add_write(log, client, "b", "cb b");
        add_state(log, client);
        assert_eq!(client.bytes_written(), 2);
        later(move || {
            assert_eq!(peer.arrived(), "");
            client.uncork();
            assert_eq!(peer.arrived(), "ab", "uncork() sends within the call");
            add_state(log, client);
            write(log, client, "c", "cb c");
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| true, true, 2 corked 1 | 0 corked 0 ~ cb a, cb b ~ cb c |x close(false)");
}

/// F15: corks are counted; one `uncork` too many does nothing.
#[test]
fn f15_corks_are_counted() {
    let log = play(|log, client, peer| {
        client.cork().cork();
        write(log, client, "a", "cb a");
        client.uncork();
        add_state(log, client);
        later(move || {
            assert_eq!(peer.arrived(), "");
            client.uncork();
            add_state(log, client);
            client.uncork();
            add_state(log, client);
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| 1 corked 1 | 0 corked 0, 0 corked 0 ~ cb a |x close(false)");
}

/// F15: `end` removes all corks and sends.
#[test]
fn f15_end_removes_all_corks() {
    let log = play(|log, client, peer| {
        client.cork().cork();
        write(log, client, "a", "cb a");
        client.end_data_with("z", callback(&log, "C", "end cb"));
        add_state(log, client);
        assert_eq!(peer.arrived(), "az");
        peer.end();
        client.resume();
    });
    log.assert_after("C", "ready", "| 0 corked 0 ~ cb a | ~ end cb, finish | ~ end |x close(false)");
}

/// F15: so do `destroy_soon`, and the automatic end after the peer's.
#[test]
fn f15_destroy_soon_and_the_automatic_end_remove_all_corks() {
    let log = play(|log, client, _| {
        client.cork();
        write(log, client, "a", "cb a");
        client.destroy_soon();
        add_state(log, client);
    });
    log.assert_after("C", "ready", "| 0 corked 0 ~ cb a | ~ finish |x close(false)");
    let log = play(|log, client, peer| {
        client.resume();
        client.cork();
        write(log, client, "a", "cb a");
        peer.end();
    });
    log.assert_after("C", "ready", "| ~ end ~ cb a | ~ finish |x close(false)");
}

/// F8, F16: a corked write that returned false yields `drain` in the tick after `uncork`, before the callbacks.
#[test]
fn f16_drain_follows_uncork_in_a_tick() {
    let log = play_with(ConnectOptions::new().high_water_mark(4), |log, client, _| {
        client.cork();
        add_write(log, client, "abc", "cb 1");
        add_write(log, client, "de", "cb 2");
        add_state(log, client);
        later(move || {
            client.uncork();
            add_state(log, client);
            next_tick(move || log.add("C", "tick"));
            destroy_later(client);
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| true, false, 5 corked 1 needs drain | 0 corked 0 needs drain ~ drain, cb 1, cb 2 ~ tick \
         |x close(false)",
    );
}

/// F8, F16: the same without a callback.
#[test]
fn f16_drain_needs_no_callback() {
    let log = play_with(ConnectOptions::new().high_water_mark(4), |log, client, _| {
        client.cork();
        log.add("C", client.write("abcde"));
        later(move || {
            client.uncork();
            add_state(log, client);
            next_tick(move || log.add("C", "tick"));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| false | 0 corked 0 needs drain ~ drain ~ tick |x close(false)");
}

/// F8, F16: a `drain` listener may cork and uncork again; its write is sent before the callback of the one that
/// drained.
#[test]
fn f16_cork_in_drain() {
    let log = play_with(ConnectOptions::new().high_water_mark(2), |log, client, _| {
        client.once_drain(move |client| {
            client.cork();
            add_write(log, client, "de", "cb 2");
            client.uncork();
            add_state(log, client);
        });
        client.cork();
        add_write(log, client, "abc", "cb 1");
        client.uncork();
        destroy_later(client);
    });
    log.assert_after(
        "C",
        "ready",
        "| false ~ drain, false, 0 corked 0 needs drain, cb 1 ~ drain, cb 2 |x close(false)",
    );
}

/// F8, F15: what the kernel does not take at `uncork` completes later as one: `drain`, then all callbacks.
#[test]
fn f15_uncork_more_than_the_kernel_takes() {
    let log = play(|log, client, peer| {
        client.cork();
        log.add("C", client.write_with(vec![0; MORE_THAN_THE_KERNEL_TAKES], callback(&log, "C", "cb 1")));
        write(log, client, "x", "cb 2");
        later(move || {
            client.uncork();
            log.add("C", format!("uncork {}", client.writable_length()));
            client.on_drain(destroy_later);
            later(move || peer.flow());
        });
    });
    log.assert_after("C", "ready", "| false | uncork 20000001 | drain, cb 1, cb 2 |x close(false)");
}

/// F15: a write that is in flight completes under a cork; what follows it waits for `uncork`.
#[test]
fn f15_a_cork_outlasts_the_write_in_flight() {
    let log = play(|log, client, peer| {
        client.write_with(vec![0; MORE_THAN_THE_KERNEL_TAKES], move |client, result| {
            callback(&log, "C", "cb 1")(client, result);
            later(move || {
                add_state(log, client);
                client.uncork();
                add_state(log, client);
                destroy_later(client);
            });
        });
        client.cork();
        write(log, client, "x", "cb 2");
        peer.flow();
    });
    log.assert_after(
        "C",
        "ready",
        "| cb 1 | 1 corked 1 needs drain, 0 corked 0 needs drain ~ drain, cb 2 |x close(false)",
    );
}

/// F15: `uncork` while a write is in flight sends nothing; the completion does.
#[test]
fn f15_uncork_behind_a_write_in_flight() {
    let log = play(|log, client, peer| {
        client.write_with(vec![0; MORE_THAN_THE_KERNEL_TAKES], callback(&log, "C", "cb 1"));
        client.cork();
        write(log, client, "x", "cb 2");
        write(log, client, "y", "cb 3");
        client.uncork();
        add_state(log, client);
        peer.flow();
        client.on_drain(destroy_later);
    });
    log.assert_after("C", "ready", "| 20000002 corked 0 needs drain | drain, cb 1 ~ cb 2, cb 3 |x close(false)");
}

/// F15: a cork put in before the connection holds beyond it.
#[test]
fn f15_cork_while_connecting() {
    let log = play_from_start(
        ConnectOptions::new(),
        |log, client| {
            client.cork();
            write(log, client, "a", "cb a");
            write(log, client, "b", "cb b");
        },
        |log, client, peer| {
            assert_eq!(peer.arrived(), "");
            add_state(log, client);
            client.uncork();
            add_state(log, client);
            assert_eq!(peer.arrived(), "ab");
            destroy_later(client);
        },
    );
    log.assert_after("C", "ready", "| 2 corked 1, 0 corked 0 ~ cb a, cb b |x close(false)");
}

/// F15: corked and uncorked while connecting, and a cork behind a write that waits for the connection.
#[test]
fn f15_uncork_while_connecting() {
    let log = play_from_start(
        ConnectOptions::new(),
        |log, client| {
            client.cork();
            write(log, client, "a", "cb a");
            write(log, client, "b", "cb b");
            client.uncork();
            assert_eq!(client.writable_length(), 2);
        },
        |log, client, peer| {
            add_state(log, client);
            assert_eq!(peer.arrived(), "ab");
            destroy_later(client);
        },
    );
    log.assert_after("C", "connect", ", cb a, cb b, ready | 0 corked 0 |x close(false)");
    let log = play_from_start(
        ConnectOptions::new(),
        |log, client| {
            write(log, client, "a", "cb a");
            client.cork();
            write(log, client, "b", "cb b");
        },
        |log, client, peer| {
            add_state(log, client);
            client.uncork();
            add_state(log, client);
            assert_eq!(peer.arrived(), "ab");
            destroy_later(client);
        },
    );
    log.assert_after("C", "connect", ", cb a, ready | 1 corked 1, 0 corked 0 ~ cb b |x close(false)");
}

/// F15: corks on a side that is ended, or that has nothing to send.
#[test]
fn f15_corks_with_nothing_to_send() {
    let log = play(|log, client, _| {
        client.end();
        client.cork();
        add_state(log, client);
        client.uncork();
        add_state(log, client);
        destroy_later(client);
    });
    log.assert_after("C", "ready", "| 0 corked 1, 0 corked 0 | ~ finish |x close(false)");
    let log = play(|log, client, _| {
        client.cork();
        client.end_with(callback(&log, "C", "end cb"));
        add_state(log, client);
        destroy_later(client);
    });
    log.assert_after("C", "ready", "| 0 corked 0 | ~ end cb, finish |x close(false)");
    let log = play(|log, client, _| {
        client.uncork();
        add_state(log, client);
        client.cork().uncork();
        add_state(log, client);
        next_tick(move || log.add("C", "tick"));
        destroy_later(client);
    });
    log.assert_after("C", "ready", "| 0 corked 0, 0 corked 0 ~ tick |x close(false)");
}

/// F13, F15: a corked write of zero bytes gets its callback after `uncork`.
#[test]
fn f15_cork_of_zero_bytes() {
    let log = play(|log, client, _| {
        client.cork();
        add_write(log, client, "", "cb");
        add_state(log, client);
        client.uncork();
        add_state(log, client);
        destroy_later(client);
    });
    log.assert_after("C", "ready", "| true, 0 corked 1, 0 corked 0 ~ cb |x close(false)");
}

/// F15: the idiom: cork in a callback, uncork in a tick.
#[test]
fn f15_cork_in_a_write_callback() {
    let log = play(|log, client, _| {
        client.write_with("a", move |client, _| {
            log.add("C", "cb a");
            client.cork();
            write(log, client, "b", "cb b");
            write(log, client, "c", "cb c");
            next_tick(move || {
                client.uncork();
                add_state(log, client);
            });
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| ~ cb a ~ 0 corked 0 ~ cb b, cb c |x close(false)");
}

/// L36: destroyed with corked data only; `uncork` afterwards sends nothing.
#[test]
fn l36_destroy_with_corked_data() {
    let log = play(|log, client, peer| {
        client.cork();
        write(log, client, "a", "cb a");
        client.destroy();
        add_state(log, client);
        client.uncork();
        add_state(log, client);
        assert_eq!(peer.arrived(), "");
    });
    log.assert_after("C", "ready", "| 1 corked 1, 1 corked 0 ~ cb a(ERR_STREAM_DESTROYED) |x close(false)");
    let log = play(|log, client, _| {
        client.cork();
        write(log, client, "a", "cb a");
        client.destroy_with("no");
        add_state(log, client);
    });
    log.assert_after("C", "ready", "| 1 corked 1 ~ cb a(no) ~ error(no) |x close(true)");
}

/// A stale handle has no corks, and does not mind.
#[test]
fn corks_of_a_stale_handle() {
    play(|_, client, _| {
        client.destroy();
        later(move || {
            client.cork();
            assert_eq!(client.writable_corked(), 0);
            client.uncork();
        });
    });
}
