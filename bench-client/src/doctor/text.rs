//! The diagnosis for a terminal: a line per finding, remedies below theirs, and the verdict.

use super::{Diagnosis, Finding, Grade};

/// Width of a finding's name.
const NAME: usize = 12;

/// The text.
pub fn render(diagnosis: &Diagnosis) -> String {
    let findings = diagnosis.findings.iter().map(finding);
    let verdict = diagnosis.verdict.sentences.iter().map(|sentence| format!("{sentence}\n"));
    findings.chain(["\n".to_owned()]).chain(verdict).collect()
}

fn finding(finding: &Finding) -> String {
    let grade = match finding.grade {
        Grade::Ok => "ok",
        Grade::Warning => "warning",
        Grade::Problem => "PROBLEM",
    };
    let line = format!("{grade:<8} {:<NAME$} {}\n", finding.name, finding.found);
    match &finding.remedy {
        Some(remedy) => format!("{line}{:9}{:NAME$} → {remedy}\n", "", ""),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_stands_below_its_finding() {
        assert_eq!(finding(&Finding::ok("clock", "tsc")), "ok       clock        tsc\n");
        assert_eq!(
            finding(&Finding::warning("load", "3.00", "stop it")),
            "warning  load         3.00\n                      → stop it\n"
        );
    }
}
