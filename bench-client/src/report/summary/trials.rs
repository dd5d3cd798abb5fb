//! Valid trials, decoded once and found by case.

use std::collections::BTreeMap;

use super::InvalidTrial;
use crate::cell::Cell;
use crate::plan::Plan;
use crate::record::{
    AttackResult, BesideResult, EncodedHistogram, HandshakeResult, LoadResult, Measured, Record, RevocationResult,
    SetupResult, TimelineResult,
};
use crate::run::LoadedRun;
use crate::stats::{Distribution, Grouping, Resampler};

/// A valid trial under load.
pub(crate) struct Load<'a> {
    pub(crate) start: u32,
    pub(crate) round: u32,
    /// From the trial's begin to its end, other cases' slices included.
    pub(crate) elapsed_ns: u64,
    pub(crate) result: &'a LoadResult,
    pub(crate) latency: Distribution,
    pub(crate) service_time: Distribution,
    pub(crate) lateness: Option<Distribution>,
    /// Absent where the server does not tell.
    pub(crate) validation: Option<Distribution>,
    /// What came of the traffic beside the variant, and its latency.
    pub(crate) beside: Option<(&'a BesideResult, Distribution)>,
    /// What only a trial of new connections has.
    pub(crate) handshake: Option<HandshakeTrial<'a>>,
}

/// Beside the load: what new connections took.
pub(crate) struct HandshakeTrial<'a> {
    pub(crate) result: &'a HandshakeResult,
    pub(crate) ready: Distribution,
    pub(crate) tcp: Distribution,
    pub(crate) tls: Distribution,
    pub(crate) first_answer: Distribution,
}

/// The valid trials of a run.
pub(crate) struct Trials<'a> {
    plan: &'a Plan,
    loads: BTreeMap<(&'a str, &'a str), Vec<Load<'a>>>,
    revocations: BTreeMap<(&'a str, &'a str), Vec<&'a RevocationResult>>,
    setups: BTreeMap<(&'a str, &'a str), Vec<(u32, &'a SetupResult)>>,
    events: BTreeMap<(&'a str, &'a str), Vec<&'a TimelineResult>>,
    attacks: BTreeMap<(&'a str, &'a str), Vec<&'a AttackResult>>,
    invalid: Vec<InvalidTrial>,
}

impl<'a> Trials<'a> {
    /// Sorts the run's records into valid and invalid ones. A record whose histograms cannot be read is invalid.
    pub(crate) fn new(run: &'a LoadedRun) -> Self {
        let mut trials = Self {
            plan: &run.header.plan,
            loads: BTreeMap::new(),
            revocations: BTreeMap::new(),
            setups: BTreeMap::new(),
            events: BTreeMap::new(),
            attacks: BTreeMap::new(),
            invalid: Vec::new(),
        };
        for record in &run.records {
            let mut reasons = record.invalid.clone();
            if reasons.is_empty() {
                reasons.extend(trials.take(record).err());
            }
            if !reasons.is_empty() {
                trials.invalid.push(InvalidTrial {
                    case: record.case.clone(),
                    start: record.start,
                    round: record.round,
                    reasons,
                });
            }
        }
        for loads in trials.loads.values_mut() {
            loads.sort_by_key(|load| (load.start, load.round));
        }
        trials
    }

    fn take(&mut self, record: &'a Record) -> Result<(), String> {
        let key = (record.variant.as_str(), record.measurement.as_str());
        let (result, handshake) = match &record.measured {
            Measured::Latency(result) | Measured::Throughput(result) => (result, None),
            Measured::Handshake(result) => {
                let trial = HandshakeTrial {
                    result,
                    ready: decode("handshake", &result.ready)?,
                    tcp: decode("TCP", &result.tcp)?,
                    tls: decode("TLS", &result.tls)?,
                    first_answer: decode("first answer", &result.first_answer)?,
                };
                (&result.load, Some(trial))
            }
            Measured::Revocation(result) => {
                self.revocations.entry(key).or_default().push(result);
                return Ok(());
            }
            Measured::Setup(result) => {
                self.setups.entry(key).or_default().push((record.start, result));
                return Ok(());
            }
            Measured::Attack(result) => {
                self.attacks.entry(key).or_default().push(result);
                return Ok(());
            }
            Measured::Rollover(result) | Measured::Outage(result) => {
                self.events.entry(key).or_default().push(result);
                return Ok(());
            }
        };
        let load = Load {
            start: record.start,
            round: record.round,
            elapsed_ns: record.elapsed_ns,
            result,
            latency: decode("latency", &result.latency)?,
            service_time: decode("service time", &result.service_time)?,
            lateness: result.lateness.as_ref().map(|text| decode("lateness", text)).transpose()?,
            validation: result.validation.as_ref().map(|text| decode("validation", text)).transpose()?,
            beside: match &result.beside {
                Some(beside) => Some((beside, decode("latency beside the variant", &beside.latency)?)),
                None => None,
            },
            handshake,
        };
        self.loads.entry(key).or_default().push(load);
        Ok(())
    }

    /// Trials under load of a case, by start and round.
    pub(crate) fn loads(&self, variant: &'a str, measurement: &'a str) -> &[Load<'a>] {
        self.loads.get(&(variant, measurement)).map_or(&[], Vec::as_slice)
    }

    /// All trials under load with their variant and measurement.
    pub(crate) fn all_loads(&self) -> impl Iterator<Item = (&'a str, &'a str, &[Load<'a>])> {
        self.loads.iter().map(|((variant, measurement), loads)| (*variant, *measurement, loads.as_slice()))
    }

    /// Revocation trials of a case, in the order of the records.
    pub(crate) fn revocations(&self, variant: &'a str, measurement: &'a str) -> &[&'a RevocationResult] {
        self.revocations.get(&(variant, measurement)).map_or(&[], Vec::as_slice)
    }

    /// Setup trials of a case with their starts, in the order of the records.
    pub(crate) fn setups(&self, variant: &'a str, measurement: &'a str) -> &[(u32, &'a SetupResult)] {
        self.setups.get(&(variant, measurement)).map_or(&[], Vec::as_slice)
    }

    /// Rollovers or outages of a case, in the order of the records.
    pub(crate) fn events(&self, variant: &'a str, measurement: &'a str) -> &[&'a TimelineResult] {
        self.events.get(&(variant, measurement)).map_or(&[], Vec::as_slice)
    }

    /// Attacks of a case, in the order of the records.
    pub(crate) fn attacks(&self, variant: &'a str, measurement: &'a str) -> &[&'a AttackResult] {
        self.attacks.get(&(variant, measurement)).map_or(&[], Vec::as_slice)
    }

    /// Trials that are not counted.
    pub(crate) fn invalid(&self) -> &[InvalidTrial] {
        &self.invalid
    }

    /// Invalid trials of a case.
    pub(crate) fn invalid_of(&self, variant: &str, measurement: &str) -> impl Iterator<Item = &InvalidTrial> {
        let is = |case: &&crate::plan::Case| case.variant == variant && case.measurement == measurement;
        let id = self.plan.cases.iter().find(is).map(|case| case.id.as_str());
        self.invalid.iter().filter(move |trial| Some(trial.case.as_str()) == id)
    }

    /// Whether a planned case has valid trials, and if not, why.
    pub(crate) fn state(&self, variant: &'a str, measurement: &'a str) -> Cell<()> {
        let has_trials = !self.loads(variant, measurement).is_empty()
            || !self.revocations(variant, measurement).is_empty()
            || !self.setups(variant, measurement).is_empty()
            || !self.events(variant, measurement).is_empty()
            || !self.attacks(variant, measurement).is_empty();
        if has_trials {
            return Cell::Known(());
        }
        match self.invalid_of(variant, measurement).next() {
            Some(first) => Cell::blank(format!("every trial was invalid: {}", first.reasons.join("; "))),
            None => Cell::blank("the run ended before this was measured"),
        }
    }

    /// What intervals are drawn over: nested as soon as any case saw more than one start; and the fewest clusters that
    /// any case with an interval drew.
    pub(crate) fn clusters(&self) -> Option<(Grouping, usize)> {
        let of_setup = |(start, result): &(u32, &SetupResult)| std::iter::repeat_n(*start, result.trials.len());
        let of_cases = || {
            let setups = self.setups.values().map(|trials| trials.iter().flat_map(of_setup).collect::<Vec<_>>());
            let loads = self.loads.values().map(|loads| loads.iter().map(|load| load.start).collect());
            loads.chain(setups).filter_map(|starts| grouping(&starts))
        };
        let grouping = of_cases().map(|(grouping, _)| grouping).min_by_key(|it| *it != Grouping::StartsThenRounds)?;
        let fewest = of_cases().filter(|(it, _)| *it == grouping).map(|(_, clusters)| clusters).min()?;
        Some((grouping, fewest))
    }
}

/// What an interval over these trials draws, and how many of it; `None` when there is no interval.
pub(crate) fn clusters(loads: &[Load<'_>]) -> Option<(Grouping, usize)> {
    grouping(&loads.iter().map(|load| load.start).collect::<Vec<_>>())
}

/// The same for trials given as the start that each belongs to.
fn grouping(trials: &[u32]) -> Option<(Grouping, usize)> {
    let starts: std::collections::BTreeSet<u32> = trials.iter().copied().collect();
    match (starts.len(), trials.len()) {
        (_, 0 | 1) => None,
        (1, rounds) => Some((Grouping::Rounds, rounds)),
        (starts, _) => Some((Grouping::StartsThenRounds, starts)),
    }
}

/// Share of a case's time that it was under load; the rest went to the slices of other cases.
pub(crate) fn duty(loads: &[Load<'_>]) -> Cell<f64> {
    let sum = |of: fn(&Load<'_>) -> u64| loads.iter().map(|load| of(load) as f64).sum::<f64>();
    let (measured, elapsed) = (sum(|load| load.result.measured_ns), sum(|load| load.elapsed_ns));
    Cell::or_blank((elapsed > 0.0).then(|| measured / elapsed), "the records do not say how long the trials took")
}

/// The drawings for a case's trials.
pub(crate) fn resampler(loads: &[Load<'_>], seed: u64) -> Option<Resampler> {
    let starts: Vec<u32> = loads.iter().map(|load| load.start).collect();
    Resampler::new(&starts, seed)
}

/// A case and its baseline, trial by trial.
pub(crate) struct Pairing<'t, 'a> {
    /// The baseline's name.
    pub(crate) baseline: &'a str,
    pub(crate) pairs: Vec<(&'t Load<'a>, &'t Load<'a>)>,
    pub(crate) draws: Option<Resampler>,
}

/// The case's trials beside those of the baseline in the same measurement, start and round.
pub(crate) fn pairing<'t, 'a>(trials: &'t Trials<'a>, variant: &'a str, measurement: &'a str) -> Cell<Pairing<'t, 'a>> {
    let Some(baseline) = trials.plan.baseline_of(variant) else {
        return Cell::blank("the plan has no baseline for it");
    };
    if baseline.name == variant {
        return Cell::blank("this is the baseline");
    }
    let of_baseline = trials.loads(&baseline.name, measurement);
    let pairs: Vec<_> = trials
        .loads(variant, measurement)
        .iter()
        .filter_map(|load| {
            let same = |other: &&Load<'_>| other.start == load.start && other.round == load.round;
            of_baseline.iter().find(same).map(|reference| (load, reference))
        })
        .collect();
    if pairs.is_empty() {
        return Cell::blank(format!("no round of {measurement} has a valid trial of both this and the baseline"));
    }
    let starts: Vec<u32> = pairs.iter().map(|(load, _)| load.start).collect();
    Cell::Known(Pairing { baseline: &baseline.name, draws: Resampler::new(&starts, trials.plan.seed), pairs })
}

fn decode(what: &str, text: &EncodedHistogram) -> Result<Distribution, String> {
    let histogram = text.decode().map_err(|error| format!("the {what} histogram cannot be read: {error}"))?;
    Ok(Distribution::from_histogram(&histogram))
}
