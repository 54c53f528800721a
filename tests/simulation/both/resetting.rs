//! Resets, in every state that one can come in.

use halfclose::net::SocketOptions;
use halfclose::{next_tick, set_immediate};

use super::{Over, Play, listen_to, same_everywhere, same_on, told, turns_later};

const TCP: &[Over] = &[Over::Tcp];

#[test]
fn unread_bytes_make_a_close_a_reset() {
    same_everywhere(&Play {
        accepted: |socket, _| {
            socket.pause();
            set_immediate(move || {
                socket.destroy();
            });
        },
        connecting: |client, log| {
            client.write("nobody reads this");
            listen_to("C", client, log);
        },
        ..Play::default()
    });
}

#[test]
fn the_client_resets_when_connected() {
    same_on(
        TCP,
        &Play {
            accepted: |socket, log| listen_to("S", socket, log),
            connecting: |client, _| {
                client.on_connect(|client| {
                    client.reset_and_destroy().expect("tcp");
                });
            },
            ..Play::default()
        },
    );
}

#[test]
fn the_server_resets_what_it_accepts() {
    same_on(
        TCP,
        &Play {
            accepted: |socket, _| {
                socket.reset_and_destroy().expect("tcp");
            },
            connecting: |client, log| {
                listen_to("C", client, log);
                client.write_with("too late", told("C", "write", log));
            },
            ..Play::default()
        },
    );
}

#[test]
fn bytes_before_a_reset_are_still_read() {
    same_on(
        TCP,
        &Play {
            accepted: |socket, _| {
                socket.write("bytes");
                socket.reset_and_destroy().expect("tcp");
            },
            connecting: |client, log| listen_to("C", client, log),
            ..Play::default()
        },
    );
}

#[test]
fn a_reset_while_paused_is_found_by_the_next_read() {
    same_on(
        TCP,
        &Play {
            accepted: |socket, _| {
                socket.write("bytes");
                set_immediate(move || {
                    socket.reset_and_destroy().expect("tcp");
                });
            },
            connecting: |client, log| {
                listen_to("C", client, log);
                client.pause();
                client.on_connect(move |client| {
                    turns_later(3, move || {
                        log.add("C", "resume");
                        client.resume();
                    });
                });
            },
            ..Play::default()
        },
    );
}

#[test]
fn a_reset_while_paused_is_found_by_the_next_write() {
    same_on(
        TCP,
        &Play {
            accepted: |socket, _| {
                set_immediate(move || {
                    socket.reset_and_destroy().expect("tcp");
                });
            },
            connecting: |client, log| {
                client.pause();
                client.on_connect(move |client| {
                    turns_later(3, move || {
                        client.write_with("too late", told("C", "write", log));
                    });
                });
            },
            ..Play::default()
        },
    );
}

#[test]
fn a_reset_during_a_large_write() {
    same_on(
        TCP,
        &Play {
            accepted: |socket, _| {
                socket.pause();
                turns_later(2, move || {
                    socket.reset_and_destroy().expect("tcp");
                });
            },
            connecting: |client, log| {
                client.write_with(vec![1; 32_000_000], told("C", "write", log));
                listen_to("C", client, log);
            },
            ..Play::default()
        },
    );
}

#[test]
fn a_reset_after_the_own_end() {
    same_on(
        TCP,
        &Play {
            server: || halfclose::net::ServerOptions::new().allow_half_open(true),
            accepted: |socket, log| {
                listen_to("S", socket, log);
                socket.on_end(|socket| {
                    set_immediate(move || {
                        socket.reset_and_destroy().expect("tcp");
                    });
                });
            },
            connecting: |client, log| {
                listen_to("C", client, log);
                client.end();
            },
            ..Play::default()
        },
    );
}

#[test]
fn a_reset_after_the_peers_end() {
    same_on(
        TCP,
        &Play {
            client: || SocketOptions::new().allow_half_open(true),
            accepted: |socket, _| {
                socket.resume();
                socket.end_data("bye");
                socket.on_finish(|socket| {
                    turns_later(2, move || {
                        socket.reset_and_destroy().expect("tcp");
                    });
                });
            },
            connecting: |client, log| {
                listen_to("C", client, log);
                client.on_end(move |client| {
                    turns_later(4, move || {
                        client.write_with("too late", told("C", "write", log));
                    });
                });
            },
            ..Play::default()
        },
    );
}

#[test]
fn both_reset_at_once() {
    same_on(
        TCP,
        &Play {
            accepted: |socket, _| {
                set_immediate(move || {
                    socket.reset_and_destroy().expect("tcp");
                });
            },
            connecting: |client, _| {
                client.on_connect(|client| {
                    set_immediate(move || {
                        client.reset_and_destroy().expect("tcp");
                    });
                });
            },
            ..Play::default()
        },
    );
}

#[test]
fn a_reset_while_connecting_waits_for_the_connection() {
    same_on(
        TCP,
        &Play {
            accepted: |socket, log| listen_to("S", socket, log),
            connecting: |client, _| {
                client.on_connection_attempt(|client, _| {
                    next_tick(move || {
                        client.reset_and_destroy().expect("tcp");
                    });
                });
            },
            ..Play::default()
        },
    );
}

#[test]
fn a_listener_that_closes_with_input_unread_resets_both_ways() {
    same_everywhere(&Play {
        accepted: |socket, log| {
            socket.pause();
            socket.write_with("from the server", told("S", "write", log));
            set_immediate(move || {
                socket.destroy();
            });
        },
        connecting: |client, log| {
            client.pause();
            client.write("from the client");
            listen_to("C", client, log);
            client.on_connect(move |client| {
                turns_later(2, move || {
                    log.add("C", "resume");
                    client.resume();
                });
            });
        },
        ..Play::default()
    });
}
