//! Redirection endpoints: what may be registered, and exact comparison (RFC 9700 §2.1 and §4.1.3, RFC 8252 §7).

use url::Url;

/// Loopback literals, the only hosts whose port may vary (RFC 8252 §7.3).
const LOOPBACK: [&str; 2] = ["http://127.0.0.1", "http://[::1]"];

/// A registered redirection endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RedirectUri(String);

impl RedirectUri {
    /// Checks an endpoint that a client wants to register.
    ///
    /// # Errors
    /// What is wrong with it, and the remedy.
    pub(super) fn register(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("redirect URI {text:?}: {why}"));
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return refuse("only visible ASCII characters; percent-encode the others");
        }
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return refuse(&format!("{error}; write an absolute URI")),
        };
        if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return refuse("a fragment or a user name must not be part of it");
        }
        match url.scheme() {
            "https" => {}
            "http" if matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost")) => {}
            "http" => return refuse("use https, or http with a loopback address"),
            // Private-use schemes are reversed domain names (RFC 8252 §7.1); this keeps javascript: and data: out.
            scheme if scheme.contains('.') => {}
            _ => return refuse("use https, http with a loopback address, or a scheme like com.example.app"),
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether a request may name `presented`: the same string, but for the port of a loopback literal.
    pub(super) fn matches(&self, presented: &str) -> bool {
        if self.0 == presented {
            return true;
        }
        match (split_loopback(&self.0), split_loopback(presented)) {
            (Some(registered), Some(presented)) => registered == presented,
            _ => false,
        }
    }
}

/// A loopback URI as host and what follows the port; `None` for others.
fn split_loopback(uri: &str) -> Option<(&str, &str)> {
    let host = LOOPBACK.into_iter().find(|host| uri.starts_with(host))?;
    let rest = &uri[host.len()..];
    let rest = match rest.strip_prefix(':') {
        None => rest,
        Some(port_and_path) => {
            let end = port_and_path.find(|c: char| !c.is_ascii_digit()).unwrap_or(port_and_path.len());
            let (port, path) = port_and_path.split_at(end);
            if port.starts_with('0') || port.parse::<u16>().is_err() {
                return None;
            }
            path
        }
    };
    // Without this, "http://127.0.0.1.evil.test" and "http://127.0.0.1:80@evil.test" would have a loopback host.
    (rest.is_empty() || rest.starts_with('/') || rest.starts_with('?')).then_some((host, rest))
}

/// `uri` with parameters added to its query, which is otherwise kept as it is (RFC 6749 §3.1.2).
pub(super) fn with_parameters(uri: &str, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{query}")
}

/// What a consent page shows of a redirection endpoint: its host, or its scheme when it has none.
pub(super) fn host(uri: &str) -> String {
    let Ok(url) = Url::parse(uri) else { return uri.to_owned() };
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => format!("an application on this device ({}:)", url.scheme()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(text: &str) -> RedirectUri {
        RedirectUri::register(text).expect("registers")
    }

    #[test]
    fn oa_4_bc_046_comparison_is_exact() {
        let uri = registered("https://app.test/cb");
        assert!(uri.matches("https://app.test/cb"));
        for other in [
            "https://app.test/CB",
            "https://APP.test/cb",
            "https://app.test/cb/",
            "https://app.test/cb?x",
            "https://app.test/cb#f",
            "https://app.test/cb/../x",
            "https://app.test/%63b",
            "https://app.test:443/cb",
            "http://app.test/cb",
            "https://app.test.evil.test/cb",
            "https://app.test@evil.test/cb",
            "https://u@app.test/cb",
        ] {
            assert!(!uri.matches(other), "{other}");
        }
    }

    #[test]
    fn oa_4_only_the_port_of_a_loopback_literal_varies() {
        let uri = registered("http://127.0.0.1/cb");
        assert!(uri.matches("http://127.0.0.1:49152/cb"));
        for other in [
            "http://127.0.0.1:49152/other",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:080/cb",
            "http://127.0.0.1:70000/cb",
            "http://127.0.0.1:80@evil.test/cb",
            "http://127.0.0.1.evil.test/cb",
            "http://localhost/cb",
            "https://127.0.0.1/cb",
            "http://[::1]/cb",
        ] {
            assert!(!uri.matches(other), "{other}");
        }
        assert!(registered("http://[::1]:1/cb").matches("http://[::1]:2/cb"));
        assert!(!registered("http://localhost:1/cb").matches("http://localhost:2/cb"));
    }

    #[test]
    fn registration_refuses_what_would_be_dangerous() {
        for bad in [
            "http://app.test/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://app.test/cb#f",
            "https://u:p@app.test/",
            "/cb",
            "https://app.test/a b",
        ] {
            assert!(RedirectUri::register(bad).is_err(), "{bad}");
        }
        registered("com.example.app:/cb");
    }

    #[test]
    fn parameters_join_an_existing_query() {
        assert_eq!(with_parameters("https://a.test/?x=1", &[("code", "c d")]), "https://a.test/?x=1&code=c+d");
    }
}
