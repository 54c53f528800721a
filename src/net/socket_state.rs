//! What a [`Socket`] holds for its user: a name that crosses threads, a value, and its slot after `close`.
//!
//! It may touch the event loop's commands. Invariant: a value is out of its place while the user's closure has it, so
//! that nothing is borrowed.

use std::any::Any;

use crate::error::Error;
use crate::event_loop::current;
use crate::net::{Socket, SocketId};

/// State of the user's, and the life of the slot. On a freed handle nothing is kept, and
/// [`with_data`](Socket::with_data) finds nothing.
impl Socket {
    /// A name for this socket that may be sent to other threads; [`SocketId::get`] turns it back. Not in Node, where
    /// every thread has objects of its own.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// let id = socket.id();
    /// assert_eq!(id.get(), Some(socket));
    /// // Elsewhere it names a socket that is out of reach.
    /// let elsewhere = std::thread::spawn(move || id.get().is_none()).join();
    /// assert!(elsewhere.unwrap());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn id(self) -> SocketId {
        SocketId { loop_number: current::loop_number().unwrap_or(0), handle: self.handle }
    }

    /// Attaches a value: one per socket, of any type, dropped with the slot or when another replaces it. Not in Node,
    /// where an object takes any property.
    ///
    /// It is kept when the socket closes and connects again. On a freed handle the value is dropped.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// struct Session {
    ///     lines: u64,
    /// }
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.set_data(Session { lines: 0 });
    /// let lines = socket.with_data(|session: &mut Session| {
    ///     session.lines += 1;
    ///     session.lines
    /// })?;
    /// assert_eq!(lines, 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_data<T: 'static>(self, data: T) -> Socket {
        let data: Box<dyn Any> = Box::new(data);
        current::with(|core| core.set_data(self.handle, data));
        current::bury_if_idle();
        self
    }

    /// Gives `f` the value that [`set_data`](Socket::set_data) attached. Not in Node.
    ///
    /// The value is out of its place while `f` runs; `f` may give any command, and may even set new data, which then
    /// stays.
    ///
    /// # Errors
    ///
    /// `ERR_SOCKET_DATA` when there is no value, it has another type, or it is in use already (a nested call).
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.set_data(String::from("name"));
    /// let length = socket.with_data(|name: &mut String| name.len())?;
    /// assert_eq!(length, 4);
    /// let error = socket.with_data(|number: &mut u64| *number).unwrap_err();
    /// assert_eq!(error.code(), Some("ERR_SOCKET_DATA"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn with_data<T: 'static, R>(self, f: impl FnOnce(&mut T) -> R) -> Result<R, Error> {
        let taken = current::with(|core| core.sockets.extras_if_any(self.handle)?.data.take()).flatten();
        let Some(data) = taken else { return Err(Error::socket_data("there is none, or it is in use")) };
        let mut borrowed = BorrowedData { socket: self, data: Some(data) };
        match borrowed.data.as_mut().and_then(|data| data.downcast_mut::<T>()) {
            Some(data) => Ok(f(data)),
            None => Err(Error::socket_data("it has another type")),
        }
    }

    /// Keeps the slot after `close`, so that the socket can be connected again later, from a timer for instance. Not in
    /// Node, where an object lives for as long as somebody refers to it.
    ///
    /// Listeners, data and counters are kept with it. [`release`](Socket::release) gives it up; one is enough, however
    /// often it was retained.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = Socket::new().retain();
    /// socket.destroy();
    /// event_loop.run()?;
    /// assert_eq!(event_loop.connections(), 1);
    /// socket.release();
    /// assert_eq!(event_loop.connections(), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn retain(self) -> Socket {
        current::with(|core| core.reactor.retain(self.handle));
        self
    }

    /// Gives up what [`retain`](Socket::retain) held, or a socket that was never connected. Not in Node.
    ///
    /// Its slot is freed, at once or after `close`: listeners and data are dropped, and the handle is stale. An open
    /// connection goes on. Callbacks of writes that never went out are called with `ERR_STREAM_DESTROYED`; nothing is
    /// emitted.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.release();
    /// assert_eq!(event_loop.connections(), 0);
    /// assert!(socket.destroyed(), "a stale handle");
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn release(self) {
        current::with(|core| core.reactor.release(self.handle));
        current::bury_if_idle();
    }
}

impl SocketId {
    /// The socket, if this is its loop's thread, the loop still lives and the socket was not freed; else `None`. Not in
    /// Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// let id = socket.id();
    /// assert_eq!(id.get(), Some(socket));
    /// socket.release();
    /// assert_eq!(id.get(), None);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn get(self) -> Option<Socket> {
        if current::loop_number() != Some(self.loop_number) {
            return None;
        }
        let live = current::with(|core| core.reactor.live(self.handle).is_some())?;
        live.then(|| Socket::from_handle(self.handle))
    }
}

/// Puts the data back, also when the closure panics.
struct BorrowedData {
    socket: Socket,
    data: Option<Box<dyn Any>>,
}

impl Drop for BorrowedData {
    fn drop(&mut self) {
        if let Some(data) = self.data.take() {
            current::with(|core| core.return_data(self.socket.handle, data));
        }
    }
}
