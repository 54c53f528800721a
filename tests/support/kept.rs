//! Values that are never freed, so that any number of listeners and threads can refer to them by a plain reference.
//!
//! May touch: std. Invariant: a static refers to each of them, so that a leak checker, which would be right otherwise, says
//! nothing of them; what it says is a leak.

use std::sync::atomic::AtomicPtr;
use std::sync::{Mutex, PoisonError};

/// Nobody reads it.
static KEPT: Mutex<Vec<AtomicPtr<()>>> = Mutex::new(Vec::new());

/// Keeps `value` until the process ends.
pub fn kept<T: 'static>(value: T) -> &'static T {
    let value = Box::leak(Box::new(value));
    let address = std::ptr::from_mut(value).cast();
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(AtomicPtr::new(address));
    value
}
