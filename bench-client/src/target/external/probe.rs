//! Is what the scenario says true? One request that must be accepted and, unless the variant is `none`, one without a
//! credential and one with a made-up credential that must be rejected.

use bench_server::contract::{Issued, Material, Secret};

use super::http::Http;
use super::supply::{Supply, nobody};
use crate::load::{Caller, Endpoint};
use crate::outcome::{Outcome, RejectReason, Transport};
use crate::plan::ConnectionKind;

/// Tries the variant with the load engine, the same that will measure it.
///
/// # Errors
/// What was sent and what came back, without secrets.
pub(super) async fn probe(endpoint: &Endpoint, supply: &Supply, http: &Http) -> Result<(), String> {
    let credential = supply.sample().await?;
    if call(endpoint, &credential).await? != Outcome::Accepted {
        let seen = http.ask(endpoint, &credential).await;
        return Err(format!(
            "a request that should be accepted was not (credential {}): {seen}; accepted is {}",
            credential.id,
            accepted(endpoint)
        ));
    }
    if credential.material == Material::None {
        return Ok(());
    }
    must_reject(endpoint, &nobody(), "a request without a credential", http).await?;
    match made_up(&credential) {
        Some(made_up) => must_reject(endpoint, &made_up, "a request with a made-up credential", http).await,
        None => Ok(()),
    }
}

async fn must_reject(endpoint: &Endpoint, credential: &Issued, what: &str, http: &Http) -> Result<(), String> {
    match call(endpoint, credential).await? {
        Outcome::Rejected(RejectReason::InvalidCredential | RejectReason::Forbidden | RejectReason::TlsAlert) => Ok(()),
        // Whom the answer names does not matter: the status let it in.
        Outcome::Accepted | Outcome::Failed(Transport::WrongPrincipal) => Err(format!(
            "{what} was accepted: nothing is validated here, so nothing would be measured; protect the route"
        )),
        _ => {
            let seen = http.ask(endpoint, credential).await;
            let rejected: Vec<String> = endpoint
                .convention
                .iter()
                .flat_map(|convention| &convention.rejected)
                .map(ToString::to_string)
                .collect();
            Err(format!("{what} was not rejected as the scenario says: {seen}; rejected is {}", rejected.join(", ")))
        }
    }
}

async fn call(endpoint: &Endpoint, credential: &Issued) -> Result<Outcome, String> {
    let caller = Caller::new(endpoint.clone(), credential, ConnectionKind::Fresh);
    Ok(caller.map_err(|error| error.to_string())?.call().await.outcome)
}

fn accepted(endpoint: &Endpoint) -> String {
    endpoint.convention.as_ref().map_or_else(String::new, |convention| convention.accepted.to_string())
}

/// A credential of the same form that nobody issued; certificates are not made up.
fn made_up(credential: &Issued) -> Option<Issued> {
    let other = |secret: &Secret| {
        let filler = if secret.expose().contains('x') { "y" } else { "x" };
        Secret::new(filler.repeat(secret.expose().len()))
    };
    let material = match &credential.material {
        // Scenarios for servers of the user's have no method "signed".
        Material::None | Material::Certificate { .. } | Material::SigningKey { .. } => return None,
        Material::ApiKey { key } => Material::ApiKey { key: other(key) },
        Material::Bearer { token } => Material::Bearer { token: other(token) },
        Material::Password { username, password } => {
            Material::Password { username: username.clone(), password: other(password) }
        }
    };
    Some(Issued { id: "made-up".to_owned(), material, ..credential.clone() })
}
