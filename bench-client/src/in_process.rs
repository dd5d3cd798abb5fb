//! What one validation takes without a network, as criterion estimated it: read from the files that `cargo bench` leaves.
//!
//! Criterion keeps `<benchmark>/new/benchmark.json` (its name) and `estimates.json` beside it; a benchmark of a group lies a
//! folder deeper. Names are those of [`MethodConfig::validator`](bench_server::contract::MethodConfig::validator).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cell::Estimate;
use crate::stats::Interval;

/// Criterion's estimates, by validator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InProcess {
    /// Whatever benchmarks have left, by name.
    pub estimates: BTreeMap<String, InProcessEstimate>,
}

/// One estimate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InProcessEstimate {
    /// Nanoseconds per validation: the figure that `cargo bench` prints, the slope over growing batches where there is one
    /// and the mean otherwise.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// When it was made.
    pub measured_at: jiff::Timestamp,
}

/// Why there are no estimates.
#[derive(Debug, thiserror::Error)]
pub enum InProcessError {
    /// A file or folder cannot be read.
    #[error("{}: {source}; run `cargo bench --bench validators` and name its folder, target/criterion", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not criterion's.
    #[error("{}: not what criterion writes: {message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// There are none.
    #[error("{}: no benchmark has left estimates here; run `cargo bench --bench validators` and name its folder, target/criterion", .0.display())]
    Nothing(PathBuf),
}

/// `benchmark.json`.
#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
}

/// `estimates.json`.
#[derive(Deserialize)]
struct Estimates {
    mean: Point,
    /// Absent where batches do not grow.
    slope: Option<Point>,
}

#[derive(Deserialize)]
struct Point {
    point_estimate: f64,
    confidence_interval: ConfidenceInterval,
}

#[derive(Deserialize)]
struct ConfidenceInterval {
    confidence_level: f64,
    lower_bound: f64,
    upper_bound: f64,
}

/// How deep benchmarks lie: a group's is one folder deeper than a single one, a group's function with a value two.
const DEPTH: usize = 3;

impl InProcess {
    /// Reads criterion's folder, `target/criterion` by default.
    ///
    /// # Errors
    /// [`InProcessError`].
    pub fn read(folder: &Path) -> Result<Self, InProcessError> {
        let mut found = Vec::new();
        benchmarks(folder, DEPTH, &mut found)?;
        let mut estimates = BTreeMap::new();
        for newest in found {
            let Benchmark { full_id } = parse(&newest.join("benchmark.json"))?;
            let file = newest.join("estimates.json");
            let written = fs::metadata(&file).and_then(|it| it.modified()).map_err(io(&file))?;
            let measured_at = jiff::Timestamp::try_from(written)
                .map_err(|error| InProcessError::Content { path: file.clone(), message: error.to_string() })?;
            let estimate = parse::<Estimates>(&file)?.typical();
            estimates.insert(full_id, InProcessEstimate { estimate, measured_at });
        }
        if estimates.is_empty() {
            return Err(InProcessError::Nothing(folder.to_owned()));
        }
        Ok(Self { estimates })
    }
}

impl Estimates {
    fn typical(self) -> Estimate {
        /// That of all other intervals here.
        const LEVEL: f64 = 0.95;
        let Point { point_estimate, confidence_interval: interval } = self.slope.unwrap_or(self.mean);
        let alike = (interval.confidence_level - LEVEL).abs() < 1e-9;
        let interval = alike.then_some(Interval { low: interval.lower_bound, high: interval.upper_bound });
        Estimate { value: point_estimate, interval }
    }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> InProcessError + use<'_> {
    move |source| InProcessError::Io { path: path.to_owned(), source }
}

/// Finds the folders of newest results.
fn benchmarks(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), InProcessError> {
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        if path.join("new").join("benchmark.json").is_file() {
            found.push(path.join("new"));
        }
        if depth > 1 && path.is_dir() {
            benchmarks(&path, depth - 1, found)?;
        }
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T, InProcessError> {
    let text = fs::read_to_string(path).map_err(io(path))?;
    serde_json::from_str(&text)
        .map_err(|error| InProcessError::Content { path: path.to_owned(), message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(folder: &Path, id: &str, estimates: &str) {
        let newest = folder.join("new");
        fs::create_dir_all(&newest).expect("a folder");
        let benchmark = serde_json::json!({ "group_id": id, "full_id": id, "title": id });
        fs::write(newest.join("benchmark.json"), benchmark.to_string()).expect("written");
        fs::write(newest.join("estimates.json"), estimates).expect("written");
    }

    fn point(value: f64, level: f64) -> serde_json::Value {
        serde_json::json!({
            "confidence_interval": { "confidence_level": level, "lower_bound": value - 1.0, "upper_bound": value + 1.0 },
            "point_estimate": value,
            "standard_error": 0.5,
        })
    }

    #[test]
    fn what_cargo_bench_prints_is_found_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let sloped = serde_json::json!({ "mean": point(30.0, 0.95), "slope": point(20.0, 0.95) });
        leave(&dir.path().join("jwt_ES256"), "jwt/ES256", &sloped.to_string());
        let flat = serde_json::json!({ "mean": point(30.0, 0.9), "slope": null });
        leave(&dir.path().join("a group").join("none"), "none", &flat.to_string());
        fs::create_dir(dir.path().join("report")).expect("a folder"); // criterion's own pages
        let read = InProcess::read(dir.path()).expect("estimates");
        assert_eq!(
            read.estimates["jwt/ES256"].estimate,
            Estimate { value: 20.0, interval: Some(Interval { low: 19.0, high: 21.0 }) }
        );
        assert_eq!(
            read.estimates["none"].estimate,
            Estimate { value: 30.0, interval: None },
            "another level is not ours"
        );
        assert!(read.estimates["none"].measured_at <= jiff::Timestamp::now());
    }

    #[test]
    fn a_folder_without_estimates_is_an_error_that_says_how_to_make_them() {
        let dir = tempfile::tempdir().expect("a folder");
        for folder in [dir.path().to_owned(), dir.path().join("not there")] {
            let message = InProcess::read(&folder).expect_err("nothing").to_string();
            assert!(message.contains("cargo bench --bench validators"), "{message}");
            assert!(message.contains(&folder.display().to_string()), "{message}");
        }
        leave(&dir.path().join("none"), "none", "{\"mean\": 3}");
        let message = InProcess::read(dir.path()).expect_err("not criterion's").to_string();
        assert!(message.contains("estimates.json"), "{message}");
    }
}
