//! A [`Socket`]'s listeners for what happens while it connects.
//!
//! It may touch the event loop's vocabulary of events, and what `socket_events` has.

use crate::error::Error;
use crate::event_loop::events::Arguments;
use crate::event_loop::listeners::ListenerId;
use crate::net::socket_events::plain_event;
use crate::net::{ConnectionAttempt, Lookup, Socket, SocketEvent};

plain_event! {
    /// on.
    pub fn on_connect;
    /// once.
    pub fn once_connect;
    Connect
}

plain_event! {
    /// on.
    pub fn on_ready;
    /// once.
    pub fn once_ready;
    Ready
}

impl Socket {
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
}
