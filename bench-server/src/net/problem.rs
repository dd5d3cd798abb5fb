//! The one place that decides how a refusal looks on the wire: status, challenge and problem details.
//!
//! RFC 9110 §11.6.1 and §15.5 (challenges, statuses), RFC 6750 §3 (Bearer), RFC 7617 §2 (Basic), RFC 9457 (problem
//! details). What a caller learns about an invalid credential is whether it expired, and nothing else: a 401 for an
//! unknown, a revoked and a malformed one is the same bytes.

use ::http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use ::http::{HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use http_body_util::Full;
use serde::Serialize;

use crate::auth::{Cause, Layer, Rejection, Scheme};
use crate::credential::http_signature;
use crate::limit;

/// An answer of a protected route or of the control socket.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Problem types are absolute URIs (RFC 9457 §3.1.1) below this one.
const TYPES: &str = "https://api.authbench.test/problems/";

/// No type of its own: the status says it all (RFC 9457 §4.2.1).
const ABOUT_BLANK: &str = "about:blank";

// Challenges. The realm is `config::REALM`, which a test below holds them to.
const BEARER: HeaderValue = HeaderValue::from_static(r#"Bearer realm="authbench""#);
const BEARER_INVALID_REQUEST: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="authbench", error="invalid_request""#);
const BEARER_INVALID_TOKEN: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="authbench", error="invalid_token""#);
const BEARER_EXPIRED: HeaderValue = HeaderValue::from_static(
    r#"Bearer realm="authbench", error="invalid_token", error_description="the credential has expired""#,
);
/// Nobody registered a scheme for keys in a field of their own. `Bearer` would have the client renew its user's token.
const API_KEY: HeaderValue = HeaderValue::from_static(r#"ApiKey realm="authbench", field="X-API-Key""#);
const BASIC: HeaderValue = HeaderValue::from_static(r#"Basic realm="authbench", charset="UTF-8""#);
const SIGNATURE: HeaderValue = HeaderValue::from_static(r#"Signature realm="authbench""#);
const SIGNATURE_INVALID: HeaderValue =
    HeaderValue::from_static(r#"Signature realm="authbench", error="invalid_signature""#);

/// What a signature has to be like (RFC 9421 §5.1).
static ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");
const DPOP: HeaderValue = HeaderValue::from_static(r#"DPoP realm="authbench", algs="ES256 EdDSA""#);

/// Answers a request that was not accepted on a route with the given challenge scheme and scope.
pub(crate) fn refusal(rejection: &Rejection, scheme: Option<Scheme>, scope: &str) -> Answer {
    match rejection {
        Rejection::Missing => match scheme {
            Some(scheme) => challenges(&[scheme]),
            // The other requests of the connection need none.
            None => problem(StatusCode::FORBIDDEN, Some("client-certificate-required"), None),
        },
        Rejection::Invalid(cause) => match (scheme, cause) {
            (Some(Scheme::Bearer), Cause::Expired) => unauthorized(BEARER_EXPIRED),
            (Some(Scheme::Bearer), Cause::WrongEnvironment) => wrong_environment(BEARER_INVALID_TOKEN),
            (Some(Scheme::Dpop), Cause::WrongEnvironment) => wrong_environment(dpop("invalid_token")),
            (Some(Scheme::Bearer), _) => unauthorized(BEARER_INVALID_TOKEN),
            (Some(Scheme::Basic), _) => unauthorized(BASIC),
            (Some(Scheme::Signature), _) => asking_for_signature(unauthorized(SIGNATURE_INVALID)),
            (Some(Scheme::Dpop), Cause::Proof) => unauthorized(dpop("invalid_dpop_proof")),
            (Some(Scheme::Dpop), _) => unauthorized(dpop("invalid_token")),
            (Some(Scheme::Session), cause) => {
                let mut answer = unauthorized(BASIC);
                let token = if *cause == Cause::Expired { BEARER_EXPIRED } else { BEARER_INVALID_TOKEN };
                answer.headers_mut().append(WWW_AUTHENTICATE, token);
                answer
            }
            (None, _) => certificate_refused("client-certificate-invalid"),
        },
        Rejection::UseNonce(nonce) => {
            let mut answer = unauthorized(dpop("use_dpop_nonce"));
            let nonce = HeaderValue::try_from(&**nonce).expect("base64url is visible ASCII");
            answer.headers_mut().insert("dpop-nonce", nonce);
            answer
        }
        Rejection::Caller(Layer::Application, Some(Cause::WrongEnvironment)) => wrong_environment(API_KEY),
        Rejection::Caller(Layer::Application, _) => unauthorized(API_KEY),
        Rejection::Caller(Layer::Service, None) => certificate_refused("client-certificate-required"),
        Rejection::Caller(Layer::Service, Some(_)) => certificate_refused("client-certificate-invalid"),
        Rejection::Ambiguous(what) => {
            let mut answer = problem(StatusCode::BAD_REQUEST, None, Some(what));
            let challenge = match scheme {
                Some(Scheme::Bearer | Scheme::Session) => Some(BEARER_INVALID_REQUEST),
                Some(Scheme::Dpop) => Some(dpop("invalid_request")),
                Some(Scheme::Basic | Scheme::Signature) | None => None,
            };
            if let Some(challenge) = challenge {
                answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            answer
        }
        Rejection::InsufficientScope => {
            let mut answer = problem(StatusCode::FORBIDDEN, Some("insufficient-scope"), None);
            match scheme {
                Some(Scheme::Bearer | Scheme::Session) => {
                    answer.headers_mut().insert(WWW_AUTHENTICATE, insufficient_scope(BEARER, scope));
                }
                Some(Scheme::Dpop) => {
                    answer.headers_mut().insert(WWW_AUTHENTICATE, insufficient_scope(DPOP, scope));
                }
                Some(Scheme::Basic | Scheme::Signature) | None => {}
            }
            answer
        }
        Rejection::Forbidden(kind) => problem(StatusCode::FORBIDDEN, Some(kind), None),
        Rejection::TooLarge => fields_too_large(),
        Rejection::TooMany(quota) => {
            let mut answer = problem(StatusCode::TOO_MANY_REQUESTS, Some("quota-exceeded"), None);
            quota.refuse(answer.headers_mut());
            answer
        }
        Rejection::Unavailable { retry_after, .. } => {
            let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, None, None);
            answer.headers_mut().insert(RETRY_AFTER, limit::retry_after(*retry_after));
            answer
        }
    }
}

/// 401 for a request without credential on a path that may or may not exist: one challenge per scheme that the listener
/// accepts.
pub(crate) fn challenges(schemes: &[Scheme]) -> Answer {
    let mut answer = problem(StatusCode::UNAUTHORIZED, None, None);
    for scheme in schemes {
        answer.headers_mut().append(WWW_AUTHENTICATE, challenge(*scheme));
        if *scheme == Scheme::Session {
            answer.headers_mut().append(WWW_AUTHENTICATE, BEARER);
        }
    }
    if schemes.contains(&Scheme::Signature) { asking_for_signature(answer) } else { answer }
}

/// 431: the header block is too large or has too many fields (RFC 6585 §5).
pub(crate) fn fields_too_large() -> Answer {
    problem(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, None, None)
}

/// 405 with the methods that the path does allow (RFC 9110 §15.5.6).
pub(crate) fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, None, None);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// Problem details: `kind` becomes the type, `detail` is shown as it is, so it must hold nothing secret.
pub(crate) fn problem(status: StatusCode, kind: Option<&str>, detail: Option<&str>) -> Answer {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: &'a str,
        title: &'a str,
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
    }
    let kind = kind.map(|kind| format!("{TYPES}{kind}"));
    let body = serde_json::to_vec(&Problem {
        r#type: kind.as_deref().unwrap_or(ABOUT_BLANK),
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
    })
    .expect("strings and a number are JSON");
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn unauthorized(challenge: HeaderValue) -> Answer {
    let mut answer = problem(StatusCode::UNAUTHORIZED, None, None);
    answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    answer
}

/// A key says in its text where it counts, and a token in its claims: nothing is given away by telling its holder.
fn wrong_environment(challenge: HeaderValue) -> Answer {
    let mut answer = problem(StatusCode::UNAUTHORIZED, Some("wrong-environment"), None);
    answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    answer
}

fn asking_for_signature(mut answer: Answer) -> Answer {
    let asked = HeaderValue::from_static(http_signature::ACCEPT_SIGNATURE);
    answer.headers_mut().insert(&ACCEPT_SIGNATURE, asked);
    answer
}

/// A client certificate that was good in the handshake and is not any more. There is no challenge for certificates, so
/// this is a 403, and the connection that the certificate opened ends with it.
fn certificate_refused(kind: &'static str) -> Answer {
    let mut answer = problem(StatusCode::FORBIDDEN, Some(kind), None);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn challenge(scheme: Scheme) -> HeaderValue {
    match scheme {
        Scheme::Bearer => BEARER,
        Scheme::Basic | Scheme::Session => BASIC,
        Scheme::Dpop => DPOP,
        Scheme::Signature => SIGNATURE,
    }
}

fn insufficient_scope(challenge: HeaderValue, scope: &str) -> HeaderValue {
    let challenge = challenge.to_str().expect("challenges are visible ASCII");
    HeaderValue::try_from(format!(r#"{challenge}, error="insufficient_scope", scope="{scope}""#))
        .expect("the scope's characters were checked before the start")
}

/// A challenge with an error (RFC 9449 §7.1).
fn dpop(error: &str) -> HeaderValue {
    let challenge = DPOP.to_str().expect("challenges are visible ASCII").to_owned();
    HeaderValue::try_from(format!(r#"{challenge}, error="{error}""#)).expect("errors are single words")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::config::REALM;

    const BEARER_SCHEME: Option<Scheme> = Some(Scheme::Bearer);
    const BASIC_SCHEME: Option<Scheme> = Some(Scheme::Basic);
    const SIGNATURE_SCHEME: Option<Scheme> = Some(Scheme::Signature);

    fn status_and_challenge(rejection: &Rejection, scheme: Option<Scheme>) -> (u16, Option<String>) {
        let answer = refusal(rejection, scheme, "read");
        let challenge = answer.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), challenge)
    }

    /// Everything that goes on the wire, but for `Date`.
    async fn bytes(answer: Answer) -> (StatusCode, String, Bytes) {
        let (head, body) = answer.into_parts();
        (head.status, format!("{:?}", head.headers), body.collect().await.unwrap().to_bytes())
    }

    #[test]
    fn xc_1_missing_is_challenged_without_an_error() {
        assert_eq!(
            status_and_challenge(&Rejection::Missing, BEARER_SCHEME),
            (401, Some(format!("Bearer realm=\"{REALM}\"")))
        );
        assert_eq!(
            status_and_challenge(&Rejection::Missing, BASIC_SCHEME),
            (401, Some(format!("Basic realm=\"{REALM}\", charset=\"UTF-8\"")))
        );
    }

    #[tokio::test]
    async fn xc_16_invalid_credentials_look_alike_but_for_expiry() {
        let alike = [
            Cause::Malformed,
            Cause::Unknown,
            Cause::NotYetValid,
            Cause::Revoked,
            Cause::WrongSecret,
            Cause::BadSignature,
            Cause::Header,
            Cause::Claims,
            Cause::UnknownKey,
            Cause::Replayed,
        ];
        for scheme in [BEARER_SCHEME, BASIC_SCHEME, SIGNATURE_SCHEME] {
            let expected = bytes(refusal(&Rejection::Invalid(Cause::Unknown), scheme, "read")).await;
            for cause in alike {
                assert_eq!(bytes(refusal(&Rejection::Invalid(cause), scheme, "read")).await, expected, "{cause:?}");
            }
        }
        let (status, challenge) = status_and_challenge(&Rejection::Invalid(Cause::Revoked), BEARER_SCHEME);
        assert_eq!((status, challenge.unwrap()), (401, format!("Bearer realm=\"{REALM}\", error=\"invalid_token\"")));
        let (status, challenge) = status_and_challenge(&Rejection::Invalid(Cause::Expired), BEARER_SCHEME);
        assert_eq!(status, 401);
        assert!(challenge.unwrap().contains("error=\"invalid_token\", error_description="));
        // RFC 7617 knows no error attribute.
        let (_, challenge) = status_and_challenge(&Rejection::Invalid(Cause::Expired), BASIC_SCHEME);
        assert!(!challenge.unwrap().contains("error"));
    }

    #[tokio::test]
    async fn la_13_a_credential_of_the_other_environment_is_told_so() {
        let wrong = Cause::WrongEnvironment;
        for (rejection, scheme, challenge) in [
            (Rejection::Caller(Layer::Application, Some(wrong)), Scheme::Bearer, "ApiKey realm="),
            (Rejection::Invalid(wrong), Scheme::Bearer, "Bearer realm="),
            (Rejection::Invalid(wrong), Scheme::Dpop, "DPoP realm="),
        ] {
            let (status, fields, body) = bytes(refusal(&rejection, Some(scheme), "read")).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED);
            assert!(fields.contains(challenge), "{fields}");
            assert!(String::from_utf8_lossy(&body).contains("/problems/wrong-environment"), "{body:?}");
        }
    }

    #[tokio::test]
    async fn la_2_who_calls_is_challenged_for_its_own_credential_and_all_causes_look_alike() {
        let missing = refusal(&Rejection::Caller(Layer::Application, None), BEARER_SCHEME, "read");
        assert_eq!(missing.status(), StatusCode::UNAUTHORIZED);
        let challenge = missing.headers()[WWW_AUTHENTICATE].to_str().unwrap().to_owned();
        assert!(challenge.starts_with(&format!("ApiKey realm=\"{REALM}\"")), "{challenge}");
        let expected = bytes(missing).await;
        for cause in [Cause::Malformed, Cause::Unknown, Cause::Expired, Cause::Revoked] {
            let rejection = Rejection::Caller(Layer::Application, Some(cause));
            assert_eq!(bytes(refusal(&rejection, BEARER_SCHEME, "read")).await, expected, "{cause:?}");
        }
        // A certificate that has gone bad on its connection ends that, whatever the route's scheme is.
        for cause in [None, Some(Cause::Revoked)] {
            let answer = refusal(&Rejection::Caller(Layer::Service, cause), BEARER_SCHEME, "read");
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
            assert_eq!(answer.headers()[CONNECTION], "close");
            assert!(!answer.headers().contains_key(WWW_AUTHENTICATE));
        }
    }

    #[test]
    fn sr_10_a_401_lists_what_a_signature_has_to_cover() {
        for (rejection, challenge) in [
            (Rejection::Missing, format!("Signature realm=\"{REALM}\"")),
            (Rejection::Invalid(Cause::Expired), format!("Signature realm=\"{REALM}\", error=\"invalid_signature\"")),
        ] {
            assert_eq!(status_and_challenge(&rejection, SIGNATURE_SCHEME), (401, Some(challenge)));
            let answer = refusal(&rejection, SIGNATURE_SCHEME, "read");
            assert_eq!(answer.headers()[&ACCEPT_SIGNATURE], http_signature::ACCEPT_SIGNATURE);
        }
        let several = challenges(&[Scheme::Bearer, Scheme::Signature]);
        assert_eq!(several.headers().get_all(WWW_AUTHENTICATE).iter().count(), 2);
        assert_eq!(several.headers()[&ACCEPT_SIGNATURE], http_signature::ACCEPT_SIGNATURE);
        for scheme in [BEARER_SCHEME, BASIC_SCHEME] {
            assert!(!refusal(&Rejection::Missing, scheme, "read").headers().contains_key(&ACCEPT_SIGNATURE));
        }
        let forbidden = refusal(&Rejection::InsufficientScope, SIGNATURE_SCHEME, "read");
        assert!(!forbidden.headers().contains_key(&ACCEPT_SIGNATURE));
    }

    #[test]
    fn ba_22_a_route_with_sessions_challenges_for_both_schemes() {
        let all = |rejection: &Rejection| {
            let answer = refusal(rejection, Some(Scheme::Session), "read");
            let fields = answer.headers().get_all(WWW_AUTHENTICATE).iter();
            fields.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let (basic, bearer) =
            (format!("Basic realm=\"{REALM}\", charset=\"UTF-8\""), format!("Bearer realm=\"{REALM}\""));
        assert_eq!(all(&Rejection::Missing), [basic.clone(), bearer.clone()]);
        let invalid = format!("{bearer}, error=\"invalid_token\"");
        assert_eq!(all(&Rejection::Invalid(Cause::Unknown)), [basic.clone(), invalid]);
        assert!(all(&Rejection::Invalid(Cause::Expired))[1].contains("expired"));
    }

    #[test]
    fn oa_55_oa_56_oa_57_challenges_for_a_proof() {
        let scheme = Some(Scheme::Dpop);
        let algs = crate::credential::dpop::ALGORITHMS.join(" ");
        let plain = format!("DPoP realm=\"{REALM}\", algs=\"{algs}\"");
        assert_eq!(status_and_challenge(&Rejection::Missing, scheme), (401, Some(plain.clone())));
        let nonce = Rejection::UseNonce("n-1".into());
        for (rejection, status, error) in [
            (Rejection::Invalid(Cause::Proof), 401, "invalid_dpop_proof"),
            (Rejection::Invalid(Cause::Claims), 401, "invalid_token"),
            (nonce.clone(), 401, "use_dpop_nonce"),
            (Rejection::Ambiguous("repeated"), 400, "invalid_request"),
        ] {
            let expected = (status, Some(format!("{plain}, error=\"{error}\"")));
            assert_eq!(status_and_challenge(&rejection, scheme), expected);
        }
        assert_eq!(refusal(&nonce, scheme, "read").headers()["dpop-nonce"], "n-1");
        let (status, challenge) = status_and_challenge(&Rejection::InsufficientScope, scheme);
        assert_eq!(
            (status, challenge.unwrap()),
            (403, format!("{plain}, error=\"insufficient_scope\", scope=\"read\""))
        );
    }

    #[test]
    fn xc_2_scope_and_ambiguity() {
        assert_eq!(
            status_and_challenge(&Rejection::InsufficientScope, BEARER_SCHEME),
            (403, Some(format!("Bearer realm=\"{REALM}\", error=\"insufficient_scope\", scope=\"read\"")))
        );
        assert_eq!(status_and_challenge(&Rejection::InsufficientScope, BASIC_SCHEME), (403, None));
        assert_eq!(
            status_and_challenge(&Rejection::Ambiguous("repeated"), BEARER_SCHEME),
            (400, Some(format!("Bearer realm=\"{REALM}\", error=\"invalid_request\"")))
        );
        assert_eq!(status_and_challenge(&Rejection::Ambiguous("repeated"), BASIC_SCHEME), (400, None));
    }

    #[test]
    fn xc_20_a_dependency_that_is_down_is_neither_401_nor_200() {
        for (retry_after, seconds) in [(Duration::ZERO, "1"), (Duration::from_millis(1001), "2")] {
            let answer = refusal(&Rejection::Unavailable { dependency: "store", retry_after }, BEARER_SCHEME, "read");
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(answer.headers()[RETRY_AFTER], seconds);
            assert!(!answer.headers().contains_key(WWW_AUTHENTICATE));
        }
    }

    #[test]
    fn certificates_have_no_challenge_and_bad_ones_end_their_connection() {
        for (rejection, ends) in [(Rejection::Missing, false), (Rejection::Invalid(Cause::Revoked), true)] {
            let answer = refusal(&rejection, None, "read");
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
            assert_eq!(answer.headers().contains_key(CONNECTION), ends);
            assert!(!answer.headers().contains_key(WWW_AUTHENTICATE));
        }
        assert!(!refusal(&Rejection::Forbidden("x"), None, "read").headers().contains_key(CONNECTION));
    }

    #[tokio::test]
    async fn details_are_json_with_an_absolute_type() {
        let (status, _, body) = bytes(refusal(&Rejection::Forbidden("client-identity-not-allowed"), None, "")).await;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert_eq!(body["status"], 403);
        assert_eq!(body["title"], "Forbidden");
        assert!(
            url::Url::parse(body["type"].as_str().unwrap()).unwrap().path().ends_with("client-identity-not-allowed")
        );
    }
}
