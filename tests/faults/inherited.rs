//! What other processes get of ours (FM38, SP12): nothing where they are started in the ordinary way; and where a fork
//! keeps a descriptor of ours open, no event of it reaches anybody.
//!
//! May touch: forks and the signals of this process, in processes of their own. Invariant: a forked child does nothing but
//! wait, and is ended by the test that made it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use halfclose::net::{self, ServerOptions};

use crate::support::{self, Log, RawPeer, loopback, port_of, watch_data_bytes, watch_socket};
use crate::{children, kernel};

/// A copy of this process that waits, with all descriptors that were open; it ends with this.
struct Fork {
    process: libc::pid_t,
}

impl Fork {
    fn new() -> Fork {
        // SAFETY: the child calls nothing but functions that are safe after a fork of a process with threads
        // (signal-safety(7)), and never returns.
        let process = unsafe { libc::fork() };
        if process == 0 {
            loop {
                // SAFETY: no argument. It waits for the signal that ends this process.
                unsafe { libc::pause() };
            }
        }
        assert!(process > 0, "fork");
        Fork { process }
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        // SAFETY: the process is our child and was not waited for yet, so its number is its own.
        unsafe {
            libc::kill(self.process, libc::SIGKILL);
            libc::waitpid(self.process, std::ptr::null_mut(), 0);
        }
    }
}

/// FM38: a connection that we close while a fork has its descriptor lives on for the kernel, which goes on reporting it. No
/// report reaches anybody, least of all the connection that has the slot and the number by then.
#[test]
fn fm38_a_fork_keeps_a_descriptor() {
    children::alone("inherited::a_fork_keeps_a_descriptor");
}

#[test]
#[ignore = "forks: run by the test above"]
fn a_fork_keeps_a_descriptor() {
    const PHANTOMS: u64 = 20;
    support::test(|event_loop| {
        let log = Log::new();
        let fork: Rc<Cell<Option<Fork>>> = Rc::default();
        let forked = fork.clone();
        let turns = Rc::new(Cell::new(0));
        let counted = turns.clone();
        let handle = event_loop.handle();
        let mut number = 0;
        let server = net::create_server_with(ServerOptions::new(), move |socket| {
            number += 1;
            let name = format!("S{number}");
            watch_socket(&log, &name, socket);
            watch_data_bytes(&log, &name, socket);
            let server = socket.server().expect("the accepting server");
            let (address, handle, turns) = (loopback(port_of(server)), handle.clone(), turns.clone());
            if number == 1 {
                forked.set(Some(Fork::new()));
                // The kernel closes it for the peer when the last descriptor goes; that is the fork's.
                socket.on_close(move |_, _| {
                    turns.set(halfclose::position().expect("a callback").turn);
                    let handle = handle.clone();
                    // The second connection, and then input and an end for the first.
                    let posted = handle.clone().post(move || {
                        let handle = handle.clone();
                        support::in_thread(move || {
                            let mut newcomer = RawPeer::connect(address);
                            newcomer.write(b"ready?");
                            assert_eq!(newcomer.read_exact(3), b"yes");
                            let posted = handle.post(|| {
                                FIRST.with(|first| {
                                    let mut peer = first.take().expect("the first peer");
                                    for _ in 0..PHANTOMS {
                                        peer.write(b"phantom");
                                    }
                                    peer.half_close();
                                    first.set(Some(peer));
                                })
                            });
                            assert!(posted.is_ok());
                            newcomer.write(b"done");
                            newcomer.half_close();
                            assert_eq!(newcomer.drain(), (0, None));
                        });
                    });
                    assert!(posted.is_ok());
                });
                socket.destroy();
            } else {
                socket.once_data(move |socket, _| {
                    socket.write("yes");
                });
                server.close();
            }
        });
        server.once_listening(|server| {
            FIRST.with(|first| first.set(Some(RawPeer::connect(loopback(port_of(server))))));
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        server.on_close(move |_| {
            let turns = halfclose::position().expect("a callback").turn - counted.get();
            children::tell(format!("{turns} turns"));
            // Each report wakes the loop at most once; the rest is the second connection's.
            assert!(turns < PHANTOMS * 2 + 20, "{turns} turns");
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("S1", "close(false)");
        assert_eq!(log.texts_of("S2"), ["data(ready?done)", "end", "finish", "close(false)"]);
        assert_eq!(event_loop.connections(), 0);

        // With the fork goes the connection: what nobody read makes that a reset.
        drop(fork.take());
        let mut peer = FIRST.with(Cell::take).expect("the first peer");
        assert_eq!(peer.drain(), (0, Some(ErrorKind::ConnectionReset)));
    });
}

thread_local! {
    /// The first peer, for a closure that other threads hand over.
    static FIRST: Cell<Option<RawPeer>> = const { Cell::new(None) };
}

/// The descriptors of this process.
fn numbers() -> BTreeSet<i32> {
    let names = std::fs::read_dir("/proc/self/fd").expect("the list of descriptors");
    let mut numbers: BTreeSet<i32> = names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    // SAFETY: F_GETFD takes no pointer, and fails for a number that is not open: by now the listing's own.
    numbers.retain(|&number| unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 });
    numbers
}

/// What is done at which signal, as the kernel tells it: blocked, ignored, caught.
fn signals() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("the status of this thread");
    let lines = status.lines().filter(|line| ["SigBlk", "SigIgn", "SigCgt"].iter().any(|name| line.starts_with(name)));
    lines.map(str::to_owned).collect()
}

/// SP12: every descriptor that is opened is closed in programs that this process starts, every socket is non-blocking, and
/// no signal is handled, ignored or blocked.
#[test]
fn sp12_descriptors_and_signals() {
    children::alone("inherited::descriptors_and_signals");
}

#[test]
#[ignore = "looks at all descriptors of the process: run by the test above"]
fn descriptors_and_signals() {
    support::within(support::DEADLINE, || {
        let (before, signals_before) = (numbers(), signals());
        let mut event_loop = halfclose::EventLoop::new().expect("a loop");
        let _handle = event_loop.handle();
        let looked = Rc::new(Cell::new(0));
        let seen = looked.clone();
        let path = std::env::temp_dir().join(format!("halfclose-sp12-{}", std::process::id()));
        let look = move || {
            let opened: Vec<i32> = numbers().difference(&before).copied().collect();
            for &number in &opened {
                // SAFETY: it was open a moment ago, and nothing else of this process closes it.
                let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
                assert!(kernel::closes_on_exec(descriptor), "{number}");
                let socket = socket2::SockRef::from(&descriptor);
                if socket.r#type().is_ok() {
                    assert!(socket.nonblocking().expect("F_GETFL"), "{number}");
                }
            }
            assert_eq!(signals(), signals_before);
            seen.set(opened.len());
        };
        let both = Rc::new(Cell::new(0));
        let mut look = Some(look);
        let server = net::create_server(|socket| {
            socket.resume();
        });
        let other = net::create_server(|socket| {
            socket.resume();
        });
        let mut connected = move |client: net::Socket| {
            both.set(both.get() + 1);
            if both.get() == 2 {
                // By the next turn the servers have accepted.
                let look = look.take().expect("once");
                halfclose::set_timeout(std::time::Duration::from_millis(5), move || {
                    look();
                    halfclose::stop();
                });
            }
            client.resume();
        };
        let listening = Rc::new(std::cell::RefCell::new(move |client: net::Socket| connected(client)));
        let again = listening.clone();
        server.listen(("127.0.0.1", 0)).expect("listen");
        server.once_listening(move |server| {
            let client = net::connect(server.address().expect("an address")).expect("connect");
            client.on_connect(move |client| listening.borrow_mut()(client));
        });
        other.listen(path.as_path()).expect("listen");
        other.once_listening(move |server| {
            let client = net::connect(server.path().expect("a path").as_path()).expect("connect");
            client.on_connect(move |client| again.borrow_mut()(client));
        });
        event_loop.run().expect("no unhandled error");
        drop(event_loop);
        // The poller, its waker, the reserve, two acceptors, two clients and two accepted sockets.
        assert!(looked.get() >= 8, "{}", looked.get());
    });
}
