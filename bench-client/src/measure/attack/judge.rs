//! What an answer means: of the reference server by what the standards ask, of any other server by what none may do.

use std::collections::BTreeMap;

use bench_server::contract::{Counters, Issued};

use super::wire::{Came, Seen};
use crate::attack::{Answer, Counter, Expect};
use crate::plan::Convention;
use crate::record::AttackVerdict as Verdict;

/// Statuses that refuse a request, beside all others of 4xx: what nginx says of client certificates among them.
const REFUSES: std::ops::RangeInclusive<u16> = 400..=499;

/// How the credentials of a variant are challenged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Bearer,
    Basic,
    /// Of tokens with a proof (RFC 9449 §7.1).
    Dpop,
    /// Of requests that are signed.
    Signature,
    /// There is no challenge for certificates.
    None,
}

/// What an answer is held to.
pub(super) struct Judge<'j> {
    /// Whether it is the reference server.
    pub(super) strict: bool,
    pub(super) scheme: Scheme,
    pub(super) convention: Option<&'j Convention>,
}

/// A verdict, and why where it is not as it should be.
pub(super) type Judged = (Verdict, String);

fn held() -> Judged {
    (Verdict::Held, String::new())
}

impl Judge<'_> {
    /// Judges what came back for `issued`.
    pub(super) fn judge(&self, expect: &Expect, came: &Came, issued: &Issued) -> Judged {
        match came {
            Came::Silence => return (Verdict::Failed, "no answer".to_owned()),
            Came::Unreachable(why) => return (Verdict::Failed, format!("no connection: {why}")),
            Came::Garbage => return (Verdict::Failed, "an answer that is neither HTTP nor TLS".to_owned()),
            Came::Answer(seen) if seen.status >= 500 => return (Verdict::Failed, format!("status {}", seen.status)),
            _ => {}
        }
        if expect.answer == Answer::Accepted {
            return self.must_accept(expect, came, issued);
        }
        match came {
            Came::Answer(seen @ Seen { status: 200, .. }) if expect.answer == Answer::Inactive => inactive(seen),
            Came::Answer(Seen { status: 200..=299, .. }) if expect.answer == Answer::Either => held(),
            Came::Answer(Seen { status: 200..=299, .. }) if expect.status.iter().any(|status| *status < 300) => {
                self.refusal(expect, came)
            }
            Came::Answer(seen @ Seen { status: 200..=299, .. }) => (Verdict::LetIn, let_in(seen, issued)),
            Came::ServerHello => (Verdict::LetIn, "the handshake went on".to_owned()),
            // Whether it leads to where only the invited are is not looked at by asking again: where it leads is enough.
            Came::Answer(seen @ Seen { status: 300..=399, .. }) => match seen.all("location").next() {
                Some(location) if leads_in(location) => {
                    (Verdict::LetIn, format!("status {} to {location}", seen.status))
                }
                _ if self.strict => self.refusal(expect, came),
                _ => held(),
            },
            _ if self.strict => self.refusal(expect, came),
            Came::Answer(seen) if !REFUSES.contains(&seen.status) => {
                (Verdict::Otherwise, format!("status {}", seen.status))
            }
            _ => held(),
        }
    }

    fn must_accept(&self, expect: &Expect, came: &Came, issued: &Issued) -> Judged {
        let Came::Answer(seen) = came else { return (Verdict::ShutOut, "the connection ended".to_owned()) };
        let usual = self.convention.map_or(&[200][..], |convention| &convention.accepted.status);
        let statuses = if expect.status.is_empty() { usual } else { &expect.status };
        if !statuses.contains(&seen.status) {
            return (Verdict::ShutOut, format!("status {}", seen.status));
        }
        if let Some(text) = &expect.location {
            let found = seen.all("location").next().is_some_and(|location| location.contains(text));
            return if found { held() } else { (Verdict::ShutOut, format!("no Location with {text:?}")) };
        }
        let body = String::from_utf8_lossy(&seen.body);
        let contains = match self.convention {
            None => Some(serde_json::Value::String(issued.principal.clone()).to_string()),
            Some(convention) => convention
                .accepted
                .body_contains
                .as_ref()
                .map(|template| template.text().replace("{principal}", &issued.principal)),
        };
        match contains {
            Some(contains) if !body.contains(&contains) => {
                (Verdict::ShutOut, format!("status {}, but for somebody else", seen.status))
            }
            _ => held(),
        }
    }

    /// Whether the reference server refused as its standard asks.
    fn refusal(&self, expect: &Expect, came: &Came) -> Judged {
        let otherwise = |why: String| (Verdict::Otherwise, why);
        let seen = match (came, expect.answer) {
            (Came::Alert(_), Answer::Alert) if expect.alert.is_empty() => return held(),
            (Came::Alert(alert), Answer::Alert | Answer::Closed) if expect.alert.contains(alert) => return held(),
            (Came::Alert(alert), Answer::Alert) => {
                return otherwise(format!("alert {alert} in the place of {:?}", expect.alert));
            }
            (Came::Closed | Came::Alert(_), Answer::Closed | Answer::Either | Answer::Refused) => return held(),
            (Came::Closed | Came::Alert(_), _) => {
                return otherwise("the connection ended without an answer".to_owned());
            }
            (Came::Answer(seen), _) => seen,
            _ => return otherwise("no answer over HTTP".to_owned()),
        };
        let usual: &[u16] = match expect.answer {
            Answer::Invalid | Answer::Missing | Answer::Caller => &[401],
            Answer::Inactive => &[200],
            Answer::Ambiguous | Answer::OAuth => &[400],
            Answer::Forbidden => &[403],
            Answer::TooLarge => &[431],
            Answer::Refused | Answer::Either | Answer::Closed => &[400, 401, 403, 404, 421, 429, 431],
            Answer::Alert | Answer::Accepted => &[],
        };
        let statuses = if expect.status.is_empty() { usual } else { &expect.status };
        if !statuses.contains(&seen.status) {
            return otherwise(format!("status {} in the place of {}", seen.status, listed(statuses)));
        }
        let location = seen.all("location").next();
        match expect.location.as_deref() {
            Some("") if location.is_some() => return otherwise("a Location, where there must be none".to_owned()),
            Some(text) if !text.is_empty() && !location.is_some_and(|location| location.contains(text)) => {
                return otherwise(format!("a Location without {text:?}"));
            }
            _ => {}
        }
        if let Some(missing) = expect.fields.iter().find(|name| seen.all(name).next().is_none()) {
            return otherwise(format!("no field {missing}"));
        }
        if let Some(problem) = &expect.problem {
            let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap_or_default();
            let kind = body["type"].as_str().unwrap_or_default();
            if !kind.ends_with(problem) {
                return otherwise(format!("problem type {kind:?} in the place of {problem:?}"));
            }
        }
        if expect.answer == Answer::OAuth {
            let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap_or_default();
            let found = body["error"].as_str();
            return match &expect.error {
                Some(error) if found != Some(error) => otherwise(format!("error {found:?} in the place of {error:?}")),
                _ => held(),
            };
        }
        self.challenge(expect, seen).map_or_else(held, otherwise)
    }

    /// What is wrong with the challenge (RFC 9110 §11.6.1, RFC 6750 §3, RFC 7617 §2, RFC 9449 §7.1).
    fn challenge(&self, expect: &Expect, seen: &Seen) -> Option<String> {
        let challenges: Vec<&str> = seen.all("www-authenticate").collect();
        let error = match (expect.answer, self.scheme, seen.status) {
            (Answer::Refused | Answer::Either | Answer::Closed | Answer::TooLarge, ..) => return None,
            (Answer::Caller, ..) => {
                let found = challenges.iter().any(|it| it.starts_with("ApiKey "));
                return (!found).then(|| format!("challenges {challenges:?} without one for who calls"));
            }
            (_, Scheme::None, _) => return None,
            // What has to be signed is told in a field of its own (RFC 9421 §5.1).
            (_, Scheme::Signature, 401) if seen.all("accept-signature").next().is_none() => {
                return Some("no Accept-Signature".to_owned());
            }
            (Answer::Invalid, Scheme::Signature, 401) => Some("invalid_signature"),
            (Answer::Invalid | Answer::Ambiguous | Answer::Forbidden, Scheme::Signature, _) => return None,
            (_, Scheme::Basic, 401) => {
                let found = challenges
                    .iter()
                    .any(|it| it.starts_with("Basic ") && it.contains("realm=") && it.contains("charset="));
                return (!found).then(|| format!("challenges {challenges:?} without Basic, its realm and charset"));
            }
            (_, Scheme::Basic, _) => return None,
            (Answer::Missing, ..) => None,
            (Answer::Ambiguous, ..) => Some("invalid_request"),
            (Answer::Forbidden, ..) => Some("insufficient_scope"),
            // 400 and 401 are both right where a case says so; only the latter is about a token.
            (Answer::Invalid, _, 401) => Some("invalid_token"),
            _ => return None,
        };
        let error = expect.error.as_deref().or(error);
        let scheme = match self.scheme {
            Scheme::Dpop => "DPoP",
            Scheme::Signature => "Signature",
            Scheme::Bearer | Scheme::Basic | Scheme::None => "Bearer",
        };
        let found = challenges.iter().any(|challenge| {
            let named =
                challenge.split_once("error=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(error, _)| error);
            challenge.split_once(' ').is_some_and(|(of, _)| of == scheme) && named == error
        });
        (!found).then(|| match error {
            Some(error) => format!("challenges {challenges:?} without {scheme} and error {error:?}"),
            None => {
                format!("challenges {challenges:?} without {scheme}, or with an error although nothing was presented")
            }
        })
    }
}

/// What is not active is told nothing more about (RFC 7662 §2.2).
fn inactive(seen: &Seen) -> Judged {
    let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    match body["active"].as_bool() {
        Some(false) if body.as_object().is_some_and(|members| members.len() == 1) => held(),
        Some(false) => (Verdict::Otherwise, "more is told than that it is not active".to_owned()),
        Some(true) => (Verdict::LetIn, "it is said to be active".to_owned()),
        None => (Verdict::Otherwise, "an answer without \"active\"".to_owned()),
    }
}

/// Whether a redirect leads further in, rather than to where one logs in.
fn leads_in(location: &str) -> bool {
    let location = location.to_ascii_lowercase();
    !["login", "signin", "sign-in", "sign_in", "auth", "sso", "error", "denied"]
        .iter()
        .any(|word| location.contains(word))
}

fn let_in(seen: &Seen, issued: &Issued) -> String {
    let ours = !issued.principal.is_empty() && String::from_utf8_lossy(&seen.body).contains(&issued.principal);
    format!("status {}{}", seen.status, if ours { ", for the owner of the valid credential" } else { "" })
}

fn listed(statuses: &[u16]) -> String {
    statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
}

/// The counters that grew more than they may, in words.
pub(super) fn grown(at_most: &BTreeMap<Counter, u64>, grown: &Counters) -> Option<String> {
    let of = |counter: Counter| match counter {
        Counter::StoreLookups => ("store_lookups", grown.store_lookups),
        Counter::StoreWrites => ("store_writes", grown.store_writes),
        Counter::VerifyCalls => ("verify_calls", grown.verify_calls),
        Counter::HashCalls => ("hash_calls", grown.hash_calls),
        Counter::JwksFetches => ("jwks_fetches", grown.jwks_fetches),
    };
    let over: Vec<String> = at_most
        .iter()
        .filter_map(|(counter, most)| {
            let (name, count) = of(*counter);
            (count > *most).then(|| format!("{name} grew by {count}, at most {most} is right"))
        })
        .collect();
    (!over.is_empty()).then(|| over.join("; "))
}

/// What came back, in words.
pub(super) fn describe(came: &Came) -> String {
    match came {
        Came::Answer(seen) => {
            let challenges: Vec<&str> = seen.all("www-authenticate").collect();
            let problem = serde_json::from_slice::<serde_json::Value>(&seen.body).ok();
            let kind = problem.and_then(|problem| {
                let text = problem["type"].as_str().or(problem["error"].as_str())?;
                (text != "about:blank").then(|| text.rsplit('/').next().unwrap_or(text).to_owned())
            });
            let mut text = seen.status.to_string();
            for part in challenges.into_iter().map(str::to_owned).chain(kind) {
                text = format!("{text}; {part}");
            }
            text
        }
        Came::Alert(alert) => format!("TLS alert {alert}"),
        Came::ServerHello => "ServerHello".to_owned(),
        Came::Closed => "connection closed".to_owned(),
        Came::Garbage => "neither HTTP nor TLS".to_owned(),
        Came::Silence => "no answer".to_owned(),
        Came::Unreachable(why) => format!("no connection: {why}"),
    }
}

#[cfg(test)]
mod tests;
