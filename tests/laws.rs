//! The laws of the crate, each with tests that fail when it is broken. Law 7 is a law about sources and is held by
//! `tests/tidy.rs`.
//!
//! May touch: the public API, std, and the shared test support. Invariants: every test runs through [`law`] or
//! [`law_alone`], which give it a loop and a deadline and keep those that count descriptors apart from the others; no
//! test depends on how fast it runs.

#[path = "laws/bounds.rs"]
mod bounds;
#[path = "laws/clock.rs"]
mod clock;
#[path = "laws/collections.rs"]
mod collections;
#[path = "laws/commands.rs"]
mod commands;
#[path = "laws/connections.rs"]
mod connections;
#[path = "laws/conversation.rs"]
mod conversation;
#[path = "laws/drops.rs"]
mod drops;
#[path = "laws/lifetimes.rs"]
mod lifetimes;
#[path = "laws/meddling.rs"]
mod meddling;
#[path = "laws/panics.rs"]
mod panics;
mod support;
#[path = "laws/witness.rs"]
mod witness;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use halfclose::{EventLoop, set_immediate};

/// Who holds this alone may count the descriptors of the process. A test that failed leaves nothing behind that another
/// one relies on, so poison means nothing.
static PROCESS: RwLock<()> = RwLock::new(());

/// The longest that a test of many conversations may take on a slow machine.
const LONG: Duration = Duration::from_secs(60);

/// The longest that one run of a loop may take: shorter than [`LONG`].
const LONG_RUN: Duration = Duration::from_secs(20);

/// The text of every panic that a test provokes.
const PROVOKED: &str = "provoked";

/// Gives `body` a loop and [`LONG`] to be done.
fn law(body: impl FnOnce(&mut EventLoop)) {
    let _shared = PROCESS.read().unwrap_or_else(PoisonError::into_inner);
    support::within(LONG, || {
        let mut event_loop = EventLoop::new().expect("a loop");
        body(&mut event_loop);
    });
}

/// Gives `body` the process for itself and [`LONG`] to be done. It makes its own loops.
fn law_alone(body: impl FnOnce()) {
    let _alone = PROCESS.write().unwrap_or_else(PoisonError::into_inner);
    support::within(LONG, body);
}

/// Gives `body` no loop, but the company of the other tests.
fn law_without_loop(body: impl FnOnce()) {
    let _shared = PROCESS.read().unwrap_or_else(PoisonError::into_inner);
    support::within(LONG, body);
}

/// What ended the loop's run early, each time that something did.
#[derive(Default, Debug, PartialEq, Eq)]
struct Interruptions {
    panics: usize,
    /// The messages of the errors that nobody listened for.
    errors: Vec<String>,
}

/// Runs the loop until nothing is left, over provoked panics and unhandled errors. A loop that does not end is stopped
/// after [`LONG_RUN`], so that one test fails and the others go on.
#[track_caller]
fn run_to_the_end(event_loop: &mut EventLoop) -> Interruptions {
    let (handle, stopped) = (event_loop.handle(), Arc::new(AtomicBool::new(false)));
    let (done, over) = mpsc::channel::<()>();
    let tell = stopped.clone();
    let watchdog = thread::spawn(move || {
        if over.recv_timeout(LONG_RUN) == Err(RecvTimeoutError::Timeout) {
            tell.store(true, Ordering::Release);
            handle.stop();
        }
    });
    let mut interruptions = Interruptions::default();
    loop {
        match catch_unwind(AssertUnwindSafe(|| event_loop.run())) {
            Ok(Ok(())) => break,
            Ok(Err(error)) => interruptions.errors.push(error.message().to_owned()),
            Err(panic) => {
                assert_eq!(support::panic_text(&*panic), PROVOKED);
                interruptions.panics += 1;
            }
        }
    }
    drop(done);
    let _ = watchdog.join();
    assert!(!stopped.load(Ordering::Acquire), "the loop did not come to its end");
    interruptions
}

/// Calls `body` after the loop has turned `turns` times without waiting: long enough for what is under way on loopback.
fn after_turns(turns: u32, body: impl FnOnce() + 'static) {
    set_immediate(move || match turns {
        0 => body(),
        more => after_turns(more - 1, body),
    });
}
