//! JUnit XML as CI systems read it (the schema of Jenkins' xUnit plugin): a suite for each case, a test for each figure.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{cells, headline};
use crate::compare::{Comparison, Row};
use crate::stats::Verdict;

/// Failed is what regressed, an error is what nobody can tell. Only figures of the gate can be either; what stands beside
/// it passes, with its verdict in the output.
pub fn junit(comparison: &Comparison) -> String {
    let mut report = Report::new(format!("authbench compare {}", comparison.scenario));
    let mut cases: Vec<&str> = comparison.rows.iter().map(|row| row.case.as_str()).collect();
    cases.dedup();
    for case in cases {
        let mut suite = TestSuite::new(case);
        suite.add_test_cases(comparison.rows.iter().filter(|row| row.case == case).map(of_row));
        report.add_test_suite(suite);
    }
    if !comparison.missing.is_empty() {
        let mut suite = TestSuite::new("cases that cannot be compared");
        suite.add_test_cases(comparison.missing.iter().map(|missing| {
            let text = format!("{}: {}", missing.side.name(), missing.reason);
            test(&missing.case, "comparable", non_success(NonSuccessKind::Error, "inconclusive", text))
        }));
        report.add_test_suite(suite);
    }
    if !comparison.rows.iter().any(|row| row.gate) && comparison.missing.is_empty() {
        let mut suite = TestSuite::new("comparison");
        let status = non_success(NonSuccessKind::Error, "inconclusive", headline(comparison));
        suite.add_test_case(test("comparison", "comparable", status));
        report.add_test_suite(suite);
    }
    report.to_string().expect("every text can be escaped")
}

fn of_row(row: &Row) -> TestCase {
    let [.., baseline, candidate, change, interval, _, verdict] = cells(row);
    let text = format!("{verdict}: {change} ({interval}), from {baseline} to {candidate}");
    let text = row.reason.iter().fold(text, |text, reason| format!("{text}; {reason}"));
    let status = match row.verdict {
        Verdict::Regressed if row.gate => non_success(NonSuccessKind::Failure, "regressed", text.clone()),
        Verdict::Inconclusive if row.gate => non_success(NonSuccessKind::Error, "inconclusive", text.clone()),
        _ => TestCaseStatus::success(),
    };
    let mut test = test(&row.case, row.quantity.title(), status);
    test.set_system_out(text);
    test
}

fn test(case: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut test = TestCase::new(name, status);
    // A comparison has no time of its own per figure, and readers want the attribute.
    test.set_classname(case).set_time(Duration::ZERO);
    test
}

fn non_success(kind: NonSuccessKind, kind_of: &str, text: String) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(kind_of).set_message(text);
    status
}
