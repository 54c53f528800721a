//! What the tests of this folder share: waiting for readiness with a deadline, and connected pairs over loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::acceptor::{Acceptor, AcceptorOptions};
use super::poller::{Event, Poller};
use super::stream::{ConnectStart, Family, Stream};

/// How long a test waits for something that loopback does at once. Only a failing test ever waits so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// 127.0.0.1 with a port of the kernel's choice.
pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// Polls until an event satisfies `wanted`.
pub(crate) fn wait_for(poller: &mut Poller, wanted: impl Fn(&Event) -> bool) -> Event {
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        poller.poll(Some(Duration::from_millis(100))).unwrap();
        if let Some(event) = poller.events().find(|event| wanted(event)) {
            return event;
        }
    }
    panic!("the expected readiness did not come");
}

/// Makes a call again while it would block, waiting for readiness of the same socket in between.
pub(crate) fn until_ready<T>(socket: impl AsFd, mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut poller = Poller::new().unwrap();
    poller.register(socket.as_fd(), 0).unwrap();
    let started = Instant::now();
    while started.elapsed() < DEADLINE {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poller.poll(Some(Duration::from_millis(100))).unwrap();
            }
            result => return result,
        }
    }
    panic!("the socket did not become ready");
}

/// A listening socket on loopback.
pub(crate) fn listening() -> Acceptor {
    let acceptor = Acceptor::tcp(loopback(), AcceptorOptions::default()).unwrap();
    acceptor.listen(16).unwrap();
    acceptor
}

/// Both ends of a connection over loopback.
pub(crate) fn connected_pair() -> (Stream, Stream) {
    let acceptor = listening();
    let client = connecting_to(acceptor.local_address().unwrap());
    let server = until_ready(&acceptor, || acceptor.accept()).unwrap().0;
    until_ready(&client, || client.peer_address().map_err(|_| io::ErrorKind::WouldBlock.into())).unwrap();
    (client, server)
}

/// A socket whose connect to `address` has begun.
pub(crate) fn connecting_to(address: SocketAddr) -> Stream {
    let client = Stream::tcp(Family::of(&address)).unwrap();
    assert_eq!(client.connect(address).unwrap(), ConnectStart::InProgress);
    client
}
