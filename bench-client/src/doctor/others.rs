//! What else this machine is busy with.

use super::{Finding, system_file};

/// Shares of the last ten seconds in which somebody waited for a processor.
const PRESSURE_WARNING: f64 = 0.05;
const PRESSURE_PROBLEM: f64 = 0.25;

/// Runnable threads per processor over the last minute beyond which other work is taken to be going on.
const LOAD_WARNING: f64 = 0.5;

pub(super) fn look(cpus: usize) -> Vec<Finding> {
    let loadavg = system_file("/proc/loadavg");
    let pressure = system_file("/proc/pressure/cpu");
    vec![load(loadavg.as_deref(), cpus), waiting(pressure.as_deref())]
}

const REMEDY: &str = "stop what else runs: measured processes compete with it for cores, caches and clock";

fn load(loadavg: Option<&str>, cpus: usize) -> Finding {
    const NAME: &str = "load";
    let minute: Option<f64> = loadavg.and_then(|text| text.split_ascii_whitespace().next()?.parse().ok());
    let finding = match minute {
        None => Finding::not_told(NAME),
        Some(minute) => {
            let found = format!("{minute:.2} over the last minute, {cpus} processors");
            if minute > LOAD_WARNING * cpus as f64 {
                Finding::warning(NAME, found, REMEDY)
            } else {
                Finding::ok(NAME, found)
            }
        }
    };
    finding.figure("load_1min", minute)
}

/// `some avg10=9.61 avg60=… total=…` (Documentation/accounting/psi.rst of the kernel).
fn waiting(pressure: Option<&str>) -> Finding {
    const NAME: &str = "pressure";
    let share = pressure.and_then(|text| {
        let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
        let percent = some.split_ascii_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
        Some(percent.parse::<f64>().ok()? / 100.0)
    });
    let finding = match share {
        None => Finding::not_told(NAME),
        Some(share) => {
            let found = format!("somebody waited for a processor in {:.1} % of the last 10 s", share * 100.0);
            match share {
                s if s > PRESSURE_PROBLEM => Finding::problem(NAME, found, REMEDY),
                s if s > PRESSURE_WARNING => Finding::warning(NAME, found, REMEDY),
                _ => Finding::ok(NAME, found),
            }
        }
    };
    finding.figure("cpu_some_share_10s", share)
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn half_a_thread_per_processor_is_other_work() {
        assert_eq!(load(Some("0.99 0.50 0.40 1/120 4242"), 2).grade, Grade::Ok);
        assert_eq!(load(Some("1.01 0.50 0.40 1/120 4242"), 2).grade, Grade::Warning);
        assert!(load(None, 2).figures["load_1min"].is_null());
    }

    #[test]
    fn pressure_is_graded_by_its_share() {
        let with = |avg10: &str| {
            waiting(Some(&format!("some avg10={avg10} avg60=7.08 avg300=5.34 total=1351911513\nfull avg10=0.00"))).grade
        };
        assert_eq!([with("4.99"), with("9.61"), with("25.10")], [Grade::Ok, Grade::Warning, Grade::Problem]);
        assert_eq!(waiting(Some("full avg10=1.0")).found, "not told by this system");
    }
}
