//! The charts of PERF.md, as SVG, from the points of a report.
//!
//! May touch: the folder that it is given. Invariant: one colour per server in every chart; what lies outside of a
//! chart's range is drawn at its edge, with its number beside it, not left out.

use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;

use crate::report::{Point, Report};

const WIDTH: u32 = 900;

/// What the names of the series have, at the right of a chart of lines.
const LEGEND: u32 = 170;

/// What the title and the names of the servers have, above a chart of rows.
const HEADING: u32 = 62;

/// The height of a row, and the width of a letter of its name.
const ROW: u32 = 46;
const LETTER: u32 = 6;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Outcome = Result<(), Box<dyn Error>>;
/// Whether there was something to draw.
type Drawn = Result<bool, Box<dyn Error>>;
type Chart = fn(&Report, &Path) -> Drawn;

/// How a chart is drawn.
struct Axes<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    log_x: bool,
    log_y: bool,
}

/// Draws every chart that the report has points for, and gives their names.
pub fn draw(report: &Report, folder: &Path) -> Result<Vec<&'static str>, String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let charts: [(&'static str, Chart); 5] = [
        ("cost.svg", cost),
        ("connections.svg", connections),
        ("latency.svg", latency),
        ("memory.svg", memory),
        ("spinning.svg", spinning),
    ];
    let mut drawn = Vec::new();
    for (name, chart) in charts {
        if chart(report, &folder.join(name)).map_err(|error| format!("{name}: {error}"))? {
            drawn.push(name);
        }
    }
    Ok(drawn)
}

fn points<'a>(report: &'a Report, chart: &str) -> Vec<&'a Point> {
    report.points.iter().filter(|point| point.chart == chart).collect()
}

/// The cost per operation of every case, as a ratio to the floor.
fn cost(report: &Report, path: &Path) -> Drawn {
    let points = fastest(points(report, "ratio"));
    let title = "Server CPU per operation, as a ratio to the tuned epoll loop, with 95 % intervals";
    rows(path, title, "ratio to the floor", &points, |point| (&point.label, &point.series), Some((0.8, 2.0)))
}

fn memory(report: &Report, path: &Path) -> Drawn {
    let points = points(report, "memory");
    let title = "Resident bytes per idle connection: idle (dot), and after a drained burst (circle)";
    rows(path, title, "bytes", &points, |point| (&point.label, &point.label), None)
}

fn connections(report: &Report, path: &Path) -> Drawn {
    let mut points = points(report, "cost/ping_pongs");
    points.retain(|point| point.label.contains("64 B") && !point.series.ends_with("again"));
    if points.is_empty() {
        return Ok(false);
    }
    let axes = Axes {
        title: "Server CPU per echo of 64 B against connections",
        x: "connections",
        y: "nanoseconds per echo",
        log_x: true,
        log_y: true,
    };
    let root = SVGBackend::new(path, (WIDTH, 480)).into_drawing_area();
    lines(&root, &axes, &points)?;
    root.present()?;
    Ok(true)
}

fn latency(report: &Report, path: &Path) -> Drawn {
    let axes = |title| Axes { title, x: "percentile", y: "microseconds", log_x: false, log_y: true };
    let panels = [
        ("latency/sleep", axes("Latency at a fixed rate, sleeping client")),
        ("latency/spin", axes("Latency at a fixed rate, spinning client")),
    ];
    both(report, path, &panels)
}

fn spinning(report: &Report, path: &Path) -> Drawn {
    let axes = |title| Axes { title, x: "server CPU, %", y: "p50, microseconds", log_x: false, log_y: true };
    let panels = [
        ("spinning/sleep", axes("CPU against p50, sleeping client")),
        ("spinning/spin", axes("CPU against p50, spinning client")),
    ];
    both(report, path, &panels)
}

/// Two charts of lines below each other.
fn both(report: &Report, path: &Path, panels: &[(&str, Axes); 2]) -> Drawn {
    let found: Vec<_> = panels
        .iter()
        .map(|(chart, axes)| {
            let mut points = points(report, chart);
            points.retain(|point| !point.series.ends_with("again"));
            (points, axes)
        })
        .filter(|(points, _)| !points.is_empty())
        .collect();
    if found.is_empty() {
        return Ok(false);
    }
    let root = SVGBackend::new(path, (WIDTH, 440 * found.len() as u32)).into_drawing_area();
    for (area, (points, axes)) in root.split_evenly((found.len(), 1)).iter().zip(&found) {
        lines(area, axes, points)?;
    }
    root.present()?;
    Ok(true)
}

/// A line per series, with its points and their intervals.
fn lines(area: &Area, axes: &Axes, points: &[&Point]) -> Outcome {
    area.fill(&WHITE)?;
    let x = |value: f64| if axes.log_x { value.max(0.1).log10() } else { value };
    let y = |value: f64| if axes.log_y { value.max(0.1).log10() } else { value };
    let xs = range(points.iter().map(|point| x(point.x)), 0.04);
    let ys = range(points.iter().flat_map(|point| [y(point.low), y(point.high)]), 0.06);
    let mut chart = ChartBuilder::on(area)
        .caption(axes.title, ("sans-serif", 17))
        .margin(12)
        .margin_right(LEGEND)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(
            Scale { ends: xs, lines: ticks(xs, axes.log_x) },
            Scale { ends: ys, lines: ticks(ys, axes.log_y) },
        )?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_label_formatter(&|value| number(if axes.log_x { 10_f64.powf(*value) } else { *value }))
        .y_label_formatter(&|value| number(if axes.log_y { 10_f64.powf(*value) } else { *value }))
        .draw()?;
    for (place, name) in names(points.iter().map(|point| point.series.as_str())).into_iter().enumerate() {
        let color = color(name);
        let own: Vec<&&Point> = points.iter().filter(|point| point.series == name).collect();
        let places: Vec<(f64, f64)> = own.iter().map(|point| (x(point.x), y(point.y))).collect();
        let style = if name.contains("spinning") { color.mix(0.5) } else { color.mix(1.0) };
        let width = if name.starts_with("halfclose") { 3 } else { 1 };
        chart.draw_series(LineSeries::new(places.clone(), style.stroke_width(width)))?;
        let (left, top) = ((WIDTH - LEGEND) as i32 + 12, 50 + 18 * place as i32);
        area.draw(&PathElement::new(vec![(left, top), (left + 18, top)], style.stroke_width(width)))?;
        area.draw(&Text::new(name.to_owned(), (left + 24, top - 6), ("sans-serif", 12).into_font()))?;
        // A distribution is a line of a hundred points, which would hide it.
        if own.len() <= 10 {
            let whiskers = own.iter().map(|point| vec![(x(point.x), y(point.low)), (x(point.x), y(point.high))]);
            chart.draw_series(whiskers.map(|whisker| PathElement::new(whisker, style)))?;
            let filled = !name.contains("spinning");
            let dot = if filled { color.filled() } else { color.stroke_width(2) };
            chart.draw_series(places.iter().map(|&place| Circle::new(place, 4, dot)))?;
        }
    }
    Ok(())
}

/// A row per name, with a dot and an interval for each of its points.
fn rows<'a>(
    path: &Path,
    title: &str,
    description: &str,
    points: &[&'a Point],
    row_and_color: fn(&'a Point) -> (&'a String, &'a String),
    limits: Option<(f64, f64)>,
) -> Drawn {
    if points.is_empty() {
        return Ok(false);
    }
    let rows = names(points.iter().map(|point| row_and_color(point).0.as_str()));
    let left = 24 + LETTER * rows.iter().map(|name| name.chars().count() as u32).max().unwrap_or(0);
    let root = SVGBackend::new(path, (WIDTH, HEADING + 70 + ROW * rows.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let (low, high) = limits.map_or_else(
        || range(points.iter().map(|point| point.y.max(1.0).log10()), 0.08),
        |(low, high)| (low.log10(), high.log10()),
    );
    let (heading, body) = root.split_vertically(HEADING);
    heading.draw(&Text::new(title.to_owned(), (14, 12), ("sans-serif", 17).into_font()))?;
    for (place, name) in names(points.iter().map(|point| server_of(row_and_color(point).1))).iter().enumerate() {
        let x = left as i32 + 20 + 90 * place as i32;
        heading.draw(&Circle::new((x, 48), 4, color(name).filled()))?;
        heading.draw(&Text::new((*name).to_owned(), (x + 9, 42), ("sans-serif", 12).into_font()))?;
    }
    let mut chart = ChartBuilder::on(&body)
        .margin(12)
        .margin_right(48)
        .x_label_area_size(40)
        .y_label_area_size(left)
        .build_cartesian_2d(
        Scale { ends: (low, high), lines: ticks((low, high), true) },
        Scale { ends: (0.0, rows.len() as f64), lines: Vec::new() },
    )?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc(description)
        .x_label_formatter(&|value| number(10_f64.powf(*value)))
        .draw()?;
    for (place, name) in rows.iter().enumerate() {
        let middle = rows.len() as f64 - place as f64 - 0.5;
        let (_, y) = chart.backend_coord(&(low, middle));
        root.draw(&Text::new((*name).to_owned(), (14, y - 7), ("sans-serif", 13).into_font()))?;
        let own: Vec<&&Point> = points.iter().filter(|point| row_and_color(point).0 == name).collect();
        for (number_in_row, point) in own.iter().enumerate() {
            let y = middle + 0.36 - 0.72 * (number_in_row as f64 + 0.5) / own.len() as f64;
            let series = row_and_color(point).1;
            let color = color(series);
            let x = |value: f64| value.max(f64::MIN_POSITIVE).log10().clamp(low, high);
            let hollow =
                point.series.contains("after") || point.series.contains("plain") || point.series.contains("each");
            let style = if hollow { color.stroke_width(2) } else { color.filled() };
            chart
                .draw_series([PathElement::new(vec![(x(point.low), y), (x(point.high), y)], color.stroke_width(2))])?;
            chart.draw_series([Circle::new((x(point.y), y), 4, style)])?;
            if point.y.log10() > high {
                let (right, y) = chart.backend_coord(&(high, y));
                root.draw(&Text::new(number(point.y), (right + 8, y - 6), ("sans-serif", 11).into_font()))?;
            }
        }
    }
    root.present()?;
    Ok(true)
}

/// The first of each server in each case: the one that is meant for speed. Not the floor, which is 1 in every row.
fn fastest(points: Vec<&Point>) -> Vec<&Point> {
    let mut seen = Vec::new();
    let first = points.into_iter().filter(|point| {
        let place = (point.label.as_str(), server_of(&point.series));
        let new = !seen.contains(&place);
        seen.push(place);
        new && place.1 != "floor"
    });
    first.collect()
}

/// The different names, in their first order.
fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for name in all {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A range with room at both ends.
fn range(values: impl Iterator<Item = f64>, room: f64) -> (f64, f64) {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let width = (high - low).max(0.01);
    (low - width * room, high + width * room)
}

/// An axis with the lines that it is given.
struct Scale {
    ends: (f64, f64),
    lines: Vec<f64>,
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.ends.0) / (self.ends.1 - self.ends.0);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.lines.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.ends.0..self.ends.1
    }
}

/// Where an axis has its lines. The ends of a logarithmic axis are logarithms, and so are the places.
fn ticks((low, high): (f64, f64), logarithmic: bool) -> Vec<f64> {
    if !logarithmic {
        return steps(low, high);
    }
    let (from, to) = (10_f64.powf(low), 10_f64.powf(high));
    if to / from < 10.0 {
        return steps(from, to).into_iter().map(f64::log10).collect();
    }
    let decades = low.floor() as i32..=high.ceil() as i32;
    // All three of a decade, where there are few of them.
    let factors: &[f64] = if high - low < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let all = decades.flat_map(|decade| factors.iter().map(move |factor| f64::from(decade) + factor.log10()));
    all.filter(|place| (low..=high).contains(place)).collect()
}

/// About eight round numbers of a linear axis.
fn steps(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low).max(f64::MIN_POSITIVE) / 8.0;
    let decade = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * decade).find(|&step| step >= rough);
    let step = step.unwrap_or(decade * 10.0);
    let first = (low / step).ceil() as i64;
    (first..).map(|number| number as f64 * step).take_while(|&place| place <= high).collect()
}

/// What stands before the first comma: the server whatever it does, and which of a pair it is.
fn server_of(series: &str) -> &str {
    series.split(',').next().unwrap_or(series).trim_end_matches(" again")
}

/// One colour per server: told apart by people who do not see all colours (after Okabe and Ito).
fn color(series: &str) -> RGBColor {
    match server_of(series) {
        "halfclose" => RGBColor(0, 114, 178),
        "mio" => RGBColor(0, 158, 115),
        "tokio" => RGBColor(213, 94, 0),
        "libuv" => RGBColor(204, 121, 167),
        "Node" => RGBColor(230, 159, 0),
        _ => RGBColor(100, 100, 100),
    }
}

/// As many digits as a reader wants.
fn number(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
