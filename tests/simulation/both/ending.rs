//! Ends in either order, and closes at every moment.

use halfclose::net::{ConnectOptions, ServerOptions, SocketOptions};
use halfclose::{net, next_tick, set_immediate};

use super::{Over, Play, echo, listen_to, same, same_everywhere, same_on, server_with, told, watch};

#[test]
fn an_echo_and_an_end() {
    same_everywhere(&Play {
        accepted: echo,
        connecting: |client, log| {
            client.end_data("hello");
            listen_to("C", client, log);
        },
        ..Play::default()
    });
}

#[test]
fn both_end_at_once() {
    same_everywhere(&Play {
        accepted: |socket, log| {
            socket.end();
            listen_to("S", socket, log);
        },
        connecting: |client, log| {
            client.end();
            listen_to("C", client, log);
        },
        ..Play::default()
    });
}

#[test]
fn the_server_answers_after_the_end() {
    same_everywhere(&Play {
        server: || ServerOptions::new().allow_half_open(true),
        accepted: |socket, log| {
            listen_to("S", socket, log);
            socket.on_end(|socket| {
                set_immediate(move || {
                    socket.write("late ");
                    socket.end_data("answer");
                });
            });
        },
        connecting: |client, log| {
            client.end_data("question");
            listen_to("C", client, log);
        },
        ..Play::default()
    });
}

#[test]
fn the_client_goes_on_after_the_servers_end() {
    same_everywhere(&Play {
        client: || SocketOptions::new().allow_half_open(true),
        accepted: |socket, log| {
            listen_to("S", socket, log);
            socket.end_data("no more from here");
        },
        connecting: |client, log| {
            listen_to("C", client, log);
            client.on_end(|client| {
                client.write("and ");
                set_immediate(move || {
                    client.end_data("from there");
                });
            });
        },
        ..Play::default()
    });
}

#[test]
fn data_comes_with_the_end() {
    same_everywhere(&Play {
        accepted: |socket, log| {
            socket.end_data("all there is");
            listen_to("S", socket, log);
        },
        connecting: |client, log| listen_to("C", client, log),
        ..Play::default()
    });
}

#[test]
fn the_end_waits_while_the_reader_is_paused() {
    same_everywhere(&Play {
        accepted: |socket, log| {
            socket.end_data("all there is");
            listen_to("S", socket, log);
        },
        connecting: |client, log| {
            listen_to("C", client, log);
            client.pause();
            client.on_connect(move |client| {
                set_immediate(move || {
                    log.add("C", "resume");
                    client.resume();
                });
            });
        },
        ..Play::default()
    });
}

#[test]
fn the_client_is_destroyed_when_connected() {
    same_everywhere(&Play {
        accepted: |socket, log| listen_to("S", socket, log),
        connecting: |client, _| {
            client.on_connect(|client| {
                client.destroy();
            });
        },
        ..Play::default()
    });
}

#[test]
fn the_server_destroys_what_it_accepts() {
    same_everywhere(&Play {
        accepted: |socket, _| {
            socket.destroy();
        },
        connecting: |client, log| listen_to("C", client, log),
        ..Play::default()
    });
}

#[test]
fn the_server_destroys_at_the_first_bytes() {
    same_everywhere(&Play {
        accepted: |socket, log| {
            socket.on_data(move |socket, _| {
                log.add_data("S");
                socket.destroy();
            });
        },
        connecting: |client, log| {
            client.write("bytes");
            listen_to("C", client, log);
        },
        ..Play::default()
    });
}

#[test]
fn the_client_leaves_before_it_is_accepted() {
    // In the kernel it is connected by then, so that the server finds a connection and its end.
    same_everywhere(&Play {
        accepted: |socket, log| listen_to("S", socket, log),
        connecting: |client, _| {
            next_tick(move || {
                next_tick(move || {
                    client.destroy();
                });
            });
        },
        ..Play::default()
    });
}

#[test]
fn destroy_soon_finishes_first() {
    same_everywhere(&Play {
        accepted: |socket, log| listen_to("S", socket, log),
        connecting: |client, log| {
            client.write_with("last words", told("C", "written", log));
            client.destroy_soon();
            listen_to("C", client, log);
        },
        ..Play::default()
    });
}

#[test]
fn writes_after_the_peer_has_gone() {
    same_on(
        &[Over::Tcp],
        &Play {
            client: || SocketOptions::new().allow_half_open(true),
            accepted: |socket, _| {
                socket.resume();
                socket.on_data(|socket, _| {
                    socket.destroy();
                });
            },
            connecting: |client, log| {
                listen_to("C", client, log);
                client.write("hello");
                client.on_end(move |client| {
                    // The first is answered with a reset, which the second finds.
                    client.write_with("one", told("C", "one", log));
                    set_immediate(move || {
                        client.write_with("two", told("C", "two", log));
                    });
                });
            },
            ..Play::default()
        },
    );
}

#[test]
fn a_unix_socket_learns_at_once_that_its_peer_has_gone() {
    same_on(
        &[Over::Unix],
        &Play {
            client: || SocketOptions::new().allow_half_open(true),
            accepted: |socket, _| {
                socket.on_data(|socket, _| {
                    socket.destroy();
                });
            },
            connecting: |client, log| {
                listen_to("C", client, log);
                client.write("hello");
                client.on_end(move |client| {
                    client.write_with("one", told("C", "one", log));
                });
            },
            ..Play::default()
        },
    );
}

#[test]
fn a_closed_server_refuses_those_who_wait() {
    same(|event_loop, log| {
        let server = server_with(log, move |_| log.add("S", "connection"));
        server
            .listen_with(("127.0.0.1", 0), move |server| {
                let port = server.address().expect("it listens").port();
                let client = net::connect(("127.0.0.1", port)).expect("valid");
                watch("C", client, log);
                listen_to("C", client, log);
                // After the tick in which the connect begins, and before the poll phase that would accept it.
                next_tick(move || {
                    next_tick(move || {
                        server.close();
                    });
                });
            })
            .expect("valid");
        event_loop.run().expect("no unhandled error");
    });
}

#[test]
fn nobody_listens() {
    same(|event_loop, log| {
        let server = server_with(log, |_| {});
        server
            .listen_with(("127.0.0.1", 0), move |server| {
                let port = server.address().expect("it listens").port();
                server.close();
                let client = net::connect(("127.0.0.1", port)).expect("valid");
                watch("C", client, log);
                client.write_with("never sent", told("C", "write", log));
            })
            .expect("valid");
        event_loop.run().expect("no unhandled error");
    });
    same(|event_loop, log| {
        let client = net::connect(ConnectOptions::new().path(super::unique_path())).expect("valid");
        watch("C", client, log);
        event_loop.run().expect("no unhandled error");
    });
}

#[test]
fn a_socket_connects_again() {
    same_everywhere(&Play {
        accepted: |socket, log| {
            echo(socket, log);
            socket.write("first");
        },
        connecting: |client, log| {
            listen_to("C", client, log);
            client.on_ready(|client| {
                client.end();
            });
            client.once_close(|client, _| {
                if let Some(address) = client.peer_addr() {
                    let again = ConnectOptions::new().host("127.0.0.1").port(address.port());
                    client.connect(again).expect("valid");
                }
            });
        },
        ..Play::default()
    });
}

#[test]
fn corked_writes_are_one() {
    same_everywhere(&Play {
        accepted: |socket, log| {
            socket.on_data(move |_, bytes| log.add_data_bytes("S", bytes));
        },
        connecting: |client, log| {
            client.on_connect(move |client| {
                client.cork();
                client.write_with("one ", told("C", "one", log));
                client.write_with("two ", told("C", "two", log));
                client.uncork();
                client.end_data("three");
            });
        },
        ..Play::default()
    });
}
