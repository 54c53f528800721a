//! Rules L70 to L80: the life of a server. S23 is L71 to L79: what `close` and its callbacks do.

use std::cell::RefCell;
use std::rc::Rc;

use halfclose::net::{self, Server, Socket};

use crate::support::{Log, Stage, in_a_loop, port_of, server_callback, watch_data, watch_server, watch_socket};
use crate::{consume, consume_as_client, plain_client, plain_server};

/// L70: without a host the server is bound when `listen` returns, and `listening` comes in a tick.
#[test]
fn l70_listen_on_a_port() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        server.listen(0).expect("listen");
        log.add("srv", bound(server));
        close_when_listening(server);
    });
    log.assert_of("srv", "[bound] ~ listening ~ close");
}

/// L70: with an address as host it is bound in a tick.
#[test]
fn l70_listen_on_an_address() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        server.listen(("127.0.0.1", 0)).expect("listen");
        log.add("srv", bound(server));
        server.on_listening(move |server| {
            log.add("srv", bound(server));
            server.close();
        });
    });
    log.assert_of("srv", "[not bound] ~ listening, [bound] ~ close");
}

/// L70: with a name as host it is bound when the name has been looked up.
#[test]
fn l70_listen_on_a_name() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        server.listen(("localhost", 0)).expect("listen");
        log.add("srv", bound(server));
        close_when_listening(server);
    });
    log.assert_of("srv", "[not bound] | ~ listening ~ close");
}

/// L71 and L75: `close()` without connections; its callback is a one-shot `close` listener and gets no error.
#[test]
fn l71_close() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        server.on_listening(move |server| {
            server.close_with(server_callback(&log, "srv", "closecb"));
            server.on_close(move |_| log.add("srv", "later listener"));
            log.add("srv", bound(server));
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of("srv", "listening, [not bound] ~ close, closecb, later listener");
}

/// L72: `close()` with a live connection refuses new ones at once, and `close` comes one tick after the last accepted
/// socket was destroyed, before that socket's own.
#[test]
fn l72_close_with_a_connection() {
    fn close(stage: Stage) {
        let server = stage.accepted().server().expect("an accepted socket");
        let port = port_of(server);
        server.close_with(server_callback(&stage.log, "S", "srv close"));
        let late = net::connect(("127.0.0.1", port)).expect("connect");
        watch_socket(&stage.log, "late", late);
        late.on_close(move |_, _| {
            stage.accepted().end();
        });
    }
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            stage.meet(2, move || close(stage));
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_ready(move |_| stage.meet(2, move || close(stage)));
        },
    );
    log.assert_of("S", "connection | ~ finish | ~ end ~ srv close |x close(false)");
    log.assert_after("C", "ready", "| ~ end | ~ finish |x close(false)");
    log.assert_of("srv", "listening | connection | ~ close");
    log.assert_of(
        "late",
        "connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) |x close(true)",
    );
}

/// L73: `close()` before `listening`, of a server that is bound: no `listening`, no error.
#[test]
fn l73_close_before_listening() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        server.listen_with(0, move |_| log.add("srv", "listencb")).expect("listen");
        server.close_with(server_callback(&log, "srv", "closecb"));
        log.add("srv", "[returned]");
    });
    log.assert_of("srv", "[returned] ~ close, closecb");
}

/// L73: … and of one that is not: the callback gets an error.
#[test]
fn l73_close_before_bound() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        server.listen_with(("127.0.0.1", 0), move |_| log.add("srv", "listencb")).expect("listen");
        server.close_with(server_callback(&log, "srv", "closecb"));
        log.add("srv", "[returned]");
    });
    log.assert_of("srv", "[returned] ~ close, closecb(ERR_SERVER_NOT_RUNNING)");
}

/// L74: `close()` of a server that never listened.
#[test]
fn l74_close_without_listen() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        server.close_with(server_callback(&log, "srv", "closecb"));
        log.add("srv", "[returned]");
    });
    log.assert_of("srv", "[returned] ~ close, closecb(ERR_SERVER_NOT_RUNNING)");
}

/// L74: two `close()` without connections emit `close` twice.
#[test]
fn l74_close_twice() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        server.on_listening(move |server| {
            server.close_with(server_callback(&log, "srv", "closecb1"));
            server.close_with(server_callback(&log, "srv", "closecb2"));
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of("srv", "listening ~ close, closecb1, closecb2(ERR_SERVER_NOT_RUNNING) ~ close");
}

/// L74: two `close()` with a live connection emit it once.
#[test]
fn l74_close_twice_with_a_connection() {
    let log = Stage::play(
        plain_server(),
        plain_client(),
        |stage, socket| {
            consume(stage, socket);
            let server = socket.server().expect("an accepted socket");
            server.close_with(server_callback(&stage.log, "srv", "closecb1"));
            server.close_with(server_callback(&stage.log, "srv", "closecb2"));
        },
        |stage, socket| {
            consume_as_client(stage, socket);
            socket.on_ready(|socket| {
                socket.end();
            });
        },
    );
    log.assert_of("srv", "listening | connection | ~ close, closecb1, closecb2(ERR_SERVER_NOT_RUNNING)");
}

/// L74: `close()` after a listen error.
#[test]
fn l74_close_after_a_listen_error() {
    let log = in_a_loop(|log| {
        with_a_port_in_use(move |occupant| {
            let server = watched(log);
            server.on_error(move |server, _| {
                server.close_with(server_callback(&log, "srv", "closecb"));
                occupant.close();
            });
            server.listen(("127.0.0.1", port_of(occupant))).expect("listen");
        });
    });
    log.assert_of("srv", "error(listen EADDRINUSE) ~ close, closecb(ERR_SERVER_NOT_RUNNING)");
}

/// L76: `close` then `listen` in one turn.
#[test]
fn l76_close_then_listen() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        server.once_listening(|server| {
            server.close();
            server.listen(0).expect("listen again");
            close_when_listening(server);
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of("srv", "listening ~ close ~ listening ~ close");
}

/// L76: `listen`, `close`, `listen` in one turn: `listening` comes twice, and the first one serves both callbacks.
#[test]
fn l76_listen_close_listen() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        server.listen_with(0, move |_| log.add("srv", "cb1")).expect("listen");
        server.close_with(server_callback(&log, "srv", "closecb"));
        server.listen_with(0, move |_| log.add("srv", "cb2")).expect("listen again");
        log.add("srv", "[returned]");
        halfclose::set_immediate(move || {
            server.close();
        });
    });
    log.assert_of("srv", "[returned] ~ listening, cb1, cb2 ~ close, closecb ~ listening | ~ close");
}

/// L77: `close` then `listen` while a connection lives: the first `close` is held back; both callbacks run with the
/// second.
#[test]
fn l77_close_then_listen_with_a_connection() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        server.once_listening(move |server| {
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            client.resume();
            server.once_connection(move |server, socket| {
                watch_socket(&log, "S", socket);
                watch_data(&log, "S", socket);
                server.close_with(server_callback(&log, "srv", "closecb1"));
                let listening = move |_| {
                    log.add("srv", "listencb");
                    client.end();
                };
                server.listen_with(("127.0.0.1", 0), listening).expect("listen again");
                socket.on_close(move |_, _| {
                    halfclose::set_immediate(move || {
                        log.add("srv", "[close]");
                        server.close_with(server_callback(&log, "srv", "closecb2"));
                    });
                });
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of("srv", "listening | connection ~ listening, listencb | [close] ~ close, closecb1, closecb2");
    log.assert_of("S", "end | ~ finish |x close(false)");
}

/// L78: a listen error: no `close`; after a successful retry both `listening` callbacks are called.
#[test]
fn l78_listen_error_and_retry() {
    let log = in_a_loop(|log| {
        with_a_port_in_use(move |occupant| {
            let server = watched(log);
            server.on_error(move |server, _| {
                log.add("srv", bound(server));
                occupant.close_with(move |_, _| {
                    let listening = move |server: Server| {
                        log.add("srv", "cb2");
                        server.close();
                    };
                    server.listen_with(("127.0.0.1", 0), listening).expect("listen again");
                });
            });
            let to = ("127.0.0.1", port_of(occupant));
            server.listen_with(to, move |_| log.add("srv", "cb1")).expect("listen");
        });
    });
    log.assert_of("srv", "error(listen EADDRINUSE), [not bound] ~ listening, cb1, cb2 ~ close");
}

/// L78: the same error without a host, where the bind happens inside `listen`: it is still an event.
#[test]
fn l78_listen_error_without_a_host() {
    let log = in_a_loop(|log| {
        let occupant = Server::new();
        occupant.listen(0).expect("listen");
        let port = port_of(occupant);
        let server = watched(log);
        server.on_error(move |_, error| {
            let message = format!("listen EADDRINUSE: address already in use :::{port}");
            assert_eq!(error.to_string(), message);
            occupant.close();
        });
        server.listen(port).expect("an event, not an error of the call");
        log.add("srv", bound(server));
    });
    log.assert_of("srv", "[not bound] ~ error(listen EADDRINUSE)");
}

/// L79: a failed `listen`, then `close` in one turn.
#[test]
fn l79_listen_error_then_close() {
    let log = in_a_loop(|log| {
        let occupant = Server::new();
        occupant.listen(0).expect("listen");
        let server = watched(log);
        server.on_error(move |_, _| {
            occupant.close();
        });
        server.listen(port_of(occupant)).expect("an event, not an error of the call");
        server.close_with(server_callback(&log, "srv", "closecb"));
        log.add("srv", "[returned]");
    });
    log.assert_of("srv", "[returned] ~ error(listen EADDRINUSE) ~ close, closecb(ERR_SERVER_NOT_RUNNING)");
}

/// L80: connections that wait to be accepted when the server closes are reset.
#[test]
fn l80_close_with_connections_waiting() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        server.on_listening(move |server| {
            let socket = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            watch_socket(&log, "C", socket);
            // The kernel is asked to connect in a tick; the server closes after it, and before anything is accepted.
            socket.once_connection_attempt(move |_, _| {
                halfclose::next_tick(move || {
                    server.close_with(server_callback(&log, "srv", "closecb"));
                });
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of("srv", "listening ~ close, closecb");
    log.assert_of(
        "C",
        "connectionAttempt | connectionAttemptFailed(ECONNRESET) ~ error(connect ECONNRESET) |x close(true)",
    );
}

/// L72 with several connections: only the last destroy counts, whoever closes last.
#[test]
fn l72_last_connection_counts() {
    let log = in_a_loop(|log| {
        let server = watched(log);
        let accepted: Rc<RefCell<Vec<Socket>>> = Rc::default();
        server.on_connection(move |server, socket| {
            socket.resume();
            accepted.borrow_mut().push(socket);
            let sockets = accepted.borrow().clone();
            if sockets.len() == 3 {
                server.close_with(server_callback(&log, "srv", "closecb"));
                halfclose::set_immediate(move || {
                    for socket in sockets {
                        socket.destroy();
                        log.add("srv", format!("{} left", server.connections()));
                    }
                });
            }
        });
        server.on_listening(move |server| {
            for _ in 0..3 {
                let socket = net::connect(("127.0.0.1", port_of(server))).expect("connect");
                socket.on_error(|_, _| {});
                socket.resume();
            }
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
    });
    log.assert_of("srv", "listening | connection | connection | connection | 2 left, 1 left, 0 left ~ close, closecb");
}

fn watched(log: Log) -> Server {
    let server = Server::new();
    watch_server(&log, "srv", server);
    server
}

/// Whether a server has a descriptor, which `listening` and `address` must agree about.
fn bound(server: Server) -> &'static str {
    assert_eq!(server.listening(), server.address().is_some());
    if server.listening() { "[bound]" } else { "[not bound]" }
}

fn close_when_listening(server: Server) {
    server.on_listening(|server| {
        server.close();
    });
}

/// Calls `then` with a server that listens on a port of 127.0.0.1.
fn with_a_port_in_use(then: impl FnOnce(Server) + 'static) {
    let occupant = Server::new();
    occupant.once_listening(then);
    occupant.listen(("127.0.0.1", 0)).expect("listen");
}
