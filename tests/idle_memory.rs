//! What an idle connection costs on the heap, and that it costs no more after a burst.
//!
//! May touch: the public API, the process's limit of descriptors and its allocator. Invariant: what is counted is what the
//! loop's thread has allocated and not freed; the peers are on a thread of their own, and do not count.

// With simulated streams beside the real ones a slot is larger, and nobody counts its bytes.
#![cfg(not(feature = "simulation"))]

#[path = "support/heap.rs"]
mod heap;
mod support;

use std::cell::RefCell;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use halfclose::EventLoop;
use halfclose::net::{self, ServerOptions, Socket};
use heap::held;
use support::{RawThread, loopback, port_of};

/// A power of two: tables double as they grow, so these fill theirs, and nothing that waits for more connections counts.
const CONNECTIONS: usize = 2_048;

/// A connection is two descriptors here, because the peers live in the same process.
const DESCRIPTORS_EACH: usize = 2;

/// For the loop, std's streams and the test harness.
const DESCRIPTORS_ELSE: usize = 100;

/// The peers connect in groups and wait until a group was accepted: more at once would overflow the accept queue, and
/// the kernel would let them wait for a second. Half of the default backlog.
const GROUP: usize = 256;

/// An echo's usual idle timeout, as long as no test lasts.
const IDLE: Duration = Duration::from_secs(600);

/// Bytes that an idle connection with an armed idle timeout may cost, where no listener captures anything: its slot (80),
/// the place for its listeners (8) and its timer (32).
const MOST_EACH: usize = 120;

/// The same with three closures that capture a word each: the place for them (32), and a box for each (16; the least that
/// glibc's allocator hands out is 24).
const MOST_EACH_WITH_CAPTURES: usize = 200;

/// What the loop has once: the listeners that all share, and room for what a turn brings.
const MOST_ONCE: usize = 4_096;

/// What a loop keeps for the next writes that wait: eight boxes for queues, of 200 bytes, and eight to put them in, of 370.
const KEPT_BY_THE_LOOP: usize = 8 * (200 + 370);

/// What is queued on each connection, in one write.
const BURST: usize = 65_536;

/// More than any kernel takes at once, by default: four megabytes for a sender and six for a receiver (tcp(7)).
const MORE_THAN_THE_KERNEL_TAKES: usize = 16 << 20;

/// What the kernel takes at least: a connection's buffer begins with as much (tcp(7), `tcp_wmem`).
const LEAST_TAKEN: usize = 16_384;

/// Turns until what was sent must have arrived: of a millisecond at most, so this is half a minute.
const MOST_TURNS: usize = 30_000;

/// Idle connections of one server, and their peers.
struct Crowd {
    event_loop: EventLoop,
    sockets: Rc<RefCell<Vec<Socket>>>,
    peers: RawThread<()>,
    /// What the thread had allocated before the first connection came.
    at_first: isize,
}

impl Crowd {
    /// Accepts as many connections as there are descriptors for, which `listen` as it says; each peer reads `bytes_each`, and
    /// then waits for the end.
    fn gather(options: ServerOptions, listen: fn(Socket), bytes_each: usize) -> Crowd {
        let limit = support::raise_descriptor_limit(CONNECTIONS * DESCRIPTORS_EACH + DESCRIPTORS_ELSE);
        let most = (limit - DESCRIPTORS_ELSE) / DESCRIPTORS_EACH;
        let connections = if most < CONNECTIONS { 1 << most.ilog2() } else { CONNECTIONS };
        let mut event_loop = EventLoop::new().expect("a loop");
        let sockets = Rc::new(RefCell::new(Vec::with_capacity(connections)));
        let accepted = sockets.clone();
        let (sender, receiver) = channel();
        let server = net::create_server_with(options, move |socket| {
            socket.set_timeout(IDLE);
            listen(socket);
            accepted.borrow_mut().push(socket);
            if accepted.borrow().len() % GROUP == 0 {
                sender.send(()).expect("the peers wait");
            }
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.turn(Some(Duration::ZERO)).expect("no unhandled error");
        let address = loopback(port_of(server));
        let at_first = held();
        let peers = support::in_thread(move || connect(address, connections, bytes_each, &receiver));
        let mut crowd = Crowd { event_loop, sockets, peers, at_first };
        crowd.turn_until(|sockets| sockets.len() == connections);
        server.close();
        crowd
    }

    fn turn_until(&mut self, done: impl Fn(&[Socket]) -> bool) {
        for _ in 0..MOST_TURNS {
            self.event_loop.turn(Some(Duration::from_millis(1))).expect("no unhandled error");
            if done(&self.sockets.borrow()) {
                return;
            }
        }
        panic!("it did not happen in time");
    }

    /// Does something to each connection, in a turn of its own: then what a turn keeps for the next one does not grow with
    /// the crowd.
    fn each(&mut self, command: impl Fn(Socket)) {
        for index in 0..self.sockets.borrow().len() {
            command(self.sockets.borrow()[index]);
            self.event_loop.turn(Some(Duration::ZERO)).expect("no unhandled error");
        }
    }

    fn len(&self) -> usize {
        self.sockets.borrow().len()
    }

    /// Bytes that the connections cost now.
    fn bytes(&self) -> usize {
        usize::try_from(held() - self.at_first).expect("there is more than at first")
    }

    #[track_caller]
    fn assert_costs_at_most(&self, each: usize) {
        let bytes = self.bytes();
        assert!(bytes <= each * self.len() + MOST_ONCE, "{} bytes each", bytes / self.len());
    }

    /// Beside what the loop keeps, what was allocated for one connection is less than one byte for each of all.
    #[track_caller]
    fn assert_as_small_as(&self, before: usize) {
        let growth = self.bytes().saturating_sub(before);
        assert!(growth < self.len() + KEPT_BY_THE_LOOP, "{growth} bytes more for {} connections", self.len());
    }

    fn part(mut self) {
        self.each(|socket| {
            socket.destroy();
        });
        self.event_loop.run().expect("no unhandled error");
        self.peers.join();
    }
}

/// As the echo example does.
fn echo(socket: Socket) {
    socket.on_data(|socket, bytes| {
        if !socket.write(bytes) {
            socket.pause();
        }
    });
    usual_listeners(socket);
}

/// The same, but nothing comes back.
fn swallow(socket: Socket) {
    socket.on_data(|_, _| {});
    usual_listeners(socket);
}

fn usual_listeners(socket: Socket) {
    socket.on_drain(|socket| {
        socket.resume();
    });
    socket.on_timeout(|socket| {
        socket.destroy();
    });
    socket.on_error(|_, _| {});
}

/// Three closures that each capture a word.
fn capture(socket: Socket) {
    socket.on_data(move |_, bytes| {
        socket.write(bytes);
    });
    socket.on_drain(move |_| {
        socket.resume();
    });
    socket.on_error(move |_, _| {
        socket.destroy();
    });
}

/// The peers' part.
fn connect(address: SocketAddr, connections: usize, bytes_each: usize, accepted: &Receiver<()>) {
    let mut peers = Vec::new();
    for connection in 1..=connections {
        let peer = TcpStream::connect(address).expect("connect");
        peer.set_read_timeout(Some(support::PEER_DEADLINE)).expect("a read timeout");
        peers.push(peer);
        if connection % GROUP == 0 {
            accepted.recv_timeout(support::PEER_DEADLINE).expect("the group is accepted");
        }
    }
    let mut bytes = vec![0; bytes_each];
    for peer in &mut peers {
        peer.read_exact(&mut bytes).expect("all the bytes");
    }
    for peer in &mut peers {
        assert_eq!(peer.read(&mut [0]).expect("an end"), 0);
    }
}

fn within_the_deadline(test: impl FnOnce()) {
    // Thousands of connections, in the debug build too; this only ends a test that hangs.
    support::within(Duration::from_secs(60), test);
}

/// The counter counts: without this, the tests below would pass with a broken one.
#[test]
fn the_counter_counts() {
    let before = held();
    let boxed = std::hint::black_box(Box::new([1_u64; 4]));
    assert_eq!(held(), before + 32);
    drop(boxed);
    let mut vector: Vec<u8> = Vec::with_capacity(1);
    vector.extend_from_slice(&[1, 2, 3]);
    assert_eq!(held(), before + std::hint::black_box(&vector).capacity() as isize);
    drop(vector);
    assert_eq!(held(), before);
}

/// A slot, a place for listeners and a timer, and nothing else.
#[test]
fn an_idle_connection_is_small() {
    within_the_deadline(|| {
        let crowd = Crowd::gather(ServerOptions::new(), echo, 0);
        crowd.assert_costs_at_most(MOST_EACH);
        crowd.part();
    });
}

/// It owns what its closures capture, and shares the rest.
#[test]
fn an_idle_connection_with_captures_is_small() {
    within_the_deadline(|| {
        let crowd = Crowd::gather(ServerOptions::new(), capture, 0);
        crowd.assert_costs_at_most(MOST_EACH_WITH_CAPTURES);
        crowd.part();
    });
}

/// The usual options are part of the slot.
#[test]
fn usual_options_cost_nothing() {
    within_the_deadline(|| {
        let options = ServerOptions::new().no_delay(true).keep_alive(true).allow_half_open(true);
        let crowd = Crowd::gather(options, echo, 0);
        crowd.assert_costs_at_most(MOST_EACH);
        crowd.part();
    });
}

/// What could not be sent at once was kept, and goes when it is sent.
#[test]
fn after_a_burst_of_output_it_is_as_small_as_before() {
    within_the_deadline(|| {
        let mut crowd = Crowd::gather(ServerOptions::new(), echo, BURST);
        let idle = crowd.bytes();
        for socket in &*crowd.sockets.borrow() {
            socket.cork();
            socket.write(vec![1; BURST]);
        }
        assert!(crowd.bytes() >= idle + crowd.len() * BURST, "it is all queued");
        crowd.each(|socket| {
            socket.uncork();
        });
        crowd.turn_until(|sockets| sockets.iter().all(|socket| socket.writable_length() == 0));
        crowd.assert_as_small_as(idle);
        crowd.part();
    });
}

/// Lent bytes are copied as far as they have to be: what the kernel has is not kept.
#[test]
fn what_the_kernel_took_is_not_kept() {
    within_the_deadline(|| {
        let text = |length: usize| (0..length).map(|index| (index % 251) as u8).collect::<Vec<_>>();
        let bytes = text(MORE_THAN_THE_KERNEL_TAKES);
        let mut event_loop = EventLoop::new().expect("a loop");
        let (sender, receiver) = channel();
        let server = net::create_server(move |socket| {
            let before = held();
            assert!(!socket.write(&bytes));
            let kept = usize::try_from(held() - before).expect("something is kept");
            assert!(kept > 0 && kept <= bytes.len() - LEAST_TAKEN, "{kept} of {} bytes", bytes.len());
            socket.on_drain(|socket| {
                socket.destroy_soon();
            });
            sender.send(()).expect("the peer waits");
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.turn(Some(Duration::ZERO)).expect("no unhandled error");
        let address = loopback(port_of(server));
        let peer = support::in_thread(move || {
            let mut peer = TcpStream::connect(address).expect("connect");
            peer.set_read_timeout(Some(support::PEER_DEADLINE)).expect("a read timeout");
            receiver.recv_timeout(support::PEER_DEADLINE).expect("it was written");
            let mut received = Vec::new();
            peer.read_to_end(&mut received).expect("all the bytes");
            received
        });
        server.on_connection(|server, _| {
            server.close();
        });
        event_loop.run().expect("no unhandled error");
        assert!(peer.join() == text(MORE_THAN_THE_KERNEL_TAKES), "as it was");
    });
}

/// What was read ahead was kept, and goes when it is taken.
#[test]
fn after_a_burst_of_input_it_is_as_small_as_before() {
    within_the_deadline(|| {
        let mut crowd = Crowd::gather(ServerOptions::new(), swallow, 0);
        let idle = crowd.bytes();
        crowd.each(|socket| {
            socket.pause();
            socket.unshift(vec![1; BURST]);
        });
        assert!(crowd.bytes() >= idle + crowd.len() * BURST, "it is all buffered");
        crowd.each(|socket| {
            socket.resume();
        });
        crowd.turn_until(|sockets| sockets.iter().all(|socket| socket.readable_length() == 0));
        crowd.assert_as_small_as(idle);
        crowd.part();
    });
}

/// A cork that held nothing back, a timeout that was changed and an address that was asked for leave nothing behind.
#[test]
fn small_commands_leave_nothing_behind() {
    within_the_deadline(|| {
        let mut crowd = Crowd::gather(ServerOptions::new(), swallow, 0);
        let idle = crowd.bytes();
        crowd.each(|socket| {
            socket.cork();
            socket.uncork();
            socket.set_timeout(Duration::from_nanos(1_500_001));
            socket.set_timeout(Duration::ZERO);
            assert_eq!(socket.timeout(), Some(Duration::ZERO));
            socket.set_timeout(IDLE);
            assert_eq!(socket.timeout(), Some(IDLE));
            assert!(socket.remote_address().is_some());
        });
        crowd.assert_as_small_as(idle);
        crowd.part();
    });
}
