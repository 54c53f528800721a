//! The counts that `benches/counts.json` keeps, with the toolchain that made them, and the check against them.
//!
//! May touch: that file; to write only when asked. Invariant: counts of different toolchains are never compared: another
//! compiler or libc gives other counts for the same program.

use std::fs;

use serde_json::{Value, json};

use super::{AT_FULL_SPEED, Counts};
use crate::toolbox::output;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/counts.json");

/// How much ours may grow before the check fails.
const ALLOWED: f64 = 1.03;

/// A count below this is compared as if it were this: one allocation in a thousand echoes is none.
const SMALL: f64 = 0.01;

/// What made the counts: the compiler, the libc and the processor's kind, which libc chooses its functions by.
fn toolchain() -> String {
    let version = |program: &str, argument: &str| {
        let text = output(std::process::Command::new(program).arg(argument)).unwrap_or_default();
        text.lines().next().unwrap_or_default().to_owned()
    };
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor.lines().find(|line| line.starts_with("model name")).unwrap_or_default();
    let model = model.split_once(':').map_or("", |(_, model)| model.trim());
    format!(
        "{}; {}; {}; {model}",
        version("rustc", "--version"),
        version("ldd", "--version"),
        version("valgrind", "--version")
    )
}

/// Writes the counts down. Those of the same toolchain that were not counted this time stay.
pub fn keep(counts: &Counts) -> Result<(), String> {
    let before = fs::read_to_string(FILE).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let before = before.filter(|before| before["toolchain"] == toolchain()).unwrap_or_default();
    let mut all = before["counts"].as_object().cloned().unwrap_or_default();
    // A hundredth is as fine as anybody compares.
    all.extend(counts.iter().map(|(name, count)| (name.clone(), json!((count * 100.0).round() / 100.0))));
    let kept = json!({ "toolchain": toolchain(), "counts": all });
    let text = serde_json::to_string_pretty(&kept).map_err(|error| error.to_string())?;
    fs::write(FILE, text + "\n").map_err(|error| format!("{FILE}: {error}"))
}

/// Compares ours with what was kept.
///
/// # Errors
///
/// The counts that grew too much, or why nothing can be compared.
pub fn check(counts: &Counts) -> Result<(), String> {
    let text = match fs::read_to_string(FILE) {
        Ok(text) => text,
        Err(error) => {
            println!("skipped: the check of the counts: benches/counts.json: {error}");
            return Ok(());
        }
    };
    let kept: Value = serde_json::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?;
    let made_by = kept["toolchain"].as_str().unwrap_or_default();
    if made_by != toolchain() {
        println!("skipped: the check of the counts: they were made by {made_by}, and this is {}", toolchain());
        return Ok(());
    }
    let mut compared = 0;
    let mut grown = Vec::new();
    for (name, &count) in counts {
        let of_ours = name.starts_with("halfclose");
        if !of_ours || AT_FULL_SPEED.iter().any(|what| name.ends_with(what)) {
            continue;
        }
        let Some(before) = kept["counts"][name].as_f64() else { continue };
        compared += 1;
        println!("{name}: {count:.2}, kept {before:.2}");
        if count.max(SMALL) > before.max(SMALL) * ALLOWED {
            grown.push(format!("{name}: {before:.2} before, {count:.2} now"));
        }
    }
    match (compared, grown.is_empty()) {
        (0, _) => Err("not one count could be compared".to_owned()),
        (_, true) => Ok(()),
        (_, false) => Err(format!("counts that grew by more than 3 %:\n{}", grown.join("\n"))),
    }
}
