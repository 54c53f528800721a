//! What was done to Node's block lists, done again: the same answers, errors and rules.
//!
//! May touch: the public API, the corpus, and a `node` process. Invariant: an operation that the corpus knows and this
//! does not fails the test.

use halfclose::Error;
use halfclose::net::BlockList;

use crate::reader::{self, Case};

fn outcome(result: Result<(), Error>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => match error.code() {
            // Node's has no code, and the message is that of its parser.
            Some("ERR_INVALID_JSON") => "SyntaxError: ".to_owned(),
            code => format!("{}: {error}", code.unwrap_or_default()),
        },
    }
}

fn perform(list: &mut BlockList, operation: &str, arguments: &[String]) -> String {
    let result = match (operation, arguments) {
        ("add_address", [address]) => list.add_address(address),
        ("add_addresses", addresses) => list.add_addresses(addresses),
        ("add_range", [start, end]) => list.add_range(start, end),
        ("add_subnet", [network, prefix]) => list.add_subnet(network, prefix.parse().expect("a number")),
        ("add_cidr", [cidr]) => list.add_cidr(cidr),
        ("add_cidrs", cidrs) => list.add_cidrs(cidrs),
        ("add_rules", rules) => list.add_rules(rules),
        ("from_json", [text]) => list.from_json(text),
        ("remove_address", [address]) => list.remove_address(address),
        ("remove_range", [start, end]) => list.remove_range(start, end),
        ("remove_subnet", [network, prefix]) => list.remove_subnet(network, prefix.parse().expect("a number")),
        ("remove_cidr", [cidr]) => list.remove_cidr(cidr),
        ("check", [address]) => return list.check(address).to_string(),
        ("size", []) => return list.size().to_string(),
        (operation, arguments) => panic!("{operation} {arguments:?}"),
    };
    outcome(result)
}

#[track_caller]
fn assert_as_node(cases: &[Case]) {
    assert!(cases.len() > 1_000);
    let mut list = BlockList::new();
    for case in cases {
        match case.fields.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["new"] => list = BlockList::new(),
            ["rules", expected @ ..] => {
                let mut rules = list.rules();
                // Node leaves the order of addresses open.
                let addresses = rules.iter().take_while(|rule| rule.starts_with("Address")).count();
                rules[..addresses].sort();
                assert_eq!(rules, expected, "{}", case.place);
            }
            _ => {
                let (operation, arguments, expected) = case.parts();
                let answer = perform(&mut list, operation, arguments);
                // Node goes on and says what it received.
                let is_type_error = answer.starts_with("ERR_INVALID_ARG_TYPE");
                let expected = expected.split(" Received ").next().filter(|_| is_type_error).unwrap_or(expected);
                assert_eq!(answer, expected, "{}: {operation} {arguments:?} with {list:?}", case.place);
            }
        }
    }
}

#[test]
fn answers_as_node_did() {
    assert_as_node(&reader::stored("block_list"));
}

#[test]
fn answers_as_node_does() {
    for seed in [20, 21, 22] {
        let Some(cases) = reader::live("block_list", seed, 10_000) else { return };
        assert_as_node(&cases);
    }
}
