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
//!
//! A state is what decides the next step: the product of the connection's two sides and its link, the flags and counts that
//! matter ([`Snapshot`](crate::reactor::snapshot::Snapshot)), what the reactor owes, and how the sockets of the kernel are.
//! That nothing is missing from it is verified: two paths to one state must lead on alike.
//!
//! All inputs together make some ten thousand states, because the two sides hardly know of each other. So there are several
//! walks, each exhaustive over an alphabet of its own: the half-close with everything that ends a connection, the readable
//! side, the writable side, the idle timeout.
//!
//! May touch what its files may. Invariant: no edge is left out within the bounds that `inputs` states.

mod inputs;
mod laws;
mod walk;
mod world;

use inputs::{Command, Fact, Failure, Input};
use walk::{Alphabet, walk};
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
    commands: &[&[Command::AddData, Command::RemoveData, Command::Pause, Command::Resume, Command::Destroy]],
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

/// Walks, and reports everything that does not hold, with the path that leads there.
fn all_is_lawful(origin: Origin, alphabet: Alphabet) {
    let walk = walk(origin, alphabet);
    let failures = &walk.failures;
    let shown: Vec<&str> = failures.iter().take(10).map(String::as_str).collect();
    assert!(failures.is_empty(), "{origin:?}: {} findings, such as\n{}", failures.len(), shown.join("\n"));
}

#[test]
fn connecting() {
    all_is_lawful(CLIENT, CONNECTING);
}

#[test]
fn connecting_to_a_path() {
    all_is_lawful(UNIX, CONNECTING);
}

#[test]
fn connecting_again() {
    all_is_lawful(CLIENT, RECONNECTING);
    all_is_lawful(UNIX, RECONNECTING);
}

#[test]
fn half_close() {
    all_is_lawful(ACCEPTED, HALF_CLOSE);
}

#[test]
fn half_close_when_half_open_is_allowed() {
    all_is_lawful(half_open(ACCEPTED), HALF_CLOSE);
}

#[test]
fn reading() {
    all_is_lawful(half_open(ACCEPTED), READING);
}

#[test]
fn writing() {
    all_is_lawful(half_open(ACCEPTED), WRITING);
}

#[test]
fn idle_timeout() {
    all_is_lawful(ACCEPTED, TIMEOUT);
}
