//! An open loop: one connection, messages at a fixed rate, whether the answers come or not.
//!
//! May touch: the socket. Invariant: an answer's time counts from when its message was to be sent, not from when it was,
//! so a server that is slow once is charged for everything that had to wait for it.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::Value;

use super::{Clients, invalid};
use crate::sockets;

/// The bytes of a message.
const MESSAGE: usize = 64;

/// The longest latency that is told from longer ones, in nanoseconds: a second.
const LONGEST: u64 = 1_000_000_000;

/// One slice at `rate` messages a second. The client spins, or sleeps until there is something to do.
///
/// # Errors
///
/// What the sockets say, and when an answer does not come.
pub fn slice(clients: &mut Clients, rate: usize, spin: bool, length: Duration) -> io::Result<Value> {
    let mut histogram: Histogram<u64> =
        Histogram::new_with_bounds(1, LONGEST, 3).map_err(|error| invalid(error.to_string()))?;
    if !spin {
        // The kernel may let a sleeper sleep 50 microseconds longer, and would by default (prctl(2)).
        // SAFETY: the call has no memory of ours to touch.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
    }
    let gap = Duration::from_nanos(1_000_000_000 / rate.max(1) as u64);
    // The first quarter second warms up both sides, and what adapts itself.
    play(clients, gap, spin, Duration::from_millis(100), &mut histogram)?;
    histogram.reset();
    let before = clients.account()?;
    let answered = play(clients, gap, spin, length, &mut histogram)?;
    let after = clients.account()?;
    let mut answer = after.since(before, answered);
    let values = histogram.iter_recorded().map(|step| Value::from([step.value_iterated_to(), step.count_at_value()]));
    answer["histogram"] = values.collect();
    Ok(answer)
}

fn play(
    clients: &mut Clients,
    gap: Duration,
    spin: bool,
    length: Duration,
    histogram: &mut Histogram<u64>,
) -> io::Result<u64> {
    let socket = clients.sockets.first().ok_or_else(|| invalid("not opened"))?.as_raw_fd();
    let message = [b'x'; MESSAGE];
    let total = (length.as_nanos() / gap.as_nanos().max(1)) as u64;
    let start = Instant::now();
    let intended = |number: u64| start + Duration::from_nanos(gap.as_nanos() as u64 * number);
    let (mut sent, mut received_bytes, mut answered) = (0, 0, 0);
    while answered < total {
        let now = Instant::now();
        if sent < total && now >= intended(sent) {
            sockets::send(socket, &message, 0)?;
            sent += 1;
            continue;
        }
        if !spin {
            let wait =
                if sent < total { intended(sent).saturating_duration_since(now) } else { Duration::from_secs(5) };
            sleep_until_readable(socket, wait);
        }
        match sockets::receive(socket, &mut clients.buffer, libc::MSG_DONTWAIT) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => received_bytes += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if sent == total && start.elapsed() > length + Duration::from_secs(5) {
                    return Err(invalid("an answer does not come"));
                }
                continue;
            }
            Err(error) => return Err(error),
        }
        let now = Instant::now();
        while answered < (received_bytes / MESSAGE) as u64 {
            histogram.saturating_record((now - intended(answered)).as_nanos() as u64);
            answered += 1;
        }
    }
    Ok(answered)
}

fn sleep_until_readable(socket: i32, wait: Duration) {
    let mut interest = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
    let wait = libc::timespec { tv_sec: wait.as_secs() as libc::time_t, tv_nsec: wait.subsec_nanos().into() };
    // SAFETY: there is one interest, and it and the timeout outlive the call. What it says is asked of the socket.
    unsafe { libc::ppoll(&raw mut interest, 1, &raw const wait, std::ptr::null()) };
}
