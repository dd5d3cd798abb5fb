//! `authbench report`: everything a reader sees of a run, from its files alone.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Exit, fail, print, remark};
use crate::in_process::InProcess;
use crate::report::{Format, Report};
use crate::run::{LoadedRun, RunFolder};

/// Draw the reports of runs anew, from their records
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folders of runs
    #[arg(required = true)]
    run: Vec<PathBuf>,
    /// What to write: html, md, csv, svg, png, json, hgrm (all by default)
    #[arg(long, value_name = "FORMAT,…", value_delimiter = ',', value_parser = format)]
    format: Vec<Format>,
    /// Where to write (the run's own folder by default; of several runs each gets a folder in it)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where `cargo bench` left criterion's estimates (target/criterion): the comparison's column "in-process"
    #[arg(long, value_name = "DIR")]
    criterion: Option<PathBuf>,
    /// Print summary.json instead of the table
    #[arg(long)]
    json: bool,
}

const FORMATS: [(&str, Format); 7] = [
    ("html", Format::Html),
    ("md", Format::Markdown),
    ("csv", Format::Csv),
    ("svg", Format::Svg),
    ("png", Format::Png),
    ("json", Format::Json),
    ("hgrm", Format::Hgrm),
];

fn format(word: &str) -> Result<Format, String> {
    FORMATS.iter().find(|(each, _)| *each == word).map(|(_, format)| *format).ok_or_else(|| {
        let words: Vec<&str> = FORMATS.iter().map(|(word, _)| *word).collect();
        format!("write one or more of {}", words.join(","))
    })
}

pub(super) fn report(args: &Args) -> Exit {
    let formats: Vec<Format> =
        if args.format.is_empty() { FORMATS.map(|(_, format)| format).to_vec() } else { args.format.clone() };
    let in_process = match in_process(args.criterion.as_deref()) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let mut exit = Exit::Fine;
    for path in &args.run {
        let outcome = match RunFolder::load(path) {
            Ok(mut run) => {
                // The run's own, unless others are named.
                run.header.in_process = in_process.clone().or(run.header.in_process);
                run.warnings.iter().for_each(|warning| remark(format_args!("warning: {warning}")));
                present(&run, &out(args, path), &formats, args.json)
            }
            Err(error) => fail(Exit::Input, error),
        };
        exit = exit.worse(outcome);
    }
    exit
}

/// Criterion's estimates, where a folder of them is named.
pub(super) fn in_process(folder: Option<&Path>) -> Result<Option<InProcess>, Exit> {
    folder.map(InProcess::read).transpose().map_err(|error| fail(Exit::Input, error))
}

fn out(args: &Args, run: &Path) -> PathBuf {
    match (&args.out, run.file_name()) {
        (None, _) => run.to_owned(),
        (Some(out), Some(name)) if args.run.len() > 1 => out.join(name),
        (Some(out), _) => out.clone(),
    }
}

/// Writes all formats of a run that was just measured into its folder and prints the table, or `summary.json`.
pub(super) fn present_all(run: &LoadedRun, folder: &Path, json: bool) -> Exit {
    present(run, folder, &FORMATS.map(|(_, format)| format), json)
}

fn present(run: &LoadedRun, out: &Path, formats: &[Format], json: bool) -> Exit {
    let mut formats = formats.to_vec();
    if json && !formats.contains(&Format::Json) {
        formats.push(Format::Json);
    }
    let report = Report::new(run);
    let written = match report.write(run, out, &formats) {
        Ok(written) => written,
        Err(error) => return fail(Exit::Measurement, error),
    };
    if json {
        let file = out.join("summary.json");
        match fs::read_to_string(&file) {
            Ok(summary) => print(summary.trim_end()),
            Err(error) => return fail(Exit::Measurement, format_args!("{}: {error}", file.display())),
        }
    } else {
        print(report.terminal());
    }
    let page = written.iter().find(|path| path.file_name().is_some_and(|name| name == "report.html"));
    remark(format_args!("report: {}", page.map_or(out, |page| page).display()));
    let failed = report.failures();
    failed.iter().for_each(|check| remark(format_args!("error: {check}")));
    if !failed.is_empty() {
        return Exit::Measurement;
    }
    let findings = report.findings();
    findings.iter().for_each(|finding| remark(format_args!("error: {finding}")));
    let limits = report.limits();
    limits.broken.iter().for_each(|limit| remark(format_args!("error: {limit}")));
    limits.unclear.iter().for_each(|limit| remark(format_args!("warning: {limit}")));
    match (limits.broken.is_empty() && findings.is_empty(), limits.unclear.is_empty()) {
        (false, _) => Exit::Regressed,
        (true, false) => Exit::Inconclusive,
        (true, true) => Exit::Fine,
    }
}
