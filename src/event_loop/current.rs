//! The current loop of this thread: the crate's one thread-local.
//!
//! The [`EventLoop`](crate::EventLoop) is the owner; this only refers to it, and has no destructor of its own, so that a
//! captured value whose `Drop` touches a socket at thread exit finds nothing instead of aborting the process.
//!
//! What it may touch: the loop's [`Core`], for the length of one call that never enters user code. Invariant: the
//! thread-local is borrowed only inside [`with`], and no closure given to `with` calls or drops what users gave us.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::rc::Rc;

use crate::event_loop::core::Core;
use crate::event_loop::events::{Arguments, Event};
use crate::event_loop::listeners::{Listener, ListenerId};
use crate::event_loop::{Inner, Phase};
use crate::reactor::Handle;

thread_local! {
    static CURRENT: RefCell<Option<ManuallyDrop<Rc<Inner>>>> = const { RefCell::new(None) };
    /// Where the generations of the thread's previous loop stopped: its handles must stay inert in the next one.
    static LAST_GENERATION: Cell<u64> = const { Cell::new(0) };
}

/// Runs `command` on this thread's loop. `None` when there is none: handles are inert then.
pub(crate) fn with<R>(command: impl FnOnce(&mut Core) -> R) -> Option<R> {
    // Without a loop the command is dropped behind the borrow: it may hold what users gave.
    let mut command = Some(command);
    CURRENT.with_borrow(|current| {
        let inner = current.as_ref()?;
        let command = command.take()?;
        Some(command(&mut inner.core.borrow_mut()))
    })
}

/// The same for creators, which need a loop.
#[track_caller]
pub(crate) fn expect<R>(command: impl FnOnce(&mut Core) -> R) -> R {
    match with(command) {
        Some(result) => result,
        None => panic!("there is no event loop on this thread: call `EventLoop::new` first and keep what it returns"),
    }
}

/// Outside `run()`, drops at once what a command took back; within it, the drain after the running callback does.
pub(crate) fn bury_if_idle() {
    let idle = CURRENT.with_borrow(|current| {
        let inner = current.as_ref()?;
        (inner.core.borrow().phase == Phase::Idle).then(|| Rc::clone(inner))
    });
    if let Some(inner) = idle {
        inner.bury();
    }
}

/// Emits what a command leads to within its call. The loop is kept for as long as that takes: the listeners run outside
/// `run()` perhaps, and could drop the owner.
pub(crate) fn emit_now(depth: usize) {
    let inner = CURRENT.with_borrow(|current| Some(Rc::clone(current.as_ref()?)));
    if let Some(inner) = inner {
        inner.emit_now(depth);
    }
}

/// Adds a listener to the current loop's registry. It is boxed before anything is borrowed, and where there is no loop it
/// is dropped here, with nothing borrowed.
pub(crate) fn add_listener(
    owner: Handle,
    event: Event,
    once: bool,
    listener: impl FnMut(&Arguments<'_>) + 'static,
) -> ListenerId {
    let listener: Rc<Listener> = Rc::new(RefCell::new(listener));
    with(|core| core.add_listener(owner, event, once, listener)).unwrap_or(ListenerId::NONE)
}

/// The same for a listener that is called once.
pub(crate) fn add_listener_once(
    owner: Handle,
    event: Event,
    listener: impl FnOnce(&Arguments<'_>) + 'static,
) -> ListenerId {
    let mut listener = Some(listener);
    add_listener(owner, event, true, move |arguments| {
        if let Some(listener) = listener.take() {
            listener(arguments);
        }
    })
}

pub(crate) fn loop_number() -> Option<u64> {
    CURRENT.with_borrow(|current| current.as_ref().map(|inner| inner.loop_number))
}

pub(crate) fn last_generation() -> u64 {
    LAST_GENERATION.get()
}

/// # Panics
///
/// When the thread has a loop already.
#[track_caller]
pub(crate) fn check_free() {
    let taken = CURRENT.with_borrow(|current| current.is_some());
    assert!(!taken, "this thread has an event loop already: `EventLoop::new` makes one loop per thread");
}

pub(crate) fn set(inner: Rc<Inner>) {
    CURRENT.set(Some(ManuallyDrop::new(inner)));
}

/// The owner goes. What it owned is returned, to be dropped with nothing borrowed.
pub(crate) fn clear(last_generation: u64) -> Option<Rc<Inner>> {
    LAST_GENERATION.set(last_generation);
    CURRENT.take().map(ManuallyDrop::into_inner)
}
