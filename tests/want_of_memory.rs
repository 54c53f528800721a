//! Writes for which there is no memory (FM42): an error of that socket, `write ENOMEM`, and not the end of the process.
//!
//! May touch: the public API and the process's allocator. Invariant: memory is refused to one call of a test only, and only
//! in pieces that no other part of the test asks for.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use halfclose::net::{self, ConnectOptions, ServerOptions, Socket};
use support::{Log, Stage, callback, in_a_loop, refusing_port, watch_data, watch_socket};

/// More than the kernel takes of one write (`tcp_wmem`, `tcp_rmem`: some megabytes), so that a rest is to be kept.
const HUGE: usize = 64 << 20;

/// What is refused. Everything else that a write needs is far smaller.
const REFUSED: usize = 1 << 20;

thread_local! {
    static REFUSES: Cell<bool> = const { Cell::new(false) };
    /// How often that happened.
    static REFUSALS: Cell<u32> = const { Cell::new(0) };
}

struct RefusingAllocator;

// SAFETY: every call goes to the system's allocator as it came, or gives no memory, which an allocator may at any time. The
// look at a flag beside it neither allocates nor unwinds.
unsafe impl GlobalAlloc for RefusingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= REFUSED && REFUSES.try_with(Cell::get).unwrap_or(false) {
            REFUSALS.with(|refusals| refusals.set(refusals.get() + 1));
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: RefusingAllocator = RefusingAllocator;

/// Gives a command while no large piece of memory is to be had, and says how many were asked for.
fn without_memory<T>(command: impl FnOnce() -> T) -> (T, u32) {
    REFUSALS.set(0);
    REFUSES.set(true);
    let result = command();
    REFUSES.set(false);
    (result, REFUSALS.get())
}

/// A client that `write`s, and a server that reads nothing until the client is gone.
fn play(write: impl FnOnce(Log, Socket) + 'static) -> Log {
    let paused = |stage: Stage, socket: Socket| {
        socket.pause();
        watch_data(&stage.log, "S", socket);
    };
    Stage::play(ServerOptions::new(), ConnectOptions::new(), paused, move |stage, client| {
        client.on_close(move |_, _| {
            halfclose::set_immediate(move || {
                stage.accepted().resume();
            });
        });
        write(stage.log, client);
    })
}

/// What is lent and not taken at once is copied; where it cannot be, the write has failed like any that the kernel refuses.
#[test]
fn fm42_the_rest_of_a_write() {
    let log = play(|log, client| {
        client.once_connect(move |client| {
            let bytes = vec![1; HUGE];
            let ((), refusals) = without_memory(|| {
                log.add("C", client.write_with(&bytes, callback(&log, "C", "written")));
            });
            assert_eq!(refusals, 1);
            assert_eq!(client.writable_length(), 0, "nothing waits");
            assert_eq!(client.errored().and_then(|error| error.code().map(str::to_owned)).as_deref(), Some("ENOMEM"));
        });
    });
    log.assert_after("C", "connect", ", false, ready ~ written(write ENOMEM) ~ error(write ENOMEM) |x close(true)");
    assert_eq!(log.texts_of("S"), ["connection", "data", "end", "finish", "close(false)"]);
}

/// Text is counted as far as it was sent (rule F12), bytes as they were given.
#[test]
fn fm42_what_counts_as_written() {
    for text in [false, true] {
        play(move |_, client| {
            client.once_connect(move |client| {
                let bytes = "1".repeat(HUGE);
                let (whole, refusals) =
                    without_memory(|| if text { client.write(&bytes) } else { client.write(bytes.as_bytes()) });
                assert_eq!((whole, refusals), (false, 1));
                let written = client.bytes_written() as usize;
                assert!(if text { written > 0 && written < HUGE } else { written == HUGE }, "{text}: {written}");
            });
        });
    }
}

/// Behind a write that is under way nothing is tried at once: all of it would be kept. The one before it is cut off.
#[test]
fn fm42_behind_another_write() {
    let log = play(|log, client| {
        client.once_connect(move |client| {
            let owned = vec![1; HUGE];
            let lent = vec![2; HUGE];
            let (_, refusals) = without_memory(|| {
                client.write_with(owned, callback(&log, "C", "owned"));
                client.write_with(&lent, callback(&log, "C", "lent"));
            });
            assert_eq!((refusals, client.writable_length()), (1, HUGE), "what is owned is moved, and not copied");
        });
    });
    log.assert_after(
        "C",
        "ready",
        "~ lent(write ENOMEM) ~ error(write ENOMEM) |x owned(write ECANCELED) |x close(true)",
    );
    assert_eq!(log.texts_of("S"), ["connection", "data", "end", "finish", "close(false)"]);
}

/// Corked writes are kept as well. Of those around the one that failed nothing is sent: bytes would be missing between them.
#[test]
fn fm42_corked() {
    let log = play(|log, client| {
        client.once_connect(move |client| {
            let lent = vec![2; HUGE];
            client.cork();
            let (_, refusals) = without_memory(|| {
                client.write_with("short", callback(&log, "C", "short"));
                client.write_with(&lent, callback(&log, "C", "lent"));
                client.write_with("behind", callback(&log, "C", "behind"));
            });
            assert_eq!(refusals, 1);
            client.uncork();
        });
    });
    log.assert_after(
        "C",
        "ready",
        "~ lent(write ENOMEM) ~ short(write ENOMEM) ~ error(write ENOMEM) ~ behind(ERR_STREAM_DESTROYED) |x close(true)",
    );
    log.assert_of("S", "connection | ~ end | ~ finish |x close(false)");
}

/// While a socket connects everything waits. It does not get as far as to an attempt.
#[test]
fn fm42_while_connecting() {
    let log = in_a_loop(|log| {
        let (_holder, port) = refusing_port();
        let client = net::connect(("127.0.0.1", port)).expect("a valid address");
        watch_socket(&log, "C", client);
        let lent = vec![2; HUGE];
        let (_, refusals) = without_memory(|| client.write_with(&lent, callback(&log, "C", "lent")));
        assert_eq!(refusals, 1);
    });
    log.assert_of("C", "lent(write ENOMEM) ~ error(write ENOMEM) |x close(true)");
}
