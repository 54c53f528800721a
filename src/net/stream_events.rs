//! A [`Socket`]'s listeners for its two streams: where they end, and how they flow.
//!
//! It may touch the event loop's vocabulary of events, and what `socket_events` has.

use crate::event_loop::events::Arguments;
use crate::event_loop::listeners::ListenerId;
use crate::net::socket_events::plain_event;
use crate::net::{Socket, SocketEvent};

plain_event! {
    /// Listens to `end`: the peer ended its side, and everything it sent was consumed. Mirrors [`'end'`].
    ///
    /// Emitted in a tick. Unless [`allow_half_open`](Socket::allow_half_open) is set, this side is ended by itself
    /// after the listeners and their ticks; until then it may still write. When this side had ended before, the socket
    /// is destroyed after the listeners. Bytes that nobody consumes (no `data` listener, no `resume`, a pause) hold it
    /// back for ever; where none came, it needs no consumer.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::{Shutdown, TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// socket.on_end(|socket| {
    ///     socket.write("you went first");
    /// });
    /// peer.shutdown(Shutdown::Write)?;
    /// event_loop.run()?;
    ///
    /// let mut received = String::new();
    /// peer.read_to_string(&mut received)?;
    /// assert_eq!(received, "you went first");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`'end'`]: https://nodejs.org/api/net.html#event-end
    pub fn on_end;
    /// [`on_end`](Socket::on_end), once. Mirrors [`socket.once('end')`].
    ///
    /// It makes a difference for a socket that connects again only.
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
    /// socket.once_end(move |socket| sender.send(socket.writable()).unwrap());
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.once('end')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_end;
    End
}

plain_event! {
    /// Listens to `finish`: this side is ended. Mirrors [`'finish'`].
    ///
    /// Everything was handed to the kernel and the FIN is on its way; emitted in a tick of the callback in which that
    /// was done, after the callbacks of [`end_with`](Socket::end_with). When `end` was emitted too, the socket is
    /// destroyed after the listeners.
    ///
    /// ```
    /// use std::net::{Shutdown, TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// socket.on_finish(move |socket| sender.send(socket.writable_length()).unwrap());
    /// socket.end_data("goodbye");
    /// peer.shutdown(Shutdown::Write)?;
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`'finish'`]: https://nodejs.org/api/stream.html#event-finish
    pub fn on_finish;
    /// [`on_finish`](Socket::on_finish), once. Mirrors [`socket.once('finish')`].
    ///
    /// It makes a difference for a socket that connects again only.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (sender, receiver) = mpsc::channel();
    /// let socket = Socket::new();
    /// socket.once_finish(move |socket| sender.send(socket.destroyed()).unwrap());
    /// socket.end();
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(false));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.once('finish')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_finish;
    Finish
}

plain_event! {
    /// Listens to `drain`: a [`write`](Socket::write) had returned false and everything is with the kernel now: write
    /// on. Mirrors [`'drain'`].
    ///
    /// Emitted in the poll phase when the write had to wait, in a tick when `uncork` sent it, within `connect` when it
    /// waited for that; each time before the callback of the write that caused it. At most once per such period, and
    /// not after [`end`](Socket::end).
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket, net::SocketOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// let socket = Socket::with_options(SocketOptions::new().fd(stream)?.high_water_mark(4));
    /// socket.cork();
    /// assert!(!socket.write("too much"));
    /// socket.on_drain(|socket| {
    ///     socket.write(", and more");
    ///     socket.destroy_soon();
    /// });
    /// socket.uncork();
    /// event_loop.run()?;
    ///
    /// let mut received = String::new();
    /// listener.accept()?.0.read_to_string(&mut received)?;
    /// assert_eq!(received, "too much, and more");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`'drain'`]: https://nodejs.org/api/net.html#event-drain
    pub fn on_drain;
    /// [`on_drain`](Socket::on_drain), once. Mirrors [`socket.once('drain')`].
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use halfclose::{EventLoop, net::Socket, net::SocketOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let stream = TcpStream::connect(listener.local_addr()?)?;
    /// let socket = Socket::with_options(SocketOptions::new().fd(stream)?.high_water_mark(4));
    /// socket.cork();
    /// if !socket.write("too much") {
    ///     // One thing to do when there is room again.
    ///     socket.once_drain(|socket| {
    ///         socket.destroy();
    ///     });
    /// }
    /// socket.uncork();
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.once('drain')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_drain;
    Drain
}

plain_event! {
    /// Listens to `readable`: there is something to [`read`](Socket::read), or the end. Mirrors [`'readable'`].
    ///
    /// Emitted in a tick when bytes were read ahead, and once more at the end of the stream, in the poll phase. Such a
    /// listener stops the flow: `data` is then emitted by `read` only, and [`resume`](Socket::resume) cannot change
    /// that. A listener that does not read everything is not called again for what it left, except at the end of the
    /// stream, and holds `end` back. When the last one is removed, the flow goes on in the next tick if there is a
    /// `data` listener.
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
    /// assert_eq!(socket.readable_flowing(), Some(false));
    /// peer.write_all(b"hello")?;
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>().concat(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`'readable'`]: https://nodejs.org/api/stream.html#event-readable
    pub fn on_readable;
    /// [`on_readable`](Socket::on_readable), once. Mirrors [`socket.once('readable')`].
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
    /// socket.once_readable(move |socket| {
    ///     sender.send(socket.read_exactly(1)).unwrap();
    ///     // The rest does not matter.
    ///     socket.destroy();
    /// });
    /// peer.write_all(b"hello")?;
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv().unwrap().as_deref(), Some(&b"h"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.once('readable')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_readable;
    Readable
}

plain_event! {
    /// Listens to `pause`: [`pause`](Socket::pause) stopped the flow. Mirrors [`'pause'`].
    ///
    /// Emitted within that call, also when a [`pipe`](Socket::pipe) makes it; not when the flow was stopped already.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// let (sender, receiver) = mpsc::channel();
    /// socket.on_pause(move |_| sender.send("paused").unwrap());
    /// socket.pause();
    /// socket.pause();
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["paused"]);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'pause'`]: https://nodejs.org/api/stream.html#event-pause
    pub fn on_pause;
    /// [`on_pause`](Socket::on_pause), once. Mirrors [`socket.once('pause')`].
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// let (sender, receiver) = mpsc::channel();
    /// socket.once_pause(move |_| sender.send("paused").unwrap());
    /// socket.pause();
    /// socket.resume();
    /// socket.pause();
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["paused"]);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.once('pause')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_pause;
    Pause
}

plain_event! {
    /// Listens to `resume`: the flow begins. Mirrors [`'resume'`].
    ///
    /// Emitted in the tick after [`resume`](Socket::resume) or the first `data` listener, before the bytes that were
    /// read ahead.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// let (sender, receiver) = mpsc::channel();
    /// socket.on_resume(move |_| sender.send("flows").unwrap());
    /// socket.resume();
    /// assert!(receiver.try_recv().is_err(), "not within the call");
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok("flows"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'resume'`]: https://nodejs.org/api/stream.html#event-resume
    pub fn on_resume;
    /// [`on_resume`](Socket::on_resume), once. Mirrors [`socket.once('resume')`].
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// let (sender, receiver) = mpsc::channel();
    /// socket.once_resume(move |socket| sender.send(socket.readable_flowing()).unwrap());
    /// socket.on_data(|_, _| {});
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(Some(true)));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.once('resume')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_resume;
    Resume
}

/// Listeners of a destination.
impl Socket {
    /// Listens to `pipe`: another socket, given second, was [piped](Socket::pipe) into this one. Mirrors [`'pipe'`].
    ///
    /// Emitted within that call. [`pipe_to`](Socket::pipe_to) emits nothing.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (source, destination) = (Socket::new(), Socket::new());
    /// let (sender, receiver) = mpsc::channel();
    /// destination.on_pipe(move |_, source| sender.send(source.id()).unwrap());
    /// source.pipe(destination);
    /// assert_eq!(receiver.try_recv().unwrap().get(), Some(source));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'pipe'`]: https://nodejs.org/api/stream.html#event-pipe
    pub fn on_pipe(self, mut listener: impl FnMut(Socket, Socket) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::Pipe, move |arguments| {
            if let Arguments::Pipe(socket, source) = *arguments {
                listener(socket, source);
            }
        })
    }

    /// [`on_pipe`](Socket::on_pipe), once. Mirrors [`socket.once('pipe')`].
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (source, destination) = (Socket::new(), Socket::new());
    /// let (sender, receiver) = mpsc::channel();
    /// destination.once_pipe(move |_, source| sender.send(source.id()).unwrap());
    /// source.pipe(destination);
    /// Socket::new().pipe(destination);
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [source.id()]);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.once('pipe')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_pipe(self, listener: impl FnOnce(Socket, Socket) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::Pipe, move |arguments| {
            if let Arguments::Pipe(socket, source) = *arguments {
                listener(socket, source);
            }
        })
    }

    /// Listens to `unpipe`: another socket, given second, is piped into this one no longer. Mirrors [`'unpipe'`].
    ///
    /// It was [unpiped](Socket::unpipe), which emits this within the call; or this socket finished, failed or closed,
    /// and it is emitted among the listeners of that event.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (source, destination) = (Socket::new(), Socket::new());
    /// let (sender, receiver) = mpsc::channel();
    /// destination.on_unpipe(move |_, source| sender.send(source.id()).unwrap());
    /// source.pipe(destination);
    /// source.unpipe(destination);
    /// assert_eq!(receiver.try_recv().unwrap().get(), Some(source));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'unpipe'`]: https://nodejs.org/api/stream.html#event-unpipe
    pub fn on_unpipe(self, mut listener: impl FnMut(Socket, Socket) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::Unpipe, move |arguments| {
            if let Arguments::Pipe(socket, source) = *arguments {
                listener(socket, source);
            }
        })
    }

    /// [`on_unpipe`](Socket::on_unpipe), once. Mirrors [`socket.once('unpipe')`].
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let (source, destination) = (Socket::new(), Socket::new());
    /// let (sender, receiver) = mpsc::channel();
    /// destination.once_unpipe(move |_, source| sender.send(source.is_paused()).unwrap());
    /// source.pipe(destination);
    /// source.unpipe_all();
    /// assert_eq!(receiver.try_recv(), Ok(true));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.once('unpipe')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_unpipe(self, listener: impl FnOnce(Socket, Socket) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::Unpipe, move |arguments| {
            if let Arguments::Pipe(socket, source) = *arguments {
                listener(socket, source);
            }
        })
    }
}
