//! Scenario files and the recorded traces beside them.
//!
//! May touch: the file system; it writes only when `HALFCLOSE_WRITE_OWN` is set. Invariant: whatever is wrong with a file is said with its name and the place
//! in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::compare;
use crate::play;
use crate::values::fnv1a;
use crate::vocabulary;

/// Lines by endpoint; or all of them by `whole`.
pub(crate) type Traces = BTreeMap<String, Vec<String>>;

/// Every variant that was seen, by endpoint.
pub(crate) type Variants = BTreeMap<String, Vec<Vec<String>>>;

/// What does not change the program.
const REMARKS: [&str; 3] = ["description", "rules", "differs"];

/// The folder of the scenarios: `HALFCLOSE_SCENARIOS`, or the one beside this file.
pub(crate) fn folder() -> PathBuf {
    match std::env::var_os("HALFCLOSE_SCENARIOS") {
        Some(folder) => PathBuf::from(folder),
        None => own_folder(),
    }
}

/// The folder beside this file.
pub(crate) fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/scenarios")
}

/// The scenarios to play, in the order of their names.
pub(crate) fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(&folder(), &mut files);
    if let Ok(filter) = std::env::var("HALFCLOSE_SCENARIO_FILTER") {
        files.retain(|file| file.to_string_lossy().contains(&filter));
    }
    files
}

/// The scenarios of a folder and those in it, in the order of their names.
pub(crate) fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of a folder").path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, files);
        } else if name.ends_with(".json") && !name.ends_with(".trace.json") && !name.ends_with(".own.json") {
            files.push(path);
        }
    }
}

/// The path within the folder of the scenarios.
pub(crate) fn shown(file: &Path) -> String {
    file.strip_prefix(folder()).unwrap_or(file).display().to_string()
}

/// What this crate does with a scenario, whatever Node does.
pub(crate) fn own_traces(file: &Path) -> Result<Traces, String> {
    let scenario = read(file)?;
    vocabulary::check(&scenario)?;
    play::in_thread(&shown(file), &scenario)
}

/// A scenario, and what Node does with it.
pub(crate) struct Case {
    pub(crate) scenario: Value,
    name: String,
    file: PathBuf,
    recorded: Variants,
    node: String,
}

impl Case {
    pub(crate) fn read(file: &Path) -> Result<Case, String> {
        let scenario = read(file)?;
        vocabulary::check(&scenario)?;
        let recorded = file.with_extension("trace.json");
        if !recorded.exists() {
            return Err("there is no recording; `node tests/conformance/record.js FILE` makes one".to_owned());
        }
        let recording = read(&recorded).map_err(|problem| format!("{}: {problem}", shown(&recorded)))?;
        if recording["scenario"] != fingerprint(&scenario) {
            return Err("it was changed after its traces were recorded; record it again".to_owned());
        }
        let node = recording["node"].as_str().unwrap_or("Node").to_owned();
        let recorded = serde_json::from_value(recording["traces"].clone())
            .map_err(|error| format!("{}: traces: {error}", shown(&recorded)))?;
        Ok(Case { scenario, name: shown(file), file: file.to_owned(), recorded, node })
    }

    /// Plays it, and says how it went otherwise than in Node; or than the crate's own traces say, where it is known to
    /// differ.
    pub(crate) fn check(&self) -> Result<(), String> {
        let own = play::in_thread(&self.name, &self.scenario)?;
        let as_node = compare(&self.recorded, &own, &self.node);
        if self.scenario.get("differs").is_none() {
            return as_node;
        }
        if as_node.is_ok() {
            return Err("it says that this crate differs, and it does not; take \"differs\" out".into());
        }
        let file = self.file.with_extension("own.json");
        if std::env::var_os("HALFCLOSE_WRITE_OWN").is_some() {
            return self.write_own(&own, &file);
        }
        let expected: Traces = serde_json::from_value(
            read(&file).map_err(|problem| format!("{}: {problem}; HALFCLOSE_WRITE_OWN=1 writes it", shown(&file)))?,
        )
        .map_err(|error| format!("{}: {error}", shown(&file)))?;
        // Endpoints that are not named go as in Node.
        let mut variants = self.recorded.clone();
        for (endpoint, lines) in expected {
            variants.insert(endpoint, vec![lines]);
        }
        compare(&variants, &own, "own traces")
    }

    /// Keeps our traces of the endpoints that differ.
    fn write_own(&self, own: &Traces, file: &Path) -> Result<(), String> {
        let differs = |(endpoint, lines): &(&String, &Vec<String>)| {
            !self.recorded.get(*endpoint).is_some_and(|variants| variants.contains(*lines))
        };
        // An endpoint of which only Node tells something has no lines here.
        let missing =
            self.recorded.keys().filter(|name| !own.contains_key(*name)).map(|name| (name.clone(), Vec::new()));
        let own = own.iter().filter(differs).map(|(name, lines)| (name.clone(), lines.clone()));
        let own: Traces = own.chain(missing).collect();
        let text = serde_json::to_string_pretty(&own).map_err(|error| error.to_string())?;
        std::fs::write(file, text + "\n").map_err(|error| error.to_string())
    }
}

/// Each endpoint's trace must be among those that were seen for it.
///
/// Endpoint by endpoint, because the order of events of different sockets is not specified: the combinations of their
/// variants are not, either. Where it is the point, a scenario is compared `whole`.
fn compare(variants: &Variants, own: &Traces, theirs: &str) -> Result<(), String> {
    let none = Vec::new();
    let mut report = String::new();
    let mut endpoints: Vec<&String> = variants.keys().chain(own.keys()).collect();
    endpoints.sort();
    endpoints.dedup();
    for endpoint in endpoints {
        let lines = own.get(endpoint).unwrap_or(&none);
        let seen = variants.get(endpoint).map_or(&[][..], Vec::as_slice);
        // An endpoint of which nothing was recorded in some runs has no variant for that.
        if seen.contains(lines) {
            continue;
        }
        let _ = write!(report, "\n{endpoint}: {} variant(s) of {theirs}, none is ours", seen.len());
        report.push_str(&compare::side_by_side(compare::nearest(seen, lines), lines, theirs));
    }
    if report.is_empty() { Ok(()) } else { Err(report) }
}

pub(crate) fn read(file: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// A sum of the program: keys in order, without remarks. `record.js` writes it beside the traces.
fn fingerprint(scenario: &Value) -> String {
    let mut program = scenario.clone();
    if let Some(fields) = program.as_object_mut() {
        fields.retain(|name, _| !REMARKS.contains(&name.as_str()));
    }
    fnv1a(program.to_string().as_bytes())
}
