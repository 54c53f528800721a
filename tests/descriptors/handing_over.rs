//! An accepted connection that goes to another thread's loop: `into_std`, `LoopHandle::post`, `from_std`.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use halfclose::net::{Server, ServerOptions, Socket, SocketOptions};
use halfclose::{EventLoop, KeepAlive, LoopHandle};

use crate::support;

thread_local! {
    /// What keeps a worker's loop alive while it has nothing to do.
    static GUARD: Cell<Option<KeepAlive>> = const { Cell::new(None) };
}

/// On a worker's thread: its loop ends with the last of its connections.
fn let_go() {
    drop(GUARD.take());
}

/// A thread whose loop serves what it is handed, until it is told to let go. Returns how many sockets are left in it.
fn worker() -> (LoopHandle, JoinHandle<usize>) {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut event_loop = EventLoop::new().expect("a loop");
        GUARD.set(Some(event_loop.keep_alive()));
        sender.send(event_loop.handle()).expect("somebody waits");
        event_loop.run().expect("no unhandled error");
        let_go();
        event_loop.connections()
    });
    (receiver.recv().expect("a loop"), thread)
}

/// Echoes to the end of the input.
fn adopt(stream: TcpStream) {
    let options = SocketOptions::new().allow_half_open(true).fd(stream).expect("a TCP socket");
    let socket = Socket::with_options(options);
    socket.on_data(|socket, bytes| {
        socket.write(bytes);
    });
    socket.on_end(|socket| {
        socket.end();
    });
}

/// Says something before it can have been handed over and something after it was, and reads the echo of it all.
fn visit(address: SocketAddr, number: usize) {
    let mut client = TcpStream::connect(address).expect("connect");
    client.set_read_timeout(Some(support::PEER_DEADLINE)).expect("a valid timeout");
    let early = format!("{number} early, ");
    client.write_all(early.as_bytes()).expect("connected");
    let mut echo = vec![0; early.len()];
    client.read_exact(&mut echo).expect("the echo");
    client.write_all(&vec![b'x'; 100_000]).expect("connected");
    client.shutdown(Shutdown::Write).expect("connected");
    client.read_to_end(&mut echo).expect("the echo");
    assert_eq!(echo.len(), early.len() + 100_000);
    assert!(echo.starts_with(early.as_bytes()));
}

/// Many connections, dealt to two loops while their clients write: every byte arrives once, and the loop that accepted
/// them keeps nothing.
#[test]
fn accepted_connections_are_served_by_other_loops() {
    const CLIENTS: usize = 100;
    support::test(|event_loop| {
        let workers = [worker(), worker()];
        let handles: Vec<LoopHandle> = workers.iter().map(|(handle, _)| handle.clone()).collect();
        let accepted = Cell::new(0);
        let server = Server::with_options(ServerOptions::new().pause_on_connect(true));
        server.on_connection(move |server, socket| {
            let (stream, read_ahead) = socket.into_std().expect("it is connected and paused");
            assert!(read_ahead.is_empty());
            assert!(handles[accepted.get() % 2].post(move || adopt(stream)).is_ok());
            accepted.set(accepted.get() + 1);
            if accepted.get() == CLIENTS {
                server.close();
            }
        });
        server.listen(std::net::TcpListener::bind(support::loopback(0)).expect("a port")).expect("listen");
        let address = server.address().expect("it listens");
        let clients: Vec<JoinHandle<()>> = (0..4)
            .map(|first| thread::spawn(move || (first..CLIENTS).step_by(4).for_each(|number| visit(address, number))))
            .collect();
        event_loop.run().expect("no unhandled error");
        assert_eq!(event_loop.connections(), 0);
        clients.into_iter().for_each(|client| client.join().expect("a client"));
        for (handle, thread) in workers {
            assert!(handle.post(let_go).is_ok());
            assert_eq!(thread.join().expect("a worker"), 0);
        }
    });
}

/// When the other loop is gone the closure comes back, and the connection in it is closed.
#[test]
fn a_connection_for_a_loop_that_is_gone_is_closed() {
    support::test(|event_loop| {
        let (handle, thread) = worker();
        handle.stop();
        thread.join().expect("a worker");
        let server = Server::with_options(ServerOptions::new().pause_on_connect(true));
        server.on_connection(move |server, socket| {
            let (stream, _) = socket.into_std().expect("it is connected and paused");
            let Err(closure) = handle.post(move || adopt(stream)) else { panic!("the loop is gone") };
            drop(closure);
            server.close();
        });
        server.listen(std::net::TcpListener::bind(support::loopback(0)).expect("a port")).expect("listen");
        let address = server.address().expect("it listens");
        let mut client = TcpStream::connect(address).expect("connect");
        event_loop.run().expect("no unhandled error");
        client.set_read_timeout(Some(support::PEER_DEADLINE)).expect("a valid timeout");
        assert_eq!(client.read(&mut [0; 1]).expect("an orderly end"), 0);
    });
}
