//! `EventLoopOptions::receive_timestamps`: how long bytes waited in the kernel until the loop came to read them.
//!
//! Linux only: no other system stamps what streams receive. May touch: the public API and peers of std. Invariant: a wait is
//! compared with what the test itself kept the loop busy for.

#![cfg(target_os = "linux")]

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use halfclose::net::{self, Server, Socket, SocketOptions};
use halfclose::{EventLoop, EventLoopOptions, Histogram};
use support::{DEADLINE, RawListener, RawPeer, busy, loopback, port_of, within};

/// For how long the loop does something else while bytes wait.
const BUSY: Duration = Duration::from_millis(10);

/// The kernel begins to stamp for the whole system a moment after the first socket asked for it: by far more rounds than
/// that takes.
const MOST_ROUNDS: usize = 100;

fn stamping(body: impl FnOnce(&mut EventLoop)) {
    within(DEADLINE, || {
        let options = EventLoopOptions::new().receive_timestamps(true);
        body(&mut EventLoop::with_options(options).expect("a loop"));
    });
}

/// The peer sends a byte and the loop is busy, again and again, until a read comes with a time: then the peer closes.
fn until_a_wait_is_told(socket: Socket, mut peer: RawPeer) -> Rc<RefCell<Vec<Option<Duration>>>> {
    let waits: Rc<RefCell<Vec<Option<Duration>>>> = Rc::default();
    let told = waits.clone();
    let mut began = Instant::now();
    peer.write(b"x");
    busy(BUSY);
    let mut peer = Some(peer);
    socket.on_data(move |socket, bytes| {
        assert_eq!(bytes, b"x");
        let wait = socket.receive_wait();
        assert!(wait.is_none_or(|wait| wait <= began.elapsed()), "{wait:?}");
        told.borrow_mut().push(wait);
        let rounds = told.borrow().len();
        match &mut peer {
            Some(peer) if wait.is_none() && rounds < MOST_ROUNDS => {
                began = Instant::now();
                peer.write(b"x");
                busy(BUSY);
            }
            _ => peer = None,
        }
    });
    waits
}

/// The last wait is told, and is as long as the loop was busy; the statistics have it.
#[track_caller]
fn assert_told(event_loop: &EventLoop, waits: &[Option<Duration>]) {
    let last = waits.last().copied().flatten();
    assert!(last.is_some_and(|last| last >= BUSY), "{waits:?}");
    let all = event_loop.stats().receive_waits;
    assert_eq!(all.count(), 1, "{all:?}");
    assert_eq!(Some(all.longest), last);
}

#[test]
fn of_a_socket_that_connected() {
    stamping(|event_loop| {
        let raw = RawListener::bind();
        let client = net::connect(raw.address()).expect("connect");
        let waits = Rc::new(RefCell::new(None));
        let watched = waits.clone();
        client.once_connect(move |client| {
            *watched.borrow_mut() = Some(until_a_wait_is_told(client, raw.accept()));
        });
        event_loop.run().expect("run");
        let waits = waits.take().expect("connected");
        assert_told(event_loop, &waits.borrow());
    });
}

#[test]
fn of_a_socket_that_was_accepted() {
    stamping(|event_loop| {
        let server = Server::new();
        let peer = Rc::new(RefCell::new(None));
        let connecting = peer.clone();
        let waits = Rc::new(RefCell::new(None));
        let watched = waits.clone();
        server.on_connection(move |server, socket| {
            server.close();
            *watched.borrow_mut() = Some(until_a_wait_is_told(socket, peer.take().expect("it connected")));
        });
        server
            .listen_with(("127.0.0.1", 0), move |server| {
                *connecting.borrow_mut() = Some(RawPeer::connect(loopback(port_of(server))));
            })
            .expect("listen");
        event_loop.run().expect("run");
        let waits = waits.take().expect("accepted");
        assert_told(event_loop, &waits.borrow());
    });
}

/// A socket that was opened elsewhere, and one that reads into a buffer of its own, too.
#[test]
fn of_a_socket_that_was_adopted() {
    stamping(|event_loop| {
        let raw = RawListener::bind();
        let stream = std::net::TcpStream::connect(raw.address()).expect("connect");
        let socket = Socket::from_std(stream).expect("adopted");
        let waits = until_a_wait_is_told(socket, raw.accept());
        event_loop.run().expect("run");
        assert_told(event_loop, &waits.borrow());
        assert_eq!(waits.borrow()[0], None, "nobody had asked for the first");
    });
}

/// What is read otherwise has a time as well, and what is read of somebody else is no longer the latest.
#[test]
fn of_a_buffer_of_the_users_own() {
    stamping(|event_loop| {
        let raw = RawListener::bind();
        let address = raw.address();
        let socket = Socket::new();
        let waits: Rc<RefCell<Vec<Option<Duration>>>> = Rc::default();
        let told = waits.clone();
        let peer: Rc<RefCell<Option<RawPeer>>> = Rc::default();
        let sender = peer.clone();
        socket.on_read(vec![0; 8], move |socket, _| {
            told.borrow_mut().push(socket.receive_wait());
            let over = socket.receive_wait().is_some() || told.borrow().len() == MOST_ROUNDS;
            if over {
                sender.take();
            } else if let Some(sender) = sender.borrow_mut().as_mut() {
                sender.write(b"x");
                busy(BUSY);
            }
            true
        });
        socket.once_connect(move |_| {
            let mut accepted = raw.accept();
            accepted.write(b"x");
            busy(BUSY);
            *peer.borrow_mut() = Some(accepted);
        });
        socket.connect(address).expect("connect");
        event_loop.run().expect("run");
        assert_told(event_loop, &waits.borrow());
    });
}

/// Without the option nothing is told, and of unix sockets nothing can be.
#[test]
fn where_there_is_none() {
    support::test(|event_loop| {
        let raw = RawListener::bind();
        let client = net::connect(raw.address()).expect("connect");
        let waits: Rc<RefCell<Vec<Option<Duration>>>> = Rc::default();
        let told = waits.clone();
        client.on_data(move |client, _| told.borrow_mut().push(client.receive_wait()));
        client.once_connect(move |_| raw.accept().write(b"x"));
        event_loop.run().expect("run");
        assert_eq!(*waits.borrow(), [None]);
        assert_eq!(event_loop.stats().receive_waits, Histogram::default());
    });
    stamping(|event_loop| {
        let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let socket = Socket::with_options(SocketOptions::new().fd(near).expect("a unix socket"));
        let waits: Rc<RefCell<Vec<Option<Duration>>>> = Rc::default();
        let told = waits.clone();
        socket.on_data(move |socket, _| told.borrow_mut().push(socket.receive_wait()));
        std::io::Write::write_all(&mut far, b"x").expect("room");
        drop(far);
        event_loop.run().expect("run");
        assert_eq!(*waits.borrow(), [None]);
    });
}
