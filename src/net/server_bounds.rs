//! What bounds a [`Server`]: whom it lets in when it is full, the user's filter, the bounds of accepted sockets, and draining.
//!
//! It may touch the event loop's commands. Properties that are set hold from the next connection on; on a stale handle they
//! do nothing, and read as the defaults. Everything here is off by default; nothing of it is in Node.

use std::net::SocketAddr;
use std::time::Duration;

use crate::event_loop::callbacks::Callback;
use crate::event_loop::events::Arguments;
use crate::event_loop::listeners::ListenerId;
use crate::event_loop::{
    Admission, BufferOverflow, ConnectionOverflow, DrainReport, MaxBuffered, PauseReason, Timeouts, current,
};
use crate::net::{Server, ServerEvent, ServerOptions};

impl ServerOptions {
    /// How many connections may live at a time; default: any number. It is what
    /// [`Server::set_max_connections`] sets. Not in Node as an option.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server, net::ServerOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::with_options(ServerOptions::new().max_connections(10_000));
    /// assert_eq!(server.max_connections(), Some(10_000));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn max_connections(mut self, most: usize) -> ServerOptions {
        self.settings.max_connections = Some(most);
        self
    }

    /// What becomes of connections above [`max_connections`](ServerOptions::max_connections); default
    /// [`ConnectionOverflow::Drop`]. Not in Node, which drops them.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::ConnectionOverflow, net::Server, net::ServerOptions};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let options = ServerOptions::new().max_connections(100).connection_overflow(ConnectionOverflow::Pause);
    /// assert_eq!(Server::with_options(options).connection_overflow(), ConnectionOverflow::Pause);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    #[must_use]
    pub fn connection_overflow(mut self, overflow: ConnectionOverflow) -> ServerOptions {
        self.settings.overflow = overflow;
        self
    }
}

/// Who is let in.
impl Server {
    /// What becomes of connections above [`max_connections`](Server::max_connections). Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::ConnectionOverflow, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert_eq!(Server::new().connection_overflow(), ConnectionOverflow::Drop);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn connection_overflow(self) -> ConnectionOverflow {
        self.setting(|settings| settings.overflow)
    }

    /// Sets [`connection_overflow`](Server::connection_overflow). Not in Node.
    ///
    /// A server that is paused goes on with `Drop`, and so it does when
    /// [`max_connections`](Server::set_max_connections) is raised or taken away.
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    /// use halfclose::{EventLoop, net, net::ConnectionOverflow, net::ServerOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let served = Rc::new(Cell::new(0));
    /// let count = served.clone();
    /// let server = net::create_server_with(ServerOptions::new().max_connections(1), move |socket| {
    ///     count.set(count.get() + 1);
    ///     socket.end_data("hello"); // and the next one has its turn when this one has ended
    ///     if count.get() == 2 {
    ///         socket.server().unwrap().close();
    ///     }
    /// });
    /// server.set_connection_overflow(ConnectionOverflow::Pause);
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     for _ in 0..2 {
    ///         net::connect(server.address().unwrap()).unwrap().resume();
    ///     }
    /// })?;
    /// event_loop.run()?;
    /// assert_eq!(served.get(), 2);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_connection_overflow(self, overflow: ConnectionOverflow) -> Server {
        self.write_setting(|settings| settings.overflow = overflow)
    }

    /// Sets the filter that says of each connection whether it is let in, in place of an earlier one. Not in Node.
    ///
    /// It is asked in the poll phase, after the system accepted the connection and before anything is made of it, about
    /// those that neither [`max_connections`](Server::max_connections) nor the [block list](Server::block_list) turns away.
    /// It is given the peer's address: `None` for a unix socket. IPv4 peers of a dual-stack server have addresses like
    /// `::ffff:192.0.2.1`; [`IpAddr::to_canonical`](std::net::IpAddr::to_canonical) makes them plain. No event tells of
    /// those it turns away. When it panics, or closes the server, the connection is closed.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::Admission};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| unreachable!("nobody is let in"));
    /// server.set_pre_accept(|_, peer| {
    ///     assert!(peer.unwrap().ip().to_canonical().is_loopback());
    ///     Admission::Reset
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     let client = net::connect(server.address().unwrap()).unwrap().resume();
    ///     client.on_error(|_, error| assert_eq!(error.code(), Some("ECONNRESET")));
    ///     client.on_close(move |_, _| drop(server.close()));
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_pre_accept(self, filter: impl FnMut(Server, Option<SocketAddr>) -> Admission + 'static) -> Server {
        current::set_filter(self.handle, filter);
        self
    }

    /// Takes the filter away: everybody is let in again. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::Admission};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {}).set_pre_accept(|_, _| Admission::Reject);
    /// server.clear_pre_accept();
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn clear_pre_accept(self) -> Server {
        current::with(|core| core.set_filter(self.handle, None));
        current::bury_if_idle();
        self
    }

    /// Listens to `pause`: from now on new connections stay in the backlog of the system. Not in Node.
    ///
    /// Emitted in the poll phase, when it would accept one and [may not](PauseReason); perhaps nobody waits. Those in the
    /// backlog are connected, as far as they can see; when it is full the system lets others try again. `resume` follows,
    /// unless the server is closed meanwhile.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ConnectionOverflow, net::PauseReason, net::ServerOptions};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let options = ServerOptions::new().max_connections(0).connection_overflow(ConnectionOverflow::Pause);
    /// let server = net::create_server_with(options, |_| unreachable!("there is no place"));
    /// server.on_pause(|server, reason| {
    ///     assert_eq!(reason, PauseReason::MaxConnections);
    ///     server.close();
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     let client = net::connect(server.address().unwrap()).unwrap().resume();
    ///     client.on_error(|_, error| assert_eq!(error.code(), Some("ECONNRESET")));
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn on_pause(self, mut listener: impl FnMut(Server, PauseReason) + 'static) -> ListenerId {
        self.listen_to(ServerEvent::Pause, move |arguments| {
            if let Arguments::Paused(server, reason) = *arguments {
                listener(server, reason);
            }
        })
    }

    /// [`on_pause`](Server::on_pause), once. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server, net::ServerEvent};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new();
    /// server.once_pause(|_, reason| println!("{reason:?}"));
    /// assert_eq!(server.listener_count(ServerEvent::Pause), 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn once_pause(self, listener: impl FnOnce(Server, PauseReason) + 'static) -> ListenerId {
        self.listen_once(ServerEvent::Pause, move |arguments| {
            if let Arguments::Paused(server, reason) = *arguments {
                listener(server, reason);
            }
        })
    }

    /// Listens to `resume`: there was a [`pause`](Server::on_pause), and connections are accepted again. Not in Node.
    ///
    /// Emitted in a tick of what made the place. Those that waited are accepted from the next poll phase on.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server, net::ServerEvent};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new();
    /// server.on_resume(|server| println!("{} connections", server.connections()));
    /// assert_eq!(server.listener_count(ServerEvent::Resume), 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn on_resume(self, mut listener: impl FnMut(Server) + 'static) -> ListenerId {
        self.listen_to(ServerEvent::Resume, move |arguments| {
            if let Arguments::Server(server) = *arguments {
                listener(server);
            }
        })
    }

    /// [`on_resume`](Server::on_resume), once. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server, net::ServerEvent};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new();
    /// server.once_resume(|server| println!("{} connections", server.connections()));
    /// assert_eq!(server.listener_count(ServerEvent::Resume), 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn once_resume(self, listener: impl FnOnce(Server) + 'static) -> ListenerId {
        self.listen_once(ServerEvent::Resume, move |arguments| {
            if let Arguments::Server(server) = *arguments {
                listener(server);
            }
        })
    }
}

/// The bounds of accepted sockets.
impl Server {
    /// The cap for output that waits on an accepted socket; `None`, the default, is no cap. Not in Node, see
    /// [`ServerOptions::max_buffered`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert_eq!(Server::new().max_buffered(), None);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn max_buffered(self) -> Option<(usize, BufferOverflow)> {
        let cap = self.setting(|settings| settings.connection.bounds.max_buffered);
        cap.map(|cap| (cap.bytes, cap.overflow))
    }

    /// Sets [`max_buffered`](Server::max_buffered) for the connections to come. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::BufferOverflow, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new().set_max_buffered(Some((1 << 20, BufferOverflow::Close)));
    /// assert_eq!(server.max_buffered(), Some((1 << 20, BufferOverflow::Close)));
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_max_buffered(self, cap: Option<(usize, BufferOverflow)>) -> Server {
        let cap = cap.map(|(bytes, overflow)| MaxBuffered { bytes, overflow });
        self.write_setting(|settings| settings.connection.bounds.max_buffered = cap)
    }

    /// The time limits of accepted sockets; none by default. Not in Node, see [`ServerOptions::timeouts`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server, net::Timeouts};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert_eq!(Server::new().timeouts(), Timeouts::new());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn timeouts(self) -> Timeouts {
        self.setting(|settings| settings.connection.bounds.timeouts)
    }

    /// Sets [`timeouts`](Server::timeouts) for the connections to come. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server, net::Timeouts};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new().set_timeouts(Timeouts::server());
    /// assert_eq!(server.timeouts(), Timeouts::server());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_timeouts(self, timeouts: Timeouts) -> Server {
        self.write_setting(|settings| settings.connection.bounds.timeouts = timeouts)
    }
}

/// Draining.
impl Server {
    /// Stops listening, ends every connection, and resets those that are left after `timeout`. Not in Node, where a server
    /// that closes waits for its connections for ever.
    ///
    /// As [`close`](Server::close), and then [`end`](crate::net::Socket::end) on every accepted socket, within the call: what
    /// waits to be sent goes out, then the end, and the connection is over when the peer ends as well. Sockets that nobody
    /// reads from are read, and what comes is dropped; a socket that was paused stays so. A program that is in the middle of
    /// an answer cannot write any more: it finishes first, and then drains.
    ///
    /// `callback` is called once, in a tick behind the server's `close`, when the last connection is destroyed; at the latest
    /// after `timeout`, which is counted from this call and keeps the loop alive. Connections that are left then are reset:
    /// they emit `close` without an error, and are counted in the [`DrainReport`]. A zero timeout is one millisecond.
    ///
    /// Another call while it drains sets a new deadline; every callback is called then. A server that
    /// [listens](Server::listen) again meanwhile keeps what it accepted since. On a released server the callback is called in a
    /// tick; releasing it while it drains leaves its connections alone, and calls it too.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|socket| {
    ///     socket.server().unwrap().drain(Duration::from_secs(5), |_, report| {
    ///         assert_eq!((report.ended, report.reset), (1, 0));
    ///     });
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     net::connect(server.address().unwrap()).unwrap().resume(); // ends when its peer does
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn drain(self, timeout: Duration, callback: impl FnOnce(Server, DrainReport) + 'static) -> Server {
        current::with(|core| core.drain_server(self.handle, timeout, Callback::Drained(Box::new(callback))));
        self
    }
}
