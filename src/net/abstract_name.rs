//! Names of unix sockets that have no file: Linux's abstract namespace.
//!
//! This module touches nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A name in Linux's abstract namespace, to listen at or to connect to: a unix socket without a file, which is gone
/// when nobody holds it any more. Mirrors a path that begins with `'\0'`, see [Identifying paths for IPC connections],
/// and that is what it gives; so does [`Server::path`](crate::net::Server::path).
///
/// Up to 107 bytes, of any value. Every process of the same network namespace may connect: there are no permissions. A
/// longer name, and any on other systems than Linux, is invalid (`EINVAL`, as `error` event).
///
/// ```
/// use std::sync::mpsc;
/// use halfclose::{EventLoop, net};
///
/// let mut event_loop = EventLoop::new()?;
/// let name = net::abstract_name(format!("halfclose-doc-{}", std::process::id()));
/// assert_eq!(name.as_os_str().as_encoded_bytes()[0], 0);
/// let (sender, receiver) = mpsc::channel();
/// let server = net::create_server(|socket| {
///     socket.end_data("hello");
///     socket.server().unwrap().close();
/// });
/// # // Not on other systems.
/// # #[cfg(target_os = "linux")]
/// server.listen_with(&name, |server| {
///     let client = net::connect(server.path().unwrap()).unwrap();
///     client.on_text(move |_, text| sender.send(text.to_string()).unwrap());
/// })?;
/// event_loop.run()?;
/// # #[cfg(target_os = "linux")]
/// assert_eq!(receiver.try_recv(), Ok("hello".into()));
/// # Ok::<(), halfclose::Error>(())
/// ```
///
/// [Identifying paths for IPC connections]: https://nodejs.org/api/net.html#identifying-paths-for-ipc-connections
pub fn abstract_name(name: impl AsRef<[u8]>) -> PathBuf {
    let name = name.as_ref();
    let mut bytes = Vec::with_capacity(1 + name.len());
    bytes.push(0);
    bytes.extend_from_slice(name);
    PathBuf::from(OsString::from_vec(bytes))
}
