//! The random program's servers, and what connects to them.
//!
//! May touch: the public API. Invariant: as in `commands`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, ListenOptions, Server, ServerOptions, Socket, SocketOptions};

use crate::commands;
use crate::model::{Before, ServerModel, handle_is_gone};
use crate::storm::Shared;
use crate::weather::{HOSTS, NAMES, SILENT};
use crate::witness;

const MOST_SERVERS: usize = 4;

/// A new server, which listens to an address or at an abstract name.
pub fn open(storm: &Shared) {
    let index = storm.model.borrow().servers.len();
    if index >= MOST_SERVERS {
        return;
    }
    let options = ServerOptions::new()
        .allow_half_open(storm.once_in(3))
        .pause_on_connect(storm.once_in(6))
        .no_delay(storm.once_in(2))
        .keep_alive(storm.once_in(4))
        .batch_writes(storm.once_in(4))
        .high_water_mark(storm.pick(&[0, 10, 1_000, 65_536, 65_536]));
    let handle = Server::with_options(options);
    let path = storm.once_in(3).then(|| name(index));
    storm.trace(|| format!("server {index} at {path:?}"));
    storm.model.borrow_mut().servers.push(ServerModel { handle, path, released: false });
    witness::watch_server(storm, index, handle);
    listen(storm, index);
}

fn listen(storm: &Shared, index: usize) {
    let (server, path) = {
        let model = storm.model.borrow();
        (model.servers[index].handle, model.servers[index].path.clone())
    };
    let mut options = match path {
        Some(path) => ListenOptions::new().path(path),
        None if storm.once_in(2) => ListenOptions::new().port(0),
        None => ListenOptions::new().host(storm.pick(&HOSTS).to_string()).port(0),
    };
    options = options.backlog(storm.pick(&[0, 1, 5]));
    storm.trace(|| format!("server {index}.listen()"));
    let listening = server.listening();
    let result = storm.silently("listen", || server.listen(options));
    let released = storm.model.borrow().servers[index].released;
    match result {
        Ok(_) => storm.require(!listening && !released, || format!("server {index} listens twice")),
        Err(error) => {
            storm.require(listening || released, || format!("server {index}.listen(): {error}"));
        }
    }
}

/// One random command to a server, or a new one.
pub fn on_server(storm: &Shared) {
    let servers = storm.model.borrow().servers.len();
    if servers == 0 || storm.once_in(5) {
        return open(storm);
    }
    let index = storm.below(servers);
    let server = storm.model.borrow().servers[index].handle;
    match storm.below(9) {
        0 => close(storm, index, storm.once_in(2)),
        1 | 2 => listen(storm, index),
        3 | 4 => {
            let most = storm.pick(&[None, None, Some(0), Some(1), Some(3)]);
            storm.trace(|| format!("server {index}.set_max_connections({most:?})"));
            storm.silently("set_max_connections", || server.set_max_connections(most));
        }
        5 => {
            storm.silently("ref", || if storm.once_in(2) { server.ref_() } else { server.unref() });
        }
        6 => {
            storm.silently("a setting", || {
                server.set_allow_half_open(storm.once_in(2));
                server.set_pause_on_connect(storm.once_in(4));
                server.set_batch_writes(storm.once_in(2));
                server.set_high_water_mark(storm.pick(&[0, 100, 65_536]));
                server.set_keep_alive(storm.once_in(2));
            });
        }
        7 => {
            let owed = storm.owe("get_connections", None);
            let shared = storm.clone();
            storm.silently("get_connections", || {
                server.get_connections(move |_| {
                    shared.called("a callback");
                    shared.paid(owed);
                    commands::react(&shared, None);
                })
            });
        }
        _ => {
            let shared = storm.clone();
            storm.silently("on", || {
                server.once_connection(move |_, _| {
                    shared.called("a listener");
                    commands::react(&shared, None);
                })
            });
        }
    }
}

/// Stops listening, with or without a callback.
pub fn close(storm: &Shared, index: usize, with_callback: bool) {
    let server = storm.model.borrow().servers[index].handle;
    storm.trace(|| format!("server {index}.close(), callback: {with_callback}"));
    if with_callback {
        let owed = storm.owe("close", None);
        let shared = storm.clone();
        storm.silently("close", || {
            server.close_with(move |_, _| {
                shared.called("a callback");
                shared.paid(owed);
                commands::react(&shared, None);
            })
        });
    } else {
        storm.silently("close", || server.close());
    }
    storm.require(!server.listening(), || format!("server {index} listens after close (S21)"));
}

/// Where a client may go: to a server, or to nobody.
enum Target {
    Server(usize, SocketAddr),
    Path(usize, PathBuf),
    Nobody,
}

fn target(storm: &Shared) -> Target {
    let model = storm.model.borrow();
    if model.servers.is_empty() || storm.once_in(12) {
        return Target::Nobody;
    }
    let index = storm.below(model.servers.len());
    let server = &model.servers[index];
    match (&server.path, server.handle.address()) {
        (Some(path), _) => Target::Path(index, path.clone()),
        (None, Some(address)) if address.ip().is_unspecified() => {
            Target::Server(index, SocketAddr::new(storm.pick(&HOSTS), address.port()))
        }
        (None, Some(address)) => Target::Server(index, address),
        (None, None) => Target::Nobody,
    }
}

/// Connects a new socket, or `index` again.
pub fn connect_somewhere(storm: &Shared, index: Option<usize>) {
    let target = target(storm);
    let (mut options, unix, wanted) = match target {
        Target::Server(server, address) => {
            let host = if storm.once_in(6) { storm.pick(&NAMES).to_owned() } else { address.ip().to_string() };
            (ConnectOptions::new().host(host).port(address.port()), false, Some(server))
        }
        Target::Path(server, path) => (ConnectOptions::new().path(path), true, Some(server)),
        Target::Nobody => {
            let host = storm.pick(&[HOSTS[0], HOSTS[1], SILENT]);
            (ConnectOptions::new().host(host.to_string()).port(1), false, None)
        }
    };
    let sockets = storm.model.borrow().sockets.len();
    let index = match index {
        Some(index) => index,
        None if sockets >= commands::MOST_SOCKETS => return,
        None => {
            let mut made = SocketOptions::new()
                .allow_half_open(storm.once_in(3))
                .no_delay(storm.once_in(2))
                .batch_writes(storm.once_in(4));
            if storm.once_in(3) {
                made = made.high_water_mark(storm.pick(&[0, 10, 1_000]));
            }
            if storm.once_in(8) {
                if let Some(controller) = storm.controllers.borrow().last() {
                    made = made.signal(&controller.signal());
                }
            }
            let socket = Socket::with_options(made);
            let index = storm.model.borrow_mut().add_socket(socket);
            storm.trace(|| format!("socket {index}: new"));
            witness::watch(storm, index, socket);
            match storm.below(6) {
                0 => commands::own_buffer(storm, index),
                1 => {}
                _ => witness::consume(storm, index, socket),
            }
            if storm.once_in(12) {
                // Left as it is, for others to write to and to connect.
                return;
            }
            index
        }
    };
    if storm.once_in(6) {
        options = options.timeout(Duration::from_millis(5));
    }
    let socket = storm.handle(index);
    let (connecting, stale) = (socket.connecting(), handle_is_gone(socket));
    let before = Before {
        destroyed: socket.destroyed(),
        errored: socket.errored().map(|error| error.message().to_owned()),
        now: storm.now(),
    };
    let open = !socket.pending();
    let settled = storm.model.borrow_mut().settle(index);
    storm.check(settled);
    if connecting && storm.model.borrow().is_unix(index) != unix {
        // Node has no answer to that.
        return;
    }
    storm.trace(|| format!("socket {index}.connect() to {wanted:?}, unix: {unix}"));
    if connecting {
        let mut model = storm.model.borrow_mut();
        let current = model.sockets[index].current;
        model.connections[current].doubtful = true;
    }
    let result = if unix {
        connect_aloud(storm, index, socket, options, wanted, before)
    } else {
        let result = storm.silently("connect", || socket.connect(options));
        if result.is_ok() && !connecting {
            storm.model.borrow_mut().attempt(index, unix, wanted, before);
        }
        result.map(drop)
    };
    match result {
        Ok(()) => storm.require(!stale && !open, || format!("socket {index} connected again, open: {open}")),
        Err(error) => {
            storm.require(stale || open, || format!("socket {index}.connect(): {error}"));
        }
    }
}

/// To a path: `connectionAttempt` comes within the call, so the model must know of the attempt before it.
fn connect_aloud(
    storm: &Shared,
    index: usize,
    socket: Socket,
    options: ConnectOptions,
    wanted: Option<usize>,
    before: Before,
) -> Result<(), halfclose::Error> {
    let possible = !handle_is_gone(socket) && !socket.connecting() && socket.pending();
    if possible {
        storm.model.borrow_mut().attempt(index, true, wanted, before);
    }
    let result = storm.aloud(|| socket.connect(options)).map(drop);
    if let (true, Err(error)) = (possible, &result) {
        storm.violated(format!("socket {index}.connect(): {error}"));
    }
    result
}

/// The simulated machine has names of its own, so other runs are not in the way.
fn name(index: usize) -> PathBuf {
    net::abstract_name(format!("storm-{index}"))
}
