//! `new Socket({ fd })` and `listen({ fd })`.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use halfclose::net::{self, Family, ListenOptions, ReadyState, Server, Socket, SocketOptions};

use crate::support::{self, Log, loopback, watch_server, watch_socket};
use crate::{raw_pair, watch};

/// C47: connected and reading at once, without `connect` and `ready`.
#[test]
fn c47_a_given_connection_reads_from_the_start() {
    support::test(|event_loop| {
        let log = Log::new();
        let (mut peer, given) = raw_pair();
        let socket = Socket::from_std(given).expect("a TCP socket");
        assert!(!socket.pending() && !socket.connecting());
        assert_eq!(socket.ready_state(), ReadyState::Open);
        assert_eq!(socket.readable_flowing(), None);
        assert_eq!(socket.server(), None);
        let peer_address = peer.local_addr().expect("an address");
        assert_eq!(socket.peer_addr(), Some(peer_address));
        assert_eq!(socket.remote_address(), Some(peer_address.ip()));
        assert_eq!(socket.remote_family(), Some(Family::IPv4));
        assert_eq!(socket.address(), peer.peer_addr().ok());
        watch(&log, "S", socket);
        socket.on_end(|socket| {
            socket.write("answer");
        });
        peer.write_all(b"hello").expect("written");
        peer.shutdown(Shutdown::Write).expect("shutdown");
        event_loop.run().expect("no unhandled error");
        log.assert_of("S", "data(hello) | ~ end | ~ finish |x close(false)");
        let mut answer = String::new();
        peer.read_to_string(&mut answer).expect("read");
        assert_eq!(answer, "answer");
    });
}

/// C47, L20: it reads ahead without any consumer, as an accepted socket does.
#[test]
fn c47_a_given_connection_reads_ahead() {
    support::test(|event_loop| {
        let (mut peer, given) = raw_pair();
        peer.write_all(b"hello").expect("written");
        let socket = Socket::from_std(given).expect("a TCP socket");
        crate::when(
            move || socket.readable_length() == 5,
            move || {
                assert_eq!(socket.bytes_read(), 5);
                socket.destroy();
            },
        );
        event_loop.run().expect("no unhandled error");
    });
}

/// 1.3: `readable: false` and `writable: false` with a descriptor.
#[test]
fn one_side_of_a_given_connection_can_be_left_out() {
    support::test(|event_loop| {
        let log = Log::new();
        let (peer, given) = raw_pair();
        let options = SocketOptions::new().fd(given).expect("a TCP socket").writable(false);
        let socket = Socket::with_options(options);
        assert_eq!(socket.ready_state(), ReadyState::ReadOnly);
        watch(&log, "reader", socket);
        peer.shutdown(Shutdown::Write).expect("shutdown");
        event_loop.run().expect("no unhandled error");
        log.assert_of("reader", "end |x close(false)");

        let (mut peer, given) = raw_pair();
        let options = SocketOptions::new().fd(given).expect("a TCP socket").readable(false);
        let socket = Socket::with_options(options);
        assert_eq!(socket.ready_state(), ReadyState::WriteOnly);
        watch(&log, "writer", socket);
        socket.end_data("bye");
        event_loop.run().expect("no unhandled error");
        log.assert_of("writer", "finish |x close(false)");
        let mut answer = String::new();
        peer.read_to_string(&mut answer).expect("read");
        assert_eq!(answer, "bye");
    });
}

/// 1.3, 1.8: only TCP and unix stream sockets; others are named.
#[test]
fn other_descriptors_are_refused_by_name() {
    support::test(|_| {
        let (datagrams, _other) = UnixDatagram::pair().expect("a pair");
        let others: [(OwnedFd, &str); 3] = [
            (File::open("/dev/null").expect("a file").into(), "FILE"),
            (UdpSocket::bind(loopback(0)).expect("bind").into(), "UDP"),
            (datagrams.into(), "UNKNOWN"),
        ];
        for (descriptor, name) in others {
            let error = SocketOptions::new().fd(descriptor).expect_err("no TCP socket");
            assert_eq!(error.code(), Some("ERR_INVALID_FD_TYPE"));
            assert_eq!(error.message(), format!("Unsupported fd type: {name}"));
        }
        let file = File::open("/dev/null").expect("a file");
        let error = Socket::from_std(TcpStream::from(OwnedFd::from(file))).expect_err("no TCP socket");
        assert_eq!(error.code(), Some("ERR_INVALID_FD_TYPE"));
    });
}

/// C47, C44: a unix socket is taken likewise. It has no addresses, and goes back as a descriptor only.
#[test]
fn c47_a_given_unix_socket_reads_from_the_start() {
    support::test(|event_loop| {
        let log = Log::new();
        let (mut peer, given) = UnixStream::pair().expect("a pair");
        let socket = Socket::with_options(SocketOptions::new().fd(given).expect("a unix socket").no_delay(true));
        assert_eq!((socket.address(), socket.peer_addr()), (None, None));
        let error = socket.into_std().expect_err("no TCP socket");
        assert_eq!(error.message(), "Unsupported fd type: PIPE");
        assert!(!socket.destroyed());
        watch(&log, "S", socket);
        socket.on_end(|socket| {
            socket.write("answer");
        });
        peer.write_all(b"hello").expect("written");
        peer.shutdown(Shutdown::Write).expect("shutdown");
        event_loop.run().expect("no unhandled error");
        log.assert_of("S", "data(hello) | ~ end | ~ finish |x close(false)");
        let mut answer = String::new();
        peer.read_to_string(&mut answer).expect("read");
        assert_eq!(answer, "answer");

        let (mut peer, given) = UnixStream::pair().expect("a pair");
        let socket = Socket::with_options(SocketOptions::new().fd(given).expect("a unix socket"));
        let (descriptor, read_ahead) = socket.into_fd().expect("connected");
        assert!(read_ahead.is_empty());
        UnixStream::from(descriptor).write_all(b"still here").expect("written");
        let mut rest = String::new();
        event_loop.run().expect("no unhandled error");
        peer.read_to_string(&mut rest).expect("read");
        assert_eq!(rest, "still here");
    });
}

/// S14, S19: a unix listener is taken likewise; its file is somebody else's, and stays. 1.2: `drop` knows no addresses.
#[test]
fn s14_a_given_unix_listener_is_adopted() {
    support::test(|event_loop| {
        let log = Log::new();
        let path = std::env::temp_dir().join(format!("halfclose-adopted-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("bind");
        let server = Server::new();
        watch_server(&log, "srv", server);
        server.listen(listener).expect("listen");
        assert!(server.listening());
        assert_eq!(server.address(), None);
        let first = UnixStream::connect(&path).expect("connect");
        let second = UnixStream::connect(&path).expect("connect");
        server.set_max_connections(Some(1));
        server.on_connection(|_, socket| {
            socket.resume();
        });
        server.once_drop(move |server, dropped| {
            log.add("srv", "drop");
            assert_eq!((dropped.local_address(), dropped.remote_address()), (None, None));
            assert_eq!((dropped.local_port(), dropped.remote_family()), (None, None));
            server.close();
            first.shutdown(Shutdown::Both).expect("shutdown");
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listening | connection | drop | ~ close");
        drop(second);
        std::fs::remove_file(&path).expect("the file is there still");
    });
}

/// C47: a TCP socket that is not connected is taken, and its first read says so.
#[test]
fn a_given_socket_without_a_connection_fails_to_read() {
    support::test(|event_loop| {
        let log = Log::new();
        let fresh = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        let socket = Socket::with_options(SocketOptions::new().fd(fresh).expect("a TCP socket"));
        watch(&log, "S", socket);
        assert_eq!(socket.peer_addr(), None);
        event_loop.run().expect("no unhandled error");
        log.assert_of("S", "error(read ENOTCONN) |x close(true)");
    });
}

/// A descriptor makes one socket.
#[test]
fn a_descriptor_is_adopted_once() {
    support::test(|event_loop| {
        let log = Log::new();
        let (_peer, given) = raw_pair();
        let options = SocketOptions::new().fd(given).expect("a TCP socket");
        let first = Socket::with_options(options.clone());
        let second = Socket::with_options(options);
        watch_socket(&log, "second", second);
        assert!(second.destroyed() && !first.destroyed());
        first.destroy();
        event_loop.run().expect("no unhandled error");
        log.assert_of("second", "error(ERR_SOCKET_HANDLE_ADOPTED) ~ close(false)");
    });
}

/// S14, S3: a given listener listens when `listen` returns, only the event is deferred. Who waited already is served.
#[test]
fn s14_a_given_listener_is_adopted_within_the_call() {
    support::test(|event_loop| {
        let log = Log::new();
        let listener = TcpListener::bind(loopback(0)).expect("bind");
        let address = listener.local_addr().expect("an address");
        let mut early = TcpStream::connect(address).expect("connect");
        early.write_all(b"hello").expect("written");
        early.shutdown(Shutdown::Write).expect("shutdown");
        let server = Server::new();
        watch_server(&log, "srv", server);
        server.on_connection(move |server, socket| {
            log.add("S", "connection");
            watch(&log, "S", socket);
            server.close();
        });
        halfclose::set_immediate(move || {
            server.listen_with(listener, move |_| log.add("srv", "callback")).expect("listen");
            assert_eq!(server.address(), Some(address));
            log.add("srv", if server.listening() { "listens" } else { "does not listen" });
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listens ~ listening, callback | connection | ~ close");
        log.assert_of("S", "connection | data(hello) | ~ end | ~ finish |x close(false)");
    });
}

/// S14: a socket that is only bound starts to listen; the descriptor wins over port and host.
#[test]
fn s14_a_bound_descriptor_starts_to_listen() {
    support::test(|event_loop| {
        let log = Log::new();
        let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        bound.bind(&loopback(0).into()).expect("bind");
        let address = bound.local_addr().expect("an address").as_socket();
        let server = Server::new();
        watch_server(&log, "srv", server);
        let options = ListenOptions::new().port(1).host("127.0.0.2").fd(bound).backlog(4);
        let again = options.clone();
        server.listen(options).expect("listen");
        assert_eq!(server.address(), address);
        let error = Server::new().listen(again).expect_err("it was adopted");
        assert_eq!(error.code(), Some("ERR_SOCKET_HANDLE_ADOPTED"));
        server.on_listening(|server| {
            let client = net::connect(("127.0.0.1", support::port_of(server))).expect("connect");
            client.resume();
        });
        server.on_connection(|server, socket| {
            socket.destroy();
            server.close();
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listening | connection ~ close");
    });
}

/// S14, 1.8: what cannot listen makes a deferred error without address and port; the server may listen again.
#[test]
fn s14_a_descriptor_that_cannot_listen_makes_an_error() {
    support::test(|event_loop| {
        let log = Log::new();
        let (connected, _peer) = raw_pair();
        let unusable: [OwnedFd; 3] = [
            File::open("/dev/null").expect("a file").into(),
            UdpSocket::bind(loopback(0)).expect("bind").into(),
            connected.into(),
        ];
        let server = Server::new();
        watch_server(&log, "srv", server);
        server.on_error(|_, error| {
            assert_eq!(error.message(), "listen EINVAL: invalid argument");
            assert_eq!((error.address(), error.port()), (None, None));
        });
        for descriptor in unusable {
            server.listen(ListenOptions::new().fd(descriptor)).expect("nothing is thrown");
            assert!(!server.listening());
            event_loop.run().expect("no unhandled error");
        }
        server.on_listening(|server| {
            server.close();
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        let failed = "error(listen EINVAL)";
        assert_eq!(log.texts_of("srv"), [failed, failed, failed, "listening", "close"]);
    });
}

/// S14: a descriptor that this process inherited, as a supervisor passes it.
#[test]
fn s14_a_server_listens_on_an_inherited_descriptor() {
    use std::process::{Command, Stdio};

    let listener = TcpListener::bind(loopback(0)).expect("bind");
    let address = listener.local_addr().expect("an address");
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "--test-threads=1", "adopting::a_child_that_serves_its_standard_input"])
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .spawn()
        .expect("a child");
    let answer = support::within(support::DEADLINE, || {
        let mut client = TcpStream::connect(address).expect("connect");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("read");
        answer
    });
    assert!(child.wait().expect("the child").success());
    assert_eq!(answer, "from the child");
}

#[test]
#[ignore = "needs a listening socket as its standard input; run by the test above"]
fn a_child_that_serves_its_standard_input() {
    use std::os::fd::AsFd;

    support::test(|event_loop| {
        let inherited = std::io::stdin().as_fd().try_clone_to_owned().expect("a copy");
        let server = net::create_server(|socket| {
            socket.end_data("from the child");
            socket.server().expect("the server").close();
        });
        server.listen(ListenOptions::new().fd(inherited)).expect("listen");
        event_loop.run().expect("no unhandled error");
    });
}
