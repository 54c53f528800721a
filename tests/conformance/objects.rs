//! The servers and sockets of a scenario: how they are made, and the listeners that watch them and react.
//!
//! May touch: the public API. Invariant: a watching listener changes nothing, and comes before all others of its event.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use halfclose::net::{self, BoundSocket, ListenerId, Server, ServerEvent, Socket, SocketEvent};
use serde_json::Value;

use crate::play::{Connecting, Kind, Named, Play, Record, Serving};
use crate::trace::Subject;
use crate::values;

impl Play {
    /// The first callback of a scenario.
    pub(crate) fn start(self: &Rc<Self>) {
        let scenario = self.scenario.clone();
        for name in list(&scenario["aborted"]) {
            self.controller(name.as_str().unwrap_or_default()).abort();
        }
        for definition in list(&scenario["boundSockets"]) {
            self.make_bound(definition);
        }
        for (index, definition) in list(&scenario["servers"]).iter().enumerate() {
            self.make_server(definition, &name(definition, "srv", index));
        }
        for (index, definition) in list(&scenario["clients"]).iter().enumerate() {
            self.make_client(definition, &name(definition, "C", index));
        }
        let objects = self.objects.borrow().clone();
        for record in &objects {
            if matches!(record.kind, Kind::Server(_)) && record.definition["listen"] != Value::Bool(false) {
                let host = serde_json::json!({ "host": "127.0.0.1" });
                let listen = record.definition.get("listen").unwrap_or(&host);
                self.listen(record, listen, &Value::Null);
                self.perform(Some(&record.name), &record.definition["do"], None);
            }
        }
        for record in &objects {
            let connects = matches!(record.kind, Kind::Socket(_)) && record.definition["connect"] != Value::Bool(false);
            if connects && !self.awaits_listening(record) {
                self.connect_client(record);
            }
        }
        self.perform(None, &scenario["start"], None);
    }

    fn make_bound(self: &Rc<Self>, definition: &Value) {
        let name = definition["name"].as_str().expect("bound sockets have names");
        let bound = BoundSocket::new(self.bound_socket_options(definition));
        // Asked for now: an adopted one does not tell.
        let port = bound.as_ref().ok().and_then(|bound| bound.address().ok().flatten()).map(|address| address.port());
        let result = match &bound {
            Ok(_) => String::new(),
            Err(error) => format!(" throws {}", values::error(error)),
        };
        self.add_object(Record {
            name: name.to_owned(),
            definition: definition.clone(),
            kind: Kind::Bound(RefCell::new(bound.ok()), port),
        });
        self.note(name, "bind", &format!("[bind{result}]"));
    }

    fn make_server(self: &Rc<Self>, definition: &Value, name: &str) {
        let server = Server::with_options(self.server_options(&definition["options"]));
        let record = self.add_object(Record {
            name: name.to_owned(),
            definition: definition.clone(),
            kind: Kind::Server(Serving {
                server,
                accepted: Cell::new(0),
                closed: Cell::new(0),
                clients: RefCell::default(),
                last_port: Cell::new(None),
                announced: Cell::new(false),
            }),
        });
        let (play, own) = (self.clone(), record.clone());
        server.on_listening(move |_| play.server_listens(&own));
        let (play, own) = (self.clone(), record.clone());
        server.on_connection(move |_, socket| play.make_accepted(&own, socket));
        let (play, own) = (self.clone(), record.clone());
        server.on_drop(move |_, dropped| {
            let ends = dropped.local_address().zip(dropped.local_family());
            let remote = dropped.remote_address().zip(dropped.remote_family());
            let text = match (ends, remote) {
                (Some((local, family)), Some((remote, remote_family))) => {
                    format!("drop({local} {family} {remote} {remote_family})")
                }
                (None, _) | (_, None) => "drop()".to_owned(),
            };
            play.log(&own, "drop", &text);
        });
        if definition["onError"] != Value::Bool(false) {
            let (play, own) = (self.clone(), record.clone());
            server.on_error(move |_, error| play.log(&own, "error", &format!("error({})", values::error(error))));
        }
        let (play, own) = (self.clone(), record.clone());
        server.on_close(move |_| play.log(&own, "close", "close"));
        self.react(&record);
    }

    fn server_listens(self: &Rc<Self>, record: &Rc<Record>) {
        self.log(record, "listening", "listening");
        let serving = record.serving();
        if serving.announced.replace(true) {
            return;
        }
        serving.last_port.set(serving.server.address().map(|address| address.port()));
        self.peers.listening(&record.name, serving.server);
        let objects = self.objects.borrow().clone();
        for client in objects {
            let ours = self.server_of(&client).is_some_and(|server| Rc::ptr_eq(&server, record));
            if ours && self.awaits_listening(&client) {
                self.connect_client(&client);
            }
        }
    }

    fn make_accepted(self: &Rc<Self>, server: &Rc<Record>, socket: Socket) {
        let definitions = list(&server.definition["accepted"]);
        let index = server.serving().accepted.get();
        server.serving().accepted.set(index + 1);
        let own = index.min(definitions.len().saturating_sub(1));
        let definition = definitions.get(own).cloned().unwrap_or(Value::Null);
        let extra = index - own;
        let mut name = name(&definition, "S", own);
        if extra > 0 {
            // The last definition is that of all further connections.
            name = match definition["name"].as_str() {
                Some(name) => format!("{name}{}", extra + 1),
                None => format!("S{}", index + 1),
            };
        }
        self.log(server, "connection", &format!("connection {name}"));
        let record = self.add_object(Record {
            name,
            definition,
            kind: Kind::Socket(Connecting {
                socket: Cell::new(Some(socket)),
                server: Some(server.clone()),
                closes: Cell::new(0),
            }),
        });
        self.log(&record, "accepted", "accepted");
        self.watch_socket(&record);
        self.perform(Some(&record.name), &record.definition["do"], None);
    }

    fn make_client(self: &Rc<Self>, definition: &Value, name: &str) {
        let record = self.add_object(Record {
            name: name.to_owned(),
            definition: definition.clone(),
            kind: Kind::Socket(Connecting { socket: Cell::new(None), server: None, closes: Cell::new(0) }),
        });
        if let Some(server) = self.server_of(&record) {
            server.serving().clients.borrow_mut().push(record.clone());
        }
        if definition["netConnect"] == Value::Bool(true) {
            return;
        }
        let made = self.socket_options(&definition["options"]).map(Socket::with_options);
        let result = match &made {
            Ok(_) => String::new(),
            Err(error) => format!(" throws {}", values::error(error)),
        };
        let Kind::Socket(connecting) = &record.kind else { return };
        connecting.socket.set(made.ok());
        if let Some(socket) = connecting.socket.get() {
            self.read_into(&record, socket);
        }
        self.log(&record, "new", &format!("[new{result}]"));
        if connecting.socket.get().is_some() {
            self.watch_socket(&record);
        }
    }

    /// The option `onread`.
    fn read_into(self: &Rc<Self>, record: &Rc<Record>, socket: Socket) {
        let Some(onread) = record.definition["options"].get("onread") else { return };
        let size = onread["size"].as_u64().map_or(0, |size| size as usize);
        let mut answers = list(&onread["return"]).to_vec().into_iter();
        let (play, record) = (self.clone(), record.clone());
        let actions = onread["do"].clone();
        let (speaker, own) = (self.clone(), record.clone());
        let mut read = move |bytes: &[u8]| {
            speaker.log(&own, "onread", &format!("onread({})", values::bytes(bytes)));
            speaker.perform(Some(&own.name), &actions, None);
            answers.next() != Some(Value::Bool(false))
        };
        if onread["generate"] == Value::Bool(true) {
            let mut made = 0;
            let generate = move || {
                made += 1;
                play.log(&record, "onreadBuffer", &format!("onreadBuffer({made})"));
                vec![0; size]
            };
            socket.on_read_with(generate, move |_, bytes| read(&bytes));
        } else {
            socket.on_read(vec![0; size], move |_, bytes| read(bytes));
        }
    }

    /// The server that a client connects to by its definition.
    fn server_of(&self, record: &Record) -> Option<Rc<Record>> {
        let of_a_client = matches!(&record.kind, Kind::Socket(connecting) if connecting.server.is_none());
        if !of_a_client || record.definition["connect"] == Value::Bool(false) {
            return None;
        }
        let connect = self.connect_of(record);
        let server = self.object(connect["to"].as_str()?)?;
        matches!(server.kind, Kind::Server(_)).then_some(server)
    }

    /// Where a client connects to by its definition: to the first server, if it does not say.
    pub(crate) fn connect_of(&self, record: &Record) -> Value {
        let connect = match &record.definition["connect"] {
            Value::String(to) => return serde_json::json!({ "to": to }),
            Value::Object(connect) => connect.clone(),
            _ => serde_json::Map::new(),
        };
        let mut connect = connect;
        let says_where = ["to", "port", "path"].iter().any(|name| connect.contains_key(*name));
        if let (false, Some(first)) = (says_where, list(&self.scenario["servers"]).first()) {
            connect.insert("to".to_owned(), Value::from(name(first, "srv", 0)));
        }
        Value::Object(connect)
    }

    fn awaits_listening(&self, record: &Record) -> bool {
        self.server_of(record).is_some()
    }

    fn connect_client(self: &Rc<Self>, record: &Rc<Record>) {
        let connect = self.connect_of(record);
        if record.definition["netConnect"] == Value::Bool(true) {
            let options = self.connect_options(&connect, record);
            let made = net::connect(self.with_socket_options(options, &record.definition["options"]));
            let result = match &made {
                Ok(_) => String::new(),
                Err(error) => format!(" throws {}", values::error(error)),
            };
            let Kind::Socket(connecting) = &record.kind else { return };
            connecting.socket.set(made.ok());
            if connecting.socket.get().is_some() {
                self.watch_socket(record);
            }
            self.log(record, "net.connect", &format!("[net.connect{result}]"));
        } else {
            let callback = serde_json::json!({ "callback": record.definition["callback"] });
            self.connect(record, &connect, &callback);
        }
        self.perform(Some(&record.name), &record.definition["do"], None);
    }

    /// Listeners for every event that can be listened to without a change, and those that the definition asks for.
    fn watch_socket(self: &Rc<Self>, record: &Rc<Record>) {
        let socket = record.socket();
        // As in Node, where an object lives as long as somebody refers to it.
        socket.retain();
        macro_rules! plain {
            ($($on:ident $event:literal),*) => { $(
                let (play, own) = (self.clone(), record.clone());
                socket.$on(move |_| play.log(&own, $event, $event));
            )* };
        }
        plain!(
            on_connect "connect", on_ready "ready", on_end "end", on_finish "finish", on_drain "drain",
            on_timeout "timeout", on_pause "pause", on_resume "resume"
        );
        macro_rules! telling {
            ($($on:ident $event:literal $show:expr),*) => { $(
                let (play, own) = (self.clone(), record.clone());
                socket.$on(move |_, what| {
                    let text = format!("{}({})", $event, $show(what));
                    play.log(&own, $event, &text);
                });
            )* };
        }
        telling!(
            on_lookup "lookup" values::lookup,
            on_connection_attempt "connectionAttempt" values::attempt,
            on_connection_attempt_timeout "connectionAttemptTimeout" values::attempt
        );
        let (play, own) = (self.clone(), record.clone());
        socket.on_connection_attempt_failed(move |_, attempt, error| {
            let text = format!("connectionAttemptFailed({} {})", values::attempt(attempt), values::error(error));
            play.log(&own, "connectionAttemptFailed", &text);
        });
        let (play, own) = (self.clone(), record.clone());
        socket.on_pipe(move |_, source| play.log(&own, "pipe", &format!("pipe({})", play.name_of(source))));
        let (play, own) = (self.clone(), record.clone());
        socket.on_unpipe(move |_, source| play.log(&own, "unpipe", &format!("unpipe({})", play.name_of(source))));
        let (play, own) = (self.clone(), record.clone());
        socket.on_close(move |_, had_error| {
            play.log(&own, "close", &format!("close({had_error})"));
            play.socket_closed(&own);
        });
        if record.definition["onError"] != Value::Bool(false) {
            telling!(on_error "error" values::error);
        }
        if record.definition["onReadable"] == Value::Bool(true) {
            plain!(on_readable "readable");
        }
        if record.definition["onData"] != Value::Bool(false) {
            self.watch_data(record);
        }
        self.react(record);
    }

    pub(crate) fn watch_data(self: &Rc<Self>, record: &Rc<Record>) -> ListenerId {
        let (play, own) = (self.clone(), record.clone());
        record.socket().on_data(move |socket, bytes| {
            let text = if socket.readable_encoding().is_some() { "data text" } else { "data" };
            play.trace.borrow_mut().add(&own.name, "data", text, &Subject::Socket(socket), Some(bytes));
        })
    }

    pub(crate) fn watch_readable(self: &Rc<Self>, record: &Rc<Record>) -> ListenerId {
        let (play, own) = (self.clone(), record.clone());
        record.socket().on_readable(move |_| play.log(&own, "readable", "readable"))
    }

    fn name_of(&self, socket: Socket) -> String {
        let objects = self.objects.borrow();
        let found = objects.iter().find(|record| matches!(record.subject(), Subject::Socket(own) if own == socket));
        found.map_or_else(|| "?".to_owned(), |record| record.name.clone())
    }

    /// A server closes when everybody who is expected has come and gone.
    fn socket_closed(&self, record: &Record) {
        if let Kind::Socket(connecting) = &record.kind {
            connecting.closes.set(connecting.closes.get() + 1);
            if let Some(server) = &connecting.server {
                server.serving().closed.set(server.serving().closed.get() + 1);
            }
        }
        let has_closed =
            |client: &Rc<Record>| matches!(&client.kind, Kind::Socket(connecting) if connecting.closes.get() > 0);
        let objects = self.objects.borrow().clone();
        for record in objects {
            let Kind::Server(serving) = &record.kind else { continue };
            let close_after = &record.definition["closeAfter"];
            if *close_after == Value::Bool(false) || !serving.server.listening() {
                continue;
            }
            let peers = list(&self.scenario["peers"]).iter().filter(|peer| peer["connect"] == *record.name).count();
            let expected =
                close_after.as_u64().map_or(serving.clients.borrow().len() + peers, |connections| connections as usize);
            let all_closed = serving.clients.borrow().iter().all(has_closed);
            if expected > 0 && serving.closed.get() >= expected && all_closed {
                serving.server.close();
            }
        }
    }

    /// Listeners for the keys of `on`, in the order of the keys.
    fn react(self: &Rc<Self>, record: &Rc<Record>) {
        if let Some(on) = record.definition["on"].as_object() {
            for (key, actions) in on {
                self.add_reaction(record, key, actions, "on", None);
            }
        }
    }

    /// A listener for `[once ]event[ n]` that does `actions`.
    pub(crate) fn add_reaction(
        self: &Rc<Self>,
        record: &Rc<Record>,
        key: &str,
        actions: &Value,
        method: &str,
        alias: Option<&str>,
    ) {
        let (once, key) = match key.strip_prefix("once ") {
            Some(rest) => (true, rest),
            None => (method.to_ascii_lowercase().contains("once"), key),
        };
        let (event, nth) = match key.split_once(' ') {
            Some((event, nth)) => (event, nth.parse::<u64>().ok()),
            None => (key, None),
        };
        let (play, own, actions) = (self.clone(), record.clone(), actions.clone());
        let label = alias.map(str::to_owned);
        let mut count = 0;
        let call = move |data: Option<&[u8]>| {
            count += 1;
            if nth.is_some_and(|nth| nth != count) {
                return;
            }
            if let Some(label) = &label {
                play.log(&own, label, label);
            }
            play.perform(Some(&own.name), &actions, data);
        };
        let id = match &record.kind {
            Kind::Server(serving) => {
                let id = listen_to_server(serving.server, event, once, call);
                if method.starts_with("prepend") {
                    serving.server.prepend(id);
                }
                id
            }
            Kind::Socket(_) => {
                let socket = record.socket();
                let id = listen_to_socket(socket, event, once, call);
                if method.starts_with("prepend") {
                    socket.prepend(id);
                }
                id
            }
            Kind::Bound(..) => panic!("a bound socket has no events"),
        };
        if let Some(alias) = alias {
            self.named.borrow_mut().insert(alias.to_owned(), Named::Listener(id));
        }
    }
}

/// The items of a list that may be left out.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The name that a definition gives, or `first`, `first2`, `first3`, …
fn name(definition: &Value, first: &str, index: usize) -> String {
    match definition["name"].as_str() {
        Some(name) => name.to_owned(),
        None if index == 0 => first.to_owned(),
        None => format!("{first}{}", index + 1),
    }
}

fn listen_to_server(
    server: Server,
    event: &str,
    once: bool,
    mut call: impl FnMut(Option<&[u8]>) + 'static,
) -> ListenerId {
    macro_rules! listen {
        ($on:ident $once:ident $($more:pat_param)?) => {
            if once { server.$once(move |_ $(, $more)?| call(None)) } else { server.$on(move |_ $(, $more)?| call(None)) }
        };
    }
    match event {
        "listening" => listen!(on_listening once_listening),
        "connection" => listen!(on_connection once_connection _),
        "drop" => listen!(on_drop once_drop _),
        "error" => listen!(on_error once_error _),
        "close" => listen!(on_close once_close),
        _ => panic!("no event of servers: {event}"),
    }
}

fn listen_to_socket(
    socket: Socket,
    event: &str,
    once: bool,
    mut call: impl FnMut(Option<&[u8]>) + 'static,
) -> ListenerId {
    macro_rules! listen {
        ($on:ident $once:ident $($more:pat_param),*) => {
            if once {
                socket.$once(move |_ $(, $more)*| call(None))
            } else {
                socket.$on(move |_ $(, $more)*| call(None))
            }
        };
    }
    match event {
        "lookup" => listen!(on_lookup once_lookup _),
        "connectionAttempt" => listen!(on_connection_attempt once_connection_attempt _),
        "connectionAttemptFailed" => listen!(on_connection_attempt_failed once_connection_attempt_failed _, _),
        "connectionAttemptTimeout" => listen!(on_connection_attempt_timeout once_connection_attempt_timeout _),
        "connect" => listen!(on_connect once_connect),
        "ready" => listen!(on_ready once_ready),
        "readable" => listen!(on_readable once_readable),
        "pause" => listen!(on_pause once_pause),
        "resume" => listen!(on_resume once_resume),
        "end" => listen!(on_end once_end),
        "finish" => listen!(on_finish once_finish),
        "drain" => listen!(on_drain once_drain),
        "timeout" => listen!(on_timeout once_timeout),
        "pipe" => listen!(on_pipe once_pipe _),
        "unpipe" => listen!(on_unpipe once_unpipe _),
        "error" => listen!(on_error once_error _),
        "close" => listen!(on_close once_close _),
        "data" if once => socket.once_data(move |_, bytes| call(Some(bytes))),
        "data" => socket.on_data(move |_, bytes| call(Some(bytes))),
        _ => panic!("no event of sockets: {event}"),
    }
}

pub(crate) fn socket_event(name: &str) -> SocketEvent {
    match name {
        "lookup" => SocketEvent::Lookup,
        "connectionAttempt" => SocketEvent::ConnectionAttempt,
        "connectionAttemptFailed" => SocketEvent::ConnectionAttemptFailed,
        "connectionAttemptTimeout" => SocketEvent::ConnectionAttemptTimeout,
        "connect" => SocketEvent::Connect,
        "ready" => SocketEvent::Ready,
        "data" => SocketEvent::Data,
        "readable" => SocketEvent::Readable,
        "pause" => SocketEvent::Pause,
        "resume" => SocketEvent::Resume,
        "end" => SocketEvent::End,
        "finish" => SocketEvent::Finish,
        "drain" => SocketEvent::Drain,
        "timeout" => SocketEvent::Timeout,
        "pipe" => SocketEvent::Pipe,
        "unpipe" => SocketEvent::Unpipe,
        "error" => SocketEvent::Error,
        "close" => SocketEvent::Close,
        _ => panic!("no event of sockets: {name}"),
    }
}

pub(crate) fn server_event(name: &str) -> ServerEvent {
    match name {
        "listening" => ServerEvent::Listening,
        "connection" => ServerEvent::Connection,
        "drop" => ServerEvent::Drop,
        "error" => ServerEvent::Error,
        "close" => ServerEvent::Close,
        _ => panic!("no event of servers: {name}"),
    }
}
