//! What a [`Server`] can do, and its listeners.
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
use crate::net::{ListenOptions, Server, ServerEvent, ServerOptions, Socket};

/// A command that starts to listen. Without a loop there is no server that could.
pub(super) fn with_loop(command: impl FnOnce(&mut Core) -> Result<(), Error>) -> Result<(), Error> {
    current::with(command).unwrap_or_else(|| Err(Error::server_not_running()))
}

impl Server {
    /// A server with Node's defaults and no listeners. Mirrors `new net.Server()`.
    ///
    /// # Panics
    ///
    /// Without an [`EventLoop`](crate::EventLoop) on this thread.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it needs an event loop; a default must not panic")]
    pub fn new() -> Server {
        Server::with_options(ServerOptions::new())
    }

    /// A server with options and no listeners. Mirrors `new net.Server(options)`.
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
    /// assert_eq!(server.address(), None);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[track_caller]
    pub fn with_options(options: ServerOptions) -> Server {
        Server::from_handle(current::expect(|core| core.new_server(options.settings)))
    }

    /// Starts to listen. Mirrors `server.listen()`.
    ///
    /// `on` is a port of every address, a `(host, port)` pair, a [`SocketAddr`], the [`Path`](std::path::Path) of a unix
    /// socket, an [`abstract_name`](crate::net::abstract_name), a socket that is bound already (a
    /// [`TcpListener`](std::net::TcpListener), a [`BoundSocket`](crate::net::BoundSocket)), or [`ListenOptions`]. Without a host the
    /// server is bound when this returns; with one, even an address, it is bound a little later. In either case
    /// `listening` follows, or `error` (`EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, `ENOTFOUND`, …), after which the server
    /// may listen again.
    ///
    /// At a path, what exists there already is `EADDRINUSE`, a directory that is missing `EACCES`, a path that is too long
    /// (108 bytes on Linux, 104 elsewhere) or has a zero byte `EINVAL`; the error's port is -1.
    ///
    /// # Errors
    ///
    /// `ERR_SERVER_ALREADY_LISTEN` while it listens; `ERR_SERVER_NOT_RUNNING` after [`release`](Server::release);
    /// `ERR_SOCKET_HANDLE_ADOPTED` for a bound socket that was used before;
    /// `ERR_INVALID_ARG_VALUE` for an empty path, and for `readable_all` or `writable_all` with an abstract name.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.on_listening(|server| {
    ///     println!("{:?}", server.address());
    ///     server.close();
    /// });
    /// server.listen(("127.0.0.1", 0))?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn listen(self, on: impl Into<ListenOptions>) -> Result<Server, Error> {
        let mut options = on.into();
        if let Some(given) = options.take_given() {
            return self.listen_on(&given, options);
        }
        if let Some((path, permissions)) = options.path_option()? {
            let request = options.into_parts().1;
            with_loop(|core| core.reactor.listen_at_path(self.handle, path, permissions, request))?;
            return Ok(self);
        }
        let signal = options.signal_option();
        let (host, request) = options.into_parts();
        if let Some(host) = host.as_deref().filter(|host| host.contains('\0')) {
            return Err(Error::null_bytes("argument 'hostname'", host));
        }
        if let Some(signal) = signal {
            with_loop(|core| core.can_listen(self.handle))?;
            signal.attach_server(self.handle);
        }
        with_loop(|core| core.listen(self.handle, host.as_deref(), request))?;
        Ok(self)
    }

    /// [`listen`](Server::listen) with a one-shot `listening` listener. Mirrors `server.listen(options, listener)`. When
    /// it fails the listener stays, and is called when a later `listen` succeeds.
    ///
    /// # Errors
    ///
    /// As [`listen`](Server::listen); the listener is not registered then.
    pub fn listen_with(
        self,
        on: impl Into<ListenOptions>,
        on_listening: impl FnOnce(Server) + 'static,
    ) -> Result<Server, Error> {
        with_loop(|core| core.can_listen(self.handle))?;
        let listener = self.once_listening(on_listening);
        self.listen(on).inspect_err(|_| {
            self.off(listener);
        })
    }

    /// Stops listening, at once. Mirrors `server.close()`. The file of a unix socket is removed, unless another one has
    /// taken its name meanwhile.
    ///
    /// Connections live on. `close` follows when the last of them is destroyed, or in a tick when there is none.
    pub fn close(self) -> Server {
        current::with(|core| core.reactor.close_server(self.handle));
        self
    }

    /// [`close`](Server::close) with a one-shot `close` listener. Mirrors `server.close(callback)`: the callback is given
    /// `ERR_SERVER_NOT_RUNNING` when the server was not listening. On a released server it is called in a tick.
    pub fn close_with(self, callback: impl FnOnce(Server, Result<(), &Error>) + 'static) -> Server {
        let can = current::with(|core| core.can_listen(self.handle));
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

    /// Where it listens; `None` before it is bound, after it closed, and at a unix socket, of which
    /// [`path`](Server::path) tells. Mirrors `server.address()`.
    pub fn address(self) -> Option<SocketAddr> {
        current::with(|core| core.reactor.server(self.handle)?.address())?
    }

    /// The path, or the [`abstract_name`](crate::net::abstract_name), that it was last told to listen at: as it was given,
    /// from that call on, and still after an error or after it closed, as in Node. `None` while it listens at an internet
    /// address. The other half of `server.address()`.
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
    pub fn path(self) -> Option<PathBuf> {
        current::with(|core| core.reactor.server(self.handle)?.path().map(Path::to_owned))?
    }

    /// Whether it listens. Mirrors `server.listening`.
    pub fn listening(self) -> bool {
        let listening = current::with(|core| Some(core.reactor.server(self.handle)?.is_listening()));
        listening.flatten().unwrap_or(false)
    }

    /// How many accepted sockets are not destroyed. What Node's `server.getConnections()` counts.
    pub fn connections(self) -> usize {
        let connections = current::with(|core| Some(core.reactor.server(self.handle)?.connections()));
        connections.flatten().unwrap_or(0)
    }

    /// Lets it keep the loop alive again while it listens, as it does from the start. Mirrors `server.ref()`.
    pub fn ref_(self) -> Server {
        current::with(|core| core.reactor.server_set_referenced(self.handle, true));
        self
    }

    /// Lets the loop end although it listens; remembered across `close` and `listen`. Mirrors `server.unref()`.
    pub fn unref(self) -> Server {
        current::with(|core| core.reactor.server_set_referenced(self.handle, false));
        self
    }

    /// Gives the server up: it stops listening, its listeners are dropped, nothing is emitted any more, and this handle is
    /// stale. Its connections live on. For programs that make servers again and again; the event loop's end does it too.
    pub fn release(self) {
        current::with(|core| core.reactor.release_server(self.handle));
        current::bury_if_idle();
    }

    /// Removes one listener. Mirrors `server.off()`. False when it was gone already.
    pub fn off(self, listener: ListenerId) -> bool {
        let removed = current::with(|core| core.off(self.handle, SERVER_EVENTS, listener)).unwrap_or(false);
        current::bury_if_idle();
        removed
    }

    /// Puts a listener in front of all others of its event. Mirrors `server.prependListener()` and
    /// `server.prependOnceListener()`. False when it is gone.
    pub fn prepend(self, listener: ListenerId) -> bool {
        current::with(|core| core.prepend(self.handle, SERVER_EVENTS, listener)).unwrap_or(false)
    }

    /// How many listeners an event has. Mirrors `server.listenerCount()`.
    pub fn listener_count(self, event: ServerEvent) -> usize {
        current::with(|core| core.listener_count(self.handle, Event::Server(event))).unwrap_or(0)
    }

    /// Removes the listeners of one event, or of all. Mirrors `server.removeAllListeners()`.
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

/// Events. Each `on_…` adds a listener behind those that are there, each `once_…` one that is removed before it is called.
impl Server {
    /// `listening`: it is bound, and connections are accepted from now on.
    pub fn on_listening(self, mut listener: impl FnMut(Server) + 'static) -> ListenerId {
        self.listen_to(ServerEvent::Listening, move |arguments| {
            if let Arguments::Server(server) = *arguments {
                listener(server);
            }
        })
    }

    /// [`on_listening`](Server::on_listening), once.
    pub fn once_listening(self, listener: impl FnOnce(Server) + 'static) -> ListenerId {
        self.listen_once(ServerEvent::Listening, move |arguments| {
            if let Arguments::Server(server) = *arguments {
                listener(server);
            }
        })
    }

    /// `connection`: a connection was accepted; its socket reads already, but nothing is delivered before this event.
    /// Give every socket an `error` listener: a peer that resets makes an `error`, and one that nobody listens for makes
    /// [`EventLoop::run`](crate::EventLoop::run) return it.
    pub fn on_connection(self, mut listener: impl FnMut(Server, Socket) + 'static) -> ListenerId {
        self.listen_to(ServerEvent::Connection, move |arguments| {
            if let Arguments::Connection(server, socket) = *arguments {
                listener(server, socket);
            }
        })
    }

    /// [`on_connection`](Server::on_connection), once.
    pub fn once_connection(self, listener: impl FnOnce(Server, Socket) + 'static) -> ListenerId {
        self.listen_once(ServerEvent::Connection, move |arguments| {
            if let Arguments::Connection(server, socket) = *arguments {
                listener(server, socket);
            }
        })
    }

    /// `error`: it could not listen, and may try again. Unlike a socket's, it is not followed by `close`. (That accepting
    /// failed is no event: Node 26 goes on in silence, and so does this.)
    pub fn on_error(self, mut listener: impl FnMut(Server, &Error) + 'static) -> ListenerId {
        self.listen_to(ServerEvent::Error, move |arguments| {
            if let Arguments::ServerError(server, error) = *arguments {
                listener(server, error);
            }
        })
    }

    /// [`on_error`](Server::on_error), once.
    pub fn once_error(self, listener: impl FnOnce(Server, &Error) + 'static) -> ListenerId {
        self.listen_once(ServerEvent::Error, move |arguments| {
            if let Arguments::ServerError(server, error) = *arguments {
                listener(server, error);
            }
        })
    }

    /// `close`: it does not listen and has no connections. It comes in the tick after the last of them was destroyed,
    /// and therefore before that socket's own `close`.
    pub fn on_close(self, mut listener: impl FnMut(Server) + 'static) -> ListenerId {
        self.listen_to(ServerEvent::Close, move |arguments| {
            if let Arguments::Server(server) = *arguments {
                listener(server);
            }
        })
    }

    /// [`on_close`](Server::on_close), once.
    pub fn once_close(self, listener: impl FnOnce(Server) + 'static) -> ListenerId {
        self.listen_once(ServerEvent::Close, move |arguments| {
            if let Arguments::Server(server) = *arguments {
                listener(server);
            }
        })
    }
}
