//! A figure and how sure it is.

use serde::{Deserialize, Serialize};

pub use crate::cell::Cell;
use crate::stats::Interval;

/// A figure and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure, from all valid trials together.
    pub value: f64,
    /// Its 95 % interval; absent with fewer than two trials.
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
