//! A figure or the reason why there is none: nothing in a record and no cell of any table is silently empty.

use serde::{Deserialize, Serialize};

use crate::stats::Interval;

/// A value, or why it is absent. In JSON the value itself, or `{"blank": "reason"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell<T> {
    /// The value.
    Known(T),
    /// No value.
    Blank {
        /// Why not.
        blank: String,
    },
}

/// An error is a reason.
impl<T> From<Result<T, String>> for Cell<T> {
    fn from(result: Result<T, String>) -> Self {
        result.map_or_else(Self::blank, Self::Known)
    }
}

impl<T> Cell<T> {
    /// An absent value.
    pub fn blank(reason: impl Into<String>) -> Self {
        Self::Blank { blank: reason.into() }
    }

    /// The value, or `reason`.
    pub fn or_blank(value: Option<T>, reason: impl Into<String>) -> Self {
        value.map_or_else(|| Self::blank(reason), Self::Known)
    }

    /// The value, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Blank { .. } => None,
        }
    }

    /// The reason, if there is no value.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Blank { blank } => Some(blank),
        }
    }

    /// A value derived from this one; a blank keeps its reason.
    pub fn map<U>(&self, derive: impl FnOnce(&T) -> U) -> Cell<U> {
        self.and_then(|value| Cell::Known(derive(value)))
    }

    /// A cell derived from this one; a blank keeps its reason.
    pub fn and_then<U>(&self, derive: impl FnOnce(&T) -> Cell<U>) -> Cell<U> {
        match self {
            Self::Known(value) => derive(value),
            Self::Blank { blank } => Cell::blank(blank.clone()),
        }
    }
}

/// A figure and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure; where it is of a run, from all valid trials together.
    pub value: f64,
    /// Its 95 % interval; absent where there is none, as with fewer than two trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
}

impl Estimate {
    /// Half of the interval's width relative to the value; `None` without interval or with a value of 0.
    pub fn relative_half_width(&self) -> Option<f64> {
        self.interval.filter(|_| self.value != 0.0).map(|interval| interval.half_width() / self.value.abs())
    }

    /// Whether the interval excludes `value`; `false` without interval.
    pub fn differs_from(&self, value: f64) -> bool {
        self.interval.is_some_and(|interval| interval.low > value || interval.high < value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_blank_keeps_its_reason() {
        let blank: Cell<f64> = Cell::blank("not measured");
        assert_eq!(blank.map(|value| value * 2.0).reason(), Some("not measured"));
    }

    #[test]
    fn json_tells_a_value_from_a_reason() {
        let known: Cell<Estimate> = Cell::Known(Estimate { value: 2.5, interval: None });
        let blank: Cell<Estimate> = Cell::blank("nothing to revoke");
        assert_eq!(serde_json::to_string(&known).expect("plain data"), r#"{"value":2.5}"#);
        assert_eq!(serde_json::to_string(&blank).expect("plain data"), r#"{"blank":"nothing to revoke"}"#);
        for cell in [known, blank] {
            let text = serde_json::to_string(&cell).expect("plain data");
            assert_eq!(serde_json::from_str::<Cell<Estimate>>(&text).expect("what was written"), cell);
        }
    }
}
