//! Values of `[target]` and its variants: URLs, header fields, status codes, templates.

use http::header::{HeaderName, HeaderValue};
use reqwest::Url;

use super::super::document::Value;
use super::super::reader::Section;
use super::super::value::text;
use crate::plan::{HeaderField, Slot, Template};

/// Fields that the load engine writes by itself, or that would change how a message is framed.
const RESERVED: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

/// A string that is not empty.
pub(super) fn content(value: &Value) -> Result<String, String> {
    text(value).and_then(|text| if text.is_empty() { Err("write something".to_owned()) } else { Ok(text) })
}

/// Status codes: final ones (RFC 9110 §15).
pub(super) fn statuses(value: &Value) -> Result<Vec<u16>, String> {
    const REMEDY: &str = "write a list of status codes from 200 to 599, like [401, 403]";
    let Value::List(items) = value else { return Err(REMEDY.to_owned()) };
    let codes: Option<Vec<u16>> = items
        .iter()
        .map(|item| match item.value {
            Value::Integer(code) => u16::try_from(code).ok().filter(|code| (200..600).contains(code)),
            _ => None,
        })
        .collect();
    codes.filter(|codes| !codes.is_empty()).ok_or_else(|| REMEDY.to_owned())
}

/// A template with no other places than the allowed ones; variables are none of them.
pub(super) fn placeholders(
    allowed: &'static [Slot],
    remedy: &'static str,
) -> impl Fn(&Value) -> Result<Template, String> {
    move |value| {
        let template = Template::parse(&content(value)?)?;
        if template.slots().all(|slot| allowed.contains(slot)) { Ok(template) } else { Err(remedy.to_owned()) }
    }
}

/// A header field like `X-API-Key: {credential}`.
///
/// # Errors
/// What to write instead; the field's value is not repeated.
pub(super) fn header(line: &str) -> Result<HeaderField, String> {
    let (name, value) = line
        .split_once(':')
        .filter(|(name, _)| HeaderName::from_bytes(name.as_bytes()).is_ok())
        .ok_or("header must be a field like \"X-API-Key: {credential}\"")?;
    if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return Err(format!("header is {name}, which belongs to the connection; write another field"));
    }
    let value = value.trim();
    if HeaderValue::from_str(value).is_err() {
        return Err(format!("header {name} holds a character that no field may carry (RFC 9110 §5.5)"));
    }
    let value = Template::parse(value).map_err(|remedy| format!("header {name}: {remedy}"))?;
    Ok(HeaderField { name: name.to_owned(), value })
}

/// An absolute URL that must be there.
pub(super) fn url(section: &mut Section<'_>, key: &'static str, example: &str) -> Option<Url> {
    let written = section.required(key, example, text)?;
    absolute(&written).map_err(|remedy| section.error(key, format!("{key}: {remedy}"))).ok()
}

/// An absolute URL.
///
/// # Errors
/// What to write instead.
pub(super) fn absolute(written: &str) -> Result<Url, String> {
    parse(written, None)
}

/// The URL of a variant: absolute, or a path on the target. It stays on the target's transport.
pub(super) fn variant_url(section: &mut Section<'_>, base: Option<&Url>) -> Option<Url> {
    let written = section.optional("url", text)?;
    let found = parse(&written, Some(base?)).and_then(|url| {
        let scheme = base.map_or("", Url::scheme);
        if url.scheme() == scheme {
            Ok(url)
        } else {
            Err(format!(
                "the target is {scheme}: costs are distances from a baseline on the same transport; keep to it"
            ))
        }
    });
    found.map_err(|remedy| section.error("url", format!("url: {remedy}"))).ok()
}

/// Nothing of the text is repeated: it may hold a password.
fn parse(written: &str, base: Option<&Url>) -> Result<Url, String> {
    let url = Url::options()
        .base_url(base)
        .parse(written)
        .map_err(|error| format!("{error}; write one like \"https://localhost:8443/whoami\""))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("only http and https can be measured; write one like \"https://localhost:8443/whoami\"".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "a user name or password does not belong here, where every run stores it; use credentials".to_owned()
        );
    }
    if url.fragment().is_some() {
        return Err("a fragment (#…) is never sent; remove it".to_owned());
    }
    Ok(url)
}
