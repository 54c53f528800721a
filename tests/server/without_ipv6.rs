//! A machine without IPv6 (S4): a server without a host falls back to `0.0.0.0`.
//!
//! May touch: the public API and, through `support/kernel.rs`, the system call filter of one thread. Linux only.
//! Invariant: the filter is never taken back, so the thread ends with its test.

use std::net::{IpAddr, Ipv4Addr};

use halfclose::EventLoop;
use halfclose::net::{Family, Server};

use crate::kernel::forbid_ipv6;
use crate::support::{self, Log, RawPeer, loopback, port_of, watch_server};
use crate::{run_from_callback, state};

/// S4, S34: the server listens on `0.0.0.0` inside the call, and its peers have IPv4 addresses.
#[test]
fn s4_without_ipv6_the_server_listens_on_all_ipv4_addresses() {
    let body = || {
        if !forbid_ipv6() {
            return;
        }
        let mut event_loop = EventLoop::new().expect("a loop");
        let log = Log::new();
        run_from_callback(&mut event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.on_connection(move |server, socket| {
                assert_eq!(socket.remote_address(), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
                assert_eq!(socket.remote_family(), Some(Family::IPv4));
                socket.destroy();
                server.close();
            });
            server.listen(0).expect("listen");
            log.add("srv", state(server));
            drop(RawPeer::connect(loopback(port_of(server))));
        });
        log.assert_of("srv", "listening, 0.0.0.0 ~ listening | connection ~ close");
    };
    support::within(support::DEADLINE, || support::in_thread(body).join());
}

/// S4: an address family that was asked for by its address does not fall back.
#[test]
fn s4_an_ipv6_host_does_not_fall_back() {
    let body = || {
        if !forbid_ipv6() {
            return;
        }
        let mut event_loop = EventLoop::new().expect("a loop");
        let log = Log::new();
        run_from_callback(&mut event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.on_error(|_, error| {
                let text = error.to_string();
                assert_eq!(text, "listen EAFNOSUPPORT: address family not supported ::1");
            });
            server.listen(("::1", 0)).expect("no error yet");
            log.add("srv", state(server));
        });
        log.assert_of("srv", "not listening, no address ~ error(listen EAFNOSUPPORT)");
    };
    support::within(support::DEADLINE, || support::in_thread(body).join());
}
