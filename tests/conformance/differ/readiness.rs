//! Other orders of readiness for Node: a library for `LD_PRELOAD` that stands before `epoll_pwait`.
//!
//! Which of several sockets that became ready about the same time is served first is not specified (section 0 of the
//! semantics), and neither is how long the kernel takes to tell that one is ready. Node asks level-triggered, so everything
//! that is kept back here is told by the next call. That shows what Node does in all the orders that a kernel may choose,
//! instead of what it does in the one that this kernel chose.
//!
//! May touch: the result of `epoll_pwait`. Invariant: what is told is true at that moment, and is never nothing where there
//! was something. `players.js` builds it with `rustc`; it is no part of the package.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// `struct epoll_event`, which is packed on this one architecture (epoll_event(3type)).
#[derive(Clone, Copy)]
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
pub struct Event {
    events: u32,
    data: u64,
}

/// `epoll_pwait` itself.
///
/// # Safety
///
/// As epoll_pwait(2): the pointers are of events and of a mask, or null.
type Wait = unsafe extern "C" fn(c_int, *mut Event, c_int, c_int, *const c_void) -> c_int;

const EPOLLIN: u32 = 0x1;
const EPOLLHUP: u32 = 0x10;
/// `RTLD_NEXT` of dlsym(3).
const NEXT: *mut c_void = -1_isize as *mut c_void;

// As dlsym(3) has it.
//
// # Safety
//
// The name is a C string.
unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// A number below `limit`: splitmix64, whose state only has to be different each time.
fn below(limit: usize) -> usize {
    static STATE: AtomicU64 = AtomicU64::new(0);
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut mixed = STATE.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) % limit as u64) as usize
}

fn next() -> Wait {
    static FOUND: AtomicUsize = AtomicUsize::new(0);
    let mut found = FOUND.load(Ordering::Relaxed);
    if found == 0 {
        let name: &CStr = c"epoll_pwait";
        // SAFETY: the name is a C string, and libc has the function that Node was linked with.
        found = unsafe { dlsym(NEXT, name.as_ptr()) } as usize;
        FOUND.store(found, Ordering::Relaxed);
    }
    // SAFETY: it is the address of that function.
    unsafe { std::mem::transmute::<usize, Wait>(found) }
}

/// As epoll_pwait(2), in another order three times of four, and then twice of three not all of it.
///
/// # Safety
///
/// As of `epoll_pwait`.
// SAFETY: the name is taken on purpose: it stands before the function of that name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_pwait(
    fd: c_int,
    events: *mut Event,
    most: c_int,
    wait: c_int,
    mask: *const c_void,
) -> c_int {
    // SAFETY: passed on as it came.
    let count = unsafe { next()(fd, events, most, wait, mask) };
    if count < 1 {
        return count;
    }
    // SAFETY: so many were written.
    let told = unsafe { std::slice::from_raw_parts_mut(events, count as usize) };
    for event in told.iter_mut() {
        // The end of what the other side sent may be seen before that nobody is there any more.
        if event.events & (EPOLLIN | EPOLLHUP) == EPOLLIN | EPOLLHUP && below(4) == 0 {
            event.events &= !EPOLLHUP;
        }
    }
    let how = below(4);
    if how == 0 {
        return count;
    }
    for last in (1..told.len()).rev() {
        told.swap(last, below(last + 1));
    }
    if how == 1 { count } else { 1 + below(count as usize) as c_int }
}
