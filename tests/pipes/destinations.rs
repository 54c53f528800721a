//! Rule F62: a destination that ends, fails or closes is unpiped; its source is paused, not destroyed.

use halfclose::net::{ConnectOptions, SocketEvent};
use halfclose::{ErrorSource, Unhandled};

use crate::support::{self, Log};
use crate::{Scene, connect_both, play, play_with, state, watch_flow};

/// F62: destroyed: unpiped at `close`; what arrives then is buffered.
#[test]
fn f62_destroyed() {
    let log = play(|scene| {
        scene.source.pipe(scene.destination);
        scene.a.write("1");
        scene.later(|scene| {
            scene.destination.destroy();
            scene.later(|scene| {
                scene.log.add("I", state(scene.source));
                scene.a.write("2");
                scene.later(|scene| {
                    scene.log.add("I", format!("len={}", scene.source.readable_length()));
                    scene.source.destroy();
                });
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume |x O close(false), I pause, O unpipe | I stopped paused | I len=1 |x I close(false)",
    );
}

/// F62: failed: unpiped before its own `error` listeners, whenever they were added.
#[test]
fn f62_failed() {
    let log = play(|scene| {
        let log = scene.log;
        let source = scene.source;
        scene.destination.on_error(move |_, _| log.add("O", format!("mine {}", source.is_paused())));
        scene.source.pipe(scene.destination);
        scene.destination.on_error(move |_, _| log.add("O", "later"));
        scene.later(|scene| {
            scene.destination.destroy_with("no");
            scene.later(|scene| {
                scene.source.destroy();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | ~ I pause, O unpipe, O error(no), O mine true, O later |x O close(true) \
         |x I close(false)",
    );
    let log = play(|scene| {
        scene.source.pipe(scene.destination);
        scene.later(|scene| {
            scene.destination.destroy_with("no");
            scene.later(|scene| {
                scene.log.add("I", state(scene.source));
                scene.source.destroy();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | ~ I pause, O unpipe, O error(no) |x O close(true) | I stopped paused \
         |x I close(false)",
    );
}

/// F62: the pipe's listener does not handle the error: without another one `run()` returns it, after the unpiping; the
/// rest follows in the next `run()`. Two pipes are no different.
#[test]
fn f62_failed_without_a_listener() {
    for (pipes, hooked) in [(1, false), (1, true), (2, false)] {
        let log = Log::new();
        support::test(|event_loop| {
            if hooked {
                event_loop.on_unhandled_error(move |source, error| {
                    assert!(matches!(source, ErrorSource::Socket(_)));
                    log.add("T", format!("unhandled {}", error.message()));
                    Unhandled::Continue
                });
            }
            connect_both(ConnectOptions::new(), ConnectOptions::new(), move |scene| fail(scene, pipes), log);
            let outcome = event_loop.run();
            if !hooked {
                log.add("T", format!("returned {}", outcome.expect_err("the error").message()));
                event_loop.run().expect("once only");
            } else {
                outcome.expect("it was handled");
            }
        });
        let texts = log.list().join(", ");
        let announced = if hooked { "T unhandled no" } else { "T returned no" };
        let expected = if pipes == 1 {
            format!("O pipe, I resume, I pause, O unpipe, {announced}, O close(true), I stopped paused, I close(false)")
        } else {
            // The second one is unpiped at `close`, as in Node.
            format!(
                "O pipe, O pipe, I resume, O unpipe, {announced}, O close(true), I pause, O unpipe, I stopped paused, \
                 I close(false)"
            )
        };
        assert_eq!(texts, expected);
    }
}

fn fail(scene: Scene, pipes: usize) {
    let log = scene.log;
    for (endpoint, socket) in [("I", scene.source), ("O", scene.destination)] {
        watch_flow(log, endpoint, socket);
        socket.on_close(move |_, had_error| log.add(endpoint, format!("close({had_error})")));
    }
    for _ in 0..pipes {
        scene.source.pipe(scene.destination);
    }
    assert_eq!(scene.destination.listener_count(SocketEvent::Error), pipes);
    scene.later(|scene| {
        scene.destination.destroy_with("no");
        scene.later(|scene| {
            scene.log.add("I", state(scene.source));
            scene.source.destroy();
        });
    });
}

/// F62: ended by the user: unpiped at `finish`, with all listeners gone; what arrives then is buffered.
#[test]
fn f62_ended() {
    let log = play(|scene| {
        scene.source.pipe(scene.destination);
        scene.later(|scene| {
            scene.destination.end();
            scene.later(|scene| {
                scene.log.add("I", state(scene.source));
                scene.add(scene.counts());
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | ~ O finish, I pause, O unpipe | I stopped paused, T 0111111 / 0111111 \
         | T bye |x O close(false) |x I close(false)",
    );
}

/// F62: ended by a listener before the pipe writes: the write fails.
#[test]
fn f62_ended_within_the_delivery() {
    let log = play(|scene| {
        let destination = scene.destination;
        scene.source.on_data(move |_, _| {
            destination.end();
        });
        scene.source.pipe(destination);
        scene.a.write("x");
        scene.later(|scene| {
            scene.log.add("I", state(scene.source));
            scene.source.destroy();
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | I pause ~ O unpipe, O error(ERR_STREAM_WRITE_AFTER_END) ~ I resume \
         |x O close(true) | I flowing |x I close(false)",
    );
}

/// F62: piped into after it has ended, or was destroyed, or is closed.
#[test]
fn f62_piped_into_too_late() {
    let log = play(|scene| {
        scene.destination.end();
        scene.later(|scene| {
            scene.source.pipe(scene.destination);
            scene.a.write("x");
            scene.later(|scene| {
                scene.add(format!("{} {}", state(scene.source), scene.source.readable_length()));
                scene.source.destroy();
            });
        });
    });
    log.assert_whole(
        "O finish | O pipe ~ I resume | I pause ~ O unpipe, O error(ERR_STREAM_WRITE_AFTER_END) \
         |x O close(true) | T stopped paused 0 |x I close(false)",
    );
    let log = play(|scene| {
        scene.destination.destroy();
        scene.source.pipe(scene.destination);
        scene.add(state(scene.source));
        scene.a.write("x");
        scene.later(|scene| {
            scene.add(format!("{} {}", state(scene.source), scene.source.readable_length()));
            scene.source.destroy();
        });
    });
    log.assert_whole(
        "O pipe, T flowing ~ I resume |x O close(false), I pause, O unpipe | T stopped paused 1 \
         |x I close(false)",
    );
    // A socket that was kept after its `close`.
    let log = play(|scene| {
        scene.destination.retain();
        scene.destination.destroy();
        scene.later(|scene| {
            scene.source.pipe(scene.destination);
            scene.add(state(scene.source));
            scene.a.write("x");
            scene.later(|scene| {
                scene.add(format!("{} {}", state(scene.source), scene.source.readable_length()));
                scene.source.destroy();
                scene.destination.release();
            });
        });
    });
    log.assert_whole("O close(false) | O pipe, T flowing ~ I resume | I pause | T stopped paused 0 |x I close(false)");
}

/// F62: destroyed by its own `pipe` listener.
#[test]
fn f62_destroyed_in_pipe() {
    let log = play(|scene| {
        scene.destination.on_pipe(|destination, _| {
            destination.destroy();
        });
        scene.source.pipe(scene.destination);
        scene.add(state(scene.source));
        scene.later(|scene| {
            scene.add(state(scene.source));
            scene.source.destroy();
        });
    });
    log.assert_whole(
        "O pipe, T flowing ~ I resume |x O close(false), I pause, O unpipe | T stopped paused |x I close(false)",
    );
}

/// F62: a handle that is no longer anybody's takes the bytes nowhere, and breaks nothing.
#[test]
fn f62_a_stale_destination() {
    let log = play_with(ConnectOptions::new(), ConnectOptions::new(), |scene| {
        scene.destination.destroy();
        scene.later(|scene| {
            assert!(scene.source.pipe(scene.destination) == scene.destination);
            scene.a.write("x");
            scene.later(|scene| {
                scene.source.unpipe(scene.destination);
                scene.source.destroy();
            });
        });
    });
    assert!(log.contains("I", "close(false)"));
}
