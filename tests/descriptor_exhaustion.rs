//! A process without descriptors (S36, FM10): a server keeps running and sheds the connections that it cannot take, and
//! `connect` and `listen` fail with EMFILE as any other failure.
//!
//! May touch: the public API, peers on std sockets and the process's limit of descriptors. Invariant: the limit is the
//! whole process's, so the tests of this file run one after the other, and every one restores it.

mod support;

use std::cell::Cell;
use std::fs::File;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use halfclose::net::{self, ConnectOptions, Server};
use support::{Log, RawPeer, loopback, port_of, watch_server, watch_socket};

/// Held by the test that runs, from before its first descriptor until after its last.
static ALONE: Mutex<()> = Mutex::new(());

/// Lets no other test of this file run.
fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lower limit of descriptors, until it is dropped.
struct LowLimit {
    before: libc::rlimit,
}

impl LowLimit {
    /// Leaves `free` descriptors to the process.
    fn leaving(free: usize) -> LowLimit {
        let before = get_limit();
        // The lowest numbers are given first, so the limit is the number after the last one that may be given.
        let mut numbers: Vec<usize> = std::fs::read_dir("/proc/self/fd")
            .expect("the list of descriptors")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        numbers.sort_unstable();
        // The listing's own descriptor is closed again.
        let used = |number: &usize| numbers.binary_search(number).is_ok() && is_open(*number);
        let mut limit = 0;
        let mut left = free;
        loop {
            if !used(&limit) {
                if left == 0 {
                    break;
                }
                left -= 1;
            }
            limit += 1;
        }
        set_limit(libc::rlimit { rlim_cur: limit as libc::rlim_t, ..before });
        LowLimit { before }
    }
}

impl Drop for LowLimit {
    fn drop(&mut self) {
        set_limit(self.before);
    }
}

fn is_open(number: usize) -> bool {
    // SAFETY: F_GETFD takes no pointer, and fails for a number that is not open.
    unsafe { libc::fcntl(number as libc::c_int, libc::F_GETFD) >= 0 }
}

fn get_limit() -> libc::rlimit {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one rlimit structure for the length of the call.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0, "getrlimit");
    limit
}

fn set_limit(limit: libc::rlimit) {
    // SAFETY: `limit` is a valid rlimit structure for the length of the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0, "setrlimit");
}

/// S36: the connections that no descriptor is left for are accepted and ended, without an `error`; the server and the
/// other connections go on, and new ones are taken as soon as there are descriptors again.
#[test]
fn s36_a_server_sheds_what_it_cannot_take() {
    let _alone = alone();
    support::test(|event_loop| {
        let log = Log::new();
        let server = Server::new();
        watch_server(&log, "srv", server);
        let (taken, shed) = (17, 23);
        let low = Rc::new(Cell::new(None));
        let peers: Rc<Cell<Vec<RawPeer>>> = Rc::default();
        server.on_connection(|_, socket| {
            socket.on_error(|_, _| {});
            socket.on_data(|socket, bytes| {
                socket.write(bytes);
            });
        });
        let (limit, clients) = (low.clone(), peers.clone());
        server.once_listening(move |server| {
            // The kernel completes these before the loop accepts any of them.
            clients.set((0..taken + shed).map(|_| RawPeer::connect(loopback(port_of(server)))).collect());
            limit.set(Some(LowLimit::leaving(taken)));
        });
        server.listen(("127.0.0.1", 0)).expect("listen");

        // Nothing but the server is alive, so the loop has to be told when to look at what happened: when the last
        // client, which is shed, has read its end, and the first one was answered.
        let handle = event_loop.handle();
        let watched = peers.clone();
        halfclose::set_immediate(move || {
            let mut all = watched.take();
            support::in_thread(move || {
                let mut served = all.drain(..taken).collect::<Vec<_>>();
                for mut late in all {
                    assert_eq!(late.drain(), (0, None), "a clean end");
                }
                for peer in &mut served {
                    peer.write(b"still here");
                    assert_eq!(peer.read_exact(10), b"still here");
                }
                let posted = handle.post(move || {
                    drop(served);
                    halfclose::stop();
                });
                assert!(posted.is_ok());
            });
        });
        event_loop.run().expect("no unhandled error");
        assert!(server.listening());
        let mut expected = vec!["listening"];
        expected.extend(vec!["connection"; taken]);
        assert_eq!(log.texts_of("srv"), expected);
        let stats = event_loop.stats();
        assert_eq!((stats.accepts, stats.shed), (taken as u64, shed as u64));
        assert!(stats.accept_errors.descriptors_exhausted >= 1, "{stats:?}");

        // The served peers have closed: there is room again.
        support::assert_one_more_is_let_in(event_loop, server);
        expected.extend(["connection", "close"]);
        assert_eq!(log.texts_of("srv"), expected);
        assert_eq!((event_loop.connections(), server.connections()), (0, 0));
        drop(low.take());
    });
}

/// Table 1.8: a connect without a descriptor fails like one that the kernel rejects, but knows no local side.
#[test]
fn a_connect_without_a_descriptor_fails() {
    let _alone = alone();
    support::test(|event_loop| {
        let low = LowLimit::leaving(0);
        assert!(File::open("/dev/null").is_err(), "no descriptor is left");
        let log = Log::new();
        halfclose::set_immediate(move || {
            let client = net::connect(("127.0.0.1", 1)).expect("no error yet");
            watch_socket(&log, "C", client);
            client.on_error(|_, error| {
                assert_eq!(error.to_string(), "connect EMFILE 127.0.0.1:1 - Local (undefined:undefined)");
                assert_eq!((error.code(), error.errno()), (Some("EMFILE"), Some(-libc::EMFILE)));
                assert_eq!((error.address(), error.port()), (Some("127.0.0.1"), Some(1)));
            });
            log.add("C", "connect()");
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connect() ~ connectionAttempt ~ error(connect EMFILE) |x close(true)");

        let log = Log::new();
        halfclose::set_immediate(move || {
            let options = ConnectOptions::new().host("127.0.0.1").port(1).local_address("127.0.0.1");
            let client = net::connect(options).expect("no error yet");
            watch_socket(&log, "C", client);
            client.on_error(|_, error| assert_eq!(error.to_string(), "bind EMFILE 127.0.0.1"));
            log.add("C", "connect()");
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("C", "connect() ~ error(bind EMFILE) |x close(true)");
        assert_eq!(event_loop.connections(), 0);
        drop(low);
    });
}

/// Table 1.8, S4: a listen without a descriptor fails; the address is the one that was tried last.
#[test]
fn a_listen_without_a_descriptor_fails() {
    let _alone = alone();
    support::test(|event_loop| {
        let low = Rc::new(Cell::new(Some(LowLimit::leaving(0))));
        let log = Log::new();
        let limit = low.clone();
        halfclose::set_immediate(move || {
            let server = Server::new();
            watch_server(&log, "srv", server);
            server.listen(0).expect("no error yet");
            log.add("srv", format!("listening={}", server.listening()));
            server.once_error(move |server, error| {
                assert_eq!(error.to_string(), "listen EMFILE: too many open files 0.0.0.0");
                assert_eq!((error.code(), error.port()), (Some("EMFILE"), None));
                drop(limit.take());
                server.listen(0).expect("listen");
                server.once_listening(|server| {
                    server.close();
                });
            });
        });
        event_loop.run().expect("no unhandled error");
        log.assert_of("srv", "listening=false ~ error(listen EMFILE) ~ listening ~ close");
    });
}
