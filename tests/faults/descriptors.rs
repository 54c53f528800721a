//! A process without descriptors (FM10): whoever is established is served as ever, whoever comes is turned away or waits,
//! it is told once, nothing spins, and all goes on by itself when there are descriptors again.
//!
//! May touch: the limit of descriptors, so the tests proper run in processes of their own. Invariant: the limit is lowered
//! and raised by the thread of the loop, in a listener.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::Server;

use crate::support::{self, Log, RawPeer, describe, loopback, port_of, watch_server};
use crate::{children, kernel};

/// How long the want lasts in a test: several times the pause between two attempts, and little enough for a test.
const WANT: Duration = Duration::from_millis(600);

/// More turns than a loop makes within [`WANT`] that asks ten times a second, with what else happens; far fewer than one
/// makes that does not wait, which is some hundred thousand.
const FEW_TURNS: u64 = 60;

/// Five per cent of [`WANT`].
const LITTLE_TIME: Duration = Duration::from_millis(30);

fn set_limit(numbers: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one rlimit structure for the length of the call.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0, "getrlimit");
    limit.rlim_cur = numbers.min(limit.rlim_max);
    // SAFETY: `limit` is a valid rlimit structure for the length of the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0, "setrlimit");
}

/// The limit that leaves `free` descriptors: the lowest numbers are given out first, so it is the number after the last
/// one that may be.
fn limit_leaving(free: usize) -> u64 {
    // SAFETY: F_GETFD takes no pointer, and fails for a number that is not open.
    let is_free = |number: libc::c_int| unsafe { libc::fcntl(number, libc::F_GETFD) } < 0;
    (0..).filter(|&number| is_free(number)).nth(free).expect("a number") as u64
}

/// The processor time that this thread has used.
fn time_used() -> Duration {
    // SAFETY: every field of the structure is a number, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place for one rusage structure for the length of the call.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) }, 0, "getrusage");
    let part = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    part(usage.ru_utime) + part(usage.ru_stime)
}

fn turns() -> u64 {
    halfclose::position().expect("within a callback").turn
}

/// How much a loop has done by a moment.
#[derive(Copy, Clone)]
struct Done {
    turns: u64,
    time: Duration,
}

impl Done {
    fn by_now() -> Done {
        Done { turns: turns(), time: time_used() }
    }

    /// For as long as [`WANT`] it went on asking, and did little else. What it did, as text.
    fn rested_since(self) -> String {
        let (turns, used) = (turns() - self.turns, time_used() - self.time);
        assert!((3..FEW_TURNS).contains(&turns), "{turns} turns");
        assert!(used < LITTLE_TIME, "{used:?}");
        format!("{turns} turns and {used:?} of processor time within {WANT:?}")
    }
}

/// Peers that the kernel connects before the server's loop accepts any of them.
fn peers_of(server: Server, count: usize) -> Vec<RawPeer> {
    let address = loopback(port_of(server));
    (0..count).map(|_| RawPeer::connect(address)).collect()
}

/// A watched server that echoes.
fn echo_server(log: Log) -> Server {
    let server = Server::new();
    watch_server(&log, "srv", server);
    server.on_accept_error(move |_, error| log.add("srv", format!("accept_error({})", describe(error))));
    server.on_connection(|_, socket| {
        socket.on_error(|_, _| {});
        socket.on_data(|socket, bytes| {
            socket.write(bytes);
        });
    });
    server
}

/// FM10, S36: at the limit, peers that come are turned away; this is told once; those that are connected are served; and
/// once a descriptor is free the next one is let in.
#[test]
fn fm10_at_the_limit() {
    children::alone("descriptors::at_the_limit");
}

#[test]
#[ignore = "changes the limit of the process: run by the test above"]
fn at_the_limit() {
    const SERVED: usize = 5;
    const SHED: usize = 20;
    support::test(|event_loop| {
        let log = Log::new();
        let server = echo_server(log);
        let peers: Rc<RefCell<Vec<RawPeer>>> = Rc::default();
        let all = peers.clone();
        server.once_listening(move |server| {
            *all.borrow_mut() = peers_of(server, SERVED + SHED);
            set_limit(limit_leaving(SERVED));
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let handle = event_loop.handle();
        halfclose::set_immediate(move || {
            let mut served: Vec<RawPeer> = peers.take();
            let late = served.split_off(SERVED);
            let begin = turns();
            support::in_thread(move || {
                for mut peer in late {
                    assert_eq!(peer.drain(), (0, None), "turned away politely");
                }
                for round in 0..50_u8 {
                    for peer in &mut served {
                        peer.write(&[round]);
                        assert_eq!(peer.read_exact(1), [round]);
                    }
                }
                let posted = handle.post(move || {
                    let turns = turns() - begin;
                    // Every message of a peer that waits for its echo is a turn, and there is little else.
                    assert!(turns <= (SERVED * 50) as u64 + FEW_TURNS, "{turns} turns");
                    drop(served);
                    halfclose::stop();
                });
                assert!(posted.is_ok());
            });
        });
        event_loop.run().expect("no unhandled error");
        let mut expected = vec!["listening"];
        expected.extend(["connection"; SERVED]);
        expected.push("accept_error(accept EMFILE)");
        assert_eq!(log.texts_of("srv"), expected);

        // The served peers are gone, and with them what was missing.
        support::assert_one_more_is_let_in(event_loop, server);
        expected.extend(["connection", "close"]);
        assert_eq!(log.texts_of("srv"), expected);
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}

/// FM10: as many peers as descriptors: there is none left, and nobody whom that concerns.
#[test]
fn fm10_just_not_at_the_limit() {
    children::alone("descriptors::just_not_at_the_limit");
}

#[test]
#[ignore = "changes the limit of the process: run by the test above"]
fn just_not_at_the_limit() {
    const SERVED: usize = 3;
    support::test(|event_loop| {
        let log = Log::new();
        let server = echo_server(log);
        let peers: Rc<Cell<Vec<RawPeer>>> = Rc::default();
        let all = peers.clone();
        server.once_listening(move |server| {
            all.set(peers_of(server, SERVED));
            set_limit(limit_leaving(SERVED));
        });
        server.on_connection(move |server, _| {
            if server.connections() == SERVED {
                let mut all = peers.take();
                support::in_thread(move || {
                    for peer in &mut all {
                        peer.write(b"there");
                        assert_eq!(peer.read_exact(5), b"there");
                    }
                });
                halfclose::set_timeout(WANT / 4, move || {
                    server.close();
                });
            }
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("srv"), ["listening", "connection", "connection", "connection", "close"]);
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}

/// FM10: where not even the reserve helps (its number is above the limit), those who come wait in the backlog. Meanwhile the
/// loop rests, and afterwards they are let in although nobody knocks again.
#[test]
fn fm10_where_nobody_can_be_turned_away() {
    for line in children::alone("descriptors::where_nobody_can_be_turned_away") {
        println!("{line}");
    }
}

#[test]
#[ignore = "changes the limit of the process: run by the test above"]
fn where_nobody_can_be_turned_away() {
    const WAITING: usize = 3;
    support::test(|event_loop| {
        let log = Log::new();
        let server = echo_server(log);
        let peers: Rc<Cell<Vec<RawPeer>>> = Rc::default();
        let all = peers.clone();
        server.once_listening(move |server| {
            all.set(peers_of(server, WAITING));
            let before = limit_leaving(100);
            // Only numbers below it are given out, and these are in use.
            set_limit(3);
            // Not within the turns in which the peers come.
            halfclose::set_timeout(Duration::from_millis(1), move || {
                let before_want = Done::by_now();
                halfclose::set_timeout(WANT, move || {
                    children::tell(before_want.rested_since());
                    log.add("srv", "room again");
                    set_limit(before);
                });
            });
        });
        server.on_connection(move |server, _| {
            if server.connections() == WAITING {
                server.close();
                let mut all = peers.take();
                support::in_thread(move || {
                    for peer in &mut all {
                        peer.write(b"late");
                        assert_eq!(peer.read_exact(4), b"late");
                    }
                });
            }
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        let mut expected = vec!["listening", "accept_error(accept EMFILE)", "room again"];
        expected.extend(["connection"; WAITING]);
        expected.push("close");
        assert_eq!(log.texts_of("srv"), expected);
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}

/// FM11: the same for want of anything else, for as long as it lasts: asked ten times a second and no oftener.
#[test]
fn fm11_accepting_keeps_failing() {
    // The filter holds for the rest of a thread's life, so it gets one of its own.
    let body = || {
        if !kernel::forbid_accept() {
            return;
        }
        support::test(|event_loop| {
            let log = Log::new();
            let server = echo_server(log);
            server.once_listening(move |server| {
                let peer = RawPeer::connect(loopback(port_of(server)));
                let before_want = Done::by_now();
                halfclose::set_timeout(WANT, move || {
                    before_want.rested_since();
                    assert!(peer.local_address().port() != 0, "it waits all the while");
                    server.close();
                });
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
            event_loop.run().expect("no unhandled error");
            assert_eq!(log.texts_of("srv"), ["listening", "accept_error(accept ENOBUFS)", "close"]);
        });
    };
    support::in_thread(body).join();
}

/// A server that closes while it is paused is closed: nothing of the pause is left.
#[test]
fn fm10_closed_while_it_waits() {
    children::alone("descriptors::closed_while_it_waits");
}

#[test]
#[ignore = "changes the limit of the process: run by the test above"]
fn closed_while_it_waits() {
    support::test(|event_loop| {
        let log = Log::new();
        let server = echo_server(log);
        let peer: Rc<Cell<Option<RawPeer>>> = Rc::default();
        let waiting = peer.clone();
        server.once_listening(move |server| {
            peer.set(Some(RawPeer::connect(loopback(port_of(server)))));
            let before = limit_leaving(100);
            set_limit(3);
            server.on_accept_error(move |server, _| {
                server.close();
                set_limit(before);
                // In the place of the one that was paused; its port may be another one.
                server
                    .listen_with(("127.0.0.1", 0), move |server| {
                        log.add("srv", "listens again");
                        server.close();
                    })
                    .expect("it does not listen");
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        let expected = ["listening", "accept_error(accept EMFILE)", "close", "listening", "listens again", "close"];
        assert_eq!(log.texts_of("srv"), expected);
        // Who waited is told by the kernel that there is nobody any more.
        let mut waiting = waiting.take().expect("the server listened");
        assert_eq!(waiting.drain(), (0, Some(std::io::ErrorKind::ConnectionReset)));
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
    });
}
