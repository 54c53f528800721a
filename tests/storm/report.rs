//! One run and what is told of it when it failed.
//!
//! May touch: what a run touches. Invariant: whoever reads the report can run the same again.

use std::fmt::Write as _;
use std::sync::OnceLock;

use crate::content::Content;
use crate::generator::Origin;
use crate::run;

/// How much of a run's end is shown when it failed.
const SHOWN: usize = 400;

fn content() -> &'static Content {
    static CONTENT: OnceLock<Content> = OnceLock::new();
    CONTENT.get_or_init(Content::new)
}

/// Runs a seed, or what a fuzzer says; a failure is run again, to be told.
pub fn judge(origin: Origin<'_>) -> Result<(), String> {
    let Err(failure) = run::run(origin, content(), false) else { return Ok(()) };
    let (second, trace) = match run::run(origin, content(), true) {
        Err(again) => (again.violation, again.trace),
        Ok(()) => (String::from("nothing"), Vec::new()),
    };
    let mut report = String::new();
    for line in trace.iter().skip(trace.len().saturating_sub(SHOWN)) {
        let _ = writeln!(report, "  {line}");
    }
    let _ = match origin {
        Origin::Seed(seed) => write!(report, "STORM_SEEDS={seed}..{}", seed + 1),
        Origin::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(report, "{byte:02x}")),
    };
    let _ = writeln!(report, ": {}", failure.violation);
    if second != failure.violation {
        let _ = writeln!(report, "the second time: {second}");
    }
    Err(report)
}
