//! Connects to names, with a resolver that answers when a test lets it. (It is set where users cannot reach.)

use std::cell::{Cell, RefCell};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::event_loop::lookup::{Addresses, MAX_THREADS, Query, Resolver};
use crate::event_loop::{EventLoop, EventLoopOptions, current};
use crate::net::{self, ListenOptions, Socket};

/// How long a test waits for another thread; only has to be longer than a slow machine's bad moment.
const PATIENCE: Duration = Duration::from_secs(20);

/// A resolver that hangs until it is let go, and then knows every name; and the names it was asked for.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    asked: Mutex<Vec<String>>,
}

impl Gate {
    fn install(timeout: Duration) -> (EventLoop, Arc<Gate>) {
        let event_loop = EventLoop::with_options(EventLoopOptions::new().lookup_timeout(timeout)).unwrap();
        let gate = Arc::<Gate>::default();
        current::with(|core| core.lookups.set_resolver(gate.clone()));
        (event_loop, gate)
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until so many questions were taken by a thread.
    fn wait_for(&self, count: usize) {
        let began = Instant::now();
        while self.asked().len() < count {
            assert!(began.elapsed() < PATIENCE);
            thread::yield_now();
        }
    }
}

impl Resolver for Gate {
    fn resolve(&self, query: &Query) -> Addresses {
        self.asked.lock().unwrap().push(query.host.clone());
        let open = self.open.lock().unwrap();
        let (open, waited) = self.opened.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap();
        assert!(*open && !waited.timed_out());
        Ok(vec![(Ipv4Addr::LOCALHOST, 0).into()])
    }
}

/// Lets a thread go however the test ends.
struct Opens(Arc<Gate>);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// A socket that connects to a name, and counts its lookups; it goes no further.
fn look_up(host: &str, count: &Rc<Cell<usize>>) -> Socket {
    let socket = net::connect((host, 1)).unwrap();
    let count = count.clone();
    socket.on_lookup(move |socket, lookup| {
        assert!(lookup.error().is_none());
        count.set(count.get() + 1);
        socket.destroy();
    });
    socket
}

#[test]
fn equal_names_are_asked_for_once() {
    let (mut event_loop, gate) = Gate::install(PATIENCE);
    let count = Rc::default();
    for _ in 0..3 {
        look_up("same", &count);
    }
    look_up("other", &count);
    gate.wait_for(2);
    gate.open();
    event_loop.run().unwrap();
    let mut asked = gate.asked();
    asked.sort();
    assert_eq!(asked, ["other", "same"]);
    assert_eq!(count.get(), 4);
    assert_eq!((event_loop.timers(), event_loop.connections()), (0, 0));
}

#[test]
fn whoever_is_destroyed_leaves_the_queue_and_the_loop() {
    let (mut event_loop, gate) = Gate::install(PATIENCE);
    let _opens = Opens(gate.clone());
    let count = Rc::default();
    let busy: Vec<Socket> = (0..MAX_THREADS).map(|index| look_up(&format!("busy{index}"), &count)).collect();
    gate.wait_for(MAX_THREADS);
    let waiting: Vec<Socket> = (0..100).map(|index| look_up(&format!("waiting{index}"), &count)).collect();
    for socket in busy.iter().chain(&waiting) {
        socket.destroy();
    }
    // Although four threads hang still: nobody waits for them.
    event_loop.run().unwrap();
    assert_eq!(current::with(|core| core.lookups.counts()), Some((0, MAX_THREADS, 0)));
    // Who asks for the same name meanwhile gets that answer.
    look_up("busy0", &count);
    gate.open();
    event_loop.run().unwrap();
    assert_eq!(gate.asked().len(), MAX_THREADS);
    assert_eq!(count.get(), 1);
}

#[test]
fn a_resolver_that_hangs_keeps_nobody_waiting_for_longer_than_the_deadline() {
    let timeout = Duration::from_millis(20);
    let (mut event_loop, gate) = Gate::install(timeout);
    let _opens = Opens(gate.clone());
    let began = Instant::now();
    let events = Rc::new(RefCell::new(Vec::new()));
    // More than there are threads, so that one of them is never asked for.
    for index in 0..=MAX_THREADS {
        let socket = net::connect((format!("name{index}"), 1)).unwrap();
        let log = events.clone();
        socket.on_lookup(move |_, lookup| {
            let error = lookup.error().expect("nobody answers");
            log.borrow_mut().push(error.message().to_owned());
        });
        let log = events.clone();
        socket.on_error(move |_, error| log.borrow_mut().push(error.code().unwrap_or_default().to_owned()));
    }
    event_loop.run().unwrap();
    assert!(began.elapsed() >= timeout);
    let expected: Vec<String> = (0..=MAX_THREADS)
        .flat_map(|index| [format!("getaddrinfo EAI_AGAIN name{index}"), "EAI_AGAIN".to_owned()])
        .collect();
    assert_eq!(*events.borrow(), expected);
    assert_eq!((event_loop.timers(), event_loop.connections()), (0, 0));
}

#[test]
fn a_loop_ends_while_its_resolver_hangs() {
    let (event_loop, gate) = Gate::install(PATIENCE);
    look_up("name", &Rc::default());
    gate.wait_for(1);
    drop(event_loop);
    gate.open();
}

#[test]
fn a_server_is_told_too() {
    let (mut event_loop, gate) = Gate::install(Duration::from_millis(5));
    let _opens = Opens(gate.clone());
    let server = net::create_server(|_| {});
    let (sender, errors) = mpsc::channel();
    server.on_error(move |_, error| sender.send(error.message().to_owned()).unwrap());
    server.listen(("name", 0)).unwrap();
    event_loop.run().unwrap();
    assert_eq!(errors.try_iter().collect::<Vec<_>>(), ["getaddrinfo EAI_AGAIN name"]);
}

/// The promise behind the pool: whatever the resolver does, the connections that are there go on.
#[test]
fn a_thousand_connections_echo_while_the_resolver_hangs() {
    // Two descriptors each. Where the process may not have so many, as many as it may.
    const CONNECTIONS: usize = 1000;
    const ROUNDS: usize = 3;
    let pairs = raised_limit().saturating_sub(200).min(CONNECTIONS * 2) / 2;
    let (mut event_loop, gate) = Gate::install(PATIENCE);
    let _opens = Opens(gate.clone());
    let server = net::create_server(|socket| {
        socket.on_data(|socket, bytes| {
            socket.write(bytes);
        });
    });
    let echoes = Rc::new(Cell::new(0));
    let (counted, hanging) = (echoes.clone(), gate.clone());
    server.on_listening(move |server| {
        let address = server.address().unwrap();
        let stuck: Vec<Socket> =
            (0..2 * MAX_THREADS).map(|index| look_up(&format!("{index}"), &Rc::default())).collect();
        hanging.wait_for(MAX_THREADS);
        let closed = Rc::new(Cell::new(0));
        for _ in 0..pairs {
            let client = net::connect(address).unwrap();
            client.write("x");
            let (counted, mut rounds) = (counted.clone(), 0);
            client.on_data(move |client, bytes| {
                assert_eq!(bytes, b"x");
                counted.set(counted.get() + 1);
                rounds += 1;
                if rounds == ROUNDS {
                    client.end();
                } else {
                    client.write("x");
                }
            });
            let (closed, stuck) = (closed.clone(), stuck.clone());
            client.on_close(move |_, _| {
                closed.set(closed.get() + 1);
                if closed.get() == pairs {
                    server.close();
                    for socket in &stuck {
                        assert!(socket.connecting());
                        socket.destroy();
                    }
                }
            });
        }
    });
    // They come all at once, and with less room than that the kernel may give up on some before they are accepted.
    server.listen(ListenOptions::new().host("127.0.0.1").port(0).backlog(CONNECTIONS as u32)).unwrap();
    event_loop.run().unwrap();
    assert_eq!(echoes.get(), pairs * ROUNDS);
    assert_eq!(gate.asked().len(), MAX_THREADS);
}

/// How many descriptors this process may have: those of `ulimit`, as far as the shell can raise them for us it has.
fn raised_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)).and_then(|soft| soft.parse().ok());
    soft.unwrap_or(1024)
}
