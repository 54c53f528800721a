//! The charts of PERF.md, as SVG, from the points of a report.
//!
//! May touch: the folder that it is given. Invariant: one colour per server in every chart; what lies outside of a
//! chart's range is drawn at its edge, with its number beside it, not left out.

use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::report::{Point, Report};

const WIDTH: u32 = 900;

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
    let points = points(report, "ratio");
    let title = "Server CPU per operation, as a ratio to the tuned epoll loop, with 95 % intervals";
    rows(path, title, "ratio to the floor", &points, |point| (&point.label, &point.series), Some((0.9, 2.0)))
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
        .margin_right(24)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(xs.0..xs.1, ys.0..ys.1)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_label_formatter(&|value| number(if axes.log_x { 10_f64.powf(*value) } else { *value }))
        .y_label_formatter(&|value| number(if axes.log_y { 10_f64.powf(*value) } else { *value }))
        .draw()?;
    for name in names(points.iter().map(|point| point.series.as_str())) {
        let color = color(name);
        let own: Vec<&&Point> = points.iter().filter(|point| point.series == name).collect();
        let places: Vec<(f64, f64)> = own.iter().map(|point| (x(point.x), y(point.y))).collect();
        let style = if name.contains("spinning") { color.mix(0.5) } else { color.mix(1.0) };
        let width = if name.starts_with("halfclose") { 3 } else { 1 };
        chart
            .draw_series(LineSeries::new(places.clone(), style.stroke_width(width)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], style.stroke_width(width)));
        // A distribution is a line of a hundred points, which would hide it.
        if own.len() <= 10 {
            let whiskers = own.iter().map(|point| vec![(x(point.x), y(point.low)), (x(point.x), y(point.high))]);
            chart.draw_series(whiskers.map(|whisker| PathElement::new(whisker, style)))?;
            let filled = !name.contains("spinning");
            let dot = if filled { color.filled() } else { color.stroke_width(2) };
            chart.draw_series(places.iter().map(|&place| Circle::new(place, 4, dot)))?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
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
    let points: Vec<&Point> = points.iter().copied().filter(|point| !is_reference(point)).collect();
    if points.is_empty() {
        return Ok(false);
    }
    let rows = names(points.iter().map(|point| row_and_color(point).0.as_str()));
    const ROW: u32 = 46;
    const LEFT: u32 = 330;
    let root = SVGBackend::new(path, (WIDTH, 130 + ROW * rows.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let (low, high) = limits.map_or_else(
        || range(points.iter().map(|point| point.y.max(1.0).log10()), 0.08),
        |(low, high)| (low.log10(), high.log10()),
    );
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 17))
        .margin(12)
        .margin_right(40)
        .x_label_area_size(40)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(low..high, 0.0..rows.len() as f64)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.12))
        .disable_y_mesh()
        .y_labels(0)
        .x_desc(description)
        .x_label_formatter(&|value| number(10_f64.powf(*value)))
        .draw()?;
    let legend = names(points.iter().map(|point| server_of(row_and_color(point).1)));
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
    for (place, name) in legend.iter().enumerate() {
        let x = LEFT as i32 + 20 + 90 * place as i32;
        root.draw(&Circle::new((x, 42), 4, color(name).filled()))?;
        root.draw(&Text::new((*name).to_owned(), (x + 9, 36), ("sans-serif", 12).into_font()))?;
    }
    root.present()?;
    Ok(true)
}

/// The floor is 1 in every row, and the second of a pair is the same program.
fn is_reference(point: &Point) -> bool {
    point.chart == "ratio" && (point.series.ends_with("again") || point.low == point.high)
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

/// What stands before the first comma: the server whatever it does.
fn server_of(series: &str) -> &str {
    series.split(',').next().unwrap_or(series)
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
    match value.abs() {
        size if size >= 1000.0 => format!("{:.0}", value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
