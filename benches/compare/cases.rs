//! The cases that compare servers at full speed: which, with whom, and what one operation is. Named as libuv names its
//! benchmarks.
//!
//! May touch: nothing. Invariant: the first contestant of every case is the floor, the second the floor again, the third
//! this crate and the fourth this crate again: the two A/A pairs.

use crate::servers::Contestant;

pub struct Case {
    /// The benchmark's name.
    pub name: &'static str,
    /// The configuration, as tables show it.
    pub title: String,
    pub connections: usize,
    pub unix: bool,
    /// A load of the clients, as their `run` takes it.
    pub load: &'static str,
    /// What one operation is.
    pub unit: &'static str,
    pub contestants: Vec<Contestant>,
    /// Whether this crate promises to be at the floor here.
    pub promised: bool,
    /// Whether each round has new processes: where a program, its sockets and its buffers came to lie in memory is luck that
    /// lasts as long as they do, and weighs more than what is compared.
    pub afresh: bool,
    /// How many times as many rounds follow with the floor and this crate alone, where a promise of 2 % has to be told from
    /// what differs between two processes of one program.
    pub more_rounds: usize,
}

impl Case {
    /// What the command line selects by.
    pub fn full_name(&self) -> String {
        format!("{}: {}", self.name, self.title)
    }
}

/// The four of both A/A pairs, and the peers, all in one mode.
fn everybody(mode: &str) -> Vec<Contestant> {
    let mut contestants = pairs("floor", mode, "halfclose", mode);
    let peers = [("mio", "mio"), ("tokio", "tokio"), ("libuv", "libuv"), ("Node", "node")];
    contestants.extend(peers.map(|(label, server)| Contestant::new(label, server, mode)));
    contestants
}

/// The floor and this crate, twice each.
fn pairs(floor: &str, floor_mode: &str, ours: &str, our_mode: &str) -> Vec<Contestant> {
    vec![
        Contestant::new(floor, "floor", floor_mode),
        Contestant::new(&format!("{floor} again"), "floor", floor_mode),
        Contestant::new(ours, "halfclose", our_mode),
        Contestant::new(&format!("{ours} again"), "halfclose", our_mode),
    ]
}

fn case(
    name: &'static str,
    connections: usize,
    load: &'static str,
    unit: &'static str,
    contestants: Vec<Contestant>,
) -> Case {
    let plural = if connections == 1 { "connection" } else { "connections" };
    let size = match load {
        "ping:64" => ", 64 B",
        "step:64" => ", 64 B, in lock-step",
        "ping:4096" => ", 4 KiB",
        "pump" => ", 64 KiB writes, in lock-step",
        _ => "",
    };
    Case {
        name,
        title: format!("{connections} {plural}{size}"),
        connections,
        unix: false,
        load,
        unit,
        contestants,
        promised: false,
        afresh: false,
        more_rounds: 0,
    }
}

/// All of them, in the order in which they run.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    // Of two processes of one program those with 1,000 connections differ most, by a tenth; with 8,000 there is less need,
    // and many connections to make.
    let small = [(1, "ping:64", 0), (50, "ping:64", 2), (1_000, "step:64", 3), (8_000, "step:64", 0)];
    for (connections, load, more_rounds) in small {
        let mut small = case("ping_pongs", connections, load, "echo", everybody("echo"));
        // With a single connection both sides sleep most of the time, and what is measured is the scheduler.
        small.promised = connections > 1;
        small.afresh = connections > 1;
        small.more_rounds = more_rounds;
        cases.push(small);
    }
    cases.push(case("ping_pongs", 50, "ping:4096", "echo", everybody("echo")));
    for connections in [1, 50] {
        let mut over_unix = case("ping_pongs", connections, "ping:64", "echo", everybody("echo"));
        over_unix.unix = true;
        over_unix.title.push_str(", unix sockets");
        cases.push(over_unix);
    }
    for connections in [1, 50] {
        let mut pump = case("pump", connections, "pump", "KiB", everybody("sink"));
        pump.promised = true;
        pump.afresh = true;
        pump.more_rounds = 1;
        cases.push(pump);
    }
    let mut arrivals = case("multi_accept", 0, "accept", "connection", everybody("echo"));
    arrivals.title = "connect, one echo of 64 B, close".to_owned();
    cases.push(arrivals);
    let mut pipelined = case(
        "pipelined16",
        50,
        "ping:1024",
        "16 answers",
        answers("pieces:64:each", "pieces:64:gathered", "pieces:64:joined", "pieces:64:batched"),
    );
    pipelined.title = "50 connections, 16 requests of 64 B in one read".to_owned();
    cases.push(pipelined);
    let mut batch = case(
        "write_batch",
        50,
        "ping:64",
        "message",
        answers("pieces:8:each", "pieces:8:gathered", "pieces:8:joined", "pieces:8:batched"),
    );
    batch.title = "50 connections, eight writes of 8 B per message".to_owned();
    batch.afresh = true;
    cases.push(batch);
    let mut fan_out = case("fan_out", 1_000, "fan_out:64", "delivery", everybody("fan_out"));
    fan_out.title = "one message of 64 B to 1,000 connections".to_owned();
    cases.push(fan_out);
    cases
}

/// Several small answers to one read. The floor gathers them in a buffer and writes once: there is nothing cheaper.
fn answers(each: &str, gathered: &str, joined: &str, batched: &str) -> Vec<Contestant> {
    let mut contestants = pairs("floor, gathered", gathered, "halfclose, cork", gathered);
    contestants.push(Contestant::new("halfclose, gathered", "halfclose", joined));
    contestants.push(Contestant::new("halfclose, batch_writes", "halfclose", batched));
    contestants.push(Contestant::new("halfclose, plain", "halfclose", each));
    contestants.push(Contestant::new("floor, a call each", "floor", each));
    contestants.push(Contestant::new("mio, gathered", "mio", gathered));
    contestants.push(Contestant::new("tokio, gathered", "tokio", gathered));
    contestants.push(Contestant::new("tokio, a call each", "tokio", each));
    contestants.push(Contestant::new("libuv, vector", "libuv", gathered));
    contestants.push(Contestant::new("Node, cork", "node", gathered));
    contestants.push(Contestant::new("Node, plain", "node", each));
    contestants
}
