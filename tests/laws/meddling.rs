//! Law 2: user code is entered with nothing borrowed. From every kind of it, every command is given: to the socket or
//! server whose code it is, to all the others, and to new ones.
//!
//! May touch: the public API. Invariant: a borrow that is still held shows as a panic of the library, which no test here
//! takes for a provoked one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, Server, ServerEvent, Socket, SocketEvent};
use halfclose::{
    Immediate, LoopHandle, Timer, clear_immediate, clear_interval, clear_timeout, next_tick, set_immediate,
    set_interval, set_timeout,
};

use crate::conversation::{PLACES, Place, Subject, UNDISTURBED, Visit, begin, experiences};
use crate::support::{RawListener, outcome};
use crate::{Interruptions, law, run_to_the_end};

/// Questions, and commands that undo each other: the program must not notice.
pub(crate) fn handle_with_care(subject: Subject) {
    match subject {
        Subject::Socket(socket) => {
            ask_socket(socket);
            socket.set_no_delay(true).set_no_delay(false).set_keep_alive(true, Duration::from_secs(7));
            socket.unref().ref_();
            listen_and_stop(socket);
            if socket.is_paused() {
                socket.pause();
            }
            // Without a connection, `release` would free the slot.
            if !socket.pending() {
                socket.retain().release();
            }
        }
        Subject::Server(server) => {
            let _ = (server.address(), server.listening(), server.connections());
            server.unref().ref_();
            if server.listening() {
                assert_eq!(server.listen(0).expect_err("it listens").code(), Some("ERR_SERVER_ALREADY_LISTEN"));
            }
            let listeners = [
                server.on_listening(|_| unreachable!("removed")),
                server.on_connection(|_, _| unreachable!("removed")),
                server.on_error(|_, _| unreachable!("removed")),
                server.on_close(|_| unreachable!("removed")),
            ];
            for listener in listeners {
                server.off(listener);
                assert!(!server.off(listener));
            }
            let _ = server.listener_count(ServerEvent::Connection);
        }
        Subject::Loop => {}
    }
}

fn ask_socket(socket: Socket) {
    let _ = (socket.connecting(), socket.pending(), socket.destroyed(), socket.closed(), socket.readable());
    let _ = (socket.writable(), socket.readable_ended(), socket.writable_ended(), socket.writable_finished());
    let _ = (socket.writable_need_drain(), socket.is_paused(), socket.readable_flowing(), socket.allow_half_open());
    let _ = (socket.ready_state(), socket.errored(), socket.bytes_read(), socket.bytes_written(), socket.timeout());
    let _ = (socket.buffer_size(), socket.readable_length(), socket.writable_length(), socket.server());
    let _ = (socket.readable_high_water_mark(), socket.writable_high_water_mark(), socket.id().get());
    let _ = (socket.remote_address(), socket.remote_port(), socket.remote_family(), socket.peer_addr());
    let _ = (socket.local_address(), socket.local_port(), socket.local_family(), socket.address());
    let _ = (socket.listener_count(SocketEvent::Data), format!("{socket:?}"), halfclose::position());
}

fn listen_and_stop(socket: Socket) {
    let listeners = [
        socket.on_connection_attempt(|_, _| unreachable!("removed")),
        socket.on_connection_attempt_failed(|_, _, _| unreachable!("removed")),
        socket.once_connect(|_| unreachable!("removed")),
        socket.on_ready(|_| unreachable!("removed")),
        socket.on_end(|_| unreachable!("removed")),
        socket.once_finish(|_| unreachable!("removed")),
        socket.on_drain(|_| unreachable!("removed")),
        socket.on_timeout(|_| unreachable!("removed")),
        socket.on_error(|_, _| unreachable!("removed")),
        socket.on_close(|_, _| unreachable!("removed")),
    ];
    for listener in listeners {
        socket.off(listener);
        assert!(!socket.off(listener));
    }
}

/// Every command at once, with callbacks, ending with a destruction: nothing of this may panic.
pub(crate) fn use_up(subject: Subject) {
    match subject {
        Subject::Socket(socket) => {
            ask_socket(socket);
            socket.pause().resume().set_timeout(Duration::from_nanos(1));
            socket.set_timeout_with(Duration::from_secs(1), |_| ());
            socket.set_no_delay(true).set_keep_alive(true, Duration::ZERO).set_allow_half_open(true);
            socket.unref().ref_();
            socket.on_data(|_, _| ());
            socket.once_data(|_, _| ());
            socket.set_data(String::from("state")).set_data(vec![1]);
            let nested = socket.with_data(|_: &mut Vec<i32>| socket.with_data(|_: &mut Vec<i32>| ()).is_err());
            assert!(nested.unwrap_or(true), "a nested call gets no second borrow");
            socket.write("bytes");
            socket.write_with(vec![1; 100], |_, _| ());
            let _ = socket.connect(("127.0.0.1", 1));
            let _ = socket.connect_with(("127.0.0.1", 1), |_| ());
            socket.end_data_with("bytes", |_, _| ());
            socket.end_with(|_, _| ());
            socket.end_data("bytes");
            socket.end();
            socket.destroy_soon();
            socket.reset_and_destroy().expect("a TCP socket");
            socket.destroy_with("used up");
            socket.destroy();
            socket.retain().release();
        }
        Subject::Server(server) => {
            handle_with_care(subject);
            server.close_with(|_, _| ());
            let _ = server.listen_with(("127.0.0.1", 0), |_| ());
            let _ = server.listen(0);
            server.close();
            server.remove_all_listeners(Some(ServerEvent::Listening));
        }
        Subject::Loop => {}
    }
}

/// Makes one of everything, uses it, and leaves something behind that the loop has to do later.
pub(crate) fn make_something_new(address: std::net::SocketAddr) {
    let bare = Socket::new();
    bare.set_data(1).destroy();
    let connecting = net::connect(address).expect("connect");
    connecting.write_with("bytes", |_, _| ());
    connecting.on_error(|_, _| ());
    let connected = net::connect(address).expect("connect");
    connected.on_error(|_, _| ());
    connected.once_ready(|socket| {
        socket.destroy();
    });
    connecting.destroy();
    let server = net::create_server(|_| ());
    server.listen(0).expect("listen");
    server.once_listening(Server::release);
    let silent = Server::new();
    silent.listen(("127.0.0.1", 0)).expect("listen");
    silent.release();
    let hour = Duration::from_secs(3600);
    let timer: Timer = set_timeout(hour, || unreachable!("cleared")).refresh().unref().ref_();
    clear_timeout(timer);
    clear_interval(set_interval(hour, || unreachable!("cleared")));
    let immediate: Immediate = set_immediate(|| unreachable!("cleared"));
    clear_immediate(immediate.unref().ref_());
    next_tick(|| next_tick(|| ()));
    set_immediate(|| {
        set_timeout(Duration::ZERO, || ());
    });
}

/// Law 2: from every kind of user code, questions and commands that undo each other, to everybody, and something new made
/// and thrown away. The program goes on as if nothing had been.
#[test]
fn law_2_commands_may_be_given_from_everywhere() {
    law(|event_loop| {
        let elsewhere = RawListener::bind();
        let address = elsewhere.address();
        let posts = Rc::new(Cell::new(0));
        for place in PLACES {
            let (handle, posted): (LoopHandle, _) = (event_loop.handle(), posts.clone());
            let visit = Visit::new(place, move |subject, cast| {
                handle_with_care(subject);
                cast.iter().copied().for_each(handle_with_care);
                make_something_new(address);
                assert!(handle.post(|| next_tick(|| ())).is_ok());
                handle.wake();
                posted.set(posted.get() + 1);
            });
            let log = begin(event_loop, &visit);
            assert_eq!(run_to_the_end(event_loop), Interruptions::default(), "{place:?}");
            assert_eq!(experiences(&log), UNDISTURBED, "{place:?}\n{}", log.whole());
            assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0), "{place:?}: slots");
            assert_eq!(event_loop.timers(), 0, "{place:?}: timers");
        }
        assert_eq!(posts.get(), PLACES.len());
    });
}

/// Law 2, law 5: from every kind of user code, everybody is used up, destroyed and closed in one go. The loop comes to its
/// end without a panic, and keeps nobody.
#[test]
fn law_2_everybody_may_be_destroyed_from_everywhere() {
    law(|event_loop| {
        for place in PLACES {
            let cast_of_all = Rc::new(RefCell::new(Vec::new()));
            let seen = cast_of_all.clone();
            let visit = Visit::new(place, move |subject, cast| {
                // The socket whose code it is last, so that it is still alive when the others go.
                cast.iter().copied().for_each(use_up);
                use_up(subject);
                seen.borrow_mut().extend_from_slice(cast);
            });
            let log = begin(event_loop, &visit);
            assert_eq!(run_to_the_end(event_loop), Interruptions::default(), "{place:?}");
            assert!(visit.count() > 0, "{place:?} was never reached");
            for subject in cast_of_all.take() {
                match subject {
                    Subject::Socket(socket) => assert!(socket.destroyed(), "{place:?}: {socket:?}\n{}", log.whole()),
                    Subject::Server(server) => server.release(),
                    Subject::Loop => {}
                }
            }
            assert_eq!(event_loop.connections(), 0, "{place:?}: slots\n{}", log.whole());
        }
    });
}

/// Law 2: `with_data` has its value out of its place, so what is nested gets an error and no second reference; everything
/// else may be done from within.
#[test]
fn law_2_a_nested_with_data_is_an_error() {
    law(|event_loop| {
        let socket = Socket::new();
        socket.set_data(vec![1]);
        let result = socket.with_data(|outer: &mut Vec<i32>| {
            let nested = socket.with_data(|_: &mut Vec<i32>| unreachable!("the value is out"));
            assert_eq!(nested.as_ref().map_err(halfclose::Error::code), Err(Some("ERR_SOCKET_DATA")));
            let other = Socket::new();
            other.set_data(2);
            outer.push(other.with_data(|value: &mut i32| *value).expect("another socket's value"));
            other.release();
            make_something_new("127.0.0.1:1".parse().expect("an address"));
            handle_with_care(Subject::Socket(socket));
            outer.len()
        });
        assert_eq!(result.expect("the value"), 2);
        let wrong_type = socket.with_data(|_: &mut String| ());
        assert_eq!(outcome("asked", wrong_type.as_ref().copied()), "asked(ERR_SOCKET_DATA)");
        assert_eq!(socket.with_data(|value: &mut Vec<i32>| value.clone()).expect("it is back"), [1, 2]);
        // New data that is set from within stays; the old one goes.
        socket.with_data(|_: &mut Vec<i32>| socket.set_data(vec![9])).expect("the value");
        assert_eq!(socket.with_data(|value: &mut Vec<i32>| value.clone()).expect("the new one"), [9]);
        socket.release();
        assert_eq!(run_to_the_end(event_loop).errors, [""; 0]);
        assert_eq!(event_loop.connections(), 0);
    });
}

/// Law 2: the value of a socket that is freed while it is out is dropped when it comes back, not lost and not put into
/// another socket's slot.
#[test]
fn law_2_the_socket_may_go_while_its_data_is_out() {
    law(|event_loop| {
        let held = Rc::new(());
        let socket = Socket::new();
        socket.set_data(held.clone());
        let newcomer = socket.with_data(|_: &mut Rc<()>| {
            socket.release();
            Socket::new()
        });
        let newcomer = newcomer.expect("the value");
        assert!(newcomer.with_data(|_: &mut Rc<()>| ()).is_err());
        newcomer.release();
        event_loop.run().expect("no unhandled error");
        assert_eq!(Rc::strong_count(&held), 1);
        assert_eq!(event_loop.connections(), 0);
    });
}

/// Law 2: the hook for unhandled errors may give commands, too, and have an unhandled error of its own.
#[test]
fn law_2_the_hook_may_give_commands() {
    law(|event_loop| {
        let calls = Rc::new(RefCell::new(Vec::new()));
        let told = calls.clone();
        event_loop.on_unhandled_error(move |_, error| {
            told.borrow_mut().push(error.message().to_owned());
            if told.borrow().len() < 3 {
                Socket::new().destroy_with(format!("{} again", error.message()));
            }
            make_something_new("127.0.0.1:1".parse().expect("an address"));
            halfclose::Unhandled::Continue
        });
        Socket::new().destroy_with("failed");
        event_loop.run().expect("every error is handled by the hook");
        assert_eq!(*calls.borrow(), ["failed", "failed again", "failed again again"]);
        assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0));
    });
}

/// The list of places is a list of different places. That each is reached is asserted where they are visited.
#[test]
fn every_place_is_visited_once_in_the_list() {
    for (position, place) in PLACES.iter().enumerate() {
        assert!(!PLACES[..position].contains(place), "{place:?} twice");
        assert_ne!(*place, Place::Nowhere);
    }
}
