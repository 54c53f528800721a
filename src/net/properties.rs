//! What can be asked of a [`Socket`]: Node's properties, but for the addresses.
//!
//! It may touch the event loop's commands. A stale handle answers like a closed socket.

use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::event_loop::{Connection, current};
use crate::net::{Server, Socket};

/// Which sides of a [`Socket`] are open. Mirrors [`socket.readyState`].
///
/// [`socket.readyState`]: https://nodejs.org/api/net.html#socketreadystate
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum ReadyState {
    /// Connecting.
    Opening,
    /// Readable and writable; also a socket that was never connected.
    Open,
    /// This side is ended.
    ReadOnly,
    /// The peer's side is ended.
    WriteOnly,
    /// Both are, or the socket is destroyed.
    Closed,
}

impl ReadyState {
    /// Node's text: `opening`, `open`, `readOnly`, `writeOnly`, `closed`. Mirrors [`socket.readyState`].
    ///
    /// ```
    /// use halfclose::net::ReadyState;
    ///
    /// assert_eq!(ReadyState::WriteOnly.as_str(), "writeOnly");
    /// assert_eq!(ReadyState::Closed.to_string(), "closed");
    /// ```
    ///
    /// [`socket.readyState`]: https://nodejs.org/api/net.html#socketreadystate
    pub fn as_str(self) -> &'static str {
        match self {
            ReadyState::Opening => "opening",
            ReadyState::Open => "open",
            ReadyState::ReadOnly => "readOnly",
            ReadyState::WriteOnly => "writeOnly",
            ReadyState::Closed => "closed",
        }
    }
}

impl fmt::Display for ReadyState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Properties. Asking changes nothing.
///
/// A freed handle answers like a socket that was destroyed: it is [`destroyed`](Socket::destroyed),
/// [`closed`](Socket::closed), [`pending`](Socket::pending) and [`readable_aborted`](Socket::readable_aborted), its
/// state is [`ReadyState::Closed`], and all other answers are false, 0 or `None`.
impl Socket {
    /// Whether it connects: from `connect()` until it succeeds, fails or is destroyed. Mirrors [`socket.connecting`].
    ///
    /// It is false inside the `connect` and `error` listeners already.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// assert!(socket.connecting());
    /// socket.destroy();
    /// assert!(!socket.connecting());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.connecting`]: https://nodejs.org/api/net.html#socketconnecting
    pub fn connecting(self) -> bool {
        self.ask(false, |connection| connection.is_connecting())
    }

    /// Whether it is not connected: never, not yet, or no longer. Mirrors [`socket.pending`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert!(Socket::new().pending());
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// assert!(!socket.pending());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.pending`]: https://nodejs.org/api/net.html#socketpending
    pub fn pending(self) -> bool {
        self.ask(true, |connection| connection.is_pending())
    }

    /// Whether it was destroyed, by a command, an error, or because both sides ended. Mirrors [`socket.destroyed`].
    ///
    /// True before `close` is emitted, and on a freed handle.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert!(!socket.destroyed());
    /// socket.destroy();
    /// assert!(socket.destroyed());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.destroyed`]: https://nodejs.org/api/net.html#socketdestroyed
    pub fn destroyed(self) -> bool {
        self.ask(true, |connection| connection.is_destroyed())
    }

    /// As in Node, the same as [`destroyed`](Socket::destroyed): true before the `close` event. Mirrors
    /// [`socket.closed`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.destroy();
    /// assert!(socket.closed());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.closed`]: https://nodejs.org/api/stream.html#writableclosed
    pub fn closed(self) -> bool {
        self.destroyed()
    }

    /// Whether `data` and `end` may still come: not ended, not destroyed, not failed. Mirrors [`socket.readable`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert!(socket.readable());
    /// socket.destroy();
    /// assert!(!socket.readable());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.readable`]: https://nodejs.org/api/stream.html#readablereadable
    pub fn readable(self) -> bool {
        self.ask(false, |connection| connection.is_readable())
    }

    /// Whether it may be written to: not ended, not destroyed, not failed; true while connecting. Mirrors
    /// [`socket.writable`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert!(socket.writable());
    /// socket.end();
    /// assert!(!socket.writable());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.writable`]: https://nodejs.org/api/stream.html#writablewritable
    pub fn writable(self) -> bool {
        self.ask(false, |connection| connection.is_writable())
    }

    /// Whether `end` was emitted. Mirrors [`socket.readableEnded`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// assert!(!socket.readable_ended());
    /// socket.on_end(move |socket| sender.send(socket.readable_ended()).unwrap());
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.readableEnded`]: https://nodejs.org/api/stream.html#readablereadableended
    pub fn readable_ended(self) -> bool {
        self.ask(false, |connection| connection.readable_ended())
    }

    /// Whether this side was ended, by `end()` or because the peer ended; what was written may still wait. Mirrors
    /// [`socket.writableEnded`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.end();
    /// assert!(socket.writable_ended());
    /// assert!(!socket.writable_finished(), "not before `finish`");
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.writableEnded`]: https://nodejs.org/api/stream.html#writablewritableended
    pub fn writable_ended(self) -> bool {
        self.ask(false, |connection| connection.writable_ended())
    }

    /// Whether `finish` was emitted, or is being emitted. Mirrors [`socket.writableFinished`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.end();
    /// event_loop.run()?;
    /// assert!(socket.writable_finished());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.writableFinished`]: https://nodejs.org/api/stream.html#writablewritablefinished
    pub fn writable_finished(self) -> bool {
        self.ask(false, |connection| connection.writable_finished())
    }

    /// Whether a `write` returned false and `drain` will come. Mirrors [`socket.writableNeedDrain`].
    ///
    /// False again after [`end`](Socket::end), which cancels the `drain`.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket, net::SocketOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::with_options(SocketOptions::new().high_water_mark(4));
    /// socket.cork();
    /// assert!(!socket.write("too much"));
    /// assert!(socket.writable_need_drain());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.writableNeedDrain`]: https://nodejs.org/api/stream.html#writablewritableneeddrain
    pub fn writable_need_drain(self) -> bool {
        self.ask(false, |connection| connection.writable_need_drain())
    }

    /// How many [corks](Socket::cork) are in. Mirrors [`socket.writableCorked`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.cork().cork().uncork();
    /// assert_eq!(socket.writable_corked(), 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.writableCorked`]: https://nodejs.org/api/stream.html#writablewritablecorked
    pub fn writable_corked(self) -> u32 {
        self.ask(0, |connection| connection.writable_corked())
    }

    /// Whether data was delivered or read by hand. Mirrors [`socket.readableDidRead`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.unshift(&b"abc"[..]);
    /// assert!(!socket.readable_did_read());
    /// socket.read();
    /// assert!(socket.readable_did_read());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.readableDidRead`]: https://nodejs.org/api/stream.html#readablereadabledidread
    pub fn readable_did_read(self) -> bool {
        self.ask(false, |connection| connection.readable_did_read())
    }

    /// Whether it was destroyed or failed before `end` was emitted. Mirrors [`socket.readableAborted`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert!(!socket.readable_aborted());
    /// socket.destroy();
    /// assert!(socket.readable_aborted());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.readableAborted`]: https://nodejs.org/api/stream.html#readablereadableaborted
    pub fn readable_aborted(self) -> bool {
        self.ask(true, |connection| connection.readable_aborted())
    }

    /// Whether [`pause`](Socket::pause), and no [`resume`](Socket::resume), was the last word. Mirrors
    /// [`socket.isPaused()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert!(!socket.is_paused());
    /// assert!(socket.pause().is_paused());
    /// assert!(!socket.resume().is_paused());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.isPaused()`]: https://nodejs.org/api/stream.html#readableispaused
    pub fn is_paused(self) -> bool {
        self.ask(false, |connection| connection.is_paused())
    }

    /// `None` before anybody asked for data, then whether it flows. Mirrors [`socket.readableFlowing`].
    ///
    /// A `data` listener, [`pipe`](Socket::pipe) or [`resume`](Socket::resume) makes it flow; [`pause`](Socket::pause)
    /// and a `readable` listener stop it.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert_eq!(socket.readable_flowing(), None);
    /// socket.on_data(|_, _| {});
    /// assert_eq!(socket.readable_flowing(), Some(true));
    /// socket.pause();
    /// assert_eq!(socket.readable_flowing(), Some(false));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.readableFlowing`]: https://nodejs.org/api/stream.html#readablereadableflowing
    pub fn readable_flowing(self) -> Option<bool> {
        self.ask(None, |connection| connection.flowing())
    }

    /// Whether it may write on after its peer ended; default false. Mirrors [`socket.allowHalfOpen`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket, net::SocketOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::with_options(SocketOptions::new().allow_half_open(true));
    /// assert!(socket.allow_half_open());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.allowHalfOpen`]: https://nodejs.org/api/stream.html#duplexallowhalfopen
    pub fn allow_half_open(self) -> bool {
        self.ask(false, |connection| connection.allow_half_open())
    }

    /// Sets [`allow_half_open`](Socket::allow_half_open). Mirrors an assignment to [`socket.allowHalfOpen`].
    ///
    /// It is looked at when `end` is emitted: set it in an `end` listener at the latest.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert!(!socket.allow_half_open());
    /// socket.set_allow_half_open(true);
    /// assert!(socket.allow_half_open());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.allowHalfOpen`]: https://nodejs.org/api/stream.html#duplexallowhalfopen
    pub fn set_allow_half_open(self, allow: bool) -> Socket {
        self.ask((), |connection| connection.set_allow_half_open(allow));
        self
    }

    /// Which sides are open; [`Open`](ReadyState::Open) for a socket that was never connected. Mirrors
    /// [`socket.readyState`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::ReadyState, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert_eq!(socket.ready_state(), ReadyState::Open);
    /// socket.end();
    /// assert_eq!(socket.ready_state(), ReadyState::ReadOnly);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.readyState`]: https://nodejs.org/api/net.html#socketreadystate
    pub fn ready_state(self) -> ReadyState {
        self.ask(ReadyState::Closed, |connection| {
            if connection.is_connecting() {
                return ReadyState::Opening;
            }
            match (connection.is_readable(), connection.is_writable()) {
                (true, true) => ReadyState::Open,
                (true, false) => ReadyState::ReadOnly,
                (false, true) => ReadyState::WriteOnly,
                (false, false) => ReadyState::Closed,
            }
        })
    }

    /// The error that destroyed it, or is about to. Mirrors [`socket.errored`].
    ///
    /// `None` again when the socket connects anew.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.on_error(|_, error| println!("{error}"));
    /// socket.destroy_with("not today");
    /// assert_eq!(socket.errored().unwrap().message(), "not today");
    /// event_loop.run()?;
    /// assert!(socket.errored().is_none(), "a freed handle");
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.errored`]: https://nodejs.org/api/stream.html#writableerrored
    pub fn errored(self) -> Option<Error> {
        self.ask(None, |connection| connection.errored().cloned())
    }

    /// Bytes taken from the kernel, delivered or not. Mirrors [`socket.bytesRead`].
    ///
    /// Kept after `close` for as long as the slot lives; a new connection starts at 0.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::net::{TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// socket.resume();
    /// socket.on_close(move |socket, _| sender.send(socket.bytes_read()).unwrap());
    /// peer.write_all(b"hello")?;
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.bytesRead`]: https://nodejs.org/api/net.html#socketbytesread
    pub fn bytes_read(self) -> u64 {
        self.ask(0, |connection| connection.bytes_read())
    }

    /// How long the bytes of the latest read were in the kernel before the loop came to read them; of several, the last.
    /// Within a `data` listener these are the bytes at hand. `None` when the loop has read from another socket since, when
    /// the kernel did not say, and without
    /// [`receive_timestamps`](crate::EventLoopOptions::receive_timestamps). Not in Node.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, EventLoopOptions, net};
    ///
    /// let mut event_loop = EventLoop::with_options(EventLoopOptions::new().receive_timestamps(true))?;
    /// let server = net::create_server(|socket| {
    ///     socket.on_data(|socket, _| {
    ///         if socket.receive_wait() > Some(Duration::from_millis(5)) {
    ///             println!("this loop has too much to do");
    ///         }
    ///     });
    /// });
    /// server.listen(("127.0.0.1", 0))?;
    /// # server.on_listening(|server| { server.close(); });
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn receive_wait(self) -> Option<Duration> {
        current::look_at(|core| core.reactor.stamps()?.latest_of(self.handle)).flatten()
    }

    /// Bytes given to `write`, sent or not. Mirrors [`socket.bytesWritten`].
    ///
    /// Never less than before, whatever becomes of them; a new connection starts at 0.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.cork();
    /// socket.write("hello");
    /// assert_eq!(socket.bytes_written(), 5);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.bytesWritten`]: https://nodejs.org/api/net.html#socketbyteswritten
    pub fn bytes_written(self) -> u64 {
        self.ask(0, |connection| connection.bytes_written())
    }

    /// Bytes that wait to be sent; `None` without a connection. Mirrors [`socket.bufferSize`], which is deprecated; use
    /// [`writable_length`](Socket::writable_length).
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert_eq!(Socket::new().buffer_size(), None);
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// socket.cork();
    /// socket.write("hello");
    /// assert_eq!(socket.buffer_size(), Some(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.bufferSize`]: https://nodejs.org/api/net.html#socketbuffersize
    pub fn buffer_size(self) -> Option<usize> {
        self.ask(None, |connection| connection.has_handle().then(|| connection.writable_length()))
    }

    /// Bytes that were read ahead and wait to be consumed; with an [encoding](Socket::set_encoding), of the UTF-8 of
    /// their text. Mirrors [`socket.readableLength`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.unshift(&b"abc"[..]);
    /// assert_eq!(socket.readable_length(), 3);
    /// socket.read();
    /// assert_eq!(socket.readable_length(), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.readableLength`]: https://nodejs.org/api/stream.html#readablereadablelength
    pub fn readable_length(self) -> usize {
        self.ask(0, |connection| connection.readable_length())
    }

    /// Bytes that wait to be sent. Mirrors [`socket.writableLength`]; Node counts UTF-16 code units of strings.
    ///
    /// A write that the kernel took in part counts in full until it is complete.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.cork();
    /// socket.write("€");
    /// assert_eq!(socket.writable_length(), 3);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.writableLength`]: https://nodejs.org/api/stream.html#writablewritablelength
    pub fn writable_length(self) -> usize {
        self.ask(0, |connection| connection.writable_length())
    }

    /// How many bytes are read ahead before reading stops; default 65,536. Mirrors [`socket.readableHighWaterMark`].
    ///
    /// One read takes up to 65,536 bytes whatever the mark, so more may be buffered. A larger
    /// [`read_exactly`](Socket::read_exactly) raises it.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert_eq!(socket.readable_high_water_mark(), 65_536);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.readableHighWaterMark`]: https://nodejs.org/api/stream.html#readablereadablehighwatermark
    pub fn readable_high_water_mark(self) -> usize {
        self.ask(0, |connection| connection.readable_high_water_mark())
    }

    /// At how many waiting bytes [`write`](Socket::write) returns false; default 65,536. Mirrors
    /// [`socket.writableHighWaterMark`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket, net::SocketOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::with_options(SocketOptions::new().writable_high_water_mark(1024));
    /// assert_eq!(socket.writable_high_water_mark(), 1024);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.writableHighWaterMark`]: https://nodejs.org/api/stream.html#writablewritablehighwatermark
    pub fn writable_high_water_mark(self) -> usize {
        self.ask(0, |connection| connection.writable_high_water_mark())
    }

    /// What [`set_timeout`](Socket::set_timeout) was last given; `None` before. Mirrors [`socket.timeout`].
    ///
    /// Zero when it was cancelled. Kept by a connection made again, although the timeout itself is not.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert_eq!(socket.timeout(), None);
    /// socket.set_timeout(Duration::from_secs(1));
    /// assert_eq!(socket.timeout(), Some(Duration::from_secs(1)));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.timeout`]: https://nodejs.org/api/net.html#sockettimeout
    pub fn timeout(self) -> Option<Duration> {
        current::with(|core| core.reactor.idle_timeout(self.handle)).flatten()
    }

    /// The server that accepted it; `None` for a client. Mirrors [`socket.server`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|socket| {
    ///     socket.server().unwrap().close();
    ///     socket.destroy();
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     let client = net::connect(server.address().unwrap()).unwrap();
    ///     assert!(client.server().is_none());
    ///     client.on_error(|_, error| println!("{error}"));
    /// })?;
    /// event_loop.run()?;
    /// assert!(!server.listening());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.server`]: https://nodejs.org/api/net.html#socketserver
    pub fn server(self) -> Option<Server> {
        self.ask(None, |connection| connection.server()).map(Server::from_handle)
    }

    /// Node's own mark, which `removeAllListeners` leaves standing.
    pub(super) fn listens_to_data(self) -> bool {
        self.ask(false, |connection| connection.listens_to_data())
    }

    /// Asks the connection, or answers as a stale handle does.
    pub(super) fn ask<R>(self, stale: R, question: impl FnOnce(&mut Connection) -> R) -> R {
        current::with(|core| core.reactor.live(self.handle).map(question)).flatten().unwrap_or(stale)
    }
}
