//! Rule F63: a source that is destroyed or fails leaves its destination alone; and sources that are not connected yet.

use halfclose::net::{self, Socket};

use crate::support::{self, Log, RawListener};
use crate::{counts, play, state, watch};

/// F63: destroyed: the destination stays open, with the pipe's listeners, until it is closed itself.
#[test]
fn f63_destroyed() {
    let log = play(|scene| {
        scene.source.retain();
        scene.source.pipe(scene.destination);
        scene.a.write("1");
        scene.later(|scene| {
            scene.source.destroy();
            scene.later(|scene| {
                let destination = scene.destination;
                let (state, counts) = (state(destination), counts(destination));
                scene.log.add("O", format!("{state} {} {counts}", destination.writable()));
                destination.destroy();
            });
        });
    });
    log.assert_whole("O pipe ~ I resume |x I close(false) | O undecided true 0112222 |x O close(false), O unpipe");
}

/// F63: failed.
#[test]
fn f63_failed() {
    let log = play(|scene| {
        scene.source.retain();
        scene.source.pipe(scene.destination);
        scene.later(|scene| {
            scene.source.destroy_with("no");
            scene.later(|scene| {
                scene.log.add("O", format!("{} {}", state(scene.destination), scene.destination.writable()));
                scene.destination.destroy();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | ~ I error(no) |x I close(true) | O undecided true |x O close(false), O unpipe",
    );
}

/// F63: the destination is destroyed when the source closes.
#[test]
fn f63_both_destroyed() {
    let log = play(|scene| {
        scene.source.retain();
        let destination = scene.destination;
        scene.source.pipe(destination);
        scene.source.destroy();
        scene.source.once_close(move |_, _| {
            destination.destroy();
        });
    });
    log.assert_whole("O pipe ~ I resume |x I close(false) |x O close(false), O unpipe");
}

/// F63: a destroyed source can be piped, for what that is worth.
#[test]
fn f63_destroyed_before() {
    let log = play(|scene| {
        scene.source.retain();
        scene.source.destroy();
        scene.source.pipe(scene.destination);
        scene.add(state(scene.source));
        scene.later(|scene| {
            scene.add(counts(scene.destination));
            scene.destination.destroy();
        });
    });
    log.assert_whole("O pipe, T undecided |x I close(false) | T 0112222 |x O close(false), O unpipe");
}

/// F63: destroyed by a `pipe` listener of the destination.
#[test]
fn f63_destroyed_in_pipe() {
    let log = play(|scene| {
        scene.source.retain();
        let source = scene.source;
        scene.destination.on_pipe(move |_, other| {
            assert!(other == source);
            source.destroy();
        });
        scene.source.pipe(scene.destination);
        scene.later(|scene| {
            scene.destination.destroy();
        });
    });
    log.assert_whole("O pipe ~ I resume |x I close(false) |x O close(false), O unpipe");
}

/// F62, F63: the destination is unpiped when it closes, although its source was freed long ago.
#[test]
fn f63_unpiped_from_a_source_that_is_gone() {
    let log = play(|scene| {
        scene.source.pipe(scene.destination);
        scene.source.destroy();
        scene.later(|scene| {
            scene.destination.destroy();
        });
    });
    log.assert_whole("O pipe ~ I resume |x I close(false) |x O close(false), O unpipe");
}

/// F60: piped before either is connected: what comes first finds a destination that is not.
#[test]
fn f60_piped_before_the_destination_connects() {
    support::test(|event_loop| {
        let log = Log::new();
        let raw = RawListener::bind();
        let (source, destination) = (Socket::new(), Socket::new());
        watch(log, "I", source);
        watch(log, "O", destination);
        source.pipe(destination);
        log.add("T", state(source));
        source.connect(("127.0.0.1", raw.port())).expect("connect");
        source.once_connect(move |source| {
            let mut peer = raw.accept();
            peer.write(b"x");
            source.set_data(peer);
            source.once_pause(|source| {
                source.destroy();
            });
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("O", "pipe | ~ unpipe, error(ERR_SOCKET_CLOSED) ~ close(false)");
        log.assert_after("I", "ready", "| pause |x close(false)");
    });
}

/// F60: piped while both connect: what comes waits for the destination, too.
#[test]
fn f60_piped_while_both_connect() {
    support::test(|event_loop| {
        let (raw_source, raw_destination) = (RawListener::bind(), RawListener::bind());
        let connect = |raw: &RawListener| net::connect(("127.0.0.1", raw.port())).expect("connect");
        let source = connect(&raw_source);
        let destination = connect(&raw_destination);
        source.pipe(destination);
        source.once_connect(move |source| {
            let mut a = raw_source.accept();
            a.write(b"hello");
            a.half_close();
            source.set_data(a);
        });
        destination.once_connect(move |_| {
            let mut b = raw_destination.accept();
            support::in_thread(move || {
                assert_eq!(b.read_to_end().expect("no reset"), b"hello");
            });
        });
        destination.once_close(|destination, _| assert_eq!(destination.bytes_written(), 5));
        event_loop.run().expect("no unhandled error");
    });
}
