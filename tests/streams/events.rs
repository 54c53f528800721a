//! `pause` and `resume`, the events: when they come, and what a listener that gives the opposite command does.

use halfclose::net::{ConnectOptions, Socket, SocketEvent};
use halfclose::next_tick;

use crate::support::in_a_loop;
use crate::{destroy_later, feed, feed_then, later, play, play_from_start, state, watch_each_data, watch_flow};

/// `pause` is emitted within the call of `pause()`, once until the flow was resumed.
#[test]
fn pause_is_emitted_within_the_call() {
    let log = play(|log, client, _| {
        client.on_pause(move |client| log.add("C", format!("pause {}", state(client))));
        client.pause();
        log.add("C", "returned");
        client.pause();
        destroy_later(client);
    });
    log.assert_after("C", "ready", "| pause 0 stopped paused, returned |x close(false)");
}

/// `resume` is emitted in a tick, once for any number of calls; a flow that goes on does not begin again.
#[test]
fn resume_is_emitted_in_a_tick() {
    let log = play(|log, client, _| {
        client.on_resume(move |client| log.add("C", format!("resume {}", state(client))));
        client.resume();
        log.add("C", "returned");
        client.resume();
        next_tick(move || log.add("C", "tick"));
        later(move || {
            client.resume();
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| returned ~ resume 0 flowing ~ tick |x close(false)");
}

/// The first `data` listener resumes: the event, then what was buffered, in one tick.
#[test]
fn the_first_data_listener_resumes() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        feed_then(client, &peer, &["a", "b"], move || {
            watch_each_data(log, client);
            log.add("C", format!("added {}", state(client)));
            next_tick(move || log.add("C", "tick"));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| added 2 flowing ~ resume, data a, data b ~ tick |x close(false)");
}

/// Turning it off and on again within one callback: each `pause`, one `resume`.
#[test]
fn toggling_within_a_callback() {
    let log = play(|log, client, _| {
        watch_flow(log, client);
        client.resume().pause().resume().pause().resume();
        log.add("C", state(client));
        destroy_later(client);
    });
    log.assert_after("C", "ready", "| pause, pause, 0 flowing ~ resume |x close(false)");
}

/// `pause()` before the tick of `resume`: the event still comes, the data does not.
#[test]
fn pause_before_the_tick_of_resume() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        watch_each_data(log, client);
        client.pause();
        feed_then(client, &peer, &["a"], move || {
            client.resume().pause();
            log.add("C", state(client));
            next_tick(move || log.add("C", "tick"));
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| pause ~ resume | pause, 1 stopped paused ~ resume ~ tick |x close(false)");
}

/// `pause()` in a `pause` listener does nothing.
#[test]
fn pause_in_a_pause_listener() {
    let log = play(|log, client, _| {
        client.on_pause(move |client| {
            log.add("C", "pause");
            client.pause();
            log.add("C", "out");
        });
        client.resume();
        later(move || {
            client.pause();
            log.add("C", "returned");
            client.destroy();
        });
    });
    log.assert_after("C", "ready", "| pause, out, returned |x close(false)");
}

/// `resume()` in a `pause` listener: it flows, and yet `is_paused`, because that is noted after the listeners.
#[test]
fn resume_in_a_pause_listener() {
    let log = play(|log, client, _| {
        watch_flow(log, client);
        client.on_pause(move |client| {
            client.resume();
            log.add("C", format!("in {}", state(client)));
        });
        client.resume();
        later(move || {
            client.pause();
            log.add("C", format!("returned {}", state(client)));
            later(move || {
                log.add("C", state(client));
                destroy_later(client);
            });
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ resume | pause, in 0 flowing, returned 0 flowing paused ~ resume | 0 flowing paused |x close(false)",
    );
}

/// The same with data: it arrives.
#[test]
fn data_after_resume_in_a_pause_listener() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        client.once_pause(move |client| {
            client.resume();
        });
        watch_each_data(log, client);
        later(move || {
            client.pause();
            log.add("C", format!("returned {}", state(client)));
            feed(client, &peer, &["a", "b"]);
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ resume | pause, returned 0 flowing paused ~ resume | data a | data b | ~ end | ~ finish \
         |x close(false)",
    );
}

/// `pause()` in a `resume` listener stops the buffered data that would have followed.
#[test]
fn pause_in_a_resume_listener() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        client.once_resume(move |client| {
            client.pause();
        });
        watch_each_data(log, client);
        feed_then(client, &peer, &["a"], move || {
            log.add("C", state(client));
            client.resume();
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| ~ resume, pause | 1 stopped paused ~ resume, data a |x close(false)");
}

/// `resume()` and `pause()` in a `pause` listener: a nested emission, which reaches that listener when it has returned
/// (in Node before that).
#[test]
fn a_nested_pause_reaches_the_listener_when_it_has_returned() {
    let log = play(|log, client, _| {
        client.on_resume(move |_| log.add("C", "resume"));
        let mut first = true;
        client.on_pause(move |client| {
            log.add("C", "pause");
            if std::mem::take(&mut first) {
                client.resume().pause();
            }
            log.add("C", "out");
        });
        client.resume();
        later(move || {
            client.pause();
            log.add("C", format!("returned {}", state(client)));
            destroy_later(client);
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ resume | pause, out, pause, out, returned 0 stopped paused ~ resume |x close(false)",
    );
}

/// `pause()` in a `data` listener: the event within the call; the other listeners of that chunk are still called.
#[test]
fn pause_in_a_data_listener() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        client.on_data(move |client, bytes| {
            log.add("C", format!("data {}", String::from_utf8_lossy(bytes)));
            client.pause();
            log.add("C", "out");
        });
        client.on_data(move |_, bytes| log.add("C", format!("second {}", String::from_utf8_lossy(bytes))));
        feed_then(client, &peer, &["a", "b"], move || {
            client.resume();
            destroy_later(client);
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| ~ resume | data a, pause, out, second a | ~ resume, data b, pause, out, second b |x close(false)",
    );
}

/// The events come after `end`, too.
#[test]
fn pause_and_resume_in_end() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        client.resume();
        client.on_end(|client| {
            client.pause().resume();
        });
        peer.end();
    });
    log.assert_after("C", "ready", "| ~ resume | ~ end, pause ~ resume | ~ finish |x close(false)");
}

/// A destroyed socket neither pauses nor resumes; one that is destroyed before the tick of `resume` still emits it.
#[test]
fn pause_and_resume_of_a_destroyed_socket() {
    let log = play(|log, client, _| {
        watch_flow(log, client);
        client.destroy();
        client.pause().resume();
        log.add("C", state(client));
    });
    log.assert_after("C", "ready", "| 0 undecided |x close(false)");
    let log = play(|log, client, _| {
        watch_flow(log, client);
        client.resume().destroy();
    });
    log.assert_after("C", "ready", "| ~ resume |x close(false)");
    let log = play(|log, client, _| {
        watch_flow(log, client);
        client.on_pause(|client| {
            client.destroy();
        });
        client.pause();
        log.add("C", state(client));
    });
    log.assert_after("C", "ready", "| pause, 0 stopped paused |x close(false)");
}

/// Both work before there is a connection.
#[test]
fn pause_and_resume_without_a_connection() {
    let log = in_a_loop(|log| {
        let socket = Socket::new();
        watch_flow(log, socket);
        socket.pause().resume().pause();
        log.add("C", state(socket));
    });
    log.assert_of("C", "pause, pause, 0 stopped paused ~ resume");
    let log = play_from_start(
        ConnectOptions::new(),
        |log, client| {
            watch_flow(log, client);
            client.pause();
        },
        |log, client, _| {
            log.add("C", state(client));
            client.resume();
            destroy_later(client);
        },
    );
    log.assert_after("C", "ready", "| 0 stopped paused ~ resume |x close(false)");
}

/// The one-shot forms.
#[test]
fn once_pause_and_once_resume() {
    let log = play(|log, client, _| {
        client.once_pause(move |_| log.add("C", "pause"));
        client.once_resume(move |_| log.add("C", "resume"));
        client.pause().resume().pause().resume();
        assert_eq!(client.listener_count(SocketEvent::Pause), 0);
        later(move || {
            assert_eq!(client.listener_count(SocketEvent::Resume), 0);
            client.pause().resume();
            destroy_later(client);
        });
    });
    log.assert_after("C", "ready", "| pause ~ resume |x close(false)");
}

/// Removing all listeners of a socket that was paused with a `data` listener resumes it: Node takes the removal of
/// `readable` listeners for a reason to flow, and does not count `data` listeners anew.
#[test]
fn remove_all_listeners_of_a_paused_socket() {
    let log = play(|log, client, _| {
        watch_flow(log, client);
        client.on_data(|_, _| {});
        client.pause();
        later(move || {
            log.add("C", state(client));
            client.remove_all_listeners(None);
            log.add("C", state(client));
            next_tick(move || log.add("C", format!("tick {}", state(client))));
            later(move || {
                log.add("C", format!("later {}", state(client)));
                client.destroy();
            });
        });
    });
    log.assert_after(
        "C",
        "ready",
        "| pause ~ resume | 0 stopped paused, 0 stopped paused ~ tick 0 flowing | later 0 flowing",
    );
}

/// Without a `data` listener it is undecided again, but still paused.
#[test]
fn remove_all_listeners_of_a_paused_socket_without_data_listeners() {
    for had_listener in [false, true] {
        let log = play(move |log, client, _| {
            if had_listener {
                let listener = client.on_data(|_, _| {});
                client.pause();
                client.off(listener);
            }
            watch_flow(log, client);
            client.pause();
            later(move || {
                client.remove_all_listeners(None);
                next_tick(move || log.add("C", format!("tick {}", state(client))));
                later(move || {
                    log.add("C", format!("later {}", state(client)));
                    client.destroy();
                });
            });
        });
        let start = if had_listener { "| ~ resume" } else { "| pause" };
        log.assert_after("C", "ready", &format!("{start} | ~ tick 0 undecided paused | later 0 undecided paused"));
    }
}

/// Nor does a socket flow on that had flowed without a `data` listener.
#[test]
fn remove_all_listeners_of_a_flowing_socket() {
    let log = play(|log, client, _| {
        watch_flow(log, client);
        client.resume();
        later(move || {
            log.add("C", state(client));
            client.remove_all_listeners(None);
            log.add("C", state(client));
            next_tick(move || log.add("C", format!("tick {}", state(client))));
            later(move || {
                log.add("C", format!("later {}", state(client)));
                client.destroy();
            });
        });
    });
    log.assert_after("C", "ready", "| ~ resume | 0 flowing, 0 flowing ~ tick 0 undecided | later 0 undecided");
}

/// Removing the `data` listeners alone changes nothing of a pause.
#[test]
fn remove_all_data_listeners_of_a_paused_socket() {
    let log = play(|log, client, peer| {
        watch_flow(log, client);
        client.on_data(|_, _| {});
        client.pause();
        feed_then(client, &peer, &["abc"], move || {
            client.remove_all_listeners(Some(SocketEvent::Data));
            log.add("C", state(client));
            later(move || {
                log.add("C", format!("later {}", state(client)));
                client.destroy();
            });
        });
    });
    log.assert_after("C", "ready", "| pause ~ resume | 3 stopped paused | later 3 stopped paused |x close(false)");
}
