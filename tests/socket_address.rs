//! `SocketAddress`, rules B20 to B22 and N6: by hand, against stored answers of Node, and against Node itself.
//!
//! May touch: the public API, the corpus, and a `node` process.

#[path = "corpus/reader.rs"]
mod reader;
mod support;

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use halfclose::Error;
use halfclose::net::{Family, SocketAddress, SocketAddressOptions};
use reader::Case;

fn options() -> SocketAddressOptions {
    SocketAddressOptions::new()
}

#[track_caller]
fn made(options: impl Into<SocketAddressOptions>) -> SocketAddress {
    SocketAddress::new(options).expect("an address")
}

/// B20: what is not given.
#[test]
fn defaults_are_nodes() {
    let ipv4 = r#"{"address":"127.0.0.1","port":0,"family":"ipv4","flowlabel":0}"#;
    let ipv6 = r#"{"address":"::","port":0,"family":"ipv6","flowlabel":0}"#;
    assert_eq!(SocketAddress::default().to_json(), ipv4);
    assert_eq!(made(options()).to_json(), ipv4);
    assert_eq!(made(options().family(Family::IPv4)).to_json(), ipv4);
    assert_eq!(made(options().family(Family::IPv6)).to_json(), ipv6);
    assert_eq!(made(options()), SocketAddress::default());
}

/// B20: the family is checked where it is given, and taken from the address where it is not.
#[test]
fn the_family_is_that_of_the_address() {
    assert_eq!(made(("1.2.3.4", 5)).family(), Family::IPv4);
    assert_eq!(made(("::1", 5)).family(), Family::IPv6);
    assert_eq!(made(options().address("::1").family(Family::IPv6)), made(("::1", 0)));
    for wrong in [options().address("::1").family(Family::IPv4), options().address("1.2.3.4").family(Family::IPv6)] {
        assert_eq!(SocketAddress::new(wrong).unwrap_err().code(), Some("ERR_INVALID_ADDRESS"));
    }
    assert_eq!(made(("1.2.3.4", 5)).family_name(), "ipv4");
    assert_eq!(made(("::1", 5)).family_name(), "ipv6");
}

/// B20: texts that are no address.
#[test]
fn other_texts_are_errors() {
    for text in ["", "127.1", "01.1.1.1", "1.2.3.4%lo", "[::1]", "localhost", "1.2.3.4:5", "%lo", "1.2.3.4\0", "::1\0"]
    {
        let error = SocketAddress::new((text, 0)).expect_err(text);
        assert_eq!(error.code(), Some("ERR_INVALID_ADDRESS"), "{text:?}");
        assert_eq!(error.message(), "Invalid socket address");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}

/// B20: one text for each address; a zone is no part of it. Node reads the last one as another address.
#[test]
fn addresses_are_canonical() {
    for (text, canonical) in [
        ("0:0::1", "::1"),
        ("FE80::ABCD%eth0", "fe80::abcd"),
        ("fe80::1%", "fe80::1"),
        ("fe80::1%a b", "fe80::1"),
        ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4"),
        ("0:0:1:2:3:4:0:0", "::1:2:3:4:0:0"),
        ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
        ("::ffff:102:304", "::ffff:1.2.3.4"),
        ("::102:304", "::1.2.3.4"),
        ("::304", "::304"),
        ("::1:0", "::0.1.0.0"),
        ("0000:0000:0000:0000:0000:ffff:11.2.3.255%lo", "::ffff:11.2.3.255"),
    ] {
        assert_eq!(made((text, 0)).address(), canonical);
    }
}

/// B20: the flow label belongs to IPv6.
#[test]
fn the_flow_label_is_kept_for_ipv6() {
    assert_eq!(made(options().address("::1").flowlabel(u32::MAX)).flowlabel(), u32::MAX);
    assert_eq!(made(options().address("::1").flowlabel(7)).flowlabel(), 7);
    assert_eq!(made(options().address("1.2.3.4").flowlabel(7)).flowlabel(), 0);
}

/// B21, and N6: port 80 is a port like others.
#[test]
fn parses_addresses_with_and_without_ports() {
    for (text, address, port) in [
        ("1.2.3.4", "1.2.3.4", 0),
        ("1.2.3.4:80", "1.2.3.4", 80),
        ("1.2.3.4:00443", "1.2.3.4", 443),
        ("1.2.3.4:65535", "1.2.3.4", 65535),
        ("[::1]", "::1", 0),
        ("[::1]:80", "::1", 80),
        ("[0:0::FFFF:1.2.3.4]:443", "::ffff:1.2.3.4", 443),
    ] {
        let parsed = SocketAddress::parse(text).expect(text);
        assert_eq!((parsed.address(), parsed.port(), parsed.flowlabel()), (address, port, 0));
        assert_eq!(text.parse::<SocketAddress>().expect(text), parsed);
    }
}

/// B21 and B22: what a URL may be, and an address is not.
#[test]
fn parses_nothing_else() {
    for text in [
        "",
        ":",
        ":80",
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[1.2.3.4]",
        "[::1%lo]",
        "[::1%25lo]:1",
        "[::1]80",
        "[::1]]:1",
        "1.2.3.4:65536",
        "1.2.3.4:+1",
        "1.2.3.4:-1",
        "1.2.3.4:1:2",
        "1.2.3.4:x",
        "1.2.3.4:1 ",
        " 1.2.3.4:1",
        "localhost:80",
        "1.2.3.4:",
        "[::1]:",
        "256",
        "010.0.0.1",
        "1.2.3",
        "0x7f.1",
        "1.2.3.4.",
        "1.2.3.4/",
        "1.2.3.4:5/x",
        "1.2.3.4?",
        "1.2.3.4#",
        "1.2.3.4\\",
        "user@1.2.3.4",
        "1.2.3.4\t:5",
        "1.2.3.4:5\n",
        "１.2.3.4:5",
        "1.2.3.4:５",
    ] {
        assert_eq!(SocketAddress::parse(text), None, "{text:?}");
        assert_eq!(text.parse::<SocketAddress>().unwrap_err().code(), Some("ERR_INVALID_ADDRESS"));
    }
}

/// From and into std's addresses; a scope id is dropped as a zone is.
#[test]
fn converts_from_and_into_std() {
    let ipv4 = SocketAddr::from(SocketAddrV4::new(Ipv4Addr::new(1, 2, 3, 4), 5));
    let ipv6 = SocketAddr::from(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 5, 6, 0));
    for address in [ipv4, ipv6] {
        let socket_address = SocketAddress::from(address);
        assert_eq!(SocketAddr::from(&socket_address), address);
        assert_eq!(SocketAddr::from(socket_address), address);
    }
    let scoped = SocketAddress::from(SocketAddr::from(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 5, 6, 7)));
    assert_eq!(scoped, SocketAddress::from(ipv6));
    assert_eq!(scoped.flowlabel(), 6);
}

/// A value: compared, hashed, shown.
#[test]
fn is_a_value() {
    let address = made(options().address("0:0::1").port(5).flowlabel(6));
    assert_eq!(address, address.clone());
    assert_eq!(HashSet::from([address.clone(), made(options().address("::1").port(5).flowlabel(6))]).len(), 1);
    assert_ne!(address, made(("::1", 5)));
    assert_ne!(made(("::1", 5)), made(("::1", 6)));
    assert_ne!(made(("1.2.3.4", 5)), made(("::ffff:1.2.3.4", 5)));
    assert_eq!(address.to_string(), "[::1]:5");
    assert_eq!(made(("1.2.3.4", 5)).to_string(), "1.2.3.4:5");
    assert_eq!(format!("{:>12}", made(("1.2.3.4", 5))), "   1.2.3.4:5");
    let shown = r#"SocketAddress { address: "::1", port: 5, family: "ipv6", flowlabel: 6 }"#;
    assert_eq!(format!("{address:?}"), shown);
    assert_eq!(SocketAddress::parse(&made(("::1", 5)).to_string()), Some(made(("::1", 5))));
}

fn is_send_and_sync<T: Send + Sync>() {}

#[test]
fn crosses_threads() {
    is_send_and_sync::<SocketAddress>();
}

fn answer(result: Result<SocketAddress, Error>) -> String {
    match result {
        Ok(address) => address.to_json(),
        Err(error) => format!("{}: {error}", error.code().unwrap_or_default()),
    }
}

/// `new`: the arguments are the four options, `-` where one is not given.
fn answer_new(arguments: &[String]) -> String {
    let [address, family, port, flowlabel] = arguments else { panic!("{arguments:?}") };
    let mut options = options().port(port.parse().expect("a port")).flowlabel(flowlabel.parse().expect("a label"));
    if address != "-" {
        options = options.address(address.as_str());
    }
    match family.as_str() {
        "ipv4" => options = options.family(Family::IPv4),
        "ipv6" => options = options.family(Family::IPv6),
        _ => assert_eq!(family, "-"),
    }
    answer(SocketAddress::new(options))
}

/// Whether this is an address with or without a port, as std understands it.
fn is_strict(text: &str) -> bool {
    let in_brackets = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let has_zone = text.contains('%');
    text.parse::<Ipv4Addr>().is_ok()
        || in_brackets.is_some_and(|text| text.parse::<Ipv6Addr>().is_ok())
        || (text.parse::<SocketAddr>().is_ok() && !has_zone)
}

#[track_caller]
fn assert_as_node(cases: &[Case]) {
    assert!(cases.len() > 500);
    let (mut strict, mut quirks) = (0, 0);
    for case in cases {
        let (question, arguments, expected) = case.parts();
        let given = match question {
            "new" => answer_new(arguments),
            "parse" => {
                let text = arguments[0].as_str();
                let parsed = SocketAddress::parse(text);
                assert_eq!(parsed.is_some(), is_strict(text), "{}: {text:?}", case.place);
                match parsed {
                    // N6.
                    Some(parsed) if parsed.port() == 80 => parsed.to_json().replace("\"port\":80,", "\"port\":0,"),
                    Some(parsed) => parsed.to_json(),
                    // B22: Node may read what is not strict.
                    None if expected != "undefined" => {
                        quirks += 1;
                        continue;
                    }
                    None => "undefined".to_owned(),
                }
            }
            _ => panic!("{}: {question}", case.place),
        };
        assert_eq!(given, expected, "{}: {question} {arguments:?}", case.place);
        strict += 1;
    }
    assert!(strict > 10 * quirks, "{strict} answers as Node's, {quirks} quirks left out");
}

#[test]
fn answers_as_node_did() {
    assert_as_node(&reader::stored("socket_address"));
}

#[test]
fn answers_as_node_does() {
    for seed in [20, 21, 22] {
        let Some(cases) = reader::live("socket_address", seed, 10_000) else { return };
        assert_as_node(&cases);
    }
}
