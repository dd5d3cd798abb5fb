//! The `oauth2` crate, unmodified, against the authorization server: code flow with PKCE, refresh, introspection,
//! revocation. It was written against other servers, so what it needs is what the standards say.

use crate::common::Server;
use crate::common::browser::{Browser, PASSWORD, USERNAME};
use bench_server::contract::{ClientRegistration, RegisteredClient, TokenValidation, UserRegistration};
use oauth2::basic::BasicClient;
use oauth2::{
    AccessToken, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, IntrospectionUrl, PkceCodeChallenge, RedirectUrl, RevocationUrl, Scope,
    TokenIntrospectionResponse as _, TokenResponse as _, TokenUrl,
};
use serde_json::Value;

const CALLBACK: &str = "http://127.0.0.1/callback";

/// With every endpoint but that of devices.
type Configured = BasicClient<EndpointSet, EndpointNotSet, EndpointSet, EndpointSet, EndpointSet>;

fn configured(registered: &RegisteredClient, metadata: &Value) -> Configured {
    let endpoint = |name: &str| metadata[name].as_str().expect("an endpoint").to_owned();
    let secret = registered.client_secret.as_ref().expect("a confidential client").expose().to_owned();
    BasicClient::new(ClientId::new(registered.client_id.clone()))
        .set_client_secret(ClientSecret::new(secret))
        .set_auth_uri(AuthUrl::new(endpoint("authorization_endpoint")).expect("a URL"))
        .set_token_uri(TokenUrl::new(endpoint("token_endpoint")).expect("a URL"))
        .set_introspection_url(IntrospectionUrl::new(endpoint("introspection_endpoint")).expect("a URL"))
        .set_revocation_url(RevocationUrl::new(endpoint("revocation_endpoint")).expect("a URL"))
        .set_redirect_uri(RedirectUrl::new(CALLBACK.to_owned()).expect("a URL"))
}

#[tokio::test]
async fn the_code_flow_with_refresh_introspection_and_revocation() {
    let server = Server::start(crate::common::oauth2(TokenValidation::Opaque { cache: None })).await;
    server
        .control_post(
            "/users",
            &UserRegistration { username: USERNAME.into(), password: bench_server::contract::Secret::new(PASSWORD) },
        )
        .await;
    let application = ClientRegistration {
        grant_types: vec!["authorization_code".into(), "refresh_token".into()],
        redirect_uris: vec![CALLBACK.into()],
        ..ClientRegistration::service("application", &["read"])
    };
    let application = server.register_client(&application).await;
    let resource_server = server.register_client(&ClientRegistration::resource_server("resource server")).await;

    let client = server.client().build().expect("a client");
    let url = format!("{}/.well-known/oauth-authorization-server", server.url());
    let metadata: Value = client.get(url).send().await.expect("an answer").json().await.expect("metadata");
    let http = async |request: HttpRequest| -> Result<HttpResponse, reqwest::Error> {
        let response = client.execute(request.try_into()?).await?;
        let mut answer = HttpResponse::default();
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        *answer.body_mut() = response.bytes().await?.into();
        Ok(answer)
    };
    let http = |request| Box::pin(http(request));
    let (application, resource_server) = (configured(&application, &metadata), configured(&resource_server, &metadata));
    let is_active = async |token: &AccessToken| {
        let question = resource_server.introspect(token);
        question.request_async(&http).await.expect("an introspection response").active()
    };

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = application
        .authorize_url(CsrfToken::new_random)
        .add_scope(Scope::new("read".into()))
        .set_pkce_challenge(challenge)
        .url();
    let back = Browser::new(server.client()).authorize(url).await;
    let parameter = |wanted: &str| {
        back.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).expect("a parameter")
    };
    assert_eq!(&parameter("state"), state.secret());
    let code = application.exchange_code(AuthorizationCode::new(parameter("code"))).set_pkce_verifier(verifier);
    let token = code.request_async(&http).await.expect("a token response");
    let call = async |token: &AccessToken| {
        client.get(server.whoami()).bearer_auth(token.secret()).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(call(token.access_token()).await, 200);
    assert!(is_active(token.access_token()).await);

    let refresh = application.exchange_refresh_token(token.refresh_token().expect("a refresh token"));
    let renewed = refresh.request_async(&http).await.expect("a token response");
    assert_eq!(call(renewed.access_token()).await, 200);
    let next = renewed.refresh_token().expect("a refresh token").clone();
    let revocation = application.revoke_token(next.into()).expect("a revocation endpoint over TLS");
    revocation.request_async(&http).await.expect("an empty answer");
    assert!(!is_active(renewed.access_token()).await);
    assert_eq!(call(renewed.access_token()).await, 401);
    server.stop().await;
}
