//! A [`Socket`]'s listeners.
//!
//! Each `on_…` adds a listener behind those that are there already; each `once_…` adds one that is removed before it is
//! called. Listeners run in that order, on the loop's thread, with nothing borrowed: any command may be given from any of
//! them. It may touch the event loop's registry.

use std::cell::Cell;
use std::rc::Rc;

use crate::error::Error;
use crate::event_loop::SOCKET_EVENTS;
use crate::event_loop::current;
use crate::event_loop::events::{Arguments, Event};
use crate::event_loop::listeners::{ListenerId, ListenerKind};
use crate::net::{Socket, SocketEvent};

/// The pair of methods for an event whose listeners are given the socket alone.
macro_rules! plain_event {
    ($(#[$on_doc:meta])* pub fn $on:ident; $(#[$once_doc:meta])* pub fn $once:ident; $event:ident) => {
        impl Socket {
            $(#[$on_doc])*
            pub fn $on(self, mut listener: impl FnMut(Socket) + 'static) -> ListenerId {
                self.listen_to(SocketEvent::$event, move |arguments| {
                    if let Arguments::Socket(socket) = *arguments {
                        listener(socket);
                    }
                })
            }

            $(#[$once_doc])*
            pub fn $once(self, listener: impl FnOnce(Socket) + 'static) -> ListenerId {
                self.listen_once(SocketEvent::$event, move |arguments| {
                    if let Arguments::Socket(socket) = *arguments {
                        listener(socket);
                    }
                })
            }
        }
    };
}

pub(super) use plain_event;

/// What a one-shot listener for bytes waits for: at the end of the stream there may be only text left.
fn bytes_of<'a>(arguments: &'a Arguments<'_>) -> Option<&'a [u8]> {
    let Arguments::Data(_, bytes, _) = arguments else { return None };
    Some(*bytes).filter(|bytes| !bytes.is_empty())
}

/// What a one-shot listener for text waits for: bytes may complete no character.
fn text_of<'a>(arguments: &'a Arguments<'_>) -> Option<&'a str> {
    let Arguments::Data(_, _, text) = arguments else { return None };
    *text
}

plain_event! {
    /// Listens to `timeout`: nothing happened for as long as [`set_timeout`](Socket::set_timeout) asked. Mirrors
    /// [`'timeout'`].
    ///
    /// Only a notification, emitted in the timer phase: the socket stays open until you end or destroy it. Once per
    /// idle period: the next one begins with the next activity or `set_timeout`. While a write makes progress it is put
    /// off.
    ///
    /// ```
    /// use std::net::{TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// socket.on_timeout(move |socket| {
    ///     sender.send(socket.destroyed()).unwrap();
    ///     socket.destroy();
    /// });
    /// socket.set_timeout(Duration::from_millis(5));
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`'timeout'`]: https://nodejs.org/api/net.html#event-timeout
    pub fn on_timeout;
    /// [`on_timeout`](Socket::on_timeout), once. Mirrors [`socket.once('timeout')`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Socket, net::SocketEvent};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.once_timeout(|socket| {
    ///     assert_eq!(socket.listener_count(SocketEvent::Timeout), 0);
    ///     socket.destroy();
    /// });
    /// # // Never connected: it does not keep the loop alive, so a timer does.
    /// # halfclose::set_timeout(Duration::from_millis(20), || {});
    /// socket.set_timeout(Duration::from_millis(5));
    /// event_loop.run()?;
    /// assert!(socket.destroyed());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.once('timeout')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_timeout;
    Timeout
}

/// Listeners.
///
/// A listener that is added to a freed handle is dropped, and never called.
impl Socket {
    /// Listens to `data`: bytes have come, lent for the length of the call. Mirrors [`'data'`].
    ///
    /// The first listener starts the flow, unless the socket was [paused](Socket::pause) or has a
    /// [`readable`](Socket::on_readable) listener: `resume` is emitted in the next tick. Bytes are emitted in the poll
    /// phase, as they are read, up to 65,536 at a time; what was read ahead before there was a listener comes in ticks.
    /// Boundaries between writes of the peer mean nothing. With an [encoding](Socket::set_encoding) the bytes are the
    /// UTF-8 of the text.
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
    /// socket.on_data(move |_, bytes| sender.send(bytes.to_vec()).unwrap());
    /// peer.write_all(b"hello")?;
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>().concat(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`'data'`]: https://nodejs.org/api/net.html#event-data
    pub fn on_data(self, listener: impl FnMut(Socket, &[u8]) + 'static) -> ListenerId {
        current::add_data_listener(self.handle, listener)
    }

    /// [`on_data`](Socket::on_data), once. Mirrors [`socket.once('data')`].
    ///
    /// Removing the last `data` listener does not pause: what comes afterwards is lost, unless the listener calls
    /// [`pause`](Socket::pause).
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
    /// socket.once_data(move |_, bytes| sender.send(bytes.to_vec()).unwrap());
    /// peer.write_all(b"hello")?;
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [b"hello"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`socket.once('data')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_data(self, listener: impl FnOnce(Socket, &[u8]) + 'static) -> ListenerId {
        self.once_given(bytes_of, listener)
    }

    /// Listens to `data` as text: what the bytes complete, decoded as [`set_encoding`](Socket::set_encoding) says, else
    /// as UTF-8. Mirrors [`'data'`] with an encoding.
    ///
    /// A character that is split over reads is never broken; invalid bytes become U+FFFD, and so does a character that
    /// the end of the stream cut off. Otherwise the same event as [`on_data`](Socket::on_data), counted together.
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
    /// socket.on_text(move |_, text| sender.send(text.to_string()).unwrap());
    /// peer.write_all("naïve".as_bytes())?;
    /// drop(peer);
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<String>(), "naïve");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`'data'`]: https://nodejs.org/api/net.html#event-data
    pub fn on_text(self, mut listener: impl FnMut(Socket, &str) + 'static) -> ListenerId {
        current::with(|core| core.listen_to_text(self.handle));
        self.listen_to(SocketEvent::Data, move |arguments| {
            if let Arguments::Data(socket, _, Some(text)) = *arguments {
                listener(socket, text);
            }
        })
    }

    /// [`on_text`](Socket::on_text), once: the first `data` whose bytes complete a character, or what the end of the stream
    /// leaves. As with [`once_data`](Socket::once_data), removing the last `data` listener does not pause: what comes
    /// meanwhile is lost. Mirrors a one-shot [`'data'`] listener that gets strings.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::net::{Shutdown, TcpListener, TcpStream};
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let socket = Socket::from_std(TcpStream::connect(listener.local_addr()?)?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// let (sender, receiver) = mpsc::channel();
    /// socket.once_text(move |socket, text| {
    ///     sender.send(text.to_owned()).unwrap();
    ///     socket.end();
    /// });
    /// peer.write_all("grüß Gott".as_bytes())?;
    /// peer.shutdown(Shutdown::Write)?;
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv()?, "grüß Gott");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`'data'`]: https://nodejs.org/api/net.html#event-data
    pub fn once_text(self, listener: impl FnOnce(Socket, &str) + 'static) -> ListenerId {
        current::with(|core| core.listen_to_text(self.handle));
        self.once_given(text_of, listener)
    }

    /// A `data` listener that is removed before the first call that has something for it.
    fn once_given<T: ?Sized + 'static>(
        self,
        view: for<'a> fn(&'a Arguments<'_>) -> Option<&'a T>,
        listener: impl FnOnce(Socket, &T) + 'static,
    ) -> ListenerId {
        let place = Rc::new(Cell::new(None));
        let own = place.clone();
        let mut listener = Some(listener);
        let registered = self.listen_to(SocketEvent::Data, move |arguments| {
            let Some(given) = view(arguments) else { return };
            if let (Some(listener), Some(own)) = (listener.take(), own.get()) {
                self.off(own);
                listener(self, given);
            }
        });
        place.set(Some(registered));
        registered
    }

    /// Listens to `error`: the connection failed. Mirrors [`'error'`].
    ///
    /// Emitted a tick after the cause, at most once per connection; the socket is destroyed already, and `close` with
    /// `had_error` follows, in the closing phase when there was a connection. Codes and their causes: see [`Error`].
    /// When nobody listens, [`EventLoop::run`](crate::EventLoop::run) returns the error, where Node ends the process. A
    /// listener may [connect](Socket::connect) again.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (sender, receiver) = mpsc::channel();
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// socket.on_error(move |_, error| sender.send(error.message().to_string()).unwrap());
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok("connect ECONNREFUSED 127.0.0.1:1".into()));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'error'`]: https://nodejs.org/api/net.html#event-error_1
    pub fn on_error(self, mut listener: impl FnMut(Socket, &Error) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::Error, move |arguments| {
            if let Arguments::Error(socket, error) = *arguments {
                listener(socket, error);
            }
        })
    }

    /// [`on_error`](Socket::on_error), once. Mirrors [`socket.once('error')`].
    ///
    /// It makes a difference for a socket that connects again only.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (sender, receiver) = mpsc::channel();
    /// let socket = net::connect(("127.0.0.1", 1))?;
    /// socket.once_error(move |_, error| sender.send(error.code() == Some("ECONNREFUSED")).unwrap());
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(true));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.once('error')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_error(self, listener: impl FnOnce(Socket, &Error) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::Error, move |arguments| {
            if let Arguments::Error(socket, error) = *arguments {
                listener(socket, error);
            }
        })
    }

    /// Listens to `close`: the last event of a connection, given whether an error ended it. Mirrors [`'close'`].
    ///
    /// Emitted in the closing phase, after the immediates of the turn in which the socket was destroyed; sockets
    /// destroyed in the same turn close in reverse order. For a socket that never had a connection it comes in a tick,
    /// with false where Node passes nothing (with true after an error). A listener may [connect](Socket::connect) the
    /// socket again; otherwise its slot is freed afterwards, unless it is [retained](Socket::retain), and its listeners
    /// are dropped.
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
    /// socket.on_error(|_, error| println!("{error}"));
    /// socket.on_close(move |_, had_error| sender.send(had_error).unwrap());
    /// socket.destroy_with("not today");
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`'close'`]: https://nodejs.org/api/net.html#event-close_1
    pub fn on_close(self, mut listener: impl FnMut(Socket, bool) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::Close, move |arguments| {
            if let Arguments::Close(socket, had_error) = *arguments {
                listener(socket, had_error);
            }
        })
    }

    /// [`on_close`](Socket::on_close), once. Mirrors [`socket.once('close')`].
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
    /// socket.once_close(move |_, had_error| sender.send(had_error).unwrap());
    /// socket.destroy();
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_recv(), Ok(false));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.once('close')`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
    pub fn once_close(self, listener: impl FnOnce(Socket, bool) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::Close, move |arguments| {
            if let Arguments::Close(socket, had_error) = *arguments {
                listener(socket, had_error);
            }
        })
    }

    /// Removes one listener: the closure is dropped. Mirrors [`socket.off()`], which takes the function itself.
    ///
    /// False when it was gone already, on a freed handle, and with an id of another socket. A listener that is removed
    /// while its event is being emitted still runs this once, if its turn had not come.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// let listener = socket.on_data(|_, _| {});
    /// assert!(socket.off(listener));
    /// assert!(!socket.off(listener));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.off()`]: https://nodejs.org/api/events.html#emitteroffeventname-listener
    pub fn off(self, listener: ListenerId) -> bool {
        let removed = current::with(|core| core.off(self.handle, SOCKET_EVENTS, listener)).unwrap_or(false);
        current::bury_if_idle();
        removed
    }

    /// Puts a listener in front of all others of its event. Mirrors [`socket.prependListener()`] and
    /// [`socket.prependOnceListener()`], which add it there.
    ///
    /// False when it is gone.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (sender, receiver) = mpsc::channel();
    /// let other = sender.clone();
    /// let socket = Socket::new();
    /// socket.on_close(move |_, _| sender.send("second").unwrap());
    /// socket.prepend(socket.on_close(move |_, _| other.send("first").unwrap()));
    /// socket.destroy();
    /// event_loop.run()?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["first", "second"]);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.prependListener()`]: https://nodejs.org/api/events.html#emitterprependlistenereventname-listener
    /// [`socket.prependOnceListener()`]: https://nodejs.org/api/events.html#emitterprependoncelistenereventname-listener
    pub fn prepend(self, listener: ListenerId) -> bool {
        current::with(|core| core.prepend(self.handle, SOCKET_EVENTS, listener)).unwrap_or(false)
    }

    /// How many listeners an event has; those of a [`pipe`](Socket::pipe) count too, as in Node. Mirrors
    /// [`socket.listenerCount()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket, net::SocketEvent};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.on_data(|_, _| {});
    /// socket.on_text(|_, _| {});
    /// assert_eq!(socket.listener_count(SocketEvent::Data), 2);
    /// assert_eq!(socket.listener_count(SocketEvent::End), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.listenerCount()`]: https://nodejs.org/api/events.html#emitterlistenercounteventname-listener
    pub fn listener_count(self, event: SocketEvent) -> usize {
        let count = current::with(|core| {
            // The listeners of a slot that was freed in this callback are still to be dropped.
            core.reactor.live(self.handle).is_some().then(|| core.listener_count(self.handle, Event::Socket(event)))
        });
        count.flatten().unwrap_or(0)
    }

    /// Removes the listeners of one event, or of all. Mirrors [`socket.removeAllListeners()`].
    ///
    /// Those of a [`pipe`](Socket::pipe) go too. What was written while connecting is sent all the same, which Node
    /// forgets.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket, net::SocketEvent};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.on_data(|_, _| {});
    /// socket.on_end(|_| {});
    /// socket.remove_all_listeners(Some(SocketEvent::Data));
    /// assert_eq!(socket.listener_count(SocketEvent::End), 1);
    /// socket.remove_all_listeners(None);
    /// assert_eq!(socket.listener_count(SocketEvent::End), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`socket.removeAllListeners()`]: https://nodejs.org/api/events.html#emitterremovealllistenerseventname
    pub fn remove_all_listeners(self, event: Option<SocketEvent>) -> Socket {
        current::with(|core| core.remove_all_listeners(self.handle, SOCKET_EVENTS, event.map(Event::Socket)));
        current::bury_if_idle();
        self
    }

    pub(super) fn listen_to(self, event: SocketEvent, listener: impl FnMut(&Arguments<'_>) + 'static) -> ListenerId {
        current::add_listener(self.handle, Event::Socket(event), ListenerKind::Lasting, listener)
    }

    pub(crate) fn listen_as_bystander(
        self,
        event: SocketEvent,
        listener: impl FnMut(&Arguments<'_>) + 'static,
    ) -> ListenerId {
        current::add_listener(self.handle, Event::Socket(event), ListenerKind::Bystander, listener)
    }

    pub(super) fn listen_once(self, event: SocketEvent, listener: impl FnOnce(&Arguments<'_>) + 'static) -> ListenerId {
        current::add_listener_once(self.handle, Event::Socket(event), listener)
    }
}
