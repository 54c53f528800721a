//! The clients: one process for each server, told by lines what to do, answering with lines of JSON.
//!
//! A process of its own, because descriptors are limited per process, and because a client that waits for its turn must
//! not wake up. Commands:
//!
//! | line | what happens |
//! |---|---|
//! | `open COUNT KIND ADDRESS` | connects; `KIND` is `usual` or `narrow` |
//! | `run LOAD MILLISECONDS` | plays one slice of a load, see [`loads`] |
//! | `rounds LOAD COUNT` | plays so many rounds of it in lock-step with the server |
//! | `latency RATE CLIENT MILLISECONDS` | an open loop, see [`latency`] |
//! | `burst` | asks on every connection for a burst; `drain` reads them |
//!
//! May touch: its sockets, and the server's accounting. Invariant: the accounts are read while the server rests, before
//! and after each slice, so they hold all of what the slice cost and nothing else.

pub mod latency;
pub mod loads;
pub mod memory;

use std::io::{self, BufRead, Write};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clock;
use crate::process::{raise_descriptor_limit, signal};
use crate::sockets::{self, Address};
use loads::Load;

/// Played before each slice and not counted: the caches belonged to somebody else.
const WARM_UP: Duration = Duration::from_millis(10);

/// How many connections are opened before the server gets time to accept them: a fraction of the backlog.
const AT_ONCE: usize = 512;

/// The state of a client process.
pub struct Clients {
    pub server: u32,
    /// Whether the server never sleeps: then it is stopped when it is to rest.
    pub spins: bool,
    pub address: Option<Address>,
    pub sockets: Vec<OwnedFd>,
    pub buffer: Vec<u8>,
}

/// Obeys commands until the input ends. `arguments` are the server's process and whether it spins.
pub fn obey(arguments: &[String]) -> Result<(), String> {
    let [server, wait] = arguments else { return Err("a client needs a process and a way to wait".to_owned()) };
    raise_descriptor_limit();
    let server = server.parse().map_err(|error| format!("{server}: {error}"))?;
    let spins = wait != "sleep";
    let mut clients = Clients { server, spins, address: None, sockets: Vec::new(), buffer: vec![b'x'; 256 * 1024] };
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = clients.command(&words).unwrap_or_else(|error| json!({ "error": format!("{line}: {error}") }));
        let mut output = io::stdout().lock();
        writeln!(output, "{answer}").and_then(|()| output.flush()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

impl Clients {
    fn command(&mut self, words: &[&str]) -> io::Result<Value> {
        match words {
            ["open", count, kind, address] => {
                self.open(number(count)?, *kind == "narrow", address.parse().map_err(invalid)?)?;
                Ok(json!({}))
            }
            ["run", load, milliseconds] => {
                let load = load.parse().map_err(invalid)?;
                self.slice(load, Duration::from_millis(number(milliseconds)? as u64))
            }
            ["rounds", load, count] => {
                let operations = loads::lock_step(self, load.parse().map_err(invalid)?, number(count)?)?;
                Ok(json!({ "operations": operations }))
            }
            ["latency", rate, client, milliseconds] => {
                let length = Duration::from_millis(number(milliseconds)? as u64);
                latency::slice(self, number(rate)?, *client == "spin", length)
            }
            ["burst"] => memory::ask_for_bursts(self).map(|()| json!({})),
            ["drain"] => memory::drain(self).map(|()| json!({})),
            _ => Err(invalid("no such command")),
        }
    }

    fn open(&mut self, count: usize, narrow: bool, address: Address) -> io::Result<()> {
        self.sockets.clear();
        for index in 0..count {
            self.sockets.push(sockets::connect(&address, index, narrow)?);
            if index % AT_ONCE == AT_ONCE - 1 {
                self.rest()?;
            }
        }
        self.address = Some(address);
        self.rest()
    }

    /// One slice: what it did, and what it cost both sides.
    fn slice(&mut self, load: Load, length: Duration) -> io::Result<Value> {
        let warm_up = loads::play(self, load, WARM_UP)?;
        let before = self.account()?;
        let operations = loads::play(self, load, length)?;
        let after = self.account()?;
        let mut answer = after.since(before, operations);
        answer["all_operations"] = Value::from(warm_up + operations);
        Ok(answer)
    }

    /// Lets the server do what is left to do: until it sleeps, or for a moment where it never does.
    pub fn rest(&self) -> io::Result<()> {
        if self.spins {
            // It looks at its sockets every few microseconds; this is a thousand times that.
            thread::sleep(Duration::from_millis(5));
            return Ok(());
        }
        clock::wait_for_rest(self.server)
    }

    /// Reads the clocks while the server rests.
    pub fn account(&self) -> io::Result<Account> {
        if !self.spins {
            clock::wait_for_rest(self.server)?;
            return Ok(Account { server: clock::cpu_of(self.server)?, client: clock::own_cpu(), wall: Instant::now() });
        }
        let wall = Instant::now();
        signal(self.server, libc::SIGSTOP);
        let server = clock::wait_for_rest(self.server).and_then(|()| clock::cpu_of(self.server));
        signal(self.server, libc::SIGCONT);
        Ok(Account { server: server?, client: clock::own_cpu(), wall })
    }
}

/// The clocks at one moment: nanoseconds of CPU, and the time.
#[derive(Copy, Clone, Debug)]
pub struct Account {
    server: u64,
    client: u64,
    wall: Instant,
}

impl Account {
    pub fn since(self, before: Account, operations: u64) -> Value {
        json!({
            "operations": operations,
            "server": self.server - before.server,
            "client": self.client - before.client,
            "wall": (self.wall - before.wall).as_nanos() as u64,
        })
    }
}

fn number(text: &str) -> io::Result<usize> {
    text.parse().map_err(|error| invalid(format!("{text}: {error}")))
}

pub fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message.into())
}
