//! The command line of `cargo bench --bench churn -- …`.
//!
//! May touch: nothing. Invariant: without options it takes some seconds.

use std::time::Duration;

use crate::run::Plan;
use crate::servers::{LIFETIME, Leak};

pub const USAGE: &str = "\
usage: cargo bench --bench churn -- [OPTIONS]

  --connections N   connections of random clients (100,000)
  --rounds N        how often all rest and everything is looked at (25)
  --minutes N       begins no round after that time (60)
  --seed N          what the clients do (1)
  --leak WHAT       leaks bytes, descriptors or slots on purpose
  --list            prints the name and ends";

#[derive(Clone, Debug)]
pub struct Options {
    pub plan: Plan,
    pub list: bool,
}

impl Options {
    pub fn parse(arguments: &[String]) -> Result<Options, String> {
        // `cargo bench` says `--bench`; `cargo test --benches` says nothing, and wants to know that it works.
        let connections = if arguments.iter().any(|argument| argument == "--bench") { 100_000 } else { 5_000 };
        let hour = Duration::from_secs(60 * 60);
        let plan = Plan { connections, rounds: 25, seed: 1, leak: None, limit: hour, rest: LIFETIME };
        let mut options = Options { plan, list: false };
        let plan = &mut options.plan;
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"));
            match argument.as_str() {
                "--bench" => {}
                "--list" => options.list = true,
                "--connections" => plan.connections = number(value()?)?,
                "--rounds" => plan.rounds = number(value()?)?.max(1),
                "--minutes" => plan.limit = Duration::from_secs(60 * number(value()?)?),
                "--seed" => plan.seed = number(value()?)?,
                "--leak" => {
                    plan.leak = Some(match value()?.as_str() {
                        "bytes" => Leak::Bytes,
                        "descriptors" => Leak::Descriptor,
                        "slots" => Leak::Slot,
                        what => return Err(format!("--leak {what}\n{USAGE}")),
                    });
                }
                _ => return Err(format!("unknown option {argument}\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.replace(['_', ','], "").parse().map_err(|error| format!("{text}: {error}"))
}
