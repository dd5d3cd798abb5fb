//! What a single value may be. Each function answers the value, or what to write instead.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use bench_server::contract::SlowDown;

use super::document::{Item, Value};
use super::suggest;
use crate::plan::Price;

/// Any string.
pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err("write a string in quotes".to_owned()),
    }
}

/// `true` or `false`.
pub(super) fn flag(value: &Value) -> Result<bool, String> {
    match value {
        Value::Boolean(flag) => Ok(*flag),
        _ => Err("write true or false, without quotes".to_owned()),
    }
}

/// A name that may stand in a case's id, in a file's name and in a `--set` path.
pub(super) fn name(value: &Value) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    match value {
        Value::Text(text) if !text.is_empty() && text.len() <= 64 && text.chars().all(allowed) => Ok(text.clone()),
        _ => Err("write a string of 1 to 64 lower-case letters, digits, \"-\" and \"_\"".to_owned()),
    }
}

/// One of a fixed set of words.
pub(super) fn one_of<T: Copy>(words: &[(&str, T)]) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        let candidates = words.iter().map(|(word, _)| *word);
        match value {
            Value::Text(text) => words
                .iter()
                .find(|(word, _)| word == text)
                .map(|(_, meaning)| *meaning)
                .ok_or_else(|| suggest::remedy(text, candidates)),
            // `http = 1.1` lacks only its quotes.
            other => Err(suggest::remedy(&other.to_string(), candidates)),
        }
    }
}

/// A list of such words, each once.
pub(super) fn words<T: Copy>(words: &[(&str, T)]) -> impl Fn(&Value) -> Result<Vec<T>, String> {
    move |value| {
        let all = words.iter().map(|(word, _)| *word);
        let Value::List(items) = value else {
            return Err(format!("write a list of words: {}", suggest::remedy("", all)));
        };
        let mut seen: Vec<&Value> = Vec::new();
        items
            .iter()
            .map(|Item { value, .. }| {
                let twice = seen.iter().any(|earlier| earlier.to_string() == value.to_string());
                seen.push(value);
                if twice { Err(format!("it holds {value} twice; remove one")) } else { one_of(words)(value) }
            })
            .collect()
    }
}

/// A whole number within a range.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&Value) -> Result<T, String>
where
    T: TryFrom<i128> + PartialOrd + Display,
{
    move |value| match value {
        Value::Integer(number) => T::try_from(*number)
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("write a whole number from {} to {}", range.start(), range.end())),
        _ => Err(format!("write a whole number from {} to {}, without quotes", range.start(), range.end())),
    }
}

/// A number within a range; whole numbers count.
pub(super) fn number(range: RangeInclusive<f64>) -> impl Fn(&Value) -> Result<f64, String> {
    move |value| {
        let number = match value {
            Value::Integer(number) => *number as f64,
            Value::Float(number) => *number,
            _ => return Err(format!("write a number from {} to {}, without quotes", range.start(), range.end())),
        };
        if range.contains(&number) {
            Ok(number)
        } else {
            Err(format!("write a number from {} to {}", range.start(), range.end()))
        }
    }
}

/// A time like `"100ms"`, 0 included.
pub(super) fn duration(value: &Value) -> Result<Duration, String> {
    match value {
        Value::Text(text) => humantime::parse_duration(text)
            .map_err(|_| "write a time with its unit, like \"100ms\" or \"2s\"".to_owned()),
        _ => Err("write a time in quotes with its unit, like \"100ms\" or \"2s\"".to_owned()),
    }
}

/// A time within a range.
pub(super) fn duration_in(range: RangeInclusive<Duration>) -> impl Fn(&Value) -> Result<Duration, String> {
    move |value| {
        let time = duration(value)?;
        if range.contains(&time) {
            Ok(time)
        } else {
            Err(format!("write a time from \"{}\" to \"{}\"", show(*range.start()), show(*range.end())))
        }
    }
}

/// A time longer than nothing; a day at most, since nothing in a scenario takes longer.
pub(super) fn positive(value: &Value) -> Result<Duration, String> {
    duration_in(Duration::from_nanos(1)..=Duration::from_secs(86_400))(value).map_err(|remedy| {
        if duration(value).is_ok() { "write a time over 0, a day at most".to_owned() } else { remedy }
    })
}

/// The lifetime of a token: whole seconds, as `exp` counts them (RFC 7519 §2), within the policy maximum.
pub(super) fn token_lifetime(value: &Value) -> Result<Duration, String> {
    let time = duration(value)?;
    if time.subsec_nanos() == 0 && (Duration::from_secs(1)..=TOKEN_LIFETIME_MAX).contains(&time) {
        Ok(time)
    } else {
        Err(format!("a token lives for whole seconds: write \"1s\" to \"{}\"", show(TOKEN_LIFETIME_MAX)))
    }
}

/// Access tokens that are validated without asking anyone live no longer than this.
const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(15 * 60);

/// What an hour of a processor core costs.
pub(super) fn price(value: &Value) -> Result<Price, String> {
    text(value)?.parse().map_err(|error: crate::plan::NotAPrice| error.to_string())
}

/// A part of something, as per cent: `"2%"` is 0.02.
pub(super) fn percentage(range: RangeInclusive<f64>) -> impl Fn(&Value) -> Result<f64, String> {
    move |value| {
        let share = text(value).ok().and_then(|text| text.trim().strip_suffix('%')?.trim().parse::<f64>().ok());
        share.map(|percent| percent / 100.0).filter(|share| range.contains(share)).ok_or_else(|| {
            format!("write a percentage from \"{}%\" to \"{}%\"", range.start() * 100.0, range.end() * 100.0)
        })
    }
}

/// What is added to each validation: a share of it or a time.
pub(super) fn slow_down(value: &Value) -> Result<SlowDown, String> {
    let share = percentage(0.0..=SlowDown::MAX_SHARE)(value).map(SlowDown::Share);
    share.or_else(|_| duration_in(Duration::ZERO..=SlowDown::MAX_TIME)(value).map(SlowDown::Time)).map_err(|_| {
        format!(
            "write a share of the validation time, like \"2%\" (up to {}%), or a time, like \"150ns\" (up to {})",
            SlowDown::MAX_SHARE * 100.0,
            show(SlowDown::MAX_TIME)
        )
    })
}

/// A list of strings with their places.
pub(super) fn names(value: &Value) -> Result<Vec<(super::document::At, String)>, String> {
    const REMEDY: &str = "write a list of variants' names, like [\"none\", \"jwt-es256\"]";
    let Value::List(items) = value else { return Err(REMEDY.to_owned()) };
    if items.is_empty() {
        return Err(REMEDY.to_owned());
    }
    items
        .iter()
        .map(|Item { at, value }| match value {
            Value::Text(text) => Ok((*at, text.clone())),
            other => Err(format!("it holds {other}: {REMEDY}")),
        })
        .collect()
}

/// A list of values, each once and at least one; `example` shows one.
pub(super) fn list_of<T: PartialEq>(
    parse: impl Fn(&Value) -> Result<T, String>,
    example: &str,
) -> impl Fn(&Value) -> Result<Vec<T>, String> {
    move |value| {
        let remedy = || format!("write a list, like {example}");
        let Value::List(items) = value else { return Err(remedy()) };
        let mut list = Vec::with_capacity(items.len());
        for Item { value, .. } in items {
            let each = parse(value).map_err(|remedy| format!("it holds {value}: {remedy}"))?;
            if list.contains(&each) {
                return Err(format!("it holds {value} twice: remove one"));
            }
            list.push(each);
        }
        if list.is_empty() { Err(remedy()) } else { Ok(list) }
    }
}

/// A time as a scenario would write it.
pub(super) fn show(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn numbers_keep_to_their_range() {
        let parse = whole(1..=10_u32);
        assert_eq!(parse(&Value::Integer(1)), Ok(1));
        assert_eq!(parse(&Value::Integer(10)), Ok(10));
        for wrong in [Value::Integer(0), Value::Integer(11), Value::Integer(-1), Value::Float(2.0), string("2")] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
        assert_eq!(number(0.0..=2.0)(&Value::Integer(2)), Ok(2.0));
        assert!(number(0.0..=2.0)(&Value::Float(f64::NAN)).is_err());
        assert_eq!(whole(0..=u64::MAX)(&Value::Integer(u64::MAX.into())), Ok(u64::MAX));
    }

    #[test]
    fn times_have_units_and_ranges() {
        assert_eq!(duration(&string("1s 500ms")), Ok(Duration::from_millis(1500)));
        assert!(duration(&string("100")).is_err());
        assert!(duration(&Value::Integer(100)).is_err());
        assert!(positive(&string("0s")).is_err());
        assert!(positive(&string("1ns")).is_ok());
        assert!(duration_in(Duration::ZERO..=Duration::from_secs(60))(&string("61s")).is_err());
        assert!(token_lifetime(&string("15m")).is_ok());
        for wrong in ["901s", "0s", "1500ms"] {
            assert!(token_lifetime(&string(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_per_cent_and_what_slows_down_is_a_share_or_a_time() {
        let share = percentage(0.0..=1.0);
        assert_eq!(share(&string("2.5%")), Ok(0.025));
        assert_eq!(share(&string("100 %")), Ok(1.0));
        for wrong in ["2", "101%", "-1%", "%", "NaN%"] {
            assert!(share(&string(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(slow_down(&string("2%")), Ok(SlowDown::Share(0.02)));
        assert_eq!(slow_down(&string("150ns")), Ok(SlowDown::Time(Duration::from_nanos(150))));
        for wrong in [string("901%"), string("2s"), string("fast"), Value::Integer(2)] {
            assert!(slow_down(&wrong).is_err_and(|remedy| remedy.contains("150ns")), "{wrong}");
        }
    }

    #[test]
    fn names_fit_into_paths_and_ids() {
        assert!(name(&string("jwt-es256_2")).is_ok());
        for wrong in ["", "a/b", "a.b", "JWT", "a b", "ä", &"x".repeat(65)] {
            assert!(name(&string(wrong)).is_err(), "{wrong}");
        }
    }
}
