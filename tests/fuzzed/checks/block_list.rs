//! Block lists: lines of commands, after each of which what must hold of every list is looked at.
//!
//! A line is a letter and its arguments: `a ADDRESS`, `r FIRST LAST`, `s ADDRESS PREFIX` and `c CIDR` add a rule, in upper case
//! they take one away, `l RULE` adds one as it is listed, `j JSON` reads a list, `?` and everything else asks for an address.
//!
//! May touch: the public API. Invariant: a command that fails has changed nothing.

use halfclose::Error;
use halfclose::net::BlockList;

/// Addresses at the edges of what rules are usually made of, asked for after every command.
const PROBES: [&str; 8] =
    ["0.0.0.0", "10.0.0.1", "127.0.0.1", "255.255.255.255", "::", "::1", "::ffff:10.0.0.1", "fe80::1"];

/// A list becomes no longer than this: what is looked at after each command takes time for each rule.
const MOST_RULES: usize = 64;

pub(crate) fn check(input: &[u8]) {
    let mut list = BlockList::new();
    for line in String::from_utf8_lossy(input).lines() {
        if list.size() >= MOST_RULES {
            list.clear();
            assert_eq!((list.size(), list.rules().len()), (0, 0));
        }
        let before = list.clone();
        let answers = answers(&list);
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (command, first, second) = (word(), word(), word());
        let rest = line.split_once(' ').map_or("", |(_, rest)| rest);
        let prefix = second.parse();
        let outcome = match command {
            "a" => list.add_address(first),
            "A" => list.remove_address(first),
            "r" => list.add_range(first, second),
            "R" => list.remove_range(first, second),
            "s" => prefix.map_or(Ok(()), |prefix| list.add_subnet(first, prefix)),
            "S" => prefix.map_or(Ok(()), |prefix| list.remove_subnet(first, prefix)),
            "c" => list.add_cidr(rest),
            "C" => list.remove_cidr(rest),
            "l" => list.add_rules([rest]),
            "j" => list.from_json(rest),
            _ => {
                assert_eq!(list.check(line), before.check(line));
                Ok(())
            }
        };
        look(&before, &list, answers, outcome, command);
    }
}

fn look(before: &BlockList, list: &BlockList, answers: [bool; 8], outcome: Result<(), Error>, command: &str) {
    let rules = list.rules();
    assert_eq!(rules.len(), list.size());
    if outcome.is_err() {
        assert_eq!(rules, before.rules(), "a command that failed");
    }
    let now = self::answers(list);
    for ((probe, was), is) in PROBES.iter().zip(answers).zip(now) {
        // Lower case adds, upper case takes away.
        let adds = command.starts_with(|letter: char| letter.is_ascii_lowercase());
        let takes = command.starts_with(|letter: char| letter.is_ascii_uppercase());
        assert!(is == was || (adds && is) || (takes && was), "{command}: {probe}");
    }
    // What is listed makes a list with the same rules, in both ways; their order is another matter.
    let sorted = |list: &BlockList| {
        let mut rules = list.rules();
        rules.sort();
        rules
    };
    let mut listed = BlockList::new();
    listed.add_rules(&rules).expect("its own rules");
    assert_eq!((sorted(&listed), self::answers(&listed)), (sorted(list), now));
    let mut read = BlockList::new();
    read.from_json(&list.to_json()).expect("its own text");
    assert_eq!((sorted(&read), self::answers(&read)), (sorted(list), now));
}

fn answers(list: &BlockList) -> [bool; 8] {
    PROBES.map(|probe| list.check(probe))
}
