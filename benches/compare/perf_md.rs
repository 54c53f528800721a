//! The generated blocks of PERF.md.
//!
//! May touch: that file. Invariant: only what stands between a pair of marks changes; everything else was written by
//! people. A block whose tables were not made in this run stays as it is.
//!
//! A pair of marks is `<!-- generated: NAME -->` and `<!-- end of NAME -->`, each alone on its line.

use std::fs;

use crate::measure;
use crate::report::{Report, Table};
use crate::statistics::Interval;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/PERF.md");

/// Where the charts are, as PERF.md names it.
const CHARTS: &str = "benches/charts";

/// Replaces the blocks that the report has something for.
pub fn update(report: &Report, charts: &[&str]) -> Result<(), String> {
    let mut text = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
    for (name, block) in blocks(report, charts) {
        match replace(&text, &name, &block) {
            Some(replaced) => text = replaced,
            None => println!("PERF.md has no marks for the block {name}: it was left out"),
        }
    }
    fs::write(FILE, text).map_err(|error| format!("{FILE}: {error}"))
}

/// The blocks and their names: one for each name of a table, and one for each chart.
fn blocks(report: &Report, charts: &[&str]) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut machine = Table::new("machine", "The machine", &["what", "which"]);
    machine.rows = report.machine.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
    let mut skipped =
        report.skipped.iter().map(|line| format!("- {}\n", line.trim_start_matches("skipped: "))).collect::<String>();
    if skipped.is_empty() {
        skipped = "Nothing was skipped.\n".to_owned();
    }
    for table in [&machine].into_iter().chain(&report.tables) {
        match blocks.iter_mut().find(|(name, _)| *name == table.name) {
            Some((_, block)) => *block = format!("{block}\n{}", table.to_markdown()),
            None => blocks.push((table.name.clone(), table.to_markdown())),
        }
    }
    blocks.push(("skipped".to_owned(), skipped));
    for chart in charts {
        let name = chart.trim_end_matches(".svg");
        blocks.push((format!("chart {name}"), format!("![{name}]({CHARTS}/{chart})\n")));
    }
    blocks
}

/// The text with another block between the marks, or `None` without marks.
fn replace(text: &str, name: &str, block: &str) -> Option<String> {
    let begin = format!("<!-- generated: {name} -->\n");
    let end = format!("<!-- end of {name} -->");
    let from = text.find(&begin)? + begin.len();
    let to = from + text[from..].find(&end)?;
    Some(format!("{}\n{block}\n{}", &text[..from], &text[to..]))
}

/// All comparisons in one table: cases by servers, ratios to the floor.
pub fn summary(report: &Report) -> Option<Table> {
    let servers = ["halfclose", "mio", "tokio", "libuv", "Node"];
    let mut columns = vec!["case"];
    columns.extend(servers);
    let mut table = Table::new("summary", "Server CPU per operation, as a ratio to the tuned epoll loop", &columns);
    let mut cases: Vec<&str> = Vec::new();
    for point in report.points.iter().filter(|point| point.chart == "ratio") {
        if !cases.contains(&point.label.as_str()) {
            cases.push(&point.label);
        }
    }
    for case in cases {
        let mut row = vec![case.to_owned()];
        row.extend(servers.map(|server| {
            // Where a server takes part in several ways, the first is the one that is meant for speed.
            let point = report.points.iter().find(|point| {
                let own = point.series.split(',').next() == Some(server);
                point.chart == "ratio" && point.label == case && own
            });
            point.map_or("–".to_owned(), |point| {
                measure::ratio(Interval { median: point.y, low: point.low, high: point.high })
            })
        }));
        table.rows.push(row);
    }
    table.notes.push(
        "Medians with 95 % intervals. What each resolves, and what was invalid, is said in its own table.".to_owned(),
    );
    (!table.rows.is_empty()).then_some(table)
}
