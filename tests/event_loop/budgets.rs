//! Rule M4: how much of one kind of work a turn does.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;

use halfclose::net::{self, ConnectOptions, Server};
use halfclose::{EventLoop, EventLoopOptions, set_immediate};

use crate::support::{self, Log, RawListener, RawPeer};
use crate::{MILLISECOND, client_of_peer, here};

/// Lets `clients` connections wait in the accept queue and records the turn in which each is accepted.
fn accepting_turns(event_loop: &mut EventLoop, log: &Log, clients: usize) -> Vec<u64> {
    let log = *log;
    let turns = Rc::new(RefCell::new(Vec::new()));
    let peers = Rc::new(RefCell::new(Vec::new()));
    let (seen, waiting) = (turns.clone(), peers.clone());
    let server = Server::new();
    server.on_connection(move |server, socket| {
        seen.borrow_mut().push(here().turn);
        log.add("srv", "connection");
        set_immediate(move || log.add("srv", "immediate"));
        socket.destroy();
        if seen.borrow().len() == clients {
            server.close();
        }
    });
    server.on_listening(move |server| {
        let address = support::loopback(support::port_of(server));
        waiting.borrow_mut().extend((0..clients).map(|_| RawPeer::connect(address)));
    });
    server.listen(("127.0.0.1", 0)).expect("listen");
    event_loop.run().expect("run");
    turns.take()
}

/// How many entries each turn has, in order.
fn per_turn(turns: &[u64]) -> Vec<usize> {
    turns.chunk_by(|one, other| one == other).map(<[u64]>::len).collect()
}

/// M4: with one accept per turn, as in Node, immediates run between any two connections.
#[test]
fn m4_one_connection_per_turn_on_request() {
    support::within(support::DEADLINE, || {
        let options = EventLoopOptions::new().accepts_per_turn(1);
        let mut event_loop = EventLoop::with_options(options).expect("a loop");
        let log = Log::new();
        let turns = accepting_turns(&mut event_loop, &log, 4);
        assert_eq!(per_turn(&turns), [1, 1, 1, 1]);
        log.assert_of(
            "srv",
            "connection | immediate | connection | immediate | connection | immediate | connection | immediate",
        );
    });
}

/// M4, the tunable's default: eight connections per turn, each a callback of its own.
#[test]
fn m4_eight_connections_per_turn_by_default() {
    support::test(|event_loop| {
        let log = Log::new();
        let turns = accepting_turns(event_loop, &log, 20);
        assert_eq!(per_turn(&turns), [8, 8, 4], "{}", log.whole());
    });
}

/// Has a peer send eight mebibytes as fast as it can, and returns the turn of each read.
fn reading_turns(options: EventLoopOptions) -> Vec<u64> {
    const LENGTH: usize = 8 << 20;
    support::within(support::DEADLINE, || {
        let mut event_loop = EventLoop::with_options(options).expect("a loop");
        let raw = RawListener::bind();
        let client = net::connect(raw.address()).expect("connect");
        let sender = support::in_thread(move || {
            let mut peer = raw.accept();
            peer.write(&vec![0; LENGTH]);
            peer.half_close();
            peer.drain();
        });
        let turns = Rc::new(RefCell::new(Vec::new()));
        let received = Rc::new(Cell::new(0));
        let (seen, total) = (turns.clone(), received.clone());
        client.on_data(move |_, bytes| {
            assert!(bytes.len() <= 65_536, "a read of {} bytes", bytes.len());
            total.set(total.get() + bytes.len());
            let turn = here().turn;
            if seen.borrow().last() != Some(&turn) {
                // Lets the kernel's buffer fill while the loop is away.
                set_immediate(|| crate::busy(2 * MILLISECOND));
            }
            seen.borrow_mut().push(turn);
        });
        event_loop.run().expect("run");
        sender.join();
        assert_eq!(received.get(), LENGTH);
        turns.take()
    })
}

/// M4: a socket is read at most so many times a turn, however much there is.
#[test]
fn m4_reads_per_turn_are_bounded() {
    for (options, limit) in [
        (EventLoopOptions::new(), 16),
        (EventLoopOptions::new().reads_per_turn(4), 4),
        (EventLoopOptions::new().reads_per_turn(1), 1),
    ] {
        let turns = reading_turns(options);
        let counts = per_turn(&turns);
        assert_eq!(counts.iter().max(), Some(&limit), "{counts:?}");
    }
}

/// M4: what a hot socket has left over waits behind a cold one.
#[test]
fn m4_a_hot_socket_does_not_starve_a_cold_one() {
    const READS_PER_TURN: usize = 2;
    support::within(support::DEADLINE, || {
        let options = EventLoopOptions::new().reads_per_turn(READS_PER_TURN);
        let mut event_loop = EventLoop::with_options(options).expect("a loop");
        let log = Log::new();
        let reads = Rc::new(Cell::new(0));
        let counted = reads.clone();
        client_of_peer(&log, ConnectOptions::new(), move |cold, cold_peer| {
            let reads_before = counted.clone();
            cold.on_data(move |cold, _| {
                log.add("C", "cold data");
                let reads = reads_before.get();
                assert!(reads <= 2 * READS_PER_TURN, "{reads} reads of the hot socket came first");
                cold.destroy();
            });
            let raw = RawListener::bind();
            let hot = net::connect(raw.address()).expect("connect");
            support::in_thread(move || {
                let mut peer = raw.accept();
                peer.write(&vec![0; 8 << 20]);
                peer.half_close();
                peer.drain();
            });
            hot.on_data(move |_, _| {
                if counted.get() == 0 {
                    cold_peer.borrow_mut().write(b"x");
                    // Lets the hot socket's kernel buffer fill, so that only the bound ends its reads.
                    crate::busy(20 * MILLISECOND);
                }
                counted.set(counted.get() + 1);
            });
        });
        event_loop.run().expect("run");
        log.assert_after("C", "ready", "| cold data |x close(false)");
        assert!(reads.get() > 8 * READS_PER_TURN, "only {} reads of the hot socket in all", reads.get());
    });
}

/// What the test below has counted.
#[derive(Default)]
struct Counts {
    /// The turn of the latest hot read, how many bytes each hot socket has delivered in it, and how many reads at most.
    turn: Cell<u64>,
    bytes: RefCell<[usize; HOT]>,
    reads: RefCell<[usize; HOT]>,
    most_reads: Cell<usize>,
    /// The turn in which the cold peers wrote, until the last of them was heard.
    written: Cell<Option<u64>>,
    heard: Cell<usize>,
    rounds: Cell<usize>,
}

const HOT: usize = 3;
const COLD: usize = 2;

impl Counts {
    fn hot_read(&self, socket: usize, length: usize) {
        let turn = here().turn;
        if self.turn.replace(turn) != turn {
            self.bytes.take();
            self.reads.take();
        }
        self.bytes.borrow_mut()[socket] += length;
        self.reads.borrow_mut()[socket] += 1;
        self.most_reads.set(self.most_reads.get().max(self.reads.borrow()[socket]));
    }

    /// The hot bytes of this turn, so far.
    fn in_this_turn(&self) -> [usize; HOT] {
        if self.turn.get() == here().turn { *self.bytes.borrow() } else { [0; HOT] }
    }
}

/// M4: whatever hot sockets have, a socket that is ready is served in the turn whose poll finds it, and before that every
/// other ready socket delivers its budget at most. Counted in bytes and turns: no clock is asked.
#[test]
fn m4_a_ready_socket_waits_for_one_budget_of_each_other() {
    const READS_PER_TURN: usize = 2;
    const BUDGET: usize = READS_PER_TURN * 65_536;
    const ROUNDS: usize = 40;
    support::within(support::DEADLINE, || {
        let mut event_loop =
            EventLoop::with_options(EventLoopOptions::new().reads_per_turn(READS_PER_TURN)).expect("a loop");
        let counts: Rc<Counts> = Rc::default();
        let cold_listener = RawListener::bind();
        let cold: Vec<_> = (0..COLD).map(|_| net::connect(cold_listener.address()).expect("connect")).collect();
        let cold_peers: Rc<RefCell<Vec<support::RawPeer>>> = Rc::default();
        for &socket in &cold {
            let counts = counts.clone();
            socket.on_data(move |_, bytes| {
                assert_eq!(bytes, b"x");
                let written = counts.written.get().expect("written before it is heard");
                let turn = here().turn;
                assert!(turn <= written + 1, "written in turn {written}, served in turn {turn}");
                let before = counts.in_this_turn();
                assert!(before.iter().all(|&bytes| bytes <= BUDGET), "{before:?} bytes came first");
                counts.heard.set(counts.heard.get() + 1);
                if counts.heard.get() == COLD {
                    counts.written.set(None);
                }
            });
        }
        for number in 0..HOT {
            let raw = RawListener::bind();
            let hot = net::connect(raw.address()).expect("connect");
            support::in_thread(move || {
                let mut peer = raw.accept();
                let bytes = vec![0; 1 << 20];
                // Until the other end is destroyed.
                while peer.stream().write_all(&bytes).is_ok() {}
                peer.drain();
            });
            let (counts, cold_peers, cold) = (counts.clone(), cold_peers.clone(), cold.clone());
            hot.on_data(move |hot, bytes| {
                counts.hot_read(number, bytes.len());
                if counts.rounds.get() == ROUNDS && counts.written.get().is_none() {
                    hot.destroy();
                    for &cold in &cold {
                        cold.destroy();
                    }
                } else if number == 0 && counts.written.get().is_none() && !cold_peers.borrow().is_empty() {
                    counts.rounds.set(counts.rounds.get() + 1);
                    counts.heard.set(0);
                    counts.written.set(Some(here().turn));
                    for peer in cold_peers.borrow_mut().iter_mut() {
                        peer.write(b"x");
                    }
                    // The hot sockets' kernel buffers fill meanwhile.
                    crate::busy(5 * MILLISECOND);
                }
            });
        }
        let connected = Rc::new(Cell::new(0));
        let cold_listener = Rc::new(cold_listener);
        for &socket in &cold {
            let (connected, cold_peers, cold_listener) = (connected.clone(), cold_peers.clone(), cold_listener.clone());
            socket.once_connect(move |_| {
                connected.set(connected.get() + 1);
                if connected.get() == COLD {
                    cold_peers.borrow_mut().extend((0..COLD).map(|_| cold_listener.accept()));
                }
            });
        }
        event_loop.run().expect("run");
        assert_eq!(counts.rounds.get(), ROUNDS);
        assert_eq!(counts.most_reads.get(), READS_PER_TURN, "a hot socket used its budget up");
    });
}
