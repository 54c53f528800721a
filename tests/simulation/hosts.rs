//! Many hosts: links with latency and bandwidth, machines that fall silent, names.

use std::net::IpAddr;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, Socket};
use halfclose::simulation::{Link, Simulation};
use halfclose::{EventLoop, set_timeout};

use crate::support::{DEADLINE, Log, within};

const SERVER: &str = "198.51.100.7";
const CLIENT: &str = "203.0.113.5";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A loop, its simulation, and a client connected to a server at hosts of their own.
fn connected(link: Link, body: impl FnOnce(&Simulation, Log)) -> (Log, Simulation) {
    let mut event_loop = EventLoop::simulated(1).expect("a loop");
    let simulation = event_loop.simulation().expect("simulated");
    simulation.set_link(ip(SERVER), ip(CLIENT), link);
    simulation.set_link(ip(CLIENT), ip(SERVER), link);
    let log = Log::new();
    body(&simulation, log);
    event_loop.run().expect("it ends");
    (log, simulation)
}

fn watch(name: &'static str, socket: Socket, log: Log, simulation: &Simulation) {
    let now = simulation.clone();
    let time = move |what: &str| format!("{what} {}", now.now().as_millis());
    let (one, two, three, four) = (time.clone(), time.clone(), time.clone(), time);
    socket.on_connect(move |_| log.add(name, one("connect")));
    socket.on_end(move |_| log.add(name, two("end")));
    socket.on_error(move |_, error| log.add(name, three(&error.to_string())));
    socket.on_close(move |_, _| log.add(name, four("close")));
}

fn connect() -> Socket {
    net::connect(ConnectOptions::new().host(SERVER).port(80).local_address(CLIENT)).expect("valid")
}

#[test]
fn latency_is_paid_by_every_segment() {
    within(DEADLINE, || {
        let link = Link { latency: Duration::from_millis(50), ..Link::default() };
        let (log, _) = connected(link, |simulation, log| {
            let same = simulation.clone();
            let server = net::create_server(move |socket| {
                watch("S", socket, log, &same);
                let now = same.clone();
                socket.on_data(move |socket, bytes| {
                    log.add("S", format!("data {}", now.now().as_millis()));
                    socket.write(bytes);
                });
            });
            server.listen((SERVER, 80)).expect("a free port");
            let client = connect();
            watch("C", client, log, simulation);
            client.end_data("hello");
            let now = simulation.clone();
            client.on_data(move |_, _| log.add("C", format!("data {}", now.now().as_millis())));
            client.on_close(move |_, _| {
                server.close();
            });
        });
        assert_eq!(log.texts_of("C"), ["connect 100", "data 200", "end 200", "close 200"]);
        assert_eq!(log.texts_of("S"), ["data 150", "end 150", "close 150"]);
    });
}

#[test]
fn bandwidth_limits_what_arrives() {
    within(DEADLINE, || {
        let link = Link { latency: Duration::from_millis(1), bandwidth: Some(1_000_000), ..Link::default() };
        let (_, simulation) = connected(link, |_, _| {
            let server = net::create_server(|socket| {
                socket.end_data(vec![1; 5_000_000]);
            });
            server.listen((SERVER, 80)).expect("a free port");
            let client = connect();
            client.resume();
            client.on_close(move |client, _| {
                assert_eq!(client.bytes_read(), 5_000_000);
                server.close();
            });
        });
        let seconds = simulation.now().as_secs_f64();
        assert!((5.0..5.5).contains(&seconds), "{seconds} s");
    });
}

#[test]
fn small_buffers_make_writers_wait() {
    within(DEADLINE, || {
        let link = Link { receive_buffer: Some(1000), send_buffer: Some(500), ..Link::default() };
        let (log, _) = connected(link, |simulation, log| {
            let same = simulation.clone();
            let server = net::create_server(move |socket| {
                log.add("S", format!("write {}", socket.write(vec![1; 100_000])));
                log.add("S", format!("queued {}", socket.writable_length() > 90_000));
                socket.on_drain(move |socket| {
                    log.add("S", "drain");
                    socket.end();
                });
                watch("S", socket, log, &same);
            });
            server.listen((SERVER, 80)).expect("a free port");
            let client = connect();
            client.pause();
            set_timeout(Duration::from_secs(10), move || {
                client.resume();
            });
            client.on_close(move |client, _| {
                log.add("C", client.bytes_read());
                server.close();
            });
        });
        let texts = log.texts_of("S");
        assert_eq!(texts[..3], ["write false", "queued true", "drain"]);
        assert_eq!(log.texts_of("C"), ["100000"]);
    });
}

#[test]
fn a_host_that_is_cut_off_for_a_while_loses_nothing() {
    within(DEADLINE, || {
        let (log, simulation) = connected(Link::default(), |simulation, log| {
            let same = simulation.clone();
            let server = net::create_server(move |socket| {
                watch("S", socket, log, &same);
                socket.on_data(move |_, bytes| log.add_data_bytes("S", bytes));
            });
            server.listen((SERVER, 80)).expect("a free port");
            let client = connect();
            watch("C", client, log, simulation);
            let same = simulation.clone();
            simulation.post_at(Duration::from_secs(1), move || {
                same.black_hole(ip(SERVER));
                client.write("into ");
            });
            simulation.post_at(Duration::from_secs(2), move || {
                client.end_data("the dark");
            });
            let same = simulation.clone();
            simulation.post_at(Duration::from_secs(60), move || same.heal(ip(SERVER)));
            client.on_close(move |_, _| {
                server.close();
            });
        });
        let arrived = log.texts_of("S");
        assert!(arrived.contains(&"data(into the dark)".to_owned()), "{arrived:?}");
        // Sent again after 0.2 s, 0.4 s, 0.8 s and so on, since the first second.
        let seconds = simulation.now().as_secs();
        assert!((100..110).contains(&seconds), "{seconds} s: {}", log.whole());
    });
}

#[test]
fn probes_find_a_machine_that_was_switched_off() {
    within(DEADLINE, || {
        for (heals, expected, seconds) in [(false, "read ETIMEDOUT", 90 + 10), (true, "read ECONNRESET", 90)] {
            let (log, _) = connected(Link::default(), |simulation, log| {
                let server = net::create_server(|_| {});
                server.listen((SERVER, 80)).expect("a free port");
                let client = connect();
                watch("C", client, log, simulation);
                client.set_keep_alive(true, Duration::from_secs(90));
                client.on_close(|_, _| halfclose::stop());
                let same = simulation.clone();
                simulation.post_at(Duration::from_secs(5), move || {
                    same.vanish(ip(SERVER));
                    if heals {
                        same.heal(ip(SERVER));
                    }
                });
            });
            let texts = log.texts_of("C");
            assert!(texts[1].starts_with(expected), "{texts:?}");
            let at: u64 = texts[1].rsplit(' ').next().and_then(|time| time.parse().ok()).expect("a time");
            assert_eq!(at / 1000, seconds, "{texts:?}");
        }
    });
}

#[test]
fn a_restarted_machine_answers_with_a_reset() {
    within(DEADLINE, || {
        let (log, _) = connected(Link::default(), |simulation, log| {
            let server = net::create_server(|_| {});
            server.listen((SERVER, 80)).expect("a free port");
            let client = connect();
            watch("C", client, log, simulation);
            client.on_close(|_, _| halfclose::stop());
            let same = simulation.clone();
            simulation.post_at(Duration::from_secs(5), move || {
                same.vanish(ip(SERVER));
                same.heal(ip(SERVER));
                client.write("anybody?");
            });
        });
        assert_eq!(log.texts_of("C"), ["connect 1", "read ECONNRESET 5001", "close 5001"]);
    });
}

#[test]
fn names_are_what_the_simulation_says() {
    within(DEADLINE, || {
        let (log, _) = connected(Link::default(), |simulation, log| {
            simulation.set_name("db.example", &[ip("203.0.113.99"), ip(SERVER)]);
            simulation.fail_name("later.example");
            simulation.set_name("none.example", &[]);
            let server = net::create_server(|socket| {
                socket.end();
            });
            server.listen((SERVER, 80)).expect("a free port");
            for host in ["db.example", "DB.Example", "later.example", "none.example", "other.example"] {
                let client = net::connect((host, 80)).expect("valid");
                client.resume();
                client.on_lookup(move |_, found| {
                    let text = found.address().map_or("-".into(), |address| address.to_string());
                    log.add(host, format!("lookup {text}"));
                });
                client.on_connect(move |client| log.add(host, format!("{:?}", client.remote_address())));
                client.on_error(move |_, error| log.add(host, error.code().unwrap_or("no code")));
            }
            simulation.post_at(Duration::from_secs(10), move || {
                server.close();
            });
        });
        assert_eq!(log.texts_of("later.example").last().map(String::as_str), Some("EAI_AGAIN"));
        for host in ["none.example", "other.example"] {
            assert_eq!(log.texts_of(host).last().map(String::as_str), Some("ENOTFOUND"));
        }
        for host in ["db.example", "DB.Example"] {
            let connected = log.texts_of(host);
            assert!(connected.last().is_some_and(|text| text.contains(SERVER)), "{connected:?}");
        }
    });
}

/// A client that resets its connection as soon as it has one, and all it sent is lost: nobody is there any more who could send
/// its part of the handshake again, and what the server sends again is answered with a reset (found by the storm, seed 511128).
#[test]
fn who_has_reset_is_not_accepted_behind_a_silence() {
    within(DEADLINE, || {
        let link = Link { latency: Duration::from_millis(20), ..Link::default() };
        let (log, simulation) = connected(link, |simulation, log| {
            let server = net::create_server(move |_| log.add("S", "connection"));
            server.listen((SERVER, 80)).expect("a free port");
            let client = connect();
            client.on_connect(|client| {
                client.reset_and_destroy().expect("over TCP");
            });
            client.on_close(move |_, had_error| log.add("C", format!("close {had_error}")));
            let (silence, sound) = (simulation.clone(), simulation.clone());
            simulation.post_at(Duration::from_millis(50), move || silence.black_hole(ip(SERVER)));
            simulation.post_at(Duration::from_millis(500), move || sound.heal(ip(SERVER)));
            simulation.post_at(Duration::from_secs(200), move || {
                server.close();
            });
        });
        assert_eq!(log.whole(), "C close false", "at {:?}", simulation.now());
        assert_eq!(simulation.accounts().open_descriptors, 0);
    });
}

/// The storm's smallest case: the answer to a connect, and what goes on over an open connection, is lost for a while.
#[test]
fn what_a_silence_cuts_off_goes_on_behind_it_in_order() {
    within(DEADLINE, || {
        for begins in (0..150).step_by(2) {
            for lasts in [2, 15, 250, 3_000] {
                let link = Link { latency: Duration::from_millis(20), ..Link::default() };
                let (log, simulation) = connected(link, |simulation, log| {
                    let server = net::create_server(move |socket| {
                        let received = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
                        let into = received.clone();
                        socket.on_data(move |_, bytes| into.borrow_mut().extend_from_slice(bytes));
                        socket.on_error(move |_, error| log.add("S", error));
                        socket.on_end(move |_| {
                            let received = received.borrow();
                            let in_order =
                                received.iter().enumerate().all(|(place, &byte)| byte == (place % 251) as u8);
                            log.add("S", format!("{} {in_order}", received.len()));
                        });
                    });
                    server.listen((SERVER, 80)).expect("a free port");
                    let client = connect();
                    client.on_error(move |_, error| log.add("C", error));
                    let bytes: Vec<u8> = (0..30_000).map(|place| (place % 251) as u8).collect();
                    for (number, piece) in bytes.chunks(3_000).enumerate() {
                        let piece = piece.to_vec();
                        simulation.post_at(Duration::from_millis(number as u64 * 15), move || {
                            client.write(piece.clone());
                        });
                    }
                    simulation.post_at(Duration::from_millis(300), move || {
                        client.end();
                    });
                    client.on_close(move |_, had_error| {
                        log.add("C", format!("close {had_error}"));
                        server.close();
                    });
                    client.resume();
                    let (silence, sound) = (simulation.clone(), simulation.clone());
                    let begins = Duration::from_millis(begins);
                    simulation.post_at(begins, move || silence.black_hole(ip(SERVER)));
                    simulation.post_at(begins + Duration::from_millis(lasts), move || sound.heal(ip(SERVER)));
                });
                let which = format!("{begins} ms for {lasts} ms, until {:?}: {}", simulation.now(), log.whole());
                assert_eq!(log.texts_of("S"), ["30000 true"], "{which}");
                assert_eq!(log.texts_of("C"), ["close false"], "{which}");
            }
        }
    });
}
