//! What a scenario may say. Whatever else it says is refused with its place: `clients[0].on.connect[2]: no verb …`.
//!
//! May touch: nothing but the text of the scenario. Invariant: what passes here is understood by `objects`, `actions`
//! and `options`, except for names that only come up while it is played.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::actions::Action;
use crate::objects::list;

/// What an action may carry beside its verb.
pub(crate) const MODIFIERS: [&str; 7] = ["callback", "then", "as", "do", "reason", "of", "encoding"];

/// What a field or a verb's value may be.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// Nothing: a verb alone.
    Nothing,
    Text,
    Flag,
    Number,
    /// A text or a number of bytes.
    Bytes,
    Actions,
    /// A number, or the name of somebody with a port.
    Port,
    Texts,
    Options(Fields),
    Definitions(Fields),
    /// Reactions by event.
    SocketReactions,
    ServerReactions,
    SocketEvent,
    ServerEvent,
    /// Steps of a raw peer.
    Script,
    Scripts,
    /// `false`, or another form's: a field that switches something off.
    Or(&'static Form, &'static Form),
}

type Fields = &'static [(&'static str, Form)];

use Form::{
    Actions, Bytes, Definitions, Flag, Nothing, Number, Options, Or, Port, Script, Scripts, ServerEvent,
    ServerReactions, SocketEvent, SocketReactions, Text, Texts,
};

const SCENARIO: Fields = &[
    ("description", Text),
    ("rules", Texts),
    ("differs", Text),
    ("compare", Text),
    ("chunks", Text),
    ("omit", Texts),
    ("aborted", Texts),
    ("boundSockets", Definitions(BOUND_SOCKET)),
    ("servers", Definitions(SERVER)),
    ("clients", Definitions(CLIENT)),
    ("peers", Definitions(PEER)),
    ("start", Actions),
];

const SERVER: Fields = &[
    ("name", Text),
    ("options", Options(SERVER_OPTIONS)),
    ("listen", Or(&Flag, &Options(LISTEN_OPTIONS))),
    ("do", Actions),
    ("on", ServerReactions),
    ("onError", Flag),
    ("accepted", Definitions(ACCEPTED)),
    ("closeAfter", Or(&Flag, &Number)),
];

const ACCEPTED: Fields = &[
    ("name", Text),
    ("do", Actions),
    ("on", SocketReactions),
    ("onData", Flag),
    ("onReadable", Flag),
    ("onError", Flag),
];

const CLIENT: Fields = &[
    ("name", Text),
    ("options", Options(SOCKET_OPTIONS)),
    ("connect", Or(&Flag, &Or(&Text, &Options(CONNECT_OPTIONS)))),
    ("callback", Text),
    ("netConnect", Flag),
    ("do", Actions),
    ("on", SocketReactions),
    ("onData", Flag),
    ("onReadable", Flag),
    ("onError", Flag),
];

const PEER: Fields = &[
    ("name", Text),
    ("connect", Text),
    ("script", Script),
    ("listen", Or(&Flag, &Options(&[("backlog", Number), ("fill", Flag)]))),
    ("scripts", Scripts),
];

const BOUND_SOCKET: Fields =
    &[("name", Text), ("host", Text), ("port", Port), ("path", Text), ("ipv6Only", Flag), ("reusePort", Flag)];

pub(crate) const SERVER_OPTIONS: Fields = &[
    ("allowHalfOpen", Flag),
    ("pauseOnConnect", Flag),
    ("noDelay", Flag),
    ("keepAlive", Flag),
    ("keepAliveInitialDelay", Number),
    ("highWaterMark", Number),
    ("blockList", Texts),
];

pub(crate) const SOCKET_OPTIONS: Fields = &[
    ("allowHalfOpen", Flag),
    ("highWaterMark", Number),
    ("readableHighWaterMark", Number),
    ("writableHighWaterMark", Number),
    ("noDelay", Flag),
    ("keepAlive", Flag),
    ("keepAliveInitialDelay", Number),
    ("typeOfService", Number),
    ("signal", Text),
    ("blockList", Texts),
    ("readable", Flag),
    ("writable", Flag),
    ("handle", Text),
    ("onread", Options(&[("size", Number), ("return", Texts), ("generate", Flag), ("do", Actions)])),
];

pub(crate) const LISTEN_OPTIONS: Fields = &[
    ("port", Port),
    ("host", Text),
    ("path", Text),
    ("backlog", Number),
    ("ipv6Only", Flag),
    ("reusePort", Flag),
    ("readableAll", Flag),
    ("writableAll", Flag),
    ("signal", Text),
    ("handle", Text),
    ("fd", Text),
];

pub(crate) const CONNECT_OPTIONS: Fields = &[
    ("to", Text),
    ("port", Port),
    ("host", Text),
    ("path", Text),
    ("localAddress", Text),
    ("localPort", Port),
    ("family", Number),
    ("hints", Number),
    ("timeout", Number),
    ("autoSelectFamily", Flag),
    ("autoSelectFamilyAttemptTimeout", Number),
    ("lookup", Options(&[("addresses", Texts), ("error", Text), ("when", Text)])),
];

const KEEP_ALIVE_OPTIONS: Fields =
    &[("enable", Flag), ("initialDelay", Number), ("interval", Number), ("count", Number)];

pub(crate) const SOCKET_EVENTS: [&str; 18] = [
    "lookup",
    "connectionAttempt",
    "connectionAttemptFailed",
    "connectionAttemptTimeout",
    "connect",
    "ready",
    "data",
    "readable",
    "pause",
    "resume",
    "end",
    "finish",
    "drain",
    "timeout",
    "pipe",
    "unpipe",
    "error",
    "close",
];

pub(crate) const SERVER_EVENTS: [&str; 5] = ["listening", "connection", "drop", "error", "close"];

/// A verb: its name, what its value may be, and the modifiers it takes.
pub(crate) type Verb = (&'static str, Form, &'static [&'static str]);

const CALLBACK: &[&str] = &["callback", "then"];

const TEXT: &[&str] = &["callback", "then", "encoding"];

/// Verbs without an object.
pub(crate) const GENERAL_VERBS: &[Verb] = &[
    ("nextTick", Actions, &["as"]),
    ("setImmediate", Actions, &["as"]),
    ("clearImmediate", Text, &[]),
    ("meet", Text, &["of", "do", "as"]),
    ("busy", Number, &[]),
    ("log", Text, &[]),
    ("abort", Text, &["reason"]),
    ("exit", Nothing, &[]),
    ("throw", Text, &[]),
];

pub(crate) const SOCKET_VERBS: &[Verb] = &[
    ("connect", Or(&Nothing, &Or(&Text, &Options(CONNECT_OPTIONS))), CALLBACK),
    ("write", Bytes, TEXT),
    ("end", Or(&Nothing, &Bytes), TEXT),
    ("destroy", Or(&Nothing, &Text), &[]),
    ("destroySoon", Nothing, &[]),
    ("resetAndDestroy", Nothing, &[]),
    ("pause", Nothing, &[]),
    ("resume", Nothing, &[]),
    ("cork", Nothing, &[]),
    ("uncork", Nothing, &[]),
    ("read", Or(&Nothing, &Number), &[]),
    ("readAll", Nothing, &[]),
    ("unshift", Bytes, &[]),
    ("setEncoding", Text, &[]),
    ("setDefaultEncoding", Text, &[]),
    ("setTimeout", Number, CALLBACK),
    ("setNoDelay", Or(&Nothing, &Flag), &[]),
    ("setKeepAlive", Or(&Flag, &Options(KEEP_ALIVE_OPTIONS)), &[]),
    ("setTypeOfService", Number, &[]),
    ("getTypeOfService", Nothing, &[]),
    ("ref", Nothing, &[]),
    ("unref", Nothing, &[]),
    ("address", Nothing, &[]),
    ("pipe", Or(&Text, &Options(&[("to", Text), ("end", Flag)])), &[]),
    ("unpipe", Or(&Nothing, &Text), &[]),
    ("on", SocketEvent, &["do", "as"]),
    ("once", SocketEvent, &["do", "as"]),
    ("prependListener", SocketEvent, &["do", "as"]),
    ("prependOnceListener", SocketEvent, &["do", "as"]),
    ("off", Text, &[]),
    ("removeAllListeners", Or(&Nothing, &SocketEvent), &[]),
    ("listenerCount", SocketEvent, &[]),
    ("get", Or(&Text, &Texts), &[]),
    ("set", Options(&[("allowHalfOpen", Flag)]), &[]),
];

pub(crate) const SERVER_VERBS: &[Verb] = &[
    ("listen", Or(&Nothing, &Options(LISTEN_OPTIONS)), CALLBACK),
    ("close", Nothing, CALLBACK),
    ("getConnections", Nothing, CALLBACK),
    ("ref", Nothing, &[]),
    ("unref", Nothing, &[]),
    ("address", Nothing, &[]),
    ("on", ServerEvent, &["do", "as"]),
    ("once", ServerEvent, &["do", "as"]),
    ("prependListener", ServerEvent, &["do", "as"]),
    ("prependOnceListener", ServerEvent, &["do", "as"]),
    ("off", Text, &[]),
    ("removeAllListeners", Or(&Nothing, &ServerEvent), &[]),
    ("listenerCount", ServerEvent, &[]),
    ("get", Or(&Text, &Texts), &[]),
    (
        "set",
        Options(&[
            ("maxConnections", Or(&Nothing, &Number)),
            ("allowHalfOpen", Flag),
            ("pauseOnConnect", Flag),
            ("noDelay", Flag),
            ("keepAlive", Flag),
            ("keepAliveInitialDelay", Number),
            ("highWaterMark", Number),
        ]),
        &[],
    ),
];

const TIMER_VERBS: &[Verb] = &[
    ("setTimeout", Number, &["do", "as"]),
    ("setInterval", Number, &["do", "as"]),
    ("clear", Text, &[]),
    ("refresh", Text, &[]),
    ("ref", Text, &[]),
    ("unref", Text, &[]),
];

const FILE_VERBS: &[Verb] = &[("create", Text, &[]), ("remove", Text, &[]), ("exists", Text, &[]), ("mode", Text, &[])];

const BOUND_VERBS: &[Verb] = &[("close", Nothing, &[]), ("address", Nothing, &[])];

const PEER_VERBS: &[Verb] = &[("go", Nothing, &[])];

const STEPS: Fields = &[
    ("go", Nothing),
    ("write", Bytes),
    ("writeHex", Text),
    ("read", Number),
    ("readEnd", Nothing),
    ("end", Nothing),
    ("reset", Nothing),
    ("close", Nothing),
    ("hold", Nothing),
];

/// Refuses what is not understood.
pub(crate) fn check(scenario: &Value) -> Result<(), String> {
    let checker = Checker { names: names(scenario) };
    checker.fields(scenario, SCENARIO, "")?;
    for field in ["description", "rules"] {
        if scenario.get(field).is_none() {
            return Err(format!("it has no \"{field}\""));
        }
    }
    for field in ["peers", "boundSockets"] {
        for (index, definition) in list(&scenario[field]).iter().enumerate() {
            if definition.get("name").is_none() {
                return Err(format!("{field}[{index}]: it has no \"name\""));
            }
        }
    }
    let words = [("compare", ["whole", "perEndpoint"]), ("chunks", ["exact", "folded"])];
    for (field, known) in words {
        if let Some(value) = scenario[field].as_str() {
            if !known.contains(&value) {
                return Err(format!("{field}: {value:?} is neither {:?} nor {:?}", known[0], known[1]));
            }
        }
    }
    Ok(())
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Kind {
    Server,
    Socket,
    Bound,
    Peer,
}

/// Who is called how, as far as it is known before.
fn names(scenario: &Value) -> BTreeMap<String, Kind> {
    let mut names = BTreeMap::new();
    let mut add = |definitions: &Value, first: &str, kind| {
        for (index, definition) in list(definitions).iter().enumerate() {
            let name = match definition["name"].as_str() {
                Some(name) => name.to_owned(),
                None if index == 0 => first.to_owned(),
                None => format!("{first}{}", index + 1),
            };
            names.insert(name, kind);
        }
    };
    add(&scenario["servers"], "srv", Kind::Server);
    add(&scenario["clients"], "C", Kind::Socket);
    add(&scenario["peers"], "P", Kind::Peer);
    add(&scenario["boundSockets"], "B", Kind::Bound);
    for server in list(&scenario["servers"]) {
        add(&server["accepted"], "S", Kind::Socket);
    }
    names
}

struct Checker {
    names: BTreeMap<String, Kind>,
}

impl Checker {
    fn fields(&self, value: &Value, known: Fields, place: &str) -> Result<(), String> {
        let Some(object) = value.as_object() else { return wrong(place, "an object", value) };
        for (name, value) in object {
            let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            let Some((_, form)) = known.iter().find(|(known, _)| known == name) else {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                return Err(format!("{place}: unknown; there are {}", names.join(", ")));
            };
            self.form(value, *form, &place)?;
        }
        Ok(())
    }

    fn form(&self, value: &Value, form: Form, place: &str) -> Result<(), String> {
        let fits = match form {
            Nothing => value.is_null(),
            Text => value.is_string(),
            Flag => value.is_boolean(),
            Number => value.is_number(),
            Bytes => value.is_string() || value.is_u64(),
            Port => value.is_string() || value.as_u64().is_some_and(|port| port <= 65_535),
            Texts => {
                let known = |item: &Value| item.is_string() || item.is_boolean();
                value.as_array().is_some_and(|items| items.iter().all(known))
            }
            Actions => return self.actions(value, place),
            Options(known) => return self.fields(value, known, place),
            Definitions(known) => return self.each(value, place, |item, place| self.fields(item, known, place)),
            SocketReactions => return self.reactions(value, &SOCKET_EVENTS, place),
            ServerReactions => return self.reactions(value, &SERVER_EVENTS, place),
            SocketEvent => value.as_str().is_some_and(|event| SOCKET_EVENTS.contains(&event)),
            ServerEvent => value.as_str().is_some_and(|event| SERVER_EVENTS.contains(&event)),
            Script => return self.each(value, place, |step, place| self.step(step, place)),
            Scripts => {
                return self.each(value, place, |script, place| {
                    self.each(script, place, |step, place| self.step(step, place))
                });
            }
            Or(one, other) => {
                // The message of the form that is meant: a simple one that does not fit says nothing about it.
                return self.form(value, *one, place).or_else(|_| self.form(value, *other, place));
            }
        };
        if fits { Ok(()) } else { wrong(place, &meaning(form), value) }
    }

    fn each(
        &self,
        value: &Value,
        place: &str,
        check: impl Fn(&Value, &str) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(items) = value.as_array() else { return wrong(place, "a list", value) };
        items.iter().enumerate().try_for_each(|(index, item)| check(item, &format!("{place}[{index}]")))
    }

    fn reactions(&self, value: &Value, events: &[&str], place: &str) -> Result<(), String> {
        let Some(object) = value.as_object() else { return wrong(place, "reactions by event", value) };
        for (key, actions) in object {
            let place = format!("{place}.{key}");
            let event = key.strip_prefix("once ").unwrap_or(key);
            let (event, nth) = event.split_once(' ').map_or((event, None), |(event, nth)| (event, Some(nth)));
            if !events.contains(&event) {
                return Err(format!("{place}: no such event; there are {}", events.join(", ")));
            }
            if nth.is_some_and(|nth| !nth.parse::<u64>().is_ok_and(|nth| nth > 0)) {
                return Err(format!("{place}: which occurrence is that? `data 2` is the second"));
            }
            self.actions(actions, &place)?;
        }
        Ok(())
    }

    fn step(&self, step: &Value, place: &str) -> Result<(), String> {
        match step {
            Value::String(verb) => self.fields(&serde_json::json!({ verb: null }), STEPS, place),
            Value::Object(fields) if fields.len() == 1 => self.fields(step, STEPS, place),
            _ => wrong(place, "a step: a word, or an object with one field", step),
        }
    }

    fn actions(&self, value: &Value, place: &str) -> Result<(), String> {
        self.each(value, place, |action, place| self.action(action, place))
    }

    fn action(&self, action: &Value, place: &str) -> Result<(), String> {
        let Some(parts) = Action::new(action) else {
            return wrong(place, "an action: a verb, or an object with exactly one verb", action);
        };
        let verbs: Vec<&[Verb]> = match parts.owner {
            None => vec![GENERAL_VERBS, SOCKET_VERBS, SERVER_VERBS],
            Some("timers") => vec![TIMER_VERBS],
            Some("file") => vec![FILE_VERBS],
            Some(owner) => match self.kind(owner) {
                None => return Err(format!("{place}: nobody is called {owner}")),
                Some(Kind::Server) => vec![SERVER_VERBS],
                Some(Kind::Socket) => vec![SOCKET_VERBS],
                Some(Kind::Bound) => vec![BOUND_VERBS],
                Some(Kind::Peer) => vec![PEER_VERBS],
            },
        };
        let known: Vec<&Verb> = verbs.into_iter().flatten().filter(|(verb, ..)| *verb == parts.verb).collect();
        let Some((_, _, modifiers)) = known.first() else {
            return Err(format!("{place}: no verb {:?} of {}", parts.verb, parts.owner.unwrap_or("anybody")));
        };
        let place = format!("{place}.{}", parts.verb);
        // A verb of sockets and servers is one of either, as long as it is not known whose it is.
        let forms: Vec<Result<(), String>> =
            known.iter().map(|(_, form, _)| self.form(parts.value, *form, &place)).collect();
        if forms.iter().all(Result::is_err) {
            forms.into_iter().next().unwrap_or(Ok(()))?;
        }
        for (name, value) in parts.whole.as_object().into_iter().flatten() {
            if MODIFIERS.contains(&name.as_str()) {
                let place = format!("{place}.{name}");
                if !modifiers.contains(&name.as_str()) {
                    return Err(format!("{place}: {} has no {name}", parts.verb));
                }
                let form = match name.as_str() {
                    "then" | "do" => Actions,
                    "of" => Number,
                    _ => Text,
                };
                self.form(value, form, &place)?;
            }
        }
        Ok(())
    }

    /// What somebody is: `S3` is a socket where `S` is.
    fn kind(&self, name: &str) -> Option<Kind> {
        let base = name.trim_end_matches(|last: char| last.is_ascii_digit());
        let known = self.names.get(name).or_else(|| self.names.get(base)).copied();
        let default_accepted = base == "S" && self.names.values().any(|kind| *kind == Kind::Server);
        known.or(default_accepted.then_some(Kind::Socket))
    }
}

fn meaning(form: Form) -> String {
    match form {
        Nothing => "nothing (null)".to_owned(),
        Text => "a text".to_owned(),
        Flag => "true or false".to_owned(),
        Number => "a number".to_owned(),
        Bytes => "a text or a number of bytes".to_owned(),
        Port => "a port, or the name of somebody who has one".to_owned(),
        Texts => "a list of texts".to_owned(),
        SocketEvent => format!("an event of sockets: {}", SOCKET_EVENTS.join(", ")),
        ServerEvent => format!("an event of servers: {}", SERVER_EVENTS.join(", ")),
        Actions | Options(_) | Definitions(_) | SocketReactions | ServerReactions | Script | Scripts | Or(..) => {
            "something else".to_owned()
        }
    }
}

fn wrong(place: &str, expected: &str, got: &Value) -> Result<(), String> {
    let place = if place.is_empty() { "the scenario" } else { place };
    Err(format!("{place}: should be {expected}, is {got}"))
}
