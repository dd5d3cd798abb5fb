//! Tables of attacks: how many bad credentials were refused, what was found, and every case.

use super::{Column, Entry, Row, Table, column, count, text};
use crate::cell::Cell;
use crate::record::{AttackTry, AttackVerdict};
use crate::report::summary::{AttackCaseSummary, AttackFindings, AttackSummary, Summary};
use crate::report::sweep::Extra;

const ATTACKS: &str = "Every bad credential of the table that is about the method was presented, and good ones beside them, which \
    a server that refuses everybody fails. The reference server is held to status, challenge and counters as its standards ask; \
    any other server must not answer with success, fail, or be silent. Not run: what the target does not offer, or what takes the \
    issuer’s key.";

const FINDINGS: &str = "What was not as it should be. Let in: a bad credential was accepted. Shut out: a good one was refused. \
    Failed: 5xx, or no answer. Otherwise: refused, but not as its standard asks.";

/// Name of the table of all cases.
pub(crate) const ALL_CASES: &str = "attack-cases";

const CASES: &str = "What was sent is shown as a caller with a credential of the same form would send it: nothing of the \
    real one is in it.";

/// The tables, where the run has anything for them.
pub(super) fn extras(summary: &Summary) -> impl Iterator<Item = Extra> {
    let extra =
        |title, caption: &str, table: Option<Table>| Some(Extra { title, caption: caption.to_owned(), table: table? });
    [
        extra("Bad credentials", ATTACKS, attacks(&summary.attacks)),
        extra("Findings", FINDINGS, findings(&summary.attacks)),
        extra("Every bad credential", CASES, cases(&summary.attacks)),
    ]
    .into_iter()
    .flatten()
}

/// The findings, a sentence each.
pub(crate) fn in_words(summary: &Summary) -> Vec<String> {
    let of = |attack: &AttackSummary, case: &AttackCaseSummary| {
        let severity = severity(case);
        let severity = if severity.is_empty() { String::new() } else { format!(" ({severity})") };
        let tries = case.case.tries.iter().filter(|it| it.verdict.is_finding());
        let worst: Vec<String> = tries.map(|it| format!("{}: {}", it.what, it.why)).collect();
        let (variant, id, title, verdict) = (&attack.variant, &case.case.id, &case.case.title, case.verdict.word());
        format!("{variant}: {id}, {title}: {verdict}{severity}; {}", worst.join("; "))
    };
    summary
        .attacks
        .iter()
        .flat_map(|attack| each(attack).filter(|case| case.verdict.is_finding()).map(move |case| of(attack, case)))
        .collect()
}

fn each(attack: &AttackSummary) -> impl Iterator<Item = &AttackCaseSummary> {
    attack.found.known().into_iter().flat_map(|found| &found.cases)
}

/// How bad it is that a case was let in; of the rest of the findings nothing is said.
fn severity(case: &AttackCaseSummary) -> &'static str {
    match (case.verdict, case.case.severity) {
        (AttackVerdict::LetIn, Some(severity)) => severity.word(),
        _ => "",
    }
}

fn row(attack: &AttackSummary, cells: Vec<Entry>) -> Row {
    Row { name: attack.variant.clone(), method: attack.method.clone(), detail: String::new(), cells }
}

type Cells = fn(&AttackFindings) -> Entry;

fn attacks(attacks: &[AttackSummary]) -> Option<Table> {
    fn number(n: usize) -> Entry {
        count(&Cell::Known(n as u64))
    }
    let columns: Vec<(Column, Cells)> = vec![
        (column("refused", "Refused", "cases"), |found| number(found.refused)),
        (column("findings", "Findings", "cases"), |found| number(found.findings)),
        (text("worst", "Worst"), |found| Entry::text(found.worst.map_or("none", |severity| severity.word()))),
        (column("accepted", "Good ones accepted", "controls"), |found| number(found.accepted)),
        (column("not_run", "Not run", "cases"), |found| number(found.not_run)),
        (text("rule", "Held to"), |found| {
            Entry::text(if found.strict { "its standards" } else { "what any server must do" })
        }),
    ];
    let rows: Vec<Row> = attacks
        .iter()
        .map(|attack| {
            let cells = columns.iter().map(|(_, cells)| match &attack.found {
                Cell::Known(found) => cells(found),
                Cell::Blank { blank } => Entry::blank(blank),
            });
            row(attack, cells.collect())
        })
        .collect();
    let columns = columns.into_iter().map(|(column, _)| column).collect();
    (!rows.is_empty()).then_some(Table { name: "attacks", columns, rows })
}

fn findings(attacks: &[AttackSummary]) -> Option<Table> {
    let columns = vec![
        text("case", "Case"),
        text("severity", "Severity"),
        text("title", "What it is"),
        text("verdict", "Verdict"),
        text("what", "What was sent"),
        text("came", "What came back"),
        text("why", "Why it is a finding"),
        text("source", "Source"),
    ];
    let mut rows = Vec::new();
    for attack in attacks {
        for case in each(attack) {
            for it in case.case.tries.iter().filter(|it| it.verdict.is_finding()) {
                let severity = case.case.severity.filter(|_| it.verdict == AttackVerdict::LetIn);
                let cells = [
                    case.case.id.as_str(),
                    severity.map_or("", |severity| severity.word()),
                    &case.case.title,
                    it.verdict.word(),
                    &it.what,
                    &it.came,
                    &it.why,
                    &case.case.source,
                ];
                rows.push(row(attack, cells.map(Entry::text).to_vec()));
            }
        }
    }
    (!rows.is_empty()).then_some(Table { name: "findings", columns, rows })
}

fn cases(attacks: &[AttackSummary]) -> Option<Table> {
    let columns = vec![
        text("case", "Case"),
        text("title", "What it is"),
        text("verdict", "Verdict"),
        text("severity_if_accepted", "If accepted"),
        text("what", "What was done"),
        text("sent", "What was sent"),
        text("came", "What came back"),
        text("why", "Remark"),
        text("source", "Source"),
    ];
    let mut rows = Vec::new();
    for attack in attacks {
        for AttackCaseSummary { case, .. } in each(attack) {
            let not_run = case.not_run.as_ref().map(|why| AttackTry {
                what: String::new(),
                sent: String::new(),
                came: String::new(),
                verdict: AttackVerdict::NotRun,
                why: why.clone(),
            });
            for it in case.tries.iter().chain(&not_run) {
                let severity = if case.control { "must be accepted" } else { case.severity.map_or("", |it| it.word()) };
                let cells = [
                    case.id.as_str(),
                    &case.title,
                    it.verdict.word(),
                    severity,
                    &it.what,
                    &it.sent,
                    &it.came,
                    &it.why,
                    &case.source,
                ];
                rows.push(row(attack, cells.map(Entry::text).to_vec()));
            }
        }
    }
    (!rows.is_empty()).then_some(Table { name: ALL_CASES, columns, rows })
}
