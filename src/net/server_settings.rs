//! Whom a [`Server`] lets in, and what it makes of them: the properties that are read at each accept, and `drop`.
//!
//! It may touch the event loop's commands. Properties that are set hold from the next connection on; on a stale handle
//! they do nothing, and read as Node's defaults.

use std::time::Duration;

use crate::error::Error;
use crate::event_loop::ServerSettings;
use crate::event_loop::current;
use crate::event_loop::events::Arguments;
use crate::event_loop::listeners::ListenerId;
use crate::net::{BlockList, DroppedConnection, Server, ServerEvent};

/// Who is let in.
impl Server {
    /// Sets, or with `None` takes away, the list of peers that are not let in: their connections are closed without an
    /// event. It holds from the next connection on. Mirrors assigning to `server.blockList`, see the option of
    /// [`net.createServer(options)`].
    ///
    /// The list is copied: to change it, change yours and set it again. In Node the server looks at the list it was
    /// given.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::BlockList};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| unreachable!("nobody is let in"));
    /// let mut list = BlockList::new();
    /// list.add_subnet("127.0.0.0", 8)?;
    /// server.set_block_list(Some(&list));
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     let client = net::connect(server.address().unwrap()).unwrap().resume();
    ///     client.on_close(move |_, _| {
    ///         server.close();
    ///     });
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn set_block_list(self, list: Option<&BlockList>) -> Server {
        let list = list.cloned();
        self.write_setting(|settings| settings.block_list = list)
    }

    /// The list of peers that are not let in, as it was when it was given. Mirrors reading `server.blockList`, see the option
    /// of [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::BlockList, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let mut list = BlockList::new();
    /// list.add_address("192.0.2.1")?;
    /// let server = Server::new().set_block_list(Some(&list));
    /// assert!(server.block_list().is_some_and(|list| list.check("192.0.2.1")));
    /// assert!(Server::new().block_list().is_none());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn block_list(self) -> Option<BlockList> {
        self.setting(|settings| settings.block_list.clone())
    }

    /// How many connections may live at a time; `None`, the default, is no limit. Mirrors [`server.maxConnections`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new();
    /// assert_eq!(server.max_connections(), None);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.maxConnections`]: https://nodejs.org/api/net.html#servermaxconnections
    pub fn max_connections(self) -> Option<usize> {
        self.setting(|settings| settings.max_connections)
    }

    /// Limits how many connections live at a time; 0 lets nobody in, `None` takes the limit away. Mirrors assigning to
    /// [`server.maxConnections`].
    ///
    /// It is compared when a connection is accepted: one too many is closed, and `drop` is emitted instead of
    /// `connection`. Lowering the limit ends nobody, and a place that becomes free is free at once.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| unreachable!("nobody is let in"));
    /// server.set_max_connections(Some(0));
    /// server.on_drop(|server, dropped| {
    ///     assert!(dropped.remote_address().is_some());
    ///     server.close();
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     net::connect(server.address().unwrap()).unwrap().resume();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.maxConnections`]: https://nodejs.org/api/net.html#servermaxconnections
    pub fn set_max_connections(self, most: Option<usize>) -> Server {
        self.write_setting(|settings| settings.max_connections = most)
    }

    /// Gives `callback`, in a tick, how many accepted sockets are not destroyed at the time of this call. Mirrors
    /// [`server.getConnections()`], which cannot fail here; [`connections`](Server::connections) tells it at once.
    ///
    /// Before `listen`, after `close` and on a released server it is called too, with what is left.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// Server::new().get_connections(|count| assert_eq!(count, 0));
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`server.getConnections()`]: https://nodejs.org/api/net.html#servergetconnectionscallback
    pub fn get_connections(self, callback: impl FnOnce(usize) + 'static) -> Server {
        let count = self.connections();
        if current::loop_number().is_some() {
            crate::timers::next_tick(move || callback(count));
        }
        self
    }

    /// `drop`: a connection above [`max_connections`](Server::max_connections) was accepted and is closed after this
    /// event. Comes instead of `connection`, in the poll phase. Mirrors [`'drop'`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {}).set_max_connections(Some(0));
    /// server.on_drop(|server, dropped| {
    ///     assert_eq!(dropped.local_port(), Some(server.address().unwrap().port()));
    ///     server.close();
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     net::connect(server.address().unwrap()).unwrap().resume();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'drop'`]: https://nodejs.org/api/net.html#event-drop
    pub fn on_drop(self, mut listener: impl FnMut(Server, &DroppedConnection) + 'static) -> ListenerId {
        self.listen_to(ServerEvent::Drop, move |arguments| {
            if let Arguments::Dropped(server, dropped) = *arguments {
                listener(server, dropped);
            }
        })
    }

    /// [`on_drop`](Server::on_drop), once. Mirrors [`'drop'`] with `once`.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ServerEvent};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {}).set_max_connections(Some(0));
    /// server.once_drop(|server, _| {
    ///     assert_eq!(server.listener_count(ServerEvent::Drop), 0);
    ///     server.close();
    /// });
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     net::connect(server.address().unwrap()).unwrap().resume();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`'drop'`]: https://nodejs.org/api/net.html#event-drop
    pub fn once_drop(self, listener: impl FnOnce(Server, &DroppedConnection) + 'static) -> ListenerId {
        self.listen_once(ServerEvent::Drop, move |arguments| {
            if let Arguments::Dropped(server, dropped) = *arguments {
                listener(server, dropped);
            }
        })
    }

    /// `accept_error`: connections cannot be accepted for want of something: `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`, with
    /// the syscall `accept`. Emitted in the poll phase, once for an episode: not again before a second went by without such
    /// a failure. Not in Node, where nothing tells of it; like there it is no `error`, and the server goes on: it turns the
    /// peers away that no descriptor is left for, and where it cannot do that it asks again ten times a second. A
    /// connection that was aborted before it was accepted is none of this.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ServerEvent};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.on_accept_error(|server, error| eprintln!("{:?}: {error}", server.address()));
    /// assert_eq!(server.listener_count(ServerEvent::AcceptError), 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn on_accept_error(self, mut listener: impl FnMut(Server, &Error) + 'static) -> ListenerId {
        self.listen_to(ServerEvent::AcceptError, move |arguments| {
            if let Arguments::ServerError(server, error) = *arguments {
                listener(server, error);
            }
        })
    }

    /// [`on_accept_error`](Server::on_accept_error), once. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net, net::ServerEvent};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = net::create_server(|_| {});
    /// server.once_accept_error(|_, error| assert_eq!(error.syscall(), Some("accept")));
    /// assert_eq!(server.listener_count(ServerEvent::AcceptError), 1);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn once_accept_error(self, listener: impl FnOnce(Server, &Error) + 'static) -> ListenerId {
        self.listen_once(ServerEvent::AcceptError, move |arguments| {
            if let Arguments::ServerError(server, error) = *arguments {
                listener(server, error);
            }
        })
    }
}

/// What accepted sockets get: the options of [`net.createServer(options)`], which Node keeps as properties of the
/// server and reads at each accept. Here as there, what is set holds from the next connection on.
///
/// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
impl Server {
    /// Whether accepted sockets may write on after their peer ended; default false. Mirrors `server.allowHalfOpen`, see
    /// [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert!(!Server::new().allow_half_open());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn allow_half_open(self) -> bool {
        self.setting(|settings| settings.connection.allow_half_open)
    }

    /// Sets [`allow_half_open`](Server::allow_half_open) for the connections to come. Mirrors assigning to
    /// `server.allowHalfOpen`, see [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let server = net::create_server(|socket| {
    ///     assert!(socket.allow_half_open());
    ///     socket.destroy().server().unwrap().close();
    /// });
    /// server.set_allow_half_open(true);
    /// server.listen_with(("127.0.0.1", 0), |server| {
    ///     net::connect(server.address().unwrap()).unwrap().resume();
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn set_allow_half_open(self, allow: bool) -> Server {
        self.write_setting(|settings| settings.connection.allow_half_open = allow)
    }

    /// Whether nothing is read from accepted sockets before `resume()`; default false. Mirrors `server.pauseOnConnect`,
    /// see [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert!(!Server::new().pause_on_connect());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn pause_on_connect(self) -> bool {
        self.setting(|settings| settings.pause_on_connect)
    }

    /// Sets [`pause_on_connect`](Server::pause_on_connect) for the connections to come. Mirrors assigning to
    /// `server.pauseOnConnect`, see [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new().set_pause_on_connect(true);
    /// assert!(server.pause_on_connect());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn set_pause_on_connect(self, pause: bool) -> Server {
        self.write_setting(|settings| settings.pause_on_connect = pause)
    }

    /// Whether accepted sockets send small writes at once (`TCP_NODELAY`); default false. Mirrors `server.noDelay`, see
    /// [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert!(!Server::new().no_delay());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn no_delay(self) -> bool {
        self.setting(|settings| settings.connection.no_delay)
    }

    /// Sets [`no_delay`](Server::no_delay) for the connections to come. Mirrors assigning to `server.noDelay`, see
    /// [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new().set_no_delay(true);
    /// assert!(server.no_delay());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn set_no_delay(self, on: bool) -> Server {
        self.write_setting(|settings| settings.connection.no_delay = on)
    }

    /// Whether accepted sockets send the writes of one callback together; default false. Not in Node, see
    /// [`ServerOptions::batch_writes`](crate::net::ServerOptions::batch_writes).
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert!(!Server::new().batch_writes());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn batch_writes(self) -> bool {
        self.setting(|settings| settings.connection.batch_writes)
    }

    /// Sets [`batch_writes`](Server::batch_writes) for the connections to come. Not in Node.
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new().set_batch_writes(true);
    /// assert!(server.batch_writes());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    pub fn set_batch_writes(self, on: bool) -> Server {
        self.write_setting(|settings| settings.connection.batch_writes = on)
    }

    /// Whether accepted sockets are probed when they are idle (`SO_KEEPALIVE`); default false. Mirrors
    /// `server.keepAlive`, see [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert!(!Server::new().keep_alive());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn keep_alive(self) -> bool {
        self.setting(|settings| settings.connection.keep_alive)
    }

    /// Sets [`keep_alive`](Server::keep_alive) for the connections to come. Mirrors assigning to `server.keepAlive`,
    /// see [`net.createServer(options)`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new().set_keep_alive(true).set_keep_alive_initial_delay(Duration::from_secs(60));
    /// assert!(server.keep_alive());
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn set_keep_alive(self, on: bool) -> Server {
        self.write_setting(|settings| settings.connection.keep_alive = on)
    }

    /// How long an accepted socket is idle before it is probed; default zero, which leaves it to the system. Only whole
    /// seconds count. Mirrors `server.keepAliveInitialDelay`, which is a number of seconds although the option of
    /// [`net.createServer(options)`] is one of milliseconds.
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert_eq!(Server::new().keep_alive_initial_delay(), Duration::ZERO);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn keep_alive_initial_delay(self) -> Duration {
        self.setting(|settings| settings.connection.keep_alive_initial_delay)
    }

    /// Sets [`keep_alive_initial_delay`](Server::keep_alive_initial_delay) for the connections to come. Mirrors
    /// assigning to `server.keepAliveInitialDelay`, see [`net.createServer(options)`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new().set_keep_alive_initial_delay(Duration::from_secs(60));
    /// assert_eq!(server.keep_alive_initial_delay().as_secs(), 60);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn set_keep_alive_initial_delay(self, delay: Duration) -> Server {
        self.write_setting(|settings| settings.connection.keep_alive_initial_delay = delay)
    }

    /// Both high-water marks of accepted sockets, in bytes; default 65,536. Mirrors `server.highWaterMark`, see
    /// [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// assert_eq!(Server::new().high_water_mark(), 65_536);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn high_water_mark(self) -> usize {
        self.setting(|settings| settings.connection.readable_high_water_mark)
    }

    /// Sets [`high_water_mark`](Server::high_water_mark) for the connections to come. Mirrors assigning to
    /// `server.highWaterMark`, see [`net.createServer(options)`].
    ///
    /// ```
    /// use halfclose::{EventLoop, net::Server};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let server = Server::new().set_high_water_mark(16 * 1024);
    /// assert_eq!(server.high_water_mark(), 16_384);
    /// # Ok::<(), halfclose::Error>(())
    /// ```
    ///
    /// [`net.createServer(options)`]: https://nodejs.org/api/net.html#netcreateserveroptions-connectionlistener
    pub fn set_high_water_mark(self, bytes: usize) -> Server {
        self.write_setting(|settings| {
            settings.connection.readable_high_water_mark = bytes;
            settings.connection.writable_high_water_mark = bytes;
        })
    }

    pub(super) fn setting<T>(self, read: impl Fn(&ServerSettings) -> T) -> T {
        let found = current::with(|core| core.reactor.server(self.handle).map(|server| read(server.settings())));
        found.flatten().unwrap_or_else(|| read(&ServerSettings::default()))
    }

    pub(super) fn write_setting(self, write: impl FnOnce(&mut ServerSettings)) -> Server {
        current::with(|core| {
            core.reactor.settings_mut(self.handle).map(write);
            core.reactor.review_pause(self.handle);
        });
        self
    }
}
