//! `pipe` and `unpipe`: from one socket to another, or to anything that implements `std::io::Write`.
//!
//! Made of listeners, as Node's `Readable.prototype.pipe` is, so that their places among the user's listeners are Node's.
//! It may touch the event loop's registry and the methods of [`Socket`].

use std::io;
use std::rc::Rc;
use std::str;

use crate::event_loop::current;
use crate::event_loop::events::Arguments;
use crate::event_loop::pipes::Pipe;
use crate::net::{Chunk, Socket, SocketEvent};

/// How a source is piped. Mirrors the options of [`readable.pipe()`].
///
/// [`readable.pipe()`]: https://nodejs.org/api/stream.html#readablepipedestination-options
#[derive(Clone, Debug)]
pub struct PipeOptions {
    end: bool,
}

impl PipeOptions {
    /// Node's default: the end of the source ends the destination. Mirrors the options of [`readable.pipe()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::PipeOptions, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (source, destination) = (Socket::new(), Socket::new());
    /// assert_eq!(source.pipe_with(destination, PipeOptions::new()), destination);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`readable.pipe()`]: https://nodejs.org/api/stream.html#readablepipedestination-options
    pub fn new() -> PipeOptions {
        PipeOptions { end: true }
    }

    /// Whether the end of the source ends the destination; default true. Mirrors `end` of [`readable.pipe()`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::PipeOptions, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?;
    /// let destination = Socket::new();
    /// socket.pipe_with(destination, PipeOptions::new().end(false));
    /// drop(peer);
    /// event_loop.run()?;
    /// assert!(destination.writable(), "it can take what others have to say");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`readable.pipe()`]: https://nodejs.org/api/stream.html#readablepipedestination-options
    #[must_use]
    pub fn end(mut self, end: bool) -> PipeOptions {
        self.end = end;
        self
    }
}

impl Default for PipeOptions {
    fn default() -> PipeOptions {
        PipeOptions::new()
    }
}

/// Piping. A freed handle is no source: nothing is piped, and the destination is returned. As destination it is a
/// closed one.
impl Socket {
    /// Writes everything that comes from this socket to `destination`, at the pace of the slower one, and ends it when
    /// this one ends. Mirrors [`socket.pipe()`]. Returns the destination.
    ///
    /// `pipe` is emitted on the destination within the call, and the source begins to flow. When a `write` of the
    /// destination returns false this socket is paused, until `drain`. When the destination finishes, fails or closes,
    /// this socket is unpiped (`unpipe` on the destination) and paused, not destroyed; when this one is destroyed, the
    /// destination stays open. An `error` of the destination still wants a listener. A proxy of two sockets needs
    /// [`allow_half_open`](Socket::set_allow_half_open) on both. With a
    /// [`set_encoding`](Socket::set_encoding) on this socket it is text that is written, in the
    /// [default encoding](Socket::set_default_encoding) of the destination.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::net::{Shutdown, TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// // An echo.
    /// socket.pipe(socket);
    /// peer.write_all(b"hello")?;
    /// peer.shutdown(Shutdown::Write)?;
    /// event_loop.run()?;
    ///
    /// let mut received = String::new();
    /// peer.read_to_string(&mut received)?;
    /// assert_eq!(received, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.pipe()`]: https://nodejs.org/api/stream.html#readablepipedestination-options
    pub fn pipe(self, destination: Socket) -> Socket {
        self.pipe_with(destination, PipeOptions::new())
    }

    /// [`pipe`](Socket::pipe) with options. Mirrors [`socket.pipe(destination, options)`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::PipeOptions, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// let destination = Socket::new();
    /// destination.on_unpipe(move |destination, _| sender.send(destination.writable()).unwrap());
    /// socket.pipe_with(destination, PipeOptions::new().end(false));
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(true), "unpiped, not ended");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.pipe(destination, options)`]: https://nodejs.org/api/stream.html#readablepipedestination-options
    pub fn pipe_with(self, destination: Socket, options: PipeOptions) -> Socket {
        let pipe = Pipe::new(destination);
        let registered = current::with(|core| {
            core.sockets.extras_mut(self.handle).map(|extras| extras.pipes.push(pipe.clone())).is_some()
        });
        if registered != Some(true) {
            return destination;
        }
        let source = self;
        let at_end = move |source: Socket| {
            if options.end {
                destination.end();
            } else {
                source.unpipe(destination);
            }
        };
        if source.readable_ended() {
            crate::timers::next_tick(move || at_end(source));
        } else {
            pipe.keep(source, source.once_end(at_end));
        }
        let own = pipe.clone();
        pipe.keep(
            destination,
            destination.on_unpipe(move |_, other| {
                if other == source && own.left_the_list(source) {
                    own.let_go(source);
                }
            }),
        );
        let own = pipe.clone();
        pipe.keep(
            source,
            source.on_data(move |source, bytes| {
                own.awaits_drain.set(false);
                if !destination.write(piped(source, bytes)) {
                    match current::with(|core| core.reactor.take_refusal()).flatten() {
                        // There would be a hole in the stream.
                        Some(refusal) => {
                            destination.destroy_with(refusal);
                        }
                        None => wait_for_drain(source, &own),
                    }
                }
            }),
        );
        let own = pipe.clone();
        let id = destination.listen_as_bystander(SocketEvent::Error, move |arguments| {
            if let Arguments::Error(..) = arguments {
                // When nobody but pipes listens, Node throws the error in the first of them: the others are not reached.
                if !own.over.get() || destination.listener_count(SocketEvent::Error) > 1 {
                    own.unpipe_from(source);
                }
            }
        });
        pipe.keep(destination, id);
        let own = pipe.clone();
        pipe.keep(destination, destination.once_close(move |_, _| own.unpipe_from(source)));
        let own = pipe.clone();
        pipe.keep(destination, destination.once_finish(move |_| own.unpipe_from(source)));
        current::emit_pipe(destination.handle, SocketEvent::Pipe, &Arguments::Pipe(destination, source));
        if destination.writable_need_drain() {
            wait_for_drain(source, &pipe);
        } else if source.readable_flowing() != Some(true) {
            source.resume();
        }
        destination
    }

    /// Takes one pipe away. Mirrors [`socket.unpipe(destination)`].
    ///
    /// When it was the last one this socket is paused, and `pause` emitted; then `unpipe` is emitted on the
    /// destination, both within the call. What is read ahead meanwhile waits for [`resume`](Socket::resume). Without
    /// such a pipe nothing happens.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (source, destination) = (Socket::new(), Socket::new());
    /// source.pipe(destination);
    /// assert_eq!(source.readable_flowing(), Some(true));
    /// source.unpipe(destination);
    /// assert!(source.is_paused());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.unpipe(destination)`]: https://nodejs.org/api/stream.html#readableunpipedestination
    pub fn unpipe(self, destination: Socket) -> Socket {
        let taken = current::with(|core| {
            let pipes = &mut core.sockets.extras_if_any(self.handle)?.pipes;
            let position = pipes.iter().position(|pipe| pipe.destination == destination)?;
            let pipe = pipes.remove(position);
            Some((pipe, pipes.is_empty()))
        });
        if let Some((pipe, last)) = taken.flatten() {
            if last {
                self.pause();
            }
            pipe.tell_unpiped(self);
        }
        self
    }

    /// Takes all pipes away. Mirrors [`socket.unpipe()`] without a destination.
    ///
    /// This socket is paused and `unpipe` emitted on each destination, within the call. Without a pipe nothing happens.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket, net::SocketEvent};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (source, one, other) = (Socket::new(), Socket::new(), Socket::new());
    /// source.pipe(one);
    /// source.pipe(other);
    /// source.unpipe_all();
    /// assert!(source.is_paused());
    /// assert_eq!(source.listener_count(SocketEvent::Data), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.unpipe()`]: https://nodejs.org/api/stream.html#readableunpipedestination
    pub fn unpipe_all(self) -> Socket {
        let taken = current::with(|core| {
            core.sockets.extras_if_any(self.handle).map(|extras| std::mem::take(&mut extras.pipes))
        });
        let pipes = taken.flatten().unwrap_or_default();
        if pipes.is_empty() {
            return self;
        }
        self.pause();
        for pipe in pipes {
            pipe.tell_unpiped(self);
        }
        self
    }

    /// Writes everything that comes from this socket to `sink`, and flushes it at the end. Mirrors [`readable.pipe()`]
    /// into a writable that is no socket.
    ///
    /// The sink is called on the loop's thread, in `data` and `end` listeners: a file or a buffer is fine, a pipe that
    /// blocks holds everything up. When it fails, this socket is destroyed with its error. There is no `pipe` event and
    /// no `unpipe`.
    ///
    /// ```
    /// use std::io::{Read, Seek, Write};
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// # let path = std::env::temp_dir().join(format!("halfclose-pipe-to-{}", std::process::id()));
    /// # let mut file = std::fs::File::options().read(true).write(true).create_new(true).open(&path)?;
    /// # std::fs::remove_file(&path)?;
    /// // `file` is a `std::fs::File`; whatever implements `std::io::Write` will do.
    /// socket.pipe_to(file.try_clone()?);
    /// peer.write_all(b"to be kept")?;
    /// drop(peer);
    /// event_loop.run()?;
    ///
    /// let mut kept = String::new();
    /// file.rewind()?;
    /// file.read_to_string(&mut kept)?;
    /// assert_eq!(kept, "to be kept");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`readable.pipe()`]: https://nodejs.org/api/stream.html#readablepipedestination-options
    pub fn pipe_to(self, sink: impl io::Write + 'static) -> Socket {
        let sink = Rc::new(std::cell::RefCell::new(sink));
        let at_end = sink.clone();
        self.on_data(move |socket, bytes| {
            // Borrowed only here and at the end, and a listener that is running is not entered again.
            if let Err(error) = sink.borrow_mut().write_all(bytes) {
                socket.destroy_with(error);
            }
        });
        self.once_end(move |socket| {
            if let Err(error) = at_end.borrow_mut().flush() {
                socket.destroy_with(error);
            }
        });
        self
    }
}

/// With an encoding the source gives text, which goes out in the default encoding of the destination.
fn piped(source: Socket, bytes: &[u8]) -> Chunk<'_> {
    if source.readable_encoding().is_none() {
        return bytes.into();
    }
    // What was put back with `unshift` may be no text.
    str::from_utf8(bytes).map_or_else(|_| bytes.into(), Chunk::from)
}

/// The destination is full: the source waits for its `drain`.
fn wait_for_drain(source: Socket, pipe: &Rc<Pipe>) {
    if !pipe.over.get() {
        pipe.awaits_drain.set(true);
        source.pause();
    }
    if !pipe.listens_to_drain.replace(true) {
        let own = pipe.clone();
        pipe.keep(pipe.destination, pipe.destination.on_drain(move |_| own.drained(source)));
    }
}

impl Pipe {
    fn keep(&self, socket: Socket, id: crate::net::ListenerId) {
        self.listeners.borrow_mut().push((socket, id));
    }

    /// `drain`: the source goes on, once no destination is full.
    fn drained(&self, source: Socket) {
        self.awaits_drain.set(false);
        let anyone_waits = current::with(|core| {
            let pipes = &core.sockets.extras(source.handle)?.pipes;
            Some(pipes.iter().any(|pipe| pipe.awaits_drain.get()))
        });
        if anyone_waits.flatten() == Some(false) && source.listens_to_data() {
            source.resume();
        }
    }

    fn unpipe_from(&self, source: Socket) {
        let alive = current::with(|core| core.sockets.has(source.handle)) == Some(true);
        if alive {
            // Also when this pipe is over: a source that is piped into one destination twice is unpiped twice.
            source.unpipe(self.destination);
        } else if !self.over.get() {
            // The list went with the source's slot; the destination is told all the same.
            let arguments = Arguments::Pipe(self.destination, source);
            current::emit_pipe(self.destination.handle, SocketEvent::Unpipe, &arguments);
        }
    }

    /// The destination is told that nothing is piped into it from `source` any more.
    fn tell_unpiped(&self, source: Socket) {
        let told = current::with(|core| core.sockets.has(self.destination.handle)) == Some(true);
        if told {
            let arguments = Arguments::Pipe(self.destination, source);
            current::emit_pipe(self.destination.handle, SocketEvent::Unpipe, &arguments);
        } else {
            // The listener that lets go went with the destination's slot, or never came to be.
            self.let_go(source);
        }
    }

    /// Whether this very pipe is in the source's list no longer: a source may be piped into one destination twice.
    fn left_the_list(&self, source: Socket) -> bool {
        let listed = current::with(|core| {
            Some(core.sockets.extras(source.handle)?.pipes.iter().any(|pipe| std::ptr::eq(Rc::as_ptr(pipe), self)))
        });
        !self.over.get() && listed.flatten() != Some(true)
    }

    /// Takes all its listeners away.
    fn let_go(&self, source: Socket) {
        self.over.set(true);
        let listeners = self.listeners.take();
        for (socket, id) in listeners {
            socket.off(id);
        }
        if self.listens_to_drain.get() && self.awaits_drain.get() {
            self.drained(source);
        }
    }
}
