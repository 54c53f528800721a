//! The page on the states of a connection (`src/states.md`), made of what the walks found.
//!
//! May touch the walks and that file. Invariants: the page says nothing that no walk has seen; a state of it is one in which
//! nothing happens by itself, and an input of it is followed by as many turns of the loop as something happens in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::inputs::{Command, Event, Fact, Failure, Input};
use super::walk::Walk;
use super::world::Entry;
use crate::reactor::connection::{ReadPhase, WritePhase};
use crate::reactor::snapshot::{LinkKind, Product, Snapshot};

/// More turns than anything here takes.
const MOST_TURNS: usize = 20;

const READ: [ReadPhase; 3] = [ReadPhase::Open, ReadPhase::Ended, ReadPhase::EndEmitted];
const WRITE: [WritePhase; 3] = [WritePhase::Open, WritePhase::Ending, WritePhase::Finished];

/// A product, or that the slot is free.
type Node = Option<Product>;

/// What an input leads to in the end, and which events come with it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    to: String,
    events: Vec<&'static str>,
}

/// All outcomes, by the state and the input: several, where more than the product decides.
type Table = BTreeMap<(String, String), BTreeSet<Outcome>>;

pub(super) fn page(connecting: &[&Walk], ends_by_itself: &[&Walk], half_open: &[&Walk]) -> String {
    let mut page = String::from(INTRODUCTION);
    let all: Vec<&Walk> = [connecting, ends_by_itself, half_open].into_iter().flatten().copied().collect();
    let states: usize = all.iter().map(|walk| walk.states.len()).sum();
    let edges: usize = all.iter().map(|walk| walk.edges.len()).sum();
    let fingerprint = fingerprint(&all);
    let _ = writeln!(
        page,
        "In all its detail there are {states} states and {edges} edges, commands that listeners give among them. A number made \
         of all\nof them, so that no change goes unnoticed: `{fingerprint:016x}`.\n"
    );
    let open = table(half_open);
    page.push_str("# The half-close\n\n");
    page.push_str(GRID);
    grid(&mut page, &open);
    page.push_str("\n# All transitions\n\nWith `allow_half_open`:\n\n");
    rows(&mut page, &open);
    page.push_str("\nWithout it, which is the default:\n\n");
    rows(&mut page, &table(ends_by_itself));
    page.push_str("\nBefore the connection is there:\n\n");
    rows(&mut page, &table(connecting));
    page
}

/// A number made of what every input leads to in every state (64-bit FNV-1a, which needs no table and no dependency).
fn fingerprint(walks: &[&Walk]) -> u64 {
    let mut number: u64 = 0xcbf2_9ce4_8422_2325;
    for walk in walks {
        for ((from, input), edge) in &walk.edges {
            let text = format!("{from} {input:?} {} {:?} {:?};", edge.to, edge.entries, edge.passed);
            for byte in text.bytes() {
                number = (number ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    number
}

const INTRODUCTION: &str = "\
A connection is the product of its readable side (`Open`; `Ended`: the end was read, and not everything in front of it was
taken; `EndEmitted`) and its writable side (`Open`; `Ending`: `end()` was called, and not everything was taken by the kernel;
`Final` and `Prefinished`: the shutdown is on its way; `Finished`). A test walks through all states that inputs lead to, in a
simulated network, gives each input in each of them, and wrote this page; another run of it must write the same.

A state here is one in which nothing happens by itself, or one that still connects. Whatever an input leads to within the following turns of the loop is
one transition. Where several outcomes are given, something decides that is not part of the product: whether anybody reads,
what waits to be written, whether the peer is there. States are named \"readable × writable\".

";

const GRID: &str = "\
With `allow_half_open`, from one square to the other: in a row by what the program does, in a column by what the peer does.
`Final` and `Prefinished` are passed on the way from `Ending` to `Finished`. \"closed\" is the end: the descriptor is closed
with the transition, `close` was delivered and the slot is free.

";

fn name(node: Node) -> String {
    match node {
        None => "closed".to_owned(),
        Some(Product { destroyed: true, .. }) => "closing".to_owned(),
        Some(Product { link: LinkKind::Open, read, write, .. }) => format!("{read:?} × {write:?}"),
        Some(Product { link, read, write, .. }) => format!("{link:?}: {read:?} × {write:?}"),
    }
}

fn product(snapshot: &Option<Snapshot>) -> Node {
    snapshot.as_ref().map(|snapshot| snapshot.product)
}

fn table(walks: &[&Walk]) -> Table {
    let mut table = Table::new();
    for walk in walks {
        for (&(from, input), edge) in &walk.edges {
            let Some(label) = label(input) else { continue };
            let connects = product(&walk.states[from].situation.snapshot)
                .is_some_and(|product| matches!(product.link, LinkKind::Connecting | LinkKind::ConnectingPath));
            if !connects && !is_quiet(walk, from) {
                continue;
            }
            let mut events = names(&edge.entries);
            let mut at = edge.to;
            for _ in 0..MOST_TURNS {
                let Some(turn) = walk.edges.get(&(at, Input::Turn)) else { break };
                events.extend(names(&turn.entries));
                if turn.to == at {
                    break;
                }
                at = turn.to;
            }
            let (from, to) = (&walk.states[from].situation, &walk.states[at].situation);
            let outcome = Outcome { to: name(product(&to.snapshot)), events };
            table.entry((name(product(&from.snapshot)), label)).or_default().insert(outcome);
        }
    }
    table
}

/// Nothing happens there by itself.
fn is_quiet(walk: &Walk, state: usize) -> bool {
    walk.edges.get(&(state, Input::Turn)).is_some_and(|turn| turn.to == state && turn.entries.is_empty())
}

/// The events that say where a connection is.
fn names(entries: &[Entry]) -> Vec<&'static str> {
    let name = |entry: &Entry| match entry {
        Entry::Event(Event::Connect) => Some("connect"),
        Entry::Event(Event::End) => Some("end"),
        Entry::Event(Event::Finish) => Some("finish"),
        Entry::Event(Event::Timeout) => Some("timeout"),
        Entry::Error(_) => Some("error"),
        Entry::Close(_) => Some("close"),
        Entry::Event(_)
        | Entry::Data(_)
        | Entry::Answer(..)
        | Entry::Full
        | Entry::Sent(_)
        | Entry::Command(_)
        | Entry::Panic => None,
    };
    entries.iter().filter_map(name).collect()
}

/// How an input is called; `None` for what is no transition of its own, and for commands of listeners.
fn label(input: Input) -> Option<String> {
    let text = match input {
        Input::Command(command) => match command {
            Command::Connect | Command::Reconnect => "`connect`",
            Command::Write => "`write`",
            Command::WriteMuch => "`write` of more than the kernel takes",
            Command::WriteFails(Failure::BrokenPipe) => "`write`: EPIPE",
            Command::WriteFails(Failure::Reset) => "`write`: ECONNRESET",
            Command::End => "`end`",
            Command::EndData => "`end_data`",
            Command::Cork => "`cork`",
            Command::Uncork => "`uncork`",
            Command::Pause => "`pause`",
            Command::Resume => "`resume`",
            Command::AddData => "`on_data`",
            Command::RemoveData => "`off`",
            Command::Unshift => "`unshift`",
            Command::SetTimeout => "`set_timeout`",
            Command::ClearTimeout => "`set_timeout(0)`",
            Command::Destroy => "`destroy`",
            Command::DestroyWith => "`destroy_with`",
            Command::DestroySoon => "`destroy_soon`",
            Command::ResetAndDestroy => "`reset_and_destroy`",
        },
        Input::Fact(fact) => match fact {
            Fact::Bytes => "bytes",
            Fact::End => "FIN",
            Fact::Reset => "RST",
            Fact::Reads => "the peer reads",
            Fact::ReadsAndFails(Failure::BrokenPipe) => "the rest of a write: EPIPE",
            Fact::ReadsAndFails(Failure::Reset) => "the rest of a write: ECONNRESET",
            Fact::StopsListening => "nobody listens",
            Fact::TimePasses => "the idle timeout",
        },
        Input::Turn | Input::In(..) => return None,
    };
    Some(text.to_owned())
}

/// One square for each product of an open connection, with the ways out of it.
fn grid(page: &mut String, table: &Table) {
    page.push_str("| | writable: Open | Ending | Finished |\n|---|---|---|---|\n");
    for read in READ {
        let _ = write!(page, "| **readable: {read:?}** |");
        for write in WRITE {
            let here = name(Some(Product { link: LinkKind::Open, read, write, destroyed: false }));
            let mut ways: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for ((from, input), outcomes) in table.iter().filter(|((from, _), _)| *from == here) {
                let to: BTreeSet<&str> =
                    outcomes.iter().map(|outcome| outcome.to.as_str()).filter(|to| to != from).collect();
                for to in to {
                    ways.entry(to).or_default().push(input);
                }
            }
            let ways: Vec<String> =
                ways.iter().map(|(to, inputs)| format!("{} → **{to}**", inputs.join(", "))).collect();
            let _ = write!(page, " {} |", if ways.is_empty() { "–".to_owned() } else { ways.join("<br>") });
        }
        page.push('\n');
    }
}

fn rows(page: &mut String, table: &Table) {
    page.push_str("| state | input | events, and the state then |\n|---|---|---|\n");
    for ((from, input), outcomes) in table {
        let stays = |outcome: &Outcome| outcome.to == *from && outcome.events.is_empty();
        if outcomes.iter().all(stays) {
            continue;
        }
        let outcomes: Vec<String> = outcomes
            .iter()
            .map(|outcome| {
                let to = if outcome.to == *from { "stays" } else { &outcome.to };
                if outcome.events.is_empty() { to.to_owned() } else { format!("{}: {to}", outcome.events.join(", ")) }
            })
            .collect();
        let _ = writeln!(page, "| {from} | {input} | {} |", outcomes.join("; or "));
    }
}
