//! Listening at a path: S2, S10, S12, S16-S20, N13.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use halfclose::net::{self, ListenOptions, Server};

use crate::support::{self, Log, watch_server};
use crate::{Directory, mode_of, run_from_callback};

/// A server that is watched as `srv`, and closes as soon as it listens.
fn short_lived_server(log: &Log) -> Server {
    let server = Server::new();
    watch_server(log, "srv", server);
    server.on_listening(|server| {
        server.close();
    });
    server
}

/// S16: bound within the call, to which `listening` is a tick; the file goes when the server closes.
#[test]
fn s16_the_call_itself_binds() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        let expected = path.clone();
        run_from_callback(event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.on_listening(move |server| {
                assert!(path.exists());
                server.close();
                assert!(!path.exists());
                log.add("srv", "[closed]");
            });
            server.listen(expected.as_path()).expect("listen");
            assert!(server.listening());
            assert!(expected.exists());
            // The kernel completes connections from here on, before any event.
            drop(UnixStream::connect(&expected).expect("a connection"));
            log.add("srv", "listen()");
        });
        log.assert_of("srv", "listen() ~ listening, [closed] ~ close");
    });
}

/// S10: the path from the call on, and for ever after; an address of the internet takes its place while it listens there.
#[test]
fn s10_the_server_remembers_its_path() {
    support::test(|event_loop| {
        let directory = Directory::new();
        let path = directory.path("s");
        let server = Server::new();
        assert_eq!(server.path(), None);
        server.listen(&path).expect("listen");
        assert_eq!((server.path(), server.address()), (Some(path.clone()), None));
        server.close();
        assert_eq!((server.path(), server.address()), (Some(path.clone()), None));
        server.listen(("127.0.0.1", 0)).expect("listen");
        server.on_listening({
            let path = path.clone();
            move |server| {
                assert_eq!(server.path(), None);
                assert!(server.address().is_some());
                server.close();
                assert_eq!((server.path(), server.address()), (Some(path.clone()), None));
            }
        });
        event_loop.run().expect("no unhandled error");
        server.release();
        assert_eq!(server.path(), None);
    });
}

/// S10: also when it could not listen there.
#[test]
fn s10_the_path_of_a_failed_listen_is_remembered() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("file");
        std::fs::write(&path, "not a socket").expect("a file");
        run_from_callback(event_loop, move || {
            let server = Server::new();
            server.on_error(move |server, _| log.add("srv", server.path().is_some()));
            server.listen(&path).expect("listen");
            log.add("srv", server.path() == Some(path));
            log.add("srv", server.listening());
        });
        log.assert_of("srv", "true, false ~ true");
    });
}

/// S2: a port wins over a path, in whatever order they are set.
#[test]
fn s2_a_port_wins_over_a_path() {
    support::test(|event_loop| {
        let directory = Directory::new();
        let path = directory.path("s");
        for options in [ListenOptions::new().path(&path).port(0), ListenOptions::new().port(0).path(&path)] {
            let server = Server::new();
            server.listen(options.host("127.0.0.1").readable_all(true)).expect("listen");
            server.on_listening({
                let path = path.clone();
                move |server| {
                    assert!(server.address().is_some());
                    assert!(!path.exists());
                    server.close();
                }
            });
            event_loop.run().expect("no unhandled error");
        }
    });
}

/// S16: a host does not make it a matter of the internet.
#[test]
fn s16_a_host_means_nothing_for_a_path() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        let options = ListenOptions::new().host("no.such.host.invalid").path(&path).reuse_port(true).ipv6_only(true);
        run_from_callback(event_loop, move || {
            short_lived_server(&log).listen(options).expect("listen");
            log.add("srv", "listen()");
        });
        log.assert_of("srv", "listen() ~ listening ~ close");
    });
}

/// S17: the mode is set, the owner's part included; without either option the mask decides.
#[test]
fn s17_modes() {
    support::test(|event_loop| {
        let directory = Directory::new();
        let plain = directory.path("plain");
        let server = Server::new();
        server.listen(&plain).expect("listen");
        let by_mask = mode_of(&plain);
        // What bind gives a socket: everything that the mask leaves.
        assert_eq!(by_mask & 0o700, 0o700);
        server.close();
        for (readable, writable, expected) in
            [(false, false, by_mask), (true, false, 0o444), (false, true, 0o222), (true, true, 0o666)]
        {
            let path = directory.path("s");
            let server = Server::new();
            let options = ListenOptions::new().path(&path).readable_all(readable).writable_all(writable);
            server.listen(options).expect("listen");
            assert_eq!(mode_of(&path), expected, "{readable} {writable}");
            server.close();
            assert!(!path.exists());
        }
        event_loop.run().expect("no unhandled error");
    });
}

/// S12: the same path again, right after `close`.
#[test]
fn s12_a_server_listens_again_at_its_path() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        run_from_callback(event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.once_listening(move |server| {
                server.close();
                server.listen(&path).expect("listen again");
                server.once_listening(move |server| {
                    assert!(path.exists());
                    server.close();
                    assert!(!path.exists());
                });
            });
            server.listen(directory.path("s")).expect("listen");
            // The directory is needed for as long as the server listens.
            server.on_close(move |_| {
                let _ = &directory;
            });
        });
        log.assert_of("srv", "listening ~ close ~ listening ~ close");
    });
}

/// S19, N13: a file of the same name that is not ours is left alone. Node would remove it.
#[test]
fn n13_close_removes_its_own_file_only() {
    support::test(|event_loop| {
        let directory = Directory::new();
        let path = directory.path("s");
        let first = net::create_server(|_| {});
        first.listen(&path).expect("listen");
        std::fs::remove_file(&path).expect("the first one's file");
        let second = net::create_server(|_| {});
        second.listen(&path).expect("listen");
        let inode = std::fs::metadata(&path).expect("a file").ino();
        first.close();
        assert_eq!(std::fs::metadata(&path).expect("it is still there").ino(), inode);
        drop(UnixStream::connect(&path).expect("a connection"));
        second.close();
        assert!(!path.exists());
        event_loop.run().expect("no unhandled error");
    });
}

/// S19: a file that somebody removed already is nobody's trouble.
#[test]
fn s19_close_after_the_file_was_removed() {
    support::test(|event_loop| {
        let (log, directory) = (Log::new(), Directory::new());
        let path = directory.path("s");
        run_from_callback(event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.listen(&path).expect("listen");
            std::fs::remove_file(&path).expect("the file");
            server.close();
        });
        log.assert_of("srv", "close");
    });
}

/// Whoever drops the server's owner drops the file: `release`, and the loop itself.
#[test]
fn the_file_goes_with_the_server_and_with_the_loop() {
    let directory = Directory::new();
    let (released, abandoned) = (directory.path("released"), directory.path("abandoned"));
    support::test(|_| {
        let server = Server::new();
        server.listen(&released).expect("listen");
        server.release();
        assert!(!released.exists());
        Server::new().listen(&abandoned).expect("listen");
        assert!(abandoned.exists());
    });
    assert!(!abandoned.exists());
}

/// S7: the backlog is passed on: one connection more than it says waits, and the next one is refused by the kernel.
#[test]
#[cfg(target_os = "linux")]
fn s7_the_backlog_is_the_kernels() {
    support::test(|event_loop| {
        let directory = Directory::new();
        let path = directory.path("s");
        let server = Server::new();
        server.listen(ListenOptions::new().path(&path).backlog(1)).expect("listen");
        let log = Log::new();
        server.on_connection(|_, socket| {
            socket.destroy();
        });
        let outcomes = std::rc::Rc::new(std::cell::Cell::new(0));
        for _ in 0..3 {
            let socket = net::connect(&path).expect("connect");
            socket.on_error(move |_, error| log.add("C", error.code().unwrap_or("none")));
            let outcomes = outcomes.clone();
            socket.on_close(move |_, _| {
                outcomes.set(outcomes.get() + 1);
                if outcomes.get() == 3 {
                    server.close();
                }
            });
            socket.resume();
        }
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "EAGAIN");
    });
}

/// S20: a name without a file.
#[test]
#[cfg(target_os = "linux")]
fn s20_abstract_names() {
    support::test(|event_loop| {
        let log = Log::new();
        let name = net::abstract_name(format!("halfclose-unix-{}\0with a zero byte", std::process::id()));
        let expected = name.clone();
        run_from_callback(event_loop, move || {
            let server = net::create_server(move |socket| {
                socket.end_data("hi");
                socket.on_close(move |_, _| {
                    socket.server().expect("its server").close();
                });
            });
            watch_server(&log, "srv", server);
            server.listen(&name).expect("listen");
            assert_eq!(server.path().as_deref(), Some(&*name));
            let client = net::connect(&name).expect("connect");
            support::watch_socket(&log, "C", client);
            support::watch_data_bytes(&log, "C", client);
            server.on_close(move |server| assert_eq!(server.path().as_deref(), Some(&*name)));
        });
        assert!(expected.to_string_lossy().starts_with('\0'));
        assert!(!Path::new(&expected.to_string_lossy()[1..]).exists());
        log.assert_of("C", "connect, ready | data(hi) | ~ end | ~ finish |x close(false)");
        log.assert_of("srv", "listening | connection |x ~ close");
    });
}
