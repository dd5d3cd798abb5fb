//! Client of a server process's control socket: HTTP/1.1 with JSON over a Unix socket (see
//! [`bench_server::contract`]), and what it shares with the client of the OAuth endpoints.

use std::path::Path;
use std::time::Duration;

use bench_server::contract::{
    ClientRegistration, IssueRequest, Issued, IssuerKey, KeyRollover, KeyRotation, NewUser, RegisteredClient,
    ServerConfig, Telemetry, UserRegistration,
};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
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

    /// `POST /users`.
    pub(super) async fn register_user(&self, user: &UserRegistration) -> Result<(), String> {
        answer("POST /users", self.request(Method::POST, &["users"]).json(user)).await.map(drop)
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

    /// `POST /profiles/{profile}/principals/{principal}/credentials`.
    pub(super) async fn renew(&self, profile: &str, principal: &str, scopes: &[String]) -> Result<Issued, String> {
        let body = IssueRequest { count: 1, lifetime: None, scopes: scopes.to_vec() };
        let path = ["profiles", profile, "principals", principal, "credentials"];
        let request = self.request(Method::POST, &path).json(&body);
        let issued: [Issued; 1] = json("POST /profiles/…/principals/…/credentials", request).await?;
        let [issued] = issued;
        Ok(issued)
    }

    /// `POST /profiles/{profile}/users`.
    pub(super) async fn add_user(&self, profile: &str, user: &NewUser) -> Result<(), String> {
        let request = self.request(Method::POST, &["profiles", profile, "users"]).json(user);
        answer("POST /profiles/…/users", request).await.map(drop)
    }

    /// `POST /profiles/{profile}/keys/{id}/rotate`.
    pub(super) async fn rotate(&self, profile: &str, id: &str, rotation: &KeyRotation) -> Result<(), String> {
        let request = self.request(Method::POST, &["profiles", profile, "keys", id, "rotate"]).json(rotation);
        answer("POST /profiles/…/keys/…/rotate", request).await.map(drop)
    }

    /// `GET /profiles/{profile}/issuer-key`, or without one `GET /issuer-key`.
    pub(super) async fn issuer_key(&self, profile: Option<&str>) -> Result<IssuerKey, String> {
        match profile {
            Some(profile) => {
                let request = self.request(Method::GET, &["profiles", profile, "issuer-key"]);
                json("GET /profiles/…/issuer-key", request).await
            }
            None => json("GET /issuer-key", self.request(Method::GET, &["issuer-key"])).await,
        }
    }

    /// `POST /signing-keys`.
    pub(super) async fn roll_over_key(&self, rollover: &KeyRollover) -> Result<(), String> {
        let request = self.request(Method::POST, &["signing-keys"]).json(rollover);
        answer("POST /signing-keys", request).await.map(drop)
    }

    /// `POST /profiles/{profile}/signing-keys`.
    pub(super) async fn roll_over_ca(&self, profile: &str, rollover: &KeyRollover) -> Result<(), String> {
        let request = self.request(Method::POST, &["profiles", profile, "signing-keys"]).json(rollover);
        answer("POST /profiles/…/signing-keys", request).await.map(drop)
    }

    /// `DELETE /profiles/{profile}/credentials/{id}`.
    pub(super) async fn revoke(&self, profile: &str, id: &str) -> Result<(), String> {
        let request = self.request(Method::DELETE, &["profiles", profile, "credentials", id]);
        answer("DELETE /profiles/…/credentials/…", request).await.map(drop)
    }

    /// `DELETE /profiles/{profile}/records`.
    pub(super) async fn discard(&self, profile: &str) -> Result<(), String> {
        let request = self.request(Method::DELETE, &["profiles", profile, "records"]);
        answer("DELETE /profiles/…/records", request).await.map(drop)
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
    let (status, body) = exchange(asked, request).await?;
    if status.is_success() { Ok(body) } else { Err(unsuccessful(asked, status, &body)) }
}

/// Sends a request and reads its answer, whatever its status.
///
/// # Errors
/// What was asked, and why there is no answer.
pub(super) async fn exchange(asked: &str, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), String> {
    let failed = |error: reqwest::Error| format!("{asked} failed: {}", chain(&error.without_url()));
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    Ok((status, response.bytes().await.map_err(failed)?.into()))
}

/// What is said of an answer that is not 2xx.
pub(super) fn unsuccessful(asked: &str, status: StatusCode, body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(QUOTED).collect();
    format!("{asked} was answered {status}: {}", text.trim())
}

/// [`answer`], as JSON.
pub(super) async fn json<T: DeserializeOwned>(asked: &str, request: RequestBuilder) -> Result<T, String> {
    parse(asked, &answer(asked, request).await?)
}

/// The JSON of an answer.
///
/// # Errors
/// What was asked, and where the answer is not as agreed.
pub(super) fn parse<T: DeserializeOwned>(asked: &str, body: &[u8]) -> Result<T, String> {
    // Only the place: serde's text may quote a value, and values may be secrets.
    serde_json::from_slice(body).map_err(|error| {
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

#[cfg(test)]
mod tests {
    use bench_server::contract::{Material, Secret};
    use tokio::net::UnixListener;

    use super::super::fake::{Request, serve};
    use super::*;

    /// Carries out `work` against a control socket that answers by `answer`.
    async fn against<T>(mut answer: impl FnMut(&Request) -> (u16, String), work: impl AsyncFnOnce(&Control) -> T) -> T {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("control.sock");
        let listener = UnixListener::bind(&socket).expect("a short path");
        let control = Control::new(&socket).expect("a client");
        let server = async {
            loop {
                let (stream, _) = listener.accept().await.expect("the listener lives");
                serve(stream, &mut answer).await;
            }
        };
        tokio::select! {
            result = work(&control) => result,
            () = server => unreachable!("it serves for ever"),
        }
    }

    fn credentials(request: &Request) -> (u16, String) {
        let asked: IssueRequest = serde_json::from_str(&request.body).expect("an issue request");
        assert_eq!(asked.scopes, ["read"]);
        let material = Material::ApiKey { key: Secret::new("k") };
        let issued = Issued { id: "1".to_owned(), principal: "p".to_owned(), material };
        (200, serde_json::to_string(&vec![issued; asked.count]).expect("plain data"))
    }

    #[tokio::test]
    async fn credentials_are_issued_in_batches() {
        let mut lines = Vec::new();
        let answer = |request: &Request| {
            lines.push(request.line.clone());
            credentials(request)
        };
        let scopes = ["read".to_owned()];
        let issue = async |control: &Control| control.issue("a b", 2 * BATCH + 1, None, &scopes).await;
        let issued = against(answer, issue).await.expect("all are issued");
        assert_eq!(issued.len(), 2 * BATCH + 1);
        assert_eq!(lines, ["POST /profiles/a%20b/credentials"; 3]);
    }

    #[tokio::test]
    async fn fewer_credentials_than_asked_for_are_an_error() {
        let issue = async |control: &Control| control.issue("a", 2, None, &[]).await;
        let error = against(|_| (200, "[]".to_owned()), issue).await.expect_err("none came");
        assert_eq!(error, "asked for 2 credentials and got 0");
    }

    #[tokio::test]
    async fn an_error_is_quoted_with_its_status() {
        let revoke = async |control: &Control| control.revoke("a", "x/y").await;
        let mut line = String::new();
        let answer = |request: &Request| {
            line.clone_from(&request.line);
            (404, "x/y does not exist".to_owned())
        };
        let error = against(answer, revoke).await.expect_err("it does not exist");
        assert_eq!(line, "DELETE /profiles/a/credentials/x%2Fy");
        assert!(error.contains("404") && error.contains("x/y does not exist"), "{error}");
    }

    #[tokio::test]
    async fn keys_are_rolled_over_where_they_are() {
        let mut lines = Vec::new();
        let answer = |request: &Request| {
            let asked: KeyRollover = serde_json::from_str(&request.body).expect("a rollover");
            assert_eq!(asked, KeyRollover::AFTER_THEFT);
            lines.push(request.line.clone());
            (201, String::new())
        };
        let roll_over = async |control: &Control| {
            control.roll_over_key(&KeyRollover::AFTER_THEFT).await?;
            control.roll_over_ca("a b", &KeyRollover::AFTER_THEFT).await
        };
        assert_eq!(against(answer, roll_over).await, Ok(()));
        assert_eq!(lines, ["POST /signing-keys", "POST /profiles/a%20b/signing-keys"]);
    }

    #[tokio::test]
    async fn an_answer_of_another_form_is_placed_but_not_quoted() {
        let issue = async |control: &Control| control.issue("a", 1, None, &[]).await;
        let answer = |_: &Request| (200, r#"[{"id": "hunter2"}]"#.to_owned());
        let error = against(answer, issue).await.expect_err("a field is missing");
        assert!(error.contains("1:18") && !error.contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn nobody_at_the_socket_is_an_error_with_its_cause() {
        let control = Control::new(Path::new("/nowhere/control.sock")).expect("a client");
        let error = control.take_telemetry().await.expect_err("nobody is there");
        assert!(error.starts_with("POST /telemetry/take failed: ") && error.contains("No such file"), "{error}");
    }
}
