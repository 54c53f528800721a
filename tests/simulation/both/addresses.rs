//! Addresses, ports and paths: who has them, and what they look like.

use std::time::Duration;

use halfclose::net::{self, BoundSocket, ConnectOptions, ListenOptions, Server};
use halfclose::{EventLoop, set_timeout};

use super::{Play, listen_to, same, same_everywhere, server_with, unique_path, watch, watch_server};
use crate::support::Log;

/// Also who the peer of a unix socket is (SP10): the numbers are the kernel's, and not compared.
#[test]
fn addresses_are_known_as_long_as_the_connection() {
    fn show(name: &'static str, what: &str, socket: net::Socket, log: Log) {
        let (local, remote) = (socket.local_address(), socket.remote_address());
        let peer = (socket.peer_addr().is_some(), socket.peer_credentials().is_some());
        log.add(name, format!("{what} {local:?} {remote:?} {peer:?}"));
    }
    same_everywhere(&Play {
        accepted: |socket, log| {
            show("S", "accepted", socket, log);
            listen_to("S", socket, log);
            socket.on_end(move |socket| show("S", "at end", socket, log));
            socket.on_close(move |socket, _| show("S", "closed", socket, log));
        },
        connecting: |client, log| {
            show("C", "connecting", client, log);
            client.on_connect(move |client| {
                show("C", "connected", client, log);
                client.end();
            });
            client.on_close(move |client, _| show("C", "closed", client, log));
            client.resume();
        },
        ..Play::default()
    });
    // Nobody listens there.
    same(|event_loop, log| {
        let client = net::connect(unique_path()).expect("valid");
        client.on_connection_attempt_failed(move |client, _, _| show("C", "failed", client, log));
        client.on_error(move |client, _| show("C", "at error", client, log));
        event_loop.run().expect("no unhandled error");
    });
}

/// The simulated kernel's numbers are nobody's, so that a run does not depend on who runs it.
#[test]
fn simulated_credentials_are_always_the_same() {
    let mut event_loop = EventLoop::simulated(1).expect("a loop");
    let log = Log::new();
    let server = net::create_server(move |socket| {
        log.add("S", format!("{:?}", socket.peer_credentials().expect("a unix socket")));
        socket.destroy();
        socket.server().expect("the accepting server").close();
    });
    let path = unique_path();
    server.listen(ListenOptions::new().path(&path).mode(0o600)).expect("listen");
    net::connect(path).expect("valid");
    event_loop.run().expect("no unhandled error");
    assert_eq!(log.texts_of("S"), ["PeerCredentials { pid: Some(1000), uid: 1000, gid: 1000 }"]);
}

/// A client of `server` that says goodbye at once; the server closes then.
fn visit(server: Server, options: ConnectOptions, log: Log) {
    let client = net::connect(options).expect("valid");
    watch("C", client, log);
    client.on_connect(move |client| {
        log.add("C", format!("{:?} {:?}", client.local_address(), client.remote_address()));
        client.end();
    });
    client.resume();
    client.on_close(move |_, _| {
        server.close();
    });
}

fn accepting(log: Log) -> Server {
    server_with(log, move |socket| {
        log.add("S", format!("{:?} {:?}", socket.local_address(), socket.remote_address()));
        watch("S", socket, log);
        socket.resume();
    })
}

#[test]
fn the_unspecified_address_takes_all() {
    same(|event_loop, log| {
        let server = accepting(log);
        server
            .listen_with(("0.0.0.0", 0), move |server| {
                let port = server.address().expect("it listens").port();
                visit(server, ConnectOptions::new().host("127.0.0.1").port(port), log);
            })
            .expect("valid");
        event_loop.run().expect("no unhandled error");
    });
}

#[test]
fn a_dual_stack_server_sees_mapped_addresses() {
    same(|event_loop, log| {
        let server = accepting(log);
        server
            .listen_with(("::", 0), move |server| {
                let port = server.address().expect("it listens").port();
                visit(server, ConnectOptions::new().host("127.0.0.1").port(port), log);
            })
            .expect("valid");
        event_loop.run().expect("no unhandled error");
    });
}

#[test]
fn a_client_chooses_its_local_address() {
    same(|event_loop, log| {
        let server = accepting(log);
        server
            .listen_with(("127.0.0.1", 0), move |server| {
                let port = server.address().expect("it listens").port();
                let options = ConnectOptions::new().host("127.0.0.1").port(port);
                visit(server, options.local_address("127.0.0.9"), log);
            })
            .expect("valid");
        event_loop.run().expect("no unhandled error");
    });
}

#[test]
fn ports_and_paths_are_in_use_while_somebody_listens() {
    fn program(
        event_loop: &mut EventLoop,
        log: Log,
        first: ListenOptions,
        again: impl Fn(Server) -> ListenOptions + 'static,
    ) {
        let server = server_with(log, |_| {});
        server
            .listen_with(first, move |server| {
                let second = Server::new();
                watch_server(second, log);
                second.listen(again(server)).expect("valid");
                let third = again(server);
                second.on_error(move |second, _| {
                    server.close();
                    let third = third.clone();
                    second.listen(third).expect("valid");
                });
                second.on_listening(|second| {
                    second.close();
                });
            })
            .expect("valid");
        event_loop.run().expect("no unhandled error");
    }
    same(|event_loop, log| {
        let first = ListenOptions::new().host("127.0.0.1").port(0);
        program(event_loop, log, first, |server| {
            ListenOptions::new().host("127.0.0.1").port(server.address().expect("it listens").port())
        });
    });
    same(|event_loop, log| {
        let path = unique_path();
        program(event_loop, log, ListenOptions::new().path(path.clone()), move |_| {
            ListenOptions::new().path(path.clone())
        });
    });
}

#[test]
fn a_port_is_free_again_while_its_connections_live() {
    same(|event_loop, log| {
        let server = accepting(log);
        server
            .listen_with(("127.0.0.1", 0), move |server| {
                let port = server.address().expect("it listens").port();
                let client = net::connect(("127.0.0.1", port)).expect("valid");
                watch("C", client, log);
                client.resume();
                client.on_ready(move |client| {
                    set_timeout(Duration::from_millis(10), move || {
                        server.close();
                        let second = server_with(log, |_| {});
                        second
                            .listen_with(("127.0.0.1", port), move |second| {
                                client.end();
                                second.close();
                            })
                            .expect("valid");
                    });
                });
            })
            .expect("valid");
        event_loop.run().expect("no unhandled error");
    });
}

#[test]
fn bound_sockets_listen_and_connect() {
    same(|event_loop, log| {
        let bound = BoundSocket::new(("127.0.0.1", 0)).expect("a port");
        let address = bound.address().expect("not adopted").expect("an address");
        log.add("srv", format!("{} {}", address.ip(), address.port() > 0));
        let server = accepting(log);
        server
            .listen_with(&bound, move |server| {
                assert_eq!(server.address(), Some(address));
                visit(server, ConnectOptions::new().host("127.0.0.1").port(address.port()), log);
            })
            .expect("valid");
        event_loop.run().expect("no unhandled error");
        log.add("srv", bound.address().is_err());
    });
}

#[test]
fn abstract_names_need_no_file() {
    same(|event_loop, log| {
        let name = format!("halfclose-both-{}", std::process::id());
        let server = accepting(log);
        let target = name.clone();
        server
            .listen_with(net::abstract_name(&name), move |server| {
                visit(server, ConnectOptions::new().path(net::abstract_name(&target)), log);
            })
            .expect("valid");
        event_loop.run().expect("no unhandled error");
        let client = net::connect(ConnectOptions::new().path(net::abstract_name(&name))).expect("valid");
        watch("C", client, log);
        event_loop.run().expect("no unhandled error");
    });
}

#[test]
fn deferred_connections_come_with_their_first_bytes() {
    same(|event_loop, log| {
        let server = server_with(log, move |socket| {
            log.add("S", "connection");
            watch("S", socket, log);
            socket.on_data(move |_, bytes| log.add_data_bytes("S", bytes));
        });
        let options = ListenOptions::new().host("127.0.0.1").port(0).defer_accept(Duration::from_secs(5));
        server
            .listen_with(options, move |server| {
                let port = server.address().expect("it listens").port();
                let client = net::connect(("127.0.0.1", port)).expect("valid");
                watch("C", client, log);
                client.on_ready(move |client| {
                    set_timeout(Duration::from_millis(20), move || {
                        client.end_data("hello");
                    });
                });
                client.on_close(move |_, _| {
                    server.close();
                });
                client.resume();
            })
            .expect("valid");
        event_loop.run().expect("no unhandled error");
    });
}

#[test]
fn who_finds_the_backlog_full_asks_again_a_second_later() {
    same(|event_loop, log| {
        // A backlog of one has room for two (listen(2), `sk_acceptq_is_full`).
        let server = server_with(log, |socket| {
            socket.resume();
        });
        let began = event_loop.simulation().map_or_else(Time::real, Time::Virtual);
        server
            .listen_with(ListenOptions::new().host("127.0.0.1").port(0).backlog(1), move |server| {
                let port = server.address().expect("it listens").port();
                let open = std::rc::Rc::new(std::cell::Cell::new(3));
                for _ in 0..3 {
                    let client = net::connect(("127.0.0.1", port)).expect("valid");
                    let (open, began) = (open.clone(), began.clone());
                    client.on_connect(move |client| {
                        log.add("C", format!("connect after {} s", began.elapsed().as_secs()));
                        client.end();
                    });
                    client.resume();
                    client.on_close(move |_, _| {
                        open.set(open.get() - 1);
                        if open.get() == 0 {
                            server.close();
                        }
                    });
                }
            })
            .expect("valid");
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("C").concat().matches("after 1 s").count(), 1);
    });
}

/// The time since the program began, as its loop sees it.
#[derive(Clone)]
enum Time {
    Real(std::time::Instant),
    Virtual(halfclose::simulation::Simulation),
}

impl Time {
    fn real() -> Time {
        Time::Real(std::time::Instant::now())
    }

    fn elapsed(&self) -> Duration {
        match self {
            Time::Real(began) => began.elapsed(),
            Time::Virtual(simulation) => simulation.now(),
        }
    }
}
