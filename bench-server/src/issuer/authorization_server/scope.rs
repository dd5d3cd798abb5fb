//! Scopes (RFC 6749 §3.3).

use std::fmt;

/// A set of scope tokens, in the order in which they were named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scopes(Vec<String>);

impl Scopes {
    /// From single scope tokens.
    ///
    /// # Errors
    /// The first that is not a scope token.
    pub(super) fn from_tokens<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let mut scopes = Vec::new();
        for token in tokens {
            if token.is_empty() || !token.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E)) {
                return Err(token);
            }
            if !scopes.iter().any(|known| known == token) {
                scopes.push(token.to_owned());
            }
        }
        Ok(Self(scopes))
    }

    /// From the value of a `scope` parameter; `None` when it is not well-formed.
    pub(super) fn parse(value: &str) -> Option<Self> {
        Self::from_tokens(value.split(' ')).ok()
    }

    pub(super) fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|held| held == token)
    }

    pub(super) fn is_subset_of(&self, other: &Self) -> bool {
        self.0.iter().all(|token| other.contains(token))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The tokens that `keep` holds.
    pub(super) fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|token| keep(token)).cloned().collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_checked_and_kept_once() {
        assert_eq!(Scopes::parse("read write read").map(|s| s.to_string()).as_deref(), Some("read write"));
        assert_eq!(Scopes::parse("read  write"), None);
        assert_eq!(Scopes::parse("re\"ad"), None);
        assert_eq!(Scopes::parse("re\\ad"), None);
    }

    #[test]
    fn subset() {
        let (wide, narrow) = (Scopes::parse("a b").expect("valid"), Scopes::parse("b").expect("valid"));
        assert!(narrow.is_subset_of(&wide) && !wide.is_subset_of(&narrow));
        assert!(Scopes::default().is_subset_of(&narrow));
    }
}
