//! A simulated kernel as the endpoints hold it, and the one that this thread's new sockets belong to.
//!
//! May touch the kernel, under its lock. Invariants: the lock is held within one call and never across two; a descriptor is
//! closed when it is dropped, on whatever thread that happens.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::kernel::{Answer, Kernel, What};
use crate::sys::taped::Tape;

thread_local! {
    /// A thread has one loop at a time, so one kernel is enough. New sockets are made without naming their loop.
    static CURRENT: RefCell<Option<SharedKernel>> = const { RefCell::new(None) };
    /// The tape of the thread's loop, real or simulated, if it has one.
    static TAPE: RefCell<Option<Tape>> = const { RefCell::new(None) };
}

/// `Send`, because a bound socket may be given to another thread; it is of no use there.
#[derive(Clone, Debug)]
pub(crate) struct SharedKernel(Arc<Mutex<Kernel>>);

impl SharedKernel {
    fn new(seed: u64) -> SharedKernel {
        SharedKernel(Arc::new(Mutex::new(Kernel::new(seed))))
    }

    /// The one of this thread's loop, if that is simulated. None, too, when the thread is about to end.
    pub(super) fn current() -> Option<SharedKernel> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// Nothing panics under the lock that could leave the kernel half changed and be observed: a poisoned one is as good.
    pub(super) fn lock(&self) -> MutexGuard<'_, Kernel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is(&self, other: &SharedKernel) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Opens a descriptor that is no socket.
    pub(super) fn open(&self, what: What) -> io::Result<Descriptor> {
        let number = answered(self.lock().open(what))?;
        Ok(Descriptor { kernel: self.clone(), number })
    }
}

/// What the answers to this thread's loop are written to or read from.
pub(in crate::sys) fn current_tape() -> Option<Tape> {
    TAPE.try_with(|tape| tape.borrow().clone()).ok().flatten()
}

/// A tape for the loop that this thread makes, until this is dropped: then the tape has its end.
#[derive(Debug)]
pub(crate) struct Taping {
    pub(crate) tape: Tape,
}

impl Taping {
    pub(crate) fn new(tape: Tape) -> Taping {
        let entered = tape.clone();
        let _ = TAPE.try_with(|current| current.replace(Some(entered)));
        Taping { tape }
    }
}

impl Drop for Taping {
    fn drop(&mut self) {
        let _ = TAPE.try_with(|current| current.take());
        self.tape.end();
    }
}

/// A simulated kernel for the sockets that this thread makes from now on, until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) kernel: SharedKernel,
}

impl Entered {
    pub(crate) fn new(seed: u64) -> Entered {
        let kernel = SharedKernel::new(seed);
        let entered = kernel.clone();
        let _ = CURRENT.try_with(|current| current.replace(Some(entered)));
        Entered { kernel }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let _ = CURRENT.try_with(|current| current.take());
    }
}

/// A descriptor of a simulated kernel, owned.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub(super) kernel: SharedKernel,
    pub(super) number: i32,
}

impl Descriptor {
    /// One call, made again when a signal interrupts it.
    pub(super) fn call<T>(&self, mut call: impl FnMut(&mut Kernel, i32) -> Answer<T>) -> io::Result<T> {
        // Bounded by the interruptions: no call is interrupted twice in a row by chance, and scripts end.
        loop {
            let answer = call(&mut self.kernel.lock(), self.number);
            if !matches!(answer, Err(libc::EINTR)) {
                return answered(answer);
            }
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.kernel.lock().close(self.number);
    }
}

pub(super) fn answered<T>(answer: Answer<T>) -> io::Result<T> {
    answer.map_err(io::Error::from_raw_os_error)
}
