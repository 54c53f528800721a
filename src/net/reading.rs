//! What a [`Socket`] can do about its readable side.
//!
//! It may touch the event loop's commands.

use crate::event_loop::current;
use crate::event_loop::listeners::OwnBuffer;
use crate::net::{Encoding, Socket};

/// Reading.
impl Socket {
    /// Stops `data`, at once. Mirrors `socket.pause()`. The connection is still read ahead up to the high-water mark,
    /// unless it was paused before it was established.
    pub fn pause(self) -> Socket {
        current::command(|core| core.reactor.pause(self.handle));
        self
    }

    /// Lets `data` flow again, from the next tick on: first what was buffered, chunk by chunk. Mirrors `socket.resume()`.
    /// Without a `data` listener the bytes are thrown away.
    pub fn resume(self) -> Socket {
        current::with(|core| core.reactor.resume(self.handle));
        self
    }
}

/// Reading into a buffer of one's own.
impl Socket {
    /// Lets the socket read into `buffer`, again and again, and tells `callback` what came. Mirrors the option `onread`
    /// with a buffer.
    ///
    /// There is no `data` then, and nothing is read ahead: one read is at most the size of the buffer (an empty buffer
    /// changes nothing). When the callback returns false, reading stops until [`resume`](Socket::resume). `pause` and
    /// `resume` stop and start reading at once. `end`, `error` and `close` come as always. Give it before connecting, or in
    /// the `connection` listener.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.on_read(vec![0; 4096], |_, bytes| {
    ///     println!("{} bytes", bytes.len());
    ///     true
    /// });
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn on_read(self, buffer: Vec<u8>, mut callback: impl FnMut(Socket, &[u8]) -> bool + 'static) -> Socket {
        self.use_own_buffer(buffer, move |socket, buffer, count| callback(socket, &buffer[..count]))
    }

    /// The same with a new buffer for every read: `generate` is called now and after each callback, which is given the
    /// bytes to keep. Mirrors the option `onread` with a function as buffer.
    pub fn on_read_with(
        self,
        mut generate: impl FnMut() -> Vec<u8> + 'static,
        mut callback: impl FnMut(Socket, Vec<u8>) -> bool + 'static,
    ) -> Socket {
        let first = generate();
        self.use_own_buffer(first, move |socket, buffer, count| {
            let mut bytes = std::mem::take(buffer);
            bytes.truncate(count);
            let go_on = callback(socket, bytes);
            *buffer = generate();
            go_on
        })
    }

    fn use_own_buffer(
        self,
        buffer: Vec<u8>,
        call: impl FnMut(Socket, &mut Vec<u8>, usize) -> bool + 'static,
    ) -> Socket {
        // A read into nothing would look like the end of the stream.
        if !buffer.is_empty() {
            let own = OwnBuffer { buffer, call: Box::new(call) };
            current::with(|core| core.use_own_buffer(self.handle, own));
            current::bury_if_idle();
        }
        self
    }
}

/// Reading by hand.
impl Socket {
    /// Takes the first chunk of what was read ahead (of text, while not flowing: all of it); `None` when there is nothing.
    /// Call it until then. Mirrors `socket.read()`.
    ///
    /// Meant for use with [`on_readable`](Socket::on_readable). `data` is emitted within the call, with the same bytes.
    /// When the buffer is empty afterwards and the peer ended, `end` follows.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.on_readable(|socket| {
    ///     while let Some(bytes) = socket.read() {
    ///         println!("{} bytes", bytes.len());
    ///     }
    /// });
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn read(self) -> Option<Box<[u8]>> {
        self.take(None)
    }

    /// Takes exactly `size` bytes; `None` when fewer were read ahead, unless the peer ended: then what is left. Mirrors
    /// `socket.read(size)`.
    ///
    /// A size beyond the high-water mark raises the mark to the next power of two, up to 1 GiB; more than that is never
    /// read ahead, where Node throws. A size of 0 takes nothing and lets the socket read ahead.
    pub fn read_exactly(self, size: usize) -> Option<Box<[u8]>> {
        self.take(Some(size))
    }

    fn take(self, size: Option<usize>) -> Option<Box<[u8]>> {
        let taken = current::with(|core| {
            core.reactor.restart_own_buffer(self.handle);
            let bytes = core.reactor.read(self.handle, size)?;
            let emit = core.reactor.may_emit_data(self.handle);
            Some((bytes, emit))
        });
        let (bytes, emit) = taken.flatten()?;
        if emit {
            current::emit_data(self.handle, &bytes);
        }
        Some(bytes)
    }

    /// [`read`](Socket::read) as text: UTF-8, or what [`set_encoding`](Socket::set_encoding) said. Set an encoding before
    /// reading by hand, so that a character that is split over reads is held back; without one a character that is cut at
    /// the end of what was read ahead becomes U+FFFD.
    pub fn read_text(self) -> Option<String> {
        self.read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// [`read_exactly`](Socket::read_exactly) as text: at most `size` bytes of UTF-8, fewer where that would cut a
    /// character; `None` when fewer than `size` were read ahead, unless the peer ended. Mirrors `socket.read(size)` with
    /// an encoding, where Node counts UTF-16 code units.
    pub fn read_text_exactly(self, size: usize) -> Option<String> {
        let size = self.ask(size, |connection| connection.text_size(size));
        self.read_exactly(size).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Decodes what comes as text. Mirrors `socket.setEncoding()`.
    ///
    /// From now on, `data` and [`read`](Socket::read) see the UTF-8 of the decoded text, and lengths count its bytes; what
    /// was read ahead is decoded at once. A chunk that completes no character emits nothing. It cannot be taken back, and
    /// is kept when the socket connects again.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Encoding, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.set_encoding(Encoding::Latin1);
    /// assert_eq!(socket.readable_encoding(), Some(Encoding::Latin1));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_encoding(self, encoding: Encoding) -> Socket {
        current::with(|core| core.reactor.set_encoding(self.handle, encoding));
        self
    }

    /// What [`set_encoding`](Socket::set_encoding) was last given. Mirrors `socket.readableEncoding`.
    pub fn readable_encoding(self) -> Option<Encoding> {
        self.ask(None, |connection| connection.encoding())
    }

    /// Puts bytes back in front of what was read ahead. Mirrors `socket.unshift()`.
    ///
    /// A socket that flows with nothing buffered emits them as `data` within the call. After `end` was emitted the socket
    /// is destroyed with `ERR_STREAM_UNSHIFT_AFTER_END_EVENT`.
    pub fn unshift(self, bytes: impl Into<Vec<u8>>) -> Socket {
        let bytes: Vec<u8> = bytes.into();
        current::command(|core| core.reactor.unshift(self.handle, bytes.into_boxed_slice()));
        self
    }
}
