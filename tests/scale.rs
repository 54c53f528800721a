//! Five thousand connections at once, a hundred echoed messages on each: nothing is lost, and afterwards the loop's
//! slots, the process's descriptors and the heap are where they were.
//!
//! May touch: the public API, the process's limit of descriptors and its allocator. Invariant: one test only, because
//! all three measures are of the whole process.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use halfclose::EventLoop;
use halfclose::net::{self, ListenOptions, ServerOptions};

/// The connections of a full run.
const CONNECTIONS: usize = 5_000;

/// The messages on each connection.
const MESSAGES: u32 = 100;

/// A connection is two descriptors here, because the peers live in the same process.
const DESCRIPTORS_EACH: usize = 2;

/// For the loop, std's streams and the test harness.
const DESCRIPTORS_ELSE: usize = 100;

/// The peers connect in groups and wait until a group was accepted: more at once would overflow the accept queue, and
/// the kernel would let them wait for a second. Half of the default backlog.
const GROUP: usize = 256;

/// What other threads of the test harness may allocate meanwhile, in bytes: a fraction of a byte for each connection, so
/// that nothing which is kept for every one of them fits in.
const HARNESS: usize = CONNECTIONS / 2;

/// A connection number and a round: enough to tell every message from every other.
const MESSAGE_LENGTH: usize = 8;

/// Counts the bytes that are allocated, in the whole process.
struct CountingAllocator;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came; the count is bookkeeping beside it.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATED.fetch_add(size, Ordering::Relaxed);
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn allocated() -> usize {
    ALLOCATED.load(Ordering::Relaxed)
}

/// How many crowds may come until one adds nothing to the heap. The queues of a turn have room for the most that were ever
/// ready at once, which is a matter of timing: one crowd may need more than the one before. What is lost is lost each time.
const MOST_CROWDS: usize = 5;

#[track_caller]
fn assert_no_growth(before: usize, what: &str) {
    let growth = allocated().saturating_sub(before);
    assert!(growth <= HARNESS, "{what} left {growth} bytes on the heap");
}

/// What one peer sends in one round.
fn message(connection: usize, round: u32) -> [u8; MESSAGE_LENGTH] {
    let mut message = [0; MESSAGE_LENGTH];
    message[..4].copy_from_slice(&u32::try_from(connection).expect("a small number").to_le_bytes());
    message[4..].copy_from_slice(&round.to_le_bytes());
    message
}

/// Sends a message on `stream` and no more than that.
fn send(mut stream: &TcpStream, connection: usize, round: u32) {
    stream.write_all(&message(connection, round)).expect("written in time");
}

/// Checks that the next bytes on `stream` are the echo of that message.
fn receive(mut stream: &TcpStream, connection: usize, round: u32) {
    let mut echo = [0; MESSAGE_LENGTH];
    stream.read_exact(&mut echo).expect("an echo in time");
    assert_eq!(echo, message(connection, round), "connection {connection}, round {round}");
}

/// The peers: all connections at once, and on each of them one message after the other.
fn exchange(address: SocketAddr, connections: usize, rounds: u32) {
    let mut streams = Vec::with_capacity(connections);
    for connection in 0..connections {
        let stream = TcpStream::connect_timeout(&address, support::PEER_DEADLINE).expect("a connection in time");
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(support::PEER_DEADLINE)).expect("a read timeout");
        stream.set_write_timeout(Some(support::PEER_DEADLINE)).expect("a write timeout");
        if connection % GROUP == GROUP - 1 {
            // Connections are accepted in their order, so this echo is the last one's of its group.
            send(&stream, connection, rounds);
            receive(&stream, connection, rounds);
        }
        streams.push(stream);
    }
    for round in 0..rounds {
        for (connection, stream) in streams.iter().enumerate() {
            send(stream, connection, round);
        }
        for (connection, stream) in streams.iter().enumerate() {
            receive(stream, connection, round);
        }
    }
    for (connection, stream) in streams.iter().enumerate() {
        stream.shutdown(std::net::Shutdown::Write).expect("shutdown");
        let mut rest = Vec::new();
        let mut stream = stream;
        stream.read_to_end(&mut rest).expect("a clean end");
        assert!(rest.is_empty(), "connection {connection} got more than its echoes");
    }
}

/// What the server counts.
#[derive(Default)]
struct Counts {
    open: Cell<usize>,
    most_open: Cell<usize>,
    closed: Cell<usize>,
    errors: Cell<usize>,
    bytes: Cell<u64>,
}

/// Serves one exchange with `connections` peers and gives what was counted.
fn serve(event_loop: &mut EventLoop, connections: usize, rounds: u32) -> Rc<Counts> {
    let counts = Rc::new(Counts::default());
    let seen = counts.clone();
    let server = net::create_server_with(ServerOptions::new().no_delay(true), move |socket| {
        seen.open.set(seen.open.get() + 1);
        seen.most_open.set(seen.most_open.get().max(seen.open.get()));
        socket.on_data(|socket, bytes| {
            if !socket.write(bytes) {
                socket.pause();
            }
        });
        socket.on_drain(|socket| {
            socket.resume();
        });
        let counts = seen.clone();
        socket.on_error(move |_, _| counts.errors.set(counts.errors.get() + 1));
        let counts = seen.clone();
        socket.on_close(move |socket, had_error| {
            assert!(!had_error);
            counts.open.set(counts.open.get() - 1);
            counts.closed.set(counts.closed.get() + 1);
            counts.bytes.set(counts.bytes.get() + socket.bytes_read());
            assert_eq!(socket.bytes_read(), socket.bytes_written());
            if counts.closed.get() == connections {
                socket.server().expect("the accepting server").close();
            }
        });
    });
    let peers = Rc::new(Cell::new(None));
    let started = peers.clone();
    server.once_listening(move |server| {
        let address = server.address().expect("an address");
        started.set(Some(std::thread::spawn(move || exchange(address, connections, rounds))));
    });
    server.listen(ListenOptions::new().port(0).host("127.0.0.1")).expect("listen");
    event_loop.run().expect("no unhandled error");
    server.release();
    // Joined for good, so that nothing of the thread is left on the heap; the loop has ended, and so has the exchange.
    peers.take().expect("the server listened").join().expect("the peers got their echoes");
    counts
}

/// The bytes that a run echoes: one message a round, and one more on the last connection of each full group.
fn expected_bytes(connections: usize, rounds: u32) -> u64 {
    let messages = connections as u64 * u64::from(rounds) + (connections / GROUP) as u64;
    messages * MESSAGE_LENGTH as u64
}

/// Laws 3 and 4, the table of lifetimes.
#[test]
fn five_thousand_connections_leave_nothing_behind() {
    let limit = support::raise_descriptor_limit(CONNECTIONS * DESCRIPTORS_EACH + DESCRIPTORS_ELSE);
    let connections = CONNECTIONS.min((limit - DESCRIPTORS_ELSE) / DESCRIPTORS_EACH);
    if connections < CONNECTIONS {
        println!("scaled down: {connections} connections instead of {CONNECTIONS}");
    }
    // The stated 20 seconds are for the debug build on two cores; this only ends a test that hangs.
    support::within(Duration::from_secs(60), || {
        // Whatever std and the harness allocate once (thread-locals, buffers) is allocated here.
        let mut event_loop = EventLoop::new().expect("a loop");
        serve(&mut event_loop, 1, 1);
        drop(event_loop);

        let (heap_at_first, descriptors_at_first) = (allocated(), support::open_descriptors());
        let mut event_loop = EventLoop::new().expect("a loop");
        let descriptors_of_the_loop = support::open_descriptors();

        let counts = serve(&mut event_loop, connections, MESSAGES);
        assert_eq!(counts.most_open.get(), connections, "all at once");
        assert_eq!((counts.open.get(), counts.closed.get(), counts.errors.get()), (0, connections, 0));
        assert_eq!(counts.bytes.get(), expected_bytes(connections, MESSAGES));
        assert_eq!(Rc::strong_count(&counts), 1, "what the listeners captured went with their slots");
        drop(counts);
        assert_eq!((event_loop.connections(), event_loop.servers(), event_loop.timers()), (0, 0, 0));
        assert_eq!(support::open_descriptors(), descriptors_of_the_loop);

        // The loop may keep what it reserved for so many connections, but a later crowd finds it and adds nothing.
        let adds_nothing = (0..MOST_CROWDS).any(|_| {
            let heap_before = allocated();
            drop(serve(&mut event_loop, connections, 1));
            assert_eq!((event_loop.connections(), event_loop.servers(), event_loop.timers()), (0, 0, 0));
            assert_eq!(support::open_descriptors(), descriptors_of_the_loop);
            allocated().saturating_sub(heap_before) <= HARNESS
        });
        assert!(adds_nothing, "each crowd leaves more on the heap");

        drop(event_loop);
        assert_eq!(support::open_descriptors(), descriptors_at_first);
        assert_no_growth(heap_at_first, "a loop that is gone");
    });
}
