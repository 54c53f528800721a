//! Child processes: pinned to a core, stopped and continued, never outliving this program.
//!
//! May touch: child processes and signals. Invariant: every child dies with its [`Process`], and with this program even
//! where that one is killed.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The core that servers run on, and the one of their clients. Interrupts of devices tend to be on core 0, and the
/// kernel's side of loopback traffic is on the core of whoever sends.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Core {
    Server,
    Client,
}

impl Core {
    /// The number of the core: the last two that this process may use. `None` where there is only one.
    fn number(self) -> Option<usize> {
        let cores = allowed_cores();
        let back = match self {
            Core::Server => 1,
            Core::Client => 2,
        };
        (cores.len() > 1).then(|| cores[cores.len() - back])
    }
}

/// A running child.
pub struct Process {
    pub child: Child,
}

impl Process {
    /// Starts `command` in `folder` and on `core`, with pipes for what goes in and out.
    pub fn spawn(command: &mut Command, folder: &Path, core: Core) -> io::Result<Process> {
        let number = core.number();
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: only system calls that are allowed between fork and exec are made, and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(io::Error::last_os_error());
                }
                number.map_or(Ok(()), pin)
            });
        }
        Ok(Process { child: command.spawn()? })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Takes the process off its core until [`resume`](Process::resume).
    pub fn stop(&self) {
        signal(self.id(), libc::SIGSTOP);
    }

    pub fn resume(&self) {
        signal(self.id(), libc::SIGCONT);
    }

    /// Asks the process to end and waits for it: a tracer writes down what it counted.
    pub fn terminate(mut self) -> io::Result<()> {
        signal(self.id(), libc::SIGTERM);
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps this thread, and what it starts, on one core. A program without a choice of cores runs where it is put.
pub fn pin_this(core: Core) -> io::Result<()> {
    core.number().map_or(Ok(()), pin)
}

/// Sends a signal to a process of ours. It may be gone.
pub fn signal(process: u32, signal: libc::c_int) {
    // SAFETY: the call has no memory of ours to touch.
    unsafe { libc::kill(process as libc::pid_t, signal) };
}

fn pin(number: usize) -> io::Result<()> {
    // SAFETY: an all-zero set is a valid, empty one; the number is below the size of a set, as `allowed_cores` gives it.
    let answer = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(number, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The cores that the program was started with, in order.
fn allowed_cores() -> &'static [usize] {
    // Looked at once: this process pins itself later.
    static CORES: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    CORES.get_or_init(|| {
        // SAFETY: an all-zero set is a valid place for the answer, and each number asked for lies within it.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
                return Vec::new();
            }
            (0..libc::CPU_SETSIZE as usize).filter(|&number| libc::CPU_ISSET(number, &set)).collect()
        }
    })
}

/// How many cores the program may use.
pub fn cores() -> usize {
    allowed_cores().len()
}

/// Raises the limit of descriptors as far as it goes, and gives it.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer and a valid request.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return 0;
        }
        let before = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) != 0 {
            return before;
        }
    }
    limit.rlim_cur
}
