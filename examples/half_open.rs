//! What `allow_half_open` changes: the same conversation twice, without it and with it.
//!
//! ```sh
//! cargo run --example half_open
//! ```
//!
//! A client asks and ends its side at once; the server needs a moment for its answer. Without `allow_half_open` the
//! accepted socket is ended by itself when the client's end arrives, and the answer comes too late. With it, the
//! server's side stays open until the server ends it. Both ends' events are printed in the order in which each saw
//! them. It ends by itself.

use std::process::ExitCode;
use std::time::Duration;

use halfclose::net::{self, Server, ServerOptions, Socket};
use halfclose::{Error, EventLoop, set_timeout};

/// How long the server thinks: long enough that everything that happens by itself has happened before.
const THINKING: Duration = Duration::from_millis(100);

/// What one end saw. It lives in the socket, and is printed when that closes.
struct Story {
    name: &'static str,
    events: Vec<String>,
}

fn main() -> ExitCode {
    for allow_half_open in [false, true] {
        println!("allow_half_open({allow_half_open}) on the server");
        if let Err(error) = converse(allow_half_open) {
            eprintln!("half_open: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// One conversation: it is over, and the loop with it, when the only connection has closed.
fn converse(allow_half_open: bool) -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;
    let options = ServerOptions::new().allow_half_open(allow_half_open);
    let server = net::create_server_with(options, |socket| {
        // One connection is enough. The server's `close` waits for it.
        if let Some(server) = socket.server() {
            server.close();
        }
        tell(socket, "server");
        socket.on_end(answer_later);
    });
    server.on_listening(ask);
    server.listen(("127.0.0.1", 0))?;
    event_loop.run()
}

fn ask(server: Server) {
    let Some(address) = server.address() else { return };
    match net::connect(address) {
        Ok(client) => {
            tell(client, "client");
            client.end_data("question");
        }
        Err(error) => {
            eprintln!("half_open: {error}");
            server.close();
        }
    }
}

/// The handle may be kept over the pause: when the socket is gone by then, every command on it does nothing.
fn answer_later(socket: Socket) {
    set_timeout(THINKING, move || {
        if socket.writable() {
            note(socket, format!("(still {}, answers)", socket.ready_state()));
            socket.end_data("answer");
        } else {
            println!("  server: (already {}, cannot answer)", socket.ready_state());
        }
    });
}

/// Notes every event of a socket, and prints them at the last.
fn tell(socket: Socket, name: &'static str) {
    socket.set_data(Story { name, events: Vec::new() });
    socket.on_connect(|socket| note(socket, "connect"));
    socket.on_data(|socket, bytes| note(socket, format!("data '{}'", String::from_utf8_lossy(bytes))));
    socket.on_end(|socket| note(socket, "end"));
    socket.on_finish(|socket| note(socket, "finish"));
    socket.on_error(|socket, error| note(socket, format!("error {error}")));
    socket.on_close(|socket, had_error| {
        note(socket, format!("close({had_error})"));
        let told = socket.with_data(|story: &mut Story| println!("  {}: {}", story.name, story.events.join(", ")));
        if let Err(error) = told {
            eprintln!("half_open: {error}");
        }
    });
}

fn note(socket: Socket, event: impl Into<String>) {
    // It fails only on a socket without a story, and every socket here has one until it is freed.
    let _ = socket.with_data(|story: &mut Story| story.events.push(event.into()));
}
