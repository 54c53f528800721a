//! Errors, bytes, properties and results as text, as `node/trace.js` writes them.
//!
//! May touch: the getters of sockets and servers that change nothing.

use std::error::Error as _;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use halfclose::Error;
use halfclose::net::{ConnectionAttempt, Encoding, Family, Lookup, Server, Socket};

/// Names and texts of an object's properties.
pub(crate) type Properties = Vec<(&'static str, String)>;

/// FNV-1a with 32 bits.
pub(crate) fn fnv1a(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("{sum:08x}")
}

/// Few bytes that are text are shown, many are counted and summed up.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.len() <= 64 && !text.chars().any(|c| c < ' ' || c == '\u{7f}' || c == '\u{fffd}') => {
            quoted(text)
        }
        Ok(_) | Err(_) => format!("{} bytes #{}", bytes.len(), fnv1a(bytes)),
    }
}

/// A text in quotes, as JSON has it.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `e2 82` is two bytes.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte in hex")).collect()
}

/// As many bytes as asked: 0, 1, …, 250, 0, 1, …
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    // Copied by the block: a loop over 20,000,000 bytes would make the scenario late where nothing is optimised.
    let mut bytes = (0..=250).collect::<Vec<u8>>().repeat(length / 251 + 1);
    bytes.truncate(length);
    bytes
}

pub(crate) fn option<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

/// Milliseconds, as JavaScript prints a number.
pub(crate) fn milliseconds(duration: Duration) -> String {
    (duration.as_secs_f64() * 1000.0).to_string()
}

/// An error in one line: code, message, and the fields that tell where.
pub(crate) fn error(error: &Error) -> String {
    let mut text = match error.code() {
        Some(code) => format!("{code}: {}", error.message()),
        None => error.message().to_owned(),
    };
    let port = error.port().map(|port| port.to_string());
    let local_port = error.local_port().map(|port| port.to_string());
    let fields = [
        ("syscall", error.syscall()),
        ("address", error.address()),
        ("port", port.as_deref()),
        ("localAddress", error.local_address()),
        ("localPort", local_port.as_deref()),
        ("hostname", error.hostname()),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            let _ = write!(text, " {name}={value}");
        }
    }
    if !error.errors().is_empty() {
        let errors: Vec<String> = error.errors().iter().map(self::error).collect();
        let _ = write!(text, " [{}]", errors.join("; "));
    }
    if let Some(cause) = error.source().and_then(|cause| cause.downcast_ref::<Error>()) {
        let _ = write!(text, " cause=({})", self::error(cause));
    }
    text
}

fn family_number(family: Family) -> u8 {
    match family {
        Family::IPv4 => 4,
        Family::IPv6 => 6,
    }
}

pub(crate) fn attempt(attempt: &ConnectionAttempt) -> String {
    match (attempt.port(), attempt.family()) {
        (Some(port), Some(family)) => format!("{} port={port} {}", attempt.address(), family_number(family)),
        (None, _) | (_, None) => attempt.address().to_owned(),
    }
}

pub(crate) fn lookup(lookup: &Lookup) -> String {
    match lookup.error() {
        Some(error) => format!("{} {}", self::error(error), lookup.host()),
        None => {
            let family = lookup.family().map_or(0, family_number);
            format!("{} {family} {}", lookup.address().unwrap_or(""), lookup.host())
        }
    }
}

/// `127.0.0.1 IPv4 port=41234`.
pub(crate) fn address(address: Option<SocketAddr>) -> String {
    address.map_or_else(
        || "null".to_owned(),
        |address| {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            format!("{} {family} port={}", address.ip(), address.port())
        },
    )
}

/// The observable properties of a socket, in the order in which a line names them.
pub(crate) fn socket(socket: Socket) -> Properties {
    let errored = socket.errored().map(|error| error.code().unwrap_or(error.message()).to_owned());
    vec![
        ("readyState", socket.ready_state().to_string()),
        ("connecting", socket.connecting().to_string()),
        ("pending", socket.pending().to_string()),
        ("destroyed", socket.destroyed().to_string()),
        ("closed", socket.closed().to_string()),
        ("errored", option(errored)),
        ("readable", socket.readable().to_string()),
        ("readableFlowing", option(socket.readable_flowing())),
        ("isPaused", socket.is_paused().to_string()),
        ("readableEnded", socket.readable_ended().to_string()),
        ("readableAborted", socket.readable_aborted().to_string()),
        ("readableDidRead", socket.readable_did_read().to_string()),
        ("readableEncoding", option(socket.readable_encoding().map(Encoding::as_str))),
        ("readableLength", socket.readable_length().to_string()),
        ("readableHighWaterMark", socket.readable_high_water_mark().to_string()),
        ("bytesRead", socket.bytes_read().to_string()),
        ("writable", socket.writable().to_string()),
        ("writableEnded", socket.writable_ended().to_string()),
        ("writableFinished", socket.writable_finished().to_string()),
        ("writableNeedDrain", socket.writable_need_drain().to_string()),
        ("writableCorked", socket.writable_corked().to_string()),
        ("writableLength", socket.writable_length().to_string()),
        ("writableHighWaterMark", socket.writable_high_water_mark().to_string()),
        ("bytesWritten", socket.bytes_written().to_string()),
        ("timeout", option(socket.timeout().map(milliseconds))),
        ("allowHalfOpen", socket.allow_half_open().to_string()),
    ]
}

/// Those of a socket that has just been made, with which the first line of a trace is compared.
pub(crate) fn fresh_socket(name: &str) -> &'static str {
    match name {
        "readyState" => "open",
        "pending" | "readable" | "writable" => "true",
        "errored" | "readableFlowing" | "readableEncoding" | "timeout" => "null",
        "readableLength" | "bytesRead" | "writableCorked" | "writableLength" | "bytesWritten" => "0",
        "readableHighWaterMark" | "writableHighWaterMark" => "65536",
        _ => "false",
    }
}

pub(crate) fn server(server: Server) -> Properties {
    vec![
        ("listening", server.listening().to_string()),
        ("connections", server.connections().to_string()),
        ("maxConnections", option(server.max_connections())),
    ]
}

pub(crate) fn fresh_server(name: &str) -> &'static str {
    match name {
        "connections" => "0",
        "maxConnections" => "null",
        _ => "false",
    }
}

/// A property that only some scenarios ask for.
pub(crate) fn socket_property(socket: Socket, name: &str) -> Option<String> {
    let known = self::socket(socket).into_iter().find(|(known, _)| *known == name);
    if let Some((_, value)) = known {
        return Some(if value.parse::<f64>().is_err() && !is_word(&value) { quoted(&value) } else { value });
    }
    let text = |value: Option<String>| value.map_or_else(|| "null".to_owned(), |value| quoted(&value));
    Some(match name {
        "remoteAddress" => text(socket.remote_address().map(|address| address.to_string())),
        "remoteFamily" => text(socket.remote_family().map(|family| family.to_string())),
        "remotePort" => port(socket.remote_port()),
        "localAddress" => text(socket.local_address().map(|address| address.to_string())),
        "localFamily" => text(socket.local_family().map(|family| family.to_string())),
        "localPort" => port(socket.local_port()),
        "bufferSize" => option(socket.buffer_size()),
        "autoSelectFamilyAttemptedAddresses" => socket.auto_select_family_attempted_addresses().map_or_else(
            || "null".to_owned(),
            |addresses| {
                let addresses: Vec<String> = addresses.iter().map(|address| quoted(address)).collect();
                format!("[{}]", addresses.join(", "))
            },
        ),
        _ => return None,
    })
}

fn is_word(value: &str) -> bool {
    matches!(value, "true" | "false" | "null")
}

fn port(port: Option<u16>) -> String {
    match port {
        None => "null".to_owned(),
        Some(port) if port >= 1024 => quoted("PORT"),
        Some(port) => port.to_string(),
    }
}

pub(crate) fn server_property(server: Server, name: &str) -> Option<String> {
    Some(match name {
        "listening" => server.listening().to_string(),
        "maxConnections" => option(server.max_connections()),
        "allowHalfOpen" => server.allow_half_open().to_string(),
        "pauseOnConnect" => server.pause_on_connect().to_string(),
        "noDelay" => server.no_delay().to_string(),
        "keepAlive" => server.keep_alive().to_string(),
        "keepAliveInitialDelay" => server.keep_alive_initial_delay().as_secs().to_string(),
        "highWaterMark" => server.high_water_mark().to_string(),
        _ => return None,
    })
}
