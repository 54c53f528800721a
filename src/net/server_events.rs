//! The listeners of a [`Server`].
//!
//! It may touch the event loop's commands. (`drop` has its place beside the limit that makes it, in `server_settings`.)

use crate::error::Error;
use crate::event_loop::events::Arguments;
use crate::event_loop::listeners::ListenerId;
use crate::net::{Server, ServerEvent, Socket};

/// Events. Each `on_…` adds a listener behind those that are there ([`emitter.on()`] in Node), each `once_…` one that
/// is removed before it is called ([`emitter.once()`]). What they return removes the listener: [`off`](Server::off). On
/// a stale handle the listener is dropped.
///
/// [`emitter.on()`]: https://nodejs.org/api/events.html#emitteroneventname-listener
/// [`emitter.once()`]: https://nodejs.org/api/events.html#emitteronceeventname-listener
impl Server {
    /// `listening`: it is bound, and connections are accepted from now on. Emitted in a tick after the bind, see
    /// [`listen`](Server::listen). Mirrors [`'listening'`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.on_listening(|server| {
    ///     assert!(server.address().is_some());
    ///     server.close();
    /// });
    /// server.listen(("127.0.0.1", 0))?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'listening'`]: https://nodejs.org/api/net.html#event-listening
    pub fn on_listening(self, mut listener: impl FnMut(Server) + 'static) -> ListenerId {
        self.listen_to(ServerEvent::Listening, move |arguments| {
            if let Arguments::Server(server) = *arguments {
                listener(server);
            }
        })
    }

    /// [`on_listening`](Server::on_listening), once. Mirrors [`'listening'`] with `once`.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ServerEvent};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.once_listening(|server| {
    ///     assert_eq!(server.listener_count(ServerEvent::Listening), 0);
    ///     server.close();
    /// });
    /// server.listen(("127.0.0.1", 0))?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'listening'`]: https://nodejs.org/api/net.html#event-listening
    pub fn once_listening(self, listener: impl FnOnce(Server) + 'static) -> ListenerId {
        self.listen_once(ServerEvent::Listening, move |arguments| {
            if let Arguments::Server(server) = *arguments {
                listener(server);
            }
        })
    }

    /// `connection`: a connection was accepted. Emitted in the poll phase; the socket reads already, but nothing of it
    /// is delivered before this event. Mirrors [`'connection'`].
    ///
    /// Give every socket an `error` listener: a peer that resets makes an `error`, and one that nobody listens for
    /// makes [`EventLoop::run`](crate::EventLoop::run) return it. And give it a consumer (a `data` listener, `resume`,
    /// `pipe`): a socket that nobody reads never sees the end of its peer's bytes, and stays.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::Server};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = Server::new();
    /// server.on_connection(|server, socket| {
    ///     socket.on_error(|_, error| eprintln!("{error}"));
    ///     socket.end_data("welcome").resume();
    ///     server.close();
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     let client = net::connect(server.address().unwrap()).unwrap();
    ///     client.on_data(|_, bytes| assert_eq!(bytes, b"welcome"));
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'connection'`]: https://nodejs.org/api/net.html#event-connection
    pub fn on_connection(self, mut listener: impl FnMut(Server, Socket) + 'static) -> ListenerId {
        self.listen_to(ServerEvent::Connection, move |arguments| {
            if let Arguments::Connection(server, socket) = *arguments {
                listener(server, socket);
            }
        })
    }

    /// [`on_connection`](Server::on_connection), once. Mirrors [`'connection'`] with `once`. Later connections are
    /// accepted as well, and live with nobody to care for them.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::Server};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = Server::new();
    /// server.once_connection(|server, socket| {
    ///     server.close(); // only this one
    ///     socket.end_data("welcome").resume();
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     net::connect(server.address().unwrap()).unwrap().resume();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'connection'`]: https://nodejs.org/api/net.html#event-connection
    pub fn once_connection(self, listener: impl FnOnce(Server, Socket) + 'static) -> ListenerId {
        self.listen_once(ServerEvent::Connection, move |arguments| {
            if let Arguments::Connection(server, socket) = *arguments {
                listener(server, socket);
            }
        })
    }

    /// `error`: it could not listen, and may try again. Emitted in a tick, for a host whose lookup failed in the poll
    /// phase. Unlike a socket's it is not followed by `close`. When nobody listens,
    /// [`EventLoop::run`](crate::EventLoop::run) returns the error. Mirrors [`'error'`].
    ///
    /// That accepting failed is none: as in Node 26 the server goes on. See [`on_accept_error`](Server::on_accept_error).
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let first = net::create_server(|_| {}).listen(0)?.unref();
    /// let second = net::create_server(|_| {});
    /// second.on_error(|_, error| assert_eq!(error.code(), Some("EADDRINUSE")));
    /// second.listen(first.address().unwrap().port())?;
    /// event_loop.run()?;
    /// assert!(!second.listening());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'error'`]: https://nodejs.org/api/net.html#event-error
    pub fn on_error(self, mut listener: impl FnMut(Server, &Error) + 'static) -> ListenerId {
        self.listen_to(ServerEvent::Error, move |arguments| {
            if let Arguments::ServerError(server, error) = *arguments {
                listener(server, error);
            }
        })
    }

    /// [`on_error`](Server::on_error), once: a second error is one that nobody listens for. Mirrors [`'error'`] with
    /// `once`.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let first = net::create_server(|_| {}).listen(0)?.unref();
    /// let second = net::create_server(|_| {});
    /// second.once_error(|second, error| {
    ///     assert_eq!(error.code(), Some("EADDRINUSE"));
    ///     second.listen_with(0, |second| drop(second.close())).expect("it does not listen");
    /// });
    /// second.listen(first.address().unwrap().port())?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'error'`]: https://nodejs.org/api/net.html#event-error
    pub fn once_error(self, listener: impl FnOnce(Server, &Error) + 'static) -> ListenerId {
        self.listen_once(ServerEvent::Error, move |arguments| {
            if let Arguments::ServerError(server, error) = *arguments {
                listener(server, error);
            }
        })
    }

    /// `close`: it does not listen and has no connections. Emitted in a tick: of [`close`](Server::close), or after the
    /// last connection was destroyed, and therefore before that socket's own `close`, which belongs to the closing
    /// phase. Mirrors [`'close'`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.on_close(|server| assert_eq!(server.connections(), 0));
    /// server.listen(0)?.close();
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'close'`]: https://nodejs.org/api/net.html#event-close
    pub fn on_close(self, mut listener: impl FnMut(Server) + 'static) -> ListenerId {
        self.listen_to(ServerEvent::Close, move |arguments| {
            if let Arguments::Server(server) = *arguments {
                listener(server);
            }
        })
    }

    /// [`on_close`](Server::on_close), once. Mirrors [`'close'`] with `once`.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ServerEvent};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.once_close(|server| assert_eq!(server.listener_count(ServerEvent::Close), 0));
    /// server.listen(0)?.close();
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'close'`]: https://nodejs.org/api/net.html#event-close
    pub fn once_close(self, listener: impl FnOnce(Server) + 'static) -> ListenerId {
        self.listen_once(ServerEvent::Close, move |arguments| {
            if let Arguments::Server(server) = *arguments {
                listener(server);
            }
        })
    }
}
