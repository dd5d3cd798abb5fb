//! `revoke = { … }`: how a credential of the target is taken back.

use std::collections::BTreeMap;

use http::Method;

use super::super::document::Value;
use super::super::reader::Section;
use super::super::value::text;
use super::field::{content, header, statuses};
use crate::plan::{HeaderField, Revoke, RevokeRequest, Slot, Template};

/// Fields whose values are secret by their definition.
const SECRET_FIELDS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];
const STORED: &str =
    "stands in the scenario, which every run stores; write \"${NAME}\" and put it into the environment";

/// Reads how a credential is revoked, where that is said.
pub(super) fn read(section: &mut Section<'_>) -> Option<Revoke> {
    let mut table = section.table("revoke")?;
    let (request, command) = (table.has("request"), table.has("command"));
    let revoke = match (request, command) {
        (true, false) => table.table("request").and_then(read_request).map(Revoke::Request),
        (false, true) => read_command(&mut table).map(Revoke::Command),
        _ => {
            section.error(
                "revoke",
                "revoke must say one way; write request = { method = \"DELETE\", url = \"…/{id}\" } or command = \
                 [\"./revoke.sh\", \"{id}\"]",
            );
            table.ignore(["request", "command"]);
            None
        }
    };
    table.finish();
    revoke
}

fn read_request(mut table: Section<'_>) -> Option<RevokeRequest> {
    let method = table.or("method", "DELETE".to_owned(), |value| {
        let written = text(value)?;
        Method::from_bytes(written.as_bytes())
            .map(|method| method.to_string())
            .map_err(|_| "write a method like \"DELETE\" or \"POST\"".to_owned())
    });
    let url = read_url(&mut table);
    let header = read_headers(&mut table);
    let form = read_form(&mut table);
    let status = table.or("status", vec![200, 202, 204], statuses);
    table.finish();
    Some(RevokeRequest { method, url: url?, header: header?, form: form?, status })
}

/// An absolute URL; an id may stand in it, a secret may not: URLs are logged.
fn read_url(table: &mut Section<'_>) -> Option<Template> {
    let written = table.required("url", "\"https://localhost:8443/keys/{id}\"", text)?;
    let found = Template::parse(&written).and_then(|template| {
        if !template.slots().all(|slot| matches!(slot, Slot::Id | Slot::Principal)) {
            return Err("only {id} and {principal} can stand in it: URLs are logged".to_owned());
        }
        let filled = template.fill(|_| Ok::<_, String>("1".to_owned()))?;
        super::field::absolute(&filled).map(|_| template)
    });
    found.map_err(|remedy| table.error("url", format!("url: {remedy}"))).ok()
}

/// One field, or a list of fields.
fn read_headers(table: &mut Section<'_>) -> Option<Vec<HeaderField>> {
    let lines = table.or("header", Vec::new(), |value| match value {
        Value::List(items) => items.iter().map(|item| text(&item.value)).collect(),
        value => text(value).map(|line| vec![line]),
    });
    let fields: Result<Vec<HeaderField>, String> = lines
        .iter()
        .map(|line| {
            let field = header(line)?;
            let secret = SECRET_FIELDS.iter().any(|name| field.name.eq_ignore_ascii_case(name));
            let elsewhere = field.value.slots().any(|slot| matches!(slot, Slot::Variable(_) | Slot::Credential));
            if secret && !elsewhere { Err(format!("header {} {STORED}", field.name)) } else { Ok(field) }
        })
        .collect();
    fields.map_err(|message| table.error("header", message)).ok()
}

/// Nothing of what was written is repeated.
fn read_form(table: &mut Section<'_>) -> Option<BTreeMap<String, Template>> {
    let written = table.optional("form", |value| match value {
        Value::Table(fields) => Ok(Some(fields.clone())),
        _ => Ok(None),
    });
    let fields = match written {
        None => Ok(BTreeMap::new()),
        Some(None) => Err("form must be a table like { token = \"{credential}\" }".to_owned()),
        Some(Some(fields)) => fields.into_iter().map(|(name, (_, item))| form_field(name, &item.value)).collect(),
    };
    fields.map_err(|message| table.error("form", message)).ok()
}

fn form_field(name: String, value: &Value) -> Result<(String, Template), String> {
    let template = text(value).and_then(|text| Template::parse(&text));
    let template = template.map_err(|remedy| format!("form.{name}: {remedy}"))?;
    let secret = ["secret", "password", "assertion"].iter().any(|word| name.contains(word));
    if secret && template.slots().next().is_none() {
        return Err(format!("form.{name} {STORED}"));
    }
    Ok((name, template))
}

/// Program and arguments. Arguments can be read by every user of the machine, so no secret may be among them.
fn read_command(table: &mut Section<'_>) -> Option<Vec<Template>> {
    const REMEDY: &str = "write the program and its arguments, like [\"./revoke.sh\", \"{id}\"]";
    let words: Vec<String> = table.optional("command", |value| match value {
        Value::List(items) if !items.is_empty() => {
            items.iter().map(|item| content(&item.value)).collect::<Result<_, _>>().map_err(|_| REMEDY.to_owned())
        }
        _ => Err(REMEDY.to_owned()),
    })?;
    let templates: Result<Vec<Template>, String> = words
        .iter()
        .map(|word| {
            let template = Template::parse(word)?;
            if template.slots().all(|slot| matches!(slot, Slot::Id | Slot::Principal)) {
                Ok(template)
            } else {
                Err("only {id} and {principal} can stand in it: every user can read arguments. The credential is on \
                     the command's standard input, and the environment is its own"
                    .to_owned())
            }
        })
        .collect();
    templates.map_err(|remedy| table.error("command", format!("command: {remedy}"))).ok()
}
