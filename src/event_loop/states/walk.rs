//! The walk: breadth-first through the states, each input of the alphabet given in each of them.
//!
//! May touch runs and the laws. Invariants: a state is looked at in the order in which it was found, so that paths are
//! shortest; every edge is run by itself, once for each event with its first listener panicking, and after a second path to
//! its state, the last one that was found; every state is ended once.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::inputs::{Command, Event, Fact, Input};
use super::laws;
use super::world::{Entry, Origin, Situation, World};
use crate::reactor::snapshot::Product;

/// What is given in each state.
#[derive(Copy, Clone)]
pub(super) struct Alphabet {
    /// What comes before the first state.
    pub(super) first: &'static [Input],
    pub(super) commands: &'static [&'static [Command]],
    pub(super) facts: &'static [Fact],
    /// Which states belong to this walk: others end it, and are the beginning of another one.
    pub(super) within: fn(&Situation) -> bool,
}

pub(super) struct State {
    pub(super) situation: Situation,
    /// The first path that led here, which is a shortest one.
    path: Vec<Input>,
    /// The last one, if there are several.
    other: Option<Vec<Input>>,
}

pub(super) struct Edge {
    pub(super) to: usize,
    /// What was logged meanwhile, comparable with other runs.
    pub(super) entries: Vec<Entry>,
    /// Which products were passed through on the way, as user code saw them.
    pub(super) passed: Vec<Product>,
}

#[derive(Default)]
pub(super) struct Walk {
    pub(super) states: Vec<State>,
    pub(super) edges: BTreeMap<(usize, Input), Edge>,
    pub(super) failures: Vec<String>,
    by_key: HashMap<String, usize>,
    unexplored: VecDeque<usize>,
}

pub(super) fn walk(origin: Origin, alphabet: Alphabet) -> Walk {
    let mut walk = Walk::default();
    let mut first = World::after(origin, alphabet.first);
    walk.state(first.situation(), alphabet.first.to_vec());
    walk.expect(alphabet.first, laws::can_be_ended(first, origin));
    while let Some(from) = walk.unexplored.pop_front() {
        let situation = walk.states[from].situation.clone();
        if situation.snapshot.is_none() || !(alphabet.within)(&situation) {
            // Where the slot is free, what the stale handle does was asked already.
            continue;
        }
        let events = walk.explore(origin, from, Input::Turn);
        let commands = || alphabet.commands.iter().copied().flatten().copied();
        let mut inputs: Vec<Input> = Vec::new();
        for event in events {
            let offered = commands().filter(|command| command.is_offered(&situation, Some(event)));
            inputs.extend(offered.map(|command| Input::In(event, command)));
        }
        inputs.extend(commands().filter(|command| command.is_offered(&situation, None)).map(Input::Command));
        inputs.extend(alphabet.facts.iter().filter(|fact| fact.is_offered(&situation)).copied().map(Input::Fact));
        for input in inputs {
            walk.explore(origin, from, input);
        }
    }
    walk.compare_paths(origin);
    walk
}

/// An edge as it was run once.
struct Run {
    world: World,
    entries: Vec<Entry>,
    passed: Vec<Product>,
}

impl Run {
    fn new(origin: Origin, path: &[Input], give: impl FnOnce(&mut World)) -> Run {
        let mut world = World::after(origin, path);
        let logged = world.shared.log.borrow().len();
        world.shared.passed.borrow_mut().clear();
        give(&mut world);
        let entries = world.shared.log.borrow()[logged..].to_vec();
        let passed = world.shared.passed.take();
        Run { world, entries, passed }
    }

    /// What was logged, as far as it can be compared with another run: numbers by their order.
    fn comparable(&self) -> Vec<Entry> {
        let log = self.world.shared.log.borrow();
        let earlier = &log[..log.len() - self.entries.len()];
        let answered =
            |number: &usize| earlier.iter().any(|entry| matches!(entry, Entry::Answer(of, _) if of == number));
        let open: Vec<usize> = (0..self.world.shared.questions.get()).filter(|number| !answered(number)).collect();
        let entries = self.entries.iter().cloned();
        entries
            .map(|entry| match entry {
                Entry::Answer(number, well) => Entry::Answer(open.iter().position(|of| *of == number).unwrap(), well),
                Entry::Data(bytes) => Entry::Data(vec![0; bytes.len()]),
                Entry::Sent(_) => Entry::Sent(0),
                other => other,
            })
            .collect()
    }
}

impl Walk {
    /// The state of a situation; a new one is to be explored.
    fn state(&mut self, situation: Situation, path: Vec<Input>) -> usize {
        let key = situation.key();
        if let Some(&known) = self.by_key.get(&key) {
            self.states[known].other = Some(path);
            return known;
        }
        let new = self.states.len();
        self.by_key.insert(key, new);
        self.states.push(State { situation, path, other: None });
        self.unexplored.push_back(new);
        new
    }

    /// Runs one edge in all ways, and says which events it led to.
    fn explore(&mut self, origin: Origin, from: usize, input: Input) -> Vec<Event> {
        let path = self.states[from].path.clone();
        let mut longer = path.clone();
        longer.push(input);
        let mut run = Run::new(origin, &path, |world| world.give(input));
        let compared = run.comparable();
        self.expect(&longer, laws::hold(&mut run.world, origin));
        let situation = run.world.situation();
        let key = situation.key();
        let known = self.states.len();
        let to = self.state(situation, longer.clone());
        let Run { world, entries, passed } = run;
        let mut products: Vec<Product> = Vec::new();
        products.extend(self.states[from].situation.snapshot.as_ref().map(|state| state.product));
        products.extend(&passed);
        products.extend(self.states[to].situation.snapshot.as_ref().map(|state| state.product));
        products.dedup();
        self.expect(&longer, laws::nothing_goes_back(&products, &entries));
        if to == known {
            self.expect(&longer, laws::can_be_ended(world, origin));
        } else {
            drop(world);
        }
        let events = events_of(&entries);
        for &event in &events {
            let mut panicked = Run::new(origin, &path, |world| world.give_with_a_panic(input, event));
            self.expect(&longer, laws::hold(&mut panicked.world, origin));
            panicked.entries.retain(|entry| *entry != Entry::Panic);
            if panicked.entries != entries || panicked.world.situation().key() != key {
                self.expect(&longer, Err(format!("a panic in {event:?} makes a difference: {:?}", panicked.entries)));
            }
        }
        self.edges.insert((from, input), Edge { to, entries: compared, passed });
        events
    }

    fn expect(&mut self, path: &[Input], outcome: Result<(), String>) {
        if let Err(why) = outcome {
            self.failures.push(format!("{why}: {path:?}"));
        }
    }

    /// The same state, reached in another way, must lead on in the same way: otherwise something decides that is not seen.
    fn compare_paths(&mut self, origin: Origin) {
        let mut failures = Vec::new();
        for (&(from, input), edge) in &self.edges {
            let Some(other) = &self.states[from].other else { continue };
            let mut run = Run::new(origin, other, |world| world.give(input));
            let key = run.world.situation().key();
            let path = &self.states[from].path;
            if self.by_key.get(&key) != Some(&edge.to) {
                let expected = self.states[edge.to].situation.key();
                failures
                    .push(format!("{input:?} leads elsewhere after {path:?} and {other:?}:\n   {expected}\n   {key}"));
            } else if run.comparable() != edge.entries {
                let (one, two) = (&edge.entries, run.comparable());
                failures.push(format!("{input:?} says other things after {path:?} and {other:?}: {one:?} {two:?}"));
            }
        }
        self.failures.extend(failures);
    }
}

/// The kinds of events among what was logged, each once.
fn events_of(entries: &[Entry]) -> Vec<Event> {
    let mut events: Vec<Event> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Event(event) => Some(*event),
            Entry::Data(_) => Some(Event::Data),
            Entry::Error(_) => Some(Event::Error),
            Entry::Close(_) => Some(Event::Close),
            Entry::Answer(..) | Entry::Full | Entry::Sent(_) | Entry::Command(_) | Entry::Panic => None,
        })
        .collect();
    events.sort();
    events.dedup();
    events
}
