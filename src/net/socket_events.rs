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
use crate::net::{ConnectionAttempt, Lookup, Socket, SocketEvent};

/// The pair of methods for an event whose listeners are given the socket alone.
macro_rules! plain_event {
    ($event:ident, $on:ident, $once:ident, $(#[$doc:meta])*) => {
        impl Socket {
            $(#[$doc])*
            pub fn $on(self, mut listener: impl FnMut(Socket) + 'static) -> ListenerId {
                self.listen_to(SocketEvent::$event, move |arguments| {
                    if let Arguments::Socket(socket) = *arguments {
                        listener(socket);
                    }
                })
            }

            #[doc = concat!("[`", stringify!($on), "`](Socket::", stringify!($on), "), once.")]
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

plain_event!(
    Connect,
    on_connect,
    once_connect,
    /// `connect`: the connection is established. `ready` follows in the same stack; writes that waited are sent in the
    /// middle of this emission, at the place of the first of them among the listeners. Reading starts after `ready`.
    /// Sockets of a server are connected from the start and do not emit it.
);
plain_event!(
    Ready,
    on_ready,
    once_ready,
    /// `ready`: directly after `connect`, also when a `connect` listener destroyed the socket.
);
plain_event!(
    End,
    on_end,
    once_end,
    /// `end`: the peer ended its side and everything it sent was consumed. Unless `allow_half_open` is set, this side is
    /// ended by itself after the listeners and their ticks; until then it may still write.
    /// Bytes that nobody consumes (no `data` listener, no `resume`) hold it back for ever.
);
plain_event!(
    Finish,
    on_finish,
    once_finish,
    /// `finish`: this side is ended. Everything was handed to the kernel and the FIN is on its way; the callbacks of
    /// `end_with` were called just before. When `end` was emitted too, the socket is destroyed after this.
);
plain_event!(
    Drain,
    on_drain,
    once_drain,
    /// `drain`: a `write` had returned false and everything is with the kernel now: write on. At most once per such
    /// period, before the callback of the write that caused it, and not after `end()`.
);
plain_event!(
    Timeout,
    on_timeout,
    once_timeout,
    /// `timeout`: nothing happened for as long as [`set_timeout`](Socket::set_timeout) asked. Only a notification: the
    /// socket stays open. Once per idle period.
);

plain_event!(
    Readable,
    on_readable,
    once_readable,
    /// `readable`: there is something to [`read`](Socket::read), or the end. Such a listener stops the flow: `data` is
    /// then emitted by `read` only, and `resume` cannot change that. A listener that does not read is not called again,
    /// except at the end of the stream.
);
plain_event!(
    Pause,
    on_pause,
    once_pause,
    /// `pause`: [`pause`](Socket::pause) stopped the flow. Emitted within that call.
);
plain_event!(
    Resume,
    on_resume,
    once_resume,
    /// `resume`: the flow begins, in the tick after [`resume`](Socket::resume) or the first `data` listener.
);

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

impl Socket {
    /// `data`: bytes have come, lent for the length of the call. Mirrors `'data'`.
    ///
    /// The first listener starts the flow, unless the socket was paused explicitly. Boundaries between writes of the peer
    /// mean nothing.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// let mut received = Vec::new();
    /// socket.on_data(move |_, bytes| received.extend_from_slice(bytes));
    /// assert_eq!(socket.readable_flowing(), Some(true));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn on_data(self, mut listener: impl FnMut(Socket, &[u8]) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::Data, move |arguments| {
            if let Arguments::Data(socket, bytes, _) = *arguments {
                // No bytes: only text is left, at the end of the stream.
                if !bytes.is_empty() {
                    listener(socket, bytes);
                }
            }
        })
    }

    /// [`on_data`](Socket::on_data), once. Removing the last `data` listener does not pause: what comes meanwhile is
    /// lost.
    pub fn once_data(self, listener: impl FnOnce(Socket, &[u8]) + 'static) -> ListenerId {
        self.once_given(bytes_of, listener)
    }

    /// `data` as text: what the bytes complete, decoded as [`set_encoding`](Socket::set_encoding) says, else as UTF-8. A
    /// character that is split over reads is never broken; invalid bytes become U+FFFD, and so does a character that the
    /// end of the stream cut off. Otherwise the same event as [`on_data`](Socket::on_data), counted together.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.on_text(|_, text| print!("{text}"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
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
    /// meanwhile is lost.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.once_text(|socket, text| {
    ///     println!("the greeting: {text}");
    ///     socket.pause();
    /// });
    /// # Ok::<(), halfclose::Error>(())
    /// ```
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

    /// `error`: the connection failed, and the socket is destroyed already; `close` follows with `had_error`. At most
    /// once per connection. Codes: see [`Error`]. When nobody listens, [`EventLoop::run`](crate::EventLoop::run) returns
    /// it.
    pub fn on_error(self, mut listener: impl FnMut(Socket, &Error) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::Error, move |arguments| {
            if let Arguments::Error(socket, error) = *arguments {
                listener(socket, error);
            }
        })
    }

    /// [`on_error`](Socket::on_error), once.
    pub fn once_error(self, listener: impl FnOnce(Socket, &Error) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::Error, move |arguments| {
            if let Arguments::Error(socket, error) = *arguments {
                listener(socket, error);
            }
        })
    }

    /// `close`: the last event of a connection, given whether an error ended it. In the closing phase, sockets destroyed
    /// in the same turn in reverse order; for one that never had a connection, in a tick. A listener may connect the
    /// socket again; otherwise its slot is freed afterwards, and its listeners are dropped.
    pub fn on_close(self, mut listener: impl FnMut(Socket, bool) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::Close, move |arguments| {
            if let Arguments::Close(socket, had_error) = *arguments {
                listener(socket, had_error);
            }
        })
    }

    /// [`on_close`](Socket::on_close), once.
    pub fn once_close(self, listener: impl FnOnce(Socket, bool) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::Close, move |arguments| {
            if let Arguments::Close(socket, had_error) = *arguments {
                listener(socket, had_error);
            }
        })
    }

    /// `connectionAttempt`: an address is about to be tried.
    pub fn on_connection_attempt(self, mut listener: impl FnMut(Socket, &ConnectionAttempt) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::ConnectionAttempt, move |arguments| {
            if let Arguments::Attempt(socket, attempt) = *arguments {
                listener(socket, attempt);
            }
        })
    }

    /// [`on_connection_attempt`](Socket::on_connection_attempt), once.
    pub fn once_connection_attempt(self, listener: impl FnOnce(Socket, &ConnectionAttempt) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::ConnectionAttempt, move |arguments| {
            if let Arguments::Attempt(socket, attempt) = *arguments {
                listener(socket, attempt);
            }
        })
    }

    /// `connectionAttemptFailed`: an address was tried in vain. `error` follows; a listener that destroys the socket
    /// swallows it.
    pub fn on_connection_attempt_failed(
        self,
        mut listener: impl FnMut(Socket, &ConnectionAttempt, &Error) + 'static,
    ) -> ListenerId {
        self.listen_to(SocketEvent::ConnectionAttemptFailed, move |arguments| {
            if let Arguments::AttemptFailed(socket, attempt, error) = *arguments {
                listener(socket, attempt, error);
            }
        })
    }

    /// [`on_connection_attempt_failed`](Socket::on_connection_attempt_failed), once.
    pub fn once_connection_attempt_failed(
        self,
        listener: impl FnOnce(Socket, &ConnectionAttempt, &Error) + 'static,
    ) -> ListenerId {
        self.listen_once(SocketEvent::ConnectionAttemptFailed, move |arguments| {
            if let Arguments::AttemptFailed(socket, attempt, error) = *arguments {
                listener(socket, attempt, error);
            }
        })
    }

    /// `pipe`: another socket, given second, was [piped](Socket::pipe) into this one. Emitted within that call.
    pub fn on_pipe(self, mut listener: impl FnMut(Socket, Socket) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::Pipe, move |arguments| {
            if let Arguments::Pipe(socket, source) = *arguments {
                listener(socket, source);
            }
        })
    }

    /// [`on_pipe`](Socket::on_pipe), once.
    pub fn once_pipe(self, listener: impl FnOnce(Socket, Socket) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::Pipe, move |arguments| {
            if let Arguments::Pipe(socket, source) = *arguments {
                listener(socket, source);
            }
        })
    }

    /// `unpipe`: another socket, given second, is piped into this one no longer: it was [unpiped](Socket::unpipe), or this
    /// one finished, failed or closed.
    pub fn on_unpipe(self, mut listener: impl FnMut(Socket, Socket) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::Unpipe, move |arguments| {
            if let Arguments::Pipe(socket, source) = *arguments {
                listener(socket, source);
            }
        })
    }

    /// [`on_unpipe`](Socket::on_unpipe), once.
    pub fn once_unpipe(self, listener: impl FnOnce(Socket, Socket) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::Unpipe, move |arguments| {
            if let Arguments::Pipe(socket, source) = *arguments {
                listener(socket, source);
            }
        })
    }

    /// `connectionAttemptTimeout`: one of several addresses did not answer in its time. It is given up, and the next one
    /// follows; see [`ConnectOptions::auto_select_family`](crate::net::ConnectOptions::auto_select_family).
    pub fn on_connection_attempt_timeout(
        self,
        mut listener: impl FnMut(Socket, &ConnectionAttempt) + 'static,
    ) -> ListenerId {
        self.listen_to(SocketEvent::ConnectionAttemptTimeout, move |arguments| {
            if let Arguments::Attempt(socket, attempt) = *arguments {
                listener(socket, attempt);
            }
        })
    }

    /// [`on_connection_attempt_timeout`](Socket::on_connection_attempt_timeout), once.
    pub fn once_connection_attempt_timeout(
        self,
        listener: impl FnOnce(Socket, &ConnectionAttempt) + 'static,
    ) -> ListenerId {
        self.listen_once(SocketEvent::ConnectionAttemptTimeout, move |arguments| {
            if let Arguments::Attempt(socket, attempt) = *arguments {
                listener(socket, attempt);
            }
        })
    }

    /// `lookup`: the name given to `connect` was looked up; once for each address (only for the first one where no other
    /// is tried), or once with an error. Not emitted for a host that is an address.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = net::connect(("localhost", 1))?;
    /// socket.on_lookup(|_, lookup| match lookup.error() {
    ///     None => println!("{} is {:?}", lookup.host(), lookup.address()),
    ///     Some(error) => println!("{error}"),
    /// });
    /// socket.on_error(|_, error| assert_eq!(error.code(), Some("ECONNREFUSED")));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn on_lookup(self, mut listener: impl FnMut(Socket, &Lookup) + 'static) -> ListenerId {
        self.listen_to(SocketEvent::Lookup, move |arguments| {
            if let Arguments::Lookup(socket, lookup) = *arguments {
                listener(socket, lookup);
            }
        })
    }

    /// [`on_lookup`](Socket::on_lookup), once.
    pub fn once_lookup(self, listener: impl FnOnce(Socket, &Lookup) + 'static) -> ListenerId {
        self.listen_once(SocketEvent::Lookup, move |arguments| {
            if let Arguments::Lookup(socket, lookup) = *arguments {
                listener(socket, lookup);
            }
        })
    }

    /// Removes one listener. Mirrors `socket.off()`. False when it was gone already. A listener that is removed while its
    /// event is being emitted still runs this once.
    pub fn off(self, listener: ListenerId) -> bool {
        let removed = current::with(|core| core.off(self.handle, SOCKET_EVENTS, listener)).unwrap_or(false);
        current::bury_if_idle();
        removed
    }

    /// Puts a listener in front of all others of its event. Mirrors `socket.prependListener()` and
    /// `socket.prependOnceListener()`. False when it is gone.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Socket};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let socket = Socket::new();
    /// socket.on_close(|_, _| println!("second"));
    /// socket.prepend(socket.on_close(|_, _| println!("first")));
    /// socket.destroy();
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn prepend(self, listener: ListenerId) -> bool {
        current::with(|core| core.prepend(self.handle, SOCKET_EVENTS, listener)).unwrap_or(false)
    }

    /// How many listeners an event has. Mirrors `socket.listenerCount()`.
    pub fn listener_count(self, event: SocketEvent) -> usize {
        current::with(|core| core.listener_count(self.handle, Event::Socket(event))).unwrap_or(0)
    }

    /// Removes the listeners of one event, or of all. Mirrors `socket.removeAllListeners()`.
    pub fn remove_all_listeners(self, event: Option<SocketEvent>) -> Socket {
        current::with(|core| core.remove_all_listeners(self.handle, SOCKET_EVENTS, event.map(Event::Socket)));
        current::bury_if_idle();
        self
    }

    fn listen_to(self, event: SocketEvent, listener: impl FnMut(&Arguments<'_>) + 'static) -> ListenerId {
        current::add_listener(self.handle, Event::Socket(event), ListenerKind::Lasting, listener)
    }

    pub(crate) fn listen_as_bystander(
        self,
        event: SocketEvent,
        listener: impl FnMut(&Arguments<'_>) + 'static,
    ) -> ListenerId {
        current::add_listener(self.handle, Event::Socket(event), ListenerKind::Bystander, listener)
    }

    fn listen_once(self, event: SocketEvent, listener: impl FnOnce(&Arguments<'_>) + 'static) -> ListenerId {
        current::add_listener_once(self.handle, Event::Socket(event), listener)
    }
}
