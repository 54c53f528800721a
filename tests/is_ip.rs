//! `is_ip` and its halves, rules B30 to B33: by hand, against stored answers of Node, and against Node itself. (B34 is about
//! values that are no text, which cannot be given here.)
//!
//! May touch: the public API, the corpus, and a `node` process.

#[path = "corpus/reader.rs"]
mod reader;
mod support;

use halfclose::net::{is_ip, is_ipv4, is_ipv6};
use reader::Case;

#[track_caller]
fn assert_answers(expected: u8, texts: &[&str]) {
    for text in texts {
        assert_eq!(is_ip(text), expected, "{text:?}");
        assert_eq!(is_ipv4(text), expected == 4, "{text:?}");
        assert_eq!(is_ipv6(text), expected == 6, "{text:?}");
    }
}

/// B30: four decimal numbers, no leading zeros, nothing else.
#[test]
fn ipv4_is_four_decimal_numbers() {
    assert_answers(4, &["0.0.0.0", "127.0.0.1", "255.255.255.255", "1.20.30.249"]);
    assert_answers(0, &["", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.1.1.1", "1.1.1.1000"]);
    assert_answers(0, &["01.1.1.1", "1.1.1.00", "0x7f.1.1.1", "127.1", "2130706433", "+1.1.1.1", "-1.1.1.1"]);
    assert_answers(0, &["1.1.1.1%lo", "1.1.1.1%", "1.1.1.1:80", "1.1.1.1/8", "١.1.1.1", "１.1.1.1"]);
}

/// B31: eight groups, or fewer around one `::` that replaces at least one.
#[test]
fn ipv6_is_eight_groups_or_fewer_with_a_gap() {
    assert_answers(6, &["1:2:3:4:5:6:7:8", "::", "::1", "1::", "1::8", "a:B:c:D:e:F:0:0000", "FFFF::ffff"]);
    assert_answers(6, &["1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3::5:6:7:8"]);
    assert_answers(0, &["1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1::2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8"]);
    assert_answers(0, &["1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", ":::", ":", "1:", ":1", ":1::", "1:::2"]);
    assert_answers(0, &["12345::", "00000::", "g::", "1:2:3:4:5:6:7:", ":2:3:4:5:6:7:8", "0x1::"]);
}

/// B31: an IPv4 address in the place of the last two groups.
#[test]
fn ipv6_may_end_in_ipv4() {
    assert_answers(6, &["::1.2.3.4", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1::6:1.2.3.4", "1:2:3:4:5::1.2.3.4"]);
    assert_answers(0, &["1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:1.2.3.4", "1.2.3.4::", "::1.2.3.4:5", "::1.2.3.4.5"]);
    assert_answers(0, &["::01.2.3.4", "::1.2.3", "::1.2.3.256", "::1.2.3.", "1:2:3:4:5:6::1.2.3.4"]);
}

/// B32: a zone has at least one letter, of a few kinds.
#[test]
fn ipv6_may_have_a_zone() {
    assert_answers(6, &["fe80::1%eth0", "fe80::1%1", "::%A-z.0:9", "::ffff:1.2.3.4%lo", "1:2:3:4:5:6:7:8%-"]);
    assert_answers(0, &["::%", "%eth0", "fe80::1%eth_0", "fe80::1%eth0@1", "fe80::1%a%b", "::1% ", "::1%é", "::1%a\n"]);
}

/// B33: nothing around the address.
#[test]
fn the_address_stands_alone() {
    assert_answers(0, &["[::1]", "::1/64", " ::1", "::1 ", "::1\n", "\n::1", "1.1.1.1\n", "1.1.1.1 ", " 1.1.1.1"]);
    assert_answers(0, &["::1\0", "1.1.1.1\0", "localhost", "\u{feff}::1"]);
}

#[track_caller]
fn assert_as_node(cases: &[Case]) {
    assert!(cases.len() > 1_000);
    for case in cases {
        let (text, _, answer) = case.parts();
        assert_eq!(is_ip(text).to_string(), answer, "{}: {text:?}", case.place);
    }
}

#[test]
fn answers_as_node_did() {
    assert_as_node(&reader::stored("is_ip"));
}

#[test]
fn answers_as_node_does() {
    for seed in [20, 21, 22] {
        let Some(cases) = reader::live("is_ip", seed, 20_000) else { return };
        assert_as_node(&cases);
    }
}
