//! The command line of `cargo bench --bench compare -- …`.
//!
//! May touch: nothing. Invariant: without options everything runs and nothing outside of the build folder changes.

use std::path::PathBuf;
use std::time::Duration;

pub const USAGE: &str = "\
usage: cargo bench --bench compare -- [OPTIONS] [CASE…]

CASE selects the cases whose names, with their titles, contain it; all without one. Options:
  --list            prints the names and ends
  --quick           few rounds of short slices: shows that everything works, and resolves little
  --rounds N        rounds of each comparison; where a promise needs more of them, some times as many
  --update          afterwards, writes PERF.md's generated blocks, benches/charts and benches/counts.json
  --from FILE       measures nothing, and takes the results of an earlier run (target/compare/results.json)
  --check-counts    only counts, and fails when ours grew by more than 3 % over benches/counts.json
  --test            one short slice of the smallest case";

/// The slices of one contestant in one comparison. With these, a quiet machine tells 1 % from nothing, and all cases
/// together take a quarter of an hour at most.
const ROUNDS: usize = 10;

/// Long enough for thousands of operations, short enough that a round sees one machine.
const SLICE: Duration = Duration::from_millis(120);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    pub names: Vec<String>,
    pub list: bool,
    pub quick: bool,
    pub update: bool,
    pub from: Option<PathBuf>,
    pub check_counts: bool,
    pub test: bool,
    pub rounds: usize,
    pub slice: Duration,
    /// Played by each contestant before the rounds, and thrown away: what compiles while it runs has compiled.
    pub warm_up: Duration,
    /// Where the order of the slices begins: the same on every run.
    pub seed: u64,
}

impl Options {
    pub fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options {
            names: Vec::new(),
            list: false,
            quick: false,
            update: false,
            from: None,
            check_counts: false,
            // `cargo bench` says `--bench`; `cargo test --benches` says nothing, and wants to know that it works.
            test: !arguments.iter().any(|argument| argument == "--bench"),
            rounds: ROUNDS,
            slice: SLICE,
            warm_up: Duration::from_millis(300),
            seed: 0x2545_f491_4f6c_dd1d,
        };
        let mut arguments = arguments.iter();
        let mut rounds = None;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"));
            match argument.as_str() {
                "--bench" => {}
                "--list" => options.list = true,
                "--quick" => options.quick = true,
                "--update" => options.update = true,
                "--from" => options.from = Some(PathBuf::from(value()?)),
                "--check-counts" => options.check_counts = true,
                "--test" => options.test = true,
                "--rounds" => {
                    let value = value()?;
                    rounds = Some(value.parse::<usize>().map_err(|error| format!("--rounds {value}: {error}"))?.max(1));
                }
                name if !name.starts_with('-') => options.names.push(name.to_owned()),
                _ => return Err(format!("unknown option {argument}\n{USAGE}")),
            }
        }
        if options.quick || options.test {
            options.rounds = 3;
            options.slice = Duration::from_millis(30);
            options.warm_up = Duration::from_millis(30);
        }
        options.rounds = rounds.unwrap_or(options.rounds);
        Ok(options)
    }

    /// Whether a case was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|part| name.contains(part.as_str()))
    }
}
