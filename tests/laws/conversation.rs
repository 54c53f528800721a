//! A program with every kind of user code in it, and a visit at each: law 2 gives commands there, law 8 panics there.
//!
//! May touch: the public API, and sockets of socket2 and std as peers. Invariants: every entry is logged before its visit,
//! so that what a visit does cannot hide it; the visit is the last thing that its listener does, and its listener the last
//! of the event, so that what a panic skips is nothing that the log expects.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use halfclose::net::{self, ConnectOptions, Server, ServerOptions, Socket, SocketOptions};
use halfclose::{EventLoop, Unhandled};

use crate::after_turns;
use crate::support::{Log, callback, loopback, port_of, server_callback, watch_server, watch_socket};

/// A kind of user code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Nowhere,
    // Of a socket that is refused, with a write that never went out.
    RefusedAttempt,
    RefusedAttemptFailed,
    RefusedError,
    RefusedWriteCallback,
    RefusedClose,
    // Of a server that cannot listen.
    ServerError,
    // Of the server.
    Listening,
    ListenCallback,
    Connection,
    ServerClose,
    CloseCallback,
    // Of a client and its accepted socket.
    Attempt,
    Connect,
    ConnectCallback,
    Ready,
    FlushedWriteCallback,
    WriteCallback,
    LateWriteCallback,
    LentData,
    BufferedData,
    Drain,
    Timeout,
    AcceptedEnd,
    End,
    AcceptedFinish,
    Finish,
    EndCallback,
    AcceptedClose,
    Close,
    // Of a socket that is destroyed with a write under way.
    CanceledWriteCallback,
    // Of the loop.
    Tick,
    Immediate,
    Timer,
    Interval,
    Post,
    UnhandledError,
    WithData,
}

pub(crate) const PLACES: [Place; 37] = [
    Place::RefusedAttempt,
    Place::RefusedAttemptFailed,
    Place::RefusedError,
    Place::RefusedWriteCallback,
    Place::RefusedClose,
    Place::ServerError,
    Place::Listening,
    Place::ListenCallback,
    Place::Connection,
    Place::ServerClose,
    Place::CloseCallback,
    Place::Attempt,
    Place::Connect,
    Place::ConnectCallback,
    Place::Ready,
    Place::FlushedWriteCallback,
    Place::WriteCallback,
    Place::LateWriteCallback,
    Place::LentData,
    Place::BufferedData,
    Place::Drain,
    Place::Timeout,
    Place::AcceptedEnd,
    Place::End,
    Place::AcceptedFinish,
    Place::Finish,
    Place::EndCallback,
    Place::AcceptedClose,
    Place::Close,
    Place::CanceledWriteCallback,
    Place::Tick,
    Place::Immediate,
    Place::Timer,
    Place::Interval,
    Place::Post,
    Place::UnhandledError,
    Place::WithData,
];

/// Whose code it is.
#[derive(Clone, Copy)]
pub(crate) enum Subject {
    Socket(Socket),
    Server(Server),
    Loop,
}

/// Is given whose code it is in, and everybody who had a part so far.
type Deed = dyn Fn(Subject, &[Subject]);

/// What is done at one place, the first time that the program comes there.
#[derive(Clone)]
pub(crate) struct Visit {
    place: Place,
    visit: Rc<Deed>,
    visits: Rc<Cell<usize>>,
    /// Every socket and server that the program has had so far.
    cast: Rc<RefCell<Vec<Subject>>>,
}

impl Visit {
    pub(crate) fn new(place: Place, visit: impl Fn(Subject, &[Subject]) + 'static) -> Visit {
        Visit { place, visit: Rc::new(visit), visits: Rc::default(), cast: Rc::default() }
    }

    /// How often the program came to the place.
    pub(crate) fn count(&self) -> usize {
        self.visits.get()
    }

    fn pass(&self, place: Place, subject: Subject) {
        if place == self.place {
            self.visits.set(self.visits.get() + 1);
            if self.visits.get() == 1 {
                let cast = self.cast.borrow().clone();
                (self.visit)(subject, &cast);
            }
        }
    }

    fn cast_socket(&self, socket: Socket) {
        self.cast.borrow_mut().push(Subject::Socket(socket));
    }

    fn cast_server(&self, server: Server) {
        self.cast.borrow_mut().push(Subject::Server(server));
    }

    fn socket(&self, place: Place) -> impl FnMut(Socket) + 'static + use<> {
        let visit = self.clone();
        move |socket| visit.pass(place, Subject::Socket(socket))
    }

    fn server(&self, place: Place) -> impl FnMut(Server) + 'static + use<> {
        let visit = self.clone();
        move |server| visit.pass(place, Subject::Server(server))
    }

    fn loops(&self, place: Place) -> impl FnMut() + 'static + use<> {
        let visit = self.clone();
        move || visit.pass(place, Subject::Loop)
    }

    /// A completion that is logged as `name` and visited.
    fn callback(
        &self,
        log: &Log,
        endpoint: &str,
        name: &str,
        place: Place,
    ) -> impl FnOnce(Socket, Result<(), &halfclose::Error>) + 'static + use<> {
        let (tell, visit) = (callback(log, endpoint, name), self.clone());
        move |socket, result| {
            tell(socket, result);
            visit.pass(place, Subject::Socket(socket));
        }
    }
}

/// More than the kernel takes from a writer while nobody reads.
pub(crate) const ANSWER: usize = 8_000_000;

/// A port at which nobody listens, for as long as this lives.
struct NobodysPort {
    socket: socket2::Socket,
}

impl NobodysPort {
    fn new() -> NobodysPort {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&loopback(0).into()).expect("bind");
        NobodysPort { socket }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket").as_socket().expect("an internet address")
    }
}

/// Sets the whole program up. It begins to run with the loop and ends by itself.
pub(crate) fn begin(event_loop: &mut EventLoop, visit: &Visit) -> Log {
    let log = Log::new();
    begin_refused(&log, visit);
    begin_conversation(event_loop, &log, visit);
    begin_canceled(&log, visit);
    begin_loops(event_loop, &log, visit);
    log
}

const ENDPOINTS: [&str; 11] =
    ["refused", "srv", "S", "C", "canceled", "tick", "immediate", "timer", "interval", "unhandled", "data"];

/// What each endpoint experienced, in its own order. How endpoints interleave is not promised.
pub(crate) fn experiences(log: &Log) -> Vec<String> {
    let mut experiences = Vec::new();
    for endpoint in ENDPOINTS {
        experiences.push(format!("{endpoint}: {}", log.texts_of(endpoint).join(", ")));
    }
    experiences
}

/// What they are when every visit does nothing.
pub(crate) const UNDISTURBED: [&str; ENDPOINTS.len()] = [
    "refused: connectionAttempt, connectionAttemptFailed(ECONNREFUSED), error(connect ECONNREFUSED), \
     close(true), written(ERR_SOCKET_CLOSED_BEFORE_CONNECTION)",
    "srv: listening, second server error, connection, close, closed",
    "S: half of it(request), resumed, rest of it(more), drain, written, finish, end, close(false)",
    "C: connectionAttempt, connect, flushed, ready, timeout, written, answer, end, ended, finish, close(false)",
    "canceled: connect, ready, written(write ECANCELED), close(false)",
    "tick: tick",
    "immediate: immediate",
    "timer: timer",
    "interval: 1, 2, 3",
    "unhandled: error(nobody listens), close(false)",
    "data: there: true",
];

/// A socket that is refused.
fn begin_refused(log: &Log, visit: &Visit) {
    let nobody = Rc::new(NobodysPort::new());
    let log = *log;
    let socket = Socket::new();
    visit.cast_socket(socket);
    watch_socket(&log, "refused", socket);
    let written = visit.callback(&log, "refused", "written", Place::RefusedWriteCallback);
    socket.connect(nobody.address()).expect("connect");
    // Its callback has a place among the `close` listeners: behind the one that logs, before the one with the visit.
    socket.write_with("never sent", written);
    let passed = visit.clone();
    socket.on_connection_attempt(move |socket, _| passed.pass(Place::RefusedAttempt, Subject::Socket(socket)));
    let passed = visit.clone();
    socket.on_connection_attempt_failed(move |socket, _, _| {
        passed.pass(Place::RefusedAttemptFailed, Subject::Socket(socket));
    });
    let passed = visit.clone();
    socket.on_error(move |socket, _| passed.pass(Place::RefusedError, Subject::Socket(socket)));
    let passed = visit.clone();
    socket.on_close(move |socket, _| {
        // The port is held until here.
        let _held = &nobody;
        passed.pass(Place::RefusedClose, Subject::Socket(socket));
    });
}

/// A request in two halves, the second of which finds its reader paused; an answer that is longer than the kernel takes;
/// and the end of both sides. The server closes when its side is closed.
fn begin_conversation(event_loop: &mut EventLoop, log: &Log, visit: &Visit) {
    let log = *log;
    let server = Server::new();
    visit.cast_server(server);
    watch_server(&log, "srv", server);
    let passed = visit.clone();
    server.on_connection(move |server, accepted| {
        accept(&log, &passed, server, accepted);
        passed.pass(Place::Connection, Subject::Server(server));
    });
    let (passed, handle) = (visit.clone(), event_loop.handle());
    server
        .listen_with(("127.0.0.1", 0), move |server| {
            occupy_the_same_port(&log, &passed, server);
            connect_client(&log, &passed, port_of(server));
            // The closure may go to another thread, so it finds its visit by its loop's thread.
            let visit = Cell::new(Some(passed.clone()));
            POSTED.replace(visit.take());
            let posted = handle.post(|| {
                if let Some(visit) = POSTED.take() {
                    visit.pass(Place::Post, Subject::Loop);
                }
            });
            assert!(posted.is_ok());
            passed.pass(Place::ListenCallback, Subject::Server(server));
        })
        .expect("listen");
    server.on_listening(visit.server(Place::Listening));
}

thread_local! {
    /// The visit of the closure that was posted to this thread's loop.
    static POSTED: Cell<Option<Visit>> = const { Cell::new(None) };
}

fn occupy_the_same_port(log: &Log, visit: &Visit, first: Server) {
    let (log, passed) = (*log, visit.clone());
    let second = Server::new();
    visit.cast_server(second);
    second.on_error(move |second, _| {
        log.add("srv", "second server error");
        second.release();
        passed.pass(Place::ServerError, Subject::Server(second));
    });
    second.listen(("127.0.0.1", port_of(first))).expect("an error that is emitted");
}

fn accept(log: &Log, visit: &Visit, server: Server, accepted: Socket) {
    let log = *log;
    visit.cast_socket(accepted);
    watch_socket(&log, "S", accepted);
    let passed = visit.clone();
    let mut halves = 0;
    accepted.on_data(move |accepted, bytes| {
        halves += 1;
        if halves == 1 {
            log.add("S", format!("half of it({})", String::from_utf8_lossy(bytes)));
            accepted.pause();
            wait_for_bytes(log, accepted);
            passed.pass(Place::LentData, Subject::Socket(accepted));
        } else {
            log.add("S", format!("rest of it({})", String::from_utf8_lossy(bytes)));
            let written = passed.callback(&log, "S", "written", Place::LateWriteCallback);
            assert!(!accepted.write_with(vec![7; ANSWER], written));
            passed.pass(Place::BufferedData, Subject::Socket(accepted));
        }
    });
    accepted.on_drain(|accepted| {
        accepted.end();
    });
    accepted.on_drain(visit.socket(Place::Drain));
    accepted.on_end(visit.socket(Place::AcceptedEnd));
    accepted.on_finish(visit.socket(Place::AcceptedFinish));
    let passed = visit.clone();
    accepted.on_close(move |accepted, _| {
        let (tell, closed) = (server_callback(&log, "srv", "closed"), passed.clone());
        server.close_with(move |server, result| {
            tell(server, result);
            server.release();
            closed.pass(Place::CloseCallback, Subject::Server(server));
        });
        // Behind the callback, which a panic of this listener would skip.
        server.on_close(passed.server(Place::ServerClose));
        passed.pass(Place::AcceptedClose, Subject::Socket(accepted));
    });
}

/// Resumes a paused socket when there is something that it holds back.
fn wait_for_bytes(log: Log, accepted: Socket) {
    after_turns(1, move || {
        if accepted.destroyed() {
            return;
        }
        if accepted.readable_length() == 0 {
            return wait_for_bytes(log, accepted);
        }
        log.add("S", "resumed");
        accepted.resume();
    });
}

fn connect_client(log: &Log, visit: &Visit, port: u16) {
    let log = *log;
    let client = Socket::with_options(SocketOptions::new().allow_half_open(true));
    visit.cast_socket(client);
    watch_socket(&log, "C", client);
    let passed = visit.clone();
    client.on_connection_attempt(move |client, _| passed.pass(Place::Attempt, Subject::Socket(client)));
    client.on_connect(visit.socket(Place::Connect));
    client.on_ready(|client| {
        client.set_timeout(Duration::from_millis(5));
    });
    client.on_ready(visit.socket(Place::Ready));
    let passed = visit.clone();
    client.once_timeout(move |client| {
        client.set_timeout(Duration::ZERO);
        client.write_with("request", passed.callback(&log, "C", "written", Place::WriteCallback));
        after_turns(3, move || {
            client.write("more");
        });
        passed.pass(Place::Timeout, Subject::Socket(client));
    });
    let mut received = 0;
    client.on_data(move |_, bytes| {
        received += bytes.len();
        if received == ANSWER {
            log.add("C", "answer");
        }
    });
    let passed = visit.clone();
    client.on_end(move |client| {
        client.end_with(passed.callback(&log, "C", "ended", Place::EndCallback));
        passed.pass(Place::End, Subject::Socket(client));
    });
    client.on_finish(visit.socket(Place::Finish));
    let passed = visit.clone();
    client.on_close(move |client, _| passed.pass(Place::Close, Subject::Socket(client)));
    client.connect_with(("127.0.0.1", port), visit.socket(Place::ConnectCallback)).expect("connect");
    client.write_with("", visit.callback(&log, "C", "flushed", Place::FlushedWriteCallback));
}

/// A socket that is destroyed with a write under way, to a server of its own whose socket reads nothing.
fn begin_canceled(log: &Log, visit: &Visit) {
    let (log, passed) = (*log, visit.clone());
    let server = Server::with_options(ServerOptions::new().pause_on_connect(true));
    visit.cast_server(server);
    server.once_listening(move |server| {
        let client = net::connect(ConnectOptions::new().host("127.0.0.1").port(port_of(server))).expect("connect");
        passed.cast_socket(client);
        client.on_error(move |_, error| log.add("canceled", format!("error({error})")));
        client.on_connect(move |_| log.add("canceled", "connect"));
        client.on_close(move |_, had_error| {
            log.add("canceled", format!("close({had_error})"));
            server.release();
        });
        let accepted_by = passed.clone();
        server.on_connection(move |_, accepted| {
            accepted_by.cast_socket(accepted);
            accepted.on_error(|_, _| ());
            client.on_close(move |_, _| {
                accepted.destroy();
            });
        });
        client.on_ready(move |client| {
            log.add("canceled", "ready");
            let canceled = passed.callback(&log, "canceled", "written", Place::CanceledWriteCallback);
            assert!(!client.write_with(vec![7; ANSWER], canceled));
            // The accepting end is there by then.
            after_turns(4, move || {
                client.destroy();
            });
        });
    });
    server.listen(("127.0.0.1", 0)).expect("listen");
}

/// What belongs to no connection.
fn begin_loops(event_loop: &mut EventLoop, log: &Log, visit: &Visit) {
    let log = *log;
    let mut passed = visit.loops(Place::Tick);
    halfclose::next_tick(move || {
        log.add("tick", "tick");
        passed();
    });
    let mut passed = visit.loops(Place::Immediate);
    halfclose::set_immediate(move || {
        log.add("immediate", "immediate");
        passed();
    });
    let mut passed = visit.loops(Place::Timer);
    halfclose::set_timeout(Duration::from_millis(1), move || {
        log.add("timer", "timer");
        passed();
    });
    let (own, mut passed, mut rounds) = (Rc::new(Cell::new(None::<halfclose::Timer>)), visit.loops(Place::Interval), 0);
    let timer = own.clone();
    own.set(Some(halfclose::set_interval(Duration::from_millis(1), move || {
        rounds += 1;
        log.add("interval", rounds);
        if rounds == 3 {
            timer.take().expect("its own timer").clear();
        }
        passed();
    })));
    let passed = visit.clone();
    event_loop.on_unhandled_error(move |_, error| {
        log.add("unhandled", format!("error({error})"));
        passed.pass(Place::UnhandledError, Subject::Loop);
        Unhandled::Continue
    });
    let unhandled = Socket::new();
    unhandled.on_close(move |_, had_error| log.add("unhandled", format!("close({had_error})")));
    unhandled.destroy_with("nobody listens");
    let passed = visit.clone();
    halfclose::set_immediate(move || {
        let owner = Socket::new();
        owner.set_data(owner);
        halfclose::set_immediate(move || {
            log.add("data", format!("there: {}", owner.with_data(|_: &mut Socket| ()).is_ok()));
            owner.release();
        });
        let _ = owner.with_data(|owner: &mut Socket| passed.pass(Place::WithData, Subject::Socket(*owner)));
    });
}
