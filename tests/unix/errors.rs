//! What listening at a path fails with: S11, S18, S20, and the formats of section 1.8.

use std::path::PathBuf;

use halfclose::net::{self, ListenOptions, Server, ServerEvent};

use crate::support::{self, Log, watch_server};
use crate::{Directory, run_from_callback};

/// Listens at `path`, which has to fail with this message in a tick, after which the server listens elsewhere.
fn assert_refused(path: PathBuf, elsewhere: PathBuf, code: &'static str, message: String) {
    support::test(|event_loop| {
        let log = Log::new();
        run_from_callback(event_loop, move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.on_error(move |server, error| {
                assert_eq!(error.message(), message);
                assert_eq!((error.code(), error.syscall(), error.port()), (Some(code), Some("listen"), Some(-1)));
                assert_eq!(error.address().map(str::len), server.path().map(|path| path.as_os_str().len()));
                server.listen(&elsewhere).expect("listen");
            });
            server.on_listening(|server| {
                server.close();
            });
            server.listen(path).expect("listen");
            log.add("srv", format!("listen() {}", server.listening()));
        });
        log.assert_of("srv", &format!("listen() false ~ error(listen {code}) ~ listening ~ close"));
    });
}

/// S18: what is there already is in use and left alone, be it a file, a directory, or a socket that nobody holds.
#[test]
fn s18_what_exists_is_in_use() {
    let directory = Directory::new();
    std::fs::write(directory.path("file"), "kept").expect("a file");
    std::fs::create_dir(directory.path("directory")).expect("a directory");
    drop(std::os::unix::net::UnixListener::bind(directory.path("stale")).expect("a socket"));
    for name in ["file", "directory", "stale"] {
        let path = directory.path(name);
        let message = format!("listen EADDRINUSE: address already in use {}", path.display());
        assert_refused(path.clone(), directory.path("elsewhere"), "EADDRINUSE", message);
        assert!(path.exists(), "{name}");
    }
    assert_eq!(std::fs::read(directory.path("file")).expect("the file"), b"kept");
}

/// S18: a directory that is missing is said to be a matter of access; one that is none says so.
#[test]
fn s18_missing_directories() {
    let directory = Directory::new();
    std::fs::write(directory.path("file"), "").expect("a file");
    let path = directory.path("no/s");
    let message = format!("listen EACCES: permission denied {}", path.display());
    assert_refused(path, directory.path("elsewhere"), "EACCES", message);
    let path = directory.path("file/s");
    let message = format!("listen ENOTDIR: not a directory {}", path.display());
    assert_refused(path, directory.path("elsewhere"), "ENOTDIR", message);
}

/// S18: the length of the kernel's structure, to the byte; and a zero byte.
#[test]
fn s18_invalid_paths() {
    let most = if cfg!(target_os = "linux") { 108 } else { 104 };
    let directory = Directory::new();
    for path in [directory.path_of_length(most + 1), directory.path("a\0b")] {
        let message = format!("listen EINVAL: invalid argument {}", path.display());
        assert_refused(path, directory.path("elsewhere"), "EINVAL", message);
    }
    support::test(|event_loop| {
        let longest = directory.path_of_length(most);
        let server = net::create_server(|socket| {
            socket.end();
            socket.resume();
            socket.server().expect("its server").close();
        });
        server.listen(&longest).expect("listen");
        assert!(longest.exists());
        net::connect(&longest).expect("connect").resume();
        event_loop.run().expect("no unhandled error");
        assert!(!longest.exists());
    });
}

/// S18 for names without a file: somebody else's, and one that is too long.
#[test]
#[cfg(target_os = "linux")]
fn s18_abstract_names_fail_likewise() {
    let directory = Directory::new();
    let name = net::abstract_name(format!("halfclose-unix-{}-taken", std::process::id()));
    support::test(|event_loop| {
        let log = Log::new();
        let text = name.to_str().expect("text").to_owned();
        let (first, second) = (Server::new(), Server::new());
        first.listen(&name).expect("listen");
        second.on_error(move |_, error| {
            assert_eq!(error.message(), format!("listen EADDRINUSE: address already in use {text}"));
            log.add("srv", "error");
            first.close();
        });
        second.listen(&name).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "error");
    });
    let too_long = net::abstract_name("x".repeat(108));
    let message = format!("listen EINVAL: invalid argument {}", too_long.display());
    assert_refused(too_long, directory.path("elsewhere"), "EINVAL", message);
}

/// S17, S20, S2: what Node throws is an `Err`, the callback is not registered, and nothing has changed.
#[test]
fn s20_what_node_throws_is_an_err() {
    support::test(|_| {
        let server = Server::new();
        let error = server.listen_with(ListenOptions::new().path(""), |_| {}).map(|_| ()).expect_err("an empty path");
        assert_eq!(error.code(), Some("ERR_INVALID_ARG_VALUE"));
        assert_eq!(error.message(), "The argument 'options' is invalid. Received { path: '' }");
        if cfg!(target_os = "linux") {
            let options = ListenOptions::new().path(net::abstract_name("never bound"));
            let error =
                server.listen_with(options.clone().readable_all(true), |_| {}).map(|_| ()).expect_err("no file");
            assert_eq!(error.code(), Some("ERR_INVALID_ARG_VALUE"));
            assert_eq!(
                error.message(),
                "The argument 'options' can not set readableAll or writableAllt to true when path is abstract unix \
                 socket. Received { path: '\\x00never bound', readableAll: true }"
            );
            assert!(server.listen(options.writable_all(true)).is_err());
        }
        assert_eq!(server.listener_count(ServerEvent::Listening), 0);
        assert_eq!((server.listening(), server.path()), (false, None));
    });
}

/// S11: a second listen is an `Err`, and leaves path and file as they are.
#[test]
fn s11_a_server_listens_at_one_place() {
    support::test(|event_loop| {
        let directory = Directory::new();
        let (first, second) = (directory.path("first"), directory.path("second"));
        let server = Server::new();
        server.listen(&first).expect("listen");
        let error = server.listen(&second).map(|_| ()).expect_err("it listens");
        assert_eq!(error.code(), Some("ERR_SERVER_ALREADY_LISTEN"));
        assert!(server.listen(("127.0.0.1", 0)).is_err());
        assert!(first.exists() && !second.exists());
        assert_eq!(server.path(), Some(first));
        server.close();
        event_loop.run().expect("no unhandled error");
    });
}
