//! A witness of one socket's life: it hears every event and objects to what law 4 forbids and to what law 1 forbids.
//!
//! May touch: the public API. Invariant: a witness only listens; its `data` listener starts the flow, as anyone's does.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use halfclose::Error;
use halfclose::net::{Server, Socket};

thread_local! {
    /// The command that is being given right now.
    static COMMAND: Cell<Option<&'static str>> = const { Cell::new(None) };
    /// What was delivered within a command.
    static WITHIN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Gives a command, and returns its result and what was delivered within the call (law 1: nothing).
pub(crate) fn give<R>(command: &'static str, call: impl FnOnce() -> R) -> (R, Vec<String>) {
    let outer = COMMAND.replace(Some(command));
    let already = WITHIN.take();
    let result = call();
    COMMAND.set(outer);
    (result, WITHIN.replace(already))
}

/// User code was entered: a listener or callback of this name.
pub(crate) fn entered(what: &str) {
    if let Some(command) = COMMAND.get() {
        WITHIN.with_borrow_mut(|within| within.push(format!("{what} within {command}")));
    }
}

/// What happened to one socket so far.
#[derive(Clone)]
pub(crate) struct Witness {
    life: Rc<Life>,
}

struct Life {
    name: String,
    connects: Cell<u32>,
    ends: Cell<u32>,
    finishes: Cell<u32>,
    errors: Cell<u32>,
    closes: Cell<u32>,
    /// Callbacks that were given and not called yet.
    owed: Cell<u32>,
    received: RefCell<Vec<u8>>,
    keeps_bytes: Cell<bool>,
    objections: RefCell<Vec<String>>,
}

impl Witness {
    /// Listens to everything about `socket` but `data`.
    pub(crate) fn of(name: &str, socket: Socket) -> Witness {
        let life = Rc::new(Life {
            name: name.to_owned(),
            connects: Cell::new(0),
            ends: Cell::new(0),
            finishes: Cell::new(0),
            errors: Cell::new(0),
            closes: Cell::new(0),
            owed: Cell::new(0),
            received: RefCell::default(),
            keeps_bytes: Cell::new(false),
            objections: RefCell::default(),
        });
        let witness = Witness { life };
        let plain = |what: &'static str, dead_is_fine: bool, count: fn(&Life) -> &Cell<u32>| {
            let witness = witness.clone();
            move |socket: Socket| witness.happened(what, socket, dead_is_fine, count)
        };
        socket.on_connect(plain("connect", false, |life| &life.connects));
        // Rule L39: `ready` comes also when a `connect` listener destroyed the socket.
        socket.on_ready(plain("ready", true, |life| &life.connects));
        socket.on_end(plain("end", false, |life| &life.ends));
        // An `end` callback may destroy the socket; `finish` follows it in the same stack, as in Node.
        socket.on_finish(plain("finish", true, |life| &life.finishes));
        socket.on_drain(plain("drain", false, |life| &life.connects));
        socket.on_timeout(plain("timeout", false, |life| &life.connects));
        let own = witness.clone();
        socket.on_connection_attempt(move |socket, _| own.check("connectionAttempt", socket, false));
        let own = witness.clone();
        socket.on_connection_attempt_failed(move |socket, _, _| own.check("connectionAttemptFailed", socket, false));
        let own = witness.clone();
        socket.on_error(move |socket, _| {
            own.check("error", socket, true);
            own.object_if(own.life.errors.get() > 0, "a second error");
            increment(&own.life.errors);
        });
        let own = witness.clone();
        socket.on_close(move |socket, had_error| {
            entered("close");
            own.object_if(!socket.destroyed(), "close of a living socket");
            own.object_if(own.life.closes.get() > 0, "a second close");
            own.object_if(had_error && own.life.errors.get() == 0, "close(true) without an error");
            increment(&own.life.closes);
        });
        witness
    }

    /// Listens to `data`, too, and keeps the bytes.
    pub(crate) fn with_data(self, socket: Socket) -> Witness {
        let own = self.clone();
        self.life.keeps_bytes.set(true);
        socket.on_data(move |socket, bytes| {
            own.check("data", socket, false);
            own.object_if(own.life.ends.get() > 0, "data after end");
            own.life.received.borrow_mut().extend_from_slice(bytes);
        });
        self
    }

    /// A callback that is to be called once.
    pub(crate) fn callback(&self, what: &'static str) -> impl FnOnce(Socket, Result<(), &Error>) + 'static + use<> {
        increment(&self.life.owed);
        let life = self.life.clone();
        move |_, _| {
            entered(what);
            life.owed.set(life.owed.get() - 1);
        }
    }

    /// The same for a server's `close`.
    pub(crate) fn server_callback(&self) -> impl FnOnce(Server, Result<(), &Error>) + 'static + use<> {
        increment(&self.life.owed);
        let life = self.life.clone();
        move |_, _| {
            entered("close callback");
            life.owed.set(life.owed.get() - 1);
        }
    }

    pub(crate) fn received(&self) -> Vec<u8> {
        self.life.received.borrow().clone()
    }

    pub(crate) fn errors(&self) -> u32 {
        self.life.errors.get()
    }

    pub(crate) fn closes(&self) -> u32 {
        self.life.closes.get()
    }

    /// What law 4 says of a connection that is over: closed once, every callback called, nothing objectionable.
    #[track_caller]
    pub(crate) fn assert_over(&self, context: &dyn std::fmt::Debug) {
        self.assert_no_objection(context);
        assert_eq!(self.life.closes.get(), 1, "{context:?}: closes of {}", self.life.name);
        assert!(self.life.ends.get() <= 1, "{context:?}: ends of {}", self.life.name);
        assert!(self.life.finishes.get() <= 1, "{context:?}: finishes of {}", self.life.name);
    }

    /// What holds at any time, with every callback called.
    #[track_caller]
    pub(crate) fn assert_no_objection(&self, context: &dyn std::fmt::Debug) {
        let objections = self.life.objections.borrow();
        assert!(objections.is_empty(), "{context:?}: {}: {objections:?}", self.life.name);
        assert_eq!(self.life.owed.get(), 0, "{context:?}: callbacks of {} that were never called", self.life.name);
    }

    fn happened(&self, what: &'static str, socket: Socket, dead_is_fine: bool, count: fn(&Life) -> &Cell<u32>) {
        self.check(what, socket, dead_is_fine);
        increment(count(&self.life));
    }

    fn check(&self, what: &'static str, socket: Socket, dead_is_fine: bool) {
        entered(what);
        let after_close = self.life.closes.get() > 0;
        if after_close {
            self.life.objections.borrow_mut().push(format!("{what} after close"));
        }
        if !dead_is_fine && socket.destroyed() {
            self.life.objections.borrow_mut().push(format!("{what} of a destroyed socket"));
        }
    }

    fn object_if(&self, wrong: bool, what: &str) {
        if wrong {
            self.life.objections.borrow_mut().push(what.to_owned());
        }
    }
}

fn increment(counter: &Cell<u32>) {
    counter.set(counter.get() + 1);
}
