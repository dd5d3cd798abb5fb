//! Forms of the authorization server's endpoints.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;

use super::{Mutator, TRIES};
use crate::clock::Clock;
use crate::config::{AuthorizationServerConfig, ClockMode};
use crate::contract::ClientRegistration;
use crate::issuer::authorization_server::AuthorizationServer;

#[tokio::test]
async fn xc_24_damaged_forms_of_every_endpoint() {
    let clock = Clock::new(ClockMode::Controlled);
    let config = AuthorizationServerConfig::default();
    let server = AuthorizationServer::build(&config, "https://as.test", clock, Arc::default()).expect("sound");
    let client = server.register_client(&ClientRegistration::service("app", &["read"])).expect("registered");
    let secret = client.client_secret.as_ref().expect("a secret").expose();
    let credentials = [("client_id", &*client.client_id), ("client_secret", secret)];
    let form = |own: &[(&str, &str)]| {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(own.iter().copied().chain(credentials)).finish()
    };
    let forms = [
        (
            "/token",
            form(&[
                ("grant_type", "client_credentials"),
                ("scope", "read"),
                ("resource", "https://api.authbench.test"),
            ]),
        ),
        ("/token", form(&[("grant_type", "refresh_token"), ("refresh_token", "rt_x")])),
        (
            "/token",
            form(&[
                ("grant_type", "authorization_code"),
                ("code", "ac_x"),
                ("redirect_uri", "https://app.test/cb"),
                ("code_verifier", "x"),
            ]),
        ),
        ("/introspect", form(&[("token", "at_x"), ("token_type_hint", "access_token")])),
        ("/revoke", form(&[("token", "at_x")])),
        ("/consent", form(&[("csrf", "x"), ("decision", "allow")])),
        ("/grants", form(&[("csrf", "x"), ("client_id", "x")])),
    ];
    let pieces =
        ["&", "=", "%", "%00", "%zz", "%c3%28", "+", "&grant_type=password", "&client_secret=", "&scope=admin", "é"];
    let mut mutator = Mutator::new(6749);
    let mut issued = 0;
    for n in 0..TRIES {
        let (path, good) = &forms[n % forms.len()];
        let damaged = mutator.damage(good.as_bytes(), &pieces.map(str::as_bytes));
        let request = http::Request::post(*path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let mut request = request.body(Bytes::from(damaged.clone())).expect("a request");
        let address = u32::try_from(n).expect("a hundred thousand").to_be_bytes();
        request.extensions_mut().insert(std::net::SocketAddr::from((address, 1)));
        let answer = server.handle(&request).await.expect("its path");
        let shown = || (path, String::from_utf8_lossy(&damaged).into_owned(), answer.status());
        assert!(!answer.status().is_server_error(), "{:?}", shown());
        if *path == "/token" && answer.status().is_success() {
            issued += 1;
            let has = |name: &str, value: &str| {
                let mut values = form_urlencoded::parse(&damaged).filter(|(n, _)| n == name).map(|(_, v)| v);
                values.next().is_some_and(|first| first == value) && values.next().is_none()
            };
            let proven = has("client_id", &client.client_id) && has("client_secret", secret);
            assert!(proven && has("grant_type", "client_credentials"), "{:?}", shown());
        }
    }
    assert!(issued > 0, "some were still good");
}
