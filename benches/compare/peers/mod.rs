//! The servers that are compared, each a process of its own, and what they are asked to do.
//!
//! | file | server |
//! |---|---|
//! | `floor` | a tuned epoll loop and nothing else: what everything is measured against |
//! | `mio_by_hand` | the same program on mio |
//! | `tokio_tasks` | tokio's current-thread runtime, one task per connection |
//! | `ours` | this crate, as the `echo` example has it |
//! | `libuv.c` | libuv, compiled where its development package is |
//! | `node.js` | Node, where it is on the PATH |
//! | `switches` | a small reactor whose choices can be turned, for `prices` |
//! | `service` | what `floor` and `mio_by_hand` have in common |
//!
//! May touch: the public API of this crate, tokio, mio and the system. Invariant: every server prints one line,
//! `listening on ADDRESS`, and serves until it is killed; buffers are larger than the messages, there is no delay, and
//! the backlog is the same.

mod floor;
mod mio_by_hand;
mod ours;
mod service;
mod switches;
mod tokio_tasks;

use std::io::{self, Write};
use std::str::FromStr;

use crate::sockets::Address;

/// The bytes that one burst queues on a connection of the idle server: what the kernel takes at once on a narrow
/// connection is below half of it, so that 64 KiB and more stay in the server.
pub const BURST: usize = 128 * 1024;

/// The first byte of a message that asks the idle server for a burst.
pub const ASKS_FOR_BURST: u8 = b'B';

/// The size of read buffers that are shared by all connections: what libuv reads at once, and this crate.
pub const SHARED_BUFFER: usize = 64 * 1024;

/// What a server does with what it reads.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Sends it back.
    Echo,
    /// Throws it away.
    Sink,
    /// Answers each piece of this many bytes on its own.
    Pieces { size: usize, style: Style },
    /// Sends it to every connection.
    FanOut,
    /// Sends it back, gives a burst when asked for one, and ends connections that are silent for a minute. With closures
    /// that capture something, where there are closures.
    Idle { capturing: bool },
}

/// How several small answers are written.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Style {
    /// With a call each, as the answers come.
    Each,
    /// Together: corked, or gathered in a buffer, or as a vector.
    Gathered,
    /// In a buffer of the program's own, and then with one call: what `Gathered` is where nothing is corked.
    Joined,
    /// With a call each, and collected by the library.
    Batched,
}

/// How a server waits for work.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Wait {
    Sleep,
    /// Asks the kernel again and again and never sleeps.
    Spin,
    /// Spins where it pays.
    Adaptive,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Mode, String> {
        let mut parts = text.split(':');
        let mode = match (parts.next(), parts.next(), parts.next()) {
            (Some("echo"), None, None) => Mode::Echo,
            (Some("sink"), None, None) => Mode::Sink,
            (Some("fan_out"), None, None) => Mode::FanOut,
            (Some("idle"), None, None) => Mode::Idle { capturing: false },
            (Some("idle"), Some("capturing"), None) => Mode::Idle { capturing: true },
            (Some("pieces"), Some(size), Some(style)) => {
                let size = size.parse().map_err(|error| format!("{text}: {error}"))?;
                let style = match style {
                    "each" => Style::Each,
                    "gathered" => Style::Gathered,
                    "joined" => Style::Joined,
                    "batched" => Style::Batched,
                    _ => return Err(format!("{text}: no such style")),
                };
                Mode::Pieces { size, style }
            }
            _ => return Err(format!("{text}: no such mode")),
        };
        Ok(mode)
    }
}

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Wait, String> {
        match text {
            "sleep" => Ok(Wait::Sleep),
            "spin" => Ok(Wait::Spin),
            "adaptive" => Ok(Wait::Adaptive),
            _ => Err(format!("{text}: no such way to wait")),
        }
    }
}

/// What a server process is told.
#[derive(Clone, Debug)]
pub struct Settings {
    pub mode: Mode,
    pub wait: Wait,
    /// The path to listen on; a free port of TCP without one.
    pub unix: Option<String>,
}

/// Is a server until the process is killed. `arguments` are the name, the mode, the way to wait, and perhaps a path. The
/// mode of `switches`, which is always an echo that sleeps, is the switch that is turned.
pub fn serve(arguments: &[String]) -> Result<(), String> {
    let [name, mode, wait, unix @ ..] = arguments else {
        return Err("a server needs a name, a mode and a way to wait".to_owned());
    };
    if name == "switches" {
        return switches::serve(mode);
    }
    let settings = Settings { mode: mode.parse()?, wait: wait.parse()?, unix: unix.first().cloned() };
    match name.as_str() {
        "floor" => floor::serve(&settings).map_err(|error| error.to_string()),
        "mio" => mio_by_hand::serve(&settings).map_err(|error| error.to_string()),
        "tokio" => tokio_tasks::serve(&settings).map_err(|error| error.to_string()),
        "halfclose" => ours::serve(&settings),
        _ => Err(format!("{name}: no such server")),
    }
}

/// Tells whoever started the server that it can be connected to.
fn announce(address: &Address) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "listening on {address}")?;
    output.flush()
}
