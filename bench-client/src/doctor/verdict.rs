//! What follows: what this machine can resolve and what it cannot, in words.

use serde::Serialize;

use super::{Finding, Grade, Noise, Resolution};
use crate::cell::Cell;

/// Resolutions beyond which small costs are lost: validating a key in memory costs about ten per cent of a request's
/// processor time, and regressions that matter are smaller.
const COARSE: f64 = 0.02;
const TOO_COARSE: f64 = 0.10;

/// What follows from all that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The worst grade: whether this machine is fit to measure on.
    pub grade: Grade,
    /// Sentences.
    pub sentences: Vec<String>,
}

pub(super) fn verdict(findings: &[Finding], noise: &Cell<Noise>) -> Verdict {
    let mut noise_grade = Grade::Problem;
    let mut sentences = Vec::new();
    match noise {
        Cell::Known(noise) => {
            for (what, resolution) in [("CPU per request", &noise.cpu_per_request), ("throughput", &noise.throughput)] {
                match resolution {
                    Cell::Known(resolution) => sentences.push(resolves(what, resolution, noise)),
                    Cell::Blank { blank } => {
                        sentences.push(format!("What can be resolved of {what} is not known: {blank}."))
                    }
                }
            }
            let best = noise.cpu_per_request.known().or(noise.throughput.known());
            noise_grade = best.map_or(Grade::Problem, |resolution| coarseness(resolution.resolves));
            if noise.starts < 6 {
                sentences.push(format!(
                    "With {} starts these bounds are themselves rough; --aa-seconds 20 gives ten.",
                    noise.starts
                ));
            }
        }
        Cell::Blank { blank } => {
            sentences.push(format!("This machine could not measure: {blank}."));
        }
    }
    let grades: Vec<Grade> = findings.iter().map(|finding| finding.grade).chain([noise_grade]).collect();
    let grade = grades.iter().copied().max().unwrap_or(Grade::Problem);
    let count = |wanted| grades.iter().filter(|grade| **grade == wanted).count();
    let (problems, warnings) = (count(Grade::Problem), count(Grade::Warning));
    let marked = counted(problems, "problem").into_iter().chain(counted(warnings, "warning"));
    let marked = marked.collect::<Vec<_>>().join(", ");
    sentences.push(match grade {
        Grade::Ok => "Fit to measure on.".to_owned(),
        Grade::Warning => format!("Fit to measure on, with care: {marked}, the noise above included."),
        Grade::Problem => {
            format!("Figures from here are not to be trusted until this is mended: {marked}, the noise above included.")
        }
    });
    Verdict { grade, sentences }
}

fn coarseness(resolves: f64) -> Grade {
    match resolves {
        r if r > TOO_COARSE => Grade::Problem,
        r if r > COARSE => Grade::Warning,
        _ => Grade::Ok,
    }
}

fn counted(n: usize, what: &str) -> Option<String> {
    (n > 0).then(|| format!("{n} {what}{}", if n == 1 { "" } else { "s" }))
}

fn resolves(what: &str, found: &Resolution, noise: &Noise) -> String {
    let percent = |share: f64| format!("{:+.2} %", share * 100.0);
    format!(
        "Differences in {what} under about {:.1} % cannot be told apart here in {:.1} s of load: two identical servers \
         seemed to differ by {} ({} to {}; {} pairs of {} ms slices, {} starts).",
        (found.resolves * 100.0).max(0.1),
        noise.seconds,
        percent(found.difference),
        percent(found.interval.low),
        percent(found.interval.high),
        noise.pairs,
        noise.slice_ms,
        noise.starts
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Interval;

    fn noise(resolves: f64, starts: usize) -> Cell<Noise> {
        let resolution = Resolution { difference: 0.001, interval: Interval { low: -0.002, high: resolves }, resolves };
        Cell::Known(Noise {
            pairs: 250,
            starts,
            slice_ms: 20,
            seconds: 10.0,
            cpu_per_request: Cell::Known(resolution),
            throughput: Cell::Known(resolution),
        })
    }

    #[test]
    fn the_verdict_says_what_cannot_be_told_apart() {
        let verdict = verdict(&[Finding::ok("clock", "tsc")], &noise(0.008, 10));
        assert_eq!(verdict.grade, Grade::Ok);
        let first = &verdict.sentences[0];
        assert!(first.starts_with("Differences in CPU per request under about 0.8 % cannot be told apart"), "{first}");
        assert!(first.contains("+0.10 % (-0.20 % to +0.80 %; 250 pairs of 20 ms slices, 10 starts)"), "{first}");
        assert_eq!(verdict.sentences.last().map(String::as_str), Some("Fit to measure on."));
    }

    #[test]
    fn the_worst_finding_and_the_noise_decide() {
        let warning = [Finding::warning("load", "3", "stop it")];
        let careful = verdict(&warning, &noise(0.03, 10));
        assert_eq!(careful.grade, Grade::Warning);
        assert!(careful.sentences.last().is_some_and(|it| it.contains("with care: 2 warnings,")), "{careful:?}");
        assert_eq!(verdict(&warning, &noise(0.008, 10)).grade, Grade::Warning);
        assert_eq!(verdict(&[], &noise(0.03, 10)).grade, Grade::Warning);
        assert_eq!(verdict(&[], &noise(0.11, 10)).grade, Grade::Problem);
        assert_eq!(verdict(&[], &noise(0.008, 10)).grade, Grade::Ok);
        let failed = verdict(&warning, &Cell::blank("no server"));
        assert_eq!(failed.grade, Grade::Problem);
        assert!(failed.sentences[0].contains("no server"));
    }

    #[test]
    fn few_starts_are_said() {
        let says =
            |starts| verdict(&[], &noise(0.008, starts)).sentences.iter().any(|it| it.contains("themselves rough"));
        assert!(says(5) && !says(6));
    }
}
