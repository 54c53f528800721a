//! The process and its surroundings: descriptors, and a `node` to compare with.
//!
//! May touch: std and libc. Invariant: what is missing on a machine is said, never silently left out.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::raw::PEER_DEADLINE;

/// A `node` binary: `HALFCLOSE_NODE`, else the first on the `PATH`. `None` is announced, and means that the test should
/// return.
pub fn node() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("HALFCLOSE_NODE") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("node")).find(|candidate| candidate.is_file());
    if found.is_none() {
        println!("skipped: no node on the PATH");
    }
    found
}

/// A Node program that is ended with the test.
pub struct NodeProgram {
    child: Child,
}

impl NodeProgram {
    /// Runs `script`, whose arguments begin at `process.argv[1]`.
    pub fn start(binary: &Path, script: &str, arguments: &[impl AsRef<OsStr>]) -> NodeProgram {
        let child = Command::new(binary)
            .args(["-e", script])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("node starts");
        NodeProgram { child }
    }

    /// Waits for one line of what it prints.
    pub fn line(&mut self) -> String {
        let mut output = BufReader::with_capacity(1, self.child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        self.child.stdout = Some(output.into_inner());
        line
    }

    /// Waits for the program's end, which has to be a success, and gives what it printed.
    pub fn finish(mut self) -> String {
        let mut output = String::new();
        self.child.stdout.take().expect("a pipe").read_to_string(&mut output).expect("text");
        let end = Instant::now() + PEER_DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                assert!(status.success(), "node failed with {status}: {output}");
                return output;
            }
            assert!(Instant::now() < end, "node does not end: {output}");
            std::thread::yield_now();
        }
    }
}

impl Drop for NodeProgram {
    fn drop(&mut self) {
        // It has ended by itself, or the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Raises the soft limit of descriptors towards `wanted`, as far as the hard limit allows, and returns the limit that
/// holds. Prints by how much a test has to scale down.
pub fn raise_descriptor_limit(wanted: usize) -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one rlimit structure for the length of the call.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0, "getrlimit");
    let target = (wanted as libc::rlim_t).min(limit.rlim_max);
    if limit.rlim_cur < target {
        limit.rlim_cur = target;
        // SAFETY: `limit` is a valid rlimit structure for the length of the call.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0, "setrlimit");
    }
    let granted = usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX);
    if granted < wanted {
        println!("scaled down: {granted} descriptors instead of {wanted}");
    }
    granted
}

/// How many descriptors the process has open. Only meaningful in a test binary with a single test, or with the tests
/// serialised: other tests of the process open descriptors, too.
pub fn open_descriptors() -> usize {
    // Counting opens a descriptor for the directory itself.
    std::fs::read_dir("/proc/self/fd").expect("/proc").count() - 1
}
