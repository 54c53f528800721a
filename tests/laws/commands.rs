//! Law 1: a command never delivers an event; it queues one. Every command is given to a socket in every state of its
//! life, and nothing may be delivered within the call. Law 4 is held by witnesses at the same time: whatever the command
//! was, the connection ends with one `close`, after at most one `error`, and every callback is called.
//!
//! May touch: the public API. Invariant: the one synchronous emission of the law (a reset that fails because a shutdown
//! is under way) is asserted to happen, so the test would notice if witnesses heard nothing.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, Server, ServerOptions, Socket, SocketEvent, SocketOptions};
use halfclose::{EventLoop, Unhandled, next_tick, set_immediate, set_interval, set_timeout};

use crate::support::port_of;
use crate::witness::{Witness, entered, give};
use crate::{after_turns, law};

/// A moment in the life of a client's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    ConnectCalled,
    InConnectionAttempt,
    AttemptUnderWay,
    InConnect,
    InReady,
    Open,
    InData,
    PausedWithBytes,
    WriteInFlight,
    InDrain,
    InWriteCallback,
    InTimeout,
    EndCalled,
    InEndCallback,
    InFinish,
    HalfClosed,
    InEnd,
    PeerEnded,
    Destroyed,
    DestroyedWithError,
    InError,
    InClose,
    Stale,
}

const STATES: [State; 24] = [
    State::New,
    State::ConnectCalled,
    State::InConnectionAttempt,
    State::AttemptUnderWay,
    State::InConnect,
    State::InReady,
    State::Open,
    State::InData,
    State::PausedWithBytes,
    State::WriteInFlight,
    State::InDrain,
    State::InWriteCallback,
    State::InTimeout,
    State::EndCalled,
    State::InEndCallback,
    State::InFinish,
    State::HalfClosed,
    State::InEnd,
    State::PeerEnded,
    State::Destroyed,
    State::DestroyedWithError,
    State::InError,
    State::InClose,
    State::Stale,
];

/// More than the kernel takes from a writer while nobody reads.
const MORE_THAN_THE_KERNEL_TAKES: usize = 20_000_000;

/// One connection, with a witness at each end.
#[derive(Clone)]
struct Scene {
    client: Socket,
    client_witness: Witness,
    server: Server,
    accepted: Rc<Cell<Option<Socket>>>,
    accepted_witness: Rc<RefCell<Option<Witness>>>,
}

type Command = (&'static str, fn(&Scene));

/// Every command of a socket, each of them giving witnessed callbacks where it takes one.
const COMMANDS: [Command; 42] = [
    ("write", |scene| {
        scene.client.write("bytes");
    }),
    ("write of nothing", |scene| {
        scene.client.write("");
    }),
    ("write_with", |scene| {
        scene.client.write_with("bytes", scene.client_witness.callback("write callback"));
    }),
    ("a long write", |scene| {
        scene.client.write_with(vec![1; 1_000_000], scene.client_witness.callback("write callback"));
    }),
    ("end", |scene| {
        scene.client.end();
    }),
    ("end_with", |scene| {
        scene.client.end_with(scene.client_witness.callback("end callback"));
    }),
    ("end_data", |scene| {
        scene.client.end_data("bytes");
    }),
    ("end_data_with", |scene| {
        scene.client.end_data_with("bytes", scene.client_witness.callback("end callback"));
    }),
    ("destroy", |scene| {
        scene.client.destroy();
    }),
    ("destroy_with", |scene| {
        scene.client.destroy_with("an error");
    }),
    ("destroy_soon", |scene| {
        scene.client.destroy_soon();
    }),
    ("reset_and_destroy", |scene| {
        scene.client.reset_and_destroy().expect("a TCP socket");
    }),
    ("pause", |scene| {
        scene.client.pause();
    }),
    ("resume", |scene| {
        scene.client.resume();
    }),
    ("pause and resume", |scene| {
        scene.client.pause().resume();
    }),
    ("set_timeout", |scene| {
        scene.client.set_timeout(Duration::from_nanos(1));
    }),
    ("set_timeout of zero", |scene| {
        scene.client.set_timeout(Duration::ZERO);
    }),
    ("set_timeout_with", |scene| {
        scene.client.set_timeout_with(Duration::from_nanos(1), |_| entered("timeout"));
    }),
    ("set_no_delay", |scene| {
        scene.client.set_no_delay(true);
    }),
    ("set_keep_alive", |scene| {
        scene.client.set_keep_alive(true, Duration::from_secs(1));
    }),
    ("set_allow_half_open", |scene| {
        scene.client.set_allow_half_open(false);
    }),
    ("ref_", |scene| {
        scene.client.ref_();
    }),
    ("unref", |scene| {
        scene.client.unref();
    }),
    ("set_data", |scene| {
        scene.client.set_data(1);
    }),
    ("with_data", |scene| {
        let _ = scene.client.with_data(|_: &mut u8| ());
    }),
    ("retain", |scene| {
        scene.client.retain();
    }),
    ("release", |scene| scene.client.release()),
    ("on_data", |scene| {
        scene.client.on_data(|_, _| entered("data"));
    }),
    ("once_data", |scene| {
        scene.client.once_data(|_, _| entered("data"));
    }),
    ("once_close", |scene| {
        scene.client.once_close(|_, _| entered("close"));
    }),
    ("off", |scene| {
        let _ = scene.client.off(scene.client.on_end(|_| entered("end")));
    }),
    ("remove_all_listeners of data", |scene| {
        scene.client.remove_all_listeners(Some(SocketEvent::Data));
    }),
    ("connect", |scene| {
        let _ = scene.client.connect(("127.0.0.1", scene.port()));
    }),
    ("connect_with", |scene| {
        let _ = scene.client.connect_with(("127.0.0.1", scene.port()), |_| entered("connect"));
    }),
    ("connect to nowhere", |scene| {
        let _ = scene.client.connect(ConnectOptions::new().host("127.0.0.1"));
    }),
    ("every question", ask_everything),
    ("a listener of every event", listen_to_everything),
    ("the peer's destroy", |scene| {
        let _ = scene.accepted.get().map(Socket::destroy);
    }),
    ("the peer's end", |scene| {
        let _ = scene.accepted.get().map(Socket::end);
    }),
    ("the peer's reset", |scene| {
        let _ = scene.accepted.get().map(Socket::reset_and_destroy);
    }),
    ("the peer's write", |scene| {
        let _ = scene.accepted.get().map(|accepted| accepted.write("bytes"));
    }),
    ("server.close_with", |scene| {
        scene.server.close_with(scene.client_witness.server_callback());
    }),
];

fn ask_everything(scene: &Scene) {
    let client = scene.client;
    let _ = (client.connecting(), client.pending(), client.destroyed(), client.closed(), client.readable());
    let _ = (client.writable(), client.readable_ended(), client.writable_ended(), client.writable_finished());
    let _ = (client.writable_need_drain(), client.is_paused(), client.readable_flowing(), client.allow_half_open());
    let _ = (client.ready_state(), client.errored(), client.bytes_read(), client.bytes_written());
    let _ = (client.buffer_size(), client.readable_length(), client.writable_length(), client.timeout());
    let _ = (client.readable_high_water_mark(), client.writable_high_water_mark(), client.server(), client.id().get());
    let _ = (client.remote_address(), client.remote_port(), client.remote_family(), client.peer_addr());
    let _ = (client.local_address(), client.local_port(), client.local_family(), client.address());
    let _ = client.listener_count(SocketEvent::Data);
}

fn listen_to_everything(scene: &Scene) {
    let client = scene.client;
    client.on_connection_attempt(|_, _| entered("connectionAttempt"));
    client.on_connection_attempt_failed(|_, _, _| entered("connectionAttemptFailed"));
    client.on_connect(|_| entered("connect"));
    client.on_ready(|_| entered("ready"));
    client.on_data(|_, _| entered("data"));
    client.on_end(|_| entered("end"));
    client.on_finish(|_| entered("finish"));
    client.on_drain(|_| entered("drain"));
    client.on_timeout(|_| entered("timeout"));
    client.on_error(|_, _| entered("error"));
    client.on_close(|_, _| entered("close"));
}

impl Scene {
    /// The server's port; any other once it closed.
    fn port(&self) -> u16 {
        self.server.address().map_or(1, |address| address.port())
    }

    /// Ends what is left of the scene.
    fn clean_up(&self) {
        self.client.destroy();
        self.client.release();
        if let Some(accepted) = self.accepted.get() {
            accepted.destroy();
        }
        if self.server.listening() {
            self.server.close();
        }
    }
}

/// Brings a new connection into `state`, calls `then` there, and cleans up some turns later.
fn play(event_loop: &mut EventLoop, state: State, then: impl FnOnce(&Scene) + 'static) -> Scene {
    let server = Server::with_options(ServerOptions::new().allow_half_open(true));
    let (accepted, accepted_witness) = (Rc::new(Cell::new(None)), Rc::new(RefCell::new(None)));
    let (place, witness_place) = (accepted.clone(), accepted_witness.clone());
    // The accepting end reads, except where the client's writes are to pile up.
    let reads = !matches!(state, State::WriteInFlight);
    server.on_connection(move |_, socket| {
        entered("connection");
        // A client that connects again is another connection: the first one is witnessed.
        if place.get().is_some() {
            socket.on_error(|_, _| ());
            socket.destroy();
            return;
        }
        let witness = Witness::of("the accepted socket", socket);
        *witness_place.borrow_mut() = Some(if reads { witness.with_data(socket) } else { witness });
        place.set(Some(socket));
        prepare_accepted(state, socket);
    });
    let client = Socket::with_options(SocketOptions::new().allow_half_open(true));
    let client_witness = Witness::of("the client", client);
    let scene = Scene { client, client_witness, server, accepted, accepted_witness };
    let played = scene.clone();
    let at_the_moment = move || {
        let cleaning = played.clone();
        // Enough turns for a command to lead to everything that it leads to by itself.
        after_turns(12, move || cleaning.clean_up());
        then(&played);
    };
    let starting = scene.clone();
    server.once_listening(move |_| start(state, &starting, at_the_moment));
    server.listen(("127.0.0.1", 0)).expect("listen");
    // A client that was unreferenced or stopped reading must not end the run before its peer noticed.
    let interruptions = crate::run_to_the_end(event_loop);
    assert_eq!(interruptions, crate::Interruptions::default(), "{state:?}");
    server.release();
    scene
}

/// What the accepting end does in a state.
fn prepare_accepted(state: State, socket: Socket) {
    match state {
        State::InData | State::PausedWithBytes => {
            socket.write("some bytes");
        }
        State::InEnd | State::PeerEnded => {
            socket.end();
        }
        State::New
        | State::ConnectCalled
        | State::InConnectionAttempt
        | State::AttemptUnderWay
        | State::InConnect
        | State::InReady
        | State::Open
        | State::WriteInFlight
        | State::InDrain
        | State::InWriteCallback
        | State::InTimeout
        | State::EndCalled
        | State::InEndCallback
        | State::InFinish
        | State::HalfClosed
        | State::Destroyed
        | State::DestroyedWithError
        | State::InError
        | State::InClose
        | State::Stale => {}
    }
}

/// Calls `then` once the client is in `state`.
fn start(state: State, scene: &Scene, then: impl FnOnce() + 'static) {
    let client = scene.client;
    let address = ("127.0.0.1", port_of(scene.server));
    let connect = || {
        client.connect(address).expect("connect");
    };
    match state {
        State::New => then(),
        State::ConnectCalled => {
            connect();
            then();
        }
        State::InConnectionAttempt => {
            client.once_connection_attempt(move |_, _| then());
            connect();
        }
        State::AttemptUnderWay => {
            client.once_connection_attempt(move |_, _| next_tick(then));
            connect();
        }
        State::InConnect => {
            client.once_connect(move |_| then());
            connect();
        }
        State::InReady => {
            client.once_ready(move |_| then());
            connect();
        }
        State::Open => {
            client.once_ready(move |_| after_turns(3, then));
            connect();
        }
        State::InData => {
            client.once_data(move |_, _| then());
            connect();
        }
        State::PausedWithBytes => {
            client.once_ready(move |client| {
                client.on_data(|_, _| entered("data"));
                client.pause();
                after_turns(3, move || {
                    assert!(client.readable_length() > 0, "bytes were read ahead");
                    then();
                });
            });
            connect();
        }
        State::WriteInFlight => {
            let written = scene.client_witness.callback("write callback");
            client.once_ready(move |client| {
                client.write_with(vec![1; MORE_THAN_THE_KERNEL_TAKES], written);
                set_immediate(move || {
                    assert!(client.writable_length() > 0, "the kernel takes too much");
                    then();
                });
            });
            connect();
        }
        State::InDrain => {
            client.once_ready(|client| {
                client.write(vec![1; MORE_THAN_THE_KERNEL_TAKES]);
            });
            client.once_drain(move |_| then());
            connect();
        }
        State::InWriteCallback => {
            client.once_ready(move |client| {
                client.write_with("bytes", move |_, _| then());
            });
            connect();
        }
        State::InTimeout => {
            client.set_timeout_with(Duration::from_millis(1), move |_| then());
            client.once_ready(|client| {
                client.set_timeout(Duration::from_millis(1));
            });
            connect();
        }
        State::EndCalled => {
            client.once_ready(move |client| {
                client.end();
                then();
            });
            connect();
        }
        State::InEndCallback => {
            client.once_ready(move |client| {
                client.end_with(move |_, _| then());
            });
            connect();
        }
        State::InFinish => {
            client.once_finish(move |_| then());
            client.once_ready(|client| {
                client.end();
            });
            connect();
        }
        State::HalfClosed => {
            client.once_finish(move |_| after_turns(2, then));
            client.once_ready(|client| {
                client.end();
            });
            connect();
        }
        State::InEnd => {
            client.once_end(move |_| then());
            connect();
        }
        State::PeerEnded => {
            client.once_end(move |_| after_turns(2, then));
            connect();
        }
        State::Destroyed => {
            client.once_ready(move |client| {
                client.destroy();
                then();
            });
            connect();
        }
        State::DestroyedWithError => {
            client.once_ready(move |client| {
                client.destroy_with("the first error");
                then();
            });
            connect();
        }
        State::InError => {
            client.once_error(move |_, _| then());
            client.once_ready(|client| {
                client.destroy_with("the first error");
            });
            connect();
        }
        State::InClose => {
            client.once_close(move |_, _| then());
            client.once_ready(|client| {
                client.destroy();
            });
            connect();
        }
        State::Stale => {
            client.once_close(move |_, _| after_turns(1, then));
            client.once_ready(|client| {
                client.destroy();
            });
            connect();
        }
    }
}

/// Law 1: nothing is delivered within a command, whichever it is and whenever it is given. The exception is Node's: a
/// reset while a shutdown is under way fails, and says so within the call.
#[test]
fn law_1_no_command_delivers_within_its_call() {
    law(|event_loop| {
        // A scene's client has an `error` listener, but a connection that nobody witnesses may fail, too.
        event_loop.on_unhandled_error(|_, _| Unhandled::Continue);
        for state in STATES {
            for (name, command) in COMMANDS {
                let delivered = Rc::new(RefCell::new(None));
                let seen = delivered.clone();
                let scene = play(event_loop, state, move |scene| {
                    let ((), within) = give(name, || command(scene));
                    *seen.borrow_mut() = Some(within);
                });
                let within = delivered.take().unwrap_or_else(|| panic!("{state:?} was never reached"));
                if (state, name) == (State::EndCalled, "reset_and_destroy") {
                    assert_eq!(within, ["error within reset_and_destroy"]);
                } else {
                    assert!(within.is_empty(), "{state:?}: {within:?}");
                }
                assert_sound(event_loop, state, name, &scene);
            }
        }
    });
}

/// Law 4, whatever the command was.
#[track_caller]
fn assert_sound(event_loop: &EventLoop, state: State, command: &'static str, scene: &Scene) {
    let context = (state, command);
    assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0), "{context:?}: slots that were not freed");
    assert_eq!(event_loop.timers(), 0, "{context:?}: timers that were not freed");
    // Connecting again begins another life of the same socket, and a socket that is released before it ever had a
    // connection has none to close.
    let reconnects = command.starts_with("connect") && scene.client_witness.closes() != 1;
    let released = command == "release" && state == State::New;
    if !reconnects && !released {
        scene.client_witness.assert_over(&context);
    }
    if let Some(witness) = &*scene.accepted_witness.borrow() {
        witness.assert_over(&context);
    }
}

/// Law 1: the same outside of `run()`, where there is no callback to come after.
#[test]
fn law_1_nothing_is_delivered_before_the_loop_runs() {
    law(|event_loop| {
        let refused = Socket::new();
        let refused_witness = Witness::of("refused", refused);
        let server = Server::new();
        server.on_listening(|server| {
            entered("listening");
            server.close();
        });
        server.on_close(|_| entered("close"));
        let written = refused_witness.callback("write callback");
        let ((), within) = give("commands outside of the loop", move || {
            refused.write_with("bytes", written);
            server.listen(0).expect("listen");
            server.ref_().unref().ref_();
            next_tick(|| entered("tick"));
            set_immediate(|| entered("immediate"));
            let timer = set_timeout(Duration::ZERO, || entered("timer"));
            timer.refresh().unref().ref_();
            let interval = set_interval(Duration::ZERO, || entered("interval"));
            interval.clear();
        });
        assert_eq!(within, [""; 0]);
        let posted = event_loop.handle().post(|| entered("post"));
        assert!(posted.is_ok());
        event_loop.run().expect("no unhandled error");
        refused_witness.assert_over(&"outside of the loop");
        assert_eq!(refused_witness.errors(), 1);
        server.release();
    });
}

/// Law 1: what a server's commands queue comes later, in each of its states.
#[test]
fn law_1_no_command_of_a_server_delivers_within_its_call() {
    law(|event_loop| {
        type ServerCommand = (&'static str, fn(Server));
        let commands: [ServerCommand; 9] = [
            ("listen", |server| {
                let _ = server.listen(0);
            }),
            ("listen to a host", |server| {
                let _ = server.listen(("127.0.0.1", 0));
            }),
            ("listen_with", |server| {
                let _ = server.listen_with(0, |_| entered("listening"));
            }),
            ("close", |server| {
                server.close();
            }),
            ("close twice", |server| {
                server.close().close();
            }),
            ("close_with", |server| {
                server.close_with(|_, _| entered("close callback"));
            }),
            ("close and listen", |server| {
                let _ = server.close().listen(0);
            }),
            ("release", Server::release),
            ("address", |server| {
                let _ = (server.address(), server.listening(), server.connections());
            }),
        ];
        for state in ["new", "listening soon", "in listening", "in connection", "closing", "closed", "stale"] {
            for (name, command) in commands {
                let server = Server::new();
                server.on_listening(|_| entered("listening"));
                server.on_connection(|_, _| entered("connection"));
                server.on_error(|_, _| entered("error"));
                server.on_close(|_| entered("close"));
                let reached = Rc::new(Cell::new(false));
                let seen = reached.clone();
                let act = move || {
                    seen.set(true);
                    let ((), within) = give(name, || command(server));
                    assert!(within.is_empty(), "{state}: {within:?}");
                    after_turns(4, move || server.release());
                };
                bring_server_into(state, server, act);
                event_loop.run().expect("no unhandled error");
                assert!(reached.get(), "{state} was never reached");
                assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0), "{state}, {name}");
            }
        }
    });
}

fn bring_server_into(state: &'static str, server: Server, act: impl FnOnce() + 'static) {
    let listen = || {
        server.listen(("127.0.0.1", 0)).expect("listen");
    };
    let connect = |server| {
        net::connect(("127.0.0.1", port_of(server))).expect("connect");
    };
    match state {
        "new" => act(),
        "listening soon" => {
            listen();
            act();
        }
        "in listening" => {
            server.once_listening(move |_| act());
            listen();
        }
        "in connection" => {
            server.once_listening(connect);
            server.once_connection(move |_, socket| {
                act();
                socket.end();
            });
            listen();
        }
        "closing" => {
            server.once_listening(connect);
            server.once_connection(move |server, socket| {
                server.close();
                act();
                after_turns(2, move || {
                    socket.destroy();
                });
            });
            listen();
        }
        "closed" => {
            server.once_close(move |_| after_turns(1, act));
            server.once_listening(|server| {
                server.close();
            });
            listen();
        }
        "stale" => {
            server.release();
            set_immediate(act);
        }
        other => unreachable!("no state {other}"),
    }
}
