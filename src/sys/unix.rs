//! Names of unix sockets: what they are to the kernel, and the files that they make.
//!
//! May touch `libc` and `socket2` for the address, and `std::fs` for the file.
//!
//! Invariants: an address that exists fits the kernel's structure and means what was asked for, so it is never cut off
//! silently. A file is removed only if it is the very one that was made here.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{SockAddr, SockAddrStorage};

/// How many bytes a name may have: as many as the kernel's structure (108 on Linux, 104 elsewhere). The zero byte that C
/// programs like to see behind a path need not fit, as in libuv.
const MOST_BYTES: usize = size_of::<libc::sockaddr_un>() - NAME_OFFSET;

/// Where the name begins in the kernel's structure.
const NAME_OFFSET: usize = std::mem::offset_of!(libc::sockaddr_un, sun_path);

/// Where a unix socket listens: a path, or on Linux a name without a file (its first byte is zero).
#[derive(Clone, Debug)]
pub(crate) struct UnixAddress {
    raw: SockAddr,
    name: PathBuf,
}

impl UnixAddress {
    /// An empty name, one that is too long, and a path with a zero byte in it are invalid arguments (`EINVAL`).
    pub(crate) fn new(name: &Path) -> io::Result<Self> {
        let bytes = name.as_os_str().as_bytes();
        let is_abstract = is_abstract(name);
        if bytes.is_empty() || bytes.len() > MOST_BYTES || (!is_abstract && bytes.contains(&0)) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        Ok(Self { raw: raw_address(bytes), name: name.to_owned() })
    }

    /// The name as it was given.
    #[cfg(feature = "simulation")]
    pub(super) fn path(&self) -> &Path {
        &self.name
    }

    /// Its bytes.
    #[cfg(feature = "simulation")]
    pub(super) fn name(&self) -> &[u8] {
        self.name.as_os_str().as_bytes()
    }

    pub(super) fn as_raw(&self) -> &SockAddr {
        &self.raw
    }
}

/// Whether a name is one of Linux's abstract namespace. Other systems have none, and there such a name is invalid.
pub(crate) fn is_abstract(name: &Path) -> bool {
    cfg!(any(target_os = "linux", target_os = "android")) && name.as_os_str().as_bytes().first() == Some(&0)
}

/// The kernel's form of a name, which has to fit it.
fn raw_address(bytes: &[u8]) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: a `sockaddr_un` is integers only, for which all zeros are values, and the storage is large enough and aligned
    // for every socket address.
    let address = unsafe { storage.view_as::<libc::sockaddr_un>() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
        *place = *byte as libc::c_char;
    }
    // The exact length, because in an abstract name zero bytes count. It is that of a small structure.
    let length = (NAME_OFFSET + bytes.len()) as libc::socklen_t;
    // SAFETY: the storage holds a `sockaddr_un` whose name ends after this many bytes.
    unsafe { SockAddr::new(storage, length) }
}

/// The name that a unix socket was bound to here. Its file, if it has one, is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct BoundName {
    /// As it was given.
    path: PathBuf,
    /// `None` for a name without a file.
    file: Option<SocketFile>,
}

impl BoundName {
    /// The name that a bind took just now.
    pub(super) fn new(address: &UnixAddress) -> Box<Self> {
        let path = address.name.clone();
        let file = (!is_abstract(&path)).then(|| SocketFile::bound_at(&path));
        Box::new(Self { path, file })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the mode of the file. An abstract name has none, and needs none.
    pub(super) fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.set_permissions(permissions))
    }

    /// The file stays: the socket goes on without this crate.
    pub(crate) fn leave(mut self) {
        if let Some(file) = &mut self.file {
            file.identity = None;
        }
    }
}

/// Who may connect, beside those whom the process's file mode mask lets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permissions {
    pub(crate) readable_all: bool,
    pub(crate) writable_all: bool,
    /// Exactly this, whatever the other two say.
    pub(crate) mode: Option<u32>,
}

impl Permissions {
    /// Whether anything was asked for; else the file stays as the kernel made it.
    pub(crate) fn any(self) -> bool {
        self.readable_all || self.writable_all || self.mode.is_some()
    }

    /// The bits that a mode may have: reading, writing and executing, for the owner, the group and everybody else.
    pub(crate) const MOST: u32 = 0o777;

    /// The mode that the file is set to, which replaces the one it was made with, as in libuv.
    fn mode(self) -> u32 {
        if let Some(mode) = self.mode {
            return mode;
        }
        let readable = if self.readable_all { 0o444 } else { 0 };
        let writable = if self.writable_all { 0o222 } else { 0 };
        readable | writable
    }
}

/// The file of a bound unix socket, removed when dropped, unless another one has taken its name meanwhile.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Which file it is. `None` if it was gone before it could be looked at: then there is nothing to remove.
    identity: Option<Identity>,
}

/// Device and inode. The bound socket holds on to its inode, so no other file has that number while the socket is open,
/// not even when this one was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// The file that a bind made at `path` just now.
    fn bound_at(path: &Path) -> Self {
        // Absolute where possible, so that it is found again from another directory.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let identity = identity_of(&path);
        Self { path, identity }
    }

    fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        if self.identity.is_none() || identity_of(&self.path) != self.identity {
            // Somebody else's file by now, whose mode is none of our business.
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        let mode = permissions.mode();
        if fs::symlink_metadata(&self.path)?.permissions().mode() & Permissions::MOST == mode {
            return Ok(());
        }
        // By name: several systems refuse to change the mode of a socket by its descriptor.
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity_of(&self.path) == self.identity {
            // Somebody was quicker, or it may not be removed: the socket is closed all the same.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The socket at `path`; links are not followed, as bind does not follow them.
fn identity_of(path: &Path) -> Option<Identity> {
    let found = fs::symlink_metadata(path).ok()?;
    found.file_type().is_socket().then(|| Identity { device: found.dev(), inode: found.ino() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::acceptor::Acceptor;
    use crate::sys::stream::Stream;
    use crate::sys::test_support::until_ready;

    /// A directory that goes with the test.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("halfclose-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        /// A path of exactly `length` bytes.
        fn path_of(&self, length: usize) -> PathBuf {
            let room = length - self.0.as_os_str().len() - 1;
            self.path(&"x".repeat(room))
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn code<T>(result: io::Result<T>) -> Option<i32> {
        result.err().and_then(|error| error.raw_os_error())
    }

    fn listening_at(path: &Path) -> Acceptor {
        let acceptor = Acceptor::unix(&UnixAddress::new(path).unwrap(), Permissions::default()).unwrap();
        acceptor.listen(4).unwrap();
        acceptor
    }

    #[test]
    fn a_name_fits_to_the_last_byte_and_no_further() {
        let directory = Directory::new("length");
        let longest = directory.path_of(MOST_BYTES);
        let acceptor = listening_at(&longest);
        let client = Stream::unix().unwrap();
        client.connect_unix(&UnixAddress::new(&longest).unwrap()).unwrap();
        until_ready(&acceptor, || acceptor.accept()).unwrap();
        assert_eq!(code(UnixAddress::new(&directory.path_of(MOST_BYTES + 1))), Some(libc::EINVAL));
    }

    #[test]
    fn empty_names_and_zero_bytes_are_invalid() {
        assert_eq!(code(UnixAddress::new(Path::new(""))), Some(libc::EINVAL));
        assert_eq!(code(UnixAddress::new(Path::new("a\0b"))), Some(libc::EINVAL));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn abstract_names_may_hold_zero_bytes_and_make_no_file() {
        let name = PathBuf::from(format!("\0halfclose-{}\0end", std::process::id()));
        let acceptor = listening_at(&name);
        assert!(acceptor.set_permissions(Permissions::default()).is_ok());
        let client = Stream::unix().unwrap();
        client.connect_unix(&UnixAddress::new(&name).unwrap()).unwrap();
        let shorter = PathBuf::from(format!("\0halfclose-{}", std::process::id()));
        let other = Stream::unix().unwrap();
        assert_eq!(code(other.connect_unix(&UnixAddress::new(&shorter).unwrap())), Some(libc::ECONNREFUSED));
    }

    #[test]
    fn a_file_goes_with_its_acceptor() {
        let directory = Directory::new("goes");
        let path = directory.path("s");
        let acceptor = listening_at(&path);
        assert!(path.exists());
        drop(acceptor);
        assert!(!path.exists());
    }

    #[test]
    fn another_ones_file_is_left_alone() {
        let directory = Directory::new("stays");
        let path = directory.path("s");
        let first = listening_at(&path);
        fs::rename(&path, directory.path("elsewhere")).unwrap();
        let second = listening_at(&path);
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
        fs::write(&path, "a file").unwrap();
        assert_eq!(
            code(Acceptor::unix(&UnixAddress::new(&path).unwrap(), Permissions::default())),
            Some(libc::EADDRINUSE)
        );
        assert_eq!(fs::read(&path).unwrap(), b"a file");
    }

    #[test]
    fn permissions_replace_the_mode() {
        let directory = Directory::new("modes");
        for (readable_all, writable_all, mode) in [(true, false, 0o444), (false, true, 0o222), (true, true, 0o666)] {
            let path = directory.path("s");
            let acceptor = listening_at(&path);
            acceptor.set_permissions(Permissions { readable_all, writable_all, mode: None }).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
    }

    /// On Linux the file has no bit too many at any time; elsewhere it has the mode when the socket listens.
    #[test]
    fn an_exact_mode_holds_from_the_bind_on() {
        let directory = Directory::new("exact");
        for mode in [0o600, 0o666, 0o777, 0o020, 0] {
            let path = directory.path("s");
            let permissions = Permissions { mode: Some(mode), readable_all: true, writable_all: true };
            let acceptor = Acceptor::unix(&UnixAddress::new(&path).unwrap(), permissions).unwrap();
            let mode_of_file = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            if cfg!(target_os = "linux") {
                assert_eq!(mode_of_file() & !mode, 0, "{mode:o}");
            }
            acceptor.set_permissions(permissions).unwrap();
            assert_eq!(mode_of_file(), mode);
        }
    }

    #[test]
    fn a_directory_that_is_missing_is_a_matter_of_access() {
        let directory = Directory::new("missing");
        let path = directory.path("no/s");
        assert_eq!(code(Acceptor::unix(&UnixAddress::new(&path).unwrap(), Permissions::default())), Some(libc::EACCES));
        let client = Stream::unix().unwrap();
        assert_eq!(code(client.connect_unix(&UnixAddress::new(&path).unwrap())), Some(libc::ENOENT));
    }

    #[test]
    fn tcp_options_mean_nothing() {
        let client = Stream::unix().unwrap();
        client.set_no_delay(true).unwrap();
        let times =
            crate::sys::KeepAliveTimes { delay: std::time::Duration::from_secs(1), interval: None, count: None };
        client.set_keep_alive(true, Some(times)).unwrap();
        assert!(client.local_address().is_err());
    }
}
