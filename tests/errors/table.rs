//! The rows of table 1.8 that the neighbouring files do not have: each with its exact message and every member.
//!
//! May touch, beside what the neighbours touch: files in the system's directory for temporary ones.

use std::fs::File;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use halfclose::Error;
use halfclose::net::{
    self, AbortController, BlockList, BoundSocket, ConnectOptions, ListenOptions, Socket, SocketAddress, SocketOptions,
};

use crate::support::{self, Log, loopback, watch_socket};
use crate::{all_of, client_error, record_errors, server_error, with_peer};

/// A path of this test's own, where nothing is.
fn free_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("halfclose-errors-{}-{name}", std::process::id()))
}

/// L7: the address is the path, and there is no port.
#[test]
fn connect_to_a_path_failed() {
    support::test(|event_loop| {
        let log = Log::new();
        let path = free_path("connect");
        let shown = path.display().to_string();
        let error = client_error(event_loop, log, move || net::connect(path));
        assert_eq!(
            error,
            format!(
                "connect ENOENT {shown} {{code: ENOENT, errno: {}, syscall: connect, address: {shown}}}",
                -libc::ENOENT
            )
        );
        log.assert_of("C", "connect() | connectionAttemptFailed(ENOENT) ~ error(connect ENOENT) |x close(true)");
    });
}

/// S18: the address is the path, and the port -1.
#[test]
fn listen_at_a_path_failed() {
    let file = free_path("file");
    std::fs::write(&file, "kept").expect("a file");
    let rows = [
        (file.clone(), "EADDRINUSE", libc::EADDRINUSE, "address already in use"),
        (free_path("missing").join("s"), "EACCES", libc::EACCES, "permission denied"),
    ];
    support::test(|event_loop| {
        for (path, code, number, description) in rows {
            let log = Log::new();
            let shown = path.display().to_string();
            let error = server_error(event_loop, log, ListenOptions::new().path(path));
            assert_eq!(
                error,
                format!(
                    "listen {code}: {description} {shown} {{code: {code}, errno: {}, syscall: listen, \
                     address: {shown}, port: -1}}",
                    -number
                )
            );
            log.assert_of("srv", &format!("listen() ~ error(listen {code})"));
        }
    });
    std::fs::remove_file(file).expect("the file");
}

/// S14: there is no address, and no port.
#[test]
fn listen_on_a_descriptor_that_cannot() {
    support::test(|event_loop| {
        let log = Log::new();
        let descriptor = File::open("/dev/null").expect("a file");
        let error = server_error(event_loop, log, ListenOptions::new().fd(descriptor));
        let errno = -libc::EINVAL;
        assert_eq!(error, format!("listen EINVAL: invalid argument {{code: EINVAL, errno: {errno}, syscall: listen}}"));
        log.assert_of("srv", "listen() ~ error(listen EINVAL)");
    });
}

/// C40: rejected within the call, so the message tells the local end; the members do not.
#[test]
fn connect_while_connecting() {
    let (holder, port) = support::refusing_port();
    let (local_holder, local_port) = support::local_port();
    support::test(|event_loop| {
        let log = Log::new();
        let options = ConnectOptions::new().host("127.0.0.1").port(port);
        let error = client_error(event_loop, log, move || {
            let client = net::connect(options.clone().local_address("127.0.0.1").local_port(local_port))?;
            client.connect(options)
        });
        assert_eq!(
            error,
            format!(
                "connect EALREADY 127.0.0.1:{port} - Local (127.0.0.1:{local_port}) {{code: EALREADY, errno: {}, \
                 syscall: connect, address: 127.0.0.1, port: {port}}}",
                -libc::EALREADY
            )
        );
        log.assert_of(
            "C",
            "connect() ~ connectionAttempt ~ connectionAttempt ~ error(connect EALREADY) |x close(true)",
        );
    });
    drop((holder, local_holder));
}

/// C26: the error of several addresses has a code, and nothing else of its own.
#[test]
fn connect_to_several_addresses_failed() {
    let (holder, port) = support::refusing_port();
    support::test(|event_loop| {
        let log = Log::new();
        let error = client_error(event_loop, log, move || {
            let addresses = ["127.0.0.1", "127.0.0.2"].map(|address| address.parse::<IpAddr>().expect("an address"));
            let mut list = BlockList::new();
            list.add_address("127.0.0.2")?;
            let options = ConnectOptions::new().host("h").port(port).block_list(&list);
            let client = net::connect(options.lookup(move |_, callback| callback.resolve(addresses)))?;
            client.on_error(move |_, error| error.errors().iter().for_each(|error| log.add("each", all_of(error))));
            Ok(client)
        });
        assert_eq!(error, " {code: ECONNREFUSED}");
        let refused = format!(
            "connect ECONNREFUSED 127.0.0.1:{port} {{code: ECONNREFUSED, errno: {}, syscall: connect, \
             address: 127.0.0.1, port: {port}}}",
            -libc::ECONNREFUSED
        );
        let blocked = "IP(127.0.0.2) is blocked by net.BlockList {code: ERR_IP_BLOCKED}";
        assert_eq!(log.texts_of("each"), [refused.as_str(), blocked]);
        // The first attempt began within the call, because the lookup was answered there.
        log.assert_of(
            "C",
            "connect() | connectionAttemptFailed(ECONNREFUSED), connectionAttemptFailed(ERR_IP_BLOCKED) \
             ~ error(ECONNREFUSED) |x close(true)",
        );
    });
    drop(holder);
}

/// A call that Node throws from.
type Call = fn() -> Result<(), Error>;

/// What Node throws is an `Err`, with a code and nothing else. Ports that do not fit, values of other types, `null`, unknown
/// encodings and families cannot be said here.
#[test]
fn what_node_throws() {
    let rows: [(&str, Call); 11] = [
        ("The \"options\" or \"port\" or \"path\" argument must be specified {code: ERR_MISSING_ARGS}", || {
            net::connect(ConnectOptions::new()).map(drop)
        }),
        ("Invalid IP address: foo {code: ERR_INVALID_IP_ADDRESS}", || {
            net::connect(ConnectOptions::new().port(1).local_address("foo")).map(drop)
        }),
        (
            "The property 'options.host' must be a string without null bytes. Received 'a\\x00b' \
             {code: ERR_INVALID_ARG_VALUE}",
            || net::connect(("a\0b", 1)).map(drop),
        ),
        (
            "The argument 'hostname' must be a string without null bytes. Received 'a\\x00b' \
             {code: ERR_INVALID_ARG_VALUE}",
            || net::Server::new().listen(("a\0b", 1)).map(drop),
        ),
        (
            "The value of \"options.autoSelectFamilyAttemptTimeout\" is out of range. It must be >= 1 && <= 2147483647. \
             Received 0 {code: ERR_OUT_OF_RANGE}",
            || {
                let options = ConnectOptions::new().port(1).auto_select_family_attempt_timeout(Duration::ZERO);
                net::connect(options).map(drop)
            },
        ),
        ("Invalid socket address {code: ERR_INVALID_ADDRESS}", || BlockList::new().add_address("127.1")),
        ("Invalid socket address {code: ERR_INVALID_ADDRESS}", || "x".parse::<SocketAddress>().map(drop)),
        ("Unsupported fd type: FILE {code: ERR_INVALID_FD_TYPE}", || {
            SocketOptions::new().fd(File::open("/dev/null").expect("a file")).map(drop)
        }),
        ("Unsupported fd type: UDP {code: ERR_INVALID_FD_TYPE}", || {
            SocketOptions::new().fd(UdpSocket::bind(loopback(0)).expect("bind")).map(drop)
        }),
        ("This handle type cannot be sent {code: ERR_INVALID_HANDLE_TYPE}", || {
            let (own, _peer) = UnixStream::pair().expect("a pair");
            let socket = Socket::with_options(SocketOptions::new().fd(own)?);
            let outcome = socket.reset_and_destroy().map(drop);
            assert!(!socket.destroyed());
            socket.destroy();
            outcome
        }),
        ("The bound socket has already been adopted by a server or socket {code: ERR_SOCKET_HANDLE_ADOPTED}", || {
            let bound = BoundSocket::new(loopback(0))?;
            bound.close()?;
            bound.close()
        }),
    ];
    support::test(|event_loop| {
        for (expected, call) in rows {
            assert_eq!(all_of(&call().expect_err(expected)), expected);
        }
        event_loop.run().expect("no unhandled error");
        assert_eq!(event_loop.connections(), 0);
    });
}

/// C30, C50: errors of no system call, of a socket that connects.
#[test]
fn what_keeps_a_socket_from_connecting() {
    support::test(|event_loop| {
        let log = Log::new();
        let error = client_error(event_loop, log, || {
            let mut list = BlockList::new();
            list.add_address("127.0.0.1")?;
            net::connect(ConnectOptions::new().host("127.0.0.1").port(1).block_list(&list))
        });
        assert_eq!(error, "IP(127.0.0.1) is blocked by net.BlockList {code: ERR_IP_BLOCKED}");
        log.assert_of("C", "connect() ~ connectionAttempt ~ error(ERR_IP_BLOCKED) |x close(true)");

        let log = Log::new();
        let error = client_error(event_loop, log, move || {
            let controller = AbortController::new();
            let client = net::connect(ConnectOptions::new().port(1).host("127.0.0.1").signal(&controller.signal()))?;
            client.on_error(move |_, error| {
                let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<Error>());
                log.add("cause", all_of(cause.expect("a reason")));
            });
            halfclose::next_tick(move || controller.abort());
            Ok(client)
        });
        assert_eq!(error, "The operation was aborted {code: ABORT_ERR}");
        log.assert_of("cause", "This operation was aborted {code: ABORT_ERR}");
        log.assert_of("C", "connect() ~ connectionAttempt ~ error(ABORT_ERR) |x close(true)");
    });
}

/// F31: too late to give bytes back.
#[test]
fn unshift_after_end() {
    support::test(|event_loop| {
        let log = Log::new();
        with_peer(
            event_loop,
            ConnectOptions::new(),
            |client| {
                watch_socket(&log, "C", client);
                record_errors(&log, "error", client);
                client.on_end(|client| {
                    client.unshift("x");
                });
                client.resume();
            },
            |_, peer| peer.close(),
        );
        log.assert_of("error", "stream.unshift() after end event {code: ERR_STREAM_UNSHIFT_AFTER_END_EVENT}");
        log.assert_of(
            "C",
            "connectionAttempt | connect, ready | ~ end ~ error(ERR_STREAM_UNSHIFT_AFTER_END_EVENT) |x close(true)",
        );
    });
}
