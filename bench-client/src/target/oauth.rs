//! Client of the authorization server: discovery by metadata (RFC 8414), tokens by the client credentials grant
//! (RFC 6749 §4.4), revocation (RFC 7009). Connections are kept, as a caller's would be.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bench_server::contract::{Issued, Material, RegisteredClient, Secret};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity, RequestBuilder, Url};
use rustls_pki_types::CertificateDer;
use serde::Deserialize;

use super::control::{answer, chain, json};
use crate::attack::{Jws, Missing, ProofFor, TokenKey};
use crate::load::Endpoint;

/// Token requests in flight: enough to keep one core busy across the round trips, few enough to be no load test.
pub(super) const CONCURRENCY: usize = 16;

/// Longest wait for one answer; the server signs or stores one token for it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What messages call it.
pub(super) const TOKEN_ENDPOINT: &str = "the token endpoint";

/// Kinds of tokens (RFC 7009 §2.1).
pub(super) const ACCESS_TOKEN: &str = "access_token";
pub(super) const REFRESH_TOKEN: &str = "refresh_token";

/// An authorization server with the clients that tokens are asked for with.
pub(super) struct Issuer {
    pub(super) http: Client,
    pub(super) metadata: Metadata,
    /// Numbers the tokens: an opaque token has no name, and a part of it would be a part of a secret.
    issued: AtomicU64,
}

/// What is used of the metadata (RFC 8414 §2).
#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    /// Absent where no grant type uses it.
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: String,
    revocation_endpoint: String,
}

/// What is used of a token response (RFC 6749 §5.1).
#[derive(Deserialize)]
pub(super) struct TokenResponse {
    pub(super) access_token: Secret,
}

impl Issuer {
    /// Discovers the authorization server with that issuer identifier, which listens on `address`; `roots` are what its
    /// certificate must chain to.
    pub(super) async fn discover(
        identifier: &str,
        address: SocketAddr,
        roots: &[CertificateDer<'static>],
    ) -> Result<Self, String> {
        let url = Url::parse(identifier).map_err(|error| format!("issuer {identifier:?} is no URL: {error}"))?;
        let http = http_client(&url, address, roots, None)?;
        // What stands in front of it, and is named in its URLs, is for resource servers.
        let direct = |mut url: Url| {
            let _ = url.set_port(Some(address.port())); // fails for URLs without a host only
            url
        };
        let place = direct(url.join("/.well-known/oauth-authorization-server").expect("a constant path"));
        let mut metadata: Metadata = json("the authorization server's metadata (RFC 8414)", http.get(place)).await?;
        if metadata.issuer != identifier {
            // RFC 8414 §3.3: the values must be identical, or the metadata must not be used.
            return Err(format!("the metadata of {identifier} name another issuer, {:?}", metadata.issuer));
        }
        let endpoints = [&mut metadata.token_endpoint, &mut metadata.revocation_endpoint];
        for endpoint in endpoints.into_iter().chain(&mut metadata.authorization_endpoint) {
            let url = Url::parse(endpoint).map_err(|error| format!("endpoint {endpoint:?} is no URL: {error}"))?;
            *endpoint = direct(url).into();
        }
        Ok(Self { http, metadata, issued: AtomicU64::new(0) })
    }

    /// Asks the token endpoint for `count` access tokens.
    pub(super) async fn tokens(
        &self,
        client: &RegisteredClient,
        count: usize,
        scope: &str,
    ) -> Result<Vec<Issued>, String> {
        stream::iter((0..count).map(|_| self.token(client, scope))).buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn token(&self, client: &RegisteredClient, scope: &str) -> Result<Issued, String> {
        let request = token_request(&self.http, &self.metadata.token_endpoint, client, Some(scope));
        let response: TokenResponse = json(TOKEN_ENDPOINT, request).await?;
        Ok(self.bearer(principal(client), response.access_token))
    }

    /// An access token that is bound to a key (RFC 9449 §5).
    pub(super) async fn token_with_proof(
        &self,
        client: &RegisteredClient,
        scope: &str,
        key: &TokenKey,
    ) -> Result<Issued, String> {
        let endpoint = &self.metadata.token_endpoint;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let of = ProofFor { method: "POST", url: endpoint, token: None, now, unique: rand::random() };
        let proof = Jws::proof(key, &of).and_then(|proof| proof.signed(key)).map_err(|Missing(what)| what)?;
        let request = token_request(&self.http, endpoint, client, Some(scope)).header("DPoP", proof.text());
        let response: TokenResponse = json(TOKEN_ENDPOINT, request).await?;
        Ok(self.bearer(principal(client), response.access_token))
    }

    /// An access token that is bound to the certificate which the client shows in asking for it (RFC 8705 §3).
    pub(super) async fn token_with_certificate(
        &self,
        client: &RegisteredClient,
        scope: &str,
        certificate: &Issued,
        at: &Endpoint,
    ) -> Result<Issued, String> {
        let Material::Certificate { chain_pem, key_pem } = &certificate.material else {
            return Err(format!("{} is no certificate", certificate.id));
        };
        let both = Secret::new(format!("{chain_pem}\n{}", key_pem.expose()));
        // The cause is left out: it might quote the key.
        let identity = Identity::from_pem(both.expose().as_bytes());
        let identity = identity.map_err(|_| format!("certificate and key of {} do not serve", certificate.id))?;
        let endpoint = &self.metadata.token_endpoint;
        let url = Url::parse(endpoint).map_err(|error| format!("endpoint {endpoint:?} is no URL: {error}"))?;
        let http = http_client(&url, at.address, &at.roots, Some(identity))?;
        let response: TokenResponse = json(TOKEN_ENDPOINT, token_request(&http, endpoint, client, Some(scope))).await?;
        Ok(self.bearer(principal(client), response.access_token))
    }

    /// An access token as a credential of that principal.
    pub(super) fn bearer(&self, principal: String, token: Secret) -> Issued {
        let id = format!("token-{}", self.issued.fetch_add(1, Ordering::Relaxed));
        Issued { id, principal, material: Material::Bearer { token } }
    }

    /// Revokes an access or a refresh token; only the client that it was issued to may (RFC 7009 §2.1).
    pub(super) async fn revoke(
        &self,
        client: &RegisteredClient,
        token: &Secret,
        token_type: &str,
    ) -> Result<(), String> {
        let form = [("token", token.expose()), ("token_type_hint", token_type)];
        let request = authenticated(&self.http, &self.metadata.revocation_endpoint, client).form(&form);
        answer("the revocation endpoint", request).await.map(drop)
    }
}

/// A client for the server of that URL, which listens on `address`; it shows a certificate if it has one.
fn http_client(
    url: &Url,
    address: SocketAddr,
    roots: &[CertificateDer<'static>],
    identity: Option<Identity>,
) -> Result<Client, String> {
    let host = url.host_str().ok_or_else(|| format!("{url} has no host"))?;
    let roots = roots.iter().map(|root| Certificate::from_der(root)).collect::<Result<Vec<_>, _>>();
    roots
        .and_then(|roots| {
            let builder = Client::builder()
                .tls_certs_only(roots)
                .resolve(host, address) // without asking the resolver, which might prefer ::1
                .no_proxy()
                // A browser's business: what a client sends to an endpoint is for that endpoint (RFC 9700 §4.12).
                .redirect(Policy::none())
                .http1_only()
                .pool_max_idle_per_host(CONCURRENCY)
                .timeout(TIMEOUT);
            match identity {
                Some(identity) => builder.identity(identity),
                None => builder,
            }
            .build()
        })
        .map_err(|error| format!("no client for {url}: {}", chain(&error)))
}

/// A request for an access token by the client credentials grant (RFC 6749 §4.4.2).
pub(super) fn token_request(
    http: &Client,
    endpoint: &str,
    client: &RegisteredClient,
    scope: Option<&str>,
) -> RequestBuilder {
    let grant = [("grant_type", "client_credentials")].into_iter();
    let form: Vec<(&str, &str)> = grant.chain(scope.map(|scope| ("scope", scope))).collect();
    authenticated(http, endpoint, client).form(&form)
}

/// A request with the client's identifier and secret, form-encoded before Basic's own encoding (RFC 6749 §2.3.1).
pub(super) fn authenticated(http: &Client, endpoint: &str, client: &RegisteredClient) -> RequestBuilder {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let secret = client.client_secret.as_ref().map(|secret| encode(secret.expose()));
    http.post(endpoint).basic_auth(encode(&client.client_id), secret)
}

/// For whom the resource server takes the bearer of a token that was issued to the client itself.
pub(crate) fn principal(client: &RegisteredClient) -> String {
    format!("client:{}", client.client_id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use tokio::net::TcpListener;

    use super::super::fake::{Request, serve};
    use super::*;

    /// Carries out `work` against an authorization server that answers by `answer`, given its own identifier.
    async fn against<T>(
        mut answer: impl FnMut(&Request, &str) -> (u16, String),
        work: impl AsyncFnOnce(Result<Issuer, String>) -> T,
    ) -> T {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let identifier = format!("http://localhost:{}", address.port());
        let server = async {
            loop {
                let (stream, _) = listener.accept().await.expect("the listener lives");
                serve(stream, |request| answer(request, &identifier)).await;
            }
        };
        tokio::select! {
            result = async { work(Issuer::discover(&identifier, address, &[]).await).await } => result,
            () = server => unreachable!("it serves for ever"),
        }
    }

    fn metadata(issuer: &str, of: &str) -> (u16, String) {
        let json = serde_json::json!({
            "issuer": issuer, "token_endpoint": format!("{of}/t"), "revocation_endpoint": format!("{of}/r"),
        });
        (200, json.to_string())
    }

    fn client() -> RegisteredClient {
        RegisteredClient { client_id: "a:b".to_owned(), client_secret: Some(Secret::new("p w")) }
    }

    #[tokio::test]
    async fn endpoints_are_discovered_and_used_as_the_client() {
        let mut numbers = 0..;
        let mut revoked = Vec::new();
        let answer = |request: &Request, own: &str| {
            if request.line == "GET /.well-known/oauth-authorization-server" {
                return metadata(own, own);
            }
            // RFC 6749 §2.3.1: form-encoded first, so that the colon of the identifier is not Basic's.
            let basic = format!("basic {}", STANDARD.encode("a%3Ab:p+w")).to_ascii_lowercase();
            assert!(request.head.to_ascii_lowercase().contains(&basic), "{}", request.head);
            match request.line.as_str() {
                "POST /t" => {
                    assert_eq!(request.body, "grant_type=client_credentials&scope=read");
                    let number = numbers.next().expect("endless");
                    (200, format!(r#"{{"access_token":"secret{number}","token_type":"Bearer","expires_in":9}}"#))
                }
                "POST /r" => {
                    revoked.push(request.body.clone());
                    (200, String::new())
                }
                other => panic!("{other}"),
            }
        };
        let tokens = against(answer, async |issuer| {
            let issuer = issuer.expect("the metadata are right");
            let tokens = issuer.tokens(&client(), 40, "read").await.expect("all are issued");
            issuer.revoke(&client(), &Secret::new("secret7"), ACCESS_TOKEN).await.expect("it is acknowledged");
            tokens
        })
        .await;
        assert_eq!(revoked, ["token=secret7&token_type_hint=access_token"]);
        assert_eq!(tokens.iter().map(|token| &token.id).collect::<BTreeSet<_>>().len(), 40);
        assert!(tokens.iter().all(|token| token.principal == "client:a:b" && !token.id.contains("secret")));
    }

    #[tokio::test]
    async fn metadata_of_another_issuer_are_not_used() {
        let answer = |_: &Request, own: &str| metadata("https://evil.test", own);
        let error = against(answer, async |issuer| issuer.err()).await.expect("it is refused");
        assert!(error.contains("https://evil.test"), "{error}");
    }

    #[tokio::test]
    async fn an_oauth_error_is_quoted() {
        let answer = |request: &Request, own: &str| match request.line.as_str() {
            "POST /t" => (401, r#"{"error":"invalid_client"}"#.to_owned()),
            _ => metadata(own, own),
        };
        let error = against(answer, async |issuer| {
            issuer.expect("the metadata are right").tokens(&client(), 1, "read").await.err()
        })
        .await
        .expect("the client is refused");
        assert!(error.contains("401") && error.contains("invalid_client") && !error.contains("p w"), "{error}");
    }
}
