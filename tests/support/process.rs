//! The process and its surroundings: descriptors, and a `node` to compare with.
//!
//! May touch: std and libc. Invariant: what is missing on a machine is said, never silently left out.

use std::path::PathBuf;

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
