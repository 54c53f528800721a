//! The random clients: bare sockets in a process of their own, many threads, each with a seed of its own.
//!
//! May touch: sockets and threads. Invariants: what a thread does depends on its seed only; when a round is over, no client
//! of it has a socket open. Whoever got bytes that are not his says so.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Duration;

use socket2::Socket;

use crate::addresses::Address;
use crate::random::Random;

/// How many clients are busy at the same time, beside those that only wait for something: more than there are cores, so
/// that the server always has several to serve.
const THREADS: usize = 16;

/// Connections of one thread that wait: to be timed out, or to be forgotten. All threads together keep half a thousand.
const WAITING: usize = 32;

/// Connections that one client opens at once.
const CROWD: usize = 200;

/// A message that one segment holds.
const SMALL: usize = 512;

/// More than the buffers of the kernel and of the server hold together, at first.
const LARGE: usize = 1 << 20;

/// Where the clients find whom.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Servers that send everything back, and wait for seconds.
    pub echoes: Vec<Address>,
    /// The same, but they let nobody wait for long.
    pub impatient: Vec<Address>,
    /// The same, but they have bounds, and may turn anybody away.
    pub bounded: Vec<Address>,
    /// Servers that send without being asked, more than anybody reads.
    pub talkers: Vec<Address>,
}

impl fmt::Display for Targets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Targets { echoes, impatient, bounded, talkers } = self;
        for (place, group) in [echoes, impatient, bounded, talkers].into_iter().enumerate() {
            let texts: Vec<String> = group.iter().map(Address::to_string).collect();
            write!(formatter, "{}{}", if place > 0 { " " } else { "" }, texts.join(","))?;
        }
        Ok(())
    }
}

impl FromStr for Targets {
    type Err = String;

    fn from_str(text: &str) -> Result<Targets, String> {
        let mut groups = text.split(' ').map(|group| group.split(',').map(str::parse).collect::<Result<_, _>>());
        let mut next = || groups.next().unwrap_or_else(|| Err(format!("{text}: four groups of addresses")));
        Ok(Targets { echoes: next()?, impatient: next()?, bounded: next()?, talkers: next()? })
    }
}

/// What a round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that came about.
    pub connections: u64,
    /// Clients that got back, to the last byte, what they had sent; and those to whom a talker said something.
    pub answered: u64,
    /// Clients that were turned away or cut off: by a bound, a time limit, or a machine that was too slow for one.
    pub cut_off: u64,
    /// Clients that got bytes which nobody had sent them, or that waited for ever.
    pub wronged: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {} {}", self.connections, self.answered, self.cut_off, self.wronged)
    }
}

impl FromStr for Tally {
    type Err = String;

    fn from_str(text: &str) -> Result<Tally, String> {
        let mut numbers = text.split(' ').map(|number| number.parse().map_err(|error| format!("{text}: {error}")));
        let mut next = || numbers.next().unwrap_or_else(|| Err(format!("{text}: four numbers")));
        Ok(Tally { connections: next()?, answered: next()?, cut_off: next()?, wronged: next()? })
    }
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.connections += other.connections;
        self.answered += other.answered;
        self.cut_off += other.cut_off;
        self.wronged += other.wronged;
    }
}

/// What a client does.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Sends, reads the answer, ends, reads the end.
    EchoAndEnd,
    /// Sends and ends, and only then reads.
    HalfClose,
    CloseAtOnce,
    ResetAtOnce,
    ResetAfterSending,
    ResetAfterAnswer,
    /// Sends much and reads nothing, and is gone after a while.
    NeverRead,
    /// Sends byte by byte, with long pauses.
    Slow,
    Large,
    /// Says nothing until the server ends it.
    Idle,
    /// Echoes with a server that may turn it away.
    Bounded,
    /// Reads a part of what a talker says, and is gone.
    Listen,
    /// Many at once, now and then where most of them are turned away.
    Crowd,
}

/// How many of a thousand do what. A crowd is two hundred connections, so it is an eighth of all; what waits for a time
/// limit is rare enough that nobody has to wait long for a place.
const MANNERS: [(usize, Manner); 13] = [
    (344, Manner::EchoAndEnd),
    (130, Manner::HalfClose),
    (110, Manner::CloseAtOnce),
    (110, Manner::ResetAtOnce),
    (110, Manner::ResetAfterSending),
    (70, Manner::ResetAfterAnswer),
    (8, Manner::NeverRead),
    (10, Manner::Slow),
    (2, Manner::Large),
    (10, Manner::Idle),
    (80, Manner::Bounded),
    (15, Manner::Listen),
    (1, Manner::Crowd),
];

/// Makes `connections` connections, and waits until the last is over.
pub fn play(targets: &Targets, connections: u64, seed: u64) -> Tally {
    let left = AtomicU64::new(connections);
    let whole = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (left, whole) = (&left, &whole);
            scope.spawn(move || {
                let mut client = Client::new(targets, seed.wrapping_mul(THREADS as u64).wrapping_add(thread as u64));
                while let Some(manner) = client.next(left) {
                    let outcome = client.act(manner);
                    client.note(outcome);
                }
                while client.wait_for_oldest() {}
                whole.lock().expect("nobody panics with it").add(client.tally);
            });
        }
    });
    whole.into_inner().expect("nobody panics with it")
}

/// Makes as many connections at the same time as all threads ever can, and ends them together: what the server keeps room
/// for has its size from then on.
pub fn crowd_together(targets: &Targets, seed: u64) -> Tally {
    let (all_are_there, whole) = (Barrier::new(THREADS), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (all_are_there, whole) = (&all_are_there, &whole);
            scope.spawn(move || {
                let mut client = Client::new(targets, seed.wrapping_add(thread as u64));
                let crowd = client.gather(&targets.echoes);
                all_are_there.wait();
                let outcome = crowd.and_then(|crowd| client.hear(crowd));
                client.note(outcome);
                whole.lock().expect("nobody panics with it").add(client.tally);
            });
        }
    });
    whole.into_inner().expect("nobody panics with it")
}

/// One thread's clients.
struct Client<'a> {
    targets: &'a Targets,
    random: Random,
    waiting: VecDeque<Waiting>,
    tally: Tally,
}

/// A connection that waits, and for what.
struct Waiting {
    socket: Socket,
    kind: Wait,
}

#[derive(Clone, Copy)]
enum Wait {
    /// For the server's end.
    End,
    /// For a while: then it is closed, with all that it was sent unread.
    Forgotten,
    /// So many bytes are to be sent yet, one each time that somebody looks.
    Slow(usize),
}

/// How it went.
enum Outcome {
    Answered,
    Nothing,
}

impl Client<'_> {
    fn new(targets: &Targets, seed: u64) -> Client<'_> {
        let waiting = VecDeque::with_capacity(WAITING);
        Client { targets, random: Random::spread(seed), waiting, tally: Tally::default() }
    }

    /// What is to be done next, as long as connections are left; they are taken from there.
    fn next(&mut self, left: &AtomicU64) -> Option<Manner> {
        let manner = self.random.weighted(&MANNERS);
        let cost = if matches!(manner, Manner::Crowd) { CROWD as u64 } else { 1 };
        let taken = left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left > 0).then(|| left.saturating_sub(cost)));
        match taken {
            Err(_) => None,
            // The last ones are not enough for a crowd.
            Ok(before) if before < cost => {
                left.fetch_add(before - 1, Ordering::Relaxed);
                Some(Manner::EchoAndEnd)
            }
            Ok(_) => Some(manner),
        }
    }

    fn note(&mut self, outcome: io::Result<Outcome>) {
        match outcome {
            Ok(Outcome::Answered) => self.tally.answered += 1,
            Ok(Outcome::Nothing) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::WouldBlock) => {
                eprintln!("a client: {error}");
                self.tally.wronged += 1;
            }
            Err(_) => self.tally.cut_off += 1,
        }
    }

    fn act(&mut self, manner: Manner) -> io::Result<Outcome> {
        let targets = self.targets;
        match manner {
            Manner::EchoAndEnd => self.echo(&targets.echoes),
            Manner::HalfClose => {
                let (mut socket, message) = (self.connect(&targets.echoes)?, self.message(SMALL));
                socket.write_all(&message)?;
                socket.shutdown(Shutdown::Write)?;
                read_answer(&mut socket, &message)?;
                read_end(&mut socket)
            }
            Manner::CloseAtOnce => self.connect(&targets.echoes).map(|_| Outcome::Nothing),
            Manner::ResetAtOnce => reset(self.connect(&targets.echoes)?),
            Manner::ResetAfterSending => {
                let (mut socket, message) = (self.connect(&targets.echoes)?, self.message(SMALL));
                socket.write_all(&message)?;
                reset(socket)
            }
            Manner::ResetAfterAnswer => {
                let (mut socket, message) = (self.connect(&targets.echoes)?, self.message(SMALL));
                socket.write_all(&message)?;
                read_answer(&mut socket, &message)?;
                reset(socket).map(|_| Outcome::Answered)
            }
            Manner::NeverRead => {
                let (mut socket, message) = (self.connect(&targets.impatient)?, self.message(LARGE));
                socket.set_nonblocking(true)?;
                // As much as there is room for.
                while socket.write(&message).is_ok() {}
                self.wait(socket, Wait::Forgotten);
                Ok(Outcome::Nothing)
            }
            Manner::Slow => {
                let socket = self.connect(&targets.impatient)?;
                self.wait(socket, Wait::Slow(3));
                Ok(Outcome::Nothing)
            }
            Manner::Large => {
                let (mut socket, message) = (self.connect(&targets.echoes)?, self.message(LARGE));
                exchange(&mut socket, &message)?;
                socket.shutdown(Shutdown::Write)?;
                read_end(&mut socket)
            }
            Manner::Idle => {
                let socket = self.connect(&targets.impatient)?;
                self.wait(socket, Wait::End);
                Ok(Outcome::Nothing)
            }
            Manner::Bounded => self.echo(&targets.bounded),
            Manner::Listen => {
                let mut socket = self.connect(&targets.talkers)?;
                let mut buffer = vec![0; 1 + self.random.below(LARGE)];
                let read = socket.read(&mut buffer)?;
                if self.random.below(2) == 0 {
                    self.wait(socket, Wait::Forgotten);
                }
                if read > 0 { Ok(Outcome::Answered) } else { Ok(Outcome::Nothing) }
            }
            Manner::Crowd => self.crowd(),
        }
    }

    fn connect(&mut self, group: &[Address]) -> io::Result<Socket> {
        let socket = self.random.among(group).connect()?;
        self.tally.connections += 1;
        Ok(socket)
    }

    /// Bytes that no other client sends at that place, of any length up to `most`.
    fn message(&mut self, most: usize) -> Vec<u8> {
        let first = self.random.below(256);
        (0..1 + self.random.below(most)).map(|index| (first + index * 31 + index / 251) as u8).collect()
    }

    fn echo(&mut self, group: &[Address]) -> io::Result<Outcome> {
        let (mut socket, message) = (self.connect(group)?, self.message(SMALL));
        socket.write_all(&message)?;
        read_answer(&mut socket, &message)?;
        socket.shutdown(Shutdown::Write)?;
        read_end(&mut socket)
    }

    fn crowd(&mut self) -> io::Result<Outcome> {
        let at_bounds = self.random.below(4) == 0;
        let group = if at_bounds { &self.targets.bounded } else { &self.targets.echoes };
        let crowd = self.gather(group)?;
        self.hear(crowd)
    }

    fn gather(&mut self, group: &[Address]) -> io::Result<Vec<Socket>> {
        (0..CROWD).map(|_| self.connect(group)).collect()
    }

    /// They all say the same, and each wants its answer.
    fn hear(&mut self, mut crowd: Vec<Socket>) -> io::Result<Outcome> {
        let message = self.message(SMALL);
        for socket in &mut crowd {
            socket.write_all(&message)?;
        }
        for socket in &mut crowd {
            read_answer(socket, &message)?;
        }
        Ok(Outcome::Answered)
    }

    fn wait(&mut self, socket: Socket, kind: Wait) {
        // Bounded by how often each is looked at: the slow ones are put back some times.
        while self.waiting.len() >= WAITING {
            self.wait_for_oldest();
        }
        self.waiting.push_back(Waiting { socket, kind });
    }

    /// Sees to the connection that waits for the longest time. False when none does.
    fn wait_for_oldest(&mut self) -> bool {
        let Some(Waiting { mut socket, kind }) = self.waiting.pop_front() else { return false };
        match kind {
            Wait::Forgotten => {}
            // It may have been timed out meanwhile.
            Wait::Slow(left) if left > 0 => {
                if socket.write(b".").is_ok() {
                    self.waiting.push_back(Waiting { socket, kind: Wait::Slow(left - 1) });
                }
            }
            Wait::End | Wait::Slow(_) => {
                let outcome = read_to_end(&mut socket);
                self.note(outcome);
            }
        }
        true
    }
}

/// Reads what was sent, and compares it.
fn read_answer(socket: &mut Socket, message: &[u8]) -> io::Result<Outcome> {
    let mut answer = vec![0; message.len()];
    socket.read_exact(&mut answer)?;
    if answer != message {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "got what it had not sent"));
    }
    Ok(Outcome::Answered)
}

/// Reads the server's end, behind an answer.
fn read_end(socket: &mut Socket) -> io::Result<Outcome> {
    if socket.read(&mut [0])? > 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "got more than it had sent"));
    }
    Ok(Outcome::Answered)
}

/// Reads whatever comes until the server's end.
fn read_to_end(socket: &mut Socket) -> io::Result<Outcome> {
    let mut buffer = vec![0; LARGE];
    while socket.read(&mut buffer)? > 0 {}
    Ok(Outcome::Nothing)
}

/// Sends all of `message` while it reads it back, so that neither end waits for the other.
fn exchange(socket: &mut Socket, message: &[u8]) -> io::Result<Outcome> {
    let mut answer = vec![0; message.len()];
    let (mut sent, mut read) = (0, 0);
    while read < message.len() {
        if sent < message.len() {
            // With nothing under way it may wait for room, for a little that cannot fill the way back; else it has to read.
            let waits = read == sent;
            let most = if waits { message.len().min(sent + SMALL) } else { message.len() };
            socket.set_nonblocking(!waits)?;
            match socket.write(&message[sent..most]) {
                Ok(more) => sent += more,
                Err(error) if !waits && error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            socket.set_nonblocking(false)?;
        }
        match socket.read(&mut answer[read..sent])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    if answer != message {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "got what it had not sent"));
    }
    Ok(Outcome::Answered)
}

/// Closes with a reset, where there is such a thing; a unix socket is just closed.
fn reset(socket: Socket) -> io::Result<Outcome> {
    socket.set_linger(Some(Duration::ZERO))?;
    Ok(Outcome::Nothing)
}
