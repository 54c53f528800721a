//! The price list: what each choice of a reactor costs, by a small one whose choices can be turned one at a time.
//!
//! May touch: servers and clients of its own, valgrind. Invariants: every row is the default with one choice turned; the
//! default takes part twice, and no difference is claimed that those two do not resolve.

use std::fs;
use std::time::Duration;

use crate::cases::Case;
use crate::counts::{self, Subject, callgrind};
use crate::measure::{self, Outcome};
use crate::options::Options;
use crate::report::{Report, Table};
use crate::servers::{Contestant, Pair};
use crate::statistics::{judge, median};
use crate::toolbox::Toolbox;

pub const NAME: &str = "prices";

const DEFAULT: &str = "default";

/// Half of the usual slice: there are three times as many contestants.
const SLICE: Duration = Duration::from_millis(60);

/// Nothing here compiles while it runs.
const WARM_UP: Duration = Duration::from_millis(20);

/// A message that does not go out at once on a narrow connection: the server has to keep what is left of it and to be told
/// when it may write on. Smaller than what the kernel takes in, so that the client is never in its own way.
const STALLED: usize = 16 * 1024;

/// The stalled messages that are counted: a tenth more or fewer calls of one of them do not show.
const STALLS: usize = 20;

/// How often calls are counted at full speed. How turns are shared is another matter now and then: the median is shown.
const COUNTED: usize = 3;

/// The connections whose memory is counted.
const IDLE: usize = 1_000;

/// A choice: the switch, what it turns from what to what, and what its price buys.
struct Choice {
    switch: &'static str,
    name: &'static str,
    meaning: &'static str,
}

const CHOICES: [Choice; 12] = [
    Choice {
        switch: DEFAULT,
        name: "the default",
        meaning: "Edge-triggered, registered once for both directions, one read, one shared buffer, written at once, a \
                  time stamp for a timeout, shared tables of functions, eight accepts in a row.",
    },
    Choice {
        switch: "level",
        name: "level-triggered",
        meaning: "Each wait looks again at every socket of the one before; it forgives a reader that leaves bytes behind, \
                  and needs `epoll_ctl` around every stall.",
    },
    Choice {
        switch: "second_read",
        name: "a second read after a short one",
        meaning: "Reads until there is nothing; it buys nothing where a new edge comes with new bytes, as on a stream \
                  socket.",
    },
    Choice {
        switch: "register_twice",
        name: "registered for writing when needed",
        meaning: "Two more `epoll_ctl` for each stall; it saves the wait that says of a new connection that it can be written.",
    },
    Choice {
        switch: "own_buffer",
        name: "a read buffer for each connection",
        meaning: "64 KiB each, resident as far as they were ever touched, by reads or by the allocator's clearing, which new \
                  connections pay for; bytes may stay there until somebody wants them.",
    },
    Choice {
        switch: "arm_first",
        name: "write when told, not at once",
        meaning: "Bytes are copied, writing is registered, waited for and taken back; all writes are in one place, and \
                  those of one turn go together.",
    },
    Choice {
        switch: "eager_timeouts",
        name: "a timeout moved at every activity",
        meaning: "Out of an ordered set and into it again, instead of one store; the set is exact at all times, where a \
                  lazy one wakes up once for each idle period to look at the stamp.",
    },
    Choice {
        switch: "owned_listeners",
        name: "listeners owned by each connection",
        meaning: "Boxed closures behind a `RefCell`, taken out while they run; each may capture what it likes.",
    },
    Choice {
        switch: "accept_one",
        name: "one accept per turn",
        meaning: "A wait for each connection of a burst, but no accept in vain where they come one by one; the others \
                  never wait for more than one.",
    },
    Choice {
        switch: "fat_event",
        name: "an event of 64 bytes by value",
        meaning: "Everything a listener could ask for is written to memory and read again, with a destructor; the core \
                  knows nothing about who asks.",
    },
    Choice {
        switch: "clock_twice",
        name: "the clock read once more per turn",
        meaning: "Timers count from after the turn's work; valgrind shows programs no vDSO, so the instructions of the \
                  clock itself are not in the count.",
    },
    Choice {
        switch: "mio_wait",
        name: "mio's wait, events copied",
        meaning: "Runs wherever mio runs, without `unsafe` of one's own.",
    },
];

fn contestant(choice: &Choice) -> Contestant {
    Contestant::new(choice.name, "switches", choice.switch)
}

/// Measures all choices and adds the table.
pub fn run(toolbox: &Toolbox, options: &Options, report: &mut Report) {
    let of_echoes = [
        "choice",
        "instructions, k = 1",
        "k = 50",
        "system calls, k = 1",
        "k = 50",
        "CPU to the default",
        "what it is, and what it buys",
    ];
    let of_connections = [
        "choice",
        "system calls, in steps",
        "at full speed",
        "CPU to the default",
        "system calls of an echo that stalls",
        "bytes of an idle one",
    ];
    let mut echoes = Table::new(NAME, "The price of each choice, per echo", &of_echoes);
    let mut connections = Table::new(NAME, "The price of each choice, per connection", &of_connections);
    let echo = compare(50, "ping:64", "echo", toolbox, options, report);
    let connection = compare(0, "accept", "connection", toolbox, options, report);
    let mut of_default: Vec<Option<f64>> = Vec::new();
    for choice in &CHOICES {
        let instructions = instructions(toolbox, choice);
        if of_default.is_empty() {
            of_default = instructions.iter().map(|count| count.as_ref().ok().copied()).collect();
        }
        let instructions = instructions.into_iter().zip(&of_default).map(|(count, default)| {
            count.map(|count| match default {
                Some(default) if choice.switch != DEFAULT => format!("{count:.0} ({:+.0})", count - default),
                _ => format!("{count:.0}"),
            })
        });
        let mut cells = instructions.chain(system_calls(toolbox, options, choice)).chain([memory_of(toolbox, choice)]);
        let mut next = || {
            cells.next().unwrap_or_else(|| Err("not counted".to_owned())).unwrap_or_else(|error| {
                report.skip(&format!("{NAME}: {}", choice.name), &error);
                "–".to_owned()
            })
        };
        let name = choice.name.to_owned();
        let (one, fifty, calls_of_one, calls_of_fifty) = (next(), next(), next(), next());
        let meaning = choice.meaning.to_owned();
        echoes.rows.push(vec![name.clone(), one, fifty, calls_of_one, calls_of_fifty, cpu(&echo, choice), meaning]);
        connections.rows.push(vec![name, next(), next(), cpu(&connection, choice), next(), next()]);
    }
    echoes.notes.push(format!(
        "Echoes of 64 B. Instructions in user space, of the release profile, and how many more than the default; CPU with \
         50 connections, as the ratio per round. {}",
        resolution(&echo)
    ));
    connections.notes.push(format!(
        "Connecting, one echo of 64 B and closing; in steps, the server rests between any two of them. What stalls is \
         {} KiB on a connection that takes little at a time: how many pieces it goes in is the kernel's decision. {}",
        STALLED / 1024,
        resolution(&connection)
    ));
    report.add(echoes);
    report.add(connections);
}

fn resolution(outcome: &Option<Outcome>) -> String {
    outcome.as_ref().map_or_else(String::new, |outcome| {
        format!(
            "New processes in every round. A/A: the default twice differs by up to {}.",
            measure::percent_precisely(outcome.resolution)
        )
    })
}

/// All choices at full speed, and the default once more.
fn compare(
    connections: usize,
    load: &'static str,
    unit: &'static str,
    toolbox: &Toolbox,
    options: &Options,
    report: &mut Report,
) -> Option<Outcome> {
    let mut contestants: Vec<Contestant> = CHOICES.iter().map(contestant).collect();
    contestants.push(Contestant::new(&format!("{} again", CHOICES[0].name), "switches", DEFAULT));
    let title = format!("CPU per {unit}");
    let case = Case {
        name: NAME,
        title,
        connections,
        unix: false,
        load,
        unit,
        contestants,
        promised: false,
        afresh: true,
        more_rounds: 0,
    };
    let options = Options { slice: options.slice.min(SLICE), warm_up: options.warm_up.min(WARM_UP), ..options.clone() };
    match measure::compare_afresh(&case, toolbox, &options, report) {
        Ok(outcome) => {
            outcome.invalid.iter().for_each(|why| report.skip(&format!("{NAME}: {}", case.title), why));
            Some(outcome)
        }
        Err(error) => {
            report.skip(&format!("{NAME}: {}", case.title), &error);
            None
        }
    }
}

/// The ratio with its interval, and what may be said about it.
fn cpu(outcome: &Option<Outcome>, choice: &Choice) -> String {
    let Some(outcome) = outcome.as_ref().filter(|outcome| outcome.invalid.is_none()) else { return "–".to_owned() };
    match outcome.rows.iter().find(|row| row.label == choice.name) {
        None => "–".to_owned(),
        Some(row) if choice.switch == DEFAULT => format!("{:.0} ns", row.cost.median),
        Some(row) => {
            let verdict = measure::in_words(judge(row.ratio, outcome.resolution));
            format!("{}: {verdict}", measure::ratio(row.ratio))
        }
    }
}

/// Instructions per echo with one connection and with 50.
fn instructions(toolbox: &Toolbox, choice: &Choice) -> [Result<f64, String>; 2] {
    let arguments = ["--server", "switches", choice.switch, "sleep"].map(str::to_owned).to_vec();
    let subject = Subject { label: choice.name.to_owned(), program: toolbox.own.clone(), arguments };
    let count = |connections| callgrind::count(toolbox, &subject, connections);
    [1, 50].map(|connections| count(connections).map(|found| found.instructions))
}

/// System calls per echo, per connection and per stalled echo.
fn system_calls(toolbox: &Toolbox, options: &Options, choice: &Choice) -> Vec<Result<String, String>> {
    let milliseconds = options.slice.min(SLICE).as_millis();
    let stalled = format!("{}:narrow", choice.switch);
    let loads = [
        (format!("run ping:64 {milliseconds}"), 1, choice.switch),
        (format!("run ping:64 {milliseconds}"), 50, choice.switch),
        (format!("rounds accept {}", counts::ARRIVALS), 1, choice.switch),
        (format!("run accept {milliseconds}"), 1, choice.switch),
        (format!("rounds ping:{STALLED} {STALLS}"), 1, &stalled),
    ];
    let count = |(load, connections, mode): &(String, usize, &str)| {
        let contestant = Contestant::new(choice.name, "switches", mode);
        let mut pair = Pair::start(toolbox, &contestant, None, *connections)?;
        if mode.ends_with(":narrow") {
            let address = pair.server.address.clone();
            pair.tell(&format!("open {connections} narrow {address}"))?;
        }
        // What goes in steps goes the same way each time.
        let times = if load.starts_with("run") { COUNTED } else { 1 };
        let mut calls =
            (0..times).map(|_| counts::calls_per_operation(&mut pair, load)).collect::<Result<Vec<_>, _>>()?;
        median(&mut calls).map(|calls| format!("{calls:.2}")).ok_or_else(|| "not counted".to_owned())
    };
    loads.iter().map(count).collect()
}

/// Resident bytes of a connection that had one echo.
fn memory_of(toolbox: &Toolbox, choice: &Choice) -> Result<String, String> {
    let mut pair = Pair::start(toolbox, &contestant(choice), None, 1)?;
    let address = pair.server.address.clone();
    let process = pair.server.process.id();
    let before = resident(process)?;
    pair.tell(&format!("open {IDLE} usual {address}"))?;
    pair.tell("rounds ping:64 1")?;
    let grown = resident(process)?.saturating_sub(before);
    Ok((grown / IDLE as u64).to_string())
}

/// The resident bytes of a process that no file holds, counted page by page (proc(5), smaps_rollup): what statm says may be
/// off by some dozen pages, and pages of the program come sixteen at a time.
fn resident(process: u32) -> Result<u64, String> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).map_err(|error| error.to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).ok_or("no Anonymous in smaps_rollup")?;
    let kibibytes = line.trim().trim_end_matches(" kB").parse::<u64>().map_err(|error| error.to_string())?;
    Ok(kibibytes * 1024)
}
