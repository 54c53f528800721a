//! `Socket::peer_credentials`: who is at the other end.
//!
//! May touch: the public API, peers on std sockets, and the user that a thread of its own acts as. Invariant: what needs root
//! is skipped with a line where the tests are run by somebody else.

use std::io::Read;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use halfclose::EventLoop;
use halfclose::net::{self, ServerOptions, Socket, SocketOptions};

use crate::support::{self, Log, RawListener, in_thread};
use crate::{Directory, play};

/// What a socket says of its peer: whether it is this very process, and nothing of numbers that differ from run to run.
fn peer_of(socket: Socket) -> String {
    match socket.peer_credentials() {
        None => "nobody".to_owned(),
        Some(peer) if cfg!(target_os = "linux") && peer.pid != Some(std::process::id()) => format!("{peer:?}"),
        Some(_) => "this process".to_owned(),
    }
}

/// Logs it at every event of a connection.
fn watch_peer(log: Log, endpoint: &'static str, socket: Socket) {
    let told = move |event: &str, socket: Socket| log.add(endpoint, format!("{event}: {}", peer_of(socket)));
    socket.on_connect(move |socket| told("at connect", socket));
    socket.on_end(move |socket| told("at end", socket));
    socket.on_finish(move |socket| told("at finish", socket));
    socket.on_close(move |socket, _| told("at close", socket));
}

/// SP10: both ends know each other, from the beginning to the end and no longer, also when the other one has gone.
#[test]
fn sp10_both_ends_know_each_other() {
    let log = play(
        ServerOptions::new(),
        SocketOptions::new().allow_half_open(true),
        |log, socket| {
            log.add("S", format!("accepted: {}", peer_of(socket)));
            watch_peer(log, "S", socket);
            socket.end();
            socket.destroy_soon();
        },
        |log, socket| {
            log.add("C", format!("connecting: {}", peer_of(socket)));
            watch_peer(log, "C", socket);
            socket.on_end(|socket| {
                socket.end();
            });
        },
    );
    let told = |endpoint| log.texts_of(endpoint).into_iter().filter(|text| text.contains(": ")).collect::<Vec<_>>();
    assert_eq!(
        told("C"),
        [
            "connecting: nobody",
            "at connect: this process",
            "at end: this process",
            "at finish: this process",
            "at close: nobody"
        ]
    );
    assert_eq!(told("S")[0], "accepted: this process");
    assert_eq!(told("S").last().expect("it closed"), "at close: nobody");
}

/// SP10: one that never came to be connected has no peer, whenever it is asked.
#[test]
fn sp10_a_connect_that_failed_has_no_peer() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let socket = Socket::new();
        let told = move |event: &str| log.add("C", format!("{event}: {}", peer_of(socket)));
        socket.on_connection_attempt(move |_, _| told("attempt"));
        socket.on_connection_attempt_failed(move |_, _, _| told("attempt failed"));
        socket.on_error(move |_, _| told("error"));
        socket.on_close(move |_, _| told("close"));
        socket.connect(directory.path("nobody-listens")).expect("an attempt");
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("C"), ["attempt: nobody", "attempt failed: nobody", "error: nobody", "close: nobody"]);
    });
}

/// SP10: TCP tells nobody, and neither does a freed handle.
#[test]
fn sp10_only_unix_sockets_tell() {
    support::test(|_: &mut EventLoop| {
        let listener = RawListener::bind();
        let stream = TcpStream::connect(listener.address()).expect("a connection");
        let socket = Socket::from_std(stream).expect("adopted");
        assert_eq!(socket.peer_credentials(), None);
        socket.destroy();

        let (near, _far) = UnixStream::pair().expect("a pair");
        let socket = Socket::with_options(SocketOptions::new().fd(OwnedFd::from(near)).expect("a stream socket"));
        assert_eq!(peer_of(socket), "this process");
        socket.destroy();
        assert_eq!(socket.peer_credentials(), None);
        assert_eq!(Socket::new().peer_credentials(), None);
    });
}

/// SP10: it is the effective user and group of whoever connected, at that moment.
#[test]
#[cfg(target_os = "linux")]
fn sp10_another_user_is_told_apart() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    /// A user and group that own nothing.
    const NOBODY: libc::uid_t = 65_534;
    support::test(|event_loop| {
        let name = format!("halfclose-credentials-{}", std::process::id());
        let server = net::create_server(|socket| {
            let peer = socket.peer_credentials().expect("a unix socket");
            socket.end_data(format!("{} {} {}", peer.uid, peer.gid, peer.pid == Some(std::process::id())));
            socket.server().expect("the accepting server").close();
        });
        server.listen(net::abstract_name(&name)).expect("listen");
        let answer = in_thread(move || {
            // SAFETY: the calls have no memory of ours to touch. Made directly, they change this thread only, which ends.
            let changed = unsafe {
                libc::syscall(libc::SYS_setresgid, -1, NOBODY, -1) == 0
                    && libc::syscall(libc::SYS_setresuid, -1, NOBODY, -1) == 0
            };
            let mut stream = <SocketAddr as SocketAddrExt>::from_abstract_name(name)
                .and_then(|address| UnixStream::connect_addr(&address))
                .expect("everybody may connect to a name");
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("an answer");
            (changed, text)
        });
        event_loop.run().expect("no unhandled error");
        let (changed, text) = answer.join();
        if changed {
            assert_eq!(text, format!("{NOBODY} {NOBODY} true"));
        } else {
            println!("skipped: only root may act as somebody else");
        }
    });
}
