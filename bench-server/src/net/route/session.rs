//! The exchange of a password for a session, as RFC 6749 §5.1 words the answer of a token endpoint.

use ::http::Method as Verb;
use ::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use ::http::request::Parts;
use ::http::{HeaderValue, Response};
use bytes::Bytes;
use http_body_util::Full;
use serde_json::json;

use super::{Caller, Route, Site};
use crate::auth::Request;
use crate::auth::basic::Basic;
use crate::auth::basic::session::Session;
use crate::net::problem::{self, Answer};

impl Site {
    /// `POST` opens a session. Who uses another method has to authenticate before they learn so.
    pub(super) async fn open_session(&self, route: &Route, basic: &Basic, head: &Parts, caller: &Caller) -> Answer {
        let request = Request { head, connection: &caller.connection, now: self.clock.now() };
        self.meter.requests.add();
        let verdict = match head.method {
            Verb::POST => basic.open_session(&request).await.map(|session| opened(&session)),
            _ => basic.authenticate(&request).await.map(|_| problem::method_not_allowed("POST")),
        };
        match verdict {
            Ok(answer) => {
                self.meter.accepted.add();
                answer
            }
            Err(rejection) => self.refuse(route, &rejection),
        }
    }
}

fn opened(session: &Session) -> Answer {
    let body = json!({
        "access_token": session.token.expose(),
        "token_type": "Bearer",
        "expires_in": session.expires_in.as_secs(),
        "scope": &*session.scopes,
    });
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
