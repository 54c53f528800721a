//! Names of unix sockets that have no file: Linux's abstract namespace.
//!
//! This module touches nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A name in Linux's abstract namespace, to listen at or to connect to: a unix socket without a file, which is gone when
/// nobody holds it any more. Mirrors a path that begins with `'\0'`, and that is what it gives; so does
/// [`Server::path`](crate::net::Server::path).
///
/// Up to 107 bytes, of any value. Every process of the same network namespace may connect: there are no permissions. On
/// other systems than Linux such a name is invalid (`EINVAL`, as `error` event).
///
/// ```
/// use halfclose::{EventLoop, net};
///
/// let mut event_loop = EventLoop::new()?;
/// let name = net::abstract_name(format!("halfclose-doc-{}", std::process::id()));
/// let server = net::create_server(|socket| {
///     socket.end_data("hello");
///     socket.server().unwrap().close();
/// });
/// # server.on_error(|_, _| {});
/// server.listen_with(&name, |server| {
///     let client = net::connect(server.path().unwrap()).unwrap();
///     client.on_data(|_, bytes| assert_eq!(bytes, b"hello"));
/// })?;
/// event_loop.run()?;
/// # Ok::<(), halfclose::Error>(())
/// ```
pub fn abstract_name(name: impl AsRef<[u8]>) -> PathBuf {
    let name = name.as_ref();
    let mut bytes = Vec::with_capacity(1 + name.len());
    bytes.push(0);
    bytes.extend_from_slice(name);
    PathBuf::from(OsString::from_vec(bytes))
}
