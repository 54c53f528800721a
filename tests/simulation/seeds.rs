//! A run is decided by its seed.

use std::time::Duration;

use halfclose::simulation::{Accounts, Faults};
use halfclose::{EventLoop, net, set_timeout};

use crate::support::{DEADLINE, Log, within};

/// Every fault that ends no connection, often.
pub(crate) const HARMLESS: Faults = Faults {
    short_reads: 200_000,
    short_writes: 200_000,
    would_block: 150_000,
    interrupted: 100_000,
    spurious_events: 150_000,
    duplicated_events: 150_000,
    delayed_events: 150_000,
    reordered_events: 200_000,
    resets: 0,
    refused: 0,
    delayed_connects: 100_000,
    aborted: 0,
    black_holed: 0,
    no_descriptors: 0,
    no_memory: 0,
    false_hang_ups: 150_000,
};

/// What a client sends: each byte says where it stands, and whose it is.
fn bytes_of(client: usize) -> Vec<u8> {
    (0..5000 + 997 * client).map(|place| (place * 31 + client * 7) as u8).collect()
}

/// Four clients at hosts of their own whose bytes come back to them, under `faults`; the log, and what is left.
pub(crate) fn run(seed: u64, faults: Faults) -> (Log, Vec<Vec<u8>>, Accounts, Duration) {
    let mut event_loop = EventLoop::simulated(seed).expect("a loop");
    let simulation = event_loop.simulation().expect("simulated");
    simulation.set_faults(faults);
    let log = Log::new();
    event_loop.on_unhandled_error(|_, _| halfclose::Unhandled::Continue);
    let server = net::create_server_with(net::ServerOptions::new().allow_half_open(true), move |socket| {
        log.add("S", format!("connection {:?}", socket.remote_address()));
        socket.on_data(move |socket, bytes| {
            log.add_data_length("S", bytes.len());
            if !socket.write(bytes) {
                socket.pause();
            }
        });
        socket.on_drain(|socket| {
            socket.resume();
        });
        socket.on_end(move |socket| {
            log.add("S", "end");
            socket.end();
        });
        socket.on_error(move |_, error| log.add("S", error));
        socket.on_close(move |_, _| log.add("S", "close"));
    });
    server.listen(("198.51.100.7", 80)).expect("a free port");
    let received: std::rc::Rc<std::cell::RefCell<Vec<Vec<u8>>>> = Default::default();
    let closed = std::rc::Rc::new(std::cell::Cell::new(0));
    for number in 0..4 {
        received.borrow_mut().push(Vec::new());
        let options = net::ConnectOptions::new().host("198.51.100.7").port(80);
        let client = net::connect(options.local_address(format!("203.0.113.{number}"))).expect("a valid address");
        let name: &'static str = ["C0", "C1", "C2", "C3"][number];
        client.end_data(bytes_of(number));
        let (into, closed) = (received.clone(), closed.clone());
        client.on_data(move |_, bytes| {
            log.add_data_length(name, bytes.len());
            into.borrow_mut()[number].extend(bytes);
        });
        client.on_error(move |_, error| log.add(name, error));
        client.on_close(move |_, had_error| {
            log.add(name, format!("close {had_error}"));
            closed.set(closed.get() + 1);
            if closed.get() == 4 {
                server.close();
            }
        });
    }
    // A server that found no descriptor, and none to spare, looks at its backlog again when somebody else connects. Nobody
    // does here.
    let timer = set_timeout(Duration::from_secs(3600), move || {
        server.close();
    });
    timer.unref();
    let ending = event_loop.run();
    assert!(ending.is_ok(), "seed {seed}: {ending:?} {:?} {}", simulation.accounts(), log.whole());
    let ended = simulation.now();
    // What is closed takes its leave of the other host: a round trip, or as long as Linux waits for an end.
    simulation.post_at(ended + Duration::from_secs(120), || {});
    event_loop.run().expect("it ends");
    let accounts = simulation.accounts();
    let received = received.take();
    (log, received, accounts, ended)
}

#[test]
fn the_same_seed_gives_the_same_run() {
    within(DEADLINE, || {
        let (first, _, accounts, ended) = run(11, HARMLESS);
        let (again, _, same_accounts, same_end) = run(11, HARMLESS);
        assert_eq!(first.whole(), again.whole());
        assert_eq!((accounts, ended), (same_accounts, same_end));
        let (other, ..) = run(12, HARMLESS);
        assert_ne!(first.whole(), other.whole());
    });
}

#[test]
fn no_byte_is_lost_to_faults_that_end_nothing() {
    within(DEADLINE, || {
        let mut interruptions = 0;
        for seed in 0..200 {
            let (log, received, accounts, ended) = run(seed, HARMLESS);
            for (client, bytes) in received.iter().enumerate() {
                assert!(*bytes == bytes_of(client), "seed {seed}, client {client}: {}", log.whole());
            }
            assert_eq!((accounts.open_descriptors, accounts.sockets), (0, 0), "seed {seed}: {}", log.whole());
            assert!(ended < Duration::from_secs(60), "seed {seed} took {ended:?}: {}", log.whole());
            assert!(accounts.faults > 0, "seed {seed}: {accounts:?}");
            interruptions += accounts.interruptions;
        }
        assert!(interruptions > 200, "{interruptions}");
    });
}

#[test]
fn what_ends_connections_leaves_nothing_behind() {
    within(DEADLINE, || {
        let mut errors = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let faults = Faults {
                resets: 15_000,
                refused: 100_000,
                aborted: 100_000,
                black_holed: 0,
                no_descriptors: 50_000,
                no_memory: 5_000,
                ..HARMLESS
            };
            let (log, received, accounts, _) = run(seed, faults);
            for (client, bytes) in received.iter().enumerate() {
                assert!(bytes_of(client).starts_with(bytes), "seed {seed}, client {client}: {}", log.whole());
            }
            assert_eq!((accounts.open_descriptors, accounts.sockets), (0, 0), "seed {seed}: {}", log.whole());
            let texts = ["C0", "C1", "C2", "C3", "S"].map(|endpoint| log.texts_of(endpoint)).concat();
            let codes = texts.iter().filter_map(|text| text.split(' ').find(|word| word.starts_with('E')));
            errors.extend(codes.map(|code| code.trim_end_matches(':').to_owned()));
        }
        for code in ["ECONNREFUSED", "ECONNRESET", "EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"] {
            assert!(errors.contains(code), "{code} among {errors:?}");
        }
    });
}
