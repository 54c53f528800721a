//! Who is let in: what becomes of a connection between `accept` and its `connection` event (rules S30, S31), and when a
//! server leaves those who come in the backlog, which Node never does.
//!
//! This module touches `sys::Stream` for the addresses of a connection that is turned away. Invariants: a connection that
//! is turned away never has a slot, and is closed after the `drop` listeners ran, also when one of them panicked; a paused
//! server has a reason to be, and is looked at whenever that may be over.

use std::net::SocketAddr;

use crate::reactor::handle::Token;
use crate::reactor::servers::{Server, ServerSettings};
use crate::reactor::ticks::{Emission, ServerTick, Step, Tick};
use crate::reactor::{Handle, Reactor};
use crate::sys::{Readiness, Stream};

/// The two ends of a connection that was turned away, as far as they are known.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) local: Option<SocketAddr>,
    pub(crate) remote: Option<SocketAddr>,
}

/// What becomes of connections above [`Server::max_connections`](crate::net::Server::max_connections). Not in Node, which
/// drops them.
///
/// ```
/// use halfclose::{EventLoop, net::ConnectionOverflow, net::Server, net::ServerOptions};
///
/// let event_loop = EventLoop::new()?;
/// let server = Server::with_options(ServerOptions::new().connection_overflow(ConnectionOverflow::Pause));
/// assert_eq!(server.connection_overflow(), ConnectionOverflow::Pause);
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum ConnectionOverflow {
    /// They are accepted and closed, and `drop` is emitted for each: the default, and Node's way.
    #[default]
    Drop,
    /// They stay in the backlog of the system until there is a place: a peer is connected, as far as it can see, and waits
    /// to be served. `pause` is emitted when the server is full, and `resume` when it accepts again.
    Pause,
}

/// Why a server leaves new connections in the backlog: the argument of [`Server::on_pause`](crate::net::Server::on_pause).
/// Not in Node.
///
/// ```
/// use halfclose::{EventLoop, net, net::PauseReason};
///
/// let event_loop = EventLoop::new()?;
/// net::create_server(|_| {}).on_pause(|_, reason| match reason {
///     PauseReason::MaxConnections => println!("full"),
///     _ => println!("{reason:?}"),
/// });
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum PauseReason {
    /// It has [`max_connections`](crate::net::Server::max_connections), and [`ConnectionOverflow::Pause`].
    MaxConnections,
    /// More output waits on the sockets of the loop than
    /// [`EventLoopOptions::max_buffered_total`](crate::EventLoopOptions::max_buffered_total) allows.
    MaxBufferedTotal,
}

/// Why a listening server accepts nobody. It is one of the two, since who does not accept finds no other reason.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Pause {
    /// A bound, of which `pause` and `resume` tell: until there is a place ([`Reactor::review_pause`]).
    Bound(PauseReason),
    /// Accepting failed for want of descriptors or memory: until it is tried again
    /// ([`retrying`](super::retrying)).
    Want,
}

/// What becomes of a connection: the answer of [`Server::set_pre_accept`](crate::net::Server::set_pre_accept). Not in Node.
///
/// ```
/// use halfclose::{EventLoop, net, net::Admission};
///
/// let event_loop = EventLoop::new()?;
/// let server = net::create_server(|_| {});
/// server.set_pre_accept(|_, peer| match peer {
///     Some(peer) if peer.ip().is_loopback() => Admission::Accept,
///     Some(_) => Admission::Reset,
///     None => Admission::Reject,
/// });
/// # Ok::<(), halfclose::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Admission {
    /// It is let in: `connection` is emitted.
    Accept,
    /// It is closed: the peer sees an end.
    Reject,
    /// It is closed with a reset.
    Reset,
}

impl Reactor {
    /// `onconnection`, up to the making of the socket. True when there is something to emit.
    ///
    /// The limit is compared with what lives now: lowering it ends nobody, and a place that is free counts at once.
    pub(super) fn admit(&mut self, server: Handle, stream: Stream, peer: Option<SocketAddr>) -> bool {
        let Some(found) = self.server(server) else { return false };
        if found.is_full() {
            self.counters.dropped += 1;
            let ends = Ends { local: stream.local_address().ok(), remote: peer };
            self.ticks.then(Step::TurnAway { stream });
            self.ticks.then_emit(Emission::Dropped { server, ends: Box::new(ends) });
        } else if found.refuses(peer) {
            // Silently, and not among the server's; the peer sees an end.
            self.counters.blocked += 1;
            return false;
        } else if found.options.filters {
            self.ticks.then_emit(Emission::Filter { server, stream, peer });
        } else {
            self.accepted(server, stream, peer);
        }
        true
    }

    /// The user's filter has answered. It may have closed or filled the server meanwhile: then nobody is let in.
    pub(crate) fn filtered(&mut self, server: Handle, stream: Stream, peer: Option<SocketAddr>, admission: Admission) {
        match admission {
            Admission::Accept => {
                if self.server(server).is_some_and(|found| found.is_listening() && !found.is_full()) {
                    self.accepted(server, stream, peer);
                }
            }
            Admission::Reject => {}
            Admission::Reset => {
                // Fails only on a descriptor that is dead already, and then there is nobody to reset.
                let _ = stream.reset_on_close();
            }
        }
    }

    /// The fields of a server that are read at each accept. `None` for a stale handle.
    pub(crate) fn settings_mut(&mut self, server: Handle) -> Option<&mut ServerSettings> {
        self.server_mut(server).map(|server| &mut server.options)
    }
}

/// Leaving connections in the backlog.
impl Reactor {
    /// Why nobody is to be accepted now.
    pub(super) fn reason_to_pause(&self, server: Handle) -> Option<PauseReason> {
        if self.buffered.is_exceeded() {
            return Some(PauseReason::MaxBufferedTotal);
        }
        let found = self.server(server)?;
        let full = found.options.overflow == ConnectionOverflow::Pause && found.is_full();
        full.then_some(PauseReason::MaxConnections)
    }

    /// Those who wait stay where they are; that the kernel announced them is remembered for later.
    pub(super) fn pause_accepting(&mut self, server: Handle, reason: PauseReason) {
        if let Some(found) = self.server_mut(server) {
            found.paused = Some(Pause::Bound(reason));
            self.ticks.then_emit(Emission::ServerPaused { server, reason });
        }
    }

    /// A reason to pause may be over: then it goes on, and says so in a tick.
    pub(crate) fn review_pause(&mut self, server: Handle) {
        let paused = self.server(server).is_some_and(Server::is_paused_by_a_bound);
        if !paused || self.reason_to_pause(server).is_some() {
            return;
        }
        self.accept_again(server.index());
        self.ticks.push(Tick::Server { server, tick: ServerTick::Resumed });
    }

    /// A pause is over: those who were announced before it or meanwhile are looked at.
    pub(super) fn accept_again(&mut self, index: usize) {
        let Some(found) = self.servers.get_mut(index) else { return };
        found.paused = None;
        let waiting = found.announced.has(Readiness::READABLE) && !std::mem::replace(&mut found.announced.queued, true);
        if let (true, Some(listener)) = (waiting, &found.listener) {
            let token = Token::Server { index, descriptor: listener.descriptor }.pack();
            self.ready.push(token);
        }
    }

    /// The same for all servers.
    pub(super) fn review_pauses(&mut self) {
        let paused: Vec<Handle> = self
            .servers
            .iter()
            .filter(|(_, found)| found.is_paused_by_a_bound())
            .map(|(index, found)| Handle::new(index, found.generation))
            .collect();
        for server in paused {
            self.review_pause(server);
        }
    }
}

impl Server {
    pub(super) fn is_paused_by_a_bound(&self) -> bool {
        matches!(self.paused, Some(Pause::Bound(_)))
    }

    fn is_full(&self) -> bool {
        self.options.max_connections.is_some_and(|most| self.connections >= most)
    }

    fn refuses(&self, peer: Option<SocketAddr>) -> bool {
        let list = self.options.block_list.as_ref();
        list.zip(peer).is_some_and(|(list, peer)| list.check(peer.ip()))
    }

    pub(crate) fn settings(&self) -> &ServerSettings {
        &self.options
    }
}
