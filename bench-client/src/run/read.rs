//! Reading a run back: versions and hash checked, a torn last line told from a broken one.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{HEADER_FILE, Header, LoadedRun, RECORDS_FILE, RUN_VERSION, RunError};
use crate::plan::{MeasurementKind, Plan};
use crate::record::{RECORD_VERSION, Record};

/// A run, and how many bytes of its records are whole lines.
pub(super) fn read(path: &Path) -> Result<(LoadedRun, u64), RunError> {
    let header = read_header(path)?;
    let (records, whole_bytes, torn_bytes) = read_records(path, &header.plan)?;
    let mut warnings = Vec::new();
    if torn_bytes > 0 {
        warnings.push(format!(
            "the last line of {RECORDS_FILE} is torn ({torn_bytes} bytes without an end): writing it was interrupted, and \
             it is not counted"
        ));
    }
    let missing = missing(&header.plan, &records);
    // What a side of a comparison lacks the comparison tells: it cannot be finished by itself.
    if missing > 0 && header.duet.is_none() {
        warnings.push(format!(
            "{missing} of {} trials are missing: `authbench run --resume {}` measures them",
            planned(&header.plan),
            path.display()
        ));
    }
    Ok((LoadedRun { header, records, warnings }, whole_bytes))
}

fn read_header(path: &Path) -> Result<Header, RunError> {
    let file = path.join(HEADER_FILE);
    let text = fs::read_to_string(&file).map_err(|source| RunError::Io { path: file.clone(), source })?;
    let content = |message| RunError::Content { path: file.clone(), message };
    let header: Header = versioned(&text, RUN_VERSION).map_err(content)?;
    if header.plan.hash() != header.plan_hash {
        return Err(content(
            "the plan is not the one that was measured (its hash differs): restore the file, or measure anew"
                .to_owned(),
        ));
    }
    Ok(header)
}

/// Records, bytes in whole lines, and bytes of a torn last line.
fn read_records(path: &Path, plan: &Plan) -> Result<(Vec<Record>, u64, usize), RunError> {
    let file = path.join(RECORDS_FILE);
    let bytes = fs::read(&file).map_err(|source| RunError::Io { path: file.clone(), source })?;
    // A record counts once its line has an end: it is written last.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let mut records = Vec::new();
    for (index, line) in bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
        let record = std::str::from_utf8(line)
            .map_err(|error| error.to_string())
            .and_then(|line| versioned::<Record>(line, RECORD_VERSION))
            .and_then(|record| match plan.cases.iter().any(|case| case.id == record.case) {
                true => Ok(record),
                false => Err(format!("the plan has no case \"{}\"", record.case)),
            })
            .map_err(|message| RunError::Content {
                path: file.clone(),
                message: format!("line {}: {message}", index + 1),
            })?;
        records.push(record);
    }
    Ok((records, whole as u64, bytes.len() - whole))
}

/// Reads JSON of a known version. The version is looked at first: of another one nothing else may be understood.
fn versioned<T: DeserializeOwned>(json: &str, expected: u32) -> Result<T, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_str(json).map_err(|error| error.to_string())?;
    if version != expected {
        return Err(format!("this is version {version} of the format, and this program reads version {expected}"));
    }
    serde_json::from_str(json).map_err(|error| error.to_string())
}

fn planned(plan: &Plan) -> usize {
    plan.measurements
        .iter()
        .map(|measurement| plan.cases_of(measurement).count() * trials(plan, &measurement.kind))
        .sum()
}

fn missing(plan: &Plan, records: &[Record]) -> usize {
    let mut missing = 0;
    for measurement in &plan.measurements {
        let trials = trials(plan, &measurement.kind);
        for case in plan.cases_of(measurement) {
            let made = records.iter().filter(|record| record.case == case.id).count();
            missing += trials.saturating_sub(made);
        }
    }
    missing
}

/// Records that a whole run has of each case.
fn trials(plan: &Plan, kind: &MeasurementKind) -> usize {
    if kind.is_load() { plan.rounds as usize } else { plan.starts as usize }
}
