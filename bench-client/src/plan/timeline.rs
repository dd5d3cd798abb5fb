//! Settings of measurements with an event in the middle: a rollover, an outage. Many callers call on at a steady pace, and
//! what becomes of each call is kept with its time.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::MeasurementKind;

/// Callers, each with a credential and a connection of its own, spread over the replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallsPlan {
    /// How many callers.
    pub callers: usize,
    /// Time between two calls of one caller. Each begins at a random phase.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Calls before the event begins.
    #[serde(with = "humantime_serde")]
    pub before: Duration,
    /// Calls after it has ended.
    #[serde(with = "humantime_serde")]
    pub after: Duration,
    /// Calls are counted over spans of this length.
    #[serde(with = "humantime_serde")]
    pub bin: Duration,
}

/// Settings of a rollover: credentials, or what they are signed with, are replaced while callers go on. It runs once per
/// start, all its cases at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloverPlan {
    /// Who calls meanwhile.
    #[serde(flatten)]
    pub calls: CallsPlan,
    /// What is replaced.
    pub of: RolloverOf,
    /// How long a new signing key is published before it signs. Of no meaning for credentials.
    #[serde(with = "humantime_serde")]
    pub lead: Duration,
    /// Each caller changes over at a random time within this span after the new one is there.
    #[serde(with = "humantime_serde")]
    pub adoption: Duration,
    /// How long the old one goes on being accepted after the new one is there. A user has one password, which knows none.
    #[serde(with = "humantime_serde")]
    pub overlap: Duration,
}

/// What a rollover replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloverOf {
    /// The credential of each caller: a second API key, a changed password, another token or certificate.
    Credential,
    /// What credentials are signed with: the authorization server's key, the CA.
    Key,
}

impl RolloverOf {
    /// The word for it in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Key => "key",
        }
    }
}

/// Settings of an outage: what a server depends on (its store, the authorization server, the OCSP responder) is slow or gone
/// while callers go on. It runs once per start, all its cases at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutagePlan {
    /// Who calls meanwhile.
    #[serde(flatten)]
    pub calls: CallsPlan,
    /// What happens to it.
    pub fault: Fault,
    /// For how long.
    #[serde(with = "humantime_serde")]
    pub lasts: Duration,
    /// How many of the callers have their credential revoked at a random time meanwhile, and go on with it as a thief would.
    pub revoked: usize,
}

/// What happens to what a server depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Its answers arrive so much later.
    Slow(#[serde(with = "humantime_serde")] Duration),
    /// Connections end, and none can be made.
    Down,
    /// It is down and there again, by turns of this length.
    Flapping(#[serde(with = "humantime_serde")] Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humantime::format_duration;
        match self {
            Self::Slow(by) => write!(f, "{} slower", time(*by)),
            Self::Down => f.write_str("down"),
            Self::Flapping(turn) => write!(f, "down and up by turns of {}", time(*turn)),
        }
    }
}

/// What happens while callers call on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something is replaced.
    Rollover(RolloverPlan),
    /// Something is gone.
    Outage(OutagePlan),
}

impl Event {
    /// The event of a measurement, if it has one.
    pub fn of(kind: &MeasurementKind) -> Option<Self> {
        match kind {
            MeasurementKind::Rollover(settings) => Some(Self::Rollover(settings.clone())),
            MeasurementKind::Outage(settings) => Some(Self::Outage(settings.clone())),
            _ => None,
        }
    }

    /// Who calls meanwhile.
    pub fn calls(&self) -> &CallsPlan {
        match self {
            Self::Rollover(settings) => &settings.calls,
            Self::Outage(settings) => &settings.calls,
        }
    }

    /// From its begin to its end.
    pub fn lasts(&self) -> Duration {
        match self {
            Self::Rollover(settings) => settings.lead + settings.adoption.max(settings.overlap),
            Self::Outage(settings) => settings.lasts,
        }
    }

    /// From the first call to the last.
    pub fn length(&self) -> Duration {
        self.calls().before + self.lasts() + self.calls().after
    }
}
