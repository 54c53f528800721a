//! `idle_memory`: what a connection costs that does nothing, and what is left of a burst.
//!
//! May touch: servers and clients of its own, `/proc`. Invariant: a figure is the difference between two servers, one with
//! few connections and one with many, to which the same was done: what a server has once falls out of it.

use std::fs;

use crate::report::{Point, Report, Table};
use crate::servers::{Client, Contestant, Server};
use crate::toolbox::Toolbox;

/// The connections of the server that the others are compared with: everything that is allocated once has been.
const FEW: usize = 1_000;

/// The connections that are counted.
const COUNTED: usize = 10_000;

/// The descriptors of a process beside its connections.
const OTHERS: usize = 100;

/// What the bursts of all connections take at most, in both processes and in the kernel, with room for Node's heap.
const BURSTS: u64 = 6 << 30;

/// Resident bytes of a server, and of the kernel.
#[derive(Copy, Clone)]
struct Memory {
    resident: u64,
    kernel: u64,
}

impl Memory {
    fn of(process: u32) -> Result<Memory, String> {
        Ok(Memory { resident: resident(process)?, kernel: kernel()? })
    }
}

pub fn run(toolbox: &Toolbox, quick: bool, limit: u64, report: &mut Report) {
    let counted = if quick { COUNTED / 10 } else { COUNTED };
    if limit < (FEW + counted + OTHERS) as u64 {
        let why = format!("it takes {} descriptors, and the limit is {limit}", FEW + counted + OTHERS);
        return report.skip("idle_memory", &why);
    }
    let free = meminfo("MemAvailable").unwrap_or(0);
    let burst = free >= BURSTS;
    if !burst {
        report.skip("the bursts of idle_memory", &format!("they take up to {BURSTS} bytes, and {free} are free"));
    }
    let contestants = [
        ("halfclose", "halfclose", "idle"),
        ("halfclose, capturing", "halfclose", "idle:capturing"),
        ("floor, no timeout", "floor", "idle"),
        ("mio, no timeout", "mio", "idle"),
        ("tokio", "tokio", "idle"),
        ("libuv", "libuv", "idle"),
        ("Node", "node", "idle"),
    ];
    let title = format!("idle_memory: bytes per idle connection, {counted} connections, idle timeout armed");
    let columns = ["server", "resident", "kernel, both ends", "resident, burst queued", "resident, burst drained"];
    let mut table = Table::new("idle_memory", &title, &columns);
    for (label, server, mode) in contestants {
        let contestant = Contestant::new(label, server, mode);
        match measure(toolbox, &contestant, counted, burst) {
            Ok(bytes) => {
                let cell = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.0}"));
                let mut row = vec![label.to_owned()];
                row.extend(bytes.iter().map(|&value| cell(value)));
                table.rows.push(row);
                for (series, value) in ["idle", "", "", "after a burst"].iter().zip(bytes) {
                    let Some(value) = value.filter(|_| !series.is_empty()) else { continue };
                    report.points.push(Point {
                        chart: "memory".to_owned(),
                        series: (*series).to_owned(),
                        x: 0.0,
                        label: label.to_owned(),
                        y: value,
                        low: value,
                        high: value,
                    });
                }
            }
            Err(error) => report.skip(&format!("idle_memory of {label}"), &error),
        }
    }
    table.notes.push(format!(
        "The difference between a server with {FEW} connections and one with {}, per connection. A burst is {} KiB for each connection that its client does not \
         read yet: the kernel takes a part of it, the server keeps the rest.",
        FEW + counted,
        crate::peers::BURST / 1024
    ));
    report.add(table);
}

/// Resident and kernel bytes per connection, and resident bytes with a burst queued, and after it was drained.
fn measure(
    toolbox: &Toolbox,
    contestant: &Contestant,
    counted: usize,
    burst: bool,
) -> Result<[Option<f64>; 4], String> {
    let few = load(toolbox, contestant, 0, burst)?;
    let many = load(toolbox, contestant, counted, burst)?;
    let per = |more: u64, less: u64| Some((more as f64 - less as f64) / counted as f64);
    let idle = per(many.idle.resident, few.idle.resident);
    let kernel = per(many.idle.kernel, few.idle.kernel);
    let (Some(many), Some(few)) = (many.burst, few.burst) else { return Ok([idle, kernel, None, None]) };
    Ok([idle, kernel, per(many.queued, few.queued), per(many.drained, few.drained)])
}

/// What a server has with so many connections.
struct Loaded {
    idle: Memory,
    burst: Option<Burst>,
}

/// Resident bytes with a burst queued on every connection, and after they were drained.
struct Burst {
    queued: u64,
    drained: u64,
}

/// A new server with few connections, and `more`.
fn load(toolbox: &Toolbox, contestant: &Contestant, more: usize, burst: bool) -> Result<Loaded, String> {
    let server = Server::start(&mut contestant.command(toolbox, None)?, toolbox)?;
    let process = server.process.id();
    // Two processes of clients: each has a limit of descriptors of its own.
    let mut clients = Vec::new();
    for connections in [FEW, more].into_iter().filter(|&connections| connections > 0) {
        let mut client = Client::start(toolbox, process, "sleep")?;
        client.tell(&format!("open {connections} narrow {}", server.address))?;
        clients.push(client);
    }
    let idle = Memory::of(process)?;
    if !burst {
        return Ok(Loaded { idle, burst: None });
    }
    for client in &mut clients {
        client.tell("burst")?;
    }
    let queued = resident(process)?;
    for client in &mut clients {
        client.tell("drain")?;
    }
    let drained = resident(process)?;
    Ok(Loaded { idle, burst: Some(Burst { queued, drained }) })
}

/// The resident bytes of a process (proc(5), statm).
fn resident(process: u32) -> Result<u64, String> {
    let text = fs::read_to_string(format!("/proc/{process}/statm")).map_err(|error| error.to_string())?;
    let pages: u64 = text.split(' ').nth(1).and_then(|field| field.parse().ok()).ok_or("no resident pages")?;
    // SAFETY: the call has no memory of ours to touch.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(pages * page.unsigned_abs())
}

/// What the kernel has allocated for its objects, and what TCP holds in buffers.
fn kernel() -> Result<u64, String> {
    let slab = meminfo("Slab").ok_or("no Slab in /proc/meminfo")?;
    let text = fs::read_to_string("/proc/net/sockstat").map_err(|error| error.to_string())?;
    let pages = text.lines().find(|line| line.starts_with("TCP:")).and_then(|line| line.rsplit(' ').next());
    let pages: u64 = pages.and_then(|field| field.parse().ok()).ok_or("no TCP in sockstat")?;
    // SAFETY: the call has no memory of ours to touch.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(slab + pages * page.unsigned_abs())
}

/// A line of /proc/meminfo, in bytes.
fn meminfo(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
