//! The reference model: what each socket of a storm was told and has told, as plain data, and the laws that are checked
//! against it.
//!
//! May touch: questions to handles, which change and emit nothing. Invariant: the model is written from outside facts only
//! (the commands that were given and what listeners were called with), never from what the library keeps.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use halfclose::Error;
use halfclose::net::{ListenerId, Server, Socket, SocketEvent};

/// One connection of a socket, from its `connect` or accept to its close; or its time before the first one.
#[derive(Default)]
pub struct Connection {
    pub socket: usize,
    pub unix: bool,
    /// The server that accepted it.
    pub accepted_by: Option<usize>,
    /// The server that it tries to reach, when there is one.
    pub wanted: Option<usize>,
    pub local: Option<SocketAddr>,
    pub peer: Option<SocketAddr>,
    /// The other end, once it is known.
    pub pair: Option<usize>,
    /// `connect` was called, or it was accepted.
    pub attempted: bool,
    /// When that was.
    pub began: Duration,
    pub connected: bool,
    /// There was no peer when `connect` was told, so it must have been reset already.
    pub without_peer: bool,
    /// An attempt failed, or `connect` was called again while it was connecting (C40): it fails, but the kernel may take
    /// bytes until then.
    pub doubtful: bool,
    pub ready: bool,
    /// `end` was called by the program.
    pub end_called: bool,
    pub ended: bool,
    pub finished: bool,
    /// A callback of `end` was called with success: `finish` follows in the same breath, whatever it does.
    pub finishing: bool,
    pub failed: bool,
    /// What it was destroyed with, as far as that was to be seen when it was superseded: its `error` may still be owed.
    pub errored: Option<String>,
    /// `reset_and_destroy` was called.
    pub reset_called: bool,
    /// A reset could not be made: that is told as an error, but it closes as if there had been none.
    pub reset_refused: bool,
    pub closed: bool,
    /// Destroyed by a command: with an error or without.
    pub destroyed_with_error: Option<bool>,
    /// What had been read when it was first seen destroyed.
    pub read_when_destroyed: Option<u64>,
    /// Everything that `write` accepted.
    pub written: Vec<u8>,
    /// Where each of those writes begins.
    pub pieces: Vec<usize>,
    /// It was seen with an error before it was destroyed: a write has failed. What is corked behind it, or written while its
    /// callback is called, still goes out with an `uncork` or an `end`, as in Node, and what failed is missing in front.
    pub broken: bool,
    /// What is missing so of what this end got.
    pub missing: usize,
    /// What was seen last of the way from the other end to this one, and since when, while something is awaited there.
    pub flow: Option<(FlowSeen, Duration)>,
    /// Where the next byte that a consumer gets stands in what the peer wrote.
    pub position: usize,
    /// A time without a consumer may have lost bytes since (F25, F27).
    pub gap: bool,
    /// What came before the other end was known, with its positions.
    pub unmatched: Vec<(usize, Vec<u8>)>,
    /// A write returned false, and no `drain` was emitted since.
    pub drain_owed: bool,
    /// A pipe writes here: who is owed a `drain` is its own affair, too.
    pub piped_into: bool,
    /// The last write whose callback was told of success.
    pub last_success: Option<usize>,
    pub last_failure: Option<usize>,
}

/// A socket's handle and what was done with it.
pub struct SocketModel {
    pub handle: Socket,
    /// The connection that it has, or had last.
    pub current: usize,
    /// Earlier ones, whose `close` is owed.
    pub superseded: Vec<usize>,
    /// The `data` listener that checks what comes.
    pub witness: Option<ListenerId>,
    pub error_witness: Option<ListenerId>,
    pub readable: Vec<ListenerId>,
    pub extras: Vec<ListenerId>,
    /// `pause` was called last.
    pub paused: bool,
    /// `resume` was called in this turn.
    pub resumed: bool,
    /// A `read` is under way.
    pub reading: bool,
    /// The last `readable` listener was taken away in this turn, which resumes in a tick, paused or not (F26).
    pub resumes: bool,
    pub own_buffer: bool,
    /// It was told to read without a connection: with a buffer of its own it begins to with the next one, paused or not
    /// (Node waits for `connect` once, and so also for that of a later attempt).
    pub reads_on_connect: bool,
    pub retained: bool,
    /// Given up before it was ever connected.
    pub released: bool,
    /// Bytes that a consumer gets for one byte of the stream: 2 in hexadecimal.
    pub unit: usize,
    pub encoded: bool,
    /// A listener that acts stands in front of those that check.
    pub prepended: bool,
    /// Events that listeners in front were told, and those that check not yet.
    pub begun: Vec<Begun>,
    pub pipes: Vec<PipeModel>,
    /// How many listeners were put in front, and which of them the one that checks `data` is; 0 when it never was.
    places: usize,
    pub witness_place: usize,
    /// Where they led to when a `data` listener that stands in front of the one that checks was called: these are given the
    /// chunk that is under way, even if that listener takes one away.
    pub piping: Vec<usize>,
    /// Those that were given a chunk in this turn.
    pub given: Vec<usize>,
    /// Those that its pipe let go of while a chunk was under way: if that filled them, their `drain` lets it flow again still.
    pub lingering: Vec<usize>,
    /// Those that were there when the first of all listeners was called: one that is made on the way is not given the chunk.
    pub piping_surely: Option<Vec<usize>>,
    /// What pipes were given to write here, until it is known what was accepted.
    pub piped: Vec<Vec<u8>>,
    /// How many bytes they were certainly given, and how many of them they wrote.
    pub owed_by_pipes: usize,
    pub written_by_pipes: usize,
    /// It connected anew since, or the turn was cut short: these may be for another connection, or still to come.
    pub piped_elsewhere: bool,
    /// How many times something was done with it, or it was told something.
    pub activity: u64,
    pub idle: Option<Idle>,
    /// Nothing without a callback was written: that this is completed, which may be later, is activity that is not to be seen.
    pub completes_unseen: bool,
}

/// An event on its way through the listeners.
pub struct Begun {
    event: SocketEvent,
    connection: usize,
    /// The connection had failed before. It may fail on the way as well: a reset that cannot be made says so at once.
    failed: bool,
}

/// A pipe from a socket.
pub struct PipeModel {
    pub destination: usize,
    /// It ends the destination when the source ends; otherwise it lets go of it then (F61).
    pub ends: bool,
}

/// What shows activity: what was told and commanded, bytes in, bytes out, and what waits to go out.
pub type Seen = (u64, u64, u64, usize);

/// Bytes written by the other end, those of them that wait there, bytes read, and whether the end was told.
pub type FlowSeen = (usize, usize, u64, bool);

/// An idle timeout that is set, and when something that may count as activity was seen last.
pub struct Idle {
    pub timeout: Duration,
    /// When it was set: it does not come before its time (T1).
    pub set: Duration,
    /// What was seen last, by counters, and when that was.
    pub seen: Seen,
    pub since: Duration,
    /// It came since it was set, and this was so then.
    pub told: Option<Seen>,
}

/// How a socket was just before it was told to connect, which resets it.
pub struct Before {
    pub destroyed: bool,
    /// The message of what it failed with.
    pub errored: Option<String>,
    pub now: Duration,
}

pub struct ServerModel {
    pub handle: Server,
    pub path: Option<std::path::PathBuf>,
    pub released: bool,
}

/// A callback that must be called exactly once.
pub struct Owed {
    pub what: &'static str,
    pub connection: Option<usize>,
    pub calls: usize,
}

#[derive(Default)]
pub struct Model {
    pub connections: Vec<Connection>,
    pub sockets: Vec<SocketModel>,
    pub servers: Vec<ServerModel>,
    pub callbacks: Vec<Owed>,
}

/// A law that does not hold.
pub type Violation = String;

/// Addresses as both ends tell them: a dual-stack server sees mapped ones (S34).
pub fn canonical(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(IpAddr::V6(six), IpAddr::V4),
        four => four,
    };
    SocketAddr::new(ip, address.port())
}

impl Model {
    /// A new socket, with the time before its first connection.
    pub fn add_socket(&mut self, handle: Socket) -> usize {
        let socket = self.sockets.len();
        let current = self.connections.len();
        self.connections.push(Connection { socket, gap: true, ..Connection::default() });
        self.sockets.push(SocketModel {
            handle,
            current,
            superseded: Vec::new(),
            witness: None,
            error_witness: None,
            readable: Vec::new(),
            extras: Vec::new(),
            paused: false,
            resumed: false,
            reading: false,
            resumes: false,
            own_buffer: false,
            reads_on_connect: false,
            retained: false,
            released: false,
            unit: 1,
            encoded: false,
            prepended: false,
            begun: Vec::new(),
            pipes: Vec::new(),
            places: 0,
            witness_place: 0,
            piping: Vec::new(),
            piped: Vec::new(),
            owed_by_pipes: 0,
            written_by_pipes: 0,
            piped_elsewhere: false,
            piping_surely: None,
            given: Vec::new(),
            lingering: Vec::new(),
            activity: 0,
            idle: None,
            completes_unseen: false,
        });
        socket
    }

    /// A connection attempt began: `before` is how the socket was before the call.
    pub fn attempt(&mut self, socket: usize, unix: bool, wanted: Option<usize>, before: Before) {
        let Before { destroyed, errored, now } = before;
        let old = self.sockets[socket].current;
        let fresh = !self.connections[old].attempted && !destroyed;
        if destroyed && !self.connections[old].closed {
            self.sockets[socket].superseded.push(old);
            // A command to destroy it says more than what it failed with, which may have been a write before that.
            let commanded = self.connections[old].destroyed_with_error == Some(true);
            self.connections[old].errored = if commanded { Some(COMMANDED.into()) } else { errored };
        }
        let gap = self.sockets[socket].witness.is_none() && !self.sockets[socket].own_buffer;
        let piped_into = self.connections[old].piped_into;
        if fresh {
            // What was written before is refused, and not part of what is sent.
            self.connections[old].end_called = false;
        }
        let current = self.connections.len();
        // The tick of a `resume` of this turn is still to come.
        self.sockets[socket].reads_on_connect |= self.sockets[socket].resumed;
        self.sockets[socket].current = current;
        self.sockets[socket].piped_elsewhere = true;
        if destroyed {
            // It is not armed again (T9).
            self.sockets[socket].idle = None;
        }
        let own =
            Connection { socket, unix, wanted, attempted: true, began: now, gap, piped_into, ..Connection::default() };
        self.connections.push(own);
    }

    /// The server accepted a socket, which is `handle`.
    pub fn accept(&mut self, server: usize, handle: Socket, unix: bool, now: Duration) -> Result<usize, Violation> {
        if let Some(known) = self.sockets.iter().position(|socket| socket.handle == handle) {
            return Err(format!("server {server} accepted a socket under the handle of socket {known}"));
        }
        let socket = self.add_socket(handle);
        let peer = handle.peer_addr().map(canonical);
        let connection = self.sockets[socket].current;
        {
            let connection = &mut self.connections[connection];
            connection.unix = unix;
            connection.accepted_by = Some(server);
            connection.peer = peer;
            connection.attempted = true;
            connection.began = now;
            connection.connected = true;
            connection.ready = true;
        }
        self.match_addresses(connection);
        Ok(socket)
    }

    /// Finds the other end of a TCP connection by the addresses that both have.
    pub fn match_addresses(&mut self, number: usize) {
        for socket in &self.sockets {
            let connection = &mut self.connections[socket.current];
            // With several addresses to try, each attempt has a local end of its own.
            if connection.accepted_by.is_none() && connection.attempted && !connection.unix {
                if let Some(local) = socket.handle.address() {
                    connection.local = Some(canonical(local));
                }
            }
        }
        let connection = &self.connections[number];
        if connection.unix || connection.pair.is_some() {
            return;
        }
        let accepted = connection.accepted_by.is_some();
        let address = if accepted { connection.peer } else { connection.local };
        let Some(address) = address else { return };
        let other = self.connections.iter().rposition(|other| {
            let theirs = if accepted { other.local } else { other.peer };
            !other.unix && other.pair.is_none() && other.accepted_by.is_some() != accepted && theirs == Some(address)
        });
        if let Some(other) = other {
            self.connections[other].pair = Some(number);
            self.connections[number].pair = Some(other);
        }
    }

    /// A client is connected, by the last of its attempts: an end that an earlier one made is nobody's.
    pub fn client_connected(&mut self, number: usize) {
        if let Some(pair) = self.connections[number].pair.take() {
            self.connections[pair].pair = None;
        }
        self.match_addresses(number);
    }

    /// A consumer got `bytes` of the connection of `socket`.
    pub fn received(&mut self, socket: usize, bytes: &[u8]) -> Result<(), Violation> {
        self.settle_pipes()?;
        let bytes = &self.decoded(socket, bytes)?[..];
        let model = &self.sockets[socket];
        let current = model.current;
        let (unit, handle, witnessed) = (model.unit, model.handle, model.witness.is_some() || model.own_buffer);
        let connection = &mut self.connections[current];
        if !connection.attempted {
            return Err(format!("socket {socket} got {} bytes without a connection", bytes.len()));
        }
        if connection.gap {
            let read = handle.bytes_read() as usize;
            let ahead = handle.readable_length() / unit;
            let Some(position) = read.checked_sub(ahead + bytes.len()) else {
                return Err(format!("socket {socket} got more than it read: {read} - {ahead} - {}", bytes.len()));
            };
            if position < connection.position {
                return Err(format!("socket {socket} got byte {position} again; it was at {}", connection.position));
            }
            connection.position = position;
            connection.gap = !witnessed;
        }
        let position = connection.position;
        connection.position += bytes.len();
        self.came(current, position, bytes)
    }

    /// A `read` that was called without a consumer returned these bytes, which were the first that waited at `position`. A
    /// `data` listener that it called may have made a consumer, which has got what stands behind them by now.
    pub fn returned(&mut self, socket: usize, position: usize, bytes: &[u8]) -> Result<(), Violation> {
        self.settle_pipes()?;
        let bytes = &self.decoded(socket, bytes)?[..];
        self.came(self.sockets[socket].current, position, bytes)
    }

    /// Where the first byte stands that waits to be read.
    pub fn waits_at(&self, socket: usize) -> usize {
        let model = &self.sockets[socket];
        (model.handle.bytes_read() as usize).saturating_sub(model.handle.readable_length() / model.unit)
    }

    /// What comes may have been written by a pipe in this very turn.
    fn settle_pipes(&mut self) -> Result<(), Violation> {
        for other in 0..self.sockets.len() {
            if !self.sockets[other].piped.is_empty() {
                self.settle(other)?;
            }
        }
        Ok(())
    }

    /// The bytes of the stream that a consumer of this socket gets as `bytes`.
    fn decoded<'b>(&self, socket: usize, bytes: &'b [u8]) -> Result<Cow<'b, [u8]>, Violation> {
        if self.sockets[socket].unit == 1 {
            return Ok(Cow::Borrowed(bytes));
        }
        from_hex(bytes).map(Cow::Owned).ok_or_else(|| format!("socket {socket} got text that is not hexadecimal"))
    }

    /// These bytes of a connection came to somebody.
    fn came(&mut self, current: usize, position: usize, bytes: &[u8]) -> Result<(), Violation> {
        self.match_addresses(current);
        let connection = &mut self.connections[current];
        match connection.pair {
            Some(pair) => self.compare(current, pair, position, bytes),
            None => {
                connection.unmatched.push((position, bytes.to_vec()));
                self.find_pair(current)
            }
        }
    }

    /// Whether `bytes` are what `pair` wrote at `position`.
    fn compare(&mut self, current: usize, pair: usize, position: usize, bytes: &[u8]) -> Result<(), Violation> {
        let missing = self.connections[current].missing;
        let position = position + missing;
        if let Some(more) = self.connections[pair].missing_at(position, bytes) {
            self.connections[current].missing += more;
            return Ok(());
        }
        let written = &self.connections[pair].written;
        match written.get(position..position + bytes.len()) {
            Some(expected) if expected == bytes => Ok(()),
            Some(expected) => {
                let at = expected.iter().zip(bytes).position(|(expected, got)| expected != got).unwrap_or(0);
                Err(format!(
                    "connection {current} got a wrong byte at {}: {} bytes at {position} from connection {pair}, which wrote {}",
                    position + at,
                    bytes.len(),
                    written.len()
                ))
            }
            None => Err(format!(
                "connection {current} got {} bytes at {position}, but connection {pair} wrote {} only",
                bytes.len(),
                written.len()
            )),
        }
    }

    /// Notes what is seen of a socket whose write has failed, and which is not destroyed yet.
    pub fn notice_failure(&mut self, socket: usize) {
        let SocketModel { handle, current, .. } = self.sockets[socket];
        self.connections[current].broken |= !handle.destroyed() && handle.errored().is_some();
    }

    /// Unix sockets have no addresses: the other end is the one whose bytes came.
    fn find_pair(&mut self, current: usize) -> Result<(), Violation> {
        let connection = &self.connections[current];
        if !connection.unix {
            // A peer that was destroyed before anyone could ask for its address has written nothing.
            return Err(format!("connection {current} got bytes from nobody: peer {:?}", connection.peer));
        }
        let fits = |other: &Connection| {
            other.unix
                && other.pair.is_none()
                && other.attempted
                && match (connection.accepted_by, connection.wanted) {
                    // Who called `connect` twice is with one of two servers.
                    (Some(server), _) => {
                        (other.wanted == Some(server) || other.doubtful) && other.accepted_by.is_none()
                    }
                    (None, wanted) => {
                        other.accepted_by.is_some() && (other.accepted_by == wanted || connection.doubtful)
                    }
                }
                && other.missing_in(&connection.unmatched).is_some()
        };
        let mut candidates = (0..self.connections.len()).filter(|other| fits(&self.connections[*other]));
        let Some(first) = candidates.next() else {
            return Err(format!("connection {current} got bytes that nobody wrote to it"));
        };
        if candidates.next().is_none() {
            self.connections[current].pair = Some(first);
            self.connections[first].pair = Some(current);
            let got = std::mem::take(&mut self.connections[current].unmatched);
            self.connections[current].missing = self.connections[first].missing_in(&got).unwrap_or(0);
            let waiting = std::mem::take(&mut self.connections[first].unmatched);
            for (position, bytes) in waiting {
                self.compare(first, current, position, &bytes)?;
            }
        }
        Ok(())
    }

    /// After a whole turn: what pipes were given is written, unless nothing can be written any more (F60).
    pub fn forget_piped(&mut self, socket: usize) -> Result<(), Violation> {
        let model = &mut self.sockets[socket];
        model.piped.clear();
        model.piping.clear();
        model.piping_surely = None;
        model.given.clear();
        let (owed, written) = (std::mem::take(&mut model.owed_by_pipes), std::mem::take(&mut model.written_by_pipes));
        let elsewhere = std::mem::take(&mut model.piped_elsewhere);
        if written >= owed || elsewhere || !model.handle.writable() {
            return Ok(());
        }
        Err(format!("socket {socket}: pipes were given {owed} bytes, and wrote {written}"))
    }

    /// Pipes were given a chunk to write here.
    pub fn give_to(&mut self, destinations: &[usize], chunk: &[u8]) {
        for destination in destinations {
            self.sockets[*destination].piped.push(chunk.to_vec());
        }
    }

    /// What pipes wrote to `socket` since it was looked at last: `bytes_written` tells how much of it was accepted.
    pub fn settle(&mut self, socket: usize) -> Result<(), Violation> {
        self.notice_failure(socket);
        let model = &mut self.sockets[socket];
        let connection = &mut self.connections[model.current];
        let accepted = model.handle.bytes_written() as usize;
        if handle_is_gone(model.handle) || accepted == connection.written.len() {
            return Ok(());
        }
        // A destroyed one may forget what it did not send.
        let over = model.handle.destroyed() || model.handle.errored().is_some();
        let Some(new) = accepted.checked_sub(connection.written.len()) else {
            if over {
                return Ok(());
            }
            return Err(format!("socket {socket}: bytes_written went down to {accepted}"));
        };
        let Some(chosen) = summands(&model.piped, new) else {
            if over {
                return Ok(());
            }
            let sizes: Vec<usize> = model.piped.iter().map(Vec::len).collect();
            return Err(format!("socket {socket}: {new} bytes were written by nobody; pipes were given {sizes:?}"));
        };
        model.written_by_pipes += new;
        let mut chosen = chosen.into_iter();
        model.piped.retain(|piece| {
            let taken = chosen.next() == Some(true);
            if taken {
                connection.add(piece);
            }
            !taken
        });
        Ok(())
    }

    /// The connection that an `error` with this message belongs to: what connections were destroyed with is told in the order
    /// in which they were destroyed. A failed write is what a socket says it failed with even if something else destroys it, so
    /// one whose message is another comes last.
    pub fn failing(&self, socket: usize, error: &Error) -> usize {
        let model = &self.sockets[socket];
        let message = error.message();
        if error.syscall() == Some("reset") {
            // Told when the reset is tried, and no connection is destroyed with it.
            let tried = |number: &&usize| {
                let connection = &self.connections[**number];
                connection.reset_called && !connection.failed && !connection.closed
            };
            return model.superseded.iter().find(tried).copied().unwrap_or(model.current);
        }
        let owes = |number: &&usize| {
            let connection = &self.connections[**number];
            let over = connection.failed || connection.closed || connection.destroyed_with_error == Some(false);
            !over && connection.errored.is_some()
        };
        let superseded = || model.superseded.iter().filter(owes);
        let same = superseded().find(|number| self.connections[**number].errored.as_deref() == Some(message));
        if let Some(same) = same {
            return *same;
        }
        let own = model.handle.errored().is_some_and(|own| own.message() == message);
        if own && !self.connections[model.current].failed {
            return model.current;
        }
        superseded().next().copied().unwrap_or(model.current)
    }

    /// Looks at the socket after something was done with it.
    pub fn look(&mut self, socket: usize) {
        let model = &self.sockets[socket];
        let connection = &mut self.connections[model.current];
        if model.handle.destroyed() && connection.read_when_destroyed.is_none() {
            connection.read_when_destroyed = Some(model.handle.bytes_read());
        }
    }

    /// The connection whose `ready` this is: a `connect` listener that connects the socket anew comes before it (L39).
    fn readying(&self, socket: usize) -> usize {
        let model = &self.sockets[socket];
        let fits =
            |connection: &&usize| self.connections[**connection].connected && !self.connections[**connection].ready;
        model.superseded.iter().find(fits).copied().unwrap_or(model.current)
    }

    /// The connection whose `connect` this is: a listener in front may have connected the socket anew already.
    fn connecting(&self, socket: usize) -> usize {
        let model = &self.sockets[socket];
        let fits = |number: &&usize| {
            let connection = &self.connections[**number];
            connection.attempted && !connection.connected && !connection.failed
        };
        let anew = model.prepended && model.handle.pending();
        model.superseded.iter().find(fits).filter(|_| anew).copied().unwrap_or(model.current)
    }

    /// The source ends: a pipe ends its destination, which begins to send what was corked, or with `end: false` lets go of
    /// it (F61). A destination that is gone is not told so, but a source that waited for its `drain` flows again all the
    /// same, whoever paused it meanwhile.
    pub fn source_ends(&mut self, source: usize) {
        let mut left = Vec::new();
        for pipe in std::mem::take(&mut self.sockets[source].pipes) {
            let destination = &mut self.sockets[pipe.destination];
            destination.activity += u64::from(pipe.ends);
            if pipe.ends || !handle_is_gone(destination.handle) {
                left.push(pipe);
            } else {
                self.sockets[source].paused = false;
                self.sockets[source].resumes = true;
            }
        }
        self.sockets[source].pipes = left;
    }

    /// A listener in front of the one that checks was called: it may connect the socket anew before that one hears of the
    /// event, in the same breath.
    pub fn tell_soon(&mut self, socket: usize, event: SocketEvent) {
        if self.sockets[socket].begun.iter().all(|begun| begun.event != event) {
            let (connection, failed) = self.telling(socket, event);
            if event == SocketEvent::Connect {
                // What stands in front may destroy it, and then it has no address any more.
                self.client_connected(connection);
            }
            self.sockets[socket].begun.push(Begun { event, connection, failed });
        }
    }

    /// The connection that this event belongs to, which is told to the listener that checks, and whether that had failed
    /// before any listener was told.
    pub fn telling(&mut self, socket: usize, event: SocketEvent) -> (usize, bool) {
        let begun = &mut self.sockets[socket].begun;
        if let Some(at) = begun.iter().position(|begun| begun.event == event) {
            let begun = begun.remove(at);
            return (begun.connection, begun.failed);
        }
        let connection = match event {
            SocketEvent::Finish => self.finishing(socket),
            SocketEvent::Ready => self.readying(socket),
            SocketEvent::Connect => self.connecting(socket),
            _ => self.sockets[socket].current,
        };
        (connection, self.connections[connection].failed)
    }

    /// The connection whose `finish` this is: an end callback that connects the socket anew comes before it.
    fn finishing(&self, socket: usize) -> usize {
        let fits =
            |connection: &Connection| connection.socket == socket && connection.finishing && !connection.finished;
        self.connections.iter().position(fits).unwrap_or(self.sockets[socket].current)
    }

    /// The connection that a `close` with this argument belongs to.
    pub fn closing(&self, socket: usize, had_error: bool) -> usize {
        let model = &self.sockets[socket];
        let fits = |number: &&usize| {
            let connection = &self.connections[**number];
            // Without a connection, and after a reset that could not be made, it closes as if without an error.
            let told = connection.failed && connection.attempted && !connection.reset_refused;
            told == had_error
        };
        model.superseded.iter().find(fits).copied().unwrap_or(model.current)
    }

    /// Whether the other end of this connection may have ended, and its end may be here, and not be told yet.
    pub fn peer_may_end(&self, number: usize) -> bool {
        !self.connections[number].ended && self.peer_is_over(number)
    }

    /// Whether the other end of this connection has ended, or may have.
    pub fn peer_is_over(&self, number: usize) -> bool {
        let Some(pair) = self.connections[number].pair else { return true };
        let other = &self.connections[pair];
        let socket = &self.sockets[other.socket];
        other.end_called || other.finished || other.failed || socket.handle.destroyed() || socket.current != pair
    }

    /// Whether bytes, or the end, from the other end to this one are awaited, and nothing was seen to move for so long.
    pub fn is_stalled(&mut self, number: usize, now: Duration) -> bool {
        let connection = &self.connections[number];
        let Some(pair) = connection.pair else { return false };
        let (sender, receiver) = (&self.sockets[self.connections[pair].socket], &self.sockets[connection.socket]);
        let is_healthy = |socket: &SocketModel, number: usize| {
            let gone = handle_is_gone(socket.handle) || socket.handle.destroyed() || socket.handle.errored().is_some();
            socket.current == number && self.connections[number].connected && !gone
        };
        let (from, to) = (sender.handle, receiver.handle);
        let reads = to.readable_flowing() == Some(true) && !to.is_paused() && !receiver.own_buffer;
        let (written, waiting, read) = (self.connections[pair].written.len(), from.writable_length(), to.bytes_read());
        let under_way =
            waiting > 0 || (read as usize) < written || self.connections[pair].finished && !connection.ended;
        let moves = !is_healthy(sender, pair)
            || !is_healthy(receiver, number)
            || !reads
            || from.writable_corked() > 0
            || !under_way;
        let seen = (written, waiting, read, connection.ended);
        let flow = &mut self.connections[number].flow;
        match flow {
            Some((last, since)) if !moves && *last == seen => now > *since + LONGEST_WAY,
            _ => {
                *flow = (!moves).then_some((seen, now));
                false
            }
        }
    }

    /// Whether its connection is to a path.
    pub fn is_unix(&self, socket: usize) -> bool {
        self.connections[self.sockets[socket].current].unix
    }

    /// Whether its slot must be gone, once everything that is due was done.
    pub fn is_freed(&self, socket: usize) -> bool {
        let model = &self.sockets[socket];
        let over = self.connections[model.current].closed && model.superseded.is_empty();
        model.released || over && !model.retained
    }

    /// Accepted sockets of a server that are not destroyed.
    pub fn connections_of(&self, server: usize) -> usize {
        let of_server = |socket: &&SocketModel| self.connections[socket.current].accepted_by == Some(server);
        self.sockets.iter().filter(of_server).filter(|socket| !socket.handle.destroyed()).count()
    }
}

impl Connection {
    /// A write was accepted.
    pub fn add(&mut self, piece: &[u8]) {
        self.pieces.push(self.written.len());
        self.written.extend_from_slice(piece);
    }

    fn has_written(&self, position: usize, bytes: &[u8]) -> bool {
        position.checked_add(bytes.len()).and_then(|end| self.written.get(position..end)) == Some(bytes)
    }

    /// How much is missing in all of these pieces, if they are from here.
    fn missing_in(&self, pieces: &[(usize, Vec<u8>)]) -> Option<usize> {
        pieces
            .iter()
            .try_fold(0, |missing, (position, bytes)| Some(missing + self.missing_at(position + missing, bytes)?))
    }

    /// How much is missing within `bytes`, which were to be those at `position`: mostly nothing. After a failure the rest of
    /// them may be from the start of a later write.
    fn missing_at(&self, position: usize, bytes: &[u8]) -> Option<usize> {
        if self.has_written(position, bytes) {
            return Some(0);
        }
        let written = self.written.get(position..).filter(|_| self.broken)?;
        let same = written.iter().zip(bytes).take_while(|(written, got)| written == got).count();
        let places = (0..=same).rev().flat_map(|same| self.pieces.iter().map(move |piece| (same, *piece)));
        let later = places.filter(|(same, piece)| *piece > position + same);
        later
            .map(|(same, piece)| (same, piece, &bytes[same..]))
            .find_map(|(same, piece, rest)| self.has_written(piece, rest).then(|| piece - position - same))
    }
}

impl SocketModel {
    /// The pipe to this destination is no more.
    pub fn let_go(&mut self, destination: usize) {
        self.pipes.retain(|pipe| pipe.destination != destination);
        if self.given.contains(&destination) {
            self.lingering.push(destination);
        }
    }

    pub fn is_piped_to(&self, destination: usize) -> bool {
        self.pipes.iter().any(|pipe| pipe.destination == destination)
    }

    /// Within an emission of `data` another one would reach those that check in an order that they cannot tell.
    pub fn is_intricate(&self) -> bool {
        self.prepended || !self.pipes.is_empty()
    }

    /// A `data` listener at this place is about to act: what it takes away is given the chunk that is under way, unless it
    /// stands behind the one that checks, which knows of it.
    pub fn note_pipes(&mut self, place: usize) {
        if place > self.witness_place {
            let destinations = self.pipes.iter().map(|pipe| pipe.destination);
            let more: Vec<usize> = destinations.filter(|pipe| !self.piping.contains(pipe)).collect();
            self.piping.extend(more);
            let sure = || self.pipes.iter().map(|pipe| pipe.destination).collect();
            self.piping_surely.get_or_insert_with(sure);
        }
    }

    /// A listener was put in front of all others: the higher the place, the further in front.
    pub fn next_place(&mut self) -> usize {
        self.places += 1;
        self.places
    }

    pub fn seen(&self) -> Seen {
        let handle = self.handle;
        (self.activity, handle.bytes_read(), handle.bytes_written(), handle.writable_length())
    }

    /// Checks the idle timeout, between turns: it comes, once, when nothing happens (T3).
    pub fn check_idle(&mut self, now: Duration, peer_may_end: bool) -> Result<(), Violation> {
        let seen = self.seen();
        let Some(idle) = &mut self.idle else { return Ok(()) };
        if idle.told.is_some_and(|told| told.1 != seen.1) {
            // Input arms it again (T1).
            idle.told = None;
        }
        if seen != idle.seen || self.handle.writable_length() > 0 || self.handle.destroyed() {
            // With output under way progress of the kernel counts, which is not to be seen from here (T4).
            idle.seen = seen;
            idle.since = now;
        }
        // That the peer has ended is activity once, which is not to be seen before what came in front of it is consumed.
        let longest = if peer_may_end { idle.timeout * 2 } else { idle.timeout };
        if idle.told.is_none() && now > idle.since + longest + TURN {
            return Err(format!("no timeout after {:?}, {:?} were set", now - idle.since, idle.timeout));
        }
        Ok(())
    }
}

/// What commands destroy with.
pub const COMMANDED: &str = "a storm";

/// What is due is done within a turn, which lasts no longer than this unless it is cut short.
pub const TURN: Duration = Duration::from_millis(100);

/// What is on its way arrives, or is answered, within this time unless it was lost: much longer than the latency of any link,
/// a delayed event and the wait for memory together.
const LONGEST_WAY: Duration = Duration::from_secs(2);

/// Counters of a freed handle are 0, so there is nothing to compare with.
pub fn handle_is_gone(handle: Socket) -> bool {
    handle.id().get().is_none()
}

/// Which pieces make this sum, the last rather than the first: mostly it is all of them.
fn summands(pieces: &[Vec<u8>], sum: usize) -> Option<Vec<bool>> {
    // What can be made of the pieces before each, and of all.
    let mut sums = vec![BTreeSet::from([0])];
    for piece in pieces {
        let before = &sums[sums.len() - 1];
        let with = before.iter().map(|sum| sum + piece.len()).filter(|with| *with <= sum);
        sums.push(before.iter().copied().chain(with).collect());
    }
    let mut rest = Some(sum).filter(|sum| sums[pieces.len()].contains(sum))?;
    let mut chosen = vec![false; pieces.len()];
    for (index, piece) in pieces.iter().enumerate().rev() {
        chosen[index] = rest.checked_sub(piece.len()).is_some_and(|rest| sums[index].contains(&rest));
        rest -= if chosen[index] { piece.len() } else { 0 };
    }
    Some(chosen)
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |character: u8| (character as char).to_digit(16);
    let pairs = text.chunks(2);
    pairs.map(|pair| Some((digit(pair[0])? * 16 + digit(*pair.get(1)?)?) as u8)).collect()
}
