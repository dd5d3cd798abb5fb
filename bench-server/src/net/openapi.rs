//! What a listener offers, as an OpenAPI 3.1 document: its protected routes with what they ask for, and the authorization
//! server's endpoints where it carries them. Served to everybody, for it holds nothing that a request would not show.
//!
//! What is the same everywhere stands in `openapi.json`, with the parts that are put into their places here.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use url::Url;

use crate::config::{CallerConfig, ListenerConfig, MethodConfig, Profile};
use crate::issuer::authorization_server::WELL_KNOWN;

/// Where the document is.
pub(crate) const PATH: &str = "/openapi.json";

const TEMPLATE: &str = include_str!("openapi.json");

/// The document of a listener that is called by this URL.
pub(crate) fn document(listener: &ListenerConfig, url: &str) -> Bytes {
    Bytes::from(value(listener, url).to_string())
}

fn value(listener: &ListenerConfig, url: &str) -> Value {
    let mut document: Value = serde_json::from_str(TEMPLATE).expect("a test reads it");
    let members = document.as_object_mut().expect("a test looks at it");
    let mut part = |name: &str| members.remove(name).expect("a test looks for it");
    let (protected, server) = (part("protected"), part("authorization_server"));
    let mut paths: Map<String, Value> =
        listener.profiles.iter().map(|profile| (profile.path.clone(), route(profile, protected.clone()))).collect();
    // Protected routes stand at the root, whatever path the issuer has.
    let parsed = Url::parse(url).ok();
    if listener.authorization_server {
        let base = parsed.as_ref().map(|url| url.path().trim_end_matches('/')).unwrap_or_default();
        for (path, mut item) in server.as_object().cloned().unwrap_or_default() {
            for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
                operation["tags"] = json!(["authorization server"]);
            }
            let path = if path == WELL_KNOWN { format!("{path}{base}") } else { format!("{base}{path}") };
            paths.insert(path, item);
        }
    }
    document["paths"] = paths.into();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    let origin = parsed.map_or_else(|| url.to_owned(), |url| url.origin().ascii_serialization());
    document["servers"] = json!([{ "url": origin }]);
    document
}

fn route(profile: &Profile, mut item: Value) -> Value {
    let security = security(&profile.method);
    let summary = match &profile.method {
        MethodConfig::None => "Open to everybody".to_owned(),
        method => format!("Asks for {}, with the scope {}", method.name(), profile.scope),
    };
    item["get"]["summary"] = summary.into();
    item["get"]["operationId"] = profile.name.clone().into();
    item["get"]["security"] = security;
    let mut head = item["get"].clone();
    head["operationId"] = format!("{}-head", profile.name).into();
    item["head"] = head;
    item
}

/// One of these, and all that stands in it.
fn security(method: &MethodConfig) -> Value {
    match method {
        MethodConfig::None => json!([]),
        MethodConfig::ApiKey(_) | MethodConfig::Mixed(_) => json!([{ "bearer": [] }, { "apiKey": [] }]),
        MethodConfig::Basic(_) => json!([{ "basic": [] }]),
        MethodConfig::Jwt(_) | MethodConfig::OAuth2(_) => json!([{ "bearer": [] }]),
        MethodConfig::Signed(_) => json!([{ "signature": [] }]),
        MethodConfig::Mtls(_) => json!([{ "certificate": [] }]),
        MethodConfig::Layered(config) => match &config.caller {
            CallerConfig::Application(_) => json!([{ "apiKey": [], "bearer": [] }]),
            CallerConfig::Service(_) => json!([{ "certificate": [], "bearer": [] }]),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::demo;

    /// Everything that a document refers to.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    /// The documents of the demonstration, which has every method, under names that do not change.
    fn documents() -> Vec<Value> {
        let config = demo::configuration("state".into(), 0, 0);
        let urls = ["https://api.authbench.test", "https://mtls.authbench.test"];
        config.listeners.iter().zip(urls).map(|(listener, url)| value(listener, url)).collect()
    }

    #[test]
    fn hk_10_every_route_is_described_and_every_reference_leads_somewhere() {
        let described = documents();
        for (document, paths) in described.iter().zip([
            &[
                "/none",
                "/api-key",
                "/basic",
                "/jwt",
                "/oauth2",
                "/token",
                "/authorize",
                "/introspect",
                "/revoke",
                WELL_KNOWN,
            ][..],
            &["/mtls"],
        ]) {
            assert_eq!(document["openapi"], "3.1.0");
            assert!(document.get("protected").is_none() && document.get("authorization_server").is_none());
            for path in paths {
                let item = document["paths"][path].as_object().unwrap_or_else(|| panic!("{path} is not described"));
                for operation in item.values() {
                    let security = operation["security"].as_array().expect("it says what is asked for");
                    for scheme in security.iter().filter_map(Value::as_object).flat_map(Map::keys) {
                        assert!(document["components"]["securitySchemes"][scheme].is_object(), "{path}: {scheme}");
                    }
                    assert!(operation["responses"].as_object().is_some_and(|responses| !responses.is_empty()));
                }
            }
            let mut found = BTreeSet::new();
            references(document, &mut found);
            assert!(found.len() > 5, "{found:?}");
            for reference in found {
                let pointer = reference.strip_prefix('#').expect("within the document");
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
        }
        assert!(described[1]["paths"].get("/token").is_none(), "the other listener carries it");
    }

    #[test]
    fn hk_10_an_issuer_with_a_path_has_its_endpoints_there() {
        let config = demo::configuration("state".into(), 0, 0);
        let document = value(&config.listeners[0], "https://api.authbench.test/tenant/");
        let paths = document["paths"].as_object().expect("paths");
        for path in ["/tenant/token", &format!("{WELL_KNOWN}/tenant"), "/jwt"] {
            assert!(paths.contains_key(path), "{path}");
        }
        assert_eq!(document["servers"][0]["url"], "https://api.authbench.test");
    }

    /// With `BLESS` set the file is written.
    #[test]
    fn hk_10_the_document_in_the_repository_is_that_of_the_demonstration() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        let document = &documents()[0];
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, serde_json::to_string_pretty(document).expect("JSON") + "\n").expect("written");
        }
        let written: Value =
            serde_json::from_str(&std::fs::read_to_string(&file).expect("docs/openapi.json")).expect("JSON");
        let remedy = "run `BLESS=1 cargo test --package bench-server hk_10` and commit docs/openapi.json";
        assert!(written == *document, "{remedy}");
    }
}
