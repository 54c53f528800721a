//! Signals (FM03, FM34): a storm of them interrupts every wait and changes nothing, and a peer that is gone kills nobody.
//!
//! May touch: what the process does at signals, so the tests proper run in processes of their own. Invariant: handlers do
//! nothing but count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use halfclose::net::{ConnectOptions, ServerOptions};

use crate::children;
use crate::support::{self, Log, RawPeer, loopback, pair, port_of, watch_data_bytes, watch_server, watch_socket};

/// Ten thousand signals a second.
const PERIOD_IN_MICROSECONDS: libc::suseconds_t = 100;

static SIGNALS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_signal: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Counts `SIGALRM`, without having the kernel repeat what it interrupts, and asks for very many.
fn begin_storm() {
    // SAFETY: the structure is plain numbers and a set, for which all zeros mean "none".
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: `action` is a valid structure for the length of the call, and its handler only adds to an atomic number.
    assert_eq!(unsafe { libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()) }, 0, "sigaction");
    set_interval(PERIOD_IN_MICROSECONDS);
}

fn set_interval(microseconds: libc::suseconds_t) {
    let period = libc::timeval { tv_sec: 0, tv_usec: microseconds };
    let timer = libc::itimerval { it_interval: period, it_value: period };
    // SAFETY: `timer` is a valid structure for the length of the call, and the old value is not asked for.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) }, 0, "setitimer");
}

/// FM03, FM34: a conversation, timers and rests under ten thousand signals a second.
#[test]
fn fm34_a_storm_of_signals() {
    for line in children::alone("signals::a_storm_of_signals") {
        println!("{line}");
    }
}

#[test]
#[ignore = "sets a signal handler: run by the test above"]
fn a_storm_of_signals() {
    const MESSAGES: u64 = 300;
    const DELAY: Duration = Duration::from_millis(200);
    support::test(|event_loop| {
        begin_storm();
        let log = Log::new();
        let begin = Instant::now();
        halfclose::set_timeout(DELAY, move || {
            assert!(begin.elapsed() >= DELAY, "a timer is never early");
            log.add("T", "timer");
        });
        pair(
            event_loop,
            &log,
            ServerOptions::new(),
            ConnectOptions::new(),
            |accepted| {
                accepted.on_data(|accepted, bytes| {
                    accepted.write(bytes);
                });
            },
            |client| {
                let (mut sent, mut received) = (0_u64, Vec::new());
                let mut next = move || {
                    let number = sent;
                    sent += 1;
                    number.to_be_bytes()
                };
                client.write(&next()[..]);
                client.on_data(move |client, bytes| {
                    received.extend_from_slice(bytes);
                    if received.len() < 8 {
                        return;
                    }
                    let echoed = u64::from_be_bytes(std::mem::take(&mut received).try_into().expect("one message"));
                    let message = next();
                    assert_eq!(echoed + 1, u64::from_be_bytes(message));
                    if echoed + 1 == MESSAGES {
                        client.end();
                    } else {
                        client.write(&message[..]);
                    }
                });
            },
        );
        let (waited, signals) = (begin.elapsed(), SIGNALS.load(Ordering::Relaxed));
        set_interval(0);
        children::tell(format!("{signals} signals within {waited:?}"));
        assert!(waited >= DELAY && waited < DELAY * 20, "{waited:?}");
        // The loop rested for most of the time, so its waits were what was interrupted.
        assert!(signals > 200, "{signals}");
        let client = ["connectionAttempt", "connect", "ready", "finish", "end", "close(false)"];
        assert_eq!(log.texts_of("C"), client);
        assert_eq!(log.texts_of("S"), ["connection", "end", "finish", "close(false)"]);
        log.assert_of("T", "timer");
    });
}

/// FM34: with the default action for `SIGPIPE` in force, no way of writing to a peer that is gone raises it.
#[test]
fn fm34_no_sigpipe() {
    children::alone("signals::no_sigpipe");
}

#[test]
#[ignore = "sets what is done at SIGPIPE: run by the test above"]
fn no_sigpipe() {
    // SAFETY: no handler of anybody's is replaced by the default but the one of the standard library, which ignores it.
    assert_ne!(unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) }, libc::SIG_ERR);
    for ways in [&["write"][..], &["gathered"], &["batch"], &["late"]] {
        support::test(|event_loop| {
            let log = Log::new();
            let server = halfclose::net::Server::new();
            watch_server(&log, "srv", server);
            server.on_connection(move |server, socket| {
                watch_socket(&log, "S", socket);
                watch_data_bytes(&log, "S", socket);
                server.close();
                socket.once_data(move |socket, _| match ways {
                    // The reset is there: the first takes its error, the next would be a broken pipe.
                    ["write"] => {
                        for _ in 0..3 {
                            socket.write("x");
                        }
                    }
                    ["gathered"] => {
                        for _ in 0..3 {
                            socket.cork();
                            socket.write("x");
                            socket.write("y");
                            socket.uncork();
                        }
                    }
                    ["batch"] => {
                        socket.set_batch_writes(true);
                        for _ in 0..3 {
                            socket.write("x");
                            socket.write("y");
                        }
                    }
                    _ => {
                        halfclose::set_immediate(move || {
                            socket.end_data("x");
                        });
                    }
                });
            });
            server.once_listening(|server| {
                let mut peer = RawPeer::connect(loopback(port_of(server)));
                peer.write(b"hello");
                peer.reset();
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
            event_loop.run().expect("no unhandled error");
            children::tell(format!("{ways:?}: {}", log.of("S")));
            let texts = log.texts_of("S");
            assert_eq!(texts.first().map(String::as_str), Some("data(hello)"), "{texts:?}");
            assert_eq!(texts.last().map(String::as_str), Some("close(true)"), "{texts:?}");
            assert_eq!(texts.len(), 3, "one error in between: {texts:?}");
        });
    }
}
