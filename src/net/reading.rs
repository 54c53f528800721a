//! What a [`Socket`] can do about its readable side.
//!
//! It may touch the event loop's commands.

use crate::event_loop::attachments::OwnBuffer;
use crate::event_loop::current;
use crate::net::{Encoding, Socket};

/// Reading. On a freed handle none of it does anything.
impl Socket {
    /// Stops `data`, at once. Mirrors [`socket.pause()`].
    ///
    /// `pause` is emitted within the call, unless the flow was stopped already. The connection is still read ahead, up
    /// to the high-water mark, so that a peer that sends more has to wait; paused before it is established, it is not
    /// read at all. What was read ahead is kept, and holds `end` back, until [`resume`](Socket::resume).
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.on_data(|_, bytes| println!("{} bytes", bytes.len()));
    /// socket.pause();
    /// assert!(socket.is_paused());
    /// assert_eq!(socket.readable_flowing(), Some(false));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.pause()`]: https://nodejs.org/api/net.html#socketpause
    pub fn pause(self) -> Socket {
        current::command(|core| core.reactor.pause(self.handle));
        self
    }

    /// Lets `data` flow again. Mirrors [`socket.resume()`].
    ///
    /// Nothing is emitted within the call: in a tick `resume` is, then what was read ahead, chunk by chunk; after that
    /// the connection is read again. Without a `data` listener the bytes are thrown away, which is the way to get at
    /// `end` when they do not matter. While there is a [`readable`](Socket::on_readable) listener the flow does not
    /// begin.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// peer.write_all(b"nobody reads this")?;
    /// drop(peer);
    /// socket.resume();
    /// event_loop.run()?;
    /// assert!(socket.destroyed(), "both sides ended");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.resume()`]: https://nodejs.org/api/net.html#socketresume
    pub fn resume(self) -> Socket {
        current::with(|core| core.reactor.resume(self.handle));
        self
    }
}

/// Reading into a buffer of one's own. On a freed handle the buffer is dropped.
impl Socket {
    /// Lets the socket read into `buffer`, again and again, and tells `callback` what came. Mirrors the option
    /// [`onread`] with a buffer, which Node takes when the socket is made.
    ///
    /// There is no `data` then, and nothing is read ahead: one read is at most the size of the buffer (an empty buffer
    /// changes nothing). The callback is called in the poll phase, at each read; when it returns false, reading stops
    /// until [`resume`](Socket::resume). `pause` and `resume` stop and start reading at once. `end`, `error` and
    /// `close` come as always. Give it before connecting, or in the `connection` listener.
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
    /// socket.on_read(vec![0; 4], move |_, bytes| {
    ///     sender.send(bytes.to_vec()).unwrap();
    ///     true
    /// });
    /// peer.write_all(b"abcdef")?;
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [&b"abcd"[..], b"ef"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`onread`]: https://nodejs.org/api/net.html#new-netsocketoptions
    pub fn on_read(self, buffer: Vec<u8>, mut callback: impl FnMut(Socket, &[u8]) -> bool + 'static) -> Socket {
        self.use_own_buffer(buffer, move |socket, buffer, count| callback(socket, &buffer[..count]))
    }

    /// [`on_read`](Socket::on_read) with a new buffer for every read. Mirrors the option [`onread`] with a function as
    /// buffer.
    ///
    /// `generate` is called now and after each callback; the callback is given the buffer, cut to the bytes that came,
    /// and may keep it.
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
    /// let generate = || vec![0; 4];
    /// socket.on_read_with(generate, move |_, bytes| {
    ///     sender.send(bytes).unwrap();
    ///     true
    /// });
    /// peer.write_all(b"abcdef")?;
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [b"abcd".to_vec(), b"ef".to_vec()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`onread`]: https://nodejs.org/api/net.html#new-netsocketoptions
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

/// Reading by hand. On a freed handle there is nothing to read.
impl Socket {
    /// Takes all that was read ahead; `None` when there is nothing. Mirrors [`socket.read()`].
    ///
    /// Meant for use with [`on_readable`](Socket::on_readable): call it until it gives `None`. `data` is emitted within
    /// the call, with the same bytes, also while the socket is paused. It makes room, so the connection is read again.
    /// When the buffer is empty afterwards and the peer ended, `end` follows in a tick.
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
    /// socket.on_readable(move |socket| {
    ///     while let Some(bytes) = socket.read() {
    ///         sender.send(bytes).unwrap();
    ///     }
    /// });
    /// peer.write_all(b"hello")?;
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>().concat(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.read()`]: https://nodejs.org/api/stream.html#readablereadsize
    pub fn read(self) -> Option<Box<[u8]>> {
        self.take(None)
    }

    /// Takes exactly `size` bytes; `None` when fewer were read ahead, unless the peer ended: then what is left. Mirrors
    /// [`socket.read(size)`].
    ///
    /// Otherwise as [`read`](Socket::read). A size beyond the high-water mark raises the mark to the next power of two,
    /// up to 1 GiB; more than that is never read ahead, where Node throws. A size of 0 takes nothing and lets the
    /// socket read ahead.
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
    /// socket.on_readable(move |socket| {
    ///     while let Some(bytes) = socket.read_exactly(4) {
    ///         sender.send(bytes.len()).unwrap();
    ///     }
    /// });
    /// peer.write_all(b"eight...")?;
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [4, 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.read(size)`]: https://nodejs.org/api/stream.html#readablereadsize
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

    /// [`read`](Socket::read) as text: UTF-8, or what [`set_encoding`](Socket::set_encoding) said. Mirrors
    /// [`socket.read()`] with an encoding.
    ///
    /// Set an encoding before reading by hand, so that a character that is split over reads is held back; without one a
    /// character that is cut at the end of what was read ahead becomes U+FFFD.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::net::{TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Encoding, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// socket.set_encoding(Encoding::Utf8);
    /// socket.on_readable(move |socket| {
    ///     while let Some(text) = socket.read_text() {
    ///         sender.send(text).unwrap();
    ///     }
    /// });
    /// peer.write_all("€uro".as_bytes())?;
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<String>(), "€uro");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.read()`]: https://nodejs.org/api/stream.html#readablereadsize
    pub fn read_text(self) -> Option<String> {
        self.read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// [`read_exactly`](Socket::read_exactly) as text: at most `size` bytes of UTF-8, fewer where that would cut a
    /// character. Mirrors [`socket.read(size)`] with an encoding, where Node counts UTF-16 code units.
    ///
    /// `None` when fewer than `size` bytes were read ahead, unless the peer ended.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::net::{TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Encoding, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// socket.set_encoding(Encoding::Utf8);
    /// socket.on_readable(move |socket| {
    ///     while let Some(text) = socket.read_text_exactly(3) {
    ///         sender.send(text).unwrap();
    ///     }
    /// });
    /// peer.write_all("abé".as_bytes())?;
    /// drop(peer);
    /// event_loop.run()?;
    /// // The é has two bytes, of which one would fit.
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["ab", "é"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.read(size)`]: https://nodejs.org/api/stream.html#readablereadsize
    pub fn read_text_exactly(self, size: usize) -> Option<String> {
        let size = self.ask(size, |connection| connection.text_size(size));
        self.read_exactly(size).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Decodes what comes as text. Mirrors [`socket.setEncoding()`].
    ///
    /// None by default. From now on, `data` and [`read`](Socket::read) see the UTF-8 of the decoded text, and lengths
    /// count its bytes; what was read ahead is decoded at once. A chunk that completes no character emits nothing. It
    /// cannot be taken back, and is kept when the socket connects again.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::net::{TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Encoding, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// socket.set_encoding(Encoding::Latin1);
    /// socket.on_text(move |_, text| sender.send(text.to_string()).unwrap());
    /// peer.write_all(b"caf\xe9")?;
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<String>(), "café");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.setEncoding()`]: https://nodejs.org/api/net.html#socketsetencodingencoding
    pub fn set_encoding(self, encoding: Encoding) -> Socket {
        current::with(|core| core.reactor.set_encoding(self.handle, encoding));
        self
    }

    /// What [`set_encoding`](Socket::set_encoding) was last given; `None` before, and on a freed handle. Mirrors
    /// [`socket.readableEncoding`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Encoding, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// assert_eq!(socket.readable_encoding(), None);
    /// socket.set_encoding(Encoding::Utf8);
    /// assert_eq!(socket.readable_encoding(), Some(Encoding::Utf8));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.readableEncoding`]: https://nodejs.org/api/stream.html#readablereadableencoding
    pub fn readable_encoding(self) -> Option<Encoding> {
        self.ask(None, |connection| connection.encoding())
    }

    /// Puts bytes back in front of what was read ahead, for whoever reads on. Mirrors [`socket.unshift()`].
    ///
    /// A socket that flows with nothing buffered emits them as `data` within the call. After `end` was emitted the
    /// socket is destroyed with `ERR_STREAM_UNSHIFT_AFTER_END_EVENT`; on a destroyed one, and without bytes, nothing
    /// happens. The bytes are taken as they are: with an encoding set, give UTF-8.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.unshift(&b"too much"[..]);
    /// assert_eq!(socket.readable_length(), 8);
    /// assert_eq!(socket.read().as_deref(), Some(&b"too much"[..]));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.unshift()`]: https://nodejs.org/api/stream.html#readableunshiftchunk-encoding
    pub fn unshift(self, bytes: impl Into<Vec<u8>>) -> Socket {
        let bytes: Vec<u8> = bytes.into();
        current::command(|core| core.reactor.unshift(self.handle, bytes.into_boxed_slice()));
        self
    }
}
