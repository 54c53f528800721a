//! Errors of connecting, binding, listening and looking up, and of servers that are asked twice.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream};

use halfclose::Error;
use halfclose::net::{self, ConnectOptions, ListenOptions, Server, Socket};

use crate::support::{self, Log, RawListener, server_callback, watch_server};
use crate::{A_MOMENT, NOT_OURS, UNRESOLVABLE, all_of, client_error, server_error};

/// L7: refused.
#[test]
fn connect_refused() {
    let (holder, port) = support::refusing_port();
    support::test(|event_loop| {
        let log = Log::new();
        let error = client_error(event_loop, log, move || net::connect(("127.0.0.1", port)));
        assert_eq!(
            error,
            format!(
                "connect ECONNREFUSED 127.0.0.1:{port} {{code: ECONNREFUSED, errno: {}, syscall: connect, \
                 address: 127.0.0.1, port: {port}}}",
                -libc::ECONNREFUSED
            )
        );
        log.assert_of(
            "C",
            "connect() ~ connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) \
             |x close(true)",
        );
    });
    drop(holder);
}

/// L7, L8: the failed attempt and the callbacks of what was written carry the same error as `error`.
#[test]
fn connect_refused_everywhere_it_is_told() {
    let (holder, port) = support::refusing_port();
    support::test(|event_loop| {
        let log = Log::new();
        let client = net::connect(("127.0.0.1", port)).expect("connect");
        let tell = move |what: &str, error: &Error| log.add("C", format!("{what}: {error}"));
        client.on_connection_attempt_failed(move |_, attempt, error| {
            assert_eq!((attempt.address(), attempt.port()), ("127.0.0.1", Some(port)));
            tell("failed", error);
        });
        client.on_error(move |client, error| {
            tell("error", error);
            assert_eq!(client.errored().map(|error| all_of(&error)), Some(all_of(error)));
        });
        client.on_close(move |_, had_error| log.add("C", format!("close({had_error})")));
        for name in ["first write", "second write"] {
            client.write_with("x", move |_, result| tell(name, result.expect_err("never sent")));
        }
        client.end_with(move |_, result| tell("end", result.expect_err("never sent")));
        event_loop.run().expect("no unhandled error");
        let refused = format!("connect ECONNREFUSED 127.0.0.1:{port}");
        log.assert_of(
            "C",
            &format!(
                "failed: {refused} ~ error: {refused} |x close(true), first write: Socket closed before the connection \
                 was established, second write: {refused}, end: {refused}"
            ),
        );
    });
    drop(holder);
}

/// Port 0 is left out.
#[test]
fn connect_refused_at_port_zero() {
    support::test(|event_loop| {
        let log = Log::new();
        let error = client_error(event_loop, log, || net::connect(("127.0.0.1", 0)));
        assert_eq!(
            error,
            format!(
                "connect ECONNREFUSED 127.0.0.1 {{code: ECONNREFUSED, errno: {}, syscall: connect, address: 127.0.0.1}}",
                -libc::ECONNREFUSED
            )
        );
    });
}

/// The local side is told when both of its parts were given, and only then.
#[test]
fn connect_refused_with_a_local_side() {
    let (holder, port) = support::refusing_port();
    let (local_holder, local_port) = support::local_port();
    let errno = -libc::ECONNREFUSED;
    let start = format!("connect ECONNREFUSED 127.0.0.1:{port}");
    let members = format!("code: ECONNREFUSED, errno: {errno}, syscall: connect, address: 127.0.0.1, port: {port}");
    let plain = format!("{start} {{{members}}}");
    let options = || ConnectOptions::new().host("127.0.0.1").port(port);
    let rows = [
        (
            options().local_address("127.0.0.1").local_port(local_port),
            format!(
                "{start} - Local (127.0.0.1:{local_port}) {{{members}, localAddress: 127.0.0.1, localPort: {local_port}}}"
            ),
        ),
        (options().local_address("127.0.0.5"), plain.clone()),
        (options().local_port(local_port), plain),
    ];
    support::test(|event_loop| {
        for (row, (options, expected)) in rows.into_iter().enumerate() {
            let log = Log::new();
            let error = client_error(event_loop, log, move || net::connect(options));
            assert_eq!(error, expected, "row {row}");
            log.assert_of(
                "C",
                "connect() ~ connectionAttempt | connectionAttemptFailed(ECONNREFUSED) ~ error(connect ECONNREFUSED) \
                 |x close(true)",
            );
        }
    });
    drop((holder, local_holder));
}

/// A connect that the kernel rejects inside the call has no failed attempt, and tells the local side in the message.
#[test]
fn connect_rejected_at_once() {
    // A link-local address on the loopback interface, which normally has none: there is no route, nothing is sent.
    let address = SocketAddrV6::new("fe80::1".parse().expect("an address"), 1, 0, 1);
    let rejected = TcpStream::connect_timeout(&SocketAddr::V6(address), A_MOMENT);
    if rejected.map_err(|error| error.raw_os_error()).err() != Some(Some(libc::ENETUNREACH)) {
        println!("skipped: this machine has no unreachable address on its loopback interface");
        return;
    }
    support::test(|event_loop| {
        let log = Log::new();
        let error = client_error(event_loop, log, || net::connect(("fe80::1%lo", 1)));
        assert_eq!(
            error,
            format!(
                "connect ENETUNREACH fe80::1%lo:1 - Local (:::0) {{code: ENETUNREACH, errno: {}, syscall: connect, \
                 address: fe80::1%lo, port: 1}}",
                -libc::ENETUNREACH
            )
        );
        log.assert_of("C", "connect() ~ connectionAttempt ~ error(connect ENETUNREACH) |x close(true)");
    });
}

/// A family that the kernel does not have: there is not even a socket whose local side could be told.
#[test]
#[cfg(target_os = "linux")]
fn connect_without_the_address_family() {
    let body = || {
        if !crate::kernel::forbid_ipv6() {
            return;
        }
        let log = Log::new();
        let mut event_loop = halfclose::EventLoop::new().expect("a loop");
        let error = client_error(&mut event_loop, log, || net::connect(("::1", 1)));
        assert_eq!(
            error,
            format!(
                "connect EAFNOSUPPORT ::1:1 - Local (undefined:undefined) {{code: EAFNOSUPPORT, errno: {}, \
                 syscall: connect, address: ::1, port: 1}}",
                -libc::EAFNOSUPPORT
            )
        );
        log.assert_of("C", "connect() ~ connectionAttempt ~ error(connect EAFNOSUPPORT) |x close(true)");
    };
    support::within(support::DEADLINE, || support::in_thread(body).join());
}

/// C5: the address and port of a failed bind are the local ones.
#[test]
fn bind_failed() {
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().host("127.0.0.1").port(1).local_address(NOT_OURS).local_port(4567);
        let error = client_error(event_loop, log, move || net::connect(options));
        assert_eq!(
            error,
            format!(
                "bind EADDRNOTAVAIL {NOT_OURS}:4567 {{code: EADDRNOTAVAIL, errno: {}, syscall: bind, \
                 address: {NOT_OURS}, port: 4567}}",
                -libc::EADDRNOTAVAIL
            )
        );
        log.assert_of("C", "connect() ~ error(bind EADDRNOTAVAIL) |x close(true)");
    });
}

/// L78: port in use, on one address and on all.
#[test]
fn listen_port_in_use() {
    let holder = RawListener::bind();
    let port = holder.port();
    support::test(|event_loop| {
        // Without a host, `::` where there is IPv6.
        let any = if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() { "::" } else { "0.0.0.0" };
        for (options, address) in [
            (ListenOptions::new().port(port).host("127.0.0.1"), "127.0.0.1"),
            (ListenOptions::new().port(port).host("0.0.0.0"), "0.0.0.0"),
            (ListenOptions::new().port(port), any),
        ] {
            let log = Log::new();
            let error = server_error(event_loop, log, options);
            assert_eq!(
                error,
                format!(
                    "listen EADDRINUSE: address already in use {address}:{port} {{code: EADDRINUSE, errno: {}, \
                     syscall: listen, address: {address}, port: {port}}}",
                    -libc::EADDRINUSE
                )
            );
            log.assert_of("srv", "listen() ~ error(listen EADDRINUSE)");
        }
    });
}

/// An address that this machine does not have; port 0 is left out.
#[test]
fn listen_address_not_available() {
    support::test(|event_loop| {
        for (port, shown, member) in [(0, NOT_OURS.to_owned(), ""), (5555, format!("{NOT_OURS}:5555"), ", port: 5555")]
        {
            let log = Log::new();
            let error = server_error(event_loop, log, ListenOptions::new().host(NOT_OURS).port(port));
            assert_eq!(
                error,
                format!(
                    "listen EADDRNOTAVAIL: address not available {shown} {{code: EADDRNOTAVAIL, errno: {}, \
                     syscall: listen, address: {NOT_OURS}{member}}}",
                    -libc::EADDRNOTAVAIL
                )
            );
            log.assert_of("srv", "listen() ~ error(listen EADDRNOTAVAIL)");
        }
    });
}

/// L9, S5: a name that does not resolve, for a client and for a server. There is no attempt and no address.
#[test]
fn name_lookup_failed() {
    // Text that only looks like an address is a name, too. These two cannot be names either, so nobody is asked.
    for host in [UNRESOLVABLE, "a..b"] {
        let expected = format!(
            "getaddrinfo ENOTFOUND {host} {{code: ENOTFOUND, errno: -3008, syscall: getaddrinfo, hostname: {host}}}"
        );
        support::test(|event_loop| {
            let log = Log::new();
            assert_eq!(client_error(event_loop, log, move || net::connect((host, 1))), expected);
            log.assert_of("C", "connect() | ~ error(getaddrinfo ENOTFOUND) |x close(true)");
            let log = Log::new();
            assert_eq!(server_error(event_loop, log, ListenOptions::new().host(host).port(0)), expected);
            log.assert_of("srv", "listen() | error(getaddrinfo ENOTFOUND)");
        });
    }
}

/// A NUL cannot be part of a name; the call says so, and the socket stays usable.
#[test]
fn hosts_with_a_nul_are_refused_by_the_call() {
    support::test(|event_loop| {
        for host in ["localhost\0x", "\0", "127.0.0.1\0"] {
            let client = Socket::new();
            let error = client.connect((host, 1)).expect_err("no host");
            assert_eq!(error.code(), Some("ERR_INVALID_ARG_VALUE"), "{error}");
            assert!(!client.connecting() && !client.destroyed());
            client.release();
            let server = Server::new();
            let error = server.listen((host, 0)).expect_err("no host");
            assert_eq!(error.code(), Some("ERR_INVALID_ARG_VALUE"), "{error}");
            assert!(!server.listening());
            server.release();
        }
        event_loop.run().expect("no unhandled error");
        assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0));
    });
}

/// L74, L75, S11: what a server says when it is asked to do what it does already, or not at all.
#[test]
fn servers_that_listen_already_or_not_at_all() {
    support::test(|event_loop| {
        let log = Log::new();
        halfclose::set_immediate(move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.close_with(move |_, result| log.add("srv", all_of(result.expect_err("not running"))));
            server.listen(0).expect("listen");
            let error = server.listen(0).expect_err("listening");
            assert_eq!(
                all_of(&error),
                "Listen method has been called more than once without closing. {code: ERR_SERVER_ALREADY_LISTEN}"
            );
            server.once_listening(move |server| {
                server.close_with(server_callback(&log, "srv", "closed"));
            });
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of(
            "srv",
            "close, Server is not running. {code: ERR_SERVER_NOT_RUNNING} ~ listening ~ close, closed",
        );
    });
}
