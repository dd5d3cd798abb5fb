//! Tokens that come with a proof (RFC 9449 §7).

use super::*;
use crate::config::DpopConfig;
use crate::credential::dpop::testing::Prover;
use crate::credential::dpop::token_hash;

const URL: &str = "https://api.test/whoami";

/// An authorization server, and a resource server that takes tokens with proofs beside one that takes bearer tokens.
struct Bound {
    issuer: Issuer,
    with_proofs: OAuth2,
    for_bearers: OAuth2,
    prover: Prover,
}

impl Bound {
    fn new(access_token: AccessTokenFormat, nonce: bool) -> Self {
        let issuer = Issuer::with(AuthorizationServerConfig { access_token, ..AuthorizationServerConfig::default() });
        let validation = match access_token {
            AccessTokenFormat::Opaque => TokenValidation::Opaque { cache: cache(10) },
            AccessTokenFormat::Jwt { algorithm } => TokenValidation::Jwt { algorithm },
        };
        let dpop = Some(DpopConfig { nonce, url: Some(URL.to_owned()) });
        let for_bearers = OAuth2::build(&config(validation.clone()), &issuer.environment()).unwrap();
        let with_proofs = OAuth2Config { dpop, ..config(validation) };
        let with_proofs = OAuth2::build(&with_proofs, &issuer.environment()).unwrap();
        Self { issuer, with_proofs, for_bearers, prover: Prover::new(Algorithm::ES256) }
    }

    /// A token that is bound to the key of this prover.
    async fn token(&self, prover: &Prover) -> String {
        let url = format!("{}/token", self.issuer.server.issuer());
        let proof = prover.proof("POST", &url, self.issuer.clock.now(), &[]);
        let form = [("grant_type", "client_credentials")];
        let answer = self.issuer.post_with("/token", &form, &[("dpop", &proof)]).await;
        assert_eq!(answer["token_type"], "DPoP", "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    fn proof(&self, prover: &Prover, token: &str, changes: &[(&str, Value)]) -> String {
        let ath = [("ath", Value::from(token_hash(token)))];
        prover.proof("GET", URL, self.issuer.now(), &[&ath[..], changes].concat())
    }

    async fn call(&self, authorization: &str, proofs: &[&str]) -> Result<Principal, Rejection> {
        let request = HttpRequest::get("/whoami").header("authorization", authorization);
        let request = proofs.iter().fold(request, |request, proof| request.header("dpop", *proof));
        self.issuer.call_with(&self.with_proofs, request).await
    }
}

const FORMATS: [AccessTokenFormat; 2] =
    [AccessTokenFormat::Opaque, AccessTokenFormat::Jwt { algorithm: Algorithm::EdDSA }];

#[tokio::test]
async fn oa_55_oa_57_bc_074_a_token_is_good_with_a_proof_of_its_own_key() {
    for format in FORMATS {
        let bound = Bound::new(format, false);
        let token = bound.token(&bound.prover).await;
        let (scheme, proof) = (format!("dPoP   {token}"), bound.proof(&bound.prover, &token, &[]));
        let principal = bound.call(&scheme, &[&proof]).await.unwrap();
        assert!(principal.has_scope("read"));
        assert_eq!(bound.call(&scheme, &[&proof]).await, invalid(Cause::Proof), "replayed");
        let next = bound.proof(&bound.prover, &token, &[]);
        assert!(bound.call(&scheme, &[&next]).await.is_ok(), "each request has a proof of its own");
        bound.issuer.advance(61);
        assert_eq!(bound.call(&scheme, &[&next]).await, invalid(Cause::Proof));
        bound.issuer.advance(900);
        let late = bound.proof(&bound.prover, &token, &[]);
        assert!(matches!(
            bound.call(&scheme, &[&late]).await,
            Err(Rejection::Invalid(Cause::Expired | Cause::Unknown))
        ));
    }
}

#[tokio::test]
async fn oa_56_bc_072_a_bound_token_is_no_bearer_token() {
    for format in FORMATS {
        let bound = Bound::new(format, false);
        let token = bound.token(&bound.prover).await;
        let bearer = format!("Bearer {token}");
        let proof = bound.proof(&bound.prover, &token, &[]);
        assert_eq!(bound.call(&bearer, &[]).await, invalid(Cause::Claims));
        assert_eq!(bound.call(&bearer, &[&proof]).await, invalid(Cause::Claims), "whatever comes along");
        for _ in 0..2 {
            let answer = bound.issuer.call(&bound.for_bearers, &token).await;
            assert_eq!(answer, invalid(Cause::Claims), "nor is it one elsewhere, cached or not");
        }
    }
}

#[tokio::test]
async fn oa_55_bc_073_a_token_of_another_key_or_of_none() {
    for format in FORMATS {
        let bound = Bound::new(format, false);
        let (other, unbound) = (Prover::new(Algorithm::EdDSA), bound.issuer.token().await);
        let token = bound.token(&other).await;
        for token in [&token, &unbound] {
            let proof = bound.proof(&bound.prover, token, &[]);
            assert_eq!(bound.call(&format!("DPoP {token}"), &[&proof]).await, invalid(Cause::Claims));
        }
        let answer = bound.issuer.call(&bound.for_bearers, &unbound).await;
        assert!(answer.is_ok(), "{answer:?}");
    }
}

#[tokio::test]
async fn oa_55_bc_073_a_bad_proof_is_refused_before_anybody_is_asked_about_the_token() {
    let bound = Bound::new(AccessTokenFormat::Opaque, false);
    let token = bound.token(&bound.prover).await;
    let scheme = format!("DPoP {token}");
    let good = || bound.proof(&bound.prover, &token, &[]);
    let wrong = |changes: &[(&str, Value)]| bound.proof(&bound.prover, &token, changes);
    let old = bound.issuer.now().as_secs() - 600;
    for proofs in [
        vec![],
        vec![good(), good()],
        vec!["x".to_owned()],
        vec![wrong(&[("htm", "POST".into())])],
        vec![wrong(&[("htu", "https://api.test/other".into())])],
        vec![wrong(&[("ath", token_hash("at_other").into())])],
        vec![wrong(&[("iat", old.into())])],
        vec![wrong(&[("jti", Value::Null)])],
    ] {
        let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
        assert_eq!(bound.call(&scheme, &proofs).await, invalid(Cause::Proof), "{proofs:?}");
    }
    assert_eq!(bound.issuer.meter.introspections.get(), 0);
    let nothing = bound.issuer.call_with(&bound.with_proofs, HttpRequest::get("/whoami")).await;
    assert_eq!(nothing, Err(Rejection::Missing));
    for malformed in ["DPoP", "DPoP a b", "DPoP a,b"] {
        assert_eq!(bound.call(malformed, &[&good()]).await, invalid(Cause::Malformed), "{malformed}");
    }
    let in_url = HttpRequest::get(format!("/whoami?access_token={token}")).header("authorization", &scheme);
    assert!(matches!(bound.issuer.call_with(&bound.with_proofs, in_url).await, Err(Rejection::Ambiguous(_))));
    assert!(bound.call(&scheme, &[&good()]).await.is_ok());
}

#[tokio::test]
async fn oa_57_a_nonce_is_demanded_where_it_is_wanted() {
    let bound = Bound::new(AccessTokenFormat::Opaque, true);
    let token = bound.token(&bound.prover).await;
    let scheme = format!("DPoP {token}");
    let first = bound.call(&scheme, &[&bound.proof(&bound.prover, &token, &[])]).await;
    let Err(Rejection::UseNonce(nonce)) = first else { panic!("{first:?}") };
    let proof = bound.proof(&bound.prover, &token, &[("nonce", (&*nonce).into())]);
    assert!(bound.call(&scheme, &[&proof]).await.is_ok());
    assert_eq!(bound.issuer.meter.introspections.get(), 1);
}

#[test]
fn oa_55_a_resource_without_a_url_cannot_take_proofs() {
    let issuer = Issuer::new();
    for url in [None, Some("/whoami".to_owned()), Some("https://api.test/?x".to_owned())] {
        let dpop = Some(DpopConfig { nonce: false, url: url.clone() });
        let config = OAuth2Config { dpop, ..config(TokenValidation::Opaque { cache: None }) };
        assert!(matches!(OAuth2::build(&config, &issuer.environment()), Err(BuildError::Config(_))), "{url:?}");
    }
}
