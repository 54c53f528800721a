//! `watch`: foreign descriptors in the loop.
//!
//! Linux only, for its eventfds; what is asked of the system is the same on all of them.
//!
//! May touch: the public API, libc for eventfds, pipes and flags, and the shared test support. Invariant: descriptors are
//! of the kernel's own making and driven from the test's thread, so that the order of events does not depend on a scheduler.

#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod ending;
mod errors;
mod readiness;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An eventfd: readable while its count is not zero. Blocking, so that a read too many would show.
fn eventfd() -> File {
    // SAFETY: no memory is passed.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    assert!(descriptor >= 0, "eventfd: {}", std::io::Error::last_os_error());
    // SAFETY: it was opened just now, and belongs to nobody else.
    File::from(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Adds to its count.
fn add(mut eventfd: &File, count: u64) {
    eventfd.write_all(&count.to_ne_bytes()).expect("room for a count");
}

/// Takes its count.
fn take(mut eventfd: &File) -> u64 {
    let mut count = [0; 8];
    eventfd.read_exact(&mut count).expect("a count");
    u64::from_ne_bytes(count)
}

/// Both ends of a pipe: where to read, and where to write.
fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: `ends` is a valid place for two descriptors.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0, "pipe2");
    // SAFETY: they were opened just now, and belong to nobody else.
    let [reader, writer] = ends.map(|end| File::from(unsafe { OwnedFd::from_raw_fd(end) }));
    (reader, writer)
}

/// The text of a panic, or nothing when `body` returned.
fn panic_of<T>(body: impl FnOnce() -> T) -> Option<String> {
    catch_unwind(AssertUnwindSafe(body)).err().map(|panic| support::panic_text(&*panic))
}
