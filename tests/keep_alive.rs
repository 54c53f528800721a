//! C45, the options form of Node 26: `set_keep_alive_with`.
//!
//! May touch: the public API, and through `support/kernel.rs` what the kernel knows. Linux only.
#![cfg(target_os = "linux")]

#[path = "support/kernel.rs"]
mod kernel;
mod support;

use std::time::Duration;

use halfclose::net::{ConnectOptions, KeepAliveOptions, ServerOptions, Socket};
use socket2::SockRef;
use support::Stage;

/// Whether probes are made, after how long, how often, how many.
type Probes = (bool, u64, u64, u32);

fn probes(socket: Socket) -> Probes {
    let (local, peer) = (socket.local_port().expect("a port"), socket.remote_port().expect("a port"));
    kernel::connected(local, peer, |descriptor| {
        let socket = SockRef::from(&descriptor);
        let seconds = |time: std::io::Result<Duration>| time.expect("a time").as_secs();
        (
            socket.keepalive().expect("SO_KEEPALIVE"),
            seconds(socket.tcp_keepalive_time()),
            seconds(socket.tcp_keepalive_interval()),
            socket.tcp_keepalive_retries().expect("TCP_KEEPCNT"),
        )
    })
}

fn options(delay_ms: u64) -> KeepAliveOptions {
    KeepAliveOptions::new().enable(true).initial_delay(Duration::from_millis(delay_ms))
}

/// C45: what Node 26 sets for each call, one after the other on one socket.
#[test]
fn c45_the_interval_and_the_count_of_probes() {
    let seconds = Duration::from_secs;
    let half = Duration::from_millis(500);
    Stage::play(
        ServerOptions::new(),
        ConnectOptions::new(),
        |_, accepted| {
            accepted.resume();
        },
        move |_, client| {
            client.once_connect(move |client| {
                let (_, idle, interval, count) = probes(client);
                let rows: [(KeepAliveOptions, Probes); 10] = [
                    (options(0).interval(seconds(5)).count(3), (true, idle, interval, count)),
                    (options(5000), (true, 5, 1, 10)),
                    (options(5000).interval(seconds(7)).count(4), (true, 5, 7, 4)),
                    // Half a second is none, and no probe at all makes no sense: the times stay.
                    (options(6000).interval(half).count(9), (true, 5, 7, 4)),
                    (options(6000).interval(seconds(9)).count(0), (true, 5, 7, 4)),
                    (options(5000).interval(seconds(9)), (true, 5, 9, 10)),
                    (options(5000).count(6), (true, 5, 1, 6)),
                    (options(6999).interval(seconds(2)).count(2), (true, 6, 2, 2)),
                    (KeepAliveOptions::new().initial_delay(seconds(9)), (false, 6, 2, 2)),
                    (options(6999).interval(seconds(2)).count(2), (true, 6, 2, 2)),
                ];
                for (row, (options, expected)) in rows.into_iter().enumerate() {
                    client.set_keep_alive_with(options);
                    assert_eq!(probes(client), expected, "row {row}");
                }
                client.set_keep_alive(true, seconds(8));
                assert_eq!(probes(client), (true, 8, 1, 10), "the short form forgets them");
                client.end();
            });
        },
    );
}

/// C45, C48: remembered before there is a connection.
#[test]
fn c45_probes_are_remembered_until_connect() {
    Stage::play(
        ServerOptions::new(),
        ConnectOptions::new(),
        |_, accepted| {
            accepted.resume();
        },
        |_, client| {
            let unlike_any_default = Duration::from_secs(7);
            // In `listening`, before the attempt: there is a handle only at `connect`.
            client.set_keep_alive_with(options(5000).interval(unlike_any_default).count(4));
            client.once_connect(|client| {
                assert_eq!(probes(client), (true, 5, 7, 4));
                client.end();
            });
        },
    );
}
