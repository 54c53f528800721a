//! The defaults of address-family selection: what `connect` does with a name that has several addresses.
//!
//! They hold for the whole process, as in Node for a thread and its modules. This module touches nothing else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::error::Error;

/// Node's smallest attempt timeout: what is smaller becomes this (rule C23).
const SMALLEST: Duration = Duration::from_millis(10);

/// The largest, as in Node: what fits 31 bits of milliseconds.
const LARGEST: Duration = Duration::from_millis((1 << 31) - 1);

static SELECT: AtomicBool = AtomicBool::new(true);
/// Node's default, half a second, in nanoseconds. Those of the largest timeout fit easily.
static ATTEMPT_TIMEOUT: AtomicU64 = AtomicU64::new(500_000_000);

/// Whether `connect` tries several addresses of a name unless
/// [`ConnectOptions::auto_select_family`](crate::net::ConnectOptions::auto_select_family) says otherwise; true at
/// first. Mirrors [`net.getDefaultAutoSelectFamily()`].
///
/// ```
/// assert!(halfclose::net::get_default_auto_select_family());
/// ```
///
/// [`net.getDefaultAutoSelectFamily()`]: https://nodejs.org/api/net.html#netgetdefaultautoselectfamily
pub fn get_default_auto_select_family() -> bool {
    SELECT.load(Ordering::Relaxed)
}

/// Sets [`get_default_auto_select_family`]. Mirrors [`net.setDefaultAutoSelectFamily()`].
///
/// It holds for the whole process, in Node for a thread, and counts at each `connect` from now on.
///
/// ```
/// use halfclose::net;
///
/// net::set_default_auto_select_family(false);
/// assert!(!net::get_default_auto_select_family());
/// ```
///
/// [`net.setDefaultAutoSelectFamily()`]: https://nodejs.org/api/net.html#netsetdefaultautoselectfamilyvalue
pub fn set_default_auto_select_family(select: bool) {
    SELECT.store(select, Ordering::Relaxed);
}

/// How long each address but the last is tried unless
/// [`ConnectOptions::auto_select_family_attempt_timeout`](crate::net::ConnectOptions::auto_select_family_attempt_timeout)
/// says otherwise; 500 milliseconds at first. Mirrors [`net.getDefaultAutoSelectFamilyAttemptTimeout()`].
///
/// ```
/// assert_eq!(halfclose::net::get_default_auto_select_family_attempt_timeout().as_millis(), 500);
/// ```
///
/// [`net.getDefaultAutoSelectFamilyAttemptTimeout()`]: https://nodejs.org/api/net.html#netgetdefaultautoselectfamilyattempttimeout
pub fn get_default_auto_select_family_attempt_timeout() -> Duration {
    Duration::from_nanos(ATTEMPT_TIMEOUT.load(Ordering::Relaxed))
}

/// Sets [`get_default_auto_select_family_attempt_timeout`]. Mirrors [`net.setDefaultAutoSelectFamilyAttemptTimeout()`].
///
/// It holds for the whole process, in Node for a thread. Below 10 milliseconds counts as 10.
///
/// # Errors
///
/// `ERR_OUT_OF_RANGE` below 1 millisecond and above 2³¹-1; nothing is changed then.
///
/// ```
/// use std::time::Duration;
/// use halfclose::net;
///
/// net::set_default_auto_select_family_attempt_timeout(Duration::from_millis(250))?;
/// assert_eq!(net::get_default_auto_select_family_attempt_timeout().as_millis(), 250);
/// assert!(net::set_default_auto_select_family_attempt_timeout(Duration::ZERO).is_err());
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [`net.setDefaultAutoSelectFamilyAttemptTimeout()`]: https://nodejs.org/api/net.html#netsetdefaultautoselectfamilyattempttimeoutvalue
pub fn set_default_auto_select_family_attempt_timeout(timeout: Duration) -> Result<(), Error> {
    let timeout = check_attempt_timeout("value", timeout)?;
    ATTEMPT_TIMEOUT.store(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    Ok(())
}

/// What Node makes of an attempt timeout, or throws.
pub(super) fn check_attempt_timeout(name: &str, timeout: Duration) -> Result<Duration, Error> {
    if timeout < Duration::from_millis(1) || timeout > LARGEST {
        return Err(Error::milliseconds_out_of_range(name, timeout));
    }
    Ok(timeout.max(SMALLEST))
}
