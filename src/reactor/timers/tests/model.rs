//! Random commands, given both to the timer lists and to a naive model of the same rules: the two must agree.

use std::time::Duration;

use super::super::{TimerKey, WALK_LIMIT};
use super::{Bench, HOUR, at, ms};
use crate::sys::Time;

/// The same rules, written down as naively as possible: vectors, searched from end to end.
#[derive(Default)]
struct Model {
    lists: Vec<ModelList>,
    next_id: u64,
}

struct ModelList {
    duration: Duration,
    expiry: Time,
    id: u64,
    shared: bool,
    timers: Vec<(TimerKey, Time)>,
}

impl Model {
    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn list_of(&self, key: TimerKey) -> Option<usize> {
        self.lists.iter().position(|list| list.timers.iter().any(|&(member, _)| member == key))
    }

    fn arm(&mut self, key: TimerKey, duration: Duration, start: Time, ordered: bool) {
        let expiry = start.saturating_add(duration);
        let shared = |list: &ModelList| list.shared && list.duration == duration;
        if !self.lists.iter().any(shared) {
            let id = self.id();
            self.lists.push(ModelList { duration, expiry, id, shared: true, timers: Vec::new() });
        }
        if let Some(old) = self.list_of(key) {
            self.lists[old].timers.retain(|&(member, _)| member != key);
            if self.lists[old].timers.is_empty() && !shared(&self.lists[old]) {
                self.lists.remove(old);
            }
        }
        let id = self.id();
        let list = self.lists.iter_mut().find(|list| shared(list)).expect("it was just made");
        let later = list.timers.iter().rev().take_while(|&&(_, other)| ordered && other > start).count();
        if later > WALK_LIMIT {
            self.lists.push(ModelList { duration, expiry, id, shared: false, timers: vec![(key, start)] });
            return;
        }
        let position = list.timers.len() - later;
        list.timers.insert(position, (key, start));
        if position == 0 && expiry < list.expiry {
            (list.expiry, list.id) = (expiry, id);
        }
    }

    /// Also forgets the list of this duration if it is empty, which it can be only while it is served.
    fn remove(&mut self, key: TimerKey, duration: Duration) {
        match self.list_of(key) {
            Some(list) => {
                self.lists[list].timers.retain(|&(member, _)| member != key);
                if self.lists[list].timers.is_empty() {
                    self.lists.remove(list);
                }
            }
            None => self.lists.retain(|list| !list.timers.is_empty() || list.duration != duration),
        }
    }

    fn first(&self) -> Option<usize> {
        (0..self.lists.len()).min_by_key(|&list| (self.lists[list].expiry, self.lists[list].id))
    }

    fn pop_due(&mut self, now: Time) -> Option<TimerKey> {
        while let Some(first) = self.first().filter(|&first| self.lists[first].expiry <= now) {
            let id = self.id();
            let list = &mut self.lists[first];
            let Some(&(key, start)) = list.timers.first() else {
                self.lists.remove(first);
                continue;
            };
            let due = start.saturating_add(list.duration);
            if due > now {
                (list.expiry, list.id) = (due, id);
                continue;
            }
            list.timers.remove(0);
            if !list.shared {
                self.lists.remove(first);
            }
            return Some(key);
        }
        None
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn micros(time: Time) -> u64 {
    time.saturating_duration_since(Time::ZERO).as_micros() as u64
}

/// One command of user code, given to both; the caller compares the two afterwards. Plain arming uses a start
/// before `now` only with `disorder`, since timers may be late then.
fn command(
    random: &mut Random,
    bench: &mut Bench,
    model: &mut Model,
    keys: &mut Vec<TimerKey>,
    now: Time,
    disorder: bool,
) {
    let choice = random.below(16);
    if choice < 4 || keys.is_empty() {
        let key = bench.insert('r', ms(random.below(6)), now);
        model.arm(key, bench.timers.duration(key).expect("new"), now, false);
        keys.push(key);
        return;
    }
    // Removed keys stay among the candidates: they must be inert.
    let key = keys[random.below(keys.len() as u64) as usize];
    let duration = bench.timers.duration(key);
    let past = micros(now).saturating_sub(random.below(6000));
    let past = Time::ZERO.saturating_add(Duration::from_micros(past));
    match (choice, duration) {
        (4..=6, Some(duration)) => {
            let start = if disorder { past } else { now };
            bench.timers.arm(key, start);
            model.arm(key, duration, start, false);
        }
        (7..=9, Some(duration)) => {
            bench.timers.arm_at(key, past);
            model.arm(key, duration, past, true);
        }
        (10..=11, _) => bench.timers.set_referenced(key, random.below(2) == 0),
        (_, Some(duration)) => {
            bench.timers.remove(key);
            model.remove(key, duration);
        }
        (_, None) => {
            bench.timers.arm(key, now);
            bench.timers.arm_at(key, past);
            assert_eq!(bench.timers.remove(key), None);
        }
    }
}

#[test]
fn behaves_like_a_naive_model() {
    for seed in 1..=24 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut bench = Bench::new();
        let mut model = Model::default();
        let mut keys = Vec::new();
        let mut now = Time::ZERO;
        // Some runs are crowded, so that lists grow beyond the walk limit.
        let crowded = seed % 3 == 0;
        let disorder = seed % 2 == 0;
        let (rounds, commands, pause) = if crowded { (8, 800, 8) } else { (60, 12, 40) };
        for _ in 0..rounds {
            for _ in 0..random.below(commands) {
                now = now.saturating_add(Duration::from_micros(random.below(pause)));
                command(&mut random, &mut bench, &mut model, &mut keys, now, disorder);
                bench.timers.check();
            }
            // Phases at whole milliseconds make equal expiries likely.
            now = at(micros(now) / 1000 + 1 + random.below(4));
            bench.timers.begin(now);
            let mut clock = now;
            let mut interrupted = false;
            loop {
                let popped = bench.timers.pop_due().map(|(key, _)| key);
                bench.timers.check();
                if !disorder {
                    bench.timers.check_expiries();
                }
                assert_eq!(popped, model.pop_due(now), "seed {seed}");
                assert_eq!(bench.timers.next_expiry(), model.first().map(|first| model.lists[first].expiry));
                let Some(key) = popped else {
                    break;
                };
                assert!(!bench.timers.armed(key));
                for _ in 0..random.below(4) {
                    clock = clock.saturating_add(Duration::from_micros(random.below(300)));
                    command(&mut random, &mut bench, &mut model, &mut keys, clock, disorder);
                    bench.timers.check();
                }
                if random.below(40) == 0 {
                    interrupted = true;
                    break;
                }
            }
            for &key in &keys {
                let place = model.list_of(key).map(|list| &model.lists[list]);
                assert_eq!(bench.timers.armed(key), place.is_some());
                let timer = place.and_then(|list| list.timers.iter().find(|&&(member, _)| member == key));
                let start = timer.map(|&(_, start)| start);
                let armed = bench.timers.entry(key).filter(|_| bench.timers.armed(key));
                assert_eq!(start, armed.map(|entry| entry.start));
                // After a whole phase nothing that is due is left over.
                let due = place.zip(start).map(|(list, start)| start.saturating_add(list.duration));
                assert!(disorder || interrupted || due.is_none_or(|due| due > now), "seed {seed}");
            }
            now = now.max(clock);
            keys.retain(|&key| bench.timers.kind(key).is_some() || random.below(4) > 0);
        }
        for key in keys {
            bench.timers.remove(key);
        }
        bench.timers.begin(Time::ZERO.saturating_add(HOUR));
        assert_eq!(bench.timers.pop_due(), None);
        assert!(bench.is_empty(), "seed {seed}");
    }
}
