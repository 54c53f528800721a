//! A loop that writes down what the system answered it, and one that is answered from there.
//!
//! It may touch the tape of `sys` and the loop's core and mailbox. Invariant: whatever reaches the loop from outside goes
//! through the tape, so that with the same program it does the same.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::error::{Errno, Error};
use crate::event_loop::core::Core;
use crate::event_loop::mailbox::{Answer, Item, Mailbox};
use crate::event_loop::{EventLoop, EventLoopOptions, current};
use crate::reactor::handle;
use crate::reactor::selecting::LookupId;
use crate::sys::resolver::LookupFailure;
pub(crate) use crate::sys::simulated::Taping;
pub(crate) use crate::sys::taped::Tape;
use crate::sys::taped::{Failure, Field, put_address, put_number};

/// How long a replay waits for a post that its own threads are to make again.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

impl EventLoop {
    /// Makes this thread's event loop, and writes all that the system answers it into a new file at `path`: events, bytes,
    /// errors, addresses, times, names that were looked up, and when other threads wanted something. With
    /// [`replayed`](EventLoop::replayed) the same program then does the same again, without a network: under a debugger,
    /// or with one more line that prints. Not in Node. Only with the feature `simulation`.
    ///
    /// The file is complete when the loop is dropped. It contains every byte that was read, and nothing of what was written
    /// but a checksum. A process that is killed loses the latest 64 KiB of it. When it cannot be written to, the next wait
    /// fails with `ERR_RECORDING_FAILED`.
    ///
    /// Unix sockets, adopted descriptors and [`watch`](crate::watch()) cannot be recorded (`ENOTSUP`), and no descriptor can be
    /// given away.
    ///
    /// # Errors
    ///
    /// Those of [`EventLoop::new`], and what the system says to the file (`EACCES`, `ENOENT`, `ENOSPC`).
    ///
    /// # Panics
    ///
    /// When this thread has an event loop already.
    ///
    /// ```
    /// use halfclose::{EventLoop, net};
    ///
    /// fn program() -> Result<u64, halfclose::Error> {
    ///     let socket = net::connect(("127.0.0.1", 1))?;
    ///     socket.on_error(|_, error| assert_eq!(error.code(), Some("ECONNREFUSED")));
    ///     Ok(1)
    /// }
    ///
    /// let path = std::env::temp_dir().join(format!("halfclose-doc-recorded-{}", std::process::id()));
    /// let mut event_loop = EventLoop::recorded(&path)?;
    /// program()?;
    /// event_loop.run()?;
    /// let turns = event_loop.stats().turns;
    /// drop(event_loop);
    ///
    /// let mut event_loop = EventLoop::replayed(&path)?;
    /// program()?;
    /// event_loop.run()?; // refused again, by nobody
    /// assert_eq!(event_loop.stats().turns, turns);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn recorded(path: impl AsRef<Path>) -> Result<EventLoop, Error> {
        EventLoop::recorded_with(path, EventLoopOptions::new())
    }

    /// The same, tuned. Not in Node. Only with the feature `simulation`.
    ///
    /// # Errors
    ///
    /// As [`EventLoop::recorded`].
    ///
    /// # Panics
    ///
    /// When this thread has an event loop already.
    ///
    /// ```
    /// use halfclose::{EventLoop, EventLoopOptions};
    ///
    /// let path = std::env::temp_dir().join(format!("halfclose-doc-tuned-{}", std::process::id()));
    /// let options = EventLoopOptions::new().reads_per_turn(1);
    /// EventLoop::recorded_with(&path, options.clone())?.run()?;
    /// EventLoop::replayed_with(&path, options)?.run()?;
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn recorded_with(path: impl AsRef<Path>, options: EventLoopOptions) -> Result<EventLoop, Error> {
        current::check_free();
        let tape = Tape::record(path.as_ref(), handle::token_offset(current::last_generation()));
        EventLoop::with_tape(tape.map_err(|error| Error::exception(Errno::from_io(&error), "open"))?, options)
    }

    /// Makes this thread's event loop and answers it from a file that [`recorded`](EventLoop::recorded) wrote: the same
    /// program sees the same events in the same order, with the same bytes and at the same times by the loop's clock, and
    /// none of it comes from the network. Waits end at once. Not in Node. Only with the feature `simulation`.
    ///
    /// The program must be the same, with the same options, and must do the same when the same happens to it: what it asks
    /// others (the clock, files, chance) is not in the file. Closures that other threads posted are not, either: those
    /// threads have to run and post them again, and each is called at its recorded place, for which up to ten seconds are
    /// waited.
    ///
    /// As soon as the program does anything else, every call fails and [`run`](EventLoop::run) returns an error that says at
    /// which entry, with the code `ERR_REPLAY_DIVERGED`. So it does when the file is damaged (`ERR_RECORDING_CORRUPT`) or ends too
    /// early (`ERR_RECORDING_TRUNCATED`).
    ///
    /// # Errors
    ///
    /// Those of [`EventLoop::new`], what the system says to the file, and `ERR_RECORDING_CORRUPT` for one that is no recording.
    ///
    /// # Panics
    ///
    /// When this thread has an event loop already.
    ///
    /// ```
    /// use halfclose::EventLoop;
    ///
    /// let path = std::env::temp_dir().join(format!("halfclose-doc-replayed-{}", std::process::id()));
    /// std::fs::write(&path, "something else")?;
    /// assert_eq!(EventLoop::replayed(&path).unwrap_err().code(), Some("ERR_RECORDING_CORRUPT"));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn replayed(path: impl AsRef<Path>) -> Result<EventLoop, Error> {
        EventLoop::replayed_with(path, EventLoopOptions::new())
    }

    /// The same, tuned: as the recording was. Not in Node. Only with the feature `simulation`.
    ///
    /// # Errors
    ///
    /// As [`EventLoop::replayed`].
    ///
    /// # Panics
    ///
    /// When this thread has an event loop already.
    ///
    /// ```
    /// use halfclose::{EventLoop, EventLoopOptions};
    ///
    /// let missing = std::env::temp_dir().join("halfclose-doc-there-is-no-such-file");
    /// let error = EventLoop::replayed_with(missing, EventLoopOptions::new()).unwrap_err();
    /// assert_eq!(error.code(), Some("ENOENT"));
    /// ```
    #[track_caller]
    pub fn replayed_with(path: impl AsRef<Path>, options: EventLoopOptions) -> Result<EventLoop, Error> {
        current::check_free();
        match Tape::replay(path.as_ref(), handle::token_offset(current::last_generation())) {
            Ok(tape) => EventLoop::with_tape(tape, options),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Error::of_tape(&Failure::Corrupt)),
            Err(error) => Err(Error::exception(Errno::from_io(&error), "open")),
        }
    }

    fn with_tape(tape: Tape, options: EventLoopOptions) -> Result<EventLoop, Error> {
        let taping = Taping::new(tape.clone());
        let mut event_loop = EventLoop::with_options(options)?;
        event_loop.plainly = false;
        event_loop.inner.mailbox.set_tape(tape.clone());
        event_loop.inner.core.borrow_mut().tape = Some(tape);
        event_loop.taping = Some(taping);
        Ok(event_loop)
    }
}

impl Core {
    /// Why the tape is of no more use, if it is not.
    pub(super) fn tape_failure(&self) -> Option<Error> {
        self.tape.as_ref()?.failure().map(|failure| Error::of_tape(&failure))
    }

    /// Names are answered by the tape.
    pub(super) fn is_replaying(&self) -> bool {
        self.tape.as_ref().is_some_and(Tape::is_replaying)
    }
}

impl Error {
    /// Not in Node: of a recording.
    fn of_tape(failure: &Failure) -> Error {
        let code = match failure {
            Failure::Corrupt => "ERR_RECORDING_CORRUPT",
            Failure::Truncated => "ERR_RECORDING_TRUNCATED",
            Failure::File(_) => "ERR_RECORDING_FAILED",
            Failure::Diverged { .. } => "ERR_REPLAY_DIVERGED",
        };
        Error::recording(code, failure.to_string())
    }
}

/// What stands for an item on tape.
const NOTHING: u8 = 0;
const CALL: u8 = 1;
const CUSTOM: u8 = 2;
const FOUND: u8 = 3;
const NOT_FOUND: u8 = 4;

impl Mailbox {
    /// The next item as the tape has it: `live` is asked where it is made.
    pub(super) fn take_taped(&self, tape: &Tape, live: impl FnOnce() -> Option<Item>) -> Option<Item> {
        let mut item = None;
        let bytes = tape.item(|| {
            item = live();
            encoded(item.as_ref())
        })?;
        if !tape.is_replaying() {
            return item;
        }
        let decoded = match decoded(&bytes) {
            Some(decoded) => decoded,
            None => {
                tape.fail(Failure::Corrupt);
                return None;
            }
        };
        let found = match decoded {
            Taped::Nothing => return None,
            Taped::Answer(answer) => return Some(Item::Lookup(answer)),
            Taped::Call => self.wait_for(LONGEST_WAIT, |item| matches!(item, Item::Call(_))),
            Taped::Custom(id) => {
                self.wait_for(LONGEST_WAIT, |item| matches!(item, Item::CustomLookup(of, _) if *of == id))
            }
        };
        if found.is_none() {
            let recorded = "something that another thread handed over".to_owned();
            tape.fail(Failure::Diverged { entry: 0, recorded, asked: "nothing for ten seconds".to_owned() });
        }
        found
    }
}

enum Taped {
    Nothing,
    Call,
    Custom(LookupId),
    Answer(Answer),
}

fn encoded(item: Option<&Item>) -> Vec<u8> {
    let mut bytes = Vec::new();
    match item {
        None => bytes.push(NOTHING),
        Some(Item::Call(_)) => bytes.push(CALL),
        Some(Item::CustomLookup(id, _)) => {
            bytes.push(CUSTOM);
            put_number(&mut bytes, id.0);
        }
        Some(Item::Lookup(Answer { id, result })) => {
            bytes.push(if result.is_ok() { FOUND } else { NOT_FOUND });
            put_number(&mut bytes, id.0);
            match result {
                Ok(addresses) => addresses.iter().for_each(|address| put_address(&mut bytes, Some(*address))),
                Err(failure) => {
                    put_number(&mut bytes, u64::from(failure.errno.unsigned_abs()));
                    bytes.extend_from_slice(failure.code.as_bytes());
                }
            }
        }
    }
    bytes
}

fn decoded(bytes: &[u8]) -> Option<Taped> {
    let mut field = Field(bytes);
    let kind = field.byte()?;
    match kind {
        NOTHING => return Some(Taped::Nothing),
        CALL => return Some(Taped::Call),
        CUSTOM => return Some(Taped::Custom(LookupId(field.number()?))),
        FOUND | NOT_FOUND => {}
        _ => return None,
    }
    let id = LookupId(field.number()?);
    if kind == FOUND {
        let mut addresses = Vec::new();
        // Bounded by the entry: each round takes some of it.
        while !field.0.is_empty() {
            addresses.push(field.address()??);
        }
        return Some(Taped::Answer(Answer { id, result: Ok(addresses) }));
    }
    let errno = i32::try_from(field.number()?).ok()?;
    let code = std::str::from_utf8(field.0).ok()?;
    Some(Taped::Answer(Answer { id, result: Err(LookupFailure::taped(-errno, code)) }))
}
