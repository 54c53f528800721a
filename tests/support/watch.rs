//! Listeners and callbacks that record every event of a socket or a server in a log.
//!
//! May touch: the public API and the log. Invariant: no listener is attached that a caller did not ask for, because a
//! `data` listener starts the flow and an `error` listener keeps `run()` going.

use halfclose::Error;
use halfclose::net::{Server, Socket};

use super::log::Log;

/// Records every event of a socket but `data`, whose listener would start the flow.
pub fn watch_socket(log: &Log, endpoint: &str, socket: Socket) {
    let log = *log;
    let name = endpoint.to_owned();
    socket.on_connection_attempt(move |_, _| log.add(&name, "connectionAttempt"));
    let name = endpoint.to_owned();
    socket.on_connection_attempt_failed(move |_, _, error| {
        log.add(&name, format!("connectionAttemptFailed({})", error.code().unwrap_or("no code")));
    });
    let name = endpoint.to_owned();
    socket.on_connect(move |_| log.add(&name, "connect"));
    let name = endpoint.to_owned();
    socket.on_ready(move |_| log.add(&name, "ready"));
    let name = endpoint.to_owned();
    socket.on_end(move |_| log.add(&name, "end"));
    let name = endpoint.to_owned();
    socket.on_finish(move |_| log.add(&name, "finish"));
    let name = endpoint.to_owned();
    socket.on_drain(move |_| log.add(&name, "drain"));
    let name = endpoint.to_owned();
    socket.on_timeout(move |_| log.add(&name, "timeout"));
    let name = endpoint.to_owned();
    socket.on_error(move |_, error| log.add(&name, format!("error({})", describe(error))));
    let name = endpoint.to_owned();
    socket.on_close(move |_, had_error| log.add(&name, format!("close({had_error})")));
}

/// Records `data`, without its bytes. Starts the flow, as any `data` listener does.
pub fn watch_data(log: &Log, endpoint: &str, socket: Socket) {
    let (log, name) = (*log, endpoint.to_owned());
    socket.on_data(move |_, _| log.add_data(&name));
}

/// Records `data(5)`.
pub fn watch_data_length(log: &Log, endpoint: &str, socket: Socket) {
    let (log, name) = (*log, endpoint.to_owned());
    socket.on_data(move |_, bytes| log.add_data_length(&name, bytes.len()));
}

/// Records `data(hello)`.
pub fn watch_data_bytes(log: &Log, endpoint: &str, socket: Socket) {
    let (log, name) = (*log, endpoint.to_owned());
    socket.on_data(move |_, bytes| log.add_data_bytes(&name, bytes));
}

/// Records every event of a server.
pub fn watch_server(log: &Log, endpoint: &str, server: Server) {
    let log = *log;
    let name = endpoint.to_owned();
    server.on_listening(move |_| log.add(&name, "listening"));
    let name = endpoint.to_owned();
    server.on_connection(move |_, _| log.add(&name, "connection"));
    let name = endpoint.to_owned();
    server.on_error(move |_, error| log.add(&name, format!("error({})", describe(error))));
    let name = endpoint.to_owned();
    server.on_close(move |_| log.add(&name, "close"));
}

/// A completion callback that records `name`, or `name(why)` when it got an error.
pub fn callback(log: &Log, endpoint: &str, name: &str) -> impl FnOnce(Socket, Result<(), &Error>) + 'static + use<> {
    let (log, endpoint, name) = (*log, endpoint.to_owned(), name.to_owned());
    move |_socket: Socket, result: Result<(), &Error>| log.add(&endpoint, outcome(&name, result))
}

/// The same for a server's close callback.
pub fn server_callback(
    log: &Log,
    endpoint: &str,
    name: &str,
) -> impl FnOnce(Server, Result<(), &Error>) + 'static + use<> {
    let (log, endpoint, name) = (*log, endpoint.to_owned(), name.to_owned());
    move |_server: Server, result: Result<(), &Error>| log.add(&endpoint, outcome(&name, result))
}

/// `name`, or `name(why)` for an error.
pub fn outcome(name: &str, result: Result<(), &Error>) -> String {
    match result {
        Ok(()) => name.to_owned(),
        Err(error) => format!("{name}({})", describe(error)),
    }
}

/// An error in a few words that hold no ephemeral port: `read ECONNRESET`, else the code, else the message.
pub fn describe(error: &Error) -> String {
    match (error.syscall(), error.code()) {
        (Some(syscall), Some(code)) => format!("{syscall} {code}"),
        (None, Some(code)) => code.to_owned(),
        (Some(_), None) | (None, None) => error.message().to_string(),
    }
}
