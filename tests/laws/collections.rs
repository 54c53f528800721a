//! Law 5: no loop over things that users can change remembers "next" across a callback. Users change, from within, every
//! collection that the loop walks: listeners, ticks, immediates, timers, the ready list, the closing list, owed callbacks.
//!
//! May touch: the public API. Invariant: the order is asserted, so a skipped or a repeated one shows.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ListenerId, Server, ServerEvent, Socket, SocketEvent};
use halfclose::{Immediate, Timer, next_tick, set_immediate, set_interval, set_timeout};

use crate::support::{Log, RawListener, RawPeer, busy, port_of};
use crate::{after_turns, law};

/// Something that calls all `timeout` listeners of a socket: an event that can be had again and again.
fn emit_timeout(socket: Socket) {
    socket.set_timeout(Duration::from_millis(1));
    // An idle timeout does not keep the loop alive.
    let awake = set_interval(Duration::from_millis(1), || ());
    socket.once_timeout(move |_| awake.clear());
}

/// M1: the listeners of one emission are those that were there when it began.
#[test]
fn law_5_an_emission_walks_a_snapshot() {
    law(|event_loop| {
        let (log, socket) = (Log::new(), Socket::new());
        let others: Rc<RefCell<Vec<ListenerId>>> = Rc::default();
        let known = others.clone();
        let first = socket.on_timeout(move |socket| {
            log.add("T", "first");
            // Both neighbours, itself, and one that is added.
            for listener in known.take() {
                assert!(socket.off(listener));
            }
            socket.on_timeout(move |_| log.add("T", "added"));
            log.add("T", format!("{} left", socket.listener_count(SocketEvent::Timeout)));
        });
        let second = socket.on_timeout(move |_| log.add("T", "second"));
        let once = socket.once_timeout(move |socket| {
            log.add("T", format!("once, {} left", socket.listener_count(SocketEvent::Timeout)));
        });
        *others.borrow_mut() = vec![first, second];
        socket.on_timeout(move |socket| {
            log.add("T", "last");
            assert!(!socket.off(once), "a one-shot is removed before it runs");
            socket.remove_all_listeners(Some(SocketEvent::Timeout));
        });
        emit_timeout(socket);
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("T"), ["first", "4 left", "second", "once, 3 left", "last"]);
        log.clear();
        socket.on_timeout(move |_| log.add("T", "afterwards"));
        emit_timeout(socket);
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("T"), ["afterwards"]);
        socket.release();
    });
}

/// M1: the same for removing all, and for listeners that add themselves again and again.
#[test]
fn law_5_all_listeners_may_go_in_the_middle_of_an_emission() {
    law(|event_loop| {
        let (log, socket) = (Log::new(), Socket::new());
        socket.on_timeout(move |socket| {
            log.add("T", "first");
            socket.remove_all_listeners(None);
            for _ in 0..100 {
                socket.on_timeout(move |_| log.add("T", "added"));
            }
        });
        for _ in 0..3 {
            socket.once_timeout(move |_| log.add("T", "once"));
        }
        socket.on_timeout(move |_| log.add("T", "last"));
        emit_timeout(socket);
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("T"), ["first", "once", "once", "once", "last"]);
        assert_eq!(socket.listener_count(SocketEvent::Timeout), 100);
        socket.release();
        assert_eq!(event_loop.connections(), 0);
    });
}

/// M1 when the socket itself goes in the middle of the emission: the rest of the snapshot is still called.
#[test]
fn law_5_the_socket_may_be_released_in_the_middle_of_an_emission() {
    law(|event_loop| {
        let (log, socket) = (Log::new(), Socket::new());
        socket.on_timeout(move |socket| {
            socket.release();
            let newcomer = Socket::new();
            newcomer.on_timeout(|_| unreachable!("another socket's listener"));
            newcomer.release();
            log.add("T", "first");
        });
        socket.once_timeout(move |socket| log.add("T", format!("second, known: {}", socket.id().get().is_some())));
        socket.on_timeout(move |_| log.add("T", "last"));
        emit_timeout(socket);
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("T"), ["first", "second, known: false", "last"]);
        assert_eq!(event_loop.connections(), 0);
    });
}

/// M1 for servers.
#[test]
fn law_5_a_server_may_change_its_listeners_and_go_in_the_middle_of_an_emission() {
    law(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        server.on_listening(move |server| {
            log.add("srv", "first");
            server.remove_all_listeners(Some(ServerEvent::Listening));
            server.on_listening(move |_| log.add("srv", "added"));
        });
        server.on_listening(move |server| {
            log.add("srv", "second");
            server.release();
            Server::new().on_listening(|_| unreachable!("another server's listener"));
        });
        server.once_listening(move |server| log.add("srv", format!("last, listening: {}", server.listening())));
        server.listen(0).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("srv"), ["first", "second", "last, listening: false"]);
    });
}

/// Connects sockets and gives them to `go`; then the peers write, all at once, so that all are ready in the same turn. The
/// peers close when what is returned is dropped.
fn ready_together(count: usize, go: impl FnOnce(Vec<Socket>) + 'static) -> Rc<RefCell<Vec<RawPeer>>> {
    let raw = Rc::new(RawListener::bind());
    let sockets: Vec<Socket> = (0..count).map(|_| net::connect(raw.address()).expect("connect")).collect();
    let peers: Rc<RefCell<Vec<RawPeer>>> = Rc::default();
    let (left, go) = (Rc::new(Cell::new(count)), Rc::new(Cell::new(Some(go))));
    for socket in &sockets {
        let (peers, left, go) = (Rc::clone(&peers), left.clone(), go.clone());
        let (raw, sockets) = (raw.clone(), sockets.clone());
        socket.once_ready(move |_| {
            left.set(left.get() - 1);
            if left.get() > 0 {
                return;
            }
            peers.borrow_mut().extend(sockets.iter().map(|_| raw.accept()));
            go.take().expect("one last connection")(sockets);
            set_immediate(move || peers.borrow_mut().iter_mut().for_each(|peer: &mut RawPeer| peer.write(b"x")));
        });
    }
    peers
}

/// The ready list: a socket that an earlier one of the same turn destroys or pauses is not served any more, whichever the
/// kernel named first.
#[test]
fn law_5_a_ready_socket_may_be_destroyed_by_another() {
    law(|event_loop| {
        let log = Log::new();
        let peers = ready_together(3, move |sockets| {
            for socket in &sockets {
                let sockets = sockets.clone();
                socket.on_data(move |own, _| {
                    log.add("L", "data");
                    for other in &sockets {
                        if *other != own {
                            other.destroy();
                        }
                    }
                    set_immediate(move || {
                        own.destroy();
                    });
                });
                socket.on_close(move |_, had_error| log.add("L", format!("close({had_error})")));
                socket.on_end(|_| unreachable!("destroyed"));
            }
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("L", "data |x close(false) |x close(false) |x close(false)");
        drop(peers.take());
        assert_eq!(event_loop.connections(), 0);
    });
}

/// The same with `pause`: what was ready is kept for later.
#[test]
fn law_5_a_ready_socket_may_be_paused_by_another() {
    law(|event_loop| {
        let log = Log::new();
        let peers = ready_together(3, move |sockets| {
            let served = Rc::new(Cell::new(0));
            for socket in &sockets {
                let (sockets, served) = (sockets.clone(), served.clone());
                socket.on_data(move |own, bytes| {
                    served.set(served.get() + 1);
                    log.add("L", format!("data of {} bytes", bytes.len()));
                    if served.get() == 1 {
                        for other in sockets.iter().copied().filter(|other| *other != own) {
                            other.pause();
                            after_turns(4, move || {
                                log.add("L", "resume");
                                other.resume();
                            });
                        }
                    }
                    if served.get() == 3 {
                        sockets.iter().for_each(|socket| _ = socket.destroy());
                    }
                });
            }
        });
        event_loop.run().expect("no unhandled error");
        assert_eq!(
            log.texts_of("L"),
            ["data of 1 bytes", "resume", "data of 1 bytes", "resume", "data of 1 bytes"],
            "{}",
            log.whole()
        );
        drop(peers.take());
    });
}

/// The closing list: a socket that a `close` listener destroys closes in the next turn (M9), and one that connects again
/// in it does not disturb the others (M5: last one first).
#[test]
fn law_5_the_closing_list_may_grow_while_it_is_walked() {
    law(|event_loop| {
        let log = Log::new();
        let peers = ready_together(4, move |sockets| {
            let [a, b, c, d] = sockets[..] else { unreachable!("four sockets") };
            let port = a.peer_addr().expect("connected").port();
            a.on_close(move |_, _| log.add("L", "A"));
            b.on_close(move |_, _| {
                log.add("L", "B");
                d.destroy();
                set_immediate(move || log.add("L", "immediate"));
            });
            let mut closes = 0;
            c.on_close(move |c, _| {
                closes += 1;
                log.add("L", format!("C for the {closes}. time"));
                if closes == 1 {
                    c.connect(("127.0.0.1", port)).expect("connect again");
                    c.destroy();
                }
            });
            d.on_close(move |_, _| log.add("L", "D"));
            set_immediate(move || {
                a.destroy();
                b.destroy();
                c.destroy();
            });
        });
        event_loop.run().expect("no unhandled error");
        assert_eq!(
            log.texts_of("L"),
            ["C for the 1. time", "B", "A", "immediate", "D", "C for the 2. time"],
            "{}",
            log.whole()
        );
        drop(peers.take());
        assert_eq!(event_loop.connections(), 0);
    });
}

/// The tick queue: what a tick queues comes behind what was queued before it.
#[test]
fn law_5_the_tick_queue_may_grow_while_it_is_drained() {
    law(|event_loop| {
        let log = Log::new();
        for name in ["a", "b", "c"] {
            next_tick(move || {
                log.add("L", name);
                next_tick(move || {
                    log.add("L", format!("{name}{name}"));
                    if name == "b" {
                        next_tick(move || log.add("L", "bbb"));
                    }
                });
            });
        }
        set_immediate(move || log.add("L", "immediate"));
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("L"), ["a", "b", "c", "aa", "bb", "cc", "bbb", "immediate"]);
    });
}

/// TM6, TM7: immediates that clear others of the same phase, and queue new ones.
#[test]
fn law_5_immediates_may_clear_and_queue_immediates() {
    law(|event_loop| {
        let log = Log::new();
        let all: Rc<RefCell<Vec<Immediate>>> = Rc::default();
        for number in 0..6 {
            let others = all.clone();
            let immediate = set_immediate(move || {
                log.add("L", number);
                if number == 1 {
                    for cleared in [0, 1, 2, 5] {
                        others.borrow()[cleared].clear();
                    }
                    set_immediate(move || log.add("L", "new"));
                    next_tick(move || others.borrow()[3].clear());
                }
            });
            all.borrow_mut().push(immediate);
        }
        set_timeout(Duration::ZERO, || ());
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("L"), ["0", "1", "4", "new"]);
    });
}

/// TM7: timers that clear, refresh and add others of the same list and of other lists, while the list is served.
#[test]
fn law_5_timers_may_change_the_lists_while_they_are_served() {
    law(|event_loop| {
        let log = Log::new();
        let all: Rc<RefCell<Vec<Timer>>> = Rc::default();
        let millisecond = Duration::from_millis(1);
        for number in 0..6 {
            let (others, mut runs) = (all.clone(), 0);
            let timer = set_timeout(millisecond, move || {
                runs += 1;
                log.add("L", format!("{number}{}", if runs > 1 { " again" } else { "" }));
                if number == 1 && runs == 1 {
                    // Before it, itself, behind it, and one of another list.
                    others.borrow()[0].clear();
                    others.borrow()[1].clear();
                    others.borrow()[2].clear();
                    others.borrow()[3].refresh();
                    others.borrow()[6].clear();
                    set_timeout(millisecond, move || log.add("L", "new"));
                }
                if number == 4 {
                    let last = others.borrow()[5];
                    next_tick(move || last.clear());
                }
            });
            all.borrow_mut().push(timer);
        }
        all.borrow_mut().push(set_timeout(2 * millisecond, || unreachable!("cleared")));
        // All are due in one phase; what it arms anew waits for the next.
        busy(5 * millisecond);
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("L"), ["0", "1", "4", "3", "new"]);
        assert_eq!(event_loop.timers(), 0);
    });
}

/// Owed callbacks: each may give commands to the socket whose callbacks are being called.
#[test]
fn law_5_callbacks_may_write_and_destroy_while_callbacks_are_called() {
    law(|event_loop| {
        let log = Log::new();
        let server = net::create_server(|accepted| {
            accepted.on_data(|_, _| ());
            accepted.on_error(|_, _| ());
        });
        server.once_listening(move |server| {
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            // Four that are sent as one when the first one is through, and each callback adds another.
            client.on_ready(move |client| {
                client.write(vec![1; 20_000_000]);
                for name in ["a", "b", "c", "d"] {
                    client.write_with("bytes", move |client, result| {
                        log.add("C", format!("{name}: {}", result.is_ok()));
                        if name == "b" {
                            client.write_with("new", move |_, result| log.add("C", format!("new: {}", result.is_ok())));
                        }
                        if name == "c" {
                            client.destroy();
                        }
                    });
                }
            });
            client.on_close(move |_, _| {
                log.add("C", "close");
                server.release();
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("C"), ["a: true", "b: true", "c: true", "d: true", "new: true", "close"]);
        assert_eq!(event_loop.connections(), 0);
    });
}

/// Connections that wait while a `connection` listener closes, listens again, or releases the server.
#[test]
fn law_5_a_server_may_close_while_its_backlog_is_taken() {
    law(|event_loop| {
        for way in ["close", "release", "close and listen"] {
            let log = Log::new();
            let server = Server::new();
            let peers = Rc::new(RefCell::new(Vec::new()));
            let waiting = peers.clone();
            let relisten = Rc::new(Cell::new(false));
            let again = relisten.clone();
            server.on_listening(move |server| {
                if again.get() {
                    log.add("srv", "listening again");
                    server.release();
                    return;
                }
                let address = crate::support::loopback(port_of(server));
                waiting.borrow_mut().extend((0..5).map(|_| RawPeer::connect(address)));
            });
            server.on_connection(move |server, socket| {
                log.add("srv", "connection");
                socket.destroy();
                match way {
                    "close" => server.close(),
                    "release" => {
                        server.release();
                        server
                    }
                    _ => {
                        relisten.set(true);
                        server.close().listen(("127.0.0.1", 0)).expect("listen again")
                    }
                };
            });
            server.listen(("127.0.0.1", 0)).expect("listen");
            event_loop.run().expect("no unhandled error");
            // The others were reset with the acceptor.
            let expected: &[&str] =
                if way == "close and listen" { &["connection", "listening again"] } else { &["connection"] };
            assert_eq!(log.texts_of("srv"), expected, "{way}");
            drop(peers.take());
            server.release();
            assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0), "{way}");
        }
    });
}
