//! Law 6: every loop has a bound. What can go on for ever (input, connections, posts, immediates, timers, shutdowns that
//! lead to shutdowns) is taken in portions, and everybody else has a turn between two of them.
//!
//! May touch: the public API, and sockets of std as peers. Invariant: turns and events are counted, never time.

use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use halfclose::net::{self, Server, Socket};
use halfclose::{EventLoop, EventLoopOptions, LoopHandle, Phase, set_immediate, set_timeout};

use crate::support::{RawListener, RawPeer, RawThread, busy, in_thread, loopback, port_of};
use crate::{law, law_without_loop};

/// The turn that the running callback belongs to.
fn this_turn() -> u64 {
    halfclose::position().expect("a loop").turn
}

/// How many events each turn had, in order.
fn per_turn(turns: &[u64]) -> Vec<usize> {
    turns.chunk_by(|one, other| one == other).map(<[u64]>::len).collect()
}

/// Runs `body` with a loop of these options.
fn law_with(options: EventLoopOptions, body: impl FnOnce(&mut EventLoop)) {
    law_without_loop(|| {
        let mut event_loop = EventLoop::with_options(options).expect("a loop");
        body(&mut event_loop);
    });
}

/// 1024 items of other threads a turn.
#[test]
fn law_6_posts_are_taken_in_portions() {
    law(|event_loop| {
        const POSTS: usize = 5_000;
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..POSTS {
            let ran = ran.clone();
            let posted = event_loop.handle().post(move || {
                ran.fetch_add(1, Ordering::Relaxed);
            });
            assert!(posted.is_ok());
        }
        let seen: Rc<RefCell<Vec<usize>>> = Rc::default();
        fn look(ran: Arc<AtomicUsize>, seen: Rc<RefCell<Vec<usize>>>) {
            set_immediate(move || {
                seen.borrow_mut().push(ran.load(Ordering::Relaxed));
                if ran.load(Ordering::Relaxed) < POSTS {
                    look(ran, seen);
                }
            });
        }
        look(ran.clone(), seen.clone());
        event_loop.run().expect("no unhandled error");
        assert_eq!(*seen.borrow(), [1024, 2048, 3072, 4096, POSTS]);
    });
}

/// A post that posts itself again joins the same portion, and no more than a portion.
#[test]
fn law_6_a_post_that_posts_itself_starves_nobody() {
    law(|event_loop| {
        let over = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicUsize::new(0));
        fn post_again(handle: LoopHandle, over: Arc<AtomicBool>, count: Arc<AtomicUsize>) {
            let again = handle.clone();
            let posted = handle.post(move || {
                count.fetch_add(1, Ordering::Relaxed);
                if !over.load(Ordering::Relaxed) {
                    post_again(again, over, count);
                }
            });
            assert!(posted.is_ok());
        }
        post_again(event_loop.handle(), over.clone(), count.clone());
        let (stop, counted) = (over.clone(), count.clone());
        set_immediate(move || {
            assert_eq!(counted.load(Ordering::Relaxed), 1024);
            // A timer has its turn, too.
            set_timeout(Duration::from_millis(1), move || stop.store(true, Ordering::Relaxed));
        });
        event_loop.run().expect("no unhandled error");
        assert!(count.load(Ordering::Relaxed) > 1024);
    });
}

/// The turns in which connections that wait are accepted.
fn accepting_turns(event_loop: &mut EventLoop, connections: usize) -> Vec<u64> {
    let turns: Rc<RefCell<Vec<u64>>> = Rc::default();
    let peers: Rc<RefCell<Vec<RawPeer>>> = Rc::default();
    let (seen, waiting) = (turns.clone(), peers.clone());
    let server = Server::new();
    server.on_connection(move |server, socket| {
        seen.borrow_mut().push(this_turn());
        socket.destroy();
        if seen.borrow().len() == connections {
            server.release();
        }
    });
    server.on_listening(move |server| {
        let address = loopback(port_of(server));
        waiting.borrow_mut().extend((0..connections).map(|_| RawPeer::connect(address)));
    });
    server.listen(("127.0.0.1", 0)).expect("listen");
    event_loop.run().expect("no unhandled error");
    turns.take()
}

/// M4: as many connections a turn as the budget says; zero counts as one.
#[test]
fn law_6_connections_are_accepted_in_portions() {
    for (options, expected) in [
        (EventLoopOptions::new(), vec![8, 8, 4]),
        (EventLoopOptions::new().accepts_per_turn(7), vec![7, 7, 6]),
        (EventLoopOptions::new().accepts_per_turn(1), vec![1; 20]),
        (EventLoopOptions::new().accepts_per_turn(0), vec![1; 20]),
        (EventLoopOptions::new().accepts_per_turn(usize::MAX), vec![20]),
    ] {
        law_with(options, |event_loop| assert_eq!(per_turn(&accepting_turns(event_loop, 20)), expected));
    }
}

/// Two servers under load take turns.
#[test]
fn law_6_a_server_under_load_does_not_starve_another() {
    law_with(EventLoopOptions::new().accepts_per_turn(2), |event_loop| {
        let order: Rc<RefCell<Vec<(u64, &str)>>> = Rc::default();
        let peers: Rc<RefCell<Vec<RawPeer>>> = Rc::default();
        for name in ["A", "B"] {
            let (seen, waiting, mut accepted) = (order.clone(), peers.clone(), 0);
            let server = Server::new();
            server.on_connection(move |server, socket| {
                seen.borrow_mut().push((this_turn(), name));
                socket.destroy();
                accepted += 1;
                if accepted == 6 {
                    server.release();
                }
            });
            server.on_listening(move |server| {
                let address = loopback(port_of(server));
                waiting.borrow_mut().extend((0..6).map(|_| RawPeer::connect(address)));
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
        }
        event_loop.run().expect("no unhandled error");
        let order = order.take();
        for turn in order.chunk_by(|one, other| one.0 == other.0) {
            let count = |name| turn.iter().filter(|(_, of)| *of == name).count();
            assert_eq!((count("A"), count("B")), (2, 2), "{order:?}");
        }
    });
}

/// A peer that sends as fast as it can until its socket is gone.
fn fire_hose() -> (Socket, RawThread<()>) {
    let raw = RawListener::bind();
    let socket = net::connect(raw.address()).expect("connect");
    socket.on_error(|_, _| ());
    let thread = in_thread(move || {
        let peer = raw.accept();
        let mut stream: &TcpStream = peer.stream();
        let block = vec![7; 1 << 18];
        while std::io::Write::write_all(&mut stream, &block).is_ok() {}
    });
    (socket, thread)
}

/// M4: a socket under fire is read at most so many times a turn, and a quiet one is served after at most one such portion
/// more, again and again.
#[test]
fn law_6_a_hot_socket_does_not_starve_a_cold_one() {
    // Kernels differ in how much they hold for a socket; two reads' worth is there everywhere.
    const READS: usize = 1;
    const ROUNDS: usize = 60;
    law_with(EventLoopOptions::new().reads_per_turn(READS), |event_loop| {
        let (hot, hose) = fire_hose();
        let raw = RawListener::bind();
        let cold = net::connect(raw.address()).expect("connect");
        let peer = Rc::new(RefCell::new(None));
        let (turns, reads_since_ping): (Rc<RefCell<Vec<u64>>>, _) = (Rc::default(), Rc::new(Cell::new(None)));
        let (seen, since, pinging) = (turns.clone(), reads_since_ping.clone(), peer.clone());
        hot.on_data(move |_, bytes| {
            assert!(bytes.len() <= 65_536, "a read of {} bytes", bytes.len());
            seen.borrow_mut().push(this_turn());
            match since.get() {
                Some(reads) => since.set(Some(reads + 1)),
                // Warm by now: the kernel gives such a socket large buffers.
                None if seen.borrow().len() > 100 => {
                    if let Some(peer) = pinging.borrow_mut().as_mut() {
                        RawPeer::write(peer, b"x");
                        since.set(Some(0));
                    }
                }
                None => {}
            }
            // A slow listener: meanwhile the peer fills the buffer again, so that only the bound ends a portion.
            busy(Duration::from_micros(300));
        });
        cold.on_ready(move |_| *peer.borrow_mut() = Some(raw.accept()));
        let (mut rounds, most) = (0, Rc::new(Cell::new(0)));
        let worst = most.clone();
        cold.on_data(move |cold, _| {
            worst.set(worst.get().max(reads_since_ping.take().expect("after a ping")));
            rounds += 1;
            if rounds == ROUNDS {
                hot.destroy();
                cold.destroy();
            }
        });
        event_loop.run().expect("no unhandled error");
        hose.join();
        assert!(most.get() <= 2 * READS, "{} reads of the hot socket came before one of the cold one", most.get());
        let counts = per_turn(&turns.borrow());
        assert_eq!(counts.iter().max(), Some(&READS), "{counts:?}");
    });
}

/// M4: several hot sockets each have their portion in a turn, and immediates and timers run between the turns.
#[test]
fn law_6_hot_sockets_share_and_let_timers_run() {
    law_with(EventLoopOptions::new().reads_per_turn(2), |event_loop| {
        let hoses: Vec<_> = (0..3).map(|_| fire_hose()).collect();
        let sockets: Vec<Socket> = hoses.iter().map(|(socket, _)| *socket).collect();
        let turns: Rc<RefCell<Vec<(u64, usize)>>> = Rc::default();
        for (number, socket) in sockets.iter().enumerate() {
            let seen = turns.clone();
            socket.on_data(move |_, _| {
                seen.borrow_mut().push((this_turn(), number));
                busy(Duration::from_micros(100));
            });
        }
        let mut ticks = 0;
        fn again(ticks: &mut usize, then: impl FnOnce()) {
            *ticks += 1;
            if *ticks == 30 {
                then();
            }
        }
        let all = sockets.clone();
        let own: Rc<Cell<Option<halfclose::Timer>>> = Rc::default();
        let timer = own.clone();
        own.set(Some(halfclose::set_interval(Duration::from_millis(1), move || {
            again(&mut ticks, || {
                all.iter().for_each(|socket| _ = socket.destroy());
                timer.take().expect("its own timer").clear();
            });
        })));
        event_loop.run().expect("no unhandled error");
        hoses.into_iter().for_each(|(_, hose)| hose.join());
        let turns = turns.take();
        for turn in turns.chunk_by(|one, other| one.0 == other.0) {
            for number in 0..sockets.len() {
                let reads = turn.iter().filter(|(_, of)| *of == number).count();
                assert!(reads <= 2, "{reads} reads of socket {number} in one turn: {turn:?}");
            }
        }
        assert!(turns.iter().any(|(_, number)| *number == 0) && turns.iter().any(|(_, number)| *number == 2));
    });
}

/// TM6: immediates that queue immediates, and timers that arm timers, wait for the next turn: input is served between.
#[test]
fn law_6_immediates_and_timers_starve_nobody() {
    law(|event_loop| {
        let raw = RawListener::bind();
        let socket = net::connect(raw.address()).expect("connect");
        let served = Rc::new(Cell::new(false));
        fn immediates_for_ever(served: Rc<Cell<bool>>, turns: Rc<RefCell<Vec<u64>>>) {
            set_immediate(move || {
                turns.borrow_mut().push(this_turn());
                if !served.get() {
                    immediates_for_ever(served, turns);
                }
            });
        }
        fn timers_for_ever(served: Rc<Cell<bool>>, turns: Rc<RefCell<Vec<u64>>>) {
            set_timeout(Duration::ZERO, move || {
                turns.borrow_mut().push(this_turn());
                // Longer than its delay, so that the next one is due at once.
                busy(Duration::from_millis(2));
                if !served.get() {
                    timers_for_ever(served.clone(), turns.clone());
                }
            });
        }
        let immediates: Rc<RefCell<Vec<u64>>> = Rc::default();
        let timers: Rc<RefCell<Vec<u64>>> = Rc::default();
        immediates_for_ever(served.clone(), immediates.clone());
        timers_for_ever(served.clone(), timers.clone());
        fn write_when_both_ran(peer: RawPeer, timers: Rc<RefCell<Vec<u64>>>) {
            set_immediate(move || {
                let mut peer = peer;
                if timers.borrow().len() >= 5 { peer.write(b"x") } else { write_when_both_ran(peer, timers) }
            });
        }
        let ran = timers.clone();
        socket.on_ready(move |_| write_when_both_ran(raw.accept(), ran.clone()));
        socket.on_data(move |socket, _| {
            served.set(true);
            socket.destroy();
        });
        event_loop.run().expect("no unhandled error");
        for turns in [immediates, timers] {
            let counts = per_turn(&turns.borrow());
            assert!(counts.len() >= 5 && counts.iter().all(|&count| count == 1), "{counts:?}");
        }
    });
}

/// Pending results that lead to pending results are taken up again a few times a turn, as libuv does, and then wait.
#[test]
fn law_6_shutdowns_that_lead_to_shutdowns_starve_nobody() {
    const SOCKETS: usize = 40;
    // One round before the poll, one behind it, and eight more of what those make for themselves.
    const MOST_IN_A_TURN: usize = 10;
    law(|event_loop| {
        let raw = Rc::new(RawListener::bind());
        let finishes: Rc<RefCell<Vec<u64>>> = Rc::default();
        let left = Rc::new(Cell::new(SOCKETS));
        let sockets: Rc<RefCell<Vec<Socket>>> = Rc::default();
        for number in 0..SOCKETS {
            let socket = net::connect(raw.address()).expect("connect");
            sockets.borrow_mut().push(socket);
            let (all, seen) = (sockets.clone(), finishes.clone());
            socket.on_finish(move |_| {
                assert_eq!(halfclose::position().expect("a loop").phase, Phase::Pending);
                seen.borrow_mut().push(this_turn());
                match all.borrow().get(number + 1) {
                    Some(next) => _ = next.end(),
                    None => all.borrow().iter().for_each(|socket| _ = socket.destroy()),
                }
            });
            let (all, left, raw) = (sockets.clone(), left.clone(), raw.clone());
            socket.on_ready(move |_| {
                let _held = &raw;
                left.set(left.get() - 1);
                if left.get() == 0 {
                    all.borrow()[0].end();
                }
            });
        }
        event_loop.run().expect("no unhandled error");
        let counts = per_turn(&finishes.borrow());
        assert_eq!(counts.iter().sum::<usize>(), SOCKETS);
        assert!(counts.iter().all(|&count| count <= MOST_IN_A_TURN), "{counts:?}");
    });
}

/// The exception, by rule M2: ticks are drained completely, and so starve everybody if they go on.
#[test]
fn law_6_ticks_are_drained_completely() {
    law(|event_loop| {
        let count = Rc::new(Cell::new(0));
        fn tick(count: Rc<Cell<u32>>) {
            halfclose::next_tick(move || {
                count.set(count.get() + 1);
                if count.get() < 100_000 {
                    tick(count);
                }
            });
        }
        let seen = count.clone();
        set_immediate(move || tick(count));
        set_immediate(move || assert_eq!(seen.get(), 100_000));
        event_loop.run().expect("no unhandled error");
    });
}

/// A long queue of writes goes out in gathered writes of bounded size, and nothing is lost on the way.
#[test]
fn law_6_many_small_writes_are_sent_in_portions() {
    const WRITES: usize = 5_000;
    law(|event_loop| {
        let called = Rc::new(Cell::new(0));
        let counted = called.clone();
        let received = Rc::new(Cell::new(0));
        let length = received.clone();
        let server = net::create_server(move |accepted| {
            let length = length.clone();
            accepted.on_data(move |_, bytes| length.set(length.get() + bytes.len()));
        });
        server.once_listening(move |server| {
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            for number in 0..WRITES {
                let counted = counted.clone();
                client.write_with("12", move |_, result| {
                    assert!(result.is_ok());
                    assert_eq!(counted.get(), number, "in order");
                    counted.set(number + 1);
                });
            }
            client.end();
            client.on_close(move |_, _| server.release());
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!((called.get(), received.get()), (WRITES, 2 * WRITES));
    });
}
