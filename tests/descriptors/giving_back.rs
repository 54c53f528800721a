//! `into_std`: a connection leaves the loop.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;

use halfclose::EventLoop;
use halfclose::net::{self, Server, Socket};

use crate::support::{self, Log, port_of, watch_server, watch_socket};
use crate::{raw_pair, watch, when};

/// The stream, and the bytes that were read ahead; `close` comes from a tick, as in Node's transfer. The loop has nothing
/// to do with it any more, and the server does not count it.
#[test]
fn a_connection_is_given_back_with_what_was_read_ahead() {
    support::test(|event_loop| {
        let log = Log::new();
        let taken = Rc::new(Cell::new(None));
        let result = taken.clone();
        let server = Server::new();
        watch_server(&log, "srv", server);
        server.on_connection(move |server, socket| {
            log.add("S", "connection");
            watch_socket(&log, "S", socket);
            let taken = taken.clone();
            when(
                move || socket.readable_length() == 5,
                move || {
                    log.add("S", "into_std");
                    taken.set(Some(socket.into_std().expect("a connection")));
                    assert!(socket.destroyed() && socket.pending());
                    assert_eq!((socket.readable_length(), server.connections()), (0, 0));
                    server.close();
                },
            );
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let peer = support::in_thread({
            let port = port_of_when_bound(event_loop, server);
            move || {
                let mut peer = TcpStream::connect(("127.0.0.1", port)).expect("connect");
                peer.write_all(b"hello").expect("written");
                peer
            }
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("S", "connection | into_std ~ close(false)");
        let (mut stream, read_ahead) = result.take().expect("a stream");
        assert_eq!(read_ahead, b"hello");
        let mut peer = peer.join();
        peer.write_all(b" world").expect("written");
        peer.shutdown(Shutdown::Write).expect("shutdown");
        // The loop is told nothing of it.
        assert!(!event_loop.turn(None).expect("no unhandled error"));
        stream.set_nonblocking(false).expect("blocking again");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).expect("read");
        assert_eq!(rest, " world");
    });
}

/// The server with a host is bound in a tick.
fn port_of_when_bound(event_loop: &mut EventLoop, server: Server) -> u16 {
    event_loop.turn(Some(std::time::Duration::ZERO)).expect("no unhandled error");
    port_of(server)
}

/// A connection can go on in another thread's loop.
#[test]
fn a_connection_moves_to_another_loop() {
    support::test(|event_loop| {
        let log = Log::new();
        let (mut peer, given) = raw_pair();
        let socket = Socket::from_std(given).expect("a TCP socket");
        watch(&log, "here", socket);
        let moved = Rc::new(Cell::new(None));
        let result = moved.clone();
        socket.once_data(move |socket, _| moved.set(socket.into_std().ok()));
        peer.write_all(b"one").expect("written");
        event_loop.run().expect("no unhandled error");
        log.assert_of("here", "data(one) ~ close(false)");
        let (stream, read_ahead) = result.take().expect("a stream");
        assert!(read_ahead.is_empty(), "the listener had the bytes");
        let there = support::in_thread(move || {
            let mut event_loop = EventLoop::new().expect("a loop");
            let socket = Socket::from_std(stream).expect("a TCP socket");
            socket.on_data(|socket, bytes| {
                socket.write(bytes);
            });
            event_loop.run().expect("no unhandled error");
        });
        peer.write_all(b"two").expect("written");
        peer.shutdown(Shutdown::Write).expect("shutdown");
        let mut echo = String::new();
        peer.read_to_string(&mut echo).expect("read");
        assert_eq!(echo, "two");
        there.join();
    });
}

/// What cannot be given back is not, and nothing changes.
#[test]
fn a_socket_in_another_state_stays() {
    support::test(|event_loop| {
        let log = Log::new();
        let refused = |socket: Socket| {
            let error = socket.into_std().expect_err("not in this state");
            assert_eq!(error.code(), Some("ERR_WORKER_HANDLE_NOT_TRANSFERABLE"));
        };
        let fresh = Socket::new();
        refused(fresh);
        assert!(!fresh.destroyed());
        fresh.release();
        refused(fresh);

        let connecting = net::connect(("127.0.0.1", 1)).expect("connect");
        refused(connecting);
        assert!(connecting.connecting());
        connecting.destroy();
        refused(connecting);

        let (_peer, given) = raw_pair();
        let decoding = Socket::from_std(given).expect("a TCP socket");
        decoding.set_encoding(net::Encoding::Utf8);
        refused(decoding);
        assert!(!decoding.destroyed());
        decoding.destroy();

        // More than the kernel takes at once.
        let (mut peer, given) = raw_pair();
        let writing = Socket::from_std(given).expect("a TCP socket");
        watch_socket(&log, "writing", writing);
        let length = 16 * 1024 * 1024;
        writing.end_data(vec![7; length]);
        refused(writing);
        let reader = support::in_thread(move || {
            let mut bytes = Vec::new();
            peer.read_to_end(&mut bytes).expect("read");
            bytes.len()
        });
        event_loop.run().expect("no unhandled error");
        assert_eq!(reader.join(), length);
        log.assert_of("writing", "finish | ~ end |x close(false)");
    });
}

/// A descriptor that goes elsewhere is not closed, so the end of a side that is over is sent before it goes: in `finish`, the
/// last moment, the peer reads it although the descriptor lives.
#[test]
fn a_side_that_ended_is_ended_for_the_peer_too() {
    support::test(|event_loop| {
        let log = Log::new();
        let taken = Rc::new(Cell::new(None));
        let result = taken.clone();
        let server = net::create_server(move |socket| {
            watch(&log, "S", socket);
            let taken = taken.clone();
            socket.on_finish(move |socket| {
                taken.set(Some(socket.into_std().expect("a connection")));
                socket.server().expect("its server").close();
            });
        });
        let peer = Rc::new(Cell::new(None));
        let running = peer.clone();
        server.once_listening(move |server| {
            let port = port_of(server);
            running.set(Some(support::in_thread(move || {
                let mut peer = support::RawPeer::connect(support::loopback(port));
                peer.half_close();
                peer.read_to_end().expect("an end")
            })));
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(peer.take().expect("the server listened").join(), b"");
        assert!(result.take().is_some(), "the descriptor is open still");
        log.assert_of("S", "end | ~ finish ~ close(false)");
    });
}
