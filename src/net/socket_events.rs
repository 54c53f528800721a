//! A [`Socket`]'s listeners.
//!
//! Each `on_…` adds a listener behind those that are there already; each `once_…` adds one that is removed before it is
//! called. Listeners run in that order, on the loop's thread, with nothing borrowed: any command may be given from any of
//! them. It may touch the event loop's registry.

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

plain_event! {
    /// on.
    pub fn on_timeout;
    /// once.
    pub fn once_timeout;
    Timeout
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
        self.listen_once(SocketEvent::Data, move |arguments| {
            if let Arguments::Data(socket, bytes, _) = *arguments {
                listener(socket, bytes);
            }
        })
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
