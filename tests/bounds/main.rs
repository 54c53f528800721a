//! The bounds that a server needs and Node does not have: how much output may wait, how long things may take, who is let in,
//! and draining. Each bound reached and just not reached, in each state of a connection, with what both ends are told.
//!
//! May touch: the public API, peers on std sockets, and files in a directory of the test's own. Invariant: tests compare
//! whole event sequences; a limit that a test waits for is short, one that must not be reached is longer than the deadline
//! of every test or is put off by what the test does.

#[path = "../support/mod.rs"]
mod support;

mod admission;
mod budgets;
mod buffering;
mod draining;
mod loop_wide;
mod timeouts;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use halfclose::net::Socket;

use support::{Log, describe};

/// Long enough for the loop to do anything else first.
const SHORT: Duration = Duration::from_millis(30);

/// Longer than any test may run.
const NEVER: Duration = Duration::from_secs(3600);

/// More than the kernel's buffers on both ends of a connection hold.
const MORE_THAN_THE_KERNEL_TAKES: usize = 32 << 20;

/// Records `write_refused` beside what `watch_socket` records.
fn watch_refusals(log: &Log, endpoint: &str, socket: Socket) {
    let (log, name) = (*log, endpoint.to_owned());
    socket.on_write_refused(move |_, error| log.add(&name, format!("refused({})", describe(error))));
}

/// A directory for the socket of one test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("halfclose-bounds-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What a failed test leaves behind is the system's to clear away.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
