//! Buffers that fill and empty, pauses, timeouts.

use std::time::Duration;

use halfclose::net::ServerOptions;
use halfclose::{set_immediate, set_timeout};

use super::{Play, listen_to, same, same_everywhere, server_with, told, watch};

/// More than all buffers of a loopback connection hold.
const LARGE: usize = 24_000_000;

#[test]
fn full_buffers_drain_when_the_reader_resumes() {
    same_everywhere(&Play {
        accepted: |socket, log| {
            socket.pause();
            log.add("S", "paused");
            listen_to("S", socket, log);
            socket.pause();
            set_timeout(Duration::from_millis(30), move || {
                socket.resume();
            });
        },
        connecting: |client, log| {
            client.on_connect(move |client| {
                log.add("C", client.write_with(vec![1; LARGE], told("C", "large", log)));
                log.add("C", client.write_with("behind it", told("C", "small", log)));
            });
            client.on_drain(|client| {
                client.end();
            });
        },
        ..Play::default()
    });
}

#[test]
fn large_amounts_go_both_ways() {
    same_everywhere(&Play {
        accepted: |socket, log| {
            socket.end_data(vec![1; 500_000]);
            listen_to("S", socket, log);
        },
        connecting: |client, log| {
            client.end_data(vec![2; 500_000]);
            listen_to("C", client, log);
        },
        ..Play::default()
    });
}

#[test]
fn a_large_write_is_cut_off_by_destroy() {
    same_everywhere(&Play {
        accepted: |socket, _| {
            socket.pause();
            set_timeout(Duration::from_millis(20), move || {
                socket.destroy();
            });
        },
        connecting: |client, log| {
            client.write_with(vec![1; LARGE], told("C", "write", log));
            client.on_connect(|client| {
                set_immediate(move || {
                    client.destroy();
                });
            });
        },
        ..Play::default()
    });
}

#[test]
fn a_pipe_echoes() {
    same_everywhere(&Play {
        accepted: |socket, _| {
            socket.pipe(socket);
        },
        connecting: |client, log| {
            client.end_data(vec![3; 500_000]);
            listen_to("C", client, log);
        },
        ..Play::default()
    });
}

#[test]
fn pause_on_connect_leaves_the_bytes_in_the_kernel() {
    same_everywhere(&Play {
        server: || ServerOptions::new().pause_on_connect(true),
        accepted: |socket, log| {
            socket.on_data(move |_, bytes| log.add_data_bytes("S", bytes));
            set_immediate(move || {
                log.add("S", format!("resume {}", socket.bytes_read()));
                socket.resume();
            });
        },
        connecting: |client, _| {
            client.end_data("hello");
        },
        ..Play::default()
    });
}

#[test]
fn idle_timeouts_end_both() {
    same_everywhere(&Play {
        accepted: |socket, log| {
            socket.set_timeout(Duration::from_millis(40));
            socket.on_timeout(|socket| {
                socket.end();
            });
            listen_to("S", socket, log);
        },
        connecting: |client, log| {
            client.write("hello");
            listen_to("C", client, log);
        },
        ..Play::default()
    });
}

#[test]
fn small_writes_take_turns() {
    same_everywhere(&Play {
        accepted: |socket, log| {
            socket.on_data(move |socket, bytes| {
                log.add("S", String::from_utf8_lossy(bytes));
                socket.write(bytes);
            });
        },
        connecting: |client, log| {
            client.write("0");
            client.on_data(move |client, bytes| {
                log.add("C", String::from_utf8_lossy(bytes));
                let next = bytes[0] + 1;
                if next > b'5' {
                    client.end();
                } else {
                    client.write(&[next][..]);
                }
            });
        },
        ..Play::default()
    });
}

#[test]
fn a_readable_listener_reads_at_its_own_pace() {
    same_everywhere(&Play {
        accepted: |socket, log| {
            socket.on_readable(move |socket| {
                while let Some(bytes) = socket.read_exactly(4) {
                    log.add("S", String::from_utf8_lossy(&bytes));
                }
            });
        },
        connecting: |client, _| {
            client.write("onetwothree");
            client.on_connect(|client| {
                set_immediate(move || {
                    client.end_data("four");
                });
            });
        },
        ..Play::default()
    });
}

#[test]
fn too_many_connections_are_dropped() {
    same(|event_loop, log| {
        let server = server_with(log, move |socket| {
            watch("S", socket, log);
            socket.resume();
        });
        server.set_max_connections(Some(1));
        server
            .listen_with(("127.0.0.1", 0), move |server| {
                let port = server.address().expect("it listens").port();
                let open = std::rc::Rc::new(std::cell::Cell::new(2));
                for name in ["C", "D"] {
                    let client = halfclose::net::connect(("127.0.0.1", port)).expect("valid");
                    watch(name, client, log);
                    client.resume();
                    let open = open.clone();
                    client.on_close(move |_, _| {
                        open.set(open.get() - 1);
                        if open.get() == 0 {
                            server.close();
                        }
                    });
                    if name == "C" {
                        set_timeout(Duration::from_millis(20), move || {
                            client.end();
                        });
                    }
                }
            })
            .expect("valid");
        event_loop.run().expect("no unhandled error");
    });
}
