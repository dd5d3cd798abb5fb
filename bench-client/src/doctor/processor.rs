//! Processors: how many, which share a core, who governs their frequency, and who takes time from them.

use std::collections::BTreeSet;

use super::{Finding, system_file};
use crate::machine::{Machine, steal_jiffies, steal_share};

/// Shares of processor time taken by the hypervisor. Quiet virtual machines show less than 0.1 %; trials with more than
/// 2 % are invalid.
const STEAL_WARNING: f64 = 0.005;
const STEAL_PROBLEM: f64 = 0.02;

pub(super) fn look(machine: &Machine) -> Vec<Finding> {
    let siblings = machine
        .server_cpus
        .first()
        .and_then(|cpu| system_file(&format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")));
    let frequency = |what: &str| {
        let cpu = machine.used_cpus().first().copied()?;
        system_file(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/{what}"))
    };
    vec![
        processors(machine, siblings.as_deref()),
        governor(frequency("scaling_governor").as_deref(), frequency("scaling_driver").as_deref(), machine),
        Finding::ok("hypervisor", machine.hypervisor.as_deref().unwrap_or("none seen"))
            .figure("hypervisor", machine.hypervisor.clone()),
    ]
}

fn processors(machine: &Machine, siblings_of_server: Option<&str>) -> Finding {
    let what = format!("{} × {} ({})", machine.cpus, machine.cpu_model, machine.arch);
    let siblings: Option<BTreeSet<usize>> = siblings_of_server.and_then(cpu_list);
    let threads_per_core = siblings.as_ref().map(BTreeSet::len);
    let finding = match machine.client_cpu {
        None => Finding::problem(
            "processors",
            format!("{what}; server and client share what there is"),
            "allow this program two processors or more: on one, server and client take time from each other",
        ),
        Some(client) => {
            let servers: Vec<String> = machine.server_cpus.iter().map(ToString::to_string).collect();
            let bound = format!("{what}; servers on {}, client on {client}", servers.join(", "));
            match (&siblings, threads_per_core) {
                (Some(siblings), _) if siblings.contains(&client) => Finding::warning(
                    "processors",
                    format!("{bound}: two threads of one core"),
                    "allow this program processors of different cores (taskset), or turn SMT off in \
                     /sys/devices/system/cpu/smt/control",
                ),
                (_, Some(threads)) if threads > 1 => {
                    Finding::ok("processors", format!("{bound}; {threads} threads per core"))
                }
                _ => Finding::ok("processors", bound),
            }
        }
    };
    finding.figure("processors", machine.cpus).figure("threads_per_core", threads_per_core)
}

fn governor(governor: Option<&str>, driver: Option<&str>, machine: &Machine) -> Finding {
    let finding = match governor {
        Some("performance") => {
            Finding::ok("frequency", format!("governor performance, {}", driver.unwrap_or("driver?")))
        }
        Some(other) => Finding::warning(
            "frequency",
            format!("governor {other}, {}", driver.unwrap_or("driver?")),
            "set it to performance while measuring: `cpupower frequency-set -g performance`",
        ),
        None if machine.hypervisor.is_some() => Finding::ok("frequency", "governed by the host, which does not tell"),
        None => Finding::not_told("frequency"),
    };
    finding.figure("governor", governor).figure("driver", driver)
}

/// `0-1,4` as a set.
fn cpu_list(text: &str) -> Option<BTreeSet<usize>> {
    let mut cpus = BTreeSet::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cpus)
}

/// Steal over the time between begin and end.
pub(super) struct StealClock(Option<(u64, u64)>);

impl StealClock {
    pub(super) fn begin() -> Self {
        Self(steal_jiffies())
    }

    pub(super) fn end(self) -> Finding {
        steal(steal_share(self.0, steal_jiffies()))
    }
}

fn steal(share: Option<f64>) -> Finding {
    const NAME: &str = "steal";
    let finding = match share {
        None => Finding::not_told(NAME),
        Some(share) => {
            let found = format!("{:.2} % of processor time, while this was examined", share * 100.0);
            let remedy = "the host is shared with others: measure at another time, or on a machine of your own";
            match share {
                s if s > STEAL_PROBLEM => Finding::problem(NAME, found, remedy),
                s if s > STEAL_WARNING => Finding::warning(NAME, found, remedy),
                _ => Finding::ok(NAME, found),
            }
        }
    };
    finding.figure("steal_share", share)
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    fn machine(server: Option<usize>, client: Option<usize>) -> Machine {
        let mut machine = Machine::detect(false);
        machine.server_cpus = server.into_iter().collect();
        machine.client_cpu = client;
        machine
    }

    #[test]
    fn lists_of_processors_are_ranges_and_numbers() {
        assert_eq!(cpu_list("0-1,4"), Some(BTreeSet::from([0, 1, 4])));
        assert_eq!(cpu_list("3\n"), Some(BTreeSet::from([3])));
        assert_eq!(cpu_list("a-b"), None);
    }

    #[test]
    fn one_core_is_worse_than_one_core_with_two_threads() {
        assert_eq!(processors(&machine(None, None), None).grade, Grade::Problem);
        assert_eq!(processors(&machine(Some(0), Some(1)), Some("0-1")).grade, Grade::Warning);
        let apart = processors(&machine(Some(0), Some(1)), Some("0,2"));
        assert_eq!((apart.grade, apart.figures["threads_per_core"].as_u64()), (Grade::Ok, Some(2)));
        assert_eq!(processors(&machine(Some(0), Some(1)), None).grade, Grade::Ok);
    }

    #[test]
    fn a_governor_that_saves_power_is_a_warning() {
        let mut here = machine(None, None);
        here.hypervisor = None;
        assert_eq!(governor(Some("performance"), Some("intel_pstate"), &here).grade, Grade::Ok);
        let saving = governor(Some("powersave"), Some("intel_pstate"), &here);
        assert_eq!(saving.grade, Grade::Warning);
        assert!(saving.remedy.is_some_and(|remedy| remedy.contains("performance")));
        assert!(governor(None, None, &here).found.contains("not told"));
        here.hypervisor = Some("KVM".to_owned());
        assert!(governor(None, None, &here).found.contains("host"));
    }

    #[test]
    fn steal_is_graded_by_its_share() {
        let grade = |share| steal(Some(share)).grade;
        let grades = [grade(0.0), grade(0.005), grade(0.006), grade(0.03)];
        assert_eq!(grades, [Grade::Ok, Grade::Ok, Grade::Warning, Grade::Problem]);
        let unknown = steal(None);
        assert!(unknown.found.contains("not told") && unknown.figures["steal_share"].is_null());
    }
}
