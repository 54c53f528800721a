//! What is looked at between rounds, and what is judged flat.
//!
//! May touch: `/proc` and the loop's public counters. Invariant: a sample is taken when nobody is connected, so whatever it
//! shows is what stayed behind.
//!
//! **The criterion.** Counts are exact: nobody is connected, no server counts anybody, as many connections are over as
//! came about, and there are as many timers and descriptors as before the first connection came. Bytes cannot be: tables
//! grow with the largest crowd so far (so a run begins with one of all clients together), and an allocator keeps what lies
//! between the blocks in use. But a leak grows in every round, and a table does not. So the first tenth is left out, and the
//! rest is cut in three: **what is held grows when half of each third is above all of the third before.** A leak is seen as
//! soon as a sixth of a run of it is more than what samples differ by anyway, which is printed; a table that grows once more
//! is not taken for one.

use std::fmt::{self, Write};
use std::fs;
use std::io;

use halfclose::EventLoop;

use crate::clients::Tally;

/// What there was after a round.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// By the random clients, so far.
    pub connections: u64,
    /// By the clients of this crate, so far: those that came about.
    pub called: u64,
    pub seconds: f64,
    /// Sockets of the loop at the same time, within the round.
    pub most_open: usize,
    /// Sockets of the loop now.
    pub open: usize,
    /// Connections that came about and are not over, and those that servers count.
    pub unfinished: u64,
    pub timers: usize,
    pub descriptors: usize,
    pub heap: i64,
    pub resident: i64,
}

impl Sample {
    /// Looks at the loop and at the process. What the caller knows is given: what its servers count, and `heap`.
    pub fn take(event_loop: &EventLoop, served: usize, heap: i64) -> io::Result<Sample> {
        let stats = event_loop.stats();
        Ok(Sample {
            open: event_loop.connections(),
            unfinished: stats.opened - stats.closes.total() + served as u64,
            // Those that were accepted and let in, less those turned away, are the others.
            called: stats.opened - (stats.accepts - stats.dropped - stats.blocked),
            timers: event_loop.timers(),
            descriptors: open_descriptors()?,
            heap,
            resident: resident()?,
            ..Sample::default()
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sample { connections, called, seconds, most_open, open, unfinished: _, timers, descriptors, .. } = self;
        write!(
            formatter,
            "| {connections} | {called} | {seconds:.0} | {most_open} | {open} | {timers} | {descriptors} "
        )?;
        write!(formatter, "| {} | {} |", self.heap, self.resident / 1024)
    }
}

/// What a whole run came to.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The first was taken before anybody came.
    pub samples: Vec<Sample>,
    pub tally: Tally,
    /// Descriptors before there was a loop, and after it was dropped.
    pub descriptors: (usize, usize),
}

/// Growth from third to third of at most a page is none: so much tables grow by that hold what a crowd has at its peak,
/// while what is lost of each of thousands of connections is more.
const NOISE: i64 = 4096;

impl Run {
    /// What is not flat, one line for each; empty for a good run.
    pub fn complaints(&self) -> Vec<String> {
        let mut found = Vec::new();
        let Some(first) = self.samples.first() else { return vec!["there are no samples".to_owned()] };
        let mut exact = |name: &str, of: fn(&Sample) -> u64| {
            if let Some(bad) = self.samples.iter().find(|sample| of(sample) != of(first)) {
                found.push(format!(
                    "{name}: {} after {} connections, {} before the first",
                    of(bad),
                    bad.connections,
                    of(first)
                ));
            }
        };
        exact("sockets", |sample| sample.open as u64);
        exact("connections that are not over", |sample| sample.unfinished);
        exact("timers", |sample| sample.timers as u64);
        exact("descriptors", |sample| sample.descriptors as u64);
        let (before, after) = self.descriptors;
        if before != after {
            found.push(format!("descriptors: {after} when the loop was gone, {before} before it was made"));
        }
        for (name, of) in HELD {
            match self.thirds(of) {
                None => found.push(format!("{name}: too few samples")),
                Some([early, middle, late])
                    if middle.median > early.most + NOISE && late.median > middle.most + NOISE =>
                {
                    found.push(format!("{name}: grew from {early} to {middle} to {late} bytes"));
                }
                Some(_) => {}
            }
        }
        if self.tally.wronged > 0 {
            found.push(format!("{} clients got bytes of somebody else's, or waited for ever", self.tally.wronged));
        }
        found
    }

    /// The last line of the table, and the verdict.
    pub fn conclusion(&self) -> String {
        let Tally { connections, answered, cut_off, wronged } = self.tally;
        let mut text = format!(
            "{connections} connections of random clients: {answered} got their answer, {cut_off} were turned away or cut \
             off, {wronged} got another one's\n"
        );
        for (name, of) in HELD {
            if let Some([early, middle, late]) = self.thirds(of) {
                let _ = writeln!(text, "{name}, bytes: {early}, then {middle}, then {late}");
            }
        }
        let complaints = self.complaints();
        if complaints.is_empty() {
            text.push_str("flat");
        } else {
            let _ = write!(text, "NOT FLAT\n{}", complaints.join("\n"));
        }
        text
    }

    /// What one figure was in each third, without the first tenth.
    fn thirds(&self, of: Figure) -> Option<[Spread; 3]> {
        // Before the first connection nothing has its size yet.
        let cold = self.samples.len().div_ceil(10).max(1);
        let warm: Vec<i64> = self.samples.iter().skip(cold).map(of).collect();
        let (early, rest) = warm.split_at(warm.len() / 3);
        let (middle, late) = rest.split_at(rest.len() / 2);
        Some([Spread::of(early)?, Spread::of(middle)?, Spread::of(late)?])
    }
}

/// One figure of a sample, in bytes.
type Figure = fn(&Sample) -> i64;

/// What may grow a little and must not go on.
const HELD: [(&str, Figure); 2] = [("heap", |sample| sample.heap), ("resident", |sample| sample.resident)];

/// Where figures lie.
#[derive(Clone, Copy, Debug)]
struct Spread {
    least: i64,
    median: i64,
    most: i64,
}

impl Spread {
    fn of(figures: &[i64]) -> Option<Spread> {
        let mut sorted = figures.to_vec();
        sorted.sort_unstable();
        // Of an even number the lower one, so that half of them and more lie at or above it.
        let median = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
        Some(Spread { least: *sorted.first()?, median, most: *sorted.last()? })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({} to {})", self.median, self.least, self.most)
    }
}

/// How many descriptors the process has open.
pub fn open_descriptors() -> io::Result<usize> {
    // Counting opens one for the directory itself.
    Ok(fs::read_dir("/proc/self/fd")?.count() - 1)
}

/// The resident bytes of the process (proc(5), `status`).
fn resident() -> io::Result<i64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<i64>().ok());
    kibibytes.map(|kibibytes| kibibytes * 1024).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
