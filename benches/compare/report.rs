//! What a run found: tables for people, points for charts, and the lines that say what was left out.
//!
//! May touch: nothing but its own data. Invariant: a report survives being written as JSON and read again, so that the
//! charts and blocks of PERF.md can be made again without measuring again.

use serde_json::{Value, json};

/// A table with a name that its block in PERF.md has.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    pub name: String,
    pub title: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
    pub notes: Vec<String>,
}

/// One value of a chart.
#[derive(Clone, PartialEq, Debug)]
pub struct Point {
    pub chart: String,
    /// Points of one series are joined or coloured alike.
    pub series: String,
    /// Where on the horizontal axis, as a number or as a name.
    pub x: f64,
    pub label: String,
    pub y: f64,
    pub low: f64,
    pub high: f64,
}

#[derive(Clone, Default, PartialEq, Debug)]
pub struct Report {
    pub machine: Vec<(String, String)>,
    pub tables: Vec<Table>,
    pub points: Vec<Point>,
    pub skipped: Vec<String>,
}

impl Table {
    pub fn new(name: &str, title: &str, columns: &[&str]) -> Table {
        Table {
            name: name.to_owned(),
            title: title.to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// For a terminal: columns of one width each.
    pub fn to_text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).chain(self.columns.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = format!("\n{}\n", self.title);
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            for (cell, &width) in row.iter().zip(&widths) {
                text.push_str(&format!("  {cell:<width$}"));
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(&format!("  {note}\n"));
        }
        text
    }

    /// For PERF.md.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("**{}**\n\n", self.title);
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        text.push_str(&line(&self.columns));
        text.push_str(&format!("|{}\n", "---|".repeat(self.columns.len())));
        for row in &self.rows {
            text.push_str(&line(row));
        }
        for note in &self.notes {
            text.push_str(&format!("\n{note}\n"));
        }
        text
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name, "title": self.title, "columns": self.columns, "rows": self.rows, "notes": self.notes,
        })
    }

    fn from_json(value: &Value) -> Option<Table> {
        Some(Table {
            name: text(value, "name")?,
            title: text(value, "title")?,
            columns: texts(value.get("columns")?)?,
            rows: value.get("rows")?.as_array()?.iter().map(texts).collect::<Option<_>>()?,
            notes: texts(value.get("notes")?)?,
        })
    }
}

impl Point {
    fn to_json(&self) -> Value {
        json!({
            "chart": self.chart, "series": self.series, "x": self.x, "label": self.label,
            "y": self.y, "low": self.low, "high": self.high,
        })
    }

    fn from_json(value: &Value) -> Option<Point> {
        let number = |name: &str| value.get(name)?.as_f64();
        Some(Point {
            chart: text(value, "chart")?,
            series: text(value, "series")?,
            x: number("x")?,
            label: text(value, "label")?,
            y: number("y")?,
            low: number("low")?,
            high: number("high")?,
        })
    }
}

impl Report {
    /// Says on the terminal that something was left out, and why, and keeps it for the end.
    pub fn skip(&mut self, what: &str, why: &str) {
        let line = format!("skipped: {what}: {why}");
        if !self.skipped.contains(&line) {
            println!("{line}");
            self.skipped.push(line);
        }
    }

    /// Prints a table and keeps it.
    pub fn add(&mut self, table: Table) {
        println!("{}", table.to_text());
        self.tables.push(table);
    }

    pub fn to_json(&self) -> Value {
        json!({
            "machine": self.machine,
            "tables": self.tables.iter().map(Table::to_json).collect::<Vec<_>>(),
            "points": self.points.iter().map(Point::to_json).collect::<Vec<_>>(),
            "skipped": self.skipped,
        })
    }

    pub fn from_json(value: &Value) -> Option<Report> {
        let machine = value.get("machine")?.as_array()?.iter().map(|row| {
            let row = texts(row)?;
            Some((row.first()?.clone(), row.get(1)?.clone()))
        });
        Some(Report {
            machine: machine.collect::<Option<_>>()?,
            tables: value.get("tables")?.as_array()?.iter().map(Table::from_json).collect::<Option<_>>()?,
            points: value.get("points")?.as_array()?.iter().map(Point::from_json).collect::<Option<_>>()?,
            skipped: texts(value.get("skipped")?)?,
        })
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}
