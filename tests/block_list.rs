//! `BlockList`, rules B1 to B10 and N7: by hand, against a plain model, against stored answers of Node, and against
//! Node itself.
//!
//! May touch: the public API, the corpus, and a `node` process.

#[path = "block_list/model.rs"]
mod model;
#[path = "corpus/reader.rs"]
mod reader;
#[path = "block_list/replay.rs"]
mod replay;
mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use halfclose::Error;
use halfclose::net::{BlockList, SocketAddress};

/// Makes a list with what `fill` adds.
#[track_caller]
fn list(fill: impl FnOnce(&mut BlockList) -> Result<(), Error>) -> BlockList {
    let mut list = BlockList::new();
    fill(&mut list).expect("rules");
    list
}

#[track_caller]
fn assert_blocked(list: &BlockList, addresses: &[&str]) {
    for address in addresses {
        assert!(list.check(*address), "{address} with {list:?}");
    }
}

#[track_caller]
fn assert_not_blocked(list: &BlockList, addresses: &[&str]) {
    for address in addresses {
        assert!(!list.check(*address), "{address} with {list:?}");
    }
}

#[track_caller]
fn assert_error(result: Result<(), Error>, code: &str, message: &str) {
    let error = result.expect_err(message);
    assert_eq!((error.code(), error.message()), (Some(code), message));
}

const INVALID_ADDRESS: (&str, &str) = ("ERR_INVALID_ADDRESS", "Invalid socket address");

/// B1: every form of an address, everywhere.
#[test]
fn takes_addresses_in_every_form() {
    let mut list = BlockList::new();
    let ipv4 = Ipv4Addr::new(10, 0, 0, 5);
    list.add_address("10.0.0.1").expect("text");
    list.add_address(String::from("10.0.0.2")).expect("text");
    let owned = String::from("10.0.0.3");
    list.add_address(&owned).expect("text");
    list.add_address(SocketAddr::from((Ipv4Addr::new(10, 0, 0, 4), 80))).expect("std's");
    list.add_address(ipv4).expect("std's");
    list.add_address(Ipv6Addr::LOCALHOST).expect("std's");
    list.add_address(IpAddr::from(Ipv4Addr::new(10, 0, 0, 6))).expect("std's");
    let own = SocketAddress::new(("10.0.0.7", 80)).expect("an address");
    list.add_address(&own).expect("our own");
    list.add_address(own.clone()).expect("our own");
    list.add_range(ipv4, "10.0.0.9").expect("a range");
    list.add_subnet(&own, 32).expect("a subnet");
    assert_eq!(list.size(), 10);
    assert_blocked(&list, &["10.0.0.1", "10.0.0.4", "10.0.0.9", "::1"]);
    assert!(list.check(&own) && list.check(own) && list.check(IpAddr::V4(ipv4)) && list.check(String::from("::1")));
}

/// B1: ports, flow labels and zones do not matter, for removing neither.
#[test]
fn only_the_address_matters() {
    let with_port = |address, port| SocketAddress::new((address, port)).expect("an address");
    let mut list = list(|list| {
        list.add_address(with_port("10.0.0.1", 1))?;
        list.add_address(with_port("10.0.0.1", 2))?;
        list.add_address("fe80::1%lo")?;
        list.add_address("fe80::1%eth0")?;
        list.add_subnet(with_port("10.0.0.0", 1), 8)?;
        list.add_range(with_port("1.0.0.0", 1), with_port("1.0.0.9", 2))
    });
    assert_eq!(list.size(), 4);
    assert_blocked(&list, &["fe80::1", "fe80::1%other", "10.0.0.1", "1.0.0.9"]);
    list.remove_address(with_port("10.0.0.1", 3)).expect("an address");
    list.remove_subnet("10.0.0.0", 8).expect("a subnet");
    list.remove_range("1.0.0.0", with_port("1.0.0.9", 9)).expect("a range");
    assert_eq!(list.rules(), ["Address: IPv6 fe80::1"]);
}

/// B1, B10: what is no address is an error, and nothing has happened.
#[test]
fn texts_that_are_no_address_are_errors() {
    let mut list = BlockList::new();
    let (code, message) = INVALID_ADDRESS;
    for text in
        ["", "localhost", "127.1", "010.0.0.1", "1.2.3.4:80", "[::1]", "1.2.3.4/8", "1.2.3.4%lo", "1.2.3.4\0", "::1\0"]
    {
        assert_error(list.add_address(text), code, message);
        assert_error(list.remove_address(text), code, message);
        assert_error(list.add_addresses(["1.1.1.1", text]), code, message);
        assert_error(list.add_range(text, "1.1.1.1"), code, message);
        assert_error(list.add_range("1.1.1.1", text), code, message);
        assert_error(list.remove_range("1.1.1.1", text), code, message);
        assert_error(list.add_subnet(text, 8), code, message);
        assert_error(list.remove_subnet(text, 8), code, message);
    }
    assert_eq!(list.size(), 0);
}

/// B2: a question is never an error.
#[test]
fn what_is_no_address_is_not_blocked() {
    let list = list(|list| list.add_cidrs(["0.0.0.0/0", "::/0"]));
    assert_not_blocked(&list, &["", "localhost", "127.1", "[::1]", "1.1.1.1:80", "::1/128", "1.1.1.1\0", "1.1.1.1 "]);
    assert_blocked(&list, &["1.1.1.1", "::1", "::1%lo", "::1%"]);
}

/// B3: the two spellings of an IPv4 address are one address, in questions and in rules.
#[test]
fn mapped_addresses_are_ipv4_addresses() {
    let plain = list(|list| {
        list.add_address("1.1.1.1")?;
        list.add_range("2.0.0.1", "2.0.0.9")?;
        list.add_subnet("10.0.0.0", 8)
    });
    let mapped = list(|list| {
        list.add_address("::ffff:1.1.1.1")?;
        list.add_range("::ffff:2.0.0.1", "::ffff:2.0.0.9")?;
        list.add_subnet("::ffff:10.0.0.0", 104)
    });
    for list in [plain, mapped] {
        assert_blocked(&list, &["1.1.1.1", "2.0.0.5", "10.1.1.1"]);
        assert_blocked(&list, &["::ffff:1.1.1.1", "::ffff:101:101", "::ffff:2.0.0.5", "::ffff:10.1.1.1"]);
        assert_not_blocked(&list, &["1.1.1.2", "2.0.0.10", "11.1.1.1", "::1.1.1.1", "::10.0.0.1", "::fffe:10.0.0.1"]);
    }
}

/// B3: subnets around the addresses that stand for IPv4 match IPv4.
#[test]
fn ipv6_subnets_may_hold_ipv4() {
    for subnet in ["::/0", "::/64", "::/80", "::ffff:0:0/95", "::ffff:0:0/96"] {
        assert_blocked(&list(|list| list.add_cidr(subnet)), &["1.1.1.1", "::ffff:1.1.1.1"]);
    }
    for subnet in ["::/81", "::/96", "8000::/1", "2001:db8::/32"] {
        assert_not_blocked(&list(|list| list.add_cidr(subnet)), &["1.1.1.1", "::ffff:1.1.1.1"]);
    }
    assert_not_blocked(&list(|list| list.add_cidr("0.0.0.0/0")), &["::1", "::", "::1.1.1.1", "ffff::"]);
}

/// B3, as Node does: a range that goes beyond the addresses that stand for IPv4 holds those, and not plain IPv4.
#[test]
fn wide_ipv6_ranges_hold_ipv6_spellings_only() {
    for (start, end) in [("::", "ffff::"), ("::ffff:1.0.0.0", "ffff::"), ("::", "::ffff:2.0.0.0")] {
        let mut list = list(|list| list.add_range(start, end));
        assert_blocked(&list, &["::ffff:1.1.1.1"]);
        assert_not_blocked(&list, &["1.1.1.1"]);
        list.remove_range(start, end).expect("a range");
        assert_not_blocked(&list, &["::ffff:1.1.1.1"]);
    }
    assert_blocked(&list(|list| list.add_range("::ffff:0:0", "::ffff:ffff:ffff")), &["1.1.1.1", "::ffff:1.1.1.1"]);
}

/// B4: both ends included, and in order.
#[test]
fn ranges_include_their_ends() {
    let mut list = list(|list| {
        list.add_range("10.0.0.255", "10.0.1.1")?;
        list.add_range("1.1.1.1", "1.1.1.1")?;
        list.add_range("2001:db8::1", "2001:db8::ffff:0")
    });
    assert_blocked(&list, &["10.0.0.255", "10.0.1.0", "10.0.1.1", "1.1.1.1", "2001:db8::1", "2001:db8::ffff:0"]);
    assert_not_blocked(&list, &["10.0.0.254", "10.0.1.2", "1.1.1.0", "1.1.1.2", "2001:db8::", "2001:db8::ffff:1"]);
    let message = "The argument 'start' must come before end. \
                   Received SocketAddress { address: '1.1.1.9', port: 80, family: 'ipv4', flowlabel: 0 }";
    let start = SocketAddress::new(("1.1.1.9", 80)).expect("an address");
    assert_error(list.add_range(start, "1.1.1.1"), "ERR_INVALID_ARG_VALUE", message);
    assert_eq!(list.remove_range("1.1.1.9", "1.1.1.1").map(|()| list.size()).expect("no such range"), 3);
}

/// B4: the ends are of one family, also where Node's objects do not ask.
#[test]
fn ranges_are_of_one_family() {
    let mut list = BlockList::new();
    let (code, message) = INVALID_ADDRESS;
    assert_error(list.add_range("1.1.1.1", "::ffff:1.1.1.9"), code, message);
    assert_error(list.add_range(Ipv6Addr::LOCALHOST, Ipv4Addr::LOCALHOST), code, message);
    assert_error(list.remove_range("1.1.1.1", "::1"), code, message);
    assert_eq!(list.size(), 0);
}

/// B5: the prefix has a limit, and the bits behind it are shown only.
#[test]
fn subnets_have_a_prefix() {
    let mut list = list(|list| {
        list.add_subnet("192.168.1.77", 24)?;
        list.add_subnet("2001:db8::77", 64)?;
        list.add_subnet("1.2.3.4", 32)?;
        list.add_subnet("4000::", 128)
    });
    assert_blocked(
        &list,
        &["192.168.1.0", "192.168.1.255", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", "1.2.3.4", "4000::"],
    );
    assert_not_blocked(
        &list,
        &["192.168.0.255", "192.168.2.0", "2001:db8:0:1::", "2001:db7:ffff::", "1.2.3.5", "4000::1"],
    );
    for prefix in [33, 255] {
        let message = format!("The value of \"prefix\" is out of range. It must be >= 0 && <= 32. Received {prefix}");
        assert_error(list.add_subnet("1.1.1.1", prefix), "ERR_OUT_OF_RANGE", &message);
        assert_error(list.remove_subnet("1.1.1.1", prefix), "ERR_OUT_OF_RANGE", &message);
    }
    let message = "The value of \"prefix\" is out of range. It must be >= 0 && <= 128. Received 129";
    assert_error(list.add_subnet("::ffff:1.1.1.1", 129), "ERR_OUT_OF_RANGE", message);
    assert_eq!(list.size(), 4);
}

/// B6 and B7: the text of rules and their order.
#[test]
fn rules_are_listed_in_nodes_order() {
    let list = list(|list| {
        list.add_range("10.0.0.1", "10.0.0.10")?;
        list.add_address("10.0.0.2")?;
        list.add_subnet("192.168.1.77", 24)?;
        list.add_address("10.0.0.1")?;
        list.add_subnet("2001:DB8:0:0::", 32)?;
        list.add_range("::102:304", "::ffff:102:304")?;
        list.add_subnet("192.168.1.77", 24)?;
        list.add_address("1:0:0:2:0:0:0:3")?;
        list.add_address("::ffff:a00:2")
    });
    let expected = [
        "Address: IPv6 ::ffff:10.0.0.2",
        "Address: IPv4 10.0.0.1",
        "Address: IPv6 1:0:0:2::3",
        "Subnet: IPv4 192.168.1.77/24",
        "Subnet: IPv6 2001:db8::/32",
        "Subnet: IPv4 192.168.1.77/24",
        "Range: IPv6 ::1.2.3.4-::ffff:1.2.3.4",
        "Range: IPv4 10.0.0.1-10.0.0.10",
    ];
    assert_eq!(list.rules(), expected);
    assert_eq!(list.size(), 8);
    assert_eq!(list.to_json(), format!("[\"{}\"]", expected.join("\",\"")));
    assert_eq!(format!("{list:?}"), format!("BlockList {{ rules: {expected:?} }}"));
}

/// B8, B9 and N7: what is exported can be imported, also in Node, and adds to what is there.
#[test]
fn rules_go_through_json() {
    let rules = ["Address: IPv6 ::ffff:1.2.3.4", "Subnet: IPv4 10.0.0.0/8", "Range: IPv6 ::1-::9"];
    let original = list(|list| list.add_rules(rules));
    assert_eq!(original.rules(), rules);
    let copy = list(|list| list.from_json(&original.to_json()));
    assert_eq!(copy.rules(), rules);
    let twice = list(|list| {
        list.from_json(&copy.to_json())?;
        list.from_json(&copy.to_json())
    });
    assert_eq!(twice.size(), 5);
    assert_eq!(list(|list| list.from_json(" [ ] ")).to_json(), "[]");
}

/// B8: an error has added nothing, wherever in the text it is.
#[test]
fn an_import_is_all_or_nothing() {
    let mut list = BlockList::new();
    let (code, message) = INVALID_ADDRESS;
    assert_error(list.add_rules(["Address: IPv4 1.1.1.1", "Address: IPv4 999.1.1.1"]), code, message);
    assert_error(list.from_json(r#"["Address: IPv4 1.1.1.1","Address: IPv6 1.1.1.1"]"#), code, message);
    for (text, code) in [
        (r#"["Address: IPv4 1.1.1.1","Range: IPv4 1.1.1.9-1.1.1.1"]"#, "ERR_INVALID_ARG_VALUE"),
        (r#"["Address: IPv4 1.1.1.1","Subnet: IPv4 1.1.1.1/33"]"#, "ERR_OUT_OF_RANGE"),
        (r#"["Address: IPv4 1.1.1.1",5]"#, "ERR_INVALID_ARG_TYPE"),
        (r#"["Address: IPv4 1.1.1.1""#, "ERR_INVALID_JSON"),
        ("", "ERR_INVALID_JSON"),
    ] {
        assert_eq!(list.from_json(text).unwrap_err().code(), Some(code), "{text}");
    }
    assert_eq!(list.size(), 0);
    let error = list.from_json("[\"a\nb\"]").unwrap_err();
    assert_eq!(error.message(), "The rules are not JSON: unexpected text or end near byte 4");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

/// However deep or long: no text makes it fall over.
#[test]
fn hostile_json_is_an_error() {
    let mut list = BlockList::new();
    assert_eq!(list.from_json(&"[".repeat(1_000_000)).unwrap_err().code(), Some("ERR_INVALID_ARG_TYPE"));
    assert_eq!(
        list.from_json(&format!("[{}", r#""a","#.repeat(300_000))).unwrap_err().code(),
        Some("ERR_INVALID_JSON")
    );
    assert_eq!(
        list.from_json(&format!("[\"{}", "\\ud800".repeat(300_000))).unwrap_err().code(),
        Some("ERR_INVALID_JSON")
    );
    let line = "Subnet: IPv6 ".repeat(50_000);
    list.add_rules([&line]).expect("no rule in it");
    assert_eq!(list.size(), 0);
}

/// B10: all of them, or none.
#[test]
fn several_are_added_together() {
    let mut list = list(|list| list.add_cidrs(BlockList::PRIVATE_RANGES));
    assert_eq!(list.size(), 8);
    assert_blocked(
        &list,
        &["10.9.9.9", "172.31.0.1", "192.168.0.1", "127.0.0.1", "::1", "169.254.1.1", "febf::1", "fdff::"],
    );
    assert_not_blocked(&list, &["9.9.9.9", "172.32.0.1", "192.169.0.1", "::2", "fec0::", "fe00::", "::"]);
    assert_eq!(list.add_cidrs(["1.0.0.0/8", "1.0.0.0/08"]).unwrap_err().code(), Some("ERR_INVALID_ARG_VALUE"));
    assert_eq!(list.add_cidrs(["1.0.0.0/8", "1/8"]).unwrap_err().code(), Some("ERR_INVALID_ADDRESS"));
    assert_eq!(list.add_addresses(["1.1.1.1", "x"]).unwrap_err().code(), Some("ERR_INVALID_ADDRESS"));
    assert_eq!(list.size(), 8);
    list.add_addresses(vec![Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(2, 2, 2, 2)]).expect("addresses");
    list.add_addresses(Vec::<String>::new()).expect("none");
    assert_eq!(list.size(), 10);
}

/// B10: one instance goes, the newest, and only an exact one.
#[test]
fn one_exact_instance_is_removed() {
    let mut list = list(|list| {
        list.add_cidrs(["10.0.0.0/8", "11.0.0.0/8", "10.0.0.0/8", "10.5.0.0/8"])?;
        list.add_range("1.0.0.1", "1.0.0.9")?;
        list.add_range("1.0.0.1", "1.0.0.9")
    });
    list.remove_cidr("10.0.0.0/8").expect("a subnet");
    list.remove_range("1.0.0.1", "1.0.0.9").expect("a range");
    let expected = [
        "Subnet: IPv4 10.5.0.0/8",
        "Subnet: IPv4 11.0.0.0/8",
        "Subnet: IPv4 10.0.0.0/8",
        "Range: IPv4 1.0.0.1-1.0.0.9",
    ];
    assert_eq!(list.rules(), expected);
    for cidr in ["10.1.0.0/8", "10.0.0.0/9", "::ffff:10.0.0.0/104", "::ffff:10.0.0.0/8"] {
        list.remove_cidr(cidr).expect("a subnet");
    }
    list.remove_range("1.0.0.1", "1.0.0.8").expect("a range");
    list.remove_range("::ffff:1.0.0.1", "::ffff:1.0.0.9").expect("a range");
    list.remove_address("10.0.0.1").expect("an address");
    assert_eq!(list.rules(), expected);
    list.remove_cidr("10.0.0.0/8").expect("a subnet");
    assert_blocked(&list, &["10.0.0.1"]);
    list.remove_cidr("10.5.0.0/8").expect("a subnet");
    list.remove_range("1.0.0.1", "1.0.0.9").expect("a range");
    assert_not_blocked(&list, &["10.0.0.1", "1.0.0.5"]);
    assert_blocked(&list, &["11.0.0.1"]);
    list.clear();
    assert_eq!((list.size(), list.check("11.0.0.1")), (0, false));
}

/// A clone is a list of its own, from the first change on, of either.
#[test]
fn clones_do_not_share_changes() {
    let mut one = list(|list| list.add_cidr("10.0.0.0/8"));
    let mut other = one.clone();
    one.add_address("1.1.1.1").expect("an address");
    other.remove_cidr("10.0.0.0/8").expect("a subnet");
    assert_eq!(one.rules(), ["Address: IPv4 1.1.1.1", "Subnet: IPv4 10.0.0.0/8"]);
    assert_eq!(other.size(), 0);
    one.clone().clear();
    assert_eq!(one.size(), 2);
    assert_eq!(BlockList::default().size(), 0);
}

fn is_send_and_sync<T: Send + Sync>() {}

#[test]
fn crosses_threads() {
    is_send_and_sync::<BlockList>();
}
