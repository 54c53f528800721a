//! Unix sockets whose peers are gone before anybody looks (FM40).
//!
//! May touch: the public API and std's sockets, at abstract names. Invariant: names are of this process and test only.

use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use halfclose::net::{self, Server};

use crate::support::{self, Log, watch_data_bytes, watch_server, watch_socket};

/// FM40: who wrote and left before it was accepted is a connection like any other, with its bytes and its end; who left
/// without a word has an end only.
#[test]
fn fm40_gone_before_the_accept() {
    let with_bytes = ["data(hello)", "end", "error(write EPIPE)", "close(true)"];
    let without = ["end", "finish", "close(false)"];
    for (spoke, expected) in [(true, &with_bytes[..]), (false, &without)] {
        support::test(|event_loop| {
            let log = Log::new();
            let name = format!("halfclose-fm40-{}-{spoke}", std::process::id());
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.on_connection(move |server, socket| {
                watch_socket(&log, "S", socket);
                watch_data_bytes(&log, "S", socket);
                server.close();
                socket.on_end(move |socket| {
                    if spoke {
                        socket.write("is anybody there?");
                    }
                });
            });
            let address = SocketAddr::from_abstract_name(&name).expect("a short name");
            server.once_listening(move |_| {
                let mut peer = UnixStream::connect_addr(&address).expect("somebody listens");
                if spoke {
                    peer.write_all(b"hello").expect("a few bytes");
                }
            });
            server.listen(net::abstract_name(&name)).expect("listen");
            event_loop.run().expect("no unhandled error");
            assert_eq!(log.texts_of("S"), expected);
            assert_eq!(log.texts_of("srv"), ["listening", "connection", "close"]);
            assert_eq!(event_loop.connections(), 0);
        });
    }
}
