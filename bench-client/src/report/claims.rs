//! The guide's comparison table, each worded cell beside what this run measured.

use serde::{Deserialize, Serialize};

use super::format::{bracket, fixed, number, percent, signed};
use super::summary::{Summary, VariantSummary};
use crate::cell::Cell;

/// A cell of the guide's table and the run's answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The method.
    pub method: String,
    /// The row of the guide's table.
    pub aspect: String,
    /// The guide's word.
    pub claim: String,
    /// What this run measured, a line per variant where there are several.
    pub measured: Vec<String>,
    /// Whether that supports the word.
    pub verdict: ClaimVerdict,
}

/// What the figures say of a claim, on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimVerdict {
    /// The figures agree.
    Supported,
    /// They hold under a condition that the word leaves out.
    Qualified,
    /// The figures disagree.
    Contradicted,
    /// This run cannot tell; `measured` says why.
    NotMeasured,
}

impl ClaimVerdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Qualified => "qualified",
            Self::Contradicted => "contradicted",
            Self::NotMeasured => "not measured",
        }
    }
}

/// The methods in the guide's order, with the names of its columns.
pub(crate) const METHODS: [(&str, &str); 5] =
    [("api-key", "API keys"), ("oauth2", "OAuth 2.0"), ("jwt", "JWTs"), ("basic", "Basic Auth"), ("mtls", "mTLS")];

/// The rows of the guide's table, cells in the order of [`METHODS`].
const TABLE: [(&str, [&str; 5]); 6] = [
    (
        "Identifies",
        [
            "Application / account",
            "User (via delegated consent)",
            "Bearer of the token",
            "User (username + password)",
            "Client certificate holder",
        ],
    ),
    ("Complexity", ["Low", "High", "Medium", "Very low", "High"]),
    ("User delegation", ["No", "Yes", "Depends on issuer", "No", "No"]),
    (
        "Stateless validation",
        [
            "No (requires lookup)",
            "Depends on token format",
            "Yes (signature check)",
            "No (requires lookup)",
            "Yes (certificate chain)",
        ],
    ),
    (
        "Revocation",
        [
            "Instant (delete from store)",
            "Token + refresh revocation",
            "Difficult (until expiry)",
            "Change password",
            "Revoke certificate (CRL/OCSP)",
        ],
    ),
    (
        "Best suited for",
        [
            "Server-to-server, metering",
            "User-facing apps, third-party access",
            "Microservices, short-lived auth",
            "Internal tools, simple scripts",
            "Zero-trust, infrastructure",
        ],
    ),
];

/// Puts the run beside every cell of the guide's table.
pub(crate) fn claims(summary: &Summary) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (aspect, cells) in TABLE {
        for ((method, _), claim) in METHODS.iter().zip(cells) {
            let variants: Vec<&VariantSummary> =
                summary.compared().filter(|variant| variant.method == *method).collect();
            let (verdict, measured) = if variants.is_empty() {
                answer(ClaimVerdict::NotMeasured, "the scenario has no variant of this method")
            } else {
                match aspect {
                    "Identifies" if summary.target.is_some() => {
                        answer(ClaimVerdict::NotMeasured, "whom a foreign server identifies is its operator's to say")
                    }
                    "Stateless validation" if summary.target.is_some() => {
                        answer(ClaimVerdict::NotMeasured, super::summary::NOT_TOLD)
                    }
                    "Identifies" => identifies(method, &variants),
                    "Stateless validation" => stateless(method, &variants),
                    "Revocation" => revocation(method, &variants),
                    "Best suited for" => suited(&variants),
                    "Complexity" => {
                        answer(ClaimVerdict::NotMeasured, "set-up is not measured: a run begins with servers that work")
                    }
                    _ => answer(ClaimVerdict::NotMeasured, "no user takes part in a run under load"),
                }
            };
            claims.push(Claim {
                method: (*method).to_owned(),
                aspect: aspect.to_owned(),
                claim: claim.to_owned(),
                measured,
                verdict,
            });
        }
    }
    claims
}

type Answer = (ClaimVerdict, Vec<String>);

fn answer(verdict: ClaimVerdict, line: impl Into<String>) -> Answer {
    (verdict, vec![line.into()])
}

/// The load client compares the principal in every answer with the credential's; a trial with another one is invalid.
fn identifies(method: &str, variants: &[&VariantSummary]) -> Answer {
    let answers: u64 = variants
        .iter()
        .map(|variant| {
            variant.latency.known().map_or(0, |latency| latency.samples)
                + variant.throughput.known().map_or(0, |throughput| throughput.samples)
        })
        .sum();
    if answers == 0 {
        return answer(ClaimVerdict::NotMeasured, "no accepted request");
    }
    let answers = fixed(answers as f64, 0);
    let (verdict, named) = match method {
        "oauth2" => (ClaimVerdict::Qualified, "the token's subject; no user was asked for consent under load"),
        "api-key" => (ClaimVerdict::Supported, "the application that the key was issued to"),
        "jwt" => (ClaimVerdict::Supported, "the subject of the presented token, whoever sent it"),
        "basic" => (ClaimVerdict::Supported, "the user whose password was sent"),
        _ => (ClaimVerdict::Supported, "the identity in the client's certificate"),
    };
    answer(verdict, format!("{answers} answers named {named}"))
}

/// Operations per request, from the latency measurement or, failing that, at saturation.
fn operations(variant: &VariantSummary) -> Option<super::summary::Operations> {
    let latency = variant.latency.known().and_then(|latency| latency.operations_per_request.known());
    let throughput = || variant.throughput.known().and_then(|throughput| throughput.operations_per_request.known());
    latency.or_else(throughput).copied()
}

fn stateless(method: &str, variants: &[&VariantSummary]) -> Answer {
    let measured: Vec<(&VariantSummary, super::summary::Operations)> =
        variants.iter().filter_map(|variant| Some((*variant, operations(variant)?))).collect();
    if measured.is_empty() {
        return answer(ClaimVerdict::NotMeasured, "no valid trial under load");
    }
    let texts = measured.iter().map(|(variant, operations)| {
        let mut parts = vec![format!("{} lookups per request", number(operations.store_lookups))];
        for (count, one) in [(operations.verify_calls, "signature checks"), (operations.hash_calls, "password hashes")]
        {
            if count > 0.0 {
                parts.push(format!("{} {one}", number(count)));
            }
        }
        match variant.cpu_at_saturation().and_then(|cpu| cpu.added.clone()) {
            Cell::Known(added) if added.interval.is_some() && !added.differs_from(0.0) => {
                parts.push("no CPU added at saturation that can be told from none".to_owned());
            }
            Cell::Known(added) => parts.push(format!("{} CPU added at saturation", signed(added.value))),
            Cell::Blank { blank } => parts.push(format!("added CPU blank ({blank})")),
        }
        format!("{}: {}", variant.name, parts.join(", "))
    });
    let lines = texts.collect();
    // One lookup in a thousand requests is a warm cache; none at all is stateless.
    let looks_up = |bound: f64| measured.iter().any(|(_, operations)| operations.store_lookups >= bound);
    let keeps_none = measured.iter().any(|(_, operations)| operations.store_lookups == 0.0);
    let rests_on_cache = measured.iter().any(|(_, operations)| operations.cache_hits > 0.0);
    let verdict = match method {
        "api-key" | "basic" => match (looks_up(0.999), rests_on_cache) {
            (true, false) => ClaimVerdict::Supported,
            (true, true) | (false, true) => ClaimVerdict::Qualified,
            (false, false) => ClaimVerdict::Contradicted,
        },
        // "Depends" is shown by both kinds side by side.
        "oauth2" if looks_up(0.999) && keeps_none => ClaimVerdict::Supported,
        "oauth2" => ClaimVerdict::Qualified,
        _ if keeps_none && looks_up(0.001) => ClaimVerdict::Qualified,
        _ if keeps_none => ClaimVerdict::Supported,
        _ => ClaimVerdict::Contradicted,
    };
    (verdict, lines)
}

fn revocation(method: &str, variants: &[&VariantSummary]) -> Answer {
    let measured: Vec<_> =
        variants.iter().filter_map(|variant| Some((*variant, variant.revocation.known()?))).collect();
    if measured.is_empty() {
        let reason = variants.iter().find_map(|variant| variant.revocation.reason()).unwrap_or("not measured");
        return answer(ClaimVerdict::NotMeasured, reason);
    }
    let texts = measured.iter().map(|(variant, found)| {
        let open = match found.still_accepted {
            0 => String::new(),
            open => format!(", {open} of {} still accepted", found.revoked),
        };
        format!("{}: longest {}{open} ({})", variant.name, bracket(&found.max), found.promise)
    });
    let lines = texts.collect();
    let at_once = |found: &super::summary::RevocationSummary| {
        found.still_accepted == 0 && found.max.low_ns < 2.0 * found.probe_interval_ns as f64
    };
    let instant = measured.iter().filter(|(_, found)| at_once(found)).count();
    let ended = measured.iter().all(|(_, found)| found.still_accepted == 0);
    let verdict = match method {
        "api-key" if instant == measured.len() => ClaimVerdict::Supported,
        "api-key" if instant > 0 => ClaimVerdict::Qualified,
        "api-key" => ClaimVerdict::Contradicted,
        "oauth2" if instant == measured.len() => ClaimVerdict::Supported,
        "oauth2" => ClaimVerdict::Qualified,
        "jwt" if instant == measured.len() => ClaimVerdict::Contradicted,
        "jwt" if measured.iter().any(|(_, found)| found.promise.starts_with("deny-list")) => ClaimVerdict::Qualified,
        "jwt" => ClaimVerdict::Supported,
        _ if ended && instant == measured.len() => ClaimVerdict::Supported,
        // Taking it back works; the word leaves out how long that takes.
        _ if ended => ClaimVerdict::Qualified,
        _ => ClaimVerdict::Contradicted,
    };
    (verdict, lines)
}

/// Suitability is a judgement; the run contributes the figures that it turns on.
fn suited(variants: &[&VariantSummary]) -> Answer {
    let texts: Vec<String> = variants
        .iter()
        .filter_map(|variant| {
            let throughput = variant.throughput.known()?;
            let ratio = throughput.ratio_to_baseline.known();
            let ratio = ratio.map_or_else(String::new, |ratio| format!(", {} of none", percent(ratio.value)));
            Some(format!("{}: {} req/s{ratio}", variant.name, fixed(throughput.per_s.value, 0)))
        })
        .collect();
    let mut lines = vec!["a judgement, not a measurement; to weigh:".to_owned()];
    lines.extend(texts);
    (ClaimVerdict::NotMeasured, lines)
}
