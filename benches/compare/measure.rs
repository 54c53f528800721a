//! Comparing servers at full speed: rounds of short slices in shuffled order, ratios per round, intervals, verdicts.
//!
//! May touch: the servers and clients of its case. Invariant: a ratio is always of two slices of the same round, so what
//! the machine does over minutes falls out of it.

use std::time::Duration;

use crate::cases::Case;
use crate::options::Options;
use crate::random::Random;
use crate::report::{Point, Report, Table};
use crate::servers::{Contestant, Pair};
use crate::statistics::{Interval, Verdict, judge, keeps};
use crate::toolbox::Toolbox;

/// A client that has no idle time left, with a server that has: then the case measures the client.
const CLIENT_IS_BUSY: f64 = 0.97;
const SERVER_IS_IDLE: f64 = 0.80;

/// How much more than the floor this crate may cost at the upper end of its interval, where it is promised.
const PROMISED: f64 = 1.02;

/// The warm-up of a case whose processes are new in each round: it is repeated as often.
const WARM_UP: Duration = Duration::from_millis(100);

/// The first contestants of every case: the floor and this crate, twice each.
const A_A_PAIRS: usize = 4;

/// What one slice cost, per operation or as a share of the time.
struct Slice {
    cost: f64,
    client_cost: f64,
    server_share: f64,
    client_share: f64,
}

/// The line of one contestant.
pub struct Row {
    pub label: String,
    /// Nanoseconds of the server's CPU per operation.
    pub cost: Interval,
    /// To the first contestant, per round; of who takes part again, to its first time.
    pub ratio: Interval,
    client_cost: f64,
    server_share: f64,
    client_share: f64,
}

/// What a case found.
pub struct Outcome {
    pub rows: Vec<Row>,
    /// How far from 1 the intervals of both A/A pairs reach.
    pub resolution: f64,
    /// Why nothing may be concluded, if so.
    pub invalid: Option<String>,
}

/// Runs a case, and adds its table and points to the report.
pub fn run(case: &Case, toolbox: &Toolbox, options: &Options, report: &mut Report) {
    let title = format!("{}: {}", case.name, case.title);
    let outcome = if case.afresh {
        compare_afresh(case, toolbox, &Options { warm_up: options.warm_up.min(WARM_UP), ..options.clone() }, report)
    } else {
        compare(case, toolbox, options, report)
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            return report.skip(&title, &error);
        }
    };
    report.add(table(case, &title, &outcome));
    for row in &outcome.rows {
        report.points.push(Point {
            chart: format!("cost/{}{}", case.name, if case.unix { "/unix" } else { "" }),
            series: row.label.clone(),
            x: case.connections as f64,
            label: title.clone(),
            y: row.cost.median,
            low: row.cost.low,
            high: row.cost.high,
        });
        report.points.push(Point {
            chart: "ratio".to_owned(),
            series: row.label.clone(),
            x: case.connections as f64,
            label: title.clone(),
            y: row.ratio.median,
            low: row.ratio.low,
            high: row.ratio.high,
        });
    }
}

/// The contestants with their clients connected. Who cannot take part is skipped.
fn start(case: &Case, contestants: &[Contestant], toolbox: &Toolbox, report: &mut Report) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (number, contestant) in contestants.iter().enumerate() {
        let path = case.unix.then(|| toolbox.socket_path(number));
        // Connections are opened again and again where none are kept; one shows that the server is there.
        match Pair::start(toolbox, contestant, path.as_deref(), case.connections.max(1)) {
            Ok(pair) => pairs.push(pair),
            Err(error) => {
                report.skip(&format!("{} in {}: {}", contestant.label, case.name, case.title), &error);
            }
        }
    }
    pairs
}

/// Plays all rounds with the same processes.
fn compare(case: &Case, toolbox: &Toolbox, options: &Options, report: &mut Report) -> Result<Outcome, String> {
    let mut pairs = start(case, &case.contestants, toolbox, report);
    if pairs.first().is_none_or(|pair| pair.contestant != case.contestants[0]) {
        return Err("without the floor there is nothing to compare with".to_owned());
    }
    let contestants: Vec<Contestant> = pairs.iter().map(|pair| pair.contestant.clone()).collect();
    let mut slices: Vec<Vec<Slice>> = pairs.iter().map(|_| Vec::new()).collect();
    play(case, &mut pairs, options, options.rounds, &mut Random::new(options.seed), &mut slices)?;
    outcome(case, &contestants, &slices).ok_or_else(|| "no round was played".to_owned())
}

/// Plays each round with new processes. Two of one program can differ by some per cent for as long as they live: among a
/// dozen contestants some are unlucky, and the A/A pair need not be.
pub fn compare_afresh(
    case: &Case,
    toolbox: &Toolbox,
    options: &Options,
    report: &mut Report,
) -> Result<Outcome, String> {
    let mut random = Random::new(options.seed);
    let mut slices: Vec<Vec<Slice>> = case.contestants.iter().map(|_| Vec::new()).collect();
    let all = &case.contestants[..];
    let first = &all[..A_A_PAIRS.min(all.len())];
    let more = options.rounds * case.more_rounds;
    let rounds = std::iter::repeat_n(all, options.rounds).chain(std::iter::repeat_n(first, more));
    for contestants in rounds {
        let mut pairs = start(case, contestants, toolbox, report);
        if pairs.len() < contestants.len() {
            return Err("not all contestants can take part".to_owned());
        }
        play(case, &mut pairs, options, 1, &mut random, &mut slices)?;
    }
    outcome(case, &case.contestants, &slices).ok_or_else(|| "no round was played".to_owned())
}

fn play(
    case: &Case,
    pairs: &mut [Pair],
    options: &Options,
    rounds: usize,
    random: &mut Random,
    slices: &mut [Vec<Slice>],
) -> Result<(), String> {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    let command = format!("run {} {}", case.load, options.slice.as_millis());
    for pair in pairs.iter_mut() {
        slice(pair, &format!("run {} {}", case.load, options.warm_up.as_millis()))?;
    }
    for _ in 0..rounds {
        random.shuffle(&mut order);
        for &number in &order {
            slices[number].push(slice(&mut pairs[number], &command)?);
        }
    }
    Ok(())
}

fn slice(pair: &mut Pair, command: &str) -> Result<Slice, String> {
    let answer = pair.tell(command)?;
    let field = |name: &str| answer[name].as_f64().ok_or_else(|| format!("no {name} in {answer}"));
    let operations = field("operations")?;
    if operations == 0.0 {
        return Err(format!("{}: not one operation", pair.contestant.label));
    }
    let (server, client, wall) = (field("server")?, field("client")?, field("wall")?);
    Ok(Slice {
        cost: server / operations,
        client_cost: client / operations,
        server_share: server / wall,
        client_share: client / wall,
    })
}

fn outcome(case: &Case, contestants: &[Contestant], slices: &[Vec<Slice>]) -> Option<Outcome> {
    let middle = |slices: &[Slice], part: fn(&Slice) -> f64| {
        Some(Interval::of(&slices.iter().map(part).collect::<Vec<_>>())?.median)
    };
    // Who takes part twice counts with the mean of the two: half of one process's luck.
    let costs = |place: usize| -> Vec<f64> {
        let twin = format!("{} again", contestants[place].label);
        let own = slices[place].iter().map(|slice| slice.cost);
        match contestants.iter().position(|other| other.label == twin) {
            Some(twin) => own.zip(&slices[twin]).map(|(cost, other)| (cost + other.cost) / 2.0).collect(),
            None => own.collect(),
        }
    };
    let single = |place: usize| -> Vec<f64> { slices[place].iter().map(|slice| slice.cost).collect() };
    let mut rows = Vec::new();
    let mut resolution: f64 = 0.0;
    let mut invalid = None;
    for (place, contestant) in contestants.iter().enumerate() {
        let own = &slices[place];
        let label = &contestant.label;
        let row = Row {
            label: label.clone(),
            cost: Interval::of(&costs(place))?,
            ratio: Interval::of(&ratios(&costs(place), &costs(0)))?,
            client_cost: middle(own, |slice| slice.client_cost)?,
            server_share: middle(own, |slice| slice.server_share)?,
            client_share: middle(own, |slice| slice.client_share)?,
        };
        // In lock-step the server has all of its work before it begins.
        let lock_step = case.load.starts_with("step") || case.load == "pump";
        if !lock_step && row.client_share > CLIENT_IS_BUSY && row.server_share < SERVER_IS_IDLE {
            invalid = Some(format!("the client was the bottleneck of {label}"));
        }
        let twin = label.strip_suffix(" again").and_then(|first| contestants.iter().position(|one| one.label == first));
        if let Some(twin) = twin {
            let same = Interval::of(&ratios(&single(place), &single(twin)))?;
            resolution = resolution.max(same.reach());
            rows.push(Row { ratio: same, ..row });
        } else {
            rows.push(row);
        }
    }
    Some(Outcome { rows, resolution, invalid })
}

fn ratios(numerators: &[f64], denominators: &[f64]) -> Vec<f64> {
    numerators.iter().zip(denominators).map(|(one, other)| one / other).collect()
}

fn table(case: &Case, title: &str, outcome: &Outcome) -> Table {
    let name = if case.unix { format!("{} unix", case.name) } else { case.name.to_owned() };
    let cost = format!("server CPU per {}", case.unit);
    let columns = ["server", &cost, "to the floor", "server busy", "client busy", "client CPU", "verdict"];
    let mut table = Table::new(&name, title, &columns);
    for (place, row) in outcome.rows.iter().enumerate() {
        let verdict = match (&outcome.invalid, place) {
            (_, 0) => "the reference".to_owned(),
            _ if row.label.ends_with(" again") => "A/A, to the row above".to_owned(),
            (Some(_), _) => "invalid".to_owned(),
            (None, _) => in_words(judge(row.ratio, outcome.resolution)),
        };
        table.rows.push(vec![
            row.label.clone(),
            format!("{:.0} ns", row.cost.median),
            ratio(row.ratio),
            percent(row.server_share),
            percent(row.client_share),
            format!("{:.0} ns", row.client_cost),
            verdict,
        ]);
    }
    table
        .notes
        .push(format!("A/A: the same program twice differs by up to {}.", percent_precisely(outcome.resolution)));
    let ours = outcome.rows.iter().find(|row| row.label == "halfclose");
    if let Some(ours) = ours.filter(|_| case.promised && outcome.invalid.is_none()) {
        let kept = match keeps(PROMISED, ours.ratio, outcome.resolution) {
            Some(true) => "kept",
            Some(false) => "missed",
            None => "not judged: the A/A pairs do not resolve it",
        };
        table.notes.push(format!("Target for this crate, upper end of the interval at most {PROMISED}: {kept}."));
    }
    table.notes.extend(outcome.invalid.iter().map(|why| format!("Invalid: {why}.")));
    table
}

/// A ratio with its interval.
pub fn ratio(ratio: Interval) -> String {
    format!("{:.3} [{:.3}, {:.3}]", ratio.median, ratio.low, ratio.high)
}

/// A verdict as tables show it.
pub fn in_words(verdict: Verdict) -> String {
    match verdict {
        Verdict::Differs(share) if share > 0.0 => format!("{} more", percent_precisely(share)),
        Verdict::Differs(share) => format!("{} less", percent_precisely(-share)),
        Verdict::Same { within } => format!("the same within {}", percent_precisely(within)),
        Verdict::Refused { .. } => "none: finer than the A/A pairs".to_owned(),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

pub fn percent_precisely(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
