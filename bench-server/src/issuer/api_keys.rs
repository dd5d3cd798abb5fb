//! API keys managed over HTTP by their owners, under `/keys`: a key that holds the management scope issues, lists, replaces and
//! revokes the keys of its own application, and finds no others. Whoever found a key reports it, without a credential.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /keys` | 201 and the key, for the only time |
//! | `GET /keys`, `GET /keys/{id}` | what lists show |
//! | `POST /keys/{id}/rotate` | 201 and its successor; 409 while two of the line are live |
//! | `DELETE /keys/{id}` | 204 |
//! | `POST /keys/leaked` | 202, whatever was found |

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, VARY};
use http::{HeaderValue, Method as Verb, Request, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::api_key::{ApiKey, Manager};
use crate::auth::{self, AdminError, Method, Principal, Rejection, Scheme};
use crate::clock::UnixTime;
use crate::config::KeyManagementConfig;
use crate::contract::{KeyRequest, KeyRotation, LeakReport};
use crate::limit::gcra::Limiter;
use crate::net::problem::{self, Answer, problem};
use crate::telemetry::Meter;

/// Addresses whose reports are counted each by itself; all others share one quota.
const MOST_REPORTERS: usize = 65_536;

/// `/keys` of one listener.
pub(crate) struct KeyManagement {
    method: Arc<Method>,
    scope: String,
    reports: Limiter<IpAddr>,
    meter: Arc<Meter>,
}

/// Why a request is answered with something else than it asked for.
enum Refused {
    Rejection(Rejection),
    Error(AdminError),
}

impl From<AdminError> for Refused {
    fn from(error: AdminError) -> Self {
        Self::Error(error)
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self::Rejection(rejection)
    }
}

impl KeyManagement {
    /// Over the keys of a method `api-key`.
    pub(crate) fn new(config: &KeyManagementConfig, method: Arc<Method>, meter: Arc<Meter>) -> Self {
        let reports = Limiter::bounded("reports", &config.reports, MOST_REPORTERS);
        Self { method, scope: config.scope.clone(), reports, meter }
    }

    /// Whether a path is one of these.
    pub(crate) fn has(&self, path: &str) -> bool {
        path.strip_prefix("/keys").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers a request whose path is one of these.
    pub(crate) async fn answer(&self, request: Request<Bytes>, connection: &auth::Connection, now: UnixTime) -> Answer {
        let (head, body) = request.into_parts();
        let place: Vec<&str> = head.uri.path().split('/').skip(2).collect();
        if place == ["leaked"] {
            return match head.method {
                Verb::POST => self.take_report(&body, connection.peer.ip(), now),
                _ => problem::method_not_allowed("POST"),
            };
        }
        let request = auth::Request { head: &head, connection, now };
        let answer = match self.authenticate(&request).await {
            Ok(principal) => self.manage(&head.method, &place, &body, &principal).await,
            Err(rejection) => Err(rejection.into()),
        };
        answer.unwrap_or_else(|refused| self.refuse(&refused))
    }

    /// Like on any protected route.
    async fn authenticate(&self, request: &auth::Request<'_>) -> Result<Principal, Rejection> {
        self.meter.requests.add();
        let principal = self.method.authenticate(request).await?;
        self.meter.accepted.add();
        if principal.has_scope(&self.scope) { Ok(principal) } else { Err(Rejection::InsufficientScope) }
    }

    async fn manage(&self, verb: &Verb, place: &[&str], body: &[u8], by: &Principal) -> Result<Answer, Refused> {
        let keys: &ApiKey = self.method.api_key()?;
        let manager = Manager::Application { owner: &by.id, key: &by.credential_id };
        Ok(match (place, verb) {
            ([], &Verb::GET | &Verb::HEAD) => json(StatusCode::OK, &keys.list(&by.id).await?),
            ([], &Verb::POST) => {
                let request: KeyRequest = parse(body)?;
                // Nobody gives away what they do not have.
                if !request.scopes.iter().all(|scope| by.has_scope(scope)) {
                    return Err(Rejection::Forbidden("scope-not-held").into());
                }
                let made = keys.create(&request, manager).await?;
                created(&made.summary.id, &made)
            }
            ([id], &Verb::GET | &Verb::HEAD) => json(StatusCode::OK, &keys.get(id, manager).await?),
            ([id], &Verb::DELETE) => {
                keys.revoke_as(id, manager).await?;
                let mut answer = json(StatusCode::NO_CONTENT, &());
                *answer.body_mut() = Full::default();
                answer.headers_mut().remove(CONTENT_TYPE);
                answer
            }
            ([id, "rotate"], &Verb::POST) => {
                let rotation: KeyRotation = if body.is_empty() { KeyRotation::default() } else { parse(body)? };
                let summary = keys.get(id, manager).await?;
                if !summary.scopes.iter().all(|scope| by.has_scope(scope)) {
                    return Err(Rejection::Forbidden("scope-not-held").into());
                }
                let made = keys.rotate(id, &rotation, manager).await?;
                created(&made.summary.id, &made)
            }
            ([], _) => problem::method_not_allowed("GET, HEAD, POST"),
            ([_], _) => problem::method_not_allowed("GET, HEAD, DELETE"),
            ([_, "rotate"], _) => problem::method_not_allowed("POST"),
            _ => problem(StatusCode::NOT_FOUND, None, None),
        })
    }

    /// Whatever was found is left to be looked for later: nothing here depends on whether it is a key of ours.
    fn take_report(&self, body: &[u8], peer: IpAddr, now: UnixTime) -> Answer {
        if let Err(quota) = self.reports.admit(&neighbourhood(peer), now) {
            return self.refuse(&Rejection::TooMany(quota).into());
        }
        let report: LeakReport = match parse(body) {
            Ok(report) => report,
            Err(error) => return self.refuse(&error.into()),
        };
        match self.method.api_key() {
            Ok(keys) if keys.report(report.key) => {
                let mut answer = json(StatusCode::ACCEPTED, &());
                *answer.body_mut() = Full::default();
                answer.headers_mut().remove(CONTENT_TYPE);
                answer
            }
            Ok(_) => self.refuse(&AdminError::Store("too many reports are waiting".to_owned()).into()),
            Err(error) => self.refuse(&error.into()),
        }
    }

    fn refuse(&self, refused: &Refused) -> Answer {
        match refused {
            Refused::Rejection(rejection) => {
                self.meter.rejected(rejection);
                problem::refusal(rejection, Some(Scheme::Bearer), &self.scope)
            }
            Refused::Error(AdminError::NotFound(_)) => problem(StatusCode::NOT_FOUND, None, None),
            Refused::Error(AdminError::Forbidden(kind)) => problem(StatusCode::FORBIDDEN, Some(kind), None),
            Refused::Error(AdminError::BadRequest(why)) => problem(StatusCode::BAD_REQUEST, None, Some(why)),
            Refused::Error(AdminError::Conflict(why)) => problem(StatusCode::CONFLICT, None, Some(why)),
            // What is wrong with the store is the operator's to know.
            Refused::Error(AdminError::Store(error)) => {
                tracing::error!(error, "a request under /keys could not be carried out");
                let retry_after = std::time::Duration::from_secs(1);
                let rejection = Rejection::Unavailable { dependency: "key store", retry_after };
                problem::refusal(&rejection, Some(Scheme::Bearer), &self.scope)
            }
            Refused::Error(AdminError::NotHere(_)) => problem(StatusCode::NOT_FOUND, None, None),
        }
    }
}

/// Whose reports are counted together: an address, or the 64 leading bits of one that its holder chooses the rest of.
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AdminError> {
    // Said without the value: it may be a key.
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        AdminError::BadRequest(format!("the body is not what is asked for, at line {line}, column {column}"))
    })
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).expect("the contract's types are JSON");
    let mut answer = Answer::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(VARY, HeaderValue::from_static("Authorization, X-API-Key"));
    answer
}

fn created(id: &str, value: &impl Serialize) -> Answer {
    let mut answer = json(StatusCode::CREATED, value);
    let place = HeaderValue::try_from(format!("/keys/{id}")).expect("identifiers are letters and digits");
    answer.headers_mut().insert(LOCATION, place);
    answer
}
