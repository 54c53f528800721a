//! Unix sockets: listening at paths and abstract names, connecting to them, the life of such a connection, and peers that
//! are no part of the library. The rule numbers in the names and comments are those of the behaviour reference.
//!
//! May touch: the public API, peers on std sockets, a child process of Node, and files in a directory of the test's own,
//! which goes with it. Invariant: tests compare whole event sequences; each was taken from Node 26.

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod bound_sockets;
mod connecting;
mod credentials;
mod errors;
mod life_cycle;
mod listening;
mod modes;
mod peers;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use halfclose::EventLoop;
use halfclose::net::{Server, ServerOptions, Socket, SocketOptions};

use support::{Log, watch_server, watch_socket};

/// A directory for the files of one test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("halfclose-unix-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A path of exactly this many bytes.
    fn path_of_length(&self, length: usize) -> PathBuf {
        self.path(&"x".repeat(length - self.0.as_os_str().len() - 1))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What a failed test leaves behind is the system's to clear away.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs `body` as a callback of the loop, so that the log shows how far behind it everything else comes.
fn run_from_callback(event_loop: &mut EventLoop, body: impl FnOnce() + 'static) {
    halfclose::set_immediate(body);
    event_loop.run().expect("no unhandled error");
}

/// Runs a server at a path of its own and one client of it to the end of the loop; the server closes when both ends have
/// closed. Events are those of `support::pair`. The client is watched before it connects, and `client` gets it afterwards.
fn play(
    server_options: ServerOptions,
    client_options: SocketOptions,
    mut accepted: impl FnMut(Log, Socket) + 'static,
    client: impl FnOnce(Log, Socket) + 'static,
) -> Log {
    let log = Log::new();
    let directory = Directory::new();
    let path = directory.path("s");
    support::test(|event_loop| {
        let open_ends = Rc::new(Cell::new(2));
        let server = Server::with_options(server_options);
        watch_server(&log, "srv", server);
        let close_after_both = move |socket: Socket| {
            let open_ends = open_ends.clone();
            socket.on_close(move |_, _| {
                open_ends.set(open_ends.get() - 1);
                if open_ends.get() == 0 {
                    server.close();
                }
            });
        };
        let close_after_accepted = close_after_both.clone();
        server.on_connection(move |_, socket| {
            log.add("S", "connection");
            watch_socket(&log, "S", socket);
            close_after_accepted(socket);
            accepted(log, socket);
        });
        let goal = path.clone();
        server.once_listening(move |_| {
            let socket = Socket::with_options(client_options);
            watch_socket(&log, "C", socket);
            close_after_both(socket);
            socket.connect(goal).expect("connect");
            log.add("C", "connect()");
            client(log, socket);
        });
        server.listen(&path).expect("listen");
        event_loop.run().expect("no unhandled error");
        server.release();
        assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0));
    });
    assert!(!path.exists(), "the file goes with the server");
    log
}

/// The bits of a file's mode that say who may do what.
fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::symlink_metadata(path).expect("a file").permissions().mode() & 0o777
}
