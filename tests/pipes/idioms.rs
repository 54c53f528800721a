//! Pipes in the hands of users: piping from within listeners, looking at the first bytes before piping, and destroying
//! within a delivery (rules F29, F31, F60 to F64).

use halfclose::net::ConnectOptions;

use crate::{Scene, play, play_with, state};

fn small_mark() -> ConnectOptions {
    ConnectOptions::new().high_water_mark(4)
}

fn add_source(scene: &Scene) {
    scene.log.add("I", state(scene.source));
}

/// Writes two chunks, then records how many bytes went on and whether the source flows.
fn write_twice(scene: &Scene, first: &str, second: &'static str) {
    scene.a.write(first);
    scene.later(move |scene| {
        scene.a.write(second);
        scene.later(|scene| {
            scene.add(format!("{} {}", scene.destination.bytes_written(), state(scene.source)));
            scene.bye();
        });
    });
}

/// Piped in the listener of the first chunk: that chunk is not piped.
#[test]
fn pipe_in_the_first_data() {
    let log = play(|scene| {
        let (log, destination) = (scene.log, scene.destination);
        scene.source.once_data(move |source, bytes| {
            log.add("I", format!("data {}", String::from_utf8_lossy(bytes)));
            source.pipe(destination);
            log.add("I", state(source));
        });
        scene.a.write("head");
        scene.later(|scene| {
            scene.a.write("body");
            scene.later(|scene| {
                scene.add(scene.destination.bytes_written());
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "I resume | I data head, O pipe, I flowing | T 4 | T bye |x O close(false), O unpipe |x I close(false)",
    );
}

/// The first bytes taken off, the rest put back, and piped later.
#[test]
fn sniff_with_data() {
    let log = play(|scene| {
        let sniffing = scene.clone();
        scene.source.once_data(move |source, bytes| {
            sniffing.log.add("I", format!("data {}", String::from_utf8_lossy(bytes)));
            source.pause();
            source.unshift(&bytes[2..]);
            sniffing.later(|scene| {
                add_source(&scene);
                scene.source.pipe(scene.destination);
                scene.later(|scene| {
                    assert_eq!(scene.b.arrived(), "body");
                    scene.add(scene.destination.bytes_written());
                    scene.a.write("more");
                    scene.bye();
                });
            });
        });
        scene.a.write("hdbody");
    });
    log.assert_whole(
        "I resume | I data hdbody, I pause | I stopped paused, O pipe ~ I resume | T 4 | T bye \
         |x O close(false), O unpipe |x I close(false)",
    );
}

/// The same with a one-shot `readable` listener.
#[test]
fn sniff_with_readable() {
    let log = play(|scene| {
        let (log, destination) = (scene.log, scene.destination);
        scene.source.once_readable(move |source| {
            let bytes = source.read().expect("bytes");
            log.add("I", format!("read={}", String::from_utf8_lossy(&bytes)));
            source.unshift(&bytes[2..]);
            source.pipe(destination);
            log.add("I", state(source));
        });
        write_twice(&scene, "hdbody", "more");
    });
    log.assert_whole(
        "I read=hdbody, O pipe, I stopped paused ~ I resume | T 8 flowing | T bye \
         |x O close(false), O unpipe |x I close(false)",
    );
}

/// The same with a listener that removes itself when it has enough.
#[test]
fn sniff_with_read_exactly() {
    let log = play(|scene| {
        let (log, destination) = (scene.log, scene.destination);
        let id = std::rc::Rc::new(std::cell::Cell::new(None));
        let own = id.clone();
        id.set(Some(scene.source.on_readable(move |source| {
            let Some(bytes) = source.read_exactly(2) else { return };
            log.add("I", format!("read={}", String::from_utf8_lossy(&bytes)));
            source.off(own.get().expect("the listener"));
            source.pipe(destination);
            log.add("I", state(source));
        })));
        write_twice(&scene, "hdbody", "more");
    });
    log.assert_whole(
        "I read=hd, O pipe, I stopped paused ~ I resume | T 8 flowing | T bye \
         |x O close(false), O unpipe |x I close(false)",
    );
}

/// The destination destroyed by a `data` listener before the pipe writes.
#[test]
fn f62_destination_destroyed_in_data() {
    let log = play(|scene| {
        let destination = scene.destination;
        scene.source.on_data(move |_, _| {
            destination.destroy();
        });
        scene.source.pipe(destination);
        scene.a.write("x");
        scene.later(|scene| {
            scene.a.write("y");
            scene.later(|scene| {
                scene.log.add("I", format!("{} {}", state(scene.source), scene.source.readable_length()));
                scene.source.destroy();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I pause |x O close(false), O unpipe ~ I resume | I flowing 0 |x I close(false)",
    );
}

/// The source destroyed there: that chunk still goes through.
#[test]
fn f63_source_destroyed_in_data() {
    let log = play(|scene| {
        scene.source.retain();
        scene.source.on_data(|source, _| {
            source.destroy();
        });
        scene.source.pipe(scene.destination);
        scene.a.write("x");
        scene.later(|scene| {
            scene.log.add("O", scene.destination.bytes_written());
            scene.destination.destroy();
        });
    });
    log.assert_whole("O pipe ~ I resume |x I close(false) | O 1 |x O close(false), O unpipe");
}

/// The destination destroyed by an `end` listener of the source, before or after the pipe's own.
#[test]
fn f62_destination_destroyed_in_end() {
    let log = play(|scene| {
        let destination = scene.destination;
        scene.source.on_end(move |_| {
            destination.destroy();
        });
        scene.source.pipe(destination);
        scene.a.end_with("x");
    });
    log.assert_of("I", "resume | ~ end | ~ finish |x close(false)");
    log.assert_of("O", "pipe |x close(false), unpipe");
    let log = play(|scene| {
        let destination = scene.destination;
        scene.source.pipe(destination);
        scene.source.on_end(move |_| {
            destination.destroy();
        });
        scene.a.end_with("x");
    });
    log.assert_of("I", "resume | ~ end | ~ finish |x close(false)");
    log.assert_of("O", "pipe |x close(false), unpipe");
}

/// A full destination that the user ends, or destroys.
#[test]
fn f62_a_full_destination_goes() {
    let log = play_with(ConnectOptions::new(), small_mark(), |scene| {
        scene.destination.cork();
        scene.source.pipe(scene.destination);
        scene.a.write("abcdef");
        scene.later(|scene| {
            scene.destination.end();
            scene.later(|scene| {
                add_source(&scene);
                scene.add(scene.counts());
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I pause | ~ O finish, O unpipe | I stopped paused, T 0111111 / 0111111 \
         | T bye |x O close(false) |x I close(false)",
    );
    let log = play_with(ConnectOptions::new(), small_mark(), |scene| {
        scene.destination.cork();
        scene.source.pipe(scene.destination);
        scene.a.write("abcdef");
        scene.later(|scene| {
            scene.destination.destroy();
            scene.later(|scene| {
                add_source(&scene);
                scene.add(crate::counts(scene.source));
                scene.source.destroy();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I pause |x O close(false), O unpipe | I stopped paused, T 0111111 |x I close(false)",
    );
}

/// F64: unpiped by a `drain` listener, before or after the pipe's own.
#[test]
fn f64_unpipe_in_drain() {
    let log = play_with(ConnectOptions::new(), small_mark(), |scene| {
        let source = scene.source;
        scene.destination.on_drain(move |destination| {
            source.unpipe(destination);
        });
        scene.destination.cork();
        scene.source.pipe(scene.destination);
        scene.a.write("abcdef");
        scene.later(|scene| {
            scene.destination.uncork();
            scene.later(|scene| {
                add_source(&scene);
                scene.add(scene.counts());
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I pause | ~ O drain, O unpipe | I stopped paused, T 0111111 / 0121111 \
         | T bye |x O close(false) |x I close(false)",
    );
    let log = play_with(ConnectOptions::new(), small_mark(), |scene| {
        scene.destination.cork();
        scene.source.pipe(scene.destination);
        scene.a.write("abcdef");
        scene.later(|scene| {
            let source = scene.source;
            scene.destination.on_drain(move |destination| {
                source.unpipe(destination);
            });
            scene.destination.uncork();
            scene.later(|scene| {
                add_source(&scene);
                scene.add(scene.counts());
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I pause | ~ O drain, I pause, O unpipe ~ I resume \
         | I stopped paused, T 0111111 / 0121111 | T bye |x O close(false) |x I close(false)",
    );
}

/// F60: `drain` resumes a source even if its `data` listeners were all removed at once: as in Node, only removing them
/// one by one is noticed.
#[test]
fn f60_drain_after_all_data_listeners_were_removed() {
    let log = play_with(ConnectOptions::new(), small_mark(), |scene| {
        scene.destination.cork();
        scene.source.pipe(scene.destination);
        scene.a.write("abcdef");
        scene.later(|scene| {
            scene.source.remove_all_listeners(Some(halfclose::net::SocketEvent::Data));
            scene.add(state(scene.source));
            scene.destination.uncork();
            scene.later(|scene| {
                scene.add(state(scene.source));
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I pause | T stopped paused ~ O drain ~ I resume | T flowing | T bye \
         |x O close(false), O unpipe |x I close(false)",
    );
}

/// F60: `pipe` returns the destination, so that calls chain; here back to where it came from.
#[test]
fn f60_a_chain() {
    let log = play(|scene| {
        scene.source.pipe(scene.destination).pipe(scene.source);
        scene.a.write("x");
        scene.later(|scene| {
            scene.b.write("y");
            scene.later(|scene| {
                scene.add(format!("{} {}", scene.source.bytes_written(), scene.destination.bytes_written()));
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe, I pipe ~ I resume ~ O resume | T 1 1 | T bye |x O close(false), O unpipe \
         |x I close(false), I unpipe",
    );
}

/// F64: piped and unpiped again and again within one callback.
#[test]
fn f64_toggling_within_a_callback() {
    let log = play(|scene| {
        scene.source.pipe(scene.destination);
        scene.source.unpipe(scene.destination);
        scene.source.pipe(scene.destination);
        scene.source.unpipe(scene.destination);
        scene.a.write("xyz");
        scene.later(|scene| {
            scene.log.add("I", format!("{} {}", scene.source.readable_length(), state(scene.source)));
            scene.bye();
        });
    });
    log.assert_whole(
        "O pipe, I pause, O unpipe, O pipe, I pause, O unpipe ~ I resume | I 3 stopped paused | T bye \
         |x O close(false) |x I close(false)",
    );
}
