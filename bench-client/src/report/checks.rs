//! What physics demands of the figures, whatever the machine: a run that breaks one of these is not to be believed.
//!
//! The rules need no tolerance where counting is exact. Where time is measured, the tolerance is stated in the check.

mod events;
mod handshake;
mod load;
mod windows;

use serde::{Deserialize, Serialize};

use super::summary::{Summary, Trials};
use crate::plan::Plan;

/// One demand and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is demanded of which variant.
    pub name: String,
    /// The demand as a figure.
    pub expected: String,
    /// What the run measured.
    pub found: String,
    /// Whether they agree.
    pub verdict: CheckVerdict,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// They agree.
    Passed,
    /// They do not.
    Failed,
    /// The run cannot tell, for this reason.
    NotTested(String),
}

impl Check {
    fn judged(name: String, expected: impl Into<String>, found: impl Into<String>, holds: bool) -> Self {
        let verdict = if holds { CheckVerdict::Passed } else { CheckVerdict::Failed };
        Self { name, expected: expected.into(), found: found.into(), verdict }
    }

    fn not_tested(name: String, expected: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            name,
            expected: expected.into(),
            found: "nothing".to_owned(),
            verdict: CheckVerdict::NotTested(reason.into()),
        }
    }

    /// Whether the run contradicts the demand.
    pub fn failed(&self) -> bool {
        self.verdict == CheckVerdict::Failed
    }
}

/// Checks a run.
pub(crate) fn check<'a>(plan: &'a Plan, trials: &Trials<'a>, summary: &Summary) -> Vec<Check> {
    let mut checks = Vec::new();
    // Of what is only attacked there are no figures.
    let measured = || plan.variants.iter().filter(|variant| plan.is_measured(variant));
    for variant in measured() {
        checks.extend(load::lookups(plan, trials, variant));
        checks.extend(load::signatures(plan, trials, variant));
    }
    for variant in measured() {
        checks.extend(windows::check(plan, trials, summary, variant));
    }
    checks.extend(plan.variants.iter().filter_map(|variant| handshake::kinds(plan, trials, variant)));
    checks.extend(plan.variants.iter().filter_map(|variant| handshake::of_revocations(plan, trials, variant)));
    checks.extend(handshake::whole_connections(plan, trials));
    checks.extend(load::closed_loop(plan, trials));
    checks.extend(events::check(plan, summary));
    checks.extend(measured().next().map(|_| load::answers(trials)));
    checks
}
