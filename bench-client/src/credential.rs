//! Credentials in use: which one a request presents. Use of a pool follows Zipf's law, as real callers do: few are busy,
//! many are rare, and a cache in the server meets both.

mod spoiled;

use bench_server::contract::Issued;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_distr::Distribution;
use rand_distr::weighted::WeightedAliasIndex;
pub(crate) use spoiled::spoil;

/// Issued credentials with their Zipf-distributed use.
pub struct Pool {
    issued: Vec<Issued>,
    /// Draws a credential in constant time, without computing a power for each (the alias method: Walker 1977, Vose
    /// 1991).
    uses: WeightedAliasIndex<f64>,
}

impl Pool {
    /// A pool whose use follows Zipf's law with the given exponent (0 is uniform) over a seeded random ranking.
    ///
    /// # Panics
    /// When `issued` is empty or has more than 2³² entries, or the exponent is negative or not a number.
    pub fn new(issued: Vec<Issued>, zipf_exponent: f64, seed: u64) -> Self {
        assert!(!issued.is_empty(), "a pool needs at least one credential");
        let count = u32::try_from(issued.len()).expect("a pool holds fewer than 2^32 credentials");
        let weights = ranks(count, seed).into_iter().map(|rank| f64::from(rank).powf(-zipf_exponent)).collect();
        let uses =
            WeightedAliasIndex::new(weights).expect("the plan's exponent is 0 or more, so weights are 1 or less");
        Self { issued, uses }
    }

    /// The credentials.
    pub fn issued(&self) -> &[Issued] {
        &self.issued
    }

    /// The index of the credential that the next request presents. Allocates nothing.
    pub fn pick(&self, rng: &mut impl Rng) -> usize {
        self.uses.sample(rng)
    }
}

/// The rank of use of each credential, from 1. Random, so that use does not follow the order of issuing, which is also
/// the order of keys in the server's store.
fn ranks(count: u32, seed: u64) -> Vec<u32> {
    let mut ranks: Vec<u32> = (1..=count).collect();
    ranks.shuffle(&mut rng(seed, 0));
    ranks
}

/// The generator of every random choice of the load engine. ChaCha8 is specified, so a seed means the same choices in
/// every version and on every machine; `stream` tells apart what is drawn from one seed.
pub(crate) fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

#[cfg(test)]
mod tests {
    use bench_server::contract::Material;

    use super::*;

    fn pool(count: usize, exponent: f64, seed: u64) -> Pool {
        let issued = (0..count)
            .map(|i| Issued { id: i.to_string(), principal: format!("app-{i}"), material: Material::None })
            .collect();
        Pool::new(issued, exponent, seed)
    }

    fn uses(pool: &Pool, draws: usize) -> Vec<usize> {
        let mut rng = rng(7, 1);
        let mut uses = vec![0; pool.issued().len()];
        for _ in 0..draws {
            uses[pool.pick(&mut rng)] += 1;
        }
        uses
    }

    #[test]
    fn frequencies_follow_the_law() {
        let draws = 200_000;
        for exponent in [0.0, 0.5, 1.0, 1.5] {
            let pool = pool(100, exponent, 3);
            let uses = uses(&pool, draws);
            let norm: f64 = (1..=100).map(|rank| f64::from(rank).powf(-exponent)).sum();
            let mut chi_squared = 0.0;
            for (seen, rank) in uses.into_iter().zip(ranks(100, 3)) {
                let expected = draws as f64 * f64::from(rank).powf(-exponent) / norm;
                chi_squared += (seen as f64 - expected).powi(2) / expected;
            }
            // 99 degrees of freedom: mean 99, standard deviation 14. The seed is fixed, so this never flickers.
            assert!((50.0..150.0).contains(&chi_squared), "exponent {exponent}: chi squared {chi_squared}");
        }
    }

    #[test]
    fn the_seed_decides_ranking_and_picks() {
        assert_ne!(ranks(1000, 5), ranks(1000, 6));
        assert_ne!(uses(&pool(1000, 1.0, 5), 500), uses(&pool(1000, 1.0, 6), 500));
        assert_eq!(uses(&pool(1000, 1.0, 5), 500), uses(&pool(1000, 1.0, 5), 500));
    }

    #[test]
    fn streams_of_one_seed_differ() {
        assert_ne!(rng(1, 0).next_u64(), rng(1, 1).next_u64());
        assert_eq!(rng(1, 1).next_u64(), rng(1, 1).next_u64());
    }

    #[test]
    fn a_pool_of_one_and_of_a_million_work() {
        assert_eq!(uses(&pool(1, 1.0, 0), 100), [100]);
        let pool = pool(1_000_000, 1.0, 0);
        let mut rng = rng(0, 1);
        let most = (0..1000).map(|_| pool.pick(&mut rng)).max();
        assert!(most < Some(1_000_000));
    }

    #[test]
    #[should_panic(expected = "at least one credential")]
    fn an_empty_pool_is_refused() {
        pool(0, 1.0, 0);
    }
}
