//! CPU time as the scheduler accounts for it, and what a process is doing: the measure of everything that is compared.
//!
//! May touch: `/proc`. Invariant: what is read of a process is exact only while it does not run, because the scheduler
//! brings the account of a running one up to date at its ticks; so it is read when every thread sleeps or is stopped.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to fall asleep after its last answer. It takes microseconds, and seconds only where a
/// gigabyte is copied; the rest is for the machine's bad moment.
const FALL_ASLEEP: Duration = Duration::from_secs(60);

/// Between two looks at a process that runs: short beside a slice, long enough not to compete with it.
const LOOK: Duration = Duration::from_micros(50);

/// The CPU time of all threads of a process, in nanoseconds: the first field of their `schedstat` (proc(5)).
pub fn cpu_of(process: u32) -> io::Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread that ends meanwhile takes its time along; the servers start theirs before they listen.
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += text.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// The CPU time of this process, in nanoseconds.
pub fn own_cpu() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Whether every thread of the process is in one of the states (proc(5), `stat`).
fn all_are(process: u32, states: &[char]) -> io::Result<bool> {
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(thread?.path().join("stat"))?;
        // The name before it is in parentheses and may hold anything, parentheses too.
        let state = text.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        if !state.is_some_and(|state| states.contains(&state)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Waits until the process rests, twice in a row: once may be the moment between two pieces of work.
///
/// # Errors
///
/// `TimedOut` when it keeps running.
pub fn wait_for_rest(process: u32) -> io::Result<()> {
    let start = Instant::now();
    let mut before = false;
    loop {
        let now = all_are(process, &['S', 'T', 'I'])?;
        if now && before {
            return Ok(());
        }
        if start.elapsed() > FALL_ASLEEP {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not fall asleep"));
        }
        before = now;
        thread::sleep(LOOK);
    }
}

/// Waits until the process has noticed that it is stopped: a signal is only a request, and what is sent to a server that
/// was not yet stopped may wake it up.
///
/// # Errors
///
/// `TimedOut` when it keeps running.
pub fn wait_for_stop(process: u32) -> io::Result<()> {
    let start = Instant::now();
    while !all_are(process, &['T'])? {
        if start.elapsed() > FALL_ASLEEP {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not stop"));
        }
        thread::yield_now();
    }
    Ok(())
}
