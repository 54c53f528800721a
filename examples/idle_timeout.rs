//! The idle timeout: a notification, armed anew by activity, and what to do with it.
//!
//! ```sh
//! cargo run --example idle_timeout
//! cargo run --example idle_timeout -- 1500   # with a timeout of so many milliseconds, on a machine that is slow
//! ```
//!
//! A server asks to be told when nothing happened on a connection for a while. A client that keeps talking never lets
//! that happen. When it falls silent the server is told once, and the connection stays open: nothing more comes until
//! there is activity again. At the second silence the server destroys the connection, which is what most servers do at
//! the first. Every line begins with the milliseconds since the start. It ends by itself, in less than two seconds with
//! the timeout of 300 milliseconds.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use halfclose::net::{self, Server, Socket};
use halfclose::{Error, EventLoop, set_timeout};

/// The silence after which the server is told, in milliseconds.
const IDLE: u64 = 300;

/// What part of the timeout lies between two messages of the client: so small that a slow machine does not turn it into a
/// silence.
const PACE: u32 = 5;

/// How often the client talks before it falls silent: together longer than the timeout, which shows that each message
/// arms it anew.
const MESSAGES: u32 = PACE + 1;

/// How often a server was told of a silence: the state of its socket.
struct Silences(u32);

fn main() -> ExitCode {
    let idle = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(IDLE);
    match demonstrate(Duration::from_millis(idle)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle_timeout: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate(idle: Duration) -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;
    let start = Instant::now();
    let server = net::create_server(move |socket| accept(start, idle, socket));
    server.on_listening(move |server| {
        if let Err(error) = start_client(start, idle, server) {
            eprintln!("idle_timeout: {error}");
            server.close();
        }
    });
    server.listen(("127.0.0.1", 0))?;
    event_loop.run()
}

fn accept(start: Instant, idle: Duration, socket: Socket) {
    // One connection is enough.
    if let Some(server) = socket.server() {
        server.close();
    }
    socket.set_data(Silences(0));
    socket.set_timeout(idle);
    socket.on_data(move |_, bytes| say(start, &format!("server: '{}'", String::from_utf8_lossy(bytes))));
    socket.on_timeout(move |socket| {
        let silences = socket.with_data(|silences: &mut Silences| {
            silences.0 += 1;
            silences.0
        });
        if silences.is_ok_and(|silences| silences == 1) {
            say(start, &format!("server: timeout, and the socket is still {}", socket.ready_state()));
        } else {
            say(start, "server: timeout again, destroyed");
            socket.destroy();
        }
    });
    socket.on_error(move |_, error| say(start, &format!("server: {error}")));
    socket.on_close(move |_, had_error| say(start, &format!("server: close({had_error})")));
}

fn start_client(start: Instant, idle: Duration, server: Server) -> Result<(), Error> {
    let Some(address) = server.address() else { return Ok(()) };
    let client = net::connect(address)?;
    client.on_connect(move |client| talk(client, idle, MESSAGES));
    client.on_end(move |_| say(start, "client: end"));
    client.on_error(move |_, error| say(start, &format!("client: {error}")));
    client.on_close(move |_, had_error| say(start, &format!("client: close({had_error})")));
    // Nothing is sent to it, but only a socket that flows notices the end.
    client.resume();
    Ok(())
}

/// Says something, `left` times in all; then comes a silence that is long enough for several timeouts, and one message
/// more.
fn talk(client: Socket, idle: Duration, left: u32) {
    if left > 0 {
        client.write("still here");
        set_timeout(idle / PACE, move || talk(client, idle, left - 1));
    } else {
        set_timeout(3 * idle, move || {
            client.write("back again");
        });
    }
}

fn say(start: Instant, what: &str) {
    println!("{:5} ms  {what}", start.elapsed().as_millis());
}
