//! Who is let in: what becomes of a connection between `accept` and its `connection` event (rules S30, S31).
//!
//! This module touches `sys::Stream` for the addresses of a connection that is turned away. Invariant: a connection that
//! is turned away never has a slot, and is closed after the `drop` listeners ran, also when one of them panicked.

use std::net::SocketAddr;

use crate::reactor::servers::{Server, ServerSettings};
use crate::reactor::ticks::{Emission, Step};
use crate::reactor::{Handle, Reactor};
use crate::sys::Stream;

/// The two ends of a connection that was turned away, as far as they are known.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) local: Option<SocketAddr>,
    pub(crate) remote: Option<SocketAddr>,
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
        } else {
            self.accepted(server, stream, peer);
        }
        true
    }

    /// The fields of a server that are read at each accept. `None` for a stale handle.
    pub(crate) fn settings_mut(&mut self, server: Handle) -> Option<&mut ServerSettings> {
        self.server_mut(server).map(|server| &mut server.options)
    }
}

impl Server {
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
