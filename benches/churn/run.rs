//! One run: servers and callers in a loop of this thread, random clients in a process of their own, rounds and samples.
//!
//! May touch: the public API, and the process of the clients. Invariant: a round is over when its clients are, and every
//! socket of the loop is closed; then, and only then, a sample is taken.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use halfclose::{EventLoop, Interest, Watch, watch};

use crate::addresses::Address;
use crate::callers::Callers;
use crate::clients::{self, Tally, Targets};
use crate::foreign_servers;
use crate::samples::{Run, Sample, open_descriptors};
use crate::servers::{LIFETIME, Leak, Servers};

/// What the lines of the clients' process begin with: a test's harness prints lines of its own.
const MARK: &str = "clients: ";

/// Instead of a number of connections: as many as possible together.
const CROWD: &str = "crowd";

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of the random clients. Those of the crate are a twentieth of it more.
    pub connections: u64,
    /// How often everybody rests and a sample is taken, beside the one after all came together.
    pub rounds: u64,
    pub seed: u64,
    pub leak: Option<Leak>,
    /// No round is begun after this time.
    pub limit: Duration,
    /// How long sockets may take to be closed when the clients are done.
    pub rest: Duration,
}

/// Does it. `clients` is the command of a process that calls [`obey`]; `heap` says how many bytes this thread holds;
/// `show` is given every sample.
pub fn run(plan: &Plan, clients: Command, heap: fn() -> i64, mut show: impl FnMut(&Sample)) -> Result<Run, String> {
    raise_descriptor_limit();
    let mut run = Run::default();
    // Nothing of what is kept here grows while it runs.
    run.samples.reserve(plan.rounds as usize + 2);
    run.descriptors.0 = open_descriptors().map_err(|error| error.to_string())?;
    let outcome = play(plan, clients, heap, &mut run, &mut show);
    run.descriptors.1 = open_descriptors().map_err(|error| error.to_string())?;
    outcome.map(|()| run)
}

fn play(
    plan: &Plan,
    clients: Command,
    heap: fn() -> i64,
    run: &mut Run,
    show: &mut impl FnMut(&Sample),
) -> Result<(), String> {
    let text = |error: halfclose::Error| error.to_string();
    let mut event_loop = EventLoop::new().map_err(text)?;
    let servers = Servers::listen(plan.leak).map_err(text)?;
    let mut clients = Clients::start(clients, plan.seed).map_err(|error| error.to_string())?;
    turn_until(&mut event_loop, || clients.ready())?;
    let callers = Callers::new(clients.foreign_servers.take(), plan.seed);
    clients.tell(&servers.targets.to_string())?;

    let begin = Instant::now();
    let mut sample = |event_loop: &EventLoop, run: &mut Run, most_open| {
        let taken = Sample::take(event_loop, servers.connections(), heap()).map_err(|error| error.to_string())?;
        let connections = run.tally.connections;
        let sample = Sample { connections, most_open, seconds: begin.elapsed().as_secs_f64(), ..taken };
        show(&sample);
        run.samples.push(sample);
        Ok::<(), String>(())
    };
    sample(&event_loop, run, 0)?;
    for round in 0..=plan.rounds {
        if begin.elapsed() >= plan.limit {
            break;
        }
        // The first sample with connections behind it is one with as many as there can be at the same time.
        let connections = if round == 0 { 0 } else { plan.connections / plan.rounds };
        let asked = if round == 0 { CROWD.to_owned() } else { connections.to_string() };
        clients.tell(&format!("{asked} {}", plan.seed.wrapping_add(round)))?;
        callers.play(connections / 20);
        let mut most_open = 0;
        // As long as it takes: clients that hang end by themselves, and so does a process that hangs.
        while clients.tally.get().is_none() || !callers.done() {
            clients.turn(&mut event_loop)?;
            most_open = most_open.max(event_loop.connections());
        }
        run.tally.add(clients.tally.take().unwrap_or_default());
        let end = Instant::now() + plan.rest;
        // What does not end is in the sample.
        while event_loop.connections() > 0 && Instant::now() < end {
            clients.turn(&mut event_loop)?;
        }
        sample(&event_loop, run, most_open)?;
    }
    servers.close();
    clients.watch.close();
    event_loop.turn(Some(Duration::ZERO)).map_err(text)?;
    Ok(())
}

/// How long one turn may wait: only so that a wait for something else comes to an end.
const TURN: Duration = Duration::from_millis(100);

fn turn_until(event_loop: &mut EventLoop, mut done: impl FnMut() -> bool) -> Result<(), String> {
    let end = Instant::now() + LIFETIME;
    while !done() {
        if Instant::now() >= end {
            return Err("the clients do not begin".to_owned());
        }
        event_loop.turn(Some(TURN)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The process of the clients, as seen from here. It is ended with this.
struct Clients {
    child: Child,
    input: ChildStdin,
    watch: Watch,
    foreign_servers: Rc<RefCell<Vec<Address>>>,
    /// What the round came to, when it is over.
    tally: Rc<Cell<Option<Tally>>>,
    gone: Rc<Cell<bool>>,
}

impl Clients {
    /// The loop has to be this thread's: it reads what they say.
    fn start(mut command: Command, seed: u64) -> io::Result<Clients> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let mut input = child.stdin.take().ok_or_else(missing)?;
        let output = File::from(OwnedFd::from(child.stdout.take().ok_or_else(missing)?));
        writeln!(input, "{seed}")?;
        let foreign_servers = Rc::new(RefCell::new(Vec::new()));
        let tally = Rc::new(Cell::new(None));
        let gone = Rc::new(Cell::new(false));
        let (addresses, result, end) = (Rc::clone(&foreign_servers), Rc::clone(&tally), Rc::clone(&gone));
        // As large as a line gets, so that it does not grow.
        let mut text = String::with_capacity(4096);
        let watch = watch(output, Interest::READABLE, move |watch, mut output: &File, _| {
            let mut buffer = [0; 1024];
            match output.read(&mut buffer) {
                Ok(0) | Err(_) => {
                    end.set(true);
                    watch.close();
                }
                Ok(length) => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
            }
            while let Some(length) = text.find('\n') {
                let line: String = text.drain(..=length).collect();
                let Some(said) = line.trim_end().strip_prefix(MARK) else { continue };
                match said.parse() {
                    Ok(tally) => result.set(Some(tally)),
                    Err(_) => *addresses.borrow_mut() = said.split(',').filter_map(|text| text.parse().ok()).collect(),
                }
            }
        })?;
        Ok(Clients { child, input, watch, foreign_servers, tally, gone })
    }

    /// Whether the process runs, and its servers listen.
    fn ready(&self) -> bool {
        !self.foreign_servers.borrow().is_empty()
    }

    fn tell(&mut self, line: &str) -> Result<(), String> {
        self.tally.set(None);
        writeln!(self.input, "{line}").map_err(|error| format!("the clients: {error}"))
    }

    fn turn(&self, event_loop: &mut EventLoop) -> Result<(), String> {
        event_loop.turn(Some(TURN)).map_err(|error| error.to_string())?;
        if self.gone.get() { Err("the clients are gone".to_owned()) } else { Ok(()) }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The clients' process: it reads a seed, says where its servers listen, reads where the others do, and then a round at a
/// time, until its input ends.
pub fn obey(input: impl BufRead, mut output: impl Write) -> Result<(), String> {
    raise_descriptor_limit();
    let text = |error: io::Error| error.to_string();
    let mut lines = input.lines();
    let Some(seed) = lines.next() else { return Ok(()) };
    let seed = number(&seed.map_err(text)?)?;
    let addresses = foreign_servers::start(seed).map_err(text)?;
    let names: Vec<String> = addresses.iter().map(Address::to_string).collect();
    // The harness of a test may have begun the line.
    writeln!(output, "\n{MARK}{}", names.join(",")).map_err(text)?;
    let Some(targets) = lines.next() else { return Ok(()) };
    let targets: Targets = targets.map_err(text)?.parse()?;
    for line in lines {
        let line = line.map_err(text)?;
        let (connections, seed) = line.split_once(' ').ok_or_else(|| format!("{line}: a number or a word, a seed"))?;
        let seed = number(seed)?;
        let tally = match connections {
            CROWD => clients::crowd_together(&targets, seed),
            _ => clients::play(&targets, number(connections)?, seed),
        };
        writeln!(output, "{MARK}{tally}").map_err(text)?;
    }
    Ok(())
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}

/// As far as it goes: all clients together are some four thousand, and a usual limit is one thousand.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer and a valid request. With a lower limit there are fewer connections.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
