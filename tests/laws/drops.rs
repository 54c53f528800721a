//! Law 2 for destructors: whatever users gave the library is dropped with nothing borrowed, exactly once, as soon as
//! nothing needs it. A destructor may give every command, also when the loop or the thread is ending.
//!
//! May touch: the public API. Invariant: a destructor that runs under a borrow panics, and where the loop is ending that
//! aborts the process; either fails the test.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::catch_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, Server, ServerEvent, Socket, SocketEvent, SocketId};
use halfclose::{Error, EventLoop, Unhandled, next_tick, set_immediate, set_interval, set_timeout};

use crate::conversation::Subject;
use crate::meddling::{make_something_new, use_up};
use crate::support::{Log, panic_text, port_of};
use crate::{after_turns, law, law_without_loop};

/// What the destructors of a test tell.
#[derive(Default)]
struct Ledger {
    drops: AtomicUsize,
    /// The loop is being dropped: handles are inert from now on.
    ending: AtomicBool,
    /// Destructors that found a loop all the same.
    found_a_loop: AtomicUsize,
}

impl Ledger {
    fn drops(&self) -> usize {
        self.drops.load(Ordering::Relaxed)
    }

    #[track_caller]
    fn assert_ended(&self, held: usize) {
        assert_eq!(self.drops(), held);
        assert_eq!(self.found_a_loop.load(Ordering::Relaxed), 0, "destructors that found the loop that is ending");
    }
}

/// A value whose destructor uses the library, and counts.
struct Meddler {
    ledger: Arc<Ledger>,
    /// A socket of this value's own, which it uses up.
    own: SocketId,
}

impl Meddler {
    fn new(ledger: &Arc<Ledger>) -> Meddler {
        Meddler { ledger: ledger.clone(), own: Socket::new().id() }
    }

    /// Is captured by the closure that calls it.
    fn stay(&self) {}
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.ledger.drops.fetch_add(1, Ordering::Relaxed);
        if let Some(socket) = self.own.get() {
            use_up(Subject::Socket(socket));
        }
        // Without a loop there is nothing to make anything with.
        if halfclose::position().is_some() {
            let wrong = usize::from(self.ledger.ending.load(Ordering::Relaxed));
            self.ledger.found_a_loop.fetch_add(wrong, Ordering::Relaxed);
            make_something_new("127.0.0.1:1".parse().expect("an address"));
        }
    }
}

impl fmt::Debug for Meddler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Meddler")
    }
}

impl fmt::Display for Meddler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an error of the user's own")
    }
}

impl std::error::Error for Meddler {}

impl From<Meddler> for Error {
    fn from(meddler: Meddler) -> Error {
        let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(meddler);
        Error::from(boxed)
    }
}

/// A way in which a value comes to the library and leaves it again.
type Way = (&'static str, fn(&mut EventLoop, Meddler));

const WAYS: [Way; 40] = [
    ("a listener that is removed", |_, meddler| {
        let socket = Socket::new();
        let listener = socket.on_end(move |_| meddler.stay());
        assert!(socket.off(listener));
        set_immediate(move || socket.release());
    }),
    ("a listener that is removed in a callback", |_, meddler| {
        let socket = Socket::new();
        let listener = socket.on_end(move |_| meddler.stay());
        set_immediate(move || {
            assert!(socket.off(listener));
            after_turns(1, move || socket.release());
        });
    }),
    ("a listener that removes itself", |_, meddler| {
        let (socket, own) = (Socket::new(), Rc::new(Cell::new(None)));
        let listener = own.clone();
        own.set(Some(socket.on_close(move |socket, _| {
            meddler.stay();
            assert!(socket.off(listener.take().expect("its own listener")));
        })));
        socket.destroy();
    }),
    ("listeners that are all removed", |_, meddler| {
        let socket = Socket::new();
        socket.on_end(move |_| meddler.stay());
        socket.remove_all_listeners(Some(SocketEvent::End));
        set_immediate(move || socket.release());
    }),
    ("a listener that removes all", |_, meddler| {
        let socket = Socket::new();
        socket.on_close(move |socket, _| {
            meddler.stay();
            socket.remove_all_listeners(None);
        });
        socket.destroy();
    }),
    ("a one-shot listener", |_, meddler| {
        let socket = Socket::new();
        socket.once_close(move |_, _| meddler.stay());
        socket.destroy();
    }),
    ("a one-shot listener that is never called", |_, meddler| {
        let socket = Socket::new();
        socket.once_connect(move |_| meddler.stay());
        socket.destroy();
    }),
    ("a listener of a socket that closes", |_, meddler| {
        let socket = Socket::new();
        socket.on_end(move |_| meddler.stay());
        socket.destroy();
    }),
    ("a listener of a socket that is released", |_, meddler| {
        let socket = Socket::new();
        socket.on_end(move |_| meddler.stay());
        socket.release();
    }),
    ("a listener for a stale socket", |_, meddler| {
        let socket = Socket::new();
        socket.release();
        socket.on_end(move |_| meddler.stay());
    }),
    ("a one-shot listener for a stale socket", |_, meddler| {
        let socket = Socket::new();
        socket.release();
        socket.once_data(move |_, _| meddler.stay());
    }),
    ("an idle timeout's listener for a stale socket", |_, meddler| {
        let socket = Socket::new();
        socket.release();
        socket.set_timeout_with(Duration::from_millis(1), move |_| meddler.stay());
    }),
    ("an idle timeout's listener that is not wanted", |_, meddler| {
        let socket = Socket::new();
        socket.set_timeout_with(Duration::ZERO, move |_| meddler.stay());
        socket.release();
    }),
    ("a connect listener that is refused", |_, meddler| {
        let socket = Socket::new();
        assert!(socket.connect_with(ConnectOptions::new(), move |_| meddler.stay()).is_err());
        set_immediate(move || socket.release());
    }),
    ("a connect listener of a stale socket", |_, meddler| {
        let socket = Socket::new();
        socket.release();
        assert!(socket.connect_with(("127.0.0.1", 1), move |_| meddler.stay()).is_err());
    }),
    ("the callback of a write that fails", |_, meddler| {
        Socket::new().write_with("bytes", move |_, result| {
            assert!(result.is_err());
            meddler.stay();
        });
    }),
    ("the callback of a write to a stale socket", |_, meddler| {
        let socket = Socket::new();
        socket.release();
        socket.write_with("bytes", move |_, _| meddler.stay());
    }),
    ("the callback of a write that waits when its socket is destroyed", |_, meddler| {
        let socket = net::connect(("127.0.0.1", 1)).expect("connect");
        socket.write_with("bytes", move |_, _| meddler.stay());
        socket.destroy();
    }),
    ("the callback of an end", |_, meddler| {
        let socket = Socket::new();
        socket.end_with(move |_, _| meddler.stay());
        set_immediate(move || socket.release());
    }),
    ("the callback of an end of a stale socket", |_, meddler| {
        let socket = Socket::new();
        socket.release();
        socket.end_data_with("bytes", move |_, _| meddler.stay());
    }),
    ("a timer", |_, meddler| {
        set_timeout(Duration::ZERO, move || meddler.stay());
    }),
    ("a timer that is cleared", |_, meddler| {
        let timer = set_timeout(Duration::from_secs(3600), move || meddler.stay());
        set_immediate(move || timer.clear());
    }),
    ("a timer that is cleared outside of the loop", |_, meddler| {
        set_timeout(Duration::from_secs(3600), move || meddler.stay()).clear();
    }),
    ("an interval that clears itself", |_, meddler| {
        let own = Rc::new(Cell::new(None::<halfclose::Timer>));
        let timer = own.clone();
        own.set(Some(set_interval(Duration::ZERO, move || {
            meddler.stay();
            timer.take().expect("its own timer").clear();
        })));
    }),
    ("an immediate", |_, meddler| {
        set_immediate(move || meddler.stay());
    }),
    ("an immediate that is cleared", |_, meddler| set_immediate(move || meddler.stay()).clear()),
    ("a tick", |_, meddler| next_tick(move || meddler.stay())),
    ("a post", |event_loop, meddler| {
        assert!(event_loop.handle().post(move || meddler.stay()).is_ok());
    }),
    ("data that is replaced", |_, meddler| {
        let socket = Socket::new();
        socket.set_data(meddler).set_data(1);
        set_immediate(move || socket.release());
    }),
    ("data that is replaced while it is out", |_, meddler| {
        let socket = Socket::new();
        socket.set_data(meddler);
        let replaced = socket.with_data(|meddler: &mut Meddler| {
            meddler.stay();
            socket.set_data(1);
        });
        assert!(replaced.is_ok());
        set_immediate(move || socket.release());
    }),
    ("data of a socket that closes", |_, meddler| {
        Socket::new().set_data(meddler).destroy();
    }),
    ("data for a stale socket", |_, meddler| {
        let socket = Socket::new();
        socket.release();
        socket.set_data(meddler);
    }),
    ("an error that is emitted", |_, meddler| {
        Socket::new().destroy_with(meddler);
    }),
    ("an error that comes too late", |_, meddler| {
        Socket::new().destroy().destroy_with(meddler);
    }),
    ("an error that comes too late, in a callback", |_, meddler| {
        let socket = Socket::new().destroy_with("the first one");
        next_tick(move || {
            socket.destroy_with(meddler);
        });
    }),
    ("an error for a stale socket", |_, meddler| {
        let socket = Socket::new();
        socket.release();
        socket.destroy_with(meddler);
    }),
    ("the error of a retained socket that connects again", |_, meddler| {
        let socket = Socket::new().retain().destroy_with(meddler);
        after_turns(2, move || {
            socket.connect(("127.0.0.1", 1)).expect("connect again");
            socket.destroy();
            socket.release();
        });
    }),
    ("the callback of a server's close", |_, meddler| {
        let server = Server::new();
        server.close_with(move |server, _| {
            meddler.stay();
            server.release();
        });
    }),
    ("a listener of a server that is released", |_, meddler| {
        let server = Server::new();
        server.on_connection(move |_, _| meddler.stay());
        server.release();
    }),
    ("a hook that is replaced", |event_loop, meddler| {
        event_loop.on_unhandled_error(move |_, _| {
            meddler.stay();
            Unhandled::Continue
        });
        event_loop.on_unhandled_error(|_, _| Unhandled::Continue);
    }),
];

/// Law 2: in every way, the value is dropped once, by the time the loop has nothing to do any more.
#[test]
fn law_2_destructors_run_with_nothing_borrowed() {
    law_without_loop(|| {
        let failures: Vec<String> = WAYS.iter().filter_map(|way| fails(*way)).collect();
        assert!(failures.is_empty(), "{failures:#?}");
    });
}

/// What goes wrong in one way, in a loop of its own.
fn fails((way, go): Way) -> Option<String> {
    let ledger = Arc::new(Ledger::default());
    let outcome = catch_unwind(|| {
        let mut event_loop = EventLoop::new().expect("a loop");
        event_loop.on_unhandled_error(|_, _| Unhandled::Continue);
        let meddler = Meddler::new(&ledger);
        go(&mut event_loop, meddler);
        event_loop.run().expect("the hook takes every error");
        // Before the loop's own end, which would drop what was forgotten.
        (ledger.drops(), event_loop.connections(), event_loop.servers(), event_loop.timers())
    });
    match outcome {
        Ok((1, 0, 0, 0)) => None,
        Ok((drops, connections, servers, timers)) => {
            Some(format!("{way}: {drops} drops; {connections} sockets, {servers} servers, {timers} timers left"))
        }
        Err(panic) => Some(format!("{way}: {}", panic_text(&*panic))),
    }
}

/// Law 2: the same while a callback runs, so that a drop that is made within the command would be seen: what the loop
/// owned goes to the graveyard, which is emptied before the ticks.
#[test]
fn law_2_the_graveyard_is_emptied_before_the_ticks() {
    struct Tells(Log);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.add("L", "dropped");
        }
    }
    law(|event_loop| {
        let log = Log::new();
        let (socket, captured) = (Socket::new(), Tells(log));
        let listener = socket.on_end(move |_| {
            let _ = &captured;
        });
        socket.set_data(Tells(log));
        set_immediate(move || {
            next_tick(move || log.add("L", "tick"));
            socket.off(listener);
            socket.set_data(());
            log.add("L", "commands");
        });
        event_loop.run().expect("no unhandled error");
        assert_eq!(log.texts_of("L"), ["commands", "dropped", "dropped", "tick"]);
        socket.release();
    });
}

/// Law 2: everything that a connection's listeners hold is dropped with its slot, right after `close`, not later.
#[test]
fn law_2_what_a_connection_holds_is_dropped_after_its_close() {
    law(|event_loop| {
        let (ledger, log) = (Arc::new(Ledger::default()), Log::new());
        let expected = Rc::new(Cell::new(0));
        let (counted, count) = (ledger.clone(), expected.clone());
        let hold_everywhere = move |socket: Socket| {
            let meddler = || {
                count.set(count.get() + 1);
                Meddler::new(&counted)
            };
            let own = meddler();
            socket.on_connection_attempt(move |_, _| own.stay());
            let own = meddler();
            socket.on_connection_attempt_failed(move |_, _, _| own.stay());
            let own = meddler();
            socket.on_data(move |_, _| own.stay());
            let own = meddler();
            socket.on_error(move |_, _| own.stay());
            let own = meddler();
            socket.on_close(move |_, _| own.stay());
            for listen in [Socket::on_connect, Socket::on_ready, Socket::on_end, Socket::on_finish, Socket::on_drain] {
                let own = meddler();
                listen(socket, Box::new(move |_| own.stay()) as Box<dyn FnMut(Socket)>);
            }
            let own = meddler();
            socket.on_timeout(move |_| own.stay());
            socket.set_data(meddler());
        };
        let (hold_accepted, seen) = (hold_everywhere.clone(), ledger.clone());
        let server = net::create_server(move |accepted| {
            hold_accepted(accepted);
            let seen = seen.clone();
            accepted.on_close(move |accepted, _| {
                accepted.server().expect("the accepting server").release();
                let seen = seen.clone();
                next_tick(move || log.add("S", format!("{} dropped", seen.drops())));
            });
        });
        server.once_listening(move |server| {
            let client = net::connect(("127.0.0.1", port_of(server))).expect("connect");
            hold_everywhere(client);
            client.end_data("bytes");
        });
        server.listen(("127.0.0.1", 0)).expect("listen");
        event_loop.on_unhandled_error(|_, _| Unhandled::Continue);
        event_loop.run().expect("the hook takes every error");
        // Twelve of each; the client's `close` comes first or second, so the accepted socket's tick sees its own at least.
        assert_eq!(expected.get(), 24);
        assert_eq!(ledger.drops(), 24);
        assert!(["12 dropped", "24 dropped"].contains(&log.texts_of("S").join("").as_str()), "{}", log.whole());
        assert_eq!((event_loop.connections(), event_loop.servers()), (0, 0));
    });
}

/// Everything that a loop can hold, and is never run.
fn fill(event_loop: &mut EventLoop, ledger: &Arc<Ledger>) -> usize {
    let meddler = || Meddler::new(ledger);
    let (socket, server) = (Socket::new(), Server::new());
    let own = meddler();
    socket.on_close(move |_, _| own.stay());
    let own = meddler();
    socket.once_error(move |_, _| own.stay());
    socket.set_data(meddler());
    let own = meddler();
    server.on_connection(move |_, _| own.stay());
    let own = meddler();
    server.listen_with(0, move |_| own.stay()).expect("listen");
    let connecting = net::connect(("127.0.0.1", port_of(server))).expect("connect");
    let own = meddler();
    connecting.write_with("bytes", move |_, _| own.stay());
    let own = meddler();
    connecting.end_with(move |_, _| own.stay());
    let own = meddler();
    set_timeout(Duration::from_secs(3600), move || own.stay());
    let own = meddler();
    set_immediate(move || own.stay());
    let own = meddler();
    next_tick(move || own.stay());
    let own = meddler();
    assert!(event_loop.handle().post(move || own.stay()).is_ok());
    Socket::new().destroy_with(meddler());
    let removed = meddler();
    assert!(socket.off(socket.on_end(move |_| removed.stay())));
    let own = meddler();
    event_loop.on_unhandled_error(move |_, _| {
        own.stay();
        Unhandled::Continue
    });
    server.remove_all_listeners(Some(ServerEvent::Close));
    14
}

/// Law 2: the end of the loop drops everything, with all handles inert.
#[test]
fn law_2_destructors_at_the_end_of_the_loop() {
    law_without_loop(|| {
        let ledger = Arc::new(Ledger::default());
        let mut event_loop = EventLoop::new().expect("a loop");
        let held = fill(&mut event_loop, &ledger);
        let handle = event_loop.handle();
        ledger.ending.store(true, Ordering::Relaxed);
        drop(event_loop);
        ledger.assert_ended(held);
        // What is posted to a loop that is gone comes back.
        let own = Meddler { ledger: ledger.clone(), own: other_loops_socket() };
        let refused = handle.post(move || own.stay());
        ledger.assert_ended(held);
        drop(refused);
        ledger.assert_ended(held + 1);
    });
}

/// The name of a socket whose loop is gone.
fn other_loops_socket() -> SocketId {
    let _event_loop = EventLoop::new().expect("a loop");
    Socket::new().id()
}

/// Law 2: the end of a thread, whose thread-local values are destroyed in an order that nobody chooses: a loop that a
/// thread-local owns, before or after one that owns a handle of it.
#[test]
fn law_2_destructors_at_the_end_of_the_thread() {
    /// Uses its socket when the thread ends, whether or not the loop is still there.
    struct AtTheEnd(Cell<Option<Socket>>);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            use_up(Subject::Socket(self.0.get().expect("it was set")));
        }
    }
    thread_local! {
        static FIRST: AtTheEnd = const { AtTheEnd(Cell::new(None)) };
        static OWNER: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
        static LAST: AtTheEnd = const { AtTheEnd(Cell::new(None)) };
    }
    law_without_loop(|| {
        let ledger = Arc::new(Ledger::default());
        let counted = ledger.clone();
        let held = std::thread::spawn(move || {
            // Destructors are registered at the first use, and run in one order or the other.
            FIRST.with(|first| first.0.set(None));
            OWNER.with_borrow_mut(|owner| *owner = Some(EventLoop::new().expect("a loop")));
            LAST.with(|last| last.0.set(Some(Socket::new())));
            FIRST.with(|first| first.0.set(Some(Socket::new())));
            let held = OWNER.with_borrow_mut(|owner| fill(owner.as_mut().expect("the loop"), &counted));
            counted.ending.store(true, Ordering::Relaxed);
            held
        });
        ledger.assert_ended(held.join().expect("no panic"));
    });
}

/// A value whose destructor makes the thread's next loop, and says whether it could.
struct MakesALoop(Rc<Cell<Option<bool>>>);

impl MakesALoop {
    fn stay(&self) {}
}

impl Drop for MakesALoop {
    fn drop(&mut self) {
        let made = std::panic::catch_unwind(|| EventLoop::new().map(drop).is_ok());
        self.0.set(Some(made.unwrap_or(false)));
    }
}

/// Law 2: when the last destructors of a loop run, the thread has no loop any more, so they may make one.
#[test]
fn law_2_a_destructor_at_the_end_of_the_loop_may_make_the_next() {
    law_without_loop(|| {
        let made = Rc::new(Cell::new(None));
        let event_loop = EventLoop::new().expect("a loop");
        let own = MakesALoop(made.clone());
        Socket::new().on_close(move |_, _| own.stay());
        drop(event_loop);
        assert_eq!(made.get(), Some(true));
    });
}

/// Law 2: what is refused because there is no loop is dropped with nothing borrowed, too.
#[test]
fn law_2_a_destructor_without_a_loop_may_make_one() {
    law_without_loop(|| {
        let (socket, server) = {
            let _event_loop = EventLoop::new().expect("a loop");
            (Socket::new(), Server::new())
        };
        type Refused = (&'static str, fn(Socket, Server, MakesALoop));
        let ways: [Refused; 8] = [
            ("on_end", |socket, _, own| {
                socket.on_end(move |_| own.stay());
            }),
            ("once_end", |socket, _, own| {
                socket.once_end(move |_| own.stay());
            }),
            ("write_with", |socket, _, own| {
                socket.write_with("bytes", move |_, _| own.stay());
            }),
            ("end_with", |socket, _, own| {
                socket.end_with(move |_, _| own.stay());
            }),
            ("set_data", |socket, _, own| {
                socket.set_data(own);
            }),
            ("connect_with", |socket, _, own| {
                let _ = socket.connect_with(1, move |_| own.stay());
            }),
            ("close_with", |_, server, own| {
                server.close_with(move |_, _| own.stay());
            }),
            ("listen_with", |_, server, own| {
                let _ = server.listen_with(1, move |_| own.stay());
            }),
        ];
        let mut failures = Vec::new();
        for (name, refuse) in ways {
            let made = Rc::new(Cell::new(None));
            refuse(socket, server, MakesALoop(made.clone()));
            failures.extend((made.get() != Some(true)).then_some(name));
        }
        assert_eq!(failures, [""; 0]);
    });
}
