//! `credentials = { … }`: where a variant's credentials come from.

use super::super::reader::Section;
use super::super::value::text;
use super::field::{content, url};
use crate::plan::{CredentialSource, MethodWord, Slot, Template, TokenRequest};

/// The keys that each name a source.
const SOURCES: [&str; 5] = ["file", "env", "certificate", "folder", "token_request"];

/// Reads where the credentials of a method that authenticates come from.
pub(super) fn read(section: &mut Section<'_>, method: MethodWord) -> Option<CredentialSource> {
    if !section.has("credentials") {
        section.error(
            "credentials",
            format!("credentials is missing; write for instance credentials = {}", example(method)),
        );
    }
    let mut table = section.table("credentials")?;
    let source = match SOURCES.iter().filter(|key| table.has(key)).count() {
        1 => read_source(&mut table),
        n => {
            let sources = SOURCES.join(", ");
            let message = if n == 0 { "says no source" } else { "says several sources" };
            section.error("credentials", format!("credentials {message}; write one of {sources}"));
            table.ignore(SOURCES.into_iter().chain(["key", "principal"]));
            None
        }
    };
    table.finish();
    let source = source?;
    let certificates = matches!(source, CredentialSource::Certificate { .. } | CredentialSource::Folder(_));
    let fits = match method {
        MethodWord::Mtls => certificates,
        MethodWord::Basic => !certificates && !matches!(source, CredentialSource::TokenRequest(_)),
        _ => !certificates,
    };
    if !fits {
        section.error(
            "credentials",
            format!(
                "credentials are of another kind than method \"{}\" presents; write for instance {}",
                method.name(),
                example(method)
            ),
        );
        return None;
    }
    Some(source)
}

fn example(method: MethodWord) -> &'static str {
    match method {
        MethodWord::Mtls => "{ folder = \"clients\" }",
        _ => "{ file = \"credentials.txt\" }",
    }
}

fn read_source(table: &mut Section<'_>) -> Option<CredentialSource> {
    if table.has("file") {
        return table.optional("file", content).map(|path| CredentialSource::File(path.into()));
    }
    if table.has("folder") {
        return table.optional("folder", content).map(|path| CredentialSource::Folder(path.into()));
    }
    if table.has("token_request") {
        return read_token_request(table.table("token_request")?).map(CredentialSource::TokenRequest);
    }
    let principal = table.optional("principal", content);
    if table.has("env") {
        let variable = table.optional("env", text)?;
        // The same rule as for `${NAME}`.
        if Template::parse(&format!("${{{variable}}}")).is_err() {
            table.error("env", "env is no name of a variable of the environment; write for instance env = \"API_KEY\"");
            return None;
        }
        return Some(CredentialSource::Env { variable, principal });
    }
    let certificate = table.optional("certificate", content);
    let key = table.required("key", "\"client.key\"", content);
    Some(CredentialSource::Certificate { certificate: certificate?.into(), key: key?.into(), principal })
}

fn read_token_request(mut table: Section<'_>) -> Option<TokenRequest> {
    let url = url(&mut table, "url", "\"https://localhost:9443/token\"");
    let client_id = from_environment(&mut table, "client_id", "\"load-client\"");
    let client_secret = from_environment(&mut table, "client_secret", "\"${CLIENT_SECRET}\"");
    let scope = table.optional("scope", content);
    let principal = table.optional("principal", content);
    if client_secret.as_ref().is_some_and(|secret| secret.slots().next().is_none()) {
        table.error(
            "client_secret",
            "client_secret stands in the scenario, which every run stores; write \"${NAME}\" and put it into the \
             environment",
        );
    }
    table.finish();
    Some(TokenRequest { url: url?.to_string(), client_id: client_id?, client_secret: client_secret?, scope, principal })
}

/// A template whose only places are variables. What was written is not repeated: it may be a secret.
fn from_environment(table: &mut Section<'_>, key: &'static str, example: &str) -> Option<Template> {
    let written = table.required(key, example, |value| Ok(text(value)))?;
    let found = written.and_then(|written| Template::parse(&written)).and_then(|template| {
        let variables = template.slots().all(|slot| matches!(slot, Slot::Variable(_)));
        if variables && !template.text().is_empty() { Ok(template) } else { Err("write text or ${NAME}".to_owned()) }
    });
    found.map_err(|remedy| table.error(key, format!("{key}: {remedy}"))).ok()
}
