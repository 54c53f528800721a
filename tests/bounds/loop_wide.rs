//! `EventLoopOptions::max_buffered_total`: SP2.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use halfclose::net::{self, ConnectOptions, PauseReason, Server, ServerOptions, Socket};
use halfclose::{EventLoop, EventLoopOptions, set_immediate};

use crate::support::{self, DEADLINE, Log, callback, port_of, watch_data_bytes, watch_server, watch_socket};
use crate::{MORE_THAN_THE_KERNEL_TAKES, watch_refusals};

/// A loop in which this much may wait.
fn capped(bytes: usize, body: impl FnOnce(&mut EventLoop)) {
    support::within(DEADLINE, || {
        let options = EventLoopOptions::new().max_buffered_total(bytes);
        body(&mut EventLoop::with_options(options).expect("a loop"));
    });
}

/// What waits on all sockets counts together, in every state, and is given back however a socket ends.
#[test]
fn the_count_is_that_of_all_sockets() {
    capped(10, |event_loop| {
        let log = Log::new();
        let raw = support::RawListener::bind();
        let one = net::connect(raw.address()).expect("connect");
        let other = net::connect(raw.address()).expect("connect");
        for (name, socket) in [("one", one), ("other", other)] {
            watch_socket(&log, name, socket);
            watch_refusals(&log, name, socket);
        }
        assert!(one.write("1234567"));
        other.cork();
        assert!(!other.write_with("four", callback(&log, "other", "four")));
        assert!(other.write("888"), "it fits to the byte");
        assert!(!one.write("9"));
        assert_eq!(event_loop.buffered(), 10);
        one.destroy();
        other.destroy();
        event_loop.run().expect("no unhandled error");
        assert_eq!(event_loop.buffered(), 0);
        log.assert_of("one", "close(false)");
        log.assert_of("other", "four(ERR_LOOP_MAX_BUFFERED) |x close(false)");
    });
}

/// Over the cap servers leave connections where they are, and go on when no more than half of it waits: both are told. The
/// sockets that are there go on.
#[test]
fn servers_pause() {
    const CAP: usize = MORE_THAN_THE_KERNEL_TAKES + 1000;
    capped(CAP, |event_loop| {
        let log = Log::new();
        let server = Server::with_options(ServerOptions::new().allow_half_open(true));
        watch_server(&log, "srv", server);
        let stalled = Rc::new(RefCell::new(None::<Socket>));
        server.on_pause(move |_, reason| {
            assert_eq!(reason, PauseReason::MaxBufferedTotal);
            log.add("srv", "pause");
        });
        server.on_resume(move |_| log.add("srv", "resume"));
        server.once_connection(move |server, accepted| {
            watch_refusals(&log, "S", accepted);
            accepted.on_close(move |_, _| log.add("S", "close"));
            accepted.write(vec![0; MORE_THAN_THE_KERNEL_TAKES]);
            assert!(!accepted.write_with(vec![0; 1001], callback(&log, "S", "more")));
            accepted.end();
            // It waits in the backlog.
            let late = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            watch_socket(&log, "late", late);
            watch_data_bytes(&log, "late", late);
            late.end();
            server.once_connection(|server, accepted| {
                accepted.resume();
                accepted.end_data("welcome");
                server.close();
            });
        });
        let client = stalled.clone();
        server.once_listening(move |server| {
            let socket = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            socket.end();
            *client.borrow_mut() = Some(socket);
        });
        server.once_pause(move |_, _| {
            let client = stalled.take().expect("the client");
            // As if it had been busy: nothing is read before this.
            set_immediate(move || {
                client.resume();
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listening | connection | pause | ~ resume | connection | ~ close");
        log.assert_of("S", "more(ERR_LOOP_MAX_BUFFERED) ~ refused(ERR_LOOP_MAX_BUFFERED) |x close");
        assert!(log.contains("late", "data(welcome)"), "{}", log.whole());
        assert_eq!(event_loop.buffered(), 0);
    });
}

/// A write that is too long by itself is refused, and is no reason to accept nobody.
#[test]
fn one_long_write() {
    capped(10, |event_loop| {
        let log = Log::new();
        let server = Server::new();
        watch_server(&log, "srv", server);
        server.on_pause(move |_, _| log.add("srv", "pause"));
        let count = Cell::new(0);
        server.on_connection(move |server, accepted| {
            watch_refusals(&log, "S", accepted);
            assert!(!accepted.write("longer than that"), "the kernel would take it at once");
            accepted.end_data("short");
            count.set(count.get() + 1);
            if count.get() == 2 {
                server.close();
            }
        });
        server.on_listening(move |server| {
            for name in ["A", "B"] {
                let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
                watch_data_bytes(&log, name, client);
            }
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("srv"), ["listening", "connection", "connection", "close"]);
        assert_eq!(log.texts_of("S"), ["refused(ERR_LOOP_MAX_BUFFERED)"; 2]);
        assert_eq!((log.of("A"), log.of("B")), ("data(short)".to_owned(), "data(short)".to_owned()));
    });
}

/// Without a cap the sum is there all the same, and nothing is refused.
#[test]
fn off_by_default() {
    support::test(|event_loop| {
        let log = Log::new();
        let raw = support::RawListener::bind();
        let client = net::connect(ConnectOptions::from(raw.address())).expect("connect");
        watch_refusals(&log, "C", client);
        client.write(vec![0; 1 << 20]);
        client.write("more");
        assert_eq!(event_loop.buffered(), (1 << 20) + 4);
        client.destroy();
        event_loop.run().expect("no unhandled error");
        assert_eq!((event_loop.buffered(), log.len()), (0, 0));
    });
}
