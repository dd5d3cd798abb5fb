//! API keys on the control socket, below `/profiles/{name}`.

use http::{Method as Verb, StatusCode};

use super::{Answer, empty, json, parse, problem};
use crate::auth::api_key::{ApiKey, Manager};
use crate::auth::{AdminError, Method};
use crate::contract::{KeyRequest, KeyRotation, LeakReport};

/// Answers a request about a profile's keys; `place` is what follows the profile's name.
pub(super) async fn answer(method: &Method, verb: &Verb, place: &[&str], body: &[u8]) -> Result<Answer, AdminError> {
    let keys: &ApiKey = method.api_key()?;
    match (place, verb) {
        (["keys"], &Verb::POST) => {
            let request: KeyRequest = parse(body)?;
            Ok(created(json(&keys.create(&request, Manager::Control).await?)))
        }
        (["keys", id], &Verb::GET) => Ok(json(&keys.get(id, Manager::Control).await?)),
        (["keys", id], &Verb::DELETE) => {
            keys.revoke_as(id, Manager::Control).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (["keys", id, "rotate"], &Verb::POST) => {
            let rotation: KeyRotation = parse(body)?;
            Ok(created(json(&keys.rotate(id, &rotation, Manager::Control).await?)))
        }
        (["owners", owner, "keys"], &Verb::GET) => Ok(json(&keys.list(owner).await?)),
        (["owners", owner, "suspension"], &Verb::PUT | &Verb::DELETE) => {
            keys.suspend(owner, verb == Verb::PUT).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (["leaks"], &Verb::POST) => {
            let LeakReport { key } = parse(body)?;
            if keys.report(key) {
                Ok(empty(StatusCode::ACCEPTED))
            } else {
                Err(AdminError::Store("too many reports are waiting".to_owned()))
            }
        }
        (["usage"], &Verb::GET) => Ok(json(&keys.usage().await?)),
        (["events"], &Verb::GET) => Ok(json(&keys.events())),
        (["keys"] | ["leaks"] | ["keys", _, "rotate"], _) => Ok(problem::method_not_allowed("POST")),
        (["keys", _], _) => Ok(problem::method_not_allowed("GET, DELETE")),
        (["owners", _, "suspension"], _) => Ok(problem::method_not_allowed("PUT, DELETE")),
        (["owners", _, "keys"] | ["usage"] | ["events"], _) => Ok(problem::method_not_allowed("GET")),
        _ => Err(AdminError::NotFound(format!("/{}", place.join("/")))),
    }
}

fn created(mut answer: Answer) -> Answer {
    *answer.status_mut() = StatusCode::CREATED;
    answer
}
