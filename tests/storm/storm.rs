//! What all closures of one storm share: the generator, the model, and what was found.
//!
//! May touch: the public API. Invariant: nothing here is borrowed while the library is called, because a command may call
//! listeners, and those come back here.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::Socket;
use halfclose::simulation::Simulation;
use halfclose::{Immediate, Timer};

use crate::content::Content;
use crate::generator::{Generator, Origin};
use crate::model::{Model, Owed, Violation};
use crate::weather::Weather;

/// A handle that all closures of one run hold. How many are left tells whether the library dropped them.
pub type Shared = Rc<Storm>;

pub struct Storm {
    pub generator: RefCell<Generator>,
    pub model: RefCell<Model>,
    pub times: RefCell<Vec<TimerModel>>,
    pub immediates: RefCell<Vec<ImmediateModel>>,
    pub controllers: RefCell<Vec<halfclose::net::AbortController>>,
    pub content: &'static Content,
    /// Commands that may still be given.
    pub budget: Cell<u32>,
    /// No more surprises: what is open is ended, what comes is consumed.
    pub calm: Cell<bool>,
    /// The loop is gone: closures that are dropped now must not count on it.
    pub over: Cell<bool>,
    /// The command that is being given, when it is one that may not call anybody (law 1).
    pub silent: Cell<Option<&'static str>>,
    pub ticks: Cell<(u64, u64)>,
    /// How many times the library called us.
    pub calls: Cell<u64>,
    /// A callback was cut short: what was to follow it comes with the next turn.
    pub interrupted: Cell<bool>,
    /// The hook said that `turn` is to return an error.
    pub returns: Cell<bool>,
    pub weather: RefCell<Weather>,
    /// The loop said that nothing can come any more.
    pub stuck: Cell<bool>,
    /// Those of the loop itself.
    pub descriptors: Cell<usize>,
    violation: RefCell<Option<Violation>>,
    trace: Option<RefCell<Vec<String>>>,
}

pub struct TimerModel {
    pub handle: Timer,
    pub armed: Duration,
    pub delay: Duration,
    pub repeats: bool,
    pub cleared: bool,
    pub fired: usize,
}

pub struct ImmediateModel {
    pub handle: Immediate,
    pub cleared: bool,
    pub ran: bool,
}

/// What a listener throws when a storm wants to see law 8.
pub struct Planned;

impl Storm {
    pub fn new(origin: Origin<'_>, content: &'static Content, simulation: Simulation, traced: bool) -> Shared {
        let mut generator = Generator::of(origin);
        let weather = Weather::new(simulation, &mut generator);
        let budget = [10, 30, 60, 120][generator.below(4)];
        Rc::new(Storm {
            generator: RefCell::new(generator),
            model: RefCell::default(),
            times: RefCell::default(),
            immediates: RefCell::default(),
            controllers: RefCell::default(),
            content,
            budget: Cell::new(budget),
            calm: Cell::new(false),
            over: Cell::new(false),
            silent: Cell::new(None),
            ticks: Cell::new((0, 0)),
            calls: Cell::new(0),
            interrupted: Cell::new(false),
            returns: Cell::new(false),
            weather: RefCell::new(weather),
            stuck: Cell::new(false),
            descriptors: Cell::new(0),
            violation: RefCell::default(),
            trace: traced.then(RefCell::default),
        })
    }

    pub fn below(&self, bound: usize) -> usize {
        self.generator.borrow_mut().below(bound)
    }

    pub fn once_in(&self, times: usize) -> bool {
        self.generator.borrow_mut().once_in(times)
    }

    pub fn pick<T: Copy>(&self, from: &[T]) -> T {
        self.generator.borrow_mut().pick(from)
    }

    pub fn now(&self) -> Duration {
        self.weather.borrow().simulation.now()
    }

    /// Notes what happens, for the report of a seed that failed.
    pub fn trace(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let line = format!("{:>10.3?} {}", self.now(), line());
            trace.borrow_mut().push(line);
        }
    }

    pub fn take_trace(&self) -> Vec<String> {
        self.trace.as_ref().map(RefCell::take).unwrap_or_default()
    }

    /// The first violation counts: those that follow it are mostly its consequences.
    pub fn violated(&self, violation: Violation) {
        self.trace(|| format!("VIOLATION {violation}"));
        self.violation.borrow_mut().get_or_insert(violation);
    }

    pub fn require(&self, holds: bool, otherwise: impl FnOnce() -> Violation) {
        if !holds {
            self.violated(otherwise());
        }
    }

    pub fn check(&self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.violated(violation);
        }
    }

    pub fn take_violation(&self) -> Option<Violation> {
        self.violation.borrow_mut().take()
    }

    pub fn is_violated(&self) -> bool {
        self.violation.borrow().is_some()
    }

    pub fn handle(&self, socket: usize) -> Socket {
        self.model.borrow().sockets[socket].handle
    }

    /// Gives a command during which nobody may be called (law 1).
    pub fn silently<T>(&self, what: &'static str, command: impl FnOnce() -> T) -> T {
        let before = self.silent.replace(Some(what));
        let result = command();
        self.silent.set(before);
        result
    }

    /// Gives a command that may call listeners: Node's exceptions to law 1.
    pub fn aloud<T>(&self, command: impl FnOnce() -> T) -> T {
        let before = self.silent.replace(None);
        let result = command();
        self.silent.set(before);
        result
    }

    /// The library called: to be said first by every closure.
    pub fn called(&self, what: &str) {
        self.calls.set(self.calls.get() + 1);
        if let Some(command) = self.silent.get() {
            self.violated(format!("{what} was called within {command}"));
        }
    }

    /// A callback was given to the library, which owes it once.
    pub fn owe(&self, what: &'static str, connection: Option<usize>) -> usize {
        let callbacks = &mut self.model.borrow_mut().callbacks;
        callbacks.push(Owed { what, connection, calls: 0 });
        callbacks.len() - 1
    }

    /// That callback was called.
    pub fn paid(&self, callback: usize) {
        let mut model = self.model.borrow_mut();
        let owed = &mut model.callbacks[callback];
        owed.calls += 1;
        if owed.calls > 1 {
            let violation = format!("callback {callback} ({}) was called {} times", owed.what, owed.calls);
            drop(model);
            self.violated(violation);
        }
    }
}
