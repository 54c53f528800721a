//! Text: `set_encoding`, `on_text`, `read_text` (rule F40).
//!
//! May touch: the public API and the shared test support. Invariant: the peer of std sends a byte only after the client has
//! read the one before, so that every cut falls where the test wants it.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, Encoding, Socket, SocketEvent};
use halfclose::{clear_interval, set_interval};
use support::{Log, RawListener, RawPeer};

const MILLISECOND: Duration = Duration::from_millis(1);

/// A client, watched as `C`, whose peer sends `bytes` one by one and then ends. `prepare` gets the client before it
/// connects.
fn byte_by_byte(log: &Log, bytes: &'static [u8], prepare: impl FnOnce(Socket)) {
    let raw = RawListener::bind();
    let client = net::connect(("127.0.0.1", raw.port())).expect("connect");
    support::watch_socket(log, "C", client);
    prepare(client);
    client.once_connect(move |client| {
        let mut peer: RawPeer = raw.accept();
        let sent = Cell::new(0);
        let timer = Rc::new(Cell::new(None));
        let own = timer.clone();
        timer.set(Some(set_interval(MILLISECOND, move || {
            if client.bytes_read() < sent.get() as u64 {
                return;
            }
            match bytes.get(sent.get()) {
                Some(byte) => peer.write(&[*byte]),
                None => {
                    peer.half_close();
                    clear_interval(own.get().expect("the interval"));
                    client.set_data(RefCell::new(Some(peer.stream().try_clone().expect("a clone"))));
                }
            }
            sent.set(sent.get() + 1);
        })));
    });
}

/// F40: incomplete sequences are held back until they are complete; a chunk that completes nothing emits nothing.
#[test]
fn f40_a_character_is_never_broken() {
    support::test(|event_loop| {
        let log = Log::new();
        byte_by_byte(&log, "a€b".as_bytes(), move |client| {
            client.set_encoding(Encoding::Utf8);
            client.on_data(move |_, bytes| log.add("C", format!("data({})", String::from_utf8_lossy(bytes))));
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| data(a) | data(€) | data(b) | ~ end | ~ finish |x close(false)");
    });
}

/// F40: a truncated sequence gives one U+FFFD in a last `data` before `end`.
#[test]
fn f40_a_truncated_character_is_replaced() {
    support::test(|event_loop| {
        let log = Log::new();
        byte_by_byte(&log, &[b'a', 0xe2, 0x82], move |client| {
            client.set_encoding(Encoding::Utf8);
            client.on_text(move |_, text| log.add("C", format!("text({text})")));
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| text(a) | text(\u{fffd}) ~ end | ~ finish |x close(false)");
    });
}

/// F40: what was read ahead is decoded at the call; here lengths count the bytes of the text.
#[test]
fn f40_what_was_buffered_is_decoded() {
    support::test(|event_loop| {
        let log = Log::new();
        let raw = RawListener::bind();
        let client = net::connect(("127.0.0.1", raw.port())).expect("connect");
        client.once_connect(move |client| {
            let mut peer = raw.accept();
            peer.write(&[0xe9, b'a']);
            let timer = Rc::new(Cell::new(None));
            let own = timer.clone();
            timer.set(Some(set_interval(MILLISECOND, move || {
                if client.readable_length() < 2 {
                    return;
                }
                clear_interval(own.get().expect("the interval"));
                client.set_encoding(Encoding::Latin1);
                log.add("C", format!("{:?} {}", client.readable_encoding(), client.readable_length()));
                log.add("C", format!("{:?}", client.read_text_exactly(1)));
                log.add("C", format!("{:?}", client.read_text()));
                client.destroy();
                let _ = &peer;
            })));
        });
        event_loop.run().expect("run");
        assert_eq!(
            log.list(),
            ["C Some(Latin1) 3", "C None", "C Some(\"éa\")"],
            "one byte of the text is half a character: nothing is taken rather than half of it"
        );
    });
}

/// Without an encoding, text listeners see UTF-8 and data listeners the bytes as they came.
#[test]
fn two_views_of_one_event() {
    support::test(|event_loop| {
        let log = Log::new();
        byte_by_byte(&log, &[0xc3, 0xa9, 0xff, 0xc3], move |client| {
            client.on_data(move |_, bytes| log.add("C", format!("{bytes:02x?}")));
            client.on_text(move |_, text| log.add("C", text.to_string()));
        });
        event_loop.run().expect("run");
        log.assert_after(
            "C",
            "ready",
            "| [c3] | [a9], é | [ff], \u{fffd} | [c3] | ~ \u{fffd}, end | ~ finish |x close(false)",
        );
    });
}

/// A one-shot text listener waits for a whole character, and is gone before it is called.
#[test]
fn once_text_is_given_the_first_text() {
    support::test(|event_loop| {
        let log = Log::new();
        byte_by_byte(&log, "éa".as_bytes(), move |client| {
            let once = client.once_text(move |client, text| {
                log.add("C", format!("once({text}) of {}", client.listener_count(SocketEvent::Data)));
            });
            client.on_data(move |client, bytes| {
                log.add("C", format!("{bytes:02x?} of {}", client.listener_count(SocketEvent::Data)));
            });
            let removed = client.once_text(|_, _| unreachable!("it was removed"));
            assert!(client.off(removed) && !client.off(removed) && client.prepend(once));
        });
        event_loop.run().expect("run");
        log.assert_after(
            "C",
            "ready",
            "| [c3] of 2 | once(é) of 1, [a9] of 1 | [61] of 1 | ~ end | ~ finish |x close(false)",
        );
    });
}

/// What the end of the stream leaves is text, and no bytes: for `once_text`, and not for `once_data`.
#[test]
fn what_the_end_leaves_is_text_only() {
    support::test(|event_loop| {
        let log = Log::new();
        byte_by_byte(&log, &[0xc3], move |client| {
            client.once_text(move |_, text| log.add("C", format!("once({text})")));
            client.on_data(move |client, bytes| {
                log.add("C", format!("{bytes:02x?}"));
                client.once_data(|_, _| unreachable!("there are no more bytes"));
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| [c3] | ~ once(\u{fffd}), end | ~ finish |x close(false)");
    });
}

/// A panic of the listener is the end of it, as of any one-shot listener (law 8).
#[test]
fn once_text_is_gone_after_a_panic() {
    support::test(|event_loop| {
        let log = Log::new();
        byte_by_byte(&log, b"ab", move |client| {
            client.once_text(|_, text| panic!("at {text}"));
            client.on_text(move |_, text| log.add("C", text.to_string()));
        });
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| event_loop.run()));
        assert_eq!(support::panic_text(&*panicked.expect_err("a panic")), "at a");
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| b | ~ end | ~ finish |x close(false)");
    });
}

/// Hex and base64 are text too; a base64 group is held back until it is complete, the last one is padded.
#[cfg(feature = "encodings")]
#[test]
fn groups_are_held_back_like_characters() {
    support::test(|event_loop| {
        let log = Log::new();
        byte_by_byte(&log, b"abcd", move |client| {
            client.set_encoding(Encoding::Base64);
            client.on_text(move |_, text| log.add("C", text.to_string()));
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| YWJj | ZA== ~ end | ~ finish |x close(false)");
    });
}
