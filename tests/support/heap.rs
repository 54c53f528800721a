//! How many bytes a thread holds on the heap. A test that includes this file has its allocator, so `mod.rs` does not name it.
//!
//! May touch: the process's allocator. Invariant: the count is per thread, so other threads do not disturb it. Memory that
//! one thread takes and another gives back would; so only differences mean something, of what a thread keeps to itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

struct CountingAllocator;

/// The bytes that this thread holds.
pub fn held() -> isize {
    HELD.with(Cell::get)
}

fn count(bytes: isize) {
    // A thread that is ending has no counter any more, and nobody reads it.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call goes to the system's allocator as it came; the count is bookkeeping beside it, and neither allocates
// nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// The counter counts: without this, every check of a balance would pass with a broken one.
#[test]
fn the_heap_is_counted() {
    let before = held();
    let boxed = std::hint::black_box(Box::new([1_u8; 1000]));
    assert_eq!(held(), before + 1000);
    drop(boxed);
    assert_eq!(held(), before);
}
