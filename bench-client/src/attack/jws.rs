//! A compact JWS (RFC 7515 §7.1), taken apart so that each member can be wrong. Values are JSON texts, not values: what is to be
//! sent includes what no JSON library writes, like a member twice or `1e400`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Header, claims and signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jws {
    pub(crate) header: Part,
    pub(crate) claims: Part,
    pub(crate) signature: Signature,
}

/// A JSON object in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Names and values as JSON texts, in order.
    members: Vec<(String, String)>,
    /// What stands before and behind the object.
    before: Vec<u8>,
    after: Vec<u8>,
    /// What stands in its place: at first the text that was read, which alone is what was signed.
    whole: Option<Vec<u8>>,
}

/// Members in the order in which they were written.
struct Ordered(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// What stands behind the last dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signature {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing, and not even the dot.
    Dropped,
}

impl Jws {
    /// Takes a token apart; `None` where it is none.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let (header, claims, signature) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() {
            return None;
        }
        Some(Self {
            header: Part::read(&header)?,
            claims: Part::read(&claims)?,
            signature: Signature::Bytes(signature),
        })
    }

    /// One that is not signed yet. Values are JSON texts.
    pub(crate) fn new(header: Vec<(&str, String)>, claims: Vec<(&str, String)>) -> Self {
        Self { header: Part::new(header), claims: Part::new(claims), signature: Signature::Bytes(Vec::new()) }
    }

    /// What is signed.
    pub(crate) fn signing_input(&self) -> String {
        format!("{}.{}", URL_SAFE_NO_PAD.encode(self.header.text()), URL_SAFE_NO_PAD.encode(self.claims.text()))
    }

    /// The token.
    pub(crate) fn text(&self) -> String {
        match &self.signature {
            Signature::Bytes(bytes) => format!("{}.{}", self.signing_input(), URL_SAFE_NO_PAD.encode(bytes)),
            Signature::Dropped => self.signing_input(),
        }
    }

    /// The same names with values of nobody, and a signature that signs nothing: what a report shows.
    pub(crate) fn stand_in(&self) -> Self {
        let mut shown = self.clone();
        shown.claims.whole = None;
        for (_, value) in &mut shown.claims.members {
            let keeps = value.starts_with(|c: char| c.is_ascii_digit());
            if !keeps {
                *value = "\"x\"".to_owned();
            }
        }
        if let Signature::Bytes(bytes) = &mut shown.signature {
            bytes.fill(0);
        }
        shown
    }
}

impl Part {
    fn new(members: Vec<(&str, String)>) -> Self {
        let members = members.into_iter().map(|(name, json)| (name.to_owned(), json)).collect();
        Self { members, before: Vec::new(), after: Vec::new(), whole: None }
    }

    fn read(json: &[u8]) -> Option<Self> {
        let Ordered(members) = serde_json::from_slice(json).ok()?;
        let members = members.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        Some(Self { members, before: Vec::new(), after: Vec::new(), whole: Some(json.to_vec()) })
    }

    /// The value of a member, where it is a string.
    pub(crate) fn string(&self, name: &str) -> Option<String> {
        let (_, value) = self.members.iter().rfind(|(known, _)| known == name)?;
        serde_json::from_str(value).ok()
    }

    /// Puts a member in its place, or behind all others.
    pub(crate) fn set(&mut self, name: &str, json: String) {
        self.whole = None;
        match self.members.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => *value = json,
            None => self.members.push((name.to_owned(), json)),
        }
    }

    /// Puts a member behind all others, whether there is one of the name or not. The name is written as it is, escapes
    /// included.
    pub(crate) fn add(&mut self, name: &str, json: String) {
        self.whole = None;
        self.members.push((name.to_owned(), json));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.whole = None;
        self.members.retain(|(known, _)| known != name);
    }

    pub(crate) fn replace(&mut self, text: Vec<u8>) {
        self.whole = Some(text);
    }

    pub(crate) fn surround(&mut self, before: Vec<u8>, after: Vec<u8>) {
        self.whole = None;
        self.before = before;
        self.after = after;
    }

    /// The object as text.
    pub(crate) fn text(&self) -> Vec<u8> {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        let members: Vec<String> = self.members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        [&self.before[..], b"{", members.join(",").as_bytes(), b"}", &self.after[..]].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Jws {
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let text = format!("{}.{}.{}", part(r#"{"alg":"ES256"}"#), part(r#"{"exp":9,"sub":"a"}"#), part("sig"));
        Jws::parse(&text).expect("a token")
    }

    #[test]
    fn a_token_comes_back_as_it_was() {
        assert_eq!(Jws::parse(&token().text()), Some(token()));
        assert_eq!(token().header.string("alg").as_deref(), Some("ES256"));
        // Neither sorted nor without spaces: as it was signed.
        let odd = format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{ "typ":"at+jwt", "alg":"ES256" }"#), "e30");
        assert_eq!(Jws::parse(&odd).expect("a token").text(), odd);
        for other in ["", "a.b", "a.b.c", "ab_live_x", "e30.e30.e30.e30"] {
            assert_eq!(Jws::parse(other), None, "{other}");
        }
    }

    #[test]
    fn members_can_be_wrong_in_ways_that_no_library_writes() {
        let mut token = token();
        token.claims.set("exp", "1e400".to_owned());
        token.claims.add("\\u0073ub", "\"b\"".to_owned());
        token.header.remove("alg");
        assert_eq!(token.header.text(), b"{}");
        assert_eq!(token.claims.text(), br#"{"exp":1e400,"sub":"a","\u0073ub":"b"}"#);
        token.claims.surround(b"\xef\xbb\xbf".to_vec(), b" x".to_vec());
        assert!(token.claims.text().starts_with(b"\xef\xbb\xbf{") && token.claims.text().ends_with(b"} x"));
        token.claims.replace(b"[]".to_vec());
        assert_eq!(token.claims.text(), b"[]");
        token.signature = Signature::Dropped;
        assert_eq!(token.text().matches('.').count(), 1);
    }

    #[test]
    fn a_stand_in_has_nothing_of_the_token_but_its_form() {
        let shown = token().stand_in();
        assert_eq!(shown.claims.string("sub").as_deref(), Some("x"));
        assert_eq!(shown.signature, Signature::Bytes(vec![0; 3]));
        assert_eq!(shown.header, token().header);
        assert!(!String::from_utf8_lossy(&shown.claims.text()).contains("\"a\""));
    }
}
