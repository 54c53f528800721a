//! One run: a fresh simulated loop, the socket that is looked at, and its peer, to which inputs are given one by one.
//!
//! May touch the loop, the reactor's view for tests, and streams of the simulated kernel, as the peer's program would.
//! Invariants: the same inputs lead to the same run; the peer is no part of the loop, so all events are the socket's own.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use super::inputs::{Command, Event, Fact, Input};
use crate::error::Error;
use crate::event_loop::core::Core;
use crate::event_loop::handles::{Server, Socket};
use crate::event_loop::listeners::{Action, ListenerId};
use crate::event_loop::simulation::{Call, Link, Simulation};
use crate::event_loop::{ConnectionOptions, EventLoop, ServerSettings, current};
use crate::reactor::snapshot::{LinkKind, Owed, Product, Snapshot};
use crate::reactor::{Handle, Internal};
use crate::sys::simulated::SharedKernel;
use crate::sys::{Acceptor, AcceptorOptions, Family, Permissions, Stream, UnixAddress};

/// What the kernel buffers on each side. Small, so that little is enough to fill it.
const BUFFER: usize = 64;
/// Above both buffers, so that the first such write fills them.
const HIGH_WATER_MARK: usize = 160;
/// Above the high-water mark, and less than what the buffers take in two rounds.
const MUCH: usize = 192;
const TIMEOUT: Duration = Duration::from_millis(10);
/// Longer than an idle timeout.
const LONG: Duration = Duration::from_millis(25);
/// More than any conversation here needs; one that needs more turns without end.
const MOST_TURNS: usize = 20;
const PORT: u16 = 80;
const HOST: &str = "127.0.0.1";
/// What the peer sends at once.
const CHUNK_LENGTH: usize = 1;
/// What is put back, and told from what the peer sends, which counts from 1.
pub(super) const UNSHIFTED: u8 = b'u';
pub(super) const PROVOKED: &str = "provoked";

/// How the socket comes into being.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Origin {
    pub(super) accepted: bool,
    pub(super) unix: bool,
    pub(super) allow_half_open: bool,
}

/// What an input led to, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    Event(Event),
    Data(Vec<u8>),
    Error(String),
    Close(bool),
    /// The answer to a write or to an `end`, by the order in which they were made; and whether it went well.
    Answer(usize, bool),
    /// A write returned false.
    Full,
    /// The peer sent the chunk of this number.
    Sent(u8),
    /// The program gave a command.
    Command(Command),
    Panic,
}

/// Everything that decides what the next input leads to.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "some of it is only compared, as text")]
pub(super) struct Situation {
    /// `None`: the slot is free.
    pub(super) snapshot: Option<Snapshot>,
    pub(super) owed: Owed,
    /// What the library itself waits for, among the socket's listeners; what belongs to an earlier connection is marked.
    pub(super) internal: Vec<(Internal, bool)>,
    pub(super) kernel: String,
    pub(super) has_peer: bool,
    pub(super) peer_ended: bool,
    pub(super) stalled: bool,
    pub(super) listening: bool,
    /// Bytes that the socket has not read from the kernel.
    pub(super) unread: usize,
    /// Answers that are owed.
    pub(super) questions: usize,
}

impl Situation {
    pub(super) fn key(&self) -> String {
        format!("{self:?}")
    }

    /// A listener of the library's own is to destroy it.
    pub(super) fn is_to_be_destroyed(&self) -> bool {
        self.internal.iter().any(|(internal, _)| matches!(internal, Internal::Destroy | Internal::Reset))
    }

    /// Nothing is left of an earlier connection.
    pub(super) fn is_first(&self) -> bool {
        self.internal.iter().all(|(_, current)| *current)
    }

    pub(super) fn is_open(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|state| state.product.link == LinkKind::Open)
    }
}

/// What the listeners know.
pub(super) struct Shared {
    pub(super) socket: Socket,
    unix: bool,
    kernel: SharedKernel,
    pub(super) log: RefCell<Vec<Entry>>,
    /// What the next listener for an event does.
    command: Cell<Option<(Event, Command)>>,
    panics: Cell<Option<Event>>,
    data_listener: Cell<Option<ListenerId>>,
    pub(super) questions: Cell<usize>,
    pub(super) stalled: Cell<bool>,
    /// The products that the socket went through, one for each entry into user code.
    pub(super) passed: RefCell<Vec<Product>>,
}

pub(super) struct World {
    pub(super) event_loop: EventLoop,
    pub(super) simulation: Simulation,
    pub(super) shared: Rc<Shared>,
    acceptor: Option<Acceptor>,
    pub(super) peer: Option<Stream>,
    peer_ended: bool,
    /// Chunks that the peer sent.
    pub(super) sent: u8,
}

impl World {
    pub(super) fn new(origin: Origin) -> World {
        let mut event_loop = EventLoop::simulated(1).unwrap();
        let simulation = event_loop.simulation().unwrap();
        let host = HOST.parse().unwrap();
        let small = Link { receive_buffer: Some(BUFFER), send_buffer: Some(BUFFER), ..Link::default() };
        simulation.set_link(host, host, Link { latency: Duration::ZERO, ..small });
        let kernel = event_loop.simulation.as_ref().unwrap().kernel.clone();
        let options = ConnectionOptions {
            allow_half_open: origin.allow_half_open,
            writable_high_water_mark: HIGH_WATER_MARK,
            readable_high_water_mark: 2 * CHUNK_LENGTH,
            ..ConnectionOptions::default()
        };
        let (socket, acceptor, peer) = if origin.accepted {
            let (socket, peer) = accepted(&mut event_loop, &options);
            (socket, None, Some(peer))
        } else {
            let acceptor = acceptor(origin.unix);
            let handle = current::expect(|core| core.new_socket_on(&options, None));
            (Socket::from_handle(handle), Some(acceptor), None)
        };
        let shared = Rc::new(Shared {
            socket,
            unix: origin.unix,
            kernel,
            log: RefCell::default(),
            command: Cell::new(None),
            panics: Cell::new(None),
            data_listener: Cell::new(None),
            questions: Cell::new(0),
            stalled: Cell::new(false),
            passed: RefCell::default(),
        });
        listen(&shared);
        World { event_loop, simulation, shared, acceptor, peer, peer_ended: false, sent: 0 }
    }

    /// A run that took these inputs.
    pub(super) fn after(origin: Origin, path: &[Input]) -> World {
        let mut world = World::new(origin);
        for &input in path {
            world.give(input);
        }
        world
    }

    pub(super) fn socket(&self) -> Socket {
        self.shared.socket
    }

    pub(super) fn situation(&mut self) -> Situation {
        let handle = self.socket().handle;
        let (snapshot, owed) = current::expect(|core| (core.reactor.snapshot(handle), core.reactor.owed()));
        let internal = current::expect(|core| internal_listeners(core, handle));
        let kernel = self.shared.kernel.describe_sockets();
        Situation {
            snapshot,
            owed,
            internal,
            kernel,
            has_peer: self.peer.is_some(),
            peer_ended: self.peer_ended,
            stalled: self.shared.stalled.get(),
            listening: self.acceptor.is_some(),
            unread: self.shared.kernel.unread_of_registered(),
            questions: self.shared.questions.get() - self.answers(),
        }
    }

    /// Gives one input, and lets the peer do what it does by itself.
    pub(super) fn give(&mut self, input: Input) {
        match input {
            Input::Command(command) => self.command(command),
            Input::Fact(fact) => self.happens(fact),
            Input::Turn => self.turn(),
            Input::In(event, command) => {
                self.shared.command.set(Some((event, command)));
                self.turn();
                self.shared.command.set(None);
            }
        }
        self.peer_acts();
    }

    /// The same; the first listener for `event` panics, after it did what the input asks of it. The loop is then entered
    /// again, and finishes what was interrupted.
    pub(super) fn give_with_a_panic(&mut self, input: Input, event: Event) {
        self.shared.panics.set(Some(event));
        let outcome = catch_unwind(AssertUnwindSafe(|| self.give(input)));
        if let Err(panic) = outcome {
            assert_eq!(panic.downcast_ref::<&str>(), Some(&PROVOKED));
            // Where a turn was cut short, the next one goes on there.
            match input {
                Input::Command(_) => self.event_loop.settle().unwrap(),
                Input::Fact(Fact::TimePasses) => self.pass_time(),
                Input::Fact(_) | Input::Turn | Input::In(..) => self.turn(),
            }
            self.peer_acts();
        }
        self.shared.command.set(None);
        self.shared.kernel.end_script();
        assert_eq!(self.shared.panics.take(), None, "it did not panic");
    }

    /// A command, in a callback that has nothing to do with the socket.
    pub(super) fn command(&mut self, command: Command) {
        give(&self.shared, command);
        self.event_loop.settle().unwrap();
    }

    fn turn(&mut self) {
        self.event_loop.turn(Some(Duration::ZERO)).unwrap();
    }

    fn happens(&mut self, fact: Fact) {
        let peer = self.peer.as_ref();
        match fact {
            Fact::Bytes => {
                // It may be over, and the peer is about to learn it.
                if peer.unwrap().write(&[self.sent + 1; CHUNK_LENGTH]).is_ok() {
                    self.sent += 1;
                    self.shared.log.borrow_mut().push(Entry::Sent(self.sent));
                }
            }
            Fact::End => {
                // Fails where the connection is over for it.
                let _ = peer.unwrap().shutdown_write();
                self.peer_ended = true;
            }
            Fact::Reset => {
                peer.unwrap().reset_on_close().unwrap();
                self.peer = None;
            }
            Fact::Reads => self.shared.stalled.set(false),
            Fact::ReadsAndFails(failure) => {
                self.shared.stalled.set(false);
                self.peer_acts();
                self.shared.kernel.fail(Call::Write, failure.errno(), 1);
                self.turn();
                self.shared.kernel.end_script();
            }
            Fact::StopsListening => self.acceptor = None,
            Fact::TimePasses => self.pass_time(),
        }
    }

    fn pass_time(&mut self) {
        let passed = Rc::new(Cell::new(false));
        let same = passed.clone();
        self.simulation.post_at(self.simulation.now() + LONG, move || same.set(true));
        let mut turns = 0;
        while !passed.get() {
            self.event_loop.turn(None).unwrap();
            turns += 1;
            assert!(turns < MOST_TURNS, "time does not pass");
        }
    }

    fn peer_acts(&mut self) {
        if self.socket().destroyed() {
            // Nothing that it does reaches the socket any more.
            self.peer = None;
            self.shared.stalled.set(false);
        }
        if let Some(acceptor) = &self.acceptor {
            if let Ok((stream, _)) = acceptor.accept() {
                self.peer = Some(stream);
                self.peer_ended = false;
            }
        }
        let Some(peer) = self.peer.as_ref().filter(|_| !self.shared.stalled.get()) else { return };
        let mut buffer = [0; 2 * MUCH];
        // Bounded by what the kernel buffers.
        while matches!(peer.read(&mut buffer), Ok(count) if count > 0) {}
    }

    /// Turns until nothing happens any more by itself.
    pub(super) fn settle(&mut self) {
        let mut before = self.situation().key();
        for _ in 0..MOST_TURNS {
            let events = self.shared.log.borrow().len();
            self.turn();
            self.peer_acts();
            let after = self.situation().key();
            if after == before && self.shared.log.borrow().len() == events {
                return;
            }
            before = after;
        }
        panic!("no end: {before}");
    }

    fn answers(&self) -> usize {
        self.shared.log.borrow().iter().filter(|entry| matches!(entry, Entry::Answer(..))).count()
    }

    /// How many descriptors there are, and are registered, for what exists.
    pub(super) fn descriptors(&mut self) -> (usize, usize) {
        let handle = self.socket().handle;
        let snapshot = current::expect(|core| core.reactor.snapshot(handle));
        let (own, registered) = snapshot.map_or((0, 0), |snapshot| (snapshot.descriptors, snapshot.registered));
        (own + usize::from(self.peer.is_some()) + usize::from(self.acceptor.is_some()), registered)
    }

    /// The peer's side goes.
    pub(super) fn leave(&mut self) {
        self.peer = None;
        self.acceptor = None;
    }
}

/// Each once: a second one finds nothing left to do.
fn internal_listeners(core: &mut Core, socket: Handle) -> Vec<(Internal, bool)> {
    let table = core.sockets.table(socket).cloned();
    let mut found = Vec::new();
    for entry in table.iter().flat_map(|table| &table.entries) {
        if let Action::Internal { epoch, internal } = entry.action {
            let listener = (internal, core.reactor.is_latest(socket, epoch));
            if !found.contains(&listener) {
                found.push(listener);
            }
        }
    }
    found
}

fn acceptor(unix: bool) -> Acceptor {
    let acceptor = if unix {
        Acceptor::unix(&UnixAddress::new("/peer".as_ref()).unwrap(), Permissions::default()).unwrap()
    } else {
        Acceptor::tcp((HOST.parse::<std::net::IpAddr>().unwrap(), PORT).into(), AcceptorOptions::default()).unwrap()
    };
    acceptor.listen(8).unwrap();
    acceptor
}

/// A connection that a server accepted, and its other end. The server is gone.
fn accepted(event_loop: &mut EventLoop, options: &ConnectionOptions) -> (Socket, Stream) {
    let settings = ServerSettings { connection: options.clone(), ..ServerSettings::default() };
    let server = Server::from_handle(current::expect(|core| core.new_server(settings)));
    let found = Rc::new(Cell::new(None));
    let same = found.clone();
    server.on_connection(move |_, socket| same.set(Some(socket)));
    server.listen((HOST, PORT)).unwrap();
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    let peer = Stream::tcp(Family::IPv4).unwrap();
    peer.connect((HOST.parse::<std::net::IpAddr>().unwrap(), PORT).into()).unwrap();
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    server.close();
    for _ in 0..3 {
        event_loop.turn(Some(Duration::ZERO)).unwrap();
    }
    server.release();
    event_loop.settle().unwrap();
    (found.get().unwrap(), peer)
}

fn listen(shared: &Rc<Shared>) {
    let socket = shared.socket;
    let on = |event: Event| {
        let shared = shared.clone();
        move || shared.reached(event, Entry::Event(event))
    };
    let (connect, end, finish, drain) = (on(Event::Connect), on(Event::End), on(Event::Finish), on(Event::Drain));
    let (timeout, pause, resume) = (on(Event::Timeout), on(Event::Pause), on(Event::Resume));
    socket.on_connect(move |_| connect());
    socket.on_end(move |_| end());
    socket.on_finish(move |_| finish());
    socket.on_drain(move |_| drain());
    socket.on_timeout(move |_| timeout());
    socket.on_pause(move |_| pause());
    socket.on_resume(move |_| resume());
    let same = shared.clone();
    socket.on_error(move |_, error| {
        same.reached(Event::Error, Entry::Error(error.code().unwrap_or("none").to_owned()));
    });
    let same = shared.clone();
    socket.on_close(move |_, had_error| same.reached(Event::Close, Entry::Close(had_error)));
}

impl Shared {
    /// A listener is called.
    fn reached(self: &Rc<Shared>, event: Event, entry: Entry) {
        self.log.borrow_mut().push(entry);
        self.pass();
        if let Some((_, command)) = self.command.take_if(|(at, _)| *at == event) {
            give(self, command);
        }
        if self.panics.take_if(|at| *at == event).is_some() {
            self.log.borrow_mut().push(Entry::Panic);
            // Not `panic!`, which prints.
            resume_unwind(Box::new(PROVOKED));
        }
    }

    fn pass(&self) {
        let handle = self.socket.handle;
        let snapshot = current::with(|core| core.reactor.snapshot(handle)).flatten();
        self.passed.borrow_mut().extend(snapshot.map(|snapshot| snapshot.product));
    }

    fn wrote(&self, more: bool) {
        if !more {
            self.log.borrow_mut().push(Entry::Full);
        }
    }

    fn answer(self: &Rc<Shared>) -> impl FnOnce(Socket, Result<(), &Error>) + 'static {
        let number = self.questions.get();
        self.questions.set(number + 1);
        let same = self.clone();
        move |_, outcome| {
            same.log.borrow_mut().push(Entry::Answer(number, outcome.is_ok()));
            same.pass();
        }
    }
}

/// What `Cell` has from a later version on.
trait TakeIf<T> {
    fn take_if(&self, condition: impl FnOnce(&T) -> bool) -> Option<T>;
}

impl<T: Copy> TakeIf<T> for Cell<Option<T>> {
    fn take_if(&self, condition: impl FnOnce(&T) -> bool) -> Option<T> {
        let taken = self.get().filter(condition);
        if taken.is_some() {
            self.set(None);
        }
        taken
    }
}

/// The program does something with the socket.
fn give(shared: &Rc<Shared>, command: Command) {
    let socket = shared.socket;
    shared.log.borrow_mut().push(Entry::Command(command));
    match command {
        Command::Connect | Command::Reconnect => {
            let connected =
                if shared.unix { socket.connect(std::path::Path::new("/peer")) } else { socket.connect((HOST, PORT)) };
            connected.unwrap();
        }
        Command::Write => shared.wrote(socket.write_with("w", shared.answer())),
        Command::WriteMuch => {
            shared.stalled.set(true);
            shared.wrote(socket.write(vec![b'm'; MUCH]));
        }
        Command::WriteFails(failure) => {
            shared.kernel.fail(Call::Write, failure.errno(), 1);
            shared.wrote(socket.write_with("f", shared.answer()));
            shared.kernel.end_script();
        }
        Command::End => {
            socket.end_with(shared.answer());
        }
        Command::EndData => {
            socket.end_data("e");
        }
        Command::Cork => {
            socket.cork();
        }
        Command::Uncork => {
            socket.uncork();
        }
        Command::Pause => {
            socket.pause();
        }
        Command::Resume => {
            socket.resume();
        }
        Command::AddData => {
            let same = shared.clone();
            let added = socket.on_data(move |_, bytes| same.reached(Event::Data, Entry::Data(bytes.to_vec())));
            shared.data_listener.set(Some(added));
        }
        Command::RemoveData => {
            if let Some(listener) = shared.data_listener.take() {
                socket.off(listener);
            }
        }
        Command::Unshift => {
            socket.unshift([UNSHIFTED]);
        }
        Command::SetTimeout => {
            socket.set_timeout(TIMEOUT);
        }
        Command::ClearTimeout => {
            socket.set_timeout(Duration::ZERO);
        }
        Command::Destroy => {
            socket.destroy();
        }
        Command::DestroyWith => {
            socket.destroy_with(Error::from(std::io::Error::from(std::io::ErrorKind::Other)));
        }
        Command::DestroySoon => {
            socket.destroy_soon();
        }
        Command::ResetAndDestroy => {
            // Of a socket without a handle Node throws; nothing else is an error.
            let _ = socket.reset_and_destroy();
        }
    }
}
