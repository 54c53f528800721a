//! What a [`Server`] can do.
//!
//! It may touch the event loop's commands.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::event_loop::SERVER_EVENTS;
use crate::event_loop::core::Core;
use crate::event_loop::current;
use crate::event_loop::events::{Arguments, Event};
use crate::event_loop::listeners::{ListenerId, ListenerKind};
use crate::net::{ListenOptions, Server, ServerEvent, ServerOptions};

/// A command that starts to listen. Without a loop there is no server that could.
pub(super) fn with_loop(command: impl FnOnce(&mut Core) -> Result<(), Error>) -> Result<(), Error> {
    current::with(command).unwrap_or_else(|| Err(Error::server_not_running()))
}

/// Making servers, and what they do.
///
/// A handle is stale after [`release`](Server::release) and after the end of its loop. Then `listen` is
/// `ERR_SERVER_NOT_RUNNING`, [`close_with`](Server::close_with) calls its callback with the same error, `address` and
/// `path` are `None`, `listening` is false, `connections` is 0, and everything else does nothing.
impl Server {
    /// A server with Node's defaults and no listeners. It listens once [`listen`](Server::listen) is called. Mirrors
    /// [`new net.Server()`].
    ///
    /// [`net::create_server`](crate::net::create_server) does the same and takes the `connection` listener with it.
    ///
    /// # Panics
    ///
    /// Without an [`EventLoop`](crate::EventLoop) on this thread.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new();
    /// server.on_connection(|_, socket| {
    ///     socket.end_data("goodbye\n");
    /// });
    /// assert!(!server.listening());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.Server()`]: https://nodejs.org/api/net.html#new-netserveroptions-connectionlistener
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it needs an event loop; a default must not panic")]
    pub fn new() -> Server {
        Server::with_options(ServerOptions::new())
    }

    /// A server with options and no listeners. Mirrors [`new net.Server(options)`].
    ///
    /// # Panics
    ///
    /// Without an [`EventLoop`](crate::EventLoop) on this thread.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server, net::ServerOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::with_options(ServerOptions::new().keep_alive(true));
    /// assert!(server.keep_alive());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`new net.Server(options)`]: https://nodejs.org/api/net.html#new-netserveroptions-connectionlistener
    #[track_caller]
    pub fn with_options(options: ServerOptions) -> Server {
        Server::from_handle(current::expect(|core| core.new_server(options.settings)))
    }

    /// Starts to listen. Mirrors [`server.listen()`].
    ///
    /// `on` is a port of every address, a `(host, port)` pair, a [`SocketAddr`], the [`Path`](std::path::Path) of a
    /// unix socket, an [`abstract_name`](crate::net::abstract_name), a socket that is bound already (a
    /// [`TcpListener`](std::net::TcpListener), a [`BoundSocket`](crate::net::BoundSocket)), or [`ListenOptions`]. Port
    /// 0 lets the system choose a free one.
    ///
    /// When it is bound depends on the host, as in Node:
    ///
    /// - Without one, and at a path or a bound socket: within the call. [`address`](Server::address) tells the port at
    ///   once.
    /// - With an address: in the next tick.
    /// - With a name: when it was looked up, in the poll phase. The first of its addresses that is not link-local is
    ///   bound.
    ///
    /// Then `listening` is emitted in a tick, or `error`: `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, and for a name that
    /// cannot be looked up `ENOTFOUND` or `EAI_AGAIN`. After an `error` the server may listen again; no `close`
    /// follows.
    ///
    /// At a path, what exists there already is `EADDRINUSE`, a directory that is missing `EACCES`, a path that is too
    /// long (108 bytes on Linux, 104 elsewhere) or has a zero byte `EINVAL`; the error's port is -1.
    ///
    /// # Errors
    ///
    /// `ERR_SERVER_ALREADY_LISTEN` while it listens; `ERR_SERVER_NOT_RUNNING` after [`release`](Server::release);
    /// `ERR_SOCKET_HANDLE_ADOPTED` for a bound socket that was used before; `ERR_INVALID_ARG_VALUE` for an empty path,
    /// for a host with a zero byte, and for `readable_all`, `writable_all` or `mode` with an abstract name;
    /// `ERR_OUT_OF_RANGE` for a mode above 0o777.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.on_listening(|server| {
    ///     assert_eq!(server.address().unwrap().ip().to_string(), "127.0.0.1");
    ///     server.close();
    /// });
    /// server.listen(("127.0.0.1", 0))?;
    /// assert_eq!(server.address(), None); // not bound yet: a host was given
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listen()`]: https://nodejs.org/api/net.html#serverlisten
    pub fn listen(self, on: impl Into<ListenOptions>) -> Result<Server, Error> {
        let mut options = on.into();
        let given = options.take_given();
        let path = if given.is_none() { options.path_option()? } else { None };
        let signal = options.signal_option();
        let (host, request) = options.into_parts();
        let named = host.as_deref().filter(|_| given.is_none() && path.is_none());
        if let Some(host) = named.filter(|host| host.contains('\0')) {
            return Err(Error::null_bytes("argument 'hostname'", host));
        }
        if let Some(signal) = signal {
            with_loop(|core| core.reactor.can_listen(self.handle))?;
            signal.attach_server(self.handle);
        }
        with_loop(|core| match (&given, path) {
            (Some(given), _) => core.listen_on(self.handle, given, request),
            (None, Some((path, permissions))) => core.reactor.listen_at_path(self.handle, path, permissions, request),
            (None, None) => core.listen(self.handle, named, request),
        })?;
        Ok(self)
    }

    /// [`listen`](Server::listen) with a one-shot `listening` listener. Mirrors [`server.listen(options)`] with its
    /// callback. When `error` is emitted the listener stays, and is called when a later `listen` succeeds.
    ///
    /// # Errors
    ///
    /// As [`listen`](Server::listen); the listener is not registered then.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     assert!(server.listening());
    ///     server.close();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listen(options)`]: https://nodejs.org/api/net.html#serverlistenoptions-callback
    pub fn listen_with(
        self,
        on: impl Into<ListenOptions>,
        on_listening: impl FnOnce(Server) + 'static,
    ) -> Result<Server, Error> {
        with_loop(|core| core.reactor.can_listen(self.handle))?;
        let listener = self.once_listening(on_listening);
        self.listen(on).inspect_err(|_| {
            self.off(listener);
        })
    }

    /// Stops listening. Mirrors [`server.close()`].
    ///
    /// Within the call the port is given up, and so is a `listen` whose host is still being looked up; peers that wait
    /// to be accepted are reset. The file of a unix socket is removed, unless another one has taken its name meanwhile,
    /// which Node removes too.
    ///
    /// Accepted connections live on. `close` is emitted when there are none: in a tick of this call, or in a tick after
    /// the last of them was destroyed. A call while it does not listen emits `close` as well, if there are no
    /// connections. Afterwards the server may listen again.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use halfclose::{EventLoop, net};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.listen(0)?;
    /// let port = server.address().unwrap().port();
    /// server.close();
    /// assert!(!server.listening());
    /// assert!(TcpListener::bind(("127.0.0.1", port)).is_ok());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.close()`]: https://nodejs.org/api/net.html#serverclosecallback
    pub fn close(self) -> Server {
        current::with(|core| core.reactor.close_server(self.handle));
        self
    }

    /// [`close`](Server::close) with a one-shot `close` listener. Mirrors [`server.close(callback)`].
    ///
    /// The callback is given `ERR_SERVER_NOT_RUNNING` when the server was not listening. On a released server it is called
    /// in a tick, with the same error; after the end of the loop it is dropped.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.listen(0)?;
    /// server.close_with(|_, result| assert!(result.is_ok()));
    /// server.close_with(|_, result| assert_eq!(result.unwrap_err().code(), Some("ERR_SERVER_NOT_RUNNING")));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.close(callback)`]: https://nodejs.org/api/net.html#serverclosecallback
    pub fn close_with(self, callback: impl FnOnce(Server, Result<(), &Error>) + 'static) -> Server {
        let can = current::with(|core| core.reactor.can_listen(self.handle));
        match can {
            None => return self,
            Some(Err(error)) if error.code() == Some("ERR_SERVER_NOT_RUNNING") => {
                crate::timers::next_tick(move || callback(self, Err(&error)));
                return self;
            }
            Some(Err(_)) => self.once_close(move |server| callback(server, Ok(()))),
            Some(Ok(())) => self.once_close(move |server| callback(server, Err(&Error::server_not_running()))),
        };
        self.close()
    }

    /// Where it listens, with the port that the system chose. `None` before it is bound, after it closed, and at a unix
    /// socket, of which [`path`](Server::path) tells. Mirrors [`server.address()`], which gives the path as well.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// assert_eq!(server.address(), None);
    /// server.listen(0)?;
    /// assert_ne!(server.address().unwrap().port(), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.address()`]: https://nodejs.org/api/net.html#serveraddress
    pub fn address(self) -> Option<SocketAddr> {
        current::with(|core| core.reactor.server(self.handle)?.address())?
    }

    /// The path, or the [`abstract_name`](crate::net::abstract_name), that it was last told to listen at: as it was
    /// given, from that call on, and still after an error or after it closed, as in Node. `None` while it listens at an
    /// internet address. Mirrors [`server.address()`] of a server at a path.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let path = std::env::temp_dir().join(format!("halfclose-doc-path-{}.sock", std::process::id()));
    /// let server = Server::new();
    /// assert_eq!(server.path(), None);
    /// server.listen(&path)?;
    /// assert_eq!((server.path(), server.address()), (Some(path.clone()), None));
    /// server.close();
    /// assert_eq!(server.path(), Some(path));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.address()`]: https://nodejs.org/api/net.html#serveraddress
    pub fn path(self) -> Option<PathBuf> {
        current::with(|core| core.reactor.server(self.handle)?.path().map(Path::to_owned))?
    }

    /// Whether it listens: true from the moment it is bound, which may be before `listening` is emitted, until
    /// `close()`. Mirrors [`server.listening`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.listen(0)?;
    /// assert!(server.listening());
    /// server.close();
    /// assert!(!server.listening());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.listening`]: https://nodejs.org/api/net.html#serverlistening
    pub fn listening(self) -> bool {
        let listening = current::with(|core| Some(core.reactor.server(self.handle)?.is_listening()));
        listening.flatten().unwrap_or(false)
    }

    /// How many sockets it accepted that are not destroyed; one that has only half-closed counts. Mirrors what
    /// [`server.getConnections()`] gives to its callback; see [`get_connections`](Server::get_connections).
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.on_connection(|server, socket| {
    ///     assert_eq!(server.connections(), 1);
    ///     socket.destroy();
    ///     assert_eq!(server.connections(), 0);
    ///     server.close();
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     net::connect(server.address().unwrap()).unwrap().resume();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.getConnections()`]: https://nodejs.org/api/net.html#servergetconnectionscallback
    pub fn connections(self) -> usize {
        let connections = current::with(|core| Some(core.reactor.server(self.handle)?.connections()));
        connections.flatten().unwrap_or(0)
    }

    /// Lets it keep the loop alive again while it listens, as it does from the start. Mirrors [`server.ref()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {}).unref();
    /// server.ref_();
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     server.close(); // without this, `run` would wait for connections
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.ref()`]: https://nodejs.org/api/net.html#serverref
    pub fn ref_(self) -> Server {
        current::with(|core| core.reactor.server_set_referenced(self.handle, true));
        self
    }

    /// Lets the loop end although it listens. It may be called before `listen`, and holds across `close` and `listen`.
    /// Accepted sockets keep the loop alive on their own. Mirrors [`server.unref()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.listen(0)?.unref();
    /// event_loop.run()?; // returns although it listens
    /// assert!(server.listening());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.unref()`]: https://nodejs.org/api/net.html#serverunref
    pub fn unref(self) -> Server {
        current::with(|core| core.reactor.server_set_referenced(self.handle, false));
        self
    }

    /// Gives the server up: it stops listening, its listeners are dropped, nothing is emitted any more, and this handle
    /// is stale. Its connections live on. For programs that make servers again and again; the event loop's end does it
    /// too. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// assert_eq!(event_loop.servers(), 1);
    /// server.release();
    /// assert_eq!(event_loop.servers(), 0);
    /// assert_eq!(server.listen(0).unwrap_err().code(), Some("ERR_SERVER_NOT_RUNNING"));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn release(self) {
        current::with(|core| core.reactor.release_server(self.handle));
        current::bury_if_idle();
    }

    /// Removes one listener, named by what `on_…` or `once_…` returned. False when it was gone already. An emission
    /// that is under way still reaches it. Mirrors [`emitter.off()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new();
    /// let listener = server.on_listening(|_| unreachable!("it was removed"));
    /// assert!(server.off(listener));
    /// assert!(!server.off(listener));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`emitter.off()`]: https://nodejs.org/api/events.html#emitteroffeventname-listener
    pub fn off(self, listener: ListenerId) -> bool {
        let removed = current::with(|core| core.off(self.handle, SERVER_EVENTS, listener)).unwrap_or(false);
        current::bury_if_idle();
        removed
    }

    /// Puts a listener in front of all others of its event. False when it is gone. Mirrors
    /// [`emitter.prependListener()`] and [`emitter.prependOnceListener()`], which add the listener at once.
    ///
    /// ```
    /// use std::{cell::RefCell, rc::Rc};
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = Server::new();
    /// let order = Rc::new(RefCell::new(Vec::new()));
    /// let log = |name| {
    ///     let order = order.clone();
    ///     move |_| order.borrow_mut().push(name)
    /// };
    /// server.on_close(log("second"));
    /// assert!(server.prepend(server.on_close(log("first"))));
    /// server.close();
    /// event_loop.run()?;
    /// assert_eq!(*order.borrow(), ["first", "second"]);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`emitter.prependListener()`]: https://nodejs.org/api/events.html#emitterprependlistenereventname-listener
    /// [`emitter.prependOnceListener()`]: https://nodejs.org/api/events.html#emitterprependoncelistenereventname-listener
    pub fn prepend(self, listener: ListenerId) -> bool {
        current::with(|core| core.prepend(self.handle, SERVER_EVENTS, listener)).unwrap_or(false)
    }

    /// How many listeners an event has. Mirrors [`emitter.listenerCount()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ServerEvent};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// assert_eq!(server.listener_count(ServerEvent::Connection), 1);
    /// assert_eq!(server.listener_count(ServerEvent::Error), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`emitter.listenerCount()`]: https://nodejs.org/api/events.html#emitterlistenercounteventname-listener
    pub fn listener_count(self, event: ServerEvent) -> usize {
        current::with(|core| core.listener_count(self.handle, Event::Server(event))).unwrap_or(0)
    }

    /// Removes the listeners of one event, or with `None` of all. Mirrors [`emitter.removeAllListeners()`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ServerEvent};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.remove_all_listeners(Some(ServerEvent::Connection));
    /// assert_eq!(server.listener_count(ServerEvent::Connection), 0);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`emitter.removeAllListeners()`]: https://nodejs.org/api/events.html#emitterremovealllistenerseventname
    pub fn remove_all_listeners(self, event: Option<ServerEvent>) -> Server {
        current::with(|core| core.remove_all_listeners(self.handle, SERVER_EVENTS, event.map(Event::Server)));
        current::bury_if_idle();
        self
    }

    pub(super) fn listen_to(self, event: ServerEvent, listener: impl FnMut(&Arguments<'_>) + 'static) -> ListenerId {
        current::add_listener(self.handle, Event::Server(event), ListenerKind::Lasting, listener)
    }

    pub(super) fn listen_once(self, event: ServerEvent, listener: impl FnOnce(&Arguments<'_>) + 'static) -> ListenerId {
        current::add_listener_once(self.handle, Event::Server(event), listener)
    }
}
