//! The steady state of an echo allocates nothing: the server of `examples/echo.rs`, counted on its own thread only.
//!
//! May touch: the public API and the process's allocator. Invariant: what is counted happens between two messages of the
//! same connections, long after the first ones.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use halfclose::EventLoop;
use halfclose::net::{self, Chunk, ConnectOptions, Encoding, ServerOptions, Socket};
use support::{RawPeer, loopback, port_of};

/// Messages before the count starts: everything that is allocated on first use has been used by then.
const WARM_UP: usize = 200;

/// Messages that are counted.
const COUNTED: usize = 2_000;

/// An echo's usual idle timeout.
const IDLE: Duration = Duration::from_secs(60);

thread_local! {
    /// The allocations of this thread; those of the peers' threads and of other tests do not count.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts the allocations of each thread.
struct CountingAllocator;

fn count() {
    // A thread that is ending has no counter any more, and nobody reads it.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

fn allocations() -> usize {
    ALLOCATIONS.with(Cell::get)
}

// SAFETY: every call goes to the system's allocator as it came; the count is bookkeeping beside it, and neither
// allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What the loop's thread had allocated when the count began and when it ended.
#[derive(Default)]
struct Window {
    messages: Cell<usize>,
    begin: Cell<usize>,
    end: Cell<usize>,
}

impl Window {
    /// Counts one message; to be called with every one.
    fn pass(&self, warm_up: usize, counted: usize) {
        let messages = self.messages.get() + 1;
        self.messages.set(messages);
        if messages == warm_up {
            self.begin.set(allocations());
        }
        if messages == warm_up + counted {
            self.end.set(allocations());
        }
    }
}

/// The listeners of the echo, as the example has them.
fn echo(socket: Socket) {
    socket.on_data(|socket, bytes| {
        if !socket.write(bytes) {
            socket.pause();
        }
    });
    socket.on_drain(|socket| {
        socket.resume();
    });
    socket.set_timeout(IDLE);
    socket.on_timeout(|socket| {
        socket.destroy();
    });
    socket.on_error(|_, _| {});
}

/// Echoes `length` bytes at a time for `peers` peers that take turns, and gives the allocations per counted window.
fn allocations_of_an_echo(event_loop: &mut EventLoop, peers: usize, length: usize) -> usize {
    let window = Rc::new(Window::default());
    let seen = window.clone();
    let open = Rc::new(Cell::new(peers));
    let server = net::create_server_with(ServerOptions::new().no_delay(true), move |socket| {
        echo(socket);
        let window = seen.clone();
        // Long messages come in several pieces; the window is as long in pieces then, and ends within the exchange.
        socket.on_data(move |_, _| window.pass(WARM_UP, COUNTED));
        let open = open.clone();
        socket.on_close(move |socket, _| {
            open.set(open.get() - 1);
            if open.get() == 0 {
                socket.server().expect("the accepting server").close();
            }
        });
    });
    let running = Rc::new(Cell::new(None));
    let started = running.clone();
    server.once_listening(move |server| {
        let address = loopback(port_of(server));
        started.set(Some(support::in_thread(move || take_turns(address, peers, length))));
    });
    server.listen(("127.0.0.1", 0)).expect("listen");
    event_loop.run().expect("no unhandled error");
    server.release();
    running.take().expect("the server listened").join();
    assert!(window.messages.get() >= WARM_UP + COUNTED, "the window has ended");
    window.end.get() - window.begin.get()
}

/// The peers' part: connect, and send and receive in turn.
fn take_turns(address: SocketAddr, peers: usize, length: usize) {
    let sent = vec![1; length];
    let mut peers: Vec<RawPeer> = (0..peers).map(|_| RawPeer::connect(address)).collect();
    for round in 0..WARM_UP + COUNTED {
        let turn = round % peers.len();
        peers[turn].write(&sent);
        assert!(peers[turn].read_exact(length) == sent);
    }
}

/// The counter counts: without this, the tests below would pass with a broken one.
#[test]
fn the_counter_counts() {
    let before = allocations();
    let boxed = std::hint::black_box(Box::new(1_u64));
    assert_eq!(allocations(), before + 1);
    drop(boxed);
    let mut vector = Vec::with_capacity(1);
    vector.extend_from_slice(&[1_u8, 2, 3]);
    assert_eq!(std::hint::black_box(vector).len(), 3);
    assert_eq!(allocations(), before + 3);
}

/// One connection, one message after the other.
#[test]
fn an_echo_allocates_nothing_per_message() {
    support::test(|event_loop| assert_eq!(allocations_of_an_echo(event_loop, 1, 64), 0));
}

/// Many connections: nothing is allocated when another one takes its turn.
#[test]
fn an_echo_of_many_connections_allocates_nothing_per_message() {
    support::test(|event_loop| assert_eq!(allocations_of_an_echo(event_loop, 50, 64), 0));
}

/// Longer messages, still of a length that the kernel takes at once: what it refuses has to be kept somewhere.
#[test]
fn an_echo_of_long_messages_allocates_nothing_per_message() {
    support::test(|event_loop| assert_eq!(allocations_of_an_echo(event_loop, 1, 16_384), 0));
}

/// Both ends in the library: the client's side allocates nothing either.
#[test]
fn both_ends_of_an_echo_allocate_nothing_per_message() {
    support::test(|event_loop| {
        let window = Rc::new(Window::default());
        let server = net::create_server_with(ServerOptions::new().no_delay(true), echo);
        let seen = window.clone();
        server.once_listening(move |server| {
            let options = ConnectOptions::new().host("127.0.0.1").port(port_of(server));
            let client = net::connect(options.no_delay(true)).expect("connect");
            echo(client);
            client.once_ready(|client| {
                client.write("a message that goes back and forth");
            });
            client.on_data(move |client, _| {
                seen.pass(WARM_UP, COUNTED);
                if seen.messages.get() > WARM_UP + COUNTED {
                    client.destroy();
                    server.close();
                }
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(window.end.get() - window.begin.get(), 0);
        server.release();
    });
}

/// Eight short writes that go out together are kept in memory that the loop keeps for the next time.
#[test]
fn writes_that_are_held_back_allocate_nothing_per_message() {
    fn eight(socket: Socket, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            socket.write(part);
        }
    }
    fn corked(socket: Socket, bytes: &[u8]) {
        socket.cork();
        eight(socket, bytes);
        socket.uncork();
    }
    for (batch, message) in [(true, eight as fn(Socket, &[u8])), (false, corked), (true, corked)] {
        support::test(|event_loop| {
            let window = Rc::new(Window::default());
            let seen = window.clone();
            let server = net::create_server_with(ServerOptions::new().batch_writes(batch), move |socket| {
                let window = seen.clone();
                socket.on_data(move |socket, bytes| {
                    message(socket, bytes);
                    window.pass(WARM_UP, COUNTED);
                });
                socket.on_close(|socket, _| {
                    socket.server().expect("the accepting server").close();
                });
            });
            server.once_listening(move |server| {
                let address = loopback(port_of(server));
                support::in_thread(move || take_turns(address, 1, 64));
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
            event_loop.run().expect("no unhandled error");
            server.release();
            assert!(window.messages.get() >= WARM_UP + COUNTED, "the window has ended");
            assert_eq!(window.end.get() - window.begin.get(), 0);
        });
    }
}

/// Connections that end while output waits: what a burst left can be given back only if nothing is made at its end that lies
/// above it (`src/reactor/spares.rs`). What the closing phase needs is there after the first of them.
#[test]
fn connections_that_are_cut_short_allocate_nothing() {
    const CONNECTIONS: usize = 64;
    /// More than a unix socket takes (unix(7)), and never copied.
    static OUTPUT: [u8; 1 << 20] = [1; 1 << 20];
    support::test(|event_loop| {
        let path = std::env::temp_dir().join(format!("halfclose-allocations-{}.sock", std::process::id()));
        let window = Rc::new(Window::default());
        let seen = window.clone();
        let accepted = Cell::new(0);
        let (sender, receiver) = sync_channel(CONNECTIONS);
        let server = net::create_server(move |socket| {
            assert!(!socket.write(Chunk::from_static(&OUTPUT)));
            socket.resume();
            socket.on_error(|_, error| assert_eq!(error.message(), "read ECONNRESET"));
            let (window, sender) = (seen.clone(), sender.clone());
            socket.on_close(move |_, had_error| {
                assert!(had_error);
                window.pass(CONNECTIONS / 2, CONNECTIONS / 2);
                sender.send(()).expect("the peers wait");
            });
            accepted.set(accepted.get() + 1);
            if accepted.get() == CONNECTIONS {
                socket.server().expect("the accepting server").close();
            }
        });
        server.listen(path.as_path()).expect("listen");
        let peers = support::in_thread(move || {
            let peers: Vec<_> = (0..CONNECTIONS).map(|_| UnixStream::connect(&path).expect("connect")).collect();
            for mut peer in peers {
                // With the rest unread, it is a reset.
                peer.read_exact(&mut [0]).expect("a byte");
                drop(peer);
                receiver.recv_timeout(support::PEER_DEADLINE).expect("it is seen");
            }
        });
        event_loop.run().expect("no unhandled error");
        peers.join();
        server.release();
        assert_eq!(window.messages.get(), CONNECTIONS);
        assert_eq!(window.end.get() - window.begin.get(), 0);
    });
}

/// Text that is sent as it is costs what bytes cost: UTF-8, and ASCII in `Latin1`, as the default or its own.
#[test]
fn text_that_needs_no_change_allocates_nothing() {
    const TEXT: &str = "a message that goes back and forth";
    support::test(|event_loop| {
        let window = Rc::new(Window::default());
        let server = net::create_server_with(ServerOptions::new().no_delay(true), echo);
        let seen = window.clone();
        server.once_listening(move |server| {
            let options = ConnectOptions::new().host("127.0.0.1").port(port_of(server));
            let client = net::connect(options.no_delay(true)).expect("connect");
            client.once_ready(|client| {
                client.write(TEXT);
            });
            client.on_data(move |client, _| {
                seen.pass(WARM_UP, COUNTED);
                let messages = seen.messages.get();
                if messages > WARM_UP + COUNTED {
                    client.destroy();
                    server.close();
                } else if messages % 2 == 0 {
                    client.set_default_encoding([Encoding::Utf8, Encoding::Latin1][messages / 2 % 2]);
                    client.write(TEXT);
                } else {
                    client.write(Chunk::encoded(TEXT, Encoding::Latin1));
                }
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(window.end.get() - window.begin.get(), 0);
        server.release();
    });
}

/// `next_tick` and `set_immediate` need a place for each closure that captures something, and nothing else: the loop's
/// own bookkeeping for them is reused.
#[test]
fn ticks_and_immediates_allocate_only_their_closures() {
    fn again(window: &'static Window) {
        window.pass(WARM_UP, COUNTED);
        if window.messages.get() <= WARM_UP + COUNTED {
            // One reference: the closures are one word each.
            halfclose::next_tick(move || {
                halfclose::set_immediate(move || again(window));
            });
        }
    }
    support::test(|event_loop| {
        let window = support::kept(Window::default());
        again(window);
        event_loop.run().expect("no unhandled error");
        let per_round = (window.end.get() - window.begin.get()) as f64 / COUNTED as f64;
        assert!(per_round <= 2.0, "{per_round} allocations for two closures");
    });
}
