//! Faults by script: this call fails, so many times, with this error.

use std::io;
use std::time::Duration;

use halfclose::EventLoop;
use halfclose::net::{self, Socket, SocketOptions};
use halfclose::simulation::{Call, Simulation};

use crate::support::{DEADLINE, Log, within};

/// Runs an echo in which `prepare` makes something fail. The log has what both sides see.
fn echo_with(prepare: impl Fn(&Simulation) + 'static) -> (Log, Simulation) {
    let mut event_loop = EventLoop::simulated(1).expect("a loop");
    let simulation = event_loop.simulation().expect("simulated");
    let log = Log::new();
    let server = net::create_server(move |socket| {
        log.add("S", "connection");
        socket.on_data(|socket, bytes| {
            socket.write(bytes);
        });
        socket.on_error(move |_, error| log.add("S", error));
        socket.on_close(move |_, _| log.add("S", "close"));
    });
    server.on_error(move |_, error| log.add("server", error));
    let same = simulation.clone();
    let start = move |_| {
        prepare(&same);
        let client = net::connect(("127.0.0.1", 80)).expect("valid");
        client.end_data("hello");
        client.on_data(move |_, bytes| log.add_data_bytes("C", bytes));
        client.on_error(move |_, error| log.add("C", error));
        client.on_close(move |_, _| {
            log.add("C", "close");
            server.close();
        });
    };
    server.listen_with(("127.0.0.1", 80), start).expect("valid");
    simulation.post_at(Duration::from_secs(3600), move || {
        server.close();
    });
    event_loop.run().expect("it ends");
    (log, simulation)
}

fn number(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

#[test]
fn a_call_fails_as_often_as_was_said() {
    within(DEADLINE, || {
        for (call, errno, client) in [
            (Call::Socket, libc::ENFILE, "connect ENFILE 127.0.0.1:80 - Local (undefined:undefined), close"),
            (Call::Connect, libc::ENOBUFS, "connect ENOBUFS 127.0.0.1:80 - Local (0.0.0.0:0), close"),
            (Call::Register, libc::ENOSPC, ""),
            (Call::Read, libc::ENOMEM, ""),
            // Tried again after a rest.
            (Call::Write, libc::ENOBUFS, "data(hello), close"),
            (Call::Write, libc::EPERM, "write EPERM, close"),
        ] {
            let (log, simulation) = echo_with(move |simulation| simulation.fail(call, &number(errno), 1));
            if !client.is_empty() {
                assert_eq!(log.texts_of("C").join(", "), client, "{call:?}");
            }
            let accounts = simulation.accounts();
            assert_eq!((accounts.open_descriptors, accounts.sockets), (0, 0), "{call:?}: {}", log.whole());
        }
    });
}

#[test]
fn servers_say_what_their_calls_said() {
    within(DEADLINE, || {
        for (call, errno, expected) in [
            (Call::Socket, libc::EMFILE, "listen EMFILE: too many open files 127.0.0.1:80"),
            (Call::Bind, libc::EACCES, "listen EACCES: permission denied 127.0.0.1:80"),
            (Call::Listen, libc::EADDRINUSE, "listen EADDRINUSE: address already in use 127.0.0.1:80"),
            (Call::Register, libc::ENOMEM, "listen ENOMEM: not enough memory 127.0.0.1:80"),
        ] {
            let mut event_loop = EventLoop::simulated(1).expect("a loop");
            let simulation = event_loop.simulation().expect("simulated");
            let log = Log::new();
            let server = net::create_server(|_| {});
            server.on_error(move |_, error| log.add("server", error));
            simulation.fail(call, &number(errno), 1);
            server.listen(("127.0.0.1", 80)).expect("valid");
            event_loop.run().expect("it ends");
            log.assert_of("server", expected);
            assert_eq!(simulation.accounts().open_descriptors, 0);
        }
    });
}

#[test]
fn interrupted_calls_are_made_again() {
    within(DEADLINE, || {
        let expected = echo_with(|_| {}).0;
        let (log, _) = echo_with(|simulation| {
            for call in [Call::Accept, Call::Connect, Call::Read, Call::Write, Call::Wait] {
                simulation.fail(call, &number(libc::EINTR), 3);
            }
        });
        assert_eq!(log.list(), expected.list());
    });
}

#[test]
fn a_server_without_descriptors_sheds_and_goes_on() {
    within(DEADLINE, || {
        let mut event_loop = EventLoop::simulated(1).expect("a loop");
        let simulation = event_loop.simulation().expect("simulated");
        let log = Log::new();
        let server = net::create_server(move |socket| {
            log.add("S", "connection");
            socket.resume();
        });
        server.listen(("127.0.0.1", 80)).expect("a free port");
        let connect = move |name: &'static str| {
            let client = net::connect(("127.0.0.1", 80)).expect("valid");
            client.resume();
            client.on_end(move |_| log.add(name, "end"));
            client.on_error(move |_, error| log.add(name, error));
            client.on_close(move |_, _| log.add(name, "close"));
            client
        };
        // 0 to 2, the loop's three, the server, one client, and nothing for the connection.
        simulation.set_descriptor_limit(8);
        connect("first");
        let same = simulation.clone();
        simulation.post_at(Duration::from_secs(1), move || {
            same.set_descriptor_limit(100);
            let client = connect("second");
            client.end();
            client.on_close(move |_, _| {
                server.close();
            });
        });
        event_loop.run().expect("it ends");
        assert_eq!(log.texts_of("first"), ["end", "close"]);
        assert_eq!(log.texts_of("second"), ["end", "close"]);
        assert_eq!(log.texts_of("S"), ["connection"]);
        assert_eq!(simulation.accounts().open_descriptors, 0);
    });
}

/// Behind bytes that were lost none arrive, although the batch is sent in a tick that comes before the error.
#[test]
fn a_batch_stops_at_a_write_that_failed() {
    within(DEADLINE, || {
        let mut event_loop = EventLoop::simulated(1).expect("a loop");
        let simulation = event_loop.simulation().expect("simulated");
        let log = Log::new();
        let server = net::create_server(move |socket| {
            socket.on_data(move |_, bytes| log.add_data_bytes("S", bytes));
            socket.on_error(move |_, problem| log.add("S", problem));
            socket.on_close(move |_, _| log.add("S", "close"));
        });
        server.listen(("127.0.0.1", 80)).expect("valid");
        let socket = Socket::with_options(SocketOptions::new().batch_writes(true));
        socket.connect(("127.0.0.1", 80)).expect("valid");
        let script = simulation.clone();
        socket.on_connect(move |socket| {
            script.fail(Call::Write, &number(libc::ECONNRESET), 1);
            socket.end_data("lost");
            assert!(!socket.write("behind it"));
        });
        socket.on_error(move |_, problem| log.add("C", problem));
        socket.on_close(move |_, _| {
            log.add("C", "close");
            server.close();
        });
        event_loop.run().expect("it ends");
        assert_eq!(log.texts_of("C"), ["write ECONNRESET", "close"]);
        assert_eq!(log.texts_of("S"), ["close"]);
    });
}
