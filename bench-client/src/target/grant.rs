//! Client of the authorization server for what users grant: a grant by authorization code with PKCE (RFC 6749 §4.1, RFC 7636),
//! the next access token by a refresh token that changes with every use (RFC 6749 §6, RFC 9700 §4.14.2), and the end of all
//! of it by revoking that (RFC 7009).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench_server::contract::{ClientRegistration, Issued, READ_SCOPE, RegisteredClient, Secret, UserRegistration};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::control::{Control, exchange, parse, unsuccessful};
use super::oauth::{Issuer, REFRESH_TOKEN, TOKEN_ENDPOINT, authenticated};
use super::user_agent::{Page, UserAgent};

/// Where codes go. Nobody listens there: the browser is ours, and what it is sent there with is read from the redirect.
pub(super) const REDIRECT_URI: &str = "http://127.0.0.1/callback";

/// Who grants. One user is enough, since a grant is made of a code and not of a user; a password hash takes tens of
/// milliseconds.
const USERNAME: &str = "resource-owner";

/// What a user granted to a client, as it stands: access until the newest token ends, and what brings the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The newest access token.
    pub access: Issued,
    /// When it was asked for: it lives no shorter than `expires_in` from then, less what whole seconds swallow.
    pub asked: Instant,
    /// Its lifetime, as the token endpoint says (RFC 6749 §5.1).
    pub expires_in: Duration,
    /// The newest refresh token; every other one of the grant is spent.
    pub refresh: Secret,
}

/// An authorization code, and what proves whose it is (RFC 7636 §4.1).
pub(super) struct Code {
    pub(super) code: Secret,
    pub(super) verifier: Secret,
}

/// What the token endpoint said to a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// Here is the next access token.
    Renewed(Grant),
    /// `invalid_grant` (RFC 6749 §5.2): the refresh token is of no use any more.
    Refused,
}

/// A client that acts for users, and a user who lets it.
pub(super) struct Application {
    client: RegisteredClient,
    /// What is asked for.
    scope: String,
    user_agent: UserAgent,
}

/// What is used of a token response (RFC 6749 §5.1).
#[derive(Deserialize)]
struct TokenResponse {
    access_token: Secret,
    expires_in: u64,
    refresh_token: Option<Secret>,
}

/// What is used of an error response (RFC 6749 §5.2).
#[derive(Deserialize)]
struct ErrorResponse {
    error: String,
}

impl Application {
    /// Registers client and user.
    pub(super) async fn register(control: &Control, issuer: &Issuer) -> Result<Self, String> {
        let client = control.register(&registration(READ_SCOPE, None)).await?;
        let user = UserRegistration { username: USERNAME.to_owned(), password: random_text() };
        control.register_user(&user).await?;
        let user_agent = UserAgent::new(issuer.http.clone(), user);
        Ok(Self { client, scope: READ_SCOPE.to_owned(), user_agent })
    }

    /// Registers another client, whose tokens live for `lifetime` or as long as the server's, for the same user.
    pub(super) async fn another(
        &self,
        control: &Control,
        scope: &str,
        lifetime: Option<Duration>,
    ) -> Result<Self, String> {
        let client = control.register(&registration(scope, lifetime)).await?;
        Ok(Self { client, scope: scope.to_owned(), user_agent: self.user_agent.another() })
    }

    /// Who grants.
    pub(super) fn username(&self) -> &str {
        self.user_agent.username()
    }

    /// The page on which the user is asked, and does not answer.
    pub(super) async fn consent_page(&self, issuer: &Issuer) -> Result<Page, String> {
        self.user_agent.consent_page(self.request(issuer, &random_text(), &random_text())?).await
    }

    /// The anti-CSRF token of a page that somebody else was shown.
    pub(super) async fn csrf_token_of_a_stranger(&self, issuer: &Issuer) -> Result<Secret, String> {
        self.user_agent.another().csrf_token(self.request(issuer, &random_text(), &random_text())?).await
    }

    /// Has the user grant access once more: a code, and the tokens for it.
    pub(super) async fn grant(&self, issuer: &Issuer) -> Result<Grant, String> {
        let code = self.code(issuer).await?;
        self.redeem(issuer, &code).await
    }

    /// The client, as it authenticates.
    pub(super) fn client(&self) -> &RegisteredClient {
        &self.client
    }

    /// A code that nobody has used yet.
    pub(super) async fn code(&self, issuer: &Issuer) -> Result<Code, String> {
        let (verifier, state) = (random_text(), random_text());
        let back = self.user_agent.authorize(self.request(issuer, &verifier, &state)?).await?;
        Ok(Code { code: code(&back, &issuer.metadata.issuer, &state)?, verifier })
    }

    /// The tokens for a code.
    pub(super) async fn redeem(&self, issuer: &Issuer, Code { code, verifier }: &Code) -> Result<Grant, String> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", verifier.expose()),
        ];
        let asked = Instant::now();
        let (status, body) = self.ask(issuer, &form).await?;
        if status != StatusCode::OK {
            return Err(unsuccessful(TOKEN_ENDPOINT, status, &body));
        }
        self.granted(issuer, asked, &body, None)
    }

    /// Exchanges the refresh token for the next access token, and for the refresh token after it.
    ///
    /// # Errors
    /// Whatever is no judgement on the refresh token.
    pub(super) async fn refresh(&self, issuer: &Issuer, grant: &Grant) -> Result<Refreshed, String> {
        let form = [("grant_type", REFRESH_TOKEN), ("refresh_token", grant.refresh.expose())];
        let asked = Instant::now();
        let (status, body) = self.ask(issuer, &form).await?;
        match status {
            StatusCode::OK => self.granted(issuer, asked, &body, Some(&grant.refresh)).map(Refreshed::Renewed),
            StatusCode::BAD_REQUEST if is_invalid_grant(&body) => Ok(Refreshed::Refused),
            other => Err(unsuccessful(TOKEN_ENDPOINT, other, &body)),
        }
    }

    /// Revokes the refresh token, and its whole grant with it (RFC 7009 §2.1).
    pub(super) async fn revoke(&self, issuer: &Issuer, grant: &Grant) -> Result<(), String> {
        issuer.revoke(&self.client, &grant.refresh, REFRESH_TOKEN).await
    }

    /// Where the client sends the browser (RFC 6749 §4.1.1, RFC 7636 §4.3).
    fn request(&self, issuer: &Issuer, verifier: &Secret, state: &Secret) -> Result<Url, String> {
        let endpoint = issuer.metadata.authorization_endpoint.as_deref();
        let endpoint = endpoint.ok_or("the authorization server's metadata name no authorization endpoint")?;
        let mut url = Url::parse(endpoint).map_err(|error| format!("endpoint {endpoint:?} is no URL: {error}"))?;
        let challenge = challenge(verifier);
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.client.client_id),
            ("redirect_uri", REDIRECT_URI),
            ("scope", &self.scope),
            ("state", state.expose()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        Ok(url)
    }

    async fn ask(&self, issuer: &Issuer, form: &[(&str, &str)]) -> Result<(StatusCode, Vec<u8>), String> {
        let request = authenticated(&issuer.http, &issuer.metadata.token_endpoint, &self.client).form(form);
        exchange(TOKEN_ENDPOINT, request).await
    }

    /// The grant as it stands after a token response. `refresh` stays where no other one came (RFC 6749 §6).
    fn granted(&self, issuer: &Issuer, asked: Instant, body: &[u8], refresh: Option<&Secret>) -> Result<Grant, String> {
        let response: TokenResponse = parse(TOKEN_ENDPOINT, body)?;
        let refresh = response.refresh_token.or_else(|| refresh.cloned());
        let refresh = refresh.ok_or_else(|| format!("{TOKEN_ENDPOINT} gave no refresh token for a code"))?;
        let access = issuer.bearer(self.user_agent.username().to_owned(), response.access_token);
        Ok(Grant { access, asked, expires_in: Duration::from_secs(response.expires_in), refresh })
    }
}

/// Of a client that acts for users.
fn registration(scope: &str, lifetime: Option<Duration>) -> ClientRegistration {
    ClientRegistration {
        grant_types: ["authorization_code", REFRESH_TOKEN].map(str::to_owned).to_vec(),
        redirect_uris: vec![REDIRECT_URI.to_owned()],
        access_token_lifetime: lifetime,
        ..ClientRegistration::service("load client for users", &[scope])
    }
}

/// What is sent ahead of a verifier: its digest (RFC 7636 §4.2).
pub(super) fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()))
}

/// The code that the browser brings back, if the answer is this authorization server's (RFC 9207 §2.4) to this request.
fn code(back: &Url, issuer: &str, state: &Secret) -> Result<Secret, String> {
    let find = |name: &str| back.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    if !back.as_str().starts_with(REDIRECT_URI) {
        return Err(format!("the browser was sent to {}, not back to the client", back.path()));
    }
    if find("iss").as_deref() != Some(issuer) || find("state").as_deref() != Some(state.expose()) {
        return Err("the browser came back with another issuer or state than it was sent with".to_owned());
    }
    match (find("code"), find("error")) {
        (Some(code), None) => Ok(Secret::new(code)),
        (_, error) => Err(format!("the browser came back without a code: {}", error.unwrap_or_default())),
    }
}

fn is_invalid_grant(body: &[u8]) -> bool {
    serde_json::from_slice::<ErrorResponse>(body).is_ok_and(|response| response.error == "invalid_grant")
}

/// 256 random bits in 43 characters that are unreserved: long enough for a verifier (RFC 7636 §4.1).
fn random_text() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(query: &str) -> Result<Secret, String> {
        let url = Url::parse(&format!("{REDIRECT_URI}?{query}")).expect("a URL");
        code(&url, "http://as.test", &Secret::new("s"))
    }

    #[test]
    fn a_code_is_taken_from_the_right_issuer_in_the_right_state_alone() {
        assert_eq!(back("code=c&state=s&iss=http%3A%2F%2Fas.test"), Ok(Secret::new("c")));
        for other in ["code=c&state=s", "code=c&state=s&iss=http%3A%2F%2Fevil.test", "code=c&iss=http%3A%2F%2Fas.test"]
        {
            assert!(back(other).expect_err("it is not taken").contains("another issuer or state"), "{other}");
        }
        let denied = back("error=access_denied&state=s&iss=http%3A%2F%2Fas.test").expect_err("there is no code");
        assert!(denied.contains("access_denied"), "{denied}");
        let elsewhere = Url::parse("http://as.test/login?code=c").expect("a URL");
        assert!(code(&elsewhere, "http://as.test", &Secret::new("s")).expect_err("not ours").contains("/login"));
    }

    #[test]
    fn only_invalid_grant_is_a_judgement() {
        assert!(is_invalid_grant(br#"{"error":"invalid_grant","error_description":"used before"}"#));
        for other in [&br#"{"error":"invalid_client"}"#[..], b"{}", b"invalid_grant"] {
            assert!(!is_invalid_grant(other));
        }
    }

    #[test]
    fn a_verifier_is_as_long_as_it_must_be_and_never_the_same() {
        let (one, other) = (random_text(), random_text());
        assert_eq!(one.expose().len(), 43);
        assert_ne!(one, other);
    }
}
