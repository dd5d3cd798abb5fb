//! Clock and timer: where time comes from, what a look at it costs, and how late a sleeper wakes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::{Finding, system_file};
use crate::record::new_histogram;

/// Clock sources that are read without a system call and keep nanoseconds (`kvm-clock` and `hyperv_clocksource_tsc_page`
/// by a page that the host keeps).
const FAST_SOURCES: &[&str] =
    &["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource"];

/// Cost of a reading beyond which the client's own readings (two or three per request) show in its figures.
const COST_WARNING_NS: f64 = 100.0;

/// Readings between two looks at the clock that ends the measurement.
const READINGS: u32 = 1_000;

/// What is slept, as in the shortest waits of a schedule.
const SLEEP: Duration = Duration::from_micros(100);

/// The load client polls from 1.5 ms before an intended time on; a timer later than that would make requests late.
const OVERSHOOT_WARNING: Duration = Duration::from_micros(1_500);

pub(super) fn look(length: Duration) -> Vec<Finding> {
    let source = system_file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let (p50, p99) = overshoot(length);
    vec![clock(source.as_deref(), reading_cost_ns(length)), timer(p50, p99)]
}

/// Mean cost of reading the clock.
fn reading_cost_ns(length: Duration) -> f64 {
    let (start, mut readings) = (Instant::now(), 0_u64);
    loop {
        for _ in 0..READINGS {
            black_box(Instant::now());
        }
        readings += u64::from(READINGS);
        let elapsed = start.elapsed();
        if elapsed >= length {
            return elapsed.as_nanos() as f64 / readings as f64;
        }
    }
}

fn clock(source: Option<&str>, cost_ns: f64) -> Finding {
    const NAME: &str = "clock";
    let name = source.unwrap_or("source not told");
    let found = format!("{name}, {cost_ns:.0} ns per reading");
    let finding = match source {
        Some(source) if !FAST_SOURCES.contains(&source) => Finding::warning(
            NAME,
            found,
            "this source needs a system call for each reading: boot with clocksource=tsc if the processor's is stable",
        ),
        _ if cost_ns > COST_WARNING_NS => {
            Finding::warning(NAME, found, "reading the clock is slow here: the client's share of small latencies grows")
        }
        _ => Finding::ok(NAME, found),
    };
    finding.figure("source", source).figure("reading_ns", cost_ns)
}

/// Median and 99th percentile of how late short sleeps end.
fn overshoot(length: Duration) -> (Duration, Duration) {
    let mut late = new_histogram();
    let start = Instant::now();
    while late.is_empty() || start.elapsed() < length {
        let begun = Instant::now();
        std::thread::sleep(SLEEP);
        late.saturating_record(begun.elapsed().saturating_sub(SLEEP).as_nanos() as u64);
    }
    let at = |quantile| Duration::from_nanos(late.value_at_quantile(quantile));
    (at(0.5), at(0.99))
}

fn timer(p50: Duration, p99: Duration) -> Finding {
    const NAME: &str = "timer";
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let found = format!(
        "a sleep of {} µs ends {:.0} µs late (p50), {:.0} µs (p99)",
        SLEEP.as_micros(),
        micros(p50),
        micros(p99)
    );
    let finding = if p99 > OVERSHOOT_WARNING {
        Finding::warning(
            NAME,
            found,
            "open loops will send late now and then, and say so: stop what else runs, or use a host with a steadier timer",
        )
    } else {
        Finding::ok(NAME, found)
    };
    finding.figure("overshoot_us_p50", micros(p50)).figure("overshoot_us_p99", micros(p99))
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_source_that_needs_a_system_call_is_a_warning() {
        assert_eq!(clock(Some("tsc"), 25.0).grade, Grade::Ok);
        assert_eq!(clock(None, 25.0).grade, Grade::Ok);
        assert_eq!(clock(Some("hpet"), 25.0).grade, Grade::Warning);
        assert_eq!(clock(Some("tsc"), 600.0).grade, Grade::Warning);
    }

    #[test]
    fn a_timer_later_than_the_client_polls_is_a_warning() {
        let us = Duration::from_micros;
        assert_eq!(timer(us(60), us(1_500)).grade, Grade::Ok);
        assert_eq!(timer(us(60), us(1_501)).grade, Grade::Warning);
        assert_eq!(timer(us(60), us(70)).figures["overshoot_us_p50"], 60.0);
    }

    #[test]
    fn measuring_gives_figures_however_short_it_is() {
        assert!(reading_cost_ns(Duration::ZERO) > 0.0);
        let (p50, p99) = overshoot(Duration::ZERO);
        assert!(p50 <= p99);
    }
}
