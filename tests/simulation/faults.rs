//! Each fault by chance, seen by a program.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{ConnectOptions, ListenOptions, ServerOptions, Socket};
use halfclose::simulation::{Accounts, Faults, Link, Simulation};
use halfclose::{EventLoop, net};

use crate::seeds::run;
use crate::support::{DEADLINE, Log, watch_data_bytes, watch_socket, within};

/// How many events of one kind a run without faults has, and one with them.
fn pieces(log: &Log, endpoint: &str) -> usize {
    log.texts_of(endpoint).len()
}

/// How often `data` was emitted to the client, and to the server, for 20 kB in one write each way.
fn deliveries(faults: Faults) -> (usize, usize, Accounts) {
    let mut event_loop = EventLoop::simulated(9).expect("a loop");
    let simulation = event_loop.simulation().expect("simulated");
    simulation.set_faults(faults);
    let (there, back) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let count = there.clone();
    let server = net::create_server(move |socket| {
        let count = count.clone();
        socket.end_data(vec![7; 20_000]);
        socket.on_data(move |_, _| count.set(count.get() + 1));
    });
    server.listen(("127.0.0.1", 80)).expect("a free port");
    let client = net::connect(("127.0.0.1", 80)).expect("a valid address");
    client.end_data(vec![8; 20_000]);
    let count = back.clone();
    client.on_data(move |_, _| count.set(count.get() + 1));
    client.on_close(move |client, _| {
        assert_eq!(client.bytes_read(), 20_000);
        server.close();
    });
    event_loop.run().expect("it ends");
    (there.get(), back.get(), simulation.accounts())
}

#[test]
fn short_reads_and_writes_make_pieces() {
    within(DEADLINE, || {
        let (there, back, accounts) = deliveries(Faults::default());
        assert_eq!((there, back, accounts.faults), (1, 1, 0));
        let (there, back, accounts) = deliveries(Faults { short_reads: 500_000, ..Faults::default() });
        assert!(there + back > 4 && accounts.faults > 2, "{there} {back} {accounts:?}");
        let (there, back, accounts) = deliveries(Faults { short_writes: 500_000, ..Faults::default() });
        assert!(there + back > 3 && accounts.faults > 1, "{there} {back} {accounts:?}");
    });
}

#[test]
fn calls_that_would_block_or_are_interrupted_change_nothing_but_time() {
    within(DEADLINE, || {
        let (.., accounts) = deliveries(Faults { would_block: 500_000, ..Faults::default() });
        assert!(accounts.faults > 2, "{accounts:?}");
        let (.., accounts) = deliveries(Faults { interrupted: 500_000, ..Faults::default() });
        assert!(accounts.interruptions > 5, "{accounts:?}");
    });
}

/// A write that would block although there is room, which is gone when that is told: then it is told again when there is room
/// (`SOCK_NOSPACE`, which Linux sets with every `EAGAIN`).
#[test]
fn room_that_a_fault_hid_is_announced_when_it_is_there() {
    within(DEADLINE, || {
        let held_back: u64 = (0..50).map(play_small_writes_into_a_small_buffer).sum();
        assert!(held_back > 20, "{held_back}");
    });
}

/// Two writes that fill most of a buffer, to a host that is far away: each may be held back. Tells how many faults there were.
fn play_small_writes_into_a_small_buffer(seed: u64) -> u64 {
    let mut event_loop = EventLoop::simulated(seed).expect("a loop");
    let simulation = event_loop.simulation().expect("simulated");
    let (here, there) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([198, 51, 100, 7]));
    let latency = Duration::from_millis(20);
    simulation.set_link(here, there, Link { latency, send_buffer: Some(300), ..Link::default() });
    simulation.set_link(there, here, Link { latency, ..Link::default() });
    simulation.set_faults(Faults { would_block: 500_000, ..Faults::default() });
    let server = net::create_server(move |socket| {
        socket.on_data(|socket, _| {
            if socket.bytes_read() == 270 {
                socket.end();
            }
        });
    });
    server.listen((there, 80)).expect("a free port");
    let client = net::connect((there, 80)).expect("a valid address");
    client.on_connect(|client| {
        client.write(vec![7; 250]);
        client.write(vec![8; 20]);
    });
    client.resume();
    client.on_close(move |_, _| {
        server.close();
    });
    event_loop.run().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    simulation.accounts().faults
}

#[test]
fn events_that_are_false_late_twice_or_out_of_order_are_survived() {
    within(DEADLINE, || {
        for faults in [
            Faults { spurious_events: 500_000, ..Faults::default() },
            Faults { duplicated_events: 500_000, ..Faults::default() },
            Faults { delayed_events: 500_000, ..Faults::default() },
            Faults { reordered_events: 500_000, ..Faults::default() },
        ] {
            let (.., accounts) = deliveries(faults);
            assert!(accounts.faults > 0, "{faults:?}");
        }
    });
}

/// The errors of several seeds with only one fault on.
fn errors(faults: Faults) -> Vec<String> {
    let mut found = Vec::new();
    for seed in 0..20 {
        let (log, ..) = run(seed, faults);
        for endpoint in ["C0", "C1", "C2", "C3", "S"] {
            assert!(pieces(&log, endpoint) > 0 || endpoint == "S");
            found.extend(log.texts_of(endpoint).into_iter().filter(|text| text.contains(" E")));
        }
    }
    found.sort();
    found
}

#[test]
fn each_error_comes_from_its_own_fault() {
    within(DEADLINE, || {
        let none = Faults::default();
        for (faults, expected) in [
            (none, vec![]),
            (Faults { resets: 100_000, ..none }, vec!["read ECONNRESET"]),
            (Faults { refused: 300_000, ..none }, vec!["connect ECONNREFUSED 198.51.100.7:80"]),
            (Faults { aborted: 300_000, ..none }, vec!["read ECONNRESET"]),
            (Faults { delayed_connects: 500_000, ..none }, vec![]),
        ] {
            let mut found = errors(faults);
            found.dedup();
            let all_are_expected = found.iter().all(|error| {
                expected.iter().any(|expected| error.starts_with(expected))
                    || (!expected.is_empty() && error.contains("ECONNRE") || error.contains("EPIPE"))
            });
            assert!(all_are_expected && found.is_empty() == expected.is_empty(), "{faults:?}: {found:?}");
            assert!(expected.iter().all(|expected| found.iter().any(|error| error.starts_with(expected))), "{found:?}");
        }
    });
}

#[test]
fn a_delayed_connect_takes_a_second_more() {
    within(DEADLINE, || {
        let (.., ended) = run(4, Faults { delayed_connects: 500_000, ..Faults::default() });
        assert!(ended.as_secs() >= 1, "{ended:?}");
        let (.., ended) = run(4, Faults::default());
        assert!(ended.as_secs() < 1, "{ended:?}");
    });
}

#[test]
fn whoever_sent_into_a_black_hole_is_told_after_a_quarter_of_an_hour() {
    within(DEADLINE, || {
        let mut event_loop = EventLoop::simulated(2).expect("a loop");
        let simulation = event_loop.simulation().expect("simulated");
        let log = Log::new();
        let server = net::create_server(move |socket| {
            socket.on_error(move |_, error| log.add("S", error));
            socket.on_close(move |_, _| log.add("S", "close"));
            socket.resume();
        });
        server.listen(("127.0.0.1", 80)).expect("a free port");
        let client = net::connect(("127.0.0.1", 80)).expect("a valid address");
        let same = simulation.clone();
        client.on_connect(move |client| {
            same.set_faults(Faults { black_holed: 500_000, ..Faults::default() });
            for _ in 0..20 {
                client.write("into the dark");
            }
        });
        client.on_error(move |_, error| log.add("C", error));
        client.on_close(move |_, _| {
            log.add("C", "close");
            halfclose::stop();
        });
        event_loop.run().expect("it stops");
        assert_eq!(log.of("C"), "read ETIMEDOUT |x close");
        let waited = simulation.now().as_secs();
        assert!((920..930).contains(&waited), "tcp_retries2 of Linux: {waited} s");
    });
}

/// A question after a minute of silence, an answer, both ends; to an address or to a path, after `prepare`.
fn conversation(seed: u64, path: bool, prepare: impl Fn(&Simulation)) -> (Log, Duration, u64) {
    let mut event_loop = EventLoop::simulated(seed).expect("a loop");
    let simulation = event_loop.simulation().expect("simulated");
    prepare(&simulation);
    let log = Log::new();
    let server = net::create_server_with(ServerOptions::new().allow_half_open(true), move |socket| {
        watch_socket(&log, "S", socket);
        watch_data_bytes(&log, "S", socket);
        socket.on_end(|socket| {
            socket.end_data("an answer");
            socket.server().expect("its server").close();
        });
    });
    let socket = Socket::new();
    watch_socket(&log, "C", socket);
    watch_data_bytes(&log, "C", socket);
    socket.set_timeout(Duration::from_secs(60));
    socket.once_timeout(|socket| {
        socket.end_data("a question");
    });
    if path {
        server.listen(ListenOptions::new().path(net::abstract_name("false"))).expect("a free name");
        socket.connect(ConnectOptions::new().path(net::abstract_name("false"))).expect("a name");
    } else {
        server.listen(("198.51.100.7", 80)).expect("a free port");
        socket.connect(("198.51.100.7", 80)).expect("an address");
    }
    event_loop.run().expect("it ends");
    (log, simulation.now(), simulation.accounts().faults)
}

/// FM15: `EPOLLHUP | EPOLLRDHUP` with a good connect. `SO_ERROR` and a read know better, so that everything goes as without
/// it: the connection is there, idle for a minute, carries bytes both ways, and ends at both ends, without an error.
#[test]
fn fm15_a_hang_up_that_is_none() {
    within(DEADLINE, || {
        for path in [false, true] {
            let (expected, ..) = conversation(0, path, |_| {});
            expected.assert_after(
                "C",
                "connectionAttempt",
                "| connect, ready | timeout | ~ finish | data(an answer) | ~ end |x close(false)",
            );
            expected.assert_of("S", "data(a question) | ~ end | ~ finish |x close(false)");
            let (log, time, faults) = conversation(0, path, |simulation| simulation.hang_up_falsely(1));
            assert_eq!((log.whole(), faults), (expected.whole(), 0));
            assert!((60..61).contains(&time.as_secs()), "{time:?}");
            let mut happened = 0;
            for seed in 0..16 {
                let by_chance = Faults { false_hang_ups: 500_000, ..Faults::default() };
                let (log, _, faults) = conversation(seed, path, |simulation| simulation.set_faults(by_chance));
                assert_eq!(log.whole(), expected.whole(), "seed {seed}");
                happened += faults;
            }
            assert!((1..16).contains(&happened), "{happened} of 16");
        }
    });
}
