//! A chat room: what one says goes to all others.
//!
//! ```sh
//! cargo run --release --example chat -- --port 7000
//! ```
//!
//! It prints `listening on ADDRESS` and serves until a signal ends the process. Join with `cargo run --example client
//! -- 127.0.0.1 7000`; the first line is the name. Without arguments it demonstrates itself and ends: two members talk,
//! and a third one that never reads is dropped.
//!
//! A line is made once, and every socket's queue shares it: the cost of a member who is behind is a pointer per line,
//! not a copy. But `write` queues without a limit, and a chat cannot pause a room for its slowest reader as a pipe
//! would. So there is one: who is too far behind is dropped.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::rc::Rc;

use halfclose::net::{self, Chunk, Encoding, ListenOptions, Server, ServerOptions, Socket};
use halfclose::{Error, EventLoop};

const USAGE: &str = "usage: chat --port PORT [--host HOST]\n       chat";

/// How much may wait for one member, in bytes, beside what the kernel holds for it (which is megabytes): hundreds of
/// lines that a person will not catch up with. With it, `members × BEHIND` bounds what the server keeps.
const BEHIND: usize = 256 * 1024;

/// The longest line, in bytes: a screenful. A member whose line never ends is dropped instead of remembered.
const LINE: usize = 4096;

/// The longest name, in characters: what leaves room for what is said.
const NAME: usize = 24;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("chat: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let outcome = match arguments {
        Arguments::Serve { host, port } => serve(host, port),
        Arguments::Demonstrate => demonstrate(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(host: String, port: u16) -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;
    let server = create_room();
    server.on_listening(announce);
    server.on_error(|_, error| {
        eprintln!("chat: {error}");
        process::exit(1);
    });
    server.listen(ListenOptions::new().host(host).port(port))?;
    event_loop.run()
}

fn announce(server: Server) {
    let Some(address) = server.address() else { return };
    let mut output = io::stdout().lock();
    // Flushed, because whoever started this may wait for the line. That nobody reads it is no reason not to serve.
    let _ = writeln!(output, "listening on {address}").and_then(|()| output.flush());
}

/// The sockets of those who have a name. It may stay borrowed over commands: no command delivers an event.
type Room = Rc<RefCell<HashSet<Socket>>>;

/// What is known of one member: the state of its socket.
#[derive(Default)]
struct Member {
    name: Option<String>,
    /// The beginning of a line whose end has not come yet.
    unfinished: String,
}

fn create_room() -> Server {
    let room = Room::default();
    net::create_server_with(ServerOptions::new().no_delay(true), move |socket| enter(&room, socket))
}

fn enter(room: &Room, socket: Socket) {
    socket.set_data(Member::default());
    socket.set_encoding(Encoding::Utf8);
    let at_text = room.clone();
    socket.on_text(move |socket, text| hear(&at_text, socket, text));
    let at_close = room.clone();
    socket.on_close(move |socket, _| leave(&at_close, socket));
    // A peer that resets is everyday business, and `close` follows. Without a listener the error would end the loop.
    socket.on_error(|_, _| {});
    send(socket, "your name?\n");
}

/// A piece of text, which ends where the network pleased, not where a line does.
fn hear(room: &Room, socket: Socket, text: &str) {
    if !socket.writable() {
        return; // shown the door already
    }
    let heard = socket.with_data(|member: &mut Member| (member.take_lines(text), member.unfinished.len()));
    // It fails only without a member, and every socket here has one until it is freed.
    let Ok((lines, unfinished)) = heard else { return };
    if unfinished > LINE || lines.iter().any(|line| line.len() > LINE) {
        socket.end_data("this line is too long\n").destroy_soon();
        return;
    }
    for line in lines {
        speak(room, socket, &line);
    }
}

/// One whole line: the name, or something for all others.
fn speak(room: &Room, socket: Socket, line: &str) {
    // What a terminal would obey is left out: it goes to other people's.
    let line: String = line.chars().filter(|character| !character.is_control()).collect();
    match name_of(socket) {
        Some(name) => tell(room, Some(socket), format!("{name}: {line}\n")),
        None => {
            let name: String = line.trim().chars().take(NAME).collect();
            if name.is_empty() {
                send(socket, "your name?\n");
                return;
            }
            tell(room, None, format!("* {name} is here\n"));
            let _ = socket.with_data(|member: &mut Member| member.name = Some(name));
            room.borrow_mut().insert(socket);
            send(socket, "* you are in\n");
        }
    }
}

fn leave(room: &Room, socket: Socket) {
    room.borrow_mut().remove(&socket);
    if let Some(name) = name_of(socket) {
        tell(room, None, format!("* {name} is gone\n"));
    }
}

/// Sends one line to everybody, except to the one who said it.
fn tell(room: &Room, except: Option<Socket>, line: String) {
    let line: Rc<[u8]> = Rc::from(line.into_bytes());
    for &member in room.borrow().iter().filter(|&&member| Some(member) != except) {
        send(member, line.clone());
    }
}

/// Sends to one, or drops it because it is too far behind.
fn send<'a>(member: Socket, line: impl Into<Chunk<'a>>) {
    // One that has ended its side is leaving, and a write would be an error.
    if !member.writable() {
        return;
    }
    member.write(line);
    if member.writable_length() > BEHIND {
        // Reset, so that the kernel throws away what it holds for this one, too.
        // An `Err` on unix sockets only, which know no resets.
        let _ = member.reset_and_destroy();
    }
}

fn name_of(socket: Socket) -> Option<String> {
    socket.with_data(|member: &mut Member| member.name.clone()).ok().flatten()
}

impl Member {
    /// The lines that `text` completes, without their ends.
    fn take_lines(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut rest = text;
        while let Some((line, after)) = rest.split_once('\n') {
            lines.push(std::mem::take(&mut self.unfinished) + line);
            rest = after;
        }
        self.unfinished.push_str(rest);
        lines
    }
}

/// How many lines the demonstration's talker says at once: together less than [`BEHIND`], so that a member who is at
/// most one volley behind is never dropped.
const VOLLEY: usize = 64;

/// Their length: with the name in front less than [`LINE`], and a multiple of four.
const VOLLEY_LINE: usize = 4000;

/// A room with three members in one process. `ann` talks, `bob` listens, and `cat` sleeps.
///
/// `ann` says a volley, and the next one when `bob` has heard the last line of it: so `bob` is never far behind, and it
/// is known that `cat` is the one who is dropped.
fn demonstrate() -> Result<(), Error> {
    let mut event_loop = EventLoop::new()?;
    let outcome = Rc::new(Cell::new(Outcome::Unknown));
    let server = create_room();
    let seen = outcome.clone();
    server.on_listening(move |server| {
        if let Err(error) = start_members(server, seen.clone()) {
            eprintln!("chat: {error}");
            server.close();
        }
    });
    server.listen(("127.0.0.1", 0))?;
    event_loop.run()?;

    match outcome.get() {
        Outcome::SleeperDropped => Ok(()),
        Outcome::Unknown => Err(Error::from("the demonstration ended too early")),
    }
}

#[derive(Copy, Clone)]
enum Outcome {
    Unknown,
    SleeperDropped,
}

fn start_members(server: Server, outcome: Rc<Cell<Outcome>>) -> Result<(), Error> {
    let Some(address) = server.address() else { return Ok(()) };
    let ann = net::connect(address)?;
    ann.write("ann\n");
    lines_of(ann, move |ann, line| match line {
        "your name?" => {}
        "* you are in" => match net::connect(address) {
            Ok(bob) => start_bob(bob, ann, server, outcome.clone()),
            Err(error) => {
                ann.destroy_with(error);
            }
        },
        "* bob is here" => {
            println!("ann hears: {line}");
            ann.write("hello bob, wherever you are\n");
        }
        "* cat is here" => {
            println!("ann hears: {line}, and talks until somebody cannot follow");
            volley(ann);
        }
        _ => println!("ann hears: {line}"),
    });
    Ok(())
}

fn start_bob(bob: Socket, ann: Socket, server: Server, outcome: Rc<Cell<Outcome>>) {
    bob.write("bob\n");
    let mut cat: Option<Socket> = None;
    let mut heard = 0;
    lines_of(bob, move |bob, line| match line {
        "your name?" | "* you are in" => {}
        "* cat is here" => println!("bob hears: {line}"),
        "* cat is gone" => {
            println!("bob hears: {line}");
            outcome.set(Outcome::SleeperDropped);
            // It never read, and would not notice.
            if let Some(cat) = cat {
                cat.destroy();
            }
            ann.end();
            bob.end();
            server.close();
        }
        "ann: hello bob, wherever you are" => {
            println!("bob hears: {line}");
            cat = start_cat(server);
            if cat.is_none() {
                ann.destroy();
                bob.destroy();
                server.close();
            }
        }
        _ => {
            heard += 1;
            if heard == VOLLEY {
                heard = 0;
                volley(ann);
            }
        }
    });
}

/// Joins, and never reads: nothing is read ahead either, because it is paused before it is connected.
fn start_cat(server: Server) -> Option<Socket> {
    let cat = net::connect(server.address()?).ok()?;
    cat.pause();
    cat.write("cat\n");
    // It is going to be reset.
    cat.on_error(|_, _| {});
    Some(cat)
}

/// Says many long lines. After its own end it says nothing more.
fn volley(talker: Socket) {
    if !talker.writable() {
        return;
    }
    for _ in 0..VOLLEY {
        let mut line = "bla ".repeat(VOLLEY_LINE / 4);
        line.push('\n');
        talker.write(line);
    }
}

/// A client's lines, given one by one.
fn lines_of(client: Socket, mut listener: impl FnMut(Socket, &str) + 'static) {
    client.on_error(|_, error| println!("client: {error}"));
    let mut lines = Member::default();
    client.on_text(move |client, text| {
        for line in lines.take_lines(text) {
            listener(client, &line);
        }
    });
}

/// What the command line says.
enum Arguments {
    Serve { host: String, port: u16 },
    Demonstrate,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Arguments, String> {
        let mut host = None;
        let mut port = None;
        while let Some(name) = arguments.next() {
            let name = name.to_string_lossy();
            let mut value = || {
                let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
                value.into_string().map_err(|value| format!("{name}: {value:?} is not text"))
            };
            match &*name {
                "--host" => host = Some(value()?),
                "--port" => {
                    let value = value()?;
                    port = Some(value.parse().map_err(|_| format!("--port: {value:?} is not between 0 and 65535"))?);
                }
                _ => return Err(format!("unknown argument {name:?}")),
            }
        }
        match (host, port) {
            (host, Some(port)) => Ok(Arguments::Serve { host: host.unwrap_or_else(|| "127.0.0.1".into()), port }),
            (None, None) => Ok(Arguments::Demonstrate),
            (Some(_), None) => Err("--port is missing".into()),
        }
    }
}
