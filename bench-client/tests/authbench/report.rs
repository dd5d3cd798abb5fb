//! The report of a run whose every figure is known beforehand.

mod beside;
mod checks;
mod connections;
mod figures;
mod fixture;
mod foreign;
mod handshakes;
mod refused;
mod replicated;
use crate::schema;
mod swept;
mod texts;
mod windows;

use std::path::Path;

use bench_client::report::{Format, Report};
use bench_client::run::LoadedRun;

const ALL: [Format; 7] =
    [Format::Html, Format::Markdown, Format::Csv, Format::Svg, Format::Png, Format::Json, Format::Hgrm];

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found / expected - 1.0).abs() <= tolerance, "found {found}, expected {expected} within {tolerance}");
}

/// Where the summary breaks its published schema.
fn schema_problems(json: &serde_json::Value) -> Vec<String> {
    let schema = include_str!("../../../docs/summary.schema.json");
    schema::problems(&serde_json::from_str(schema).expect("JSON"), json)
}

fn page(run: &LoadedRun) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Report::new(run).write(run, folder.path(), &[Format::Html]).expect("a page");
    std::fs::read_to_string(folder.path().join("report.html")).expect("was written")
}

/// Every file that a run can become, all in one folder, kept on request for looking at.
#[test]
fn every_format_is_written_where_it_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = Report::new(&fixture::run()).write(&fixture::run(), folder.path(), &ALL).expect("a report");
    for name in [
        "report.html",
        "report.md",
        "summary.json",
        "tables/comparison.csv",
        "plots/frontier.svg",
        "plots/added-latency.png",
        "hgrm/jwt-es256-latency.hgrm",
    ] {
        let path = folder.path().join(name);
        assert!(files.contains(&path), "{name} is not among the files written");
        assert!(path.metadata().is_ok_and(|it| it.len() > 500), "{name} is missing or nearly empty");
    }
    assert!(files.iter().all(|path| path.is_file()));
    if std::env::var_os("AUTHBENCH_KEEP").is_some() {
        eprintln!("kept in {}", folder.keep().display());
    }
}

/// Checks that elements nest and that text holds no loose `<` or `&`.
fn well_formed(svg: &str, path: &Path) {
    let mut open: Vec<&str> = Vec::new();
    let mut roots = 0;
    for piece in svg.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("{}: <{piece} never ends", path.display()));
        assert_eq!(tag.matches('"').count() % 2, 0, "{}: <{tag}>", path.display());
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{}: </{name}>", path.display());
        } else if !tag.ends_with('/') {
            roots += usize::from(open.is_empty());
            open.push(tag.split_whitespace().next().expect("a name"));
        }
        for entity in text.split('&').skip(1) {
            assert!(entity.split(';').next().is_some_and(|it| it.len() <= 5), "{}: &{entity}", path.display());
        }
    }
    assert!(open.is_empty() && roots == 1, "{}: {open:?} open, {roots} roots", path.display());
}

#[test]
fn an_empty_run_still_has_a_report() {
    let mut run = fixture::run();
    run.records.clear();
    let html = page(&run);
    assert!(html.contains("the run ended before this was measured"));
    assert!(html.contains("No measurement of this run can be drawn."));
    assert_eq!(Report::new(&run).failures(), Vec::<String>::new());
    assert!(Report::new(&run).terminal().contains("0 passed, 0 failed"));
}
