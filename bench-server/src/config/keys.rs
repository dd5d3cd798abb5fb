//! API keys: which of them a profile takes, how often, what is counted, and who manages them over HTTP.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ApiKeyConfig;

/// Which of an application's environments a key is for, or which of them an OAuth client is. A key's text names it, and a token
/// in the claim [`ENVIRONMENT_CLAIM`](super::ENVIRONMENT_CLAIM); a profile takes one of the two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyEnvironment {
    /// Keys like `ab_live_…`.
    #[default]
    Live,
    /// Keys like `ab_test_…`.
    Test,
}

impl KeyEnvironment {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    pub(crate) fn is_live(&self) -> bool {
        *self == Self::Live
    }

    /// As configurations and tokens write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// So many requests within any window of that length, counted in each process by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    /// Requests.
    pub requests: NonZeroU32,
    /// The window, in whole seconds up to [`LimitConfig::LONGEST`].
    #[serde(with = "humantime_serde")]
    pub window: Duration,
}

impl LimitConfig {
    /// Longest window.
    pub const LONGEST: Duration = Duration::from_secs(86_400);
    /// Most requests per second of the window: more than a process serves.
    pub const FASTEST: u64 = 1_000_000;

    /// What is wrong with the limit that the configuration calls `option`, and what to write instead.
    ///
    /// # Errors
    /// A window that the fields of an answer could not tell: they count whole seconds.
    pub fn check(&self, option: &str) -> Result<(), String> {
        let window = self.window;
        if window.is_zero() || window > Self::LONGEST || window.subsec_nanos() != 0 {
            return Err(format!("{option}.window is {window:?}; write whole seconds, from 1s to 1day"));
        }
        if u64::from(self.requests.get()) > Self::FASTEST * window.as_secs() {
            let (requests, fastest) = (self.requests, Self::FASTEST);
            return Err(format!("{option}.requests is {requests} in {window:?}; write {fastest} a second at most"));
        }
        Ok(())
    }
}

/// Requests are counted for each key, and when it was last used. The counts reach the store in the background: what was
/// accepted since the last time is lost where the process is killed, and nothing else ever is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeteringConfig {
    /// Time between two writes, within [`MeteringConfig::FLUSHES`]: how much counting a kill may lose at most.
    #[serde(with = "humantime_serde", default = "MeteringConfig::default_flush")]
    pub flush: Duration,
}

impl MeteringConfig {
    /// Possible times between two writes. The longest keeps the time of last use true to the minute.
    pub const FLUSHES: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);

    /// One second.
    pub fn default_flush() -> Duration {
        Duration::from_secs(1)
    }
}

impl Default for MeteringConfig {
    fn default() -> Self {
        Self { flush: Self::default_flush() }
    }
}

/// `POST /keys` and its like on a listener: a key that holds a management scope manages its application's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyManagementConfig {
    /// The profile of method `api-key` whose keys are managed, and manage.
    pub profile: String,
    /// The scope that a managing key holds.
    #[serde(default = "KeyManagementConfig::default_scope")]
    pub scope: String,
    /// Reports of leaked keys that are taken from one client address.
    #[serde(default = "KeyManagementConfig::default_reports")]
    pub reports: LimitConfig,
}

impl KeyManagementConfig {
    /// The keys of that profile, managed by those of them that hold `keys:manage`.
    pub fn new(profile: impl Into<String>) -> Self {
        Self { profile: profile.into(), scope: Self::default_scope(), reports: Self::default_reports() }
    }

    fn default_scope() -> String {
        "keys:manage".to_owned()
    }

    /// Ten a minute: a scanner that finds more has found one key in many places.
    fn default_reports() -> LimitConfig {
        LimitConfig { requests: NonZeroU32::new(10).expect("ten is not zero"), window: Duration::from_secs(60) }
    }
}

impl ApiKeyConfig {
    /// Versions of the pepper that may be live at the same time: each may cost a lookup.
    pub const MOST_PEPPERS: usize = 2;

    /// What is wrong with the options that no type can check, each with its remedy.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let peppers = &self.peppers;
        if peppers.len() > Self::MOST_PEPPERS || peppers.iter().enumerate().any(|(at, it)| peppers[..at].contains(it)) {
            mistakes.push(format!(
                "peppers is {peppers:?}; write at most two different versions, the one for new keys first, like [2, 1]"
            ));
        }
        let limits = [("limit", &self.limit), ("account_limit", &self.account_limit)];
        mistakes.extend(limits.into_iter().filter_map(|(option, limit)| limit.as_ref()?.check(option).err()));
        if let Some(MeteringConfig { flush }) = self.metering
            && !MeteringConfig::FLUSHES.contains(&flush)
        {
            mistakes.push(format!("metering.flush is {flush:?}; write a time from 10ms to 1m"));
        }
        mistakes
    }
}
