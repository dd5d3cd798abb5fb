//! Secrets that the scenario takes from the environment, and how they are kept out of what is printed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench_server::contract::{Issued, Material, Secret};

use crate::plan::{Slot, Template};

/// What stands in the place of a secret.
const REDACTED: &str = "[secret]";

/// The variables of the environment that a variant names, read once.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    values: BTreeMap<String, Secret>,
}

impl Environment {
    /// # Errors
    /// All variables that are missing.
    pub(super) fn read(names: &[&str]) -> Result<Self, String> {
        Self::from(names, |name| std::env::var(name).ok())
    }

    fn from(names: &[&str], value: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut environment = Self::default();
        let mut missing = Vec::new();
        for name in names {
            match value(name).filter(|value| !value.is_empty()) {
                Some(value) => drop(environment.values.insert((*name).to_owned(), Secret::new(value))),
                None => missing.push(*name),
            }
        }
        match missing.is_empty() {
            true => Ok(environment),
            false => Err(format!("the scenario needs {} in the environment; set it and run again", missing.join(", "))),
        }
    }

    /// # Errors
    /// When the plan did not say that the variable is needed.
    pub(super) fn get(&self, name: &str) -> Result<&Secret, String> {
        self.values.get(name).ok_or_else(|| format!("the variable {name} was not read"))
    }

    /// A template of variables only.
    pub(super) fn fill(&self, template: &Template) -> Result<Secret, String> {
        let filled = template.fill(|slot| match slot {
            Slot::Variable(name) => self.get(name).map(|value| value.expose().to_owned()),
            Slot::Credential | Slot::Principal | Slot::Id => Err("there is no credential to fill in".to_owned()),
        })?;
        Ok(Secret::new(filled))
    }

    /// A template about a credential.
    pub(super) fn fill_for(&self, template: &Template, credential: &Issued) -> Result<String, String> {
        template.fill(|slot| match slot {
            Slot::Variable(name) => self.get(name).map(|value| value.expose().to_owned()),
            Slot::Credential => Ok(presented(credential)),
            Slot::Principal => Ok(credential.principal.clone()),
            Slot::Id => Ok(credential.id.clone()),
        })
    }

    /// The text without the environment's values and without the credential, in every form that they are sent in.
    pub(super) fn redact(&self, text: &str, credential: Option<&Issued>) -> String {
        let own = credential.map(secrets).unwrap_or_default();
        let mut secrets: Vec<String> =
            self.values.values().map(Secret::expose).chain(own.iter().map(Secret::expose)).flat_map(forms).collect();
        // The longest first: one may be a part of another.
        secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
            .iter()
            .filter(|secret| !secret.is_empty())
            .fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), REDACTED))
    }
}

/// As a revocation names a credential by its value: a certificate by its chain, which is public.
pub(super) fn presented(credential: &Issued) -> String {
    match &credential.material {
        Material::None => String::new(),
        Material::ApiKey { key: token } | Material::Bearer { token } => token.expose().to_owned(),
        Material::Password { username, password } => format!("{username}:{}", password.expose()),
        Material::Certificate { chain_pem, .. } => chain_pem.clone(),
        Material::SigningKey { key_id, .. } => key_id.clone(),
    }
}

fn secrets(credential: &Issued) -> Vec<Secret> {
    match &credential.material {
        Material::None => Vec::new(),
        Material::ApiKey { key: secret } | Material::Bearer { token: secret } => vec![secret.clone()],
        Material::Password { password, .. } => vec![Secret::new(presented(credential)), password.clone()],
        Material::Certificate { key_pem: secret, .. } | Material::SigningKey { key: secret, .. } => {
            vec![secret.clone()]
        }
    }
}

/// A secret as it is, in a form or URL, in Basic's base64, and in JSON.
fn forms(secret: &str) -> [String; 4] {
    let json = serde_json::to_string(secret).expect("every string can be JSON");
    [
        secret.to_owned(),
        form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        STANDARD.encode(secret),
        json.trim_matches('"').to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_missing_variables_are_named_at_once() {
        let value = |name: &str| (name == "A").then(|| "x".to_owned());
        let error = Environment::from(&["A", "B", "C"], value).expect_err("two are missing");
        assert!(error.contains("B, C") && !error.contains('A'), "{error}");
        let environment = Environment::from(&["A"], value).expect("it is there");
        let template = Template::parse("<${A}>").expect("no mistake");
        assert_eq!(environment.fill(&template).expect("filled").expose(), "<x>");
    }

    #[test]
    fn secrets_are_taken_out_in_every_form() {
        let environment = Environment::from(&["ADMIN"], |_| Some("ad min&".to_owned())).expect("it is there");
        let password = Secret::new("p\"w");
        let material = Material::Password { username: "alice".to_owned(), password };
        let alice = Issued { id: "alice".to_owned(), principal: "alice".to_owned(), material };
        let basic = STANDARD.encode("alice:p\"w");
        let text = format!("ad min& ad+min%26 Basic {basic} {{\"password\":\"p\\\"w\"}} p\"w of alice");
        let redacted = environment.redact(&text, Some(&alice));
        assert_eq!(redacted, "[secret] [secret] Basic [secret] {\"password\":\"[secret]\"} [secret] of alice");
        assert!(!format!("{environment:?}").contains("min"));
    }
}
