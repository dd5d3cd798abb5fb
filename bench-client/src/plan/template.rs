//! Text with places to fill in: `{credential}`, `{principal}`, `{id}`, and `${NAME}` for a variable of the environment.
//!
//! Parsed once, filled in one pass: what is put into one place is never searched for another.

use serde::{Deserialize, Serialize};

/// Text with places to fill in, kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Slot(Slot),
}

/// What a place of a template is filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// `{credential}`: the secret that a request presents.
    Credential,
    /// `{principal}`: for whom the server should take its bearer.
    Principal,
    /// `{id}`: what a revocation names; never secret.
    Id,
    /// `${NAME}`: a variable of the environment.
    Variable(String),
}

const NAMED: [(&str, Slot); 3] = [("credential", Slot::Credential), ("principal", Slot::Principal), ("id", Slot::Id)];

impl Template {
    /// Reads a template. A `{` that no lower-case word and `}` follow is an ordinary character, as JSON needs it.
    ///
    /// # Errors
    /// What to write instead of a place that does not exist.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, at) = rest.split_at(open);
            let is_variable = before.ends_with('$');
            let word = at[1..].split_once('}').map(|(word, _)| word);
            let slot = match word {
                Some(name) if is_variable && is_variable_name(name) => Some(Slot::Variable(name.to_owned())),
                _ if is_variable => return Err("write a variable of the environment as ${NAME}".to_owned()),
                Some(name) if is_word(name) => match NAMED.iter().find(|(known, _)| *known == name) {
                    Some((_, slot)) => Some(slot.clone()),
                    None => {
                        return Err(format!(
                            "{{{name}}} is no place that is filled in; write {{credential}}, \
                                                {{principal}} or {{id}}"
                        ));
                    }
                },
                _ => None,
            };
            match (slot, word) {
                (Some(slot), Some(word)) => {
                    literal.push_str(if is_variable { &before[..before.len() - 1] } else { before });
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Slot(slot));
                    rest = &at[word.len() + 2..];
                }
                _ => {
                    literal.push_str(&rest[..=open]);
                    rest = &at[1..];
                }
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The places to fill in, in order.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.parts.iter().filter_map(|part| match part {
            Part::Slot(slot) => Some(slot),
            Part::Literal(_) => None,
        })
    }

    /// Fills every place with what `value` answers.
    ///
    /// # Errors
    /// The first that `value` answers.
    pub fn fill<E>(&self, mut value: impl FnMut(&Slot) -> Result<String, E>) -> Result<String, E> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Slot(slot) => filled.push_str(&value(slot)?),
            }
        }
        Ok(filled)
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.text
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// As POSIX names variables (XBD §8.1), lower case allowed.
fn is_variable_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        let template = Template::parse(text).expect(text);
        let value = |slot: &Slot| match slot {
            Slot::Credential => "{id}".to_owned(), // a secret may look like a place
            Slot::Principal => "app".to_owned(),
            Slot::Id => "7".to_owned(),
            Slot::Variable(name) => format!("<{name}>"),
        };
        template.fill(|slot| Ok::<_, ()>(value(slot))).expect("nothing fails")
    }

    #[test]
    fn places_are_filled_in_one_pass() {
        for (text, expected) in [
            ("Bearer {credential}", "Bearer {id}"),
            ("{\"principal\":\"{principal}\"}", "{\"principal\":\"app\"}"),
            ("/keys/{id}?as=${ADMIN_2}", "/keys/7?as=<ADMIN_2>"),
            ("", ""),
            ("{ {} }{", "{ {} }{"),
            ("$5 {principal}$", "$5 app$"),
        ] {
            assert_eq!(filled(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_an_error() {
        for wrong in ["{principle}", "${}", "${1A}", "${A", "${A-B}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_template_is_stored_as_it_was_written() {
        let template = Template::parse("a {id} ${B}").expect("no mistake");
        let json = serde_json::to_string(&template).expect("plain data");
        assert_eq!(json, "\"a {id} ${B}\"");
        assert_eq!(serde_json::from_str::<Template>(&json).expect("just written"), template);
        assert_eq!(template.slots().count(), 2);
    }
}
