//! Clients with certificates (RFC 8705): known by them, and with tokens that are bound to them.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use serde::Serialize;
use serde_json::{Value, json};

use super::AuthorizationServer;
use super::client::Client;
use super::error::{ErrorCode, OAuthError};
use super::store::AccessToken;
use crate::contract::{ClientRegistration, ClientSecretMethod};
use crate::credential::x509::{self, ClientIdentity};

/// How a client is known by the certificate of its connection (RFC 8705 §2.1).
pub(super) const METHOD: &str = "tls_client_auth";

/// The `cnf` of a token (RFC 7800 §3.1).
#[derive(Serialize)]
pub(super) struct Confirmation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    jkt: Option<&'a str>,
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    x5t: Option<&'a str>,
}

impl AccessToken {
    /// What the token is bound to, if it is.
    pub(super) fn confirmation(&self) -> Option<Confirmation<'_>> {
        let (jkt, x5t) = (self.jkt.as_deref(), self.x5t.as_deref());
        (jkt.is_some() || x5t.is_some()).then_some(Confirmation { jkt, x5t })
    }
}

/// The certificate that the client holds, judged for this request by the HTTP layer.
fn presented(request: &Request<Bytes>) -> Option<&Arc<ClientIdentity>> {
    request.extensions().get()
}

/// Whether the connection's certificate is the one that the client is registered with.
pub(super) fn is_registered(san_uri: Option<&str>, request: &Request<Bytes>) -> bool {
    let shown = presented(request).map(|client| &*client.spiffe_id);
    shown.is_some() && shown == san_uri
}

/// What the client's tokens are bound to.
///
/// # Errors
/// `invalid_request` when they are, and the connection has no certificate.
pub(super) fn binding(client: &Client, request: &Request<Bytes>) -> Result<Option<Arc<str>>, OAuthError> {
    if !client.certificate_bound {
        return Ok(None);
    }
    let certificate = presented(request).ok_or_else(|| {
        let description = "the client's tokens are bound to its certificate, and the connection has none";
        OAuthError::new(ErrorCode::InvalidRequest, description)
    })?;
    Ok(Some(certificate.thumbprint.clone()))
}

/// Refuses a registration whose parts about certificates contradict each other.
pub(super) fn check(registration: &ClientRegistration) -> Result<(), String> {
    let by_certificate = registration.token_endpoint_auth_method == Some(ClientSecretMethod::TlsClientAuth);
    match &registration.tls_client_auth_san_uri {
        Some(_) if !by_certificate => {
            Err(format!("tls_client_auth_san_uri goes with token_endpoint_auth_method {METHOD}"))
        }
        Some(uri) if !x509::is_spiffe_id(uri) => Err(format!("tls_client_auth_san_uri {uri:?} is not a SPIFFE ID")),
        None if by_certificate => Err(format!("{METHOD} needs tls_client_auth_san_uri, the name in the certificate")),
        _ if registration.tls_client_certificate_bound_access_tokens && !registration.confidential => {
            Err("tokens are bound to certificates for confidential clients alone".to_owned())
        }
        _ => Ok(()),
    }
}

impl AuthorizationServer {
    /// Whether clients authenticate at a path, so that their certificates matter there.
    pub(crate) fn authenticates_at(&self, path: &str) -> bool {
        matches!(path.strip_prefix(&self.base_path), Some("/token" | "/introspect" | "/revoke"))
    }

    /// The same, on a listener that takes client certificates: it says so in its metadata (RFC 8705 §5).
    pub fn with_client_certificates(mut self) -> Self {
        let document = &mut self.metadata;
        document["tls_client_certificate_bound_access_tokens"] = true.into();
        for endpoint in ["token", "introspection", "revocation"] {
            let methods = &mut document[format!("{endpoint}_endpoint_auth_methods_supported")];
            if let Value::Array(methods) = methods {
                methods.push(METHOD.into());
            }
        }
        // The same listener takes both, so no endpoint has another name.
        document["mtls_endpoint_aliases"] = json!({
            "token_endpoint": document["token_endpoint"],
            "introspection_endpoint": document["introspection_endpoint"],
            "revocation_endpoint": document["revocation_endpoint"],
        });
        self
    }
}
