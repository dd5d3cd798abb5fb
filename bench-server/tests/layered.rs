//! Who calls and for whom, on a real listener: what is refused in the handshake, what by which challenge, and what the
//! resource says of both. The rules in detail: `auth/layered/tests.rs`.

mod common;

use std::time::Duration;

use bench_server::contract::{
    AccessTokenFormat, Algorithm, ApiKeyConfig, AuthorizationServerConfig, CallerConfig, HttpVersion, IssueRequest,
    Issued, LayeredConfig, ListenerConfig, Material, MethodConfig, MtlsConfig, OAuth2Config, READ_SCOPE, ServiceConfig,
    StoreConfig, TokenValidation, Transport,
};
use common::{Answer, Caller, Server, listener, profile};

const SERVICE: &str = "spiffe://authbench.test/gateway";

/// The layered route is the first listener; the authorization server has one of its own.
async fn start(caller: CallerConfig) -> Server {
    let algorithm = Algorithm::ES256;
    let user = OAuth2Config::new(TokenValidation::Jwt { algorithm });
    let method = MethodConfig::Layered(Box::new(LayeredConfig { caller, user }));
    let api = ListenerConfig { profiles: vec![profile(method)], ..listener(Transport::Tls13, HttpVersion::Http1) };
    let issuer = ListenerConfig {
        name: "issuer".into(),
        authorization_server: true,
        ..listener(Transport::Tls13, HttpVersion::Http1)
    };
    let access_token = AccessTokenFormat::Jwt { algorithm };
    let authorization_server = AuthorizationServerConfig { access_token, ..AuthorizationServerConfig::default() };
    Server::start_with(vec![api, issuer], Some(authorization_server)).await
}

async fn credential_of(server: &Server, caller: &str) -> Issued {
    let request = IssueRequest { count: 1, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
    let caller = caller.replace('/', "%2F");
    let path = format!("/profiles/subject/principals/{caller}/credentials");
    let issued: Vec<Issued> = server.control_post(&path, &request).await.json().await.expect("a credential");
    issued.into_iter().next().expect("one")
}

#[tokio::test]
async fn la_2_la_3_bc_157_each_layer_has_a_challenge_of_its_own() {
    let server = start(CallerConfig::Application(ApiKeyConfig::new(StoreConfig::Memory))).await;
    let issued = credential_of(&server, "shop").await;
    let Material::ApiKey { key } = &issued.material else { panic!("not a key") };
    for fields in [&[][..], &[("x-api-key", "wrong")], &[("authorization", "Bearer a.b.c")]] {
        server.call_with("/whoami", fields).await.assert_challenge("ApiKey", None);
    }
    let with_key = ("x-api-key", key.expose());
    server.call_with("/whoami", &[with_key]).await.assert_challenge("Bearer", None);
    let bad = [with_key, ("authorization", "Bearer a.b.c")];
    server.call_with("/whoami", &bad).await.assert_challenge("Bearer", Some("invalid_token"));
    // Paths that do not exist tell nothing either.
    server.call_with("/nothing", &[]).await.assert_challenge("ApiKey", None);
    server.stop().await;
}

#[tokio::test]
async fn la_10_bc_161_a_service_needs_its_certificate_in_the_handshake_and_a_users_token_after_it() {
    let certificates = MtlsConfig::new(Duration::from_secs(3600));
    let may_act = vec![SERVICE.to_owned()];
    let server = start(CallerConfig::Service(ServiceConfig { certificates, may_act })).await;
    server.call(&Material::None).await.assert_alert("CertificateRequired");
    let bearer_only = server.call_with("/whoami", &[("authorization", "Bearer a.b.c")]).await;
    bearer_only.assert_alert("CertificateRequired");

    let issued = credential_of(&server, SERVICE).await;
    assert_eq!(issued.principal, SERVICE);
    Caller::new(&server, &issued.material).call().await.assert_challenge("Bearer", None);
    // A client's own token speaks of no user.
    let token = server.token_of_client(&[READ_SCOPE]).await;
    let answer = Caller::new(&server, &issued.material).with_bearer(&token).call().await;
    let Answer::Http { status: 403, body: Some(body), .. } = &answer else { panic!("not a 403: {answer:?}") };
    assert!(body["type"].as_str().is_some_and(|kind| kind.ends_with("user-authorization-required")), "{body}");
    server.stop().await;
}
