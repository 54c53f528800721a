//! A tape: one entry for each answer of the system, in the order in which they were given.
//!
//! An entry says which call it was, of which socket, and how often the loop had looked for the wishes of other threads in
//! vain since the entry before. A replay that asks for something else has diverged, and is told so from then on. May touch
//! the file next door. Invariant: after a failure every call fails.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::blocks::{Reader, Writer, checksum};

/// Which call an entry is about. The numbers are those in the file.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Call {
    End,
    Attention,
    Item,
    Clock,
    Wait,
    Register,
    Deregister,
    Socket,
    Bind,
    Listen,
    Accept,
    Connect,
    TakeError,
    Read,
    Write,
    Shutdown,
    LocalAddress,
    PeerAddress,
    Option,
    Shed,
}

/// All of them, by number.
const CALLS: [Call; 20] = [
    Call::End,
    Call::Attention,
    Call::Item,
    Call::Clock,
    Call::Wait,
    Call::Register,
    Call::Deregister,
    Call::Socket,
    Call::Bind,
    Call::Listen,
    Call::Accept,
    Call::Connect,
    Call::TakeError,
    Call::Read,
    Call::Write,
    Call::Shutdown,
    Call::LocalAddress,
    Call::PeerAddress,
    Call::Option,
    Call::Shed,
];

/// Why a tape is of no more use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    Corrupt,
    Truncated,
    /// The file could not be read or written.
    File(String),
    Diverged {
        entry: u64,
        recorded: String,
        asked: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt => formatter.write_str("The recording is damaged"),
            Self::Truncated => formatter.write_str("The recording ends before the loop did"),
            Self::File(why) => write!(formatter, "The recording cannot be read or written: {why}"),
            Self::Diverged { entry, recorded, asked } => {
                write!(formatter, "The program did not do what was recorded: entry {entry} is {recorded}, not {asked}")
            }
        }
    }
}

/// The tape of a loop: `Send`, because its mailbox has it.
#[derive(Clone, Debug)]
pub(crate) struct Tape(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    mode: Mode,
    /// What every token is less by on tape: where the thread's generations stood.
    offset: u64,
    numbers: u64,
    entries: u64,
    /// How often it was asked in vain since the entry before.
    in_vain: u64,
    latest_time: u64,
    failure: Option<Failure>,
}

#[derive(Debug)]
enum Mode {
    Record(Writer),
    Replay(Reader),
}

/// What became of a call: made, or found on the tape with what belongs to it.
pub(super) enum Answer<T> {
    Live(T),
    Taped(Vec<u8>),
}

impl Tape {
    pub(crate) fn record(path: &Path, offset: u64) -> io::Result<Tape> {
        Ok(Tape::new(Mode::Record(Writer::create(path)?), offset))
    }

    pub(crate) fn replay(path: &Path, offset: u64) -> io::Result<Tape> {
        Ok(Tape::new(Mode::Replay(Reader::open(path)?), offset))
    }

    fn new(mode: Mode, offset: u64) -> Tape {
        let state = State { mode, offset, numbers: 0, entries: 0, in_vain: 0, latest_time: 0, failure: None };
        Tape(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn is_replaying(&self) -> bool {
        matches!(self.lock().mode, Mode::Replay(_))
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    pub(crate) fn fail(&self, failure: Failure) {
        self.lock().failure.get_or_insert(failure);
    }

    /// The loop is over.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        if state.failure.is_none() && matches!(state.mode, Mode::Record(_)) {
            state.put(Call::End, 0, Ok(()), |_| {});
            if let Mode::Record(writer) = &mut state.mode {
                // Nobody is there any more to be told; who replays it is told that it is truncated.
                let _ = writer.flush();
            }
        }
    }

    /// A number for a new socket.
    pub(super) fn number(&self) -> u64 {
        let mut state = self.lock();
        state.numbers += 1;
        state.numbers
    }

    /// The answer of one call: `live` makes it, `put` writes what belongs to its success.
    pub(super) fn call<T>(
        &self,
        call: Call,
        number: u64,
        live: impl FnOnce() -> io::Result<T>,
        put: impl FnOnce(&T, &mut Vec<u8>),
    ) -> io::Result<Answer<T>> {
        if self.is_replaying() {
            let mut state = self.lock();
            return state.find(call, number)?.map(Answer::Taped);
        }
        let answer = live();
        let mut state = self.lock();
        match &answer {
            Ok(value) => state.put(call, number, Ok(()), |entry| put(value, entry)),
            Err(error) => state.put(call, number, Err(error.raw_os_error().unwrap_or(0)), |_| {}),
        }
        answer.map(Answer::Live)
    }

    /// The same for a call that only succeeds or fails.
    pub(super) fn unit(&self, call: Call, number: u64, live: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.call(call, number, live, |(), _| {}).map(|_| ())
    }

    /// The same for a call that answers with a number.
    pub(super) fn count(&self, call: Call, number: u64, live: impl FnOnce() -> io::Result<u64>) -> io::Result<u64> {
        match self.call(call, number, live, |count, entry| put_number(entry, *count))? {
            Answer::Live(count) => Ok(count),
            Answer::Taped(bytes) => self.decoded(Field(&bytes).number()),
        }
    }

    pub(super) fn address(
        &self,
        call: Call,
        number: u64,
        live: impl FnOnce() -> io::Result<SocketAddr>,
    ) -> io::Result<SocketAddr> {
        match self.call(call, number, live, |address, entry| put_address(entry, Some(*address)))? {
            Answer::Live(address) => Ok(address),
            Answer::Taped(bytes) => self.decoded(Field(&bytes).address().flatten()),
        }
    }

    /// What was to be found in an entry, or the failure that it was not.
    pub(super) fn decoded<T>(&self, found: Option<T>) -> io::Result<T> {
        found.ok_or_else(|| {
            self.fail(Failure::Corrupt);
            failed()
        })
    }

    /// What the program writes, for the replay to compare.
    pub(super) fn offered(&self, bytes: &[u8]) -> u64 {
        u64::from(checksum(bytes))
    }

    /// The time, in nanoseconds. It stands still after a failure.
    pub(super) fn time(&self, live: impl FnOnce() -> u64) -> u64 {
        let replaying = self.is_replaying();
        let live = if replaying { 0 } else { live() };
        let mut state = self.lock();
        if replaying {
            let Ok(Ok(bytes)) = state.find(Call::Clock, 0) else { return state.latest_time };
            match Field(&bytes).number() {
                Some(passed) => state.latest_time = state.latest_time.saturating_add(passed),
                None => state.failure = Some(Failure::Corrupt),
            }
        } else {
            let passed = live.saturating_sub(state.latest_time);
            state.latest_time = live;
            state.put(Call::Clock, 0, Ok(()), |entry| put_number(entry, passed));
        }
        state.latest_time
    }

    /// Whether another thread wants something, as the loop sees it now.
    pub(crate) fn ask(&self, live: bool) -> bool {
        let mut state = self.lock();
        let wanted = match &state.mode {
            Mode::Record(_) => live,
            Mode::Replay(_) => state.failure.is_none() && state.is_next(Call::Attention),
        };
        if !wanted {
            state.in_vain += 1;
            return false;
        }
        match &state.mode {
            Mode::Record(_) => state.put(Call::Attention, 0, Ok(()), |_| {}),
            Mode::Replay(_) => return state.find(Call::Attention, 0).is_ok(),
        }
        true
    }

    /// Something that another thread handed over: what it is, in the words of the mailbox.
    pub(crate) fn item(&self, live: impl FnOnce() -> Vec<u8>) -> Option<Vec<u8>> {
        let found = self.call(Call::Item, 0, || Ok(live()), |bytes, entry| entry.extend_from_slice(bytes));
        found.ok().map(|found| match found {
            Answer::Live(bytes) | Answer::Taped(bytes) => bytes,
        })
    }

    /// The program does something else than it did.
    pub(super) fn diverged<T>(&self, recorded: String, asked: String) -> io::Result<T> {
        let entry = self.lock().entries;
        self.fail(Failure::Diverged { entry, recorded, asked });
        Err(failed())
    }

    pub(super) fn offset(&self) -> u64 {
        self.lock().offset
    }

    /// No user code runs under the lock, so a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An entry: how often in vain, the call, the socket, the error (0 for none), the length of what follows, that.
    fn put(&mut self, call: Call, number: u64, result: Result<(), i32>, payload: impl FnOnce(&mut Vec<u8>)) {
        let in_vain = std::mem::take(&mut self.in_vain);
        self.entries += 1;
        let Mode::Record(writer) = &mut self.mode else { return };
        if self.failure.is_some() {
            return;
        }
        let mut bytes = Vec::new();
        payload(&mut bytes);
        let entry = writer.entry();
        put_number(entry, in_vain);
        entry.push(call as u8);
        put_number(entry, number);
        // One more, because an error may have no number.
        put_number(entry, result.map_or_else(|errno| u64::from(errno.unsigned_abs()) + 1, |()| 0));
        put_number(entry, bytes.len() as u64);
        entry.extend_from_slice(&bytes);
        if let Err(error) = writer.entered() {
            self.failure = Some(Failure::File(error.to_string()));
        }
    }

    /// Takes the next entry, which must be this one. The outer error is the replay's, the inner one the call's.
    fn find(&mut self, call: Call, number: u64) -> io::Result<io::Result<Vec<u8>>> {
        if self.failure.is_some() {
            return Err(failed());
        }
        let in_vain = std::mem::take(&mut self.in_vain);
        self.entries += 1;
        let found = self.peek().and_then(|entry| {
            if (entry.in_vain, entry.call, entry.number) == (in_vain, call, number) {
                return Ok(entry);
            }
            Err(Failure::Diverged {
                entry: self.entries,
                recorded: format!("{:?} of {} after {}", entry.call, entry.number, entry.in_vain),
                asked: format!("{call:?} of {number} after {in_vain}"),
            })
        });
        match found {
            Ok(entry) => {
                if let Mode::Replay(reader) = &mut self.mode {
                    reader.advance(entry.length);
                }
                Ok(match entry.error {
                    None => Ok(entry.payload),
                    Some(0) => Err(io::ErrorKind::Other.into()),
                    Some(errno) => Err(io::Error::from_raw_os_error(errno)),
                })
            }
            Err(failure) => {
                self.failure = Some(failure);
                Err(failed())
            }
        }
    }

    /// Whether the next entry is of this call, asked as often in vain before as now. A tape that cannot be read says so when
    /// the entry is taken.
    fn is_next(&mut self, call: Call) -> bool {
        let in_vain = self.in_vain;
        self.peek().is_ok_and(|entry| entry.call == call && entry.in_vain == in_vain)
    }

    fn peek(&mut self) -> Result<Entry, Failure> {
        let Mode::Replay(reader) = &mut self.mode else { return Err(Failure::Corrupt) };
        let rest = reader.rest()?;
        let mut field = Field(rest);
        let entry = field.entry().ok_or(Failure::Corrupt)?;
        Ok(Entry { length: rest.len() - field.0.len(), ..entry })
    }
}

struct Entry {
    in_vain: u64,
    call: Call,
    number: u64,
    error: Option<i32>,
    payload: Vec<u8>,
    /// How long it is on tape.
    length: usize,
}

fn failed() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

/// What is left to be read of an entry.
pub(crate) struct Field<'a>(pub(crate) &'a [u8]);

impl<'a> Field<'a> {
    fn entry(&mut self) -> Option<Entry> {
        let in_vain = self.number()?;
        let call = *CALLS.get(usize::from(self.byte()?))?;
        let number = self.number()?;
        let error = match self.number()? {
            0 => None,
            more => Some(i32::try_from(more - 1).ok()?),
        };
        let length = usize::try_from(self.number()?).ok()?;
        let payload = self.bytes(length)?.to_vec();
        Some(Entry { in_vain, call, number, error, payload, length: 0 })
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Seven bits in each byte, the lowest first.
    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        // Bounded by the bits of a word.
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn address(&mut self) -> Option<Option<SocketAddr>> {
        let length = usize::from(self.byte()?);
        let text = std::str::from_utf8(self.bytes(length)?).ok()?;
        if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
    }

    pub(super) fn duration(&mut self) -> Option<Option<Duration>> {
        match self.number()? {
            0 => Some(None),
            more => Some(Some(Duration::from_nanos(more - 1))),
        }
    }
}

pub(crate) fn put_number(entry: &mut Vec<u8>, mut number: u64) {
    // Bounded by the bits of a word.
    while number > 0x7f {
        entry.push(number as u8 | 0x80);
        number >>= 7;
    }
    entry.push(number as u8);
}

/// As text, which no address has 255 bytes of.
pub(crate) fn put_address(entry: &mut Vec<u8>, address: Option<SocketAddr>) {
    let text = address.map(|address| address.to_string()).unwrap_or_default();
    entry.push(text.len() as u8);
    entry.extend_from_slice(text.as_bytes());
}

pub(super) fn put_duration(entry: &mut Vec<u8>, duration: Option<Duration>) {
    let nanoseconds = duration.map_or(0, |duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1) + 1);
    put_number(entry, nanoseconds);
}
