//! The same programs on the real kernel and on the simulated one: whole logs are compared.
//!
//! May touch: the public API and the loopback interface. Invariant: what is logged has no port, no path and no time in it.

mod addresses;
mod ending;
mod flowing;
mod resetting;

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use halfclose::net::{self, ConnectOptions, ListenOptions, Server, ServerOptions, Socket, SocketOptions};
use halfclose::{Error, EventLoop, set_immediate};

use crate::support::{DEADLINE, Log, within};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Unix,
}

/// One server and one client, and what they do.
pub(crate) struct Play {
    pub(crate) server: fn() -> ServerOptions,
    pub(crate) client: fn() -> SocketOptions,
    pub(crate) accepted: fn(Socket, Log),
    pub(crate) connecting: fn(Socket, Log),
}

impl Default for Play {
    fn default() -> Play {
        Play { server: ServerOptions::new, client: SocketOptions::new, accepted: |_, _| {}, connecting: |_, _| {} }
    }
}

/// Plays on both kernels over `transports`, and compares what both ends, and the server, saw.
#[track_caller]
pub(crate) fn same_on(transports: &[Over], play: &Play) {
    for &over in transports {
        same(|event_loop, log| perform(event_loop, over, play, log));
    }
}

#[track_caller]
pub(crate) fn same_everywhere(play: &Play) {
    same_on(&[Over::Tcp, Over::Unix], play);
}

/// Runs a program on both kernels and compares all that it logged.
#[track_caller]
pub(crate) fn same(program: impl Fn(&mut EventLoop, Log)) {
    within(DEADLINE, || {
        let run = |mut event_loop: EventLoop| {
            let log = Log::new();
            program(&mut event_loop, log);
            assert_eq!(event_loop.connections(), 0, "{}", log.whole());
            if let Some(simulation) = event_loop.simulation() {
                let accounts = simulation.accounts();
                assert_eq!((accounts.open_descriptors, accounts.registered_descriptors), (0, 0), "{}", log.whole());
            }
            log
        };
        let real = run(EventLoop::new().expect("a loop"));
        let simulated = run(EventLoop::simulated(1).expect("a loop"));
        assert!(!real.list().is_empty());
        for endpoint in ["C", "S", "srv"] {
            let (real_part, simulated_part) = (real.of(endpoint), simulated.of(endpoint));
            assert!(
                real_part == simulated_part,
                "{endpoint}\n     real: {real_part}\nsimulated: {simulated_part}\n real, all: {}\n simulated, all: {}",
                real.whole(),
                simulated.whole()
            );
        }
    });
}

fn perform(event_loop: &mut EventLoop, over: Over, play: &Play, log: Log) {
    let path = unique_path();
    let open_ends = Rc::new(Cell::new(2));
    let server = Server::with_options((play.server)());
    watch_server(server, log);
    let (accepted, connecting, options) = (play.accepted, play.connecting, play.client);
    let ends = open_ends.clone();
    server.on_connection(move |server, socket| {
        log.add("S", "connection");
        watch("S", socket, log);
        close_after_both(server, socket, &ends);
        accepted(socket, log);
    });
    let target = path.clone();
    server.once_listening(move |server| {
        let socket = Socket::with_options(options());
        watch("C", socket, log);
        close_after_both(server, socket, &open_ends);
        let to = match server.address() {
            Some(address) => ConnectOptions::new().host("127.0.0.1").port(address.port()),
            None => ConnectOptions::new().path(target.clone()),
        };
        socket.connect(to).expect("a valid target");
        connecting(socket, log);
    });
    let at = match over {
        Over::Tcp => ListenOptions::new().host("127.0.0.1").port(0),
        Over::Unix => ListenOptions::new().path(path),
    };
    server.listen(at).expect("a valid address");
    event_loop.run().expect("no unhandled error");
}

/// A server closes when both ends have closed, unless the play has closed it.
fn close_after_both(server: Server, socket: Socket, open_ends: &Rc<Cell<i32>>) {
    let open_ends = open_ends.clone();
    socket.on_close(move |_, _| {
        open_ends.set(open_ends.get() - 1);
        if open_ends.get() <= 0 && server.listening() {
            server.close();
        }
    });
}

pub(crate) fn watch_server(server: Server, log: Log) {
    server.on_listening(move |_| log.add("srv", "listening"));
    server.on_drop(move |_, _| log.add("srv", "drop"));
    server.on_error(move |_, error| log.add("srv", error_text(error)));
    server.on_close(move |_| log.add("srv", "close"));
}

/// Every event but `data`.
pub(crate) fn watch(name: &'static str, socket: Socket, log: Log) {
    socket.on_connect(move |_| log.add(name, "connect"));
    socket.on_ready(move |_| log.add(name, "ready"));
    socket.on_end(move |_| log.add(name, "end"));
    socket.on_finish(move |_| log.add(name, "finish"));
    socket.on_drain(move |_| log.add(name, "drain"));
    socket.on_timeout(move |_| log.add(name, "timeout"));
    socket.on_error(move |_, error| log.add(name, error_text(error)));
    socket.on_close(move |socket, had_error| {
        log.add(name, format!("close({had_error}) {} {}", socket.bytes_read(), socket.bytes_written()));
    });
}

pub(crate) fn error_text(error: &Error) -> String {
    format!("error({} {})", error.syscall().unwrap_or("-"), error.code().unwrap_or("-"))
}

/// The outcome of a write.
pub(crate) fn told(name: &'static str, what: &'static str, log: Log) -> impl FnOnce(Socket, Result<(), &Error>) {
    move |_, result| match result {
        Ok(()) => log.add(name, what),
        Err(error) => log.add(name, format!("{what} {}", error_text(error))),
    }
}

/// A path that nobody else has, and that needs no file afterwards.
pub(crate) fn unique_path() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("halfclose-both-{}-{number}", std::process::id()))
}

/// Does something in the last of so many immediates, each of which the one before it sets: there is one in each turn.
pub(crate) fn turns_later(turns: u32, then: impl FnOnce() + 'static) {
    set_immediate(move || match turns {
        0 | 1 => then(),
        _ => turns_later(turns - 1, then),
    });
}

/// Echoes what comes.
pub(crate) fn echo(socket: Socket, log: Log) {
    socket.on_data(move |socket, bytes| {
        log.add_data("S");
        socket.write(bytes);
    });
}

/// Logs that something came.
pub(crate) fn listen_to(name: &'static str, socket: Socket, log: Log) {
    socket.on_data(move |_, _| log.add_data(name));
}

/// A server on 127.0.0.1 that is watched, for programs with a shape of their own.
pub(crate) fn server_with(log: Log, accepted: impl FnMut(Socket) + 'static) -> Server {
    let server = net::create_server(accepted);
    watch_server(server, log);
    server
}
