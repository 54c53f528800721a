//! `ListenOptions::mode`: who may connect, said exactly.
//!
//! May touch: the public API, files of the test's own, and the user that a thread of its own acts as. Invariant: what needs
//! root is skipped with a line where the tests are run by somebody else.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use halfclose::net::{self, BoundSocket, ListenOptions, Server, ServerEvent};

use crate::support::{self, in_thread};
use crate::{Directory, mode_of};

/// A user and group that own nothing.
const NOBODY: u32 = 65_534;

/// SP10: exactly what was asked for, whatever the mask takes away, from the call on. The other two options say nothing then.
#[test]
fn sp10_the_mode_is_exact() {
    support::test(|event_loop| {
        let directory = Directory::new();
        for mode in [0o600, 0o660, 0o666, 0o777, 0o002, 0] {
            for all in [false, true] {
                let path = directory.path("s");
                let options = ListenOptions::new().path(&path).mode(mode).readable_all(all).writable_all(all);
                let server = Server::new().listen(options).expect("listen");
                assert_eq!(mode_of(&path), mode, "{mode:#o}");
                server.close();
                assert!(!path.exists());
            }
        }
        event_loop.run().expect("no unhandled error");
    });
}

/// SP10: whoever is not let in by the mode cannot connect; the owner can.
#[test]
#[cfg(target_os = "linux")]
fn sp10_others_stay_outside() {
    support::test(|event_loop| {
        let directory = Directory::new();
        let (own, everybodys) = (directory.path("own"), directory.path("everybodys"));
        for (path, mode) in [(&own, 0o600), (&everybodys, 0o666)] {
            let server = net::create_server(|socket| {
                socket.destroy();
            });
            server.listen(ListenOptions::new().path(path).mode(mode)).expect("listen").unref();
        }
        UnixStream::connect(&own).expect("the owner gets in");
        let Some([to_own, to_everybodys]) = in_thread(move || as_nobody([own, everybodys])).join() else {
            println!("skipped: only root may act as somebody else");
            return;
        };
        assert_eq!(to_own.expect_err("it is not his").kind(), io::ErrorKind::PermissionDenied);
        to_everybodys.expect("everybody gets in");
        event_loop.turn(None).expect("no unhandled error");
    });
}

/// Connects to each as a user that may nothing. `None` when this process may not act as one.
#[cfg(target_os = "linux")]
fn as_nobody(paths: [PathBuf; 2]) -> Option<[io::Result<UnixStream>; 2]> {
    // Of this thread only, and only for what it does with files (setfsuid(2)).
    let changed = |user: libc::uid_t| {
        // SAFETY: the calls have no memory of ours to touch. The second says what the first came to.
        unsafe {
            libc::setfsuid(user);
            libc::setfsuid(libc::uid_t::MAX) as libc::uid_t == user
        }
    };
    changed(NOBODY).then(|| paths.map(UnixStream::connect))
}

/// SP10: what cannot be is an `Err`, and nothing has changed.
#[test]
fn sp10_modes_that_cannot_be() {
    support::test(|event_loop| {
        let directory = Directory::new();
        let path = directory.path("s");
        let server = Server::new();
        let refused = |options: ListenOptions| {
            let error = server.listen_with(options, |_| {}).map(|_| ()).expect_err("no such mode");
            assert_eq!(server.listener_count(ServerEvent::Listening), 0);
            assert_eq!((server.listening(), server.path()), (false, None));
            (error.code().map(str::to_owned), error.message().to_owned())
        };
        let (code, message) = refused(ListenOptions::new().path(&path).mode(0o1600));
        assert_eq!(code.as_deref(), Some("ERR_OUT_OF_RANGE"));
        assert_eq!(message, "The value of \"mode\" is out of range. It must be >= 0 && <= 0o777. Received 0o1600");
        assert!(!path.exists());
        if cfg!(target_os = "linux") {
            let (code, message) = refused(ListenOptions::new().path(net::abstract_name("never bound")).mode(0o600));
            assert_eq!(code.as_deref(), Some("ERR_INVALID_ARG_VALUE"));
            assert!(message.contains("{ path: '\\x00never bound', mode: 0o600 }"), "{message}");
        }
        event_loop.run().expect("no unhandled error");
    });
}

/// A socket that was bound before has its file, and its mode, already; and a port has none.
#[test]
fn sp10_modes_are_for_paths() {
    support::test(|event_loop| {
        let directory = Directory::new();
        let path = directory.path("s");
        let bound = BoundSocket::new(&path).expect("bound");
        let before = mode_of(&path);
        assert_ne!(before, 0);
        let server = Server::new().listen(ListenOptions::new().handle(&bound).mode(0)).expect("listen");
        assert_eq!(mode_of(&path), before);
        server.close();
        let server =
            Server::new().listen(ListenOptions::new().port(0).host("127.0.0.1").path(&path).mode(0)).expect("listen");
        assert!(!path.exists());
        server.on_listening(|server| {
            server.close();
        });
        event_loop.run().expect("no unhandled error");
    });
}
