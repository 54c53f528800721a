//! The current loop of this thread: the crate's one thread-local.
//!
//! The [`EventLoop`](crate::EventLoop) is the owner; this only refers to it, and has no destructor of its own, so that a
//! captured value whose `Drop` touches a socket at thread exit finds nothing instead of aborting the process.
//!
//! What it may touch: the loop's [`Core`], for the length of one call that never enters user code. Invariant: the
//! thread-local is borrowed only inside [`with`], and no closure given to `with` calls or drops what users gave us.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::event_loop::closures::{Captured, Stateless};
use crate::event_loop::core::Core;
use crate::event_loop::custom_lookup::LookupCallback;
use crate::event_loop::events::{Arguments, Event, SocketEvent};
use crate::event_loop::filters::Filter;
use crate::event_loop::handles::{Server, Socket};
use crate::event_loop::listeners::{Action, ListenerId, ListenerKind};
use crate::event_loop::{Inner, Phase};
use crate::reactor::Handle;
use crate::reactor::admission::Admission;
use crate::reactor::plain::Plainly;
use crate::reactor::selecting::LookupId;

thread_local! {
    static CURRENT: Cell<Option<ManuallyDrop<Rc<Inner>>>> = const { Cell::new(None) };
    /// Where the generations of the thread's previous loop stopped: its handles must stay inert in the next one.
    static LAST_GENERATION: Cell<u64> = const { Cell::new(0) };
}

/// Runs `command` on this thread's loop. `None` when there is none: handles are inert then.
#[inline]
pub(crate) fn with<R>(command: impl FnOnce(&mut Core) -> R) -> Option<R> {
    // Without a loop the command is dropped with nothing borrowed: it may hold what users gave.
    look(|inner| {
        let mut core = inner.core.borrow_mut();
        core.touched = true;
        command(&mut core)
    })
}

/// Looks at this thread's loop, which is no command. `None` when there is none.
pub(crate) fn look_at<R>(view: impl FnOnce(&Core) -> R) -> Option<R> {
    look(|inner| view(&inner.core.borrow()))
}

/// The short way of a write, which leaves nothing to be done when the running listener returns. In a function of its own, so
/// that what users' code is made of stays small.
#[inline]
pub(crate) fn write_plainly(socket: Handle, bytes: &[u8]) -> Plainly {
    let lent = Lent(CURRENT.take());
    match &lent.0 {
        Some(inner) => inner.core.borrow_mut().reactor.write_plainly(socket, bytes),
        None => Plainly::Not,
    }
}

/// The reference, out of its place for the length of one access, which is cheaper than a borrow that is counted. It is put
/// back however the access ends.
struct Lent(Option<ManuallyDrop<Rc<Inner>>>);

impl Drop for Lent {
    #[inline]
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// One look at the loop.
#[inline]
fn look<R>(look: impl FnOnce(&Rc<Inner>) -> R) -> Option<R> {
    let lent = Lent(Some(CURRENT.take()?));
    lent.0.as_deref().map(look)
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
    let idle = look(|inner| (inner.core.borrow().phase == Phase::Idle).then(|| Rc::clone(inner)));
    if let Some(inner) = idle.flatten() {
        inner.bury();
    }
}

/// Runs a command that may emit within its call (law 1), and what it emits. The loop is kept for as long as that takes:
/// the listeners run outside `run()` perhaps, and could drop the owner.
pub(crate) fn command<R>(command: impl FnOnce(&mut Core) -> R) -> Option<R> {
    let (result, depth) = with(|core| {
        let depth = core.reactor.ticks.depth();
        let result = command(core);
        (result, (core.reactor.ticks.depth() > depth).then_some(depth))
    })?;
    if let Some((depth, inner)) = depth.zip(inner()) {
        inner.emit_now(depth);
    }
    Some(result)
}

/// Sets the filter of a server.
pub(crate) fn set_filter(server: Handle, filter: impl FnMut(Server, Option<SocketAddr>) -> Admission + 'static) {
    let filter: Filter = Box::new(filter);
    with(|core| core.set_filter(server, Some(filter)));
    bury_if_idle();
}

/// Emits `data` within a call of `read()`.
pub(crate) fn emit_data(socket: Handle, bytes: &[u8]) {
    if let Some(inner) = inner() {
        inner.emit_data(socket, bytes);
    }
}

/// Emits `pipe` or `unpipe` within the call of that name.
pub(crate) fn emit_pipe(destination: Handle, event: SocketEvent, arguments: &Arguments<'_>) {
    if let Some(inner) = inner() {
        inner.emit_to_socket(destination, event, arguments);
    }
}

fn inner() -> Option<Rc<Inner>> {
    look(Rc::clone)
}

/// Adds a listener to the current loop's registry. It is boxed before anything is borrowed, and where there is no loop it
/// is dropped here, with nothing borrowed.
pub(crate) fn add_listener(
    owner: Handle,
    event: Event,
    kind: ListenerKind,
    listener: impl FnMut(&Arguments<'_>) + 'static,
) -> ListenerId {
    add_action(owner, event, kind, Stateless::new(listener))
}

/// The same for a listener to `data`, which is told of bytes only.
pub(crate) fn add_data_listener(owner: Handle, listener: impl FnMut(Socket, &[u8]) + 'static) -> ListenerId {
    let listener = Stateless::of_data(listener, |mut listener| {
        move |arguments: &Arguments<'_>| {
            if let Arguments::Data(socket, bytes, _) = *arguments {
                // No bytes: only text is left, at the end of the stream.
                if !bytes.is_empty() {
                    listener(socket, bytes);
                }
            }
        }
    });
    add_action(owner, Event::Socket(SocketEvent::Data), ListenerKind::Lasting, listener)
}

fn add_action(
    owner: Handle,
    event: Event,
    kind: ListenerKind,
    listener: Result<Stateless, impl FnMut(&Arguments<'_>) + 'static>,
) -> ListenerId {
    let action = match listener {
        Ok(stateless) => Action::Stateless(stateless),
        Err(captured) => Action::Captured(Captured::new(captured)),
    };
    with(|core| core.add_listener(owner, event, kind, action)).unwrap_or(ListenerId::NONE)
}

/// The same for a listener that is called once.
pub(crate) fn add_listener_once(
    owner: Handle,
    event: Event,
    listener: impl FnOnce(&Arguments<'_>) + 'static,
) -> ListenerId {
    let mut listener = Some(listener);
    add_listener(owner, event, ListenerKind::Once, move |arguments| {
        if let Some(listener) = listener.take() {
            listener(arguments);
        }
    })
}

pub(crate) fn loop_number() -> Option<u64> {
    look(|inner| inner.loop_number)
}

/// What answers a lookup of this thread's loop, from here or from another thread.
pub(crate) fn lookup_callback(id: LookupId, host: &str) -> Option<LookupCallback> {
    look(|inner| LookupCallback::new(id, inner.loop_number, inner.mailbox.clone(), host.into()))
}

pub(crate) fn last_generation() -> u64 {
    LAST_GENERATION.get()
}

/// # Panics
///
/// When the thread has a loop already.
#[track_caller]
pub(crate) fn check_free() {
    let taken = loop_number().is_some();
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
