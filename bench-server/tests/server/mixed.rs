//! One route for API keys, JWTs and opaque tokens: the form of a token decides who looks at it, and nobody else does.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use crate::common::{Answer, STRICT, Server, listener, profile};
use bench_server::contract::{
    Algorithm, ApiKeyConfig, AuthorizationServerConfig, ClientRegistration, Counters, HttpVersion, IssueRequest,
    Issued, JwtConfig, ListenerConfig, Material, MeteringConfig, MethodConfig, MixedConfig, OAuth2Config, READ_SCOPE,
    StoreConfig, TokenValidation, Transport, TrustedIssuer,
};

/// A server with the route, and the authorization server that it asks. That is elsewhere, and the form of its tokens not known:
/// whatever were shown to the introspection would be asked about.
struct Site {
    server: Server,
    issuer: Server,
    _folder: tempfile::TempDir,
}

impl Site {
    async fn start() -> Self {
        let issuing =
            ListenerConfig { authorization_server: true, ..listener(Transport::Plaintext, HttpVersion::Http1) };
        let issuer = Server::start_with(vec![issuing], Some(AuthorizationServerConfig::default())).await;
        let client = issuer.register_client(&ClientRegistration::resource_server("mixed")).await;
        let folder = tempfile::tempdir().expect("a folder");
        let client_secret_file = folder.path().join("secret");
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&client_secret_file).expect("a file");
        write!(file, "{}", client.client_secret.expect("a secret").expose()).expect("written");
        let trusted = TrustedIssuer::Remote {
            issuer: issuer.url().to_owned(),
            ca_file: None,
            client_id: client.client_id,
            client_secret_file,
        };
        let opaque = OAuth2Config::new(TokenValidation::Opaque { cache: None });
        let mixed = MixedConfig {
            api_key: ApiKeyConfig::new(StoreConfig::Memory),
            jwt: JwtConfig { rules: STRICT, ..JwtConfig::new(Algorithm::ES256) },
            opaque: OAuth2Config { issuer: trusted, ..opaque },
        };
        Self { server: Server::start(MethodConfig::Mixed(Box::new(mixed))).await, issuer, _folder: folder }
    }

    async fn opaque(&self) -> Issued {
        self.issuer.issue(&[READ_SCOPE], None).await
    }

    async fn stop(self) {
        self.server.stop().await;
        self.issuer.stop().await;
    }
}

fn secret(credential: &Issued) -> &str {
    match &credential.material {
        Material::ApiKey { key } => key.expose(),
        Material::Bearer { token } => token.expose(),
        other => panic!("not presented in a field: {other:?}"),
    }
}

/// A key and a JWT of the profile.
async fn key_and_jwt(server: &Server) -> [Issued; 2] {
    let request = IssueRequest { count: 2, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
    let issued: Vec<Issued> =
        server.control_post("/profiles/subject/credentials", &request).await.json().await.expect("credentials");
    let issued: [Issued; 2] = issued.try_into().expect("two");
    assert!(matches!(issued[0].material, Material::ApiKey { .. }));
    assert!(matches!(issued[1].material, Material::Bearer { .. }));
    issued
}

/// What it costs to present a token, and what comes of it.
async fn present(server: &Server, token: &str) -> (Answer, Counters) {
    let before = server.counters().await;
    let answer = server.call_with("/whoami", &[("authorization", &format!("Bearer {token}"))]).await;
    (answer, server.counters().await.since(&before))
}

/// Lookups in the store of keys, signatures, and questions to the authorization server.
fn spent(cost: &Counters) -> (u64, u64, u64) {
    (cost.store_lookups - cost.introspections, cost.verify_calls, cost.introspections)
}

#[tokio::test]
async fn xc_25_each_credential_is_accepted_by_its_own_verifier_alone() {
    let site = Site::start().await;
    let (server, opaque) = (&site.server, site.opaque().await);
    let [key, jwt] = key_and_jwt(server).await;
    for (credential, expected) in [(&key, (1, 0, 0)), (&jwt, (0, 1, 0)), (&opaque, (0, 0, 1))] {
        let (answer, cost) = present(server, secret(credential)).await;
        answer.assert_accepted(&credential.principal);
        assert_eq!(spent(&cost), expected);
    }
    // A key may stand in its own field, and only there or in the other.
    let good = secret(&key);
    server.call_with("/whoami", &[("x-api-key", good)]).await.assert_accepted(&key.principal);
    let bearer = format!("Bearer {}", secret(&jwt));
    let both = server.call_with("/whoami", &[("x-api-key", good), ("authorization", &bearer)]).await;
    assert_eq!(both.status(), Some(400));
    server.call_with("/whoami", &[]).await.assert_challenge("Bearer", None);
    site.stop().await;
}

#[tokio::test]
async fn xc_25_what_one_verifier_refuses_is_shown_to_no_other() {
    let site = Site::start().await;
    let (server, opaque) = (&site.server, site.opaque().await);
    let [key, jwt] = key_and_jwt(server).await;
    let (key, jwt, opaque) = (secret(&key), secret(&jwt), secret(&opaque));
    let foreign = Site::start().await;
    let [foreign_key, foreign_jwt] = key_and_jwt(&foreign.server).await;
    let foreign_opaque = foreign.opaque().await;
    let altered = |text: &str| {
        let last = if text.ends_with('A') { "Q" } else { "A" };
        format!("{}{last}", &text[..text.len() - 1])
    };
    for token in [
        secret(&foreign_key),
        secret(&foreign_jwt),
        secret(&foreign_opaque),
        &altered(key),
        &format!("{key}.{key}.{key}"),
        &format!("ab_{jwt}"),
        &format!("{}.{}", jwt, "x"),
        jwt.rsplit_once('.').expect("three parts").0,
        &altered(jwt),
        &format!("{opaque}.{opaque}.{opaque}"),
        &opaque[..opaque.len() - 1],
        "..",
        "x",
    ] {
        let (answer, cost) = present(server, token).await;
        answer.assert_challenge("Bearer", Some("invalid_token"));
        let (lookups, signatures, questions) = spent(&cost);
        assert!(lookups + signatures + questions <= 1, "{token} costs {cost:?}");
        // Nobody but the one whose form it has.
        let (is_key, is_jwt) = (token.starts_with("ab_"), token.matches('.').count() == 2);
        assert!(is_key || lookups == 0, "{token}");
        assert!((is_jwt && !is_key) || signatures == 0, "{token}");
        assert_eq!(questions, u64::from(!is_key && !is_jwt), "{token}");
    }
    site.stop().await;
    foreign.stop().await;
}

#[tokio::test]
async fn keys_and_jwts_are_issued_by_turns_renewed_and_taken_back() {
    let site = Site::start().await;
    let server = &site.server;
    let [key, jwt] = key_and_jwt(server).await;
    let one = IssueRequest { count: 1, lifetime: Some(Duration::from_secs(60)), scopes: vec![READ_SCOPE.to_owned()] };
    for credential in [&key, &jwt] {
        let path = format!("/profiles/subject/principals/{}/credentials", credential.principal);
        let renewed: Vec<Issued> = server.control_post(&path, &one).await.json().await.expect("a credential");
        let (answer, _) = present(server, secret(&renewed[0])).await;
        answer.assert_accepted(&credential.principal);
        assert_eq!(secret(&renewed[0]).starts_with("ab_"), secret(credential).starts_with("ab_"));
    }
    server.revoke(&key).await;
    present(server, secret(&key)).await.0.assert_challenge("Bearer", Some("invalid_token"));
    // Without a deny-list a JWT works until it ends.
    server.revoke(&jwt).await;
    present(server, secret(&jwt)).await.0.assert_accepted(&jwt.principal);
    site.stop().await;
}

#[tokio::test]
async fn what_a_key_opens_is_billed_and_written_down_at_a_stop() {
    let shared = tempfile::tempdir().expect("a folder");
    let metering = Some(MeteringConfig { flush: Duration::from_secs(60) }); // longer than the test
    let mixed = MixedConfig {
        api_key: ApiKeyConfig { metering, ..ApiKeyConfig::new(StoreConfig::Sqlite) },
        jwt: JwtConfig { rules: STRICT, ..JwtConfig::new(Algorithm::ES256) },
        opaque: OAuth2Config::new(TokenValidation::Opaque { cache: None }),
    };
    let listener = ListenerConfig {
        profiles: vec![profile(MethodConfig::Mixed(Box::new(mixed)))],
        authorization_server: true,
        ..listener(Transport::Tls13, HttpVersion::Http1)
    };
    let server =
        Server::start_in(vec![listener], Some(AuthorizationServerConfig::default()), Some(shared.path())).await;
    let [key, jwt] = key_and_jwt(&server).await;
    let opaque = server.token_of_client(&[READ_SCOPE]).await;
    for token in [secret(&key), secret(&jwt), &opaque, secret(&key)] {
        assert_eq!(present(&server, token).await.0.status(), Some(200));
    }
    server.call_with("/whoami", &[("x-api-key", secret(&key))]).await.assert_accepted(&key.principal);
    server.stop().await;

    let file = rusqlite::Connection::open(shared.path().join("subject.api-key/store.sqlite")).expect("the store");
    let mut select = file.prepare("SELECT key_id, requests FROM usage").expect("the table");
    let billed = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).expect("read");
    let billed: Vec<_> = billed.map(|line| line.expect("a line")).collect();
    assert_eq!(billed, [(key.id.clone(), 3)]);
}
