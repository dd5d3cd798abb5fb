//! Contradictions in a configuration, all found at once, each with its place and remedy.

use std::collections::BTreeSet;
use std::fmt;

use http::uri::PathAndQuery;

use crate::config::{
    BasicConfig, HttpVersion, KeyExchange, ListenerConfig, MethodConfig, Profile, ServerConfig, SessionConfig,
    TokenExchangeConfig, Transport,
};

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub(crate) Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

/// Checks what no type can.
///
/// # Errors
/// All mistakes together.
pub(crate) fn validate(config: &ServerConfig) -> Result<(), ConfigErrors> {
    let mut errors = Vec::new();
    if config.listeners.is_empty() {
        errors.push("listeners: there is none; a server needs at least one".to_owned());
    }
    if config.state_dir.as_os_str().is_empty() {
        errors.push("state_dir: is empty; name a folder".to_owned());
    }
    let mut listener_names = BTreeSet::new();
    let mut profile_names = BTreeSet::new();
    for listener in &config.listeners {
        if listener.name.is_empty() || !listener_names.insert(&listener.name) {
            errors.push(format!("listener \"{}\": the name is empty or given twice; choose another", listener.name));
        }
        check_listener(listener, &mut errors);
        for profile in &listener.profiles {
            if profile.name.is_empty() || !profile_names.insert(&profile.name) {
                errors.push(format!("profile \"{}\": the name is empty or given twice; choose another", profile.name));
            }
            check_profile(profile, &mut errors);
        }
    }
    if let Some(open) = config.listeners.iter().find(|it| config.forging && !it.bind.ip().is_loopback()) {
        errors.push(format!(
            "forging: the server would hand out its keys while it listens on {}; bind loopback addresses, or leave it out",
            open.bind
        ));
    }
    check_authorization_server(config, &mut errors);
    check_responders(config, &mut errors);
    check_key_management(config, &mut errors);
    if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
}

fn check_listener(listener: &ListenerConfig, errors: &mut Vec<String>) {
    let mut error = |what: String| errors.push(format!("listener \"{}\": {what}", listener.name));
    match listener.http.as_slice() {
        [] => error("http is empty; offer \"1.1\", \"2\" or both".to_owned()),
        [_] => {}
        [first, second] if first != second && listener.transport != Transport::Plaintext => {}
        [first, second] if first != second => {
            error("a plaintext listener offers one HTTP version, because nothing negotiates it; choose one".to_owned());
        }
        _ => error("http names a version twice; name each once".to_owned()),
    }
    if let Some(public_url) = &listener.public_url {
        let parsed = url::Url::parse(public_url).ok();
        let is_base = |url: &url::Url| {
            let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
            bare && matches!(url.scheme(), "http" | "https") && url.query().is_none()
        };
        if !parsed.as_ref().is_some_and(is_base) {
            // Not shown where there may be a password in it.
            let shown = if parsed.is_none() { format!("is {public_url:?}; write") } else { "must be".to_owned() };
            error(format!(
                "public_url {shown} an http(s) URL without user, query and fragment, like \"https://api.test\""
            ));
        }
    }
    if listener.transport == Transport::Plaintext && !listener.bind.ip().is_loopback() {
        error(format!(
            "plaintext on {} would show credentials to the network; bind a loopback address or use TLS",
            listener.bind
        ));
    }
    match (listener.key_exchange, listener.transport) {
        (Some(_), Transport::Plaintext) => error("key_exchange needs TLS; leave it out".to_owned()),
        (Some(KeyExchange::X25519MLKEM768), Transport::Tls12) => {
            error("key_exchange X25519MLKEM768 needs TLS 1.3; use it, or another group".to_owned());
        }
        _ => {}
    }
    let mut paths = BTreeSet::new();
    for profile in &listener.profiles {
        if !paths.insert(&profile.path) {
            error(format!("path {} belongs to two profiles; give each its own", profile.path));
        }
    }
    for profile in &listener.profiles {
        let MethodConfig::Basic(BasicConfig { session: Some(_), .. }) = &profile.method else { continue };
        let exchange = format!("{}{}", profile.path, SessionConfig::PATH);
        if paths.contains(&&exchange) {
            error(format!(
                "path {exchange} belongs to a profile, and sessions of profile \"{}\" are opened there; choose another",
                profile.name
            ));
        }
    }
    let asking = || listener.profiles.iter().filter_map(|profile| profile.method.certificates());
    let asks_for_certificate = asking().next().is_some();
    if asking().count() > 1 {
        error("two profiles of method mtls, but a handshake asks for one kind of certificate; move one".to_owned());
    }
    if asking().any(|mtls| !mtls.optional) && (listener.profiles.len() > 1 || listener.authorization_server) {
        error(
            "a profile of method mtls makes client certificates mandatory, so it shares its listener with nothing else; \
             move it to a listener of its own, or make certificates optional"
                .to_owned(),
        );
    }
    if asks_for_certificate && listener.transport == Transport::Plaintext {
        error("method mtls needs TLS; use transport \"tls1.2\" or \"tls1.3\"".to_owned());
    }
}

fn check_profile(profile: &Profile, errors: &mut Vec<String>) {
    let mut error = |what: String| errors.push(format!("profile \"{}\": {what}", profile.name));
    let is_path = profile.path.starts_with('/')
        && PathAndQuery::try_from(profile.path.as_str()).is_ok_and(|parsed| parsed.path() == profile.path);
    if !is_path {
        error(format!("\"{}\" is not a path; it starts with '/' and has neither query nor fragment", profile.path));
    }
    if profile.slow_down.is_some_and(|slow_down| !slow_down.is_sound()) {
        error("slow_down is out of range; write a share from 0 to 9, or a time up to 1s".to_owned());
    }
    if let Some(config) = profile.method.api_keys() {
        config.mistakes().into_iter().for_each(&mut error);
    }
    if profile.users_only && profile.method == MethodConfig::None {
        error("users_only needs a method that tells users from others; method none lets everybody in".to_owned());
    }
    if profile.method != MethodConfig::None && !is_scope(&profile.scope) {
        error(format!("\"{}\" is not a scope; use one word of printable ASCII without '\"' and '\\'", profile.scope));
    }
}

/// One scope-token (RFC 6749 §3.3): these characters also need no escaping in a challenge.
fn is_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// Keys are managed by keys of the same profile, and no other route may stand in the way.
fn check_key_management(config: &ServerConfig, errors: &mut Vec<String>) {
    let profiles: Vec<&Profile> = config.listeners.iter().flat_map(|listener| &listener.profiles).collect();
    for listener in &config.listeners {
        let Some(keys) = &listener.key_management else { continue };
        let mut error = |what: String| errors.push(format!("listener \"{}\": {what}", listener.name));
        let is_meant = |profile: &&Profile| profile.name == keys.profile;
        if !profiles.iter().any(|profile| is_meant(profile) && matches!(profile.method, MethodConfig::ApiKey(_))) {
            error(format!("key_management.profile is \"{}\"; name a profile of method api-key", keys.profile));
        }
        if !is_scope(&keys.scope) {
            error(format!(
                "key_management.scope \"{}\" is not a scope; use one word of printable ASCII without '\"' and '\\'",
                keys.scope
            ));
        }
        if let Err(mistake) = keys.reports.check("key_management.reports") {
            error(mistake);
        }
        if listener.ocsp_responder.is_some() {
            error("an ocsp_responder shares its listener with no key_management; move one of them".to_owned());
        }
        for profile in &listener.profiles {
            if profile.path == "/keys" || profile.path.starts_with("/keys/") {
                error(format!(
                    "path {} belongs to key_management; give profile \"{}\" another",
                    profile.path, profile.name
                ));
            }
            if profile.method.certificates().is_some() {
                error(format!(
                    "key_management asks for keys, and method {} for certificates; move one of them",
                    profile.method.name()
                ));
            }
        }
    }
}

/// A responder has a listener to itself, of which there is one for each profile that needs it.
fn check_responders(config: &ServerConfig, errors: &mut Vec<String>) {
    let profiles: Vec<&Profile> = config.listeners.iter().flat_map(|listener| &listener.profiles).collect();
    let asks = |profile: &Profile| profile.method.certificates().and_then(|mtls| mtls.ocsp.clone());
    let mut answered = BTreeSet::new();
    for listener in &config.listeners {
        let Some(name) = &listener.ocsp_responder else { continue };
        let mut error = |what: String| errors.push(format!("listener \"{}\": {what}", listener.name));
        if !listener.profiles.is_empty() || listener.authorization_server {
            error(
                "an ocsp_responder shares its listener with nothing else; move it to a listener of its own".to_owned(),
            );
        }
        if listener.transport != Transport::Plaintext || listener.http != [HttpVersion::Http1] {
            error(
                "an ocsp_responder is asked in plaintext over HTTP/1.1, for its answers are signed; write transport = \
                 \"plaintext\" and http = [\"1.1\"]"
                    .to_owned(),
            );
        }
        if !profiles.iter().any(|profile| profile.name == *name && asks(profile).is_some()) {
            error(format!("ocsp_responder is \"{name}\"; name a profile of method mtls that has ocsp"));
        }
        if !answered.insert(name) {
            error(format!("profile \"{name}\" has an ocsp_responder on another listener; keep one"));
        }
    }
    for profile in profiles {
        if asks(profile).is_some_and(|ocsp| ocsp.url.is_none()) && !answered.contains(&profile.name) {
            errors.push(format!(
                "profile \"{0}\": ocsp has no url, and no listener answers for it; write one, or set ocsp_responder = \
                 \"{0}\" on a plaintext listener",
                profile.name
            ));
        }
    }
}

fn check_authorization_server(config: &ServerConfig, errors: &mut Vec<String>) {
    let mounted: Vec<_> = config
        .listeners
        .iter()
        .filter(|listener| listener.authorization_server)
        .map(|listener| &listener.name)
        .collect();
    let exchange = config.authorization_server.as_ref().and_then(|server| server.token_exchange.as_ref());
    if let Some(TokenExchangeConfig { profile: named, .. }) = exchange {
        let mut profiles = config.listeners.iter().flat_map(|listener| &listener.profiles);
        // With a key of method layered alone nobody is let in, so nothing is had for it.
        let takes_keys = |profile: &Profile| matches!(profile.method, MethodConfig::ApiKey(_) | MethodConfig::Mixed(_));
        if !profiles.any(|profile| profile.name == *named && takes_keys(profile)) {
            errors.push(format!(
                "authorization_server.token_exchange.profile is \"{named}\"; name a profile of method api-key or mixed"
            ));
        }
    }
    match (&config.authorization_server, mounted.as_slice()) {
        (None, []) | (Some(_), [_]) => {}
        (Some(_), []) => errors.push(
            "authorization_server: configured, but no listener carries it; set authorization_server = true on one"
                .to_owned(),
        ),
        (None, _) => errors.push(format!(
            "authorization_server: listener \"{}\" carries it, but it is not configured; add [authorization_server]",
            mounted[0]
        )),
        (Some(_), _) => errors.push(
            "authorization_server: several listeners carry it, but an issuer has one URL; keep it on one".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(toml: &str) -> Vec<String> {
        let config: ServerConfig = toml::from_str(toml).expect("the example has the right form");
        validate(&config).err().map(|errors| errors.0).unwrap_or_default()
    }

    const GOOD: &str = r#"
        workers = 1
        state_dir = "state"
        [authorization_server]
        access_token = { token = "opaque" }
        access_token_lifetime = "15m"
        code_lifetime = "60s"
        refresh_idle = "1d"
        refresh_absolute = "2d"
        [[listeners]]
        name = "main"
        bind = "0.0.0.0:8443"
        transport = "tls1.3"
        http = ["2", "1.1"]
        authorization_server = true
        profiles = [
            { name = "none", path = "/none", scope = "", method = "none" },
            { name = "api-key", path = "/api-key", scope = "read", method = "api-key", store = "memory" },
        ]
        [[listeners]]
        name = "mtls"
        bind = "127.0.0.1:0"
        transport = "tls1.2"
        http = ["1.1"]
        profiles = [{ name = "mtls", path = "/mtls", scope = "read", method = "mtls", crl_reload = "1s" }]
        [[listeners]]
        name = "asking"
        bind = "127.0.0.1:0"
        transport = "tls1.3"
        http = ["1.1"]
        profiles = [{ name = "asks", path = "/asks", scope = "read", method = "mtls", ocsp = { validity = "2s" } }]
        [[listeners]]
        name = "answering"
        bind = "127.0.0.1:0"
        transport = "plaintext"
        http = ["1.1"]
        ocsp_responder = "asks"
    "#;

    /// Who forgets how a route is protected gets no server.
    #[test]
    fn xc_12_a_route_without_a_policy_does_not_start() {
        let without = |part: &str| GOOD.replacen(part, "", 1);
        assert!(toml::from_str::<ServerConfig>(&without(r#", method = "api-key", store = "memory""#)).is_err());
        assert!(toml::from_str::<ServerConfig>(&without(r#"scope = "read", method = "api-key","#)).is_err());
        let found =
            errors(&GOOD.replacen(r#"scope = "read", method = "api-key""#, r#"scope = "", method = "api-key""#, 1));
        assert!(found.iter().any(|error| error.contains("is not a scope")), "{found:?}");
    }

    #[test]
    fn what_is_wrong_with_api_keys_is_named() {
        let key = r#"method = "api-key", store = "memory""#;
        let managed = "authorization_server = true\n        key_management = { profile = \"api-key\" }";
        assert_eq!(errors(&GOOD.replacen("authorization_server = true", managed, 1)), Vec::<String>::new());
        for (from, to, expected) in [
            (key, format!("{key}, peppers = [1, 1]"), "peppers is [1, 1]; write at most two"),
            (key, format!("{key}, peppers = [3, 2, 1]"), "peppers is [3, 2, 1]; write at most two"),
            (
                key,
                format!(r#"{key}, limit = {{ requests = 5, window = "1500ms" }}"#),
                "limit.window is 1.5s; write whole",
            ),
            (
                key,
                format!(r#"{key}, account_limit = {{ requests = 2000001, window = "2s" }}"#),
                "account_limit.requests is 2000001 in 2s; write 1000000 a second",
            ),
            (key, format!(r#"{key}, metering = {{ flush = "2m" }}"#), "metering.flush is 120s; write a time"),
            (r#"method = "none""#, r#"users_only = true, method = "none""#.to_owned(), "users_only needs a method"),
            (
                "authorization_server = true",
                managed.replace("\"api-key\"", "\"none\""),
                "name a profile of method api-key",
            ),
            ("authorization_server = true", managed.replace(" }", ", scope = \"a b\" }"), "is not a scope"),
            (
                "authorization_server = true",
                managed.replace(" }", ", reports = { requests = 1, window = \"0s\" } }"),
                "key_management.reports.window",
            ),
            (
                r#"http = ["1.1"]"#,
                "http = [\"1.1\"]\nkey_management = { profile = \"api-key\" }".to_owned(),
                "method mtls for certificates",
            ),
        ] {
            let found = errors(&GOOD.replacen(from, &to, 1));
            assert!(found.iter().any(|error| error.contains(expected)), "{to}: {found:?}");
        }
        // Of a layered route the service's certificate is asked for in the handshake as well.
        let inside = concat!(
            r#"profiles = [{ name = "inside", path = "/inside", scope = "read", method = "layered", "#,
            r#"caller = { service = { certificates = { crl_reload = "1s" }, may-act = [] } }, "#,
            r#"user = { validation = { token = "jwt", algorithm = "ES256" } } }]"#
        );
        let mtls =
            r#"profiles = [{ name = "mtls", path = "/mtls", scope = "read", method = "mtls", crl_reload = "1s" }]"#;
        let layered = GOOD.replacen(mtls, inside, 1);
        assert_eq!(errors(&layered), Vec::<String>::new());
        let keys = "http = [\"1.1\"]\nkey_management = { profile = \"api-key\" }";
        let found = errors(&layered.replacen(r#"http = ["1.1"]"#, keys, 1));
        assert!(found.iter().any(|error| error.contains("method layered for certificates")), "{found:?}");
        let taken = GOOD.replacen("authorization_server = true", managed, 1).replacen("/none", "/keys/x", 1);
        assert!(errors(&taken).iter().any(|error| error.contains("path /keys/x belongs to key_management")));
    }

    #[test]
    fn a_good_configuration_passes() {
        assert_eq!(errors(GOOD), Vec::<String>::new());
    }

    #[test]
    fn each_contradiction_is_named() {
        for (from, to, expected) in [
            (r#"name = "mtls""#, r#"name = "main""#, "listener \"main\": the name is empty or given twice"),
            (r#"{ name = "none""#, r#"{ name = "api-key""#, "profile \"api-key\": the name is empty or given twice"),
            (r#"path = "/api-key""#, r#"path = "/none""#, "path /none belongs to two profiles"),
            (r#"path = "/api-key""#, r#"path = "api-key""#, "is not a path"),
            (
                r#"method = "api-key", store = "memory" }"#,
                r#"method = "basic", hash = { algorithm = "bcrypt", cost = 10 }, session = { lifetime = "1h" } },
                   { name = "x", path = "/api-key/session", scope = "", method = "none" }"#,
                "path /api-key/session belongs to a profile",
            ),
            (r#"path = "/api-key""#, r#"path = "/api-key?x""#, "is not a path"),
            (r#"path = "/api-key""#, r#"path = "/api key""#, "is not a path"),
            (r#"["2", "1.1"]"#, "[]", "http is empty"),
            (r#"["2", "1.1"]"#, r#"["2", "2"]"#, "names a version twice"),
            (r#""tls1.2""#, r#""plaintext""#, "method mtls needs TLS"),
            (r#""tls1.3""#, r#""plaintext""#, "would show credentials"),
            (r#""tls1.3""#, r#""plaintext""#, "offers one HTTP version"),
            (r#"http = ["1.1"]"#, "http = [\"1.1\"]\nauthorization_server = true", "several listeners"),
            (r#"http = ["1.1"]"#, "http = [\"1.1\"]\nkey_exchange = \"X25519MLKEM768\"", "needs TLS 1.3"),
            ("authorization_server = true", "", "no listener carries it"),
            (r#"http = ["1.1"]"#, "http = [\"1.1\"]\npublic_url = \"api.test\"", "public_url is \"api.test\""),
            (r#""/mtls", scope = "read""#, r#""/mtls", scope = "a b""#, "is not a scope"),
            (r#""/mtls", scope = "read""#, r#""/mtls", scope = """#, "is not a scope"),
            (r#"state_dir = "state""#, r#"state_dir = """#, "state_dir: is empty"),
            ("workers", "forging = true\nworkers", "forging: the server would hand out its keys"),
            (r#"ocsp_responder = "asks""#, "", "ocsp has no url, and no listener answers for it"),
            (r#"ocsp_responder = "asks""#, r#"ocsp_responder = "mtls""#, "name a profile of method mtls that has ocsp"),
            (r#""mtls", path"#, r#""other", ocsp = { validity = "2s" }, path"#, "profile \"other\": ocsp has no url"),
            (
                r#"ocsp_responder = "asks""#,
                "ocsp_responder = \"asks\"\nauthorization_server = true",
                "shares its listener",
            ),
            (r#""plaintext""#, r#""tls1.3""#, "asked in plaintext over HTTP/1.1"),
            (r#"http = ["1.1"]"#, "http = [\"1.1\"]\nocsp_responder = \"asks\"", "on another listener; keep one"),
            (
                r#"profiles = [{ name = "mtls""#,
                r#"profiles = [{ name = "x", path = "/x", scope = "", method = "none" }, { name = "mtls""#,
                "shares its listener with nothing else",
            ),
        ] {
            let found = errors(&GOOD.replacen(from, to, 1));
            assert!(found.iter().any(|error| error.contains(expected)), "{from} -> {to}: {found:?}");
        }
    }

    #[test]
    fn xc_18_plaintext_is_for_loopback_addresses_alone() {
        let plain = GOOD.replacen("\"tls1.3\"", "\"plaintext\"", 1).replacen(r#"["2", "1.1"]"#, r#"["1.1"]"#, 1);
        for address in ["0.0.0.0:8443", "[::]:8443", "192.0.2.1:8443"] {
            let found = errors(&plain.replacen("0.0.0.0:8443", address, 1));
            assert!(found.iter().any(|error| error.contains("would show credentials to the network")), "{address}");
        }
        for address in ["127.0.0.1:0", "[::1]:0", "127.1.2.3:0"] {
            assert_eq!(errors(&plain.replacen("0.0.0.0:8443", address, 1)), Vec::<String>::new(), "{address}");
        }
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let toml = GOOD.replacen("\"/api-key\"", "\"api-key\"", 1).replacen("[\"1.1\"]", "[]", 1);
        assert_eq!(errors(&toml).len(), 2);
        assert_eq!(errors("workers = 1\nstate_dir = \"\"\nlisteners = []").len(), 2);
    }

    #[test]
    fn la_9_keys_are_exchanged_of_a_profile_that_takes_them_alone() {
        let with = |profile: &str| {
            let exchange = format!("code_lifetime = \"60s\"\n token_exchange = {{ profile = \"{profile}\" }}");
            errors(&GOOD.replacen("code_lifetime = \"60s\"", &exchange, 1))
        };
        assert_eq!(with("api-key"), Vec::<String>::new());
        for other in ["none", "mtls", "nowhere"] {
            let found = with(other);
            assert!(found.len() == 1 && found[0].contains("token_exchange.profile"), "{other}: {found:?}");
        }
    }

    #[test]
    fn a_listener_with_an_unconfigured_authorization_server() {
        let start = GOOD.find("[authorization_server]").unwrap();
        let end = GOOD.find("[[listeners]]").unwrap();
        let found = errors(&format!("{}{}", &GOOD[..start], &GOOD[end..]));
        assert!(found[0].contains("it is not configured"), "{found:?}");
    }
}
