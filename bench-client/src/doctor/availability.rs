//! What of the kernel's services can be had: performance counters, and threads that only run when nobody else does.

use super::Finding;
use crate::machine::{KeptAwake, Machine, idle_policy, instructions_available};

pub(super) fn look(machine: &Machine) -> Vec<Finding> {
    vec![counters(instructions_available()), idle(idle_policy(), machine)]
}

fn counters(available: Result<(), String>) -> Finding {
    const NAME: &str = "counters";
    let there = available.is_ok();
    let finding = match available {
        Ok(()) => Finding::ok(NAME, "instructions in user space can be counted"),
        Err(reason) => Finding::warning(
            NAME,
            reason,
            "instructions per request are absent from reports, with this reason; the other figures do without",
        ),
    };
    finding.figure("instructions", there)
}

fn idle(policy: Result<(), String>, machine: &Machine) -> Finding {
    const NAME: &str = "idle policy";
    let there = policy.is_ok();
    let finding = match (policy, &machine.keep_awake) {
        (Ok(()), KeptAwake::On) => Finding::ok(NAME, "SCHED_IDLE; a run keeps cores awake when it measures latency"),
        (Ok(()), KeptAwake::Off { reason }) if machine.hypervisor.is_some() => {
            Finding::warning(NAME, format!("SCHED_IDLE, but cores sleep: {reason}"), ASLEEP)
        }
        (Ok(()), KeptAwake::Off { .. }) => Finding::ok(NAME, "SCHED_IDLE; cores are kept awake with keep_awake = true"),
        (Err(reason), _) if machine.hypervisor.is_some() => Finding::warning(NAME, reason, ASLEEP),
        (Err(reason), _) => Finding::ok(NAME, format!("cores cannot be kept awake: {reason}")),
    };
    finding.figure("sched_idle", there)
}

const ASLEEP: &str =
    "latencies of idle servers hold the wake-up of a virtual core: look at added latency, not at absolute";

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn missing_counters_are_a_warning_with_the_reason() {
        assert_eq!(counters(Ok(())).grade, Grade::Ok);
        let missing = counters(Err("no hardware counters".to_owned()));
        assert_eq!((missing.grade, missing.found.as_str()), (Grade::Warning, "no hardware counters"));
        assert_eq!(missing.figures["instructions"], false);
    }

    #[test]
    fn sleeping_cores_matter_on_a_virtual_machine() {
        let mut machine = Machine::detect(false);
        for (hypervisor, policy, kept, grade) in [
            (Some("KVM"), Ok(()), KeptAwake::On, Grade::Ok),
            (Some("KVM"), Ok(()), KeptAwake::off("a quota"), Grade::Warning),
            (Some("KVM"), Err("refused".to_owned()), KeptAwake::off("refused"), Grade::Warning),
            (None, Ok(()), KeptAwake::off("no virtual machine"), Grade::Ok),
            (None, Err("refused".to_owned()), KeptAwake::off("refused"), Grade::Ok),
        ] {
            machine.hypervisor = hypervisor.map(str::to_owned);
            machine.keep_awake = kept;
            assert_eq!(idle(policy.clone(), &machine).grade, grade, "{hypervisor:?} {policy:?}");
        }
    }
}
