//! Statistics: pure functions, no I/O.
//!
//! Percentiles are never averaged: histograms are merged, and the uncertainty of a merged percentile comes from a
//! bootstrap over the trials that were merged.

mod bootstrap;
mod break_even;
mod covariate;
mod crossing;
mod distribution;
mod point;
mod power;
mod shift;
mod student;
mod verdict;

pub use bootstrap::{Grouping, Interval, Resampler};
pub use break_even::{BreakEven, break_even};
pub use covariate::without_covariate;
pub use crossing::{Crossing, CrossingInterval, Crossings, Spacing, crossings, interpolate, sign_changes};
pub use distribution::{Distribution, PERCENTILE_TAIL, Pool, middle_mean};
pub use point::{
    detectable_change, kolmogorov_bound, kolmogorov_distance_between, kolmogorov_distance_from_uniform, median,
    ratio_of_pairs, weighted_median,
};
pub use power::{COMPARISONS_DRAWN, Design};
pub use shift::{Shift, detectable_by_two_looks, hodges_lehmann, holm, two_looks};
pub use student::{student_quantile, student_two_sided};
pub use verdict::{Evidence, POWER, Verdict};
pub(crate) use verdict::{STARTS_MIN, STARTS_TO_CONFIRM_MIN};
