//! Extra work behind each validation, on purpose: a regression of known size, to try whether a gate notices it.
//!
//! The work is a chain of multiplications of known length, not a loop around the clock: the clock has a grain of tens of
//! nanoseconds, several per cent of a cheap validation, and reading it would be work that nobody asked for.

use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config::SlowDown;

/// What a route adds to its validations.
pub(super) struct Extra {
    asked: SlowDown,
    /// Bits of an `f64`: time of the last validation without what was added to it, in nanoseconds.
    last_ns: AtomicU64,
    /// Bits of an `f64`: the part of a step that is owed.
    owed: AtomicU64,
}

impl Extra {
    pub(super) fn new(asked: SlowDown) -> Self {
        step_ns(); // now, rather than within the first validation
        Self { asked, last_ns: AtomicU64::default(), owed: AtomicU64::default() }
    }

    /// Does the work. A share is one of the validation before, since what this one takes is known only when the time has
    /// been read, and reading it twice would cost more than the work.
    pub(super) fn work(&self) {
        let due = self.due_ns() / step_ns() + load(&self.owed);
        let steps = due.floor();
        // Two threads may lose each other's fraction of a step; ordering them would cost more than it is worth.
        store(&self.owed, due - steps);
        black_box(chain(black_box(steps as u64)));
    }

    /// A validation took so long, the work included.
    pub(super) fn took(&self, time: Duration) {
        let time_ns = time.as_nanos() as f64;
        let own_ns = match self.asked {
            SlowDown::Share(share) => time_ns / (1.0 + share),
            SlowDown::Time(_) => time_ns,
        };
        store(&self.last_ns, own_ns);
    }

    fn due_ns(&self) -> f64 {
        match self.asked {
            SlowDown::Share(share) => share * load(&self.last_ns),
            SlowDown::Time(time) => time.as_nanos() as f64,
        }
    }
}

fn load(bits: &AtomicU64) -> f64 {
    f64::from_bits(bits.load(Ordering::Relaxed))
}

fn store(bits: &AtomicU64, value: f64) {
    bits.store(value.to_bits(), Ordering::Relaxed);
}

/// Steps that each wait for the one before; nothing shorter gives the same number.
fn chain(steps: u64) -> u64 {
    (0..steps).fold(steps | 1, |x, _| (x ^ (x >> 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Time of a step of [`chain`] in nanoseconds: the shortest of several tries, for nothing makes it shorter than it is.
fn step_ns() -> f64 {
    static STEP_NS: OnceLock<f64> = OnceLock::new();
    const STEPS: u64 = 20_000;
    *STEP_NS.get_or_init(|| {
        let tries = (0..50).map(|_| {
            let begun = Instant::now();
            black_box(chain(black_box(STEPS)));
            begun.elapsed()
        });
        let shortest = tries.min().unwrap_or_default().max(Duration::from_nanos(1));
        shortest.as_nanos() as f64 / STEPS as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps that are done over `validations` of that length.
    fn steps(extra: &Extra, validation: Duration, validations: u32) -> f64 {
        (0..validations)
            .map(|_| {
                let due = extra.due_ns() / step_ns() + load(&extra.owed);
                extra.work();
                let added = Duration::from_nanos((due.floor() * step_ns()).round() as u64);
                let added = if matches!(extra.asked, SlowDown::Share(_)) { added } else { Duration::ZERO };
                extra.took(validation + added);
                due.floor()
            })
            .sum()
    }

    #[test]
    fn a_share_comes_to_that_share_however_small() {
        for share in [0.01, 0.2] {
            let extra = Extra::new(SlowDown::Share(share));
            let done_ns = steps(&extra, Duration::from_nanos(300), 20_000) * step_ns();
            let asked_ns = share * 300.0 * 20_000.0;
            assert!((done_ns / asked_ns - 1.0).abs() < 0.05, "{done_ns} of {asked_ns}");
        }
    }

    #[test]
    fn a_time_is_added_whatever_validation_takes() {
        let extra = Extra::new(SlowDown::Time(Duration::from_nanos(140)));
        let done_ns = steps(&extra, Duration::from_millis(3), 1_000) * step_ns();
        assert!((done_ns / 140_000.0 - 1.0).abs() < 0.01, "{done_ns}");
    }

    #[test]
    fn longer_chains_are_other_numbers() {
        assert_ne!(chain(10), chain(11));
        assert!(step_ns() > 0.1, "{} ns: was the chain optimised away?", step_ns());
    }
}
