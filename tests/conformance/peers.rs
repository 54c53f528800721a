//! Raw peers: plain sockets on threads of their own that follow a script and know nothing of the scenario.
//!
//! May touch: std's sockets, socket2 and threads. Invariant: nothing waits for longer than the scenario lasts.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use halfclose::net::Server;
use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::objects::list;
use crate::values;

/// How often a peer that waits looks whether the scenario is over.
const GLANCE: Duration = Duration::from_millis(20);

/// How long a peer may take to come to its end after the scenario has.
const GRACE: Duration = Duration::from_secs(1);

pub(crate) struct Peers {
    shared: Arc<Shared>,
    ports: Vec<(String, u16)>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Connections that fill the queue of somebody who never accepts, and that somebody.
    _held: Vec<Socket>,
}

/// What the peers' threads and the scenario's tell each other.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    addresses: Vec<(String, SockAddr)>,
    /// `go`s that were said and not yet waited for.
    going: Vec<String>,
    over: Option<Instant>,
    summaries: Vec<(String, String)>,
}

impl Peers {
    /// Those that listen do so when this returns.
    pub(crate) fn new(definitions: &Value) -> Peers {
        let shared = Arc::new(Shared::default());
        let mut peers = Peers { shared, ports: Vec::new(), threads: Mutex::default(), _held: Vec::new() };
        for definition in list(definitions) {
            let name = definition["name"].as_str().unwrap_or_default().to_owned();
            let (shared, definition) = (peers.shared.clone(), definition.clone());
            if definition.get("listen").is_none() {
                peers.spawn(move || connect(&shared, &name, &definition));
                continue;
            }
            let listener = listener(&definition["listen"]);
            let address = listener.local_addr().expect("an address").as_socket().expect("an internet address");
            peers.ports.push((name.clone(), address.port()));
            if definition.get("scripts").is_some() {
                peers.spawn(move || accept(&shared, &name, &listener, &definition));
                continue;
            }
            if definition["listen"]["fill"] == Value::Bool(true) {
                // Linux completes one connection more than the backlog says; all others are left unanswered.
                for _ in 0..=backlog(&definition["listen"]) {
                    peers._held.push(TcpStream::connect(address).expect("room in the queue").into());
                }
            }
            peers._held.push(listener);
        }
        peers
    }

    fn spawn(&self, body: impl FnOnce() + Send + 'static) {
        lock(&self.threads).push(std::thread::spawn(body));
    }

    pub(crate) fn port(&self, name: &str) -> Option<u16> {
        self.ports.iter().find(|(known, _)| known == name).map(|(_, port)| *port)
    }

    /// A server listens: those who wait for it connect.
    pub(crate) fn listening(&self, name: &str, server: Server) {
        let address = match (server.address(), server.path()) {
            (Some(address), _) if address.ip().is_unspecified() => {
                SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())))
            }
            (Some(address), _) => address.into(),
            // One of the greatest length is none here: peers cannot connect to it.
            (None, Some(path)) => match SockAddr::unix(path) {
                Ok(address) => address,
                Err(_) => return,
            },
            (None, None) => return,
        };
        lock(&self.shared.state).addresses.push((name.to_owned(), address));
        self.shared.changed.notify_all();
    }

    pub(crate) fn go(&self, name: &str) {
        lock(&self.shared.state).going.push(name.to_owned());
        self.shared.changed.notify_all();
    }

    /// Ends them all, and gives what each has seen.
    pub(crate) fn tear_down(&self) -> Vec<(String, String)> {
        lock(&self.shared.state).over = Some(Instant::now());
        self.shared.changed.notify_all();
        // Taken in turn, because a listening peer's thread starts others.
        loop {
            let Some(thread) = lock(&self.threads).pop() else { break };
            if thread.join().is_err() {
                panic!("a raw peer failed");
            }
        }
        std::mem::take(&mut lock(&self.shared.state).summaries)
    }
}

fn backlog(listen: &Value) -> i32 {
    listen["backlog"].as_i64().map_or(511, |backlog| backlog as i32)
}

fn listener(listen: &Value) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("bind");
    socket.listen(backlog(listen)).expect("listen");
    socket
}

fn accept(shared: &Arc<Shared>, name: &str, listener: &Socket, definition: &Value) {
    // Linux honours the receive timeout in accept, too.
    listener.set_read_timeout(Some(GLANCE)).expect("a receive timeout");
    let scripts = list(&definition["scripts"]);
    let mut threads = Vec::new();
    loop {
        // Who is in the queue when the scenario is over has connected: it is accepted still.
        let Ok((socket, _)) = listener.accept() else {
            if shared.is_over() {
                break;
            }
            continue;
        };
        let index = threads.len();
        let script = scripts.get(index.min(scripts.len().saturating_sub(1))).cloned().unwrap_or(Value::Null);
        let own = if index == 0 { name.to_owned() } else { format!("{name}{}", index + 1) };
        let (shared, signal) = (shared.clone(), name.to_owned());
        threads.push(std::thread::spawn(move || Player::new(shared, signal, socket).play(&own, &script)));
    }
    for thread in threads {
        thread.join().expect("a raw peer");
    }
}

fn connect(shared: &Arc<Shared>, name: &str, definition: &Value) {
    let Some(address) = shared.address(definition["connect"].as_str().unwrap_or_default()) else { return };
    let domain = if address.is_unix() { Domain::UNIX } else { address.domain() };
    let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
    if socket.connect(&address).is_ok() {
        Player::new(shared.clone(), name.to_owned(), socket).play(name, &definition["script"]);
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        lock(&self.state).over.is_some()
    }

    /// Whether the scenario has been over for so long that a peer gives up.
    fn is_long_over(&self) -> bool {
        lock(&self.state).over.is_some_and(|over| over.elapsed() > GRACE)
    }

    /// Where a server listens, as soon as it does; nothing when the scenario is over before.
    fn address(&self, name: &str) -> Option<SockAddr> {
        self.wait(|state| state.addresses.iter().find(|(known, _)| known == name).map(|(_, address)| address.clone()))
    }

    /// Waits until the scenario says `go`.
    fn wait_for_go(&self, name: &str) {
        self.wait(|state| {
            let index = state.going.iter().position(|going| going == name)?;
            state.going.remove(index);
            Some(())
        });
    }

    fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let mut state = lock(&self.state);
        loop {
            if let Some(found) = look(&mut state) {
                return Some(found);
            }
            if state.over.is_some() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// One connection of a raw peer.
struct Player {
    shared: Arc<Shared>,
    /// The name that `go` is said to.
    signal: String,
    socket: Option<Socket>,
    received: Vec<u8>,
    /// How many bytes its `read`s have asked for.
    wanted: usize,
    end: Option<&'static str>,
}

impl Player {
    fn new(shared: Arc<Shared>, signal: String, socket: Socket) -> Player {
        socket.set_read_timeout(Some(GLANCE)).expect("a receive timeout");
        socket.set_write_timeout(Some(GLANCE)).expect("a send timeout");
        // Unix sockets have no such option.
        let _ = socket.set_tcp_nodelay(true);
        Player { shared, signal, socket: Some(socket), received: Vec::new(), wanted: 0, end: None }
    }

    fn play(mut self, name: &str, script: &Value) {
        let mut held = false;
        for step in list(script) {
            let (verb, value) = match step {
                Value::String(verb) => (verb.as_str(), &Value::Null),
                _ => step
                    .as_object()
                    .and_then(|step| step.iter().next())
                    .map_or(("", step), |(verb, value)| (verb, value)),
            };
            if verb == "hold" {
                held = true;
                break;
            }
            self.step(verb, value);
        }
        if held {
            self.shared.wait(|_| None::<()>);
            self.end = Some("held");
        } else {
            self.read(usize::MAX);
        }
        let summary = format!("received {}, {}", values::bytes(&self.received), self.end.unwrap_or("open"));
        lock(&self.shared.state).summaries.push((name.to_owned(), summary));
    }

    fn step(&mut self, verb: &str, value: &Value) {
        match verb {
            "go" => self.shared.wait_for_go(&self.signal),
            "write" => match value {
                Value::String(text) => self.write(text.as_bytes()),
                _ => self.write(&values::pattern(value.as_u64().map_or(0, |size| size as usize))),
            },
            "writeHex" => self.write(&values::hex(value.as_str().unwrap_or_default())),
            "read" => {
                self.wanted += value.as_u64().map_or(0, |size| size as usize);
                self.read(self.wanted);
            }
            "readEnd" => self.read(usize::MAX),
            "end" => {
                if let Some(socket) = &self.socket {
                    let _ = socket.shutdown(Shutdown::Write);
                }
            }
            "reset" => {
                if let Some(socket) = self.socket.take() {
                    let _ = socket.set_linger(Some(Duration::ZERO));
                    self.end.get_or_insert("closed");
                }
            }
            "close" => {
                if self.socket.take().is_some() {
                    self.end.get_or_insert("closed");
                }
            }
            _ => panic!("no step of peers: {verb}"),
        }
    }

    /// Reads until there are `wanted` bytes in all, or nothing more can come; each time all that is there, as Node does.
    fn read(&mut self, wanted: usize) {
        let Some(socket) = &mut self.socket else { return };
        let mut buffer = [0; 65_536];
        while self.received.len() < wanted && self.end.is_none() {
            match socket.read(&mut buffer) {
                Ok(0) => self.end = Some("ended"),
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error) if is_timeout(&error) => {
                    if self.shared.is_long_over() {
                        return;
                    }
                }
                Err(_) => self.end = Some("reset"),
            }
        }
    }

    /// Writes everything, as far as the peer lets it.
    fn write(&mut self, bytes: &[u8]) {
        let Some(socket) = &mut self.socket else { return };
        let mut rest = bytes;
        while !rest.is_empty() {
            match socket.write(rest) {
                Ok(length) => rest = &rest[length..],
                Err(error) if is_timeout(&error) => {
                    if self.shared.is_long_over() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
