//! Client of a server process's control socket: HTTP/1.1 with JSON over a Unix socket (see
//! [`bench_server::contract`]), and what it shares with the client of the OAuth endpoints.

use std::path::Path;
use std::time::Duration;

use bench_server::contract::{ClientRegistration, IssueRequest, Issued, RegisteredClient, ServerConfig, Telemetry};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde::de::DeserializeOwned;

/// A batch of the slowest password hash (scrypt with OWASP's parameters, 0.4 s each in a release build) stays within
/// [`TIMEOUT`] by a factor of three.
const BATCH: usize = 100;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(120);

/// So much of an error's body is quoted.
const QUOTED: usize = 300;

/// A client of one control socket.
pub(super) struct Control {
    http: Client,
    /// Connections go to the socket; the URL's host is only what `Host` says.
    base: Url,
}

impl Control {
    pub(super) fn new(socket: &Path) -> Result<Self, String> {
        let http = Client::builder()
            .unix_socket(socket)
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| format!("no client for the control socket {}: {}", socket.display(), chain(&error)))?;
        let base = Url::parse("http://control/").expect("a constant URL");
        Ok(Self { http, base })
    }

    /// `GET /config`.
    pub(super) async fn config(&self) -> Result<ServerConfig, String> {
        json("GET /config", self.request(Method::GET, &["config"])).await
    }

    /// `POST /telemetry/take`.
    pub(super) async fn take_telemetry(&self) -> Result<Telemetry, String> {
        json("POST /telemetry/take", self.request(Method::POST, &["telemetry", "take"])).await
    }

    /// `POST /clients`.
    pub(super) async fn register(&self, client: &ClientRegistration) -> Result<RegisteredClient, String> {
        json("POST /clients", self.request(Method::POST, &["clients"]).json(client)).await
    }

    /// `POST /profiles/{profile}/credentials`, in batches.
    pub(super) async fn issue(
        &self,
        profile: &str,
        count: usize,
        lifetime: Option<Duration>,
        scopes: &[String],
    ) -> Result<Vec<Issued>, String> {
        let mut issued = Vec::with_capacity(count);
        while issued.len() < count {
            let wanted = BATCH.min(count - issued.len());
            let body = IssueRequest { count: wanted, lifetime, scopes: scopes.to_vec() };
            let request = self.request(Method::POST, &["profiles", profile, "credentials"]).json(&body);
            let batch: Vec<Issued> = json("POST /profiles/…/credentials", request).await?;
            if batch.len() != wanted {
                return Err(format!("asked for {wanted} credentials and got {}", batch.len()));
            }
            issued.extend(batch);
        }
        Ok(issued)
    }

    /// `DELETE /profiles/{profile}/credentials/{id}`.
    pub(super) async fn revoke(&self, profile: &str, id: &str) -> Result<(), String> {
        let request = self.request(Method::DELETE, &["profiles", profile, "credentials", id]);
        answer("DELETE /profiles/…/credentials/…", request).await.map(drop)
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http URL has a path").pop_if_empty().extend(path);
        self.http.request(method, url)
    }
}

/// Sends a request and reads the body of its 2xx answer.
///
/// # Errors
/// What was asked, the status, and the begin of the answer: an error's body holds no secret, a success's might.
pub(super) async fn answer(asked: &str, request: RequestBuilder) -> Result<Vec<u8>, String> {
    let failed = |error: reqwest::Error| format!("{asked} failed: {}", chain(&error.without_url()));
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    let body = response.bytes().await.map_err(failed)?;
    if !status.is_success() {
        let text: String = String::from_utf8_lossy(&body).chars().take(QUOTED).collect();
        return Err(format!("{asked} was answered {status}: {}", text.trim()));
    }
    Ok(body.into())
}

/// [`answer`], as JSON.
pub(super) async fn json<T: DeserializeOwned>(asked: &str, request: RequestBuilder) -> Result<T, String> {
    let body = answer(asked, request).await?;
    // Only the place: serde's text may quote a value, and values may be secrets.
    serde_json::from_slice(&body).map_err(|error| {
        let (kind, line, column) = (error.classify(), error.line(), error.column());
        format!("{asked} was answered with other JSON than agreed ({kind:?} error at {line}:{column})")
    })
}

/// An error with its causes; reqwest's own text stops at "error sending request".
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
