//! JSON as a JWS header or a claims set may contain it: one UTF-8 object, no member twice, bounded depth, nothing after
//! it (RFC 7515 §4, RFC 7519 §4, RFC 8725 §3.7).
//!
//! Repeated names are found after unescaping, so `"alg"` and `"\u0061lg"` are the same member.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Deepest nesting read, the outer object included.
const MAX_DEPTH: usize = 32;

/// Most members of one object. It bounds the search for repeated names; real tokens have about ten.
const MAX_MEMBERS: usize = 64;

/// Why a text was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not one JSON text in UTF-8.
    NotJson,
    /// JSON, but with a repeated member, a wrong type or too deep.
    NotAccepted,
}

/// Reads one object through `visitor`, borrowing from `text`.
pub(crate) fn read_object<'de, V: Visitor<'de>>(text: &'de [u8], visitor: V) -> Result<V::Value, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::NotJson)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = reader.deserialize_map(visitor).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| if error.is_data() { Fault::NotAccepted } else { Fault::NotJson })
}

/// Checks that a text is one acceptable object, and keeps nothing of it.
pub(crate) fn check_object(text: &[u8]) -> Result<(), Fault> {
    read_object(text, Skip { entered: 0 })
}

/// The names of one object that no field of the reader's own stands for.
#[derive(Default)]
pub(crate) struct Names<'de>(Vec<Cow<'de, str>>);

impl<'de> Names<'de> {
    /// Remembers a name.
    ///
    /// # Errors
    /// When it was seen before, or there are too many.
    pub(crate) fn insert<E: Error>(&mut self, name: Cow<'de, str>) -> Result<(), E> {
        if self.0.contains(&name) {
            return Err(E::custom("repeated member"));
        }
        if self.0.len() == MAX_MEMBERS {
            return Err(E::custom("too many members"));
        }
        self.0.push(name);
        Ok(())
    }
}

/// Stores the value of a member that may occur once.
///
/// # Errors
/// When the slot is taken.
pub(crate) fn once<T, E: Error>(slot: &mut Option<T>, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("repeated member")),
    }
}

/// A string, borrowed unless it contains escapes.
pub(crate) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Any value: checked by the same rules and dropped.
#[derive(Clone, Copy)]
pub(crate) struct Skip {
    /// Objects and arrays around the value.
    entered: usize,
}

impl Skip {
    /// The value of a member of the outer object.
    pub(crate) fn member() -> Self {
        Self { entered: 1 }
    }

    fn enter<E: Error>(self) -> Result<Self, E> {
        if self.entered == MAX_DEPTH { Err(E::custom("too deep")) } else { Ok(Self { entered: self.entered + 1 }) }
    }
}

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.enter()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inside = self.enter()?;
        let mut names = Names::default();
        while let Some(name) = members.next_key_seed(Text)? {
            names.insert(name)?;
            members.next_value_seed(inside)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_and_nothing_else() {
        assert_eq!(check_object(br#" {"a":[1,-2,3.5,"x",null,true,{"b":{}}]} "#), Ok(()));
        assert_eq!(check_object(b"{}"), Ok(()));
        for text in [&b"\xef\xbb\xbf{}"[..], b"{}x", b"{} {}", b"", b"{", b"{\"a\":\"\xff\"}", br#"{"a":"\ud800"}"#] {
            assert_eq!(check_object(text), Err(Fault::NotJson), "{text:?}");
        }
        for text in ["[]", "\"x\"", "1", "null"] {
            assert_eq!(check_object(text.as_bytes()), Err(Fault::NotAccepted), "{text}");
        }
    }

    #[test]
    fn repeated_members_are_found_under_any_spelling_and_at_any_depth() {
        for text in
            [r#"{"a":1,"a":1}"#, r#"{"alg":1,"\u0061lg":1}"#, r#"{"x":{"b":1,"\u0062":2}}"#, r#"{"x":[{"":1,"":2}]}"#]
        {
            assert_eq!(check_object(text.as_bytes()), Err(Fault::NotAccepted), "{text}");
        }
        assert_eq!(check_object(br#"{"a":{"a":1},"A":1,"b":[{"c":1},{"c":1}]}"#), Ok(()));
    }

    #[test]
    fn depth_and_member_count_are_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert_eq!(check_object(nested(MAX_DEPTH).as_bytes()), Ok(()));
        assert_eq!(check_object(nested(MAX_DEPTH + 1).as_bytes()), Err(Fault::NotAccepted));
        assert!(check_object(nested(10_000).as_bytes()).is_err());
        let wide = |n: usize| {
            let members: Vec<String> = (0..n).map(|i| format!("\"m{i}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(check_object(wide(MAX_MEMBERS).as_bytes()), Ok(()));
        assert_eq!(check_object(wide(MAX_MEMBERS + 1).as_bytes()), Err(Fault::NotAccepted));
    }
}
