//! Quotas, as the caller learns of them: 429 with `Retry-After` (RFC 6585 §4), and the fields of
//! draft-ietf-httpapi-ratelimit-headers-11. What a quota is counted with stands in the modules below.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) mod gcra;
pub(crate) mod throttle;
pub(crate) mod usage;

static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How far a caller is with a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// What is counted, like `key`: the name of the policy, of letters and hyphens.
    pub policy: &'static str,
    /// Requests within the window.
    pub amount: u64,
    /// The window.
    pub window: Duration,
    /// Requests left.
    pub remaining: u64,
    /// Time until another request is allowed, or where some are left, until all of them are again.
    pub reset: Duration,
}

impl Quota {
    /// Tells the caller: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11 §3 and §4).
    pub(crate) fn tell(&self, fields: &mut HeaderMap) {
        let Self { policy, amount, window, remaining, reset } = self;
        let (window, reset) = (seconds(*window), seconds(*reset));
        fields.insert(&RATELIMIT_POLICY, value(&format!(r#""{policy}";q={amount};w={window}"#)));
        fields.insert(&RATELIMIT, value(&format!(r#""{policy}";r={remaining};t={reset}"#)));
    }

    /// The same for one who is over it, with the time to wait.
    pub(crate) fn refuse(&self, fields: &mut HeaderMap) {
        self.tell(fields);
        fields.insert(RETRY_AFTER, retry_after(self.reset));
    }
}

/// The value of `Retry-After`: whole seconds (RFC 9110 §10.2.3), rounded up, so that nobody comes too soon, and at least one.
pub(crate) fn retry_after(wait: Duration) -> HeaderValue {
    value(&seconds(wait).max(1).to_string())
}

fn seconds(time: Duration) -> u128 {
    time.as_millis().div_ceil(1000)
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits, quotes and the letters of a policy are a field value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_caller_learns_the_quota_and_when_to_come_back() {
        let mut fields = HeaderMap::new();
        let quota = Quota {
            policy: "key",
            amount: 100,
            window: Duration::from_secs(60),
            remaining: 0,
            reset: Duration::from_millis(16_001),
        };
        quota.refuse(&mut fields);
        assert_eq!(fields[&RATELIMIT_POLICY], r#""key";q=100;w=60"#);
        assert_eq!(fields[&RATELIMIT], r#""key";r=0;t=17"#);
        assert_eq!(fields[RETRY_AFTER], "17");
        assert_eq!(retry_after(Duration::ZERO), "1");
    }
}
