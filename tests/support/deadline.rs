//! A deadline for every test: one that hangs in the loop cannot be stopped in any other way than by ending the process.
//!
//! May touch: std, the loop and the logs of the test. Invariant: a test that ends in time leaves no thread behind.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use halfclose::EventLoop;

use super::log::{lock, logs_of_this_test};

/// How long a test may run. Tests take milliseconds; this only has to be longer than the slowest machine's bad moment.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Runs `body` and ends the process, with the name of the test and its logs so far, when it takes longer than `limit`.
pub fn within<T>(limit: Duration, body: impl FnOnce() -> T) -> T {
    let name = thread::current().name().unwrap_or("(unnamed)").to_owned();
    let logs = logs_of_this_test();
    let (done, finished) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        if finished.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            let mut report = format!("\n{name}: still running after {limit:?}; the log so far:\n");
            for log in lock(&logs).iter() {
                let _ = writeln!(report, "  {}", log.whole());
            }
            // Not eprintln!: the test harness would keep that for a summary which an abort never lets it print.
            let _ = io::stderr().write_all(report.as_bytes());
            std::process::abort();
        }
    });
    let result = body();
    drop(done);
    let _ = watchdog.join();
    result
}

/// Runs `body` with a new loop and within [`DEADLINE`].
pub fn test(body: impl FnOnce(&mut EventLoop)) {
    within(DEADLINE, || {
        let mut event_loop = EventLoop::new().expect("a loop");
        body(&mut event_loop);
    });
}

/// Keeps this thread busy for as long as asked: a callback that takes its time, a peer that is slow. Never a way to wait
/// for somebody else.
pub fn busy(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}
