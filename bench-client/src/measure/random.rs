//! Every random choice follows from the plan's seed and from what is chosen: the same plan is carried out the same way,
//! and a resumed run makes the choices that the interrupted one would have made.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt as _, SeedableRng};

/// What a random choice is for; keeps the choices of one plan independent of each other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Order of the cases in a pass.
    Order,
    /// Which credentials of a pool are used often.
    Pool,
    /// Schedule and credentials of a session's requests.
    Session,
    /// When a credential is revoked.
    Phase,
    /// Order of the cases in a turn of the capacity search.
    CapacityOrder,
}

/// A seed for one choice, from the plan's seed and the numbers that name the choice.
pub(super) fn derived_seed(seed: u64, purpose: Purpose, place: &[u64]) -> u64 {
    place.iter().fold(mix(seed ^ mix(purpose as u64)), |state, number| mix(state ^ mix(*number)))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014) behind its increment: neighbouring numbers get unrelated
/// seeds.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The numbers below `count` in an order that the seed decides.
pub(super) fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order
}

/// A duration, uniform below `end`; zero if that is zero.
pub(super) fn duration_below(end: Duration, seed: u64) -> Duration {
    end.mul_f64(ChaCha8Rng::seed_from_u64(seed).random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_and_the_place_decide() {
        let seed = |purpose, place: &[u64]| derived_seed(42, purpose, place);
        assert_eq!(seed(Purpose::Order, &[1, 2]), seed(Purpose::Order, &[1, 2]));
        let all = [
            seed(Purpose::Order, &[1, 2]),
            seed(Purpose::Order, &[2, 1]),
            seed(Purpose::Order, &[1]),
            seed(Purpose::Order, &[1, 2, 0]),
            seed(Purpose::Phase, &[1, 2]),
            derived_seed(43, Purpose::Order, &[1, 2]),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:?}");
    }

    #[test]
    fn an_order_is_a_permutation_that_repeats_with_its_seed() {
        let order = shuffled(15, 7);
        assert_eq!(order, shuffled(15, 7));
        assert_ne!(order, shuffled(15, 8));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..15).collect::<Vec<_>>());
        assert_eq!(shuffled(0, 7), Vec::<usize>::new());
    }

    #[test]
    fn every_case_comes_first_about_equally_often() {
        let mut first = [0; 5];
        for pass in 0..5000 {
            first[shuffled(5, derived_seed(1, Purpose::Order, &[0, pass]))[0]] += 1;
        }
        // 1000 expected, standard deviation 28; the seeds are fixed.
        assert!(first.iter().all(|n| (880..1120).contains(n)), "{first:?}");
    }

    #[test]
    fn phases_fill_their_span() {
        let span = Duration::from_secs(3);
        let phases: Vec<Duration> = (0..200).map(|seed| duration_below(span, seed)).collect();
        assert!(phases.iter().all(|phase| *phase < span));
        assert!(phases.iter().any(|phase| *phase < span / 10) && phases.iter().any(|phase| *phase > span * 9 / 10));
        assert_eq!(duration_below(Duration::ZERO, 1), Duration::ZERO);
    }
}
