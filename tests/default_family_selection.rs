//! The defaults of address-family selection, which hold for the whole process: hence one test in a process of its own.
//!
//! May touch: the public API.

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use halfclose::net::{self, ConnectOptions};

/// C20, C23: what is set is what `connect` does without options of its own.
#[test]
fn defaults_hold_for_every_connect() {
    assert!(net::get_default_auto_select_family());
    assert_eq!(net::get_default_auto_select_family_attempt_timeout(), Duration::from_millis(500));

    net::set_default_auto_select_family_attempt_timeout(Duration::from_millis(3)).expect("in range");
    assert_eq!(net::get_default_auto_select_family_attempt_timeout(), Duration::from_millis(10));
    for timeout in [Duration::ZERO, Duration::from_millis(1 << 31)] {
        let error = net::set_default_auto_select_family_attempt_timeout(timeout).expect_err("out of range");
        assert_eq!(error.code(), Some("ERR_OUT_OF_RANGE"));
        assert!(error.message().starts_with("The value of \"value\" is out of range."));
    }
    assert_eq!(net::get_default_auto_select_family_attempt_timeout(), Duration::from_millis(10));

    let errors_of = |options: ConnectOptions| {
        let count = std::rc::Rc::new(std::cell::Cell::new(usize::MAX));
        let counted = count.clone();
        support::test(move |event_loop| {
            let options = options.host("h").port(1).lookup(|request, callback| {
                let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                callback.resolve(both.into_iter().take(if request.all() { 2 } else { 1 }));
            });
            let client = net::connect(options).expect("connect");
            client.on_error(move |_, error| counted.set(error.errors().len()));
            event_loop.run().expect("no unhandled error");
        });
        count.get()
    };
    assert_eq!(errors_of(ConnectOptions::new()), 2);
    net::set_default_auto_select_family(false);
    assert!(!net::get_default_auto_select_family());
    assert_eq!(errors_of(ConnectOptions::new()), 0);
    assert_eq!(errors_of(ConnectOptions::new().auto_select_family(true)), 2);
}
