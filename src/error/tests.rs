//! The members, messages and conversions of errors.

use super::*;

fn host_port(port: u16, additional: Option<&str>) -> Error {
    Error::with_host_port(Errno::REFUSED, "connect", "127.0.0.1", port, additional.map(Into::into))
}

#[test]
fn a_failed_call_names_the_call_and_the_code() {
    let error = Error::exception(Errno::INVALID, "reset");
    assert_eq!(error.to_string(), "reset EINVAL");
    assert_eq!(error.code(), Some("EINVAL"));
    assert_eq!(error.errno(), Some(Errno::INVALID.negated()));
    assert_eq!(error.syscall(), Some("reset"));
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert_eq!((error.address(), error.port()), (None, None));
}

#[test]
fn a_failed_connect_has_address_and_port_unless_that_is_zero() {
    let error = host_port(1, None);
    assert_eq!(error.message(), "connect ECONNREFUSED 127.0.0.1:1");
    assert_eq!((error.address(), error.port()), (Some("127.0.0.1"), Some(1)));
    let error = host_port(0, None);
    assert_eq!(error.message(), "connect ECONNREFUSED 127.0.0.1");
    assert_eq!((error.address(), error.port()), (Some("127.0.0.1"), None));
}

#[test]
fn a_failed_connect_may_tell_the_local_side() {
    let error = host_port(1, Some("127.0.0.1:45681")).with_local("127.0.0.1", 45681);
    assert_eq!(error.message(), "connect ECONNREFUSED 127.0.0.1:1 - Local (127.0.0.1:45681)");
    assert_eq!((error.local_address(), error.local_port()), (Some("127.0.0.1"), Some(45681)));
}

#[test]
fn telling_the_local_side_leaves_clones_alone() {
    let error = host_port(1, None);
    let told = error.clone().with_local("127.0.0.1", 2);
    assert_eq!((error.local_port(), told.local_port()), (None, Some(2)));
}

#[test]
fn a_failed_listen_carries_the_description() {
    let in_use = |address, port: i32| Error::uv_with_host_port(Errno::ADDRESS_IN_USE, "listen", address, port);
    let message = |address, port| in_use(address, port).message().to_owned();
    let text = "listen EADDRINUSE: address already in use";
    assert_eq!(message(Some("127.0.0.1"), 44379), format!("{text} 127.0.0.1:44379"));
    assert_eq!(message(Some("::"), 34589), format!("{text} :::34589"));
    assert_eq!(message(Some("1.1.1.1"), 0), format!("{text} 1.1.1.1"));
    assert_eq!(message(Some("/path"), -1), format!("{text} /path"));
    assert_eq!(message(None, 0), text);
    assert_eq!(in_use(Some("/path"), -1).port(), Some(-1));
    assert_eq!(in_use(Some("1.1.1.1"), 0).port(), None);
    assert_eq!(in_use(None, 0).address(), None);
    let bad = Error::uv_with_host_port(Errno::INVALID, "listen", None, 80_u16);
    assert_eq!(bad.message(), "listen EINVAL: invalid argument");
}

#[test]
fn a_failed_lookup_has_the_host_but_no_address() {
    let error = Error::lookup("ENOTFOUND", -3008, "no.such.host");
    assert_eq!(error.message(), "getaddrinfo ENOTFOUND no.such.host");
    assert_eq!(error.hostname(), Some("no.such.host"));
    assert_eq!((error.errno(), error.syscall()), (Some(-3008), Some("getaddrinfo")));
    assert_eq!((error.address(), error.port()), (None, None));
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn messages_without_a_system_call_are_those_of_node() {
    let cases = [
        (Error::stream_write_after_end(), "ERR_STREAM_WRITE_AFTER_END", "write after end"),
        (Error::stream_destroyed("write"), "ERR_STREAM_DESTROYED", "Cannot call write after a stream was destroyed"),
        (
            Error::stream_already_finished("end"),
            "ERR_STREAM_ALREADY_FINISHED",
            "Cannot call end after a stream was finished",
        ),
        (Error::socket_closed(), "ERR_SOCKET_CLOSED", "Socket is closed"),
        (Error::ended_by_other_party(), "EPIPE", "This socket has been ended by the other party"),
        (
            Error::missing_args(),
            "ERR_MISSING_ARGS",
            "The \"options\" or \"port\" or \"path\" argument must be specified",
        ),
        (Error::invalid_ip_address("foo"), "ERR_INVALID_IP_ADDRESS", "Invalid IP address: foo"),
    ];
    for (error, code, message) in cases {
        assert_eq!(error.code(), Some(code));
        assert_eq!(error.message(), message);
        assert_eq!((error.errno(), error.syscall()), (None, None), "{code}");
    }
}

#[test]
fn kinds_follow_the_code_where_there_is_no_number() {
    assert_eq!(Error::ended_by_other_party().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(Error::socket_closed().kind(), io::ErrorKind::NotConnected);
    assert_eq!(Error::invalid_ip_address("foo").kind(), io::ErrorKind::InvalidInput);
    assert_eq!(Error::is_connected().syscall(), Some("connect"));
    assert_eq!(Error::is_connected().code(), Some("EISCONN"));
}

#[test]
fn an_io_error_keeps_number_kind_and_source() {
    let error = Error::from(io::Error::from_raw_os_error(Errno::REFUSED.0));
    assert_eq!((error.code(), error.errno()), (Some("ECONNREFUSED"), Some(Errno::REFUSED.negated())));
    assert_eq!((error.kind(), error.syscall()), (io::ErrorKind::ConnectionRefused, None));
    assert!(error.source().unwrap().downcast_ref::<io::Error>().is_some());
    let error = Error::from(io::Error::other("foreign"));
    assert_eq!((error.message(), error.code()), ("foreign", None));
}

#[test]
fn the_way_into_an_io_error_and_back_changes_nothing() {
    let error = io::Error::from(host_port(1, None));
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let back = Error::from(error);
    assert_eq!((back.port(), back.message()), (Some(1), "connect ECONNREFUSED 127.0.0.1:1"));
    assert!(back.source().is_none());
}

#[test]
fn a_boxed_error_is_the_source_unless_it_is_one_of_ours() {
    let foreign: Box<dyn StdError + Send + Sync> = Box::new(fmt::Error);
    let error = Error::from(foreign);
    assert!(error.source().unwrap().is::<fmt::Error>());
    assert_eq!(error.message(), fmt::Error.to_string());
    let own: Box<dyn StdError + Send + Sync> = Box::new(Error::socket_closed());
    assert_eq!(Error::from(own).code(), Some("ERR_SOCKET_CLOSED"));
    let system: Box<dyn StdError + Send + Sync> = Box::new(io::Error::from_raw_os_error(Errno::REFUSED.0));
    assert_eq!(Error::from(system).code(), Some("ECONNREFUSED"));
}

#[test]
fn debug_leaves_out_what_does_not_apply() {
    let error = Error::socket_closed();
    assert_eq!(format!("{error:?}"), r#"Error { message: "Socket is closed", code: "ERR_SOCKET_CLOSED" }"#);
    assert!(format!("{:?}", host_port(1, None)).contains("port: 1"));
}

#[test]
fn an_error_may_go_to_any_thread() {
    fn assert_bounds<T: Clone + Send + Sync + 'static>() {}
    assert_bounds::<Error>();
}
