//! Writes of a size that no kernel takes at once (FM42).
//!
//! May touch: the public API and a peer on a std socket. Invariant: memory that is only zeros costs nothing until it is
//! written to.

use std::cell::Cell;
use std::rc::Rc;

use halfclose::net::Server;

use crate::support::{self, Log, RawPeer, callback, loopback, port_of, watch_server, watch_socket};

/// FM42: one write of more than 2 GiB, which is more than one system call can take (write(2)): it is counted whole, sent in
/// parts, and cut off like any other.
#[test]
fn fm42_more_than_two_gibibytes() {
    const LENGTH: usize = (1 << 31) + 17;
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        watch_server(&log, "srv", server);
        let kept: Rc<Cell<Option<RawPeer>>> = Rc::default();
        let (connected, handle) = (kept.clone(), event_loop.handle());
        server.once_listening(move |server| connected.set(Some(RawPeer::connect(loopback(port_of(server))))));
        server.once_connection(move |server, socket| {
            watch_socket(&log, "S", socket);
            server.close();
            assert!(!socket.write_with(vec![0; LENGTH], callback(&log, "S", "written")));
            assert_eq!(socket.writable_length(), LENGTH);
            let id = socket.id();
            let mut peer = kept.take().expect("the server listened");
            let handle = handle.clone();
            support::in_thread(move || {
                // More than both kernels' buffers: it goes on where it stopped.
                let start = peer.read_exact(20_000_000);
                assert!(start.iter().all(|&byte| byte == 0));
                let posted = handle.post(move || {
                    let socket = id.get().expect("it lives");
                    assert_eq!(socket.writable_length(), LENGTH, "counted whole until it is complete (rule F11)");
                    socket.destroy();
                });
                assert!(posted.is_ok());
                peer.drain()
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.run().expect("no unhandled error");
        log.assert_of("S", "written(write ECANCELED) |x close(false)");
        log.assert_of("srv", "listening | connection | ~ close");
        assert_eq!(event_loop.connections(), 0);
    });
}
