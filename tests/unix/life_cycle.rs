//! The life of a connection over a unix socket. F17: it is that of a TCP connection, except for what L3, L47 and L54 say;
//! so these are rows of the matrix and of the chapters on writing, each with what Node showed on a unix socket.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{ServerOptions, Socket, SocketOptions};

use crate::play;
use crate::support::{Log, callback, watch_data};

/// How every client begins: L3.
const BEGIN: &str = "connectionAttempt, connect() | connect, ready";

/// More than the buffers of a unix socket hold.
const MORE_THAN_THE_KERNEL_TAKES: &[u8] = &[b'x'; 4 << 20];

fn plain_server() -> ServerOptions {
    ServerOptions::new()
}

fn plain_client() -> SocketOptions {
    SocketOptions::new()
}

fn half_open_server() -> ServerOptions {
    ServerOptions::new().allow_half_open(true)
}

fn half_open_client() -> SocketOptions {
    SocketOptions::new().allow_half_open(true)
}

fn consume_as_server(log: Log, socket: Socket) {
    watch_data(&log, "S", socket);
}

fn consume_as_client(log: Log, socket: Socket) {
    watch_data(&log, "C", socket);
}

#[track_caller]
fn assert_ends(log: Log, client: &str, accepted: &str) {
    log.assert_of("C", &format!("{BEGIN}{client}"));
    log.assert_of("S", &format!("connection{accepted}"));
    log.assert_of("srv", "listening | connection |x ~ close");
}

/// Runs `then` in a callback of its own when this was called twice.
fn meeting(then: impl FnOnce() + 'static) -> impl Fn() + Clone + 'static {
    let (arrivals, then) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(Some(then))));
    move || {
        arrivals.set(arrivals.get() + 1);
        if arrivals.get() == 2 {
            halfclose::set_immediate(then.take().expect("they meet once"));
        }
    }
}

#[test]
fn x1_the_client_ends_with_data() {
    let log = play(plain_server(), plain_client(), consume_as_server, |log, socket| {
        watch_data(&log, "C", socket);
        socket.on_connect(move |socket| {
            socket.end_data_with("hi", callback(&log, "C", "endcb"));
        });
    });
    assert_ends(log, " | ~ endcb, finish | ~ end |x close(false)", " | data | ~ end | ~ finish |x close(false)");
}

#[test]
fn x2_the_server_ends_with_data() {
    let accepted = |log: Log, socket: Socket| {
        watch_data(&log, "S", socket);
        socket.end_data_with("bye", callback(&log, "S", "endcb"));
    };
    let log = play(plain_server(), plain_client(), accepted, consume_as_client);
    assert_ends(log, " | data | ~ end | ~ finish |x close(false)", " | ~ endcb, finish | ~ end |x close(false)");
}

#[test]
fn x3_both_end_at_once() {
    let accepted = |log: Log, socket: Socket| {
        watch_data(&log, "S", socket);
        socket.end();
    };
    let log = play(plain_server(), plain_client(), accepted, |log, socket| {
        watch_data(&log, "C", socket);
        socket.on_connect(|socket| {
            socket.end();
        });
    });
    assert_ends(log, " | ~ finish | ~ end |x close(false)", " | ~ finish | ~ end |x close(false)");
}

#[test]
fn x4_the_client_ends_and_the_half_open_server_answers_later() {
    let accepted = |log: Log, socket: Socket| {
        watch_data(&log, "S", socket);
        socket.on_end(move |socket| {
            halfclose::set_immediate(move || {
                log.add("S", "[write,end]");
                socket.write("late");
                socket.end_with(callback(&log, "S", "endcb"));
            });
        });
    };
    let log = play(half_open_server(), plain_client(), accepted, |log, socket| {
        watch_data(&log, "C", socket);
        socket.on_connect(|socket| {
            socket.end_data("q");
        });
    });
    assert_ends(
        log,
        " | ~ finish | data | ~ end |x close(false)",
        " | data | ~ end | [write,end] | ~ endcb, finish |x close(false)",
    );
}

#[test]
fn x5_the_server_ends_and_the_half_open_client_answers_later() {
    let accepted = |log: Log, socket: Socket| {
        watch_data(&log, "S", socket);
        socket.end_data("x");
    };
    let log = play(plain_server(), half_open_client(), accepted, |log, socket| {
        watch_data(&log, "C", socket);
        socket.on_end(move |socket| {
            halfclose::set_immediate(move || {
                log.add("C", "[write,end]");
                socket.write_with("late", callback(&log, "C", "writecb"));
                socket.end_with(callback(&log, "C", "endcb"));
            });
        });
    });
    assert_ends(
        log,
        " | data | ~ end | [write,end] ~ writecb | ~ endcb, finish |x close(false)",
        " | ~ finish | data | ~ end |x close(false)",
    );
}

#[test]
fn x7_the_client_destroys_in_connect() {
    let log = play(plain_server(), plain_client(), consume_as_server, |_, socket| {
        socket.on_connect(|socket| {
            socket.destroy();
        });
    });
    assert_ends(log, " |x close(false)", " | ~ end | ~ finish |x close(false)");
}

#[test]
fn x8_the_client_destroys_with_an_error() {
    let log = play(plain_server(), plain_client(), consume_as_server, |_, socket| {
        socket.on_connect(|socket| {
            socket.destroy_with("boom");
        });
    });
    assert_ends(log, " ~ error(boom) |x close(true)", " | ~ end | ~ finish |x close(false)");
}

#[test]
fn x12_the_client_destroys_soon() {
    let log = play(plain_server(), plain_client(), consume_as_server, |log, socket| {
        watch_data(&log, "C", socket);
        socket.on_connect(|socket| {
            socket.write("x");
            socket.destroy_soon();
        });
    });
    assert_ends(log, " | ~ finish |x close(false)", " | data | ~ end | ~ finish |x close(false)");
}

#[test]
fn x14_the_server_destroys_in_connection() {
    let accepted = |_: Log, socket: Socket| {
        socket.destroy();
    };
    let log = play(plain_server(), plain_client(), accepted, consume_as_client);
    assert_ends(log, " | ~ end | ~ finish |x close(false)", " |x close(false)");
}

/// L38: unread input at the destroyer is a reset for the peer, also here.
#[test]
fn x21_the_server_destroys_with_unread_input() {
    let accepted_socket: Rc<Cell<Option<Socket>>> = Rc::default();
    let accepted_later = accepted_socket.clone();
    let log = Log::new();
    let destroy = meeting(move || {
        log.add("S", "[destroy]");
        accepted_later.get().expect("a connection").destroy();
    });
    let arrived = destroy.clone();
    let options = ServerOptions::new().pause_on_connect(true);
    let events = play(
        options,
        plain_client(),
        move |_, socket| {
            accepted_socket.set(Some(socket));
            arrived();
        },
        move |log, socket| {
            watch_data(&log, "C", socket);
            socket.on_connect(move |socket| {
                let destroy = destroy.clone();
                // The callback of a write means that the kernel has it, and so has the other end's.
                socket.write_with("unread", move |_, _| destroy());
            });
        },
    );
    assert_ends(events, " | ~ error(read ECONNRESET) |x close(true)", " |x close(false)");
    log.assert_of("S", "[destroy]");
}

/// L54: on a unix socket the first write to a peer that is gone fails already.
#[test]
fn l54_the_first_write_to_a_peer_that_is_gone_fails() {
    let accepted = |_: Log, socket: Socket| {
        socket.destroy();
    };
    let log = play(plain_server(), half_open_client(), accepted, |log, socket| {
        watch_data(&log, "C", socket);
        socket.on_end(move |socket| {
            halfclose::set_immediate(move || {
                let more = socket.write_with("x", callback(&log, "C", "cb1"));
                log.add("C", format!("write={more}"));
            });
        });
    });
    assert_ends(
        log,
        " | ~ end | write=false ~ cb1(write EPIPE) ~ error(write EPIPE) |x close(true)",
        " |x close(false)",
    );
}

/// L5: what was written while connecting goes out within `connect`.
#[test]
fn l5_writes_before_the_connection() {
    let log = play(plain_server(), plain_client(), consume_as_server, |log, socket| {
        watch_data(&log, "C", socket);
        socket.write_with("a", callback(&log, "C", "cba"));
        socket.write_with("b", callback(&log, "C", "cbb"));
        socket.end_with(callback(&log, "C", "endcb"));
    });
    log.assert_of(
        "C",
        "connectionAttempt, connect() | connect, cba, ready ~ cbb | ~ endcb, finish | ~ end |x close(false)",
    );
    log.assert_of("S", "connection | data | ~ end | ~ finish |x close(false)");
}

/// F7, F9: what the kernel does not take waits, and `drain` comes before the callback of the write.
#[test]
fn f7_a_write_larger_than_the_kernels_buffers() {
    let received = Rc::new(Cell::new(0));
    let counted = received.clone();
    let accepted = move |log: Log, socket: Socket| {
        let counted = counted.clone();
        socket.on_data(move |_, bytes| {
            log.add_data("S");
            counted.set(counted.get() + bytes.len());
        });
    };
    let log = play(plain_server(), plain_client(), accepted, |log, socket| {
        watch_data(&log, "C", socket);
        socket.on_connect(move |socket| {
            let more = socket.write_with(MORE_THAN_THE_KERNEL_TAKES, callback(&log, "C", "writecb"));
            log.add("C", format!("write={more}"));
        });
        socket.on_drain(|socket| {
            socket.end();
        });
    });
    log.assert_of(
        "C",
        "connectionAttempt, connect() | connect, write=false, ready | drain, writecb | ~ finish | ~ end |x close(false)",
    );
    log.assert_of("S", "connection | data | ~ end | ~ finish |x close(false)");
    assert_eq!(received.get(), MORE_THAN_THE_KERNEL_TAKES.len());
}

/// T1: the idle timeout is a notification here, too.
#[test]
fn t1_an_idle_connection_times_out() {
    let log = play(plain_server(), plain_client(), consume_as_server, |log, socket| {
        watch_data(&log, "C", socket);
        socket.set_timeout_with(Duration::from_millis(20), |socket| {
            socket.end();
        });
    });
    assert_ends(log, " | timeout | ~ finish | ~ end |x close(false)", " | ~ end | ~ finish |x close(false)");
}

/// S30: `pause_on_connect` holds for what is accepted here.
#[test]
fn s30_an_accepted_socket_may_begin_paused() {
    let accepted = |log: Log, socket: Socket| {
        log.add("S", format!("paused={}", socket.is_paused()));
        watch_data(&log, "S", socket);
        socket.resume();
    };
    let options = ServerOptions::new().pause_on_connect(true);
    let log = play(options, plain_client(), accepted, |log, socket| {
        watch_data(&log, "C", socket);
        socket.on_connect(|socket| {
            socket.end_data("x");
        });
    });
    assert_ends(log, " | ~ finish | ~ end |x close(false)", ", paused=true | data | ~ end | ~ finish |x close(false)");
}
