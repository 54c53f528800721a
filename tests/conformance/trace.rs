//! What a scenario did: entries with their place in the loop and the properties of their object, rendered as lines.
//!
//! May touch: `halfclose::position`. The lines are the same as those of `node/trace.js`; `README.md` describes them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use halfclose::Phase;

use crate::scenario::Traces;
use crate::values::{self, Properties};

/// Whose properties go with an entry.
pub(crate) enum Subject {
    Nobody,
    Socket(halfclose::net::Socket),
    Server(halfclose::net::Server),
}

#[derive(Copy, Clone, PartialEq, Eq)]
struct Place {
    callback: u64,
    tick: u64,
    phase: &'static str,
}

struct Entry {
    endpoint: String,
    text: String,
    properties: Option<Properties>,
    fresh: fn(&str) -> &'static str,
    bytes: Option<Vec<u8>>,
    place: Place,
}

pub(crate) struct Trace {
    entries: Vec<Entry>,
    omit: Vec<String>,
    whole: bool,
    exact: bool,
    directory: PathBuf,
}

impl Trace {
    pub(crate) fn new(scenario: &serde_json::Value, directory: PathBuf) -> Trace {
        let omit = scenario["omit"].as_array().map_or(&[][..], Vec::as_slice);
        Trace {
            entries: Vec::new(),
            omit: omit.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            whole: scenario["compare"] == "whole",
            exact: scenario["chunks"] == "exact",
            directory,
        }
    }

    pub(crate) fn omits(&self, name: &str) -> bool {
        self.omit.iter().any(|omitted| omitted == name)
    }

    /// Adds an entry: `event` is what `omit` may name, `bytes` what a `data` event brought.
    pub(crate) fn add(&mut self, endpoint: &str, event: &str, text: &str, subject: &Subject, bytes: Option<&[u8]>) {
        let place = here();
        self.add_at(place, endpoint, event, text, subject, bytes);
    }

    /// Adds an entry after everything.
    pub(crate) fn add_last(&mut self, endpoint: &str, text: &str, subject: &Subject) {
        let place = Place { callback: u64::MAX, tick: 0, phase: "" };
        self.add_at(place, endpoint, text, text, subject, None);
    }

    fn add_at(
        &mut self,
        place: Place,
        endpoint: &str,
        event: &str,
        text: &str,
        subject: &Subject,
        bytes: Option<&[u8]>,
    ) {
        if self.omits(endpoint) || self.omits(event) {
            return;
        }
        let (properties, fresh): (_, fn(&str) -> &'static str) = match *subject {
            Subject::Nobody => (None, values::fresh_socket),
            Subject::Socket(socket) => (Some(values::socket(socket)), values::fresh_socket),
            Subject::Server(server) => (Some(values::server(server)), values::fresh_server),
        };
        let properties = properties.map(|mut properties| {
            properties.retain(|(name, _)| !self.omits(name));
            properties
        });
        self.entries.push(Entry {
            endpoint: endpoint.to_owned(),
            text: self.normalise(text),
            properties,
            fresh,
            bytes: bytes.map(<[u8]>::to_vec),
            place,
        });
    }

    /// Ports and places differ from run to run.
    fn normalise(&self, text: &str) -> String {
        let text = text.replace(&*self.directory.to_string_lossy(), "DIR");
        let text = match self.directory.file_name() {
            // Names without a file begin with a name of the folder's.
            Some(name) => text.replace(&*name.to_string_lossy(), "DIR"),
            None => text,
        };
        without_ports(&without_filling(text))
    }

    /// Lines by endpoint, or all of them as `whole`.
    pub(crate) fn render(&self) -> Traces {
        let mut groups: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in &self.entries {
            groups.entry(if self.whole { "whole" } else { &entry.endpoint }).or_default().push(entry);
        }
        groups.into_iter().map(|(group, entries)| (group.to_owned(), self.render_group(&entries))).collect()
    }

    fn render_group(&self, entries: &[&Entry]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut seen: HashMap<&str, &Properties> = HashMap::new();
        let mut previous: Option<&Entry> = None;
        let mut rest = entries.iter().peekable();
        while let Some(first) = rest.next() {
            let mut last = first;
            let mut text = first.text.clone();
            if let Some(bytes) = &first.bytes {
                let mut bytes = bytes.clone();
                while let Some(next) =
                    rest.next_if(|next| !self.exact && next.bytes.is_some() && next.endpoint == first.endpoint)
                {
                    bytes.extend_from_slice(next.bytes.as_deref().unwrap_or_default());
                    last = next;
                }
                text = format!("{text} {}", self.normalise(&values::bytes(&bytes)));
            }
            let mut changes = Vec::new();
            if let Some(properties) = &last.properties {
                let before = seen.insert(&first.endpoint, properties);
                for (name, value) in properties {
                    let old = before.and_then(|before| before.iter().find(|(known, _)| known == name));
                    let old = old.map_or((first.fresh)(name), |(_, value)| value.as_str());
                    if old != value {
                        changes.push(format!("{name}={value}"));
                    }
                }
            }
            let mut line = separator(previous.map(|previous| previous.place), first.place);
            if self.whole {
                line.push_str(&first.endpoint);
                line.push(' ');
            }
            line.push_str(&text);
            if !changes.is_empty() {
                line.push_str(&format!(" {{{}}}", changes.join(" ")));
            }
            lines.push(line);
            previous = Some(last);
        }
        lines
    }
}

fn here() -> Place {
    let Some(position) = halfclose::position() else { return Place { callback: 0, tick: 0, phase: "" } };
    let phase = match position.phase {
        Phase::Timers => "t",
        Phase::Immediates => "i",
        Phase::Closing => "x",
        Phase::Idle | Phase::Pending | Phase::Poll => "",
    };
    Place { callback: position.callback, tick: position.tick, phase }
}

fn separator(previous: Option<Place>, next: Place) -> String {
    match previous {
        None => String::new(),
        Some(previous) if previous.callback != next.callback => {
            format!("|{} {}", next.phase, if next.tick > 0 { "~ " } else { "" })
        }
        Some(previous) if previous.tick == next.tick => ", ".to_owned(),
        Some(_) => "~ ".to_owned(),
    }
}

/// How much a name was filled up with depends on the folder's.
fn without_filling(text: String) -> String {
    let mut text = text;
    while text.contains("~~") {
        text = text.replace("~~", "~");
    }
    text
}

/// `:41234` at the end of a word and `port=41234` become `PORT`: ports of four and five digits are not chosen by a
/// scenario.
fn without_ports(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find([':', '=']) {
        let (before, after) = rest.split_at(start + 1);
        result.push_str(before);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let follows = after[digits..].chars().next();
        let ends = if before.ends_with(':') {
            follows.is_none_or(|next| next.is_whitespace() || matches!(next, ')' | ']' | ',' | '"'))
        } else {
            before.to_ascii_lowercase().ends_with("port=") && follows.is_none_or(|next| !next.is_alphanumeric())
        };
        if (4..=5).contains(&digits) && ends {
            result.push_str("PORT");
        } else {
            result.push_str(&after[..digits]);
        }
        rest = &after[digits..];
    }
    result.push_str(rest);
    result
}
