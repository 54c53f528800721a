//! A server with one connection, whose peer misbehaves.
//!
//! May touch: the public API and std sockets. Invariant: the peer lives until the loop is done, unless the test takes it.

use std::cell::Cell;
use std::rc::Rc;

use halfclose::net::{Server, ServerOptions, Socket};

use crate::support::{self, Log, RawPeer, loopback, port_of, watch_server, watch_socket};

/// Where the peer is kept. Whoever takes it decides how it ends.
pub type Kept = Rc<Cell<Option<RawPeer>>>;

/// Runs a server with one connection: `peer` acts before it is accepted, `accepted` gets the socket and the place of the peer.
pub fn with_peer(
    options: ServerOptions,
    peer: impl FnOnce(&mut RawPeer) + 'static,
    accepted: impl FnOnce(Log, Socket, Kept) + 'static,
) -> Log {
    let log = Log::new();
    support::test(|event_loop| {
        let server = Server::with_options(options);
        watch_server(&log, "srv", server);
        let kept = Kept::default();
        let (connected, given) = (kept.clone(), kept.clone());
        server.once_listening(move |server| {
            let mut raw = RawPeer::connect(loopback(port_of(server)));
            peer(&mut raw);
            connected.set(Some(raw));
        });
        server.once_connection(move |server, socket| {
            watch_socket(&log, "S", socket);
            server.close();
            accepted(log, socket, given);
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        assert_eq!((event_loop.connections(), event_loop.timers()), (0, 0));
        drop(kept);
    });
    log
}
