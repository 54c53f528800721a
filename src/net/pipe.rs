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

/// How a source is piped. Mirrors the options of `readable.pipe()`.
#[derive(Clone, Debug)]
pub struct PipeOptions {
    end: bool,
}

impl PipeOptions {
    /// Node's default: the end of the source ends the destination.
    pub fn new() -> PipeOptions {
        PipeOptions { end: true }
    }

    /// Whether the end of the source ends the destination; default true. Mirrors `end`.
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

/// Piping.
impl Socket {
    /// Writes everything that comes from this socket to `destination`, at the pace of the slower one, and ends it when
    /// this one ends. Mirrors `socket.pipe()`. Returns the destination.
    ///
    /// `pipe` is emitted on the destination within the call. When the destination finishes, fails or closes, this socket
    /// is unpiped and paused, not destroyed; when this one is destroyed, the destination stays open. A proxy of two
    /// sockets needs [`allow_half_open`](Socket::set_allow_half_open) on both. With a
    /// [`set_encoding`](Socket::set_encoding) on this socket it is text that is written, in the
    /// [default encoding](Socket::set_default_encoding) of the destination.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let echo = net::create_server(|socket| {
    ///     socket.pipe(socket);
    ///     socket.on_error(|_, error| eprintln!("{error}"));
    /// });
    /// # drop(echo);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn pipe(self, destination: Socket) -> Socket {
        self.pipe_with(destination, PipeOptions::new())
    }

    /// [`pipe`](Socket::pipe) with options. Mirrors `socket.pipe(destination, options)`.
    pub fn pipe_with(self, destination: Socket, options: PipeOptions) -> Socket {
        let pipe = Pipe::new(destination);
        let registered = current::with(|core| {
            core.sockets.get_mut(self.handle).map(|attachment| attachment.pipes.push(pipe.clone())).is_some()
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
                    wait_for_drain(source, &own);
                }
            }),
        );
        let own = pipe.clone();
        let id = destination.listen_as_bystander(SocketEvent::Error, move |arguments| {
            if let Arguments::Error(..) = arguments {
                own.unpipe_from(source);
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

    /// Takes one pipe away. Mirrors `socket.unpipe(destination)`. This socket is paused when it was the last one; then
    /// `unpipe` is emitted on the destination, within the call.
    pub fn unpipe(self, destination: Socket) -> Socket {
        let taken = current::with(|core| {
            let pipes = &mut core.sockets.get_mut(self.handle)?.pipes;
            let position = pipes.iter().position(|pipe| pipe.destination == destination)?;
            pipes.remove(position);
            Some(pipes.is_empty())
        });
        if let Some(last) = taken.flatten() {
            if last {
                self.pause();
            }
            current::emit_pipe(destination.handle, SocketEvent::Unpipe, &Arguments::Pipe(destination, self));
        }
        self
    }

    /// Takes all pipes away. Mirrors `socket.unpipe()`.
    pub fn unpipe_all(self) -> Socket {
        let taken = current::with(|core| {
            core.sockets.get_mut(self.handle).map(|attachment| std::mem::take(&mut attachment.pipes))
        });
        let pipes = taken.flatten().unwrap_or_default();
        if pipes.is_empty() {
            return self;
        }
        self.pause();
        for pipe in pipes {
            let destination = pipe.destination;
            current::emit_pipe(destination.handle, SocketEvent::Unpipe, &Arguments::Pipe(destination, self));
        }
        self
    }

    /// Writes everything that comes from this socket to `sink`, and flushes it at the end. Node's `pipe` into a writable
    /// that is no socket.
    ///
    /// The sink is called on the loop's thread: a file or a buffer is fine, a pipe that blocks holds everything up. When
    /// it fails, this socket is destroyed with its error.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.pipe_to(std::io::stdout());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
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
            let pipes = &core.sockets.get(source.handle)?.pipes;
            Some(pipes.iter().any(|pipe| pipe.awaits_drain.get()))
        });
        if anyone_waits.flatten() == Some(false) && source.listens_to_data() {
            source.resume();
        }
    }

    fn unpipe_from(&self, source: Socket) {
        if self.over.get() {
            return;
        }
        let alive = current::with(|core| core.sockets.get(source.handle).is_some()) == Some(true);
        if alive {
            source.unpipe(self.destination);
        } else {
            // The list went with the source's slot; the destination is told all the same.
            let arguments = Arguments::Pipe(self.destination, source);
            current::emit_pipe(self.destination.handle, SocketEvent::Unpipe, &arguments);
        }
    }

    /// Whether this very pipe is in the source's list no longer: a source may be piped into one destination twice.
    fn left_the_list(&self, source: Socket) -> bool {
        let listed = current::with(|core| {
            let attachment = core.sockets.get(source.handle)?;
            Some(attachment.pipes.iter().any(|pipe| std::ptr::eq(Rc::as_ptr(pipe), self)))
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
