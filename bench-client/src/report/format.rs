//! Figures as text: three significant digits, units chosen for reading, the same everywhere.

use bench_server::contract::SlowDown;

use super::summary::{Amortisation, Bracket};
use crate::cell::Estimate;
use crate::stats::BreakEven;

/// Between groups of three digits: a narrow space that does not break (SI brochure §5.4.4).
const GROUP: char = '\u{202f}';

/// Between a number and its unit: they stay on one line (SI brochure §5.4.3).
const UNIT: char = '\u{a0}';

/// A number with three significant digits, and all digits of its integer part: `0.0123`, `1.23`, `45.6`, `12 345`.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    // Rounding may carry into another digit: 9.996 is 10.0, not 10.00.
    let shift = 10_f64.powi(2 - magnitude);
    let carried = if (value.abs() * shift).round() >= 1000.0 { magnitude + 1 } else { magnitude };
    fixed(value, usize::try_from(2 - carried).unwrap_or(0).min(6))
}

/// A number with that many decimals and grouped thousands; a true minus sign.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, part)| (whole, Some(part)));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) && whole.len() > 4 {
            grouped.push(GROUP);
        }
        grouped.push(digit);
    }
    if let Some(fraction) = fraction {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if value < 0.0 && !is_zero { format!("\u{2212}{grouped}") } else { grouped }
}

/// Decimals that a value needs so that the last one still means something beside its uncertainty: two significant digits
/// of the half width, and never more than three significant digits of the value.
fn decimals(value: f64, half_width: f64) -> usize {
    let of = |number: f64, digits: i32| {
        if number == 0.0 { 0 } else { (digits - 1 - number.abs().log10().floor() as i32).max(0) }
    };
    let of_value = of(value, 3);
    let wanted = if half_width > 0.0 { of_value.min(of(half_width, 2)) } else { of_value };
    wanted.min(6) as usize
}

/// An estimate without its interval, in a unit of `scale`, with no more digits than it can carry.
pub(crate) fn estimate(estimate: &Estimate, scale: f64) -> String {
    let value = estimate.value / scale;
    match estimate.interval {
        Some(interval) => fixed(value, decimals(value, interval.half_width() / scale)),
        None => number(value),
    }
}

/// Half of the interval's width, in a unit of `scale`: `±0.42`.
pub(crate) fn plus_minus(estimate: &Estimate, scale: f64) -> Option<String> {
    let half_width = estimate.interval?.half_width() / scale;
    Some(format!("±{}", fixed(half_width, decimals(estimate.value / scale, half_width))))
}

/// The ends of the interval, in a unit of `scale`: `37.8 – 38.9`.
pub(crate) fn interval(estimate: &Estimate, scale: f64) -> Option<String> {
    let interval = estimate.interval?;
    let decimals = decimals(estimate.value / scale, interval.half_width() / scale);
    Some(format!("{} – {}", fixed(interval.low / scale, decimals), fixed(interval.high / scale, decimals)))
}

/// A time in the unit that reads best: `38.2 µs`, `1.20 s`.
pub(crate) fn duration(ns: f64) -> String {
    let (scale, unit) = match ns.abs() {
        0.0 => return format!("0{UNIT}s"),
        ns if ns < 999.5 => (1.0, "ns"),
        ns if ns < 999.5e3 => (1e3, "µs"),
        ns if ns < 999.5e6 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    let text = number(ns / scale);
    // "2 s" rather than "2.00 s": settings are whole numbers more often than not.
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{UNIT}{unit}")
}

/// A difference of times, with a true minus sign.
pub(crate) fn signed(ns: f64) -> String {
    if ns < 0.0 { format!("\u{2212}{}", duration(-ns)) } else { duration(ns) }
}

/// A bracket: `1.92 – 1.94 s`, `< 20 ms` when it was never accepted again, `> 12 s` when it never closed.
pub(crate) fn bracket(bracket: &Bracket) -> String {
    match bracket.high_ns {
        None => format!(">{UNIT}{}", duration(bracket.low_ns)),
        Some(high) if bracket.low_ns == 0.0 => format!("<{UNIT}{}", duration(high)),
        Some(high) => {
            let (low, high) = (duration(bracket.low_ns), duration(high));
            match (low.split_once(UNIT), high.split_once(UNIT)) {
                (Some((low, unit)), Some((high, same))) if unit == same => {
                    format!("{low}{UNIT}–{UNIT}{high}{UNIT}{unit}")
                }
                _ => format!("{low}{UNIT}– {high}"),
            }
        }
    }
}

/// Where a comparison breaks even, or an end of its interval: `37`, `≤ 1` when that is cheaper from the first number on,
/// `> 1000` when at none.
pub(crate) fn crossing(crossing: BreakEven, of: &Amortisation) -> String {
    match crossing {
        BreakEven::Before => format!("≤{UNIT}{}", of.from),
        BreakEven::At(requests) => number(requests),
        BreakEven::Beyond => format!(">{UNIT}{}", of.to),
    }
}

/// How many times as much, with no more digits than anybody needs: `1.74`, `41 000`.
pub(crate) fn times(ratio: f64) -> String {
    if ratio < 100.0 || !ratio.is_finite() {
        return number(ratio);
    }
    let unit = 10_f64.powf(ratio.log10().floor() - 1.0);
    fixed((ratio / unit).round() * unit, 0)
}

/// A slow-down as it is written.
pub(crate) fn slow_down(slow_down: SlowDown) -> String {
    match slow_down {
        SlowDown::Share(share) => format!("{}{UNIT}%", (share * 1e8).round() / 1e6),
        SlowDown::Time(time) => duration(time.as_nanos() as f64),
    }
}

/// A share as per cent: `1.2 %`.
pub(crate) fn percent(share: f64) -> String {
    let value = share * 100.0;
    let decimals = if value.abs() >= 9.95 {
        0
    } else if value.abs() >= 0.0995 {
        1
    } else {
        2
    };
    format!("{}{UNIT}%", fixed(value, decimals))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Interval;

    #[test]
    fn numbers_have_three_significant_digits() {
        let texts = [0.0, 0.012_34, 1.234, 9.996, 45.64, 999.7, 1234.5, -3.0].map(number);
        assert_eq!(texts, ["0", "0.0123", "1.23", "10.0", "45.6", "1000", "1234", "\u{2212}3.00"]);
        assert_eq!(number(123_456.0), "123\u{202f}456");
    }

    #[test]
    fn an_estimate_shows_no_digit_that_its_interval_drowns() {
        let wide = Estimate { value: 38.234, interval: Some(Interval { low: 20.0, high: 56.0 }) };
        assert_eq!(estimate(&wide, 1.0), "38");
        assert_eq!(interval(&wide, 1.0).expect("has one"), "20 – 56");
        let narrow = Estimate { value: 38.234, interval: Some(Interval { low: 38.1, high: 38.4 }) };
        assert_eq!(estimate(&narrow, 1.0), "38.2");
        assert_eq!(estimate(&Estimate { value: 38_234.0, interval: None }, 1000.0), "38.2");
    }

    fn spaced(text: String) -> String {
        text.replace(UNIT, " ")
    }

    fn spaced_bracket(it: Bracket) -> String {
        spaced(bracket(&it))
    }

    #[test]
    fn durations_choose_their_unit() {
        let texts = [0.0, 250.0, 38_200.0, 12_000_000.0, 2e9, 999_600.0].map(|ns| spaced(duration(ns)));
        assert_eq!(texts, ["0 s", "250 ns", "38.2 µs", "12 ms", "2 s", "1 ms"]);
    }

    #[test]
    fn brackets_say_what_is_not_known() {
        assert_eq!(spaced_bracket(Bracket { low_ns: 0.0, high_ns: Some(2e7) }), "< 20 ms");
        assert_eq!(spaced_bracket(Bracket { low_ns: 1.92e9, high_ns: Some(1.94e9) }), "1.92 – 1.94 s");
        assert_eq!(spaced_bracket(Bracket { low_ns: 9.9e8, high_ns: Some(1.01e9) }), "990 ms – 1.01 s");
        assert_eq!(spaced_bracket(Bracket { low_ns: 1.2e10, high_ns: None }), "> 12 s");
    }
}
