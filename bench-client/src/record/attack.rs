//! What came of bad credentials, and of the good ones beside them.

use serde::{Deserialize, Serialize};

use crate::attack::Severity;

/// All cases of a table that are about a variant's method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackResult {
    /// SHA-256 of the table's text, in hexadecimal.
    pub table: String,
    /// Whether answers were held to what the standards ask of the reference server, rather than to what any server must do.
    pub strict: bool,
    /// The cases, in the order of the table.
    pub cases: Vec<AttackCase>,
}

/// One case or control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackCase {
    /// Its id in the table.
    pub id: String,
    /// In words.
    pub title: String,
    /// Whether it is a good credential, which must be accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub control: bool,
    /// How bad an acceptance is; of controls there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Where the demand stands.
    pub source: String,
    /// Why nothing at all was sent; then `tries` is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_run: Option<String>,
    /// What was sent, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tries: Vec<AttackTry>,
}

/// One thing that was sent, or was to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttackTry {
    /// What was done, in the words of the table.
    pub what: String,
    /// The request as a caller with a credential of the same form would have sent it: nothing of the real one is in it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sent: String,
    /// What came back.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub came: String,
    /// What that means.
    pub verdict: AttackVerdict,
    /// Why, where it is not as it should be.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttackVerdict {
    /// As it should be: a bad credential was refused, a good one accepted.
    Held,
    /// A bad credential was accepted.
    LetIn,
    /// A good credential was refused.
    ShutOut,
    /// The server failed: 5xx, or no answer.
    Failed,
    /// Refused, but not as its standard asks.
    Otherwise,
    /// Not sent.
    NotRun,
}

impl AttackVerdict {
    /// Whether it is a finding.
    pub fn is_finding(self) -> bool {
        !matches!(self, Self::Held | Self::NotRun)
    }

    /// In a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::LetIn => "let in",
            Self::ShutOut => "shut out",
            Self::Failed => "failed",
            Self::Otherwise => "otherwise",
            Self::NotRun => "not run",
        }
    }
}

impl AttackCase {
    /// The worst of its verdicts.
    pub fn verdict(&self) -> AttackVerdict {
        let gravity = |verdict| match verdict {
            AttackVerdict::NotRun => 0,
            AttackVerdict::Held => 1,
            AttackVerdict::Otherwise => 2,
            AttackVerdict::Failed => 3,
            AttackVerdict::ShutOut => 4,
            AttackVerdict::LetIn => 5,
        };
        self.tries
            .iter()
            .map(|one| one.verdict)
            .max_by_key(|verdict| gravity(*verdict))
            .unwrap_or(AttackVerdict::NotRun)
    }
}
