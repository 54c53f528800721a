//! One scenario on one event loop, from its start to its traces.
//!
//! May touch: the event loop, a folder of its own for unix sockets, and threads for the raw peers. Invariants: nothing is
//! borrowed while a listener or a command of the crate runs; a scenario that does not end is ended and says so.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use halfclose::net::{AbortController, BoundSocket, ListenerId, LookupCallback, Server, Socket};
use halfclose::{ErrorSource, EventLoop, EventLoopOptions, Immediate, LoopHandle, Timer, Unhandled};
use serde_json::Value;

use crate::peers::Peers;
use crate::scenario::Traces;
use crate::support;
use crate::trace::{Subject, Trace};
use crate::values;

/// How long a scenario may take. Most take milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server, a socket or a bound socket of the scenario.
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) definition: Value,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Server(Serving),
    Socket(Connecting),
    /// With its port; nothing when it could not be bound.
    Bound(RefCell<Option<BoundSocket>>, Option<u16>),
}

pub(crate) struct Serving {
    pub(crate) server: Server,
    pub(crate) accepted: Cell<usize>,
    pub(crate) closed: Cell<usize>,
    /// Those that connect to it by their definition.
    pub(crate) clients: RefCell<Vec<Rc<Record>>>,
    pub(crate) last_port: Cell<Option<u16>>,
    pub(crate) announced: Cell<bool>,
}

pub(crate) struct Connecting {
    /// Nothing until it is made.
    pub(crate) socket: Cell<Option<Socket>>,
    /// The server that accepted it.
    pub(crate) server: Option<Rc<Record>>,
    pub(crate) closes: Cell<u32>,
}

/// What a scenario gave a name to.
pub(crate) enum Named {
    Listener(ListenerId),
    Timer(Timer),
    Immediate(Immediate),
}

/// What the action `throw` panics with.
pub(crate) struct Thrown;

/// A scenario that is played.
pub(crate) struct Play {
    pub(crate) scenario: Value,
    pub(crate) directory: PathBuf,
    pub(crate) trace: RefCell<Trace>,
    pub(crate) objects: RefCell<Vec<Rc<Record>>>,
    pub(crate) named: RefCell<HashMap<String, Named>>,
    pub(crate) controllers: RefCell<HashMap<String, AbortController>>,
    pub(crate) meetings: RefCell<HashMap<String, u64>>,
    /// Ports that the scenario gave a name to; one that refuses is held.
    pub(crate) ports: RefCell<HashMap<String, (u16, Option<socket2::Socket>)>>,
    /// Lookups that are never answered.
    pub(crate) unanswered: RefCell<Vec<LookupCallback>>,
    pub(crate) exited: Cell<bool>,
    pub(crate) peers: Peers,
}

/// Plays a scenario on a thread with its name.
pub(crate) fn in_thread(name: &str, scenario: &Value) -> Result<Traces, String> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    std::thread::scope(|scope| {
        let player = thread.spawn_scoped(scope, || support::within(PATIENCE * 2, || play(scenario)));
        let player = player.expect("a thread");
        player.join().unwrap_or_else(|panic| Err(support::panic_text(&*panic)))
    })
}

fn play(scenario: &Value) -> Result<Traces, String> {
    let folder = Folder::new();
    // Node's numbers: one connection and 32 reads a turn.
    let options = EventLoopOptions::new().accepts_per_turn(1).reads_per_turn(32);
    let mut event_loop = EventLoop::with_options(options).map_err(|error| error.to_string())?;
    let play = Rc::new(Play {
        scenario: scenario.clone(),
        directory: folder.0.clone(),
        trace: RefCell::new(Trace::new(scenario, folder.0.clone())),
        objects: RefCell::default(),
        named: RefCell::default(),
        controllers: RefCell::default(),
        meetings: RefCell::default(),
        ports: RefCell::default(),
        unanswered: RefCell::default(),
        exited: Cell::new(false),
        peers: Peers::new(&scenario["peers"]),
    });
    event_loop.on_unhandled_error({
        let play = play.clone();
        move |_: ErrorSource, error| {
            play.note("loop", "uncaught", &format!("uncaught({})", values::error(error)));
            Unhandled::Continue
        }
    });
    let start = play.clone();
    halfclose::set_immediate(move || start.start());
    let watchdog = Watchdog::new(event_loop.handle());
    let outcome = loop {
        // What a scenario throws ends one listener, as an uncaught exception does in Node: the loop goes on.
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| event_loop.run())) {
            Err(panic) if panic.is::<Thrown>() => {}
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(outcome) => break outcome,
        }
    };
    if watchdog.barked() {
        let so_far = play.trace.borrow().render();
        let so_far = serde_json::to_string_pretty(&so_far).unwrap_or_default();
        // What does not end may have gone round in circles.
        let lines: Vec<&str> = so_far.lines().take(100).collect();
        return Err(format!("it did not end within {PATIENCE:?}; so far:\n{}", lines.join("\n")));
    }
    outcome.map_err(|error| error.to_string())?;
    if !play.exited.get() {
        for record in play.objects.borrow().iter() {
            if let subject @ (Subject::Socket(_) | Subject::Server(_)) = record.subject() {
                play.trace.borrow_mut().add_last(&record.name, "over", &subject);
            }
        }
    }
    let mut traces = play.trace.borrow().render();
    // Before the peers are asked what they saw: the sockets that are left close now.
    drop(event_loop);
    for (name, line) in play.peers.tear_down() {
        if !play.trace.borrow().omits(&name) {
            traces.insert(name, vec![line]);
        }
    }
    Ok(traces)
}

impl Play {
    /// Records an entry without an object.
    pub(crate) fn note(&self, endpoint: &str, event: &str, text: &str) {
        self.trace.borrow_mut().add(endpoint, event, text, &Subject::Nobody, None);
    }

    /// Records an entry of an object, with its properties.
    pub(crate) fn log(&self, record: &Record, event: &str, text: &str) {
        self.trace.borrow_mut().add(&record.name, event, text, &record.subject(), None);
    }

    /// The object of a name.
    pub(crate) fn object(&self, name: &str) -> Option<Rc<Record>> {
        self.objects.borrow().iter().find(|record| record.name == name).cloned()
    }

    #[track_caller]
    pub(crate) fn expect_object(&self, name: &str) -> Rc<Record> {
        self.object(name).unwrap_or_else(|| panic!("nobody is called {name}"))
    }

    pub(crate) fn add_object(&self, record: Record) -> Rc<Record> {
        let record = Rc::new(record);
        assert!(self.object(&record.name).is_none(), "two objects are called {}", record.name);
        self.objects.borrow_mut().push(record.clone());
        record
    }
}

impl Record {
    pub(crate) fn subject(&self) -> Subject {
        match &self.kind {
            Kind::Server(serving) => Subject::Server(serving.server),
            Kind::Socket(connecting) => connecting.socket.get().map_or(Subject::Nobody, Subject::Socket),
            Kind::Bound(..) => Subject::Nobody,
        }
    }

    #[track_caller]
    pub(crate) fn socket(&self) -> Socket {
        match &self.kind {
            Kind::Socket(connecting) => {
                connecting.socket.get().unwrap_or_else(|| panic!("{} has not been made yet", self.name))
            }
            Kind::Server(_) | Kind::Bound(..) => panic!("{} is no socket", self.name),
        }
    }

    #[track_caller]
    pub(crate) fn serving(&self) -> &Serving {
        match &self.kind {
            Kind::Server(serving) => serving,
            Kind::Socket(_) | Kind::Bound(..) => panic!("{} is no server", self.name),
        }
    }
}

/// A folder for the unix sockets of one scenario, removed with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        // Short, because names of unix sockets are.
        let path = std::env::temp_dir().join(format!("halfclose-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Stops a loop that does not end by itself.
struct Watchdog {
    barked: Arc<AtomicBool>,
    _done: mpsc::Sender<()>,
}

impl Watchdog {
    fn new(handle: LoopHandle) -> Watchdog {
        let barked = Arc::new(AtomicBool::new(false));
        let (done, finished) = mpsc::channel::<()>();
        std::thread::spawn({
            let barked = barked.clone();
            move || {
                if finished.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                    barked.store(true, Ordering::Release);
                    handle.stop();
                }
            }
        });
        Watchdog { barked, _done: done }
    }

    fn barked(&self) -> bool {
        self.barked.load(Ordering::Acquire)
    }
}
