//! The closures of listeners, as small as they can be: without captures nothing but their code, with captures a box of one
//! thin pointer.
//!
//! Most listeners of a server capture nothing. A pointer to their code is all that has to be kept of them, so the
//! sockets of one server share one table of listeners and own none, and calling one is a plain call. With a box for each
//! closure a delivery costs 25 instructions more, and an idle connection some hundred bytes.
//!
//! What captures something has a [`Captured`]: a box with a count, a mark that it runs, and the closure. Its code
//! ([`Code`]) is not in the box. The sockets of one server that add closures of the same kinds in the same order share a
//! list of codes ([`Codes`]) and own only the boxes ([`Closures`]). With one captured word or two a box is at most 24
//! bytes, the least that malloc hands out; an `Rc<RefCell<dyn FnMut>>` has 24 more, behind a pointer of two words.
//!
//! It may touch nothing. This is the one file outside of `sys` with `unsafe` in it: a closure without captures can be
//! called without being anywhere, and a box can be told apart from its code, but only `unsafe` code can say so.
//! Invariants: a [`Stateless`] is made from a value of its closure's type, which is then forgotten; whoever calls it sees
//! to it that the same registration is not running already, as for every listener (see `emit`). A box is always paired
//! with the code of the closure that was put into it: in a [`Captured`] from the beginning, in [`Closures`] by position,
//! which is checked when one is added. What is dropped here may run user code: whoever drops it has nothing borrowed.

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem;
use std::ptr::{self, NonNull};
use std::rc::Rc;

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

/// What a box begins with, whichever closure is behind it.
struct Header {
    /// How many own the box. At the highest number it stays there, and the box is never freed: nobody could count.
    owners: Cell<u32>,
    /// It is borrowed by a [`RunningClosure`].
    running: Cell<bool>,
}

/// The whole box. The order of the fields is fixed, so that it begins with its header.
#[repr(C)]
struct Boxed<F> {
    header: Header,
    closure: UnsafeCell<F>,
}

/// Two captured words fit into the smallest piece that glibc's allocator hands out.
const _: () = assert!(size_of::<Boxed<[usize; 2]>>() <= 24);

/// What can be done with a box, told by the type of its closure.
pub(crate) struct Code {
    call: CallBoxed,
    free: FreeBoxed,
}

/// See [`call_boxed`].
///
/// # Safety
///
/// As there.
type CallBoxed = unsafe fn(NonNull<Header>, &Arguments<'_>);

/// See [`free_boxed`].
///
/// # Safety
///
/// As there.
type FreeBoxed = unsafe fn(NonNull<Header>);

/// One owner of a closure with captures. Clones own the same one; the last to go drops it.
pub(crate) struct Captured {
    /// Made by [`Captured::new`], and not freed while its `owners` count this one.
    header: NonNull<Header>,
    /// Of the closure in that box.
    code: &'static Code,
}

/// The codes of the closures of a socket, in the order of their addition. Sockets share it.
#[derive(Clone, Default)]
pub(crate) struct Codes(Vec<&'static Code>);

/// How many closures a [`Closures`] has room for. What few sockets have more of is better kept elsewhere than to make all
/// others larger: most servers have something for `data`, and for the end or an error.
const MOST_CLOSURES: usize = 3;

/// The closures with captures of one socket: their boxes, each of which is owned once by being here.
#[derive(Default)]
pub(crate) struct Closures {
    /// Each the code of the box in its place.
    codes: Option<Rc<Codes>>,
    /// As many as there are codes.
    boxes: [Option<NonNull<Header>>; MOST_CLOSURES],
}

/// The bytes of that: every socket with captures has one.
const _: () = assert!(size_of::<Closures>() <= 32);

impl Code {
    fn of<F: FnMut(&Arguments<'_>) + 'static>() -> &'static Code {
        const { &Code { call: call_boxed::<F>, free: free_boxed::<F> } }
    }

    /// Whether the two do the same. False may be wrong: then tables are not shared that could be.
    pub(crate) fn is(&self, other: &Code) -> bool {
        ptr::fn_addr_eq(self.call, other.call) && ptr::fn_addr_eq(self.free, other.free)
    }
}

impl Captured {
    pub(crate) fn new<F: FnMut(&Arguments<'_>) + 'static>(closure: F) -> Captured {
        let header = Header { owners: Cell::new(1), running: Cell::new(false) };
        let boxed = Box::new(Boxed { header, closure: UnsafeCell::new(closure) });
        Captured { header: NonNull::from(Box::leak(boxed)).cast(), code: Code::of::<F>() }
    }

    pub(crate) fn code(&self) -> &'static Code {
        self.code
    }

    /// Borrows the closure for calls. None while it runs.
    pub(crate) fn begin(&self) -> Option<RunningClosure<'_>> {
        if self.header().running.replace(true) { None } else { Some(RunningClosure { captured: self }) }
    }

    /// Whether it is borrowed.
    pub(crate) fn runs(&self) -> bool {
        self.header().running.get()
    }

    fn header(&self) -> &Header {
        // SAFETY: the box is there while this owns it, and a header is only ever borrowed shared.
        unsafe { self.header.as_ref() }
    }
}

impl Clone for Captured {
    fn clone(&self) -> Captured {
        let owners = &self.header().owners;
        owners.set(owners.get().saturating_add(1));
        Captured { header: self.header, code: self.code }
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        let owners = &self.header().owners;
        match owners.get() {
            u32::MAX => {}
            1 => {
                // SAFETY: the box was made with the code that is paired with it, and this was its last owner. Nothing
                // borrows it: a `RunningClosure` borrows an owner.
                unsafe { (self.code.free)(self.header) }
            }
            several => owners.set(several - 1),
        }
    }
}

/// A closure that is borrowed to be called, until this is dropped, by a panic too.
pub(crate) struct RunningClosure<'a> {
    captured: &'a Captured,
}

impl RunningClosure<'_> {
    #[inline]
    pub(crate) fn call(&mut self, arguments: &Arguments<'_>) {
        // SAFETY: the box was made with the code that is paired with it, it is owned, and the mark in it says that nobody
        // else has the closure borrowed.
        unsafe { (self.captured.code.call)(self.captured.header, arguments) }
    }
}

impl Drop for RunningClosure<'_> {
    fn drop(&mut self) {
        self.captured.header().running.set(false);
    }
}

impl Codes {
    /// The same, and one behind them.
    pub(crate) fn with(&self, code: &'static Code) -> Codes {
        Codes(self.0.iter().copied().chain([code]).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() == MOST_CLOSURES
    }

    /// Whether these are `others` and `code` behind them.
    fn are_one_longer(&self, others: &[&'static Code], code: &'static Code) -> bool {
        self.0.split_last().is_some_and(|(last, rest)| {
            last.is(code) && rest.len() == others.len() && rest.iter().zip(others).all(|(one, other)| one.is(other))
        })
    }
}

impl Closures {
    /// Puts a closure behind the others, whose codes are `codes` from now on. Hands it back if they are not those of these
    /// closures, in their order, or if there is no room.
    pub(crate) fn push(&mut self, captured: Captured, codes: &Rc<Codes>) -> Result<(), Captured> {
        let present = self.codes.as_ref().map_or(&[][..], |codes| &codes.0);
        let fits = codes.are_one_longer(present, captured.code);
        let Some(place) = self.boxes.get_mut(present.len()).filter(|_| fits) else { return Err(captured) };
        // It is owned by being here.
        *place = Some(mem::ManuallyDrop::new(captured).header);
        self.codes = Some(Rc::clone(codes));
        Ok(())
    }

    /// One more owner of the closure at this position.
    pub(crate) fn get(&self, position: usize) -> Option<Captured> {
        let code = *self.codes.as_ref()?.0.get(position)?;
        let header = (*self.boxes.get(position)?)?;
        let owned_here = mem::ManuallyDrop::new(Captured { header, code });
        Some(Captured::clone(&owned_here))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.codes.is_none()
    }
}

impl Drop for Closures {
    fn drop(&mut self) {
        let Some(codes) = self.codes.take() else { return };
        // An array of owners: when one of them panics the others are dropped too.
        let mut owners = [const { None }; MOST_CLOSURES];
        for ((owner, header), code) in owners.iter_mut().zip(&mut self.boxes).zip(&codes.0) {
            *owner = header.take().map(|header| Captured { header, code });
        }
    }
}

/// Calls the closure in a box.
///
/// # Safety
///
/// The box was made by [`Captured::new`] from a closure of type `F`, it is not freed, and nobody has its closure borrowed.
unsafe fn call_boxed<F: FnMut(&Arguments<'_>) + 'static>(header: NonNull<Header>, arguments: &Arguments<'_>) {
    let boxed = header.cast::<Boxed<F>>().as_ptr();
    // SAFETY: the pointer is that of the whole box, and points to one of this type, as the caller says. Only the closure is
    // borrowed, so headers can be looked at meanwhile.
    let closure = unsafe { &mut *UnsafeCell::raw_get(&raw const (*boxed).closure) };
    closure(arguments);
}

/// Drops a box and what is in it.
///
/// # Safety
///
/// The box was made by [`Captured::new`] from a closure of type `F`, and nobody uses it any more.
unsafe fn free_boxed<F: FnMut(&Arguments<'_>) + 'static>(header: NonNull<Header>) {
    // SAFETY: it was leaked from a box of this type, as the caller says.
    drop(unsafe { Box::from_raw(header.cast::<Boxed<F>>().as_ptr()) });
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

    /// Under Miri this is the proof of the `unsafe` above: `cargo +nightly miri test --lib closures`.
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

    /// The same behind the shorter way of `data`.
    #[test]
    fn a_listener_to_data_is_called_through_its_own_code() {
        static BYTES: AtomicU32 = AtomicU32::new(0);
        let listener = |_: Socket, bytes: &[u8]| {
            BYTES.fetch_add(bytes.len() as u32, Ordering::Relaxed);
        };
        let wrapped = move |_: &Arguments<'_>| listener(socket(), b"wrapped");
        let stateless = Stateless::of_data(listener, |_| wrapped).ok().unwrap();
        stateless.for_data().unwrap()(socket(), b"plain");
        assert_eq!(BYTES.load(Ordering::Relaxed), 5);
        stateless.call(&Arguments::Socket(socket()));
        assert_eq!(BYTES.load(Ordering::Relaxed), 12);
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

    /// A closure that counts its calls in `calls`, and its drop.
    fn counting(calls: &Rc<Cell<u32>>, drops: &Rc<Cell<u32>>) -> impl FnMut(&Arguments<'_>) + 'static {
        let (calls, drops) = (Rc::clone(calls), CountsDrops(Rc::clone(drops)));
        move |_: &Arguments<'_>| {
            let _ = &drops;
            calls.set(calls.get() + 1);
        }
    }

    struct CountsDrops(Rc<Cell<u32>>);

    impl Drop for CountsDrops {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    fn call_once(captured: &Captured) {
        captured.begin().unwrap().call(&Arguments::Socket(socket()));
    }

    /// Under Miri these are the proof of the rest of the `unsafe` above.
    #[test]
    fn the_last_owner_drops_a_closure() {
        let (calls, drops) = <(Rc<Cell<u32>>, Rc<Cell<u32>>)>::default();
        let captured = Captured::new(counting(&calls, &drops));
        let other = captured.clone();
        call_once(&captured);
        drop(captured);
        assert_eq!((calls.get(), drops.get()), (1, 0));
        call_once(&other);
        drop(other);
        assert_eq!((calls.get(), drops.get()), (2, 1));
    }

    #[test]
    fn a_closure_that_runs_is_not_borrowed_again() {
        let (calls, drops) = <(Rc<Cell<u32>>, Rc<Cell<u32>>)>::default();
        let captured = Captured::new(counting(&calls, &drops));
        let other = captured.clone();
        let running = captured.begin().unwrap();
        assert!(captured.begin().is_none());
        assert!(other.begin().is_none());
        drop(running);
        call_once(&other);
        assert_eq!(calls.get(), 1);
    }

    /// The count of owners is in the box, whose closure is borrowed mutably meanwhile.
    #[test]
    fn owners_come_and_go_while_a_closure_runs() {
        let own: Rc<Cell<Option<Captured>>> = Rc::default();
        let within = Rc::clone(&own);
        let mut number = 7;
        let captured = Captured::new(move |_: &Arguments<'_>| {
            number += 1;
            let taken = within.take().unwrap();
            within.set(Some(taken.clone()));
            assert!(taken.begin().is_none());
            drop(taken);
            number += 1;
            assert_eq!(number, 9);
        });
        own.set(Some(captured.clone()));
        call_once(&captured);
        drop(own.take());
    }

    #[test]
    fn a_panic_ends_the_borrow() {
        let captured = Captured::new(|_: &Arguments<'_>| panic!("as it should"));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call_once(&captured)));
        assert!(result.is_err());
        assert!(captured.begin().is_some());
    }

    #[test]
    fn closures_are_found_by_position() {
        let drops = Rc::<Cell<u32>>::default();
        let calls: [Rc<Cell<u32>>; 3] = Default::default();
        let mut closures = Closures::default();
        let mut codes = Rc::new(Codes::default());
        for calls in &calls {
            let captured = Captured::new(counting(calls, &drops));
            codes = Rc::new(codes.with(captured.code()));
            assert!(closures.push(captured, &codes).is_ok());
        }
        let last = closures.get(2).unwrap();
        call_once(&last);
        call_once(&closures.get(0).unwrap());
        assert!(codes.is_full() && closures.get(3).is_none());
        let fourth = Captured::new(counting(&calls[0], &Rc::default()));
        assert!(closures.push(fourth.clone(), &Rc::new(codes.with(fourth.code()))).is_err());
        assert_eq!(calls.each_ref().map(|calls| calls.get()), [1, 0, 1]);
        assert_eq!(drops.get(), 0);
        drop(closures);
        assert_eq!(drops.get(), 2);
        call_once(&last);
        drop(last);
        assert_eq!((calls[2].get(), drops.get()), (2, 3));
    }

    /// A box under the code of another type would be the end of everything.
    #[test]
    fn no_closure_comes_under_the_code_of_another() {
        let (calls, drops) = <(Rc<Cell<u32>>, Rc<Cell<u32>>)>::default();
        let mut closures = Closures::default();
        let text = String::from("other");
        let other = Captured::new(move |_: &Arguments<'_>| assert_eq!(text, "other"));
        let captured = Captured::new(counting(&calls, &drops));
        let wrong = Rc::new(Codes::default().with(other.code()));
        let right = Rc::new(Codes::default().with(captured.code()));
        let captured = closures.push(captured, &wrong).err().unwrap();
        let captured = closures.push(captured, &Rc::default()).err().unwrap();
        assert!(closures.push(captured, &right).is_ok());
        // The codes of others.
        let wrong = Rc::new(wrong.with(other.code()));
        let other = closures.push(other, &wrong).err().unwrap();
        let right = Rc::new(right.with(other.code()));
        assert!(closures.push(other, &right).is_ok());
        call_once(&closures.get(0).unwrap());
        call_once(&closures.get(1).unwrap());
        assert_eq!((calls.get(), right.len()), (1, 2));
    }

    #[test]
    fn a_destructor_that_panics_does_not_keep_the_others() {
        struct Loud;
        impl Drop for Loud {
            fn drop(&mut self) {
                panic!("as it should");
            }
        }
        let (calls, drops) = <(Rc<Cell<u32>>, Rc<Cell<u32>>)>::default();
        let loud = (Loud, 0_u64);
        let first = Captured::new(move |_: &Arguments<'_>| {
            let _ = &loud;
        });
        let second = Captured::new(counting(&calls, &drops));
        let mut closures = Closures::default();
        let codes = Rc::new(Codes::default().with(first.code()));
        assert!(closures.push(first, &codes).is_ok());
        let codes = Rc::new(codes.with(second.code()));
        assert!(closures.push(second, &codes).is_ok());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(closures)));
        assert!(result.is_err());
        assert_eq!(drops.get(), 1);
    }
}
