//! What bad credentials came to: how many were refused, and which were not.

use serde::{Deserialize, Serialize};

use super::trials::Trials;
use crate::attack::Severity;
use crate::cell::Cell;
use crate::plan::{MeasurementKind, Plan};
use crate::record::{AttackCase, AttackResult, AttackVerdict};

/// One variant under attack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttackSummary {
    /// The measurement.
    pub measurement: String,
    /// The variant.
    pub variant: String,
    /// Its method.
    pub method: String,
    /// What came of it.
    pub found: Cell<AttackFindings>,
}

/// What came of all cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackFindings {
    /// Whether answers were held to what the standards ask of the reference server.
    pub strict: bool,
    /// SHA-256 of the table's text.
    pub table: String,
    /// Cases in which every bad credential was refused as it should be.
    pub refused: usize,
    /// Cases and controls that are findings.
    pub findings: usize,
    /// How bad the worst acceptance is; absent where nothing was let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<Severity>,
    /// Controls that were accepted, as they must be.
    pub accepted: usize,
    /// Cases and controls that were not run.
    pub not_run: usize,
    /// All of them, in the order of the table.
    pub cases: Vec<AttackCaseSummary>,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackCaseSummary {
    /// The worst that came of it in any start.
    pub verdict: AttackVerdict,
    /// What was sent and what came.
    #[serde(flatten)]
    pub case: AttackCase,
}

/// All attacks of a plan.
pub(super) fn summarise<'a>(plan: &'a Plan, trials: &Trials<'a>) -> Vec<AttackSummary> {
    let attacks = plan.measurements.iter().filter(|it| matches!(it.kind, MeasurementKind::Attack(_)));
    attacks
        .flat_map(|measurement| {
            let variants = plan.cases_of(measurement).filter_map(|case| plan.variant(&case.variant));
            variants.map(move |variant| (measurement, variant))
        })
        .map(|(measurement, variant)| AttackSummary {
            measurement: measurement.name.clone(),
            variant: variant.name.clone(),
            method: variant.method.name().to_owned(),
            found: trials
                .state(&variant.name, &measurement.name)
                .and_then(|()| add_up(trials.attacks(&variant.name, &measurement.name))),
        })
        .collect()
}

fn add_up(results: &[&AttackResult]) -> Cell<AttackFindings> {
    let Some((first, others)) = results.split_first() else { return Cell::blank("nothing was sent") };
    let cases: Vec<AttackCaseSummary> = first
        .cases
        .iter()
        .map(|case| {
            let again = others.iter().flat_map(|other| &other.cases).filter(|other| other.id == case.id);
            let worst = again.fold(case, |worst, other| if other.verdict().is_finding() { other } else { worst });
            AttackCaseSummary { verdict: worst.verdict(), case: worst.clone() }
        })
        .collect();
    let count = |is: &dyn Fn(&AttackCaseSummary) -> bool| cases.iter().filter(|case| is(case)).count();
    let let_in = |case: &&AttackCaseSummary| case.verdict == AttackVerdict::LetIn;
    Cell::Known(AttackFindings {
        strict: first.strict,
        table: first.table.clone(),
        refused: count(&|case| !case.case.control && case.verdict == AttackVerdict::Held),
        findings: count(&|case| case.verdict.is_finding()),
        worst: cases.iter().filter(let_in).filter_map(|case| case.case.severity).max(),
        accepted: count(&|case| case.case.control && case.verdict == AttackVerdict::Held),
        not_run: count(&|case| case.verdict == AttackVerdict::NotRun),
        cases,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::AttackTry;

    fn case(id: &str, verdicts: &[AttackVerdict]) -> AttackCase {
        let one = |verdict: &AttackVerdict| AttackTry {
            what: "x".to_owned(),
            sent: String::new(),
            came: String::new(),
            verdict: *verdict,
            why: String::new(),
        };
        AttackCase {
            id: id.to_owned(),
            title: String::new(),
            control: id.starts_with('P'),
            severity: (!id.starts_with('P')).then_some(Severity::High),
            source: String::new(),
            not_run: None,
            tries: verdicts.iter().map(one).collect(),
        }
    }

    fn result(cases: Vec<AttackCase>) -> AttackResult {
        AttackResult { table: "t".to_owned(), strict: true, cases }
    }

    #[test]
    fn a_case_is_as_bad_as_its_worst_try_in_any_start() {
        use AttackVerdict::{Held, LetIn, NotRun, Otherwise, ShutOut};
        let one = result(vec![case("B1", &[Held, NotRun]), case("B2", &[Held]), case("P1", &[Held]), case("B3", &[])]);
        let other = result(vec![case("B1", &[Held]), case("B2", &[Otherwise, LetIn]), case("P1", &[ShutOut])]);
        let Cell::Known(found) = add_up(&[&one, &other]) else { panic!("two results") };
        assert_eq!((found.refused, found.findings, found.accepted, found.not_run), (1, 2, 0, 1));
        assert_eq!(found.worst, Some(Severity::High));
        assert_eq!(found.cases[1].verdict, LetIn);
        let Cell::Known(found) = add_up(&[&one]) else { panic!("one result") };
        assert_eq!((found.findings, found.worst, found.accepted), (0, None, 1));
    }
}
