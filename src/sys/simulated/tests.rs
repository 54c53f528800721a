//! The simulated kernel beside the real one, call by call: answers, and the bits of each event.
//!
//! May touch the types of `switch`, and the loopback interface. Invariant: each scene is one function that is played on
//! both kernels; what it writes down has no port and no descriptor in it.

use std::fmt::Debug;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::shared::Entered;
use super::switch::{Acceptor, Poller, Stream};
use crate::sys::acceptor::AcceptorOptions;
use crate::sys::stream::{Family, Transport};
use crate::sys::unix::{Permissions, UnixAddress};

/// How long nothing has to happen until it is believed. Loopback answers within the call; the real kernel's delayed
/// acknowledgement takes 40 ms.
const QUIET: Duration = Duration::from_millis(60);

/// What is done, and what the kernel says.
struct Scene {
    poller: Poller,
    acceptor: Acceptor,
    over: Transport,
    path: PathBuf,
    notes: Vec<String>,
}

impl Scene {
    fn new(over: Transport) -> Scene {
        let path = std::env::temp_dir().join(format!("halfclose-scene-{}-{:?}", std::process::id(), thread_number()));
        let acceptor = match over {
            Transport::Tcp => {
                Acceptor::tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), AcceptorOptions::default()).unwrap()
            }
            Transport::Unix => Acceptor::unix(&UnixAddress::new(&path).unwrap(), Permissions::default()).unwrap(),
        };
        acceptor.listen(8).unwrap();
        let poller = Poller::new().unwrap();
        poller.register(&acceptor, 0).unwrap();
        Scene { poller, acceptor, over, path, notes: Vec::new() }
    }

    fn note(&mut self, what: &str, answer: io::Result<impl Debug>) {
        let answer = match answer {
            Ok(value) => format!("{value:?}"),
            Err(error) => crate::sys::errno::Errno::from_io(&error).name().to_owned(),
        };
        self.notes.push(format!("{what}: {answer}"));
    }

    /// The events that there are by now, in their order: 0 is the acceptor, 1 the client, 2 the server.
    fn look(&mut self) {
        let mut events = Vec::new();
        // Bounded: edges end.
        loop {
            self.poller.poll(Some(QUIET)).unwrap();
            let before = events.len();
            events.extend(self.poller.events().map(|event| format!("{} {:?}", event.token, event.readiness)));
            if events.len() == before {
                break;
            }
        }
        self.notes.push(format!("events {events:?}"));
    }

    fn client(&mut self) -> Stream {
        let client = match self.over {
            Transport::Tcp => {
                let client = Stream::tcp(Family::IPv4).unwrap();
                client.connect(self.acceptor.local_address().unwrap()).unwrap();
                client
            }
            Transport::Unix => {
                let client = Stream::unix().unwrap();
                client.connect_unix(&UnixAddress::new(&self.path).unwrap()).unwrap();
                client
            }
        };
        self.poller.register(&client, 1).unwrap();
        client
    }

    fn accept(&mut self) -> Stream {
        let accepted = self.acceptor.accept();
        let server = accepted.unwrap().0;
        self.poller.register(&server, 2).unwrap();
        let again = self.acceptor.accept().map(drop);
        self.note("accept again", again);
        server
    }

    fn read(&mut self, name: &str, stream: &Stream, room: usize) {
        let mut buffer = vec![0; room];
        let answer = stream.read(&mut buffer);
        self.note(&format!("{name} reads"), answer);
    }

    fn error(&mut self, name: &str, stream: &Stream) {
        let answer = stream.take_error().and_then(|error| error.map_or(Ok(()), Err));
        self.note(&format!("{name} error"), answer);
    }

    fn peer(&mut self, name: &str, stream: &Stream) {
        let answer = stream.peer_address().map(|address| address.ip());
        self.note(&format!("{name} peer"), answer);
    }
}

/// Scenes of several threads have paths of their own.
fn thread_number() -> std::thread::ThreadId {
    std::thread::current().id()
}

/// Plays on both kernels and compares the notes.
#[track_caller]
fn same(transports: &[Transport], play: fn(&mut Scene)) {
    for &over in transports {
        let run = || {
            let mut scene = Scene::new(over);
            play(&mut scene);
            scene.notes
        };
        let real = run();
        let entered = Entered::new(1);
        let simulated = run();
        drop(entered);
        assert_eq!(real, simulated, "{over:?}: the real kernel is on the left");
    }
}

const BOTH: &[Transport] = &[Transport::Tcp, Transport::Unix];
const TCP: &[Transport] = &[Transport::Tcp];

#[test]
fn a_connection_is_announced_to_both() {
    same(BOTH, |scene| {
        let client = scene.client();
        scene.look();
        scene.error("client", &client);
        let server = scene.accept();
        scene.look();
        scene.read("client", &client, 8);
        scene.read("server", &server, 8);
        scene.peer("client", &client);
        scene.peer("server", &server);
    });
}

#[test]
fn bytes_and_the_end_are_announced() {
    same(BOTH, |scene| {
        let client = scene.client();
        let server = scene.accept();
        scene.look();
        scene.note("client writes", client.write(b"hello"));
        scene.look();
        scene.read("server", &server, 3);
        scene.look();
        scene.read("server", &server, 8);
        scene.read("server", &server, 8);
        scene.note("client ends", client.shutdown_write());
        scene.look();
        scene.read("server", &server, 8);
        scene.read("server", &server, 8);
        scene.note("client writes", client.write(b"more"));
        scene.note("server writes", server.write(b"answer"));
        scene.look();
        scene.note("server ends", server.shutdown_write());
        scene.look();
        scene.read("client", &client, 8);
        scene.read("client", &client, 8);
        scene.peer("client", &client);
        scene.peer("server", &server);
        scene.note("client ends again", client.shutdown_write());
        drop(server);
        scene.look();
        scene.note("client writes", client.write(b"more"));
        scene.read("client", &client, 8);
    });
}

#[test]
fn a_close_is_an_end() {
    same(BOTH, |scene| {
        let client = scene.client();
        let server = scene.accept();
        scene.look();
        drop(server);
        scene.look();
        scene.read("client", &client, 8);
        scene.note("client writes", client.write(b"one"));
        scene.look();
        scene.note("client writes", client.write(b"two"));
        scene.note("client writes", client.write(b"three"));
        scene.read("client", &client, 8);
        scene.error("client", &client);
        scene.note("client ends", client.shutdown_write());
    });
}

#[test]
fn a_close_with_unread_input_is_a_reset() {
    same(BOTH, |scene| {
        let client = scene.client();
        let server = scene.accept();
        scene.note("client writes", client.write(b"hello"));
        scene.note("server writes", server.write(b"bytes"));
        scene.look();
        drop(server);
        scene.look();
        scene.read("client", &client, 8);
        scene.read("client", &client, 8);
        scene.read("client", &client, 8);
        scene.note("client writes", client.write(b"more"));
        scene.peer("client", &client);
        scene.note("client ends", client.shutdown_write());
    });
}

#[test]
fn a_reset_is_told_once() {
    same(TCP, |scene| {
        for writes in [false, true] {
            let client = scene.client();
            let server = scene.accept();
            scene.look();
            scene.note("linger", server.reset_on_close());
            drop(server);
            scene.look();
            if writes {
                scene.note("client writes", client.write(b"more"));
                scene.note("client writes", client.write(b"more"));
            }
            scene.read("client", &client, 8);
            scene.read("client", &client, 8);
            scene.error("client", &client);
            drop(client);
        }
    });
}

#[test]
fn a_reset_behind_the_end_is_a_broken_pipe() {
    same(TCP, |scene| {
        let client = scene.client();
        let server = scene.accept();
        scene.note("server ends", server.shutdown_write());
        scene.look();
        scene.read("client", &client, 8);
        scene.note("linger", server.reset_on_close());
        drop(server);
        scene.look();
        scene.read("client", &client, 8);
        scene.error("client", &client);
        scene.note("client writes", client.write(b"more"));
    });
}

#[test]
fn a_reset_after_the_own_end() {
    same(TCP, |scene| {
        let client = scene.client();
        let server = scene.accept();
        scene.note("client ends", client.shutdown_write());
        scene.look();
        scene.note("linger", server.reset_on_close());
        drop(server);
        scene.look();
        scene.read("client", &client, 8);
        scene.read("client", &client, 8);
        scene.note("client ends", client.shutdown_write());
    });
}

#[test]
fn a_connection_that_was_reset_is_accepted_all_the_same() {
    same(TCP, |scene| {
        let client = scene.client();
        scene.note("linger", client.reset_on_close());
        drop(client);
        scene.look();
        let server = scene.accept();
        scene.look();
        scene.peer("server", &server);
        scene.read("server", &server, 8);
        scene.read("server", &server, 8);
        scene.note("server writes", server.write(b"more"));
    });
}

#[test]
fn a_connection_that_was_left_is_accepted_with_its_bytes() {
    same(BOTH, |scene| {
        let client = scene.client();
        scene.note("client writes", client.write(b"hello"));
        drop(client);
        scene.look();
        let server = scene.accept();
        scene.look();
        scene.read("server", &server, 8);
        scene.read("server", &server, 8);
    });
}

#[test]
fn nobody_listens() {
    same(TCP, |scene| {
        let address = scene.acceptor.local_address().unwrap();
        let other = Acceptor::tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), AcceptorOptions::default()).unwrap();
        scene.acceptor = other;
        let client = Stream::tcp(Family::IPv4).unwrap();
        scene.note("connect", client.connect(address));
        scene.poller.register(&client, 1).unwrap();
        scene.look();
        scene.peer("client", &client);
        scene.error("client", &client);
        scene.error("client", &client);
        scene.read("client", &client, 8);
        scene.note("client writes", client.write(b"more"));
        scene.note("client ends", client.shutdown_write());
    });
}

#[test]
fn whoever_waits_at_a_closed_acceptor_is_reset() {
    same(BOTH, |scene| {
        let client = scene.client();
        scene.look();
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        scene.acceptor = Acceptor::tcp(loopback, AcceptorOptions::default()).unwrap();
        scene.look();
        scene.read("client", &client, 8);
        scene.read("client", &client, 8);
        scene.note("client writes", client.write(b"more"));
    });
}

#[test]
fn a_new_socket_has_nothing() {
    same(TCP, |scene| {
        let fresh = Stream::tcp(Family::IPv4).unwrap();
        scene.poller.register(&fresh, 1).unwrap();
        scene.look();
        scene.read("fresh", &fresh, 8);
        scene.note("writes", fresh.write(b"bytes"));
        scene.note("ends", fresh.shutdown_write());
        scene.peer("fresh", &fresh);
        scene.note("local", fresh.local_address());
        scene.error("fresh", &fresh);
    });
}

#[test]
fn calls_that_make_no_sense_say_so() {
    same(TCP, |scene| {
        let address = scene.acceptor.local_address().unwrap();
        let client = scene.client();
        scene.note("connect again", client.connect(address));
        scene.note("bind", client.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
        let acceptor = Acceptor::tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), AcceptorOptions::default()).unwrap();
        scene.note("accept", acceptor.accept().map(drop));
        let taken = Acceptor::tcp(address, AcceptorOptions::default());
        scene.note("bind", taken.map(drop));
        let shared = acceptor.local_address().unwrap();
        let second = Acceptor::tcp(shared, AcceptorOptions::default()).unwrap();
        scene.note("listen", acceptor.listen(1));
        scene.note("listen", second.listen(1));
    });
    same(&[Transport::Unix], |scene| {
        let again = Acceptor::unix(&UnixAddress::new(&scene.path).unwrap(), Permissions::default());
        scene.note("bind", again.map(drop));
        let client = scene.client();
        scene.note("connect again", client.connect_unix(&UnixAddress::new(&scene.path).unwrap()));
        let fresh = Stream::unix().unwrap();
        scene.note("writes", fresh.write(b"bytes"));
        scene.note("ends", fresh.shutdown_write());
        scene.read("fresh", &fresh, 8);
    });
}

#[test]
fn a_full_socket_announces_room_once() {
    same(BOTH, |scene| {
        let client = scene.client();
        let server = scene.accept();
        scene.look();
        let piece = vec![0; 64 * 1024];
        let mut written = 0;
        // Bounded by the buffers.
        while let Ok(count) = client.write(&piece) {
            written += count;
        }
        scene.note("full", client.write(&piece));
        scene.look();
        let mut buffer = vec![0; 64 * 1024];
        let mut read = 0;
        // Bounded by what was written; on the real kernel the last segments take their time.
        while read < written {
            match server.read(&mut buffer) {
                Ok(count) => read += count,
                Err(_) => scene.poller.poll(Some(QUIET)).unwrap(),
            }
        }
        scene.note("all", Ok(read == written));
        scene.note("client writes", client.write(b"more"));
    });
}

#[test]
fn a_second_registration_is_refused_and_a_first_can_be_ended() {
    same(BOTH, |scene| {
        let client = scene.client();
        let server = scene.accept();
        scene.look();
        scene.note("again", scene.poller.register(&client, 3));
        scene.note("ends", scene.poller.deregister(&client));
        scene.note("ends again", scene.poller.deregister(&client));
        scene.note("server writes", server.write(b"unheard"));
        scene.look();
        scene.note("again", scene.poller.register(&client, 3));
        scene.look();
    });
}

/// One event says what neither a read nor `SO_ERROR` says (FM15). No real kernel can be made to.
#[test]
fn a_false_hang_up_is_told_once() {
    for &over in BOTH {
        let entered = Entered::new(1);
        entered.kernel.hang_up_falsely(1);
        let mut scene = Scene::new(over);
        let client = scene.client();
        scene.look();
        scene.error("client", &client);
        scene.read("client", &client, 8);
        let server = scene.accept();
        scene.note("server writes", server.write(b"bytes"));
        scene.look();
        scene.read("client", &client, 8);
        let expected = [
            r#"events ["0 {\"readable\"}", "1 {\"readable\", \"writable\", \"read closed\", \"hang-up\"}"]"#,
            "client error: ()",
            "client reads: EAGAIN",
            "accept again: EAGAIN",
            "server writes: 5",
            r#"events ["2 {\"writable\"}", "1 {\"readable\", \"writable\"}"]"#,
            "client reads: 5",
        ];
        assert_eq!(scene.notes, expected, "{over:?}");
        drop((client, server, entered));
    }
}
