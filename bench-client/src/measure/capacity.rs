//! The highest rate at which a variant keeps an objective: a search by short trials, several per rate, that ends with a
//! lower and an upper bound (the idea of RFC 9971, with requests beyond the objective in the place of lost packets).
//!
//! The searches of all cases advance in turns, a trial each, so that drift hits all of them alike.

use std::time::Duration;

use super::load::{Load, Offered};
use super::pace::Pace;
use super::random::{Purpose, derived_seed, shuffled};
use super::rules;
use super::start::Server;
use super::{MeasureError, check_alive};
use crate::load::Tally;
use crate::plan::{ArrivalModel, Objective, Rate};
use crate::record::{Capacity, CapacityTrial};

/// Trials that decide about a rate, unless fewer settle the majority.
const TRIALS_PER_RATE: u32 = 5;

/// Where the search begins, as a share of the saturation throughput: most objectives are kept up to there or nearly.
const FIRST_SHARE: f64 = 0.8;

/// Trials after which a search ends with the bounds that it has.
const TRIALS_MAX: usize = 100;

/// The client's own lateness, in the tail, that a trial may have as a share of the objective's latency. With more, it is
/// the client that misses the objective.
const LATE_SHARE_MAX: f64 = 0.1;

/// A case whose capacity is searched.
pub(super) struct Searched {
    /// Index of its server.
    pub(super) server: usize,
    /// Requests per second at saturation.
    pub(super) saturation_per_s: f64,
}

/// Searches the capacity of every case; `place` names the choices of this search among those of the plan.
pub(super) async fn search(
    load: &Load,
    objective: &Objective,
    cases: &[Searched],
    seed: u64,
    place: [u64; 2],
    servers: &mut [Server<'_>],
    pace: &mut Pace<'_>,
) -> Result<Vec<Capacity>, MeasureError> {
    let mut searches: Vec<Search> =
        cases.iter().map(|case| Search::new(objective, case.saturation_per_s * FIRST_SHARE)).collect();
    for turn in 0.. {
        let order = derived_seed(seed, Purpose::CapacityOrder, &[place[0], place[1], turn]);
        let mut searching = false;
        for index in shuffled(cases.len(), order) {
            let Some(rate_per_s) = searches[index].next_rate() else { continue };
            searching = true;
            pace.check()?;
            let session = servers[cases[index].server].session.as_mut().expect("a case under load has a session");
            let offered = Offered::new(ArrivalModel::Poisson, &Rate::Steady(rate_per_s), objective.trial);
            let mut tally = Tally::of(servers[cases[index].server].variant.presents.wanted());
            load.drive(session, Some(&offered), Duration::ZERO, objective.trial, &mut tally).await;
            searches[index].note(judge(objective, rate_per_s, &tally));
            pace.spent(objective.trial);
        }
        check_alive(servers)?;
        if !searching {
            break;
        }
    }
    Ok(searches.into_iter().map(Search::finish).collect())
}

fn judge(objective: &Objective, rate_per_s: f64, tally: &Tally) -> CapacityTrial {
    let limit = objective.latency.as_nanos() as u64;
    let within = tally.latency.count_between(0, limit);
    let due = tally.outcomes.total() + tally.dropped;
    let missed = due - within.min(due);
    let late = rules::tail(&tally.lateness) > objective.latency.mul_f64(LATE_SHARE_MAX);
    let kept = !late && missed as f64 <= (1.0 - objective.quantile) * due as f64;
    CapacityTrial { rate_per_s, due, missed, client_late: late, kept }
}

/// One search. Pure: it is told what came of each rate that it asks for.
struct Search {
    width: f64,
    rate_per_s: f64,
    /// Least rate worth a trial: below, a trial has no request.
    least_per_s: f64,
    /// By how much the next rate is farther out while one bound is unknown.
    stride: f64,
    kept: u32,
    missed: u32,
    result: Capacity,
    over: bool,
}

impl Search {
    fn new(objective: &Objective, first_per_s: f64) -> Self {
        let least_per_s = 1.0 / objective.trial.as_secs_f64();
        Self {
            width: objective.width,
            rate_per_s: first_per_s.max(least_per_s),
            least_per_s,
            stride: 1.0 + 2.0 * objective.width,
            kept: 0,
            missed: 0,
            result: Capacity { lower_per_s: None, upper_per_s: None, trials: Vec::new() },
            over: false,
        }
    }

    /// The rate to try, until the bounds are close enough.
    fn next_rate(&self) -> Option<f64> {
        (!self.over).then_some(self.rate_per_s)
    }

    fn note(&mut self, trial: CapacityTrial) {
        if trial.kept {
            self.kept += 1;
        } else {
            self.missed += 1;
        }
        self.result.trials.push(trial);
        // What the other trials of this rate would come to cannot change the majority any more.
        if self.kept.max(self.missed) > TRIALS_PER_RATE / 2 {
            let bound =
                if self.kept > self.missed { &mut self.result.lower_per_s } else { &mut self.result.upper_per_s };
            *bound = Some(self.rate_per_s);
            (self.kept, self.missed) = (0, 0);
            self.go_on();
        }
        self.over |= self.result.trials.len() >= TRIALS_MAX;
    }

    fn go_on(&mut self) {
        let next = match (self.result.lower_per_s, self.result.upper_per_s) {
            (Some(lower), Some(upper)) if upper <= lower * (1.0 + self.width) => None,
            (Some(lower), Some(upper)) => Some((lower * upper).sqrt()),
            (Some(lower), None) => Some(lower * self.stride),
            (None, Some(upper)) => (upper > self.least_per_s).then(|| (upper / self.stride).max(self.least_per_s)),
            (None, None) => Some(self.rate_per_s),
        };
        self.stride *= self.stride;
        match next {
            Some(rate_per_s) => self.rate_per_s = rate_per_s,
            None => self.over = true,
        }
    }

    fn finish(self) -> Capacity {
        self.result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Outcome, RejectReason};

    const OBJECTIVE: Objective = Objective {
        quantile: 0.99,
        latency: Duration::from_millis(10),
        trial: Duration::from_millis(200),
        width: 0.05,
    };

    /// Searches a variant that keeps the objective where `keeps` says so; the argument counts its calls, too.
    fn search(first_per_s: f64, mut keeps: impl FnMut(f64, usize) -> bool) -> Capacity {
        let mut search = Search::new(&OBJECTIVE, first_per_s);
        while let Some(rate_per_s) = search.next_rate() {
            let kept = keeps(rate_per_s, search.result.trials.len());
            search.note(CapacityTrial { rate_per_s, due: 1, missed: u64::from(!kept), client_late: false, kept });
        }
        search.finish()
    }

    #[test]
    fn the_bounds_enclose_the_capacity_and_are_as_close_as_asked() {
        for first in [10.0, 900.0, 1000.0, 40_000.0] {
            let found = search(first, |rate, _| rate <= 1000.0);
            let (lower, upper) = found.lower_per_s.zip(found.upper_per_s).unwrap();
            assert!(lower <= 1000.0 && upper > 1000.0, "{lower} to {upper}");
            assert!(upper / lower <= 1.05 + 1e-9, "{lower} to {upper}");
            assert!(found.trials.len() <= 60, "{} trials from {first}", found.trials.len());
        }
    }

    #[test]
    fn one_bad_trial_in_five_decides_nothing() {
        let found = search(900.0, |rate, call| rate <= 1000.0 && call % 5 != 2);
        assert!((950.0..=1000.0).contains(&found.lower_per_s.unwrap()), "{:?}", found.lower_per_s);
    }

    #[test]
    fn what_keeps_the_objective_at_no_rate_has_no_lower_bound() {
        let found = search(900.0, |_, _| false);
        assert_eq!(found.lower_per_s, None);
        assert!((found.upper_per_s.unwrap() - 5.0).abs() < 1e-9, "one request in 200 ms: {:?}", found.upper_per_s);
    }

    #[test]
    fn a_search_ends_even_where_nothing_is_ever_missed() {
        let found = search(900.0, |_, _| true);
        assert_eq!((found.upper_per_s, found.trials.len()), (None, TRIALS_MAX));
    }

    #[test]
    fn requests_beyond_the_objective_are_missed_as_are_those_refused_and_never_sent() {
        let now = std::time::Instant::now();
        let tally = |slow: u64| {
            let mut tally = Tally::new();
            for i in 0..200 {
                let took = Duration::from_millis(if i < slow { 11 } else { 9 });
                tally.scheduled(now, now, now, now + took, Outcome::Accepted);
            }
            tally
        };
        let verdict = |tally: &Tally| {
            let trial = judge(&OBJECTIVE, 1000.0, tally);
            (trial.due, trial.missed, trial.kept)
        };
        assert_eq!(verdict(&tally(2)), (200, 2, true));
        assert_eq!(verdict(&tally(3)), (200, 3, false));
        let mut refused = tally(1);
        refused.scheduled(now, now, now, now, Outcome::Rejected(RejectReason::Unavailable));
        refused.dropped += 1;
        assert_eq!(verdict(&refused), (202, 3, false));
        assert_eq!(verdict(&Tally::new()), (0, 0, true));
    }

    #[test]
    fn a_client_that_was_late_kept_nothing() {
        let now = std::time::Instant::now();
        let mut tally = Tally::new();
        for _ in 0..100 {
            let sent = now + Duration::from_millis(2);
            tally.scheduled(now, now, sent, sent, Outcome::Accepted);
        }
        let trial = judge(&OBJECTIVE, 1000.0, &tally);
        assert_eq!((trial.missed, trial.client_late, trial.kept), (0, true, false));
    }
}
