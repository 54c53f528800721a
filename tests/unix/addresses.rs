//! The forms in which a path is given, and handles that are stale.

use halfclose::Error;
use halfclose::net::{self, ConnectOptions, ListenOptions, Server, Socket};

use crate::Directory;
use crate::support;

/// `&Path`, `&PathBuf`, `PathBuf` and both options reach the same place.
#[test]
fn every_form_of_a_path_listens_and_connects() {
    let directory = Directory::new();
    let path = directory.path("s");
    let listen: [&dyn Fn(Server) -> Result<Server, Error>; 4] = [
        &|server| server.listen(path.as_path()),
        &|server| server.listen(&path),
        &|server| server.listen(path.clone()),
        &|server| server.listen(ListenOptions::new().path(&path)),
    ];
    let connect: [&dyn Fn() -> Result<Socket, Error>; 4] =
        [&|| net::connect(path.as_path()), &|| net::connect(&path), &|| net::connect(path.clone()), &|| {
            net::create_connection(ConnectOptions::new().path(&path))
        }];
    for (listen, connect) in listen.into_iter().zip(connect) {
        support::test(|event_loop| {
            let server = net::create_server(|socket| {
                socket.end();
                socket.resume();
                socket.server().expect("its server").close();
            });
            assert_eq!(listen(server).expect("listen"), server);
            connect().expect("connect").resume();
            event_loop.run().expect("no unhandled error");
            assert_eq!(event_loop.connections(), 0);
        });
    }
}

/// Of a stale handle both are an `Err`, as for every other address.
#[test]
fn stale_handles_neither_listen_nor_connect() {
    support::test(|_| {
        let directory = Directory::new();
        let path = directory.path("s");
        let (server, socket) = (Server::new(), Socket::new());
        server.release();
        socket.release();
        let error = server.listen(&path).map(|_| ()).expect_err("released");
        assert_eq!(error.code(), Some("ERR_SERVER_NOT_RUNNING"));
        assert!(!path.exists());
        let error = socket.connect(&path).map(|_| ()).expect_err("released");
        assert_eq!(error.code(), Some("ERR_SOCKET_CLOSED"));
        assert_eq!(socket.reset_and_destroy().expect("inert"), socket);
    });
}
