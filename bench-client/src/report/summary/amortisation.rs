//! From how many requests per connection on a client certificate, which costs a longer handshake, is cheaper than a
//! credential that each request presents. Both sides pay their own handshakes, at the same number of requests.

use serde::{Deserialize, Serialize};

use super::cost::{cpu_of, pooled};
use super::handshake::handshakes;
use super::trials::Trials;
use crate::plan::{MeasurementKind, Plan, SessionKind, Variant};
use crate::stats::{BreakEven, Resampler, break_even};

/// One comparison of server CPU per request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Amortisation {
    /// The variant whose connections present the credential.
    pub variant: String,
    /// How its connections begin.
    pub session: SessionKind,
    /// The variant whose requests present theirs.
    pub against: String,
    /// How that one's connections begin.
    pub against_session: SessionKind,
    /// Fewest requests per connection that both were measured with.
    pub from: u32,
    /// Most.
    pub to: u32,
    /// From where on `variant` is cheaper.
    pub break_even: BreakEven,
    /// Ends of the 95 % interval; absent with fewer than two rounds of both.
    pub interval: Option<(BreakEven, BreakEven)>,
}

/// A crossing as a number, so that replicates can be sorted; and back.
const BEFORE: f64 = 0.0;
const BEYOND: f64 = f64::MAX;

fn number(found: BreakEven) -> f64 {
    match found {
        BreakEven::Before => BEFORE,
        BreakEven::At(size) => size,
        BreakEven::Beyond => BEYOND,
    }
}

fn crossing(number: f64) -> BreakEven {
    if number <= BEFORE {
        BreakEven::Before
    } else if number >= BEYOND {
        BreakEven::Beyond
    } else {
        BreakEven::At(number)
    }
}

/// Every variant with client certificates against every one whose requests carry a credential, with each kind of
/// session that both were measured with at two numbers of requests or more.
pub(super) fn summarise<'a>(plan: &'a Plan, trials: &Trials<'a>) -> Vec<Amortisation> {
    let is = |variant: &&'a Variant, methods: &[&str]| methods.contains(&variant.method.name());
    let own = plan.variants.iter().filter(|variant| is(variant, &["mtls"]));
    let others = || plan.variants.iter().filter(|variant| is(variant, &["api-key", "oauth2", "jwt", "basic"]));
    let sessions = [SessionKind::Full, SessionKind::Resumed];
    own.flat_map(|own| others().map(move |other| (own, other)))
        .flat_map(|pair| sessions.map(|own| (pair, own)))
        .flat_map(|(pair, own)| sessions.map(|other| (pair, own, other)))
        .filter_map(|((own, other), own_session, other_session)| {
            let sides = [curve(plan, &own.name, own_session), curve(plan, &other.name, other_session)];
            compare(plan, trials, sides)
        })
        .collect()
}

/// A variant's handshake measurements with one kind of session.
struct Curve<'a> {
    variant: &'a str,
    session: SessionKind,
    /// Requests per connection and the measurement, by rising number.
    points: Vec<(u32, &'a str)>,
}

fn curve<'a>(plan: &'a Plan, variant: &'a str, session: SessionKind) -> Curve<'a> {
    let mut points: Vec<(u32, &str)> = plan
        .measurements
        .iter()
        .filter_map(|measurement| match &measurement.kind {
            MeasurementKind::Handshake(settings) if settings.session == session => {
                Some((settings.requests_per_connection, measurement.name.as_str()))
            }
            _ => None,
        })
        .filter(|(_, name)| plan.cases.iter().any(|case| case.variant == variant && case.measurement == *name))
        .collect();
    points.sort_unstable();
    // A second measurement of the same number adds nothing to the curve.
    points.dedup_by_key(|(requests, _)| *requests);
    Curve { variant, session, points }
}

/// Processor time and answered requests of a trial.
type Part = (f64, f64);

fn compare<'a>(plan: &'a Plan, trials: &Trials<'a>, [own, other]: [Curve<'a>; 2]) -> Option<Amortisation> {
    let parts = |variant: &'a str, measurement: &'a str| -> Vec<((u32, u32), Part)> {
        handshakes(trials, variant, measurement)
            .filter_map(|(load, _)| Some(((load.start, load.round), cpu_of(load)?)))
            .collect()
    };
    let sizes = own.points.iter().filter_map(|(requests, name)| {
        let (_, against) = other.points.iter().find(|(of_other, _)| of_other == requests)?;
        Some((*requests, parts(own.variant, name), parts(other.variant, against)))
    });
    let sizes: Vec<_> = sizes.filter(|(_, own, other)| !own.is_empty() && !other.is_empty()).collect();
    let (from, to) = (sizes.first()?.0, sizes.last()?.0);
    if from == to {
        return None;
    }
    // Rounds that have everything: one drawing weighs all points of both curves, and what disturbed a round cancels.
    let everywhere = |round: &(u32, u32)| {
        sizes.iter().all(|(_, own, other)| [own, other].iter().all(|parts| parts.iter().any(|(at, _)| at == round)))
    };
    let rounds: Vec<(u32, u32)> = sizes[0].1.iter().map(|(round, _)| *round).filter(everywhere).collect();
    let aligned = |parts: &[((u32, u32), Part)]| -> Vec<Part> {
        rounds.iter().filter_map(|round| parts.iter().find(|(at, _)| at == round).map(|(_, part)| *part)).collect()
    };
    let sizes: Vec<(f64, Vec<Part>, Vec<Part>)> =
        sizes.iter().map(|(requests, own, other)| (f64::from(*requests), aligned(own), aligned(other))).collect();
    let at = |weights: &[u32]| -> Option<BreakEven> {
        let points: Option<Vec<_>> = sizes
            .iter()
            .map(|(size, own, other)| Some((*size, pooled(own, weights)?, pooled(other, weights)?)))
            .collect();
        break_even(&points?)
    };
    let starts: Vec<u32> = rounds.iter().map(|(start, _)| *start).collect();
    let interval =
        Resampler::new(&starts, plan.seed).and_then(|draws| draws.interval(|weights| at(weights).map(number)));
    Some(Amortisation {
        variant: own.variant.to_owned(),
        session: own.session,
        against: other.variant.to_owned(),
        against_session: other.session,
        from,
        to,
        break_even: at(&vec![1; rounds.len()])?,
        interval: interval.map(|interval| (crossing(interval.low), crossing(interval.high))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_survive_being_sorted_as_numbers() {
        for found in [BreakEven::Before, BreakEven::At(3.5), BreakEven::Beyond] {
            assert_eq!(crossing(number(found)), found);
        }
        assert!(number(BreakEven::Beyond).is_finite(), "replicates that are not finite are left out of an interval");
    }
}
