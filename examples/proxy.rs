//! A proxy that passes everything on, in both directions, each of which ends on its own.
//!
//! ```sh
//! cargo run --release --example proxy -- --port 7001 --to 127.0.0.1:7000
//! ```
//!
//! It prints `listening on ADDRESS` and serves until a signal ends the process. Without arguments it demonstrates
//! itself and ends: a client asks and ends its side at once, an upstream server takes its time for a large answer, and
//! the answer arrives whole.
//!
//! Two pipes are nearly all of it. The rest are the two things that `pipe` leaves to its user: both sockets must allow
//! half-open connections, or the end of the question would cut the answer; and a connection that fails must take the
//! other one with it, for `pipe` passes on an end, not a failure.

use std::cell::Cell;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, ListenOptions, Server, ServerOptions, Socket};
use halfclose::{Error, EventLoop, set_timeout};

const USAGE: &str = "usage: proxy --port PORT --to HOST:PORT\n       proxy";

/// After how long a silence the system begins to ask whether the other end is still there. A proxy cannot know how long
/// its users may rightly be silent, so it does not limit that; but an end that vanished is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("proxy: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let outcome = match arguments {
        Arguments::Serve { port, host, to_port } => serve(port, host, to_port),
        Arguments::Demonstrate => demonstrate(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: u16, host: String, to_port: u16) -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;
    let server = create_proxy(host, to_port);
    server.on_listening(announce);
    server.on_error(|_, error| {
        eprintln!("proxy: {error}");
        process::exit(1);
    });
    server.listen(ListenOptions::new().host("127.0.0.1").port(port))?;
    event_loop.run()
}

/// The proxy itself: a server that connects each of its sockets to `host` and `port`.
fn create_proxy(host: String, port: u16) -> Server {
    let options =
        ServerOptions::new().allow_half_open(true).no_delay(true).keep_alive(true).keep_alive_initial_delay(KEEP_ALIVE);
    net::create_server_with(options, move |near| {
        let to = ConnectOptions::new().host(host.clone()).port(port);
        let to = to.allow_half_open(true).no_delay(true).keep_alive(true).keep_alive_initial_delay(KEEP_ALIVE);
        match net::connect(to) {
            Ok(far) => join(near, far),
            Err(error) => {
                eprintln!("proxy: {error}");
                // An `Err` on unix sockets only, which know no resets.
                let _ = near.reset_and_destroy();
            }
        }
    })
}

/// What is read before `far` is connected waits in its queue, up to the high-water mark; then `near` is read no
/// further.
fn join(near: Socket, far: Socket) {
    near.pipe(far);
    far.pipe(near);
    near.on_close(move |_, had_error| fail_with(far, had_error));
    far.on_close(move |_, had_error| fail_with(near, had_error));
    near.on_error(|_, error| eprintln!("proxy: client: {error}"));
    far.on_error(|_, error| eprintln!("proxy: upstream: {error}"));
}

/// The neighbour of a socket that closed. Without an error there is nothing to do: a socket closes when both directions
/// have ended, and then its neighbour is about to. After an error it must not end in good order, since what it was sent
/// would look complete: it is reset.
fn fail_with(neighbour: Socket, had_error: bool) {
    if !had_error || neighbour.destroyed() {
        return;
    }
    if neighbour.connecting() {
        // A reset would wait for the connection.
        neighbour.destroy();
    } else {
        // An `Err` on unix sockets only, which know no resets.
        let _ = neighbour.reset_and_destroy();
    }
}

fn announce(server: Server) {
    let Some(address) = server.address() else { return };
    let mut output = io::stdout().lock();
    // Flushed, because whoever started this may wait for the line. That nobody reads it is no reason not to serve.
    let _ = writeln!(output, "listening on {address}").and_then(|()| output.flush());
}

/// How much the demonstration's upstream answers: many times what the pipes and the kernel hold, so that it cannot
/// arrive without backpressure.
const ANSWER: usize = 32 << 20;

/// How long it thinks: long enough that a proxy that cuts the answer has done so.
const THINKING: Duration = Duration::from_millis(100);

/// An upstream server, a proxy and a client in one process.
fn demonstrate() -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;
    let received = Rc::new(Cell::new(0));
    let upstream = net::create_server_with(ServerOptions::new().allow_half_open(true), answer_after_the_end);
    let counter = received.clone();
    upstream.on_listening(move |upstream| {
        let counter = counter.clone();
        if let Err(error) = start_proxy(upstream, counter) {
            eprintln!("proxy: {error}");
            upstream.close();
        }
    });
    upstream.listen(("127.0.0.1", 0))?;
    event_loop.run()?;

    if received.get() != ANSWER {
        return Err(Error::from(format!("{} of {ANSWER} bytes arrived", received.get())));
    }
    println!("nothing was cut");
    Ok(())
}

fn answer_after_the_end(socket: Socket) {
    socket.on_data(|_, bytes| println!("upstream: asked '{}'", String::from_utf8_lossy(bytes)));
    socket.on_end(|socket| {
        println!("upstream: the question has ended, thinking");
        set_timeout(THINKING, move || {
            println!("upstream: answers");
            socket.end_data(vec![b'!'; ANSWER]);
        });
    });
}

fn start_proxy(upstream: Server, received: Rc<Cell<usize>>) -> Result<(), Error> {
    let Some(address) = upstream.address() else { return Ok(()) };
    let proxy = create_proxy(address.ip().to_string(), address.port());
    proxy.on_listening(move |proxy| {
        if let Err(error) = start_client(proxy, upstream, received.clone()) {
            eprintln!("proxy: {error}");
            proxy.close();
            upstream.close();
        }
    });
    proxy.listen(("127.0.0.1", 0))?;
    Ok(())
}

fn start_client(proxy: Server, upstream: Server, received: Rc<Cell<usize>>) -> Result<(), Error> {
    let Some(address) = proxy.address() else { return Ok(()) };
    // The client's own side ends first, so it needs no `allow_half_open`.
    let client = net::connect(address)?;
    client.end_data("how much?");
    client.on_finish(|_| println!("client: asked, and ended its side"));
    let counter = received.clone();
    client.on_data(move |_, bytes| counter.set(counter.get() + bytes.len()));
    client.on_end(move |_| println!("client: the answer has ended, {} bytes", received.get()));
    client.on_close(move |_, _| {
        proxy.close();
        upstream.close();
    });
    Ok(())
}

/// What the command line says.
enum Arguments {
    Serve { port: u16, host: String, to_port: u16 },
    Demonstrate,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Arguments, String> {
        let mut port = None;
        let mut to = None;
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy();
            let mut value = || {
                let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
                value.into_string().map_err(|value| format!("{name}: {value:?} is not text"))
            };
            match &*name {
                "--port" => port = Some(parse_port("--port", &value()?)?),
                "--to" => to = Some(parse_target(&value()?)?),
                _ => return Err(format!("unknown argument {name:?}")),
            }
        }
        match (port, to) {
            (Some(port), Some((host, to_port))) => Ok(Arguments::Serve { port, host, to_port }),
            (None, None) => Ok(Arguments::Demonstrate),
            (Some(_), None) => Err("--to is missing".into()),
            (None, Some(_)) => Err("--port is missing".into()),
        }
    }
}

fn parse_port(name: &str, text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{name}: {text:?} is not between 0 and 65535"))
}

/// `HOST:PORT`. The host of an IPv6 address stands in brackets, as in a URL.
fn parse_target(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("--to: {text:?} is not HOST:PORT"))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return Err(format!("--to: {text:?} names no host"));
    }
    Ok((host.to_owned(), parse_port("--to", port)?))
}
