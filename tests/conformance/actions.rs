//! What a scenario does: one action after the other, each recorded with what it returned or with what it failed.
//!
//! May touch: the public API, and files in the scenario's own folder. What the verbs are is checked by `vocabulary`
//! before; a name that nobody has is found here.

use std::os::unix::fs::PermissionsExt as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use halfclose::net::{Chunk, Encoding, KeepAliveOptions, PipeOptions, Server, Socket};
use halfclose::{Error, Timer};
use serde_json::Value;

use crate::objects::{list, server_event, socket_event};
use crate::play::{Kind, Named, Play, Record, Thrown};
use crate::values;
use crate::vocabulary::MODIFIERS;

/// An action in its parts.
pub(crate) struct Action<'a> {
    pub(crate) owner: Option<&'a str>,
    pub(crate) verb: &'a str,
    pub(crate) value: &'a Value,
    pub(crate) whole: &'a Value,
}

impl Action<'_> {
    /// `"S.end"`, or `{ "S.end": "bye", "callback": "cb" }`. Nothing when there is not exactly one verb.
    pub(crate) fn new(action: &Value) -> Option<Action<'_>> {
        let (key, value) = match action {
            Value::String(key) => (key.as_str(), &Value::Null),
            Value::Object(fields) => {
                let mut verbs = fields.iter().filter(|(name, _)| !MODIFIERS.contains(&name.as_str()));
                let verb = verbs.next()?;
                if verbs.next().is_some() {
                    return None;
                }
                (verb.0.as_str(), verb.1)
            }
            _ => return None,
        };
        let (owner, verb) = match key.rsplit_once('.') {
            Some((owner, verb)) => (Some(owner), verb),
            None => (None, key),
        };
        Some(Action { owner, verb, value, whole: action })
    }

    fn text(&self, modifier: &str) -> Option<&str> {
        self.whole.get(modifier)?.as_str()
    }
}

/// ` "abc"`, ` 5`, or nothing for what is not shown.
fn shown(value: &Value) -> String {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => format!(" {value}"),
    }
}

fn outcome<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => String::new(),
        Err(error) => format!(" throws {}", values::error(&error)),
    }
}

fn returned(value: impl ToString) -> String {
    format!(" -> {}", value.to_string())
}

/// `cb`, or `cb(why)`.
fn called(label: &str, result: Result<(), &Error>) -> String {
    match result {
        Ok(()) => label.to_owned(),
        Err(error) => format!("{label}({})", values::error(error)),
    }
}

/// The bytes of a `write` or `end`: a text, in an encoding of its own if it says so, a number of bytes, or what has just
/// been received.
fn chunk<'a>(action: &Action<'a>, data: Option<&'a [u8]>) -> Chunk<'a> {
    match (action.value, action.text("encoding")) {
        (Value::String(text), _) if text == "$data" => Chunk::from(data.unwrap_or_default()),
        (Value::String(text), Some(name)) => Chunk::encoded(text.as_str(), encoding(name)),
        (Value::String(text), None) => Chunk::from(text.as_str()),
        (value, _) => Chunk::from(values::pattern(value.as_u64().map_or(0, |size| size as usize))),
    }
}

fn encoding(name: &str) -> Encoding {
    Encoding::from_name(name).unwrap_or_else(|| panic!("no encoding: {name}"))
}

fn milliseconds(value: &Value) -> Duration {
    Duration::from_secs_f64(value.as_f64().unwrap_or(0.0) / 1000.0)
}

impl Play {
    /// Does `actions`; those without a name of their own are about `own`.
    pub(crate) fn perform(self: &Rc<Self>, own: Option<&str>, actions: &Value, data: Option<&[u8]>) {
        for action in list(actions) {
            if self.exited.get() && halfclose::position().is_none() {
                return;
            }
            let action = Action::new(action).unwrap_or_else(|| panic!("not one verb: {action}"));
            self.perform_one(own, &action, data);
        }
    }

    fn perform_one(self: &Rc<Self>, own: Option<&str>, action: &Action<'_>, data: Option<&[u8]>) {
        match action.owner {
            Some("timers") => return self.timer(own, action, data),
            Some("file") => return self.file(action),
            Some(owner) if action.verb == "go" => return self.peers.go(owner),
            Some(_) => {}
            None if self.general(own, action, data) => return,
            None => {}
        }
        let owner = action.owner.or(own).unwrap_or_else(|| panic!("whose action is it? {}", action.whole));
        let record = self.expect_object(owner);
        match &record.kind {
            Kind::Server(serving) => self.server(&record, serving.server, action),
            Kind::Socket(_) => self.socket(&record, record.socket(), action, data),
            Kind::Bound(..) => self.bound(&record, action),
        }
    }

    /// Records that an action was done.
    fn done(&self, record: &Record, action: &Action<'_>, result: &str) {
        let text = format!("[{}{}{result}]", action.verb, shown(action.value));
        self.log(record, action.verb, &text);
    }

    /// A callback that does `actions` and says its name.
    fn later(
        self: &Rc<Self>,
        own: Option<&str>,
        action: &Action<'_>,
        actions: &Value,
        data: Option<&[u8]>,
    ) -> impl FnMut() + 'static + use<> {
        let (play, actions) = (self.clone(), actions.clone());
        let own = own.map(str::to_owned);
        let label = action.text("as").map(str::to_owned);
        let data = data.map(<[u8]>::to_vec);
        move || {
            if let Some(label) = &label {
                play.note("loop", label, label);
            }
            play.perform(own.as_deref(), &actions, data.as_deref());
        }
    }

    /// Verbs without an object. False when it is none.
    fn general(self: &Rc<Self>, own: Option<&str>, action: &Action<'_>, data: Option<&[u8]>) -> bool {
        let value = action.value;
        let text = || value.as_str().unwrap_or_default().to_owned();
        match action.verb {
            "nextTick" => halfclose::next_tick(self.later(own, action, value, data)),
            "setImmediate" => {
                let immediate = halfclose::set_immediate(self.later(own, action, value, data));
                if let Some(name) = action.text("as") {
                    self.named.borrow_mut().insert(name.to_owned(), Named::Immediate(immediate));
                }
            }
            "clearImmediate" => match self.named.borrow().get(&text()) {
                Some(Named::Immediate(immediate)) => immediate.clear(),
                Some(Named::Listener(_) | Named::Timer(_)) | None => panic!("no immediate: {value}"),
            },
            "meet" => {
                let mut meetings = self.meetings.borrow_mut();
                let arrived = meetings.entry(text()).or_insert(0);
                *arrived += 1;
                if Some(*arrived) == action.whole["of"].as_u64() {
                    halfclose::set_immediate(self.later(own, action, &action.whole["do"], data));
                }
            }
            "busy" => {
                let start = Instant::now();
                while start.elapsed() < milliseconds(value) {
                    std::hint::spin_loop();
                }
            }
            "log" => self.note("loop", "log", &text()),
            "abort" => {
                let controller = self.controller(&text());
                match action.text("reason") {
                    Some(reason) => controller.abort_with(reason),
                    None => controller.abort(),
                }
                self.note("loop", "abort", &format!("[abort{}]", shown(value)));
            }
            "exit" => {
                self.exited.set(true);
                halfclose::stop();
            }
            "throw" => {
                self.note("loop", "uncaught", &format!("uncaught({})", text()));
                std::panic::resume_unwind(Box::new(Thrown));
            }
            _ => return false,
        }
        true
    }

    fn timer(self: &Rc<Self>, own: Option<&str>, action: &Action<'_>, data: Option<&[u8]>) {
        let run = |play: &Rc<Self>| play.later(own, action, &action.whole["do"], data);
        let made = match action.verb {
            "setTimeout" => halfclose::set_timeout(milliseconds(action.value), run(self)),
            "setInterval" => halfclose::set_interval(milliseconds(action.value), run(self)),
            _ => {
                let timer = self.named_timer(action.value.as_str().unwrap_or_default());
                match action.verb {
                    "clear" => timer.clear(),
                    "refresh" => drop(timer.refresh()),
                    "ref" => drop(timer.ref_()),
                    "unref" => drop(timer.unref()),
                    verb => panic!("no verb of timers: {verb}"),
                }
                return;
            }
        };
        if let Some(name) = action.text("as") {
            self.named.borrow_mut().insert(name.to_owned(), Named::Timer(made));
        }
    }

    fn named_timer(&self, name: &str) -> Timer {
        match self.named.borrow().get(name) {
            Some(Named::Timer(timer)) => *timer,
            Some(Named::Listener(_) | Named::Immediate(_)) | None => panic!("no timer is called {name}"),
        }
    }

    fn file(&self, action: &Action<'_>) {
        let place = self.directory.join(action.value.as_str().unwrap_or_default());
        let result = match action.verb {
            "create" => outcome(std::fs::write(&place, "").map_err(Error::from)),
            "remove" => std::fs::remove_file(&place)
                .map_or_else(|error| file_failed("unlink", action, &error), |()| outcome(Ok(()))),
            "exists" => returned(place.exists()),
            "mode" => match std::fs::metadata(&place) {
                Ok(metadata) => returned(values::quoted(&format!("{:o}", metadata.permissions().mode() & 0o777))),
                Err(error) => file_failed("stat", action, &error),
            },
            verb => panic!("no verb of files: {verb}"),
        };
        self.note("file", action.verb, &format!("[{}{}{result}]", action.verb, shown(action.value)));
    }

    fn bound(&self, record: &Record, action: &Action<'_>) {
        let Kind::Bound(bound, _) = &record.kind else { return };
        let bound = bound.borrow();
        let bound = bound.as_ref().unwrap_or_else(|| panic!("{} could not be bound", record.name));
        let result = match action.verb {
            "close" => outcome(bound.close()),
            "address" => match (bound.path(), bound.address()) {
                (Ok(Some(path)), _) => returned(values::quoted(&path.to_string_lossy())),
                (_, Ok(address)) => returned(values::address(address)),
                (_, Err(error)) => outcome::<()>(Err(error)),
            },
            verb => panic!("no verb of bound sockets: {verb}"),
        };
        self.done(record, action, &result);
    }

    /// What a callback does that was given a name: says it, and does what follows.
    fn call(
        self: &Rc<Self>,
        record: &Rc<Record>,
        action: &Action<'_>,
    ) -> Option<impl FnOnce(String) + 'static + use<>> {
        let label = action.text("callback")?.to_owned();
        let (play, record, then) = (self.clone(), record.clone(), action.whole["then"].clone());
        Some(move |given: String| {
            play.log(&record, "callback", &format!("{label}{given}"));
            play.perform(Some(&record.name), &then, None);
        })
    }

    /// The callback of a `write`, an `end` or a server's `close`.
    fn completion(
        self: &Rc<Self>,
        record: &Rc<Record>,
        action: &Action<'_>,
    ) -> Option<impl FnOnce(Result<(), &Error>) + 'static + use<>> {
        let call = self.call(record, action)?;
        Some(move |result: Result<(), &Error>| call(called("", result)))
    }

    fn server(self: &Rc<Self>, record: &Rc<Record>, server: Server, action: &Action<'_>) {
        let value = action.value;
        let text = value.as_str().unwrap_or_default();
        let result = match action.verb {
            "listen" => return self.listen(record, value, action.whole),
            "close" => {
                match self.completion(record, action) {
                    Some(callback) => server.close_with(move |_, result| callback(result)),
                    None => server.close(),
                };
                String::new()
            }
            "getConnections" => {
                let callback = self.call(record, action);
                server.get_connections(move |count| {
                    if let Some(callback) = callback {
                        callback(format!("({count})"));
                    }
                });
                String::new()
            }
            "ref" => {
                server.ref_();
                String::new()
            }
            "unref" => {
                server.unref();
                String::new()
            }
            "address" => returned(match server.path() {
                Some(path) => values::quoted(&path.to_string_lossy()),
                None => values::address(server.address()),
            }),
            "on" | "once" | "prependListener" | "prependOnceListener" => {
                return self.add_reaction(record, text, &action.whole["do"], action.verb, action.text("as"));
            }
            "off" => {
                self.remove(text, |id| server.off(id));
                String::new()
            }
            "removeAllListeners" => {
                server.remove_all_listeners(value.as_str().map(server_event));
                String::new()
            }
            "listenerCount" => returned(server.listener_count(server_event(text))),
            "get" => return self.get(record, value, |name| values::server_property(server, name)),
            "set" => return self.set(record, value, |name, value| set_server(server, name, value)),
            verb => panic!("no verb of servers: {verb}"),
        };
        self.done(record, action, &result);
    }

    pub(crate) fn listen(self: &Rc<Self>, record: &Rc<Record>, value: &Value, whole: &Value) {
        let server = record.serving().server;
        let action = Action { owner: None, verb: "listen", value: &Value::Null, whole };
        let options = self.listen_options(value);
        let result = match self.call(record, &action) {
            Some(callback) => server.listen_with(options, move |_| callback(String::new())),
            None => server.listen(options),
        };
        self.done(record, &action, &outcome(result));
    }

    pub(crate) fn connect(self: &Rc<Self>, record: &Rc<Record>, value: &Value, whole: &Value) {
        let action = Action { owner: None, verb: "connect", value: &Value::Null, whole };
        let options = self.connect_options(value, record);
        let socket = record.socket();
        let result = match self.call(record, &action) {
            Some(callback) => socket.connect_with(options, move |_| callback(String::new())),
            None => socket.connect(options),
        };
        self.done(record, &action, &outcome(result));
    }

    fn socket(self: &Rc<Self>, record: &Rc<Record>, socket: Socket, action: &Action<'_>, data: Option<&[u8]>) {
        let value = action.value;
        let text = value.as_str().unwrap_or_default();
        let mut result = String::new();
        match action.verb {
            "connect" => {
                let to = match value {
                    Value::String(to) => serde_json::json!({ "to": to }),
                    Value::Null => self.connect_of(record),
                    _ => value.clone(),
                };
                return self.connect(record, &to, action.whole);
            }
            "write" => {
                let bytes = chunk(action, data);
                result = returned(match self.completion(record, action) {
                    Some(callback) => socket.write_with(bytes, move |_, result| callback(result)),
                    None => socket.write(bytes),
                });
            }
            "end" => {
                let callback = self.completion(record, action);
                match (value.is_null(), callback) {
                    (true, None) => socket.end(),
                    (true, Some(callback)) => socket.end_with(move |_, result| callback(result)),
                    (false, None) => socket.end_data(chunk(action, data)),
                    (false, Some(callback)) => {
                        socket.end_data_with(chunk(action, data), move |_, result| callback(result))
                    }
                };
            }
            "destroy" if value.is_null() => drop(socket.destroy()),
            "destroy" => drop(socket.destroy_with(text)),
            "destroySoon" => drop(socket.destroy_soon()),
            "resetAndDestroy" => result = outcome(socket.reset_and_destroy()),
            "pause" => drop(socket.pause()),
            "resume" => drop(socket.resume()),
            "cork" => drop(socket.cork()),
            "uncork" => drop(socket.uncork()),
            "read" => result = returned(read(socket, value).unwrap_or_else(|| "null".to_owned())),
            "readAll" => {
                // Bounded by what is buffered.
                loop {
                    let got = read(socket, &Value::Null);
                    let more = got.is_some();
                    let shown = got.unwrap_or_else(|| "null".to_owned());
                    self.log(record, "read", &format!("[read -> {shown}]"));
                    if !more {
                        return;
                    }
                }
            }
            "unshift" => {
                let bytes = match value {
                    Value::String(text) if text == "$data" => data.unwrap_or_default().to_vec(),
                    Value::String(text) => text.clone().into_bytes(),
                    _ => values::pattern(value.as_u64().map_or(0, |size| size as usize)),
                };
                socket.unshift(bytes);
            }
            "setEncoding" => drop(socket.set_encoding(encoding(text))),
            "setDefaultEncoding" => drop(socket.set_default_encoding(encoding(text))),
            "setTimeout" => {
                match self.call(record, action) {
                    Some(callback) => socket.set_timeout_with(milliseconds(value), move |_| callback(String::new())),
                    None => socket.set_timeout(milliseconds(value)),
                };
            }
            "setNoDelay" => drop(socket.set_no_delay(value.as_bool().unwrap_or(true))),
            "setKeepAlive" => drop(set_keep_alive(socket, value)),
            "setTypeOfService" => {
                result = outcome(socket.set_type_of_service(value.as_u64().map_or(0, |value| value as u8)));
            }
            "getTypeOfService" => {
                result = match socket.type_of_service() {
                    Ok(value) => returned(value),
                    Err(error) => outcome::<()>(Err(error)),
                };
            }
            "ref" => drop(socket.ref_()),
            "unref" => drop(socket.unref()),
            "address" => result = returned(values::address(socket.address())),
            "pipe" => {
                let (to, end) = match value {
                    Value::String(to) => (to.as_str(), true),
                    _ => (value["to"].as_str().unwrap_or_default(), value["end"].as_bool().unwrap_or(true)),
                };
                socket.pipe_with(self.expect_object(to).socket(), PipeOptions::new().end(end));
                return self.log(record, "pipe", &format!("[pipe {}]", values::quoted(to)));
            }
            "unpipe" if value.is_null() => drop(socket.unpipe_all()),
            "unpipe" => drop(socket.unpipe(self.expect_object(text).socket())),
            "on" | "once" | "prependListener" | "prependOnceListener" => {
                match (text, action.whole.get("do")) {
                    ("data", None) => drop(self.watch_data(record)),
                    ("readable", None) => drop(self.watch_readable(record)),
                    (_, actions) => {
                        let actions = actions.unwrap_or(&Value::Null);
                        self.add_reaction(record, text, actions, action.verb, action.text("as"));
                    }
                }
                return;
            }
            "off" => self.remove(text, |id| socket.off(id)),
            "removeAllListeners" => drop(socket.remove_all_listeners(value.as_str().map(socket_event))),
            "listenerCount" => result = returned(socket.listener_count(socket_event(text))),
            "get" => return self.get(record, value, |name| values::socket_property(socket, name)),
            "set" => return self.set(record, value, |name, value| set_socket(socket, name, value)),
            verb => panic!("no verb of sockets: {verb}"),
        }
        self.done(record, action, &result);
    }

    fn remove(&self, name: &str, off: impl FnOnce(halfclose::net::ListenerId) -> bool) {
        // The name stays: taken off twice, it is not there the second time.
        let listener = match self.named.borrow().get(name) {
            Some(Named::Listener(id)) => Some(*id),
            Some(Named::Timer(_) | Named::Immediate(_)) | None => None,
        };
        match listener {
            Some(id) => drop(off(id)),
            None => panic!("no listener is called {name}"),
        }
    }

    fn get(&self, record: &Record, names: &Value, property: impl Fn(&str) -> Option<String>) {
        let one = std::slice::from_ref(names);
        for name in names.as_array().map_or(one, Vec::as_slice) {
            let name = name.as_str().unwrap_or_default();
            let value = property(name).unwrap_or_else(|| panic!("{} has no property {name}", record.name));
            self.log(record, "get", &format!("[get {} -> {value}]", values::quoted(name)));
        }
    }

    fn set(&self, record: &Record, values: &Value, set: impl Fn(&str, &Value)) {
        for (name, value) in values.as_object().into_iter().flatten() {
            set(name, value);
            self.log(record, "set", &format!("[set {name}{}]", shown(value)));
        }
    }
}

/// `read()` or `read(n)`, in the view that the socket has.
fn read(socket: Socket, size: &Value) -> Option<String> {
    let size = size.as_u64().map(|size| size as usize);
    if socket.readable_encoding().is_some() {
        let text = size.map_or_else(|| socket.read_text(), |size| socket.read_text_exactly(size));
        return text.map(|text| values::bytes(text.as_bytes()));
    }
    let bytes = size.map_or_else(|| socket.read(), |size| socket.read_exactly(size));
    bytes.map(|bytes| values::bytes(&bytes))
}

fn set_keep_alive(socket: Socket, value: &Value) -> Socket {
    let Some(fields) = value.as_object() else {
        return socket.set_keep_alive(value.as_bool().unwrap_or(false), Duration::ZERO);
    };
    let mut options = KeepAliveOptions::new();
    for (name, value) in fields {
        options = match name.as_str() {
            "enable" => options.enable(value.as_bool().unwrap_or(false)),
            "initialDelay" => options.initial_delay(milliseconds(value)),
            "interval" => options.interval(milliseconds(value)),
            _ => options.count(value.as_u64().map_or(0, |count| count as u32)),
        };
    }
    socket.set_keep_alive_with(options)
}

fn set_socket(socket: Socket, name: &str, value: &Value) {
    match name {
        "allowHalfOpen" => socket.set_allow_half_open(value.as_bool().unwrap_or(false)),
        _ => panic!("a socket's {name} cannot be set"),
    };
}

fn set_server(server: Server, name: &str, value: &Value) {
    let on = value.as_bool().unwrap_or(false);
    let number = value.as_u64().map(|number| number as usize);
    match name {
        "maxConnections" => server.set_max_connections(number),
        "allowHalfOpen" => server.set_allow_half_open(on),
        "pauseOnConnect" => server.set_pause_on_connect(on),
        "noDelay" => server.set_no_delay(on),
        "keepAlive" => server.set_keep_alive(on),
        // A number of seconds in Node, other than the option of the same name.
        "keepAliveInitialDelay" => server.set_keep_alive_initial_delay(Duration::from_secs(number.unwrap_or(0) as u64)),
        "highWaterMark" => server.set_high_water_mark(number.unwrap_or(0)),
        _ => panic!("a server's {name} cannot be set"),
    };
}

/// As Node's `fs` says it.
fn file_failed(call: &str, action: &Action<'_>, error: &std::io::Error) -> String {
    let name = action.value.as_str().unwrap_or_default();
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!(" throws ENOENT: ENOENT: no such file or directory, {call} 'DIR/{name}' syscall={call}")
        }
        _ => format!(" throws {error}"),
    }
}
