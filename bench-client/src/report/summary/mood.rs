//! The moods of a machine: rounds in which everything costs more. They move a variant's processor time by ten per cent and
//! more, and not all variants' alike, since some spend theirs in the kernel and others on signatures. So a case's rounds
//! are set beside what the *other* cases of the measurement cost in the same rounds, and what a line explains is taken out.

use std::collections::BTreeMap;

use super::cost::cpu_of;
use super::trials::{Load, Trials};
use crate::stats::{median, without_covariate};

/// Where a trial stands in a run: start and round.
pub(super) type Place = (u32, u32);

/// The rounds of each case under load, by measurement and variant.
pub(crate) struct Moods<'a> {
    of: BTreeMap<&'a str, BTreeMap<&'a str, Rounds>>,
}

/// Logarithms of a case's processor time per request.
struct Rounds {
    levels: BTreeMap<Place, f64>,
    mean: f64,
}

impl<'a> Moods<'a> {
    pub(crate) fn new(trials: &Trials<'a>) -> Self {
        let mut of: BTreeMap<&str, BTreeMap<&str, Rounds>> = BTreeMap::new();
        for (variant, measurement, loads) in trials.all_loads() {
            let level = |load: &Load<'_>| Some(((load.start, load.round), level(load)?));
            // Where one round is not accounted, none of the case's is looked at.
            let Some(levels) = loads.iter().map(level).collect::<Option<BTreeMap<Place, f64>>>() else { continue };
            let mean = levels.values().sum::<f64>() / levels.len() as f64;
            of.entry(measurement).or_default().insert(variant, Rounds { levels, mean });
        }
        Self { of }
    }

    /// By how much each round of a case lies above its mean once the moods are taken out that the measurement's other cases
    /// saw, as logarithms. `None` where the platform does not account processor time.
    pub(super) fn steadied(&self, variant: &str, measurement: &str) -> Option<BTreeMap<Place, f64>> {
        let cases = self.of.get(measurement)?;
        let own = cases.get(variant)?;
        let seen_by_others = |place: &Place| {
            let others = cases.iter().filter(|(other, _)| **other != variant).map(|(_, rounds)| rounds);
            let deviations = others.filter_map(|rounds| Some(rounds.levels.get(place)? - rounds.mean));
            median(&deviations.collect::<Vec<f64>>())
        };
        let levels: Vec<f64> = own.levels.values().map(|level| level - own.mean).collect();
        let starts: Vec<u32> = own.levels.keys().map(|(start, _)| *start).collect();
        // Where a round has no other case, nobody saw its mood.
        let moods = own.levels.keys().map(seen_by_others).collect::<Option<Vec<f64>>>();
        let steadied = moods.map_or_else(|| levels.clone(), |moods| without_covariate(&levels, &moods, &starts));
        Some(own.levels.keys().copied().zip(steadied).collect())
    }
}

/// Logarithm of a trial's processor time per request.
fn level(load: &Load<'_>) -> Option<f64> {
    let (cpu_ns, answered) = cpu_of(load)?;
    (cpu_ns > 0.0 && answered > 0.0).then(|| (cpu_ns / answered).ln())
}
