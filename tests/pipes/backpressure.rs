//! Rules F26 and F60: a destination that is full, two destinations, and a source that is stopped.

use halfclose::net::ConnectOptions;
use halfclose::next_tick;

use crate::{HIGH_WATER_MARK, MORE_THAN_THE_KERNEL_TAKES, Scene, play, play_with, state};

fn small_mark() -> ConnectOptions {
    ConnectOptions::new().high_water_mark(4)
}

/// Records the length of each `data` of the source.
fn watch_data_length(scene: &Scene) {
    let log = scene.log;
    scene.source.on_data(move |_, bytes| log.add("I", format!("data {}", bytes.len())));
}

/// F60: into a destination that is full already: the source is paused, holds at most its mark, and goes on at `drain`.
#[test]
fn f60_a_stalled_destination() {
    const LENGTH: usize = 200_000;
    let log = play(|scene| {
        let log = scene.log;
        let add = move |scene: &Scene| {
            let source = scene.source;
            log.add("I", format!("{} len={} br={}", state(source), source.readable_length(), source.bytes_read()));
        };
        scene.destination.write(vec![0; MORE_THAN_THE_KERNEL_TAKES]);
        scene.source.pipe(scene.destination);
        log.add("I", format!("{} need={}", state(scene.source), scene.destination.writable_need_drain()));
        scene.a.write_much(LENGTH);
        scene.later(move |scene| {
            scene.later(move |scene| {
                add(&scene);
                scene.b.flow();
                settle(scene, move |scene| {
                    let over = scene.destination.bytes_written() == (MORE_THAN_THE_KERNEL_TAKES + LENGTH) as u64
                        && scene.destination.writable_length() == 0;
                    if over {
                        add(scene);
                        scene.source.destroy();
                        scene.destination.destroy();
                    }
                    over
                });
            });
        });
    });
    let whole = log.whole();
    // How often it fills up again, before all is through, depends on how fast its peer reads.
    let start = "O pipe, I pause, I stopped paused need=true ~ I resume | I stopped paused len=65536 br=65536 \
         | O drain ~ I resume";
    assert!(whole.starts_with(start), "{whole}");
    assert!(whole.ends_with("| I flowing len=0 br=200000 |x O close(false), O unpipe |x I close(false)"), "{whole}");
}

/// F60: what is under way when the destination fills up.
#[test]
fn f60_a_destination_that_stalls() {
    let log = play(|scene| {
        scene.source.pipe(scene.destination);
        scene.a.write_much(2 * MORE_THAN_THE_KERNEL_TAKES);
        let mut before = 0;
        settle(scene, move |scene| {
            let settled = scene.source.bytes_read() == before && scene.source.is_paused();
            before = scene.source.bytes_read();
            if settled {
                let held = scene.source.readable_length();
                // The last read that fits below the mark may overshoot it by almost a whole one.
                assert!((HIGH_WATER_MARK..2 * HIGH_WATER_MARK).contains(&held), "{held} bytes held by the source");
                let held = scene.destination.writable_length();
                assert!((1..2 * HIGH_WATER_MARK).contains(&held), "{held} bytes held by the destination");
                scene.add(state(scene.source));
                scene.source.destroy();
                scene.destination.destroy();
            }
            settled
        });
    });
    log.assert_of("T", "stopped paused");
    log.assert_of("O", "pipe |x close(false), unpipe");
}

/// Calls `check` again and again until it answers true.
fn settle(scene: Scene, mut check: impl FnMut(&Scene) -> bool + 'static) {
    scene.later(move |scene| {
        if !check(&scene) {
            settle(scene, check);
        }
    });
}

/// F60: `drain` resumes the source in a tick.
#[test]
fn f60_drain_resumes_the_source() {
    let log = play_with(ConnectOptions::new(), small_mark(), |scene| {
        watch_data_length(&scene);
        scene.destination.cork();
        scene.source.pipe(scene.destination);
        scene.a.write("abcdef");
        scene.later(|scene| {
            scene.log.add("I", state(scene.source));
            scene.a.write("gh");
            scene.later(|scene| {
                scene.destination.uncork();
                scene.log.add("I", state(scene.source));
                let ticking = scene.clone();
                next_tick(move || ticking.add("tick"));
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I data 6, I pause | I stopped paused \
         | I stopped paused ~ O drain ~ T tick ~ I resume, I data 2 | T bye |x O close(false), O unpipe \
         |x I close(false)",
    );
}

/// F60: into a destination whose `drain` is awaited already.
#[test]
fn f60_pipe_into_a_full_destination() {
    let log = play_with(ConnectOptions::new(), small_mark(), |scene| {
        scene.destination.cork();
        scene.destination.write("abcdef");
        scene.source.pipe(scene.destination);
        scene.add(format!("{} {}", state(scene.source), crate::counts(scene.destination)));
        scene.a.write("x");
        scene.later(|scene| {
            scene.add(format!("{} {}", state(scene.source), scene.source.readable_length()));
            scene.destination.uncork();
            scene.later(|scene| {
                scene.add(format!("{} {}", state(scene.source), scene.source.readable_length()));
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe, I pause, T stopped paused 0122222 ~ I resume | T stopped paused 1 ~ O drain ~ I resume \
         | T flowing 0 | T bye |x O close(false), O unpipe |x I close(false)",
    );
}

/// F60: a user who resumes the source overrules the pipe, until the next chunk.
#[test]
fn f60_resume_while_the_destination_is_full() {
    let log = play_with(ConnectOptions::new(), small_mark(), |scene| {
        watch_data_length(&scene);
        scene.destination.cork();
        scene.source.pipe(scene.destination);
        scene.a.write("abcdef");
        scene.later(|scene| {
            scene.source.resume();
            scene.later(|scene| {
                scene.a.write("gh");
                scene.later(|scene| {
                    scene.log.add("I", format!("{} {}", state(scene.source), scene.destination.writable_length()));
                    scene.destination.uncork();
                    scene.bye();
                });
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I data 6, I pause | ~ I resume | I data 2, I pause \
         | I stopped paused 8 ~ O drain ~ I resume | T bye |x O close(false), O unpipe |x I close(false)",
    );
}

/// F60: and `drain` overrules a user who paused it.
#[test]
fn f60_drain_overrules_a_pause() {
    let log = play_with(ConnectOptions::new(), small_mark(), |scene| {
        watch_data_length(&scene);
        scene.destination.cork();
        scene.source.pipe(scene.destination);
        scene.a.write("abcdef");
        scene.later(|scene| {
            scene.source.pause();
            scene.destination.uncork();
            scene.later(|scene| {
                scene.log.add("I", state(scene.source));
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I data 6, I pause | ~ O drain ~ I resume | I flowing | T bye \
         |x O close(false), O unpipe |x I close(false)",
    );
}

/// F26: `pipe` resumes a source that was paused.
#[test]
fn f26_pipe_resumes_a_paused_source() {
    let log = play(|scene| {
        scene.source.pause();
        scene.source.pipe(scene.destination);
        scene.add(state(scene.source));
        scene.bye();
    });
    log.assert_whole("I pause, O pipe, T flowing ~ I resume | T bye |x O close(false), O unpipe |x I close(false)");
}

/// F26, F30: with a `readable` listener the pipe gets what that listener reads.
#[test]
fn f30_pipe_beside_a_readable_listener() {
    let log = play(|scene| {
        let log = scene.log;
        scene.source.on_readable(move |source| {
            log.add("I", format!("readable {}", source.readable_length()));
            source.read();
        });
        scene.source.pipe(scene.destination);
        scene.add(state(scene.source));
        scene.a.write("abc");
        scene.later(|scene| {
            assert_eq!(scene.b.arrived(), "abc");
            scene.bye();
        });
    });
    log.assert_whole(
        "O pipe, T stopped paused ~ I resume | ~ I readable 3 | T bye |x O close(false), O unpipe \
         |x I close(false)",
    );
}

/// F60, F61: the end of a source with a full destination: its last chunk went there before it was paused.
#[test]
fn f61_the_end_behind_a_full_destination() {
    let log = play_with(ConnectOptions::new().allow_half_open(true), small_mark(), |scene| {
        scene.destination.cork();
        scene.source.pipe(scene.destination);
        scene.a.end_with("abcdef");
        scene.later(|scene| {
            scene.add(format!("{} {}", state(scene.source), scene.destination.writable_ended()));
            assert_eq!(scene.b.arrived(), "abcdef end");
            scene.bye();
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I pause | ~ I end | ~ O finish, O unpipe | T stopped paused true | T bye \
         |x O close(false) |x I close(false)",
    );
}

/// F60: two destinations, the source itself among them; the slower one decides.
#[test]
fn f60_two_destinations() {
    let log = play(|scene| {
        scene.source.pipe(scene.source);
        scene.source.pipe(scene.destination);
        scene.a.write("x");
        scene.later(|scene| {
            assert_eq!((scene.a.arrived().as_str(), scene.b.arrived().as_str()), ("x", "x"));
            scene.a.end_with("y");
            scene.b.end();
            scene.later(|scene| {
                assert_eq!((scene.a.arrived().as_str(), scene.b.arrived().as_str()), ("y end", "y end"));
            });
        });
    });
    log.assert_of("I", "pipe ~ resume | ~ end | ~ finish, pause, unpipe |x close(false)");
    log.assert_of("O", "pipe | ~ end | ~ finish, unpipe |x close(false)");
    let log = play_with(ConnectOptions::new(), small_mark(), |scene| {
        scene.source.pipe(scene.source);
        scene.destination.cork();
        scene.source.pipe(scene.destination);
        scene.a.write("abcdef");
        scene.later(|scene| {
            scene.add(state(scene.source));
            scene.a.write("gh");
            scene.later(|scene| {
                scene.add(format!("{} {}", scene.source.readable_length(), scene.source.bytes_written()));
                scene.destination.uncork();
                scene.later(|scene| {
                    scene.add(format!("{} {}", state(scene.source), scene.source.bytes_written()));
                    assert_eq!((scene.a.arrived().as_str(), scene.b.arrived().as_str()), ("abcdefgh", "abcdefgh"));
                    scene.bye();
                });
            });
        });
    });
    log.assert_whole(
        "I pipe, O pipe ~ I resume | I pause | T stopped paused | T 2 6 ~ O drain ~ I resume \
         | T flowing 8 | T bye |x O close(false), O unpipe |x I close(false), I unpipe",
    );
}

/// F60: both are full: the source goes on when both have drained.
#[test]
fn f60_two_full_destinations() {
    let log = play_with(small_mark(), small_mark(), |scene| {
        scene.source.cork();
        scene.destination.cork();
        scene.source.pipe(scene.source);
        scene.source.pipe(scene.destination);
        scene.a.write("abcdef");
        scene.later(|scene| {
            scene.add(state(scene.source));
            scene.destination.uncork();
            scene.later(|scene| {
                scene.add(state(scene.source));
                scene.source.uncork();
                scene.later(|scene| {
                    scene.add(state(scene.source));
                    scene.bye();
                });
            });
        });
    });
    log.assert_whole(
        "I pipe, O pipe ~ I resume | I pause | T stopped paused ~ O drain \
         | T stopped paused ~ I drain ~ I resume | T flowing | T bye |x O close(false), O unpipe \
         |x I close(false), I unpipe",
    );
}

/// F60, F62: the full one is destroyed: the source goes on with the other.
#[test]
fn f62_the_full_one_of_two_is_destroyed() {
    let log = play_with(ConnectOptions::new(), small_mark(), |scene| {
        scene.source.pipe(scene.source);
        scene.destination.cork();
        scene.source.pipe(scene.destination);
        scene.a.write("abcdef");
        scene.later(|scene| {
            scene.add(state(scene.source));
            scene.a.write("gh");
            scene.later(|scene| {
                scene.destination.destroy();
                scene.later(|scene| {
                    scene.add(format!("{} {}", state(scene.source), scene.source.bytes_written()));
                    scene.bye();
                });
            });
        });
    });
    log.assert_whole(
        "I pipe, O pipe ~ I resume | I pause | T stopped paused |x O close(false), O unpipe ~ I resume \
         | T flowing 8 | T bye |x I close(false), I unpipe",
    );
}
