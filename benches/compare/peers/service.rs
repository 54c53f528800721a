//! What a hand-written server does with its connections, whatever told it that they are ready.
//!
//! May touch: the streams that it is given. Invariant: a connection with unsent bytes is not read, so nobody can make
//! the server remember more than one buffer for each; after a short read nothing is read again unless the peer hung up,
//! because the registration is edge-triggered and new bytes are a new edge (epoll(7)).

use std::io::{self, ErrorKind};

use super::{ASKS_FOR_BURST, BURST, Mode, SHARED_BUFFER, Style};

/// A non-blocking stream.
pub trait Stream {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

struct Connection<S> {
    stream: S,
    unsent: Vec<u8>,
}

/// The connections of a server, by the numbers that they are registered with.
pub struct Service<S> {
    mode: Mode,
    connections: Vec<Option<Connection<S>>>,
    free: Vec<usize>,
    /// How many connections have unsent bytes; counted for echoes only.
    waiting: usize,
    buffer: Box<[u8]>,
    gathered: Vec<u8>,
    burst: Box<[u8]>,
}

impl<S: Stream> Service<S> {
    pub fn new(mode: Mode) -> Service<S> {
        let burst = if matches!(mode, Mode::Idle { .. }) { BURST } else { 0 };
        Service {
            mode,
            connections: Vec::new(),
            free: Vec::new(),
            waiting: 0,
            buffer: vec![0; SHARED_BUFFER].into_boxed_slice(),
            gathered: Vec::new(),
            burst: vec![b'b'; burst].into_boxed_slice(),
        }
    }

    /// The number that the next connection gets.
    pub fn vacant(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        })
    }

    /// Keeps a connection that was registered with the number.
    pub fn insert(&mut self, number: usize, stream: S) {
        self.connections[number] = Some(Connection { stream, unsent: Vec::new() });
    }

    /// A connection is ready. What it cannot take now waits for the next edge.
    #[inline]
    pub fn ready(&mut self, number: usize, readable: bool, writable: bool, hung_up: bool) {
        let Some(connection) = self.connections[number].as_mut() else { return };
        let mut read_on = readable;
        if writable && !connection.unsent.is_empty() {
            if connection.flush().is_err() {
                return self.close(number);
            }
            read_on = connection.unsent.is_empty();
            self.waiting -= usize::from(read_on && self.mode == Mode::Echo);
        }
        if read_on && self.read(number, hung_up).is_err() {
            self.close(number);
        }
    }

    /// Whether no connection has unsent bytes.
    #[inline]
    pub fn all_is_sent(&self) -> bool {
        self.waiting == 0
    }

    /// Keeps bytes of an echo that the kernel did not take.
    #[cold]
    pub fn keep(&mut self, number: usize, bytes: &[u8]) {
        if let Some(connection) = self.connections[number].as_mut() {
            self.waiting += usize::from(connection.unsent.is_empty());
            connection.unsent.extend_from_slice(bytes);
        }
    }

    fn close(&mut self, number: usize) {
        let closed = self.connections[number].take();
        let waited = closed.is_some_and(|connection| !connection.unsent.is_empty());
        self.waiting -= usize::from(waited && self.mode == Mode::Echo);
        self.free.push(number);
    }

    /// An error says that the connection is over, orderly or not.
    #[inline]
    fn read(&mut self, number: usize, hung_up: bool) -> io::Result<()> {
        loop {
            let Some(connection) = self.connections[number].as_mut() else { return Ok(()) };
            if !connection.unsent.is_empty() {
                return Ok(());
            }
            let count = match connection.stream.receive(&mut self.buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            match self.mode {
                Mode::Echo => {
                    connection.send(&self.buffer[..count])?;
                    self.waiting += usize::from(!connection.unsent.is_empty());
                }
                Mode::Sink => {}
                Mode::Pieces { size, style } => match style {
                    Style::Each => {
                        for piece in self.buffer[..count].chunks(size) {
                            connection.send(piece)?;
                        }
                    }
                    Style::Gathered | Style::Joined | Style::Batched => {
                        self.gathered.clear();
                        for piece in self.buffer[..count].chunks(size) {
                            self.gathered.extend_from_slice(piece);
                        }
                        connection.send(&self.gathered)?;
                    }
                },
                Mode::FanOut => {
                    for receiver in self.connections.iter_mut().flatten() {
                        // Its own events end it.
                        let _ = receiver.send(&self.buffer[..count]);
                    }
                }
                Mode::Idle { .. } if self.buffer[0] == ASKS_FOR_BURST => connection.send(&self.burst)?,
                Mode::Idle { .. } => connection.send(&self.buffer[..count])?,
            }
            if count < self.buffer.len() && !hung_up {
                return Ok(());
            }
        }
    }
}

impl<S: Stream> Connection<S> {
    /// Sends, and keeps what the kernel does not take.
    #[inline]
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.unsent.is_empty() {
            match self.stream.send(bytes) {
                Ok(count) if count == bytes.len() => return Ok(()),
                Ok(count) => self.unsent.extend_from_slice(&bytes[count..]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.unsent.extend_from_slice(bytes),
                Err(error) => return Err(error),
            }
        } else {
            self.unsent.extend_from_slice(bytes);
        }
        Ok(())
    }

    #[cold]
    fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.stream.send(&self.unsent[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            // An idle connection keeps no buffer.
            self.unsent = Vec::new();
        }
        Ok(())
    }
}
