//! Rule F64: `unpipe` and `unpipe_all`, also from the listeners of the pipe's own events.

use halfclose::net::{ConnectOptions, Socket, SocketEvent};
use halfclose::next_tick;

use crate::support::Log;
use crate::{counts, play, play_with, state};

fn add_data(log: Log, source: Socket, destination: Socket) {
    source.on_data(move |source, bytes| {
        log.add("I", format!("data {}", String::from_utf8_lossy(bytes)));
        source.unpipe(destination);
    });
}

/// F64: the source is paused, then `unpipe` is emitted within the call; what arrives is buffered for the next pipe.
#[test]
fn f64_unpipe_and_pipe_again() {
    let log = play(|scene| {
        scene.source.pipe(scene.destination);
        scene.a.write("1");
        scene.later(|scene| {
            let returned = scene.source.unpipe(scene.destination) == scene.source;
            scene.add(format!("returned {returned} {}", state(scene.source)));
            scene.a.write("22");
            scene.later(|scene| {
                scene.log.add("I", format!("len={}", scene.source.readable_length()));
                scene.add(scene.counts());
                scene.source.pipe(scene.destination);
                scene.later(|scene| {
                    assert_eq!(scene.b.arrived(), "122");
                    scene.bye();
                });
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I pause, O unpipe, T returned true stopped paused \
         | I len=2, T 0111111 / 0111111, O pipe ~ I resume | T bye |x O close(false), O unpipe \
         |x I close(false)",
    );
}

/// F64: what is not piped is not unpiped.
#[test]
fn f64_unpipe_of_something_else() {
    let log = play(|scene| {
        scene.source.unpipe(scene.destination);
        scene.source.pipe(scene.destination);
        scene.destination.unpipe(scene.source);
        scene.source.unpipe(scene.source);
        scene.add(state(scene.source));
        scene.source.unpipe(scene.destination);
        scene.source.unpipe(scene.destination);
        scene.bye();
    });
    log.assert_whole("O pipe, T flowing, I pause, O unpipe ~ I resume | T bye |x O close(false) |x I close(false)");
}

/// F64: a destination whose slot is gone cannot hear `unpipe`; the source is let go all the same, and flows again.
#[test]
fn f64_unpipe_of_a_stale_destination() {
    for all in [false, true] {
        let log = play(move |scene| {
            let stale = Socket::new();
            stale.release();
            let log = scene.log;
            scene.source.on_data(move |_, bytes| log.add("I", format!("data {}", String::from_utf8_lossy(bytes))));
            scene.source.pipe(stale);
            scene.a.write("1");
            scene.later(move |scene| {
                scene.add(scene.counts());
                if all {
                    scene.source.unpipe_all();
                } else {
                    scene.source.unpipe(stale);
                }
                scene.add(scene.counts());
                scene.source.resume();
                scene.a.write("22");
                scene.later(|scene| {
                    scene.a.write("333");
                    scene.later(|scene| scene.bye());
                });
            });
        });
        log.assert_whole(
            "I resume | I data 1, I pause | T 2211111 / 0111111, T 1111111 / 0111111 ~ I resume | I data 22 | I data 333 \
             | T bye |x O close(false) |x I close(false)",
        );
    }
}

/// F64: all at once: one pause, then each destination is told.
#[test]
fn f64_unpipe_all() {
    let log = play(|scene| {
        scene.source.unpipe_all();
        scene.source.pipe(scene.destination);
        scene.source.pipe(scene.source);
        scene.add("-");
        scene.source.unpipe_all();
        scene.add(format!("{} / {}", state(scene.source), scene.counts()));
        scene.source.unpipe_all();
        scene.bye();
    });
    log.assert_whole(
        "O pipe, I pipe, T -, I pause, O unpipe, I unpipe, T stopped paused / 0111111 / 0111111 ~ I resume \
         | T bye |x O close(false) |x I close(false)",
    );
}

/// F64: the source is paused with the last of them only.
#[test]
fn f64_unpipe_one_of_two() {
    let log = play(|scene| {
        scene.source.pipe(scene.source);
        scene.source.pipe(scene.destination);
        scene.add("-");
        scene.source.unpipe(scene.destination);
        scene.add(state(scene.source));
        scene.source.unpipe(scene.source);
        scene.add(state(scene.source));
        scene.bye();
    });
    log.assert_whole(
        "I pipe, O pipe, T -, O unpipe, T flowing, I pause, I unpipe, T stopped paused ~ I resume \
         | T bye |x O close(false) |x I close(false)",
    );
}

/// F64: piped twice into one destination, everything goes there twice; each `unpipe` takes one away.
#[test]
fn f64_two_pipes_into_one_destination() {
    let log = play(|scene| {
        scene.source.pipe(scene.destination);
        scene.source.pipe(scene.destination);
        scene.a.write("x");
        scene.later(|scene| {
            assert_eq!(scene.b.arrived(), "xx");
            scene.add(scene.counts());
            scene.source.unpipe(scene.destination);
            scene.add(format!("{} / {}", state(scene.source), scene.counts()));
            scene.a.write("y");
            scene.later(|scene| {
                assert_eq!(scene.b.arrived(), "y");
                scene.source.unpipe(scene.destination);
                scene.add(format!("{} / {}", state(scene.source), counts(scene.source)));
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe, O pipe ~ I resume | T 2311111 / 0113333, O unpipe, T flowing / 1211111 / 0112222 \
         | I pause, O unpipe, T stopped paused / 0111111 | T bye |x O close(false) |x I close(false)",
    );
}

/// F64: in a `data` listener, behind the pipe's own or before it: that chunk still goes through.
#[test]
fn f64_unpipe_in_data() {
    let log = play(|scene| {
        scene.source.pipe(scene.destination);
        add_data(scene.log, scene.source, scene.destination);
        scene.a.write("1");
        scene.later(|scene| {
            assert_eq!(scene.b.arrived(), "1");
            scene.a.write("2");
            scene.later(|scene| {
                scene.log.add("I", format!("len={}", scene.source.readable_length()));
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I data 1, I pause, O unpipe | I len=1 | T bye |x O close(false) |x I close(false)",
    );
    let log = play(|scene| {
        add_data(scene.log, scene.source, scene.destination);
        scene.source.pipe(scene.destination);
        scene.a.write("1");
        scene.later(|scene| {
            assert_eq!(scene.b.arrived(), "1");
            scene.bye();
        });
    });
    log.assert_whole("O pipe ~ I resume | I data 1, I pause, O unpipe | T bye |x O close(false) |x I close(false)");
}

/// F64: in an `unpipe` listener.
#[test]
fn f64_unpipe_and_pipe_in_unpipe() {
    let log = play(|scene| {
        let (log, source) = (scene.log, scene.source);
        source.pipe(scene.destination);
        scene.destination.on_unpipe(move |destination, _| {
            source.unpipe(destination);
            log.add("O", "again");
        });
        source.unpipe(scene.destination);
        scene.bye();
    });
    log.assert_whole("O pipe, I pause, O unpipe, O again ~ I resume | T bye |x O close(false) |x I close(false)");
    let log = play(|scene| {
        let source = scene.source;
        source.pipe(scene.destination);
        scene.destination.once_unpipe(move |destination, _| {
            source.pipe(destination);
        });
        source.unpipe(scene.destination);
        scene.add(format!("{} / {}", state(source), counts(source)));
        scene.a.write("x");
        scene.later(|scene| {
            assert_eq!(scene.b.arrived(), "x");
            scene.bye();
        });
    });
    log.assert_whole(
        "O pipe, I pause, O unpipe, O pipe, T flowing / 1211111 ~ I resume | T bye \
         |x O close(false), O unpipe |x I close(false)",
    );
}

/// F64: in a `pipe` listener: the flow starts all the same, and the bytes are lost.
#[test]
fn f64_unpipe_in_pipe() {
    let log = play(|scene| {
        let source = scene.source;
        scene.destination.once_pipe(move |destination, _| {
            source.unpipe(destination);
        });
        source.pipe(scene.destination);
        scene.add(format!("{} / {}", state(source), scene.counts()));
        scene.a.write("x");
        scene.later(|scene| {
            scene.log.add("I", format!("len={}", scene.source.readable_length()));
            scene.bye();
        });
    });
    log.assert_whole(
        "O pipe, I pause, O unpipe, T flowing / 0111111 / 0111111 ~ I resume | I len=0 | T bye \
         |x O close(false) |x I close(false)",
    );
}

/// F60, F64: in the `pause` listener of a source whose destination is full.
#[test]
fn f64_unpipe_in_pause() {
    let log = play_with(ConnectOptions::new(), ConnectOptions::new().high_water_mark(4), |scene| {
        let destination = scene.destination;
        destination.cork();
        scene.source.pipe(destination);
        scene.source.once_pause(move |source| {
            source.unpipe(destination);
        });
        scene.a.write("abcdef");
        scene.later(|scene| {
            scene.add(format!("{} / {}", state(scene.source), scene.counts()));
            scene.destination.uncork();
            scene.later(|scene| {
                scene.add(state(scene.source));
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I pause, O unpipe | T stopped paused / 0111111 / 0121111 ~ O drain \
         | T stopped paused | T bye |x O close(false) |x I close(false)",
    );
}

/// F60, F64: a source that waits for `drain` stays paused.
#[test]
fn f64_unpipe_from_a_full_destination() {
    let log = play_with(ConnectOptions::new(), ConnectOptions::new().high_water_mark(4), |scene| {
        scene.destination.cork();
        scene.source.pipe(scene.destination);
        scene.a.write("abcdef");
        scene.later(|scene| {
            scene.source.unpipe(scene.destination);
            scene.add(format!("{} / {}", state(scene.source), counts(scene.destination)));
            let ticking = scene.clone();
            next_tick(move || ticking.add(format!("tick {}", state(ticking.source))));
            scene.later(|scene| {
                scene.add(state(scene.source));
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I pause | O unpipe, T stopped paused / 0111111 ~ T tick stopped paused \
         | T stopped paused | T bye |x O close(false) |x I close(false)",
    );
}

/// F64: the pipe's listeners are ordinary ones: whoever removes them all removes a part of the pipe.
#[test]
fn f64_remove_all_listeners() {
    let log = play(|scene| {
        scene.source.pipe(scene.destination);
        scene.destination.remove_all_listeners(Some(SocketEvent::Unpipe));
        scene.source.unpipe(scene.destination);
        scene.add(format!("{} / {}", state(scene.source), scene.counts()));
        scene.source.resume();
        scene.a.write("x");
        scene.later(|scene| {
            assert_eq!(scene.b.arrived(), "x");
            scene.bye();
        });
    });
    log.assert_whole(
        "O pipe, I pause, T stopped paused / 1211111 / 0112220 ~ I resume | T bye |x O close(false) \
         |x I close(false)",
    );
    let log = play(|scene| {
        scene.source.pipe(scene.destination);
        scene.source.remove_all_listeners(Some(SocketEvent::Data));
        scene.add(state(scene.source));
        scene.a.write("x");
        scene.later(|scene| {
            assert_eq!(scene.b.arrived(), "");
            scene.source.unpipe(scene.destination);
            scene.add(scene.counts());
            scene.bye();
        });
    });
    log.assert_whole(
        "O pipe, T flowing ~ I resume | I pause, O unpipe, T 0111111 / 0111111 | T bye |x O close(false) \
         |x I close(false)",
    );
}

/// The source is the second argument of both events; their one-shot forms.
#[test]
fn once_pipe_and_once_unpipe() {
    let log = play(|scene| {
        let (log, source) = (scene.log, scene.source);
        scene.destination.once_pipe(move |_, other| log.add("O", format!("once pipe {}", other == source)));
        scene.destination.once_unpipe(move |_, other| log.add("O", format!("once unpipe {}", other == source)));
        source.pipe(scene.destination);
        source.unpipe(scene.destination);
        scene.bye();
    });
    log.assert_whole(
        "O pipe, O once pipe true, I pause, O unpipe, O once unpipe true ~ I resume | T bye \
         |x O close(false) |x I close(false)",
    );
}
