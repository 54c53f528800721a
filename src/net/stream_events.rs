//! A [`Socket`]'s listeners for its two streams: where they end, and how they flow.
//!
//! It may touch the event loop's vocabulary of events, and what `socket_events` has.

use crate::event_loop::events::Arguments;
use crate::event_loop::listeners::ListenerId;
use crate::net::socket_events::plain_event;
use crate::net::{Socket, SocketEvent};

plain_event! {
    /// on.
    pub fn on_end;
    /// once.
    pub fn once_end;
    End
}

plain_event! {
    /// on.
    pub fn on_finish;
    /// once.
    pub fn once_finish;
    Finish
}

plain_event! {
    /// on.
    pub fn on_drain;
    /// once.
    pub fn once_drain;
    Drain
}

plain_event! {
    /// on.
    pub fn on_readable;
    /// once.
    pub fn once_readable;
    Readable
}

plain_event! {
    /// on.
    pub fn on_pause;
    /// once.
    pub fn once_pause;
    Pause
}

plain_event! {
    /// on.
    pub fn on_resume;
    /// once.
    pub fn once_resume;
    Resume
}

impl Socket {
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
}
