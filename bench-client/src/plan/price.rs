//! What processor time costs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An amount of money per hour of one processor core, written `0.04 USD`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// The amount, over 0.
    pub amount: f64,
    /// The currency as written: an ISO 4217 code, or any word of at most 16 characters.
    pub currency: String,
}

/// Longest currency: there is room for a word like `cloud-credits`.
const CURRENCY_MAX: usize = 16;

impl Price {
    /// What `cpu_ns` of processor time per request cost for a million requests.
    pub fn per_million_requests(&self, cpu_ns: f64) -> f64 {
        const NS_PER_HOUR: f64 = 3_600e9;
        self.amount * cpu_ns * 1e6 / NS_PER_HOUR
    }
}

/// The text is no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write an amount over 0, a space and a currency, like \"0.04 USD\"")]
pub struct NotAPrice;

impl FromStr for Price {
    type Err = NotAPrice;

    fn from_str(text: &str) -> Result<Self, NotAPrice> {
        let (amount, currency) = text.split_once(' ').ok_or(NotAPrice)?;
        let amount: f64 = amount.parse().map_err(|_| NotAPrice)?;
        let word = !currency.is_empty()
            && currency.chars().count() <= CURRENCY_MAX
            && !currency.chars().any(|c| c.is_whitespace() || c.is_control());
        if amount.is_finite() && amount > 0.0 && word {
            Ok(Self { amount, currency: currency.to_owned() })
        } else {
            Err(NotAPrice)
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_an_amount_and_a_currency() {
        let price: Price = "0.04 USD".parse().expect("a price");
        assert_eq!((price.amount, price.currency.as_str()), (0.04, "USD"));
        assert_eq!(price.to_string(), "0.04 USD");
        for wrong in ["", "USD", "0.04", "0.04USD", "0 USD", "-1 USD", "inf USD", "NaN EUR", "1 ", "1 US D", "1  USD"] {
            assert_eq!(wrong.parse::<Price>(), Err(NotAPrice), "{wrong:?}");
        }
        assert!(format!("1 {}", "x".repeat(17)).parse::<Price>().is_err());
    }

    #[test]
    fn a_million_requests_of_a_microsecond_take_a_second() {
        let price = Price { amount: 3.6, currency: "EUR".to_owned() };
        assert!((price.per_million_requests(1_000.0) - 0.001).abs() < 1e-12);
        assert!((price.per_million_requests(36_000.0) - 0.036).abs() < 1e-12);
    }
}
