//! A run that was recorded is replayed with the same events, and without a network; what cannot be replayed is an error.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use halfclose::net::{self, Server};
use halfclose::{Error, EventLoop, LoopHandle, set_timeout};

use crate::support::{DEADLINE, RawPeer, in_thread, loopback, port_of, refusing_port, within};

/// A file of the test's own, gone in the end.
struct Recording(PathBuf);

impl Recording {
    fn new() -> Recording {
        static FILES: AtomicU32 = AtomicU32::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        Recording(std::env::temp_dir().join(format!("halfclose-recording-{}-{number}", std::process::id())))
    }

    /// The same with one change.
    fn changed(&self, change: impl FnOnce(&mut Vec<u8>)) -> Recording {
        let mut bytes = fs::read(&self.0).expect("a recording");
        change(&mut bytes);
        let changed = Recording::new();
        fs::write(&changed.0, bytes).expect("a file");
        changed
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Every event, with its place in the loop's turns and the bytes of it.
type Events = Rc<RefCell<Vec<String>>>;

fn note(events: &Events, text: String) {
    let here = halfclose::position().expect("a loop");
    events.borrow_mut().push(format!("{here:?} {text}"));
}

/// The server of the example `echo`, with each event written down. It closes after so many connections.
fn echo(events: &Events, connections: usize) -> Server {
    let closed = Rc::new(Cell::new(0));
    let names = Rc::new(Cell::new(0));
    let events = events.clone();
    let server = Server::new();
    server.on_connection(move |server, socket| {
        names.set(names.get() + 1);
        let name = names.get();
        note(&events, format!("{name} connection {:?}", socket.remote_address()));
        let log = events.clone();
        socket.on_data(move |socket, bytes| {
            note(&log, format!("{name} data {} {bytes:?}", bytes.len()));
            socket.write(bytes);
        });
        let log = events.clone();
        socket.on_drain(move |_| note(&log, format!("{name} drain")));
        let log = events.clone();
        socket.on_end(move |_| note(&log, format!("{name} end")));
        let log = events.clone();
        socket.on_error(move |_, error| note(&log, format!("{name} {error}")));
        let (log, closed) = (events.clone(), closed.clone());
        socket.on_close(move |socket, had_error| {
            note(&log, format!("{name} close {had_error} {} {}", socket.bytes_read(), socket.bytes_written()));
            closed.set(closed.get() + 1);
            if closed.get() == connections {
                server.close();
            }
        });
    });
    server.listen(("127.0.0.1", 0)).expect("listen");
    server
}

/// A client that is quick, one that sends much at once, one that resets.
fn client(port: u16, number: usize) {
    let mut peer = RawPeer::connect(loopback(port));
    match number % 3 {
        0 => {
            for round in 0..20_u8 {
                peer.write(&[round; 100]);
                assert_eq!(peer.read_exact(100), [round; 100]);
            }
        }
        1 => {
            peer.write(&vec![number as u8; 200_000]);
            assert_eq!(peer.read_exact(200_000), vec![number as u8; 200_000]);
        }
        _ => {
            peer.write(b"and away");
            peer.read_exact(8);
            peer.reset();
            return;
        }
    }
    peer.half_close();
    assert_eq!(peer.drain(), (0, None));
}

const CLIENTS: usize = 12;

/// Runs the server; `clients` is given its port when it listens.
fn serve(event_loop: &mut EventLoop, clients: impl FnOnce(u16) + 'static) -> (Result<(), Error>, Vec<String>) {
    let events = Events::default();
    let server = echo(&events, CLIENTS);
    server.once_listening(move |server| clients(port_of(server)));
    let result = event_loop.run();
    (result, events.take())
}

fn recorded_echo(recording: &Recording) -> Vec<String> {
    let mut event_loop = EventLoop::recorded(&recording.0).expect("a loop");
    let (result, events) = serve(&mut event_loop, |port| {
        for number in 0..CLIENTS {
            // Nobody waits for them but the server, which sees each of them close.
            drop(in_thread(move || client(port, number)));
        }
    });
    result.expect("run");
    events
}

/// The server under load, then once more with nobody there: the same events at the same places. A third time, because a
/// recording is not used up.
#[test]
fn a_recorded_run_is_replayed() {
    within(DEADLINE, || {
        let recording = Recording::new();
        let events = recorded_echo(&recording);
        assert!(events.len() > CLIENTS * 3, "{events:?}");
        for _ in 0..2 {
            let mut event_loop = EventLoop::replayed(&recording.0).expect("a loop");
            let (result, replayed) = serve(&mut event_loop, |_| {});
            result.expect("a replay to its end");
            assert_eq!(replayed, events);
        }
    });
}

/// Cut anywhere, it is an error and no panic, and what came before is as it was.
#[test]
fn a_truncated_recording() {
    within(DEADLINE, || {
        let recording = Recording::new();
        let events = recorded_echo(&recording);
        let length = fs::metadata(&recording.0).expect("a file").len() as usize;
        for kept in [23, 25, 30, 31, 100, length / 2, length - 1] {
            let cut = recording.changed(|bytes| bytes.truncate(kept));
            let mut event_loop = EventLoop::replayed(&cut.0).expect("it begins as one");
            let (result, replayed) = serve(&mut event_loop, |_| {});
            assert_eq!(result.expect_err("it ends too early").code(), Some("ERR_RECORDING_TRUNCATED"), "{kept}");
            assert!(replayed.len() < events.len());
        }
        for kept in [0, 1, 21] {
            let cut = recording.changed(|bytes| bytes.truncate(kept));
            assert_eq!(EventLoop::replayed(&cut.0).expect_err("nothing").code(), Some("ERR_RECORDING_CORRUPT"));
        }
    });
}

/// A byte that is another one is found, wherever it is: at 64 places over the file.
#[test]
fn a_damaged_recording() {
    within(DEADLINE, || {
        let recording = Recording::new();
        recorded_echo(&recording);
        let length = fs::metadata(&recording.0).expect("a file").len() as usize;
        for place in (0..64).map(|part| part * (length - 1) / 63) {
            let damaged = recording.changed(|bytes| bytes[place] ^= 0x20);
            let error = match EventLoop::replayed(&damaged.0) {
                Err(error) => error,
                Ok(mut event_loop) => serve(&mut event_loop, |_| {}).0.expect_err("it is damaged"),
            };
            let code = error.code().expect("a code");
            assert!(["ERR_RECORDING_CORRUPT", "ERR_RECORDING_TRUNCATED"].contains(&code), "{place}: {error}");
        }
    });
}

/// A program that does something else is told so: one that writes other bytes, and one that goes on after the end.
#[test]
fn a_program_that_does_something_else() {
    within(DEADLINE, || {
        let recording = Recording::new();
        recorded_echo(&recording);
        let mut event_loop = EventLoop::replayed(&recording.0).expect("a loop");
        let server = net::create_server(|socket| {
            socket.on_error(|_, _| {});
            socket.on_data(|socket, bytes| {
                socket.write(bytes.to_ascii_uppercase());
                socket.write("more");
            });
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        let error = event_loop.run().expect_err("it is another program");
        assert_eq!(error.code(), Some("ERR_REPLAY_DIVERGED"), "{error}");
        let again = event_loop.run().expect_err("it stays so");
        assert_eq!(again.code(), Some("ERR_REPLAY_DIVERGED"));
        drop(event_loop);

        let mut event_loop = EventLoop::replayed(&recording.0).expect("a loop");
        serve(&mut event_loop, |_| {}).0.expect("the same program");
        set_timeout(Duration::from_millis(1), || {});
        assert_eq!(event_loop.run().expect_err("more than was recorded").code(), Some("ERR_REPLAY_DIVERGED"));
    });
}

/// Names, timers, refusals and what other threads post: the answers come from the recording, the posts from the program's
/// threads, which run again.
#[test]
fn names_timers_and_posts() {
    /// What happens, in its order.
    fn program(event_loop: &mut EventLoop, port: u16) -> Vec<String> {
        let events = Events::default();
        let log = events.clone();
        let (done, wait) = mpsc::channel::<()>();
        let handle: LoopHandle = event_loop.handle();
        let guard = event_loop.keep_alive();
        let socket = net::connect(("localhost", port)).expect("connect");
        socket.on_lookup(move |_, lookup| note(&log, format!("{lookup:?}")));
        let log = events.clone();
        socket.on_error(move |_, error| note(&log, format!("{error}")));
        let log = events.clone();
        socket.on_close(move |_, had_error| {
            note(&log, format!("close {had_error}"));
            let log = log.clone();
            let done = done.clone();
            set_timeout(Duration::from_millis(5), move || {
                note(&log, "timer".to_owned());
                done.send(()).expect("the thread waits");
            });
        });
        let thread = in_thread(move || {
            wait.recv().expect("the timer");
            for _ in 0..3 {
                assert!(handle.post(|| {}).is_ok());
            }
            handle.stop();
        });
        event_loop.run().expect("run");
        thread.join();
        drop(guard);
        note_stats(event_loop, &events);
        events.take()
    }

    fn note_stats(event_loop: &EventLoop, events: &Events) {
        let stats = event_loop.stats();
        events.borrow_mut().push(format!("{} {} {} {}", stats.turns, stats.callbacks, stats.posts, stats.lookups));
    }

    within(DEADLINE, || {
        let recording = Recording::new();
        let (_held, port) = refusing_port();
        let mut event_loop = EventLoop::recorded(&recording.0).expect("a loop");
        let events = program(&mut event_loop, port);
        drop(event_loop);
        assert!(events.len() >= 5, "{events:?}");
        let mut event_loop = EventLoop::replayed(&recording.0).expect("a loop");
        assert_eq!(program(&mut event_loop, port), events);
    });
}

/// What has no place in a recording is refused when it is recorded, not when it is replayed.
#[test]
fn what_cannot_be_recorded() {
    within(DEADLINE, || {
        let recording = Recording::new();
        let event_loop = EventLoop::recorded(&recording.0).expect("a loop");
        let (near, _far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let refused = halfclose::watch(near, halfclose::Interest::READABLE, |_, _, _| {}).expect_err("a watch");
        assert_eq!(refused.code(), Some("ENOTSUP"));
        drop(event_loop);
        let missing = recording.0.join("below a file");
        assert_eq!(EventLoop::recorded(missing).expect_err("no such folder").code(), Some("ENOTDIR"));
        // Neither left a loop behind.
        drop(EventLoop::new().expect("a loop"));
    });
}
