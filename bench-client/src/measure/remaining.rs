//! What of a plan is still to do, given the records that exist. Pure.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::load::Load;
use crate::plan::{
    ATTACK, AttackPlan, Case, Event, Measurement, MeasurementKind, Plan, RevocationPlan, START_COST, SetupPlan, Variant,
};
use crate::record::Record;

/// One life of the server processes with all that is measured in it.
pub(super) struct Start<'p> {
    /// Its number in records: it goes on counting in a resumed run.
    pub(super) number: u32,
    /// Its number in the plan: decides the rounds and all random choices.
    pub(super) planned: u32,
    /// What variants carried, in requests per second, as far as records of its first round tell: an interrupted start
    /// may have measured it.
    pub(super) capacities: BTreeMap<String, f64>,
    /// Rounds in which something is left to do.
    pub(super) rounds: Vec<Round<'p>>,
    /// Revocation measurements in which something is left to do.
    pub(super) revocations: Vec<Group<'p, RevocationPlan>>,
    /// Setup measurements in which something is left to do.
    pub(super) setups: Vec<Group<'p, SetupPlan>>,
    /// Rollovers and outages in which something is left to do.
    pub(super) events: Vec<Group<'p, Event>>,
    /// Attacks in which something is left to do.
    pub(super) attacks: Vec<Group<'p, AttackPlan>>,
}

/// A round and what is left to do in it.
pub(super) struct Round<'p> {
    pub(super) number: u32,
    pub(super) groups: Vec<Group<'p, Load>>,
}

/// Cases of one measurement: those that are measured interleaved, or at the same time.
pub(super) struct Group<'p, Settings> {
    /// Which of the plan's measurements it is.
    pub(super) index: usize,
    pub(super) measurement: &'p Measurement,
    pub(super) settings: Settings,
    pub(super) cases: Vec<&'p Case>,
}

/// The starts of the plan that are not completely done. A case that has a record in a round, valid or not, is done
/// there: measuring it again until the result pleases would be choosing.
pub(super) fn starts<'p>(plan: &'p Plan, done: &[Record]) -> Vec<Start<'p>> {
    let recorded: HashSet<(&str, u32)> = done.iter().map(|record| (record.case.as_str(), record.round)).collect();
    let first_number = done.iter().map(|record| record.start + 1).max().unwrap_or(0);
    let cases = |measurement: &Measurement, round: u32| -> Vec<&'p Case> {
        plan.cases
            .iter()
            .filter(|case| case.measurement == measurement.name && !recorded.contains(&(case.id.as_str(), round)))
            .collect()
    };
    let mut starts = Vec::new();
    for planned in 0..plan.starts {
        let first_round = planned * plan.rounds_per_start();
        let rounds = first_round..first_round + plan.rounds_per_start();
        let mut start = Start {
            number: first_number + starts.len() as u32,
            planned,
            capacities: done
                .iter()
                .filter(|record| record.round == first_round)
                .filter_map(|record| Some((record.variant.clone(), record.capacity_per_s()?)))
                .collect(),
            rounds: Vec::new(),
            revocations: Vec::new(),
            setups: Vec::new(),
            events: Vec::new(),
            attacks: Vec::new(),
        };
        for number in rounds {
            let mut groups = Vec::new();
            for (index, measurement) in plan.measurements.iter().enumerate() {
                let cases = cases(measurement, number);
                if let (Some(settings), false) = (Load::of(&measurement.kind), cases.is_empty()) {
                    groups.push(Group { index, measurement, settings, cases });
                }
            }
            // A load that is a share of a capacity comes after what measures it.
            groups.sort_by_key(|group| group.settings.needs_capacity());
            if !groups.is_empty() {
                start.rounds.push(Round { number, groups });
            }
        }
        for (index, measurement) in plan.measurements.iter().enumerate() {
            let cases = cases(measurement, first_round);
            match &measurement.kind {
                _ if cases.is_empty() => {}
                MeasurementKind::Revocation(settings) => {
                    start.revocations.push(Group { index, measurement, settings: settings.clone(), cases });
                }
                MeasurementKind::Setup(settings) => {
                    start.setups.push(Group { index, measurement, settings: settings.clone(), cases });
                }
                MeasurementKind::Attack(settings) => {
                    start.attacks.push(Group { index, measurement, settings: settings.clone(), cases });
                }
                MeasurementKind::Latency(_) | MeasurementKind::Throughput(_) | MeasurementKind::Handshake(_) => {}
                MeasurementKind::Rollover(_) | MeasurementKind::Outage(_) => {
                    let settings = Event::of(&measurement.kind).expect("it is one of the two");
                    start.events.push(Group { index, measurement, settings, cases });
                }
            }
        }
        if !start.variants(plan).is_empty() {
            starts.push(start);
        }
    }
    starts
}

impl<'p> Start<'p> {
    /// The start of that number with all of its rounds, and of its cases those under load that are wanted. Capacities are
    /// not searched.
    pub(super) fn under_load(plan: &'p Plan, number: u32, wanted: impl Fn(&Case) -> bool) -> Self {
        let of_measurement = |(index, measurement): (usize, &'p Measurement)| {
            let settings = Load { objective: None, ..Load::of(&measurement.kind)? };
            let cases: Vec<&Case> = plan.cases_of(measurement).filter(|case| wanted(case)).collect();
            (!cases.is_empty()).then_some(Group { index, measurement, settings, cases })
        };
        let round = |number| {
            let mut groups: Vec<_> = plan.measurements.iter().enumerate().filter_map(of_measurement).collect();
            groups.sort_by_key(|group| group.settings.needs_capacity());
            Round { number, groups }
        };
        let first = number * plan.rounds_per_start();
        Self {
            number,
            planned: number,
            capacities: BTreeMap::new(),
            rounds: (first..first + plan.rounds_per_start()).map(round).collect(),
            revocations: Vec::new(),
            setups: Vec::new(),
            events: Vec::new(),
            attacks: Vec::new(),
        }
    }

    /// The variants that this start needs, in the plan's order.
    pub(super) fn variants(&self, plan: &'p Plan) -> Vec<&'p Variant> {
        let load = self.rounds.iter().flat_map(|round| &round.groups).flat_map(|group| &group.cases);
        let revocation = self.revocations.iter().flat_map(|group| &group.cases);
        let setup = self.setups.iter().flat_map(|group| &group.cases);
        let event = self.events.iter().flat_map(|group| &group.cases);
        let attack = self.attacks.iter().flat_map(|group| &group.cases);
        let all = load.chain(revocation).chain(setup).chain(event).chain(attack);
        let names: HashSet<&str> = all.map(|case| case.variant.as_str()).collect();
        plan.variants.iter().filter(|variant| names.contains(variant.name.as_str())).collect()
    }

    /// The load measurements that `variant` takes part in, each once, in the plan's order.
    pub(super) fn loads(&self, variant: &str) -> Vec<&Group<'p, Load>> {
        let mut loads: Vec<&Group<'p, Load>> = Vec::new();
        for group in self.rounds.iter().flat_map(|round| &round.groups) {
            let takes_part = group.cases.iter().any(|case| case.variant == variant);
            if takes_part && loads.iter().all(|seen| seen.measurement.name != group.measurement.name) {
                loads.push(group);
            }
        }
        loads
    }

    /// What starting and warming up one variant takes.
    pub(super) fn preparation(&self, variant: &str) -> Duration {
        START_COST + self.loads(variant).iter().map(|group| group.settings.warmup).sum::<Duration>()
    }

    /// How long all of it takes, about; revocations as long as they may.
    pub(super) fn expected(&self, plan: &Plan) -> Duration {
        let preparation: Duration = self.variants(plan).iter().map(|variant| self.preparation(&variant.name)).sum();
        let load: Duration = self
            .rounds
            .iter()
            .flat_map(|round| &round.groups)
            .map(|group| group.settings.slice * group.settings.slices * group.cases.len() as u32)
            .sum();
        let searches: Duration = self
            .rounds
            .iter()
            .filter(|round| round.number.is_multiple_of(plan.rounds_per_start()))
            .flat_map(|round| &round.groups)
            .filter_map(|group| Some(group.settings.objective?.search() * group.cases.len() as u32))
            .sum();
        let revocation: Duration = self
            .revocations
            .iter()
            .map(|group| {
                let settings = &group.settings;
                settings.phase + settings.watch + settings.blast_lasts()
            })
            .sum();
        let events: Duration = self.events.iter().map(|group| group.settings.length()).sum();
        let attacks: Duration = self.attacks.iter().map(|group| ATTACK * group.cases.len() as u32).sum();
        preparation + load + searches + revocation + events + attacks
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{plan, revocation_record};
    use super::*;
    use crate::plan::Stint;

    /// What is left, as `start(planned): round: case case | …; revocations: case …`.
    fn outline(plan: &Plan, done: &[Record]) -> Vec<String> {
        let ids = |cases: &[&Case]| cases.iter().map(|case| case.id.as_str()).collect::<Vec<_>>().join(" ");
        starts(plan, done)
            .iter()
            .map(|start| {
                let mut text = format!("{}({}):", start.number, start.planned);
                for round in &start.rounds {
                    let groups: Vec<String> = round.groups.iter().map(|group| ids(&group.cases)).collect();
                    text += &format!(" {}: {};", round.number, groups.join(" | "));
                }
                for group in &start.revocations {
                    text += &format!(" revoke {}", ids(&group.cases));
                }
                text
            })
            .collect()
    }

    fn done(cases: &[(&str, u32, u32)]) -> Vec<Record> {
        cases.iter().map(|(case, round, start)| revocation_record(case, *round, *start)).collect()
    }

    #[test]
    fn a_new_run_does_everything() {
        assert_eq!(
            outline(&plan(), &[]),
            [
                "0(0): 0: none/latency a/latency | none/throughput; 1: none/latency a/latency | none/throughput; \
                 revoke none/revocation a/revocation",
                "1(1): 2: none/latency a/latency | none/throughput; 3: none/latency a/latency | none/throughput; \
                 revoke none/revocation a/revocation",
            ]
        );
    }

    #[test]
    fn what_has_a_record_is_not_done_again_and_starts_count_on() {
        let done =
            done(&[("none/latency", 0, 0), ("a/latency", 0, 0), ("none/throughput", 0, 0), ("none/latency", 1, 0)]);
        assert_eq!(
            outline(&plan(), &done),
            [
                "1(0): 1: a/latency | none/throughput; revoke none/revocation a/revocation",
                "2(1): 2: none/latency a/latency | none/throughput; 3: none/latency a/latency | none/throughput; \
                 revoke none/revocation a/revocation",
            ]
        );
    }

    #[test]
    fn a_start_with_only_revocations_left_is_started_for_them() {
        let mut all: Vec<(&str, u32, u32)> = Vec::new();
        for (round, start) in [(0, 0), (1, 0), (2, 4), (3, 4)] {
            all.extend(["none/latency", "a/latency", "none/throughput"].map(|case| (case, round, start)));
        }
        all.extend([("none/revocation", 0, 0), ("a/revocation", 0, 0), ("none/revocation", 2, 4)]);
        assert_eq!(outline(&plan(), &done(&all)), ["5(1): revoke a/revocation"]);
        let plan = plan();
        let left = starts(&plan, &done(&all));
        assert_eq!(left[0].variants(&plan).iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert!(left[0].loads("a").is_empty());
    }

    #[test]
    fn a_complete_run_leaves_nothing() {
        let mut all = Vec::new();
        for round in 0..4 {
            all.extend(["none/latency", "a/latency", "none/throughput"].map(|case| (case, round, round / 2)));
        }
        for round in [0, 2] {
            all.extend(["none/revocation", "a/revocation"].map(|case| (case, round, round / 2)));
        }
        assert_eq!(outline(&plan(), &done(&all)), Vec::<String>::new());
    }

    #[test]
    fn an_invalid_record_is_a_record() {
        let mut record = revocation_record("none/latency", 0, 0);
        record.invalid = vec!["the client was late".to_owned()];
        assert!(outline(&plan(), &[record])[0].starts_with("1(0): 0: a/latency | none/throughput;"));
    }

    #[test]
    fn the_expected_time_is_the_sum_of_its_parts() {
        let plan = plan();
        let start = &starts(&plan, &[])[0];
        // Per variant 500 ms and its warm-ups; two rounds of 3 cases × 2 slices × 100 ms; phase and watch once.
        let preparation = Duration::from_millis(500 + 30 + 20) + Duration::from_millis(500 + 30);
        let load = Duration::from_millis(2 * 3 * 2 * 100);
        assert_eq!(start.expected(&plan), preparation + load + Duration::from_secs(1 + 2));
        assert_eq!(start.loads("none").len(), 2);
        assert_eq!(start.loads("a").len(), 1);
    }

    #[test]
    fn a_stint_takes_as_long_as_what_is_measured_in_it() {
        let plan = plan();
        for cases in [None, Some(vec!["a/latency"]), Some(vec!["none/latency", "none/throughput"]), Some(vec![])] {
            let cases = cases.map(|cases| cases.into_iter().map(str::to_owned).collect());
            let stint = Stint { starts: 2..5, cases };
            let start = Start::under_load(&plan, 2, |case| stint.holds(case));
            assert_eq!(stint.expected([&plan, &plan]), start.expected(&plan) * 2 * 3, "{:?}", stint.cases);
        }
    }
}
