//! Every reachable state of a connection × every input, on the simulated kernel: breadth-first, each state reached again by
//! its path of inputs in a fresh loop.
//!
//! | file | subject |
//! |---|---|
//! | this one | which walks there are, and what is asked of each |
//! | `walk` | the walk through the states |
//! | `inputs` | commands and facts |
//! | `world` | one run |
//! | `laws` | what must hold on each edge |
//! | `page` | the page `src/states.md`, of what was found |
//!
//! A state is what decides the next step: the product of the connection's two sides and its link, the flags and counts that
//! matter ([`Snapshot`](crate::reactor::snapshot::Snapshot)), what the reactor owes, and how the sockets of the kernel are.
//! That nothing is missing from it is verified: two paths to one state must lead on alike.
//!
//! All inputs together make some ten thousand states, because the two sides hardly know of each other. So there are several
//! walks, each exhaustive over an alphabet of its own: connecting, connecting again, the half-close with everything that ends
//! a connection, the readable side, the writable side, both with what makes them wait, the idle timeout.
//!
//! May touch what its files may. Invariant: no edge is left out within the bounds that `inputs` states.

mod inputs;
mod laws;
mod page;
mod walk;
mod world;

use std::sync::OnceLock;

use inputs::{Command, Fact, Failure, Input};
use walk::{Alphabet, Walk, walk};
use world::Origin;

const ENDINGS: [Command; 4] = [Command::Destroy, Command::DestroyWith, Command::DestroySoon, Command::ResetAndDestroy];

const CONNECTING: Alphabet = Alphabet {
    first: &[],
    commands: &[&[Command::Connect, Command::Write, Command::End, Command::Destroy, Command::DestroySoon]],
    facts: &[Fact::End, Fact::StopsListening],
    within: |situation| !situation.is_open(),
};

const RECONNECTING: Alphabet = Alphabet {
    first: &[Input::Command(Command::Connect)],
    commands: &[&[Command::Reconnect, Command::Write, Command::ResetAndDestroy]],
    facts: &[Fact::StopsListening],
    within: |situation| !situation.is_open(),
};

const HALF_CLOSE: Alphabet = Alphabet {
    first: &[Input::Command(Command::AddData)],
    commands: &[&[Command::Write, Command::End, Command::EndData], &ENDINGS],
    facts: &[Fact::Bytes, Fact::End, Fact::Reset],
    within: |_| true,
};

const READING: Alphabet = Alphabet {
    first: &[],
    commands: &[&[
        Command::AddData,
        Command::RemoveData,
        Command::Unshift,
        Command::Pause,
        Command::Resume,
        Command::Destroy,
    ]],
    facts: &[Fact::Bytes, Fact::End, Fact::Reset],
    within: |_| true,
};

const WRITING: Alphabet = Alphabet {
    first: &[],
    commands: &[
        &[Command::Write, Command::WriteMuch, Command::Cork, Command::Uncork, Command::End, Command::EndData],
        &[Command::WriteFails(Failure::BrokenPipe), Command::WriteFails(Failure::Reset)],
        &ENDINGS,
    ],
    facts: &[Fact::Reads, Fact::ReadsAndFails(Failure::BrokenPipe), Fact::ReadsAndFails(Failure::Reset), Fact::Reset],
    within: |_| true,
};

/// Both sides at once, with what makes each of them wait in the middle of its end.
const BOTH_SIDES: Alphabet = Alphabet {
    first: &[Input::Command(Command::AddData)],
    commands: &[&[Command::Pause, Command::Resume, Command::WriteMuch, Command::End, Command::Destroy]],
    facts: &[Fact::Bytes, Fact::End, Fact::Reads],
    within: |_| true,
};

const TIMEOUT: Alphabet = Alphabet {
    first: &[Input::Command(Command::AddData)],
    commands: &[&[Command::SetTimeout, Command::ClearTimeout, Command::WriteMuch, Command::End, Command::Destroy]],
    facts: &[Fact::Bytes, Fact::Reads, Fact::TimePasses],
    within: |_| true,
};

const ACCEPTED: Origin = Origin { accepted: true, unix: false, allow_half_open: false };
const CLIENT: Origin = Origin { accepted: false, unix: false, allow_half_open: false };
const UNIX: Origin = Origin { accepted: false, unix: true, allow_half_open: false };

const fn half_open(origin: Origin) -> Origin {
    Origin { allow_half_open: true, ..origin }
}

/// A walk, made once: its own test and the page are about the same.
struct Found {
    origin: Origin,
    alphabet: Alphabet,
    walk: OnceLock<Walk>,
}

impl Found {
    const fn new(origin: Origin, alphabet: Alphabet) -> Found {
        Found { origin, alphabet, walk: OnceLock::new() }
    }

    fn walk(&self) -> &Walk {
        self.walk.get_or_init(|| walk(self.origin, self.alphabet))
    }

    /// Reports everything that does not hold, with the path that leads there.
    #[track_caller]
    fn all_is_lawful(&self) {
        let failures = &self.walk().failures;
        let shown: Vec<&str> = failures.iter().take(10).map(String::as_str).collect();
        assert!(failures.is_empty(), "{:?}: {} findings, such as\n{}", self.origin, failures.len(), shown.join("\n"));
    }
}

static CONNECTS: Found = Found::new(CLIENT, CONNECTING);
static CONNECTS_TO_A_PATH: Found = Found::new(UNIX, CONNECTING);
static CONNECTS_AGAIN: Found = Found::new(CLIENT, RECONNECTING);
static CONNECTS_TO_A_PATH_AGAIN: Found = Found::new(UNIX, RECONNECTING);
static ENDS: Found = Found::new(ACCEPTED, HALF_CLOSE);
static ENDS_HALF_OPEN: Found = Found::new(half_open(ACCEPTED), HALF_CLOSE);
static READS: Found = Found::new(half_open(ACCEPTED), READING);
static WRITES: Found = Found::new(half_open(ACCEPTED), WRITING);
static BOTH: Found = Found::new(half_open(ACCEPTED), BOTH_SIDES);
static BOTH_END: Found = Found::new(ACCEPTED, BOTH_SIDES);
static IDLES: Found = Found::new(ACCEPTED, TIMEOUT);

#[test]
fn connecting() {
    CONNECTS.all_is_lawful();
}

#[test]
fn connecting_to_a_path() {
    CONNECTS_TO_A_PATH.all_is_lawful();
}

#[test]
fn connecting_again() {
    CONNECTS_AGAIN.all_is_lawful();
    CONNECTS_TO_A_PATH_AGAIN.all_is_lawful();
}

#[test]
fn half_close() {
    ENDS.all_is_lawful();
}

#[test]
fn half_close_when_half_open_is_allowed() {
    ENDS_HALF_OPEN.all_is_lawful();
}

#[test]
fn reading() {
    READS.all_is_lawful();
}

#[test]
fn writing() {
    WRITES.all_is_lawful();
}

#[test]
fn both_sides() {
    BOTH_END.all_is_lawful();
}

#[test]
fn both_sides_when_half_open_is_allowed() {
    BOTH.all_is_lawful();
}

#[test]
fn idle_timeout() {
    IDLES.all_is_lawful();
}

/// The page is what the walks find. `HALFCLOSE_WRITE_STATES=1` writes it anew.
#[test]
fn the_page_is_what_was_found() {
    let connecting = [&CONNECTS, &CONNECTS_TO_A_PATH, &CONNECTS_AGAIN].map(Found::walk);
    let ends_by_itself = [&ENDS, &BOTH_END, &IDLES].map(Found::walk);
    let half_open = [&ENDS_HALF_OPEN, &READS, &WRITES, &BOTH].map(Found::walk);
    let page = page::page(&connecting, &ends_by_itself, &half_open);
    if std::env::var_os("HALFCLOSE_WRITE_STATES").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/states.md"), &page).unwrap();
    } else {
        assert_eq!(page, include_str!("../../states.md"), "HALFCLOSE_WRITE_STATES=1 writes it anew");
    }
}
