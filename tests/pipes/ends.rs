//! Rules F60, F61, F65 and F66: what a pipe does from its beginning to the end of its source; echoes and proxies.

use std::cell::Cell;
use std::rc::Rc;

use halfclose::net::{ConnectOptions, PipeOptions, ServerOptions};
use halfclose::next_tick;

use crate::support::{self, Log};
use crate::{MORE_THAN_THE_KERNEL_TAKES, play, play_with, state, watch_flow};

fn half_open() -> ConnectOptions {
    ConnectOptions::new().allow_half_open(true)
}

/// F60, F61: `pipe` within the call, then the flow; the end of the source ends the destination, whose `finish` unpipes.
#[test]
fn f60_from_the_beginning_to_the_end() {
    let log = play(|scene| {
        let returned = scene.source.pipe(scene.destination) == scene.destination;
        scene.add(format!("returned {returned} {}", state(scene.source)));
        scene.a.write("1");
        scene.later(|scene| {
            assert_eq!(scene.b.arrived(), "1");
            scene.a.end_with("2");
            scene.later(|scene| {
                assert_eq!(scene.b.arrived(), "2 end");
                scene.b.end();
            });
        });
    });
    log.assert_whole(
        "O pipe, T returned true flowing ~ I resume | ~ I end | ~ O finish, I pause, O unpipe \
         | ~ I finish |x I close(false) | ~ O end |x O close(false)",
    );
}

/// F60: the listeners that make a pipe, and that `unpipe` takes them away.
#[test]
fn f60_its_listeners() {
    let log = play(|scene| {
        scene.add(scene.counts());
        scene.source.pipe(scene.destination);
        scene.add(scene.counts());
        scene.source.unpipe(scene.destination);
        scene.add(scene.counts());
        scene.bye();
    });
    log.assert_whole(
        "T 0111111 / 0111111, O pipe, T 1211111 / 0112222, I pause, O unpipe, T 0111111 / 0111111 ~ I resume \
         | T bye |x O close(false) |x I close(false)",
    );
}

/// F60: its listener has its place among the source's own.
#[test]
fn f60_the_order_of_the_listeners() {
    let log = play(|scene| {
        let (log, destination) = (scene.log, scene.destination);
        scene.source.on_data(move |_, bytes| log.add("I", format!("first {}", String::from_utf8_lossy(bytes))));
        scene.source.pipe(destination);
        scene.source.on_data(move |_, bytes| {
            log.add("I", format!("last {} {}", String::from_utf8_lossy(bytes), destination.bytes_written()));
        });
        scene.a.write("x");
        scene.bye();
    });
    log.assert_whole("O pipe ~ I resume | I first x, I last x 1 | T bye |x O close(false), O unpipe |x I close(false)");
}

/// F61: without `end` the source only lets go.
#[test]
fn f61_end_false() {
    let log = play_with(half_open(), ConnectOptions::new(), |scene| {
        scene.source.pipe_with(scene.destination, PipeOptions::new().end(false));
        scene.a.end_with("1");
        scene.later(|scene| {
            let (source, destination) = (state(scene.source), state(scene.destination));
            scene.add(format!("{source} / {destination} {}", scene.destination.writable_ended()));
            scene.add(scene.counts());
            assert_eq!(scene.b.arrived(), "1");
            scene.bye();
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | ~ I end, I pause, O unpipe \
         | T stopped paused / undecided false, T 0111111 / 0111111 | T bye |x O close(false) \
         |x I close(false)",
    );
    let log = play(|scene| {
        scene.source.pipe_with(scene.destination, PipeOptions::new().end(false));
        scene.a.end_with("1");
        scene.later(|scene| {
            scene.add(format!("{} {}", state(scene.destination), scene.destination.writable_ended()));
            scene.destination.destroy();
        });
    });
    log.assert_whole(
        "O pipe ~ I resume | ~ I end, I pause, O unpipe | ~ I finish |x I close(false) \
         | T undecided false |x O close(false)",
    );
}

/// F61: piping a socket that has ended already ends the destination in a tick.
#[test]
fn f61_pipe_after_end() {
    let log = play_with(half_open(), ConnectOptions::new(), |scene| {
        scene.source.resume();
        scene.a.end();
        scene.later(|scene| {
            scene.source.pipe(scene.destination);
            scene.add(state(scene.source));
            let ticking = scene.clone();
            next_tick(move || ticking.add("tick"));
            scene.bye();
        });
    });
    log.assert_whole(
        "I resume | ~ I end | O pipe, T flowing ~ T tick | ~ O finish, I pause, O unpipe | T bye \
         |x O close(false) |x I close(false)",
    );
    let log = play_with(half_open(), ConnectOptions::new(), |scene| {
        scene.source.resume();
        scene.a.end();
        scene.later(|scene| {
            scene.source.pipe_with(scene.destination, PipeOptions::new().end(false));
            scene.add(state(scene.source));
            let ticking = scene.clone();
            next_tick(move || ticking.add("tick"));
            scene.bye();
        });
    });
    log.assert_whole(
        "I resume | ~ I end | O pipe, T flowing ~ I pause, O unpipe ~ T tick | T bye |x O close(false) \
         |x I close(false)",
    );
}

/// F61: what was buffered when the end of the stream was read still comes before it.
#[test]
fn f61_pipe_with_everything_buffered() {
    let log = play_with(half_open(), ConnectOptions::new(), |scene| {
        scene.a.end_with("x");
        scene.later(|scene| {
            scene.source.pipe(scene.destination);
            scene.later(|scene| {
                assert_eq!(scene.b.arrived(), "x end");
                scene.bye();
            });
        });
    });
    log.assert_whole(
        "O pipe ~ I resume ~ I end | ~ O finish, I pause, O unpipe | T bye |x O close(false) |x I close(false)",
    );
}

/// F65: an echo.
#[test]
fn f65_echo() {
    support::test(|event_loop| {
        let log = Log::new();
        support::pair(
            event_loop,
            &log,
            ServerOptions::new(),
            ConnectOptions::new(),
            move |socket| {
                watch_flow(log, "S", socket);
                socket.pipe(socket);
            },
            move |client| {
                support::watch_data_bytes(&log, "C", client);
                client.on_connect(|client| {
                    client.end_data("ping");
                });
            },
        );
        log.assert_of("S", "connection, pipe ~ resume | ~ end | ~ finish, pause, unpipe |x close(false)");
        log.assert_after("C", "connectionAttempt", "| connect, ready | ~ finish | data(ping) | ~ end |x close(false)");
    });
}

/// F65: an echo of more than all buffers hold.
#[test]
fn f65_a_large_echo() {
    support::test(|event_loop| {
        let log = Log::new();
        let received = Rc::new(Cell::new(0));
        let total = received.clone();
        support::pair(
            event_loop,
            &log,
            ServerOptions::new(),
            ConnectOptions::new(),
            |socket| {
                socket.pipe(socket);
            },
            move |client| {
                client.on_data(move |_, bytes| total.set(total.get() + bytes.len()));
                client.end_data(vec![0; MORE_THAN_THE_KERNEL_TAKES]);
            },
        );
        assert_eq!(received.get(), MORE_THAN_THE_KERNEL_TAKES);
        assert!(log.contains("S", "close(false)"), "{}", log.whole());
    });
}

/// F66: a two-way proxy without half-open sockets cuts a late answer.
#[test]
fn f66_a_proxy_cuts_the_answer() {
    let log = play(|scene| {
        scene.source.pipe(scene.destination);
        scene.destination.pipe(scene.source);
        scene.a.write("1");
        scene.later(|scene| {
            scene.a.end_with("2");
            scene.later(|scene| {
                assert_eq!(scene.b.arrived(), "12 end");
                assert_eq!(scene.a.arrived(), " end");
                scene.b.end_with("late");
                scene.later(|scene| {
                    assert_eq!(state(scene.destination), "stopped paused");
                    scene.add("bye");
                    scene.destination.destroy();
                });
            });
        });
    });
    log.assert_whole(
        "O pipe, I pipe ~ I resume ~ O resume | ~ I end | ~ O finish, I pause, O unpipe \
         | ~ I finish, O pause, I unpipe |x I close(false) | T bye |x O close(false)",
    );
}

/// F66: with half-open sockets it arrives.
#[test]
fn f66_a_half_open_proxy() {
    let log = play_with(half_open(), half_open(), |scene| {
        scene.source.pipe(scene.destination);
        scene.destination.pipe(scene.source);
        scene.a.write("1");
        scene.later(|scene| {
            scene.a.end_with("2");
            scene.later(|scene| {
                assert_eq!(scene.b.arrived(), "12 end");
                scene.b.end_with("late");
                scene.later(|scene| assert_eq!(scene.a.arrived(), "late end"));
            });
        });
    });
    log.assert_of("I", "pipe ~ resume | ~ end | ~ pause | ~ finish, unpipe |x close(false)");
    log.assert_of("O", "pipe ~ resume | ~ finish, unpipe | ~ end |x close(false)");
}
