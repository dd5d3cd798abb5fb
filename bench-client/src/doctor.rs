//! Is this machine fit to measure on, and what can it resolve? One file per concern; each looks, grades and says what to do.
//!
//! ```text
//! look (files of the system, short measurements) → findings → A/A measurement → verdict → text, JSON
//! ```

mod availability;
mod clock;
mod limits;
mod loopback;
mod memory;
mod noise;
mod others;
mod processor;
mod text;
mod verdict;
mod versions;

use std::fs;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::cell::Cell;
use crate::machine::{KeepAwake, Machine};
use crate::run::Build;
pub use noise::{Noise, Resolution};
pub use text::render;
pub use verdict::Verdict;

/// Version of the diagnosis's JSON; raised whenever a reader of the old form would misread the new one.
pub const DOCTOR_VERSION: u32 = 1;

/// How long the doctor takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Length of the A/A measurement, starting the servers not included.
    pub noise: Duration,
    /// Length of each of the short measurements: clock, timer, round trips.
    pub short: Duration,
}

/// All that was found out about a machine: documented in `docs/doctor.md`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    /// [`DOCTOR_VERSION`].
    pub version: u32,
    /// The machine, as a run would note it.
    pub machine: Machine,
    /// This program.
    pub build: Build,
    /// What was looked at, in the order of the text.
    pub findings: Vec<Finding>,
    /// Two identical servers side by side; blank when even that could not be measured.
    pub noise: Cell<Noise>,
    /// What follows.
    pub verdict: Verdict,
}

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Nothing to do.
    Ok,
    /// Some figures suffer, or are missing.
    Warning,
    /// Figures are not to be trusted until this is mended.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What: a word or two, the same on every machine.
    pub name: &'static str,
    /// How good.
    pub grade: Grade,
    /// What was found, in words.
    pub found: String,
    /// What to do about it, unless it is fine.
    pub remedy: Option<String>,
    /// The figures behind the words, units in their names; `null` where the system does not tell.
    pub figures: serde_json::Map<String, Value>,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, grade: Grade::Ok, found: found.into(), remedy: None, figures: serde_json::Map::new() }
    }

    fn warning(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Warning, remedy: Some(remedy.into()), ..Self::ok(name, found) }
    }

    fn problem(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { grade: Grade::Problem, ..Self::warning(name, found, remedy) }
    }

    /// Something that this system does not tell; nothing can be done about that.
    fn not_told(name: &'static str) -> Self {
        Self::ok(name, "not told by this system")
    }

    fn figure(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.figures.insert(name.to_owned(), value.into());
        self
    }
}

/// Looks at this machine. `progress` hears what is being done.
pub fn examine(effort: Effort, mut progress: impl FnMut(&str)) -> Diagnosis {
    let mut machine = Machine::detect(true);
    machine.decide_keep_awake(KeepAwake::Auto, true);
    // Before this program is a load itself.
    let others = others::look(machine.cpus);
    let steal = processor::StealClock::begin();
    progress("looking at clock, timers and loopback");
    let mut findings = versions::look(&machine);
    findings.extend(processor::look(&machine));
    findings.extend(clock::look(effort.short));
    findings.push(loopback::look(&machine, effort.short));
    findings.extend(memory::look(&machine));
    findings.extend(limits::look());
    findings.extend(others);
    findings.extend(availability::look(&machine));
    progress(&format!("measuring two identical servers for {:.0} s", effort.noise.as_secs_f64()));
    let noise: Cell<Noise> = noise::measure(&machine, effort.noise).into();
    findings.push(steal.end());
    let verdict = verdict::verdict(&findings, &noise);
    Diagnosis { version: DOCTOR_VERSION, machine, build: Build::current(), findings, noise, verdict }
}

/// The text of a file of /proc or /sys, without its last line break; `None` where there is no such file.
fn system_file(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

/// The value of the first line `key: value`, or `key value` where no colon follows.
fn line_value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix(key)?;
        let value = rest.strip_prefix(':').or_else(|| rest.strip_prefix(' '))?;
        Some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_key() {
        let text = "MemTotal:       24683736 kB\nMemFree: 1 kB\nTCP: inuse 5 orphan 0 tw 12\n";
        assert_eq!(line_value(text, "MemTotal"), Some("24683736 kB"));
        assert_eq!(line_value(text, "Mem"), None);
        assert_eq!(line_value(text, "TCP"), Some("inuse 5 orphan 0 tw 12"));
    }

    #[test]
    fn grades_are_ordered_by_gravity() {
        assert!(Grade::Ok < Grade::Warning && Grade::Warning < Grade::Problem);
        let finding = Finding::problem("x", "found", "remedy").figure("n", 3);
        let json = serde_json::to_value(&finding).expect("plain data");
        assert_eq!(
            json,
            serde_json::json!({
                "name": "x", "grade": "problem", "found": "found", "remedy": "remedy", "figures": {"n": 3}
            })
        );
    }
}
