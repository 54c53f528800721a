//! `PanicPolicy::CloseSocket` (FM29): a panic costs the one socket whose callback it was, and the loop goes on.
//!
//! May touch: the public API. Invariant: in every scenario somebody else is served after the panic, by the same server, and
//! all slots are free in the end.

mod support;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, Server, Socket};
use halfclose::{
    EventLoop, EventLoopOptions, Interest, PanicPolicy, PanicSource, next_tick, set_immediate, set_interval,
    set_timeout,
};
use support::{DEADLINE, Log, callback, loopback, panic_text, port_of, watch_data_bytes, watch_socket, within};

/// The text of every panic that the tests provoke.
const PROVOKED: &str = "provoked";

const MILLISECOND: Duration = Duration::from_millis(1);

/// More than the kernel takes at once.
const LONG: usize = 8_000_000;

type Sources = Rc<RefCell<Vec<PanicSource>>>;

/// A loop that goes on after panics, and whose they were.
fn surviving(body: impl FnOnce(&mut EventLoop, Sources)) {
    within(DEADLINE, || {
        let options = EventLoopOptions::new().panic_policy(PanicPolicy::CloseSocket);
        let mut event_loop = EventLoop::with_options(options).expect("a loop");
        let sources = Sources::default();
        let told = sources.clone();
        event_loop.on_panic(move |source, payload| {
            assert_eq!(panic_text(&*payload), PROVOKED);
            told.borrow_mut().push(source);
        });
        body(&mut event_loop, sources);
        let stats = event_loop.stats();
        assert_eq!(stats.opened, stats.closes.total());
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}

/// A server (`S` are its sockets) that sends everything back, ends when it is told `bye`, and closes after `B`, which
/// connects when the victim has closed.
fn serve_somebody_else_after(log: Log, victim: impl FnOnce(Server) -> Socket + 'static) -> Server {
    let server = Server::new();
    server.on_connection(move |_, accepted| {
        watch_socket(&log, "S", accepted);
        accepted.on_data(|accepted, bytes| {
            if bytes == b"bye" {
                accepted.end();
            } else {
                accepted.write(bytes);
            }
        });
    });
    server
        .listen_with(("127.0.0.1", 0), move |server| {
            let somebody_else = move || {
                let bystander = net::connect(loopback(port_of(server))).expect("connect");
                bystander.write("still here");
                watch_data_bytes(&log, "B", bystander);
                bystander.once_data(|bystander, _| {
                    bystander.end();
                });
                bystander.on_close(move |_, had_error| {
                    log.add("B", format!("close({had_error})"));
                    server.close();
                });
            };
            // In front of its own listeners, one of which may panic.
            victim(server).once_close(move |_, _| {
                set_immediate(somebody_else);
            });
        })
        .expect("listen");
    server
}

/// A client `C` that `arm` prepares panics once, and is destroyed for it: no `error`, and `close` says that there was one.
/// Returns its log.
fn costs_the_socket(arm: impl FnOnce(Log, Socket) + 'static) -> Log {
    let log = Log::new();
    surviving(|event_loop, sources| {
        let victim = Rc::new(Cell::new(None));
        let made = victim.clone();
        serve_somebody_else_after(log, move |server| {
            let client = net::connect(loopback(port_of(server))).expect("connect");
            made.set(Some(client));
            watch_socket(&log, "C", client);
            arm(log, client);
            client
        });
        event_loop.run().expect("no panic and no error comes out");
        let client = victim.get().expect("it was made");
        assert_eq!(*sources.borrow(), [PanicSource::Socket(client)], "{}", log.whole());
        assert_eq!(event_loop.stats().panics, 1);
        log.assert_of("B", "data(still here) |x close(false)");
        let texts = log.texts_of("C");
        assert_eq!(texts.last().map(String::as_str), Some("close(true)"), "{}", log.whole());
        assert!(!texts.iter().any(|text| text.starts_with("error")), "{}", log.whole());
    });
    log
}

/// A `data` listener without captures, alone: the way that most input goes.
#[test]
fn in_a_sole_data_listener() {
    let log = costs_the_socket(|_, client| {
        client.write("hello");
        client.on_data(|_, _| panic!("{PROVOKED}"));
    });
    log.assert_of("C", "connectionAttempt | connect, ready |x close(true)");
    assert_eq!(log.texts_of("S")[..3], ["end", "finish", "close(false)"]);
}

#[test]
fn in_a_data_listener_with_captures() {
    let log = costs_the_socket(|log, client| {
        client.write("hello");
        client.on_data(move |_, _| {
            log.add("C", "data");
            panic!("{PROVOKED}");
        });
    });
    log.assert_of("C", "connectionAttempt | connect, ready | data |x close(true)");
}

/// The listeners behind it are skipped; those of `close` are all called.
/// What it has put back is not for it any more: its socket was destroyed for the panic.
#[test]
fn in_a_data_listener_that_has_put_something_back() {
    let log = costs_the_socket(|log, client| {
        client.write("hello");
        client.on_data(move |client, bytes| {
            log.add("C", format!("data of {}", bytes.len()));
            client.unshift("again");
            panic!("{PROVOKED}");
        });
    });
    log.assert_of("C", "connectionAttempt | connect, ready | data of 5 |x close(true)");
}

#[test]
fn in_one_of_several_listeners() {
    let log = costs_the_socket(|log, client| {
        client.write("hello");
        client.on_data(move |_, _| log.add("C", "first"));
        client.once_data(|_, _| panic!("{PROVOKED}"));
        client.on_data(move |_, _| log.add("C", "skipped"));
        client.on_close(move |_, _| log.add("C", "close again"));
        client.on_close(move |_, had_error| log.add("C", format!("close({had_error})")));
    });
    log.assert_of("C", "connectionAttempt | connect, ready | first |x close(true), close again, close(true)");
}

#[test]
fn in_connection_attempt() {
    let log = costs_the_socket(|_, client| {
        client.on_connection_attempt(|_, _| panic!("{PROVOKED}"));
    });
    log.assert_of("C", "connectionAttempt |x close(true)");
}

/// `ready` is what Node emits next, whatever the listeners of `connect` did.
#[test]
fn in_connect() {
    let log = costs_the_socket(|_, client| {
        client.on_connect(|_| panic!("{PROVOKED}"));
    });
    log.assert_of("C", "connectionAttempt | connect | ready |x close(true)");
}

#[test]
fn in_ready() {
    let log = costs_the_socket(|_, client| {
        client.on_ready(|_| panic!("{PROVOKED}"));
    });
    log.assert_of("C", "connectionAttempt | connect, ready |x close(true)");
}

#[test]
fn in_end() {
    let log = costs_the_socket(|_, client| {
        client.write("bye");
        client.resume();
        client.on_end(|_| panic!("{PROVOKED}"));
    });
    log.assert_of("C", "connectionAttempt | connect, ready | ~ end |x close(true)");
}

#[test]
fn in_finish() {
    let log = costs_the_socket(|_, client| {
        client.on_finish(|_| panic!("{PROVOKED}"));
        client.end();
    });
    log.assert_of("C", "connectionAttempt | connect, ready | ~ finish |x close(true)");
}

#[test]
fn in_drain() {
    let log = costs_the_socket(|_, client| {
        client.on_drain(|_| panic!("{PROVOKED}"));
        client.resume();
        client.write(vec![1; LONG]);
    });
    log.assert_of("C", "connectionAttempt | connect, ready | drain |x close(true)");
}

#[test]
fn in_timeout() {
    let log = costs_the_socket(|_, client| {
        client.set_timeout(MILLISECOND);
        client.on_timeout(|_| panic!("{PROVOKED}"));
    });
    assert_eq!(log.texts_of("C").iter().filter(|text| *text == "timeout").count(), 1);
}

#[test]
fn in_readable() {
    let log = costs_the_socket(|_, client| {
        client.write("hello");
        client.on_readable(|_| panic!("{PROVOKED}"));
    });
    log.assert_of("C", "connectionAttempt | connect, ready |x close(true)");
}

/// An event that is emitted within a call.
#[test]
fn in_pause() {
    let log = costs_the_socket(|_, client| {
        client.on_pause(|_| panic!("{PROVOKED}"));
        client.on_connect(|client| {
            client.resume();
            client.pause();
        });
    });
    log.assert_of("C", "connectionAttempt | connect | ready |x close(true)");
}

#[test]
fn in_the_callback_of_a_write() {
    let log = costs_the_socket(|log, client| {
        client.write_with("hello", |_, _| panic!("{PROVOKED}"));
        client.write_with("and", callback(&log, "C", "second"));
    });
    assert!(log.contains("C", "second"), "{}", log.whole());
}

#[test]
fn in_the_callback_of_an_end() {
    costs_the_socket(|_, client| {
        client.end_with(|_, _| panic!("{PROVOKED}"));
    });
}

/// A callback that waits is told why.
#[test]
fn who_waits_is_given_the_error() {
    let log = costs_the_socket(|log, client| {
        client.on_connect(move |client| {
            client.write_with(vec![1; LONG], callback(&log, "C", "first"));
            client.write_with("and", callback(&log, "C", "second"));
            client.end_with(callback(&log, "C", "ended"));
            panic!("{PROVOKED}");
        });
    });
    log.assert_of(
        "C",
        "connectionAttempt | connect | ready \
         |x first(write ECANCELED), second(ERR_LISTENER_PANICKED), ended(ERR_LISTENER_PANICKED) |x close(true)",
    );
}

/// The callback that fills the user's own buffer.
#[test]
fn in_on_read() {
    let log = costs_the_socket(|_, client| {
        client.write("hello");
        client.on_read(vec![0; 16], |_, _| panic!("{PROVOKED}"));
    });
    log.assert_of("C", "connectionAttempt | connect, ready |x close(true)");
}

/// A socket that is over already has nothing to lose: what is owed to it comes as if nothing had been.
#[test]
fn in_close_and_in_error() {
    surviving(|event_loop, sources| {
        let log = Log::new();
        serve_somebody_else_after(log, move |server| {
            let client = net::connect(loopback(port_of(server))).expect("connect");
            watch_socket(&log, "C", client);
            client.on_connect(|client| {
                client.destroy_with("enough");
            });
            client.on_error(|_, _| panic!("{PROVOKED}"));
            let other = net::connect(loopback(port_of(server))).expect("connect");
            other.on_connect(|other| {
                other.destroy();
            });
            other.on_close(|_, _| panic!("{PROVOKED}"));
            client
        });
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttempt | connect, ready ~ error(enough) |x close(true)");
        log.assert_of("B", "data(still here) |x close(false)");
        assert_eq!(sources.borrow().len(), 2);
        assert_eq!(event_loop.stats().closes.panicked, 0);
    });
}

/// A `connection` listener costs the connection, and its peer sees an end; the server goes on.
#[test]
fn in_connection() {
    surviving(|event_loop, sources| {
        let log = Log::new();
        let server = serve_somebody_else_after(log, move |server| {
            let client = net::connect(loopback(port_of(server))).expect("connect");
            watch_socket(&log, "C", client);
            client.resume();
            client
        });
        let accepted = Rc::new(Cell::new(None));
        let first = accepted.clone();
        server.once_connection(move |_, socket| {
            first.set(Some(socket));
            panic!("{PROVOKED}");
        });
        event_loop.run().expect("run");
        log.assert_of("C", "connectionAttempt | connect, ready | ~ end | ~ finish |x close(false)");
        log.assert_of("B", "data(still here) |x close(false)");
        assert_eq!(*sources.borrow(), [PanicSource::Socket(accepted.get().expect("one was accepted"))]);
        assert_eq!(log.texts_of("S")[0], "close(true)", "{}", log.whole());
        assert_eq!(event_loop.stats().closes.panicked, 1);
    });
}

/// Other listeners of a server cost nobody anything.
#[test]
fn in_the_listeners_of_a_server() {
    surviving(|event_loop, sources| {
        let log = Log::new();
        let server = serve_somebody_else_after(log, move |server| {
            let client = net::connect(loopback(port_of(server))).expect("connect");
            client.end();
            client.resume();
            client
        });
        server.on_listening(|_| panic!("{PROVOKED}"));
        server.on_close(|_| panic!("{PROVOKED}"));
        event_loop.run().expect("run");
        log.assert_of("B", "data(still here) |x close(false)");
        assert_eq!(*sources.borrow(), [PanicSource::Server(server); 2]);
    });
}

/// What belongs to no socket: the loop goes on, in its order; an interval goes on, too, and a watch.
#[test]
fn in_timers_immediates_ticks_posts_and_watches() {
    surviving(|event_loop, sources| {
        let log = Log::new();
        let (near, _far) = UnixStream::pair().expect("a pair");
        let rounds = Cell::new(0);
        let watch = halfclose::watch(near, Interest::WRITABLE, move |watch, _, _| {
            rounds.set(rounds.get() + 1);
            log.add("loop", format!("watch {}", rounds.get()));
            if rounds.get() == 2 {
                watch.close();
            } else {
                panic!("{PROVOKED}");
            }
        })
        .expect("a watch");
        set_immediate(move || {
            log.add("loop", "immediate");
            next_tick(move || {
                log.add("loop", "tick");
                panic!("{PROVOKED}");
            });
            next_tick(move || log.add("loop", "next tick"));
            panic!("{PROVOKED}");
        });
        set_immediate(move || log.add("loop", "next immediate"));
        let handle = event_loop.handle();
        assert!(handle.post(|| panic!("{PROVOKED}")).is_ok());
        event_loop.run().expect("run");
        log.assert_of("loop", "watch 1 | immediate | ~ tick ~ next tick | next immediate | watch 2");
        assert_eq!(
            *sources.borrow(),
            [PanicSource::Watch(watch), PanicSource::Post, PanicSource::Immediate, PanicSource::Tick]
        );

        sources.borrow_mut().clear();
        set_timeout(MILLISECOND, || panic!("{PROVOKED}"));
        let interval: Rc<Cell<Option<halfclose::Timer>>> = Rc::default();
        let (handle, rounds) = (interval.clone(), Cell::new(0));
        interval.set(Some(set_interval(2 * MILLISECOND, move || {
            rounds.set(rounds.get() + 1);
            if rounds.get() == 3 {
                handle.take().expect("the interval").clear();
            }
            panic!("{PROVOKED}");
        })));
        event_loop.run().expect("run");
        assert_eq!(*sources.borrow(), [PanicSource::Timer; 4]);
    });
}

/// A panic that went through the listeners of two sockets costs both.
#[test]
fn through_two_listeners() {
    surviving(|event_loop, sources| {
        let log = Log::new();
        let paused = Rc::new(Cell::new(None));
        let inner = paused.clone();
        serve_somebody_else_after(log, move |server| {
            let address = loopback(port_of(server));
            let one = net::connect(address).expect("connect");
            watch_socket(&log, "C", one);
            let other = net::connect(address).expect("connect");
            watch_socket(&log, "D", other);
            inner.set(Some(other));
            other.on_pause(|_| panic!("{PROVOKED}"));
            one.write("hello");
            one.on_data(move |_, _| {
                other.pause();
            });
            one
        });
        event_loop.run().expect("run");
        assert_eq!(*sources.borrow(), [PanicSource::Socket(paused.get().expect("it was made"))]);
        for endpoint in ["C", "D"] {
            assert_eq!(log.texts_of(endpoint).last().map(String::as_str), Some("close(true)"), "{}", log.whole());
        }
        log.assert_of("B", "data(still here) |x close(false)");
        assert_eq!(event_loop.stats().panics, 1);
    });
}

/// What the user catches is no concern of the loop's, and costs nobody anything in a later callback either.
#[test]
fn what_a_listener_catches() {
    surviving(|event_loop, sources| {
        let log = Log::new();
        serve_somebody_else_after(log, move |server| {
            let client = net::connect(loopback(port_of(server))).expect("connect");
            watch_socket(&log, "C", client);
            client.on_pause(|_| panic!("{PROVOKED}"));
            client.on_connect(|client| {
                client.resume();
                assert!(catch_unwind(AssertUnwindSafe(|| client.pause())).is_err());
                set_immediate(move || {
                    set_immediate(|| panic!("{PROVOKED}"));
                    client.end();
                    client.resume();
                });
            });
            client
        });
        event_loop.run().expect("run");
        log.assert_of("B", "data(still here) |x close(false)");
        assert_eq!(log.texts_of("C").last().map(String::as_str), Some("close(false)"), "{}", log.whole());
        assert_eq!(*sources.borrow(), [PanicSource::Immediate]);
    });
}

/// A value of the user's that panics when it is dropped.
#[test]
fn in_a_destructor() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("{PROVOKED}");
        }
    }
    surviving(|event_loop, sources| {
        let bomb = Bomb;
        let timer = set_timeout(MILLISECOND, move || {
            let _held = &bomb;
        });
        set_immediate(move || timer.clear());
        event_loop.run().expect("run");
        assert_eq!(*sources.borrow(), [PanicSource::Other]);
    });
}

/// `stop()` before the panic holds: the rest of the callback comes, and nothing else.
#[test]
fn a_loop_that_was_stopped() {
    surviving(|event_loop, _| {
        let log = Log::new();
        set_immediate(move || {
            next_tick(move || log.add("loop", "tick"));
            halfclose::stop();
            panic!("{PROVOKED}");
        });
        set_immediate(move || log.add("loop", "immediate"));
        event_loop.run().expect("run");
        assert_eq!(log.texts_of("loop"), ["tick"]);
        event_loop.run().expect("run");
        assert_eq!(log.texts_of("loop"), ["tick", "immediate"]);
    });
}

/// One turn is one turn, panic or not.
#[test]
fn a_single_turn() {
    surviving(|event_loop, sources| {
        let log = Log::new();
        set_immediate(|| panic!("{PROVOKED}"));
        set_immediate(move || {
            log.add("loop", "immediate");
            set_immediate(move || log.add("loop", "of the next turn"));
        });
        assert!(event_loop.turn(Some(Duration::ZERO)).expect("a turn"));
        assert_eq!(log.texts_of("loop"), ["immediate"]);
        assert_eq!(sources.borrow().len(), 1);
        assert!(!event_loop.turn(Some(Duration::ZERO)).expect("a turn"));
        assert_eq!(log.texts_of("loop"), ["immediate", "of the next turn"]);
    });
}

/// A panic in the hook itself comes out, and so does one that is no callback's: a command outside of `run`.
#[test]
fn panics_that_come_out() {
    within(DEADLINE, || {
        let options = EventLoopOptions::new().panic_policy(PanicPolicy::CloseSocket);
        let mut event_loop = EventLoop::with_options(options).expect("a loop");
        let log = Log::new();
        event_loop.on_panic(|_, payload| std::panic::resume_unwind(payload));
        set_immediate(|| panic!("{PROVOKED}"));
        set_immediate(move || log.add("loop", "immediate"));
        let caught: Box<dyn Any + Send> =
            catch_unwind(AssertUnwindSafe(|| event_loop.run())).expect_err("the hook panics");
        assert_eq!(panic_text(&*caught), PROVOKED);
        assert_eq!(log.len(), 0);
        event_loop.run().expect("run");
        assert_eq!(log.texts_of("loop"), ["immediate"]);

        let socket = Socket::new();
        socket.on_pause(|_| panic!("{PROVOKED}"));
        assert!(catch_unwind(AssertUnwindSafe(|| socket.pause())).is_err());
        assert!(!socket.destroyed());
        event_loop.run().expect("run");
        assert!(!socket.destroyed());
        socket.release();
    });
}

/// By default a panic comes out of `run`, nobody is destroyed, and the hook is not asked.
#[test]
fn by_default_panics_come_out() {
    support::test(|event_loop| {
        event_loop.on_panic(|_, _| unreachable!("the loop does not go on"));
        set_immediate(|| panic!("{PROVOKED}"));
        let caught = catch_unwind(AssertUnwindSafe(|| event_loop.run())).expect_err("a panic");
        assert_eq!(panic_text(&*caught), PROVOKED);
        assert_eq!(event_loop.stats().panics, 0);
    });
}

/// Without a hook the loop goes on all the same.
#[test]
fn nobody_has_to_listen() {
    within(DEADLINE, || {
        let options = EventLoopOptions::new().panic_policy(PanicPolicy::CloseSocket);
        let mut event_loop = EventLoop::with_options(options).expect("a loop");
        set_immediate(|| panic!("{PROVOKED}"));
        event_loop.run().expect("run");
        assert_eq!(event_loop.stats().panics, 1);
    });
}
