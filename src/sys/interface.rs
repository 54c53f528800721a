//! Network interfaces, as far as IPv6 zones (`fe80::1%eth0`) need them.
//!
//! May touch `libc` only. Nothing is cached: interfaces come and go, and link-local addresses are rare.

use std::ffi::CString;
use std::ptr;

/// The index of the interface called `name`.
pub(super) fn index_of(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: `name` is a string that ends with a zero byte and lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// The index of the first interface that has a link-local IPv6 address.
pub(super) fn first_link_local() -> Option<u32> {
    let list = InterfaceList::new()?;
    // As many rounds as this machine has addresses: the list is a finished copy.
    let mut entry = list.0;
    while !entry.is_null() {
        // SAFETY: `entry` is a node of the list that `list` keeps alive.
        let (address, next) = unsafe { ((*entry).ifa_addr, (*entry).ifa_next) };
        // SAFETY: `address` is null or the address of a node of that list.
        if let Some(scope) = unsafe { link_local_scope(address) } {
            return Some(scope);
        }
        entry = next;
    }
    None
}

/// The scope of `address` if that is a link-local IPv6 address with one.
///
/// # Safety
///
/// `address` is null or points to a complete socket address of the family that it names.
unsafe fn link_local_scope(address: *const libc::sockaddr) -> Option<u32> {
    if address.is_null() {
        return None;
    }
    // SAFETY: not null, and every socket address begins with this header.
    if i32::from(unsafe { (*address).sa_family }) != libc::AF_INET6 {
        return None;
    }
    // SAFETY: an address of this family is a `sockaddr_in6`. Nobody promises its alignment, hence the copy.
    let address = unsafe { ptr::read_unaligned(address.cast::<libc::sockaddr_in6>()) };
    let [first, second, ..] = address.sin6_addr.s6_addr;
    // fe80::/10
    let link_local = first == 0xfe && second & 0xc0 == 0x80;
    (link_local && address.sin6_scope_id != 0).then_some(address.sin6_scope_id)
}

/// The list of this machine's addresses, freed when dropped.
struct InterfaceList(*mut libc::ifaddrs);

impl InterfaceList {
    fn new() -> Option<Self> {
        let mut list = ptr::null_mut();
        // SAFETY: `list` is a valid place for the result.
        let result = unsafe { libc::getifaddrs(&mut list) };
        (result == 0).then_some(Self(list))
    }
}

impl Drop for InterfaceList {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the list came from `getifaddrs` and is freed here only.
            unsafe { libc::freeifaddrs(self.0) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_interface_has_gives_nothing() {
        assert_eq!(index_of("no-such-interface"), None);
        assert_eq!(index_of(""), None);
        assert_eq!(index_of("l\0o"), None);
    }

    #[test]
    fn loopback_has_an_index() {
        let name = if cfg!(target_os = "linux") { "lo" } else { "lo0" };
        assert!(index_of(name).is_some());
    }

    #[test]
    fn a_link_local_interface_has_a_real_index() {
        // A machine may have none; then there is nothing to say.
        if let Some(index) = first_link_local() {
            assert_ne!(index, 0);
        }
    }

    #[test]
    fn no_address_has_no_scope() {
        // SAFETY: null is allowed.
        assert_eq!(unsafe { link_local_scope(ptr::null()) }, None);
    }
}
