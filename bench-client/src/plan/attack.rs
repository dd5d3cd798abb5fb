//! Settings of an attack: which bad credentials are sent, and what the target is known to offer.

use std::path::PathBuf;
use std::time::Duration;

use bench_server::contract::{Algorithm, MethodConfig, OAuth2Config};
use serde::{Deserialize, Serialize};

use super::{ExternalMethod, MeasurementKind, MethodWord, Plan, Variant};
use crate::attack::Table;

/// Every bad credential of a table, once per start, and the good ones that must not be refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackPlan {
    /// The user's table; absent means the one that ships.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<AttackTable>,
    /// SHA-256 of the table's text, in hexadecimal.
    pub digest: String,
    /// The cases and controls that are carried out, by id; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Features that the target is said to have beside those that its variant shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<String>,
    /// Longest wait for an answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How long a server of the user's may take to notice a revocation.
    #[serde(with = "humantime_serde")]
    pub within: Duration,
    /// How much clock difference a server of the user's tolerates in a token.
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
}

/// A table of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackTable {
    /// Its file, as the scenario names it.
    pub file: String,
    /// Its text.
    pub text: String,
}

impl AttackPlan {
    /// The table.
    ///
    /// # Errors
    /// When this program ships another one than the plan was made with.
    pub(crate) fn table(&self) -> Result<Table, String> {
        let table = match &self.table {
            None => Table::shipped(),
            Some(AttackTable { file, text }) => Table::of_user(file, text).map_err(|found| found.0.join("\n"))?,
        };
        if table.digest != self.digest {
            return Err("the table of bad credentials is not the one of the plan; begin a new run".to_owned());
        }
        Ok(table)
    }
}

/// What a server of the user's signs credentials with: with it, more of the table can be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForgeKey {
    /// Tokens.
    Token {
        /// The algorithm.
        algorithm: Algorithm,
        /// File with the private key: PKCS #8 in PEM, for HMAC a JWK of type `oct`.
        key: PathBuf,
    },
    /// Client certificates.
    Certificate {
        /// PEM file with the certificate of the CA that signs them.
        ca: PathBuf,
        /// PEM file with its private key, PKCS #8.
        key: PathBuf,
    },
}

impl Variant {
    /// What its requests take that only an attack makes; `None` where the load engine makes all of it.
    pub(crate) fn only_attacked_for(&self) -> Option<&'static str> {
        match (self.method.reference(), self.method.external()) {
            (Some(MethodConfig::OAuth2(OAuth2Config { dpop: Some(_), .. })), _)
            | (_, Some(ExternalMethod { dpop: Some(_), .. })) => Some("a proof for each"),
            (Some(MethodConfig::OAuth2(_)), _) if self.certificate_bound => Some("a token and a certificate"),
            (Some(MethodConfig::Layered(_)), _) => Some("two credentials"),
            // What a signature must cover differs from server to server.
            (_, Some(ExternalMethod { method: MethodWord::Signed, .. })) => Some("a signature of one profile"),
            _ => None,
        }
    }
}

impl Plan {
    /// Whether bad credentials are sent to a variant's server.
    pub fn attacks(&self, variant: &Variant) -> bool {
        self.has_case(variant, |kind| matches!(kind, MeasurementKind::Attack(_)))
    }

    /// Whether nothing else is done to it.
    pub fn only_attacks(&self, variant: &Variant) -> bool {
        self.attacks(variant) && !self.is_measured(variant)
    }

    /// Whether anything of it is counted or timed.
    pub fn is_measured(&self, variant: &Variant) -> bool {
        self.has_case(variant, |kind| !matches!(kind, MeasurementKind::Attack(_)))
    }
}
