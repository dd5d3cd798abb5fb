//! Administration of who may ask: OAuth clients, users, and what users granted. Each change kills what it ends: the tokens of
//! a disabled client, of a changed password, of a withdrawn grant.

use std::sync::Arc;

use http::{Method as Verb, StatusCode};

use super::{empty, json, parse};
use crate::auth::{AdminError, Method};
use crate::contract::{ClientRegistration, NewPassword, NewUser, UserRegistration};
use crate::issuer::authorization_server::AuthorizationServer;
use crate::net::problem::{self, Answer};

/// Below `/clients`.
pub(super) fn clients(
    server: &Arc<AuthorizationServer>,
    verb: &Verb,
    path: &[&str],
    body: &[u8],
) -> Result<Answer, AdminError> {
    match (path, verb) {
        ([], &Verb::GET) => Ok(json(&server.clients())),
        ([], &Verb::POST) => {
            let registration: ClientRegistration = parse(body)?;
            Ok(json(&server.register_client(&registration)?))
        }
        ([id, "secret"], &Verb::POST) => Ok(json(&server.rotate_client_secret(id)?)),
        ([id], &Verb::DELETE) => {
            server.disable_client(id)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        ([], _) => Ok(problem::method_not_allowed("GET, POST")),
        ([_, "secret"], _) => Ok(problem::method_not_allowed("POST")),
        ([_], _) => Ok(problem::method_not_allowed("DELETE")),
        _ => Err(AdminError::NotFound(path.join("/"))),
    }
}

/// Below `/users`: those of the login page.
pub(super) fn users(
    server: &Arc<AuthorizationServer>,
    verb: &Verb,
    path: &[&str],
    body: &[u8],
) -> Result<Answer, AdminError> {
    match (path, verb) {
        ([], &Verb::GET) => Ok(json(&server.users())),
        ([], &Verb::POST) => {
            let registration: UserRegistration = parse(body)?;
            server.register_user(&registration)?;
            Ok(empty(StatusCode::CREATED))
        }
        ([name], &Verb::DELETE) => {
            server.disable_user(name)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        ([name, "password"], &Verb::PUT) => {
            let NewPassword { password } = parse(body)?;
            server.set_password(&UserRegistration { username: (*name).to_owned(), password })?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        ([name, "grants"], &Verb::GET) => Ok(json(&server.grants_of(name)?)),
        ([name, "grants", client], &Verb::DELETE) => match server.withdraw_grants(name, client)? {
            0 => Err(AdminError::NotFound(format!("a grant of user {name:?} to client {client:?}"))),
            _ => Ok(empty(StatusCode::NO_CONTENT)),
        },
        ([], _) => Ok(problem::method_not_allowed("GET, POST")),
        ([_], _) | ([_, "grants", _], _) => Ok(problem::method_not_allowed("DELETE")),
        ([_, "password"], _) => Ok(problem::method_not_allowed("PUT")),
        ([_, "grants"], _) => Ok(problem::method_not_allowed("GET")),
        _ => Err(AdminError::NotFound(path.join("/"))),
    }
}

/// Below `/profiles/{name}/users`: those of method `basic`.
pub(super) async fn of_profile(method: &Method, verb: &Verb, path: &[&str], body: &[u8]) -> Result<Answer, AdminError> {
    let Method::Basic(basic) = method else { return Err(AdminError::NotHere("method basic has users")) };
    match (path, verb) {
        ([], &Verb::POST) => {
            let user: NewUser = parse(body)?;
            basic.add_user(&user).await?;
            Ok(empty(StatusCode::CREATED))
        }
        ([name, "password"], &Verb::PUT) => {
            let NewPassword { password } = parse(body)?;
            basic.set_password(name, password.expose()).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        ([], _) => Ok(problem::method_not_allowed("POST")),
        ([_, "password"], _) => Ok(problem::method_not_allowed("PUT")),
        _ => Err(AdminError::NotFound(path.join("/"))),
    }
}

#[cfg(test)]
mod tests;
