//! `[target]`: a server of the user's in the place of the reference server, and what its variants say about it.
//!
//! No secret is taken from the text, which every run stores: where one is needed, the environment or a file has it.

mod credentials;
mod field;
mod forge;
mod revoke;
#[cfg(test)]
mod tests;

use std::path::Path;

use bench_server::contract::{HttpVersion, Transport};
use reqwest::Url;

use self::field::{content, placeholders, statuses, variant_url};
use super::document::At;
use super::reader::Section;
use super::value::{flag, one_of, text, whole};
use crate::plan::{
    Accepted, Convention, CredentialSource, ExternalMethod, HeaderField, MethodWord, Revoke, Slot, TargetPlan,
    TargetProcesses, Template,
};

/// Keys of a variant that only a server of the user's has, and where they belong.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("url", "[target]"),
    ("header", "[target]"),
    ("credentials", "[target]"),
    ("accepted", "[target]"),
    ("rejected", "[target]"),
    ("revoke", "[target]"),
    ("forge", "[target]"),
    ("dpop", "[target]"),
];

/// Where each of them belongs among the methods.
const BELONGS: &[(&str, &str)] = &[
    ("header", "methods \"api-key\", \"jwt\" and \"oauth2\""),
    ("credentials", "a method that authenticates"),
    ("rejected", "a method that authenticates"),
    ("revoke", "a method that authenticates"),
    ("forge", "methods \"jwt\", \"oauth2\" and \"mtls\""),
    ("dpop", "methods \"jwt\" and \"oauth2\""),
];

/// What all variants share.
pub(super) struct Target {
    /// `None` when it could not be read.
    pub(super) plan: Option<TargetPlan>,
    /// See [`TargetPlan::url`].
    url: Option<Url>,
    pub(super) transport: Transport,
    pub(super) http: HttpVersion,
    pub(super) pin: bool,
    accepted: Accepted,
    rejected: Vec<u16>,
}

/// Reads `[target]`; relative paths in it start from `folder`.
pub(super) fn read(mut section: Section<'_>, folder: &Path) -> Target {
    const TRANSPORTS: &[(&str, Transport)] = &[("tls1.2", Transport::Tls12), ("tls1.3", Transport::Tls13)];
    const VERSIONS: &[(&str, HttpVersion)] = &[("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2)];
    let url = field::url(&mut section, "url", "\"https://localhost:8443/whoami\"");
    let tls = section.or("transport", Transport::Tls13, one_of(TRANSPORTS));
    let plaintext = url.as_ref().is_some_and(|url| url.scheme() == "http");
    if plaintext && section.has("transport") {
        section.error("transport", "transport goes with an https url, and url is http; remove it");
    }
    let roots = section.optional("roots", content);
    let http = section.or("http", HttpVersion::Http1, one_of(VERSIONS));
    let pin = section.or("pin", true, flag);
    let pid = section.optional("pid", whole(1..=u32::MAX)).map(TargetProcesses::Pid);
    let process = section.optional("process", content).map(TargetProcesses::Process);
    // What the command line says replaces what the file says, as everywhere.
    let (set_pid, set_process) = (section.at("pid"), section.at("process"));
    let (set_pid, set_process) = (matches!(set_pid, At::Argument(_)), matches!(set_process, At::Argument(_)));
    if section.has("pid") && section.has("process") && set_pid == set_process {
        section.error("process", "process and pid both name the target's processes; write one of them");
    }
    let accepted = read_accepted(&mut section, Accepted { status: vec![200], body_contains: None });
    let rejected = read_rejected(&mut section, vec![401, 403]);
    apart(&section, &accepted, &rejected);
    section.finish();
    let plan = url.as_ref().map(|url| TargetPlan {
        url: url.to_string(),
        roots: roots.map(Into::into),
        processes: if set_process { process.or(pid) } else { pid.or(process) },
        folder: folder.to_owned(),
    });
    Target { plan, url, transport: if plaintext { Transport::Plaintext } else { tls }, http, pin, accepted, rejected }
}

/// What a variant says of the target beyond name, method and pool.
pub(super) fn read_method(section: &mut Section<'_>, method: MethodWord, target: &Target) -> Option<ExternalMethod> {
    if method == MethodWord::Layered {
        section.error(
            "method",
            "method \"layered\" is the reference server's own: which two credentials a route asks for differs from server to \
             server; name another method here",
        );
    }
    let bearer = matches!(method, MethodWord::Jwt | MethodWord::OAuth2);
    let dpop = if bearer { section.optional("dpop", content).map(Into::into) } else { None };
    let url = match section.has("url") {
        true => variant_url(section, target.url.as_ref()),
        false => target.url.clone(),
    };
    let accepted = read_accepted(section, target.accepted.clone());
    let external = match method {
        MethodWord::None => read_open_route(section, accepted, target.rejected.clone()),
        _ => read_protected_route(section, method, accepted, target.rejected.clone()),
    };
    let forge = match method {
        MethodWord::Jwt | MethodWord::OAuth2 => forge::read_token_key(section),
        MethodWord::Mtls => forge::read_ca(section),
        MethodWord::None | MethodWord::ApiKey | MethodWord::Basic | MethodWord::Signed | MethodWord::Layered => None,
    };
    section.misplaced(BELONGS, &format!("method \"{}\"", method.name()));
    let (convention, credentials, revoke) = external?;
    Some(ExternalMethod { method, url: url?.to_string(), convention, credentials, revoke, forge, dpop })
}

type Route = (Convention, Option<CredentialSource>, Option<Revoke>);

fn read_open_route(section: &mut Section<'_>, accepted: Accepted, rejected: Vec<u16>) -> Option<Route> {
    if names_principal(&accepted) {
        section.error(
            "accepted",
            "accepted.body_contains holds {principal}, but without a credential there is none; write what this route \
             answers",
        );
    }
    Some((Convention { header: None, accepted, rejected }, None, None))
}

fn read_protected_route(
    section: &mut Section<'_>,
    method: MethodWord,
    accepted: Accepted,
    rejected: Vec<u16>,
) -> Option<Route> {
    let rejected = read_rejected(section, rejected);
    apart(section, &accepted, &rejected);
    let header = match method {
        MethodWord::Basic | MethodWord::Mtls | MethodWord::Signed => Some(None),
        _ => read_header(section, method).map(Some),
    };
    let credentials = credentials::read(section, method);
    let unknown = |source: &CredentialSource| method != MethodWord::Basic && source.lacks_principal();
    if names_principal(&accepted) && credentials.as_ref().is_some_and(unknown) {
        section.error(
            "credentials",
            "credentials says no principal, which accepted.body_contains asks for; add principal = \"…\"",
        );
    }
    let revoke = section.has("revoke").then(|| revoke::read(section));
    let revoke = match revoke {
        Some(None) => return None, // what was written is mistaken; that is noted
        given => given.flatten(),
    };
    Some((Convention { header: header?, accepted, rejected }, Some(credentials?), revoke))
}

/// `header = "X-API-Key: {credential}"`. Bearer tokens have one by their standard (RFC 6750 §2.1).
fn read_header(section: &mut Section<'_>, method: MethodWord) -> Option<HeaderField> {
    let bearer = matches!(method, MethodWord::Jwt | MethodWord::OAuth2);
    if bearer && !section.has("header") {
        let scheme = if section.has("dpop") { "DPoP {credential}" } else { "Bearer {credential}" };
        let value = Template::parse(scheme).expect("a constant");
        return Some(HeaderField { name: "Authorization".to_owned(), value });
    }
    let header = section.required("header", "\"X-API-Key: {credential}\"", text)?;
    // The value is not repeated: it may hold a secret that does not belong here.
    let found = field::header(&header).and_then(|header| {
        let slots: Vec<&Slot> = header.value.slots().collect();
        match slots.as_slice() {
            [Slot::Credential] => Ok(header),
            _ => Err("header must hold {credential} once and no other place; credentials says where it comes from"
                .to_owned()),
        }
    });
    found.map_err(|message| section.error("header", message)).ok()
}

fn read_accepted(section: &mut Section<'_>, default: Accepted) -> Accepted {
    let Some(mut table) = section.table("accepted") else { return default };
    let accepted = Accepted {
        status: table.or("status", default.status, statuses),
        body_contains: table
            .optional("body_contains", placeholders(&[Slot::Principal], "only {principal} can stand here"))
            .or(default.body_contains),
    };
    table.finish();
    accepted
}

fn read_rejected(section: &mut Section<'_>, default: Vec<u16>) -> Vec<u16> {
    let Some(mut table) = section.table("rejected") else { return default };
    let rejected = table.or("status", default, statuses);
    table.finish();
    rejected
}

/// One status cannot mean both. Who wrote neither has inherited what was judged already.
fn apart(section: &Section<'_>, accepted: &Accepted, rejected: &[u16]) {
    if !section.has("accepted") && !section.has("rejected") {
        return;
    }
    if let Some(both) = accepted.status.iter().find(|status| rejected.contains(status)) {
        let key = if section.has("accepted") { "accepted" } else { "rejected" };
        section.error(key, format!("{key}: status {both} both accepts and rejects; remove it from one of the two"));
    }
}

fn names_principal(accepted: &Accepted) -> bool {
    accepted.body_contains.as_ref().is_some_and(|text| text.slots().next().is_some())
}
