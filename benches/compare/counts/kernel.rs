//! What the kernel counts of a process: its system calls, by a tracepoint, without stopping it.
//!
//! May touch: `perf_event_open` and tracefs. Invariant: a counter counts from the moment it was made, in every thread that
//! the process had then.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `PERF_TYPE_TRACEPOINT` of linux/perf_event.h.
const TRACEPOINT: u32 = 2;

/// `PERF_FLAG_FD_CLOEXEC` of linux/perf_event.h.
const CLOSE_ON_EXEC: libc::c_ulong = 8;

/// The start of `struct perf_event_attr` of linux/perf_event.h, as long as its first published version: later fields are
/// zero (perf_event_open(2), `PERF_ATTR_SIZE_VER0`).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    config1: u64,
}

/// Counts the system calls of a process.
pub struct SystemCalls {
    counters: Vec<OwnedFd>,
}

impl SystemCalls {
    /// Begins to count. Fails where tracepoints are not there or not allowed.
    pub fn of(process: u32) -> Result<SystemCalls, String> {
        let folders = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
        let identity = folders
            .iter()
            .find_map(|folder| fs::read_to_string(format!("{folder}/events/raw_syscalls/sys_enter/id")).ok())
            .and_then(|text| text.trim().parse::<u64>().ok())
            .ok_or("the tracepoint raw_syscalls:sys_enter cannot be read: it takes root and tracefs")?;
        let threads = fs::read_dir(format!("/proc/{process}/task")).map_err(|error| error.to_string())?;
        let mut counters = Vec::new();
        for thread in threads.flatten() {
            let thread = thread.file_name().to_string_lossy().parse::<i32>().map_err(|error| error.to_string())?;
            counters.push(open(identity, thread).map_err(|error| format!("perf_event_open: {error}"))?);
        }
        Ok(SystemCalls { counters })
    }

    pub fn read(&self) -> Result<u64, String> {
        self.counters.iter().map(|counter| read(counter).map_err(|error| error.to_string())).sum()
    }
}

fn open(identity: u64, thread: i32) -> io::Result<OwnedFd> {
    let attributes = Attributes {
        kind: TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: identity,
        ..Attributes::default()
    };
    // SAFETY: the attributes are as long as they say and outlive the call; the descriptor that comes back is new.
    unsafe {
        let descriptor = libc::syscall(libc::SYS_perf_event_open, &raw const attributes, thread, -1, -1, CLOSE_ON_EXEC);
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(descriptor as i32))
    }
}

fn read(counter: &OwnedFd) -> io::Result<u64> {
    let mut value = 0_u64;
    // SAFETY: there is room for the eight bytes that a counter is.
    let count = unsafe { libc::read(counter.as_raw_fd(), (&raw mut value).cast(), size_of::<u64>()) };
    if count == size_of::<u64>() as isize { Ok(value) } else { Err(io::Error::last_os_error()) }
}
