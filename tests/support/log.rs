//! What happened in a test, in order, with the place in the loop's turn, in the notation of the ordering rules.
//!
//! May touch: std and `halfclose::position`. Invariant: entries are only added, by the thread of the test, and read by
//! any.
//!
//! The notation, per endpoint: `a, b` is the same callback and the same tick; `a ~ b` a later tick of the same callback;
//! `a | b` a later callback of the loop, `a | ~ b` a tick of a later callback; `a |x b` and `a |x ~ b` the same for a
//! callback of the closing phase.

use std::fmt::{Display, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use halfclose::{Phase, Position};

use super::kept::kept;

/// Shared with the watchdog's thread.
type SharedLogs = Arc<Mutex<Vec<Log>>>;

thread_local! {
    /// The logs of the test that runs on this thread, for the message of its deadline.
    static LOGS: SharedLogs = SharedLogs::default();
}

/// What happened, in order, with the place in the loop's turn at which it happened. `Copy`, so that any number of
/// listeners can capture it; its entries are never freed, which is a few hundred bytes a test.
#[derive(Clone, Copy)]
pub struct Log {
    entries: &'static Mutex<Vec<Entry>>,
}

impl Log {
    pub fn new() -> Log {
        let log = Log { entries: kept(Mutex::default()) };
        LOGS.with(|logs| lock(logs).push(log));
        log
    }

    /// Records an entry of `endpoint`, here and now.
    pub fn add(&self, endpoint: &str, text: impl Display) {
        self.push(endpoint, What::Text(text.to_string()));
    }

    /// Records received bytes as `data`; directly following ones of the same endpoint become one entry.
    pub fn add_data(&self, endpoint: &str) {
        self.push(endpoint, What::Data);
    }

    /// Records received bytes as `data(5)`; directly following ones of the same endpoint are added up.
    pub fn add_data_length(&self, endpoint: &str, length: usize) {
        self.push(endpoint, What::Length(length));
    }

    /// Records received bytes as `data(hello)`; directly following ones of the same endpoint are joined.
    pub fn add_data_bytes(&self, endpoint: &str, bytes: &[u8]) {
        self.push(endpoint, What::Bytes(bytes.to_vec()));
    }

    /// The entries of one endpoint in the notation of the rules. The first has no separator.
    pub fn of(&self, endpoint: &str) -> String {
        let entries = lock(self.entries);
        let mut text = String::new();
        let mut previous = None;
        for entry in entries.iter().filter(|entry| entry.endpoint == endpoint) {
            if let Some(previous) = previous {
                text.push_str(separator(previous, entry.first));
            }
            let _ = write!(text, "{}", entry.what);
            previous = Some(entry.last);
        }
        text
    }

    /// The entries of one endpoint that follow its first entry `anchor`, with the separator that stands before the first
    /// of them: `after("C", "ready")` is the notation of the tables that begin after `connect, ready`.
    #[track_caller]
    pub fn after(&self, endpoint: &str, anchor: &str) -> String {
        let entries = lock(self.entries);
        let mut own = entries.iter().filter(|entry| entry.endpoint == endpoint);
        let Some(start) = own.find(|entry| entry.what.to_string() == anchor) else {
            drop(entries);
            panic!("{endpoint} has no entry {anchor}; all entries: {}", self.whole());
        };
        let mut text = String::new();
        let mut previous = start.last;
        for entry in own {
            text.push_str(separator(previous, entry.first));
            let _ = write!(text, "{}", entry.what);
            previous = entry.last;
        }
        text.trim_start().to_owned()
    }

    /// The entries of all endpoints, as in `C connect, C ready | S connection`.
    pub fn whole(&self) -> String {
        let entries = lock(self.entries);
        let mut text = String::new();
        let mut previous = None;
        for entry in entries.iter() {
            if let Some(previous) = previous {
                text.push_str(separator(previous, entry.first));
            }
            let _ = write!(text, "{} {}", entry.endpoint, entry.what);
            previous = Some(entry.last);
        }
        text
    }

    /// The entries of all endpoints without their places: `["C connect", "C ready", …]`.
    pub fn list(&self) -> Vec<String> {
        lock(self.entries).iter().map(|entry| format!("{} {}", entry.endpoint, entry.what)).collect()
    }

    /// The texts of one endpoint's entries without their places.
    pub fn texts_of(&self, endpoint: &str) -> Vec<String> {
        let entries = lock(self.entries);
        entries.iter().filter(|entry| entry.endpoint == endpoint).map(|entry| entry.what.to_string()).collect()
    }

    /// Whether `endpoint` has an entry `text`.
    pub fn contains(&self, endpoint: &str, text: &str) -> bool {
        lock(self.entries).iter().any(|entry| entry.endpoint == endpoint && entry.what.to_string() == text)
    }

    /// How many entries there are in all.
    pub fn len(&self) -> usize {
        lock(self.entries).len()
    }

    /// Forgets everything so far.
    pub fn clear(&self) {
        lock(self.entries).clear();
    }

    /// Compares all of one endpoint's entries.
    #[track_caller]
    pub fn assert_of(&self, endpoint: &str, expected: &str) {
        self.compare(endpoint, &self.of(endpoint), expected);
    }

    /// Compares what follows an endpoint's first entry `anchor`, leading separator included.
    #[track_caller]
    pub fn assert_after(&self, endpoint: &str, anchor: &str, expected: &str) {
        self.compare(endpoint, &self.after(endpoint, anchor), expected);
    }

    /// Compares the entries of all endpoints.
    #[track_caller]
    pub fn assert_whole(&self, expected: &str) {
        self.compare("all", &self.whole(), expected);
    }

    #[track_caller]
    fn compare(&self, endpoint: &str, got: &str, expected: &str) {
        assert!(got == expected, "{endpoint}\n expected: {expected}\n      got: {got}\n  all: {}", self.whole(),);
    }

    fn push(&self, endpoint: &str, what: What) {
        let position = halfclose::position();
        let mut entries = lock(self.entries);
        let previous = entries.iter_mut().rfind(|entry| entry.endpoint == endpoint);
        if !previous.is_some_and(|previous| previous.take_in(&what, position)) {
            let endpoint = endpoint.to_owned();
            entries.push(Entry { endpoint, what, first: position, last: position });
        }
    }
}

struct Entry {
    endpoint: String,
    what: What,
    /// Two places because a folded entry spans several callbacks.
    first: Option<Position>,
    last: Option<Position>,
}

impl Entry {
    /// Makes `what`, which follows, a part of this entry, when both are received bytes in the same view.
    fn take_in(&mut self, what: &What, position: Option<Position>) -> bool {
        let folded = self.what.fold(what);
        if folded {
            self.last = position;
        }
        folded
    }
}

enum What {
    Text(String),
    Data,
    Length(usize),
    Bytes(Vec<u8>),
}

impl What {
    /// Takes `next` in when both are received bytes in the same view.
    fn fold(&mut self, next: &What) -> bool {
        match (self, next) {
            (What::Data, What::Data) => true,
            (What::Length(length), What::Length(more)) => {
                *length += more;
                true
            }
            (What::Bytes(bytes), What::Bytes(more)) => {
                bytes.extend_from_slice(more);
                true
            }
            (What::Text(_) | What::Data | What::Length(_) | What::Bytes(_), _) => false,
        }
    }
}

impl Display for What {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            What::Text(text) => formatter.write_str(text),
            What::Data => formatter.write_str("data"),
            What::Length(length) => write!(formatter, "data({length})"),
            What::Bytes(bytes) => write!(formatter, "data({})", String::from_utf8_lossy(bytes)),
        }
    }
}

/// What stands between two entries of the log.
fn separator(previous: Option<Position>, next: Option<Position>) -> &'static str {
    let (Some(previous), Some(next)) = (previous, next) else {
        return if previous == next { ", " } else { " | " };
    };
    let same_callback = previous.callback == next.callback && previous.phase == next.phase;
    match (same_callback, next.phase == Phase::Closing, next.tick) {
        (true, _, tick) if tick == previous.tick => ", ",
        (true, _, _) => " ~ ",
        (false, true, 0) => " |x ",
        (false, true, _) => " |x ~ ",
        (false, false, 0) => " | ",
        (false, false, _) => " | ~ ",
    }
}

/// The logs that the test on this thread has and will have.
pub(super) fn logs_of_this_test() -> SharedLogs {
    LOGS.with(SharedLogs::clone)
}

/// Holds `mutex`, also after a panic of another holder: what it guards is append-only.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
