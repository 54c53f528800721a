//! Options of servers, sockets, `listen` and `connect`, with the ports, paths, lists, signals and lookups in them.
//!
//! May touch: the option builders. Invariant: the names are Node's; what is not known was refused by `vocabulary`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use halfclose::Error;
use halfclose::net::{
    AbortController, BlockList, BlockListAddress, BoundSocketOptions, ConnectOptions, Family, ListenOptions,
    LookupCallback, LookupHints, LookupRequest, ServerOptions, SocketOptions, abstract_name,
};
use serde_json::Value;

use crate::objects::list;
use crate::play::{Kind, Play, Record};

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

fn size(value: &Value) -> usize {
    value.as_u64().map_or(0, |size| size as usize)
}

fn milliseconds(value: &Value) -> Duration {
    Duration::from_secs_f64(value.as_f64().unwrap_or(0.0) / 1000.0)
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// The setters that the builders of sockets and of connects have in common.
macro_rules! with_socket_option {
    ($play:expr, $options:expr, $name:expr, $value:expr) => {
        match $name {
            "allowHalfOpen" => $options.allow_half_open(flag($value)),
            "highWaterMark" => $options.high_water_mark(size($value)),
            "readableHighWaterMark" => $options.readable_high_water_mark(size($value)),
            "writableHighWaterMark" => $options.writable_high_water_mark(size($value)),
            "noDelay" => $options.no_delay(flag($value)),
            "keepAlive" => $options.keep_alive(flag($value)),
            "keepAliveInitialDelay" => $options.keep_alive_initial_delay(milliseconds($value)),
            "typeOfService" => $options.type_of_service(size($value) as u8),
            "signal" => $options.signal(&$play.controller($value.as_str().unwrap_or_default()).signal()),
            "blockList" => $options.block_list(&block_list($value)),
            "readable" => $options.readable(flag($value)),
            "writable" => $options.writable(flag($value)),
            // `onread` and `handle` are no setters here.
            _ => $options,
        }
    };
}

impl Play {
    pub(crate) fn server_options(&self, value: &Value) -> ServerOptions {
        let mut options = ServerOptions::new();
        for (name, value) in fields(value) {
            options = match name {
                "allowHalfOpen" => options.allow_half_open(flag(value)),
                "pauseOnConnect" => options.pause_on_connect(flag(value)),
                "noDelay" => options.no_delay(flag(value)),
                "keepAlive" => options.keep_alive(flag(value)),
                "keepAliveInitialDelay" => options.keep_alive_initial_delay(milliseconds(value)),
                "highWaterMark" => options.high_water_mark(size(value)),
                _ => options.block_list(&block_list(value)),
            };
        }
        options
    }

    pub(crate) fn socket_options(&self, value: &Value) -> Result<SocketOptions, Error> {
        let mut options = SocketOptions::new();
        for (name, value) in fields(value) {
            options = if name == "handle" {
                let record = self.expect_object(value.as_str().unwrap_or_default());
                let Kind::Bound(bound, _) = &record.kind else { panic!("{} is no bound socket", record.name) };
                let bound = bound.borrow();
                options.handle(bound.as_ref().unwrap_or_else(|| panic!("{} could not be bound", record.name)))?
            } else {
                with_socket_option!(self, options, name, value)
            };
        }
        Ok(options)
    }

    /// For `net.connect`, whose options are those of the socket as well.
    pub(crate) fn with_socket_options(&self, options: ConnectOptions, value: &Value) -> ConnectOptions {
        let mut options = options;
        for (name, value) in fields(value) {
            options = with_socket_option!(self, options, name, value);
        }
        options
    }

    pub(crate) fn bound_socket_options(&self, value: &Value) -> BoundSocketOptions {
        if let Some(path) = value["path"].as_str() {
            return BoundSocketOptions::new().path(self.path(path));
        }
        let mut options = BoundSocketOptions::new().host("127.0.0.1");
        for (name, value) in fields(value) {
            options = match name {
                "host" => options.host(value.as_str().unwrap_or_default()),
                "port" => options.port(self.port(value)),
                "ipv6Only" => options.ipv6_only(flag(value)),
                "reusePort" => options.reuse_port(flag(value)),
                _ => options,
            };
        }
        options
    }

    pub(crate) fn listen_options(&self, value: &Value) -> ListenOptions {
        let mut options = ListenOptions::new();
        if let Some(handle) = value["handle"].as_str() {
            let record = self.expect_object(handle);
            let Kind::Bound(bound, _) = &record.kind else { panic!("{handle} is no bound socket") };
            let bound = bound.borrow();
            return ListenOptions::from(bound.as_ref().unwrap_or_else(|| panic!("{handle} could not be bound")));
        }
        for (name, value) in fields(value) {
            let text = value.as_str().unwrap_or_default();
            options = match name {
                "port" => options.port(self.port(value)),
                "host" => options.host(text),
                "path" => options.path(self.path(text)),
                "backlog" => options.backlog(size(value) as u32),
                "ipv6Only" => options.ipv6_only(flag(value)),
                "reusePort" => options.reuse_port(flag(value)),
                "readableAll" => options.readable_all(flag(value)),
                "writableAll" => options.writable_all(flag(value)),
                "signal" => options.signal(&self.controller(text).signal()),
                "fd" => {
                    let file = std::fs::File::open(self.directory.join(text));
                    options.fd(file.unwrap_or_else(|error| panic!("{text} cannot be opened: {error}")))
                }
                _ => options,
            };
        }
        options
    }

    pub(crate) fn connect_options(self: &Rc<Self>, value: &Value, record: &Rc<Record>) -> ConnectOptions {
        let mut options = ConnectOptions::new();
        if let Some(to) = value["to"].as_str() {
            options = self.target(options, to, value.get("host").is_some(), value.get("port").is_some());
        }
        for (name, value) in fields(value) {
            let text = value.as_str().unwrap_or_default();
            options = match name {
                "port" => options.port(self.port(value)),
                "host" => options.host(text),
                "path" => options.path(self.path(text)),
                "localAddress" => options.local_address(text),
                "localPort" => options.local_port(self.port(value)),
                "family" => match value.as_u64() {
                    Some(4) => options.family(Family::IPv4),
                    Some(6) => options.family(Family::IPv6),
                    _ => options,
                },
                "hints" => options.hints(hints(value)),
                "timeout" => options.timeout(milliseconds(value)),
                "autoSelectFamily" => options.auto_select_family(flag(value)),
                "autoSelectFamilyAttemptTimeout" => options.auto_select_family_attempt_timeout(milliseconds(value)),
                "lookup" => {
                    let (play, record, script) = (self.clone(), record.clone(), value.clone());
                    options.lookup(move |request, callback| play.lookup(&record, &script, request, callback))
                }
                _ => options,
            };
        }
        options
    }

    /// The address of somebody in the scenario.
    fn target(&self, options: ConnectOptions, to: &str, has_host: bool, has_port: bool) -> ConnectOptions {
        let mut options = options;
        let mut host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        if let Some(record) = self.object(to) {
            if let Kind::Server(serving) = &record.kind {
                if let Some(path) = serving.server.path() {
                    return options.path(path);
                }
                let address = serving.server.address().map(|address: SocketAddr| address.ip());
                host = address.filter(|address| !address.is_unspecified()).unwrap_or(host);
            }
        }
        if !has_port {
            options = options.port(self.port(&Value::from(to)));
        }
        if !has_host {
            options = options.host(host.to_string());
        }
        options
    }

    /// A number, the port of somebody in the scenario, `refused` (a port that nobody listens at), or a name for a free
    /// one.
    pub(crate) fn port(&self, value: &Value) -> u16 {
        let Some(name) = value.as_str() else { return value.as_u64().map_or(0, |port| port as u16) };
        if let Some(record) = self.object(name) {
            match &record.kind {
                Kind::Server(serving) => {
                    let port = serving.server.address().map(|address| address.port()).or(serving.last_port.get());
                    return port.unwrap_or_else(|| panic!("{name} has no port"));
                }
                Kind::Bound(_, port) => return port.unwrap_or_else(|| panic!("{name} has no port")),
                Kind::Socket(_) => panic!("{name} is no server"),
            }
        }
        if let Some(port) = self.peers.port(name) {
            return port;
        }
        let mut ports = self.ports.borrow_mut();
        let (port, _) = ports.entry(name.to_owned()).or_insert_with(|| {
            if name == "refused" {
                // Who holds a port refuses connections there.
                let (holder, port) = crate::support::refusing_port();
                return (port, Some(holder));
            }
            // For others it is let go: one that the kernel gives to nobody by itself, and that is free in both families.
            (crate::support::local_port().1, None)
        });
        *port
    }

    /// A name in the scenario's folder, or one without a file for `@name`; an empty one stays empty.
    fn path(&self, name: &str) -> PathBuf {
        let place = match name.strip_prefix('@') {
            Some(name) => {
                let folder = self.directory.file_name().unwrap_or_default().to_string_lossy();
                abstract_name(format!("{folder}-{name}"))
            }
            None if name.is_empty() => PathBuf::new(),
            None => self.directory.join(name),
        };
        // `name#108` is filled up to 108 bytes.
        let Some(length) = name.rsplit_once('#').and_then(|(_, length)| length.parse::<usize>().ok()) else {
            return place;
        };
        let mut place = place.into_os_string();
        let missing = length.saturating_sub(place.len());
        place.push("~".repeat(missing));
        place.into()
    }

    pub(crate) fn controller(&self, name: &str) -> AbortController {
        self.controllers.borrow_mut().entry(name.to_owned()).or_default().clone()
    }

    /// A lookup that answers as the scenario says.
    fn lookup(self: &Rc<Self>, record: &Record, script: &Value, request: &LookupRequest, callback: LookupCallback) {
        let family = match request.family() {
            Some(Family::IPv4) => 4,
            Some(Family::IPv6) => 6,
            None => 0,
        };
        let mut text = format!("lookupCall({} family={family}", request.host());
        let numbers = [(LookupHints::ADDRCONFIG, 32), (LookupHints::V4MAPPED, 8), (LookupHints::ALL, 16)];
        let hints: u32 =
            numbers.iter().filter(|(hint, _)| request.hints().contains(*hint)).map(|(_, number)| number).sum();
        if hints > 0 {
            text.push_str(&format!(" hints={hints}"));
        }
        text.push_str(if request.all() { " all)" } else { ")" });
        self.log(record, "lookupCall", &text);
        let error = script["error"].as_str().map(str::to_owned);
        let addresses: Vec<IpAddr> =
            list(&script["addresses"]).iter().filter_map(|address| address.as_str()?.parse().ok()).collect();
        let reply = move |callback: LookupCallback| match error {
            Some(error) => callback.reject(error),
            None => callback.resolve(addresses),
        };
        match script["when"].as_str().unwrap_or("now") {
            "tick" => halfclose::next_tick(move || reply(callback)),
            "immediate" => drop(halfclose::set_immediate(move || reply(callback))),
            "never" => self.unanswered.borrow_mut().push(callback),
            _ => reply(callback),
        }
    }
}

/// Node's numbers for a lookup's hints.
fn hints(value: &Value) -> LookupHints {
    let number = value.as_u64().unwrap_or(0);
    let known = [(LookupHints::ADDRCONFIG, 32), (LookupHints::V4MAPPED, 8), (LookupHints::ALL, 16)];
    known.iter().filter(|(_, bit)| number & bit != 0).fold(LookupHints::NONE, |hints, (hint, _)| hints | *hint)
}

/// `127.0.0.1`, `10.0.0.0/8` and `10.0.0.1-10.0.0.9`.
fn block_list(rules: &Value) -> BlockList {
    let mut block_list = BlockList::new();
    for rule in list(rules) {
        let rule = rule.as_str().unwrap_or_default();
        let address = |text: &str| -> BlockListAddress {
            text.parse::<IpAddr>().unwrap_or_else(|_| panic!("no address: {text}")).into()
        };
        let added = if rule.contains('/') {
            block_list.add_cidr(rule)
        } else if let Some((start, end)) = rule.split_once('-') {
            block_list.add_range(address(start), address(end))
        } else {
            block_list.add_address(address(rule))
        };
        added.unwrap_or_else(|error| panic!("{rule}: {error}"));
    }
    block_list
}
