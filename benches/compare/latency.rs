//! `latency`: one connection, messages at a fixed rate, servers that sleep and servers that spin, clients that do.
//!
//! May touch: servers and clients of its own. Invariant: every slice of a round is compared with the spinning floor's of
//! the same round and the same kind of client.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde_json::Value;

use crate::options::Options;
use crate::random::Random;
use crate::report::{Point, Report, Table};
use crate::servers::{Contestant, Pair};
use crate::statistics::Interval;
use crate::toolbox::Toolbox;

/// Messages a second of the table and of the distribution.
const RATE: usize = 5_000;

/// The rates of the curve of CPU against latency, beside [`RATE`]: rare messages, where spinning wastes most, and so many
/// that a server hardly gets to sleep.
const OTHER_RATES: [usize; 2] = [1_000, 20_000];

/// The slices of one contestant at [`RATE`] and at another rate, and their length: some ten thousand messages in all for
/// the table.
const ROUNDS: usize = 7;
const OTHER_ROUNDS: usize = 4;
const MILLISECONDS: usize = 250;

/// The reference.
const SPINNING_FLOOR: &str = "floor, spinning";

fn contestants() -> Vec<Contestant> {
    let mut contestants = vec![
        Contestant::new(SPINNING_FLOOR, "floor", "echo").waiting("spin"),
        Contestant::new("floor, spinning again", "floor", "echo").waiting("spin"),
        Contestant::new("halfclose, spinning", "halfclose", "echo").waiting("spin"),
        Contestant::new("halfclose, adaptive", "halfclose", "echo").waiting("adaptive"),
        Contestant::new("tokio, spinning", "tokio", "echo").waiting("spin"),
        Contestant::new("floor", "floor", "echo"),
        Contestant::new("halfclose", "halfclose", "echo"),
    ];
    let others = [("mio", "mio"), ("tokio", "tokio"), ("libuv", "libuv"), ("Node", "node")];
    contestants.extend(others.map(|(label, server)| Contestant::new(label, server, "echo")));
    contestants
}

/// What all slices of one contestant found.
struct Found {
    label: String,
    all: Histogram<u64>,
    medians: Vec<f64>,
    /// The server's CPU as a share of the time.
    shares: Vec<f64>,
    client_shares: Vec<f64>,
}

pub fn run(toolbox: &Toolbox, options: &Options, report: &mut Report) {
    for client in ["sleep", "spin"] {
        for (place, rate) in [RATE].into_iter().chain(OTHER_RATES).enumerate() {
            if options.quick && place > 0 {
                break;
            }
            let curve_only = place > 0;
            match play(toolbox, options, client, rate, curve_only, report) {
                Ok(found) => add(client, rate, curve_only, &found, report),
                Err(error) => report.skip(&format!("latency at {rate} a second, client {client}"), &error),
            }
        }
    }
}

fn play(
    toolbox: &Toolbox,
    options: &Options,
    client: &str,
    rate: usize,
    curve_only: bool,
    report: &mut Report,
) -> Result<Vec<Found>, String> {
    let mut pairs = Vec::new();
    // The curve needs the ways to wait, not all the peers.
    for contestant in
        contestants().iter().filter(|contestant| !curve_only || !["mio", "libuv", "node"].contains(&contestant.server))
    {
        match Pair::start(toolbox, contestant, None, 1) {
            Ok(pair) => pairs.push(pair),
            Err(error) => report.skip(&format!("{} in latency", contestant.label), &error),
        }
    }
    let mut found = Vec::new();
    for pair in &pairs {
        found.push(Found {
            label: pair.contestant.label.clone(),
            all: Histogram::new(3).map_err(|error| error.to_string())?,
            medians: Vec::new(),
            shares: Vec::new(),
            client_shares: Vec::new(),
        });
    }
    let (rounds, length) = match (options.quick, curve_only) {
        (true, _) => (3, 50),
        (false, true) => (OTHER_ROUNDS, MILLISECONDS),
        (false, false) => (ROUNDS, MILLISECONDS),
    };
    let mut random = Random::new(options.seed);
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    for _ in 0..rounds {
        random.shuffle(&mut order);
        for &number in &order {
            let answer = pairs[number].tell(&format!("latency {rate} {client} {length}"))?;
            found[number].record(&answer)?;
        }
    }
    Ok(found)
}

impl Found {
    fn record(&mut self, answer: &Value) -> Result<(), String> {
        let mut slice: Histogram<u64> = Histogram::new(3).map_err(|error| error.to_string())?;
        for step in answer["histogram"].as_array().ok_or("no histogram")? {
            let (value, count) = step[0].as_u64().zip(step[1].as_u64()).ok_or("no histogram")?;
            slice.record_n(value, count).map_err(|error| error.to_string())?;
        }
        self.medians.push(slice.value_at_quantile(0.5) as f64);
        self.all.add(&slice).map_err(|error| error.to_string())?;
        let field = |name: &str| answer[name].as_f64().ok_or_else(|| format!("no {name}"));
        self.shares.push(field("server")? / field("wall")?);
        self.client_shares.push(field("client")? / field("wall")?);
        Ok(())
    }
}

fn add(client: &str, rate: usize, curve_only: bool, found: &[Found], report: &mut Report) {
    let client_does = if client == "spin" { "spinning" } else { "sleeping" };
    let title = format!("latency: 1 connection, 64 B, {rate} messages a second, {client_does} client");
    let columns = ["server", "p50", "p90", "p99", "p99.9", "p50 to the spinning floor", "server CPU", "client CPU"];
    let mut table = Table::new(&format!("latency {client}"), &title, &columns);
    let reference: BTreeMap<&str, &Vec<f64>> =
        found.iter().map(|found| (found.label.as_str(), &found.medians)).collect();
    for found in found {
        let microseconds = |quantile: f64| format!("{:.1} µs", found.all.value_at_quantile(quantile) as f64 / 1_000.0);
        let ratio = reference.get(SPINNING_FLOOR).and_then(|floor| {
            let ratios: Vec<f64> = found.medians.iter().zip(*floor).map(|(one, other)| one / other).collect();
            Interval::of(&ratios)
        });
        let (Some(p50), Some(share), Some(client_share)) =
            (Interval::of(&found.medians), Interval::of(&found.shares), Interval::of(&found.client_shares))
        else {
            continue;
        };
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        table.rows.push(vec![
            found.label.clone(),
            microseconds(0.5),
            microseconds(0.9),
            microseconds(0.99),
            microseconds(0.999),
            ratio.map_or("–".to_owned(), crate::measure::ratio),
            percent(share.median),
            percent(client_share.median),
        ]);
        report.points.push(Point {
            chart: format!("spinning/{client}"),
            series: found.label.clone(),
            x: share.median * 100.0,
            label: format!("{rate}"),
            y: p50.median / 1_000.0,
            low: p50.low / 1_000.0,
            high: p50.high / 1_000.0,
        });
        if curve_only {
            continue;
        }
        for percentile in (0..=99).map(f64::from).chain([99.5, 99.9]) {
            let value = found.all.value_at_quantile(percentile / 100.0) as f64 / 1_000.0;
            report.points.push(Point {
                chart: format!("latency/{client}"),
                series: found.label.clone(),
                x: percentile,
                label: String::new(),
                y: value,
                low: value,
                high: value,
            });
        }
    }
    table.notes.push("Measured from when each message was to be sent, not from when it was.".to_owned());
    report.add(table);
}
