//! Listeners without captures: there is nothing of them but their code.
//!
//! Most listeners of a server are such closures. A pointer to their code is all that has to be kept of them, so the
//! sockets of one server share one table of listeners and own none, and calling one is a plain call. With a box for each
//! closure a delivery costs 25 instructions more, and an idle connection some hundred bytes.
//!
//! It may touch nothing. This is the one file outside of `sys` with `unsafe` in it: a closure without captures has no
//! bytes, so it can be called without being anywhere, but only `unsafe` code can say so. Invariants: a [`Stateless`] is
//! made from a value of its closure's type, which is then forgotten; whoever calls it sees to it that the same
//! registration is not running already, as for every listener (see `emit`).

use std::fmt;
use std::mem;
use std::ptr::{self, NonNull};

use crate::event_loop::events::Arguments;
use crate::event_loop::handles::Socket;

/// What a listener to `data` without captures is called by when there are bytes and no text.
pub(crate) type DataListener = fn(Socket, &[u8]);

/// A closure that has no captures and nothing to drop.
#[derive(Copy, Clone)]
pub(crate) struct Stateless {
    call: fn(&Arguments<'_>),
    /// The same for `data`, without the detour of the arguments.
    call_data: Option<DataListener>,
}

impl Stateless {
    /// The closure as a pointer to its code, or the closure again when it captures something.
    #[inline]
    pub(crate) fn new<F: FnMut(&Arguments<'_>) + 'static>(closure: F) -> Result<Stateless, F> {
        // A value without a size may still have a destructor, and that is to run when the listener goes.
        if size_of::<F>() != 0 || mem::needs_drop::<F>() {
            return Err(closure);
        }
        mem::forget(closure);
        Ok(Stateless { call: call::<F>, call_data: None })
    }

    /// The same for a listener to `data`. What it is called by among others is made of it by `wrap`, which captures nothing
    /// but it.
    #[inline]
    pub(crate) fn of_data<F, W>(closure: F, wrap: impl FnOnce(F) -> W) -> Result<Stateless, W>
    where
        F: FnMut(Socket, &[u8]) + 'static,
        W: FnMut(&Arguments<'_>) + 'static,
    {
        let stateless = Stateless::new(wrap(closure))?;
        // Without captures around it there are none in it.
        Ok(Stateless { call_data: Some(call_data::<F>), ..stateless })
    }

    /// What a listener to `data` is called by when there are bytes and no text.
    pub(crate) fn for_data(self) -> Option<DataListener> {
        self.call_data
    }

    #[inline]
    pub(crate) fn call(self, arguments: &Arguments<'_>) {
        (self.call)(arguments);
    }

    /// Whether the two do the same. False may be wrong: then tables are not shared that could be.
    pub(crate) fn is(self, other: Stateless) -> bool {
        ptr::fn_addr_eq(self.call, other.call)
    }
}

impl fmt::Debug for Stateless {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Stateless")
    }
}

/// Calls the closure of type `F` that [`Stateless::new`] was given.
fn call<F: FnMut(&Arguments<'_>) + 'static>(arguments: &Arguments<'_>) {
    // Known when this is compiled: `new` makes no pointer to it otherwise.
    assert!(size_of::<F>() == 0);
    // SAFETY: `F` has no bytes, so every aligned pointer that is not null points to a valid value of it, once there has
    // been one: `new` was given one and forgot it, so that it is still there. It may be borrowed mutably because no two
    // calls of one registration run at once; those of two registrations borrow two values, which need not overlap as
    // they have no bytes.
    let closure = unsafe { NonNull::<F>::dangling().as_mut() };
    closure(arguments);
}

/// The same for the closure of [`Stateless::of_data`].
fn call_data<F: FnMut(Socket, &[u8]) + 'static>(socket: Socket, bytes: &[u8]) {
    assert!(size_of::<F>() == 0);
    // SAFETY: as above. The value was forgotten within the closure that wraps it.
    let closure = unsafe { NonNull::<F>::dangling().as_mut() };
    closure(socket, bytes);
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::reactor::Handle;
    use crate::reactor::handle::Generations;

    fn socket() -> Socket {
        Socket::from_handle(Handle::new(0, Generations::after(0).next()))
    }

    /// Under Miri this is the proof of the `unsafe` above: `cargo +nightly miri test stateless`.
    #[test]
    fn a_closure_without_captures_is_called_through_its_code_alone() {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let closure = |_: &Arguments<'_>| {
            CALLS.fetch_add(1, Ordering::Relaxed);
        };
        let stateless = Stateless::new(closure).ok().unwrap();
        stateless.call(&Arguments::Socket(socket()));
        let copy = stateless;
        copy.call(&Arguments::Close(socket(), true));
        assert_eq!(CALLS.load(Ordering::Relaxed), 2);
        assert!(stateless.is(copy));
    }

    #[test]
    fn what_is_captured_without_a_size_is_there_in_every_call() {
        #[derive(Debug, PartialEq)]
        struct Token;
        let token = Token;
        let closure = move |_: &Arguments<'_>| {
            let mut borrowed = &token;
            assert_eq!(mem::replace(&mut borrowed, &Token), &Token);
        };
        let stateless = Stateless::new(closure).ok().unwrap();
        stateless.call(&Arguments::Socket(socket()));
    }

    #[test]
    fn captures_and_destructors_are_given_back() {
        let count = Cell::new(0);
        let closure = move |_: &Arguments<'_>| count.set(count.get() + 1);
        let closure = Stateless::new(closure).err().unwrap();
        closure(&Arguments::Socket(socket()));

        static DROPS: AtomicU32 = AtomicU32::new(0);
        struct Loud;
        impl Drop for Loud {
            fn drop(&mut self) {
                DROPS.fetch_add(1, Ordering::Relaxed);
            }
        }
        let loud = Loud;
        let closure = move |_: &Arguments<'_>| {
            let _ = &loud;
        };
        let closure = Stateless::new(closure).err().unwrap();
        assert_eq!(DROPS.load(Ordering::Relaxed), 0);
        drop(closure);
        assert_eq!(DROPS.load(Ordering::Relaxed), 1);
    }
}
