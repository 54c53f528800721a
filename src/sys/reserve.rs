//! The reserve descriptor: how a server keeps running when the process has no descriptors left.
//!
//! May touch `std::fs` and the acceptor. libuv does the same.
//!
//! Why: without a free descriptor `accept` fails and the connection stays in the kernel's queue, where its client
//! waits for nobody and the acceptor stays readable. Giving up one descriptor for a moment makes it possible to accept
//! such connections and close them, so that their clients learn of it.
//!
//! Invariant: the reserve is held whenever no call is running, unless even opening it failed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use super::acceptor::Acceptor;

/// How many connections one call sheds: twice the default backlog of 511, so one call empties the queue of nearly
/// every server, and a flood of clients cannot keep the loop in here.
const MOST_SHED: usize = 1024;

/// One descriptor kept back.
#[derive(Debug)]
pub(crate) struct Reserve {
    descriptor: Option<OwnedFd>,
}

impl Reserve {
    /// Opens the reserve. That it could not be opened is noticed only when it is needed.
    pub(crate) fn new() -> Self {
        Self { descriptor: open() }
    }

    /// Accepts and closes the connections that wait at `acceptor`, at the reserve's expense, and tells how many they
    /// were. Call it when accepting failed for want of descriptors; it fails likewise if there was no reserve, or if
    /// another thread was quicker to take it.
    pub(crate) fn shed(&mut self, acceptor: &Acceptor) -> io::Result<usize> {
        self.descriptor = None;
        let shed = close_waiting(std::iter::repeat_with(|| acceptor.accept()));
        self.descriptor = open();
        shed
    }
}

/// Closes what accepting brings.
pub(super) fn close_waiting<S>(accepted: impl Iterator<Item = io::Result<S>>) -> io::Result<usize> {
    let mut closed = 0;
    for accepted in accepted.take(MOST_SHED) {
        match accepted {
            Ok(stream) => {
                drop(stream);
                closed += 1;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            // This client gave up already; the next one may not have.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // What was shed is shed: the want of descriptors is the caller's concern only if nothing could be done.
            Err(_) if closed > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(closed)
}

/// Any file does; this one is always there and holds nothing else open. std closes it on exec.
fn open() -> Option<OwnedFd> {
    File::open("/dev/null").ok().map(OwnedFd::from)
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::os::fd::AsFd;
    use std::process::Command;

    use super::*;
    use crate::sys::acceptor::AcceptorOptions;
    use crate::sys::poller::{Poller, Readiness};
    use crate::sys::stream::Stream;
    use crate::sys::test_support::{connecting_to, listening, loopback, until_ready, wait_for};

    fn clients_of(acceptor: &Acceptor, count: usize) -> Vec<Stream> {
        let address = acceptor.local_address().unwrap();
        let clients: Vec<Stream> = (0..count).map(|_| connecting_to(address)).collect();
        let mut poller = Poller::new().unwrap();
        for client in &clients {
            poller.register(client.as_fd(), 0).unwrap();
            wait_for(&mut poller, |event| event.readiness.has(Readiness::WRITABLE));
        }
        clients
    }

    #[test]
    fn waiting_connections_are_accepted_and_ended() {
        let acceptor = listening();
        let clients = clients_of(&acceptor, 3);
        let mut reserve = Reserve::new();
        assert_eq!(reserve.shed(&acceptor).unwrap(), 3);
        assert!(reserve.descriptor.is_some());
        for client in clients {
            assert_eq!(until_ready(&client, || client.read(&mut [0; 8])).unwrap(), 0);
        }
    }

    #[test]
    fn with_nobody_waiting_nothing_is_shed() {
        assert_eq!(Reserve::new().shed(&listening()).unwrap(), 0);
    }

    #[test]
    fn an_acceptor_that_does_not_listen_is_an_error() {
        let acceptor = Acceptor::tcp(loopback(), AcceptorOptions::default()).unwrap();
        let mut reserve = Reserve::new();
        assert!(reserve.shed(&acceptor).is_err());
        assert!(reserve.descriptor.is_some());
    }

    /// The limit holds for the whole process, so the body runs in one of its own.
    #[test]
    fn a_process_without_descriptors_can_still_shed() {
        let child = Command::new("sh")
            .args(["-c", "ulimit -n 32 && exec \"$0\" \"$@\""])
            .arg(env::current_exe().unwrap())
            .args(["--ignored", "--test-threads=1", "shed_at_the_descriptor_limit"])
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && output.contains("1 passed"), "{output}");
    }

    #[test]
    #[ignore = "needs a process of its own with few descriptors; run by the test above"]
    fn shed_at_the_descriptor_limit() {
        let acceptor = listening();
        let clients = clients_of(&acceptor, 2);
        let mut reserve = Reserve::new();
        // More than the limit that the process was started with.
        let taken: Vec<File> = (0..64).map_while(|_| File::open("/dev/null").ok()).collect();
        assert_eq!(acceptor.accept().unwrap_err().raw_os_error(), Some(libc::EMFILE));
        assert_eq!(reserve.shed(&acceptor).unwrap(), 2);
        assert!(reserve.descriptor.is_some());
        drop(taken);
        drop(clients);

        // Without the reserve there is nothing to give up, and a waiting connection keeps waiting.
        let mut none = Reserve { descriptor: None };
        let _client = clients_of(&acceptor, 1);
        let taken: Vec<File> = (0..64).map_while(|_| File::open("/dev/null").ok()).collect();
        assert_eq!(none.shed(&acceptor).unwrap_err().raw_os_error(), Some(libc::EMFILE));
        drop(taken);
        assert_eq!(none.shed(&acceptor).unwrap(), 1);
        assert!(none.descriptor.is_some());
    }
}
