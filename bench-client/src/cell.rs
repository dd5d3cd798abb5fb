//! A figure or the reason why there is none: nothing in a record and no cell of any table is silently empty.

use serde::{Deserialize, Serialize};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_blank_keeps_its_reason() {
        let blank: Cell<f64> = Cell::blank("not measured");
        assert_eq!(blank.map(|value| value * 2.0).reason(), Some("not measured"));
    }
}
